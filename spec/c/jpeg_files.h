/* jpeg_files.h - JPEG files of every kind, made by libjpeg for tests and fuzz targets. */
#ifndef STANCE_SPEC_JPEG_FILES_H
#define STANCE_SPEC_JPEG_FILES_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>

struct jpeg_recipe {
    uint32_t width, height;
    int components;          /* 1: grey, 3: colours, 4: CMYK (YCCK with `ycck`) */
    int across, down;        /* luma samples a chroma sample: 1..4, 1..2; 0: 1 */
    bool progressive, scans; /* `scans`: baseline, a scan a component */
    bool ycck;
    int restart;          /* blocks between restart markers; 0: none */
    int quality;          /* 0: 85 */
    unsigned orientation; /* EXIF; 0: no EXIF segment */
    bool big_endian;      /* of EXIF's numbers */
    uint32_t seed;        /* of what is on it */
};

static inline void jpeg_write_orientation(struct jpeg_compress_struct *jpeg, unsigned orientation,
                                          bool big_endian) {
    /* one entry before it, so that a directory has to be walked */
    uint8_t little[] =
        "Exif\0\0II*\0\10\0\0\0\2\0\0\1\3\0\1\0\0\0\1\0\0\0\x12\1\3\0\1\0\0\0?\0\0\0";
    uint8_t big[] = "Exif\0\0MM\0*\0\0\0\10\0\2\1\0\0\3\0\0\0\1\0\1\0\0\1\x12\0\3\0\0\0\1\0?\0\0";
    little[36] = big[37] = (uint8_t)orientation;
    jpeg_write_marker(jpeg, JPEG_APP0 + 1, big_endian ? big : little, sizeof little - 1);
}

/* Smooth slopes, edges and noise: chroma that upsampling has something to do with. */
static inline void jpeg_paint_row(const struct jpeg_recipe *recipe, uint32_t y, uint8_t *row) {
    uint32_t noise = recipe->seed * 2654435761u + y * 40503u;
    for (uint32_t x = 0; x < recipe->width; x++)
        for (int c = 0; c < recipe->components; c++) {
            noise = noise * 1664525u + 1013904223u;
            uint32_t slope = (x * (uint32_t)(3 + 2 * c) + y * (uint32_t)(5 - c)) / 2;
            uint32_t edge = (x / 13 + y / (uint32_t)(7 + c) + recipe->seed) % 3 * 60;
            *row++ = (uint8_t)((slope + edge) % 230 + (noise >> 28));
        }
}

/* The file, to be freed. */
static inline uint8_t *jpeg_make(const struct jpeg_recipe *recipe, size_t *size) {
    struct jpeg_compress_struct jpeg;
    struct jpeg_error_mgr errors;
    unsigned char *bytes = NULL;
    unsigned long written = 0;
    jpeg.err = jpeg_std_error(&errors);
    jpeg_create_compress(&jpeg);
    jpeg_mem_dest(&jpeg, &bytes, &written);
    jpeg.image_width = recipe->width;
    jpeg.image_height = recipe->height;
    jpeg.input_components = recipe->components;
    jpeg.in_color_space = recipe->components == 1   ? JCS_GRAYSCALE
                          : recipe->components == 3 ? JCS_RGB
                                                    : JCS_CMYK;
    jpeg_set_defaults(&jpeg);
    if (recipe->ycck)
        jpeg_set_colorspace(&jpeg, JCS_YCCK);
    jpeg_set_quality(&jpeg, recipe->quality > 0 ? recipe->quality : 85, TRUE);
    for (int c = 0; c < jpeg.num_components; c++) {
        bool full = recipe->components > 1 && (c == 0 || c == 3); /* luma, black */
        jpeg.comp_info[c].h_samp_factor = full && recipe->across > 0 ? recipe->across : 1;
        jpeg.comp_info[c].v_samp_factor = full && recipe->down > 0 ? recipe->down : 1;
    }
    static jpeg_scan_info single[4]; /* one component a scan */
    for (int c = 0; recipe->scans && c < jpeg.num_components; c++)
        single[c] = (jpeg_scan_info){1, {c}, 0, 63, 0, 0};
    if (recipe->scans) {
        jpeg.scan_info = single;
        jpeg.num_scans = jpeg.num_components;
    }
    if (recipe->progressive)
        jpeg_simple_progression(&jpeg);
    jpeg.restart_interval = (unsigned)recipe->restart;
    jpeg_start_compress(&jpeg, TRUE);
    if (recipe->orientation > 0)
        jpeg_write_orientation(&jpeg, recipe->orientation, recipe->big_endian);
    uint8_t *row = malloc((size_t)recipe->width * (size_t)recipe->components);
    for (uint32_t y = 0; y < recipe->height; y++) {
        JSAMPROW rows = row;
        jpeg_paint_row(recipe, y, row);
        jpeg_write_scanlines(&jpeg, &rows, 1);
    }
    free(row);
    jpeg_finish_compress(&jpeg);
    jpeg_destroy_compress(&jpeg);
    *size = written;
    return bytes;
}

#endif
