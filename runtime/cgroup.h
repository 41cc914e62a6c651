/* cgroup.h -- one group for each pod, one below it for each container.
 *
 *     v2:          ROOT/NAME/pod-UID/{_init,CONTAINER}
 *     v1, hybrid:  ROOT/CONTROLLER/NAME/pod-UID/CONTAINER, the same in cpu, memory, pids
 *
 * Hybrid is v1 with an empty v2 tree beside it: its controllers are v1's.  In
 * v2 a group with controllers below it may hold no process, hence _init.
 */
#ifndef KEDGE_CGROUP_H
#define KEDGE_CGROUP_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct error;
struct buf;

enum cgroup_mode { CGROUP_V2, CGROUP_V1, CGROUP_HYBRID };
enum { CGROUP_TREES = 3 };

struct cgroups {
	enum cgroup_mode mode;
	char *name;
	size_t n;
	struct cgroup_tree {
		const char *controllers; /* "cpu", "memory", "pids"; v2: all that are on */
		char *dir;               /* ROOT/CONTROLLER/NAME or ROOT/NAME */
	} tree[CGROUP_TREES];
	bool cpu, memory, pids;
	int lock; /* 0: not taken */
};

struct cgroup_limits {
	int64_t cpu_milli, cpu_shares, memory, pids; /* 0: no limit; pids 0: 1024 */
	int64_t memory_high, memory_min;             /* v2; 0: none */
};

/* Finds out what the host has and makes the groups NAME. */
int cgroups_open(const char *root, const char *name, struct cgroups *ret, struct error **);
/* Takes the groups for the runtime with this state folder: two in one would end each
 * other's pods.  A lock says that the owner lives, an attribute of the group who it is; what
 * an owner left whose folder is no more may be taken.  Waits a fifth of a second at most. */
int cgroups_own(struct cgroups *, const char *state, struct error **);
void cgroups_done(struct cgroups *);
const char *cgroups_mode(const struct cgroups *);
/* So much memory is kept for all pods together: for one of them only within it (v2). */
void cgroups_keep(const struct cgroups *, int64_t bytes);
int cgroup_make(const struct cgroups *, const char *uid, const char *container,
		const struct cgroup_limits *, struct error **); /* container NULL: the pod's */
/* The same of groups that are there, made without limits. */
int cgroup_limit(const struct cgroups *, const char *uid, const char *container,
		 const struct cgroup_limits *, struct error **);
/* The same of a container's group that is there: also what is limited no more. */
int cgroup_resize(const struct cgroups *, const char *uid, const char *container,
		  const struct cgroup_limits *, struct error **);
/* Appends what a process writes to, or is cloned into, to be a member: NUL-terminated
 * paths, their number is returned.  The first is the file that counts OOM kills, maybe "". */
unsigned cgroup_paths(const struct cgroups *, const char *uid, const char *container,
		      struct buf *);
/* 1: this process is in the group that kedge-init of the pod is put in, where no container is;
 * -1: the kernel did not say. */
int cgroup_has(const struct cgroups *, const char *uid, pid_t);
/* 0: all groups of the pod are gone; 1: not yet; their processes get SIGKILL. */
int cgroup_remove(const struct cgroups *, const char *uid);
/* Calls fn for each pod that has a group. */
void cgroup_each(const struct cgroups *, void (*fn)(void *ctx, const char *uid), void *ctx);
int cgroups_remove(const struct cgroups *); /* NAME itself, when empty */
/* What a kernel's file says now; "" when it is not there.  The caller frees. */
char *cgroup_text(const char *dir, const char *name);
#endif
