#include "core/generations.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/child.h"
#include "core/guard.h"
#include "core/log.h"
#include "core/metrics.h"
#include "core/notify.h"
#include "core/trial.h"

enum {
    LOADS_KEPT = 64,
    DRAINING_MOST = 8, /* beyond it the oldest is closed before its time */
};

static const double drain_look = 0.05; /* seconds between looks whether a former vm is done */

struct generation {
    struct generation *next; /* older */
    struct generations *all;
    struct scripts *scripts;
    struct vm *vm;
    bool active, draining;
    double since, deadline;
};

struct generations {
    struct generations_options options;
    struct generation *first; /* newest first */
    struct generation *current;
    struct alarm *drain_alarm;
    struct load_request request; /* of the load that is under way; `trigger` NULL: none */
    struct load load;            /* what it has come to so far */
    double load_began;
    char
        again[16]; /* trigger of a load that nobody waits for and that has to come after this one */
    struct alarm *again_alarm;
    struct scripts *read; /* by the pool thread */
    struct err read_err;
    struct trial *trial, *leaving; /* the one that runs; the last one, until its process is gone */
    struct generation *candidate;
    struct alarm *end_alarm;
    struct load past[LOADS_KEPT];
    size_t past_count; /* in all */
    struct metric *draining, *seconds;
    struct metric_family *loads;
};

/* -- Hooks ------------------------------------------------------------------------------------- */

static const char *const hook_keys[] = {"stance.on_retire", "stance.on_stop"};

void vm_set_hook(lua_State *L, enum vm_hook hook) {
    lua_setfield(L, LUA_REGISTRYINDEX, hook_keys[hook]);
}

bool vm_run_hook(struct vm *vm, enum vm_hook hook, const char *reason, fiber_ended ended,
                 void *arg) {
    lua_State *L = vm_lua(vm);
    lua_getfield(L, LUA_REGISTRYINDEX, hook_keys[hook]);
    if (lua_isnil(L, -1)) {
        lua_pop(L, 1);
        return false;
    }
    lua_pushstring(L, reason);
    struct err err;
    if (fiber_start(L, 1, hook_keys[hook] + strlen("stance."), ended, arg, NULL, &err) == 0)
        return true;
    log_error("host", "%s: %s", hook_keys[hook], err.message);
    return false;
}

/* -- One generation ---------------------------------------------------------------------------- */

static void close_generation(struct generation *generation) {
    struct generation **link = &generation->all->first;
    while (*link != NULL && *link != generation)
        link = &(*link)->next;
    if (*link != NULL)
        *link = generation->next;
    vm_free(generation->vm);
    scripts_free(generation->scripts);
    free(generation);
}

static size_t count_draining(const struct generations *all) {
    size_t count = 0;
    for (const struct generation *g = all->first; g != NULL; g = g->next)
        count += g->draining;
    return count;
}

static struct generation *oldest_draining(struct generations *all) {
    struct generation *oldest = NULL;
    for (struct generation *g = all->first; g != NULL; g = g->next)
        if (g->draining)
            oldest = g;
    return oldest;
}

static void end_drain(struct generation *generation) {
    size_t fibers = fiber_count(generation->vm);
    if (fibers > 0)
        log_warn("host", "generation %s was closed with %zu fibers still at work",
                 scripts_name(generation->scripts), fibers);
    else
        log_info("host", "generation %s has drained", scripts_name(generation->scripts));
    close_generation(generation);
}

static void look_at_draining(void *arg) {
    struct generations *all = arg;
    all->drain_alarm = NULL;
    double now = loop_seconds();
    for (struct generation *g = all->first, *next; g != NULL; g = next) {
        next = g->next;
        if (g->draining && (fiber_count(g->vm) == 0 || now >= g->deadline))
            end_drain(g);
    }
    while (count_draining(all) > DRAINING_MOST)
        end_drain(oldest_draining(all));
    size_t left = count_draining(all);
    metric_set(all->draining, (double)left);
    if (left > 0)
        all->drain_alarm = alarm_start(all->options.loop, drain_look, look_at_draining, all);
}

static void retire(struct generation *generation) {
    struct generations *all = generation->all;
    generation->active = false;
    generation->draining = true;
    generation->since = loop_seconds();
    generation->deadline = generation->since + all->options.drain;
    metric_set(all->draining, (double)count_draining(all));
    vm_run_hook(generation->vm, VM_ON_RETIRE, "another generation is active", NULL, NULL);
    if (all->drain_alarm == NULL)
        all->drain_alarm = alarm_start(all->options.loop, 0, look_at_draining, all);
}

/* -- The end of a load ------------------------------------------------------------------------- */

static void say(const struct load *load) {
    if (strcmp(load->outcome, "active") == 0)
        log_info("host", "generation %s is active (%s, %.0f ms)", load->generation, load->trigger,
                 load->seconds * 1000);
    else if (load->reason != NULL)
        log_error("host", "the scripts were not taken, nothing has changed (%s): %s", load->trigger,
                  load->reason);
}

/* `systemctl status` shows it. */
static void tell_manager(const struct load *load) {
    char status[400];
    if (load->reason != NULL)
        snprintf(status, sizeof status, "running; the last reload failed: %s", load->reason);
    else
        snprintf(status, sizeof status, "running scripts of generation %s", load->generation);
    notify_ready(status);
}

static void trial_is_gone(void *arg) {
    ((struct generations *)arg)->leaving = NULL;
}

static void dismiss_trial(struct generations *all) {
    struct trial *trial = all->trial;
    all->trial = NULL;
    if (trial == NULL)
        return;
    trial_free(all->leaving);
    all->leaving = trial;
    trial_dismiss(trial, trial_is_gone, all);
}

static void load_again(void *arg) {
    struct generations *all = arg;
    all->again_alarm = NULL;
    char trigger[sizeof all->again];
    memcpy(trigger, all->again, sizeof trigger);
    all->again[0] = 0;
    struct load_request request = {.trigger = trigger};
    struct err err;
    if (generations_load(all, &request, &err) != 0)
        log_warn("host", "%s", err.message);
}

static void end_load(struct generations *all, const char *outcome, const char *reason) {
    struct load_request request = all->request;
    struct load *load = &all->load;
    all->request = (struct load_request){0};
    load->seconds = loop_seconds() - all->load_began;
    load->outcome = outcome;
    load->reason = reason ? strdup(reason) : NULL;
    dismiss_trial(all);
    if (all->candidate != NULL)
        close_generation(all->candidate);
    all->candidate = NULL;
    scripts_free(request.scripts);
    struct load *slot = &all->past[all->past_count++ % LOADS_KEPT];
    free(slot->reason);
    *slot = *load;
    metric_add(metrics_series(all->loads, (const char *const[]){"outcome", outcome, NULL}), 1);
    metric_observe(all->seconds, load->seconds);
    say(slot);
    if (all->past_count > 1 && all->current != NULL) /* the first is ready when it listens */
        tell_manager(slot);
    if (all->again[0] != 0)
        all->again_alarm = alarm_start(all->options.loop, 0, load_again, all);
    if (request.ended != NULL)
        request.ended(slot, request.arg);
}

/* -- Prepare ----------------------------------------------------------------------------------- */

static void end_candidate(void *arg) {
    struct generations *all = arg;
    all->end_alarm = NULL;
    char reason[sizeof all->read_err.message];
    memcpy(reason, all->read_err.message, sizeof reason);
    end_load(all, "failed", reason);
}

/* The vm cannot be closed from within its own fiber's end. */
static void boot_ended(struct fiber *fiber, lua_State *co, int count, const struct err *err,
                       void *arg) {
    (void)fiber, (void)co, (void)count;
    struct generation *generation = arg;
    struct generations *all = generation->all;
    if (generation != all->candidate) {
        if (err != NULL)
            all->options.broken(all->options.arg, err, vm_traceback(generation->vm));
        return;
    }
    if (err != NULL)
        all->read_err = *err;
    else
        err_set(&all->read_err, ERR_INVALID, "boot.lua ended without a call of host.activate");
    all->end_alarm = alarm_start(all->options.loop, 0, end_candidate, all);
}

static void prepare(struct generations *all) {
    struct generation *generation = calloc(1, sizeof *generation);
    struct err err = {0};
    if (generation == NULL) {
        end_load(all, "failed", "out of memory");
        return;
    }
    struct vm_options options = all->options.vm;
    *generation = (struct generation){.next = all->first, .all = all, .since = loop_seconds()};
    generation->scripts = options.scripts = all->request.scripts;
    all->request.scripts = NULL;
    options.memory_limit = all->options.load_memory;
    options.jit = false;
    options.guard_seconds = all->options.slice_seconds;
    all->first = all->candidate = generation;
    int code = vm_new(all->options.loop, &options, &generation->vm, &err);
    if (code == 0)
        code = vm_load(vm_lua(generation->vm), "boot.lua", &err);
    if (code == 0)
        code = fiber_start(vm_lua(generation->vm), 0, "boot", boot_ended, generation, NULL, &err);
    if (code != 0)
        end_load(all, "failed", err.message);
}

int generations_activate(struct generations *all, struct vm *vm, struct err *err) {
    struct generation *generation = all->candidate;
    if (generation == NULL || generation->vm != vm)
        return err_set(err, ERR_INVALID, "only a generation that is being loaded can be activated");
    struct generation *former = all->current;
    vm_set_guard(vm, NULL);
    struct fiber *fiber = fiber_current(vm_lua(vm));
    if (fiber != NULL)
        fiber_set_guard(fiber, NULL);
    vm_set_memory_limit(vm, all->options.vm.memory_limit);
    vm_set_jit(vm, all->options.vm.jit);
    generation->active = true;
    generation->since = loop_seconds();
    all->current = generation;
    all->candidate = NULL;
    end_load(all, "active", NULL);
    if (former != NULL)
        retire(former);
    return 0;
}

/* -- Trial ------------------------------------------------------------------------------------- */

static void trial_ended(const char *reason, void *arg) {
    struct generations *all = arg;
    if (reason != NULL) {
        end_load(all, "failed", reason);
        return;
    }
    dismiss_trial(all);
    prepare(all);
}

static void try_scripts(struct generations *all) {
    struct err err;
    if (all->options.trial_arguments == NULL || all->request.no_trial) {
        prepare(all);
        return;
    }
    if (all->current != NULL)
        scripts_mark_known(all->request.scripts, all->current->scripts);
    if (trial_start(all->options.loop, all->options.trial_arguments, all->request.scripts,
                    all->options.load_seconds, trial_ended, all, &all->trial, &err) != 0)
        end_load(all, "failed", err.message);
}

/* -- Read -------------------------------------------------------------------------------------- */

static void take(struct generations *all) {
    snprintf(all->load.generation, sizeof all->load.generation, "%s",
             scripts_name(all->request.scripts));
    if (all->current != NULL &&
        strcmp(scripts_name(all->current->scripts), all->load.generation) == 0)
        end_load(all, "unchanged", NULL);
    else
        try_scripts(all);
}

static void read_scripts(void *arg) {
    struct generations *all = arg;
    all->read = NULL;
    if (all->options.read(all->options.arg, &all->read, &all->read_err) != 0)
        all->read = NULL;
}

static void scripts_are_read(void *arg) {
    struct generations *all = arg;
    all->request.scripts = all->read;
    if (all->read == NULL)
        end_load(all, "failed", all->read_err.message);
    else
        take(all);
}

static void begin_with_scripts(void *arg) {
    struct generations *all = arg;
    all->end_alarm = NULL;
    take(all);
}

int generations_load(struct generations *all, const struct load_request *request, struct err *err) {
    if (all->request.trigger != NULL && request->ended == NULL && request->scripts == NULL) {
        snprintf(all->again, sizeof all->again, "%s", request->trigger);
        return 0;
    }
    if (all->request.trigger != NULL) {
        scripts_free(request->scripts);
        return err_set(err, ERR_BUSY, "the scripts are being loaded already (%s)",
                       all->load.trigger);
    }
    uv_timeval64_t now;
    uv_gettimeofday(&now);
    all->request = *request;
    all->load = (struct load){.at = (double)now.tv_sec + now.tv_usec / 1e6};
    snprintf(all->load.trigger, sizeof all->load.trigger, "%s", request->trigger);
    snprintf(all->load.actor, sizeof all->load.actor, "%s", request->actor ? request->actor : "");
    all->request.trigger = all->load.trigger;
    all->load_began = loop_seconds();
    if (all->current != NULL)
        notify_reloading();
    if (request->scripts != NULL)
        all->end_alarm = alarm_start(all->options.loop, 0, begin_with_scripts, all);
    else
        loop_work(all->options.loop, read_scripts, scripts_are_read, all);
    return 0;
}

void generations_forget(struct generations *all, void *arg) {
    if (all->request.arg == arg)
        all->request.ended = NULL;
}

/* -- Life and looks ---------------------------------------------------------------------------- */

int generations_new(const struct generations_options *options, struct generations **out,
                    struct err *err) {
    struct generations *all = calloc(1, sizeof *all);
    if (all == NULL)
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    all->options = *options;
    all->loads = metrics_family(METRIC_COUNTER, "generation_loads_total",
                                "Attempts to load scripts, by outcome.", NULL, 0, err);
    struct metric_family *draining =
        metrics_family(METRIC_GAUGE, "generations_draining",
                       "Former generations that still finish what they began.", NULL, 0, err);
    struct metric_family *seconds =
        metrics_family(METRIC_HISTOGRAM, "generation_load_seconds",
                       "Time from the wish to load scripts to its end.", NULL, 0, err);
    all->draining = metrics_series(draining, NULL);
    all->seconds = metrics_series(seconds, NULL);
    *out = all;
    return 0;
}

void generations_free(struct generations *all) {
    if (all == NULL)
        return;
    alarm_stop(all->drain_alarm);
    alarm_stop(all->end_alarm);
    alarm_stop(all->again_alarm);
    trial_free(all->trial);
    trial_free(all->leaving);
    scripts_free(all->request.scripts);
    while (all->first != NULL)
        close_generation(all->first);
    for (size_t i = 0; i < LOADS_KEPT; i++)
        free(all->past[i].reason);
    free(all);
}

struct vm *generations_vm(const struct generations *all) {
    return all->current ? all->current->vm : NULL;
}

const struct load *generations_last(const struct generations *all, size_t index) {
    if (index >= all->past_count || index >= LOADS_KEPT)
        return NULL;
    return &all->past[(all->past_count - 1 - index) % LOADS_KEPT];
}

bool generations_view(const struct generations *all, size_t index, struct generation_view *view) {
    const struct generation *g = all->first;
    while (g != NULL && index-- > 0)
        g = g->next;
    if (g == NULL || g->vm == NULL)
        return false;
    *view = (struct generation_view){
        .name = scripts_name(g->scripts),
        .state = g->active     ? "active"
                 : g->draining ? "draining"
                               : "loading",
        .since = g->since,
        .memory = vm_memory(g->vm),
        .fibers = fiber_count(g->vm),
    };
    return true;
}
