#define OPENSSL_SUPPRESS_DEPRECATED /* OpenSSL would rather see EVP used: see the header */

#include "core/sha256.h"

void sha256_begin(struct sha256 *sha) {
    SHA256_Init(&sha->context);
}

void sha256_add(struct sha256 *sha, const void *data, size_t size) {
    SHA256_Update(&sha->context, data, size);
}

void sha256_end(struct sha256 *sha, unsigned char out[SHA256_SIZE]) {
    SHA256_Final(out, &sha->context);
}

void sha256_of(const void *data, size_t size, unsigned char out[SHA256_SIZE]) {
    struct sha256 sha;
    sha256_begin(&sha);
    sha256_add(&sha, data, size);
    sha256_end(&sha, out);
}
