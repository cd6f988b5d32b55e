/* lua_http_request.c - `stance.http.request`: what a handler sees of a request. Fields are made
 * when asked for. */
#include <stdlib.h>
#include <string.h>

#include "bind/lua_http.h"
#include "bind/lua_ws.h"

static const char request_type[] = "stance.http.request";

enum { BODY_LIMIT_DEFAULT = 8 << 20 };

/* -- Life -------------------------------------------------------------------------------------- */

struct lua_request *lua_http_push_request(lua_State *L, struct lua_http_server *server,
                                          struct net_request *net) {
    struct lua_request *request = lua_newuserdata(L, sizeof *request);
    memset(request, 0, sizeof *request);
    request->server = server;
    request->net = net;
    request->self_ref = LUA_NOREF;
    luaL_getmetatable(L, request_type);
    lua_setmetatable(L, -2);
    lua_pushvalue(L, -1);
    request->self_ref = luaL_ref(L, LUA_REGISTRYINDEX);
    server->requests++;
    request->next = server->first_request;
    request->previous = &server->first_request;
    if (request->next != NULL)
        request->next->previous = &request->next;
    server->first_request = request;
    return request;
}

static size_t bodies_held;

static size_t held(const struct lua_request *request) {
    return request->body.size - request->body.start;
}

int lua_http_add_body(struct lua_request *request, const char *bytes, size_t size) {
    if (bodies_held + size > BODIES_MAX)
        return ERR_TOO_LARGE;
    if (bytes_add(&request->body, bytes, size) < 0)
        return ERR_NO_MEMORY;
    bodies_held += size;
    return 0;
}

void lua_http_use_body(struct lua_request *request, size_t size) {
    bodies_held -= size;
    bytes_use(&request->body, size);
}

/* The collector knows nothing of its size, so it is not left to it. */
static void drop_body(struct lua_request *request) {
    bodies_held -= held(request);
    bytes_free(&request->body);
}

void lua_http_let_go(struct lua_request *request) {
    if (request->net != NULL || request->fiber != NULL || request->self_ref == LUA_NOREF)
        return;
    drop_body(request);
    luaL_unref(request->server->L, LUA_REGISTRYINDEX, request->self_ref);
    request->self_ref = LUA_NOREF;
    *request->previous = request->next;
    if (request->next != NULL)
        request->next->previous = request->previous;
    request->server->requests--;
    lua_http_release_server(request->server);
}

/* Pushes the table of what was made for this request, made on first use. */
static void push_kept(lua_State *L, struct lua_request *request) {
    if (!request->has_table) {
        lua_createtable(L, 0, 2);
        lua_setfenv(L, 1);
        request->has_table = true;
    }
    lua_getfenv(L, 1);
}

static int request_gc(lua_State *L) {
    struct lua_request *request = lua_touserdata(L, 1);
    drop_body(request);
    return 0;
}

struct lua_request *lua_http_check_request(lua_State *L, int index) {
    return luaL_checkudata(L, index, request_type);
}

/* -- Fields ------------------------------------------------------------------------------------ */

static void push_span(lua_State *L, struct http_span span) {
    lua_pushlstring(L, span.at ? span.at : "", span.size);
}

/* One name=value of the query into the table on top. A name that comes again makes a list. */
static void add_query_pair(lua_State *L, struct http_span pair, char *room) {
    const char *equals = memchr(pair.at, '=', pair.size);
    struct http_span name = {pair.at, equals ? (size_t)(equals - pair.at) : pair.size};
    struct http_span value = {equals ? equals + 1 : pair.at, 0};
    if (equals != NULL)
        value.size = pair.size - name.size - 1;
    int64_t size = http_decode(name, true, room);
    lua_pushlstring(L, room, size > 0 ? (size_t)size : 0);
    size = http_decode(value, true, room);
    lua_pushlstring(L, room, size > 0 ? (size_t)size : 0);
    lua_pushvalue(L, -2);
    lua_rawget(L, -4); /* table name value old */
    if (lua_isnil(L, -1)) {
        lua_pop(L, 1);
        lua_rawset(L, -3);
        return;
    }
    if (!lua_istable(L, -1)) {
        lua_createtable(L, 2, 0);
        lua_insert(L, -2);
        lua_rawseti(L, -2, 1); /* table name value list */
        lua_pushvalue(L, -3);
        lua_pushvalue(L, -2);
        lua_rawset(L, -6);
    }
    lua_insert(L, -2);
    lua_rawseti(L, -2, (int)lua_objlen(L, -2) + 1);
    lua_pop(L, 2);
}

static int push_query(lua_State *L, const struct http_head *head) {
    lua_newtable(L);
    if (head->query.size == 0)
        return 1;
    char *room = lua_newuserdata(L, head->query.size);
    lua_insert(L, -2); /* room table */
    size_t at = 0;
    while (at < head->query.size) {
        const char *start = head->query.at + at;
        const char *end = memchr(start, '&', head->query.size - at);
        size_t size = end ? (size_t)(end - start) : head->query.size - at;
        if (size > 0)
            add_query_pair(L, (struct http_span){start, size}, room);
        at += size + 1;
    }
    lua_remove(L, -2);
    return 1;
}

static int push_headers(lua_State *L, const struct http_head *head) {
    lua_createtable(L, 0, (int)head->header_count);
    for (size_t i = 0; i < head->header_count; i++) {
        push_span(L, head->headers[i].name);
        lua_pushvalue(L, -1);
        lua_rawget(L, -3);
        if (lua_isnil(L, -1)) {
            lua_pop(L, 1);
            push_span(L, head->headers[i].value);
        } else { /* repeated: a list by commas, as RFC 9110 5.3 has it */
            lua_pushliteral(L, ", ");
            push_span(L, head->headers[i].value);
            lua_concat(L, 3);
        }
        lua_rawset(L, -3);
    }
    return 1;
}

static int push_field(lua_State *L, const struct net_request *net, const char *name) {
    const struct http_head *head = net_request_head(net);
    if (strcmp(name, "method") == 0)
        lua_pushstring(L, http_method_name(head->method));
    else if (strcmp(name, "path") == 0)
        push_span(L, head->path);
    else if (strcmp(name, "query_string") == 0)
        push_span(L, head->query);
    else if (strcmp(name, "query") == 0)
        push_query(L, head);
    else if (strcmp(name, "headers") == 0)
        push_headers(L, head);
    else if (strcmp(name, "remote") == 0)
        lua_pushstring(L, net_request_remote(net));
    else if (strcmp(name, "id") == 0)
        lua_pushstring(L, net_request_id(net));
    else if (strcmp(name, "traceparent") == 0)
        lua_pushstring(L, net_request_traceparent(net));
    else if (strcmp(name, "version") == 0)
        lua_pushstring(L, head->minor ? "1.1" : "1.0");
    else if (strcmp(name, "websocket") == 0)
        lua_pushboolean(L, head->websocket);
    else if (strcmp(name, "has_body") == 0)
        lua_pushboolean(L, net_request_has_body(net));
    else
        lua_pushnil(L);
    return 1;
}

static int is_lazy(const char *name) {
    return strcmp(name, "headers") == 0 || strcmp(name, "query") == 0;
}

/* Upvalue 1: the methods. Tables are made once and kept in its table. */
static int request_index(lua_State *L) {
    struct lua_request *request = lua_http_check_request(L, 1);
    lua_pushvalue(L, 2);
    lua_rawget(L, lua_upvalueindex(1));
    if (!lua_isnil(L, -1) || lua_type(L, 2) != LUA_TSTRING)
        return 1;
    const char *name = lua_tostring(L, 2);
    if (is_lazy(name)) {
        push_kept(L, request);
        lua_pushvalue(L, 2);
        lua_rawget(L, -2);
        if (!lua_isnil(L, -1))
            return 1;
        lua_pop(L, 1);
    }
    if (request->net == NULL)
        return luaL_error(L, "the request is over: take its %s before", name);
    push_field(L, request->net, name);
    if (is_lazy(name)) {
        lua_pushvalue(L, 2);
        lua_pushvalue(L, -2);
        lua_rawset(L, -4);
    }
    return 1;
}

static int request_tostring(lua_State *L) {
    struct lua_request *request = lua_http_check_request(L, 1);
    if (request->net == NULL) {
        lua_pushliteral(L, "http request (over)");
        return 1;
    }
    const struct http_head *head = net_request_head(request->net);
    lua_pushstring(L, "http request (");
    lua_pushstring(L, http_method_name(head->method));
    lua_pushliteral(L, " ");
    push_span(L, head->path);
    lua_pushliteral(L, ")");
    lua_concat(L, 5);
    return 1;
}

/* -- Bodies ------------------------------------------------------------------------------------ */

struct body_wait {
    struct wait wait;
    struct lua_request *request;
    size_t most;
};

/* A piece of at most `most` bytes, nil at the end. Lets more come in. */
static int push_piece(lua_State *L, struct lua_request *request, size_t most) {
    size_t size = held(request) < most ? held(request) : most;
    if (size == 0) {
        if (request->body_end) {
            lua_pushnil(L);
            return 1;
        }
        return vm_failf(L, ERR_CLOSED, "the request is over");
    }
    lua_pushlstring(L, request->body.at + request->body.start, size);
    lua_http_use_body(request, size);
    if (request->net != NULL && !request->body_end)
        net_request_resume(request->net);
    return 1;
}

static int push_whole(lua_State *L, struct lua_request *request) {
    request->whole = false;
    if ((int64_t)held(request) > request->whole_limit)
        return vm_failf(L, ERR_TOO_LARGE, "the body is larger than %.0f bytes",
                        (double)request->whole_limit);
    if (!request->body_end)
        return vm_failf(L, ERR_CLOSED, "the request is over");
    lua_pushlstring(L, request->body.at ? request->body.at + request->body.start : "",
                    held(request));
    drop_body(request);
    return 1;
}

static int body_push(lua_State *L, struct wait *wait) {
    struct body_wait *body = (struct body_wait *)wait;
    return body->request->whole ? push_whole(L, body->request)
                                : push_piece(L, body->request, body->most);
}

static void body_cancel(struct wait *wait) {
    ((struct body_wait *)wait)->request->waiting = NULL;
}

static void body_free(struct wait *wait) {
    free(wait);
}

static const struct wait_ops body_ops = {body_push, body_cancel, body_free};

static int wait_for_body(lua_State *L, struct lua_request *request, size_t most) {
    if (request->waiting != NULL)
        return luaL_error(L, "another fiber reads this body");
    struct body_wait *body = malloc(sizeof *body);
    if (body == NULL)
        return vm_failf(L, ERR_NO_MEMORY, "out of memory");
    *body = (struct body_wait){.request = request, .most = most};
    request->waiting = &body->wait;
    request->waits_to_write = false;
    return wait_begin(L, &body->wait, &body_ops);
}

/* request:read([n]) -> bytes | nil at the end | nil, err */
static int request_read(lua_State *L) {
    struct lua_request *request = lua_http_check_request(L, 1);
    double most = luaL_optnumber(L, 2, 65536);
    luaL_argcheck(L, most >= 1, 2, "must be at least 1");
    fiber_check(L);
    if (held(request) == 0 && !request->body_end && request->net != NULL)
        net_request_resume(request->net); /* may bring some at once */
    size_t limit = most < 1e15 ? (size_t)most : (size_t)1e15;
    if (held(request) > 0 || request->body_end || request->net == NULL)
        return push_piece(L, request, limit);
    return wait_for_body(L, request, limit);
}

/* request:body([limit]) -> bytes | nil, err */
static int request_body(lua_State *L) {
    struct lua_request *request = lua_http_check_request(L, 1);
    double limit = luaL_optnumber(L, 2, BODY_LIMIT_DEFAULT);
    luaL_argcheck(L, limit >= 0, 2, "must not be negative");
    fiber_check(L);
    request->whole_limit = limit < 1e15 ? (int64_t)limit : (int64_t)1e15;
    if (request->net != NULL && net_request_head(request->net)->length > request->whole_limit)
        return vm_failf(L, ERR_TOO_LARGE, "the body is larger than %.0f bytes", limit);
    request->whole = true;
    if (!request->body_end && request->net != NULL)
        net_request_resume(request->net);
    if (request->body_end || request->net == NULL || (int64_t)held(request) > request->whole_limit)
        return push_whole(L, request);
    return wait_for_body(L, request, 0);
}

/* request:limit_body(bytes): how much may come at most, whoever reads it. */
static int request_limit_body(lua_State *L) {
    struct lua_request *request = lua_http_check_request(L, 1);
    double limit = luaL_checknumber(L, 2);
    luaL_argcheck(L, limit >= 0 && limit < 1e15, 2, "must be a size in bytes");
    if (request->net == NULL)
        return vm_failf(L, ERR_CLOSED, "the request is over");
    if (net_request_head(request->net)->length > (int64_t)limit)
        return vm_failf(L, ERR_TOO_LARGE, "the body is larger than %.0f bytes", limit);
    net_request_limit_body(request->net, (int64_t)limit);
    lua_pushboolean(L, 1);
    return 1;
}

/* -- Others ------------------------------------------------------------------------------------ */

/* Route names must outlive the process's metrics: each is kept once, for ever. */
static const char *intern_route(const char *route) {
    static char *known[1024];
    size_t i = 0;
    for (; i < sizeof known / sizeof *known && known[i] != NULL; i++)
        if (strcmp(known[i], route) == 0)
            return known[i];
    if (i == sizeof known / sizeof *known)
        return "other";
    known[i] = strdup(route);
    return known[i] ? known[i] : "other";
}

static const char route_key;

void lua_http_mark_fiber(struct fiber *fiber, const struct net_request *net) {
    fiber_set_request_id(fiber, net_request_id(net));
    fiber_set_trace(fiber, net_request_traceparent(net));
}

/* "GET /api/jobs/:id" */
static void name_fiber(struct fiber *fiber, const struct net_request *net, const char *route) {
    char name[48];
    snprintf(name, sizeof name, "%s %s", http_method_name(net_request_head(net)->method), route);
    fiber_set_name(fiber, name);
}

/* request:set_route("/api/jobs/:id"): the name in metrics, and of its fiber. */
static int request_set_route(lua_State *L) {
    struct lua_request *request = lua_http_check_request(L, 1);
    luaL_checkstring(L, 2);
    lua_pushlightuserdata(L, (void *)&route_key);
    lua_rawget(L, LUA_REGISTRYINDEX);
    lua_pushvalue(L, 2);
    lua_rawget(L, -2);
    const char *route = lua_touserdata(L, -1);
    if (route == NULL) {
        route = intern_route(lua_tostring(L, 2));
        lua_pushvalue(L, 2);
        lua_pushlightuserdata(L, (void *)(uintptr_t)route);
        lua_rawset(L, 3);
    }
    if (request->net == NULL)
        return 0;
    net_request_set_route(request->net, route);
    if (request->fiber != NULL)
        name_fiber(request->fiber, request->net, route);
    return 0;
}

/* request:no_deadline(): for answers that stay open on purpose. */
static int request_no_deadline(lua_State *L) {
    struct lua_request *request = lua_http_check_request(L, 1);
    if (request->net != NULL)
        net_request_no_deadline(request->net);
    return 0;
}

/* request:upgrade([options]) -> socket | nil, err (the request is answered then) */
static int request_upgrade(lua_State *L) {
    struct lua_request *request = lua_http_check_request(L, 1);
    if (request->net == NULL)
        return vm_failf(L, ERR_CLOSED, "the request is over");
    if (!net_request_head(request->net)->websocket)
        return vm_failf(L, ERR_INVALID, "the client does not ask for a WebSocket");
    lua_settop(L, 2);
    struct ws_limits limits;
    const char *protocol = NULL;
    if (lua_istable(L, 2))
        protocol = vm_opt_string(L, 2, "protocol", NULL);
    struct lua_ws *socket = lua_ws_push(L, 2, &limits);
    struct ws *ws = net_request_upgrade(request->net, protocol, &limits);
    request->upgraded = true;
    if (ws == NULL)
        return vm_failf(L, ERR_INVALID, "the WebSocket handshake failed");
    lua_ws_attach(socket, ws, request->fiber);
    push_kept(L, request); /* closed when the handler ends */
    lua_pushvalue(L, -2);
    lua_setfield(L, -2, "socket");
    lua_pop(L, 1);
    return 1;
}

/* -- The type ---------------------------------------------------------------------------------- */

static const luaL_Reg waiting_methods[] = {
    {"read", request_read},
    {"body", request_body},
    {NULL, NULL},
};

static const luaL_Reg methods[] = {
    {"limit_body", request_limit_body},
    {"set_route", request_set_route},
    {"no_deadline", request_no_deadline},
    {"upgrade", request_upgrade},
    {NULL, NULL},
};

void lua_http_open_request(lua_State *L) {
    lua_pushlightuserdata(L, (void *)&route_key);
    lua_newtable(L);
    lua_rawset(L, LUA_REGISTRYINDEX);
    luaL_newmetatable(L, request_type);
    lua_pushcfunction(L, request_gc);
    lua_setfield(L, -2, "__gc");
    lua_pushcfunction(L, request_tostring);
    lua_setfield(L, -2, "__tostring");
    lua_newtable(L);
    luaL_register(L, NULL, methods);
    fiber_register(L, waiting_methods);
    lua_pushcclosure(L, request_index, 1);
    lua_setfield(L, -2, "__index");
    lua_pop(L, 1);
}
