/* lua_render_view.c - the Lua types `stance.views` and `stance.view`. */
#include <string.h>

#include "bind/lua_render.h"
#include "bind/lua_render_draw.h"

static const char views_type[] = "stance.views";
static const char view_type[] = "stance.view";

/* -- A view ------------------------------------------------------------------------------------ */

/* A `stance.view`. */
struct lua_view {
    struct drawing *drawing;
    uint32_t index;
    bool follow; /* of a loop over all views */
};

static struct lua_view *check_view(lua_State *L) {
    return luaL_checkudata(L, 1, view_type);
}

static int ask(lua_State *L, struct wanted wanted) {
    struct lua_view *view = check_view(L);
    wanted.follow = view->follow;
    return drawing_ask(L, view->drawing, view->index, &wanted);
}

static int ask_file(lua_State *L, enum view_format format, int quality) {
    return ask(L, (struct wanted){.want = WANT_FILE, .encoding = {format, quality}});
}

/* A number, or the field of a table: what the second argument says of `field`. */
static double read_quality(lua_State *L, const char *field, double least, double most,
                           double otherwise) {
    double value = otherwise;
    if (lua_istable(L, 2))
        value = vm_opt_number(L, 2, field, otherwise);
    else if (!lua_isnoneornil(L, 2))
        value = luaL_checknumber(L, 2);
    if (!(value >= least && value <= most))
        luaL_error(L, "%s must be a number from %f to %f", field, least, most);
    return value;
}

static int view_png(lua_State *L) {
    return ask_file(L, VIEW_PNG, (int)read_quality(L, "level", 0, 12, 0));
}

static int view_jpeg(lua_State *L) {
    return ask_file(L, VIEW_JPEG, (int)read_quality(L, "quality", 1, 100, 92));
}

static int view_webp(lua_State *L) {
    if (lua_istable(L, 2) && vm_opt_boolean(L, 2, "lossless", false))
        return ask_file(L, VIEW_WEBP_LOSSLESS, 0);
    return ask_file(L, VIEW_WEBP, (int)read_quality(L, "quality", 0, 100, 90));
}

/* As png: the type of pictures has to be there when its pixels come. */
static int view_image(lua_State *L) {
    lua_getglobal(L, "require");
    lua_pushliteral(L, "image");
    lua_call(L, 1, 0);
    return ask_file(L, VIEW_RGBA, 0);
}

static int view_rgb(lua_State *L) {
    return ask(L, (struct wanted){.want = WANT_RGB});
}

static int view_depth(lua_State *L) {
    return ask(L, (struct wanted){.want = WANT_MAP, .map = VIEW_MAP_DEPTH});
}

static int view_map_method(lua_State *L) {
    const char *name = luaL_checkstring(L, 2);
    for (int map = 0; map < VIEW_MAPS; map++)
        if (strcmp(view_map_kinds[map].name, name) == 0)
            return ask(L, (struct wanted){.want = WANT_MAP, .map = (enum view_map)map});
    return luaL_error(L, "there is no map %s", name);
}

static int view_labels(lua_State *L) {
    return ask(L, (struct wanted){.want = WANT_LABELS,
                                  .image = vm_opt_string(L, 2, "image", NULL),
                                  .character = vm_opt_string(L, 2, "character", NULL)});
}

static const struct view_spec *spec_of(const struct lua_view *view) {
    return views_spec(drawing_views(view->drawing), view->index);
}

static int view_camera(lua_State *L) {
    lua_camera_push(L, spec_of(check_view(L)));
    return 1;
}

static int view_gc(lua_State *L) {
    struct lua_view *view = check_view(L);
    drawing_release(view->drawing);
    view->drawing = NULL;
    return 0;
}

static int view_tostring(lua_State *L) {
    lua_pushfstring(L, "view (%s)", spec_of(check_view(L))->name);
    return 1;
}

/* Fields, else methods (the upvalue). */
static int view_index(lua_State *L) {
    const struct lua_view *view = check_view(L);
    const char *key = luaL_checkstring(L, 2);
    const struct view_spec *spec = spec_of(view);
    if (strcmp(key, "name") == 0)
        lua_pushstring(L, spec->name);
    else if (strcmp(key, "index") == 0)
        lua_pushnumber(L, (double)spec->number + 1);
    else if (strcmp(key, "width") == 0)
        lua_pushinteger(L, (lua_Integer)spec->camera.width);
    else if (strcmp(key, "height") == 0)
        lua_pushinteger(L, (lua_Integer)spec->camera.height);
    else if (strcmp(key, "azimuth") == 0)
        lua_pushnumber(L, (lua_Number)spec->azimuth);
    else if (strcmp(key, "distance") == 0)
        lua_pushnumber(L, (lua_Number)spec->distance);
    else if (strcmp(key, "time") == 0)
        lua_pushnumber(L, spec->time);
    else
        lua_getfield(L, lua_upvalueindex(1), key);
    return 1;
}

/* -- Views ------------------------------------------------------------------------------------- */

static struct drawing *check_drawing(lua_State *L, int index) {
    struct drawing **box = luaL_checkudata(L, index, views_type);
    return *box;
}

struct views *lua_views_check(lua_State *L, int index) {
    return drawing_views(check_drawing(L, index));
}

static int push_view(lua_State *L, struct drawing *drawing, uint32_t index, bool follow) {
    struct lua_view *view = lua_newuserdata(L, sizeof *view);
    *view = (struct lua_view){drawing_retain(drawing), index, follow};
    luaL_getmetatable(L, view_type);
    lua_setmetatable(L, -2);
    return 1;
}

static int views_gc(lua_State *L) {
    struct drawing **box = luaL_checkudata(L, 1, views_type);
    drawing_release(*box);
    *box = NULL;
    return 0;
}

static int views_tostring(lua_State *L) {
    const struct views *views = drawing_views(check_drawing(L, 1));
    lua_pushfstring(L, "views (%d of %d people)", (int)views_count(views),
                    (int)stage_actor_count(views_stage(views)));
    return 1;
}

static int views_count_method(lua_State *L) {
    lua_pushinteger(L, (lua_Integer)views_count(drawing_views(check_drawing(L, 1))));
    return 1;
}

static int views_view(lua_State *L) {
    struct drawing *drawing = check_drawing(L, 1);
    int index = luaL_checkint(L, 2);
    luaL_argcheck(L, index >= 1 && (uint32_t)index <= views_count(drawing_views(drawing)), 2,
                  "there is no view of that number");
    return push_view(L, drawing, (uint32_t)index - 1, lua_toboolean(L, 3) != 0);
}

static int next_view(lua_State *L) {
    struct drawing *drawing = check_drawing(L, 1);
    uint32_t index = 0;
    if (!lua_isnoneornil(L, 2)) {
        const struct lua_view *view = luaL_checkudata(L, 2, view_type);
        index = view->index + 1;
    }
    if (index < views_count(drawing_views(drawing)))
        return push_view(L, drawing, index, true);
    drawing_end(drawing);
    return 0;
}

static int views_each(lua_State *L) {
    check_drawing(L, 1);
    lua_pushcfunction(L, next_view);
    lua_pushvalue(L, 1);
    return 2;
}

static int views_begin(lua_State *L) {
    drawing_begin(check_drawing(L, 1));
    return 0;
}

static int views_close(lua_State *L) {
    drawing_end(check_drawing(L, 1));
    return 0;
}

static int views_clip_method(lua_State *L) {
    const struct stage *stage = views_stage(drawing_views(check_drawing(L, 1)));
    lua_pushstring(L, stage_actor_count(stage) > 0 ? stage_actor_clip(stage, 0) : NULL);
    return 1;
}

static void set_seconds(lua_State *L, const char *stage, double seconds) {
    lua_pushnumber(L, seconds);
    lua_setfield(L, -2, stage);
}

static int views_timings_method(lua_State *L) {
    const struct drawing *drawing = check_drawing(L, 1);
    const struct views_timings *spent = drawing_spent(drawing);
    lua_createtable(L, 0, 7);
    set_seconds(L, "skin", spent->skin);
    set_seconds(L, "shadow", spent->shadow);
    set_seconds(L, "raster", spent->raster);
    set_seconds(L, "shade", spent->shade);
    set_seconds(L, "label", spent->label);
    set_seconds(L, "encode", spent->encode);
    lua_pushinteger(L, (lua_Integer)drawing_drawn(drawing));
    lua_setfield(L, -2, "views");
    return 1;
}

int lua_views_push(lua_State *L, struct stage *stage, const struct view_spec *specs, uint32_t count,
                   const struct views_options *options, uint32_t parallel) {
    struct drawing **box = lua_newuserdata(L, sizeof *box);
    *box = NULL;
    luaL_getmetatable(L, views_type);
    lua_setmetatable(L, -2);
    struct views *views;
    struct err err;
    int rc = views_new(stage, specs, count, options, &views, &err);
    stage_release(stage);
    if (rc != 0)
        return vm_fail(L, &err);
    *box = drawing_new(vm_loop(vm_of(L)), views, parallel);
    if (*box == NULL)
        return vm_failf(L, ERR_NO_MEMORY, "no memory for views");
    return 1;
}

/* -- Types ------------------------------------------------------------------------------------- */

static const luaL_Reg view_methods[] = {{"camera", view_camera}, {NULL, NULL}};

static const luaL_Reg view_waits[] = {
    {"png", view_png},     {"webp", view_webp},      {"jpeg", view_jpeg},
    {"image", view_image}, {"labels", view_labels},  {"rgb", view_rgb},
    {"depth", view_depth}, {"map", view_map_method}, {NULL, NULL},
};

static const luaL_Reg view_meta[] = {
    {"__gc", view_gc},
    {"__tostring", view_tostring},
    {NULL, NULL},
};

static const luaL_Reg views_methods[] = {
    {"count", views_count_method},
    {"view", views_view},
    {"each", views_each},
    {"begin", views_begin},
    {"close", views_close},
    {"clip", views_clip_method},
    {"timings", views_timings_method},
    {NULL, NULL},
};

static const luaL_Reg views_meta[] = {
    {"__gc", views_gc},
    {"__tostring", views_tostring},
    {NULL, NULL},
};

void lua_views_open(lua_State *L) {
    luaL_getmetatable(L, view_type);
    bool opened = !lua_isnil(L, -1); /* package.loaded may have been cleared since */
    lua_pop(L, 1);
    if (opened)
        return;
    vm_new_type(L, views_type, views_methods, views_meta);
    vm_new_type(L, view_type, view_methods, view_meta);
    lua_getfield(L, -1, "__index");
    fiber_register(L, view_waits);
    lua_pushcclosure(L, view_index, 1);
    lua_setfield(L, -2, "__index");
    lua_pop(L, 2);
}
