/* render_pixels.h - from samples to pictures and maps, as items (kernel.h): a thread takes a pixel
 * from its samples to its bytes. The order of sums is the CPU's: fragments in the order of their
 * first samples. */
#ifndef STANCE_CUDA_RENDER_PIXELS_H
#define STANCE_CUDA_RENDER_PIXELS_H

#include "cuda/render_raster.h"
#include "render/backdrop.h"
#include "render/develop.h"
#include "render/light.h"

enum { RENDER_SAMPLES = 16 }; /* a pixel, at most */

/* A person as shading sees them in a view. */
struct render_person {
    struct gpu_shade shade;
    uint32_t first; /* their triangles' ids follow this one */
};

/* A part of a picture: rows [y0, y1). All of it is where the kernels run. */
struct render_piece {
    uint32_t width, height; /* of the whole picture */
    int32_t y0, y1;
    const struct gpu_pattern *pattern;
    const render_sample *samples; /* [y1 - y0][width][samples] */
    const struct render_person *people;
    uint32_t person_count;
    struct gpu_shade shade; /* without a person: what is behind them */
    struct gpu_develop develop;

    /* [y1 - y0][width]; null: not wanted */
    uint8_t *rgb;
    float *depth, *coverage;
    uint32_t *triangle;
    uint8_t *person, *part, *cover;
};

/* Whose triangle that is, counted over the frame. */
CUDA_ANY static inline uint32_t render_owner(const render_piece &piece, uint32_t triangle) {
    uint32_t low = 0, high = piece.person_count;
    while (high - low > 1) {
        const uint32_t middle = (low + high) / 2;
        if (piece.people[middle].first <= triangle)
            low = middle;
        else
            high = middle;
    }
    return low;
}

CUDA_ANY static inline uint32_t render_id(render_sample sample) {
    return sample != 0 ? ~(uint32_t)sample : 0;
}

/* Rows: pieces; items: pixels. */
struct render_resolve {
    const render_piece *pieces;

    /* Light from people, times their coverage, which is returned. */
    CUDA_ANY float add_people(const render_piece &piece, const uint32_t *ids, int32_t x, int32_t y,
                              float color[3]) const {
        const struct gpu_pattern &pattern = *piece.pattern;
        const uint32_t samples = pattern.samples;
        int32_t covered = 0;
        for (uint32_t s = 0; s < samples; s++) {
            if (ids[s] == 0)
                continue;
            covered++;
            bool first = true;
            for (uint32_t k = 0; k < s; k++)
                first = first && ids[k] != ids[s];
            if (!first || piece.rgb == nullptr)
                continue;
            int32_t hits = 1, sum_x = pattern.x[s], sum_y = pattern.y[s];
            for (uint32_t k = s + 1; k < samples; k++) {
                const int32_t more = ids[k] == ids[s] ? 1 : 0;
                hits += more;
                sum_x += more * pattern.x[k];
                sum_y += more * pattern.y[k];
            }
            const float number = vf_from_vi(hits), mean = 1.0f / (float)GPU_SUBPIXEL / number;
            const render_person &person = piece.people[render_owner(piece, ids[s] - 1)];
            float light[3];
            shade_fragment(&person.shade, (int32_t)(ids[s] - 1 - person.first),
                           vf_from_vi(x) + vf_from_vi(sum_x) * mean,
                           (float)y + vf_from_vi(sum_y) * mean, light);
            const float weight = number * (1.0f / (float)samples);
            for (int c = 0; c < 3; c++)
                color[c] += light[c] * weight;
        }
        return vf_from_vi(covered) * (1.0f / (float)samples);
    }

    CUDA_ANY void write_color(const render_piece &piece, uint32_t i, int32_t x, int32_t y,
                              float coverage, float color[3]) const {
        const float open = 1.0f - coverage;
        if (0.0f < open) {
            float behind[3];
            find_backdrop(&piece.shade, vf_from_vi(x) + 0.5f, (float)y + 0.5f, (float)piece.height,
                          behind);
            for (int c = 0; c < 3; c++)
                color[c] = behind[c] * open + color[c];
        }
        const uint32_t packed = (uint32_t)develop_pixel(&piece.develop, x, y, color);
        for (int c = 0; c < 3; c++)
            piece.rgb[3 * (size_t)i + c] = (uint8_t)(packed >> (8 * c));
    }

    CUDA_ANY void write_maps(const render_piece &piece, uint32_t i, float w, uint32_t id) const {
        if (piece.depth != nullptr)
            piece.depth[i] = w > 0.0f ? 1.0f / w : vf_bits(0x7f800000);
        if (piece.triangle != nullptr)
            piece.triangle[i] = id;
        if (piece.person == nullptr && piece.part == nullptr && piece.cover == nullptr)
            return;
        uint8_t person = 0, part = 0, cover = 0;
        if (id != 0) {
            const uint32_t owner = render_owner(piece, id - 1);
            const struct gpu_scene *scene = piece.people[owner].shade.scene;
            const uint32_t own = id - 1 - piece.people[owner].first;
            person = (uint8_t)(owner + 1);
            part = scene->parts[own];
            cover = scene->covers[own];
        }
        if (piece.person != nullptr)
            piece.person[i] = person;
        if (piece.part != nullptr)
            piece.part[i] = part;
        if (piece.cover != nullptr)
            piece.cover[i] = cover;
    }

    CUDA_ANY void operator()(uint32_t row, uint32_t i) const {
        const render_piece &piece = pieces[row];
        if (i >= (uint32_t)(piece.y1 - piece.y0) * piece.width)
            return;
        const int32_t x = (int32_t)(i % piece.width), y = piece.y0 + (int32_t)(i / piece.width);
        const uint32_t samples = piece.pattern->samples;
        const render_sample *from = piece.samples + (size_t)i * samples;
        uint32_t ids[RENDER_SAMPLES];
        render_sample nearest = 0;
        for (uint32_t s = 0; s < samples; s++) {
            const render_sample sample = from[s];
            ids[s] = render_id(sample);
            /* By depth alone: among equals the first sample's. */
            if (sample >> 32 > nearest >> 32)
                nearest = sample;
        }
        float color[3] = {0.0f, 0.0f, 0.0f}, coverage = 0.0f;
        if (nearest != 0 && (piece.rgb != nullptr || piece.coverage != nullptr))
            coverage = add_people(piece, ids, x, y, color);
        if (piece.rgb != nullptr)
            write_color(piece, i, x, y, coverage, color);
        if (piece.coverage != nullptr)
            piece.coverage[i] = coverage;
        write_maps(piece, i, vf_bits((int32_t)(nearest >> 32)), render_id(nearest));
    }
};

#endif
