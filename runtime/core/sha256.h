/* sha256.h - SHA-256, which scripts and objects are named by. Any thread.
 *
 * OpenSSL's code for it, called directly: the way through EVP first loads all of OpenSSL's
 * algorithms, 2 MB of memory in every process for nothing. Cannot fail. */
#ifndef STANCE_CORE_SHA256_H
#define STANCE_CORE_SHA256_H

#include <openssl/sha.h>
#include <stddef.h>

enum { SHA256_SIZE = SHA256_DIGEST_LENGTH };

struct sha256 {
    SHA256_CTX context;
};

void sha256_begin(struct sha256 *sha);
void sha256_add(struct sha256 *sha, const void *data, size_t size);
void sha256_end(struct sha256 *sha, unsigned char out[SHA256_SIZE]);

/* All at once. */
void sha256_of(const void *data, size_t size, unsigned char out[SHA256_SIZE]);

#endif
