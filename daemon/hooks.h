/* hooks.h -- the hooks of containers that are a request over the network.
 *
 * kedge-init says that one is due (container_seen.hook); it is asked from here,
 * and how it went is told with HOOKED.
 */
#ifndef KEDGE_HOOKS_H
#define KEDGE_HOOKS_H

struct brain;
struct hooks;

struct hooks *hooks_new(struct brain *);
void hooks_free(struct hooks *);
void hooks_sync(struct hooks *); /* begins those that are due, forgets those that are over */
#endif
