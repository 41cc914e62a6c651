/* dns_worker.c -- see dns_worker.h. */
#include "dns_worker.h"
#include "../reconcile/base/arena.h"
#include "../reconcile/base/cleanup.h"
#include "../reconcile/base/error.h"
#include "../reconcile/base/log.h"
#include "../reconcile/base/now.h"
#include "../reconcile/schema.h"
#include "dns_pace.h"
#include "dns_tcp.h"
#include "files.h"
#include "loop.h"
#include "spawn.h"
#include "wire.h"
#include <arpa/inet.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>

enum {
	BATCH = 32, /* queries read, and answers written, by one call */
	TURNS = 8,  /* batches before others have their turn */
	ACCEPTS = 16,
	LOOK_MS = 5000,       /* between looks at the host's resolv.conf */
	LEAVE_MS = 5000,      /* longest wait for those who wait for an answer */
	LEAVE_ACCEPTS = 4096, /* connections that wait to be taken, as many as can */
	LEAVE_LOOK_MS = 20,
	LEAVE_BATCH_MS = 200, /* longest wait for one batch of them to be served */
	RESOLV_MAX = 64 << 10,
};
#define RESOLV "/etc/resolv.conf"

/* What one call reads and another writes. */
struct batch {
	struct mmsghdr in[BATCH], out[BATCH];
	struct iovec in_at[BATCH], out_at[BATCH];
	struct sockaddr_in from[BATCH];
	uint8_t query[BATCH][DNS_QUERY_MAX + 1], answer[BATCH][DNS_UDP_MAX];
};

struct server {
	struct event_base *base;
	struct wire *hand, *brain;
	struct arena arena; /* of bind */
	const struct dns_bind *bind;
	struct dns_table table;
	struct dns_cache *cache;
	struct dns_forward *forward;
	struct dns_tcps *tcps;
	int udp, tcp; /* -1: not yet */
	struct event *on_udp, *on_tcp, *on_term, *leave_timer;
	bool loaded, leaving;
	int backlog; /* leaving: connections that may still be taken; 0: no more */
	unsigned turn;
	struct dns_pace pace;
	unsigned asked;              /* questions that were read since it was asked */
	struct timespec resolv_time; /* of the host's file as it was read last */
	bool resolv_missed;          /* a server in it was none; its link may come yet */
	int64_t resolv_looked, leave_until, batch_until;
	struct batch *batch;
	uint8_t out[DNS_TCP_MAX];
};

/* ---- other servers ---- */

/* False: it is none. */
static bool
servers_add(struct dns_servers *list, const char *text, const char *own)
{
	struct dns_server x;

	if (!dns_server_read(text, &x))
		return false;
	if (list->n < DNS_SERVERS && strcmp(text, own) != 0)
		list->at[list->n++] = x;
	return true;
}

/* The host's own, as its other programs use them; a stub on loopback is as good. */
static void
resolv_read(struct server *s)
{
	struct dns_servers list = { .below.len = 1 };
	cleanup_buf struct buf text = { 0 };
	bool missed = false;
	char *line, *rest;

	if (file_read(RESOLV, RESOLV_MAX, &text, NULL) < 0)
		return;
	buf_addc(&text, '\n');
	for (rest = text.at; (line = strsep(&rest, "\n"));) {
		char *word = line + strspn(line, " \t"), *end;

		if (strncmp(word, "nameserver", 10) != 0 || !strchr(" \t", word[10]))
			continue;
		word += 10 + strspn(word + 10, " \t");
		end = word + strcspn(word, " \t#;");
		*end = 0;
		if (servers_add(&list, word, s->bind->address))
			continue;
		if (!s->resolv_missed)
			log_warn("names",
				 RESOLV ": nameserver %.60s is not asked: it is no address, or "
					"of a link that is not there",
				 word);
		missed = true;
	}
	s->resolv_missed = missed;
	dns_forward_servers(s->forward, &list);
}

/* A host that gets another network gets other servers. */
static void
resolv_look(struct server *s)
{
	int64_t now = monotonic_ms();
	struct stat st = { 0 };

	if (s->bind->upstreams.n || (s->resolv_looked && now - s->resolv_looked < LOOK_MS))
		return;
	s->resolv_looked = now;
	if (stat(RESOLV, &st) < 0 ||
	    (!s->resolv_missed && st.st_mtim.tv_sec == s->resolv_time.tv_sec &&
	     st.st_mtim.tv_nsec == s->resolv_time.tv_nsec))
		return;
	s->resolv_time = st.st_mtim;
	resolv_read(s);
}

static void
servers_configured(struct server *s)
{
	struct dns_servers list = { .below.len = 1 };

	for (size_t i = 0; i < s->bind->upstreams.n; i++)
		(void)servers_add(&list, s->bind->upstreams.at[i], s->bind->address);
	dns_forward_servers(s->forward, &list);
	for (size_t i = 0; i < s->bind->stubs.n; i++) {
		const struct dns_stub *stub = &s->bind->stubs.at[i];

		list.n = 0;
		if (!dns_name_read(stub->domain, &list.below))
			continue;
		for (size_t k = 0; k < stub->servers.n; k++)
			(void)servers_add(&list, stub->servers.at[k], s->bind->address);
		dns_forward_servers(s->forward, &list);
	}
}

/* ---- answers ---- */

static void
send_to(struct server *s, const struct dns_client *c, const uint8_t *msg, size_t n)
{
	if (c->tcp)
		dns_tcp_send(c->tcp, msg, n);
	else if (s->udp >= 0)
		(void)sendto(s->udp, msg, n, MSG_DONTWAIT | MSG_NOSIGNAL,
			     (const struct sockaddr *)&c->from, sizeof c->from);
}

/* Another server's answer, or none (n 0), for who asked.  The cluster may have changed
 * meanwhile, so the question is looked at once more. */
static void
on_answered(void *arg, const struct dns_client *c, const uint8_t *query, size_t query_n,
	    uint8_t *msg, size_t n)
{
	struct server *s = arg;
	struct dns_reply r;
	const uint8_t *out = s->out;

	dns_answer(&s->table, s->turn++, query, query_n, c->tcp != NULL, s->out, &r);
	if (r.outcome == DNS_SILENCE)
		return;
	if (n && r.outcome == DNS_ELSEWHERE) {
		r.len = dns_fit(&r, query, msg, n);
		out = msg;
	} else if (r.outcome != DNS_ANSWERED) {
		r.len = n ? dns_chase(&r, s->out, msg, n) : 0;
		if (!r.len)
			r.len = dns_answer_error(&r.query, query, DNS_SERVFAIL, s->out);
	}
	send_to(s, c, out, r.len);
}

/* True: the answer of r->len bytes is in `out`, to be sent. */
static bool
answer(struct server *s, const struct dns_client *c, const uint8_t *query, size_t n,
       uint8_t *out, struct dns_reply *r)
{
	dns_answer(&s->table, s->turn++, query, n, c->tcp != NULL, out, r);
	if (r->outcome == DNS_ELSEWHERE || r->outcome == DNS_CHASE) {
		resolv_look(s);
		/* An ExternalName's CNAME is ours, and true whoever could say more. */
		if (r->outcome == DNS_CHASE && !dns_forward_knows(s->forward, &r->name))
			return true;
		dns_forward_ask(s->forward, r, query, n, c);
	}
	return r->outcome == DNS_ANSWERED;
}

static void
on_tcp_query(void *arg, const struct dns_client *c, const uint8_t *query, size_t n)
{
	struct server *s = arg;
	struct dns_reply r;

	if (answer(s, c, query, n, s->out, &r))
		send_to(s, c, s->out, r.len);
}

static void
on_tcp_end(void *arg, const struct dns_tcp *c)
{
	struct server *s = arg;

	dns_forward_forget(s->forward, c);
}

static struct batch *
batch_new(void)
{
	struct batch *b = xcalloc(1, sizeof *b);

	for (int i = 0; i < BATCH; i++) {
		b->in_at[i] = (struct iovec){ b->query[i], sizeof b->query[i] };
		b->in[i].msg_hdr = (struct msghdr){ .msg_name = &b->from[i],
						    .msg_iov = &b->in_at[i],
						    .msg_iovlen = 1 };
		b->out[i].msg_hdr =
		    (struct msghdr){ .msg_iov = &b->out_at[i], .msg_iovlen = 1 };
	}
	return b;
}

/* One batch; how many queries it had. */
static int
batch_serve(struct server *s)
{
	struct batch *b = s->batch;
	int n, out = 0;

	for (int i = 0; i < BATCH; i++)
		b->in[i].msg_hdr.msg_namelen = sizeof b->from[i];
	n = recvmmsg(s->udp, b->in, BATCH, MSG_DONTWAIT, NULL);
	for (int i = 0; i < n; i++) {
		struct dns_client c = { .from = b->from[i] };
		struct dns_reply r;

		if (!answer(s, &c, b->query[i], b->in[i].msg_len, b->answer[out], &r))
			continue;
		b->out_at[out] = (struct iovec){ b->answer[out], r.len };
		b->out[out].msg_hdr.msg_name = &b->from[i];
		b->out[out].msg_hdr.msg_namelen = sizeof b->from[i];
		out++;
	}
	/* Who does not take his answer does not keep the next from theirs. */
	for (int sent = 0; sent < out;) {
		int k = sendmmsg(s->udp, b->out + sent, (unsigned)(out - sent), MSG_DONTWAIT);

		sent += k > 0 ? k : 1;
	}
	return n;
}

/* The one sleep of this loop: a tenth of a millisecond, while so many ask that they would wait
 * for each other.  A timer of the loop instead would cost more than it saves. */
static void
gather(struct server *s)
{
	bool whole = s->asked >= BATCH; /* a call's worth gathers by itself */
	struct timespec t;
	unsigned pause;

	clock_gettime(CLOCK_MONOTONIC, &t);
	pause = dns_pace(&s->pace, t.tv_sec * INT64_C(1000000) + t.tv_nsec / 1000, s->asked);
	s->asked = 0;
	if (pause && !whole)
		(void)nanosleep(&(struct timespec){ .tv_nsec = 1000L * pause }, NULL);
}

static void
on_udp(evutil_socket_t fd, short what, void *arg)
{
	struct server *s = arg;
	int n = BATCH;

	(void)fd;
	(void)what;
	gather(s);
	for (int i = 0; i < TURNS && n == BATCH; i++) {
		n = batch_serve(s);
		s->asked += n > 0 ? (unsigned)n : 0;
	}
}

/* A batch of those that wait; how many there were. */
static int
accept_batch(struct server *s)
{
	for (int i = 0; i < ACCEPTS; i++) {
		struct sockaddr_in from;
		socklen_t len = sizeof from;
		int c = accept4(s->tcp, (struct sockaddr *)&from, &len,
				SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (c < 0)
			return i;
		dns_tcps_add(s->tcps, c, &from);
	}
	return ACCEPTS;
}

static void
on_tcp(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)accept_batch(arg);
}

/* Nobody is answered before all names are known: NXDOMAIN would be believed. */
static void
listen_begin(struct server *s)
{
	if (!s->loaded || s->udp < 0 || s->on_udp)
		return;
	s->on_udp = event_new(s->base, s->udp, EV_READ | EV_PERSIST, on_udp, s);
	s->on_tcp = event_new(s->base, s->tcp, EV_READ | EV_PERSIST, on_tcp, s);
	event_add(s->on_udp, NULL);
	event_add(s->on_tcp, NULL);
}

static void
listen_end(struct server *s)
{
	if (s->on_udp) {
		event_free(s->on_udp);
		event_free(s->on_tcp);
	}
	s->on_udp = s->on_tcp = NULL;
	if (s->udp >= 0) {
		close(s->udp);
		close(s->tcp);
	}
	s->udp = s->tcp = -1;
}

/* ---- the brain ---- */

static void
hear_put(struct server *s, const char *key, const char *lines)
{
	cleanup_error struct error *e = NULL;

	if (dns_table_put(&s->table, key, lines, &e) < 0)
		log_err("names", "%s", error_text(e));
}

static void
on_brain(void *arg, struct message *m)
{
	struct server *s = arg;
	char *key = strchr(m->line, ' ');

	if (key)
		*key++ = 0;
	if (!strcmp(m->line, "begin")) {
		dns_table_begin(&s->table);
	} else if (!strcmp(m->line, "put") && key) {
		hear_put(s, key, m->body);
	} else if (!strcmp(m->line, "drop") && key) {
		dns_table_drop(&s->table, key);
	} else if (!strcmp(m->line, "end")) {
		dns_table_end(&s->table);
		if (!s->loaded && s->hand)
			(void)wire_send(s->hand, "loaded", NULL, NULL, 0, NULL);
		s->loaded = true;
		listen_begin(s);
	}
}

static void
on_brain_end(void *arg, const char *why)
{
	struct server *s = arg;

	(void)why;
	wire_free(s->brain);
	s->brain = NULL; /* the next one comes through the hand */
}

/* ---- the hand ---- */

static void
hear_bind(struct server *s, const struct message *m)
{
	struct complaints said = { .arena = &s->arena };
	const struct tree *t = json_read(m->body, m->body_len, &s->arena, &said);
	const struct dns_bind *b =
	    t ? schema_decode(dns_bind_kind(), t, SCHEMA_TRUSTED, &s->arena, &said) : NULL;
	struct dns_name zone;
	uint64_t seed;

	if (s->bind || !b || said.errors || !dns_name_read(b->zone, &zone) ||
	    getrandom(&seed, sizeof seed, 0) != sizeof seed) {
		log_err("bind", "unreadable order");
		exit(2);
	}
	s->bind = b;
	dns_table_init(&s->table, &zone, (uint32_t)b->ttl, seed);
	for (size_t i = 0; i < b->ranges.n && i < DNS_RANGES; i++)
		(void)addr_range_read(b->ranges.at[i], &s->table.ranges[i]);
	s->cache = dns_cache_new((size_t)b->cacheBytes, seed);
	s->forward = dns_forward_new(s->base, s->cache, on_answered, s);
	servers_configured(s);
	resolv_look(s);
}

static void
on_hand(void *arg, struct message *m)
{
	struct server *s = arg;

	if (!strcmp(m->line, "bind")) {
		hear_bind(s, m);
	} else if (!s->bind) {
		return;
	} else if (!strcmp(m->line, "sockets") && m->nfds == 2) {
		listen_end(s);
		s->udp = steal_fd(&m->fds[0]);
		s->tcp = steal_fd(&m->fds[1]);
		listen_begin(s);
	} else if (!strcmp(m->line, "brain") && m->nfds == 1) {
		wire_free(s->brain);
		(void)fcntl(m->fds[0], F_SETFL, O_NONBLOCK);
		s->brain = wire_new(s->base, steal_fd(&m->fds[0]), on_brain, on_brain_end, s);
	}
}

/* Pods' names outlive kedged, as pods do; who never answered anybody is of no use. */
static void
on_hand_end(void *arg, const char *why)
{
	struct server *s = arg;

	(void)why;
	wire_free(s->hand);
	s->hand = NULL;
	if (!s->on_udp)
		event_base_loopbreak(s->base);
}

/* ---- the end ---- */

static void
backlog_end(struct server *s)
{
	s->backlog = 0;
	close(s->tcp);
	s->tcp = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static void
on_leave(evutil_socket_t fd, short what, void *arg)
{
	struct server *s = arg;
	bool idle = dns_tcps_idle(s->tcps) && (!s->forward || dns_forward_idle(s->forward));

	(void)fd;
	(void)what;
	/* Batch by batch, for each takes the place of one before: those are served first. */
	if (s->backlog && (idle || monotonic_ms() >= s->batch_until)) {
		s->batch_until = monotonic_ms() + LEAVE_BATCH_MS;
		s->backlog -= ACCEPTS;
		if (accept_batch(s) < ACCEPTS || s->backlog <= 0)
			backlog_end(s);
		idle = false;
	}
	if (monotonic_ms() >= s->leave_until || !s->forward || (!s->backlog && idle))
		event_base_loopbreak(s->base);
	else
		timer_arm(s->leave_timer, LEAVE_LOOK_MS);
}

/* Another one listens by now, on sockets of its own. */
static void
on_term(evutil_socket_t fd, short what, void *arg)
{
	const struct sockaddr_in nobody = { .sin_family = AF_INET,
					    .sin_addr = { htonl(INADDR_LOOPBACK) },
					    .sin_port = htons(9) };
	struct server *s = arg;
	int udp = s->udp;

	(void)fd;
	(void)what;
	if (s->leaving || !s->on_udp) {
		event_base_loopbreak(s->base);
		return;
	}
	s->leaving = true;
	/* From here on nothing new comes in; those who wait for others still get theirs. */
	(void)connect(udp, (const struct sockaddr *)&nobody, sizeof nobody);
	while (s->loaded && batch_serve(s) > 0)
		;
	event_del(s->on_udp);
	event_del(s->on_tcp);
	s->backlog = LEAVE_ACCEPTS;
	s->leave_until = monotonic_ms() + LEAVE_MS;
	s->batch_until = monotonic_ms() + LEAVE_BATCH_MS;
	timer_arm(s->leave_timer, LEAVE_LOOK_MS); /* those just taken come first */
}

static void
wall_in(void)
{
	static const char *const readable[] = { "/etc",
						"/run/systemd/resolve",
						"/run/NetworkManager",
						"/run/resolvconf",
						"/dev/urandom",
						NULL };
	static const char *const writable[] = { NULL };
	struct rlimit files;

	prctl(PR_SET_DUMPABLE, 0);
	/* a socket for each question under way, and one for each connection */
	if (!getrlimit(RLIMIT_NOFILE, &files)) {
		files.rlim_cur = files.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &files);
	}
	sandbox_enter("dns", readable, writable);
}

int
dns_worker(int fd)
{
	struct server *s = xcalloc(1, sizeof *s);

	log_role("dns");
	signal(SIGPIPE, SIG_IGN);
	signal(SIGINT, SIG_IGN);     /* the terminal's ^C is for the hand */
	prctl(PR_SET_TIMERSLACK, 1); /* else gather() may sleep half as long again */
	(void)fcntl(fd, F_SETFL, O_NONBLOCK);
	(void)fcntl(fd, F_SETFD, FD_CLOEXEC);
	s->udp = s->tcp = -1;
	s->base = event_base_new();
	s->batch = batch_new();
	s->tcps = dns_tcps_new(s->base, on_tcp_query, on_tcp_end, s);
	s->leave_timer = evtimer_new(s->base, on_leave, s);
	s->on_term = evsignal_new(s->base, SIGTERM, on_term, s);
	event_add(s->on_term, NULL);
	wall_in();
	s->hand = wire_new(s->base, fd, on_hand, on_hand_end, s);
	event_base_dispatch(s->base);
	return 0; /* all of ours goes with us */
}
