/* lua_http.h - what the files of the Lua module `http` share: servers, requests, answers. Loop
 * thread. */
#ifndef STANCE_BIND_LUA_HTTP_H
#define STANCE_BIND_LUA_HTTP_H

#include "bind/modules.h"
#include "net/server.h"
#include "net/server_private.h" /* struct bytes */
#include "net/static.h"

struct lua_http_server {
    struct vm_owned owned;
    struct net_server *net; /* NULL: closed */
    lua_State *L;           /* the vm's main state */
    int self_ref;           /* registry: lives while it listens or has requests */
    int requests;
    struct lua_request *first_request; /* those under way */
    int handler_ref, begin_ref, encode_ref;
    bool vm_closing;
    bool lasting; /* `net` goes on to the generation that serves next */
    char listen[128], address[64];
    struct net_static *folder; /* NULL: none */
    char prefix[128], except[128];
};

/* The Lua value of a request. C points to it while the request or its fiber is under way, so it
 * stands in the registry then. */
struct lua_request {
    struct lua_request *next, **previous; /* of the server's */
    struct net_request *net;              /* NULL: answered, or its client is gone */
    struct lua_http_server *server;
    struct fiber *fiber; /* its handler's, then its writer's; NULL: ended */
    int self_ref;
    struct bytes body;
    bool body_end, reading; /* a read was made: body may flow in */
    bool whole;             /* the waiting read wants all of it */
    bool upgraded;
    bool has_table; /* its environment holds what was made for it */
    bool streaming; /* the answer's head is out, the writer's fiber runs */
    int64_t whole_limit;
    struct wait *waiting; /* of a read or a write */
    bool waits_to_write;
};

/* Bytes of the body that came and were not taken yet: all requests together may hold BODIES_MAX. */
enum { BODIES_MAX = 256 << 20 };
int lua_http_add_body(struct lua_request *request, const char *bytes,
                      size_t size); /* ERR_TOO_LARGE when that is full, ERR_NO_MEMORY */
void lua_http_use_body(struct lua_request *request, size_t size);

struct lua_request *lua_http_check_request(lua_State *L, int index);

/* lua_http_request.c */
void lua_http_open_request(lua_State *L);
struct lua_request *lua_http_push_request(lua_State *L, struct lua_http_server *server,
                                          struct net_request *net);
void lua_http_mark_fiber(struct fiber *fiber, const struct net_request *net); /* with its ids */
void lua_http_release_server(struct lua_http_server *server); /* when closed and without requests */
void lua_http_let_go(
    struct lua_request *request); /* when both the request and its fiber are over */

/* lua_http_answer.c */
void lua_http_open_answer(lua_State *L);
void lua_http_handler_ended(struct fiber *fiber, lua_State *co, int result_count,
                            const struct err *err, void *arg);

/* lua_http_client.c: adds request, get and post to the table on top. */
void lua_http_open_client(lua_State *L);

#endif
