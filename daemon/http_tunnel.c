/* http_tunnel.c -- connections that speak HTTP no more. */
#include "http_priv.h"
#include "http_pump.h"
#include <event2/util.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>

enum { ALIVE_SECONDS = 30 /* between the kernel's questions to the client */ };

struct upgrade {
	struct listener *listener;
	struct MHD_Connection *conn;
	http_upgraded_fn *upgraded;
	void *mine;
	struct pump *pump; /* until the tunnel has it */
	bool asked;
};

struct http_tunnel {
	struct http *http;
	struct listener *listener;
	struct http_tunnel *next, **link;
	struct MHD_UpgradeResponseHandle *handle;
	struct pump *pump; /* NULL: the descriptor is libmicrohttpd's */
	int fd;
	bool left; /* by its handler; some of what that said is still on its way */
	void *mine;
	void (*stop)(void *mine);
};

/* ---- on the way to one ---- */

struct upgrade *
upgrade_new(struct listener *l, struct MHD_Connection *c, http_upgraded_fn *upgraded,
	    void *mine)
{
	struct upgrade *u = xcalloc(1, sizeof *u);

	*u = (struct upgrade){ .listener = l, .conn = c, .upgraded = upgraded, .mine = mine };
	return u;
}

void
upgrade_free(struct upgrade *u)
{
	if (!u)
		return;
	pump_free(u->pump);
	free(u);
}

/* While it is suspended libmicrohttpd does not wait for its socket. */
bool
upgrade_takes(struct upgrade *u)
{
	const union MHD_ConnectionInfo *mine, *fd, *tls;

	if (u->asked || u->listener->door != HTTP_TLS)
		return false;
	u->asked = true;
	/* Whoever has not proved to be somebody is shut out by the number of their socket. */
	mine = MHD_get_connection_info(u->conn, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
	if (mine->socket_context)
		return false;
	MHD_suspend_connection(u->conn);
	fd = MHD_get_connection_info(u->conn, MHD_CONNECTION_INFO_CONNECTION_FD);
	tls = MHD_get_connection_info(u->conn, MHD_CONNECTION_INFO_GNUTLS_SESSION);
	u->pump = pump_new(u->listener->http->base, tls->tls_session, fd->connect_fd);
	MHD_resume_connection(u->conn);
	listener_poke(u->listener);
	return true;
}

/* What is typed, and an exit code, would wait 40 ms for the peer's acknowledgement of what came
 * before; a unix socket has no such option.  And of a client that has gone while nothing was
 * read from it only its kernel can tell. */
static void
socket_set(int fd)
{
	int on = 1, alive = ALIVE_SECONDS;

	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	(void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
	(void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &alive, sizeof alive);
	(void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &alive, sizeof alive);
}

static void
on_upgraded(void *cls, struct MHD_Connection *c, void *con, const char *extra, size_t n,
	    MHD_socket fd, struct MHD_UpgradeResponseHandle *handle)
{
	struct upgrade *u = cls;
	struct http_tunnel *t = xcalloc(1, sizeof *t);
	int sock = MHD_get_connection_info(c, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;

	(void)con;
	t->http = u->listener->http;
	t->listener = u->listener;
	t->handle = handle;
	t->pump = u->pump;
	u->pump = NULL;
	t->link = &t->http->tunnels;
	t->next = t->http->tunnels;
	if (t->next)
		t->next->link = &t->next;
	t->http->tunnels = t;
	socket_set(t->pump ? pump_socket(t->pump) : sock);
	t->fd = t->pump ? pump_start(t->pump) : fd;
	evutil_make_socket_nonblocking(t->fd);
	u->upgraded(u->mine, t, extra, n);
}

struct MHD_Response *
upgrade_answer(struct upgrade *u, const char *protocol)
{
	struct MHD_Response *m = MHD_create_response_for_upgrade(on_upgraded, u);

	MHD_add_response_header(m, MHD_HTTP_HEADER_UPGRADE, protocol);
	return m;
}

/* ---- the tunnel ---- */

int
http_tunnel_fd(const struct http_tunnel *t)
{
	return t->fd;
}

void
http_tunnel_on_stop(struct http_tunnel *t, void (*stop)(void *mine), void *mine)
{
	t->mine = mine;
	t->stop = stop;
}

static void
over(void *arg)
{
	struct http_tunnel *t = arg;

	*t->link = t->next;
	if (t->next)
		t->next->link = t->link;
	pump_free(t->pump);
	/* This only marks it.  The socket is closed by libmicrohttpd's next round; over TLS the
	 * first one ends its forwarding and the second the connection, and it asks for none. */
	MHD_upgrade_action(t->handle, MHD_UPGRADE_ACTION_CLOSE);
	t->listener->rounds = 2;
	listener_poke(t->listener);
	free(t);
}

void
http_tunnel_close(struct http_tunnel *t)
{
	t->left = true;
	if (t->pump)
		pump_end(t->pump, over, t);
	else
		over(t);
}

void
tunnels_stop(struct http *h)
{
	for (struct http_tunnel *t = h->tunnels, *next; t; t = next) {
		next = t->next;
		if (!t->left)
			t->stop(t->mine);
	}
	for (struct http_tunnel *t = h->tunnels, *next; t; t = next) {
		next = t->next;
		over(t); /* whose client is slow to take the rest */
	}
}
