/* volume_drive.c -- a pod's volumes, and attacks on them: volume_drive NAME.
 *
 * The attacker of the race is a process of the host that owns the volume's folder, which is
 * more than any container is: it exchanges directories and links as fast as the kernel lets
 * it, while thousands of containers have their subPaths opened and made.
 */
#include "tests/e2e/runtime_kit.h"
#include <stdlib.h>
#include <sys/syscall.h>

#ifndef RENAME_EXCHANGE
#define RENAME_EXCHANGE 2
#endif

enum { CONTAINERS = 30, PODS = 67 };

static void
swap(int dir, const char *a, const char *b)
{
	syscall(SYS_renameat2, dir, a, dir, b, RENAME_EXCHANGE);
}

/* "end" is a directory or a link to what it must not reach; so is "mid" on the way to
 * mid/end; "made/by/root" is removed again and again, "made" a link at times. */
static void
attack(const char *folder)
{
	int dir = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	for (;;) {
		swap(dir, "end", "end-link");
		swap(dir, "mid", "mid-link");
		unlinkat(dir, "made/by/root", AT_REMOVEDIR);
		unlinkat(dir, "made/by", AT_REMOVEDIR);
		swap(dir, "made", "made-link");
	}
}

static void
lay_out(const char *folder, const char *secret)
{
	cleanup_close int dir = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	MUST(dir >= 0 && mkdirat(dir, "end", 0755) == 0 && mkdirat(dir, "mid", 0755) == 0 &&
	     mkdirat(dir, "mid/end", 0755) == 0 && mkdirat(dir, "made", 0755) == 0);
	MUST(symlinkat(secret, dir, "end-link") == 0);
	MUST(symlinkat(secret, dir, "mid-link") == 0);
	MUST(symlinkat(secret, dir, "made-link") == 0);
	MUST(symlinkat("../../../secret", dir, "up-link") == 0);
}

static void
write_text(const char *dir, const char *name, const char *text)
{
	cleanup_free char *path = NULL;
	FILE *f;

	xasprintf(&path, "%s/%s", dir, name);
	f = fopen(path, "we");
	MUST(f && fputs(text, f) >= 0 && fclose(f) == 0);
}

/* One pod of many containers, each with the three subPaths; how many came up and how many did
 * not. */
static void
starts(struct kit *k, int n, size_t *ret_up, size_t *ret_refused)
{
	const struct rt_volume v = { .name = "v", .type = RT_STORE, .source = "shared" };
	const struct rt_mount m[] = {
		{ .volume = "v", .path = "/s", .sub_path = "end" },
		{ .volume = "v", .path = "/s", .sub_path = "mid/end" },
		{ .volume = "v", .path = "/s", .sub_path = "made/by/root" },
	};
	struct rt_container c[CONTAINERS];
	char names[CONTAINERS][8], uid[16];
	struct rt_pod p;

	for (int i = 0; i < CONTAINERS; i++) {
		snprintf(names[i], sizeof names[i], "c%d", i);
		c[i] = kit_sh(names[i], "cat /s/key /s/end/key 2>/dev/null; echo started");
		c[i].mounts = &m[i % 3];
		c[i].nmounts = 1;
	}
	snprintf(uid, sizeof uid, "p%d", n);
	p = kit_pod(uid, c, CONTAINERS);
	p.volumes = &v;
	p.nvolumes = 1;
	kit_start(k, &p);
	for (size_t i = 0; i < CONTAINERS; i++) {
		cleanup_free char *out = NULL;

		KIT_UNTIL(k, kit_see(k, uid, i)->state == RT_TERMINATED);
		if (!strcmp(kit_see(k, uid, i)->now.reason, "StartError")) {
			++*ret_refused;
			continue;
		}
		out = kit_output(k, &p, names[i], 0);
		if (strstr(out, "top-secret"))
			DIE("container %zu of pod %d reads the host's file", i, n);
		if (strstr(out, "started"))
			++*ret_up;
	}
	kit_stop(k, uid);
}

static void
race(struct kit *k)
{
	cleanup_free char *folder = rt_store_folder(k->rt), *volume = NULL, *secret = NULL,
			  *end = NULL;
	size_t up = 0, refused = 0;
	struct stat st;
	pid_t attacker;

	xasprintf(&secret, "%s/secret", k->dir);
	MUST(mkdir(secret, 0777) == 0);
	write_text(secret, "key", "top-secret\n");
	xasprintf(&end, "%s/end", secret);
	MUST(mkdir(end, 0777) == 0);
	write_text(end, "key", "top-secret\n");
	OK(rt_store_make(k->rt, "shared", e));
	xasprintf(&volume, "%s/shared", folder);
	lay_out(volume, secret);
	attacker = fork();
	if (!attacker)
		attack(volume);
	for (int n = 0; n < PODS; n++)
		starts(k, n, &up, &refused);
	kill(attacker, SIGKILL);
	waitpid(attacker, NULL, 0);
	printf("%zu containers came up, %zu were refused\n", up, refused);
	/* both happened, or nothing was raced for */
	MUST(up > CONTAINERS && refused > CONTAINERS);
	free(end);
	xasprintf(&end, "%s/by", secret);
	MUST(stat(end, &st) < 0); /* nothing was made through the link */
}

static void
volumes(struct kit *k)
{
	const struct rt_file one[] = { { "a.txt", "one", 3, 0644 },
				       { "b.txt", "same", 4, 0600 } };
	const struct rt_file two[] = { { "a.txt", "two", 3, 0644 },
				       { "c.txt", "new", 3, 0644 } };
	const struct rt_volume v[] = {
		{ .name = "conf", .type = RT_FILES, .files = one, .nfiles = 2 },
		{ .name = "empty", .type = RT_EMPTY },
		{ .name = "mem", .type = RT_MEMORY, .size_limit = 65536 }
	};
	const struct rt_mount m[] = {
		{ .volume = "conf", .path = "/conf" },
		{ .volume = "empty", .path = "/data" },
		{ .volume = "mem", .path = "/mem" },
		{ .volume = "conf", .path = "/etc/one.txt", .sub_path = "a.txt" },
		{ .volume = "empty", .path = "/ro", .sub_path = "deep/er", .read_only = true }
	};
	struct rt_container c[] = {
		kit_sh(
		    "w",
		    "cat /conf/a.txt; cat /etc/one.txt; touch /conf/x 2>&1; echo hi > /data/f; "
		    "(head -c 100000 /dev/zero > /mem/big) 2>&1; touch /ro/x 2>&1; echo done; "
		    "until grep -q two /conf/a.txt; do sleep 0.05; done; ls /conf; "
		    "stat -Lc %u:%g:%a /conf/c.txt /mem /dev/shm; exec sleep 100"),
		kit_sh("r", "until [ -s /data/f ]; do sleep 0.05; done; cat /data/f; touch "
			    "/dev/shm/there; exec sleep 100"),
	};
	struct rt_pod p = kit_pod("a", c, 2);
	cleanup_free char *out = NULL;

	c[0].mounts = c[1].mounts = m;
	c[0].nmounts = 5;
	c[1].nmounts = 2;
	p.volumes = v;
	p.nvolumes = 3;
	p.fs_group = 4321;
	kit_start(k, &p);
	KIT_UNTIL(k, (free(out), out = kit_output(k, &p, "w", 0), strstr(out, "done")));
	HAS(out, "oneonetouch: /conf/x: Read-only file system");
	HAS(out, "head: "); /* no space */
	HAS(out, "/ro/x: Read-only file system");
	KIT_UNTIL(k, (free(out), out = kit_output(k, &p, "r", 0), strstr(out, "hi")));
	const struct rt_volume next = {
		.name = "conf", .type = RT_FILES, .files = two, .nfiles = 2
	};
	OK(rt_pod_files(k->rt, "a", &next, 1, e));
	KIT_UNTIL(k, (free(out), out = kit_output(k, &p, "w", 0), strstr(out, ":1777")));
	HAS(out, "a.txt\nc.txt\n0:4321:644\n0:4321:2777\n0:0:1777\n");
	kit_stop(k, "a");
}

static void
subpath_links(struct kit *k)
{
	const struct rt_volume v = { .name = "v", .type = RT_EMPTY };
	const struct rt_mount m[] = { { .volume = "v", .path = "/v" },
				      { .volume = "v", .path = "/s", .sub_path = "l" } };
	struct rt_container c[] = { kit_sh("lays",
					   "ln -s /etc /v/l; echo laid; exec sleep 100"),
				    kit_sh("takes", "ls /s") };
	struct rt_pod p = kit_pod("a", c, 2);

	c[0].mounts = m;
	c[0].nmounts = 1;
	c[1].mounts = m;
	c[1].nmounts = 2;
	c[1].restart = RT_ALWAYS;
	p.volumes = &v;
	p.nvolumes = 1;
	mkdir(k->state, 0755);
	kit_start(k, &p);
	/* the first start may come before the link; one after it never follows it */
	KIT_UNTIL(k,
		  kit_see(k, "a", 1)->last.finished_at || kit_see(k, "a", 1)->now.finished_at);
	cleanup_free char *out = kit_output(k, &p, "takes", 0);
	HAS_NOT(out, "shadow");
}

static const struct scenario scenarios[] = {
	{ "race", race },
	{ "volumes", volumes },
	{ "subpath_links", subpath_links },
};

int
main(int argc, char **argv)
{
	return kit_main(argc, argv, scenarios, sizeof(scenarios) / sizeof(*scenarios));
}
