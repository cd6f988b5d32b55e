/* utf8.h - what is valid UTF-8: for all that leaves as JSON, Prometheus text or on a terminal. Any
 * thread. */
#ifndef STANCE_CORE_UTF8_H
#define STANCE_CORE_UTF8_H

#include <stdbool.h>
#include <stddef.h>

/* U+FFFD, what stands for a byte that is none of a valid sequence. */
#define UTF8_REPLACEMENT "\xef\xbf\xbd"

/* The length (1..4) of the valid sequence that `bytes` begins with; 0 when it begins with none (RFC
 * 3629: no overlong forms, no surrogates, nothing beyond U+10FFFF). size > 0. */
size_t utf8_step(const char *bytes, size_t size);

/* Text that comes in pieces, which may end inside a character. Zeroed to begin with. */
struct utf8_stream {
    unsigned char need;      /* bytes that the present character still lacks; 0: between two */
    unsigned char low, high; /* what the next of them may be */
};

/* False at the first byte that no valid text could have there; the stream is of no use then. The
 * text is whole when `need` is 0 at its end. */
bool utf8_stream_feed(struct utf8_stream *stream, const char *bytes, size_t size);

/* For words of a stranger that people will see, in a terminal perhaps: ends them within `size`, and
 * puts blanks in the place of control characters, those of Latin-1 (c2 80 to c2 9f) included. */
void utf8_blank_controls(char *words, size_t size);

#endif
