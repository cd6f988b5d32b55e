#include "media/labels.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "core/utf8.h"
#include "media/keypoints.h"
#include "media/labels_write.h"
#include "media/ring.h"

/* -- JSON -------------------------------------------------------------------------------------- */

void labels_put_string(FILE *out, const char *text) {
    size_t left = strlen(text);
    fputc('"', out);
    while (left > 0) {
        unsigned char c = (unsigned char)*text;
        size_t length = utf8_step(text, left); /* names of files may be anything */
        if (c == '"' || c == '\\')
            fprintf(out, "\\%c", c);
        else if (c < 0x20)
            fprintf(out, "\\u%04x", c);
        else if (length > 0)
            fwrite(text, 1, length, out);
        else
            fputs(UTF8_REPLACEMENT, out);
        text += length > 0 ? length : 1;
        left -= length > 0 ? length : 1;
    }
    fputc('"', out);
}

void labels_put_number(FILE *out, double value, int decimals) {
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

void labels_put_field(FILE *out, const char *key, double value, int decimals) {
    fprintf(out, ",\"%s\":", key);
    labels_put_number(out, value, decimals);
}

void labels_put_row(FILE *out, const float *values, int count, int decimals) {
    for (int i = 0; i < count; i++) {
        fputc(i == 0 ? '[' : ',', out);
        labels_put_number(out, (double)values[i], decimals);
    }
    fputc(']', out);
}

/* -- Finding ----------------------------------------------------------------------------------- */

int labels_find(struct labels_view *view, struct err *err) {
    char why[GPU_WHY_SIZE] = "";
    for (uint32_t i = 0; i < view->people_count; i++) {
        struct labels_person *person = &view->people[i];
        const struct gpu_anchor *anchors = scene_landmarks(person->scene, NULL);
        int rc = gpu_label(view->frame, i, &view->spec->camera, view->image, anchors, SCENE_POINTS,
                           person->points, &person->label, why);
        if (rc != 0)
            return err_set(err, rc == GPU_ENOMEM ? ERR_NO_MEMORY : ERR_INVALID,
                           "cannot label the view %s: %s", view->spec->name, why);
    }
    return 0;
}

/* -- The camera -------------------------------------------------------------------------------- */

static void put_rows(FILE *out, const char *key, const float *values, int rows, int columns,
                     int decimals) {
    fprintf(out, ",\"%s\":[", key);
    for (int row = 0; row < rows; row++) {
        fputs(row > 0 ? "," : "", out);
        labels_put_row(out, values + row * columns, columns, decimals);
    }
    fputs("]", out);
}

static void put_matrices(FILE *out, const struct gpu_camera *camera) {
    const float *m = camera->camera_from_world;
    const float k[9] = {camera->fx, 0, camera->cx, 0, camera->fy, camera->cy, 0, 0, 1};
    const float t[3] = {m[3], m[7], m[11]};
    float r[9], whole[16] = {[15] = 1}, projection[12];
    for (int row = 0; row < 3; row++) {
        memcpy(r + 3 * row, m + 4 * row, 3 * sizeof *r);
        memcpy(whole + 4 * row, m + 4 * row, 4 * sizeof *whole);
        for (int c = 0; c < 4; c++)
            projection[4 * row + c] =
                k[3 * row + row] * m[4 * row + c] + (row < 2 ? k[3 * row + 2] * m[8 + c] : 0);
    }
    put_rows(out, "K", k, 3, 3, 4);
    put_rows(out, "R", r, 3, 3, 8);
    fputs(",\"t\":", out);
    labels_put_row(out, t, 3, 6);
    put_rows(out, "camera_from_world", whole, 4, 4, 8);
    put_rows(out, "projection", projection, 3, 4, 5);
}

static void put_camera(FILE *out, const struct view_spec *spec) {
    const struct gpu_camera *camera = &spec->camera;
    bool distorted = false;
    for (int i = 0; i < 5; i++)
        distorted |= camera->distortion[i] != 0.0f;
    fprintf(out, ",\"camera\":{\"model\":\"%s\",\"width\":%u,\"height\":%u",
            distorted ? "brown_conrady" : "pinhole", camera->width, camera->height);
    labels_put_field(out, "fx", (double)camera->fx, 4);
    labels_put_field(out, "fy", (double)camera->fy, 4);
    labels_put_field(out, "cx", (double)camera->cx, 4);
    labels_put_field(out, "cy", (double)camera->cy, 4);
    fputs(",\"distortion\":", out);
    labels_put_row(out, camera->distortion, 5, 8);
    labels_put_field(out, "fov", (double)spec->fov, 4);
    labels_put_field(out, "distance", (double)spec->distance, 4);
    labels_put_field(out, "height_above_ground", (double)spec->height, 4);
    fputs(",\"position\":", out);
    labels_put_row(out, spec->eye, 3, 6);
    put_matrices(out, camera);
    fputs("}", out);
}

/* -- People ------------------------------------------------------------------------------------ */

const char *labels_state_name(enum gpu_point_state state) {
    switch (state) {
    case GPU_POINT_VISIBLE:
        return "visible";
    case GPU_POINT_SELF_OCCLUDED:
        return "self_occluded";
    case GPU_POINT_OCCLUDED:
        return "occluded";
    case GPU_POINT_OUT_OF_FRAME:
        return "out_of_frame";
    case GPU_POINT_BEHIND_CAMERA:
        break;
    }
    return "behind_camera";
}

static int visibility(const struct gpu_point *point, bool known) {
    if (!known || point->state == GPU_POINT_OUT_OF_FRAME || point->state == GPU_POINT_BEHIND_CAMERA)
        return 0;
    return point->state == GPU_POINT_VISIBLE ? 2 : 1;
}

static void put_points(FILE *out, const char *key, const struct gpu_point *points,
                       const bool *known, uint32_t first, uint32_t end) {
    fprintf(out, ",\"%s\":[", key);
    for (uint32_t i = first; i < end; i++) {
        const struct gpu_point *point = &points[i];
        float pixel[2] = {point->pixel[0], point->pixel[1]};
        if (point->state == GPU_POINT_BEHIND_CAMERA)
            pixel[0] = pixel[1] = NAN;
        fprintf(out, "%s\n{\"name\":\"%s\",\"pixel\":", i > first ? "," : "",
                scene_landmark_name(i));
        labels_put_row(out, pixel, 2, 3);
        fputs(",\"camera\":", out);
        labels_put_row(out, point->camera, 3, 5);
        fputs(",\"world\":", out);
        labels_put_row(out, point->world, 3, 5);
        fprintf(out, ",\"known\":%s,\"state\":\"%s\",\"visibility\":%d}",
                known[i] ? "true" : "false", labels_state_name(point->state),
                visibility(point, known[i]));
    }
    fputs("]", out);
}

static void put_keypoints(FILE *out, const struct gpu_point *points, const bool *known) {
    fputs(",\n\"keypoints\":{", out);
    for (int f = 1; f < KEYPOINTS_FORMATS; f++) { /* the first is what points begins with */
        const struct keypoints_format *format = &keypoints_formats[f];
        fprintf(out, "%s\"%s\":[", f > 1 ? "," : "", format->name);
        for (uint32_t i = 0; i < format->count; i++) {
            uint32_t point = format->points[i];
            int v = visibility(&points[point], known[point]);
            fputs(i > 0 ? "," : "", out);
            labels_put_number(out, v > 0 ? (double)points[point].pixel[0] : 0, 2);
            fputc(',', out);
            labels_put_number(out, v > 0 ? (double)points[point].pixel[1] : 0, 2);
            fprintf(out, ",%d", v);
        }
        fputs("]", out);
    }
    fputs("}", out);
}

static void put_box(FILE *out, const char *key, const float box[4]) {
    float sized[4] = {box[0], box[1], box[2] - box[0], box[3] - box[1]};
    fprintf(out, ",\"%s\":", key);
    labels_put_row(out, sized, 4, 2);
}

static bool shows(const struct gpu_image *image, size_t pixel, uint32_t person) {
    return image->person != NULL ? image->person[pixel] == person
                                 : image->depth[pixel] < INFINITY && person == 1;
}

static void put_parts(FILE *out, const struct labels_view *view, uint32_t person) {
    const struct gpu_camera *camera = &view->spec->camera;
    const struct gpu_label *label = &view->people[person - 1].label;
    uint32_t counts[SCENE_BODY_PARTS] = {0};
    for (uint32_t y = (uint32_t)label->box[1]; y < (uint32_t)label->box[3]; y++) {
        for (uint32_t x = (uint32_t)label->box[0]; x < (uint32_t)label->box[2]; x++) {
            size_t pixel = (size_t)y * camera->width + x;
            if (shows(view->image, pixel, person) && view->image->part[pixel] < SCENE_BODY_PARTS)
                counts[view->image->part[pixel]]++;
        }
    }
    bool first = true;
    fputs(",\"parts\":{", out);
    for (uint32_t part = 0; part < SCENE_BODY_PARTS; part++) {
        if (counts[part] == 0)
            continue;
        fprintf(out, "%s\"%s\":%u", first ? "" : ",", scene_body_part_name(part), counts[part]);
        first = false;
    }
    fputs("}", out);
}

/* Runs of pixels without and with the person by turns, down the columns; starts with one that is
 * without. */
static void put_mask(FILE *out, const struct labels_view *view, uint32_t person) {
    uint32_t width = view->spec->camera.width, height = view->spec->camera.height;
    const float *box = view->people[person - 1].label.box;
    fprintf(out, ",\"segmentation\":{\"size\":[%u,%u],\"counts\":[", height, width);
    uint64_t run_start = 0;
    bool inside = false, first = true;
    for (uint32_t x = (uint32_t)box[0]; x < (uint32_t)box[2]; x++) {
        /* A column's last row may belong to the person, and the next one's first not: so to the
         * row behind the box, or to the column's end. */
        uint32_t y0 = (uint32_t)box[1],
                 y1 = (uint32_t)box[3] < height ? (uint32_t)box[3] + 1 : height;
        for (uint32_t y = inside ? 0 : y0; y < y1; y++) {
            bool body = shows(view->image, (size_t)y * width + x, person);
            if (body == inside)
                continue;
            uint64_t here = (uint64_t)x * height + y;
            fprintf(out, "%s%llu", first ? "" : ",", (unsigned long long)(here - run_start));
            run_start = here;
            inside = body;
            first = false;
        }
    }
    uint64_t end = (uint64_t)width * height;
    if (inside && (uint64_t)(uint32_t)box[2] * height < end) {
        uint64_t here = (uint64_t)(uint32_t)box[2] * height;
        fprintf(out, ",%llu", (unsigned long long)(here - run_start));
        run_start = here;
    }
    fprintf(out, "%s%llu]}", first ? "" : ",", (unsigned long long)(end - run_start));
}

static void put_person(FILE *out, const struct labels_view *view, uint32_t index) {
    const struct labels_person *person = &view->people[index];
    const char *name = scene_name(person->scene);
    const bool *known;
    scene_landmarks(person->scene, &known);
    fprintf(out, "%s\n{\"id\":%u,\"person\":", index > 0 ? "," : "", index + 1);
    labels_put_string(out, person->person != NULL && person->person[0] ? person->person : name);
    fputs(",\"character\":", out);
    labels_put_string(out, name);
    fputs(",\"clip\":", out);
    if (person->clip == NULL)
        fputs("null", out);
    else
        labels_put_string(out, person->clip);
    labels_put_field(out, "time", person->time, 6);
    labels_put_field(out, "frame", floor(person->time * person->rate + 0.5), 0);
    put_box(out, "box", person->label.box);
    put_box(out, "full_box", person->label.full_box);
    fprintf(out, ",\"area\":%u,\"full_area\":%u", person->label.area, person->label.full_area);
    labels_put_field(out, "visible", (double)person->label.visible, 4);
    put_points(out, "landmarks", person->points, known, 0, SCENE_LANDMARKS);
    put_points(out, "joints", person->points, known, SCENE_LANDMARKS, SCENE_POINTS);
    put_keypoints(out, person->points, known);
    labels_put_pose(out, person);
    if (view->image->part != NULL)
        put_parts(out, view, index + 1);
    put_mask(out, view, index + 1);
    fputs("}", out);
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

int labels_head(const struct view_spec *spec, const char *character,
                const struct labels_names *names, char **out, size_t *size, struct err *err) {
    char image[VIEW_NAME_SIZE + 4];
    snprintf(image, sizeof image, "%s.png", spec->name);
    FILE *text = open_memstream(out, size);
    if (text == NULL)
        return err_set(err, ERR_NO_MEMORY, "no memory for labels");
    fputs("{\"schema\":\"stance.view\",\"schema_version\":2,\"image\":{\"file\":", text);
    labels_put_string(text, names->image != NULL ? names->image : image);
    fprintf(text, ",\"width\":%u,\"height\":%u},\"character\":", spec->camera.width,
            spec->camera.height);
    labels_put_string(text, names->character != NULL ? names->character : character);
    return finish(text, out, err);
}

int labels_describe(const struct labels_view *view, char **out, size_t *size, struct err *err) {
    const struct view_spec *spec = view->spec;
    FILE *text = open_memstream(out, size);
    if (text == NULL)
        return err_set(err, ERR_NO_MEMORY, "no memory for labels");
    fputs(",\"view\":{\"name\":", text);
    labels_put_string(text, spec->name);
    labels_put_field(text, "azimuth", (double)spec->azimuth, 4);
    fprintf(text, "},\"frame\":{\"number\":%u", view->number);
    labels_put_field(text, "time", view->time, 6);
    fputs("}", text);
    put_camera(text, spec);
    fputs(",\"people\":[", text);
    for (uint32_t i = 0; i < view->people_count; i++)
        put_person(text, view, i);
    fputs("]}\n", text);
    return finish(text, out, err);
}
