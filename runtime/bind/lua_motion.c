/* lua_motion.c - the Lua module `motion`: clips of files, played by any body.
 *
 * Opening, binding and measuring run on the pool while the fiber waits; motions are counted, so
 * work on the pool outlives a script that closes them. */
#include "bind/lua_motion.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bind/lua_rigs.h"
#include "bind/lua_scene.h"
#include "bind/modules.h"
#include "core/config.h"
#include "media/motion.h"
#include "media/scene.h"
#include "media/scene_process.h"

static const char motion_type[] = "stance.motion";
static const char bound_type[] = "stance.bound_motion";

static struct motion *check_motion(lua_State *L, int index) {
    struct motion *motion = *(struct motion **)luaL_checkudata(L, index, motion_type);
    luaL_argcheck(L, motion != NULL, index, "the motion is closed");
    return motion;
}

struct scene_motion *lua_motion_at(lua_State *L, int index) {
    struct scene_motion **box = vm_userdata_at(L, index, bound_type);
    return box != NULL ? *box : NULL;
}

struct scene_motion *lua_motion_check(lua_State *L, int index) {
    struct scene_motion *bound = *(struct scene_motion **)luaL_checkudata(L, index, bound_type);
    luaL_argcheck(L, bound != NULL, index, "the bound motion is closed");
    return bound;
}

/* -- Work on the pool -------------------------------------------------------------------------- */

struct task {
    char *name, *skeleton; /* a path, or what the bytes are called */
    uint8_t *copy, *bones; /* bytes; NULL: read the paths */
    size_t size, bones_size;
    struct rig_tables *rigs;
    struct scene_limits limits;
    struct scene *body;
    struct motion *motion;
    struct scene_motion *bound;
    struct motion_options options;
    uint32_t clip;
    float box[6];
    struct err err;
    int rc;
};

static void task_release(void *arg) {
    struct task *task = arg;
    scene_release(task->body);
    motion_release(task->motion);
    scene_motion_release(task->bound);
    rig_tables_release(task->rigs);
    free(task->name);
    free(task->skeleton);
    free(task->copy);
    free(task->bones);
    free(task);
}

static struct task *task_new(lua_State *L) {
    struct task *task = calloc(1, sizeof *task);
    if (task == NULL)
        luaL_error(L, "no memory for a motion");
    return task;
}

/* A pointer in a userdata of this type, which is filled in when it is there. */
static void **push_handle(lua_State *L, const char *type) {
    void **handle = lua_newuserdata(L, sizeof *handle);
    *handle = NULL;
    luaL_getmetatable(L, type);
    lua_setmetatable(L, -2);
    return handle;
}

/* -- Opening ----------------------------------------------------------------------------------- */

static void run_open(void *arg) {
    struct task *task = arg;
    const struct motion_source source = {.skeleton = task->skeleton,
                                         .bones = task->bones,
                                         .bones_size = task->bones_size,
                                         .rigs = task->rigs,
                                         .limits = &task->limits};
    task->rc = task->copy != NULL ? motion_open_bytes(task->copy, task->size, task->name, &source,
                                                      &task->motion, &task->err)
                                  : motion_open(task->name, &source, &task->motion, &task->err);
}

static int push_motion(lua_State *L, void *arg) {
    struct task *task = arg;
    if (task->rc != 0)
        return vm_fail(L, &task->err);
    *push_handle(L, motion_type) = task->motion;
    task->motion = NULL;
    return 1;
}

/* The options are at `index`; bytes: whether the skeleton is a file's bytes. Nothing raises once
 * there is a task. */
static int open_task(lua_State *L, int index, const char *name, const void *bytes, size_t size) {
    if (strcmp(services_of(L)->role, "host") == 0)
        return luaL_error(L, "motions are opened in workers only: do it in a workflow");
    const char *skeleton = NULL;
    size_t skeleton_size = 0;
    if (!lua_isnoneornil(L, index)) {
        luaL_checktype(L, index, LUA_TTABLE);
        lua_getfield(L, index, "skeleton"); /* stays on the stack while it is used */
        if (!lua_isnil(L, -1) && lua_type(L, -1) != LUA_TSTRING)
            return luaL_error(L, bytes != NULL ? "skeleton must be the bytes of an ASF file"
                                               : "skeleton must be a path");
        skeleton = lua_tolstring(L, -1, &skeleton_size);
    }
    fiber_check(L);
    struct rig_tables *rigs = lua_rigs(L);
    const struct config *config = services_of(L)->config;
    struct task *task = task_new(L);
    task->rigs = rig_tables_retain(rigs);
    task->limits.program = services_of(L)->program;
    task->limits.memory = (uint64_t)config_int(config, "scene_memory");
    task->limits.timeout = config_number(config, "scene_timeout");
    task->name = strdup(name);
    bool ready = task->name != NULL;
    if (bytes != NULL) {
        task->copy = malloc(size + 1);
        ready = ready && task->copy != NULL;
        if (task->copy != NULL)
            memcpy(task->copy, bytes, size);
        task->size = size;
    }
    if (skeleton != NULL && bytes != NULL) {
        task->bones = malloc(skeleton_size + 1);
        ready = ready && task->bones != NULL;
        if (task->bones != NULL)
            memcpy(task->bones, skeleton, skeleton_size);
        task->bones_size = skeleton_size;
    } else if (skeleton != NULL) {
        task->skeleton = strdup(skeleton);
        ready = ready && task->skeleton != NULL;
    }
    if (!ready) {
        task_release(task);
        return vm_failf(L, ERR_NO_MEMORY, "%s: no memory to open it", name);
    }
    return fiber_work(L, task, run_open, push_motion, task_release);
}

static int open_path(lua_State *L) {
    return open_task(L, 2, luaL_checkstring(L, 1), NULL, 0);
}

static int open_bytes(lua_State *L) {
    size_t size;
    const char *bytes = luaL_checklstring(L, 1, &size);
    return open_task(L, 3, luaL_checkstring(L, 2), bytes, size);
}

static int open_body(lua_State *L) {
    struct err err = {0};
    struct scene *body = lua_scene_check(L, 1);
    void **handle = push_handle(L, motion_type);
    struct motion *motion = NULL;
    if (motion_of_scene(body, &motion, &err) != 0)
        return vm_fail(L, &err);
    *handle = motion;
    return 1;
}

/* -- Binding ----------------------------------------------------------------------------------- */

/* The numbers of tuning.feet, where they are given. */
static void read_feet(lua_State *L, struct motion_options *options) {
    struct motion_tuning *t = &options->tuning;
    const struct {
        const char *name;
        double *value;
    } numbers[] = {{"contact_height", &t->contact_height},
                   {"release_height", &t->release_height},
                   {"contact_speed", &t->contact_speed},
                   {"release_speed", &t->release_speed},
                   {"shortest", &t->shortest},
                   {"shuffle", &t->shuffle},
                   {"blend", &t->blend},
                   {"slope", &t->slope},
                   {"reach", &t->reach},
                   {"sink", &t->sink}};
    int feet = lua_gettop(L);
    if (!lua_istable(L, feet))
        luaL_error(L, "tuning.feet must be a table, as in retarget/tuning.lua");
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        *numbers[i].value = vm_opt_number(L, feet, numbers[i].name, *numbers[i].value);
    options->loose_feet = !vm_opt_boolean(L, feet, "lock", !options->loose_feet);
}

/* The generation's own tuning, then that of the options at `index`. */
static void read_tuning(lua_State *L, int index, struct motion_options *options) {
    lua_getglobal(L, "require");
    lua_pushliteral(L, "retarget.tuning");
    lua_call(L, 1, 1);
    lua_getfield(L, -1, "feet");
    read_feet(L, options);
    lua_pop(L, 2);
    if (lua_isnoneornil(L, index))
        return;
    lua_getfield(L, index, "tuning");
    if (!lua_isnil(L, -1)) {
        if (!lua_istable(L, -1))
            luaL_error(L, "tuning must be a table, as in retarget/tuning.lua");
        lua_getfield(L, -1, "feet");
        if (!lua_isnil(L, -1))
            read_feet(L, options);
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
}

static struct motion_options read_options(lua_State *L, int index) {
    struct motion_options options = motion_options_default();
    read_tuning(L, index, &options);
    if (lua_isnoneornil(L, index))
        return options;
    options.speed = vm_opt_number(L, index, "speed", 1);
    options.root_scale = vm_opt_number(L, index, "root_scale", 1);
    options.in_place = vm_opt_boolean(L, index, "in_place", false);
    options.mirror = vm_opt_boolean(L, index, "mirror", false);
    options.front = vm_opt_boolean(L, index, "front", false);
    options.loose_feet = !vm_opt_boolean(L, index, "feet", !options.loose_feet);
    return options;
}

/* The option `clip`, a name or a number from 1; -1: there is none such. */
static int read_clip(lua_State *L, int index, const struct motion *motion) {
    int clip = 0;
    if (lua_isnoneornil(L, index))
        return 0;
    luaL_checktype(L, index, LUA_TTABLE);
    lua_getfield(L, index, "clip");
    if (lua_type(L, -1) == LUA_TNUMBER) {
        double number = lua_tonumber(L, -1);
        clip = number >= 1 && number <= motion_clip_count(motion) && number == floor(number)
                   ? (int)number - 1
                   : -1;
    } else if (lua_type(L, -1) == LUA_TSTRING) {
        clip = motion_find_clip(motion, lua_tostring(L, -1));
    } else if (!lua_isnil(L, -1)) {
        luaL_error(L, "clip must be a name or a number");
    }
    lua_pop(L, 1);
    return clip;
}

static void run_bind(void *arg) {
    struct task *task = arg;
    task->rc = scene_motion_new(task->motion, task->clip, task->body, &task->options, &task->bound,
                                &task->err);
}

static int push_bound(lua_State *L, void *arg) {
    struct task *task = arg;
    if (task->rc != 0)
        return vm_fail(L, &task->err);
    *push_handle(L, bound_type) = task->bound;
    task->bound = NULL;
    return 1;
}

static int motion_bind(lua_State *L) {
    struct motion *motion = check_motion(L, 1);
    struct scene *body = lua_scene_check(L, 2);
    int clip = read_clip(L, 3, motion);
    if (clip < 0)
        return vm_failf(L, ERR_NOT_FOUND, "%s has no such clip", motion_name(motion));
    struct motion_options options = read_options(L, 3);
    fiber_check(L);
    struct task *task = task_new(L);
    task->motion = motion_retain(motion);
    task->body = scene_retain(body);
    task->clip = (uint32_t)clip;
    task->options = options;
    return fiber_work(L, task, run_bind, push_bound, task_release);
}

/* -- Questions about motions ------------------------------------------------------------------- */

static int get_name(lua_State *L) {
    lua_pushstring(L, motion_name(check_motion(L, 1)));
    return 1;
}

static int get_format(lua_State *L) {
    lua_pushstring(L, motion_format(check_motion(L, 1)));
    return 1;
}

static void set_number(lua_State *L, const char *field, double value) {
    lua_pushnumber(L, value);
    lua_setfield(L, -2, field);
}

static int get_clips(lua_State *L) {
    const struct motion *motion = check_motion(L, 1);
    uint32_t count = motion_clip_count(motion);
    lua_createtable(L, (int)count, 0);
    for (uint32_t i = 0; i < count; i++) {
        lua_createtable(L, 0, 3);
        lua_pushstring(L, motion_clip_name(motion, i));
        lua_setfield(L, -2, "name");
        set_number(L, "seconds", motion_clip_seconds(motion, i));
        set_number(L, "rate", motion_clip_rate(motion, i));
        lua_rawseti(L, -2, (int)i + 1);
    }
    return 1;
}

static int get_bones(lua_State *L) {
    const struct motion *motion = check_motion(L, 1);
    lua_newtable(L);
    for (int bone = 0; bone < RIG_BONES; bone++) {
        lua_pushstring(L, motion_bone(motion, (enum rig_bone)bone));
        lua_setfield(L, -2, rig_bone_name(bone));
    }
    return 1;
}

static int motion_close(lua_State *L) {
    struct motion **handle = luaL_checkudata(L, 1, motion_type);
    motion_release(*handle);
    *handle = NULL;
    return 0;
}

static int motion_tostring(lua_State *L) {
    const struct motion *motion = *(struct motion **)luaL_checkudata(L, 1, motion_type);
    lua_pushfstring(L, "motion (%s)", motion != NULL ? motion_name(motion) : "closed");
    return 1;
}

/* -- Questions about bound motions ------------------------------------------------------------- */

static int bound_name(lua_State *L) {
    lua_pushstring(L, scene_motion_name(lua_motion_check(L, 1)));
    return 1;
}

static int bound_seconds(lua_State *L) {
    lua_pushnumber(L, scene_motion_seconds(lua_motion_check(L, 1)));
    return 1;
}

static int bound_rate(lua_State *L) {
    lua_pushnumber(L, scene_motion_rate(lua_motion_check(L, 1)));
    return 1;
}

static int bound_report(lua_State *L) {
    const struct scene_motion_report *report = scene_motion_report(lua_motion_check(L, 1));
    lua_createtable(L, 0, 6);
    set_number(L, "scale", report->scale);
    set_number(L, "floor", report->floor);
    set_number(L, "planted", report->planted);
    set_number(L, "sunk", report->sunk);
    set_number(L, "bones", report->bones);
    lua_newtable(L);
    for (int bone = 0, count = 0; bone < RIG_BONES; bone++) {
        if ((report->skipped >> bone & 1) == 0)
            continue;
        lua_pushstring(L, rig_bone_name(bone));
        lua_rawseti(L, -2, ++count);
    }
    lua_setfield(L, -2, "skipped");
    return 1;
}

static int bound_planted(lua_State *L) {
    static const char *const sides[] = {"left", "right", NULL};
    const struct scene_motion *bound = lua_motion_check(L, 1);
    int side = luaL_checkoption(L, 2, NULL, sides);
    lua_pushboolean(L, scene_motion_planted(bound, side, luaL_checknumber(L, 3)));
    return 1;
}

static void run_box(void *arg) {
    struct task *task = arg;
    task->rc = scene_motion_box(task->bound, task->box, &task->err);
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

static int bound_box(lua_State *L) {
    struct scene_motion *bound = lua_motion_check(L, 1);
    fiber_check(L);
    struct task *task = task_new(L);
    task->bound = scene_motion_retain(bound);
    return fiber_work(L, task, run_box, push_box, task_release);
}

static int bound_close(lua_State *L) {
    struct scene_motion **handle = luaL_checkudata(L, 1, bound_type);
    scene_motion_release(*handle);
    *handle = NULL;
    return 0;
}

static int bound_tostring(lua_State *L) {
    const struct scene_motion *bound = *(struct scene_motion **)luaL_checkudata(L, 1, bound_type);
    lua_pushfstring(L, "bound motion (%s)", bound != NULL ? scene_motion_name(bound) : "closed");
    return 1;
}

/* -- The module -------------------------------------------------------------------------------- */

static const luaL_Reg motion_meta[] = {
    {"__gc", motion_close}, {"__tostring", motion_tostring}, {NULL, NULL}};

static const luaL_Reg motion_methods[] = {{"name", get_name},      {"format", get_format},
                                          {"clips", get_clips},    {"bones", get_bones},
                                          {"close", motion_close}, {NULL, NULL}};

static const luaL_Reg motion_waiting[] = {{"bind", motion_bind}, {NULL, NULL}};

static const luaL_Reg bound_meta[] = {
    {"__gc", bound_close}, {"__tostring", bound_tostring}, {NULL, NULL}};

static const luaL_Reg bound_methods[] = {{"name", bound_name},
                                         {"seconds", bound_seconds},
                                         {"rate", bound_rate},
                                         {"report", bound_report},
                                         {"planted", bound_planted},
                                         {"close", bound_close},
                                         {NULL, NULL}};

static const luaL_Reg bound_waiting[] = {{"box", bound_box}, {NULL, NULL}};

static const luaL_Reg functions[] = {{"of", open_body}, {NULL, NULL}};

static const luaL_Reg waiting[] = {{"open", open_path}, {"open_bytes", open_bytes}, {NULL, NULL}};

int lua_open_motion(lua_State *L) {
    vm_new_type(L, motion_type, motion_methods, motion_meta);
    lua_getfield(L, -1, "__index");
    fiber_register(L, motion_waiting);
    lua_pop(L, 2);
    vm_new_type(L, bound_type, bound_methods, bound_meta);
    lua_getfield(L, -1, "__index");
    fiber_register(L, bound_waiting);
    lua_pop(L, 2);
    lua_newtable(L);
    luaL_register(L, NULL, functions);
    fiber_register(L, waiting);
    return 1;
}
