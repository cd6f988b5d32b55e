/* ws_frame.h - a strict reader of the frames that a WebSocket client sends, and the heads of those
 * that a server sends (RFC 6455 5).
 *
 * It is ours because libwebsockets takes unmasked frames and close codes that do not exist, and
 * drops a connection that breaks the protocol without saying why. The reader holds no message: it
 * unmasks in place and hands pieces on as they come, checking text as it goes, so that a bad byte
 * ends the connection at once and not when its message is whole. No allocation. Any thread. */
#ifndef STANCE_NET_WS_FRAME_H
#define STANCE_NET_WS_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/utf8.h"

enum {
    WS_CONTROL_MAX = 125, /* bytes that a ping, a pong or a close may carry */
    WS_HEAD_MAX = 10,     /* bytes of a server's frame head */
};

enum ws_opcode {
    WS_CONTINUATION = 0,
    WS_TEXT = 1,
    WS_BINARY = 2,
    WS_CLOSE = 8,
    WS_PING = 9,
    WS_PONG = 10,
};

enum ws_event {
    WS_NOTHING,  /* more bytes are needed */
    WS_PIECE,    /* of a message */
    WS_GOT_PING, /* whole, as are the next two */
    WS_GOT_PONG,
    WS_GOT_CLOSE, /* `code` 1005 when it has none; bytes: the reason */
    WS_BROKEN,    /* close with `code`, because of `why`; nothing can be read any more */
};

struct ws_piece {
    enum ws_event event;
    const char *bytes; /* not masked any more */
    size_t size;
    bool first, last, binary; /* of a message */
    int code;
    const char *why;
};

/* Zeroed to begin with, but for the limit. */
struct ws_reader {
    uint64_t message_limit; /* bytes of a message; above it 1009 */
    uint64_t remain;        /* of the present frame's payload */
    uint64_t message_size;  /* of the frames of this message up to the present one */
    struct utf8_stream text;
    unsigned char head[14];
    unsigned char head_size;              /* bytes of it that are here */
    unsigned char opcode, message_opcode; /* message_opcode 0: between messages */
    bool in_payload, fin, begun;          /* begun: a piece of this message was handed on */
    unsigned char mask_at, control_size;
    unsigned char control[WS_CONTROL_MAX];
};

/* Reads on, up to the end of one event, and returns how many bytes that took: call again with the
 * rest until the event is WS_NOTHING. `piece` points into `bytes` or the reader. */
size_t ws_read(struct ws_reader *reader, char *bytes, size_t size, struct ws_piece *piece);

/* The head of a whole, unmasked frame: its size. */
size_t ws_put_head(unsigned char out[WS_HEAD_MAX], enum ws_opcode opcode, size_t size);

/* Whether a close frame may carry this code. */
bool ws_code_is_valid(int code);

/* Sec-WebSocket-Accept for a key; false when the key is not 16 bytes in base64. */
bool ws_accept_key(const char *key, size_t size, char out[32]);

#endif
