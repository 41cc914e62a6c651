/* image_job.c -- importing and loading as jobs: a child that works, a parent that polls.
 *
 * What the child makes becomes visible only after it is gone, by the parent,
 * and by renames.  image_fence.c says what the child may do.
 */
#include "base/cleanup.h"
#include "image_impl.h"
#include <fcntl.h>
#include <signal.h>
#include <string.h>
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

enum { NO_ANSWER = 2 }; /* how the child ends when it could not say why */

static int
child_work(struct child *c, bool load, const char *path, int seconds, struct error **e)
{
	if (image_child_fence(c, path, seconds, e) < 0)
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
		_exit(NO_ANSWER);
	(void)image_tree_remove(c->root, "files");
	(void)image_tree_remove(c->root, "layers");
	_exit(image_file_write(c->root, "answer", b.at, b.len, NULL) < 0 ? NO_ANSWER : 1);
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
