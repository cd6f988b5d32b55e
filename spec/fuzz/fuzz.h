/* fuzz.h - what a fuzz target is: a file of spec/fuzz with these functions.
 *
 * `make fuzz` builds each with libFuzzer and runs it for FUZZ_SECONDS, beginning with its seeds;
 * `make test` runs each once over its seeds (once.c), so that it does not rot. What is found is
 * kept in build/fuzz/NAME/. */
#ifndef STANCE_SPEC_FUZZ_H
#define STANCE_SPEC_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/* One input. Crashes, sanitizers' complaints and FUZZ_CHECK are what it looks for. Returns 0. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

/* Good inputs to begin with, made by the code that writes such things. */
void fuzz_seeds(void (*add)(const void *bytes, size_t size));

#define FUZZ_CHECK(condition)                                                                      \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);                \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

#endif
