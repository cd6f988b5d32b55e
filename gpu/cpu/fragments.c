/* fragments.c - from samples to what has to be shaded: each triangle once a pixel; see kernels.h.
 *
 * A vector of pixels at a time, sample by sample: a sample makes a fragment where no earlier one of
 * its pixel shows the same triangle, and the later ones that do are counted with it. A pixel's
 * fragments come in the order of its samples at every width, so that sums over them are the same.
 */
#include "kernels.h"
#include "simd.h"

enum { MAX_SAMPLES = 16 };

static inline vi ones(vm mask) {
    return vi_select(mask, vi_set1(1), vi_set1(0));
}

/* Fragments of sample s, whose pixels are `first`. Returns how many. */
static inline uint32_t emit(const struct gpu_pattern *pattern, const vi *ids, uint32_t s, vm first,
                            vi column, int32_t x0, int32_t y, const struct gpu_fragments *out,
                            uint32_t count) {
    vi hits = vi_set1(1), sum_x = vi_set1(pattern->x[s]), sum_y = vi_set1(pattern->y[s]);
    for (uint32_t k = s + 1; k < pattern->samples; k++) {
        vi more = ones(vi_equal(ids[k], ids[s]));
        hits += more;
        sum_x += more * vi_set1(pattern->x[k]);
        sum_y += more * vi_set1(pattern->y[k]);
    }
    vf number = vf_from_vi(hits), mean = vf_set1(1.0f / (float)GPU_SUBPIXEL) / number;
    vf x = vf_from_vi(column + vi_set1(x0)) + vf_from_vi(sum_x) * mean;
    vf at_y = vf_set1((float)y) + vf_from_vi(sum_y) * mean;
    vi_store_packed(out->triangle + count, first, ids[s] - vi_set1(1));
    vi_store_packed(out->pixel + count, first, column);
    vi_store_packed(out->x + count, first, vi_bits(x));
    vi_store_packed(out->y + count, first, vi_bits(at_y));
    vf weight = number * vf_set1(1.0f / (float)pattern->samples);
    vi_store_packed(out->weight + count, first, vi_bits(weight));
    return (uint32_t)__builtin_popcount(vm_bits(first));
}

/* Whether any sample of a whole vector of pixels shows anybody. Most do not: this costs a load each
 * instead of a gather. */
static inline bool any_shown(const uint32_t *triangles, uint32_t samples) {
    vi any = vi_load(triangles);
    for (uint32_t i = 1; i < samples; i++)
        any |= vi_load(triangles + (size_t)i * GPU_LANES);
    return vm_bits(vi_equal(any, vi_set1(0))) != (uint32_t)((1ull << GPU_LANES) - 1);
}

uint32_t GPU_KERNEL(gpu_fragments)(const struct gpu_pattern *pattern, const uint32_t *triangles,
                                   uint32_t width, int32_t x0, int32_t y,
                                   const struct gpu_fragments *out, float *coverage);

uint32_t GPU_KERNEL(gpu_fragments)(const struct gpu_pattern *pattern, const uint32_t *triangles,
                                   uint32_t width, int32_t x0, int32_t y,
                                   const struct gpu_fragments *out, float *coverage) {
    const uint32_t samples = pattern->samples;
    const vi zero = vi_set1(0);
    uint32_t count = 0;
    for (uint32_t start = 0; start < width; start += GPU_LANES) {
        if (start + GPU_LANES <= width &&
            !any_shown(triangles + (size_t)start * samples, samples)) {
            vf_store(coverage + start, vf_set1(0.0f));
            continue;
        }
        vi column = vi_iota() + vi_set1((int32_t)start), ids[MAX_SAMPLES], any = zero;
        vi inside = vi_min(column, vi_set1((int32_t)width - 1)); /* read nothing beyond the row */
        for (uint32_t s = 0; s < samples; s++) {
            ids[s] = vi_gather(triangles + s, inside * vi_set1((int32_t)samples));
            ids[s] = vi_select(vi_equal(column, inside), ids[s], zero);
            any |= ids[s];
        }
        vi covered = zero;
        if (vm_bits(vi_equal(any, zero)) != (1u << GPU_LANES) - 1) {
            for (uint32_t s = 0; s < samples; s++) {
                vm first = vm_not(vi_equal(ids[s], zero));
                covered += ones(first);
                for (uint32_t k = 0; k < s; k++)
                    first = vm_and(first, vm_not(vi_equal(ids[k], ids[s])));
                if (vm_bits(first) != 0)
                    count += emit(pattern, ids, s, first, column, x0, y, out, count);
            }
        }
        vf share = vf_from_vi(covered) * vf_set1(1.0f / (float)samples);
        if (start + GPU_LANES <= width) {
            vf_store(coverage + start, share);
            continue;
        }
        for (uint32_t i = start; i < width; i++)
            coverage[i] = share[i - start];
    }
    return count;
}

void GPU_KERNEL(gpu_nearest)(const struct gpu_nearest *job, const float *depth,
                             const uint32_t *triangles, uint32_t width);

void GPU_KERNEL(gpu_nearest)(const struct gpu_nearest *job, const float *depth,
                             const uint32_t *triangles, uint32_t width) {
    const uint32_t samples = job->samples;
    for (uint32_t start = 0; start < width; start += GPU_LANES) {
        const size_t first = (size_t)start * samples;
        if (job->pass > 0 && start + GPU_LANES <= width && !any_shown(triangles + first, samples))
            continue;
        vi column = vi_iota() + vi_set1((int32_t)start), best = vi_set1(0);
        vi at = vi_min(column, vi_set1((int32_t)width - 1)) * vi_set1((int32_t)samples);
        vf w = vf_set1(0.0f);
        if (start + GPU_LANES > width || any_shown(triangles + first, samples)) {
            for (uint32_t s = 0; s < samples; s++) {
                vf here = vf_gather(depth + s, at);
                vm nearer = vf_less(w, here);
                w = vf_select(nearer, here, w);
                best = vi_select(nearer, vi_set1((int32_t)s), best);
            }
        }
        vi triangle =
            vi_select(vf_less(vf_set1(0.0f), w), vi_gather(triangles, at + best), vi_set1(0));
        best = best | vi_set1((int32_t)(job->pass << 4));
        if (job->pass > 0) {
            vf before = vf_load(job->w + start);
            vm nearer = vf_less(before, w);
            w = vf_select(nearer, w, before);
            triangle = vi_select(nearer, triangle, vi_load(job->triangle + start));
            best = vi_select(nearer, best, vi_load(job->sample + start));
        }
        vf_store(job->w + start, w);
        vi_store(job->triangle + start, triangle);
        vi_store(job->sample + start, best);
    }
}
