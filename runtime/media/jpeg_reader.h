/* jpeg_reader.h - libjpeg with errors that return: what image.h and jpeg_window.h share.
 *
 * libjpeg reports an error by a callback that must not return. Here it jumps back into
 * jpeg_reader_run, which says why by a struct err. A step that runs there must own nothing that a
 * jump would leak: no memory, no locks.
 *
 * Pixels are those of libjpeg-turbo's defaults (accurate integer DCT, smooth upsampling), as
 * browsers show them. Embedded colour profiles are not looked at.
 *
 * Ownership: a reader owns its libjpeg object until it is closed, and may read one file after the
 * other; the file's bytes have to stay until it was read. Threads: one at a time a reader. */
#ifndef STANCE_MEDIA_JPEG_READER_H
#define STANCE_MEDIA_JPEG_READER_H

#include <setjmp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h> /* jpeglib.h needs it */

#include <jpeglib.h>

#include "core/err.h"

enum { JPEG_MAX_SCANS = 100 }; /* more only cost time: progressive files have about ten */

struct jpeg_reader {
    struct jpeg_decompress_struct jpeg;
    struct jpeg_error_mgr errors;
    struct jpeg_progress_mgr progress;
    jmp_buf jump;
    char message[JMSG_LENGTH_MAX];
    bool scans_follow; /* a file of several scans */
    /* Refuse what is damaged: a scan with bad codes, or that ends before the picture does, or
     * restart markers that are not in order; and a file of several scans without its end marker,
     * since scans may be missing. Else such parts come out grey. Bytes between segments, unknown
     * versions and a lacking end marker after the only scan are forgiven in any case. */
    bool strict;
    unsigned orientation; /* EXIF's, 1..8: 1 as it is, also when the file does not say */
};

void jpeg_reader_init(struct jpeg_reader *reader);

/* Drops the file that is open, and all memory. May be repeated. */
void jpeg_reader_close(struct jpeg_reader *reader);

/* Reads a file's header: then reader->jpeg has its size, components and options, and
 * reader->orientation is known. What was open is closed. */
int jpeg_reader_open(struct jpeg_reader *reader, const void *bytes, size_t size, struct err *err);

/* Runs a step that calls libjpeg. ERR_CORRUPT with libjpeg's words, ERR_NO_MEMORY; then the file is
 * closed. */
int jpeg_reader_run(struct jpeg_reader *reader, void (*step)(struct jpeg_reader *reader, void *arg),
                    void *arg, struct err *err);

#endif
