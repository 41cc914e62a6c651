/* rt_bench.c -- a pod of kedge's runtime beside the floor and crun.
 *
 * Times are from the verb until the process of the container has exec'ed,
 * network included.  Prints lines of `name value unit`; the floor program beside this
 * one prints its own.  Run it with tests/host.
 */
#include "netproxy/netproxy.h"
#include "tests/e2e/runtime_kit.h"
#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

static double
now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static int
compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static void
say(const char *name, double *took, int n)
{
	qsort(took, (size_t)n, sizeof(*took), compare);
	printf("%s %.3f ms\n%s.p90 %.3f ms\n", name, took[n / 2], name, took[n * 9 / 10]);
}

static uint32_t address = 0x0a2a0002; /* 10.42.0.2 */

static void
begin(struct kit *k, struct np *np, const struct rt_pod *p)
{
	int netns = -1;

	OK(rt_pod_create(k->rt, p, &netns, e));
	OK(np_plug(np, netns, address++, e));
	close(netns);
	OK(rt_pod_run(k->rt, p->uid, e));
}

static bool
runs(struct kit *k, const char *uid)
{
	const struct rt_container_status *c = kit_see(k, uid, 0);

	if (c->state == RT_TERMINATED)
		DIE("pod %s ended: %s", uid, c->now.message);
	return c->state == RT_RUNNING;
}

/* When the process of this run began, as it says itself: its exec is over, as it is when the
 * floor looks at its clock. */
static double
born(struct kit *k, const struct rt_pod *p, int run)
{
	double at = 0;

	for (int i = 0; i < 5000 && at == 0; i++) {
		cleanup_free char *out = kit_output(k, p, p->containers->name, run);

		if (sscanf(out, "born %lf", &at) != 1)
			usleep(1000);
	}
	if (at == 0)
		DIE("pod %s was never born", p->name);
	return at / 1e6;
}

/* The floor's time for one start, taken between two of ours: what else the machine does slows
 * both. */
static struct {
	FILE *out;
	int in;
} floor_;

static void
floor_begin(const char *dir)
{
	int in[2], out[2];

	MUST(pipe2(in, O_CLOEXEC) == 0 && pipe2(out, O_CLOEXEC) == 0);
	if (fork() == 0) {
		cleanup_free char *program = NULL;

		dup2(in[0], 0);
		dup2(out[1], 1);
		xasprintf(&program, "%s/tests/bench/floor",
			  getenv("B") ? getenv("B") : "build");
		execl(program, program, dir, "asked", (char *)NULL);
		_exit(1);
	}
	close(in[0]);
	close(out[1]);
	floor_.in = in[1];
	floor_.out = fdopen(out[0], "re");
}

static double
floor_one(void)
{
	double took;

	if (write(floor_.in, "x", 1) != 1 || fscanf(floor_.out, "%lf", &took) != 1)
		DIE("the floor failed");
	return took;
}

static bool windows; /* each start is printed: who traces the kernel asks what fell into it */

/* `ahead`: in a sandbox that is there already. */
static double
one(struct kit *k, struct np *np, struct rt_pod *p, const char *uid, bool ahead)
{
	double began, ended;
	int netns;

	while (ahead && (netns = rt_ahead(k->rt)) >= 0) {
		np_ahead(np, netns, 1);
		close(netns);
		KIT_UNTIL(k, rt_ahead_ready(k->rt) > 0);
	}
	p->uid = p->name = p->hostname = uid;
	began = now();
	begin(k, np, p);
	while (!runs(k, uid))
		kit_step(k, 1000);
	ended = born(k, p, 0);
	if (windows)
		printf("start %s %.6f %.6f\n", ahead ? "warm" : "cold", began, ended);
	return ended - began;
}

enum { MOST = 200 };

static double
many(struct kit *k, struct np *np, struct rt_pod *p, int n)
{
	static char uids[MOST][16];
	double began = now(), took;

	for (int i = 0; i < n; i++) {
		snprintf(uids[i], sizeof(uids[i]), "of-%d-%d", n, i);
		p->uid = p->name = p->hostname = uids[i];
		begin(k, np, p);
	}
	for (int i = 0; i < n; i++)
		while (!runs(k, uids[i]))
			kit_step(k, 1000);
	took = now() - began;
	for (int i = 0; i < n; i++)
		OK(rt_pod_stop(k->rt, uids[i], 0, e));
	for (int i = 0; i < n; i++)
		KIT_UNTIL(k, !rt_pod_status(k->rt, uids[i]) ||
				 rt_pod_status(k->rt, uids[i])->state == RT_POD_GONE);
	return took;
}

/* Twenty that end at once when asked: from the first word until nothing is left of them. */
static double
stop(struct kit *k, struct np *np, struct rt_pod *p)
{
	struct rt_container c =
	    kit_sh("main", "trap 'exit 0' TERM; echo up; sleep 1000 & wait");
	char uids[20][16];
	double began;
	int gone = 0;

	p->containers = &c;
	for (int i = 0; i < 20; i++) {
		snprintf(uids[i], sizeof(uids[i]), "stop-%d", i);
		p->uid = p->name = p->hostname = uids[i];
		begin(k, np, p);
	}
	for (int i = 0; i < 20; i++)
		while (!runs(k, uids[i]))
			kit_step(k, 1000);
	usleep(300000); /* the traps are set */
	began = now();
	for (int i = 0; i < 20; i++)
		OK(rt_pod_stop(k->rt, uids[i], 30, e));
	while (gone < 20) {
		kit_step(k, 1000);
		gone = 0;
		for (int i = 0; i < 20; i++)
			gone += !rt_pod_status(k->rt, uids[i]) ||
				rt_pod_status(k->rt, uids[i])->state == RT_POD_GONE;
	}
	for (uint32_t i = 1; i <= 20; i++)
		OK(np_forget(np, address - i, e));
	return (now() - began) / 20;
}

/* A container is killed: until it runs again. */
static double
crash(struct kit *k, struct np *np, struct rt_pod *p, const char *uid)
{
	double began;
	pid_t pid;

	one(k, np, p, uid, false);
	pid = kit_see(k, uid, 0)->pid;
	began = now();
	kill(pid, SIGKILL);
	while (kit_see(k, uid, 0)->restarts == 0 || kit_see(k, uid, 0)->state != RT_RUNNING)
		kit_step(k, 1000);
	return born(k, p, 1) - began;
}

/* From the question to the first byte of what runs in the container. */
static double
ask(struct kit *k, const char *uid)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC), out[2];
	double began = now(), took;
	char byte;

	MUST(pipe2(out, O_CLOEXEC) == 0);
	OK(rt_exec(k->rt, uid, "main", LIST("/bin/busybox", "echo", "x"), false,
		   (const int[]){ null, out[1], null }, 10, 1, e));
	close(out[1]);
	MUST(read(out[0], &byte, 1) == 1);
	took = now() - began;
	close(out[0]);
	close(null);
	k->exec_id = 0;
	KIT_UNTIL(k, k->exec_id == 1);
	return took;
}

/* The same by a command: a program that only joins, or crun. */
static double
ask_by(const char *fmt, ...)
{
	cleanup_free char *cmd = NULL;
	double began, took;
	va_list ap;
	FILE *f;

	va_start(ap, fmt);
	xvasprintf(&cmd, fmt, ap);
	va_end(ap);
	began = now();
	f = popen(cmd, "re");
	if (fgetc(f) == EOF)
		DIE("%s: said nothing", cmd);
	took = now() - began;
	pclose(f);
	return took;
}

static double
crun(const char *bundle, int n)
{
	return ask_by("exec crun --root /run/crun-bench run -b %s %s-crun-%d", bundle,
		      getenv("KEDGE_CGROUP"), n);
}

static void
crun_exec(const char *bundle, double *took, int n)
{
	const char *name = getenv("KEDGE_CGROUP");
	cleanup_free char *cmd = NULL;

	xasprintf(&cmd,
		  "cd %s && sed -i 's/\"echo\",\"x\"/\"sleep\",\"1000\"/' config.json && crun "
		  "--root /run/crun-bench run -d -b %s %s-crun-x </dev/null >/dev/null 2>&1",
		  bundle, bundle, name);
	if (system(cmd))
		return;
	for (int i = 0; i < n; i++)
		took[i] = ask_by(
		    "exec crun --root /run/crun-bench exec %s-crun-x /bin/busybox echo x",
		    name);
	say("crun.exec", took, n);
	free(cmd);
	xasprintf(&cmd, "crun --root /run/crun-bench delete -f %s-crun-x", name);
	if (system(cmd))
		DIE("crun delete failed");
}

static bool
crun_bundle(const struct kit *k, const char *bundle)
{
	const struct image *img = image_find(k->images, "box");
	cleanup_free char *cmd = NULL;

	xasprintf(
	    &cmd,
	    "command -v crun >/dev/null && mkdir -p %s && cp -a %s %s/rootfs && mkdir -p "
	    "%s/rootfs/proc "
	    "%s/rootfs/dev %s/rootfs/sys && cd %s && rm -f config.json && crun spec && sed -i "
	    "-e 's/\"terminal\": true/\"terminal\": false/' -e 's/\"sh\"/\"echo\",\"x\"/' "
	    "config.json",
	    bundle, img->layers[0], bundle, bundle, bundle, bundle, bundle);
	return system(cmd) == 0;
}

int
main(int argc, char **argv)
{
	struct np_config nc = { .bridge = "kedge0",
				.pods.net = 0x0a2a0000,
				.pods.bits = 16,
				.svcs.net = 0x0a2b0000,
				.svcs.bits = 16 };
	int n = argc > 1 ? atoi(argv[1]) : 40;
	double *took = xcalloc((size_t)n, sizeof(*took)),
	       *bare = xcalloc((size_t)n, sizeof(*bare)),
	       *low = xcalloc((size_t)n, sizeof(*low));
	struct rt_container c = {
		.name = "main", .image = "box", .restart = RT_NEVER, .command = LIST("/born")
	};
	struct rt_pod p = kit_pod("x", &c, 1);
	struct np *np = NULL;
	cleanup_free char *cmd = NULL, *bundle = NULL, *floor_dir = NULL;
	bool only =
	    argc > 2; /* the single starts: `rt_bench 200 one`, `rt_bench 200 windows` */
	struct kit k;

	windows = only && !strcmp(argv[2], "windows");
	kit_begin(&k);
	xasprintf(&cmd, "cp %s/tests/bench/born.root/born %s/",
		  getenv("B") ? getenv("B") : "build", image_find(k.images, "box")->layers[0]);
	if (system(cmd))
		DIE("there is no program for the pods");
	free(cmd);
	OK(np_open(&nc, &np, e));
	p.hosts = LIST("127.0.0.1 localhost");
	p.resolv = LIST("nameserver 10.43.0.10");
	c.termination_message_path = "/dev/termination-log";
	xasprintf(&bundle, "%s/bundle", k.dir);
	fflush(stdout);
	xasprintf(&floor_dir, "%s/floor", k.dir);
	xasprintf(&cmd, "mkdir -p %s/root && cp -a %s %s/lower", floor_dir,
		  image_find(k.images, "box")->layers[0], floor_dir);
	if (system(cmd))
		DIE("the floor has no image");
	free(cmd);
	xasprintf(&cmd, "exec %s/tests/bench/floor %s", getenv("B") ? getenv("B") : "build",
		  floor_dir);
	if (!only && system(cmd))
		DIE("the floor failed");
	floor_begin(floor_dir);
	for (int i = 0; i < n; i++) {
		char uid[24];

		snprintf(uid, sizeof(uid), "one-%d", i);
		low[i] = floor_one();
		took[i] = one(&k, np, &p, uid, false);
		kit_stop(&k, uid);
		snprintf(uid, sizeof(uid), "warm-%d", i);
		bare[i] = one(&k, np, &p, uid, true);
		kit_stop(&k, uid);
	}
	say("floor.one", low, n);
	say("runtime.one", took, n);
	say("runtime.warm", bare, n);
	if (only)
		goto out;
	printf("runtime.twenty %.3f ms\n", many(&k, np, &p, 20));
	printf("runtime.hundreds %.3f ms\n", many(&k, np, &p, 200));
	c.restart = RT_ALWAYS;
	for (int i = 0; i < n; i++) {
		char uid[24];

		snprintf(uid, sizeof(uid), "crash-%d", i);
		took[i] = crash(&k, np, &p, uid);
		kit_stop(&k, uid);
	}
	say("runtime.crash", took, n);
	one(&k, np, &p, "asked", false);
	for (int i = 0; i < n; i++) {
		took[i] = ask(&k, "asked");
		bare[i] = ask_by("exec %s/tests/bench/floor setns %d /bin/busybox echo x",
				 getenv("B") ? getenv("B") : "build",
				 (int)kit_see(&k, "asked", 0)->pid);
	}
	kit_stop(&k, "asked");
	say("runtime.exec", took, n);
	say("floor.exec", bare, n);
	printf("runtime.stop %.3f ms\n", stop(&k, np, &p));
	/* crun refuses a host that has both kinds of cgroups in sight */
	if (unshare(CLONE_NEWNS) == 0)
		umount2("/sys/fs/cgroup/unified", MNT_DETACH);
	if (crun_bundle(&k, bundle)) {
		for (int i = 0; i < n; i++)
			took[i] = crun(bundle, i);
		say("crun.one", took, n);
		crun_exec(bundle, took, n);
	}
out:
	OK(rt_down(k.rt, e));
	rt_close(k.rt);
	np_close(np);
	OK(np_down(&nc, e));
	return 0;
}
