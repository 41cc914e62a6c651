/* tables.h -- what the kernel's iptables hold of ours, read without a process.
 *
 * Both kinds answer two questions: has anything changed at all (one system
 * call), and which of our chains and jumps are there with how many rules.
 * iptables-save would answer the second too, in some 10 ms and a process.
 */
#ifndef KEDGE_TABLES_H
#define KEDGE_TABLES_H
#include "nl.h"
#include "reconcile/base/map.h"
#include "rules.h"

enum tables_kind { TABLES_LEGACY, TABLES_NFT, TABLES_KINDS };
extern const char *const tables_kinds[TABLES_KINDS]; /* "legacy", "nf_tables" */

struct tables {
	enum tables_kind kind;
	bool v6;            /* ip6tables' */
	struct nl nl;       /* nf_tables: a netfilter socket */
	int raw;            /* legacy: a raw socket */
	const char *chains; /* how our chains' names begin there; "KDG" in here, always */
};

/* `chains` has to live as long. */
int tables_open(struct tables *, enum tables_kind, bool v6, const char *chains,
		struct error **);
void tables_close(struct tables *);

/* Differs from its last value when anybody changed a rule. */
int tables_print(struct tables *, uint64_t *ret, struct error **);

struct seen {
	struct map chains[RULES_TABLES]; /* ours: name -> (void *)(rules + 1) */
	unsigned jumps[RULES_JUMPS];     /* how often each is there */
	unsigned foreign;                /* rules in FORWARD that are not ours */
	const char *prefix;              /* of ours in the kernel */
};
int tables_read(struct tables *, struct seen *, struct error **); /* into an all-zero one */
void seen_done(struct seen *);
size_t seen_rules(const void *value); /* of a chains' value; 0 when there is no such chain */

/* Does the kernel have this match (loading its module if need be)? */
bool tables_has_match(struct tables *, const char *name, uint8_t revision);
/* Are there rules of anybody in the kind that is not used? */
bool tables_mixed(const struct tables *);
/* Is there a firewall in nf_tables that iptables knows nothing of, at a way of ours?  The first
 * such chain, "inet filter, chain input"; those of ip6 only with `v6`. */
bool tables_wall(bool v6, char *to, size_t size);
#endif
