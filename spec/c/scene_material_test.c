/* What surfaces are: factors and maps of materials, and what they are called. */
#include "mannequin_file.h"
#include "media/scene_parts.h"

/* The mesh of the mannequin's file with its first material replaced. */
static struct scene *read_with(const char *material, struct scene_mesh *mesh) {
    struct file file = file_take();
    struct scene *scene = NULL;
    struct err err = {0};
    size_t size;
    json_t *made = json_loads(material, 0, NULL);
    CHECK(made != NULL);
    json_array_set_new(json_object_get(file.json, "materials"), 0, made);
    uint8_t *bytes = file_join(&file, &size);
    struct scene_source source = {.name = "wood.glb", .bytes = bytes, .size = size, .folder = -1};
    const struct scene_options options = {.rigs = rigs()};
    CHECK(scene_read_source(&source, &options, &scene, mesh, &err) == 0);
    CHECK_TEXT(err.message, "");
    free(bytes);
    return scene;
}

static void end(struct scene *scene, struct scene_mesh *mesh) {
    scene_mesh_deinit(mesh);
    scene_release(scene);
}

static void factors_are_taken(void) {
    struct scene_mesh mesh = {0};
    struct scene *scene = read_with("{\"name\":\"Shirt\",\"emissiveFactor\":[0.5,0,1],"
                                    "\"pbrMetallicRoughness\":{\"metallicFactor\":0.25,"
                                    "\"roughnessFactor\":0.75,"
                                    "\"baseColorFactor\":[0.1,0.2,0.3,1]}}",
                                    &mesh);
    const struct gpu_material *material = &mesh.material_table[mesh.materials[0]];
    CHECK(material->metallic == 0.25f && material->roughness == 0.75f);
    CHECK(fabsf(material->base_color[1] - 0.2f) < 1e-6f && material->texture == -1);
    CHECK(material->emissive[0] == 0.5f && material->emissive[2] == 1);
    CHECK(material->occlusion_strength == 0 && !material->double_sided);
    CHECK(material->cover == GPU_COVER_CLOTHES);
    end(scene, &mesh);
}

static void maps_are_told_by_what_they_hold(void) {
    struct scene_mesh mesh = {0};
    struct scene *scene =
        read_with("{\"name\":\"x\",\"doubleSided\":true,\"normalTexture\":{\"index\":0,"
                  "\"scale\":0.5},\"occlusionTexture\":{\"index\":0,\"strength\":0.7},"
                  "\"pbrMetallicRoughness\":{\"baseColorTexture\":{\"index\":0},"
                  "\"metallicRoughnessTexture\":{\"index\":0}}}",
                  &mesh);
    const struct gpu_material *material = &mesh.material_table[mesh.materials[0]];
    CHECK(material->texture >= 0 && !mesh.textures[material->texture].linear);
    CHECK(material->metal_rough_texture >= 0 &&
          mesh.textures[material->metal_rough_texture].linear);
    CHECK(material->normal_texture == material->metal_rough_texture); /* the same data */
    CHECK(material->normal_scale == 0.5f && fabsf(material->occlusion_strength - 0.7f) < 1e-6f);
    CHECK(material->metallic == 1 && material->roughness == 1 && material->double_sided);
    end(scene, &mesh);
}

static void unlit_and_holes(void) {
    struct scene_mesh mesh = {0};
    struct scene *scene = read_with("{\"name\":\"x\",\"alphaMode\":\"MASK\",\"alphaCutoff\":0.3,"
                                    "\"extensions\":{\"KHR_materials_unlit\":{}}}",
                                    &mesh);
    const struct gpu_material *material = &mesh.material_table[mesh.materials[0]];
    CHECK(material->metallic == 0 && material->roughness == 1);
    CHECK(fabsf(material->alpha_cutoff - 0.3f) < 1e-6f);
    end(scene, &mesh);
}

static void names_tell_what_covers(void) {
    static const struct {
        const char *material, *mesh, *node;
        uint8_t cover;
    } cases[] = {
        {"skin", "Body", "Body", GPU_COVER_SKIN},
        {"Ch31_Sweater", "", "", GPU_COVER_CLOTHES},
        {"Material.001", "Hair_01", "", GPU_COVER_HAIR},
        {"Wolf3D_Outfit_Footwear", "", "", GPU_COVER_SHOES},
        {"Wolf3D_Outfit_Top", "", "", GPU_COVER_CLOTHES},
        {"Wolf3D_Eye", "", "", GPU_COVER_EYES},
        {"Eyelashes", "", "", GPU_COVER_HAIR},
        {"skinny_jeans", "", "", GPU_COVER_CLOTHES},
        {"texture", "Cube.003", "1H_Sword", GPU_COVER_OTHER},
        {"Socks", "", "", GPU_COVER_CLOTHES},
        {"", "", "Knight_Cape", GPU_COVER_CLOTHES},
        {"", "Chat", "Shape", GPU_COVER_UNKNOWN},
        {"", "Body", "", SCENE_COVER_WEAK_SKIN},
        {"N00_000_00_FaceMouth_00_FACE (Instance)", "", "", GPU_COVER_SKIN},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint8_t cover = scene_cover_of(cases[i].material, cases[i].mesh, cases[i].node);
        if (cover != cases[i].cover)
            fprintf(stderr, "%s/%s/%s: %d\n", cases[i].material, cases[i].mesh, cases[i].node,
                    cover);
        CHECK(cover == cases[i].cover);
    }
}

int main(void) {
    static const struct test tests[] = {
        TEST(factors_are_taken),
        TEST(maps_are_told_by_what_they_hold),
        TEST(unlit_and_holes),
        TEST(names_tell_what_covers),
    };
    return RUN(tests);
}
