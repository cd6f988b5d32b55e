/* Every case in an environment and a folder of its own. */
#include "core/config.h"

#include <stdarg.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "check.h"

static char home[] = "/tmp/config_testXXXXXX";

static void fresh(void) {
    clearenv();
    setenv("HOME", home, 1);
}

static const char *write_file(const char *name, const char *text) {
    static char path[128];
    snprintf(path, sizeof path, "%s/%s", home, name);
    FILE *file = fopen(path, "w");
    CHECK(file != NULL && fputs(text, file) >= 0 && fclose(file) == 0);
    return path;
}

static struct config *load(struct config_flag *flags, size_t count) {
    struct config *config;
    struct err err = {0};
    if (config_load(&config, flags, count, &err) < 0) {
        CHECK_TEXT(err.message, NULL);
    }
    return config;
}

/* What config_load says, with the scratch folder left out; "" when it does not fail. */
static const char *complaint(struct config_flag *flags, size_t count) {
    static char text[600];
    struct config *config;
    struct err err = {0};
    if (config_load(&config, flags, count, &err) == 0) {
        config_free(config);
        return "";
    }
    const char *message = err.message;
    size_t size = strlen(home) + 1;
    snprintf(text, sizeof text, "%s",
             strncmp(message, home, size - 1) == 0 ? message + size : message);
    return text;
}

static const char *file_complaint(const char *source) {
    fresh();
    setenv("STANCE_CONFIG", write_file("c.lua", source), 1);
    return complaint(NULL, 0);
}

static const struct config_row *row(const struct config *config, const char *name) {
    size_t count;
    const struct config_row *rows = config_rows(config, &count);
    for (size_t i = 0; i < count; i++) {
        if (strcmp(rows[i].name, name) == 0) {
            return &rows[i];
        }
    }
    return NULL;
}

static const char *below_home(const char *tail) {
    static char path[128];
    snprintf(path, sizeof path, "%s%s", home, tail);
    return path;
}

/* -- Layers ------------------------------------------------------------------------------------ */

static void has_defaults(void) {
    fresh();
    struct config *config = load(NULL, 0);
    CHECK_TEXT(config_string(config, "listen"), "127.0.0.1:5001");
    CHECK_TEXT(config_string(config, "url"), "http://127.0.0.1:5001");
    CHECK_TEXT(config_string(config, "data"), below_home("/.local/share/stance"));
    CHECK_TEXT(config_list(config, "output_roots")[0], below_home("/.local/share/stance/output"));
    CHECK_TEXT(config_list(config, "read_roots")[0], "/");
    CHECK(config_list(config, "read_roots")[1] == NULL && config_list(config, "hosts")[0] == NULL);
    CHECK_TEXT(config_string(config, "workspace"), below_home("/.local/share/stance/workspace"));
    CHECK(config_file(config) == NULL);
    CHECK(config_int(config, "workers") >= 1 && config_int(config, "workers") <= 8);
    CHECK(config_int(config, "max_body") == 8 << 20 &&
          config_int(config, "vm_memory") == 256 << 20);
    CHECK(config_number(config, "job_lease") == 30 && config_number(config, "drain") == 10);
    CHECK_TEXT(row(config, "job_lease")->value, "30s");
    CHECK_TEXT(row(config, "max_body")->value, "8 MiB");
    CHECK_TEXT(row(config, "job_lease")->origin, "default");
    CHECK(row(config, "listen")->is_default);
    config_free(config);
}

static void follows_the_order_of_layers(void) {
    fresh();
    const char *path = write_file("c.lua", "return {\n  drain = 3,\n  job_lease = \"2m\",\n"
                                           "  workers = 4, log_level = 'warn',\n}\n");
    struct config_flag flags[] = {{"--config", path}, {"--drain", "5"}};
    setenv("STANCE_DRAIN", "4", 1);
    setenv("STANCE_JOB_LEASE", "1m", 1);
    setenv("STANCE_LISTEN", "", 1);
    struct config *config = load(flags, 2);
    CHECK(config_number(config, "drain") == 5);
    CHECK_TEXT(row(config, "drain")->origin, "flag --drain");
    CHECK(config_number(config, "job_lease") == 60);
    CHECK_TEXT(row(config, "job_lease")->value, "1m");
    CHECK_TEXT(row(config, "job_lease")->origin, "env STANCE_JOB_LEASE");
    CHECK(config_int(config, "workers") == 4);
    CHECK_TEXT(row(config, "workers")->origin + strlen(home), "/c.lua:4");
    CHECK_TEXT(row(config, "listen")->origin, "default");
    CHECK_TEXT(config_file(config), path);
    config_free(config);
}

static void finds_its_file_and_workspace(void) {
    fresh();
    mkdir(below_home("/xdg"), 0700);
    mkdir(below_home("/xdg/stance"), 0700);
    mkdir(below_home("/xdg/stance/workspace"), 0700);
    write_file("xdg/stance/config.lua",
               "return { characters_dir = 'chars/./x/', url = 'http://h:1' }");
    setenv("XDG_CONFIG_HOME", below_home("/xdg"), 1);
    setenv("XDG_DATA_HOME", below_home("/xdg"), 1);
    struct config *config = load(NULL, 0);
    CHECK_TEXT(config_string(config, "characters_dir"), below_home("/xdg/stance/chars/x"));
    CHECK_TEXT(config_string(config, "workspace"), below_home("/xdg/stance/workspace"));
    CHECK_TEXT(config_string(config, "url"), "http://h:1");
    config_free(config);
}

static void reads_lists_sizes_and_paths(void) {
    struct config_flag flags[] = {
        {"hosts", "a.example, b.example"},
        {"--origins", "https://a.example,http://b:8080"},
        {"max-body", "1.5M"},
        {"ws_send_budget", "65536"},
        {"--data", "~/d"},
        {"read-roots", "/a//b/,~"},
        {"drain", "250ms"},
        {"listen", "[::1]:0"},
    };
    fresh();
    struct config *config = load(flags, sizeof flags / sizeof *flags);
    CHECK_TEXT(config_list(config, "hosts")[1], "b.example");
    CHECK_TEXT(row(config, "origins")->value, "https://a.example,http://b:8080");
    CHECK(config_int(config, "max_body") == 1572864 &&
          config_int(config, "ws_send_budget") == 65536);
    CHECK_TEXT(row(config, "max_body")->value, "1536 KiB");
    CHECK_TEXT(config_string(config, "data"), below_home("/d"));
    CHECK_TEXT(config_list(config, "read_roots")[0], "/a/b");
    CHECK_TEXT(config_list(config, "read_roots")[1], home);
    CHECK(config_number(config, "drain") == 0.25);
    CHECK_TEXT(row(config, "drain")->value, "250ms");
    CHECK_TEXT(config_string(config, "url"), "http://[::1]:0");
    config_free(config);
}

/* -- Complaints -------------------------------------------------------------------------------- */

static void names_what_is_wrong_with_flags(void) {
    static const struct {
        const char *name, *value, *complaint;
    } cases[] = {
        {"--lisen", "x", "--lisen: no such setting; did you mean --listen?"},
        {"--log", "x", "--log: no such setting; did you mean --log-level?"},
        {"--bogus", "x", "--bogus: no such setting"},
        {"--drain", NULL, "--drain: needs a value"},
        {"--drain", "soon", "--drain: \"soon\" is not a duration (30s, 500ms, 5m)"},
        {"--drain", "2h", "--drain: 2h is out of range: 0s to 1h"},
        {"--drain", "inf", "--drain: \"inf\" is not a duration (30s, 500ms, 5m)"},
        {"--max-body", "12 parsecs", "--max-body: \"12 parsecs\" is not a size (8 MiB, 512K)"},
        {"--max-body", "10", "--max-body: 10 B is out of range: 1 KiB to 1 GiB"},
        {"--workers", "1.5", "--workers: 1.5 is not a whole number"},
        {"--workers", "0x10", "--workers: \"0x10\" is not a number"},
        {"--workers", "-1", "--workers: -1 is out of range: 0 to 256"},
        {"--log-level", "loud", "--log-level: \"loud\" is none of: debug info warn error"},
        {"--listen", "5001", "--listen: \"5001\" is not HOST:PORT (127.0.0.1:5001, [::1]:5001)"},
        {"--listen", "::1:5001",
         "--listen: \"::1:5001\" is not HOST:PORT (127.0.0.1:5001, [::1]:5001)"},
        {"--listen", "localhost:70000",
         "--listen: \"localhost:70000\" is not HOST:PORT (127.0.0.1:5001, [::1]:5001)"},
        {"--listen", "localhost:1", ""},
        {"--listen", "127.8.0.1:1", ""},
        {"--origins", "https://a/path",
         "--origins: \"https://a/path\" is not an origin (https://example.org)"},
        {"--url", "ftp://x", "--url: \"ftp://x\" is not a URL (http://HOST:PORT)"},
        {"--hosts", "a,,b", ""},
        {"--data", "", "--data: is empty"},
        {"--config", "/nowhere.lua", "/nowhere.lua: No such file or directory"},
        {"--token", "x",
         "--token: secrets do not go on command lines, which others can read; set "
         "STANCE_TOKEN or STANCE_TOKEN_FILE"},
    };
    fresh();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct config_flag flag = {cases[i].name, cases[i].value};
        const char *got = complaint(&flag, 1);
        if (strstr(cases[i].value ? cases[i].value : "", "nowhere") != NULL) {
            CHECK(strstr(got, "/nowhere.lua") != NULL);
        } else {
            CHECK_TEXT(got, cases[i].complaint);
        }
    }
}

static void listens_to_this_machine_only(void) {
    static const char *const others[] = {"0.0.0.0:5001", "[::]:5001", "10.0.0.1:1",
                                         "example.org:80", "128.0.0.1:1"};
    fresh();
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        struct config_flag flag = {"--listen", others[i]};
        CHECK(strstr(complaint(&flag, 1), "is not a loopback address") != NULL);
    }
}

static void names_what_is_wrong_with_variables(void) {
    fresh();
    setenv("STANCE_WORKERS", "many", 1);
    CHECK_TEXT(complaint(NULL, 0), "STANCE_WORKERS: \"many\" is not a number");
    fresh();
    setenv("STANCE_LISTN", "127.0.0.1:1", 1);
    CHECK_TEXT(complaint(NULL, 0), "STANCE_LISTN: no such setting; did you mean STANCE_LISTEN?");
    fresh();
    setenv("STANCE_PORT_5001_TCP", "x", 1); /* Kubernetes */
    setenv("STANCE_LUA", "x", 1);
    setenv("STANCE_ASSETS", "x", 1);
    CHECK_TEXT(complaint(NULL, 0), "");
}

static void names_what_is_wrong_with_files(void) {
    static const struct {
        const char *source, *complaint;
    } cases[] = {
        {"return { drain = }", "c.lua:1: unexpected symbol near '}'"},
        {"", "c.lua: does not return a table (return { listen = ... })"},
        {"return {\n\n  lisen = 1 }", "c.lua:3: lisen: no such setting; did you mean listen?"},
        {"return { ['log-level'] = 'info' }",
         "c.lua:1: log-level: no such setting; did you mean log_level?"},
        {"return {\n -- drain = 2,\n [[ drain = 3 ]] and nil,\n drain = '1 year' }",
         "c.lua:4: drain: \"1 year\" is not a duration (30s, 500ms, 5m)"},
        {"return { workers = '4' }", "c.lua:1: workers: expected a number, got a string"},
        {"return { workers = {} }", "c.lua:1: workers: expected a number, got a list"},
        {"return { log_level = 4 }", "c.lua:1: log_level: expected a string, got a number"},
        {"return { hosts = 'a' }", "c.lua:1: hosts: expected a list of strings, got a string"},
        {"return { hosts = { 'a', 4 } }", "c.lua:1: hosts: expected a list of strings"},
        {"return { hosts = { a = 'b' } }", "c.lua:1: hosts: expected a list of strings"},
        {"return {\n['drain'] = function() end }",
         "c.lua:2: drain: expected seconds or a string like \"30s\", got something else"},
        {"return { 'a' }", "c.lua: the table has a value without a name"},
        {"return { token = 'x' }", "c.lua:1: token: cannot be set in a config file; secrets come "
                                   "from the environment"},
        {"return { config = 'x' }", "c.lua:1: config: cannot be set in a config file"},
        {"return os.getenv('HOME')", "c.lua:1: attempt to index global 'os' (a nil value)"},
        {"return { listen = ('x'):rep(9) }", "c.lua:1: attempt to index a string value"},
        {"while true do end", "c.lua:1: runs too long: a config file returns a table, it does not "
                              "compute"},
        {"local t = {} for i = 1, 1e9 do t[i] = {} end", "c.lua: not enough memory"},
        {"local s = 'xxxxxxxx' while true do s = s .. s end", "c.lua: not enough memory"},
        {"return { drain = 2, job_lease = 60 }", ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        CHECK_TEXT(file_complaint(cases[i].source), cases[i].complaint);
    }
    CHECK(strstr(file_complaint("\33LJ\2"), "c.lua") != NULL); /* bytecode */
}

static void checks_overruled_values_too(void) {
    fresh();
    const char *path = write_file("c.lua", "return { drain = -1 }");
    struct config_flag flags[] = {{"config", path}, {"drain", "1"}};
    CHECK_TEXT(complaint(flags, 2), "c.lua:1: drain: -1s is out of range: 0s to 1h");
}

static void keeps_secrets(void) {
    fresh();
    setenv("STANCE_TOKEN", "hush", 1);
    struct config *config = load(NULL, 0);
    CHECK_TEXT(config_string(config, "token"), "hush");
    CHECK_TEXT(row(config, "token")->value, "(set)");
    config_free(config);

    setenv("STANCE_TOKEN_FILE", write_file("secret", "whisper\n"), 1);
    CHECK_TEXT(complaint(NULL, 0),
               "STANCE_TOKEN and STANCE_TOKEN_FILE are both set: which one counts?");
    unsetenv("STANCE_TOKEN");
    config = load(NULL, 0);
    CHECK_TEXT(config_string(config, "token"), "whisper");
    CHECK_TEXT(row(config, "token")->origin, "env STANCE_TOKEN_FILE");
    config_free(config);

    setenv("STANCE_TOKEN_FILE", write_file("secret", "\n"), 1);
    CHECK(strstr(complaint(NULL, 0), "holds no secret in its first line") != NULL);
}

static void parses_addresses(void) {
    char host[16];
    int port = 0;
    CHECK(config_parse_address("[::1]:80", host, sizeof host, &port, NULL) == 0 && port == 80);
    CHECK_TEXT(host, "::1");
    CHECK(config_parse_address("a-very-long-name.example:80", host, sizeof host, &port, NULL) < 0);
    CHECK(config_parse_address(":80", host, sizeof host, &port, NULL) < 0);
    CHECK(config_parse_address("a:80x", host, sizeof host, &port, NULL) < 0);
}

int main(void) {
    static const struct test tests[] = {
        TEST(has_defaults),
        TEST(follows_the_order_of_layers),
        TEST(finds_its_file_and_workspace),
        TEST(reads_lists_sizes_and_paths),
        TEST(names_what_is_wrong_with_flags),
        TEST(listens_to_this_machine_only),
        TEST(names_what_is_wrong_with_variables),
        TEST(names_what_is_wrong_with_files),
        TEST(checks_overruled_values_too),
        TEST(keeps_secrets),
        TEST(parses_addresses),
    };
    char command[128];
    CHECK(mkdtemp(home) != NULL);
    int status = RUN(tests);
    snprintf(command, sizeof command, "rm -r '%s'", home);
    return system(command) != 0 || status;
}
