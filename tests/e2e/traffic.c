/* traffic.c -- what a service's clients send, of three kinds at once, until SIGTERM.
 *
 * traffic IP TCP-PORT UDP-PORT: new connections (one request each), connections kept alive
 * (a request every 10 ms, a new one only after an answer that said "Connection: close"),
 * datagrams of a socket that stays and of fresh ones.  As every client over UDP, it asks again
 * when no answer came within a second: one may have been on its way from a pod whose flows
 * were just given to others.  Prints one line a kind at the end:
 * "new N FAILED", "kept N FAILED", "datagrams N FAILED".  A request has failed when no whole
 * answer came within 5 s (of a datagram: in three tries): refused, reset, cut short, or
 * nothing; what was wrong goes to standard error.
 */
#include <arpa/inet.h>
#include <err.h>
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
	NEW,
	KEPT,
	DATAGRAMS,
	KINDS,
	EACH = 2,
	TRIES = 3,
	PAUSE_NS = 4000000,
	KEPT_NS = 10000000
};

static const char *const kinds[KINDS] = { "new", "kept", "datagrams" };
static struct tally {
	atomic_long sent, failed;
} * tallies;
static struct sockaddr_in tcp, udp;

static volatile sig_atomic_t ended;

static void
on_term(int sig)
{
	(void)sig;
	ended = 1;
}

static int
dial(int type, const struct sockaddr_in *to)
{
	struct timeval patience = { .tv_sec = type == SOCK_DGRAM ? 1 : 5 };
	int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);

	if (fd < 0)
		err(2, "socket");
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
	if (connect(fd, (const struct sockaddr *)to, sizeof *to) == 0)
		return fd;
	close(fd);
	return -1;
}

/* One answer by its Content-Length; false with *why when it did not come whole. */
static bool
answer_read(int fd, bool *closes, const char **why)
{
	char in[4096], *body, *length;
	size_t n = 0;
	ssize_t got;

	while (n < sizeof in - 1) {
		got = recv(fd, in + n, sizeof in - 1 - n, 0);
		if (got <= 0) {
			*why = got < 0 ? strerror(errno)
			       : n     ? "cut short"
				       : "closed unanswered";
			return false;
		}
		n += (size_t)got;
		in[n] = 0;
		body = strstr(in, "\r\n\r\n");
		length = strcasestr(in, "content-length:");
		if (!body || !length ||
		    n < (size_t)(body + 4 - in) + strtoul(length + 15, NULL, 10))
			continue;
		*closes = strcasestr(in, "connection: close") != NULL;
		*why = "no 200";
		return !strncmp(in, "HTTP/1.1 200 ", 13);
	}
	*why = "an answer without end";
	return false;
}

static bool
ask(int fd, bool keep, bool *closes, const char **why)
{
	char text[128];
	int n = snprintf(text, sizeof text, "GET / HTTP/1.1\r\nHost: web\r\n%s\r\n",
			 keep ? "" : "Connection: close\r\n");

	if (send(fd, text, (size_t)n, MSG_NOSIGNAL) != n) {
		*why = strerror(errno);
		return false;
	}
	return answer_read(fd, closes, why);
}

/* *fd: of the connection, or -1; stays open while it is kept. */
static bool
one_request(int *fd, bool keep, const char **why)
{
	bool closes = true, good;

	if (*fd < 0 && (*fd = dial(SOCK_STREAM, &tcp)) < 0) {
		*why = strerror(errno);
		return false;
	}
	good = ask(*fd, keep, &closes, why);
	if (!good || closes || !keep) {
		close(*fd);
		*fd = -1;
	}
	return good;
}

static bool
one_datagram(int *fd, bool keep, const char **why)
{
	char in[512];
	bool good = false;

	if (*fd < 0 && (*fd = dial(SOCK_DGRAM, &udp)) < 0) {
		*why = strerror(errno);
		return false;
	}
	for (int tries = 0; tries < TRIES && !good; tries++)
		good = send(*fd, "?", 1, 0) == 1 && recv(*fd, in, sizeof in, 0) > 0;
	*why = strerror(errno);
	if (!good || !keep) {
		close(*fd);
		*fd = -1;
	}
	return good;
}

static void
client(int kind, bool keep)
{
	struct timespec pause = { .tv_nsec = kind == KEPT ? KEPT_NS : PAUSE_NS };
	const char *why = "";
	int fd = -1;

	while (!ended) {
		bool good = kind == DATAGRAMS ? one_datagram(&fd, keep, &why)
					      : one_request(&fd, kind == KEPT, &why);

		if (ended && !good) /* cut short by ourselves */
			break;
		tallies[kind].sent++;
		if (!good) {
			struct timespec t;

			clock_gettime(CLOCK_REALTIME, &t);
			tallies[kind].failed++;
			fprintf(stderr, "traffic: %s: %s at %ld.%03ld\n", kinds[kind], why,
				(long)t.tv_sec, t.tv_nsec / 1000000);
		}
		nanosleep(&pause, NULL);
	}
	_exit(0);
}

int
main(int argc, char **argv)
{
	struct sigaction term = { .sa_handler = on_term };
	pid_t pids[KINDS * EACH];
	int n = 0;

	if (argc != 4 || inet_pton(AF_INET, argv[1], &tcp.sin_addr) != 1)
		errx(2, "usage: traffic IP TCP-PORT UDP-PORT");
	tcp.sin_family = AF_INET;
	udp = tcp;
	tcp.sin_port = htons((uint16_t)atoi(argv[2]));
	udp.sin_port = htons((uint16_t)atoi(argv[3]));
	tallies = mmap(NULL, KINDS * sizeof *tallies, PROT_READ | PROT_WRITE,
		       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (tallies == MAP_FAILED)
		err(2, "mmap");
	sigaction(SIGTERM, &term, NULL);
	for (int kind = 0; kind < KINDS; kind++)
		for (int i = 0; i < EACH; i++)
			if ((pids[n++] = fork()) == 0)
				client(kind, i % 2);
	while (!ended)
		pause();
	for (int i = 0; i < n; i++)
		kill(pids[i], SIGTERM);
	for (int i = 0; i < n; i++)
		waitpid(pids[i], NULL, 0);
	for (int kind = 0; kind < KINDS; kind++)
		printf("%s %ld %ld\n", kinds[kind], (long)tallies[kind].sent,
		       (long)tallies[kind].failed);
	return 0;
}
