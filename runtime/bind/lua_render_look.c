/* lua_render_look.c - the Lua type `stance.look`: light and camera, from a table.
 *
 * Directions are told as those of cameras: azimuth in degrees from the front (+z) to a body's
 * right, elevation from the horizon up. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bind/lua_render.h"

static const char look_type[] = "stance.look";
static const double radians = 3.14159265358979 / 180;

/* -- Options ----------------------------------------------------------------------------------- */

static void scale(float color[3], double factor) {
    for (int c = 0; c < 3; c++)
        color[c] *= (float)factor;
}

static double brightest(const float color[3]) {
    return (double)fmaxf(color[0], fmaxf(color[1], color[2]));
}

/* Whether the field is `false`: this part of the look is to be missing. */
static bool is_off(struct lua_fields *fields, int index, const char *field) {
    lua_fields_push(fields->L, index, field);
    bool off = lua_isboolean(fields->L, -1) && !lua_toboolean(fields->L, -1);
    lua_pop(fields->L, 1);
    return off;
}

static void read_sun(struct lua_fields *fields, int index, struct gpu_lighting *lighting) {
    static const char path[] = "look.sun";
    float *direction = lighting->sun_direction, *color = lighting->sun_color;
    double flat = hypot((double)direction[0], (double)direction[2]);
    double strength = brightest(color);
    if (is_off(fields, index, "sun")) {
        memset(lighting->sun_color, 0, sizeof lighting->sun_color);
        return;
    }
    if (!lua_fields_open(fields, index, "look", "sun"))
        return;
    int sun = lua_gettop(fields->L);
    lua_fields_known(fields, sun, path, "elevation azimuth strength color softness");
    double elevation = lua_fields_number(fields, sun, path, "elevation", -90, 90,
                                         atan2((double)direction[1], flat) / radians);
    double azimuth =
        lua_fields_number(fields, sun, path, "azimuth", -36e3, 36e3,
                          atan2(-(double)direction[0], (double)direction[2]) / radians);
    if (!lua_fields_color(fields, sun, path, "color", color))
        scale(color, 1 / strength);
    scale(color, lua_fields_number(fields, sun, path, "strength", 0, 1000, strength));
    lighting->shadow_softness = (float)lua_fields_number(fields, sun, path, "softness", 0, 10,
                                                         (double)lighting->shadow_softness);
    direction[0] = (float)(-sin(azimuth * radians) * cos(elevation * radians));
    direction[1] = (float)sin(elevation * radians);
    direction[2] = (float)(cos(azimuth * radians) * cos(elevation * radians));
    lua_pop(fields->L, 1);
}

static void read_sky(struct lua_fields *fields, int index, struct gpu_lighting *lighting) {
    static const char path[] = "look.sky";
    if (is_off(fields, index, "sky")) {
        memset(lighting->sky_color, 0, sizeof lighting->sky_color);
        memset(lighting->bounce_color, 0, sizeof lighting->bounce_color);
        memset(lighting->background_top, 0, sizeof lighting->background_top);
        memset(lighting->background_bottom, 0, sizeof lighting->background_bottom);
        return;
    }
    if (!lua_fields_open(fields, index, "look", "sky"))
        return;
    int sky = lua_gettop(fields->L);
    lua_fields_known(fields, sky, path, "color bounce strength top bottom");
    lua_fields_color(fields, sky, path, "color", lighting->sky_color);
    lua_fields_color(fields, sky, path, "bounce", lighting->bounce_color);
    lua_fields_color(fields, sky, path, "top", lighting->background_top);
    lua_fields_color(fields, sky, path, "bottom", lighting->background_bottom);
    double strength = lua_fields_number(fields, sky, path, "strength", 0, 1000, 1);
    scale(lighting->sky_color, strength);
    scale(lighting->bounce_color, strength);
    lua_pop(fields->L, 1);
}

static void read_ground(struct lua_fields *fields, int index, struct gpu_lighting *lighting) {
    static const char path[] = "look.ground";
    if (is_off(fields, index, "ground")) {
        lighting->ground = false;
        return;
    }
    if (!lua_fields_open(fields, index, "look", "ground"))
        return;
    int ground = lua_gettop(fields->L);
    lua_fields_known(fields, ground, path, "color height");
    lua_fields_color(fields, ground, path, "color", lighting->ground_color);
    lighting->ground_y = (float)lua_fields_number(fields, ground, path, "height", -1e3, 1e3, 0);
    lighting->ground = true;
    lua_pop(fields->L, 1);
}

/* A spot's cone: "spot": {target or direction, angle, blend}; angles are whole ones. */
static void read_spot(struct lua_fields *fields, int index, const char *path,
                      struct gpu_light *light) {
    char inner[48];
    float target[3];
    if (!lua_fields_open(fields, index, path, "spot"))
        return;
    int spot = lua_gettop(fields->L);
    snprintf(inner, sizeof inner, "%s.spot", path);
    lua_fields_known(fields, spot, inner, "target direction angle blend");
    if (lua_fields_vector(fields, spot, inner, "target", target, 3))
        for (int k = 0; k < 3; k++)
            light->direction[k] = target[k] - light->position[k];
    else if (!lua_fields_vector(fields, spot, inner, "direction", light->direction, 3))
        lua_fields_fail(fields, ERR_INVALID, "%s needs a target or a direction {x, y, z}", inner);
    double angle = lua_fields_number(fields, spot, inner, "angle", 1, 179, 45);
    light->cone = (float)(angle / 2 * radians);
    light->blend = (float)lua_fields_number(fields, spot, inner, "blend", 0, 1, 0.2);
    lua_pop(fields->L, 1);
}

static void read_light(struct lua_fields *fields, uint32_t number, struct gpu_light *light) {
    int index = lua_gettop(fields->L);
    char path[32];
    snprintf(path, sizeof path, "look.lights[%u]", number + 1);
    *light = (struct gpu_light){.direction = {0, -1, 0}, .color = {1, 1, 1}, .cone = 3.14159265f};
    lua_fields_known(fields, index, path, "position color strength radius spot");
    if (!lua_fields_vector(fields, index, path, "position", light->position, 3))
        lua_fields_fail(fields, ERR_INVALID, "%s needs a position {x, y, z} in metres", path);
    lua_fields_color(fields, index, path, "color", light->color);
    scale(light->color, lua_fields_number(fields, index, path, "strength", 0, 1e5, 1));
    light->radius = (float)lua_fields_number(fields, index, path, "radius", 0, 10, 0.05);
    read_spot(fields, index, path, light);
}

static void read_lights(struct lua_fields *fields, int index, struct gpu_lighting *lighting) {
    lua_State *L = fields->L;
    if (!lua_fields_open(fields, index, "look", "lights"))
        return;
    size_t count = lua_objlen(L, -1);
    if (count > GPU_MAX_LIGHTS)
        lua_fields_fail(fields, ERR_INVALID, "look.lights may have %d, not %zu", GPU_MAX_LIGHTS,
                        count);
    for (uint32_t i = 0; fields->rc == 0 && i < count; i++) {
        lua_rawgeti(L, -1, (int)i + 1);
        if (lua_istable(L, -1))
            read_light(fields, i, &lighting->lights[i]);
        else
            lua_fields_fail(fields, ERR_INVALID, "look.lights[%u] must be a table", i + 1);
        lua_pop(L, 1);
    }
    lighting->light_count = (uint32_t)count;
    lua_pop(L, 1);
}

static void read_path(struct lua_fields *fields, int index, const char *path, const char *field,
                      char out[LOOK_PATH_SIZE]) {
    const char *text = lua_fields_string(fields, index, path, field, "");
    if (strlen(text) >= LOOK_PATH_SIZE)
        lua_fields_fail(fields, ERR_INVALID, "%s.%s has at most %d bytes", path, field,
                        LOOK_PATH_SIZE - 1);
    else
        memcpy(out, text, strlen(text) + 1);
}

/* "environment": a file, or {file, turn, strength, visible}. */
static void read_environment(struct lua_fields *fields, int index, struct look_options *options) {
    static const char path[] = "look.environment";
    struct gpu_lighting *lighting = &options->lighting;
    lighting->environment_strength = 1;
    lighting->environment_visible = true;
    lua_fields_push(fields->L, index, "environment");
    bool is_file = lua_type(fields->L, -1) == LUA_TSTRING;
    lua_pop(fields->L, 1);
    if (is_file) {
        read_path(fields, index, "look", "environment", options->environment);
        return;
    }
    if (!lua_fields_open(fields, index, "look", "environment"))
        return;
    int environment = lua_gettop(fields->L);
    lua_fields_known(fields, environment, path, "file turn strength visible");
    read_path(fields, environment, path, "file", options->environment);
    if (options->environment[0] == '\0')
        lua_fields_fail(fields, ERR_INVALID, "%s needs a file", path);
    lighting->environment_turn =
        (float)(lua_fields_number(fields, environment, path, "turn", -36e3, 36e3, 0) * radians);
    lighting->environment_strength =
        (float)lua_fields_number(fields, environment, path, "strength", 0, 1000, 1);
    lighting->environment_visible = lua_fields_boolean(fields, environment, path, "visible", true);
    lua_pop(fields->L, 1);
}

static void read_sensor(struct lua_fields *fields, int index, struct gpu_sensor *sensor) {
    static const char path[] = "look.sensor";
    if (!lua_fields_open(fields, index, "look", "sensor"))
        return;
    int table = lua_gettop(fields->L);
    lua_fields_known(fields, table, path, "noise read_noise seed");
    sensor->shot_noise = (float)lua_fields_number(fields, table, path, "noise", 0, 1, 0);
    sensor->read_noise = (float)lua_fields_number(fields, table, path, "read_noise", 0, 1,
                                                  (double)sensor->shot_noise / 4);
    sensor->seed = (uint64_t)lua_fields_number(fields, table, path, "seed", 0, 9007199254740992, 0);
    lua_pop(fields->L, 1);
}

void lua_look_read(struct lua_fields *fields, int index, const char *path,
                   struct look_options *options) {
    static const char *const tones[] = {"soft", "filmic", "none", NULL};
    struct gpu_lighting *lighting = &options->lighting;
    look_options_default(options);
    lua_fields_known(fields, index, path,
                     "sun sky ground lights environment background occlusion exposure tone sensor "
                     "jpeg");
    read_sun(fields, index, lighting);
    read_sky(fields, index, lighting);
    read_ground(fields, index, lighting);
    read_lights(fields, index, lighting);
    read_environment(fields, index, options);
    read_path(fields, index, path, "background", options->background);
    read_sensor(fields, index, &options->sensor);
    lighting->tone =
        (enum gpu_tone)lua_fields_choice(fields, index, path, "tone", tones, (int)lighting->tone);
    lighting->occlusion = (float)lua_fields_number(fields, index, path, "occlusion", 0, 1,
                                                   (double)lighting->occlusion);
    lighting->exposure = (float)lua_fields_number(fields, index, path, "exposure", 0, 1000,
                                                  (double)lighting->exposure);
    options->jpeg = (int)lua_fields_number(fields, index, path, "jpeg", 1, 100, 0);
}

/* -- The type ---------------------------------------------------------------------------------- */

struct task {
    struct look_options options;
    struct look *look;
    struct err err;
    int rc;
};

static void run_look(void *arg) {
    struct task *task = arg;
    task->rc = look_new(&task->options, &task->look, &task->err);
}

static int push_look(lua_State *L, void *arg) {
    struct task *task = arg;
    if (task->rc != 0)
        return vm_fail(L, &task->err);
    struct look **box = lua_newuserdata(L, sizeof *box);
    *box = task->look;
    task->look = NULL;
    luaL_getmetatable(L, look_type);
    lua_setmetatable(L, -2);
    return 1;
}

static void task_release(void *arg) {
    struct task *task = arg;
    look_release(task->look);
    free(task);
}

int lua_look_new(lua_State *L) {
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    fiber_check(L);
    struct task *task = calloc(1, sizeof *task);
    if (task == NULL)
        return vm_failf(L, ERR_NO_MEMORY, "no memory for a look");
    struct lua_fields fields = {.L = L};
    lua_look_read(&fields, 1, "look", &task->options);
    if (fields.rc != 0) {
        task_release(task);
        return vm_fail(L, &fields.err);
    }
    return fiber_work(L, task, run_look, push_look, task_release);
}

struct look *lua_look_at(lua_State *L, int index) {
    struct look **box = vm_userdata_at(L, index, look_type);
    return box != NULL ? *box : NULL;
}

static int look_gc(lua_State *L) {
    struct look **box = luaL_checkudata(L, 1, look_type);
    look_release(*box);
    *box = NULL;
    return 0;
}

static int look_tostring(lua_State *L) {
    luaL_checkudata(L, 1, look_type);
    lua_pushliteral(L, "look");
    return 1;
}

static const luaL_Reg no_methods[] = {{NULL, NULL}};

static const luaL_Reg meta[] = {
    {"__gc", look_gc},
    {"__tostring", look_tostring},
    {NULL, NULL},
};

void lua_look_open(lua_State *L) {
    vm_new_type(L, look_type, no_methods, meta);
    lua_pop(L, 1);
}
