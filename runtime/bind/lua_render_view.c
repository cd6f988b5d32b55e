/* lua_render_view.c - the Lua types `stance.views` and `stance.view`.
 *
 * Nothing is drawn before somebody asks for what it gives. The first request for a view draws its
 * whole batch on a pool thread; the first request for a PNG encodes all pictures of the batch, side
 * by side on the pool. Requests wait in a list; whenever a piece of work ends, those that it
 * satisfies go on. When a batch is drawn, the pictures of others that nobody waits for are freed: a
 * view that is asked again later is simply drawn again, and comes out the same. */
#include <stdlib.h>
#include <string.h>

#include "bind/lua_render.h"
#include "core/loop.h"
#include "media/labels.h"

static const char views_type[] = "stance.views";
static const char view_type[] = "stance.view";

/* -- Work -------------------------------------------------------------------------------------- */

enum slot_state { SLOT_EMPTY, SLOT_BUSY, SLOT_DONE };

struct drawing;

/* A batch that is drawn or a picture that is encoded. While busy it belongs to a pool thread. */
struct slot {
    struct drawing *drawing;
    uint32_t index;
    enum slot_state state;
    struct views_timings spent;
    struct err err;
    int rc;
};

enum want { WANT_LABELS, WANT_RGB, WANT_DEPTH, WANT_PNG };

/* A fiber that waits for something of a view; its batch stays in memory meanwhile. */
struct request {
    struct wait wait;
    struct request *next, **previous;
    struct drawing *drawing;
    uint32_t view;
    enum want want;
    char *image, *character; /* for labels; may be NULL */
    bool finished;
    struct err err;
};

/* The state of a `stance.views`; counted by its Lua values, requests and work. */
struct drawing {
    unsigned references;
    struct loop *loop;
    struct views *views;
    struct slot *batches, *pictures;
    uint32_t batch_count;
    struct views_timings spent;
    uint32_t drawn; /* views, counting again what was drawn again */
    bool busy;      /* a batch is being drawn; others wait, so that memory holds few of them */
    struct request *requests;
};

static void drawing_release(struct drawing *drawing) {
    if (drawing == NULL || --drawing->references > 0)
        return;
    views_release(drawing->views);
    free(drawing->batches);
    free(drawing->pictures);
    free(drawing);
}

static struct slot *slots_new(struct drawing *drawing, uint32_t count) {
    struct slot *slots = calloc(count, sizeof *slots);
    for (uint32_t i = 0; slots != NULL && i < count; i++) {
        slots[i].drawing = drawing;
        slots[i].index = i;
    }
    return slots;
}

static uint32_t batch_of(const struct drawing *drawing, uint32_t view) {
    return view / views_batch_size(drawing->views);
}

static bool batch_contains(const struct drawing *drawing, uint32_t batch, uint32_t view) {
    return view < views_count(drawing->views) && batch_of(drawing, view) == batch;
}

static void add_timings(struct views_timings *sum, const struct views_timings *spent) {
    sum->skin += spent->skin;
    sum->shadow += spent->shadow;
    sum->raster += spent->raster;
    sum->shade += spent->shade;
    sum->label += spent->label;
    sum->encode += spent->encode;
}

static void advance(struct drawing *drawing);

static void start_slot(struct slot *slot, void (*run)(void *), void (*done)(void *)) {
    slot->state = SLOT_BUSY;
    slot->spent = (struct views_timings){0};
    slot->drawing->references++;
    loop_work(slot->drawing->loop, run, done, slot);
}

/* Work that failed leaves its slot empty, so that a later request tries again. */
static void end_slot(struct slot *slot) {
    slot->state = slot->rc == 0 ? SLOT_DONE : SLOT_EMPTY;
    add_timings(&slot->drawing->spent, &slot->spent);
}

static void fail_request(struct request *request, const struct err *err) {
    if (!request->finished)
        request->err = *err;
}

static void run_encode(void *arg) {
    struct slot *slot = arg;
    slot->rc = views_encode(slot->drawing->views, slot->index,
                            &(struct view_encoding){.format = VIEW_PNG}, &slot->spent, &slot->err);
}

static void encode_done(void *arg) {
    struct slot *slot = arg;
    struct drawing *drawing = slot->drawing;
    end_slot(slot);
    for (struct request *r = drawing->requests; r != NULL && slot->rc != 0; r = r->next)
        if (r->view == slot->index && r->want == WANT_PNG)
            fail_request(r, &slot->err);
    advance(drawing);
    drawing_release(drawing);
}

static void run_draw(void *arg) {
    struct slot *slot = arg;
    slot->rc = views_draw(slot->drawing->views, slot->index, &slot->spent, &slot->err);
}

static void draw_done(void *arg) {
    struct slot *slot = arg;
    struct drawing *drawing = slot->drawing;
    end_slot(slot);
    drawing->busy = false;
    for (struct request *r = drawing->requests; r != NULL && slot->rc != 0; r = r->next)
        if (batch_of(drawing, r->view) == slot->index)
            fail_request(r, &slot->err);
    uint32_t first = slot->index * views_batch_size(drawing->views);
    for (uint32_t i = first; slot->rc == 0 && batch_contains(drawing, slot->index, i); i++)
        drawing->drawn++;
    advance(drawing);
    drawing_release(drawing);
}

static bool batch_in_use(const struct drawing *drawing, uint32_t batch) {
    if (drawing->batches[batch].state == SLOT_BUSY)
        return true;
    uint32_t first = batch * views_batch_size(drawing->views);
    for (uint32_t i = first; batch_contains(drawing, batch, i); i++)
        if (drawing->pictures[i].state == SLOT_BUSY)
            return true;
    for (const struct request *r = drawing->requests; r != NULL; r = r->next)
        if (batch_of(drawing, r->view) == batch)
            return true;
    return false;
}

static void drop_idle_batches(struct drawing *drawing) {
    for (uint32_t batch = 0; batch < drawing->batch_count; batch++) {
        if (drawing->batches[batch].state == SLOT_EMPTY || batch_in_use(drawing, batch))
            continue;
        views_drop(drawing->views, batch);
        drawing->batches[batch].state = SLOT_EMPTY;
        uint32_t first = batch * views_batch_size(drawing->views);
        for (uint32_t i = first; batch_contains(drawing, batch, i); i++)
            drawing->pictures[i].state = SLOT_EMPTY;
    }
}

static bool is_ready(const struct drawing *drawing, uint32_t view, enum want want) {
    if (drawing->batches[batch_of(drawing, view)].state != SLOT_DONE)
        return false;
    return want != WANT_PNG || drawing->pictures[view].state == SLOT_DONE;
}

/* Starts what the request needs next, unless it is under way. */
static void start_for(struct drawing *drawing, const struct request *request) {
    uint32_t batch = batch_of(drawing, request->view);
    struct slot *slot = &drawing->batches[batch];
    if (slot->state == SLOT_EMPTY && !drawing->busy) {
        drop_idle_batches(drawing);
        drawing->busy = true;
        start_slot(slot, run_draw, draw_done);
    }
    if (slot->state != SLOT_DONE || request->want != WANT_PNG)
        return;
    uint32_t first = batch * views_batch_size(drawing->views);
    for (uint32_t i = first; batch_contains(drawing, batch, i); i++)
        if (drawing->pictures[i].state == SLOT_EMPTY)
            start_slot(&drawing->pictures[i], run_encode, encode_done);
}

/* Lets go on whoever has what it waits for. A fiber that goes on may add and remove requests: so
 * from the start again. The caller holds the drawing, which would otherwise end with its last
 * request. */
static void advance(struct drawing *drawing) {
    struct request *request = drawing->requests;
    while (request != NULL) {
        if (request->finished) {
            request = request->next;
        } else if (request->err.code != 0 || is_ready(drawing, request->view, request->want)) {
            request->finished = true;
            wait_finish(&request->wait);
            request = drawing->requests;
        } else {
            start_for(drawing, request);
            request = request->next;
        }
    }
}

/* -- Requests ---------------------------------------------------------------------------------- */

static int push_labels(lua_State *L, const struct drawing *drawing, uint32_t view,
                       const char *image, const char *character) {
    const struct view_result *result = views_result(drawing->views, view);
    const struct labels_names names = {image, character};
    const struct stage *stage = views_stage(drawing->views);
    const char *body = stage_actor_count(stage) > 0 ? scene_name(stage_actor(stage, 0)->scene) : "";
    char *head;
    size_t size;
    struct err err;
    if (labels_head(views_spec(drawing->views, view), body, &names, &head, &size, &err) != 0)
        return vm_fail(L, &err);
    /* A string that cannot be made raises, and would leak the head; the vm is out of memory and
     * ends then. */
    lua_pushlstring(L, head, size);
    free(head);
    lua_pushlstring(L, result->labels, result->labels_size);
    lua_concat(L, 2);
    return 1;
}

static int push_wanted(lua_State *L, const struct drawing *drawing, uint32_t view, enum want want,
                       const char *image, const char *character) {
    const struct view_result *result = views_result(drawing->views, view);
    const struct gpu_camera *camera = &views_spec(drawing->views, view)->camera;
    size_t pixels = (size_t)camera->width * camera->height;
    if (want == WANT_LABELS)
        return push_labels(L, drawing, view, image, character);
    if (want == WANT_PNG)
        lua_pushlstring(L, (const char *)result->file, result->file_size);
    else if (want == WANT_RGB)
        lua_pushlstring(L, (const char *)result->image.rgb, pixels * 3);
    else
        lua_pushlstring(L, (const char *)result->image.depth, pixels * 4);
    return 1;
}

static int request_push(lua_State *L, struct wait *wait) {
    struct request *request = (struct request *)wait;
    if (request->err.code != 0)
        return vm_fail(L, &request->err);
    return push_wanted(L, request->drawing, request->view, request->want, request->image,
                       request->character);
}

static void request_cancel(struct wait *wait) {
    ((struct request *)wait)->finished = true;
}

static void request_free(struct wait *wait) {
    struct request *request = (struct request *)wait;
    *request->previous = request->next;
    if (request->next != NULL)
        request->next->previous = request->previous;
    drawing_release(request->drawing);
    free(request->image);
    free(request->character);
    free(request);
}

static const struct wait_ops request_ops = {request_push, request_cancel, request_free};

/* A `stance.view`. */
struct lua_view {
    struct drawing *drawing;
    uint32_t index;
};

static struct lua_view *check_view(lua_State *L) {
    return luaL_checkudata(L, 1, view_type);
}

static char *copy(const char *text) {
    return text != NULL ? strdup(text) : NULL;
}

static int ask(lua_State *L, enum want want, const char *image, const char *character) {
    struct lua_view *view = check_view(L);
    struct drawing *drawing = view->drawing;
    if (is_ready(drawing, view->index, want))
        return push_wanted(L, drawing, view->index, want, image, character);
    fiber_check(L);
    struct request *request = calloc(1, sizeof *request);
    if (request == NULL)
        return vm_failf(L, ERR_NO_MEMORY, "no memory to wait for a view");
    request->drawing = drawing;
    drawing->references++;
    request->view = view->index;
    request->want = want;
    request->image = copy(image);
    request->character = copy(character);
    request->next = drawing->requests;
    request->previous = &drawing->requests;
    if (request->next != NULL)
        request->next->previous = &request->next;
    drawing->requests = request;
    start_for(drawing, request);
    return wait_begin(L, &request->wait, &request_ops);
}

static int view_png(lua_State *L) {
    return ask(L, WANT_PNG, NULL, NULL);
}

static int view_rgb(lua_State *L) {
    return ask(L, WANT_RGB, NULL, NULL);
}

static int view_depth(lua_State *L) {
    return ask(L, WANT_DEPTH, NULL, NULL);
}

static int view_labels(lua_State *L) {
    const char *image = vm_opt_string(L, 2, "image", NULL);
    const char *character = vm_opt_string(L, 2, "character", NULL);
    return ask(L, WANT_LABELS, image, character);
}

/* -- Views ------------------------------------------------------------------------------------- */

static int view_gc(lua_State *L) {
    struct lua_view *view = check_view(L);
    drawing_release(view->drawing);
    view->drawing = NULL;
    return 0;
}

static int view_tostring(lua_State *L) {
    const struct lua_view *view = check_view(L);
    lua_pushfstring(L, "view (%s)", views_spec(view->drawing->views, view->index)->name);
    return 1;
}

/* Fields, else methods (the upvalue). */
static int view_index(lua_State *L) {
    const struct lua_view *view = check_view(L);
    const char *key = luaL_checkstring(L, 2);
    const struct view_spec *spec = views_spec(view->drawing->views, view->index);
    if (strcmp(key, "name") == 0)
        lua_pushstring(L, spec->name);
    else if (strcmp(key, "index") == 0)
        lua_pushinteger(L, (lua_Integer)view->index + 1);
    else if (strcmp(key, "width") == 0)
        lua_pushinteger(L, (lua_Integer)spec->camera.width);
    else if (strcmp(key, "height") == 0)
        lua_pushinteger(L, (lua_Integer)spec->camera.height);
    else if (strcmp(key, "azimuth") == 0)
        lua_pushnumber(L, (lua_Number)spec->azimuth);
    else if (strcmp(key, "distance") == 0)
        lua_pushnumber(L, (lua_Number)spec->distance);
    else if (strcmp(key, "time") == 0)
        lua_pushnumber(L, spec->time);
    else
        lua_getfield(L, lua_upvalueindex(1), key);
    return 1;
}

static struct drawing *check_drawing(lua_State *L, int index) {
    struct drawing **box = luaL_checkudata(L, index, views_type);
    return *box;
}

static int push_view(lua_State *L, struct drawing *drawing, uint32_t index) {
    struct lua_view *view = lua_newuserdata(L, sizeof *view);
    view->drawing = drawing;
    view->index = index;
    drawing->references++;
    luaL_getmetatable(L, view_type);
    lua_setmetatable(L, -2);
    return 1;
}

static int views_gc(lua_State *L) {
    struct drawing **box = luaL_checkudata(L, 1, views_type);
    drawing_release(*box);
    *box = NULL;
    return 0;
}

static int views_tostring(lua_State *L) {
    const struct views *views = check_drawing(L, 1)->views;
    lua_pushfstring(L, "views (%d of %s)", (int)views_count(views),
                    stage_actor(views_stage(views), 0)->person);
    return 1;
}

static int views_count_method(lua_State *L) {
    lua_pushinteger(L, (lua_Integer)views_count(check_drawing(L, 1)->views));
    return 1;
}

static int views_view(lua_State *L) {
    struct drawing *drawing = check_drawing(L, 1);
    int index = luaL_checkint(L, 2);
    luaL_argcheck(L, index >= 1 && (uint32_t)index <= views_count(drawing->views), 2,
                  "there is no view of that number");
    return push_view(L, drawing, (uint32_t)index - 1);
}

static int next_view(lua_State *L) {
    struct drawing *drawing = check_drawing(L, 1);
    uint32_t index = 0;
    if (!lua_isnoneornil(L, 2)) {
        const struct lua_view *view = luaL_checkudata(L, 2, view_type);
        index = view->index + 1;
    }
    if (index >= views_count(drawing->views))
        return 0;
    return push_view(L, drawing, index);
}

static int views_each(lua_State *L) {
    check_drawing(L, 1);
    lua_pushcfunction(L, next_view);
    lua_pushvalue(L, 1);
    return 2;
}

static int views_clip_method(lua_State *L) {
    lua_pushstring(L, stage_actor_clip(views_stage(check_drawing(L, 1)->views), 0));
    return 1;
}

static void set_seconds(lua_State *L, const char *stage, double seconds) {
    lua_pushnumber(L, seconds);
    lua_setfield(L, -2, stage);
}

static int views_timings_method(lua_State *L) {
    const struct drawing *drawing = check_drawing(L, 1);
    lua_createtable(L, 0, 7);
    set_seconds(L, "skin", drawing->spent.skin);
    set_seconds(L, "shadow", drawing->spent.shadow);
    set_seconds(L, "raster", drawing->spent.raster);
    set_seconds(L, "shade", drawing->spent.shade);
    set_seconds(L, "label", drawing->spent.label);
    set_seconds(L, "encode", drawing->spent.encode);
    lua_pushinteger(L, (lua_Integer)drawing->drawn);
    lua_setfield(L, -2, "views");
    return 1;
}

/* Owns `views` from the call on, also when it fails. */
static struct drawing *drawing_new(struct loop *loop, struct views *views) {
    struct drawing *drawing = calloc(1, sizeof *drawing);
    if (drawing == NULL) {
        views_release(views);
        return NULL;
    }
    drawing->references = 1;
    drawing->loop = loop;
    drawing->views = views;
    drawing->batch_count = batch_of(drawing, views_count(views) - 1) + 1;
    drawing->batches = slots_new(drawing, drawing->batch_count);
    drawing->pictures = slots_new(drawing, views_count(views));
    if (drawing->batches == NULL || drawing->pictures == NULL) {
        drawing_release(drawing);
        return NULL;
    }
    return drawing;
}

int lua_views_push(lua_State *L, struct stage *stage, const struct view_spec *specs, uint32_t count,
                   const struct views_options *options) {
    struct drawing **box = lua_newuserdata(L, sizeof *box);
    *box = NULL;
    luaL_getmetatable(L, views_type);
    lua_setmetatable(L, -2);
    struct views *views;
    struct err err;
    int rc = views_new(stage, specs, count, options, &views, &err);
    stage_release(stage);
    if (rc != 0)
        return vm_fail(L, &err);
    *box = drawing_new(vm_loop(vm_of(L)), views);
    if (*box == NULL)
        return vm_failf(L, ERR_NO_MEMORY, "no memory for views");
    return 1;
}

/* -- Types ------------------------------------------------------------------------------------- */

static const luaL_Reg no_methods[] = {{NULL, NULL}};

static const luaL_Reg view_waits[] = {
    {"png", view_png}, {"labels", view_labels}, {"rgb", view_rgb}, {"depth", view_depth},
    {NULL, NULL},
};

static const luaL_Reg view_meta[] = {
    {"__gc", view_gc},
    {"__tostring", view_tostring},
    {NULL, NULL},
};

static const luaL_Reg views_methods[] = {
    {"count", views_count_method},
    {"view", views_view},
    {"each", views_each},
    {"clip", views_clip_method},
    {"timings", views_timings_method},
    {NULL, NULL},
};

static const luaL_Reg views_meta[] = {
    {"__gc", views_gc},
    {"__tostring", views_tostring},
    {NULL, NULL},
};

void lua_views_open(lua_State *L) {
    luaL_getmetatable(L, view_type);
    bool opened = !lua_isnil(L, -1); /* package.loaded may have been cleared since */
    lua_pop(L, 1);
    if (opened)
        return;
    vm_new_type(L, views_type, views_methods, views_meta);
    vm_new_type(L, view_type, no_methods, view_meta);
    lua_getfield(L, -1, "__index");
    fiber_register(L, view_waits);
    lua_pushcclosure(L, view_index, 1);
    lua_setfield(L, -2, "__index");
    lua_pop(L, 2);
}
