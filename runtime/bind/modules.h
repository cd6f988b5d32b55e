/* modules.h - the Lua faces of the runtime: which modules there are, and what of the process they
 * reach.
 *
 * One lua_<name>.c a module, each exporting `int lua_open_<name>(lua_State *L)` that pushes the
 * module's table; all are listed in modules.c. A binding finds the process's services with
 * `services_of(L)`; a service that this process does not run is NULL, and the binding says so in
 * words ("db is open in the host process only"). Loop thread. */
#ifndef STANCE_BIND_MODULES_H
#define STANCE_BIND_MODULES_H

#include "core/fiber.h"
#include "core/vm.h"

struct config;
struct db;
struct generations;
struct link;
struct lua_http_server;
struct lua_console;
struct objects;
struct pose_pools;
struct roots;
struct workers;

/* The parts of a process that scripts may reach. Made by the subcommand (cli/serve.c,
 * cli/worker.c). */
struct services {
    struct loop *loop;
    struct config *config;
    struct db *db;                   /* the host only */
    struct objects *objects;         /* host and workers */
    struct roots *roots;             /* the folders that scripts may reach */
    struct link *link;               /* workers: the way to the host */
    struct generations *generations; /* the host only */
    struct workers *workers;         /* the host only; made when first needed */
    struct pose_pools *pose;         /* made when first needed */
    struct lua_http_server *lasting; /* the server that goes from one generation to the next */
    struct lua_console *console;     /* the host only */
    const char *program;             /* that plays the parts of other processes; NULL: this one */
    const char *role;                /* "host", "worker", "trial", "spec" */
    const char *data_dir;
    const char *lua_dir; /* the built-in scripts on disk; NULL: there are none */
    int worker_index;
    double started; /* loop_seconds when the process began */
    int exit_code;
    /* The host is up: tells whoever waits for it (a terminal, a parent process). May be NULL. */
    void (*ready)(struct services *services, const char *url);
};

extern const struct vm_module bind_modules[];

/* The services of the vm that runs L; never NULL. */
struct services *services_of(lua_State *L);

#endif
