/* trial.h - scripts are tried in a process of their own before the host takes them.
 *
 * The child (this program with `arguments`, and a link on its descriptor 3) asks for the scripts,
 * loads and checks all, and says how it went. One that crashes, hangs past its time or fills its
 * memory has failed, and is gone. Loop thread. */
#ifndef STANCE_CORE_TRIAL_H
#define STANCE_CORE_TRIAL_H

#include "core/link.h"
#include "core/scripts.h"

struct trial;

/* `ended` is called once, from the loop: with NULL when all is well, else with the reason, lines
 * "PATH:LINE: MESSAGE". `scripts` are borrowed until then. */
int trial_start(struct loop *loop, const char *const *arguments, const struct scripts *scripts,
                double seconds, void (*ended)(const char *reason, void *arg), void *arg,
                struct trial **out, struct err *err);

/* Kills the child and waits for it, which takes its time: for the end of the process. NULL-safe. */
void trial_free(struct trial *trial);

/* The same without waiting: from within `ended` too. `gone` is called, from here or from the loop,
 * when the child is no more and the trial freed. */
void trial_dismiss(struct trial *trial, void (*gone)(void *arg), void *arg);

/* -- The child's side -------------------------------------------------------------------------- */

/* Asks for the scripts; `taken` is called once, with NULL and `err` when they did not come. */
int trial_take_scripts(struct link *link,
                       void (*taken)(struct scripts *scripts, const struct err *err, void *arg),
                       void *arg, struct err *err);

/* Says that all is well (NULL), or what is wrong; `told` is called when the host knows. */
int trial_tell(struct link *link, const char *reason, void (*told)(void *arg), void *arg,
               struct err *err);

#endif
