/* render_pixels.h - from samples to pictures and maps, as items (kernel.h): a thread takes a pixel
 * from its samples to its bytes.
 *
 * A picture has layers, which the CPU draws one after the other and which lie here side by side:
 * the passes of a sharp one, or the moments of a blurred one. The order of sums is the CPU's:
 * layers in order, in each fragments in the order of their first samples. */
#ifndef STANCE_CUDA_RENDER_PIXELS_H
#define STANCE_CUDA_RENDER_PIXELS_H

#include "cuda/render_raster.h"
#include "render/backdrop.h"
#include "render/develop.h"
#include "render/light.h"
#include "render/trace.h"

/* A person as shading sees them in a layer. */
struct render_person {
    struct gpu_shade shade;
    uint32_t first;    /* their triangles' ids follow this one */
    const float *next; /* vertices one frame later */
};

/* Up to GPU_BLOCK samples of each pixel. */
struct render_layer {
    const struct gpu_pattern *pattern;
    const render_sample *samples; /* [y1 - y0][width][samples] */
    const struct render_person *people;
    struct gpu_shade shade; /* without a person: what is behind them */
};

/* A part of a picture: rows [y0, y1). All of it is where the kernels run. */
struct render_piece {
    uint32_t width, height; /* of the whole picture */
    int32_t y0, y1;
    const struct render_layer *layers; /* the sharp picture's, then the blurred one's */
    uint32_t sharp, blurred, person_count;
    struct gpu_projection view, view_next;
    struct gpu_develop develop;

    /* [y1 - y0][width]; null: not wanted */
    uint8_t *rgb;
    float *depth, *coverage, *normal, *flow;
    uint32_t *triangle;
    uint8_t *person, *part, *cover;
};

/* A body between two moments: out = from + (to - from) * time. */
struct render_move {
    const float *from, *to;
    float *out;
    uint32_t count; /* floats */
    float time;
};

/* Rows: moves; items: floats. */
struct render_moves {
    const render_move *moves;

    CUDA_ANY void operator()(uint32_t row, uint32_t i) const {
        const render_move &move = moves[row];
        if (i < move.count)
            move.out[i] = move.from[i] + (move.to[i] - move.from[i]) * move.time;
    }
};

/* Whose triangle that is, counted over the frame. */
CUDA_ANY static inline uint32_t render_owner(const render_person *people, uint32_t count,
                                             uint32_t triangle) {
    uint32_t low = 0, high = count;
    while (high - low > 1) {
        const uint32_t middle = (low + high) / 2;
        if (people[middle].first <= triangle)
            low = middle;
        else
            high = middle;
    }
    return low;
}

CUDA_ANY static inline uint32_t render_id(render_sample sample) {
    return sample != 0 ? ~(uint32_t)sample : 0;
}

/* A pixel's nearest sample over the layers of the sharp picture. */
struct render_nearest {
    render_sample sample;
    uint32_t layer, index;
};

/* Rows: pieces; items: pixels. */
struct render_resolve {
    const render_piece *pieces;

    /* Adds light from people, times their coverage, and returns that; share: of the layer. */
    CUDA_ANY static float add_people(const render_piece &piece, const render_layer &layer,
                                     const render_sample *from, int32_t x, int32_t y, float share,
                                     float color[3]) {
        const struct gpu_pattern &pattern = *layer.pattern;
        const uint32_t samples = pattern.samples;
        uint32_t ids[GPU_BLOCK];
        int32_t covered = 0;
        for (uint32_t s = 0; s < samples; s++) {
            ids[s] = render_id(from[s]);
            covered += ids[s] != 0 ? 1 : 0;
        }
        for (uint32_t s = 0; s < samples && piece.rgb != nullptr; s++) {
            bool first = ids[s] != 0;
            for (uint32_t k = 0; k < s; k++)
                first = first && ids[k] != ids[s];
            if (!first)
                continue;
            int32_t hits = 1, sum_x = pattern.x[s], sum_y = pattern.y[s];
            for (uint32_t k = s + 1; k < samples; k++) {
                const int32_t more = ids[k] == ids[s] ? 1 : 0;
                hits += more;
                sum_x += more * pattern.x[k];
                sum_y += more * pattern.y[k];
            }
            const float number = vf_from_vi(hits), mean = 1.0f / (float)GPU_SUBPIXEL / number;
            const render_person &person =
                layer.people[render_owner(layer.people, piece.person_count, ids[s] - 1)];
            float light[3];
            shade_fragment(&person.shade, (int32_t)(ids[s] - 1 - person.first),
                           vf_from_vi(x) + vf_from_vi(sum_x) * mean,
                           (float)y + vf_from_vi(sum_y) * mean, light);
            const float weight = number * (1.0f / (float)samples) * share;
            for (int c = 0; c < 3; c++)
                color[c] += light[c] * weight;
        }
        return vf_from_vi(covered) * (1.0f / (float)samples);
    }

    CUDA_ANY static void add_behind(const render_piece &piece, const render_layer &layer, int32_t x,
                                    int32_t y, float coverage, float color[3]) {
        const float open = 1.0f - coverage;
        if (!(0.0f < open))
            return;
        float behind[3];
        find_backdrop(&layer.shade, vf_from_vi(x) + 0.5f, (float)y + 0.5f, (float)piece.height,
                      behind);
        for (int c = 0; c < 3; c++)
            color[c] = behind[c] * open + color[c];
    }

    CUDA_ANY static const render_sample *samples_of(const render_layer &layer, uint32_t i) {
        return layer.samples + (size_t)i * layer.pattern->samples;
    }

    /* A sharp picture's light. Returns coverage. */
    CUDA_ANY static float sum_passes(const render_piece &piece, uint32_t i, int32_t x, int32_t y,
                                     float color[3]) {
        const float share = 1.0f / (float)piece.sharp;
        float coverage = 0.0f;
        for (uint32_t l = 0; l < piece.sharp; l++) {
            const render_layer &layer = piece.layers[l];
            const float here = add_people(piece, layer, samples_of(layer, i), x, y, share, color);
            coverage = piece.sharp == 1 ? here : coverage + here * share;
        }
        if (piece.rgb != nullptr)
            add_behind(piece, piece.layers[0], x, y, coverage, color);
        return coverage;
    }

    /* A blurred one's. */
    CUDA_ANY static float sum_moments(const render_piece &piece, uint32_t i, int32_t x, int32_t y,
                                      float color[3]) {
        const float share = 1.0f / (float)piece.blurred;
        float coverage = 0.0f;
        for (uint32_t l = 0; l < piece.blurred; l++) {
            const render_layer &layer = piece.layers[piece.sharp + l];
            float here[3] = {0.0f, 0.0f, 0.0f};
            const float covered = add_people(piece, layer, samples_of(layer, i), x, y, 1.0f, here);
            if (piece.rgb != nullptr)
                add_behind(piece, layer, x, y, covered, here);
            for (int c = 0; c < 3; c++)
                color[c] += here[c] * share;
            coverage += covered * share;
        }
        return coverage;
    }

    CUDA_ANY static render_nearest find_nearest(const render_piece &piece, uint32_t i) {
        render_nearest out = {0, 0, 0};
        for (uint32_t l = 0; l < piece.sharp; l++) {
            const render_sample *from = samples_of(piece.layers[l], i);
            for (uint32_t s = 0; s < piece.layers[l].pattern->samples; s++)
                /* By depth alone: among equals the first sample's. */
                if (from[s] >> 32 > out.sample >> 32)
                    out = render_nearest{from[s], l, s};
        }
        return out;
    }

    /* The normal and the flow of what the nearest sample shows. */
    CUDA_ANY static void write_trace(const render_piece &piece, uint32_t i,
                                     const render_nearest &nearest, int32_t x, int32_t y) {
        float normal[3] = {0.0f, 0.0f, 0.0f};
        float flow[2] = {vf_bits(0x7fc00000), vf_bits(0x7fc00000)};
        const uint32_t id = render_id(nearest.sample);
        if (id != 0) {
            const struct gpu_pattern &pattern = *piece.layers[nearest.layer].pattern;
            const render_person *people = piece.layers[0].people;
            const render_person &person = people[render_owner(people, piece.person_count, id - 1)];
            const float step = 1.0f / (float)GPU_SUBPIXEL;
            struct gpu_trace job;
            job.now = person.shade;
            job.next = person.next;
            job.view = piece.view;
            job.view_next = piece.view_next;
            trace_point(&job, (int32_t)(id - 1 - person.first),
                        (float)x + (float)pattern.x[nearest.index] * step,
                        (float)y + (float)pattern.y[nearest.index] * step,
                        piece.normal != nullptr ? normal : nullptr,
                        piece.flow != nullptr ? flow : nullptr);
        }
        for (int c = 0; piece.normal != nullptr && c < 3; c++)
            piece.normal[3 * (size_t)i + c] = normal[c];
        for (int c = 0; piece.flow != nullptr && c < 2; c++)
            piece.flow[2 * (size_t)i + c] = flow[c];
    }

    CUDA_ANY static void write_ids(const render_piece &piece, uint32_t i, uint32_t id) {
        uint8_t person = 0, part = 0, cover = 0;
        if (id != 0) {
            const render_person *people = piece.layers[0].people;
            const uint32_t owner = render_owner(people, piece.person_count, id - 1);
            const struct gpu_scene *scene = people[owner].shade.scene;
            const uint32_t own = id - 1 - people[owner].first;
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

    CUDA_ANY static void write_maps(const render_piece &piece, uint32_t i, int32_t x, int32_t y) {
        const bool ids = piece.person != nullptr || piece.part != nullptr || piece.cover != nullptr;
        const bool trace = piece.normal != nullptr || piece.flow != nullptr;
        if (piece.depth == nullptr && piece.triangle == nullptr && !ids && !trace)
            return;
        const render_nearest nearest = find_nearest(piece, i);
        const float w = vf_bits((int32_t)(nearest.sample >> 32));
        if (piece.depth != nullptr)
            piece.depth[i] = w > 0.0f ? 1.0f / w : vf_bits(0x7f800000);
        if (piece.triangle != nullptr)
            piece.triangle[i] = render_id(nearest.sample);
        if (ids)
            write_ids(piece, i, render_id(nearest.sample));
        if (trace)
            write_trace(piece, i, nearest, x, y);
    }

    CUDA_ANY void operator()(uint32_t row, uint32_t i) const {
        const render_piece &piece = pieces[row];
        if (i >= (uint32_t)(piece.y1 - piece.y0) * piece.width)
            return;
        const int32_t x = (int32_t)(i % piece.width), y = piece.y0 + (int32_t)(i / piece.width);
        write_maps(piece, i, x, y);
        if (piece.rgb == nullptr && piece.coverage == nullptr)
            return;
        float color[3] = {0.0f, 0.0f, 0.0f};
        const float coverage = piece.blurred > 0 ? sum_moments(piece, i, x, y, color)
                                                 : sum_passes(piece, i, x, y, color);
        if (piece.coverage != nullptr)
            piece.coverage[i] = coverage;
        if (piece.rgb == nullptr)
            return;
        const uint32_t packed = (uint32_t)develop_pixel(&piece.develop, x, y, color);
        for (int c = 0; c < 3; c++)
            piece.rgb[3 * (size_t)i + c] = (uint8_t)(packed >> (8 * c));
    }
};

#endif
