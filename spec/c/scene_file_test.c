/* What scenes take from files besides the body: textures and colours; and files that are damaged or
 * no bodies. */
#include "mannequin_file.h"
#include "scratch.h"

/* -- Textures ---------------------------------------------------------------------------------- */

static void write_file(const char *path, const void *bytes, size_t size) {
    FILE *out = fopen(path, "wb");
    CHECK(out != NULL && fwrite(bytes, 1, size, out) == size && fclose(out) == 0);
}

/* The mannequin in a folder, with its first picture taken out and referred to by `uri`. */
static struct scene *open_with_uri(const char *folder, const char *uri, const char *png_path) {
    struct file file = file_take();
    json_t *image = json_array_get(json_object_get(file.json, "images"), 0);
    json_t *view = json_array_get(json_object_get(file.json, "bufferViews"),
                                  (size_t)json_integer_value(json_object_get(image, "bufferView")));
    char path[400];
    struct scene *scene = NULL;
    struct err err = {0};
    size_t size;
    write_file(png_path, file.binary + 8 + json_integer_value(json_object_get(view, "byteOffset")),
               (size_t)json_integer_value(json_object_get(view, "byteLength")));
    json_object_clear(image);
    json_object_set_new(image, "uri", json_string(uri));
    uint8_t *bytes = file_join(&file, &size);
    snprintf(path, sizeof path, "%s/wood.glb", folder);
    write_file(path, bytes, size);
    free(bytes);
    CHECK(scene_open(path, &(struct scene_options){.rigs = rigs()}, &scene, &err) == 0);
    CHECK_TEXT(err.message, "");
    return scene;
}

static void textures_come_from_the_folder_only(void) {
    const char *root = scratch("textures");
    char inner[300], inside[320], outside[320];
    snprintf(inner, sizeof inner, "%s/body", root);
    snprintf(inside, sizeof inside, "%s/my skin.png", inner);
    snprintf(outside, sizeof outside, "%s/secret.png", root);
    mkdir(root, 0700);
    mkdir(inner, 0700);
    struct scene *plain = open_plain();
    uint32_t all = scene_report(plain)->textures;
    scene_release(plain);
    struct scene *scene = open_with_uri(inner, "my%20skin.png", inside);
    CHECK(scene_report(scene)->textures == all && !warned(scene, "missing"));
    scene_release(scene);
    scene = open_with_uri(inner, "../secret.png", outside);
    CHECK(scene_report(scene)->textures == all - 1 && warned(scene, "secret.png is missing"));
    scene_release(scene);
    scene = open_with_uri(inner, outside, outside);
    CHECK(scene_report(scene)->textures == all - 1 && warned(scene, "missing"));
    scene_release(scene);
}

/* Before anything has loaded the importer; first in the list for that. */
static void the_first_file_may_be_bad(void) {
    struct scene *scene = NULL;
    struct err err = {0};
    CHECK(scene_open_bytes("{\"asset\":", 9, "cut.gltf", NULL, &scene, &err) == ERR_CORRUPT);
    CHECK(scene == NULL);
}

/* -- Colours ----------------------------------------------------------------------------------- */

/* The mean colour of the body, seen from the front. */
static void mean_color(const struct scene *scene, double *red, double *blue) {
    enum { SIDE = 64 };
    static uint8_t rgb[SIDE * SIDE * 3];
    static float coverage[SIDE * SIDE];
    char why[GPU_WHY_SIZE] = "";
    struct gpu_renderer *renderer;
    struct gpu_view view = {.frame = 0};
    struct gpu_lighting lighting;
    float *palette = malloc(12 * sizeof *palette * scene_joint_count(scene));
    gpu_camera_look_at(&view.camera, (float[]){0, 1, 4}, (float[]){0, 0.9f, 0}, 0.6f, SIDE, SIDE);
    scene_pose(scene, SCENE_REST, 0, palette);
    struct gpu_actor actor = {.scene = scene_gpu(scene), .pose = palette};
    struct gpu_frame frame = {.actor_count = 1, .actors = &actor, .lighting = &lighting};
    struct gpu_batch batch = {
        .view_count = 1, .frame_count = 1, .views = &view, .frames = &frame, .samples = 1};
    struct gpu_image image = {.rgb = rgb, .coverage = coverage};
    gpu_lighting_default(&lighting);
    CHECK(gpu_renderer_new("cpu", &renderer, why) == 0);
    CHECK(gpu_render(renderer, &batch, &image, NULL, why) == 0);
    for (int i = 0; i < SIDE * SIDE; i++) {
        *red += coverage[i] > 0.5f ? rgb[3 * i] : 0;
        *blue += coverage[i] > 0.5f ? rgb[3 * i + 2] : 0;
    }
    gpu_renderer_free(renderer);
    free(palette);
}

static void colors_of_vertices_are_taken(void) {
    struct file file = file_take();
    json_t *mesh = json_array_get(json_object_get(file.json, "meshes"), 0), *primitive;
    size_t i;
    /* Normals make colours of all kinds. */
    json_array_foreach(json_object_get(mesh, "primitives"), i, primitive) {
        json_t *attributes = json_object_get(primitive, "attributes");
        json_object_set(attributes, "COLOR_0", json_object_get(attributes, "NORMAL"));
    }
    struct scene *scene;
    struct err err = {0};
    CHECK(file_open(&file, NULL, &scene, &err) == 0);
    CHECK_TEXT(err.message, "");
    if (scene == NULL)
        return;
    double red = 0, blue = 0;
    mean_color(scene, &red, &blue);
    CHECK(blue > 1.2 * red); /* what looks at +z is blue, and wood is red; gloss is white */
    scene_release(scene);
}

/* -- What is no body --------------------------------------------------------------------------- */

static void check_refused(const void *bytes, size_t size, const char *name, int code,
                          const char *words) {
    struct scene *scene = NULL;
    struct err err = {0};
    int rc = scene_open_bytes(bytes, size, name, NULL, &scene, &err);
    CHECK(rc == code && scene == NULL);
    CHECK(strncmp(err.message, name, strlen(name)) == 0);
    if (strstr(err.message, words) == NULL)
        CHECK_TEXT(err.message, words);
    scene_release(scene);
}

static void foreign_files_are_refused(void) {
    static const char triangle[] =
        "{\"asset\":{\"version\":\"2.0\"},\"scenes\":[{\"nodes\":[0]}],\"scene\":0,\"nodes\":[{"
        "\"mesh\":0}],"
        "\"meshes\":[{\"primitives\":[{\"attributes\":{\"POSITION\":0}}]}],"
        "\"accessors\":[{\"bufferView\":0,\"componentType\":5126,\"count\":3,\"type\":\"VEC3\","
        "\"min\":[0,0,0],\"max\":[1,1,0]}],\"bufferViews\":[{\"buffer\":0,\"byteLength\":36}],"
        "\"buffers\":[{\"byteLength\":36,\"uri\":\"data:application/octet-stream;base64,"
        "AAAAAAAAAAAAAAAAAACAPwAAAAAAAAAAAAAAAAAAgD8AAAAA\"}]}";
    static const char draco[] = "{\"asset\":{\"version\":\"2.0\"},\"extensionsRequired\":"
                                "[\"KHR_draco_mesh_compression\"]}";
    static const char empty[] = "{\"asset\":{\"version\":\"2.0\"}}",
                      cut[] = "{\"asset\":{\"version\":";
    check_refused("", 0, "nothing.glb", ERR_CORRUPT, "empty");
    check_refused("hello", 5, "text.fbx", ERR_UNSUPPORTED, "not FBX, glTF, GLB or VRM");
    check_refused("HIERARCHY\nROOT hip", 18, "walk.bvh", ERR_UNSUPPORTED, "motion");
    check_refused("Kaydara FBX Binary  \0\x1a\0", 23, "cut.fbx", ERR_CORRUPT,
                  "damaged or truncated");
    check_refused("glTF\1\0\0\0\40\0\0\0\0\0\0\0JSON", 20, "old.glb", ERR_UNSUPPORTED, "version 1");
    check_refused("glTF\2\0\0\0\377\0\0\0\0\0\0\0JSON", 20, "cut.glb", ERR_CORRUPT, "truncated");
    check_refused(draco, sizeof draco - 1, "draco.gltf", ERR_UNSUPPORTED, "Draco");
    check_refused(cut, sizeof cut - 1, "cut.gltf", ERR_CORRUPT, "JSON");
    check_refused(empty, sizeof empty - 1, "empty.gltf", ERR_INVALID, "no mesh");
    check_refused(triangle, sizeof triangle - 1, "triangle.gltf", ERR_INVALID, "no human skeleton");
}

static void damaged_numbers_are_refused(void) {
    struct file file = file_take();
    json_t *mesh = json_array_get(json_object_get(file.json, "meshes"), 0);
    json_t *attributes =
        json_object_get(json_array_get(json_object_get(mesh, "primitives"), 0), "attributes");
    json_t *accessor =
        json_array_get(json_object_get(file.json, "accessors"),
                       (size_t)json_integer_value(json_object_get(attributes, "POSITION")));
    json_t *view =
        json_array_get(json_object_get(file.json, "bufferViews"),
                       (size_t)json_integer_value(json_object_get(accessor, "bufferView")));
    size_t from = 8 + (size_t)json_integer_value(json_object_get(view, "byteOffset")) +
                  (size_t)json_integer_value(json_object_get(accessor, "byteOffset"));
    memset(file.binary + from, 0xff, 12);
    struct scene *scene;
    struct err err = {0};
    CHECK(file_open(&file, NULL, &scene, &err) == ERR_CORRUPT);
    CHECK(strstr(err.message, "not a finite point") != NULL);
}

static void paths_that_are_no_files_are_refused(void) {
    struct scene *scene = NULL;
    struct err err = {0};
    CHECK(scene_open(scratch("nobody.fbx"), NULL, &scene, &err) == ERR_NOT_FOUND);
    CHECK(scene_open("/", NULL, &scene, &err) < 0);
    const char *folder = scratch("folder.glb");
    mkdir(folder, 0700);
    CHECK(scene_open(folder, NULL, &scene, &err) == ERR_INVALID);
    CHECK_TEXT(err.message, "folder.glb: not a file");
}

static void truncated_files_never_crash(void) {
    struct file file = file_take();
    size_t size;
    uint8_t *bytes = file_join(&file, &size);
    for (int i = 1; i < 12; i++) {
        struct scene *scene = NULL;
        struct err err = {0};
        CHECK(scene_open_bytes(bytes, size * (size_t)i / 12, "cut.glb", NULL, &scene, &err) < 0);
        CHECK(err.message[0] != '\0');
    }
    free(bytes);
}

int main(void) {
    static const struct test tests[] = {
        TEST(the_first_file_may_be_bad),    TEST(textures_come_from_the_folder_only),
        TEST(colors_of_vertices_are_taken), TEST(foreign_files_are_refused),
        TEST(damaged_numbers_are_refused),  TEST(paths_that_are_no_files_are_refused),
        TEST(truncated_files_never_crash),
    };
    return RUN(tests);
}
