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
	unsigned bits; /* of a key: 16, 32, 128 */
	bool known;    /* hardly anybody comes whom it has not: who is left after the other
			  branches goes to the last unasked, for a leaf asks for the whole key */
	const void *ctx;
	addr (*key)(const void *ctx, size_t i);
	void (*leaf)(const void *ctx, struct chain *, size_t i);
	/* The rule to a node over all that begin as `key` does; i is one of them. */
	void (*branch)(const void *ctx, struct chain *, size_t i, addr key, unsigned bits,
		       const char *child);
	void (*name)(const void *ctx, addr key, unsigned bits, char to[static RULES_NAME]);
};

/* Over n things from the from-th on, which share the first `bits` bits.  The root is `c`, begun
 * by the caller, the nodes below it are begun here.  Up to `flat` are a list. */
void rules_tree_grow(const struct rules_tree *, struct chain *c, size_t from, size_t n,
		     unsigned bits, size_t flat);
/* "KDG-V-0a2b0000-16"; an IPv6 address goes by its hash. */
void rules_tree_name(const char *root, unsigned of, addr key, unsigned bits,
		     char to[static RULES_NAME]);
#endif
