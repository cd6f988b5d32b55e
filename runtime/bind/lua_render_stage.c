/* lua_render_stage.c - the Lua type `stance.stage`: people with their movements under one look.
 *
 * A stage is made on a pool thread, since its look may have pictures to read. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bind/lua_motion.h"
#include "bind/lua_render.h"
#include "bind/lua_scene.h"
#include "media/motion.h"

static const char stage_type[] = "stance.stage";
static const float radians = 3.14159265f / 180;

struct task {
    struct stage_actor actors[GPU_MAX_ACTORS];
    uint32_t count;
    double rate;
    struct look *look; /* NULL: of the options */
    struct look_options look_options;
    struct stage *stage;
    int actor; /* whose box; -1: everybody's */
    double padding, time;
    bool at_time;
    float box[6];
    struct err err;
    int rc;
};

static void task_release(void *arg) {
    struct task *task = arg;
    for (uint32_t i = 0; i < task->count; i++) {
        free((void *)(uintptr_t)task->actors[i].morphs);
        scene_motion_release(task->actors[i].motion);
        scene_release(task->actors[i].scene);
    }
    look_release(task->look);
    stage_release(task->stage);
    free(task);
}

/* -- Making ------------------------------------------------------------------------------------ */

/* "body"; the scene is retained by the task. */
static void read_body(struct lua_fields *fields, int index, const char *path, struct task *task) {
    struct stage_actor *actor = &task->actors[task->count];
    lua_fields_push(fields->L, index, "body");
    struct scene *scene = lua_scene_at(fields->L, -1);
    lua_pop(fields->L, 1);
    if (scene == NULL) {
        lua_fields_fail(fields, ERR_INVALID, "%s.body must be a body of the module scene, open",
                        path);
        return;
    }
    actor->scene = scene_retain(scene);
    task->count++;
}

/* "motion": what motion:bind gave for this body. */
static void read_motion(struct lua_fields *fields, int index, const char *path,
                        struct stage_actor *actor) {
    lua_fields_push(fields->L, index, "motion");
    struct scene_motion *motion = lua_motion_at(fields->L, -1);
    if (motion != NULL && scene_motion_body(motion) == actor->scene)
        actor->motion = scene_motion_retain(motion);
    else if (motion != NULL)
        lua_fields_fail(fields, ERR_INVALID, "%s.motion is bound to another body", path);
    else if (!lua_isnil(fields->L, -1))
        lua_fields_fail(fields, ERR_INVALID, "%s.motion must be what motion:bind gave, open", path);
    lua_pop(fields->L, 1);
}

static uint32_t find_morph(const struct scene *scene, const char *name) {
    uint32_t morph = 0;
    while (morph < scene_morph_count(scene) && strcmp(scene_morph_name(scene, morph), name) != 0)
        morph++;
    return morph;
}

/* "morphs": {name = weight}. The task owns the weights. */
static void read_morphs(struct lua_fields *fields, int index, const char *path,
                        struct stage_actor *actor) {
    lua_State *L = fields->L;
    if (!lua_fields_open(fields, index, path, "morphs"))
        return;
    uint32_t count = scene_morph_count(actor->scene);
    float *weights = calloc(count + 1, sizeof *weights);
    actor->morphs = weights;
    if (weights == NULL) {
        lua_fields_fail(fields, ERR_NO_MEMORY, "no memory for morphs");
        lua_pop(L, 1);
        return;
    }
    for (lua_pushnil(L); lua_next(L, -2) != 0; lua_pop(L, 1)) {
        const char *name = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : "?";
        double weight = lua_tonumber(L, -1);
        uint32_t morph = find_morph(actor->scene, name);
        if (morph == count)
            lua_fields_fail(fields, ERR_NOT_FOUND, "%s.morphs: %s has no morph target %.60s", path,
                            scene_name(actor->scene), name);
        else if (!lua_isnumber(L, -1) || !(fabs(weight) <= 10))
            lua_fields_fail(fields, ERR_INVALID, "%s.morphs.%.60s must be a number from -10 to 10",
                            path, name);
        else
            weights[morph] = (float)weight;
        if (fields->rc != 0) {
            lua_pop(L, 2);
            break;
        }
    }
    lua_pop(L, 1);
}

/* The table is on top of the stack. */
static void read_actor(struct lua_fields *fields, uint32_t number, struct task *task) {
    struct stage_actor *actor = &task->actors[number];
    int index = lua_gettop(fields->L);
    char path[32];
    snprintf(path, sizeof path, "actors[%u]", number + 1);
    lua_fields_known(fields, index, path,
                     "body clip motion time speed loop position yaw morphs skinning person");
    read_body(fields, index, path, task);
    if (fields->rc != 0)
        return;
    actor->clip = lua_clip_read(fields, index, path, actor->scene);
    actor->start = lua_fields_number(fields, index, path, "time", -1e6, 1e6, 0);
    actor->speed = lua_fields_number(fields, index, path, "speed", -100, 100, 1);
    actor->loop = lua_fields_boolean(fields, index, path, "loop", false);
    actor->yaw = (float)lua_fields_number(fields, index, path, "yaw", -36e3, 36e3, 0) * radians;
    lua_fields_vector(fields, index, path, "position", actor->position, 3);
    actor->skinning = (enum gpu_skinning)lua_fields_choice(
        fields, index, path, "skinning", (const char *const[]){"linear", "dual_quaternion", NULL},
        GPU_SKIN_LINEAR);
    read_motion(fields, index, path, actor);
    read_morphs(fields, index, path, actor);
    const char *person = lua_fields_string(fields, index, path, "person", "");
    if (strlen(person) >= sizeof actor->person)
        lua_fields_fail(fields, ERR_INVALID, "%s.person has at most %zu bytes", path,
                        sizeof actor->person - 1);
    else
        memcpy(actor->person, person, strlen(person) + 1);
}

static void read_actors(struct lua_fields *fields, int index, struct task *task) {
    lua_State *L = fields->L;
    if (!lua_fields_open(fields, index, "stage", "actors")) {
        lua_fields_fail(fields, ERR_INVALID, "a stage needs actors, a list of { body = ... }");
        return;
    }
    size_t count = lua_objlen(L, -1);
    if (count > GPU_MAX_ACTORS)
        lua_fields_fail(fields, ERR_INVALID, "a stage has at most %d actors, not %zu",
                        GPU_MAX_ACTORS, count);
    for (uint32_t i = 0; fields->rc == 0 && i < count; i++) {
        lua_rawgeti(L, -1, (int)i + 1);
        if (lua_istable(L, -1))
            read_actor(fields, i, task);
        else
            lua_fields_fail(fields, ERR_INVALID, "actors[%u] must be a table with a body", i + 1);
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
}

/* "look": a look, or the table of one. */
static void read_look(struct lua_fields *fields, int index, struct task *task) {
    lua_State *L = fields->L;
    look_options_default(&task->look_options);
    lua_fields_push(L, index, "look");
    struct look *look = lua_look_at(L, -1);
    if (look != NULL)
        task->look = look_retain(look);
    else if (lua_istable(L, -1))
        lua_look_read(fields, lua_gettop(L), "look", &task->look_options);
    else if (!lua_isnil(L, -1))
        lua_fields_fail(fields, ERR_INVALID, "stage.look must be a table, or made by render.look");
    lua_pop(L, 1);
}

static void run_stage(void *arg) {
    struct task *task = arg;
    if (task->look == NULL)
        task->rc = look_new(&task->look_options, &task->look, &task->err);
    if (task->rc == 0)
        task->rc =
            stage_new(task->actors, task->count, task->look, task->rate, &task->stage, &task->err);
}

static int push_stage(lua_State *L, void *arg) {
    struct task *task = arg;
    if (task->rc != 0)
        return vm_fail(L, &task->err);
    struct stage **box = lua_newuserdata(L, sizeof *box);
    *box = task->stage;
    task->stage = NULL;
    luaL_getmetatable(L, stage_type);
    lua_setmetatable(L, -2);
    return 1;
}

static struct task *task_new(lua_State *L) {
    struct task *task = calloc(1, sizeof *task);
    if (task == NULL)
        luaL_error(L, "no memory for a stage");
    return task;
}

int lua_stage_new(lua_State *L) {
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    fiber_check(L);
    struct task *task = task_new(L);
    struct lua_fields fields = {.L = L};
    lua_fields_known(&fields, 1, "stage", "actors look fps");
    read_actors(&fields, 1, task);
    task->rate = lua_fields_number(&fields, 1, "stage", "fps", 0.01, 1000, 0);
    read_look(&fields, 1, task);
    if (fields.rc != 0) {
        task_release(task);
        return vm_fail(L, &fields.err);
    }
    return fiber_work(L, task, run_stage, push_stage, task_release);
}

/* -- Questions --------------------------------------------------------------------------------- */

struct stage *lua_stage_at(lua_State *L, int index) {
    struct stage **box = vm_userdata_at(L, index, stage_type);
    luaL_argcheck(L, box == NULL || *box != NULL, index, "the stage is closed");
    return box != NULL ? *box : NULL;
}

static struct stage *check_stage(lua_State *L) {
    luaL_checkudata(L, 1, stage_type);
    return lua_stage_at(L, 1);
}

static void set_number(lua_State *L, const char *field, double value) {
    lua_pushnumber(L, value);
    lua_setfield(L, -2, field);
}

static void push_numbers(lua_State *L, const float *values, int count) {
    lua_createtable(L, count, 0);
    for (int i = 0; i < count; i++) {
        lua_pushnumber(L, (double)values[i]);
        lua_rawseti(L, -2, i + 1);
    }
}

static int stage_actors(lua_State *L) {
    const struct stage *stage = check_stage(L);
    lua_createtable(L, (int)stage_actor_count(stage), 0);
    for (uint32_t i = 0; i < stage_actor_count(stage); i++) {
        const struct stage_actor *actor = stage_actor(stage, i);
        lua_createtable(L, 0, 6);
        lua_pushstring(L, actor->person);
        lua_setfield(L, -2, "person");
        lua_pushstring(L, scene_name(actor->scene));
        lua_setfield(L, -2, "character");
        lua_pushstring(L, stage_actor_clip(stage, i));
        lua_setfield(L, -2, "clip");
        push_numbers(L, actor->position, 3);
        lua_setfield(L, -2, "position");
        set_number(L, "yaw", (double)(actor->yaw / radians));
        lua_rawseti(L, -2, (int)i + 1);
    }
    return 1;
}

static int stage_seconds_method(lua_State *L) {
    lua_pushnumber(L, stage_seconds(check_stage(L)));
    return 1;
}

static int stage_fps(lua_State *L) {
    lua_pushnumber(L, stage_rate(check_stage(L)));
    return 1;
}

/* An actor's number from 1, or -1 where none is named. */
static int read_number(lua_State *L, const struct stage *stage, double number) {
    if (number == 0)
        return -1;
    if (!(number >= 1 && number <= stage_actor_count(stage)) || number != floor(number))
        luaL_error(L, "there is no actor %f: the stage has %d", number,
                   (int)stage_actor_count(stage));
    return (int)number - 1;
}

static int stage_point_method(lua_State *L) {
    const struct stage *stage = check_stage(L);
    const char *name = luaL_checkstring(L, 2);
    double time = luaL_optnumber(L, 3, 0), number = luaL_optnumber(L, 4, 1);
    float point[3];
    struct err err;
    if (!(number >= 1 && number <= stage_actor_count(stage)) || number != floor(number))
        return vm_failf(L, ERR_NOT_FOUND, "there is no actor %g: the stage has %u", number,
                        stage_actor_count(stage));
    if (stage_point(stage, (uint32_t)number - 1, name, time, point, &err) != 0)
        return vm_fail(L, &err);
    push_numbers(L, point, 3);
    return 1;
}

static void run_box(void *arg) {
    struct task *task = arg;
    task->rc = task->at_time
                   ? stage_box_at(task->stage, task->actor, task->time, task->box, &task->err)
                   : stage_box(task->stage, task->actor, task->padding, task->box, &task->err);
}

static int push_box(lua_State *L, void *arg) {
    struct task *task = arg;
    if (task->rc != 0)
        return vm_fail(L, &task->err);
    lua_createtable(L, 0, 2);
    push_numbers(L, task->box, 3);
    lua_setfield(L, -2, "min");
    push_numbers(L, task->box + 3, 3);
    lua_setfield(L, -2, "max");
    return 1;
}

static int stage_box_method(lua_State *L) {
    struct stage *stage = check_stage(L);
    double padding = 1, time = NAN, number = 0;
    if (!lua_isnoneornil(L, 2)) {
        luaL_checktype(L, 2, LUA_TTABLE);
        padding = vm_opt_number(L, 2, "padding", 1);
        time = vm_opt_number(L, 2, "time", NAN);
        number = vm_opt_number(L, 2, "actor", 0);
    }
    int actor = read_number(L, stage, number);
    if (!(padding >= 0 && padding <= 100))
        return luaL_error(L, "padding must be a number from 0 to 100");
    fiber_check(L);
    struct task *task = task_new(L);
    task->stage = stage_retain(stage);
    task->actor = actor;
    task->padding = padding;
    task->at_time = !isnan(time);
    task->time = time;
    return fiber_work(L, task, run_box, push_box, task_release);
}

/* -- Life -------------------------------------------------------------------------------------- */

static int stage_close(lua_State *L) {
    struct stage **box = luaL_checkudata(L, 1, stage_type);
    stage_release(*box);
    *box = NULL;
    return 0;
}

static int stage_tostring(lua_State *L) {
    struct stage **box = luaL_checkudata(L, 1, stage_type);
    if (*box == NULL)
        lua_pushliteral(L, "stage (closed)");
    else
        lua_pushfstring(L, "stage (%d actors)", (int)stage_actor_count(*box));
    return 1;
}

static const luaL_Reg methods[] = {
    {"actors", stage_actors}, {"seconds", stage_seconds_method},
    {"fps", stage_fps},       {"point", stage_point_method},
    {"close", stage_close},   {NULL, NULL},
};

static const luaL_Reg waiting[] = {
    {"box", stage_box_method},
    {NULL, NULL},
};

static const luaL_Reg meta[] = {
    {"__gc", stage_close},
    {"__tostring", stage_tostring},
    {NULL, NULL},
};

void lua_stage_open(lua_State *L) {
    vm_new_type(L, stage_type, methods, meta);
    lua_getfield(L, -1, "__index");
    fiber_register(L, waiting);
    lua_pop(L, 2);
}
