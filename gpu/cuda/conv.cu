/* conv.cu - see conv.h: how a thread of a device copies, waits and multiplies. */
#include "cuda/conv.h"

namespace {

struct device_lane {
    __device__ int thread() const {
        return (int)threadIdx.x;
    }

    __device__ void sync() const {
        __syncthreads();
    }

    /* 16 bytes to shared memory; zeros where `from` is null (`any` is an address that may be
     * named). Before compute capability 8.0 the copy is done at once. */
    __device__ void copy16(__half *to, const __half *from, const __half *any) const {
#if __CUDA_ARCH__ >= 800
        const uint32_t place = (uint32_t)__cvta_generic_to_shared(to);
        const int bytes = from != nullptr ? 16 : 0;
        asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;\n" ::"r"(place),
                     "l"(from != nullptr ? from : any), "r"(bytes)
                     : "memory");
#else
        (void)any;
        *reinterpret_cast<uint4 *>(to) =
            from != nullptr ? *reinterpret_cast<const uint4 *>(from) : make_uint4(0, 0, 0, 0);
#endif
    }

    __device__ void commit() const {
#if __CUDA_ARCH__ >= 800
        asm volatile("cp.async.commit_group;\n" ::: "memory");
#endif
    }

    /* Until at most `Left` of this thread's committed groups are under way. */
    template <int Left> __device__ void wait() const {
#if __CUDA_ARCH__ >= 800
        asm volatile("cp.async.wait_group %0;\n" ::"n"(Left) : "memory");
#endif
    }

    __device__ void multiply_add(float (&sum)[4], const uint32_t (&left)[4],
                                 const uint32_t (&right)[2]) const {
#if __CUDA_ARCH__ >= 800
        asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 "
                     "{%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};\n"
                     : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
                     : "r"(left[0]), "r"(left[1]), "r"(left[2]), "r"(left[3]), "r"(right[0]),
                       "r"(right[1]));
#else
#pragma unroll
        for (int k = 0; k < 2; k++)
            asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 "
                         "{%0,%1,%2,%3}, {%4,%5}, {%6}, {%0,%1,%2,%3};\n"
                         : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
                         : "r"(left[2 * k]), "r"(left[2 * k + 1]), "r"(right[k]));
#endif
    }
};

template <int Columns, bool Pointwise>
__global__ void __launch_bounds__(CONV_THREADS) conv_kernel(const conv_args args) {
    __shared__ __align__(16) __half shared[conv_shared<Columns>::halves];
    device_lane lane;
    conv_block<Columns, Pointwise, device_lane>(args, lane, shared, blockIdx.x, blockIdx.y).run();
}

template <int Columns> cudaError_t launch(const conv_args &args, cudaStream_t stream) {
    const dim3 blocks((args.rows() + CONV_ROWS - 1) / CONV_ROWS,
                      (args.channels + Columns - 1) / Columns);
    if (args.pointwise())
        conv_kernel<Columns, true><<<blocks, CONV_THREADS, 0, stream>>>(args);
    else
        conv_kernel<Columns, false><<<blocks, CONV_THREADS, 0, stream>>>(args);
    return cudaPeekAtLastError();
}

} // namespace

cudaError_t conv_launch(const conv_args &args, cudaStream_t stream) {
    switch (conv_columns(args)) {
    case 16:
        return launch<16>(args, stream);
    case 32:
        return launch<32>(args, stream);
    default:
        return launch<64>(args, stream);
    }
}
