/* commands.h - the subcommands that main.c chooses from.
 *
 * Each takes its own name as argv[0] and what follows it, and returns an exit code (cli/output.h).
 */
#ifndef STANCE_CLI_COMMANDS_H
#define STANCE_CLI_COMMANDS_H

int cli_check(int argc, char **argv);
int cli_config(int argc, char **argv);
int cli_confined(int argc, char **argv);
int cli_console(int argc, char **argv);
int cli_doctor(int argc, char **argv);
int cli_download(int argc, char **argv);
int cli_generations(int argc, char **argv);
int cli_job(int argc, char **argv);
int cli_new(int argc, char **argv);
int cli_reload(int argc, char **argv);

int cli_pose(int argc, char **argv);
int cli_pose_child(int argc, char **argv);
int cli_profile(int argc, char **argv);
int cli_render(int argc, char **argv);
int cli_render_child(int argc, char **argv);
int cli_render_verify(int argc, char **argv);
int cli_rollback(int argc, char **argv);
int cli_serve(int argc, char **argv);
int cli_status(int argc, char **argv);
int cli_test(int argc, char **argv);
int cli_top(int argc, char **argv);
int cli_version(int argc, char **argv);
int cli_worker(int argc, char **argv);

#endif
