/* volume.c -- the n-th call fails while volumes are made and changed, paths of the host are
 * made ready, containers are renewed, storage comes and goes, namespaces are made ahead, the
 * disk is looked at and usage is read: old or new, an error with words, no descriptor and no
 * process left. */
// wrap: -Wl,--wrap=mkdir -Wl,--wrap=mkdirat -Wl,--wrap=open -Wl,--wrap=openat
// wrap: -Wl,--wrap=write -Wl,--wrap=read -Wl,--wrap=fsync -Wl,--wrap=fchmod
// wrap: -Wl,--wrap=fchown -Wl,--wrap=renameat -Wl,--wrap=renameat2 -Wl,--wrap=symlinkat
// wrap: -Wl,--wrap=unlinkat -Wl,--wrap=pipe2 -Wl,--wrap=mmap -Wl,--wrap=fdopendir
// wrap: -Wl,--wrap=fstat -Wl,--wrap=statfs -Wl,--wrap=lstat -Wl,--wrap=epoll_ctl
// wrap: -Wl,--wrap=dup2 -Wl,--wrap=chdir -Wl,--wrap=socket -Wl,--wrap=syscall
#include "runtime/rt.h"
#include "tests/e2e/runtime_kit.h" /* before cmocka, which has a macro of the name fail */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/vfs.h>

#define FAULT_ERRNO EIO
#include "fault/harness.h"

CALL(mkdir, int, -1, (const char *a, mode_t b), (a, b))
CALL(mkdirat, int, -1, (int a, const char *b, mode_t c), (a, b, c))
CALL_OPEN
CALL_OPENAT
CALL_SOCKET
CALL_MMAP
CALL(write, ssize_t, -1, (int a, const void *b, size_t c), (a, b, c))
CALL(read, ssize_t, -1, (int a, void *b, size_t c), (a, b, c))
CALL(fsync, int, -1, (int a), (a))
CALL(fchmod, int, -1, (int a, mode_t b), (a, b))
CALL(fchown, int, -1, (int a, uid_t b, gid_t c), (a, b, c))
CALL(renameat, int, -1, (int a, const char *b, int c, const char *d), (a, b, c, d))
CALL(renameat2, int, -1, (int a, const char *b, int c, const char *d, unsigned f),
     (a, b, c, d, f))
CALL(symlinkat, int, -1, (const char *a, int b, const char *c), (a, b, c))
CALL(unlinkat, int, -1, (int a, const char *b, int c), (a, b, c))
CALL(pipe2, int, -1, (int a[2], int b), (a, b))
CALL(fdopendir, DIR *, NULL, (int a), (a))
CALL(fstat, int, -1, (int a, struct stat *b), (a, b))
CALL(lstat, int, -1, (const char *a, struct stat *b), (a, b))
CALL(statfs, int, -1, (const char *a, struct statfs *b), (a, b))
CALL(epoll_ctl, int, -1, (int a, int b, int c, struct epoll_event *d), (a, b, c, d))
CALL(dup2, int, -1, (int a, int b), (a, b))
CALL(chdir, int, -1, (const char *a), (a))

long __real_syscall(long, long, long, long, long, long, long);
long __wrap_syscall(long, long, long, long, long, long, long);
long
__wrap_syscall(long a, long b, long c, long d, long f, long g, long h)
{
	/* a wake-up cannot fail */
	if (a == SYS_openat2 && due())
		return -1;
	return __real_syscall(a, b, c, d, f, g, h);
}

static struct kit kit;
static int descriptors_before;

static int
descriptors(void)
{
	DIR *d = opendir("/proc/self/fd");
	struct dirent *x;
	int n = 0;

	while ((x = readdir(d)))
		n += x->d_name[0] != '.';
	closedir(d);
	return n;
}

static int
setup(void **state)
{
	char dir[] = "/tmp/f_volume.XXXXXX";

	(void)state;
	assert_non_null(mkdtemp(dir));
	setenv("KEDGE_TEST_DIR", dir, 1);
	kit_begin(&kit);
	return 0;
}

static int
teardown(void **state)
{
	cleanup_free char *rm = NULL;

	(void)state;
	OK(rt_down(kit.rt, e));
	xasprintf(&rm, "rm -rf %s", kit.dir);
	kit_done(&kit);
	return system(rm);
}

/* Before the n-th call of something, and after it. */
static void
arm(int n)
{
	descriptors_before = descriptors();
	fired = false;
	countdown = n;
}

static bool
disarm(int n, int rc, struct error **e)
{
	countdown = 0;
	if (rc < 0 && !*e)
		fail_msg("call %d failed without a word", n);
	if (descriptors() != descriptors_before)
		fail_msg("call %d: %d descriptors, before %d", n, descriptors(),
			 descriptors_before);
	error_free(e);
	*e = NULL;
	return fired;
}

static struct rt_pod
the_pod(const struct rt_volume *v, size_t n)
{
	static struct rt_container c;
	static const char *const sleeps[] = { "/bin/sleep", "1000", NULL };
	static const struct rt_mount m = { .volume = "v", .path = "/v" };
	struct rt_pod p;

	c = (struct rt_container){ .name = "main",
				   .image = "box",
				   .command = sleeps,
				   .mounts = &m,
				   .nmounts = 1,
				   .restart = RT_NEVER,
				   .disk = 8 << 20 };
	p = kit_pod("u", &c, 1);
	p.volumes = v;
	p.nvolumes = n;
	return p;
}

/* ---- tests ---- */

static void
files_that_change_are_old_or_new(void **state)
{
	static const struct rt_file old = { "deep/key", "old", 3, 0644 },
				    new = { "deep/key", "new", 3, 0644 };
	struct rt_volume v = { .name = "v", .type = RT_FILES, .files = &old, .nfiles = 1 };
	struct rt_pod p = the_pod(&v, 1);
	cleanup_free char *top = NULL, *key = NULL;
	struct error *why = NULL;
	int n = 0, failed = 0;

	(void)state;
	kit_start(&kit, &p);
	KIT_UNTIL(&kit, kit_see(&kit, "u", 0)->state == RT_RUNNING);
	xasprintf(&top, "%s/pods/u/volumes/v", kit.run);
	xasprintf(&key, "%s/deep/key", top);
	do {
		struct buf text;
		struct dirent *x;
		int rc, made = 0;
		DIR *d;

		v.files = &old;
		OK(rt_pod_files(kit.rt, "u", &v, 1, e));
		v.files = &new;
		arm(++n);
		rc = rt_pod_files(kit.rt, "u", &v, 1, &why);
		disarm(n, rc, &why);
		failed += rc < 0;
		text = kit_file(key);
		if (strcmp(buf_text(&text), "new") &&
		    (rc == 0 || strcmp(buf_text(&text), "old")))
			fail_msg("call %d: \"%s\"", n, buf_text(&text));
		buf_done(&text);
		OK(rt_pod_files(kit.rt, "u", &v, 1, e));
		d = opendir(top);
		while ((x = readdir(d)))
			made += !strncmp(x->d_name, "..", 2) && x->d_name[2];
		closedir(d);
		assert_int_equal(made, 2); /* ..data, and what it leads to */
	} while (fired);
	print_message("# %d faults, %d refusals\n", n - 1, failed);
	assert_true(n > 10 && failed > 8);
	kit_stop(&kit, "u");
}

static void
a_path_of_the_host_is_made_whole_or_asked_for_again(void **state)
{
	static const enum rt_host_type types[] = { RT_HOST_DIR_OR_CREATE,
						   RT_HOST_FILE_OR_CREATE };
	cleanup_free char *prefix = NULL, *path = NULL, *rm = NULL;
	struct rt_host_path row;
	struct rt host = { .cfg.allow = { .host_paths = &row, .nhost_paths = 1 } };
	struct error *why = NULL;

	(void)state;
	xasprintf(&prefix, "%s/host", kit.dir);
	row = (struct rt_host_path){ .prefix = prefix };
	xasprintf(&rm, "rm -rf %s", prefix);
	for (int i = 0; i < 2; i++) {
		int n = 0, failed = 0;

		free(path);
		xasprintf(&path, i ? "%s/file" : "%s/a/b", prefix);
		do {
			struct rt_volume v = { .name = "v",
					       .type = RT_HOST,
					       .source = path,
					       .host_type = types[i] };
			struct stat st;
			int rc;

			assert_int_equal(system(rm), 0);
			if (i)
				assert_int_equal(mkdir(prefix, 0755), 0);
			arm(++n);
			rc = hostpath_make(&host, &v, &why);
			disarm(n, rc, &why);
			failed += rc < 0;
			OK(hostpath_make(&host, &v, e));
			assert_int_equal(stat(path, &st), 0);
			if ((st.st_mode & 07777) != (i ? 0644 : 0755))
				fail_msg("call %d: mode %o", n, st.st_mode);
		} while (fired);
		print_message("# %d faults, %d refusals\n", n - 1, failed);
		assert_true(n > 4 && failed > 3);
	}
}

static bool
file_has(const char *path, const char *word)
{
	struct buf b = kit_file(path);
	bool has = b.len && memmem(b.at, b.len, word, strlen(word));

	buf_done(&b);
	return has;
}

/* Of a container that runs: what its next run gets. */
static void
a_renewed_container_is_old_or_new(void **state)
{
	static const char *const env[][2] = { { "X=old", NULL }, { "X=new", NULL } };
	static const struct rt_volume v = { .name = "v", .type = RT_EMPTY };
	struct rt_pod p = the_pod(&v, 1);
	struct rt_container old = *p.containers, new = old;
	cleanup_free char *next = NULL, *spec = NULL;
	struct error *why = NULL;
	int n = 0, failed = 0;

	(void)state;
	old.env = env[0];
	old.env_version = "version-old";
	new.env = env[1];
	new.env_version = "version-new";
	kit_start(&kit, &p);
	KIT_UNTIL(&kit, kit_see(&kit, "u", 0)->state == RT_RUNNING);
	xasprintf(&next, "%s/pods/u/main.next", kit.run);
	xasprintf(&spec, "%s/pods/u/spec", kit.run);
	do {
		int rc;

		OK(rt_container_renew(kit.rt, "u", &old, e));
		assert_true(file_has(next, "X=old") && file_has(spec, "version-old"));
		arm(++n);
		rc = rt_container_renew(kit.rt, "u", &new, &why);
		assert_true(rc == 0 || why->why != WHY_INVALID); /* nothing is wrong with it */
		disarm(n, rc, &why);
		failed += rc < 0;
		assert_true(file_has(next, "X=new") || (rc < 0 && file_has(next, "X=old")));
		/* what a later start of kedged reads promises nothing that is not there */
		if (file_has(spec, "version-new"))
			assert_true(file_has(next, "X=new"));
		else
			assert_true(rc < 0 && file_has(spec, "version-old"));
		assert_true(rc < 0 || file_has(spec, "version-new"));
		/* not asked for again and again */
		IS(kit_see(&kit, "u", 0)->env_version, "version-new");
		OK(rt_container_renew(kit.rt, "u", &new, e));
		assert_true(file_has(next, "X=new") && file_has(spec, "version-new"));
		EQ(kit_see(&kit, "u", 0)->state, RT_RUNNING);
	} while (fired);
	print_message("# %d faults, %d refusals\n", n - 1, failed);
	assert_true(n > 4 && failed > 3);
	kit_stop(&kit, "u");
}

static size_t
stores(void)
{
	cleanup_free char *top = rt_store_folder(kit.rt);
	DIR *d = opendir(top);
	struct dirent *x;
	size_t n = 0;

	while (d && (x = readdir(d)))
		n += strcmp(x->d_name, ".") && strcmp(x->d_name, "..");
	closedir(d);
	return n;
}

static void
storage_is_made_open_to_its_pods_or_not_at_all(void **state)
{
	cleanup_free char *top = rt_store_folder(kit.rt), *path = NULL;
	struct error *why = NULL;
	int n = 0, failed = 0;

	(void)state;
	xasprintf(&path, "%s/data", top);
	do {
		struct stat st;
		int rc;

		arm(++n);
		rc = rt_store_make(kit.rt, "data", &why);
		disarm(n, rc, &why);
		failed += rc < 0;
		OK(rt_store_make(kit.rt, "data", e));
		assert_int_equal(stat(path, &st), 0);
		if ((st.st_mode & 07777) != 0777)
			fail_msg("call %d: mode %o", n, st.st_mode);
		OK(rt_store_remove(kit.rt, "data", e));
		for (int i = 0; i < 100 && stores(); i++)
			kit_step(&kit, 50);
		assert_int_equal(stores(), 0);
	} while (fired);
	print_message("# %d faults, %d refusals\n", n - 1, failed);
	assert_true(n > 5 && failed > 4);
}

/* Until no child of the hand is left, and so no descriptor that watches one. */
static void
calm(void)
{
	siginfo_t si;

	while (waitid(P_ALL, 0, &si, WEXITED | WNOHANG | WNOWAIT | __WALL) == 0)
		kit_step(&kit, 50);
	while (kit_step(&kit, 0))
		;
}

static void
storage_is_removed_or_there(void **state)
{
	struct error *why = NULL;
	int n = 0, failed = 0;

	(void)state;
	calm(); /* the removal by the test before this is over */
	do {
		char **names;
		int rc;

		OK(rt_store_make(kit.rt, "data", e));
		descriptors_before = descriptors();
		fired = false;
		countdown = ++n;
		rc = rt_store_remove(kit.rt, "data", &why);
		countdown = 0;
		failed += rc < 0;
		if (rc < 0 && !why)
			fail_msg("call %d failed without a word", n);
		error_free(&why);
		why = NULL;
		names = rt_stores(kit.rt);
		assert_true(rc < 0 || !*names);
		for (char **x = names; *x; x++)
			free(*x);
		free(names);
		OK(rt_store_remove(kit.rt, "data", e));
		if (rc == 0)
			rtstore_go_on(kit.rt); /* as the next start does */
		for (int i = 0; i < 400 && (stores() || descriptors() != descriptors_before);
		     i++)
			kit_step(&kit, 50);
		assert_int_equal(stores(), 0);
		assert_int_equal(descriptors(), descriptors_before);
	} while (fired);
	print_message("# %d faults, %d refusals\n", n - 1, failed);
	assert_true(n > 4 && failed > 2);
}

static void
sandboxes_are_made_ahead_or_nothing_is_left_of_them(void **state)
{
	int n = 0, failed = 0;

	(void)state;
	if (!kit.rt->users.able) {
		print_message("# this host has no user namespaces for pods\n");
		return;
	}
	do {
		int before = descriptors(), netns;

		fired = false;
		countdown = ++n;
		netns = rt_ahead(kit.rt);
		countdown = 0;
		failed += netns < 0;
		if (netns >= 0)
			close(netns);
		rtahead_end(kit.rt, NULL);
		for (int i = 0; i < 400 && (kit.rt->pods.n || descriptors() != before); i++)
			kit_step(&kit, 50);
		if (kit.rt->pods.n || descriptors() != before)
			fail_msg("call %d: %zu pods, %d descriptors, before %d", n,
				 kit.rt->pods.n, descriptors(), before);
		assert_int_equal(waitpid(-1, NULL, WNOHANG | __WALL), -1);
	} while (fired);
	print_message("# %d faults, %d refusals\n", n - 1, failed);
	assert_true(n > 20 && failed > 10);
}

static void
usage_is_told_or_unknown(void **state)
{
	const struct rt_volume v = { .name = "v", .type = RT_EMPTY };
	struct rt_pod p = the_pod(&v, 1);
	struct error *why = NULL;
	int n = 0;

	(void)state;
	kit_start(&kit, &p);
	KIT_UNTIL(&kit, kit_see(&kit, "u", 0)->state == RT_RUNNING);
	do {
		struct rt_usage u = { -2, -2 };
		int rc;

		arm(++n);
		rc = rt_container_usage(kit.rt, "u", "main", &u, &why);
		disarm(n, rc, &why);
		assert_true(rc < 0 || (u.cpu_ns >= -1 && u.memory >= -1));
		assert_true(fired || (u.cpu_ns >= 0 && u.memory >= 0));
	} while (fired);
	print_message("# %d faults\n", n - 1);
	assert_true(n > 3);
	kit_stop(&kit, "u");
}

/* So that the next look at the disk sees that something changed. */
static void
stir(int n)
{
	cleanup_free char *path = NULL;
	cleanup_close int fd = -1;
	static char bytes[200000];

	xasprintf(&path, "%s/stir-%d", kit.state, n);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(write(fd, bytes, sizeof(bytes)), sizeof(bytes));
	fsync(fd);
}

static void
a_look_at_the_disk_that_fails_is_done_again(void **state)
{
	const struct rt_volume v = { .name = "v", .type = RT_EMPTY, .size_limit = 1 << 20 };
	struct rt_pod p = the_pod(&v, 1);
	cleanup_free char *path = NULL;
	static char bytes[2 << 20];
	int n = 0, fd, before;

	(void)state;
	kit_start(&kit, &p);
	KIT_UNTIL(&kit, kit_see(&kit, "u", 0)->state == RT_RUNNING);
	kit_step(&kit, 100);
	before = descriptors();
	do {
		stir(n);
		fired = false;
		countdown = ++n;
		disk_go_on(kit.rt);
		countdown = 0;
		for (int i = 0; i < 100 && descriptors() != before; i++)
			kit_step(&kit, 20);
		if (descriptors() != before)
			fail_msg("call %d: %d descriptors, before %d", n, descriptors(),
				 before);
		assert_true(disk_due(kit.rt) > 0); /* it will be looked at again */
		IS(rt_pod_status(kit.rt, "u")->over, "");
	} while (fired);
	print_message("# %d faults\n", n - 1);
	assert_true(n > 6);
	xasprintf(&path, "%s/pods/u/.volumes/v/much", kit.state);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	memset(bytes, 1, sizeof(bytes));
	assert_int_equal(write(fd, bytes, sizeof(bytes)), sizeof(bytes));
	fsync(fd);
	close(fd);
	disk_go_on(kit.rt);
	KIT_UNTIL(&kit, *rt_pod_status(kit.rt, "u")->over);
	IS(rt_pod_status(kit.rt, "u")->over, "volume v");
	/* and one that failed, when nothing has changed since */
	n = 0;
	do {
		struct rtpod *is = map_get(&kit.rt->pods, "u");

		*is->over = '\0';
		disk_watch(kit.rt, is);
		fired = false;
		countdown = ++n;
		disk_go_on(kit.rt);
		countdown = 0;
		if (descriptors() == before) {
			disk_go_on(kit.rt);
			assert_true(descriptors() > before);
		}
		KIT_UNTIL(&kit, *is->over && descriptors() == before);
	} while (fired);
	kit_stop(&kit, "u");
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(files_that_change_are_old_or_new),
		cmocka_unit_test(a_renewed_container_is_old_or_new),
		cmocka_unit_test(a_path_of_the_host_is_made_whole_or_asked_for_again),
		cmocka_unit_test(storage_is_made_open_to_its_pods_or_not_at_all),
		cmocka_unit_test(storage_is_removed_or_there),
		cmocka_unit_test(sandboxes_are_made_ahead_or_nothing_is_left_of_them),
		cmocka_unit_test(usage_is_told_or_unknown),
		cmocka_unit_test(a_look_at_the_disk_that_fails_is_done_again),
	};

	(void)argc;
	need_test_host(argv);
	return cmocka_run_group_tests_name("volume faults", tests, setup, teardown);
}
