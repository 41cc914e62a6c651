/* order.c -- who of a pod's containers starts when, and who ends when.
 *
 * As the kubelet does it, and here because a pod goes on while kedged is away:
 *
 *   - an init container starts when each one before it ended well (or, a
 *     sidecar, has started); the main ones start after the last of them;
 *   - a hook after the start holds back those that come after, one before the
 *     end takes its time out of the grace;
 *   - one that the hand holds does not start, however often it was started before;
 *   - one that is to be made of something else is ended for that, and starts at once;
 *   - sidecars are asked to end when all main ones have ended, the last first.
 *     Where nothing is started again (a Job's pod) that is the pod's own end.
 */
#include <signal.h>

#include "runtime/init/init.h"

enum { ALWAYS, ON_FAILURE, NEVER }; /* = enum rt_restart */
enum { LEAST_MS = 2000 }; /* what was made to wait still has so long for its own end */

/* Those before it have let it through.  Only asked of one that never began: what is
 * started again does not go through all of this once more. */
static bool
turn_to_start(const struct init *in, const struct container *c)
{
	for (uint32_t i = 0; i < c->index && c->conf.role != W_EPHEMERAL; i++) {
		const struct container *d = &in->c[i];

		if (d->hook == W_HOOK_POST_START)
			return false;
		if (d->conf.role == W_SIDECAR && !d->started)
			return false;
		if (d->conf.role == W_INIT &&
		    (d->state != W_TERMINATED || d->now.exit_code != 0))
			return false;
	}
	return true;
}

static bool
begins_again(const struct container *c)
{
	return c->conf.restart == ALWAYS || c->other ||
	       (c->conf.restart == ON_FAILURE && c->now.exit_code != 0);
}

bool
order_wants(const struct init *in, const struct container *c)
{
	if (in->stopping || !c->asked || c->state == W_RUNNING || in->pod.flags & W_LATE)
		return false;
	if (in->finished && c->conf.role == W_SIDECAR)
		return false;
	return c->began ? begins_again(c) : turn_to_start(in, c);
}

/* Every main container ended for good, or an init container did and badly: what is
 * left of the pod are sidecars that serve nobody. */
static bool
is_finished(const struct init *in)
{
	bool all = true;

	for (uint32_t i = 0; i < in->pod.n; i++) {
		const struct container *c = &in->c[i];
		bool over = c->began && c->state == W_TERMINATED && !begins_again(c);

		if (c->conf.role == W_INIT && over && c->now.exit_code != 0)
			return true;
		if (c->conf.role == W_MAIN)
			all &= over;
	}
	return all;
}

/* A sidecar waits for all that is not one, and for those that started after it. */
static bool
turn_to_end(const struct init *in, const struct container *c)
{
	if (c->conf.role != W_SIDECAR || (!in->stopping && !in->finished))
		return true;
	for (uint32_t i = 0; i < in->pod.n; i++)
		if (in->c[i].state == W_RUNNING &&
		    (in->c[i].conf.role != W_SIDECAR || i > c->index))
			return false;
	return true;
}

/* Asks it to end, when nothing is left to wait for. */
static void
end_go_on(struct init *in, struct container *c, bool waited)
{
	int64_t now = now_boot();

	if (c->ending == RUNS_ITS_HOOK && (c->hook != W_HOOK_PRE_STOP || c->end_by <= now))
		c->ending = WAITS_ITS_TURN;
	if (c->ending == WAITS_ITS_TURN && (turn_to_end(in, c) || c->end_by <= now)) {
		if (waited && c->end_by < now + LEAST_MS)
			c->end_by = now + LEAST_MS;
		c->ending = WAS_ASKED;
		c->kill_at = c->end_by;
		/* Our own child, not yet waited for: the number cannot mean anyone else. */
		sys(kill, c->pid, c->stop_signal);
	}
}

/* A shorter grace wins. */
void
order_stop(struct init *in, struct container *c, int64_t end_by)
{
	if (c->state != W_RUNNING)
		return;
	if (c->ending) {
		if (end_by < c->end_by)
			c->end_by = end_by;
		if (c->kill_at && end_by < c->kill_at)
			c->kill_at = end_by;
		return;
	}
	c->end_by = end_by;
	c->ending = WAITS_ITS_TURN;
	if (c->hooks & 1 << W_HOOK_PRE_STOP && end_by > now_boot()) {
		c->ending = RUNS_ITS_HOOK;
		hook_begin(in, c, W_HOOK_PRE_STOP);
	}
	end_go_on(in, c, c->ending == RUNS_ITS_HOOK);
}

/* What waits has waited long enough: it failed when it was made of something else. */
void
order_other(struct init *in, struct container *c, int64_t end_by)
{
	c->backoff_s = 0;
	c->not_before = 0;
	c->dirty = true;
	if (in->stopping || c->state != W_RUNNING || c->conf.role == W_INIT)
		return;
	c->other = true;
	if (!c->ending)
		order_stop(in, c, end_by);
}

void
order_stop_all(struct init *in, int64_t end_by)
{
	in->stopping = true;
	for (uint32_t i = 0; i < in->pod.n; i++) {
		in->c[i].dirty = true;
		order_stop(in, &in->c[i], end_by);
	}
}

static void
finish(struct init *in)
{
	in->finished = true;
	for (uint32_t i = 0; i < in->pod.n; i++) {
		struct container *c = &in->c[i];

		if (c->conf.role != W_SIDECAR)
			continue;
		c->dirty = true;
		order_stop(in, c, now_boot() + 1000LL * in->pod.grace);
	}
}

static bool
may_start(const struct init *in, const struct container *c)
{
	return !c->held && order_wants(in, c);
}

int64_t
order_due(struct init *in)
{
	int64_t now = now_boot(), next = INT64_MAX;

	if (!in->stopping && !in->finished && in->c[0].conf.role != W_MAIN && is_finished(in))
		finish(in);
	for (uint32_t i = 0; i < in->pod.n; i++) {
		struct container *c = &in->c[i];
		int64_t at = INT64_MAX;

		if (c->hook && c->hook_end && c->hook_end <= now)
			hook_ended(in, c, true);
		if (may_start(in, c) && c->not_before <= now)
			container_start(in, c);
		if (may_start(in, c))
			at = c->not_before;
		else if (c->state == W_RUNNING && c->ending) {
			if (!c->kill_at)
				end_go_on(in, c, true);
			if (c->kill_at && c->kill_at <= now) {
				sys(kill, c->pid, SIGKILL);
				c->kill_at = now + 1000; /* and again, should that be needed */
			}
			at = c->kill_at ? c->kill_at : c->end_by;
		}
		if (at < next)
			next = at;
		/* (last: what was done above may have begun a hook) */
		if (c->hook && c->hook_end && c->hook_end < next)
			next = c->hook_end;
	}
	return next;
}
