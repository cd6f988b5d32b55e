/* pose_child.c - `stance pose --child`: the process that looks at pictures for the one that started
 * it (media/pose_pool.h).
 *
 * It reads the model and prepares the networks, then gives up every right that it does not need to
 * decode and compute, and only then sees a picture. */
#include <fcntl.h>
#include <signal.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/options.h"
#include "cli/output.h"
#include "core/child.h"
#include "core/log.h"
#include "media/pose_child.h"
#include "media/pose_models.h"
#include "sandbox/confine.h"

/* Room for two of the largest messages and pictures, and what decoding them takes. */
static const uint64_t picture_memory = 1ull << 30;

static int open_engine(const char *model, const char *backend, struct gpu_pose_engine **engine,
                       struct err *err) {
    struct gpu_pose_files files;
    char why[GPU_WHY_SIZE];
    int code = pose_models_read(model, &files, err);
    if (code != 0)
        return code;
    code = gpu_pose_engine_new(&files, backend, engine, why);
    pose_models_free(&files);
    if (code == 0)
        return 0;
    return err_set(err,
                   code == GPU_EDEVICE  ? ERR_UNSUPPORTED
                   : code == GPU_ENOMEM ? ERR_NO_MEMORY
                                        : ERR_CORRUPT,
                   "%s", why);
}

static int confine(const struct gpu_pose_engine *engine, struct confine_warning *warning,
                   struct err *err) {
    bool on_gpu = strncmp(gpu_pose_engine_backend(engine), "cuda", 4) == 0;
    struct confine_options options = {.flags = on_gpu ? CONFINE_GPU : 0,
                                      .memory = on_gpu ? 0 : picture_memory};
    return confine_process(&options, warning, err);
}

static int serve(struct loop *loop, const char *model, const char *backend) {
    struct pose_child *child;
    struct gpu_pose_engine *engine = NULL;
    struct confine_warning warning;
    struct err err;
    if (pose_child_new(loop, CHILD_LINK_FD, &child, &err) != 0)
        return out_fail(EXIT_FAILED, "%s", err.message);
    if (open_engine(model, backend, &engine, &err) != 0 || confine(engine, &warning, &err) != 0) {
        pose_child_give_up(child, &err);
    } else {
        pose_child_begin(child, engine, warning.text);
        loop_run(loop);
    }
    pose_child_free(child);
    gpu_pose_engine_free(engine);
    return EXIT_OK;
}

int cli_pose_child(int argc, char **argv) {
    bool is_child = false;
    const char *model = "full", *backend = "auto";
    const struct option own[] = {
        {"child", 0, OPTION_FLAG, &is_child, NULL, "look at what descriptor 3 brings"},
        {"model", 0, OPTION_TEXT, &model, "NAME", "lite, full or heavy"},
        {"backend", 0, OPTION_TEXT, &backend, "NAME", "auto, cpu or cuda"},
        {0},
    };
    const struct usage usage = {
        .command = "pose",
        .about = "Looks at pictures for the process that started it. Not for calling by hand.",
        .options = own,
    };
    int operands;
    int code = options_parse(&usage, argc, argv, &operands);
    if (code != OPTIONS_GO_ON)
        return code;
    if (fcntl(CHILD_LINK_FD, F_GETFD) < 0)
        return out_fail(EXIT_USAGE, "a pose process is started by those who need it");
    signal(SIGPIPE, SIG_IGN);
    signal(SIGHUP, SIG_IGN); /* a terminal sends it to all; our parent ends us */
    struct loop loop;
    struct err err;
    if (loop_init(&loop, &err) != 0)
        return out_fail(EXIT_FAILED, "%s", err.message);
    code = serve(&loop, model, backend);
    loop_deinit(&loop);
    return code;
}
