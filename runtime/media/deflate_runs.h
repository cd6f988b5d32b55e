/* deflate_runs.h - a fast zlib stream for what is mostly runs of equal bytes: filtered rows of
 * rendered pictures.
 *
 * It looks for one kind of repetition only, the byte before (a match of distance 1), and codes the
 * rest with Huffman codes that are made for each block. On rendered pictures this takes a fifth of
 * the time of libdeflate's fastest level, for files that are some 6 to 10 % larger (measured by
 * spec/bench/render_bench.lua); on photographs libdeflate's files are much smaller.
 *
 * Threads: no shared state. Format: RFC 1950 (zlib), RFC 1951 (deflate). */
#ifndef STANCE_MEDIA_DEFLATE_RUNS_H
#define STANCE_MEDIA_DEFLATE_RUNS_H

#include <stddef.h>
#include <stdint.h>

/* How much room deflate_runs may need for `size` bytes. */
size_t deflate_runs_bound(size_t size);

/* Compresses `size` bytes (at least 1) into `out`, which has room for the bound; returns how many
 * bytes it wrote, or 0 when there is no memory. */
size_t deflate_runs(const uint8_t *bytes, size_t size, uint8_t *out);

#endif
