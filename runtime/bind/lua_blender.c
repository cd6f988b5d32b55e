/* lua_blender.c - the Lua module `blender`: the views of the module `render`, drawn by Blender.
 *
 * What Blender needs is written on a pool thread, and there its pictures are waited for; the
 * process starts on the loop thread, for it dies with the thread that starts it. A run is counted,
 * since that work may outlast both the Lua value and its fiber; closing it kills the process, and
 * so ends the work. */
#include <stdlib.h>
#include <string.h>

#include "bind/lua_render.h"
#include "core/config.h"
#include "media/blender.h"
#include "media/blender_views.h"

static const char run_type[] = "stance.blender_run";

enum { FILES_MAX = 64 };

/* Counted on the loop thread. */
struct run {
    unsigned references;
    bool busy;
    struct blender *blender;
};

static void run_release(struct run *run) {
    if (--run->references > 0)
        return;
    blender_free(run->blender);
    free(run);
}

static struct run **check_box(lua_State *L) {
    return luaL_checkudata(L, 1, run_type);
}

/* Also a run that another fiber waits for at this moment: it is told that it was stopped. */
static int run_close(lua_State *L) {
    struct run **box = check_box(L);
    if (*box != NULL) {
        blender_stop((*box)->blender);
        run_release(*box);
    }
    *box = NULL;
    return 0;
}

/* -- Opening ----------------------------------------------------------------------------------- */

struct opening {
    struct views *views;
    char *texts[4]; /* of the job */
    struct blender_job job;
    struct blender_file files[FILES_MAX];
    uint32_t file_count;
    struct blender *blender;
    struct err err;
    int rc;
};

static void opening_release(void *arg) {
    struct opening *opening = arg;
    blender_free(opening->blender);
    views_release(opening->views);
    for (size_t i = 0; i < sizeof opening->texts / sizeof *opening->texts; i++)
        free(opening->texts[i]);
    for (uint32_t i = 0; i < opening->file_count; i++) {
        free((char *)(uintptr_t)opening->files[i].path);
        free((void *)(uintptr_t)opening->files[i].bytes);
    }
    free(opening);
}

static void run_open(void *arg) {
    struct opening *opening = arg;
    opening->rc = blender_views_new(opening->views, &opening->job, opening->files,
                                    opening->file_count, &opening->blender, &opening->err);
}

static int push_run(lua_State *L, void *arg) {
    struct opening *opening = arg;
    if (opening->rc != 0)
        return vm_fail(L, &opening->err);
    struct run **box = lua_newuserdata(L, sizeof *box);
    *box = NULL;
    luaL_getmetatable(L, run_type);
    lua_setmetatable(L, -2);
    struct run *run = calloc(1, sizeof *run);
    if (run == NULL)
        return vm_failf(L, ERR_NO_MEMORY, "no memory to run Blender");
    run->references = 1;
    run->blender = opening->blender;
    opening->blender = NULL;
    *box = run;
    return blender_start(run->blender, &opening->err) == 0 ? 1 : vm_fail(L, &opening->err);
}

/* "files": a path each, or {glb = bytes}. Returns what is wrong with them, or NULL. */
static const char *read_files(lua_State *L, int index, struct opening *opening) {
    lua_getfield(L, index, "files");
    size_t count = lua_istable(L, -1) ? lua_objlen(L, -1) : 0;
    if (count < 1 || count > FILES_MAX)
        return "files: a list with the file of each body";
    for (size_t i = 0; i < count; i++) {
        struct blender_file *file = &opening->files[i];
        size_t size = 0;
        lua_rawgeti(L, -1, (int)i + 1);
        if (lua_istable(L, -1)) {
            lua_getfield(L, -1, "glb");
            const char *bytes = lua_tolstring(L, -1, &size);
            file->bytes = bytes != NULL ? malloc(size + 1) : NULL;
            file->size = size;
            if (file->bytes != NULL)
                memcpy((void *)(uintptr_t)file->bytes, bytes, size);
            lua_pop(L, 1);
        } else if (lua_type(L, -1) == LUA_TSTRING) {
            file->path = strdup(lua_tostring(L, -1));
        }
        lua_pop(L, 1);
        opening->file_count++;
        if (file->path == NULL && file->bytes == NULL)
            return "files: each is a path, or {glb = the bytes of a GLB}";
    }
    lua_pop(L, 1);
    return NULL;
}

/* All but the files; strings stay Lua's. */
static struct blender_job read_job(lua_State *L) {
    double samples = vm_opt_number(L, 2, "samples", 16), seed = vm_opt_number(L, 2, "seed", 0);
    double threads = vm_opt_number(L, 2, "threads", 0);
    luaL_argcheck(L, samples >= 1 && samples <= 4096, 2, "samples: 1 to 4096");
    luaL_argcheck(L, seed >= 0 && seed <= UINT32_MAX, 2, "seed: 0 to 4294967295");
    double timeout = vm_opt_number(L, 2, "timeout", 0);
    double memory = vm_opt_number(L, 2, "memory", 8.0 * (1 << 30));
    luaL_argcheck(L, threads >= 0 && threads <= 1024, 2, "threads: 0 to 1024");
    luaL_argcheck(L, timeout >= 0 && timeout <= 1e6, 2, "timeout: 0 to 1000000 seconds");
    luaL_argcheck(L, memory >= 0 && memory <= 1e15, 2, "memory: 0 to 1e15 bytes");
    return (struct blender_job){
        .engine = vm_opt_string(L, 2, "engine", "eevee"),
        .folder = vm_opt_string(L, 2, "folder", NULL),
        .stance = services_of(L)->program,
        .samples = (uint32_t)samples,
        .seed = (uint32_t)seed,
        .threads = (uint32_t)threads,
        .timeout = timeout,
        .memory = (uint64_t)memory,
        .transparent = vm_opt_boolean(L, 2, "transparent", false),
    };
}

static char *copy_text(const char *text, bool *good) {
    char *copy = text != NULL ? strdup(text) : NULL;
    *good = *good && (text == NULL || copy != NULL);
    return copy;
}

/* NULL: no memory. */
static struct opening *opening_new(const struct blender_job *job, const char *program,
                                   struct views *views) {
    struct opening *opening = calloc(1, sizeof *opening);
    bool good = true;
    if (opening == NULL)
        return NULL;
    opening->views = views_retain(views);
    opening->job = *job;
    opening->job.program = opening->texts[0] = copy_text(program, &good);
    opening->job.stance = opening->texts[1] = copy_text(job->stance, &good);
    opening->job.engine = opening->texts[2] = copy_text(job->engine, &good);
    opening->job.folder = opening->texts[3] = copy_text(job->folder, &good);
    if (good)
        return opening;
    opening_release(opening);
    return NULL;
}

/* What the option says, else the setting. */
static int find_program(lua_State *L, int index, char path[PATH_MAX], struct err *err) {
    const char *setting = NULL;
    if (lua_istable(L, index))
        setting = vm_opt_string(L, index, "program", NULL);
    if (setting == NULL && services_of(L)->config != NULL)
        setting = config_string(services_of(L)->config, "blender");
    return blender_find(setting, path, err);
}

static int blender_open(lua_State *L) {
    struct views *views = lua_views_check(L, 1);
    char program[PATH_MAX];
    struct err err;
    luaL_checktype(L, 2, LUA_TTABLE);
    if (find_program(L, 2, program, &err) != 0)
        return vm_fail(L, &err);
    fiber_check(L);
    const struct blender_job job = read_job(L);
    struct opening *opening = opening_new(&job, program, views);
    if (opening == NULL)
        return vm_failf(L, ERR_NO_MEMORY, "no memory to run Blender");
    const char *wrong = read_files(L, 2, opening);
    if (wrong != NULL) {
        opening_release(opening);
        return luaL_argerror(L, 2, wrong);
    }
    return fiber_work(L, opening, run_open, push_run, opening_release);
}

static int blender_find_function(lua_State *L) {
    char program[PATH_MAX];
    struct err err;
    if (find_program(L, 1, program, &err) != 0)
        return vm_fail(L, &err);
    lua_pushstring(L, program);
    return 1;
}

/* -- Pictures ---------------------------------------------------------------------------------- */

struct waiting {
    struct run *run;
    uint32_t view;
    uint8_t *png;
    size_t size;
    int rc;
    struct err err;
};

static void waiting_release(void *arg) {
    struct waiting *waiting = arg;
    waiting->run->busy = false;
    run_release(waiting->run);
    free(waiting->png);
    free(waiting);
}

static void run_next(void *arg) {
    struct waiting *w = arg;
    w->rc = blender_next(w->run->blender, &w->view, &w->png, &w->size, &w->err);
}

static int push_picture(lua_State *L, void *arg) {
    struct waiting *waiting = arg;
    if (waiting->rc < 0)
        return vm_fail(L, &waiting->err);
    if (waiting->rc == 0) {
        lua_pushnil(L);
        return 1;
    }
    lua_pushinteger(L, (lua_Integer)waiting->view + 1);
    lua_pushlstring(L, (const char *)waiting->png, waiting->size);
    return 2;
}

static int run_next_function(lua_State *L) {
    struct run *run = *check_box(L);
    luaL_argcheck(L, run != NULL, 1, "the run is closed");
    luaL_argcheck(L, !run->busy, 1, "another fiber waits for its pictures");
    fiber_check(L);
    struct waiting *waiting = calloc(1, sizeof *waiting);
    if (waiting == NULL)
        return vm_failf(L, ERR_NO_MEMORY, "no memory for a picture");
    waiting->run = run;
    run->references++;
    run->busy = true;
    return fiber_work(L, waiting, run_next, push_picture, waiting_release);
}

static int run_version(lua_State *L) {
    struct run *run = *check_box(L);
    luaL_argcheck(L, run != NULL, 1, "the run is closed");
    lua_pushstring(L, blender_version(run->blender));
    return 1;
}

/* -- The module -------------------------------------------------------------------------------- */

static int run_tostring(lua_State *L) {
    lua_pushstring(L, *check_box(L) == NULL ? "blender run (closed)" : "blender run");
    return 1;
}

static const luaL_Reg methods[] = {{"close", run_close}, {"version", run_version}, {NULL, NULL}};
static const luaL_Reg waiting_methods[] = {{"next", run_next_function}, {NULL, NULL}};
static const luaL_Reg meta[] = {
    {"__gc", run_close},
    {"__tostring", run_tostring},
    {NULL, NULL},
};
static const luaL_Reg functions[] = {{"find", blender_find_function}, {NULL, NULL}};
static const luaL_Reg waiting_functions[] = {{"open", blender_open}, {NULL, NULL}};

int lua_open_blender(lua_State *L) {
    lua_views_open(L);
    vm_new_type(L, run_type, methods, meta);
    lua_getfield(L, -1, "__index");
    fiber_register(L, waiting_methods);
    lua_pop(L, 2);
    lua_newtable(L);
    luaL_register(L, NULL, functions);
    fiber_register(L, waiting_functions);
    return 1;
}
