/* policy.c -- a NetworkPolicy's two parts, as lists of addresses and ports.
 *
 * Pure.  Selectors become addresses and names of ports become numbers here, so the
 * proxy knows nothing of labels.  The names in an ingress rule are those of the pod
 * that is asked, which the policy selects; in an egress rule they are those of each
 * peer, so such a rule becomes one for each number that its peers have for it.
 */
#include "policy.h"
#include "base/addr.h"
#include "base/buf.h"
#include "base/map.h"
#include "controllers.h"
#include "service.h"

#define PARTS_READABLE 4 /* so many numbers of ports are part of a part's name */

const char *
policy_address(const struct snapshot *s, const struct pod *pod)
{
	if (!pod->spec || pod->spec->hostNetwork || !pod->status ||
	    str_is(pod->status->podIP, ""))
		return NULL;
	/* What has ended has given its address back. */
	return pod_is_finished(pod) && !snapshot_seen(s, object_uid(pod)) ? NULL
									  : pod->status->podIP;
}

bool
policy_is_about(const struct network_policy *np, bool egress)
{
	const struct strs *types = &np->spec->policyTypes;

	for (size_t i = 0; i < types->n; i++)
		if (str_is(types->at[i], egress ? "Egress" : "Ingress"))
			return true;
	return false;
}

/* An absent selector is an empty one here: every pod of the namespace. */
bool
policy_selects(const struct network_policy *np, const struct pod *pod)
{
	const struct label_selector *by = np->spec->podSelector;

	return str_is(object_namespace(np), object_namespace(pod)) &&
	       (!by || selector_matches(by, &pod->metadata->labels));
}

/* ---- ports ---- */

/* The number of a named port; 0: the pod has none of that name. */
static int64_t
port_of(const struct pod *pod, const struct network_policy_port *port)
{
	const struct container_port *p = pod_part_port(pod->spec, port->port.s, port->protocol);

	return p ? p->containerPort : 0;
}

static struct admit_ports
port_plain(const struct network_policy_port *p, int64_t number)
{
	return (struct admit_ports){ .protocol = p->protocol ? p->protocol : "TCP",
				     .port = number,
				     .endPort = p->port.s ? 0 : p->endPort };
}

/* As they are for this pod; false: the rule names ports, and it has none of them. */
static bool
ports_for(const struct network_policy_port *at, size_t n, const struct pod *pod,
	  struct admit_rule *to, struct arena *a)
{
	to->ports.at = arena_zalloc(a, (n + 1) * sizeof *to->ports.at);
	to->ports.n = 0;
	for (size_t i = 0; i < n; i++) {
		int64_t number = at[i].port.s && pod ? port_of(pod, &at[i]) : at[i].port.i;

		if (!at[i].port.s || number)
			to->ports.at[to->ports.n++] = port_plain(&at[i], number);
	}
	return to->ports.n || !n;
}

const char *
policy_part(const struct network_policy *np, bool egress, const struct pod *pod,
	    struct arena *a)
{
	cleanup_buf struct buf text = { 0 };
	const char *name = object_name(np);
	size_t n = 0;

	if (egress)
		return arena_printf(a, "%s:egress", name);
	for (size_t i = 0; i < np->spec->ingress.n; i++)
		for (size_t k = 0; k < np->spec->ingress.at[i].ports.n; k++) {
			const struct network_policy_port *p =
			    &np->spec->ingress.at[i].ports.at[k];

			if (p->port.s && pod) {
				buf_addf(&text, "-%lld", (long long)port_of(pod, p));
				n++;
			}
		}
	if (n > PARTS_READABLE)
		return arena_printf(a, "%s:ingress-x%016llx", name,
				    (unsigned long long)hash_hard(0, text.at, text.len));
	return arena_printf(a, "%s:ingress%s", name, buf_text(&text));
}

/* ---- peers ---- */

struct peers {
	struct snapshot *s;
	const struct network_policy *np;
	struct arena *a;
	const struct pod **at; /* with an address */
	size_t n, cap;
};

static void
peers_add(struct peers *v, const struct pod *pod)
{
	if (!policy_address(v->s, pod))
		return;
	if (v->n == v->cap) {
		const struct pod **at;

		v->cap = v->cap ? 2 * v->cap : 16;
		at = arena_alloc(v->a, v->cap * sizeof *at);
		if (v->n)
			memcpy(at, v->at, v->n * sizeof *at);
		v->at = at;
	}
	v->at[v->n++] = pod;
}

static void
peers_of_namespace(struct peers *v, const char *ns, const struct label_selector *by)
{
	bool plain = by && by->matchLabels.n && !by->matchExpressions.n;
	struct objects pods = plain ? snapshot_selected(v->s, RES_pod, ns, &by->matchLabels)
				    : snapshot_in(v->s, RES_pod, ns);

	for (size_t i = 0; i < pods.n; i++)
		if (!by || selector_matches(by, &pods.at[i]->metadata->labels))
			peers_add(v, (const struct pod *)pods.at[i]);
}

static void
peers_of(struct peers *v, const struct network_policy_peer *p)
{
	const struct objects *all = &v->s->of[RES_namespace];

	if (p->ipBlock)
		return;
	if (!p->namespaceSelector)
		peers_of_namespace(v, object_namespace(v->np), p->podSelector);
	for (size_t i = 0; p->namespaceSelector && i < all->n; i++)
		if (selector_matches(p->namespaceSelector, &all->at[i]->metadata->labels))
			peers_of_namespace(v, object_name(all->at[i]), p->podSelector);
}

static int
text_order(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The same pods give the same list, in whatever order and how often they were named. */
static struct strs
addresses(const struct peers *v)
{
	struct strs out = { arena_alloc(v->a, (v->n + 1) * sizeof *out.at), 0 };
	size_t n = 0;

	for (size_t i = 0; i < v->n; i++)
		out.at[out.n++] = policy_address(v->s, v->at[i]);
	if (out.n)
		qsort(out.at, out.n, sizeof *out.at, text_order);
	for (size_t i = 0; i < out.n; i++)
		if (!n || strcmp(out.at[n - 1], out.at[i]))
			out.at[n++] = out.at[i];
	out.n = n;
	return out;
}

/* Have pods addresses of that family, and so peers? */
static bool
has_family(const struct snapshot *s, const char *cidr)
{
	return !addr_text_is_v6(cidr) || (s->settings && s->settings->pods6.bits);
}

static void
nets_of(const struct snapshot *s, const struct network_policy_peer *at, size_t n,
	struct admit_rule *to, struct arena *a)
{
	to->nets.at = arena_zalloc(a, (n + 1) * sizeof *to->nets.at);
	for (size_t i = 0; i < n; i++) {
		const struct ip_block *b = at[i].ipBlock;
		struct admit_net *net = &to->nets.at[to->nets.n];

		if (!b || !has_family(s, b->cidr))
			continue;
		net->cidr = b->cidr;
		net->except = b->except;
		to->nets.n++;
	}
}

static void
peers_settle(struct peers *v, const struct network_policy_peer *at, size_t n,
	     struct admit_rule *to)
{
	to->anyone = !n;
	for (size_t i = 0; i < n; i++)
		peers_of(v, &at[i]);
	to->pods = addresses(v);
	nets_of(v->s, at, n, to, v->a);
}

/* ---- egress by names of ports ---- */

static bool
block_has(const struct ip_block *b, const char *address)
{
	struct addr_range r;
	addr ip;

	if (!addr_read(address, &ip) || !addr_range_read(b->cidr, &r) || !addr_within(ip, r))
		return false;
	for (size_t i = 0; i < b->except.n; i++)
		if (addr_range_read(b->except.at[i], &r) && addr_within(ip, r))
			return false;
	return true;
}

/* Every pod that the rule's peers mean, also by its address: names are of pods alone. */
static void
peers_named(struct peers *v, const struct network_policy_peer *at, size_t n)
{
	const struct objects *all = &v->s->of[RES_pod];

	for (size_t i = 0; i < n; i++)
		peers_of(v, &at[i]);
	for (size_t i = 0; i < all->n; i++) {
		const struct pod *pod = (const struct pod *)all->at[i];
		const char *ip = policy_address(v->s, pod);
		bool means = !n;

		for (size_t k = 0; ip && !means && k < n; k++)
			means =
			    at[k].ipBlock && (block_has(at[k].ipBlock, ip) ||
					      block_has(at[k].ipBlock, pod_address(pod, true)));
		if (means)
			peers_add(v, pod);
	}
}

struct rules {
	struct admit_rule *at;
	size_t n, cap;
	struct arena *a;
};

static void
rules_add(struct rules *r, const struct admit_rule *x)
{
	if (r->n == r->cap) {
		struct admit_rule *at;

		r->cap = r->cap ? 2 * r->cap : 4;
		at = arena_zalloc(r->a, r->cap * sizeof *at);
		if (r->n)
			memcpy(at, r->at, r->n * sizeof *at);
		r->at = at;
	}
	r->at[r->n++] = *x;
}

/* One rule for each number that the peers have under this name, in their order. */
static void
egress_named(const struct peers *all, const struct network_policy_port *port, struct rules *out)
{
	bool *done = arena_zalloc(all->a, all->n + 1);

	for (size_t i = 0; i < all->n; i++) {
		struct peers same = { all->s, all->np, all->a, NULL, 0, 0 };
		int64_t number = done[i] ? 0 : port_of(all->at[i], port);
		struct admit_rule rule = { 0 };

		if (!number)
			continue;
		for (size_t k = i; k < all->n; k++)
			if (!done[k] && port_of(all->at[k], port) == number) {
				done[k] = true;
				peers_add(&same, all->at[k]);
			}
		rule.pods = addresses(&same);
		rule.ports.at = arena_zalloc(all->a, sizeof *rule.ports.at);
		rule.ports.at[rule.ports.n++] = port_plain(port, number);
		rules_add(out, &rule);
	}
}

static void
egress_rule(struct snapshot *s, const struct network_policy *np,
	    const struct network_policy_egress_rule *r, struct rules *out)
{
	struct peers by_name = { s, np, out->a, NULL, 0, 0 };
	struct peers v = by_name;
	struct admit_rule rule = { 0 };
	bool named = false;

	for (size_t i = 0; i < r->ports.n; i++)
		named |= r->ports.at[i].port.s != NULL;
	if (ports_for(r->ports.at, r->ports.n, NULL, &rule, out->a)) {
		peers_settle(&v, r->to.at, r->to.n, &rule);
		rules_add(out, &rule);
	}
	if (!named)
		return;
	peers_named(&by_name, r->to.at, r->to.n);
	for (size_t i = 0; i < r->ports.n; i++)
		if (r->ports.at[i].port.s)
			egress_named(&by_name, &r->ports.at[i], out);
}

/* ---- parts ---- */

static struct rules
ingress_rules(struct snapshot *s, const struct network_policy *np, const struct pod *pod,
	      struct arena *a)
{
	struct rules out = { .a = a };

	for (size_t i = 0; i < np->spec->ingress.n; i++) {
		const struct network_policy_ingress_rule *r = &np->spec->ingress.at[i];
		struct peers v = { s, np, a, NULL, 0, 0 };
		struct admit_rule rule = { 0 };

		if (!ports_for(r->ports.at, r->ports.n, pod, &rule, a))
			continue;
		peers_settle(&v, r->from.at, r->from.n, &rule);
		rules_add(&out, &rule);
	}
	return out;
}

static struct rules
egress_rules(struct snapshot *s, const struct network_policy *np, struct arena *a)
{
	struct rules out = { .a = a };

	for (size_t i = 0; i < np->spec->egress.n; i++)
		egress_rule(s, np, &np->spec->egress.at[i], &out);
	return out;
}

static const char *
part_id(const struct network_policy *np, const char *part, struct arena *a)
{
	return arena_printf(a, "networkpolicy %s/%s", object_namespace(np), part);
}

static void
admit(struct snapshot *s, const struct network_policy *np, bool egress, const struct pod *pod,
      struct plan *p)
{
	const char *part = policy_part(np, egress, pod, p->arena);
	const struct enforced *has = snapshot_enforced(s, part_id(np, part, p->arena));
	struct rules r =
	    egress ? egress_rules(s, np, p->arena) : ingress_rules(s, np, pod, p->arena);
	struct admit_args args = { .egress = egress };

	args.rules.at = r.at;
	args.rules.n = r.n;
	if (has && schema_equal(admit_args_kind(), has->args, &args))
		return;
	plan_add(p,
		 (struct action){
		     .verb = ACT_ADMIT,
		     .kind = resources[RES_network_policy].singular,
		     .ns = arena_strdup(p->arena, object_namespace(np)),
		     .name = part,
		     .from = has ? (int64_t)((const struct admit_args *)has->args)->rules.n : 0,
		     .to = (int64_t)r.n,
		     .why = r.n ? "" : "nobody",
		     .body = schema_clone(admit_args_kind(), &args, p->arena) });
}

/* Parts in force that no pod asks for any more. */
static void
release(struct snapshot *s, const struct network_policy *np, struct map *wanted, struct plan *p)
{
	const char *prefix = part_id(np, object_name(np), p->arena);
	size_t len = strlen(prefix);

	for (size_t i = snapshot_enforced_from(s, prefix);
	     i < s->nenforced && !strncmp(s->enforced[i].id, prefix, len); i++) {
		const char *part = strchr(s->enforced[i].id, '/') + 1;

		if (s->enforced[i].id[len] != ':' || map_get(wanted, part))
			continue;
		plan_add(p, (struct action){ .verb = ACT_RELEASE,
					     .kind = resources[RES_network_policy].singular,
					     .ns = arena_strdup(p->arena, object_namespace(np)),
					     .name = arena_strdup(p->arena, part),
					     .why = "no pod needs it" });
	}
}

void
policy_reconcile(struct snapshot *s, const struct network_policy *np, struct plan *p)
{
	struct objects pods = snapshot_in(s, RES_pod, object_namespace(np));
	struct map wanted = { 0 };

	for (size_t i = 0; np->spec && i < pods.n; i++) {
		const struct pod *pod = (const struct pod *)pods.at[i];

		if (!policy_selects(np, pod) || !policy_address(s, pod))
			continue;
		for (int egress = 0; egress < 2; egress++)
			if (policy_is_about(np, egress) &&
			    !map_put(&wanted, policy_part(np, egress, pod, p->arena), p))
				admit(s, np, egress, pod, p);
	}
	release(s, np, &wanted, p);
	map_done(&wanted);
}
