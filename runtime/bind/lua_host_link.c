/* lua_host_link.c - host.call and host.receive: how a worker's scripts speak with the host. */
#include "bind/lua_host.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/log.h"

enum { EVENTS_MAX = 10000 };

/* -- Requests ---------------------------------------------------------------------------------- */

struct call_wait {
    struct wait wait;
    struct link *link;
    uint64_t id; /* 0: answered */
    struct err err;
    bool ok;
    char *reply;
    size_t size;
};

static void call_answered(const struct err *err, bool ok, const char *payload, size_t size,
                          void *arg) {
    struct call_wait *call = arg;
    call->id = 0;
    call->ok = ok && err == NULL;
    if (err != NULL) {
        call->err = *err;
    } else if (!ok) {
        err_set(&call->err, ERR_UPSTREAM, "%.*s", (int)(size < 400 ? size : 400), payload);
    } else {
        call->reply = malloc(size + 1);
        call->size = size;
        if (call->reply == NULL)
            call->ok = err_set(&call->err, ERR_NO_MEMORY, "out of memory") == 0;
        else
            memcpy(call->reply, payload, size);
    }
    wait_finish(&call->wait);
}

static int call_push(lua_State *L, struct wait *wait) {
    struct call_wait *call = (struct call_wait *)wait;
    if (!call->ok)
        return vm_fail(L, &call->err);
    lua_pushlstring(L, call->reply, call->size);
    return 1;
}

static void call_cancel(struct wait *wait) {
    struct call_wait *call = (struct call_wait *)wait;
    if (call->id != 0)
        link_forget(call->link, call->id);
}

static void call_free(struct wait *wait) {
    struct call_wait *call = (struct call_wait *)wait;
    free(call->reply);
    free(call);
}

/* host.call(payload, timeout) -> reply | nil, err */
static int host_call(lua_State *L) {
    static const struct wait_ops ops = {call_push, call_cancel, call_free};
    size_t size;
    const char *payload = luaL_checklstring(L, 1, &size);
    double timeout = luaL_optnumber(L, 2, 0);
    struct link *link = services_of(L)->link;
    if (link == NULL)
        return vm_failf(L, ERR_CLOSED, "there is no link to a host");
    fiber_check(L);
    struct call_wait *call = calloc(1, sizeof *call);
    if (call == NULL)
        return vm_failf(L, ERR_NO_MEMORY, "out of memory");
    struct err err;
    call->link = link;
    call->id = link_request(link, payload, size, timeout, call_answered, call, &err);
    if (call->id == 0) {
        free(call);
        return vm_fail(L, &err);
    }
    return wait_begin(L, &call->wait, &ops);
}

/* -- Events ------------------------------------------------------------------------------------ */

struct event {
    struct event *next;
    size_t size;
    char payload[];
};

/* One process has one link, so there is one queue. */
static struct {
    struct event *first, **last;
    size_t count;
    struct wait *waiting;
} events;

static struct event *take_event(void) {
    struct event *event = events.first;
    if (event == NULL)
        return NULL;
    events.first = event->next;
    if (events.first == NULL)
        events.last = NULL;
    events.count--;
    return event;
}

static int push_event(lua_State *L) {
    struct event *event = take_event();
    if (event == NULL)
        return vm_failf(L, ERR_CLOSED, "the link to the host is closed");
    lua_pushlstring(L, event->payload, event->size);
    free(event);
    return 1;
}

static int receive_push(lua_State *L, struct wait *wait) {
    (void)wait;
    return push_event(L);
}

static void receive_cancel(struct wait *wait) {
    (void)wait;
    events.waiting = NULL;
}

static void receive_free(struct wait *wait) {
    free(wait);
}

/* host.receive() -> the next event of the host; one fiber at a time. */
static int host_receive(lua_State *L) {
    static const struct wait_ops ops = {receive_push, receive_cancel, receive_free};
    if (events.first != NULL || services_of(L)->link == NULL)
        return push_event(L);
    if (events.waiting != NULL)
        return luaL_error(L, "another fiber is receiving already");
    fiber_check(L);
    struct wait *wait = calloc(1, sizeof *wait);
    if (wait == NULL)
        return vm_failf(L, ERR_NO_MEMORY, "out of memory");
    events.waiting = wait;
    return wait_begin(L, wait, &ops);
}

static void wake_receiver(void) {
    struct wait *wait = events.waiting;
    events.waiting = NULL;
    if (wait != NULL)
        wait_finish(wait);
}

static void on_event(struct link *link, const char *payload, size_t size, void *arg) {
    (void)link, (void)arg;
    struct event *event = events.count < EVENTS_MAX ? malloc(sizeof *event + size) : NULL;
    if (event == NULL) {
        log_warn("worker", "an event of the host was dropped: %zu are waiting", events.count);
        return;
    }
    event->next = NULL;
    event->size = size;
    memcpy(event->payload, payload, size);
    if (events.last == NULL)
        events.last = &events.first;
    *events.last = event;
    events.last = &event->next;
    events.count++;
    wake_receiver();
}

static void on_closed(struct link *link, const struct err *err, void *arg) {
    struct services *services = arg;
    log_debug("worker", "the host is gone: %s", err->message);
    services->link = NULL;
    link_free(link);
    services->exit_code = 1;
    wake_receiver();
    loop_stop(services->loop);
}

const struct link_callbacks lua_host_link_callbacks = {.event = on_event, .closed = on_closed};

static const luaL_Reg waits[] = {
    {"call", host_call},
    {"receive", host_receive},
    {NULL, NULL},
};

void lua_host_add_link(lua_State *L) {
    fiber_register(L, waits);
}
