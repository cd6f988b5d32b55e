/* lua_host_worker.c - host.spawn_worker, host.workers, host.serve_workers: worker processes, seen
 * from the host's scripts.
 *
 * The processes belong to the host, not to a vm: they outlive generations. The vm that last called
 * serve_workers answers their requests, each in a fiber of its own; what its handler returns (a
 * string) is the reply. */
#include "bind/lua_host.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/child.h"
#include "core/config.h"
#include "core/launch.h"
#include "core/log.h"
#include "core/metrics_process.h"

static const char worker_type[] = "stance.worker";

enum { ARGV_MAX = 64 };

struct worker {
    struct worker *next;
    struct workers *all; /* NULL: the host is going */
    struct child *child; /* NULL: no process of it runs or will */
    int references;      /* the list's, Lua's handles, requests being handled */
    unsigned life; /* counts processes: an answer to a dead one must not reach its successor */
    char name[32], generation[32];
    char id[64]; /* "NAME/PID" of the process that is up or was last; "" before the first */
};

/* A vm that answers: who asks it, and what it has not answered yet. */
struct front {
    struct vm_owned owned;
    struct workers *all;
    lua_State *L;
    int handler_ref, exit_ref;
    struct pending *pending;
};

struct workers {
    struct worker *first;
    struct front *front; /* of the present generation */
};

struct pending {
    struct pending *next, **previous; /* of its front */
    struct worker *worker;
    unsigned life;
    uint64_t id;
};

/* -- Workers ----------------------------------------------------------------------------------- */

static void worker_release(struct worker *worker) {
    if (--worker->references == 0)
        free(worker);
}

static struct worker *check_worker(lua_State *L) {
    return *(struct worker **)luaL_checkudata(L, 1, worker_type);
}

static void push_worker(lua_State *L, struct worker *worker) {
    struct worker **handle = lua_newuserdata(L, sizeof *handle);
    *handle = worker;
    worker->references++;
    luaL_getmetatable(L, worker_type);
    lua_setmetatable(L, -2);
}

static void take_out(struct worker *worker) {
    struct worker **link = &worker->all->first;
    while (*link != worker)
        link = &(*link)->next;
    *link = worker->next;
    worker->all = NULL;
    worker_release(worker);
}

void lua_host_free_workers(struct workers *all) {
    if (all == NULL)
        return;
    while (all->first != NULL) {
        child_free(all->first->child);
        all->first->child = NULL;
        take_out(all->first);
    }
    free(all);
}

/* -- Requests ---------------------------------------------------------------------------------- */

static void end_pending(struct pending *pending) {
    *pending->previous = pending->next;
    if (pending->next != NULL)
        pending->next->previous = pending->previous;
    worker_release(pending->worker);
    free(pending);
}

static void reply(const struct pending *pending, bool ok, const char *text, size_t size) {
    struct worker *worker = pending->worker;
    struct link *link = worker->child ? child_link(worker->child) : NULL;
    if (link == NULL || worker->life != pending->life)
        return;
    struct err err;
    if (link_reply(link, pending->id, ok, text, size, &err) != 0)
        log_warn("host", "no reply to %s: %s", worker->name, err.message);
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
    end_pending(pending);
}

static void on_request(struct link *link, uint64_t id, const char *payload, size_t size,
                       void *arg) {
    struct worker *worker = arg;
    struct front *front = worker->all ? worker->all->front : NULL;
    struct pending *pending = front ? malloc(sizeof *pending) : NULL;
    struct err err;
    if (pending == NULL) {
        static const char words[] = "the host takes no requests now";
        link_reply(link, id, false, words, sizeof words - 1, &err);
        return;
    }
    *pending = (struct pending){front->pending, &front->pending, worker, worker->life, id};
    if (pending->next != NULL)
        pending->next->previous = &pending->next;
    front->pending = pending;
    worker->references++;
    lua_State *L = front->L;
    lua_rawgeti(L, LUA_REGISTRYINDEX, front->handler_ref);
    lua_pushstring(L, worker->id);
    lua_pushlstring(L, payload, size);
    if (fiber_start(L, 2, "worker request", handler_ended, pending, NULL, &err) != 0) {
        reply(pending, false, err.message, strlen(err.message));
        end_pending(pending);
    }
}

/* -- Life -------------------------------------------------------------------------------------- */

static void on_link(struct child *child, struct link *link, void *arg) {
    (void)link;
    struct worker *worker = arg;
    worker->life++;
    snprintf(worker->id, sizeof worker->id, "%s/%d", worker->name, (int)child_pid(child));
}

static void push_end(lua_State *L, const struct child_exit *end) {
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
}

static void on_process_exit(struct child *child, const struct child_exit *end, void *arg) {
    (void)child;
    struct worker *worker = arg;
    worker->life++;
    struct front *front = worker->all ? worker->all->front : NULL;
    if (front == NULL)
        return;
    lua_State *L = front->L;
    lua_rawgeti(L, LUA_REGISTRYINDEX, front->exit_ref);
    lua_pushstring(L, worker->id);
    push_end(L, end);
    struct err err;
    if (fiber_start(L, 2, "worker exit", NULL, NULL, NULL, &err) != 0)
        log_error("host", "%s", err.message);
}

static void on_gone(struct child *child, void *arg) {
    struct worker *worker = arg;
    worker->child = NULL;
    child_free(child);
    if (worker->all != NULL)
        take_out(worker);
}

/* -- Spawning ---------------------------------------------------------------------------------- */

static struct workers *all_workers(struct services *services) {
    if (services->workers == NULL)
        services->workers = calloc(1, sizeof *services->workers);
    return services->workers;
}

/* host.spawn_worker{name=, index=, generation=} -> worker | nil, err */
static int spawn_worker(lua_State *L) {
    struct services *services = services_of(L);
    luaL_checktype(L, 1, LUA_TTABLE);
    char exe[LAUNCH_PATH_SIZE], index[16];
    struct err err;
    if (launch_own_program(exe, &err) != 0)
        return vm_fail(L, &err);
    snprintf(index, sizeof index, "%d", (int)vm_opt_number(L, 1, "index", 1));
    struct workers *all = all_workers(services);
    struct worker *worker = all ? calloc(1, sizeof *worker) : NULL;
    if (worker == NULL)
        return vm_failf(L, ERR_NO_MEMORY, "out of memory");
    worker->all = all;
    worker->references = 1;
    snprintf(worker->name, sizeof worker->name, "%s", vm_opt_string(L, 1, "name", "worker"));
    snprintf(worker->generation, sizeof worker->generation, "%s",
             vm_opt_string(L, 1, "generation", ""));

    const char *argv[ARGV_MAX] = {exe,   "worker",       "--index",
                                  index, "--generation", worker->generation};
    char *settings[ARGV_MAX];
    config_to_flags(services->config, argv, 6, ARGV_MAX, settings);
    struct child_options options = {
        .name = worker->name,
        .argv = argv,
        .restart = true,
        .link = {.callbacks = {.request = on_request}, .arg = worker},
        .on_link = on_link,
        .on_exit = on_process_exit,
        .on_gone = on_gone,
        .arg = worker,
    };
    int code = child_spawn(services->loop, &options, &worker->child, &err);
    for (size_t i = 0; settings[i] != NULL; i++)
        free(settings[i]);
    if (code != 0) {
        free(worker);
        return vm_fail(L, &err);
    }
    struct worker **last = &all->first;
    while (*last != NULL)
        last = &(*last)->next;
    *last = worker;
    push_worker(L, worker);
    return 1;
}

/* host.workers() -> { worker, ... }: those that have a process or will have one, oldest first */
static int list_workers(lua_State *L) {
    struct workers *all = services_of(L)->workers;
    int count = 0;
    lua_newtable(L);
    for (struct worker *worker = all ? all->first : NULL; worker != NULL; worker = worker->next) {
        push_worker(L, worker);
        lua_rawseti(L, -2, ++count);
    }
    return 1;
}

/* -- Serving ----------------------------------------------------------------------------------- */

/* What this vm has not answered, nobody will. */
static void front_close(struct vm_owned *owned) {
    struct front *front = (struct front *)owned;
    static const char words[] = "the scripts that were to answer are gone; ask again";
    while (front->pending != NULL) {
        reply(front->pending, false, words, sizeof words - 1);
        end_pending(front->pending);
    }
    if (front->all->front == front)
        front->all->front = NULL;
    free(front);
}

static int take_function(lua_State *L, const char *field) {
    lua_getfield(L, 1, field);
    if (!lua_isfunction(L, -1))
        luaL_error(L, "option '%s' must be a function", field);
    return luaL_ref(L, LUA_REGISTRYINDEX);
}

/* host.serve_workers{handler=function(id, request) -> reply, on_exit=function(id, end)} */
static int serve_workers(lua_State *L) {
    luaL_checktype(L, 1, LUA_TTABLE);
    int handler_ref = take_function(L, "handler"), exit_ref = take_function(L, "on_exit");
    struct workers *all = all_workers(services_of(L));
    struct front *front = all ? calloc(1, sizeof *front) : NULL;
    if (front == NULL)
        return luaL_error(L, "out of memory");
    *front = (struct front){
        .all = all, .L = vm_lua(vm_of(L)), .handler_ref = handler_ref, .exit_ref = exit_ref};
    vm_own(vm_of(L), &front->owned, front_close);
    all->front = front;
    return 0;
}

/* -- Methods ----------------------------------------------------------------------------------- */

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

static int worker_name(lua_State *L) {
    lua_pushstring(L, check_worker(L)->name);
    return 1;
}

static int worker_generation(lua_State *L) {
    lua_pushstring(L, check_worker(L)->generation);
    return 1;
}

/* worker:id(): "NAME/PID" of the process that is up, or nil */
static int worker_id(lua_State *L) {
    struct worker *worker = check_worker(L);
    if (worker->child == NULL || child_pid(worker->child) == 0 || worker->id[0] == 0)
        return 0;
    lua_pushstring(L, worker->id);
    return 1;
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

/* worker:usage() -> {resident=, cpu_seconds=, threads=, queued_bytes=} | nil when it is not up */
static int worker_usage(lua_State *L) {
    struct worker *worker = check_worker(L);
    struct process_usage usage;
    pid_t pid = worker->child ? child_pid(worker->child) : 0;
    if (pid == 0 || !process_read_usage(pid, &usage))
        return 0;
    struct link *link = child_link(worker->child);
    lua_createtable(L, 0, 4);
    lua_pushnumber(L, usage.resident);
    lua_setfield(L, -2, "resident");
    lua_pushnumber(L, usage.cpu_seconds);
    lua_setfield(L, -2, "cpu_seconds");
    lua_pushnumber(L, usage.threads);
    lua_setfield(L, -2, "threads");
    lua_pushnumber(L, link ? (lua_Number)link_queued(link) : 0);
    lua_setfield(L, -2, "queued_bytes");
    return 1;
}

/* worker:is_gone(): no process of it runs, or will. */
static int worker_is_gone(lua_State *L) {
    lua_pushboolean(L, check_worker(L)->child == NULL);
    return 1;
}

static int worker_gc(lua_State *L) {
    worker_release(*(struct worker **)lua_touserdata(L, 1));
    return 0;
}

static int worker_tostring(lua_State *L) {
    struct worker *worker = check_worker(L);
    if (worker->child == NULL)
        lua_pushfstring(L, "%s (gone)", worker->name);
    else
        lua_pushfstring(L, "%s (pid %d)", worker->name, (int)child_pid(worker->child));
    return 1;
}

static const luaL_Reg methods[] = {
    {"send", worker_send},
    {"stop", worker_stop},
    {"name", worker_name},
    {"generation", worker_generation},
    {"id", worker_id},
    {"pid", worker_pid},
    {"restarts", worker_restarts},
    {"is_gone", worker_is_gone},
    {"usage", worker_usage},
    {NULL, NULL},
};

static const luaL_Reg meta[] = {
    {"__gc", worker_gc},
    {"__tostring", worker_tostring},
    {NULL, NULL},
};

static const luaL_Reg functions[] = {
    {"spawn_worker", spawn_worker},
    {"workers", list_workers},
    {"serve_workers", serve_workers},
    {NULL, NULL},
};

void lua_host_add_workers(lua_State *L) {
    vm_new_type(L, worker_type, methods, meta);
    lua_pop(L, 1);
    luaL_register(L, NULL, functions);
}
