/* wire.c -- frames over a socketpair.  Nothing a peer sends is believed: a
 * length beyond WIRE_MAX or a descriptor that was not announced ends the talk. */
#include "wire.h"
#include "../reconcile/base/cleanup.h"
#include "../reconcile/base/error.h"
#include <assert.h>
#include <event2/event.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

enum { HEAD = 5 };

struct frame {
	struct frame *next;
	struct buf bytes;
	size_t sent;
	int fds[WIRE_FDS];
	int nfds; /* still to be sent: they travel with the first byte */
};

struct wire {
	int fd;
	struct event *readable, *writable;
	void (*on_message)(void *, struct message *);
	void (*on_end)(void *, const char *);
	void *ctx;
	struct buf in;
	int fds[WIRE_FDS * 4]; /* received, not yet given out */
	int nfds;
	struct frame *out, **last;
	bool busy, dead; /* dead: freed by a callback, to be buried when it returns */
};

static void
frame_free(struct frame *f)
{
	for (int i = 0; i < f->nfds; i++)
		close(f->fds[i]);
	buf_done(&f->bytes);
	free(f);
}

/* Sends one frame's next piece: false when the socket is full or broken. */
static bool
frame_send(struct wire *w, struct frame *f)
{
	struct iovec iov = { f->bytes.at + f->sent, f->bytes.len - f->sent };
	union {
		char room[CMSG_SPACE(sizeof(int) * WIRE_FDS)];
		struct cmsghdr align;
	} control = { 0 };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };
	ssize_t n;

	if (f->nfds) {
		struct cmsghdr *c;

		m.msg_control = control.room;
		m.msg_controllen = CMSG_SPACE(sizeof(int) * f->nfds);
		c = CMSG_FIRSTHDR(&m);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int) * f->nfds);
		memcpy(CMSG_DATA(c), f->fds, sizeof(int) * f->nfds);
	}
	n = sendmsg(w->fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (n < 0)
		return errno == EINTR;
	for (int i = 0; i < f->nfds; i++)
		close(f->fds[i]);
	f->nfds = 0;
	f->sent += n;
	return true;
}

static void
wire_flush(struct wire *w)
{
	while (w->out) {
		struct frame *f = w->out;

		if (!frame_send(w, f))
			break;
		if (f->sent < f->bytes.len)
			continue;
		w->out = f->next;
		if (!w->out)
			w->last = &w->out;
		frame_free(f);
	}
	/* A broken pipe is seen by the reader, which ends the talk. */
	if (w->out)
		event_add(w->writable, NULL);
	else
		event_del(w->writable);
}

static void
wire_on_writable(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	wire_flush(arg);
}

static void
wire_end(struct wire *w, const char *why)
{
	event_del(w->readable);
	event_del(w->writable);
	w->on_end(w->ctx, why);
}

/* Reads what is there; -1 when the peer is gone. */
static int
wire_receive(struct wire *w, const char **ret_why)
{
	union {
		char room[CMSG_SPACE(sizeof(int) * WIRE_FDS)];
		struct cmsghdr align;
	} control;
	struct iovec iov;
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.room };
	ssize_t n;

	buf_reserve(&w->in, 64 * 1024);
	iov = (struct iovec){ w->in.at + w->in.len, w->in.cap - w->in.len - 1 };
	m.msg_controllen = sizeof control.room;
	n = recvmsg(w->fd, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n <= 0) {
		*ret_why = n ? strerror(errno) : "closed";
		return -1;
	}
	w->in.len += n;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c)) {
		const int *fd = (const int *)(const void *)CMSG_DATA(c);
		size_t k = (c->cmsg_len - CMSG_LEN(0)) / sizeof *fd;

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t i = 0; i < k; i++)
			if (w->nfds < (int)(sizeof w->fds / sizeof *w->fds))
				w->fds[w->nfds++] = fd[i];
			else
				close(fd[i]);
	}
	return 0;
}

/* Takes one whole frame off the front: 1, 0 when there is none yet, -1 for nonsense. */
static int
wire_take(struct wire *w, struct message *ret)
{
	uint32_t len;
	char *nl;
	int nfds;

	if (w->in.len < HEAD)
		return 0;
	memcpy(&len, w->in.at, 4);
	nfds = (unsigned char)w->in.at[4];
	if (len > WIRE_MAX || nfds > WIRE_FDS)
		return -1;
	if (w->in.len < HEAD + (size_t)len)
		return 0;
	if (nfds > w->nfds)
		return -1;
	*ret = (struct message){ .line = xstrndup(w->in.at + HEAD, len), .nfds = nfds };
	nl = memchr(ret->line, '\n', len);
	if (nl) {
		*nl = 0;
		ret->body = nl + 1;
		ret->body_len = len - (ret->body - ret->line);
	} else {
		ret->body = ret->line + len;
	}
	memcpy(ret->fds, w->fds, sizeof(int) * nfds);
	w->nfds -= nfds;
	memmove(w->fds, w->fds + nfds, sizeof(int) * w->nfds);
	buf_drop(&w->in, HEAD + (size_t)len);
	return 1;
}

static void
wire_on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct wire *w = arg;
	const char *why = "closed";
	struct message m;
	int gone, got;

	(void)fd;
	(void)what;
	gone = wire_receive(w, &why);
	w->busy = true;
	while (!w->dead && (got = wire_take(w, &m)) > 0) {
		w->on_message(w->ctx, &m);
		for (int i = 0; i < m.nfds; i++)
			if (m.fds[i] >= 0)
				close(m.fds[i]);
		free(m.line);
	}
	if (!w->dead && (gone || got < 0))
		wire_end(w, got < 0 ? "it sent a frame that is none" : why);
	w->busy = false;
	if (w->dead)
		wire_free(w);
}

struct wire *
wire_new(struct event_base *base, int fd, void (*on_message)(void *, struct message *),
	 void (*on_end)(void *, const char *), void *ctx)
{
	struct wire *w = xcalloc(1, sizeof *w);

	*w = (struct wire){ .fd = fd, .on_message = on_message, .on_end = on_end, .ctx = ctx };
	w->last = &w->out;
	w->readable = event_new(base, fd, EV_READ | EV_PERSIST, wire_on_readable, w);
	w->writable = event_new(base, fd, EV_WRITE | EV_PERSIST, wire_on_writable, w);
	event_add(w->readable, NULL);
	return w;
}

void
wire_free(struct wire *w)
{
	struct frame *f;

	if (!w)
		return;
	if (w->busy && !w->dead) {
		w->dead = true;
		return;
	}
	while ((f = w->out)) {
		w->out = f->next;
		frame_free(f);
	}
	for (int i = 0; i < w->nfds; i++)
		close(w->fds[i]);
	event_free(w->readable);
	event_free(w->writable);
	close(w->fd);
	buf_done(&w->in);
	free(w);
}

/* Into f->fds; f->nfds counts those that are there. */
static int
frame_dup(struct frame *f, const int *fds, int nfds, struct error **e)
{
	assert(nfds <= WIRE_FDS);
	for (; f->nfds < nfds; f->nfds++) {
		f->fds[f->nfds] = fcntl(fds[f->nfds], F_DUPFD_CLOEXEC, 3);
		if (f->fds[f->nfds] < 0)
			return fail_sys(e, "pass a descriptor on");
	}
	return 0;
}

int
wire_send(struct wire *w, const char *line, const char *body, const int *fds, int nfds,
	  struct error **e)
{
	size_t line_len = strlen(line), body_len = body ? strlen(body) : 0;
	size_t size = line_len + (body ? 1 + body_len : 0);
	uint32_t len = size;
	struct frame *f;
	char head[HEAD];

	assert(!strchr(line, '\n'));
	if (size > WIRE_MAX)
		return fail(e, WHY_TOO_LARGE, "a message of %zu bytes; at most %d can be sent",
			    size, WIRE_MAX);
	f = xcalloc(1, sizeof *f);
	if (frame_dup(f, fds, nfds, e) < 0) {
		frame_free(f);
		return -1;
	}
	memcpy(head, &len, 4);
	head[4] = nfds;
	buf_add(&f->bytes, head, HEAD);
	buf_add(&f->bytes, line, line_len);
	if (body) {
		buf_addc(&f->bytes, '\n');
		buf_add(&f->bytes, body, body_len);
	}
	*w->last = f;
	w->last = &f->next;
	wire_flush(w);
	return 0;
}
