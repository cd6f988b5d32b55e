#include "net/http_parse.h"

#include <string.h>
#include <strings.h>

enum {
    LINE_MAX_SIZE = 4096, /* of chunk extensions and trailers together */
    CHUNK_DIGITS_MAX = 15,
    LENGTH_DIGITS_MAX = 18,
};

/* -- Characters -------------------------------------------------------------------------------- */

/* RFC 9110 tchar. */
static const char token_marks[] = "!#$%&'*+-.^_`|~";

static bool is_token_char(unsigned char c) {
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'))
        return true;
    return c != 0 && c < 128 && strchr(token_marks, c) != NULL;
}

bool http_is_token(const char *bytes, size_t size) {
    for (size_t i = 0; i < size; i++)
        if (!is_token_char((unsigned char)bytes[i]))
            return false;
    return size > 0;
}

bool http_span_is(struct http_span span, const char *lower_case) {
    return span.at != NULL && strlen(lower_case) == span.size &&
           strncasecmp(span.at, lower_case, span.size) == 0;
}

static int hex_value(char c) {
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

int64_t http_decode(struct http_span span, bool form, char *out) {
    size_t size = 0;
    for (size_t i = 0; i < span.size; i++) {
        char c = span.at[i];
        if (c == '+' && form)
            c = ' ';
        if (c == '%') {
            if (i + 2 >= span.size)
                return -1;
            int high = hex_value(span.at[i + 1]), low = hex_value(span.at[i + 2]);
            if (high < 0 || low < 0)
                return -1;
            c = (char)(high * 16 + low);
            i += 2;
        }
        out[size++] = c;
    }
    return (int64_t)size;
}

/* -- Heads ------------------------------------------------------------------------------------- */

int64_t http_find_head(const char *bytes, size_t size, size_t *scanned) {
    size_t i = *scanned;
    while (i < size) {
        const char *feed = memchr(bytes + i, '\n', size - i);
        if (feed == NULL)
            break;
        size_t at = (size_t)(feed - bytes);
        if (at == 0 || bytes[at - 1] != '\r')
            return -1;
        if (at >= 3 && bytes[at - 2] == '\n')
            return (int64_t)(at + 1);
        i = at + 1;
    }
    *scanned = size;
    return 0;
}

static const struct {
    const char *name;
    enum http_method method;
} methods[] = {
    {"GET", HTTP_GET},     {"HEAD", HTTP_HEAD},     {"POST", HTTP_POST},       {"PUT", HTTP_PUT},
    {"PATCH", HTTP_PATCH}, {"DELETE", HTTP_DELETE}, {"OPTIONS", HTTP_OPTIONS},
};

const char *http_method_name(enum http_method method) {
    return methods[method].name;
}

static bool find_method(const char *name, size_t size, enum http_method *out) {
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++)
        if (strlen(methods[i].name) == size && memcmp(methods[i].name, name, size) == 0) {
            *out = methods[i].method;
            return true;
        }
    return false;
}

static int fail(const char **why, int status, const char *reason) {
    *why = reason;
    return status;
}

/* A path that later decoding cannot fail on; NUL bytes never reach a file name. */
static bool target_is_clean(const char *at, size_t size) {
    for (size_t i = 0; i < size; i++) {
        unsigned char c = (unsigned char)at[i];
        if (c <= ' ' || c == 127 || c == '#')
            return false;
        if (c != '%')
            continue;
        if (i + 2 >= size || hex_value(at[i + 1]) < 0 || hex_value(at[i + 2]) < 0)
            return false;
        if (at[i + 1] == '0' && at[i + 2] == '0')
            return false;
    }
    return true;
}

static int parse_target(struct http_head *head, const char *at, size_t size, const char **why) {
    if (size > 7 && strncasecmp(at, "http://", 7) == 0) { /* absolute form, as proxies send it */
        const char *slash = memchr(at + 7, '/', size - 7);
        if (slash == NULL)
            return fail(why, 400, "the request target has no path");
        size -= (size_t)(slash - at);
        at = slash;
    }
    if (size == 1 && at[0] == '*' && head->method == HTTP_OPTIONS) {
        head->path = (struct http_span){"/", 1};
        return 0;
    }
    if (size == 0 || at[0] != '/')
        return fail(why, 400, "the request target must be a path");
    if (!target_is_clean(at, size))
        return fail(why, 400, "the request target has a malformed escape or a forbidden character");
    const char *mark = memchr(at, '?', size);
    head->path = (struct http_span){at, mark ? (size_t)(mark - at) : size};
    if (mark != NULL)
        head->query = (struct http_span){mark + 1, size - head->path.size - 1};
    return 0;
}

static int parse_request_line(struct http_head *head, const char *line, size_t size,
                              const char **why) {
    const char *space = memchr(line, ' ', size);
    if (space == NULL || space == line)
        return fail(why, 400, "the request line is malformed");
    size_t method_size = (size_t)(space - line);
    if (!http_is_token(line, method_size))
        return fail(why, 400, "the method is malformed");
    const char *target = space + 1;
    size_t rest = size - method_size - 1;
    const char *second = memchr(target, ' ', rest);
    if (second == NULL)
        return fail(why, 400, "the request line has no HTTP version");
    size_t target_size = (size_t)(second - target);
    const char *version = second + 1;
    size_t version_size = rest - target_size - 1;
    if (version_size != 8 || memcmp(version, "HTTP/", 5) != 0 || version[6] != '.')
        return fail(why, 400, "the HTTP version is malformed");
    if (version[5] != '1' || (version[7] != '0' && version[7] != '1'))
        return fail(why, 400, "only HTTP/1.0 and HTTP/1.1 are spoken here");
    head->minor = version[7] - '0';
    if (!find_method(line, method_size, &head->method))
        return fail(why, 400, "this method is not known here");
    return parse_target(head, target, target_size, why);
}

/* One header line: name ":" blanks value blanks. */
static int parse_header_line(struct http_head *head, char *line, size_t size, const char **why) {
    if (line[0] == ' ' || line[0] == '\t')
        return fail(why, 400, "folded headers are not accepted");
    if (head->header_count == HTTP_HEADERS_MAX)
        return fail(why, 431, "too many headers");
    char *colon = memchr(line, ':', size);
    if (colon == NULL || !http_is_token(line, (size_t)(colon - line)))
        return fail(why, 400, "a header line is malformed");
    size_t name_size = (size_t)(colon - line);
    for (size_t i = 0; i < name_size; i++)
        if (line[i] >= 'A' && line[i] <= 'Z')
            line[i] = (char)(line[i] + 'a' - 'A');
    const char *value = colon + 1, *end = line + size;
    while (value < end && (*value == ' ' || *value == '\t'))
        value++;
    while (end > value && (end[-1] == ' ' || end[-1] == '\t'))
        end--;
    for (const char *c = value; c < end; c++)
        if (((unsigned char)*c < ' ' && *c != '\t') || *c == 127)
            return fail(why, 400, "a header value has a forbidden character");
    head->headers[head->header_count++] = (struct http_header){
        {line, name_size},
        {value, (size_t)(end - value)},
    };
    return 0;
}

struct http_span http_header(const struct http_head *head, const char *name) {
    size_t size = strlen(name);
    for (size_t i = 0; i < head->header_count; i++) {
        const struct http_header *header = &head->headers[i];
        if (header->name.size == size && memcmp(header->name.at, name, size) == 0)
            return header->value;
    }
    return (struct http_span){0};
}

/* -- What headers mean ------------------------------------------------------------------------- */

bool http_list_has(struct http_span list, const char *word, bool exact) {
    size_t word_size = strlen(word);
    size_t at = 0;
    while (at < list.size) {
        size_t end = at;
        while (end < list.size && list.at[end] != ',')
            end++;
        struct http_span item = {list.at + at, end - at};
        while (item.size > 0 && (item.at[0] == ' ' || item.at[0] == '\t'))
            item.at++, item.size--;
        while (item.size > 0 && (item.at[item.size - 1] == ' ' || item.at[item.size - 1] == '\t'))
            item.size--;
        if (exact ? item.size == word_size && memcmp(item.at, word, word_size) == 0
                  : http_span_is(item, word))
            return true;
        at = end + 1;
    }
    return false;
}

static int parse_length(struct http_head *head, struct http_span value, const char **why) {
    if (head->length >= 0)
        return fail(why, 400, "Content-Length is given twice");
    if (value.size == 0 || value.size > LENGTH_DIGITS_MAX)
        return fail(why, 400, "Content-Length is malformed");
    int64_t length = 0;
    for (size_t i = 0; i < value.size; i++) {
        if (value.at[i] < '0' || value.at[i] > '9')
            return fail(why, 400, "Content-Length is malformed");
        length = length * 10 + (value.at[i] - '0');
    }
    head->length = length;
    return 0;
}

struct meaning {
    bool connection_close, connection_keep, connection_upgrade, upgrade_websocket;
    int hosts;
};

static int note_header(struct http_head *head, const struct http_header *header,
                       struct meaning *meaning, const char **why) {
    struct http_span name = header->name, value = header->value;
    if (http_span_is(name, "host")) {
        head->host = value;
        meaning->hosts++;
    } else if (http_span_is(name, "content-length")) {
        return parse_length(head, value, why);
    } else if (http_span_is(name, "transfer-encoding")) {
        if (head->chunked)
            return fail(why, 400, "Transfer-Encoding is given twice");
        if (!http_span_is(value, "chunked"))
            return fail(why, 400, "the only transfer encoding accepted is chunked");
        head->chunked = true;
    } else if (http_span_is(name, "connection")) {
        meaning->connection_close |= http_list_has(value, "close", false);
        meaning->connection_keep |= http_list_has(value, "keep-alive", false);
        meaning->connection_upgrade |= http_list_has(value, "upgrade", false);
    } else if (http_span_is(name, "upgrade")) {
        meaning->upgrade_websocket |= http_list_has(value, "websocket", false);
    } else if (http_span_is(name, "expect")) {
        if (!http_span_is(value, "100-continue"))
            return fail(why, 417, "the only expectation known is 100-continue");
        head->expect_continue = true;
    }
    return 0;
}

static int understand(struct http_head *head, const char **why) {
    struct meaning meaning = {0};
    for (size_t i = 0; i < head->header_count; i++) {
        int status = note_header(head, &head->headers[i], &meaning, why);
        if (status != 0)
            return status;
    }
    if (head->chunked && head->length >= 0)
        return fail(why, 400, "Content-Length and Transfer-Encoding exclude each other");
    if (head->chunked && head->minor == 0)
        return fail(why, 400, "HTTP/1.0 has no Transfer-Encoding");
    if (meaning.hosts > 1 || (meaning.hosts == 0 && head->minor == 1))
        return fail(why, 400, "a request has exactly one Host header");
    head->keep_alive = head->minor == 1 ? !meaning.connection_close
                                        : meaning.connection_keep && !meaning.connection_close;
    head->websocket = meaning.upgrade_websocket && meaning.connection_upgrade && head->minor == 1 &&
                      head->method == HTTP_GET;
    return 0;
}

int http_parse_head(char *bytes, size_t size, struct http_head *head, const char **why) {
    head->query = head->host = (struct http_span){0};
    head->header_count = 0;
    head->length = -1;
    head->chunked = head->keep_alive = head->expect_continue = head->websocket = false;
    char *line = bytes, *end = bytes + size;
    bool first = true;
    while (line < end) {
        char *feed = memchr(line, '\n', (size_t)(end - line));
        if (feed == NULL || feed == line || feed[-1] != '\r')
            return fail(why, 400, "lines must end with CR LF");
        size_t line_size = (size_t)(feed - 1 - line);
        if (line_size == 0)
            break;
        if (memchr(line, '\r', line_size) != NULL || memchr(line, 0, line_size) != NULL)
            return fail(why, 400, "the head has a forbidden character");
        int status = first ? parse_request_line(head, line, line_size, why)
                           : parse_header_line(head, line, line_size, why);
        if (status != 0)
            return status;
        first = false;
        line = feed + 1;
    }
    if (first)
        return fail(why, 400, "the request is empty");
    return understand(head, why);
}

/* -- Chunks ------------------------------------------------------------------------------------ */

enum chunk_state {
    CHUNK_SIZE,
    CHUNK_EXTENSION,
    CHUNK_SIZE_LF,
    CHUNK_DATA,
    CHUNK_DATA_CR,
    CHUNK_DATA_LF,
    TRAILER_START,
    TRAILER,
    TRAILER_LF,
    LAST_LF,
};

/* The bytes around the data, one at a time. Returns false when malformed. */
static bool chunk_step(struct http_chunks *chunks, char c) {
    switch (chunks->state) {
    case CHUNK_SIZE: {
        int digit = hex_value(c);
        if (digit >= 0) {
            chunks->remain = chunks->remain * 16 + (uint64_t)digit;
            return ++chunks->digits <= CHUNK_DIGITS_MAX;
        }
        if (chunks->digits == 0)
            return false;
        chunks->state = c == '\r' ? CHUNK_SIZE_LF : CHUNK_EXTENSION;
        return c == '\r' || c == ';' || c == ' ' || c == '\t';
    }
    case CHUNK_EXTENSION:
        if (c == '\r')
            chunks->state = CHUNK_SIZE_LF;
        return c != '\n' && ++chunks->line < LINE_MAX_SIZE;
    case CHUNK_SIZE_LF:
        chunks->state = chunks->remain > 0 ? CHUNK_DATA : TRAILER_START;
        chunks->digits = 0;
        return c == '\n';
    case CHUNK_DATA_CR:
        chunks->state = CHUNK_DATA_LF;
        return c == '\r';
    case CHUNK_DATA_LF:
        chunks->state = CHUNK_SIZE;
        return c == '\n';
    case TRAILER_START:
    case TRAILER:
        if (c == '\r')
            chunks->state = chunks->state == TRAILER_START ? LAST_LF : TRAILER_LF;
        else
            chunks->state = TRAILER;
        return c != '\n' && ++chunks->line < LINE_MAX_SIZE;
    case TRAILER_LF:
        chunks->state = TRAILER_START;
        return c == '\n';
    case LAST_LF:
        chunks->done = true;
        return c == '\n';
    default:
        return false;
    }
}

int64_t http_chunks_read(struct http_chunks *chunks, const char *bytes, size_t size,
                         struct http_span *data) {
    *data = (struct http_span){0};
    size_t used = 0;
    while (used < size && !chunks->done) {
        if (chunks->state == CHUNK_DATA) {
            size_t piece = size - used;
            if (piece > chunks->remain)
                piece = (size_t)chunks->remain;
            *data = (struct http_span){bytes + used, piece};
            chunks->remain -= piece;
            if (chunks->remain == 0)
                chunks->state = CHUNK_DATA_CR;
            return (int64_t)(used + piece);
        }
        if (!chunk_step(chunks, bytes[used++]))
            return -1;
    }
    return (int64_t)used;
}

/* -- Words ------------------------------------------------------------------------------------- */

const char *http_status_text(int status) {
    static const struct {
        int status;
        const char *text;
    } texts[] = {
        {200, "OK"},
        {201, "Created"},
        {202, "Accepted"},
        {204, "No Content"},
        {206, "Partial Content"},
        {301, "Moved Permanently"},
        {302, "Found"},
        {303, "See Other"},
        {304, "Not Modified"},
        {307, "Temporary Redirect"},
        {308, "Permanent Redirect"},
        {400, "Bad Request"},
        {401, "Unauthorized"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {406, "Not Acceptable"},
        {408, "Request Timeout"},
        {409, "Conflict"},
        {410, "Gone"},
        {411, "Length Required"},
        {412, "Precondition Failed"},
        {413, "Content Too Large"},
        {414, "URI Too Long"},
        {415, "Unsupported Media Type"},
        {416, "Range Not Satisfiable"},
        {417, "Expectation Failed"},
        {421, "Misdirected Request"},
        {422, "Unprocessable Content"},
        {425, "Too Early"},
        {426, "Upgrade Required"},
        {428, "Precondition Required"},
        {429, "Too Many Requests"},
        {431, "Request Header Fields Too Large"},
        {500, "Internal Server Error"},
        {501, "Not Implemented"},
        {502, "Bad Gateway"},
        {503, "Service Unavailable"},
        {504, "Gateway Timeout"},
        {505, "HTTP Version Not Supported"},
        {507, "Insufficient Storage"},
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (texts[i].status == status)
            return texts[i].text;
    return status < 400 ? "OK" : "Error";
}
