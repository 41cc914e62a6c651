/* runtime_kit.h -- a runtime on a test host, for its tests and its bench.
 *
 * The image "box" is Debian's static busybox with a few users.  Directories lie below
 * $KEDGE_TEST_DIR, the cgroup is $KEDGE_CGROUP: tests/host gives both their ends.
 */
#ifndef KEDGE_RUNTIME_KIT_H
#define KEDGE_RUNTIME_KIT_H
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "runtime/image.h"
#include "runtime/rt.h"
#include "runtime/runtime.h"
#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#define LIST(...) ((const char *const[]){ __VA_ARGS__, NULL })

struct kit {
	struct rt *rt;
	struct images *images;
	char *dir, *run, *state, *logs;
	/* of the last exec that ended */
	int64_t exec_id;
	int exec_code;
	char *exec_error;
	int64_t lent_id;
	int lent[3], nlent;
	bool gone; /* since the wait for its end began */
	char gone_uid[64];
};

#define DIE(...)                                                \
	do {                                                    \
		fprintf(stderr, "%s:%d: ", __FILE__, __LINE__); \
		fprintf(stderr, __VA_ARGS__);                   \
		fputc('\n', stderr);                            \
		exit(1);                                        \
	} while (0)
#define MUST(x)                                \
	do {                                   \
		if (!(x))                      \
			DIE("not so: %s", #x); \
	} while (0)
#define OK(call)                                              \
	do {                                                  \
		struct error *e_ = NULL, **e = &e_;           \
		if ((call) < 0)                               \
			DIE("%s: %s", #call, error_text(e_)); \
	} while (0)
#define IS(a, b)                                                     \
	do {                                                         \
		const char *a_ = (a), *b_ = (b);                     \
		if (strcmp(a_, b_))                                  \
			DIE("%s is \"%s\", not \"%s\"", #a, a_, b_); \
	} while (0)
#define EQ(a, b)                                                    \
	do {                                                        \
		long long a_ = (long long)(a), b_ = (long long)(b); \
		if (a_ != b_)                                       \
			DIE("%s is %lld, not %lld", #a, a_, b_);    \
	} while (0)

#define HAS(text, part)                                          \
	do {                                                     \
		const char *t_ = (text);                         \
		if (!strstr(t_, (part)))                         \
			DIE("\"%s\" is not in: %s", (part), t_); \
	} while (0)
#define HAS_NOT(text, part)                                  \
	do {                                                 \
		const char *t_ = (text);                     \
		if (strstr(t_, (part)))                      \
			DIE("\"%s\" is in: %s", (part), t_); \
	} while (0)

static inline int64_t
kit_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static inline void
kit_entry(struct archive *a, const char *path, unsigned type, unsigned mode, const char *link,
	  const void *data, size_t n)
{
	struct archive_entry *x = archive_entry_new();

	archive_entry_set_pathname(x, path);
	archive_entry_set_filetype(x, type);
	archive_entry_set_perm(x, mode);
	archive_entry_set_size(x, (int64_t)n);
	if (link)
		archive_entry_set_symlink(x, link);
	if (archive_write_header(a, x) != ARCHIVE_OK)
		DIE("tar: %s", archive_error_string(a));
	if (n)
		archive_write_data(a, data, n);
	archive_entry_free(x);
}

static inline struct buf
kit_file(const char *path)
{
	cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct buf b = { 0 };
	char part[65536];
	ssize_t n;

	while (fd >= 0 && (n = read(fd, part, sizeof(part))) > 0)
		buf_add(&b, part, (size_t)n);
	return b;
}

/* A tar of the box to add more to: an image that kit_box_end takes in. */
static inline struct archive *
kit_box(int *fd, bool etc)
{
	static const char passwd[] =
	    "root:x:0:0:root:/root:/bin/sh\nweb:x:1234:2345:w:/home/web:/bin/sh\n"
	    "bad:x:12x:1:b:/:/bin/sh\n";
	static const char group[] = "root:x:0:\nweb:x:2345:\nextra:x:3456:other,web\n";
	static const char *const applets[] = {
		"sh",    "echo",     "cat",  "sleep",  "id",      "ls",    "mount", "umount",
		"env",   "hostname", "true", "false",  "test",    "mkdir", "dd",    "kill",
		"wc",    "grep",     "head", "mknod",  "ip",      "stat",  "ps",    "readlink",
		"touch", "tail",     "nc",   "chroot", "unshare", "pwd",   "tr",    "rm",
		"ln",    "seq",      "yes",  "df",     "ulimit",  "tty",   "stty",  "date"
	};
	struct archive *a = archive_write_new();
	struct buf box = kit_file("/bin/busybox");

	*fd = memfd_create("tar", MFD_CLOEXEC);
	archive_write_set_format_pax_restricted(a);
	archive_write_open_fd(a, *fd);
	kit_entry(a, "bin/", AE_IFDIR, 0755, NULL, NULL, 0);
	kit_entry(a, "bin/busybox", AE_IFREG, 0755, NULL, box.at, box.len);
	for (size_t i = 0; i < sizeof(applets) / sizeof(*applets); i++) {
		char path[64];

		snprintf(path, sizeof(path), "bin/%s", applets[i]);
		kit_entry(a, path, AE_IFLNK, 0777, "busybox", NULL, 0);
	}
	if (etc) {
		kit_entry(a, "etc/", AE_IFDIR, 0755, NULL, NULL, 0);
		kit_entry(a, "etc/passwd", AE_IFREG, 0644, NULL, passwd, sizeof(passwd) - 1);
		kit_entry(a, "etc/group", AE_IFREG, 0644, NULL, group, sizeof(group) - 1);
	}
	kit_entry(a, "tmp/", AE_IFDIR, 01777, NULL, NULL, 0);
	kit_entry(a, "plain.txt", AE_IFREG, 0644, NULL, "text\n", 5);
	buf_done(&box);
	return a;
}

static inline void
kit_box_end(struct kit *k, const char *name, struct archive *a, int fd,
	    const struct image_config *c)
{
	struct image_job *j = NULL;
	char **names = NULL;

	archive_write_free(a);
	lseek(fd, 0, SEEK_SET);
	OK(image_import(k->images, fd, name, c, NULL, &j, e));
	close(fd);
	struct pollfd p = { .fd = image_job_fd(j), .events = POLLIN };
	poll(&p, 1, 20000);
	OK(image_job_end(j, &names, e));
	for (char **n = names; n && *n; n++)
		free(*n);
	free(names);
}

/* more: pairs of a path and a link's target */
static inline void
kit_image(struct kit *k, const char *name, const char *const *more,
	  const struct image_config *c)
{
	int fd;
	struct archive *a = kit_box(&fd, !more || strcmp(more[0], "etc"));

	for (; more && more[0]; more += 2)
		kit_entry(a, more[0], AE_IFLNK, 0777, more[1], NULL, 0);
	kit_box_end(k, name, a, fd, c);
}

static inline struct rt_config
kit_config(struct kit *k)
{
	const char *b = getenv("B"), *cgroup = getenv("KEDGE_CGROUP");
	static char init[512];

	snprintf(init, sizeof(init), "%s/kedge-init", b ? b : "build");
	if (!cgroup)
		DIE("this needs a test host: run it with tests/host");
	return (struct rt_config){ .allow = { .caps = 1ULL << 25, /* SYS_TIME */
					      .unconfined = true,
					      .host_users = getenv("KIT_HOST_USERS") },
				   .warm_pods = 1,
				   .user_first = 1879048192,
				   .user_ranges = 300,
				   .run_dir = k->run,
				   .state_dir = k->state,
				   .log_dir = k->logs,
				   .init_path = init,
				   .cgroup = cgroup,
				   .cgroup_root = getenv("KIT_CGROUP_ROOT"),
				   .images = k->images,
				   .log_max_bytes = 20000,
				   .log_max_files = 3 };
}

static inline void
kit_open_as(struct kit *k, const struct rt_config *c)
{
	OK(rt_open(c, &k->rt, e));
	if (getenv("KIT_OLD_TMPFS")) /* as on Linux 6.1 */
		k->rt->users.tmpfs = false;
}

static inline void
kit_open(struct kit *k)
{
	struct rt_config c = kit_config(k);

	kit_open_as(k, &c);
}

/* The runtime once more, with all that an operator may allow. */
static inline void
kit_allow_all(struct kit *k)
{
	static const char *const sysctls[] = { "net.ipv4.*" };
	struct rt_config c = kit_config(k);

	rt_close(k->rt);
	c.allow = (struct rt_allow){ .caps = ~0ULL,
				     .privileged = true,
				     .unconfined = true,
				     .unmasked = true,
				     .host_users = true,
				     .sysctls = sysctls,
				     .nsysctls = 1 };
	c.seccomp_dir = k->dir;
	kit_open_as(k, &c);
}

static inline void
kit_dirs(struct kit *k)
{
	const char *dir = getenv("KEDGE_TEST_DIR");

	*k = (struct kit){ 0 };
	xasprintf(&k->dir, "%s", dir ? dir : "/run/t");
	xasprintf(&k->run, "/run/kedge-t");
	xasprintf(&k->state, "%s/state", k->dir);
	xasprintf(&k->logs, "%s/logs", k->dir);
	mkdir(k->dir, 0755);
	mkdir(k->state, 0755);
	OK(images_open(k->state, &k->images, e));
}

static inline void
kit_done(struct kit *k)
{
	rt_close(k->rt);
	images_close(k->images);
	free(k->dir);
	free(k->run);
	free(k->state);
	free(k->logs);
	free(k->exec_error);
}

static inline void
kit_begin(struct kit *k)
{
	kit_dirs(k);
	kit_image(k, "box", NULL, &(struct image_config){ .cmd = LIST("/bin/sleep", "1000") });
	kit_open(k);
}

/* Takes in what there is, waiting for at most ms; false: nothing came. */
static inline bool
kit_step(struct kit *k, int ms)
{
	int due = rt_timeout(k->rt);
	struct pollfd p = { .fd = rt_fd(k->rt), .events = POLLIN };
	struct rt_event ev;
	bool any = false;

	poll(&p, 1, due >= 0 && due < ms ? due : ms);
	while (rt_next(k->rt, &ev)) {
		any = true;
		if (ev.type == RT_EXEC_DONE) {
			k->exec_id = ev.exec_id;
			k->exec_code = ev.exit_code;
			free(k->exec_error);
			k->exec_error = xstrdup(ev.error ? ev.error : "");
		} else if (ev.type == RT_LENT) {
			k->lent_id = ev.exec_id;
			memcpy(k->lent, ev.fds, sizeof(k->lent));
			k->nlent = ev.nfds;
		} else if (ev.type == RT_POD_CHANGED &&
			   rt_pod_status(k->rt, ev.uid)->state == RT_POD_GONE) {
			k->gone = true;
			strcpy(k->gone_uid, ev.uid);
		}
	}
	return any;
}

static inline const struct rt_container_status *
kit_see(struct kit *k, const char *uid, size_t i)
{
	const struct rt_pod_status *s = rt_pod_status(k->rt, uid);

	if (!s)
		DIE("pod %s is not known", uid);
	return &s->containers[i];
}

#define KIT_UNTIL(k, cond)                                         \
	do {                                                       \
		int64_t until_ = kit_now() + 15000;                \
		while (!(cond)) {                                  \
			if (kit_now() > until_)                    \
				DIE("never came true: %s", #cond); \
			kit_step((k), 100);                        \
		}                                                  \
	} while (0)

static inline struct rt_container
kit_sh(const char *name, const char *script)
{
	static const char *lists[64][4];
	static size_t n;
	const char **l = lists[n++ % 64];

	l[0] = "/bin/sh";
	l[1] = "-c";
	l[2] = script;
	l[3] = NULL;
	return (struct rt_container){
		.name = name, .image = "box", .command = l, .restart = RT_NEVER
	};
}

static inline struct rt_pod
kit_pod(const char *uid, const struct rt_container *c, size_t n)
{
	return (struct rt_pod){ .uid = uid,
				.ns = "default",
				.name = uid,
				.hostname = uid,
				.grace = 2,
				.fs_group = -1,
				.containers = c,
				.ncontainers = n };
}

/* One sandbox made ahead, that is ready. */
static inline bool
kit_ahead(struct kit *k)
{
	int netns = rt_ahead(k->rt);

	if (netns < 0)
		return false;
	close(netns);
	KIT_UNTIL(k, rt_ahead_ready(k->rt) > 0);
	return true;
}

static inline void
kit_start(struct kit *k, const struct rt_pod *p)
{
	int netns = -1;

	if (getenv("KIT_AHEAD"))
		kit_ahead(k);
	OK(rt_pod_create(k->rt, p, &netns, e));
	close(netns);
	OK(rt_pod_run(k->rt, p->uid, e));
}

/* Runs a script to its end and gives what it printed, without times and stream names. */
static inline char *
kit_output(struct kit *k, const struct rt_pod *p, const char *container, int run)
{
	struct buf out = { 0 }, text;
	char path[1024];

	snprintf(path, sizeof(path), "%s/%s_%s_%s/%s/%d.log", k->logs, p->ns, p->name, p->uid,
		 container, run);
	text = kit_file(path);
	for (char *line = text.len ? strtok(text.at, "\n") : NULL; line;
	     line = strtok(NULL, "\n")) {
		char *at = line;

		for (int i = 0; i < 3 && at; i++)
			at = strchr(at, ' ') ? strchr(at, ' ') + 1 : NULL;
		buf_addf(&out, "%s\n", at ? at : "?");
	}
	buf_done(&text);
	buf_adds(&out, "");
	return buf_steal(&out);
}

static inline void
kit_stop(struct kit *k, const char *uid)
{
	k->gone = false;
	OK(rt_pod_stop(k->rt, uid, 0, e));
	KIT_UNTIL(k, k->gone);
}

/* One container, to its end; its output. */
static inline char *
kit_run(struct kit *k, struct rt_pod *p)
{
	char *out;

	kit_start(k, p);
	KIT_UNTIL(k, kit_see(k, p->uid, 0)->state == RT_TERMINATED);
	if (!strcmp(kit_see(k, p->uid, 0)->now.reason, "StartError"))
		fprintf(stderr, "# %s\n", kit_see(k, p->uid, 0)->now.message);
	out = kit_output(k, p, p->containers[0].name, 0);
	return out;
}

static inline char *
kit_out_of(struct kit *k, const char *uid, struct rt_container c)
{
	struct rt_pod p = kit_pod(uid, &c, 1);

	return kit_run(k, &p);
}

static inline char *
kit_out(struct kit *k, const char *uid, const char *script)
{
	return kit_out_of(k, uid, kit_sh("main", script));
}

/* What a command prints in the container main of the pod a; no more than a pipe holds, for it
 * is read when the command has ended. */
static inline char *
kit_exec_out(struct kit *k, const char *const *argv, int timeout, int64_t id)
{
	int ends[2];
	struct buf b = { 0 };
	char part[4096];
	ssize_t n;

	MUST(pipe2(ends, O_CLOEXEC) == 0);
	OK(rt_exec(k->rt, "a", "main", argv, false, (int[]){ -1, ends[1], ends[1] }, timeout,
		   id, e));
	close(ends[1]);
	KIT_UNTIL(k, k->exec_id == id);
	while ((n = read(ends[0], part, sizeof(part))) > 0)
		buf_add(&b, part, (size_t)n);
	close(ends[0]);
	buf_adds(&b, "");
	return buf_steal(&b);
}

struct scenario {
	const char *name;
	void (*run)(struct kit *);
};

/* Runs the scenario named by the one argument, in a runtime of its own. */
static inline int
kit_main(int argc, char **argv, const struct scenario *at, size_t n)
{
	struct kit k;

	setvbuf(stdout, NULL, _IONBF, 0);
	for (size_t i = 0; argc == 2 && i < n; i++)
		if (strcmp(at[i].name, argv[1]) == 0) {
			kit_begin(&k);
			at[i].run(&k);
			OK(rt_down(k.rt, e));
			rt_close(k.rt);
			return 0;
		}
	fprintf(stderr, "usage: %s SCENARIO, one of:\n", argv[0]);
	for (size_t i = 0; i < n; i++)
		fprintf(stderr, "  %s\n", at[i].name);
	return 2;
}
#endif
