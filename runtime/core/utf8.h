/* utf8.h - what is valid UTF-8: for all that leaves as JSON, Prometheus text or on a terminal. Any
 * thread. */
#ifndef STANCE_CORE_UTF8_H
#define STANCE_CORE_UTF8_H

#include <stddef.h>

/* U+FFFD, what stands for a byte that is none of a valid sequence. */
#define UTF8_REPLACEMENT "\xef\xbf\xbd"

/* The length (1..4) of the valid sequence that `bytes` begins with; 0 when it begins with none (RFC
 * 3629: no overlong forms, no surrogates, nothing beyond U+10FFFF). size > 0. */
size_t utf8_step(const char *bytes, size_t size);

#endif
