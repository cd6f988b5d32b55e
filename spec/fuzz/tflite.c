/* Networks: TFLite files are read whole or refused, and what was read can be worked with. */
#include <string.h>

#include "check/graphs.h"
#include "check/tflite_file.h"
#include "fuzz.h"
#include "net/net.h"
#include "stance_gpu.h"

enum { MOST_MACS = 1 << 20, MOST_NUMBERS = 1 << 18 }; /* to be computed here */

/* Each operator reads what is there already; nothing is named that is not there. */
static size_t check_graph(const struct net_graph *graph) {
    size_t numbers = 0;
    bool *there = calloc(graph->tensor_count, sizeof *there);
    for (uint32_t i = 0; i < graph->tensor_count; i++) {
        const struct net_tensor *tensor = &graph->tensors[i];
        size_t count = 1, finite = 0;
        for (uint32_t d = 0; d < tensor->rank; d++)
            count *= tensor->shape[d];
        FUZZ_CHECK(tensor->rank >= 1 && tensor->rank <= NET_MAX_RANK && count == tensor->count);
        for (size_t n = 0; tensor->data != NULL && n < count; n++)
            finite += tensor->data[n] - tensor->data[n] == 0;
        FUZZ_CHECK(tensor->data == NULL || finite == count);
        there[i] = tensor->data != NULL;
        numbers += count;
    }
    for (uint32_t i = 0; i < graph->input_count; i++)
        there[graph->inputs[i]] = true;
    for (uint32_t i = 0; i < graph->op_count; i++) {
        const struct net_op *op = &graph->ops[i];
        for (uint32_t k = 0; k < op->input_count; k++)
            FUZZ_CHECK((uint32_t)op->inputs[k] < graph->tensor_count && there[op->inputs[k]]);
        FUZZ_CHECK((uint32_t)op->output < graph->tensor_count && !there[op->output]);
        there[op->output] = true;
    }
    for (uint32_t i = 0; i < graph->output_count; i++)
        FUZZ_CHECK(graph->outputs[i] == NET_NONE || there[graph->outputs[i]]);
    free(there);
    return numbers;
}

static void run_graph(const struct net_graph *graph) {
    float *outputs[NET_MAX_INPUTS] = {NULL};
    char why[GPU_WHY_SIZE];
    float *input = calloc(graph->tensors[graph->inputs[0]].count, sizeof *input);
    for (uint32_t i = 0; i < graph->output_count; i++)
        if (graph->outputs[i] != NET_NONE)
            outputs[i] = calloc(graph->tensors[graph->outputs[i]].count, sizeof(float));
    net_reference_run(graph, input, outputs, why);
    for (uint32_t i = 0; i < graph->output_count; i++)
        free(outputs[i]);
    free(input);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    struct net_graph *graph;
    char why[GPU_WHY_SIZE] = "";
    int code = net_graph_read(bytes, size, &graph, why);
    FUZZ_CHECK(code == GPU_OK || (graph == NULL && why[0] != 0));
    if (code != GPU_OK)
        return 0;
    check_graph(graph);
    uint64_t macs = net_graph_macs(graph);
    FUZZ_CHECK(net_graph_simplify(graph, size % 2 ? 1 : UINT32_MAX, why) == GPU_OK);
    FUZZ_CHECK(net_graph_macs(graph) <= macs);
    size_t numbers = check_graph(graph), total;
    size_t *offset = calloc(graph->tensor_count, sizeof *offset);
    code = net_graph_arena(graph, 16, offset, &total, why);
    for (uint32_t i = 0; code == GPU_OK && i < graph->tensor_count; i++)
        FUZZ_CHECK(offset[i] == SIZE_MAX || offset[i] + graph->tensors[i].count <= total);
    free(offset);
    if (macs < MOST_MACS && numbers < MOST_NUMBERS)
        run_graph(graph);
    net_graph_free(graph);
    return 0;
}

void fuzz_seeds(void (*add)(const void *bytes, size_t size)) {
    for (uint64_t seed = 1; seed <= 24; seed++) {
        struct maker maker;
        struct tflite_writing writing = {.form = (enum tflite_form)(seed % FORM_COUNT)};
        size_t size;
        if (maker_random(&maker, seed, 6)) {
            tflite_round(&maker.graph, true);
            uint8_t *file = tflite_write(&maker.graph, &writing, &size);
            if (size < 1 << 16)
                add(file, size);
            free(file);
        }
        maker_deinit(&maker);
    }
    add("\x14\0\0\0TFL3", 8);
}
