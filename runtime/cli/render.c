/* render.c - `stance render`: characters in, labelled pictures out, with or without a running host.
 */
#include <stdlib.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/fetch.h"
#include "cli/jobs.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/private_host.h"
#include "cli/render_params.h"

enum { EXIT_INTERRUPTED = 130 };

struct request {
    const char *url, *output, *key;
    double timeout;
    bool wait, force, json, verify;
};

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

static struct request given;

static const struct option own[] = {
    {"output", 'o', OPTION_TEXT, &given.output, "DIR", "wait, and put the files here"},
    {"wait", 'w', OPTION_FLAG, &given.wait, NULL, "wait, and put the files into stance-output/ID"},
    {"timeout", 0, OPTION_NUMBER, &given.timeout, "SECONDS", "wait at most so long"},
    {"force", 'f', OPTION_FLAG, &given.force, NULL,
     "replace files that are there with other content"},
    {"key", 'k', OPTION_TEXT, &given.key, "KEY", "idempotency key: the same key submits once"},
    {"url", 0, OPTION_TEXT, &given.url, "URL",
     "the host (default: $STANCE_URL, " CLIENT_DEFAULT_URL ")"},
    {"json", 0, OPTION_FLAG, &given.json, NULL, "one JSON object"},
    {"verify", 0, OPTION_FLAG, &given.verify, NULL, "instead: look whether folders are sound"},
    {NULL, 0, OPTION_FLAG, NULL, NULL, NULL},
};

static const char examples[] =
    "  stance render mannequin --wait\n"
    "  stance render walk.fbx knight.glb --output pictures\n"
    "  stance render body.vrm --angles 36 --size 1024x1024 --clip Walk --time 0.5 -o out\n"
    "  stance render body.glb --motion dance.bvh --frames 0:120:10 --samples 16 -o out\n"
    "  stance render a.glb b.glb --together --cameras sphere:count=200 --look random -o out\n"
    "  stance render a.glb -p maps='[\"depth\",\"part\"]' -p image=jpeg --numpy -o out";

int cli_render(int argc, char **argv) {
    struct option options[RENDER_OPTIONS_MAX + sizeof own / sizeof *own];
    size_t count = render_options(options);
    memcpy(options + count, own, sizeof own);
    const struct usage usage = {
        .command = "render",
        .examples = examples,
        .operands = "FILE...",
        .about = "Draws each character (FBX, glTF, GLB, VRM; `mannequin` is built in) from all "
                 "around, with labels.\n"
                 "Without a running host it starts one for this job, waits, fetches the files, "
                 "and stops it.\n"
                 "Exit code 1: some characters failed; 8: the job did.",
        .options = options,
        .most = -1,
    };
    if (argc > 1 && strcmp(argv[1], "--child") == 0) {
        return cli_render_child(argc, argv);
    }
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--verify") == 0) {
            return cli_render_verify(argc, argv);
        }
    }
    int operands;
    int code = options_parse(&usage, argc, argv, &operands);
    if (code != OPTIONS_GO_ON) {
        return code;
    }
    json_t *params = render_params(argv + 1, operands, &code);
    if (!params) {
        return code == OPTIONS_GO_ON ? options_misuse(&usage, "needs a FILE, or --characters")
                                     : code;
    }
    json_t *submission = json_pack("{s:s, s:o}", "job_type", "render", "params", params);
    code = render(&given, submission);
    json_decref(submission);
    return code;
}
