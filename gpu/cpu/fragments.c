/* fragments.c - from samples to what has to be shaded: each triangle once a pixel; see kernels.h.
 */
#include "kernels.h"

static bool uniform(const uint32_t *ids, uint32_t samples) {
    uint32_t difference = 0;
    for (uint32_t s = 1; s < samples; s++)
        difference |= ids[s] ^ ids[0];
    return difference == 0;
}

/* A pixel of several triangles. Returns the list's new length. */
static uint32_t list_mixed(const struct gpu_pattern *pattern, const uint32_t *ids, uint32_t column,
                           int32_t x, int32_t y, const struct gpu_fragments *out, uint32_t count) {
    const float steps = 1.0f / (float)GPU_SUBPIXEL;
    uint32_t samples = pattern->samples;
    int32_t sum_x[16], sum_y[16], hits[16];
    uint32_t first = count;
    for (uint32_t s = 0; s < samples; s++) {
        if (ids[s] == 0)
            continue;
        uint32_t i = first;
        while (i < count && out->triangle[i] != ids[s] - 1)
            i++;
        if (i == count) {
            out->triangle[count++] = ids[s] - 1;
            sum_x[i - first] = sum_y[i - first] = hits[i - first] = 0;
        }
        sum_x[i - first] += pattern->x[s];
        sum_y[i - first] += pattern->y[s];
        hits[i - first]++;
    }
    for (uint32_t i = first; i < count; i++) {
        float mean = steps / (float)hits[i - first];
        out->x[i] = (float)x + (float)sum_x[i - first] * mean;
        out->y[i] = (float)y + (float)sum_y[i - first] * mean;
        out->weight[i] = (float)hits[i - first] / (float)samples;
        out->pixel[i] = column;
    }
    return count;
}

uint32_t gpu_fragments_list(const struct gpu_pattern *pattern, const uint32_t *triangles,
                            uint32_t width, int32_t x0, int32_t y, const struct gpu_fragments *out,
                            float *coverage) {
    uint32_t samples = pattern->samples, count = 0;
    for (uint32_t column = 0; column < width; column++) {
        const uint32_t *ids = triangles + (size_t)column * samples;
        int32_t x = x0 + (int32_t)column;
        if (uniform(ids, samples)) {
            coverage[column] = ids[0] != 0 ? 1.0f : 0.0f;
            if (ids[0] == 0)
                continue;
            out->triangle[count] = ids[0] - 1;
            out->x[count] = (float)x + 0.5f;
            out->y[count] = (float)y + 0.5f;
            out->weight[count] = 1.0f;
            out->pixel[count] = column;
            count++;
            continue;
        }
        uint32_t before = count;
        count = list_mixed(pattern, ids, column, x, y, out, count);
        float covered = 0.0f;
        for (uint32_t i = before; i < count; i++)
            covered += out->weight[i];
        coverage[column] = covered;
    }
    return count;
}
