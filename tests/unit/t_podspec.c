/* t_podspec.c -- pod specs are checked, and come back from their bytes as they were. */
#include "base/error.h"
#include "runtime/image.h"
#include "runtime/init/ops.h"
#include "runtime/rt.h"
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#define LIST(...) ((const char *const[]){ __VA_ARGS__, NULL })

static const struct rt_file files[] = { { "a", "x\0y", 3, 0400 }, { "empty", "", 0, 0 } };
static const struct rt_volume volumes[] = { { "conf", RT_FILES, 0, files, 2 },
					    { "data", RT_EMPTY, 5, NULL, 0 } };
static const struct rt_mount mounts[] = { { "conf", "/etc/conf", NULL, true },
					  { "data", "/data", "sub", false } };

static const char *const command[] = { "/bin/sh", "-c", "", NULL };
static const char *const env[] = { "A=1", NULL };
static const char *const drop[] = { "ALL", NULL };
static const char *const hosts[] = { "127.0.0.1 localhost", NULL };

static struct rt_container
container(void)
{
	return (struct rt_container){ .name = "web",
				      .image = "nginx",
				      .command = command,
				      .env = env,
				      .mounts = mounts,
				      .nmounts = 2,
				      .restart = RT_ON_FAILURE,
				      .memory = 1LL << 40,
				      .oom_score_adj = -998,
				      .cap_drop = drop,
				      .tty = true,
				      .termination_message_path = "/dev/t" };
}

static struct rt_pod
pod(const struct rt_container *c)
{
	return (struct rt_pod){ .uid = "u-1",
				.ns = "default",
				.name = "web-1",
				.hostname = "web-1",
				.grace = 30,
				.fs_group = -1,
				.hosts = hosts,
				.volumes = volumes,
				.nvolumes = 2,
				.containers = c,
				.ncontainers = 1 };
}

static void
a_spec_comes_back_as_it_was(void **state)
{
	struct rt_container c = container();
	struct rt_pod p = pod(&c), q;
	struct arena a = { 0 };
	struct buf one = { 0 }, two = { 0 };

	(void)state;
	podspec_pack(&p, &one);
	assert_int_equal(podspec_unpack(&a, one.at, one.len, &q, NULL), 0);
	assert_string_equal(q.containers[0].command[2], "");
	assert_null(q.containers[0].args);
	assert_null(q.resolv);
	assert_int_equal(q.containers[0].oom_score_adj, -998);
	assert_true(q.containers[0].memory == 1LL << 40);
	assert_int_equal(q.volumes[0].files[0].len, 3);
	assert_memory_equal(q.volumes[0].files[0].data, "x\0y", 3);
	podspec_pack(&q, &two);
	assert_int_equal(one.len, two.len);
	assert_memory_equal(one.at, two.at, one.len);
	buf_done(&one);
	buf_done(&two);
	arena_free(&a);
}

/* Every field has a value of its own, so that one that is lost or changes places with
 * another is seen; the truths differ from container to container. */
static const struct rt_file full_files[] = { { "dir/a", "x\0y", 3, 0400 } };
static const struct rt_volume full_volumes[] = {
	{ "conf", RT_FILES, 11, full_files, 1, NULL, RT_HOST_ANY, true },
	{ "host", RT_HOST, 12, NULL, 0, "/srv", RT_HOST_DIR, false },
};
static const struct rt_mount full_mounts[] = {
	{ "conf", "/etc/conf", "sub", true, false, RT_HOST_TO_CONTAINER },
	{ "host", "/host", NULL, false, true, RT_BIDIRECTIONAL },
};
static const int64_t full_groups[] = { 21, 22 };
static const struct rt_container full_containers[] = {
	{ .name = "first",
	  .image = "setup",
	  .role = RT_INIT,
	  .restart = RT_ON_FAILURE,
	  .startup_probe = true,
	  .read_only_root = true,
	  .privileged = true,
	  .unmasked = true,
	  .stdin_open = true,
	  .log_as_message = true },
	{ .name = "main",
	  .image = "web",
	  .command = LIST("/bin/sh", "-c", ""),
	  .args = LIST("argument"),
	  .env = LIST("A=1", "B=2"),
	  .working_dir = "/work",
	  .user = "web:web",
	  .mounts = full_mounts,
	  .nmounts = 2,
	  .restart = RT_NEVER,
	  .disk = 31,
	  .cpu_milli = 32,
	  .cpu_shares = 33,
	  .memory = 1LL << 40,
	  .pids = 35,
	  .memory_high = 36,
	  .memory_min = 37,
	  .oom_score_adj = -998,
	  .cap_add = LIST("NET_ADMIN"),
	  .cap_drop = LIST("ALL"),
	  .run_as_non_root = true,
	  .read_only_root = true,
	  .unconfined = true,
	  .unmasked = true,
	  .seccomp_profile = "own.json",
	  .stdin_once = true,
	  .termination_message_path = "/dev/last",
	  .log_as_message = true,
	  .post_start = { RT_HOOK_EXEC, LIST("/bin/hello"), 0 },
	  .pre_stop = { RT_HOOK_SLEEP, NULL, 41 },
	  .stop_signal = "SIGUSR1" },
	{ .name = "second",
	  .image = "web",
	  .allow_privilege_escalation = true,
	  .privileged = true,
	  .unconfined = true,
	  .unmasked = true },
	{ .name = "look",
	  .image = "tools",
	  .role = RT_EPHEMERAL,
	  .target = "main",
	  .tty = true,
	  .stdin_open = true,
	  .stdin_once = true,
	  .log_as_message = true },
};
static const struct rt_pod full = { .uid = "u-1",
				    .ns = "default",
				    .name = "web-1",
				    .hostname = "host-1",
				    .grace = 51,
				    .fs_group = 52,
				    .fs_group_on_mismatch = true,
				    .groups = full_groups,
				    .ngroups = 2,
				    .sysctls = LIST("net.ipv4.ip_forward=1"),
				    .share_processes = true,
				    .host_pid = true,
				    .host_users = true,
				    .user_base = 1879048192,
				    .hosts = LIST("127.0.0.1 localhost"),
				    .resolv = LIST("nameserver 10.43.0.10"),
				    .volumes = full_volumes,
				    .nvolumes = 2,
				    .containers = full_containers,
				    .ncontainers = 4 };

/* An upgrade must find the pods that run.  The file is what a kedged wrote; it is never
 * written anew: a later format has a file of its own beside it. */
static void
a_spec_that_an_older_kedged_wrote_is_read(void **state)
{
	char old[8192];
	FILE *f = fopen("tests/golden/podspec/5", "re");
	struct buf got = { 0 }, want = { 0 };
	struct arena a = { 0 };
	struct rt_pod p;
	size_t n;

	(void)state;
	assert_non_null(f);
	n = fread(old, 1, sizeof(old), f);
	fclose(f);
	assert_int_equal(podspec_unpack(&a, old, n, &p, NULL), 0);
	assert_int_equal(podspec_check(&p, NULL), 0);
	podspec_pack(&p, &got);
	podspec_pack(&full, &want);
	assert_int_equal(got.len, want.len);
	assert_memory_equal(got.at, want.at, want.len);
	buf_done(&got);
	buf_done(&want);
	arena_free(&a);
}

static void
a_spec_cut_anywhere_is_refused(void **state)
{
	struct rt_container c = container();
	struct rt_pod p = pod(&c), q;
	struct buf b = { 0 };

	(void)state;
	podspec_pack(&p, &b);
	for (size_t n = 0; n < b.len; n++) {
		struct arena a = { 0 };
		char *copy = malloc(n + 1);

		memcpy(copy, b.at, n); /* of its own, so that a read past it is seen */
		assert_int_equal(podspec_unpack(&a, copy, n, &q, NULL), -1);
		free(copy);
		arena_free(&a);
	}
	buf_done(&b);
}

static void
a_spec_with_a_flipped_byte_is_read_or_refused(void **state)
{
	struct rt_container c = container();
	struct rt_pod p = pod(&c), q;
	struct buf b = { 0 };

	(void)state;
	podspec_pack(&p, &b);
	for (size_t i = 0; i < b.len; i++) {
		struct arena a = { 0 };

		b.at[i] ^= 0x5a;
		if (podspec_unpack(&a, b.at, b.len, &q, NULL) == 0)
			podspec_check(&q, NULL);
		b.at[i] ^= 0x5a;
		arena_free(&a);
	}
	buf_done(&b);
}

static void
refused(const struct rt_pod *p, const char *words)
{
	struct error *e = NULL;

	assert_int_equal(podspec_check(p, &e), -1);
	assert_int_equal(e->why, WHY_INVALID);
	if (!strstr(error_text(e), words))
		print_error("%s\n", error_text(e));
	assert_non_null(strstr(error_text(e), words));
	error_free(&e);
}

static void
what_could_leave_its_place_is_refused(void **state)
{
	struct rt_container c = container();
	struct rt_pod p = pod(&c);
	struct rt_mount m = mounts[1];
	struct rt_file f = { "../x", "", 0, 0 };
	struct rt_volume v[2] = { volumes[0], volumes[1] };

	(void)state;
	assert_int_equal(podspec_check(&p, NULL), 0);
	p.uid = "../x";
	refused(&p, "uid");
	p = pod(&c);
	p.name = "a/b";
	refused(&p, "name \"a/b\"");
	p = pod(&c);
	c.mounts = &m;
	c.nmounts = 1;
	m.path = "/a/../../b";
	refused(&p, "mount path");
	m.path = "/";
	refused(&p, "mount path");
	m.path = "/a";
	m.sub_path = "x/../../y";
	refused(&p, "subPath");
	m.sub_path = "/y";
	refused(&p, "subPath");
	m.sub_path = NULL;
	m.volume = "none";
	refused(&p, "no volume");
	c = container();
	c.working_dir = "relative";
	refused(&p, "pod web-1: container web: working directory \"relative\"");
	c = container();
	c.memory = -1;
	refused(&p, "memory -1 is negative");
	c = container();
	c.role = RT_EPHEMERAL + 1;
	refused(&p, "role 4 is none there is");
	c = container();
	c.name = "Web";
	refused(&p, "container");
	c = container();
	v[0].files = &f;
	v[0].nfiles = 1;
	p.volumes = v;
	refused(&p, "not the name of a file");
	f.path = "..data";
	refused(&p, "not the name of a file");
}

static void
capabilities_beyond_the_defaults_need_the_operators_word(void **state)
{
	struct error *e = NULL;
	uint64_t allow;

	(void)state;
	assert_int_equal(rtcaps_allowed(NULL, 0, NULL), 0);
	assert_int_equal(rtcaps_allowed(LIST("chown", "CAP_NET_BIND_SERVICE"), 0, NULL), 0);
	assert_int_equal(rtcaps_allowed(LIST("CHOWN", "cap_sys_admin"), 0, &e), -1);
	assert_int_equal(e->why, WHY_FORBIDDEN);
	error_free(&e);
	assert_int_equal(rtcaps_allowed(LIST("ALL"), 0, NULL), -1);
	assert_int_equal(rt_caps(LIST("NET_ADMIN"), &allow, NULL), 0);
	assert_int_equal(rtcaps_allowed(LIST("NET_ADMIN"), allow, NULL), 0);
	assert_int_equal(rtcaps_allowed(LIST("NET_ADMIN", "SYS_TIME"), allow, NULL), -1);
	assert_int_equal(rt_caps(LIST("ALL"), &allow, NULL), 0);
	assert_int_equal(rtcaps_allowed(LIST("ALL"), allow, NULL), 0);
}

static void
capabilities_add_up_as_containerd_reads_them(void **state)
{
	uint64_t caps;
	struct error *e = NULL;

	(void)state;
	assert_int_equal(rtcaps_parse(NULL, NULL, ~0ULL, &caps, NULL), 0);
	assert_true(caps == 0xa80425fb);
	assert_int_equal(
	    rtcaps_parse(LIST("net_admin", "CAP_SYS_TIME"), LIST("ALL"), ~0ULL, &caps, NULL),
	    0);
	assert_true(caps == (1ULL << 12 | 1ULL << 25));
	assert_int_equal(
	    rtcaps_parse(LIST("ALL"), LIST("NET_RAW"), 0x1ffffffffffULL, &caps, NULL), 0);
	assert_true(caps == (0x1ffffffffffULL & ~(1ULL << 13)));
	assert_int_equal(rtcaps_parse(LIST("ALL"), LIST("ALL"), ~0ULL, &caps, NULL), 0);
	assert_true(caps == 0);
	assert_int_equal(rtcaps_parse(LIST("ALL", "NET_RAW"), LIST("ALL"), ~0ULL, &caps, NULL),
			 0);
	assert_true(caps == 1ULL << 13);
	assert_int_equal(
	    rtcaps_parse(LIST("CHOWN", "NET_RAW"), LIST("ALL", "CHOWN"), ~0ULL, &caps, NULL),
	    0);
	assert_true(caps == 1ULL << 13);
	assert_int_equal(rtcaps_parse(LIST("SYS_ADMIN"), NULL, 0xa80425fb, &caps, NULL), 0);
	assert_true(caps == 0xa80425fb); /* what we lack we cannot give */
	assert_int_equal(rtcaps_parse(LIST("NONSENSE"), NULL, ~0ULL, &caps, &e), -1);
	assert_string_equal(error_text(e), "\"NONSENSE\" is not a capability");
	error_free(&e);
}

/* ---- ops ---- */

struct seen {
	int order[64];
	const char *first[64];
	size_t n;
};

static struct seen
walk(const struct buf *b)
{
	struct seen s = { 0 };
	const struct ops_head *h = (const void *)b->at;

	assert_int_equal(h->magic, OPS_MAGIC);
	assert_int_equal(h->size, b->len);
	for (size_t at = sizeof(*h); at < b->len;) {
		const struct op *op = (const void *)(b->at + at);

		assert_true(op->len % 8 == 0 && op->len >= sizeof(*op) &&
			    op->len <= b->len - at);
		s.order[s.n] = op->code;
		s.first[s.n++] = op->nstr ? op->text : "";
		at += op->len;
	}
	assert_int_equal(s.n, h->n);
	return s;
}

static size_t
place(const struct seen *s, int code)
{
	for (size_t i = 0; i < s->n; i++)
		if (s->order[i] == code)
			return i;
	return SIZE_MAX;
}

static void
compile_on(bool tmpfs_maps, struct rt_pod p, struct buf *b)
{
	static const char *const none[] = { NULL };
	static const char *const layers[] = { "/l/bottom", "/l/top" };
	const struct image img = { .name = "n",
				   .id = "sha256:1",
				   .layers = layers,
				   .nlayers = 2,
				   .entrypoint = none,
				   .cmd = none,
				   .env = none,
				   .ports = none,
				   .working_dir = "",
				   .user = "",
				   .stop_signal = "SIGQUIT" };
	struct rt rt = { .cfg = { .run_dir = "/r", .state_dir = "/s" },
			 .users = { .tmpfs = tmpfs_maps },
			 .caps = ~0ULL };

	assert_int_equal(rtops_compile(&rt, &p, p.containers, &img, b, NULL), 0);
	seccomp_done(&rt.seccomp);
}

static void
compile(struct rt_container c, struct buf *b)
{
	compile_on(true, pod(&c), b);
}

/* The flags of the volume that is mounted there. */
static unsigned
volume_flags(const struct buf *b, const char *path)
{
	for (size_t at = sizeof(struct ops_head); at < b->len;) {
		const struct op *op = (const struct op *)(b->at + at);
		const char *word = op->text;

		at += op->len;
		if (op->code != OP_VOLUME)
			continue;
		for (uint32_t i = 1; i < op->nstr; i++) /* the last one is the place */
			word += strlen(word) + 1;
		if (strcmp(word, path) == 0)
			return op->flags;
	}
	fail_msg("nothing is mounted at %s", path);
	return 0;
}

/* On a kernel of either kind a private key stays one, but for a group that is asked for. */
static void
modes_are_what_the_volume_says(void **state)
{
	static const struct {
		bool maps;
		int64_t group;
		mode_t mode;
		uid_t uid;
		gid_t gid;
	} rows[] = { { true, -1, 0400, 0, 0 },
		     { false, -1, 0400, 70000, 70000 },
		     { true, 5, 0440, 0, 5 },
		     { false, 5, 0440, 70000, 70005 } };
	static const struct rt_volume v = { "conf", RT_FILES, 0, files, 1 };
	struct rt_container c = container();
	struct rt_pod p = pod(&c);
	char dir[64] = "/tmp/t_podspec.XXXXXX", path[256];

	(void)state;
	p.user_base = 70000;
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "mkdir -p %s/pods/%s/volumes/conf", dir, p.uid);
	assert_int_equal(system(path), 0);
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct rt rt = { .cfg = { .run_dir = dir },
				 .users = { .tmpfs = rows[i].maps } };
		struct stat st;

		p.fs_group = rows[i].group;
		assert_int_equal(volume_put(&rt, &p, &v, NULL), 0);
		snprintf(path, sizeof(path), "%s/pods/%s/volumes/conf/a", dir, p.uid);
		assert_int_equal(stat(path, &st), 0);
		assert_int_equal(st.st_mode & 07777, rows[i].mode);
		assert_int_equal(st.st_uid, rows[i].uid);
		assert_int_equal(st.st_gid, rows[i].gid);
	}
	snprintf(path, sizeof(path), "rm -rf %s", dir);
	assert_int_equal(system(path), 0);
}

/* Linux before 6.3 maps no ids on a tmpfs: what is on it is the pod's own from the start. */
static void
where_tmpfs_cannot_be_mapped_it_belongs_to_the_pods_ids(void **state)
{
	static const struct rt_volume v[] = { { "conf", RT_FILES, 0, files, 2 },
					      { "memory", RT_MEMORY, 1 << 20, NULL, 0 },
					      { "disk", RT_EMPTY, 0, NULL, 0 } };
	static const struct rt_mount m[] = { { .volume = "conf", .path = "/conf" },
					     { .volume = "memory", .path = "/memory" },
					     { .volume = "disk", .path = "/disk" } };
	struct rt_container c = container();
	struct rt_pod p = pod(&c);
	struct users old = { .able = true }, new = { .able = true, .tmpfs = true };
	struct buf b = { 0 };

	(void)state;
	c.mounts = m;
	c.nmounts = 3;
	p.volumes = v;
	p.nvolumes = 3;
	compile_on(false, p, &b);
	assert_true(volume_flags(&b, "/conf") & V_OWNED);
	assert_true(volume_flags(&b, "/memory") & V_OWNED);
	assert_false(volume_flags(&b, "/disk") & V_OWNED);
	buf_clear(&b);
	compile_on(true, p, &b);
	assert_false(volume_flags(&b, "/conf") & V_OWNED);
	assert_false(volume_flags(&b, "/memory") & V_OWNED);
	assert_false(volume_flags(&b, "/disk") & V_OWNED);
	buf_done(&b);
	assert_int_equal(users_tmpfs_root(&old, 7 << 16), 7 << 16);
	assert_int_equal(users_tmpfs_root(&new, 7 << 16), 0);
	assert_int_equal(users_tmpfs_root(&old, 0), 0); /* of a pod with the host's users */
}

static void
the_host_is_left_before_the_user_is_looked_for(void **state)
{
	struct buf b = { 0 };
	struct seen s;

	(void)state;
	compile(container(), &b);
	s = walk(&b);
	assert_int_equal(s.order[0], OP_OOM); /* while /proc is still the host's */
	assert_true(place(&s, OP_PROC) < place(&s, OP_VOLUME));
	assert_true(place(&s, OP_VOLUME) < place(&s, OP_MASK));
	assert_true(place(&s, OP_MASK) < place(&s, OP_PIVOT));
	assert_true(place(&s, OP_PIVOT) < place(&s, OP_USER));
	assert_true(place(&s, OP_USER) < place(&s, OP_RIGHTS));
	assert_int_equal(s.order[s.n - 1], OP_EXEC);
	buf_done(&b);
}

static void
the_filter_comes_last_unless_privileges_may_grow(void **state)
{
	struct rt_container c = container();
	struct buf b = { 0 };
	struct seen s;

	(void)state;
	compile(c, &b);
	s = walk(&b);
	assert_true(place(&s, OP_NOPRIVS) < place(&s, OP_RIGHTS));
	assert_true(place(&s, OP_RIGHTS) < place(&s, OP_SECCOMP));
	buf_clear(&b);
	c.allow_privilege_escalation = true;
	compile(c, &b);
	s = walk(&b);
	assert_true(place(&s, OP_NOPRIVS) == SIZE_MAX);
	assert_true(place(&s, OP_SECCOMP) < place(&s, OP_RIGHTS));
	buf_clear(&b);
	c.unconfined = true;
	compile(c, &b);
	s = walk(&b);
	assert_true(place(&s, OP_SECCOMP) == SIZE_MAX);
	buf_done(&b);
}

static void
a_stop_signal_has_a_name_or_a_number(void **state)
{
	const struct {
		const char *name;
		int number;
	} rows[] = { { NULL, SIGQUIT }, /* the image's */
		     { "SIGUSR1", SIGUSR1 },
		     { "TERM", SIGTERM },
		     { "9", 9 },
		     { "SIGRTMIN", SIGRTMIN },
		     { "SIGRTMIN+3", SIGRTMIN + 3 },
		     { "RTMAX-14", SIGRTMAX - 14 },
		     { "SIGRTMAX", SIGRTMAX },
		     { "SIGPOLL", SIGIO },
		     { "SIGIOT", SIGABRT },
		     { "SIGCLD", SIGCHLD },
		     { "SIGRTMIN+99", SIGTERM },
		     { "SIGRTMIN-1", SIGTERM },
		     { "SIGNONE", SIGTERM } };

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct rt_container c = container();
		struct buf b = { 0 };

		c.stop_signal = rows[i].name;
		compile(c, &b);
		assert_int_equal(((struct ops_head *)b.at)->stop_signal, rows[i].number);
		buf_done(&b);
	}
}

/* A user is looked up by the whole of its name, and told by as much of it as one needs. */
static void
an_image_says_who_it_runs_as_in_as_many_words_as_it_likes(void **state)
{
	static struct rtpod p;
	struct rt_container c = container();
	char user[5001], *why;
	const struct image img = { .user = user };

	(void)state;
	p.spec = (struct rt_pod){ .ns = "ns", .name = "pod" };
	c.user = NULL;
	c.run_as_non_root = true;
	memset(user, '1', 5000);
	user[5000] = 0;
	user[4999] = 'x'; /* no number, and told as one that is none */
	why = rtpod_runs_as_root(&p, &c, &img);
	assert_non_null(why);
	assert_non_null(
	    strstr(why, "container has runAsNonRoot and image has non-numeric user"));
	assert_true(strlen(why) < 500);
	free(why);
	user[4] = 0;
	assert_null(rtpod_runs_as_root(&p, &c, &img));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_spec_comes_back_as_it_was),
		cmocka_unit_test(a_spec_that_an_older_kedged_wrote_is_read),
		cmocka_unit_test(a_spec_cut_anywhere_is_refused),
		cmocka_unit_test(a_spec_with_a_flipped_byte_is_read_or_refused),
		cmocka_unit_test(what_could_leave_its_place_is_refused),
		cmocka_unit_test(capabilities_add_up_as_containerd_reads_them),
		cmocka_unit_test(capabilities_beyond_the_defaults_need_the_operators_word),
		cmocka_unit_test(the_host_is_left_before_the_user_is_looked_for),
		cmocka_unit_test(modes_are_what_the_volume_says),
		cmocka_unit_test(where_tmpfs_cannot_be_mapped_it_belongs_to_the_pods_ids),
		cmocka_unit_test(the_filter_comes_last_unless_privileges_may_grow),
		cmocka_unit_test(a_stop_signal_has_a_name_or_a_number),
		cmocka_unit_test(an_image_says_who_it_runs_as_in_as_many_words_as_it_likes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
