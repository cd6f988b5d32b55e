/* lua_console.c - the Lua module `console`: what lua/stance/console.lua stands on.
 *
 * The newest registration (console.serve) gets the requests of all sessions, so that a vm which
 * takes over takes them at once; one that runs in an older vm ends there, at the latest when that
 * vm closes. Each request runs in a fiber of its own; what it evaluates runs in another one, its
 * task, under the request's guard. An interrupt stops the guard, even from a loop that is stuck
 * (net/console.h), and ends the task's waits; the request's own fiber goes on and answers. */
#include "bind/lua_console.h"

#include <stdlib.h>
#include <string.h>

#include "bind/lua_fiber.h"
#include "bind/modules.h"
#include "core/guard.h"
#include "core/log.h"
#include "net/console.h"

static const char session_type[] = "stance.console.session";
static const char registration_type[] = "stance.console.registration";

enum { HELD_MAX = 1 << 20 /* unread bytes beyond which a writer waits */ };

struct registration {
    struct vm_owned owned;
    struct lua_console *service; /* NULL: closed */
    lua_State *L;
    int handler_ref;
};

/* The Lua side of a session; one a vm. */
struct handle {
    struct handle *next, **previous;
    struct face *face; /* NULL: the client is gone */
    lua_State *L;
    int ref; /* keeps it for the next request */
};

struct write_wait {
    struct wait wait;
    struct write_wait *next, **previous;
    struct face *face;
    size_t size;
    char text[];
};

/* A session, as the loop thread sees it. */
struct face {
    struct face *next, **previous;
    struct lua_console *service;
    struct console_session *session; /* NULL: the client is gone */
    struct handle *handles;
    struct write_wait *writers;
    uint32_t id;                  /* of the request under way; 0: none */
    uint32_t last_id;             /* of the one before, which may have left fibers that print */
    struct registration *running; /* where the request runs */
    struct guard *guard;
    struct fiber *task; /* what an interrupt cancels; may be NULL */
    unsigned requests;  /* so far */
};

struct lua_console {
    struct console *console;
    struct registration *current;
    struct face *faces;
};

/* -- Sessions ---------------------------------------------------------------------------------- */

static struct face *face_of(struct lua_console *service, struct console_session *session) {
    struct face *face = console_user(session);
    if (face != NULL)
        return face;
    face = calloc(1, sizeof *face);
    if (face == NULL)
        return NULL;
    face->service = service;
    face->session = session;
    face->next = service->faces;
    face->previous = &service->faces;
    if (face->next != NULL)
        face->next->previous = &face->next;
    service->faces = face;
    console_set_user(session, face);
    return face;
}

static void unlink_writer(struct write_wait *writer) {
    if (writer->previous == NULL)
        return;
    *writer->previous = writer->next;
    if (writer->next != NULL)
        writer->next->previous = writer->previous;
    writer->previous = NULL;
}

static void forget_handle(struct handle *handle) {
    if (handle->face == NULL)
        return;
    handle->face = NULL;
    *handle->previous = handle->next;
    if (handle->next != NULL)
        handle->next->previous = handle->previous;
}

/* When the client is gone and its request is over. */
static void free_face(struct face *face) {
    while (face->writers != NULL) {
        struct write_wait *writer = face->writers;
        unlink_writer(writer);
        writer->face = NULL;
        wait_finish(&writer->wait);
    }
    while (face->handles != NULL) {
        struct handle *handle = face->handles;
        forget_handle(handle);
        luaL_unref(handle->L, LUA_REGISTRYINDEX, handle->ref);
    }
    *face->previous = face->next;
    if (face->next != NULL)
        face->next->previous = face->previous;
    free(face);
}

static void push_session(lua_State *L, struct face *face) {
    lua_State *main = vm_lua(vm_of(L));
    for (struct handle *handle = face->handles; handle != NULL; handle = handle->next)
        if (handle->L == main) {
            lua_rawgeti(L, LUA_REGISTRYINDEX, handle->ref);
            return;
        }
    struct handle *handle = lua_newuserdata(L, sizeof *handle);
    *handle = (struct handle){.next = face->handles, .previous = &face->handles, .L = main};
    lua_pushvalue(L, -1);
    handle->ref = luaL_ref(L, LUA_REGISTRYINDEX);
    if (handle->next != NULL)
        handle->next->previous = &handle->next;
    face->handles = handle;
    handle->face = face;
    luaL_getmetatable(L, session_type);
    lua_setmetatable(L, -2);
}

static struct face *check_face(lua_State *L) {
    return ((struct handle *)luaL_checkudata(L, 1, session_type))->face;
}

static int session_gc(lua_State *L) {
    forget_handle(lua_touserdata(L, 1));
    return 0;
}

/* -- Requests ---------------------------------------------------------------------------------- */

/* Answers and lets go; json NULL: with the error. */
static void finish(struct face *face, const char *json, size_t size, const struct err *err) {
    uint32_t id = face->id;
    guard_release(face->guard);
    fiber_release(face->task);
    face->guard = NULL;
    face->task = NULL;
    face->running = NULL;
    face->id = 0;
    if (face->session == NULL) {
        free_face(face);
        return;
    }
    char words[800];
    if (json == NULL) {
        /* Our own words only: they need no escapes but for quotes, which are not among them. */
        size = (size_t)snprintf(words, sizeof words,
                                "{\"ok\":false,\"error\":{\"code\":\"%s\",\"message\":\"%s\"}}",
                                err_name(err->code), err->message);
        json = words;
    }
    console_answer(face->session, id, json, size);
}

static void fail(struct face *face, enum err_code code, const char *message) {
    struct err err;
    err_set(&err, code, "%s", message);
    finish(face, NULL, 0, &err);
}

static void request_ended(struct fiber *fiber, lua_State *co, int count, const struct err *err,
                          void *arg) {
    (void)fiber;
    struct face *face = arg;
    size_t size;
    const char *json = err == NULL && count > 0 ? lua_tolstring(co, -count, &size) : NULL;
    if (json != NULL) {
        finish(face, json, size, NULL);
        return;
    }
    log_error("console", "a request failed: %s", err ? err->message : "it gave no answer");
    fail(face, ERR_INTERNAL, "the console itself failed: the host's log has the reason");
}

struct start {
    struct face *face;
    const char *payload;
    size_t size;
};

/* start_request(start): runs handler(session, payload) in a fiber. */
static int start_request(lua_State *L) {
    const struct start *start = lua_touserdata(L, 1);
    struct face *face = start->face;
    lua_rawgeti(L, LUA_REGISTRYINDEX, face->running->handler_ref);
    push_session(L, face);
    lua_pushlstring(L, start->payload, start->size);
    struct err err;
    if (fiber_start(L, 2, "console", request_ended, face, NULL, &err) != 0)
        return luaL_error(L, "%s", err.message);
    return 0;
}

static void on_request(struct console_session *session, uint32_t id, const char *payload,
                       size_t size, void *arg) {
    struct lua_console *service = arg;
    struct face *face = face_of(service, session);
    if (face == NULL) {
        console_answer(session, id, "{}", 2);
        return;
    }
    face->id = face->last_id = id;
    face->requests++;
    face->running = service->current;
    if (face->running == NULL) {
        fail(face, ERR_CLOSED, "no scripts serve the console at the moment: try again");
        return;
    }
    face->guard = guard_new(0);
    if (face->guard == NULL) {
        fail(face, ERR_NO_MEMORY, "out of memory");
        return;
    }
    console_set_guard(session, id, face->guard);
    lua_State *L = face->running->L;
    struct start start = {face, payload, size};
    struct err err;
    lua_pushcfunction(L, start_request);
    lua_pushlightuserdata(L, &start);
    if (vm_call(L, 1, 0, &err) != 0) {
        log_error("console", "a request could not start: %s", err.message);
        fail(face, ERR_BUSY, "the request could not start: the host's log has the reason");
    }
}

static void on_interrupt(struct console_session *session, uint32_t id, void *arg) {
    (void)arg;
    struct face *face = console_user(session);
    if (face != NULL && face->id == id && face->task != NULL)
        fiber_cancel(face->task, "interrupted");
}

/* Lets writers go on as long as there is room. */
static void on_drained(struct console_session *session, void *arg) {
    (void)arg;
    struct face *face = console_user(session);
    while (face->writers != NULL && console_queued(session) <= HELD_MAX) {
        struct write_wait *writer = face->writers;
        unlink_writer(writer);
        wait_finish(&writer->wait);
    }
    if (face->writers != NULL)
        console_wait_drained(session);
}

static void on_closed(struct console_session *session, void *arg) {
    (void)arg;
    struct face *face = console_user(session);
    if (face == NULL)
        return;
    face->session = NULL;
    if (face->id == 0)
        free_face(face);
    else if (face->task != NULL)
        fiber_cancel(face->task, "the console is gone");
}

/* -- What a request does with its session ------------------------------------------------------ */

static int fail_gone(lua_State *L) {
    return vm_failf(L, ERR_CLOSED, "the console is gone");
}

static int write_now(lua_State *L, struct face *face, const char *text, size_t size) {
    int code = face->session != NULL ? console_output(face->session, face->last_id, text, size)
                                     : ERR_CLOSED;
    if (code == ERR_BUSY)
        return vm_failf(L, ERR_BUSY, "the console does not read what it is sent");
    if (code != 0)
        return fail_gone(L);
    lua_pushboolean(L, 1);
    return 1;
}

static int write_push(lua_State *L, struct wait *wait) {
    struct write_wait *writer = (struct write_wait *)wait;
    return writer->face ? write_now(L, writer->face, writer->text, writer->size) : fail_gone(L);
}

static void write_cancel(struct wait *wait) {
    unlink_writer((struct write_wait *)wait);
}

static void write_free(struct wait *wait) {
    free(wait);
}

/* session:write(text) -> true | nil, err: waits while much is unread */
static int session_write(lua_State *L) {
    static const struct wait_ops ops = {write_push, write_cancel, write_free};
    struct face *face = check_face(L);
    size_t size;
    const char *text = luaL_checklstring(L, 2, &size);
    if (face == NULL || face->session == NULL)
        return fail_gone(L);
    if (console_queued(face->session) <= HELD_MAX)
        return write_now(L, face, text, size);
    fiber_check(L);
    struct write_wait *writer = malloc(sizeof *writer + size);
    if (writer == NULL)
        return vm_failf(L, ERR_NO_MEMORY, "out of memory");
    *writer = (struct write_wait){.face = face, .size = size};
    memcpy(writer->text, text, size);
    struct write_wait **last = &face->writers;
    while (*last != NULL)
        last = &(*last)->next;
    writer->previous = last;
    *last = writer;
    console_wait_drained(face->session);
    return wait_begin(L, &writer->wait, &ops);
}

/* session:guard(fiber): the fiber, which has not run yet, is what an interrupt ends. */
static int session_guard(lua_State *L) {
    struct face *face = check_face(L);
    struct fiber *task = lua_fiber_check(L, 2);
    if (face == NULL || face->guard == NULL)
        return luaL_error(L, "no request is under way");
    fiber_set_guard(task, face->guard);
    fiber_retain(task);
    fiber_release(face->task);
    face->task = task;
    if (face->session == NULL)
        fiber_cancel(task, "the console is gone");
    else if (console_interrupted(face->session))
        fiber_cancel(task, "interrupted");
    return 0;
}

/* session:unguard(fiber): lets it outlive the request that spawned it. */
static int session_unguard(lua_State *L) {
    check_face(L);
    fiber_set_guard(lua_fiber_check(L, 2), NULL);
    return 0;
}

static int session_was_interrupted(lua_State *L) {
    struct face *face = check_face(L);
    lua_pushboolean(L, face == NULL || face->session == NULL || console_interrupted(face->session));
    return 1;
}

/* session:peer() -> { user=, uid=, pid=, number=, requests= } | nil when it is gone */
static int session_peer(lua_State *L) {
    struct face *face = check_face(L);
    if (face == NULL || face->session == NULL)
        return 0;
    const struct console_peer *peer = console_peer(face->session);
    lua_createtable(L, 0, 5);
    lua_pushnumber(L, face->requests);
    lua_setfield(L, -2, "requests");
    lua_pushstring(L, peer->user);
    lua_setfield(L, -2, "user");
    lua_pushnumber(L, peer->uid);
    lua_setfield(L, -2, "uid");
    lua_pushinteger(L, peer->pid);
    lua_setfield(L, -2, "pid");
    lua_pushnumber(L, peer->number);
    lua_setfield(L, -2, "number");
    return 1;
}

static int session_is_open(lua_State *L) {
    struct face *face = check_face(L);
    lua_pushboolean(L, face != NULL && face->session != NULL);
    return 1;
}

static int session_tostring(lua_State *L) {
    struct face *face = check_face(L);
    if (face == NULL || face->session == NULL)
        lua_pushliteral(L, "console (gone)");
    else
        lua_pushfstring(L, "console %d", (int)console_peer(face->session)->number);
    return 1;
}

/* -- Serving ----------------------------------------------------------------------------------- */

static void close_registration(struct vm_owned *owned) {
    struct registration *registration = (struct registration *)owned;
    struct lua_console *service = registration->service;
    if (service == NULL)
        return;
    registration->service = NULL;
    if (service->current == registration)
        service->current = NULL;
    struct face *next;
    for (struct face *face = service->faces; face != NULL; face = next) {
        next = face->next;
        if (face->running == registration) /* its vm is closing, and has ended the fibers */
            fail(face, ERR_CANCELLED, "the scripts were replaced while this ran");
    }
}

static struct lua_console *service_of(lua_State *L) {
    return services_of(L)->console;
}

/* console.serve{ handler = function(session, payload) return answer end } -> registration */
static int console_serve(lua_State *L) {
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_getfield(L, 1, "handler");
    luaL_argcheck(L, lua_isfunction(L, -1), 1, "handler must be a function");
    struct lua_console *service = service_of(L);
    if (service == NULL)
        return vm_failf(L, ERR_UNSUPPORTED, "this process has no console");
    struct registration *registration = lua_newuserdata(L, sizeof *registration);
    memset(registration, 0, sizeof *registration);
    luaL_getmetatable(L, registration_type);
    lua_setmetatable(L, -2);
    registration->L = vm_lua(vm_of(L));
    lua_pushvalue(L, -1);
    luaL_ref(L, LUA_REGISTRYINDEX); /* as long as the vm: requests run where they began */
    lua_pushvalue(L, -2);
    registration->handler_ref = luaL_ref(L, LUA_REGISTRYINDEX);
    registration->service = service;
    vm_own(vm_of(L), &registration->owned, close_registration);
    service->current = registration;
    return 1;
}

/* registration:close(): no further requests come here; those that run go on. */
static int registration_close(lua_State *L) {
    struct registration *registration = luaL_checkudata(L, 1, registration_type);
    if (registration->service != NULL && registration->service->current == registration)
        registration->service->current = NULL;
    return 0;
}

/* console.current() -> the session whose request the running fiber belongs to | nil */
static int console_current(lua_State *L) {
    struct lua_console *service = service_of(L);
    struct fiber *fiber = fiber_current(L);
    struct guard *guard = fiber != NULL ? fiber_guard(fiber) : NULL;
    for (struct face *face = service && guard ? service->faces : NULL; face; face = face->next)
        if (face->session != NULL && console_has_guard(face->session, guard)) {
            push_session(L, face);
            return 1;
        }
    return 0;
}

/* console.modules() -> names of the modules written in C */
static int console_modules(lua_State *L) {
    lua_newtable(L);
    for (int i = 0; bind_modules[i].name != NULL; i++) {
        lua_pushstring(L, bind_modules[i].name);
        lua_rawseti(L, -2, i + 1);
    }
    return 1;
}

/* console.metatable(value) -> its metatable, also a locked one: to look, not to touch */
static int console_metatable(lua_State *L) {
    luaL_checkany(L, 1);
    return lua_getmetatable(L, 1) ? 1 : 0;
}

/* -- The service ------------------------------------------------------------------------------- */

int lua_console_open(struct services *services, const char *path, struct err *err) {
    static const struct console_callbacks callbacks = {on_request, on_interrupt, on_drained,
                                                       on_closed};
    struct lua_console *service = calloc(1, sizeof *service);
    if (service == NULL)
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    int code = console_open(services->loop, path, &callbacks, service, &service->console, err);
    if (code != 0) {
        free(service);
        return code;
    }
    services->console = service;
    return 0;
}

void lua_console_close(struct services *services) {
    struct lua_console *service = services->console;
    if (service == NULL)
        return;
    services->console = NULL;
    console_close(service->console);
    loop_post(services->loop, free, service); /* behind the ends of its sessions */
}

/* -- The module -------------------------------------------------------------------------------- */

static const luaL_Reg methods[] = {
    {"guard", session_guard},
    {"unguard", session_unguard},
    {"was_interrupted", session_was_interrupted},
    {"peer", session_peer},
    {"is_open", session_is_open},
    {NULL, NULL},
};

static const luaL_Reg waiting_methods[] = {
    {"write", session_write},
    {NULL, NULL},
};

static const luaL_Reg meta[] = {
    {"__gc", session_gc},
    {"__tostring", session_tostring},
    {NULL, NULL},
};

static const luaL_Reg registration_methods[] = {
    {"close", registration_close},
    {NULL, NULL},
};

static const luaL_Reg functions[] = {
    {"serve", console_serve},
    {"current", console_current},
    {"modules", console_modules},
    {"metatable", console_metatable},
    {NULL, NULL},
};

int lua_open_console(lua_State *L) {
    vm_new_type(L, registration_type, registration_methods, (const luaL_Reg[]){{NULL, NULL}});
    vm_new_type(L, session_type, methods, meta);
    lua_getfield(L, -1, "__index");
    fiber_register(L, waiting_methods);
    lua_pop(L, 3);
    lua_newtable(L);
    luaL_register(L, NULL, functions);
    lua_console_add_definitions(L);
    return 1;
}
