#include <stdlib.h>
#include <string.h>

#include "store/db_conn.h"

/* Bytes of names, texts and blobs live in chunks that never move, so that values may point into
 * them. */
struct chunk {
    struct chunk *next;
    size_t used, size;
    char bytes[];
};

struct db_rows {
    size_t columns, count;
    size_t capacity; /* of values */
    size_t bytes;    /* kept, for the limit */
    const char **names;
    struct db_value *values;
    struct chunk *chunks;
    int64_t changes, last_id;
};

enum { FIRST_CHUNK = 1 << 10, CHUNK = 64 << 10 };

static char *keep(struct db_rows *rows, const void *data, size_t size) {
    struct chunk *chunk = rows->chunks;
    size_t need = size + 1;
    if (chunk == NULL || chunk->size - chunk->used < need) {
        size_t room = chunk == NULL ? FIRST_CHUNK : CHUNK;
        if (room < need)
            room = need;
        chunk = malloc(sizeof *chunk + room);
        if (chunk == NULL)
            return NULL;
        *chunk = (struct chunk){rows->chunks, 0, room};
        rows->chunks = chunk;
    }
    char *copy = chunk->bytes + chunk->used;
    if (size > 0)
        memcpy(copy, data, size);
    copy[size] = 0;
    chunk->used += need;
    return copy;
}

struct db_rows *db_rows_new(sqlite3_stmt *statement) {
    struct db_rows *rows = calloc(1, sizeof *rows);
    if (rows == NULL)
        return NULL;
    rows->columns = (size_t)sqlite3_column_count(statement);
    if (rows->columns == 0)
        return rows;
    rows->names = calloc(rows->columns, sizeof *rows->names);
    for (size_t i = 0; rows->names != NULL && i < rows->columns; i++) {
        const char *name = sqlite3_column_name(statement, (int)i);
        rows->names[i] = name == NULL ? NULL : keep(rows, name, strlen(name));
        if (rows->names[i] == NULL)
            break;
    }
    if (rows->names == NULL || rows->names[rows->columns - 1] == NULL) {
        db_rows_free(rows);
        return NULL;
    }
    return rows;
}

static int take_bytes(struct db_rows *rows, struct db_value *value, const void *data, int size) {
    if (data == NULL && size > 0)
        return -1;
    value->bytes.size = (size_t)size;
    value->bytes.data = keep(rows, data, (size_t)size);
    rows->bytes += (size_t)size;
    return value->bytes.data == NULL ? -1 : 0;
}

static int take_value(struct db_rows *rows, sqlite3_stmt *statement, int column,
                      struct db_value *value) {
    switch (sqlite3_column_type(statement, column)) {
    case SQLITE_INTEGER:
        value->type = DB_INTEGER;
        value->integer = sqlite3_column_int64(statement, column);
        return 0;
    case SQLITE_FLOAT:
        value->type = DB_REAL;
        value->real = sqlite3_column_double(statement, column);
        return 0;
    case SQLITE_TEXT: {
        value->type = DB_TEXT;
        const void *text = sqlite3_column_text(statement, column);
        return text == NULL
                   ? -1
                   : take_bytes(rows, value, text, sqlite3_column_bytes(statement, column));
    }
    case SQLITE_BLOB: {
        value->type = DB_BLOB;
        const void *blob = sqlite3_column_blob(statement, column); /* NULL when it is empty */
        return take_bytes(rows, value, blob, sqlite3_column_bytes(statement, column));
    }
    default:
        value->type = DB_NULL;
        return 0;
    }
}

int db_rows_add(struct db_rows *rows, sqlite3_stmt *statement, size_t limit, struct err *err) {
    size_t used = rows->count * rows->columns;
    if (used + rows->columns > rows->capacity) {
        size_t capacity = rows->capacity ? rows->capacity * 2 : rows->columns;
        struct db_value *values = realloc(rows->values, capacity * sizeof *values);
        if (values == NULL)
            return err_set(err, ERR_NO_MEMORY, "out of memory for rows");
        rows->values = values;
        rows->capacity = capacity;
    }
    memset(rows->values + used, 0, rows->columns * sizeof *rows->values);
    for (size_t i = 0; i < rows->columns; i++)
        if (take_value(rows, statement, (int)i, &rows->values[used + i]) < 0)
            return err_set(err, ERR_NO_MEMORY, "out of memory for rows");
    rows->count++;
    rows->bytes += rows->columns * sizeof *rows->values;
    if (limit > 0 && rows->bytes > limit)
        return err_set(err, ERR_TOO_LARGE,
                       "the rows take more than %zu bytes: ask for fewer (LIMIT)", limit);
    return 0;
}

void db_rows_set_effects(struct db_rows *rows, int64_t changes, int64_t last_id) {
    rows->changes = changes;
    rows->last_id = last_id;
}

void db_rows_free(struct db_rows *rows) {
    if (rows == NULL)
        return;
    for (struct chunk *chunk = rows->chunks; chunk != NULL;) {
        struct chunk *next = chunk->next;
        free(chunk);
        chunk = next;
    }
    free(rows->names);
    free(rows->values);
    free(rows);
}

size_t db_rows_count(const struct db_rows *rows) {
    return rows->count;
}

size_t db_rows_columns(const struct db_rows *rows) {
    return rows->columns;
}

const char *db_rows_name(const struct db_rows *rows, size_t column) {
    return rows->names[column];
}

const struct db_value *db_rows_at(const struct db_rows *rows, size_t row, size_t column) {
    return &rows->values[row * rows->columns + column];
}

int64_t db_rows_changes(const struct db_rows *rows) {
    return rows->changes;
}

int64_t db_rows_last_id(const struct db_rows *rows) {
    return rows->last_id;
}
