/* answers.h - reads what a server sent, to the last byte: HTTP answers, and frames behind a 101. */
#ifndef STANCE_SPEC_ANSWERS_H
#define STANCE_SPEC_ANSWERS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { ANSWER_STATUSES = 600 };

struct answers {
    int count, last_status;
    bool all_200, smuggled; /* smuggled: one has that X-Request-Id */
    const char *wrong;      /* what is wrong with them */
};

/* The value of a header in one head, or NULL. */
static inline const char *answer_header(const char *head, const char *head_end, const char *name) {
    size_t size = strlen(name);
    for (const char *line = head; line < head_end;) {
        if (strncasecmp(line, name, size) == 0 && line[size] == ':')
            return line + size + 1 + (line[size + 1] == ' ');
        line = memchr(line, '\n', (size_t)(head_end - line));
        if (line == NULL)
            return NULL;
        line++;
    }
    return NULL;
}

/* Past a chunked body; NULL when it is malformed, `end` when it is cut. */
static inline const char *answer_skip_chunks(const char *at, const char *end) {
    for (;;) {
        char *digits_end;
        unsigned long size = strtoul(at, &digits_end, 16);
        if (digits_end + 2 > end)
            return end;
        if (digits_end == at || digits_end[0] != '\r' || digits_end[1] != '\n')
            return NULL;
        at = digits_end + 2;
        if (size + 2 > (size_t)(end - at))
            return end;
        if (at[size] != '\r' || at[size + 1] != '\n')
            return NULL;
        at += size + 2;
        if (size == 0)
            return at;
    }
}

/* A server's frames: not masked, no reserved bits, opcodes that exist. */
static inline const char *answer_skip_frames(const char *at, const char *end,
                                             struct answers *answers) {
    while (end - at >= 2) {
        const unsigned char *head = (const unsigned char *)at;
        unsigned opcode = head[0] & 0x0f;
        size_t size = head[1] & 0x7f, wide = size == 127 ? 8 : size == 126 ? 2 : 0;
        if ((head[0] & 0x70) != 0 || (head[1] & 0x80) != 0 || (opcode > 2 && opcode < 8) ||
            opcode > 10)
            answers->wrong = "a frame that no server sends";
        if ((size_t)(end - at) < 2 + wide)
            return end;
        for (size_t i = 0; wide && i < wide; i++)
            size = (i == 0 ? 0 : size << 8) | head[2 + i];
        if (answers->wrong != NULL || (size_t)(end - at) < 2 + wide + size)
            return end;
        at += 2 + wide + size;
    }
    return end;
}

static inline bool answer_is_allowed(int status) {
    return (status >= 100 && status < 500) || status == 503 || status == 507;
}

/* One answer; where the next begins, or `end`. */
static inline const char *read_answer(const char *at, const char *end, struct answers *answers,
                                      uint64_t *statuses) {
    const char *head_end = memmem(at, (size_t)(end - at), "\r\n\r\n", 4);
    if (strncmp(at, "HTTP/1.1 ", (size_t)(end - at) < 9 ? (size_t)(end - at) : 9) != 0) {
        answers->wrong = "bytes that are no answer";
        return end;
    }
    if (head_end == NULL)
        return end; /* the client was gone before it was whole */
    int status = atoi(at + 9);
    if (!answer_is_allowed(status))
        answers->wrong = "a status that is a fault of the server's own";
    if (statuses != NULL)
        statuses[status >= 0 && status < ANSWER_STATUSES ? status : 0]++;
    const char *length = answer_header(at, head_end, "Content-Length"), *body = head_end + 4;
    const char *id = answer_header(at, head_end, "X-Request-Id");
    answers->smuggled |= id != NULL && strncmp(id, "smuggled", 8) == 0;
    if (status == 100)
        return body;
    answers->count++;
    answers->last_status = status;
    answers->all_200 &= status == 200;
    if (status == 101)
        return answer_skip_frames(body, end, answers);
    if (answer_header(at, head_end, "Transfer-Encoding") != NULL) {
        const char *next = end - body >= 9 && strncmp(body, "HTTP/1.1 ", 9) == 0
                               ? body
                               : answer_skip_chunks(body, end);
        if (next == NULL)
            answers->wrong = "a chunked body that is malformed";
        return next ? next : end;
    }
    if (length == NULL || (end - body >= 9 && strncmp(body, "HTTP/1.1 ", 9) == 0))
        return body; /* 204, 304, HEAD */
    size_t size = strtoul(length, NULL, 10);
    return size > (size_t)(end - body) ? end : body + size;
}

/* All that a connection brought; it may be cut at its end. Counts statuses when given. */
static inline struct answers read_answers(const char *bytes, size_t size, uint64_t *statuses) {
    struct answers answers = {.all_200 = true};
    const char *at = bytes, *end = bytes + size;
    while (at < end && answers.wrong == NULL)
        at = read_answer(at, end, &answers, statuses);
    return answers;
}

#endif
