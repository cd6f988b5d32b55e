#include "core/metrics_process.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

static void put(struct text *out, const char *name, const char *type, const char *help,
                double value) {
    char number[TEXT_NUMBER_SIZE];
    text_number(number, value);
    text_printf(out, "# HELP %s %s\n# TYPE %s %s\n%s %s\n", name, help, name, type, name, number);
}

/* Field numbers as in proc(5). */
struct stat_fields {
    unsigned long long user_ticks;   /* 14 */
    unsigned long long system_ticks; /* 15 */
    unsigned long long threads;      /* 20 */
    unsigned long long start_ticks;  /* 22, since boot */
    unsigned long long virtual_size; /* 23, bytes */
    long long resident_pages;        /* 24 */
};

static bool read_stat(const char *path, struct stat_fields *out) {
    char line[1024];
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return false;
    }
    size_t size = fread(line, 1, sizeof line - 1, file);
    fclose(file);
    line[size] = '\0';
    /* The program's name, field 2, may hold spaces and parentheses: the rest begins behind the last
     * one. */
    const char *rest = strrchr(line, ')');
    return rest != NULL &&
           sscanf(rest + 1,
                  " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu %*d %*d %*d %*d %llu %*d "
                  "%llu %llu %lld",
                  &out->user_ticks, &out->system_ticks, &out->threads, &out->start_ticks,
                  &out->virtual_size, &out->resident_pages) == 6;
}

static double boot_time(void) {
    char line[256];
    double seconds = -1;
    FILE *file = fopen("/proc/stat", "re");
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        if (sscanf(line, "btime %lf", &seconds) == 1) {
            break;
        }
    }
    if (file != NULL) {
        fclose(file);
    }
    return seconds;
}

static int count_descriptors(void) {
    int count = 0;
    DIR *folder = opendir("/proc/self/fd");
    if (folder == NULL) {
        return -1;
    }
    for (const struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder)) {
        count += entry->d_name[0] != '.';
    }
    closedir(folder);
    return count - 1; /* the folder itself was open */
}

static double seconds_of(struct timeval time) {
    return (double)time.tv_sec + (double)time.tv_usec / 1e6;
}

void metrics_put_process(struct text *out) {
    struct rusage usage;
    struct rlimit files;
    struct stat_fields stat;
    if (getrusage(RUSAGE_SELF, &usage) == 0) {
        put(out, "process_cpu_seconds_total", "counter",
            "Total user and system CPU time spent in seconds.",
            seconds_of(usage.ru_utime) + seconds_of(usage.ru_stime));
    }
    if (read_stat("/proc/self/stat", &stat)) {
        double booted = boot_time();
        put(out, "process_resident_memory_bytes", "gauge", "Resident memory size in bytes.",
            (double)stat.resident_pages * (double)sysconf(_SC_PAGESIZE));
        put(out, "process_virtual_memory_bytes", "gauge", "Virtual memory size in bytes.",
            (double)stat.virtual_size);
        put(out, "process_threads", "gauge", "Number of threads of the process.",
            (double)stat.threads);
        if (booted > 0) {
            put(out, "process_start_time_seconds", "gauge",
                "Start time of the process since unix epoch in seconds.",
                booted + (double)stat.start_ticks / (double)sysconf(_SC_CLK_TCK));
        }
    }
    int open = count_descriptors();
    if (open >= 0) {
        put(out, "process_open_fds", "gauge", "Number of open file descriptors.", open);
    }
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        put(out, "process_max_fds", "gauge", "Maximum number of open file descriptors.",
            (double)files.rlim_cur);
    }
}

bool process_read_usage(pid_t pid, struct process_usage *out) {
    char path[64];
    struct stat_fields stat;
    snprintf(path, sizeof path, "/proc/%ld/stat", (long)pid);
    if (!read_stat(path, &stat)) {
        return false;
    }
    *out = (struct process_usage){
        .resident = (double)stat.resident_pages * (double)sysconf(_SC_PAGESIZE),
        .cpu_seconds = (double)(stat.user_ticks + stat.system_ticks) / (double)sysconf(_SC_CLK_TCK),
        .threads = (double)stat.threads,
    };
    return true;
}
