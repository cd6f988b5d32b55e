/* render_child.c - `stance render --child`: the process that reads one character's file for the one
 * that started it (media/scene_process.h). */
#include <fcntl.h>
#include <signal.h>

#include "cli/commands.h"
#include "cli/options.h"
#include "cli/output.h"
#include "core/child.h"
#include "media/scene_child.h"
#include "sandbox/confine.h"

static int confine(void *arg, struct err *err) {
    const long *memory = arg;
    return confine_process(&(struct confine_options){.memory = (uint64_t)*memory}, NULL, err);
}

int cli_render_child(int argc, char **argv) {
    bool is_child = false;
    long memory = 0;
    const struct option own[] = {
        {"child", 0, OPTION_FLAG, &is_child, NULL, "read what descriptor 3 brings"},
        {"memory", 0, OPTION_INTEGER, &memory, "BYTES", "that it may take"},
        {0},
    };
    const struct usage usage = {
        .command = "render",
        .about = "Reads a character for the process that started it. Not for calling by hand.",
        .options = own,
    };
    int operands;
    int code = options_parse(&usage, argc, argv, &operands);
    if (code != OPTIONS_GO_ON)
        return code;
    if (fcntl(CHILD_LINK_FD, F_GETFD) < 0)
        return out_fail(EXIT_USAGE, "an importing process is started by those who need it");
    signal(SIGPIPE, SIG_IGN);
    signal(SIGHUP, SIG_IGN); /* a terminal sends it to all; our parent ends us */
    return scene_child_serve(CHILD_LINK_FD, confine, &memory) == 0 ? EXIT_OK : EXIT_FAILED;
}
