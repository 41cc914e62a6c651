/* hand_dns.c -- the DNS server's process: started, given its sockets, and handed over.
 *
 * The hand opens port 53 and keeps the sockets, so that questions wait in them
 * when the server dies and another reads them.  The server itself outlives the
 * hand.  The next hand's server listens beside it, on sockets of its own
 * (SO_REUSEPORT, which the kernel grants to one user only), as soon as it knows all
 * names; then the old one is asked to go.  So no question is lost by any restart.
 *
 * Who the old one is stands in a file of root's: its process id, and when it began,
 * since a number alone may be another's by now.
 */
#include "../reconcile/base/arena.h"
#include "../reconcile/base/cleanup.h"
#include "../reconcile/base/error.h"
#include "../reconcile/base/ipv4.h"
#include "../reconcile/base/log.h"
#include "../reconcile/dns.h"
#include "config.h"
#include "files.h"
#include "hand_state.h"
#include "loop.h"
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>

enum {
	PORT = 53,
	QUEUE = 4 << 20, /* bytes of questions that wait while nobody reads */
	BACKLOG = 128,
	AGAIN_MS = 2000,
	BACKOFF_MS = 100,
	BACKOFF_MAX_MS = 10000,
	STEADY_MS = 60000, /* who lived so long is started again at once */
	GOODBYE_MS = 6000, /* it leaves by itself within 5 s */
	FORMERS = 4,
};

struct hand_dns {
	struct hand *hand;
	uint32_t ip;
	struct wire *wire;   /* NULL: none runs */
	int udp, tcp;        /* -1: not open yet */
	struct former {      /* those that hands before us left */
		int fd, pid; /* fd: pidfd */
		unsigned long long since;
	} former[FORMERS];
	unsigned nformer;
	struct event *start_timer, *listen_timer, *goodbye_timer;
	unsigned starts;
	int64_t started;
	bool said;
};

/* ---- who it is, for the next hand ---- */

static char *
file_path(const struct hand_dns *d)
{
	char *path;

	xasprintf(&path, "%s/dns.pid", d->hand->config->run);
	return path;
}

/* Field 22 of /proc/PID/stat, in ticks since the host's start; 0: no such process. */
static unsigned long long
began(pid_t pid)
{
	cleanup_buf struct buf text = { 0 };
	unsigned long long at = 0;
	char path[64];
	char *p;

	snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
	if (file_read(path, 4096, &text, NULL) < 0 || !(p = strrchr(buf_text(&text), ')')))
		return 0;
	if (sscanf(p + 1,
		   " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d "
		   "%*d %*d %*d %llu",
		   &at) != 1)
		return 0;
	return at;
}

/* Whole or not at all: who is not found there is never asked to go, and answers what is
 * no longer so. */
static void
note(const struct hand_dns *d, pid_t pid)
{
	cleanup_free char *path = file_path(d), *draft = NULL;
	cleanup_buf struct buf text = { 0 };
	cleanup_close int fd = -1;

	for (unsigned i = 0; i < d->nformer; i++)
		buf_addf(&text, "%d %llu\n", d->former[i].pid, d->former[i].since);
	buf_addf(&text, "%d %llu\n", (int)pid, began(pid));
	xasprintf(&draft, "%s.new", path);
	fd = open(draft, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0 || write(fd, text.at, text.len) != (ssize_t)text.len ||
	    rename(draft, path) < 0)
		log_warn("dns", "write %s: %s; after a restart two servers may answer", path,
			 strerror(errno));
}

static void
former_add(struct hand_dns *d, const char *line)
{
	struct former x = { .fd = -1 };

	if (d->nformer == FORMERS || sscanf(line, "%d %llu", &x.pid, &x.since) != 2 ||
	    x.pid < 2 || !x.since)
		return;
	x.fd = (int)syscall(SYS_pidfd_open, x.pid, 0);
	/* looked at after it was taken hold of: then it cannot change under us */
	if (x.fd >= 0 && began(x.pid) == x.since)
		d->former[d->nformer++] = x;
	else if (x.fd >= 0)
		close(x.fd);
}

static void
formers_find(struct hand_dns *d)
{
	cleanup_free char *path = file_path(d);
	cleanup_buf struct buf text = { 0 };
	char *line, *rest;

	if (file_read(path, 4096, &text, NULL) < 0 || !text.len)
		return;
	for (rest = text.at; (line = strsep(&rest, "\n"));)
		former_add(d, line);
}

static void
formers_signal(struct hand_dns *d, int sig)
{
	for (unsigned i = 0; i < d->nformer; i++)
		(void)syscall(SYS_pidfd_send_signal, d->former[i].fd, sig, NULL, 0);
}

static void
formers_forget(struct hand_dns *d)
{
	while (d->nformer)
		close(d->former[--d->nformer].fd);
}

static void
goodbye_on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct hand_dns *d = arg;

	(void)fd;
	(void)what;
	formers_signal(d, SIGKILL);
	formers_forget(d);
}

/* ---- sockets ---- */

static int
listen_on(const struct hand_dns *d, int type, struct error **e)
{
	struct sockaddr_in sa = { .sin_family = AF_INET,
				  .sin_port = htons(PORT),
				  .sin_addr = { htonl(d->ip) } };
	cleanup_close int fd = socket(AF_INET, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int one = 1, room = QUEUE;
	char ip[IPV4_TEXT];

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one) < 0 ||
	    setsockopt(fd, IPPROTO_IP, IP_FREEBIND, &one, sizeof one) < 0 ||
	    bind(fd, (const struct sockaddr *)&sa, sizeof sa) < 0 ||
	    (type == SOCK_STREAM && listen(fd, BACKLOG) < 0))
		return fail_sys(e, "names: listen on %s:%d", ipv4_print(d->ip, ip), PORT);
	if (type == SOCK_DGRAM)
		(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room);
	return steal_fd(&fd);
}

static void
sockets_send(struct hand_dns *d)
{
	const int fds[2] = { d->udp, d->tcp };

	if (d->wire && d->udp >= 0)
		(void)wire_send(d->wire, "sockets", NULL, fds, 2, NULL);
}

/* Somebody else may have taken port 53 of every address; when he leaves, it is ours. */
static void
listen_try(struct hand_dns *d)
{
	cleanup_error struct error *e = NULL;
	cleanup_close int udp = -1, tcp = -1;

	if (d->udp >= 0)
		return;
	udp = listen_on(d, SOCK_DGRAM, &e);
	tcp = udp < 0 ? -1 : listen_on(d, SOCK_STREAM, &e);
	if (tcp < 0) {
		if (!d->said)
			log_err("dns",
				"%s; pods find no names until it is free (ss -lunp shows who "
				"has it)",
				error_text(e));
		d->said = true;
		timer_arm(d->listen_timer, AGAIN_MS);
		return;
	}
	if (d->said)
		log_info("dns", "the port is free: names are answered");
	d->said = false;
	d->udp = steal_fd(&udp);
	d->tcp = steal_fd(&tcp);
	sockets_send(d);
}

static void
listen_on_timer(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	listen_try(arg);
}

/* ---- the process ---- */

static void
hear(void *arg, struct message *m)
{
	struct hand_dns *d = arg;

	if (strcmp(m->line, "loaded") != 0)
		return;
	listen_try(d);
	if (!d->nformer || d->udp < 0)
		return;
	formers_signal(d, SIGTERM);
	timer_arm(d->goodbye_timer, GOODBYE_MS);
}

static void
child_signal(struct hand_dns *d, int sig)
{
	for (struct child *c = d->hand->children; c; c = c->next)
		if (c->source && !strcmp(c->source, HAND_DNS))
			kill(c->pid, sig); /* not yet waited for: the number is its own */
}

/* It talks nonsense, or hung up: its end is what starts the next. */
static void
lost(void *arg, const char *why)
{
	struct hand_dns *d = arg;

	(void)why;
	wire_free(d->wire);
	d->wire = NULL;
	child_signal(d, SIGKILL);
}

static void
bind_send(struct hand_dns *d)
{
	const struct config *c = d->hand->config;
	const struct settings *set = &d->hand->settings;
	cleanup_arena struct arena a = { 0 };
	cleanup_buf struct buf json = { 0 };
	size_t n = c->dns->stubDomains.n;
	struct dns_stub *stubs = arena_zalloc(&a, (n + 1) * sizeof *stubs);
	struct dns_bind b = { .zone = c->dns->clusterDomain,
			      .address = ipv4_text(d->ip, &a),
			      .ttl = c->dns->ttl,
			      .cacheBytes = quantity_value(c->dns->cacheSize),
			      .ranges = config_ranges(set, &a),
			      .upstreams = c->dns->upstreams };

	for (size_t i = 0; i < n; i++)
		stubs[i] = (struct dns_stub){ .domain = c->dns->stubDomains.at[i].domain,
					      .servers = c->dns->stubDomains.at[i].servers };
	b.stubs.at = stubs;
	b.stubs.n = n;
	schema_encode(dns_bind_kind(), &b, &json);
	(void)wire_send(d->wire, "bind", buf_text(&json), NULL, 0, NULL);
}

static pid_t
child_pid(const struct hand_dns *d)
{
	for (const struct child *c = d->hand->children; c; c = c->next)
		if (c->source && !strcmp(c->source, HAND_DNS))
			return c->pid;
	return 0;
}

static void
start(struct hand_dns *d)
{
	cleanup_error struct error *e = NULL;
	int sock;

	if (d->wire || d->hand->leaving || child_pid(d))
		return;
	d->starts++;
	d->started = monotonic_ms();
	if (hand_child(d->hand, "dns", HAND_DNS, d->hand->brain_id, &sock, &e) < 0) {
		log_err("dns", "%s", error_text(e));
		timer_arm(d->start_timer, BACKOFF_MAX_MS);
		return;
	}
	note(d, child_pid(d));
	(void)fcntl(sock, F_SETFL, O_NONBLOCK);
	d->wire = wire_new(d->hand->base, sock, hear, lost, d);
	bind_send(d);
	sockets_send(d);
	hand_dns_brain(d->hand);
}

static void
start_on_timer(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	start(arg);
}

void
hand_dns_brain(struct hand *h)
{
	struct answer_seen answer = { 0 };
	int pair[2];

	if (!h->dns || !h->dns->wire || !h->wire)
		return;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) {
		log_err("dns", "make a socket to the brain: %s", strerror(errno));
		return;
	}
	(void)wire_send(h->dns->wire, "brain", NULL, &pair[0], 1, NULL);
	hand_send(h, "dns", answer_seen_kind(), &answer, &pair[1], 1);
	close(pair[0]);
	close(pair[1]);
}

void
hand_dns_ended(struct hand *h)
{
	struct hand_dns *d = h->dns;
	unsigned k;

	if (!d)
		return;
	wire_free(d->wire);
	d->wire = NULL;
	if (h->leaving)
		return;
	log_warn("dns", "the server ended; starting it again");
	if (monotonic_ms() - d->started > STEADY_MS)
		d->starts = 0;
	k = d->starts < 2 ? 0 : d->starts > 8 ? 8 : d->starts;
	timer_arm(d->start_timer, k ? BACKOFF_MS << (k - 2) : 0);
}

void
hand_dns_open(struct hand *h)
{
	struct hand_dns *d;
	uint32_t ip = dns_address(&h->settings);

	if (!ip)
		return; /* somebody else's */
	d = h->dns = xcalloc(1, sizeof *d);
	*d = (struct hand_dns){ .hand = h, .ip = ip, .udp = -1, .tcp = -1 };
	d->start_timer = evtimer_new(h->base, start_on_timer, d);
	d->listen_timer = evtimer_new(h->base, listen_on_timer, d);
	d->goodbye_timer = evtimer_new(h->base, goodbye_on_timer, d);
	formers_find(d);
	if (!d->nformer)
		listen_try(d); /* questions wait in the socket for the names */
	start(d);
}

void
hand_dns_close(struct hand *h, bool down)
{
	struct hand_dns *d = h->dns;
	cleanup_free char *path = NULL;

	if (!d)
		return;
	h->dns = NULL;
	if (down) {
		path = file_path(d);
		formers_signal(d, SIGKILL);
		unlink(path);
	}
	wire_free(d->wire);
	formers_forget(d);
	event_free(d->start_timer);
	event_free(d->listen_timer);
	event_free(d->goodbye_timer);
	if (d->udp >= 0) {
		close(d->udp);
		close(d->tcp);
	}
	free(d);
}
