/* scene_pack.c - one walk over a body serves both directions, so that they cannot differ. */
#include "media/scene_pack.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "media/image.h"

enum {
    TEXT_MAX = 4096,
    TEXTURES_MAX = 4096,
    /* Changes with what travels whole. */
    SCENE_PACK_LAYOUT = sizeof(struct scene) + 3 * sizeof(struct scene_vertex) +
                        5 * sizeof(struct scene_joint) + 7 * sizeof(struct gpu_material) +
                        11 * sizeof(struct gpu_anchor),
};

struct pack {
    bool receiving;
    scene_pack_move *move;
    void *arg;
    size_t left; /* bytes that may still be taken */
    int rc;      /* of the first failure; nothing moves after it */
    struct err *err;
};

static void refuse(struct pack *pack, const char *what) {
    if (pack->rc == 0)
        pack->rc =
            err_set(pack->err, ERR_UPSTREAM, "the importing process sent no body (%s)", what);
}

/* -- Pieces ------------------------------------------------------------------------------------ */

static void pack_bytes(struct pack *pack, void *at, size_t size) {
    if (pack->rc == 0 && size > 0)
        pack->rc = pack->move(pack->arg, at, size, pack->err);
}

/* Room for an array, where it arrives: zeros. What holds pointers gets no more than that at once.
 */
static void *pack_room(struct pack *pack, void *array, size_t count, size_t size) {
    if (!pack->receiving)
        return array;
    if (pack->rc != 0)
        return NULL;
    if (count > pack->left / size) {
        pack->rc = err_set(pack->err, ERR_TOO_LARGE, "the body takes too much memory");
        return NULL;
    }
    pack->left -= count * size;
    array = calloc(count > 0 ? count : 1, size);
    if (array == NULL)
        pack->rc = err_set(pack->err, ERR_NO_MEMORY, "no memory for the body");
    return array;
}

static void *pack_array(struct pack *pack, void *array, size_t count, size_t size) {
    array = pack_room(pack, array, count, size);
    pack_bytes(pack, array, count * size);
    return array;
}

/* For arrays whose elements own things: without room there are none to free. */
#define PACK_ROOM(pack, pointer, count)                                                            \
    do {                                                                                           \
        (pointer) = pack_room(pack, (pointer), count, sizeof *(pointer));                          \
        (count) = (pointer) != NULL ? (count) : 0;                                                 \
    } while (0)
#define PACK_ARRAY(pack, pointer, count)                                                           \
    ((pointer) = pack_array(pack, (void *)(uintptr_t)(pointer), count, sizeof *(pointer)))
#define PACK_FIELD(pack, field) pack_bytes(pack, &(field), sizeof(field))

static void pack_count(struct pack *pack, uint32_t *count, uint32_t most, const char *what) {
    PACK_FIELD(pack, *count);
    if (pack->receiving && (pack->rc != 0 || *count > most)) {
        refuse(pack, what);
        *count = 0;
    }
}

/* NULL travels as NULL. */
static char *pack_text(struct pack *pack, const char *text) {
    uint32_t size = text != NULL && !pack->receiving ? (uint32_t)strlen(text) + 1 : 0;
    pack_count(pack, &size, TEXT_MAX, "a text is too long");
    char *out = size > 0 ? pack_array(pack, (void *)(uintptr_t)text, size, 1) : NULL;
    if (pack->receiving && out != NULL)
        out[size - 1] = 0;
    return out;
}

/* Any byte but 0 is true: a bool in memory may hold no other than 0 and 1. */
static void pack_flag(struct pack *pack, bool *flag) {
    uint8_t byte = pack->receiving ? 0 : (uint8_t)*flag;
    PACK_FIELD(pack, byte);
    *flag = byte != 0;
}

/* -- The walk ---------------------------------------------------------------------------------- */

static void pack_joint(struct pack *pack, struct scene_joint *joint) {
    joint->name = pack_text(pack, joint->name);
    PACK_FIELD(pack, joint->parent);
    PACK_FIELD(pack, joint->node);
    PACK_FIELD(pack, joint->rest);
    PACK_FIELD(pack, joint->bind);
    PACK_FIELD(pack, joint->from_bind);
    pack_flag(pack, &joint->holder);
    pack_flag(pack, &joint->rigid);
}

static void pack_keys(struct pack *pack, struct scene_keys *keys, size_t width) {
    pack_count(pack, &keys->count, SCENE_MAX_KEYS, "too many keys");
    if (keys->count == 0)
        return;
    PACK_ARRAY(pack, keys->times, keys->count);
    keys->values = pack_array(pack, keys->values, keys->count, width * sizeof *keys->values);
}

static void pack_clip(struct pack *pack, struct scene_clip *clip) {
    clip->name = pack_text(pack, clip->name);
    PACK_FIELD(pack, clip->seconds);
    PACK_FIELD(pack, clip->rate);
    pack_count(pack, &clip->track_count, SCENE_MAX_NODES, "too many tracks");
    PACK_ROOM(pack, clip->tracks, clip->track_count);
    for (uint32_t i = 0; i < clip->track_count && pack->rc == 0; i++) {
        struct scene_track *track = &clip->tracks[i];
        PACK_FIELD(pack, track->joint);
        pack_keys(pack, &track->position, 3);
        pack_keys(pack, &track->rotation, 4);
        pack_keys(pack, &track->scale, 3);
    }
    pack_count(pack, &clip->morph_track_count, SCENE_MAX_MORPHS, "too many morph tracks");
    PACK_ROOM(pack, clip->morph_tracks, clip->morph_track_count);
    for (uint32_t i = 0; i < clip->morph_track_count && pack->rc == 0; i++) {
        PACK_FIELD(pack, clip->morph_tracks[i].morph);
        pack_keys(pack, &clip->morph_tracks[i].keys, 1);
    }
}

static void pack_report(struct pack *pack, struct scene_report *report) {
    PACK_FIELD(pack, report->format);
    PACK_FIELD(pack, report->rig);
    PACK_FIELD(pack, report->bones);
    PACK_FIELD(pack, report->file_stature);
    PACK_FIELD(pack, report->stature);
    PACK_FIELD(pack, report->scale);
    pack_flag(pack, &report->turned);
    PACK_FIELD(pack, report->lifted);
    PACK_FIELD(pack, report->landmarks);
    PACK_FIELD(pack, report->textures);
    pack_count(pack, &report->warning_count, SCENE_MAX_WARNINGS, "too many warnings");
    for (uint32_t i = 0; i < report->warning_count; i++)
        report->warnings[i] = pack_text(pack, report->warnings[i]);
}

static void pack_scene(struct pack *pack, struct scene *scene) {
    scene->name = pack_text(pack, scene->name);
    PACK_FIELD(pack, scene->node_count);
    pack_count(pack, &scene->joint_count, UINT16_MAX, "too many joints");
    PACK_ROOM(pack, scene->joints, scene->joint_count);
    for (uint32_t i = 0; i < scene->joint_count && pack->rc == 0; i++)
        pack_joint(pack, &scene->joints[i]);
    pack_count(pack, &scene->clip_count, SCENE_MAX_CLIPS, "too many clips");
    PACK_ROOM(pack, scene->clips, scene->clip_count);
    for (uint32_t i = 0; i < scene->clip_count && pack->rc == 0; i++)
        pack_clip(pack, &scene->clips[i]);
    pack_count(pack, &scene->morph_count, SCENE_MAX_MORPHS, "too many morph targets");
    PACK_ROOM(pack, scene->morphs, scene->morph_count);
    for (uint32_t i = 0; i < scene->morph_count && pack->rc == 0; i++) {
        scene->morphs[i].name = pack_text(pack, scene->morphs[i].name);
        PACK_FIELD(pack, scene->morphs[i].rest);
    }
    PACK_FIELD(pack, scene->world_from_file);
    PACK_FIELD(pack, scene->rest_from_file);
    PACK_FIELD(pack, scene->anchors);
    for (int i = 0; i < SCENE_POINTS; i++)
        pack_flag(pack, &scene->known[i]);
    PACK_FIELD(pack, scene->rig.joint);
    PACK_FIELD(pack, scene->rig.how);
    PACK_FIELD(pack, scene->rig.name);
    pack_report(pack, &scene->report);
}

static void pack_texture(struct pack *pack, struct gpu_texture *texture) {
    PACK_FIELD(pack, texture->width);
    PACK_FIELD(pack, texture->height);
    pack_flag(pack, &texture->linear);
    if (pack->receiving && (texture->width > IMAGE_MAX_SIDE || texture->height > IMAGE_MAX_SIDE))
        refuse(pack, "a picture is too large");
    texture->rgba = pack_array(pack, (void *)(uintptr_t)texture->rgba,
                               (size_t)texture->width * texture->height, 4);
}

static void pack_material(struct pack *pack, struct gpu_material *material) {
    PACK_FIELD(pack, material->base_color);
    PACK_FIELD(pack, material->texture);
    PACK_FIELD(pack, material->alpha_cutoff);
    pack_flag(pack, &material->double_sided);
    PACK_FIELD(pack, material->emissive);
    PACK_FIELD(pack, material->metallic);
    PACK_FIELD(pack, material->roughness);
    PACK_FIELD(pack, material->normal_scale);
    PACK_FIELD(pack, material->occlusion_strength);
    PACK_FIELD(pack, material->metal_rough_texture);
    PACK_FIELD(pack, material->normal_texture);
    PACK_FIELD(pack, material->emissive_texture);
    uint32_t cover = material->cover;
    pack_count(pack, &cover, GPU_COVER_OTHER, "an unknown cover");
    material->cover = (enum gpu_cover)cover;
}

static void pack_deltas(struct pack *pack, struct scene_deltas *deltas) {
    pack_count(pack, &deltas->count, SCENE_MAX_VERTICES, "too large a morph target");
    PACK_ARRAY(pack, deltas->vertices, deltas->count);
    PACK_ARRAY(pack, deltas->values, deltas->count);
}

/* And what the scene keeps of its triangles. */
static void pack_mesh(struct pack *pack, struct scene *scene, struct scene_mesh *mesh) {
    pack_count(pack, &mesh->vertex_count, SCENE_MAX_VERTICES, "too many vertices");
    pack_count(pack, &mesh->triangle_count, SCENE_MAX_TRIANGLES, "too many triangles");
    PACK_ARRAY(pack, mesh->vertices, mesh->vertex_count);
    PACK_ARRAY(pack, mesh->indices, 3 * (size_t)mesh->triangle_count);
    PACK_ARRAY(pack, mesh->materials, mesh->triangle_count);
    PACK_ARRAY(pack, mesh->covers, mesh->triangle_count);
    PACK_ARRAY(pack, scene->parts, mesh->triangle_count);
    pack_count(pack, &mesh->material_count, UINT16_MAX, "too many materials");
    PACK_ROOM(pack, mesh->material_table, mesh->material_count);
    for (uint32_t i = 0; i < mesh->material_count && pack->rc == 0; i++)
        pack_material(pack, &mesh->material_table[i]);
    pack_count(pack, &mesh->texture_count, TEXTURES_MAX, "too many pictures");
    PACK_ROOM(pack, mesh->textures, mesh->texture_count);
    for (uint32_t i = 0; i < mesh->texture_count && pack->rc == 0; i++)
        pack_texture(pack, &mesh->textures[i]);
    pack_count(pack, &mesh->morph_count, SCENE_MAX_MORPHS, "too many morph targets");
    PACK_ROOM(pack, mesh->morphs, mesh->morph_count);
    for (uint32_t i = 0; i < mesh->morph_count && pack->rc == 0; i++)
        pack_deltas(pack, &mesh->morphs[i]);
}

static void pack_body(struct pack *pack, struct scene *scene, struct scene_mesh *mesh) {
    uint32_t layout = SCENE_PACK_LAYOUT;
    PACK_FIELD(pack, layout);
    if (layout != SCENE_PACK_LAYOUT)
        refuse(pack, "it is another version of this program");
    pack_scene(pack, scene);
    pack_mesh(pack, scene, mesh);
}

/* -- What must hold ---------------------------------------------------------------------------- */

static bool is_name(const char *text, size_t size) {
    return memchr(text, 0, size) != NULL;
}

static bool is_skeleton(const struct scene *scene) {
    uint32_t nodes = scene->node_count;
    if (nodes == 0 || nodes > SCENE_MAX_NODES || nodes > scene->joint_count)
        return false;
    for (uint32_t i = 0; i < scene->joint_count; i++) {
        const struct scene_joint *joint = &scene->joints[i];
        bool own = i < nodes;
        if (joint->name == NULL || joint->parent < -1 || joint->parent >= (int)nodes ||
            (own && joint->parent >= (int)i) || joint->node < 0 || joint->node >= (int)nodes ||
            (own && joint->node != (int)i))
            return false;
    }
    for (int i = 0; i < RIG_BONES; i++)
        if (scene->rig.joint[i] < -1 || scene->rig.joint[i] >= (int)nodes ||
            scene->rig.how[i] > RIG_BY_SHAPE)
            return false;
    return is_name(scene->rig.name, sizeof scene->rig.name);
}

static bool are_times(const struct scene_keys *keys) {
    for (uint32_t i = 0; i < keys->count; i++)
        if (!isfinite(keys->times[i]) || (i > 0 && keys->times[i] < keys->times[i - 1]))
            return false;
    return true;
}

static bool is_clip(const struct scene_clip *clip, uint32_t nodes, uint32_t morphs) {
    if (clip->name == NULL || !(clip->seconds >= 0 && clip->seconds < 1e9) ||
        !(clip->rate >= 1 && clip->rate <= 120))
        return false;
    for (uint32_t i = 0; i < clip->track_count; i++) {
        const struct scene_track *track = &clip->tracks[i];
        if (track->joint >= nodes || (i > 0 && track->joint <= clip->tracks[i - 1].joint) ||
            !are_times(&track->position) || !are_times(&track->rotation) ||
            !are_times(&track->scale))
            return false;
    }
    for (uint32_t i = 0; i < clip->morph_track_count; i++)
        if (clip->morph_tracks[i].morph >= morphs || !are_times(&clip->morph_tracks[i].keys))
            return false;
    return true;
}

static bool is_report(const struct scene_report *report) {
    for (uint32_t i = 0; i < report->warning_count; i++)
        if (report->warnings[i] == NULL)
            return false;
    return is_name(report->format, sizeof report->format) &&
           is_name(report->rig, sizeof report->rig) && report->bones <= RIG_BONES &&
           report->landmarks <= SCENE_LANDMARKS && report->stature > 0 &&
           isfinite(report->stature) && isfinite(report->file_stature) && isfinite(report->scale) &&
           isfinite(report->lifted);
}

static bool is_body(const struct scene *scene, const struct scene_mesh *mesh) {
    if (scene->name == NULL || scene->morph_count != mesh->morph_count || !is_skeleton(scene) ||
        !is_report(&scene->report))
        return false;
    for (uint32_t i = 0; i < scene->clip_count; i++)
        if (!is_clip(&scene->clips[i], scene->node_count, scene->morph_count))
            return false;
    for (uint32_t i = 0; i < scene->morph_count; i++)
        if (scene->morphs[i].name == NULL)
            return false;
    for (uint32_t i = 0; i < mesh->triangle_count; i++)
        if (scene->parts[i] >= SCENE_BODY_PARTS || mesh->covers[i] > GPU_COVER_OTHER)
            return false;
    for (int i = 0; i < SCENE_POINTS; i++)
        for (int k = 0; k < 4; k++)
            if (scene->anchors[i].joint[k] >= scene->joint_count)
                return false;
    return true;
}

/* -- Both ways --------------------------------------------------------------------------------- */

int scene_pack_send(const struct scene *scene, const struct scene_mesh *mesh, scene_pack_move *move,
                    void *arg, struct err *err) {
    struct pack pack = {.move = move, .arg = arg, .err = err};
    /* Sending only reads: the pointers that it would replace stay as they are. */
    pack_body(&pack, (struct scene *)(uintptr_t)scene, (struct scene_mesh *)(uintptr_t)mesh);
    return pack.rc;
}

int scene_pack_receive(struct scene *scene, struct scene_mesh *mesh, size_t most,
                       scene_pack_move *move, void *arg, struct err *err) {
    struct pack pack = {.receiving = true, .move = move, .arg = arg, .left = most, .err = err};
    pack_body(&pack, scene, mesh);
    if (pack.rc == 0 && !is_body(scene, mesh))
        refuse(&pack, "its numbers do not fit together");
    return pack.rc;
}
