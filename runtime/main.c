/* main.c - picks the subcommand, nothing else. */
#include <stdio.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/options.h"
#include "cli/output.h"

struct command {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *summary; /* NULL: not for people */
};

static const struct command commands[] = {
    {"serve", cli_serve, "run the host: HTTP, job queue, workers"},
    {"render", cli_render, "render labelled views of characters"},
    {"pose", cli_pose, "find people in pictures and films"},
    {"job", cli_job, "submit, list, show, logs, trace, wait, cancel, retry, download"},
    {"status", cli_status, "how the host or a job is doing"},
    {"profile", cli_profile, "where the host or a worker spends its CPU time"},
    {"top", cli_top, "what the host does right now, live"},
    {"download", cli_download, "fetch what a job made"},
    {"new", cli_new, "write a workflow, route, policy or test to begin with"},
    {"check", cli_check, "find what is wrong with scripts"},
    {"test", cli_test, "run the specs of one's own scripts"},
    {"reload", cli_reload, "load changed scripts into the running host"},
    {"rollback", cli_rollback, "go back to an earlier generation of scripts"},
    {"generations", cli_generations, "which scripts run, and how the last loads went"},
    {"console", cli_console, "Lua on the running host"},
    {"doctor", cli_doctor, "check this machine and say what to mend"},
    {"config", cli_config, "check or show the configuration"},
    {"version", cli_version, "which stance this is"},
    {"worker", cli_worker, "run workflows for a host (`serve` starts these)"},
    {"confined", cli_confined, NULL},
};
enum { COMMAND_COUNT = sizeof commands / sizeof *commands };

static const struct command *find(const char *name) {
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        if (strcmp(commands[i].name, name) == 0) {
            return &commands[i];
        }
    }
    return NULL;
}

static void print_help(FILE *stream) {
    fprintf(stream,
            "  stance render mannequin             pictures and labels of the built-in character\n"
            "  stance render *.fbx --output out    the same of your own\n"
            "  stance pose photo.jpg               the people in a picture, 33 landmarks each\n"
            "  stance serve                        a host on http://127.0.0.1:5001\n"
            "\nUsage: stance COMMAND [options]\n\nCommands:\n");
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        if (commands[i].summary != NULL)
            fprintf(stream, "  %-11s %s\n", commands[i].name, commands[i].summary);
    }
    fprintf(stream, "\n`stance COMMAND --help` tells more about each.\n");
}

static int unknown(const char *name) {
    const char *meant = options_suggest(name, commands, COMMAND_COUNT, sizeof *commands);
    if (meant) {
        return out_fail(EXIT_USAGE, "no command \"%s\"; did you mean \"%s\"?", name, meant);
    }
    return out_fail(EXIT_USAGE, "no command \"%s\"; `stance --help` lists them", name);
}

int main(int argc, char **argv) {
    const char *name = argc > 1 ? argv[1] : "--help";
    if (strcmp(name, "--version") == 0 || strcmp(name, "-V") == 0) {
        name = "version";
    }
    bool help = strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0;
    if (help && argc < 3) {
        print_help(argc > 1 ? stdout : stderr);
        return argc > 1 ? EXIT_OK : EXIT_USAGE;
    }
    const struct command *command = find(help ? argv[2] : name);
    if (!command) {
        return unknown(help ? argv[2] : name);
    }
    if (help) {
        char *words[] = {argv[2], "--help", NULL};
        return command->run(2, words);
    }
    return command->run(argc - 1, argv + 1);
}
