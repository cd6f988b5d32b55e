#include "store/digest.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/sha256.h"

struct digest {
    struct sha256 sha;
};

struct digest *digest_new(struct err *err) {
    struct digest *digest = malloc(sizeof *digest);
    if (digest != NULL)
        sha256_begin(&digest->sha);
    else
        err_set(err, ERR_NO_MEMORY, "out of memory");
    return digest;
}

void digest_add(struct digest *digest, const void *data, size_t size) {
    sha256_add(&digest->sha, data, size);
}

void digest_end(struct digest *digest, char hex[DIGEST_HEX_SIZE]) {
    unsigned char bytes[DIGEST_SIZE];
    sha256_end(&digest->sha, bytes);
    digest_hex(bytes, sizeof bytes, hex);
}

void digest_free(struct digest *digest) {
    free(digest);
}

void digest_sha256(const void *data, size_t size, char hex[DIGEST_HEX_SIZE]) {
    unsigned char bytes[DIGEST_SIZE];
    sha256_of(data, size, bytes);
    digest_hex(bytes, sizeof bytes, hex);
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
        digest_add(digest, piece, (size_t)got);
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
        digest_end(digest, hex);
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
