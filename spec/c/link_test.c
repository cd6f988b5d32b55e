/* Two links over a socket pair on one loop; where the peer has to misbehave, a bare descriptor
 * takes its place. */
#include "core/link.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "check.h"

static struct loop loop;

struct side {
    struct link *link;
    int requests, events, beats, answers, closes;
    int answer_code; /* of the last answer; 0: a reply */
    bool ok;
    int close_code;
    size_t size; /* of the last payload */
    char payload[64];
    bool keep_quiet;      /* leave requests unanswered */
    bool free_on_request; /* and what else a callback may do */
    bool free_on_answer;
    uint64_t last_request;
};

static void keep(struct side *side, const char *payload, size_t size) {
    size_t kept = size < sizeof side->payload - 1 ? size : sizeof side->payload - 1;
    if (kept > 0) {
        memcpy(side->payload, payload, kept);
    }
    side->payload[kept] = '\0';
    side->size = size;
}

static void on_request(struct link *link, uint64_t id, const char *payload, size_t size,
                       void *arg) {
    struct side *side = arg;
    side->requests++;
    side->last_request = id;
    keep(side, payload, size);
    if (side->free_on_request) {
        link_free(link);
        side->link = NULL;
    } else if (!side->keep_quiet) {
        bool ok = size == 0 || payload[0] != '!';
        CHECK(link_reply(link, id, ok, payload, size, NULL) == 0);
    }
}

static void on_event(struct link *link, const char *payload, size_t size, void *arg) {
    struct side *side = arg;
    (void)link;
    side->events++;
    keep(side, payload, size);
}

static void on_beat(struct link *link, const char *payload, size_t size, void *arg) {
    on_event(link, payload, size, arg);
    struct side *side = arg;
    side->events--;
    side->beats++;
}

static size_t fill_beat(struct link *link, char *payload, size_t room, void *arg) {
    (void)link;
    (void)arg;
    CHECK(room == LINK_MAX_BEAT);
    return (size_t)snprintf(payload, room, "alive");
}

static void on_closed(struct link *link, const struct err *err, void *arg) {
    struct side *side = arg;
    (void)link;
    side->closes++;
    side->close_code = err->code;
}

static void on_answer(const struct err *err, bool ok, const char *payload, size_t size, void *arg) {
    struct side *side = arg;
    side->answers++;
    side->answer_code = err != NULL ? err->code : 0;
    side->ok = ok;
    keep(side, payload, size);
    if (side->free_on_answer) {
        link_free(side->link);
        side->link = NULL;
    }
}

static struct link_options options_for(struct side *side) {
    struct link_options options = {
        .callbacks = {on_request, on_event, on_beat, fill_beat, on_closed},
        .arg = side,
        .beat_seconds = -1,
    };
    return options;
}

static void open_side(struct side *side, int fd, const struct link_options *options) {
    struct err err = {0};
    CHECK(link_new(&loop, fd, options, &side->link, &err) == 0);
}

static void open_ends(int ends[2]) {
    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
}

static void open_pair(struct side *a, struct side *b) {
    int ends[2];
    struct link_options for_a = options_for(a), for_b = options_for(b);
    open_ends(ends);
    open_side(a, ends[0], &for_a);
    open_side(b, ends[1], &for_b);
}

/* A link on one end, nothing but a descriptor on the other. */
static int open_bare(struct side *side) {
    int ends[2];
    struct link_options options = options_for(side);
    open_ends(ends);
    open_side(side, ends[0], &options);
    CHECK(fcntl(ends[1], F_SETFL, O_NONBLOCK) == 0);
    return ends[1];
}

static void turn(double seconds) {
    double end = loop_seconds() + seconds;
    do {
        uv_run(&loop.uv, UV_RUN_NOWAIT);
        usleep(200);
    } while (loop_seconds() < end);
}

static void turn_until(const int *count, int value) {
    double end = loop_seconds() + 10;
    while (*count < value && loop_seconds() < end) {
        uv_run(&loop.uv, UV_RUN_NOWAIT);
    }
    CHECK(*count == value);
}

static void close_side(struct side *side) {
    link_free(side->link);
    side->link = NULL;
    turn(0.001);
}

static void ask(struct side *side, const char *text, double timeout) {
    CHECK(link_request(side->link, text, strlen(text), timeout, on_answer, side, NULL) != 0);
}

/* -- Talk -------------------------------------------------------------------------------------- */

static void carries_requests_both_ways(void) {
    struct side a = {0}, b = {0};
    open_pair(&a, &b);
    ask(&a, "hello", 0);
    ask(&b, "!no", 5);
    turn_until(&a.answers, 1);
    turn_until(&b.answers, 1);
    CHECK(a.ok && a.answer_code == 0);
    CHECK_TEXT(a.payload, "hello");
    CHECK(!b.ok && b.answer_code == 0);
    CHECK_TEXT(b.payload, "!no");
    CHECK(link_pending(a.link) == 0 && link_pending(b.link) == 0);
    close_side(&a);
    close_side(&b);
}

static void carries_events_and_heartbeats(void) {
    int ends[2];
    struct side a = {0}, b = {0};
    struct link_options beating = options_for(&a), quiet = options_for(&b);
    beating.beat_seconds = 0.01;
    open_ends(ends);
    open_side(&a, ends[0], &beating);
    open_side(&b, ends[1], &quiet);
    double before = loop_seconds();
    turn_until(&b.beats, 3);
    CHECK_TEXT(b.payload, "alive");
    CHECK(link_last_beat(b.link) > before && link_last_beat(a.link) <= before);
    CHECK(link_send_event(a.link, "news", 4, NULL) == 0);
    CHECK(link_send_event(a.link, "", 0, NULL) == 0);
    turn_until(&b.events, 2);
    close_side(&a);
    close_side(&b);
}

static void carries_large_frames(void) {
    size_t size = 24 << 20;
    char *payload = malloc(size);
    struct side a = {0}, b = {0};
    open_pair(&a, &b);
    memset(payload, 'x', size);
    CHECK(link_request(a.link, payload, size, 30, on_answer, &a, NULL) != 0);
    turn_until(&a.answers, 1);
    CHECK(a.ok && a.size == size && b.size == size);
    struct err err = {0};
    CHECK(link_request(a.link, payload, (size_t)LINK_MAX_PAYLOAD + 1, 0, on_answer, &a, &err) == 0);
    CHECK(err.code == ERR_TOO_LARGE);
    close_side(&a);
    close_side(&b);
    free(payload);
}

static void takes_frames_byte_by_byte(void) {
    static const char frames[] = "\3\0\0\0\1\7\0\0\0\0\0\0\0abc"
                                 "\0\0\0\0\4\0\0\0\0\0\0\0\0"
                                 "\2\0\0\0\5\0\0\0\0\0\0\0\0hi";
    static const char reply[] = "\3\0\0\0\2\7\0\0\0\0\0\0\0abc";
    char got[64];
    struct side a = {0};
    int peer = open_bare(&a);
    for (size_t i = 0; i < sizeof frames - 1; i++) {
        CHECK(write(peer, frames + i, 1) == 1);
        uv_run(&loop.uv, UV_RUN_NOWAIT);
    }
    CHECK(a.requests == 1 && a.events == 1 && a.beats == 1 && a.last_request == 7);
    CHECK(read(peer, got, sizeof got) == sizeof reply - 1);
    CHECK(memcmp(got, reply, sizeof reply - 1) == 0);
    close_side(&a);
    close(peer);
}

static void refuses_requests_where_nobody_takes_them(void) {
    int ends[2];
    struct side a = {0}, b = {0};
    struct link_options asking = options_for(&a), deaf = {.beat_seconds = -1};
    open_ends(ends);
    open_side(&a, ends[0], &asking);
    open_side(&b, ends[1], &deaf);
    ask(&a, "?", 5);
    turn_until(&a.answers, 1);
    CHECK(!a.ok && a.answer_code == 0);
    close_side(&a);
    close_side(&b);
}

/* -- Requests that end otherwise --------------------------------------------------------------- */

static void times_requests_out(void) {
    struct side a = {0}, slow = {0}, b = {.keep_quiet = true};
    open_pair(&a, &b);
    slow.link = a.link;
    ask(&slow, "later", 20);
    ask(&a, "soon", 0.02);
    ask(&a, "sooner", 0.01);
    turn_until(&a.answers, 2);
    CHECK(a.answer_code == ERR_TIMEOUT && slow.answers == 0);
    CHECK(link_reply(b.link, 2, true, "late", 4, NULL) == 0);
    CHECK(link_reply(b.link, 1, true, "good", 4, NULL) == 0);
    turn_until(&slow.answers, 1);
    CHECK(a.answers == 2 && slow.ok);
    close_side(&a);
    close_side(&b);
}

static void forgets_requests(void) {
    struct side a = {0}, b = {.keep_quiet = true};
    open_pair(&a, &b);
    uint64_t id = link_request(a.link, "x", 1, 0.01, on_answer, &a, NULL);
    link_forget(a.link, id);
    link_forget(a.link, id + 100);
    turn(0.03);
    CHECK(a.answers == 0 && link_pending(a.link) == 0);
    close_side(&a);
    close_side(&b);
}

static void answers_all_when_the_peer_dies(void) {
    struct side a = {0}, b = {.keep_quiet = true};
    open_pair(&a, &b);
    for (int i = 0; i < 300; i++) {
        ask(&a, "x", i % 2 != 0 ? 10 : 0);
    }
    turn_until(&b.requests, 300);
    close_side(&b);
    turn_until(&a.closes, 1);
    CHECK(a.answers == 300 && a.answer_code == ERR_CLOSED && a.close_code == ERR_CLOSED);
    struct err err = {0};
    CHECK(link_request(a.link, "x", 1, 0, on_answer, &a, &err) == 0 && err.code == ERR_CLOSED);
    CHECK(!link_is_open(a.link));
    close_side(&a);
    CHECK(a.answers == 300 && a.closes == 1);
}

static void answers_all_when_freed(void) {
    struct side a = {0}, b = {.keep_quiet = true};
    open_pair(&a, &b);
    ask(&a, "x", 0);
    ask(&a, "y", 3);
    close_side(&a);
    CHECK(a.answers == 2 && a.answer_code == ERR_CLOSED && a.closes == 0);
    turn_until(&b.closes, 1);
    close_side(&b);
}

static void may_be_freed_in_callbacks(void) {
    struct side a = {.free_on_answer = true}, b = {.free_on_request = true};
    open_pair(&a, &b);
    ask(&a, "one", 0);
    ask(&a, "two", 0);
    turn_until(&a.answers, 2);
    CHECK(b.requests == 1 && a.closes == 0 && a.link == NULL && b.link == NULL);
    turn(0.002);
}

static void reads_what_was_sent_before_the_end(void) {
    struct side a = {0}, b = {0};
    open_pair(&a, &b);
    for (int i = 0; i < 1000; i++) {
        CHECK(link_send_event(b.link, "last words", 10, NULL) == 0);
    }
    turn_until(&a.events, 1000);
    CHECK(link_send_event(b.link, "bye", 3, NULL) == 0);
    close_side(&b);
    turn_until(&a.closes, 1);
    CHECK(a.events == 1001);
    close_side(&a);
}

/* -- Budget ------------------------------------------------------------------------------------ */

static void refuses_beyond_its_budget(void) {
    int ends[2];
    static char chunk[64 << 10];
    struct side a = {0};
    struct link_options options = options_for(&a);
    struct err err = {0};
    int sent = 0;
    options.queue_budget = 1 << 20;
    open_ends(ends);
    open_side(&a, ends[0], &options);
    while (sent < 1000 && link_send_event(a.link, chunk, sizeof chunk, &err) == 0) {
        sent++;
    }
    CHECK(sent >= 16 && sent < 1000 && err.code == ERR_BUSY);
    CHECK(link_queued(a.link) <= (1 << 20) + 13 * 20);
    CHECK(link_request(a.link, chunk, sizeof chunk, 0, on_answer, &a, &err) == 0);
    CHECK(a.answers == 0 && link_is_open(a.link));
    /* Replies pass, up to a point. */
    sent = 0;
    while (sent < 1000 && link_reply(a.link, 1, true, chunk, sizeof chunk, &err) == 0) {
        sent++;
    }
    CHECK(sent >= 15 && sent < 40 && err.code == ERR_BUSY && a.closes == 0);
    turn_until(&a.closes, 1);
    CHECK(a.close_code == ERR_BUSY);
    close_side(&a);
    close(ends[1]);
}

/* -- Malformed input --------------------------------------------------------------------------- */

static void ends_at_malformed_frames(void) {
    static const struct {
        const char *bytes;
        size_t size;
        int code;
    } cases[] = {
        {"\0\0\0\0\0\0\0\0\0\0\0\0\0", 13, ERR_CORRUPT},         /* kind 0 */
        {"\0\0\0\0\6\0\0\0\0\0\0\0\0", 13, ERR_CORRUPT},         /* kind 6 */
        {"\1\0\0\4\4\0\0\0\0\0\0\0\0", 13, ERR_CORRUPT},         /* 64 MiB + 1 */
        {"\377\377\377\377\4\0\0\0\0\0\0\0\0", 13, ERR_CORRUPT}, /* 4 GiB */
        {"\1\1\0\0\5\0\0\0\0\0\0\0\0", 13, ERR_CORRUPT},         /* a heartbeat of 257 bytes */
        {"\0\0\0\0\1\0\0\0\0\0\0\0\0", 13, ERR_CORRUPT},         /* a request without id */
        {"\0\0\0\0\4\1\0\0\0\0\0\0\0", 13, ERR_CORRUPT},         /* an event with one */
        {"\0\0\0", 3, ERR_CORRUPT},                              /* ends in the header */
        {"\5\0\0\0\4\0\0\0\0\0\0\0\0abc", 16, ERR_CORRUPT},      /* ends in the payload */
        {"\0\0\0\0\2\11\0\0\0\0\0\0\0", 13, ERR_CLOSED},         /* a reply nobody waits for */
        {"", 0, ERR_CLOSED},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct side a = {0};
        int peer = open_bare(&a);
        ask(&a, "x", 0);
        CHECK(write(peer, cases[i].bytes, cases[i].size) == (ssize_t)cases[i].size);
        turn(0.002);
        close(peer);
        turn_until(&a.closes, 1);
        CHECK(a.close_code == cases[i].code && a.answers == 1 && a.answer_code == a.close_code);
        close_side(&a);
    }
}

static unsigned random_state = 12345;

static unsigned next_random(void) {
    random_state = random_state * 1664525u + 1013904223u;
    return random_state >> 8;
}

/* A stream that is mostly right: whole frames, some with a byte turned, some cut short. */
static size_t make_stream(unsigned char *out, size_t room) {
    size_t used = 0;
    while (used + 13 + 300 < room) {
        unsigned char *frame = out + used;
        unsigned size = next_random() % 300;
        unsigned kind = 1 + next_random() % 5;
        size = kind == 5 ? size % 257 : size;
        memset(frame, 0, 13);
        frame[0] = (unsigned char)size;
        frame[1] = (unsigned char)(size >> 8);
        frame[4] = (unsigned char)kind;
        frame[5] = kind <= 3 ? (unsigned char)(1 + next_random() % 20) : 0;
        for (unsigned i = 0; i < size; i++) {
            frame[13 + i] = (unsigned char)next_random();
        }
        if (next_random() % 12 == 0) {
            frame[next_random() % 13] ^= (unsigned char)(1 << next_random() % 8);
        }
        used += 13 + size;
    }
    return used - next_random() % 20;
}

static void survives_fuzzed_streams(void) {
    unsigned char stream[4096];
    char sink[65536];
    for (int round = 0; round < 1500; round++) {
        struct side a = {.free_on_answer = round % 7 == 0, .free_on_request = round % 11 == 0};
        int peer = open_bare(&a);
        for (int i = 0; i < 5 && a.link != NULL; i++) {
            ask(&a, "q", 0);
        }
        size_t size = make_stream(stream, sizeof stream);
        for (size_t at = 0; at < size;) {
            size_t piece = 1 + next_random() % 700;
            piece = piece < size - at ? piece : size - at;
            if (write(peer, stream + at, piece) < 0) {
                break;
            }
            at += piece;
            uv_run(&loop.uv, UV_RUN_NOWAIT);
            while (read(peer, sink, sizeof sink) > 0) {
            }
        }
        close(peer);
        uv_run(&loop.uv, UV_RUN_NOWAIT);
        uv_run(&loop.uv, UV_RUN_NOWAIT);
        bool was_freed = a.link == NULL;
        link_free(a.link);
        uv_run(&loop.uv, UV_RUN_NOWAIT);
        CHECK(a.answers == 5 && a.closes == !was_freed);
    }
}

/* -- Paths ------------------------------------------------------------------------------------- */

static struct side accepted;

static void on_connection(uv_stream_t *server, int status) {
    uv_pipe_t *pipe = malloc(sizeof *pipe);
    uv_os_fd_t fd = -1;
    CHECK(status == 0);
    uv_pipe_init(&loop.uv, pipe, 0);
    CHECK(uv_accept(server, (uv_stream_t *)pipe) == 0);
    uv_fileno((uv_handle_t *)pipe, &fd);
    struct link_options options = options_for(&accepted);
    open_side(&accepted, dup(fd), &options);
    uv_close((uv_handle_t *)pipe, (uv_close_cb)free);
}

static void connects_by_path(void) {
    char path[] = "/tmp/link_testXXXXXX";
    uv_pipe_t server;
    struct side a = {0};
    struct link_options options = options_for(&a);
    struct err err = {0};
    int fd = mkstemp(path);
    close(fd);
    CHECK(link_connect(&loop, path, &options, &a.link, &err) == 0);
    turn_until(&a.closes, 1);
    close_side(&a);
    unlink(path);

    uv_pipe_init(&loop.uv, &server, 0);
    CHECK(uv_pipe_bind(&server, path) == 0);
    CHECK(uv_listen((uv_stream_t *)&server, 4, on_connection) == 0);
    CHECK(link_connect(&loop, path, &options, &a.link, &err) == 0);
    ask(&a, "early", 5);
    turn_until(&a.answers, 1);
    CHECK_TEXT(a.payload, "early");
    uv_close((uv_handle_t *)&server, NULL);
    close_side(&a);
    close_side(&accepted);
    unlink(path);
}

int main(void) {
    static const struct test tests[] = {
        TEST(carries_requests_both_ways),
        TEST(carries_events_and_heartbeats),
        TEST(carries_large_frames),
        TEST(takes_frames_byte_by_byte),
        TEST(refuses_requests_where_nobody_takes_them),
        TEST(times_requests_out),
        TEST(forgets_requests),
        TEST(answers_all_when_the_peer_dies),
        TEST(answers_all_when_freed),
        TEST(may_be_freed_in_callbacks),
        TEST(reads_what_was_sent_before_the_end),
        TEST(refuses_beyond_its_budget),
        TEST(ends_at_malformed_frames),
        TEST(survives_fuzzed_streams),
        TEST(connects_by_path),
    };
    CHECK(loop_init(&loop, NULL) == 0);
    int status = RUN(tests);
    loop_deinit(&loop);
    return status;
}
