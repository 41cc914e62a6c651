/* worker_limit.c -- a job that does not end, ends its worker.
 *
 * What a repository holds is its owner's: a FIFO in place of a branch makes open()
 * wait for good, within libgit2 and out of our reach.  A signal ends that wait.  It says
 * why and ends the process, for nobody knows in which state libgit2 was; the brain
 * asks for a new worker, after growing pauses.  Where even a handler is not run (a
 * network file system that waits for a dead server), SIGKILL comes a little later.
 */
#include "../reconcile/base/error.h"
#include "worker.h"
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { LIMIT_S = 120, KILL_S = 10 };

static struct {
	timer_t speak, kill;
	bool ready;
	int fd;
	int64_t seconds;
	char words[4096]; /* a whole frame */
	size_t len;
} limit;

static void
set(timer_t t, int64_t seconds)
{
	timer_settime(t, 0, &(struct itimerspec){ .it_value.tv_sec = seconds }, NULL);
}

void
worker_limit_start(void)
{
	if (!limit.ready)
		return;
	set(limit.speak, limit.seconds);
	set(limit.kill, limit.seconds + KILL_S);
}

void
worker_limit_stop(void)
{
	if (!limit.ready)
		return;
	set(limit.speak, 0);
	set(limit.kill, 0);
}

/* In the middle of a frame it is the brain that is slow, and a second frame would be garbage.
 */
static void
on_limit(int sig)
{
	int saved = errno;

	(void)sig;
	if (!frame_sending) {
		(void)!send(limit.fd, limit.words, limit.len, MSG_NOSIGNAL | MSG_DONTWAIT);
		_exit(3);
	}
	worker_limit_start();
	errno = saved;
}

static int
timer_make(int sig, timer_t *ret, struct error **e)
{
	struct sigevent ev = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = sig };

	return timer_create(CLOCK_MONOTONIC, &ev, ret) < 0 ? fail_sys(e, "make a timer") : 0;
}

int
worker_limit_open(const struct worker *w, struct error **e)
{
	struct sigaction act = { .sa_handler = on_limit, .sa_flags = SA_RESTART };
	char text[sizeof limit.words - FRAME_HEAD];

	limit.fd = w->fd;
	limit.seconds = w->args->timeout ? w->args->timeout : LIMIT_S;
	snprintf(
	    text, sizeof text,
	    "%.2000s: reading it got no further for %lld s and was given up; what runs stays.  "
	    "Look for a FIFO, socket or device among its files (find PATH ! -type f ! -type "
	    "d), or for a disk that does not answer; what is only large needs a longer "
	    "timeout in the source's row of kedge.yaml",
	    w->args->url, (long long)limit.seconds);
	limit.len = frame_make(limit.words, FRAME_FAILED, text, strlen(text));
	if (sigaction(SIGALRM, &act, NULL) < 0)
		return fail_sys(e, "hear of SIGALRM");
	if (timer_make(SIGALRM, &limit.speak, e) < 0 || timer_make(SIGKILL, &limit.kill, e) < 0)
		return -1;
	limit.ready = true;
	return 0;
}
