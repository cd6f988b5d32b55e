/* confine_landlock.c - no file may be opened but those that are named, and no port used, by the
 * kernel's Landlock.
 *
 * Older headers do not know all of it, so its numbers are here. Interface: Linux, Documentation/
 * userspace-api/landlock.rst. */
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sandbox/confine_private.h"

enum { CREATE_RULESET = 444, ADD_RULE, RESTRICT_SELF }; /* system calls, the same everywhere */
enum { CREATE_RULESET_VERSION = 1, RULE_PATH_BENEATH = 1 };
enum {
    FS_EXECUTE = 1 << 0,
    FS_WRITE_FILE = 1 << 1,
    FS_READ_FILE = 1 << 2,
    FS_READ_DIR = 1 << 3,
    FS_MAKE_DEVICES = 1 << 6 | 1 << 9 | 1 << 10 | 1 << 11, /* devices, sockets, pipes */
    FS_TRUNCATE = 1 << 14,
    FS_IOCTL_DEV = 1 << 15,
    FS_OF_FILES = FS_EXECUTE | FS_WRITE_FILE | FS_READ_FILE | FS_TRUNCATE | FS_IOCTL_DEV,
};

struct ruleset {
    uint64_t fs, net, scoped;
};

struct path_rule {
    uint64_t allowed;
    int32_t parent;
} __attribute__((packed));

/* All that this version of the interface can refuse. */
static struct ruleset everything(long version) {
    struct ruleset set = {.fs = (1 << 13) - 1};
    if (version >= 2)
        set.fs |= 1 << 13; /* linking elsewhere */
    if (version >= 3)
        set.fs |= 1 << 14; /* truncating */
    if (version >= 4)
        set.net = 3; /* TCP: bind, connect */
    if (version >= 5)
        set.fs |= FS_IOCTL_DEV;
    if (version >= 6)
        set.scoped = 3; /* abstract Unix sockets, signals */
    return set;
}

static size_t ruleset_size(long version) {
    return version >= 6 ? 24 : version >= 4 ? 16 : 8;
}

/* Paths that are not there need no rule. */
static void allow(int ruleset, const char *path, uint64_t rights) {
    struct stat status;
    struct path_rule rule = {.allowed = rights, .parent = open(path, O_PATH | O_CLOEXEC)};
    if (rule.parent < 0)
        return;
    if (fstat(rule.parent, &status) == 0 && !S_ISDIR(status.st_mode))
        rule.allowed &= FS_OF_FILES;
    syscall(ADD_RULE, ruleset, RULE_PATH_BENEATH, &rule, 0);
    close(rule.parent);
}

/* CUDA opens its devices again and again. */
static void allow_devices(int ruleset, const struct ruleset *set) {
    glob_t found;
    if (glob("/dev/nvidia*", 0, NULL, &found) != 0)
        return;
    for (size_t i = 0; i < found.gl_pathc; i++)
        allow(ruleset, found.gl_pathv[i], (FS_READ_FILE | FS_WRITE_FILE | FS_IOCTL_DEV) & set->fs);
    globfree(&found);
}

static void allow_paths(int ruleset, const struct ruleset *set, const struct confine_paths *paths) {
    const uint64_t read = FS_READ_FILE | FS_READ_DIR, run = read | FS_EXECUTE;
    for (size_t i = 0; paths->run[i] != NULL; i++)
        allow(ruleset, paths->run[i], run);
    for (size_t i = 0; paths->read[i] != NULL; i++)
        allow(ruleset, paths->read[i], read);
    for (size_t i = 0; paths->write[i] != NULL; i++)
        allow(ruleset, paths->write[i],
              set->fs & ~(uint64_t)(FS_EXECUTE | FS_IOCTL_DEV | FS_MAKE_DEVICES));
}

int confine_landlock(struct confinement *confinement) {
    long version = syscall(CREATE_RULESET, NULL, 0, CREATE_RULESET_VERSION);
    if (version < 1)
        return confine_miss(confinement, "Landlock (%s)", strerror(errno));
    struct ruleset set = everything(version);
    int ruleset = (int)syscall(CREATE_RULESET, &set, ruleset_size(version), 0);
    if (ruleset < 0)
        return confine_miss(confinement, "Landlock (%s)", strerror(errno));
    if (confinement->flags & CONFINE_GPU)
        allow_devices(ruleset, &set);
    if (confinement->paths != NULL)
        allow_paths(ruleset, &set, confinement->paths);
    int rc = 0;
    if (syscall(RESTRICT_SELF, ruleset, 0) != 0)
        rc = confine_miss(confinement, "Landlock (%s)", strerror(errno));
    close(ruleset);
    return rc;
}
