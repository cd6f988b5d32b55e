/* nets.c - networks: the reference against cases worked out by hand, and every engine against the
 * reference: every operator in networks made by chance, outputs poisoned before each run. */
#include "check.h"
#include "graphs.h"
#include "models.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const uint32_t one[2] = {1, 1}, two[2] = {2, 2}, three[2] = {3, 3}, none[4] = {0};

static void fill(struct maker *maker, int32_t constant, const float *numbers) {
    memcpy(maker->tensors[constant].data, numbers,
           maker->tensors[constant].count * sizeof *numbers);
}

/* Runs the graph on its one output; `expected` has the output's numbers. */
static void expect(struct maker *maker, const char *what, const float *input, int32_t output,
                   const float *expected) {
    char why[GPU_WHY_SIZE] = "";
    size_t count = maker->tensors[output].count;
    float *out = malloc(count * sizeof *out);
    maker_output(maker, output);
    bool ok = net_reference_run(&maker->graph, input, &out, why) == GPU_OK;
    for (size_t i = 0; ok && i < count; i++) {
        ok = fabsf(out[i] - expected[i]) < 1e-6f;
        check_that(ok, "reference: %s: number %zu is %g, not %g", what, i, (double)out[i],
                   (double)expected[i]);
    }
    check_that(ok, "reference: %s: %s", what, why);
    free(out);
    maker_deinit(maker);
}

static void check_convolutions(void) {
    struct maker maker;
    const float input[9] = {1, 2, 3, 4, 5, 6, 7, 8, 9}, weights[4] = {1, 10, 100, 1000};
    maker_init(&maker, 1, 3, 3, 1);
    int32_t out = maker_conv(&maker, 0, NET_CONV, 1, two, one, none, NET_LINEAR);
    fill(&maker, maker.ops[0].inputs[1], weights);
    fill(&maker, maker.ops[0].inputs[2], (const float[]){0.5f});
    expect(&maker, "conv 2x2", input, out, (const float[]){5421.5f, 6532.5f, 8754.5f, 9865.5f});

    maker_init(&maker, 1, 3, 3, 1); /* as TensorFlow pads `same` at stride 2: below and right */
    out = maker_conv(&maker, 0, NET_DEPTHWISE, 1, two, two, (const uint32_t[]){0, 1, 0, 1},
                     NET_LINEAR);
    fill(&maker, maker.ops[0].inputs[1], weights);
    fill(&maker, maker.ops[0].inputs[2], (const float[]){0});
    expect(&maker, "depthwise, padded", input, out, (const float[]){5421, 603, 87, 9});

    maker_init(&maker, 1, 1, 1, 2);
    out = maker_conv(&maker, 0, NET_CONV, 3, one, one, none, NET_RELU6);
    fill(&maker, maker.ops[0].inputs[1], (const float[]){1, 2, 3, 4, -1, -1});
    fill(&maker, maker.ops[0].inputs[2], (const float[]){1, 1, 1});
    expect(&maker, "conv 1x1, relu6", (const float[]){1, 0.5f}, out, (const float[]){3, 6, 0});

    maker_init(&maker, 1, 1, 2, 2);
    out = maker_conv(&maker, 0, NET_DEPTHWISE, 2, (const uint32_t[]){1, 2}, one, none, NET_LINEAR);
    fill(&maker, maker.ops[0].inputs[1], (const float[]){1, 2, 3, 4});
    fill(&maker, maker.ops[0].inputs[2], (const float[]){0, 1});
    expect(&maker, "depthwise", (const float[]){1, 2, 3, 4}, out, (const float[]){10, 21});
}

static void check_others(void) {
    struct maker maker;
    maker_init(&maker, 1, 1, 1, 3);
    expect(&maker, "add", (const float[]){-4, 1, 4}, maker_add(&maker, 0, 0, NET_RELU6),
           (const float[]){0, 2, 6});
    maker_init(&maker, 1, 1, 1, 1);
    expect(&maker, "pad", (const float[]){7},
           maker_pad(&maker, 0, (const uint32_t[]){1, 0, 0, 1}, 1),
           (const float[]){0, 0, 0, 0, 7, 0, 0, 0});
    maker_init(&maker, 1, 2, 3, 1);
    expect(&maker, "pool", (const float[]){1, 5, 2, 4, 3, 9},
           maker_pool(&maker, 0, (const uint32_t[]){2, 2}, one), (const float[]){5, 9});
    maker_init(&maker, 1, 1, 2, 1);
    expect(&maker, "resize", (const float[]){0, 4}, maker_simple(&maker, NET_RESIZE_TWICE, 0),
           (const float[]){0, 1, 3, 4, 0, 1, 3, 4});
    maker_init(&maker, 1, 1, 1, 8);
    expect(&maker, "depth to space", (const float[]){0, 1, 2, 3, 4, 5, 6, 7},
           maker_simple(&maker, NET_DEPTH_TO_SPACE, 0), (const float[]){0, 1, 2, 3, 4, 5, 6, 7});
    maker_init(&maker, 1, 1, 2, 4);
    expect(&maker, "depth to space of two", (const float[]){0, 1, 2, 3, 4, 5, 6, 7},
           maker_simple(&maker, NET_DEPTH_TO_SPACE, 0), (const float[]){0, 1, 4, 5, 2, 3, 6, 7});
    maker_init(&maker, 1, 2, 1, 2);
    expect(&maker, "concat of rows", (const float[]){1, 2, 3, 4},
           maker_concat(&maker, (const int32_t[]){0, 0}, 2, 1),
           (const float[]){1, 2, 3, 4, 1, 2, 3, 4});
    maker_init(&maker, 1, 2, 1, 2);
    expect(&maker, "concat of channels", (const float[]){1, 2, 3, 4},
           maker_concat(&maker, (const int32_t[]){0, 0}, 2, 3),
           (const float[]){1, 2, 1, 2, 3, 4, 3, 4});
    maker_init(&maker, 1, 1, 1, 2);
    expect(&maker, "sigmoid", (const float[]){0, -1.0986123f}, maker_simple(&maker, NET_SIGMOID, 0),
           (const float[]){0.5f, 0.25f});
}

/* -- Engines against the reference --------------------------------------------------------------
 */

enum { GUARD = 64 }; /* numbers around what is written, that must stay */

static float *guarded(size_t count) {
    float *out = malloc((count + 2 * GUARD) * sizeof *out);
    for (size_t i = 0; i < count + 2 * GUARD; i++)
        out[i] = NAN;
    return out;
}

static bool guard_holds(const float *out, size_t count) {
    bool holds = true;
    for (size_t i = 0; i < GUARD; i++)
        holds = holds && isnan(out[i]) && isnan(out[GUARD + count + i]);
    return holds;
}

/* The greatest difference between two tensors, in units of the numbers' usual size. */
static double difference(const float *a, const float *b, size_t count) {
    double most = 0.0, sum = 0.0;
    for (size_t i = 0; i < count; i++) {
        double d = fabs((double)a[i] - (double)b[i]);
        most = isnan(d) ? INFINITY : fmax(most, d);
        sum += (double)b[i] * (double)b[i];
    }
    return most / (1.0 + sqrt(sum / (double)count));
}

double check_net(struct net *net, const struct net_graph *graph, const float *input, char *why) {
    float *outs[NET_MAX_INPUTS] = {0}, *wanted[NET_MAX_INPUTS] = {0}, *rooms[NET_MAX_INPUTS];
    double worst = 0.0;
    for (uint32_t i = 0; i < graph->output_count; i++) {
        if (graph->outputs[i] == NET_NONE)
            continue;
        size_t count = graph->tensors[graph->outputs[i]].count;
        rooms[i] = guarded(count);
        outs[i] = rooms[i] + GUARD;
        wanted[i] = malloc(count * sizeof(float));
    }
    if (net_run(net, input, outs, why) != GPU_OK ||
        net_reference_run(graph, input, wanted, why) != GPU_OK)
        worst = INFINITY;
    for (uint32_t i = 0; i < graph->output_count; i++) {
        if (graph->outputs[i] == NET_NONE)
            continue;
        size_t count = graph->tensors[graph->outputs[i]].count;
        worst = fmax(worst, difference(outs[i], wanted[i], count));
        if (!guard_holds(rooms[i], count))
            worst = INFINITY;
        free(rooms[i]);
        free(wanted[i]);
    }
    return worst;
}

/* Runs a made network on an engine twice, elsewhere in memory the second time, and ends it. */
static void check_made(struct maker *maker, const char *engine, const char *name) {
    struct net *net = NULL;
    char why[GPU_WHY_SIZE] = "";
    int code = net_new_on(&maker->graph, engine, &net, why);
    check_that(code == GPU_OK, "%s, %s: %s", name, engine, why);
    size_t count = maker->tensors[0].count;
    for (int run = 0; run < 2 && code == GPU_OK; run++) {
        float *input = malloc((count + GUARD) * sizeof *input);
        for (size_t i = 0; i < count + GUARD; i++)
            input[i] = i < count ? maker_number(maker) : NAN;
        double worst = check_net(net, &maker->graph, input, why);
        check_that(worst < 3e-5, "%s, %s, run %d: off by %g", name, engine, run, worst);
        free(input);
    }
    net_free(net);
    maker_deinit(maker);
}

static void check_random(uint64_t seed, const char *engine) {
    struct maker maker;
    char name[32];
    snprintf(name, sizeof name, "network %llu", (unsigned long long)seed);
    if (maker_random(&maker, seed, 1 + (uint32_t)(seed % 12)))
        check_made(&maker, engine, name);
    else
        maker_deinit(&maker);
}

/* Pictures so large that a depthwise convolution goes row by row with its neighbours, which are
 * there or not. */
static void check_rows(uint32_t form, const char *engine) {
    const bool before = form & 1, after = form & 2, sum = form & 4, wide = form & 8,
               half = form & 16;
    const uint32_t size = wide ? 5 : 3, edge = size / 2, stride = half ? 2 : 1;
    const uint32_t kernel[2] = {size, size}, step[2] = {stride, stride};
    const uint32_t pad[4] = {edge, edge, edge, form % 3};
    struct maker maker;
    char name[32];
    maker_init(&maker, form, before ? 128 : 64, before ? 127 : 65, before ? 3 : 37);
    int32_t x = before ? maker_conv(&maker, 0, NET_CONV, 37, three, two,
                                    (const uint32_t[]){1, 1, 1, 2}, NET_RELU6)
                       : 0;
    x = maker_conv(&maker, x, NET_DEPTHWISE, 0, kernel, step, pad, NET_RELU6);
    int32_t last = after ? maker_conv(&maker, x, NET_CONV, 21, one, one, none, NET_LINEAR) : x;
    if (sum)
        last = maker_add(&maker, last, maker_constant(&maker, maker.tensors[last].shape, 1.0f),
                         half ? NET_RELU6 : NET_LINEAR);
    maker_output(&maker, last);
    snprintf(name, sizeof name, "rows %u", form);
    check_made(&maker, engine, name);
}

/* What goes in and out of a net of one operator, for cases that chance makes rarely. */
static void check_cases(void) {
    struct maker maker;
    struct net *net;
    char why[GPU_WHY_SIZE] = "";
    maker_init(&maker, 1, 4, 4, 3);
    maker_output(&maker, maker_conv(&maker, 0, NET_CONV, 5, three, two, none, NET_LINEAR));
    maker.graph.outputs[maker.graph.output_count++] = NET_NONE;
    maker.graph.outputs[maker.graph.output_count++] = maker.graph.outputs[0];
    check_that(net_new(&maker.graph, &net, why) == GPU_EINVAL, "an output twice: %s", why);
    maker.graph.outputs[2] = 0;
    check_that(net_new(&maker.graph, &net, why) == GPU_EINVAL, "an input as output: %s", why);
    maker.graph.outputs[2] = NET_NONE;
    check_that(net_new(&maker.graph, &net, why) == GPU_OK, "outputs left out: %s", why);
    check_that(net != NULL && net_memory(net) > 5 * 27 * sizeof(float), "a net's memory");
    net_free(net);
    maker_deinit(&maker);
    net_free(NULL);
}

static void check_model(const struct model *model, const char *engine) {
    char why[GPU_WHY_SIZE] = "";
    struct net_graph *graph = model_graph(model);
    struct net *net = NULL;
    if (graph == NULL)
        return;
    struct maker dice = {.seed = 1234};
    size_t count = graph->tensors[graph->inputs[0]].count;
    float *input = malloc((count + NET_OVERREAD) * sizeof *input);
    for (size_t i = 0; i < count + NET_OVERREAD; i++)
        input[i] = i < count ? maker_number(&dice) : NAN;
    check_that(net_new_on(graph, engine, &net, why) == GPU_OK, "%s, %s: %s", model->name, engine,
               why);
    if (net != NULL) {
        double worst = check_net(net, graph, input, why);
        check_that(worst < 3e-4, "%s, %s: differs from the reference by %g: %s", model->name,
                   engine, worst, why);
        printf("%s, %s: greatest difference %.1e of an output's size\n", model->name, engine,
               worst);
    }
    net_free(net);
    net_graph_free(graph);
    free(input);
}

/* That an engine is here; what it is for, else. */
static bool has_engine(const char *engine) {
    struct maker maker;
    struct net *net = NULL;
    char why[GPU_WHY_SIZE] = "";
    maker_init(&maker, 1, 1, 1, 1);
    maker_output(&maker, maker_simple(&maker, NET_SIGMOID, 0));
    int code = net_new_on(&maker.graph, engine, &net, why);
    check_that(code == GPU_OK || code == GPU_EDEVICE, "%s: %s", engine, why);
    check_that(code != GPU_OK || strcmp(net_engine_name(net), engine) == 0, "%s: its name", engine);
    if (code != GPU_OK)
        check_skip(why);
    net_free(net);
    maker_deinit(&maker);
    return code == GPU_OK;
}

void check_nets(void) {
    static const char *const engines[] = {"portable", "avx2", "avx512", "xnnpack"};
    check_convolutions();
    check_others();
    check_cases();
    for (int i = 0; i < 4; i++) {
        if (!has_engine(engines[i]))
            continue;
        for (uint64_t seed = 1; seed <= 300; seed++)
            check_random(seed, engines[i]);
        for (uint32_t form = 0; form < 32; form++)
            check_rows(form, engines[i]);
        for (int k = 0; k < MODEL_COUNT; k++)
            check_model(&models[k], engines[i]);
    }
}
