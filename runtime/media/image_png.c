/* image_png.c - reads PNG. libpng's simplified interface would be shorter, but takes sixteen bits
 * for linear light, and mixes the rows up when they are interlaced, too. */
#include <png.h>
#include <string.h>

#include "media/image_private.h"

/* Of ancillary chunks, whose contents are of no interest here. */
enum { MAX_CHUNKS = 32, MAX_CHUNK_SIZE = 1 << 20 };

struct png_file {
    const uint8_t *bytes;
    size_t left;
    char message[120];
};

static void take(png_structp png, png_bytep to, size_t size) {
    struct png_file *file = png_get_io_ptr(png);
    if (size > file->left)
        png_error(png, "it ends early");
    memcpy(to, file->bytes, size);
    file->bytes += size;
    file->left -= size;
}

static void jump_back(png_structp png, png_const_charp message) {
    struct png_file *file = png_get_error_ptr(png);
    snprintf(file->message, sizeof file->message, "%s", message);
    png_longjmp(png, 1);
}

static void forgive(png_structp png, png_const_charp message) {
    (void)png; /* warnings would go to stderr */
    (void)message;
}

/* Everything becomes RGBA of eight bits. */
static void set_up(png_structp png, png_infop info) {
    int gamma_known = 0;
    png_fixed_point gamma = 0;
    if (!png_get_valid(png, info, PNG_INFO_sRGB))
        gamma_known = png_get_gAMA_fixed(png, info, &gamma) != 0;
    if (gamma_known)
        png_set_gamma_fixed(png, PNG_DEFAULT_sRGB, gamma);
    png_set_expand(png);
    png_set_scale_16(png);
    png_set_gray_to_rgb(png);
    png_set_add_alpha(png, 255, PNG_FILLER_AFTER);
}

/* Apart from its caller, whose locals a jump leaves alone. */
static int read_rows(png_structp png, png_infop info, struct png_file *file,
                     const struct image_options *options, struct image *out, struct err *err) {
    if (setjmp(png_jmpbuf(png)) != 0)
        return err_set(err, ERR_CORRUPT, "not a readable PNG: %s", file->message);
    png_read_info(png, info);
    uint32_t width = png_get_image_width(png, info), height = png_get_image_height(png, info);
    int rc = image_check_size(width, height, options, err);
    if (rc == 0)
        rc = image_init(out, width, height, err);
    if (rc != 0)
        return rc;
    set_up(png, info);
    int passes = png_set_interlace_handling(png);
    png_start_read_image(png);
    for (int pass = 0; pass < passes; pass++)
        for (uint32_t y = 0; y < height; y++)
            png_read_row(png, out->rgba + (size_t)y * width * 4, NULL);
    return 0;
}

int image_read_png(const void *bytes, size_t size, const struct image_options *options,
                   struct image *out, struct err *err) {
    struct png_file file = {bytes, size, ""};
    int rc = err_set(err, ERR_NO_MEMORY, "no memory to read a PNG");
    png_structp png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &file, jump_back, forgive);
    png_infop info = png != NULL ? png_create_info_struct(png) : NULL;
    if (info != NULL) {
        png_set_read_fn(png, &file, take);
        png_set_user_limits(png, IMAGE_MAX_SIDE * 16, IMAGE_MAX_SIDE * 16); /* ours say it better */
        png_set_chunk_cache_max(png, MAX_CHUNKS);
        png_set_chunk_malloc_max(png, MAX_CHUNK_SIZE);
        rc = read_rows(png, info, &file, options, out, err);
    }
    png_destroy_read_struct(&png, &info, NULL);
    return rc;
}
