/* doctor.c - `stance doctor`: what on this machine stands in the way, and what to do about it. */
#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <netdb.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cli/client.h"
#include "cli/commands.h"
#include "cli/doctor.h"
#include "cli/jobs.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/probe.h"
#include "core/version.h"

enum { TEXT_SIZE = 600, HOST_SECONDS = 5 };

void doctor_tell(struct report *report, enum verdict verdict, const char *name, const char *remedy,
                 const char *format, ...) {
    static const char *const words[] = {"OK", "WARN", "FAIL"};
    static const enum out_color colors[] = {OUT_GREEN, OUT_YELLOW, OUT_RED};
    char detail[TEXT_SIZE];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(detail, sizeof detail, format, arguments);
    va_end(arguments);
    report->worst = verdict > report->worst ? verdict : report->worst;
    json_array_append_new(report->checks,
                          json_pack("{s:s, s:s, s:s, s:s?}", "name", name, "status", words[verdict],
                                    "detail", detail, "remedy", remedy));
    if (!report->json) {
        printf("%s%-4s%s %-12s %s\n", out_color(stdout, colors[verdict]), words[verdict],
               out_color(stdout, OUT_PLAIN), name, detail);
        if (remedy) {
            printf("     %-12s -> %s\n", "", remedy);
        }
    }
}

/* -- This program ------------------------------------------------------------------------------ */

static void check_program(struct report *report) {
    char path[PATH_MAX];
    ssize_t length = readlink("/proc/self/exe", path, sizeof path - 1);
    if (length < 0) {
        doctor_tell(report, VERDICT_FAIL, "executable", "mount /proc", "/proc/self/exe: %s",
                    strerror(errno));
        return;
    }
    path[length] = '\0';
    doctor_tell(report, VERDICT_OK, "executable", NULL, "stance %s at %s", STANCE_VERSION, path);
}

static void check_libraries(struct report *report) {
    char text[TEXT_SIZE] = "";
    json_t *libraries = probe_libraries();
    const char *name;
    json_t *version;
    json_object_foreach(libraries, name, version) {
        size_t used = strlen(text);
        snprintf(text + used, sizeof text - used, "%s%s %s", used ? ", " : "", name,
                 json_string_value(version));
    }
    doctor_tell(report, VERDICT_OK, "libraries", NULL, "%s", text);
    json_decref(libraries);
    if (!probe_event_library()) {
        doctor_tell(report, VERDICT_FAIL, "event loop",
                    "deploy/install-deps (package libwebsockets-evlib-ev)",
                    "libwebsockets' libev plug-in is not installed");
    }
}

/* -- Where the host would live ----------------------------------------------------------------- */

/* 0 when the address can be listened on, else errno. */
static int try_listen(const char *host, const char *port) {
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    struct addrinfo *address = NULL;
    int reason = EADDRNOTAVAIL;
    if (getaddrinfo(host, port, &hints, &address) != 0) {
        return reason;
    }
    int fd = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int on = 1;
    if (fd >= 0) {
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
        reason = bind(fd, address->ai_addr, address->ai_addrlen) < 0 ? errno : 0;
        close(fd);
    }
    freeaddrinfo(address);
    return reason;
}

/* Whether a host answers there; false when nobody listens. */
static bool check_host(struct report *report, const char *url) {
    struct client *client = client_new(url);
    json_t *reply = NULL;
    client_set_patience(client, HOST_SECONDS);
    int code = client_get(client, "/api/status", &reply);
    bool refused = client_refused(client);
    if (code == EXIT_OK) {
        doctor_tell(report, VERDICT_OK, "host", NULL, "stance %s answers at %s",
                    jobs_text(reply, "version"), url);
    } else if (code == EXIT_TIMEOUT) {
        doctor_tell(report, VERDICT_FAIL, "host", "is it stuck? Its log tells; else end it",
                    "what listens at %s does not answer within %d s", url, HOST_SECONDS);
    } else if (!refused) {
        doctor_tell(report, VERDICT_FAIL, "host",
                    "another program has the port: `stance serve --listen 127.0.0.1:PORT`",
                    "what answers at %s is no stance host", url);
    }
    json_decref(reply);
    client_free(client);
    return !refused;
}

static void check_listen(struct report *report, const char *listen) {
    char host[256], url[300];
    const char *colon = strrchr(listen, ':');
    snprintf(host, sizeof host, "%.*s", colon ? (int)(colon - listen) : 0, listen);
    snprintf(url, sizeof url, "http://%s", listen);
    if (check_host(report, url)) {
        return;
    }
    char *bare = host[0] == '[' ? host + 1 : host;
    bare[strcspn(bare, "]")] = '\0';
    int reason = colon ? try_listen(bare, colon + 1) : EINVAL;
    if (reason != 0) {
        doctor_tell(report, VERDICT_FAIL, "host", "choose another address with --listen", "%s: %s",
                    listen, strerror(reason));
    } else {
        doctor_tell(report, VERDICT_OK, "host", NULL, "not running; %s is free for `stance serve`",
                    listen);
    }
}

static bool is_default(const struct config *config, const char *name) {
    size_t count;
    const struct config_row *rows = config_rows(config, &count);
    for (size_t i = 0; i < count; i++) {
        if (strcmp(rows[i].name, name) == 0) {
            return rows[i].is_default;
        }
    }
    return true;
}

static void check_settings(struct report *report, const struct config_flag *flags, size_t count) {
    struct config *config = NULL;
    struct err err;
    if (config_load(&config, flags, count, &err) < 0) {
        doctor_tell(report, VERDICT_FAIL, "settings", "`stance config check` until it says OK",
                    "%s", err.message);
        return;
    }
    const char *read = config_file(config);
    doctor_tell(report, VERDICT_OK, "settings", NULL, "%s",
                read ? read : "no config file; environment and defaults");
    doctor_storage(report, config);
    doctor_scripts(report, config);
    const char *url = config_string(config, "url");
    if (is_default(config, "url")) {
        check_listen(report, config_string(config, "listen"));
    } else if (!check_host(report, url)) {
        doctor_tell(report, VERDICT_WARN, "host", "`stance serve`, or unset STANCE_URL",
                    "nobody answers at %s", url);
    }
    config_free(config);
}

int cli_doctor(int argc, char **argv) {
    struct report report = {0};
    const char *file = NULL, *workspace = NULL;
    const struct option options[] = {
        {"config", 'c', OPTION_TEXT, &file, "FILE", "the config file (default: $STANCE_CONFIG)"},
        {"workspace", 0, OPTION_TEXT, &workspace, "DIR", "scripts laid over the built-in ones"},
        {"json", 0, OPTION_FLAG, &report.json, NULL, "one JSON object"},
        {NULL, 0, OPTION_FLAG, NULL, NULL, NULL},
    };
    const struct usage usage = {
        "doctor",
        "  stance doctor\n  stance doctor --json | jq '.checks[] | select(.status != \"OK\")'",
        NULL,
        "Checks this machine: a line each, OK, WARN or FAIL, with what to do. Checks of your own "
        "are\n"
        "scripts in WORKSPACE/doctor (`stance new doctor NAME`). Exit code 1 on FAIL.",
        options,
        0,
        0,
    };
    int code = options_parse(&usage, argc, argv, NULL);
    if (code != OPTIONS_GO_ON) {
        return code;
    }
    report.checks = json_array();
    check_program(&report);
    check_libraries(&report);
    doctor_machine(&report);
    struct config_flag flags[2];
    size_t count = 0;
    if (file) {
        flags[count++] = (struct config_flag){"config", file};
    }
    if (workspace) {
        flags[count++] = (struct config_flag){"workspace", workspace};
    }
    check_settings(&report, flags, count);
    if (report.json) {
        json_t *all =
            json_pack("{s:b, s:O}", "ok", report.worst < VERDICT_FAIL, "checks", report.checks);
        out_json(all);
        json_decref(all);
    }
    json_decref(report.checks);
    return report.worst == VERDICT_FAIL ? EXIT_FAILED : EXIT_OK;
}
