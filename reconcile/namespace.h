/* namespace.h -- what controllers.c asks of namespace.c beside its controller. */
#ifndef KEDGE_NAMESPACE_H
#define KEDGE_NAMESPACE_H
#include "workload.h"

/* CREATE for each namespace that an object is in and that does not exist. */
void namespace_ensure(struct snapshot *, struct plan *);
#endif
