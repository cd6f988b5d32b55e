/* Console frames, as the host and as a client reads them: within the limits, said again as they
 * came, and no sooner than they are whole. */
#include <string.h>

#include "fuzz.h"
#include "net/console_frame.h"

enum { LIMIT = 4096 };

static void read_all(const char *bytes, size_t size, const char *kinds) {
    struct console_frame frame;
    struct err err = {0};
    int used = 1;
    for (size_t at = 0; used > 0 && at<size; at += used> 0 ? (size_t)used : 0) {
        const char *from = bytes + at;
        size_t left = size - at;
        used = console_frame_parse(from, left, kinds, LIMIT, &frame, &err);
        FUZZ_CHECK(used >= 0 || err.message[0] != 0);
        if (used <= 0)
            break;
        unsigned char head[CONSOLE_HEAD_SIZE];
        FUZZ_CHECK(frame.size <= LIMIT && (size_t)used == CONSOLE_HEAD_SIZE + frame.size);
        FUZZ_CHECK((size_t)used <= left && frame.payload == from + CONSOLE_HEAD_SIZE);
        FUZZ_CHECK(strchr(kinds, (int)frame.kind) != NULL);
        console_frame_head(head, frame.kind, frame.id, frame.size);
        FUZZ_CHECK(memcmp(head, from, sizeof head) == 0);
        for (size_t part = 0; part < (size_t)used; part++)
            FUZZ_CHECK(console_frame_parse(from, part, kinds, LIMIT, &frame, &err) == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    char *copy = malloc(size + 1);
    memcpy(copy, bytes, size);
    read_all(copy, size, "RI");
    read_all(copy, size, "OAX");
    free(copy);
    return 0;
}

static size_t put(char *out, enum console_frame_kind kind, uint32_t id, const char *payload) {
    size_t size = (size_t)snprintf(out + CONSOLE_HEAD_SIZE, 64, "%s", payload);
    console_frame_head((unsigned char *)out, kind, id, size);
    return CONSOLE_HEAD_SIZE + size;
}

void fuzz_seeds(void (*add)(const void *bytes, size_t size)) {
    static const char *const payloads[] = {"", "{}", "{\"eval\":\"return 1\"}", "text\n"};
    static const enum console_frame_kind kinds[] = {
        CONSOLE_REQUEST, CONSOLE_INTERRUPT, CONSOLE_OUTPUT, CONSOLE_ANSWER, CONSOLE_REFUSAL, 'Z'};
    char text[256];
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++)
        for (size_t p = 0; p < sizeof payloads / sizeof *payloads; p++) {
            size_t size = put(text, kinds[k], (uint32_t)(k * p), payloads[p]);
            size += put(text + size, kinds[k], UINT32_MAX, payloads[p]);
            add(text, size);
            add(text, size - 1);
        }
    add("\xff\xff\xff\xffR\0\0\0\0", 9);
}
