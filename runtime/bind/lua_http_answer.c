/* lua_http_answer.c - from what a handler returned to an answer on the wire.
 *
 * A handler returns status, body, headers; the body is nil, a string, a table (JSON), an open file,
 * or a function(writer) that runs in a fiber of its own and streams. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "bind/lua_fs.h"
#include "bind/lua_http.h"
#include "bind/lua_ws.h"
#include "core/log.h"
#include "net/static.h"

static const char writer_type[] = "stance.http.writer";

enum { HEADERS_MAX = 64 };

struct answer {
    int status;
    struct net_header headers[HEADERS_MAX + 1];
    size_t header_count;
    bool has_type;
};

/* What runs protected in the fiber's own state: it may raise. */
struct answering {
    struct lua_request *request;
    int base; /* stack index of the status */
};

/* -- Heads ------------------------------------------------------------------------------------- */

static void add_header(lua_State *L, struct answer *answer, const char *name, int value) {
    if (answer->header_count == HEADERS_MAX)
        luaL_error(L, "an answer has more than %d headers", HEADERS_MAX);
    if (!lua_isstring(L, value))
        luaL_error(L, "header %s must be a string", name);
    if (strcasecmp(name, "content-type") == 0)
        answer->has_type = true;
    /* The number becomes a string in place, in the table's slot copy on the stack, which stays
     * there. */
    answer->headers[answer->header_count++] = (struct net_header){name, lua_tostring(L, value)};
}

/* Leaves the strings' owners on the stack until the answer is out. */
static void read_headers(lua_State *L, struct answer *answer, int index) {
    if (lua_isnoneornil(L, index))
        return;
    if (!lua_istable(L, index))
        luaL_error(L, "an answer's headers must be a table");
    lua_pushnil(L);
    while (lua_next(L, index) != 0) {
        if (lua_type(L, -2) != LUA_TSTRING)
            luaL_error(L, "an answer's header names must be strings");
        luaL_checkstack(L, 8, "too many headers");
        if (lua_istable(L, -1)) {
            int list = lua_gettop(L);
            for (int i = 1; i <= (int)lua_objlen(L, list); i++) {
                lua_rawgeti(L, list, i);
                add_header(L, answer, lua_tostring(L, list - 1), lua_gettop(L));
            }
            lua_pushvalue(L, list - 1);
        } else {
            add_header(L, answer, lua_tostring(L, -2), lua_gettop(L));
            lua_pushvalue(L, -2);
        }
    }
}

static void set_type(struct answer *answer, const char *type) {
    if (!answer->has_type)
        answer->headers[answer->header_count++] = (struct net_header){"Content-Type", type};
}

/* -- Bodies ------------------------------------------------------------------------------------ */

static void send_text(lua_State *L, struct net_request *net, struct answer *answer, int index) {
    size_t size;
    const char *body = lua_tolstring(L, index, &size);
    if (net_respond(net, answer->status, answer->headers, answer->header_count, body, size) ==
        ERR_INVALID)
        luaL_error(L, "an answer's header has a forbidden character");
}

static void send_json(lua_State *L, struct lua_request *request, struct answer *answer, int index) {
    lua_rawgeti(L, LUA_REGISTRYINDEX, request->server->encode_ref);
    lua_pushvalue(L, index);
    lua_call(L, 1, 1);
    set_type(answer, "application/json");
    send_text(L, request->net, answer, lua_gettop(L));
}

static void send_file(lua_State *L, struct net_request *net, struct answer *answer, int index) {
    int64_t size = 0;
    int fd = lua_file_fd(L, index, &size);
    if (fd < 0)
        luaL_error(L, "an answer's body must be nil, a string, a table, a file or a function");
    fd = dup(fd);
    if (fd < 0)
        luaL_error(L, "no descriptor left to send a file");
    set_type(answer, "application/octet-stream");
    if (net_send_file(net, answer->status, answer->headers, answer->header_count, fd, size) ==
        ERR_INVALID)
        luaL_error(L, "an answer's header has a forbidden character");
}

static void writer_ended(struct fiber *fiber, lua_State *co, int result_count,
                         const struct err *err, void *arg);

/* begin(writer): the first thing in the writer's fiber. */
static int begin_writer(lua_State *L) {
    struct lua_request **writer = luaL_checkudata(L, 1, writer_type);
    struct lua_request *request = *writer;
    if (request == NULL)
        return 0;
    request->fiber = fiber_current(L);
    if (request->net != NULL)
        lua_http_mark_fiber(request->fiber, request->net);
    return 0;
}

static const char stream_text[] = "local begin = ...\n"
                                  "return function(body, writer)\n"
                                  "  begin(writer)\n"
                                  "  return body(writer)\n"
                                  "end\n";

static const char stream_key;

static void send_stream(lua_State *L, struct lua_request *request, struct answer *answer,
                        int index) {
    set_type(answer, "application/octet-stream");
    int64_t length = -1;
    for (size_t i = 0; i < answer->header_count; i++)
        if (strcasecmp(answer->headers[i].name, "content-length") == 0) {
            length = strtoll(answer->headers[i].value, NULL, 10);
            answer->headers[i] = answer->headers[--answer->header_count];
        }
    if (net_respond_start(request->net, answer->status, answer->headers, answer->header_count,
                          length) == ERR_INVALID)
        luaL_error(L, "an answer's header has a forbidden character");
    if (request->net == NULL)
        return;
    lua_pushlightuserdata(L, (void *)&stream_key);
    lua_rawget(L, LUA_REGISTRYINDEX);
    lua_pushvalue(L, index);
    struct lua_request **writer = lua_newuserdata(L, sizeof *writer);
    *writer = request;
    luaL_getmetatable(L, writer_type);
    lua_setmetatable(L, -2);
    request->streaming = true;
    struct err err;
    if (fiber_start(L, 2, "http stream", writer_ended, request, NULL, &err) < 0) {
        request->streaming = false;
        net_request_abort(request->net);
    }
}

/* answer(lightuserdata answering, results...): raises what is wrong with the results. */
static int answer_protected(lua_State *L) {
    struct lua_request *request = lua_touserdata(L, 1);
    struct answer answer = {0};
    if (lua_type(L, 2) != LUA_TNUMBER)
        return luaL_error(L, "a handler must return a status, not %s", luaL_typename(L, 2));
    answer.status = (int)lua_tointeger(L, 2);
    if (answer.status < 200 || answer.status > 599)
        return luaL_error(L, "a handler returned status %d", answer.status);
    lua_settop(L, 4);
    read_headers(L, &answer, 4);
    switch (lua_type(L, 3)) {
    case LUA_TNIL:
        net_respond(request->net, answer.status, answer.headers, answer.header_count, NULL, 0);
        break;
    case LUA_TSTRING:
        set_type(&answer, "text/plain; charset=utf-8");
        send_text(L, request->net, &answer, 3);
        break;
    case LUA_TTABLE:
        send_json(L, request, &answer, 3);
        break;
    case LUA_TFUNCTION:
        send_stream(L, request, &answer, 3);
        break;
    default:
        send_file(L, request->net, &answer, 3);
    }
    return 0;
}

/* -- Ends -------------------------------------------------------------------------------------- */

static void answer_failure(struct lua_request *request, const struct err *err, const char *trace) {
    struct net_request *net = request->net;
    if (err->code == ERR_TIMEOUT) {
        net_respond_problem(net, 504, "timeout", "the handler gave no answer in time");
        return;
    }
    const struct http_head *head = net_request_head(net);
    struct log_field field = {"requestId", net_request_id(net), false};
    char line[1024];
    snprintf(line, sizeof line, "the handler of %s %.*s failed: %s%s%s",
             http_method_name(head->method), (int)head->path.size, head->path.at, err->message,
             trace[0] ? "\n" : "", trace);
    log_write(LOG_ERROR, "http", line, &field, 1);
    net_respond_problem(net, 500, "internal", "the request could not be answered; see the log");
}

void lua_http_handler_ended(struct fiber *fiber, lua_State *co, int result_count,
                            const struct err *err, void *arg) {
    (void)fiber;
    struct lua_request *request = arg;
    request->fiber = NULL;
    if (request->upgraded) {
        lua_rawgeti(co, LUA_REGISTRYINDEX, request->self_ref);
        lua_getfenv(co, -1);
        lua_getfield(co, -1, "socket");
        bool failed = err != NULL && err->code != ERR_CANCELLED;
        if (failed)
            log_error("http", "a WebSocket's handler failed: %s\n%s", err->message,
                      vm_traceback(vm_of(co)));
        if (!lua_isnil(co, -1))
            lua_ws_finish(co, -1, failed ? 1011 : 1000, failed ? "internal error" : "");
        lua_settop(co, 0);
    } else if (request->net != NULL) {
        struct err failure;
        if (err == NULL) {
            lua_pushcfunction(co, answer_protected);
            lua_insert(co, -1 - result_count);
            lua_pushlightuserdata(co, request);
            lua_insert(co, -1 - result_count);
            if (vm_call(co, result_count + 1, 0, &failure) < 0 && request->net != NULL)
                answer_failure(request, &failure, vm_traceback(vm_of(co)));
        } else {
            answer_failure(request, err, vm_traceback(vm_of(co)));
        }
    }
    if (!request->streaming)
        lua_http_let_go(request);
}

static void writer_ended(struct fiber *fiber, lua_State *co, int result_count,
                         const struct err *err, void *arg) {
    (void)fiber;
    (void)result_count;
    struct lua_request *request = arg;
    request->fiber = NULL;
    request->streaming = false;
    if (request->net != NULL && err != NULL) {
        if (err->code != ERR_CANCELLED)
            log_error("http", "a streamed answer failed: %s\n%s", err->message,
                      vm_traceback(vm_of(co)));
        net_request_abort(request->net); /* half an answer must not look like a whole one */
    } else if (request->net != NULL) {
        net_respond_end(request->net);
    }
    lua_http_let_go(request);
}

/* -- Writers ----------------------------------------------------------------------------------- */

struct write_wait {
    struct wait wait;
    struct lua_request *request;
};

static int write_result(lua_State *L, const struct lua_request *request) {
    if (request->net == NULL)
        return vm_failf(L, ERR_CLOSED, "the client is gone");
    lua_pushboolean(L, 1);
    return 1;
}

static int write_push(lua_State *L, struct wait *wait) {
    return write_result(L, ((struct write_wait *)wait)->request);
}

static void write_cancel(struct wait *wait) {
    ((struct write_wait *)wait)->request->waiting = NULL;
}

static void write_free(struct wait *wait) {
    free(wait);
}

static const struct wait_ops write_ops = {write_push, write_cancel, write_free};

/* writer:write(bytes) -> true | nil, err; waits while the client is slow */
static int writer_write(lua_State *L) {
    struct lua_request **writer = luaL_checkudata(L, 1, writer_type);
    size_t size;
    const char *bytes = luaL_checklstring(L, 2, &size);
    struct lua_request *request = *writer;
    fiber_check(L);
    if (request->net == NULL || request->fiber != fiber_current(L))
        return vm_failf(L, ERR_CLOSED, "the answer is over");
    int waiting = net_respond_write(request->net, bytes, size);
    if (waiting == ERR_TOO_LARGE)
        return luaL_error(L, "more is written than Content-Length announced");
    if (waiting < 0 || request->net == NULL)
        return vm_failf(L, ERR_CLOSED, "the client is gone");
    if (waiting == 0)
        return write_result(L, request);
    struct write_wait *wait = malloc(sizeof *wait);
    if (wait == NULL)
        return vm_failf(L, ERR_NO_MEMORY, "out of memory");
    wait->request = request;
    request->waiting = &wait->wait;
    request->waits_to_write = true;
    return wait_begin(L, &wait->wait, &write_ops);
}

static int writer_tostring(lua_State *L) {
    lua_pushliteral(L, "http writer");
    return 1;
}

static const luaL_Reg writer_methods[] = {{"write", writer_write}, {NULL, NULL}};
static const luaL_Reg writer_meta[] = {{"__tostring", writer_tostring}, {NULL, NULL}};

void lua_http_open_answer(lua_State *L) {
    static const luaL_Reg none[] = {{NULL, NULL}};
    vm_new_type(L, writer_type, none, writer_meta);
    luaL_getmetatable(L, writer_type);
    lua_getfield(L, -1, "__index");
    fiber_register(L, writer_methods);
    lua_pop(L, 2);
    lua_pushlightuserdata(L, (void *)&stream_key);
    if (luaL_loadbuffer(L, stream_text, sizeof stream_text - 1, "=http") != 0)
        lua_error(L);
    lua_pushcfunction(L, begin_writer);
    lua_call(L, 1, 1);
    lua_rawset(L, LUA_REGISTRYINDEX);
}
