/* mannequin.c - see mannequin.h: bones, pieces, wood and clips put together and written. */
#include "media/mannequin.h"

#include <math.h>
#include <stdlib.h>

#include "core/err.h"
#include "media/glb.h"
#include "media/mannequin_parts.h"
#include "media/mannequin_pose.h"

enum { CLIP_COUNT = 2 };

static const float DRAWN_STATURE = 1.75F;

static const struct glb_material MATERIALS[TONE_COUNT] = {
    [TONE_BODY] = {.name = "maple", .base_color = {1, 1, 1, 1}, .roughness = 0.42F},
    [TONE_JOINT] = {.name = "cherry", .base_color = {0.52F, 0.36F, 0.25F, 1}, .roughness = 0.36F},
    [TONE_EXTREMITY] = {.name = "beech",
                        .base_color = {0.90F, 0.83F, 0.74F, 1},
                        .roughness = 0.44F},
    [TONE_EYE] = {.name = "eyes", .base_color = {0.05F, 0.035F, 0.03F, 1}, .roughness = 0.3F},
};

/* Everything that is made on the way to the file. */
struct making {
    struct mannequin_rig rig;
    struct mannequin_build build;
    struct mannequin_clip clips[CLIP_COUNT];
    uint8_t *wood;
    size_t wood_size;
};

static int check_options(struct mannequin_options *options, struct err *err) {
    if (options->stature == 0)
        options->stature = DRAWN_STATURE;
    if (options->detail == 0)
        options->detail = 2;
    if (!(options->stature >= 0.3F && options->stature <= 3))
        return err_set(err, ERR_INVALID, "a mannequin's stature is 0.3 to 3 m, not %g",
                       (double)options->stature);
    if (options->detail < 1 || options->detail > 3)
        return err_set(err, ERR_INVALID, "a mannequin's detail is 1 to 3, not %d", options->detail);
    return 0;
}

static void scale_floats(float *values, size_t count, float factor) {
    for (size_t i = 0; i < count; i++)
        values[i] *= factor;
}

static int make_mesh(struct making *m, const struct mannequin_options *options, struct err *err) {
    static const float FINENESS[] = {0, 0.62F, 1, 1.6F};
    struct mannequin_build *build = &m->build;
    build->rig = &m->rig;
    build->fineness = FINENESS[options->detail];
    build->random = options->seed * 2654435761U ^ 0x6D616E6EU;
    if (build->random == 0)
        build->random = 1; /* where xorshift would stand still */
    mannequin_add_trunk(build);
    uint32_t vertices[TONE_COUNT], indices[TONE_COUNT];
    for (int tone = 0; tone < TONE_COUNT; tone++) {
        vertices[tone] = build->mesh[tone].vertex_count;
        indices[tone] = build->mesh[tone].index_count;
    }
    mannequin_add_limbs(build);
    mannequin_add_hand(build);
    mannequin_add_foot(build);
    for (int tone = 0; tone < TONE_COUNT; tone++) {
        struct turned_mesh *mesh = &build->mesh[tone];
        turned_mesh_mirror(mesh, vertices[tone], indices[tone], BONE_SIDE);
        if (mesh->failed)
            return err_set(err, ERR_NO_MEMORY, "no memory for the mannequin's mesh");
    }
    return 0;
}

static int make_clips(struct making *m, struct err *err) {
    m->clips[0].name = "walk";
    m->clips[1].name = "idle";
    int rc = clip_record(&m->clips[0], &m->rig, pose_walk, WALK_SECONDS, err);
    if (!rc)
        rc = clip_record(&m->clips[1], &m->rig, pose_idle, IDLE_SECONDS, err);
    return rc;
}

/* Bones, mesh and the root's way grow with the stature; rotations do not. */
static void scale_making(struct making *m, float factor) {
    scale_floats(&m->rig.position[0][0], (size_t)BONE_COUNT * 3, factor);
    for (int tone = 0; tone < TONE_COUNT; tone++)
        scale_floats(m->build.mesh[tone].positions, (size_t)m->build.mesh[tone].vertex_count * 3,
                     factor);
    for (int i = 0; i < CLIP_COUNT; i++)
        scale_floats(m->clips[i].root, (size_t)m->clips[i].frame_count * 3, factor);
}

static int write_making(const struct making *m, uint8_t **out, size_t *size, struct err *err) {
    struct glb_primitive primitives[TONE_COUNT];
    struct glb_joint joints[BONE_COUNT];
    struct glb_clip clips[CLIP_COUNT];
    for (uint32_t i = 0; i < TONE_COUNT; i++) {
        const struct turned_mesh *mesh = &m->build.mesh[i];
        primitives[i] = (struct glb_primitive){
            mesh->vertex_count, mesh->index_count, mesh->positions,
            mesh->normals,      mesh->uvs,         mesh->joints,
            mesh->weights,      mesh->indices,     i,
        };
    }
    for (int i = 0; i < BONE_COUNT; i++) {
        const float *at = m->rig.position[i];
        joints[i] = (struct glb_joint){m->rig.name[i], m->rig.parent[i], {at[0], at[1], at[2]}};
    }
    for (int i = 0; i < CLIP_COUNT; i++) {
        const struct mannequin_clip *clip = &m->clips[i];
        clips[i] = (struct glb_clip){clip->name, clip->frame_count, clip->times, clip->rotations,
                                     clip->root};
    }
    const struct glb_image image = {"wood", m->wood, m->wood_size};
    const struct glb_document document = {
        .name = "mannequin",
        .generator = "stance",
        .primitive_count = TONE_COUNT,
        .material_count = TONE_COUNT,
        .image_count = 1,
        .joint_count = BONE_COUNT,
        .clip_count = CLIP_COUNT,
        .primitives = primitives,
        .materials = MATERIALS,
        .images = &image,
        .joints = joints,
        .clips = clips,
    };
    return glb_write(&document, out, size, err);
}

int mannequin_write_glb(const struct mannequin_options *options, uint8_t **out, size_t *size,
                        struct err *err) {
    struct mannequin_options chosen = options ? *options : (struct mannequin_options){0};
    int rc = check_options(&chosen, err);
    if (rc)
        return rc;
    struct making *m = calloc(1, sizeof *m);
    if (!m)
        return err_set(err, ERR_NO_MEMORY, "no memory for a mannequin");
    mannequin_rig_init(&m->rig);
    rc = make_mesh(m, &chosen, err);
    if (!rc)
        rc = make_clips(m, err);
    if (!rc)
        rc = mannequin_draw_wood(chosen.seed, &m->wood, &m->wood_size, err);
    if (!rc) {
        scale_making(m, chosen.stature / DRAWN_STATURE);
        rc = write_making(m, out, size, err);
    }
    for (int tone = 0; tone < TONE_COUNT; tone++)
        turned_mesh_deinit(&m->build.mesh[tone]);
    for (int i = 0; i < CLIP_COUNT; i++)
        clip_deinit(&m->clips[i]);
    free(m->wood);
    free(m);
    return rc;
}
