/* pod_gates.h -- what a pod asks for that the operator of a host has to allow. */
#ifndef KEDGE_POD_GATES_H
#define KEDGE_POD_GATES_H
#include "schema.h"

struct arena;
struct complaints;
struct manifest;

/* A warning for each row of `allow` in kedge.yaml that the manifest's pods need and that is not
 * in `allow` (NULL: none is). */
void pod_gates(const struct manifest *, const struct config_allow *allow, struct complaints *,
	       struct arena *);
#endif
