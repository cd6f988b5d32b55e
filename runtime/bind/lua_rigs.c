/* lua_rigs.c - hands retarget/rigs.lua's tables on to media/rig.h. */
#include "bind/lua_rigs.h"

#include "media/rig.h"

static const char rigs_type[] = "stance.rigs";

static int rigs_gc(lua_State *L) {
    struct rig_tables **box = luaL_checkudata(L, 1, rigs_type);
    rig_tables_release(*box);
    *box = NULL;
    return 0;
}

static void need(lua_State *L, bool done) {
    if (!done)
        luaL_error(L, "no memory for the tables of rigs");
}

/* The bone that the field `bone` of the table on top names. */
static int read_bone(lua_State *L) {
    lua_getfield(L, -1, "bone");
    int bone = lua_isstring(L, -1) ? rig_bone_find(lua_tostring(L, -1)) : -1;
    if (bone < 0)
        luaL_error(L, "no bone of a human: %s", lua_tostring(L, -1));
    lua_pop(L, 1);
    return bone;
}

/* The `i`-th text of the list on top; NULL past its end, and where there is no list. The list keeps
 * it. */
static const char *item(lua_State *L, int i) {
    if (!lua_istable(L, -1))
        return NULL;
    lua_rawgeti(L, -1, i);
    const char *text = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : NULL;
    lua_pop(L, 1);
    return text;
}

/* Pushes the field of the table on top, which must be a list: a workspace may have put its own
 * functions in the place of ours. */
static void push_list(lua_State *L, const char *field) {
    lua_getfield(L, -1, field);
    if (!lua_istable(L, -1))
        luaL_error(L, "retarget/rigs.lua: `%s` must be a list, not a %s", field,
                   luaL_typename(L, -1));
}

static void read_rig(lua_State *L, struct rig_tables *tables) {
    const char *text;
    lua_getfield(L, -1, "name");
    need(L, rig_tables_add_rig(tables, luaL_checkstring(L, -1)));
    lua_pop(L, 1);
    push_list(L, "prefixes");
    for (int i = 1; (text = item(L, i)) != NULL; i++)
        need(L, rig_tables_add_prefix(tables, text));
    lua_pop(L, 1);
    push_list(L, "bones");
    for (int i = 1; lua_rawgeti(L, -1, i), lua_istable(L, -1); i++) {
        int bone = read_bone(L);
        push_list(L, "names");
        for (int rank = 0; (text = item(L, rank + 1)) != NULL; rank++)
            need(L, rig_tables_add_name(tables, bone, rank, text));
        lua_pop(L, 2);
    }
    lua_pop(L, 2);
}

/* The list in the field `name` of the table on top, as words of one kind. */
static void read_words(lua_State *L, struct rig_tables *tables, const char *name,
                       enum rig_word kind, int bone) {
    const char *text;
    lua_getfield(L, -1, name);
    for (int rank = 0; (text = item(L, rank + 1)) != NULL; rank++)
        need(L, rig_tables_add_word(tables, kind, bone, rank, text));
    lua_pop(L, 1);
}

static void read_all_words(lua_State *L, struct rig_tables *tables) {
    static const char *const fingers[] = {"thumb", "index", "middle", "ring", "little"};
    if (!lua_istable(L, -1))
        return; /* a workspace may do without */
    for (int i = 1; lua_rawgeti(L, -1, i), lua_istable(L, -1); i++) {
        read_words(L, tables, "names", RIG_WORD_BONE, read_bone(L));
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
    read_words(L, tables, "left", RIG_WORD_LEFT, -1);
    read_words(L, tables, "right", RIG_WORD_RIGHT, -1);
    read_words(L, tables, "noise", RIG_WORD_NOISE, -1);
    read_words(L, tables, "helpers", RIG_WORD_HELPER, -1);
    lua_getfield(L, -1, "unclear");
    read_words(L, tables, "arm", RIG_WORD_ARM, -1);
    read_words(L, tables, "leg", RIG_WORD_LEG, -1);
    read_words(L, tables, "shoulder", RIG_WORD_SHOULDER, -1);
    lua_pop(L, 1);
    lua_getfield(L, -1, "fingers");
    for (int i = 0; i < 5; i++)
        read_words(L, tables, fingers[i], RIG_WORD_THUMB + i, RIG_FINGERS + 6 * i);
    lua_pop(L, 1);
}

struct rig_tables *lua_rigs(lua_State *L) {
    static const luaL_Reg none[] = {{NULL, NULL}}, meta[] = {{"__gc", rigs_gc}, {NULL, NULL}};
    vm_new_type(L, rigs_type, none, meta); /* which keeps the tables, too */
    lua_getfield(L, -1, "tables");
    if (!lua_isnil(L, -1)) {
        struct rig_tables **box = lua_touserdata(L, -1);
        lua_pop(L, 2);
        return *box;
    }
    lua_pop(L, 2);
    lua_getglobal(L, "require");
    lua_pushliteral(L, "retarget.rigs");
    lua_call(L, 1, 1);
    lua_getfield(L, -1, "all");
    lua_call(L, 0, 1);
    struct rig_tables **box = lua_newuserdata(L, sizeof *box);
    *box = NULL;
    luaL_getmetatable(L, rigs_type);
    lua_setmetatable(L, -2);
    *box = rig_tables_new();
    need(L, *box != NULL);
    lua_insert(L, -2); /* module, box, tables */
    push_list(L, "rigs");
    for (int i = 1; lua_rawgeti(L, -1, i), lua_istable(L, -1); i++) {
        read_rig(L, *box);
        lua_pop(L, 1);
    }
    lua_pop(L, 2);
    lua_getfield(L, -1, "words");
    read_all_words(L, *box);
    lua_pop(L, 2);
    lua_getfield(L, LUA_REGISTRYINDEX, rigs_type);
    lua_insert(L, -2);
    lua_setfield(L, -2, "tables");
    lua_pop(L, 2);
    return *box;
}
