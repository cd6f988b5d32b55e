/* lua_render_camera.c - cameras of the module `render`: Lua tables and struct view_spec. */
#include <math.h>
#include <string.h>

#include "bind/lua_fields.h"
#include "bind/lua_render.h"

static const double degrees = 57.29577951308232;

/* "size": {512, 512} (or {width=, height=}). */
static void read_size(struct lua_fields *fields, int index, const char *path, uint32_t size[2]) {
    static const char *const names[2] = {"width", "height"};
    lua_State *L = fields->L;
    size[0] = size[1] = 512;
    if (!lua_fields_open(fields, index, path, "size"))
        return;
    for (int i = 0; i < 2; i++) {
        lua_rawgeti(L, -1, i + 1);
        if (lua_isnil(L, -1)) {
            lua_pop(L, 1);
            lua_fields_push(L, -1, names[i]);
        }
        double side = lua_tonumber(L, -1);
        if (!lua_isnumber(L, -1) || !(side >= 16 && side <= 8192) || side != floor(side))
            lua_fields_fail(fields, ERR_INVALID,
                            "%s.size must be a list of two whole numbers from 16 to 8192, pixels",
                            path);
        else
            size[i] = (uint32_t)side;
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
}

/* The vertical field of view: told itself, by a focal length, or by that in pixels. */
static double read_fov(struct lua_fields *fields, int index, const char *path,
                       const uint32_t size[2]) {
    double focal = lua_fields_number(fields, index, path, "focal", 1, 2000, 0);
    double sensor = lua_fields_number(fields, index, path, "sensor", 1, 200, 36);
    double fov = lua_fields_number(fields, index, path, "fov", 5, 120, 50);
    if (focal > 0)
        fov = 2 * degrees * atan(sensor * size[1] / size[0] / 2 / focal);
    return fov;
}

/* "camera_from_world": three or four rows of four. */
static bool read_matrix(struct lua_fields *fields, int index, const char *path, float m[12]) {
    lua_State *L = fields->L;
    if (!lua_fields_open(fields, index, path, "camera_from_world"))
        return false;
    bool good = true;
    for (int row = 0; good && row < 3; row++) {
        lua_rawgeti(L, -1, row + 1);
        good = lua_istable(L, -1) && lua_objlen(L, -1) == 4;
        for (int k = 0; good && k < 4; k++) {
            lua_rawgeti(L, -1, k + 1);
            m[row * 4 + k] = (float)lua_tonumber(L, -1);
            good = lua_isnumber(L, -1);
            lua_pop(L, 1);
        }
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
    if (!good)
        lua_fields_fail(fields, ERR_INVALID,
                        "%s.camera_from_world must be three rows of four numbers", path);
    return good;
}

/* fx, fy, cx, cy in pixels take the place of what the field of view says. */
static void read_intrinsics(struct lua_fields *fields, int index, const char *path,
                            struct view_spec *spec) {
    struct gpu_camera *camera = &spec->camera;
    double width = camera->width, height = camera->height;
    float fy = camera->fy;
    camera->fx = (float)lua_fields_number(fields, index, path, "fx", width / 1e3, width * 1e3,
                                          (double)camera->fx);
    camera->fy = (float)lua_fields_number(fields, index, path, "fy", height / 1e3, height * 1e3,
                                          (double)camera->fx);
    camera->cx =
        (float)lua_fields_number(fields, index, path, "cx", -width, 2 * width, (double)camera->cx);
    camera->cy = (float)lua_fields_number(fields, index, path, "cy", -height, 2 * height,
                                          (double)camera->cy);
    if (camera->fy != fy)
        spec->fov = (float)(2 * degrees * atan(height / 2 / (double)camera->fy));
}

static void read_name(struct lua_fields *fields, int index, const char *path, int number,
                      struct view_spec *spec) {
    const char *name = lua_fields_string(fields, index, path, "name", NULL);
    if (name == NULL)
        snprintf(spec->name, sizeof spec->name, "view_%d", number);
    else if (strlen(name) >= VIEW_NAME_SIZE)
        lua_fields_fail(fields, ERR_INVALID, "%s.name: a view's name has at most %d bytes", path,
                        VIEW_NAME_SIZE - 1);
    else
        memcpy(spec->name, name, strlen(name) + 1);
}

/* "lens": {distortion, f_number or aperture, focus}. */
static void read_lens(struct lua_fields *fields, int index, const char *path,
                      struct view_spec *spec) {
    struct gpu_camera *camera = &spec->camera;
    double sensor = lua_fields_number(fields, index, path, "sensor", 1, 200, 36), square = 0;
    char inner[64];
    if (!lua_fields_open(fields, index, path, "lens"))
        return;
    int lens = lua_gettop(fields->L);
    snprintf(inner, sizeof inner, "%s.lens", path);
    lua_fields_known(fields, lens, inner, "distortion f_number aperture focus");
    lua_fields_vector(fields, lens, inner, "distortion", camera->distortion, 5);
    double focal = (double)camera->fx / camera->width * sensor; /* millimetres */
    double stop = lua_fields_number(fields, lens, inner, "f_number", 0.5, 1000, 0);
    double aperture =
        lua_fields_number(fields, lens, inner, "aperture", 0, 1000, stop > 0 ? focal / stop : 0);
    for (int k = 0; k < 3; k++) {
        double away = (double)(spec->target[k] - spec->eye[k]);
        square += away * away;
    }
    camera->lens_radius = (float)(aperture / 2000);
    camera->focus = (float)lua_fields_number(fields, lens, inner, "focus", 0.01, 1e5, sqrt(square));
    lua_pop(fields->L, 1);
}

/* What of a camera may change from frame to frame: where it is, and how it sees. */
static void read_place(struct lua_fields *fields, int index, const char *path,
                       const uint32_t size[2], struct view_spec *spec) {
    float m[12];
    struct err err;
    spec->roll = (float)lua_fields_number(fields, index, path, "roll", -360, 360, 0);
    spec->fov = (float)read_fov(fields, index, path, size);
    bool matrix = read_matrix(fields, index, path, m);
    if (matrix)
        spec->target[2] = 1; /* anywhere, until the matrix tells */
    else if (!lua_fields_vector(fields, index, path, "position", spec->eye, 3) ||
             !lua_fields_vector(fields, index, path, "target", spec->target, 3))
        lua_fields_fail(fields, ERR_INVALID,
                        "%s needs a position and a target {x, y, z} in metres, or "
                        "camera_from_world",
                        path);
    else if (spec->eye[0] == spec->target[0] && spec->eye[1] == spec->target[1] &&
             spec->eye[2] == spec->target[2])
        lua_fields_fail(fields, ERR_INVALID, "%s: position and target are the same place", path);
    if (fields->rc != 0)
        return;
    view_spec_aim(spec, size[0], size[1]);
    read_intrinsics(fields, index, path, spec);
    if (matrix && view_spec_place(spec, m, &err) != 0)
        lua_fields_fail(fields, ERR_INVALID, "%s: %s", path, err.message);
    read_lens(fields, index, path, spec);
}

/* "next": the camera one frame later. */
static void read_next(struct lua_fields *fields, int index, const char *path,
                      const uint32_t size[2], struct view_spec *spec) {
    struct view_spec later = {0};
    char inner[64];
    if (!lua_fields_open(fields, index, path, "next"))
        return;
    snprintf(inner, sizeof inner, "%s.next", path);
    read_place(fields, lua_gettop(fields->L), inner, size, &later);
    spec->camera_next = later.camera;
    lua_pop(fields->L, 1);
}

void lua_camera_read(struct lua_fields *fields, int index, const char *path, int number,
                     double time, struct view_spec *spec) {
    uint32_t size[2];
    *spec = (struct view_spec){0};
    read_name(fields, index, path, number, spec);
    read_size(fields, index, path, size);
    spec->azimuth = (float)lua_fields_number(fields, index, path, "azimuth", -1e6, 1e6, NAN);
    spec->distance = (float)lua_fields_number(fields, index, path, "distance", 0, 1e5, NAN);
    spec->time = lua_fields_number(fields, index, path, "time", -1e6, 1e9, time);
    spec->number = (uint64_t)lua_fields_number(fields, index, path, "number", 1, 1e15, number) - 1;
    read_place(fields, index, path, size, spec);
    read_next(fields, index, path, size, spec);
    spec->height = spec->eye[1];
}

void lua_ring_read(struct lua_fields *fields, int index, const char *path,
                   struct ring_options *options) {
    uint32_t size[2];
    read_size(fields, index, path, size);
    double views = lua_fields_number(fields, index, path, "angles", 1, RING_MAX_VIEWS, 8);
    if (views != floor(views))
        lua_fields_fail(fields, ERR_INVALID, "%s.angles must be a whole number", path);
    *options = (struct ring_options){
        .views = (uint32_t)views,
        .distance = (float)lua_fields_number(fields, index, path, "distance", 0.2, 200, 3.5),
        .height = (float)lua_fields_number(fields, index, path, "height", -100, 100, 1.6),
        .fov = (float)read_fov(fields, index, path, size),
        .time = lua_fields_number(fields, index, path, "time", -1e6, 1e9, 0),
        .width = size[0],
        .height_pixels = size[1],
    };
}

/* -- Back to Lua ------------------------------------------------------------------------------- */

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

void lua_camera_push(lua_State *L, const struct view_spec *spec) {
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
