/* xnnpack_load.c - finds XNNPACK at run time; see xnnpack_load.h. Its header is read where it is
 * installed, to see that this build's idea of the functions is the library's. */
#include "xnnpack_load.h"
#include "fail.h"

#include <dlfcn.h>
#include <malloc.h>
#include <pthread.h>
#include <stdlib.h>

#if defined(__has_include)
#if __has_include(<xnnpack.h>) && __has_include(<pthreadpool.h>)
#define XNNPACK_HERE 1
#endif
#endif

#ifdef XNNPACK_HERE

#include <xnnpack.h>

#define XNNPACK_TYPE(function, ...)                                                                \
    __builtin_types_compatible_p(__typeof__(function), enum xnn_status(__VA_ARGS__))

static const bool form_known =
    XNNPACK_TYPE(xnn_create_convolution2d_nhwc_f32, uint32_t, uint32_t, uint32_t, uint32_t,
                 uint32_t, uint32_t, uint32_t, uint32_t, uint32_t, uint32_t, uint32_t, size_t,
                 size_t, size_t, size_t, const float *, const float *, float, float, uint32_t,
                 xnn_operator_t *) &&
    XNNPACK_TYPE(xnn_setup_convolution2d_nhwc_f32, xnn_operator_t, size_t, size_t, size_t,
                 const float *, float *, pthreadpool_t) &&
    XNNPACK_TYPE(xnn_run_operator, xnn_operator_t, pthreadpool_t) &&
    XNNPACK_TYPE(xnn_delete_operator, xnn_operator_t) &&
    XNNPACK_TYPE(xnn_initialize, const struct xnn_allocator *) &&
    sizeof(enum xnn_status) == sizeof(int) && XNN_FLAG_DEPTHWISE_CONVOLUTION == XNNPACK_DEPTHWISE;

/* -- Memory -------------------------------------------------------------------------------------
 */

static _Thread_local size_t taken;

static void *take(void *block) {
    if (block != NULL)
        taken += malloc_usable_size(block);
    return block;
}

static void *allocate(void *context, size_t size) {
    (void)context;
    return take(malloc(size));
}

static void *reallocate(void *context, void *block, size_t size) {
    (void)context;
    size_t before = malloc_usable_size(block);
    void *moved = realloc(block, size);
    if (moved != NULL)
        taken -= before;
    return take(moved);
}

static void *allocate_aligned(void *context, size_t alignment, size_t size) {
    (void)context;
    void *block = NULL;
    return posix_memalign(&block, alignment, size) == 0 ? take(block) : NULL;
}

static void release(void *context, void *block) {
    (void)context;
    taken -= malloc_usable_size(block);
    free(block);
}

size_t xnnpack_memory(void) {
    return taken;
}

/* -- Loading ------------------------------------------------------------------------------------
 */

static struct {
    struct xnnpack functions;
    int code;
    char why[GPU_WHY_SIZE];
} loaded;

static void load(void) {
    static const struct xnn_allocator allocator = {NULL,    allocate,         reallocate,
                                                   release, allocate_aligned, release};
    if (!form_known) {
        loaded.code = gpu_fail(loaded.why, GPU_EDEVICE,
                               "XNNPACK's functions had a form that is not known when this was "
                               "built: build with the libxnnpack-dev of Debian 12");
        return;
    }
    void *library = dlopen("libXNNPACK.so.0", RTLD_NOW | RTLD_LOCAL);
    if (library == NULL) {
        loaded.code = gpu_fail(loaded.why, GPU_EDEVICE,
                               "libXNNPACK.so.0 cannot be loaded: install libxnnpack0");
        return;
    }
    int (*initialize)(const struct xnn_allocator *) =
        (int (*)(const struct xnn_allocator *))dlsym(library, "xnn_initialize");
    *(void **)&loaded.functions.create = dlsym(library, "xnn_create_convolution2d_nhwc_f32");
    *(void **)&loaded.functions.setup = dlsym(library, "xnn_setup_convolution2d_nhwc_f32");
    *(void **)&loaded.functions.run = dlsym(library, "xnn_run_operator");
    *(void **)&loaded.functions.delete = dlsym(library, "xnn_delete_operator");
    /* Releases of the other form have this one, and the old names with other parameters. */
    bool other = dlsym(library, "xnn_reshape_convolution2d_nhwc_f32") != NULL;
    if (initialize == NULL || loaded.functions.create == NULL || loaded.functions.setup == NULL ||
        loaded.functions.run == NULL || loaded.functions.delete == NULL || other) {
        loaded.code = gpu_fail(loaded.why, GPU_EDEVICE,
                               "libXNNPACK.so.0 is not the release that this was built with");
        dlclose(library);
        return;
    }
    int status = initialize(&allocator);
    if (status != 0)
        loaded.code =
            gpu_fail(loaded.why, GPU_EDEVICE, "XNNPACK does not start: %s", xnnpack_status(status));
}

int xnnpack_load(const struct xnnpack **out, char *why) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, load);
    *out = &loaded.functions;
    return loaded.code == GPU_OK ? GPU_OK : gpu_fail(why, loaded.code, "%s", loaded.why);
}

#else

size_t xnnpack_memory(void) {
    return 0;
}

int xnnpack_load(const struct xnnpack **out, char *why) {
    *out = NULL;
    return gpu_fail(why, GPU_EDEVICE,
                    "this was built without XNNPACK: install libxnnpack-dev and libpthreadpool-dev "
                    "and build again");
}

#endif

const char *xnnpack_status(int status) {
    static const char *const names[] = {
        "success",       "not initialized",       "invalid parameter",
        "invalid state", "unsupported parameter", "unsupported hardware",
        "out of memory"};
    return status >= 0 && status < 7 ? names[status] : "unknown status";
}
