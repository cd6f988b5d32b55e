/* Radiance pictures are decoded whole or refused. */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "media/hdr.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    float *rgb = NULL, sum = 0;
    uint32_t width = 0, height = 0;
    struct err err = {0};
    int code = hdr_decode(bytes, size, &rgb, &width, &height, &err);
    FUZZ_CHECK(code == 0 || (err.message[0] != '\0' && rgb == NULL));
    for (size_t i = 0; code == 0 && i < (size_t)width * height * 3; i++)
        sum += rgb[i]; /* all of it is there */
    FUZZ_CHECK(sum >= 0);
    free(rgb);
    return 0;
}

void fuzz_seeds(void (*add)(const void *bytes, size_t size)) {
    static const char *const heads[] = {
        "#?RADIANCE\nFORMAT=32-bit_rle_rgbe\nEXPOSURE=2\n\n-Y 2 +X 8\n",
        "#?RGBE\nCOLORCORR=1 2 3\n\n+Y 2 -X 8\n",
    };
    static const uint8_t runs[] = {2, 2, 0, 8, 136, 9,   136, 9, 8,   1, 2, 3, 4,
                                   5, 6, 7, 8, 136, 128, 130, 5, 7,   9, 1, 1, 1,
                                   5, 1, 1, 1, 0,   3,   3,   3, 120, 4, 4, 4, 121};
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++) {
        uint8_t file[256];
        size_t size = strlen(heads[i]);
        memcpy(file, heads[i], size);
        memcpy(file + size, runs, sizeof runs);
        add(file, size + sizeof runs);
    }
}
