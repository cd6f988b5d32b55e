#include "media/jpeg_reader.h"

#include <jerror.h>
#include <string.h>

static struct jpeg_reader *reader_of(j_common_ptr jpeg) {
    return jpeg->client_data;
}

/* -- Errors ------------------------------------------------------------------------------------ */

static void jump_back(j_common_ptr jpeg) {
    struct jpeg_reader *reader = reader_of(jpeg);
    jpeg->err->format_message(jpeg, reader->message);
    longjmp(reader->jump, 1);
}

static bool is_damage(struct jpeg_reader *reader, int code) {
    switch (code) {
    case JWRN_HIT_MARKER:
    case JWRN_HUFF_BAD_CODE:
    case JWRN_ARITH_BAD_CODE:
    case JWRN_MUST_RESYNC:
        return true;
    case JWRN_JPEG_EOF:
        return reader->scans_follow;
    default:
        return false;
    }
}

/* level < 0: a warning, which libjpeg would count and print. */
static void note(j_common_ptr jpeg, int level) {
    struct jpeg_reader *reader = reader_of(jpeg);
    if (level < 0 && reader->strict && is_damage(reader, jpeg->err->msg_code))
        jump_back(jpeg);
}

static void count_scans(j_common_ptr jpeg) {
    struct jpeg_reader *reader = reader_of(jpeg);
    if (reader->jpeg.input_scan_number > JPEG_MAX_SCANS) {
        snprintf(reader->message, sizeof reader->message, "it has more than %d scans",
                 JPEG_MAX_SCANS);
        longjmp(reader->jump, 1);
    }
}

void jpeg_reader_close(struct jpeg_reader *reader) {
    jpeg_destroy_decompress(&reader->jpeg);
}

/* Apart from what it runs, so that no local that matters lives across a jump. */
int jpeg_reader_run(struct jpeg_reader *reader, void (*step)(struct jpeg_reader *reader, void *arg),
                    void *arg, struct err *err) {
    if (setjmp(reader->jump) == 0) {
        step(reader, arg);
        return 0;
    }
    bool memory = reader->errors.msg_code == JERR_OUT_OF_MEMORY;
    jpeg_reader_close(reader);
    return err_set(err, memory ? ERR_NO_MEMORY : ERR_CORRUPT, "not a readable JPEG: %s",
                   reader->message);
}

/* -- Opening ----------------------------------------------------------------------------------- */

void jpeg_reader_init(struct jpeg_reader *reader) {
    memset(reader, 0, sizeof *reader);
    reader->jpeg.err = jpeg_std_error(&reader->errors);
    reader->jpeg.client_data = reader; /* jpeg_create_decompress keeps both */
    reader->errors.error_exit = jump_back;
    reader->errors.emit_message = note;
    reader->progress.progress_monitor = count_scans;
}

struct file {
    const void *bytes;
    size_t size;
};

static void read_header(struct jpeg_reader *reader, void *arg) {
    const struct file *file = arg;
    struct jpeg_decompress_struct *jpeg = &reader->jpeg;
    jpeg_create_decompress(jpeg);
    jpeg->progress = &reader->progress;
    jpeg_mem_src(jpeg, (unsigned char *)(uintptr_t)file->bytes, (unsigned long)file->size);
    jpeg_save_markers(jpeg, JPEG_APP0 + 1, 0xffff);
    jpeg_read_header(jpeg, TRUE);
    reader->scans_follow = jpeg->progressive_mode || jpeg->comps_in_scan < jpeg->num_components;
}

/* -- Orientation ------------------------------------------------------------------------------- */

/* A TIFF structure in memory, in either order of bytes. */
struct tiff {
    const uint8_t *bytes;
    size_t size;
    bool little;
};

/* 0 beyond the end. */
static uint32_t tiff_number(const struct tiff *tiff, size_t at, size_t width) {
    uint32_t number = 0;
    if (at > tiff->size || tiff->size - at < width)
        return 0;
    for (size_t i = 0; i < width; i++)
        number = number << 8 | tiff->bytes[tiff->little ? at + width - 1 - i : at + i];
    return number;
}

/* EXIF 2.3: the tag Orientation (0x0112, one SHORT) in the first directory. */
static unsigned find_orientation(const uint8_t *bytes, size_t size) {
    enum { ORIENTATION = 0x0112, SHORT = 3, ENTRY = 12 };
    struct tiff tiff = {bytes, size, size >= 2 && memcmp(bytes, "II", 2) == 0};
    if (size < 8 || (!tiff.little && memcmp(bytes, "MM", 2) != 0))
        return 1;
    size_t directory = tiff_number(&tiff, 4, 4);
    uint32_t count = tiff_number(&tiff, directory, 2);
    for (uint32_t i = 0; i < count; i++) {
        size_t entry = directory + 2 + (size_t)i * ENTRY;
        if (tiff_number(&tiff, entry, 2) != ORIENTATION ||
            tiff_number(&tiff, entry + 2, 2) != SHORT)
            continue;
        unsigned value = tiff_number(&tiff, entry + 8, 2);
        return value >= 1 && value <= 8 ? value : 1;
    }
    return 1;
}

int jpeg_reader_open(struct jpeg_reader *reader, const void *bytes, size_t size, struct err *err) {
    static const char exif[] = "Exif\0"; /* and the terminator */
    jpeg_reader_close(reader); /* else its tables would do for those that this file lacks */
    reader->scans_follow = false;
    int rc = jpeg_reader_run(reader, read_header, &(struct file){bytes, size}, err);
    if (rc != 0)
        return rc;
    reader->orientation = 1;
    for (jpeg_saved_marker_ptr m = reader->jpeg.marker_list; m != NULL; m = m->next)
        if (m->data_length > sizeof exif && memcmp(m->data, exif, sizeof exif) == 0) {
            reader->orientation =
                find_orientation(m->data + sizeof exif, m->data_length - sizeof exif);
            break;
        }
    return 0;
}
