#include "media/assimp_load.h"

#include <assimp/cimport.h>
#include <assimp/material.h>
#include <assimp/version.h>
#include <dlfcn.h>
#include <pthread.h>
#include <stdlib.h>

static void *library;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void open_library(void) {
    static const char *const names[] = {"libassimp.so.5", "libassimp.so.6", "libassimp.so"};
    for (size_t i = 0; i < sizeof names / sizeof *names && library == NULL; i++)
        library = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
}

int assimp_load(struct err *err) {
    pthread_once(&once, open_library);
    if (library != NULL)
        return 0;
    return err_set(err, ERR_UNSUPPORTED,
                   "libassimp is not installed (Debian and Ubuntu: package libassimp5)");
}

/* Of a version without this call there is nothing to go on with. */
static void *find(const char *name) {
    void *function = library != NULL ? dlsym(library, name) : NULL;
    if (function == NULL)
        abort();
    return function;
}

/* Each keeps the address after the first call; two threads that look it up at once find the same. */
#define FORWARD(result, name, parameters, arguments)                                               \
    result name parameters {                                                                       \
        static result(*function) parameters;                                                       \
        if (__atomic_load_n(&function, __ATOMIC_RELAXED) == NULL)                                  \
            __atomic_store_n(&function, (result(*) parameters)find(#name), __ATOMIC_RELAXED);      \
        return __atomic_load_n(&function, __ATOMIC_RELAXED) arguments;                             \
    }

#define FORWARD_VOID(name, parameters, arguments)                                                  \
    void name parameters {                                                                         \
        void(*function) parameters = (void(*) parameters)find(#name);                              \
        function arguments;                                                                        \
    }

FORWARD(struct aiPropertyStore *, aiCreatePropertyStore, (void), ())
FORWARD_VOID(aiReleasePropertyStore, (struct aiPropertyStore * store), (store))
FORWARD_VOID(aiSetImportPropertyInteger,
             (struct aiPropertyStore * store, const char *name, int value), (store, name, value))
FORWARD(const struct aiScene *, aiImportFileExWithProperties,
        (const char *file, unsigned flags, struct aiFileIO *io,
         const struct aiPropertyStore *properties),
        (file, flags, io, properties))
FORWARD(const struct aiScene *, aiImportFileFromMemory,
        (const char *bytes, unsigned size, unsigned flags, const char *hint),
        (bytes, size, flags, hint))
FORWARD_VOID(aiReleaseImport, (const struct aiScene *scene), (scene))
FORWARD(const char *, aiGetErrorString, (void), ())
FORWARD(unsigned, aiGetVersionMajor, (void), ())
FORWARD(unsigned, aiGetVersionMinor, (void), ())
FORWARD(unsigned, aiGetVersionPatch, (void), ())
FORWARD(enum aiReturn, aiGetMaterialColor,
        (const struct aiMaterial *material, const char *key, unsigned type, unsigned index,
         struct aiColor4D *out),
        (material, key, type, index, out))
FORWARD(enum aiReturn, aiGetMaterialFloatArray,
        (const struct aiMaterial *material, const char *key, unsigned type, unsigned index,
         ai_real *out, unsigned *count),
        (material, key, type, index, out, count))
FORWARD(enum aiReturn, aiGetMaterialIntegerArray,
        (const struct aiMaterial *material, const char *key, unsigned type, unsigned index,
         int *out, unsigned *count),
        (material, key, type, index, out, count))
FORWARD(enum aiReturn, aiGetMaterialString,
        (const struct aiMaterial *material, const char *key, unsigned type, unsigned index,
         struct aiString *out),
        (material, key, type, index, out))
FORWARD(unsigned, aiGetMaterialTextureCount,
        (const struct aiMaterial *material, enum aiTextureType type), (material, type))
FORWARD(enum aiReturn, aiGetMaterialTexture,
        (const struct aiMaterial *material, enum aiTextureType type, unsigned index,
         struct aiString *path, enum aiTextureMapping *mapping, unsigned *uv_index, ai_real *blend,
         enum aiTextureOp *op, enum aiTextureMapMode *map_mode, unsigned *flags),
        (material, type, index, path, mapping, uv_index, blend, op, map_mode, flags))
