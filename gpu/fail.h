/* fail.h - how every part of gpu/ says why it failed. */
#ifndef STANCE_GPU_FAIL_H
#define STANCE_GPU_FAIL_H

#include "stance_gpu.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Writes a reason (why may be NULL); always returns `code`. */
int gpu_fail(char *why, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));

#ifdef __cplusplus
}
#endif
#endif
