/* lua_render.c - the Lua module `render`: options of rings and cameras, read from Lua tables. The
 * views themselves: lua_render_view.c.
 *
 * Scripts pass a body of the module `scene` with a table of options; what is missing takes its
 * default. Where the cameras of a ring stand is found on the pool, for it looks at the body in many
 * poses. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bind/lua_render.h"
#include "bind/lua_scene.h"
#include "media/keypoints.h"

/* -- Options ----------------------------------------------------------------------------------- */

/* "size": {512, 512} (or {width=, height=}) of the table at `index`. */
static void read_size(lua_State *L, int index, uint32_t *width, uint32_t *height) {
    static const char *const names[2] = {"width", "height"};
    uint32_t *sides[2] = {width, height};
    *width = *height = 512;
    lua_getfield(L, index, "size");
    if (!lua_isnil(L, -1)) {
        if (!lua_istable(L, -1))
            luaL_error(L, "size must be a list of two numbers of pixels");
        for (int i = 0; i < 2; i++) {
            lua_rawgeti(L, -1, i + 1);
            if (lua_isnil(L, -1)) {
                lua_pop(L, 1);
                lua_getfield(L, -1, names[i]);
            }
            double side = lua_tonumber(L, -1);
            if (!lua_isnumber(L, -1) || !(side >= 1 && side <= 65536))
                luaL_error(L, "size must be a list of two numbers of pixels");
            *sides[i] = (uint32_t)side;
            lua_pop(L, 1);
        }
    }
    lua_pop(L, 1);
}

static int fail_clip(const struct scene *scene, const char *wanted, struct err *err) {
    char names[300] = "";
    size_t used = 0;
    for (uint32_t i = 0; i < scene_clip_count(scene); i++) {
        const char *name = scene_clip_name(scene, i);
        if (used + strlen(name) + 8 > sizeof names) {
            memcpy(names + used, ", ...", 6);
            break;
        }
        used += (size_t)snprintf(names + used, sizeof names - used, "%s%s", used ? ", " : "", name);
    }
    return err_set(err, ERR_NOT_FOUND, "%s has no clip %s; it has %s", scene_name(scene), wanted,
                   names[0] != '\0' ? names : "none");
}

static int numbered_clip(const struct scene *scene, double number, int *clip, struct err *err) {
    char wanted[32];
    if (number >= 0 && number <= scene_clip_count(scene) && number == floor(number)) {
        *clip = number > 0 ? (int)number - 1 : SCENE_REST;
        return 0;
    }
    snprintf(wanted, sizeof wanted, "%g", number);
    return fail_clip(scene, wanted, err);
}

static int named_clip(const struct scene *scene, const char *name, int *clip, struct err *err) {
    *clip = scene_find_clip(scene, name);
    if (*clip >= 0)
        return 0;
    *clip = SCENE_REST;
    if (strcmp(name, "rest") == 0)
        return 0;
    if (name[0] != '\0' && strspn(name, "0123456789") == strlen(name) && strlen(name) < 10)
        return numbered_clip(scene, strtod(name, NULL), clip, err);
    return fail_clip(scene, name, err);
}

/* "clip": a name, a number from 1 on (as a string too, for command lines), 0 or "rest" for the rest
 * pose, nil for a calm one. */
static int read_clip(lua_State *L, int index, const struct scene *scene, int *clip,
                     struct err *err) {
    int rc = 0;
    lua_getfield(L, index, "clip");
    if (lua_isnil(L, -1))
        *clip = views_calm_clip(scene);
    else if (lua_type(L, -1) == LUA_TNUMBER)
        rc = numbered_clip(scene, lua_tonumber(L, -1), clip, err);
    else if (lua_type(L, -1) == LUA_TSTRING)
        rc = named_clip(scene, lua_tostring(L, -1), clip, err);
    else
        rc = err_set(err, ERR_INVALID, "clip must be a name or a number, not a %s",
                     luaL_typename(L, -1));
    lua_pop(L, 1);
    return rc;
}

static uint32_t read_count(lua_State *L, int index, const char *field, uint32_t otherwise) {
    double value = vm_opt_number(L, index, field, otherwise);
    if (!(value >= 0 && value <= 1e6) || value != floor(value))
        luaL_error(L, "%s must be a whole number", field);
    return (uint32_t)value;
}

/* -- Rings ------------------------------------------------------------------------------------- */

struct ring_task {
    struct stage *stage;
    struct ring_options options;
    struct view_spec *specs;
    struct err err;
    int rc;
};

static void ring_run(void *arg) {
    struct ring_task *task = arg;
    task->rc = ring_place(task->stage, &task->options, task->specs, &task->err);
}

static void ring_release(void *arg) {
    struct ring_task *task = arg;
    stage_release(task->stage);
    free(task->specs);
    free(task);
}

static void set_number(lua_State *L, const char *field, double value) {
    lua_pushnumber(L, value);
    lua_setfield(L, -2, field);
}

static void set_list(lua_State *L, const char *field, const double *values, int count) {
    lua_createtable(L, count, 0);
    for (int i = 0; i < count; i++) {
        lua_pushnumber(L, values[i]);
        lua_rawseti(L, -2, i + 1);
    }
    lua_setfield(L, -2, field);
}

static void push_camera(lua_State *L, const struct view_spec *spec) {
    double size[2] = {spec->camera.width, spec->camera.height}, eye[3], target[3];
    for (int k = 0; k < 3; k++) {
        eye[k] = (double)spec->eye[k];
        target[k] = (double)spec->target[k];
    }
    lua_createtable(L, 0, 9);
    lua_pushstring(L, spec->name);
    lua_setfield(L, -2, "name");
    set_number(L, "azimuth", (double)spec->azimuth);
    set_number(L, "distance", (double)spec->distance);
    set_number(L, "height", (double)spec->height);
    set_number(L, "fov", (double)spec->fov);
    set_number(L, "time", spec->time);
    set_list(L, "position", eye, 3);
    set_list(L, "target", target, 3);
    set_list(L, "size", size, 2);
}

static int ring_push(lua_State *L, void *arg) {
    struct ring_task *task = arg;
    if (task->rc != 0)
        return vm_fail(L, &task->err);
    lua_createtable(L, (int)task->options.views, 0);
    for (uint32_t i = 0; i < task->options.views; i++) {
        push_camera(L, &task->specs[i]);
        lua_rawseti(L, -2, (int)i + 1);
    }
    return 1;
}

static void ensure_options(lua_State *L, int index) {
    lua_settop(L, index);
    if (lua_isnil(L, index)) {
        lua_newtable(L);
        lua_replace(L, index);
    }
    luaL_checktype(L, index, LUA_TTABLE);
}

/* cameras(body, p): where the cameras of a ring stand. */
static int render_cameras(lua_State *L) {
    struct scene *scene = lua_scene_check(L, 1);
    ensure_options(L, 2);
    struct ring_options options = {
        .views = read_count(L, 2, "angles", 8),
        .distance = (float)vm_opt_number(L, 2, "distance", 3.5),
        .height = (float)vm_opt_number(L, 2, "height", 1.6),
        .fov = (float)vm_opt_number(L, 2, "fov", 50),
        .time = vm_opt_number(L, 2, "time", 0),
    };
    read_size(L, 2, &options.width, &options.height_pixels);
    struct err err;
    int clip;
    if (read_clip(L, 2, scene, &clip, &err) != 0)
        return vm_fail(L, &err);
    if (options.views < 1 || options.views > RING_MAX_VIEWS)
        return vm_failf(L, ERR_INVALID, "a ring has 1 to %d views", RING_MAX_VIEWS);
    fiber_check(L);
    struct ring_task *task = calloc(1, sizeof *task);
    if (task == NULL)
        return vm_failf(L, ERR_NO_MEMORY, "no memory for a ring");
    task->options = options;
    task->specs = calloc(options.views, sizeof *task->specs);
    int rc = task->specs == NULL ? err_set(&err, ERR_NO_MEMORY, "no memory for a ring")
                                 : stage_of_body(scene, clip, NULL, 0, &task->stage, &err);
    if (rc != 0) {
        ring_release(task);
        return vm_fail(L, &err);
    }
    return fiber_work(L, task, ring_run, ring_push, ring_release);
}

/* -- Views of cameras -------------------------------------------------------------------------- */

static void read_point(lua_State *L, int index, const char *field, float point[3]) {
    lua_getfield(L, index, field);
    if (!lua_istable(L, -1))
        luaL_error(L, "a camera needs a %s {x, y, z} in metres", field);
    for (int k = 0; k < 3; k++) {
        lua_rawgeti(L, -1, k + 1);
        point[k] = (float)lua_tonumber(L, -1);
        if (!lua_isnumber(L, -1) || !isfinite(point[k]))
            luaL_error(L, "a camera's %s must be three numbers", field);
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
}

/* The camera's table is on top of the stack. */
static int read_camera(lua_State *L, int number, double time, struct view_spec *spec,
                       struct err *err) {
    int index = lua_gettop(L);
    uint32_t width, height;
    const char *name = vm_opt_string(L, index, "name", NULL);
    if (name != NULL && strlen(name) >= VIEW_NAME_SIZE)
        return err_set(err, ERR_INVALID, "a view's name has at most %d bytes", VIEW_NAME_SIZE - 1);
    if (name != NULL)
        memcpy(spec->name, name, strlen(name) + 1);
    else
        snprintf(spec->name, sizeof spec->name, "view_%d", number);
    spec->azimuth = (float)vm_opt_number(L, index, "azimuth", NAN);
    spec->distance = (float)vm_opt_number(L, index, "distance", NAN);
    spec->fov = (float)vm_opt_number(L, index, "fov", 50);
    spec->time = vm_opt_number(L, index, "time", time);
    read_size(L, index, &width, &height);
    read_point(L, index, "position", spec->eye);
    read_point(L, index, "target", spec->target);
    spec->height = spec->eye[1];
    int rc = view_spec_check(spec->fov, width, height, err);
    if (rc == 0)
        view_spec_aim(spec, width, height);
    return rc;
}

/* views(body, {cameras = ..., ...}): views of any cameras. */
static int render_views(lua_State *L) {
    struct scene *scene = lua_scene_check(L, 1);
    ensure_options(L, 2);
    double time = vm_opt_number(L, 2, "time", 0);
    struct views_options options = {
        .samples = read_count(L, 2, "samples", 4),
        .batch = read_count(L, 2, "batch", 4),
        .backend = vm_opt_string(L, 2, "backend", NULL),
    };
    struct err err;
    int clip;
    if (read_clip(L, 2, scene, &clip, &err) != 0)
        return vm_fail(L, &err);
    lua_getfield(L, 2, "cameras");
    if (!lua_istable(L, 3))
        return luaL_error(L, "views need a list of cameras");
    size_t count = lua_objlen(L, 3);
    if (count < 1 || count > VIEWS_MAX)
        return vm_failf(L, ERR_INVALID, "1 to %d cameras can be used at once", VIEWS_MAX);
    /* Lua's memory, since reading a camera may raise. */
    struct view_spec *specs = lua_newuserdata(L, count * sizeof *specs);
    memset(specs, 0, count * sizeof *specs);
    for (size_t i = 0; i < count; i++) {
        lua_rawgeti(L, 3, (int)i + 1);
        luaL_checktype(L, -1, LUA_TTABLE);
        if (read_camera(L, (int)i + 1, time, &specs[i], &err) != 0)
            return vm_fail(L, &err);
        lua_pop(L, 1);
    }
    struct stage *stage;
    if (stage_of_body(scene, clip, NULL, 0, &stage, &err) != 0)
        return vm_fail(L, &err);
    return lua_views_push(L, stage, specs, (uint32_t)count, &options);
}

/* -- The module -------------------------------------------------------------------------------- */

/* render.ring: cameras and views in one, as an iterator; failures are raised, for `for` has no
 * other way. */
static const char ring_chunk[] =
    "local cameras, views = ...\n"
    "return function(body, p)\n"
    "  p = p or {}\n"
    "  local list, err = cameras(body, p)\n"
    "  if not list then error(err, 0) end\n"
    "  local made, why = views(body, {cameras = list, clip = p.clip, time = p.time,\n"
    "    samples = p.samples, batch = p.batch, backend = p.backend})\n"
    "  if not made then error(why, 0) end\n"
    "  return made:each()\n"
    "end\n";

static void push_landmark_names(lua_State *L) {
    lua_createtable(L, SCENE_LANDMARKS, 0);
    for (uint32_t i = 0; i < SCENE_LANDMARKS; i++) {
        lua_pushstring(L, scene_landmark_name(i));
        lua_rawseti(L, -2, (int)i + 1);
    }
}

/* {coco_17 = {names = {...}, points = {...}}, ...} */
static void push_formats(lua_State *L) {
    lua_createtable(L, 0, KEYPOINTS_FORMATS);
    for (int f = 0; f < KEYPOINTS_FORMATS; f++) {
        const struct keypoints_format *format = &keypoints_formats[f];
        lua_createtable(L, 0, 2);
        lua_createtable(L, (int)format->count, 0);
        lua_createtable(L, (int)format->count, 0);
        for (uint32_t i = 0; i < format->count; i++) {
            lua_pushstring(L, keypoints_name(format, i));
            lua_rawseti(L, -3, (int)i + 1);
            lua_pushstring(L, scene_landmark_name(format->points[i]));
            lua_rawseti(L, -2, (int)i + 1);
        }
        lua_setfield(L, -3, "points");
        lua_setfield(L, -2, "names");
        lua_setfield(L, -2, format->name);
    }
}

static const luaL_Reg functions[] = {
    {"views", render_views},
    {NULL, NULL},
};

static const luaL_Reg waiting_functions[] = {
    {"cameras", render_cameras},
    {NULL, NULL},
};

int lua_open_render(lua_State *L) {
    lua_views_open(L);
    lua_newtable(L);
    luaL_register(L, NULL, functions);
    fiber_register(L, waiting_functions);
    if (luaL_loadbuffer(L, ring_chunk, sizeof ring_chunk - 1, "=render.ring") != 0)
        return lua_error(L);
    lua_getfield(L, -2, "cameras");
    lua_getfield(L, -3, "views");
    lua_call(L, 2, 1);
    lua_setfield(L, -2, "ring");
    push_landmark_names(L);
    lua_setfield(L, -2, "landmarks");
    push_formats(L);
    lua_setfield(L, -2, "formats");
    return 1;
}
