/* t_cgroup.c -- which hierarchies there are, and what is written where: on a made-up root. */
#include "base/buf.h"
#include "base/error.h"
#include "runtime/rt.h"
#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char root[64];

static void
put_file(const char *path, const char *text)
{
	char full[256];
	FILE *f;

	snprintf(full, sizeof(full), "%s/%s", root, path);
	f = fopen(full, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static void
put_dir(const char *path)
{
	char full[256];

	snprintf(full, sizeof(full), "%s/%s", root, path);
	assert_int_equal(mkdir(full, 0755), 0);
}

static const char *
text_of(const char *path)
{
	static char text[256];
	char full[256];
	size_t n;
	FILE *f;

	snprintf(full, sizeof(full), "%s/%s", root, path);
	f = fopen(full, "r");
	if (!f)
		return "(none)";
	n = fread(text, 1, sizeof(text) - 1, f);
	text[n] = '\0';
	fclose(f);
	return text;
}

static int
begin(void **state)
{
	(void)state;
	strcpy(root, "/tmp/t_cgroup.XXXXXX");
	return mkdtemp(root) ? 0 : -1;
}

static int
drop(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static int
end(void **state)
{
	(void)state;
	return nftw(root, drop, 8, FTW_DEPTH | FTW_PHYS);
}

static void
make_v1(void)
{
	put_dir("cpu,cpuacct");
	put_file("cpu,cpuacct/tasks", "");
	put_dir("memory");
	put_file("memory/tasks", "");
}

static void
a_root_with_controllers_is_v2(void **state)
{
	struct cgroups g = { 0 };

	(void)state;
	put_file("cgroup.controllers", "cpuset cpu io memory pids\n");
	put_file("cgroup.subtree_control", "");
	assert_int_equal(cgroups_open(root, "kedge", &g, NULL), 0);
	assert_string_equal(cgroups_mode(&g), "v2");
	assert_int_equal(g.n, 1);
	/* a plain file keeps what was written last over what was longer */
	assert_memory_equal(text_of("cgroup.subtree_control"), "+pids", 5);
	cgroups_done(&g);
}

static void
what_a_v2_root_lacks_is_known(void **state)
{
	struct cgroups g = { 0 };

	(void)state;
	put_file("cgroup.controllers", "cpuset memory\n"); /* "cpuset" is not "cpu" */
	put_file("cgroup.subtree_control", "");
	put_dir("kedge");
	put_file("kedge/cgroup.subtree_control", "");
	assert_int_equal(cgroups_open(root, "kedge", &g, NULL), 0);
	assert_false(g.cpu);
	assert_true(g.memory);
	assert_false(g.pids);
	cgroups_done(&g);
}

static void
v1_controllers_are_found_also_when_joined(void **state)
{
	struct cgroups g = { 0 };

	(void)state;
	make_v1();
	assert_int_equal(cgroups_open(root, "kedge", &g, NULL), 0);
	assert_string_equal(cgroups_mode(&g), "v1");
	assert_true(g.cpu && g.memory && !g.pids);
	assert_non_null(strstr(g.tree[0].dir, "/cpu,cpuacct/kedge"));
	cgroups_done(&g);
}

static void
v1_with_an_empty_v2_beside_is_hybrid(void **state)
{
	struct cgroups g = { 0 };

	(void)state;
	make_v1();
	put_dir("unified");
	put_file("unified/cgroup.controllers", "");
	assert_int_equal(cgroups_open(root, "a/b", &g, NULL), 0);
	assert_string_equal(cgroups_mode(&g), "hybrid");
	assert_non_null(strstr(g.tree[1].dir, "/memory/a/b"));
	cgroups_done(&g);
}

static void
a_root_with_nothing_is_an_error(void **state)
{
	struct cgroups g = { 0 };
	struct error *e = NULL;

	(void)state;
	assert_int_equal(cgroups_open(root, "kedge", &g, &e), -1);
	assert_non_null(
	    strstr(error_text(e), "holds neither cgroup v2 nor the v1 controllers"));
	error_free(&e);
}

static void
v1_limits_are_written(void **state)
{
	const struct cgroup_limits l = { .cpu_milli = 1500,
					 .cpu_shares = 512,
					 .memory = 64 << 20 },
				   none = { 0 };
	struct cgroups g = { 0 };
	struct buf paths = { 0 };

	(void)state;
	make_v1();
	assert_int_equal(cgroups_open(root, "kedge", &g, NULL), 0);
	put_dir("cpu,cpuacct/kedge/pod-u");
	put_file("cpu,cpuacct/kedge/pod-u/cpu.shares", "");
	put_dir("cpu,cpuacct/kedge/pod-u/web");
	put_file("cpu,cpuacct/kedge/pod-u/web/cpu.shares", "");
	put_file("cpu,cpuacct/kedge/pod-u/web/cpu.cfs_quota_us", "");
	put_dir("memory/kedge/pod-u");
	put_dir("memory/kedge/pod-u/web");
	put_file("memory/kedge/pod-u/web/memory.limit_in_bytes", "");
	assert_int_equal(cgroup_make(&g, "u", NULL, &l, NULL), 0);
	assert_int_equal(cgroup_make(&g, "u", "web", &l, NULL), 0);
	assert_string_equal(text_of("cpu,cpuacct/kedge/pod-u/web/cpu.shares"), "512");
	assert_string_equal(text_of("cpu,cpuacct/kedge/pod-u/web/cpu.cfs_quota_us"), "150000");
	assert_string_equal(text_of("memory/kedge/pod-u/web/memory.limit_in_bytes"),
			    "67108864");
	assert_int_equal(cgroup_resize(&g, "u", "web", &none, NULL), 0);
	assert_memory_equal(text_of("cpu,cpuacct/kedge/pod-u/web/cpu.cfs_quota_us"), "-1", 2);
	assert_memory_equal(text_of("memory/kedge/pod-u/web/memory.limit_in_bytes"), "-1", 2);
	assert_int_equal(cgroup_resize(&g, "u", "waits", &l, NULL), 0); /* made later */
	assert_int_equal(cgroup_paths(&g, "u", "web", &paths), 3);
	assert_non_null(strstr(paths.at, "/memory/kedge/pod-u/web/memory.oom_control"));
	buf_done(&paths);
	cgroups_done(&g);
}

static void
v2_limits_are_written(void **state)
{
	const struct cgroup_limits l = {
		.cpu_milli = 250,
		.cpu_shares = 1024,
		.memory = 1 << 20,
		.memory_high = 900 << 10,
		.memory_min = 64 << 10,
		.pids = 9,
	}, none = { 0 };
	struct cgroups g = { 0 };
	struct buf paths = { 0 };
	const char *second;

	(void)state;
	put_file("cgroup.controllers", "cpu memory pids\n");
	put_file("cgroup.subtree_control", "");
	put_dir("kedge");
	put_file("kedge/cgroup.subtree_control", "");
	assert_int_equal(cgroups_open(root, "kedge", &g, NULL), 0);
	put_dir("kedge/pod-u");
	put_file("kedge/pod-u/cpu.weight", "");
	put_dir("kedge/pod-u/web");
	for (size_t i = 0; i < 7; i++) {
		char path[128];

		snprintf(path, sizeof(path), "kedge/pod-u/web/%s",
			 (const char *const[]){ "cpu.weight", "cpu.max", "memory.max",
						"memory.high", "memory.min", "memory.oom.group",
						"pids.max" }[i]);
		put_file(path, "");
	}
	assert_int_equal(cgroup_make(&g, "u", NULL, &l, NULL), 0);
	assert_int_equal(cgroup_make(&g, "u", "web", &l, NULL), 0);
	assert_string_equal(text_of("kedge/pod-u/web/cpu.weight"),
			    "39"); /* as the kubelet has it */
	assert_string_equal(text_of("kedge/pod-u/web/cpu.max"), "25000 100000");
	assert_string_equal(text_of("kedge/pod-u/web/memory.max"), "1048576");
	assert_string_equal(text_of("kedge/pod-u/web/memory.high"), "921600");
	assert_string_equal(text_of("kedge/pod-u/web/memory.min"), "65536");
	assert_string_equal(text_of("kedge/pod-u/web/memory.oom.group"), "1");
	assert_string_equal(text_of("kedge/pod-u/web/pids.max"), "9");
	assert_int_equal(cgroup_resize(&g, "u", "web", &none, NULL), 0);
	assert_memory_equal(text_of("kedge/pod-u/web/memory.high"), "max", 3);
	assert_memory_equal(text_of("kedge/pod-u/web/memory.min"), "0", 1);
	assert_int_equal(cgroup_paths(&g, "u", NULL, &paths), 2);
	second = paths.at + strlen(paths.at) + 1;
	assert_non_null(
	    strstr(second, "/kedge/pod-u/_init")); /* no process beside controllers */
	buf_done(&paths);
	cgroups_done(&g);
}

/* The kernel refuses a quota below 1 ms. */
static void
the_smallest_cpu_limit_is_what_the_kernel_takes(void **state)
{
	static const struct {
		int64_t milli;
		const char *v1, *v2;
	} rows[] = { { 1, "1000", "1000 100000" },
		     { 9, "1000", "1000 100000" },
		     { 10, "1000", "1000 100000" },
		     { 11, "1100", "1100 100000" } };
	struct cgroups v1 = { 0 }, v2 = { 0 };

	(void)state;
	make_v1();
	assert_int_equal(cgroups_open(root, "kedge", &v1, NULL), 0);
	put_file("cgroup.controllers", "cpu\n");
	put_file("cgroup.subtree_control", "");
	put_dir("kedge");
	put_file("kedge/cgroup.subtree_control", "");
	assert_int_equal(cgroups_open(root, "kedge", &v2, NULL), 0);
	put_dir("cpu,cpuacct/kedge/pod-u");
	put_dir("cpu,cpuacct/kedge/pod-u/web");
	put_dir("memory/kedge/pod-u");
	put_dir("memory/kedge/pod-u/web");
	put_dir("kedge/pod-u");
	put_dir("kedge/pod-u/web");
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		const struct cgroup_limits l = { .cpu_milli = rows[i].milli };

		put_file("cpu,cpuacct/kedge/pod-u/web/cpu.shares", "");
		put_file("cpu,cpuacct/kedge/pod-u/web/cpu.cfs_quota_us", "");
		put_file("kedge/pod-u/web/cpu.weight", "");
		put_file("kedge/pod-u/web/cpu.max", "");
		assert_int_equal(cgroup_make(&v1, "u", "web", &l, NULL), 0);
		assert_int_equal(cgroup_make(&v2, "u", "web", &l, NULL), 0);
		assert_string_equal(text_of("cpu,cpuacct/kedge/pod-u/web/cpu.cfs_quota_us"),
				    rows[i].v1);
		assert_string_equal(text_of("kedge/pod-u/web/cpu.max"), rows[i].v2);
	}
	cgroups_done(&v1);
	cgroups_done(&v2);
}

static void
pod_with(struct rt *rt, const char *uid, struct rt_container *c, size_t n, int state)
{
	struct rtpod *p = rtpod_new(rt, uid);
	char path[64];

	snprintf(path, sizeof(path), "kedge/pod-%s", uid);
	put_dir(path);
	snprintf(path, sizeof(path), "kedge/pod-%s/memory.min", uid);
	put_file(path, "");
	p->spec = (struct rt_pod){ .uid = p->uid, .containers = c, .ncontainers = n };
	p->state = state;
	assert_int_equal(rtpod_group_limit(rt, &p->spec, true, NULL), 0);
}

/* A kernel keeps for a group what those above it have, and no more. */
static void
memory_is_kept_for_the_groups_above_too(void **state)
{
	struct rt_container a[] = { { .name = "s", .role = RT_SIDECAR, .memory_min = 10 },
				    { .name = "i", .role = RT_INIT, .memory_min = 500 },
				    { .name = "m", .memory_min = 100 } },
			    b[] = { { .name = "m", .memory_min = 7 },
				    { .name = "n", .memory_min = 8 } };
	struct rt rt = { .epoll = -1 };

	(void)state;
	put_file("cgroup.controllers", "memory\n");
	put_file("cgroup.subtree_control", "");
	put_dir("kedge");
	put_file("kedge/cgroup.subtree_control", "");
	put_file("kedge/memory.min", "");
	assert_int_equal(cgroups_open(root, "kedge", &rt.cgroups, NULL), 0);
	pod_with(&rt, "a", a, 3, RT_POD_UP);
	assert_string_equal(text_of("kedge/pod-a/memory.min"), "510");
	assert_string_equal(text_of("kedge/memory.min"), "510");
	pod_with(&rt, "b", b, 2, RT_POD_STARTING);
	assert_string_equal(text_of("kedge/pod-b/memory.min"), "15");
	assert_string_equal(text_of("kedge/memory.min"), "525");
	a[1].memory_min = 0; /* resized */
	put_file("kedge/memory.min", "");
	assert_int_equal(rtpod_group_limit(&rt, &rt_find(&rt, "a", NULL)->spec, false, NULL),
			 0);
	assert_string_equal(text_of("kedge/memory.min"), "125");
	rt_find(&rt, "a", NULL)->state = RT_POD_GONE;
	put_file("kedge/memory.min", "");
	rt_memory_keep(&rt);
	assert_string_equal(text_of("kedge/memory.min"), "15");
	for (struct map_slot *s; (s = map_first(&rt.pods));)
		rt_pod_free(&rt, s->value);
	map_done(&rt.pods);
	cgroups_done(&rt.cgroups);
}

static void
a_limit_that_cannot_be_set_is_an_error(void **state)
{
	const struct cgroup_limits l = { .cpu_shares = 2, .memory = 1 };
	struct cgroups g = { 0 };
	struct error *e = NULL;

	(void)state;
	put_file("cgroup.controllers", "memory\n");
	put_file("cgroup.subtree_control", "");
	put_dir("kedge");
	put_file("kedge/cgroup.subtree_control", "");
	assert_int_equal(cgroups_open(root, "kedge", &g, NULL), 0);
	put_dir("kedge/pod-u");
	assert_int_equal(cgroup_make(&g, "u", "web", &l, &e), -1);
	assert_non_null(strstr(error_text(e), "set memory.max of "));
	error_free(&e);
	cgroups_done(&g);
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, begin, end)
	const struct CMUnitTest tests[] = {
		T(a_root_with_controllers_is_v2),
		T(what_a_v2_root_lacks_is_known),
		T(v1_controllers_are_found_also_when_joined),
		T(v1_with_an_empty_v2_beside_is_hybrid),
		T(a_root_with_nothing_is_an_error),
		T(v1_limits_are_written),
		T(v2_limits_are_written),
		T(the_smallest_cpu_limit_is_what_the_kernel_takes),
		T(memory_is_kept_for_the_groups_above_too),
		T(a_limit_that_cannot_be_set_is_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
