/* view.h - cameras, light, sample patterns and projected vertices: what all backends compute from a
 * batch before any pixel, written once so that they agree. Nothing here allocates. */
#ifndef STANCE_GPU_VIEW_H
#define STANCE_GPU_VIEW_H

#include "../stance_gpu.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    GPU_SUBPIXEL_BITS = 8,
    GPU_SUBPIXEL =
        1 << GPU_SUBPIXEL_BITS, /* steps a pixel that projected vertices are rounded to */
    GPU_MAX_SIDE = 8192,        /* pixels a side */
    GPU_GUARD = 16383, /* pixels: projected vertices beyond are clipped, so that |x| < 2^22 steps */
    GPU_BLOCK = 16,    /* samples that are rasterised together: GPU_BLOCK / samples pixels */
};

/* Where the samples of a pixel lie, in steps from its corner, and the same spread over a block. */
struct gpu_pattern {
    uint32_t samples;
    int32_t x[16], y[16]; /* [samples] */
    int32_t min_x, max_x, min_y, max_y;
    int32_t block_xy[GPU_BLOCK]; /* x | y << 16 of each sample, pixels side by side */
    float block_x[GPU_BLOCK], block_y[GPU_BLOCK];
    float block_pixel[GPU_BLOCK]; /* what of block_x is its pixel's */
};

/* False where there is no such pattern: 1, 4, 8 and 16 there are. */
bool gpu_pattern_init(struct gpu_pattern *pattern, uint32_t samples);

enum { GPU_MAX_PASSES = 4, GPU_MAX_SAMPLES = 64 };

/* How many passes of up to GPU_BLOCK samples a picture of 1, 4, 8, 16, 32 or 64 samples a pixel
 * takes; 0: there is no such picture. */
uint32_t gpu_pattern_passes(uint32_t samples);
void gpu_pattern_init_pass(struct gpu_pattern *pattern, uint32_t samples, uint32_t pass);

/* One of them alone. */
void gpu_pattern_init_single(struct gpu_pattern *pattern, uint32_t samples, uint32_t index);

/* Where a sample of a blurred picture is. */
struct gpu_moment {
    float x, y; /* on the lens, of radius 1 */
    float time; /* 0..1 of the time that the shutter is open */
};

struct gpu_moment gpu_moment_find(uint32_t samples, uint32_t index);

/* What a lens does to the place of a point; distort.h and lens.h do it. */
struct gpu_lens {
    bool on; /* else a pinhole, and the rest does not count */
    float fx, fy, cx, cy;
    float k[5];  /* k1 k2 p1 p2 k3 */
    float limit; /* the square of camera x / z, y / z beyond which the picture would turn back */
};

/* How a point is projected: camera = m * point; perspective: (fx x / z + cx, fy y / z + cy) pixels
 * and w = 1 / z; else (fx x + cx, fy y + cy) and w = z. A greater w is nearer; w > 0. */
struct gpu_projection {
    float m[12];
    float fx, fy, cx, cy;
    float near_plane;
    bool perspective;
    struct gpu_lens lens; /* perspective only */
};

struct gpu_projection gpu_camera_projection(const struct gpu_camera *camera);

/* The eye and the ray through pixel (0, 0), and what a pixel to the right and a pixel down add to
 * it; world space. A ray's length is chosen so that its camera z is 1. Through a lens: lens.h. */
struct gpu_rays {
    float eye[3], origin[3], right[3], down[3];
    struct gpu_lens lens;
};

struct gpu_rays gpu_camera_rays(const struct gpu_camera *camera);

/* Moves the eye (x, y) metres over the lens while what is at the camera's focus stays in place. */
void gpu_camera_shift(const struct gpu_camera *camera, float x, float y,
                      struct gpu_projection *projection, struct gpu_rays *rays);

/* The camera on its way from a (time 0) to b (time 1). */
void gpu_camera_between(const struct gpu_camera *a, const struct gpu_camera *b, float time,
                        struct gpu_camera *out);

/* GPU_OK, or GPU_EINVAL and why. */
int gpu_camera_check(const struct gpu_camera *camera, char *why);
int gpu_view_check(const struct gpu_view *view, uint32_t index, char *why);
int gpu_lighting_check(const struct gpu_lighting *lighting, char *why);

/* The sun and its picture's axes, unit length: seen from the sun, x is `across` and y is `down`. */
struct gpu_sun {
    float direction[3], across[3], down[3];
};

struct gpu_sun gpu_lighting_sun(const struct gpu_lighting *lighting);

enum {
    GPU_SHADOW_TAPS = 64, /* looks into the sun's map that a soft edge takes */
    GPU_RIM_TAPS = 16,    /* the last of them, along the rim */
};

/* Points spread evenly over a disc of radius 1, from its middle outwards. */
void gpu_lighting_taps(float x[GPU_SHADOW_TAPS], float y[GPU_SHADOW_TAPS]);

/* -- From linear light to sRGB ------------------------------------------------------------------
 */

enum {
    GPU_TONE_STEPS = 8,    /* log2 of the entries an octave */
    GPU_TONE_OCTAVES = 16, /* from 2^-12 to 2^4 */
    GPU_TONE_ENTRIES = GPU_TONE_OCTAVES << GPU_TONE_STEPS,
    GPU_TONE_LOWEST = (127 - 12) << 23,    /* 2^-12 as the bits of a float */
    GPU_TONE_BYTES = GPU_TONE_ENTRIES + 3, /* for those who read words */
};

/* A tone curve and sRGB's in one table: entry (bits of the float - GPU_TONE_LOWEST) >> (23 -
 * GPU_TONE_STEPS), so that the dark is resolved as finely as the bright. */
void gpu_tone_table(enum gpu_tone curve, uint8_t table[GPU_TONE_BYTES]);

#ifdef __cplusplus
}
#endif
#endif
