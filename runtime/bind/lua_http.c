/* lua_http.c - the Lua module `http`: servers whose requests run in fibers, and a client.
 *
 * Requests are in lua_http_request.c, answers in lua_http_answer.c, the client in
 * lua_http_client.c. */
#include "bind/lua_http.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bind/lua_ws.h"
#include "core/log.h"

static const char server_type[] = "stance.http.server";

enum { LIST_MAX = 64 };

/* -- Requests come in -------------------------------------------------------------------------- */

static void on_body(struct net_request *net, const char *bytes, size_t size);
static void on_body_end(struct net_request *net);
static void on_drained(struct net_request *net);
static void on_overdue(struct net_request *net);
static void on_over(struct net_request *net, bool whole);
static void on_static_over(struct net_request *net, bool whole);

static const struct net_request_ops request_ops = {on_body, on_body_end, on_drained, on_overdue,
                                                   on_over};

enum { BODY_BUFFER = 128 * 1024 };

static void wake(struct lua_request *request) {
    struct wait *wait = request->waiting;
    request->waiting = NULL;
    if (wait != NULL)
        wait_finish(wait);
}

static void on_body(struct net_request *net, const char *bytes, size_t size) {
    struct lua_request *request = net_request_user(net);
    int added = lua_http_add_body(request, bytes, size);
    if (added == ERR_TOO_LARGE)
        net_respond_problem(net, 503, "busy", "too many request bodies come at once; try again");
    else if (added < 0)
        net_request_abort(net);
    if (added < 0)
        return;
    size_t held = request->body.size - request->body.start;
    if (request->whole) {
        if ((int64_t)held <= request->whole_limit)
            return;
    }
    if (held >= BODY_BUFFER || request->whole)
        net_request_pause(net);
    if (!request->waits_to_write)
        wake(request);
}

static void on_body_end(struct net_request *net) {
    struct lua_request *request = net_request_user(net);
    request->body_end = true;
    if (!request->waits_to_write)
        wake(request);
}

static void on_drained(struct net_request *net) {
    struct lua_request *request = net_request_user(net);
    if (request->waits_to_write)
        wake(request);
}

static void on_overdue(struct net_request *net) {
    struct lua_request *request = net_request_user(net);
    struct fiber *fiber = request->fiber;
    log_warn("http", "no answer to %s %.*s in time",
             http_method_name(net_request_head(net)->method), (int)net_request_head(net)->path.size,
             net_request_head(net)->path.at);
    net_respond_problem(net, 504, "timeout", "the handler gave no answer in time");
    if (fiber != NULL)
        fiber_cancel(fiber, "the request's deadline has passed");
}

static void on_over(struct net_request *net, bool whole) {
    struct lua_request *request = net_request_user(net);
    request->net = NULL;
    if (request->server->vm_closing)
        return; /* fibers are gone already, and the state is going */
    if (!whole && request->fiber != NULL)
        fiber_cancel(request->fiber, "the client is gone");
    else if (request->waiting != NULL)
        wake(request);
    lua_http_let_go(request);
}

/* begin(request): the first thing in the handler's fiber. */
static int begin_request(lua_State *L) {
    struct lua_request *request = lua_touserdata(L, 1);
    struct fiber *fiber = fiber_current(L);
    request->fiber = fiber;
    if (request->net != NULL)
        lua_http_mark_fiber(fiber, request->net);
    return 0;
}

/* handler(request) by way of begin, in Lua: a fiber cannot wait across a call made from C. */
static const char begin_text[] = "local begin = ...\n"
                                 "return function(handler, request)\n"
                                 "  begin(request)\n"
                                 "  return handler(request)\n"
                                 "end\n";

static int start_handler(lua_State *L) {
    struct net_request *net = lua_touserdata(L, 1);
    struct lua_http_server *server = lua_touserdata(L, 2);
    lua_rawgeti(L, LUA_REGISTRYINDEX, server->begin_ref);
    lua_rawgeti(L, LUA_REGISTRYINDEX, server->handler_ref);
    struct lua_request *request = lua_http_push_request(L, server, net);
    net_request_attach(net, &request_ops, request);
    net_request_pause(net); /* bodies flow when the handler reads */
    struct err err;
    if (fiber_start(L, 2, "http", lua_http_handler_ended, request, NULL, &err) < 0)
        net_respond_problem(net, 503, "busy", err.message);
    return 0;
}

static const struct net_request_ops static_ops = {.over = on_static_over};

static void on_static_over(struct net_request *net, bool whole) {
    (void)net, (void)whole;
}

static bool begins(struct http_span path, const char *prefix) {
    size_t size = strlen(prefix);
    return path.size >= size && memcmp(path.at, prefix, size) == 0;
}

/* Answers with a file of the folder when there is one. */
static bool answer_static(struct lua_http_server *server, struct net_request *net) {
    const struct http_head *head = net_request_head(net);
    char path[1024];
    if (head->method != HTTP_GET && head->method != HTTP_HEAD)
        return false;
    if (!begins(head->path, server->prefix) || head->path.size >= sizeof path ||
        (server->except[0] != 0 && begins(head->path, server->except)))
        return false;
    int64_t size = http_decode(head->path, false, path);
    if (size < 0)
        return false;
    path[size] = 0;
    net_request_attach(net, &static_ops, NULL);
    net_request_set_route(net, "static");
    /* The prefix is checked as sent: it has no escapes, and decoding keeps what stands before the
     * first one. */
    if (net_static_respond(server->folder, net, path + strlen(server->prefix)) == 0)
        return true;
    net_request_set_route(net, "other");
    return false;
}

static void on_request(struct net_request *net, void *arg) {
    struct lua_http_server *server = arg;
    if (server->folder != NULL && answer_static(server, net))
        return;
    lua_State *L = server->L;
    lua_pushcfunction(L, start_handler);
    lua_pushlightuserdata(L, net);
    lua_pushlightuserdata(L, server);
    struct err err;
    if (vm_call(L, 2, 0, &err) < 0) {
        log_error("http", "cannot begin a request: %s", err.message);
        net_respond_problem(net, 503, "busy", "out of memory");
    }
}

/* -- Servers ----------------------------------------------------------------------------------- */

static struct lua_http_server *check_server(lua_State *L) {
    return luaL_checkudata(L, 1, server_type);
}

static void close_server(struct lua_http_server *server) {
    struct net_server *net = server->net;
    struct services *services = services_of(server->L);
    vm_disown(&server->owned);
    if (services->lasting == server)
        services->lasting = NULL;
    server->net = NULL;
    if (net != NULL)
        net_server_close(net);
}

/* Of a server that was taken over: who is served by this vm is cut off when it closes. */
static void cut_requests(struct lua_http_server *server) {
    for (struct lua_request *request = server->first_request, *next; request; request = next) {
        next = request->next;
        if (request->net != NULL)
            net_request_abort(request->net);
    }
}

void lua_http_release_server(struct lua_http_server *server) {
    if (server->net != NULL || server->requests > 0 || server->self_ref == LUA_NOREF)
        return;
    luaL_unref(server->L, LUA_REGISTRYINDEX, server->self_ref);
    luaL_unref(server->L, LUA_REGISTRYINDEX, server->handler_ref);
    luaL_unref(server->L, LUA_REGISTRYINDEX, server->begin_ref);
    luaL_unref(server->L, LUA_REGISTRYINDEX, server->encode_ref);
    server->self_ref = LUA_NOREF;
}

static void close_owned(struct vm_owned *owned) {
    struct lua_http_server *server =
        (struct lua_http_server *)((char *)owned - offsetof(struct lua_http_server, owned));
    server->vm_closing = true;
    cut_requests(server);
    close_server(server);
}

static int server_close(lua_State *L) {
    struct lua_http_server *server = check_server(L);
    if (server->net == NULL)
        return 0;
    close_server(server);
    lua_http_release_server(server);
    return 0;
}

static int server_address(lua_State *L) {
    lua_pushstring(L, check_server(L)->address);
    return 1;
}

static int server_url(lua_State *L) {
    lua_pushfstring(L, "http://%s", check_server(L)->address);
    return 1;
}

static int server_connections(lua_State *L) {
    struct lua_http_server *server = check_server(L);
    lua_pushinteger(L, server->net ? (lua_Integer)net_server_connections(server->net) : 0);
    return 1;
}

static int server_gc(lua_State *L) {
    struct lua_http_server *server = lua_touserdata(L, 1);
    server->vm_closing = true;
    close_server(server);
    net_static_close(server->folder);
    server->folder = NULL;
    return 0;
}

static int server_tostring(lua_State *L) {
    struct lua_http_server *server = check_server(L);
    lua_pushfstring(L, server->net ? "http server (%s)" : "http server (%s, closed)",
                    server->address);
    return 1;
}

/* Fills `out` from the list at options[field]; the strings stay on the Lua stack's table. */
static const char *const *list_option(lua_State *L, const char *field, const char **out) {
    lua_getfield(L, 1, field);
    if (lua_isnil(L, -1))
        return NULL;
    if (!lua_istable(L, -1))
        luaL_error(L, "%s must be a list of strings", field);
    size_t count = lua_objlen(L, -1);
    if (count > LIST_MAX)
        luaL_error(L, "%s has more than %d entries", field, LIST_MAX);
    for (size_t i = 0; i < count; i++) {
        lua_rawgeti(L, -1, (int)i + 1);
        if (lua_type(L, -1) != LUA_TSTRING)
            luaL_error(L, "%s must be a list of strings", field);
        out[i] = lua_tostring(L, -1);
        lua_pop(L, 1);
    }
    out[count] = NULL;
    return out;
}

static int64_t size_option(lua_State *L, const char *field) {
    double value = vm_opt_number(L, 1, field, 0);
    if (!(value >= 0) || value > 1e15)
        luaL_error(L, "%s must be a size in bytes", field);
    return (int64_t)value;
}

static void read_options(lua_State *L, struct net_server_options *options, const char **hosts,
                         const char **origins) {
    options->listen = vm_opt_string(L, 1, "listen", "127.0.0.1:0");
    options->header_limit = (size_t)size_option(L, "header_limit");
    options->body_limit = size_option(L, "body_limit");
    options->connection_limit = (size_t)size_option(L, "connection_limit");
    options->request_limit = (unsigned)size_option(L, "request_limit");
    options->header_timeout = vm_opt_number(L, 1, "header_timeout", 0);
    options->body_timeout = vm_opt_number(L, 1, "body_timeout", 0);
    options->idle_timeout = vm_opt_number(L, 1, "idle_timeout", 0);
    options->write_timeout = vm_opt_number(L, 1, "write_timeout", 0);
    options->handler_timeout = vm_opt_number(L, 1, "handler_timeout", 0);
    options->hosts = list_option(L, "hosts", hosts);
    options->origins = list_option(L, "origins", origins);
}

static void keep_functions(lua_State *L, struct lua_http_server *server) {
    lua_getfield(L, 1, "handler");
    luaL_checktype(L, -1, LUA_TFUNCTION);
    server->handler_ref = luaL_ref(L, LUA_REGISTRYINDEX);
    if (luaL_loadbuffer(L, begin_text, sizeof begin_text - 1, "=http") != 0)
        lua_error(L);
    lua_pushcfunction(L, begin_request);
    lua_call(L, 1, 1);
    server->begin_ref = luaL_ref(L, LUA_REGISTRYINDEX);
    lua_getglobal(L, "require");
    lua_pushliteral(L, "json");
    lua_call(L, 1, 1);
    lua_getfield(L, -1, "encode");
    server->encode_ref = luaL_ref(L, LUA_REGISTRYINDEX);
    lua_pop(L, 1);
}

/* options.static = { folder =, prefix = "/", except =, cache = } */
static int open_static(lua_State *L, struct lua_http_server *server, struct err *err) {
    lua_getfield(L, 1, "static");
    if (lua_isnil(L, -1)) {
        lua_pop(L, 1);
        return 0;
    }
    luaL_checktype(L, -1, LUA_TTABLE);
    int index = lua_gettop(L);
    const char *folder = vm_opt_string(L, index, "folder", NULL);
    if (folder == NULL)
        luaL_error(L, "static.folder is missing");
    snprintf(server->prefix, sizeof server->prefix, "%s", vm_opt_string(L, index, "prefix", "/"));
    snprintf(server->except, sizeof server->except, "%s", vm_opt_string(L, index, "except", ""));
    int status =
        net_static_open(folder, vm_opt_string(L, index, "cache", NULL), &server->folder, err);
    lua_pop(L, 1);
    return status;
}

/* Takes the listener of a former generation, if there is one on the same address. */
static bool take_over(lua_State *L, struct lua_http_server *server) {
    struct lua_http_server *former = services_of(L)->lasting;
    if (!server->lasting || former == NULL || former->net == NULL ||
        strcmp(former->listen, server->listen) != 0)
        return false;
    server->net = former->net;
    former->net = NULL;
    net_server_hand_over(server->net, on_request, server);
    return true;
}

/* http.serve(options) -> server | nil, err */
static int http_serve(lua_State *L) {
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    const char *hosts[LIST_MAX + 1], *origins[LIST_MAX + 1];
    struct net_server_options options = {0};
    read_options(L, &options, hosts, origins);
    lua_getfield(L, 1, "handler");
    if (!lua_isfunction(L, -1))
        return luaL_argerror(L, 1, "handler must be a function");
    struct lua_http_server *server = lua_newuserdata(L, sizeof *server);
    memset(server, 0, sizeof *server);
    luaL_getmetatable(L, server_type);
    lua_setmetatable(L, -2);
    server->L = vm_lua(vm_of(L));
    server->self_ref = LUA_NOREF;
    keep_functions(L, server);
    options.request = on_request;
    options.arg = server;
    struct err err;
    snprintf(server->listen, sizeof server->listen, "%s", options.listen);
    server->lasting = vm_opt_boolean(L, 1, "lasting", false);
    if (open_static(L, server, &err) < 0)
        return vm_fail(L, &err);
    if (!take_over(L, server) &&
        net_server_open(vm_loop(vm_of(L)), &options, &server->net, &err) < 0)
        return vm_fail(L, &err);
    if (server->lasting)
        services_of(L)->lasting = server;
    snprintf(server->address, sizeof server->address, "%s", net_server_address(server->net));
    vm_own(vm_of(L), &server->owned, close_owned);
    lua_pushvalue(L, -1);
    server->self_ref = luaL_ref(L, LUA_REGISTRYINDEX);
    return 1;
}

/* -- The module -------------------------------------------------------------------------------- */

static const luaL_Reg server_methods[] = {
    {"close", server_close},
    {"address", server_address},
    {"url", server_url},
    {"connections", server_connections},
    {NULL, NULL},
};

static const luaL_Reg server_meta[] = {
    {"__gc", server_gc},
    {"__tostring", server_tostring},
    {NULL, NULL},
};

static const luaL_Reg http_functions[] = {
    {"serve", http_serve},
    {NULL, NULL},
};

int lua_open_http(lua_State *L) {
    vm_new_type(L, server_type, server_methods, server_meta);
    lua_http_open_request(L);
    lua_http_open_answer(L);
    lua_ws_open_type(L);
    lua_newtable(L);
    luaL_register(L, NULL, http_functions);
    lua_http_open_client(L);
    return 1;
}
