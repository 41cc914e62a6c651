/* hand.c -- the talk with the hand, as long as there is one.
 *
 * What is told is state, not history: a container that changed twice while the hand
 * could not read is told once, as it is.  A new hand takes the place of the old and
 * hears everything.
 */
#include <errno.h>
#include <sys/socket.h>

#include "runtime/init/init.h"

static char message[W_MAX];

void
hand_lost(struct init *in)
{
	if (in->hand >= 0)
		sys(close, in->hand);
	in->hand = -1;
	if (in->pod.flags & W_AHEAD)
		sys_exit(0); /* nobody knows of us any more */
	/* There is nobody to say that what it waits for is there: what runs goes on as it is.
	 */
	for (uint32_t i = 0; i < in->pod.n; i++)
		in->c[i].held &= in->c[i].state != W_RUNNING;
	/* Whoever comes next does not know how far the network is, so makes the pod anew. */
	if (in->gated)
		in->stopping = true;
	/* Nobody reads what they print any more, nor will their end be asked for. */
	exec_end_all(in);
	attach_end_all(in);
}

/* The socket lies in a directory that only root can enter, and has no abstract
 * name (CVE-2020-15257); the peer's user is checked all the same. */
void
hand_accept(struct init *in)
{
	struct ucred who = { 0 };
	uint32_t len = sizeof(who);
	long fd = sys(accept4, in->listen, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd < 0)
		return;
	if (sys(getsockopt, fd, SOL_SOCKET, SO_PEERCRED, &who, &len) < 0 || who.uid != 0) {
		sys(close, fd);
		return;
	}
	hand_lost(in);
	in->hand = (int)fd;
	in->greeted = in->told_stopped = false;
	for (uint32_t i = 0; i < in->pod.n; i++)
		in->c[i].dirty = true;
}

static bool
put_fds(struct init *in, size_t len, const int *fds, size_t nfds)
{
	char room[CMSG_SPACE(3 * sizeof(int))] = { 0 };
	struct iovec one = { message, len };
	struct msghdr m = { .msg_iov = &one, .msg_iovlen = 1 };
	long r;

	if (nfds) {
		struct cmsghdr *c;

		m.msg_control = room;
		m.msg_controllen = CMSG_SPACE(nfds * sizeof(int));
		c = CMSG_FIRSTHDR(&m);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(nfds * sizeof(int));
		memcpy(CMSG_DATA(c), fds, nfds * sizeof(int));
	}
	r = sys(sendmsg, in->hand, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (r < 0 && r != -EAGAIN)
		hand_lost(in);
	return r >= 0;
}

static bool
put(struct init *in, size_t len, int fd)
{
	return put_fds(in, len, &fd, fd >= 0);
}

static bool
put_status(struct init *in, struct container *c)
{
	struct w_status *s = (struct w_status *)message;
	char *text = message + sizeof(*s);
	bool waits = order_wants(in, c);

	*s = (struct w_status){
		.head = { .type = W_STATUS,
			  .container = c->index,
			  .flags = (c->started && c->hook != W_HOOK_POST_START) |
				   (uint32_t)c->hook << W_FLAG_HOOK },
		.state = waits ? W_WAITING : c->state,
		.restarts = c->restarts,
		.began = c->asked,
		.backoff_s = c->backoff_s,
		.last = waits ? c->now : c->last,
	};
	if (waits && c->not_before)
		s->backoff_until = now_ms() + c->not_before - now_boot();
	if (!waits) {
		s->now = c->now;
		memcpy(text, c->text, c->now.text_len);
		text += c->now.text_len;
	}
	memcpy(text, waits ? c->text : c->last_text, s->last.text_len);
	text += s->last.text_len;
	if (c->has_run) {
		size_t n =
		    offsetof(struct w_as, groups) + c->as.ngroups * sizeof(*c->as.groups);

		memcpy(text, &c->as, n);
		text += n;
	}
	return put(in, (size_t)(text - message), c->state == W_RUNNING ? c->pidfd : -1);
}

static bool
put_head(struct init *in, uint32_t type, int64_t id, int64_t arg, uint32_t flags,
	 const char *text)
{
	struct w_msg *m = (struct w_msg *)message;
	size_t n = strlen(text);

	*m = (struct w_msg){ .type = type, .id = id, .arg = arg, .flags = flags };
	memcpy(m + 1, text, n);
	return put(in, sizeof(*m) + n, -1);
}

/* That must not get lost: a hand that cannot hear it now hears that we are lost to it. */
void
hand_refuse(struct init *in, int64_t id, const char *why)
{
	if (!put_head(in, W_EXEC_DONE, id, 126, 0, why))
		hand_lost(in);
}

static bool
put_lent(struct init *in, struct lent *l)
{
	if (l->ngive) {
		*(struct w_msg *)message = (struct w_msg){ .type = W_LENDS, .id = l->id };
		if (!put_fds(in, sizeof(struct w_msg), l->give, (size_t)l->ngive))
			return false;
		for (int i = 0; i < l->ngive; i++)
			sys(close, l->give[i]);
		l->ngive = 0;
		if (l->container < 0) /* a connection is the hand's from here on */
			l->id = 0;
	}
	if (l->id && l->done) {
		if (!put_head(in, W_EXEC_DONE, l->id, l->code, 0, l->error ? l->error : ""))
			return false;
		l->id = 0;
	}
	return true;
}

static bool
all_ended(const struct init *in)
{
	for (uint32_t i = 0; i < in->pod.n; i++)
		if (in->c[i].state == W_RUNNING)
			return false;
	return true;
}

static uint32_t
hello_flags(const struct init *in)
{
	return W_CAN_LEND | W_CAN_COPY | W_CAN_RENEW | (in->stopping ? W_IS_STOPPING : 0) |
	       (in->gated ? W_IS_GATED : 0);
}

bool
hand_flush(struct init *in)
{
	if (in->hand < 0)
		return true;
	if (!in->greeted && !(in->greeted = put_head(in, W_HELLO, in->pod.n, in->start_time,
						     hello_flags(in), "")))
		return false;
	for (uint32_t i = 0; i < in->pod.n; i++) {
		if (in->c[i].dirty && !put_status(in, &in->c[i]))
			return false;
		in->c[i].dirty = false;
	}
	for (int i = 0; i < in->execs_used; i++) {
		struct exec *x = &in->execs[i];

		if (x->id <= 0 || !x->done)
			continue;
		if (!put_head(in, W_EXEC_DONE, x->id, x->code, 0, x->error))
			return false;
		x->id = 0;
	}
	for (int i = 0; i < W_LENT; i++)
		if (in->lent[i].id && !put_lent(in, &in->lent[i]))
			return false;
	if (!in->stopping || in->told_stopped || !all_ended(in))
		return true;
	in->told_stopped = put_head(in, W_STOPPED, 0, 0, 0, "");
	return in->told_stopped;
}

static void
heed(struct init *in, const struct w_msg *m, char *rest, size_t len, const int fds[3])
{
	struct container *c = m->container < in->pod.n ? &in->c[m->container] : NULL;

	switch (m->type) {
	case W_START:
		if (c && !c->asked && !in->stopping)
			c->asked = c->dirty = true;
		break;
	case W_STOP:
		order_stop_all(in, now_boot() + m->arg * 1000);
		break;
	case W_RESTART:
		if (c && m->flags & W_RESTART_OTHER)
			order_other(in, c, now_boot() + m->arg * 1000);
		else if (c && !c->ending)
			order_stop(in, c, now_boot() + m->arg * 1000);
		break;
	case W_STARTED:
		if (c && c->state == W_RUNNING && c->restarts == m->id)
			c->started = c->dirty = true;
		break;
	case W_HOLD:
		if (c && c->held != (m->arg != 0))
			c->held = !c->held, c->dirty = true;
		break;
	case W_GO:
		in->gated = false;
		break;
	case W_HOOKED:
		if (c && c->state == W_RUNNING && c->restarts == m->id &&
		    c->hook == (int)m->flags && !c->hook_end)
			hook_ended(in, c, m->arg == 0);
		break;
	case W_ADD: {
		struct w_container conf;

		if (m->container != in->pod.n || in->pod.n == W_CONTAINERS || in->stopping ||
		    len != sizeof(conf))
			break; /* known already, or too late */
		memcpy(&conf, rest, sizeof(conf));
		container_add(in, &conf);
		in->c[in->pod.n - 1].dirty = true;
		break;
	}
	case W_ENTER:
		pod_enter(in, fds);
		break;
	case W_BECOME:
		pod_become(in, rest, len);
		break;
	case W_EXEC:
		exec_begin(in, m, rest, len, fds);
		break;
	case W_ATTACH:
		attach_begin(in, m);
		break;
	case W_CONNECT:
		attach_connect(in, m);
		break;
	default:
		break; /* from a newer hand, whom our hello tells what we know */
	}
}

void
hand_read(struct init *in)
{
	char room[CMSG_SPACE(3 * sizeof(int))];
	struct iovec one = { message, sizeof(message) };
	struct msghdr m = { .msg_iov = &one,
			    .msg_iovlen = 1,
			    .msg_control = room,
			    .msg_controllen = sizeof(room) };
	struct cmsghdr *c;
	int fds[3] = { -1, -1, -1 };
	long n = sys(recvmsg, in->hand, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

	if (n == -EAGAIN || n == -EINTR)
		return;
	if (n <= 0) {
		hand_lost(in);
		return;
	}
	c = CMSG_FIRSTHDR(&m);
	if (c && c->cmsg_type == SCM_RIGHTS)
		memcpy(fds, CMSG_DATA(c),
		       c->cmsg_len - CMSG_LEN(0) <= sizeof(fds) ? c->cmsg_len - CMSG_LEN(0)
								: sizeof(fds));
	if ((size_t)n >= sizeof(struct w_msg) && !(m.msg_flags & MSG_TRUNC)) {
		struct w_msg head;

		memcpy(&head, message, sizeof(head));
		heed(in, &head, message + sizeof(head), (size_t)n - sizeof(head), fds);
	}
	for (int i = 0; i < 3; i++)
		if (fds[i] >= 0)
			sys(close, fds[i]);
}
