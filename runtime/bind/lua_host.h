/* lua_host.h - the pieces of the Lua module `host` that live in files of their own, and what the
 * subcommands need of it. */
#ifndef STANCE_BIND_LUA_HOST_H
#define STANCE_BIND_LUA_HOST_H

#include "bind/modules.h"
#include "core/link.h"

/* Each adds its functions to the table on top. */
void lua_host_add_workers(lua_State *L);     /* lua_host_worker.c */
void lua_host_add_generations(lua_State *L); /* lua_host_generation.c */
void lua_host_add_signals(lua_State *L);     /* lua_host_signal.c */

/* Kills the worker processes; after all vms are closed. NULL-safe. */
void lua_host_free_workers(struct workers *workers);

/* The worker's side (lua_host_link.c): adds host.call and host.receive to the table on top. */
void lua_host_add_link(lua_State *L);

/* What a worker gives to link_new, so that host.call and host.receive work; arg is the `struct
 * services`. */
extern const struct link_callbacks lua_host_link_callbacks;

/* Runs the function given to host.on_stop in a fiber; the loop stops when it returns. False when
 * there is none. */
bool lua_host_begin_stop(struct vm *vm, const char *reason);

#endif
