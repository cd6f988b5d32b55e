/* doctor.c - `stance doctor`: what on this machine stands in the way, and what to do about it. */
#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <netdb.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "cli/client.h"
#include "cli/commands.h"
#include "cli/jobs.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/probe.h"
#include "cli/process.h"
#include "core/version.h"

enum verdict { OK, WARN, FAIL };

enum { FREE_WARN_MB = 2000, FREE_FAIL_MB = 100, FILES_WARN = 1024, TEXT_SIZE = 600 };

struct report {
    json_t *checks;
    bool json;
    int worst;
};

/* One line; `remedy` may be NULL. */
static void tell(struct report *report, enum verdict verdict, const char *name, const char *remedy,
                 const char *format, ...) __attribute__((format(printf, 5, 6)));

static void tell(struct report *report, enum verdict verdict, const char *name, const char *remedy,
                 const char *format, ...) {
    static const char *const words[] = {"OK", "WARN", "FAIL"};
    static const enum out_color colors[] = {OUT_GREEN, OUT_YELLOW, OUT_RED};
    char detail[TEXT_SIZE];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(detail, sizeof detail, format, arguments);
    va_end(arguments);
    report->worst = (int)verdict > report->worst ? (int)verdict : report->worst;
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
    char path[PATH_MAX], folder[PATH_MAX];
    struct err err;
    ssize_t length = readlink("/proc/self/exe", path, sizeof path - 1);
    if (length < 0) {
        tell(report, FAIL, "executable", "mount /proc", "/proc/self/exe: %s", strerror(errno));
        return;
    }
    path[length] = '\0';
    tell(report, OK, "executable", NULL, "stance %s at %s", STANCE_VERSION, path);
    if (process_lua_dir(folder, sizeof folder, &err) < 0) {
        tell(report, FAIL, "scripts",
             "`make install`, or set STANCE_LUA to the folder lua/ of the source", "%s",
             err.message);
    } else {
        tell(report, OK, "scripts", NULL, "%s", folder);
    }
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
    tell(report, OK, "libraries", NULL, "%s", text);
    json_decref(libraries);
    if (!probe_event_library()) {
        tell(report, FAIL, "event loop", "deploy/install-deps (package libwebsockets-evlib-ev)",
             "libwebsockets' libev plug-in is not installed");
    }
}

static void check_kernels(struct report *report) {
    char text[TEXT_SIZE];
    if (probe_kernels("cpu", text, sizeof text)) {
        tell(report, OK, "kernels", NULL, "%s, %ld cores", text, sysconf(_SC_NPROCESSORS_ONLN));
    } else {
        tell(report, FAIL, "kernels", "build stance for this kind of processor", "%s", text);
    }
    bool driver = access("/proc/driver/nvidia/version", R_OK) == 0;
    if (probe_kernels("cuda", text, sizeof text)) {
        tell(report, OK, "gpu", NULL, "%s", text);
    } else if (driver) {
        tell(report, WARN, "gpu",
             "build on a machine with the CUDA toolkit; until then the CPU draws",
             "NVIDIA driver found, but %s", text);
    } else {
        tell(report, OK, "gpu", NULL, "none here; the CPU draws");
    }
}

static void check_limits(struct report *report) {
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < FILES_WARN) {
        tell(report, WARN, "open files", "ulimit -n 65536",
             "at most %llu, few for many connections", (unsigned long long)files.rlim_cur);
    }
}

/* -- Where the host would live ----------------------------------------------------------------- */

/* The folder itself, or the nearest above it that exists. */
static void nearest_folder(const char *path, char *found, size_t size) {
    snprintf(found, size, "%s", path);
    while (access(found, F_OK) < 0) {
        char *slash = strrchr(found, '/');
        if (!slash || slash == found) {
            snprintf(found, size, "/");
            return;
        }
        *slash = '\0';
    }
}

static void check_data(struct report *report, const char *path) {
    char folder[PATH_MAX];
    struct stat status;
    struct statvfs space;
    nearest_folder(path, folder, sizeof folder);
    bool exists = strcmp(folder, path) == 0;
    if (stat(folder, &status) < 0 || statvfs(folder, &space) < 0) {
        tell(report, FAIL, "data folder", "choose another with --data", "%s: %s", folder,
             strerror(errno));
        return;
    }
    double free_mb = (double)space.f_bavail * (double)space.f_frsize / 1e6;
    char room[32];
    out_bytes(free_mb * 1e6, room, sizeof room);
    if (!S_ISDIR(status.st_mode) || access(folder, W_OK | X_OK) < 0) {
        tell(report, FAIL, "data folder", "choose another with --data, or give it to this user",
             "%s is not a folder that we may write to", folder);
    } else if (exists && (status.st_mode & 077) != 0) {
        tell(report, FAIL, "data folder", "chmod 700 it: it holds what is private",
             "%s is open to other users (%03o)", path, (unsigned)status.st_mode & 0777);
    } else if (free_mb < FREE_FAIL_MB) {
        tell(report, FAIL, "data folder", "make room, or choose another with --data", "%s: %s free",
             path, room);
    } else if (free_mb < FREE_WARN_MB) {
        tell(report, WARN, "data folder", "make room before long jobs", "%s: %s free", path, room);
    } else {
        tell(report, OK, "data folder", NULL, "%s%s, %s free", path,
             exists ? "" : " (made at the first start)", room);
    }
}

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
    int code = client_get(client, "/api/status", &reply);
    bool refused = client_refused(client);
    if (code == EXIT_OK) {
        tell(report, OK, "host", NULL, "stance %s answers at %s", jobs_text(reply, "version"), url);
    } else if (!refused) {
        tell(report, FAIL, "host",
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
        tell(report, FAIL, "host", "choose another address with --listen", "%s: %s", listen,
             strerror(reason));
    } else {
        tell(report, OK, "host", NULL, "not running; %s is free for `stance serve`", listen);
    }
}

static void check_settings(struct report *report, const char *file) {
    struct config *config = NULL;
    struct err err;
    const struct config_flag flag = {"config", file};
    if (config_load(&config, &flag, file ? 1 : 0, &err) < 0) {
        tell(report, FAIL, "settings", "`stance config check` until it says OK", "%s", err.message);
        return;
    }
    const char *read = config_file(config);
    tell(report, OK, "settings", NULL, "%s",
         read ? read : "no config file; environment and defaults");
    check_data(report, config_string(config, "data"));
    const char *url = config_string(config, "url");
    if (!url || !*url) {
        check_listen(report, config_string(config, "listen"));
    } else if (!check_host(report, url)) {
        tell(report, WARN, "host", "`stance serve`, or unset STANCE_URL", "nobody answers at %s",
             url);
    }
    config_free(config);
}

int cli_doctor(int argc, char **argv) {
    struct report report = {0};
    const char *file = NULL;
    const struct option options[] = {
        {"config", 'c', OPTION_TEXT, &file, "FILE", "the config file (default: $STANCE_CONFIG)"},
        {"json", 0, OPTION_FLAG, &report.json, NULL, "one JSON object"},
        {NULL, 0, OPTION_FLAG, NULL, NULL, NULL},
    };
    const struct usage usage = {
        "doctor",
        "  stance doctor\n  stance doctor --json | jq '.checks[] | select(.status != \"OK\")'",
        NULL,
        "Checks this machine: a line each, OK, WARN or FAIL, with what to do. Exit code 1 on FAIL.",
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
    check_kernels(&report);
    check_limits(&report);
    check_settings(&report, file);
    if (report.json) {
        json_t *all = json_pack("{s:b, s:O}", "ok", report.worst < FAIL, "checks", report.checks);
        out_json(all);
        json_decref(all);
    }
    json_decref(report.checks);
    return report.worst == FAIL ? EXIT_FAILED : EXIT_OK;
}
