/* users.h -- a user namespace for each pod, with 65536 ids of the host's of its own.
 *
 * Root in a pod is nobody on the host: what it breaks out of leaves it with ids that own
 * nothing.  No two living pods share an id.  On disk the ids of images and volumes are as
 * the image says: mounts are id-mapped, nothing is ever chowned.  A tmpfs, which Linux before
 * 6.3 cannot map, is one pod's alone: there what is on it belongs to the pod's own ids.
 */
#ifndef KEDGE_USERS_H
#define KEDGE_USERS_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct error;
struct rt;

enum { USERS_IDS = 65536 }; /* of one pod */
enum { USERS_USER, USERS_NET, USERS_IPC, USERS_UTS, USERS_FDS };

/* A user namespace and those that belong to it, held by descriptors alone. */
struct users_set {
	uint32_t base; /* what root in there is on the host; 0: there is no set */
	int fds[USERS_FDS];
};

/* One that comes to be: a process of ours makes it and writes here, so it stays where it is
 * until users_end. */
struct users_making {
	struct users_set set;
	int pidfd; /* -1: nobody is at work */
	int err, map_err;
	pid_t parent;
	uint32_t go, made; /* futexes */
	void *stack;
};

struct users {
	uint32_t first, n; /* where the ranges begin, and how many there are */
	uint32_t next;     /* the one to look at first: a range rests before it is used again */
	bool able;         /* the kernel can do it */
	bool tmpfs;        /* mounts of tmpfs can be mapped, too */
};

/* On tmpfs: whose its root's files are, for a pod whose ids begin at `base`. */
static inline uint32_t
users_tmpfs_root(const struct users *u, uint32_t base)
{
	return u->tmpfs ? 0 : base;
}

/* Finds out whether the host can, and why not. */
void users_open(struct rt *, uint32_t first, uint32_t n);
/* A set whose ids no living pod has, made while the caller goes on, who has the user namespace
 * at once; users_made waits for the others.  The set is the caller's to close. */
int users_begin(struct rt *, struct users_making *ret, struct error **);
int users_made(struct users_making *, struct users_set *ret, struct error **);
/* Waits until the network's lo is up, too; to be called after users_begin and, if that is,
 * after users_made, and before a process of the pod's runs. */
void users_end(struct users_making *);
/* What can be used already: the user namespace alone, for the others are written while the
 * caller goes on; without a base when it could not be made, which users_made tells. */
static inline struct users_set
users_so_far(const struct users_making *m)
{
	int user = m->set.fds[USERS_USER];

	return (struct users_set){ user < 0 ? 0 : m->set.base, { user, -1, -1, -1 } };
}

void users_set_close(struct users_set *);
#endif
