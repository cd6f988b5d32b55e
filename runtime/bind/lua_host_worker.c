/* lua_host_worker.c - host.spawn_worker: worker processes, seen from the host's scripts.
 *
 * Each request of a worker runs the handler in a fiber of its own; what the handler returns (a
 * string) is the reply. */
#include "bind/lua_host.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/child.h"
#include "core/config.h"
#include "core/log.h"

static const char worker_type[] = "stance.worker";

enum { ARGV_MAX = 64 };

struct worker {
    struct vm_owned owned;
    lua_State *L;
    struct child *child;
    unsigned life; /* counts processes: an answer to a dead one must not reach its successor */
    int handler_ref, exit_ref, self_ref;
};

/* A request being handled; outlives the worker's process, not the vm. */
struct pending {
    struct worker *worker;
    unsigned life;
    uint64_t id;
};

static struct worker *check_worker(lua_State *L) {
    return luaL_checkudata(L, 1, worker_type);
}

/* -- Requests ---------------------------------------------------------------------------------- */

static void reply(const struct pending *pending, bool ok, const char *text, size_t size) {
    struct worker *worker = pending->worker;
    struct link *link = worker->child ? child_link(worker->child) : NULL;
    if (link == NULL || worker->life != pending->life)
        return;
    struct err err;
    if (link_reply(link, pending->id, ok, text, size, &err) != 0)
        log_warn("host", "no reply to %s: %s", child_name(worker->child), err.message);
}

static void handler_ended(struct fiber *fiber, lua_State *co, int count, const struct err *err,
                          void *arg) {
    (void)fiber;
    struct pending *pending = arg;
    size_t size = 0;
    const char *text =
        count > 0 && lua_type(co, -count) == LUA_TSTRING ? lua_tolstring(co, -count, &size) : NULL;
    if (err != NULL) {
        log_error("host", "a worker's request failed: %s\n%s", err->message,
                  vm_traceback(vm_of(co)));
        reply(pending, false, err->message, strlen(err->message));
    } else if (text == NULL) {
        static const char words[] = "the handler of worker requests must return a string";
        reply(pending, false, words, sizeof words - 1);
    } else {
        reply(pending, true, text, size);
    }
    free(pending);
}

static void on_request(struct link *link, uint64_t id, const char *payload, size_t size,
                       void *arg) {
    (void)link;
    struct worker *worker = arg;
    struct pending *pending = malloc(sizeof *pending);
    if (pending == NULL)
        abort();
    *pending = (struct pending){worker, worker->life, id};
    lua_State *L = worker->L;
    lua_rawgeti(L, LUA_REGISTRYINDEX, worker->handler_ref);
    lua_rawgeti(L, LUA_REGISTRYINDEX, worker->self_ref);
    lua_pushlstring(L, payload, size);
    struct err err;
    if (fiber_start(L, 2, "worker request", handler_ended, pending, NULL, &err) != 0) {
        reply(pending, false, err.message, strlen(err.message));
        free(pending);
    }
}

/* -- Life -------------------------------------------------------------------------------------- */

static void on_link(struct child *child, struct link *link, void *arg) {
    (void)child, (void)link;
    ((struct worker *)arg)->life++;
}

static void on_process_exit(struct child *child, const struct child_exit *end, void *arg) {
    (void)child;
    struct worker *worker = arg;
    worker->life++;
    lua_State *L = worker->L;
    if (worker->exit_ref == LUA_NOREF)
        return;
    lua_rawgeti(L, LUA_REGISTRYINDEX, worker->exit_ref);
    lua_rawgeti(L, LUA_REGISTRYINDEX, worker->self_ref);
    lua_createtable(L, 0, 6);
    lua_pushinteger(L, end->status);
    lua_setfield(L, -2, "status");
    lua_pushinteger(L, end->signal);
    lua_setfield(L, -2, "signal");
    lua_pushboolean(L, end->unheard);
    lua_setfield(L, -2, "unheard");
    lua_pushnumber(L, end->seconds);
    lua_setfield(L, -2, "seconds");
    lua_pushboolean(L, end->restarting);
    lua_setfield(L, -2, "restarting");
    lua_pushnumber(L, end->restart_in);
    lua_setfield(L, -2, "restart_in");
    struct err err;
    if (fiber_start(L, 2, "worker exit", NULL, NULL, NULL, &err) != 0)
        log_error("host", "%s", err.message);
}

static void worker_forget(struct worker *worker) {
    lua_State *L = worker->L;
    vm_disown(&worker->owned);
    luaL_unref(L, LUA_REGISTRYINDEX, worker->handler_ref);
    luaL_unref(L, LUA_REGISTRYINDEX, worker->exit_ref);
    luaL_unref(L, LUA_REGISTRYINDEX, worker->self_ref);
    worker->handler_ref = worker->exit_ref = worker->self_ref = LUA_NOREF;
}

static void on_gone(struct child *child, void *arg) {
    struct worker *worker = arg;
    worker->child = NULL;
    child_free(child);
    worker_forget(worker);
}

static void worker_close(struct vm_owned *owned) {
    struct worker *worker = (struct worker *)owned;
    child_free(worker->child);
    worker->child = NULL;
}

/* -- Module ------------------------------------------------------------------------------------ */

static int take_function(lua_State *L, const char *field, bool required) {
    lua_getfield(L, 1, field);
    if (lua_isnil(L, -1) && !required) {
        lua_pop(L, 1);
        return LUA_NOREF;
    }
    if (!lua_isfunction(L, -1))
        luaL_error(L, "option '%s' must be a function", field);
    return luaL_ref(L, LUA_REGISTRYINDEX);
}

/* A worker runs with the host's settings: those that are not the default become its flags. */
static void pass_settings(const struct config *config, const char **argv, char **texts,
                          size_t count) {
    size_t rows;
    const struct config_row *row = config_rows(config, &rows);
    for (size_t i = 0; i < rows && count + 1 < ARGV_MAX; i++) {
        const struct config_setting *setting = config_setting_find(row[i].name);
        if (row[i].is_default || setting->secret || strcmp(row[i].name, "config") == 0 ||
            strcmp(row[i].name, "url") == 0)
            continue;
        if (asprintf(&texts[count], "--%s=%s", row[i].name, row[i].value) < 0)
            abort();
        for (char *at = texts[count]; *at != '='; at++)
            if (*at == '_')
                *at = '-';
        argv[count] = texts[count];
        count++;
    }
    argv[count] = NULL;
}

/* host.spawn_worker{name=, index=, generation=, handler=function(worker, request) -> reply,
 * on_exit=function(worker, end)} */
static int spawn_worker(lua_State *L) {
    struct services *services = services_of(L);
    luaL_checktype(L, 1, LUA_TTABLE);
    const char *name = vm_opt_string(L, 1, "name", "worker");
    const char *generation = vm_opt_string(L, 1, "generation", "");
    char exe[PATH_MAX], index[16];
    ssize_t length = readlink("/proc/self/exe", exe, sizeof exe - 1);
    if (length < 0)
        return vm_failf(L, ERR_IO, "cannot find this program's own file");
    exe[length] = 0;
    snprintf(index, sizeof index, "%d", (int)vm_opt_number(L, 1, "index", 1));

    struct worker *worker = lua_newuserdata(L, sizeof *worker);
    memset(worker, 0, sizeof *worker);
    worker->L = vm_lua(vm_of(L));
    worker->handler_ref = take_function(L, "handler", true);
    worker->exit_ref = take_function(L, "on_exit", false);
    luaL_getmetatable(L, worker_type);
    lua_setmetatable(L, -2);
    lua_pushvalue(L, -1);
    worker->self_ref = luaL_ref(L, LUA_REGISTRYINDEX);

    const char *argv[ARGV_MAX];
    char *settings[ARGV_MAX] = {NULL};
    size_t count = 0;
    const char *own[] = {exe, "worker", "--index", index, "--generation", generation};
    for (; count < sizeof own / sizeof *own; count++)
        argv[count] = own[count];
    pass_settings(services->config, argv, settings, count);
    struct child_options options = {
        .name = name,
        .argv = argv,
        .restart = true,
        .link = {.callbacks = {.request = on_request}, .arg = worker},
        .on_link = on_link,
        .on_exit = on_process_exit,
        .on_gone = on_gone,
        .arg = worker,
    };
    struct err err;
    int code = child_spawn(services->loop, &options, &worker->child, &err);
    for (size_t i = 0; i < ARGV_MAX; i++)
        free(settings[i]);
    if (code != 0) {
        worker_forget(worker);
        return vm_fail(L, &err);
    }
    vm_own(vm_of(L), &worker->owned, worker_close);
    return 1;
}

/* worker:send(event): false when its process is not up. */
static int worker_send(lua_State *L) {
    struct worker *worker = check_worker(L);
    size_t size;
    const char *payload = luaL_checklstring(L, 2, &size);
    struct link *link = worker->child ? child_link(worker->child) : NULL;
    struct err err;
    lua_pushboolean(L, link != NULL && link_send_event(link, payload, size, &err) == 0);
    return 1;
}

static int worker_stop(lua_State *L) {
    struct worker *worker = check_worker(L);
    if (worker->child != NULL)
        child_stop(worker->child, luaL_optnumber(L, 2, 5));
    return 0;
}

static int worker_pid(lua_State *L) {
    struct worker *worker = check_worker(L);
    lua_pushinteger(L, worker->child ? child_pid(worker->child) : 0);
    return 1;
}

static int worker_restarts(lua_State *L) {
    struct worker *worker = check_worker(L);
    lua_pushinteger(L, worker->child ? (lua_Integer)child_restarts(worker->child) : 0);
    return 1;
}

/* worker:is_gone(): no process of it runs, or will. */
static int worker_is_gone(lua_State *L) {
    lua_pushboolean(L, check_worker(L)->child == NULL);
    return 1;
}

static int worker_tostring(lua_State *L) {
    struct worker *worker = check_worker(L);
    if (worker->child == NULL)
        lua_pushliteral(L, "worker (gone)");
    else
        lua_pushfstring(L, "%s (pid %d)", child_name(worker->child), (int)child_pid(worker->child));
    return 1;
}

static const luaL_Reg methods[] = {
    {"send", worker_send},         {"stop", worker_stop},       {"pid", worker_pid},
    {"restarts", worker_restarts}, {"is_gone", worker_is_gone}, {NULL, NULL},
};

static const luaL_Reg meta[] = {
    {"__tostring", worker_tostring},
    {NULL, NULL},
};

void lua_host_add_workers(lua_State *L) {
    vm_new_type(L, worker_type, methods, meta);
    lua_pop(L, 1);
    lua_pushcfunction(L, spawn_worker);
    lua_setfield(L, -2, "spawn_worker");
}
