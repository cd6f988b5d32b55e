/* What a console client sends: the reader keeps inside its bytes, and cuts change nothing. */
#include "net/console_frame.h"

#include <string.h>

#include "fuzz.h"

enum { PAYLOAD_MAX = 4096 };

/* The first frame when it comes byte by byte, or when all is there at once. */
static int parse_slowly(const char *bytes, size_t size, struct console_frame *frame) {
    int taken = 0;
    for (size_t known = 0; known <= size && taken == 0; known++) {
        char *exact = malloc(known + 1); /* so that reading beyond the end is seen */
        memcpy(exact, bytes, known);
        taken = console_frame_parse(exact, known, "RI", PAYLOAD_MAX, frame, NULL);
        free(exact);
    }
    return taken;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const char *bytes = (const char *)data;
    for (size_t at = 0; at < size;) {
        struct console_frame frame, slow;
        struct err err = {0};
        int taken = console_frame_parse(bytes + at, size - at, "RI", PAYLOAD_MAX, &frame, &err);
        FUZZ_CHECK(parse_slowly(bytes + at, size - at, &slow) == taken);
        if (taken < 0)
            FUZZ_CHECK(err.code == taken && err.message[0] != 0);
        if (taken <= 0)
            break;
        FUZZ_CHECK((size_t)taken == CONSOLE_HEAD_SIZE + frame.size);
        FUZZ_CHECK((size_t)taken <= size - at && frame.size <= PAYLOAD_MAX);
        FUZZ_CHECK(frame.payload == bytes + at + CONSOLE_HEAD_SIZE);
        FUZZ_CHECK(frame.kind == CONSOLE_REQUEST || frame.size == 0);
        FUZZ_CHECK(slow.kind == frame.kind && slow.id == frame.id && slow.size == frame.size);
        unsigned char head[CONSOLE_HEAD_SIZE];
        console_frame_head(head, frame.kind, frame.id, frame.size);
        FUZZ_CHECK(memcmp(head, bytes + at, sizeof head) == 0);
        at += (size_t)taken;
    }
    return 0;
}

void fuzz_seeds(void (*add)(const void *bytes, size_t size)) {
    static const char *const requests[] = {
        "{\"op\":\"hello\"}",
        "{\"op\":\"eval\",\"text\":\"1 + 1\",\"width\":80}",
        "{\"op\":\"complete\",\"text\":\"jobs:\"}",
        "",
    };
    unsigned char bytes[512];
    size_t size = 0;
    for (size_t i = 0; i < sizeof requests / sizeof *requests; i++) {
        size_t length = strlen(requests[i]);
        console_frame_head(bytes + size, CONSOLE_REQUEST, (uint32_t)i + 1, length);
        memcpy(bytes + size + CONSOLE_HEAD_SIZE, requests[i], length);
        add(bytes + size, CONSOLE_HEAD_SIZE + length);
        size += CONSOLE_HEAD_SIZE + length;
        console_frame_head(bytes + size, CONSOLE_INTERRUPT, (uint32_t)i + 1, 0);
        size += CONSOLE_HEAD_SIZE;
        add(bytes, size);
        add(bytes, size - 3);
    }
    console_frame_head(bytes, CONSOLE_REQUEST, 1, PAYLOAD_MAX + 1);
    add(bytes, CONSOLE_HEAD_SIZE);
    add("GET / HTTP/1.1\r\n\r\n", 18);
}
