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

/* -- Quantised ----------------------------------------------------------------------------------
 */

static json_t *accessor_of(const struct file *file, const char *attribute) {
    json_t *mesh = json_array_get(json_object_get(file->json, "meshes"), 0);
    json_t *primitive = json_array_get(json_object_get(mesh, "primitives"), 0);
    json_t *index = json_object_get(json_object_get(primitive, "attributes"), attribute);
    return json_array_get(json_object_get(file->json, "accessors"),
                          (size_t)json_integer_value(index));
}

/* Writes an attribute of `width` floats as whole numbers, each vector where the floats were. */
static void quantise(const struct file *file, const char *attribute, int kind, size_t width) {
    json_t *accessor = accessor_of(file, attribute);
    json_t *view =
        json_array_get(json_object_get(file->json, "bufferViews"),
                       (size_t)json_integer_value(json_object_get(accessor, "bufferView")));
    uint8_t *at = file->binary + 8 + json_integer_value(json_object_get(view, "byteOffset")) +
                  json_integer_value(json_object_get(accessor, "byteOffset"));
    size_t count = (size_t)json_integer_value(json_object_get(accessor, "count"));
    for (size_t i = 0; i < count; i++, at += 4 * width) {
        float values[3] = {0};
        memcpy(values, at, 4 * width);
        for (size_t k = 0; k < width; k++) {
            if (kind == 5120) {
                at[k] = (uint8_t)(int8_t)lrintf(values[k] * 127);
            } else {
                uint16_t word = (uint16_t)lrintf(fminf(1, fmaxf(0, values[k])) * 65535);
                memcpy(at + 2 * k, &word, 2);
            }
        }
    }
    json_object_set_new(view, "byteStride", json_integer(4 * (json_int_t)width));
    json_object_set_new(accessor, "componentType", json_integer(kind));
    json_object_set_new(accessor, "normalized", json_true());
    json_object_del(accessor, "min");
    json_object_del(accessor, "max");
}

static struct scene *read_file(struct file *file, struct scene_mesh *mesh) {
    struct scene *scene = NULL;
    struct err err = {0};
    size_t size;
    uint8_t *bytes = file_join(file, &size);
    struct scene_source source = {.name = "wood.glb", .bytes = bytes, .size = size, .folder = -1};
    const struct scene_options options = {.rigs = rigs()};
    CHECK(scene_read_source(&source, &options, &scene, mesh, &err) == 0);
    CHECK_TEXT(err.message, "");
    free(bytes);
    return scene;
}

static void whole_numbers_are_vertices_too(void) {
    struct file plain = file_take(), small = file_take();
    struct scene_mesh a = {0}, b = {0};
    float worst[2] = {0};
    quantise(&small, "NORMAL", 5120, 3);
    quantise(&small, "TEXCOORD_0", 5123, 2);
    json_object_set_new(small.json, "extensionsRequired",
                        json_pack("[s]", "KHR_mesh_quantization"));
    struct scene *one = read_file(&plain, &a), *other = read_file(&small, &b);
    /* By triangle: what became equal is one vertex now. */
    CHECK(a.triangle_count == b.triangle_count && a.triangle_count > 0);
    for (size_t i = 0; i < 3 * (size_t)a.triangle_count && a.triangle_count == b.triangle_count;
         i++) {
        const struct scene_vertex *u = &a.vertices[a.indices[i]], *v = &b.vertices[b.indices[i]];
        for (int k = 0; k < 3; k++)
            worst[0] = fmaxf(worst[0], fabsf(u->normal[k] - v->normal[k]));
        for (int k = 0; k < 2; k++)
            if (u->uv[k] >= 0 && u->uv[k] <= 1)
                worst[1] = fmaxf(worst[1], fabsf(u->uv[k] - v->uv[k]));
        CHECK(u->position[0] == v->position[0]);
    }
    CHECK(worst[0] > 0 && worst[0] < 0.01f);
    CHECK(worst[1] < 0.0001f);
    end(one, &a);
    end(other, &b);
}

int main(void) {
    static const struct test tests[] = {
        TEST(factors_are_taken),      TEST(maps_are_told_by_what_they_hold), TEST(unlit_and_holes),
        TEST(names_tell_what_covers), TEST(whole_numbers_are_vertices_too),
    };
    return RUN(tests);
}
