#include "net/ws_group.h"

#include <stdlib.h>

#include "net/ws_private.h"

struct ws_membership {
    struct ws_membership *next; /* of the same WebSocket */
    struct ws_group *group;
    struct ws *ws;
    size_t index; /* in group->members */
};

struct ws_group {
    struct ws_membership **members; /* NULL where one left while `walking` */
    size_t count, used, room;
    int walking; /* > 0: inside a walk over the members, whose callbacks may add and remove */
    bool freed;  /* meanwhile */
};

struct ws_group *ws_group_new(void) {
    return calloc(1, sizeof(struct ws_group));
}

static struct ws_membership **find(struct ws_group *group, struct ws *ws) {
    struct ws_membership **at = &ws->memberships;
    while (*at != NULL && (*at)->group != group)
        at = &(*at)->next;
    return at;
}

static void put(struct ws_group *group, size_t index, struct ws_membership *membership) {
    group->members[index] = membership;
    membership->index = index;
}

static void leave(struct ws_membership **at) {
    struct ws_membership *membership = *at;
    struct ws_group *group = membership->group;
    *at = membership->next;
    group->count--;
    if (group->walking > 0)
        group->members[membership->index] = NULL;
    else if (membership->index != --group->used)
        put(group, membership->index, group->members[group->used]);
    free(membership);
}

void ws_group_free(struct ws_group *group) {
    if (group == NULL)
        return;
    for (size_t i = group->used; i-- > 0;)
        if (group->members[i] != NULL)
            ws_group_remove(group, group->members[i]->ws);
    group->freed = true;
    if (group->walking > 0)
        return;
    free(group->members);
    free(group);
}

static void end_walk(struct ws_group *group) {
    if (--group->walking > 0)
        return;
    size_t used = 0;
    for (size_t i = 0; i < group->used && group->used != group->count; i++)
        if (group->members[i] != NULL)
            put(group, used++, group->members[i]);
    group->used = group->count;
    if (group->freed)
        ws_group_free(group);
}

int ws_group_add(struct ws_group *group, struct ws *ws) {
    if (!ws_takes_messages(ws))
        return ERR_CLOSED;
    if (*find(group, ws) != NULL)
        return 0;
    if (group->used == group->room) {
        size_t room = group->room ? group->room * 2 : 8;
        struct ws_membership **members = realloc(group->members, room * sizeof(*members));
        if (members == NULL)
            return ERR_NO_MEMORY;
        group->members = members;
        group->room = room;
    }
    struct ws_membership *membership = malloc(sizeof *membership);
    if (membership == NULL)
        return ERR_NO_MEMORY;
    *membership = (struct ws_membership){.next = ws->memberships, .group = group, .ws = ws};
    ws->memberships = membership;
    put(group, group->used++, membership);
    group->count++;
    return 0;
}

bool ws_group_remove(struct ws_group *group, struct ws *ws) {
    struct ws_membership **at = find(group, ws);
    if (*at == NULL)
        return false;
    leave(at);
    return true;
}

void ws_leave_groups(struct ws *ws) {
    while (ws->memberships != NULL)
        leave(&ws->memberships);
}

size_t ws_group_count(const struct ws_group *group) {
    return group->count;
}

int ws_group_send(struct ws_group *group, const char *bytes, size_t size, bool binary,
                  size_t *reached) {
    *reached = 0;
    if (!binary && !ws_is_text(bytes, size))
        return ERR_INVALID;
    struct ws_message *message = ws_message_new(bytes, size, binary, true);
    if (message == NULL)
        return ERR_NO_MEMORY;
    group->walking++;
    for (size_t i = 0, count = group->used; i < count; i++) { /* not those who come meanwhile */
        if (group->members[i] == NULL)
            continue;
        struct ws *ws = group->members[i]->ws;
        bool is_server =
            ws->connection != NULL; /* a client's frames are masked, each its own way */
        int status = is_server ? ws_enqueue(ws, message) : ws_send(ws, bytes, size, binary);
        if (status == 0 && is_server)
            ws_flush_soon(ws);
        *reached += status == 0;
    }
    end_walk(group);
    ws_message_release(message);
    return 0;
}

void ws_group_close(struct ws_group *group, int code, const char *reason) {
    group->walking++;
    for (size_t i = 0, count = group->used; i < count; i++)
        if (group->members[i] != NULL)
            ws_close(group->members[i]->ws, code, reason);
    end_walk(group);
}
