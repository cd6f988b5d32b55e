/* The mannequin's file, read by hand: its structure, its mesh, how it walks; and by assimp, as the
 * renderer will. */
#include "media/mannequin.h"

#include <assimp/cimport.h>
#include <assimp/scene.h>
#include <jansson.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>

#include "check.h"
#include "core/err.h"
#include "media/assimp_load.h"
#include "media/glb.h"
#include "media/mannequin_pose.h"

enum { JOINTS = 65, WALK_FRAMES = 34, IDLE_FRAMES = 121 };

/* -- Reading ----------------------------------------------------------------------------------- */

struct file {
    uint8_t *bytes;
    size_t size;
    json_t *json;
    const uint8_t *binary;
    size_t binary_size;
};

static uint32_t u32(const uint8_t *at) {
    return at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

/* Makes a mannequin and takes its file apart; false when that fails, with the check noted. */
static bool file_open(struct file *file, const struct mannequin_options *options) {
    struct err err = {0};
    *file = (struct file){0};
    CHECK(mannequin_write_glb(options, &file->bytes, &file->size, &err) == 0);
    if (!file->bytes || file->size < 28) {
        return false;
    }
    size_t json_size = u32(file->bytes + 12);
    file->json = json_loadb((const char *)file->bytes + 20, json_size, 0, NULL);
    file->binary = file->bytes + 28 + json_size;
    file->binary_size = u32(file->bytes + 20 + json_size);
    CHECK(file->json != NULL);
    return file->json != NULL;
}

static void file_close(struct file *file) {
    json_decref(file->json);
    free(file->bytes);
}

static json_t *entry(json_t *object, const char *list, size_t index) {
    return json_array_get(json_object_get(object, list), index);
}

static size_t number(json_t *object, const char *name) {
    return (size_t)json_integer_value(json_object_get(object, name));
}

/* An accessor's values, and how many rows. */
static const void *values(const struct file *file, size_t accessor, uint32_t *count) {
    json_t *info = entry(file->json, "accessors", accessor);
    json_t *view = entry(file->json, "bufferViews", number(info, "bufferView"));
    *count = (uint32_t)number(info, "count");
    return file->binary + number(view, "byteOffset");
}

struct mesh {
    uint32_t vertices, indices;
    const float *positions, *normals, *uvs, *weights;
    const uint8_t *joints;
    const uint32_t *index;
};

static bool mesh_read(const struct file *file, size_t primitive, struct mesh *mesh) {
    json_t *all = json_object_get(entry(file->json, "meshes", 0), "primitives");
    json_t *one = json_array_get(all, primitive), *attributes = json_object_get(one, "attributes");
    if (!one) {
        return false;
    }
    mesh->positions = values(file, number(attributes, "POSITION"), &mesh->vertices);
    mesh->normals = values(file, number(attributes, "NORMAL"), &mesh->vertices);
    mesh->uvs = values(file, number(attributes, "TEXCOORD_0"), &mesh->vertices);
    mesh->joints = values(file, number(attributes, "JOINTS_0"), &mesh->vertices);
    mesh->weights = values(file, number(attributes, "WEIGHTS_0"), &mesh->vertices);
    mesh->index = values(file, number(one, "indices"), &mesh->indices);
    return true;
}

/* -- Structure --------------------------------------------------------------------------------- */

static void same_options_give_the_same_bytes(void) {
    const struct mannequin_options options = {.seed = 7};
    uint8_t *a = NULL, *b = NULL, *c = NULL;
    size_t a_size = 0, b_size = 0, c_size = 0;
    CHECK(mannequin_write_glb(&options, &a, &a_size, NULL) == 0);
    CHECK(mannequin_write_glb(&options, &b, &b_size, NULL) == 0);
    CHECK(mannequin_write_glb(NULL, &c, &c_size, NULL) == 0);
    CHECK(a_size == b_size && memcmp(a, b, a_size) == 0);
    CHECK(a_size != c_size || memcmp(a, c, a_size) != 0); /* another seed, another wood */
    free(a);
    free(b);
    free(c);
}

static void chunks_are_well_formed(void) {
    struct file file;
    if (file_open(&file, NULL)) {
        size_t json_size = u32(file.bytes + 12);
        CHECK(memcmp(file.bytes, "glTF", 4) == 0 && u32(file.bytes + 4) == 2);
        CHECK(u32(file.bytes + 8) == file.size);
        CHECK(memcmp(file.bytes + 16, "JSON", 4) == 0 && json_size % 4 == 0);
        CHECK(memcmp(file.bytes + 24 + json_size, "BIN", 4) == 0 && file.binary_size % 4 == 0);
        CHECK(28 + json_size + file.binary_size == file.size);
        CHECK(number(entry(file.json, "buffers", 0), "byteLength") == file.binary_size);
    }
    file_close(&file);
}

/* Whether the bounds that an accessor states are those of its values. */
static bool bounds_hold(const struct file *file, json_t *info, size_t accessor, size_t components) {
    uint32_t count;
    const float *data = values(file, accessor, &count);
    for (size_t c = 0; c < components; c++) {
        double low = json_number_value(json_array_get(json_object_get(info, "min"), c));
        double high = json_number_value(json_array_get(json_object_get(info, "max"), c));
        double least = INFINITY, most = -INFINITY;
        for (uint32_t i = 0; i < count; i++) {
            least = fmin(least, (double)data[i * components + c]);
            most = fmax(most, (double)data[i * components + c]);
        }
        if ((float)low != (float)least || (float)high != (float)most) {
            return false;
        }
    }
    return true;
}

static void accessors_fit_their_buffer(void) {
    static const struct {
        const char *type;
        size_t components;
    } types[] = {{"SCALAR", 1}, {"VEC2", 2}, {"VEC3", 3}, {"VEC4", 4}, {"MAT4", 16}};
    struct file file;
    if (file_open(&file, NULL)) {
        size_t i;
        json_t *info;
        json_array_foreach(json_object_get(file.json, "accessors"), i, info) {
            size_t components = 0, width = number(info, "componentType") == 5121 ? 1 : 4;
            const char *type = json_string_value(json_object_get(info, "type"));
            for (size_t k = 0; k < sizeof types / sizeof *types; k++) {
                components = strcmp(type, types[k].type) == 0 ? types[k].components : components;
            }
            json_t *view = entry(file.json, "bufferViews", number(info, "bufferView"));
            CHECK(number(info, "count") * components * width == number(view, "byteLength"));
            CHECK(number(view, "byteOffset") % 4 == 0);
            CHECK(number(view, "byteOffset") + number(view, "byteLength") <= file.binary_size);
            CHECK(!json_object_get(info, "min") || bounds_hold(&file, info, i, components));
        }
        CHECK(i > 100);
    }
    file_close(&file);
}

/* -- Mesh -------------------------------------------------------------------------------------- */

static void check_vertices(const struct mesh *mesh) {
    bool sums = true, joints = true, unit = true, finite = true;
    for (uint32_t v = 0; v < mesh->vertices; v++) {
        float sum = 0;
        for (int k = 0; k < 4; k++) {
            sum += mesh->weights[4 * v + k];
            joints &= mesh->joints[4 * v + k] < JOINTS;
        }
        const float *n = mesh->normals + 3 * v, *p = mesh->positions + 3 * v;
        sums &= fabsf(sum - 1) < 1e-6F;
        unit &= fabsf(n[0] * n[0] + n[1] * n[1] + n[2] * n[2] - 1) < 1e-5F;
        finite &= isfinite(p[0]) && isfinite(p[1]) && isfinite(p[2]);
        finite &= isfinite(mesh->uvs[2 * v]) && isfinite(mesh->uvs[2 * v + 1]);
    }
    CHECK(sums);
    CHECK(joints);
    CHECK(unit);
    CHECK(finite);
}

/* Twice the area of triangle t, negative when it looks against its corners' normals. */
static double facing(const struct mesh *mesh, uint32_t t) {
    const uint32_t *corner = mesh->index + 3 * t;
    const float *a = mesh->positions + 3 * corner[0], *b = mesh->positions + 3 * corner[1],
                *c = mesh->positions + 3 * corner[2];
    double u[3], v[3], along = 0;
    for (int i = 0; i < 3; i++) {
        u[i] = (double)b[i] - (double)a[i];
        v[i] = (double)c[i] - (double)a[i];
    }
    const double n[3] = {u[1] * v[2] - u[2] * v[1], u[2] * v[0] - u[0] * v[2],
                         u[0] * v[1] - u[1] * v[0]};
    for (int i = 0; i < 3; i++) {
        for (int k = 0; k < 3; k++) {
            along += n[i] * (double)mesh->normals[3 * corner[k] + (uint32_t)i];
        }
    }
    return along < 0 ? -1 : sqrt(n[0] * n[0] + n[1] * n[1] + n[2] * n[2]);
}

static void mesh_is_sound(void) {
    struct file file;
    struct mesh mesh;
    uint32_t triangles = 0;
    if (file_open(&file, NULL)) {
        for (size_t i = 0; mesh_read(&file, i, &mesh); i++) {
            uint32_t out_of_range = 0, inverted = 0, flat = 0;
            check_vertices(&mesh);
            for (uint32_t k = 0; k < mesh.indices; k++) {
                out_of_range += mesh.index[k] >= mesh.vertices;
            }
            for (uint32_t t = 0; !out_of_range && t < mesh.indices / 3; t++) {
                double area = facing(&mesh, t);
                inverted += area < 0;
                flat += area >= 0 && area < 1e-12;
            }
            CHECK(out_of_range == 0);
            CHECK(inverted == 0);
            CHECK(flat == 0);
            triangles += mesh.indices / 3;
        }
        CHECK(triangles >= 20000 && triangles <= 42000);
    }
    file_close(&file);
}

static int by_height(const void *a, const void *b) {
    float x = ((const float *)a)[1], y = ((const float *)b)[1];
    return (x > y) - (x < y);
}

/* Whether a vertex stands at `p`, among points sorted by height. */
static bool has_point(const float *points, uint32_t count, const float p[3]) {
    const float near = 2e-6F;
    uint32_t low = 0, high = count;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (points[3 * middle + 1] < p[1] - near) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    for (; low < count && points[3 * low + 1] <= p[1] + near; low++) {
        const float *q = points + 3 * low;
        if (fabsf(q[0] - p[0]) <= near && fabsf(q[2] - p[2]) <= near) {
            return true;
        }
    }
    return false;
}

static void halves_mirror_each_other(void) {
    struct file file;
    struct mesh mesh;
    if (file_open(&file, NULL)) {
        for (size_t i = 0; mesh_read(&file, i, &mesh); i++) {
            size_t size = (size_t)mesh.vertices * 3 * sizeof(float);
            float *points = malloc(size);
            uint32_t lonely = 0;
            memcpy(points, mesh.positions, size);
            qsort(points, mesh.vertices, 3 * sizeof(float), by_height);
            for (uint32_t v = 0; v < mesh.vertices; v++) {
                const float *p = mesh.positions + 3 * v;
                lonely += !has_point(points, mesh.vertices, (const float[3]){-p[0], p[1], p[2]});
            }
            CHECK(lonely == 0);
            free(points);
        }
    }
    file_close(&file);
}

/* The highest vertex of the T-pose. */
static float height_of(const struct mannequin_options *options) {
    struct file file;
    struct mesh mesh;
    float top = 0;
    if (file_open(&file, options)) {
        for (size_t i = 0; mesh_read(&file, i, &mesh); i++) {
            for (uint32_t v = 0; v < mesh.vertices; v++) {
                top = fmaxf(top, mesh.positions[3 * v + 1]);
            }
        }
    }
    file_close(&file);
    return top;
}

static void stature_is_what_was_asked_for(void) {
    CHECK(fabsf(height_of(NULL) - 1.75F) < 0.005F);
    CHECK(fabsf(height_of(&(struct mannequin_options){.stature = 0.3F}) - 0.3F) < 0.001F);
    CHECK(fabsf(height_of(&(struct mannequin_options){.stature = 1.6F, .detail = 3}) - 1.6F) <
          0.005F);
}

/* -- Clips ------------------------------------------------------------------------------------- */

/* A clip's rotations and hips, as the file has them. */
struct clip {
    uint32_t frames;
    const float *times, *rotations[JOINTS], *root;
};

static bool clip_read(const struct file *file, size_t index, struct clip *clip) {
    json_t *animation = entry(file->json, "animations", index);
    size_t i;
    json_t *channel;
    json_array_foreach(json_object_get(animation, "channels"), i, channel) {
        json_t *target = json_object_get(channel, "target");
        json_t *sampler = entry(animation, "samplers", number(channel, "sampler"));
        bool turns = strcmp(json_string_value(json_object_get(target, "path")), "rotation") == 0;
        const float *data = values(file, number(sampler, "output"), &clip->frames);
        if (turns) {
            clip->rotations[number(target, "node")] = data;
        } else {
            clip->root = data;
        }
        clip->times = values(file, number(sampler, "input"), &clip->frames);
    }
    bool whole = clip->times && clip->root;
    for (int joint = 0; joint < JOINTS; joint++) {
        whole &= clip->rotations[joint] != NULL;
    }
    CHECK(whole);
    return whole;
}

/* The pose half-way between two frames, where linear interpolation strays most. */
static void clip_pose(const struct clip *clip, const struct mannequin_rig *rig, uint32_t frame,
                      struct pose *pose) {
    pose_init(pose, rig);
    for (int joint = 0; joint < JOINTS; joint++) {
        const float *q = clip->rotations[joint] + 4 * frame;
        double sum = 0;
        for (int i = 0; i < 4; i++) {
            pose->local[joint][i] = ((double)q[i] + (double)q[i + 4]) / 2;
            sum += pose->local[joint][i] * pose->local[joint][i];
        }
        for (int i = 0; i < 4; i++) {
            pose->local[joint][i] /= sqrt(sum);
        }
    }
    for (uint32_t i = 0; i < 3; i++) {
        pose->root[i] =
            ((double)clip->root[3 * frame + i] + (double)clip->root[3 * frame + 3 + i]) / 2;
    }
}

static double lowest_vertex(const struct file *file, const struct pose *pose) {
    double at[JOINTS][3], turn[JOINTS][4], lowest = INFINITY;
    struct mesh mesh;
    for (int joint = 0; joint < JOINTS; joint++) {
        pose_find(pose, joint, at[joint], turn[joint]);
    }
    for (size_t i = 0; mesh_read(file, i, &mesh); i++) {
        for (uint32_t v = 0; v < mesh.vertices; v++) {
            double y = 0;
            for (int k = 0; k < 4; k++) {
                int joint = mesh.joints[4 * v + k];
                double offset[3];
                for (uint32_t c = 0; c < 3; c++) {
                    offset[c] =
                        (double)mesh.positions[3 * v + c] - (double)pose->rig->position[joint][c];
                }
                quat_rotate(turn[joint], offset, offset);
                y += (double)mesh.weights[4 * v + k] * (at[joint][1] + offset[1]);
            }
            lowest = fmin(lowest, y);
        }
    }
    return lowest;
}

static void feet_stay_on_the_floor(void) {
    struct file file;
    struct mannequin_rig rig;
    mannequin_rig_init(&rig);
    if (file_open(&file, &(struct mannequin_options){.detail = 1})) {
        for (size_t i = 0; i < 2; i++) {
            struct clip clip = {0};
            if (!clip_read(&file, i, &clip)) {
                continue;
            }
            CHECK(clip.frames == (i ? IDLE_FRAMES : WALK_FRAMES));
            for (uint32_t frame = 0; frame + 1 < clip.frames; frame += i ? 10 : 1) {
                struct pose pose;
                clip_pose(&clip, &rig, frame, &pose);
                double lowest = lowest_vertex(&file, &pose);
                CHECK(lowest > -0.006 && lowest < 0.004);
            }
        }
    }
    file_close(&file);
}

static void clips_loop(void) {
    struct file file;
    if (file_open(&file, NULL)) {
        for (size_t i = 0; i < 2; i++) {
            struct clip clip = {0};
            if (!clip_read(&file, i, &clip)) {
                continue;
            }
            uint32_t last = clip.frames - 1;
            CHECK(fabsf(clip.times[last] - (i ? 4.0F : 1.1F)) < 1e-6F);
            for (uint32_t k = 0; k < 3; k++) {
                CHECK(clip.root[k] == clip.root[3 * last + k]);
            }
            for (int joint = 0; joint < JOINTS; joint++) {
                float dot = 0;
                for (uint32_t k = 0; k < 4; k++) {
                    dot += clip.rotations[joint][k] * clip.rotations[joint][4 * last + k];
                }
                CHECK(fabsf(dot - 1) < 1e-6F);
            }
        }
    }
    file_close(&file);
}

/* The ranges are those of gait analysis, with some room. */
static void legs_move_as_in_walking(void) {
    struct mannequin_rig rig;
    double most = 0, back = 0, ahead = 0;
    mannequin_rig_init(&rig);
    for (int i = 0; i < 200; i++) {
        struct pose pose;
        double at[3], turn[4], speed[2][3];
        pose_walk(&rig, i / 200.0, &pose);
        const double *knee = pose.local[BONE_LEFT_LEG];
        double bend = 2 * atan2(knee[0], knee[3]) * 57.29578;
        CHECK(bend > 0);
        most = fmax(most, bend);
        pose_find(&pose, BONE_LEFT_UP_LEG, at, turn);
        double thigh = -2 * atan2(turn[0], turn[3]) * 57.29578;
        back = fmin(back, thigh);
        ahead = fmax(ahead, thigh);
        if (i < 22 || i > 72) {
            continue;
        }
        pose_find(&pose, BONE_LEFT_FOOT, speed[0], turn); /* flat: it goes with the floor */
        pose_walk(&rig, (i + 1) / 200.0, &pose);
        pose_find(&pose, BONE_LEFT_FOOT, speed[1], turn);
        CHECK(fabs((speed[0][2] - speed[1][2]) * 200 - 1.27) < 1e-3);
    }
    CHECK(most > 55 && most < 70);
    CHECK(back < -10 && back > -25);
    CHECK(ahead > 18 && ahead < 35);
}

/* -- Reading back, and refusing ---------------------------------------------------------------- */

static const struct aiNode *find_node(const struct aiNode *node, const char *name) {
    const struct aiNode *found = strcmp(node->mName.data, name) == 0 ? node : NULL;
    for (unsigned i = 0; !found && i < node->mNumChildren; i++) {
        found = find_node(node->mChildren[i], name);
    }
    return found;
}

static void importer_finds_everything(void) {
    static const char *const bones[] = {"Hips",         "Spine2",          "HeadTop_End",
                                        "LeftForeArm",  "RightHandThumb4", "LeftHandPinky1",
                                        "RightToeBase", "LeftToe_End"};
    uint8_t *bytes = NULL;
    size_t size = 0;
    CHECK(mannequin_write_glb(NULL, &bytes, &size, NULL) == 0);
    CHECK(assimp_load(NULL) == 0);
    const struct aiScene *scene =
        aiImportFileFromMemory((const char *)bytes, (unsigned)size, 0, "glb");
    CHECK(scene != NULL);
    if (scene) {
        for (size_t i = 0; i < sizeof bones / sizeof *bones; i++) {
            char name[64];
            snprintf(name, sizeof name, "mixamorig:%s", bones[i]);
            CHECK(find_node(scene->mRootNode, name) != NULL);
        }
        CHECK(scene->mNumMeshes == 4 && scene->mMeshes[0]->mNumBones > 0);
        CHECK(scene->mNumTextures == 1 && scene->mTextures[0]->mWidth > 1000);
        CHECK(scene->mNumAnimations == 2);
        CHECK_TEXT(scene->mAnimations[0]->mName.data, "walk");
        CHECK_TEXT(scene->mAnimations[1]->mName.data, "idle");
        CHECK(scene->mAnimations[0]->mNumChannels == JOINTS);
        aiReleaseImport(scene);
    }
    free(bytes);
}

static void bad_options_are_refused(void) {
    static const struct mannequin_options bad[] = {
        {.stature = -1}, {.stature = 30}, {.stature = NAN}, {.detail = 4}, {.detail = -1}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct err err = {0};
        uint8_t *bytes = NULL;
        size_t size;
        CHECK(mannequin_write_glb(&bad[i], &bytes, &size, &err) == ERR_INVALID);
        CHECK(bytes == NULL && err.message[0] != '\0');
    }
}

static void bad_documents_are_refused(void) {
    static const float zeros[16];
    static const uint8_t joints[12];
    static const uint32_t good[3] = {0, 1, 2}, bad[3] = {0, 1, 3};
    const struct glb_material material = {.name = "a \"name\"\n", .image = -1};
    for (int fault = 0; fault < 5; fault++) {
        struct glb_primitive primitive = {
            3, 3, zeros, zeros, zeros, joints, zeros, fault == 1 ? bad : good, fault == 2};
        struct glb_joint joint = {"hips", fault == 3 ? 0 : -1, {0}};
        struct glb_document document = {.name = "n",
                                        .generator = "g",
                                        .primitive_count = fault != 4,
                                        .material_count = 1,
                                        .joint_count = 1,
                                        .primitives = &primitive,
                                        .materials = &material,
                                        .joints = &joint};
        struct err err = {0};
        uint8_t *bytes = NULL;
        size_t size = 0;
        CHECK(glb_write(&document, &bytes, &size, &err) == (fault ? ERR_INVALID : 0));
        CHECK((bytes != NULL) == (fault == 0));
        free(bytes);
    }
}

int main(void) {
    static const struct test tests[] = {
        TEST(same_options_give_the_same_bytes), TEST(chunks_are_well_formed),
        TEST(accessors_fit_their_buffer),       TEST(mesh_is_sound),
        TEST(halves_mirror_each_other),         TEST(stature_is_what_was_asked_for),
        TEST(feet_stay_on_the_floor),           TEST(clips_loop),
        TEST(legs_move_as_in_walking),          TEST(importer_finds_everything),
        TEST(bad_options_are_refused),          TEST(bad_documents_are_refused),
    };
    return RUN(tests);
}
