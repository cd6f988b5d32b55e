#include "net/client.h"

#include <ctype.h>
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/metrics.h"
#include "core/text.h"
#include "net/curl_load.h"

enum {
    MAX_SIZE_DEFAULT = 64 << 20,
    HEADERS_MAX = 256 * 1024,
    SILENCE_SECONDS = 60,
    KEPT_CONNECTIONS = 32,
};

struct net_client {
    struct loop *loop;
    CURLM *multi;
    uv_timer_t timer;
    struct net_fetch *all;
    bool closing;
};

struct net_fetch {
    struct net_fetch *next, **previous;
    struct net_client *client;
    CURL *easy;
    struct curl_slist *headers;
    struct net_fetch_ops ops;
    void *user;
    struct text answer_headers;
    int64_t received, max_size;
    double began; /* loop_seconds */
    bool head_told, paused, too_large, in_callback, cancelled;
    char error[CURL_ERROR_SIZE];
};

/* A socket of curl's that libuv watches. */
struct watched {
    uv_poll_t poll;
    curl_socket_t socket;
    struct net_client *client;
};

/* -- Counting ---------------------------------------------------------------------------------- */

static const char *const outcomes[] = {"error", "1xx", "2xx", "3xx", "4xx", "5xx", "cancelled"};

enum { ERROR = 0, CANCELLED = 6, OUTCOMES };

static struct {
    struct metric *requests[OUTCOMES]; /* each made when it is first counted */
    struct metric_family *family;
    struct metric *seconds, *bytes, *active;
} counted;

static void prepare_metrics(void) {
    counted.family = metrics_family(
        METRIC_COUNTER, "http_client_requests_total",
        "Requests that scripts made, by the status' class, or error or cancelled.", NULL, 0, NULL);
    counted.seconds = metrics_single(METRIC_HISTOGRAM, "http_client_request_seconds",
                                     "Seconds from such a request to the end of its answer.");
    counted.bytes = metrics_single(METRIC_COUNTER, "http_client_received_bytes_total",
                                   "Bytes of the bodies that such requests brought.");
    counted.active =
        metrics_single(METRIC_GAUGE, "http_client_requests", "Such requests that are under way.");
}

static void count_ended(const struct net_fetch *fetch, bool failed) {
    long status = 0;
    curl_easy_getinfo(fetch->easy, CURLINFO_RESPONSE_CODE, &status);
    bool known = !failed && status >= 100 && status < 600;
    int outcome = fetch->cancelled ? CANCELLED : known ? (int)status / 100 : ERROR;
    struct metric **requests = &counted.requests[outcome];
    if (*requests == NULL)
        *requests = metrics_series(counted.family,
                                   (const char *const[]){"outcome", outcomes[outcome], NULL});
    metric_add(*requests, 1);
    metric_observe(counted.seconds, loop_seconds() - fetch->began);
    metric_add(counted.bytes, (double)fetch->received);
}

/* -- The loop ---------------------------------------------------------------------------------- */

static void fetch_free(struct net_fetch *fetch) {
    metric_add(counted.active, -1);
    curl_multi_remove_handle(fetch->client->multi, fetch->easy);
    curl_easy_cleanup(fetch->easy);
    curl_slist_free_all(fetch->headers);
    text_drop(&fetch->answer_headers);
    *fetch->previous = fetch->next;
    if (fetch->next != NULL)
        fetch->next->previous = fetch->previous;
    free(fetch);
}

static int fill_error(struct net_fetch *fetch, CURLcode code, struct err *err) {
    const char *words = fetch->error[0] ? fetch->error : curl_easy_strerror(code);
    if (fetch->too_large)
        return err_set(err, ERR_TOO_LARGE, "the answer is larger than %lld bytes",
                       (long long)fetch->max_size);
    switch (code) {
    case CURLE_OPERATION_TIMEDOUT:
        return err_set(err, ERR_TIMEOUT, "%s", words);
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
        return err_set(err, ERR_INVALID, "%s", words);
    case CURLE_OUT_OF_MEMORY:
        return err_set(err, ERR_NO_MEMORY, "%s", words);
    default:
        return err_set(err, ERR_UPSTREAM, "%s", words);
    }
}

static void tell_head(struct net_fetch *fetch) {
    if (fetch->head_told)
        return;
    long status = 0;
    curl_easy_getinfo(fetch->easy, CURLINFO_RESPONSE_CODE, &status);
    fetch->head_told = true;
    fetch->ops.head(fetch, (int)status, fetch->user);
}

static void collect_ended(struct net_client *client) {
    CURLMsg *message;
    int left;
    while ((message = curl_multi_info_read(client->multi, &left)) != NULL) {
        if (message->msg != CURLMSG_DONE)
            continue;
        struct net_fetch *fetch = NULL;
        CURLcode code = message->data.result;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &fetch);
        struct err err;
        fetch->in_callback = true;
        if (code == CURLE_OK)
            tell_head(fetch);
        else
            fill_error(fetch, code, &err);
        count_ended(fetch, code != CURLE_OK);
        fetch->ops.done(fetch, code == CURLE_OK ? NULL : &err, fetch->user);
        fetch_free(fetch);
    }
}

static void socket_ready(uv_poll_t *poll, int status, int events) {
    struct watched *watched = poll->data;
    struct net_client *client = watched->client;
    int flags = status < 0 ? CURL_CSELECT_ERR : 0;
    if (events & UV_READABLE)
        flags |= CURL_CSELECT_IN;
    if (events & UV_WRITABLE)
        flags |= CURL_CSELECT_OUT;
    int running;
    curl_multi_socket_action(client->multi, watched->socket, flags, &running);
    collect_ended(client);
}

static void watched_closed(uv_handle_t *handle) {
    free(handle->data);
}

static int watch_socket(CURL *easy, curl_socket_t socket, int what, void *user, void *kept) {
    (void)easy;
    struct net_client *client = user;
    struct watched *watched = kept;
    if (what == CURL_POLL_REMOVE) {
        if (watched != NULL) {
            uv_poll_stop(&watched->poll);
            uv_close((uv_handle_t *)&watched->poll, watched_closed);
            curl_multi_assign(client->multi, socket, NULL);
        }
        return 0;
    }
    if (watched == NULL) {
        watched = calloc(1, sizeof *watched);
        if (watched == NULL)
            return -1;
        if (uv_poll_init_socket(&client->loop->uv, &watched->poll, socket) < 0) {
            free(watched);
            return -1;
        }
        watched->socket = socket;
        watched->client = client;
        watched->poll.data = watched;
        curl_multi_assign(client->multi, socket, watched);
    }
    int events = (what & CURL_POLL_IN ? UV_READABLE : 0) | (what & CURL_POLL_OUT ? UV_WRITABLE : 0);
    return uv_poll_start(&watched->poll, events, socket_ready);
}

static void timer_rings(uv_timer_t *timer) {
    struct net_client *client = timer->data;
    int running;
    curl_multi_socket_action(client->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    collect_ended(client);
}

static int set_timer(CURLM *multi, long ms, void *user) {
    (void)multi;
    struct net_client *client = user;
    if (client->closing)
        return 0;
    if (ms < 0)
        uv_timer_stop(&client->timer);
    else
        uv_timer_start(&client->timer, timer_rings, (uint64_t)ms, 0);
    return 0;
}

/* -- Clients ----------------------------------------------------------------------------------- */

int net_client_new(struct loop *loop, struct net_client **out, struct err *err) {
    int code = curl_load(err);
    if (code != 0)
        return code;
    struct net_client *client = calloc(1, sizeof *client);
    if (client == NULL || (client->multi = curl_multi_init()) == NULL) {
        free(client);
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    }
    client->loop = loop;
    uv_timer_init(&loop->uv, &client->timer);
    client->timer.data = client;
    curl_multi_setopt(client->multi, CURLMOPT_SOCKETFUNCTION, watch_socket);
    curl_multi_setopt(client->multi, CURLMOPT_SOCKETDATA, client);
    curl_multi_setopt(client->multi, CURLMOPT_TIMERFUNCTION, set_timer);
    curl_multi_setopt(client->multi, CURLMOPT_TIMERDATA, client);
    curl_multi_setopt(client->multi, CURLMOPT_MAXCONNECTS, (long)KEPT_CONNECTIONS);
    *out = client;
    return 0;
}

static void client_closed(uv_handle_t *handle) {
    free(handle->data);
}

void net_client_free(struct net_client *client) {
    if (client == NULL)
        return;
    client->closing = true;
    while (client->all != NULL)
        fetch_free(client->all);
    curl_multi_cleanup(client->multi);
    uv_timer_stop(&client->timer);
    uv_close((uv_handle_t *)&client->timer, client_closed);
}

/* -- Fetches ----------------------------------------------------------------------------------- */

static size_t take_header(char *bytes, size_t one, size_t size, void *user) {
    (void)one;
    struct net_fetch *fetch = user;
    struct text *text = &fetch->answer_headers;
    if (size > 5 && memcmp(bytes, "HTTP/", 5) == 0) {
        text->size = 0; /* of a redirect, or a 100 Continue: what counts comes now */
        return size;
    }
    const char *colon = memchr(bytes, ':', size);
    if (colon == NULL)
        return size;
    if (text->size + size > HEADERS_MAX)
        return 0;
    for (char *c = bytes; c < colon; c++)
        *c = (char)tolower((unsigned char)*c);
    size_t used = size;
    while (used > 0 && (bytes[used - 1] == '\r' || bytes[used - 1] == '\n'))
        used--;
    text_add(text, bytes, used);
    text_add(text, "\n", 2); /* its NUL is overwritten by what follows */
    if (!text->failed)
        text->size--;
    return text->failed ? 0 : size;
}

static size_t take_data(char *bytes, size_t one, size_t size, void *user) {
    (void)one;
    struct net_fetch *fetch = user;
    if (fetch->paused)
        return CURL_WRITEFUNC_PAUSE;
    fetch->received += (int64_t)size;
    if (fetch->received > fetch->max_size) {
        fetch->too_large = true;
        return size + 1; /* not what was given: curl ends the transfer */
    }
    fetch->in_callback = true;
    tell_head(fetch);
    fetch->ops.data(fetch, bytes, size, fetch->user);
    fetch->in_callback = false;
    return fetch->cancelled ? size + 1 : size;
}

static int set_body(struct net_fetch *fetch, const struct net_fetch_options *o) {
    CURL *easy = fetch->easy;
    if (strcmp(o->method, "HEAD") == 0)
        return curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
    if (o->body != NULL) {
        curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)o->body_size);
        int code = curl_easy_setopt(easy, CURLOPT_COPYPOSTFIELDS, o->body);
        if (code != 0)
            return code;
    } else if (strcmp(o->method, "POST") == 0 || strcmp(o->method, "PUT") == 0) {
        curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE, 0L);
        curl_easy_setopt(easy, CURLOPT_POSTFIELDS, "");
    }
    return curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, o->method);
}

static int set_headers(struct net_fetch *fetch, const struct net_fetch_options *o) {
    /* No waiting for 100-continue; and no form's content type that nobody asked for. */
    static const char *const own[] = {"Expect:", "Content-Type:", NULL};
    bool typed = false;
    for (size_t i = 0; o->headers != NULL && o->headers[i] != NULL; i++) {
        struct curl_slist *list = curl_slist_append(fetch->headers, o->headers[i]);
        if (list == NULL)
            return -1;
        fetch->headers = list;
        typed |= strncasecmp(o->headers[i], "content-type:", 13) == 0;
    }
    for (size_t i = 0; own[i] != NULL && !(i == 1 && typed); i++) {
        struct curl_slist *list = curl_slist_append(fetch->headers, own[i]);
        if (list == NULL)
            return -1;
        fetch->headers = list;
    }
    return curl_easy_setopt(fetch->easy, CURLOPT_HTTPHEADER, fetch->headers);
}

static void set_limits(CURL *easy, const struct net_fetch_options *o) {
    double timeout = o->timeout == 0 ? 30 : o->timeout;
    double connect = o->connect_timeout == 0 ? 10 : o->connect_timeout;
    if (timeout > 0) {
        curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)(timeout * 1000) + 1);
    } else {
        curl_easy_setopt(easy, CURLOPT_LOW_SPEED_TIME, (long)SILENCE_SECONDS);
        curl_easy_setopt(easy, CURLOPT_LOW_SPEED_LIMIT, 1L);
    }
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)(connect * 1000) + 1);
    curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, o->redirects > 0 ? 1L : 0L);
    curl_easy_setopt(easy, CURLOPT_MAXREDIRS, (long)o->redirects);
#if LIBCURL_VERSION_NUM >= 0x075500
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(easy, CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
#else
    curl_easy_setopt(easy, CURLOPT_PROTOCOLS, CURLPROTO_HTTP | CURLPROTO_HTTPS);
    curl_easy_setopt(easy, CURLOPT_REDIR_PROTOCOLS, CURLPROTO_HTTP | CURLPROTO_HTTPS);
#endif
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
}

int net_client_fetch(struct net_client *client, const struct net_fetch_options *options,
                     struct net_fetch **out, struct err *err) {
    struct net_fetch *fetch = calloc(1, sizeof *fetch);
    if (fetch == NULL || (fetch->easy = curl_easy_init()) == NULL) {
        free(fetch);
        return err_set(err, ERR_NO_MEMORY, "out of memory");
    }
    if (counted.family == NULL)
        prepare_metrics();
    metric_add(counted.active, 1);
    fetch->began = loop_seconds();
    fetch->client = client;
    fetch->ops = *options->ops;
    fetch->user = options->user;
    fetch->max_size = options->max_size > 0 ? options->max_size : MAX_SIZE_DEFAULT;
    fetch->next = client->all;
    fetch->previous = &client->all;
    if (client->all != NULL)
        client->all->previous = &fetch->next;
    client->all = fetch;
    CURL *easy = fetch->easy;
    int code = curl_easy_setopt(easy, CURLOPT_URL, options->url);
    if (code == 0)
        code = set_body(fetch, options);
    if (code == 0)
        code = set_headers(fetch, options);
    set_limits(easy, options);
    curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, fetch->error);
    curl_easy_setopt(easy, CURLOPT_PRIVATE, fetch);
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, take_header);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, fetch);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, take_data);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, fetch);
    /* Adding only arms the timer: callbacks come from the loop. */
    if (code == 0 && curl_multi_add_handle(client->multi, easy) != CURLM_OK)
        code = CURLE_FAILED_INIT;
    if (code != 0) {
        fetch_free(fetch);
        return err_set(err, ERR_NO_MEMORY, "the request cannot be made: out of memory");
    }
    *out = fetch;
    return 0;
}

static void ignore_head(struct net_fetch *fetch, int status, void *user) {
    (void)fetch, (void)status, (void)user;
}

static void ignore_data(struct net_fetch *fetch, const char *bytes, size_t size, void *user) {
    (void)fetch, (void)bytes, (void)size, (void)user;
}

static void ignore_done(struct net_fetch *fetch, const struct err *err, void *user) {
    (void)fetch, (void)err, (void)user;
}

void net_fetch_cancel(struct net_fetch *fetch) {
    if (!fetch->in_callback) {
        fetch->cancelled = true;
        count_ended(fetch, true);
        fetch_free(fetch);
        return;
    }
    fetch->ops = (struct net_fetch_ops){ignore_head, ignore_data, ignore_done};
    fetch->cancelled = true; /* curl is told when the callback returns */
    fetch->paused = false;
}

const char *net_fetch_headers(const struct net_fetch *fetch) {
    return fetch->answer_headers.bytes ? fetch->answer_headers.bytes : "";
}

void net_fetch_pause(struct net_fetch *fetch) {
    fetch->paused = true;
}

void net_fetch_resume(struct net_fetch *fetch) {
    if (!fetch->paused)
        return;
    fetch->paused = false;
    if (!fetch->in_callback)
        curl_easy_pause(fetch->easy, CURLPAUSE_CONT);
}
