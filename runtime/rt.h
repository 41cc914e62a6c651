/* rt.h -- the inside of runtime.h, for the files of this folder.
 *
 * A pod here is what its kedge-init last told, beside the spec it was made
 * from.  Nothing of it is authority: kedge-init and its directory are, and rt_open
 * builds all of this from them.
 */
#ifndef KEDGE_RT_H
#define KEDGE_RT_H
#include "reconcile/base/arena.h"
#include "reconcile/base/buf.h"
#include "reconcile/base/map.h"
#include "reconcile/base/now.h"
#include "runtime/cgroup.h"
#include "runtime/init/wire.h"
#include "runtime/runtime.h"
#include "runtime/seccomp.h"
#include "runtime/users.h"
#include <dirent.h>

struct image;

/* What an epoll event points to. */
enum rt_source_kind {
	RT_SRC_WAKE,
	RT_SRC_HAND,
	RT_SRC_INIT,
	RT_SRC_REMOVER,
	RT_SRC_SWEEPER,
	RT_SRC_MEASURER
};
struct rt_source {
	enum rt_source_kind kind;
	struct rtpod *pod;
	int fd; /* -1: not watched */
};

struct cont {
	struct w_status said; /* by kedge-init */
	char *text, *last_text;
	struct w_as *as; /* NULL: not told */
	pid_t pid;
	char *image_id, *next_image_id;    /* next: of NAME.next; NULL: the same */
	char *refused_image, *refused_why; /* of a renewal that could not be; NULL: none was */
	bool heard;                        /* kedge-init spoke of it on this connection */
	int swept;             /* writable layers of runs below this are gone, or going */
	bool compiled;         /* its ops are written */
	bool told;             /* kedge-init was told to start it, before the pod was plugged */
	struct w_msg hooked;   /* the last word about the end of a hook; type 0: none */
	char *refused_version; /* env_version of a renewal that could not be; NULL: none was */
	/* waiting for what kedge-init cannot give: its image */
	const char *reason;
	char *message;
	bool lacks_image;
	int image_backoff_s;
	int64_t image_retry; /* boot ms: of that, or of a renewal; 0: waiting for neither */
};

/* A container that was to be added and may never be: it has no number and nothing on disk. */
struct rt_refusal {
	char *name, *why;
};

struct rtpod {
	char uid[W_NAME];
	struct arena arena; /* of spec */
	struct rt_pod spec;
	enum rt_pod_state state;
	pid_t init_pid;
	struct rt_source hand, init, remover;
	struct cont c[W_CONTAINERS];
	struct rt_refusal *refused;
	size_t nrefused;
	size_t nknown; /* so many of its containers kedge-init knows; a late one it may not */
	bool run, changed, stopped; /* run: rt_pod_run was asked; stopped: kedge-init says so */
	bool ahead;                 /* a sandbox without a pod: nobody is told of it */
	char *ahead_image;          /* whose layers its first process waits with; NULL: none */
	bool greeted;               /* it said that it is there; of one made ahead: it waits */
	bool lends;                 /* kedge-init is new enough for W_ATTACH and W_CONNECT */
	bool copies;                /* and for W_EXEC_COPY */
	bool renews;                /* and for NAME.next and W_HOLD */
	bool gated;                 /* none of its programs runs before kedge-init hears W_GO */
	bool unheard;               /* its kedge-init lives, and did not answer us yet, or
				       not since the connection was lost (greeted) */
	int64_t call_at;            /* boot ms: it is called again; 0: it was */
	int64_t born;               /* what it has to say then */
	int64_t remove_at;          /* boot ms of the next try; 0: none */
	int64_t kill_at;            /* boot ms: kedge-init did not end when it should */
	int64_t stop_by;            /* boot ms: when its grace is over; 0: not asked to stop */
	int64_t stop_grace;         /* s; the grace that ends then */
	bool dirs_gone;
	char over[W_NAME + 16]; /* what took more of the disk than it may; disk.c */
	/* for rt_pod_status */
	struct arena view;
	struct rt_pod_status status;
};

struct rt_job { /* an exec, an attached client or a connection under way */
	int64_t id;
	char uid[W_NAME];
	bool lends;       /* one of the latter two */
	int fds[3], nfds; /* came, are not passed on yet */
	bool done;
	int code;
	char *error;
};

enum { RT_AHEAD = 16 };
#define RT_AHEAD_NAME "ahead-" /* begins the names of sandboxes, and no pod's uid */

struct rt {
	struct rt_config cfg; /* strings are ours */
	struct cgroups cgroups;
	struct seccomp_cache seccomp;
	struct users users;
	struct map pods;
	struct rtpod *ahead[RT_AHEAD]; /* sandboxes without a pod, the oldest first */
	size_t nahead;
	uint64_t ahead_life; /* with ahead_made names them: pods of a former life keep theirs */
	unsigned ahead_made;
	char *ahead_image; /* of the pod before: the next is likely to have it, too */
	bool said_ahead;   /* that none could be made */
	bool lost_ahead;   /* one ended by itself, and the caller has not heard */
	struct rt_job *jobs;
	size_t njobs;
	struct rt_source wake;
	int epoll, init_fd; /* init_fd: the sealed kedge-init */
	uint64_t caps;      /* what we hold, so can give */
	bool no_filters;    /* the kernel has no seccomp */
	size_t removing, forgotten;
	int64_t memory_kept; /* for all pods; what their group has */
	struct disk *disk;   /* disk.c's own */
	char **lacks;
	size_t nlacks;
	const char **uids; /* of rt_pods */
	char *exec_error;  /* of the last event */
};

/* The names of a pod's control groups; a group cannot be renamed in cgroup v2, so one of
 * a sandbox that was made ahead keeps the name it had. */
static inline const char *
rt_group(const struct rt_pod *p)
{
	return p->group && *p->group ? p->group : p->uid;
}

/* `c` is one of the pod's own. */
static inline const char *
rt_group_of(const struct rt_pod *p, const struct rt_container *c)
{
	return p->group && *p->group && c == p->containers ? W_AHEAD_FIRST : c->name;
}

void rt_copy(char *to, size_t room, const char *from); /* cut off to fit, always ended */
void rt_changed(struct rt *, struct rtpod *);
void rt_lack(struct rt *, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
int rt_watch(struct rt *, struct rt_source *, int fd, struct error **);
/* Of a process of ours.  One that cannot be watched is ended: nobody would hear of its end. */
int rt_watch_child(struct rt *, struct rt_source *, int pidfd, struct error **);
void rt_unwatch(struct rt *, struct rt_source *); /* closes it */
struct rtpod *rt_find(struct rt *, const char *uid, struct error **);
void rt_pod_free(struct rt *, struct rtpod *); /* and out of the map */

/* kernel.c: can a process filter its system calls? */
bool kernel_filters(void);

/* podspec.c */
bool
podspec_name_ok(const char *); /* [a-z0-9.-]{1,63}, begins and ends with neither of the two */
int podspec_check(const struct rt_pod *, struct error **);
int podspec_check_volume(const struct rt_volume *, struct error **);
void podspec_pack(const struct rt_pod *, struct buf *);
int podspec_unpack(struct arena *, const void *, size_t, struct rt_pod *ret, struct error **);

/* poddir.c: a pod's directories */
int poddir_write(int dir, const char *name, const void *, size_t,
		 struct error **); /* whole or not at all */
int poddir_read(int dir, const char *name, struct buf *, struct error **);
int poddir_make_pod(struct rt *, const struct rt_pod *, unsigned flags, int *ret_dir,
		    struct error **); /* flags: of struct w_pod */
/* A sandbox made ahead: its directories, and those of the writable layer of the first run. */
int poddir_make_ahead(struct rt *, const struct rt_pod *, int *ret_dir, struct error **);
/* They become the pod's, and what poddir_make_pod writes is written. */
int poddir_become(struct rt *, const char *ahead, const struct rt_pod *, int *ret_dir,
		  struct error **);
int poddir_make_places(struct rt *, const struct rt_pod *, struct error **);
struct w_container poddir_conf(const struct rt_pod *, size_t i);
char *poddir_shm_path(const struct rt *, const struct rt_pod *); /* "" for a pod of one */
/* Of what is made anew; -1: as it comes. */
struct owner {
	uid_t uid;
	gid_t gid;
};
#define OURS ((struct owner){ (uid_t)-1, (gid_t)-1 })
int poddir_write_new(int dir, const char *name, const void *, size_t, mode_t, struct owner);
int poddir_make_base(const char *state_dir, struct error **);
int poddir_make_dirs(const char *path, mode_t, struct error **);
DIR *poddir_list(int dir); /* its entries, `dir` stays as it is; NULL: errno says why */

/* volume.c */
int volume_make(struct rt *, const struct rt_pod *, const struct rt_volume *, struct error **);
/* new contents */
int volume_put(struct rt *, const struct rt_pod *, const struct rt_volume *, struct error **);
char *volume_path(const struct rt *, const struct rt_pod *, const struct rt_volume *);
void volumes_unmount(struct rt *, const char *uid);

/* Of a container's mounts: the ops that come before its root, and after it, of those places
 * that have at least `from` parts and fewer than `upto`, the shortest first.  What an image
 * volume needs is looked up: -1 when it is not here. */
void volume_ops_early(struct rt *, const struct rt_pod *, const struct rt_container *,
		      struct buf *);
int volume_ops(struct rt *, const struct rt_pod *, const struct rt_container *, size_t from,
	       size_t upto, struct buf *, struct error **);
/* One of its mounts is at this very place. */
bool volume_covers(const struct rt_container *, const char *path);
/* In its volumes of files, which nobody writes: the places of what it mounts below them. */
int volume_points(struct rt *, const struct rt_pod *, const struct rt_container *,
		  struct error **);
/* Some mount hears of the host's mounts. */
bool volume_hears(const struct rt_container *);
/* The image that a volume of this container needs and that is not here; or NULL. */
const char *volume_image_missing(struct rt *, const struct rt_pod *,
				 const struct rt_container *);

/* Notes in the pod's directory which images its volumes show; those stay with their layers. */
int volume_images_note(struct rt *, const struct rt_pod *, int dir, struct error **);
bool volume_images_has(struct rt *, const struct rt_pod *, const char *id);

/* hostpath.c */
/* Is `path` at or below `prefix`?  Then `*ret_inner` is the rest of it, and `*ret_depth` how
 * many parts `prefix` has. */
bool hostpath_within(const char *path, const char *prefix, const char **ret_inner,
		     size_t *ret_depth);
const struct rt_host_path *hostpath_row(const struct rt_allow *, const char *path,
					const char **ret_inner); /* NULL: not allowed */
int hostpath_allowed(const struct rt_allow *, const struct rt_pod *, struct error **);
int hostpath_make(const struct rt *, const struct rt_volume *, struct error **);

/* caps.c */
int rtcaps_parse(const char *const *add, const char *const *drop, uint64_t have, uint64_t *ret,
		 struct error **);
/* WHY_FORBIDDEN when `add` has what is neither a default nor in `allow`. */
int rtcaps_allowed(const char *const *add, uint64_t allow, struct error **);
/* What a container holds: of all there are in a user namespace, else of `have`. */
int rtcaps_of(const struct rt_pod *, const struct rt_container *, uint64_t have, uint64_t *ret,
	      struct error **);
uint64_t rtcaps_own(void);

/* allow.c */
int rtallow_check(const struct rt *, const struct rt_pod *, struct error **);
/* The file below /proc/sys of "name=value", and the value; false: no such name can be. */
bool rtsysctl_path(const char *setting, char *ret, size_t room, const char **ret_value);

/* ops.c */
int rtops_compile(struct rt *, const struct rt_pod *, const struct rt_container *,
		  const struct image *, struct buf *out, struct error **);

/* The steps that are the same for the first container of any pod in that sandbox, and of
 * those that have this image (NULL: none is known). */
void rtops_compile_ahead(struct rt *, const struct rt_pod *, const struct image *,
			 struct buf *out);

/* launch.c */
int launch_prepare(const char *init_path, struct error **); /* the sealed memfd */
uint64_t launch_caps(void); /* what a kedge-init needs for itself */
int launch_init(struct rt *, const struct rt_pod *, int dir, const struct users_set *,
		pid_t *ret_pid, int *ret_pidfd, int *ret_conn, struct error **);
/* Three descriptors that become 3, 4 and 5; paths "3PATH", "4PATH" (init/measure.c). */
int launch_measurer(struct rt *, const int fds[3], char *const *paths, size_t n, int *ret_pidfd,
		    struct error **);
/* Removes `name` from each of two directories (the second may be -1) in a process of its own.
 */
int launch_remover(struct rt *, const int dirs[2], const char *name, int *ret_pidfd,
		   struct error **);

/* ahead.c: sandboxes that wait for their pods */
/* The oldest that is ready becomes this pod, but for its spec, which is still the sandbox's
 * own.  NULL: there is none, or none will do. */
struct rtpod *rtahead_take(struct rt *, const struct rt_pod *);
bool rtahead_lost(struct rt *, struct rtpod *);   /* it was one of them, and ended */
void rtahead_end(struct rt *, const char *image); /* all of them (NULL), or those made for
						     the image of that id: they are removed */
void rtahead_free(struct rt *);                   /* we end, and so do they */

/* make.c */
/* What all take that run together, or, should that be more, one init container and the
 * sidecars before it. */
int64_t rtpod_at_once(const struct rt_pod *, int64_t (*of)(const struct rt_container *));
/* What is kept for the pods is kept for the group that all of them are in: a kernel keeps for
 * none more than for those above it. */
void rt_memory_keep(struct rt *);
/* The pod's own group, fresh, or its limits alone. */
int rtpod_group_limit(struct rt *, const struct rt_pod *, bool fresh, struct error **);
/* The pod's kedge-init, in the directory `dir`; what was launched is the pod's, also when it
 * cannot be watched. */
int rtpod_launch(struct rt *, struct rtpod *, int dir, const struct users_set *,
		 struct error **);

/* rtpod.c */
struct rtpod *rtpod_alloc(const char *uid); /* not among rt's pods */
struct rtpod *rtpod_new(struct rt *, const char *uid);
int rtpod_dir(const struct rt *, const char *uid); /* RUN/pods/UID, or -1 and errno */
int rtpod_container(const struct rtpod *, const char *name, size_t *ret,
		    struct error **); /* which one it is */
/* What is left of one begins to go. */
struct rtpod *rtpod_leftover(struct rt *, const char *uid);
void rtpod_heard(struct rt *, struct rtpod *); /* its connection is readable */
void rtpod_go_on(struct rt *, struct rtpod *); /* timers: removal, images */
int64_t rtpod_due(const struct rtpod *);       /* boot ms; 0: nothing */
int rtpod_tell(struct rtpod *, const struct w_msg *, const void *rest, size_t len,
	       const int *fds, struct error **);
/* The first container: what it needs is written, when its image is here; it is begun. */
void rtpod_prepare_first(struct rt *, struct rtpod *);
void rtpod_start_first(struct rtpod *);
/* The steps of container i of `spec` (the pod's own, or what is to be it) into the file of its
 * name and this suffix. */
int rtpod_compile(struct rt *, struct rtpod *, const struct rt_pod *spec, size_t i,
		  const struct image *, const char *suffix, struct error **);
/* Says what spec.containers[i].hold is. */
void rtpod_tell_hold(struct rtpod *, size_t i);
/* Why a container that may not run as root is not started with this image; NULL: it may.  The
 * caller's. */
char *rtpod_runs_as_root(const struct rtpod *, const struct rt_container *,
			 const struct image *);
/* told.c: by the files of its steps, image_id and next_image_id; false: there are none. */
bool rtpod_image_look(const struct rt *, struct rtpod *, size_t i);
/* It is to begin anew with the image of its next run. */
void rtpod_tell_other(struct rtpod *, size_t i);
void rtpod_start_containers(struct rt *, struct rtpod *);

/* sweep.c: the writable layers of runs that are over */
/* Begins to remove `name`, which is there, from a directory; may come to nothing. */
void rtsweep(struct rt *, int dir, const char *name);
void rtpod_sweep(struct rt *, struct rtpod *, size_t container);
void rtpod_swept(struct rt *, struct rt_source *);

/* store.c */
void rtstore_go_on(struct rt *); /* removals that were cut off */

/* disk.c: what pods take of the disk, beside what they may */
void disk_measured(struct rt *, struct rt_source *);
int64_t disk_due(const struct rt *); /* boot ms; 0: nothing to look at */
void disk_go_on(struct rt *);
void disk_free(struct rt *);
void disk_watch(struct rt *, const struct rtpod *); /* a pod that runs from now on */

/* removal.c */
void rtpod_init_died(struct rt *, struct rtpod *);
void rtpod_begin_removal(struct rt *, struct rtpod *);
bool rtpod_removal_go_on(struct rt *, struct rtpod *); /* false: it does not go */

/* adopt.c */
int rtpod_adopt_all(struct rt *, struct error **);
/* Of one that is unheard: it may have answered; then it is one as all others, and true. */
bool rtpod_answered(struct rt *, struct rtpod *);
void rtpod_call(struct rt *, struct rtpod *); /* once more, for it hung up */
/* The connection is no more; who lives is called again, and is unheard until it answers. */
void rtpod_lost(struct rt *, struct rtpod *);
void rtpod_lost_unheard(struct rt *, struct rtpod *); /* its kedge-init is no more */

/* job.c */
void rtjob_done(struct rt *, int64_t id, int code, const char *error);
void rtjob_lent(struct rt *, int64_t id, int fds[3]); /* takes those it sets to -1 */
bool rtjob_next_lent(struct rt *, struct rt_event *ret);
void rtjob_pod_lost(struct rt *, const char *uid, const char *why);
void rtjob_free(struct rt *, struct rt_job *); /* and out of the list */
#endif
