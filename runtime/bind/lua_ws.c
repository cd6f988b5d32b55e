/* lua_ws.c - the Lua module `ws`: WebSockets as values that a fiber sends on and receives from. */
#include "bind/lua_ws.h"

#include <stdlib.h>
#include <string.h>

#include "bind/modules.h"
#include "net/ws_frame.h"

static const char socket_type[] = "stance.ws";

enum {
    HELD_MAX = 1 << 20, /* bytes received and not yet asked for before reading stops */
    HEADERS_MAX = 64,
};

struct message {
    struct message *next;
    size_t size;
    bool binary;
    char bytes[];
};

struct lua_ws {
    struct vm_owned owned;
    struct ws *ws; /* NULL: not yet, or no more */
    struct message *first, **last;
    size_t held;
    bool closed, vm_closing;
    int code;
    char reason[124];
    struct receive_wait *receiving;
    struct connect_wait *connecting;
    struct wait *draining;
    struct fiber *handler; /* of a server's: what goes on while the socket is open; NULL: ended */
};

/* -- Waits ------------------------------------------------------------------------------------- */

struct receive_wait {
    struct wait wait;
    struct lua_ws *socket;
    struct alarm *alarm;
};

struct connect_wait {
    struct wait wait;
    struct lua_ws *socket;
    int socket_ref;
    lua_State *L;
};

struct drain_wait {
    struct wait wait;
    struct lua_ws *socket;
};

static void wake_receiver(struct lua_ws *socket) {
    struct receive_wait *receive = socket->receiving;
    socket->receiving = NULL;
    if (receive == NULL)
        return;
    alarm_stop(receive->alarm);
    receive->alarm = NULL;
    wait_finish(&receive->wait);
}

static void wake_sender(struct lua_ws *socket) {
    struct wait *wait = socket->draining;
    socket->draining = NULL;
    if (wait != NULL)
        wait_finish(wait);
}

static void wake_connector(struct lua_ws *socket) {
    struct connect_wait *connect = socket->connecting;
    socket->connecting = NULL;
    if (connect != NULL)
        wait_finish(&connect->wait);
}

/* -- What the connection says ------------------------------------------------------------------ */

static void on_opened(struct ws *ws, void *user) {
    struct lua_ws *socket = user;
    socket->ws = ws;
    wake_connector(socket);
}

static void on_message(struct ws *ws, const char *bytes, size_t size, bool binary, void *user) {
    struct lua_ws *socket = user;
    struct message *message = malloc(sizeof *message + size);
    if (message == NULL) {
        ws_close(ws, 1011, "out of memory");
        return;
    }
    *message = (struct message){.size = size, .binary = binary};
    memcpy(message->bytes, bytes, size);
    *socket->last = message;
    socket->last = &message->next;
    socket->held += size;
    if (socket->held >= HELD_MAX)
        ws_pause(ws);
    wake_receiver(socket);
}

static void on_drained(struct ws *ws, void *user) {
    (void)ws;
    wake_sender(user);
}

static void on_closed(struct ws *ws, int code, const char *reason, void *user) {
    (void)ws;
    struct lua_ws *socket = user;
    socket->ws = NULL;
    socket->closed = true;
    socket->code = code;
    strncpy(socket->reason, reason, sizeof socket->reason - 1);
    vm_disown(&socket->owned);
    if (socket->vm_closing)
        return;
    /* A handler that waits on the socket is told by it. One that waits for something else, while
     * another fiber reads or not, might wait for ever. */
    bool told = (socket->receiving != NULL && socket->receiving->wait.fiber == socket->handler) ||
                (socket->draining != NULL && socket->draining->fiber == socket->handler);
    wake_connector(socket);
    wake_sender(socket);
    wake_receiver(socket);
    if (socket->handler != NULL && !told)
        fiber_cancel(socket->handler, "the WebSocket is closed");
}

static const struct ws_ops ops = {on_opened, on_message, on_drained, on_closed};

/* -- Life -------------------------------------------------------------------------------------- */

static void close_owned(struct vm_owned *owned) {
    struct lua_ws *socket = (struct lua_ws *)((char *)owned - offsetof(struct lua_ws, owned));
    socket->vm_closing = true;
    if (socket->ws != NULL)
        ws_kill(socket->ws);
}

struct lua_ws *lua_ws_push(lua_State *L, int index, struct ws_limits *limits) {
    *limits = (struct ws_limits){.ops = &ops};
    if (lua_istable(L, index)) {
        double message = vm_opt_number(L, index, "message_limit", 0);
        double budget = vm_opt_number(L, index, "send_budget", 0);
        if (!(message >= 0 && message < 1e15) || !(budget >= 0 && budget < 1e15))
            luaL_error(L, "message_limit and send_budget must be sizes in bytes");
        limits->message_limit = (size_t)message;
        limits->send_budget = (size_t)budget;
        limits->drop_oldest = vm_opt_boolean(L, index, "drop_oldest", false);
        limits->ping_interval = vm_opt_number(L, index, "ping", 0);
    }
    struct lua_ws *socket = lua_newuserdata(L, sizeof *socket);
    memset(socket, 0, sizeof *socket);
    socket->last = &socket->first;
    luaL_getmetatable(L, socket_type);
    lua_setmetatable(L, -2);
    limits->user = socket;
    vm_own(vm_of(L), &socket->owned, close_owned);
    return socket;
}

void lua_ws_attach(struct lua_ws *socket, struct ws *ws, struct fiber *handler) {
    if (socket->closed)
        return;
    socket->ws = ws;
    socket->handler = handler;
}

void lua_ws_finish(lua_State *L, int index, int code, const char *reason) {
    struct lua_ws *socket = lua_touserdata(L, index);
    if (socket == NULL)
        return;
    socket->handler = NULL;
    if (socket->ws != NULL)
        ws_close(socket->ws, code, reason);
}

static struct lua_ws *check_socket(lua_State *L) {
    return luaL_checkudata(L, 1, socket_type);
}

struct ws *lua_ws_check(lua_State *L, int index) {
    const struct lua_ws *socket = luaL_checkudata(L, index, socket_type);
    return socket->ws;
}

static int socket_gc(lua_State *L) {
    struct lua_ws *socket = lua_touserdata(L, 1);
    socket->vm_closing = true; /* nobody can wait on it any more */
    if (socket->ws != NULL)
        ws_kill(socket->ws);
    vm_disown(&socket->owned);
    while (socket->first != NULL) {
        struct message *message = socket->first;
        socket->first = message->next;
        free(message);
    }
    return 0;
}

/* -- Methods ----------------------------------------------------------------------------------- */

/* socket:send(message, [binary]) -> true | nil, err; does not wait */
static int socket_send(lua_State *L) {
    struct lua_ws *socket = check_socket(L);
    size_t size;
    const char *bytes = luaL_checklstring(L, 2, &size);
    if (socket->ws == NULL)
        return vm_failf(L, ERR_CLOSED, "the WebSocket is closed");
    int status = ws_send(socket->ws, bytes, size, lua_toboolean(L, 3));
    switch (status) {
    case 0:
        lua_pushboolean(L, 1);
        return 1;
    case ERR_INVALID:
        return vm_failf(L, ERR_INVALID, "text must be UTF-8: send it as binary");
    case ERR_TOO_LARGE:
        return vm_failf(L, ERR_CLOSED, "the peer is too slow and was closed");
    case ERR_NO_MEMORY:
        return vm_failf(L, ERR_NO_MEMORY, "out of memory");
    default:
        return vm_failf(L, ERR_CLOSED, "the WebSocket is closed");
    }
}

static int fail_closed(lua_State *L, const struct lua_ws *socket) {
    struct err err;
    err_set(&err, ERR_CLOSED, "the WebSocket is closed (%d%s%s)", socket->code,
            socket->reason[0] ? " " : "", socket->reason);
    int count = vm_fail(L, &err);
    lua_pushinteger(L, socket->code);
    lua_setfield(L, -2, "close_code");
    lua_pushstring(L, socket->reason);
    lua_setfield(L, -2, "reason");
    return count;
}

static int push_message(lua_State *L, struct lua_ws *socket) {
    struct message *message = socket->first;
    if (message == NULL)
        return socket->closed ? fail_closed(L, socket)
                              : vm_failf(L, ERR_TIMEOUT, "no message came in time");
    lua_pushlstring(L, message->bytes, message->size);
    lua_pushboolean(L, message->binary);
    socket->first = message->next;
    if (socket->first == NULL)
        socket->last = &socket->first;
    socket->held -= message->size;
    free(message);
    if (socket->ws != NULL && socket->held < HELD_MAX / 2)
        ws_resume(socket->ws);
    return 2;
}

static int receive_push(lua_State *L, struct wait *wait) {
    return push_message(L, ((struct receive_wait *)wait)->socket);
}

static void receive_cancel(struct wait *wait) {
    struct receive_wait *receive = (struct receive_wait *)wait;
    receive->socket->receiving = NULL;
    alarm_stop(receive->alarm);
    receive->alarm = NULL;
}

static void receive_free(struct wait *wait) {
    free(wait);
}

static const struct wait_ops receive_ops = {receive_push, receive_cancel, receive_free};

static void receive_late(void *arg) {
    struct lua_ws *socket = arg;
    socket->receiving->alarm = NULL;
    wake_receiver(socket);
}

/* socket:receive([timeout]) -> message, binary | nil, err (code "timeout" or "closed", then with
 * close_code and reason) */
static int socket_receive(lua_State *L) {
    struct lua_ws *socket = check_socket(L);
    double timeout = luaL_optnumber(L, 2, -1);
    fiber_check(L);
    if (socket->first != NULL || socket->closed || timeout == 0)
        return push_message(L, socket);
    if (socket->receiving != NULL)
        return luaL_error(L, "another fiber receives from this WebSocket");
    struct receive_wait *receive = malloc(sizeof *receive);
    if (receive == NULL)
        return vm_failf(L, ERR_NO_MEMORY, "out of memory");
    *receive = (struct receive_wait){.socket = socket};
    if (timeout > 0)
        receive->alarm = alarm_start(vm_loop(vm_of(L)), timeout, receive_late, socket);
    socket->receiving = receive;
    return wait_begin(L, &receive->wait, &receive_ops);
}

static int drain_push(lua_State *L, struct wait *wait) {
    struct lua_ws *socket = ((struct drain_wait *)wait)->socket;
    if (socket->closed)
        return fail_closed(L, socket);
    lua_pushboolean(L, 1);
    return 1;
}

static void drain_cancel(struct wait *wait) {
    ((struct drain_wait *)wait)->socket->draining = NULL;
}

/* socket:drain() -> true | nil, err: waits until all that was sent is with the kernel */
static int socket_drain(lua_State *L) {
    static const struct wait_ops drain_ops = {drain_push, drain_cancel, receive_free};
    struct lua_ws *socket = check_socket(L);
    fiber_check(L);
    if (socket->closed || socket->ws == NULL)
        return fail_closed(L, socket);
    if (ws_buffered(socket->ws) == 0) {
        lua_pushboolean(L, 1);
        return 1;
    }
    if (socket->draining != NULL)
        return luaL_error(L, "another fiber waits for this already");
    struct drain_wait *drain = malloc(sizeof *drain);
    if (drain == NULL)
        return vm_failf(L, ERR_NO_MEMORY, "out of memory");
    drain->socket = socket;
    socket->draining = &drain->wait;
    return wait_begin(L, &drain->wait, &drain_ops);
}

int lua_ws_check_code(lua_State *L, int index) {
    int code = (int)luaL_optinteger(L, index, 1000);
    luaL_argcheck(L, ws_code_is_valid(code), index, "not a code that a close frame may carry");
    return code;
}

/* socket:close([code], [reason]) */
static int socket_close(lua_State *L) {
    struct lua_ws *socket = check_socket(L);
    int code = lua_ws_check_code(L, 2);
    const char *reason = luaL_optstring(L, 3, "");
    if (socket->ws != NULL)
        ws_close(socket->ws, code, reason);
    return 0;
}

static int socket_buffered(lua_State *L) {
    struct lua_ws *socket = check_socket(L);
    lua_pushnumber(L, socket->ws ? (lua_Number)ws_buffered(socket->ws) : 0);
    return 1;
}

static int socket_is_open(lua_State *L) {
    lua_pushboolean(L, check_socket(L)->ws != NULL);
    return 1;
}

static int socket_protocol(lua_State *L) {
    struct lua_ws *socket = check_socket(L);
    const char *protocol = socket->ws ? ws_protocol(socket->ws) : "";
    if (protocol[0] == 0)
        lua_pushnil(L);
    else
        lua_pushstring(L, protocol);
    return 1;
}

static int socket_tostring(lua_State *L) {
    struct lua_ws *socket = check_socket(L);
    lua_pushfstring(L, "websocket (%s)", socket->ws ? ws_remote(socket->ws) : "closed");
    return 1;
}

/* -- Client ------------------------------------------------------------------------------------ */

static int connect_push(lua_State *L, struct wait *wait) {
    struct connect_wait *connect = (struct connect_wait *)wait;
    struct lua_ws *socket = connect->socket;
    if (socket->closed)
        return vm_failf(L, ERR_UPSTREAM, "%s",
                        socket->reason[0] ? socket->reason : "the connection failed");
    lua_rawgeti(L, LUA_REGISTRYINDEX, connect->socket_ref);
    return 1;
}

static void connect_cancel(struct wait *wait) {
    struct lua_ws *socket = ((struct connect_wait *)wait)->socket;
    socket->connecting = NULL;
    if (socket->ws != NULL)
        ws_kill(socket->ws);
}

static void connect_free(struct wait *wait) {
    struct connect_wait *connect = (struct connect_wait *)wait;
    luaL_unref(connect->L, LUA_REGISTRYINDEX, connect->socket_ref);
    free(connect);
}

static const struct wait_ops connect_ops = {connect_push, connect_cancel, connect_free};

/* Names and values in turn; the strings stay in the options' table. */
static void read_headers(lua_State *L, const char **out) {
    size_t count = 0;
    lua_getfield(L, 2, "headers");
    if (lua_istable(L, -1)) {
        lua_pushnil(L);
        while (lua_next(L, -2) != 0) {
            if (lua_type(L, -1) != LUA_TSTRING || lua_type(L, -2) != LUA_TSTRING)
                luaL_error(L, "headers must be strings by name");
            if (strpbrk(lua_tostring(L, -1), "\r\n") || strpbrk(lua_tostring(L, -2), ":\r\n "))
                luaL_error(L, "a header has a forbidden character");
            if (count + 2 > HEADERS_MAX)
                luaL_error(L, "too many headers");
            out[count++] = lua_tostring(L, -2);
            out[count++] = lua_tostring(L, -1);
            lua_pop(L, 1);
        }
    }
    out[count] = NULL;
}

/* ws.connect(url, [options]) -> socket | nil, err */
static int ws_module_connect(lua_State *L) {
    const char *url = luaL_checkstring(L, 1);
    if (lua_isnoneornil(L, 2)) {
        lua_settop(L, 1);
        lua_newtable(L);
    }
    luaL_checktype(L, 2, LUA_TTABLE);
    fiber_check(L);
    const char *headers[HEADERS_MAX + 1];
    read_headers(L, headers);
    struct ws_target target = {.url = url,
                               .protocols = vm_opt_string(L, 2, "protocols", NULL),
                               .headers = headers,
                               .timeout = vm_opt_number(L, 2, "timeout", 0)};
    struct ws_limits limits;
    struct lua_ws *socket = lua_ws_push(L, 2, &limits);
    lua_pushvalue(L, -1);
    int ref = luaL_ref(L, LUA_REGISTRYINDEX);
    struct connect_wait *connect = calloc(1, sizeof *connect);
    struct err err;
    if (connect == NULL || ws_connect(vm_loop(vm_of(L)), &target, &limits, &socket->ws, &err) < 0) {
        luaL_unref(L, LUA_REGISTRYINDEX, ref);
        if (connect == NULL)
            return vm_failf(L, ERR_NO_MEMORY, "out of memory");
        free(connect);
        return vm_fail(L, &err);
    }
    connect->socket = socket;
    connect->socket_ref = ref;
    connect->L = vm_lua(vm_of(L));
    socket->connecting = connect;
    return wait_begin(L, &connect->wait, &connect_ops);
}

/* -- The module -------------------------------------------------------------------------------- */

static const luaL_Reg methods[] = {
    {"send", socket_send},       {"close", socket_close},       {"buffered", socket_buffered},
    {"is_open", socket_is_open}, {"protocol", socket_protocol}, {NULL, NULL},
};

static const luaL_Reg waiting_methods[] = {
    {"receive", socket_receive},
    {"drain", socket_drain},
    {NULL, NULL},
};

static const luaL_Reg meta[] = {
    {"__gc", socket_gc},
    {"__tostring", socket_tostring},
    {NULL, NULL},
};

static const luaL_Reg functions[] = {
    {"connect", ws_module_connect},
    {NULL, NULL},
};

void lua_ws_open_type(lua_State *L) {
    luaL_getmetatable(L, socket_type);
    bool known = !lua_isnil(L, -1);
    lua_pop(L, 1);
    if (known)
        return;
    vm_new_type(L, socket_type, methods, meta);
    luaL_getmetatable(L, socket_type);
    lua_getfield(L, -1, "__index");
    fiber_register(L, waiting_methods);
    lua_pop(L, 2);
}

int lua_open_ws(lua_State *L) {
    lua_ws_open_type(L);
    lua_ws_open_group_type(L);
    lua_newtable(L);
    fiber_register(L, functions);
    lua_pushcfunction(L, lua_ws_group);
    lua_setfield(L, -2, "group");
    return 1;
}
