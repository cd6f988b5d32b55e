/* arena.c - memory for results in between: those that are never needed at once share it. */
#include <stdlib.h>

#include "fail.h"
#include "net/graph.h"

enum { MOST_FLOATS = 1 << 28 }; /* 1 GB */

struct span {
    int32_t tensor;
    uint32_t from, to; /* operators: the one that writes it, the last that reads it */
    size_t size, offset;
};

/* The larger first; then the earlier, so that the order is the same everywhere. */
static int compare_sizes(const void *a, const void *b) {
    const struct span *left = a, *right = b;
    if (left->size != right->size)
        return left->size < right->size ? 1 : -1;
    return left->tensor < right->tensor ? -1 : left->tensor > right->tensor;
}

static int compare_offsets(const void *a, const void *b) {
    const struct span *left = *(struct span *const *)a, *right = *(struct span *const *)b;
    return left->offset < right->offset ? -1 : left->offset > right->offset;
}

/* Spans of what lives in the arena, by tensor; `place` of those that do not is NULL. */
static uint32_t find_spans(const struct net_graph *graph, size_t align, struct span *spans,
                           uint32_t *span_of) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < graph->tensor_count; i++)
        span_of[i] = UINT32_MAX;
    for (uint32_t i = 0; i < graph->op_count; i++) {
        const struct net_op *op = &graph->ops[i];
        for (uint32_t k = 0; k < op->input_count; k++)
            if (span_of[op->inputs[k]] != UINT32_MAX)
                spans[span_of[op->inputs[k]]].to = i;
        bool is_output = false;
        for (uint32_t k = 0; k < graph->output_count; k++)
            is_output |= graph->outputs[k] == op->output;
        if (is_output)
            continue;
        size_t size = (graph->tensors[op->output].count + align - 1) & ~(align - 1);
        span_of[op->output] = count;
        spans[count++] = (struct span){op->output, i, i, size, 0};
    }
    return count;
}

/* The lowest gap between those that are placed already and needed at the same time. */
static size_t find_gap(const struct span *span, const struct span *spans, uint32_t placed,
                       const struct span **neighbours) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < placed; i++)
        if (spans[i].from <= span->to && span->from <= spans[i].to)
            neighbours[count++] = &spans[i];
    qsort(neighbours, count, sizeof *neighbours, compare_offsets);
    size_t offset = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (neighbours[i]->offset >= offset + span->size)
            break;
        size_t end = neighbours[i]->offset + neighbours[i]->size;
        offset = end > offset ? end : offset;
    }
    return offset;
}

int net_graph_arena(const struct net_graph *graph, size_t align, size_t *offset, size_t *total,
                    char *why) {
    if (align == 0 || (align & (align - 1)) != 0 || align > MOST_FLOATS)
        return gpu_fail(why, GPU_EINVAL, "an alignment of %zu floats: only powers of two", align);
    struct span *spans = calloc(graph->op_count, sizeof *spans);
    uint32_t *span_of = calloc(graph->tensor_count, sizeof *span_of);
    const struct span **neighbours = calloc(graph->op_count, sizeof *neighbours);
    int code = GPU_OK;
    *total = 0;
    if (spans == NULL || span_of == NULL || neighbours == NULL) {
        code = gpu_fail(why, GPU_ENOMEM, "no memory to lay out a graph");
        goto done;
    }
    for (uint32_t i = 0; i < graph->tensor_count; i++)
        offset[i] = SIZE_MAX;
    uint32_t count = find_spans(graph, align, spans, span_of);
    qsort(spans, count, sizeof *spans, compare_sizes);
    for (uint32_t i = 0; i < count; i++) {
        spans[i].offset = find_gap(&spans[i], spans, i, neighbours);
        offset[spans[i].tensor] = spans[i].offset;
        if (*total < spans[i].offset + spans[i].size)
            *total = spans[i].offset + spans[i].size;
    }
    if (*total > MOST_FLOATS)
        code = gpu_fail(why, GPU_EINVAL, "results in between need %zu floats: at most %d", *total,
                        MOST_FLOATS);
done:
    free(spans);
    free(span_of);
    free(neighbours);
    return code;
}
