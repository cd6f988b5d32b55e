/* The table of all settings, and finding one by name. */
#include <ctype.h>
#include <string.h>

#include "core/config.h"
#include "core/words.h"

#define KIB 1024.0
#define MIB (1024 * KIB)
#define GIB (1024 * MIB)

enum { NAME_SIZE = 64 };

static const struct config_setting settings[] = {
    {"config", CONFIG_PATH, NULL,
     "config file (default: ~/.config/stance/config.lua, /etc/stance/config.lua, if there)", 0, 0,
     NULL, false},
    {"listen", CONFIG_STRING, "127.0.0.1:5001", "where the host listens, HOST:PORT; 0: a free port",
     0, 0, NULL, false},
    {"data", CONFIG_PATH, NULL,
     "data folder (default: $XDG_DATA_HOME/stance, ~/.local/share/stance)", 0, 0, NULL, false},
    {"workspace", CONFIG_PATH, NULL,
     "folder of scripts laid over the built-in ones (default: DATA/workspace)", 0, 0, NULL, false},
    {"workers", CONFIG_INT, NULL, "worker processes (default: one a core, at most 8)", 0, 256, NULL,
     false},
    {"log_level", CONFIG_STRING, "info", "least level that is logged", 0, 0,
     "debug info warn error", false},
    {"log_format", CONFIG_STRING, "auto", "form of log lines; auto: text on a terminal, else JSON",
     0, 0, "auto json text", false},
    {"hosts", CONFIG_LIST, NULL, "names besides localhost that requests may give as Host", 0, 0,
     NULL, false},
    {"origins", CONFIG_LIST, NULL, "web origins besides the host's own that browsers may call from",
     0, 0, NULL, false},
    {"max_body", CONFIG_SIZE, "8 MiB", "largest request body that is held in memory", KIB, GIB,
     NULL, false},
    {"max_connections", CONFIG_INT, "10000", "connections at once; those beyond it get a 503", 1,
     60000, NULL, false},
    {"ws_send_budget", CONFIG_SIZE, "1 MiB", "unsent bytes after which a slow watcher is cut off",
     16 * KIB, GIB, NULL, false},
    {"socket", CONFIG_PATH, NULL, "where the console listens (default: DATA/console.sock)", 0, 0,
     NULL, false},
    {"job_lease", CONFIG_DURATION, "30s", "how long a silent worker keeps a job", 1, 3600, NULL,
     false},
    {"job_max_attempts", CONFIG_INT, "5",
     "ends of workers in a row, with no step done between, until a job is given up", 1, 100, NULL,
     false},
    {"read_roots", CONFIG_PATHS, "/", "folders that scripts may read", 0, 0, NULL, false},
    {"output_roots", CONFIG_PATHS, NULL,
     "folders that results may be written to (default: DATA/output)", 0, 0, NULL, false},
    {"characters_dir", CONFIG_PATH, NULL,
     "where characters are looked up by name (default: DATA/characters)", 0, 0, NULL, false},
    {"pose_processes", CONFIG_INT, "0",
     "pose processes of the host, or of a worker, but at least one for each model in use; 0: one a "
     "core, in a worker one",
     0, 64, NULL, false},
    {"pose_timeout", CONFIG_DURATION, "20s", "how long a pose process may look at one picture", 0.1,
     3600, NULL, false},
    {"pose_idle", CONFIG_DURATION, "60s", "how long a pose process stays that nobody needs", 0.1,
     86400, NULL, false},
    {"scene_memory", CONFIG_SIZE, "2 GiB",
     "memory that reading a character may take, and the character itself", 64 * MIB, 64 * GIB, NULL,
     false},
    {"scene_timeout", CONFIG_DURATION, "60s", "how long reading a character may take", 0.1, 3600,
     NULL, false},
    {"blender", CONFIG_STRING, "blender",
     "Blender's program, for jobs that it draws: a path, or a name to look for in PATH", 0, 0, NULL,
     false},
    {"vm_memory", CONFIG_SIZE, "256 MiB", "memory that the scripts of one process may take",
     4 * MIB, 64 * GIB, NULL, false},
    {"slow_turn", CONFIG_DURATION, "50ms",
     "how long the loop may be busy without a pause until the log tells by what; 0: never", 0, 3600,
     NULL, false},
    {"drain", CONFIG_DURATION, "10s", "how long running work may take to end after SIGTERM", 0,
     3600, NULL, false},
    {"no_watch", CONFIG_BOOL, "false", "do not load scripts by itself when their files change", 0,
     0, NULL, false},
    {"load_slice", CONFIG_DURATION, "2s", "how long one script may run while scripts are loaded",
     0.01, 600, NULL, false},
    {"load_timeout", CONFIG_DURATION, "10s", "how long a trial of new scripts may take in all", 0.1,
     3600, NULL, false},
    {"load_memory", CONFIG_SIZE, "256 MiB",
     "memory that new scripts may take until they are active", 4 * MIB, 64 * GIB, NULL, false},
    {"reload_drain", CONFIG_DURATION, "60s",
     "how long what former scripts have begun (requests, WebSockets) may go on after a reload", 0,
     86400, NULL, false},
    {"events_keep", CONFIG_INT, "100000",
     "events, job logs among them, that are kept for clients that come back", 100, 1e9, NULL,
     false},
    {"url", CONFIG_STRING, NULL, "host that commands talk to (default: http://LISTEN)", 0, 0, NULL,
     false},
    {"token", CONFIG_STRING, NULL,
     "bearer token that commands send; STANCE_TOKEN or STANCE_TOKEN_FILE only", 0, 0, NULL, true},
};

static const size_t setting_count = sizeof settings / sizeof *settings;

const struct config_setting *config_settings(size_t *count) {
    *count = setting_count;
    return settings;
}

/* "--log-level" and "LOG_LEVEL" become "log_level". */
static void plain_name(char out[NAME_SIZE], const char *name) {
    size_t used = 0;
    name += strspn(name, "-");
    for (; *name != '\0' && used < NAME_SIZE - 1; name++) {
        out[used++] = *name == '-' ? '_' : (char)tolower((unsigned char)*name);
    }
    out[used] = '\0';
}

const struct config_setting *config_setting_find(const char *name) {
    char plain[NAME_SIZE];
    plain_name(plain, name);
    for (size_t i = 0; i < setting_count; i++) {
        if (strcmp(settings[i].name, plain) == 0) {
            return &settings[i];
        }
    }
    return NULL;
}

const char *config_nearest(const char *name) {
    char plain[NAME_SIZE];
    plain_name(plain, name);
    size_t size = strlen(plain);
    const char *nearest = NULL;
    size_t least = size < 8 ? 1 : 2;
    for (size_t i = 0; i < setting_count; i++) {
        size_t edits = words_distance(plain, settings[i].name);
        if (edits <= least) {
            least = edits;
            nearest = settings[i].name;
        }
    }
    for (size_t i = 0; nearest == NULL && size >= 3 && i < setting_count; i++) {
        if (strncmp(settings[i].name, plain, size) == 0) {
            nearest = settings[i].name;
        }
    }
    return nearest;
}
