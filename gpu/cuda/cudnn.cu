/* cudnn.cu - see cudnn.h. */
#include "cuda/cudnn.h"

#include "cuda/device.h"
#include "cuda/layers.h"

#if __has_include(<cudnn.h>)
#include <cudnn.h>

#include <cstdio>
#include <cstdlib>
#include <dlfcn.h>

/* What is used of it. */
#define CUDNN_FUNCTIONS(X)                                                                         \
    X(cudnnCreate)                                                                                 \
    X(cudnnDestroy)                                                                                \
    X(cudnnSetStream)                                                                              \
    X(cudnnGetErrorString)                                                                         \
    X(cudnnCreateTensorDescriptor)                                                                 \
    X(cudnnSetTensor4dDescriptor)                                                                  \
    X(cudnnDestroyTensorDescriptor)                                                                \
    X(cudnnCreateFilterDescriptor)                                                                 \
    X(cudnnSetFilter4dDescriptor)                                                                  \
    X(cudnnDestroyFilterDescriptor)                                                                \
    X(cudnnCreateConvolutionDescriptor)                                                            \
    X(cudnnSetConvolution2dDescriptor)                                                             \
    X(cudnnSetConvolutionMathType)                                                                 \
    X(cudnnDestroyConvolutionDescriptor)                                                           \
    X(cudnnCreateActivationDescriptor)                                                             \
    X(cudnnSetActivationDescriptor)                                                                \
    X(cudnnDestroyActivationDescriptor)                                                            \
    X(cudnnGetConvolutionForwardWorkspaceSize)                                                     \
    X(cudnnConvolutionBiasActivationForward)

struct cudnn_library {
#define CUDNN_MEMBER(name) decltype(&::name) name;
    CUDNN_FUNCTIONS(CUDNN_MEMBER)
    cudnnHandle_t handle;
    cudaStream_t stream;
};

struct cudnn_conv {
    cudnn_library *library;
    cudnnTensorDescriptor_t x, y, bias;
    cudnnFilterDescriptor_t weights;
    cudnnConvolutionDescriptor_t conv;
    cudnnActivationDescriptor_t identity;
    size_t workspace;
};

namespace {

/* The only way that cuDNN fuses bias and sum without an activation. */
const cudnnConvolutionFwdAlgo_t algorithm = CUDNN_CONVOLUTION_FWD_ALGO_IMPLICIT_PRECOMP_GEMM;

int judge(const cudnn_library *library, cudnnStatus_t status, const char *what, int line,
          char *why) {
    if (status == CUDNN_STATUS_SUCCESS)
        return GPU_OK;
    return gpu_fail(why, status == CUDNN_STATUS_NOT_SUPPORTED ? GPU_EINVAL : GPU_EDEVICE,
                    "cuDNN: %.100s: %s (cudnn.cu:%d)", what, library->cudnnGetErrorString(status),
                    line);
}

#define CUDNN_TRY(call) GPU_TRY(judge(library, library->call, #call, __LINE__, why))

#define CUDNN_TEXT_OF(number) #number
#define CUDNN_TEXT(number)    CUDNN_TEXT_OF(number)

void *open_library() {
    static const char *const places[] = {"", "/lib/", "/lib64/"};
    const char *home = getenv("CUDNN_HOME");
#ifdef CUDNN_BUILT_WITH
    home = home == nullptr ? CUDNN_BUILT_WITH : home;
#endif
    void *out = nullptr;
    for (const char *place : places) {
        char path[1024];
        if (*place != 0 && home == nullptr)
            break;
        snprintf(path, sizeof path, "%s%slibcudnn.so." CUDNN_TEXT(CUDNN_MAJOR),
                 *place != 0 ? home : "", place);
        out = dlopen(path, RTLD_NOW | RTLD_LOCAL);
        if (out != nullptr)
            break;
    }
    return out;
}

int find_functions(cudnn_library *library, char *why) {
    void *file = open_library();
    if (file == nullptr)
        return gpu_fail(why, GPU_EDEVICE, "no libcudnn.so." CUDNN_TEXT(CUDNN_MAJOR) ": %.160s",
                        dlerror());
#define CUDNN_FIND(name)                                                                           \
    library->name = reinterpret_cast<decltype(library->name)>(dlsym(file, #name));                 \
    if (library->name == nullptr)                                                                  \
        return gpu_fail(why, GPU_EDEVICE, "cuDNN has no " #name);
    CUDNN_FUNCTIONS(CUDNN_FIND)
    return GPU_OK;
}

int set_tensor(cudnn_library *library, cudnnTensorDescriptor_t *out, const cuda_shape &shape,
               char *why) {
    CUDNN_TRY(cudnnCreateTensorDescriptor(out));
    CUDNN_TRY(cudnnSetTensor4dDescriptor(*out, CUDNN_TENSOR_NHWC, CUDNN_DATA_HALF, (int)shape.batch,
                                         (int)shape.channels, (int)shape.height, (int)shape.width));
    return GPU_OK;
}

int describe(cudnn_conv *conv, const conv_args &a, char *why) {
    cudnn_library *library = conv->library;
    const cuda_shape out = {a.in.batch, a.height, a.width, channels_stored(a.channels)};
    GPU_TRY(set_tensor(library, &conv->x, a.in, why));
    GPU_TRY(set_tensor(library, &conv->y, out, why));
    GPU_TRY(set_tensor(library, &conv->bias, cuda_shape{1, 1, 1, out.channels}, why));
    CUDNN_TRY(cudnnCreateFilterDescriptor(&conv->weights));
    CUDNN_TRY(cudnnSetFilter4dDescriptor(conv->weights, CUDNN_DATA_HALF, CUDNN_TENSOR_NHWC,
                                         (int)out.channels, (int)a.in.channels, (int)a.kernel[0],
                                         (int)a.kernel[1]));
    CUDNN_TRY(cudnnCreateConvolutionDescriptor(&conv->conv));
    CUDNN_TRY(cudnnSetConvolution2dDescriptor(conv->conv, (int)a.top, (int)a.left, (int)a.stride[0],
                                              (int)a.stride[1], 1, 1, CUDNN_CROSS_CORRELATION,
                                              CUDNN_DATA_FLOAT));
    CUDNN_TRY(cudnnSetConvolutionMathType(conv->conv, CUDNN_TENSOR_OP_MATH));
    CUDNN_TRY(cudnnCreateActivationDescriptor(&conv->identity));
    CUDNN_TRY(cudnnSetActivationDescriptor(conv->identity, CUDNN_ACTIVATION_IDENTITY,
                                           CUDNN_PROPAGATE_NAN, 0.0));
    CUDNN_TRY(cudnnGetConvolutionForwardWorkspaceSize(
        library->handle, conv->x, conv->weights, conv->conv, conv->y, algorithm, &conv->workspace));
    return GPU_OK;
}

/* Zeros on all sides alike, results that are halves, ReLU6 only at the very end. */
bool fits(const conv_args &a) {
    return a.out != nullptr && (a.more == nullptr || a.activation == NET_LINEAR) &&
           (a.in.height + 2 * a.top - a.kernel[0]) / a.stride[0] + 1 == a.height &&
           (a.in.width + 2 * a.left - a.kernel[1]) / a.stride[1] + 1 == a.width;
}

} // namespace

int cudnn_open(cudaStream_t stream, cudnn_library **out, char *why) {
    cudnn_library *library = *out = static_cast<cudnn_library *>(calloc(1, sizeof *library));
    int code = library == nullptr ? gpu_fail(why, GPU_ENOMEM, "no memory for cuDNN")
                                  : find_functions(library, why);
    if (code == GPU_OK)
        code = judge(library, library->cudnnCreate(&library->handle), "cudnnCreate", __LINE__, why);
    if (code == GPU_OK)
        code = judge(library, library->cudnnSetStream(library->handle, stream), "cudnnSetStream",
                     __LINE__, why);
    if (code == GPU_OK) {
        library->stream = stream;
        return code;
    }
    cudnn_close(library);
    *out = nullptr;
    return code;
}

void cudnn_close(cudnn_library *library) {
    if (library != nullptr && library->handle != nullptr)
        (void)library->cudnnDestroy(library->handle);
    free(library);
}

int cudnn_conv_new(cudnn_library *library, const conv_args &args, cudnn_conv **out, char *why) {
    *out = nullptr;
    if (!fits(args))
        return gpu_fail(why, GPU_EINVAL, "cuDNN: not a convolution that it fuses");
    cudnn_conv *conv = static_cast<cudnn_conv *>(calloc(1, sizeof *conv));
    if (conv == nullptr)
        return gpu_fail(why, GPU_ENOMEM, "no memory for a convolution");
    conv->library = library;
    const int code = describe(conv, args, why);
    if (code == GPU_OK)
        *out = conv;
    else
        cudnn_conv_free(conv);
    return code;
}

void cudnn_conv_free(cudnn_conv *conv) {
    if (conv == nullptr)
        return;
    const cudnn_library *library = conv->library;
    if (conv->identity != nullptr)
        (void)library->cudnnDestroyActivationDescriptor(conv->identity);
    if (conv->conv != nullptr)
        (void)library->cudnnDestroyConvolutionDescriptor(conv->conv);
    if (conv->weights != nullptr)
        (void)library->cudnnDestroyFilterDescriptor(conv->weights);
    for (cudnnTensorDescriptor_t tensor : {conv->bias, conv->y, conv->x})
        if (tensor != nullptr)
            (void)library->cudnnDestroyTensorDescriptor(tensor);
    free(conv);
}

size_t cudnn_conv_workspace(const cudnn_conv *conv) {
    return conv->workspace;
}

int cudnn_conv_run(cudnn_conv *conv, const conv_args &args, const __half *weights,
                   const __half *biases, void *workspace, char *why) {
    cudnn_library *library = conv->library;
    const float one = 1.0f, added = args.more != nullptr ? 1.0f : 0.0f;
    CUDNN_TRY(cudnnConvolutionBiasActivationForward(
        library->handle, &one, conv->x, args.x, conv->weights, weights, conv->conv, algorithm,
        workspace, conv->workspace, &added, conv->y, args.more != nullptr ? args.more : args.out,
        conv->bias, biases, conv->identity, conv->y, args.out));
    if ((args.more != nullptr ? args.after : args.activation) == NET_RELU6) {
        const layer_clip clip = {args.out};
        const uint32_t vectors = args.rows() * (channels_stored(args.channels) / CUDA_LANES);
        CUDA_TRY(items_launch(clip, vectors, library->stream));
    }
    return GPU_OK;
}

#else

int cudnn_open(cudaStream_t, cudnn_library **out, char *why) {
    *out = nullptr;
    return gpu_fail(why, GPU_EDEVICE, "built without cuDNN: there was no cudnn.h");
}

void cudnn_close(cudnn_library *) {
}

int cudnn_conv_new(cudnn_library *, const conv_args &, cudnn_conv **out, char *why) {
    *out = nullptr;
    return gpu_fail(why, GPU_EDEVICE, "built without cuDNN");
}

void cudnn_conv_free(cudnn_conv *) {
}

size_t cudnn_conv_workspace(const cudnn_conv *) {
    return 0;
}

int cudnn_conv_run(cudnn_conv *, const conv_args &, const __half *, const __half *, void *,
                   char *why) {
    return gpu_fail(why, GPU_EDEVICE, "built without cuDNN");
}

#endif
