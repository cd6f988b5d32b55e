/* crop_plan.c - which square of a picture the networks see; see net_kernels.h. */
#include "fail.h"
#include "net_kernels.h"

#include <math.h>
#include <string.h>

enum { COLOURS = 3 };

static int plan_picture(struct gpu_crop *job, const struct gpu_picture *picture, char *why) {
    const uint64_t most = INT32_MAX, row = (uint64_t)picture->width * picture->channels;
    memset(job, 0, sizeof *job);
    if (picture->rgb == NULL || picture->width == 0 || picture->height == 0)
        return gpu_fail(why, GPU_EINVAL, "a picture without pixels");
    if (picture->channels != COLOURS && picture->channels != COLOURS + 1)
        return gpu_fail(why, GPU_EINVAL, "a picture has 3 or 4 bytes a pixel, not %u",
                        picture->channels);
    if (picture->stride < row)
        return gpu_fail(why, GPU_EINVAL, "a row of %u pixels has %zu bytes", picture->width,
                        picture->stride);
    if ((uint64_t)picture->x + picture->width > picture->whole_width ||
        (uint64_t)picture->y + picture->height > picture->whole_height)
        return gpu_fail(why, GPU_EINVAL, "a picture's part is not inside of it");
    if (picture->stride > most || picture->stride * (uint64_t)(picture->height - 1) + row > most)
        return gpu_fail(why, GPU_EINVAL, "a picture of %ux%u is too large: 2 GiB are the limit",
                        picture->width, picture->height);
    uint64_t size = picture->stride * (uint64_t)(picture->height - 1) + row;
    job->rgb = picture->rgb;
    job->channels = (int32_t)picture->channels;
    job->stride = (int32_t)picture->stride;
    job->left = (int32_t)picture->x;
    job->top = (int32_t)picture->y;
    job->width = (int32_t)picture->width;
    job->height = (int32_t)picture->height;
    if (size < sizeof job->tiny) {
        memcpy(job->tiny, picture->rgb, (size_t)size);
        job->rgb = job->tiny;
        size = sizeof job->tiny;
    }
    job->last = (int32_t)(size - 4);
    return GPU_OK;
}

/* What a sample adds on the way from one corner of the square to the next, as a rasteriser computes
 * it: from the inverse of the triangle's area. */
static float slope(float from, float to, float side) {
    const float share = side * (1.0f / (side * side));
    return to * share - from * share;
}

/* The planes of a square of `size` pixels around x, y, turned: every operation in MediaPipe's
 * order. */
static void plan_planes(struct gpu_crop *job, const struct gpu_picture *picture, float size,
                        float rotation) {
    const float c = cosf(rotation), s = sinf(rotation), side = (float)job->side;
    job->whole[0] = (float)picture->whole_width;
    job->whole[1] = (float)picture->whole_height;
    for (int axis = 0; axis < 2; axis++) {
        const float unit = 1.0f / job->whole[axis];
        const float right = axis == 0 ? size * c * unit : size * s * unit;
        const float down = axis == 0 ? -size * s * unit : size * c * unit;
        const float corner = axis == 0 ? (-0.5f * size * c + 0.5f * size * s + job->x) * unit
                                       : (-0.5f * size * c - 0.5f * size * s + job->y) * unit;
        const float upper_right = right + corner, lower_left = down + corner;
        const float lower_right = right + down + corner;
        job->upper.corner[axis] = lower_left;
        job->upper.right[axis] = slope(corner, upper_right, side);
        job->upper.down[axis] = slope(corner, lower_left, side);
        job->lower.corner[axis] = upper_right;
        job->lower.right[axis] = slope(lower_left, lower_right, side);
        job->lower.down[axis] = slope(upper_right, lower_right, side);
    }
}

int gpu_crop_roi(struct gpu_crop *job, const struct gpu_picture *picture,
                 const struct pose_roi *roi, float *out, char *why) {
    int code = plan_picture(job, picture, why);
    if (code != GPU_OK)
        return code;
    float across = cosf(roi->rotation) * roi->size, down = sinf(roi->rotation) * roi->size;
    job->border[0] = job->border[1] = -INFINITY;
    job->border[2] = job->border[3] = INFINITY;
    job->x = roi->x;
    job->y = roi->y;
    job->across[0] = across;
    job->across[1] = down;
    job->down[0] = -down;
    job->down[1] = across;
    job->side = POSE_CROP;
    plan_planes(job, picture, roi->size, roi->rotation);
    job->scale = 1.0f / 255.0f;
    job->out = out;
    return GPU_OK;
}

/* What is outside is black sample by sample, as MediaPipe's shader has it; blending into black
 * across the edge instead moves what is found by whole pixels. */
int gpu_crop_letterbox(struct gpu_crop *job, const struct gpu_picture *picture, float *out,
                       char *why) {
    int code = plan_picture(job, picture, why);
    if (code != GPU_OK)
        return code;
    float width = (float)picture->whole_width, height = (float)picture->whole_height;
    job->border[2] = width;
    job->border[3] = height;
    job->x = width / 2.0f;
    job->y = height / 2.0f;
    job->across[0] = job->down[1] = fmaxf(width, height);
    job->side = POSE_DETECTOR_CROP;
    plan_planes(job, picture, job->across[0], 0.0f);
    job->scale = 1.0f / 127.5f;
    job->bias = job->outside = -1.0f;
    job->out = out;
    return GPU_OK;
}
