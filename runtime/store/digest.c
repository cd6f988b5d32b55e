#include "store/digest.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <unistd.h>

/* An EVP_MD_CTX under a name of ours, so that OpenSSL stays in this file. */
static EVP_MD_CTX *context_of(struct digest *digest) {
    return (EVP_MD_CTX *)digest;
}

static int fail(struct err *err) {
    return err_set(err, ERR_INTERNAL, "SHA-256 is not available");
}

struct digest *digest_new(struct err *err) {
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    if (context != NULL && EVP_DigestInit_ex(context, EVP_sha256(), NULL) == 1)
        return (struct digest *)context;
    EVP_MD_CTX_free(context);
    fail(err);
    return NULL;
}

int digest_add(struct digest *digest, const void *data, size_t size, struct err *err) {
    return EVP_DigestUpdate(context_of(digest), data, size) == 1 ? 0 : fail(err);
}

int digest_end(struct digest *digest, char hex[DIGEST_HEX_SIZE], struct err *err) {
    unsigned char bytes[DIGEST_SIZE];
    if (EVP_DigestFinal_ex(context_of(digest), bytes, NULL) != 1)
        return fail(err);
    digest_hex(bytes, sizeof bytes, hex);
    return 0;
}

void digest_free(struct digest *digest) {
    EVP_MD_CTX_free(context_of(digest));
}

int digest_sha256(const void *data, size_t size, char hex[DIGEST_HEX_SIZE], struct err *err) {
    unsigned char bytes[DIGEST_SIZE];
    if (EVP_Digest(data, size, bytes, NULL, EVP_sha256(), NULL) != 1)
        return fail(err);
    digest_hex(bytes, sizeof bytes, hex);
    return 0;
}

enum { PIECE = 128 << 10 };

static int add_all(struct digest *digest, int fd, char *piece, struct err *err) {
    for (;;) {
        ssize_t got = read(fd, piece, PIECE);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return err_set_errno(err, errno, "cannot read a file to hash it");
        if (got == 0)
            return 0;
        int code = digest_add(digest, piece, (size_t)got, err);
        if (code < 0)
            return code;
    }
}

int digest_sha256_fd(int fd, char hex[DIGEST_HEX_SIZE], struct err *err) {
    char *piece = malloc(PIECE);
    if (piece == NULL)
        return err_set(err, ERR_NO_MEMORY, "out of memory to hash a file");
    int code = ERR_INTERNAL;
    struct digest *digest = digest_new(err);
    if (digest != NULL)
        code = add_all(digest, fd, piece, err);
    if (code == 0)
        code = digest_end(digest, hex, err);
    digest_free(digest);
    free(piece);
    return code;
}

void digest_hex(const unsigned char *bytes, size_t size, char *out) {
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < size; i++) {
        out[2 * i] = digits[bytes[i] >> 4];
        out[2 * i + 1] = digits[bytes[i] & 15];
    }
    out[2 * size] = 0;
}
