/* runtime.h -- pods and containers on one host: the whole interface.
 *
 * Knows no Kubernetes; takes plain specs and copies what it needs.  A pod is a
 * kedge-init process with namespaces; it lives on when the caller dies, and
 * rt_open finds it again.  One caller, one thread; nothing here blocks for
 * longer than the system calls it makes.
 *
 * All strings of a spec are checked again here: names are [a-z0-9.-]{1,253},
 * paths are absolute and free of "..".
 */
#ifndef KEDGE_RUNTIME_H
#define KEDGE_RUNTIME_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct error;
struct images;
struct rt;

/* A folder of the host that pods may mount. */
struct rt_host_path {
	const char *prefix; /* absolute; links in it are followed, below it never */
	bool read_only;
};

/* What a pod may ask for beyond its own walls: the operator's word. */
struct rt_allow {
	uint64_t caps; /* capabilities a container may add to the default ones */
	bool privileged, unconfined, unmasked;
	bool host_network, host_pid, host_ipc, host_users;
	const char *const *sysctls; /* beyond the safe ones; "net.*" for all below */
	size_t nsysctls;
	const struct rt_host_path *host_paths;
	size_t nhost_paths;
};

struct rt_config {
	const char *run_dir;     /* /run/kedge: pods/UID/..., tmpfs, 0700 */
	const char *state_dir;   /* /var/lib/kedge: images/, pods/UID/ (writable layers) */
	const char *log_dir;     /* /var/log/kedge/pods */
	const char *init_path;   /* the kedge-init binary; read once, run from a sealed memfd */
	const char *cgroup;      /* "kedge": below the root of each hierarchy */
	const char *cgroup_root; /* "/sys/fs/cgroup"; a test may give another */
	struct rt_allow allow;   /* its list outlives rt */
	const char *seccomp_dir; /* profiles of the operator's; NULL: none */
	unsigned warm_pods;      /* sandboxes made ahead by rt_ahead; at most 16 */
	/* Ids of the host's for pods with a user namespace: `ranges` times 65536. */
	uint32_t user_first, user_ranges;
	gid_t log_gid;         /* may read logs */
	int64_t max_pids;      /* of a container that names no limit; 0: 1024 */
	int64_t log_max_bytes; /* rotate above this; 10 MiB */
	int log_max_files;     /* 5 */
	struct images *images; /* where names of images are looked up; outlives rt */
};

struct rt_file {
	const char *path;
	const void *data;
	size_t len;
	unsigned mode;
};
enum rt_volume_type {
	RT_FILES,
	RT_EMPTY,
	RT_MEMORY,
	RT_HOST,  /* a path of the host, as far as rt_config allows */
	RT_STORE, /* a directory of rt_store_make */
	RT_IMAGE, /* what an image holds, read-only */
};
enum rt_host_type { /* what must be there, or is made */
		    RT_HOST_ANY,
		    RT_HOST_DIR_OR_CREATE,
		    RT_HOST_DIR,
		    RT_HOST_FILE_OR_CREATE,
		    RT_HOST_FILE,
		    RT_HOST_SOCKET,
		    RT_HOST_CHAR,
		    RT_HOST_BLOCK,
};
struct rt_volume {
	const char *name;
	enum rt_volume_type type;
	int64_t size_limit; /* bytes, 0: none */
	const struct rt_file *files;
	size_t nfiles;
	const char *source; /* the path, the name in the store, the image's name; else NULL */
	enum rt_host_type host_type;
	bool read_only; /* for all of the pod, and all the way down */
	bool of_group;  /* of RT_HOST: all in it becomes fs_group's, as of RT_STORE */
};
enum rt_propagation { RT_PRIVATE, RT_HOST_TO_CONTAINER, RT_BIDIRECTIONAL };
struct rt_mount {
	const char *volume, *path, *sub_path;
	bool read_only;
	bool read_only_below; /* also what is mounted within it */
	enum rt_propagation propagation;
};
enum rt_restart { RT_ALWAYS, RT_ON_FAILURE, RT_NEVER };

/* A pod's containers stand in the order of their start: first those of RT_INIT, which run
 * one after the other until each ended well, and RT_SIDECAR, which go on beside all that
 * follow and end last; then those of RT_MAIN, all at once. */
enum rt_role { RT_MAIN, RT_INIT, RT_SIDECAR, RT_EPHEMERAL }; /* EPHEMERAL: added later */

/* What a container has to do after its start or before its end.  RT_HOOK_ASK: the caller
 * sees to it when rt_container_status.hook says so, and tells with rt_container_hooked. */
enum rt_hook_type { RT_HOOK_NONE, RT_HOOK_EXEC, RT_HOOK_SLEEP, RT_HOOK_ASK };
struct rt_hook {
	enum rt_hook_type type;
	const char *const *command; /* of EXEC; NULL-terminated */
	int seconds;                /* of SLEEP */
};

struct rt_container {
	const char *name, *image;
	const char *const *command, *const *args; /* NULL: the image's; else NULL-terminated */
	const char *const *env;                   /* "K=V", NULL-terminated; over the image's */
	const char *working_dir, *user;           /* NULL: the image's; ":gid": only its user */
	const struct rt_mount *mounts;
	size_t nmounts;
	enum rt_role role;
	const char *target; /* of RT_EPHEMERAL: whose processes it sees; NULL: its own only */
	bool startup_probe; /* a sidecar counts as started when rt_container_started says so */
	enum rt_restart restart;
	int64_t disk; /* bytes its writable layer and its logs may take; 0: no limit */
	int64_t cpu_milli, cpu_shares, memory, pids; /* 0: no limit (pids: max_pids) */
	int64_t memory_high, memory_min;             /* of cgroup v2; 0: none */
	int oom_score_adj;
	const char *const *cap_add,
	    *const *cap_drop; /* "NET_ADMIN", "ALL"; NULL-terminated or NULL */
	bool run_as_non_root; /* what would run as user 0 is not started */
	bool read_only_root, allow_privilege_escalation, tty, stdin_open;
	bool stdin_once; /* the input ends with the first client that was attached to it */
	/* privileged: all capabilities, devices and system calls, nothing masked;
	 * unconfined: no seccomp; unmasked: all of /proc.  All need rt_allow. */
	bool privileged, unconfined, unmasked;
	const char *seccomp_profile; /* a file below seccomp_dir; NULL: the runtime's own */
	const char *termination_message_path; /* NULL: none */
	bool log_as_message; /* what it printed last stands for a message it did not leave */
	struct rt_hook post_start, pre_stop;
	const char *stop_signal; /* "SIGUSR1"; NULL: the image's, else SIGTERM */
	bool hold;               /* not started before rt_container_renew said all of it */
	const char *env_version; /* the caller's word for what env was made of; told in the
				    status; NULL: none */
};

struct rt_pod {
	const char *uid, *ns, *name, *hostname;
	int grace;            /* seconds between SIGTERM and SIGKILL */
	bool share_processes; /* its containers see and may signal each other's */
	bool host_network, host_pid,
	    host_ipc;              /* the host's own; with host_users, and rt_allow */
	bool host_users;           /* no user namespace of its own; needs rt_allow */
	int64_t fs_group;          /* -1: none */
	bool fs_group_on_mismatch; /* leave alone what is the group's already */
	const int64_t *groups;     /* of every container beside its own */
	size_t ngroups;
	bool groups_strict; /* none that the image's /etc/group lists */
	uint32_t user_base; /* of its ids; the runtime fills it in */
	const char *group;  /* of its control groups; the runtime fills it in, NULL: its uid */
	const char *ip;     /* that it is reached at, for the caller to remember; or NULL */
	const char *const *sysctls; /* "name=value" of the pod's namespaces; NULL-terminated */
	const char *const *hosts, *const
				      *resolv; /* lines of the two files; NULL: none written */
	const struct rt_volume *volumes;
	size_t nvolumes;
	const struct rt_container *containers;
	size_t ncontainers;
};

enum rt_state { RT_WAITING, RT_RUNNING, RT_TERMINATED };
enum rt_hook_name { RT_NO_HOOK, RT_POST_START, RT_PRE_STOP };
struct rt_run { /* one run of a container; times in ms since 1970, 0: not yet */
	int exit_code, signal;
	bool oom;
	unsigned hooks_failed; /* bits 1 << enum rt_hook_name */
	int64_t started_at, finished_at;
	const char *reason, *message; /* "" when there is none */
};
struct rt_container_status {
	const char *name, *image_id;
	const char *image; /* of its next run, as the caller called it */
	bool image_next;   /* and of that alone: the run under way has another one */
	/* The one of a renewal that could not be, as long as none is asked for again, and why;
	 * or
	 * "". */
	const char *refused_image, *refused_why;
	enum rt_state state;
	const char *reason, *message; /* of waiting */
	bool
	    lacks_image; /* it waits for its image, or one that it mounts, to be brought here */
	int restarts;
	bool started;            /* what comes after it may start */
	bool held;               /* it waits for rt_container_renew */
	const char *env_version; /* of what its next run gets; "" when there is none */
	enum rt_hook_name hook;  /* under way */
	int64_t backoff_until;
	int64_t cpu_milli, cpu_shares, memory, memory_min; /* what it is held to now */
	struct rt_run now, last; /* last.finished_at is 0 when there was none */
	/* As whom it runs, or last did, in the pod's own ids, and what asks it to end; known
	 * once it has run. */
	bool has_run;
	uint32_t uid, gid;
	const uint32_t *groups; /* sorted, gid among them */
	size_t ngroups;
	const char *stop_signal; /* "SIGTERM", as the API has it */
	pid_t pid;               /* in the host's view; 0 when not running */
};
/* UNHEARD: found by rt_open, and it lives; what it does it did not say yet. */
enum rt_pod_state { RT_POD_STARTING, RT_POD_UP, RT_POD_STOPPING, RT_POD_GONE, RT_POD_UNHEARD };
struct rt_pod_status {
	const char *uid, *ns, *name, *ip;
	enum rt_pod_state state;
	pid_t init_pid;
	/* "volume NAME", "container NAME" or "pod": took more of the disk than it may */
	const char *over; /* "" when nothing did */
	const struct rt_container_status *containers;
	size_t ncontainers;
};

/* The set of "NET_ADMIN", "CAP_SYS_TIME", "ALL"; NULL-terminated, or NULL for none. */
int rt_caps(const char *const *names, uint64_t *ret, struct error **);
/* Has this kernel what pods are made with?  WHY_UNABLE tells all that it lacks. */
int rt_kernel_check(struct error **);
int rt_open(const struct rt_config *, struct rt **ret, struct error **);
void rt_close(struct rt *); /* the pods live on */
/* What this host cannot do, one sentence each; NULL-terminated, owned by rt. */
const char *const *rt_lacks(const struct rt *);
const char *rt_cgroup_mode(const struct rt *); /* "v2", "v1", "hybrid" */

/* Does the pod ask for what the operator did not allow?  Then rt_pod_create fails.  A reason as
 * those of containers, for a sysctl "SysctlForbidden"; NULL: it does not. */
const char *rt_pod_refused(const struct rt *, const struct rt_pod *);
/* Makes a sandbox for a pod that is yet to come, when fewer than warm_pods are there: the next
 * pod that shares nothing with the host takes the oldest.  An fd of its network, the
 * caller's to close, to plug something in; -1: there are enough, or it cannot be.  They end
 * with this process. */
int rt_ahead(struct rt *);
unsigned rt_ahead_ready(const struct rt *); /* how many of them said that they wait */
/* Makes the sandbox: namespaces, cgroup, kedge-init.  `*ret_netns` is an fd of
 * its network namespace, the caller's to close: plug it, then rt_pod_run. */
int rt_pod_create(struct rt *, const struct rt_pod *, int *ret_netns, struct error **);
/* Starts the containers.  What fails for one container (no such image, no such
 * command) is in its status, not an error; what waits for an image is tried again by
 * itself, and at once when this is called again. */
int rt_pod_run(struct rt *, const char *uid, struct error **);
/* SIGTERM, grace, SIGKILL, then everything of the pod but its logs is removed;
 * RT_POD_GONE comes as an event.  grace < 0: the pod's own.  Repeatable; a shorter grace wins.
 */
int rt_pod_stop(struct rt *, const char *uid, int grace, struct error **);
/* Replaces the contents of the pod's file volumes, each atomically. */
int rt_pod_files(struct rt *, const char *uid, const struct rt_volume *, size_t n,
		 struct error **);
/* Stops one container; kedge-init starts it again by its restart policy and back-off. */
int rt_container_restart(struct rt *, const char *uid, const char *container, int grace,
			 struct error **);
/* The startup probe of a sidecar passed, of the run that began at started_at: what waits for
 * it may start.  Of another run it means nothing. */
int rt_container_started(struct rt *, const char *uid, const char *container,
			 int64_t started_at, struct error **);
/* How a hook of RT_HOOK_ASK went. */
int rt_container_hooked(struct rt *, const char *uid, const char *container, int64_t started_at,
			enum rt_hook_name, bool failed, struct error **);
/* Holds a running container to the cpu, shares and memory of `size`, and keeps it so when it
 * is started again.  `restart`: the grace of rt_container_restart(), which takes place if these
 * were others; when it cannot be ordered, they stay what they were.  NULL: it goes on. */
int rt_container_resize(struct rt *, const char *uid, const char *container,
			const struct rt_container *size, const int *restart, struct error **);
/* Adds a container (RT_EPHEMERAL) to a pod that runs, and starts it; it is never started
 * again.  One of that name that is there already is left as it is. */
int rt_container_add(struct rt *, const char *uid, const struct rt_container *,
		     struct error **);
/* What a container is to be from its next run on.  Of one that has begun, or may any moment, it
 * is command, args, env, mounts and image that count.  Where the image is called otherwise than
 * before, what runs is ended, and begins at once as it shall be, whatever its policy says (of
 * RT_INIT: when its run is over); else nothing is done to a run under way, nor to what is
 * executed in it.  With `hold` there is no next run until this is called again without: what
 * it had before stays, for should we end meanwhile a container that runs is started again with
 * that.  All of one that has not begun is taken, but for what its place in the pod is. */
int rt_container_renew(struct rt *, const char *uid, const struct rt_container *,
		       struct error **);
/* What a container uses; -1: this host does not tell. */
struct rt_usage {
	int64_t cpu_ns; /* so far, of this run and those before it */
	int64_t memory; /* working set, in bytes */
};
int rt_container_usage(struct rt *, const char *uid, const char *container,
		       struct rt_usage *ret, struct error **);
/* Runs argv in a container's namespaces, cgroup and with its rights.  The three
 * fds are dup'ed (-1: /dev/null); with tty, fds[0] is the terminal's slave for all three.
 * The end comes as an RT_EXEC_DONE event with this id. */
int rt_exec(struct rt *, const char *uid, const char *container, const char *const *argv,
	    bool tty, const int fds[3], int timeout_s, int64_t id, struct error **);
/* A file or a directory of a container as a tar on fds[1], or with a `name` one from fds[0] to
 * PATH, or PATH/NAME where that is a directory; what went wrong on fds[2].  Done by a program
 * of kedge's own in the container's namespaces, cgroup and with its rights: its image needs
 * none. The end comes as for rt_exec. */
int rt_files_copy(struct rt *, const char *uid, const char *container, const char *path,
		  const char *name, const int fds[3], int64_t id, struct error **);
/* The ends of a running container, in an RT_LENT event with this id: fds[0] takes its input
 * (with a tty it is the terminal: written to, resized, never read), fds[1] and fds[2] give what
 * it prints from now on.  They end with its run; then comes RT_EXEC_DONE, as when it fails. */
int rt_attach(struct rt *, const char *uid, const char *container, int64_t id, struct error **);
/* A TCP connection to a port of the pod's own 127.0.0.1, as fds[0] of an RT_LENT event with
 * this id, maybe still being made (non-blocking; SO_ERROR tells once it can be written to);
 * or an RT_EXEC_DONE with the error. */
int rt_connect(struct rt *, const char *uid, unsigned port, int64_t id, struct error **);

const struct rt_pod_status *
rt_pod_status(struct rt *, const char *uid); /* NULL: unknown; valid until the next call */
/* A descriptor of the folder in /proc of its kedge-init, never of another process that has the
 * number by now; -1: it has none. */
int rt_pod_process(struct rt *, const char *uid);
size_t
rt_pods(struct rt *,
	const char *const **ret_uids); /* adopted and created; valid until the next call */

/* Readable when rt_next has something.  One fd for everything (an epoll). */
int rt_fd(const struct rt *);
enum rt_event_type {
	RT_NOTHING,
	RT_POD_CHANGED,
	RT_EXEC_DONE,
	RT_LENT,
	RT_AHEAD_ENDED, /* a sandbox made ahead ended by itself: rt_ahead makes another */
};
struct rt_event {
	enum rt_event_type type;
	char uid[64];
	int64_t exec_id;
	int exit_code;
	int fds[3], nfds;  /* of LENT: the receiver's to close */
	const char *error; /* of an exec that could not be started; valid until the next call */
};
bool rt_next(struct rt *, struct rt_event *ret);
/* When rt_next wants to be called though the fd is quiet: ms from now, -1 never. */
int rt_timeout(const struct rt *);

/* Storage that outlives pods, by name: directories below state_dir/volumes. */
int rt_store_make(struct rt *, const char *name, struct error **); /* repeatable */
/* Out of reach at once, off the disk by and by.  Refused while a pod is there that has it. */
int rt_store_remove(struct rt *, const char *name, struct error **);
char **rt_stores(struct rt *); /* sorted, NULL-terminated; the caller frees each and the list */
char *rt_store_folder(const struct rt *); /* the caller frees it */

/* Removes the logs of pods that neither run nor stand in `keep` (uids, NULL-terminated). */
void rt_logs_sweep(struct rt *, const char *const *keep);
/* The UID in a log folder's name, "NAMESPACE_POD_UID"; NULL: it is no folder of ours. */
const char *rt_log_uid(const char *name);

/* Ends and removes every pod at once, with its logs, the cgroups and directories; waits for it.
 */
int rt_down(struct rt *, struct error **);

/* Removes DIR/NAME, a tree of any shape that others may be writing to, without following
 * a link or entering a mount; waits for it.  Absent is fine. */
int rt_tree_remove(struct rt *, const char *dir, const char *name, struct error **);

/* image.h's store, by name, for the hand: see there. */
#endif
