#include "bind/lua_render_draw.h"

#include <stdlib.h>
#include <string.h>

#include "bind/lua_image.h"
#include "core/loop.h"
#include "media/image.h"
#include "media/labels.h"

/* -- Work -------------------------------------------------------------------------------------- */

enum slot_state { SLOT_EMPTY, SLOT_BUSY, SLOT_DONE };

/* A batch that is drawn or a picture that is encoded. While busy it belongs to a pool thread. */
struct slot {
    struct drawing *drawing;
    uint32_t index;
    enum slot_state state;
    struct view_encoding encoding; /* of a picture */
};

/* What a pool thread brings back. */
struct job {
    struct slot *slot;
    struct views_timings spent;
    struct err err;
    int rc;
};

/* A fiber that waits for something of a view; its batch stays in memory meanwhile. */
struct request {
    struct wait wait;
    struct request *next, **previous;
    struct drawing *drawing;
    uint32_t view;
    struct wanted wanted;
    char *image, *character; /* what `wanted` points to */
    bool finished;
    struct err err;
};

struct drawing {
    unsigned references;
    struct loop *loop;
    struct views *views;
    struct slot *batches, *pictures;
    uint32_t batch_count;
    uint32_t parallel, busy; /* batches being drawn */
    uint32_t kept;           /* batches from the front on that may be in memory */
    uint32_t front;          /* the batch that is followed; batch_count + 1: nobody follows */
    bool encode_ahead;       /* as last_encoding */
    struct view_encoding last_encoding;
    struct views_timings spent;
    uint32_t drawn;
    struct request *requests;
};

struct drawing *drawing_retain(struct drawing *drawing) {
    drawing->references++;
    return drawing;
}

void drawing_release(struct drawing *drawing) {
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

struct drawing *drawing_new(struct loop *loop, struct views *views, uint32_t parallel) {
    struct drawing *drawing = calloc(1, sizeof *drawing);
    if (drawing == NULL) {
        views_release(views);
        return NULL;
    }
    uint32_t fit = views_batches_that_fit(views);
    drawing->references = 1;
    drawing->loop = loop;
    drawing->views = views;
    drawing->batch_count =
        (views_count(views) + views_batch_size(views) - 1) / views_batch_size(views);
    drawing->parallel = parallel < fit ? parallel : fit;
    drawing->kept = fit - 1 < 2 * parallel ? fit - 1 : 2 * parallel;
    drawing->front = drawing->batch_count + 1;
    drawing->batches = slots_new(drawing, drawing->batch_count);
    drawing->pictures = slots_new(drawing, views_count(views));
    if (drawing->batches == NULL || drawing->pictures == NULL) {
        drawing_release(drawing);
        return NULL;
    }
    return drawing;
}

struct views *drawing_views(const struct drawing *drawing) {
    return drawing->views;
}

const struct views_timings *drawing_spent(const struct drawing *drawing) {
    return &drawing->spent;
}

uint32_t drawing_drawn(const struct drawing *drawing) {
    return drawing->drawn;
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

/* False: no memory; whoever waits for it will be told. */
static bool start_slot(struct slot *slot, void (*run)(void *), void (*done)(void *)) {
    struct job *job = calloc(1, sizeof *job);
    for (struct request *r = slot->drawing->requests; r != NULL && job == NULL; r = r->next)
        if (!r->finished)
            err_set(&r->err, ERR_NO_MEMORY, "no memory to draw views");
    if (job == NULL)
        return false;
    job->slot = slot;
    slot->state = SLOT_BUSY;
    drawing_retain(slot->drawing);
    loop_work(slot->drawing->loop, run, done, job);
    return true;
}

/* Work that failed leaves its slot empty, so that a later request tries again. */
static void end_slot(const struct job *job) {
    job->slot->state = job->rc == 0 ? SLOT_DONE : SLOT_EMPTY;
    add_timings(&job->slot->drawing->spent, &job->spent);
}

static void fail_request(struct request *request, const struct err *err) {
    if (!request->finished)
        request->err = *err;
}

/* -- Pictures ---------------------------------------------------------------------------------- */

static bool same_encoding(const struct view_encoding *a, const struct view_encoding *b) {
    return a->format == b->format && a->quality == b->quality;
}

static void run_encode(void *arg) {
    struct job *job = arg;
    job->rc = views_encode(job->slot->drawing->views, job->slot->index, &job->slot->encoding,
                           &job->spent, &job->err);
}

static void encode_done(void *arg) {
    struct job *job = arg;
    struct drawing *drawing = job->slot->drawing;
    end_slot(job);
    for (struct request *r = drawing->requests; r != NULL && job->rc != 0; r = r->next)
        if (r->view == job->slot->index && r->wanted.want == WANT_FILE)
            fail_request(r, &job->err);
    advance(drawing);
    drawing_release(drawing);
    free(job);
}

static void encode_picture(struct slot *slot, const struct view_encoding *encoding) {
    slot->encoding = *encoding;
    start_slot(slot, run_encode, encode_done);
}

/* The pictures of the batch that have no file yet. */
static void encode_batch(struct drawing *drawing, uint32_t batch,
                         const struct view_encoding *encoding) {
    uint32_t first = batch * views_batch_size(drawing->views);
    for (uint32_t i = first; batch_contains(drawing, batch, i); i++)
        if (drawing->pictures[i].state == SLOT_EMPTY)
            encode_picture(&drawing->pictures[i], encoding);
}

/* -- Batches ----------------------------------------------------------------------------------- */

static void run_draw(void *arg) {
    struct job *job = arg;
    job->rc = views_draw(job->slot->drawing->views, job->slot->index, &job->spent, &job->err);
}

static void draw_done(void *arg) {
    struct job *job = arg;
    struct drawing *drawing = job->slot->drawing;
    uint32_t batch = job->slot->index, first = batch * views_batch_size(drawing->views);
    end_slot(job);
    drawing->busy--;
    for (struct request *r = drawing->requests; r != NULL && job->rc != 0; r = r->next)
        if (batch_of(drawing, r->view) == batch)
            fail_request(r, &job->err);
    for (uint32_t i = first; job->rc == 0 && batch_contains(drawing, batch, i); i++)
        drawing->drawn++;
    if (job->rc == 0 && drawing->encode_ahead && drawing->front < drawing->batch_count)
        encode_batch(drawing, batch, &drawing->last_encoding);
    advance(drawing);
    drawing_release(drawing);
    free(job);
}

/* What is to be drawn and kept for somebody who follows: from the batch before the one that was
 * asked for last, since several fibers may share the views. */
static bool is_ahead(const struct drawing *drawing, uint32_t batch) {
    return drawing->kept > 0 && batch + 1 >= drawing->front &&
           batch < drawing->front + drawing->kept;
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
        if (drawing->batches[batch].state == SLOT_EMPTY || batch_in_use(drawing, batch) ||
            is_ahead(drawing, batch))
            continue;
        views_drop(drawing->views, batch);
        drawing->batches[batch].state = SLOT_EMPTY;
        uint32_t first = batch * views_batch_size(drawing->views);
        for (uint32_t i = first; batch_contains(drawing, batch, i); i++)
            drawing->pictures[i].state = SLOT_EMPTY;
    }
}

static void draw_batch(struct drawing *drawing, uint32_t batch) {
    struct slot *slot = &drawing->batches[batch];
    if (slot->state != SLOT_EMPTY || drawing->busy >= drawing->parallel)
        return;
    drop_idle_batches(drawing);
    drawing->busy += start_slot(slot, run_draw, draw_done);
}

static void draw_ahead(struct drawing *drawing) {
    for (uint32_t i = drawing->front; i < drawing->batch_count && is_ahead(drawing, i); i++)
        draw_batch(drawing, i);
}

void drawing_begin(struct drawing *drawing) {
    drawing->front = 0;
    draw_ahead(drawing);
}

void drawing_end(struct drawing *drawing) {
    drawing->front = drawing->batch_count + 1;
    drop_idle_batches(drawing);
}

static bool is_ready(const struct drawing *drawing, uint32_t view, const struct wanted *wanted) {
    const struct slot *picture = &drawing->pictures[view];
    if (drawing->batches[batch_of(drawing, view)].state != SLOT_DONE)
        return false;
    return wanted->want != WANT_FILE ||
           (picture->state == SLOT_DONE && same_encoding(&picture->encoding, &wanted->encoding));
}

/* Starts what the request needs next, unless it is under way. */
static void start_for(struct drawing *drawing, const struct request *request) {
    uint32_t batch = batch_of(drawing, request->view);
    struct slot *picture = &drawing->pictures[request->view];
    const struct view_encoding *encoding = &request->wanted.encoding;
    draw_batch(drawing, batch);
    if (drawing->batches[batch].state != SLOT_DONE || request->wanted.want != WANT_FILE)
        return;
    bool alone = picture->state == SLOT_DONE || /* it has another file */
                 (picture->state == SLOT_EMPTY && encoding->format == VIEW_RGBA);
    if (alone)
        encode_picture(picture, encoding);
    else
        encode_batch(drawing, batch, encoding);
}

/* Lets go on whoever has what it waits for. A fiber that goes on may add and remove requests: so
 * from the start again. The caller holds the drawing, which would otherwise end with its last
 * request. */
static void advance(struct drawing *drawing) {
    struct request *request = drawing->requests;
    while (request != NULL) {
        if (request->finished) {
            request = request->next;
        } else if (request->err.code != 0 || is_ready(drawing, request->view, &request->wanted)) {
            request->finished = true;
            wait_finish(&request->wait);
            request = drawing->requests;
        } else {
            start_for(drawing, request);
            request = request->err.code != 0 ? request : request->next;
        }
    }
    draw_ahead(drawing);
}

/* -- Requests ---------------------------------------------------------------------------------- */

static int push_labels(lua_State *L, const struct drawing *drawing, uint32_t view,
                       const struct wanted *wanted) {
    const struct view_result *result = views_result(drawing->views, view);
    const struct labels_names names = {wanted->image, wanted->character};
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

/* The bytes and how to read them. */
static int push_map(lua_State *L, const struct drawing *drawing, uint32_t view, enum view_map map) {
    const struct gpu_camera *camera = &views_spec(drawing->views, view)->camera;
    const struct view_map_kind *kind = &view_map_kinds[map];
    const void *bytes = views_map(drawing->views, view, map);
    const lua_Integer shape[3] = {camera->height, camera->width, kind->channels};
    int dimensions = kind->channels > 1 ? 3 : 2;
    if (bytes == NULL)
        return vm_failf(L, ERR_INVALID,
                        "the map %s was not drawn: name it in the maps of render.views",
                        kind->name);
    lua_pushlstring(L, bytes, (size_t)camera->width * camera->height * kind->size);
    lua_createtable(L, 0, 2);
    lua_pushstring(L, kind->dtype);
    lua_setfield(L, -2, "dtype");
    lua_createtable(L, dimensions, 0);
    for (int i = 0; i < dimensions; i++) {
        lua_pushinteger(L, shape[i]);
        lua_rawseti(L, -2, i + 1);
    }
    lua_setfield(L, -2, "shape");
    return 2;
}

/* A copy of the pixels, which somebody else may ask for too. */
static int push_image(lua_State *L, const struct gpu_camera *camera, const uint8_t *rgba) {
    struct image image;
    struct err err;
    if (image_init(&image, camera->width, camera->height, &err) != 0)
        return vm_fail(L, &err);
    memcpy(image.rgba, rgba, (size_t)camera->width * camera->height * 4);
    return lua_image_push(L, &image);
}

static int push_wanted(lua_State *L, const struct drawing *drawing, uint32_t view,
                       const struct wanted *wanted) {
    const struct view_result *result = views_result(drawing->views, view);
    const struct gpu_camera *camera = &views_spec(drawing->views, view)->camera;
    switch (wanted->want) {
    case WANT_LABELS:
        return push_labels(L, drawing, view, wanted);
    case WANT_MAP:
        return push_map(L, drawing, view, wanted->map);
    case WANT_FILE:
        if (wanted->encoding.format == VIEW_RGBA)
            return push_image(L, camera, result->file);
        lua_pushlstring(L, (const char *)result->file, result->file_size);
        return 1;
    case WANT_RGB:
        break;
    }
    if (result->image.rgb == NULL)
        return vm_failf(L, ERR_INVALID, "the views were drawn without pictures (picture = false)");
    lua_pushlstring(L, (const char *)result->image.rgb, (size_t)camera->width * camera->height * 3);
    return 1;
}

static int request_push(lua_State *L, struct wait *wait) {
    struct request *request = (struct request *)wait;
    if (request->err.code != 0)
        return vm_fail(L, &request->err);
    return push_wanted(L, request->drawing, request->view, &request->wanted);
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

static char *copy(const char *text) {
    return text != NULL ? strdup(text) : NULL;
}

static struct request *request_new(struct drawing *drawing, uint32_t view,
                                   const struct wanted *wanted) {
    struct request *request = calloc(1, sizeof *request);
    if (request == NULL)
        return NULL;
    request->drawing = drawing_retain(drawing);
    request->view = view;
    request->wanted = *wanted;
    request->wanted.image = request->image = copy(wanted->image);
    request->wanted.character = request->character = copy(wanted->character);
    request->next = drawing->requests;
    request->previous = &drawing->requests;
    if (request->next != NULL)
        request->next->previous = &request->next;
    drawing->requests = request;
    return request;
}

int drawing_ask(lua_State *L, struct drawing *drawing, uint32_t view, const struct wanted *wanted) {
    uint32_t batch = batch_of(drawing, view);
    if (wanted->want == WANT_FILE && wanted->encoding.format != VIEW_RGBA) {
        drawing->encode_ahead = true;
        drawing->last_encoding = wanted->encoding;
    }
    if (wanted->follow && drawing->front != batch && drawing->front != batch + 1) {
        drawing->front = batch;
        draw_ahead(drawing);
    }
    if (is_ready(drawing, view, wanted))
        return push_wanted(L, drawing, view, wanted);
    fiber_check(L);
    struct request *request = request_new(drawing, view, wanted);
    if (request == NULL)
        return vm_failf(L, ERR_NO_MEMORY, "no memory to wait for a view");
    start_for(drawing, request);
    if (request->err.code != 0) {
        struct err err = request->err;
        request_free(&request->wait);
        return vm_fail(L, &err);
    }
    return wait_begin(L, &request->wait, &request_ops);
}
