/* memory.h - allocation for the commands: short-lived processes, so running out simply ends them.
 */
#ifndef STANCE_CLI_MEMORY_H
#define STANCE_CLI_MEMORY_H

/* Returns `pointer`; ends the process with a message when it is NULL. */
void *memory_need(void *pointer);

/* printf into a fresh string. */
char *memory_printf(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
