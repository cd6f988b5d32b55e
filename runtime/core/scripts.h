/* scripts.h - a generation: an unchanging snapshot of all loadable scripts.
 *
 * Read from the built-in folder with the operator's workspace laid over it (a file there replaces
 * the built-in one of the same path), or rebuilt from texts that the store kept. Its name is the
 * first 16 hex digits of the SHA-256 over paths and contents in order. Paths are relative, with
 * '/', such as "workflows/render.lua"; policies/ stands under "policies/". Immutable after it is
 * made; any thread may read. */
#ifndef STANCE_CORE_SCRIPTS_H
#define STANCE_CORE_SCRIPTS_H

#include <stdbool.h>
#include <stddef.h>

#include "core/err.h"

enum { SCRIPTS_NAME_SIZE = 17, SCRIPT_HASH_SIZE = 65 };

struct script {
    char *path;
    char *text;
    size_t size;
    char hash[SCRIPT_HASH_SIZE]; /* SHA-256 of the text, hex */
    bool known;                  /* an earlier generation had the same (scripts_mark_known) */
    char *origin; /* the file it was read from, for chunk names; the path itself for stored texts */
};

struct scripts;

/* lua_dir: the built-in scripts; policies_dir and workspace may be NULL. Hidden files, other
 * endings than .lua, meta/, node_modules/, spec/ at the top, and links to a folder that they lie in
 * are passed over. A script that cannot be read, is compiled or larger than 4 MiB, and folders more
 * than 16 deep are errors. */
int scripts_read(const char *lua_dir, const char *policies_dir, const char *workspace,
                 struct scripts **out, struct err *err);

/* Marks those that `earlier` has with the same text, which need not be looked through again. */
void scripts_mark_known(struct scripts *scripts, const struct scripts *earlier);

/* Seconds since a file or folder that was read had last changed. */
double scripts_untouched(const struct scripts *scripts);

/* From texts: scripts_begin, scripts_add..., scripts_seal. */
int scripts_begin(struct scripts **out, struct err *err);
int scripts_add(struct scripts *scripts, const char *path, const char *text, size_t size,
                const char *origin, struct err *err);
int scripts_seal(struct scripts *scripts, struct err *err);
void scripts_free(struct scripts *scripts);

/* All of them as one piece, for another process; malloc'ed, NULL when out of memory. */
char *scripts_pack(const struct scripts *scripts, size_t *size);
int scripts_unpack(const char *packed, size_t size, struct scripts **out, struct err *err);

const char *scripts_name(const struct scripts *scripts);
size_t scripts_count(const struct scripts *scripts);
const struct script *scripts_at(const struct scripts *scripts, size_t index); /* ordered by path */
const struct script *scripts_find(const struct scripts *scripts, const char *path);

#endif
