/* http_listen.c -- each listening socket's daemon, and how much room there is behind it. */
#include "../reconcile/base/cleanup.h"
#include "../reconcile/base/error.h"
#include "../reconcile/base/log.h"
#include "http_peer.h"
#include "http_priv.h"
#include <event2/event.h>
#include <microhttpd.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>

enum {
	MAX_CONNECTIONS = 2048, /* of one listener; of TLS half of them from one address */
	/* Of each connection: libmicrohttpd (0.9.75) reads into one half of them, and keeps
	 * headers and arguments in the other.  Of those on this host a thousand may wait for
	 * news. */
	CONNECTION_BYTES = 14 * 1024,
	TLS_BYTES = 32 * 1024,
	MAX_STRANGERS =
	    64, /* of MAX_CONNECTIONS: of users who are refused anyway, to tell them so */
	IDLE_SECONDS = 120
};

/* Resuming makes no descriptor readable: libmicrohttpd has to be run for it. */
void
listener_poke(struct listener *l)
{
	l->woken = true;
	event_active(l->timer, EV_TIMEOUT, 0);
}

/* Whoever may not ask can still connect, and must not take the room of those who may.  The
 * connection is over at the next look at it; `*mine` marks those that are counted. */
static void
on_connection(void *cls, struct MHD_Connection *c, void **mine,
	      enum MHD_ConnectionNotificationCode what)
{
	struct listener *l = cls;
	char who[32];
	int fd;

	if (l->door == HTTP_TLS) {
		if (what == MHD_CONNECTION_NOTIFY_STARTED)
			http_tls_begun(l, c, mine);
		else
			http_tls_proved(*mine);
		return;
	}
	if (what == MHD_CONNECTION_NOTIFY_CLOSED) {
		l->strangers -= *mine != NULL;
		*mine = NULL;
		return;
	}
	fd = MHD_get_connection_info(c, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
	if (l->door != HTTP_LOOPBACK || peer_tcp_allowed(l->http->peers, fd, who))
		return;
	*mine = l;
	if (l->strangers++ >= MAX_STRANGERS)
		(void)shutdown(fd, SHUT_RDWR);
}

static void
drive(struct listener *l)
{
	MHD_UNSIGNED_LONG_LONG ms = 0;
	struct timeval tv;

	l->woken = false;
	MHD_run(l->daemon);
	if (l->rounds > 0) {
		l->rounds--;
		l->woken = true;
	}
	/* Who was woken meanwhile needs another round, and setting the timer to
	 * anything else would undo that. */
	if (!l->woken && MHD_get_timeout(l->daemon, &ms) != MHD_YES) {
		event_del(l->timer);
		return;
	}
	tv.tv_sec = ms / 1000;
	tv.tv_usec = ms % 1000 * 1000;
	event_add(l->timer, &tv);
}

static void
on_loop(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	drive(arg);
}

static void
on_mhd_log(void *cls, const char *fmt, va_list ap)
{
	cleanup_free char *text = NULL;

	(void)cls;
	xvasprintf(&text, fmt, ap);
	text[strcspn(text, "\n")] = 0;
	log_debug("http", "%s", text);
}

/* Listeners, sources, pods and the store need descriptors as well. */
static unsigned
room(void)
{
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files) < 0 || files.rlim_cur >= 4 * MAX_CONNECTIONS)
		return MAX_CONNECTIONS;
	return (unsigned)files.rlim_cur / 4;
}

/* Of TLS a daemon has no socket of its own: http_tls.c hands it what begins as TLS does. */
static struct MHD_Daemon *
daemon_start(struct listener *l, int fd, const struct http_tls *tls)
{
	const struct MHD_OptionItem plain[] = {
		{ MHD_OPTION_LISTEN_SOCKET, fd, NULL },
		{ MHD_OPTION_CONNECTION_LIMIT, room(), NULL },
		{ MHD_OPTION_END, 0, NULL },
	};
	const struct MHD_OptionItem secret[] = {
		{ MHD_OPTION_CONNECTION_LIMIT, room(), NULL },
		{ MHD_OPTION_PER_IP_CONNECTION_LIMIT, room() / 2, NULL },
		{ MHD_OPTION_HTTPS_MEM_CERT, 0, (void *)(tls ? tls->cert : NULL) },
		{ MHD_OPTION_HTTPS_MEM_KEY, 0, (void *)(tls ? tls->key : NULL) },
		{ MHD_OPTION_HTTPS_MEM_TRUST, 0, (void *)(tls ? tls->ca : NULL) },
		{ MHD_OPTION_HTTPS_PRIORITIES, 0,
		  (void *)"NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2:%SERVER_PRECEDENCE" },
		{ MHD_OPTION_END, 0, NULL },
	};
	unsigned flags =
	    MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_ALLOW_UPGRADE | MHD_USE_ERROR_LOG;

	if (tls)
		flags |= MHD_USE_TLS | MHD_USE_NO_LISTEN_SOCKET;
	return MHD_start_daemon(
	    flags, 0, NULL, NULL, http_on_access, l, MHD_OPTION_EXTERNAL_LOGGER, on_mhd_log,
	    NULL, MHD_OPTION_NOTIFY_COMPLETED, http_on_completed, NULL,
	    MHD_OPTION_NOTIFY_CONNECTION, on_connection, l, MHD_OPTION_URI_LOG_CALLBACK,
	    http_on_uri, l, MHD_OPTION_CONNECTION_MEMORY_LIMIT, listener_bytes(l),
	    MHD_OPTION_CONNECTION_TIMEOUT, IDLE_SECONDS, MHD_OPTION_ARRAY, tls ? secret : plain,
	    MHD_OPTION_END);
}

struct listener *
listener_open(struct http *h, int fd, enum http_door door, const struct http_tls *tls,
	      struct error **e)
{
	struct listener *l = xcalloc(1, sizeof *l);
	const union MHD_DaemonInfo *info;

	l->http = h;
	l->door = door;
	l->daemon = daemon_start(l, fd, tls);
	if (!l->daemon) {
		if (!tls)
			close(fd);
		free(l);
		fail(e, WHY_IO, "the HTTP server does not start on its socket");
		return NULL;
	}
	info = MHD_get_daemon_info(l->daemon, MHD_DAEMON_INFO_EPOLL_FD);
	l->ready = event_new(h->base, info->epoll_fd, EV_READ | EV_PERSIST, on_loop, l);
	l->timer = event_new(h->base, -1, 0, on_loop, l);
	event_add(l->ready, NULL);
	l->next = h->listeners;
	h->listeners = l;
	return l;
}

size_t
listener_bytes(const struct listener *l)
{
	return l->door == HTTP_TLS ? TLS_BYTES : CONNECTION_BYTES;
}

void
listener_close(struct listener *l)
{
	struct listener **at = &l->http->listeners;

	while (*at != l)
		at = &(*at)->next;
	*at = l->next;
	event_free(l->ready);
	event_free(l->timer);
	MHD_stop_daemon(l->daemon);
	free(l);
}
