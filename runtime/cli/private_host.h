/* private_host.h - a host of one's own for one command: started, used, stopped, forgotten.
 *
 * It listens on a free loopback port, keeps its data in a fresh temporary folder, and dies with
 * this process. */
#ifndef STANCE_CLI_PRIVATE_HOST_H
#define STANCE_CLI_PRIVATE_HOST_H

struct private_host;

/* Starts one and waits until it is ready. Says what goes wrong (with the end of the host's log) and
 * returns NULL. */
struct private_host *private_host_start(void);

const char *private_host_url(const struct private_host *host);

/* Asks it to stop, insists after ten seconds, removes its folder. NULL is fine. */
void private_host_stop(struct private_host *host);

#endif
