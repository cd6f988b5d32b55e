#include "media/shard.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { KEY_MAX = 80, NAME_MAX_SIZE = 100, END_SIZE = 2 * SHARD_BLOCK, FIRST_ROOM = 1 << 16 };

int shard_init(struct shard *shard, size_t most, struct err *err) {
    *shard = (struct shard){.most = most};
    if (most < END_SIZE + 2 * SHARD_BLOCK || most > SHARD_MAX_SIZE)
        return err_set(err, ERR_INVALID, "a shard has %d bytes to 1 GiB, not %zu",
                       END_SIZE + 2 * SHARD_BLOCK, most);
    shard->bytes = malloc(FIRST_ROOM);
    shard->room = FIRST_ROOM;
    return shard->bytes != NULL ? 0 : err_set(err, ERR_NO_MEMORY, "no memory for a shard");
}

void shard_deinit(struct shard *shard) {
    free(shard->bytes);
    *shard = (struct shard){0};
}

/* -- Names ------------------------------------------------------------------------------------- */

static bool is_plain(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_';
}

/* Plain characters in pieces with `between` between them. */
static bool is_name(const char *name, char between, size_t most) {
    size_t length = strlen(name);
    if (length == 0 || length > most || name[0] == between || name[length - 1] == between)
        return false;
    for (size_t i = 0; i < length; i++)
        if (!is_plain(name[i]) && (name[i] != between || name[i - 1] == between))
            return false;
    return true;
}

static int check_names(const char *key, const struct shard_file *files, uint32_t count,
                       struct err *err) {
    if (!is_name(key, '/', KEY_MAX))
        return err_set(
            err, ERR_INVALID,
            "\"%.80s\" is no key of a sample: 1 to %d letters, digits, -, _ and / inside", key,
            KEY_MAX);
    if (count == 0)
        return err_set(err, ERR_INVALID, "the sample %s has no file", key);
    for (uint32_t i = 0; i < count; i++) {
        if (!is_name(files[i].ending, '.', NAME_MAX_SIZE - 2 - strlen(key)))
            return err_set(
                err, ERR_INVALID,
                "\"%.80s\" is no ending of a file: letters, digits, -, _ and dots inside",
                files[i].ending);
        for (uint32_t k = 0; k < i; k++)
            if (strcmp(files[i].ending, files[k].ending) == 0)
                return err_set(err, ERR_INVALID, "the sample %s has two files .%s", key,
                               files[i].ending);
    }
    return 0;
}

/* -- Files ------------------------------------------------------------------------------------- */

static size_t padded(size_t size) {
    return (size + SHARD_BLOCK - 1) / SHARD_BLOCK * SHARD_BLOCK;
}

static void put_octal(uint8_t *field, size_t width, size_t value) {
    for (size_t i = width - 1; i-- > 0; value >>= 3)
        field[i] = (uint8_t)('0' + (value & 7));
}

/* The block before a file: its name and size; mode 0644, nobody's, of 1970. */
static void put_head(uint8_t *head, const char *key, const struct shard_file *file) {
    unsigned sum = 0;
    memset(head, 0, SHARD_BLOCK);
    snprintf((char *)head, NAME_MAX_SIZE, "%s.%s", key, file->ending);
    put_octal(head + 100, 8, 0644);
    put_octal(head + 108, 8, 0);
    put_octal(head + 116, 8, 0);
    put_octal(head + 124, 12, file->size);
    put_octal(head + 136, 12, 0);
    memset(head + 148, ' ', 8);
    head[156] = '0'; /* a file */
    memcpy(head + 257, "ustar", 6);
    head[263] = head[264] = '0'; /* its version */
    put_octal(head + 329, 8, 0);
    put_octal(head + 337, 8, 0);
    for (int i = 0; i < SHARD_BLOCK; i++)
        sum += head[i];
    put_octal(head + 148, 7, sum);
}

int shard_add(struct shard *shard, const char *key, const struct shard_file *files, uint32_t count,
              struct err *err) {
    int rc = check_names(key, files, count, err);
    if (rc != 0)
        return rc;
    size_t needed = END_SIZE;
    for (uint32_t i = 0; i < count; i++) {
        if (files[i].size > shard->most)
            needed = SHARD_MAX_SIZE + 1;
        else if (needed <= SHARD_MAX_SIZE)
            needed += SHARD_BLOCK + padded(files[i].size);
    }
    if (needed > shard->most - shard->size)
        return err_set(err, ERR_TOO_LARGE, "the sample %s does not fit the shard any more", key);
    if (shard->size + needed > shard->room) {
        size_t room =
            2 * shard->room > shard->size + needed ? 2 * shard->room : shard->size + needed;
        uint8_t *grown = realloc(shard->bytes, room);
        if (grown == NULL)
            return err_set(err, ERR_NO_MEMORY, "no memory for a shard of %zu bytes", room);
        shard->bytes = grown;
        shard->room = room;
    }
    for (uint32_t i = 0; i < count; i++) {
        uint8_t *head = shard->bytes + shard->size;
        put_head(head, key, &files[i]);
        if (files[i].size > 0)
            memcpy(head + SHARD_BLOCK, files[i].bytes, files[i].size);
        memset(head + SHARD_BLOCK + files[i].size, 0, padded(files[i].size) - files[i].size);
        shard->size += SHARD_BLOCK + padded(files[i].size);
    }
    shard->samples++;
    shard->files += count;
    return 0;
}

const uint8_t *shard_finish(struct shard *shard, size_t *size) {
    memset(shard->bytes + shard->size, 0, END_SIZE); /* there is always room for it */
    *size = shard->size + END_SIZE;
    return shard->bytes;
}

void shard_clear(struct shard *shard) {
    shard->size = 0;
    shard->samples = shard->files = 0;
}
