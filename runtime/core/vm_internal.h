/* vm_internal.h - what vm.c, fiber.c, guard.c and slow.c share; nobody else includes it. */
#ifndef STANCE_CORE_VM_INTERNAL_H
#define STANCE_CORE_VM_INTERNAL_H

#include "core/fiber.h"
#include "core/guard.h"

struct fiber_list {
    struct fiber *first, **last;
};

struct vm {
    struct vm *next; /* of all vms of the process */
    struct vm_options options;
    char *name;
    struct loop *loop;
    lua_State *L;
    size_t memory;
    bool confined; /* a script runs: the memory limit holds */
    bool hurried;  /* memory is short: the collector works harder */
    char *traceback;
    struct vm_owned *owned;
    struct guard *guard; /* of fibers that no guarded fiber spawned; may be NULL */

    struct fiber *fibers; /* all that have not ended */
    size_t fiber_count;
    struct fiber *running;
    struct fiber_list ready;
    struct alarm *drain_alarm;
    bool draining, closing;
    int fetch_ref; /* registry: the Lua function that makes a waiting function (fiber_register) */
};

/* Sets whether the memory limit holds; returns whether it did. */
bool vm_confine(struct vm *vm, bool confined);

/* Keeps luaL_traceback of `co`, starting with the error value on its top. */
void vm_keep_traceback(struct vm *vm, lua_State *co);

/* Puts a `pairs` and a `next` in place whose loops do not end early (vm_pairs.c). May raise. */
void vm_mend_pairs(lua_State *L);

/* Takes from the libraries what scripts may not do (vm_restrict.c). May raise. */
void vm_restrict(lua_State *L);

/* Why scripts have not this well-known module, and what to use instead ("blocks the loop; use
 * ..."); NULL when there is nothing to say. */
const char *vm_instead_of(const char *module);

/* Ends all fibers without running them. */
void fiber_close_all(struct vm *vm);

#endif
