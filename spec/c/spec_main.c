/* spec_main.c - runs Busted inside a VM with every binding, in a fiber, so that specs may wait.
 *
 *     stance-spec [busted options] FILE|FOLDER...
 *
 * It has a database, objects and a data folder of its own under /tmp, removed at the end. With
 * --script FILE ARG... it runs that Lua file instead (benchmarks). */
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bind/modules.h"
#include "cli/process.h"
#include "core/log.h"
#include "store/db.h"
#include "store/objects.h"
#include "store/roots.h"

static const char runner[] =
    "local script, code = ..., nil\n"
    "local quit = {}\n"
    "os.exit = function(status)\n"
    "  code = status == true and 0 or status == false and 1 or status or 0\n"
    "  error(quit, 0)\n"
    "end\n"
    "local ok, why = xpcall(function()\n"
    "  if script then return assert(loadfile(script))() end\n"
    "  require 'busted.runner'({standalone = false})\n"
    "end, function(e) return e == quit and e or debug.traceback(tostring(e), 2) end)\n"
    "if not ok and why ~= quit then io.stderr:write(why, '\\n') code = 1 end\n"
    "require('host').stop(code or 0)\n";

static int remove_entry(const char *path, const struct stat *stat, int flag, struct FTW *ftw) {
    (void)stat, (void)flag, (void)ftw;
    return remove(path);
}

static void run_ended(struct fiber *fiber, lua_State *co, int count, const struct err *err,
                      void *arg) {
    (void)fiber, (void)co, (void)count;
    struct process *process = arg;
    if (err == NULL)
        return;
    fprintf(stderr, "%s\n", err->message);
    process->services.exit_code = 1;
    loop_stop(&process->loop);
}

static int start(struct process *process, int argc, char **argv, struct err *err) {
    struct vm_options options = {.name = "spec",
                                 .jit = true,
                                 .unrestricted = true,
                                 .scripts = process->scripts,
                                 .modules = bind_modules,
                                 .host = &process->services};
    if (vm_new(&process->loop, &options, &process->vm, err) != 0)
        return err->code;
    lua_State *L = vm_lua(process->vm);
    bool script = argc > 2 && strcmp(argv[1], "--script") == 0;
    int first = script ? 3 : 1;
    lua_createtable(L, argc, 0);
    lua_pushstring(L, script ? argv[2] : argv[0]);
    lua_rawseti(L, -2, 0);
    for (int i = first; i < argc; i++) {
        lua_pushstring(L, argv[i]);
        lua_rawseti(L, -2, i - first + 1);
    }
    lua_setglobal(L, "arg");
    if (luaL_loadbuffer(L, runner, sizeof runner - 1, "=runner") != 0)
        return err_set(err, ERR_INTERNAL, "%s", lua_tostring(L, -1));
    if (script)
        lua_pushstring(L, argv[2]);
    else
        lua_pushnil(L);
    return fiber_start(L, 1, "spec", run_ended, process, NULL, err);
}

int main(int argc, char **argv) {
    char folder[] = "/tmp/stance-spec-XXXXXX";
    if (mkdtemp(folder) == NULL) {
        perror("mkdtemp");
        return 1;
    }
    struct err err = {0};
    struct config *config = NULL;
    struct process process = {0};
    struct config_flag flags[] = {{"data", folder}, {"log_level", "error"}};
    int code = config_load(&config, flags, 2, &err);
    if (code == 0)
        code = process_open(&process, "spec", config, &err);
    struct db_options db = {.data_dir = folder};
    if (code == 0)
        code = db_open(&process.loop, &db, &process.services.db, &err);
    if (code == 0)
        code = process_read_scripts(config, &process.scripts, &err);
    if (code == 0)
        code = start(&process, argc, argv, &err);
    if (code != 0)
        fprintf(stderr, "stance-spec: %s\n", err.message);
    else
        code = process_run(&process);
    process_close(&process);
    nftw(folder, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    return code != 0;
}
