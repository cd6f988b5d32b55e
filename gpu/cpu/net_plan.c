/* net_plan.c - see net_plan.h. */
#include "net_plan.h"
#include "fail.h"
#include "net_layer.h"

#include <stdlib.h>
#include <string.h>

enum {
    LARGE_FLOATS = 1 << 17, /* a picture that the second cache has no room for, beside others */
    LONG_ROW = 32,          /* pixels: for fewer at a time weights are not worth fetching */
};

struct plan {
    const struct net_graph *graph;
    struct net_joint *joints; /* of each operator */
    bool *gone;               /* its operator is part of another one's joint */
    int32_t *maker;           /* of each tensor: the joint; NET_NONE: not made */
    uint32_t *uses;           /* of each tensor, an output counts as one */
};

static bool is_of_pixels(const struct net_op *op) {
    bool padded = (op->pad[0] | op->pad[1] | op->pad[2] | op->pad[3]) != 0;
    return op->kind == NET_CONV && op->kernel[0] == 1 && op->kernel[1] == 1 && op->stride[0] == 1 &&
           op->stride[1] == 1 && !padded;
}

/* The joint that makes a tensor which only one operator needs, or NULL. */
static struct net_joint *only_maker(const struct plan *plan, int32_t tensor) {
    if (plan->maker[tensor] == NET_NONE || plan->uses[tensor] != 1)
        return NULL;
    return &plan->joints[plan->maker[tensor]];
}

/* The operator that a joint ends with, if an addition can be folded into it; else NULL. */
static struct net_op *open_end(struct net_joint *joint) {
    struct net_op *last = joint->has_after ? &joint->after : &joint->main;
    bool conv = last->kind == NET_CONV && last->input_count == NET_RESIDUAL;
    bool resize = last->kind == NET_RESIZE_TWICE && last->input_count == 1;
    return (conv || resize) && last->activation == NET_LINEAR ? last : NULL;
}

/* Folds the addition `i` into what makes one of its inputs. */
static void fold_addition(struct plan *plan, uint32_t i) {
    struct net_joint *sum = &plan->joints[i];
    const struct net_op addition = sum->op;
    for (int side = 1; side >= 0; side--) {
        struct net_joint *made = only_maker(plan, addition.inputs[side]);
        struct net_op *last = made != NULL ? open_end(made) : NULL;
        if (last == NULL)
            continue;
        if (last->kind == NET_RESIZE_TWICE) /* it has no weights there */
            made->op.inputs[1] = made->op.inputs[2] = last->inputs[1] = last->inputs[2] =
                last->inputs[0];
        *sum = *made;
        last = open_end(sum);
        last->activation = sum->op.activation = addition.activation;
        last->output = sum->op.output = addition.output;
        last->inputs[NET_RESIDUAL] = sum->op.inputs[NET_RESIDUAL] = addition.inputs[1 - side];
        last->input_count = sum->op.input_count = NET_RESIDUAL + 1;
        plan->gone[made - plan->joints] = true;
        return;
    }
}

/* Joins what makes a depthwise convolution's input; true where that can go row by row. */
static void join_before(struct plan *plan, uint32_t i) {
    struct net_joint *joint = &plan->joints[i];
    struct net_joint *made = only_maker(plan, joint->op.inputs[0]);
    if (made == NULL || made->op.kind != NET_CONV || made->op.input_count != NET_RESIDUAL)
        return;
    joint->before = made->op;
    joint->has_before = true;
    joint->op.inputs[0] = made->op.inputs[0];
    plan->gone[made - plan->joints] = true;
}

/* Joins the depthwise convolution that makes the input of `i`, a convolution of pixels. */
static void join_after(struct plan *plan, uint32_t i) {
    struct net_joint *joint = &plan->joints[i];
    struct net_joint *made = only_maker(plan, joint->op.inputs[0]);
    if (made == NULL || !made->by_rows || made->has_after)
        return;
    struct net_op last = joint->op;
    *joint = *made;
    joint->after = last;
    joint->has_after = true;
    joint->op.output = last.output;
    joint->op.inputs[NET_RESIDUAL] = last.inputs[NET_RESIDUAL];
    joint->op.input_count = last.input_count;
    plan->gone[made - plan->joints] = true;
}

static void join(struct plan *plan) {
    const struct net_graph *graph = plan->graph;
    for (uint32_t i = 0; i < graph->op_count; i++) {
        struct net_joint *joint = &plan->joints[i];
        if (joint->op.kind == NET_ADD) {
            fold_addition(plan, i);
        } else if (joint->op.kind == NET_DEPTHWISE) {
            const struct net_tensor *in = &graph->tensors[joint->op.inputs[0]];
            joint->by_rows = in->count >= LARGE_FLOATS && in->shape[2] >= LONG_ROW;
            if (joint->by_rows)
                join_before(plan, i);
        }
        if (is_of_pixels(&joint->op))
            join_after(plan, i);
        plan->maker[joint->op.output] = (int32_t)i;
    }
}

int net_plan_make(const struct net_graph *graph, struct net_joint *joints) {
    struct plan plan = {.graph = graph,
                        .joints = joints,
                        .gone = calloc(graph->op_count + 1, sizeof(bool)),
                        .maker = calloc(graph->tensor_count + 1, sizeof(int32_t)),
                        .uses = calloc(graph->tensor_count + 1, sizeof(uint32_t))};
    int count = GPU_ENOMEM;
    if (plan.gone == NULL || plan.maker == NULL || plan.uses == NULL)
        goto done;
    for (uint32_t i = 0; i < graph->tensor_count; i++)
        plan.maker[i] = NET_NONE;
    for (uint32_t i = 0; i < graph->output_count; i++)
        if (graph->outputs[i] != NET_NONE)
            plan.uses[graph->outputs[i]] += 2; /* it must be written whatever else needs it */
    for (uint32_t i = 0; i < graph->op_count; i++) {
        joints[i] = (struct net_joint){.op = graph->ops[i], .main = graph->ops[i]};
        for (uint32_t k = 0; k < graph->ops[i].input_count; k++)
            plan.uses[graph->ops[i].inputs[k]]++;
    }
    join(&plan);
    count = 0;
    for (uint32_t i = 0; i < graph->op_count; i++)
        if (!plan.gone[i])
            joints[count++] = joints[i];
done:
    free(plan.gone);
    free(plan.maker);
    free(plan.uses);
    return count;
}
