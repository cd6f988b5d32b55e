/* http_parse.h - a strict reader of HTTP/1.1 request heads and chunked bodies (RFC 9112).
 *
 * It is ours because libwebsockets' parser drops a bad request without an answer, decodes paths and
 * queries beyond repair, and cannot hold a pipelined request while an answer is pending. Whatever
 * two parsers could read differently is refused: both Content-Length and Transfer-Encoding, bare
 * line feeds, folded headers, spaces before a colon, repeated Host or length. No allocation: spans
 * point into the caller's bytes. Any thread. */
#ifndef STANCE_NET_HTTP_PARSE_H
#define STANCE_NET_HTTP_PARSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { HTTP_HEADERS_MAX = 64 };

enum http_method {
    HTTP_GET,
    HTTP_HEAD,
    HTTP_POST,
    HTTP_PUT,
    HTTP_PATCH,
    HTTP_DELETE,
    HTTP_OPTIONS,
};

struct http_span {
    const char *at; /* NULL: absent */
    size_t size;
};

struct http_header {
    struct http_span name, value; /* the name in lower case, the value without outer blanks */
};

struct http_head {
    enum http_method method;
    struct http_span path;       /* as sent, starts with '/' */
    struct http_span query;      /* without '?'; at NULL when there is none */
    int minor;                   /* HTTP/1.x */
    struct http_header *headers; /* room for HTTP_HEADERS_MAX, given by who parses */
    size_t header_count;
    struct http_span host;
    int64_t length; /* Content-Length, or -1 */
    bool chunked, keep_alive, expect_continue, websocket;
};

/* Looks for the end of a head. Returns its size with the empty line, 0 when more is needed, or -1
 * at a line feed without its carriage return. `scanned` remembers how far was looked (start it at
 * 0). */
int64_t http_find_head(const char *bytes, size_t size, size_t *scanned);

/* Reads a whole head (as http_find_head measured it) and writes header names in lower case in
 * place. Returns 0, or the status to answer with (400, 417, 431) and says why. Unknown methods,
 * versions and codings are 400 too, not 501 or 505: what a client does wrong must not look like a
 * fault of this host to whoever counts those. */
int http_parse_head(char *bytes, size_t size, struct http_head *head, const char **why);

/* The value of the first header of this (lower-case) name; at NULL when absent. */
struct http_span http_header(const struct http_head *head, const char *name);

/* A chunked body as it arrives. Zeroed to begin with. */
struct http_chunks {
    int state;
    int digits;
    size_t line; /* bytes of extensions and trailers seen: limited */
    uint64_t remain;
    bool done;
};

/* Consumes from `bytes`; a piece of body, if any, is put into `data`. Returns the bytes consumed
 * (call again while it is not 0 and `done` is not set), or -1 when malformed. */
int64_t http_chunks_read(struct http_chunks *chunks, const char *bytes, size_t size,
                         struct http_span *data);

/* Whether `word` is one of a list by commas; unless `exact` ASCII letters match in either case. */
bool http_list_has(struct http_span list, const char *word, bool exact);
bool http_is_token(const char *bytes, size_t size);
bool http_span_is(struct http_span span, const char *lower_case); /* ASCII, whatever its case */
const char *http_method_name(enum http_method method);
const char *http_status_text(int status);

/* Decodes %XX ('+' too when `form`) into `out` of at least span.size bytes; the size, or -1 when
 * malformed. */
int64_t http_decode(struct http_span span, bool form, char *out);

#endif
