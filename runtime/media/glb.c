/* glb.c - see glb.h. The JSON is written while the binary chunk grows: each array becomes one
 * buffer view and one accessor, in the order in which the JSON that follows refers to them. */
#include "media/glb.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/err.h"

enum {
    GL_UNSIGNED_BYTE = 5121,
    GL_UNSIGNED_INT = 5125,
    GL_FLOAT = 5126,
    GL_ARRAY_BUFFER = 34962,
    GL_ELEMENT_ARRAY_BUFFER = 34963,
    GL_REPEAT = 10497,
    GL_LINEAR = 9729,
    GL_LINEAR_MIPMAP_LINEAR = 9987,
};

/* What an accessor says of its array. */
struct layout {
    const char *type; /* "VEC3", ... */
    int component, components, target;
    bool bounds; /* min and max, which the format asks for of positions and times */
};

static const struct layout LAYOUT_POSITION = {"VEC3", GL_FLOAT, 3, GL_ARRAY_BUFFER, true};
static const struct layout LAYOUT_NORMAL = {"VEC3", GL_FLOAT, 3, GL_ARRAY_BUFFER, false};
static const struct layout LAYOUT_UV = {"VEC2", GL_FLOAT, 2, GL_ARRAY_BUFFER, false};
static const struct layout LAYOUT_JOINTS = {"VEC4", GL_UNSIGNED_BYTE, 4, GL_ARRAY_BUFFER, false};
static const struct layout LAYOUT_WEIGHTS = {"VEC4", GL_FLOAT, 4, GL_ARRAY_BUFFER, false};
static const struct layout LAYOUT_INDICES = {"SCALAR", GL_UNSIGNED_INT, 1, GL_ELEMENT_ARRAY_BUFFER,
                                             false};
static const struct layout LAYOUT_BIND = {"MAT4", GL_FLOAT, 16, 0, false};
static const struct layout LAYOUT_TIMES = {"SCALAR", GL_FLOAT, 1, 0, true};
static const struct layout LAYOUT_ROTATIONS = {"VEC4", GL_FLOAT, 4, 0, false};
static const struct layout LAYOUT_TRANSLATIONS = {"VEC3", GL_FLOAT, 3, 0, false};

struct writer {
    const struct glb_document *document;
    FILE *json, *views, *accessors;
    char *json_text, *views_text, *accessors_text;
    size_t json_size, views_size, accessors_size;
    uint32_t view_count, accessor_count;
    uint8_t *binary;
    size_t binary_size, binary_room;
    bool failed;
};

/* -- The binary chunk -------------------------------------------------------------------------- */

/* Adds bytes as one buffer view, aligned to 4. Returns its index. */
static uint32_t writer_add_view(struct writer *w, const void *bytes, size_t size, int target) {
    size_t offset = w->binary_size, end = offset + size, padded = (end + 3) & ~(size_t)3;
    if (padded > w->binary_room) {
        size_t room = padded + padded / 2;
        uint8_t *grown = realloc(w->binary, room);
        if (!grown) {
            w->failed = true;
            return 0;
        }
        w->binary = grown;
        w->binary_room = room;
    }
    memcpy(w->binary + offset, bytes, size);
    memset(w->binary + end, 0, padded - end);
    w->binary_size = padded;
    fprintf(w->views, "%s{\"buffer\":0,\"byteOffset\":%zu,\"byteLength\":%zu",
            w->view_count ? "," : "", offset, size);
    if (target)
        fprintf(w->views, ",\"target\":%d", target);
    fputc('}', w->views);
    return w->view_count++;
}

/* A number as JSON wants it, whatever the process's locale. */
static void print_number(FILE *file, float value) {
    char text[32];
    snprintf(text, sizeof text, "%.9g", (double)value);
    char *comma = strchr(text, ',');
    if (comma)
        *comma = '.';
    fputs(text, file);
}

static void print_numbers(FILE *file, const float *values, int count) {
    fputc('[', file);
    for (int i = 0; i < count; i++) {
        if (i)
            fputc(',', file);
        print_number(file, values[i]);
    }
    fputc(']', file);
}

static void print_bounds(FILE *file, const float *values, uint32_t count, int components) {
    float low[4], high[4];
    for (int c = 0; c < components; c++)
        low[c] = high[c] = values[c];
    for (uint32_t i = 1; i < count; i++) {
        for (int c = 0; c < components; c++) {
            low[c] = fminf(low[c], values[i * (uint32_t)components + (uint32_t)c]);
            high[c] = fmaxf(high[c], values[i * (uint32_t)components + (uint32_t)c]);
        }
    }
    fputs(",\"min\":", file);
    print_numbers(file, low, components);
    fputs(",\"max\":", file);
    print_numbers(file, high, components);
}

/* Adds an array of `count` rows; returns the index of its accessor. */
static uint32_t writer_add_array(struct writer *w, const void *values, uint32_t count,
                                 const struct layout *layout) {
    size_t component_size = layout->component == GL_UNSIGNED_BYTE ? 1 : 4;
    size_t size = count * component_size * (size_t)layout->components;
    uint32_t view = writer_add_view(w, values, size, layout->target);
    fprintf(w->accessors, "%s{\"bufferView\":%u,\"componentType\":%d,\"count\":%u,\"type\":\"%s\"",
            w->accessor_count ? "," : "", view, layout->component, count, layout->type);
    if (layout->bounds)
        print_bounds(w->accessors, values, count, layout->components);
    fputc('}', w->accessors);
    return w->accessor_count++;
}

/* -- The JSON chunk ---------------------------------------------------------------------------- */

static void print_string(FILE *file, const char *text) {
    fputc('"', file);
    for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
        if (*p == '"' || *p == '\\')
            fprintf(file, "\\%c", *p);
        else if (*p < 0x20)
            fprintf(file, "\\u%04x", *p);
        else
            fputc(*p, file);
    }
    fputc('"', file);
}

static void write_primitive(struct writer *w, const struct glb_primitive *p) {
    fprintf(w->json, "{\"attributes\":{\"POSITION\":%u",
            writer_add_array(w, p->positions, p->vertex_count, &LAYOUT_POSITION));
    fprintf(w->json, ",\"NORMAL\":%u",
            writer_add_array(w, p->normals, p->vertex_count, &LAYOUT_NORMAL));
    fprintf(w->json, ",\"TEXCOORD_0\":%u",
            writer_add_array(w, p->uvs, p->vertex_count, &LAYOUT_UV));
    fprintf(w->json, ",\"JOINTS_0\":%u",
            writer_add_array(w, p->joints, p->vertex_count, &LAYOUT_JOINTS));
    fprintf(w->json, ",\"WEIGHTS_0\":%u",
            writer_add_array(w, p->weights, p->vertex_count, &LAYOUT_WEIGHTS));
    fprintf(w->json, "},\"indices\":%u,\"material\":%u}",
            writer_add_array(w, p->indices, p->index_count, &LAYOUT_INDICES), p->material);
}

static void write_mesh(struct writer *w) {
    const struct glb_document *d = w->document;
    fputs(",\"meshes\":[{\"name\":", w->json);
    print_string(w->json, d->name);
    fputs(",\"primitives\":[", w->json);
    for (uint32_t i = 0; i < d->primitive_count; i++) {
        if (i)
            fputc(',', w->json);
        write_primitive(w, &d->primitives[i]);
    }
    fputs("]}]", w->json);
}

static void write_materials(struct writer *w) {
    const struct glb_document *d = w->document;
    fputs(",\"materials\":[", w->json);
    for (uint32_t i = 0; i < d->material_count; i++) {
        const struct glb_material *m = &d->materials[i];
        fputs(i ? ",{\"name\":" : "{\"name\":", w->json);
        print_string(w->json, m->name);
        fputs(",\"pbrMetallicRoughness\":{\"baseColorFactor\":", w->json);
        print_numbers(w->json, m->base_color, 4);
        fputs(",\"metallicFactor\":0,\"roughnessFactor\":", w->json);
        print_number(w->json, m->roughness);
        if (m->image >= 0)
            fprintf(w->json, ",\"baseColorTexture\":{\"index\":%d}", m->image);
        fputs("}}", w->json);
    }
    fputc(']', w->json);
}

static void write_images(struct writer *w) {
    const struct glb_document *d = w->document;
    if (!d->image_count)
        return;
    fprintf(w->json,
            ",\"samplers\":[{\"magFilter\":%d,\"minFilter\":%d,\"wrapS\":%d,\"wrapT\":%d}]",
            GL_LINEAR, GL_LINEAR_MIPMAP_LINEAR, GL_REPEAT, GL_REPEAT);
    fputs(",\"textures\":[", w->json);
    for (uint32_t i = 0; i < d->image_count; i++)
        fprintf(w->json, "%s{\"sampler\":0,\"source\":%u}", i ? "," : "", i);
    fputs("],\"images\":[", w->json);
    for (uint32_t i = 0; i < d->image_count; i++) {
        uint32_t view = writer_add_view(w, d->images[i].png, d->images[i].size, 0);
        fprintf(w->json, "%s{\"mimeType\":\"image/png\",\"bufferView\":%u,\"name\":", i ? "," : "",
                view);
        print_string(w->json, d->images[i].name);
        fputc('}', w->json);
    }
    fputc(']', w->json);
}

static void write_children(struct writer *w, uint32_t parent) {
    const struct glb_document *d = w->document;
    bool any = false;
    for (uint32_t i = parent + 1; i < d->joint_count; i++) {
        if (d->joints[i].parent != (int)parent)
            continue;
        fprintf(w->json, "%s%u", any ? "," : ",\"children\":[", i);
        any = true;
    }
    if (any)
        fputc(']', w->json);
}

/* Joints come first, so that a joint's number is its node's; then the mesh's node, which a
 * skin wants at the top, then one that holds the bones. */
static void write_nodes(struct writer *w) {
    const struct glb_document *d = w->document;
    fputs(",\"nodes\":[", w->json);
    for (uint32_t i = 0; i < d->joint_count; i++) {
        const struct glb_joint *joint = &d->joints[i];
        float local[3];
        for (int c = 0; c < 3; c++)
            local[c] = joint->position[c] -
                       (joint->parent >= 0 ? d->joints[joint->parent].position[c] : 0);
        fputs("{\"name\":", w->json);
        print_string(w->json, joint->name);
        fputs(",\"translation\":", w->json);
        print_numbers(w->json, local, 3);
        write_children(w, i);
        fputs("},", w->json);
    }
    fputs("{\"name\":", w->json);
    print_string(w->json, d->name);
    fputs(",\"mesh\":0,\"skin\":0},{\"name\":\"Armature\",\"children\":[0]}]", w->json);
    fprintf(w->json, ",\"scene\":0,\"scenes\":[{\"nodes\":[%u,%u]}]", d->joint_count + 1,
            d->joint_count);
}

static void write_skin(struct writer *w) {
    const struct glb_document *d = w->document;
    float *bind = calloc(d->joint_count, 16 * sizeof *bind);
    if (!bind) {
        w->failed = true;
        return;
    }
    for (uint32_t i = 0; i < d->joint_count; i++) {
        float *m = bind + 16 * i; /* column-major: bone from bind space, a mere shift */
        m[0] = m[5] = m[10] = m[15] = 1;
        for (int c = 0; c < 3; c++)
            m[12 + c] = -d->joints[i].position[c];
    }
    fprintf(w->json, ",\"skins\":[{\"inverseBindMatrices\":%u,\"skeleton\":0,\"joints\":[",
            writer_add_array(w, bind, d->joint_count, &LAYOUT_BIND));
    for (uint32_t i = 0; i < d->joint_count; i++)
        fprintf(w->json, "%s%u", i ? "," : "", i);
    fputs("]}]", w->json);
    free(bind);
}

static void write_clip(struct writer *w, const struct glb_clip *clip) {
    uint32_t joint_count = w->document->joint_count, frames = clip->frame_count;
    uint32_t times = writer_add_array(w, clip->times, frames, &LAYOUT_TIMES);
    fputs("{\"name\":", w->json);
    print_string(w->json, clip->name);
    fputs(",\"samplers\":[", w->json);
    for (uint32_t i = 0; i < joint_count; i++) {
        const float *rotations = clip->rotations + (size_t)i * frames * 4;
        fprintf(w->json, "{\"input\":%u,\"output\":%u,\"interpolation\":\"LINEAR\"},", times,
                writer_add_array(w, rotations, frames, &LAYOUT_ROTATIONS));
    }
    fprintf(w->json, "{\"input\":%u,\"output\":%u,\"interpolation\":\"LINEAR\"}],\"channels\":[",
            times, writer_add_array(w, clip->root, frames, &LAYOUT_TRANSLATIONS));
    for (uint32_t i = 0; i < joint_count; i++)
        fprintf(w->json, "{\"sampler\":%u,\"target\":{\"node\":%u,\"path\":\"rotation\"}},", i, i);
    fprintf(w->json, "{\"sampler\":%u,\"target\":{\"node\":0,\"path\":\"translation\"}}]}",
            joint_count);
}

static void write_clips(struct writer *w) {
    const struct glb_document *d = w->document;
    if (!d->clip_count)
        return;
    fputs(",\"animations\":[", w->json);
    for (uint32_t i = 0; i < d->clip_count; i++) {
        if (i)
            fputc(',', w->json);
        write_clip(w, &d->clips[i]);
    }
    fputc(']', w->json);
}

/* Closes the two side streams and ends the JSON with what they hold. */
static void write_tables(struct writer *w) {
    w->failed |= fclose(w->views) != 0;
    w->views = NULL;
    w->failed |= fclose(w->accessors) != 0;
    w->accessors = NULL;
    if (w->failed)
        return;
    fprintf(w->json, ",\"accessors\":[%s],\"bufferViews\":[%s],\"buffers\":[{\"byteLength\":%zu}]}",
            w->accessors_text, w->views_text, w->binary_size);
}

static void write_json(struct writer *w) {
    fputs("{\"asset\":{\"version\":\"2.0\",\"generator\":", w->json);
    print_string(w->json, w->document->generator);
    fputc('}', w->json);
    write_nodes(w);
    write_mesh(w);
    write_materials(w);
    write_images(w);
    write_skin(w);
    write_clips(w);
    write_tables(w);
    w->failed |= fclose(w->json) != 0;
    w->json = NULL;
}

/* -- The file ---------------------------------------------------------------------------------- */

/* Writes 4 bytes, the lowest first; returns where the next go. */
static uint8_t *put_u32(uint8_t *at, size_t value) {
    for (int i = 0; i < 4; i++)
        *at++ = (uint8_t)(value >> (8 * i));
    return at;
}

/* Header, JSON chunk padded with blanks, binary chunk. Returns NULL when memory is short. */
static uint8_t *join_chunks(const struct writer *w, size_t *size) {
    size_t json_padded = (w->json_size + 3) & ~(size_t)3;
    *size = 12 + 8 + json_padded + 8 + w->binary_size;
    uint8_t *file = malloc(*size), *at = file;
    if (!file)
        return NULL;
    at = put_u32(at, 0x46546C67); /* "glTF" */
    at = put_u32(at, 2);
    at = put_u32(at, *size);
    at = put_u32(at, json_padded);
    at = put_u32(at, 0x4E4F534A); /* "JSON" */
    memset(at, ' ', json_padded);
    memcpy(at, w->json_text, w->json_size);
    at = put_u32(at + json_padded, w->binary_size);
    at = put_u32(at, 0x004E4942); /* "BIN" */
    memcpy(at, w->binary, w->binary_size);
    return file;
}

static int check_joints(const struct glb_document *d, struct err *err) {
    if (d->joint_count < 1 || d->joint_count > 255)
        return err_set(err, ERR_INVALID, "a skin has 1 to 255 joints, not %u", d->joint_count);
    for (uint32_t i = 0; i < d->joint_count; i++) {
        int parent = d->joints[i].parent;
        if ((i == 0) != (parent < 0) || parent >= (int)i)
            return err_set(err, ERR_INVALID, "joint %u (%s) cannot have parent %d", i,
                           d->joints[i].name, parent);
    }
    return 0;
}

static int check_primitive(const struct glb_document *d, uint32_t i, struct err *err) {
    const struct glb_primitive *p = &d->primitives[i];
    if (p->vertex_count < 3 || p->index_count < 3 || p->index_count % 3)
        return err_set(err, ERR_INVALID, "primitive %u is not made of triangles", i);
    if (p->material >= d->material_count)
        return err_set(err, ERR_INVALID, "primitive %u has no material %u", i, p->material);
    for (uint32_t k = 0; k < p->index_count; k++) {
        if (p->indices[k] >= p->vertex_count)
            return err_set(err, ERR_INVALID, "primitive %u has no vertex %u", i, p->indices[k]);
    }
    for (uint32_t k = 0; k < p->vertex_count * GLB_INFLUENCES; k++) {
        if (p->joints[k] >= d->joint_count)
            return err_set(err, ERR_INVALID, "primitive %u uses joint %u", i, p->joints[k]);
    }
    return 0;
}

static int check_document(const struct glb_document *d, struct err *err) {
    if (d->primitive_count < 1)
        return err_set(err, ERR_INVALID, "a mesh needs a primitive");
    int rc = check_joints(d, err);
    for (uint32_t i = 0; !rc && i < d->primitive_count; i++)
        rc = check_primitive(d, i, err);
    if (rc)
        return rc;
    for (uint32_t i = 0; i < d->material_count; i++) {
        if (d->materials[i].image >= (int)d->image_count)
            return err_set(err, ERR_INVALID, "material %u has no image %d", i,
                           d->materials[i].image);
    }
    for (uint32_t i = 0; i < d->clip_count; i++) {
        if (d->clips[i].frame_count < 1)
            return err_set(err, ERR_INVALID, "clip %s has no frame", d->clips[i].name);
    }
    return 0;
}

static void writer_deinit(struct writer *w) {
    if (w->json)
        fclose(w->json);
    if (w->views)
        fclose(w->views);
    if (w->accessors)
        fclose(w->accessors);
    free(w->json_text);
    free(w->views_text);
    free(w->accessors_text);
    free(w->binary);
}

int glb_write(const struct glb_document *document, uint8_t **out, size_t *size, struct err *err) {
    int rc = check_document(document, err);
    if (rc)
        return rc;
    struct writer w = {.document = document};
    w.json = open_memstream(&w.json_text, &w.json_size);
    w.views = open_memstream(&w.views_text, &w.views_size);
    w.accessors = open_memstream(&w.accessors_text, &w.accessors_size);
    if (w.json && w.views && w.accessors)
        write_json(&w);
    else
        w.failed = true;
    uint8_t *file = w.failed ? NULL : join_chunks(&w, size);
    if (file)
        *out = file;
    else
        rc = err_set(err, ERR_NO_MEMORY, "no memory to write the GLB file");
    writer_deinit(&w);
    return rc;
}
