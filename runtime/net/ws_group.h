/* ws_group.h - WebSockets that are sent the same: a message is checked, framed and kept once,
 * however many get it, and what each has waiting leaves at the end of the loop's turn in one system
 * call.
 *
 * Each member keeps its own limits: one that is too slow is closed, or loses its oldest messages,
 * as by ws_send, and the others do not notice. A WebSocket may be in several groups and leaves them
 * when it ends. A group keeps nobody open. Loop thread. */
#ifndef STANCE_NET_WS_GROUP_H
#define STANCE_NET_WS_GROUP_H

#include "net/ws.h"

struct ws_group;

struct ws_group *ws_group_new(void); /* NULL: out of memory */

/* Its members stay open. */
void ws_group_free(struct ws_group *group);

/* 0 also when it is a member already; ERR_CLOSED when it takes no messages any more. */
int ws_group_add(struct ws_group *group, struct ws *ws);
bool ws_group_remove(struct ws_group *group, struct ws *ws); /* whether it was a member */
size_t ws_group_count(const struct ws_group *group);

/* Fills `reached`: for how many members the message is queued. Messages of a group and of ws_send
 * keep their order. ERR_INVALID for text that is no UTF-8, ERR_NO_MEMORY. */
int ws_group_send(struct ws_group *group, const char *bytes, size_t size, bool binary,
                  size_t *reached);

/* ws_close for each member. */
void ws_group_close(struct ws_group *group, int code, const char *reason);

#endif
