/* hand_look.c -- what the rules would do with a connection, and how many there are. */
#include "../reconcile/base/arena.h"
#include "../reconcile/base/cleanup.h"
#include "../reconcile/base/error.h"
#include "../reconcile/base/ipv4.h"
#include "config.h"
#include "hand_spec.h"
#include "hand_state.h"
#include <netinet/in.h>
#include <string.h>

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
		    (struct end_seen){ .ip = ipv4_text(w->ends[i].at.ip, a),
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
		seen->ends.at[i] = (struct end_seen){ .ip = ipv4_text(flows[i].at.ip, a),
						      .port = flows[i].at.port,
						      .protocol = proto_word(flows[i].proto),
						      .flows = flows[i].n };
	free(flows);
	return 0;
}

int
hand_look(struct hand *h, const struct look_args *args, struct error **e)
{
	cleanup_arena struct arena a = { 0 };
	struct look_seen seen = { .id = args->id, .generation = h->generation };
	struct np_way way = { 0 };
	uint32_t from = 0, to = 0;

	if (args->flows) {
		if (look_flows(h, &seen, &a, e) < 0)
			return -1;
	} else {
		if ((args->from && *args->from && ipv4_parse(args->from, &from, e) < 0) ||
		    ipv4_parse(args->to ? args->to : "", &to, e) < 0)
			return -1;
		np_trace(h->np, from, to, proto_of(args->protocol), (uint16_t)args->port, &way);
		way_seen(&way, &seen, &a);
	}
	hand_send(h, "look_seen", look_seen_kind(), &seen, NULL, 0);
	np_way_done(&way);
	return 0;
}
