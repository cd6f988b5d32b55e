/* render.c - `stance render`: characters in, labelled pictures out, with or without a running host.
 */
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/commands.h"
#include "cli/fetch.h"
#include "cli/jobs.h"
#include "cli/memory.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/private_host.h"

enum { EXIT_INTERRUPTED = 130 };

/* What an option holds that was not given: no number that a person means. Numbers have NAN. */
#define NOT_GIVEN LONG_MIN

struct request {
    const char *url, *characters, *size, *clip, *output, *key;
    long angles;
    double time, distance, height, timeout;
    bool wait, force, json;
};

/* -- What is asked for ------------------------------------------------------------------------- */

/* A file's absolute path; a name without "/" and "." that is no file is one of the host's own
 * characters. */
static char *character_of(const char *operand) {
    char real[PATH_MAX];
    if (realpath(operand, real)) {
        return memory_need(strdup(real));
    }
    if (operand[0] == '/' || !strpbrk(operand, "/.")) {
        return memory_need(strdup(operand));
    }
    char *folder = memory_need(getcwd(NULL, 0));
    char *path =
        memory_printf("%s/%s", folder, strncmp(operand, "./", 2) == 0 ? operand + 2 : operand);
    free(folder);
    return path;
}

static void add_character(json_t *characters, const char *operand) {
    char *path = character_of(operand);
    json_array_append_new(characters, json_string(path));
    free(path);
}

static json_t *make_characters(const struct request *request, char **files, int count) {
    json_t *characters = json_array();
    for (int i = 0; i < count; i++) {
        add_character(characters, files[i]);
    }
    char *names = memory_need(strdup(request->characters ? request->characters : ""));
    for (char *rest = names, *name; (name = strtok_r(rest, ",", &rest));) {
        add_character(characters, name);
    }
    free(names);
    return characters;
}

static int add_size(json_t *params, const char *size) {
    char *end;
    long width = strtol(size, &end, 10), height = width;
    if (*end == 'x' || *end == 'X') {
        height = strtol(end + 1, &end, 10);
    }
    if (*end || width < 1 || height < 1) {
        return out_fail(EXIT_USAGE, "--size takes WIDTHxHEIGHT, as 512x512, not \"%s\"", size);
    }
    json_object_set_new(params, "size", json_pack("[i, i]", (int)width, (int)height));
    return EXIT_OK;
}

/* The submission; NULL when an option makes no sense, which is said. What was not given is left to
 * the workflow. */
static json_t *make_submission(const struct request *request, char **files, int count) {
    json_t *params = json_pack("{s:o}", "characters", make_characters(request, files, count));
    if (request->size && add_size(params, request->size) != EXIT_OK) {
        json_decref(params);
        return NULL;
    }
    if (request->angles != NOT_GIVEN) {
        json_object_set_new(params, "angles", json_integer(request->angles));
    }
    if (request->clip) {
        json_object_set_new(params, "clip", json_string(request->clip));
    }
    if (!isnan(request->time)) {
        json_object_set_new(params, "time", json_real(request->time));
    }
    if (!isnan(request->distance)) {
        json_object_set_new(params, "distance", json_real(request->distance));
    }
    if (!isnan(request->height)) {
        json_object_set_new(params, "height", json_real(request->height));
    }
    return json_pack("{s:s, s:o}", "job_type", "render", "params", params);
}

/* -- Doing it ---------------------------------------------------------------------------------- */

static void cancel(struct client *client, const char *job_id) {
    char *path = client_job_path(job_id, "/cancel");
    client_watch_interrupt(client, NULL);
    if (client_call(client, "POST", path, NULL, NULL, NULL) == EXIT_OK) {
        out_note("%s cancelled", job_id);
    }
    free(path);
}

/* "16 pictures, 16 label files, labels.coco.json, contact-sheet.png in out (8 ms CPU a picture)" */
static void print_made(const json_t *result, const char *folder) {
    static const char *const extras[] = {"coco", "contact_sheet"};
    const char *stage;
    json_t *seconds;
    double cpu = 0;
    double pictures = json_number_value(json_object_get(result, "images"));
    json_object_foreach(json_object_get(result, "cpu_seconds"), stage, seconds) {
        cpu += json_number_value(seconds);
    }
    printf("%.0f pictures, %.0f label files", pictures, pictures);
    for (size_t i = 0; i < sizeof extras / sizeof *extras; i++) {
        const char *name = jobs_text(result, extras[i]);
        printf("%s%s", *name ? ", " : "", name);
    }
    printf(" in %s", folder);
    if (pictures > 0 && cpu > 0) {
        printf(" (%.1f ms CPU a picture)", cpu / pictures * 1000);
    }
    putchar('\n');
}

static void tell_made(const struct request *request, json_t *manifest, const char *folder,
                      const struct fetched *fetched) {
    if (request->json) {
        json_object_set_new(manifest, "download",
                            json_pack("{s:s, s:I, s:I}", "output_dir", folder, "files",
                                      (json_int_t)fetched->files, "kept",
                                      (json_int_t)fetched->kept));
        out_json(manifest);
    } else {
        print_made(json_object_get(manifest, "result"), folder);
    }
}

/* Follows the job to its end and fetches what it made. */
static int finish(struct client *client, const struct request *request, const char *job_id) {
    json_t *manifest = NULL;
    struct fetched fetched;
    char *folder = jobs_folder(job_id, request->output);
    int code = folder ? jobs_follow(client, job_id, !request->json, request->timeout, &manifest)
                      : EXIT_UPSTREAM;
    int verdict = code == EXIT_OK ? jobs_verdict(manifest) : code;
    if (code == EXIT_OK && verdict != EXIT_JOB_FAILED) {
        code = fetch_artifacts(client, job_id, folder, request->force, &fetched);
        if (code == EXIT_OK) {
            tell_made(request, manifest, folder, &fetched);
        }
    } else if (code == EXIT_OK && request->json) {
        out_json(manifest);
    }
    if (jobs_interrupted()) {
        cancel(client, job_id);
        code = EXIT_INTERRUPTED;
    }
    json_decref(manifest);
    free(folder);
    return code == EXIT_OK ? verdict : code;
}

/* The job is in the queue: wait for it, or say where it is. */
static int accepted(struct client *client, const struct request *request, const json_t *manifest,
                    bool wait) {
    const char *job_id = jobs_text(manifest, "job_id");
    if (wait) {
        out_note("%s", job_id);
        return finish(client, request, job_id);
    }
    if (request->json) {
        out_json(manifest);
    } else {
        printf("%s\n", job_id);
        out_note("`stance job wait %s`, then `stance download --job %s`", job_id, job_id);
    }
    return EXIT_OK;
}

/* On the host that answers, else on one of our own for this one job. */
static int render(const struct request *request, const json_t *submission) {
    struct private_host *host = NULL;
    json_t *manifest = NULL;
    struct client *client = client_new(request->url);
    bool wait = request->wait || request->output;
    if (wait) {
        jobs_catch_interrupt(client);
    }
    int code = client_call(client, "POST", "/api/jobs", submission, request->key, &manifest);
    if (client_refused(client)) {
        out_note("no host is running at %s: starting one for this job", client_url(client));
        host = private_host_start();
        if (!host) {
            client_free(client);
            return EXIT_FAILED;
        }
        client_free(client);
        client = client_new(private_host_url(host));
        jobs_catch_interrupt(client);
        wait = true;
        code = client_call(client, "POST", "/api/jobs", submission, request->key, &manifest);
    }
    code =
        code == EXIT_OK ? accepted(client, request, manifest, wait) : client_report(client, code);
    json_decref(manifest);
    client_free(client);
    private_host_stop(host);
    return code;
}

int cli_render(int argc, char **argv) {
    struct request request = {.angles = NOT_GIVEN, .time = NAN, .distance = NAN, .height = NAN};
    int count = 0;
    const struct option options[] = {
        {"characters", 'c', OPTION_TEXT, &request.characters, "A,B",
         "more characters, by name or file"},
        {"angles", 'a', OPTION_INTEGER, &request.angles, "N", "views around each (default 8)"},
        {"size", 's', OPTION_TEXT, &request.size, "WxH", "of a picture (default 512x512)"},
        {"clip", 0, OPTION_TEXT, &request.clip, "NAME",
         "which of the file's motions, by name or number (default: a calm one)"},
        {"time", 't', OPTION_NUMBER, &request.time, "SECONDS", "when in the motion"},
        {"distance", 0, OPTION_NUMBER, &request.distance, "METRES", "of the camera (default 3.5)"},
        {"height", 0, OPTION_NUMBER, &request.height, "METRES", "of the camera (default 1.6)"},
        {"output", 'o', OPTION_TEXT, &request.output, "DIR", "wait, and put the files here"},
        {"wait", 'w', OPTION_FLAG, &request.wait, NULL,
         "wait, and put the files into stance-output/ID"},
        {"timeout", 0, OPTION_NUMBER, &request.timeout, "SECONDS", "wait at most so long"},
        {"force", 'f', OPTION_FLAG, &request.force, NULL,
         "replace files that are there with other content"},
        {"key", 'k', OPTION_TEXT, &request.key, "KEY",
         "idempotency key: the same key submits once"},
        {"url", 0, OPTION_TEXT, &request.url, "URL",
         "the host (default: $STANCE_URL, " CLIENT_DEFAULT_URL ")"},
        {"json", 0, OPTION_FLAG, &request.json, NULL, "one JSON object"},
        {NULL, 0, OPTION_FLAG, NULL, NULL, NULL},
    };
    const struct usage usage = {
        "render",
        "  stance render mannequin --wait\n"
        "  stance render walk.fbx knight.glb --output pictures\n"
        "  stance render body.vrm --angles 36 --size 1024x1024 --clip Walk --time 0.5 -o out",
        "FILE...",
        "Draws each character (FBX, glTF, GLB, VRM; `mannequin` is built in) from all around, with "
        "labels.\n"
        "Without a running host it starts one for this job, waits, fetches the files, and stops "
        "it.\n"
        "Exit code 1: some characters failed; 8: the job did.",
        options,
        0,
        -1,
    };
    if (argc > 1 && strcmp(argv[1], "--child") == 0) {
        return cli_render_child(argc, argv);
    }
    int code = options_parse(&usage, argc, argv, &count);
    if (code != OPTIONS_GO_ON) {
        return code;
    }
    if (count == 0 && !request.characters) {
        return options_misuse(&usage, "needs a FILE, or --characters");
    }
    json_t *submission = make_submission(&request, argv + 1, count);
    if (!submission) {
        return EXIT_USAGE;
    }
    code = render(&request, submission);
    json_decref(submission);
    return code;
}
