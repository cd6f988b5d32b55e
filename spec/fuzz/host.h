/* host.h - the real routes of lua/api on a real store, in this process: host.lua makes them. */
#ifndef STANCE_SPEC_FUZZ_HOST_H
#define STANCE_SPEC_FUZZ_HOST_H

#include <string.h>

#include "bind/lua_http.h"
#include "bind/modules.h"
#include "cli/process.h"
#include "core/log.h"
#include "fuzz.h"
#include "scratch.h"
#include "store/db.h"

static struct process host;
static struct net_server *host_server;

static void host_ready(struct fiber *fiber, lua_State *co, int count, const struct err *err,
                       void *arg) {
    (void)fiber, (void)count, (void)arg;
    if (err != NULL)
        fprintf(stderr, "%s\n", err->message);
    FUZZ_CHECK(err == NULL);
    host_server = ((struct lua_http_server *)lua_touserdata(co, -1))->net;
    loop_stop(&host.loop);
}

/* Makes it, and leaves it to the end of the process. */
static inline void host_open(void) {
    const char *folder = scratch("data");
    struct config_flag flags[] = {{"data", folder}, {"log_level", "error"}};
    struct db_options db = {.data_dir = folder};
    struct scripts *scripts = NULL;
    struct config *config = NULL;
    struct err err = {0};
    setenv("STANCE_LUA", "lua", 0);
    mkdir(folder, 0700);
    int code = config_load(&config, flags, 2, &err);
    if (code == 0)
        code = process_open(&host, "spec", config, &err);
    if (code == 0)
        code = db_open(&host.loop, &db, &host.services.db, &err);
    if (code == 0)
        code = process_read_scripts(config, &scripts, &err);
    struct vm_options options = {.name = "fuzz",
                                 .unrestricted = true,
                                 .scripts = scripts,
                                 .modules = bind_modules,
                                 .host = &host.services};
    host.scripts = scripts;
    if (code == 0)
        code = vm_new(&host.loop, &options, &host.vm, &err);
    if (code != 0)
        fprintf(stderr, "%s\n", err.message);
    FUZZ_CHECK(code == 0);
    log_configure(LOG_ERROR, LOG_TEXT);
    lua_State *L = vm_lua(host.vm);
    FUZZ_CHECK(luaL_loadfile(L, "spec/fuzz/host.lua") == 0);
    FUZZ_CHECK(fiber_start(L, 0, "fuzz", host_ready, NULL, NULL, &err) == 0);
    loop_run(&host.loop);
}

#endif
