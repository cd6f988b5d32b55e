/* lua_pose.c - the Lua module `pose`: people in pictures and in streams of pictures.
 *
 * The work is done by pose processes (media/pose_pool.h); here a fiber waits for their answer. The
 * pools belong to the process, not to a vm: generations share them. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bind/lua_image.h"
#include "bind/lua_pose.h"
#include "bind/modules.h"
#include "core/config.h"
#include "media/image.h"
#include "media/pose_models.h"
#include "media/pose_pool.h"

static const double longest_time = 1e12; /* seconds: beyond, a whole batch would be refused */
static const char engine_type[] = "stance.pose.engine", session_type[] = "stance.pose.session";

struct engine {
    struct pose_pool *pool;
    struct gpu_pose_options options;
};

/* A track, which its Lua value and the fibers that push to it share. */
struct session {
    unsigned references;
    unsigned long long pushed;
    struct pose_track *track;
};

/* A fiber that waits for a process, or for what is in a picture. */
struct look {
    struct wait wait;
    struct pose_call *call; /* NULL: over */
    struct engine engine;
    struct session *session; /* NULL: no track's */
    unsigned long long number;
    double time;
    struct err err;
    struct pose_found found;
};

void lua_pose_free_pools(struct services *services) {
    pose_pools_free(services->pose);
    services->pose = NULL;
}

static struct pose_pools *the_pools(lua_State *L, struct err *err) {
    struct services *services = services_of(L);
    if (services->pose != NULL)
        return services->pose;
    struct pose_pools_options options = {
        .program = services->program,
        .processes = (unsigned)config_int(services->config, "pose_processes"),
        .timeout = config_number(services->config, "pose_timeout"),
        .idle = config_number(services->config, "pose_idle"),
    };
    /* There are as many workers as cores. */
    if (options.processes == 0 && strcmp(services->role, "worker") == 0)
        options.processes = 1;
    pose_pools_new(services->loop, &options, &services->pose, err);
    return services->pose;
}

/* -- Options ----------------------------------------------------------------------------------- */

static const char *const engine_fields[] = {"model",         "backend",      "people",
                                            "min_detection", "min_tracking", "smooth",
                                            "sane_reset",    "redetect",     NULL};

/* A table of options, or nothing; a name that is none of `fields` raises. */
static void check_table(lua_State *L, int index, const char *const *fields) {
    if (lua_isnoneornil(L, index)) {
        lua_settop(L, index - 1);
        lua_newtable(L);
    }
    luaL_checktype(L, index, LUA_TTABLE);
    for (lua_pushnil(L); lua_next(L, index) != 0; lua_pop(L, 1)) {
        const char *name = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : "";
        const char *const *field = fields;
        while (*field != NULL && strcmp(*field, name) != 0)
            field++;
        if (*field == NULL)
            luaL_error(L, "no option '%s'", name);
    }
}

static float confidence(lua_State *L, int index, const char *field, float otherwise) {
    double value = vm_opt_number(L, index, field, (double)otherwise);
    if (!(value >= 0 && value <= 1))
        luaL_error(L, "option '%s' must be 0 to 1", field);
    return (float)value;
}

static void read_options(lua_State *L, int index, struct gpu_pose_options *options) {
    double people = vm_opt_number(L, index, "people", options->people);
    if (!(people >= 1 && people <= GPU_POSE_MAX_PEOPLE && people == floor(people)))
        luaL_error(L, "option 'people' must be a whole number from 1 to %d", GPU_POSE_MAX_PEOPLE);
    options->people = (uint32_t)people;
    options->min_detection = confidence(L, index, "min_detection", options->min_detection);
    options->min_tracking = confidence(L, index, "min_tracking", options->min_tracking);
    options->smooth = vm_opt_boolean(L, index, "smooth", options->smooth);
    options->sane_reset = vm_opt_boolean(L, index, "sane_reset", options->sane_reset);
    options->redetect = vm_opt_number(L, index, "redetect", options->redetect);
    if (!(options->redetect > 0 && options->redetect < 1e6))
        luaL_error(L, "option 'redetect' must be seconds, more than 0");
}

static const char *choose(lua_State *L, const char *field, const char *otherwise,
                          const char *const *names) {
    const char *given = vm_opt_string(L, 1, field, otherwise);
    for (const char *const *name = names; *name != NULL; name++)
        if (strcmp(*name, given) == 0)
            return *name;
    luaL_error(L, "option '%s' must not be '%s'", field, given);
    return NULL;
}

/* The bytes or pixels at `index` of the stack; they stay Lua's. */
static void check_picture(lua_State *L, int index, struct pose_picture *picture) {
    *picture = (struct pose_picture){0};
    const struct image *image = lua_image_at(L, index);
    if (image != NULL)
        *picture = (struct pose_picture){.bytes = image->rgba,
                                         .size = (size_t)image->width * image->height * 4,
                                         .width = image->width,
                                         .height = image->height,
                                         .channels = 4};
    else if (lua_type(L, index) == LUA_TSTRING)
        picture->bytes = lua_tolstring(L, index, &picture->size);
    else
        luaL_argerror(L, index, "must be an image, or the bytes of a JPEG, PNG or WebP file");
}

/* -- Results ----------------------------------------------------------------------------------- */

static void set_number(lua_State *L, const char *name, double value) {
    lua_pushnumber(L, value);
    lua_setfield(L, -2, name);
}

/* To a millionth: a micrometre of the world, a hundredth of a pixel. JSON gets a third shorter. */
static void set_rounded(lua_State *L, const char *name, float value) {
    set_number(L, name, round((double)value * 1e6) / 1e6);
}

static void push_list(lua_State *L, uint32_t count) {
    lua_createtable(L, (int)count, 0);
    luaL_getmetatable(L, "stance.json.array"); /* so that an empty one is written as a list */
    lua_setmetatable(L, -2);
}

static void push_points(lua_State *L, const float points[GPU_POSE_LANDMARKS][4]) {
    lua_createtable(L, GPU_POSE_LANDMARKS, 0);
    for (int i = 0; i < GPU_POSE_LANDMARKS; i++) {
        lua_createtable(L, 0, 4);
        set_rounded(L, "x", points[i][0]);
        set_rounded(L, "y", points[i][1]);
        set_rounded(L, "z", points[i][2]);
        set_rounded(L, "visibility", points[i][3]);
        lua_rawseti(L, -2, i + 1);
    }
}

static void push_person(lua_State *L, const struct gpu_pose_person *person) {
    lua_createtable(L, 0, 5);
    lua_pushinteger(L, (lua_Integer)person->id);
    lua_setfield(L, -2, "id");
    set_rounded(L, "score", person->score);
    push_points(L, person->landmarks);
    lua_setfield(L, -2, "landmarks");
    push_points(L, person->world);
    lua_setfield(L, -2, "world");
    lua_createtable(L, 0, 4);
    set_rounded(L, "x", person->roi[0]);
    set_rounded(L, "y", person->roi[1]);
    set_rounded(L, "size", person->roi[2]);
    set_rounded(L, "rotation", person->roi[3]);
    lua_setfield(L, -2, "roi");
}

static void push_found(lua_State *L, const struct pose_found *found) {
    const struct gpu_pose_people *people = &found->people;
    lua_createtable(L, 0, 8);
    lua_pushliteral(L, "pose_v1");
    lua_setfield(L, -2, "schema");
    lua_pushboolean(L, people->detected);
    lua_setfield(L, -2, "detected");
    lua_createtable(L, 0, 2);
    set_number(L, "width", found->width);
    set_number(L, "height", found->height);
    lua_setfield(L, -2, "image");
    push_list(L, people->count);
    for (uint32_t i = 0; i < people->count; i++) {
        push_person(L, &people->person[i]);
        if (people->count == 1) {
            lua_getfield(L, -1, "landmarks");
            lua_setfield(L, -4, "landmarks");
        }
        lua_rawseti(L, -2, (int)i + 1);
    }
    lua_setfield(L, -2, "people");
}

/* -- Waiting ----------------------------------------------------------------------------------- */

static void session_release(struct session *session) {
    if (session == NULL || --session->references > 0)
        return;
    pose_track_free(session->track);
    free(session);
}

static void on_answer(const struct err *err, const struct pose_found *found, void *arg) {
    struct look *look = arg;
    look->call = NULL;
    if (err != NULL)
        look->err = *err;
    else if (found != NULL)
        look->found = *found;
    wait_finish(&look->wait);
}

static void look_cancel(struct wait *wait) {
    struct look *look = (struct look *)wait;
    if (look->call != NULL)
        pose_call_cancel(look->call);
    look->call = NULL;
}

static void look_free(struct wait *wait) {
    struct look *look = (struct look *)wait;
    session_release(look->session);
    free(look);
}

static int push_engine(lua_State *L, const struct engine *made) {
    struct engine *engine = lua_newuserdata(L, sizeof *engine);
    *engine = *made;
    luaL_getmetatable(L, engine_type);
    lua_setmetatable(L, -2);
    return 1;
}

static int engine_push(lua_State *L, struct wait *wait) {
    struct look *look = (struct look *)wait;
    return look->err.code != 0 ? vm_fail(L, &look->err) : push_engine(L, &look->engine);
}

static int look_push(lua_State *L, struct wait *wait) {
    struct look *look = (struct look *)wait;
    if (look->err.code != 0)
        return vm_fail(L, &look->err);
    push_found(L, &look->found);
    if (look->session != NULL) {
        set_number(L, "seq", (double)look->number);
        set_number(L, "t_capture_ms", look->time * 1000);
        lua_pushboolean(L, look->found.reset);
        lua_setfield(L, -2, "reset");
    }
    return 1;
}

static const struct wait_ops engine_ops = {engine_push, look_cancel, look_free};
static const struct wait_ops look_ops = {look_push, look_cancel, look_free};

static struct look *look_new(void) {
    return calloc(1, sizeof(struct look));
}

static int fail_memory(lua_State *L) {
    return vm_failf(L, ERR_NO_MEMORY, "out of memory");
}

/* `code` is what asking the pool returned. */
static int begin(lua_State *L, struct look *look, int code, const struct err *err,
                 const struct wait_ops *ops) {
    if (code == 0)
        return wait_begin(L, &look->wait, ops);
    look_free(&look->wait);
    return vm_fail(L, err);
}

/* -- Engines ----------------------------------------------------------------------------------- */

/* pose.engine{model=, backend=, people=, ...} -> engine | nil, err */
static int pose_engine(lua_State *L) {
    static const char *const backends[] = {"auto", "cpu", "cuda", NULL};
    lua_settop(L, 1);
    check_table(L, 1, engine_fields);
    struct engine engine;
    gpu_pose_options_default(&engine.options);
    read_options(L, 1, &engine.options);
    const char *model = choose(L, "model", "full", pose_model_names);
    const char *backend = choose(L, "backend", "auto", backends);
    fiber_check(L);
    struct err err;
    struct pose_call *call;
    if (pose_models_find(model, &err) != 0) /* without a process that would only say so */
        return vm_fail(L, &err);
    struct pose_pools *pools = the_pools(L, &err);
    if (pools == NULL || pose_pools_get(pools, model, backend, &engine.pool, &err) != 0)
        return vm_fail(L, &err);
    struct look *look = look_new();
    if (look == NULL)
        return fail_memory(L);
    look->engine = engine;
    int code = pose_pool_start(engine.pool, on_answer, look, &call, &err);
    if (code == 0 && call == NULL) { /* a process is there */
        look_free(&look->wait);
        return push_engine(L, &engine);
    }
    look->call = call;
    return begin(L, look, code, &err, &engine_ops);
}

static struct engine *check_engine(lua_State *L) {
    return luaL_checkudata(L, 1, engine_type);
}

/* engine:detect(image) -> pose_v1 | nil, err */
static int engine_detect(lua_State *L) {
    const struct engine *engine = check_engine(L);
    struct pose_picture picture;
    struct err err;
    check_picture(L, 2, &picture);
    fiber_check(L);
    struct look *look = look_new();
    if (look == NULL)
        return fail_memory(L);
    int code = pose_pool_detect(engine->pool, &engine->options, &picture, on_answer, look,
                                &look->call, &err);
    return begin(L, look, code, &err, &look_ops);
}

/* engine:track{people=, smooth=, ...} -> session | nil, err */
static int engine_track(lua_State *L) {
    const struct engine *engine = check_engine(L);
    struct gpu_pose_options options = engine->options;
    lua_settop(L, 2);
    check_table(L, 2, engine_fields + 2);
    read_options(L, 2, &options);
    struct session **box = lua_newuserdata(L, sizeof *box);
    *box = NULL;
    luaL_getmetatable(L, session_type);
    lua_setmetatable(L, -2);
    struct session *session = *box = calloc(1, sizeof *session);
    if (session == NULL)
        return fail_memory(L);
    session->references = 1;
    session->track = pose_track_new(engine->pool, &options);
    return session->track ? 1 : fail_memory(L);
}

/* engine:info() -> {model=, backend=, processes=, ...} */
static int engine_info(lua_State *L) {
    struct pose_pool_view view;
    pose_pool_look(check_engine(L)->pool, &view);
    lua_createtable(L, 0, 7);
    lua_pushstring(L, view.model);
    lua_setfield(L, -2, "model");
    lua_pushstring(L, view.backend);
    lua_setfield(L, -2, "backend");
    set_number(L, "processes", view.ready);
    set_number(L, "sessions", view.tracks);
    set_number(L, "waiting", (double)view.waiting);
    set_number(L, "resident", view.resident);
    push_list(L, view.pid_count);
    for (unsigned i = 0; i < view.pid_count; i++) {
        lua_pushinteger(L, view.pids[i]);
        lua_rawseti(L, -2, (int)i + 1);
    }
    lua_setfield(L, -2, "pids");
    return 1;
}

static int engine_tostring(lua_State *L) {
    struct pose_pool_view view;
    pose_pool_look(check_engine(L)->pool, &view);
    lua_pushfstring(L, "pose engine (%s, %s)", view.model, view.backend);
    return 1;
}

/* -- Sessions ---------------------------------------------------------------------------------- */

static struct session *check_session(lua_State *L) {
    struct session *session = *(struct session **)luaL_checkudata(L, 1, session_type);
    luaL_argcheck(L, session != NULL, 1, "the session is closed");
    return session;
}

/* session:push(image, seconds) -> pose_v1 | nil, err */
static int session_push(lua_State *L) {
    struct session *session = check_session(L);
    struct pose_picture picture;
    struct err err;
    check_picture(L, 2, &picture);
    double time = luaL_checknumber(L, 3);
    luaL_argcheck(L, fabs(time) < longest_time, 3, "must be a time in seconds");
    fiber_check(L);
    struct look *look = look_new();
    if (look == NULL)
        return fail_memory(L);
    look->session = session;
    session->references++;
    look->time = time;
    int code = pose_track_push(session->track, time, &picture, on_answer, look, &look->call, &err);
    if (code == 0)
        look->number = ++session->pushed;
    return begin(L, look, code, &err, &look_ops);
}

/* session:close(), and the collection. What is being looked at is still answered. */
static int session_close(lua_State *L) {
    struct session **box = luaL_checkudata(L, 1, session_type);
    session_release(*box);
    *box = NULL;
    return 0;
}

static int session_tostring(lua_State *L) {
    struct session *session = *(struct session **)luaL_checkudata(L, 1, session_type);
    if (session == NULL)
        lua_pushliteral(L, "pose session (closed)");
    else
        lua_pushfstring(L, "pose session (%d pictures)", (int)session->pushed);
    return 1;
}

/* -- The module -------------------------------------------------------------------------------- */

/* pose.models() -> { {name=, ready=, missing=}, ... } */
static int pose_models(lua_State *L) {
    lua_newtable(L);
    for (int i = 0; pose_model_names[i] != NULL; i++) {
        struct err err;
        lua_createtable(L, 0, 3);
        lua_pushstring(L, pose_model_names[i]);
        lua_setfield(L, -2, "name");
        bool is_there = pose_models_find(pose_model_names[i], &err) == 0;
        lua_pushboolean(L, is_there);
        lua_setfield(L, -2, "ready");
        if (!is_there) {
            lua_pushstring(L, err.message);
            lua_setfield(L, -2, "missing");
        }
        lua_rawseti(L, -2, i + 1);
    }
    return 1;
}

static void open_type(lua_State *L, const char *name, const luaL_Reg *waits,
                      const luaL_Reg *methods, const luaL_Reg *meta) {
    vm_new_type(L, name, methods, meta);
    lua_getfield(L, -1, "__index");
    fiber_register(L, waits);
    lua_pop(L, 2);
}

int lua_open_pose(lua_State *L) {
    static const luaL_Reg engine_waits[] = {{"detect", engine_detect}, {NULL, NULL}};
    static const luaL_Reg engine_methods[] = {
        {"track", engine_track}, {"info", engine_info}, {NULL, NULL}};
    static const luaL_Reg engine_meta[] = {{"__tostring", engine_tostring}, {NULL, NULL}};
    static const luaL_Reg session_waits[] = {{"push", session_push}, {NULL, NULL}};
    static const luaL_Reg session_methods[] = {{"close", session_close}, {NULL, NULL}};
    static const luaL_Reg session_meta[] = {
        {"__gc", session_close}, {"__tostring", session_tostring}, {NULL, NULL}};
    static const luaL_Reg waits[] = {{"engine", pose_engine}, {NULL, NULL}};
    static const luaL_Reg functions[] = {{"models", pose_models}, {NULL, NULL}};
    lua_getglobal(L, "require"); /* json: marks lists */
    lua_pushliteral(L, "json");
    lua_call(L, 1, 0);
    open_type(L, engine_type, engine_waits, engine_methods, engine_meta);
    open_type(L, session_type, session_waits, session_methods, session_meta);
    lua_newtable(L);
    luaL_register(L, NULL, functions);
    fiber_register(L, waits);
    return 1;
}
