/* escape_drive.c -- ways out of a container that others have found, each tried and shown to
 * fail; one a run: escape_drive NAME.
 *
 * Unless a scenario is about the default, its container has every capability and no seccomp
 * filter, so that what holds it is the walls beneath.
 */
#include "tests/e2e/escape_kit.h"
#include <dirent.h>
#include <linux/keyctl.h>
#include <sys/syscall.h>
#include <sys/utsname.h>

/* What a file of the host holds; to be compared with what it holds afterwards. */
static char *
host(const char *path)
{
	struct buf b = kit_file(path);

	buf_addc(&b, '\0');
	return buf_steal(&b);
}

/* CVE-2019-5736: the runtime's own program, reached through /proc and overwritten. */
static void
exe(struct kit *k)
{
	char path[64];
	struct rt_container c = mighty(
	    "cd /proc; for p in self 1 [0-9]*; do echo evil >$p/exe; cat </dev/null >$p/exe; "
	    "dd if=/dev/zero of=$p/exe count=1 conv=notrunc; done 2>/dev/null; echo end; exec "
	    "sleep 1000");
	struct rt_container self = { .name = "main",
				     .image = "box",
				     .command = LIST("/proc/self/exe", "pod", "x"),
				     .restart = RT_NEVER };
	struct rt_pod p = kit_pod("a", &c, 1);
	cleanup_free char *before, *after, *out = NULL;

	kit_allow_all(k);
	kit_start(k, &p);
	KIT_UNTIL(k, kit_see(k, "a", 0)->pid);
	snprintf(path, sizeof(path), "/proc/%d/exe", (int)rt_pod_status(k->rt, "a")->init_pid);
	before = host(path);
	MUST(before[0] == 0x7f);
	KIT_UNTIL(k, strstr(out = kit_output(k, &p, "main", 0), "end\n"));
	/* while it writes, a command comes in: that process is reachable for a moment */
	for (int i = 0; i < 50; i++) {
		int null = open("/dev/null", O_RDWR | O_CLOEXEC);

		OK(rt_exec(k->rt, "a", "main", LIST("/proc/self/exe"), false,
			   (int[]){ null, null, null }, 5, 100 + i, e));
		close(null);
		KIT_UNTIL(k, k->exec_id == 100 + i);
	}
	after = host(path);
	MUST(memcmp(before, after, 4096) == 0);
	/* its own program as an entrypoint: it is not the container's to run */
	free(kit_out_of(k, "b", self));
	MUST(kit_see(k, "b", 0)->now.exit_code != 0);
	HAS_NOT(kit_see(k, "b", 0)->now.message, "started by kedged");
}

/* CVE-2024-21626: a descriptor of the host's that was left open, as a working directory. */
static void
descriptors(struct kit *k)
{
	for (int fd = 0; fd < 24; fd++) {
		char dir[64], uid[16];
		struct rt_container c =
		    kit_sh("main", "ls / ../../../../../../; cat etc/shadow");
		char *out;

		snprintf(dir, sizeof(dir), "/proc/self/fd/%d", fd);
		snprintf(uid, sizeof(uid), "fd-%d", fd);
		c.working_dir = dir;
		out = kit_out_of(k, uid, c);
		IS(kit_see(k, uid, 0)->now.reason, "StartError");
		IS(out, "");
		free(out);
		kit_stop(k, uid);
	}
}

/* What the kernel would do for the host's root, asked through procfs and sysfs. */
static void
kernel_writes(struct kit *k)
{
	static const char *const files[] = {
		"/proc/sys/kernel/core_pattern",
		"/proc/sys/kernel/modprobe",
		"/proc/sys/kernel/hotplug",
		"/sys/kernel/uevent_helper",
		"/proc/sys/vm/overcommit_memory",
		"/proc/sys/kernel/panic",
		"/proc/sys/fs/suid_dumpable",
		"/proc/sys/kernel/yama/ptrace_scope",
		"/proc/sys/kernel/randomize_va_space",
	};
	char *before[16], *out;
	struct rt_container c = mighty(
	    "for f in /proc/sys/kernel/core_pattern /proc/sys/kernel/modprobe "
	    "/proc/sys/kernel/hotplug /sys/kernel/uevent_helper "
	    "/proc/sys/vm/overcommit_memory /proc/sys/kernel/panic "
	    "/proc/sys/fs/suid_dumpable /proc/sys/kernel/yama/ptrace_scope "
	    "/proc/sys/kernel/randomize_va_space; do echo 0 >$f; "
	    "mount -o remount,rw,bind $(dirname $f); echo 0 >$f; done 2>/dev/null; "
	    "for d in proc sys; do mkdir /tmp/$d; mount -t ${d}fs none /tmp/$d 2>/dev/null || "
	    "mount -t $d none /tmp/$d; done 2>/dev/null; "
	    "echo 0 >/tmp/proc/sys/kernel/core_pattern; echo c >/tmp/proc/sysrq-trigger; "
	    "echo c >/proc/sysrq-trigger; umount /proc/sysrq-trigger; echo c "
	    ">/proc/sysrq-trigger; echo end");

	kit_allow_all(k);
	for (size_t i = 0; i < sizeof(files) / sizeof(*files); i++)
		before[i] = host(files[i]);
	out = kit_out_of(k, "a", c);
	HAS(out, "end\n"); /* and the host has not crashed on sysrq-trigger */
	free(out);
	for (size_t i = 0; i < sizeof(files) / sizeof(*files); i++) {
		char *after = host(files[i]);

		IS(after, before[i]);
		free(after);
		free(before[i]);
	}
}

/* CVE-2022-0492, CVE-2023-25809: the host's programs, run by the end of a control group. */
static void
cgroup_files(struct kit *k)
{
	static const char *const trees[] = { "memory", "pids", "cpu", "rdma", "devices" };
	char path[128], *before[8], *out;
	struct rt_container c = mighty(
	    "for t in memory pids cpu rdma devices; do mkdir -p /tmp/$t; mount -t cgroup -o $t "
	    "cgroup /tmp/$t && echo mounted $t; done 2>/dev/null; "
	    "mkdir /tmp/two; mount -t cgroup2 none /tmp/two 2>/dev/null && echo 99999 "
	    ">/tmp/two/pids.max; unshare -C mount -t cgroup -o memory cgroup /tmp/memory "
	    "2>/dev/null && echo mounted; "
	    "find / -xdev -name release_agent -o -name notify_on_release 2>/dev/null; "
	    "for f in $(find /sys/fs/cgroup -type f 2>/dev/null | head -n 200); do echo 1 >$f "
	    "&& echo wrote $f; done 2>/dev/null; mkdir /sys/fs/cgroup/x 2>/dev/null && echo "
	    "made; "
	    "echo end");

	kit_allow_all(k);
	for (size_t i = 0; i < 5; i++) {
		snprintf(path, sizeof(path), "/sys/fs/cgroup/%s/release_agent", trees[i]);
		before[i] = host(path);
	}
	out = kit_out_of(k, "a", c);
	HAS(out, "end\n");
	HAS_NOT(out, "mounted");
	HAS_NOT(out, "release_agent");
	HAS_NOT(out, "wrote");
	HAS_NOT(out, "made");
	free(out);
	for (size_t i = 0; i < 5; i++) {
		char *after;

		snprintf(path, sizeof(path), "/sys/fs/cgroup/%s/release_agent", trees[i]);
		after = host(path);
		IS(after, before[i]);
		free(after);
		free(before[i]);
	}
}

/* ---- the tool ---- */

static char *
tool_run(struct kit *k, const char *uid, struct rt_container c, bool host_users)
{
	struct rt_pod p = kit_pod(uid, &c, 1);

	tool_load();
	c.mounts = &tool_mount;
	c.nmounts = 1;
	p.volumes = &tool_volume;
	p.nvolumes = 1;
	p.host_users = host_users;
	return kit_run(k, &p);
}

static void
no_key(const char *out)
{
	static const char *const ways[] = { "read ", "describe ", "search user ",
					    "search session ", "link " };

	for (size_t i = 0; i < 5; i++)
		HAS(out, ways[i]);
	HAS_NOT(out, "done");
}

static void
keyrings(struct kit *k)
{
	long id =
	    syscall(SYS_add_key, "user", "kedge-secret", "s3cret", 6, KEY_SPEC_USER_KEYRING);
	char script[64], *out;

	if (id < 0) {
		printf("no keyrings here\n");
		return;
	}
	kit_allow_all(k);
	snprintf(script, sizeof(script), "/tool/escape key %ld; cat /proc/keys | wc -c", id);
	out = tool_run(k, "a", kit_sh("main", script), false);
	no_key(out);
	HAS(out, "\n0\n");
	free(out);
	out = tool_run(k, "b", mighty(script), false);
	no_key(out);
	free(out);
	/* even where root is root: then the filter holds it */
	out = tool_run(k, "c", kit_sh("main", script), true);
	no_key(out);
	free(out);
	syscall(SYS_keyctl, KEYCTL_UNLINK, id, KEY_SPEC_USER_KEYRING);
}

/* ---- what it sees ---- */

/* Numbers that differ from host to host, and from run to run; sets of capabilities do not. */
static void
steady(char *text)
{
	for (char *at = text; *at; at++) {
		size_t n = strspn(at, "0123456789");

		if (strncmp(at, "Cap", 3) == 0)
			at += strcspn(at, "\n") - 1;
		if (n < 5)
			continue;
		at[0] = 'N';
		memmove(at + 1, at + n, strlen(at + n) + 1);
	}
}

static void
seen(struct kit *k)
{
	static const char script[] =
	    "echo == status; grep -E '^(Uid|Gid|Groups|Cap...|NoNewPrivs|Seccomp):' "
	    "/proc/self/status; "
	    "echo == ids; id; tr -s ' ' </proc/self/uid_map; tr -s ' ' </proc/self/gid_map; "
	    "echo == limits; ulimit -c; umask; cat /proc/self/oom_score_adj; "
	    "echo == descriptors; ls /proc/self/fd | tr '\\n' ' '; echo; "
	    "echo == environment; env | grep -v '^SHLVL' | sort; pwd; "
	    "echo == processes; ps=$(ps -o pid,comm); echo \"$ps\"; "
	    "echo == devices; cd /dev; stat -c '%A %U %n %t:%T' * pts/ptmx; cd /; "
	    "echo == root; ls -ld / /dev /etc /proc /sys /tmp | tr -s ' ' | cut -d' ' "
	    "-f1,3,4,9; "
	    "echo == mounts; sed 's/^[^ ]* //; s/lowerdir.*/.../; s/,size=[0-9]*k//; "
	    "s/,nr_inodes=[0-9]*//; s/,inode64//; s/ ro,\\([^ ]*\\) 0 0/ ro,\\1/; s/ 0 0$//; "
	    "/^.proc.[a-z_]* .*tmpfs/d; /^.sys.firmware/d; /^.sys.devices/d; "
	    "s/^\\(.dev.\\(null\\|zero\\|full\\|u*random\\|tty\\)\\) \\(dev\\)*tmpfs/\\1 "
	    "node/' "
	    "/proc/self/mounts; "
	    "echo == calls; /tool/escape calls";
	static const char *const every[] = { "ALL", NULL };
	/* nothing asked for; all that the Restricted standard asks for; the host's users */
	static const struct {
		const char *name, *user;
		const char *const *drop;
		bool read_only, host_users;
	} rows[] = {
		{ .name = "plain" },
		{ .name = "restricted", .user = "1000:2000", .drop = every, .read_only = true },
		{ .name = "host-users", .host_users = true },
	};
	const char *file = getenv("KEDGE_GOLDEN_FILE"), *mode = getenv("KEDGE_GOLDEN");
	cleanup_buf struct buf all = { 0 };
	cleanup_free char *want = NULL;

	if (!file)
		DIE("KEDGE_GOLDEN_FILE is not set");
	kit_allow_all(k);
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct rt_container c = kit_sh("main", script);
		cleanup_free char *out = NULL;

		c.memory = 64 << 20;
		c.termination_message_path = "/dev/termination-log";
		c.user = rows[i].user;
		c.cap_drop = rows[i].drop;
		c.read_only_root = rows[i].read_only;
		out = tool_run(k, rows[i].name, c, rows[i].host_users);
		steady(out);
		buf_addf(&all, "%s==== %s\n%s", i ? "\n" : "", rows[i].name, out);
	}
	if (mode && strcmp(mode, "write") == 0) {
		FILE *f = fopen(file, "w");

		MUST(f);
		fputs(buf_text(&all), f);
		fclose(f);
	}
	want = host(file);
	if (strcmp(buf_text(&all), want))
		DIE("a container sees what is not in %s:\n%s", file, buf_text(&all));
}

/* ---- places that move ---- */

enum { PODS = 70, EACH = 30 };

/* CVE-2017-1002101, CVE-2021-25741, CVE-2021-30465: while pods mount below a directory of
 * their volume, somebody swaps it for a link to the host's root, as fast as can be. */
static void
race(struct kit *k)
{
	struct rt_config cfg = kit_config(k);
	char dir[512], a[600], b[600], marker[64];
	struct rt_volume v = { .name = "v", .type = RT_HOST, .source = dir };
	struct rt_mount m[2] = { { .volume = "v", .path = "/v" },
				 { .volume = "v", .path = "/v/in/deep", .sub_path = "in" } };
	struct rt_container c[EACH];
	char names[EACH][16];
	int started = 0, refused = 0;
	pid_t racer;

	snprintf(dir, sizeof(dir), "%s/shared", k->dir);
	snprintf(a, sizeof(a), "%s/in", dir);
	snprintf(b, sizeof(b), "%s/out", dir);
	snprintf(marker, sizeof(marker), "/run/kedge-marker");
	mkdir(dir, 0777);
	mkdir(a, 0777);
	MUST(symlink("/run", b) == 0);
	close(open(marker, O_CREAT | O_WRONLY | O_CLOEXEC, 0644));
	rt_close(k->rt);
	cfg.allow.host_paths = (const struct rt_host_path[]){ { .prefix = k->dir } };
	cfg.allow.nhost_paths = 1;
	OK(rt_open(&cfg, &k->rt, e));
	racer = fork();
	if (racer == 0)
		for (;;)
			syscall(SYS_renameat2, AT_FDCWD, a, AT_FDCWD, b, 2 /* EXCHANGE */);
	for (int i = 0; i < EACH; i++) {
		snprintf(names[i], sizeof(names[i]), "c%d", i);
		c[i] = kit_sh(names[i], "ls -a /v/in/deep /v/in/.. 2>&1; touch "
					"/v/in/deep/mine 2>/dev/null; echo end");
		c[i].mounts = m;
		c[i].nmounts = 2;
	}
	for (int i = 0; i < PODS; i++) {
		char uid[16];
		struct rt_pod p = kit_pod(uid, c, EACH);

		snprintf(uid, sizeof(uid), "race-%d", i);
		p.volumes = &v;
		p.nvolumes = 1;
		kit_start(k, &p);
		for (int j = 0; j < EACH; j++) {
			char *out;

			KIT_UNTIL(k, kit_see(k, uid, (size_t)j)->state == RT_TERMINATED);
			out = kit_output(k, &p, names[j], 0);
			HAS_NOT(out, "kedge-marker");
			if (strstr(out, "end"))
				started++;
			else
				refused++;
			free(out);
		}
		kit_stop(k, uid);
	}
	kill(racer, SIGKILL);
	waitpid(racer, NULL, 0);
	printf("%d tries: %d started, %d refused\n", PODS * EACH, started, refused);
	MUST(started > 0 && refused > 0); /* it was a race */
	MUST(access("/run/mine", F_OK) < 0);
}

/* ---- bombs ---- */

static int
count_in(const char *dir)
{
	DIR *d = opendir(dir);
	int n = 0;

	while (d && readdir(d))
		n++;
	if (d)
		closedir(d);
	return n;
}

static int64_t
size_in(const char *dir)
{
	cleanup_free char *cmd = NULL;
	long long kb = 0;
	FILE *f;

	xasprintf(&cmd, "du -sk %s | cut -f1", dir);
	f = popen(cmd, "re");
	MUST(f && fscanf(f, "%lld", &kb) == 1);
	pclose(f);
	return kb * 1024;
}

static bool
printed(struct kit *k, struct rt_pod *p, const char *container, const char *what)
{
	cleanup_free char *out = kit_output(k, p, container, 0);

	return strstr(out, what) != NULL;
}

static void
bombs(struct kit *k)
{
	struct rt_container c[] = {
		kit_sh("fork", "b() { b | b & b; }; b 2>/dev/null; sleep 1000"),
		kit_sh("log", "yes 0123456789012345678901234567890123456789"),
		kit_sh("inode", "i=0; while true >/dev/f$i; do i=$((i+1)); [ $i -gt "
				"20000 ] && break; done; echo dev $i; exec sleep 1000"),
		kit_sh("calm", "while echo here; do sleep 0.1; done"),
	};
	struct rt_pod p = kit_pod("a", c, 4), q;
	char *out = NULL, logs[600];
	int64_t until;

	for (int i = 0; i < 4; i++) {
		c[i].pids = 64;
		c[i].memory = 32 << 20;
	}
	kit_start(k, &p);
	until = kit_now() + 4000;
	while (kit_now() < until)
		kit_step(k, 100);
	KIT_UNTIL(k,
		  printed(k, &p, "inode", "dev ")); /* the bombs leave it little of the CPU */
	MUST(count_in("/proc") < 600); /* its 64, and what the test host is made of */
	snprintf(logs, sizeof(logs), "%s/default_a_a/log", k->logs);
	MUST(size_in(logs) < 20000 * 5);
	out = kit_output(k, &p, "inode", 0);
	HAS(out, "dev ");
	MUST(atoi(strstr(out, "dev ") + 4) < 10000);
	free(out);
	MUST(kit_see(k, "a", 3)->state == RT_RUNNING); /* the pod's others live */
	MUST(kit_see(k, "a", 3)->restarts == 0);
	q = kit_pod("b", &(struct rt_container){ 0 }, 1);
	c[0] = kit_sh("main", "echo well");
	q.containers = c;
	out = kit_run(k, &q);
	IS(out, "well\n");
	free(out);
	kit_stop(k, "a"); /* and all of it ends */
}

static const struct scenario scenarios[] = {
	/* clang-format off */
	{ "exe", exe },
	{ "descriptors", descriptors },
	{ "kernel_writes", kernel_writes },
	{ "cgroup_files", cgroup_files },
	{ "keyrings", keyrings },
	{ "seen", seen },
	{ "race", race },
	{ "bombs", bombs },
	/* clang-format on */
};

int
main(int argc, char **argv)
{
	return kit_main(argc, argv, scenarios, sizeof(scenarios) / sizeof(*scenarios));
}
