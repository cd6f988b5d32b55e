/* net_hostile_test.c - broken requests by the thousand (hostile.h), and what must hold of the
 * answers: HTTP to the last byte, no fault of the server's own (5xx, but for 503 and 507), nothing
 * read behind a request whose end is doubtful, and a good request is answered at once all the time.
 *
 *     net_hostile_test                                 against a server in this process
 *     net_hostile_test HOST:PORT JOB SEED FIRST COUNT  against a host; attacks FIRST ..
 * FIRST+COUNT-1
 *
 * A failure names its seed and number, so that it can be sent again alone. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "answers.h"
#include "check.h"
#include "core/log.h"
#include "hostile.h"
#include "net/server.h"
#include "net/ws.h"

enum {
    SLOTS = 64,
    ANSWER_MAX = 4 << 20,
    QUIET_MS = 150, /* an attack that nobody answers for so long is over */
    LEAVES_MS = 20, /* one that leaves in the middle goes after that */
    BATCH = 1000,   /* attacks between two good requests */
    IN_PROCESS = 10000,
    FAILURES_SHOWN = 10,
    KINDS = sizeof hostile_kinds / sizeof *hostile_kinds,
};

static struct {
    struct sockaddr_in to;
    const char *job;
    uint64_t seed, first, count;
    uint64_t next, done, failures;
    uint64_t statuses[ANSWER_STATUSES], by_kind[KINDS], failed_by_kind[KINDS];
    double worst_ms; /* of the good requests */
} run;

static double now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

/* -- Attacks under way ------------------------------------------------------------------------- */

struct slot {
    uint64_t index;
    size_t sent, got;
    double active_ms;
    char *answer; /* ANSWER_MAX bytes and a NUL */
    struct attack attack;
    int fd;     /* -1: free */
    bool ended; /* by the server */
};

static struct slot slots[SLOTS];

static int dial(uint64_t number) {
    /* From many addresses: one alone has too few ports for so many connections. */
    struct sockaddr_in from = {.sin_family = AF_INET,
                               .sin_addr = {htonl(0x7f000001u + ((uint32_t)(number % 250) << 8))}};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (bind(fd, (struct sockaddr *)&from, sizeof from) == 0 &&
        connect(fd, (struct sockaddr *)&run.to, sizeof run.to) == 0)
        return fd;
    close(fd);
    return -1;
}

static void complain(const struct slot *slot, const char *why) {
    if (run.failures++ >= FAILURES_SHOWN)
        return;
    fprintf(stderr, "not so: attack %llu of seed %llu (%s): %s\n", (unsigned long long)slot->index,
            (unsigned long long)run.seed, slot->attack.kind, why);
    fprintf(stderr, "  sent: %.400s\n  came: %.400s\n", slot->attack.bytes, slot->answer);
}

static size_t kind_of(const struct slot *slot) {
    for (size_t i = 0; i < KINDS; i++)
        if (strcmp(hostile_kinds[i].name, slot->attack.kind) == 0)
            return i;
    return 0;
}

static const char *judge(const struct slot *slot) {
    const struct attack *attack = &slot->attack;
    struct answers answers = read_answers(slot->answer, slot->got, run.statuses);
    if (answers.wrong != NULL)
        return answers.wrong;
    if (attack->refused && answers.smuggled)
        return "a smuggled request was answered";
    if (attack->refused && !(slot->ended && answers.count == 1 && answers.last_status / 100 == 4))
        return "it was not refused";
    if (attack->answers > 0 &&
        !(slot->ended && answers.all_200 && answers.count == attack->answers + 1))
        return "good requests were not answered";
    return NULL;
}

static void finish(struct slot *slot) {
    slot->answer[slot->got] = 0;
    const char *why = judge(slot);
    size_t kind = kind_of(slot);
    run.by_kind[kind]++;
    if (why != NULL) {
        run.failed_by_kind[kind]++;
        complain(slot, why);
    }
    close(slot->fd);
    slot->fd = -1;
    run.done++;
}

static void begin(struct slot *slot) {
    static const char probe[] =
        "GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    slot->index = run.next++;
    hostile_make(&slot->attack, run.seed, slot->index, run.job);
    if (!slot->attack.leaves)
        hostile_put(&slot->attack, probe, sizeof probe - 1);
    slot->sent = slot->got = 0;
    slot->ended = false;
    slot->active_ms = now_ms();
    slot->fd = dial(slot->index);
    if (slot->fd < 0) {
        slot->answer[0] = 0;
        complain(slot, "the server takes no connection");
        run.failed_by_kind[kind_of(slot)]++;
        run.done++;
    }
}

static void write_some(struct slot *slot) {
    size_t size = slot->attack.size - slot->sent;
    if (slot->attack.piece > 0 && size > (size_t)slot->attack.piece)
        size = (size_t)slot->attack.piece;
    ssize_t sent =
        send(slot->fd, slot->attack.bytes + slot->sent, size, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent > 0) {
        slot->sent += (size_t)sent;
        slot->active_ms = now_ms();
    } else if (sent < 0 && errno != EAGAIN) {
        slot->sent = slot->attack.size; /* it has heard enough */
    }
}

static void read_some(struct slot *slot) {
    ssize_t got = recv(slot->fd, slot->answer + slot->got, ANSWER_MAX - slot->got, MSG_DONTWAIT);
    if (got > 0) {
        slot->got += (size_t)got;
        slot->active_ms = now_ms();
    } else if (got == 0 || errno != EAGAIN) {
        slot->ended = true;
    }
}

static void turn(struct slot *slot, short events) {
    if (events & (POLLIN | POLLHUP | POLLERR))
        read_some(slot);
    if (!slot->ended && (events & POLLOUT) && slot->sent < slot->attack.size)
        write_some(slot);
    double quiet = now_ms() - slot->active_ms;
    bool all_sent = slot->sent == slot->attack.size;
    if (slot->ended || slot->got == ANSWER_MAX ||
        (all_sent && slot->attack.leaves && quiet > LEAVES_MS) ||
        quiet > QUIET_MS * (slot->attack.answers || slot->attack.refused ? 40 : 1))
        finish(slot);
}

/* A client like any other, in the middle of it all. */
static bool good_request(void) {
    static const char text[] =
        "GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    char answer[2048];
    double began = now_ms();
    int fd = dial(0);
    struct timeval limit = {5, 0};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    send(fd, text, sizeof text - 1, MSG_NOSIGNAL);
    ssize_t got = recv(fd, answer, sizeof answer - 1, MSG_WAITALL);
    close(fd);
    if (now_ms() - began > run.worst_ms)
        run.worst_ms = now_ms() - began;
    return got > 12 && strncmp(answer, "HTTP/1.1 200", 12) == 0;
}

/* Until `until` attacks are over. */
static void attack(uint64_t until) {
    struct pollfd polled[SLOTS];
    while (run.done < until) {
        for (int i = 0; i < SLOTS; i++) {
            if (slots[i].fd < 0 && run.next < run.first + until)
                begin(&slots[i]);
            bool waits = slots[i].fd >= 0 && slots[i].sent < slots[i].attack.size;
            polled[i] = (struct pollfd){slots[i].fd, waits ? POLLIN | POLLOUT : POLLIN, 0};
        }
        poll(polled, SLOTS, 5);
        for (int i = 0; i < SLOTS; i++)
            if (slots[i].fd >= 0)
                turn(&slots[i], polled[i].revents);
    }
}

static int report(double began, bool answered) {
    int passed = answered, failed = !answered;
    for (size_t i = 0; i < KINDS; i++) {
        if (run.by_kind[i] == 0)
            continue;
        passed += run.failed_by_kind[i] == 0;
        failed += run.failed_by_kind[i] > 0;
        if (run.failed_by_kind[i] > 0)
            printf("FAILED  %s: %llu of %llu\n", hostile_kinds[i].name,
                   (unsigned long long)run.failed_by_kind[i], (unsigned long long)run.by_kind[i]);
    }
    double seconds = (now_ms() - began) / 1000;
    printf(
        "%llu attacks of seed %llu in %.1f s (%.0f /s), the worst good request %.0f ms; answers:",
        (unsigned long long)run.done, (unsigned long long)run.seed, seconds,
        (double)run.done / seconds, run.worst_ms);
    for (int i = 0; i < ANSWER_STATUSES; i++)
        if (run.statuses[i] > 0)
            printf(" %d: %llu", i, (unsigned long long)run.statuses[i]);
    printf("\n%d passed, %d failed, 0 skipped\n", passed, failed);
    return failed > 0;
}

static int attack_all(void) {
    double began = now_ms();
    bool answered = true;
    run.next = run.first;
    for (int i = 0; i < SLOTS; i++) {
        slots[i].fd = -1;
        slots[i].answer = malloc(ANSWER_MAX + 1);
    }
    for (uint64_t until = 0; until < run.count;) {
        until = until + BATCH < run.count ? until + BATCH : run.count;
        attack(until);
        if (!good_request()) {
            fprintf(stderr, "not so: a good request is answered after %llu attacks of seed %llu\n",
                    (unsigned long long)until, (unsigned long long)run.seed);
            answered = false;
            break;
        }
    }
    for (int i = 0; i < SLOTS; i++)
        free(slots[i].answer);
    return report(began, answered);
}

/* -- A server of its own ----------------------------------------------------------------------- */

static struct loop loop;
static _Atomic int status;

static void ws_opened_here(struct ws *ws, void *user) {
    (void)ws, (void)user;
}

static void ws_message_here(struct ws *ws, const char *bytes, size_t size, bool binary,
                            void *user) {
    (void)user;
    ws_send(ws, bytes, size, binary);
}

static void ws_closed_here(struct ws *ws, int code, const char *reason, void *user) {
    (void)ws, (void)code, (void)reason, (void)user;
}

static void on_body_end(struct net_request *request) {
    net_respond(request, 200, NULL, 0, "ok", 2);
}

static void on_over(struct net_request *request, bool whole) {
    (void)request, (void)whole;
}

static void on_request(struct net_request *request, void *arg) {
    static const struct net_request_ops ops = {.body_end = on_body_end, .over = on_over};
    static const struct ws_ops echo = {ws_opened_here, ws_message_here, NULL, ws_closed_here};
    struct ws_limits limits = {.ops = &echo};
    (void)arg;
    net_request_attach(request, &ops, NULL);
    if (net_request_head(request)->websocket)
        net_request_upgrade(request, NULL, &limits);
}

static void stop(void *arg) {
    (void)arg;
    loop_stop(&loop);
}

static void *run_client(void *arg) {
    status = attack_all();
    loop_post(&loop, stop, NULL);
    return arg;
}

static void aim(const char *address) {
    run.to = (struct sockaddr_in){.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)atoi(strchr(address, ':') + 1)),
                                  .sin_addr = {htonl(INADDR_LOOPBACK)}};
}

static int attack_here(void) {
    struct net_server_options options = {.listen = "127.0.0.1:0", .request = on_request};
    struct net_server *server;
    struct err err = {0};
    pthread_t thread;
    if (loop_init(&loop, &err) < 0 || net_server_open(&loop, &options, &server, &err) < 0) {
        fprintf(stderr, "%s\n", err.message);
        return 1;
    }
    run.job = "a_20260101_000000_00000000";
    const char *seed = getenv("STANCE_SEED");
    run.seed = seed != NULL ? strtoull(seed, NULL, 10) : 1;
    run.count = IN_PROCESS;
    aim(net_server_address(server));
    pthread_create(&thread, NULL, run_client, NULL);
    loop_run(&loop);
    pthread_join(thread, NULL);
    net_server_close(server);
    loop_deinit(&loop);
    return status;
}

int main(int argc, char **argv) {
    log_configure(LOG_ERROR, LOG_TEXT);
    if (argc == 1)
        return attack_here();
    if (argc != 6 || strchr(argv[1], ':') == NULL) {
        fprintf(stderr, "usage: %s [HOST:PORT JOB SEED FIRST COUNT]\n", argv[0]);
        return 2;
    }
    aim(argv[1]);
    run.job = argv[2];
    run.seed = strtoull(argv[3], NULL, 10);
    run.first = strtoull(argv[4], NULL, 10);
    run.count = strtoull(argv[5], NULL, 10);
    return attack_all();
}
