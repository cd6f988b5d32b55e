#include "media/skeleton.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "media/draw.h"

enum side { LEFT, RIGHT, MIDDLE };
enum part { BODY, HAND, FACE };

/* MediaPipe's connections of the 33 landmarks; hands and faces first, under the limbs. */
static const struct bone {
    uint8_t from, to, side, part;
} bones[] = {
    {0, 1, LEFT, FACE},     {1, 2, LEFT, FACE},    {2, 3, LEFT, FACE},    {3, 7, LEFT, FACE},
    {0, 4, RIGHT, FACE},    {4, 5, RIGHT, FACE},   {5, 6, RIGHT, FACE},   {6, 8, RIGHT, FACE},
    {9, 10, MIDDLE, FACE},  {15, 17, LEFT, HAND},  {15, 19, LEFT, HAND},  {15, 21, LEFT, HAND},
    {17, 19, LEFT, HAND},   {16, 18, RIGHT, HAND}, {16, 20, RIGHT, HAND}, {16, 22, RIGHT, HAND},
    {18, 20, RIGHT, HAND},  {27, 29, LEFT, HAND},  {29, 31, LEFT, HAND},  {27, 31, LEFT, HAND},
    {28, 30, RIGHT, HAND},  {30, 32, RIGHT, HAND}, {28, 32, RIGHT, HAND}, {11, 12, MIDDLE, BODY},
    {23, 24, MIDDLE, BODY}, {11, 23, LEFT, BODY},  {12, 24, RIGHT, BODY}, {23, 25, LEFT, BODY},
    {25, 27, LEFT, BODY},   {24, 26, RIGHT, BODY}, {26, 28, RIGHT, BODY}, {11, 13, LEFT, BODY},
    {13, 15, LEFT, BODY},   {12, 14, RIGHT, BODY}, {14, 16, RIGHT, BODY},
};
enum { BONES = sizeof bones / sizeof *bones };

static const float widths[] = {[BODY] = 1, [HAND] = 0.65f, [FACE] = 0.45f};

/* Warm, cool, light; a row a person, by their ids in turn. */
static const struct draw_color palettes[][3] = {
    {{255, 148, 48, 255}, {47, 155, 255, 255}, {255, 255, 255, 255}},
    {{255, 214, 51, 255}, {155, 108, 255, 255}, {255, 250, 214, 255}},
    {{255, 105, 170, 255}, {24, 196, 180, 255}, {255, 228, 240, 255}},
    {{255, 86, 74, 255}, {96, 208, 92, 255}, {236, 255, 226, 255}},
};
static const struct draw_color rim = {12, 14, 20, 255};

/* A person in pixels. */
struct figure {
    float x[GPU_POSE_LANDMARKS], y[GPU_POSE_LANDMARKS];
    float opacity[GPU_POSE_LANDMARKS]; /* 0: not drawn */
    float thick;                       /* of a limb */
    const struct draw_color *colors;
};

static struct draw_color faded(struct draw_color color, float opacity) {
    color.a = (uint8_t)(opacity * 255 + 0.5f);
    return color;
}

static float clamp(float value, float least, float most) {
    return value < least ? least : value > most ? most : value;
}

/* Limbs are a seventieth of the body's height, and no blots in large pictures nor hairs in small
 * ones. */
static float thickness(const struct image *image, float height) {
    float picture = sqrtf((float)image->width * (float)image->height);
    return clamp(height / 70, fmaxf(1.2f, picture / 500), fmaxf(1.5f, picture / 110));
}

static void place(const struct image *image, const struct gpu_pose_person *person,
                  struct figure *figure) {
    float top = INFINITY, bottom = -INFINITY, left = INFINITY, right = -INFINITY;
    for (int i = 0; i < GPU_POSE_LANDMARKS; i++) {
        const float *mark = person->landmarks[i];
        float x = mark[0] * (float)image->width, y = mark[1] * (float)image->height;
        bool good = isfinite(x) && isfinite(y) && isfinite(mark[3]);
        figure->x[i] = good ? x : 0;
        figure->y[i] = good ? y : 0;
        figure->opacity[i] = good ? 0.12f + 0.88f * clamp((mark[3] - 0.1f) / 0.7f, 0, 1) : 0;
        if (!good)
            continue;
        top = fminf(top, y);
        bottom = fmaxf(bottom, y);
        left = fminf(left, x);
        right = fmaxf(right, x);
    }
    figure->thick = thickness(image, fmaxf(bottom - top, right - left));
}

static enum side side_of(int landmark) {
    if (landmark == 0)
        return MIDDLE;
    if (landmark <= 6)
        return landmark <= 3 ? LEFT : RIGHT;
    return landmark % 2 ? LEFT : RIGHT;
}

static float joint_radius(const struct figure *figure, int landmark) {
    bool large = landmark >= 11 && (landmark <= 16 || (landmark >= 23 && landmark <= 28));
    float share = large ? 0.95f : landmark <= 10 ? 0.5f : 0.6f;
    return figure->thick * share;
}

static void draw_bone(struct image *image, const struct figure *figure, const struct bone *bone,
                      bool as_rim) {
    float opacity = fminf(figure->opacity[bone->from], figure->opacity[bone->to]);
    float width = figure->thick * widths[bone->part], edge = fmaxf(0.7f, figure->thick * 0.22f);
    struct draw_segment segment = {figure->x[bone->from], figure->y[bone->from],
                                   figure->x[bone->to], figure->y[bone->to]};
    if (opacity > 0 && as_rim)
        draw_segments(image, &segment, 1, width + 2 * edge, faded(rim, opacity * 0.75f));
    else if (opacity > 0)
        draw_segments(image, &segment, 1, width, faded(figure->colors[bone->side], opacity));
}

static void draw_joint(struct image *image, const struct figure *figure, int landmark) {
    float opacity = figure->opacity[landmark], radius = joint_radius(figure, landmark);
    float edge = fmaxf(0.7f, figure->thick * 0.22f);
    struct draw_segment dot = {figure->x[landmark], figure->y[landmark], figure->x[landmark],
                               figure->y[landmark]};
    if (opacity <= 0)
        return;
    draw_segments(image, &dot, 1, 2 * (radius + edge), faded(rim, opacity * 0.85f));
    draw_segments(image, &dot, 1, 2 * radius, faded(figure->colors[side_of(landmark)], opacity));
    if (landmark >= 11 && radius > 2.5f) /* a light heart: where exactly */
        draw_segments(image, &dot, 1, radius * 0.8f, faded(palettes[0][MIDDLE], opacity));
}

/* Where the middle of a head's top is, about, from what is on its face; false: no face. */
static bool find_head(const struct figure *figure, float *x, float *y) {
    const float *fx = figure->x, *fy = figure->y;
    for (int i = 0; i <= 10; i++)
        if (figure->opacity[i] <= 0)
            return false;
    float eyes_x = (fx[2] + fx[5]) / 2, eyes_y = (fy[2] + fy[5]) / 2;
    float mouth_x = (fx[9] + fx[10]) / 2, mouth_y = (fy[9] + fy[10]) / 2;
    float face = hypotf(mouth_x - eyes_x, mouth_y - eyes_y);
    float ears = hypotf(fx[7] - fx[8], fy[7] - fy[8]);
    *x = (eyes_x + fx[7] + fx[8]) / 3;
    *y = fminf(eyes_y, mouth_y) - fmaxf(ears * 0.8f, face * 2.2f);
    return true;
}

/* Over the head, inside the picture. */
static void draw_label(struct image *image, const struct figure *figure,
                       const struct gpu_pose_person *person) {
    char text[32];
    float x, y, height = clamp(figure->thick * 2.2f, 8, 40), pad = height * 0.5f;
    if (!find_head(figure, &x, &y))
        return;
    int size = snprintf(text, sizeof text, "%u  %.0f%%", person->id, person->score * 100);
    float wide = draw_text_width(height, text, (size_t)size) + 2 * pad, high = height + 2 * pad;
    x = clamp(x - wide / 2, 0, fmaxf(0, (float)image->width - wide));
    y = clamp(y - high, 0, fmaxf(0, (float)image->height - high));
    struct draw_segment pill = {x + high / 2, y + high / 2, x + wide - high / 2, y + high / 2};
    draw_segments(image, &pill, 1, high, faded(rim, 0.8f));
    draw_text(image, x + pad, y + pad + height, height, text, (size_t)size, figure->colors[LEFT]);
}

void skeleton_draw(struct image *image, const struct gpu_pose_person *people, size_t count) {
    for (size_t p = 0; p < count; p++) {
        struct figure figure;
        place(image, &people[p], &figure);
        figure.colors = palettes[(people[p].id - 1) % (sizeof palettes / sizeof *palettes)];
        for (int i = 0; i < BONES; i++)
            draw_bone(image, &figure, &bones[i], true);
        for (int i = 0; i < BONES; i++)
            draw_bone(image, &figure, &bones[i], false);
        for (int i = 0; i < GPU_POSE_LANDMARKS; i++)
            draw_joint(image, &figure, i);
        draw_label(image, &figure, &people[p]);
    }
}
