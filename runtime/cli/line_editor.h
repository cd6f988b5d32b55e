/* line_editor.h - one line from a person at a terminal: editing keys, history, completion, pasted
 * text, and something to watch meanwhile. libedit does the editing; it is loaded here only.
 *
 * One editor a process, on stdin and stdout. One thread. */
#ifndef STANCE_CLI_LINE_EDITOR_H
#define STANCE_CLI_LINE_EDITOR_H

#include <stdbool.h>
#include <stddef.h>

#include "core/err.h"

struct line_editor;

/* What could stand at the end of a line: names that each begin with the text from byte `from` on.
 */
struct line_candidates {
    char **names; /* owned by who filled it, until the next call */
    size_t count, from;
};

struct line_editor_options {
    const char *history; /* file, made with mode 0600; NULL: none is kept */
    int watch_fd;        /* < 0: none */
    /* watch_fd has something: may print whole lines. False ends the line. */
    bool (*watched)(void *arg);
    /* `line` is the text before the cursor. */
    void (*complete)(void *arg, const char *line, struct line_candidates *out);
    void *arg;
};

/* ERR_UNSUPPORTED, naming the package, when libedit is not installed. Takes over SIGINT, SIGTERM,
 * SIGHUP, SIGWINCH and SIGCONT. */
int line_editor_new(const struct line_editor_options *options, struct line_editor **out,
                    struct err *err);
void line_editor_free(struct line_editor *editor); /* NULL-safe; leaves the terminal as it was */

enum line_end { LINE_READ, LINE_INTERRUPTED, LINE_OVER };

/* LINE_READ: *line is the caller's to free, without its newline. LINE_INTERRUPTED: Ctrl-C.
 * LINE_OVER: Ctrl-D on an empty line, the terminal went away, or `watched` said so. */
enum line_end line_editor_read(struct line_editor *editor, const char *prompt, char **line);

/* For the arrow keys and Ctrl-R, and the history file. */
void line_editor_remember(struct line_editor *editor, const char *text);

/* Whether Ctrl-C came since the last call, also between lines. */
bool line_editor_interrupted(void);

#endif
