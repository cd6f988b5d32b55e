#include "media/deflate_runs.h"

#include <assert.h>
#include <libdeflate.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum {
    RUN_MIN = 3,
    RUN_MAX = 258,
    END_OF_BLOCK = 256,
    SYMBOLS = 286,     /* literals, the end of the block, lengths */
    CODE_SYMBOLS = 19, /* of the code that code lengths are written in */
    TOKENS = 512,      /* a literal's value, or 256 + length - 3 */
    BLOCK_TOKENS = 1 << 15,
    SYMBOL_BITS = 15,
    CODE_BITS = 7,
};

/* -- Bits -------------------------------------------------------------------------------------- */

struct bits {
    uint8_t *out;
    uint64_t held; /* the first bit is the lowest one */
    unsigned count;
};

/* At most 32 bits; keeps less than 32. */
static inline void put_bits(struct bits *bits, uint32_t value, unsigned count) {
    bits->held |= (uint64_t)value << bits->count;
    bits->count += count;
    if (bits->count >= 32) {
        for (int i = 0; i < 4; i++)
            bits->out[i] = (uint8_t)(bits->held >> (8 * i));
        bits->out += 4;
        bits->held >>= 32;
        bits->count -= 32;
    }
}

static void flush_bits(struct bits *bits) {
    for (; bits->count > 0; bits->count = bits->count > 8 ? bits->count - 8 : 0) {
        *bits->out++ = (uint8_t)bits->held;
        bits->held >>= 8;
    }
}

/* -- Huffman codes ----------------------------------------------------------------------------- */

struct code {
    uint16_t bits[SYMBOLS]; /* reversed: deflate sends a code's highest bit first */
    uint8_t lengths[SYMBOLS];
};

struct leaf {
    uint32_t count;
    uint16_t symbol;
};

static int by_count(const void *a, const void *b) {
    const struct leaf *one = a, *other = b;
    if (one->count != other->count)
        return one->count < other->count ? -1 : 1;
    return (int)one->symbol - (int)other->symbol;
}

/* The depth of each of the sorted leaves in Huffman's tree, built with two queues: the leaves, and
 * the nodes, which come into being in order of their counts. Returns the greatest depth. */
static unsigned tree_depths(const struct leaf *leaves, unsigned count, uint8_t *depths) {
    uint32_t weights[SYMBOLS];
    uint16_t leaf_parents[SYMBOLS] = {0}, node_parents[SYMBOLS] = {0};
    uint8_t node_depths[SYMBOLS] = {0};
    unsigned leaf = 0, node = 0, made = 0, deepest = 0;
    for (; made + 1 < count; made++) {
        weights[made] = 0;
        for (int k = 0; k < 2; k++) {
            if (leaf < count && (node >= made || leaves[leaf].count <= weights[node])) {
                weights[made] += leaves[leaf].count;
                leaf_parents[leaf++] = (uint16_t)made;
            } else {
                weights[made] += weights[node];
                node_parents[node++] = (uint16_t)made;
            }
        }
    }
    node_depths[made - 1] = 0;
    for (unsigned i = made - 1; i-- > 0;)
        node_depths[i] = (uint8_t)(node_depths[node_parents[i]] + 1);
    for (unsigned i = 0; i < count; i++) {
        depths[i] = (uint8_t)(node_depths[leaf_parents[i]] + 1);
        deepest = depths[i] > deepest ? depths[i] : deepest;
    }
    return deepest;
}

/* Lengths of at most `limit` bits for symbols that occur (at least two do). Where the tree is too
 * deep its counts are drawn together until it is not. */
static void choose_lengths(const uint32_t *counts, unsigned symbols, unsigned limit,
                           uint8_t *lengths) {
    struct leaf leaves[SYMBOLS];
    uint8_t depths[SYMBOLS];
    unsigned count = 0;
    memset(lengths, 0, symbols);
    for (unsigned i = 0; i < symbols; i++)
        if (counts[i] > 0)
            leaves[count++] = (struct leaf){counts[i], (uint16_t)i};
    assert(count >= 2);
    qsort(leaves, count, sizeof *leaves, by_count);
    while (tree_depths(leaves, count, depths) > limit)
        for (unsigned i = 0; i < count; i++) /* keeps their order */
            leaves[i].count = leaves[i].count / 2 + 1;
    for (unsigned i = 0; i < count; i++)
        lengths[leaves[i].symbol] = depths[i];
}

/* RFC 1951, 3.2.2: codes in order of length, then of symbol. */
static void assign_codes(struct code *code, unsigned symbols) {
    unsigned next[SYMBOL_BITS + 2] = {0}, counts[SYMBOL_BITS + 1] = {0};
    for (unsigned i = 0; i < symbols; i++)
        counts[code->lengths[i]]++;
    counts[0] = 0;
    for (unsigned length = 1; length <= SYMBOL_BITS; length++)
        next[length + 1] = (next[length] + counts[length]) << 1;
    for (unsigned i = 0; i < symbols; i++) {
        unsigned length = code->lengths[i], value = next[length], reversed = 0;
        next[length] += length > 0;
        for (unsigned bit = 0; bit < length; bit++)
            reversed |= (value >> bit & 1) << (length - 1 - bit);
        code->bits[i] = (uint16_t)reversed;
    }
}

/* -- Lengths of runs --------------------------------------------------------------------------- */

/* RFC 1951, 3.2.5: the symbol of a length, and what is left for the extra bits. */
static unsigned length_symbol(unsigned length, unsigned *extra, unsigned *extra_bits) {
    unsigned above = length - RUN_MIN, bits = 0;
    *extra = *extra_bits = 0;
    if (length == RUN_MAX)
        return SYMBOLS - 1;
    if (above < 8)
        return END_OF_BLOCK + 1 + above;
    while (above >> (bits + 3) != 0) /* four symbols for each number of extra bits */
        bits++;
    *extra_bits = bits;
    *extra = above & ((1u << bits) - 1);
    return END_OF_BLOCK + 1 + 4 * bits + (above >> bits);
}

/* -- Blocks ------------------------------------------------------------------------------------ */

struct block {
    uint16_t tokens[BLOCK_TOKENS];
    uint32_t token_count;
    uint32_t token_uses[TOKENS];
};

static size_t run_length(const uint8_t *at, const uint8_t *end, uint8_t value) {
    const uint8_t *start = at;
    uint64_t eight = value * UINT64_C(0x0101010101010101), word;
    for (; end - at >= 8; at += 8) {
        memcpy(&word, at, 8);
        if (word != eight)
            break;
    }
    while (at < end && *at == value)
        at++;
    return (size_t)(at - start);
}

static inline void add_token(struct block *block, unsigned token) {
    block->tokens[block->token_count++] = (uint16_t)token;
    block->token_uses[token]++;
}

/* Fills the block from `at` on and returns where it stopped. `start` is the first byte of all,
 * which has none before it. */
static const uint8_t *fill_block(struct block *block, const uint8_t *start, const uint8_t *at,
                                 const uint8_t *end) {
    block->token_count = 0;
    memset(block->token_uses, 0, sizeof block->token_uses);
    while (at < end && block->token_count < BLOCK_TOKENS) {
        if (at == start || *at != at[-1]) {
            add_token(block, *at++);
            continue;
        }
        size_t length = run_length(at, end, *at);
        size_t taken = length > RUN_MAX ? RUN_MAX : length;
        if (taken < RUN_MIN) {
            add_token(block, *at++);
        } else {
            add_token(block, (unsigned)(256 + taken - RUN_MIN));
            at += taken;
        }
    }
    return at;
}

/* The code lengths of the block's code as symbols of the code for code lengths: 17 and 18 stand for
 * 3 to 10 and 11 to 138 zeros. Writes them where `bits` is not NULL, and counts them where `counts`
 * is not. */
static void put_lengths(struct bits *bits, const struct code *code, const uint8_t *lengths,
                        unsigned count, uint32_t *counts) {
    for (unsigned i = 0; i < count;) {
        unsigned zeros = 0, symbol = lengths[i], extra = 0, extra_bits = 0;
        while (i + zeros < count && lengths[i + zeros] == 0 && zeros < 138)
            zeros++;
        if (zeros >= 11) {
            symbol = 18, extra = zeros - 11, extra_bits = 7;
        } else if (zeros >= 3) {
            symbol = 17, extra = zeros - 3, extra_bits = 3;
        } else {
            zeros = 1;
        }
        i += zeros;
        if (counts != NULL)
            counts[symbol]++;
        if (bits == NULL)
            continue;
        put_bits(bits, code->bits[symbol], code->lengths[symbol]);
        put_bits(bits, extra, extra_bits);
    }
}

/* RFC 1951, 3.2.7: the head of a block with codes of its own. There is one code for distances, of
 * one bit: 0, for 1. */
static void put_head(struct bits *bits, const struct code *code, bool last) {
    static const uint8_t order[CODE_SYMBOLS] = {16, 17, 18, 0, 8,  7, 9,  6, 10, 5,
                                                11, 4,  12, 3, 13, 2, 14, 1, 15};
    uint8_t lengths[SYMBOLS + 1];
    uint32_t counts[CODE_SYMBOLS] = {0};
    struct code code_code = {0};
    memcpy(lengths, code->lengths, SYMBOLS);
    lengths[SYMBOLS] = 1;
    put_lengths(NULL, NULL, lengths, SYMBOLS + 1, counts);
    choose_lengths(counts, CODE_SYMBOLS, CODE_BITS, code_code.lengths);
    assign_codes(&code_code, CODE_SYMBOLS);
    put_bits(bits, last, 1);
    put_bits(bits, 2, 2);
    put_bits(bits, SYMBOLS - 257, 5);
    put_bits(bits, 0, 5);
    put_bits(bits, CODE_SYMBOLS - 4, 4);
    for (int i = 0; i < CODE_SYMBOLS; i++)
        put_bits(bits, code_code.lengths[order[i]], 3);
    put_lengths(bits, &code_code, lengths, SYMBOLS + 1, NULL);
}

/* What each token looks like in bits: a run's length, its extra bits and the bit of its distance in
 * one. */
struct spelling {
    uint32_t bits[TOKENS];
    uint8_t counts[TOKENS];
};

static void spell(const struct code *code, struct spelling *spelling) {
    for (unsigned i = 0; i < 256; i++) {
        spelling->bits[i] = code->bits[i];
        spelling->counts[i] = code->lengths[i];
    }
    for (unsigned i = 256; i < TOKENS; i++) {
        unsigned extra, extra_bits;
        unsigned symbol = length_symbol(i - 256 + RUN_MIN, &extra, &extra_bits);
        spelling->bits[i] = code->bits[symbol] | extra << code->lengths[symbol];
        spelling->counts[i] = (uint8_t)(code->lengths[symbol] + extra_bits + 1);
    }
}

static void put_block(struct bits *bits, const struct block *block, bool last) {
    uint32_t counts[SYMBOLS] = {0};
    struct code code;
    struct spelling spelling;
    memcpy(counts, block->token_uses, 256 * sizeof *counts);
    counts[END_OF_BLOCK] = 1;
    for (unsigned i = 256; i < TOKENS; i++) {
        unsigned extra, extra_bits;
        counts[length_symbol(i - 256 + RUN_MIN, &extra, &extra_bits)] += block->token_uses[i];
    }
    choose_lengths(counts, SYMBOLS, SYMBOL_BITS, code.lengths);
    assign_codes(&code, SYMBOLS);
    put_head(bits, &code, last);
    spell(&code, &spelling);
    for (uint32_t i = 0; i < block->token_count; i++)
        put_bits(bits, spelling.bits[block->tokens[i]], spelling.counts[block->tokens[i]]);
    put_bits(bits, code.bits[END_OF_BLOCK], code.lengths[END_OF_BLOCK]);
}

/* -- Streams ----------------------------------------------------------------------------------- */

/* A literal takes at most 15 bits, a run of three bytes or more at most 21, a block's head less
 * than 512 bytes. */
size_t deflate_runs_bound(size_t size) {
    return size * 2 + (size / BLOCK_TOKENS + 1) * 512 + 16;
}

size_t deflate_runs(const uint8_t *bytes, size_t size, uint8_t *out) {
    struct block *block = malloc(sizeof *block);
    if (block == NULL)
        return 0;
    out[0] = 0x78; /* deflate, a window of 32 KiB */
    out[1] = 0x01; /* fastest */
    struct bits bits = {.out = out + 2};
    const uint8_t *at = bytes, *end = bytes + size;
    while (at < end) {
        at = fill_block(block, bytes, at, end);
        put_block(&bits, block, at == end);
    }
    free(block);
    flush_bits(&bits);
    uint32_t checksum = libdeflate_adler32(1, bytes, size);
    for (int i = 0; i < 4; i++)
        *bits.out++ = (uint8_t)(checksum >> (24 - 8 * i));
    return (size_t)(bits.out - out);
}
