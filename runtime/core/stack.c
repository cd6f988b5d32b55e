#include "core/stack.h"

#include <link.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <ucontext.h>
#include <unwind.h>

enum { RANGES_MAX = 256 };

struct range {
    uintptr_t begin, end;
    bool is_lua; /* its interpreter and the exits of compiled code do not tell how to leave them */
};

/* Only ever grows, so that a signal handler may read it at any time. */
static struct range ranges[RANGES_MAX];
static atomic_int range_count;

static const struct range *find_range(uintptr_t address) {
    int count = atomic_load(&range_count);
    for (int i = 0; i < count; i++)
        if (address >= ranges[i].begin && address < ranges[i].end)
            return &ranges[i];
    return NULL;
}

static int take_ranges(struct dl_phdr_info *info, size_t size, void *arg) {
    (void)size, (void)arg;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *part = &info->dlpi_phdr[i];
        uintptr_t begin = info->dlpi_addr + part->p_vaddr;
        int count = atomic_load(&range_count);
        if (part->p_type != PT_LOAD || (part->p_flags & PF_X) == 0 || find_range(begin) ||
            count == RANGES_MAX)
            continue;
        bool is_lua = strstr(info->dlpi_name, "libluajit") != NULL;
        ranges[count] = (struct range){begin, begin + part->p_memsz, is_lua};
        atomic_store(&range_count, count + 1);
    }
    return 0;
}

static uintptr_t interrupted(const void *context) {
    const ucontext_t *at = context;
#if defined(__x86_64__)
    return (uintptr_t)at->uc_mcontext.gregs[REG_RIP];
#elif defined(__aarch64__)
    return (uintptr_t)at->uc_mcontext.pc;
#else
#error "where does this processor keep its program counter?"
#endif
}

struct taking {
    uintptr_t from; /* frames before it are the signal's own */
    bool begun;
    void **addresses;
    int count, most;
};

/* Returns anything but _URC_NO_REASON to end the walk, before the unwinder steps out of the frame.
 */
static _Unwind_Reason_Code take_frame(struct _Unwind_Context *frame, void *arg) {
    struct taking *taking = arg;
    int exact;
    uintptr_t at = (uintptr_t)_Unwind_GetIPInfo(frame, &exact);
    if (!taking->begun && at != taking->from)
        return _URC_NO_REASON;
    taking->begun = true;
    if (at == 0 || taking->count == taking->most)
        return _URC_END_OF_STACK;
    taking->addresses[taking->count++] = (void *)at;
    const struct range *range = find_range(at);
    return range != NULL && !range->is_lua ? _URC_NO_REASON : _URC_END_OF_STACK;
}

int stack_take(const void *context, void **addresses, int most) {
    struct taking taking = {.from = interrupted(context), .addresses = addresses, .most = most};
    if (find_range(taking.from) != NULL)
        _Unwind_Backtrace(take_frame, &taking);
    if (taking.count == 0)
        addresses[taking.count++] = (void *)taking.from;
    return taking.count;
}

static _Unwind_Reason_Code count_frame(struct _Unwind_Context *frame, void *arg) {
    (void)frame, (void)arg;
    return _URC_NO_REASON;
}

void stack_prepare(void) {
    dl_iterate_phdr(take_ranges, NULL);
    _Unwind_Backtrace(count_frame,
                      NULL); /* what it sets up at its first call is not for handlers */
}
