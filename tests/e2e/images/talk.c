/* talk.c -- what the end-to-end tests run in pods, beside busybox.
 *
 *   talk tcp PORT...   answers every connection with "HOSTNAME CLIENT PORT\n"
 *   talk udp PORT      answers every datagram the same way
 *   talk tcp6 PORT..., talk udp6 PORT   the same, for clients of both families
 *   talk ask HOST PORT sends a datagram there and prints the answer; 1 when there is none
 *   talk grpc PORT     answers gRPC health checks: SERVING, or not when /tmp/sick is there, for
 *                      the service "" or "known"; what it does not know is NOT_FOUND
 *   talk eat MB        takes that much memory and touches it, then sleeps
 *   talk deaf          ignores SIGTERM and sleeps; any other word: sleeps, and ends at SIGTERM
 */
#include <arpa/inet.h>
#include <err.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MAX_PORTS = 16 };

union any {
	struct sockaddr sa;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

static int
listener(int family, int type, int port)
{
	union any at = { .sa.sa_family = (sa_family_t)family };
	int fd = socket(family, type | SOCK_CLOEXEC, 0), one = 1, none = 0;

	at.v4.sin_port = htons((uint16_t)port); /* and v6's */
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	if (family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &none, sizeof none);
	if (bind(fd, &at.sa, family == AF_INET6 ? sizeof at.v6 : sizeof at.v4) < 0)
		err(1, "bind port %d", port);
	if (type == SOCK_STREAM && listen(fd, 128) < 0)
		err(1, "listen");
	return fd;
}

static int
answer(char *out, size_t n, const union any *who, int port)
{
	char host[256] = "", ip[INET6_ADDRSTRLEN] = "?";
	const char *mapped = "::ffff:";

	gethostname(host, sizeof host - 1);
	if (who->sa.sa_family == AF_INET6)
		inet_ntop(AF_INET6, &who->v6.sin6_addr, ip, sizeof ip);
	else
		inet_ntop(AF_INET, &who->v4.sin_addr, ip, sizeof ip);
	return snprintf(out, n, "%s %s %d\n", host,
			strncmp(ip, mapped, strlen(mapped)) ? ip : ip + strlen(mapped), port);
}

static void
tcp(int family, int argc, char **argv)
{
	struct pollfd at[MAX_PORTS];
	char buf[512];

	if (argc > MAX_PORTS)
		errx(1, "at most %d ports", MAX_PORTS);
	for (int i = 0; i < argc; i++)
		at[i] =
		    (struct pollfd){ listener(family, SOCK_STREAM, atoi(argv[i])), POLLIN, 0 };
	while (poll(at, (nfds_t)argc, -1) >= 0)
		for (int i = 0; i < argc; i++) {
			union any who;
			socklen_t len = sizeof who;
			int fd;

			if (!at[i].revents)
				continue;
			fd = accept(at[i].fd, &who.sa, &len);
			if (fd < 0)
				continue;
			if (write(fd, buf,
				  (size_t)answer(buf, sizeof buf, &who, atoi(argv[i]))) < 0)
				warn("write");
			close(fd);
		}
}

static void
udp(int family, int port)
{
	int fd = listener(family, SOCK_DGRAM, port);
	union any who;
	socklen_t len = sizeof who;
	char buf[512];

	while (recvfrom(fd, buf, sizeof buf, 0, &who.sa, &len) >= 0) {
		sendto(fd, buf, (size_t)answer(buf, sizeof buf, &who, port), 0, &who.sa, len);
		len = sizeof who;
	}
}

static int
ask(const char *host, int port)
{
	int family = strchr(host, ':') ? AF_INET6 : AF_INET;
	union any at = { .sa.sa_family = (sa_family_t)family };
	int fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct pollfd p = { fd, POLLIN, 0 };
	char buf[512];
	ssize_t n;

	at.v4.sin_port = htons((uint16_t)port);
	if (inet_pton(family, host,
		      family == AF_INET6 ? (void *)&at.v6.sin6_addr
					 : (void *)&at.v4.sin_addr) != 1)
		errx(2, "%s is no address", host);
	if (connect(fd, &at.sa, family == AF_INET6 ? sizeof at.v6 : sizeof at.v4) < 0 ||
	    write(fd, "hi\n", 3) < 0)
		err(1, "ask");
	if (poll(&p, 1, 1000) < 1)
		errx(1, "no answer");
	n = read(fd, buf, sizeof buf);
	if (n < 0)
		err(1, "ask");
	return write(1, buf, (size_t)n) == n ? 0 : 1;
}

/* ---- gRPC's health protocol: as little of HTTP/2 as that takes ---- */

static int
full(int fd, void *at, size_t n)
{
	for (char *p = at; n > 0;) {
		ssize_t k = read(fd, p, n);

		if (k <= 0)
			return -1;
		p += k;
		n -= (size_t)k;
	}
	return 0;
}

static void
frame(int fd, int type, int flags, int stream, const void *body, size_t n)
{
	unsigned char head[9] = { 0,
				  (unsigned char)(n >> 8),
				  (unsigned char)n,
				  (unsigned char)type,
				  (unsigned char)flags,
				  0,
				  0,
				  0,
				  (unsigned char)stream };

	if (write(fd, head, 9) < 0 || (n && write(fd, body, n) < 0))
		warn("write");
}

/* A header that no table keeps: name and value as they are. */
static size_t
header(unsigned char *at, const char *name, const char *value)
{
	size_t n = strlen(name), v = strlen(value);

	at[0] = 0;
	at[1] = (unsigned char)n;
	memcpy(at + 2, name, n);
	at[2 + n] = (unsigned char)v;
	memcpy(at + 3 + n, value, v);
	return 3 + n + v;
}

static void
health(int fd, int stream, const char *service)
{
	unsigned char h[128] = { 0x88 }; /* :status 200 */
	unsigned char body[7] = { 0, 0, 0, 0, 2, 0x08, access("/tmp/sick", F_OK) ? 1 : 2 };
	size_t n = 1 + header(h + 1, "content-type", "application/grpc");
	int known = !*service || !strcmp(service, "known");

	frame(fd, 1, 4, stream, h, n);
	if (known)
		frame(fd, 0, 0, stream, body, sizeof body);
	n = header(h, "grpc-status", known ? "0" : "5");
	n += header(h + n, "grpc-message", known ? "" : "unknown service");
	frame(fd, 1, 5, stream, h, n);
}

static void
grpc_serve(int fd)
{
	unsigned char head[9], body[16384];
	char service[128] = "";

	if (full(fd, body, 24) < 0) /* the preface */
		return;
	frame(fd, 4, 0, 0, NULL, 0);
	while (full(fd, head, 9) == 0) {
		size_t n = (size_t)head[0] << 16 | (size_t)head[1] << 8 | head[2];

		if (n > sizeof body || full(fd, body, n) < 0)
			return;
		if (head[3] == 4 && !(head[4] & 1))
			frame(fd, 4, 1, 0, NULL, 0);
		if (head[3] == 0 && n > 7 && body[5] == 0x0a && body[6] < sizeof service)
			memcpy(service, body + 7, body[6]);
		if (head[3] == 0 && head[4] & 1)
			health(fd, head[8], service);
	}
}

static void
grpc(int port)
{
	int fd = listener(AF_INET, SOCK_STREAM, port);

	for (;;) {
		int one = accept(fd, NULL, NULL);

		if (one < 0)
			continue;
		grpc_serve(one);
		close(one);
	}
}

static void
eat(size_t mb)
{
	for (size_t i = 0; i < mb; i++) {
		char *p = malloc(1 << 20);

		if (!p)
			errx(1, "no memory after %zu MB", i);
		memset(p, 'x', 1 << 20);
	}
	printf("ate %zu MB\n", mb);
	fflush(stdout);
	pause();
}

int
main(int argc, char **argv)
{
	if (argc < 2)
		errx(2, "usage: talk tcp PORT... | udp PORT | ask HOST PORT | grpc PORT | eat "
			"MB | deaf");
	/* A container's first process gets no signal that it does not ask for. */
	signal(SIGTERM, strcmp(argv[1], "deaf") ? _exit : SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	if (!strcmp(argv[1], "tcp") || !strcmp(argv[1], "tcp6"))
		tcp(argv[1][3] ? AF_INET6 : AF_INET, argc - 2, argv + 2);
	else if ((!strcmp(argv[1], "udp") || !strcmp(argv[1], "udp6")) && argc == 3)
		udp(argv[1][3] ? AF_INET6 : AF_INET, atoi(argv[2]));
	else if (!strcmp(argv[1], "ask") && argc == 4)
		return ask(argv[2], atoi(argv[3]));
	else if (!strcmp(argv[1], "grpc") && argc == 3)
		grpc(atoi(argv[2]));
	else if (!strcmp(argv[1], "eat") && argc == 3)
		eat((size_t)atoi(argv[2]));
	else
		pause();
	return 0;
}
