/* files.c - TFLite files: graphs come back as they were written, the real networks are counted. */
#include "check.h"
#include "graphs.h"
#include "models.h"
#include "tflite_file.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* -- There and back -----------------------------------------------------------------------------
 */

struct numbers {
    float *of[NET_MAX_INPUTS];
};

static void numbers_free(struct numbers *numbers) {
    for (int i = 0; i < NET_MAX_INPUTS; i++)
        free(numbers->of[i]);
}

static bool run(const struct net_graph *graph, const float *input, struct numbers *numbers) {
    char why[GPU_WHY_SIZE];
    memset(numbers, 0, sizeof *numbers);
    for (uint32_t i = 0; i < graph->output_count; i++)
        if (graph->outputs[i] != NET_NONE)
            numbers->of[i] = malloc(graph->tensors[graph->outputs[i]].count * sizeof(float));
    return net_reference_run(graph, input, numbers->of, why) == GPU_OK;
}

/* Every output of `graph` that is left has the bytes that the original's has. */
static bool agrees(const struct net_graph *graph, const struct net_graph *original,
                   const float *input) {
    struct numbers mine, its;
    bool same = run(graph, input, &mine);
    same = run(original, input, &its) && same && graph->output_count == original->output_count;
    for (uint32_t i = 0; same && i < graph->output_count; i++) {
        int32_t output = graph->outputs[i];
        size_t count = original->tensors[original->outputs[i]].count;
        same = output == NET_NONE || (graph->tensors[output].count == count &&
                                      memcmp(mine.of[i], its.of[i], count * sizeof(float)) == 0);
    }
    numbers_free(&mine);
    numbers_free(&its);
    return same;
}

bool arena_is_sound(const struct net_graph *graph, size_t align, size_t *total, size_t *least) {
    char why[GPU_WHY_SIZE];
    size_t *offset = malloc(graph->tensor_count * sizeof *offset);
    bool sound = net_graph_arena(graph, align, offset, total, why) == GPU_OK;
    int32_t *owners = calloc(*total + 1, sizeof *owners);
    uint32_t *last = calloc(graph->tensor_count, sizeof *last);
    for (uint32_t i = 0; i < graph->op_count; i++)
        for (uint32_t k = 0; k < graph->ops[i].input_count; k++)
            last[graph->ops[i].inputs[k]] = i;
    *least = 0;
    size_t live = 0;
    for (uint32_t i = 0; i < graph->op_count; i++) {
        const struct net_op *op = &graph->ops[i];
        const struct net_tensor *out = &graph->tensors[op->output];
        size_t to = offset[op->output];
        for (size_t n = 0; to != SIZE_MAX && n < out->count; n++)
            owners[to + n] = op->output;
        live += to != SIZE_MAX ? out->count : 0;
        *least = live > *least ? live : *least;
        sound = sound && (to == SIZE_MAX || (to % align == 0 && to + out->count <= *total));
        for (uint32_t k = 0; k < op->input_count; k++) {
            int32_t input = op->inputs[k];
            size_t from = offset[input];
            sound = sound && (graph->tensors[input].data == NULL || from == SIZE_MAX);
            for (size_t n = 0; from != SIZE_MAX && n < graph->tensors[input].count; n++)
                sound = sound && owners[from + n] == input;
            if (from != SIZE_MAX && last[input] == i) {
                live -= graph->tensors[input].count;
                last[input] = UINT32_MAX; /* the same one twice is given up once */
            }
        }
        if (to != SIZE_MAX && last[op->output] == 0) /* nobody reads it */
            live -= out->count;
    }
    for (uint32_t i = 0; i < graph->input_count; i++)
        sound = sound && offset[graph->inputs[i]] == SIZE_MAX;
    for (uint32_t i = 0; i < graph->output_count; i++)
        sound = sound && (graph->outputs[i] == NET_NONE || offset[graph->outputs[i]] == SIZE_MAX);
    free(offset);
    free(owners);
    free(last);
    return sound;
}

static void there_and_back(struct maker *maker, uint64_t seed) {
    static const uint32_t index_bytes[] = {0, 2, 4};
    const struct net_graph *original = &maker->graph;
    float *input = malloc(original->tensors[0].count * sizeof *input);
    for (size_t i = 0; i < original->tensors[0].count; i++)
        input[i] = maker_number(maker);
    for (enum tflite_form form = FORM_FLOAT; form < FORM_COUNT; form++) {
        struct tflite_writing writing = {form, index_bytes[seed % 3], {ODD_NOTHING, 0, 0, 0}};
        char why[GPU_WHY_SIZE] = "";
        struct net_graph *graph;
        size_t size, total, least;
        uint8_t *file = tflite_write(original, &writing, &size);
        bool read = net_graph_read(file, size, &graph, why) == GPU_OK;
        check_that(read, "files: seed %lu, form %d: %s", seed, form, why);
        free(file);
        if (!read)
            continue;
        check_that(agrees(graph, original, input), "files: seed %lu, form %d: other numbers", seed,
                   form);
        check_that(arena_is_sound(graph, 1, &total, &least), "files: seed %lu: arena", seed);
        uint32_t wanted = form == FORM_FLOAT ? UINT32_MAX : 1 + maker_below(maker, 255);
        if ((wanted & ((1u << graph->output_count) - 1)) == 0)
            wanted = 1;
        uint64_t macs = net_graph_macs(graph);
        bool done = net_graph_simplify(graph, wanted, why) == GPU_OK;
        check_that(done && net_graph_macs(graph) <= macs, "files: seed %lu: simplify", seed);
        check_that(agrees(graph, original, input), "files: seed %lu, form %d, simplified to %x",
                   seed, form, wanted);
        check_that(arena_is_sound(graph, 16, &total, &least), "files: seed %lu: arena", seed);
        net_graph_free(graph);
    }
    free(input);
}

static void check_forms(void) {
    for (uint64_t seed = 1; seed <= 60; seed++) {
        struct maker maker;
        if (maker_random(&maker, seed, 12)) {
            tflite_round(&maker.graph, seed % 2 == 0);
            there_and_back(&maker, seed);
        }
        maker_deinit(&maker);
    }
}

/* All halves that are numbers, as weights; what they are is worked out by powers of two. */
static void check_halves(void) {
    enum { COUNT = 0x7c00 };
    static float numbers[2 * COUNT];
    for (uint32_t i = 0; i < COUNT; i++) {
        uint32_t exponent = i >> 10, fraction = i & 0x3ff;
        double number = exponent == 0 ? fraction * 0x1p-24 : (1024.0 + fraction) * 0x1p-25;
        for (uint32_t e = 0; e < exponent; e++)
            number *= 2;
        numbers[i] = (float)number;
        numbers[COUNT + i] = -(float)number;
    }
    struct maker maker;
    struct net_graph *graph = NULL;
    char why[GPU_WHY_SIZE] = "";
    size_t size;
    static const uint32_t one[2] = {1, 1}, none[4] = {0};
    maker_init(&maker, 1, 1, 1, 2 * COUNT);
    int32_t out = maker_conv(&maker, 0, NET_CONV, 1, one, one, none, NET_LINEAR);
    maker_output(&maker, out);
    int32_t weights = maker.ops[0].inputs[1];
    tflite_round(&maker.graph, false);
    /* Any pattern that is found again; then it is put over by all halves. */
    for (uint32_t i = 0; i < 2 * COUNT; i++)
        maker.tensors[weights].data[i] = 1.5f;
    uint8_t *file = tflite_write(&maker.graph, &(struct tflite_writing){.form = FORM_HALF}, &size);
    static const uint8_t pattern[8] = {0, 0x3e, 0, 0x3e, 0, 0x3e, 0, 0x3e};
    uint8_t *at = memmem(file, size, pattern, sizeof pattern);
    for (uint32_t i = 0; i < 2 * COUNT; i++) {
        uint32_t half = i < COUNT ? i : 0x8000 + i - COUNT;
        at[2 * (size_t)i] = (uint8_t)half;
        at[2 * (size_t)i + 1] = (uint8_t)(half >> 8);
    }
    bool read = net_graph_read(file, size, &graph, why) == GPU_OK;
    check_that(
        read && memcmp(graph->tensors[graph->ops[0].inputs[1]].data, numbers, sizeof numbers) == 0,
        "files: halves: %s", why);
    net_graph_free(graph);
    at[1] = 0x7c; /* infinity */
    check_that(net_graph_read(file, size, &graph, why) == GPU_EINVAL &&
                   strstr(why, "not finite") != NULL,
               "files: an infinite half: %s", why);
    free(file);
    maker_deinit(&maker);
}

/* -- The real ones ------------------------------------------------------------------------------
 */

struct facts {
    double macs, pruned_macs;
    uint32_t counts[NET_SIGMOID + 1]; /* operators by kind, before anything is dropped */
    uint32_t sparse;                  /* convolutions of which a quarter of the weights is not 0 */
    double sum;                       /* as weigh() sums them */
    uint32_t outputs[5];              /* their sizes */
};

#define LANDMARK_SIZES                                                                             \
    { 195, 1, 65536, 159744, 117 }

/* Weights and biases in the order of the operators, each with its place in it; the sums below are
 * of another reader. */
static double weigh(const struct net_graph *graph) {
    double sum = 0;
    for (uint32_t i = 0; i < graph->op_count; i++)
        for (uint32_t k = 1; k < graph->ops[i].input_count; k++) {
            const struct net_tensor *tensor = &graph->tensors[graph->ops[i].inputs[k]];
            for (size_t n = 0; tensor->data != NULL && n < tensor->count; n++)
                sum += (double)tensor->data[n] * (double)(1 + (n + i) % 97);
        }
    return sum;
}

static void check_model(const struct model *model, const struct facts *facts) {
    size_t size, total, least;
    char why[GPU_WHY_SIZE] = "";
    void *bytes = model_read(model->file, "files", &size);
    struct net_graph *graph;
    if (bytes == NULL)
        return;
    bool read = net_graph_read(bytes, size, &graph, why) == GPU_OK;
    free(bytes);
    check_that(read, "%s: %s", model->name, why);
    if (!read)
        return;
    uint32_t counts[NET_SIGMOID + 1] = {0}, sparse = 0;
    for (uint32_t i = 0; i < graph->op_count; i++) {
        counts[graph->ops[i].kind]++;
        if (graph->ops[i].kind != NET_CONV)
            continue;
        const struct net_tensor *weights = &graph->tensors[graph->ops[i].inputs[1]];
        size_t some = 0;
        for (size_t n = 0; n < weights->count; n++)
            some += weights->data[n] != 0;
        /* One weight of the detector has become 0 as a half. */
        sparse += some == weights->count / 4 || some + 1 == weights->count / 4;
    }
    for (int kind = 0; kind <= NET_SIGMOID; kind++)
        check_that(counts[kind] == facts->counts[kind], "%s: %u of %s", model->name, counts[kind],
                   net_kind_name((enum net_kind)kind));
    check_that(sparse == facts->sparse, "%s: %u sparse convolutions", model->name, sparse);
    double sum = weigh(graph), macs = (double)net_graph_macs(graph) / 1e6;
    check_that(fabs(sum / facts->sum - 1) < 1e-12, "%s: weights sum to %.9f", model->name, sum);
    check_that(macs > facts->macs - 0.05 && macs < facts->macs + 0.05, "%s: %.2f M MACs",
               model->name, macs);
    for (uint32_t i = 0; i < graph->output_count; i++)
        check_that(graph->tensors[graph->outputs[i]].count == facts->outputs[i],
                   "%s: output %u has %zu numbers", model->name, i,
                   graph->tensors[graph->outputs[i]].count);
    check_that(net_graph_simplify(graph, model->wanted, why) == GPU_OK, "%s: %s", model->name, why);
    macs = (double)net_graph_macs(graph) / 1e6;
    check_that(macs > facts->pruned_macs - 0.05 && macs < facts->pruned_macs + 0.05,
               "%s: %.2f M MACs when pruned", model->name, macs);
    for (uint32_t i = 0; i < graph->op_count; i++)
        check_that(graph->ops[i].kind != NET_PAD || graph->ops[i].pad_channels > 0,
                   "%s: padding in space is left", model->name);
    check_that(arena_is_sound(graph, 16, &total, &least), "%s: arena", model->name);
    check_that(total <= least + least / 10, "%s: %zu floats of memory where %zu would do",
               model->name, total, least);
    net_graph_free(graph);
}

static void check_real_ones(void) {
    static const struct facts facts[MODEL_COUNT] = {
        {429.9, 429.9, {45, 28, 15, 8, 0, 2, 3, 2, 6, 0}, 38, 889092.5017216206, {27048, 2254}},
        {197.8, 166.4, {54, 34, 25, 5, 2, 5, 0, 0, 3, 1}, 0, 3124082.277692437, LANDMARK_SIZES},
        {386.1, 351.3, {58, 38, 28, 5, 2, 5, 0, 0, 3, 1}, 0, 4046588.1249464154, LANDMARK_SIZES},
        {1927.3, 1890.3, {116, 82, 73, 8, 5, 5, 0, 0, 3, 1}, 0, 132116241.7365002, LANDMARK_SIZES},
    };
    for (int i = 0; i < MODEL_COUNT; i++)
        check_model(&models[i], &facts[i]);
}

void check_files(void) {
    check_forms();
    check_halves();
    check_real_ones();
}
