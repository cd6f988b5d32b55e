#include "core/utf8.h"

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
