/* lua_crypto.c - the Lua module `crypto`: digests, random bytes, and bytes as text, by OpenSSL.
 * What each function takes and gives: lua/stance/meta/crypto.lua.
 *
 * Digests of more than 64 KiB run on a pool thread while the fiber waits (outside a fiber: at
 * once). */
#include <limits.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdlib.h>
#include <string.h>

#include "bind/modules.h"
#include "core/sha256.h"
#include "store/digest.h"

enum { INLINE_MAX = 64 << 10, RANDOM_MAX = 1 << 20 };

/* -- Digests -------------------------------------------------------------------------------------
 */

struct job {
    char *key; /* of an HMAC, else NULL */
    size_t key_size;
    const char *data;
    size_t size;
    bool hex;
    bool ok;
    unsigned char digest[DIGEST_SIZE];
    char copy[]; /* data and key, for the pool thread */
};

static void digest_run(void *arg) {
    struct job *job = arg;
    unsigned size = 0;
    if (job->key == NULL)
        sha256_of(job->data, job->size, job->digest);
    job->ok = job->key == NULL ||
              HMAC(EVP_sha256(), job->key, (int)job->key_size, (const unsigned char *)job->data,
                   job->size, job->digest, &size) != NULL;
}

static int digest_push(lua_State *L, void *arg) {
    const struct job *job = arg;
    if (!job->ok)
        return luaL_error(L, "SHA-256 is not available");
    if (job->hex) {
        char text[DIGEST_HEX_SIZE];
        digest_hex(job->digest, DIGEST_SIZE, text);
        lua_pushlstring(L, text, DIGEST_HEX_SIZE - 1);
    } else {
        lua_pushlstring(L, (const char *)job->digest, DIGEST_SIZE);
    }
    return 1;
}

static void digest_release(void *arg) {
    struct job *job = arg;
    OPENSSL_cleanse(job->key, job->key_size);
    free(job);
}

static int digest(lua_State *L, struct job *job) {
    if (job->size <= INLINE_MAX || fiber_current(L) == NULL) {
        digest_run(job);
        return digest_push(L, job);
    }
    struct job *copy = malloc(sizeof *copy + job->size + job->key_size);
    if (copy == NULL)
        return luaL_error(L, "not enough memory");
    *copy = *job;
    copy->data = memcpy(copy->copy, job->data, job->size);
    copy->key = copy->copy + job->size;
    if (job->key != NULL)
        memcpy(copy->key, job->key, job->key_size);
    else
        copy->key = NULL;
    return fiber_work(L, copy, digest_run, digest_push, digest_release);
}

static int sha256(lua_State *L) {
    struct job job = {.hex = true};
    job.data = luaL_checklstring(L, 1, &job.size);
    return digest(L, &job);
}

static int sha256_raw(lua_State *L) {
    struct job job = {0};
    job.data = luaL_checklstring(L, 1, &job.size);
    return digest(L, &job);
}

static int hmac(lua_State *L, bool hex) {
    struct job job = {.hex = hex};
    job.key = (char *)luaL_checklstring(L, 1, &job.key_size);
    job.data = luaL_checklstring(L, 2, &job.size);
    luaL_argcheck(L, job.key_size <= INLINE_MAX, 1, "a key of more than 64 KiB");
    return digest(L, &job);
}

static int hmac_sha256(lua_State *L) {
    return hmac(L, true);
}

static int hmac_sha256_raw(lua_State *L) {
    return hmac(L, false);
}

/* -- Random --------------------------------------------------------------------------------------
 */

static void fill_random(lua_State *L, unsigned char *bytes, size_t size) {
    if (uv_random(NULL, NULL, bytes, size, 0, NULL) != 0)
        luaL_error(L, "the system gives no random bytes");
}

static int random_bytes(lua_State *L) {
    lua_Number count = luaL_checknumber(L, 1);
    luaL_argcheck(L, count >= 0 && count <= RANDOM_MAX, 1, "0 to 1,048,576 bytes");
    unsigned char *bytes = lua_newuserdata(L, (size_t)count + 1);
    fill_random(L, bytes, (size_t)count);
    lua_pushlstring(L, (const char *)bytes, (size_t)count);
    return 1;
}

/* RFC 9562, version 4. */
static int uuid(lua_State *L) {
    unsigned char b[16];
    char hex[33], text[37];
    fill_random(L, b, sizeof b);
    b[6] = (unsigned char)((b[6] & 0x0f) | 0x40);
    b[8] = (unsigned char)((b[8] & 0x3f) | 0x80);
    digest_hex(b, sizeof b, hex);
    char *out = text;
    for (int i = 0; i < 32; i++) {
        if (i == 8 || i == 12 || i == 16 || i == 20)
            *out++ = '-';
        *out++ = hex[i];
    }
    lua_pushlstring(L, text, 36);
    return 1;
}

/* -- Bytes as text -------------------------------------------------------------------------------
 */

static int hex(lua_State *L) {
    size_t size;
    const char *bytes = luaL_checklstring(L, 1, &size);
    luaL_argcheck(L, size < INT_MAX / 2, 1, "too many bytes");
    char *text = lua_newuserdata(L, 2 * size + 1);
    digest_hex((const unsigned char *)bytes, size, text);
    lua_pushlstring(L, text, 2 * size);
    return 1;
}

static int digit_of(char c) {
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static int unhex(lua_State *L) {
    size_t size;
    const char *text = luaL_checklstring(L, 1, &size);
    if (size % 2 != 0)
        return vm_failf(L, ERR_INVALID, "hex has two digits a byte: their number is odd");
    char *bytes = lua_newuserdata(L, size / 2 + 1);
    for (size_t i = 0; i < size; i += 2) {
        int high = digit_of(text[i]), low = digit_of(text[i + 1]);
        if (high < 0 || low < 0)
            return vm_failf(L, ERR_INVALID, "no hex digit at position %d",
                            (int)i + 1 + (high >= 0));
        bytes[i / 2] = (char)(high << 4 | low);
    }
    lua_pushlstring(L, bytes, size / 2);
    return 1;
}

/* RFC 4648. The URL form has - and _, and no padding. */
static int encode(lua_State *L, bool url) {
    size_t size;
    const char *bytes = luaL_checklstring(L, 1, &size);
    luaL_argcheck(L, size < INT_MAX / 2, 1, "too many bytes");
    unsigned char *text = lua_newuserdata(L, (size + 2) / 3 * 4 + 1);
    int length = EVP_EncodeBlock(text, (const unsigned char *)bytes, (int)size);
    if (url) {
        while (length > 0 && text[length - 1] == '=')
            length--;
        for (int i = 0; i < length; i++)
            text[i] = text[i] == '+' ? '-' : text[i] == '/' ? '_' : text[i];
    }
    lua_pushlstring(L, (const char *)text, (size_t)length);
    return 1;
}

static int sextet_of(char c, bool url) {
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    if (c == (url ? '-' : '+'))
        return 62;
    return c == (url ? '_' : '/') ? 63 : -1;
}

/* Strict: no blanks, padding only where it belongs (in the URL form it may be left out), no stray
 * last bits, so that two texts never stand for the same bytes. */
static int decode(lua_State *L, bool url) {
    size_t size;
    const char *text = luaL_checklstring(L, 1, &size);
    size_t padding = 0;
    while (padding < 2 && padding < size && text[size - 1 - padding] == '=')
        padding++;
    size_t digits = size - padding;
    bool padded = (size % 4) == 0, bare = url && padding == 0;
    if (digits % 4 == 1 || !(padded || bare))
        return vm_failf(L, ERR_INVALID, "base64 of a wrong length");
    char *bytes = lua_newuserdata(L, digits / 4 * 3 + 3);
    size_t used = 0;
    unsigned bits = 0, value = 0;
    for (size_t i = 0; i < digits; i++) {
        int sextet = sextet_of(text[i], url);
        if (sextet < 0)
            return vm_failf(L, ERR_INVALID, "no base64 at position %d", (int)i + 1);
        value = (value << 6 | (unsigned)sextet) & 0xffff;
        bits += 6;
        if (bits >= 8) {
            bits -= 8;
            bytes[used++] = (char)(value >> bits & 0xff);
        }
    }
    if ((value & ((1u << bits) - 1)) != 0)
        return vm_failf(L, ERR_INVALID, "base64 with stray bits at its end");
    lua_pushlstring(L, bytes, used);
    return 1;
}

static int base64(lua_State *L) {
    return encode(L, false);
}

static int base64url(lua_State *L) {
    return encode(L, true);
}

static int unbase64(lua_State *L) {
    return decode(L, false);
}

static int unbase64url(lua_State *L) {
    return decode(L, true);
}

/* Takes as long for any two texts of the same length. */
static int equal(lua_State *L) {
    size_t size, other_size;
    const char *text = luaL_checklstring(L, 1, &size);
    const char *other = luaL_checklstring(L, 2, &other_size);
    lua_pushboolean(L, size == other_size && CRYPTO_memcmp(text, other, size) == 0);
    return 1;
}

static const luaL_Reg waiting[] = {
    {"sha256", sha256},
    {"sha256_raw", sha256_raw},
    {"hmac_sha256", hmac_sha256},
    {"hmac_sha256_raw", hmac_sha256_raw},
    {NULL, NULL},
};

static const luaL_Reg functions[] = {
    {"random", random_bytes},
    {"uuid", uuid},
    {"hex", hex},
    {"unhex", unhex},
    {"base64", base64},
    {"unbase64", unbase64},
    {"base64url", base64url},
    {"unbase64url", unbase64url},
    {"equal", equal},
    {NULL, NULL},
};

int lua_open_crypto(lua_State *L) {
    lua_newtable(L);
    luaL_register(L, NULL, functions);
    fiber_register(L, waiting);
    return 1;
}
