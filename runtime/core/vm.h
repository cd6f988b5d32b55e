/* vm.h - a Lua state that the host owns: capped memory, protected calls, and a list of what it
 * holds open.
 *
 * A vm belongs to one loop and is touched on the loop thread only. Its scripts come from a `struct
 * scripts` snapshot (core/scripts.h), never straight from disk, so a vm is all of one generation.
 * vm_free closes all it owns: fibers with their waits first, then owned handles in reverse order of
 * registration, then the Lua state.
 *
 * Bindings (runtime/bind) are given as a table of modules; each opens on the first `require`. */
#ifndef STANCE_CORE_VM_H
#define STANCE_CORE_VM_H

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <stdbool.h>
#include <stddef.h>

#include "core/err.h"
#include "core/loop.h"

struct scripts;
struct vm;

/* A Lua module written in C: pushes its table. */
struct vm_module {
    const char *name;
    lua_CFunction open;
};

struct vm_options {
    const char *name;        /* in logs and metrics */
    size_t memory_limit;     /* bytes the allocator gives out at most; 0: no limit */
    bool jit;                /* false: interpreter only */
    double guard_seconds;    /* that a fiber may run without a pause (core/guard.h); 0: any */
    bool unrestricted;       /* io, os, debug, ffi and package.path too: spec runner only */
    struct scripts *scripts; /* borrowed: must outlive the vm */
    const struct vm_module *modules; /* ends with a NULL name */
    void *host;                      /* what bindings find with vm_host: the process's services */
};

int vm_new(struct loop *loop, const struct vm_options *options, struct vm **out, struct err *err);
void vm_free(struct vm *vm);

lua_State *vm_lua(struct vm *vm); /* the main state, for loading and for vm_call outside fibers */
struct vm *vm_of(lua_State *L);
struct loop *vm_loop(struct vm *vm);
void *vm_host(struct vm *vm);
struct scripts *vm_scripts(struct vm *vm);
size_t vm_memory(const struct vm *vm); /* bytes in use */
const char *vm_name(const struct vm *vm);

/* Walks the vms of this process, oldest first; NULL starts and ends. Loop thread. */
struct vm *vm_next(const struct vm *vm);

/* For a vm that has proved itself: what vm_new was given, changed. Not while it runs. */
void vm_set_memory_limit(struct vm *vm, size_t limit);
void vm_set_jit(struct vm *vm, bool on);

/* The one protected call: as lua_pcall, filling `err` on failure (nothing is left on the stack). An
 * error value that is one of our error tables keeps its code. */
int vm_call(lua_State *L, int argument_count, int result_count, struct err *err);

/* The stack traceback of the last failure in this vm, in a call or a fiber; "" when there was none.
 */
const char *vm_traceback(const struct vm *vm);

/* Loads script `path` of the snapshot ("stance/job.lua") as text and leaves the chunk on the stack.
 */
int vm_load(lua_State *L, const char *path, struct err *err);

/* Pushes {io=, os=, dofile=, loadfile=} as restricted vms have them: functions that say what to use
 * instead, and what of `os` is harmless. */
void vm_push_refused(lua_State *L);

/* -- Errors between C and Lua ------------------------------------------------------------------ */

/* Pushes {code = ..., message = ...} with the metatable that prints the message. */
void vm_push_err(lua_State *L, const struct err *err);

/* Pushes nil and the error table; returns 2: `return vm_fail(L, &err);` for what the world does
 * wrong. */
int vm_fail(lua_State *L, const struct err *err);
int vm_failf(lua_State *L, enum err_code code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Reads whatever was raised or returned at `index` into `err`. */
void vm_to_err(lua_State *L, int index, struct err *err);

/* -- Ownership --------------------------------------------------------------------------------- */

/* Something a vm must close before it ends (a socket, a timer, a subscription). Embed it. */
struct vm_owned {
    struct vm_owned *next, **previous;
    void (*close)(struct vm_owned *owned); /* must not call back into Lua */
};
void vm_own(struct vm *vm, struct vm_owned *owned, void (*close)(struct vm_owned *owned));
void vm_disown(struct vm_owned *owned); /* safe to repeat */
size_t vm_owned_count(const struct vm *vm);

/* -- Small helpers for bindings ---------------------------------------------------------------- */

/* Makes the metatable `name` ("stance.channel") once: methods in __index, plus __gc, __tostring
 * (given in `meta`). */
void vm_new_type(lua_State *L, const char *name, const luaL_Reg *methods, const luaL_Reg *meta);

/* The userdata at `index` if it is of the type `name`, else NULL: luaL_checkudata that does not
 * raise. */
void *vm_userdata_at(lua_State *L, int index, const char *name);

/* Options tables: field of the table at `index`, or the default; a wrong type raises with the
 * field's name. */
double vm_opt_number(lua_State *L, int index, const char *field, double otherwise);
bool vm_opt_boolean(lua_State *L, int index, const char *field, bool otherwise);
/* Valid while the table is on the stack and unchanged. */
const char *vm_opt_string(lua_State *L, int index, const char *field, const char *otherwise);

#endif
