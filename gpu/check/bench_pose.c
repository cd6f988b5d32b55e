/* bench_pose.c - milliseconds a network, crop and decoding, beside what XNNPACK takes for the same
 * networks alone. */
#include "../cpu/net_kernels.h"
#include "check.h"
#include "models.h"
#include "peer.h"
#include "pose/decode.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MAX_ROUNDS = 200 };

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return 1e3 * (double)t.tv_sec + 1e-6 * (double)t.tv_nsec;
}

static int compare(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

struct times {
    double values[MAX_ROUNDS];
    int count;
};

static void times_add(struct times *times, double start) {
    times->values[times->count++] = now() - start;
}

static double times_middle(struct times *times) {
    qsort(times->values, (size_t)times->count, sizeof times->values[0], compare);
    return times->count > 0 ? times->values[times->count / 2] : 0.0;
}

static float *noise(size_t count, float least, float most) {
    float *out = malloc((count + NET_OVERREAD) * sizeof *out);
    uint64_t dice = 1;
    for (size_t i = 0; i < count + NET_OVERREAD; i++) {
        dice = dice * 6364136223846793005u + 1442695040888963407u;
        out[i] = least + (most - least) * (float)(dice >> 40) / (float)(1 << 24);
    }
    return out;
}

static void bench_net(const struct model *model, FILE *file, const char *separator) {
    char why[GPU_WHY_SIZE] = "";
    static struct times ours, theirs;
    ours.count = theirs.count = 0;
    struct net_graph *graph = model_graph(model);
    struct net *net = NULL;
    if (graph == NULL)
        return;
    if (net_new(graph, &net, why) != GPU_OK) {
        printf("%-9s %s\n", model->name, why);
        net_graph_free(graph);
        return;
    }
    struct peer *peer = peer_new(graph, 0);
    float *input = noise(graph->tensors[graph->inputs[0]].count, 0.0f, 1.0f);
    float *outputs[NET_MAX_INPUTS] = {0};
    for (uint32_t i = 0; i < graph->output_count; i++)
        if (graph->outputs[i] != NET_NONE)
            outputs[i] = malloc(graph->tensors[graph->outputs[i]].count * sizeof(float));
    double macs = (double)net_graph_macs(graph) * 1e-6;
    int rounds = macs > 1000.0 ? 15 : 50;
    for (int round = -3; round < rounds; round++) { /* in turns, so that both see the same noise */
        double start = now();
        if (net_run(net, input, outputs, why) != GPU_OK)
            abort();
        if (round >= 0)
            times_add(&ours, start);
        start = now();
        if (peer != NULL)
            peer_run(peer);
        if (round >= 0 && peer != NULL)
            times_add(&theirs, start);
    }
    double middle = times_middle(&ours), floor = times_middle(&theirs);
    double megabytes = (double)net_memory(net) / 1048576.0;
    printf("%-9s %8.1f %8.2f %8.2f %8.2f %7.1f\n", model->name, macs, middle, floor,
           floor > 0.0 ? middle / floor : 0.0, megabytes);
    fprintf(file,
            "%s\n{\"net\":\"%s\",\"macs_m\":%.1f,\"ms\":%.3f,\"ms_least\":%.3f,\"xnnpack_ms\":%.3f,"
            "\"xnnpack_ms_least\":%.3f,\"ratio\":%.3f,\"memory_mb\":%.1f}",
            separator, model->name, macs, middle, ours.values[0], floor, theirs.values[0],
            floor > 0.0 ? middle / floor : 0.0, megabytes);
    peer_free(peer);
    net_free(net);
    for (uint32_t i = 0; i < graph->output_count; i++)
        free(outputs[i]);
    free(input);
    net_graph_free(graph);
}

static void bench_crops(FILE *file) {
    enum { WIDTH = 1280, HEIGHT = 720, ROUNDS = 40 };
    static const char *const widths[] = {"portable", "avx2", "avx512"};
    uint8_t *rgb = malloc(3 * WIDTH * HEIGHT);
    for (size_t i = 0; i < 3 * WIDTH * HEIGHT; i++)
        rgb[i] = (uint8_t)(i * 2654435761u >> 24);
    float *out = malloc(3 * POSE_CROP * POSE_CROP * sizeof *out);
    const struct gpu_picture picture = {rgb, 3, 3 * WIDTH, 0, 0, WIDTH, HEIGHT, WIDTH, HEIGHT};
    const struct pose_roi roi = {640.0f, 360.0f, 700.0f, 0.3f};
    const char *separator = "";
    for (int i = 0; i < 3; i++) {
        const struct net_kernels *kernels = net_kernels_find(widths[i]);
        if (kernels == NULL)
            continue;
        static struct times turned, letterbox;
        struct gpu_crop job;
        turned.count = letterbox.count = 0;
        for (int round = 0; round < ROUNDS; round++) {
            double start = now();
            gpu_crop_roi(&job, &picture, &roi, out, NULL);
            kernels->crop(&job);
            times_add(&turned, start);
            start = now();
            gpu_crop_letterbox(&job, &picture, out, NULL);
            kernels->crop(&job);
            times_add(&letterbox, start);
        }
        double a = times_middle(&turned), b = times_middle(&letterbox);
        printf("crop %-9s turned %.3f, letterboxed %.3f\n", widths[i], a, b);
        fprintf(file, "%s\n{\"width\":\"%s\",\"turned_ms\":%.4f,\"letterbox_ms\":%.4f}", separator,
                widths[i], a, b);
        separator = ",";
    }
    free(out);
    free(rgb);
}

static void bench_decode(FILE *file) {
    enum { ROUNDS = 40, ROOM = 32 };
    static struct times points, boxes;
    static struct pose_candidate found[ROOM];
    struct pose_raw raw;
    float *landmarks = noise(POSE_POINTS * POSE_POINT_FLOATS, 20.0f, 230.0f);
    float *heatmaps = noise(POSE_HEATMAP * POSE_HEATMAP * POSE_POINTS, -4.0f, 4.0f);
    float *world = noise(POSE_POINTS * 3, -1.0f, 1.0f);
    float *box = noise(POSE_ANCHORS * POSE_BOX_FLOATS, 0.0f, 50.0f);
    float *score = noise(POSE_ANCHORS, -8.0f, 0.02f);
    points.count = boxes.count = 0;
    for (int round = 0; round < ROUNDS; round++) {
        double start = now();
        pose_decode_landmarks(landmarks, 1.0f, heatmaps, world, &raw);
        times_add(&points, start);
        start = now();
        pose_decode_candidates(box, score, 0.5f, ROOM, found);
        times_add(&boxes, start);
    }
    double a = times_middle(&points), b = times_middle(&boxes);
    printf("decode landmarks %.3f, candidates %.3f\n", a, b);
    fprintf(file, "\"decode_landmarks_ms\":%.4f,\"decode_candidates_ms\":%.4f", a, b);
    free(landmarks);
    free(heatmaps);
    free(world);
    free(box);
    free(score);
}

int bench_pose(const char *path) {
    FILE *file = fopen(path, "w");
    if (file == NULL) {
        perror(path);
        return 1;
    }
    fprintf(file, "{\"bench\":\"gpu_pose\",\"unit\":\"ms CPU on one thread\",\"nets\":[");
    printf("%-9s %8s %8s %8s %8s %7s\n", "net", "M MACs", "ms", "xnnpack", "ratio", "MB");
    for (int i = 0; i < MODEL_COUNT; i++)
        bench_net(&models[i], file, i == 0 ? "" : ",");
    fprintf(file, "\n],\"crops\":[");
    bench_crops(file);
    fprintf(file, "\n],");
    bench_decode(file);
    fprintf(file, "}\n");
    return fclose(file) == 0 ? 0 : 1;
}
