/* rules_tree.h -- chains that find one of many keys (addresses, ports) in few rules.
 *
 * A node asks for RULES_STEP bits of the key: one rule a branch, gone to, not called.  Four
 * branches a node, not sixteen: the last of four is met after four rules, and two such levels
 * tell apart as many as one of sixteen.  Where few are left they stand as a plain list.
 */
#ifndef KEDGE_NETPROXY_RULES_TREE_H
#define KEDGE_NETPROXY_RULES_TREE_H
#include "rules.h"

/* What a tree is over: things with a number, sorted by their keys.  Keys may be alike. */
struct rules_tree {
	struct chains *out;
	enum rules_table table;
	unsigned bits; /* of a key: 16, 32 */
	const void *ctx;
	uint32_t (*key)(const void *ctx, size_t i);
	void (*leaf)(const void *ctx, struct chain *, size_t i);
	/* The rule to a node over all that begin as `key` does; i is one of them. */
	void (*branch)(const void *ctx, struct chain *, size_t i, uint32_t key, unsigned bits,
		       const char *child);
	void (*name)(const void *ctx, uint32_t key, unsigned bits, char to[static RULES_NAME]);
};

/* Over n things from the from-th on, which share the first `bits` bits.  The root is `c`, begun
 * by the caller, the nodes below it are begun here.  Up to `flat` are a list. */
void rules_tree_grow(const struct rules_tree *, struct chain *c, size_t from, size_t n,
		     unsigned bits, size_t flat);
/* A key's first `bits` of its `of` bits, the rest 0. */
uint32_t rules_tree_head(uint32_t key, unsigned bits, unsigned of);
#endif
