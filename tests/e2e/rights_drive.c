/* rights_drive.c -- the hardened defaults: users, rights, limits, and what is in sight, one
 * scenario a run: rights_drive NAME.
 */
#include "tests/e2e/runtime_kit.h"
#include <dirent.h>

static void
users(struct kit *k)
{
	static const struct {
		const char *user, *want;
	} rows[] = {
		{ "web", "uid=1234(web) gid=2345(web) "
			 "groups=2345(web),3456(extra)\nHOME=/home/web\n" },
		{ "1234", "uid=1234(web) gid=2345(web) "
			  "groups=2345(web),3456(extra)\nHOME=/home/web\n" },
		{ "web:extra",
		  "uid=1234(web) gid=3456(extra) groups=3456(extra)\nHOME=/home/web\n" },
		{ "77:88", "uid=77 gid=88 groups=88\nHOME=/\n" },
		{ "", "uid=0(root) gid=0(root) groups=0(root)\nHOME=/root\n" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct rt_container c =
		    kit_sh("main", "id; echo HOME=$HOME; echo named > /dev/stdout");
		cleanup_free char *out = NULL, *want = NULL;
		char uid[8];

		snprintf(uid, sizeof(uid), "u%zu", i);
		c.user = rows[i].user;
		xasprintf(&want, "%snamed\n", rows[i].want);
		out = kit_out_of(k, uid, c);
		IS(out, want);
	}
}

static void
rights(struct kit *k)
{
	struct rt_container c = kit_sh(
	    "main", "grep -E 'Cap|NoNew|Seccomp:' /proc/self/status; ulimit -c; "
		    "mount -t tmpfs x /tmp; unshare -n true; chroot / true && echo chroot; "
		    "cat /proc/self/oom_score_adj");
	cleanup_free char *out = NULL;

	c.oom_score_adj = 321;
	out = kit_out_of(k, "a", c);
	HAS(out, "CapInh:\t0000000000000000");
	HAS(out,
	    "CapPrm:\t00000000a80425fb\nCapEff:\t00000000a80425fb\nCapBnd:\t00000000a80425fb\n"
	    "CapAmb:\t0000000000000000");
	HAS(out, "NoNewPrivs:\t1");
	HAS(out, "Seccomp:\t2");
	HAS(out, "\n0\n");
	HAS(out, "mount: permission denied");
	HAS(out, "unshare: unshare(0x40000000): Operation not permitted");
	HAS(out, "chroot\n");
	HAS(out, "321\n");
	free(out);
	c = kit_sh("main", "grep -E 'CapEff|CapBnd|NoNew|Seccomp:' /proc/self/status");
	c.cap_drop = LIST("ALL");
	c.cap_add = LIST("NET_BIND_SERVICE", "CAP_SYS_TIME");
	c.allow_privilege_escalation = true;
	c.unconfined = true;
	out = kit_out_of(k, "b", c);
	HAS(out, "CapEff:\t0000000002000400\nCapBnd:\t0000000002000400");
	HAS(out, "NoNewPrivs:\t0\nSeccomp:\t0");
	free(out);
	c = kit_sh("main", "grep -E 'CapEff|NoNew|Seccomp:' /proc/self/status");
	c.allow_privilege_escalation = true;
	c.user = "web";
	out = kit_out_of(k, "c", c);
	HAS(out, "CapEff:\t0000000000000000\nNoNewPrivs:\t0\nSeccomp:\t2");
}

static void
no_host(struct kit *k)
{
	cleanup_free char *out = kit_out(
	    k, "a",
	    "ls -a /proc/self/fd | tr '\\n' ' '; echo; ls /proc | grep -c '^[0-9]'; "
	    "readlink /proc/self/cwd; grep -c . /proc/self/mountinfo; "
	    "grep -E ':[0-9]+ / .* /dev/|/etc/fstab' /proc/self/mountinfo; " /* a whole disk */
	    "ls /old /host /.oldroot 2>&1 | grep -v 'No such'; ip link | grep -c mtu; cat "
	    "/proc/1/comm");

	HAS(out, ". .. 0 1 2 3 \n"); /* 3: ls' own */
	HAS(out, "\n/\n");
	HAS(out, "\n1\ncat\n"); /* lo alone; and it is 1 */
	HAS_NOT(out, " /dev/");
	HAS_NOT(out, "fstab");
}

static void
kernel_files(struct kit *k)
{
	cleanup_free char *out = kit_out(
	    k, "a",
	    "cat /proc/keys /proc/timer_list /proc/kcore 2>/dev/null | wc -c; wc -c < "
	    "/proc/interrupts; ls /proc/acpi /proc/scsi /sys/firmware; "
	    "for f in /proc/sys/kernel/hostname /proc/sysrq-trigger /proc/irq/x /sys/x "
	    "/sys/kernel/x; do "
	    "(echo b > $f) 2>&1 | grep -o 'Read-only.*\\|Permission.*\\|nonexistent.*\\|No "
	    "such.*'; done; "
	    "mount | grep -c ' on / type overlay.*nodev'");

	HAS(out, "0\n0\n");
	HAS(out, "Read-only file system\nRead-only file system\n");
	HAS(out, "\n1\n");
}

static void
devices(struct kit *k)
{
	cleanup_free char *out = kit_out(
	    k, "a",
	    "ls /dev | tr '\\n' ' '; echo; echo x > /dev/null && head -c 3 /dev/zero | wc -c; "
	    "head -c 5 /dev/urandom | wc -c; mknod /tmp/zero c 1 5 && head -c 1 /tmp/zero "
	    "2>&1; "
	    "mknod /dev/z c 1 5 && head -c 1 /dev/z 2>&1; ls -la /dev/fd /dev/ptmx | grep -o "
	    "'/dev.*'; "
	    "stat -f -c %T /dev/shm; readlink /dev/core; touch /dev/shm/x /dev/mqueue/x && "
	    "echo both");

	HAS(out, "core fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom "
		 "zero \n3\n5\n");
	HAS(out, "mknod: /tmp/zero: Operation not permitted");
	HAS(out, "mknod: /dev/z: Operation not permitted");
	HAS(out, "/dev/ptmx -> pts/ptmx");
	HAS(out, "both\n");
}

/* Puts a link into the image's layer, which no import would have let through.  The
 * layer of one file tree is one on disk, so it is put back for others' sake. */
static void
lay(struct kit *k, const char *image, const char *name, const char *to)
{
	const struct image *i = image_find(k->images, image);
	char path[600], old[600];

	snprintf(path, sizeof(path), "%s/%s", i->layers[0], name);
	snprintf(old, sizeof(old), "%s/old-%s", i->layers[0], name);
	rename(path, old);
	MUST(symlink(to, path) == 0);
}

static void
unlay(struct kit *k, const char *image, const char *name)
{
	char path[600];

	snprintf(path, sizeof(path), "%s/%s", image_find(k->images, image)->layers[0], name);
	MUST(unlink(path) == 0);
}

static void
evil_images(struct kit *k)
{
	static const struct {
		const char *link, *to, *want;
	} rows[] = {
		{ "proc", "/tmp", "mount /proc" },
		{ "dev", "/tmp", "make /dev" },
		{ "sys", "../../../../tmp", "mount /sys" },
	};
	struct rt_volume v = { .name = "v", .type = RT_EMPTY };
	struct rt_mount m = { .volume = "v", .path = "/out/vol" },
			up = { .volume = "v", .path = "/kernel/vol" };
	struct rt_container c = kit_sh("main", "echo ok");
	struct rt_pod p = kit_pod("vol", &c, 1);
	cleanup_free char *out = NULL, *to = NULL, *script = NULL;
	char made[24]; /* on the host, where other tests are, too */

	snprintf(made, sizeof(made), "/made-%d", (int)getpid());
	for (size_t i = 0; i < 3; i++) {
		char uid[8];

		snprintf(uid, sizeof(uid), "e%zu", i);
		kit_image(k, uid, NULL, &(struct image_config){ .cmd = LIST(uid) });
		lay(k, uid, rows[i].link, rows[i].to);
		c.image = uid;
		free(kit_out_of(k, uid, c));
		IS(kit_see(k, uid, 0)->now.reason, "StartError");
		HAS(kit_see(k, uid, 0)->now.message, rows[i].want);
		unlay(k, uid, rows[i].link);
	}
	/* links out of the image lead back into it */
	xasprintf(&to, "/../../../..%s", made);
	kit_image(k, "out", (const char *[]){ "out", to, "kernel", "/proc/1", NULL },
		  &(struct image_config){ 0 });
	xasprintf(&script, "cd %s && ls -d vol; touch vol/x && echo in", made);
	c = kit_sh("main", script);
	c.image = "out";
	c.mounts = &m;
	c.nmounts = 1;
	p.volumes = &v;
	p.nvolumes = 1;
	mkdir(made, 0755);
	out = kit_run(k, &p);
	IS(out, "vol\nin\n");
	MUST(rmdir(made) == 0); /* the host's one was left alone */
	p.uid = p.name = p.hostname = "krn";
	c.mounts = &up;
	free(kit_run(k, &p));
	IS(kit_see(k, "krn", 0)->now.reason, "StartError");
	/* /etc is a link: passwd is looked for inside */
	kit_image(k, "etc", NULL, &(struct image_config){ 0 });
	lay(k, "etc", "etc", "/proc/1/root/etc");
	c = kit_sh("main", "echo ok");
	c.image = "etc";
	c.user = "daemon";
	free(kit_out_of(k, "etcl", c));
	IS(kit_see(k, "etcl", 0)->now.reason, "StartError");
}

/* An image for "web:staff": one of its files of users and groups is as asked for, the other
 * as it should be. */
static void
users_image(struct kit *k, const char *name, bool group, unsigned type, const char *link,
	    size_t size)
{
	static const char *const files[] = { "etc/passwd", "etc/group" };
	static const char *const texts[] = { "web:x:1234:0:w:/:/bin/sh\n", "staff:x:4321:\n" };
	static char bytes[(1 << 20) + 1];
	int fd;
	struct archive *a = kit_box(&fd, false);

	kit_entry(a, "etc/", AE_IFDIR, 0755, NULL, NULL, 0);
	for (int i = 0; i < 2; i++) {
		size_t n = strlen(texts[i]);

		memset(bytes, '\n', sizeof(bytes));
		memcpy(bytes, texts[i], n);
		kit_entry(a, i ? "groups" : "users", AE_IFREG, 0644, NULL, bytes, n);
		if (i == group)
			kit_entry(a, files[i], type, 0755, link, bytes, size);
		else
			kit_entry(a, files[i], AE_IFREG, 0644, NULL, bytes, n);
	}
	kit_box_end(k, name, a, fd, &(struct image_config){ 0 });
}

static void
text_put(const char *path, const char *text)
{
	FILE *f = fopen(path, "we");

	MUST(f && fputs(text, f) >= 0 && fclose(f) == 0);
}

/* A command comes in when the container has made a pipe of passwd, which nobody fills. */
static void
pipe_for_passwd(struct kit *k)
{
	struct rt_container c =
	    kit_sh("main", "rm /etc/passwd && mknod /etc/passwd p; exec sleep 1000");
	struct rt_pod p = kit_pod("pipe", &c, 1);
	const int none[3] = { -1, -1, -1 };
	int64_t id = 0;

	kit_start(k, &p);
	KIT_UNTIL(k, kit_see(k, "pipe", 0)->state == RT_RUNNING);
	do { /* until it is made: then passwd is neither read nor waited for */
		OK(rt_exec(k->rt, "pipe", "main", LIST("true"), false, none, 0, ++id, e));
		KIT_UNTIL(k, k->exec_id == id);
	} while (!*k->exec_error && id < 1000);
	HAS(k->exec_error, "in /etc/passwd or /etc/group: Invalid argument");
	kit_stop(k, "pipe");
}

/* Who a container runs as is read from files that are the image's: they may lead to the
 * host's, never end, or be nothing to read. */
static void
evil_users(struct kit *k)
{
	static const struct {
		unsigned type;
		const char *link[2]; /* of passwd, of group */
		size_t size;
		const char *want; /* "": it runs */
	} rows[] = {
		{ AE_IFREG, { NULL, NULL }, 1 << 20, "" },
		{ AE_IFLNK, { "/../../users", "../../../groups" }, 0, "" },
		{ AE_IFLNK, { "/run/outside-users", "/run/outside-groups" }, 0, "No such" },
		{ AE_IFLNK,
		  { "../../../../run/outside-users", "../../../../run/outside-groups" },
		  0,
		  "No such" },
		{ AE_IFLNK,
		  { "/proc/1/root/run/outside-users", "/proc/1/root/run/outside-groups" },
		  0,
		  "symbolic links" },
		{ AE_IFLNK, { "/proc/self/fd/0", "/proc/self/fd/0" }, 0, "symbolic links" },
		{ AE_IFLNK, { "passwd", "group" }, 0, "symbolic links" },
		{ AE_IFIFO, { NULL, NULL }, 0, "Invalid argument" },
		{ AE_IFDIR, { NULL, NULL }, 0, "Invalid argument" },
		{ AE_IFREG, { NULL, NULL }, (1 << 20) + 1, "Invalid argument" },
	};

	text_put("/run/outside-users", "web:x:77:0:w:/:/bin/sh\n");
	text_put("/run/outside-groups", "staff:x:88:\n");
	for (size_t i = 0; i < 2 * sizeof(rows) / sizeof(*rows); i++) {
		struct rt_container c = kit_sh("main", "id -u; id -g");
		bool group = i % 2, runs = !*rows[i / 2].want;
		cleanup_free char *out = NULL;
		char uid[8];

		snprintf(uid, sizeof(uid), "e%zu", i);
		users_image(k, uid, group, rows[i / 2].type, rows[i / 2].link[group],
			    rows[i / 2].size);
		c.image = uid;
		c.user = "web:staff";
		out = kit_out_of(k, uid, c);
		IS(out, runs ? "1234\n4321\n" : "");
		IS(kit_see(k, uid, 0)->now.reason, runs ? "Completed" : "StartError");
		if (!runs)
			HAS(kit_see(k, uid, 0)->now.message, rows[i / 2].want);
	}
	pipe_for_passwd(k);
}

static void
oom(struct kit *k)
{
	struct rt_container c = kit_sh("main", "x=$(yes | head -c 200000000); echo survived");
	struct rt_pod p = kit_pod("a", &c, 1);

	c.memory = 16 << 20;
	kit_start(k, &p);
	KIT_UNTIL(k, kit_see(k, "a", 0)->state == RT_TERMINATED);
	IS(kit_see(k, "a", 0)->now.reason, "OOMKilled");
	MUST(kit_see(k, "a", 0)->now.oom);
	EQ(kit_see(k, "a", 0)->now.exit_code, 137);
}

static void
group_holds(const char *tree, const char *file, const char *want)
{
	cleanup_free char *path = NULL;
	struct buf b;

	xasprintf(&path, "/sys/fs/cgroup/%s%s/pod-b/main/%s", tree, getenv("KEDGE_CGROUP"),
		  file);
	b = kit_file(path);
	IS(buf_text(&b), want);
	buf_done(&b);
}

static void
limits(struct kit *k)
{
	struct rt_container c =
	    kit_sh("main", "for i in 1 2 3 4 5 6 7 8 9 10 11 12; do sleep 5 & done; echo all");
	cleanup_free char *out = NULL;

	c.pids = 8;
	out = kit_out_of(k, "a", c);
	HAS(out, "can't fork");
	c = kit_sh("main", "exec sleep 100");
	c.cpu_milli = 250;
	c.cpu_shares = 512;
	c.memory = 64 << 20;
	c.memory_high = 48 << 20;
	struct rt_pod p = kit_pod("b", &c, 1);
	kit_start(k, &p);
	KIT_UNTIL(k, kit_see(k, "b", 0)->state == RT_RUNNING);
	if (strcmp(rt_cgroup_mode(k->rt), "v2")) { /* whose v1 has no memory.high */
		group_holds("cpu/", "cpu.cfs_quota_us", "25000\n");
		group_holds("memory/", "memory.limit_in_bytes", "67108864\n");
	} else {
		group_holds("", "cpu.max", "25000 100000\n");
		group_holds("", "memory.max", "67108864\n");
		group_holds("", "memory.high", "50331648\n");
	}
}

static void
read_only(struct kit *k)
{
	struct rt_container c = kit_sh(
	    "main", "touch /x 2>&1; touch /tmp/x 2>&1; echo ok > /dev/shm/x && cat /dev/shm/x");
	cleanup_free char *out = NULL;

	c.read_only_root = true;
	out = kit_out_of(k, "a", c);
	IS(out, "touch: /x: Read-only file system\ntouch: /tmp/x: Read-only file system\nok\n");
}

static const struct scenario scenarios[] = {
	/* clang-format off */
	{ "users", users },
	{ "rights", rights },
	{ "no_host", no_host },
	{ "kernel_files", kernel_files },
	{ "devices", devices },
	{ "evil_images", evil_images },
	{ "evil_users", evil_users },
	{ "oom", oom },
	{ "limits", limits },
	{ "read_only", read_only },
	/* clang-format on */
};

int
main(int argc, char **argv)
{
	return kit_main(argc, argv, scenarios, sizeof(scenarios) / sizeof(*scenarios));
}
