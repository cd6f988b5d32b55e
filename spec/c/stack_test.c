/* core/stack.h: stacks are taken of code that is anywhere, in the midst of raising an error too. */
#include "core/stack.h"

#include <luajit.h>
#include <signal.h>
#include <stdint.h>
#include <time.h>
#include <unistd.h>

#include "core/symbols.h"
#include "vm_fixture.h"

enum { FRAMES_MAX = 48 };

static volatile sig_atomic_t taken, deepest;
static void *frames[FRAMES_MAX];

static void on_tick(int number, siginfo_t *info, void *context) {
    (void)number, (void)info;
    int count = stack_take(context, frames, FRAMES_MAX);
    taken = taken + 1;
    if (count > deepest)
        deepest = count;
}

static timer_t start_ticks(long ns) {
    timer_t timer;
    struct sigaction action = {.sa_sigaction = on_tick, .sa_flags = SA_SIGINFO | SA_RESTART};
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN + 9};
    struct itimerspec times = {{0, ns}, {0, ns}};
    taken = deepest = 0;
    stack_prepare();
    sigfillset(&action.sa_mask);
    sigdelset(&action.sa_mask, SIGALRM);
    sigaction(SIGRTMIN + 9, &action, NULL);
    CHECK(timer_create(CLOCK_MONOTONIC, &event, &timer) == 0);
    CHECK(timer_settime(timer, 0, &times, NULL) == 0);
    return timer;
}

/* Errors, new compiled code, and much malloc, under a rain of signals. It hung for ever when the
 * handler entered the unwinder that the error was in. */
static void errors_go_on_while_stacks_are_taken(void) {
    struct fixture f;
    fixture_open(&f, (struct vm_options){.jit = true});
    alarm(120); /* ends a test that hangs */
    timer_t timer = start_ticks(30000);
    for (int i = 0; i < 60; i++) {
        CHECK_TEXT(fixture_fiber(&f, "local function deep(n)\n"
                                     "  if n == 0 then error {} end\n"
                                     "  return (deep(n - 1))\n"
                                     "end\n"
                                     "for i = 1, 300 do pcall(deep, i % 20) end\n"
                                     "for i = 1, 300 do local t = ('x'):rep(i * 10) end\n"
                                     "return 'done'"),
                   "done");
        luaJIT_setmode(vm_lua(f.vm), 0, LUAJIT_MODE_ENGINE | LUAJIT_MODE_FLUSH);
    }
    timer_delete(timer);
    alarm(0);
    CHECK(taken > 0 && deepest > 1);
    fixture_close(&f);
}

__attribute__((noinline)) static void spin_until_taken(int times) {
    int before = taken;
    while (taken < before + times)
        ;
}

static void a_stack_names_who_called(void) {
    timer_t timer = start_ticks(1000000);
    spin_until_taken(3);
    timer_delete(timer);
    char inner[64], outer[64];
    symbols_name(frames[0], inner, sizeof inner);
    symbols_name((char *)frames[1] - 1, outer, sizeof outer);
    CHECK_TEXT(inner, "spin_until_taken");
    CHECK_TEXT(outer, "a_stack_names_who_called");
}

int main(void) {
    static const struct test tests[] = {
        TEST(a_stack_names_who_called),
        TEST(errors_go_on_while_stacks_are_taken),
    };
    return RUN(tests);
}
