/* lazy_library.h - shared libraries that are loaded when they are first needed.
 *
 * A host that runs no scene import and asks no other host should not carry the libraries for it:
 * each costs megabytes of every process. A file that owns such a library (media/assimp_load.c,
 * net/curl_load.c) defines the functions we use of it with LAZY_FORWARD; they go on to the library.
 * Before the first call lazy_library_load must have succeeded. Any thread. */
#ifndef STANCE_CORE_LAZY_LIBRARY_H
#define STANCE_CORE_LAZY_LIBRARY_H

#include <pthread.h>
#include <stddef.h>

#include "core/err.h"

struct lazy_library {
    const char *names[4]; /* sonames, the best first; ends with NULL */
    const char *package;  /* "libcurl4", for the error */
    pthread_mutex_t lock;
    void *handle;
};

/* ERR_UNSUPPORTED, naming the package, when none of the names can be loaded. */
int lazy_library_load(struct lazy_library *library, struct err *err);

/* The address of a function; ends the process when the library is not loaded or lacks it, since
 * there is nothing to go on with. */
void *lazy_library_find(struct lazy_library *library, const char *name);

/* Defines `name`, which calls the function of that name in the library. The address is kept after
 * the first call; threads that look it up at once find the same. */
#define LAZY_FORWARD(library, result, name, parameters, arguments)                                 \
    result name parameters {                                                                       \
        static result(*function) parameters;                                                       \
        if (__atomic_load_n(&function, __ATOMIC_RELAXED) == NULL)                                  \
            __atomic_store_n(&function, (result(*) parameters)lazy_library_find(library, #name),   \
                             __ATOMIC_RELAXED);                                                    \
        return __atomic_load_n(&function, __ATOMIC_RELAXED) arguments;                             \
    }

#define LAZY_FORWARD_VOID(library, name, parameters, arguments)                                    \
    void name parameters {                                                                         \
        void(*function) parameters = (void(*) parameters)lazy_library_find(library, #name);        \
        function arguments;                                                                        \
    }

#endif
