/* What a body tells of itself: bones, matrices of its joints, parts, covers, morph targets. */
#include "mannequin_file.h"

/* -- Joints ------------------------------------------------------------------------------------ */

static void bones_have_names_and_parents(void) {
    for (int bone = 0; bone < RIG_BONES; bone++) {
        int parent = rig_bone_parent(bone);
        CHECK(rig_bone_find(rig_bone_name(bone)) == bone);
        CHECK(parent < bone && (parent >= 0) == (bone != RIG_HIPS));
        if (bone >= RIG_PAIRS)
            CHECK(strncmp(rig_bone_name(bone), (bone - RIG_PAIRS) % 2 ? "right" : "left", 4) == 0);
    }
    CHECK(rig_bone_name(RIG_BONES) == NULL && rig_bone_name(-1) == NULL);
    CHECK(rig_bone_find("leftTail") == -1);
    CHECK(rig_bone_required(RIG_HIPS) && !rig_bone_required(RIG_LEFT_TOES));
}

static void the_mannequin_has_its_bones(void) {
    static const struct {
        enum rig_bone bone;
        const char *joint;
    } cases[] = {{RIG_HIPS, "mixamorig:Hips"},
                 {RIG_HEAD, "mixamorig:Head"},
                 {RIG_LEFT_UPPER_ARM, "mixamorig:LeftArm"},
                 {RIG_RIGHT_LOWER_LEG, "mixamorig:RightLeg"},
                 {RIG_LEFT_TOES, "mixamorig:LeftToeBase"}};
    struct scene *scene = open_plain();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int joint = scene_bone(scene, cases[i].bone);
        CHECK(joint >= 0);
        CHECK_TEXT(joint >= 0 ? scene_joint_name(scene, (uint32_t)joint) : NULL, cases[i].joint);
    }
    CHECK(scene_bone(scene, RIG_BONES) == -1);
    scene_release(scene);
}

static void a_pose_is_made_in_steps(void) {
    struct scene *scene = open_plain();
    size_t count = 12 * (size_t)scene_joint_count(scene);
    float *at_once = malloc(count * sizeof *at_once), *steps = malloc(count * sizeof *steps);
    float bind[12];
    scene_pose(scene, 0, 0.4, at_once);
    scene_locals(scene, 0, 0.4, steps);
    scene_worlds(scene, steps, steps);
    /* A joint's world is where the palette takes its bind. */
    int hand = scene_bone(scene, RIG_LEFT_HAND);
    const float *palette = at_once + 12 * (size_t)hand, *world = steps + 12 * (size_t)hand;
    scene_joint_bind(scene, (uint32_t)hand, bind);
    for (int r = 0; r < 3; r++) {
        float moved = palette[4 * r + 3];
        for (int k = 0; k < 3; k++)
            moved += palette[4 * r + k] * bind[4 * k + 3];
        CHECK(fabsf(moved - world[4 * r + 3]) < 1e-5f);
    }
    scene_palette(scene, steps, steps);
    for (size_t i = 0; i < count; i++)
        CHECK(at_once[i] == steps[i]);
    free(at_once);
    free(steps);
    scene_release(scene);
}

/* -- Parts ------------------------------------------------------------------------------------- */

static void every_part_is_there_and_has_a_name(void) {
    struct scene *scene = open_plain();
    uint32_t count[SCENE_BODY_PARTS] = {0};
    for (uint32_t t = 0; t < scene_triangle_count(scene); t++)
        count[scene_parts(scene)[t]]++;
    CHECK(count[SCENE_PART_OTHER] == 0);
    for (uint32_t part = SCENE_PART_HEAD; part < SCENE_BODY_PARTS; part++)
        CHECK(count[part] > 0 && scene_body_part_name(part) != NULL);
    for (uint32_t part = SCENE_PART_LEFT_UPPER_ARM; part < SCENE_BODY_PARTS; part += 2)
        CHECK(count[part] == count[part + 1]); /* it is symmetrical */
    CHECK(scene_body_part_name(SCENE_BODY_PARTS) == NULL);
    CHECK_TEXT(scene_body_part_name(SCENE_PART_RIGHT_FOOT), "right_foot");
    scene_release(scene);
}

/* -- Morph targets ----------------------------------------------------------------------------- */

static void morph_targets_have_names_and_weights(void) {
    struct file file = file_take();
    json_t *mesh = json_array_get(json_object_get(file.json, "meshes"), 0), *primitive;
    size_t i;
    json_array_foreach(json_object_get(mesh, "primitives"), i, primitive) {
        /* Along the normals: any accessor of as many vectors will do. */
        json_t *normal = json_object_get(json_object_get(primitive, "attributes"), "NORMAL");
        json_object_set_new(primitive, "targets", json_pack("[{sO}]", "POSITION", normal));
    }
    json_object_set_new(mesh, "weights", json_pack("[f]", 0.25));
    json_object_set_new(mesh, "extras", json_pack("{s[s]}", "targetNames", "swollen"));
    struct scene *scene = NULL;
    struct err err = {0};
    float weight = 0;
    CHECK(file_open(&file, NULL, &scene, &err) == 0);
    CHECK_TEXT(err.message, "");
    if (scene == NULL)
        return;
    CHECK(scene_morph_count(scene) == 1);
    CHECK_TEXT(scene_morph_name(scene, 0), "swollen");
    scene_morphs(scene, SCENE_REST, 0, &weight);
    CHECK(weight == 0.25f);
    weight = 0;
    scene_morphs(scene, 0, 0.5, &weight); /* its clip does not tell */
    CHECK(weight == 0.25f);
    scene_release(scene);
}

int main(void) {
    static const struct test tests[] = {
        TEST(bones_have_names_and_parents),
        TEST(the_mannequin_has_its_bones),
        TEST(a_pose_is_made_in_steps),
        TEST(every_part_is_there_and_has_a_name),
        TEST(morph_targets_have_names_and_weights),
    };
    return RUN(tests);
}
