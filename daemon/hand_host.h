/* hand_host.h -- what the host is, and kedge's own places on it. */
#ifndef KEDGE_HAND_HOST_H
#define KEDGE_HAND_HOST_H
#include "../reconcile/schema.h"
#include <stdbool.h>

struct arena;
struct error;
struct hand;

void host_facts(struct hand *, struct host_seen *ret, struct arena *);
/* kedge-init beside our own binary, in ../libexec/kedge of there or in PREFIX/libexec/kedge;
 * the caller frees. */
char *host_init_path(struct error **);
/* Fails when there are things of others in that folder, which kedge would make its own. */
int host_folder_check(const char *path, const char *option, struct error **);
/* Run, log and (unless kept) state folders: what is in them by our names. */
int host_folders_remove(struct hand *, struct error **);
#endif
