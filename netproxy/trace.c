/* trace.c -- the way of a new connection through the rules that were committed.
 *
 * Reads the same text that iptables-restore was given, rule by rule, so it cannot say
 * anything else than what is in force.  It understands what rules.c writes; a match that it
 * does not know is taken not to match, and every rule that did match is shown.
 */
#include "np.h"
#include "reconcile/base/cleanup.h"
#include "trace_nft.h"
#include <arpa/inet.h>
#include <ifaddrs.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A tree of 128 bits has 64 levels.  The kernel refuses chains that lead to themselves; LONGEST
 * ends a walk among such, should our memory ever have them. */
enum { DEEPEST = 90, LONGEST = 10000 };

struct packet {
	const struct np *np;
	addr from, to;
	uint8_t proto;
	uint16_t port;
	bool from_local, to_local; /* an address of the host */
	bool inside, outside;      /* in, or out, by the bridge */
	bool translated;           /* to an endpoint */
	uint32_t mark;             /* as the rules so far have set it */
	unsigned chains;           /* in this walk so far */
	struct np_way *way;
};

/* The word behind an option. */
static bool
word(const char *rule, const char *option, char *to, size_t size)
{
	const char *at = strstr(rule, option);
	size_t n;

	if (!at)
		return false;
	at += strlen(option);
	n = strcspn(at, " ");
	snprintf(to, size, "%.*s", (int)n, at);
	return true;
}

/* Of IPv6 xt_recent writes all digits. */
static void
recent_text(addr ip, char to[static 64])
{
	uint8_t at[16];

	addr_print(ip, to);
	if (!addr_v6(ip))
		return;
	addr_bytes(true, ip, at);
	for (int i = 0; i < 8; i++)
		snprintf(to + 5 * i, 6, "%02x%02x%s", at[2 * i], at[2 * i + 1],
			 i < 7 ? ":" : "");
}

/* Did this client meet that endpoint within the time?  The list's ages are in jiffies of the
 * kernel's own, so here any entry counts. */
static bool
is_remembered(const char *list, addr from)
{
	char path[96], line[256], ip[64], key[80];
	FILE *f;
	bool yes = false;

	snprintf(path, sizeof path, "/proc/thread-self/net/xt_recent/%.28s", list);
	recent_text(from, ip);
	snprintf(key, sizeof key, "src=%s ", ip);
	f = fopen(path, "re");
	while (f && !yes && fgets(line, sizeof line, f))
		yes = !strncmp(line, key, strlen(key));
	if (f)
		fclose(f);
	return yes;
}

static bool
ports_match(const char *text, uint16_t port)
{
	unsigned lo = 0, hi = 0;
	int n = sscanf(text, "%u:%u", &lo, &hi);

	return n >= 1 && port >= lo && port <= (n == 2 ? hi : lo);
}

/* Is this option there, and against what the packet is? */
static bool
differs(const char *rule, const char *option, bool is)
{
	char negated[48];

	snprintf(negated, sizeof negated, " !%s", option);
	return strstr(rule, negated) ? is : strstr(rule, option) && !is;
}

static bool
address_differs(const char *rule, const char *option, addr ip)
{
	struct addr_range r;
	char x[64];

	return word(rule, option, x, sizeof x) &&
	       differs(rule, option, addr_range_read(x, &r) && addr_within(ip, r));
}

/* The bridge is the only link of ours; another is lo, or one of the host's. */
static bool
link_differs(const char *rule, const char *option, bool bridge, bool lo)
{
	char name[64];

	if (!word(rule, option, name, sizeof name))
		return false;
	return differs(rule, option, strcmp(name, "lo") ? bridge : lo);
}

/* "0x4b00/0x4b00" */
static bool
mark_read(const char *rule, const char *option, uint32_t *ret_value, uint32_t *ret_mask)
{
	char text[64];

	return word(rule, option, text, sizeof text) &&
	       sscanf(text, "0x%" SCNx32 "/0x%" SCNx32, ret_value, ret_mask) == 2;
}

static bool
states_match(const struct packet *p, const char *rule)
{
	char x[128];

	if (!word(rule, " --ctstate ", x, sizeof x))
		return true;
	return strstr(x, "NEW") || (p->translated && strstr(x, "DNAT"));
}

/* One of two programs: the other looks for what is forged, and nothing is. */
static bool
program_matches(const struct packet *p, const char *rule)
{
	return strstr(rule, rules_itself[p->np->net.v6]) && p->from == p->to;
}

static bool
matches(const struct packet *p, const char *rule)
{
	uint32_t value, mask;
	char x[128];

	if (address_differs(rule, " -d ", p->to) || address_differs(rule, " -s ", p->from))
		return false;
	if (word(rule, " -p ", x, sizeof x) && strcmp(x, rules_proto(p->proto)))
		return false;
	if (word(rule, " --dport ", x, sizeof x) && !ports_match(x, p->port))
		return false;
	if (link_differs(rule, " -i ", p->inside, p->from_local) ||
	    link_differs(rule, " -o ", p->outside, p->to_local))
		return false;
	if (differs(rule, " --dst-type LOCAL", p->to_local) ||
	    differs(rule, " --src-type LOCAL", p->from_local))
		return false;
	if (!states_match(p, rule) || (strstr(rule, " -m bpf ") && !program_matches(p, rule)))
		return false;
	if (strstr(rule, " -m mark ") &&
	    (!mark_read(rule, " --mark ", &value, &mask) || (p->mark & mask) != value))
		return false;
	if (word(rule, " --rcheck ", x, sizeof x) && word(rule, " --name ", x, sizeof x))
		return is_remembered(x, p->from);
	return true;
}

/* As it is in the kernel, where our chains may have another name. */
static void
step_add(const struct packet *p, const char *table, const char *rule)
{
	struct np_way *w = p->way;
	struct buf text = { 0 };

	buf_adds(&text, rule);
	rules_rename(&text, p->np->config.chains);
	/* Each endpoint is asked about; what is the same for all of them is said once. */
	for (size_t i = 0; i < w->nsteps; i++)
		if (w->steps[i].table == table && !strcmp(w->steps[i].rule, buf_text(&text))) {
			buf_done(&text);
			return;
		}
	w->steps = xrealloc(w->steps, (w->nsteps + 1) * sizeof *w->steps);
	w->steps[w->nsteps++] = (struct np_step){ table, buf_steal(&text) };
}

static void
end_add(struct packet *p, const char *to, double share)
{
	struct np_way *w = p->way;
	struct np_end end = { .share = share, .mark = p->mark };
	char ip[64];
	char *colon;
	addr address;

	snprintf(ip, sizeof ip, "%.63s", to + (*to == '['));
	colon = strrchr(ip, ':');
	if (!colon)
		return;
	*colon = 0;
	if (*to == '[' && colon > ip)
		colon[-1] = 0;
	if (!addr_read(ip, &address))
		return;
	end.at = (struct np_endpoint){ .ip = address, .port = atoi(colon + 1) };
	w->ends = xrealloc(w->ends, (w->nends + 1) * sizeof end);
	w->ends[w->nends++] = end;
}

/* What a rule's target does; what of `part` goes on to the next rule.  -1: it is a chain. */
static double
act(struct packet *p, const char *rule, const char *to, double part)
{
	uint32_t value, mask;
	char x[64];

	if (!strcmp(to, "DNAT") && word(rule, " --to-destination ", x, sizeof x)) {
		end_add(p, x, part);
		return 0;
	}
	if (!strcmp(to, "MARK") && mark_read(rule, " --set-xmark ", &value, &mask)) {
		p->mark = (p->mark & ~mask) ^ value;
		return part;
	}
	if (!strcmp(to, "MASQUERADE")) {
		p->way->masqueraded = true;
		return 0;
	}
	if (!strcmp(to, "REJECT") || !strcmp(to, "DROP"))
		p->way->verdict = *to == 'R' ? NP_REFUSED : NP_DROPPED;
	return strcmp(to, "REJECT") && strcmp(to, "DROP") && strcmp(to, "ACCEPT") ? -1 : 0;
}

/* What of `share` is left when the chain is over: 0 when its fate is decided. */
static double
walk(struct packet *p, enum rules_table table, const char *name, double share, int deep)
{
	char key[RULES_NAME + 2], to[64], x[64];
	const struct chain *c;
	char *body, *save = NULL;

	snprintf(key, sizeof key, "%d %s", table, name);
	c = map_get(&p->np->committed, key);
	p->chains = deep ? p->chains + 1 : 0;
	if (!c || deep > DEEPEST || p->chains > LONGEST)
		return share;
	body = xstrdup(buf_text(&c->body));
	for (char *r = strtok_r(body, "\n", &save); r && share > 0;
	     r = strtok_r(NULL, "\n", &save)) {
		bool goes = word(r, " -g ", to, sizeof to);
		double part = share, left;
		uint32_t mark = p->mark;

		if (!matches(p, r) || (!goes && !word(r, " -j ", to, sizeof to)))
			continue;
		step_add(p, rules_tables[table], r);
		if (word(r, " --probability ", x, sizeof x))
			part = share * strtod(x, NULL);
		if (!strcmp(to, "RETURN"))
			break;
		left = act(p, r, to, part);
		if (left < 0)
			left = walk(p, table, to, part, deep + 1);
		if (part < share) /* who goes on has not been there */
			p->mark = mark;
		share -= part - left;
		if (goes)
			break;
	}
	free(body);
	return share < 1e-9 ? 0 : share;
}

static void
locate(struct packet *p)
{
	const struct rules_net *net = &p->np->net;
	struct ifaddrs *all = NULL;

	p->from_local = p->to_local = false;
	(void)getifaddrs(&all);
	for (struct ifaddrs *a = all; a; a = a->ifa_next) {
		const void *at = a->ifa_addr;
		addr ip;

		if (!at || a->ifa_addr->sa_family != (net->v6 ? AF_INET6 : AF_INET))
			continue;
		ip = net->v6 ? addr_from(true, &((const struct sockaddr_in6 *)at)->sin6_addr)
			     : addr_from(false, &((const struct sockaddr_in *)at)->sin_addr);
		p->from_local |= ip == p->from;
		p->to_local |= ip == p->to;
	}
	freeifaddrs(all);
	p->inside = !p->from_local && addr_within(p->from, net->pods);
	p->outside =
	    !p->to_local && (addr_within(p->to, net->pods) || addr_within(p->to, net->svcs));
}

/* Where connections are translated, before and behind what filters. */
static void
nat(struct packet *p, const char *chain)
{
	if (!p->np->net.nft) {
		(void)walk(p, RULES_NAT, chain, 1, 0);
		return;
	}
	trace_nft(p->np,
		  &(struct nft_packet){ .from = p->from,
					.to = p->to,
					.proto = p->proto,
					.port = p->port,
					.from_local = p->from_local,
					.to_local = p->to_local,
					.translated = p->translated,
					.outside = p->outside,
					.mark = p->mark },
		  strcmp(chain, "KDG-P") ? "d" : "post", p->way);
}

/* Where it goes by now: may it, and with which address does it come there? */
static void
pass(struct packet *p)
{
	const char *chain = p->to_local ? "KDG-I" : p->from_local ? "KDG-O" : "KDG-F";

	p->way->verdict = NP_PASSED;
	(void)walk(p, RULES_FILTER, chain, 1, 0);
	if (p->way->verdict == NP_PASSED && !p->to_local)
		nat(p, "KDG-P");
}

/* Each endpoint that it may be translated to. */
static void
pass_ends(struct packet *p)
{
	struct np_way *w = p->way;
	enum np_verdict all = NP_PASSED;

	p->translated = true;
	for (size_t i = 0; i < w->nends; i++) {
		struct np_end *end = &w->ends[i];

		p->to = end->at.ip;
		p->port = end->at.port;
		p->mark = end->mark;
		locate(p);
		pass(p);
		end->verdict = w->verdict == NP_PASSED ? NP_SERVED : w->verdict;
		if (!i || end->verdict == NP_SERVED)
			all = end->verdict;
	}
	w->verdict = all;
}

void
np_trace(const struct np *np, addr from, addr to, uint8_t proto, uint16_t port,
	 struct np_way *ret)
{
	const struct np *of = addr_v6(to) && np->six ? np->six : np;
	struct packet p = { .np = of,
			    .from = from ? from : np_pod(of, np->link.gateway),
			    .to = to,
			    .proto = proto,
			    .port = port,
			    .way = ret };

	*ret = (struct np_way){ 0 };
	locate(&p);
	nat(&p, "KDG-D");
	if (ret->nends)
		pass_ends(&p);
	else
		pass(&p);
}

void
np_way_done(struct np_way *w)
{
	for (size_t i = 0; i < w->nsteps; i++)
		free(w->steps[i].rule);
	free(w->steps);
	free(w->ends);
	*w = (struct np_way){ 0 };
}
