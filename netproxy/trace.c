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
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DEEPEST = 40 }; /* a tree of 32 bits has 16 levels */

struct packet {
	const struct np *np;
	uint32_t from, to;
	uint8_t proto;
	uint16_t port;
	bool from_local, to_local; /* an address of the host */
	bool inside, outside;      /* in, or out, by the bridge */
	struct np_way *way;
};

static bool
in_net(uint32_t ip, uint32_t net, unsigned bits)
{
	return !bits || !((ip ^ net) >> (32 - bits));
}

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

static bool
net_matches(const char *text, uint32_t ip)
{
	char copy[64], *slash;
	struct in_addr in;

	snprintf(copy, sizeof copy, "%.63s", text);
	slash = strchr(copy, '/');
	if (slash)
		*slash = 0;
	return inet_pton(AF_INET, copy, &in) == 1 &&
	       in_net(ip, ntohl(in.s_addr), slash ? (unsigned)atoi(slash + 1) : 32);
}

/* Did this client meet that endpoint within the time?  The list's ages are in jiffies of the
 * kernel's own, so here any entry counts. */
static bool
is_remembered(const char *list, uint32_t from)
{
	char path[96], line[256], ip[LINK_TEXT], key[LINK_TEXT + 8];
	FILE *f;
	bool yes = false;

	snprintf(path, sizeof path, "/proc/thread-self/net/xt_recent/%.28s", list);
	snprintf(key, sizeof key, "src=%s ", ipv4_print(from, ip));
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

static const char *
proto_word(uint8_t proto)
{
	return proto == IPPROTO_UDP ? "udp" : proto == IPPROTO_SCTP ? "sctp" : "tcp";
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
address_differs(const char *rule, const char *option, uint32_t ip)
{
	char x[64];

	return word(rule, option, x, sizeof x) && differs(rule, option, net_matches(x, ip));
}

static bool
matches(const struct packet *p, const char *rule)
{
	char x[128];

	if (address_differs(rule, " -d ", p->to) || address_differs(rule, " -s ", p->from))
		return false;
	if (word(rule, " -p ", x, sizeof x) && strcmp(x, proto_word(p->proto)))
		return false;
	if (word(rule, " --dport ", x, sizeof x) && !ports_match(x, p->port))
		return false;
	if (differs(rule, " -i ", p->inside) || differs(rule, " -o ", p->outside))
		return false;
	if (differs(rule, " --dst-type LOCAL", p->to_local) ||
	    differs(rule, " --src-type LOCAL", p->from_local))
		return false;
	if (word(rule, " --ctstate ", x, sizeof x) && !strstr(x, "NEW"))
		return false;
	if (strstr(rule, " -m bpf ") || strstr(rule, " -m mark "))
		return false; /* nothing is forged, and the mark is of another hook */
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
	w->steps = xrealloc(w->steps, (w->nsteps + 1) * sizeof *w->steps);
	w->steps[w->nsteps++] = (struct np_step){ table, buf_steal(&text) };
}

static void
end_add(struct np_way *w, const char *to, double share)
{
	struct np_end end = { .share = share };
	char ip[64];
	char *colon;
	struct in_addr in;

	snprintf(ip, sizeof ip, "%.63s", to);
	colon = strchr(ip, ':');
	if (!colon)
		return;
	*colon = 0;
	if (inet_pton(AF_INET, ip, &in) != 1)
		return;
	end.at = (struct np_endpoint){ .ip = ntohl(in.s_addr), .port = atoi(colon + 1) };
	w->ends = xrealloc(w->ends, (w->nends + 1) * sizeof end);
	w->ends[w->nends++] = end;
	w->verdict = NP_SERVED;
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
	if (!c || deep > DEEPEST)
		return share;
	body = xstrdup(buf_text(&c->body));
	for (char *r = strtok_r(body, "\n", &save); r && share > 0;
	     r = strtok_r(NULL, "\n", &save)) {
		bool goes = word(r, " -g ", to, sizeof to);
		double part = share, left;

		if (!matches(p, r) || (!goes && !word(r, " -j ", to, sizeof to)))
			continue;
		step_add(p, rules_tables[table], r);
		if (word(r, " --probability ", x, sizeof x))
			part = share * strtod(x, NULL);
		if (!strcmp(to, "RETURN"))
			break;
		if (!strcmp(to, "DNAT") && word(r, " --to-destination ", x, sizeof x)) {
			end_add(p->way, x, part);
			left = 0;
		} else if (!strcmp(to, "ACCEPT") || !strcmp(to, "DROP") ||
			   !strcmp(to, "REJECT")) {
			p->way->verdict = *to == 'R'   ? NP_REFUSED
					  : *to == 'D' ? NP_DROPPED
						       : p->way->verdict;
			left = 0;
		} else {
			p->way->masqueraded |= !strcmp(to, "KDG-MASQ");
			left = walk(p, table, to, part, deep + 1);
		}
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
	struct ifaddrs *all = NULL;

	(void)getifaddrs(&all);
	for (struct ifaddrs *a = all; a; a = a->ifa_next) {
		uint32_t ip;

		if (!a->ifa_addr || a->ifa_addr->sa_family != AF_INET)
			continue;
		ip = ntohl(((struct sockaddr_in *)a->ifa_addr)->sin_addr.s_addr);
		p->from_local |= ip == p->from;
		p->to_local |= ip == p->to;
	}
	freeifaddrs(all);
}

void
np_trace(const struct np *np, uint32_t from, uint32_t to, uint8_t proto, uint16_t port,
	 struct np_way *ret)
{
	const struct np_config *c = &np->config;
	struct packet p = { .np = np,
			    .from = from ? from : np->link.gateway,
			    .to = to,
			    .proto = proto,
			    .port = port,
			    .way = ret };

	*ret = (struct np_way){ 0 };
	locate(&p);
	p.inside = !p.from_local && in_net(p.from, c->pod_net, c->pod_bits);
	p.outside = !p.to_local && (in_net(to, c->pod_net, c->pod_bits) ||
				    in_net(to, c->svc_net, c->svc_bits));
	if ((c->nft ? trace_nft(np,
				&(struct nft_packet){ p.from, to, proto, port, p.from_local,
						      p.to_local },
				ret)
		    : walk(&p, RULES_NAT, "KDG-D", 1, 0)) <= 0)
		return;
	(void)walk(&p, RULES_FILTER,
		   p.to_local     ? "KDG-I"
		   : p.from_local ? "KDG-O"
				  : "KDG-F",
		   1, 0);
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
