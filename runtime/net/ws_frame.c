#include "net/ws_frame.h"

#include <libwebsockets.h>
#include <string.h>

enum {
    FIN = 0x80,
    RESERVED = 0x70,
    MASKED = 0x80,
    LENGTH_16 = 126, /* the length follows in two bytes */
    LENGTH_64 = 127, /* in eight */
    CODE_PROTOCOL = 1002,
    CODE_TEXT = 1007,
    CODE_TOO_LARGE = 1009,
    CODE_NONE = 1005,
    KEY_SIZE = 24,
};

bool ws_code_is_valid(int code) {
    return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) ||
           (code >= 3000 && code <= 4999);
}

static void broken(struct ws_piece *piece, int code, const char *why) {
    *piece = (struct ws_piece){.event = WS_BROKEN, .code = code, .why = why};
}

/* -- Heads ------------------------------------------------------------------------------------- */

static const char *check_first(const struct ws_reader *r, unsigned char byte) {
    unsigned char opcode = byte & 0x0f;
    if (byte & RESERVED)
        return "reserved bits are set";
    if ((opcode > WS_BINARY && opcode < WS_CLOSE) || opcode > WS_PONG)
        return "the opcode is reserved";
    if (opcode >= WS_CLOSE)
        return byte & FIN ? NULL : "a control frame is fragmented";
    if (opcode == WS_CONTINUATION && r->message_opcode == 0)
        return "a continuation without a beginning";
    if (opcode != WS_CONTINUATION && r->message_opcode != 0)
        return "a message begins inside another";
    return NULL;
}

static const char *check_second(const struct ws_reader *r, unsigned char byte) {
    if (!(byte & MASKED))
        return "a client's frame must be masked";
    if ((r->head[0] & 0x0f) >= WS_CLOSE && (byte & 0x7f) > WS_CONTROL_MAX)
        return "a control frame is too long";
    return NULL;
}

static size_t length_size(const struct ws_reader *r) {
    unsigned char length = r->head[1] & 0x7f;
    return length == LENGTH_64 ? 8 : length == LENGTH_16 ? 2 : 0;
}

/* All of the head is here: what does it announce? */
static bool begin_frame(struct ws_reader *r, struct ws_piece *piece) {
    size_t wide = length_size(r);
    uint64_t length = wide ? 0 : r->head[1] & 0x7f;
    for (size_t i = 0; i < wide; i++)
        length = length << 8 | r->head[2 + i];
    if ((wide == 2 && length < LENGTH_16) || (wide == 8 && (length <= 0xffff || length >> 63))) {
        broken(piece, CODE_PROTOCOL, "a length is not in its shortest form");
        return false;
    }
    r->opcode = r->head[0] & 0x0f;
    r->fin = r->head[0] & FIN;
    r->remain = length;
    r->in_payload = true;
    r->mask_at = 0;
    r->control_size = 0;
    memmove(r->head, r->head + 2 + wide, 4); /* the mask */
    if (r->opcode >= WS_CLOSE)
        return true;
    if (r->opcode != WS_CONTINUATION) {
        r->message_opcode = r->opcode;
        r->message_size = 0;
        r->begun = false;
        r->text = (struct utf8_stream){0};
    }
    if (length > r->message_limit - r->message_size) {
        broken(piece, CODE_TOO_LARGE, "message too large");
        return false;
    }
    r->message_size += length;
    return true;
}

/* One byte of a head. False when the connection is broken. */
static bool take_head_byte(struct ws_reader *r, unsigned char byte, struct ws_piece *piece) {
    const char *why = r->head_size == 0   ? check_first(r, byte)
                      : r->head_size == 1 ? check_second(r, byte)
                                          : NULL;
    if (why != NULL) {
        broken(piece, CODE_PROTOCOL, why);
        return false;
    }
    r->head[r->head_size++] = byte;
    if (r->head_size < 2 || r->head_size < 6 + length_size(r))
        return true;
    return begin_frame(r, piece);
}

/* -- Payloads ---------------------------------------------------------------------------------- */

static void unmask(struct ws_reader *r, char *bytes, size_t size) {
    unsigned char mask[4];
    for (size_t i = 0; i < 4; i++)
        mask[i] = r->head[(r->mask_at + i) & 3];
    uint32_t word, wide;
    memcpy(&wide, mask, 4);
    size_t i = 0;
    for (; i + 4 <= size; i += 4) {
        memcpy(&word, bytes + i, 4);
        word ^= wide;
        memcpy(bytes + i, &word, 4);
    }
    for (; i < size; i++)
        bytes[i] = (char)(bytes[i] ^ mask[i & 3]);
    r->mask_at = (unsigned char)((r->mask_at + size) & 3);
}

static void end_frame(struct ws_reader *r) {
    r->in_payload = false;
    r->head_size = 0;
}

static void read_close(struct ws_reader *r, struct ws_piece *piece) {
    piece->event = WS_GOT_CLOSE;
    piece->code = CODE_NONE;
    piece->bytes = (const char *)r->control;
    piece->size = 0;
    if (r->control_size == 0)
        return;
    int code = r->control_size == 1 ? 0 : r->control[0] << 8 | r->control[1];
    struct utf8_stream reason = {0};
    if (!ws_code_is_valid(code)) {
        broken(piece, CODE_PROTOCOL, "the close code does not exist");
        return;
    }
    piece->code = code;
    piece->bytes += 2;
    piece->size = r->control_size - 2u;
    if (!utf8_stream_feed(&reason, piece->bytes, piece->size) || reason.need > 0)
        broken(piece, CODE_TEXT, "the close reason is not UTF-8");
}

static void end_control(struct ws_reader *r, struct ws_piece *piece) {
    end_frame(r);
    if (r->opcode == WS_CLOSE) {
        read_close(r, piece);
        return;
    }
    piece->event = r->opcode == WS_PING ? WS_GOT_PING : WS_GOT_PONG;
    piece->bytes = (const char *)r->control;
    piece->size = r->control_size;
}

static void take_piece(struct ws_reader *r, struct ws_piece *piece) {
    bool ends = r->remain == 0;
    bool last = ends && r->fin;
    if (r->message_opcode == WS_TEXT &&
        (!utf8_stream_feed(&r->text, piece->bytes, piece->size) || (last && r->text.need > 0))) {
        broken(piece, CODE_TEXT, "text is not UTF-8");
        return;
    }
    if (ends)
        end_frame(r);
    if (piece->size == 0 && !last)
        return; /* an empty fragment */
    piece->event = WS_PIECE;
    piece->binary = r->message_opcode == WS_BINARY;
    piece->first = !r->begun;
    piece->last = last;
    r->begun = true;
    if (last)
        r->message_opcode = 0;
}

size_t ws_read(struct ws_reader *r, char *bytes, size_t size, struct ws_piece *piece) {
    size_t used = 0;
    *piece = (struct ws_piece){.event = WS_NOTHING};
    while (piece->event == WS_NOTHING) {
        while (!r->in_payload) {
            if (used == size || !take_head_byte(r, (unsigned char)bytes[used++], piece))
                return used;
        }
        size_t part = size - used;
        if (part > r->remain)
            part = (size_t)r->remain;
        if (part == 0 && r->remain > 0)
            return used;
        unmask(r, bytes + used, part);
        r->remain -= part;
        if (r->opcode >= WS_CLOSE) {
            memcpy(r->control + r->control_size, bytes + used, part);
            r->control_size = (unsigned char)(r->control_size + part);
            if (r->remain == 0)
                end_control(r, piece);
        } else {
            piece->bytes = bytes + used;
            piece->size = part;
            take_piece(r, piece);
        }
        used += part;
    }
    return used;
}

/* -- What a server sends ----------------------------------------------------------------------- */

size_t ws_put_head(unsigned char out[WS_HEAD_MAX], enum ws_opcode opcode, size_t size) {
    out[0] = (unsigned char)(FIN | opcode);
    size_t wide = size > 0xffff ? 8 : size >= LENGTH_16 ? 2 : 0;
    out[1] = (unsigned char)(wide == 8 ? LENGTH_64 : wide == 2 ? LENGTH_16 : size);
    for (size_t i = 0; i < wide; i++)
        out[2 + i] = (unsigned char)((uint64_t)size >> (8 * (wide - 1 - i)));
    return 2 + wide;
}

static bool is_base64(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '+' ||
           c == '/';
}

bool ws_accept_key(const char *key, size_t size, char out[32]) {
    static const char suffix[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    if (size != KEY_SIZE || key[KEY_SIZE - 1] != '=' || key[KEY_SIZE - 2] != '=')
        return false;
    for (size_t i = 0; i < KEY_SIZE - 2; i++)
        if (!is_base64(key[i]))
            return false;
    unsigned char text[KEY_SIZE + sizeof suffix], digest[20];
    memcpy(text, key, KEY_SIZE);
    memcpy(text + KEY_SIZE, suffix, sizeof suffix);
    lws_SHA1(text, KEY_SIZE + sizeof suffix - 1, digest);
    return lws_b64_encode_string((const char *)digest, sizeof digest, out, 32) > 0;
}
