#include "cli/line_editor.h"

#include <errno.h>
#include <fcntl.h>
#include <histedit.h>
#include <langinfo.h>
#include <locale.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <wchar.h>

#include "cli/memory.h"
#include "cli/output.h"
#include "core/lazy_library.h"
#include "core/text.h"
#include "core/utf8.h"

enum {
    HISTORY_MAX = 2000,
    PASTE_MAX = 1 << 20,
    REDISPLAY_KEY = 0x1f, /* Ctrl-_, which we send ourselves after somebody has printed */
};

struct line_editor {
    struct line_editor_options options;
    EditLine *edit;
    History *history;
    const char *prompt;
    bool over;
};

/* -- libedit ----------------------------------------------------------------------------------- */

static struct lazy_library library = {
    .names = {"libedit.so.2", "libedit.so.0", "libedit.so"},
    .package = "libedit2",
    .lock = PTHREAD_MUTEX_INITIALIZER,
};

static struct {
    EditLine *(*init)(const char *, FILE *, FILE *, FILE *);
    void (*end)(EditLine *);
    int (*set)(EditLine *, int, ...);
    int (*get)(EditLine *, int, ...);
    const char *(*gets)(EditLine *, int *);
    const LineInfo *(*line)(EditLine *);
    int (*insert)(EditLine *, const char *);
    void (*resize)(EditLine *);
    History *(*history_init)(void);
    void (*history_end)(History *);
    int (*history)(History *, HistEvent *, int, ...);
} lib;

static int load(struct err *err) {
    int code = lazy_library_load(&library, err);
    if (code != 0)
        return code;
#define FIND(member, name) *(void **)&lib.member = lazy_library_find(&library, name)
    FIND(init, "el_init");
    FIND(end, "el_end");
    FIND(set, "el_set");
    FIND(get, "el_get");
    FIND(gets, "el_gets");
    FIND(line, "el_line");
    FIND(insert, "el_insertstr");
    FIND(resize, "el_resize");
    FIND(history_init, "history_init");
    FIND(history_end, "history_end");
    FIND(history, "history");
#undef FIND
    return 0;
}

/* -- Signals ----------------------------------------------------------------------------------- */

static volatile sig_atomic_t interrupted, ended, resized, continued;

static void on_signal(int number) {
    *(number == SIGINT     ? &interrupted
      : number == SIGWINCH ? &resized
      : number == SIGCONT  ? &continued
                           : &ended) = 1;
}

/* Without SA_RESTART: the wait for a key ends. */
static void catch_signals(void) {
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP, SIGWINCH, SIGCONT};
    struct sigaction action = {.sa_handler = on_signal};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        sigaction(numbers[i], &action, NULL);
}

bool line_editor_interrupted(void) {
    bool was = interrupted || ended;
    interrupted = 0;
    return was;
}

/* -- Keys -------------------------------------------------------------------------------------- */

/* Waits for a key; calls `watched` meanwhile. 1: there is one; 0: redraw; -1: the line ends. */
static int wait_key(struct line_editor *editor) {
    for (;;) {
        struct pollfd fds[] = {{STDIN_FILENO, POLLIN, 0}, {editor->options.watch_fd, POLLIN, 0}};
        int ready = poll(fds, editor->options.watch_fd < 0 ? 1 : 2, -1);
        if (interrupted || ended)
            return -1;
        if (resized) {
            resized = 0;
            lib.resize(editor->edit);
        }
        if (continued) {
            continued = 0;
            lib.set(editor->edit, EL_PREP_TERM, 1);
            return 0;
        }
        if (ready < 0 && errno != EINTR)
            return -1;
        if (ready > 0 && fds[1].revents != 0) {
            fputs("\r\033[K", stdout);
            editor->over = !editor->options.watched(editor->options.arg);
            fflush(stdout);
            return editor->over ? -1 : 0;
        }
        if (ready > 0)
            return 1;
    }
}

/* One UTF-8 character of stdin, which may come in pieces; what is none becomes U+FFFD. */
static int read_character(wchar_t *out) {
    char bytes[4];
    for (size_t size = 0; size < sizeof bytes;) {
        ssize_t got = read(STDIN_FILENO, bytes + size, 1);
        if (got < 0 && errno == EINTR && !interrupted && !ended)
            continue;
        if (got <= 0)
            return (int)got;
        size++;
        if (utf8_step(bytes, size) == size) {
            wchar_t high = size == 1   ? bytes[0]
                           : size == 2 ? bytes[0] & 0x1f
                           : size == 3 ? bytes[0] & 0x0f
                                       : bytes[0] & 0x07;
            for (size_t i = 1; i < size; i++)
                high = high << 6 | (bytes[i] & 0x3f);
            *out = high;
            return 1;
        }
    }
    *out = 0xfffd;
    return 1;
}

static int get_key(EditLine *edit, wchar_t *out) {
    struct line_editor *editor;
    lib.get(edit, EL_CLIENTDATA, &editor);
    int ready = wait_key(editor);
    if (ready == 0) {
        *out = REDISPLAY_KEY;
        return 1;
    }
    return ready < 0 ? -1 : read_character(out);
}

/* What a terminal sends between ESC[200~ and ESC[201~ is text, whatever keys it would be. */
static unsigned char paste(EditLine *edit, int key) {
    (void)key;
    static const char stop[] = "\033[201~";
    struct text text = {0};
    char byte;
    while (text.size < PASTE_MAX && read(STDIN_FILENO, &byte, 1) == 1) {
        byte = byte == '\r' ? '\n' : byte;
        text_add(&text, &byte, 1);
        size_t end = sizeof stop - 1;
        if (text.size >= end && memcmp(text.bytes + text.size - end, stop, end) == 0) {
            text.bytes[text.size -= end] = 0;
            break;
        }
    }
    int code = text.size > 0 ? lib.insert(edit, text.bytes) : 0;
    text_drop(&text);
    return code == 0 ? CC_REFRESH : CC_ERROR;
}

/* -- Completion -------------------------------------------------------------------------------- */

static size_t common_length(const struct line_candidates *found) {
    size_t length = strlen(found->names[0]);
    for (size_t i = 1; i < found->count; i++) {
        size_t same = 0;
        while (same < length && found->names[i][same] == found->names[0][same])
            same++;
        length = same;
    }
    return length;
}

/* In columns, like a directory. */
static void list_candidates(const struct line_candidates *found) {
    size_t widest = 0, width = (size_t)out_columns(NULL);
    for (size_t i = 0; i < found->count; i++) {
        size_t length = strlen(found->names[i]);
        widest = length > widest ? length : widest;
    }
    size_t columns = width / (widest + 2) > 0 ? width / (widest + 2) : 1;
    size_t rows = (found->count + columns - 1) / columns;
    for (size_t row = 0; row < rows; row++) {
        fputc('\n', stdout);
        for (size_t i = row; i < found->count; i += rows)
            printf("%-*s", (int)widest + 2, found->names[i]);
    }
    fputc('\n', stdout);
    fflush(stdout);
}

static unsigned char complete(EditLine *edit, int key) {
    (void)key;
    struct line_editor *editor;
    lib.get(edit, EL_CLIENTDATA, &editor);
    const LineInfo *info = lib.line(edit);
    size_t size = (size_t)(info->cursor - info->buffer);
    char *line = memory_need(strndup(info->buffer, size));
    struct line_candidates found = {0};
    editor->options.complete(editor->options.arg, line, &found);
    free(line);
    size_t typed = size >= found.from ? size - found.from : 0;
    if (found.count == 0)
        return CC_REFRESH_BEEP;
    size_t common = common_length(&found);
    if (common > typed) {
        char *rest = memory_need(strndup(found.names[0] + typed, common - typed));
        lib.insert(edit, rest);
        free(rest);
        return CC_REFRESH;
    }
    if (found.count == 1)
        return CC_NORM;
    list_candidates(&found);
    return CC_REDISPLAY;
}

/* -- History: one entry a line, with \n and \\ escaped ----------------------------------------- */

static char *escape(const char *text) {
    char *out = memory_need(malloc(2 * strlen(text) + 2)), *to = out;
    for (; *text != 0; text++) {
        if (*text == '\n' || *text == '\\')
            *to++ = '\\';
        *to++ = *text == '\n' ? 'n' : *text;
    }
    *to++ = '\n';
    *to = 0;
    return out;
}

static void unescape(char *text) {
    char *to = text;
    for (; *text != 0 && *text != '\n'; text++) {
        bool escaped = *text == '\\' && text[1] != 0;
        text += escaped;
        *to++ = escaped && *text == 'n' ? '\n' : *text;
    }
    *to = 0;
}

static void add_history(struct line_editor *editor, const char *text) {
    HistEvent event;
    lib.history(editor->history, &event, H_ENTER, text);
}

/* Rewritten without its oldest entries when it has grown to twice what is kept. */
static void trim_history(const char *path, FILE *file, size_t lines) {
    if (lines < 2 * HISTORY_MAX)
        return;
    char *aside = memory_printf("%s.new", path), *line = NULL;
    size_t room = 0;
    int fd = open(aside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    FILE *to = fd < 0 ? NULL : fdopen(fd, "w");
    rewind(file);
    for (size_t i = 0; to != NULL && getline(&line, &room, file) > 0; i++)
        if (i >= lines - HISTORY_MAX)
            fputs(line, to);
    if (to != NULL && fclose(to) == 0)
        rename(aside, path);
    free(line);
    free(aside);
}

static void load_history(struct line_editor *editor) {
    FILE *file = editor->options.history ? fopen(editor->options.history, "re") : NULL;
    char *line = NULL;
    size_t room = 0, lines = 0;
    while (file != NULL && getline(&line, &room, file) > 0) {
        lines++;
        unescape(line);
        if (*line != 0)
            add_history(editor, line);
    }
    if (file != NULL) {
        trim_history(editor->options.history, file, lines);
        fclose(file);
    }
    free(line);
}

void line_editor_remember(struct line_editor *editor, const char *text) {
    add_history(editor, text);
    const char *path = editor->options.history;
    int fd = path ? open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600) : -1;
    if (fd < 0)
        return;
    char *line = escape(text);
    if (fchmod(fd, 0600) == 0 && write(fd, line, strlen(line)) < 0)
        editor->options.history = NULL; /* the disk is full: no use in trying each time */
    free(line);
    close(fd);
}

/* -- Life -------------------------------------------------------------------------------------- */

static char *show_prompt(EditLine *edit) {
    struct line_editor *editor;
    lib.get(edit, EL_CLIENTDATA, &editor);
    return (char *)editor->prompt;
}

static void bind_keys(EditLine *edit) {
    static const char *const keys[][2] = {
        {"^R", "em-inc-search-prev"}, {"\\e[1;5D", "ed-prev-word"},
        {"\\e[1;5C", "em-next-word"}, {"\\e[1;3D", "ed-prev-word"},
        {"\\e[1;3C", "em-next-word"}, {"\\e[H", "ed-move-to-beg"},
        {"\\e[F", "ed-move-to-end"},  {"\\eOH", "ed-move-to-beg"},
        {"\\eOF", "ed-move-to-end"},  {"\\e[3~", "ed-delete-next-char"},
        {"^L", "ed-clear-screen"},    {"^W", "ed-delete-prev-word"},
        {"^_", "ed-redisplay"},       {"\\e[200~", "stance-paste"},
        {"\t", "stance-complete"},
    };
    lib.set(edit, EL_ADDFN, "stance-complete", "completes a name", complete);
    lib.set(edit, EL_ADDFN, "stance-paste", "takes pasted text as it is", paste);
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        lib.set(edit, EL_BIND, keys[i][0], keys[i][1], NULL);
}

int line_editor_new(const struct line_editor_options *options, struct line_editor **out,
                    struct err *err) {
    int code = load(err);
    if (code != 0)
        return code;
    setlocale(LC_CTYPE, "");
    if (strcmp(nl_langinfo(CODESET), "UTF-8") != 0)
        setlocale(LC_CTYPE, "C.UTF-8");
    struct line_editor *editor = memory_need(calloc(1, sizeof *editor));
    editor->options = *options;
    editor->edit = memory_need(lib.init("stance", stdin, stdout, stderr));
    editor->history = memory_need(lib.history_init());
    HistEvent event;
    lib.history(editor->history, &event, H_SETSIZE, HISTORY_MAX);
    lib.history(editor->history, &event, H_SETUNIQUE, 1);
    load_history(editor);
    lib.set(editor->edit, EL_CLIENTDATA, editor);
    lib.set(editor->edit, EL_EDITOR, "emacs");
    lib.set(editor->edit, EL_HIST, lib.history, editor->history);
    lib.set(editor->edit, EL_PROMPT_ESC, show_prompt, '\1');
    lib.set(editor->edit, EL_GETCFN, get_key);
    bind_keys(editor->edit);
    catch_signals();
    *out = editor;
    return 0;
}

void line_editor_free(struct line_editor *editor) {
    if (editor == NULL)
        return;
    lib.end(editor->edit);
    lib.history_end(editor->history);
    free(editor);
}

enum line_end line_editor_read(struct line_editor *editor, const char *prompt, char **line) {
    int size = 0;
    editor->prompt = prompt;
    fputs("\033[?2004h", stdout); /* pasted text comes marked */
    fflush(stdout);
    const char *read = lib.gets(editor->edit, &size);
    fputs("\033[?2004l", stdout);
    fflush(stdout);
    if (read != NULL && size > 0 && !ended) {
        size -= read[size - 1] == '\n';
        *line = memory_need(strndup(read, (size_t)size));
        return LINE_READ;
    }
    if (interrupted && !ended && !editor->over) {
        interrupted = 0;
        fputs("^C\n", stdout);
        return LINE_INTERRUPTED;
    }
    return LINE_OVER;
}
