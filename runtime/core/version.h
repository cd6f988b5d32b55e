/* version.h - which release this is. The commit it was built from is known to `stance version`
 * alone. */
#ifndef STANCE_CORE_VERSION_H
#define STANCE_CORE_VERSION_H

#define STANCE_VERSION "0.1.0"

#endif
