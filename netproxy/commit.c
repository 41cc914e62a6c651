/* commit.c -- how the staged services become rules.
 *
 * What is written is the difference to what was written last, chain by chain:
 * own memory is compared, never iptables-save.  When own memory cannot be
 * trusted (the first commit, a failed one, rules that somebody removed), the
 * kernel is asked which of our chains and jumps it has, and all are replaced.
 * Either way it is one iptables-restore, atomic in each table.
 *
 * nat comes first: when the first endpoint of a service appears it is served
 * before it stops being rejected, and packets that were translated no longer
 * match the rules that reject.
 */
#include "announce.h"
#include "knobs.h"
#include "np.h"
#include "reconcile/base/cleanup.h"
#include "reconcile/base/error.h"
#include "reconcile/base/log.h"
#include <assert.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/eventfd.h>

/* -- chains by name --------------------------------------------------------- */

static const char *
chain_key(enum rules_table t, const char *name, char to[static RULES_NAME + 2])
{
	assert(strlen(name) < RULES_NAME);
	to[0] = '0' + (char)t;
	to[1] = ' ';
	memcpy(to + 2, name, strlen(name) + 1); /* a load asks for very many */
	return to;
}

const struct chain *
commit_chain(const struct np *np, enum rules_table t, const char *name)
{
	char key[RULES_NAME + 2];

	return map_get(&np->committed, chain_key(t, name, key));
}

static void
names_add(struct names *x, enum rules_table t, const char *name)
{
	x->at = xgrow(x->at, x->n, sizeof *x->at);
	assert(strlen(name) < RULES_NAME);
	x->at[x->n].table = t;
	stpcpy(x->at[x->n++].name, name);
}

static bool
names_have(const struct names *x, enum rules_table t, const char *name)
{
	for (size_t i = 0; i < x->n; i++)
		if (x->at[i].table == t && !strcmp(x->at[i].name, name))
			return true;
	return false;
}

static void
chain_free(struct chain *c)
{
	if (c)
		buf_done(&c->body);
	free(c);
}

static void
committed_put(struct np *np, struct chain *c)
{
	char key[RULES_NAME + 2];
	struct chain *x = xmalloc(sizeof *x);

	*x = *c;
	c->body = (struct buf){ 0 };
	chain_free(map_put(&np->committed, chain_key(x->table, x->name, key), x));
}

static void
committed_clear(struct np *np)
{
	for (struct map_slot *s = map_first(&np->committed); s; s = map_next(&np->committed, s))
		chain_free(s->value);
	map_done(&np->committed);
}

static void
delta_done(struct delta *d)
{
	chains_done(&d->put);
	free(d->del.at);
	for (size_t i = 0; i < d->cut_n; i++)
		free((struct np_endpoint *)d->cut[i].at);
	free(d->cut);
	*d = (struct delta){ 0 };
}

void
commit_done(struct np *np)
{
	for (struct map_slot *s = map_first(&np->services); s; s = map_next(&np->services, s))
		service_free(s->value);
	map_done(&np->services);
	free(np->staged);
	committed_clear(np);
	delta_done(&np->delta);
	free(np->trees.at);
	policies_done(&np->policies);
}

/* -- the difference --------------------------------------------------------- */

void
delta_add(struct np *np, struct delta *d, struct names *had, struct chains *now)
{
	struct names have = { 0 };
	char key[RULES_NAME + 2];

	for (size_t i = 0; i < now->n; i++) {
		struct chain *c = &now->at[i];
		const struct chain *was =
		    map_get(&np->committed, chain_key(c->table, c->name, key));

		names_add(&have, c->table, c->name);
		if (!d->whole && was && !strcmp(buf_text(&was->body), buf_text(&c->body)))
			continue;
		d->put.at = xgrow(d->put.at, d->put.n, sizeof *c);
		d->put.at[d->put.n++] = *c;
		c->body = (struct buf){ 0 };
	}
	for (size_t i = 0; !d->whole && i < had->n; i++)
		if (!names_have(&have, had->at[i].table, had->at[i].name))
			names_add(&d->del, had->at[i].table, had->at[i].name);
	free(had->at);
	*had = have;
	chains_done(now);
}

static void
cut_add(struct delta *d, addr ip, uint16_t port, const struct np_service *now)
{
	struct ct_target t = { .ip = ip, .port = port };

	if (!port)
		return;
	if (now && now->n) {
		struct np_endpoint *at = xcalloc(now->n, sizeof *at);

		memcpy(at, now->endpoints, now->n * sizeof *at);
		t.at = at;
		t.n = now->n;
	}
	d->cut = xgrow(d->cut, d->cut_n, sizeof t);
	d->cut[d->cut_n++] = t;
}

/* Where clients send to; the last two may be nowhere (port 0). */
static struct ct_target
entrance(const struct np_service *s, size_t i)
{
	if (i < s->nouter)
		return (struct ct_target){ .ip = s->outer[i], .port = s->port };
	if (i == s->nouter)
		return (struct ct_target){ .port = s->node_port };
	if (i == s->nouter + 1)
		return (struct ct_target){ .ip = s->vip, .port = s->vip ? s->port : 0 };
	return (struct ct_target){ .ip = s->balancer, .port = s->balancer ? s->port : 0 };
}

#define ENTRANCES(s) ((s)->nouter + 3)

static bool
has_entrance(const struct np_service *s, struct ct_target t)
{
	for (size_t i = 0; s && i < ENTRANCES(s); i++) {
		struct ct_target x = entrance(s, i);

		if (x.ip == t.ip && x.port == t.port)
			return true;
	}
	return false;
}

static bool
endpoint_of(const struct np_service *s, struct np_endpoint x)
{
	for (size_t i = 0; i < s->n; i++)
		if (s->endpoints[i].ip == x.ip && s->endpoints[i].port == x.port)
			return true;
	return false;
}

/* Which flows of this service have to be looked at once the rules are in force? */
static void
cut_service(struct delta *d, const struct service *s)
{
	const struct np_service *now = s->dropped ? NULL : &s->now,
				*was = s->was.id ? &s->was : NULL;
	bool same;

	if (now && now->proto != IPPROTO_UDP)
		now = NULL;
	if (was && was->proto != IPPROTO_UDP)
		was = NULL;
	same = was && now && was->n; /* a port may have become one of another protocol */
	for (size_t i = 0; was && i < ENTRANCES(was); i++) {
		struct ct_target t = entrance(was, i);

		if (!has_entrance(now, t))
			cut_add(d, t.ip, t.port, NULL);
	}
	if (!now)
		return;
	for (size_t i = 0; same && i < was->n; i++)
		same = endpoint_of(now, was->endpoints[i]);
	if (same && !service_moves(was, now) && !d->whole)
		return; /* all who answered may still answer */
	for (size_t i = 0; i < ENTRANCES(now); i++) {
		struct ct_target t = entrance(now, i);

		cut_add(d, t.ip, t.port, now);
	}
}

static void
delta_service(struct np *np, struct delta *d, struct service *s)
{
	struct chains now = { 0 };

	cut_service(d, s);
	if (!s->dropped && np->net.nft)
		nft_settle((struct np_endpoint *)s->now.endpoints, &s->now.n,
			   s->was.id ? &s->was : NULL);
	if (!s->dropped)
		rules_service(&np->net, &s->now, &now);
	delta_add(np, d, &s->chains, &now);
	if (d->put.n)
		d->put.at[d->put.n - 1].may_end = true;
	s->staged = false;
	service_clear(&s->was);
	if (!s->dropped)
		s->was = service_copy(&s->now);
}

/* So that a transaction may end after each. */
static void
bottom_up(struct chain *at, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct chain c = at[i];

		if (i < n - 1 - i) {
			at[i] = at[n - 1 - i];
			at[n - 1 - i] = c;
		}
		at[i].may_end = true;
	}
}

static void
delta_trees(struct np *np, struct delta *d)
{
	const struct np_service **all = xcalloc(np->services.n, sizeof *all);
	struct chains now = { 0 };
	size_t n = 0, trees;

	for (struct map_slot *s = map_first(&np->services); s; s = map_next(&np->services, s)) {
		const struct service *x = s->value;

		if (!x->dropped)
			all[n++] = &x->now;
	}
	trees = rules_dispatch(&np->net, all, n, &now);
	bottom_up(now.at, trees);
	delta_add(np, d, &np->trees, &now);
	free(all);
	np->dispatch = false;
}

static void
delta_make(struct np *np, struct delta *d)
{
	if (d->whole) {
		np->staged_n = 0;
		for (struct map_slot *s = map_first(&np->services); s;
		     s = map_next(&np->services, s))
			service_stage(np, s->value);
	}
	for (size_t i = 0; i < np->staged_n; i++)
		delta_service(np, d, np->staged[i]);
	if (np->dispatch || d->whole)
		delta_trees(np, d);
	policies_delta(np, d);
	/* Services that are gone and in nobody's rules any more are forgotten. */
	for (size_t i = 0; i < np->staged_n; i++) {
		struct service *x = np->staged[i];

		if (!x->dropped)
			continue;
		map_del(&np->services, x->now.id);
		service_free(x);
	}
	np->staged_n = 0;
}

/* -- the text --------------------------------------------------------------- */

enum { COMMIT_CHAINS = 1000 };

static size_t
text_chains(const struct delta *d, enum rules_table t, size_t from, size_t to, struct buf *b)
{
	size_t n = 0;

	for (size_t i = from; i < to; i++)
		if (d->put.at[i].table == t) {
			buf_addf(b, ":%s - [0:0]\n", d->put.at[i].name);
			n++;
		}
	return n;
}

static void
text_rules(const struct delta *d, enum rules_table t, size_t from, size_t to, struct buf *b)
{
	for (size_t i = from; i < to; i++)
		if (d->put.at[i].table == t)
			buf_add(b, buf_text(&d->put.at[i].body), d->put.at[i].body.len);
}

/* iptables-nft-restore takes four times as long for twice as many chains, so very many are
 * written in several transactions of one run.  All that a service has stays together; what
 * leads to services comes after them, the branches of trees before their roots: until the
 * last one new services are met by nobody, and those that were there are served as before or
 * as from now on. */
static size_t
text_first(const struct delta *d, enum rules_table t, struct buf *b)
{
	size_t from = 0, start;

	for (size_t i = 0; d->split && i < d->put.n; i++) {
		if (!d->put.at[i].may_end || i - from < COMMIT_CHAINS)
			continue;
		start = b->len;
		buf_addf(b, "*%s\n", rules_tables[t]);
		if (text_chains(d, t, from, i + 1, b)) {
			text_rules(d, t, from, i + 1, b);
			buf_adds(b, "COMMIT\n");
		} else {
			b->len = start;
			b->at[start] = 0;
		}
		from = i + 1;
	}
	return from;
}

/* Names of one table, from the `from`-th on, at most `most`; returns where it stopped. */
static size_t
text_names(const struct names *del, enum rules_table t, size_t from, size_t most,
	   const char *before, const char *after, struct buf *b)
{
	size_t n = 0;

	for (; from < del->n && n < most; from++)
		if (del->at[from].table == t) {
			buf_addf(b, "%s%s%s\n", before, del->at[from].name, after);
			n++;
		}
	return from;
}

void
commit_text_remove(const struct names *del, enum rules_table t, struct buf *b)
{
	static const char *const steps[][2] = { { ":", " - [0:0]" }, { "-X ", "" } };

	/* All are empty before the first goes: none is led to from another any more. */
	for (size_t i = 0; i < 2; i++)
		for (size_t from = 0; from < del->n;) {
			buf_addf(b, "*%s\n", rules_tables[t]);
			from = text_names(del, t, from, COMMIT_CHAINS, steps[i][0], steps[i][1],
					  b);
			buf_adds(b, "COMMIT\n");
		}
}

static void
text_jumps(const struct delta *d, const struct seen *seen, enum rules_table t, struct buf *b)
{
	for (unsigned i = 0; seen && i < RULES_JUMPS; i++) {
		const struct rules_jump *j = &rules_jumps[i];

		if (j->table != t)
			continue;
		for (unsigned k = 0; k < seen->jumps[i]; k++)
			buf_addf(b, "-D %s -j %s\n", j->from, j->to);
		if (d->put.n)
			buf_addf(b, "-I %s 1 -j %s\n", j->from, j->to);
	}
}

static size_t
names_of(const struct names *x, enum rules_table t)
{
	size_t n = 0;

	for (size_t i = 0; i < x->n; i++)
		n += x->at[i].table == t;
	return n;
}

static void
text_table(const struct delta *d, const struct seen *seen, enum rules_table t, struct buf *b)
{
	size_t from = text_first(d, t, b), start = b->len, gone = names_of(&d->del, t);
	bool later = d->split && gone > COMMIT_CHAINS;

	buf_addf(b, "*%s\n", rules_tables[t]);
	/* Declaring a chain empties it, which is what removing one needs as well. */
	if (!text_chains(d, t, from, d->put.n, b) && !gone) {
		b->len = start; /* nothing of this table changes */
		b->at[start] = 0;
		return;
	}
	if (!later)
		text_names(&d->del, t, 0, SIZE_MAX, ":", " - [0:0]", b);
	text_rules(d, t, from, d->put.n, b);
	text_jumps(d, seen, t, b);
	if (!later)
		text_names(&d->del, t, 0, SIZE_MAX, "-X ", "", b);
	buf_adds(b, "COMMIT\n");
	if (later)
		commit_text_remove(&d->del, t, b);
}

/* -- writing ---------------------------------------------------------------- */

/* Everything anew: what the kernel has of ours and the model has not is removed. */
static int
delta_whole(struct np *np, struct delta *d, struct seen *seen, struct error **e)
{
	struct chains base = { 0 };
	struct names none = { 0 };

	if (tables_read(&np->tables, seen, e) < 0 ||
	    link_knobs_turn(np->net.v6, &np->net.turned, e) < 0)
		return -1;
	d->whole = true;
	rules_base(&np->net, &base);
	delta_add(np, d, &none, &base);
	delta_make(np, d);
	free(none.at);
	for (unsigned t = 0; t < RULES_TABLES; t++) {
		struct map have = { 0 };

		for (size_t i = 0; seen->chains[t].n && i < d->put.n; i++)
			if (d->put.at[i].table == t)
				map_put(&have, d->put.at[i].name, d);
		for (struct map_slot *s = map_first(&seen->chains[t]); s;
		     s = map_next(&seen->chains[t], s))
			if (!map_get(&have, s->key))
				names_add(&d->del, t, s->key);
		map_done(&have);
	}
	return 0;
}

/* What iptables' nat has of ours, from before nftables took over. */
static void
text_leave(const struct delta *d, const struct seen *seen, struct buf *b)
{
	if (!d->whole || !seen->chains[RULES_NAT].n)
		return;
	buf_adds(b, "*nat\n");
	for (unsigned i = 0; i < RULES_JUMPS; i++)
		for (unsigned k = 0; rules_jumps[i].table == RULES_NAT && k < seen->jumps[i];
		     k++)
			buf_addf(b, "-D %s -j %s\n", rules_jumps[i].from, rules_jumps[i].to);
	buf_adds(b, "COMMIT\n");
	commit_text_remove(&d->del, RULES_NAT, b);
}

static int
write_begin(struct np *np, bool whole, struct error **e)
{
	cleanup_buf struct buf text = { 0 };
	struct nft_change first = { 0 };
	struct seen seen = { 0 };
	bool idle, changes = false;
	int rc = 0;

	/* An element that two claim may have to go to the other. */
	whole |= np->nft_twice;
	delta_done(&np->delta);
	np->delta.split = np->tables.kind == TABLES_NFT;
	if (whole)
		rc = delta_whole(np, &np->delta, &seen, e);
	else
		delta_make(np, &np->delta);
	if (!rc && np->net.nft) {
		changes = commit_nft_make(np, &np->delta, &first);
		text_leave(&np->delta, &seen, &text);
	}
	for (unsigned t = np->net.nft ? RULES_FILTER : 0; !rc && t < RULES_TABLES; t++)
		text_table(&np->delta, whole ? &seen : NULL, t, &text);
	seen_done(&seen);
	rules_rename(&text, np->config.chains);
	idle = !text.len;
	if (!rc && changes)
		rc = commit_nft_write(np, &first, e);
	nft_change_done(&first);
	if (!rc && !idle)
		rc = restore_begin(&np->run, np->restore, np->config.restore_seconds, &text, e);
	if (!rc && idle) {
		np->idle = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);
		if (np->idle < 0)
			rc = fail_sys(e, "make an eventfd for rules that need no change");
	}
	/* The model has moved on without the rules: next time everything is written. */
	if (rc < 0)
		np->whole = true;
	return rc;
}

/* The delta is in force. */
static void
write_done(struct np *np)
{
	struct delta *d = &np->delta;
	char key[RULES_NAME + 2];

	np->wrote = (struct np_wrote){ .chains = d->put.n,
				       .removed = d->del.n,
				       .elements = d->elements,
				       .whole = d->whole };
	if (d->whole)
		committed_clear(np);
	for (size_t i = 0; i < d->put.n; i++) {
		np->wrote.rules += d->put.at[i].rules;
		committed_put(np, &d->put.at[i]);
	}
	for (size_t i = 0; i < d->del.n; i++)
		chain_free(map_del(&np->committed,
				   chain_key(d->del.at[i].table, d->del.at[i].name, key)));
	policies_in_force(&np->policies);
	np->whole = false;
	np->written = true;
	np->printed = np->printed && !d->put.n && !d->del.n;
}

/* The rules are in force whatever comes of this, so its failure is told and no error. */
static void
write_cut(struct np *np)
{
	struct delta *d = &np->delta;
	struct error *e = NULL;
	unsigned n = 0;

	if (!np->tracks || (!d->cut_n && !d->whole))
		return;
	if (conntrack_cut(d->cut, d->cut_n, np->net.pods, d->whole ? &np->net.svcs : NULL, &n,
			  &e) < 0)
		log_warn("netproxy", "UDP flows to endpoints that have gone may linger: %s",
			 error_text(e));
	else
		log_debug("netproxy", "%u UDP flows cut", n);
	error_free(&e);
}

/* Balancers' addresses of the host, once the rules that serve them are in force. */
int
commit_announce(struct np *np, unsigned *ret_changed, struct error **e)
{
	addr *want = xcalloc(np->services.n, sizeof *want);
	size_t n = 0;
	int rc;

	*ret_changed = 0;
	for (struct map_slot *s = map_first(&np->services); s; s = map_next(&np->services, s)) {
		const struct service *x = s->value;

		if (!x->dropped && x->now.balancer)
			want[n++] = x->now.balancer;
	}
	np->announces = n;
	rc = announce_sync(np->routes, &np->config, np->net.v6, want, n, ret_changed, e);
	np->announce = rc < 0;
	free(want);
	return rc;
}

int
np_commit(struct np *np, struct error **e)
{
	cleanup_error struct error *first = NULL;

	assert(np_fd(np) < 0);
	if (np->whole || !np->written || commit_nft_is_load(np))
		return write_begin(np, true, e);
	if (write_begin(np, false, &first) == 0)
		return 0;
	log_debug("netproxy", "%s; writing everything", error_text(first));
	return write_begin(np, true, e);
}

int
np_fd(const struct np *np)
{
	if (np->six_runs)
		return np_fd(np->six);
	return np->run.pidfd >= 0 ? np->run.pidfd : np->idle;
}

/* Of its own family. */
static int
commit_end(struct np *np, struct error **e)
{
	struct error *first = NULL;
	unsigned changed;
	int rc = 0;

	assert(np_fd(np) >= 0);
	if (np->idle >= 0) {
		close(np->idle);
		np->idle = -1;
	} else if (restore_end(&np->run, &first) < 0) {
		bool was_whole = np->delta.whole;

		np->whole = true;
		/* Somebody removed what the difference was built upon, most likely; and who
		 * hung once is not waited for again here. */
		if (!was_whole && !np->run.late) {
			log_debug("netproxy", "%s; writing everything", error_text(first));
			error_free(&first);
			rc = write_begin(np, true, e);
			if (!rc)
				rc = restore_end(&np->run, e);
			if (rc)
				np->whole = true;
		} else {
			rc = fail_with(e, &first);
		}
	}
	error_free(&first);
	if (rc)
		return rc;
	write_done(np);
	if (!np->net.nft && np->delta.whole &&
	    nft_remove(np->nft_table, np->net.v6, &first) < 0) {
		log_warn("netproxy", "the table %s of nf_tables, from before, stays: %s",
			 np->nft_table, error_text(first));
		np->whole = true; /* it has the first word: again, until it is gone */
	}
	error_free(&first);
	write_cut(np);
	if ((np->announce || np->delta.whole) && commit_announce(np, &changed, &first) < 0)
		log_warn("netproxy", "%s", error_text(first));
	error_free(&first);
	delta_done(&np->delta);
	return 0;
}

int
np_commit_end(struct np *np, struct error **e)
{
	np->settled = false;
	if (np->six_runs) {
		np->six_runs = false;
		if (commit_end(np->six, e) < 0)
			return fail_in(e, "IPv6");
		np->wrote.chains += np->six->wrote.chains;
		np->wrote.rules += np->six->wrote.rules;
		np->wrote.removed += np->six->wrote.removed;
		np->wrote.elements += np->six->wrote.elements;
		return 0;
	}
	if (commit_end(np, e) < 0)
		return -1;
	if (!np->six)
		return 0;
	if (np_commit(np->six, e) < 0)
		return fail_in(e, "IPv6");
	np->six_runs = true;
	return 1;
}

struct np_wrote
np_wrote(const struct np *np)
{
	return np->wrote;
}

bool
commit_matches(const struct np *np, const struct seen *seen)
{
	char key[RULES_NAME + 2];
	size_t ours = 0;

	for (unsigned i = 0; i < RULES_JUMPS; i++)
		if (seen->jumps[i] !=
		    (np->net.nft && rules_jumps[i].table == RULES_NAT ? 0 : 1))
			return false;
	for (unsigned t = np->net.nft ? RULES_FILTER : 0; t < RULES_TABLES; t++) {
		ours += seen->chains[t].n;
		if (seen_rules(map_get(&seen->chains[t], RULES_CANARY)) != 1)
			return false;
		for (struct map_slot *s = map_first(&seen->chains[t]); np->written && s;
		     s = map_next(&seen->chains[t], s)) {
			const struct chain *c =
			    map_get(&np->committed, chain_key(t, s->key, key));

			if (!c || c->rules != seen_rules(s->value))
				return false;
		}
	}
	for (struct map_slot *s = map_first(&np->committed); np->net.nft && s;
	     s = map_next(&np->committed, s))
		ours += ((const struct chain *)s->value)->table == RULES_NAT;
	return !np->written || ours == np->committed.n;
}
