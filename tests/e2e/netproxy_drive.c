/* netproxy_drive.c -- netproxy.h as a line protocol, for netproxy*.bats.
 *
 * One command a line on stdin, one line of answer a command on stdout: "ok ..."
 * or "error: ...".  `-p PATH` names another iptables-restore, `-b` another bridge;
 * `-n` has nftables translate; `-t SECONDS` is what that may take; `-6` gives pods and services
 * IPv6 as well.
 */
#include "netproxy/netproxy.h"
#include "reconcile/base/buf.h"
#include "reconcile/base/error.h"
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static struct np_config config = { .bridge = "kedge0",
				   .pods.net = 0x0a2a0000,
				   .pods.bits = 16,
				   .svcs.net = 0x0a2b0000,
				   .svcs.bits = 16 };
static struct np *np;

#define ARGS 4200

static double
now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1e3 + t.tv_nsec / 1e6;
}

static addr
ip_of(const char *text)
{
	addr a = 0;

	if (!addr_read(text, &a) && strcmp(text, "::") != 0) {
		fprintf(stderr, "%s is no address\n", text);
		exit(2);
	}
	return a;
}

/* "10.42.0.2:80", "[fd42::a2a:2]:80", with ":away" behind. */
static struct np_endpoint
end_of(char *text)
{
	char *away = strstr(text, ":away"), *colon;

	if (away)
		*away = 0;
	colon = strrchr(text, ':');
	*colon = 0;
	if (*text == '[')
		*strchr(++text, ']') = 0;
	return (struct np_endpoint){ ip_of(text), atoi(colon + 1), away };
}

static int
do_open(char **arg, struct error **e)
{
	(void)arg;
	np_close(np);
	np = NULL;
	if (np_open(&config, &np, e) < 0)
		return -1;
	printf("ok %s\n", np_variant(np));
	return 0;
}

static int
do_close(char **arg, struct error **e)
{
	(void)arg;
	(void)e;
	np_close(np);
	np = NULL;
	puts("ok");
	return 0;
}

static int
do_plug(char **arg, struct error **e)
{
	int ns = open(arg[1], O_RDONLY | O_CLOEXEC);
	double t = now_ms();
	int rc;

	if (ns < 0)
		return fail_sys(e, "%s", arg[1]);
	rc = np_plug(np, ns, ip_of(arg[2]), e);
	close(ns);
	if (!rc)
		printf("ok %.2f ms\n", now_ms() - t);
	return rc;
}

static int
do_unplug(char **arg, struct error **e)
{
	double t = now_ms();

	if (np_unplug(np, ip_of(arg[1]), e) < 0)
		return -1;
	printf("ok %.2f ms\n", now_ms() - t);
	return 0;
}

/* A word of `set` that is no endpoint. */
static bool
set_option(struct np_service *s, char *word)
{
	static addr outer[8];
	static struct addr_range sources[8];
	char *x = strchr(word, '=');

	if (!strcmp(word, "inside")) {
		s->local_inside = true;
		return true;
	}
	if (!x)
		return false;
	*x++ = 0;
	s->outer = outer;
	s->sources = sources;
	if (!strcmp(word, "outer")) {
		outer[s->nouter++] = ip_of(x);
	} else if (!strcmp(word, "balancer")) {
		s->balancer = ip_of(x);
	} else if (!strcmp(word, "at")) {
		s->node_ip = ip_of(x);
	} else if (!strcmp(word, "health")) {
		s->health_port = atoi(x);
	} else if (!strcmp(word, "source")) {
		(void)addr_range_read(x, &sources[s->nsources++]);
	}
	return true;
}

/* set ID VIP tcp|udp|sctp PORT NODEPORT AFFINITY LOCAL [OPTION=...]... [IP:PORT[:away]]... */
static int
do_set(char **arg, struct error **e)
{
	static struct np_endpoint at[ARGS];
	struct np_service s = { .id = arg[1],
				.v6 = strchr(arg[2], ':'),
				.vip = ip_of(arg[2]),
				.proto = !strcmp(arg[3], "udp")    ? IPPROTO_UDP
					 : !strcmp(arg[3], "sctp") ? IPPROTO_SCTP
								   : IPPROTO_TCP,
				.port = atoi(arg[4]),
				.node_port = atoi(arg[5]),
				.affinity_s = atoi(arg[6]),
				.local_only = atoi(arg[7]),
				.endpoints = at };

	for (arg += 8; *arg; arg++) {
		if (!set_option(&s, *arg))
			at[s.n++] = end_of(*arg);
	}
	if (np_set(np, &s, e) < 0)
		return -1;
	puts("ok");
	return 0;
}

/* many N IP:PORT... -- services fill/0.. with addresses from 10.43.16.0 on */
static int
do_many(char **arg, struct error **e)
{
	struct np_endpoint at[16];
	size_t n = 0;

	for (char **end = arg + 2; *end && n < 16; end++)
		at[n++] = end_of(*end);
	for (int i = 0; i < atoi(arg[1]); i++) {
		char id[32];
		struct np_service s = { .id = id,
					.vip = 0x0a2b1000 + i,
					.proto = IPPROTO_TCP,
					.port = 80,
					.endpoints = at,
					.n = n };

		snprintf(id, sizeof id, "fill/%d", i);
		if (np_set(np, &s, e) < 0)
			return -1;
	}
	puts("ok");
	return 0;
}

static int
do_drop(char **arg, struct error **e)
{
	(void)e;
	np_drop(np, arg[1]);
	puts("ok");
	return 0;
}

static int
commit(struct error **e)
{
	int more;

	if (np_commit(np, e) < 0)
		return -1;
	do {
		struct pollfd p = { np_fd(np), POLLIN, 0 };

		if (poll(&p, 1, 60000) != 1)
			return fail(e, WHY_TIMEOUT, "no end after 60 s");
		more = np_commit_end(np, e);
	} while (more > 0);
	return more;
}

static int
do_commit(char **arg, struct error **e)
{
	double t = now_ms();
	struct np_wrote w;

	(void)arg;
	if (commit(e) < 0)
		return -1;
	w = np_wrote(np);
	printf("ok chains=%u rules=%u removed=%u whole=%d elements=%u ms=%.1f\n", w.chains,
	       w.rules, w.removed, w.whole, w.elements, now_ms() - t);
	return 0;
}

static int
do_check(char **arg, struct error **e)
{
	double t = now_ms();
	bool intact;

	(void)arg;
	if (np_check(np, &intact, e) < 0)
		return -1;
	printf("ok %s %.3f ms\n", intact ? "intact" : "broken", now_ms() - t);
	return 0;
}

static int
do_flows(char **arg, struct error **e)
{
	unsigned n;

	if (np_drain(np, ip_of(arg[1]), &n, e) < 0)
		return -1;
	printf("ok %u\n", n);
	return 0;
}

static int
do_flush(char **arg, struct error **e)
{
	if (np_flush_flows(np, ip_of(arg[1]), e) < 0)
		return -1;
	puts("ok");
	return 0;
}

static int
do_nodeip(char **arg, struct error **e)
{
	struct in_addr a = { htonl(np_node_ip(np)) };

	(void)arg;
	(void)e;
	printf("ok %s\n", inet_ntoa(a));
	return 0;
}

static int
do_lacks(char **arg, struct error **e)
{
	(void)arg;
	(void)e;
	printf("ok");
	for (const char *const *s = np_lacks(np); *s; s++)
		printf(" [%s]", *s);
	puts("");
	return 0;
}

/* trace FROM TO tcp|udp|sctp PORT: what would become of it, and who would get which share */
static int
do_trace(char **arg, struct error **e)
{
	static const char *const verdicts[] = { "passed", "served", "refused", "dropped" };
	struct np_way w;
	char ip[ADDR_TEXT];

	(void)e;
	np_trace(np, ip_of(arg[1]), ip_of(arg[2]),
		 !strcmp(arg[3], "udp")    ? IPPROTO_UDP
		 : !strcmp(arg[3], "sctp") ? IPPROTO_SCTP
					   : IPPROTO_TCP,
		 atoi(arg[4]), &w);
	printf("ok %s%s", verdicts[w.verdict], w.masqueraded ? " masqueraded" : "");
	for (size_t i = 0; i < w.nends; i++)
		printf(" %s:%u=%.3f", addr_print(w.ends[i].at.ip, ip), w.ends[i].at.port,
		       w.ends[i].share);
	for (size_t i = 0; i < w.nsteps; i++)
		printf(" [%s: %s]", w.steps[i].table, w.steps[i].rule);
	puts("");
	np_way_done(&w);
	return 0;
}

static int
do_down(char **arg, struct error **e)
{
	(void)arg;
	np_close(np);
	np = NULL;
	if (np_down(&config, e) < 0)
		return -1;
	puts("ok");
	return 0;
}

static int
by_size(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/* A listener in the namespace; this process accepts for it. */
static int
listener(const char *netns, unsigned port, struct error **e)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(port) };
	int home = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	int there = open(netns, O_RDONLY | O_CLOEXEC), one = 1, fd;

	if (home < 0 || there < 0 || setns(there, CLONE_NEWNET) < 0)
		return fail_sys(e, "%s", netns);
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (setns(home, CLONE_NEWNET) < 0)
		abort();
	close(home);
	close(there);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	if (bind(fd, (struct sockaddr *)&a, sizeof a) < 0 || listen(fd, 4096) < 0)
		return fail_sys(e, "listen");
	return fd;
}

/* One new connection, in microseconds; it ends with a reset and leaves nothing. */
static double
connect_us(uint32_t ip, unsigned port, int listening)
{
	struct sockaddr_in a = { .sin_family = AF_INET,
				 .sin_port = htons(port),
				 .sin_addr.s_addr = htonl(ip) };
	struct linger reset = { 1, 0 };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), peer;
	double t = now_ms();

	if (connect(fd, (struct sockaddr *)&a, sizeof a) < 0)
		return -1;
	t = (now_ms() - t) * 1e3;
	peer = accept(listening, NULL, NULL);
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
	close(fd);
	close(peer);
	return t;
}

/* race NETNS IP PORT VIP VPORT COUNT -- new connections, directly and through
 * the service in turn: medians, and the median of each pair's difference */
static int
do_race(char **arg, struct error **e)
{
	int n = atoi(arg[6]), fd = listener(arg[1], atoi(arg[3]), e);
	double *direct = xcalloc(n, sizeof *direct), *service = xcalloc(n, sizeof *service);
	int rc = fd < 0 ? -1 : 0;

	for (int i = 0; i < n && !rc; i++) {
		direct[i] = connect_us(ip_of(arg[2]), atoi(arg[3]), fd);
		service[i] = connect_us(ip_of(arg[4]), atoi(arg[5]), fd);
		if (direct[i] < 0 || service[i] < 0)
			rc = fail_sys(e, "connect");
	}
	close(fd);
	if (!rc) {
		qsort(direct, n, sizeof *direct, by_size);
		qsort(service, n, sizeof *service, by_size);
		printf("ok direct %.1f us (%.1f to %.1f), service %.1f us (%.1f to %.1f), "
		       "ratio %.3f\n",
		       direct[n / 2], direct[n / 10], direct[n * 9 / 10], service[n / 2],
		       service[n / 10], service[n * 9 / 10], service[n / 2] / direct[n / 2]);
	}
	free(direct);
	free(service);
	return rc;
}

/* One connection, which ends with a reset: which of the listeners was met? -1: none. */
static int
meet(uint32_t ip, unsigned port, struct pollfd *at, int n)
{
	struct sockaddr_in a = { .sin_family = AF_INET,
				 .sin_port = htons(port),
				 .sin_addr.s_addr = htonl(ip) };
	struct linger reset = { 1, 0 };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), who = -1;

	if (connect(fd, (struct sockaddr *)&a, sizeof a) == 0 && poll(at, n, 1000) > 0)
		for (int i = 0; i < n; i++)
			if (at[i].revents & POLLIN) {
				who = i;
				close(accept(at[i].fd, NULL, NULL));
			}
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
	close(fd);
	return who;
}

/* spread PORT COUNT VIP VPORT NETNS... -- new connections, and how far the listeners' shares
 * are from equal ones: chi square, with as many degrees of freedom as there are others */
static int
do_spread(char **arg, struct error **e)
{
	struct pollfd at[64];
	unsigned got[64] = { 0 };
	int n = 0, count = atoi(arg[2]);
	double chi = 0, want;

	for (char **ns = arg + 5; *ns && n < 64; ns++, n++) {
		at[n] = (struct pollfd){ listener(*ns, atoi(arg[1]), e), POLLIN, 0 };
		if (at[n].fd < 0)
			return -1;
	}
	for (int i = 0; i < count; i++) {
		int who = meet(ip_of(arg[3]), atoi(arg[4]), at, n);

		if (who < 0)
			return fail_sys(e, "connection %d met nobody", i);
		got[who]++;
	}
	want = (double)count / n;
	for (int i = 0; i < n; i++) {
		chi += (got[i] - want) * (got[i] - want) / want;
		close(at[i].fd);
	}
	printf("ok chi %.2f of", chi);
	for (int i = 0; i < n; i++)
		printf(" %u", got[i]);
	puts("");
	return 0;
}

/* Accepts whoever comes, for ever. */
static _Noreturn void
receive(struct pollfd *at, int n)
{
	for (;;)
		for (int i = poll(at, n, -1) > 0 ? 0 : n; i < n; i++)
			if (at[i].revents & POLLIN)
				close(accept(at[i].fd, NULL, NULL));
}

/* Was a first packet lost, so that it had to be sent again? */
static bool
sent_again(int fd)
{
	struct tcp_info t = { 0 };

	return getsockopt(fd, IPPROTO_TCP, TCP_INFO, &t, &(socklen_t){ sizeof t }) < 0 ||
	       t.tcpi_total_retrans;
}

struct tally {
	atomic_long connections, refused, lost;
};

static _Noreturn void
connect_on(const char *ip, const char *port, struct tally *tally)
{
	struct sockaddr_in a = { .sin_family = AF_INET,
				 .sin_port = htons(atoi(port)),
				 .sin_addr.s_addr = htonl(ip_of(ip)) };
	struct linger reset = { 1, 0 };

	for (;;) {
		int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

		if (connect(fd, (struct sockaddr *)&a, sizeof a) < 0)
			tally->refused++;
		else if (sent_again(fd))
			tally->lost++;
		tally->connections++;
		setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
		close(fd);
	}
}

/* swap COUNT PORT VIP VPORT AFFINITY IP=NETNS... -- all endpoints listen all the time, and in
 * every second commit one of them is left out, until COUNT connections were made: what became
 * of them?  COUNT is below the number of a client's ports: a port that is used again may find
 * an entry of conntrack that is about to go, and its first packet is lost. */
static int
do_swap(char **arg, struct error **e)
{
	struct np_endpoint all[16], at[16];
	struct pollfd in[16];
	struct np_service s = { .id = "default/web:http",
				.vip = ip_of(arg[3]),
				.proto = IPPROTO_TCP,
				.port = atoi(arg[4]),
				.affinity_s = atoi(arg[5]),
				.endpoints = at };
	struct tally *tally = mmap(NULL, sizeof *tally, PROT_READ | PROT_WRITE,
				   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t pids[3] = { 0 };
	int n = 0, rc = 0, commits = 0;

	for (char **a = arg + 6; *a && n < 16; a++, n++) {
		char *netns = strchr(*a, '=');

		*netns++ = 0;
		all[n] = (struct np_endpoint){ ip_of(*a), atoi(arg[2]), false };
		in[n] = (struct pollfd){ listener(netns, atoi(arg[2]), e), POLLIN, 0 };
		if (in[n].fd < 0)
			return -1;
	}
	for (; tally->connections < atoi(arg[1]) && !rc; commits++) {
		s.n = 0;
		for (int k = 0; k < n; k++)
			if (commits % 2 == 0 || k != commits / 2 % n)
				at[s.n++] = all[k];
		rc = np_set(np, &s, e) < 0 || commit(e) < 0 ? -1 : 0;
		for (int p = 0; !commits && p < 3; p++)
			if ((pids[p] = fork()) == 0) {
				prctl(PR_SET_PDEATHSIG, SIGKILL);
				if (p)
					connect_on(arg[3], arg[4], tally);
				receive(in, n);
			}
	}
	for (int p = 0; p < 3 && pids[p] > 0; p++) {
		kill(pids[p], SIGKILL);
		waitpid(pids[p], NULL, 0);
	}
	for (int i = 0; i < n; i++)
		close(in[i].fd);
	if (!rc)
		printf("ok %d commits, %ld connections, %ld refused, %ld lost\n", commits,
		       tally->connections, tally->refused, tally->lost);
	munmap(tally, sizeof *tally);
	return rc;
}

static const struct {
	const char *name;
	int args;
	int (*run)(char **arg, struct error **);
} commands[] = {
	{ "open", 1, do_open },     { "close", 1, do_close },   { "plug", 3, do_plug },
	{ "unplug", 2, do_unplug }, { "set", 8, do_set },       { "many", 3, do_many },
	{ "drop", 2, do_drop },     { "commit", 1, do_commit }, { "check", 1, do_check },
	{ "flows", 2, do_flows },   { "flush", 2, do_flush },   { "nodeip", 1, do_nodeip },
	{ "lacks", 1, do_lacks },   { "down", 1, do_down },     { "race", 7, do_race },
	{ "spread", 6, do_spread }, { "trace", 5, do_trace },   { "swap", 7, do_swap },
};

int
main(int argc, char **argv)
{
	static char *arg[ARGS + 1];
	char *line = NULL;
	size_t cap = 0;

	for (int c; (c = getopt(argc, argv, "p:b:t:n6")) > 0;)
		if (c == 'n')
			config.nft = true;
		else if (c == 't')
			config.restore_seconds = (unsigned)atoi(optarg);
		else if (c == '6')
			(void)(addr_range_read("fd42::/64", &config.pods6) &&
			       addr_range_read("fd43::/112", &config.svcs6));
		else
			*(c == 'p' ? &config.iptables_restore : &config.bridge) = optarg;
	setvbuf(stdout, NULL, _IOLBF, 0);
	while (getline(&line, &cap, stdin) > 0) {
		struct error *e = NULL;
		char *at = line, *word;
		size_t i;
		int n = 0;

		while ((word = strsep(&at, " \n")))
			if (*word && n < ARGS)
				arg[n++] = word;
		arg[n] = NULL;
		if (n && !strcmp(arg[0], "quit"))
			break;
		for (i = 0; n && i < sizeof commands / sizeof *commands; i++)
			if (!strcmp(commands[i].name, arg[0]) && n >= commands[i].args)
				break;
		if (!n || i == sizeof commands / sizeof *commands)
			puts("error: no such command, or too few words");
		else if (commands[i].run(arg, &e) < 0)
			printf("error: %s\n", error_text(e));
		error_free(&e);
	}
	np_close(np);
	free(line);
	return 0;
}
