/* security_drive.c -- what a container is given and what it cannot reach, one scenario a
 * run: security_drive NAME. */
#include "tests/e2e/runtime_kit.h"

static void
refused(struct kit *k, const struct rt_pod *p, const char *why)
{
	struct error *e = NULL;
	int netns = -1;

	MUST(rt_pod_create(k->rt, p, &netns, &e) < 0);
	HAS(error_text(e), why);
	error_free(&e);
}

static void
groups(struct kit *k)
{
	const int64_t more[] = { 4000, 4001 };
	struct rt_container c = kit_sh("main", "id -G; id -u");
	struct rt_pod p = kit_pod("a", &c, 1);
	char *out;

	c.user = "web";
	p.groups = more;
	p.ngroups = 2;
	p.fs_group = 5000;
	out = kit_run(k, &p);
	IS(out, "2345 3456 4000 4001 5000\n1234\n"); /* the image lists web in extra */
	free(out);
	p.uid = p.name = "b";
	p.groups_strict = true;
	out = kit_run(k, &p);
	IS(out, "2345 4000 4001 5000\n1234\n");
	free(out);
	c = kit_sh("main", "id -G; id -u");
	c.user = ":77";
	p = kit_pod("c", &c, 1);
	out = kit_run(k, &p);
	IS(out, "77\n0\n");
	free(out);
}

static void
gates(struct kit *k)
{
	struct rt_container c = kit_sh("main", "true");
	struct rt_pod p = kit_pod("a", &c, 1);
	struct rt_config none = kit_config(k);

	rt_close(k->rt);
	none.allow = (struct rt_allow){ 0 };
	OK(rt_open(&none, &k->rt, e));
	c.privileged = true;
	refused(k, &p, "allow.privileged: true");
	c = kit_sh("main", "true");
	c.unconfined = true;
	refused(k, &p, "allow.unconfined: true");
	c = kit_sh("main", "true");
	c.unmasked = true;
	refused(k, &p, "allow.unmasked: true");
	c = kit_sh("main", "true");
	p.sysctls = LIST("net.ipv4.ip_forward=1");
	refused(k, &p, "forbidden sysctl: \"net.ipv4.ip_forward\" not allowlisted");
	p.sysctls = LIST("kernel/core_pattern=|/bin/sh");
	refused(k, &p, "\"kernel.core_pattern\" is not namespaced");
	/* one that is safe in a pod's own namespace is the host's in the host's */
	p.sysctls = LIST("net.ipv4.tcp_syncookies=0");
	p.host_network = p.host_users = true;
	refused(k, &p, "\"net.ipv4.tcp_syncookies\" not allowed with host net enabled");
	p.host_network = p.host_users = false;
	p.sysctls = LIST("net.ipv4/../../kernel.core_pattern=x");
	refused(k, &p, "is not a sysctl");
}

/* What comes later is no way around what a pod may have. */
static void
renewed(struct kit *k)
{
	struct rt_container at[2] = { kit_sh("main", "echo begun; sleep 1000"),
				      kit_sh("late", "echo too early") };
	struct rt_container full = kit_sh("late", "echo $X"), more;
	struct rt_pod p = kit_pod("a", at, 2);
	struct rt_config none = kit_config(k);
	struct error *e2 = NULL;
	char *out;

	rt_close(k->rt);
	none.allow = (struct rt_allow){ 0 };
	OK(rt_open(&none, &k->rt, e));
	at[0].restart = RT_ALWAYS;
	at[1].hold = true;
	kit_start(k, &p);
	KIT_UNTIL(k, kit_see(k, "a", 0)->state == RT_RUNNING);
	MUST(kit_see(k, "a", 1)->held);
	more = full;
	more.privileged = true;
	MUST(rt_container_renew(k->rt, "a", &more, &e2) < 0);
	HAS(error_text(e2), "allow.privileged: true");
	error_free(&e2);
	MUST(kit_see(k, "a", 1)->state == RT_WAITING);
	full.env = LIST("X=late");
	full.role = RT_EPHEMERAL; /* neither can it become another kind of container */
	full.restart = RT_ALWAYS;
	OK(rt_container_renew(k->rt, "a", &full, e));
	KIT_UNTIL(k, kit_see(k, "a", 1)->state == RT_TERMINATED);
	out = kit_output(k, &p, "late", 0);
	IS(out, "late\n");
	free(out);
	MUST(kit_see(k, "a", 1)->restarts == 0);
	/* of one that runs its rights are not asked for any more, nor are they others */
	more = kit_sh("main", "grep CapEff /proc/self/status; sleep 1000");
	more.privileged = more.unconfined = true;
	more.cap_add = LIST("ALL");
	OK(rt_container_renew(k->rt, "a", &more, e));
	OK(rt_container_restart(k->rt, "a", "main", 0, e));
	KIT_UNTIL(k,
		  kit_see(k, "a", 0)->restarts == 1 && kit_see(k, "a", 0)->state == RT_RUNNING);
	KIT_UNTIL(k, strchr(out = kit_output(k, &p, "main", 1), '\n') || (free(out), 0));
	HAS(out, "00000000a80425fb");
	free(out);
	kit_stop(k, "a");
}

/* What cannot be read again is not written: the next life would end the pod. */
static void
renewed_too_large(struct kit *k)
{
	enum { MANY = 70000 };
	struct rt_container at[2] = { kit_sh("main", "echo begun; sleep 1000"),
				      kit_sh("late", "echo x") };
	struct rt_container more = kit_sh("late", "echo x");
	struct rt_pod p = kit_pod("a", at, 2);
	const char **env = xcalloc(MANY + 1, sizeof(*env));
	struct error *why = NULL;

	for (int i = 0; i < MANY; i++)
		env[i] = "X=1";
	at[1].hold = true;
	kit_start(k, &p);
	KIT_UNTIL(k, kit_see(k, "a", 0)->state == RT_RUNNING);
	more.env = env;
	MUST(rt_container_renew(k->rt, "a", &more, &why) < 0);
	error_free(&why);
	more.env = NULL;
	more.hold = true; /* still something is missing */
	OK(rt_container_renew(k->rt, "a", &more, e));
	rt_close(k->rt);
	kit_open(k);
	MUST(kit_see(k, "a", 0)->state == RT_RUNNING);
	MUST(kit_see(k, "a", 1)->held);
	kit_stop(k, "a");
	free(env);
}

static void
sysctls(struct kit *k)
{
	struct rt_container c =
	    kit_sh("main", "cat /proc/sys/net/ipv4/tcp_fin_timeout "
			   "/proc/sys/net/ipv4/ip_forward /proc/sys/kernel/shm_rmid_forced");
	struct rt_pod p = kit_pod("a", &c, 1);
	struct buf host = kit_file("/proc/sys/net/ipv4/tcp_fin_timeout");
	char *out;

	HAS_NOT(host.at, "17");
	kit_allow_all(k);
	p.sysctls = LIST("net.ipv4.tcp_fin_timeout=17", "net/ipv4/ip_forward=1",
			 "kernel.shm_rmid_forced=1");
	out = kit_run(k, &p);
	IS(out, "17\n1\n1\n");
	free(out);
	p.uid = p.name = "b";
	p.sysctls = LIST("net.ipv4.tcp_fin_timeout=long");
	refused(k, &p, "set the sysctl net/ipv4/tcp_fin_timeout to \"long\": Invalid argument");
}

static void
privileged(struct kit *k)
{
	struct rt_container c = kit_sh(
	    "main", "grep -E 'CapEff|Seccomp:|NoNew' /proc/self/status; ls /dev; "
		    "touch /proc/sys/kernel/hostname && mount -t tmpfs t /tmp && echo mounted; "
		    "mount | grep -c 'on /proc/'");
	struct rt_pod p = kit_pod("a", &c, 1);
	char *out;

	kit_allow_all(k);
	c.privileged = c.allow_privilege_escalation = true;
	p.host_users = true;
	out = kit_run(k, &p);
	HAS_NOT(out, "a80425fb");
	HAS(out, "NoNewPrivs:\t0\nSeccomp:\t0");
	HAS(out, "\nloop-control\n");
	HAS(out, "\nmounted\n0\n");
	free(out);
}

static void
unmasked(struct kit *k)
{
	struct rt_container c =
	    kit_sh("main", "mount | grep -c 'on /proc/'; mount | grep -c 'on /sys/'");
	char *out;

	kit_allow_all(k);
	c.unmasked = true;
	out = kit_out_of(k, "a", c);
	HAS(out, "0\n");
	HAS_NOT(out, "0\n0\n"); /* procMount is about /proc alone */
	free(out);
}

static void
profile_write(struct kit *k, const char *name, const char *text)
{
	char path[512];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", k->dir, name);
	f = fopen(path, "w");
	MUST(f);
	fputs(text, f);
	fclose(f);
}

static void
profiles(struct kit *k)
{
	struct rt_container c = kit_sh("main", "mkdir /tmp/x; echo then $?; chroot / true");
	struct rt_pod p = kit_pod("b", &c, 1);
	char *out;

	kit_allow_all(k);
	profile_write(k, "no-mkdir.json",
		      "{\"defaultAction\": \"SCMP_ACT_ALLOW\", \"architectures\": "
		      "[\"SCMP_ARCH_X86_64\"], \"syscalls\": ["
		      "{\"names\": [\"mkdir\", \"mkdirat\"], \"action\": \"SCMP_ACT_ERRNO\", "
		      "\"errnoRet\": 13},"
		      "{\"names\": [\"chroot\"], \"action\": \"SCMP_ACT_ERRNO\", "
		      "\"excludes\": {\"caps\": [\"CAP_SYS_CHROOT\"]}}]}");
	profile_write(k, "torn.json", "{\"defaultAction\": ");
	c.seccomp_profile = "no-mkdir.json";
	out = kit_out_of(k, "a", c);
	HAS(out, "Permission denied");
	HAS(out, "then 1\n");
	HAS_NOT(out, "chroot");
	free(out);
	c.seccomp_profile = "torn.json";
	kit_start(k, &p);
	KIT_UNTIL(k, kit_see(k, "b", 0)->state == RT_WAITING && kit_see(k, "b", 0)->message);
	HAS(kit_see(k, "b", 0)->message, "seccomp profile torn.json: line 1: ");
	c.seccomp_profile = "../torn.json";
	p.uid = p.name = "c";
	refused(k, &p, "empty, absolute or has \"..\"");
	c.seccomp_profile = "none.json";
	p.uid = p.name = "d";
	kit_start(k, &p);
	KIT_UNTIL(k, kit_see(k, "d", 0)->state == RT_WAITING && kit_see(k, "d", 0)->message);
	HAS(kit_see(k, "d", 0)->message, "No such file");
}

static uint32_t
base_of(struct kit *k, const char *uid)
{
	char path[64];
	struct buf map;
	unsigned base = 0;

	snprintf(path, sizeof(path), "/proc/%d/uid_map", (int)kit_see(k, uid, 0)->pid);
	map = kit_file(path);
	if (!map.len || sscanf(map.at, " 0 %u 65536", &base) != 1)
		DIE("%s: %s", path, map.len ? map.at : "nothing");
	buf_done(&map);
	return base;
}

static void
user_namespace(struct kit *k)
{
	struct rt_mount m = { .volume = "v", .path = "/new/v" };
	struct rt_volume v = { .name = "v", .type = RT_EMPTY };
	struct rt_container c = kit_sh(
	    "main", "id -u; id -g; stat -c '%u %g %n' / /bin /etc/passwd /plain.txt /etc/hosts "
		    "/dev /dev/shm /new /new/v /tmp /proc/1 /dev/termination-log; "
		    "touch /tmp/mine /new/v/mine; mkdir /etc/more; chown 1234:2345 /plain.txt; "
		    "stat -c '%u %n' /tmp/mine /new/v/mine /plain.txt; "
		    "ip link set lo mtu 1400 && echo net; hostname other && echo uts; "
		    "exec sleep 1000");
	struct rt_pod p = kit_pod("a", &c, 1);
	char *out, path[512];
	struct stat st;
	uint32_t base;

	kit_allow_all(k);
	c.cap_add = LIST("NET_ADMIN", "SYS_ADMIN");
	c.unconfined = true;
	c.mounts = &m;
	c.nmounts = 1;
	c.termination_message_path = "/dev/termination-log";
	p.volumes = &v;
	p.nvolumes = 1;
	kit_start(k, &p);
	KIT_UNTIL(k, strstr(out = kit_output(k, &p, "main", 0), "uts\n"));
	HAS(out, "0\n0\n0 0 /\n0 0 /bin\n0 0 /etc/passwd\n0 0 /plain.txt\n0 0 /etc/hosts\n"
		 "0 0 /dev\n0 0 /dev/shm\n0 0 /new\n0 0 /new/v\n0 0 /tmp\n"
		 "0 0 /proc/1\n0 0 /dev/termination-log\n"
		 "0 /tmp/mine\n0 /new/v/mine\n1234 /plain.txt\nnet\nuts\n");
	base = base_of(k, "a");
	MUST(base >= 1879048192 && base % 65536 == 0);
	/* the host's view: what it wrote over its image is its own, its volume as it says */
	snprintf(path, sizeof(path), "%s/pods/a/main.0/upper/tmp/mine", k->state);
	MUST(stat(path, &st) == 0);
	EQ(st.st_uid, base);
	snprintf(path, sizeof(path), "%s/pods/a/main.0/upper/plain.txt", k->state);
	MUST(stat(path, &st) == 0);
	EQ(st.st_uid, base + 1234);
	snprintf(path, sizeof(path), "/proc/%d", (int)kit_see(k, "a", 0)->pid);
	MUST(stat(path, &st) == 0);
	EQ(st.st_uid, base);
}

/* Its capabilities are over its own namespaces and nothing else. */
static void
caps_inside(struct kit *k)
{
	struct rt_container c = kit_sh(
	    "main",
	    "mount -t tmpfs t /tmp && echo own mount; umount /proc/keys 2>/dev/null && echo "
	    "unmasked; mount -o remount,rw /proc/sys 2>/dev/null && echo rw; "
	    "echo x >/proc/sys/kernel/core_pattern && echo core; "
	    "mount -t ext4 /dev/vda /tmp 2>/dev/null && echo disk; "
	    "mknod /tmp/d b 254 0 2>/dev/null && echo node; "
	    "date -s 2001-01-01 >/dev/null 2>&1; echo end");
	char *out;

	kit_allow_all(k);
	c.cap_add = LIST("ALL");
	c.unconfined = c.allow_privilege_escalation = true;
	out = kit_out_of(k, "a", c);
	HAS(out, "own mount\n");
	HAS(out, "end\n");
	MUST(time(NULL) > 1700000000);
	for (const char **bad =
		 (const char *[]){ "unmasked", "rw\n", "core\n", "disk", "node", NULL };
	     *bad; bad++)
		HAS_NOT(out, *bad);
	free(out);
}

static void
own_ranges(struct kit *k)
{
	struct rt_container c = kit_sh("main", "exec sleep 1000");
	struct rt_pod p = kit_pod("a", &c, 1), q = kit_pod("b", &c, 1), r = kit_pod("c", &c, 1);
	uint32_t a, b;
	struct rt_config cfg = kit_config(k);

	kit_start(k, &p);
	kit_start(k, &q);
	KIT_UNTIL(k, kit_see(k, "a", 0)->pid && kit_see(k, "b", 0)->pid);
	a = base_of(k, "a"), b = base_of(k, "b");
	MUST(a != b);
	/* found again by another life of ours, which has two ranges left to give */
	rt_close(k->rt);
	cfg.user_ranges = 3;
	OK(rt_open(&cfg, &k->rt, e));
	KIT_UNTIL(k, kit_see(k, "a", 0)->pid);
	EQ(base_of(k, "a"), a);
	kit_start(k, &r);
	KIT_UNTIL(k, kit_see(k, "c", 0)->pid);
	MUST(base_of(k, "c") != a && base_of(k, "c") != b);
	p.uid = p.name = "d";
	refused(k, &p, "all 3 ranges of user ids are in use");
	KIT_UNTIL(k, !rt_pod_status(k->rt, "d") ||
			 rt_pod_status(k->rt, "d")->state == RT_POD_GONE);
	kit_stop(k, "b");
	p.uid = p.name = "e";
	kit_start(k, &p);
	KIT_UNTIL(k, kit_see(k, "e", 0)->pid);
	EQ(base_of(k, "e"), b);
	/* a restart of a container keeps it */
	OK(rt_container_restart(k->rt, "a", "main", 0, e));
	KIT_UNTIL(k, kit_see(k, "a", 0)->state == RT_TERMINATED);
}

static void
too_large_ids(struct kit *k)
{
	struct rt_container c = kit_sh("main", "id -u");
	struct rt_pod p = kit_pod("a", &c, 1);
	char *out;

	c.user = "70000";
	kit_start(k, &p);
	KIT_UNTIL(k, kit_see(k, "a", 0)->state == RT_TERMINATED);
	HAS(kit_see(k, "a", 0)->now.message, "a pod's own ids are 0 to 65535");
	p.uid = p.name = "b";
	p.host_users = true;
	refused(k, &p, "allow.hostUsers: true");
	kit_allow_all(k);
	out = kit_run(k, &p);
	IS(out, "70000\n");
	free(out);
	/* without a user namespace it can make nodes, and they open nothing */
	c = kit_sh("main", "mknod /tmp/zero c 1 5; head -c 1 /tmp/zero 2>&1; mknod /dev/z c 1 "
			   "5; head -c 1 /dev/z 2>&1; cat /proc/self/uid_map");
	p.uid = p.name = "c";
	out = kit_run(k, &p);
	HAS(out, "/tmp/zero: Permission denied\n");
	HAS(out, "/dev/z: Permission denied\n");
	HAS(out, " 0          0 4294967295\n");
	free(out);
}

static const struct scenario scenarios[] = {
	/* clang-format off */
	{ "groups", groups },
	{ "gates", gates },
	{ "renewed", renewed },
	{ "renewed_too_large", renewed_too_large },
	{ "sysctls", sysctls },
	{ "privileged", privileged },
	{ "unmasked", unmasked },
	{ "profiles", profiles },
	{ "user_namespace", user_namespace },
	{ "caps_inside", caps_inside },
	{ "own_ranges", own_ranges },
	{ "too_large_ids", too_large_ids },
	/* clang-format on */
};

int
main(int argc, char **argv)
{
	return kit_main(argc, argv, scenarios, sizeof(scenarios) / sizeof(*scenarios));
}
