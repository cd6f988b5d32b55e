#include "cli/process.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bind/lua_console.h"
#include "bind/lua_host.h"
#include "bind/lua_pose.h"
#include "cli/output.h"
#include "core/generations.h"
#include "core/log.h"
#include "core/notify.h"
#include "core/slow.h"
#include "store/db.h"
#include "store/objects.h"
#include "store/roots.h"

/* -- Options ----------------------------------------------------------------------------------- */

enum { OPTIONS_MAX = 96 };

/* Options as text, so that config_load judges flag, environment and file alike. */
static size_t add_settings(struct option *options, size_t count, const char **values,
                           char (*names)[32]) {
    size_t setting_count;
    const struct config_setting *settings = config_settings(&setting_count);
    for (size_t i = 0; i < setting_count && count + 1 < OPTIONS_MAX; i++) {
        if (settings[i].secret || strcmp(settings[i].name, "url") == 0) /* url is for clients */
            continue;
        snprintf(names[i], sizeof names[i], "%s", settings[i].name);
        for (char *at = names[i]; *at; at++)
            if (*at == '_')
                *at = '-';
        bool on_off = settings[i].type == CONFIG_BOOL;
        options[count++] = (struct option){.name = names[i],
                                           .kind = on_off ? OPTION_SWITCH : OPTION_TEXT,
                                           .to = &values[i],
                                           .value = on_off ? "[=false]" : "VALUE",
                                           .help = settings[i].doc};
    }
    options[count] = (struct option){0};
    return count;
}

int process_options(const struct usage *usage, const struct option *own, int argc, char **argv,
                    struct config **config) {
    struct option options[OPTIONS_MAX];
    const char *values[OPTIONS_MAX] = {NULL};
    char names[OPTIONS_MAX][32];
    size_t count = 0;
    for (; own != NULL && own[count].name != NULL; count++)
        options[count] = own[count];
    add_settings(options, count, values, names);
    struct usage full = *usage;
    full.options = options;
    int operands;
    int code = options_parse(&full, argc, argv, &operands);
    if (code != OPTIONS_GO_ON)
        return code;

    size_t setting_count, flag_count = 0;
    const struct config_setting *settings = config_settings(&setting_count);
    struct config_flag given[OPTIONS_MAX];
    for (size_t i = 0; i < setting_count; i++)
        if (values[i] != NULL)
            given[flag_count++] = (struct config_flag){settings[i].name, values[i]};
    struct err err;
    if (config_load(config, given, flag_count, &err) != 0)
        return out_fail(EXIT_CONFIG, "%s", err.message);
    return OPTIONS_GO_ON;
}

/* -- Scripts ----------------------------------------------------------------------------------- */

static bool has_boot(const char *folder) {
    char path[PATH_MAX];
    return snprintf(path, sizeof path, "%s/boot.lua", folder) < (int)sizeof path &&
           access(path, R_OK) == 0;
}

int process_lua_dir(char *folder, size_t size, struct err *err) {
    const char *given = getenv("STANCE_LUA");
    if (given != NULL && *given != 0) {
        snprintf(folder, size, "%s", given);
        if (has_boot(folder))
            return 0;
        return err_set(err, ERR_NOT_FOUND, "STANCE_LUA is %s, but there is no boot.lua in it",
                       given);
    }
    static const char *const places[] = {"../lua", "../../lua", "../share/stance/lua"};
    char exe[PATH_MAX];
    ssize_t length = readlink("/proc/self/exe", exe, sizeof exe - 1);
    if (length < 0)
        return err_set_errno(err, errno, "cannot find this program's own file");
    exe[length] = 0;
    *strrchr(exe, '/') = 0;
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        char candidate[2 * PATH_MAX], real[PATH_MAX];
        snprintf(candidate, sizeof candidate, "%s/%s", exe, places[i]);
        if (realpath(candidate, real) != NULL && has_boot(real)) {
            snprintf(folder, size, "%s", real);
            return 0;
        }
    }
    return err_set(err, ERR_NOT_FOUND,
                   "cannot find the built-in scripts near %s; set STANCE_LUA to the lua folder",
                   exe);
}

static bool is_folder(const char *path) {
    struct stat stat_;
    return stat(path, &stat_) == 0 && S_ISDIR(stat_.st_mode);
}

int process_script_folders(const char *workspace, struct script_folders *folders, struct err *err) {
    *folders = (struct script_folders){.workspace = workspace};
    int code = process_lua_dir(folders->lua, sizeof folders->lua, err);
    if (code != 0)
        return code;
    snprintf(folders->policies, sizeof folders->policies, "%s/../policies", folders->lua);
    folders->has_policies = is_folder(folders->policies);
    if (folders->workspace != NULL && !is_folder(folders->workspace))
        folders->workspace = NULL;
    size_t count = 0;
    folders->list[count++] = folders->lua;
    if (folders->has_policies)
        folders->list[count++] = folders->policies;
    folders->list[count] = folders->workspace;
    return 0;
}

int process_read_folders(const struct script_folders *folders, struct scripts **out,
                         struct err *err) {
    return scripts_read(folders->lua, folders->has_policies ? folders->policies : NULL,
                        folders->workspace, out, err);
}

/* A save is several steps (cut, write, rename): what was touched just now may be half of one. */
static const double settled = 0.03;

int process_read_scripts(const struct config *config, struct scripts **out, struct err *err) {
    struct script_folders folders;
    int code = process_script_folders(config_string(config, "workspace"), &folders, err);
    for (int tries = 0; code == 0; tries++) {
        code = process_read_folders(&folders, out, err);
        double untouched = code == 0 ? scripts_untouched(*out) : 0;
        if ((code == 0 && untouched >= settled) || tries == 10)
            break;
        uv_sleep((unsigned)((settled - untouched) * 1000) + 1);
        if (code == 0)
            scripts_free(*out);
        code = 0; /* a file that was gone for a moment is an error that goes away */
    }
    return code;
}

/* -- Opening ----------------------------------------------------------------------------------- */

/* Pool threads: enough for the cores, and for a few that wait for the disk. */
static void size_pool(void) {
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    char text[16];
    snprintf(text, sizeof text, "%ld", cores < 4 ? 4 : cores > 64 ? 64 : cores);
    setenv("UV_THREADPOOL_SIZE", text, 0);
}

/* Scripts have a folder of their own in the data folder, never the database beside it. */
static int grant_folder(struct roots *roots, const char *name, const char *folder,
                        struct err *err) {
    if (mkdir(folder, 0700) < 0 && errno != EEXIST)
        return err_set_errno(err, errno, "folder %s", folder);
    return roots_add(roots, name, folder, true, err);
}

/* Made when it is missing, so that scripts can be put there while the host runs. */
static int grant_workspace(struct process *process, struct roots *roots, struct err *err) {
    const char *workspace = config_string(process->config, "workspace");
    if (workspace == NULL || *workspace == 0)
        return 0;
    if (process->services.db != NULL && mkdir(workspace, 0700) < 0 && errno != EEXIST)
        return err_set_errno(err, errno, "workspace %s", workspace);
    return is_folder(workspace) ? roots_add(roots, "workspace", workspace, false, err) : 0;
}

int process_grant_reading(struct roots *roots, const struct config *config, struct err *err) {
    const char *const *list = config_list(config, "read_roots");
    int code = 0;
    for (int i = 0; code == 0 && list[i] != NULL; i++) {
        char name[32];
        snprintf(name, sizeof name, "read%d", i + 1);
        code = roots_add(roots, name, list[i], false, err);
    }
    return code;
}

static int grant_roots(struct process *process, struct err *err) {
    struct roots *roots = process->services.roots = roots_new();
    if (roots == NULL)
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    char files[PATH_MAX];
    snprintf(files, sizeof files, "%s/files", process->services.data_dir);
    int code = grant_folder(roots, "data", files, err);
    if (code == 0)
        code = grant_workspace(process, roots, err);
    const char *const *list = config_list(process->config, "output_roots");
    for (int i = 0; code == 0 && list && list[i]; i++) {
        char name[32];
        snprintf(name, sizeof name, "output%d", i + 1);
        code = grant_folder(roots, name, list[i], err);
    }
    return code ? code : process_grant_reading(roots, process->config, err);
}

static void configure_log(const struct config *config) {
    enum log_level level = LOG_INFO;
    log_parse_level(config_string(config, "log_level"), &level);
    const char *format = config_string(config, "log_format");
    log_configure(level, strcmp(format, "json") == 0   ? LOG_JSON
                         : strcmp(format, "text") == 0 ? LOG_TEXT
                                                       : LOG_AUTO);
}

int process_open(struct process *process, const char *role, struct config *config,
                 struct err *err) {
    memset(process, 0, sizeof *process);
    process->config = config;
    configure_log(config);
    size_pool();
    signal(SIGPIPE, SIG_IGN);
    struct services *services = &process->services;
    *services = (struct services){.config = config,
                                  .role = role,
                                  .data_dir = config_string(config, "data"),
                                  .started = loop_seconds()};
    int code = loop_init(&process->loop, err);
    if (code != 0)
        return code;
    services->loop = &process->loop;
    slow_start(&process->loop, config_number(config, "slow_turn"));
    if (process_lua_dir(process->lua_dir, sizeof process->lua_dir, NULL) == 0)
        services->lua_dir = process->lua_dir;
    if (strcmp(role, "host") == 0) {
        struct db_options options = {.data_dir = services->data_dir};
        code = db_open(&process->loop, &options, &services->db, err);
    }
    if (code == 0)
        code = objects_open_files(services->data_dir, &services->objects, err);
    if (code == 0)
        code = grant_roots(process, err);
    return code;
}

int process_open_console(struct process *process, struct err *err) {
    const char *given = config_string(process->config, "socket");
    char path[PATH_MAX];
    process_socket_path(process->config, path, sizeof path);
    struct err why;
    int code = lua_console_open(&process->services, path, &why);
    if (code == ERR_INVALID && (given == NULL || *given == 0)) {
        log_warn("console", "%s; this host has no console", why.message);
        return 0; /* nobody asked for one: a long data folder is no reason not to start */
    }
    return code == 0 ? 0 : err_set(err, code, "%s", why.message);
}

void process_socket_path(const struct config *config, char *path, size_t size) {
    const char *given = config_string(config, "socket");
    if (given != NULL && *given != 0)
        snprintf(path, size, "%s", given);
    else
        snprintf(path, size, "%s/console.sock", config_string(config, "data"));
}

/* -- Running ----------------------------------------------------------------------------------- */

int process_start(struct process *process, const struct vm_options *options, fiber_ended ended,
                  struct err *err) {
    int code = vm_new(&process->loop, options, &process->vm, err);
    if (code != 0)
        return code;
    lua_State *L = vm_lua(process->vm);
    if ((code = vm_load(L, "boot.lua", err)) != 0)
        return code;
    return fiber_start(L, 0, "boot", ended, process, NULL, err);
}

static struct vm *present_vm(const struct process *process) {
    const struct generations *generations = process->services.generations;
    return generations ? generations_vm(generations) : process->vm;
}

static void drain_over(uv_timer_t *timer) {
    struct process *process = timer->data;
    log_warn(process->services.role, "did not end in time; stopping at once");
    loop_stop(&process->loop);
}

static void reload(struct process *process) {
    struct err err;
    struct load_request request = {.trigger = "signal"};
    if (process->services.generations != NULL &&
        generations_load(process->services.generations, &request, &err) != 0)
        log_warn("host", "SIGHUP: %s", err.message);
}

static void on_signal(uv_signal_t *handle, int number) {
    struct process *process = handle->data;
    if (number == SIGHUP) {
        reload(process);
        return;
    }
    const char *name = number == SIGINT ? "SIGINT" : "SIGTERM";
    notify_stopping("putting running jobs back into the queue");
    struct vm *vm = present_vm(process);
    if (process->stops++ > 0 || vm == NULL || !lua_host_begin_stop(vm, name)) {
        loop_stop(&process->loop);
        return;
    }
    double drain = config_number(process->config, "drain");
    uv_timer_start(&process->drain, drain_over, (uint64_t)(drain * 1000) + 1000, 0);
}

int process_run(struct process *process) {
    static const int numbers[] = {SIGTERM, SIGINT, SIGHUP};
    uv_timer_init(&process->loop.uv, &process->drain);
    process->drain.data = process;
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        uv_signal_init(&process->loop.uv, &process->signals[i]);
        process->signals[i].data = process;
        uv_signal_start(&process->signals[i], on_signal, numbers[i]);
        uv_unref((uv_handle_t *)&process->signals[i]);
    }
    loop_run(&process->loop);
    return process->services.exit_code;
}

void process_close(struct process *process) {
    generations_free(process->services.generations);
    vm_free(process->vm);
    lua_host_free_workers(process->services.workers);
    lua_pose_free_pools(&process->services);
    link_free(process->services.link);
    lua_console_close(&process->services);
    db_close(process->services.db);
    notify_end();
    slow_stop();
    if (process->services.loop != NULL)
        loop_deinit(&process->loop);
    objects_close(process->services.objects);
    roots_free(process->services.roots);
    scripts_free(process->scripts);
    config_free(process->config);
}
