/* WebSocket frames: whatever comes, and however it is cut into pieces, the reader sees the same. */
#include "fuzz.h"
#include "hostile.h"
#include "net/ws_frame.h"

enum { LIMIT = 100000 };

/* What a reader told, in a few numbers. */
struct told {
    uint64_t hash;
    size_t bytes;
    int events, code;
};

static void note(struct told *told, const void *bytes, size_t size) {
    const unsigned char *at = bytes;
    for (size_t i = 0; i < size; i++)
        told->hash = (told->hash ^ at[i]) * 0x100000001b3u;
}

static struct told read_all(const uint8_t *bytes, size_t size, size_t piece) {
    struct ws_reader reader = {.message_limit = LIMIT};
    struct told told = {0};
    bool broken = false;
    for (size_t at = 0; at < size && !broken; at += piece) {
        size_t left = size - at < piece ? size - at : piece;
        char *copy = malloc(left + 1), *from = copy;
        memcpy(copy, bytes + at, left);
        struct ws_piece out = {.event = WS_GOT_PONG};
        while (out.event != WS_NOTHING && !broken) {
            size_t used = ws_read(&reader, from, left, &out);
            FUZZ_CHECK(used <= left);
            from += used;
            left -= used;
            broken = out.event == WS_BROKEN;
            if (out.event == WS_PIECE) {
                told.bytes += out.size;
                if (out.last)
                    told.events++;
            } else if (out.event != WS_NOTHING) {
                FUZZ_CHECK(out.size <= WS_CONTROL_MAX);
                FUZZ_CHECK(out.event != WS_GOT_CLOSE || out.code == 1005 ||
                           ws_code_is_valid(out.code));
                told.events += 1000;
                told.code = out.code;
            }
            /* Broken text may be seen in the middle of a piece that was told of before when cut. */
            if (out.event != WS_BROKEN)
                note(&told, out.bytes, out.size);
        }
        FUZZ_CHECK(broken || left == 0);
        free(copy);
    }
    if (broken)
        told.bytes = told.hash = 0;
    return told;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    struct told whole = read_all(bytes, size, size + 1);
    for (size_t piece = 1; piece < 8; piece += 2) {
        struct told cut = read_all(bytes, size, piece);
        FUZZ_CHECK(cut.hash == whole.hash && cut.bytes == whole.bytes);
        FUZZ_CHECK(cut.events == whole.events && cut.code == whole.code);
    }
    return 0;
}

void fuzz_seeds(void (*add)(const void *bytes, size_t size)) {
    static struct attack attack;
    for (uint64_t i = 0; i < 100; i++) {
        attack.random = i;
        attack.size = 0;
        for (size_t count = hostile_upto(&attack, 6) + 1; count > 0; count--)
            hostile_frame(&attack);
        add(attack.bytes, attack.size);
    }
}
