#include "core/metrics_vm.h"

#include <stdio.h>
#include <string.h>

#include "core/fiber.h"
#include "core/metrics.h"

enum { KINDS_MAX = 64, KIND_SIZE = 48 };

/* A value of the label, counted anew at each rendering; those that are gone read 0. */
struct kind {
    char name[KIND_SIZE];
    struct metric *metric;
    double count;
};

struct kinds {
    struct metric_family *family;
    const char *label;
    struct kind list[KINDS_MAX];
    size_t count;
};

static struct kinds fibers, vms, memory;

static struct kind *find_kind(struct kinds *kinds, const char *name) {
    for (size_t i = 0; i < kinds->count; i++)
        if (strcmp(kinds->list[i].name, name) == 0)
            return &kinds->list[i];
    if (kinds->count == KINDS_MAX)
        return &kinds->list[KINDS_MAX - 1];
    if (kinds->count == KINDS_MAX - 1)
        name = "other";
    struct kind *kind = &kinds->list[kinds->count++];
    snprintf(kind->name, sizeof kind->name, "%s", name);
    kind->metric =
        metrics_series(kinds->family, (const char *const[]){kinds->label, kind->name, NULL});
    return kind;
}

static void publish(struct kinds *kinds) {
    for (size_t i = 0; i < kinds->count; i++) {
        metric_set(kinds->list[i].metric, kinds->list[i].count);
        kinds->list[i].count = 0;
    }
}

static void count_vm(struct vm *vm) {
    find_kind(&vms, vm_name(vm))->count++;
    find_kind(&memory, vm_name(vm))->count += (double)vm_memory(vm);
    for (struct fiber *fiber = fiber_next(vm, NULL); fiber; fiber = fiber_next(vm, fiber)) {
        char name[KIND_SIZE];
        fiber_kind(fiber, name, sizeof name);
        find_kind(&fibers, name)->count++;
    }
}

static void collect(void *arg) {
    (void)arg;
    for (struct vm *vm = vm_next(NULL); vm != NULL; vm = vm_next(vm))
        count_vm(vm);
    publish(&fibers);
    publish(&vms);
    publish(&memory);
}

void metrics_vm_start(void) {
    if (fibers.family != NULL)
        return;
    fibers.label = "name";
    vms.label = memory.label = "vm";
    fibers.family =
        metrics_family(METRIC_GAUGE, "fibers",
                       "Fibers that are not over, by name up to its first digit.", NULL, 0, NULL);
    vms.family = metrics_family(METRIC_GAUGE, "vms",
                                "Script VMs; more than one of a name while generations drain.",
                                NULL, 0, NULL);
    memory.family =
        metrics_family(METRIC_GAUGE, "vm_memory_bytes", "Memory of script VMs.", NULL, 0, NULL);
    metrics_on_collect(collect, NULL);
}
