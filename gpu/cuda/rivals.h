/* rivals.h - for each convolution of a plan and size of batch: our kernel or cuDNN's, by trial.
 *
 * Both run on the device, in the places where the network's own numbers are; cuDNN's is taken where
 * it gives the same result in clearly less time. STANCE_CUDNN=0 takes none.
 *
 * Threads: one at a time. */
#ifndef STANCE_CUDA_RIVALS_H
#define STANCE_CUDA_RIVALS_H

#include "cuda/cudnn.h"
#include "cuda/device.h"
#include "cuda/run.h"

struct rivals {
    cudnn_conv **by_step; /* null: ours */
    uint32_t steps, taken;
    cuda_room workspace; /* must live as long as what was recorded with it */
};

/* Enqueues a step's convolution, by whoever was taken. */
int rivals_run(const rivals *rivals, const plan *plan, const plan_memory &memory,
               const plan_step &step, const conv_args &args, cudaStream_t stream, char *why);

/* Tries all; no cuDNN is no failure, but an empty table. */
int rivals_elect(rivals *rivals, const plan *plan, const plan_memory &memory, uint32_t batch,
                 cudnn_library *library, cudaStream_t stream, char *why);

/* Ends the convolutions, which a recording does not need any more; with `workspace`, all. */
void rivals_free(rivals *rivals, bool workspace);

#endif
