#include "flatbuffer.h"

#include <string.h>

enum { MOST_BYTES = INT32_MAX }; /* offsets are of 32 bits */

static bool holds(struct fb_file *file, size_t at, uint64_t bytes) {
    if (at > file->size || bytes > file->size - at)
        file->broken = true;
    return !file->broken;
}

/* Where the offset at `at` leads; 0: outside of the file. */
static size_t follow(struct fb_file *file, size_t at) {
    if (!holds(file, at, 4))
        return 0;
    uint64_t target = (uint64_t)at + fb_u32(file->bytes + at);
    return holds(file, target, 4) ? (size_t)target : 0;
}

static struct fb_table table_at(struct fb_file *file, size_t at) {
    struct fb_table table = {0};
    if (at == 0 || !holds(file, at, 4))
        return table;
    int64_t vtable = (int64_t)at - (int32_t)fb_u32(file->bytes + at);
    if (vtable < 0 || !holds(file, (size_t)vtable, 4)) {
        file->broken = true;
        return table;
    }
    uint32_t vtable_size = fb_u16(file->bytes + vtable), size = fb_u16(file->bytes + vtable + 2);
    if (vtable_size < 4 || size < 4 || !holds(file, (size_t)vtable, vtable_size) ||
        !holds(file, at, size)) {
        file->broken = true;
        return table;
    }
    return (struct fb_table){at, (size_t)vtable, size, vtable_size};
}

struct fb_table fb_open(struct fb_file *file, const void *bytes, size_t size,
                        const char *identifier) {
    *file = (struct fb_file){bytes, size, bytes == NULL || size < 8 || size > MOST_BYTES};
    if (file->broken || memcmp(file->bytes + 4, identifier, 4) != 0) {
        file->broken = true;
        return (struct fb_table){0};
    }
    return table_at(file, follow(file, 0));
}

/* Where a field's `bytes` lie; 0: absent. */
static size_t field_at(struct fb_file *file, struct fb_table table, uint32_t field, size_t bytes) {
    uint32_t slot = 4 + 2 * field;
    if (file->broken || table.at == 0 || slot + 2 > table.vtable_size)
        return 0;
    uint32_t offset = fb_u16(file->bytes + table.vtable + slot);
    if (offset == 0)
        return 0;
    if (offset < 4 || offset + bytes > table.size) {
        file->broken = true;
        return 0;
    }
    return table.at + offset;
}

bool fb_has(struct fb_file *file, struct fb_table table, uint32_t field) {
    return field_at(file, table, field, 1) != 0;
}

int32_t fb_int(struct fb_file *file, struct fb_table table, uint32_t field, int32_t otherwise) {
    size_t at = field_at(file, table, field, 4);
    return at != 0 ? (int32_t)fb_u32(file->bytes + at) : otherwise;
}

uint32_t fb_byte(struct fb_file *file, struct fb_table table, uint32_t field, uint32_t otherwise) {
    size_t at = field_at(file, table, field, 1);
    return at != 0 ? file->bytes[at] : otherwise;
}

struct fb_table fb_child(struct fb_file *file, struct fb_table table, uint32_t field) {
    size_t at = field_at(file, table, field, 4);
    return at != 0 ? table_at(file, follow(file, at)) : (struct fb_table){0};
}

struct fb_vector fb_vector(struct fb_file *file, struct fb_table table, uint32_t field,
                           size_t element) {
    size_t at = field_at(file, table, field, 4);
    at = at != 0 ? follow(file, at) : 0;
    if (at == 0)
        return (struct fb_vector){0};
    uint32_t count = fb_u32(file->bytes + at);
    if (!holds(file, at + 4, (uint64_t)count * element))
        return (struct fb_vector){0};
    return (struct fb_vector){at + 4, count};
}

int32_t fb_int_at(const struct fb_file *file, struct fb_vector vector, uint32_t index) {
    return (int32_t)fb_u32(file->bytes + vector.at + 4 * (size_t)index);
}

struct fb_table fb_table_at(struct fb_file *file, struct fb_vector vector, uint32_t index) {
    return table_at(file, follow(file, vector.at + 4 * (size_t)index));
}
