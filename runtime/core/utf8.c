#include "core/utf8.h"

#include <stdint.h>
#include <string.h>

static int is_tail(unsigned char byte) {
    return (byte & 0xc0) == 0x80;
}

size_t utf8_step(const char *bytes, size_t size) {
    const unsigned char *s = (const unsigned char *)bytes;
    if (s[0] < 0x80) {
        return 1;
    }
    if (s[0] >= 0xc2 && s[0] <= 0xdf) {
        return size >= 2 && is_tail(s[1]) ? 2 : 0;
    }
    if ((s[0] & 0xf0) == 0xe0) {
        if (size < 3 || !is_tail(s[1]) || !is_tail(s[2])) {
            return 0;
        }
        if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f)) {
            return 0;
        }
        return 3;
    }
    if (s[0] >= 0xf0 && s[0] <= 0xf4) {
        if (size < 4 || !is_tail(s[1]) || !is_tail(s[2]) || !is_tail(s[3])) {
            return 0;
        }
        if ((s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f)) {
            return 0;
        }
        return 4;
    }
    return 0;
}

/* What may follow a first byte. False when none may. */
static bool begin_character(struct utf8_stream *stream, unsigned char byte) {
    stream->low = 0x80;
    stream->high = 0xbf;
    if (byte >= 0xc2 && byte <= 0xdf) {
        stream->need = 1;
    } else if ((byte & 0xf0) == 0xe0) {
        stream->need = 2;
        stream->low = byte == 0xe0 ? 0xa0 : 0x80;  /* overlong */
        stream->high = byte == 0xed ? 0x9f : 0xbf; /* surrogates */
    } else if (byte >= 0xf0 && byte <= 0xf4) {
        stream->need = 3;
        stream->low = byte == 0xf0 ? 0x90 : 0x80;
        stream->high = byte == 0xf4 ? 0x8f : 0xbf; /* beyond U+10FFFF */
    } else {
        return byte < 0x80;
    }
    return true;
}

bool utf8_stream_feed(struct utf8_stream *stream, const char *bytes, size_t size) {
    for (size_t i = 0; i < size; i++) {
        uint64_t eight;
        while (stream->need == 0 && size - i >= sizeof eight) { /* most text is ASCII */
            memcpy(&eight, bytes + i, sizeof eight);
            if ((eight & 0x8080808080808080u) != 0)
                break;
            i += sizeof eight;
        }
        if (i == size)
            break;
        unsigned char byte = (unsigned char)bytes[i];
        if (stream->need == 0) {
            if (!begin_character(stream, byte))
                return false;
            continue;
        }
        if (byte < stream->low || byte > stream->high)
            return false;
        stream->need--;
        stream->low = 0x80;
        stream->high = 0xbf;
    }
    return true;
}

void utf8_blank_controls(char *words, size_t size) {
    words[size - 1] = 0;
    for (unsigned char *at = (unsigned char *)words; *at != 0; at++) {
        if (*at < ' ' || *at == 0x7f)
            *at = ' ';
        else if (at[0] == 0xc2 && at[1] >= 0x80 && at[1] <= 0x9f)
            at[0] = at[1] = ' ';
    }
}
