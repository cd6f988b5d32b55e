/* engine.h - the job engine of a host in a forked child: what it is asked, and what it answered,
 * for tests that let it run into trouble.
 *
 * engine_walk.lua hands jobs in and works on them; its answers come back in shared memory, so that
 * they are known however the child ended. */
#ifndef STANCE_SPEC_ENGINE_H
#define STANCE_SPEC_ENGINE_H

#include <ftw.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "cli/process.h"
#include "core/log.h"
#include "store_db.h"

enum { ENGINE_ANSWERS = 4000, ENGINE_TEXT = 240 };

struct engine_answer {
    char what[16], text[ENGINE_TEXT];
};

static struct engine_answers {
    atomic_int count;
    struct engine_answer list[ENGINE_ANSWERS];
} * engine_answers;

static inline void engine_tell(const char *what, const char *text) {
    int index = atomic_load(&engine_answers->count);
    if (index == ENGINE_ANSWERS)
        return;
    struct engine_answer *answer = &engine_answers->list[index];
    snprintf(answer->what, sizeof answer->what, "%s", what);
    snprintf(answer->text, sizeof answer->text, "%s", text);
    atomic_store(&engine_answers->count, index + 1);
}

static int engine_tell_lua(lua_State *L) {
    engine_tell(luaL_checkstring(L, 1), luaL_checkstring(L, 2));
    return 0;
}

static void engine_ended(struct fiber *fiber, lua_State *co, int count, const struct err *err,
                         void *arg) {
    (void)fiber, (void)co, (void)count;
    struct process *process = arg;
    if (err != NULL)
        engine_tell("error", err->message);
    loop_stop(&process->loop);
}

/* Called with each VM before it runs anything. May be NULL. */
static void (*engine_on_vm)(struct vm *vm);

static inline int engine_start(struct process *process, int jobs, int hands, double seconds,
                               struct err *err) {
    struct vm_options options = {.name = "host",
                                 .jit = true,
                                 .scripts = process->scripts,
                                 .modules = bind_modules,
                                 .host = &process->services};
    int code = vm_new(&process->loop, &options, &process->vm, err);
    if (code < 0)
        return code;
    if (engine_on_vm != NULL)
        engine_on_vm(process->vm);
    lua_State *L = vm_lua(process->vm);
    lua_pushcfunction(L, engine_tell_lua);
    lua_setglobal(L, "tell");
    if (luaL_loadfile(L, "spec/c/engine_walk.lua") != 0)
        return err_set(err, ERR_INVALID, "%s", lua_tostring(L, -1));
    lua_pushinteger(L, jobs);
    lua_pushinteger(L, hands);
    if (seconds > 0)
        lua_pushnumber(L, seconds);
    else
        lua_pushnil(L);
    return fiber_start(L, 3, "walk", engine_ended, process, NULL, err);
}

/* One life of a host, from opening `data` to closing it, where a run may take `seconds` (0: any).
 * Answers are told, errors too. */
static inline void engine_live(const char *data, const char *workspace, int jobs, int hands,
                               double seconds) {
    struct process process = {0};
    struct config *config = NULL;
    struct config_flag flags[] = {{"data", data}, {"workspace", workspace}, {"log_level", "error"}};
    struct err err = {0};
    int code = config_load(&config, flags, 3, &err);
    if (code == 0)
        code = process_open(&process, "host", config, &err);
    if (code == 0)
        code = process_read_scripts(config, &process.scripts, &err);
    if (code == 0)
        code = engine_start(&process, jobs, hands, seconds, &err);
    if (code == 0)
        process_run(&process);
    else
        engine_tell("error", err.message);
    process_close(&process);
}

/* -- In the test itself ------------------------------------------------------------------------ */

static int engine_remove_entry(const char *path, const struct stat *info, int flag,
                               struct FTW *walk) {
    (void)info, (void)flag, (void)walk;
    return remove(path);
}

static inline void engine_remove(const char *folder) {
    nftw(folder, engine_remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

/* A child: the next host, when all is well again, brings what was accepted to its end. */
static inline void engine_recover(const char *data, const char *workspace) {
    alarm(20); /* rather than hang */
    engine_live(data, workspace, 0, 1, 0);
    _exit(0);
}

/* After such a life: what the first `count` answers said is so, and nothing went wrong since. */
static inline void engine_check_answers(const char *data, int count) {
    struct db *db = open_db(data);
    char sql[400];
    CHECK(db != NULL);
    for (int i = 0; db != NULL && i < engine_answers->count; i++) {
        const struct engine_answer *answer = &engine_answers->list[i];
        if (i >= count && strcmp(answer->what, "error") == 0)
            CHECK_TEXT(answer->text, "no error");
        if (i >= count || strcmp(answer->what, "accepted") != 0)
            continue;
        /* A step that met a broken disk may fail its job, which says so. */
        snprintf(sql, sizeof sql,
                 "SELECT count(*) FROM jobs WHERE id = '%s' AND (status = 'completed' OR "
                 "(status = 'failed' AND json_extract(error, '$.code') IN ('io', 'script')))",
                 answer->text);
        CHECK(read_int(db, sql) == 1);
    }
    CHECK(db == NULL ||
          read_int(db, "SELECT count(*) FROM jobs WHERE status = 'completed' AND "
                       "(SELECT count(*) FROM artifacts WHERE job_id = id) <> 2") == 0);
    db_close(db);
}

static inline void engine_print_answers(void) {
    for (int i = 0; i < engine_answers->count; i++)
        fprintf(stderr, "      %s %s\n", engine_answers->list[i].what,
                engine_answers->list[i].text);
}

/* A folder in memory where there is one, with a workflow `walk` in its workspace. */
static inline const char *engine_folder(void) {
    static const char walk[] =
        "local t = require 'stance.schema'\n"
        "return { name = 'walk', version = 1, params = t.object { steps = t.integer },\n"
        "  run = function(job, p)\n"
        "    for i = 1, p.steps do\n"
        "      job:step('s' .. i, { retries = 2, backoff = 0.01 }, function(step)\n"
        "        step:artifact('n/' .. i .. '.txt', (job.id .. ' ' .. i .. '\\n'):rep(300 * i))\n"
        "        return i\n"
        "      end)\n"
        "      job:log('did ' .. i)\n"
        "    end\n"
        "    return { steps = p.steps }\n"
        "  end }\n";
    static char folder[] = "/dev/shm/stance-test-XXXXXX";
    if (access("/dev/shm", W_OK) < 0)
        memcpy(folder, "/var/tmp", 8);
    if (mkdtemp(folder) == NULL)
        abort();
    char path[200];
    snprintf(path, sizeof path, "%s/scripts/workflows", folder);
    char command[500];
    snprintf(command, sizeof command, "mkdir -p %s", path);
    strcat(path, "/walk.lua");
    FILE *file = system(command) == 0 ? fopen(path, "w") : NULL;
    if (file == NULL || fputs(walk, file) < 0 || fclose(file) != 0)
        abort();
    setenv("STANCE_LUA", "lua", 0);
    log_configure(LOG_ERROR, LOG_TEXT);
    engine_answers = mmap(NULL, sizeof *engine_answers, PROT_READ | PROT_WRITE,
                          MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (engine_answers == MAP_FAILED)
        abort();
    return folder;
}

/* Runs `part(arg)` in a child; its exit status, or 128 + the signal that ended it. */
static inline int engine_in_child(void (*part)(void *arg), void *arg) {
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        part(arg);
        _exit(0);
    }
    int status;
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

#endif
