/* init.h -- the inside of kedge-init: the first process of a pod.
 *
 * It holds the pod's pid, net, ipc and uts namespaces, starts containers when told, restarts
 * them by their policy, writes their logs, records every exit, and needs nobody for
 * any of it once it runs.  Its own mount namespace is the host's: it pins no mount
 * of the host, and each container leaves the host's tree by pivot_root.
 *
 * One thread, one poll loop, all memory static.  A child shares this memory
 * until it execs (CLONE_VM), so it writes only to what is meant
 * for it: struct setup and its stack.
 */
#ifndef KEDGE_INIT_H
#define KEDGE_INIT_H
#include "runtime/init/ops.h"
#include "runtime/init/sys.h"
#include "runtime/init/wire.h"

#define OWN_TERM "term"       /* where a run leaves its last words, see files_new */
enum { TAIL_MAX = 16 << 10 }; /* a longer log line is cut into P records, as Kubernetes does */

/* As getdents64 writes it; the kernel's headers keep it to themselves. */
struct dirent64 {
	uint64_t ino;
	int64_t off;
	unsigned short reclen;
	unsigned char type;
	char name[];
};

static inline bool
dir_dots(const char *name)
{
	return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

struct stream { /* one output of a container on its way to the log */
	int fd; /* -1: at its end */
	int err;
	uint32_t len; /* of the unfinished line in `tail` */
	char *tail;
	uint32_t taps; /* bits 1 << index: those of init.lent that get a copy */
};

struct log {
	int dir, fd; /* the container's directory; the file being written */
	int run;     /* N of N.log */
	const char *container;
	int64_t size, lost;
};

/* How far a container is on its way out. */
enum ending { GOES_ON, RUNS_ITS_HOOK, WAITS_ITS_TURN, WAS_ASKED };

struct container {
	struct w_container conf;
	uint32_t index;
	int state, restarts, backoff_s, stop_signal;
	bool asked, began;   /* to be started when its turn comes; was started once */
	bool dirty, started; /* the hand has yet to hear; what comes after it may start */
	bool held;           /* no run begins before the hand says so */
	bool other; /* its run was ended for one of something else, whatever its policy */
	int pid, pidfd, input; /* input: our end of a stdin that stays open, or a terminal */
	int64_t not_before;    /* boot ms: back-off, 0: none */
	int64_t began_boot;    /* boot ms of the last start; 0: none yet */
	int ending;            /* enum ending */
	int hooks, hook;       /* bits 1 << enum w_hook: those it has; the one under way */
	int64_t hook_end;      /* boot ms: of a sleep, 0: another kind */
	int64_t end_by;        /* boot ms: when its grace is over */
	int64_t kill_at;       /* boot ms: SIGKILL then; 0: not asked to end yet */
	uint64_t oom_before, owned; /* owned: of struct setup */
	int word;                   /* its termination message; -1: none */
	struct w_run now, last;
	bool has_run;
	struct w_as as; /* if so */
	struct stream out[2];
	struct log log;
	char *text, *last_text, *events; /* events: where the kernel counts its OOM kills */
};

struct exec {
	int64_t id; /* 0: free; below 0: of a hook, that is ours to wait for */
	int pid, err_fd;
	int container, run, hook; /* of a hook: which one */
	int64_t kill_at;          /* boot ms; 0: none */
	int32_t timeout_s, code;
	bool done, late;
	char error[256];
};

/* The hand's, and both hooks of each container: one may begin before the other is over. */
enum { EXECS = W_EXECS + 2 * W_CONTAINERS };

/* What the hand asked for and passes on: the ends of an attached client, or a connection. */
struct lent {
	int64_t id;          /* 0: free */
	int container;       /* -1: a connection */
	int out[2];          /* our ends of its pipes for output and errors; -1: closed */
	int give[3], ngive;  /* the other ends, on their way to the hand */
	uint64_t skipped[2]; /* bytes that it was too slow for */
	bool done;
	int code;
	const char *error;
};

struct init {
	struct w_pod pod;
	struct container c[W_CONTAINERS];
	struct exec execs[EXECS];
	int execs_used; /* no slot from here on was ever used: nor is its memory looked at,
			   which a kernel may then have to find pages for */
	struct lent lent[W_LENT];
	int signals, listen, hand, exits; /* hand: -1 when there is none */
	int64_t start_time;               /* ours, as the kernel tells it */
	bool stopping, told_stopped, greeted;
	bool finished; /* nothing but sidecars runs or will: they end, too */
	bool gated;    /* what is started waits for W_GO */
	char *name;    /* our last argument, and the room for the name of the pod there */
	size_t name_room;
};

/* The pipes of a container; each pair ours and its, in the order of pipe2. */
struct ends {
	int in[2], out[2], err[2], report[2];
};

/* The walk over ops, in the child. */
struct setup {
	const struct ops_head *ops;
	const struct ops_head
	    *ahead;         /* steps that were taken before there was a pod; or NULL */
	uint32_t ready, go; /* futexes, of one made ahead: it waits; all of this is set */
	int room;           /* where what was mounted ahead waits for its root; -1 */
	int layers;         /* what OP_LAYERS mounted; -1 */
	int oom;            /* our oom_score_adj, once the host's tree is left; -1 */
	const char *container;
	uint64_t caps;  /* the bounding set we have: kedge-init's own */
	int run;        /* number of this run: names the writable layer */
	uint64_t owned; /* volumes that have their group by now: a bit each, in the order of the
			   steps; kept for the container's next run */
	int nown;       /* steps of that kind so far */
	int stdio[3];
	bool join, tty;  /* join: an exec */
	int target;      /* pidfd of the container to join */
	int report;      /* where the last child of an exec says what failed, or the terminal's
			    master goes */
	int root;        /* the new root, until we are in it */
	int proc, sysfs; /* what is mounted there */
	int mask[2]; /* what hides a file, a directory: the first of each kind; -1: none yet */
	int shared[8], nshared;
	bool hears; /* the host's mounts reach our tree: what shall not hear is cut off */
	int own;    /* of files_new */
	int gate;   /* where W_GO comes from; -1: came, or not asked for */
	struct {    /* of layers, mapped; as OP_ROOT has them */
		const char *path;
		int tree;
	} stores[2];
	int nstores;
	int user_ns;       /* of the pod; -1: the host's */
	uint32_t id_base;  /* what root of the pod is on the host */
	char *const *argv; /* of an exec */
	int exe;           /* what is run, whatever argv calls it; -1: what argv names */
	char **scratch;    /* room for pointers to all strings of the ops, and 8 more; of an
			      exec, behind its words */
	uint32_t uid, gid, ngroups, groups[W_GROUPS];
	char home[256];
	/* what it says when it fails */
	int err, end; /* errno; enum w_end */
	char error[512];
	int child; /* of an exec: the pid that runs it */
};

/* container.c */
void container_start(struct init *, struct container *);
void container_ended(struct init *, struct container *, int status);
/* spawn.c: a container's process, from its clone to its exec.  Returns the pid when it
 * exec'ed or failed, which setup.err tells, or -errno; the caller closes what is left of
 * `ends`. */
long spawn(struct init *, struct container *, const struct ops_head *, char **scratch,
	   struct ends *, const struct setup **ret);
void ends_keep(struct container *, struct ends *); /* ours become the container's streams */
void ends_close(struct ends *);
/* The process of the first container, of a pod that is yet to come. */
void spawn_ahead(struct init *);
bool spawn_ahead_ended(int pid); /* it was that one */
/* main.c */
void container_add(struct init *, const struct w_container *); /* one more */
void pod_enter(struct init *, const int namespaces[3]);        /* W_ENTER */
void pod_become(struct init *, const char *name, size_t len);  /* W_BECOME */
/* order.c: who starts and ends when */
bool order_wants(const struct init *, const struct container *);    /* to be started, now or
								       later */
void order_stop(struct init *, struct container *, int64_t end_by); /* one, in its turn */
void order_stop_all(struct init *, int64_t end_by);
void order_other(struct init *, struct container *, int64_t end_by); /* W_RESTART_OTHER */
int64_t
order_due(struct init *); /* does what is due; boot ms of what is next, INT64_MAX: none */
/* exec.c */
void exec_begin(struct init *, const struct w_msg *, char *words, size_t len, const int fds[3]);
bool exec_ended(struct init *, int pid, int status); /* false: not one of ours */
void exec_end_all(struct init *);
bool exec_hook(struct init *, struct container *, const struct op *argv,
	       const struct ops_head *, char **scratch); /* false: it could not begin */
/* attach.c */
void attach_begin(struct init *, const struct w_msg *);
void attach_connect(struct init *, const struct w_msg *);
void attach_copy(struct init *, struct stream *, const char *, size_t); /* to who listens */
void attach_ended(struct init *, struct container *);                   /* its run */
void attach_look(struct init *);    /* lets go whose clients have left */
void attach_end_all(struct init *); /* there is nobody to hear of them */
/* hooks.c: what a container has to do after its start and before its end */
int hooks_of(const struct ops_head *); /* bits 1 << enum w_hook */
void hook_begin(struct init *, struct container *, int hook);
void hook_ended(struct init *, struct container *, bool well);
/* hand.c */
void hand_accept(struct init *);
void hand_read(struct init *);
bool hand_flush(struct init *); /* false: it cannot take more now */
void hand_lost(struct init *);
void hand_refuse(struct init *, int64_t id, const char *why); /* an exec */
/* log.c */
/* Opens the log of a run.  Where the disk is full what is printed is counted, and told once
 * there is room. */
void log_start(struct log *, const struct w_pod *, const char *container, int run);
void log_pump(struct init *, struct stream *, struct log *);    /* one read */
uint32_t log_last(const struct log *, char *to, uint32_t room); /* bytes of its last lines */
void log_drain(struct init *, struct stream *, struct log *);   /* to the end; closes */
/* setup.c */
int setup_run(void *setup); /* of the child; returns only when it failed */
const struct ops_head *ops_map(int dir, const char *container, char ***ret_scratch,
			       size_t *ret_size);
void ops_unmap(const struct ops_head *, size_t);
const struct op *op_find(const struct ops_head *, int code); /* NULL: none */
/* A process that took the steps of `ahead` can go on with these: they hear nothing of the
 * host's mounts, have the same stores, and every other step of `ahead` is one of them, to the
 * byte (but LAYERS and LEAVE, which leave nothing that ROOT does not look at). */
bool ops_begin_with(const struct ops_head *ops, const struct ops_head *ahead);
const char *op_text(const struct op *, unsigned i); /* "" past the end */
int setup_fail(struct setup *, const struct op *, const char *what, int err); /* returns -1 */
void text_err(struct text *, int err);                                        /* in words */
/* mount.c: each is one op; 0 or what setup_fail gave */
int mount_root(struct setup *, const struct op *);
int mount_proc(struct setup *, const struct op *);
int mount_dev(struct setup *, const struct op *);
int mount_sys(struct setup *, const struct op *);
int mount_mask(struct setup *, const struct op *);
int mount_readonly(struct setup *, const struct op *);
int mount_seal(struct setup *, const struct op *);
int mount_pivot(struct setup *, const struct op *);
int fs_new(const char *type, const char *const *options, unsigned attrs); /* pairs; mounted
									     nowhere */
/* The op's texts from there on as the lower layers of an overlay in the making; `joined`, for
 * kernels before 6.5, also stands in /proc/self/fd then.  The layer that failed is told. */
int layers_add(const struct setup *, int fs, const struct op *, unsigned from, bool joined,
	       const char **ret_what);
int id_map(const struct setup *, int tree, unsigned how); /* 0 also where there is no need */
int volume_place(int root, const char *path, bool file);  /* where a volume may go */
int path_make(int root, const char *path, bool file); /* an O_PATH fd inside root, or -errno */
/* for room.c: 0, a descriptor or -errno */
int mount_cut_off(struct setup *, bool hears); /* nothing we mount shows on the host */
int mount_map_stores(struct setup *, const struct op *, const char **ret_what);
int mount_layers_tree(struct setup *, const struct op *, const char **ret_what);
int mount_own_dir(int root, const char *name);
long mount_root_enter(int root); /* and leaves what was the root */
/* room.c */
int mount_room(struct setup *, const struct op *);
int mount_layers(struct setup *, const struct op *);
int mount_leave(struct setup *, const struct op *);
int room_move(struct setup *);                          /* to the root that is there now */
int room_layers(struct setup *, const struct op *root); /* those of this root; -1: others */
/* volume.c */
int mount_volume(struct setup *, const struct op *);
int mount_image(struct setup *, const struct op *);
int mount_share(struct setup *, const struct op *);
/* files.c: what kedge gives a run to read and write */
int files_new(void); /* a descriptor of where they are, or -errno */
int files_begin(struct setup *, const struct op *);
int files_put(struct setup *, const struct op *);
int files_termlog(struct setup *, const struct op *);
/* own.c */
int own_volume(struct setup *, const struct op *);
/* user.c */
int user_find(struct setup *, const struct op *);
int user_rights(struct setup *, const struct op *);
int user_enter(struct setup *, const struct op *); /* the pod's user namespace */
int user_act_as_root(const struct setup *); /* of the pod, where files are made; or -errno */
void user_make_as(const struct setup *, bool pod); /* files: as the pod's root, as ours */
/* remove.c */
int remove_main(int argc, char **argv);
/* measure.c */
int measure_main(int argc, char **argv);
#endif
