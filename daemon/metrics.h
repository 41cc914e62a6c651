/* metrics.h -- metrics.k8s.io/v1beta1 as text: two looks at the counters become what is used
 * between them.  Pure.
 */
#ifndef KEDGE_METRICS_H
#define KEDGE_METRICS_H
#include "../reconcile/object.h"

struct metrics {
	const struct usage_seen *then, *now;
	int64_t at; /* ms since 1970: of `now` */
};

/* Billionths of a core; who was not there then counts from 0. */
int64_t metrics_rate(const struct metrics *, int64_t was, int64_t is);
/* Does anything of this pod run?  What does not is left out of lists. */
bool metrics_has(const struct metrics *, const struct object *pod);
/* A PodMetrics or NodeMetrics of one of the store's objects. */
void metrics_print(const struct metrics *, const struct object *, struct buf *);
/* Its row of a Table, whose columns are Name, cpu, memory and Window. */
void metrics_row(const struct metrics *, const struct object *, struct buf *);
#endif
