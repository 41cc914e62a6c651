/* np.h -- what the files of netproxy share, and nobody else sees. */
#ifndef KEDGE_NP_H
#define KEDGE_NP_H
#include "conntrack.h"
#include "fence.h"
#include "link.h"
#include "nft.h"
#include "nft_look.h"
#include "reconcile/base/arena.h"
#include "restore.h"

/* The chains one service, or the trees, had when they were last written. */
struct names {
	struct name {
		enum rules_table table;
		char name[RULES_NAME];
	} * at;
	size_t n;
};

struct service {
	struct np_service now; /* owned */
	struct np_service was; /* as last written; was.id NULL: never */
	struct names chains;
	bool staged, dropped;
};

/* One part of a policy, or one isolated pod. */
struct guard {
	struct arena arena; /* of what follows */
	struct np_part part;
	struct np_isolated pod;
	struct names chains;
	bool staged, dropped;
	addr flying, in_force; /* the pod's address in the rules last written, and in force */
};
struct policies {
	struct map parts, pods; /* id -> struct guard */
	struct names trees;
	bool dispatch; /* the trees have to be made again, */
	bool moved;    /* all pods' chains, for there are other parts */
};

/* One commit on its way. */
struct delta {
	struct chains put;
	struct names del;
	struct ct_target *cut; /* endpoints owned */
	size_t cut_n;
	bool whole;
	unsigned elements; /* np_wrote's */
	bool split;        /* very many chains go in several transactions */
};

/* The rules of one family.  Links are the first's; what the second has of them is unused. */
struct np {
	struct np_config config; /* strings owned by the first */
	struct np *six;          /* IPv6's rules; NULL: this is them, or there are none */
	bool six_runs;           /* its commit is the one under way */
	struct link link;
	struct nl *routes; /* the first's rtnetlink */
	struct tables tables;
	struct nl bridged; /* to nf_tables; fd -1: it filters no frames here */
	char *restore;
	char nft_table[RULES_NAME];
	struct nl nft_nl;   /* fd -1: nat is in iptables as well */
	struct map shapes;  /* nft.h: the shared chains in force */
	unsigned nft_twice; /* claimed elements that another service has */
	size_t nft_loaded;  /* elements of the last load */
	uint64_t nft_print;
	struct rules_net net;
	bool tracks; /* the kernel has ctnetlink */
	bool said_recent, said_sctp;
	const char *lacks[12];
	char wall[256]; /* one of them */

	struct link_ahead ahead[16]; /* the oldest first */
	unsigned ahead_n, ahead_made;
	bool said_ahead;

	struct map plugged; /* names of pods' links, at the last look at them */
	bool looked;

	struct policies policies;
	struct map services;     /* id -> struct service */
	struct service **staged; /* those of them that are, so that a commit asks no others */
	size_t staged_n;
	struct names trees;
	bool dispatch;        /* the trees have to be made again */
	struct map committed; /* "0 KDG-V" (table, name) -> struct chain */
	bool whole;           /* what is in force is not known: write everything */
	bool written;         /* `committed` is in force */
	bool settled;         /* no packet goes by what was in force before */

	struct restore run;
	int idle; /* readable: a commit that had nothing to write */
	struct delta delta;
	struct np_wrote wrote;
	size_t announces; /* balancers' addresses, at the last commit */
	bool announce;    /* they may differ since */

	bool printed; /* `print` is of rules that were found whole */
	uint64_t print;
};

/* The pod's address in the family of these rules. */
addr np_pod(const struct np *, addr ip);
/* services.c */
void service_clear(struct np_service *);
struct np_service service_copy(const struct np_service *);
void service_free(struct service *);
/* Does the difference show in the trees? */
bool service_moves(const struct np_service *, const struct np_service *);
void service_stage(struct np *, struct service *);
/* For very many chains that nobody leads to any more: in several transactions. */
void commit_text_remove(const struct names *, enum rules_table, struct buf *);
void commit_done(struct np *); /* frees the model */
/* Takes an owner's new chains: what differs goes into the delta, what it had
 * and has no more is to be removed. */
void delta_add(struct np *, struct delta *, struct names *had, struct chains *now);
/* policy_set.c */
void policies_delta(struct np *, struct delta *);
void policies_in_force(struct policies *); /* what the last delta brought */
void policies_done(struct policies *);
/* As it was last committed; NULL: there was none. */
const struct chain *commit_chain(const struct np *, enum rules_table, const char *name);
/* commit_nft.c: nat, when it is nftables': a transaction, and that it is done.  It borrows what
 * was committed and the delta; false: nothing changes. */
bool commit_nft_make(struct np *, struct delta *, struct nft_change *);
/* Is there more to add than there is?  Then all of it is written anew, with room for it. */
bool commit_nft_is_load(const struct np *);
int commit_nft_write(struct np *, const struct nft_change *, struct error **);
bool commit_nft_matches(const struct np *, const struct nft_seen_table *);
/* Compares the kernel's chains with what was committed. */
bool commit_matches(const struct np *, const struct seen *);
/* Puts balancers' addresses on the links, and takes those away that are no longer wanted. */
int commit_announce(struct np *, unsigned *ret_changed, struct error **);
#endif
