/* lua_http_client.c - http.request, http.get and http.post, and `stance.http.response` for answers
 * that are read piece by piece.
 */
#include <stdlib.h>
#include <string.h>

#include "bind/lua_http.h"
#include "net/client.h"

static const char client_type[] = "stance.http.client";
static const char response_type[] = "stance.http.response";

enum {
    BODY_BUFFER = 256 * 1024,
    HEADERS_MAX = 100,
};

/* One a vm, closed with it. */
struct lua_client {
    struct vm_owned owned;
    struct net_client *net;
};

/* A request under way. Its Lua value, when streaming, points here; the last of the two frees it. */
struct exchange {
    struct vm_owned owned;   /* streaming ones outlive their wait */
    struct net_fetch *fetch; /* NULL: over */
    struct wait *waiting;
    bool streaming, headed, done, has_value;
    int status;
    char *headers;
    struct bytes body;
    struct err err; /* code 0: none */
};

struct exchange_wait {
    struct wait wait;
    struct exchange *exchange;
};

/* -- Exchanges --------------------------------------------------------------------------------- */

static void exchange_free(struct exchange *exchange) {
    vm_disown(&exchange->owned);
    if (exchange->fetch != NULL)
        net_fetch_cancel(exchange->fetch);
    free(exchange->headers);
    bytes_free(&exchange->body);
    free(exchange);
}

static void wake(struct exchange *exchange) {
    struct wait *wait = exchange->waiting;
    exchange->waiting = NULL;
    if (wait != NULL)
        wait_finish(wait);
}

static void on_head(struct net_fetch *fetch, int status, void *user) {
    struct exchange *exchange = user;
    exchange->headed = true;
    exchange->status = status;
    exchange->headers = strdup(net_fetch_headers(fetch));
    if (exchange->streaming)
        wake(exchange);
}

static void on_data(struct net_fetch *fetch, const char *bytes, size_t size, void *user) {
    struct exchange *exchange = user;
    if (bytes_add(&exchange->body, bytes, size) < 0)
        err_set(&exchange->err, ERR_NO_MEMORY, "out of memory");
    if (!exchange->streaming)
        return;
    if (exchange->body.size - exchange->body.start >= BODY_BUFFER)
        net_fetch_pause(fetch);
    wake(exchange);
}

static void on_done(struct net_fetch *fetch, const struct err *err, void *user) {
    (void)fetch;
    struct exchange *exchange = user;
    exchange->fetch = NULL;
    exchange->done = true;
    if (err != NULL)
        exchange->err = *err;
    wake(exchange);
}

static const struct net_fetch_ops fetch_ops = {on_head, on_data, on_done};

/* The vm closes: what streams are left are cut. */
static void close_exchange(struct vm_owned *owned) {
    struct exchange *exchange =
        (struct exchange *)((char *)owned - offsetof(struct exchange, owned));
    if (exchange->fetch != NULL)
        net_fetch_cancel(exchange->fetch);
    exchange->fetch = NULL;
    exchange->done = true;
}

/* -- Answers ----------------------------------------------------------------------------------- */

static void push_headers(lua_State *L, const char *lines) {
    lua_newtable(L);
    while (lines != NULL && *lines != 0) {
        const char *end = strchr(lines, '\n'), *colon = strchr(lines, ':');
        if (end == NULL || colon == NULL || colon > end)
            break;
        const char *value = colon + 1;
        while (*value == ' ' || *value == '\t')
            value++;
        lua_pushlstring(L, lines, (size_t)(colon - lines));
        lua_pushvalue(L, -1);
        lua_rawget(L, -3);
        if (lua_isnil(L, -1)) {
            lua_pop(L, 1);
            lua_pushlstring(L, value, (size_t)(end - value));
        } else {
            lua_pushliteral(L, ", ");
            lua_pushlstring(L, value, (size_t)(end - value));
            lua_concat(L, 3);
        }
        lua_rawset(L, -3);
        lines = end + 1;
    }
}

static int push_answer(lua_State *L, struct exchange *exchange) {
    if (exchange->err.code != 0)
        return vm_fail(L, &exchange->err);
    lua_createtable(L, 0, 3);
    lua_pushinteger(L, exchange->status);
    lua_setfield(L, -2, "status");
    push_headers(L, exchange->headers);
    lua_setfield(L, -2, "headers");
    lua_pushlstring(L, exchange->body.at ? exchange->body.at : "", exchange->body.size);
    lua_setfield(L, -2, "body");
    return 1;
}

static int push_stream(lua_State *L, struct exchange *exchange) {
    if (!exchange->headed)
        return vm_fail(L, &exchange->err);
    struct exchange **value = lua_newuserdata(L, sizeof *value);
    *value = exchange;
    exchange->has_value = true;
    vm_own(vm_of(L), &exchange->owned, close_exchange);
    luaL_getmetatable(L, response_type);
    lua_setmetatable(L, -2);
    lua_createtable(L, 0, 2);
    lua_pushinteger(L, exchange->status);
    lua_setfield(L, -2, "status");
    push_headers(L, exchange->headers);
    lua_setfield(L, -2, "headers");
    lua_setfenv(L, -2);
    return 1;
}

static int request_push(lua_State *L, struct wait *wait) {
    struct exchange *exchange = ((struct exchange_wait *)wait)->exchange;
    return exchange->streaming ? push_stream(L, exchange) : push_answer(L, exchange);
}

static void request_cancel(struct wait *wait) {
    struct exchange *exchange = ((struct exchange_wait *)wait)->exchange;
    exchange->waiting = NULL;
    if (exchange->fetch != NULL)
        net_fetch_cancel(exchange->fetch);
    exchange->fetch = NULL;
}

static void request_free(struct wait *wait) {
    struct exchange *exchange = ((struct exchange_wait *)wait)->exchange;
    if (!exchange->has_value)
        exchange_free(exchange);
    free(wait);
}

static const struct wait_ops request_ops = {request_push, request_cancel, request_free};

/* -- Requests ---------------------------------------------------------------------------------- */

static void close_client(struct vm_owned *owned) {
    struct lua_client *client = (struct lua_client *)owned;
    net_client_free(client->net);
    client->net = NULL;
}

static struct lua_client *the_client(lua_State *L, struct err *err) {
    lua_getfield(L, LUA_REGISTRYINDEX, client_type);
    struct lua_client *client = lua_touserdata(L, -1);
    lua_pop(L, 1);
    if (client != NULL)
        return client;
    client = lua_newuserdata(L, sizeof *client);
    memset(client, 0, sizeof *client);
    if (net_client_new(vm_loop(vm_of(L)), &client->net, err) < 0)
        return NULL;
    vm_own(vm_of(L), &client->owned, close_client);
    lua_setfield(L, LUA_REGISTRYINDEX, client_type);
    return client;
}

static bool is_clean(const char *text) {
    return text[strcspn(text, "\r\n")] == 0;
}

/* "Name: value" strings, kept alive on the stack. */
static void read_headers(lua_State *L, int options, const char **out) {
    size_t count = 0;
    lua_getfield(L, options, "headers");
    if (lua_istable(L, -1)) {
        int table = lua_gettop(L);
        lua_pushnil(L);
        while (lua_next(L, table) != 0) {
            if (lua_type(L, -2) != LUA_TSTRING || !lua_isstring(L, -1))
                luaL_error(L, "headers must be strings by name");
            if (count == HEADERS_MAX)
                luaL_error(L, "too many headers");
            luaL_checkstack(L, 4, "too many headers");
            lua_pushfstring(L, "%s: %s", lua_tostring(L, -2), lua_tostring(L, -1));
            out[count] = lua_tostring(L, -1);
            if (!is_clean(out[count++]))
                luaL_error(L, "a header has a line break");
            lua_replace(L, -2); /* the line stays below the key that goes on */
            lua_insert(L, -2);
        }
    } else if (!lua_isnil(L, -1)) {
        luaL_error(L, "headers must be a table");
    }
    out[count] = NULL;
}

/* raw(options) -> { status, headers, body } | response | nil, err */
static int http_request(lua_State *L) {
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    fiber_check(L);
    const char *headers[HEADERS_MAX + 1];
    struct net_fetch_options options = {.ops = &fetch_ops, .headers = headers};
    options.url = vm_opt_string(L, 1, "url", NULL);
    luaL_argcheck(L, options.url != NULL, 1, "url is missing");
    options.method = vm_opt_string(L, 1, "method", "GET");
    luaL_argcheck(L, http_is_token(options.method, strlen(options.method)), 1,
                  "method is malformed");
    options.timeout = vm_opt_number(L, 1, "timeout", 0);
    options.connect_timeout = vm_opt_number(L, 1, "connect_timeout", 0);
    options.max_size = (int64_t)vm_opt_number(L, 1, "max_size", 0);
    options.redirects = (int)vm_opt_number(L, 1, "redirects", 0);
    bool streaming = vm_opt_boolean(L, 1, "stream", false);
    lua_getfield(L, 1, "body");
    if (!lua_isnil(L, -1)) {
        if (lua_type(L, -1) != LUA_TSTRING)
            return luaL_argerror(L, 1, "body must be a string");
        options.body = lua_tolstring(L, -1, &options.body_size);
    }
    read_headers(L, 1, headers);
    struct err err;
    struct lua_client *client = the_client(L, &err);
    if (client == NULL)
        return vm_fail(L, &err);
    struct exchange *exchange = calloc(1, sizeof *exchange);
    struct exchange_wait *wait = calloc(1, sizeof *wait);
    if (exchange == NULL || wait == NULL) {
        free(exchange);
        free(wait);
        return vm_failf(L, ERR_NO_MEMORY, "out of memory");
    }
    exchange->streaming = streaming;
    options.user = exchange;
    if (net_client_fetch(client->net, &options, &exchange->fetch, &err) < 0) {
        free(exchange);
        free(wait);
        return vm_fail(L, &err);
    }
    wait->exchange = exchange;
    exchange->waiting = &wait->wait;
    return wait_begin(L, &wait->wait, &request_ops);
}

/* -- Streams ----------------------------------------------------------------------------------- */

static struct exchange **check_response(lua_State *L) {
    return luaL_checkudata(L, 1, response_type);
}

static int push_piece(lua_State *L, struct exchange *exchange) {
    size_t size = exchange->body.size - exchange->body.start;
    if (size > 0) {
        lua_pushlstring(L, exchange->body.at + exchange->body.start, size);
        bytes_use(&exchange->body, size);
        if (exchange->fetch != NULL)
            net_fetch_resume(exchange->fetch);
        return 1;
    }
    if (exchange->err.code != 0)
        return vm_fail(L, &exchange->err);
    lua_pushnil(L);
    return 1;
}

static int read_push(lua_State *L, struct wait *wait) {
    return push_piece(L, ((struct exchange_wait *)wait)->exchange);
}

static void read_cancel(struct wait *wait) {
    ((struct exchange_wait *)wait)->exchange->waiting = NULL;
}

static void read_free(struct wait *wait) {
    free(wait);
}

static const struct wait_ops read_ops = {read_push, read_cancel, read_free};

/* response:read() -> bytes | nil at the end | nil, err */
static int response_read(lua_State *L) {
    struct exchange *exchange = *check_response(L);
    if (exchange == NULL)
        return vm_failf(L, ERR_CLOSED, "the response is closed");
    fiber_check(L);
    if (exchange->body.size > exchange->body.start || exchange->done)
        return push_piece(L, exchange);
    if (exchange->waiting != NULL)
        return luaL_error(L, "another fiber reads this response");
    struct exchange_wait *wait = calloc(1, sizeof *wait);
    if (wait == NULL)
        return vm_failf(L, ERR_NO_MEMORY, "out of memory");
    wait->exchange = exchange;
    exchange->waiting = &wait->wait;
    return wait_begin(L, &wait->wait, &read_ops);
}

static int response_close(lua_State *L) {
    struct exchange **value = check_response(L);
    struct exchange *exchange = *value;
    if (exchange == NULL)
        return 0;
    if (exchange->waiting != NULL)
        return luaL_error(L, "another fiber reads this response");
    *value = NULL;
    exchange_free(exchange);
    return 0;
}

static int response_gc(lua_State *L) {
    struct exchange **value = lua_touserdata(L, 1);
    if (*value != NULL)
        exchange_free(*value);
    *value = NULL;
    return 0;
}

static int response_tostring(lua_State *L) {
    lua_pushliteral(L, "http response");
    return 1;
}

/* Upvalue 1: the methods; status and headers are in the environment. */
static int response_index(lua_State *L) {
    check_response(L);
    lua_pushvalue(L, 2);
    lua_rawget(L, lua_upvalueindex(1));
    if (!lua_isnil(L, -1))
        return 1;
    lua_getfenv(L, 1);
    lua_pushvalue(L, 2);
    lua_rawget(L, -2);
    return 1;
}

/* -- The module's part ------------------------------------------------------------------------- */

/* get and post in Lua: they only fill in the options, and a call from C could not wait. */
static const char short_forms[] =
    "local request, json = ...\n"
    "local function options_of(method, url, options)\n"
    "  local all = { method = method, url = url }\n"
    "  for key, value in pairs(options or {}) do all[key] = value end\n"
    "  return all\n"
    "end\n"
    "local function get(url, options) return request(options_of('GET', url, options)) end\n"
    "local function post(url, body, options)\n"
    "  local all = options_of('POST', url, options)\n"
    "  if type(body) == 'table' then\n"
    "    local headers, typed = {}, false\n"
    "    for name, value in pairs(all.headers or {}) do\n"
    "      headers[name], typed = value, typed or name:lower() == 'content-type'\n"
    "    end\n"
    "    if not typed then headers['Content-Type'] = 'application/json' end\n"
    "    all.headers, body = headers, json.encode(body)\n"
    "  end\n"
    "  all.body = body\n"
    "  return request(all)\n"
    "end\n"
    "return get, post\n";

static void open_response_type(lua_State *L) {
    static const luaL_Reg waiting[] = {{"read", response_read}, {NULL, NULL}};
    static const luaL_Reg plain[] = {{"close", response_close}, {NULL, NULL}};
    luaL_newmetatable(L, response_type);
    lua_pushcfunction(L, response_gc);
    lua_setfield(L, -2, "__gc");
    lua_pushcfunction(L, response_tostring);
    lua_setfield(L, -2, "__tostring");
    lua_newtable(L);
    luaL_register(L, NULL, plain);
    fiber_register(L, waiting);
    lua_pushcclosure(L, response_index, 1);
    lua_setfield(L, -2, "__index");
    lua_pop(L, 1);
}

void lua_http_open_client(lua_State *L) {
    static const luaL_Reg functions[] = {{"request", http_request}, {NULL, NULL}};
    open_response_type(L);
    fiber_register(L, functions);
    if (luaL_loadbuffer(L, short_forms, sizeof short_forms - 1, "=http") != 0)
        lua_error(L);
    lua_getfield(L, -2, "request");
    lua_getglobal(L, "require");
    lua_pushliteral(L, "json");
    lua_call(L, 1, 1);
    lua_call(L, 2, 2);
    lua_setfield(L, -3, "post");
    lua_setfield(L, -2, "get");
}
