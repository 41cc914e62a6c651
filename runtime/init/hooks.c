/* hooks.c -- what a container does after its start and before it is asked to end.
 *
 * Commands and sleeps are our own business; requests over the network are the
 * brain's: they bring bytes of strangers, and TLS.  Our status says that one is
 * due, whoever reads it sees to it and says how it went.  Until then we wait, a
 * pre-stop hook at most as long as the grace.
 */
#include "runtime/init/init.h"

static const int op_of[] = {
	[W_HOOK_POST_START] = OP_POSTSTART, [W_HOOK_PRE_STOP] = OP_PRESTOP
};

int
hooks_of(const struct ops_head *ops)
{
	int hooks = 0;

	for (int i = W_HOOK_POST_START; i <= W_HOOK_PRE_STOP; i++)
		if (op_find(ops, op_of[i]))
			hooks |= 1 << i;
	return hooks;
}

void
hook_ended(struct init *in, struct container *c, bool well)
{
	int hook = c->hook;

	if (!hook)
		return; /* the container was quicker */
	c->hook = W_HOOK_NONE;
	c->hook_end = 0;
	c->dirty = true;
	if (well)
		return;
	c->now.hooks_failed |= (uint8_t)(1 << hook);
	if (hook == W_HOOK_POST_START)
		order_stop(in, c, now_boot() + 1000LL * in->pod.grace);
}

void
hook_begin(struct init *in, struct container *c, int hook)
{
	const struct ops_head *ops;
	const struct op *op;
	char **scratch;
	size_t size;
	bool well = true;

	c->hook = hook;
	c->hook_end = 0;
	c->dirty = true;
	ops = ops_map(W_FD_DIR, c->conf.name, &scratch, &size);
	op = ops ? op_find(ops, op_of[hook]) : NULL;
	if (!op)
		well = false;
	else if (op->flags == W_HOOK_SLEEP)
		c->hook_end = now_boot() + op->num[0] * 1000;
	else if (op->flags == W_HOOK_EXEC)
		well = exec_hook(in, c, op, ops, scratch);
	if (ops)
		ops_unmap(ops, size);
	if (!well)
		hook_ended(in, c, false);
}
