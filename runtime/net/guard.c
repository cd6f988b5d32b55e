#include "net/guard.h"

#include <string.h>
#include <strings.h>

/* "[::1]:5001" -> "[::1]", "localhost:5001" -> "localhost". */
static struct http_span host_name(struct http_span host) {
    if (host.size > 0 && host.at[0] == '[') {
        const char *end = memchr(host.at, ']', host.size);
        if (end != NULL)
            host.size = (size_t)(end - host.at) + 1;
        return host;
    }
    const char *colon = memchr(host.at, ':', host.size);
    if (colon != NULL)
        host.size = (size_t)(colon - host.at);
    return host;
}

static bool same(struct http_span span, const char *text) {
    return strlen(text) == span.size && strncasecmp(span.at, text, span.size) == 0;
}

static bool listed(struct http_span span, const char *const *list) {
    for (; list != NULL && *list != NULL; list++)
        if (strcmp(*list, "*") == 0 || same(span, *list))
            return true;
    return false;
}

bool guard_host(struct http_span host, const char *own, const char *const *hosts) {
    static const char *const loopback[] = {"localhost", "127.0.0.1", "[::1]", NULL};
    if (host.at == NULL)
        return true; /* HTTP/1.0; browsers always send it */
    struct http_span name = host_name(host);
    if (listed(name, loopback) || listed(name, hosts) || listed(host, hosts))
        return true;
    struct http_span own_name = host_name((struct http_span){own, strlen(own)});
    return own_name.size == name.size && strncasecmp(own_name.at, name.at, name.size) == 0;
}

bool guard_origin_listed(struct http_span origin, const char *const *origins) {
    return origin.at != NULL && listed(origin, origins);
}

bool guard_origin(struct http_span origin, struct http_span host, const char *const *origins) {
    static const char *const schemes[] = {"http://", "https://"};
    if (listed(origin, origins))
        return true;
    for (int i = 0; i < 2; i++) {
        size_t size = strlen(schemes[i]);
        if (host.at != NULL && host.size > 0 && origin.size == size + host.size &&
            strncasecmp(origin.at, schemes[i], size) == 0 &&
            strncasecmp(origin.at + size, host.at, host.size) == 0)
            return true;
    }
    return false;
}
