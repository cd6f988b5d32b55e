#include "core/stack.h"

#include <dlfcn.h>
#include <link.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>
#include <unwind.h>

enum {
    RANGES_MAX = 256,
    UNWINDER_REACH = 4096, /* bytes of stack that what the unwinder calls may take */
};

struct range {
    uintptr_t begin, end;
    bool is_lua; /* its interpreter and the exits of compiled code do not tell how to leave them */
};

/* Only ever grows, so that a signal handler may read it at any time. */
static struct range ranges[RANGES_MAX];
static atomic_int range_count;
static atomic_uintptr_t unwinder_begin, unwinder_end;

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
        if (strstr(info->dlpi_name, "libgcc_s") != NULL) {
            atomic_store(&unwinder_begin, begin);
            atomic_store(&unwinder_end, begin + part->p_memsz);
        }
    }
    return 0;
}

/* Where a thread was interrupted. */
struct place {
    uintptr_t at, stack;
    uintptr_t link; /* where a leaf returns to, on processors with a register for it */
};

static struct place interrupted(const void *context) {
    const ucontext_t *was = context;
#if defined(__x86_64__)
    const greg_t *registers = was->uc_mcontext.gregs;
    return (struct place){(uintptr_t)registers[REG_RIP], (uintptr_t)registers[REG_RSP], 0};
#elif defined(__aarch64__)
    return (struct place){was->uc_mcontext.pc, was->uc_mcontext.sp, was->uc_mcontext.regs[30]};
#else
#error "where does this processor keep its program counter?"
#endif
}

static bool is_unwinder(uintptr_t address) {
#if defined(__aarch64__)
    address &= ((uintptr_t)1 << 48) - 1; /* return addresses may be signed above */
#endif
    return address >= atomic_load(&unwinder_begin) && address < atomic_load(&unwinder_end);
}

static bool is_mapped(uintptr_t page, size_t size) {
    unsigned char resident;
    return mincore((void *)page, size, &resident) == 0;
}

/* The unwinder holds a lock that does not nest while it looks for a frame's description. Lua raises
 * every error through it: a signal that finds a thread there must not enter it again, or the
 * thread waits for itself for ever. Whether it is there tell the return addresses nearby; what an
 * earlier call has left lying about only costs one stack. */
__attribute__((noinline, no_sanitize("address"), no_sanitize("thread"))) static bool
is_unwinding(const struct place *place) {
    uintptr_t page_size = (uintptr_t)sysconf(_SC_PAGESIZE);
    uintptr_t slot = place->stack & ~(sizeof slot - 1), end = slot + UNWINDER_REACH;
    bool found = is_unwinder(place->at) || is_unwinder(place->link);
    for (; slot < end && !found; slot += sizeof slot) {
        if (slot % page_size == 0 && !is_mapped(slot, page_size))
            break; /* the thread's stack ends here */
        found = is_unwinder(*(const uintptr_t *)slot);
    }
    return found;
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
    struct place place = interrupted(context);
    struct taking taking = {.from = place.at, .addresses = addresses, .most = most};
    if (find_range(place.at) != NULL && !is_unwinding(&place))
        _Unwind_Backtrace(take_frame, &taking);
    if (taking.count == 0)
        addresses[taking.count++] = (void *)taking.from;
    return taking.count;
}

static _Unwind_Reason_Code count_frame(struct _Unwind_Context *frame, void *arg) {
    (void)frame, (void)arg;
    return _URC_NO_REASON;
}

/* LuaJIT tells the unwinder of each area of compiled code by these two functions of libgcc, under
 * that same lock, and they end by a jump to its release, so that no return address shows them: no
 * signals meanwhile. And what it was told the unwinder sorts when it next looks for a frame, with
 * malloc. If a handler was the first to look, it might do so in the midst of another malloc: it is
 * sorted at once. */
void __register_frame(void *begin);
void __deregister_frame(void *begin);
const void *_Unwind_Find_FDE(void *address, void *found[3]);

static void call_next(const char *name, void *begin) {
    void (*next)(void *begin);
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    *(void **)&next = dlsym(RTLD_NEXT, name);
    next(begin);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

void __register_frame(void *begin) {
    void *found[3];
    call_next("__register_frame", begin);
    _Unwind_Find_FDE(begin, found);
}

void __deregister_frame(void *begin) {
    call_next("__deregister_frame", begin);
}

void stack_prepare(void) {
    dl_iterate_phdr(take_ranges, NULL);
    /* What it sets up at its first call is not for handlers. */
    _Unwind_Backtrace(count_frame, NULL);
}
