/* ranges.h -- the ranges of kedge.yaml against the addresses and routes of the host. */
#ifndef KEDGE_RANGES_H
#define KEDGE_RANGES_H
#include "netproxy.h"
#include "nl.h"

/* An error for what would not work; *ret_said is a sentence about what may not be
 * meant, the caller's to free, or NULL. */
int ranges_check(struct nl *, const struct np_config *, char **ret_said, struct error **);
#endif
