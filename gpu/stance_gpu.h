/* stance_gpu.h - the one door between the runtime and the pose and render kernels.
 *
 * What it is for: a character's mesh goes in once (gpu_scene_new); then batches of views are drawn
 * from it (gpu_render), each with its own camera and its own pose, and labelled (gpu_label).
 *
 * Units and axes: metres; world space is right-handed, y up, the body faces +z. Camera space is the
 * one of computer vision: x right, y down, z forward, so a pixel is (fx * x / z + cx, fy * y / z +
 * cy) with (0, 0) the outer corner of the top left pixel. Matrices are row-major 3x4 (the fourth
 * row is 0 0 0 1). Colours named `linear` are linear light, the others sRGB.
 *
 * Ownership: what a caller passes in is copied or only read during the call; what a *_new returns
 * is ended by its *_free, which takes NULL.
 *
 * Threads: a gpu_scene is immutable and may be shared by any number of threads; a gpu_renderer
 * holds scratch memory and belongs to one thread at a time. Nothing here starts a thread, touches a
 * file, or knows Lua, libuv or the network.
 *
 * Errors: functions that can fail return 0 or a negative GPU_E* code and write one line to `why`
 * (GPU_WHY_SIZE bytes). */
#ifndef STANCE_GPU_H
#define STANCE_GPU_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { GPU_WHY_SIZE = 256 };

enum gpu_error {
    GPU_OK = 0,
    GPU_EINVAL = -1,  /* the caller's numbers do not make sense */
    GPU_ENOMEM = -2,  /* out of memory */
    GPU_EDEVICE = -3, /* no such backend here, or the device failed */
};

/* -- Scenes ------------------------------------------------------------------------------------ */

/* A picture, 4 bytes RGBA a pixel, rows from the top, no padding. */
struct gpu_texture {
    uint32_t width, height;
    const uint8_t *rgba; /* sRGB with straight alpha */
};

struct gpu_material {
    float base_color[4]; /* linear RGBA, multiplied with the texture */
    int32_t texture;     /* index into gpu_scene_desc.textures, or -1 */
    float alpha_cutoff;  /* samples of lower alpha are holes; 0: opaque */
    bool double_sided;   /* else triangles seen from behind (clockwise) are dropped */
};

/* Everything about a character that does not change from view to view. Arrays are only read during
 * gpu_scene_new. Indices out of range are refused (GPU_EINVAL names the first); positions, normals
 * and weights may be anything: triangles with a corner that is no number, in the bind pose or in a
 * batch's, are left out of pictures and boxes. */
struct gpu_scene_desc {
    uint32_t vertex_count, triangle_count, joint_count, material_count, texture_count;
    uint32_t influences;       /* joints a vertex, 1..8 */
    const float *positions;    /* [vertex][3] in bind space, metres */
    const float *normals;      /* [vertex][3], unit length */
    const float *uvs;          /* [vertex][2], v = 0 at the top; NULL: no textures */
    const uint16_t *joints;    /* [vertex][influences] */
    const float *weights;      /* [vertex][influences], sum 1 */
    const uint32_t *indices;   /* [triangle][3], counter-clockwise seen from outside */
    const uint16_t *materials; /* [triangle] */
    const struct gpu_material *material_table;
    const struct gpu_texture *textures;
};

struct gpu_scene;

int gpu_scene_new(const struct gpu_scene_desc *desc, struct gpu_scene **out, char *why);
void gpu_scene_free(struct gpu_scene *scene);

/* -- Views ------------------------------------------------------------------------------------- */

struct gpu_camera {
    uint32_t width, height;
    float fx, fy, cx, cy;        /* pixels */
    float camera_from_world[12]; /* rigid */
    float near_plane;            /* metres; what is nearer is cut */
};

/* A camera at `eye` looking at `target`, upright, with the vertical field of view `fov_y` in
 * radians. */
void gpu_camera_look_at(struct gpu_camera *camera, const float eye[3], const float target[3],
                        float fov_y, uint32_t width, uint32_t height);

struct gpu_lighting {
    float sun_direction[3];                        /* towards the sun, world space, any length */
    float sun_color[3];                            /* linear irradiance */
    float sky_color[3];                            /* linear ambient from above */
    float bounce_color[3];                         /* linear ambient from below */
    float shadow_softness;                         /* metres: width of the penumbra */
    float exposure;                                /* factor before the tone curve */
    bool ground;                                   /* a floor that receives the shadow */
    float ground_y;                                /* metres */
    float ground_color[3];                         /* linear */
    float background_top[3], background_bottom[3]; /* linear gradient behind everything */
};

/* Fills in the daylight studio that `render` uses by default. */
void gpu_lighting_default(struct gpu_lighting *lighting);

struct gpu_view {
    struct gpu_camera camera;
    uint32_t pose; /* index into gpu_batch.poses */
};

/* Views that share a scene: skinning and shadow are done once a pose, not once a view. */
struct gpu_batch {
    uint32_t view_count, pose_count;
    const struct gpu_view *views;
    const float *poses; /* [pose][joint][12]: world from bind, metres */
    struct gpu_lighting lighting;
    uint32_t samples;     /* a pixel: 1, 4, 8 or 16 */
    uint32_t shadow_size; /* texels a side of the shadow map; 0: 1024 */
};

/* Where a view's results go; rgb is required, the others may be NULL. */
struct gpu_image {
    uint8_t *rgb;       /* [height][width][3], sRGB */
    float *depth;       /* [height][width], camera z in metres of the nearest sample of the body;
                           infinity: no body */
    uint32_t *triangle; /* [height][width], 1 + index of that sample's triangle; 0: no body */
    float *coverage;    /* [height][width], 0..1: share of the pixel's samples on the body */
};

/* CPU seconds by stage, added to (so start from zero). */
struct gpu_timings {
    double skin, shadow, raster, shade, label;
};

struct gpu_renderer;

/* backend: "cpu", "cuda" or "auto" (CUDA where its plug-in and a device are there, else the CPU);
 * this version has no CUDA render kernels, so "cuda" is GPU_EDEVICE and "auto" the CPU. "cpu" takes
 * the widest vectors that the processor has; "cpu:avx512", "cpu:avx2" and "cpu:portable" name them.
 * All of them make the same bytes. */
int gpu_renderer_new(const char *backend, struct gpu_renderer **out, char *why);
void gpu_renderer_free(struct gpu_renderer *renderer);
const char *gpu_renderer_backend(const struct gpu_renderer *renderer); /* "cpu (avx512)", ... */

/* Draws the batch; images[i] belongs to batch->views[i]. timings may be NULL. Pictures are 1 to
 * 8192 pixels a side. A view's bytes do not depend on what else is in the batch. Scratch memory
 * grows to the largest batch so far; after that nothing is allocated. */
int gpu_render(struct gpu_renderer *renderer, const struct gpu_scene *scene,
               const struct gpu_batch *batch, const struct gpu_image *images,
               struct gpu_timings *timings, char *why);

/* The axis-aligned box [min xyz, max xyz] of the scene's skinned vertices in one pose
 * ([joint][12]). */
void gpu_scene_box(const struct gpu_scene *scene, const float *pose, float box[6]);

/* -- Labels ------------------------------------------------------------------------------------ */

/* A point on or in the body that moves with it: skinned like a vertex. */
struct gpu_anchor {
    float position[3]; /* bind space, metres */
    uint16_t joint[4];
    float weight[4]; /* sum 1 */
    float radius;    /* metres from the point to the skin around it: how deep it may lie and still
                        count as seen */
};

enum {
    GPU_POINT_IN_FRAME = 1, /* projects inside the picture */
    GPU_POINT_OCCLUDED = 2, /* the body itself stands before it */
    GPU_POINT_BEHIND = 4,   /* behind the camera: pixel is not defined */
};

struct gpu_point {
    float pixel[2], camera[3], world[3];
    uint32_t flags;
};

struct gpu_label {
    float box[4]; /* x0 y0 x1 y1, pixels: the body's visible pixels; all 0 when none is visible */
    float
        full_box[4]; /* the same of all skinned vertices before the camera, not cut by the frame */
    uint32_t area;   /* pixels that the body covers */
};

/* Labels one view after gpu_render: places the anchors ([anchor_count], points likewise) in the
 * view's pose (one pose, [joint][12]) and tests them against `depth`, as gpu_render wrote it. */
void gpu_label(const struct gpu_scene *scene, const struct gpu_camera *camera, const float *pose,
               const float *depth, const struct gpu_anchor *anchors, uint32_t anchor_count,
               struct gpu_point *points, struct gpu_label *label);

#ifdef __cplusplus
}
#endif
#endif
