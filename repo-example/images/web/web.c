/* web.c -- the smallest web server worth deploying.
 *
 * Answers "HOSTNAME VERSION" on every path, "ok" on /healthz.  One epoll loop,
 * no threads, no libraries.  Told to stop (SIGTERM) it loses no request: what
 * waits in the accept queue is still taken, what is open is still answered, and
 * only then it leaves.
 *
 *   PORT      where to listen, 8080
 *   VERSION   what to say, "dev"
 *   GREETING  a word put after it, none
 *   UNREADY   when set, /healthz answers 503
 *   SLOW_MS   each answer takes that long, 0
 */
#include <err.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { LINGER_MS = 1000, IDLE_MS = 60000, TICK_MS = 100, MAX_REQUEST = 8192 };

/* One connection.  It is reading a request, or holding an answer back
 * (SLOW_MS), or writing one. */
struct conn {
	struct conn *prev, *next;
	int fd;
	long long seen, due; /* ms: last heard from; when to answer, 0: nothing to answer */
	bool close_after;
	size_t nin, nout, sent;
	char in[MAX_REQUEST], out[768];
};

struct server {
	int epoll, listener, signals;
	bool stopping;
	int slow_ms;
	struct conn *conns;
	char host[256];
	const char *version, *greeting;
	bool unready;
};

static const char *
env(const char *name, const char *otherwise)
{
	return getenv(name) ? getenv(name) : otherwise;
}

static long long
now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000LL + t.tv_nsec / 1000000;
}

static void
watch(struct server *s, int fd, unsigned events, void *who, int op)
{
	struct epoll_event ev = { .events = events, .data.ptr = who };

	if (epoll_ctl(s->epoll, op, fd, &ev))
		err(1, "epoll_ctl");
}

static void
conn_drop(struct server *s, struct conn *c)
{
	if (c->prev)
		c->prev->next = c->next;
	else
		s->conns = c->next;
	if (c->next)
		c->next->prev = c->prev;
	close(c->fd);
	free(c);
}

/* Takes all that the kernel has queued; false when there is nothing left. */
static void
accept_all(struct server *s)
{
	int fd, one = 1;

	while ((fd = accept4(s->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
		struct conn *c = calloc(1, sizeof *c);

		if (!c) {
			close(fd);
			continue;
		}
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
		c->fd = fd;
		c->seen = now_ms();
		c->next = s->conns;
		if (c->next)
			c->next->prev = c;
		s->conns = c;
		watch(s, fd, EPOLLIN, c, EPOLL_CTL_ADD);
	}
}

static void
answer_write(struct server *s, struct conn *c)
{
	char body[512];
	const char *status = "200 OK";
	bool health = !strncmp(c->in, "GET /healthz", 12);
	int n;

	if (health && s->unready)
		status = "503 Service Unavailable";
	if (health)
		n = snprintf(body, sizeof body, "%s\n", s->unready ? "not ready" : "ok");
	else
		n = snprintf(body, sizeof body, "%.200s %.100s%s%.100s\n", s->host, s->version,
			     *s->greeting ? " " : "", s->greeting);
	c->nout = snprintf(c->out, sizeof c->out,
			   "HTTP/1.1 %s\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n"
			   "Connection: %s\r\n\r\n%s",
			   status, n, c->close_after ? "close" : "keep-alive",
			   strncmp(c->in, "HEAD ", 5) ? body : "");
	c->sent = 0;
}

/* How long the first request in c->in is; 0 while it is not whole. */
static size_t
request_end(const struct conn *c)
{
	const char *end = memmem(c->in, c->nin, "\r\n\r\n", 4);

	return end ? (size_t)(end - c->in) + 4 : 0;
}

static bool conn_write(struct server *, struct conn *);

/* Answers what has been read, once its time has come; false when c is gone. */
static bool
conn_answer(struct server *s, struct conn *c)
{
	size_t end = request_end(c);

	if (!end || c->nout)
		return true;
	if (s->slow_ms && !c->due)
		c->due = now_ms() + s->slow_ms;
	if (c->due > now_ms())
		return true;
	c->due = 0;
	c->in[end - 1] = 0;
	c->close_after = s->stopping ||
			 (strncmp(c->in, "GET ", 4) && strncmp(c->in, "HEAD ", 5)) ||
			 strstr(c->in, "HTTP/1.0") || strcasestr(c->in, "\nconnection: close");
	answer_write(s, c);
	memmove(c->in, c->in + end, c->nin - end);
	c->nin -= end;
	return conn_write(s, c);
}

static bool
conn_write(struct server *s, struct conn *c)
{
	while (c->sent < c->nout) {
		ssize_t n = send(c->fd, c->out + c->sent, c->nout - c->sent, MSG_NOSIGNAL);

		if (n < 0 && errno == EAGAIN)
			return watch(s, c->fd, EPOLLOUT, c, EPOLL_CTL_MOD), true;
		if (n < 0)
			return conn_drop(s, c), false;
		c->sent += n;
	}
	c->nout = c->sent = 0;
	c->seen = now_ms();
	if (c->close_after)
		return conn_drop(s, c), false;
	watch(s, c->fd, EPOLLIN, c, EPOLL_CTL_MOD);
	return conn_answer(s, c); /* the next one may be here already */
}

static void
conn_read(struct server *s, struct conn *c)
{
	ssize_t n = recv(c->fd, c->in + c->nin, sizeof c->in - c->nin, 0);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0 || (c->nin + n == sizeof c->in && !request_end(c))) {
		conn_drop(s, c);
		return;
	}
	c->nin += n;
	c->seen = now_ms();
	conn_answer(s, c);
}

/* Has it said something that is not read yet? */
static bool
has_said(const struct conn *c)
{
	char b;

	return recv(c->fd, &b, 1, MSG_PEEK | MSG_DONTWAIT) == 1;
}

/* Answers what was held back; lets go of who has been silent too long, and not of those whom
 * we did not hear while the machine was busy with others. */
static void
tick(struct server *s)
{
	long long now = now_ms(), patience = s->stopping ? LINGER_MS : IDLE_MS;

	for (struct conn *c = s->conns, *next; c; c = next) {
		next = c->next;
		if (c->due) {
			if (c->due <= now)
				conn_answer(s, c);
		} else if (now - c->seen > patience && !has_said(c)) {
			conn_drop(s, c);
		}
	}
}

/* The queue is emptied before the door is shut: what is in it was promised. */
static void
stop(struct server *s)
{
	if (s->stopping)
		return;
	s->stopping = true;
	accept_all(s);
	close(s->listener);
	s->listener = -1;
}

/* A socket there, or -1: the host may have no IPv6. */
static int
server_bind(const struct sockaddr *at, socklen_t len)
{
	int fd = socket(at->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int one = 1, zero = 0;

	if (fd < 0)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	if (at->sa_family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof zero);
	if (bind(fd, at, len) == 0)
		return fd;
	close(fd);
	return -1;
}

static void
server_open(struct server *s)
{
	struct sockaddr_in6 all = { .sin6_family = AF_INET6 };
	struct sockaddr_in four = { .sin_family = AF_INET };
	int port = atoi(env("PORT", "8080"));
	struct rlimit files;
	sigset_t set;

	if (!getrlimit(RLIMIT_NOFILE, &files)) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	gethostname(s->host, sizeof s->host - 1);
	s->version = env("VERSION", "dev");
	s->greeting = env("GREETING", "");
	s->unready = getenv("UNREADY") != NULL;
	s->slow_ms = atoi(env("SLOW_MS", "0"));
	all.sin6_port = four.sin_port = htons(port);
	s->listener = server_bind((void *)&all, sizeof all); /* of both families */
	if (s->listener < 0)
		s->listener = server_bind((void *)&four, sizeof four);
	if (s->listener < 0 || listen(s->listener, SOMAXCONN))
		err(1, "listen");
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_BLOCK, &set, NULL);
	s->signals = signalfd(-1, &set, SFD_CLOEXEC);
	s->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (s->signals < 0 || s->epoll < 0)
		err(1, "epoll");
	watch(s, s->listener, EPOLLIN, &s->listener, EPOLL_CTL_ADD);
	watch(s, s->signals, EPOLLIN, &s->signals, EPOLL_CTL_ADD);
	printf("web: %s %s listens on port %d\n", s->host, s->version, port);
	fflush(stdout);
}

int
main(void)
{
	struct server s = { 0 };
	long long ticked = 0;

	server_open(&s);
	while (!s.stopping || s.conns) {
		struct epoll_event ev;

		/* Nothing open: sleeps until something comes, and costs nothing. */
		if (epoll_wait(s.epoll, &ev, 1, s.conns ? TICK_MS : -1) == 1) {
			if (ev.data.ptr == &s.listener)
				accept_all(&s);
			else if (ev.data.ptr == &s.signals)
				stop(&s);
			else if (ev.events & EPOLLOUT)
				conn_write(&s, ev.data.ptr);
			else
				conn_read(&s, ev.data.ptr);
		}
		if (now_ms() - ticked >= TICK_MS) {
			ticked = now_ms();
			tick(&s);
		}
	}
	printf("web: %s leaves, nothing open\n", s.host);
	return 0;
}
