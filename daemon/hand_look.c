/* hand_look.c -- what the rules would do with a connection, and how many there are. */
#include "../reconcile/base/arena.h"
#include "../reconcile/base/buf.h"
#include "../reconcile/base/cleanup.h"
#include "../reconcile/base/error.h"
#include "../reconcile/base/ipv4.h"
#include "../reconcile/base/transport.h"
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
		seen->ends.at[i] =
		    (struct end_seen){ .ip = addr_text(flows[i].at.ip, a),
				       .port = flows[i].at.port,
				       .protocol = transport_numbered(flows[i].proto)->name,
				       .flows = flows[i].n,
				       .bytes = (int64_t)flows[i].bytes };
	seen->counted = np_flow_bytes(h->np);
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

/* As a packet has it; what has room for IPv6 alone, or for IPv4 within it, is told by `v6`. */
static bool
address_read(const char *text, struct in6_addr *ret)
{
	bool v6 = strlen(text) == 32;
	uint32_t at[4] = { 0, 0, htonl(0xffff), 0 };

	for (size_t i = v6 ? 0 : 3; i < 4; i++, text += 8) {
		char word[9] = "";

		memcpy(word, text, 8);
		at[i] = (uint32_t)strtoul(word, NULL, 16);
	}
	memcpy(ret, at, sizeof at);
	return v6;
}

/* Does who is bound there take what comes to the pod's address of this family?  At :: they
 * take either, for all that the table shows: that a socket is of IPv6 alone is not in it. */
static bool
takes(const char *text, bool v6, bool *ret_local)
{
	struct in6_addr ip;
	bool either = address_read(text, &ip) && IN6_IS_ADDR_UNSPECIFIED(&ip);

	*ret_local =
	    v6 ? IN6_IS_ADDR_LOOPBACK(&ip) : IN6_IS_ADDR_V4MAPPED(&ip) && ip.s6_addr[12] == 127;
	return either || IN6_IS_ADDR_V4MAPPED(&ip) == !v6;
}

/* Rows for what one pod's processes listen at, by one of its addresses (`dir` is one's in
 * /proc); none when there are too many to tell all.  `at` has room for LISTENS_MAX. */
static size_t
pod_listens(int dir, addr pod, const char *ip, struct end_seen *at)
{
	static const char *const tables[] = { "net/tcp", "net/tcp6" };
	size_t n = 0;

	at[n++] = (struct end_seen){ .ip = ip };
	for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
		cleanup_buf struct buf text = { 0 };
		char address[33], *line, *rest;
		unsigned port;
		bool local;

		file_begins(dir, tables[i], &text);
		line = text.len ? strtok_r((char *)buf_text(&text), "\n", &rest) : NULL;
		while (line && (line = strtok_r(NULL, "\n", &rest)) &&
		       listens_at(line, address, &port)) {
			if (!takes(address, addr_v6(pod), &local))
				continue;
			if (n == LISTENS_MAX)
				return 0;
			at[n++] = (struct end_seen){
				.ip = ip, .port = port, .protocol = "TCP", .local = local
			};
		}
	}
	return n;
}

/* A pod's address of this family; 0: it has none. */
static addr
pod_addr(const struct hand *h, const struct hand_pod *pod, bool v6)
{
	return !pod->ip || (v6 && !h->settings.pods6.bits) ? 0
	       : v6 ? settings_pod6(&h->settings, pod->ip)
		    : pod->ip;
}

static void
look_listens(struct hand *h, struct look_seen *seen, struct arena *a)
{
	const char *const *uids;
	size_t n = rt_pods(h->rt, &uids);
	char **copy = arena_alloc(a, (n + 1) * sizeof *copy);

	for (size_t i = 0; i < n; i++) /* the list is good until the next call only */
		copy[i] = arena_strdup(a, uids[i]);
	seen->ends.at = arena_alloc(a, (n * 2 * LISTENS_MAX + 1) * sizeof *seen->ends.at);
	for (size_t i = 0; i < n; i++) {
		const struct hand_pod *pod = map_get(&h->pods, copy[i]);
		cleanup_close int dir = pod && pod->ip ? rt_pod_process(h->rt, copy[i]) : -1;

		for (int v6 = 0; dir >= 0 && v6 < 2; v6++) {
			addr ip = pod_addr(h, pod, v6);

			if (ip)
				seen->ends.n += pod_listens(dir, ip, addr_text(ip, a),
							    seen->ends.at + seen->ends.n);
		}
	}
}

/* A pod that rules lead to takes nothing where nobody listens. */
static void
end_listens(struct hand *h, addr ip, struct end_seen *end)
{
	struct end_seen at[LISTENS_MAX];

	for (struct map_slot *s = map_first(&h->pods); s; s = map_next(&h->pods, s)) {
		const struct hand_pod *pod = s->value;
		cleanup_close int dir = -1;
		size_t n;

		if (pod_addr(h, pod, addr_v6(ip)) != ip)
			continue;
		dir = rt_pod_process(h->rt, pod->uid);
		n = dir < 0 ? 0 : pod_listens(dir, ip, end->ip, at);
		end->nobody = n;
		for (size_t i = 1; i < n; i++) {
			if (at[i].port != end->port)
				continue;
			end->local = at[i].local && (end->nobody || end->local);
			end->nobody = false;
		}
		return;
	}
}

/* What rules let through is refused where it comes to, if nobody listens there. */
static void
ends_listen(struct hand *h, const struct np_way *w, struct look_seen *seen)
{
	bool any = false;

	for (size_t i = 0; i < w->nends; i++) {
		struct end_seen *end = &seen->ends.at[i];

		end_listens(h, w->ends[i].at.ip, end);
		any |= w->ends[i].verdict == NP_SERVED && !end->nobody && !end->local;
	}
	if (w->verdict == NP_SERVED && !any)
		seen->verdict = "refused";
}

int
hand_look(struct hand *h, const struct look_args *args, struct error **e)
{
	cleanup_arena struct arena a = { 0 };
	struct look_seen seen = { .id = args->id, .generation = h->begun };
	const struct transport *proto = &transports[transport_named(args->protocol)];
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
		np_trace(h->np, from, to, proto->number, (uint16_t)args->port, &way);
		way_seen(&way, &seen, &a);
		if (proto->number == IPPROTO_TCP)
			ends_listen(h, &way, &seen);
	}
	hand_send(h, "look_seen", look_seen_kind(), &seen, NULL, 0);
	np_way_done(&way);
	return 0;
}
