/* clients.c -- TCP connections: new ones, one after the other, and long streams.
 *
 * clients load ADDRESS PORT FLIGHT: FLIGHT clients, each with a new connection a
 * request, until SIGTERM; then prints requests and failures.  A request has
 * failed unless an HTTP answer of status 200 came, whole, within 5 s.
 * clients beside ADDRESS:PORT ADDRESS:PORT BLOCKS N: BLOCKS times N connections to
 * each, in turns and from the first core; prints the median of each block: "first
 * MICROSECONDS", "second MICROSECONDS".  What disturbs the machine for a while
 * disturbs both, and only some blocks.
 * clients sink PORT: takes what comes, from one connection after the other.
 * clients stream ADDRESS:PORT ADDRESS:PORT BLOCKS MB: sends so much to each such sink, in
 * turns, until it has all; prints for each block "first MB/s", "second MB/s".
 */
#include <arpa/inet.h>
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static volatile sig_atomic_t ended;

struct tally {
	atomic_long sent, failed;
};

static void
on_term(int sig)
{
	(void)sig;
	ended = 1;
}

static double
now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static struct sockaddr_in
address(const char *ip, int port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };

	if (inet_pton(AF_INET, ip, &a.sin_addr) != 1) {
		fprintf(stderr, "clients: %s is no address\n", ip);
		exit(2);
	}
	return a;
}

static int
dial(const struct sockaddr_in *a)
{
	struct timeval patience = { .tv_sec = 5 };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
	if (connect(fd, (const struct sockaddr *)a, sizeof *a) == 0)
		return fd;
	close(fd);
	return -1;
}

/* "" when the answer is whole, else what was wrong. */
static const char *
ask(const struct sockaddr_in *a)
{
	static const char text[] = "GET / HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n";
	char in[4096], *body, *length;
	size_t n = 0;
	ssize_t got = 1;
	int fd = dial(a);

	if (fd < 0)
		return strerror(errno);
	if (send(fd, text, sizeof text - 1, MSG_NOSIGNAL) != (ssize_t)sizeof text - 1)
		got = -1;
	while (got > 0 && n < sizeof in - 1 &&
	       (got = recv(fd, in + n, sizeof in - 1 - n, 0)) > 0)
		n += (size_t)got;
	close(fd);
	if (got < 0)
		return strerror(errno);
	in[n] = 0;
	body = strstr(in, "\r\n\r\n");
	length = strcasestr(in, "content-length:");
	if (strncmp(in, "HTTP/1.", 7) || !strstr(in, " 200 ") || !body)
		return "no answer of status 200";
	if (length && strlen(body + 4) < strtoul(length + 15, NULL, 10))
		return "an answer cut short";
	return "";
}

static void
one_client(const struct sockaddr_in *a, struct tally *t)
{
	struct timespec pause = { .tv_nsec = 1000000 };

	while (!ended) {
		const char *wrong = ask(a);

		if (ended && *wrong) /* cut short by ourselves */
			break;
		t->sent++;
		if (*wrong) {
			t->failed++;
			fprintf(stderr, "clients: a request failed at %.3f ms: %s\n",
				now_us() / 1e3, wrong);
		}
		nanosleep(&pause, NULL);
	}
	_exit(0);
}

static int
load(char **argv)
{
	struct sockaddr_in a = address(argv[2], atoi(argv[3]));
	struct tally *t =
	    mmap(NULL, sizeof *t, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct sigaction term = { .sa_handler = on_term };
	int flight = atoi(argv[4]);
	pid_t pids[64];

	sigaction(SIGTERM, &term, NULL);
	for (int i = 0; i < flight && i < 64; i++)
		if ((pids[i] = fork()) == 0)
			one_client(&a, t);
	while (!ended)
		pause();
	for (int i = 0; i < flight && i < 64; i++)
		kill(pids[i], SIGTERM);
	while (wait(NULL) > 0)
		;
	printf("%ld %ld\n", t->sent, t->failed);
	return 0;
}

static int
compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* How long a connection took to be there; it is gone again when this returns. */
static double
once(const struct sockaddr_in *a)
{
	double began = now_us(), took;
	int fd = dial(a);

	took = now_us() - began;
	if (fd < 0) {
		fprintf(stderr, "clients: connect: %s\n", strerror(errno));
		exit(1);
	}
	/* its end is the server's business: no port stays in TIME_WAIT */
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &(struct linger){ 1, 0 }, sizeof(struct linger));
	close(fd);
	/* The server, on the same core, takes it from its queue. */
	nanosleep(&(struct timespec){ .tv_nsec = 1 }, NULL);
	return took;
}

static struct sockaddr_in
address_port(char *text)
{
	char *colon = strchr(text, ':');

	if (!colon) {
		fprintf(stderr, "clients: %s has no port\n", text);
		exit(2);
	}
	*colon = 0;
	return address(text, atoi(colon + 1));
}

static int
beside(char **argv)
{
	enum { MOST = 1000 };
	static double took[2][MOST];
	struct sockaddr_in to[2];
	int blocks = atoi(argv[4]), n = atoi(argv[5]);
	cpu_set_t first;

	CPU_ZERO(&first);
	CPU_SET(0, &first);
	sched_setaffinity(0, sizeof first, &first);
	if (n < 1 || n > MOST)
		return 2;
	for (int i = 0; i < 2; i++)
		to[i] = address_port(argv[2 + i]);
	for (int block = 0; block < blocks; block++) {
		/* a b, b a: each comes after either as often as the other */
		for (int i = 0; i < n; i++)
			for (int k = 0; k < 2; k++)
				took[(i + k) % 2][i] = once(&to[(i + k) % 2]);
		for (int k = 0; k < 2; k++) {
			qsort(took[k], n, sizeof took[k][0], compare);
			printf("%s %.3f\n", k ? "second" : "first", took[k][n / 2]);
		}
	}
	return 0;
}

static char piece[128 << 10];

static int
sink(char **argv)
{
	struct sockaddr_in a = address("0.0.0.0", atoi(argv[2]));
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &(int){ 1 }, sizeof(int));
	if (bind(listener, (struct sockaddr *)&a, sizeof a) < 0 || listen(listener, 8) < 0) {
		fprintf(stderr, "clients: sink: %s\n", strerror(errno));
		return 1;
	}
	for (;;) {
		int fd = accept(listener, NULL, NULL);

		while (fd >= 0 && read(fd, piece, sizeof piece) > 0)
			;
		close(fd);
	}
}

/* MB a second, until the other side has all and closes. */
static double
pour(const struct sockaddr_in *a, long mb)
{
	double began = now_us();
	long left = mb << 20;
	int fd = dial(a);

	while (fd >= 0 && left > 0) {
		ssize_t n = send(fd, piece, sizeof piece, MSG_NOSIGNAL);

		if (n < 0)
			break;
		left -= n;
	}
	if (fd < 0 || left > 0 || shutdown(fd, SHUT_WR) < 0 || read(fd, piece, 1) != 0) {
		fprintf(stderr, "clients: stream: %s\n", strerror(errno));
		exit(1);
	}
	close(fd);
	return (double)mb / ((now_us() - began) / 1e6);
}

static int
stream(char **argv)
{
	struct sockaddr_in to[2] = { address_port(argv[2]), address_port(argv[3]) };
	int blocks = atoi(argv[4]);
	double speed[2];

	for (int block = 0; block < blocks; block++) {
		for (int k = 0; k < 2; k++)
			speed[(block + k) % 2] = pour(&to[(block + k) % 2], atol(argv[5]));
		printf("first %.0f\nsecond %.0f\n", speed[0], speed[1]);
	}
	return 0;
}

int
main(int argc, char **argv)
{
	if (argc == 3 && !strcmp(argv[1], "sink"))
		return sink(argv);
	if (argc == 6 && !strcmp(argv[1], "stream"))
		return stream(argv);
	if (argc == 5 && !strcmp(argv[1], "load"))
		return load(argv);
	if (argc == 6 && !strcmp(argv[1], "beside"))
		return beside(argv);
	fprintf(stderr, "usage: clients load ADDRESS PORT FLIGHT\n"
			"       clients beside ADDRESS:PORT ADDRESS:PORT BLOCKS N\n"
			"       clients sink PORT\n"
			"       clients stream ADDRESS:PORT ADDRESS:PORT BLOCKS MB\n");
	return 2;
}
