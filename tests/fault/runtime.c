/* runtime.c -- the n-th system call of the runtime fails: a pod is there or it is
 * not, what failed says why, and when it goes nothing of it stays.  Runs on a test host.
 *
 * The child that becomes kedge-init shares our memory until its exec, so its calls
 * are counted too. */
// wrap: -Wl,--wrap=mkdir -Wl,--wrap=mkdirat -Wl,--wrap=open -Wl,--wrap=openat
// wrap: -Wl,--wrap=write -Wl,--wrap=mount -Wl,--wrap=socket -Wl,--wrap=bind
// wrap: -Wl,--wrap=socketpair -Wl,--wrap=sendmsg -Wl,--wrap=chown -Wl,--wrap=chmod
// wrap: -Wl,--wrap=fchmod -Wl,--wrap=fchown -Wl,--wrap=renameat -Wl,--wrap=symlinkat
// wrap: -Wl,--wrap=epoll_ctl -Wl,--wrap=dup2 -Wl,--wrap=chdir -Wl,--wrap=mmap
// wrap: -Wl,--wrap=connect -Wl,--wrap=umount2 -Wl,--wrap=rmdir -Wl,--wrap=opendir
// wrap: -Wl,--wrap=linkat -Wl,--wrap=renameat2
#include "tests/e2e/runtime_kit.h" /* before cmocka, which has a macro of the name fail */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <ftw.h>
#include <sys/epoll.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#define FAULT_ERRNO ENOSPC
#include "fault/harness.h"

CALL(mkdir, int, -1, (const char *a, mode_t b), (a, b))
CALL(mkdirat, int, -1, (int a, const char *b, mode_t c), (a, b, c))
CALL(linkat, int, -1, (int a, const char *b, int c, const char *d, int f), (a, b, c, d, f))
CALL(renameat2, int, -1, (int a, const char *b, int c, const char *d, unsigned f),
     (a, b, c, d, f))
CALL_OPEN
CALL_OPENAT
ssize_t __real_write(int, const void *, size_t);
ssize_t __wrap_write(int, const void *, size_t);
static int birth; /* 0: no; n: the child stands still before it joins its n-th group */
static bool maps; /* the hand stands still before it writes a user namespace's maps */
static int birth_say[2], birth_go[2];
ssize_t
__wrap_write(int a, const void *b, size_t c)
{
	char byte;

	if (due())
		return -1;
	/* In the child that becomes kedge-init, on its hand's memory. */
	if (birth && c == 1 && *(const char *)b == '0' && --birth == 0 &&
	    (__real_write(birth_say[1], "", 1) != 1 || read(birth_go[0], &byte, 1) < 0))
		return -1;
	if (maps && c > 2 && !memcmp(b, "0 ", 2) &&
	    (__real_write(birth_say[1], "", 1) != 1 || read(birth_go[0], &byte, 1) < 0))
		return -1;
	return __real_write(a, b, c);
}
CALL(mount, int, -1,
     (const char *a, const char *b, const char *c, unsigned long d, const void *f),
     (a, b, c, d, f))
CALL_SOCKET
CALL(bind, int, -1, (int a, const struct sockaddr *b, socklen_t c), (a, b, c))
CALL(connect, int, -1, (int a, const struct sockaddr *b, socklen_t c), (a, b, c))
CALL(socketpair, int, -1, (int a, int b, int c, int *d), (a, b, c, d))
CALL(sendmsg, ssize_t, -1, (int a, const struct msghdr *b, int c), (a, b, c))
CALL(chown, int, -1, (const char *a, uid_t b, gid_t c), (a, b, c))
CALL(chmod, int, -1, (const char *a, mode_t b), (a, b))
CALL(fchmod, int, -1, (int a, mode_t b), (a, b))
CALL(fchown, int, -1, (int a, uid_t b, gid_t c), (a, b, c))
CALL(renameat, int, -1, (int a, const char *b, int c, const char *d), (a, b, c, d))
CALL(symlinkat, int, -1, (const char *a, int b, const char *c), (a, b, c))
CALL(epoll_ctl, int, -1, (int a, int b, int c, struct epoll_event *d), (a, b, c, d))
CALL(dup2, int, -1, (int a, int b), (a, b))
CALL(chdir, int, -1, (const char *a), (a))
CALL(umount2, int, -1, (const char *a, int b), (a, b))
CALL(rmdir, int, -1, (const char *a), (a))
CALL(opendir, DIR *, NULL, (const char *a), (a))
CALL_MMAP

/* ---- what is there ---- */

static size_t
entries(const char *top, const char *name)
{
	cleanup_free char *path = NULL;
	cleanup_closedir DIR *d = NULL;
	struct dirent *x;
	size_t n = 0;

	xasprintf(&path, "%s/%s", top, name);
	d = opendir(path);
	while (d && (x = readdir(d)))
		n += x->d_name[0] != '.';
	return n;
}

static size_t groups_seen;

static int
group(const char *path, const struct stat *st, int type, struct FTW *f)
{
	(void)st;
	groups_seen += type == FTW_DP && !strncmp(path + f->base, "pod-", 4) &&
		       strstr(path, getenv("KEDGE_CGROUP"));
	return 0;
}

static size_t
mounts(struct kit *k)
{
	struct buf b = kit_file("/proc/self/mounts");
	size_t n = 0;

	for (const char *at = b.at; at && (at = strstr(at, k->run)); at++)
		n++;
	buf_done(&b);
	return n;
}

static size_t
inits(void)
{
	cleanup_closedir DIR *d = opendir("/proc");
	struct dirent *x;
	size_t n = 0;

	while ((x = readdir(d))) {
		char path[300];
		struct buf b;

		snprintf(path, sizeof path, "/proc/%s/stat", x->d_name);
		b = kit_file(path);
		n += b.len && strstr(buf_text(&b), "(kedge-init)") != NULL;
		buf_done(&b);
	}
	return n;
}

static void
nothing_left(struct kit *k, int n)
{
	groups_seen = 0;
	nftw("/sys/fs/cgroup", group, 16, FTW_DEPTH | FTW_PHYS);
	if (entries(k->run, "pods") || entries(k->state, "pods") || groups_seen || mounts(k) ||
	    inits())
		fail_msg("call %d: left are %zu and %zu folders, %zu groups, %zu mounts, %zu "
			 "processes",
			 n, entries(k->run, "pods"), entries(k->state, "pods"), groups_seen,
			 mounts(k), inits());
}

static void
begin(struct kit *k)
{
	char dir[] = "/tmp/f_runtime.XXXXXX";

	assert_non_null(mkdtemp(dir));
	setenv("KEDGE_TEST_DIR", dir, 1);
	kit_begin(k);
}

static void
end(struct kit *k)
{
	cleanup_free char *rm = NULL;

	OK(rt_down(k->rt, e));
	xasprintf(&rm, "rm -rf %s", k->dir);
	kit_done(k);
	assert_int_equal(system(rm), 0);
}

static void
until_gone(struct kit *k, int n)
{
	const char *const *uids;
	int64_t until = kit_now() + 15000;

	while (rt_pods(k->rt, &uids) && kit_now() < until)
		kit_step(k, 50);
	if (rt_pods(k->rt, &uids))
		fail_msg("call %d: the pod never goes (state %d, process %d)", n,
			 rt_pod_status(k->rt, uids[0])->state,
			 (int)rt_pod_status(k->rt, uids[0])->init_pid);
}

static struct rt_pod
the_pod(void)
{
	static struct rt_container c[2];
	static const char *const sleeps[] = { "/bin/sleep", "1000", NULL };
	static const char *const hosts[] = { "127.0.0.1 localhost", NULL };
	static const struct rt_file file = { "key", "value", 5, 0644 };
	static struct rt_volume v[3] = {
		{ .name = "files", .type = RT_FILES, .files = &file, .nfiles = 1 },
		{ .name = "memory", .type = RT_MEMORY, .size_limit = 65536 },
		{ .name = "empty", .type = RT_EMPTY },
	};
	static const struct rt_mount m[3] = {
		{ .volume = "files", .path = "/files" },
		{ .volume = "memory", .path = "/memory" },
		{ .volume = "empty", .path = "/empty" },
	};
	struct rt_pod p;

	for (int i = 0; i < 2; i++)
		c[i] = (struct rt_container){ .name = i ? "b" : "a",
					      .image = "box",
					      .command = sleeps,
					      .mounts = m,
					      .nmounts = 3,
					      .memory = 64 << 20,
					      .restart = RT_NEVER };
	p = kit_pod("u", c, 2);
	p.volumes = v;
	p.nvolumes = 3;
	p.hosts = hosts;
	return p;
}

static bool
both_run(struct kit *k)
{
	return kit_see(k, "u", 0)->state == RT_RUNNING &&
	       kit_see(k, "u", 1)->state == RT_RUNNING;
}

/* A container that could not be started says why it waits. */
static bool
both_decided(struct kit *k)
{
	for (size_t i = 0; i < 2; i++) {
		const struct rt_container_status *c = kit_see(k, "u", i);

		if (c->state != RT_RUNNING &&
		    !(c->state == RT_WAITING && c->message && *c->message))
			return false;
	}
	return true;
}

/* ---- tests ---- */

static void
a_start_that_fails_says_why_and_leaves_nothing(void **state)
{
	struct rt_pod p = the_pod();
	struct kit k;
	int n = 0, failed = 0;

	(void)state;
	begin(&k);
	do {
		struct error *why = NULL;
		int netns = -1, rc;

		fired = false;
		countdown = ++n;
		rc = rt_pod_create(k.rt, &p, &netns, &why);
		if (!rc)
			rc = rt_pod_run(k.rt, "u", &why);
		countdown = 0;
		if (rc) {
			failed++;
			assert_true(fired);
			assert_true(why && *error_text(why));
		}
		if (netns >= 0)
			close(netns);
		error_free(&why);
		if (!rc) {
			KIT_UNTIL(&k, both_decided(&k));
			assert_true(fired || both_run(&k));
			/* asked again, once the cause is gone, all of it runs */
			OK(rt_pod_run(k.rt, "u", e));
		}
		if (rt_pod_status(k.rt, "u"))
			rt_pod_stop(k.rt, "u", 0, NULL);
		until_gone(&k, n);
		nothing_left(&k, n);
	} while (fired);
	print_message("# %d faults, %d refusals\n", n - 1, failed);
	assert_true(n > 60 && failed > 30);
	kit_start(&k, &p);
	KIT_UNTIL(&k, both_run(&k));
	kit_stop(&k, "u");
	end(&k);
}

static void
a_stop_goes_on_until_nothing_is_left(void **state)
{
	struct rt_pod p = the_pod();
	struct kit k;
	int n = 0;

	(void)state;
	begin(&k);
	do {
		kit_start(&k, &p);
		KIT_UNTIL(&k, both_run(&k));
		fired = false;
		countdown = ++n;
		rt_pod_stop(k.rt, "u", 0, NULL);
		until_gone(&k, n);
		countdown = 0;
		/* What one remover could not take, the sweep of the next start does. */
		if (fired && (entries(k.run, "pods") || entries(k.state, "pods"))) {
			rt_close(k.rt);
			kit_open(&k);
			until_gone(&k, n);
		}
		nothing_left(&k, n);
	} while (fired && n < 200);
	print_message("# %d faults\n", n - 1);
	assert_true(n > 5);
	end(&k);
}

static void
an_open_that_fails_leaves_pods_running_for_the_next(void **state)
{
	struct rt_pod p = the_pod();
	struct rt_config c;
	struct kit k;
	pid_t pid;
	int n = 0, failed = 0;

	(void)state;
	begin(&k);
	c = kit_config(&k);
	kit_start(&k, &p);
	KIT_UNTIL(&k, both_run(&k));
	pid = kit_see(&k, "u", 0)->pid;
	do {
		struct error *why = NULL;
		struct rt *rt = NULL;
		int rc;

		rt_close(k.rt);
		fired = false;
		countdown = ++n;
		rc = rt_open(&c, &rt, &why);
		countdown = 0;
		if (rc) {
			failed++;
			assert_true(why && *error_text(why));
		}
		error_free(&why);
		rt_close(rt);
		kit_open(&k);
		if (kit_see(&k, "u", 0)->pid != pid || !both_run(&k))
			fail_msg("call %d of rt_open ended the pod", n);
	} while (fired);
	print_message("# %d faults, %d refusals\n", n - 1, failed);
	assert_true(n > 10);
	kit_stop(&k, "u");
	nothing_left(&k, 0);
	end(&k);
}

/* What the pod's next run does: its steps, in either of their files. */
static void
next_steps(struct kit *k, struct buf *to)
{
	static const char *const files[] = { "main.ops", "main.next" };

	buf_clear(to);
	for (size_t i = 0; i < 2; i++) {
		cleanup_free char *path = NULL;
		struct buf one;

		xasprintf(&path, "%s/pods/u/%s", k->run, files[i]);
		one = kit_file(path);
		buf_addf(to, "%zu:", one.len);
		buf_add(to, one.at, one.len);
		buf_done(&one);
	}
}

/* Renewals of the container, of which the n-th call fails, until none does; how many failed. */
static int
renew_until_whole(struct kit *k, struct rt_container *c)
{
	cleanup_buf struct buf was = { 0 }, is = { 0 };
	int n = 0, failed = 0;

	do {
		struct error *why = NULL;
		char value[24];
		int rc;

		next_steps(k, &was);
		snprintf(value, sizeof value, "X=%d", n);
		c->env = LIST(value);
		c->env_version = value;
		fired = false;
		countdown = ++n;
		rc = rt_container_renew(k->rt, "u", c, &why);
		countdown = 0;
		next_steps(k, &is);
		if (rc < 0) {
			failed++;
			assert_true(why && *error_text(why));
			if (was.len != is.len || memcmp(was.at, is.at, is.len))
				fail_msg("call %d: %s, and its steps are others", n,
					 error_text(why));
		}
		error_free(&why);
	} while (fired);
	print_message("# %d faults, %d refusals\n", n - 1, failed);
	return failed;
}

static void
a_renewal_that_fails_leaves_the_next_run_as_it_was(void **state)
{
	struct rt_container c = {
		.name = "main", .image = "box", .env_version = "0", .restart = RT_ALWAYS
	};
	struct rt_pod p = kit_pod("u", &c, 1);
	struct kit k;

	(void)state;
	begin(&k);
	kit_image(&k, "box", NULL, &(struct image_config){ .cmd = LIST("/bin/sleep", "1000") });
	kit_start(&k, &p);
	KIT_UNTIL(&k, kit_see(&k, "u", 0)->state == RT_RUNNING);
	c.env = LIST("X=first");
	c.env_version = "first";
	OK(rt_container_renew(k.rt, "u", &c, e));
	assert_true(renew_until_whole(&k, &c) > 5);
	/* no name for its image: what it was told of is to go, or to stay */
	OK(image_remove(k.images, "box", e));
	assert_true(renew_until_whole(&k, &c) > 1);
	kit_stop(&k, "u");
	nothing_left(&k, 0);
	end(&k);
}

static void
a_resize_whose_restart_cannot_be_ordered_changes_nothing(void **state)
{
	struct rt_container c = {
		.name = "main", .image = "box", .restart = RT_ALWAYS, .memory = 64 << 20
	};
	struct rt_container size = { 0 };
	struct rt_pod p = kit_pod("u", &c, 1);
	const int grace = 0;
	int n = 0, failed = 0;
	struct kit k;

	(void)state;
	begin(&k);
	kit_image(&k, "box", NULL, &(struct image_config){ .cmd = LIST("/bin/sleep", "1000") });
	kit_start(&k, &p);
	KIT_UNTIL(&k, kit_see(&k, "u", 0)->state == RT_RUNNING);
	do {
		int64_t was = kit_see(&k, "u", 0)->memory;
		struct error *why = NULL;
		int rc;

		size.memory = (65 + n) << 20;
		fired = false;
		countdown = ++n;
		rc = rt_container_resize(k.rt, "u", "main", &size, &grace, &why);
		countdown = 0;
		failed += rc < 0;
		assert_int_equal(kit_see(&k, "u", 0)->memory, rc < 0 ? was : size.memory);
		error_free(&why);
	} while (fired);
	print_message("# %d faults, %d refusals\n", n - 1, failed);
	assert_true(failed > 2);
	KIT_UNTIL(&k, kit_see(&k, "u", 0)->restarts > 0);
	kit_stop(&k, "u");
	nothing_left(&k, 0);
	end(&k);
}

/* Born of this test, by way of a hand that may be dead: we are their subreaper.  Other tests
 * have kedge-inits as well, of other names. */
static bool
is_ours(pid_t pid)
{
	while (pid > 1 && pid != getpid()) {
		char path[64];
		struct buf stat;
		const char *end;
		int up = 0;

		snprintf(path, sizeof path, "/proc/%d/stat", pid);
		stat = kit_file(path);
		end = strrchr(buf_text(&stat), ')');
		if (!end || sscanf(end, ") %*c %d", &up) != 1)
			up = 0;
		buf_done(&stat);
		pid = up;
	}
	return pid == getpid();
}

/* The text of a /proc/PID/stat: it ends, or waits to be reaped.  From do_exit() on a version 1
 * tree shows "/" for it, whatever groups it was in (proc_cgroup_show(), PF_EXITING). */
static bool
ends(const char *stat)
{
	const char *end = strrchr(stat, ')');
	unsigned flags = 0;
	char run = 'Z';

	if (end)
		sscanf(end, ") %c %*d %*d %*d %*d %*d %u", &run, &flags);
	return run == 'Z' || run == 'X' || flags & 0x4;
}

/* Every kedge-init of ours is in groups of ours in every tree that has a controller. */
static size_t
inits_outside(void)
{
	cleanup_closedir DIR *d = opendir("/proc");
	struct dirent *x;
	size_t outside = 0;

	while ((x = readdir(d))) {
		char path[300];
		struct buf stat, groups;

		snprintf(path, sizeof path, "/proc/%s/cgroup", x->d_name);
		groups = kit_file(path);
		snprintf(path, sizeof path, "/proc/%s/stat", x->d_name);
		stat = kit_file(path); /* after its groups, for it may end in between */
		if (strstr(buf_text(&stat), "(kedge-init)") && !ends(buf_text(&stat)) &&
		    is_ours(atoi(x->d_name))) {
			static const char *const trees[] = { ":cpu,",
							     ":cpu:", ":memory:", ":pids:" };

			for (size_t i = 0; i < 4; i++) {
				const char *at = strstr(buf_text(&groups), trees[i]);
				const char *end = at ? strchr(at, '\n') : NULL;
				const char *ours = at ? strstr(at, "/pod-u") : NULL;

				outside += at && (!ours || (end && ours > end));
			}
		}
		buf_done(&stat);
		buf_done(&groups);
	}
	return outside;
}

/* The hand is killed while the pod's first process stands before a group that it has
 * to join (cgroup v1): no other hand begins before it went on, and it goes on into all of
 * its groups, where the next hand finds it. */
static void
a_hand_that_dies_while_a_pod_is_born_leaves_no_process_outside_its_groups(void **state)
{
	int joins = 0;

	(void)state;
	assert_return_code(prctl(PR_SET_CHILD_SUBREAPER, 1), errno);
	for (int n = 1; n <= 3; n++) {
		char dir[] = "/tmp/f_runtime.XXXXXX", byte;
		struct rt_pod p = the_pod();
		struct error *why = NULL;
		struct rt_config c;
		struct kit k;
		pid_t hand;

		assert_non_null(mkdtemp(dir));
		setenv("KEDGE_TEST_DIR", dir, 1);
		kit_dirs(&k);
		kit_image(&k, "box", NULL,
			  &(struct image_config){ .cmd = LIST("/bin/sleep", "1000") });
		c = kit_config(&k);
		assert_return_code(pipe(birth_say), errno);
		assert_return_code(pipe(birth_go), errno);
		hand = fork();
		if (hand == 0) {
			int netns;

			close(birth_say[0]);
			close(birth_go[1]);
			kit_open(&k);
			birth = strcmp(rt_cgroup_mode(k.rt), "v2") ? n : 0;
			_exit(rt_pod_create(k.rt, &p, &netns, NULL) < 0);
		}
		close(birth_say[1]);
		close(birth_go[0]);
		if (read(birth_say[0], &byte, 1) == 1) {
			joins++;
			kill(hand, SIGKILL);
			assert_int_equal(waitpid(hand, NULL, 0), hand);
			assert_int_equal(rt_open(&c, &k.rt, &why), -1);
			assert_non_null(strstr(error_text(why), "is that of another kedged"));
			error_free(&why);
		} else {
			assert_int_equal(waitpid(hand, NULL, 0), hand);
		}
		close(birth_go[1]); /* it goes on */
		k.rt = NULL;
		for (int64_t until = kit_now() + 5000; !k.rt && kit_now() < until;
		     usleep(2000)) {
			assert_int_equal(joins && inits_outside(), 0);
			(void)rt_open(&c, &k.rt, NULL);
		}
		assert_non_null(k.rt);
		assert_int_equal(inits_outside(), 0);
		until_gone(&k, n);
		nothing_left(&k, n);
		close(birth_say[0]);
		end(&k);
	}
	assert_return_code(prctl(PR_SET_CHILD_SUBREAPER, 0), errno);
	print_message("# killed before %d joins\n", joins);
}

/* The process that makes a pod's namespaces shares the hand's descriptors, its lock among
 * them, and waits for what the hand writes. */
static void
a_hand_that_dies_while_it_makes_namespaces_keeps_no_other_from_beginning(void **state)
{
	int64_t until;
	struct kit k;
	char byte;
	pid_t hand;

	(void)state;
	begin(&k);
	if (!kit_ahead(&k)) {
		print_message("# this host has no user namespaces for pods\n");
		end(&k);
		return;
	}
	OK(rt_down(k.rt, e));
	rt_close(k.rt);
	k.rt = NULL;
	assert_return_code(pipe(birth_say), errno);
	assert_return_code(pipe(birth_go), errno);
	hand = fork();
	if (hand == 0) {
		kit_open(&k);
		maps = true;
		rt_ahead(k.rt);
		_exit(0);
	}
	assert_int_equal(read(birth_say[0], &byte, 1), 1);
	kill(hand, SIGKILL);
	assert_int_equal(waitpid(hand, NULL, 0), hand);
	until = kit_now() + 5000;
	while (!k.rt && kit_now() < until) {
		struct rt_config c = kit_config(&k);

		if (rt_open(&c, &k.rt, NULL) < 0)
			usleep(2000);
	}
	assert_non_null(k.rt);
	for (int i = 0; i < 2; i++) {
		close(birth_say[i]);
		close(birth_go[i]);
	}
	end(&k);
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
		    a_hand_that_dies_while_a_pod_is_born_leaves_no_process_outside_its_groups),
		cmocka_unit_test(
		    a_hand_that_dies_while_it_makes_namespaces_keeps_no_other_from_beginning),
		cmocka_unit_test(a_start_that_fails_says_why_and_leaves_nothing),
		cmocka_unit_test(a_stop_goes_on_until_nothing_is_left),
		cmocka_unit_test(an_open_that_fails_leaves_pods_running_for_the_next),
		cmocka_unit_test(a_renewal_that_fails_leaves_the_next_run_as_it_was),
		cmocka_unit_test(a_resize_whose_restart_cannot_be_ordered_changes_nothing),
	};

	(void)argc;
	need_test_host(argv);
	return cmocka_run_group_tests_name("runtime faults", tests, NULL, NULL);
}
