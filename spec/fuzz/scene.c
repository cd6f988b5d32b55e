/* Characters: any bytes are a body that can be posed, or an error. In this process, though the
 * product reads each file in one of its own: see what falls, and whose code it was (an importer's
 * own faults fail that character alone). The first byte says what the file is called. */
#include <string.h>

#include "core/err.h"
#include "fuzz.h"
#include "media/mannequin.h"
#include "media/scene.h"

enum { FILE_MAX = 1 << 20 };

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    static const char *const names[] = {"a.glb", "a.gltf", "a.fbx", "a.vrm"};
    struct scene *scene = NULL;
    struct err err = {0};
    if (size == 0 || size > FILE_MAX)
        return 0;
    int code = scene_open_bytes(bytes + 1, size - 1, names[bytes[0] & 3], NULL, &scene, &err);
    FUZZ_CHECK(code == 0 || (err.message[0] != 0 && scene == NULL));
    if (code != 0)
        return 0;
    float *palette = malloc(scene_joint_count(scene) * 12 * sizeof *palette), box[6];
    for (int clip = SCENE_REST; clip < (int)scene_clip_count(scene) && clip < 3; clip++) {
        scene_pose(scene, clip, 0.3, palette);
        FUZZ_CHECK(scene_box(scene, clip, box, &err) == 0);
    }
    free(palette);
    scene_release(scene);
    return 0;
}

/* The mannequin's GLB, its JSON alone, and the least files of their kinds. */
void fuzz_seeds(void (*add)(const void *bytes, size_t size)) {
    const struct mannequin_options options = {.detail = 1};
    uint8_t *glb;
    size_t size;
    FUZZ_CHECK(mannequin_write_glb(&options, &glb, &size, NULL) == 0);
    uint8_t *file = malloc(size + 1);
    file[0] = 0;
    memcpy(file + 1, glb, size);
    add("\1{\"asset\":", 10); /* refused before the importer is loaded */
    add(file, size + 1);
    size_t json = glb[12] | (size_t)glb[13] << 8 | (size_t)glb[14] << 16;
    file[0] = 1;
    memcpy(file + 1, glb + 20, json);
    add(file, json + 1);
    static const char gltf[] =
        "\1{\"asset\":{\"version\":\"2.0\"},\"scene\":0,\"scenes\":[{\"nodes\":[0]}],"
        "\"nodes\":[{\"name\":\"Hips\"}]}";
    static const char fbx[] =
        "\2; FBX 7.4.0 project file\nFBXHeaderExtension:  {\n\tFBXVersion: 7400\n}\n"
        "Objects:  {\n\tModel: 1, \"Model::Hips\", \"LimbNode\" {\n\t}\n}\n";
    static const char binary_fbx[] = "\2Kaydara FBX Binary  \0\x1a\0\xe8\x1c\0\0";
    add(gltf, sizeof gltf - 1);
    add(fbx, sizeof fbx - 1);
    add(binary_fbx, sizeof binary_fbx - 1);
    free(file);
    free(glb);
}
