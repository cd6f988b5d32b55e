/* curl_load.h - libcurl, loaded with the first request to another host: a host that asks nobody
 * does not carry it and its own libraries (3 MB). The calls of <curl/curl.h> that we use are
 * defined in curl_load.c. Any thread. */
#ifndef STANCE_NET_CURL_LOAD_H
#define STANCE_NET_CURL_LOAD_H

#include "core/err.h"

/* Before any other call of libcurl. ERR_UNSUPPORTED when it is not installed. */
int curl_load(struct err *err);

#endif
