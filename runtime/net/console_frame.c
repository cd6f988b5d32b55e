#include "net/console_frame.h"

#include <string.h>

static uint32_t read_32(const unsigned char *at) {
    return at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

static void write_32(unsigned char *at, uint32_t value) {
    for (int i = 0; i < 4; i++)
        at[i] = (unsigned char)(value >> 8 * i);
}

int console_frame_parse(const char *bytes, size_t size, const char *kinds, size_t payload_max,
                        struct console_frame *frame, struct err *err) {
    const unsigned char *head = (const unsigned char *)bytes;
    if (size > 4 && (head[4] == 0 || strchr(kinds, head[4]) == NULL))
        return err_set(err, ERR_CORRUPT, "this is no console frame: its kind is 0x%02x", head[4]);
    if (size < CONSOLE_HEAD_SIZE)
        return 0;
    size_t payload = read_32(head);
    if (payload > payload_max)
        return err_set(err, ERR_TOO_LARGE, "a frame of %zu bytes is too large: at most %zu",
                       payload, payload_max);
    if (head[4] == CONSOLE_INTERRUPT && payload > 0)
        return err_set(err, ERR_CORRUPT, "an interrupt has no payload");
    if (size - CONSOLE_HEAD_SIZE < payload)
        return 0;
    *frame = (struct console_frame){.kind = (enum console_frame_kind)head[4],
                                    .id = read_32(head + 5),
                                    .payload = bytes + CONSOLE_HEAD_SIZE,
                                    .size = payload};
    return (int)(CONSOLE_HEAD_SIZE + payload);
}

void console_frame_head(unsigned char head[CONSOLE_HEAD_SIZE], enum console_frame_kind kind,
                        uint32_t id, size_t size) {
    write_32(head, (uint32_t)size);
    head[4] = (unsigned char)kind;
    write_32(head + 5, id);
}
