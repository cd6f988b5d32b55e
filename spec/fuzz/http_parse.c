/* Request heads and chunked bodies: the reader keeps inside its bytes, what it takes is what it
 * says, and cuts change nothing. */
#include "net/http_parse.h"
#include "fuzz.h"
#include "hostile.h"

static bool inside(struct http_span span, const char *bytes, size_t size) {
    return span.at == NULL || (span.at >= bytes && span.at + span.size <= bytes + size) ||
           (span.size == 1 && *span.at == '/'); /* what "*" stands for */
}

static void check_head(char *bytes, size_t size) {
    struct http_header room[HTTP_HEADERS_MAX];
    struct http_head head = {.headers = room};
    const char *why = NULL;
    int status = http_parse_head(bytes, size, &head, &why);
    FUZZ_CHECK(status == 0 || (status >= 400 && status < 500 && why != NULL));
    if (status != 0)
        return;
    FUZZ_CHECK(head.path.size > 0 && head.path.at[0] == '/');
    FUZZ_CHECK(inside(head.path, bytes, size) && inside(head.query, bytes, size));
    FUZZ_CHECK(!head.chunked || head.length < 0); /* one way to tell where the body ends */
    FUZZ_CHECK(head.header_count <= HTTP_HEADERS_MAX);
    for (size_t i = 0; i < head.header_count; i++) {
        FUZZ_CHECK(inside(head.headers[i].name, bytes, size));
        FUZZ_CHECK(inside(head.headers[i].value, bytes, size));
        FUZZ_CHECK(http_is_token(head.headers[i].name.at, head.headers[i].name.size));
    }
    char *decoded = malloc(head.path.size + 1);
    int64_t length = http_decode(head.path, false, decoded);
    FUZZ_CHECK(length > 0 && memchr(decoded, 0, (size_t)length) == NULL);
    free(decoded);
}

/* Where the head ends, looked for at once and byte by byte. */
static int64_t find_head(const char *bytes, size_t size) {
    size_t scanned = 0;
    int64_t whole = http_find_head(bytes, size, &scanned), cut = 0;
    scanned = 0;
    for (size_t known = 1; known <= size && cut == 0; known++)
        cut = http_find_head(bytes, known, &scanned);
    FUZZ_CHECK(whole == cut);
    return whole;
}

/* The body's bytes, or -1; `piece` bytes at a time. */
static int64_t read_chunks(const char *bytes, size_t size, size_t piece, uint64_t *hash) {
    struct http_chunks chunks = {0};
    struct http_span data;
    int64_t total = 0;
    *hash = 0;
    for (size_t at = 0; at < size && !chunks.done;) {
        size_t left = size - at < piece ? size - at : piece;
        int64_t used = http_chunks_read(&chunks, bytes + at, left, &data);
        if (used < 0)
            return -1;
        FUZZ_CHECK(used > 0 && (size_t)used <= left && inside(data, bytes, size));
        for (size_t i = 0; i < data.size; i++)
            *hash = (*hash ^ (unsigned char)data.at[i]) * 0x100000001b3u;
        total += (int64_t)data.size;
        at += (size_t)used;
    }
    return total;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    char *copy = malloc(size + 1); /* the parser writes names in lower case */
    memcpy(copy, bytes, size);
    int64_t head = find_head(copy, size);
    FUZZ_CHECK(head <= (int64_t)size);
    if (head > 0)
        check_head(copy, (size_t)head);
    size_t from = head > 0 ? (size_t)head : 0;
    uint64_t whole_hash, cut_hash;
    int64_t whole = read_chunks(copy + from, size - from, size + 1, &whole_hash);
    int64_t cut = read_chunks(copy + from, size - from, 1, &cut_hash);
    FUZZ_CHECK(whole == cut && (whole < 0 || whole_hash == cut_hash));
    free(copy);
    return 0;
}

void fuzz_seeds(void (*add)(const void *bytes, size_t size)) {
    static struct attack attack;
    for (uint64_t i = 0; i < 200; i++) {
        hostile_make(&attack, 1, i, "a_20260101_000000_00000000");
        if (attack.size < 4096)
            add(attack.bytes, attack.size);
    }
}
