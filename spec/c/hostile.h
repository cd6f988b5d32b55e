/* hostile.h - what an enemy would send: broken requests and frames, made from a seed.
 *
 * hostile_make always makes the same bytes, so that a failing attack can be sent again
 * alone. They are aimed at the real routes, so that most get past the parser. */
#ifndef STANCE_SPEC_HOSTILE_H
#define STANCE_SPEC_HOSTILE_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

enum { HOSTILE_ROOM = 96 * 1024 };

struct attack {
    const char *kind;
    bool refused;    /* must be answered by one refusal, and nothing behind it looked at */
    int answers;     /* > 0: harmless; exactly so many answers of status 200 */
    int piece;       /* bytes sent at a time; 0: all */
    bool leaves;     /* the client goes in the middle of it */
    const char *job; /* the id of a job that is there */
    uint64_t random;
    size_t size;
    char bytes[HOSTILE_ROOM];
};

/* -- Chance ------------------------------------------------------------------------------------ */

static inline uint64_t hostile_next(struct attack *a) {
    uint64_t z = (a->random += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static inline size_t hostile_upto(struct attack *a, size_t count) {
    return (size_t)(hostile_next(a) % count);
}

static inline bool hostile_one_in(struct attack *a, size_t count) {
    return hostile_upto(a, count) == 0;
}

#define PICK(a, list) ((list)[hostile_upto(a, sizeof(list) / sizeof *(list))])

/* Words, with a tilde between each two. They may hold any other byte. */
struct words {
    const char *text;
    size_t size;
};

#define WORDS(name, text) static const struct words name = {text, sizeof(text) - 1}

static inline struct words hostile_word(struct attack *a, const struct words *words) {
    size_t count = 1;
    for (size_t i = 0; i < words->size; i++)
        count += words->text[i] == '~';
    const char *at = words->text, *end = words->text + words->size;
    for (size_t skip = hostile_upto(a, count); skip > 0; skip--)
        at = (const char *)memchr(at, '~', (size_t)(end - at)) + 1;
    const char *tilde = memchr(at, '~', (size_t)(end - at));
    return (struct words){at, (size_t)((tilde ? tilde : end) - at)};
}

/* -- Bytes ------------------------------------------------------------------------------------- */

static inline void hostile_put(struct attack *a, const char *bytes, size_t size) {
    if (size > sizeof a->bytes - a->size)
        size = sizeof a->bytes - a->size;
    memcpy(a->bytes + a->size, bytes, size);
    a->size += size;
}

static inline void hostile_text(struct attack *a, const char *text) {
    hostile_put(a, text, strlen(text));
}

__attribute__((format(printf, 2, 3))) static inline void hostile_print(struct attack *a,
                                                                       const char *format, ...) {
    char text[4096];
    va_list list;
    va_start(list, format);
    vsnprintf(text, sizeof text, format, list);
    va_end(list);
    hostile_text(a, text);
}

static inline void hostile_repeat(struct attack *a, const char *text, size_t count) {
    for (size_t i = 0; i < count; i++)
        hostile_text(a, text);
}

static inline void hostile_noise(struct attack *a, size_t count) {
    for (size_t i = 0; i < count; i++) {
        char byte = (char)hostile_next(a);
        hostile_put(a, &byte, 1);
    }
}

/* -- Words ------------------------------------------------------------------------------------- */

WORDS(hostile_methods,
      "GET~HEAD~POST~PUT~PATCH~DELETE~OPTIONS~TRACE~CONNECT~PRI~get~GE T~G\x01T~~BREW~"
      "PROPFIND~GETGETGETGETGETGETGETGETGETGETGETGETGETGETGETGET");

WORDS(hostile_paths,
      "/health~/ready~/metrics~/api/status~/api/jobs~/api/jobs?limit=3~/api/jobs/JOB~"
      "/api/jobs/JOB/logs~/api/jobs/JOB/artifacts~/api/jobs/JOB/artifacts/a.txt~"
      "/api/jobs/JOB/cancel~/api/jobs/JOB/retry~/api/jobs/JOB/signals/go~"
      "/api/jobs/JOB/download~/api/jobs/none~/api/jobs/none/logs?follow=1~/api/none~/~//~"
      "/api~/api/~/api//jobs~/../../etc/passwd~/api/jobs/../../../etc/passwd~"
      "/%2e%2e/%2e%2e/etc/passwd~/..%2f..%2fetc%2fpasswd~"
      "/api/jobs/JOB/artifacts/../../../../etc/passwd~"
      "/api/jobs/JOB/artifacts/%2e%2e%2f%2e%2e%2fstance.db~"
      "/api/jobs/JOB/artifacts//etc/passwd~/api/jobs/%00~/api/jobs/%~/api/jobs/%4~"
      "/api/jobs/%zz~/api/jobs/%ff%fe~/api/jobs/%c0%af~/api/jobs/%ed%a0%80~"
      "/api/jobs/\xff\xfe~/api/jobs/%0d%0aX:%20y~/api/jobs/%F0%9F%95%BA~"
      "/api/jobs/'%20OR%201=1--~/api/jobs/%25%32%65~/api/jobs/.~/api/jobs/..~*~"
      "http://localhost/health~http://localhost~http://~https://localhost/health~health~/#~"
      "/\\..\\..~/api/jobs/JOB/signals/%2F%2F~/api/jobs/JOB/signals/~/api/events?after=x~"
      "/api/jobs/\x7f~/ health");

WORDS(hostile_queries,
      "limit=0~limit=-1~limit=501~limit=1e3~limit=0x10~limit=9999999999999999999999~"
      "limit=nan~limit=inf~limit=~limit~limit=1&limit=2~limit[]=1~=~&&&&~a=b=c~%~%zz=1~"
      "limit=%31~status=none~status=pending&status=failed~type=%00~type=%ff~after=-1~"
      "after=1e308~after=1.5~wait=0~wait=-0~wait=1e-320~wait=51~follow=maybe~"
      "follow=1&limit=1~unknown=1~limit=+1~limit= 1~status='%20OR%201=1--~"
      "parent=%F0%9F%95%BA~limit=1;limit=2~?~limit=1?limit=2~limit=1#x");

WORDS(hostile_hosts,
      "localhost~127.0.0.1~[::1]:5001~evil.example~localhost.evil.example~localhost:99999~"
      "localhost:~127.0.0.1@evil.example~[::1~~~localhost, evil.example~LOCALHOST~"
      "localhost\x01~\xff~xn--localhost~0.0.0.0~169.254.169.254~localhost/../~2130706433");

WORDS(hostile_origins,
      "null~http://localhost~https://evil.example~http://localhost.evil.example~"
      "http://localhost:1@evil.example~file://~http://~//localhost~~http://localhost/~"
      "http://localhost http://evil.example~HTTP://LOCALHOST~\xff\xfe~chrome-extension://x~"
      "http://127.0.0.1~http://[::1]");

WORDS(hostile_lengths,
      "0~1~00000000000000000001~-1~+1~1.0~1e3~0x10~1 2~1,1~1, 2~~~abc~"
      "99999999999999999999999999~9223372036854775807~9223372036854775808~"
      "18446744073709551615~18446744073709551616~4294967296~1073741825~8388609~\xd9\xa1~"
      "1\x0b~'1'~Infinity");

WORDS(hostile_encodings,
      "chunked~Chunked~gzip, chunked~chunked, gzip~chunked, chunked~identity~xchunked~"
      "chunkedx~~ chunked~chunked;q=1~\"chunked\"~chun ked~\x0b"
      "chunked~chunked,~,chunked~"
      "cow");

WORDS(hostile_chunks,
      "0\r\n\r\n~5\r\nhello\r\n0\r\n\r\n~5;a=b\r\nhello\r\n0\r\n\r\n~5\nhello\n0\n\n~"
      "5\r\nhello0\r\n\r\n~5\r\nhell\r\n0\r\n\r\n~-5\r\nhello\r\n0\r\n\r\n~"
      "+5\r\nhello\r\n0\r\n\r\n~0x5\r\nhello\r\n0\r\n\r\n~g\r\nhello\r\n~"
      "ffffffffffffffff\r\nx~7fffffffffffffff\r\nx~fffffffffffffff\r\nx~"
      "00000000000000005\r\nhello\r\n0\r\n\r\n~\r\n\r\n~;\r\n~ 5\r\nhello\r\n0\r\n\r\n~"
      "5 \r\nhello\r\n0\r\n\r\n~5\r\rhello\r\n0\r\n\r\n~0\r\nX: y\r\n\r\n~"
      "0\r\nContent-Length: 5\r\n\r\n~0\r\n X\r\n\r\n~0\r\nX\n\r\n~0\r\n\n~0\r\r\n~"
      "2\r\n{}\r\n0\r\n\r\n~1\r\n{\r\n1\r\n}\r\n0\r\n\r\n");

WORDS(hostile_headers,
      "X: y~X:y~X:~X~: y~ X: y~\tX: y~X : y~X\t: y~X: y\r~X: \x01~X: \x7f~X: \xff\xfe~"
      "X: y\r\n folded~X: y\r\n\tfolded~X(: y~X@: y~\xff: y~Host: localhost~"
      "host: evil.example~Content-Length: 0~Transfer-Encoding: chunked~Connection: close~"
      "Connection: keep-alive, close~Connection:~Connection: \xff~Expect: 100-continue~"
      "Expect: miracles~Expect:~Upgrade: h2c~Upgrade: websocket~X-Request-Id: ok-1~"
      "X-Request-Id: \"><script>~X-Request-Id: a\tb~traceparent: 00-0-0-0~"
      "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01~"
      "traceparent: ff-\xff~Content-Type: application/json~Content-Type: text/plain~"
      "Content-Type: application/json; charset=\xff~Content-Type: application/\xff+json~"
      "Content-Type:~Accept-Encoding: gzip;q=nan, br;q=-1~Cookie: a=b; \x7f~"
      "Authorization: Bearer \xff\xff~Authorization: Basic !!!!~X-Forwarded-For: 127.0.0.1~"
      "Forwarded: for=\"[::1]\"~X-HTTP-Method-Override: DELETE~"
      "Access-Control-Request-Method: PUT~Access-Control-Request-Headers: \xff~"
      "Sec-WebSocket-Key: x~Sec-WebSocket-Version: 13~Proxy: http://evil.example~"
      "If-Modified-Since: yesterday");

WORDS(hostile_ranges,
      "bytes=0-~bytes=-1~bytes=-0~bytes=0-0~bytes=5-2~bytes=99999999999999999999-~"
      "bytes=-99999999999999999999~bytes=0-18446744073709551615~bytes=0-0,1-1,2-2~bytes=--1~"
      "bytes=a-b~bytes~bytes=~bytes= 0-1~lines=0-1~bytes=0-1,~bytes=\xff~bytes=1-1-1~"
      "BYTES=0-1~bytes=9223372036854775807-9223372036854775807");

WORDS(hostile_tags, "*~\"\"~\"x\"~W/\"x\"~x~~\"~\"\xff\"~W/~\"a\", \"b\"~\"a\" \"b\"~,,,,~*, *");

WORDS(hostile_keys,
      "k-1~\"k-1\"~~~\"\"~\"~\xff\xfe~a b~a\tb~k-1, k-2~'; DROP TABLE jobs;--~%00~k\x01");

WORDS(hostile_values,
      "null~true~0~-0~1e999~-1e999~1e-999~NaN~Infinity~-Infinity~0x1F~01~+1~.5~5.~1e~"
      "123456789012345678901234567890~9007199254740993~\"\"~\"x\"~\"\\u0000\"~\"\\ud800\"~"
      "\"\\udc00\\ud800\"~\"\\ud83d\\udd7a\"~\"\\u12\"~\"\\x41\"~\"\xff\xfe\"~"
      "\"\xed\xa0\x80\"~\"\n\"~\"a\0b\"~[]~{}~[[]]~[1,]~[,1]~{\"a\":1,}~{,}~{\"a\"}~{\"a\":}~"
      "{a:1}~{'a':1}~{\"a\":1,\"a\":2}~[1 2]~tru~nul~truefalse~\"~[~{~]~}~/* c */ 1~// c\n1~"
      "\xef\xbb\xbf{}~{\"__proto__\":{}}~{\"\":\"\"}~[null,null]~{\"1\":1,\"2\":2}~\"\\\"~"
      "1 1~{} {}~[1e400]");

WORDS(hostile_fields,
      "job_type~params~priority~delay_s~deadline_s~output_dir~force~jobtype~~__index~\\u0000~"
      "characters");

WORDS(hostile_json_routes,
      "/api/jobs~/api/jobs/JOB/signals/go~/api/jobs/JOB/download~/api/jobs/JOB/cancel~"
      "/api/jobs/JOB/retry~/api/jobs/none/signals/x~/health~/api/status");

/* -- Requests ---------------------------------------------------------------------------------- */

/* One of the words, with a real job in the place of JOB. */
static inline void hostile_pick(struct attack *a, const struct words *words) {
    struct words word = hostile_word(a, words);
    const char *job = memmem(word.text, word.size, "JOB", 3);
    if (job == NULL) {
        hostile_put(a, word.text, word.size);
        return;
    }
    hostile_put(a, word.text, (size_t)(job - word.text));
    hostile_text(a, a->job);
    hostile_put(a, job + 3, (size_t)(word.text + word.size - job - 3));
}

/* "name: one of the words" and the line's end. */
static inline void hostile_header(struct attack *a, const char *name, const struct words *words) {
    hostile_print(a, "%s: ", name);
    hostile_pick(a, words);
    hostile_text(a, "\r\n");
}

static inline void hostile_line(struct attack *a, const struct words *methods,
                                const struct words *paths) {
    hostile_pick(a, methods);
    hostile_text(a, " ");
    hostile_pick(a, paths);
    hostile_text(a, " HTTP/1.1\r\n");
}

WORDS(hostile_get_only, "GET");
WORDS(hostile_post_only, "POST");
WORDS(hostile_localhost, "localhost");

static inline void hostile_get(struct attack *a, const struct words *paths) {
    hostile_line(a, &hostile_get_only, paths);
    hostile_text(a, "Host: localhost\r\n");
}

static inline void hostile_request_line(struct attack *a) {
    WORDS(versions, "HTTP/1.1~HTTP/1.0~HTTP/0.9~HTTP/2.0~HTTP/1.2~http/1.1~HTTP/1.10~HTTP/11~HTTP~~"
                    "HTTP/1.1 x~HTTP/\xff.1~ICY~HTTP/-1.1");
    WORDS(blanks, " ~ ~ ~  ~\t~~\r~ \r\n~\x0b");
    WORDS(ends, "\r\n~\r\n~\r\n~\n~\r~\r\r\n~\r\n\r\n~\n\r");
    hostile_pick(a, &hostile_methods);
    hostile_pick(a, &blanks);
    hostile_pick(a, &hostile_paths);
    hostile_pick(a, &blanks);
    hostile_pick(a, &versions);
    hostile_pick(a, &ends);
    hostile_text(a, "Host: localhost\r\n\r\n");
}

static inline void hostile_some_headers(struct attack *a) {
    size_t count = hostile_one_in(a, 20) ? 100 : hostile_upto(a, 5) + 1;
    hostile_line(a, &hostile_methods, &hostile_paths);
    hostile_header(a, "Host", hostile_one_in(a, 4) ? &hostile_hosts : &hostile_localhost);
    for (size_t i = 0; i < count; i++) {
        hostile_pick(a, &hostile_headers);
        hostile_text(a, "\r\n");
    }
    if (hostile_one_in(a, 12)) {
        hostile_text(a, "X-Long: ");
        hostile_repeat(a, "0123456789abcdef", (size_t)16 << hostile_upto(a, 8));
        hostile_text(a, "\r\n");
    }
    hostile_text(a, "\r\n");
}

/* Two readings of where the body ends: the second would find a request in it. */
static inline void hostile_smuggle(struct attack *a) {
    WORDS(pairs,
          "Content-Length: 4\r\nTransfer-Encoding: chunked~"
          "Transfer-Encoding: chunked\r\nContent-Length: 4~"
          "Content-Length: 4\r\nContent-Length: 0~Content-Length: 4\r\nContent-Length: 4~"
          "Content-Length: 4, 0~Transfer-Encoding: chunked\r\nTransfer-Encoding: identity~"
          "Transfer-Encoding: xchunked\r\nContent-Length: 4~Transfer-Encoding: chunked, identity~"
          "Transfer-Encoding : chunked\r\nContent-Length: 4~Content-Length : 4~"
          "Content-Length: +4~Content-Length: 4\r~Content-Length: 0x4~"
          "Transfer-Encoding:\x0b chunked\r\nContent-Length: 4~X: y\nContent-Length: 0~"
          "Content-Length: 4\r\n folded~Host: evil.example\r\nContent-Length: 4~"
          "Transfer-Encoding: \"chunked\"");
    hostile_line(a, &hostile_post_only, &hostile_json_routes);
    hostile_text(a, "Host: localhost\r\n");
    hostile_pick(a, &pairs);
    hostile_text(a, "\r\n\r\n0\r\n\r\nGET /metrics HTTP/1.1\r\nHost: localhost\r\n"
                    "X-Request-Id: smuggled\r\n\r\n");
    a->refused = true;
}

static inline void hostile_chunked(struct attack *a) {
    WORDS(chunked, "chunked");
    hostile_line(a, &hostile_post_only, &hostile_json_routes);
    hostile_text(a, "Host: localhost\r\nContent-Type: application/json\r\n");
    hostile_header(a, "Transfer-Encoding", hostile_one_in(a, 3) ? &hostile_encodings : &chunked);
    hostile_text(a, "\r\n");
    hostile_pick(a, &hostile_chunks);
}

static inline void hostile_length(struct attack *a) {
    hostile_line(a, &hostile_methods, &hostile_json_routes);
    hostile_text(a, "Host: localhost\r\nContent-Type: application/json\r\n");
    hostile_header(a, "Content-Length", &hostile_lengths);
    hostile_text(a, "\r\n{}");
    a->leaves = true; /* the rest never comes */
}

static inline void hostile_target(struct attack *a) {
    hostile_text(a, hostile_one_in(a, 3) ? "POST " : "GET ");
    hostile_pick(a, &hostile_paths);
    if (hostile_one_in(a, 8))
        hostile_repeat(a, hostile_one_in(a, 2) ? "/.." : "%2e%2e%2f", hostile_upto(a, 500));
    if (hostile_one_in(a, 20))
        hostile_repeat(a, "a", hostile_upto(a, 30000));
    if (hostile_one_in(a, 8))
        hostile_noise(a, 4);
    const char *mark = "?";
    for (size_t i = hostile_upto(a, 4); i > 0; i--, mark = "&") {
        hostile_text(a, mark);
        hostile_pick(a, &hostile_queries);
    }
    hostile_text(a, " HTTP/1.1\r\nHost: localhost\r\n\r\n");
}

/* -- JSON -------------------------------------------------------------------------------------- */

static inline void hostile_value(struct attack *a, int depth) {
    size_t kind = hostile_upto(a, depth > 3 ? 1 : 4);
    if (kind == 0 || kind == 3) {
        hostile_pick(a, &hostile_values);
        return;
    }
    hostile_text(a, kind == 1 ? "[" : "{");
    for (size_t i = hostile_upto(a, 4); i > 0; i--) {
        if (kind == 2) {
            hostile_text(a, "\"");
            hostile_pick(a, &hostile_fields);
            hostile_text(a, "\":");
        }
        hostile_value(a, depth + 1);
        hostile_text(a, i > 1 ? "," : "");
    }
    hostile_text(a, kind == 1 ? "]" : "}");
}

static inline void hostile_submission(struct attack *a) {
    WORDS(types, "\"render\"~\"none\"~\"nap\"~\"\"~\"../../etc/passwd\"~\"\\u0000\"~17");
    hostile_text(a, "{\"job_type\":");
    hostile_pick(a, &types);
    hostile_text(a, ",\"");
    hostile_pick(a, &hostile_fields);
    hostile_text(a, "\":");
    hostile_value(a, 2);
    hostile_text(a, "}");
}

static inline void hostile_json(struct attack *a) {
    size_t deep = (size_t)1 << hostile_upto(a, 15);
    switch (hostile_upto(a, 8)) {
    case 0:
        hostile_repeat(a, hostile_one_in(a, 2) ? "[" : "{\"a\":", deep);
        break;
    case 1: /* deep, and whole */
        hostile_repeat(a, "[", deep);
        hostile_repeat(a, "]", deep);
        break;
    case 2: /* a very long list, cut short */
        hostile_text(a, "{\"job_type\":\"render\",\"params\":[");
        hostile_repeat(a, "1e9,", deep);
        break;
    case 3: /* the same name again and again */
        hostile_text(a, "{\"job_type\":\"none\"");
        hostile_repeat(a, ",\"params\":{}", deep / 4);
        hostile_text(a, "}");
        break;
    case 4:
        hostile_submission(a);
        break;
    case 5:
        hostile_noise(a, hostile_upto(a, 64));
        break;
    default:
        hostile_value(a, 0);
    }
}

/* A request with a body of its announced length. */
static inline void hostile_body(struct attack *a) {
    WORDS(types, "application/json~application/json~application/json~text/plain~"
                 "application/vnd.x+json~application/json; charset=utf-16");
    static char text[HOSTILE_ROOM];
    hostile_json(a); /* made in place, then moved behind its head */
    size_t size = a->size > HOSTILE_ROOM - 4096 ? HOSTILE_ROOM - 4096 : a->size;
    memcpy(text, a->bytes, size);
    a->size = 0;
    hostile_line(a, &hostile_post_only, &hostile_json_routes);
    hostile_text(a, "Host: localhost\r\n");
    hostile_header(a, "Content-Type", &types);
    if (hostile_one_in(a, 4))
        hostile_header(a, "Idempotency-Key", &hostile_keys);
    hostile_print(a, "Content-Length: %zu\r\n\r\n", size);
    hostile_put(a, text, size);
}

/* -- Other headers that mean something --------------------------------------------------------- */

static inline void hostile_condition(struct attack *a) {
    WORDS(artifact, "/api/jobs/JOB/artifacts/a.txt");
    hostile_get(a, hostile_one_in(a, 2) ? &artifact : &hostile_paths);
    hostile_header(a, "Range", &hostile_ranges);
    if (hostile_one_in(a, 2))
        hostile_header(a, "If-None-Match", &hostile_tags);
    if (hostile_one_in(a, 2))
        hostile_header(a, "If-Range", &hostile_tags);
    hostile_text(a, "\r\n");
}

static inline void hostile_key(struct attack *a) {
    WORDS(jobs, "/api/jobs");
    hostile_line(a, &hostile_post_only, &jobs);
    hostile_text(a, "Host: localhost\r\nContent-Type: application/json\r\n");
    hostile_header(a, "Idempotency-Key", &hostile_keys);
    if (hostile_one_in(a, 3))
        hostile_header(a, "Idempotency-Key", &hostile_keys);
    if (hostile_one_in(a, 10)) {
        hostile_text(a, "Idempotency-Key: ");
        hostile_repeat(a, "k", hostile_upto(a, 2000));
        hostile_text(a, "\r\n");
    }
    hostile_text(a, "Content-Length: 19\r\n\r\n{\"job_type\":\"none\"}");
}

static inline void hostile_names(struct attack *a) {
    hostile_line(a, &hostile_methods, &hostile_json_routes);
    hostile_header(a, "Host", &hostile_hosts);
    hostile_header(a, "Origin", &hostile_origins);
    if (hostile_one_in(a, 2))
        hostile_text(a, "Access-Control-Request-Method: POST\r\n"
                        "Access-Control-Request-Headers: x-y\r\n");
    hostile_text(a, "\r\n");
}

/* -- WebSockets -------------------------------------------------------------------------------- */

static inline void hostile_handshake(struct attack *a) {
    WORDS(keys, "dGhlIHNhbXBsZSBub25jZQ==~dGhlIHNhbXBsZSBub25jZQ==~short~~\xff");
    WORDS(versions, "13~13~13~8~~13, 13~-1");
    WORDS(queries, "~?after=0~?after=-1~?job=%ff~?after=1e400~?job=JOB&after=0");
    WORDS(protocols, "pose.v1~~,,,~\xff~a b~x, y, z");
    hostile_text(a, hostile_one_in(a, 8) ? "POST /api/events" : "GET /api/events");
    hostile_pick(a, &queries);
    hostile_text(a,
                 " HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n");
    hostile_header(a, "Sec-WebSocket-Version", &versions);
    hostile_header(a, "Sec-WebSocket-Key", &keys);
    if (hostile_one_in(a, 4))
        hostile_header(a, "Sec-WebSocket-Protocol", &protocols);
    if (hostile_one_in(a, 4))
        hostile_text(a,
                     "Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=99\r\n");
    if (hostile_one_in(a, 8))
        hostile_text(a, "Content-Length: 5\r\n");
    hostile_text(a, "\r\n");
}

/* A frame whose parts are right more often than not. */
static inline void hostile_frame(struct attack *a) {
    static const unsigned char firsts[] = {0x81, 0x81, 0x82, 0x01, 0x00, 0x80, 0x89,
                                           0x8a, 0x88, 0x83, 0xc1, 0x09, 0x8f, 0x7f};
    static const unsigned char lengths[] = {0, 1, 2, 5, 125, 126, 127};
    unsigned char head[14], mask[4] = {0};
    unsigned char length = PICK(a, lengths);
    uint64_t size =
        hostile_one_in(a, 3) ? hostile_next(a) >> hostile_upto(a, 64) : hostile_upto(a, 300);
    size_t used = 2, wide = length == 126 ? 2 : length == 127 ? 8 : 0;
    bool masked = !hostile_one_in(a, 12), text = !hostile_one_in(a, 3);
    head[0] = PICK(a, firsts);
    head[1] = (unsigned char)(length | (masked ? 0x80 : 0));
    for (size_t i = 0; i < wide; i++)
        head[used++] = (unsigned char)(size >> (8 * (wide - 1 - i)));
    for (size_t i = 0; masked && i < 4; i++)
        head[used++] = mask[i] = (unsigned char)hostile_next(a);
    hostile_put(a, (const char *)head, used);
    size_t payload = wide == 0 ? length : size > 2000 ? 2000 : (size_t)size;
    for (size_t i = 0; i < payload; i++) {
        char byte = (char)((text ? ' ' + hostile_upto(a, 90) : hostile_next(a)) ^ mask[i & 3]);
        hostile_put(a, &byte, 1);
    }
}

static inline void hostile_frames(struct attack *a) {
    hostile_text(a, "GET /api/events HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
                    "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n");
    for (size_t i = hostile_upto(a, 8) + 1; i > 0; i--)
        hostile_frame(a);
    if (hostile_one_in(a, 4))
        hostile_noise(a, 100);
    a->leaves = true;
}

/* -- Good ones, and what becomes of them ------------------------------------------------------- */

static inline void hostile_good(struct attack *a) {
    WORDS(paths, "/health~/api/status~/api/jobs?limit=1~/api/jobs/JOB~/ready");
    a->answers = (int)hostile_upto(a, 4) + 1;
    for (int i = 0; i < a->answers; i++) {
        hostile_get(a, &paths);
        hostile_text(a, "\r\n");
    }
    a->piece = (int)hostile_upto(a, 40) + 1; /* split wherever it may be */
}

static inline void hostile_mutated(struct attack *a) {
    hostile_good(a);
    a->answers = 0;
    for (size_t i = hostile_upto(a, 4) + 1; i > 0; i--)
        a->bytes[hostile_upto(a, a->size)] = (char)hostile_next(a);
    if (hostile_one_in(a, 3))
        a->size = hostile_upto(a, a->size) + 1;
}

static inline void hostile_pipeline(struct attack *a);

struct hostile_kind {
    const char *name;
    void (*make)(struct attack *a);
};

static inline void hostile_garbage(struct attack *a) {
    hostile_noise(a, hostile_upto(a, 500) + 1);
}

static const struct hostile_kind hostile_kinds[] = {{"request line", hostile_request_line},
                                                    {"headers", hostile_some_headers},
                                                    {"smuggling", hostile_smuggle},
                                                    {"chunks", hostile_chunked},
                                                    {"length", hostile_length},
                                                    {"target", hostile_target},
                                                    {"target", hostile_target},
                                                    {"JSON", hostile_body},
                                                    {"JSON", hostile_body},
                                                    {"condition", hostile_condition},
                                                    {"idempotency key", hostile_key},
                                                    {"host and origin", hostile_names},
                                                    {"handshake", hostile_handshake},
                                                    {"frames", hostile_frames},
                                                    {"good, split", hostile_good},
                                                    {"mutated", hostile_mutated},
                                                    {"noise", hostile_garbage},
                                                    {"pipeline", hostile_pipeline}};

/* Several behind each other, good and bad. */
static inline void hostile_pipeline(struct attack *a) {
    WORDS(health, "/health");
    size_t kinds = sizeof hostile_kinds / sizeof *hostile_kinds - 1;
    for (size_t i = hostile_upto(a, 6) + 2; i > 0 && a->size < HOSTILE_ROOM / 2; i--) {
        if (hostile_one_in(a, 2)) {
            hostile_get(a, &health);
            hostile_text(a, "\r\n");
            continue;
        }
        static struct attack other;
        other = (struct attack){.job = a->job, .random = hostile_next(a)};
        hostile_kinds[hostile_upto(a, kinds)].make(&other);
        hostile_put(a, other.bytes, other.size);
    }
}

static inline void hostile_make(struct attack *a, uint64_t seed, uint64_t index, const char *job) {
    a->random = seed * 0x100000001b3u + index;
    a->size = 0;
    a->refused = a->leaves = false;
    a->answers = a->piece = 0;
    a->job = job;
    hostile_next(a);
    const struct hostile_kind *kind = &PICK(a, hostile_kinds);
    a->kind = kind->name;
    kind->make(a);
    if (a->piece == 0 && hostile_one_in(a, 6))
        a->piece = (int)(a->size / (hostile_upto(a, 8) + 1)) + 1;
    if (a->answers == 0 && !a->refused && hostile_one_in(a, 10)) {
        a->size = hostile_upto(a, a->size + 1);
        a->leaves = true;
    }
}

#endif
