#include "sandbox/seccomp_load.h"

#include <seccomp.h>

#include "core/lazy_library.h"

static struct lazy_library library = {
    .names = {"libseccomp.so.2", "libseccomp.so"},
    .package = "libseccomp2",
    .lock = PTHREAD_MUTEX_INITIALIZER,
};

int seccomp_load_library(struct err *err) {
    return lazy_library_load(&library, err);
}

LAZY_FORWARD(&library, scmp_filter_ctx, seccomp_init, (uint32_t action), (action))
LAZY_FORWARD_VOID(&library, seccomp_release, (scmp_filter_ctx filter), (filter))
LAZY_FORWARD(&library, int, seccomp_load, (const scmp_filter_ctx filter), (filter))
LAZY_FORWARD(&library, int, seccomp_attr_set,
             (scmp_filter_ctx filter, enum scmp_filter_attr name, uint32_t value),
             (filter, name, value))
LAZY_FORWARD(&library, int, seccomp_syscall_resolve_name, (const char *name), (name))
LAZY_FORWARD(&library, int, seccomp_rule_add_array,
             (scmp_filter_ctx filter, uint32_t action, int call, unsigned count,
              const struct scmp_arg_cmp *conditions),
             (filter, action, call, count, conditions))
