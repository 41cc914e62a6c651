/* t_policy_model.c -- Kubernetes' semantics written down once more, slowly, against the rules.
 *
 * For each pair of a random world, and each protocol and port that matters, what the
 * controllers and the text of the rules make of a packet must be what this says.
 */
#include "policy_kit.h"

/* ---- Kubernetes' semantics, once more ---- */

struct end {                   /* of a connection */
	const struct pod *pod; /* NULL: an address outside */
	const char *ip;
};

static bool
label_is(const struct pairs *labels, const char *key, const char **ret)
{
	for (size_t i = 0; i < labels->n; i++)
		if (!strcmp(labels->at[i].key, key)) {
			*ret = labels->at[i].value;
			return true;
		}
	return false;
}

static bool
picks(const struct label_selector *s, const struct pairs *labels)
{
	const char *v = NULL;

	for (size_t i = 0; i < s->matchLabels.n; i++)
		if (!label_is(labels, s->matchLabels.at[i].key, &v) ||
		    strcmp(v, s->matchLabels.at[i].value) != 0)
			return false;
	for (size_t i = 0; i < s->matchExpressions.n; i++) {
		const struct label_selector_requirement *r = &s->matchExpressions.at[i];
		bool has = label_is(labels, r->key, &v), in = false;

		for (size_t k = 0; has && k < r->values.n; k++)
			in |= !strcmp(v, r->values.at[k]);
		if ((!strcmp(r->operator, "In") && !in) ||
		    (!strcmp(r->operator, "NotIn") && in) ||
		    (!strcmp(r->operator, "Exists") && !has) ||
		    (!strcmp(r->operator, "DoesNotExist") && has))
			return false;
	}
	return true;
}

static const struct pairs *
labels_of_namespace(const struct world *w, const char *ns)
{
	for (size_t i = 0; i < w->n[RES_namespace]; i++)
		if (!strcmp(object_name(w->at[RES_namespace][i]), ns))
			return &w->at[RES_namespace][i]->metadata->labels;
	fail_msg("no namespace %s", ns);
	return NULL;
}

static bool
peer_is(const struct world *w, const struct network_policy *np,
	const struct network_policy_peer *peer, struct end x)
{
	const char *ns = object_namespace(np);

	if (peer->ipBlock && strchr(peer->ipBlock->cidr, ':'))
		return false;
	if (peer->ipBlock) {
		bool in = in_net(peer->ipBlock->cidr, ip_of(x.ip));

		for (size_t i = 0; i < peer->ipBlock->except.n; i++)
			in &= !in_net(peer->ipBlock->except.at[i], ip_of(x.ip));
		return in;
	}
	if (!x.pod)
		return false;
	if (peer->namespaceSelector ? !picks(peer->namespaceSelector,
					     labels_of_namespace(w, object_namespace(x.pod)))
				    : strcmp(ns, object_namespace(x.pod)) != 0)
		return false;
	return !peer->podSelector || picks(peer->podSelector, &x.pod->metadata->labels);
}

/* Names are looked up in the pod that is asked. */
static bool
port_is(const struct network_policy_port *p, struct end to, uint8_t proto, uint16_t port)
{
	if (strcasecmp(p->protocol, name_of(proto)) != 0)
		return false;
	if (p->port.s) {
		for (size_t i = 0; to.pod && i < to.pod->spec->containers.n; i++) {
			const struct container *c = &to.pod->spec->containers.at[i];

			for (size_t k = 0; k < c->ports.n; k++)
				if (!strcmp(c->ports.at[k].name, p->port.s) &&
				    !strcasecmp(c->ports.at[k].protocol, name_of(proto)))
					return c->ports.at[k].containerPort == port;
		}
		return false;
	}
	if (!p->port.i)
		return true;
	return p->endPort ? port >= p->port.i && port <= p->endPort : port == p->port.i;
}

static bool
rule_is(const struct world *w, const struct network_policy *np,
	const struct network_policy_peer *peers, size_t npeers,
	const struct network_policy_port *ports, size_t nports, struct end peer, struct end to,
	uint8_t proto, uint16_t port)
{
	bool who = !npeers, what = !nports;

	for (size_t i = 0; i < npeers; i++)
		who |= peer_is(w, np, &peers[i], peer);
	for (size_t i = 0; i < nports; i++)
		what |= port_is(&ports[i], to, proto, port);
	return who && what;
}

static bool
half(const struct world *w, bool egress, struct end from, struct end to, uint8_t proto,
     uint16_t port)
{
	struct end self = egress ? from : to, peer = egress ? to : from;
	bool isolated = false, admitted = false;

	if (!self.pod)
		return true;
	for (size_t i = 0; i < w->n[RES_network_policy]; i++) {
		const struct network_policy *np =
		    (const struct network_policy *)w->at[RES_network_policy][i];
		bool about = false;

		for (size_t k = 0; k < np->spec->policyTypes.n; k++)
			about |=
			    !strcmp(np->spec->policyTypes.at[k], egress ? "Egress" : "Ingress");
		if (!about || strcmp(object_namespace(np), object_namespace(self.pod)) != 0 ||
		    !picks(np->spec->podSelector, &self.pod->metadata->labels))
			continue;
		isolated = true;
		for (size_t k = 0; egress && k < np->spec->egress.n; k++) {
			const struct network_policy_egress_rule *r = &np->spec->egress.at[k];

			admitted |= rule_is(w, np, r->to.at, r->to.n, r->ports.at, r->ports.n,
					    peer, to, proto, port);
		}
		for (size_t k = 0; !egress && k < np->spec->ingress.n; k++) {
			const struct network_policy_ingress_rule *r = &np->spec->ingress.at[k];

			admitted |= rule_is(w, np, r->from.at, r->from.n, r->ports.at,
					    r->ports.n, peer, to, proto, port);
		}
	}
	return !isolated || admitted;
}

static bool
kubernetes_says(const struct world *w, struct end from, struct end to, uint8_t proto,
		uint16_t port)
{
	if (from.pod && from.pod == to.pod)
		return true;
	return half(w, true, from, to, proto, port) && half(w, false, from, to, proto, port);
}

/* ---- random worlds ---- */

static uint32_t seed;

static uint32_t
below(uint32_t n)
{
	seed = seed * 1664525u + 1013904223u;
	return (seed >> 8) % n;
}

static const char *
one_of(const char *const *of, size_t n)
{
	return of[below((uint32_t)n)];
}
#define ONE_OF(...)                                  \
	one_of((const char *const[]){ __VA_ARGS__ }, \
	       sizeof((const char *const[]){ __VA_ARGS__ }) / sizeof(char *))

static const char *
any_selector(void)
{
	return ONE_OF("{}", "{matchLabels: {app: p}}", "{matchLabels: {app: q}}",
		      "{matchLabels: {tier: '1'}}", "{matchLabels: {app: p, tier: '2'}}",
		      "{matchExpressions: [{key: app, operator: In, values: [p, r]}]}",
		      "{matchExpressions: [{key: app, operator: NotIn, values: [p]}]}",
		      "{matchExpressions: [{key: tier, operator: Exists}]}",
		      "{matchLabels: {app: q}, matchExpressions: [{key: tier, operator: "
		      "DoesNotExist}]}");
}

static const char *
any_namespaces(void)
{
	return ONE_OF("{}", "{matchLabels: {room: x}}", "{matchLabels: {room: z}}",
		      "{matchExpressions: [{key: room, operator: DoesNotExist}]}",
		      "{matchLabels: {room: nowhere}}");
}

static void
any_peer(struct buf *b)
{
	switch (below(4)) {
	case 0:
		buf_addf(b, "{podSelector: %s}", any_selector());
		break;
	case 1:
		buf_addf(b, "{namespaceSelector: %s}", any_namespaces());
		break;
	case 2:
		buf_addf(b, "{podSelector: %s, namespaceSelector: %s}", any_selector(),
			 any_namespaces());
		break;
	default:
		buf_addf(b, "{ipBlock: %s}",
			 ONE_OF("{cidr: 0.0.0.0/0}", "{cidr: 10.42.0.0/16}",
				"{cidr: 10.42.0.0/16, except: [10.42.0.0/29]}",
				"{cidr: 0.0.0.0/0, except: [10.42.0.8/29, 192.0.2.0/24]}",
				"{cidr: 192.0.2.0/24, except: [192.0.2.128/25]}",
				"{cidr: 192.0.2.200/32}", "{cidr: 'fd00::/8'}",
				"{cidr: 10.42.0.7/30}"));
	}
}

static const char *
any_port(void)
{
	return ONE_OF("{port: 80}", "{port: http}", "{port: http}",
		      "{port: dns, protocol: UDP}", "{port: 53, protocol: UDP}",
		      "{port: 79, endPort: 81}", "{port: 8000, endPort: 8080}", "{}",
		      "{protocol: UDP}", "{port: 80, protocol: SCTP}", "{protocol: SCTP}",
		      "{port: nobody}");
}

static void
any_rules(struct buf *b, const char *field, const char *peers)
{
	size_t n = below(3);

	buf_addf(b, "  %s:%s\n", field, n ? "" : " []");
	for (size_t i = 0; i < n; i++) {
		size_t npeers = below(3), nports = below(4);

		buf_addf(b, "  - %s: [", peers);
		for (size_t k = 0; k < npeers; k++) {
			buf_adds(b, k ? ", " : "");
			any_peer(b);
		}
		buf_adds(b, "]\n    ports: [");
		for (size_t k = 0; k < nports; k++)
			buf_addf(b, "%s%s", k ? ", " : "", any_port());
		buf_adds(b, "]\n");
	}
}

static void
any_pod(struct buf *b, size_t i)
{
	const char *kind = ONE_OF("up", "up", "up", "up", "up", "host", "unplaced", "over");

	buf_addf(b,
		 "apiVersion: v1\nkind: Pod\nmetadata: {name: p%zu, uid: u%zu, namespace: %s, "
		 "labels: {%s%s}}\n"
		 "spec: {hostNetwork: %s, containers: [{name: a, image: i, ports: [%s%s]}]}\n",
		 i, i, ONE_OF("a", "b", "c"), ONE_OF("app: p", "app: q", "app: r"),
		 ONE_OF("", ", tier: '1'", ", tier: '2'"), *kind == 'h' ? "true" : "false",
		 ONE_OF("", "{name: http, containerPort: 80}, ",
			"{name: http, containerPort: 8080}, "),
		 ONE_OF("", "{name: dns, containerPort: 53, protocol: UDP}",
			"{name: dns, containerPort: 53, protocol: TCP}"));
	if (*kind != 'u' || kind[1] == 'p')
		buf_addf(b, "status: {phase: %s, podIP: %s%zu}\n",
			 *kind == 'o' ? "Succeeded" : "Running",
			 *kind == 'h' ? "192.0.2.1" : "10.42.0.", *kind == 'h' ? 0 : i + 2);
	buf_adds(b, "---\n");
}

static void
any_world(struct buf *b)
{
	size_t npods = 4 + below(9), npolicies = below(6);

	buf_addf(
	    b,
	    "apiVersion: v1\nkind: Namespace\nmetadata: {name: a, labels: {room: x}}\n---\n"
	    "apiVersion: v1\nkind: Namespace\nmetadata: {name: b, labels: {room: %s}}\n---\n"
	    "apiVersion: v1\nkind: Namespace\nmetadata: {name: c}\n---\n",
	    ONE_OF("x", "z"));
	for (size_t i = 0; i < npods; i++)
		any_pod(b, i);
	for (size_t i = 0; i < npolicies; i++) {
		buf_addf(b,
			 "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\n"
			 "metadata: {name: n%zu, namespace: %s}\nspec:\n  podSelector: %s\n%s",
			 i, ONE_OF("a", "b", "c"), any_selector(),
			 ONE_OF("", "  policyTypes: [Ingress]\n", "  policyTypes: [Egress]\n",
				"  policyTypes: [Egress, Ingress]\n"));
		any_rules(b, "ingress", "from");
		any_rules(b, "egress", "to");
		buf_adds(b, "---\n");
	}
}

/* Those who can be at an end: pods with an address of their own, and outsiders. */
static size_t
ends_of(const struct world *w, struct end *to)
{
	static const char *const outside[] = { "192.0.2.9", "192.0.2.200", "203.0.113.5" };
	size_t n = 0;

	for (size_t i = 0; i < w->n[RES_pod]; i++) {
		const struct pod *p = (const struct pod *)w->at[RES_pod][i];

		if (!p->spec->hostNetwork && p->status && p->status->podIP &&
		    strcmp(p->status->phase, "Succeeded") != 0)
			to[n++] = (struct end){ p, p->status->podIP };
	}
	for (size_t i = 0; i < sizeof outside / sizeof *outside; i++)
		to[n++] = (struct end){ NULL, outside[i] };
	return n;
}

static size_t
compare(struct bench *b, const struct map *chains, const char *yaml)
{
	static const uint16_t ports[] = { 53, 79, 80, 81, 8000, 8080, 8081 };
	static const uint8_t protos[] = { IPPROTO_TCP, IPPROTO_UDP, IPPROTO_SCTP };
	struct end ends[64];
	size_t n = ends_of(&b->w, ends), refused = 0;

	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < n; k++)
			for (size_t x = 0; x < 3 * 7; x++) {
				struct packet p = { .src = ip_of(ends[i].ip),
						    .dst = ip_of(ends[k].ip),
						    .in = ends[i].pod,
						    .out = ends[k].pod,
						    .proto = protos[x / 7],
						    .port = ports[x % 7],
						    .mark = below(2) ? POLICY_MARK : 0 };
				bool clean = !p.mark;
				bool want =
				    kubernetes_says(&b->w, ends[i], ends[k], p.proto, p.port);
				bool got = walk(chains, "KDG-F", &p) != REFUSE;

				refused += !want;
				if (got != want)
					fail_msg("%s -> %s %s %u is %s and should be %s in\n%s",
						 ends[i].ip, ends[k].ip, name_of(p.proto),
						 p.port, got ? "open" : "shut",
						 want ? "open" : "shut", yaml);
				/* whoever set the mark before, nobody sees ours after */
				if (got && clean)
					assert_int_equal(p.mark, 0);
			}
	return refused;
}

static void
a_packets_fate_is_what_kubernetes_says(void **state)
{
	static struct bench b;
	size_t refused = 0;

	(void)state;
	for (uint32_t i = 0; i < 400; i++) {
		cleanup_buf struct buf yaml = { 0 };
		struct chains c = { 0 };
		struct map chains = { 0 };

		seed = i * 7919 + 1;
		b = (struct bench){ 0 };
		any_world(&yaml);
		settle(&b, buf_text(&yaml));
		rules_of(&b, &c);
		by_name(&c, &chains);
		refused += compare(&b, &chains, buf_text(&yaml));
		map_done(&chains);
		chains_done(&c);
		done(&b);
	}
	assert_in_range(refused, 10000, SIZE_MAX); /* there was something to refuse */
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_packets_fate_is_what_kubernetes_says),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
