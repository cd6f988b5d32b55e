/* net_ws_rfc_test.c - RFC 6455 on the wire, a named case a line: bytes made by hand against an
 * echo. Each case is sent in one piece and byte by byte. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "check.h"
#include "core/log.h"
#include "net/server.h"
#include "net/ws.h"

enum { LIMIT = 200000, ROOM = 512 * 1024, STEPS = 12 };

/* -- An echo -------------------------------------------------------------------------------------
 */

static struct loop loop;
static struct net_server *server;
static _Atomic int closed_code;
static char closed_reason[128];

static void on_opened(struct ws *ws, void *user) {
    (void)ws, (void)user;
}

/* "close CODE REASON" closes; all else comes back. */
static void on_message(struct ws *ws, const char *bytes, size_t size, bool binary, void *user) {
    (void)user;
    int code;
    char text[200], reason[124] = "";
    snprintf(text, sizeof text, "%.*s", (int)(size < 199 ? size : 199), bytes);
    if (sscanf(text, "close %d %123s", &code, reason) >= 1)
        ws_close(ws, code, reason);
    else
        ws_send(ws, bytes, size, binary);
}

static void on_closed(struct ws *ws, int code, const char *reason, void *user) {
    (void)ws, (void)user;
    snprintf(closed_reason, sizeof closed_reason, "%s", reason);
    closed_code = code;
}

static const struct ws_ops echo = {on_opened, on_message, NULL, on_closed};

static void on_over(struct net_request *request, bool whole) {
    (void)request, (void)whole;
}

static void on_request(struct net_request *request, void *arg) {
    static const struct net_request_ops ops = {.over = on_over};
    struct ws_limits limits = {.ops = &echo, .message_limit = LIMIT};
    (void)arg;
    net_request_attach(request, &ops, NULL);
    if (net_request_head(request)->websocket)
        net_request_upgrade(request, "pose.v1", &limits);
    else
        net_respond_problem(request, 426, "invalid", "only for WebSockets");
}

/* -- Frames --------------------------------------------------------------------------------------
 */

enum form {
    SHORTEST,
    AS_16, /* the length in two bytes, whatever it is */
    AS_64,
    UNMASKED,
    RAW,    /* bytes as they are */
    MANY,   /* `size` times the byte *payload */
    EXPECT, /* a frame from the server; "*" stands for any bytes */
    CLOSES, /* the server closes with the code `first` */
    ENDS,   /* so does it, having said so before */
};

struct part {
    enum form form;
    int first; /* FIN, reserved bits and opcode */
    const char *payload;
    size_t size;
};

struct ws_case {
    const char *name;
    struct part parts[STEPS];
    int seen; /* the code that the server is told; 0: of the clean close at the case's end */
};

#define TEXT(string) string, sizeof(string) - 1
#define S(first, string)                                                                           \
    { SHORTEST, first, TEXT(string) }
#define E(first, string)                                                                           \
    { EXPECT, first, TEXT(string) }
#define X(code)                                                                                    \
    { CLOSES, code, "", 0 }
#define Z                                                                                          \
    { ENDS, 0, "", 0 }
#define B(string)                                                                                  \
    { RAW, 0, TEXT(string) }
#define M(first, byte, size)                                                                       \
    { MANY, first, byte, size }

static unsigned char out[ROOM], heard[ROOM];

static size_t put_head(unsigned char *at, const struct part *part) {
    size_t wide = part->size > 0xffff ? 8 : part->size > 125 ? 2 : 0;
    if (part->form == AS_16 || part->form == AS_64)
        wide = part->form == AS_16 ? 2 : 8;
    at[0] = (unsigned char)part->first;
    at[1] = (unsigned char)((part->form == UNMASKED ? 0 : 0x80) | (wide == 8   ? 127
                                                                   : wide == 2 ? 126
                                                                               : part->size));
    for (size_t i = 0; i < wide; i++)
        at[2 + i] = (unsigned char)((uint64_t)part->size >> (8 * (wide - 1 - i)));
    return 2 + wide;
}

/* The bytes of one part, masked with a mask that is no palindrome. */
static size_t put(unsigned char *at, const struct part *part) {
    static const unsigned char mask[4] = {0x37, 0xfa, 0x21, 0x3d};
    if (part->form == RAW) {
        memcpy(at, part->payload, part->size);
        return part->size;
    }
    size_t used = put_head(at, part);
    bool masked = part->form != UNMASKED;
    if (masked) {
        memcpy(at + used, mask, 4);
        used += 4;
    }
    for (size_t i = 0; i < part->size; i++) {
        unsigned char byte = (unsigned char)part->payload[part->form == MANY ? 0 : i];
        at[used++] = masked ? byte ^ mask[i & 3] : byte;
    }
    return used;
}

/* -- A client ------------------------------------------------------------------------------------
 */

static int dial(void) {
    const char *address = net_server_address(server);
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)atoi(strchr(address, ':') + 1)),
                             .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct timeval limit = {10, 0};
    int on = 1;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    CHECK(connect(fd, (struct sockaddr *)&to, sizeof to) == 0);
    return fd;
}

static bool hear_exactly(int fd, void *bytes, size_t size) {
    return recv(fd, bytes, size, MSG_WAITALL) == (ssize_t)size;
}

static const char *hear_head(int fd) {
    static char head[2048];
    size_t size = 0;
    head[0] = 0;
    while (size + 1 < sizeof head && strstr(head, "\r\n\r\n") == NULL &&
           hear_exactly(fd, head + size, 1))
        head[++size] = 0;
    return head;
}

static const char handshake[] = "GET /e HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
                                "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                                "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

/* The next frame's first byte, or -1; its payload lies in `heard`. */
static int hear(int fd, size_t *size) {
    unsigned char head[10];
    if (!hear_exactly(fd, head, 2) || (head[1] & 0x80) != 0)
        return -1;
    size_t more = head[1] == 127 ? 8 : head[1] == 126 ? 2 : 0;
    if (more > 0 && !hear_exactly(fd, head + 2, more))
        return -1;
    *size = more > 0 ? 0 : head[1];
    for (size_t i = 0; i < more; i++)
        *size = *size << 8 | head[2 + i];
    if (*size >= ROOM || (*size > 0 && !hear_exactly(fd, heard, *size)))
        return -1;
    return head[0];
}

static bool hear_part(int fd, const struct part *part) {
    size_t size = 0;
    if (hear(fd, &size) != part->first || size != part->size)
        return false;
    return part->payload[0] == '*' || memcmp(heard, part->payload, size) == 0;
}

static bool is_at_end(int fd) {
    char byte;
    return recv(fd, &byte, 1, 0) == 0;
}

static bool hear_close(int fd, int code) {
    size_t size = 0;
    if (hear(fd, &size) != 0x88)
        return false;
    int got = size >= 2 ? heard[0] << 8 | heard[1] : 1005;
    return got == code && size != 1 && is_at_end(fd);
}

static bool send_all(int fd, size_t size, bool slowly) {
    for (size_t i = 0; slowly && i < size && i < 400; i++)
        if (send(fd, out + i, 1, MSG_NOSIGNAL) != 1)
            return errno == EPIPE ||
                   errno == ECONNRESET; /* refused already: that is judged below */
    size_t from = slowly && size > 400 ? 400 : 0;
    if (slowly && size <= 400)
        return true;
    return send(fd, out + from, size - from, MSG_NOSIGNAL) >= 0 || errno == EPIPE ||
           errno == ECONNRESET;
}

/* -- Running a case ------------------------------------------------------------------------------
 */

static int passed, failed;

static void count(const char *name, const char *how, bool good) {
    passed += good;
    failed += !good;
    if (!good)
        fprintf(stderr, "not so: %s (%s)\n", name, how);
}

static bool walk(int fd, const struct ws_case *c, bool slowly) {
    static const struct part goodbye = S(0x88, "\x03\xe8");
    size_t size = 0;
    for (size_t i = 0; i < STEPS && c->parts[i].payload != NULL; i++) {
        const struct part *part = &c->parts[i];
        if (part->form < EXPECT) {
            size += put(out + size, part);
            continue;
        }
        if (size > 0 && !send_all(fd, size, slowly))
            return false;
        size = 0;
        if (part->form == CLOSES)
            return hear_close(fd, part->first);
        if (part->form == ENDS)
            return is_at_end(fd);
        if (!hear_part(fd, part))
            return false;
    }
    size += put(out + size, &goodbye); /* after all that, the connection still works */
    return send_all(fd, size, slowly) && hear_close(fd, 1000);
}

static void run_case(const struct ws_case *c, bool slowly) {
    int fd = dial();
    closed_code = 0;
    send(fd, handshake, sizeof handshake - 1, MSG_NOSIGNAL);
    bool good = strncmp(hear_head(fd), "HTTP/1.1 101 ", 13) == 0 && walk(fd, c, slowly);
    int seen = c->seen ? c->seen : 1000;
    if (good && closed_code != seen) {
        fprintf(stderr, "the server was told %d, not %d\n", closed_code, seen);
        good = false;
    }
    count(c->name, slowly ? "byte by byte" : "at once", good);
    close(fd);
}

/* -- The cases -----------------------------------------------------------------------------------
 */

#define K123                                                                                       \
    "0123456789012345678901234567890123456789012345678901234567890123456789"                       \
    "01234567890123456789012345678901234567890123456789012"
#define K125 K123 "34"

static const struct ws_case cases[] = {
    /* 5.2 frames and lengths */
    {"text of no bytes", {S(0x81, ""), E(0x81, "")}, 0},
    {"text of one byte", {S(0x81, "a"), E(0x81, "a")}, 0},
    {"text of 125 bytes", {S(0x81, K125), E(0x81, K125)}, 0},
    {"text of 126 bytes", {S(0x81, K125 "x"), E(0x81, K125 "x")}, 0},
    {"text of 127 bytes", {S(0x81, K125 "xy"), E(0x81, K125 "xy")}, 0},
    {"text of 128 bytes", {S(0x81, K125 "xyz"), E(0x81, K125 "xyz")}, 0},
    {"binary of no bytes", {S(0x82, ""), E(0x82, "")}, 0},
    {"binary of all kinds of bytes",
     {S(0x82, "\0\x01\x7f\x80\xff"), E(0x82, "\0\x01\x7f\x80\xff")},
     0},
    {"binary of 65535 bytes", {M(0x82, "b", 65535), {EXPECT, 0x82, "*", 65535}}, 0},
    {"binary of 65536 bytes", {M(0x82, "b", 65536), {EXPECT, 0x82, "*", 65536}}, 0},
    {"text of 131072 bytes", {M(0x81, "t", 131072), {EXPECT, 0x81, "*", 131072}}, 0},
    {"length 0 in two bytes", {{AS_16, 0x81, "", 0}, X(1002)}, 1002},
    {"length 5 in two bytes", {{AS_16, 0x81, "hello", 5}, X(1002)}, 1002},
    {"length 125 in two bytes", {{AS_16, 0x82, TEXT(K125)}, X(1002)}, 1002},
    {"length 126 in two bytes", {{AS_16, 0x82, TEXT(K125 "x")}, {EXPECT, 0x82, TEXT(K125 "x")}}, 0},
    {"length 5 in eight bytes", {{AS_64, 0x81, "hello", 5}, X(1002)}, 1002},
    {"length 126 in eight bytes", {{AS_64, 0x82, TEXT(K125 "x")}, X(1002)}, 1002},
    {"length with the highest bit set",
     {B("\x82\xff\x80\0\0\0\0\0\0\x05....abcde"), X(1002)},
     1002},
    {"length of all bits", {B("\x82\xff\xff\xff\xff\xff\xff\xff\xff\xff...."), X(1002)}, 1002},
    {"length of 2^62", {B("\x82\xff\x40\0\0\0\0\0\0\0...."), X(1009)}, 1009},
    {"two messages in one packet", {S(0x81, "a"), S(0x82, "b"), E(0x81, "a"), E(0x82, "b")}, 0},

    /* 5.1 masking */
    {"unmasked text", {{UNMASKED, 0x81, "hello", 5}, X(1002)}, 1002},
    {"unmasked binary", {{UNMASKED, 0x82, "hello", 5}, X(1002)}, 1002},
    {"unmasked ping", {{UNMASKED, 0x89, "p", 1}, X(1002)}, 1002},
    {"unmasked pong", {{UNMASKED, 0x8a, "p", 1}, X(1002)}, 1002},
    {"unmasked close", {{UNMASKED, 0x88, "\x03\xe8", 2}, X(1002)}, 1002},
    {"unmasked empty text", {{UNMASKED, 0x81, "", 0}, X(1002)}, 1002},
    {"unmasked continuation", {S(0x01, "a"), {UNMASKED, 0x80, "b", 1}, X(1002)}, 1002},
    {"a mask of zeroes", {B("\x81\x83\0\0\0\0abc"), E(0x81, "abc")}, 0},
    {"a mask of ones", {B("\x81\x83\xff\xff\xff\xff\x9e\x9d\x9c"), E(0x81, "abc")}, 0},
    {"each frame its own mask",
     {B("\x01\x81\x01\x02\x03\x04\x60\x80\x81\x09\x08\x07\x06\x6b"), E(0x81, "ab")},
     0},

    /* 5.2 reserved bits */
    {"RSV1 on text", {S(0xc1, "x"), X(1002)}, 1002},
    {"RSV2 on text", {S(0xa1, "x"), X(1002)}, 1002},
    {"RSV3 on text", {S(0x91, "x"), X(1002)}, 1002},
    {"all reserved bits on text", {S(0xf1, "x"), X(1002)}, 1002},
    {"RSV1 on binary", {S(0xc2, "x"), X(1002)}, 1002},
    {"RSV1 on a ping", {S(0xc9, "x"), X(1002)}, 1002},
    {"RSV2 on a pong", {S(0xaa, "x"), X(1002)}, 1002},
    {"RSV3 on a close", {S(0x98, "\x03\xe8"), X(1002)}, 1002},
    {"RSV1 on a continuation", {S(0x01, "x"), S(0xc0, "y"), X(1002)}, 1002},
    {"a good message, then RSV1", {S(0x81, "a"), E(0x81, "a"), S(0xc1, "b"), X(1002)}, 1002},

    /* 5.2 opcodes */
    {"opcode 3", {S(0x83, "x"), X(1002)}, 1002},
    {"opcode 4", {S(0x84, "x"), X(1002)}, 1002},
    {"opcode 5", {S(0x85, "x"), X(1002)}, 1002},
    {"opcode 6", {S(0x86, "x"), X(1002)}, 1002},
    {"opcode 7", {S(0x87, "x"), X(1002)}, 1002},
    {"opcode 11", {S(0x8b, "x"), X(1002)}, 1002},
    {"opcode 12", {S(0x8c, "x"), X(1002)}, 1002},
    {"opcode 13", {S(0x8d, "x"), X(1002)}, 1002},
    {"opcode 14", {S(0x8e, "x"), X(1002)}, 1002},
    {"opcode 15", {S(0x8f, "x"), X(1002)}, 1002},
    {"opcode 3 inside a message", {S(0x01, "a"), S(0x03, "b"), X(1002)}, 1002},

    /* 5.4 fragmentation */
    {"text in two fragments", {S(0x01, "one "), S(0x80, "two"), E(0x81, "one two")}, 0},
    {"text in three fragments", {S(0x01, "a"), S(0x00, "b"), S(0x80, "c"), E(0x81, "abc")}, 0},
    {"binary in three fragments",
     {S(0x02, "a"), S(0x00, "\xff"), S(0x80, "c"),
      E(0x82, "a\xff"
              "c")},
     0},
    {"empty first fragment", {S(0x01, ""), S(0x80, "x"), E(0x81, "x")}, 0},
    {"empty middle fragment", {S(0x01, "x"), S(0x00, ""), S(0x80, "y"), E(0x81, "xy")}, 0},
    {"empty last fragment", {S(0x01, "x"), S(0x80, ""), E(0x81, "x")}, 0},
    {"nothing but empty fragments", {S(0x01, ""), S(0x00, ""), S(0x80, ""), E(0x81, "")}, 0},
    {"a large fragmented message",
     {M(0x02, "z", 70000), M(0x00, "z", 70000), M(0x80, "z", 10), {EXPECT, 0x82, "*", 140010}},
     0},
    {"two fragmented messages",
     {S(0x01, "a"), S(0x80, "b"), S(0x02, "c"), S(0x80, "d"), E(0x81, "ab"), E(0x82, "cd")},
     0},
    {"a ping between fragments",
     {S(0x01, "a"), S(0x89, "p"), S(0x80, "b"), E(0x8a, "p"), E(0x81, "ab")},
     0},
    {"a pong between fragments", {S(0x01, "a"), S(0x8a, "p"), S(0x80, "b"), E(0x81, "ab")}, 0},
    {"pings around every fragment",
     {S(0x89, "1"), E(0x8a, "1"), S(0x01, "a"), S(0x89, "2"), E(0x8a, "2"), S(0x00, "b"),
      S(0x89, "3"), E(0x8a, "3"), S(0x80, "c"), E(0x81, "abc")},
     0},
    {"a close between fragments", {S(0x01, "a"), S(0x88, "\x03\xe8"), X(1000)}, 1000},
    {"a continuation first", {S(0x80, "x"), X(1002)}, 1002},
    {"an unfinished continuation first", {S(0x00, "x"), X(1002)}, 1002},
    {"a continuation after a whole message",
     {S(0x81, "a"), E(0x81, "a"), S(0x80, "b"), X(1002)},
     1002},
    {"a continuation after the last fragment",
     {S(0x01, "a"), S(0x80, "b"), E(0x81, "ab"), S(0x80, "c"), X(1002)},
     1002},
    {"text inside a message", {S(0x01, "a"), S(0x81, "b"), X(1002)}, 1002},
    {"binary inside a message", {S(0x01, "a"), S(0x82, "b"), X(1002)}, 1002},
    {"a message begun twice", {S(0x01, "a"), S(0x01, "b"), X(1002)}, 1002},

    /* 5.5 control frames */
    {"an empty ping", {S(0x89, ""), E(0x8a, "")}, 0},
    {"a ping with words", {S(0x89, "are you there"), E(0x8a, "are you there")}, 0},
    {"a ping with bytes that are no text", {S(0x89, "\0\xff\xfe"), E(0x8a, "\0\xff\xfe")}, 0},
    {"a ping of 125 bytes", {S(0x89, K125), E(0x8a, K125)}, 0},
    {"a ping of 126 bytes", {S(0x89, K125 "x"), X(1002)}, 1002},
    {"a pong of 126 bytes", {S(0x8a, K125 "x"), X(1002)}, 1002},
    {"a close of 126 bytes", {S(0x88, "\x03\xe8" K125), X(1002)}, 1002},
    {"a ping whose length stands in eight bytes", {{AS_64, 0x89, "p", 1}, X(1002)}, 1002},
    {"a fragmented ping", {S(0x09, "p"), X(1002)}, 1002},
    {"a fragmented pong", {S(0x0a, "p"), X(1002)}, 1002},
    {"a fragmented close", {S(0x08, "\x03\xe8"), X(1002)}, 1002},
    {"a pong that nobody asked for", {S(0x8a, "hello")}, 0},
    {"pongs before a ping", {S(0x8a, ""), S(0x8a, "x"), S(0x89, "y"), E(0x8a, "y")}, 0},
    {"pings in turn",
     {S(0x89, "1"), E(0x8a, "1"), S(0x89, "2"), E(0x8a, "2"), S(0x89, "3"), E(0x8a, "3")},
     0},

    /* 8.1 text is UTF-8 */
    {"text beyond ASCII",
     {S(0x81, "gr\xc3\xbc"
              "ezi \xe2\x82\xac \xf0\x9f\x95\xba"),
      E(0x81, "gr\xc3\xbc"
              "ezi \xe2\x82\xac \xf0\x9f\x95\xba")},
     0},
    {"text with NUL", {S(0x81, "a\0b"), E(0x81, "a\0b")}, 0},
    {"the last character of all", {S(0x81, "\xf4\x8f\xbf\xbf"), E(0x81, "\xf4\x8f\xbf\xbf")}, 0},
    {"characters before and behind the surrogates",
     {S(0x81, "\xed\x9f\xbf\xee\x80\x80"), E(0x81, "\xed\x9f\xbf\xee\x80\x80")},
     0},
    {"a character that is no character", {S(0x81, "\xef\xbf\xbf"), E(0x81, "\xef\xbf\xbf")}, 0},
    {"a character split between fragments",
     {S(0x01, "\xe2\x82"), S(0x80, "\xac"), E(0x81, "\xe2\x82\xac")},
     0},
    {"a character split in four",
     {S(0x01, "\xf0"), S(0x00, "\x9f"), S(0x00, "\x95"), S(0x80, "\xba"),
      E(0x81, "\xf0\x9f\x95\xba")},
     0},
    {"a character split around a ping",
     {S(0x01, "\xe2"), S(0x89, "p"), S(0x80, "\x82\xac"), E(0x8a, "p"), E(0x81, "\xe2\x82\xac")},
     0},
    {"the byte ff", {S(0x81, "a\xff"), X(1007)}, 1007},
    {"a tail without a head", {S(0x81, "\x80"), X(1007)}, 1007},
    {"a head without a tail", {S(0x81, "\xc3("), X(1007)}, 1007},
    {"a head at the end", {S(0x81, "abc\xc3"), X(1007)}, 1007},
    {"a character that is never finished", {S(0x01, "\xe2\x82"), S(0x80, ""), X(1007)}, 1007},
    {"overlong in two bytes", {S(0x81, "\xc0\xaf"), X(1007)}, 1007},
    {"overlong in three bytes", {S(0x81, "\xe0\x80\xaf"), X(1007)}, 1007},
    {"overlong in four bytes", {S(0x81, "\xf0\x80\x80\xaf"), X(1007)}, 1007},
    {"a high surrogate", {S(0x81, "\xed\xa0\x80"), X(1007)}, 1007},
    {"a low surrogate", {S(0x81, "\xed\xbf\xbf"), X(1007)}, 1007},
    {"beyond the last character", {S(0x81, "\xf4\x90\x80\x80"), X(1007)}, 1007},
    {"a head of five bytes", {S(0x81, "\xf8\x88\x80\x80\x80"), X(1007)}, 1007},
    {"wrong in the second fragment", {S(0x01, "good"), S(0x80, "\xfe"), X(1007)}, 1007},
    {"wrong in a first fragment: told before the last", {S(0x01, "\xff"), X(1007)}, 1007},
    {"wrong in a half frame: told before the rest",
     {B("\x81\xfe\x03\xe8\0\0\0\0\xff"), X(1007)},
     1007},
    {"an impossible tail: told before the rest",
     {B("\x81\xfe\x03\xe8\0\0\0\0\xf4\x90"), X(1007)},
     1007},
    {"binary is not text", {S(0x82, "\xff\xc0\x80"), E(0x82, "\xff\xc0\x80")}, 0},
    {"text after binary is checked",
     {S(0x82, "\xff"), E(0x82, "\xff"), S(0x81, "\xff"), X(1007)},
     1007},

    /* 5.5.1 and 7.4 closing */
    {"a close without a code", {S(0x88, ""), X(1005)}, 1005},
    {"a close of one byte", {S(0x88, "\x03"), X(1002)}, 1002},
    {"close 1000", {S(0x88, "\x03\xe8"), X(1000)}, 1000},
    {"close 1001", {S(0x88, "\x03\xe9"), X(1001)}, 1001},
    {"close 1002", {S(0x88, "\x03\xea"), X(1002)}, 1002},
    {"close 1003", {S(0x88, "\x03\xeb"), X(1003)}, 1003},
    {"close 1007", {S(0x88, "\x03\xef"), X(1007)}, 1007},
    {"close 1008", {S(0x88, "\x03\xf0"), X(1008)}, 1008},
    {"close 1009", {S(0x88, "\x03\xf1"), X(1009)}, 1009},
    {"close 1010", {S(0x88, "\x03\xf2"), X(1010)}, 1010},
    {"close 1011", {S(0x88, "\x03\xf3"), X(1011)}, 1011},
    {"close 3000", {S(0x88, "\x0b\xb8"), X(3000)}, 3000},
    {"close 4999", {S(0x88, "\x13\x87"), X(4999)}, 4999},
    {"close with a reason",
     {S(0x88, "\x0f\xa1"
              "bye"),
      X(4001)},
     4001},
    {"close with a reason of 123 bytes", {S(0x88, "\x03\xe8" K123), X(1000)}, 1000},
    {"close with a reason that is no text",
     {S(0x88, "\x03\xe8"
              "a\xff"),
      X(1007)},
     1007},
    {"close with half a character",
     {S(0x88, "\x03\xe8"
              "a\xe2\x82"),
      X(1007)},
     1007},
    {"close 0", {S(0x88, "\0\0"), X(1002)}, 1002},
    {"close 999", {S(0x88, "\x03\xe7"), X(1002)}, 1002},
    {"close 1004, which is reserved", {S(0x88, "\x03\xec"), X(1002)}, 1002},
    {"close 1005, which is never sent", {S(0x88, "\x03\xed"), X(1002)}, 1002},
    {"close 1006, which is never sent", {S(0x88, "\x03\xee"), X(1002)}, 1002},
    {"close 1015, which is never sent", {S(0x88, "\x03\xf7"), X(1002)}, 1002},
    {"close 1016", {S(0x88, "\x03\xf8"), X(1002)}, 1002},
    {"close 2999", {S(0x88, "\x0b\xb7"), X(1002)}, 1002},
    {"close 5000", {S(0x88, "\x13\x88"), X(1002)}, 1002},
    {"close 65535", {S(0x88, "\xff\xff"), X(1002)}, 1002},
    {"text after a close is not answered", {S(0x88, "\x03\xe8"), S(0x81, "late"), X(1000)}, 1000},
    {"a ping after a close is not answered", {S(0x88, "\x03\xe8"), S(0x89, "late"), X(1000)}, 1000},
    {"a second close", {S(0x88, "\x03\xe8"), S(0x88, "\x03\xe9"), X(1000)}, 1000},
    {"nonsense after a close", {S(0x88, "\x03\xe9"), B("\xff\xff\xff\xff\xff\xff"), X(1001)}, 1001},
    {"the echo goes out before the close",
     {S(0x81, "a"), S(0x88, "\x03\xe8"), E(0x81, "a"), X(1000)},
     1000},
    {"the server closes, the client agrees",
     {S(0x81, "close 4002 enough"),
      E(0x88, "\x0f\xa2"
              "enough"),
      S(0x88, "\x0f\xa2"), Z},
     4002},
    {"the server closes without a reason",
     {S(0x81, "close 1001"), E(0x88, "\x03\xe9"), S(0x88, "\x03\xe9"), Z},
     1001},
    {"what comes after the server's close is passed over",
     {S(0x81, "close 4002 enough"), S(0x81, "late"),
      E(0x88, "\x0f\xa2"
              "enough"),
      S(0x82, "later"), S(0x88, "\x0f\xa2"), Z},
     4002},
    {"broken frames after the server's close",
     {S(0x81, "close 4002 enough"),
      E(0x88, "\x0f\xa2"
              "enough"),
      S(0xf1, "later"), Z},
     4002},

    /* 10.4 limits */
    {"a message as large as allowed", {M(0x82, "m", LIMIT), {EXPECT, 0x82, "*", LIMIT}}, 0},
    {"a message one byte too large", {M(0x82, "m", LIMIT + 1), X(1009)}, 1009},
    {"too large: told by the head alone",
     {B("\x82\xff\0\0\0\0\x7f\xff\xff\xff...."), X(1009)},
     1009},
    {"too large in fragments",
     {M(0x02, "m", LIMIT - 10), S(0x00, "0123456789"), S(0x80, "x"), X(1009)},
     1009},
    {"empty fragments do not count",
     {M(0x02, "m", LIMIT), S(0x00, ""), S(0x80, ""), {EXPECT, 0x82, "*", LIMIT}},
     0},
};

/* -- Handshakes ----------------------------------------------------------------------------------
 */

#define ASK(method, version, headers)                                                              \
    method " /e HTTP/" version "\r\nHost: localhost\r\n" headers "\r\n"
#define UP  "Upgrade: websocket\r\nConnection: Upgrade\r\n"
#define V13 "Sec-WebSocket-Version: 13\r\n"
#define KEY "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"

static const struct {
    const char *name, *request, *status, *with;
} handshakes[] = {
    {"a plain handshake", ASK("GET", "1.1", UP V13 KEY), "101", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="},
    {"tokens in other letters",
     ASK("GET", "1.1", "Upgrade: WebSocket\r\nConnection: uPGRADE\r\n" V13 KEY), "101",
     "\r\nUpgrade: websocket\r\n"},
    {"Connection with more than one token",
     ASK("GET", "1.1", "Upgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n" V13 KEY), "101",
     "\r\nConnection: Upgrade\r\n"},
    {"Connection in two headers",
     ASK("GET", "1.1",
         "Upgrade: websocket\r\nConnection: keep-alive\r\nConnection: Upgrade\r\n" V13 KEY),
     "101", ""},
    {"Upgrade with more than one token",
     ASK("GET", "1.1", "Upgrade: h2c, websocket\r\nConnection: Upgrade\r\n" V13 KEY), "101", ""},
    {"the subprotocol that is spoken",
     ASK("GET", "1.1", UP V13 KEY "Sec-WebSocket-Protocol: pose.v1\r\n"), "101",
     "\r\nSec-WebSocket-Protocol: pose.v1\r\n"},
    {"one subprotocol of many",
     ASK("GET", "1.1", UP V13 KEY "Sec-WebSocket-Protocol: x, pose.v1 ,y\r\n"), "101",
     "\r\nSec-WebSocket-Protocol: pose.v1\r\n"},
    {"subprotocols in two headers",
     ASK("GET", "1.1",
         UP V13 KEY "Sec-WebSocket-Protocol: x\r\nSec-WebSocket-Protocol: pose.v1\r\n"),
     "101", "\r\nSec-WebSocket-Protocol: pose.v1\r\n"},
    {"subprotocols nobody speaks",
     ASK("GET", "1.1", UP V13 KEY "Sec-WebSocket-Protocol: POSE.V1, y\r\n"), "101",
     "-Sec-WebSocket-Protocol"},
    {"no subprotocol asked for, none given", ASK("GET", "1.1", UP V13 KEY), "101",
     "-Sec-WebSocket-Protocol"},
    {"extensions nobody speaks",
     ASK("GET", "1.1",
         UP V13 KEY "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"),
     "101", "-Sec-WebSocket-Extensions"},
    {"the host's own origin", ASK("GET", "1.1", UP V13 KEY "Origin: http://localhost\r\n"), "101",
     ""},
    {"a foreign origin", ASK("GET", "1.1", UP V13 KEY "Origin: https://evil.example\r\n"), "403",
     ""},
    {"the origin null", ASK("GET", "1.1", UP V13 KEY "Origin: null\r\n"), "403", ""},
    {"version 8", ASK("GET", "1.1", UP "Sec-WebSocket-Version: 8\r\n" KEY), "426",
     "\r\nSec-WebSocket-Version: 13\r\n"},
    {"version 14", ASK("GET", "1.1", UP "Sec-WebSocket-Version: 14\r\n" KEY), "426",
     "\r\nSec-WebSocket-Version: 13\r\n"},
    {"no version", ASK("GET", "1.1", UP KEY), "426", "\r\nSec-WebSocket-Version: 13\r\n"},
    {"a version that is no number", ASK("GET", "1.1", UP "Sec-WebSocket-Version: 1x\r\n" KEY),
     "426", "\r\nSec-WebSocket-Version: 13\r\n"},
    {"two versions in one", ASK("GET", "1.1", UP "Sec-WebSocket-Version: 8, 13\r\n" KEY), "426",
     "\r\nSec-WebSocket-Version: 13\r\n"},
    {"no key", ASK("GET", "1.1", UP V13), "400", "Sec-WebSocket-Key"},
    {"an empty key", ASK("GET", "1.1", UP V13 "Sec-WebSocket-Key:\r\n"), "400",
     "Sec-WebSocket-Key"},
    {"a short key", ASK("GET", "1.1", UP V13 "Sec-WebSocket-Key: dGhlIHNhbXBsZQ==\r\n"), "400",
     "Sec-WebSocket-Key"},
    {"a long key", ASK("GET", "1.1", UP V13 "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZdGhlIHNh\r\n"),
     "400", "Sec-WebSocket-Key"},
    {"a key that is no base64",
     ASK("GET", "1.1", UP V13 "Sec-WebSocket-Key: dGhlIHNhbX*sZSBub25jZQ==\r\n"), "400",
     "Sec-WebSocket-Key"},
    {"a key of 24 letters",
     ASK("GET", "1.1", UP V13 "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQaa\r\n"), "400",
     "Sec-WebSocket-Key"},
    {"two keys", ASK("GET", "1.1", UP V13 KEY KEY), "400", "Sec-WebSocket-Key"},
    {"no Upgrade header", ASK("GET", "1.1", "Connection: Upgrade\r\n" V13 KEY), "426", ""},
    {"Upgrade to something else",
     ASK("GET", "1.1", "Upgrade: h2c\r\nConnection: Upgrade\r\n" V13 KEY), "426", ""},
    {"Connection without Upgrade",
     ASK("GET", "1.1", "Upgrade: websocket\r\nConnection: keep-alive\r\n" V13 KEY), "426", ""},
    {"no Connection header", ASK("GET", "1.1", "Upgrade: websocket\r\n" V13 KEY), "426", ""},
    {"POST", ASK("POST", "1.1", UP V13 KEY), "426", ""},
    {"HEAD", ASK("HEAD", "1.1", UP V13 KEY), "426", ""},
    {"HTTP/1.0", ASK("GET", "1.0", UP V13 KEY), "426", ""},
    {"HTTP/2.0", ASK("GET", "2.0", UP V13 KEY), "400", ""},
    {"a foreign host", "GET /e HTTP/1.1\r\nHost: evil.example\r\n" UP V13 KEY "\r\n", "421", ""},
    {"no host", "GET /e HTTP/1.1\r\n" UP V13 KEY "\r\n", "400", ""},
    {"a body of a length", ASK("GET", "1.1", UP V13 KEY "Content-Length: 5\r\n") "hello", "400",
     "body"},
    {"a chunked body", ASK("GET", "1.1", UP V13 KEY "Transfer-Encoding: chunked\r\n") "0\r\n\r\n",
     "400", "body"},
};

static void run_handshake(size_t i) {
    char status[32];
    int fd = dial();
    send(fd, handshakes[i].request, strlen(handshakes[i].request), MSG_NOSIGNAL);
    shutdown(fd, SHUT_WR);
    char answer[4096];
    ssize_t size = recv(fd, answer, sizeof answer - 1, MSG_WAITALL);
    answer[size > 0 ? size : 0] = 0;
    snprintf(status, sizeof status, "HTTP/1.1 %s ", handshakes[i].status);
    const char *with = handshakes[i].with;
    bool good = strncmp(answer, status, strlen(status)) == 0 &&
                (with[0] == '-' ? strstr(answer, with + 1) == NULL : strstr(answer, with) != NULL);
    count(handshakes[i].name, handshakes[i].status, good);
    close(fd);
}

/* -- Tests ---------------------------------------------------------------------------------------
 */

static void stop(void *arg) {
    (void)arg;
    loop_stop(&loop);
}

static void *run_client(void *arg) {
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        run_case(&cases[i], false);
        run_case(&cases[i], true);
    }
    for (size_t i = 0; i < sizeof handshakes / sizeof *handshakes; i++)
        run_handshake(i);
    loop_post(&loop, stop, NULL);
    return arg;
}

int main(void) {
    static const char *const no_origins[] = {NULL};
    struct net_server_options options = {
        .listen = "127.0.0.1:0", .request = on_request, .origins = no_origins};
    struct err err = {0};
    pthread_t thread;
    log_configure(LOG_ERROR, LOG_TEXT);
    if (loop_init(&loop, &err) < 0 || net_server_open(&loop, &options, &server, &err) < 0) {
        fprintf(stderr, "%s\n", err.message);
        return 1;
    }
    pthread_create(&thread, NULL, run_client, NULL);
    loop_run(&loop);
    pthread_join(thread, NULL);
    net_server_close(server);
    loop_deinit(&loop);
    printf("%d passed, %d failed, 0 skipped\n", passed, failed);
    return failed > 0;
}
