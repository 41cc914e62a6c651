/* probe.h -- asks containers how they are, as their probes say.
 *
 * httpGet, tcpSocket and grpc go from here to the pod's address; exec goes through
 * the hand.  Verdicts are what controllers read; a change of one pokes a pass.
 */
#ifndef KEDGE_PROBE_H
#define KEDGE_PROBE_H
#include "../reconcile/snapshot.h"

struct brain;
struct prober;

struct prober *prober_new(struct brain *);
void prober_free(struct prober *);
/* Starts and stops probing so that it fits the store and what is seen. */
void prober_sync(struct prober *);
/* Verdicts, sorted by uid and container; valid until the next call of anything here. */
const struct probe_seen *prober_rows(struct prober *, size_t *ret_n);
/* A container was told to restart: what was said of this run is used up. */
void prober_forget(struct prober *, const char *uid, const char *container);
/* Takes the reading end of what such an exec prints; false when the id is not one of its. */
bool prober_exec_output(struct prober *, int64_t id, int fd);
/* What goes to the network from this loop goes through here. */
struct reach_pool *prober_pool(struct prober *);
/* The end of an exec that prober started; false when the id is not one of its. */
bool prober_exec_done(struct prober *, int64_t id, int exit_code, const char *error);
#endif
