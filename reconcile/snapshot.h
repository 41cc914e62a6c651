/* snapshot.h -- what every controller reads: desired, observed, now.
 *
 * Read only while a pass lasts.  The arrays belong to whoever built it (the
 * store, or a test); the indexes are made on first use in the snapshot's arena.
 */
#ifndef KEDGE_SNAPSHOT_H
#define KEDGE_SNAPSHOT_H
#include "base/addr.h"
#include "object.h"

struct arena;
struct map;

/* Sorted by object_compare: namespace, then name. */
struct objects {
	const struct object *const *at;
	size_t n;
};

/* What the prober knows of a container; a row that is missing means "no probe said anything".
 */
struct probe_seen {
	const char *uid, *container;
	int64_t startedAt; /* of the run it speaks of; another run's verdicts do not count */
	bool started;      /* the startup probe passed, or there is none */
	bool ready;        /* the readiness probe passed, or there is none */
	bool live_failed;  /* liveness or startup failed for good: restart it */
	const char *message;
};

/* What the rules on the host serve right now, as acknowledged by the hand. */
struct programmed {
	const char *id; /* "default/web:http" */
	const struct service_args *args;
};

/* A service's address or node port that left the rules: who had a connection to it, or
 * remembers it, must not meet a stranger there yet. */
#define RESTING_6 "IPV6"
struct resting {
	uint32_t number;
	const char *protocol; /* of a node port; NULL: an address; RESTING_6: one of IPv6, by
				 its place in the range */
	int64_t until;
};

/* What of network policies the host enforces right now, as acknowledged by the hand. */
struct enforced {
	const char *id; /* "networkpolicy default/web:ingress": admit_args,
			   "pod default/web-1": isolate_args */
	const void *args;
};

/* An image that is, or was, fetched. */
enum pull_state { PULL_NONE, PULL_QUEUED, PULL_RUNNING, PULL_DONE, PULL_FAILED };

struct pull_seen_row {
	const char *key; /* pod_image.h */
	enum pull_state state;
	int64_t began, ended; /* of the last attempt */
	int64_t retry_at;     /* of one that failed */
	const char *error;    /* of the last failure since it worked; "" for none */
};

/* Addresses from the operator's word, both ends included and of one family. */
struct address_range {
	addr first, last;
};
enum { ADDRESS_RANGES = 32 };
struct address_ranges {
	struct address_range at[ADDRESS_RANGES];
	size_t n;
};

/* Settings that controllers obey; from kedge.yaml. */
struct settings {
	const char *node_name;
	struct pairs node_labels;       /* the operator's, over our own */
	const char *node_ip, *node_ip6; /* NULL: it has none of IPv6 */
	struct addr_range pods, svcs;   /* 10.42.0.0/16, 10.43.0.0/16 */
	struct addr_range pods6, svcs6; /* bits 0: the cluster has no IPv6 */
	int node_port_lo, node_port_hi; /* 30000, 32767 */
	const char *cluster_domain;     /* "cluster.local" */
	const char *cluster_dns;        /* whom pods ask for names; NULL: none, so the host's */
	bool accounts; /* each namespace has a ServiceAccount `default`, each pod one of them */
	const char *ca;  /* PEM: whom to trust for the API over TLS; NULL: no tokens are made */
	uint32_t api_ip; /* where pods reach it; 0: nowhere */
	uint16_t api_port;
	int64_t drain_ms;               /* longest wait for flows to end */
	struct address_ranges pool;     /* for load balancers; none: they wait */
	struct address_ranges external; /* what Services may name as externalIPs */
};

static inline bool
address_allowed(const struct address_ranges *r, addr ip)
{
	for (size_t i = 0; i < r->n; i++)
		if (ip >= r->at[i].first && ip <= r->at[i].last)
			return true;
	return false;
}

/* The addresses of pods, of Services; of IPv6 a range that holds none where there is none. */
static inline struct addr_range
settings_pods(const struct settings *set, bool v6)
{
	return v6 ? set->pods6 : set->pods;
}

static inline struct addr_range
settings_services(const struct settings *set, bool v6)
{
	return v6 ? set->svcs6 : set->svcs;
}

/* A pod's other address: its IPv4 address behind the range's net. */
static inline addr
settings_pod6(const struct settings *set, uint32_t ip)
{
	return set->pods6.net | ip;
}

/* No pause before something is tried again is longer: a time further away is of a clock that
 * was put back. */
enum { SNAPSHOT_AGAIN_MAX_MS = 60 * 1000 };

/* Not all that a source's revision in force states could be made yet: something is going still.
 */
struct source_wait {
	const char *source, *what;
};

struct snapshot {
	int64_t now;   /* ms since 1970 */
	uint64_t seed; /* for names; another one each pass */
	const struct settings *settings;
	struct objects of[RES_COUNT];
	const struct pod_seen *const *pods; /* what the hand reported, sorted by uid */
	size_t npods;
	const struct probe_seen *probes; /* sorted by uid, container */
	size_t nprobes;
	const struct programmed *programmed; /* sorted by id */
	size_t nprogrammed;
	const struct programmed *pending; /* on their way there: sent, not acknowledged */
	size_t npending;
	const struct resting *resting;
	size_t nresting;
	const struct enforced *enforced; /* sorted by id */
	size_t nenforced;
	const struct enforced *enforcing; /* on their way there; args NULL: released */
	size_t nenforcing;
	const char *last_ip; /* that a pod was started with; NULL: none was yet */
	bool rules_unknown; /* nothing was acknowledged yet: assume that every address serves */
	const char *rules_error; /* why what services ask for is not in force; NULL: it is */
	const struct images_seen *images; /* what is on the host; NULL: nobody knows */
	const struct pull_seen_row *pulls;
	size_t npulls;
	const struct source_wait *waits;
	size_t nwaits;
	const struct stores_seen *stores; /* sorted by name; NULL until the hand has spoken */
	const struct host_seen *host;     /* NULL until the hand has spoken */
	struct arena *arena;
	struct snapshot_index *index;  /* NULL at first */
	struct pod_places *places;     /* pod_place.c's own; NULL at first */
	struct service_claims *claims; /* service_claims.c's own; NULL at first */
	struct admission *admission;   /* admission.c's own; NULL at first */
	struct volume_pass *volumes;   /* volume_pass.c's own; NULL at first */
};

/* Is it too early for what waits since then until then?  Of a time that is still to come nobody
 * waited: the clock was set back, and a wait of seconds may not take a year. */
static inline bool
snapshot_early(const struct snapshot *s, int64_t since, int64_t until)
{
	return since <= s->now && s->now < until;
}

/* Is this time of a next try still to come? */
static inline bool
snapshot_ahead(const struct snapshot *s, int64_t again)
{
	return again > s->now && again <= s->now + SNAPSHOT_AGAIN_MAX_MS;
}

const void *snapshot_find(const struct snapshot *, enum resource_id, const char *ns,
			  const char *name); /* or NULL */
const void *snapshot_by_uid(struct snapshot *, enum resource_id, const char *uid);
/* Objects whose controller reference names this uid. */
struct objects snapshot_owned(struct snapshot *, enum resource_id, const char *owner_uid);
/* Objects of a namespace without a controller. */
struct objects snapshot_orphans(struct snapshot *, enum resource_id, const char *ns);
/* Objects of one namespace: a slice, costs a binary search. */
struct objects snapshot_in(const struct snapshot *, enum resource_id, const char *ns);
/* Objects of ns that a plain selector picks (an empty one: none); cost follows the result, not
 * the host. */
struct objects snapshot_selected(struct snapshot *, enum resource_id, const char *ns,
				 const struct pairs *selector);
const struct pod_seen *snapshot_seen(const struct snapshot *, const char *uid); /* or NULL */
const struct probe_seen *snapshot_probe(const struct snapshot *, const char *uid,
					const char *container); /* or NULL */
const struct programmed *snapshot_programmed(const struct snapshot *,
					     const char *id);                      /* or NULL */
const struct enforced *snapshot_enforced(const struct snapshot *, const char *id); /* or NULL */
/* The first whose id is not before this one: its index. */
size_t snapshot_programmed_from(const struct snapshot *, const char *id);
size_t snapshot_enforced_from(const struct snapshot *, const char *id);
/* Is this pod address in any rule on the host, or in one that may be by now? */
bool snapshot_serves(struct snapshot *, const char *ip);
/* Five letters (or n < 16) from Kubernetes' alphabet bcdfghjklmnpqrstvwxz2456789. */
const char *snapshot_suffix(struct snapshot *, const char *about, uint64_t nonce, size_t n);
#endif
