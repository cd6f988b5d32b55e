/* lua_fiber_look.c - fiber.inspect: what all fibers of the process are at. */
#include "bind/lua_fiber.h"

#include "core/scripts.h"

static void set_text(lua_State *L, const char *field, const char *text) {
    if (text[0] == 0)
        return;
    lua_pushstring(L, text);
    lua_setfield(L, -2, field);
}

static void set_number(lua_State *L, const char *field, double number) {
    lua_pushnumber(L, number);
    lua_setfield(L, -2, field);
}

static void set_traceback(lua_State *L, struct vm *vm, struct fiber *fiber) {
    fiber_push_traceback(fiber);
    set_text(L, "traceback", lua_tostring(vm_lua(vm), -1));
    lua_pop(vm_lua(vm), 1);
}

static void push_fiber(lua_State *L, struct vm *vm, struct fiber *fiber) {
    struct fiber_view view;
    fiber_look(fiber, &view);
    lua_createtable(L, 0, 12);
    set_text(L, "name", fiber_name(fiber));
    set_text(L, "status", lua_fiber_status_name(fiber));
    set_number(L, "age", view.age);
    set_number(L, "since", view.since);
    set_text(L, "call", view.call);
    set_text(L, "where", view.where);
    set_text(L, "request", fiber_request_id(fiber));
    set_text(L, "job", fiber_job_id(fiber));
    set_text(L, "trace", fiber_trace_id(fiber));
    set_text(L, "vm", vm_name(vm));
    if (vm_scripts(vm) != NULL)
        set_text(L, "generation", scripts_name(vm_scripts(vm)));
}

/* fiber.inspect([{traceback = true}]) -> { {name=, status=, age=, since=, ...}, ... } */
int lua_fiber_inspect(lua_State *L) {
    bool traceback = vm_opt_boolean(L, 1, "traceback", false);
    int i = 0;
    lua_newtable(L);
    for (struct vm *vm = vm_next(NULL); vm != NULL; vm = vm_next(vm))
        for (struct fiber *fiber = fiber_next(vm, NULL); fiber; fiber = fiber_next(vm, fiber)) {
            push_fiber(L, vm, fiber);
            if (traceback)
                set_traceback(L, vm, fiber);
            lua_rawseti(L, -2, ++i);
        }
    return 1;
}
