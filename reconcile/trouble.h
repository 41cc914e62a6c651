/* trouble.h -- what is there and does not work, in words: for `kedge status`.
 *
 * Pure.  Says what stands, not what is to be done about it; a pod that merely begins is none.
 */
#ifndef KEDGE_TROUBLE_H
#define KEDGE_TROUBLE_H
#include "schema.h"
#include "snapshot.h"

/* Why it is not ready: "CrashLoopBackOff: back-off 10s restarting ...", "Readiness probe
 * failed: HTTP probe failed with statuscode: 500"; NULL when it is ready, leaves, or nobody
 * knows. `count`: and how often, and since when, which changes with each time. */
const char *trouble_of_pod(const struct snapshot *, const struct pod *, bool count,
			   struct arena *);
/* Why a connection to one of its ports comes to nothing though its pods are well; NULL: nothing
 * is wrong.  `at`: sockets of pods that take connections, as the hand saw them; a row of port 0
 * says that this pod was looked at. */
const char *trouble_of_service(const struct snapshot *, const struct service *,
			       const struct end_seen *at, size_t n, struct arena *);
#endif
