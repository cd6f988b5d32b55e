/* skin.c - skinning, bounds and projection; see kernels.h.
 *
 * Linear blending: a vertex's matrix is the weighted sum of its joints', positions by all of it,
 * normals by its left 3x3, which is exact for rotations with one scale; where joints stretch more
 * one way than another, by its cofactors. One vertex at a time fills a vector: a 3x4 matrix is 12
 * floats side by side, and gathering 16 joints' matrices would cost more than all the arithmetic.
 * Dual quaternions: a vertex a lane. */
#include "kernels.h"

#include "../render/skin.h"
#include "simd.h"

#include "../render/project.h"

/* -- Skinning -----------------------------------------------------------------------------------
 */

#if GPU_SIMD == 512

/* The sum of a * b's four columns, three rows in use. */
static inline __m128 sum_columns(__m512 product) {
    __m512 pairs = product + _mm512_shuffle_f32x4(product, product, 0xb1); /* 0+1, 1+0, 2+3, 3+2 */
    return _mm512_castps512_ps128(pairs) + _mm512_extractf32x4_ps(pairs, 2);
}

static inline void skin_one(const float *pose, const float *weights, const uint32_t *joints,
                            uint32_t used, const float *from, float *to) {
    const __m512i columns = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 12, 2, 6, 10, 12, 3, 7, 11, 12);
    const __m512i spread = _mm512_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3);
    const __m512i spread_normal = _mm512_setr_epi32(4, 4, 4, 4, 5, 5, 5, 5, 6, 6, 6, 6, 7, 7, 7, 7);
    __m512 sum = _mm512_set1_ps(weights[0]) * _mm512_maskz_loadu_ps(0x0fff, pose + joints[0]);
    for (uint32_t k = 1; k < used; k++)
        sum += _mm512_set1_ps(weights[k]) * _mm512_maskz_loadu_ps(0x0fff, pose + joints[k]);
    __m512 matrix = _mm512_permutexvar_ps(columns, sum);
    __m256 vertex = _mm256_loadu_ps(from);
    __m512 wide = _mm512_castps256_ps512(vertex);
    __m512 one = _mm512_set1_ps(1.0f);
    __m128 position = sum_columns(matrix * _mm512_mask_permutexvar_ps(one, 0x0fff, spread, wide));
    __m128 normal = sum_columns(matrix * _mm512_maskz_permutexvar_ps(0x0fff, spread_normal, wide));
    __m256 out = _mm256_set_m128(normal, position);
    _mm256_storeu_ps(to, _mm256_blend_ps(out, vertex, 0x88)); /* u and v stay */
}

#else

static inline void skin_one(const float *pose, const float *weights, const uint32_t *joints,
                            uint32_t used, const float *from, float *to) {
    float sum[12];
    for (int i = 0; i < 12; i++)
        sum[i] = weights[0] * pose[joints[0] + i];
    for (uint32_t k = 1; k < used; k++)
        for (int i = 0; i < 12; i++)
            sum[i] += weights[k] * pose[joints[k] + i];
    for (int r = 0; r < 3; r++) {
        const float *row = sum + 4 * r;
        to[r] = (row[0] * from[0] + row[1] * from[1]) + (row[2] * from[2] + row[3] * 1.0f);
        to[4 + r] = (row[0] * from[4] + row[1] * from[5]) + (row[2] * from[6] + row[3] * 0.0f);
    }
    to[3] = from[3];
    to[7] = from[7];
}

#endif

/* As skin_one, but for the normals. */
static void skin_uneven(const float *pose, const float *weights, const uint32_t *joints,
                        uint32_t used, const float *from, float *to) {
    float sum[12] = {0};
    skin_one(pose, weights, joints, used, from, to);
    for (uint32_t k = 0; k < used; k++)
        for (int i = 0; i < 12; i++)
            sum[i] += weights[k] * pose[joints[k] + i];
    for (int r = 0; r < 3; r++) {
        const float *a = sum + 4 * ((r + 1) % 3), *b = sum + 4 * ((r + 2) % 3);
        to[4 + r] = (a[1] * b[2] - a[2] * b[1]) * from[4] + (a[2] * b[0] - a[0] * b[2]) * from[5] +
                    (a[0] * b[1] - a[1] * b[0]) * from[6];
    }
}

static void skin_dually(const struct gpu_scene *scene, const struct gpu_palette *palette,
                        const float *bind, uint32_t first, uint32_t count, float *out) {
    struct skin_joints of = {.weights = scene->weights, .joints = scene->joints};
    for (uint32_t i = 0; i < count; i += GPU_LANES) {
        vi vertex = vi_iota() + vi_set1((int32_t)(first + i));
        vi from = (vi_iota() + vi_set1((int32_t)i)) * vi_set1(GPU_VERTEX_FLOATS);
        vf position[3], normal[3];
        of.used = scene->used[(first + i) / GPU_PAD];
        of.slot = vertex * vi_set1((int32_t)scene->influences);
        for (int c = 0; c < 3; c++) {
            position[c] = vf_gather(bind + c, from);
            normal[c] = vf_gather(bind + 4 + c, from);
        }
        skin_dual(palette, &of, position, normal);
        for (int lane = 0; lane < GPU_LANES; lane++) {
            const float *in = bind + (size_t)(i + (uint32_t)lane) * GPU_VERTEX_FLOATS;
            float *to = out + (size_t)(i + (uint32_t)lane) * GPU_VERTEX_FLOATS;
            for (int c = 0; c < 3; c++) {
                to[c] = position[c][lane];
                to[4 + c] = normal[c][lane];
            }
            to[3] = in[3];
            to[7] = in[7];
        }
    }
}

static void skin(const struct gpu_scene *scene, const struct gpu_palette *palette,
                 const float *bind, uint32_t first, uint32_t count, float *out) {
    uint32_t influences = scene->influences;
    if (palette->dual != NULL) {
        skin_dually(scene, palette, bind, first, count, out);
        return;
    }
    for (uint32_t i = 0; i < count; i++) {
        size_t vertex = first + i, at = (size_t)i * GPU_VERTEX_FLOATS;
        uint32_t used = scene->used[vertex / GPU_PAD];
        const float *weights = scene->weights + vertex * influences;
        const uint32_t *joints = scene->joints + vertex * influences;
        if (palette->uneven)
            skin_uneven(palette->pose, weights, joints, used, bind + at, out + at);
        else
            skin_one(palette->pose, weights, joints, used, bind + at, out + at);
    }
}

/* -- Bounds and projection ----------------------------------------------------------------------
 */

static inline vi vertex_offsets(uint32_t first) {
    return (vi_iota() + vi_set1((int32_t)first)) * vi_set1(GPU_VERTEX_FLOATS);
}

static inline void load_position(const float *vertices, uint32_t first, vf out[3]) {
    const float *base = vertices + (size_t)first * GPU_VERTEX_FLOATS;
    vi offsets = vertex_offsets(0);
    for (int c = 0; c < 3; c++)
        out[c] = vf_gather(base + c, offsets);
}

static inline void transform(const float *vertices, uint32_t first, const float m[12], vf out[3]) {
    vf position[3];
    load_position(vertices, first, position);
    project_transform(m, position, out);
}

static void bounds(const float *vertices, uint32_t count, const float m[12], float box[6]) {
    const float far = 1e6f;
    vf low[3], high[3];
    for (int r = 0; r < 3; r++) {
        low[r] = vf_set1(far);
        high[r] = vf_set1(-far);
    }
    for (uint32_t i = 0; i < count; i += GPU_LANES) {
        vf at[3];
        transform(vertices, i, m, at);
        vm ok = vm_and(vm_and(project_within(at[0], far), project_within(at[1], far)),
                       project_within(at[2], far));
        for (int r = 0; r < 3; r++) {
            low[r] = vf_min(low[r], vf_select(ok, at[r], low[r]));
            high[r] = vf_max(high[r], vf_select(ok, at[r], high[r]));
        }
    }
    for (int r = 0; r < 3; r++) {
        box[r] = far;
        box[3 + r] = -far;
        for (int lane = 0; lane < GPU_LANES; lane++) {
            box[r] = low[r][lane] < box[r] ? low[r][lane] : box[r];
            box[3 + r] = high[r][lane] > box[3 + r] ? high[r][lane] : box[3 + r];
        }
    }
}

static void project(const float *vertices, uint32_t count, const struct gpu_projection *projection,
                    const struct gpu_projected *out, struct gpu_extent *extent) {
    vi low_x = vi_set1(INT32_MAX), low_y = low_x, high_x = vi_set1(INT32_MIN), high_y = high_x;
    uint32_t outside = 0;
    for (uint32_t i = 0; i < count; i += GPU_LANES) {
        vf position[3];
        load_position(vertices, i, position);
        struct projected at = project_vertex(projection, position);
        low_x = vi_min(low_x, vi_select(at.ok, at.x, low_x));
        low_y = vi_min(low_y, vi_select(at.ok, at.y, low_y));
        high_x = vi_max(high_x, vi_select(at.ok, at.x, high_x));
        high_y = vi_max(high_y, vi_select(at.ok, at.y, high_y));
        outside |= vm_bits(vm_not(at.ok));
        vi_store(out->x + i, at.x);
        vi_store(out->y + i, at.y);
        vf_store(out->w + i, at.w);
    }
    *extent = (struct gpu_extent){INT32_MAX, INT32_MIN, INT32_MAX, INT32_MIN, outside != 0};
    for (int lane = 0; lane < GPU_LANES; lane++) {
        extent->min_x = low_x[lane] < extent->min_x ? low_x[lane] : extent->min_x;
        extent->max_x = high_x[lane] > extent->max_x ? high_x[lane] : extent->max_x;
        extent->min_y = low_y[lane] < extent->min_y ? low_y[lane] : extent->min_y;
        extent->max_y = high_y[lane] > extent->max_y ? high_y[lane] : extent->max_y;
    }
}

static void frame(const float *vertices, uint32_t count, const struct gpu_projection *projection,
                  float box[4]) {
    vf low[2] = {vf_set1(box[0]), vf_set1(box[1])}, high[2] = {vf_set1(box[2]), vf_set1(box[3])};
    const float focal[2] = {projection->fx, projection->fy};
    const float centre[2] = {projection->cx, projection->cy};
    for (uint32_t i = 0; i < count; i += GPU_LANES) {
        vf at[3];
        transform(vertices, i, projection->m, at);
        vm ok = vm_and(vf_less_equal(vf_set1(projection->near_plane), at[2]),
                       vf_less(at[2], vf_set1(1e9f)));
        vf w = vf_set1(1.0f) / vf_select(ok, at[2], vf_set1(1.0f));
        vf place[2] = {at[0] * w, at[1] * w};
        if (projection->lens.on)
            ok = vm_and(ok, lens_distort(&projection->lens, &place[0], &place[1]));
        for (int axis = 0; axis < 2; axis++) {
            vf pixel = vf_set1(focal[axis]) * place[axis] + vf_set1(centre[axis]);
            vm good = vm_and(ok, project_within(pixel, 1e9f));
            low[axis] = vf_min(low[axis], vf_select(good, pixel, low[axis]));
            high[axis] = vf_max(high[axis], vf_select(good, pixel, high[axis]));
        }
    }
    for (int lane = 0; lane < GPU_LANES; lane++) {
        for (int axis = 0; axis < 2; axis++) {
            box[axis] = low[axis][lane] < box[axis] ? low[axis][lane] : box[axis];
            box[2 + axis] = high[axis][lane] > box[2 + axis] ? high[axis][lane] : box[2 + axis];
        }
    }
}

static uint32_t scan(const float *depth, uint32_t width, uint32_t *first, uint32_t *last) {
    const vf none = vf_set1(__builtin_inff());
    uint32_t count = 0, x = 0;
    for (; x < width; x += GPU_LANES) {
        uint32_t bits = 0;
        if (x + GPU_LANES <= width)
            bits = vm_bits(vf_less(vf_load(depth + x), none));
        else
            for (uint32_t i = x; i < width; i++)
                bits |= (depth[i] < __builtin_inff() ? 1u : 0u) << (i - x);
        if (bits == 0)
            continue;
        if (count == 0)
            *first = x + (uint32_t)__builtin_ctz(bits);
        *last = x + 31u - (uint32_t)__builtin_clz(bits);
        count += (uint32_t)__builtin_popcount(bits);
    }
    return count;
}

/* -- Table --------------------------------------------------------------------------------------
 */

void GPU_KERNEL(gpu_raster)(const struct gpu_raster *job);
uint32_t GPU_KERNEL(gpu_fragments)(const struct gpu_pattern *pattern, const uint32_t *triangles,
                                   uint32_t width, int32_t x0, int32_t y,
                                   const struct gpu_fragments *out, float *coverage);
void GPU_KERNEL(gpu_shade)(const struct gpu_shade *job, const struct gpu_fragments *fragments,
                           uint32_t count);
void GPU_KERNEL(gpu_nearest)(const struct gpu_nearest *job, const float *depth,
                             const uint32_t *triangles, uint32_t width);
void GPU_KERNEL(gpu_trace)(const struct gpu_trace *job, const struct gpu_fragments *points,
                           uint32_t count, float *const normal[3], float *const flow[2]);
void GPU_KERNEL(gpu_open)(const struct gpu_open_grid *grid, const float *vertices, uint32_t count,
                          float *out);
void GPU_KERNEL(gpu_compose)(const struct gpu_shade *job, const struct gpu_row *row);
void GPU_KERNEL(gpu_develop)(const struct gpu_develop *job, const struct gpu_row *row);

extern const struct gpu_kernels GPU_KERNEL(gpu_kernels);

const struct gpu_kernels GPU_KERNEL(gpu_kernels) = {
    .name = GPU_STRING(GPU_SUFFIX),
    .skin = skin,
    .bounds = bounds,
    .frame = frame,
    .scan = scan,
    .project = project,
    .raster = GPU_KERNEL(gpu_raster),
    .fragments = GPU_KERNEL(gpu_fragments),
    .shade = GPU_KERNEL(gpu_shade),
    .nearest = GPU_KERNEL(gpu_nearest),
    .trace = GPU_KERNEL(gpu_trace),
    .open = GPU_KERNEL(gpu_open),
    .compose = GPU_KERNEL(gpu_compose),
    .develop = GPU_KERNEL(gpu_develop),
};
