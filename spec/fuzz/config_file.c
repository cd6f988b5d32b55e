/* The config file: any text is a table of settings or an error that says where. */
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/config.h"
#include "core/utf8.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    char path[64];
    int fd = memfd_create("config.lua", MFD_CLOEXEC);
    FUZZ_CHECK(fd >= 0 && write(fd, bytes, size) == (ssize_t)size);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    struct config_flag flag = {"config", path};
    struct config *config = NULL;
    struct err err = {0};
    clearenv();
    setenv("HOME", "/nowhere", 1);
    int code = config_load(&config, &flag, 1, &err);
    FUZZ_CHECK(code == 0 || (code < 0 && err.message[0] != 0));
    if (code == 0) {
        size_t count;
        const struct config_row *rows = config_rows(config, &count);
        for (size_t i = 0; i < count; i++)
            FUZZ_CHECK(rows[i].value != NULL && rows[i].origin != NULL);
        config_free(config);
    }
    close(fd);
    return 0;
}

void fuzz_seeds(void (*add)(const void *bytes, size_t size)) {
    static const char *const others[] = {
        "",
        "return",
        "return {}",
        "return 1",
        "return { listen = 1 }",
        "return { lisen = \"x\" }",
        "return { hosts = { \"a\", \"b\" }, drain = \"5m\", max_body = \"1 MiB\" }",
        "local t = {} for i = 1, 1e9 do t[i] = i end return t",
        "while true do end",
        "return { [{}] = 1 }",
        "return setmetatable({}, {})",
        "return { data = \"~/x\" }",
        "\033LJ",
        "return { url = (\"x\"):rep(1e9) }",
        "error({})",
        "error(nil)",
        "return { token = \"x\" }",
        "-- \xff\nreturn { log_level = \"\xff\" }",
        "return { listen = \"127.0.0.1:0\" } }",
    };
    char text[300];
    size_t count;
    const struct config_setting *settings = config_settings(&count);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        add(others[i], strlen(others[i]));
    for (size_t i = 0; i < count; i++)
        add(text, (size_t)snprintf(text, sizeof text, "return { %s = \"%s\" }", settings[i].name,
                                   settings[i].fallback ? settings[i].fallback : "/a"));
}
