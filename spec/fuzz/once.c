/* once.c - a fuzz target without libFuzzer: runs it over its seeds, or over FILE...; with --write
 * FOLDER the seeds are written there instead. */
#include <string.h>

#include "fuzz.h"

static const char *folder;
static int count;

static void use(const void *bytes, size_t size) {
    count++;
    if (folder == NULL) {
        LLVMFuzzerTestOneInput(bytes, size);
        return;
    }
    char path[512];
    snprintf(path, sizeof path, "%s/seed-%03d", folder, count);
    FILE *file = fopen(path, "wb");
    if (file == NULL || fwrite(bytes, 1, size, file) != size || fclose(file) != 0) {
        perror(path);
        exit(1);
    }
}

static void use_file(const char *path) {
    static char bytes[16 << 20];
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        perror(path);
        exit(1);
    }
    size_t size = fread(bytes, 1, sizeof bytes, file);
    fclose(file);
    uint8_t *exact = malloc(size + 1); /* so that reading beyond the end is seen */
    memcpy(exact, bytes, size);
    use(exact, size);
    free(exact);
}

int main(int argc, char **argv) {
    if (argc == 3 && strcmp(argv[1], "--write") == 0)
        folder = argv[2];
    if (argc > 1 && folder == NULL)
        for (int i = 1; i < argc; i++)
            use_file(argv[i]);
    else
        fuzz_seeds(use);
    printf("%d passed, 0 failed, 0 skipped\n", count);
    return count == 0;
}
