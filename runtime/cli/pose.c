/* pose.c - `stance pose`: people in pictures and films, without a host. What is done is
 * lua/stance/pose/tool.lua. */
#include <errno.h>
#include <limits.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/commands.h"
#include "cli/folders.h"
#include "cli/memory.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/tool.h"
#include "stance_gpu.h"
#include "store/roots.h"

enum {
    EXIT_INTERRUPTED = 130,
    AT_ONCE_MORE = 2, /* pictures that are read or written while each core looks at one */
    EVERY_MOST = 1000000,
};

static const char EXAMPLES[] =
    "  stance pose photo.jpg                          how many people, and how sure\n"
    "  stance pose photos/ --json > people.ndjson     33 landmarks each, a line a picture\n"
    "  stance pose dance.mp4 --npy -o out             arrays, frames x 33 x 4\n"
    "  stance pose photos/ dance.mp4 --overlay seen   pictures with the skeletons on them\n"
    "  stance pose frames/ --track 30 --json          numbered pictures as a film\n";

struct request {
    const char *model, *backend, *output, *overlay, *config;
    long people, every;
    double min_detection, min_tracking, track;
    bool json, npy, no_smooth;
};

/* -- What is asked for ------------------------------------------------------------------------- */

static int check_name(const struct usage *usage, const char *option, const char *given,
                      const char *const *names, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (strcmp(given, names[i]) == 0)
            return EXIT_OK;
    const char *meant = options_suggest(given, names, count, sizeof *names);
    if (meant != NULL)
        return options_misuse(usage, "--%s has no \"%s\"; did you mean \"%s\"?", option, given,
                              meant);
    return options_misuse(usage, "--%s is %s, %s or %s, not \"%s\"", option, names[0], names[1],
                          names[2], given);
}

/* Returns an exit code. */
static int check_request(const struct usage *usage, const struct request *request, int count) {
    static const char *const models[] = {"lite", "full", "heavy"};
    static const char *const backends[] = {"auto", "cpu", "cuda"};
    int code = check_name(usage, "model", request->model, models, 3);
    if (code == EXIT_OK)
        code = check_name(usage, "backend", request->backend, backends, 3);
    if (code != EXIT_OK)
        return code;
    if (count == 0)
        return options_misuse(usage, "needs a picture, a film or a folder");
    if (request->people < 1 || request->people > GPU_POSE_MAX_PEOPLE)
        return options_misuse(usage, "--people is 1 to %d, not %ld", GPU_POSE_MAX_PEOPLE,
                              request->people);
    if (request->every < 1 || request->every > EVERY_MOST)
        return options_misuse(usage, "--every is 1 to %d, not %ld", EVERY_MOST, request->every);
    if (request->track <= 0 || request->track > 1000)
        return options_misuse(usage, "--track takes frames a second, up to 1000");
    const double confidences[] = {request->min_detection, request->min_tracking};
    for (int i = 0; i < 2; i++)
        if (confidences[i] < 0 || confidences[i] > 1)
            return options_misuse(usage, "--min-%s is 0 to 1, not %g",
                                  i == 0 ? "detection" : "tracking", confidences[i]);
    const char *const folders[][2] = {{"output", request->output}, {"overlay", request->overlay}};
    for (int i = 0; i < 2; i++) {
        json_t *text = json_string(folders[i][1] ? folders[i][1] : "");
        if (text == NULL)
            return options_misuse(usage, "--%s is not UTF-8: give the folder another name",
                                  folders[i][0]);
        json_decref(text);
    }
    if (request->npy && request->output == NULL)
        return options_misuse(usage, "--npy needs a folder for the arrays: --output DIR");
    return EXIT_OK;
}

/* Scripts resolve no link that leads out of a folder; what the user names may be one. Names that
 * are not UTF-8 are left out. */
static json_t *list_operands(char **operands, int count) {
    json_t *list = json_array();
    for (int i = 0; i < count; i++) {
        char real[PATH_MAX], *given = NULL;
        if (realpath(operands[i], real) == NULL) {
            char *folder = memory_need(getcwd(NULL, 0));
            given = operands[i][0] == '/' ? memory_need(strdup(operands[i]))
                                          : memory_printf("%s/%s", folder, operands[i]);
            free(folder);
        }
        json_array_append_new(
            list, json_pack("{s:s, s:s}", "name", operands[i], "path", given ? given : real));
        free(given);
    }
    return list;
}

/* A confidence that was not given is left to the engine. */
static void set_confidence(json_t *engine, const char *name, double value) {
    if (!isnan(value))
        json_object_set_new(engine, name, json_real(value));
}

/* What stance.pose.tool takes. */
static char *describe(const struct request *request, json_t *operands) {
    json_t *engine =
        json_pack("{s:s, s:s, s:i, s:b}", "model", request->model, "backend", request->backend,
                  "people", (int)request->people, "smooth", !request->no_smooth);
    set_confidence(engine, "min_detection", request->min_detection);
    set_confidence(engine, "min_tracking", request->min_tracking);
    const char *lines = request->output == NULL          ? request->json ? "out" : NULL
                        : request->json || !request->npy ? "files"
                                                         : NULL;
    json_t *what = json_pack(
        "{s:o, s:o, s:s*, s:b, s:b, s:i, s:i, s:s*, s:b, s:b}", "operands", operands, "engine",
        engine, "json", lines, "npy", request->npy, "overlay", request->overlay != NULL, "every",
        (int)request->every, "at_once", AT_ONCE_MORE + (int)sysconf(_SC_NPROCESSORS_ONLN), "output",
        request->output ? request->output : request->overlay, "terminal",
        isatty(STDERR_FILENO) != 0, "color", *out_color(stderr, OUT_GREEN) != 0);
    if (!isnan(request->track))
        json_object_set_new(what, "track", json_real(request->track));
    char *text = memory_need(json_dumps(what, 0));
    json_decref(what);
    return text;
}

/* -- Doing it ---------------------------------------------------------------------------------- */

static int make_folder(struct roots *roots, const char *name, const char *path, struct err *err) {
    if (path == NULL)
        return 0;
    if (folders_make(path, 0777) < 0)
        return err_set_errno(err, errno, "cannot make the folder %s", path);
    return roots_add(roots, name, path, true, err);
}

static int exit_code(const char *code) {
    enum err_code error = err_from_name(code);
    return error == ERR_CANCELLED   ? EXIT_INTERRUPTED
           : error == ERR_NOT_FOUND ? EXIT_NOT_FOUND
           : error == ERR_TIMEOUT   ? EXIT_TIMEOUT
                                    : EXIT_FAILED;
}

/* How the script says that it went. */
static int verdict(const char *result) {
    json_t *answer = json_loads(result, 0, NULL);
    const char *code = json_string_value(json_object_get(answer, "code"));
    const char *message = json_string_value(json_object_get(answer, "message"));
    int status = EXIT_FAILED;
    if (code == NULL)
        status = out_fail(EXIT_FAILED, "stance.pose.tool does not say how it went: %s", result);
    else if (strcmp(code, "ok") == 0)
        status = EXIT_OK;
    else if (strcmp(code, "closed_output") == 0)
        (void)raise(SIGPIPE); /* as any filter ends whose reader has gone */
    else if (strcmp(code, "failed") != 0)
        status = out_fail(exit_code(code), "%s", message ? message : code);
    json_decref(answer);
    return status;
}

static int estimate(const struct config *config, const struct request *request,
                    const char *argument) {
    struct tool tool;
    struct scripts *scripts = NULL;
    struct err err;
    char *result = NULL;
    int code = tool_open(&tool, config, NULL, &err);
    if (code == 0)
        code = make_folder(tool.services.roots, "output", request->output, &err);
    if (code == 0)
        code = make_folder(tool.services.roots, "overlay", request->overlay, &err);
    if (code == 0)
        code = tool_read_scripts(NULL, &scripts, &err);
    const struct tool_call call = {.scripts = scripts,
                                   .module = "stance.pose.tool",
                                   .function = "run",
                                   .argument = argument,
                                   .unrestricted = true,
                                   .interruptible = true};
    if (code == 0)
        code = tool_call(&tool, &call, &result, &err);
    scripts_free(scripts);
    tool_close(&tool);
    signal(SIGPIPE, SIG_DFL); /* the loop had it ignored */
    if (code != 0)
        return out_fail(code == ERR_CANCELLED ? EXIT_INTERRUPTED : EXIT_FAILED, "%s", err.message);
    code = verdict(result);
    free(result);
    return code;
}

int cli_pose(int argc, char **argv) {
    struct request request = {.model = "full",
                              .backend = "auto",
                              .people = 1,
                              .every = 1,
                              .min_detection = NAN,
                              .min_tracking = NAN,
                              .track = NAN};
    int count = 0;
    const struct option options[] = {
        {"model", 'm', OPTION_TEXT, &request.model, "NAME", "lite, full (default) or heavy"},
        {"people", 'p', OPTION_INTEGER, &request.people, "N", "at most so many (default 1)"},
        {"json", 0, OPTION_FLAG, &request.json, NULL, "pose_v1, a line a picture or frame"},
        {"npy", 0, OPTION_FLAG, &request.npy, NULL,
         "arrays of landmarks and of metres, in the output folder"},
        {"output", 'o', OPTION_TEXT, &request.output, "DIR",
         "a file a picture or film there, instead of lines"},
        {"overlay", 0, OPTION_TEXT, &request.overlay, "DIR",
         "pictures with the skeletons drawn on them"},
        {"backend", 'b', OPTION_TEXT, &request.backend, "NAME", "auto (default), cpu or cuda"},
        {"every", 0, OPTION_INTEGER, &request.every, "N", "every N-th frame of films"},
        {"track", 0, OPTION_NUMBER, &request.track, "FPS",
         "folders are films, with so many frames a second"},
        {"no-smooth", 0, OPTION_FLAG, &request.no_smooth, NULL,
         "films: landmarks as they are found, unfiltered"},
        {"min-detection", 0, OPTION_NUMBER, &request.min_detection, "0..1",
         "how sure that somebody is there (default 0.5)"},
        {"min-tracking", 0, OPTION_NUMBER, &request.min_tracking, "0..1",
         "how sure to go on with them (default 0.5)"},
        {"config", 'c', OPTION_TEXT, &request.config, "FILE",
         "the config file (default: $STANCE_CONFIG)"},
        {0},
    };
    const struct usage usage = {
        .command = "pose",
        .examples = EXAMPLES,
        .operands = "PICTURE|FILM|FOLDER...",
        .about = "Finds people in pictures (JPEG, PNG, WebP) and follows them through films (what "
                 "ffmpeg reads):\n33 landmarks in the picture and in metres, as MediaPipe Pose "
                 "gives them. Needs no host.\nA file that cannot be read is told and does not end "
                 "the others; exit code 1 then.",
        .options = options,
        .most = -1,
    };
    if (argc > 1 && strcmp(argv[1], "--child") == 0)
        return cli_pose_child(argc, argv);
    int code = options_parse(&usage, argc, argv, &count);
    if (code != OPTIONS_GO_ON)
        return code;
    code = check_request(&usage, &request, count);
    if (code != EXIT_OK)
        return code;
    json_t *operands = list_operands(argv + 1, count);
    if (json_array_size(operands) < (size_t)count) {
        json_decref(operands);
        return options_misuse(&usage, "a name that is not UTF-8 cannot be given: give its folder");
    }
    struct config *config = NULL;
    code = tool_config(request.config, NULL, &config);
    if (code != EXIT_OK) {
        json_decref(operands);
        return code;
    }
    char *argument = describe(&request, operands);
    code = estimate(config, &request, argument);
    free(argument);
    config_free(config);
    return code;
}
