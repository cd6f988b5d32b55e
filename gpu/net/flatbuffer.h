/* flatbuffer.h - reading FlatBuffers that nobody vouches for.
 *
 * Every offset is looked at before it is followed. What points outside of the bytes, or is cut off,
 * sets `broken` and reads as absent from then on, so that a reader may go on to its next check and
 * ask once: `broken` never goes back.
 *
 * Ownership: the bytes stay the caller's and must outlive all that was read. Threads: one file
 * belongs to one thread. Format: FlatBuffers, "Internals". */
#ifndef STANCE_NET_FLATBUFFER_H
#define STANCE_NET_FLATBUFFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct fb_file {
    const uint8_t *bytes;
    size_t size;
    bool broken;
};

/* A table, all of whose fields lie inside of the file; at == 0: absent, every field of it too. */
struct fb_table {
    size_t at, vtable;
    uint32_t size, vtable_size;
};

/* `count` elements from byte `at`, all inside of the file; absent: none. */
struct fb_vector {
    size_t at;
    uint32_t count;
};

/* The root table of a file with this identifier (4 characters); absent where it is none. */
struct fb_table fb_open(struct fb_file *file, const void *bytes, size_t size,
                        const char *identifier);

/* Field `field` of a table, counted from 0 as in its schema; `otherwise` where it is absent. */
int32_t fb_int(struct fb_file *file, struct fb_table table, uint32_t field, int32_t otherwise);
uint32_t fb_byte(struct fb_file *file, struct fb_table table, uint32_t field, uint32_t otherwise);
struct fb_table fb_child(struct fb_file *file, struct fb_table table, uint32_t field);
struct fb_vector fb_vector(struct fb_file *file, struct fb_table table, uint32_t field,
                           size_t element);
bool fb_has(struct fb_file *file, struct fb_table table, uint32_t field);

/* Element `index` of a vector of int32, or of tables; index < vector.count. */
int32_t fb_int_at(const struct fb_file *file, struct fb_vector vector, uint32_t index);
struct fb_table fb_table_at(struct fb_file *file, struct fb_vector vector, uint32_t index);

/* Little-endian numbers at a place that is known to lie inside of the file. */
static inline uint32_t fb_u16(const uint8_t *bytes) {
    return (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8;
}

static inline uint32_t fb_u32(const uint8_t *bytes) {
    return fb_u16(bytes) | fb_u16(bytes + 2) << 16;
}

#endif
