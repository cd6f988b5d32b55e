#include "core/trial.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/child.h"
#include "core/fiber.h"
#include "core/launch.h"

enum { ARGV_MAX = 66 };

/* Requests of the child: the scripts; well; or this followed by what is wrong. */
static const char ask_scripts[] = "scripts", say_well[] = "well", say_wrong[] = "wrong\n";

struct trial {
    struct loop *loop;
    const struct scripts *scripts;
    struct child *child;
    struct alarm *alarm;
    double seconds;
    void (*ended)(const char *reason, void *arg);
    void *arg;
    char *reason;
    bool is_over;
    void (*gone)(void *arg); /* dismissed */
    void *gone_arg;
};

static void tell_end(void *arg) {
    struct trial *trial = arg;
    trial->alarm = NULL;
    void (*ended)(const char *, void *) = trial->ended;
    ended(trial->reason, trial->arg); /* which dismisses the trial */
}

/* The callback may free what is calling here, so it waits for the loop. */
static void end_trial(struct trial *trial, const char *reason, size_t size) {
    if (trial->is_over)
        return;
    trial->is_over = true;
    trial->reason = reason ? strndup(reason, size) : NULL;
    alarm_stop(trial->alarm);
    trial->alarm = alarm_start(trial->loop, 0, tell_end, trial);
}

static void on_request(struct link *link, uint64_t id, const char *payload, size_t size,
                       void *arg) {
    struct trial *trial = arg;
    struct err err;
    size_t wrong = sizeof say_wrong - 1;
    if (size == sizeof ask_scripts - 1 && memcmp(payload, ask_scripts, size) == 0) {
        size_t packed_size;
        char *packed = scripts_pack(trial->scripts, &packed_size);
        if (packed == NULL || link_reply(link, id, true, packed, packed_size, &err) != 0)
            end_trial(trial, "out of memory", SIZE_MAX);
        free(packed);
        return;
    }
    link_reply(link, id, true, "", 0, &err);
    if (size >= wrong && memcmp(payload, say_wrong, wrong) == 0)
        end_trial(trial, payload + wrong, size - wrong);
    else
        end_trial(trial, NULL, 0);
}

static void on_child_exit(struct child *child, const struct child_exit *end, void *arg) {
    (void)child;
    char reason[160];
    if (end->signal != 0)
        snprintf(reason, sizeof reason,
                 "loading the scripts ended a process that tried it, by signal %d (%s)",
                 end->signal, strsignal(end->signal));
    else
        snprintf(reason, sizeof reason,
                 "the process that tries the scripts ended with status %d; its log says why",
                 end->status);
    end_trial(arg, reason, SIZE_MAX);
}

static void on_gone(struct child *child, void *arg) {
    struct trial *trial = arg;
    trial->child = NULL;
    child_free(child);
    if (trial->gone != NULL)
        trial_dismiss(trial, trial->gone, trial->gone_arg);
}

static void time_is_up(void *arg) {
    struct trial *trial = arg;
    char reason[160];
    trial->alarm = NULL;
    snprintf(reason, sizeof reason,
             "the scripts did not load within %g s: one hangs in a call such as string.find, "
             "or there are too many",
             trial->seconds);
    end_trial(trial, reason, SIZE_MAX);
}

int trial_start(struct loop *loop, const char *const *arguments, const struct scripts *scripts,
                double seconds, void (*ended)(const char *reason, void *arg), void *arg,
                struct trial **out, struct err *err) {
    char program[LAUNCH_PATH_SIZE];
    const char *argv[ARGV_MAX] = {program};
    for (size_t i = 0; i + 2 < ARGV_MAX && arguments[i] != NULL; i++)
        argv[i + 1] = arguments[i];
    int code = launch_own_program(program, err);
    struct trial *trial = code == 0 ? calloc(1, sizeof *trial) : NULL;
    if (trial == NULL)
        return code ? code : err_set(err, ERR_NO_MEMORY, "out of memory");
    *trial = (struct trial){
        .loop = loop, .scripts = scripts, .seconds = seconds, .ended = ended, .arg = arg};
    struct child_options options = {
        .name = "trial",
        .argv = argv,
        .heartbeat = -1,
        .link = {.callbacks = {.request = on_request}, .arg = trial},
        .on_exit = on_child_exit,
        .on_gone = on_gone,
        .arg = trial,
    };
    code = child_spawn(loop, &options, &trial->child, err);
    if (code != 0) {
        free(trial);
        return code;
    }
    trial->alarm = alarm_start(loop, seconds, time_is_up, trial);
    *out = trial;
    return 0;
}

void trial_free(struct trial *trial) {
    if (trial == NULL)
        return;
    alarm_stop(trial->alarm);
    child_free(trial->child);
    free(trial->reason);
    free(trial);
}

void trial_dismiss(struct trial *trial, void (*gone)(void *arg), void *arg) {
    trial->is_over = true;
    trial->gone = gone;
    trial->gone_arg = arg;
    alarm_stop(trial->alarm);
    trial->alarm = NULL;
    if (trial->child != NULL) {
        child_stop(trial->child, 0.5);
        return;
    }
    trial_free(trial);
    gone(arg);
}

/* -- The child's side -------------------------------------------------------------------------- */

struct taking {
    void (*taken)(struct scripts *scripts, const struct err *err, void *arg);
    void *arg;
};

static void on_scripts(const struct err *err, bool ok, const char *payload, size_t size,
                       void *arg) {
    struct taking taking = *(struct taking *)arg;
    free(arg);
    struct scripts *scripts = NULL;
    struct err why;
    if (err != NULL)
        why = *err;
    else if (!ok)
        err_set(&why, ERR_UPSTREAM, "%.*s", (int)(size < 300 ? size : 300), payload);
    else if (scripts_unpack(payload, size, &scripts, &why) != 0)
        scripts = NULL;
    taking.taken(scripts, scripts ? NULL : &why, taking.arg);
}

int trial_take_scripts(struct link *link,
                       void (*taken)(struct scripts *scripts, const struct err *err, void *arg),
                       void *arg, struct err *err) {
    struct taking *taking = malloc(sizeof *taking);
    if (taking == NULL)
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    *taking = (struct taking){taken, arg};
    if (link_request(link, ask_scripts, sizeof ask_scripts - 1, 30, on_scripts, taking, err) != 0)
        return 0;
    free(taking);
    return err->code;
}

struct telling {
    void (*told)(void *arg);
    void *arg;
};

static void on_told(const struct err *err, bool ok, const char *payload, size_t size, void *arg) {
    (void)err, (void)ok, (void)payload, (void)size;
    struct telling telling = *(struct telling *)arg;
    free(arg);
    telling.told(telling.arg);
}

int trial_tell(struct link *link, const char *reason, void (*told)(void *arg), void *arg,
               struct err *err) {
    size_t size = reason ? strlen(reason) : 0;
    struct telling *telling = malloc(sizeof *telling);
    char *text = malloc(sizeof say_wrong + size);
    int code = 0;
    if (telling == NULL || text == NULL) {
        code = err_set(err, ERR_NO_MEMORY, "out of memory");
    } else {
        *telling = (struct telling){told, arg};
        strcpy(text, reason ? say_wrong : say_well);
        if (reason != NULL)
            strcat(text, reason);
        if (link_request(link, text, strlen(text), 10, on_told, telling, err) == 0)
            code = err->code;
    }
    if (code != 0)
        free(telling);
    free(text);
    return code;
}
