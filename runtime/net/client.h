/* client.h - HTTP requests to others: curl's multi interface on the loop.
 *
 * A client keeps connections for reuse; freeing it cuts what is under way (their `done` is not
 * called). Only http and https; redirects are followed when asked for. Loop thread. */
#ifndef STANCE_NET_CLIENT_H
#define STANCE_NET_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/loop.h"

struct net_client;
struct net_fetch;

struct net_fetch_ops {
    void (*head)(struct net_fetch *fetch, int status,
                 void *user); /* once; net_fetch_headers is complete */
    void (*data)(struct net_fetch *fetch, const char *bytes, size_t size, void *user);
    /* Last, once; err NULL: the answer is whole. The fetch is freed after it. */
    void (*done)(struct net_fetch *fetch, const struct err *err, void *user);
};

struct net_fetch_options {
    const char *method, *url;
    const char *const *headers; /* "Name: value" lines, NULL-ended; may be NULL */
    const char *body;           /* copied; NULL: none */
    size_t body_size;
    double timeout; /* seconds for all of it; 0: 30; negative: none, but silence for 60 s ends it */
    double connect_timeout; /* seconds; 0: 10 */
    int64_t max_size;       /* bytes of the answer's body; 0: 64 MiB */
    int redirects;          /* followed at most */
    const struct net_fetch_ops *ops;
    void *user;
};

int net_client_new(struct loop *loop, struct net_client **out, struct err *err);
void net_client_free(struct net_client *client);

int net_client_fetch(struct net_client *client, const struct net_fetch_options *options,
                     struct net_fetch **out, struct err *err);

/* No callback comes any more. Not from inside `done`. */
void net_fetch_cancel(struct net_fetch *fetch);

/* "name: value\n" lines, names in lower case, of the last answer (of a chain of redirects). */
const char *net_fetch_headers(const struct net_fetch *fetch);

/* Stops reading after the present `data`; resume reads on. */
void net_fetch_pause(struct net_fetch *fetch);
void net_fetch_resume(struct net_fetch *fetch);

#endif
