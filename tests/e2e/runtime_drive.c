/* runtime_drive.c -- how pods and containers live, end and are found again, one scenario a
 * run: runtime_drive NAME.
 */
#include "tests/e2e/runtime_kit.h"
#include <dirent.h>

static void
exit_code(struct kit *k)
{
	cleanup_free char *out = kit_out(k, "a", "echo out; echo err >&2; exit 3");

	IS(out, "out\nerr\n");
	EQ(kit_see(k, "a", 0)->now.exit_code, 3);
	IS(kit_see(k, "a", 0)->now.reason, "Error");
	MUST(kit_see(k, "a", 0)->now.finished_at >= kit_see(k, "a", 0)->now.started_at);
	kit_stop(k, "a");
	MUST(rt_pod_status(k->rt, "a") == NULL ||
	     rt_pod_status(k->rt, "a")->state == RT_POD_GONE);
}

static void
cannot_run(struct kit *k)
{
	struct rt_container c[] = {
		{ .name = "no",
		  .image = "box",
		  .command = LIST("/bin/nonesuch"),
		  .restart = RT_NEVER },
		{ .name = "path",
		  .image = "box",
		  .command = LIST("nonesuch"),
		  .restart = RT_NEVER },
		{ .name = "text",
		  .image = "box",
		  .command = LIST("/plain.txt"),
		  .restart = RT_NEVER },
		{ .name = "user", .image = "box", .user = "nobody-here", .restart = RT_NEVER },
		{ .name = "number", .image = "box", .user = "bad", .restart = RT_NEVER }
	};
	struct rt_pod p = kit_pod("a", c, 5);

	kit_start(k, &p);
	for (size_t i = 0; i < 5; i++)
		KIT_UNTIL(k, kit_see(k, "a", i)->state == RT_TERMINATED);
	IS(kit_see(k, "a", 0)->now.reason, "ContainerCannotRun");
	IS(kit_see(k, "a", 0)->now.message,
	   "container no: exec: \"/bin/nonesuch\": stat /bin/nonesuch: no such file or "
	   "directory");
	EQ(kit_see(k, "a", 0)->now.exit_code, 127);
	EQ(kit_see(k, "a", 1)->now.exit_code, 127);
	IS(kit_see(k, "a", 2)->now.message,
	   "container text: exec: \"/plain.txt\": permission denied");
	EQ(kit_see(k, "a", 2)->now.exit_code, 126);
	IS(kit_see(k, "a", 3)->now.reason, "StartError");
	EQ(kit_see(k, "a", 3)->now.exit_code, 128);
	HAS(kit_see(k, "a", 3)->now.message, "find the user nobody-here");
	HAS(kit_see(k, "a", 4)->now.message, "find the user bad");
}

static void
no_image(struct kit *k)
{
	struct rt_container c = { .name = "main", .image = "later", .restart = RT_ALWAYS };
	struct rt_pod p = kit_pod("a", &c, 1);

	kit_start(k, &p);
	EQ(kit_see(k, "a", 0)->state, RT_WAITING);
	IS(kit_see(k, "a", 0)->reason, "ErrImagePull");
	MUST(kit_see(k, "a", 0)->lacks_image);
	HAS(kit_see(k, "a", 0)->message, "image \"later\" is not on this host");
	kit_image(k, "later", NULL, &(struct image_config){ 0 });
	OK(rt_pod_run(k->rt, "a", e));
	IS(kit_see(k, "a", 0)->reason, "CreateContainerError");
	MUST(!kit_see(k, "a", 0)->lacks_image);
	HAS(kit_see(k, "a", 0)->message, "no command specified");
	kit_image(k, "later", NULL, &(struct image_config){ .cmd = LIST("/bin/sleep", "100") });
	OK(rt_pod_run(k->rt, "a", e));
	KIT_UNTIL(k, kit_see(k, "a", 0)->state == RT_RUNNING);
	MUST(strncmp(kit_see(k, "a", 0)->image_id, "sha256:", 7) == 0);
}

/* What it prints in its N-th run. */
static void
prints(struct kit *k, const struct rt_pod *p, int run, const char *words)
{
	char *out;

	KIT_UNTIL(k, kit_see(k, "a", 0)->restarts == run &&
			 kit_see(k, "a", 0)->state == RT_RUNNING);
	KIT_UNTIL(k, strchr(out = kit_output(k, p, "main", run), '\n') || (free(out), 0));
	IS(out, words);
	free(out);
}

static void
renew(struct kit *k)
{
	struct rt_container c = { .name = "main",
				  .image = "leaves",
				  .env = LIST("X=one"),
				  .env_version = "1",
				  .restart = RT_ALWAYS };
	struct rt_pod p = kit_pod("a", &c, 1);

	kit_image(
	    k, "leaves", NULL,
	    &(struct image_config){ .cmd = LIST("/bin/sh", "-c", "echo $X; sleep 1000") });
	kit_start(k, &p);
	prints(k, &p, 0, "one\n");
	IS(kit_see(k, "a", 0)->env_version, "1");
	c.env = LIST("X=two");
	c.env_version = "2";
	OK(rt_container_renew(k->rt, "a", &c, e));
	IS(kit_see(k, "a", 0)->env_version, "2");
	OK(rt_container_restart(k->rt, "a", "main", 0, e));
	prints(k, &p, 1, "two\n");
	/* none to come, and told so to who comes after us */
	c.hold = true;
	OK(rt_container_renew(k->rt, "a", &c, e));
	MUST(kit_see(k, "a", 0)->state == RT_RUNNING && !kit_see(k, "a", 0)->held);
	rt_close(k->rt);
	kit_open(k);
	OK(rt_container_restart(k->rt, "a", "main", 0, e));
	KIT_UNTIL(k, kit_see(k, "a", 0)->state == RT_WAITING);
	MUST(kit_see(k, "a", 0)->held);
	IS(kit_see(k, "a", 0)->reason, "CreateContainerConfigError");
	EQ(kit_see(k, "a", 0)->restarts, 1);
	EQ(kit_see(k, "a", 0)->last.exit_code, 137);
	/* its image has another name by now, or none: it goes on as it was */
	OK(image_remove(k->images, "leaves", e));
	c.hold = false;
	c.env = LIST("X=three");
	c.env_version = "3";
	OK(rt_container_renew(k->rt, "a", &c, e));
	IS(kit_see(k, "a", 0)->env_version, "3");
	MUST(!kit_see(k, "a", 0)->held);
	IS(kit_see(k, "a", 0)->reason, "CrashLoopBackOff");
	prints(k, &p, 2, "two\n");
	kit_stop(k, "a");
}

/* What could not be told of whole changes nothing, of what it was told before either. */
static void
renew_fails(struct kit *k)
{
	enum { MANY = 70000 };
	const char **env = xcalloc(MANY + 1, sizeof(*env));
	struct rt_container c = { .name = "main",
				  .image = "fails",
				  .env = LIST("X=one"),
				  .env_version = "1",
				  .restart = RT_ALWAYS };
	struct rt_pod p = kit_pod("a", &c, 1);
	struct error *why = NULL;

	for (int i = 0; i < MANY; i++)
		env[i] = "X=many";
	kit_image(
	    k, "fails", NULL,
	    &(struct image_config){ .cmd = LIST("/bin/sh", "-c", "echo $X; sleep 1000") });
	kit_start(k, &p);
	prints(k, &p, 0, "one\n");
	/* more than can be read again: the spec on disk is not changed */
	c.env = env;
	c.env_version = "many";
	MUST(rt_container_renew(k->rt, "a", &c, &why) < 0);
	error_free(&why);
	OK(rt_container_restart(k->rt, "a", "main", 0, e));
	prints(k, &p, 1, "one\n");
	c.env = LIST("X=two");
	c.env_version = "2";
	OK(rt_container_renew(k->rt, "a", &c, e));
	c.env = env;
	c.env_version = "many";
	MUST(rt_container_renew(k->rt, "a", &c, &why) < 0);
	error_free(&why);
	OK(rt_container_restart(k->rt, "a", "main", 0, e));
	KIT_UNTIL(k, kit_see(k, "a", 0)->state == RT_WAITING); /* for 10 seconds */
	/* told of three, and then its image has no name: it keeps what it has */
	c.env = LIST("X=three");
	c.env_version = "3";
	OK(rt_container_renew(k->rt, "a", &c, e));
	OK(image_remove(k->images, "fails", e));
	c.env = LIST("X=four");
	c.env_version = "4";
	OK(rt_container_renew(k->rt, "a", &c, e));
	IS(kit_see(k, "a", 0)->env_version, "4");
	prints(k, &p, 2, "one\n");
	kit_stop(k, "a");
	free(env);
}

static void
words(struct kit *k)
{
	struct rt_container c[] = {
		{ .name = "both", .image = "ent", .restart = RT_NEVER },
		{ .name = "args", .image = "ent", .args = LIST("A"), .restart = RT_NEVER },
		{ .name = "command",
		  .image = "ent",
		  .command = LIST("echo", "C"),
		  .restart = RT_NEVER },
		{ .name = "env",
		  .image = "ent",
		  .command = LIST("sh", "-c", "echo $X $Y $HOSTNAME $HOME; pwd"),
		  .env = LIST("X=mine"),
		  .working_dir = "/made/here",
		  .restart = RT_NEVER },
		{ .name = "named",
		  .image = "named",
		  .command = LIST("env"),
		  .restart = RT_NEVER },
	};
	struct rt_pod p = kit_pod("a", c, 5);
	const char *name;
	char *out;

	kit_image(k, "named", NULL,
		  &(struct image_config){ .env = LIST("HOSTNAME=its", "PATH=/bin") });

	kit_image(k, "ent", NULL,
		  &(struct image_config){ .entrypoint = LIST("/bin/echo", "E"),
					  .cmd = LIST("D"),
					  .env = LIST("X=its", "Y=its") });
	kit_start(k, &p);
	for (size_t i = 0; i < 5; i++)
		KIT_UNTIL(k, kit_see(k, "a", i)->state == RT_TERMINATED);
	IS(out = kit_output(k, &p, "both", 0), "E D\n");
	free(out);
	IS(out = kit_output(k, &p, "args", 0), "E A\n");
	free(out);
	IS(out = kit_output(k, &p, "command", 0), "C\n");
	free(out);
	IS(out = kit_output(k, &p, "env", 0), "mine its a /root\n/made/here\n");
	free(out);
	out = kit_output(k, &p, "named", 0);
	HAS(out, "HOSTNAME=its\n");
	name = strstr(out, "HOSTNAME=") + 1;
	MUST(!strstr(name, "HOSTNAME="));
	free(out);
}

static void
stop(struct kit *k)
{
	struct rt_container c[] = {
		kit_sh("polite", "trap 'exit 7' TERM; echo up; while :; do sleep 0.05; done"),
		kit_sh("stubborn", "trap '' TERM; echo up; while :; do sleep 0.05; done")
	};
	struct rt_pod p = kit_pod("a", c, 2);
	int64_t began;
	int polite = -1, stubborn = -1;

	p.grace = 1;
	kit_start(k, &p);
	for (size_t i = 0; i < 2; i++) {
		cleanup_free char *out = NULL;

		KIT_UNTIL(k, (free(out), out = kit_output(k, &p, c[i].name, 0), *out));
	}
	began = kit_now();
	k->gone = false;
	OK(rt_pod_stop(k->rt, "a", -1, e));
	while (!k->gone && kit_now() < began + 10000) {
		kit_step(k, 100);
		if (!k->gone && kit_see(k, "a", 0)->state == RT_TERMINATED)
			polite = kit_see(k, "a", 0)->now.exit_code;
		if (k->gone)
			break;
	}
	MUST(k->gone);
	stubborn = kit_now() - began >= 900 && kit_now() - began < 4000;
	EQ(polite, 7);
	EQ(stubborn, 1);
}

static void
restart(struct kit *k)
{
	struct rt_container c = kit_sh("main", "echo run; sleep 0.1; exit 1");
	struct rt_pod p = kit_pod("a", &c, 1);
	int64_t began = kit_now();

	c.restart = RT_ALWAYS;
	kit_start(k, &p);
	KIT_UNTIL(k, kit_see(k, "a", 0)->restarts == 1); /* the first one at once */
	MUST(kit_now() - began < 1500);
	KIT_UNTIL(k, strcmp(kit_see(k, "a", 0)->reason, "CrashLoopBackOff") == 0);
	IS(kit_see(k, "a", 0)->message,
	   "back-off 10s restarting failed container=main pod=a_default(a)");
	EQ(kit_see(k, "a", 0)->last.exit_code, 1);
	EQ(kit_see(k, "a", 0)->restarts, 1);
	MUST(kit_see(k, "a", 0)->backoff_until - time(NULL) * 1000 > 7000);
	KIT_UNTIL(k, kit_see(k, "a", 0)->restarts == 2);
	MUST(kit_now() - began >= 10000);
	KIT_UNTIL(k, strcmp(kit_see(k, "a", 0)->reason, "CrashLoopBackOff") == 0);
	HAS(kit_see(k, "a", 0)->message, "back-off 20s ");
}

static void
policies(struct kit *k)
{
	struct rt_container c[] = { kit_sh("ok", "exit 0"), kit_sh("bad", "exit 2"),
				    kit_sh("never", "exit 2") };
	struct rt_pod p = kit_pod("a", c, 3);

	c[0].restart = c[1].restart = RT_ON_FAILURE;
	kit_start(k, &p);
	KIT_UNTIL(k, kit_see(k, "a", 1)->restarts == 1);
	KIT_UNTIL(k, kit_see(k, "a", 0)->state == RT_TERMINATED);
	IS(kit_see(k, "a", 0)->now.reason, "Completed");
	EQ(kit_see(k, "a", 0)->restarts, 0);
	KIT_UNTIL(k, kit_see(k, "a", 2)->state == RT_TERMINATED);
	EQ(kit_see(k, "a", 2)->restarts, 0);
	EQ(kit_see(k, "a", 2)->now.exit_code, 2);
}

static void
probe_restart(struct kit *k)
{
	struct rt_container c = kit_sh("main", "echo up; exec sleep 100");
	struct rt_pod p = kit_pod("a", &c, 1);
	pid_t before;

	c.restart = RT_ALWAYS;
	kit_start(k, &p);
	KIT_UNTIL(k, kit_see(k, "a", 0)->pid > 0);
	before = kit_see(k, "a", 0)->pid;
	OK(rt_container_restart(k->rt, "a", "main", 0, e));
	KIT_UNTIL(k, kit_see(k, "a", 0)->restarts == 1 && kit_see(k, "a", 0)->pid > 0);
	MUST(kit_see(k, "a", 0)->pid != before);
	EQ(kit_see(k, "a", 0)->last.exit_code, 137);
}

static pid_t
other_life(struct kit *k, const struct rt_pod *pods, size_t n, const char *until)
{
	pid_t pid;

	rt_close(k->rt);
	k->rt = NULL;
	pid = fork();
	if (pid == 0) {
		kit_open(k);
		for (size_t i = 0; i < n; i++)
			kit_start(k, &pods[i]);
		for (;;)
			kit_step(k, 100);
	}
	for (int i = 0; i < 200 && access(until, F_OK) < 0; i++)
		usleep(50000);
	MUST(access(until, F_OK) == 0);
	usleep(300000); /* that was its first container: the others are still being begun */
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	return pid;
}

static void
adopt(struct kit *k)
{
	struct rt_container c[] = {
		kit_sh("serves", "echo one > /v/up; while :; do echo line; sleep 0.1; done"),
		kit_sh("ends", "sleep 1; echo bye; exit 5"),
		kit_sh("crashes", "sleep 1; exit 6")
	};
	struct rt_volume v = { .name = "v", .type = RT_EMPTY };
	struct rt_mount m = { .volume = "v", .path = "/v" };
	struct rt_pod p = kit_pod("a", c, 3);
	cleanup_free char *up = NULL, *before = NULL, *after = NULL;
	char stat[64];
	pid_t pid;

	c[0].mounts = &m;
	c[0].nmounts = 1;
	c[0].restart = c[2].restart = RT_ALWAYS;
	p.volumes = &v;
	p.nvolumes = 1;
	xasprintf(&up, "%s/pods/a/.volumes/v/up", k->state);
	other_life(k, &p, 1, up);
	before = kit_output(k, &p, "serves", 0);
	sleep(3); /* nobody is there; they end and are restarted */
	after = kit_output(k, &p, "serves", 0);
	MUST(strlen(after) > strlen(before) + 50);
	kit_open(k);
	EQ(rt_pod_status(k->rt, "a")->state, RT_POD_UP);
	EQ(kit_see(k, "a", 0)->state, RT_RUNNING);
	EQ(kit_see(k, "a", 0)->restarts, 0);
	EQ(kit_see(k, "a", 1)->state, RT_TERMINATED);
	EQ(kit_see(k, "a", 1)->now.exit_code, 5);
	MUST(kit_see(k, "a", 2)->restarts >= 1);
	EQ(kit_see(k, "a", 2)->last.exit_code, 6);
	pid = kit_see(k, "a", 0)->pid;
	snprintf(stat, sizeof(stat), "/proc/%d", (int)pid);
	MUST(pid > 0 && access(stat, F_OK) == 0);
	/* and once more, with a pod that is told to stop and nobody to hear of it */
	rt_close(k->rt);
	kit_open(k);
	EQ(kit_see(k, "a", 0)->pid, pid);
	OK(rt_pod_stop(k->rt, "a", 0, e));
	rt_close(k->rt);
	sleep(1);
	kit_open(k);
	KIT_UNTIL(k, k->gone || !rt_pod_status(k->rt, "a"));
}

static void
init_dies(struct kit *k)
{
	struct rt_container c = kit_sh("main", "echo up; exec sleep 100");
	struct rt_pod p = kit_pod("a", &c, 1);
	pid_t pid;
	char path[64];

	c.restart = RT_ALWAYS;
	kit_start(k, &p);
	KIT_UNTIL(k, kit_see(k, "a", 0)->pid > 0);
	pid = kit_see(k, "a", 0)->pid;
	kill(rt_pod_status(k->rt, "a")->init_pid, SIGKILL);
	k->gone = false;
	/* all of it may come in one look */
	KIT_UNTIL(k, k->gone || kit_see(k, "a", 0)->state == RT_TERMINATED);
	if (!k->gone) {
		EQ(kit_see(k, "a", 0)->now.exit_code, 137);
		KIT_UNTIL(k, k->gone);
	}
	snprintf(path, sizeof(path), "/proc/%d", (int)pid);
	MUST(access(path, F_OK) < 0);
}

/* It has no child any more, and has written down how the last one ended: it sleeps. */
static bool
has_nothing_left(pid_t init)
{
	char path[64];
	struct buf children, stat;
	const char *comm_end;
	bool rc;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)init, (int)init);
	children = kit_file(path);
	snprintf(path, sizeof(path), "/proc/%d/stat", (int)init);
	stat = kit_file(path);
	comm_end = strrchr(buf_text(&stat), ')');
	rc = !children.len && comm_end && comm_end[1] && comm_end[2] == 'S';
	buf_done(&children);
	buf_done(&stat);
	return rc;
}

/* While nobody looks both the pod and its kedge-init die. */
static void
init_dies_unseen(struct kit *k)
{
	struct rt_container c = kit_sh("main", "echo x > /v/up; exit 9");
	struct rt_volume v = { .name = "v", .type = RT_EMPTY };
	struct rt_mount m = { .volume = "v", .path = "/v" };
	struct rt_pod p = kit_pod("a", &c, 1);
	cleanup_free char *up = NULL, *sock = NULL;
	struct rt_config cfg;
	pid_t pid;

	c.mounts = &m;
	c.nmounts = 1;
	p.volumes = &v;
	p.nvolumes = 1;
	xasprintf(&up, "%s/pods/a/.volumes/v/up", k->state);
	other_life(k, &p, 1, up);
	kit_open(k);
	pid = rt_pod_status(k->rt, "a")->init_pid;
	rt_close(k->rt);
	for (int64_t until = kit_now() + 15000; !has_nothing_left(pid);) {
		MUST(kit_now() < until);
		usleep(1000);
	}
	kill(pid, SIGKILL);
	usleep(100000);
	cfg = kit_config(k);
	OK(rt_open(&cfg, &k->rt, e));
	EQ(kit_see(k, "a", 0)->state, RT_TERMINATED);
	EQ(kit_see(k, "a", 0)->now.exit_code, 9);
	KIT_UNTIL(k, k->gone);
	xasprintf(&sock, "%s/pods/a", k->run);
	MUST(access(sock, F_OK) < 0);
}

static void
shared(struct kit *k)
{
	struct rt_container c[] = {
		kit_sh("one", "hostname; touch /dev/shm/mark; for n in net ipc uts; do "
			      "readlink /proc/self/ns/$n; done; echo ids; exec sleep 100"),
		kit_sh("two",
		       "until [ -e /dev/shm/mark ]; do sleep 0.05; done; hostname; "
		       "for n in net ipc uts; do readlink /proc/self/ns/$n; done; "
		       "echo ids; ls / | grep -c mark; cat /proc/1/comm; exec sleep 100"),
	};
	struct rt_pod p = kit_pod("a", c, 2);
	cleanup_free char *one = NULL, *two = NULL;

	p.hosts = LIST("127.0.0.1 localhost", "10.0.0.9 a");
	p.resolv = LIST("nameserver 10.43.0.10");
	kit_start(k, &p);
	KIT_UNTIL(k, (free(one), one = kit_output(k, &p, "one", 0), strstr(one, "ids")));
	KIT_UNTIL(k, (free(two), two = kit_output(k, &p, "two", 0), strstr(two, "sh\n")));
	HAS(one, "net:[");
	HAS(one, "uts:[");
	if (strncmp(one, two, (size_t)(strstr(one, "ids") - one)))
		DIE("one says \"%s\", two \"%s\"", one, two);
	MUST(kit_see(k, "a", 0)->pid != kit_see(k, "a", 1)->pid);
}

static void
etc_files(struct kit *k)
{
	struct rt_container c =
	    kit_sh("main", "cat /etc/hosts /etc/resolv.conf /etc/hostname; hostname");
	struct rt_pod p = kit_pod("a", &c, 1);
	cleanup_free char *out = NULL;

	p.hosts = LIST("127.0.0.1 localhost");
	p.resolv = LIST("nameserver 10.43.0.10");
	p.hostname = "web-1";
	out = kit_run(k, &p);
	IS(out, "127.0.0.1 localhost\nnameserver 10.43.0.10\nweb-1\nweb-1\n");
}

static void
old_layers(struct kit *k)
{
	struct rt_container c =
	    kit_sh("main", "echo x > /mine; mkdir -p /a/b/c; exec sleep 100");
	struct rt_pod p = kit_pod("a", &c, 1);
	cleanup_free char *first = NULL, *second = NULL;

	c.restart = RT_ALWAYS;
	xasprintf(&first, "%s/pods/a/main.0/upper", k->state);
	xasprintf(&second, "%s/pods/a/main.1/upper", k->state);
	kit_start(k, &p);
	KIT_UNTIL(k, kit_see(k, "a", 0)->state == RT_RUNNING);
	MUST(access(first, F_OK) == 0);
	OK(rt_container_restart(k->rt, "a", "main", 0, e));
	KIT_UNTIL(k,
		  kit_see(k, "a", 0)->restarts == 1 && kit_see(k, "a", 0)->state == RT_RUNNING);
	KIT_UNTIL(k, access(first, F_OK) < 0);
	MUST(access(second, F_OK) == 0);
}

static void
fresh_layer(struct kit *k)
{
	struct rt_container c =
	    kit_sh("main", "ls /mine 2>/dev/null && echo old; echo x > /mine; exit 1");
	struct rt_pod p = kit_pod("a", &c, 1);
	cleanup_free char *out = NULL;

	c.restart = RT_ALWAYS;
	kit_start(k, &p);
	KIT_UNTIL(k,
		  kit_see(k, "a", 0)->restarts == 1 && kit_see(k, "a", 0)->state == RT_WAITING);
	out = kit_output(k, &p, "main", 1);
	IS(out, "");
}

static int
count_paths(const char *top, const char *word)
{
	char cmd[512];
	int n = 0;
	FILE *f;

	snprintf(cmd, sizeof(cmd), "find %s 2>/dev/null | grep -c '%s'", top, word);
	f = popen(cmd, "r");
	MUST(fscanf(f, "%d", &n) == 1);
	pclose(f);
	return n;
}

static void
down(struct kit *k)
{
	struct rt_container c[] = {
		kit_sh(
		    "x",
		    "mkdir -p /d/e/f && touch /d/e/f/g && chmod 0 /d; echo up; exec sleep 100"),
		kit_sh("y", "exec sleep 100")
	};
	struct rt_volume v = { .name = "m", .type = RT_MEMORY, .size_limit = 65536 };
	struct rt_pod p[8];
	char uids[8][40], other[512];

	/* of somebody who logs to the same folder */
	snprintf(other, sizeof(other), "%s/my_old_backup", k->logs);
	MUST(mkdir(other, 0755) == 0);
	for (int i = 0; i < 8; i++) {
		snprintf(uids[i], sizeof(uids[i]), "5f0c1a7e-0000-4000-8000-00000000000%d", i);
		p[i] = kit_pod(uids[i], c, 2);
		p[i].volumes = &v;
		p[i].nvolumes = 1;
		kit_start(k, &p[i]);
	}
	for (int i = 0; i < 8; i++)
		KIT_UNTIL(k, kit_see(k, uids[i], 1)->state == RT_RUNNING);
	MUST(count_paths("/sys/fs/cgroup", getenv("KEDGE_CGROUP")) > 0);
	OK(rt_down(k->rt, e));
	rt_close(k->rt);
	EQ(count_paths("/sys/fs/cgroup", getenv("KEDGE_CGROUP")), 0);
	EQ(count_paths(k->run, "pods"), 0);
	EQ(count_paths(k->logs, "default_"), 0);
	MUST(rmdir(other) == 0); /* it is still there */
	MUST(count_paths("/proc/mounts", ".") == 1);
	struct buf mounts = kit_file("/proc/self/mounts");
	HAS_NOT(mounts.at, k->run);
	buf_done(&mounts);
	char *state;
	xasprintf(&state, "%s/pods", k->state);
	MUST(access(state, F_OK) < 0);
	free(state);
	kit_open(k);
}

/* The size of a kedge-init is a promise: what one alone adds to the host, in kB; the pages that
 * all share are counted here once, and in the bench by their part. */
static void
memory(struct kit *k)
{
	struct rt_container c =
	    kit_sh("main", "for i in $(seq 1 500); do echo a line of some length for the log; "
			   "done; echo up; exec sleep 100");
	cleanup_free char *out = NULL;
	struct rt_pod p = kit_pod("a", &c, 1);
	char path[64];
	struct buf b;
	int kb = 0;

	kit_start(k, &p);
	KIT_UNTIL(k, (free(out), out = kit_output(k, &p, "main", 0), strstr(out, "up")));
	snprintf(path, sizeof(path), "/proc/%d/smaps_rollup",
		 (int)rt_pod_status(k->rt, "a")->init_pid);
	b = kit_file(path);
	MUST(strstr(b.at, "\nPss:") && sscanf(strstr(b.at, "\nPss:") + 5, "%d", &kb) == 1);
	printf("PSS %d kB\n", kb);
	MUST(kb > 0 && kb <= 150);
	buf_done(&b);
}

static void
refusals(struct kit *k)
{
	struct rt_container c = kit_sh("main", "true");
	static const char *const uids[] = { "..", "a/b", "", "A", "-x", ".hidden", "ahead-1" };
	int netns;

	for (size_t i = 0; i < sizeof(uids) / sizeof(*uids); i++) {
		struct rt_pod p = kit_pod("a", &c, 1);
		struct error *err = NULL;

		p.uid = uids[i];
		MUST(rt_pod_create(k->rt, &p, &netns, &err) < 0);
		EQ(err->why, WHY_INVALID);
		error_free(&err);
	}
}

static int
execs(struct kit *k, const char *script)
{
	static int64_t id = 100;

	OK(rt_exec(k->rt, "a", "main", LIST("sh", "-c", script), false, (int[]){ -1, -1, -1 },
		   0, ++id, e));
	KIT_UNTIL(k, k->exec_id == id);
	return k->exec_code;
}

/* The end of a hook is the end of that one: here of the first, while the second goes on. */
static void
hooks_apart(struct kit *k)
{
	struct rt_container c =
	    kit_sh("main", "trap 'exit 0' TERM; while :; do sleep 0.05; done");
	struct rt_pod p = kit_pod("a", &c, 1);

	c.post_start = (struct rt_hook){
		.type = RT_HOOK_EXEC,
		.command = LIST(
		    "sh", "-c", "until test -e /tmp/go; do sleep 0.05; done; touch /tmp/over")
	};
	c.pre_stop = (struct rt_hook){
		.type = RT_HOOK_EXEC,
		.command = LIST("sh", "-c", "until test -e /tmp/leave; do sleep 0.05; done")
	};
	kit_start(k, &p);
	KIT_UNTIL(k, kit_see(k, "a", 0)->hook == RT_POST_START);
	OK(rt_pod_stop(k->rt, "a", 60, e));
	KIT_UNTIL(k, kit_see(k, "a", 0)->hook == RT_PRE_STOP);
	EQ(execs(k, "touch /tmp/go"), 0);
	KIT_UNTIL(k, execs(k, "test -e /tmp/over") == 0);
	usleep(200000);
	EQ(execs(k, "true"), 0);
	EQ(kit_see(k, "a", 0)->hook, RT_PRE_STOP);
	EQ(kit_see(k, "a", 0)->state, RT_RUNNING);
	k->gone = false;
	EQ(execs(k, "touch /tmp/leave"), 0);
	KIT_UNTIL(k, k->gone);
}

/* With processes that are shared the hook of a run may end after the next run began. */
static void
hooks_of_runs(struct kit *k)
{
	struct rt_container c = kit_sh("main", "exec sleep 100");
	struct rt_pod p = kit_pod("a", &c, 1);

	c.restart = RT_ALWAYS;
	c.post_start =
	    (struct rt_hook){ .type = RT_HOOK_EXEC, .command = LIST("sleep", "100") };
	p.share_processes = true;
	p.grace = 0;
	kit_start(k, &p);
	for (int run = 0; run < 5; run++) {
		KIT_UNTIL(k, kit_see(k, "a", 0)->restarts == run &&
				 kit_see(k, "a", 0)->hook == RT_POST_START);
		usleep(200000);
		kit_step(k, 10);
		EQ(kit_see(k, "a", 0)->restarts, run);
		EQ(kit_see(k, "a", 0)->now.hooks_failed, 0);
		EQ(kit_see(k, "a", 0)->state, RT_RUNNING);
		rtpod_tell_other(rt_find(k->rt, "a", NULL), 0);
	}
}

static const struct scenario scenarios[] = {
	{ "exit_code", exit_code },
	{ "cannot_run", cannot_run },
	{ "no_image", no_image },
	{ "renew", renew },
	{ "renew_fails", renew_fails },
	{ "words", words },
	{ "stop", stop },
	{ "restart", restart },
	{ "policies", policies },
	{ "probe_restart", probe_restart },
	{ "adopt", adopt },
	{ "init_dies", init_dies },
	{ "init_dies_unseen", init_dies_unseen },
	{ "shared", shared },
	{ "etc_files", etc_files },
	{ "old_layers", old_layers },
	{ "fresh_layer", fresh_layer },
	{ "down", down },
	{ "memory", memory },
	{ "refusals", refusals },
	{ "hooks_apart", hooks_apart },
	{ "hooks_of_runs", hooks_of_runs },
};

int
main(int argc, char **argv)
{
	return kit_main(argc, argv, scenarios, sizeof(scenarios) / sizeof(*scenarios));
}
