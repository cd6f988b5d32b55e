/* cuda_check.h - the parts of gpu_check_cuda, which checks the CUDA plug-in's kernels: on the CPU
 * (cuda_emulate.h) always, and on a device where one is. */
#ifndef STANCE_CHECK_CUDA_CHECK_H
#define STANCE_CHECK_CUDA_CHECK_H

#include "check/cuda_emulate.h"
#include "cuda/device.h"
#include "pose/backend.h"

#include <cstdio>
#include <cstdlib>
#include <vector>

/* Where kernels run. */
enum cuda_where { ON_CPU, ON_DEVICE };

/* Counts a case; prints it when it failed. The other is called where something is not here. */
extern "C" void check_that(bool ok, const char *format, ...) __attribute__((format(printf, 2, 3)));
extern "C" void check_skip(const char *why);

/* A random number in [0, 1), and one of [0, count). */
float cuda_random();
uint32_t cuda_below(uint32_t count);

/* Chance begins anew with this number; returns one that goes on where it was. */
uint64_t cuda_chance(uint64_t seed);

/* The numbers as the device keeps them. */
float cuda_rounded(float value);

/* ||a - b|| / ||b||; infinity where a number is none. */
double cuda_error(const float *a, const float *b, size_t count);

/* Memory of where the kernels run, and what is in it. */
template <class T> struct shared_array {
    cuda_where where;
    std::vector<T> here;
    T *at;

    shared_array(cuda_where w, const std::vector<T> &numbers) : where(w), here(numbers) {
        at = here.data();
        if (where == ON_DEVICE &&
            (cudaMalloc(reinterpret_cast<void **>(&at), here.size() * sizeof(T)) != cudaSuccess ||
             cudaMemcpy(at, here.data(), here.size() * sizeof(T), cudaMemcpyHostToDevice) !=
                 cudaSuccess)) {
            fprintf(stderr, "gpu_check_cuda: no memory on the device\n");
            exit(1);
        }
    }
    shared_array(const shared_array &) = delete;
    ~shared_array() {
        if (where == ON_DEVICE)
            (void)cudaFree(at);
    }
    const std::vector<T> &back() {
        if (where == ON_DEVICE && cudaMemcpy(here.data(), at, here.size() * sizeof(T),
                                             cudaMemcpyDeviceToHost) != cudaSuccess)
            check_that(false, "copying back from the device");
        return here;
    }
};

template <class Item>
static inline void run_items(cuda_where where, const Item &item, uint32_t count) {
    if (where == ON_CPU)
        items_run(item, count);
    else
        check_that(items_launch(item, count, nullptr) == cudaSuccess &&
                       cudaDeviceSynchronize() == cudaSuccess,
                   "a kernel of items fails");
}

/* Runs a graph over a batch of inputs, floats as the graph has them; outputs[i] gets the batch's
 * numbers of output i. `emulate`: on the CPU, blocks thread by thread. */
int cuda_graph_run(cuda_where where, const struct net_graph *graph, uint32_t batch, bool emulate,
                   const std::vector<float> &input, std::vector<std::vector<float>> &outputs,
                   char *why);

/* The greatest cuda_error of an output against the reference. The graph's weights are rounded to
 * what the device keeps, and so is the input, which is random. */
double cuda_graph_check(cuda_where where, struct net_graph *graph, uint32_t batch, bool emulate,
                        char *why);

/* Somebody in a studio, seen from an angle: a picture of CUDA_BODY_SIDE square in `rgb`; and where
 * in it a crop should be. */
enum { CUDA_BODY_SIDE = 512 };
struct gpu_picture cuda_draw_body(std::vector<uint8_t> &rgb, float angle);
const struct pose_roi cuda_middle = {CUDA_BODY_SIDE / 2.0f, CUDA_BODY_SIDE / 2.0f,
                                     CUDA_BODY_SIDE * 0.95f, 0.1f};

/* Distances between two readings of one crop's landmarks, in its pixels, in order. */
std::vector<float> cuda_distances(const struct pose_raw &a, const struct pose_raw &b);

void cuda_check_lanes(cuda_where where);  /* vectors of one lane beside the CPU's */
void cuda_check_render(cuda_where where); /* pictures beside the CPU's */
void cuda_check_layers(cuda_where where); /* every kernel, in networks of one or two */
void cuda_check_nets(cuda_where where);   /* networks by chance, and MediaPipe's */
void cuda_check_pose(cuda_where where);   /* crops and decoding */
void cuda_check_backend();                /* the plug-in's backend beside the CPU's */

/* Times by step and batch; text to stdout. */
int cuda_bench();
int cuda_bench_render(double bytes_a_second); /* the renderer's part of it */

#endif
