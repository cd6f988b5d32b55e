/* guard.h - which Host and Origin headers a server accepts.
 *
 * Against DNS rebinding and requests that a foreign web page makes a browser send. Pure; any
 * thread. */
#ifndef STANCE_NET_GUARD_H
#define STANCE_NET_GUARD_H

#include <stdbool.h>

#include "net/http_parse.h"

/* True when the Host header (its port aside) is a loopback name, `own` (the listen address), or one
 * of `hosts` ("*": any). */
bool guard_host(struct http_span host, const char *own, const char *const *hosts);

/* True when `origin` is "http(s)://" + the Host header itself, or listed ("*": any). */
bool guard_origin(struct http_span origin, struct http_span host, const char *const *origins);

/* True when `origin` is listed: the answer may carry CORS headers. */
bool guard_origin_listed(struct http_span origin, const char *const *origins);

#endif
