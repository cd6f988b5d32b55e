#include "core/lazy_library.h"

#include <dlfcn.h>
#include <stdlib.h>

#include "core/log.h"

int lazy_library_load(struct lazy_library *library, struct err *err) {
    pthread_mutex_lock(&library->lock);
    for (size_t i = 0; library->handle == NULL && library->names[i] != NULL; i++)
        library->handle = dlopen(library->names[i], RTLD_NOW | RTLD_LOCAL);
    void *handle = library->handle;
    pthread_mutex_unlock(&library->lock);
    if (handle != NULL)
        return 0;
    return err_set(err, ERR_UNSUPPORTED, "%s is not installed (package %s)", library->names[0],
                   library->package);
}

void *lazy_library_find(struct lazy_library *library, const char *name) {
    void *function = library->handle != NULL ? dlsym(library->handle, name) : NULL;
    if (function == NULL) {
        log_error("core", "%s has no %s", library->names[0], name);
        abort();
    }
    return function;
}
