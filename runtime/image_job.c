/* image_job.c -- importing and loading, in a child that can harm nobody.
 *
 * The child reads foreign bytes as root of a directory of its own.  What it
 * has: that directory as its whole file system (pivot_root in a mount
 * namespace of its own, nodev, nosuid, noexec), a network namespace with
 * nothing in it, the stream's fd, the rights to set owners and modes, and a
 * deadline.  What it makes becomes visible only after it is gone, by the
 * parent, and by renames.
 */
#include "base/cleanup.h"
#include "image_impl.h"
#include <cap-ng.h>
#include <fcntl.h>
#include <locale.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define BYTES_DEFAULT   INT64_C(17179869184) /* 16 GiB unpacked */
#define ENTRIES_DEFAULT 1000000
#define SECONDS_DEFAULT 600
#define ANSWER_MAX      (64 << 20)

struct image_job {
	struct images *store;
	pid_t pid;
	int pidfd, seconds;
	char dir[64]; /* below ingest */
};

static void
signals_reset(void)
{
	sigset_t none;

	/* the caller's handlers would write to the caller's pipes */
	for (int s = 1; s < NSIG; s++)
		if (s != SIGKILL && s != SIGSTOP)
			signal(s, s == SIGPIPE ? SIG_IGN : SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

static int
limits_set(const struct budget *b, int seconds, struct error **e)
{
	struct rlimit cpu = { seconds, seconds }, core = { 0, 0 }, files = { 4096, 4096 };
	struct rlimit size = { b->max_bytes + (1 << 20), b->max_bytes + (1 << 20) };

	if (setrlimit(RLIMIT_CPU, &cpu) < 0 || setrlimit(RLIMIT_CORE, &core) < 0 ||
	    setrlimit(RLIMIT_FSIZE, &size) < 0)
		return fail_sys(e, "set limits of the unpacking process");
	(void)setrlimit(RLIMIT_NOFILE, &files); /* a lower hard limit is as good */
#ifndef __SANITIZE_ADDRESS__                    /* which reserves terabytes */
	struct rlimit memory = { INT64_C(2) << 30, INT64_C(2) << 30 };

	if (setrlimit(RLIMIT_AS, &memory) < 0)
		return fail_sys(e, "set limits of the unpacking process");
#endif
	alarm(seconds);
	return 0;
}

/* Nothing stays open but 0, 1, 2, the stream (3) and the job's directory (4). */
static int
fds_place(int *fd, int *root, struct error **e)
{
	int a = fcntl(*fd, F_DUPFD, 10), b = fcntl(*root, F_DUPFD, 10);
	int null = open("/dev/null", O_RDWR);

	if (a < 0 || b < 0 || null < 0 || dup2(null, 0) < 0 || dup2(null, 1) < 0 ||
	    dup2(a, 3) < 0 || dup2(b, 4) < 0 || close_range(5, ~0U, 0) < 0)
		return fail_sys(e, "arrange the unpacking process's files");
	*fd = 3;
	*root = 4;
	return 0;
}

/* After this the job's directory is all there is. */
static int
root_enter(const char *path, int root, struct error **e)
{
	if (unshare(CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC) < 0)
		return fail_sys(e, "unshare for unpacking an image");
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount(path, path, NULL, MS_BIND, NULL) < 0 ||
	    mount(NULL, path, NULL, MS_REMOUNT | MS_BIND | MS_NOSUID | MS_NODEV | MS_NOEXEC,
		  NULL) < 0)
		return fail_sys(e, "mount %s for unpacking an image", path);
	if (chdir(path) < 0 || syscall(SYS_pivot_root, ".", ".") < 0 ||
	    umount2(".", MNT_DETACH) < 0 || chdir("/") < 0)
		return fail_sys(e, "enter %s for unpacking an image", path);
	/* the fd from before would still lead out: it is of the mount below */
	close(root);
	if (open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC) != root)
		return fail_sys(e, "open the root for unpacking an image");
	return 0;
}

static int
rights_drop(struct error **e)
{
	/* owners and modes as the tar says; whiteout nodes; file capabilities */
	capng_clear(CAPNG_SELECT_BOTH);
	if (capng_updatev(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED, CAP_CHOWN,
			  CAP_DAC_OVERRIDE, CAP_FOWNER, CAP_FSETID, CAP_MKNOD, CAP_SETFCAP,
			  -1) < 0 ||
	    capng_apply(CAPNG_SELECT_CAPS) < 0)
		return fail_sys(e, "drop the unpacking process's rights");
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return fail_sys(e, "set no_new_privs");
	return 0;
}

static int
child_fence(struct child *c, const char *path, int seconds, struct error **e)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	signals_reset();
	umask(0);
	/* names in pax headers are UTF-8; without a UTF-8 locale libarchive has no words for
	 * them */
	setlocale(LC_CTYPE, "C.UTF-8");
	if (fds_place(&c->fd, &c->root, e) < 0 || root_enter(path, c->root, e) < 0 ||
	    rights_drop(e) < 0)
		return -1;
	return limits_set(&c->budget, seconds, e);
}

static int
child_work(struct child *c, bool load, const char *path, int seconds, struct error **e)
{
	if (child_fence(c, path, seconds, e) < 0)
		return -1;
	if (mkdirat(c->root, "layers", 0700) < 0 || mkdirat(c->root, "files", 0700) < 0)
		return fail_sys(e, "mkdir in %s", path);
	if ((load ? image_child_load : image_child_import)(c, e) < 0)
		return -1;
	/* what the stream was spilled to; here, so that the parent need not wait for it */
	(void)image_tree_remove(c->root, "files");
	if (syncfs(c->root) < 0)
		return fail_sys(e, "sync %s", path);
	image_items_end(&c->answer);
	return image_file_write(c->root, "answer", c->answer.at, c->answer.len, e);
}

static _Noreturn void
child_main(struct child *c, bool load, const char *path, int seconds)
{
	struct error *e = NULL;
	struct buf b = { 0 };

	if (child_work(c, load, path, seconds, &e) == 0)
		_exit(0);
	image_items_add(&b, "why", "%d", e ? e->why : WHY_INTERNAL);
	image_items_add(&b, "errno", "%d", e ? e->err : 0);
	image_items_add(&b, "error", "%s", error_text(e));
	image_items_end(&b);
	/* a full disk must not hide that the disk is full */
	if (unlinkat(c->root, "answer", 0) < 0 && errno != ENOENT)
		_exit(2);
	(void)image_tree_remove(c->root, "files");
	(void)image_tree_remove(c->root, "layers");
	_exit(image_file_write(c->root, "answer", b.at, b.len, NULL) < 0 ? 2 : 1);
}

static int
job_start(struct child *c, bool load, const struct image_limits *l, struct image_job **ret,
	  struct error **e)
{
	struct image_job *j = xcalloc(1, sizeof *j);
	cleanup_free char *path = NULL;
	cleanup_close int root = -1;

	j->store = (struct images *)c->store;
	j->seconds = l && l->seconds > 0 ? l->seconds : SECONDS_DEFAULT;
	c->budget.max_bytes = l && l->bytes > 0 ? l->bytes : BYTES_DEFAULT;
	c->budget.max_entries = l && l->entries > 0 ? l->entries : ENTRIES_DEFAULT;
	c->budget.bytes = c->budget.max_bytes;
	c->budget.entries = c->budget.max_entries;
	snprintf(j->dir, sizeof j->dir, "job-%d-%u", getpid(), image_store_serial(j->store));
	xasprintf(&path, "%s/%s", image_store_ingest_path(j->store), j->dir);
	if (mkdirat(image_store_ingest(j->store), j->dir, 0700) < 0) {
		fail_sys(e, "mkdir %s", path);
		goto out;
	}
	root = openat(image_store_ingest(j->store), j->dir,
		      O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (root < 0) {
		fail_sys(e, "open %s", path);
		goto out_dir;
	}
	c->root = root;
	j->pid = fork();
	if (j->pid < 0) {
		fail_sys(e, "fork a process to unpack the image");
		goto out_dir;
	}
	if (j->pid == 0)
		child_main(c, load, path, j->seconds);
	j->pidfd = syscall(SYS_pidfd_open, j->pid, 0);
	if (j->pidfd < 0) {
		fail_sys(e, "pidfd_open");
		kill(j->pid, SIGKILL);
		waitpid(j->pid, NULL, 0);
		goto out_dir;
	}
	*ret = j;
	return 0;
out_dir:
	(void)image_tree_remove(image_store_ingest(j->store), j->dir);
out:
	free(j);
	return -1;
}

int
image_import(struct images *s, int fd, const char *name, const struct image_config *config,
	     const struct image_limits *l, struct image_job **ret, struct error **e)
{
	static const struct image_config none;
	cleanup_free char *full = image_normalise(name, e);
	struct child c = {
		.fd = fd, .store = s, .name = full, .config = config ? config : &none
	};

	if (!full)
		return -1;
	if (strchr(full, '@'))
		return fail(e, WHY_INVALID,
			    "image name %s: an image is imported by tag, not by digest", name);
	return job_start(&c, false, l, ret, e);
}

int
image_load(struct images *s, int fd, const char *name, const struct image_limits *l,
	   struct image_job **ret, struct error **e)
{
	cleanup_free char *full = name ? image_normalise(name, e) : NULL;
	struct child c = { .fd = fd, .store = s, .name = full };

	if (name && !full)
		return -1;
	if (full && strchr(full, '@'))
		return fail(e, WHY_INVALID,
			    "image name %s: an image is loaded by tag, not by digest", name);
	return job_start(&c, true, l, ret, e);
}

int
image_job_fd(const struct image_job *j)
{
	return j->pidfd;
}

/* The child's answer: items, or the error it met. */
static int
answer_read(int dir, struct arena *a, struct items *ret, struct error **e)
{
	cleanup_buf struct buf b = { 0 };
	int why = WHY_INTERNAL, err = 0;
	const char *text = NULL;
	struct items items;

	if (image_file_read(dir, "answer", ANSWER_MAX, &b, e) < 0 ||
	    image_items_parse(b.at, b.len, a, &items, e) < 0)
		return -1;
	for (size_t i = 0; i < items.n; i++) {
		if (strcmp(items.at[i].key, "why") == 0)
			why = atoi(items.at[i].value);
		else if (strcmp(items.at[i].key, "errno") == 0)
			err = atoi(items.at[i].value);
		else if (strcmp(items.at[i].key, "error") == 0)
			text = items.at[i].value;
	}
	if (!text) {
		*ret = items;
		return 0;
	}
	fail(e, why > WHY_NONE && why < WHY_COUNT ? (enum why)why : WHY_INTERNAL, "%s", text);
	if (e && *e)
		(*e)->err = err;
	return -1;
}

static int
child_reap(struct image_job *j, struct error **e)
{
	siginfo_t si = { 0 };
	int rc;

	do
		rc = waitid(P_PIDFD, j->pidfd, &si, WEXITED);
	while (rc < 0 && errno == EINTR);
	if (rc < 0)
		return errno == ECHILD ? 0 : fail_sys(e, "wait for the unpacking process");
	if (si.si_code == CLD_EXITED)
		return 0; /* the answer says the rest */
	if (si.si_status == SIGALRM || si.si_status == SIGXCPU)
		return fail(e, WHY_TIMEOUT, "unpacking the image took longer than %d s",
			    j->seconds);
	return fail(e, WHY_INTERNAL, "the unpacking process was ended by signal %d (%s)",
		    si.si_status, strsignal(si.si_status));
}

static void
job_free(struct image_job *j)
{
	close(j->pidfd);
	image_store_discard(j->store, j->dir);
	free(j);
}

int
image_job_end(struct image_job *j, char ***ret_names, struct error **e)
{
	cleanup_arena struct arena a = { 0 };
	struct items items;
	int rc = child_reap(j, e);

	if (rc == 0) {
		cleanup_close int dir = openat(image_store_ingest(j->store), j->dir,
					       O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

		if (dir < 0)
			rc = fail_sys(e, "open %s/%s", image_store_ingest_path(j->store),
				      j->dir);
		else
			rc = answer_read(dir, &a, &items, e);
	}
	if (rc == 0)
		rc = image_store_take(j->store, j->dir, &items, ret_names, e);
	job_free(j);
	return rc;
}

void
image_job_cancel(struct image_job *j)
{
	if (!j)
		return;
	(void)syscall(SYS_pidfd_send_signal, j->pidfd, SIGKILL, NULL, 0);
	(void)child_reap(j, NULL);
	job_free(j);
}
