/* lua_rigs.h - the tables of rigs of this generation (lua/retarget/rigs/), as C wants them. */
#ifndef STANCE_BIND_LUA_RIGS_H
#define STANCE_BIND_LUA_RIGS_H

#include "core/vm.h"

struct rig_tables;

/* The tables, read once a VM; they belong to it: rig_tables_retain them for longer. Raises when a
 * table is no good. Loop thread. */
struct rig_tables *lua_rigs(lua_State *L);

#endif
