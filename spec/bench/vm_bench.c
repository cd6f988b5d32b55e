/* vm_bench.c - what a script VM costs: microseconds to make and to free one, and its memory. Prints
 * JSON. */
#include "../c/vm_fixture.h"

enum { ROUNDS = 9, VMS = 200 };

static double smaller(double a, double b) {
    return a < b ? a : b;
}

int main(void) {
    static struct vm *vms[VMS];
    struct loop loop;
    struct err err = {0};
    struct scripts *scripts = fixture_scripts(NULL);
    struct vm_options options = {
        .name = "bench", .jit = true, .scripts = scripts, .modules = fixture_modules};
    double making = 1, freeing = 1;
    size_t bytes = 0;
    if (loop_init(&loop, &err) != 0)
        return 1;
    for (int round = 0; round < ROUNDS; round++) {
        double began = loop_seconds();
        for (int i = 0; i < VMS; i++)
            if (vm_new(&loop, &options, &vms[i], &err) != 0)
                return 1;
        double made = loop_seconds();
        bytes = vm_memory(vms[0]);
        for (int i = 0; i < VMS; i++)
            vm_free(vms[i]);
        making = smaller(making, (made - began) / VMS);
        freeing = smaller(freeing, (loop_seconds() - made) / VMS);
    }
    printf("{\"new_us\":%.1f,\"free_us\":%.1f,\"kb\":%.1f}\n", making * 1e6, freeing * 1e6,
           (double)bytes / 1024);
    loop_deinit(&loop);
    scripts_free(scripts);
    return 0;
}
