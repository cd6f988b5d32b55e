/* labels_write.h - numbers and texts as the files of labels write them. Private to labels*.c. */
#ifndef STANCE_MEDIA_LABELS_WRITE_H
#define STANCE_MEDIA_LABELS_WRITE_H

#include <stdio.h>

void labels_put_string(FILE *out, const char *text);

/* Rounded, without trailing zeros; null for what JSON has no number for. */
void labels_put_number(FILE *out, double value, int decimals);

/* ,"key":value */
void labels_put_field(FILE *out, const char *key, double value, int decimals);

/* [a,b,...] */
void labels_put_row(FILE *out, const float *values, int count, int decimals);

struct labels_person;

/* ,"pose":{...},"measures":{...} */
void labels_put_pose(FILE *out, const struct labels_person *person);

#endif
