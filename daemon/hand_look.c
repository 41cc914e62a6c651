/* hand_look.c -- what the rules would do with a connection, and how many there are. */
#include "../reconcile/base/arena.h"
#include "../reconcile/base/buf.h"
#include "../reconcile/base/cleanup.h"
#include "../reconcile/base/error.h"
#include "../reconcile/base/ipv4.h"
#include "config.h"
#include "hand_spec.h"
#include "hand_state.h"
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *
proto_word(uint8_t proto)
{
	return proto == IPPROTO_UDP ? "UDP" : proto == IPPROTO_SCTP ? "SCTP" : "TCP";
}

static uint8_t
proto_of(const char *text)
{
	return !strcmp(text, "UDP")    ? IPPROTO_UDP
	       : !strcmp(text, "SCTP") ? IPPROTO_SCTP
				       : IPPROTO_TCP;
}

static void
way_seen(const struct np_way *w, struct look_seen *seen, struct arena *a)
{
	static const char *const words[] = { [NP_PASSED] = "passed on",
					     [NP_SERVED] = "served",
					     [NP_REFUSED] = "refused",
					     [NP_DROPPED] = "dropped" };

	seen->verdict = words[w->verdict];
	seen->masqueraded = w->masqueraded;
	seen->steps.at = arena_zalloc(a, (w->nsteps + 1) * sizeof *seen->steps.at);
	seen->steps.n = w->nsteps;
	for (size_t i = 0; i < w->nsteps; i++)
		seen->steps.at[i] =
		    (struct step_seen){ .table = w->steps[i].table, .rule = w->steps[i].rule };
	seen->ends.at = arena_zalloc(a, (w->nends + 1) * sizeof *seen->ends.at);
	seen->ends.n = w->nends;
	for (size_t i = 0; i < w->nends; i++)
		seen->ends.at[i] =
		    (struct end_seen){ .ip = addr_text(w->ends[i].at.ip, a),
				       .port = w->ends[i].at.port,
				       .verdict = words[w->ends[i].verdict],
				       .share = (int64_t)(w->ends[i].share * 1e6 + 0.5) };
}

static int
look_flows(struct hand *h, struct look_seen *seen, struct arena *a, struct error **e)
{
	struct np_flow *flows = NULL;
	size_t n = 0;

	if (np_flow_counts(h->np, &flows, &n, e) < 0)
		return -1;
	seen->ends.at = arena_zalloc(a, (n + 1) * sizeof *seen->ends.at);
	seen->ends.n = n;
	for (size_t i = 0; i < n; i++)
		seen->ends.at[i] = (struct end_seen){ .ip = addr_text(flows[i].at.ip, a),
						      .port = flows[i].at.port,
						      .protocol = proto_word(flows[i].proto),
						      .flows = flows[i].n };
	free(flows);
	return 0;
}

enum { TABLE_MAX = 64 << 10, LISTENS_MAX = 64 };

/* The beginning of a file there: of a table of sockets, those that listen come first. */
static void
file_begins(int dir, const char *name, struct buf *ret)
{
	cleanup_close int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	buf_reserve(ret, TABLE_MAX);
	while (fd >= 0 && ret->len < TABLE_MAX &&
	       (n = read(fd, ret->at + ret->len, TABLE_MAX - ret->len)) > 0)
		ret->len += (size_t)n;
	ret->at[ret->len] = '\0';
}

/* "   0: 0100007F:1F90 00000000:0000 0A ...": addresses as the processor has them, four bytes
 * at a time. */
static bool
listens_at(const char *line, char address[33], unsigned *ret_port)
{
	unsigned state;

	return sscanf(line, " %*d: %32[0-9A-F]:%x %*[0-9A-F]:%*x %x", address, ret_port,
		      &state) == 3 &&
	       state == TCP_LISTEN;
}

static bool
is_loopback(const char *address)
{
	uint32_t v4 = (uint32_t)strtoul(address + strlen(address) - 8, NULL, 16);
	bool v6 = strlen(address) == 32;

	if (v6 && !strncmp(address, "000000000000000000000000", 24))
		return v4 == htonl(1);
	return ((const unsigned char *)&v4)[0] == 127;
}

/* Rows for what one pod's processes listen at (`dir` is one's in /proc); none when there are
 * too many to tell all. */
static void
pod_listens(int dir, const char *ip, struct look_seen *seen)
{
	static const char *const tables[] = { "net/tcp", "net/tcp6" };
	size_t before = seen->ends.n;

	seen->ends.at[seen->ends.n++] = (struct end_seen){ .ip = ip };
	for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
		cleanup_buf struct buf text = { 0 };
		char address[33], *line, *rest;
		unsigned port;

		file_begins(dir, tables[i], &text);
		line = text.len ? strtok_r((char *)buf_text(&text), "\n", &rest) : NULL;
		while (line && (line = strtok_r(NULL, "\n", &rest)) &&
		       listens_at(line, address, &port)) {
			if (seen->ends.n - before == LISTENS_MAX) {
				seen->ends.n = before;
				return;
			}
			seen->ends.at[seen->ends.n++] =
			    (struct end_seen){ .ip = ip,
					       .port = port,
					       .protocol = "TCP",
					       .local = is_loopback(address) };
		}
	}
}

static void
look_listens(struct hand *h, struct look_seen *seen, struct arena *a)
{
	const char *const *uids;
	size_t n = rt_pods(h->rt, &uids);
	char **copy = arena_alloc(a, (n + 1) * sizeof *copy);

	for (size_t i = 0; i < n; i++) /* the list is good until the next call only */
		copy[i] = arena_strdup(a, uids[i]);
	seen->ends.at = arena_alloc(a, (n * LISTENS_MAX + 1) * sizeof *seen->ends.at);
	for (size_t i = 0; i < n; i++) {
		const struct hand_pod *pod = map_get(&h->pods, copy[i]);
		cleanup_close int dir = pod && pod->ip ? rt_pod_process(h->rt, copy[i]) : -1;

		if (dir >= 0)
			pod_listens(dir, ipv4_text(pod->ip, a), seen);
	}
}

int
hand_look(struct hand *h, const struct look_args *args, struct error **e)
{
	cleanup_arena struct arena a = { 0 };
	struct look_seen seen = { .id = args->id, .generation = h->generation };
	struct np_way way = { 0 };
	addr from = 0, to = 0;

	if (args->listens) {
		look_listens(h, &seen, &a);
	} else if (args->flows) {
		if (look_flows(h, &seen, &a, e) < 0)
			return -1;
	} else {
		if ((args->from && *args->from && addr_parse(args->from, &from, e) < 0) ||
		    addr_parse(args->to ? args->to : "", &to, e) < 0)
			return -1;
		np_trace(h->np, from, to, proto_of(args->protocol), (uint16_t)args->port, &way);
		way_seen(&way, &seen, &a);
	}
	hand_send(h, "look_seen", look_seen_kind(), &seen, NULL, 0);
	np_way_done(&way);
	return 0;
}
