#include "media/labels.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "media/views.h"

const struct labels_keypoint labels_coco[LABELS_COCO_KEYPOINTS] = {
    {"nose", 0},         {"left_eye", 2},       {"right_eye", 5},       {"left_ear", 7},
    {"right_ear", 8},    {"left_shoulder", 11}, {"right_shoulder", 12}, {"left_elbow", 13},
    {"right_elbow", 14}, {"left_wrist", 15},    {"right_wrist", 16},    {"left_hip", 23},
    {"right_hip", 24},   {"left_knee", 25},     {"right_knee", 26},     {"left_ankle", 27},
    {"right_ankle", 28},
};

/* -- JSON -------------------------------------------------------------------------------------- */

static void put_string(FILE *out, const char *text) {
    fputc('"', out);
    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;
        if (c == '"' || c == '\\')
            fprintf(out, "\\%c", c);
        else if (c < 0x20)
            fprintf(out, "\\u%04x", c);
        else
            fputc(c, out);
    }
    fputc('"', out);
}

/* Rounded, without trailing zeros; null for what JSON has no number for. */
static void put_number(FILE *out, double value, int decimals) {
    char text[64];
    if (!isfinite(value)) {
        fputs("null", out);
        return;
    }
    snprintf(text, sizeof text, "%.*f", decimals, value);
    char *end = text + strlen(text);
    if (decimals > 0) {
        while (end[-1] == '0')
            *--end = '\0';
        if (end[-1] == '.')
            *--end = '\0';
    }
    fputs(strcmp(text, "-0") == 0 ? "0" : text, out);
}

static void put_field(FILE *out, const char *key, double value, int decimals) {
    fprintf(out, ",\"%s\":", key);
    put_number(out, value, decimals);
}

static void put_row(FILE *out, const float *values, int count, int decimals) {
    for (int i = 0; i < count; i++) {
        fputc(i == 0 ? '[' : ',', out);
        put_number(out, (double)values[i], decimals);
    }
    fputc(']', out);
}

static void put_flag(FILE *out, const char *key, bool value) {
    fprintf(out, ",\"%s\":%s", key, value ? "true" : "false");
}

/* -- Parts ------------------------------------------------------------------------------------- */

static void put_camera(FILE *out, const struct view_spec *spec) {
    const struct gpu_camera *camera = &spec->camera;
    const float *m = camera->camera_from_world;
    const float k[9] = {camera->fx, 0, camera->cx, 0, camera->fy, camera->cy, 0, 0, 1};
    const float last_row[4] = {0, 0, 0, 1};
    const float t[3] = {m[3], m[7], m[11]};
    fprintf(out, ",\"camera\":{\"model\":\"pinhole\",\"width\":%u,\"height\":%u", camera->width,
            camera->height);
    put_field(out, "fx", (double)camera->fx, 4);
    put_field(out, "fy", (double)camera->fy, 4);
    put_field(out, "cx", (double)camera->cx, 4);
    put_field(out, "cy", (double)camera->cy, 4);
    put_field(out, "fov", (double)spec->fov, 4);
    put_field(out, "distance", (double)spec->distance, 4);
    put_field(out, "height_above_ground", (double)spec->height, 4);
    fputs(",\"position\":", out);
    put_row(out, spec->eye, 3, 6);
    fputs(",\"K\":[", out);
    for (int row = 0; row < 3; row++) {
        fputs(row > 0 ? "," : "", out);
        put_row(out, k + row * 3, 3, 4);
    }
    fputs("],\"R\":[", out);
    for (int row = 0; row < 3; row++) {
        fputs(row > 0 ? "," : "", out);
        put_row(out, m + row * 4, 3, 8);
    }
    fputs("],\"t\":", out);
    put_row(out, t, 3, 6);
    fputs(",\"camera_from_world\":[", out);
    for (int row = 0; row < 3; row++) {
        put_row(out, m + row * 4, 4, 8);
        fputc(',', out);
    }
    put_row(out, last_row, 4, 0);
    fputs("]}", out);
}

static bool in_frame(const struct gpu_point *point) {
    return point->state < GPU_POINT_OUT_OF_FRAME;
}

static int visibility(const struct gpu_point *point, bool known) {
    if (!known || !in_frame(point))
        return 0;
    return point->state == GPU_POINT_VISIBLE ? 2 : 1;
}

static void put_landmarks(FILE *out, const struct gpu_point *points, const bool *known) {
    fputs(",\"landmarks\":[", out);
    for (uint32_t i = 0; i < SCENE_LANDMARKS; i++) {
        const struct gpu_point *point = &points[i];
        float pixel[2] = {point->pixel[0], point->pixel[1]};
        if (point->state == GPU_POINT_BEHIND_CAMERA)
            pixel[0] = pixel[1] = NAN;
        fprintf(out, "%s\n{\"name\":\"%s\",\"pixel\":", i > 0 ? "," : "", scene_landmark_name(i));
        put_row(out, pixel, 2, 3);
        fputs(",\"camera\":", out);
        put_row(out, point->camera, 3, 5);
        fputs(",\"world\":", out);
        put_row(out, point->world, 3, 5);
        put_flag(out, "known", known[i]);
        put_flag(out, "in_frame", in_frame(point));
        put_flag(out, "occluded", in_frame(point) && point->state != GPU_POINT_VISIBLE);
        fprintf(out, ",\"visibility\":%d}", visibility(point, known[i]));
    }
    fputs("]", out);
}

static void put_coco(FILE *out, const struct gpu_point *points, const bool *known) {
    fputs(",\"coco17\":[", out);
    for (uint32_t i = 0; i < LABELS_COCO_KEYPOINTS; i++) {
        uint32_t landmark = labels_coco[i].landmark;
        const struct gpu_point *point = &points[landmark];
        int v = visibility(point, known[landmark]);
        fputs(i > 0 ? "," : "", out);
        put_number(out, v > 0 ? (double)point->pixel[0] : 0, 2); /* COCO: 0, 0 where v is 0 */
        fputc(',', out);
        put_number(out, v > 0 ? (double)point->pixel[1] : 0, 2);
        fprintf(out, ",%d", v);
    }
    fputs("]", out);
}

static void put_box(FILE *out, const char *key, const float box[4]) {
    float sized[4] = {box[0], box[1], box[2] - box[0], box[3] - box[1]};
    fprintf(out, ",\"%s\":", key);
    put_row(out, sized, 4, 2);
}

/* Runs of pixels without and with the body by turns, down the columns; starts with one that is
 * without. */
static void put_mask(FILE *out, const float *depth, uint32_t width, uint32_t height,
                     const float box[4]) {
    fprintf(out, ",\"segmentation\":{\"size\":[%u,%u],\"counts\":[", height, width);
    uint32_t x0 = (uint32_t)box[0], x1 = (uint32_t)ceilf(box[2]);
    uint64_t run_start = 0;
    bool inside = false, first = true;
    for (uint32_t x = x0; x < x1 && x < width; x++) {
        for (uint32_t y = 0; y < height; y++) {
            bool body = depth[(size_t)y * width + x] < INFINITY;
            if (body == inside)
                continue;
            uint64_t here = (uint64_t)x * height + y;
            fprintf(out, "%s%llu", first ? "" : ",", (unsigned long long)(here - run_start));
            run_start = here;
            inside = body;
            first = false;
        }
    }
    fprintf(out, "%s%llu]}", first ? "" : ",",
            (unsigned long long)((uint64_t)width * height - run_start));
}

/* -- Labels ------------------------------------------------------------------------------------ */

static int finish(FILE *text, char **out, struct err *err) {
    bool failed = ferror(text) != 0;
    if (fclose(text) == 0 && !failed)
        return 0;
    free(*out);
    *out = NULL;
    return err_set(err, ERR_NO_MEMORY, "no memory for labels");
}

int labels_head(const struct views *views, uint32_t view, const struct labels_names *names,
                char **out, size_t *size, struct err *err) {
    const struct view_spec *spec = views_spec(views, view);
    const struct stage *stage = views_stage(views);
    const struct stage_actor *actor = stage_actor(stage, 0);
    const char *clip = stage_actor_clip(stage, 0);
    char image[VIEW_NAME_SIZE + 4];
    snprintf(image, sizeof image, "%s.png", spec->name);
    FILE *text = open_memstream(out, size);
    if (text == NULL)
        return err_set(err, ERR_NO_MEMORY, "no memory for labels");
    fputs("{\"schema\":\"stance.view\",\"schema_version\":1,\"image\":{\"file\":", text);
    put_string(text, names->image != NULL ? names->image : image);
    fprintf(text, ",\"width\":%u,\"height\":%u},\"character\":", spec->camera.width,
            spec->camera.height);
    put_string(text, names->character != NULL ? names->character : actor->person);
    fputs(",\"view\":{\"name\":", text);
    put_string(text, spec->name);
    put_field(text, "azimuth", (double)spec->azimuth, 4);
    fputs("},\"clip\":", text);
    if (clip == NULL)
        fputs("null", text);
    else
        put_string(text, clip);
    put_field(text, "time", stage_actor_time(stage, 0, spec->time), 6);
    return finish(text, out, err);
}

int labels_describe(const struct views *views, uint32_t view, char **out, size_t *size,
                    struct err *err) {
    const struct view_spec *spec = views_spec(views, view);
    const struct view_result *result = views_result(views, view);
    if (result->people == NULL)
        return err_set(err, ERR_INVALID, "the view %s is not drawn", spec->name);
    const bool *known;
    scene_landmarks(stage_actor(views_stage(views), 0)->scene, &known);
    const struct view_person *person = &result->people[0];
    FILE *text = open_memstream(out, size);
    if (text == NULL)
        return err_set(err, ERR_NO_MEMORY, "no memory for labels");
    put_camera(text, spec);
    put_box(text, "box", person->label.box);
    put_box(text, "full_box", person->label.full_box);
    fprintf(text, ",\"area\":%u", person->label.area);
    put_coco(text, person->points, known);
    put_landmarks(text, person->points, known);
    put_mask(text, result->image.depth, spec->camera.width, spec->camera.height, person->label.box);
    fputs("}\n", text);
    return finish(text, out, err);
}
