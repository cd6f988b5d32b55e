/* lua_video.c - the Lua module `video`: the frames of a film, one after the other.
 *
 * Frames are read on a pool thread while the fiber waits. The film is counted, since that work may
 * outlast both the Lua value and its fiber; closing ends the process, and so the work. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bind/lua_image.h"
#include "bind/modules.h"
#include "media/video.h"
#include "store/roots.h"

static const char video_type[] = "stance.video";

/* Counted on the loop thread. */
struct film {
    unsigned references;
    bool busy;
    struct video *video;
};

static void film_release(struct film *film) {
    if (--film->references > 0)
        return;
    video_free(film->video);
    free(film);
}

static struct film **check_box(lua_State *L) {
    return luaL_checkudata(L, 1, video_type);
}

/* Also a film that another fiber reads at this moment: it is told that it was closed. */
static int video_close(lua_State *L) {
    struct film **box = check_box(L);
    if (*box != NULL) {
        video_stop((*box)->video);
        film_release(*box);
    }
    *box = NULL;
    return 0;
}

/* -- Opening ----------------------------------------------------------------------------------- */

struct opening {
    struct roots *roots;
    char *path;
    uint32_t every;
    int fd;
    struct err err;
};

static void opening_release(void *arg) {
    struct opening *opening = arg;
    if (opening->fd >= 0)
        close(opening->fd);
    roots_release(opening->roots);
    free(opening->path);
    free(opening);
}

static void run_open(void *arg) {
    struct opening *opening = arg;
    opening->fd = roots_open(opening->roots, opening->path, O_RDONLY, 0, &opening->err);
}

/* The process starts here and not on the pool: it dies with the thread that starts it. */
static int push_film(lua_State *L, void *arg) {
    struct opening *opening = arg;
    if (opening->fd < 0)
        return vm_fail(L, &opening->err);
    struct film **box = lua_newuserdata(L, sizeof *box);
    *box = NULL;
    luaL_getmetatable(L, video_type);
    lua_setmetatable(L, -2);
    struct film *film = calloc(1, sizeof *film);
    if (film == NULL)
        return vm_failf(L, ERR_NO_MEMORY, "no memory to read %s", opening->path);
    film->references = 1;
    const struct video_options options = {opening->fd, opening->path, opening->every};
    if (video_open(&options, &film->video, &opening->err) != 0) {
        free(film);
        return vm_fail(L, &opening->err);
    }
    *box = film;
    return 1;
}

static int video_open_function(lua_State *L) {
    size_t size;
    const char *path = luaL_checklstring(L, 1, &size);
    luaL_argcheck(L, strlen(path) == size, 1, "the path holds a zero byte");
    int every = 1;
    if (!lua_isnoneornil(L, 2)) {
        luaL_checktype(L, 2, LUA_TTABLE);
        lua_getfield(L, 2, "every");
        every = luaL_optint(L, -1, 1);
        luaL_argcheck(L, every >= 1, 2, "every: 1 or more");
    }
    struct roots *roots = services_of(L)->roots;
    if (roots == NULL)
        return vm_failf(L, ERR_UNSUPPORTED, "no folders are granted in this process (a %s)",
                        services_of(L)->role);
    fiber_check(L);
    struct opening *opening = calloc(1, sizeof *opening);
    if (opening != NULL && (opening->path = strdup(path)) == NULL) {
        free(opening);
        opening = NULL;
    }
    if (opening == NULL)
        return vm_failf(L, ERR_NO_MEMORY, "no memory to read %s", path);
    opening->fd = -1;
    opening->every = (uint32_t)every;
    opening->roots = roots;
    roots_retain(roots);
    return fiber_work(L, opening, run_open, push_film, opening_release);
}

/* -- Reading ----------------------------------------------------------------------------------- */

struct reading {
    struct film *film;
    struct image frame;
    double time;
    int rc;
    struct err err;
};

static void reading_release(void *arg) {
    struct reading *reading = arg;
    reading->film->busy = false;
    film_release(reading->film);
    image_deinit(&reading->frame);
    free(reading);
}

static void run_read(void *arg) {
    struct reading *reading = arg;
    reading->rc = video_next(reading->film->video, &reading->frame, &reading->time, &reading->err);
}

static int push_frame(lua_State *L, void *arg) {
    struct reading *reading = arg;
    if (reading->rc < 0)
        return vm_fail(L, &reading->err);
    if (reading->rc == 0) {
        lua_pushnil(L);
        return 1;
    }
    if (lua_image_push(L, &reading->frame) != 1)
        return 2;
    lua_pushnumber(L, reading->time);
    return 2;
}

static int video_read(lua_State *L) {
    struct film *film = *check_box(L);
    luaL_argcheck(L, film != NULL, 1, "the film is closed");
    luaL_argcheck(L, !film->busy, 1, "the film is being read by another fiber");
    fiber_check(L);
    struct reading *reading = calloc(1, sizeof *reading);
    if (reading == NULL)
        return vm_failf(L, ERR_NO_MEMORY, "no memory for a frame");
    reading->film = film;
    film->references++;
    film->busy = true;
    return fiber_work(L, reading, run_read, push_frame, reading_release);
}

/* -- The module -------------------------------------------------------------------------------- */

static int video_tostring(lua_State *L) {
    lua_pushstring(L, *check_box(L) == NULL ? "video (closed)" : "video");
    return 1;
}

static const luaL_Reg methods[] = {{"close", video_close}, {NULL, NULL}};
static const luaL_Reg waiting_methods[] = {{"read", video_read}, {NULL, NULL}};
static const luaL_Reg meta[] = {
    {"__gc", video_close},
    {"__tostring", video_tostring},
    {NULL, NULL},
};
static const luaL_Reg waiting_functions[] = {{"open", video_open_function}, {NULL, NULL}};

int lua_open_video(lua_State *L) {
    lua_getglobal(L, "require"); /* frames are its pictures */
    lua_pushliteral(L, "image");
    lua_call(L, 1, 0);
    vm_new_type(L, video_type, methods, meta);
    lua_getfield(L, -1, "__index");
    fiber_register(L, waiting_methods);
    lua_pop(L, 2);
    lua_newtable(L);
    fiber_register(L, waiting_functions);
    return 1;
}
