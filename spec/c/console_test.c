/* net/console.h and bind/lua_console.h: real sockets, real threads, a real Lua. */
#include "net/console.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "bind/lua_console.h"
#include "bind/modules.h"
#include "check.h"
#include "core/guard.h"
#include "core/log.h"
#include "core/scripts.h"
#include "scratch.h"

int lua_open_fiber(lua_State *L);
int lua_open_console(lua_State *L);

/* -- Frames ------------------------------------------------------------------------------------ */

static void frames_come_in_pieces(void) {
    char bytes[64];
    struct console_frame frame;
    struct err err;
    console_frame_head((unsigned char *)bytes, CONSOLE_REQUEST, 0x01020304, 5);
    memcpy(bytes + CONSOLE_HEAD_SIZE, "hello+", 6);
    for (size_t size = 0; size < CONSOLE_HEAD_SIZE + 5; size++)
        CHECK(console_frame_parse(bytes, size, "RI", 100, &frame, &err) == 0);
    CHECK(console_frame_parse(bytes, sizeof bytes, "RI", 100, &frame, &err) == 14);
    CHECK(frame.kind == CONSOLE_REQUEST && frame.id == 0x01020304 && frame.size == 5);
    CHECK(memcmp(frame.payload, "hello", 5) == 0);
}

static void wrong_frames_are_refused(void) {
    struct console_frame frame;
    struct err err;
    CHECK(console_frame_parse("GET / HTTP/1.1\r\n", 16, "RI", 100, &frame, &err) == ERR_CORRUPT);
    CHECK(console_frame_parse("\0\0\0\0\0\0\0\0\0", 9, "RI", 100, &frame, &err) == ERR_CORRUPT);
    CHECK(console_frame_parse("\0\0\0\0A\1\0\0\0", 9, "RI", 100, &frame, &err) == ERR_CORRUPT);
    CHECK(console_frame_parse("\377\377\377\377R\1\0\0\0", 9, "RI", 100, &frame, &err) ==
          ERR_TOO_LARGE);
    CHECK(console_frame_parse("\1\0\0\0I\1\0\0\0", 9, "RI", 100, &frame, &err) == ERR_CORRUPT);
    CHECK(console_frame_parse("\0\0\0\0I\1\0\0\0", 9, "RI", 100, &frame, &err) == 9);
}

/* -- A client ---------------------------------------------------------------------------------- */

static int dial(const char *path) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) < 0) {
        close(fd);
        return -1;
    }
    return fd;
}

static void send_frame(int fd, enum console_frame_kind kind, uint32_t id, const char *text) {
    unsigned char head[CONSOLE_HEAD_SIZE];
    console_frame_head(head, kind, id, strlen(text));
    CHECK(send(fd, head, sizeof head, MSG_NOSIGNAL) == sizeof head);
    CHECK(send(fd, text, strlen(text), MSG_NOSIGNAL) == (ssize_t)strlen(text));
}

struct received {
    char kind; /* 0: the host closed */
    uint32_t id;
    char text[2000];
};

static bool receive_all(int fd, char *to, size_t size) {
    for (size_t at = 0; at < size;) {
        struct pollfd wait = {fd, POLLIN, 0};
        ssize_t got = poll(&wait, 1, 20000) == 1 ? recv(fd, to + at, size - at, 0) : 0;
        if (got <= 0)
            return false;
        at += (size_t)got;
    }
    return true;
}

static struct received receive_frame(int fd) {
    struct received received = {0};
    unsigned char head[CONSOLE_HEAD_SIZE];
    if (!receive_all(fd, (char *)head, sizeof head))
        return received;
    size_t size = head[0] | (size_t)head[1] << 8 | (size_t)head[2] << 16 | (size_t)head[3] << 24;
    received.id = head[5] | (uint32_t)head[6] << 8;
    received.kind = (char)head[4];
    for (size_t at = 0; at < size;) {
        char block[4096];
        size_t piece = size - at < sizeof block ? size - at : sizeof block;
        if (!receive_all(fd, block, piece))
            break;
        if (at == 0)
            memcpy(received.text, block,
                   piece < sizeof received.text ? piece : sizeof received.text - 1);
        at += piece;
    }
    return received;
}

/* What a client does, in a thread of its own while the loop runs here. */
static struct scene {
    struct loop loop;
    struct services services;
    struct scripts *scripts;
    struct vm *vm, *next_vm;
    char path[108];
    int started; /* how often a script called begun() */
    uv_sem_t begun;
} scene;

static void stop_loop(void *arg) {
    (void)arg;
    loop_stop(&scene.loop);
}

static void run_client(void *arg) {
    void (*client)(void);
    memcpy(&client, arg, sizeof client);
    client();
    loop_post(&scene.loop, stop_loop, NULL);
}

static int lua_begun(lua_State *L) {
    (void)L;
    uv_sem_post(&scene.begun);
    return 0;
}

static const struct vm_module modules[] = {
    {"fiber", lua_open_fiber}, {"console", lua_open_console}, {NULL, NULL}};

/* Answers with what the payload, a chunk, returns. */
static const char serving[] = "local name, begun = ...\n"
                              "local console, fiber = require 'console', require 'fiber'\n"
                              "BEGUN = begun\n"
                              "assert(console.serve { handler = function(session, payload)\n"
                              "  SESSION = session\n"
                              "  if payload == 'broken' then error('no') end\n"
                              "  local task = fiber.spawn(assert(load(payload)))\n"
                              "  session:guard(task)\n"
                              "  local ok, value = task:join()\n"
                              "  return name .. ': ' .. tostring(value)\n"
                              "end })\n";

static struct vm *serve(const char *name) {
    struct vm *vm = NULL;
    struct err err = {0};
    struct vm_options options = {.name = name,
                                 .jit = true,
                                 .scripts = scene.scripts,
                                 .modules = modules,
                                 .host = &scene.services};
    CHECK(vm_new(&scene.loop, &options, &vm, &err) == 0);
    lua_State *L = vm_lua(vm);
    CHECK(luaL_loadbuffer(L, serving, sizeof serving - 1, "=serving") == 0);
    lua_pushstring(L, name);
    lua_pushcfunction(L, lua_begun);
    CHECK(vm_call(L, 2, 0, &err) == 0);
    return vm;
}

static void open_scene(void) {
    struct err err = {0};
    memset(&scene, 0, sizeof scene);
    log_configure(LOG_ERROR, LOG_TEXT);
    log_set_fd(open("/dev/null", O_WRONLY | O_CLOEXEC));
    CHECK(loop_init(&scene.loop, &err) == 0);
    CHECK(scripts_begin(&scene.scripts, &err) == 0 && scripts_seal(scene.scripts, &err) == 0);
    uv_sem_init(&scene.begun, 0);
    scene.services = (struct services){.loop = &scene.loop, .role = "spec"};
    snprintf(scene.path, sizeof scene.path, "%s", scratch("console.sock"));
    CHECK(lua_console_open(&scene.services, scene.path, &err) == 0);
    scene.vm = serve("one");
}

static void close_scene(void) {
    vm_free(scene.vm);
    vm_free(scene.next_vm);
    lua_console_close(&scene.services);
    loop_deinit(&scene.loop);
    scripts_free(scene.scripts);
    uv_sem_destroy(&scene.begun);
    log_set_fd(STDERR_FILENO);
}

/* Runs `client` against a host that runs here. */
static void with_client(void (*client)(void)) {
    uv_thread_t thread;
    open_scene();
    uv_thread_create(&thread, run_client, &client);
    loop_run(&scene.loop);
    uv_thread_join(&thread);
    close_scene();
}

static void check_answer(int fd, uint32_t id, const char *text) {
    struct received got = receive_frame(fd);
    CHECK(got.kind == CONSOLE_ANSWER && got.id == id);
    CHECK_TEXT(got.text, text);
}

static void check_refusal(int fd, const char *words) {
    struct received got = receive_frame(fd);
    CHECK(got.kind == CONSOLE_REFUSAL);
    CHECK(strstr(got.text, words) != NULL);
}

/* -- Requests ---------------------------------------------------------------------------------- */

static void asks(void) {
    struct stat info;
    CHECK(stat(scene.path, &info) == 0 && (info.st_mode & 0777) == 0600);
    int fd = dial(scene.path), other = dial(scene.path);
    send_frame(fd, CONSOLE_REQUEST, 1, "return 1 + 1");
    check_answer(fd, 1, "one: 2");
    send_frame(other, CONSOLE_REQUEST, 1, "return SESSION:peer().number");
    check_answer(other, 1, "one: 2");
    send_frame(fd, CONSOLE_REQUEST, 2, "SESSION:write('out') return SESSION:peer().pid");
    struct received got = receive_frame(fd);
    CHECK(got.kind == CONSOLE_OUTPUT && strcmp(got.text, "out") == 0);
    char expected[40];
    snprintf(expected, sizeof expected, "one: %d", (int)getpid());
    check_answer(fd, 2, expected);
    send_frame(fd, CONSOLE_REQUEST, 3, "broken");
    CHECK(strstr(receive_frame(fd).text, "the console itself failed") != NULL);
    send_frame(fd, CONSOLE_REQUEST, 4,
               "require('fiber').spawn(function() CURRENT = require('console').current() end)\n"
               "require('fiber').yield() return CURRENT == SESSION");
    check_answer(fd, 4, "one: true");
    close(fd);
    close(other);
}

static void requests_are_answered(void) {
    with_client(asks);
}

static void breaks_rules(void) {
    int fd = dial(scene.path);
    CHECK(send(fd, "GET / HTTP/1.1\r\n\r\n", 18, 0) == 18);
    check_refusal(fd, "no console frame");
    CHECK(receive_frame(fd).kind == 0);
    close(fd);
    fd = dial(scene.path);
    CHECK(send(fd, "\1\0\20\0R\1\0\0\0", 9, 0) == 9);
    check_refusal(fd, "too large");
    close(fd);
    fd = dial(scene.path); /* half a frame, and away */
    CHECK(send(fd, "\5\0\0\0R\1", 6, 0) == 6);
    close(fd);
    fd = dial(scene.path);
    send_frame(fd, CONSOLE_REQUEST, 0, "return 1");
    check_refusal(fd, "numbered from 1");
    close(fd);
    fd = dial(scene.path);
    send_frame(fd, CONSOLE_INTERRUPT, 9, ""); /* of nothing */
    send_frame(fd, CONSOLE_REQUEST, 1, "BEGUN() require('fiber').sleep(30)");
    uv_sem_wait(&scene.begun);
    send_frame(fd, CONSOLE_REQUEST, 2, "return 1");
    check_refusal(fd, "one request at a time");
    send_frame(fd, CONSOLE_INTERRUPT, 1, "");
    CHECK(strstr(receive_frame(fd).text, "interrupted") != NULL);
    send_frame(fd, CONSOLE_REQUEST, 3, "return 'well'");
    check_answer(fd, 3, "one: well");
    close(fd);
}

static void rules_are_kept(void) {
    with_client(breaks_rules);
}

static void crowds(void) {
    int fds[CONSOLE_SESSIONS_MAX];
    for (int i = 0; i < CONSOLE_SESSIONS_MAX; i++) {
        fds[i] = dial(scene.path);
        send_frame(fds[i], CONSOLE_REQUEST, 1, "return 'in'");
        check_answer(fds[i], 1, "one: in");
    }
    int fd = dial(scene.path);
    check_refusal(fd, "too many consoles");
    CHECK(receive_frame(fd).kind == 0);
    close(fd);
    for (int i = 0; i < CONSOLE_SESSIONS_MAX; i++)
        close(fds[i]);
}

static void sessions_are_limited(void) {
    with_client(crowds);
}

/* -- Interrupts -------------------------------------------------------------------------------- */

static void interrupts_loops(void) {
    static const char *const endless[] = {
        "BEGUN() while true do end",
        "BEGUN() for i = 1, 1e18 do end",
        "BEGUN() while true do pcall(function() while true do end end) end",
        "BEGUN() while true do require('fiber').sleep(0.001) end",
        "BEGUN() require('fiber').sleep(1000)",
        "BEGUN() require('fiber').spawn(function() while true do end end):join()",
    };
    int fd = dial(scene.path);
    uint32_t id = 0;
    for (size_t i = 0; i < sizeof endless / sizeof *endless; i++) {
        send_frame(fd, CONSOLE_REQUEST, ++id, endless[i]);
        uv_sem_wait(&scene.begun);
        send_frame(fd, CONSOLE_INTERRUPT, id, "");
        struct received got = receive_frame(fd);
        CHECK(got.kind == CONSOLE_ANSWER && strstr(got.text, "interrupted") != NULL);
        send_frame(fd, CONSOLE_REQUEST, ++id, "return 'on'");
        check_answer(fd, id, "one: on");
    }
    close(fd);
}

static void endless_requests_are_interrupted(void) {
    with_client(interrupts_loops);
}

/* A fiber that an earlier request left behind holds the loop; nothing else can begin. */
static void frees_stuck_loop(void) {
    int fd = dial(scene.path);
    send_frame(fd, CONSOLE_REQUEST, 1,
               "require('fiber').spawn(function() require('fiber').sleep(0.01) BEGUN() "
               "while true do end end) return 'left'");
    check_answer(fd, 1, "one: left");
    uv_sem_wait(&scene.begun);
    send_frame(fd, CONSOLE_REQUEST, 2, "return 'never'");
    struct pollfd wait = {fd, POLLIN, 0};
    while (poll(&wait, 1, 50) == 0)
        send_frame(fd, CONSOLE_INTERRUPT, 2, "");
    CHECK(strstr(receive_frame(fd).text, "interrupted") != NULL);
    send_frame(fd, CONSOLE_REQUEST, 3, "return 'on'");
    check_answer(fd, 3, "one: on");
    close(fd);
}

static void what_was_left_behind_is_interrupted(void) {
    with_client(frees_stuck_loop);
}

static void interrupts_own_only(void) {
    int fd = dial(scene.path), other = dial(scene.path);
    send_frame(other, CONSOLE_REQUEST, 1,
               "BEGUN() local n = 0 while not STOP do require('fiber').sleep(0.001) n = n + 1 end "
               "return 'whole'");
    uv_sem_wait(&scene.begun);
    send_frame(fd, CONSOLE_REQUEST, 1, "BEGUN() while true do end");
    uv_sem_wait(&scene.begun);
    send_frame(fd, CONSOLE_INTERRUPT, 1, "");
    CHECK(strstr(receive_frame(fd).text, "interrupted") != NULL);
    send_frame(fd, CONSOLE_REQUEST, 2, "STOP = true");
    check_answer(fd, 2, "one: nil");
    check_answer(other, 1, "one: whole");
    close(fd);
    close(other);
}

static void others_go_on(void) {
    with_client(interrupts_own_only);
}

static void vanishes(void) {
    int fd = dial(scene.path);
    send_frame(fd, CONSOLE_REQUEST, 1, "BEGUN() while true do end");
    uv_sem_wait(&scene.begun);
    close(fd);
    fd = dial(scene.path);
    send_frame(fd, CONSOLE_REQUEST, 1, "return SESSION:peer().number");
    check_answer(fd, 1, "one: 2");
    send_frame(fd, CONSOLE_REQUEST, 2, "BEGUN() require('fiber').sleep(1000)");
    uv_sem_wait(&scene.begun);
    close(fd);
    fd = dial(scene.path);
    do { /* its fiber goes when the loop hears of it */
        send_frame(fd, CONSOLE_REQUEST, 1, "return require('fiber').count()");
    } while (strcmp(receive_frame(fd).text, "one: 2") != 0);
    close(fd);
}

static void a_lost_client_ends_its_request(void) {
    with_client(vanishes);
}

/* -- Slow readers ------------------------------------------------------------------------------ */

static void reads_slowly(void) {
    int fd = dial(scene.path);
    send_frame(fd, CONSOLE_REQUEST, 1,
               "local mine = SESSION BEGUN() "
               "for i = 1, 64 do assert(mine:write(('x'):rep(65536))) end return 'all'");
    uv_sem_wait(&scene.begun);
    int other = dial(scene.path); /* the writer waits, others do not */
    send_frame(other, CONSOLE_REQUEST, 1, "return 'free'");
    check_answer(other, 1, "one: free");
    int outputs = 0;
    struct received got;
    while ((got = receive_frame(fd)).kind == CONSOLE_OUTPUT)
        outputs++;
    CHECK(outputs == 64);
    CHECK_TEXT(got.text, "one: all");
    close(fd);
    close(other);
}

static void writers_wait_for_readers(void) {
    with_client(reads_slowly);
}

/* Asks for ever beside a request that is under way, and reads nothing. */
static void floods(void) {
    static char frames[7000 * CONSOLE_HEAD_SIZE];
    int fd = dial(scene.path);
    send_frame(fd, CONSOLE_REQUEST, 1, "require('fiber').sleep(600)");
    for (size_t at = 0; at < sizeof frames; at += CONSOLE_HEAD_SIZE)
        console_frame_head((unsigned char *)frames + at, CONSOLE_REQUEST, 2, 0);
    size_t sent = 0, refused = CONSOLE_QUEUE_MAX / CONSOLE_HEAD_SIZE;
    while (sent < refused && send(fd, frames, sizeof frames, MSG_NOSIGNAL) > 0)
        sent += sizeof frames / CONSOLE_HEAD_SIZE;
    CHECK(sent > 1000 && sent < refused);
    close(fd);
}

static void who_reads_no_refusals_is_cut_off(void) {
    with_client(floods);
}

/* -- Generations ------------------------------------------------------------------------------- */

static void take_over(void *arg) {
    (void)arg;
    scene.next_vm = serve("two");
}

static void close_first(void *arg) {
    (void)arg;
    vm_free(scene.vm);
    scene.vm = NULL;
}

static void sees_new_vm(void) {
    int fd = dial(scene.path), old = dial(scene.path);
    send_frame(old, CONSOLE_REQUEST, 1, "BEGUN() require('fiber').sleep(1000)");
    uv_sem_wait(&scene.begun);
    loop_post(&scene.loop, take_over, NULL);
    send_frame(fd, CONSOLE_REQUEST, 1, "return 'taken'");
    struct received got = receive_frame(fd);
    while (strcmp(got.text, "two: taken") != 0) { /* the loop may have heard us first */
        send_frame(fd, CONSOLE_REQUEST, 1, "return 'taken'");
        got = receive_frame(fd);
    }
    loop_post(&scene.loop, close_first, NULL);
    got = receive_frame(old);
    CHECK(got.kind == CONSOLE_ANSWER && strstr(got.text, "the scripts were replaced") != NULL);
    send_frame(old, CONSOLE_REQUEST, 2, "return 'also'");
    check_answer(old, 2, "two: also");
    close(fd);
    close(old);
}

static void the_newest_vm_serves(void) {
    with_client(sees_new_vm);
}

/* -- The socket -------------------------------------------------------------------------------- */

static void sockets_are_replaced_or_refused(void) {
    struct err err = {0};
    open_scene();
    struct lua_console *first = scene.services.console;
    struct services second = {.loop = &scene.loop};
    CHECK(lua_console_open(&second, scene.path, &err) == ERR_BUSY);
    CHECK(strstr(err.message, "another host listens there") != NULL);
    CHECK(first != NULL && second.console == NULL);
    CHECK(access(scene.path, F_OK) == 0);

    char path[200];
    memset(path, 'p', sizeof path - 1);
    path[0] = '/';
    path[sizeof path - 1] = 0;
    CHECK(lua_console_open(&second, path, &err) == ERR_INVALID);
    CHECK(strstr(err.message, "199 bytes") != NULL && strstr(err.message, "107") != NULL);

    snprintf(path, sizeof path, "%s", scratch("file"));
    close(open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    CHECK(lua_console_open(&second, path, &err) == ERR_EXISTS);
    CHECK(lua_console_open(&second, "/nonexistent/console.sock", &err) == ERR_NOT_FOUND);

    snprintf(path, sizeof path, "%s", scratch("stale.sock")); /* of a host that was killed */
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%.107s", path);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    CHECK(bind(fd, (struct sockaddr *)&address, sizeof address) == 0);
    close(fd);
    CHECK(lua_console_open(&second, path, &err) == 0);
    CHECK((fd = dial(path)) >= 0);
    close(fd);
    lua_console_close(&second);
    CHECK(access(path, F_OK) < 0);
    close_scene();
}

int main(void) {
    static const struct test tests[] = {
        TEST(frames_come_in_pieces),
        TEST(wrong_frames_are_refused),
        TEST(requests_are_answered),
        TEST(rules_are_kept),
        TEST(sessions_are_limited),
        TEST(endless_requests_are_interrupted),
        TEST(what_was_left_behind_is_interrupted),
        TEST(others_go_on),
        TEST(a_lost_client_ends_its_request),
        TEST(writers_wait_for_readers),
        TEST(who_reads_no_refusals_is_cut_off),
        TEST(the_newest_vm_serves),
        TEST(sockets_are_replaced_or_refused),
    };
    signal(SIGPIPE, SIG_IGN);
    return RUN(tests);
}
