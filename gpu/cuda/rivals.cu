/* rivals.cu - see rivals.h. */
#include "cuda/rivals.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <vector>

namespace {

enum { WARM_RUNS = 2, TIMED_RUNS = 6, COMPARED = 1 << 15, MOST_WORKSPACE = 256 << 20 };
const float clearly = 0.9f; /* of our time */

/* For plan_emit: tries each convolution, runs nothing else. */
struct elector {
    rivals *table;
    const plan *p;
    const plan_memory *memory;
    cudnn_library *library;
    cudaStream_t stream;
    char *why;
    cudaEvent_t start, end;

    template <class Item> int items(const plan_step &, const Item &, uint32_t) {
        return GPU_OK;
    }

    int conv(const plan_step &step, const conv_args &args) {
        cudnn_conv *other = nullptr;
        char reason[GPU_WHY_SIZE];
        bool better = false;
        if (cudnn_conv_new(library, args, &other, reason) != GPU_OK)
            return GPU_OK;
        int code = GPU_OK;
        if (cudnn_conv_workspace(other) <= MOST_WORKSPACE)
            code = try_both(step, args, other, &better);
        if (code == GPU_OK && better) {
            table->by_step[&step - p->steps] = other;
            table->taken++;
        } else {
            cudnn_conv_free(other);
        }
        return code;
    }

    /* A rival that cannot run at all has lost, that is all; `why` is of what is ours. */
    int try_both(const plan_step &step, const conv_args &args, cudnn_conv *other, bool *better) {
        rivals ours = {}, theirs = {};
        std::vector<cudnn_conv *> one(p->step_count, nullptr);
        std::vector<__half> expected, made;
        char reason[GPU_WHY_SIZE];
        float mine = 0.0f, its = 0.0f;
        GPU_TRY(cuda_room_reserve(&table->workspace, cudnn_conv_workspace(other), "cuDNN", why));
        one[&step - p->steps] = other;
        theirs.by_step = one.data();
        theirs.workspace = table->workspace;
        GPU_TRY(time_one(&ours, step, args, &mine, &expected, why));
        *better = time_one(&theirs, step, args, &its, &made, reason) == GPU_OK &&
                  its < clearly * mine && same(made, expected);
        return GPU_OK;
    }

    int time_one(const rivals *by, const plan_step &step, const conv_args &args, float *ms,
                 std::vector<__half> *result, char *reason) {
        char *why = reason; /* for CUDA_TRY */
        for (int i = 0; i < WARM_RUNS; i++)
            GPU_TRY(rivals_run(by, p, *memory, step, args, stream, why));
        CUDA_TRY(cudaEventRecord(start, stream));
        for (int i = 0; i < TIMED_RUNS; i++)
            GPU_TRY(rivals_run(by, p, *memory, step, args, stream, why));
        CUDA_TRY(cudaEventRecord(end, stream));
        CUDA_TRY(cudaEventSynchronize(end));
        CUDA_TRY(cudaEventElapsedTime(ms, start, end));
        const size_t count = (size_t)args.rows() * channels_stored(args.channels);
        if (args.out == nullptr)
            return GPU_OK;
        result->resize(std::min(count, (size_t)COMPARED));
        CUDA_TRY(cudaMemcpyAsync(result->data(), args.out, result->size() * sizeof(__half),
                                 cudaMemcpyDeviceToHost, stream));
        CUDA_TRY(cudaStreamSynchronize(stream));
        return GPU_OK;
    }

    static bool same(const std::vector<__half> &a, const std::vector<__half> &b) {
        double off = 0.0, size = 0.0;
        for (size_t i = 0; i < a.size(); i++) {
            const double x = __half2float(a[i]), y = __half2float(b[i]);
            off += (x - y) * (x - y);
            size += y * y;
        }
        return off <= 1e-4 * size; /* an error of a hundredth; false where there is no number */
    }
};

} // namespace

int rivals_run(const rivals *rivals, const plan *plan, const plan_memory &memory,
               const plan_step &step, const conv_args &args, cudaStream_t stream, char *why) {
    cudnn_conv *other = rivals->by_step == nullptr ? nullptr : rivals->by_step[&step - plan->steps];
    if (other != nullptr)
        return cudnn_conv_run(other, args, memory.weights + step.dense,
                              memory.weights + step.half_biases, rivals->workspace.at, why);
    return cuda_judge(conv_launch(args, stream), step.name, __FILE__, __LINE__, why);
}

int rivals_elect(rivals *rivals, const plan *plan, const plan_memory &memory, uint32_t batch,
                 cudnn_library *library, cudaStream_t stream, char *why) {
    if (library == nullptr)
        return GPU_OK;
    rivals->steps = plan->step_count;
    rivals->by_step = static_cast<cudnn_conv **>(calloc(plan->step_count, sizeof *rivals->by_step));
    if (rivals->by_step == nullptr)
        return gpu_fail(why, GPU_ENOMEM, "no memory for a choice of convolutions");
    elector all = {rivals, plan, &memory, library, stream, why, nullptr, nullptr};
    int code = cuda_judge(cudaEventCreate(&all.start), "cudaEventCreate", __FILE__, __LINE__, why);
    if (code == GPU_OK)
        code = cuda_judge(cudaEventCreate(&all.end), "cudaEventCreate", __FILE__, __LINE__, why);
    if (code == GPU_OK)
        code = plan_emit(*plan, memory, batch, all);
    for (cudaEvent_t event : {all.start, all.end})
        if (event != nullptr)
            (void)cudaEventDestroy(event);
    return code;
}

void rivals_free(rivals *rivals, bool workspace) {
    for (uint32_t i = 0; i < rivals->steps && rivals->by_step != nullptr; i++)
        cudnn_conv_free(rivals->by_step[i]);
    free(rivals->by_step);
    rivals->by_step = nullptr;
    rivals->steps = 0;
    if (workspace)
        cuda_room_free(&rivals->workspace);
}
