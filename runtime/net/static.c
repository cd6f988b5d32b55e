#include "net/static.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { HEADERS_ROOM = 72, PATH_ROOM = 1024 };

struct net_static {
    int fd;
    char cache[128];
};

/* -- Conditions -------------------------------------------------------------------------------- */

static const char *find(const struct net_header *headers, size_t count, const char *name) {
    for (size_t i = 0; i < count; i++)
        if (strcasecmp(headers[i].name, name) == 0)
            return headers[i].value;
    return NULL;
}

/* Weak comparison of an If-None-Match list with one tag. */
static bool matches(struct http_span list, const char *etag) {
    if (list.size == 1 && list.at[0] == '*')
        return true;
    if (strncmp(etag, "W/", 2) == 0)
        etag += 2;
    size_t size = strlen(etag);
    for (size_t i = 0; i + size <= list.size; i++)
        if (memcmp(list.at + i, etag, size) == 0)
            return true; /* tags are quoted, so one cannot be a part of another */
    return false;
}

struct range {
    int64_t first, size;
    int status; /* 200: all, 206, 416 */
};

static bool parse_digits(const char **at, const char *end, int64_t *out) {
    const char *start = *at;
    int64_t value = 0;
    while (*at < end && **at >= '0' && **at <= '9' && *at - start < 18)
        value = value * 10 + (*(*at)++ - '0');
    *out = value;
    return *at > start;
}

/* RFC 9110 14: one range; several, or what is malformed, are answered with the whole. */
static struct range parse_range(struct http_span span, int64_t size) {
    struct range whole = {0, size, 200}, none = {0, 0, 416};
    if (span.size < 7 || strncasecmp(span.at, "bytes=", 6) != 0)
        return whole;
    const char *at = span.at + 6, *end = span.at + span.size;
    int64_t first, last;
    if (*at == '-') {
        at++;
        if (!parse_digits(&at, end, &last) || at != end)
            return whole;
        if (last == 0 || size == 0)
            return none;
        first = last < size ? size - last : 0;
        return (struct range){first, size - first, 206};
    }
    if (!parse_digits(&at, end, &first) || at == end || *at++ != '-')
        return whole;
    last = size - 1;
    if (at < end && (!parse_digits(&at, end, &last) || at != end || last < first))
        return whole;
    if (first >= size)
        return none;
    if (last >= size)
        last = size - 1;
    return (struct range){first, last - first + 1, 206};
}

int net_send_file(struct net_request *request, int status, const struct net_header *headers,
                  size_t header_count, int fd, int64_t size) {
    const struct http_head *head = net_request_head(request);
    bool reading = head->method == HTTP_GET || head->method == HTTP_HEAD;
    if (status != 200 || !reading || header_count + 2 > HEADERS_ROOM)
        return net_respond_file(request, status, headers, header_count, fd, 0, size);
    const char *etag = find(headers, header_count, "etag");
    struct http_span known = http_header(head, "if-none-match");
    if (etag != NULL && known.at != NULL && matches(known, etag)) {
        close(fd);
        return net_respond(request, 304, headers, header_count, NULL, 0);
    }
    struct range range = {0, size, 200};
    struct http_span wanted = http_header(head, "range");
    struct http_span unless = http_header(head, "if-range");
    bool fresh = unless.at == NULL || (etag != NULL && unless.size == strlen(etag) &&
                                       memcmp(unless.at, etag, unless.size) == 0);
    if (wanted.at != NULL && head->method == HTTP_GET && fresh)
        range = parse_range(wanted, size);
    struct net_header all[HEADERS_ROOM];
    memcpy(all, headers, header_count * sizeof *headers);
    all[header_count++] = (struct net_header){"Accept-Ranges", "bytes"};
    char text[80];
    if (range.status == 416) {
        close(fd);
        snprintf(text, sizeof text, "bytes */%lld", (long long)size);
        struct net_header header = {"Content-Range", text};
        return net_respond(request, 416, &header, 1, NULL, 0);
    }
    if (range.status == 206) {
        snprintf(text, sizeof text, "bytes %lld-%lld/%lld", (long long)range.first,
                 (long long)(range.first + range.size - 1), (long long)size);
        all[header_count++] = (struct net_header){"Content-Range", text};
    }
    return net_respond_file(request, range.status, all, header_count, fd, range.first, range.size);
}

/* -- Names ------------------------------------------------------------------------------------- */

const char *net_media_type(const char *name) {
    static const char *const types[][2] = {
        {".html", "text/html; charset=utf-8"},
        {".css", "text/css; charset=utf-8"},
        {".js", "text/javascript; charset=utf-8"},
        {".mjs", "text/javascript; charset=utf-8"},
        {".json", "application/json"},
        {".map", "application/json"},
        {".txt", "text/plain; charset=utf-8"},
        {".md", "text/markdown; charset=utf-8"},
        {".svg", "image/svg+xml"},
        {".png", "image/png"},
        {".jpg", "image/jpeg"},
        {".jpeg", "image/jpeg"},
        {".webp", "image/webp"},
        {".ico", "image/x-icon"},
        {".wasm", "application/wasm"},
        {".woff2", "font/woff2"},
        {".glb", "model/gltf-binary"},
        {".gltf", "model/gltf+json"},
        {".vrm", "model/gltf-binary"},
        {".mp4", "video/mp4"},
        {".webm", "video/webm"},
        {".task", "application/octet-stream"},
    };
    const char *dot = strrchr(name, '.');
    for (size_t i = 0; dot != NULL && i < sizeof types / sizeof *types; i++)
        if (strcasecmp(dot, types[i][0]) == 0)
            return types[i][1];
    return "application/octet-stream";
}

/* Never outside the folder, neither by ".." nor by a link. */
static int open_beneath(int folder, const char *path) {
    struct open_how how = {.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY,
                           .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS};
    return (int)syscall(SYS_openat2, folder, path, &how, sizeof how);
}

/* -- Folders ----------------------------------------------------------------------------------- */

int net_static_open(const char *folder, const char *cache, struct net_static **out,
                    struct err *err) {
    int fd = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return err_set_errno(err, errno, "cannot serve the folder %s", folder);
    struct net_static *opened = malloc(sizeof *opened);
    if (opened == NULL) {
        close(fd);
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    }
    opened->fd = fd;
    snprintf(opened->cache, sizeof opened->cache, "%s", cache ? cache : "no-cache");
    *out = opened;
    return 0;
}

void net_static_close(struct net_static *folder) {
    if (folder == NULL)
        return;
    close(folder->fd);
    free(folder);
}

/* Whether Accept-Encoding takes `coding`: named, and not with q=0. */
static bool accepts(struct http_span accept, const char *coding) {
    size_t size = strlen(coding);
    for (size_t i = 0; i + size <= accept.size; i++) {
        if (strncasecmp(accept.at + i, coding, size) != 0)
            continue;
        const char *rest = accept.at + i + size, *end = accept.at + accept.size;
        while (rest < end && *rest == ' ')
            rest++;
        if (rest == end || *rest == ',')
            return true;
        return *rest == ';' && !(end - rest >= 4 && strncmp(rest, ";q=0", 4) == 0 &&
                                 (end - rest == 4 || rest[4] == ','));
    }
    return false;
}

static int open_variant(const struct net_static *folder, const char *path, const char *ending,
                        struct stat *info) {
    char name[PATH_ROOM + 8];
    snprintf(name, sizeof name, "%s%s", path, ending);
    int fd = open_beneath(folder->fd, name);
    if (fd < 0)
        return -1;
    if (fstat(fd, info) == 0 && S_ISREG(info->st_mode))
        return fd;
    close(fd);
    errno = ENOENT;
    return -1;
}

int net_static_respond(struct net_static *folder, struct net_request *request, const char *path) {
    static const char *const codings[][2] = {{"br", ".br"}, {"gzip", ".gz"}, {NULL, ""}};
    char name[PATH_ROOM];
    while (*path == '/')
        path++;
    size_t size = strlen(path);
    bool is_folder = size == 0 || path[size - 1] == '/';
    if (size + 16 > sizeof name)
        return ERR_NOT_FOUND;
    snprintf(name, sizeof name, "%s%s", path, is_folder ? "index.html" : "");
    struct http_span accept = http_header(net_request_head(request), "accept-encoding");
    struct stat info;
    int fd = -1;
    const char *coding = NULL;
    for (int i = 0; i < 3 && fd < 0; i++) {
        coding = codings[i][0];
        if (coding == NULL || (accept.at != NULL && accepts(accept, coding)))
            fd = open_variant(folder, name, codings[i][1], &info);
    }
    if (fd < 0)
        return errno == EXDEV ? ERR_DENIED : ERR_NOT_FOUND;
    char etag[80];
    snprintf(etag, sizeof etag, "\"%llx-%llx%09lx\"", (unsigned long long)info.st_size,
             (unsigned long long)info.st_mtim.tv_sec, (unsigned long)info.st_mtim.tv_nsec);
    const char *type = net_media_type(name);
    bool html = strncmp(type, "text/html", 9) == 0;
    struct net_header headers[] = {
        {"Content-Type", type},
        {"ETag", etag},
        {"Cache-Control", html ? "no-cache" : folder->cache},
        {"Vary", "Accept-Encoding"},
        {"Content-Encoding", coding ? coding : ""},
    };
    return net_send_file(request, 200, headers, coding ? 5 : 4, fd, info.st_size);
}
