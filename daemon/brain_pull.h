/* brain_pull.h -- the brain's table of pulls: what is being fetched, what failed, and when
 * it is tried again.  Nobody outside brain*.c includes it. */
#ifndef KEDGE_BRAIN_PULL_H
#define KEDGE_BRAIN_PULL_H
#include "brain_state.h"

struct pull;

/* Fetches an image (its whole name), unless the same is under way.  `configs`: of docker, the
 * credentials to use; copied.  Returns the table's key for it. */
const char *pull_begin(struct brain *, const char *image, const struct strs *configs,
		       const char *key);
/* JSON of one, for `kedge image pull`; NULL: there is none of this key.  Caller frees. */
char *pull_json(struct brain *, const char *key);
int pull_percent(struct brain *, const char *key);
/* The hand's words. */
void pull_attach(struct brain *, int64_t id, int fd);
bool pull_answered(struct brain *, int64_t id, const char *error); /* false: not one of ours */
void pulls_close(struct brain *);
#endif
