/* console.c - `stance console`: Lua on the running host, typed or given. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/commands.h"
#include "cli/console_client.h"
#include "cli/folders.h"
#include "cli/line_editor.h"
#include "cli/memory.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/process.h"
#include "core/config.h"
#include "core/text.h"

struct session {
    struct console_client *client;
    bool json;
    struct text output; /* with json: what was printed meanwhile */
    json_t *candidates; /* the names that the editor was given last */
    const char *names[512];
    bool lost;
};

/* -- Talking to the host ----------------------------------------------------------------------- */

static void on_output(void *arg, const char *text, size_t size) {
    struct session *session = arg;
    if (session->json) {
        text_add(&session->output, text, size);
    } else {
        fwrite(text, 1, size, stdout);
        fflush(stdout);
    }
}

static int exit_of(int code) {
    return code == ERR_NOT_FOUND || code == ERR_CLOSED ? EXIT_UPSTREAM
           : code == ERR_DENIED                        ? EXIT_NOT_ALLOWED
                                                       : EXIT_FAILED;
}

static json_t *ask(struct session *session, json_t *request, int *exit_code) {
    struct err err;
    json_t *answer = NULL;
    int code = console_client_ask(session->client, request, &answer, &err);
    json_decref(request);
    if (code != 0) {
        *exit_code = out_fail(exit_of(code), "%s", err.message);
        session->lost = true;
    }
    return answer;
}

static int open_session(struct session *session, const char *path, bool terminal, json_t **hello) {
    struct console_client_options options = {
        .output = on_output,
        .interrupted = terminal ? line_editor_interrupted : NULL,
        .arg = session,
    };
    struct err err;
    int code = console_client_open(path, &options, &session->client, &err);
    if (code != 0)
        return out_fail(exit_of(code), "%s", err.message);
    int exit_code = EXIT_OK;
    *hello = ask(session, json_pack("{s:s}", "op", "hello"), &exit_code);
    if (*hello != NULL && !json_is_true(json_object_get(*hello, "ok"))) {
        const char *why = out_text(json_object_get(*hello, "error"), "message");
        return out_fail(EXIT_UPSTREAM, "%s", why ? why : "the host did not greet us");
    }
    return exit_code;
}

/* -- Evaluating -------------------------------------------------------------------------------- */

static void print_answer(const json_t *answer) {
    const char *notice = out_text(answer, "notice"), *text = out_text(answer, "text");
    const json_t *error = json_object_get(answer, "error");
    if (notice != NULL)
        out_note("%s%s%s", out_color(stderr, OUT_YELLOW), notice, out_color(stderr, OUT_PLAIN));
    if (text != NULL && *text != 0) {
        printf("%s%s", text, text[strlen(text) - 1] == '\n' ? "" : "\n");
        fflush(stdout);
    }
    if (error == NULL)
        return;
    if (json_is_true(json_object_get(answer, "interrupted")))
        fputc('\n', stderr); /* the terminal wrote ^C */
    const char *traceback = out_text(error, "traceback");
    out_note("%s%s%s", out_color(stderr, OUT_RED), out_text(error, "message"),
             out_color(stderr, OUT_PLAIN));
    if (traceback != NULL)
        out_note("%s%s%s", out_color(stderr, OUT_DIM), traceback, out_color(stderr, OUT_PLAIN));
}

static void print_json(struct session *session, json_t *answer) {
    size_t size;
    char *printed = text_take(&session->output, &size);
    if (size > 0)
        json_object_set_new(answer, "output", json_stringn(printed, size));
    out_json(answer);
    free(printed);
}

/* Whole: an unfinished chunk is an error, not a beginning. */
static json_t *evaluate(struct session *session, const char *text, size_t size, const char *name,
                        bool whole, int *exit_code) {
    json_t *code = json_stringn(text, size);
    if (code == NULL) {
        *exit_code = out_fail(EXIT_FAILED, "%s is no UTF-8", name);
        session->lost = true;
        return NULL;
    }
    json_t *request = json_pack("{s:s, s:o, s:s, s:b, s:b, s:b, s:i}", "op", "eval", "text", code,
                                "name", name, "whole", whole, "json", session->json, "color",
                                *out_color(stdout, OUT_RED) != 0, "width", out_columns(NULL));
    json_t *answer = ask(session, request, exit_code);
    bool incomplete = json_is_true(json_object_get(answer, "incomplete"));
    if (answer != NULL && !incomplete) {
        *exit_code = json_is_true(json_object_get(answer, "ok")) ? EXIT_OK : EXIT_FAILED;
        if (session->json)
            print_json(session, answer);
        else
            print_answer(answer);
    }
    return answer;
}

static int evaluate_whole(struct session *session, const char *text, size_t size,
                          const char *name) {
    int exit_code = EXIT_FAILED;
    json_decref(evaluate(session, text, size, name, true, &exit_code));
    return exit_code;
}

/* -- Files and pipes --------------------------------------------------------------------------- */

static int evaluate_file(struct session *session, const char *path) {
    bool standard = strcmp(path, "-") == 0;
    FILE *file = standard ? stdin : fopen(path, "re");
    if (file == NULL)
        return out_fail(EXIT_USAGE, "%s: %s", path, strerror(errno));
    struct text text = {0};
    char block[16384];
    size_t size;
    while ((size = fread(block, 1, sizeof block, file)) > 0)
        text_add(&text, block, size);
    if (!standard)
        fclose(file);
    char *bytes = memory_need(text_take(&text, &size));
    /* A first line for the kernel ("#!/usr/bin/env -S stance console") becomes a comment. */
    if (size > 2 && memcmp(bytes, "#!", 2) == 0)
        memcpy(bytes, "--", 2);
    int code = evaluate_whole(session, bytes, size, standard ? "stdin" : path);
    free(bytes);
    return code;
}

/* Lines as if typed: an unfinished chunk goes on in the next one. Stops at the first error. */
static int evaluate_lines(struct session *session) {
    struct text chunk = {0};
    char *line = NULL;
    size_t room = 0;
    ssize_t size;
    int code = EXIT_OK;
    while (code == EXIT_OK && !session->lost && (size = getline(&line, &room, stdin)) > 0) {
        text_add(&chunk, line, (size_t)size);
        json_t *answer = evaluate(session, chunk.bytes, chunk.size, "stdin", false, &code);
        if (!json_is_true(json_object_get(answer, "incomplete")))
            text_drop(&chunk);
        json_decref(answer);
    }
    if (code == EXIT_OK && chunk.size > 0)
        code = evaluate_whole(session, chunk.bytes, chunk.size, "stdin");
    text_drop(&chunk);
    free(line);
    return code;
}

/* -- A person ---------------------------------------------------------------------------------- */

/* ~/.local/state/stance/console_history; NULL where there is no home. */
static char *history_path(void) {
    const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    char *base = state != NULL && *state == '/' ? memory_printf("%s", state)
                 : home != NULL && *home == '/' ? memory_printf("%s/.local/state", home)
                                                : NULL;
    if (base == NULL)
        return NULL;
    char *folder = memory_printf("%s/stance", base);
    folders_make(folder, 0700);
    char *path = memory_printf("%s/console_history", folder);
    free(folder);
    free(base);
    return path;
}

static bool on_watched(void *arg) {
    struct session *session = arg;
    struct err err;
    if (console_client_listen(session->client, &err) == 0)
        return true;
    out_fail(EXIT_UPSTREAM, "%s", err.message);
    session->lost = true;
    return false;
}

static void on_complete(void *arg, const char *line, struct line_candidates *out) {
    struct session *session = arg;
    int code;
    json_decref(session->candidates);
    session->candidates = NULL;
    json_t *answer = ask(session, json_pack("{s:s, s:s}", "op", "complete", "text", line), &code);
    session->candidates = answer;
    const json_t *names = json_object_get(answer, "candidates");
    size_t most = sizeof session->names / sizeof *session->names;
    for (size_t i = 0; i < json_array_size(names) && out->count < most; i++)
        session->names[out->count++] = json_string_value(json_array_get(names, i));
    out->names = (char **)session->names;
    json_int_t from = json_integer_value(json_object_get(answer, "from"));
    out->from = from > 0 ? (size_t)from - 1 : 0;
}

static bool is_blank(const char *text) {
    return text[strspn(text, " \t\n")] == 0;
}

static bool is_quit(const char *text) {
    size_t start = strspn(text, " \t");
    size_t length = strcspn(text + start, " \t\n");
    return (length == 5 && memcmp(text + start, ":quit", 5) == 0) ||
           (length == 2 && memcmp(text + start, ":q", 2) == 0);
}

static void prompt_of(char *prompt, size_t size, const char *words) {
    const char *bold = out_color(stdout, OUT_BOLD), *plain = out_color(stdout, OUT_PLAIN);
    bool color = *bold != 0;
    snprintf(prompt, size, "%s%s%s%s%s%s%s ", color ? "\1" : "", bold, color ? "\1" : "", words,
             color ? "\1" : "", plain, color ? "\1" : "");
}

/* One chunk, which may take several lines. */
static void take_line(struct session *session, struct line_editor *editor, struct text *chunk,
                      const char *line) {
    if (chunk->size > 0)
        text_add(chunk, "\n", 1);
    text_add(chunk, line, strlen(line));
    int code;
    json_t *answer = evaluate(session, chunk->bytes, chunk->size, "console", false, &code);
    if (!json_is_true(json_object_get(answer, "incomplete"))) {
        line_editor_remember(editor, chunk->bytes);
        text_drop(chunk);
    }
    json_decref(answer);
}

static int converse(struct session *session, const json_t *hello) {
    char *history = history_path();
    struct line_editor_options options = {
        .history = history,
        .watch_fd = console_client_fd(session->client),
        .watched = on_watched,
        .complete = on_complete,
        .arg = session,
    };
    struct line_editor *editor;
    struct err err;
    if (line_editor_new(&options, &editor, &err) != 0) {
        free(history);
        return out_fail(EXIT_FAILED, "%s; --eval, a file or a pipe work without", err.message);
    }
    out_note("stance %s, process %lld, generation %s; `:help` helps, Ctrl-D leaves",
             out_text(hello, "version"),
             (long long)json_integer_value(json_object_get(hello, "pid")),
             out_text(hello, "generation"));
    char first[64], next[64];
    prompt_of(first, sizeof first, "stance>");
    prompt_of(next, sizeof next, "     ->");
    struct text chunk = {0};
    while (!session->lost) {
        char *line = NULL;
        enum line_end end = line_editor_read(editor, chunk.size > 0 ? next : first, &line);
        bool quits = end == LINE_OVER || (end == LINE_READ && chunk.size == 0 && is_quit(line));
        if (end == LINE_INTERRUPTED)
            text_drop(&chunk);
        else if (!quits && (chunk.size > 0 || !is_blank(line)))
            take_line(session, editor, &chunk, line);
        free(line);
        if (quits) {
            if (end == LINE_OVER)
                putchar('\n');
            break;
        }
    }
    text_drop(&chunk);
    line_editor_free(editor);
    free(history);
    return session->lost ? EXIT_UPSTREAM : EXIT_OK;
}

/* -- The command ------------------------------------------------------------------------------- */

static int find_socket(const char *socket, const char *data, char *path, size_t size) {
    struct config_flag flags[2];
    size_t count = 0;
    if (socket != NULL)
        flags[count++] = (struct config_flag){"socket", socket};
    if (data != NULL)
        flags[count++] = (struct config_flag){"data", data};
    struct config *config = NULL;
    struct err err;
    if (config_load(&config, flags, count, &err) != 0)
        return out_fail(EXIT_CONFIG, "%s", err.message);
    process_socket_path(config, path, size);
    config_free(config);
    return EXIT_OK;
}

static int run(struct session *session, const struct option_list *codes, const char *file,
               const json_t *hello) {
    int code = EXIT_OK;
    for (size_t i = 0; i < codes->count && code == EXIT_OK; i++)
        code = evaluate_whole(session, codes->items[i], strlen(codes->items[i]), "console");
    if (code != EXIT_OK || (codes->count > 0 && file == NULL))
        return code;
    if (file != NULL)
        return evaluate_file(session, file);
    return isatty(STDIN_FILENO) && isatty(STDOUT_FILENO) && !session->json
               ? converse(session, hello)
               : evaluate_lines(session);
}

int cli_console(int argc, char **argv) {
    const char *socket = NULL, *data = NULL;
    struct option_list codes = {.count = 0};
    struct session session = {.json = false};
    const struct option options[] = {
        {"eval", 'e', OPTION_LIST, &codes, "CODE", "evaluate this and leave; may be given again"},
        {"socket", 0, OPTION_TEXT, &socket, "PATH",
         "the host's console (default: $STANCE_SOCKET, DATA/console.sock)"},
        {"data", 0, OPTION_TEXT, &data, "DIR", "the host's data folder"},
        {"json", 0, OPTION_FLAG, &session.json, NULL, "one JSON object an evaluation"},
        {NULL, 0, OPTION_FLAG, NULL, NULL, NULL},
    };
    const struct usage usage = {
        "console",
        "  stance console                             a prompt on the running host\n"
        "  stance console -e 'jobs:counts()'          one line, its values on stdout\n"
        "  stance console -e ':fibers' -e ':workers'\n"
        "  stance console mend.lua                    a file; - is stdin as one chunk\n"
        "  echo 'jobs:counts()' | stance console --json",
        "[FILE]",
        "Evaluates Lua in the running host: an expression shows its values, a statement runs. "
        "Lines from a\npipe are taken as if typed, until one fails. Results go to stdout, errors "
        "to "
        "stderr with exit code 1.\nIt needs the rights of the host's user; each evaluation is "
        "audited. NO_COLOR turns colours off.",
        options,
        0,
        1,
    };
    int operands;
    int code = options_parse(&usage, argc, argv, &operands);
    if (code != OPTIONS_GO_ON)
        return code;
    char path[PATH_MAX];
    code = find_socket(socket, data, path, sizeof path);
    json_t *hello = NULL;
    bool person = codes.count == 0 && operands == 0 && isatty(STDIN_FILENO);
    if (code == EXIT_OK)
        code = open_session(&session, path, person, &hello);
    if (code == EXIT_OK)
        code = run(&session, &codes, operands > 0 ? argv[1] : NULL, hello);
    json_decref(hello);
    json_decref(session.candidates);
    console_client_free(session.client);
    text_drop(&session.output);
    return code;
}
