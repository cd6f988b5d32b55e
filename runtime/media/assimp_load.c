#include "media/assimp_load.h"

#include <assimp/cimport.h>
#include <assimp/material.h>
#include <assimp/version.h>

#include "core/lazy_library.h"

static struct lazy_library library = {
    .names = {"libassimp.so.5", "libassimp.so.6", "libassimp.so"},
    .package = "libassimp5",
    .lock = PTHREAD_MUTEX_INITIALIZER,
};

int assimp_load(struct err *err) {
    return lazy_library_load(&library, err);
}

LAZY_FORWARD(&library, struct aiPropertyStore *, aiCreatePropertyStore, (void), ())
LAZY_FORWARD_VOID(&library, aiReleasePropertyStore, (struct aiPropertyStore * store), (store))
LAZY_FORWARD_VOID(&library, aiSetImportPropertyInteger,
                  (struct aiPropertyStore * store, const char *name, int value),
                  (store, name, value))
LAZY_FORWARD(&library, const struct aiScene *, aiImportFileExWithProperties,
             (const char *file, unsigned flags, struct aiFileIO *io,
              const struct aiPropertyStore *properties),
             (file, flags, io, properties))
LAZY_FORWARD(&library, const struct aiScene *, aiImportFileFromMemory,
             (const char *bytes, unsigned size, unsigned flags, const char *hint),
             (bytes, size, flags, hint))
LAZY_FORWARD_VOID(&library, aiReleaseImport, (const struct aiScene *scene), (scene))
LAZY_FORWARD(&library, const char *, aiGetErrorString, (void), ())
LAZY_FORWARD(&library, unsigned, aiGetVersionMajor, (void), ())
LAZY_FORWARD(&library, unsigned, aiGetVersionMinor, (void), ())
LAZY_FORWARD(&library, unsigned, aiGetVersionPatch, (void), ())
LAZY_FORWARD(&library, enum aiReturn, aiGetMaterialColor,
             (const struct aiMaterial *material, const char *key, unsigned type, unsigned index,
              struct aiColor4D *out),
             (material, key, type, index, out))
LAZY_FORWARD(&library, enum aiReturn, aiGetMaterialFloatArray,
             (const struct aiMaterial *material, const char *key, unsigned type, unsigned index,
              ai_real *out, unsigned *count),
             (material, key, type, index, out, count))
LAZY_FORWARD(&library, enum aiReturn, aiGetMaterialIntegerArray,
             (const struct aiMaterial *material, const char *key, unsigned type, unsigned index,
              int *out, unsigned *count),
             (material, key, type, index, out, count))
LAZY_FORWARD(&library, enum aiReturn, aiGetMaterialString,
             (const struct aiMaterial *material, const char *key, unsigned type, unsigned index,
              struct aiString *out),
             (material, key, type, index, out))
LAZY_FORWARD(&library, unsigned, aiGetMaterialTextureCount,
             (const struct aiMaterial *material, enum aiTextureType type), (material, type))
LAZY_FORWARD(&library, enum aiReturn, aiGetMaterialTexture,
             (const struct aiMaterial *material, enum aiTextureType type, unsigned index,
              struct aiString *path, enum aiTextureMapping *mapping, unsigned *uv_index,
              ai_real *blend, enum aiTextureOp *op, enum aiTextureMapMode *map_mode,
              unsigned *flags),
             (material, type, index, path, mapping, uv_index, blend, op, map_mode, flags))
