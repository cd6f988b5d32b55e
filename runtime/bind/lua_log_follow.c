/* lua_log_follow.c - log.follow: log lines of this process, of all its threads, for a fiber that
 * waits for them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bind/lua_log.h"
#include "bind/modules.h"
#include "core/log.h"

static const char tail_type[] = "stance.log.tail";

enum { LINES_MAX = 1000 };

struct line {
    struct line *next;
    size_t size;
    char text[];
};

/* Outlives its userdata while a wake-up is on its way, or a fiber is about to be told of its end.
 */
struct tail {
    struct log_follower follower;
    struct loop *loop;
    uv_mutex_t lock;
    struct line *first, **last; /* under the lock, as what follows */
    size_t count, dropped;
    bool posted;
    bool closed; /* loop thread, as what follows */
    struct wait *waiting;
    size_t waits; /* not yet freed */
};

/* Frees it when nothing needs it any more. */
static void let_go(struct tail *tail) {
    uv_mutex_lock(&tail->lock);
    bool posted = tail->posted;
    uv_mutex_unlock(&tail->lock);
    if (!tail->closed || posted || tail->waits > 0)
        return;
    while (tail->first != NULL) {
        struct line *line = tail->first;
        tail->first = line->next;
        free(line);
    }
    uv_mutex_destroy(&tail->lock);
    free(tail);
}

static void wake_waiting(struct tail *tail) {
    struct wait *wait = tail->waiting;
    tail->waiting = NULL;
    if (wait != NULL)
        wait_finish(wait);
}

static void wake(void *arg) {
    struct tail *tail = arg;
    uv_mutex_lock(&tail->lock);
    tail->posted = false;
    uv_mutex_unlock(&tail->lock);
    wake_waiting(tail);
    let_go(tail);
}

/* Any thread. Must not log. */
static void on_line(struct log_follower *follower, const char *text, size_t size) {
    struct tail *tail = (struct tail *)follower;
    struct line *line = malloc(sizeof *line + size);
    uv_mutex_lock(&tail->lock);
    bool full = line == NULL || tail->count == LINES_MAX;
    if (full) {
        tail->dropped++;
        free(line);
    } else {
        line->next = NULL;
        line->size = size;
        memcpy(line->text, text, size);
        *tail->last = line;
        tail->last = &line->next;
        tail->count++;
    }
    bool post = !full && !tail->posted;
    tail->posted = tail->posted || post;
    uv_mutex_unlock(&tail->lock);
    if (post)
        loop_post(tail->loop, wake, tail);
}

/* -- Waiting ----------------------------------------------------------------------------------- */

struct tail_wait {
    struct wait wait;
    struct tail *tail;
};

/* All lines that are there, as one text. */
static int push_lines(lua_State *L, struct tail *tail) {
    uv_mutex_lock(&tail->lock);
    struct line *line = tail->first;
    size_t dropped = tail->dropped;
    tail->first = NULL;
    tail->last = &tail->first;
    tail->count = tail->dropped = 0;
    uv_mutex_unlock(&tail->lock);
    luaL_Buffer text;
    luaL_buffinit(L, &text);
    while (line != NULL) {
        struct line *next = line->next;
        luaL_addlstring(&text, line->text, line->size);
        free(line);
        line = next;
    }
    if (dropped > 0) {
        char words[80];
        snprintf(words, sizeof words, "(%zu lines came too fast and are left out)\n", dropped);
        luaL_addstring(&text, words);
    }
    luaL_pushresult(&text);
    return 1;
}

static int get_push(lua_State *L, struct wait *wait) {
    struct tail *tail = ((struct tail_wait *)wait)->tail;
    return tail->closed ? vm_failf(L, ERR_CLOSED, "this log tail is closed") : push_lines(L, tail);
}

static void get_cancel(struct wait *wait) {
    ((struct tail_wait *)wait)->tail->waiting = NULL;
}

static void get_free(struct wait *wait) {
    struct tail *tail = ((struct tail_wait *)wait)->tail;
    free(wait);
    tail->waits--;
    let_go(tail);
}

static struct tail *check_tail(lua_State *L) {
    struct tail **tail = luaL_checkudata(L, 1, tail_type);
    if (*tail == NULL)
        luaL_error(L, "this log tail is closed");
    return *tail;
}

/* tail:get() -> the lines that came since the last call, at least one; waits | nil, err: it was
 * closed meanwhile */
static int tail_get(lua_State *L) {
    static const struct wait_ops ops = {get_push, get_cancel, get_free};
    struct tail *tail = check_tail(L);
    uv_mutex_lock(&tail->lock);
    bool some = tail->count > 0;
    uv_mutex_unlock(&tail->lock);
    if (some)
        return push_lines(L, tail);
    if (tail->waiting != NULL)
        return luaL_error(L, "another fiber waits for these lines");
    fiber_check(L);
    struct tail_wait *wait = calloc(1, sizeof *wait);
    if (wait == NULL)
        return vm_failf(L, ERR_NO_MEMORY, "out of memory");
    wait->tail = tail;
    tail->waits++;
    tail->waiting = &wait->wait;
    return wait_begin(L, &wait->wait, &ops);
}

static int tail_close(lua_State *L) {
    struct tail **held = luaL_checkudata(L, 1, tail_type);
    struct tail *tail = *held;
    *held = NULL;
    if (tail == NULL)
        return 0;
    log_unfollow(&tail->follower);
    tail->closed = true;
    wake_waiting(tail);
    let_go(tail);
    return 0;
}

/* log.follow([level], [options]) -> tail | nil, err */
static int log_follow_lines(lua_State *L) {
    const char *name = luaL_optstring(L, 1, "info");
    enum log_level level;
    if (!log_parse_level(name, &level))
        return vm_failf(L, ERR_INVALID, "'%s' is no level: debug, info, warn or error", name);
    bool colour = vm_opt_boolean(L, 2, "color", false);
    struct tail **held = lua_newuserdata(L, sizeof *held);
    *held = NULL;
    luaL_getmetatable(L, tail_type);
    lua_setmetatable(L, -2);
    struct tail *tail = calloc(1, sizeof *tail);
    if (tail == NULL)
        return vm_failf(L, ERR_NO_MEMORY, "out of memory");
    tail->loop = vm_loop(vm_of(L));
    tail->last = &tail->first;
    uv_mutex_init(&tail->lock);
    tail->follower = (struct log_follower){.least = level, .colour = colour, .line = on_line};
    *held = tail;
    log_follow(&tail->follower);
    return 1;
}

void lua_log_add_follow(lua_State *L) {
    static const luaL_Reg methods[] = {{"close", tail_close}, {NULL, NULL}};
    static const luaL_Reg waits[] = {{"get", tail_get}, {NULL, NULL}};
    static const luaL_Reg meta[] = {{"__gc", tail_close}, {NULL, NULL}};
    vm_new_type(L, tail_type, methods, meta);
    lua_getfield(L, -1, "__index");
    fiber_register(L, waits);
    lua_pop(L, 2);
    lua_pushcfunction(L, log_follow_lines);
    lua_setfield(L, -2, "follow");
}
