/* Programs of others, confined: each case is a child that confines itself, tries something, and
 * tells how it went by the way it ends. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "sandbox/confine.h"
#include "sandbox/confine_private.h"

enum { WENT_WELL = 0, REFUSED = 10, ODD = 11, NO_LANDLOCK = 12 };
enum { MIB = 1 << 20 };

static char folder[64], given[96], beside[96], writable[96];

static void make_file(const char *path, mode_t mode) {
    int file = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, mode);
    CHECK(file >= 0 && write(file, "#!/bin/sh\n", 10) == 10);
    close(file);
}

static void set_up(void) {
    snprintf(folder, sizeof folder, "/tmp/confine-program-XXXXXX");
    CHECK(mkdtemp(folder) != NULL);
    snprintf(given, sizeof given, "%s/given", folder);
    snprintf(beside, sizeof beside, "%s/beside", folder);
    snprintf(writable, sizeof writable, "%s/writable", folder);
    make_file(given, 0755);
    make_file(beside, 0644);
    CHECK(mkdir(writable, 0755) == 0);
}

static void tear_down(void) {
    char command[128];
    snprintf(command, sizeof command, "rm -r %s", folder);
    CHECK(system(command) == 0);
}

static int child(int (*act)(void)) {
    const char *const run[] = {NULL}, *const read[] = {given, NULL};
    const char *const write[] = {writable, NULL};
    const struct confine_program what = {run, read, write, 64 * MIB, MIB};
    pid_t pid = fork();
    if (pid == 0) {
        struct confine_warning warning;
        confine_program(&what, &warning);
        _exit(strstr(warning.text, "Landlock") != NULL ? NO_LANDLOCK : act());
    }
    int status = 0;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        continue;
    return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

static int outcome(long result) {
    return result != -1 ? WENT_WELL : errno == EPERM || errno == EACCES ? REFUSED : ODD;
}

static int open_below(const char *place, const char *name, int flags) {
    char path[160];
    snprintf(path, sizeof path, "%s/%s", place, name);
    return outcome(open(path, flags | O_CLOEXEC, 0600));
}

static int use_what_it_is_given(void) {
    int file = open(given, O_RDONLY | O_CLOEXEC);
    char bytes[4];
    bool good = file >= 0 && read(file, bytes, 4) == 4;
    good = good && open_below(writable, "new", O_WRONLY | O_CREAT) == WENT_WELL;
    good = good && open_below(writable, "new", O_RDONLY) == WENT_WELL;
    return good && open("/dev/null", O_RDWR | O_CLOEXEC) >= 0 ? WENT_WELL : REFUSED;
}

static int run_a_system_program(void) {
    execl("/bin/sh", "sh", "-c", "true | cat", (char *)NULL);
    return ODD;
}

static int run_a_file_of_others(void) {
    return outcome(execl(given, given, (char *)NULL));
}
static int read_beside(void) {
    return outcome(open(beside, O_RDONLY | O_CLOEXEC));
}
static int read_the_configuration(void) {
    return outcome(open("/etc/shadow", O_RDONLY | O_CLOEXEC));
}
static int read_its_parents_environment(void) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/environ", (int)getppid());
    return outcome(open(path, O_RDONLY | O_CLOEXEC));
}
static int write_what_it_may_read(void) {
    return outcome(open(given, O_WRONLY | O_CLOEXEC));
}
static int write_beside(void) {
    return open_below(folder, "new", O_WRONLY | O_CREAT);
}
static int call_the_network(void) {
    return outcome(socket(AF_INET, SOCK_STREAM, 0));
}
static int call_a_neighbour(void) {
    return outcome(socket(AF_UNIX, SOCK_STREAM, 0));
}
static int end_its_parent(void) {
    return outcome(kill(getppid(), SIGCONT));
}
static int trace_its_parent(void) {
    return outcome(ptrace(PTRACE_ATTACH, getppid(), NULL, NULL));
}
static int mount_something(void) {
    return outcome(mount("none", writable, "tmpfs", 0, NULL));
}
static int take_much_memory(void) {
    void *volatile block = malloc(256 * (size_t)MIB);
    return block == NULL ? REFUSED : WENT_WELL;
}

static int write_a_large_file(void) {
    char path[160];
    snprintf(path, sizeof path, "%s/large", writable);
    int file = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    signal(SIGXFSZ, SIG_IGN);
    return file >= 0 && pwrite(file, "x", 1, 2 * MIB) < 0 && errno == EFBIG ? REFUSED : WENT_WELL;
}

static void a_program_works_with_what_it_is_given(void) {
    set_up();
    int got = child(use_what_it_is_given);
    if (got != NO_LANDLOCK) {
        CHECK(got == WENT_WELL);
        CHECK(child(run_a_system_program) == WENT_WELL);
    }
    tear_down();
    if (got == NO_LANDLOCK)
        SKIP("this kernel has no Landlock");
}

static void the_rest_is_refused(void) {
    static const struct {
        const char *name;
        int (*act)(void);
    } acts[] = {
        {"run_a_file_of_others", run_a_file_of_others},
        {"read_beside", read_beside},
        {"read_the_configuration", read_the_configuration},
        {"read_its_parents_environment", read_its_parents_environment},
        {"write_what_it_may_read", write_what_it_may_read},
        {"write_beside", write_beside},
        {"call_the_network", call_the_network},
        {"call_a_neighbour", call_a_neighbour},
        {"end_its_parent", end_its_parent},
        {"trace_its_parent", trace_its_parent},
        {"mount_something", mount_something},
        {"write_a_large_file", write_a_large_file},
    };
    bool lacking = false;
    set_up();
    for (size_t i = 0; i < sizeof acts / sizeof *acts; i++) {
        int got = child(acts[i].act);
        lacking = lacking || got == NO_LANDLOCK;
        if (got != REFUSED && got != NO_LANDLOCK)
            printf("%s: %d\n", acts[i].name, got);
        CHECK(got == REFUSED || got == NO_LANDLOCK);
    }
    int got = child(take_much_memory);
    CHECK(got == REFUSED || got == NO_LANDLOCK || CONFINE_SANITIZED);
    tear_down();
    if (lacking)
        SKIP("this kernel has no Landlock");
}

int main(void) {
    static const struct test tests[] = {
        TEST(a_program_works_with_what_it_is_given),
        TEST(the_rest_is_refused),
    };
    return RUN(tests);
}
