/* dns.h -- the cluster's names: what the snapshot says, as lines of a zone.
 *
 * Pure.  The zone is made of parts, one for each Service and Namespace and one
 * for what is always there.  A part is text, a line a record, sorted, each once:
 *
 *	web.default.svc.cluster.local A 10.43.0.20
 *	_http._tcp.web.default.svc.cluster.local SRV 0 100 80 web.default.svc.cluster.local
 *	20.0.43.10.in-addr.arpa PTR web.default.svc.cluster.local
 *
 * Names are lower case, without the last dot.  Besides A, AAAA, SRV, PTR, CNAME
 * and TXT there are EXISTS (the name, whatever it has) and PODS (below it each
 * A-B-C-D is the address A.B.C.D).  It is schema 1.1.0 of the Kubernetes DNS
 * specification; where that leaves a choice, CoreDNS's.
 */
#ifndef KEDGE_DNS_H
#define KEDGE_DNS_H
#include "snapshot.h"

/* Of kedge.yaml: servers in one list, domains that have one. */
enum { DNS_SERVERS = 8, DNS_STUBS = 64 };
#include <stdbool.h>

struct buf;

struct dns_part {
	const char *key;         /* "service/default/web", "namespace/default", "zone" */
	uint64_t print;          /* another one when the text may be another */
	const struct object *of; /* NULL: the zone itself */
};

/* All parts of the zone in no order; in the arena.  Costs little: no text is made. */
struct dns_part *dns_parts(struct snapshot *, struct arena *, size_t *ret_n);
/* The lines; none for what has no name. */
void dns_part_text(struct snapshot *, const struct dns_part *, struct arena *, struct buf *);

/* That records of this Service are left out, for there are no such names: "DNS has no name with
 * a part longer than 63 letters (...)"; NULL: none are. */
const char *dns_left_out(struct snapshot *, const struct service *, struct arena *);
/* Why a name is answered as it is, in a sentence; `name` is absolute, without the last dot.
 * False: it is no name of the cluster's, and others are asked. */
bool dns_why(struct snapshot *, const char *name, struct arena *, const char **ret);
/* What a pod of `ns` asks for one after the other when it looks for `name`, as its resolver
 * does with kedge's search list and ndots:5; a last dot means: only this.  Absolute, without
 * the last dot; how many. */
enum { DNS_CANDIDATES = 4 };
size_t dns_candidates(const struct settings *, const char *ns, const char *name, struct arena *,
		      const char *ret[DNS_CANDIDATES]);
enum { API_HOST = 1 }; /* of the services' range: default/kubernetes, a name users know */
/* Where kedge's own server listens; 0: `cluster_dns` is somebody else's address. */
uint32_t dns_address(const struct settings *);
#endif
