/* commit_nft.c -- the part of a commit that is elements of nftables' maps. */
#include "nft_wire.h"
#include "np.h"
#include "reconcile/base/cleanup.h"
#include "reconcile/base/error.h"
#include "reconcile/base/log.h"
#include <stdio.h>
#include <string.h>

struct keep {
	struct nft_change *t;
	const char *set;
};

static void
keep_one(void *ctx, addr ip, unsigned timeout_s, unsigned left_s)
{
	const struct keep *k = ctx;

	nft_change_keep(k->t, k->set, ip, timeout_s, left_s);
}

/* A load makes the table anew: whose endpoint a client has goes over to it. */
static void
keep_affinity(struct np *np, struct nft_change *t, const char *lines)
{
	struct error *e = NULL;

	for (const char *at = lines; *at && !e; at += strcspn(at, "\n") + 1) {
		char set[64];
		struct keep k = { t, set };

		if (*at == 's' && sscanf(at, "s %63[^\n]", set) == 1)
			(void)nft_each(&np->nft_nl, np->nft_table, np->net.v6, set, keep_one,
				       &k, &e);
	}
	if (e)
		log_warn("netproxy", "clients may get another endpoint than they had: %s",
			 error_text(e));
	error_free(&e);
}

static void
put(struct np *np, struct nft_change *t, const struct chain *c)
{
	const struct chain *was = t->whole ? NULL : commit_chain(np, RULES_NAT, c->name);

	nft_change_add(t, was ? buf_text(&was->body) : NULL, buf_text(&c->body));
	if (t->whole)
		keep_affinity(np, t, buf_text(&c->body));
}

bool
commit_nft_make(struct np *np, struct delta *d, struct nft_change *t)
{
	bool changes;

	*t = (struct nft_change){ .shapes = &np->shapes, .v6 = np->net.v6, .whole = d->whole };
	if (d->whole) {
		map_done(&np->shapes);
		np->shapes = (struct map){ 0 };
	}
	for (size_t i = 0; i < d->put.n; i++)
		if (d->put.at[i].table == RULES_NAT)
			put(np, t, &d->put.at[i]);
	for (size_t i = 0; !d->whole && i < d->del.n; i++) {
		const struct chain *was = commit_chain(np, RULES_NAT, d->del.at[i].name);

		if (was && d->del.at[i].table == RULES_NAT)
			nft_change_add(t, buf_text(&was->body), NULL);
	}
	changes = nft_change_end(t, &np->net);
	rules_rename(&t->rules, np->config.chains);
	rules_rename(&t->last, np->config.chains);
	d->elements = t->put_n + t->gone_n;
	if (d->whole) {
		np->nft_twice = t->twice;
		np->nft_loaded = t->put_n;
	}
	return changes;
}

bool
commit_nft_is_load(const struct np *np)
{
	size_t n = 0;

	for (size_t i = 0; np->net.nft && i < np->staged_n; i++)
		if (!np->staged[i]->dropped && !np->staged[i]->was.id)
			n += np->staged[i]->now.n;
	return n > NFT_LEAST / 2 && n > np->nft_loaded;
}

/* nftables have their say first: what is no more rejected is served by then.  The kernel is
 * done with it when this returns. */
int
commit_nft_write(struct np *np, const struct nft_change *t, struct error **e)
{
	cleanup_buf struct buf wire = { 0 }, text = { 0 }, quote = { 0 };
	cleanup_error struct error *first = NULL;
	uint32_t line;

	nft_wire(t, np->nft_table, &wire);
	if (nl_transact(&np->nft_nl, wire.at, wire.len, &line, &first) == 0)
		return 0;
	nft_change_print(t, &text);
	rules_rename(&text, np->config.chains);
	restore_quote(&text, line, &quote);
	return fail(e, first->why, "%s%s", error_text(first), buf_text(&quote));
}

/* As iptables' chains are compared: by how much there is. */
bool
commit_nft_matches(const struct np *np, const struct nft_seen_table *seen)
{
	unsigned elements = 0, rules = nft_shared_rules(&np->net, &np->shapes);

	for (struct map_slot *s = map_first(&np->committed); s;
	     s = map_next(&np->committed, s)) {
		const struct chain *c = s->value;

		if (c->table == RULES_NAT)
			nft_count(buf_text(&c->body), &elements, &rules);
	}
	return seen->elements == elements - np->nft_twice && seen->rules == rules;
}
