/* api.c -- what the Kubernetes API takes, at kedge's socket.
 *
 * api writes SOCKET N: one client creates and deletes N ConfigMaps, one request after the
 * other over one connection; prints "MICROSECONDS a write".
 * api watches SOCKET N PID: N watches of ConfigMaps, then one is made; prints "spread MS", from
 * the request until the last watch has heard of it, five times, and "memory KB": what each took
 * of the process PID's memory (PSS).
 */
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define MAPS "/api/v1/namespaces/default/configmaps"

static void
die(const char *what)
{
	fprintf(stderr, "api: %s: %s\n", what, strerror(errno));
	exit(1);
}

static double
now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static int
dial(const char *path)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	struct timeval patience = { .tv_sec = 10 };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(a.sun_path, sizeof a.sun_path, "%s", path);
	if (fd < 0 || connect(fd, (struct sockaddr *)&a, sizeof a) < 0)
		die(path);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
	return fd;
}

/* Asks, and takes the whole answer, which says how long it is. */
static void
ask(int fd, const char *status, const char *fmt, ...)
{
	char text[1024], in[16384], *body = NULL, *length;
	size_t n = 0, need = sizeof in;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	if (send(fd, text, strlen(text), MSG_NOSIGNAL) != (ssize_t)strlen(text))
		die("send");
	while (n < need) {
		ssize_t got = recv(fd, in + n, sizeof in - 1 - n, 0);

		if (got <= 0)
			die("an answer");
		n += (size_t)got;
		in[n] = 0;
		if (!body && (body = strstr(in, "\r\n\r\n"))) {
			length = strcasestr(in, "content-length:");
			if (!length || strncmp(in + 9, status, 3) != 0) {
				fprintf(stderr, "api: %s\n", in);
				exit(1);
			}
			need = (size_t)(body + 4 - in) + strtoul(length + 15, NULL, 10);
		}
	}
}

static void
create(int fd, int i)
{
	char body[256];

	snprintf(body, sizeof body,
		 "{\"apiVersion\":\"v1\",\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"bench-"
		 "%d\"},"
		 "\"data\":{\"k\":\"v\"}}",
		 i);
	ask(fd, "201",
	    "POST " MAPS " HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n"
	    "Content-Length: %zu\r\n\r\n%s",
	    strlen(body), body);
}

static void
drop(int fd, int i)
{
	ask(fd, "200", "DELETE " MAPS "/bench-%d HTTP/1.1\r\nHost: bench\r\n\r\n", i);
}

static void
writes(const char *path, int n)
{
	int fd = dial(path);
	double from = now_us();

	for (int i = 0; i < n; i++)
		create(fd, i);
	for (int i = 0; i < n; i++)
		drop(fd, i);
	printf("%.1f\n", (now_us() - from) / (2.0 * n));
	close(fd);
}

static long
pss_kb(const char *pid)
{
	char path[64], line[256];
	long kb = -1;
	FILE *f;

	snprintf(path, sizeof path, "/proc/%s/smaps_rollup", pid);
	if (!(f = fopen(path, "r")))
		die(path);
	while (fgets(line, sizeof line, f))
		if (sscanf(line, "Pss: %ld", &kb) == 1)
			break;
	fclose(f);
	return kb;
}

/* What has come on each, until `n` of them had something, and then nothing for 0.2 s. */
static double
hear(int ep, int n, int quiet_ms)
{
	struct epoll_event e[64];
	double last = now_us();
	char in[8192];
	int got, heard = 0;

	while ((got = epoll_wait(ep, e, 64, heard < n ? 10000 : quiet_ms)) > 0)
		for (int i = 0; i < got; i++) {
			if (recv(e[i].data.fd, in, sizeof in, 0) <= 0)
				die("a watch");
			heard++;
			last = now_us();
		}
	if (heard < n) {
		fprintf(stderr, "api: %d of %d watches heard of it\n", heard, n);
		exit(1);
	}
	return last;
}

static void
watches(const char *path, int n, const char *pid)
{
	struct rlimit files = { (rlim_t)n + 64, (rlim_t)n + 64 };
	int fd = dial(path), ep = epoll_create1(EPOLL_CLOEXEC);
	long before;

	if (setrlimit(RLIMIT_NOFILE, &files) < 0)
		die("so many files");
	create(fd, 0); /* what grows once has grown */
	drop(fd, 0);
	before = pss_kb(pid);
	for (int i = 0; i < n; i++) {
		static const char text[] =
		    "GET " MAPS "?watch=1&resourceVersion=0 HTTP/1.1\r\nHost: bench\r\n\r\n";
		struct epoll_event e = { .events = EPOLLIN };

		e.data.fd = dial(path);
		if (epoll_ctl(ep, EPOLL_CTL_ADD, e.data.fd, &e) < 0 ||
		    send(e.data.fd, text, sizeof text - 1, MSG_NOSIGNAL) < 0)
			die("a watch");
	}
	hear(ep, n, 500);
	printf("memory %.2f\n", (double)(pss_kb(pid) - before) / n);
	for (int i = 0; i < 5; i++) {
		double from = now_us();

		create(fd, i);
		printf("spread %.2f\n", (hear(ep, n, 500) - from) / 1e3);
	}
	for (int i = 0; i < 5; i++)
		drop(fd, i);
}

int
main(int argc, char **argv)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc == 4 && !strcmp(argv[1], "writes"))
		writes(argv[2], atoi(argv[3]));
	else if (argc == 5 && !strcmp(argv[1], "watches"))
		watches(argv[2], atoi(argv[3]), argv[4]);
	else {
		fputs("usage: api writes SOCKET N | api watches SOCKET N PID\n", stderr);
		return 2;
	}
	return 0;
}
