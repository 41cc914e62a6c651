/* hand_streams.c -- the verbs that lend the brain a way into a pod: exec, attach, copy, a port.
 *
 * What is lent is a descriptor or three; the bytes do not pass the hand.
 */
#include "../reconcile/base/arena.h"
#include "../reconcile/base/error.h"
#include "../reconcile/base/text.h"
#include "config.h"
#include "hand_order.h"
#include "hand_spec.h"
#include "hand_state.h"
#include <fcntl.h>
#include <pty.h>
#include <unistd.h>

/* What cannot be begun is told as an end. */
static int
lent(struct order *o, int64_t id, int rc, struct error **e)
{
	if (rc < 0) {
		struct exec_done done = { .id = id,
					  .exitCode = 126,
					  .error = e && *e ? (*e)->msg : "failed" };

		hand_send(o->hand, "exec_done", exec_done_kind(), &done, NULL, 0);
		error_free(e);
	}
	hand_rt_arm(o->hand);
	return 0;
}

/* Input, output and errors of a command; false: not all of them could be made. */
static bool
pipes_make(int mine[3], int theirs[3])
{
	for (int i = 0; i < 3; i++) {
		int fds[2];

		if (pipe2(fds, O_CLOEXEC) < 0)
			return false;
		mine[i] = fds[i ? 1 : 0];
		theirs[i] = fds[i ? 0 : 1];
	}
	return true;
}

static void
pipes_close(const int mine[3], const int theirs[3])
{
	for (int i = 0; i < 3; i++) {
		if (mine[i] >= 0)
			close(mine[i]);
		if (theirs[i] >= 0)
			close(theirs[i]);
	}
}

/* Pipes, or one terminal, between a command in a pod and the brain. */
int
do_exec(struct order *o, struct error **e)
{
	const struct exec_args *args = o->body;
	int mine[3] = { -1, -1, -1 }, theirs[3] = { -1, -1, -1 }, n = 0, rc = -1;
	struct answer_seen answer = { .id = args->id };

	if (!args->command.n) {
		fail(e, WHY_INVALID, "exec: no command");
		goto out;
	}
	if (args->tty) {
		if (openpty(&theirs[0], &mine[0], NULL, NULL, NULL) < 0) {
			fail_sys(e, "open a terminal");
			goto out;
		}
		n = 1;
	} else if (args->output) {
		int fds[2];

		if (pipe2(fds, O_CLOEXEC) < 0) {
			fail_sys(e, "make a pipe");
			goto out;
		}
		theirs[0] = fds[0];
		mine[1] = fds[1];
		mine[2] = fcntl(fds[1], F_DUPFD_CLOEXEC, 3);
		n = 1;
	} else if (!args->timeout || args->stdin) {
		n = 3;
		if (!pipes_make(mine, theirs)) {
			fail_sys(e, "make a pipe");
			goto out;
		}
	}
	if (rt_exec(o->hand->rt, args->uid, args->container,
		    spec_strings(&args->command, o->arena), args->tty, mine, args->timeout,
		    args->id, e) < 0)
		goto out;
	if (n)
		hand_send(o->hand, "exec_fds", answer_seen_kind(), &answer, theirs, n);
	rc = 0;
out:
	pipes_close(mine, theirs);
	return lent(o, args->id, rc, e);
}

/* What the brain can read and write so is what any command of the container can: a path is
 * looked up in there, by a process that has nothing of ours. */
int
do_copy(struct order *o, struct error **e)
{
	const struct copy_args *args = o->body;
	int mine[3] = { -1, -1, -1 }, theirs[3] = { -1, -1, -1 }, rc;
	struct answer_seen answer = { .id = args->id };

	if (!pipes_make(mine, theirs))
		rc = fail_sys(e, "make a pipe");
	else
		rc = rt_files_copy(o->hand->rt, args->uid, args->container, args->path,
				   str_is(args->name, "") ? NULL : args->name, mine, args->id,
				   e);
	if (rc == 0)
		hand_send(o->hand, "exec_fds", answer_seen_kind(), &answer, theirs, 3);
	pipes_close(mine, theirs);
	return lent(o, args->id, rc, e);
}

int
do_attach(struct order *o, struct error **e)
{
	const struct attach_args *args = o->body;

	return lent(o, args->id,
		    rt_attach(o->hand->rt, args->uid, args->container, args->id, e), e);
}

/* Only ever to a port of the pod's own loopback: what the brain can reach so is what any
 * program of the pod can. */
int
do_connect(struct order *o, struct error **e)
{
	const struct connect_args *args = o->body;

	return lent(o, args->id,
		    rt_connect(o->hand->rt, args->uid, (unsigned)args->port, args->id, e), e);
}
