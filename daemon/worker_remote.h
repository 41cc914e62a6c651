/* worker_remote.h -- the fetch itself (worker_fetch.c) and the worker around it. */
#ifndef KEDGE_WORKER_REMOTE_H
#define KEDGE_WORKER_REMOTE_H
#include "worker.h"

/* https, ssh, git@host:path; http only to this host; no password within. */
int remote_check_url(const char *url, struct error **);
bool remote_is_ssh(const char *url);
/* Asks the server for the source's ref and fetches it into the repository, whose
 * HEAD then is the server's.  May be killed by SIGALRM: a deadline passed. */
int remote_fetch(const struct watch_args *, git_repository *, struct error **);
#endif
