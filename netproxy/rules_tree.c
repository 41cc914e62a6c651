/* rules_tree.c -- see rules_tree.h. */
#include "rules_tree.h"
#include <stdio.h>

void
rules_tree_name(const char *root, unsigned of, addr key, unsigned bits,
		char to[static RULES_NAME])
{
	if (of == 128)
		snprintf(to, RULES_NAME, "%s-%016jx-%u", root, (uintmax_t)addr_hash(bits, key),
			 bits);
	else
		snprintf(to, RULES_NAME, "%s-%0*x-%u", root, (int)of / 4, (unsigned)key, bits);
}

static addr
head_of(const struct rules_tree *t, size_t i, unsigned bits)
{
	return addr_head(t->key(t->ctx, i), bits, t->bits);
}

static void
grow(const struct rules_tree *t, struct chain *c, size_t from, size_t n, unsigned bits,
     size_t flat, unsigned depth)
{
	size_t start[(1 << RULES_STEP) + 1], groups = 0;
	char child[RULES_NAME];

	/* A level on which all agree decides nothing. */
	while (n > flat && bits < t->bits &&
	       head_of(t, from, bits + RULES_STEP) ==
		   head_of(t, from + n - 1, bits + RULES_STEP))
		bits += RULES_STEP;
	if (n <= flat || bits >= t->bits || depth == RULES_DEPTH) {
		for (size_t i = from; i < from + n; i++)
			t->leaf(t->ctx, c, i);
		return;
	}
	bits += RULES_STEP;
	for (size_t i = from; i < from + n; i++)
		if (i == from || head_of(t, i, bits) != head_of(t, i - 1, bits))
			start[groups++] = i;
	start[groups] = from + n;
	for (size_t g = 0; g < groups; g++) {
		addr key = head_of(t, start[g], bits);

		if (start[g + 1] - start[g] == 1) {
			t->leaf(t->ctx, c, start[g]);
			continue;
		}
		t->name(t->ctx, key, bits, child);
		if (t->known && g + 1 == groups) /* a stranger, too: no leaf will know it */
			chain_rule(c, "-g %s", child);
		else
			t->branch(t->ctx, c, start[g], key, bits, child);
	}
	/* Not before: a chain that is begun makes the one before it invalid. */
	for (size_t g = 0; g < groups; g++) {
		if (start[g + 1] - start[g] == 1)
			continue;
		t->name(t->ctx, head_of(t, start[g], bits), bits, child);
		grow(t, chain_begin(t->out, t->table, child), start[g], start[g + 1] - start[g],
		     bits, RULES_LEAF, depth + 1);
	}
}

void
rules_tree_grow(const struct rules_tree *t, struct chain *c, size_t from, size_t n,
		unsigned bits, size_t flat)
{
	grow(t, c, from, n, bits, flat, 0);
}
