/* seccomp_load.h - libseccomp, loaded when a process is first confined: a host that starts confined
 * children does not carry it.
 *
 * After seccomp_load_library has succeeded, the functions of <seccomp.h> that sandbox/ uses can be
 * called. Any thread. */
#ifndef STANCE_SANDBOX_SECCOMP_LOAD_H
#define STANCE_SANDBOX_SECCOMP_LOAD_H

#include "core/err.h"

int seccomp_load_library(struct err *err);

#endif
