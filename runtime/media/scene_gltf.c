/* scene_gltf.c - what assimp does not do for glTF: it tells nodes apart by name, so names must be
 * unique before it reads the file; and it does not know VRM, whose list of humanoid bones is the
 * best map of a skeleton there is.
 *
 * Format: the Khronos glTF 2.0 specification (GLB: a header of 12 bytes, then chunks of length,
 * type, bytes); VRM 0.0 and VRMC_vrm 1.0. */
#include <jansson.h>
#include <stdlib.h>

#include "media/scene_parts.h"

enum { GLB_HEADER = 12, GLB_CHUNK_HEADER = 8, GLB_JSON = 0x4e4f534a };

/* -- The GLB container ------------------------------------------------------------------------- */

static uint32_t read_u32(const uint8_t *at) {
    return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

static void write_u32(uint8_t *at, uint32_t value) {
    for (int i = 0; i < 4; i++)
        at[i] = (uint8_t)(value >> (8 * i));
}

/* Where the JSON lies in the file. */
static int find_json(const struct scene_source *source, size_t *from, size_t *size,
                     struct err *err) {
    const char *name = source->name;
    if (strcmp(source->format, "gltf") == 0) {
        *from = 0;
        *size = source->size;
        return 0;
    }
    if (source->size < GLB_HEADER + GLB_CHUNK_HEADER)
        return err_set(err, ERR_CORRUPT, "%s: the file is truncated", name);
    if (read_u32(source->bytes + 4) != 2)
        return err_set(err, ERR_UNSUPPORTED, "%s: glTF version %u; version 2 is read", name,
                       read_u32(source->bytes + 4));
    if (read_u32(source->bytes + 8) > source->size)
        return err_set(err, ERR_CORRUPT, "%s: the file is truncated: %zu of %u bytes", name,
                       source->size, read_u32(source->bytes + 8));
    *size = read_u32(source->bytes + GLB_HEADER);
    *from = GLB_HEADER + GLB_CHUNK_HEADER;
    if (read_u32(source->bytes + GLB_HEADER + 4) != GLB_JSON || *size > source->size - *from)
        return err_set(err, ERR_CORRUPT, "%s: no JSON where GLB has it", name);
    return 0;
}

/* The file with another JSON in place of its own. */
static int replace_json(const struct scene_source *source, size_t from, size_t old_size,
                        const json_t *root, uint8_t **out, size_t *size, struct err *err) {
    size_t length = json_dumpb(root, NULL, 0, JSON_COMPACT), padded = (length + 3) & ~(size_t)3;
    size_t rest = source->size - from - old_size;
    uint8_t *file = length > 0 ? malloc(from + padded + rest + 1) : NULL;
    if (file == NULL)
        return err_set(err, ERR_NO_MEMORY, "%s: no memory to import it", source->name);
    memcpy(file, source->bytes, from);
    json_dumpb(root, (char *)file + from, length, JSON_COMPACT);
    memset(file + from + length, ' ', padded - length);
    memcpy(file + from + padded, source->bytes + from + old_size, rest);
    *size = from + padded + rest;
    if (from > 0) {
        write_u32(file + 8, (uint32_t)*size);
        write_u32(file + GLB_HEADER, (uint32_t)padded);
    }
    *out = file;
    return 0;
}

/* -- Names ------------------------------------------------------------------------------------- */

static void mark_joints(const json_t *skins, bool *joints, size_t count) {
    size_t s, j;
    json_t *skin, *joint;
    json_array_foreach(skins, s, skin) {
        json_array_foreach(json_object_get(skin, "joints"), j, joint) {
            json_int_t node = json_integer_value(joint);
            if (node >= 0 && (size_t)node < count)
                joints[node] = true;
        }
    }
}

/* Names the nodes of one kind; joints go first and keep their names, as meshes are often named
 * after a bone. Returns how many were renamed, or -1 without memory. */
static int name_nodes(json_t *nodes, const bool *is_joint, json_t *taken, bool joints) {
    size_t i;
    json_t *node;
    int renamed = 0;
    json_array_foreach(nodes, i, node) {
        if (!json_is_object(node) || is_joint[i] != joints)
            continue;
        const char *name = json_string_value(json_object_get(node, "name"));
        char made[512];
        if (name == NULL || *name == '\0') {
            snprintf(made, sizeof made, "node %zu", i);
        } else if (json_object_get(taken, name) != NULL) {
            snprintf(made, sizeof made, "%.480s (node %zu)", name, i);
        } else {
            if (json_object_set_new(taken, name, json_true()) != 0)
                return -1;
            continue;
        }
        renamed++;
        if (json_object_set_new(taken, made, json_true()) != 0 ||
            json_object_set_new(node, "name", json_string(made)) != 0)
            return -1;
    }
    return renamed;
}

static int unique_names(json_t *root) {
    json_t *nodes = json_object_get(root, "nodes"), *taken = json_object();
    size_t count = json_array_size(nodes);
    bool *is_joint = calloc(count + 1, sizeof *is_joint);
    int joints = -1, others = -1;
    if (taken != NULL && is_joint != NULL) {
        mark_joints(json_object_get(root, "skins"), is_joint, count);
        joints = name_nodes(nodes, is_joint, taken, true);
    }
    if (joints >= 0)
        others = name_nodes(nodes, is_joint, taken, false);
    free(is_joint);
    json_decref(taken);
    return others < 0 ? -1 : joints + others;
}

/* -- VRM --------------------------------------------------------------------------------------- */

static const char *node_name(const json_t *root, const json_t *index) {
    if (!json_is_integer(index) || json_integer_value(index) < 0)
        return NULL;
    json_t *node =
        json_array_get(json_object_get(root, "nodes"), (size_t)json_integer_value(index));
    return json_string_value(json_object_get(node, "name"));
}

/* VRM 0 calls the thumb's bones one further out than VRM 1, which goes by anatomy. */
static int find_bone(const char *name, int vrm) {
    static const char *const thumbs[][2] = {{"leftThumbProximal", "leftThumbMetacarpal"},
                                            {"rightThumbProximal", "rightThumbMetacarpal"},
                                            {"leftThumbIntermediate", "leftThumbProximal"},
                                            {"rightThumbIntermediate", "rightThumbProximal"}};
    for (size_t i = 0; vrm == 0 && i < sizeof thumbs / sizeof *thumbs; i++)
        if (strcmp(name, thumbs[i][0]) == 0)
            return rig_bone_find(thumbs[i][1]);
    return rig_bone_find(name);
}

static void take_bone(struct scene_source *source, const char *name, const char *node) {
    int bone = name != NULL && node != NULL ? find_bone(name, source->vrm) : -1;
    if (bone < 0)
        return;
    free(source->human[bone]);
    source->human[bone] = strdup(node);
}

static int read_vrm(const json_t *root, struct scene_source *source) {
    json_t *extensions = json_object_get(root, "extensions");
    json_t *vrm0 = json_object_get(extensions, "VRM"),
           *vrm1 = json_object_get(extensions, "VRMC_vrm");
    if (vrm1 == NULL) /* a motion of VRM 1 names bones in the same way */
        vrm1 = json_object_get(extensions, "VRMC_vrm_animation");
    json_t *bones =
        json_object_get(json_object_get(vrm1 != NULL ? vrm1 : vrm0, "humanoid"), "humanBones");
    if (bones == NULL)
        return 0;
    source->vrm = vrm1 != NULL ? 1 : 0;
    source->human = calloc(RIG_BONES, sizeof *source->human);
    if (source->human == NULL)
        return -1;
    const char *key;
    size_t i;
    json_t *bone;
    if (json_is_array(bones)) {
        json_array_foreach(bones, i, bone)
            take_bone(source, json_string_value(json_object_get(bone, "bone")),
                      node_name(root, json_object_get(bone, "node")));
    } else {
        json_object_foreach(bones, key, bone)
            take_bone(source, key, node_name(root, json_object_get(bone, "node")));
    }
    return 0;
}

/* -- What assimp cannot read ------------------------------------------------------------------- */

/* Pictures in WebP stand in an extension; they go where the others are. Returns how many, or -1
 * without memory. */
static int take_webp(json_t *root) {
    size_t i;
    json_t *texture;
    int count = 0;
    json_array_foreach(json_object_get(root, "textures"), i, texture) {
        json_t *webp = json_object_get(json_object_get(texture, "extensions"), "EXT_texture_webp");
        json_t *source = json_object_get(webp, "source");
        if (source == NULL)
            continue;
        count++;
        if (json_object_set(texture, "source", source) != 0)
            return -1;
    }
    return count;
}

static int check_extensions(const json_t *root, const char *name, struct err *err) {
    static const struct {
        const char *extension, *words;
    } unreadable[] = {
        {"KHR_draco_mesh_compression", "its meshes are compressed with Draco"},
        {"EXT_meshopt_compression", "its buffers are compressed with meshoptimizer"},
    };
    size_t i;
    json_t *required;
    json_array_foreach(json_object_get(root, "extensionsRequired"), i, required) {
        const char *extension = json_string_value(required);
        for (size_t k = 0; extension != NULL && k < sizeof unreadable / sizeof *unreadable; k++)
            if (strcmp(extension, unreadable[k].extension) == 0)
                return err_set(err, ERR_UNSUPPORTED, "%s: %s (%s); export it without", name,
                               unreadable[k].words, extension);
    }
    return 0;
}

int scene_gltf_prepare(struct scene_source *source, uint8_t **out, size_t *size, struct err *err) {
    size_t from = 0, old_size = 0;
    *out = NULL;
    int rc = find_json(source, &from, &old_size, err);
    if (rc != 0)
        return rc;
    json_error_t why;
    json_t *root =
        json_loadb((const char *)source->bytes + from, old_size, JSON_DISABLE_EOF_CHECK, &why);
    if (root == NULL)
        return err_set(err, ERR_CORRUPT, "%s: its JSON cannot be read: %s", source->name, why.text);
    rc = check_extensions(root, source->name, err);
    if (rc == 0 && json_array_size(json_object_get(root, "meshes")) == 0 && !source->bare)
        rc = err_set(err, ERR_INVALID, "%s: no mesh in it, so there is nothing to draw",
                     source->name);
    if (rc != 0)
        goto end;
    int renamed = unique_names(root), moved = take_webp(root),
        widened = scene_gltf_dequantise(source, root);
    if (renamed < 0 || moved < 0 || widened < 0 || read_vrm(root, source) != 0) {
        rc = err_set(err, ERR_NO_MEMORY, "%s: no memory to import it", source->name);
        goto end;
    }
    if (renamed == 0 && moved == 0 && widened == 0)
        goto end;
    rc = replace_json(source, from, old_size, root, out, size, err);
end:
    json_decref(root);
    return rc;
}

void scene_gltf_release(struct scene_source *source) {
    for (int i = 0; source->human != NULL && i < RIG_BONES; i++)
        free(source->human[i]);
    free(source->human);
    source->human = NULL;
}
