#include "media/pose_child.h"

#include <assert.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "media/image.h"
#include "media/jpeg_window.h"
#include "media/pose_wire.h"

static const double beat_seconds = 5;

enum { KEPT_PIXELS = 4 << 20 }; /* the memory of larger pictures is given back */

/* A request that waits for its turn; one allocation with its picture's bytes. */
struct asked {
    struct asked *next;
    uint64_t id;
    struct pose_query query;
    size_t size;
    unsigned char bytes[];
};

struct followed {
    uint64_t id; /* 0: free */
    bool fresh;  /* has seen no picture */
    struct gpu_pose_session *session;
};

/* A request that is being answered. */
struct look {
    struct asked *asked;
    struct followed *followed; /* NULL: detecting */
    struct image image;
    double decode_seconds;
};

struct pose_child {
    struct loop *loop;
    struct link *link;
    uv_idle_t work; /* runs while requests wait */
    struct gpu_pose_engine *engine;
    uint32_t batch;
    bool has_fallen_back;
    struct asked *first, **last;
    struct followed followed[POSE_SESSIONS_MAX];

    /* The present group. */
    uint32_t count;
    struct look looks[POSE_CUDA_BATCH];
    struct jpeg_window *decoders[POSE_CUDA_BATCH]; /* made when first needed */
    struct gpu_picture pictures[POSE_CUDA_BATCH];
    struct gpu_pose_session *sessions[POSE_CUDA_BATCH];
    double times[POSE_CUDA_BATCH];
    struct gpu_pose_people people[POSE_CUDA_BATCH];
};

/* -- Telling the parent ------------------------------------------------------------------------ */

static void tell(struct link *link, struct pose_news *news) {
    news->version = POSE_WIRE_VERSION;
    link_send_event(link, news, sizeof *news, NULL);
}

static void refuse(struct pose_child *child, uint64_t id, const struct err *err) {
    struct pose_refusal refusal = {.code = err->code};
    snprintf(refusal.words, sizeof refusal.words, "%s", err->message);
    link_reply(child->link, id, false, &refusal, sizeof refusal, NULL);
}

static void tell_backend(struct pose_child *child, enum pose_news_kind kind, const char *words) {
    const char *name = gpu_pose_engine_backend(child->engine);
    child->batch = strncmp(name, "cuda", 4) == 0 ? POSE_CUDA_BATCH : 1;
    struct pose_news news = {
        .kind = kind, .batch = child->batch, .memory = gpu_pose_engine_memory(child->engine)};
    snprintf(news.backend, sizeof news.backend, "%s", name);
    snprintf(news.words, sizeof news.words, "%s", words);
    tell(child->link, &news);
}

static void check_fallback(struct pose_child *child) {
    const char *reason = gpu_pose_engine_fallback(child->engine);
    if (reason == NULL || child->has_fallen_back)
        return;
    child->has_fallen_back = true;
    tell_backend(child, POSE_FALLBACK, reason);
}

/* -- Sessions ---------------------------------------------------------------------------------- */

static struct followed *find_session(struct pose_child *child, uint64_t id) {
    for (int i = 0; i < POSE_SESSIONS_MAX; i++)
        if (child->followed[i].id == id)
            return &child->followed[i];
    return NULL;
}

static void end_session(struct followed *followed) {
    gpu_pose_session_free(followed->session);
    *followed = (struct followed){0};
}

static struct followed *open_session(struct pose_child *child, const struct pose_query *query,
                                     struct err *err) {
    char why[GPU_WHY_SIZE];
    struct followed *followed = find_session(child, query->session);
    if (followed != NULL)
        return followed;
    followed = find_session(child, 0);
    if (followed == NULL) {
        err_set(err, ERR_BUSY, "a pose process follows %d sessions already", POSE_SESSIONS_MAX);
        return NULL;
    }
    if (gpu_pose_session_new(&query->options, &followed->session, why) != 0) {
        err_set(err, ERR_INVALID, "%s", why);
        return NULL;
    }
    followed->id = query->session;
    followed->fresh = true;
    return followed;
}

/* -- Pictures ---------------------------------------------------------------------------------- */

static int take_pixels(const struct asked *asked, struct gpu_picture *picture, struct err *err) {
    const struct pose_query *query = &asked->query;
    size_t stride = (size_t)query->width * query->channels;
    if ((query->channels != 3 && query->channels != 4) || query->width > IMAGE_MAX_SIDE ||
        query->height > IMAGE_MAX_SIDE || query->height == 0 ||
        asked->size != stride * query->height)
        return err_set(err, ERR_INVALID, "%zu bytes are no picture of %u x %u pixels of %u bytes",
                       asked->size, query->width, query->height, query->channels);
    *picture = (struct gpu_picture){.rgb = asked->bytes,
                                    .channels = query->channels,
                                    .stride = stride,
                                    .width = query->width,
                                    .height = query->height,
                                    .whole_width = query->width,
                                    .whole_height = query->height};
    return 0;
}

/* Of a frame in which somebody is followed, only the part around them. */
static int take_jpeg(struct pose_child *child, const struct look *look, struct gpu_picture *picture,
                     struct err *err) {
    struct jpeg_window **decoder = &child->decoders[child->count];
    uint32_t size[2], window[4] = {0};
    int code = *decoder ? 0 : jpeg_window_new(decoder, err);
    if (code == 0)
        code = jpeg_window_open(*decoder, look->asked->bytes, look->asked->size, POSE_PIXELS_MAX,
                                size, err);
    if (code != 0)
        return code;
    window[2] = size[0];
    window[3] = size[1];
    if (look->followed != NULL)
        gpu_pose_session_window(look->followed->session, size[0], size[1], look->asked->query.time,
                                window);
    return jpeg_window_read(*decoder, window, picture, err);
}

static int take_file(struct pose_child *child, struct look *look, struct gpu_picture *picture,
                     struct err *err) {
    static const struct image_options options = {
        .upright = true, .whole = true, .max_pixels = POSE_PIXELS_MAX};
    const struct asked *asked = look->asked;
    struct image *image = &look->image;
    const char *kind = image_kind(asked->bytes, asked->size);
    if (kind != NULL && strcmp(kind, "jpeg") == 0)
        return take_jpeg(child, look, picture, err);
    int code = image_decode_with(asked->bytes, asked->size, &options, image, err);
    if (code == 0)
        *picture = (struct gpu_picture){.rgb = image->rgba,
                                        .channels = 4,
                                        .stride = (size_t)image->width * 4,
                                        .width = image->width,
                                        .height = image->height,
                                        .whole_width = image->width,
                                        .whole_height = image->height};
    return code;
}

/* -- Answering --------------------------------------------------------------------------------- */

static void end_look(struct look *look) {
    image_deinit(&look->image);
    free(look->asked);
    *look = (struct look){0};
}

static struct asked *take_asked(struct pose_child *child) {
    struct asked *asked = child->first;
    child->first = asked->next;
    if (child->first == NULL)
        child->last = &child->first;
    return asked;
}

static bool is_same(const struct gpu_pose_options *a, const struct gpu_pose_options *b) {
    return a->people == b->people && a->min_detection == b->min_detection &&
           a->min_tracking == b->min_tracking && a->smooth == b->smooth &&
           a->sane_reset == b->sane_reset && a->redetect == b->redetect;
}

/* Can it go through the networks together with what the group has already? */
static bool is_alike(const struct pose_child *child, const struct pose_query *query) {
    const struct pose_query *first = &child->looks[0].asked->query;
    if (query->op != first->op)
        return false;
    if (query->op == POSE_DETECT)
        return is_same(&query->options, &first->options);
    for (uint32_t i = 0; i < child->count; i++)
        if (child->looks[i].asked->query.session == query->session)
            return false;
    return true;
}

/* Decodes a request's picture and takes it into the group, or refuses it. */
static void join(struct pose_child *child, struct asked *asked) {
    struct look *look = &child->looks[child->count];
    struct gpu_picture *picture = &child->pictures[child->count];
    struct err err;
    *look = (struct look){.asked = asked};
    if (asked->query.op == POSE_PUSH)
        look->followed = open_session(child, &asked->query, &err);
    double began = loop_seconds();
    if ((asked->query.op == POSE_PUSH && look->followed == NULL) ||
        (asked->query.width != 0 ? take_pixels(asked, picture, &err)
                                 : take_file(child, look, picture, &err)) != 0) {
        refuse(child, asked->id, &err);
        end_look(look);
        return;
    }
    look->decode_seconds = loop_seconds() - began;
    child->sessions[child->count] = look->followed ? look->followed->session : NULL;
    child->times[child->count++] = asked->query.time;
}

static void end_sessions(struct pose_child *child) {
    while (child->first != NULL && child->first->query.op == POSE_END) {
        struct asked *asked = take_asked(child);
        struct followed *followed = find_session(child, asked->query.session);
        if (followed != NULL)
            end_session(followed);
        free(asked);
    }
}

static void gather(struct pose_child *child) {
    size_t pixels = 0;
    end_sessions(child);
    while (child->first != NULL && child->count < child->batch && pixels < POSE_PIXELS_MAX &&
           child->first->query.op != POSE_END &&
           (child->count == 0 || is_alike(child, &child->first->query))) {
        uint32_t before = child->count;
        join(child, take_asked(child));
        if (child->count > before)
            pixels +=
                (size_t)child->pictures[before].whole_width * child->pictures[before].whole_height;
    }
}

static void answer(struct pose_child *child, uint32_t i, double seconds) {
    struct look *look = &child->looks[i];
    const struct gpu_pose_people *people = &child->people[i];
    static struct pose_sight sight;
    sight = (struct pose_sight){.width = child->pictures[i].whole_width,
                                .height = child->pictures[i].whole_height,
                                .detected = people->detected,
                                .count = people->count,
                                .decode_seconds = (float)look->decode_seconds,
                                .infer_seconds = (float)seconds};
    if (look->followed != NULL) {
        sight.fresh = look->followed->fresh;
        look->followed->fresh = false;
    }
    memcpy(sight.person, people->person, people->count * sizeof *people->person);
    link_reply(child->link, look->asked->id, true, &sight,
               POSE_SIGHT_HEAD + people->count * sizeof *people->person, NULL);
}

static void answer_group(struct pose_child *child) {
    char why[GPU_WHY_SIZE] = "";
    assert(child->looks[0].asked != NULL);
    const struct pose_query *first = &child->looks[0].asked->query;
    double began = loop_seconds();
    int code = first->op == POSE_PUSH
                   ? gpu_pose_track(child->engine, child->sessions, child->pictures, child->times,
                                    child->count, child->people, why)
                   : gpu_pose_detect(child->engine, &first->options, child->pictures, child->count,
                                     child->people, why);
    double seconds = (loop_seconds() - began) / child->count;
    struct err err;
    err_set(&err,
            code == GPU_EINVAL   ? ERR_INVALID
            : code == GPU_ENOMEM ? ERR_NO_MEMORY
                                 : ERR_IO,
            "%s", why);
    for (uint32_t i = 0; i < child->count; i++) {
        if (code == 0)
            answer(child, i, seconds);
        else
            refuse(child, child->looks[i].asked->id, &err);
        end_look(&child->looks[i]);
        if ((size_t)child->pictures[i].width * child->pictures[i].height > KEPT_PIXELS) {
            jpeg_window_free(child->decoders[i]);
            child->decoders[i] = NULL;
        }
    }
    child->count = 0;
    check_fallback(child);
}

static void work(uv_idle_t *idle) {
    struct pose_child *child = idle->data;
    gather(child);
    if (child->count > 0)
        answer_group(child);
    if (child->first == NULL)
        uv_idle_stop(&child->work);
}

/* -- Being asked ------------------------------------------------------------------------------- */

static int check_query(const struct pose_query *query, bool is_event, struct err *err) {
    bool known =
        is_event ? query->op == POSE_END : query->op == POSE_DETECT || query->op == POSE_PUSH;
    if (!known)
        return err_set(err, ERR_INVALID, "no such request: %u", query->op);
    if (query->op != POSE_DETECT && query->session == 0)
        return err_set(err, ERR_INVALID, "a picture of no session");
    return 0;
}

/* Events wait in line, too: what was pushed to a session before its end comes first. */
static int enqueue(struct pose_child *child, uint64_t id, const char *payload, size_t size,
                   struct err *err) {
    struct pose_query query;
    if (size < sizeof query)
        return err_set(err, ERR_INVALID, "a request of %zu bytes", size);
    memcpy(&query, payload, sizeof query);
    int code = check_query(&query, id == 0, err);
    if (code != 0)
        return code;
    struct asked *asked = malloc(sizeof *asked + size - sizeof query);
    if (asked == NULL)
        return err_set(err, ERR_NO_MEMORY, "no memory for a picture of %zu bytes", size);
    *asked = (struct asked){.id = id, .query = query, .size = size - sizeof query};
    memcpy(asked->bytes, payload + sizeof query, asked->size);
    *child->last = asked;
    child->last = &asked->next;
    uv_idle_start(&child->work, work);
    return 0;
}

static void on_request(struct link *link, uint64_t id, const char *payload, size_t size,
                       void *arg) {
    struct err err;
    (void)link;
    if (enqueue(arg, id, payload, size, &err) != 0)
        refuse(arg, id, &err);
}

static void on_event(struct link *link, const char *payload, size_t size, void *arg) {
    (void)link;
    enqueue(arg, 0, payload, size, NULL);
}

static void on_closed(struct link *link, const struct err *err, void *arg) {
    struct pose_child *child = arg;
    (void)link, (void)err;
    loop_stop(child->loop);
}

/* -- Its life ---------------------------------------------------------------------------------- */

int pose_child_new(struct loop *loop, int fd, struct pose_child **out, struct err *err) {
    struct pose_child *child = calloc(1, sizeof *child);
    if (child == NULL)
        return err_set(err, ERR_NO_MEMORY, "no memory for a pose process");
    child->loop = loop;
    child->last = &child->first;
    struct link_options options = {
        .callbacks = {.request = on_request, .event = on_event, .closed = on_closed},
        .arg = child,
        .beat_seconds = beat_seconds};
    int code = link_new(loop, fd, &options, &child->link, err);
    if (code != 0) {
        free(child);
        return code;
    }
    uv_idle_init(&loop->uv, &child->work);
    child->work.data = child;
    *out = child;
    return 0;
}

void pose_child_begin(struct pose_child *child, struct gpu_pose_engine *engine,
                      const char *warning) {
    child->engine = engine;
    tell_backend(child, POSE_READY, warning);
}

void pose_child_give_up(struct pose_child *child, const struct err *why) {
    struct pose_news news = {.kind = POSE_FAILED, .code = why->code};
    snprintf(news.words, sizeof news.words, "%s", why->message);
    tell(child->link, &news);
    while (link_is_open(child->link) && link_queued(child->link) > 0)
        uv_run(&child->loop->uv, UV_RUN_ONCE);
}

static void work_closed(uv_handle_t *handle) {
    free(handle->data);
}

void pose_child_free(struct pose_child *child) {
    if (child == NULL)
        return;
    while (child->first != NULL)
        free(take_asked(child));
    for (int i = 0; i < POSE_SESSIONS_MAX; i++)
        end_session(&child->followed[i]);
    for (int i = 0; i < POSE_CUDA_BATCH; i++)
        jpeg_window_free(child->decoders[i]);
    link_free(child->link);
    uv_close((uv_handle_t *)&child->work, work_closed);
}
