/* assimp_load.h - libassimp, loaded when the first scene is opened.
 *
 * The host links no importer: it never opens a scene (workers do), and the library with its own
 * libraries would add 5 MB to every process. The calls of <assimp/cimport.h> and
 * <assimp/material.h> that we use are defined here and go on to the library; before the first of
 * them assimp_load must have succeeded. Any thread. */
#ifndef STANCE_MEDIA_ASSIMP_LOAD_H
#define STANCE_MEDIA_ASSIMP_LOAD_H

#include "core/err.h"

/* ERR_UNSUPPORTED, naming the package, when the library is not installed. */
int assimp_load(struct err *err);

#endif
