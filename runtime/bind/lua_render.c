/* lua_render.c - the Lua module `render`: rings of cameras, views of bodies and stages.
 *
 * Scripts pass a body of the module `scene` or a stage with a table of options; what is missing
 * takes its default. Where the cameras of a ring stand is found on the pool, for it looks at the
 * bodies in many poses. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bind/lua_render.h"
#include "bind/lua_scene.h"
#include "media/keypoints.h"

/* -- Clips ------------------------------------------------------------------------------------- */

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

int lua_clip_read(struct lua_fields *fields, int index, const char *path,
                  const struct scene *scene) {
    lua_State *L = fields->L;
    struct err err;
    int rc = 0, clip = SCENE_REST;
    lua_fields_push(L, index, "clip");
    if (lua_isnil(L, -1))
        clip = views_calm_clip(scene);
    else if (lua_type(L, -1) == LUA_TNUMBER)
        rc = numbered_clip(scene, lua_tonumber(L, -1), &clip, &err);
    else if (lua_type(L, -1) == LUA_TSTRING)
        rc = named_clip(scene, lua_tostring(L, -1), &clip, &err);
    else
        rc = err_set(&err, ERR_INVALID, "%s.clip must be a name or a number, not a %s", path,
                     luaL_typename(L, -1));
    lua_pop(L, 1);
    if (rc != 0)
        lua_fields_fail(fields, (enum err_code)rc, "%s", err.message);
    return rc == 0 ? clip : SCENE_REST;
}

/* -- Who is seen ------------------------------------------------------------------------------- */

/* The stage at the first argument, or one of the body that is there, with the options' clip. The
 * caller releases it. Raises when there is neither. */
static struct stage *stage_of_arguments(struct lua_fields *fields) {
    struct stage *stage = lua_stage_at(fields->L, 1);
    if (stage != NULL) {
        lua_fields_push(fields->L, 2, "clip");
        if (!lua_isnil(fields->L, -1))
            lua_fields_fail(fields, ERR_INVALID, "the actors of a stage have their own clips");
        lua_pop(fields->L, 1);
        return stage_retain(stage);
    }
    struct scene *scene = lua_scene_check(fields->L, 1);
    int clip = lua_clip_read(fields, 2, "options", scene);
    double rate = lua_fields_number(fields, 2, "options", "fps", 0.01, 1000, 0);
    if (fields->rc == 0)
        fields->rc = stage_of_body(scene, clip, NULL, rate, &stage, &fields->err);
    return fields->rc == 0 ? stage : NULL;
}

static void ensure_options(lua_State *L, int index) {
    lua_settop(L, index);
    if (lua_isnil(L, index)) {
        lua_newtable(L);
        lua_replace(L, index);
    }
    luaL_checktype(L, index, LUA_TTABLE);
}

static uint32_t read_count(struct lua_fields *fields, const char *field, double least, double most,
                           double otherwise) {
    double value = lua_fields_number(fields, 2, "options", field, least, most, otherwise);
    if (value != floor(value))
        lua_fields_fail(fields, ERR_INVALID, "options.%s must be a whole number", field);
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

static int ring_push(lua_State *L, void *arg) {
    struct ring_task *task = arg;
    if (task->rc != 0)
        return vm_fail(L, &task->err);
    lua_createtable(L, (int)task->options.views, 0);
    for (uint32_t i = 0; i < task->options.views; i++) {
        lua_camera_push(L, &task->specs[i]);
        lua_rawseti(L, -2, (int)i + 1);
    }
    return 1;
}

/* cameras(body or stage, p): where the cameras of a ring stand. */
static int render_cameras(lua_State *L) {
    struct lua_fields fields = {.L = L};
    struct ring_options options;
    ensure_options(L, 2);
    fiber_check(L);
    lua_ring_read(&fields, 2, "options", &options);
    struct stage *stage = stage_of_arguments(&fields);
    struct ring_task *task = calloc(1, sizeof *task);
    struct view_spec *specs = calloc(options.views, sizeof *specs);
    if (specs == NULL)
        lua_fields_fail(&fields, ERR_NO_MEMORY, "no memory for a ring");
    if (fields.rc != 0 || task == NULL) {
        stage_release(stage);
        free(task);
        free(specs);
        return vm_fail(L, &fields.err);
    }
    *task = (struct ring_task){.stage = stage, .options = options, .specs = specs};
    return fiber_work(L, task, ring_run, ring_push, ring_release);
}

/* -- Views of cameras -------------------------------------------------------------------------- */

static void read_maps(struct lua_fields *fields, struct views_options *options) {
    lua_State *L = fields->L;
    if (!lua_fields_open(fields, 2, "options", "maps"))
        return;
    for (int i = 1; i <= (int)lua_objlen(L, -1); i++) {
        int map = 0;
        lua_rawgeti(L, -1, i);
        const char *name = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : "?";
        while (map < VIEW_MAPS && strcmp(view_map_kinds[map].name, name) != 0)
            map++;
        if (map == VIEW_MAPS)
            lua_fields_fail(fields, ERR_INVALID, "options.maps[%d]: there is no map %.40s", i,
                            name);
        else
            options->maps |= 1u << map;
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
}

static void read_cameras(struct lua_fields *fields, int index, uint32_t count,
                         struct view_spec *specs) {
    lua_State *L = fields->L;
    double time = lua_fields_number(fields, 2, "options", "time", -1e6, 1e9, 0);
    for (uint32_t i = 0; fields->rc == 0 && i < count; i++) {
        char path[32];
        snprintf(path, sizeof path, "cameras[%u]", i + 1);
        lua_rawgeti(L, index, (int)i + 1);
        if (lua_istable(L, -1))
            lua_camera_read(fields, lua_gettop(L), path, (int)i + 1, time, &specs[i]);
        else
            lua_fields_fail(fields, ERR_INVALID, "%s must be a table", path);
        lua_pop(L, 1);
    }
}

static uint32_t cores(void) {
    long count = sysconf(_SC_NPROCESSORS_ONLN);
    return count < 1 ? 1 : count > 64 ? 64 : (uint32_t)count;
}

/* views(body or stage, {cameras = ..., ...}): views of a list of cameras. */
static int render_views(lua_State *L) {
    struct lua_fields fields = {.L = L};
    ensure_options(L, 2);
    struct views_options options = {
        .samples = read_count(&fields, "samples", 1, 64, 4),
        .batch = read_count(&fields, "batch", 1, VIEWS_MAX_BATCH, 4),
        .backend = lua_fields_string(&fields, 2, "options", "backend", NULL),
        .shutter = (float)lua_fields_number(&fields, 2, "options", "shutter", 0, 1, 0),
        .no_picture = !lua_fields_boolean(&fields, 2, "options", "picture", true),
    };
    uint32_t parallel = read_count(&fields, "parallel", 1, 64, cores());
    read_maps(&fields, &options);
    lua_fields_push(L, 2, "cameras");
    size_t count = lua_istable(L, 3) ? lua_objlen(L, 3) : 0;
    if (count < 1 || count > VIEWS_MAX)
        return vm_failf(L, ERR_INVALID, "options.cameras must be a list of 1 to %d cameras",
                        VIEWS_MAX);
    /* Lua's memory: it needs no care when something raises. */
    struct view_spec *specs = lua_newuserdata(L, count * sizeof *specs);
    read_cameras(&fields, 3, (uint32_t)count, specs);
    struct stage *stage = stage_of_arguments(&fields);
    if (fields.rc != 0) {
        stage_release(stage);
        return vm_fail(L, &fields.err);
    }
    return lua_views_push(L, stage, specs, (uint32_t)count, &options, parallel);
}

/* -- The module -------------------------------------------------------------------------------- */

/* What is easier said in Lua; the module's table is given. Failures of render.ring are raised, for
 * `for` has no other way. */
static const char lua_half[] =
    "local M, most, is_stage = ...\n"
    "local cameras, views = M.cameras, M.views\n"
    "local function dressed(who, p)\n" /* a body with a look is a stage */
    "  if p.look == nil then return who, p end\n"
    "  if is_stage(who) then error('a stage has its own look', 3) end\n"
    "  local stage, err = M.stage {actors = {{body = who, clip = p.clip}}, look = p.look, fps = "
    "p.fps}\n"
    "  if not stage then return nil, err end\n"
    "  local rest = {}\n"
    "  for key, value in pairs(p) do rest[key] = value end\n"
    "  rest.look, rest.clip, rest.fps = nil, nil, nil\n"
    "  return stage, rest\n"
    "end\n"
    "function M.views(who, p)\n"
    "  if type(p) ~= 'table' then return views(who, p) end\n"
    "  local err\n"
    "  who, p = dressed(who, p)\n"
    "  if not who then return nil, p end\n"
    "  local list = p.cameras\n"
    "  if type(list) == 'table' and (list.at or #list > most) then\n"
    "    return require('stance.view_stream').new(views, who, p)\n"
    "  end\n"
    "  return views(who, p)\n"
    "end\n"
    "function M.ring(who, p)\n"
    "  p = p or {}\n"
    "  local list, err = cameras(who, p)\n"
    "  if not list then error(err, 0) end\n"
    "  local options = {cameras = list}\n"
    "  for _, key in ipairs {'clip', 'time', 'samples', 'batch', 'backend', 'look', 'fps', 'maps', "
    "'picture',\n"
    "    'parallel', 'shutter'} do options[key] = p[key] end\n"
    "  local made, why = M.views(who, options)\n"
    "  if not made then error(why, 0) end\n"
    "  return made:each()\n"
    "end\n"
    "function M.random_look(...) return require('stance.looks').random(...) end\n";

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

static int is_stage(lua_State *L) {
    lua_pushboolean(L, lua_stage_at(L, 1) != NULL);
    return 1;
}

static const luaL_Reg functions[] = {
    {"views", render_views},
    {NULL, NULL},
};

static const luaL_Reg waiting_functions[] = {
    {"cameras", render_cameras},
    {"look", lua_look_new},
    {"stage", lua_stage_new},
    {NULL, NULL},
};

int lua_open_render(lua_State *L) {
    lua_views_open(L);
    lua_stage_open(L);
    lua_look_open(L);
    lua_newtable(L);
    luaL_register(L, NULL, functions);
    fiber_register(L, waiting_functions);
    if (luaL_loadbuffer(L, lua_half, sizeof lua_half - 1, "=render") != 0)
        return lua_error(L);
    lua_pushvalue(L, -2);
    lua_pushinteger(L, VIEWS_MAX);
    lua_pushcfunction(L, is_stage);
    lua_call(L, 3, 0);
    push_landmark_names(L);
    lua_setfield(L, -2, "landmarks");
    push_formats(L);
    lua_setfield(L, -2, "formats");
    return 1;
}
