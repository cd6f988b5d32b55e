/* lua_scene.c - the Lua module `scene`: bodies from files, and the built-in mannequin.
 *
 * Opening and measuring run on the pool while the fiber waits; a body is a counted scene, so work
 * on the pool outlives a script that closes it. */
#include "bind/lua_scene.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bind/lua_rigs.h"
#include "bind/modules.h"
#include "core/config.h"
#include "media/mannequin.h"
#include "media/scene.h"
#include "media/scene_process.h"

static const char body_type[] = "stance.body";
static const char built_in[] = "mannequin";

static struct scene **check_box(lua_State *L, int index) {
    return luaL_checkudata(L, index, body_type);
}

struct scene *lua_scene_at(lua_State *L, int index) {
    struct scene **box = vm_userdata_at(L, index, body_type);
    return box != NULL ? *box : NULL;
}

struct scene *lua_scene_check(lua_State *L, int index) {
    struct scene *scene = *check_box(L, index);
    luaL_argcheck(L, scene != NULL, index, "the body is closed");
    return scene;
}

/* -- Opening ----------------------------------------------------------------------------------- */

struct task {
    char *name;    /* a path, or what the bytes are called */
    uint8_t *copy; /* the file's bytes; NULL: read the path */
    size_t size;
    struct scene_options options;
    struct scene_limits limits;
    struct mannequin_options mannequin;
    struct scene *scene;
    float box[6];
    int clip;
    struct err err;
    int rc;
};

static void task_release(void *arg) {
    struct task *task = arg;
    scene_release(task->scene);
    rig_tables_release(task->options.rigs);
    free(task->name);
    free(task->copy);
    free(task);
}

static struct task *task_new(lua_State *L, const char *name) {
    struct task *task = calloc(1, sizeof *task);
    if (task != NULL)
        task->name = strdup(name);
    if (task == NULL || task->name == NULL) {
        free(task);
        luaL_error(L, "no memory to open %s", name);
    }
    return task;
}

/* Our own file needs no process of its own. */
static int open_mannequin(struct task *task) {
    int rc = mannequin_write_glb(&task->mannequin, &task->copy, &task->size, &task->err);
    task->options.stature = task->mannequin.stature > 0 ? (double)task->mannequin.stature : 0;
    return rc != 0 ? rc
                   : scene_open_bytes(task->copy, task->size, task->name, &task->options,
                                      &task->scene, &task->err);
}

static void run_open(void *arg) {
    struct task *task = arg;
    if (task->copy != NULL)
        task->rc = scene_open_bytes_confined(task->copy, task->size, task->name, &task->options,
                                             &task->limits, &task->scene, &task->err);
    else if (strcmp(task->name, built_in) == 0)
        task->rc = open_mannequin(task);
    else
        task->rc = scene_open_confined(task->name, &task->options, &task->limits, &task->scene,
                                       &task->err);
}

static int push_body(lua_State *L, void *arg) {
    struct task *task = arg;
    if (task->rc != 0)
        return vm_fail(L, &task->err);
    struct scene **box = lua_newuserdata(L, sizeof *box);
    *box = NULL;
    luaL_getmetatable(L, body_type);
    lua_setmetatable(L, -2);
    *box = task->scene;
    task->scene = NULL;
    return 1;
}

static double read_stature(lua_State *L, int index, double least, double most) {
    double stature = vm_opt_number(L, index, "stature", 0);
    if (stature != 0 && !(stature >= least && stature <= most))
        luaL_error(L, "stature must be %f to %f metres", least, most);
    return stature;
}

static struct mannequin_options read_mannequin(lua_State *L, int index) {
    struct mannequin_options options = {0};
    if (lua_isnoneornil(L, index))
        return options;
    luaL_checktype(L, index, LUA_TTABLE);
    double seed = vm_opt_number(L, index, "seed", 0), detail = vm_opt_number(L, index, "detail", 0);
    if (!(seed >= 0 && seed <= UINT32_MAX) || seed != floor(seed))
        luaL_error(L, "seed must be a whole number from 0 to 4294967295");
    if (!(detail >= 0 && detail <= 3) || detail != floor(detail))
        luaL_error(L, "detail must be 1, 2 or 3");
    options.stature = (float)read_stature(L, index, 0.3, 3);
    options.seed = (uint32_t)seed;
    options.detail = (int)detail;
    return options;
}

static void set_limits(lua_State *L, struct task *task) {
    const struct config *config = services_of(L)->config;
    task->limits.program = services_of(L)->program;
    task->limits.memory = (uint64_t)config_int(config, "scene_memory");
    task->limits.timeout = config_number(config, "scene_timeout");
}

/* Drawing is workers' business, and so is what it needs. */
static void refuse_in_host(lua_State *L) {
    if (strcmp(services_of(L)->role, "host") == 0)
        luaL_error(L, "scenes are opened in workers only: do it in a workflow");
}

static int open_path(lua_State *L) {
    refuse_in_host(L);
    const char *path = luaL_checkstring(L, 1);
    struct mannequin_options mannequin = {0};
    double stature = 0;
    if (strcmp(path, built_in) == 0) {
        mannequin = read_mannequin(L, 2);
    } else if (!lua_isnoneornil(L, 2)) {
        luaL_checktype(L, 2, LUA_TTABLE);
        stature = read_stature(L, 2, 0.1, 10);
    }
    fiber_check(L);
    struct rig_tables *rigs = lua_rigs(L);
    struct task *task = task_new(L, path);
    task->options.rigs = rig_tables_retain(rigs);
    task->mannequin = mannequin;
    task->options.stature = stature;
    set_limits(L, task);
    return fiber_work(L, task, run_open, push_body, task_release);
}

static int open_bytes(lua_State *L) {
    refuse_in_host(L);
    size_t size;
    const char *bytes = luaL_checklstring(L, 1, &size), *name = luaL_checkstring(L, 2);
    double stature = 0;
    if (!lua_isnoneornil(L, 3)) {
        luaL_checktype(L, 3, LUA_TTABLE);
        stature = read_stature(L, 3, 0.1, 10);
    }
    fiber_check(L);
    struct rig_tables *rigs = lua_rigs(L);
    struct task *task = task_new(L, name);
    task->options.rigs = rig_tables_retain(rigs);
    task->options.stature = stature;
    set_limits(L, task);
    task->copy = malloc(size > 0 ? size : 1);
    if (task->copy == NULL) {
        task_release(task);
        return vm_failf(L, ERR_NO_MEMORY, "%s: no memory for its bytes", name);
    }
    memcpy(task->copy, bytes, size);
    task->size = size;
    return fiber_work(L, task, run_open, push_body, task_release);
}

/* -- The mannequin's file ---------------------------------------------------------------------- */

static void run_mannequin(void *arg) {
    struct task *task = arg;
    task->rc = mannequin_write_glb(&task->mannequin, &task->copy, &task->size, &task->err);
}

static int push_bytes(lua_State *L, void *arg) {
    struct task *task = arg;
    if (task->rc != 0)
        return vm_fail(L, &task->err);
    lua_pushlstring(L, (const char *)task->copy, task->size);
    return 1;
}

static int write_mannequin(lua_State *L) {
    struct mannequin_options options = read_mannequin(L, 1);
    fiber_check(L);
    struct task *task = task_new(L, built_in);
    task->mannequin = options;
    return fiber_work(L, task, run_mannequin, push_bytes, task_release);
}

/* -- Questions --------------------------------------------------------------------------------- */

static int body_name(lua_State *L) {
    lua_pushstring(L, scene_name(lua_scene_check(L, 1)));
    return 1;
}

static int body_triangles(lua_State *L) {
    lua_pushinteger(L, (lua_Integer)scene_triangle_count(lua_scene_check(L, 1)));
    return 1;
}

static int body_vertices(lua_State *L) {
    lua_pushinteger(L, (lua_Integer)scene_vertex_count(lua_scene_check(L, 1)));
    return 1;
}

static int body_clips(lua_State *L) {
    const struct scene *scene = lua_scene_check(L, 1);
    uint32_t count = scene_clip_count(scene);
    lua_createtable(L, (int)count, 0);
    for (uint32_t i = 0; i < count; i++) {
        lua_createtable(L, 0, 3);
        lua_pushstring(L, scene_clip_name(scene, i));
        lua_setfield(L, -2, "name");
        lua_pushnumber(L, scene_clip_seconds(scene, i));
        lua_setfield(L, -2, "seconds");
        lua_pushnumber(L, scene_clip_rate(scene, i));
        lua_setfield(L, -2, "rate");
        lua_rawseti(L, -2, (int)i + 1);
    }
    return 1;
}

static int body_joints(lua_State *L) {
    const struct scene *scene = lua_scene_check(L, 1);
    uint32_t count = scene_joint_count(scene);
    lua_createtable(L, (int)count, 0);
    for (uint32_t i = 0; i < count; i++) {
        lua_createtable(L, 0, 2);
        lua_pushstring(L, scene_joint_name(scene, i));
        lua_setfield(L, -2, "name");
        if (scene_joint_parent(scene, i) >= 0) {
            lua_pushinteger(L, scene_joint_parent(scene, i) + 1);
            lua_setfield(L, -2, "parent");
        }
        lua_rawseti(L, -2, (int)i + 1);
    }
    return 1;
}

static int body_landmarks(lua_State *L) {
    const bool *known;
    scene_landmarks(lua_scene_check(L, 1), &known);
    lua_createtable(L, 0, SCENE_LANDMARKS);
    for (uint32_t i = 0; i < SCENE_LANDMARKS; i++) {
        lua_pushboolean(L, known[i]);
        lua_setfield(L, -2, scene_landmark_name(i));
    }
    return 1;
}

static void set_number(lua_State *L, const char *field, double value) {
    lua_pushnumber(L, value);
    lua_setfield(L, -2, field);
}

/* The fields bones = {{bone=, joint=, how=}, ...} and missing = {name, ...}. */
static void set_bones(lua_State *L, const struct scene *scene) {
    int found = 0, missing = 0;
    lua_newtable(L);
    lua_newtable(L);
    for (int bone = 0; bone < RIG_BONES; bone++) {
        int joint = scene_bone(scene, bone);
        if (joint < 0 && !rig_bone_required(bone))
            continue;
        lua_pushstring(L, rig_bone_name(bone));
        if (joint < 0) {
            lua_rawseti(L, -2, ++missing);
            continue;
        }
        lua_createtable(L, 0, 3);
        lua_insert(L, -2);
        lua_setfield(L, -2, "bone");
        lua_pushstring(L, scene_joint_name(scene, (uint32_t)joint));
        lua_setfield(L, -2, "joint");
        lua_pushstring(L, rig_how_name(scene_bone_how(scene, bone)));
        lua_setfield(L, -2, "how");
        lua_rawseti(L, -3, ++found);
    }
    lua_setfield(L, -3, "missing");
    lua_setfield(L, -2, "bones");
}

static int body_report(lua_State *L) {
    const struct scene *scene = lua_scene_check(L, 1);
    const struct scene_report *report = scene_report(scene);
    lua_createtable(L, 0, 14);
    set_bones(L, scene);
    lua_pushstring(L, report->format);
    lua_setfield(L, -2, "format");
    lua_pushstring(L, report->rig);
    lua_setfield(L, -2, "rig");
    lua_pushboolean(L, report->turned);
    lua_setfield(L, -2, "turned");
    set_number(L, "file_stature", report->file_stature);
    set_number(L, "stature", report->stature);
    set_number(L, "scale", report->scale);
    set_number(L, "lifted", report->lifted);
    set_number(L, "landmarks", report->landmarks);
    set_number(L, "textures", report->textures);
    set_number(L, "seconds", report->seconds);
    lua_createtable(L, (int)report->warning_count, 0);
    for (uint32_t i = 0; i < report->warning_count; i++) {
        lua_pushstring(L, report->warnings[i]);
        lua_rawseti(L, -2, (int)i + 1);
    }
    lua_setfield(L, -2, "warnings");
    return 1;
}

/* -- Boxes ------------------------------------------------------------------------------------- */

static void run_box(void *arg) {
    struct task *task = arg;
    task->rc = scene_box(task->scene, task->clip, task->box, &task->err);
}

static int push_box(lua_State *L, void *arg) {
    static const char *const corners[] = {"min", "max"};
    struct task *task = arg;
    if (task->rc != 0)
        return vm_fail(L, &task->err);
    lua_createtable(L, 0, 2);
    for (int corner = 0; corner < 2; corner++) {
        lua_createtable(L, 3, 0);
        for (int i = 0; i < 3; i++) {
            lua_pushnumber(L, (double)task->box[3 * corner + i]);
            lua_rawseti(L, -2, i + 1);
        }
        lua_setfield(L, -2, corners[corner]);
    }
    return 1;
}

/* A clip's name or number from 1; nil, 0 and "rest" are the rest pose. False when there is none. */
static bool read_clip(lua_State *L, const struct scene *scene, int *clip) {
    bool found = true;
    *clip = SCENE_REST;
    if (lua_isnoneornil(L, 2))
        return true;
    luaL_checktype(L, 2, LUA_TTABLE);
    lua_getfield(L, 2, "clip");
    if (lua_type(L, -1) == LUA_TNUMBER) {
        double number = lua_tonumber(L, -1);
        found = number >= 0 && number <= scene_clip_count(scene) && number == floor(number);
        *clip = found ? (int)number - 1 : SCENE_REST;
    } else if (lua_type(L, -1) == LUA_TSTRING) {
        const char *name = lua_tostring(L, -1);
        *clip = scene_find_clip(scene, name);
        found = *clip >= 0 || strcmp(name, "rest") == 0;
    } else if (!lua_isnil(L, -1)) {
        luaL_error(L, "clip must be a name or a number");
    }
    lua_pop(L, 1);
    return found;
}

static int body_box(lua_State *L) {
    struct scene *scene = lua_scene_check(L, 1);
    int clip;
    if (!read_clip(L, scene, &clip))
        return vm_failf(L, ERR_NOT_FOUND, "%s has no such clip", scene_name(scene));
    fiber_check(L);
    struct task *task = task_new(L, scene_name(scene));
    task->scene = scene_retain(scene);
    task->clip = clip;
    return fiber_work(L, task, run_box, push_box, task_release);
}

/* -- Life -------------------------------------------------------------------------------------- */

static int body_close(lua_State *L) {
    struct scene **box = check_box(L, 1);
    scene_release(*box);
    *box = NULL;
    return 0;
}

static int body_tostring(lua_State *L) {
    const struct scene *scene = *check_box(L, 1);
    if (scene == NULL)
        lua_pushliteral(L, "body (closed)");
    else
        lua_pushfstring(L, "body (%s)", scene_name(scene));
    return 1;
}

static const luaL_Reg body_meta[] = {
    {"__gc", body_close},
    {"__tostring", body_tostring},
    {NULL, NULL},
};

static const luaL_Reg body_methods[] = {
    {"name", body_name},           {"clips", body_clips},   {"joints", body_joints},
    {"landmarks", body_landmarks}, {"report", body_report}, {"triangles", body_triangles},
    {"vertices", body_vertices},   {"close", body_close},   {NULL, NULL},
};

static const luaL_Reg body_waiting[] = {
    {"box", body_box},
    {NULL, NULL},
};

static const luaL_Reg functions[] = {
    {"open", open_path},
    {"open_bytes", open_bytes},
    {"mannequin", write_mannequin},
    {NULL, NULL},
};

int lua_open_scene(lua_State *L) {
    vm_new_type(L, body_type, body_methods, body_meta);
    lua_getfield(L, -1, "__index");
    fiber_register(L, body_waiting);
    lua_pop(L, 2);
    lua_newtable(L);
    fiber_register(L, functions);
    return 1;
}
