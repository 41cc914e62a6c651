/* wire.h -- what the hand and a pod's kedge-init say to each other, and the
 * files of a pod in run_dir/pods/UID/ (0700, root's):
 *
 *     spec        the pod as the caller gave it; the hand's own (podspec.c)
 *     pod         struct w_pod: written before kedge-init starts
 *     NAME.ops    struct ops_head and ops of one container (ops.h); written before its start
 *     NAME.next   the same, from its next run on: kedge-init renames it when that begins
 *     _ahead.ops  those of any first container, in a sandbox made ahead of its pod
 *     run         empty; there when it was to run and no container could begin yet
 *     init.sock   bound by the hand, listened on by kedge-init: the peer's pid is kedge-init's
 *     exits       one struct w_exit for each run that ended, appended
 *     volumes/ root/    what the containers mount
 *
 * Messages are SOCK_SEQPACKET datagrams: one struct, then its texts without
 * NUL or separator.  Both ends are the same user on the same machine, but a kedge-init
 * outlives upgrades of the hand, so what is there stays as it is: numbers, and structs to
 * their size.  What is new is a message, a flag, or comes behind all else in a message, as
 * struct w_as does.  What a kedge-init has learned it says in its hello (W_CAN_*); one that
 * does not say so is not asked for it.  The same goes for the steps, which a newer hand may
 * write: new ones come last in ops.def.  Only "pod" is always of the hand that started it.
 */
#ifndef KEDGE_INIT_WIRE_H
#define KEDGE_INIT_WIRE_H
#include <stdint.h>

enum {
	W_MAGIC = 0x6b64676b,
	W_MAX = 64 << 10,  /* bytes of a message */
	W_CONTAINERS = 32, /* of a pod */
	W_NAME = 64,
	W_HOSTNAME = 64, /* what the kernel takes */
	W_PATH = 512,
	W_TEXT = 4096,         /* of a termination message */
	W_EXECS = 64,          /* at once */
	W_WORDS = 4096,        /* of a command that is executed in a container */
	W_GROUPS = 64,         /* of a process */
	W_LENT = 24,           /* attached clients and connections on their way, at once */
	W_LENT_PIPE = 1 << 20, /* bytes of output that an attached client may lag behind */
};

/* The descriptors a kedge-init is born with. */
enum { W_FD_DIR = 3, W_FD_LISTEN = 4, W_FD_HAND = 5, W_FD_USER = 6, W_FD_COUNT = 7 };

struct w_pod {
	uint32_t magic, none;
	uint64_t caps; /* what it keeps: its own needs and the containers' */
	uint32_t n, grace, log_gid, log_files;
	int64_t log_max;
	char hostname[W_HOSTNAME]; /* one that fills it ends without a NUL */
	char log_dir[W_PATH];      /* of this pod */
	uint32_t gated;            /* nothing of its containers runs before W_GO */
	uint32_t id_base; /* of its user namespace, which is W_FD_USER; 0: the host's */
	uint32_t flags, pad;
};

/* Flags of W_HELLO. */
enum { W_IS_STOPPING = 1, W_IS_GATED = 2, W_CAN_LEND = 4, W_CAN_COPY = 8, W_CAN_RENEW = 16 };

/* Flags of W_RESTART.  OTHER: it is made of something else from now on, so that neither its
 * policy nor its back-off counts; of an init container a run under way is not ended. */
enum { W_RESTART_OTHER = 1 };

/* Flags of struct w_pod: its containers share our pid namespace; the network and the name
 * are the host's; so is the pid namespace; there is no pod yet (W_BECOME); its namespaces come
 * later (W_ENTER). */
enum { W_SHARED_PIDS = 1, W_HOST_NET = 2, W_HOST_PIDS = 4, W_AHEAD = 8, W_LATE = 16 };

/* The steps that every first container takes, "_ahead.ops" in the directory of a sandbox
 * made ahead; no container has that name. */
#define W_AHEAD_OPS "_ahead"
/* The first container of such a sandbox, before its name is known. */
#define W_AHEAD_FIRST "_first"

/* target: of a container added later, whose processes it joins; its index + 1, or 0. */
struct w_container { /* n of them follow struct w_pod */
	char name[W_NAME];
	uint8_t restart, tty, stdin_open,
	    role;                              /* restart: enum rt_restart; role: enum w_role */
	uint8_t startup_probe, log_as_message; /* log_as_message: what it printed last
						  is its last word when it left none */
	uint8_t stdin_once, target; /* its input ends with the first client that gives it */
};

enum w_role { W_MAIN, W_INIT, W_SIDECAR, W_EPHEMERAL }; /* = enum rt_role */

enum w_type {
	/* to kedge-init */
	W_START = 1, /* container: its ops are written, run it when its turn comes */
	W_STOP,      /* arg = grace in seconds; all containers, for good */
	W_RESTART,   /* container, arg = grace, flags: end it, and begin anew by its policy */
	W_EXEC,      /* container, id, arg = timeout in s, flags; argc words, each with its NUL;
			three fds */
	W_STARTED,   /* container, id = run: the startup probe of this run passed */
	W_GO,        /* the pod is plugged in: what waits at the gate may run */
	W_HOOKED,    /* container, id = run, flags = enum w_hook: the hand was asked to see to
			it and has; arg: it failed */
	W_ATTACH,    /* container, id: descriptors of its input, output and errors */
	W_CONNECT,   /* id, arg = port: a connection to 127.0.0.1 of the pod's network */
	W_ADD,       /* container: the number of the next one; then its struct w_container */
	W_ENTER,     /* the pod's net, ipc and uts, three fds: W_LATE */
	W_BECOME,    /* a sandbox made ahead: "pod" was written anew; then the pod's name */
	W_HOLD,      /* container, arg: 1 it has no next run until 0 comes */
	/* to the hand */
	W_HELLO = 64, /* arg = start time of kedge-init (field 22 of stat); flags & 1: stopping,
			 2: gated, 4: knows W_ATTACH and W_CONNECT, 8: W_EXEC_COPY, 16: takes
			 NAME.next; id = how many containers it has, 0 of an older one: a
			 W_STATUS of each follows */
	W_STATUS,     /* struct w_status; with the pidfd when running */
	W_STOPPED,    /* nothing runs and nothing will */
	W_EXEC_DONE,  /* id, arg = exit code; the text is an error; also of W_ATTACH */
	W_LENDS,      /* id: three descriptors for W_ATTACH, one for W_CONNECT */
};

/* Flags of W_EXEC.  COPY: the words are kedge-init's own, who copies files (copy.h). */
enum { W_EXEC_TTY = 1, W_EXEC_COPY = 2 };

struct w_msg {
	uint32_t type, container, flags, argc;
	int64_t id, arg;
};

enum w_end {
	W_END_EXIT,
	W_END_CANNOT_RUN,
	W_END_START_ERROR,
	W_END_ABORTED
}; /* how a run ended */

struct w_run {
	int32_t exit_code, signal, err;      /* err: errno of a start that failed */
	uint8_t oom, end, hooks_failed, pad; /* hooks_failed: bits 1 << enum w_hook */
	int64_t started_at, finished_at;     /* ms since 1970 */
	uint32_t text_len, pad2;             /* termination message, or what failed */
};

enum w_state { W_WAITING, W_RUNNING, W_TERMINATED }; /* = enum rt_state */

enum w_hook { W_HOOK_NONE, W_HOOK_POST_START, W_HOOK_PRE_STOP };
enum w_hook_type { W_HOOK_EXEC = 1, W_HOOK_SLEEP, W_HOOK_ASK }; /* ASK: the hand sees to it */

/* Of a status: what comes after it may start; bits 1, 2: the hook under way. */
enum { W_FLAG_STARTED = 1, W_FLAG_HOOK = 1 };

struct w_status {
	struct w_msg head; /* flags: see above */
	int32_t state, restarts;
	int64_t backoff_until;    /* ms since 1970; 0: not in back-off */
	int32_t backoff_s, began; /* began: was asked to start at least once */
	struct w_run now, last;   /* then now's text and last's, and of one that has run: */
};

struct w_as { /* as whom it runs, or last did; nothing follows from an older kedge-init */
	uint32_t uid, gid;
	int32_t stop_signal;
	uint32_t ngroups; /* so many of these are sent */
	uint32_t groups[W_GROUPS];
};

struct w_exit {
	uint32_t container, run; /* run: the value of restarts then */
	int32_t exit_code, signal;
	int64_t finished_at;
	uint32_t oom, sum; /* sum: all words before it, xor'ed */
};
#endif
