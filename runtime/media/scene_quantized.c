/* scene_quantized.c - glTF's vertices in whole numbers (KHR_mesh_quantization, and normalised
 * texture coordinates, which need no extension) written out as floats, which is all that assimp
 * reads.
 *
 * Each accessor of that kind that a mesh uses is replaced by one of floats in a buffer of its own,
 * which is put into the JSON as a data URI. */
#include <jansson.h>
#include <stdlib.h>
#include <strings.h>

#include "media/scene_parts.h"

enum { MAX_FLOATS = 96 << 20, BYTE = 5120, UBYTE, SHORT, USHORT, FLOAT = 5126 };

struct dequantising {
    const struct scene_source *source;
    json_t *root;
    json_int_t *made; /* [accessor] its new number; -1: not looked at */
    size_t accessor_count;
    uint8_t *buffer; /* the source buffer that was read last */
    size_t buffer_size;
    json_int_t buffer_index;
    float *floats; /* what the new buffer holds */
    size_t count, room;
    bool failed; /* without memory */
};

/* -- Base64 ------------------------------------------------------------------------------------ */

static int digit_of(char c) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *at = c != '\0' ? strchr(digits, c) : NULL;
    return at != NULL ? (int)(at - digits) : -1;
}

static uint8_t *decode(const char *text, size_t *size) {
    uint8_t *out = malloc(strlen(text) / 4 * 3 + 4);
    uint32_t bits = 0;
    int held = 0;
    *size = 0;
    for (; out != NULL && digit_of(*text) >= 0; text++) {
        bits = bits << 6 | (uint32_t)digit_of(*text);
        held += 6;
        if (held >= 8)
            out[(*size)++] = (uint8_t)(bits >> (held -= 8));
    }
    return out;
}

static char *encode(const char *head, const uint8_t *bytes, size_t size) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t at = strlen(head);
    char *out = malloc(at + (size + 2) / 3 * 4 + 1);
    if (out == NULL)
        return NULL;
    memcpy(out, head, at);
    for (size_t i = 0; i < size; i += 3) {
        size_t left = size - i;
        uint32_t bits = (uint32_t)bytes[i] << 16 | (left > 1 ? (uint32_t)bytes[i + 1] << 8 : 0) |
                        (left > 2 ? bytes[i + 2] : 0);
        for (int k = 0; k < 4; k++)
            out[at++] = (size_t)k <= left ? digits[bits >> (18 - 6 * k) & 63] : '=';
    }
    out[at] = '\0';
    return out;
}

/* -- Reading ----------------------------------------------------------------------------------- */

static size_t get_size(const json_t *object, const char *key) {
    json_int_t value = json_integer_value(json_object_get(object, key));
    return value > 0 ? (size_t)value : 0;
}

static json_t *item(const json_t *root, const char *list, const json_t *index) {
    return json_is_integer(index) && json_integer_value(index) >= 0
               ? json_array_get(json_object_get(root, list), (size_t)json_integer_value(index))
               : NULL;
}

/* A GLB's second chunk. */
static uint8_t *copy_chunk(const struct scene_source *source, size_t *size) {
    const uint8_t *file = source->bytes;
    size_t at = 12, length = 0;
    for (int chunk = 0; chunk < 2 && strcmp(source->format, "glb") == 0; chunk++) {
        at += chunk > 0 ? 8 + length : 0;
        if (at > source->size || source->size - at < 8)
            return NULL;
        length = (size_t)file[at] | (size_t)file[at + 1] << 8 | (size_t)file[at + 2] << 16 |
                 (size_t)file[at + 3] << 24;
        if (length > source->size - at - 8)
            return NULL;
    }
    uint8_t *out = length > 0 ? malloc(length) : NULL;
    if (out != NULL)
        memcpy(out, file + at + 8, length);
    *size = length;
    return out;
}

/* The bytes of a buffer, kept for the next question; NULL when they cannot be had. */
static const uint8_t *buffer_of(struct dequantising *d, const json_t *index) {
    const json_t *buffer = item(d->root, "buffers", index);
    const char *uri = json_string_value(json_object_get(buffer, "uri"));
    if (buffer == NULL)
        return NULL;
    if (d->buffer != NULL && d->buffer_index == json_integer_value(index))
        return d->buffer;
    free(d->buffer);
    d->buffer_index = json_integer_value(index);
    const char *comma = uri != NULL && strncmp(uri, "data:", 5) == 0 ? strchr(uri, ',') : NULL;
    if (uri == NULL)
        d->buffer = copy_chunk(d->source, &d->buffer_size);
    else if (comma != NULL)
        d->buffer = decode(comma + 1, &d->buffer_size);
    else
        d->buffer = scene_read_beside(d->source, uri, &d->buffer_size);
    return d->buffer;
}

static float read_number(const uint8_t *at, int kind, bool normalised) {
    uint16_t word = (uint16_t)(at[0] | (kind >= SHORT ? at[1] << 8 : 0));
    switch (kind) {
    case BYTE:
        return normalised ? fmaxf(-1, (float)(int8_t)at[0] / 127) : (float)(int8_t)at[0];
    case UBYTE:
        return normalised ? (float)at[0] / 255 : (float)at[0];
    case SHORT:
        return normalised ? fmaxf(-1, (float)(int16_t)word / 32767) : (float)(int16_t)word;
    default:
        return normalised ? (float)word / 65535 : (float)word;
    }
}

/* -- Writing ----------------------------------------------------------------------------------- */

static bool make_room(struct dequantising *d, size_t more) {
    if (d->count + more <= d->room)
        return true;
    size_t room = (d->count + more) * 2;
    float *grown = realloc(d->floats, room * sizeof *grown);
    if (grown == NULL)
        return false;
    d->floats = grown;
    d->room = room;
    return true;
}

/* The number of an accessor of floats with the same contents; -1: it is not of that kind, or
 * cannot be read (then assimp says so). */
static json_int_t dequantise(struct dequantising *d, const json_t *accessor) {
    static const char *const types[] = {"SCALAR", "VEC2", "VEC3", "VEC4"};
    int kind = (int)json_integer_value(json_object_get(accessor, "componentType"));
    const char *type = json_string_value(json_object_get(accessor, "type"));
    size_t width = 0, count = get_size(accessor, "count"), unit = kind >= SHORT ? 2 : 1;
    for (size_t i = 0; type != NULL && i < 4; i++)
        width = strcmp(type, types[i]) == 0 ? i + 1 : width;
    const json_t *view = item(d->root, "bufferViews", json_object_get(accessor, "bufferView"));
    if (kind < BYTE || kind > USHORT || width == 0 || view == NULL ||
        json_object_get(accessor, "sparse") != NULL || count > MAX_FLOATS / width ||
        d->count + count * width > MAX_FLOATS)
        return -1;
    const uint8_t *bytes = buffer_of(d, json_object_get(view, "buffer"));
    size_t stride = get_size(view, "byteStride"), at = get_size(view, "byteOffset");
    size_t inner = get_size(accessor, "byteOffset");
    stride = stride > 0 ? stride : width * unit;
    if (bytes == NULL || count == 0 || at > d->buffer_size || inner > d->buffer_size - at ||
        stride > d->buffer_size || d->buffer_size - at - inner < width * unit ||
        (d->buffer_size - at - inner - width * unit) / stride < count - 1)
        return -1;
    if (!make_room(d, count * width)) {
        d->failed = true;
        return -1;
    }
    bool normalised = json_is_true(json_object_get(accessor, "normalized"));
    size_t offset = d->count * sizeof(float), size = count * width * sizeof(float);
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < width; k++)
            d->floats[d->count++] =
                read_number(bytes + at + inner + i * stride + k * unit, kind, normalised);
    json_t *views = json_object_get(d->root, "bufferViews"),
           *accessors = json_object_get(d->root, "accessors");
    int buffer = (int)json_array_size(json_object_get(d->root, "buffers")); /* the one to come */
    d->failed |= json_array_append_new(
                     accessors, json_pack("{sisisIss}", "bufferView", (int)json_array_size(views),
                                          "componentType", FLOAT, "count", (json_int_t)count,
                                          "type", type)) != 0 ||
                 json_array_append_new(views, json_pack("{sisIsI}", "buffer", buffer, "byteOffset",
                                                        (json_int_t)offset, "byteLength",
                                                        (json_int_t)size)) != 0;
    return (json_int_t)json_array_size(accessors) - 1;
}

/* Sets an attribute to the accessor's twin of floats. */
static void replace(struct dequantising *d, json_t *attributes, const char *name) {
    json_t *index = json_object_get(attributes, name);
    const json_t *accessor = item(d->root, "accessors", index);
    size_t number = (size_t)json_integer_value(index);
    if (accessor == NULL || number >= d->accessor_count)
        return;
    if (d->made[number] == -1)
        d->made[number] = dequantise(d, accessor);
    if (d->made[number] >= 0)
        d->failed |= json_object_set_new(attributes, name, json_integer(d->made[number])) != 0;
}

static void replace_all(struct dequantising *d, json_t *attributes) {
    static const char *const names[] = {"POSITION",   "NORMAL",     "TANGENT",   "TEXCOORD_0",
                                        "TEXCOORD_1", "TEXCOORD_2", "TEXCOORD_3"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        replace(d, attributes, names[i]);
}

static void walk(struct dequantising *d) {
    size_t m, p, t;
    json_t *mesh, *primitive, *target;
    json_array_foreach(json_object_get(d->root, "meshes"), m, mesh) {
        json_array_foreach(json_object_get(mesh, "primitives"), p, primitive) {
            replace_all(d, json_object_get(primitive, "attributes"));
            json_array_foreach(json_object_get(primitive, "targets"), t, target)
                replace_all(d, target);
        }
    }
}

static void add_buffer(struct dequantising *d) {
    size_t size = d->count * sizeof *d->floats;
    char *uri = encode("data:application/octet-stream;base64,", (const uint8_t *)d->floats, size);
    json_t *text = uri != NULL ? json_string_nocheck(uri) : NULL;
    json_t *buffer = json_pack("{sIso}", "byteLength", (json_int_t)size, "uri", text);
    d->failed |= text == NULL || buffer == NULL ||
                 json_array_append_new(json_object_get(d->root, "buffers"), buffer) != 0;
    free(uri);
}

int scene_gltf_dequantise(const struct scene_source *source, json_t *root) {
    struct dequantising d = {.source = source, .root = root};
    d.accessor_count = json_array_size(json_object_get(root, "accessors"));
    d.made = malloc((d.accessor_count + 1) * sizeof *d.made);
    for (size_t i = 0; d.made != NULL && i < d.accessor_count; i++)
        d.made[i] = -1;
    if (d.made != NULL)
        walk(&d);
    if (d.count > 0)
        add_buffer(&d);
    bool failed = d.failed || d.made == NULL;
    free(d.made);
    free(d.buffer);
    free(d.floats);
    return failed ? -1 : d.count > 0;
}
