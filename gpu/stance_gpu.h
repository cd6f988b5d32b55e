/* stance_gpu.h - the one door between the runtime and the pose and render kernels.
 *
 * What it is for: a character's mesh goes in once (gpu_scene_new); then batches of views are drawn
 * (gpu_render), each with its own camera, of frames in which one or several characters stand, and
 * labelled (gpu_label). And back: people in pictures and in streams of pictures are found and
 * followed as 33 landmarks each (gpu_pose_detect, gpu_pose_track), by the networks of MediaPipe
 * Pose.
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
    const uint8_t *rgba; /* sRGB with straight alpha; data, such as normals, as it is */
    bool linear;         /* colours in it are linear light */
};

/* What a surface is to somebody who wants to tell clothes from skin. */
enum gpu_cover {
    GPU_COVER_UNKNOWN,
    GPU_COVER_SKIN,
    GPU_COVER_HAIR,
    GPU_COVER_CLOTHES,
    GPU_COVER_SHOES,
    GPU_COVER_EYES,
    GPU_COVER_OTHER,
};

/* The metallic-roughness model of glTF 2.0. Textures are indices into gpu_scene_desc.textures, or
 * -1; factors are multiplied with them. gpu_material_default sets what is usual. */
struct gpu_material {
    float base_color[4]; /* linear RGBA */
    int32_t texture;     /* colours: sRGB and alpha */
    float alpha_cutoff;  /* samples of lower alpha are holes; 0: opaque */
    bool double_sided;   /* else triangles seen from behind (clockwise) are dropped */
    float emissive[3];   /* linear */
    float metallic, roughness, normal_scale, occlusion_strength;
    int32_t metal_rough_texture; /* R occlusion, G roughness, B metallic */
    int32_t normal_texture, emissive_texture;
    enum gpu_cover cover;
};

/* White, opaque, rough, no metal, no textures. */
void gpu_material_default(struct gpu_material *material);

/* A morph target: what is added to some vertices at weight 1. */
struct gpu_morph {
    uint32_t count;
    const uint32_t *vertices; /* [count], rising */
    const float *positions;   /* [count][3], metres */
    const float *normals;     /* [count][3], or NULL: normals stay */
};

/* Everything about a character that does not change from view to view. Arrays are only read during
 * gpu_scene_new. Indices out of range are refused (GPU_EINVAL names the first); positions, normals
 * and weights may be anything: triangles with a corner that is no number, in the bind pose or in a
 * frame's, are left out of pictures and boxes. */
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
    const uint8_t *parts; /* [triangle], for gpu_image.part; NULL: all 0 */
    uint32_t morph_count;
    const struct gpu_morph *morphs;
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
    float distortion[5]; /* Brown-Conrady k1 k2 p1 p2 k3, as OpenCV; all 0: none. Vertices are moved
                            and edges between them stay straight; where the polynomial turns back
                            there is no picture */
    float lens_radius;   /* metres, of the aperture; 0: everything is sharp */
    float focus;         /* metres along the axis that are sharp */
};

/* A camera at `eye` looking at `target`, upright, with the vertical field of view `fov_y` in
 * radians; a pinhole. */
void gpu_camera_look_at(struct gpu_camera *camera, const float eye[3], const float target[3],
                        float fov_y, uint32_t width, uint32_t height);

/* A lamp without a shadow: a point, or a spot where `cone` is less than pi. */
struct gpu_light {
    float position[3];
    float direction[3]; /* that a spot shines in, any length */
    float color[3];     /* linear: of what a white wall that faces it a metre away sends back */
    float radius;       /* metres, of the source: softens its gleam, and its light close by */
    float cone, blend;  /* radians from the middle to the edge; share of it that fades, 0..1 */
};

/* Light from all around, of a picture: immutable, any number of threads may use it. */
struct gpu_environment;

/* rgb: [height][width][3], linear, equirectangular: column (1/2 + atan2(z, x) / 2 pi) width, the
 * top row towards y, as Blender and three.js read such pictures. Numbers are cut to 0..65504; sides
 * are 1 to 16384 pixels. Takes a tenth of a second or more. */
int gpu_environment_new(const float *rgb, uint32_t width, uint32_t height,
                        struct gpu_environment **out, char *why);
void gpu_environment_free(struct gpu_environment *environment);

/* How light becomes brightness. */
enum gpu_tone {
    GPU_TONE_SOFT,   /* colours stay what they are up to half of white, then roll off */
    GPU_TONE_FILMIC, /* film's curve: soft in the dark, too, and seven times white fits in */
    GPU_TONE_NONE,   /* what is brighter than white is white */
    GPU_TONE_COUNT,
};

enum { GPU_MAX_LIGHTS = 8 };

struct gpu_lighting {
    float sun_direction[3];                        /* towards the sun, world space, any length */
    float sun_color[3];                            /* linear: of what white that faces it sends */
    float sky_color[3];                            /* linear ambient from above */
    float bounce_color[3];                         /* linear ambient from below */
    float shadow_softness;                         /* metres: width of the penumbra */
    float occlusion;                               /* 0..1: bodies hide sky from themselves */
    float exposure;                                /* factor before the tone curve */
    bool ground;                                   /* a floor that receives the shadow */
    float ground_y;                                /* metres */
    float ground_color[3];                         /* linear */
    float background_top[3], background_bottom[3]; /* linear gradient behind everything */
    uint32_t light_count;
    struct gpu_light lights[GPU_MAX_LIGHTS];
    const struct gpu_environment *environment; /* instead of sky and bounce; NULL: those */
    float environment_turn;                    /* radians about y, as the picture is turned */
    float environment_strength;                /* factor */
    bool environment_visible;                  /* behind everything, instead of the gradient */
    enum gpu_tone tone;
};

/* Fills in the daylight studio that `render` uses by default. */
void gpu_lighting_default(struct gpu_lighting *lighting);

enum { GPU_MAX_ACTORS = 64 };

enum gpu_skinning {
    GPU_SKIN_LINEAR,          /* what most tools do: matrices are blended */
    GPU_SKIN_DUAL_QUATERNION, /* rotations are: limbs keep their volume where they bend and twist */
};

/* One person in a frame. */
struct gpu_actor {
    const struct gpu_scene *scene;
    const float *pose;        /* [joint][12]: world from bind, metres */
    const float *pose_next;   /* the same one frame later; NULL: as pose */
    const float *morphs;      /* [morph_count]: weights of the morph targets; NULL: all 0 */
    const float *morphs_next; /* one frame later; NULL: as morphs */
    enum gpu_skinning skinning;
};

/* Who stands where in a moment, and under which light. */
struct gpu_frame {
    uint32_t actor_count; /* 0..GPU_MAX_ACTORS; none: an empty stage */
    const struct gpu_actor *actors;
    const struct gpu_lighting *lighting;
};

/* Noise of a camera's sensor, in light after exposure: standard deviations at full scale. */
struct gpu_sensor {
    float shot_noise; /* grows with the root of the light */
    float read_noise; /* the same everywhere */
    uint64_t seed;    /* the same seed, the same noise */
};

struct gpu_view {
    struct gpu_camera camera;
    struct gpu_camera camera_next; /* one frame later; its width 0: the camera stands still */
    uint32_t frame;                /* index into gpu_batch.frames */
    struct gpu_sensor sensor;
    const struct gpu_texture *background; /* an sRGB picture behind everything, cropped to cover;
                                             the ground then only darkens it; NULL: none */
};

/* Skinning and shadows are done once a frame, not once a view. */
struct gpu_batch {
    uint32_t view_count, frame_count;
    const struct gpu_view *views;
    const struct gpu_frame *frames;
    uint32_t samples;     /* a pixel: 1, 4, 8, 16, 32 or 64 */
    uint32_t shadow_size; /* texels a side of the shadow map; 0: 1024 */
    float shutter; /* 0..1 of the time to the next frame that it is open; 0: no motion blur */
};

/* Where a view's results go, each [height][width]; any may be NULL: without rgb labels cost little
 * more than finding out what is where. A pixel's maps tell of its nearest sample; all but rgb and
 * coverage are of the sharp picture when the shutter opens, whatever lens and shutter do to
 * colours.
 */
struct gpu_image {
    uint8_t *rgb;       /* [3], sRGB */
    float *depth;       /* camera z in metres; infinity: nobody */
    uint32_t *triangle; /* 1 + index, the frame's actors one after the other; 0: nobody */
    uint8_t *person;    /* 1 + index of the actor; 0: nobody */
    uint8_t *part;      /* gpu_scene_desc.parts; 0: nobody */
    uint8_t *cover;     /* enum gpu_cover; GPU_COVER_UNKNOWN: nobody */
    float *normal;   /* [3], camera space, unit length: the mesh's, without its material's map; all
                        0: nobody */
    float *flow;     /* [2], pixels to where the point is one frame later; not a number: nobody, or
                        not before the camera then */
    float *coverage; /* 0..1: share of the pixel's samples on people */
};

/* CPU seconds by stage, added to (so start from zero). */
struct gpu_timings {
    double skin, shadow, raster, shade, label;
};

struct gpu_renderer;

/* backend: "cpu", "cuda" or "auto": CUDA where plug-in, driver and device are there, else the CPU.
 * "cpu" takes the widest vectors that the processor has; "cpu:avx512", "cpu:avx2" and
 * "cpu:portable" name them. All of them make the same bytes; colours of CUDA's may be 1 off. */
int gpu_renderer_new(const char *backend, struct gpu_renderer **out, char *why);
void gpu_renderer_free(struct gpu_renderer *renderer);
const char *gpu_renderer_backend(const struct gpu_renderer *renderer); /* "cpu (avx512)", ... */

/* Why batches were drawn by the CPU although the renderer is CUDA's (device lost, out of memory):
 * worth a line in the log. NULL: none was. */
const char *gpu_renderer_fallback(const struct gpu_renderer *renderer);

/* Draws the batch; images[i] belongs to batch->views[i]. timings may be NULL. Pictures are 1 to
 * 8192 pixels a side. A view's bytes do not depend on what else is in the batch. Scratch memory
 * grows to the largest batch so far; after that nothing is allocated. */
int gpu_render(struct gpu_renderer *renderer, const struct gpu_batch *batch,
               const struct gpu_image *images, struct gpu_timings *timings, char *why);

/* The axis-aligned box [min xyz, max xyz] of an actor's vertices, all 0 where there are none. Can
 * fail with GPU_ENOMEM where skinning is by dual quaternions. */
int gpu_actor_box(const struct gpu_actor *actor, float box[6]);

/* -- Labels ------------------------------------------------------------------------------------ */

/* A point on or in the body that moves with it: skinned like a vertex. */
struct gpu_anchor {
    float position[3]; /* bind space, metres */
    uint16_t joint[4];
    float weight[4]; /* sum 1 */
    float radius;    /* metres from the point to the skin around it: how deep it may lie and still
                        count as seen */
    uint32_t parts;  /* bits 1 << gpu_scene_desc.parts: whose surface is the point's own skin; that
                        of other parts hides it however near it is. 0: all, and wherever
                        gpu_image.part is NULL */
};

enum gpu_point_state {
    GPU_POINT_VISIBLE,
    GPU_POINT_SELF_OCCLUDED, /* the person's own body stands before it */
    GPU_POINT_OCCLUDED,      /* somebody else does */
    GPU_POINT_OUT_OF_FRAME,
    GPU_POINT_BEHIND_CAMERA, /* pixel is not defined */
};

struct gpu_point {
    float pixel[2], camera[3], world[3];
    enum gpu_point_state state;
};

struct gpu_label {
    float box[4];      /* x0 y0 x1 y1, pixels: those that show the person; all 0 when none does */
    float full_box[4]; /* the same of all skinned vertices before the camera, hidden or not, not cut
                          by the frame */
    uint32_t area;     /* pixels that show the person */
    uint32_t full_area; /* pixels that would if nobody stood before it and the picture had no end */
    float visible;      /* area / full_area, 0..1 */
};

/* Labels one actor of one view after gpu_render: places the anchors ([anchor_count], points
 * likewise) and tests them against the image's `depth` and `person` (and `part`, where there is
 * one), as gpu_render wrote them; with one actor in the frame `person` may be NULL.
 *
 * A point is hidden when most of the 3 x 3 pixels around it show something before it: somebody
 * else, however near; of its own body another part, or its own part by more than 1.5 radii and a
 * centimetre. What hides more of these pixels gives the state its name.
 *
 * full_area adds to area what a drawing of the person alone, at one sample a pixel, has outside the
 * frame or where others are; bodies that would cover more than a million pixels are counted on a
 * coarser grid. Errors: GPU_EINVAL (no such actor, maps are missing), GPU_ENOMEM. Allocates scratch
 * for the drawing where somebody is cut or hidden; any thread. The same bytes on every machine. */
int gpu_label(const struct gpu_frame *frame, uint32_t actor, const struct gpu_camera *camera,
              const struct gpu_image *image, const struct gpu_anchor *anchors,
              uint32_t anchor_count, struct gpu_point *points, struct gpu_label *label, char *why);

/* -- Pose -------------------------------------------------------------------------------------- */

/* A picture for the pose networks, or the part of one that was decoded: rows [y, y + height) and
 * columns [x, x + width) of a picture of whole_width x whole_height. `rgb` points at the part's
 * first pixel. Places in results are always of the whole picture. */
struct gpu_picture {
    const uint8_t *rgb; /* sRGB */
    uint32_t channels;  /* bytes from pixel to pixel: 3, or 4 (the fourth is not looked at) */
    size_t stride;      /* bytes from row to row */
    uint32_t x, y, width, height;
    uint32_t whole_width, whole_height;
};

enum { GPU_POSE_LANDMARKS = 33, GPU_POSE_MAX_PEOPLE = 16 };

/* One person. Landmarks in MediaPipe's order (0 nose ... 32 right foot index; left and right are
 * the person's). */
struct gpu_pose_person {
    uint32_t id; /* stays with a person while a session follows them; from 1 */
    float score; /* that somebody is there, 0..1 */
    float landmarks[GPU_POSE_LANDMARKS][4]; /* x, y in 0..1 of the picture (may lie outside), z in
                                               units of its width, hips at 0; visibility 0..1 */
    float world[GPU_POSE_LANDMARKS][4];     /* metres, hips at the origin, x right, y down, z away
                                               from the camera; visibility */
    float
        roi[4]; /* the square that was looked at: centre x, y, side (pixels), rotation (radians) */
};

struct gpu_pose_people {
    uint32_t count;
    bool detected; /* the detector ran for this picture */
    struct gpu_pose_person person[GPU_POSE_MAX_PEOPLE];
};

/* Defaults are MediaPipe's: gpu_pose_options_default. */
struct gpu_pose_options {
    uint32_t people;                   /* at most so many are followed, 1..GPU_POSE_MAX_PEOPLE */
    float min_detection, min_tracking; /* confidences, 0..1 */
    bool smooth;                       /* One-Euro filters on what is followed */
    bool sane_reset; /* all filters forget a person that was lost; else, as MediaPipe
                        does, visibilities and world landmarks are smoothed on */
    double redetect; /* seconds between looks for further people while fewer than
                        `people` are followed; only with people > 1 */
};
void gpu_pose_options_default(struct gpu_pose_options *options);

/* The two networks of a model, ready on a backend, with scratch memory: one thread at a time. Any
 * number of sessions may take turns on it. */
struct gpu_pose_engine;

struct gpu_pose_files { /* TFLite files, read only during the call */
    const void *detector, *landmarks;
    size_t detector_size, landmarks_size;
};

/* backend: "cpu", "cuda", or "auto": CUDA where plug-in, driver and device are there,
 * else the CPU. */
int gpu_pose_engine_new(const struct gpu_pose_files *files, const char *backend,
                        struct gpu_pose_engine **out, char *why);
void gpu_pose_engine_free(struct gpu_pose_engine *engine);
const char *gpu_pose_engine_backend(const struct gpu_pose_engine *engine);
size_t gpu_pose_engine_memory(const struct gpu_pose_engine *engine); /* bytes */

/* Why the engine left the GPU for the CPU while it worked (device lost, out of memory): worth a
 * line in the log. NULL: it did not. */
const char *gpu_pose_engine_fallback(const struct gpu_pose_engine *engine);

/* Writes what "cuda" would run on, one line of GPU_WHY_SIZE bytes; GPU_EDEVICE: `why` says what is
 * missing. */
int gpu_pose_device(char *line, char *why);

/* Looks at pictures that have nothing to do with each other: detector, then landmarks, nothing is
 * smoothed; people are ordered by the detector's score. Needs whole pictures. */
int gpu_pose_detect(struct gpu_pose_engine *engine, const struct gpu_pose_options *options,
                    const struct gpu_picture *pictures, uint32_t count,
                    struct gpu_pose_people *people, char *why);

/* What is remembered between the frames of one stream (some kilobytes a person). */
struct gpu_pose_session;
int gpu_pose_session_new(const struct gpu_pose_options *options, struct gpu_pose_session **out,
                         char *why);
void gpu_pose_session_free(struct gpu_pose_session *session);
void gpu_pose_session_reset(struct gpu_pose_session *session); /* as new */

/* The part of the next frame of this size (at `time`) that gpu_pose_track will look at, as x, y,
 * width, height: a caller may decode only that. The whole picture when the detector will run. */
void gpu_pose_session_window(const struct gpu_pose_session *session, uint32_t width,
                             uint32_t height, double time, uint32_t window[4]);

/* The next frame of each of `count` different sessions, with its time in seconds (above 0);
 * people[i] is session i's, ordered by id. A time that does not go forward gives unsmoothed
 * landmarks, as MediaPipe does. A frame of another size than the last begins anew. After a failure
 * sessions are as before the call. Scratch memory grows to the largest batch so far; after that the
 * engine itself allocates nothing. */
int gpu_pose_track(struct gpu_pose_engine *engine, struct gpu_pose_session *const *sessions,
                   const struct gpu_picture *pictures, const double *times, uint32_t count,
                   struct gpu_pose_people *people, char *why);

#ifdef __cplusplus
}
#endif
#endif
