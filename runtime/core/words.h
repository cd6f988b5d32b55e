/* words.h - how far one word is from another: for "did you mean". Any thread. */
#ifndef STANCE_CORE_WORDS_H
#define STANCE_CORE_WORDS_H

#include <stddef.h>

enum { WORDS_MAX = 64 }; /* letters; longer words are far from all others */

/* The number of edits (insert, delete, change a letter, swap two neighbours) that lead from `a` to
 * `b`: the distance of Damerau and Levenshtein, without edits inside a swap. WORDS_MAX where a word
 * is too long. */
size_t words_distance(const char *a, const char *b);

#endif
