/* trace_nft.c -- see trace_nft.h. */
#include "trace_nft.h"
#include <stdlib.h>
#include <string.h>

/* Lines of all services that begin so, what follows of each. */
static bool
find(const struct np *np, const char *begin, bool all, struct buf *to)
{
	size_t n = strlen(begin), had = to->len;

	for (struct map_slot *s = map_first(&np->committed); s;
	     s = map_next(&np->committed, s)) {
		const struct chain *c = s->value;
		const char *at = c->table == RULES_NAT ? buf_text(&c->body) : "";

		for (; *at; at += strcspn(at, "\n") + 1) {
			if (strncmp(at, begin, n))
				continue;
			buf_add(to, at + n, strcspn(at + n, "\n") + all);
			if (!all)
				return true;
		}
	}
	return to->len > had;
}

static bool
element(void *ctx, const char *map, const char *key, struct buf *to)
{
	char begin[320];

	snprintf(begin, sizeof begin, "e %s %s%s", map, key,
		 strcmp(map, "self") ? " : " : "\n");
	return find(ctx, begin, false, to);
}

static void
rules(void *ctx, const char *chain, struct buf *to)
{
	const struct np *np = ctx;
	char begin[64];

	if (strchr("stegx", *chain) && chain[1] == '-') {
		snprintf(begin, sizeof begin, "r %s ", chain);
		(void)find(np, begin, true, to);
	} else {
		nft_chain_rules(&np->net, chain, to);
	}
}

static bool
has(void *ctx, const char *set, addr ip)
{
	const struct np *np = ctx;

	return nft_has(np->nft_table, set, ip, np->net.v6);
}

void
trace_nft(const struct np *np, const struct nft_packet *p, const char *chain,
	  struct np_way *way)
{
	struct nft_table t = { (void *)np, np->net.v6, element, rules, has };
	size_t from = way->nsteps;

	(void)nft_walk(&t, p, chain, way);
	/* As it is in the kernel, where our table may have another name. */
	for (size_t i = from; i < way->nsteps; i++) {
		struct buf text = { 0 };

		buf_adds(&text, way->steps[i].rule);
		free(way->steps[i].rule);
		rules_rename(&text, np->config.chains);
		way->steps[i].rule = buf_steal(&text);
	}
}
