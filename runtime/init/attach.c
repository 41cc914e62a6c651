/* attach.c -- descriptors that are lent: the ends of a running container, and connections
 * to the ports of the pod.
 *
 * Who attaches gets the container's input itself, and a pipe each for what it prints
 * from now on.  The pipe is written to without waiting: a client that reads too
 * slowly misses bytes and is told how many, and neither the container nor its log waits.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include "runtime/init/init.h"

static struct lent *
lent_new(struct init *in, const struct w_msg *m, int container)
{
	for (int i = 0; i < W_LENT; i++)
		if (!in->lent[i].id) {
			in->lent[i] = (struct lent){ .id = m->id,
						     .container = container,
						     .out = { -1, -1 } };
			return &in->lent[i];
		}
	return NULL;
}

static void
refuse(struct lent *l, const char *why)
{
	l->error = why;
	l->code = 126;
	l->done = true;
}

static void
close_out(struct init *in, struct lent *l, int i)
{
	if (l->out[i] < 0)
		return;
	sys(close, l->out[i]);
	l->out[i] = -1;
	in->c[l->container].out[i].taps &= ~(1u << (l - in->lent));
}

static void
close_all(struct init *in, struct lent *l)
{
	for (int i = 0; i < 2; i++)
		close_out(in, l, i);
	for (int i = 0; i < l->ngive; i++)
		sys(close, l->give[i]);
	l->ngive = 0;
}

/* Ours never waits, the other's is a description of its own. */
static long
pipe_make(int *ret_reader, int *ret_writer)
{
	int fds[2];
	long r = sys(pipe2, fds, O_CLOEXEC | O_NONBLOCK);

	if (r < 0)
		return r;
	sys(fcntl, fds[1], F_SETPIPE_SZ, W_LENT_PIPE); /* where it may not be: smaller */
	*ret_reader = fds[0];
	*ret_writer = fds[1];
	return 0;
}

/* The container's input.  With stdinOnce it is given away, not shared: when the client
 * closes it or dies, nobody holds it and the container reads the end.  A terminal
 * has no such end, so it stays, as with other runtimes.  Who has no input gets a pipe that
 * nobody reads. */
static long
input_of(struct container *c)
{
	int fds[2];
	long fd;

	if (c->input >= 0 && c->conf.stdin_once && !c->conf.tty) {
		fd = c->input;
		c->input = -1;
		return fd;
	}
	if (c->input >= 0)
		return sys(fcntl, c->input, F_DUPFD_CLOEXEC, 3);
	fd = sys(pipe2, fds, O_CLOEXEC);
	if (fd < 0)
		return fd;
	sys(close, fds[0]);
	return fds[1];
}

void
attach_begin(struct init *in, const struct w_msg *m)
{
	struct container *c = m->container < in->pod.n ? &in->c[m->container] : NULL;
	struct lent *l = lent_new(in, m, c ? (int)c->index : -1);
	long r = 0;

	if (!l)
		return; /* the hand keeps count and does not ask for more */
	if (!c || c->state != W_RUNNING) {
		refuse(l, "the container is not running");
		return;
	}
	for (int i = 0; i < 2 && r >= 0; i++) {
		r = pipe_make(&l->give[1 + i], &l->out[i]);
		if (r >= 0)
			l->ngive = 2 + i;
	}
	if (r >= 0)
		r = input_of(c);
	if (r < 0) {
		/* give[0] is not there yet */
		for (int i = 1; i < l->ngive; i++)
			sys(close, l->give[i]);
		l->ngive = 0;
		close_all(in, l);
		refuse(l, "no pipes for its output");
		return;
	}
	l->give[0] = (int)r;
	for (int i = 0; i < 2; i++) {
		struct stream *s = &c->out[i];

		s->taps |= 1u << (l - in->lent);
		/* the prompt that the terminal shows */
		if (c->conf.tty && s->len)
			sys(write, l->out[i], s->tail, s->len);
		if (s->fd < 0)
			close_out(in, l, i);
	}
}

/* We live in the pod's network: no right is needed to talk to it from here.  On loopback the
 * answer comes at once; what does not is waited for by who gets the socket. */
void
attach_connect(struct init *in, const struct w_msg *m)
{
	struct sockaddr_in to = { .sin_family = AF_INET,
				  .sin_port = htons((uint16_t)m->arg),
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct lent *l = lent_new(in, m, -1);
	long fd, r;

	if (!l)
		return;
	fd = sys(socket, AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0) {
		refuse(l, "no socket could be made");
		return;
	}
	r = sys(connect, fd, &to, sizeof(to));
	if (r < 0 && r != -EINPROGRESS) {
		sys(close, fd);
		refuse(l, r == -ECONNREFUSED ? "connection refused" : "cannot connect");
		return;
	}
	l->give[0] = (int)fd;
	l->ngive = 1;
}

/* Says how much was missed; false: there is not even room for that. */
static bool
confess(struct lent *l, int i)
{
	char line[128];
	struct text t = TEXT(line);

	text_add(&t, "\r\n[kedge: ");
	text_num(&t, l->skipped[i], 1);
	text_add(&t, " bytes left out, this client reads too slowly; the log has them]\r\n");
	if (sys(write, l->out[i], line, t.len) != (long)t.len)
		return false;
	l->skipped[i] = 0;
	return true;
}

void
attach_copy(struct init *in, struct stream *s, const char *at, size_t n)
{
	int i = s->err;

	for (int k = 0; k < W_LENT; k++) {
		struct lent *l = &in->lent[k];
		long put = 0;

		if (!(s->taps >> k & 1))
			continue;
		if (!l->skipped[i] || confess(l, i))
			put = sys(write, l->out[i], at, n);
		if (put == -EPIPE)
			close_out(in, l, i);
		else
			l->skipped[i] += n - (size_t)(put > 0 ? put : 0);
	}
}

void
attach_ended(struct init *in, struct container *c)
{
	for (int k = 0; k < W_LENT; k++) {
		struct lent *l = &in->lent[k];

		if (!l->id || l->container != (int)c->index || l->done)
			continue;
		for (int i = 0; i < 2; i++) {
			if (l->out[i] >= 0 && l->skipped[i])
				confess(l, i);
			close_out(in, l, i);
		}
		l->done = true;
	}
}

void
attach_look(struct init *in)
{
	for (int k = 0; k < W_LENT; k++) {
		struct lent *l = &in->lent[k];
		struct pollfd p[2] = { { .fd = l->out[0] }, { .fd = l->out[1] } };

		if (!l->id || l->container < 0 || l->done || l->ngive ||
		    sys(ppoll, p, 2, &(struct timespec){ 0 }, NULL, 0) <= 0)
			continue;
		for (int i = 0; i < 2; i++)
			if (p[i].revents)
				close_out(in, l, i);
		l->done = l->out[0] < 0 && l->out[1] < 0;
	}
}

void
attach_end_all(struct init *in)
{
	for (int k = 0; k < W_LENT; k++)
		if (in->lent[k].id) {
			close_all(in, &in->lent[k]);
			in->lent[k].id = 0;
		}
}
