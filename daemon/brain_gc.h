/* brain_gc.h -- images that nobody needs leave the disk.  Nobody outside brain*.c includes it.
 */
#ifndef KEDGE_BRAIN_GC_H
#define KEDGE_BRAIN_GC_H
#include "brain_state.h"

void gc_open(struct brain *);
void gc_close(struct brain *);
/* Removes what nobody needs; with `all` also what came by hand.  JSON of what goes; caller
 * frees. */
char *gc_prune(struct brain *, bool all);
/* -1: a pod, a template or a revision kept for a rollback names it; the error says which. */
int gc_check_unused(struct brain *, const char *name, struct error **);
#endif
