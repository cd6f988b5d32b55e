/* pose_parity_test.c - the pose engine beside MediaPipe: photos and clips whose landmarks MediaPipe
 * itself has written down (assets/expected). Prints how far apart both are; skipped without the
 * networks or the assets. POSE_PARITY_BACKEND: another backend than "cpu". */
#include "check.h"
#include "media/image.h"
#include "media/pose_models.h"
#include "stance_gpu.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>

/* Instrumented networks are slow: one of them is enough there. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { MODELS = 1 };
#else
enum { MODELS = 3 };
#endif

enum { MOST_POINTS = 200 * GPU_POSE_LANDMARKS };

/* Distances of landmarks in pixels of the 256-pixel crop, of world landmarks in millimetres, of
 * visibilities as they are. */
struct distances {
    uint32_t count, pictures, people, disagreed;
    float image[MOST_POINTS], world[MOST_POINTS], visibility[MOST_POINTS];
};

static struct distances distances;

static int by_size(const void *a, const void *b) {
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

static float quantile(float *values, double part) {
    return distances.count == 0 ? 0.0f : values[(size_t)((distances.count - 1) * part)];
}

/* In a clip each picture builds on the one before, and the networks magnify differences in the last
 * bit tenfold in some eight frames, up to half a crop pixel: what a clip can tell is that its first
 * frames agree and that the rest stays near. */
enum { CLIP_START = 10 * GPU_POSE_LANDMARKS };

static void report(const char *what, bool clip) {
    float *all[] = {distances.image, distances.world, distances.visibility}, first = 0.0f;
    for (uint32_t i = 0; i < CLIP_START && i < distances.count; i++)
        first = fmaxf(first, distances.image[i]);
    for (int i = 0; i < 3; i++)
        qsort(all[i], distances.count, sizeof(float), by_size);
    printf("    %-24s %3u pictures, %3u people, %u decided differently; crop pixels: median %.4f, "
           "p99 %.3f, most %.2f; world mm: %.3f, %.2f, %.1f; visibility: most %.4f\n",
           what, distances.pictures, distances.people, distances.disagreed,
           (double)quantile(all[0], 0.5), (double)quantile(all[0], 0.99),
           (double)quantile(all[0], 1.0), (double)quantile(all[1], 0.5),
           (double)quantile(all[1], 0.99), (double)quantile(all[1], 1.0),
           (double)quantile(all[2], 1.0));
    CHECK(distances.pictures > 0 && distances.disagreed == 0);
    CHECK(!clip || first < 0.05f);
    CHECK(quantile(all[0], 0.5) < (clip ? 0.15f : 0.05f));
    CHECK(clip || quantile(all[0], 0.99) < 1.0f);
    CHECK(clip || quantile(all[1], 0.5) < 0.5f);
}

static float number(const json_t *rows, size_t row, size_t column) {
    return (float)json_number_value(json_array_get(json_array_get(rows, row), column));
}

/* Puts one picture's result beside MediaPipe's, {landmarks, world} or nulls. */
static void compare(const struct gpu_pose_people *people, const json_t *expected, uint32_t width,
                    uint32_t height) {
    const json_t *landmarks = json_object_get(expected, "landmarks");
    const json_t *world = json_object_get(expected, "world");
    bool somebody = json_is_array(landmarks);
    distances.pictures++;
    distances.people += somebody;
    distances.disagreed += somebody != (people->count == 1);
    if (!somebody || people->count != 1)
        return;
    const struct gpu_pose_person *person = &people->person[0];
    for (size_t i = 0; i < GPU_POSE_LANDMARKS && distances.count < MOST_POINTS; i++) {
        float x = (person->landmarks[i][0] - number(landmarks, i, 0)) * (float)width;
        float y = (person->landmarks[i][1] - number(landmarks, i, 1)) * (float)height;
        float sum = 0.0f;
        for (size_t k = 0; k < 3; k++)
            sum += powf(person->world[i][k] - number(world, i, k), 2.0f);
        distances.image[distances.count] = hypotf(x, y) * 256.0f / person->roi[2];
        distances.world[distances.count] = 1000.0f * sqrtf(sum);
        distances.visibility[distances.count++] =
            fabsf(person->landmarks[i][3] - number(landmarks, i, 3));
    }
}

/* -- Files --------------------------------------------------------------------------------------
 */

static const char *assets(const char *name) {
    static char path[4096];
    const char *folder = getenv("STANCE_ASSETS");
    snprintf(path, sizeof path, "%s/%s", folder != NULL ? folder : "../shared/assets", name);
    return path;
}

static bool read_picture(const char *name, struct image *image, struct gpu_picture *picture) {
    static uint8_t bytes[16 << 20];
    struct err err = {0};
    FILE *file = fopen(assets(name), "rb");
    size_t size = file != NULL ? fread(bytes, 1, sizeof bytes, file) : 0;
    if (file != NULL)
        fclose(file);
    int code = image_decode(bytes, size, image, &err);
    CHECK_TEXT(code == 0 ? "" : err.message, "");
    *picture = (struct gpu_picture){.rgb = image->rgba,
                                    .channels = 4,
                                    .stride = (size_t)image->width * 4,
                                    .width = image->width,
                                    .height = image->height,
                                    .whole_width = image->width,
                                    .whole_height = image->height};
    return image->rgba != NULL;
}

/* An engine of the model, and what MediaPipe says of these pictures; NULL with a reason. */
static struct gpu_pose_engine *prepare(int model, const char *kind, json_t **expected,
                                       const char **reason) {
    struct gpu_pose_files files = {0};
    struct gpu_pose_engine *engine = NULL;
    struct err err = {0};
    static char why[GPU_WHY_SIZE];
    char name[64];
    const char *backend = getenv("POSE_PARITY_BACKEND");
    snprintf(name, sizeof name, "expected/%s_c%d.json", kind, model);
    *expected = json_load_file(assets(name), 0, NULL);
    *reason = "no assets";
    if (*expected == NULL)
        return NULL;
    *reason = "the networks are not here (make models)";
    if (pose_models_read(pose_model_names[model], &files, &err) == 0) {
        int code = gpu_pose_engine_new(&files, backend != NULL ? backend : "cpu", &engine, why);
        CHECK_TEXT(code == GPU_OK ? "" : why, "");
        *reason = why;
    }
    pose_models_free(&files);
    if (engine == NULL)
        json_decref(*expected);
    return engine;
}

/* -- Tests --------------------------------------------------------------------------------------
 */

static void photos_agree(void) {
    for (int model = 0; model < MODELS; model++) {
        json_t *expected, *entry;
        const char *reason, *name;
        struct gpu_pose_engine *engine = prepare(model, "static", &expected, &reason);
        if (engine == NULL)
            SKIP(reason);
        memset(&distances, 0, sizeof distances);
        struct gpu_pose_options options;
        gpu_pose_options_default(&options);
        json_object_foreach(json_object_get(expected, "images"), name, entry) {
            struct gpu_pose_people people;
            struct gpu_picture picture;
            struct image image = {0};
            char why[GPU_WHY_SIZE] = "";
            if (read_picture(name, &image, &picture)) {
                CHECK(gpu_pose_detect(engine, &options, &picture, 1, &people, why) == GPU_OK);
                CHECK_TEXT(why, "");
                compare(&people, entry, image.width, image.height);
            }
            image_deinit(&image);
        }
        report(pose_model_names[model], false);
        gpu_pose_engine_free(engine);
        json_decref(expected);
    }
}

/* A clip through one session; the frames are also given as the windows that the session asks for,
 * to another one, which must see the same. */
static void follow(struct gpu_pose_engine *engine, const char *title, const json_t *frames) {
    struct gpu_pose_session *sessions[2] = {NULL, NULL};
    struct gpu_pose_options options;
    char why[GPU_WHY_SIZE] = "";
    uint32_t narrower = 0, different = 0;
    gpu_pose_options_default(&options);
    for (int i = 0; i < 2; i++)
        CHECK(gpu_pose_session_new(&options, &sessions[i], why) == GPU_OK);
    memset(&distances, 0, sizeof distances);
    for (size_t i = 0; i < json_array_size(frames); i++) {
        const json_t *frame = json_array_get(frames, i);
        double time = json_number_value(json_object_get(frame, "t_ms")) / 1000.0;
        struct gpu_pose_people people[2];
        struct gpu_picture pictures[2];
        struct image image = {0};
        uint32_t window[4];
        if (!read_picture(json_string_value(json_object_get(frame, "file")), &image, &pictures[0]))
            continue;
        gpu_pose_session_window(sessions[1], image.width, image.height, time, window);
        pictures[1] = pictures[0];
        pictures[1].rgb += (window[0] + (size_t)window[1] * image.width) * 4;
        pictures[1].x = window[0];
        pictures[1].y = window[1];
        pictures[1].width = window[2];
        pictures[1].height = window[3];
        narrower += window[2] < image.width || window[3] < image.height;
        CHECK(gpu_pose_track(engine, sessions, pictures, (double[]){time, time}, 2, people, why) ==
              GPU_OK);
        CHECK_TEXT(why, "");
        compare(&people[0], frame, image.width, image.height);
        different += people[0].count != people[1].count ||
                     memcmp(people[0].person, people[1].person,
                            people[0].count * sizeof *people[0].person) != 0;
        image_deinit(&image);
    }
    report(title, true);
    printf("    %-24s %u frames were given in part\n", "", narrower);
    CHECK(different == 0);
    for (int i = 0; i < 2; i++)
        gpu_pose_session_free(sessions[i]);
}

static void clips_agree(void) {
    for (int model = 0; model < MODELS; model++) {
        json_t *expected, *clip;
        const char *reason, *name;
        struct gpu_pose_engine *engine = prepare(model, "track", &expected, &reason);
        if (engine == NULL)
            SKIP(reason);
        json_object_foreach(json_object_get(expected, "clips"), name, clip) {
            char title[64];
            snprintf(title, sizeof title, "%s %s", pose_model_names[model], name);
            follow(engine, title, json_object_get(clip, "frames"));
        }
        gpu_pose_engine_free(engine);
        json_decref(expected);
    }
}

int main(void) {
    static const struct test tests[] = {TEST(photos_agree), TEST(clips_agree)};
    return RUN(tests);
}
