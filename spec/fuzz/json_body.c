/* JSON bodies against the schemas of the real routes; the first byte says which. */
#include "host.h"
#include "hostile.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    struct err err = {0};
    if (size == 0)
        return 0;
    if (host_server == NULL)
        host_open();
    lua_State *L = vm_lua(host.vm);
    lua_getglobal(L, "fuzz_body");
    lua_pushinteger(L, bytes[0]);
    lua_pushlstring(L, (const char *)bytes + 1, size - 1);
    int code = vm_call(L, 2, 0, &err);
    if (code != 0)
        fprintf(stderr, "%s\n", err.message);
    FUZZ_CHECK(code == 0);
    return 0;
}

void fuzz_seeds(void (*add)(const void *bytes, size_t size)) {
    static struct attack attack;
    for (uint64_t i = 0; i < 300; i++) {
        attack.random = i;
        attack.size = 0;
        hostile_put(&attack, &"\0\1\2\3"[i % 4], 1);
        hostile_json(&attack);
        if (attack.size < 8192)
            add(attack.bytes, attack.size);
    }
}
