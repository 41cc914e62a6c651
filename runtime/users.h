/* users.h -- a user namespace for each pod, with 65536 ids of the host's of its own.
 *
 * Root in a pod is nobody on the host: what it breaks out of leaves it with ids that own
 * nothing.  No two living pods share an id.  On disk the ids of images and volumes are as
 * the image says: mounts are id-mapped, nothing is ever chowned.
 */
#ifndef KEDGE_USERS_H
#define KEDGE_USERS_H
#include <stdbool.h>
#include <stdint.h>

struct error;
struct rt;

enum { USERS_IDS = 65536 }; /* of one pod */

struct users {
	uint32_t first, n; /* where the ranges begin, and how many there are */
	uint32_t next;     /* the one to look at first: a range rests before it is used again */
	uint32_t spare;    /* base of the namespace that is made ahead; 0: none */
	int spare_fd;
	bool able; /* the kernel can do all of it */
};

/* Finds out whether the host can, and why not. */
void users_open(struct rt *, uint32_t first, uint32_t n);
void users_close(struct rt *);
/* A namespace whose ids no living pod has: its fd, the caller's to close. */
int users_take(struct rt *, uint32_t *ret_base, struct error **);
/* Makes the next one ahead, when there is none: for a moment when nothing is to be done. */
void users_ahead(struct rt *);
/* Network, ipc and uts namespaces that belong to this user namespace. */
int users_namespaces(int user_ns, int ret[3], struct error **);
#endif
