/* cuda_emulate.h - CUDA kernels of this library on the CPU, so that their arithmetic and their
 * indices are checked where there is no device.
 *
 * Items (cuda/kernel.h) simply run one after the other. A block of threads that work together
 * (cuda/conv.h) runs as fibers, which change at barriers, in another random order each time; copies
 * to shared memory arrive when they are waited for and not before; the tensor cores' product is
 * taken apart and put together in the layout that the PTX manual gives for m16n8k16. What lies in
 * shared memory at first is no number.
 *
 * What this cannot find: wrong launches, what the device's own instructions do, and races between
 * barriers of a finer kind. */
#ifndef STANCE_CHECK_CUDA_EMULATE_H
#define STANCE_CHECK_CUDA_EMULATE_H

#include "cuda/run.h"

/* Runs a convolution's blocks as a device would. */
void emulate_conv(const conv_args &args);

/* The same result by plain loops. */
void plain_conv(const conv_args &args);

/* For plan_emit: everything on the CPU. */
struct cpu_runner {
    bool emulate; /* convolutions by fibers; slow */

    template <class Item> int items(const plan_step &, const Item &item, uint32_t count) {
        items_run(item, count);
        return 0;
    }

    int conv(const plan_step &, const conv_args &args) {
        if (emulate)
            emulate_conv(args);
        else
            plain_conv(args);
        return 0;
    }
};

#endif
