/* static.h - files as answers: conditional requests, ranges, a folder served.
 *
 * Loop thread; files are opened on it (openat2 under the folder) and read on the pool. */
#ifndef STANCE_NET_STATIC_H
#define STANCE_NET_STATIC_H

#include "net/server.h"

/* Answers with a whole file of `size` bytes, or with what the request asks of it: If-None-Match
 * against an ETag among `headers` (304), one Range (206, 416; If-Range is heeded). Only for status
 * 200; others are sent whole. Owns `fd`. Returns as net_respond. */
int net_send_file(struct net_request *request, int status, const struct net_header *headers,
                  size_t header_count, int fd, int64_t size);

struct net_static;

/* A folder to serve. `cache` is the Cache-Control of all but HTML ("no-cache" for that; NULL:
 * "no-cache" for all). ERR_NOT_FOUND when there is no such folder. */
int net_static_open(const char *folder, const char *cache, struct net_static **out,
                    struct err *err);
void net_static_close(struct net_static *folder);

/* Answers GET and HEAD for `path` ("/app.js", decoded, "/" for index.html) with the file, its .br
 * or .gz variant when the client takes it. ERR_NOT_FOUND when there is none such (nothing is
 * answered then), ERR_DENIED for a path that leaves the folder. */
int net_static_respond(struct net_static *folder, struct net_request *request, const char *path);

/* "text/html; charset=utf-8" for "index.html". */
const char *net_media_type(const char *name);

#endif
