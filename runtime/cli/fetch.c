/* fetch.c - artifacts into a folder, each atomically. */
#include "cli/fetch.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/folders.h"
#include "cli/memory.h"
#include "cli/output.h"

enum { HASH_BYTES = 32, HASH_TEXT = 2 * HASH_BYTES + 1 };

struct artifact {
    const char *name;
    const char *sha256;
    bool kept;
};

/* A file on its way in. */
struct arriving {
    int fd;
    EVP_MD_CTX *digest;
    double bytes;
    int failed; /* errno of a write */
};

/* -- Names ------------------------------------------------------------------------------------- */

/* Relative, no empty part, no "." or "..", no control characters. */
static bool name_is_safe(const char *name) {
    for (const char *at = name; *at; at++) {
        if ((unsigned char)*at < 0x20 || *at == 0x7F || *at == '\\') {
            return false;
        }
    }
    for (const char *part = name;;) {
        size_t length = strcspn(part, "/");
        bool dots = length <= 2 && strncmp(part, "..", length) == 0;
        if (length == 0 || length > 255 || dots) {
            return false;
        }
        if (!part[length]) {
            return true;
        }
        part += length + 1;
    }
}

/* Opens the folder that holds `name` below `root`; makes the folders between when `make`. Sets
 * *leaf to the last part of name. Returns -1 and errno; ELOOP or ENOTDIR when something else stands
 * in the way. */
static int open_parent(int root, const char *name, bool make, const char **leaf) {
    int folder = dup(root);
    *leaf = name;
    for (const char *slash; folder >= 0 && (slash = strchr(*leaf, '/'));) {
        char part[256];
        snprintf(part, sizeof part, "%.*s", (int)(slash - *leaf), *leaf);
        if (make && mkdirat(folder, part, 0777) < 0 && errno != EEXIST) {
            int reason = errno;
            close(folder);
            errno = reason;
            return -1;
        }
        int next = openat(folder, part, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        int reason = errno;
        close(folder);
        errno = reason;
        folder = next;
        *leaf = slash + 1;
    }
    return folder;
}

/* -- Content ----------------------------------------------------------------------------------- */

static void digest_text(EVP_MD_CTX *digest, char text[HASH_TEXT]) {
    unsigned char bytes[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    EVP_DigestFinal_ex(digest, bytes, &size);
    for (unsigned i = 0; i < HASH_BYTES; i++) {
        sprintf(text + 2 * (size_t)i, "%02x", bytes[i]);
    }
}

static EVP_MD_CTX *digest_new(void) {
    EVP_MD_CTX *digest = memory_need(EVP_MD_CTX_new());
    EVP_DigestInit_ex(digest, EVP_sha256(), NULL);
    return digest;
}

/* Whether the open regular file has this hash. */
static bool content_is(int fd, const char *sha256) {
    char buffer[1 << 16], text[HASH_TEXT];
    EVP_MD_CTX *digest = digest_new();
    ssize_t size;
    while ((size = read(fd, buffer, sizeof buffer)) > 0) {
        EVP_DigestUpdate(digest, buffer, (size_t)size);
    }
    digest_text(digest, text);
    EVP_MD_CTX_free(digest);
    return size == 0 && strcmp(text, sha256) == 0;
}

enum presence { ABSENT, SAME, OTHER };

static enum presence look(int root, const struct artifact *artifact) {
    const char *leaf;
    int folder = open_parent(root, artifact->name, false, &leaf);
    if (folder < 0) {
        return errno == ENOENT ? ABSENT : OTHER;
    }
    int fd = openat(folder, leaf, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    enum presence presence = fd < 0 && errno == ENOENT ? ABSENT : OTHER;
    struct stat status;
    if (fd >= 0 && fstat(fd, &status) == 0 && S_ISREG(status.st_mode) &&
        content_is(fd, artifact->sha256)) {
        presence = SAME;
    }
    if (fd >= 0) {
        close(fd);
    }
    close(folder);
    return presence;
}

/* -- One file ---------------------------------------------------------------------------------- */

static bool on_chunk(void *arg, const void *data, size_t size) {
    struct arriving *arriving = arg;
    EVP_DigestUpdate(arriving->digest, data, size);
    arriving->bytes += (double)size;
    for (const char *at = data; size > 0;) {
        ssize_t written = write(arriving->fd, at, size);
        if (written < 0 && errno != EINTR) {
            arriving->failed = errno;
            return false;
        }
        if (written > 0) {
            at += written;
            size -= (size_t)written;
        }
    }
    return true;
}

/* Fills the temporary file; 0 or an exit code, said. */
static int receive(struct client *client, const char *job_id, const struct artifact *artifact,
                   struct arriving *arriving) {
    char *name = client_escape(artifact->name, true);
    char *tail = memory_printf("/artifacts/%s", name);
    char *path = client_job_path(job_id, tail);
    char text[HASH_TEXT];
    int code = client_bytes(client, path, on_chunk, arriving);
    free(path);
    free(tail);
    free(name);
    if (arriving->failed) {
        return out_fail(EXIT_FAILED, "%s: %s", artifact->name, strerror(arriving->failed));
    }
    if (code != EXIT_OK) {
        return client_report(client, code);
    }
    digest_text(arriving->digest, text);
    if (strcmp(text, artifact->sha256) != 0) {
        return out_fail(EXIT_UPSTREAM, "%s arrived damaged: its SHA-256 is not what the host lists",
                        artifact->name);
    }
    if (fsync(arriving->fd) < 0) {
        return out_fail(EXIT_FAILED, "%s: %s", artifact->name, strerror(errno));
    }
    return EXIT_OK;
}

static int fetch_one(struct client *client, const char *job_id, int root,
                     const struct artifact *artifact, double *bytes) {
    const char *leaf;
    char temporary[64];
    int folder = open_parent(root, artifact->name, true, &leaf);
    if (folder < 0) {
        return out_fail(EXIT_FAILED, "cannot make the folder of %s: %s", artifact->name,
                        strerror(errno));
    }
    snprintf(temporary, sizeof temporary, ".stance-%ld.part", (long)getpid());
    struct arriving arriving = {.digest = digest_new()};
    unlinkat(folder, temporary, 0);
    arriving.fd = openat(folder, temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    int code = arriving.fd < 0 ? out_fail(EXIT_FAILED, "%s: %s", artifact->name, strerror(errno))
                               : receive(client, job_id, artifact, &arriving);
    if (arriving.fd >= 0) {
        close(arriving.fd);
    }
    if (code == EXIT_OK && renameat(folder, temporary, folder, leaf) < 0) {
        code = out_fail(EXIT_FAILED, "%s: %s", artifact->name, strerror(errno));
    }
    if (code == EXIT_OK) {
        fsync(folder); /* the name itself */
    } else {
        unlinkat(folder, temporary, 0);
    }
    EVP_MD_CTX_free(arriving.digest);
    close(folder);
    *bytes += arriving.bytes;
    return code;
}

/* -- All of them ------------------------------------------------------------------------------- */

/* Reads the host's list; borrowed texts stay valid as long as `reply`. */
static int read_list(const json_t *reply, struct artifact **out, size_t *count) {
    const json_t *list = json_object_get(reply, "artifacts");
    *count = json_array_size(list);
    *out = memory_need(calloc(*count + 1, sizeof **out));
    for (size_t i = 0; i < *count; i++) {
        const json_t *entry = json_array_get(list, i);
        const char *name = json_string_value(json_object_get(entry, "name"));
        const char *sha256 = json_string_value(json_object_get(entry, "sha256"));
        if (!name || !sha256) {
            return out_fail(EXIT_UPSTREAM,
                            "the host's list of artifacts has an entry without name or sha256");
        }
        if (!name_is_safe(name)) {
            return out_fail(EXIT_REFUSED,
                            "refusing the artifact name \"%s\": it would leave the folder", name);
        }
        (*out)[i] = (struct artifact){.name = name, .sha256 = sha256};
    }
    return EXIT_OK;
}

/* Marks what is there already; refuses to replace other content. */
static int look_at_all(int root, struct artifact *artifacts, size_t count, bool force) {
    size_t others = 0;
    const char *first = NULL;
    for (size_t i = 0; i < count; i++) {
        enum presence presence = look(root, &artifacts[i]);
        artifacts[i].kept = presence == SAME;
        if (presence == OTHER) {
            first = first ? first : artifacts[i].name;
            others++;
        }
    }
    if (others > 0 && !force) {
        return out_fail(
            EXIT_REFUSED,
            "%s%s there with other content: --force replaces, --output chooses another folder",
            first, others > 1 ? " and others are" : " is");
    }
    return EXIT_OK;
}

static bool is_listed(const struct artifact *artifacts, size_t count, const char *name) {
    for (size_t i = 0; i < count; i++) {
        if (strcmp(artifacts[i].name, name) == 0) {
            return true;
        }
    }
    return false;
}

/* The job itself, as the host shows it now, beside what it made. */
static int write_manifest(struct client *client, const char *job_id, int root) {
    static const char name[] = "manifest.json";
    char *path = client_job_path(job_id, "");
    json_t *job = NULL;
    int code = client_get(client, path, &job);
    free(path);
    if (code != EXIT_OK) {
        return client_report(client, code);
    }
    char temporary[64];
    snprintf(temporary, sizeof temporary, ".stance-%ld.part", (long)getpid());
    unlinkat(root, temporary, 0);
    int fd = openat(root, temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    bool good =
        fd >= 0 &&
        json_dumpfd(job, fd, JSON_INDENT(2) | JSON_SORT_KEYS | JSON_REAL_PRECISION(15)) == 0 &&
        write(fd, "\n", 1) == 1 && fsync(fd) == 0 && renameat(root, temporary, root, name) == 0 &&
        fsync(root) == 0;
    if (!good) {
        code = out_fail(EXIT_FAILED, "%s: %s", name, strerror(errno));
        unlinkat(root, temporary, 0);
    }
    if (fd >= 0) {
        close(fd);
    }
    json_decref(job);
    return code;
}

int fetch_artifacts(struct client *client, const char *job_id, const char *folder, bool force,
                    struct fetched *fetched) {
    char *path = client_job_path(job_id, "/artifacts");
    json_t *reply = NULL;
    struct artifact *artifacts = NULL;
    size_t count = 0;
    int root = -1;
    *fetched = (struct fetched){0};
    int code = client_get(client, path, &reply);
    free(path);
    if (code != EXIT_OK) {
        return client_report(client, code);
    }
    code = read_list(reply, &artifacts, &count);
    if (code == EXIT_OK) {
        root =
            folders_make(folder, 0777) < 0 ? -1 : open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        code = root < 0 ? out_fail(EXIT_FAILED, "%s: %s", folder, strerror(errno))
                        : look_at_all(root, artifacts, count, force);
    }
    for (size_t i = 0; code == EXIT_OK && i < count; i++) {
        if (artifacts[i].kept) {
            fetched->kept++;
            continue;
        }
        code = fetch_one(client, job_id, root, &artifacts[i], &fetched->bytes);
        fetched->files += code == EXIT_OK;
    }
    if (code == EXIT_OK && !is_listed(artifacts, count, "manifest.json")) {
        code = write_manifest(client, job_id, root);
    }
    if (root >= 0) {
        close(root);
    }
    free(artifacts);
    json_decref(reply);
    return code;
}
