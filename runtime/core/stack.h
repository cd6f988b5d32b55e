/* stack.h - the C stack of a thread, taken in a signal handler.
 *
 * It ends where Lua begins, compiled or interpreted: the unwinder cannot pass that, and tried, it
 * ends the process. */
#ifndef STANCE_CORE_STACK_H
#define STANCE_CORE_STACK_H

/* Before the first stack_take, and again when libraries were loaded since: notes where code lies.
 * No signal handler. */
void stack_prepare(void);

/* The innermost `most` addresses of what the signal interrupted, which `context` (the handler's
 * third argument) tells; at least one. Signal handlers only. */
int stack_take(const void *context, void **addresses, int most);

#endif
