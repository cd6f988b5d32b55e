/* lua_image.c - the Lua module `image`: pictures as Lua values: read, scale, draw on, write.
 *
 * Reading, scaling and writing run on the pool while the fiber waits; drawing is done at once,
 * since it is small. The pixels are counted, so that work on the pool outlives a script that lost
 * interest. */
#include "bind/lua_image.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bind/modules.h"
#include "media/draw.h"
#include "media/image.h"
#include "media/jpeg_write.h"
#include "media/png.h"
#include "media/skeleton.h"

static const char image_type[] = "stance.image";

/* Pixels that Lua values and pool work share. Counted on the loop thread. */
struct picture {
    unsigned references;
    unsigned readers; /* pool work that reads: nobody may draw meanwhile */
    struct image image;
};

static struct picture *picture_new(void) {
    struct picture *picture = calloc(1, sizeof *picture);
    if (picture != NULL)
        picture->references = 1;
    return picture;
}

static void picture_release(struct picture *picture) {
    if (picture == NULL || --picture->references > 0)
        return;
    image_deinit(&picture->image);
    free(picture);
}

/* -- Arguments --------------------------------------------------------------------------------- */

static struct picture *check_picture(lua_State *L, int index) {
    struct picture **box = luaL_checkudata(L, index, image_type);
    luaL_argcheck(L, *box != NULL, index, "the image is closed");
    return *box;
}

static struct image *check_canvas(lua_State *L) {
    struct picture *picture = check_picture(L, 1);
    luaL_argcheck(L, picture->readers == 0, 1, "the image is being read by another fiber");
    return &picture->image;
}

static int hex_digit(char c) {
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* "#rrggbb" or "#rrggbbaa". */
static struct draw_color check_color(lua_State *L, int index) {
    size_t size;
    const char *text = luaL_checklstring(L, index, &size);
    uint8_t channels[4] = {0, 0, 0, 255};
    bool good = text[0] == '#' && (size == 7 || size == 9);
    for (size_t i = 1; good && i < size; i += 2) {
        int high = hex_digit(text[i]), low = hex_digit(text[i + 1]);
        good = high >= 0 && low >= 0;
        channels[i / 2] = (uint8_t)(high * 16 + low);
    }
    luaL_argcheck(L, good, index, "a color is '#rrggbb' or '#rrggbbaa'");
    return (struct draw_color){channels[0], channels[1], channels[2], channels[3]};
}

static float check_float(lua_State *L, int index) {
    return (float)luaL_checknumber(L, index);
}

static uint32_t check_side(lua_State *L, int index) {
    double side = luaL_checknumber(L, index);
    luaL_argcheck(L, side >= 1 && side <= IMAGE_MAX_SIDE, index, "not a picture's side in pixels");
    return (uint32_t)side;
}

/* -- Values ------------------------------------------------------------------------------------ */

/* Room for a picture on the Lua stack, filled in later: allocating first cannot leak what is
 * acquired then. */
static struct picture **push_box(lua_State *L) {
    struct picture **box = lua_newuserdata(L, sizeof *box);
    *box = NULL;
    luaL_getmetatable(L, image_type);
    lua_setmetatable(L, -2);
    return box;
}

static int image_new(lua_State *L) {
    uint32_t width = check_side(L, 1), height = check_side(L, 2);
    struct draw_color color = {0, 0, 0, 0};
    if (!lua_isnoneornil(L, 3))
        color = check_color(L, 3);
    struct picture **box = push_box(L);
    struct err err;
    *box = picture_new();
    if (*box == NULL)
        return vm_failf(L, ERR_NO_MEMORY, "no memory for a picture");
    if (image_init(&(*box)->image, width, height, &err) != 0)
        return vm_fail(L, &err);
    if (color.a > 0) {
        const uint8_t pixel[4] = {color.r, color.g, color.b, color.a};
        for (size_t i = 0; i < (size_t)width * height; i++)
            memcpy((*box)->image.rgba + i * 4, pixel, 4);
    }
    return 1;
}

int lua_image_push(lua_State *L, struct image *image) {
    struct picture **box = push_box(L);
    *box = picture_new();
    if (*box == NULL)
        return vm_failf(L, ERR_NO_MEMORY, "no memory for a picture");
    (*box)->image = *image;
    *image = (struct image){0};
    return 1;
}

const struct image *lua_image_at(lua_State *L, int index) {
    return luaL_testudata(L, index, image_type) ? &check_picture(L, index)->image : NULL;
}

static int image_gc(lua_State *L) {
    struct picture **box = luaL_checkudata(L, 1, image_type);
    picture_release(*box);
    *box = NULL;
    return 0;
}

static int image_tostring(lua_State *L) {
    struct picture **box = luaL_checkudata(L, 1, image_type);
    if (*box == NULL)
        lua_pushliteral(L, "image (closed)");
    else
        lua_pushfstring(L, "image (%d x %d)", (int)(*box)->image.width, (int)(*box)->image.height);
    return 1;
}

static int image_size(lua_State *L) {
    const struct image *image = &check_picture(L, 1)->image;
    lua_pushinteger(L, (lua_Integer)image->width);
    lua_pushinteger(L, (lua_Integer)image->height);
    return 2;
}

static int image_rgba(lua_State *L) {
    const struct image *image = &check_picture(L, 1)->image;
    lua_pushlstring(L, (const char *)image->rgba, (size_t)image->width * image->height * 4);
    return 1;
}

static int image_kind_function(lua_State *L) {
    size_t size;
    const char *bytes = luaL_checklstring(L, 1, &size);
    lua_pushstring(L, image_kind(bytes, size));
    return 1;
}

/* -- Drawing ----------------------------------------------------------------------------------- */

static int self(lua_State *L) {
    lua_settop(L, 1);
    return 1;
}

static int image_fill(lua_State *L) {
    struct image *image = check_canvas(L);
    draw_fill(image, check_float(L, 2), check_float(L, 3), check_float(L, 4), check_float(L, 5),
              check_color(L, 6));
    return self(L);
}

static int image_line(lua_State *L) {
    struct image *image = check_canvas(L);
    struct draw_segment segment = {check_float(L, 2), check_float(L, 3), check_float(L, 4),
                                   check_float(L, 5)};
    draw_segments(image, &segment, 1, check_float(L, 6), check_color(L, 7));
    return self(L);
}

static int image_dot(lua_State *L) {
    struct image *image = check_canvas(L);
    float x = check_float(L, 2), y = check_float(L, 3);
    struct draw_segment point = {x, y, x, y};
    draw_segments(image, &point, 1, 2 * check_float(L, 4), check_color(L, 5));
    return self(L);
}

static int image_ring(lua_State *L) {
    struct image *image = check_canvas(L);
    draw_ring(image, check_float(L, 2), check_float(L, 3), check_float(L, 4), check_float(L, 5),
              check_color(L, 6));
    return self(L);
}

static int image_text(lua_State *L) {
    struct image *image = check_canvas(L);
    size_t size;
    const char *text = luaL_checklstring(L, 5, &size);
    draw_text(image, check_float(L, 2), check_float(L, 3), check_float(L, 4), text, size,
              check_color(L, 6));
    return self(L);
}

static int image_text_width(lua_State *L) {
    size_t size;
    float height = check_float(L, 1);
    const char *text = luaL_checklstring(L, 2, &size);
    lua_pushnumber(L, (lua_Number)draw_text_width(height, text, size));
    return 1;
}

static int image_paste(lua_State *L) {
    struct image *image = check_canvas(L);
    const struct image *from = &check_picture(L, 2)->image;
    luaL_argcheck(L, from != image, 2, "an image cannot be pasted on itself");
    draw_image(image, luaL_checkint(L, 3), luaL_checkint(L, 4), from);
    return self(L);
}

/* A field of the table on top; `fallback` where there is none. */
static float get_field(lua_State *L, const char *name, float fallback) {
    lua_getfield(L, -1, name);
    float value = lua_isnil(L, -1) ? fallback : (float)lua_tonumber(L, -1);
    lua_pop(L, 1);
    return value;
}

/* A pose.Person at the top of the stack; false: it has no 33 landmarks. */
static bool to_person(lua_State *L, struct gpu_pose_person *person) {
    if (!lua_istable(L, -1))
        return false;
    float id = get_field(L, "id", 1);
    person->id = id >= 0 && id < 1e6f ? (uint32_t)id : 0;
    person->score = get_field(L, "score", 1);
    lua_getfield(L, -1, "landmarks");
    bool good = lua_istable(L, -1);
    for (int i = 0; good && i < GPU_POSE_LANDMARKS; i++) {
        lua_rawgeti(L, -1, i + 1);
        good = lua_istable(L, -1);
        if (good) {
            person->landmarks[i][0] = get_field(L, "x", NAN);
            person->landmarks[i][1] = get_field(L, "y", NAN);
            person->landmarks[i][3] = get_field(L, "visibility", 1);
        }
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
    return good;
}

static int image_draw_pose(lua_State *L) {
    struct image *image = check_canvas(L);
    struct gpu_pose_person people[GPU_POSE_MAX_PEOPLE];
    luaL_checktype(L, 2, LUA_TTABLE);
    size_t count = lua_objlen(L, 2);
    luaL_argcheck(L, count <= GPU_POSE_MAX_PEOPLE, 2, "more people than an engine finds");
    for (size_t i = 0; i < count; i++) {
        lua_rawgeti(L, 2, (int)i + 1);
        luaL_argcheck(L, to_person(L, &people[i]), 2, "a person has 33 landmarks");
        lua_pop(L, 1);
    }
    skeleton_draw(image, people, count);
    return self(L);
}

/* -- Work on the pool -------------------------------------------------------------------------- */

/* One reading, scaling or writing. */
struct task {
    struct picture *source; /* scaling and writing: held, and read by the pool */
    char *bytes;            /* reading: a copy of the file */
    size_t size;
    struct image_options options;
    uint32_t width, height; /* wanted; 0: as it is */
    int level;              /* of a PNG; of a JPEG its quality */
    struct image made;
    uint8_t *file;
    size_t file_size;
    struct err err;
    int rc;
};

static void task_release(void *arg) {
    struct task *task = arg;
    if (task->source != NULL) {
        task->source->readers--;
        picture_release(task->source);
    }
    image_deinit(&task->made);
    free(task->file);
    free(task->bytes);
    free(task);
}

static int fail_memory(lua_State *L) {
    return vm_failf(L, ERR_NO_MEMORY, "no memory for work on a picture");
}

static struct task *task_new(struct picture *source) {
    struct task *task = calloc(1, sizeof *task);
    if (task == NULL)
        return NULL;
    task->source = source;
    if (source != NULL) {
        source->references++;
        source->readers++;
    }
    return task;
}

static int push_made(lua_State *L, void *arg) {
    struct task *task = arg;
    if (task->rc != 0)
        return vm_fail(L, &task->err);
    return lua_image_push(L, &task->made);
}

static void scale_made(struct task *task) {
    struct image scaled;
    if (task->width == task->made.width && task->height == task->made.height)
        return;
    task->rc = image_scale(&task->made, task->width, task->height, &scaled, &task->err);
    if (task->rc == 0) {
        image_deinit(&task->made);
        task->made = scaled;
    }
}

static void run_decode(void *arg) {
    struct task *task = arg;
    task->rc = image_decode_with(task->bytes, task->size, &task->options, &task->made, &task->err);
    if (task->rc == 0 && task->width != 0)
        scale_made(task);
}

/* `image.decode(bytes, width, height)`, or with a table as the second argument. */
static void check_decode_options(lua_State *L, struct task *task) {
    if (lua_isnoneornil(L, 2))
        return;
    if (!lua_istable(L, 2)) {
        task->width = check_side(L, 2);
        task->height = check_side(L, 3);
        return;
    }
    lua_settop(L, 2);
    lua_getfield(L, 2, "upright");
    task->options.upright = lua_toboolean(L, -1);
    lua_getfield(L, 2, "whole");
    task->options.whole = lua_toboolean(L, -1);
    lua_getfield(L, 2, "max_pixels");
    double most = luaL_optnumber(L, -1, 0);
    luaL_argcheck(L, most >= 0 && most <= 1e15, 2, "max_pixels is a number of pixels");
    task->options.max_pixels = (uint64_t)most;
    lua_getfield(L, 2, "width");
    lua_getfield(L, 2, "height");
    if (!lua_isnil(L, -1) || !lua_isnil(L, -2)) {
        task->width = check_side(L, -2);
        task->height = check_side(L, -1);
    }
    lua_settop(L, 2);
}

static int image_decode_function(lua_State *L) {
    size_t size;
    const char *bytes = luaL_checklstring(L, 1, &size);
    struct task wanted = {.width = 0};
    check_decode_options(L, &wanted);
    fiber_check(L);
    struct task *task = task_new(NULL);
    if (task == NULL)
        return fail_memory(L);
    *task = wanted;
    task->bytes = malloc(size > 0 ? size : 1);
    if (task->bytes == NULL) {
        task_release(task);
        return vm_failf(L, ERR_NO_MEMORY, "no memory for a picture of %zu bytes", size);
    }
    memcpy(task->bytes, bytes, size);
    task->size = size;
    return fiber_work(L, task, run_decode, push_made, task_release);
}

static void run_scale(void *arg) {
    struct task *task = arg;
    task->rc =
        image_scale(&task->source->image, task->width, task->height, &task->made, &task->err);
}

static int image_scale_method(lua_State *L) {
    struct picture *picture = check_picture(L, 1);
    uint32_t width = check_side(L, 2), height = check_side(L, 3);
    fiber_check(L);
    struct task *task = task_new(picture);
    if (task == NULL)
        return fail_memory(L);
    task->width = width;
    task->height = height;
    return fiber_work(L, task, run_scale, push_made, task_release);
}

static bool is_opaque(const struct image *image) {
    uint8_t all = 255;
    for (size_t i = 0; i < (size_t)image->width * image->height; i++)
        all &= image->rgba[i * 4 + 3];
    return all == 255;
}

/* RGB where nothing shows through: a quarter less to compress. */
static int encode(const struct image *image, struct task *task) {
    struct png_source source = {image->width, image->height, 4, 0, image->rgba};
    uint8_t *rgb = NULL;
    size_t pixels = (size_t)image->width * image->height;
    if (is_opaque(image)) {
        rgb = malloc(pixels * 3);
        if (rgb == NULL)
            return err_set(&task->err, ERR_NO_MEMORY, "no memory to write a PNG");
        for (size_t i = 0; i < pixels; i++)
            memcpy(rgb + i * 3, image->rgba + i * 4, 3);
        source.channels = 3;
        source.pixels = rgb;
    }
    int rc = png_encode(&source, task->level, &task->file, &task->file_size, &task->err);
    free(rgb);
    return rc;
}

static void run_encode(void *arg) {
    struct task *task = arg;
    task->rc = encode(&task->source->image, task);
}

static int push_file(lua_State *L, void *arg) {
    struct task *task = arg;
    if (task->rc != 0)
        return vm_fail(L, &task->err);
    lua_pushlstring(L, (const char *)task->file, task->file_size);
    return 1;
}

static int write_file(lua_State *L, struct picture *picture, int level, void (*run)(void *task)) {
    fiber_check(L);
    struct task *task = task_new(picture);
    if (task == NULL)
        return fail_memory(L);
    task->level = level;
    return fiber_work(L, task, run, push_file, task_release);
}

static int image_png(lua_State *L) {
    struct picture *picture = check_picture(L, 1);
    int level = luaL_optint(L, 2, 6);
    luaL_argcheck(L, level >= 1 && level <= 12, 2, "a PNG level is 1 (fast) to 12 (small)");
    return write_file(L, picture, level, run_encode);
}

static void run_encode_jpeg(void *arg) {
    struct task *task = arg;
    task->rc =
        jpeg_encode(&task->source->image, task->level, &task->file, &task->file_size, &task->err);
}

static int image_jpeg(lua_State *L) {
    struct picture *picture = check_picture(L, 1);
    int quality = luaL_optint(L, 2, 85);
    luaL_argcheck(L, quality >= 1 && quality <= 100, 2, "a JPEG's quality is 1 to 100");
    return write_file(L, picture, quality, run_encode_jpeg);
}

/* -- The module -------------------------------------------------------------------------------- */

static const luaL_Reg methods[] = {
    {"size", image_size}, {"rgba", image_rgba},   {"fill", image_fill},
    {"line", image_line}, {"dot", image_dot},     {"ring", image_ring},
    {"text", image_text}, {"paste", image_paste}, {"draw_pose", image_draw_pose},
    {"close", image_gc},  {NULL, NULL},
};

static const luaL_Reg waiting_methods[] = {
    {"scale", image_scale_method},
    {"png", image_png},
    {"jpeg", image_jpeg},
    {NULL, NULL},
};

static const luaL_Reg meta[] = {
    {"__gc", image_gc},
    {"__tostring", image_tostring},
    {NULL, NULL},
};

static const luaL_Reg functions[] = {
    {"new", image_new},
    {"kind", image_kind_function},
    {"text_width", image_text_width},
    {NULL, NULL},
};

static const luaL_Reg waiting_functions[] = {
    {"decode", image_decode_function},
    {NULL, NULL},
};

int lua_open_image(lua_State *L) {
    vm_new_type(L, image_type, methods, meta);
    lua_getfield(L, -1, "__index");
    fiber_register(L, waiting_methods);
    lua_pop(L, 2);
    lua_newtable(L);
    luaL_register(L, NULL, functions);
    fiber_register(L, waiting_functions);
    return 1;
}
