/* pose_wire.h - what a pose process (media/pose_child.h) and those who ask it (media/pose_pool.h)
 * say to each other over a link (core/link.h).
 *
 * A request is a struct pose_query and the bytes of its picture; its reply a struct pose_sight
 * with as many people as it says; a refusal a struct pose_refusal. The child sends struct pose_news
 * as events, its parent queries without an answer. All are sent as they lie in memory: both ends
 * are the same program, on one machine. The child reads hostile pictures, so what it says is
 * checked like a stranger's. */
#ifndef STANCE_MEDIA_POSE_WIRE_H
#define STANCE_MEDIA_POSE_WIRE_H

#include <stddef.h>
#include <stdint.h>

#include "core/link.h"
#include "stance_gpu.h"

enum {
    POSE_WIRE_VERSION = 1,
    POSE_PICTURE_MAX = LINK_MAX_PAYLOAD - 4096, /* bytes of a file or of pixels */
    POSE_PIXELS_MAX = 32 << 20,                 /* of a picture, from its header */
    POSE_SESSIONS_MAX = 256,                    /* that one process follows */
    POSE_CUDA_BATCH = 32,                       /* pictures that go through the networks at once */
};

enum pose_op {
    POSE_DETECT = 1,
    POSE_PUSH, /* the next picture of a session, which begins with its first */
    POSE_END,  /* an event: nobody pushes to the session any more */
};

struct pose_query {
    uint32_t op;
    uint32_t width, height, channels; /* of the pixels that follow, 3 or 4; 0: a file follows */
    struct gpu_pose_options options;
    uint64_t session;
    double time; /* seconds */
};

struct pose_sight {
    uint32_t width, height; /* of the picture */
    uint32_t detected;      /* the detector ran */
    uint32_t fresh;         /* the session began with this picture */
    uint32_t count;
    float decode_seconds, infer_seconds;
    struct gpu_pose_person person[GPU_POSE_MAX_PEOPLE]; /* only `count` of them are sent */
};

enum { POSE_SIGHT_HEAD = offsetof(struct pose_sight, person) };

struct pose_refusal {
    int32_t code; /* enum err_code */
    char words[400];
};

enum pose_news_kind {
    POSE_READY = 1, /* once: the networks are there */
    POSE_FAILED,    /* instead of it: `code` and `words` say why; the process ends */
    POSE_FALLBACK,  /* from here on it computes on `backend`, for the reason `words` */
};

struct pose_news {
    uint32_t version, kind;
    int32_t code;
    uint32_t batch;  /* pictures that it takes at once */
    uint64_t memory; /* bytes that the networks hold */
    char backend[64];
    char words[400]; /* READY: what could not be confined, or "" */
};

#endif
