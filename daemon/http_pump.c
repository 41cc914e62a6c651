/* http_pump.c -- see http_pump.h.
 *
 * Each way has room for one record, and reads when that is empty: who does not read is not
 * read for.
 */
#include "http_pump.h"
#include "../reconcile/base/buf.h"
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	RECORD = 16 * 1024,  /* as large as those of TLS are */
	ROUNDS = 4,          /* in one turn of the loop */
	FAREWELL_SECONDS = 3 /* that a client takes nothing of what was left for it */
};

struct way {
	char at[RECORD];
	size_t from, len; /* of what was read, and is to be written */
	bool ready, ended;
};

struct pump {
	gnutls_session_t session;
	int idle, net, far, near; /* instead of the client's socket, that; the pair */
	struct event *net_reads, *net_writes, *far_reads, *far_writes;
	struct way in, out; /* from the client, to it */
	bool told, parted;  /* that it ended: the handler, the client */
	void (*done)(void *ctx);
	void *ctx;
};

/* ---- each way ---- */

/* There is nobody to talk to any more. */
static void
lost(struct pump *p)
{
	p->in.len = p->out.len = 0;
	p->in.ended = p->out.ended = p->told = p->parted = true;
	(void)shutdown(p->far, SHUT_RDWR);
}

static void
take(struct way *w, ssize_t n)
{
	w->from = 0;
	w->len = (size_t)n;
}

static void
gave(struct way *w, ssize_t n)
{
	w->from += (size_t)n;
	w->len -= (size_t)n;
}

static void
net_read(struct pump *p)
{
	ssize_t n = gnutls_record_recv(p->session, p->in.at, sizeof p->in.at);

	if (n > 0)
		take(&p->in, n);
	else if (n == 0 || n == GNUTLS_E_PREMATURE_TERMINATION)
		p->in.ended = true;
	else if (gnutls_error_is_fatal((int)n))
		lost(p);
	else
		p->in.ready = false;
}

/* True: something moved. */
static bool
inward(struct pump *p)
{
	ssize_t n;

	if (p->in.ready && !p->in.ended && !p->in.len)
		net_read(p);
	if (p->in.len) {
		n = send(p->far, p->in.at + p->in.from, p->in.len, MSG_NOSIGNAL);
		if (n > 0) {
			gave(&p->in, n);
		} else if (errno != EAGAIN && errno != EINTR) {
			p->in.len =
			    0; /* the handler wants no more, and may still have to say */
			p->in.ended = true;
		}
		return n > 0;
	}
	if (p->in.ended && !p->told) {
		p->told = true;
		(void)shutdown(p->far, SHUT_WR);
	}
	return false;
}

static void
far_read(struct pump *p)
{
	ssize_t n = recv(p->far, p->out.at, sizeof p->out.at, 0);

	if (n > 0)
		take(&p->out, n);
	else if (n < 0 && (errno == EAGAIN || errno == EINTR))
		p->out.ready = false;
	else
		p->out.ended = true;
}

/* A record that did not go out whole is the session's, and asked for again; nothing is added
 * to it meanwhile. */
static bool
outward(struct pump *p)
{
	ssize_t n;

	if (p->out.ready && !p->out.ended && !p->out.len)
		far_read(p);
	if (p->out.len) {
		n = gnutls_record_send(p->session, p->out.at + p->out.from, p->out.len);
		if (n > 0)
			gave(&p->out, n);
		else if (gnutls_error_is_fatal((int)n))
			lost(p);
		return n > 0;
	}
	if (p->out.ended && !p->parted) {
		n = gnutls_bye(p->session, GNUTLS_SHUT_WR);
		p->parted = n == 0 || gnutls_error_is_fatal((int)n);
		if (p->parted)
			(void)shutdown(p->net, SHUT_WR);
	}
	return false;
}

/* ---- in the loop ---- */

static void
want(struct event *e, bool wanted, bool patient)
{
	static const struct timeval farewell = { FAREWELL_SECONDS, 0 };

	if (wanted)
		event_add(e, patient ? NULL : &farewell);
	else
		event_del(e);
}

static void
watch(struct pump *p)
{
	want(p->net_reads, !p->in.ended && !p->in.len, true);
	want(p->far_writes, p->in.len, true);
	want(p->far_reads, !p->out.ended && !p->out.len, true);
	want(p->net_writes, p->out.len || (p->out.ended && !p->parted), !p->done);
	/* What the session has already, no descriptor tells of. */
	if (!p->in.ended && !p->in.len && gnutls_record_check_pending(p->session))
		event_active(p->net_reads, EV_READ, 0);
}

static void
turn(struct pump *p)
{
	bool moved = true;

	gnutls_transport_set_int(p->session, p->net);
	for (int i = 0; moved && i < ROUNDS; i++) {
		moved = inward(p);
		moved = outward(p) || moved;
	}
	gnutls_transport_set_int(p->session, p->idle);
	p->in.ready = p->out.ready = false;
	watch(p);
	if (p->done && p->parted)
		p->done(p->ctx);
}

static void
on_event(evutil_socket_t fd, short what, void *arg)
{
	struct pump *p = arg;

	if (what & EV_TIMEOUT)
		lost(p);
	p->in.ready = fd == p->net && what & EV_READ;
	p->out.ready = fd == p->far && what & EV_READ;
	turn(p);
}

/* ---- from outside ---- */

struct pump *
pump_new(struct event_base *base, gnutls_session_t session, int fd)
{
	int net = fcntl(fd, F_DUPFD_CLOEXEC, 0), pair[2] = { -1, -1 };
	int idle = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	struct pump *p;

	if (net < 0 || idle < 0 ||
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) < 0 ||
	    dup3(idle, fd, O_CLOEXEC) < 0) {
		int all[] = { net, idle, pair[0], pair[1] };

		for (size_t i = 0; i < sizeof all / sizeof *all; i++)
			if (all[i] >= 0)
				close(all[i]);
		return NULL;
	}
	close(idle);
	p = xcalloc(1, sizeof *p);
	p->session = session;
	p->idle = fd;
	p->net = net;
	p->far = pair[0];
	p->near = pair[1];
	p->net_reads = event_new(base, net, EV_READ | EV_PERSIST, on_event, p);
	p->net_writes = event_new(base, net, EV_WRITE | EV_PERSIST, on_event, p);
	p->far_reads = event_new(base, p->far, EV_READ | EV_PERSIST, on_event, p);
	p->far_writes = event_new(base, p->far, EV_WRITE | EV_PERSIST, on_event, p);
	gnutls_transport_set_int(session, net);
	return p;
}

void
pump_free(struct pump *p)
{
	if (!p)
		return;
	gnutls_transport_set_int(p->session, p->idle);
	event_free(p->net_reads);
	event_free(p->net_writes);
	event_free(p->far_reads);
	event_free(p->far_writes);
	close(p->net);
	close(p->far);
	if (p->near >= 0)
		close(p->near);
	free(p);
}

int
pump_socket(const struct pump *p)
{
	return p->net;
}

int
pump_start(struct pump *p)
{
	/* What the session holds is taken from it now: libmicrohttpd looks there once more. */
	p->in.ready = gnutls_record_check_pending(p->session) > 0;
	turn(p);
	return p->near;
}

void
pump_end(struct pump *p, void (*done)(void *ctx), void *ctx)
{
	close(p->near);
	p->near = -1;
	p->in.len = 0;
	p->in.ended = p->told = true;
	p->done = done;
	p->ctx = ctx;
	p->out.ready = true;
	turn(p);
}
