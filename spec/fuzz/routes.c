/* Requests against the real routes of lua/api: router, schemas, job service, store. */
#include "host.h"
#include "hostile.h"
#include "wire.h"

static const char job[] = "render_20260101_000000_00000000";

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    static const char probe[] =
        "GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    static uint8_t text[HOSTILE_ROOM];
    if (size > sizeof text - sizeof probe)
        return 0;
    if (host_server == NULL)
        host_open();
    memcpy(text, bytes, size);
    memcpy(text + size, probe, sizeof probe - 1);
    wire_exchange(&host.loop, host_server, text, size + sizeof probe - 1, HOSTILE_ROOM, 2000);
    return 0;
}

void fuzz_seeds(void (*add)(const void *bytes, size_t size)) {
    static struct attack attack;
    for (uint64_t i = 0; i < 300; i++) {
        hostile_make(&attack, 3, i, job);
        if (attack.size < 8192)
            add(attack.bytes, attack.size);
    }
}
