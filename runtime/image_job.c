/* image_job.c -- importing and loading as jobs: a child that works, a parent that polls.
 *
 * A pull has several, one that reads the JSON and the others for layers.  What they make
 * becomes visible only after they are gone, by the parent, and by renames.  image_fence.c says
 * what the child may do.
 */
#include "base/cleanup.h"
#include "image_impl.h"
#include <assert.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define BYTES_DEFAULT   INT64_C(17179869184) /* 16 GiB unpacked */
#define ENTRIES_DEFAULT 1000000
#define SECONDS_DEFAULT 600
#define ANSWER_MAX      (64 << 20)

struct image_job {
	struct images *store;
	size_t n;
	pid_t pid[IMAGE_PULL_SOCKS];
	int pidfd[IMAGE_PULL_SOCKS];
	int alive; /* a pipe that the children hold open */
	int seconds;
	bool takes;        /* what it made goes into the store */
	unsigned refusals; /* of the disk, when it began */
	char dir[64];      /* below ingest; "": a sync, which has none */
};

enum { NO_ANSWER = 2 }; /* how a child ends when it could not say why */

typedef int child_fn(struct child *, struct error **);

static void
answer_name(int number, char ret[16])
{
	snprintf(ret, 16, number ? "answer-%d" : "answer", number);
}

static int
child_work(struct child *c, child_fn *fn, const char *path, int seconds, struct error **e)
{
	char answer[16];

	if (c->takes && c->number == 0 && image_sync_mark(c->store, e) < 0)
		return -1;
	if (image_child_fence(c, path, seconds, e) < 0)
		return -1;
	if (fn(c, e) < 0)
		return -1;
	/* what the stream was spilled to; here, so that the parent need not wait for it */
	if (!c->pull)
		(void)image_tree_remove(c->root, "files");
	if (c->takes && !image_sync_notes(c->store) && syncfs(c->root) < 0)
		return fail_sys(e, "sync %s", path);
	image_items_end(&c->answer);
	answer_name(c->number, answer);
	return image_file_write(c->root, answer, c->answer.at, c->answer.len, e);
}

static _Noreturn void
child_main(struct child *c, child_fn *fn, const char *path, int seconds)
{
	struct error *e = NULL;
	struct buf b = { 0 };
	char answer[16];

	if (child_work(c, fn, path, seconds, &e) == 0)
		_exit(0);
	image_items_add(&b, "why", "%d", e ? e->why : WHY_INTERNAL);
	image_items_add(&b, "errno", "%d", e ? e->err : 0);
	image_items_add(&b, "error", "%s", error_text(e));
	image_items_end(&b);
	answer_name(c->number, answer);
	/* a full disk must not hide that the disk is full */
	if (unlinkat(c->root, answer, 0) < 0 && errno != ENOENT)
		_exit(NO_ANSWER);
	if (!c->pull) { /* others may still be at work there */
		(void)image_tree_remove(c->root, "files");
		(void)image_tree_remove(c->root, "layers");
	}
	_exit(image_file_write(c->root, answer, b.at, b.len, NULL) < 0 ? NO_ANSWER : 1);
}

static int
child_start(struct image_job *j, struct child *c, child_fn *fn, const char *path,
	    struct error **e)
{
	pid_t parent = getpid(), pid = fork();
	int pidfd;

	if (pid < 0)
		return fail_sys(e, "fork a process to unpack the image");
	if (pid == 0) {
		/* first: what holds the store's lock must not outlive who has it */
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent)
			_exit(NO_ANSWER);
		child_main(c, fn, path, j->seconds);
	}
	pidfd = syscall(SYS_pidfd_open, pid, 0);
	if (pidfd < 0) {
		fail_sys(e, "watch the process that unpacks the image (pidfd_open)");
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		return -1;
	}
	j->pid[j->n] = pid;
	j->pidfd[j->n++] = pidfd;
	return 0;
}

/* ext4 keeps all that is below a directory in a few groups of inodes and passes over each that
 * was freed in the last minutes: for every file of a new image it would look at all of one that
 * was just removed.  What is made in a directory with this mark begins in groups of its own,
 * and layers that are unpacked at once do not wait for each other there.  Other file systems
 * know no such thing. */
static void
spread_out(int at, const char *name)
{
	cleanup_close int fd =
	    openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	int flags = 0;

	if (fd < 0 || ioctl(fd, FS_IOC_GETFLAGS, &flags) < 0)
		return;
	flags |= FS_TOPDIR_FL;
	(void)ioctl(fd, FS_IOC_SETFLAGS, &flags);
}

/* The job's directory, and what all its children have in common. */
static int
job_new(struct child *c, const struct image_limits *l, struct image_job **ret, char **ret_path,
	struct error **e)
{
	struct image_job *j = xcalloc(1, sizeof *j);
	struct images *s = (struct images *)c->store;
	cleanup_free char *path = NULL;
	int fds[2] = { -1, -1 };

	j->store = s;
	j->takes = c->takes;
	j->refusals = image_store_refusals(s);
	j->seconds = l && l->seconds > 0 ? l->seconds : SECONDS_DEFAULT;
	c->budget->max_bytes = l && l->bytes > 0 ? l->bytes : BYTES_DEFAULT;
	c->budget->max_entries = l && l->entries > 0 ? l->entries : ENTRIES_DEFAULT;
	c->budget->bytes = c->budget->max_bytes;
	c->budget->entries = c->budget->max_entries;
	snprintf(j->dir, sizeof j->dir, "job-%d-%u", getpid(), image_store_serial(s));
	xasprintf(&path, "%s/%s", image_store_ingest_path(s), j->dir);
	c->root = -1;
	if (mkdirat(image_store_ingest(s), j->dir, 0700) < 0) {
		free(j);
		return fail_sys(e, "mkdir %s", path);
	}
	if (pipe2(fds, O_CLOEXEC) < 0)
		fail_sys(e, "make the pipe that tells when an image job is over");
	else if ((c->root = openat(image_store_ingest(s), j->dir,
				   O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)) < 0)
		fail_sys(e, "open %s", path);
	else if (mkdirat(c->root, "layers", 0700) < 0 || mkdirat(c->root, "files", 0700) < 0)
		fail_sys(e, "mkdir in %s", path);
	else {
		spread_out(c->root, "layers");
		j->alive = fds[0];
		c->alive = fds[1];
		if (j->takes)
			image_store_taker(s, true);
		*ret = j;
		*ret_path = steal_ptr(&path);
		return 0;
	}
	for (int i = 0; i < 2; i++)
		if (fds[i] >= 0)
			close(fds[i]);
	if (c->root >= 0)
		close(c->root);
	(void)image_tree_remove(image_store_ingest(s), j->dir);
	free(j);
	return -1;
}

static int
job_start(struct child *c, child_fn *fn, const struct image_limits *l, struct image_job **ret,
	  struct error **e)
{
	struct budget budget;
	struct image_job *j = NULL;
	cleanup_free char *path = NULL;
	int rc;

	c->budget = &budget; /* cppcheck-suppress autoVariables */
	rc = job_new(c, l, &j, &path, e);
	if (rc == 0) {
		rc = child_start(j, c, fn, path, e);
		close(c->root);
		close(c->alive);
		if (rc < 0)
			image_job_cancel(j);
		else
			*ret = j;
	}
	c->budget = NULL; /* the child has its copy */
	return rc;
}

int
image_import(struct images *s, int fd, const char *name, const struct image_config *config,
	     const struct image_limits *l, struct image_job **ret, struct error **e)
{
	static const struct image_config none;
	cleanup_free char *full = image_normalise(name, e);
	struct child c = { .fd = fd,
			   .store = s,
			   .name = full,
			   .config = config ? config : &none,
			   .takes = true };

	if (!full)
		return -1;
	if (strchr(full, '@'))
		return fail(e, WHY_INVALID,
			    "image name %s: an image is imported by tag, not by digest", name);
	return job_start(&c, image_child_import, l, ret, e);
}

int
image_load(struct images *s, int fd, const char *name, const struct image_limits *l,
	   struct image_job **ret, struct error **e)
{
	cleanup_free char *full = name ? image_normalise(name, e) : NULL;
	struct child c = { .fd = fd, .store = s, .name = full, .takes = true };

	if (name && !full)
		return -1;
	if (full && strchr(full, '@'))
		return fail(e, WHY_INVALID,
			    "image name %s: an image is loaded by tag, not by digest", name);
	return job_start(&c, image_child_load, l, ret, e);
}

int
image_save(struct images *s, const char *name, int fd, bool config_only, struct image_job **ret,
	   struct error **e)
{
	const struct image *i = image_find(s, name);
	struct child c = {
		.fd = fd, .store = s, .image = i, .store_path = image_store_path(s)
	};

	if (!i)
		return fail(e, WHY_NOT_FOUND,
			    "image %s is not here; `kedge image ls` shows those that are",
			    name);
	return job_start(&c, config_only ? image_child_inspect : image_child_save, NULL, ret,
			 e);
}

int
images_verify(struct images *s, int fd, struct image_job **ret, struct error **e)
{
	const struct image_limits long_enough = { .seconds = 3600 };
	struct child c = { .fd = fd, .store = s, .store_path = image_store_path(s) };

	return job_start(&c, image_child_verify, &long_enough, ret, e);
}

static int
pull_children(struct image_job *j, struct child *c, const char *path,
	      int ret_socks[IMAGE_PULL_SOCKS], struct error **e)
{
	for (int i = 0; i < IMAGE_PULL_SOCKS; i++) {
		int pair[2], rc;

		if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
			return fail_sys(e, "make the sockets over which image %s is handed in",
					c->name);
		ret_socks[i] = pair[0];
		c->number = i;
		c->fd = pair[1];
		rc = child_start(j, c, image_child_pull, path, e);
		close(pair[1]);
		if (rc < 0)
			return -1;
	}
	return 0;
}

int
image_pull(struct images *s, const char *name, const struct image_limits *l,
	   int ret_socks[IMAGE_PULL_SOCKS], struct image_job **ret, struct error **e)
{
	cleanup_free char *full = image_normalise(name, e), *path = NULL;
	int socks[IMAGE_PULL_SOCKS] = { -1, -1, -1, -1 };
	struct child c = { .store = s, .name = full, .takes = true };
	struct image_job *j = NULL;
	int rc = -1;

	if (!full)
		return -1;
	c.pull = image_pull_table(&c.budget);
	if (job_new(&c, l, &j, &path, e) == 0) {
		rc = pull_children(j, &c, path, socks, e);
		close(c.root);
		close(c.alive);
	}
	image_pull_table_free(c.pull);
	if (rc == 0) {
		memcpy(ret_socks, socks, sizeof socks);
		*ret = j;
		return 0;
	}
	for (size_t i = 0; i < IMAGE_PULL_SOCKS; i++)
		if (socks[i] >= 0)
			close(socks[i]);
	image_job_cancel(j);
	return -1;
}

int
image_job_fd(const struct image_job *j)
{
	return j->alive;
}

/* A child's answer: its items, or the error it met. */
static int
answer_read(int dir, int number, struct arena *a, struct items *ret, struct error **e)
{
	cleanup_buf struct buf b = { 0 };
	int why = WHY_INTERNAL, err = 0;
	const char *text = NULL;
	struct items items;
	char answer[16];

	answer_name(number, answer);
	if (image_file_read(dir, answer, ANSWER_MAX, &b, e) < 0 ||
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
child_reap(struct image_job *j, size_t n, struct error **e)
{
	siginfo_t si = { 0 };
	int rc;

	do
		rc = waitid(P_PIDFD, j->pidfd[n], &si, WEXITED);
	while (rc < 0 && errno == EINTR);
	if (rc < 0)
		return errno == ECHILD ? 0 : fail_sys(e, "wait for the unpacking process");
	if (si.si_code == CLD_EXITED && si.si_status == NO_ANSWER)
		return fail(e, WHY_IO,
			    "the unpacking process could not even write why it failed into %s: "
			    "the disk is full; free some space",
			    image_store_ingest_path(j->store));
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
	for (size_t i = 0; i < j->n; i++)
		close(j->pidfd[i]);
	close(j->alive);
	if (*j->dir)
		image_store_discard(j->store, j->dir);
	if (j->takes)
		image_store_taker(j->store, false);
	free(j);
}

/* That the others lost their downloader follows from what one of them found. */
static bool
says_more(const struct error *than, const struct error *e)
{
	return !than || (than->why == WHY_UNAVAILABLE && e->why != WHY_UNAVAILABLE);
}

/* Waits for all children; their items in one list. */
static int
answers_read(struct image_job *j, struct arena *a, struct items *ret, struct error **e)
{
	cleanup_close int dir = openat(image_store_ingest(j->store), j->dir,
				       O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct items all = { 0 };
	cleanup_error struct error *why = NULL;

	for (size_t i = 0; i < j->n; i++) {
		cleanup_error struct error *x = NULL;
		struct items items = { 0 };
		struct item *at;

		if (child_reap(j, i, &x) == 0) {
			if (dir < 0)
				fail_sys(&x, "open %s/%s", image_store_ingest_path(j->store),
					 j->dir);
			else
				answer_read(dir, (int)i, a, &items, &x);
		}
		if (x && says_more(why, x)) {
			error_free(&why);
			why = steal_ptr(&x);
		}
		at = arena_alloc(a, (all.n + items.n + 1) * sizeof *at);
		if (all.n)
			memcpy(at, all.at, all.n * sizeof *at);
		if (items.n)
			memcpy(at + all.n, items.at, items.n * sizeof *at);
		all.at = at;
		all.n += items.n;
	}
	if (why) {
		if (e)
			*e = steal_ptr(&why);
		return -1;
	}
	*ret = all;
	return 0;
}

/* ---- bringing it to the disk ---- */

int
images_sync(struct images *s, struct image_job **ret, struct error **e)
{
	struct image_job *j;
	int fds[2];
	pid_t pid;

	*ret = NULL;
	if (!image_sync_begin(s))
		return 0;
	j = xcalloc(1, sizeof *j);
	*j = (struct image_job){ .store = s, .alive = -1 };
	if (pipe2(fds, O_CLOEXEC) < 0) {
		fail_sys(e, "make the pipe that tells when images are on the disk");
		goto out;
	}
	j->alive = fds[0];
	pid = fork();
	if (pid == 0) {
		image_child_signals();
		image_sync_child(s, fds[1]);
	}
	close(fds[1]);
	if (pid < 0) {
		fail_sys(e, "fork a process to bring images to the disk");
		goto out;
	}
	j->pidfd[0] = syscall(SYS_pidfd_open, pid, 0);
	if (j->pidfd[0] < 0) { /* never waited for: it may take long */
		fail_sys(e, "watch the process that brings images to the disk (pidfd_open)");
		goto out;
	}
	j->pid[j->n++] = pid;
	*ret = j;
	return 0;
out:
	image_sync_again(s);
	if (j->alive >= 0)
		close(j->alive);
	free(j);
	return -1;
}

static int
sync_end(struct image_job *j, struct error **e)
{
	siginfo_t si = { 0 };
	int rc;

	do
		rc = waitid(P_PIDFD, j->pidfd[0], &si, WEXITED);
	while (rc < 0 && errno == EINTR);
	if (rc == 0 && si.si_code == CLD_EXITED && si.si_status == 0)
		return image_sync_ok(j->store, e);
	if (rc == 0 && si.si_code == CLD_EXITED && si.si_status != IMAGE_SYNC_NOT_BEGUN)
		return image_sync_failed(j->store, si.si_status, e);
	image_sync_again(j->store);
	return fail(e, WHY_INTERNAL, "the process that brings images to the disk was ended%s",
		    rc == 0 && si.si_code != CLD_EXITED ? " by a signal" : "");
}

int
images_check(struct images *s, const struct map *layers, struct arena *a, struct items *ret,
	     struct error **e)
{
	const struct image_limits seconds = { .seconds = 60 }; /* nothing starts meanwhile */
	struct child c = {
		.fd = -1, .store = s, .store_path = image_store_path(s), .check = layers
	};
	struct image_job *j;
	char byte;
	int rc;

	c.fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (c.fd < 0)
		return fail_sys(e, "open /dev/null");
	rc = job_start(&c, image_child_check, &seconds, &j, e);
	close(c.fd);
	if (rc < 0)
		return -1;
	while (read(j->alive, &byte, 1) < 0 && errno == EINTR)
		;
	rc = answers_read(j, a, ret, e);
	job_free(j);
	return rc;
}

/* ---- how jobs end ---- */

int
image_job_end(struct image_job *j, char ***ret_names, struct error **e)
{
	cleanup_arena struct arena a = { 0 };
	struct items items;
	int rc;

	if (!*j->dir) {
		*ret_names = xcalloc(1, sizeof **ret_names);
		rc = sync_end(j, e);
	} else {
		rc = answers_read(j, &a, &items, e);
		/* whose bytes the disk refused, it does not say */
		if (rc == 0 && j->takes && image_store_refused(j->store, j->refusals))
			rc = fail(e, WHY_IO,
				  "the disk under %s did not take all that was written "
				  "meanwhile; try again",
				  image_store_path(j->store));
		if (rc == 0 && j->takes)
			image_sync_took(j->store, NULL);
		if (rc == 0)
			rc = image_store_take(j->store, j->dir, &items, ret_names, e);
	}
	job_free(j);
	return rc;
}

void
image_job_cancel(struct image_job *j)
{
	if (!j)
		return;
	assert(*j->dir); /* nobody can call back what is on its way to the disk */
	for (size_t i = 0; i < j->n; i++)
		(void)syscall(SYS_pidfd_send_signal, j->pidfd[i], SIGKILL, NULL, 0);
	for (size_t i = 0; i < j->n; i++)
		(void)child_reap(j, i, NULL);
	job_free(j);
}
