/* lua_fiber.c - the Lua module `fiber`: spawn, sleep, join, channels, timers, select.
 *
 * Everything that a fiber can wait for here is a `source` (a channel's getting end, a channel's
 * putting end, a fiber's end, a timer). One wait, the `pick`, watches any number of sources and
 * takes the first that has something; get, join, sleep and select are all picks. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bind/lua_fiber.h"

static const char fiber_type[] = "stance.fiber";
static const char channel_type[] = "stance.channel";
static const char timer_type[] = "stance.timer";

enum { SELECT_MAX = 64 };

/* -- Picks ------------------------------------------------------------------------------------- */

struct pick;

/* One source that a pick watches. `value` is what it will give, once it fired. */
struct node {
    struct node *next, *previous; /* ring of the source; alone: points to itself */
    struct pick *pick;
    struct fiber_watch watch; /* fibers only */
    struct fiber *fiber;
};

struct pick {
    struct wait wait;
    lua_State *L;
    struct alarm *alarm;
    int fired; /* index of the node that fired, or -1: the timeout */
    bool closed;
    int value_ref;   /* a value handed over by a putter, or one that waits to be put */
    int sources_ref; /* what select watches must not be collected, whoever else forgets it */
    bool is_sleep, is_select;
    int count;
    struct node nodes[];
};

static void ring_init(struct node *ring) {
    ring->next = ring->previous = ring;
}

static void ring_remove(struct node *node) {
    node->previous->next = node->next;
    node->next->previous = node->previous;
    ring_init(node);
}

static void ring_append(struct node *ring, struct node *node) {
    node->previous = ring->previous;
    node->next = ring;
    ring->previous->next = node;
    ring->previous = node;
}

static void pick_detach(struct pick *pick) {
    alarm_stop(pick->alarm);
    pick->alarm = NULL;
    for (int i = 0; i < pick->count; i++) {
        ring_remove(&pick->nodes[i]);
        fiber_unwatch(&pick->nodes[i].watch);
    }
}

static void pick_fire(struct pick *pick, int index) {
    pick->fired = index;
    pick_detach(pick);
    wait_finish(&pick->wait);
}

static void pick_timeout(void *arg) {
    struct pick *pick = arg;
    pick->alarm = NULL;
    pick_fire(pick, -1);
}

static void pick_fiber_ended(struct fiber_watch *watch) {
    struct node *node = (struct node *)((char *)watch - offsetof(struct node, watch));
    pick_fire(node->pick, (int)(node - node->pick->nodes));
}

static void pick_cancel(struct wait *wait) {
    pick_detach((struct pick *)wait);
}

static void pick_free(struct wait *wait) {
    struct pick *pick = (struct pick *)wait;
    for (int i = 0; i < pick->count; i++)
        fiber_release(pick->nodes[i].fiber);
    luaL_unref(pick->L, LUA_REGISTRYINDEX, pick->value_ref);
    luaL_unref(pick->L, LUA_REGISTRYINDEX, pick->sources_ref);
    free(pick);
}

static int push_closed(lua_State *L) {
    return vm_failf(L, ERR_CLOSED, "the channel is closed");
}

static int pick_push(lua_State *L, struct wait *wait) {
    struct pick *pick = (struct pick *)wait;
    if (pick->is_sleep)
        return 0;
    if (pick->fired < 0)
        return vm_failf(L, ERR_TIMEOUT, "nothing came in time");
    int base = 0;
    if (pick->is_select) {
        lua_pushinteger(L, pick->fired + 1);
        base = 1;
    }
    struct node *node = &pick->nodes[pick->fired];
    if (pick->closed)
        return base + push_closed(L);
    if (node->fiber != NULL)
        return base + fiber_push_results(L, node->fiber);
    if (pick->value_ref != LUA_NOREF)
        lua_rawgeti(L, LUA_REGISTRYINDEX, pick->value_ref);
    else
        lua_pushboolean(L, 1);
    return base + 1;
}

static const struct wait_ops pick_ops = {pick_push, pick_cancel, pick_free};

static struct pick *pick_new(lua_State *L, int count) {
    struct pick *pick = calloc(1, sizeof *pick + (size_t)count * sizeof *pick->nodes);
    if (pick == NULL)
        luaL_error(L, "out of memory");
    pick->L = vm_lua(vm_of(L));
    pick->value_ref = pick->sources_ref = LUA_NOREF;
    pick->count = count;
    for (int i = 0; i < count; i++) {
        ring_init(&pick->nodes[i]);
        pick->nodes[i].pick = pick;
        pick->nodes[i].watch.ended = pick_fiber_ended;
    }
    return pick;
}

static int pick_wait(lua_State *L, struct pick *pick, double timeout) {
    if (timeout >= 0)
        pick->alarm = alarm_start(vm_loop(vm_of(L)), timeout, pick_timeout, pick);
    return wait_begin(L, &pick->wait, &pick_ops);
}

/* An optional timeout argument; < 0: none. */
static double check_timeout(lua_State *L, int index) {
    double timeout = luaL_optnumber(L, index, -1);
    luaL_argcheck(L, timeout == timeout, index, "not a number of seconds");
    return timeout;
}

/* -- Channels ---------------------------------------------------------------------------------- */

/* A queue of Lua values: those buffered lie in a Lua table at items[head..head + count - 1]. */
struct channel {
    int items_ref;
    int head, count, capacity;
    bool closed;
    struct node getters, putters; /* rings of waiting nodes */
};

static struct channel *check_channel(lua_State *L, int index) {
    return luaL_checkudata(L, index, channel_type);
}

static int channel_new(lua_State *L) {
    int capacity = luaL_optint(L, 1, 0);
    luaL_argcheck(L, capacity >= 0, 1, "a capacity cannot be negative");
    struct channel *channel = lua_newuserdata(L, sizeof *channel);
    memset(channel, 0, sizeof *channel);
    channel->items_ref = LUA_NOREF;
    channel->capacity = capacity;
    channel->head = 1;
    ring_init(&channel->getters);
    ring_init(&channel->putters);
    luaL_getmetatable(L, channel_type);
    lua_setmetatable(L, -2);
    lua_newtable(L);
    channel->items_ref = luaL_ref(L, LUA_REGISTRYINDEX);
    return 1;
}

/* Appends the value on top of the stack (popped). */
static void buffer_push(lua_State *L, struct channel *channel) {
    lua_rawgeti(L, LUA_REGISTRYINDEX, channel->items_ref);
    lua_insert(L, -2);
    lua_rawseti(L, -2, channel->head + channel->count++);
    lua_pop(L, 1);
}

static void buffer_pop(lua_State *L, struct channel *channel) {
    lua_rawgeti(L, LUA_REGISTRYINDEX, channel->items_ref);
    lua_rawgeti(L, -1, channel->head);
    lua_pushnil(L);
    lua_rawseti(L, -3, channel->head++);
    lua_remove(L, -2);
    if (--channel->count == 0)
        channel->head = 1;
}

/* Pushes the next value and returns true, if there is one now. */
static bool channel_take(lua_State *L, struct channel *channel) {
    struct node *putter = channel->putters.next;
    bool waiting = putter != &channel->putters;
    if (channel->count > 0) {
        buffer_pop(L, channel);
        if (waiting) {
            lua_rawgeti(L, LUA_REGISTRYINDEX, putter->pick->value_ref);
            buffer_push(L, channel);
        }
    } else if (waiting) {
        lua_rawgeti(L, LUA_REGISTRYINDEX, putter->pick->value_ref);
    } else {
        return false;
    }
    if (waiting) {
        luaL_unref(L, LUA_REGISTRYINDEX, putter->pick->value_ref);
        putter->pick->value_ref = LUA_NOREF;
        pick_fire(putter->pick, 0);
    }
    return true;
}

static int channel_put(lua_State *L) {
    struct channel *channel = check_channel(L, 1);
    luaL_argcheck(L, !lua_isnoneornil(L, 2), 2, "a channel carries any value but nil");
    double timeout = check_timeout(L, 3);
    if (channel->closed)
        return push_closed(L);
    struct node *getter = channel->getters.next;
    lua_pushvalue(L, 2);
    if (getter != &channel->getters) {
        getter->pick->value_ref = luaL_ref(L, LUA_REGISTRYINDEX);
        pick_fire(getter->pick, (int)(getter - getter->pick->nodes));
    } else if (channel->count < channel->capacity) {
        buffer_push(L, channel);
    } else if (timeout == 0) {
        return vm_failf(L, ERR_TIMEOUT, "the channel is full");
    } else {
        fiber_check(L);
        struct pick *pick = pick_new(L, 1);
        pick->value_ref = luaL_ref(L, LUA_REGISTRYINDEX);
        ring_append(&channel->putters, &pick->nodes[0]);
        return pick_wait(L, pick, timeout);
    }
    lua_pushboolean(L, 1);
    return 1;
}

static int channel_get(lua_State *L) {
    struct channel *channel = check_channel(L, 1);
    double timeout = check_timeout(L, 2);
    if (channel_take(L, channel))
        return 1;
    if (channel->closed)
        return push_closed(L);
    if (timeout == 0)
        return vm_failf(L, ERR_TIMEOUT, "nothing came in time");
    fiber_check(L);
    struct pick *pick = pick_new(L, 1);
    ring_append(&channel->getters, &pick->nodes[0]);
    return pick_wait(L, pick, timeout);
}

static void close_waiting(lua_State *L, struct node *ring) {
    while (ring->next != ring) {
        struct node *node = ring->next;
        struct pick *pick = node->pick;
        luaL_unref(L, LUA_REGISTRYINDEX, pick->value_ref);
        pick->value_ref = LUA_NOREF;
        pick->closed = true;
        pick_fire(pick, (int)(node - pick->nodes));
    }
}

/* What is buffered can still be taken; who waits is told. */
static int channel_close(lua_State *L) {
    struct channel *channel = check_channel(L, 1);
    channel->closed = true;
    close_waiting(L, &channel->getters);
    close_waiting(L, &channel->putters);
    return 0;
}

static int channel_count(lua_State *L) {
    lua_pushinteger(L, check_channel(L, 1)->count);
    return 1;
}

static int channel_is_closed(lua_State *L) {
    lua_pushboolean(L, check_channel(L, 1)->closed);
    return 1;
}

static int channel_gc(lua_State *L) {
    struct channel *channel = check_channel(L, 1);
    luaL_unref(L, LUA_REGISTRYINDEX, channel->items_ref);
    return 0;
}

static int channel_tostring(lua_State *L) {
    struct channel *channel = check_channel(L, 1);
    lua_pushfstring(L, "channel (%d of %d)%s", channel->count, channel->capacity,
                    channel->closed ? " closed" : "");
    return 1;
}

/* -- Timers ------------------------------------------------------------------------------------ */

struct timer {
    struct vm_owned owned;
    struct alarm *alarm;
    bool rang;
    struct node waiting; /* ring */
};

static void timer_rings(void *arg) {
    struct timer *timer = arg;
    timer->alarm = NULL;
    timer->rang = true;
    vm_disown(&timer->owned);
    while (timer->waiting.next != &timer->waiting) {
        struct node *node = timer->waiting.next;
        pick_fire(node->pick, (int)(node - node->pick->nodes));
    }
}

static void timer_close(struct vm_owned *owned) {
    struct timer *timer = (struct timer *)owned;
    alarm_stop(timer->alarm);
    timer->alarm = NULL;
}

static int timer_new(lua_State *L) {
    double seconds = luaL_checknumber(L, 1);
    struct timer *timer = lua_newuserdata(L, sizeof *timer);
    memset(timer, 0, sizeof *timer);
    ring_init(&timer->waiting);
    luaL_getmetatable(L, timer_type);
    lua_setmetatable(L, -2);
    timer->alarm = alarm_start(vm_loop(vm_of(L)), seconds, timer_rings, timer);
    vm_own(vm_of(L), &timer->owned, timer_close);
    return 1;
}

static int timer_gc(lua_State *L) {
    struct timer *timer = luaL_checkudata(L, 1, timer_type);
    vm_disown(&timer->owned);
    timer_close(&timer->owned);
    return 0;
}

/* -- Fibers ------------------------------------------------------------------------------------ */

struct handle {
    struct fiber *fiber;
};

static struct fiber *check_fiber(lua_State *L, int index) {
    return ((struct handle *)luaL_checkudata(L, index, fiber_type))->fiber;
}

struct fiber *lua_fiber_check(lua_State *L, int index) {
    return check_fiber(L, index);
}

static void push_handle(lua_State *L, struct fiber *fiber) {
    struct handle *handle = lua_newuserdata(L, sizeof *handle);
    handle->fiber = fiber;
    fiber_retain(fiber);
    luaL_getmetatable(L, fiber_type);
    lua_setmetatable(L, -2);
}

static int fiber_spawn(lua_State *L) {
    luaL_checktype(L, 1, LUA_TFUNCTION);
    struct err err;
    char name[48] = "fiber";
    struct fiber *parent = fiber_current(L);
    if (parent != NULL)
        snprintf(name, sizeof name, "%s", fiber_name(parent));
    struct handle *handle = lua_newuserdata(L, sizeof *handle);
    handle->fiber = NULL;
    lua_insert(L, 1);
    handle->fiber = fiber_start_retained(L, lua_gettop(L) - 2, name, &err);
    if (handle->fiber == NULL)
        return luaL_error(L, "%s", err.message);
    luaL_getmetatable(L, fiber_type);
    lua_setmetatable(L, 1);
    lua_settop(L, 1);
    return 1;
}

static int fiber_self(lua_State *L) {
    struct fiber *fiber = fiber_current(L);
    if (fiber == NULL)
        lua_pushnil(L);
    else
        push_handle(L, fiber);
    return 1;
}

static int fiber_join(lua_State *L) {
    struct fiber *fiber = check_fiber(L, 1);
    double timeout = check_timeout(L, 2);
    if (fiber_status(fiber) >= FIBER_ENDED)
        return fiber_push_results(L, fiber);
    luaL_argcheck(L, fiber != fiber_check(L), 1, "a fiber cannot join itself");
    struct pick *pick = pick_new(L, 1);
    pick->nodes[0].fiber = fiber;
    fiber_retain(fiber);
    fiber_watch(fiber, &pick->nodes[0].watch);
    return pick_wait(L, pick, timeout);
}

static int fiber_cancel_method(lua_State *L) {
    fiber_cancel(check_fiber(L, 1), luaL_optstring(L, 2, NULL));
    return 0;
}

const char *lua_fiber_status_name(const struct fiber *fiber) {
    static const char *const names[] = {"ready", "running", "waiting", "ended", "failed"};
    return names[fiber_status(fiber)];
}

static int fiber_status_method(lua_State *L) {
    lua_pushstring(L, lua_fiber_status_name(check_fiber(L, 1)));
    return 1;
}

static int fiber_name_method(lua_State *L) {
    struct fiber *fiber = check_fiber(L, 1);
    if (!lua_isnoneornil(L, 2))
        fiber_set_name(fiber, luaL_checkstring(L, 2));
    lua_pushstring(L, fiber_name(fiber));
    return 1;
}

/* fiber:job([id]): the job id that log lines of this fiber, and of those it spawns, carry. */
static int fiber_job_method(lua_State *L) {
    struct fiber *fiber = check_fiber(L, 1);
    if (!lua_isnoneornil(L, 2))
        fiber_set_job_id(fiber, luaL_checkstring(L, 2));
    lua_pushstring(L, fiber_job_id(fiber));
    return 1;
}

static int fiber_request_method(lua_State *L) {
    struct fiber *fiber = check_fiber(L, 1);
    if (!lua_isnoneornil(L, 2))
        fiber_set_request_id(fiber, luaL_checkstring(L, 2));
    lua_pushstring(L, fiber_request_id(fiber));
    return 1;
}

/* fiber:trace([traceparent]) -> the trace id */
static int fiber_trace_method(lua_State *L) {
    struct fiber *fiber = check_fiber(L, 1);
    if (!lua_isnoneornil(L, 2))
        fiber_set_trace(fiber, luaL_checkstring(L, 2));
    lua_pushstring(L, fiber_trace_id(fiber));
    return 1;
}

static int fiber_equal(lua_State *L) {
    lua_pushboolean(L, check_fiber(L, 1) == check_fiber(L, 2));
    return 1;
}

static int fiber_tostring(lua_State *L) {
    struct fiber *fiber = check_fiber(L, 1);
    lua_pushfstring(L, "fiber '%s' (%s)", fiber_name(fiber), lua_fiber_status_name(fiber));
    return 1;
}

static int fiber_gc(lua_State *L) {
    struct handle *handle = luaL_checkudata(L, 1, fiber_type);
    fiber_release(handle->fiber);
    handle->fiber = NULL;
    return 0;
}

static int fiber_sleep(lua_State *L) {
    double seconds = luaL_optnumber(L, 1, 0);
    luaL_argcheck(L, seconds >= 0, 1, "a time to sleep cannot be negative");
    fiber_check(L);
    struct pick *pick = pick_new(L, 0);
    pick->is_sleep = true;
    return pick_wait(L, pick, seconds);
}

/* set_deadline(when): returns the former one; for fiber.deadline below. */
static int fiber_swap_deadline(lua_State *L) {
    struct fiber *fiber = fiber_current(L);
    if (fiber == NULL)
        return luaL_error(L, "a deadline needs a fiber");
    double former = fiber_deadline(fiber);
    fiber_set_deadline(fiber, luaL_checknumber(L, 1));
    lua_pushnumber(L, former);
    return 1;
}

static int fiber_now(lua_State *L) {
    lua_pushnumber(L, loop_seconds());
    return 1;
}

static int fiber_count_function(lua_State *L) {
    lua_pushinteger(L, (lua_Integer)fiber_count(vm_of(L)));
    return 1;
}

static int fiber_list(lua_State *L) {
    lua_newtable(L);
    int i = 0;
    for (struct fiber *fiber = fiber_next(vm_of(L), NULL); fiber;
         fiber = fiber_next(vm_of(L), fiber)) {
        push_handle(L, fiber);
        lua_rawseti(L, -2, ++i);
    }
    return 1;
}

/* -- Select ------------------------------------------------------------------------------------ */

static void *test_type(lua_State *L, int index, const char *type) {
    void *data = lua_touserdata(L, index);
    if (data == NULL || !lua_getmetatable(L, index))
        return NULL;
    luaL_getmetatable(L, type);
    bool same = lua_rawequal(L, -1, -2);
    lua_pop(L, 2);
    return same ? data : NULL;
}

/* Looks at the source on top of the stack: pushes its results and returns their number if it has
 * some now, else -1. */
static int try_source(lua_State *L) {
    int top = lua_gettop(L);
    struct channel *channel = test_type(L, top, channel_type);
    struct handle *handle = test_type(L, top, fiber_type);
    struct timer *timer = test_type(L, top, timer_type);
    if (channel != NULL)
        return channel_take(L, channel) ? 1 : channel->closed ? push_closed(L) : -1;
    if (handle != NULL)
        return fiber_status(handle->fiber) >= FIBER_ENDED ? fiber_push_results(L, handle->fiber)
                                                          : -1;
    if (timer == NULL)
        return luaL_error(L, "select takes channels, fibers and timers, not a %s",
                          luaL_typename(L, top));
    lua_pushboolean(L, 1);
    return timer->rang ? 1 : -1;
}

static void watch_source(lua_State *L, struct node *node) {
    struct channel *channel = test_type(L, -1, channel_type);
    struct handle *handle = test_type(L, -1, fiber_type);
    if (channel != NULL) {
        ring_append(&channel->getters, node);
    } else if (handle != NULL) {
        node->fiber = handle->fiber;
        fiber_retain(handle->fiber);
        fiber_watch(handle->fiber, &node->watch);
    } else {
        ring_append(&((struct timer *)lua_touserdata(L, -1))->waiting, node);
    }
}

static int fiber_select(lua_State *L) {
    luaL_checktype(L, 1, LUA_TTABLE);
    double timeout = vm_opt_number(L, 1, "timeout", -1);
    int count = (int)lua_objlen(L, 1);
    luaL_argcheck(L, count <= SELECT_MAX, 1, "at most 64 sources");
    for (int i = 1; i <= count; i++) {
        lua_pushinteger(L, i);
        lua_rawgeti(L, 1, i);
        int results = try_source(L);
        if (results >= 0) {
            lua_remove(L, -results - 1); /* the source, between the index and the results */
            return results + 1;
        }
        lua_settop(L, 1);
    }
    if (timeout == 0 || (count == 0 && timeout < 0))
        return vm_failf(L, ERR_TIMEOUT, "nothing came in time");
    fiber_check(L);
    lua_createtable(L, count, 0);
    struct pick *pick = pick_new(L, count);
    pick->is_select = true;
    for (int i = 1; i <= count; i++) {
        lua_rawgeti(L, 1, i);
        watch_source(L, &pick->nodes[i - 1]);
        lua_rawseti(L, -2, i);
    }
    pick->sources_ref = luaL_ref(L, LUA_REGISTRYINDEX);
    return pick_wait(L, pick, timeout);
}

/* -- Module ------------------------------------------------------------------------------------ */

static const luaL_Reg channel_methods[] = {
    {"close", channel_close},
    {"count", channel_count},
    {"is_closed", channel_is_closed},
    {NULL, NULL},
};

static const luaL_Reg channel_waits[] = {
    {"put", channel_put},
    {"get", channel_get},
    {NULL, NULL},
};

static const luaL_Reg channel_meta[] = {
    {"__gc", channel_gc},
    {"__tostring", channel_tostring},
    {NULL, NULL},
};

static const luaL_Reg fiber_methods[] = {
    {"cancel", fiber_cancel_method},
    {"status", fiber_status_method},
    {"name", fiber_name_method},
    {"job", fiber_job_method},
    {"request", fiber_request_method},
    {"trace", fiber_trace_method},
    {NULL, NULL},
};

static const luaL_Reg fiber_waits[] = {
    {"join", fiber_join},
    {NULL, NULL},
};

static const luaL_Reg fiber_meta[] = {
    {"__gc", fiber_gc},
    {"__eq", fiber_equal},
    {"__tostring", fiber_tostring},
    {NULL, NULL},
};

static const luaL_Reg timer_meta[] = {
    {"__gc", timer_gc},
    {NULL, NULL},
};

static const luaL_Reg functions[] = {
    {"spawn", fiber_spawn},          {"self", fiber_self},
    {"channel", channel_new},        {"timer", timer_new},
    {"count", fiber_count_function}, {"list", fiber_list},
    {"inspect", lua_fiber_inspect},  {NULL, NULL},
};

static const luaL_Reg waits[] = {
    {"sleep", fiber_sleep},
    {"yield", fiber_sleep},
    {"select", fiber_select},
    {NULL, NULL},
};

/* fiber.deadline(seconds, fn, ...): the nearer of the two deadlines holds while fn runs. */
static const char deadline_chunk[] =
    "local swap, now = ...\n"
    "local function restore(former, ok, ...)\n"
    "  swap(former)\n"
    "  if not ok then error((...), 0) end\n"
    "  return ...\n"
    "end\n"
    "return function(seconds, fn, ...)\n"
    "  if type(seconds) ~= 'number' then error('deadline: seconds must be a number', 2) end\n"
    "  local former, wanted = swap(0), now() + seconds\n"
    "  if former > 0 and former < wanted then wanted = former end\n"
    "  swap(wanted)\n"
    "  return restore(former, pcall(fn, ...))\n"
    "end\n";

static void new_waiting_type(lua_State *L, const char *name, const luaL_Reg *methods,
                             const luaL_Reg *waiting, const luaL_Reg *meta) {
    vm_new_type(L, name, methods, meta);
    lua_getfield(L, -1, "__index");
    fiber_register(L, waiting);
    lua_pop(L, 2);
}

int lua_open_fiber(lua_State *L) {
    static const luaL_Reg none[] = {{NULL, NULL}};
    new_waiting_type(L, channel_type, channel_methods, channel_waits, channel_meta);
    new_waiting_type(L, fiber_type, fiber_methods, fiber_waits, fiber_meta);
    new_waiting_type(L, timer_type, none, none, timer_meta);
    lua_newtable(L);
    luaL_register(L, NULL, functions);
    fiber_register(L, waits);
    if (luaL_loadbuffer(L, deadline_chunk, sizeof deadline_chunk - 1, "=fiber.deadline") != 0)
        return lua_error(L);
    lua_pushcfunction(L, fiber_swap_deadline);
    lua_pushcfunction(L, fiber_now);
    lua_call(L, 2, 1);
    lua_setfield(L, -2, "deadline");
    return 1;
}
