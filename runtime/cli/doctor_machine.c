#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <sys/timex.h>
#include <time.h>
#include <unistd.h>

#include "cli/doctor.h"
#include "cli/output.h"
#include "cli/probe.h"
#include "media/pose_models.h"

enum { FILES_WARN = 1024, PROCESSES_WARN = 256, MEMORY_WARN_MB = 512, TEXT_SIZE = 600 };

/* Newer than the headers that we may be built with. */
enum { GET_MDWE = 66, LANDLOCK_CREATE_RULESET = 444, LANDLOCK_VERSION = 1 };

/* -- Kernels ----------------------------------------------------------------------------------- */

static void check_kernels(struct report *report) {
    char text[TEXT_SIZE];
    if (probe_kernels("cpu", text, sizeof text))
        doctor_tell(report, VERDICT_OK, "kernels", NULL, "%s, %ld cores", text,
                    sysconf(_SC_NPROCESSORS_ONLN));
    else
        doctor_tell(report, VERDICT_FAIL, "kernels", "build stance for this kind of processor",
                    "%s", text);
}

/* What a device is used for: poses. */
static void check_gpu(struct report *report) {
    char device[GPU_WHY_SIZE], why[GPU_WHY_SIZE];
    if (gpu_pose_device(device, why) == GPU_OK)
        doctor_tell(report, VERDICT_OK, "gpu", NULL, "%s; it finds poses, the CPU draws", device);
    else if (access("/proc/driver/nvidia/version", R_OK) == 0)
        doctor_tell(report, VERDICT_WARN, "gpu",
                    "build where there is the CUDA toolkit's nvcc; until then the CPU does all",
                    "NVIDIA driver found, but %s", why);
    else
        doctor_tell(report, VERDICT_OK, "gpu", NULL, "none here; the CPU does all");
}

/* A program in PATH, or NULL. The result is overwritten by the next call. */
static const char *find_program(const char *name) {
    static char path[PATH_MAX];
    const char *folders = getenv("PATH");
    while (folders != NULL && *folders != 0) {
        size_t length = strcspn(folders, ":");
        snprintf(path, sizeof path, "%.*s/%s", (int)length, folders, name);
        if (access(path, X_OK) == 0)
            return path;
        folders += length + (folders[length] == ':');
    }
    return NULL;
}

static void check_ffmpeg(struct report *report) {
    const char *path = find_program("ffmpeg");
    doctor_tell(report, VERDICT_OK, "ffmpeg", NULL, "%s",
                path ? path : "not installed (apt install ffmpeg); only films need it");
}

static void check_blender(struct report *report) {
    const char *path = find_program("blender");
    doctor_tell(report, VERDICT_OK, "blender", NULL, "%s",
                path ? path : "not installed; nothing that is shipped needs it");
}

/* Each model's files are read and checked; a missing one is named, as its absence may be meant. */
static void check_models(struct report *report) {
    char folder[PATH_MAX] = "", there[100] = "";
    struct err err = {0}, why = {0};
    int code = pose_models_folder(folder, sizeof folder, &why);
    for (const char *const *name = pose_model_names; *name != NULL && code == 0; name++) {
        struct gpu_pose_files files;
        size_t used = strlen(there);
        if (pose_models_read(*name, &files, &err) == 0)
            snprintf(there + used, sizeof there - used, "%s%s", used ? ", " : "", *name);
        else if (why.code == 0)
            why = err;
        pose_models_free(&files);
    }
    const char *remedy = "`make models` in stance's source; STANCE_MODELS for another folder";
    if (why.code == 0)
        doctor_tell(report, VERDICT_OK, "models", NULL, "%s in %s", there, folder);
    else
        doctor_tell(report, VERDICT_WARN, "models", remedy, "%s%s%s", there,
                    *there ? "; " : "no poses: ", why.message);
}

/* -- Limits ------------------------------------------------------------------------------------ */

static void check_limits(struct report *report) {
    struct rlimit files, processes;
    if (getrlimit(RLIMIT_NOFILE, &files) != 0 || getrlimit(RLIMIT_NPROC, &processes) != 0)
        return;
    unsigned long long most = files.rlim_max, tasks = processes.rlim_cur;
    if (most < FILES_WARN) /* the host raises its own soft limit */
        doctor_tell(report, VERDICT_WARN, "limits", "ulimit -Hn 65536, or LimitNOFILE= of the unit",
                    "%llu open files at most, few for many connections", most);
    else if (tasks < PROCESSES_WARN)
        doctor_tell(report, VERDICT_WARN, "limits", "ulimit -u 4096",
                    "%llu processes and threads at most, few for workers", tasks);
    else
        doctor_tell(report, VERDICT_OK, "limits", NULL, "enough open files and processes");
    if (prctl(GET_MDWE, 0, 0, 0, 0) > 0)
        doctor_tell(report, VERDICT_FAIL, "limits",
                    "leave systemd's MemoryDenyWriteExecute= off for stance",
                    "memory may not become executable: LuaJIT cannot compile and dies");
}

static void check_memory(struct report *report) {
    struct sysinfo info;
    if (sysinfo(&info) != 0)
        return;
    char text[32];
    double total = (double)info.totalram * info.mem_unit;
    out_bytes(total, text, sizeof text);
    if (total < MEMORY_WARN_MB * 1e6)
        doctor_tell(report, VERDICT_WARN, "memory", "fewer workers: stance serve --workers 1",
                    "%s in all, little for several workers", text);
    else
        doctor_tell(report, VERDICT_OK, "memory", NULL, "%s in all", text);
}

static void check_clock(struct report *report) {
    struct timex state = {0};
    time_t now = time(NULL);
    struct tm utc;
    char text[40];
    strftime(text, sizeof text, "%Y-%m-%d %H:%M UTC", gmtime_r(&now, &utc));
    if (utc.tm_year < 2024 - 1900)
        doctor_tell(report, VERDICT_FAIL, "clock", "set it: timedatectl set-ntp true",
                    "%s is in the past", text);
    else if (adjtimex(&state) == TIME_ERROR && (state.status & STA_UNSYNC) != 0)
        doctor_tell(report, VERDICT_WARN, "clock", "timedatectl set-ntp true",
                    "%s, but nothing keeps it right: times of jobs may jump", text);
    else
        doctor_tell(report, VERDICT_OK, "clock", NULL, "%s", text);
}

/* -- The kernel -------------------------------------------------------------------------------- */

static long read_number(const char *path, long otherwise) {
    FILE *file = fopen(path, "re");
    char text[32] = "";
    if (file == NULL)
        return otherwise;
    long value = fgets(text, sizeof text, file) ? strtol(text, NULL, 10) : otherwise;
    fclose(file);
    return value;
}

static bool has_user_namespaces(void) {
    return access("/proc/self/ns/user", F_OK) == 0 &&
           read_number("/proc/sys/user/max_user_namespaces", 1) > 0 &&
           (geteuid() == 0 ||
            (read_number("/proc/sys/kernel/unprivileged_userns_clone", 1) > 0 &&
             read_number("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", 0) == 0));
}

static bool has_openat2(void) {
    struct open_how how = {.flags = O_PATH | O_CLOEXEC};
    long fd = syscall(SYS_openat2, AT_FDCWD, "/", &how, sizeof how);
    if (fd >= 0)
        close((int)fd);
    return fd >= 0;
}

/* What confines workers and boxes; without openat2 no path can be opened safely. */
static void check_kernel(struct report *report) {
    const struct {
        const char *name;
        bool there, needed;
    } features[] = {
        {"openat2", has_openat2(), true},
        {"seccomp", prctl(PR_GET_SECCOMP) >= 0, false},
        {"user namespaces", has_user_namespaces(), false},
        {"Landlock", syscall(LANDLOCK_CREATE_RULESET, NULL, 0, LANDLOCK_VERSION) > 0, false},
        {"cgroup v2", access("/sys/fs/cgroup/cgroup.controllers", F_OK) == 0, false},
        {"KVM", access("/dev/kvm", R_OK | W_OK) == 0, false},
    };
    char there[200] = "", missing[200] = "";
    bool usable = true;
    for (size_t i = 0; i < sizeof features / sizeof *features; i++) {
        char *list = features[i].there ? there : missing;
        size_t used = strlen(list);
        snprintf(list + used, sizeof there - used, "%s%s", used ? ", " : "", features[i].name);
        usable = usable && (features[i].there || !features[i].needed);
    }
    if (!usable)
        doctor_tell(report, VERDICT_FAIL, "kernel",
                    "Linux 5.6 or newer; in a container, a runtime whose seccomp profile knows it",
                    "openat2 is missing: no file can be opened safely");
    else
        doctor_tell(report, VERDICT_OK, "kernel", NULL, "%s%s%s%s", there,
                    *missing ? " (not here: " : "", missing, *missing ? ")" : "");
}

void doctor_machine(struct report *report) {
    check_kernels(report);
    check_gpu(report);
    check_models(report);
    check_ffmpeg(report);
    check_blender(report);
    check_limits(report);
    check_memory(report);
    check_clock(report);
    check_kernel(report);
}
