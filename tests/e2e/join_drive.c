/* join_drive.c -- what kedge does inside of a container, turned against the host by who is
 * there already: how it joins, what it mounts, writes and removes; one a run: join_drive NAME.
 */
#include "tests/e2e/escape_kit.h"
#include <pty.h>

static void
until_printed(struct kit *k, const struct rt_pod *p, const char *container, const char *what)
{
	char *out = NULL;

	KIT_UNTIL(k, (free(out), strstr(out = kit_output(k, p, container, 0), what)));
	free(out);
}

/* ---- who joins ---- */

enum { JOINS = 200, MATES = 20 };

/* CVE-2016-9962: a process that joins a container still holds what the host gave it.  One that
 * may trace anybody looks at each as fast as can be, while commands come in and, as the pod
 * shares its processes, containers start. */
static void
traced(struct kit *k)
{
	char names[MATES][16];
	struct rt_container c[1 + MATES];
	struct rt_pod p = kit_pod("a", c, 1 + MATES);
	cleanup_free char *out = NULL;
	int refused = 0;

	tool_load();
	kit_allow_all(k);
	c[0] = mighty("touch /tmp/looks; exec /tool/escape trace /tmp/enough");
	c[0].post_start = (struct rt_hook){
		.type = RT_HOOK_EXEC,
		.command = LIST("/bin/sh", "-c",
				"until test -e /tmp/looks; do sleep 0.01; done; sleep 0.2")
	};
	c[0].mounts = &tool_mount;
	c[0].nmounts = 1;
	c[0].role = RT_SIDECAR;
	c[0].restart = RT_ALWAYS;
	for (int i = 0; i < MATES; i++) {
		snprintf(names[i], sizeof(names[i]), "mate%d", i);
		c[1 + i] = kit_sh(names[i], i ? "true" : "sleep 1000");
	}
	p.volumes = &tool_volume;
	p.nvolumes = 1;
	p.share_processes = true;
	kit_start(k, &p);
	for (int i = 1; i < MATES; i++)
		KIT_UNTIL(k, kit_see(k, "a", (size_t)i + 1)->state == RT_TERMINATED);
	until_printed(k, &p, "main", "looking");
	for (int i = 0; i < JOINS; i++) {
		OK(rt_exec(k->rt, "a", "main", LIST("/bin/true"), false, (int[]){ -1, -1, -1 },
			   20, 1 + i, e));
		KIT_UNTIL(k, k->exec_id == 1 + i);
		EQ(k->exec_code, 0);
	}
	free(kit_exec_out(k, LIST("/bin/touch", "/tmp/enough"), 20, 1 + JOINS));
	until_printed(k, &p, "main", "refused ");
	out = kit_output(k, &p, "main", 0);
	HAS_NOT(out, "reached");
	MUST(sscanf(strstr(out, "refused "), "refused %d", &refused) == 1);
	printf("%d looks were refused\n", refused);
	MUST(refused > 0); /* it met them while they were not yet the container's */
}

/* CVE-2022-29162: a command that comes in has nothing to pass on, whoever runs it. */
static void
inherited(struct kit *k)
{
	static const char *const users[] = { "0", "web" };

	kit_allow_all(k);
	for (size_t i = 0; i < 2; i++) {
		struct rt_container c = mighty("sleep 1000");
		struct rt_pod p = kit_pod("a", &c, 1);
		cleanup_free char *out = NULL;

		c.user = users[i];
		kit_start(k, &p);
		KIT_UNTIL(k, kit_see(k, "a", 0)->state == RT_RUNNING);
		out = kit_exec_out(k, LIST("/bin/grep", "^Cap", "/proc/self/status"), 20, 1);
		HAS(out, "CapInh:\t0000000000000000");
		HAS(out, "CapAmb:\t0000000000000000");
		if (strcmp(users[i], "0") == 0)
			HAS_NOT(out, "CapEff:\t0000000000000000");
		else
			HAS(out, "CapEff:\t0000000000000000");
		kit_stop(k, "a");
		k->exec_id = 0;
	}
}

/* CVE-2026-30892: what is not a number to its last byte is nobody's number. */
static void
numbers(struct kit *k)
{
	static const char *const bad[] = { "0x",         "0x0",        "12a",
					   "4294967296", "4294967295", "18446744073709551616",
					   "-1",         "+0",         "0 ",
					   " 0",         "0:",         "0:0x",
					   "0:-",        "1.0",        "0:12345a" };

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		struct rt_container c = kit_sh("main", "id -u; id -g");
		cleanup_free char *out = NULL;
		char uid[16];

		snprintf(uid, sizeof(uid), "n%zu", i);
		c.user = bad[i];
		out = kit_out_of(k, uid, c);
		if (*out || strcmp(kit_see(k, uid, 0)->now.reason, "StartError"))
			DIE("user \"%s\": %s, %s", bad[i], kit_see(k, uid, 0)->now.reason, out);
		kit_stop(k, uid);
	}
}

/* ---- what is mounted ---- */

/* CVE-2025-31133, CVE-2025-52565: an image whose devices, terminals and console are links to
 * what would be mounted or written instead. */
static void
nodes(struct kit *k)
{
	static const char *const links[] = { "dev/null",    "/proc/sys/kernel/core_pattern",
					     "dev/console", "/proc/sys/kernel/core_pattern",
					     "dev/pts",     "/proc/sys/kernel",
					     "dev/ptmx",    "/proc/sysrq-trigger",
					     "dev/tty",     "/proc/sysrq-trigger",
					     NULL };
	struct buf before = kit_file("/proc/sys/kernel/core_pattern"), after;
	struct rt_container c = kit_sh(
	    "main", "echo evil >/dev/null; stat -c '%n %F %t:%T' /dev/null /proc/keys "
		    "/proc/timer_list; stat -c '%n %F' /dev/console /dev/pts; stat -c %t "
		    "/dev/console; echo evil >/proc/timer_list; wc -c </proc/timer_list; tty");
	cleanup_free char *out = NULL;

	kit_image(k, "linked", links, &(struct image_config){ 0 });
	c.image = "linked";
	c.tty = true;
	out = kit_out_of(k, "a", c);
	HAS(out, "/dev/null character special file 1:3");
	HAS(out, "/proc/keys character special file 1:3");
	HAS(out, "/proc/timer_list character special file 1:3");
	HAS(out, "/dev/console character special file");
	HAS(out, "/dev/pts directory");
	HAS(out, "\n88"); /* a terminal of devpts: major 136 */
	HAS(out, "\n0");
	after = kit_file("/proc/sys/kernel/core_pattern");
	MUST(before.len == after.len && memcmp(before.at, after.at, after.len) == 0);
	buf_done(&before);
	buf_done(&after);
}

/* CVE-2025-52565, CVE-2025-52881: who is in the container already put links where a command
 * that comes in would look for its terminal, or write its rights. */
static void
led_astray(struct kit *k)
{
	struct rt_container c = mighty(
	    "mkdir -p /fake/self/attr /fake/self/fd /fake/sys/kernel /ends; "
	    "for f in self/oom_score_adj self/attr/exec self/attr/current self/uid_map "
	    "self/gid_map self/setgroups self/loginuid sys/kernel/core_pattern "
	    "sysrq-trigger; do echo -n >/ends/$(echo $f | tr / _); "
	    "ln -s /ends/$(echo $f | tr / _) /fake/$f; done; ln -s self /fake/thread-self; "
	    "i=0; while [ $i -lt 16 ]; do ln -s /ends/sysrq-trigger /fake/self/fd/$i; "
	    "ln -s /ends/sysrq-trigger /ends/$i; i=$((i+1)); done; "
	    "mount --bind /ends /dev/pts && mount --bind /fake /proc && echo ready; "
	    "exec sleep 1000");
	struct rt_pod p = kit_pod("a", &c, 1);
	cleanup_free char *out = NULL;

	kit_allow_all(k);
	c.oom_score_adj = 500;
	kit_start(k, &p);
	until_printed(k, &p, "main", "ready");
	for (int i = 0; i < 20; i++) {
		int master, slave;

		MUST(openpty(&master, &slave, NULL, NULL, NULL) == 0);
		OK(rt_exec(k->rt, "a", "main", LIST("/bin/true"), i % 2,
			   (int[]){ slave, slave, slave }, 20, 1 + i, e));
		close(slave);
		KIT_UNTIL(k, k->exec_id == 1 + i);
		EQ(k->exec_code, 0);
		close(master);
	}
	out = kit_exec_out(k, LIST("/bin/sh", "-c", "cat /ends/*; echo end"), 20, 100);
	IS(out, "end\n"); /* nothing was written at the ends of the links */
}

/* ---- what is removed ---- */

/* CVE-2017-1002102: the removal of a pod's volumes and layers follows no link in them. */
static void
removed(struct kit *k)
{
	static const struct rt_volume v = { .name = "v", .type = RT_EMPTY };
	static const struct rt_mount m = { .volume = "v", .path = "/v" };
	cleanup_free char *script = NULL, *outside = NULL, *marker = NULL;
	struct rt_container c = kit_sh("main", NULL);
	struct rt_pod p = kit_pod("a", &c, 1);
	struct stat st;
	char *out;

	xasprintf(&outside, "%s/outside", k->dir);
	xasprintf(&marker, "%s/marker", outside);
	MUST(mkdir(outside, 0777) == 0);
	close(open(marker, O_CREAT | O_WRONLY | O_CLOEXEC, 0666));
	xasprintf(
	    &script,
	    "for d in /v /tmp /deep; do mkdir -p $d/a/b; ln -s %s $d/link; ln -s "
	    "../../../../../../../..%s $d/a/up; ln -s / $d/a/b/root; ln -s /proc/1/root "
	    "$d/a/b/proc; ln -s .. $d/a/b/back; chmod 0 $d/a/b; done; i=0; while [ $i -lt "
	    "200 ]; do mkdir d; cd d; ln -s %s l; i=$((i+1)); done; echo end",
	    outside, outside, outside);
	c.command = LIST("/bin/sh", "-c", script);
	p.volumes = &v;
	p.nvolumes = 1;
	c.mounts = &m;
	c.nmounts = 1;
	out = kit_run(k, &p);
	HAS(out, "end\n");
	free(out);
	kit_stop(k, "a");
	MUST(stat(marker, &st) == 0 && st.st_nlink == 1);
	free(marker);
	xasprintf(&marker, "%s/pods/a", k->state);
	MUST(stat(marker, &st) < 0); /* and yet all of the pod is gone */
}

static const struct scenario scenarios[] = {
	/* clang-format off */
	{ "traced", traced },
	{ "inherited", inherited },
	{ "numbers", numbers },
	{ "nodes", nodes },
	{ "led_astray", led_astray },
	{ "removed", removed },
	/* clang-format on */
};

int
main(int argc, char **argv)
{
	return kit_main(argc, argv, scenarios, sizeof(scenarios) / sizeof(*scenarios));
}
