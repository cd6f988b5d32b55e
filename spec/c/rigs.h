/* rigs.h - the product's own tables of rigs, for tests that open scenes. */
#ifndef STANCE_SPEC_RIGS_H
#define STANCE_SPEC_RIGS_H

#include <stdio.h>
#include <stdlib.h>

#include "bind/lua_rigs.h"
#include "bind/modules.h"
#include "core/loop.h"
#include "core/scripts.h"
#include "core/vm.h"
#include "media/rig.h"

int lua_open_host(lua_State *L);

static inline int rigs_read(lua_State *L) {
    struct rig_tables **out = lua_touserdata(L, 1);
    *out = rig_tables_retain(lua_rigs(L));
    return 0;
}

/* Read once from lua/, and kept. Run from the repository's root. */
static inline struct rig_tables *rigs(void) {
    static const struct vm_module modules[] = {{"host", lua_open_host}, {NULL, NULL}};
    static struct rig_tables *tables;
    struct scripts *scripts = NULL;
    struct vm *vm = NULL;
    struct loop loop;
    struct err err = {0};
    if (tables != NULL)
        return tables;
    int rc = scripts_read("lua", NULL, NULL, &scripts, &err);
    if (rc == 0)
        rc = loop_init(&loop, &err);
    struct services services = {.loop = &loop, .role = "spec"};
    struct vm_options options = {
        .name = "rigs", .modules = modules, .scripts = scripts, .host = &services};
    if (rc == 0)
        rc = vm_new(&loop, &options, &vm, &err);
    if (rc == 0) {
        lua_State *L = vm_lua(vm);
        lua_pushcfunction(L, rigs_read);
        lua_pushlightuserdata(L, (void *)&tables);
        rc = vm_call(L, 1, 0, &err);
        vm_free(vm);
        loop_deinit(&loop);
    }
    scripts_free(scripts);
    if (rc != 0) {
        fprintf(stderr, "rigs: %s\n", err.message);
        abort();
    }
    return tables;
}

#endif
