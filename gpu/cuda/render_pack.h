/* render_pack.h - structs and arrays on their way to a device: packed side by side, their pointers
 * set once it is known where they will lie.
 *
 * Behind what is packed lie rooms without contents: for results, for what is zero at first, and for
 * scratch. A pack is filled (pack_add, pack_room, pack_point) and then written out for a place
 * (pack_write). Nothing but memory can fail: pack.failed says so, and what was added then is not
 * there. */
#ifndef STANCE_CUDA_RENDER_PACK_H
#define STANCE_CUDA_RENDER_PACK_H

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>

enum { PACK_ALIGN = 256 };

enum pack_region { PACK_CONTENTS, PACK_RESULTS, PACK_ZEROS, PACK_SCRATCH, PACK_REGIONS };

/* A pointer in the contents, and what it will point to. */
struct pack_pointer {
    size_t slot, target;
    pack_region region;
};

/* What was packed before, for those who come with it again. */
struct pack_known {
    const void *from;
    size_t size, at;
};

enum { PACK_KNOWN = 32 };

struct render_pack {
    uint8_t *bytes;
    size_t used[PACK_REGIONS], reserved;
    pack_pointer *pointers;
    size_t pointer_count, pointers_reserved;
    pack_known known[PACK_KNOWN];
    uint32_t known_count;
    bool failed;
};

template <class T> static inline bool pack_grow(T **array, size_t *reserved, size_t needed) {
    if (needed <= *reserved)
        return true;
    const size_t more = needed + needed / 2 + 64;
    T *grown = static_cast<T *>(realloc(*array, more * sizeof(T)));
    if (grown == nullptr)
        return false;
    *array = grown;
    *reserved = more;
    return true;
}

static inline size_t pack_aligned(size_t size) {
    return (size + PACK_ALIGN - 1) / PACK_ALIGN * PACK_ALIGN;
}

/* Room for `size` bytes in one of the regions behind; returns its place there. */
static inline size_t pack_room(render_pack *pack, pack_region region, size_t size) {
    const size_t at = pack->used[region];
    pack->used[region] += pack_aligned(size);
    return at;
}

/* Copies `size` bytes (zeros: null). Returns their place. */
static inline size_t pack_add(render_pack *pack, const void *from, size_t size) {
    const size_t at = pack->used[PACK_CONTENTS];
    if (pack->failed || !pack_grow(&pack->bytes, &pack->reserved, at + pack_aligned(size))) {
        pack->failed = true;
        return 0;
    }
    memset(pack->bytes + at, 0, pack_aligned(size));
    if (from != nullptr && size > 0)
        memcpy(pack->bytes + at, from, size);
    return pack_room(pack, PACK_CONTENTS, size);
}

/* The same of what does not change while the pack is filled: only once. */
static inline size_t pack_once(render_pack *pack, const void *from, size_t size) {
    for (uint32_t i = 0; i < pack->known_count; i++)
        if (pack->known[i].from == from && pack->known[i].size == size)
            return pack->known[i].at;
    const size_t at = pack_add(pack, from, size);
    if (pack->known_count < PACK_KNOWN)
        pack->known[pack->known_count++] = pack_known{from, size, at};
    return at;
}

/* What was packed at a place; valid until the next pack_add. Null where memory failed. */
template <class T> static inline T *pack_at(render_pack *pack, size_t at) {
    return pack->failed ? nullptr : reinterpret_cast<T *>(pack->bytes + at);
}

/* Lets the pointer at `slot` point to a place. */
static inline void pack_point(render_pack *pack, size_t slot, size_t target,
                              pack_region region = PACK_CONTENTS) {
    if (pack->failed ||
        !pack_grow(&pack->pointers, &pack->pointers_reserved, pack->pointer_count + 1)) {
        pack->failed = true;
        return;
    }
    pack->pointers[pack->pointer_count++] = pack_pointer{slot, target, region};
}

/* Copies an array and points to it; null stays null. */
static inline void pack_array(render_pack *pack, size_t slot, const void *from, size_t size) {
    if (from != nullptr)
        pack_point(pack, slot, pack_add(pack, from, size));
}

static inline void pack_array_once(render_pack *pack, size_t slot, const void *from, size_t size) {
    if (from != nullptr)
        pack_point(pack, slot, pack_once(pack, from, size));
}

/* Where a region begins; PACK_REGIONS: where all end. */
static inline size_t pack_begin(const render_pack *pack, int region) {
    size_t at = 0;
    for (int i = 0; i < region; i++)
        at += pack->used[i];
    return at;
}

static inline void pack_clear(render_pack *pack) {
    for (size_t &used : pack->used)
        used = 0;
    pack->pointer_count = 0;
    pack->known_count = 0;
    pack->failed = false;
}

static inline void pack_free(render_pack *pack) {
    free(pack->bytes);
    free(pack->pointers);
    *pack = render_pack{};
}

/* Writes the contents to `to`, for use at `base`. */
static inline void pack_write(const render_pack *pack, uint8_t *to, uint8_t *base) {
    memcpy(to, pack->bytes, pack->used[PACK_CONTENTS]);
    for (size_t i = 0; i < pack->pointer_count; i++) {
        const pack_pointer &pointer = pack->pointers[i];
        uint8_t *target = base + pack_begin(pack, pointer.region) + pointer.target;
        memcpy(to + pointer.slot, &target, sizeof target);
    }
}

#endif
