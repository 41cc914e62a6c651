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
	int netns;

	OK(rt_pod_create(k->rt, p, &netns, e));
	if (np)
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

static double
one(struct kit *k, struct np *np, struct rt_pod *p, const char *uid)
{
	double began = now(), took;

	p->uid = p->name = p->hostname = uid;
	begin(k, np, p);
	while (!runs(k, uid))
		kit_step(k, 1000);
	took = now() - began;
	return took;
}

static double
twenty(struct kit *k, struct np *np, struct rt_pod *p)
{
	char uids[20][16];
	double began = now(), took;

	for (int i = 0; i < 20; i++) {
		snprintf(uids[i], sizeof(uids[i]), "many-%d", i);
		p->uid = p->name = p->hostname = uids[i];
		begin(k, np, p);
	}
	for (int i = 0; i < 20; i++)
		while (!runs(k, uids[i]))
			kit_step(k, 1000);
	took = now() - began;
	for (int i = 0; i < 20; i++)
		kit_stop(k, uids[i]);
	return took;
}

static double
crun(const char *bundle, int n)
{
	cleanup_free char *cmd = NULL;
	double began = now(), took;
	FILE *f;

	xasprintf(&cmd, "exec crun --root /run/crun-bench run -b %s %s-crun-%d", bundle,
		  getenv("KEDGE_CGROUP"), n);
	f = popen(cmd, "re");
	if (fgetc(f) == EOF)
		DIE("crun said nothing");
	took = now() - began;
	pclose(f);
	return took;
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
				.pod_net = 0x0a2a0000,
				.pod_bits = 16,
				.svc_net = 0x0a2b0000,
				.svc_bits = 16 };
	int n = argc > 1 ? atoi(argv[1]) : 40;
	double *took = xcalloc((size_t)n, sizeof(*took));
	struct rt_container c = { .name = "main",
				  .image = "box",
				  .restart = RT_NEVER,
				  .command = LIST("/bin/busybox", "sleep", "1000") };
	struct rt_pod p = kit_pod("x", &c, 1);
	struct np *np = NULL;
	cleanup_free char *cmd = NULL, *bundle = NULL;
	struct kit k;

	p.host_users = getenv("KIT_HOST_USERS"); /* what a user namespace costs: without */
	kit_begin(&k);
	OK(np_open(&nc, &np, e));
	p.hosts = LIST("127.0.0.1 localhost");
	p.resolv = LIST("nameserver 10.43.0.10");
	c.termination_message_path = "/dev/termination-log";
	xasprintf(&bundle, "%s/bundle", k.dir);
	fflush(stdout);
	xasprintf(&cmd,
		  "mkdir -p %s/floor/root && cp -a %s %s/floor/lower && %s/tests/bench/floor "
		  "%s/floor %d",
		  k.dir, image_find(k.images, "box")->layers[0], k.dir,
		  getenv("B") ? getenv("B") : "build", k.dir, n);
	if (system(cmd))
		DIE("the floor failed");
	for (int i = 0; i < n; i++) {
		char uid[16];

		snprintf(uid, sizeof(uid), "one-%d", i);
		took[i] = one(&k, np, &p, uid);
		kit_stop(&k, uid);
	}
	say("runtime.one", took, n);
	printf("runtime.twenty %.3f ms\n", twenty(&k, np, &p));
	/* crun refuses a host that has both kinds of cgroups in sight */
	if (unshare(CLONE_NEWNS) == 0)
		umount2("/sys/fs/cgroup/unified", MNT_DETACH);
	if (crun_bundle(&k, bundle)) {
		for (int i = 0; i < n; i++)
			took[i] = crun(bundle, i);
		say("crun.one", took, n);
	}
	OK(rt_down(k.rt, e));
	rt_close(k.rt);
	np_close(np);
	OK(np_down(&nc, e));
	return 0;
}
