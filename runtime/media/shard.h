/* shard.h - many samples in one file: tar archives as WebDataset reads them.
 *
 * A sample is a few files of one key: 000042.png, 000042.json, 000042.depth.png. They stand one
 * after the other in a POSIX ustar archive, without times, owners or anything else of the machine:
 * the same samples in the same order give the same bytes. An archive grows in memory up to its
 * limit and is then written out in one piece, so there is never half of one.
 *
 * Threads: one at a time. Format: POSIX.1-1988 ustar. */
#ifndef STANCE_MEDIA_SHARD_H
#define STANCE_MEDIA_SHARD_H

#include <stddef.h>
#include <stdint.h>

#include "core/err.h"

enum { SHARD_BLOCK = 512 };

#define SHARD_MAX_SIZE ((size_t)1 << 30)

struct shard {
    uint8_t *bytes;
    size_t size, room, most;
    uint32_t samples, files;
};

/* An empty archive that takes at most `most` bytes, its end included; at most SHARD_MAX_SIZE. */
int shard_init(struct shard *shard, size_t most, struct err *err);
void shard_deinit(struct shard *shard); /* may be repeated */

struct shard_file {
    const char *ending; /* "png", "depth.png": after the key and a dot */
    const void *bytes;
    size_t size;
};

/* Adds a sample, whole or not at all. ERR_TOO_LARGE: it does not fit any more (write the archive
 * out, empty it, and add it again; a sample that does not fit an empty one never will).
 * ERR_INVALID: keys are 1 to 80 letters, digits, - and _ and /, which no key starts or ends with;
 * endings are letters, digits, - and _ in pieces with dots between; no ending may come twice. */
int shard_add(struct shard *shard, const char *key, const struct shard_file *files, uint32_t count,
              struct err *err);

/* The whole archive with its end, `*size` bytes, which stay the shard's. More may be added later.
 */
const uint8_t *shard_finish(struct shard *shard, size_t *size);

/* Starts again with nothing in it. */
void shard_clear(struct shard *shard);

#endif
