/* digest.h - SHA-256 as lower-case hex. Any thread. */
#ifndef STANCE_STORE_DIGEST_H
#define STANCE_STORE_DIGEST_H

#include <stddef.h>

#include "core/err.h"

enum { DIGEST_SIZE = 32, DIGEST_HEX_SIZE = 65 };

struct digest; /* one that grows */

struct digest *digest_new(struct err *err); /* NULL: out of memory */
void digest_add(struct digest *digest, const void *data, size_t size);
void digest_end(struct digest *digest, char hex[DIGEST_HEX_SIZE]);
void digest_free(struct digest *digest); /* NULL-safe */

void digest_sha256(const void *data, size_t size, char hex[DIGEST_HEX_SIZE]);
/* From the descriptor's offset to its end. */
int digest_sha256_fd(int fd, char hex[DIGEST_HEX_SIZE], struct err *err);

/* `out` takes 2 * size + 1 bytes. */
void digest_hex(const unsigned char *bytes, size_t size, char *out);

#endif
