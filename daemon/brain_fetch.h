/* brain_fetch.h -- a commit waits for its images; between brain_deploy.c and brain_fetch.c. */
#ifndef KEDGE_BRAIN_FETCH_H
#define KEDGE_BRAIN_FETCH_H
#include "brain_state.h"

/* Asks for what the plan's pods need; true while some of it is on its way, and nothing of
 * the commit is to be carried out. */
bool deploy_fetches(struct brain *, struct watch *, const char *commit, bool allow_prune,
		    struct snapshot *, const struct plan *);
/* It is applied, or cannot be. */
void deploy_fetch_over(struct watch *);
/* Looks again at commits that wait; `ended`: a pull has. */
void deploys_go_on(struct brain *, bool ended);
/* Every image that these manifests name, once each. */
void images_wanted(const struct manifest_set *, struct arena *, struct strs *ret);
#endif
