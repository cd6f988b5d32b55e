/* doctor.h - the report of `stance doctor` and those who write into it. Internal to doctor*.c. */
#ifndef STANCE_CLI_DOCTOR_H
#define STANCE_CLI_DOCTOR_H

#include <jansson.h>
#include <stdbool.h>

#include "core/config.h"

enum verdict { VERDICT_OK, VERDICT_WARN, VERDICT_FAIL };

struct report {
    json_t *checks;
    bool json;
    enum verdict worst;
};

/* One line; `remedy` may be NULL. */
void doctor_tell(struct report *report, enum verdict verdict, const char *name, const char *remedy,
                 const char *format, ...) __attribute__((format(printf, 5, 6)));

/* Processor, GPU, pose networks, limits, memory, clock, what the kernel offers (doctor_machine.c).
 */
void doctor_machine(struct report *report);

/* The data folder, the database in it, the console's socket (doctor_storage.c). */
void doctor_storage(struct report *report, const struct config *config);

/* The scripts that a host would load, then the operator's own checks, WORKSPACE/doctor/NAME.lua
 * (doctor_scripts.c). */
void doctor_scripts(struct report *report, const struct config *config);

#endif
