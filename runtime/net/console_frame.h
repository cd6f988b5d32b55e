/* console_frame.h - what a console client and the host say to each other: frames on a stream.
 *
 * A frame is a 9-byte head (payload size: 4 bytes little-endian; kind: 1 byte; id: 4 bytes
 * little-endian) and the payload. The client numbers its requests from 1 and has one under way at a
 * time; the host sends any number of outputs for it and one answer. Payloads of requests and
 * answers are JSON (lua/stance/console.lua), those of outputs text. No allocation, any thread. */
#ifndef STANCE_NET_CONSOLE_FRAME_H
#define STANCE_NET_CONSOLE_FRAME_H

#include <stddef.h>
#include <stdint.h>

#include "core/err.h"

enum console_frame_kind {
    CONSOLE_REQUEST = 'R',   /* client: JSON */
    CONSOLE_INTERRUPT = 'I', /* client: ends request `id`; no payload */
    CONSOLE_OUTPUT = 'O',    /* host: text that request `id` printed, also after its answer */
    CONSOLE_ANSWER = 'A',    /* host: JSON; request `id` is over */
    CONSOLE_REFUSAL = 'X',   /* host: words; with id 0 the connection ends */
};

enum {
    CONSOLE_HEAD_SIZE = 9,
    CONSOLE_REQUEST_MAX = 1 << 20, /* bytes of a client's payload */
    CONSOLE_ANSWER_MAX = 64 << 20, /* of a host's */
};

struct console_frame {
    enum console_frame_kind kind;
    uint32_t id;
    const char *payload; /* into the bytes that were parsed */
    size_t size;
};

/* Takes the first frame off `bytes`: returns how many bytes it took, 0 when it is not whole yet, or
 * a negative code for what no peer may send. `kinds` are those that are welcome ("RI"). */
int console_frame_parse(const char *bytes, size_t size, const char *kinds, size_t payload_max,
                        struct console_frame *frame, struct err *err);

void console_frame_head(unsigned char head[CONSOLE_HEAD_SIZE], enum console_frame_kind kind,
                        uint32_t id, size_t size);

#endif
