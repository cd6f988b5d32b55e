/* symbols.h - the names of functions by address, for stacks that people read.
 *
 * Of this program from its own file's symbol table, which names static functions too; of libraries
 * from the dynamic linker. Any thread, but no signal handler. */
#ifndef STANCE_CORE_SYMBOLS_H
#define STANCE_CORE_SYMBOLS_H

#include <stddef.h>

/* "render_view", or "[libc.so.6]" where only the file is known; "[compiled Lua]" for code that lies
 * in no file. Truncated at `size`. */
void symbols_name(const void *address, char *out, size_t size);

#endif
