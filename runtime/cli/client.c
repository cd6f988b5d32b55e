/* client.c - the commands' HTTP client, on one libcurl easy handle that keeps its connection. */
#include "cli/client.h"

#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>

#include "cli/memory.h"
#include "cli/output.h"
#include "core/config.h"
#include "net/curl_load.h"

enum { BODY_MAX = 64 << 20, MESSAGE_SIZE = 1024, CALL_SECONDS = 90, CONNECT_SECONDS = 5 };

struct client {
    CURL *curl;
    char *url;
    char *token; /* NULL: none */
    const volatile sig_atomic_t *interrupt;
    double seconds; /* that an answer may take */
    bool refused;
    char message[MESSAGE_SIZE];
};

/* What one request collects. Error bodies are always kept; good ones go to `chunk` where there is
 * one. */
struct transfer {
    struct client *client;
    bool (*chunk)(void *arg, const void *data, size_t size);
    void *arg;
    char *body;
    size_t size;
    bool stopped; /* by chunk */
};

/* -- Life -------------------------------------------------------------------------------------- */

/* "host:port" becomes "http://host:port"; another scheme ends the process: curl would happily open
 * files. */
static char *normal_url(const char *url) {
    if (!strstr(url, "://")) {
        return memory_printf("http://%s", url);
    }
    if (strncmp(url, "http://", 7) != 0 && strncmp(url, "https://", 8) != 0) {
        exit(out_fail(EXIT_USAGE, "\"%s\" is not an http:// or https:// address", url));
    }
    return memory_need(strdup(url));
}

/* Where the settings say the host is: `url`, else where it would listen. A wrong configuration ends
 * the process. */
static void read_settings(struct client *client, const char *url) {
    struct config *config = NULL;
    struct err err;
    if (config_load(&config, NULL, 0, &err) < 0) {
        exit(out_fail(EXIT_CONFIG, "%s", err.message));
    }
    const char *listen = config_string(config, "listen");
    const char *token = config_string(config, "token");
    size_t length = strlen(listen);
    bool any_port = length > 2 && strcmp(listen + length - 2, ":0") == 0;
    url = url ? url : config_string(config, "url");
    url = url && *url ? url : any_port ? CLIENT_DEFAULT_URL : listen;
    client->url = normal_url(url);
    client->token = token && *token ? memory_need(strdup(token)) : NULL;
    config_free(config);
}

struct client *client_new(const char *url) {
    struct err err;
    if (curl_load(&err) != 0) {
        exit(out_fail(EXIT_FAILED, "%s", err.message));
    }
    struct client *client = memory_need(calloc(1, sizeof *client));
    client->seconds = CALL_SECONDS;
    read_settings(client, url);
    for (size_t end = strlen(client->url); end > 0 && client->url[end - 1] == '/'; end--) {
        client->url[end - 1] = '\0';
    }
    client->curl = memory_need(curl_easy_init());
    return client;
}

void client_free(struct client *client) {
    if (client) {
        curl_easy_cleanup(client->curl);
        free(client->url);
        free(client->token);
        free(client);
    }
}

const char *client_url(const struct client *client) {
    return client->url;
}

void client_set_patience(struct client *client, double seconds) {
    client->seconds = seconds;
}

void client_watch_interrupt(struct client *client, const volatile sig_atomic_t *flag) {
    client->interrupt = flag;
}

bool client_refused(const struct client *client) {
    return client->refused;
}

const char *client_message(const struct client *client) {
    return client->message;
}

int client_report(const struct client *client, int code) {
    return out_fail(code, "%s", client->message);
}

/* -- One request ------------------------------------------------------------------------------- */

static size_t on_body(char *data, size_t unit, size_t count, void *arg) {
    struct transfer *transfer = arg;
    size_t size = unit * count;
    long status = 0;
    curl_easy_getinfo(transfer->client->curl, CURLINFO_RESPONSE_CODE, &status);
    if (transfer->chunk && status < 300) {
        transfer->stopped = !transfer->chunk(transfer->arg, data, size);
        return transfer->stopped ? 0 : size;
    }
    if (transfer->size + size > BODY_MAX) {
        return 0;
    }
    transfer->body = memory_need(realloc(transfer->body, transfer->size + size + 1));
    memcpy(transfer->body + transfer->size, data, size);
    transfer->size += size;
    transfer->body[transfer->size] = '\0';
    return size;
}

static int on_progress(void *arg, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d) {
    const struct client *client = arg;
    (void)a, (void)b, (void)c, (void)d;
    return client->interrupt && *client->interrupt;
}

static int exit_of_status(long status) {
    switch (status) {
    case 401:
    case 403:
        return EXIT_NOT_ALLOWED;
    case 404:
    case 410:
        return EXIT_NOT_FOUND;
    case 400:
    case 422:
        return EXIT_USAGE;
    case 408:
    case 504:
        return EXIT_TIMEOUT;
    case 413:
    case 429:
    case 507:
        return EXIT_REFUSED;
    default:
        return status >= 500 ? EXIT_UPSTREAM : EXIT_FAILED;
    }
}

/* Adds "; characters: is required" for each entry of a problem's `errors`. One alone is the detail
 * already. */
static void append_errors(char *message, const json_t *errors) {
    if (*message && json_array_size(errors) == 1) {
        return;
    }
    size_t index;
    json_t *entry;
    json_array_foreach(errors, index, entry) {
        const char *path = json_string_value(json_object_get(entry, "path"));
        const char *words = json_string_value(json_object_get(entry, "message"));
        size_t used = strlen(message);
        if (words) {
            snprintf(message + used, MESSAGE_SIZE - used, "%s%s%s%s", used ? "; " : "",
                     path ? path : "", path && *path ? ": " : "", words);
        }
    }
}

/* Words for an HTTP error, from its problem document where there is one. */
static int keep_problem(struct client *client, long status, const char *body) {
    json_t *problem = body ? json_loads(body, 0, NULL) : NULL;
    const char *detail = json_string_value(json_object_get(problem, "detail"));
    const char *title = json_string_value(json_object_get(problem, "title"));
    snprintf(client->message, MESSAGE_SIZE, "%s", detail ? detail : title ? title : "");
    append_errors(client->message, json_object_get(problem, "errors"));
    if (!client->message[0]) {
        snprintf(client->message, MESSAGE_SIZE, "%s answered %ld", client->url, status);
    }
    json_decref(problem);
    return exit_of_status(status);
}

static int keep_curl_error(struct client *client, const struct transfer *transfer,
                           CURLcode result) {
    if (client->interrupt && *client->interrupt) {
        snprintf(client->message, MESSAGE_SIZE, "interrupted");
        return EXIT_FAILED;
    }
    if (transfer->stopped) {
        snprintf(client->message, MESSAGE_SIZE, "stopped");
        return EXIT_FAILED;
    }
    if (result == CURLE_COULDNT_CONNECT) {
        client->refused = true;
        snprintf(client->message, MESSAGE_SIZE,
                 "no host is running at %s: start one with `stance serve`", client->url);
        return EXIT_UPSTREAM;
    }
    snprintf(client->message, MESSAGE_SIZE, "%s: %s", client->url, curl_easy_strerror(result));
    return result == CURLE_OPERATION_TIMEDOUT ? EXIT_TIMEOUT : EXIT_UPSTREAM;
}

static struct curl_slist *make_headers(bool body, const char *key, const char *token) {
    struct curl_slist *headers = memory_need(curl_slist_append(NULL, "Accept: application/json"));
    if (body) {
        headers = memory_need(curl_slist_append(headers, "Content-Type: application/json"));
    }
    if (key) {
        char *line = memory_printf("Idempotency-Key: %s", key);
        headers = memory_need(curl_slist_append(headers, line));
        free(line);
    }
    if (token) {
        char *line = memory_printf("Authorization: Bearer %s", token);
        headers = memory_need(curl_slist_append(headers, line));
        free(line);
    }
    return headers;
}

/* `seconds` 0: as long as it takes. */
static int perform(struct transfer *transfer, const char *method, const char *path,
                   const char *body, const char *key, double seconds) {
    struct client *client = transfer->client;
    CURL *curl = client->curl;
    char *url = memory_printf("%s%s", client->url, path);
    struct curl_slist *headers = make_headers(body != NULL, key, client->token);
    curl_easy_reset(curl);
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, method);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, (long)CONNECT_SECONDS);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)(seconds * 1000));
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, transfer);
    curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, on_progress);
    curl_easy_setopt(curl, CURLOPT_XFERINFODATA, client);
    if (body) {
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body);
    }
    client->refused = false;
    client->message[0] = '\0';
    CURLcode result = curl_easy_perform(curl);
    long status = 0;
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    curl_slist_free_all(headers);
    free(url);
    if (result != CURLE_OK) {
        return keep_curl_error(client, transfer, result);
    }
    return status < 300 ? EXIT_OK : keep_problem(client, status, transfer->body);
}

/* -- Calls ------------------------------------------------------------------------------------- */

int client_call(struct client *client, const char *method, const char *path, const json_t *body,
                const char *key, json_t **reply) {
    struct transfer transfer = {.client = client};
    char *text = body ? memory_need(json_dumps(body, JSON_COMPACT)) : NULL;
    int code = perform(&transfer, method, path, text, key, client->seconds);
    free(text);
    if (code == EXIT_OK && reply) {
        json_error_t error;
        *reply = json_loads(transfer.body ? transfer.body : "", 0, &error);
        if (!*reply) {
            snprintf(client->message, MESSAGE_SIZE,
                     "%s%s did not answer with JSON (%s): is it a stance host?", client->url, path,
                     error.text);
            code = EXIT_UPSTREAM;
        }
    }
    free(transfer.body);
    return code;
}

int client_get(struct client *client, const char *path, json_t **reply) {
    return client_call(client, "GET", path, NULL, NULL, reply);
}

int client_bytes(struct client *client, const char *path,
                 bool (*chunk)(void *arg, const void *data, size_t size), void *arg) {
    struct transfer transfer = {.client = client, .chunk = chunk, .arg = arg};
    int code = perform(&transfer, "GET", path, NULL, NULL, 0);
    free(transfer.body);
    return code;
}

int client_post_bytes(struct client *client, const char *path,
                      bool (*chunk)(void *arg, const void *data, size_t size), void *arg) {
    struct transfer transfer = {.client = client, .chunk = chunk, .arg = arg};
    int code = perform(&transfer, "POST", path, NULL, NULL, 0);
    free(transfer.body);
    return code;
}

struct line_reader {
    bool (*line)(void *arg, const json_t *value);
    void *arg;
    char *held; /* an unfinished line */
    size_t size;
    bool over; /* the reader has had enough */
};

static bool give_line(struct line_reader *reader, const char *text, size_t size) {
    json_t *value = json_loadb(text, size, 0, NULL);
    bool more = !value || reader->line(reader->arg, value);
    json_decref(value);
    reader->over = !more;
    return more;
}

static bool on_line_bytes(void *arg, const void *data, size_t size) {
    struct line_reader *reader = arg;
    if (reader->size + size > BODY_MAX) {
        return false;
    }
    reader->held = memory_need(realloc(reader->held, reader->size + size));
    memcpy(reader->held + reader->size, data, size);
    reader->size += size;
    char *start = reader->held;
    char *end = reader->held + reader->size;
    bool more = true;
    while (more && start < end) {
        char *newline = memchr(start, '\n', (size_t)(end - start));
        if (!newline) {
            break;
        }
        more = give_line(reader, start, (size_t)(newline - start));
        start = newline + 1;
    }
    reader->size = (size_t)(end - start);
    memmove(reader->held, start, reader->size);
    return more;
}

int client_lines(struct client *client, const char *path, double seconds,
                 bool (*line)(void *arg, const json_t *value), void *arg) {
    struct line_reader reader = {.line = line, .arg = arg};
    struct transfer transfer = {.client = client, .chunk = on_line_bytes, .arg = &reader};
    int code = perform(&transfer, "GET", path, NULL, NULL, seconds);
    free(transfer.body);
    if (code == EXIT_OK && reader.size > 0) {
        give_line(&reader, reader.held, reader.size);
    }
    free(reader.held);
    return reader.over ? EXIT_OK : code;
}

/* -- Paths ------------------------------------------------------------------------------------- */

char *client_escape(const char *text, bool keep_slashes) {
    char *escaped = memory_need(malloc(strlen(text) * 3 + 1));
    char *to = escaped;
    for (const unsigned char *from = (const unsigned char *)text; *from; from++) {
        bool plain = (*from >= 'a' && *from <= 'z') || (*from >= 'A' && *from <= 'Z') ||
                     (*from >= '0' && *from <= '9') || strchr("-._~", *from) ||
                     (keep_slashes && *from == '/');
        to += plain ? sprintf(to, "%c", *from) : sprintf(to, "%%%02X", *from);
    }
    *to = '\0';
    return escaped;
}

char *client_job_path(const char *job_id, const char *tail) {
    char *escaped = client_escape(job_id, false);
    char *path = memory_printf("/api/jobs/%s%s", escaped, tail);
    free(escaped);
    return path;
}
