/* runtime_drive.c -- what the runtime promises, one scenario a run: runtime_drive NAME. */
#include "tests/e2e/runtime_kit.h"
#include <dirent.h>
#include <pty.h>
#include <sys/socket.h>

/* A pod of one container that runs this script; what it printed. */
static char *
out_of(struct kit *k, const char *uid, struct rt_container c)
{
	struct rt_pod p = kit_pod(uid, &c, 1);

	return kit_run(k, &p);
}

static char *
sh(struct kit *k, const char *uid, const char *script)
{
	return out_of(k, uid, kit_sh("main", script));
}

#define HAS(text, part)                                          \
	do {                                                     \
		const char *t_ = (text);                         \
		if (!strstr(t_, (part)))                         \
			DIE("\"%s\" is not in: %s", (part), t_); \
	} while (0)
#define HAS_NOT(text, part)                                  \
	do {                                                 \
		const char *t_ = (text);                     \
		if (strstr(t_, (part)))                      \
			DIE("\"%s\" is in: %s", (part), t_); \
	} while (0)

static void
exit_code(struct kit *k)
{
	cleanup_free char *out = sh(k, "a", "echo out; echo err >&2; exit 3");

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
	HAS(kit_see(k, "a", 0)->message, "image \"later\" is not on this host");
	kit_image(k, "later", NULL, &(struct image_config){ 0 });
	OK(rt_pod_run(k->rt, "a", e));
	IS(kit_see(k, "a", 0)->reason, "CreateContainerError");
	HAS(kit_see(k, "a", 0)->message, "no command specified");
	kit_image(k, "later", NULL, &(struct image_config){ .cmd = LIST("/bin/sleep", "100") });
	OK(rt_pod_run(k->rt, "a", e));
	KIT_UNTIL(k, kit_see(k, "a", 0)->state == RT_RUNNING);
	MUST(strncmp(kit_see(k, "a", 0)->image_id, "sha256:", 7) == 0);
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
	};
	struct rt_pod p = kit_pod("a", c, 4);
	char *out;

	kit_image(k, "ent", NULL,
		  &(struct image_config){ .entrypoint = LIST("/bin/echo", "E"),
					  .cmd = LIST("D"),
					  .env = LIST("X=its", "Y=its") });
	kit_start(k, &p);
	for (size_t i = 0; i < 4; i++)
		KIT_UNTIL(k, kit_see(k, "a", i)->state == RT_TERMINATED);
	IS(out = kit_output(k, &p, "both", 0), "E D\n");
	free(out);
	IS(out = kit_output(k, &p, "args", 0), "E A\n");
	free(out);
	IS(out = kit_output(k, &p, "command", 0), "C\n");
	free(out);
	IS(out = kit_output(k, &p, "env", 0), "mine its a /root\n/made/here\n");
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

/* ---- the caller dies ---- */

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
	KIT_UNTIL(k, kit_see(k, "a", 0)->state == RT_TERMINATED);
	EQ(kit_see(k, "a", 0)->now.exit_code, 137);
	if (!k->gone)
		KIT_UNTIL(k, k->gone);
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

/* ---- exec ---- */

static char *
exec_out(struct kit *k, const char *const *argv, int timeout, int64_t id)
{
	int pipe_fds[2];
	struct buf b = { 0 };
	char part[4096];
	ssize_t n;

	MUST(pipe(pipe_fds) == 0);
	OK(rt_exec(k->rt, "a", "main", argv, false, (int[]){ -1, pipe_fds[1], pipe_fds[1] },
		   timeout, id, e));
	close(pipe_fds[1]);
	KIT_UNTIL(k, k->exec_id == id);
	while ((n = read(pipe_fds[0], part, sizeof(part))) > 0)
		buf_add(&b, part, (size_t)n);
	close(pipe_fds[0]);
	return buf_steal(&b);
}

static void
exec(struct kit *k)
{
	struct rt_container c = kit_sh("main", "echo up; exec sleep 100");
	struct rt_pod p = kit_pod("a", &c, 1);
	cleanup_free char *out = NULL;
	int master, slave;
	char text[256] = "";

	c.user = "web";
	c.env = LIST("GREETING=hello");
	kit_start(k, &p);
	KIT_UNTIL(k, kit_see(k, "a", 0)->state == RT_RUNNING);
	out = exec_out(
	    k,
	    LIST("sh", "-c",
		 "id -u; id -g; echo $GREETING; readlink /proc/self/ns/pid > /tmp/x; "
		 "readlink /proc/1/ns/pid | diff - /tmp/x 2>/dev/null; ls /proc/self/fd; "
		 "grep -E 'Seccomp:|NoNewPrivs|CapEff' /proc/self/status; exit 4"),
	    0, 1);
	EQ(k->exec_code, 4);
	HAS(out, "1234\n2345\nhello\n0\n1\n2\n3\n"); /* 3: ls' own */
	HAS(out, "Seccomp:\t2");
	HAS(out, "NoNewPrivs:\t1");
	HAS(out, "CapEff:\t0000000000000000");
	free(out);
	out = exec_out(k, LIST("/bin/nonesuch"), 0, 2);
	EQ(k->exec_code, 127);
	IS(k->exec_error,
	   "exec: \"/bin/nonesuch\": stat /bin/nonesuch: no such file or directory");
	free(out);
	out = exec_out(k, LIST("sleep", "50"), 1, 3);
	EQ(k->exec_code, 137);
	IS(k->exec_error, "command timed out after 1s");
	/* its own process, its own terminal */
	MUST(openpty(&master, &slave, NULL, NULL, NULL) == 0);
	OK(rt_exec(k->rt, "a", "main", LIST("sh", "-c", "sleep 0.3; test -t 0 && stty size"),
		   true, (int[]){ slave, -1, -1 }, 0, 4, e));
	OK(rt_exec_resize(k->rt, 4, 33, 77, e));
	KIT_UNTIL(k, k->exec_id == 4);
	close(slave);
	EQ(k->exec_code, 0);
	MUST(read(master, text, sizeof(text) - 1) > 0);
	HAS(text, "33 77");
	/* the container ends: so does what runs in it */
	OK(rt_exec(k->rt, "a", "main", LIST("sleep", "100"), false, (int[]){ -1, -1, -1 }, 0, 5,
		   e));
	usleep(300000);
	kill(kit_see(k, "a", 0)->pid, SIGKILL);
	KIT_UNTIL(k, k->exec_id == 5);
	EQ(k->exec_code, 137);
	KIT_UNTIL(k, kit_see(k, "a", 0)->state == RT_TERMINATED);
	struct error *err = NULL;
	MUST(rt_exec(k->rt, "a", "main", LIST("true"), false, (int[]){ -1, -1, -1 }, 0, 6,
		     &err) < 0);
	HAS(error_text(err), "not running");
	error_free(&err);
}

/* ---- attach, connect ---- */

/* Reads until `want` has come, or the end. */
static void
expect(struct kit *k, int fd, const char *want)
{
	struct buf b = { 0 };
	int64_t until = kit_now() + 10000;
	char part[4096];
	ssize_t n;

	fcntl(fd, F_SETFL, O_NONBLOCK);
	while (!strstr(buf_text(&b), want)) {
		if (kit_now() > until)
			DIE("\"%s\" never came after \"%s\"", want, buf_text(&b));
		kit_step(k, 20);
		while ((n = read(fd, part, sizeof(part))) > 0)
			buf_add(&b, part, (size_t)n);
		if (n == 0 && !strstr(buf_text(&b), want))
			DIE("ended before \"%s\": \"%s\"", want, buf_text(&b));
	}
	buf_done(&b);
}

static void
attach_to(struct kit *k, const char *container, int64_t id)
{
	OK(rt_attach(k->rt, "a", container, id, e));
	KIT_UNTIL(k, k->lent_id == id);
	EQ(k->nlent, 3);
}

static void
put(int fd, const char *text)
{
	MUST(write(fd, text, strlen(text)) == (ssize_t)strlen(text));
}

static void
lent_close(struct kit *k)
{
	for (int i = 0; i < k->nlent; i++)
		close(k->lent[i]);
	k->nlent = 0;
}

static void
attach(struct kit *k)
{
	struct rt_container c[] = {
		kit_sh("pipe",
		       "while read x; do echo got $x; echo oops $x >&2; done; sleep 100"),
		kit_sh("once", "cat; echo over"),
		kit_sh("term", "while read x; do echo got $x; stty size; done"),
	};
	struct rt_pod p = kit_pod("a", c, 3);
	struct error *err = NULL;
	int ends[3];

	c[0].stdin_open = c[1].stdin_open = c[1].stdin_once = c[2].stdin_open = true;
	c[2].tty = true;
	kit_start(k, &p);
	KIT_UNTIL(k, kit_see(k, "a", 2)->state == RT_RUNNING);
	attach_to(k, "pipe", 1);
	put(k->lent[0], "one\n");
	expect(k, k->lent[1], "got one");
	expect(k, k->lent[2], "oops one");
	/* two at once; the first one's end is not the container's */
	memcpy(ends, k->lent, sizeof(ends));
	attach_to(k, "pipe", 2);
	put(ends[0], "two\n");
	expect(k, ends[1], "got two");
	expect(k, k->lent[1], "got two");
	for (int i = 0; i < 3; i++)
		close(ends[i]);
	KIT_UNTIL(k, k->exec_id == 1);
	put(k->lent[0], "three\n");
	expect(k, k->lent[1], "got three");
	lent_close(k);
	/* the next hand finds the same pipe */
	rt_close(k->rt);
	kit_open(k);
	attach_to(k, "pipe", 3);
	put(k->lent[0], "four\n");
	expect(k, k->lent[1], "got four");
	lent_close(k);
	/* stdinOnce: whoever had it takes it along */
	attach_to(k, "once", 4);
	put(k->lent[0], "only\n");
	expect(k, k->lent[1], "only");
	close(k->lent[0]);
	expect(k, k->lent[1], "over");
	KIT_UNTIL(k, k->exec_id == 4);
	EQ(k->exec_code, 0);
	/* a terminal */
	attach_to(k, "term", 5);
	OK(rt_exec_resize(k->rt, 5, 33, 77, e));
	put(k->lent[0], "five\n");
	expect(k, k->lent[1], "got five\r\n33 77");
	lent_close(k);
	MUST(rt_attach(k->rt, "a", "once", 6, &err) < 0);
	HAS(error_text(err), "not running");
	error_free(&err);
}

/* Who does not read stops nobody. */
static void
slow(struct kit *k)
{
	struct rt_container c =
	    kit_sh("main", "read x; yes | head -c 3000000; echo; echo done; "
			   "read x; echo last");
	struct rt_pod p = kit_pod("a", &c, 1);
	int mute[3];

	c.stdin_open = true;
	kit_start(k, &p);
	KIT_UNTIL(k, kit_see(k, "a", 0)->state == RT_RUNNING);
	attach_to(k, "main", 1);
	memcpy(mute, k->lent, sizeof(mute));
	put(k->lent[0], "go\n");
	attach_to(k, "main", 2);
	expect(k, k->lent[1], "done\n");
	put(k->lent[0], "on\n");
	KIT_UNTIL(k, kit_see(k, "a", 0)->state == RT_TERMINATED);
	lent_close(k);
	for (int i = 0; i < 3; i++)
		close(mute[i]);
}

static void
connects(struct kit *k)
{
	struct rt_container c =
	    kit_sh("main", "while :; do echo hello | nc -l -p 7777 127.0.0.1; done");
	struct rt_pod p = kit_pod("a", &c, 1);
	struct pollfd w = { .events = POLLOUT };
	struct error *err = NULL;
	socklen_t n = sizeof(int);
	int code = -1;

	kit_start(k, &p);
	KIT_UNTIL(k, kit_see(k, "a", 0)->state == RT_RUNNING);
	for (int64_t id = 1;; id++) { /* until it listens */
		OK(rt_connect(k->rt, "a", 7777, id, e));
		KIT_UNTIL(k, k->lent_id == id || k->exec_id == id);
		if (k->lent_id == id) {
			EQ(k->nlent, 1);
			w.fd = k->lent[0];
			poll(&w, 1, 5000);
			getsockopt(w.fd, SOL_SOCKET, SO_ERROR, &code, &n);
			if (!code)
				break;
			lent_close(k);
		}
		usleep(20000);
		MUST(id < 500);
	}
	expect(k, k->lent[0], "hello\n");
	lent_close(k);
	MUST(rt_connect(k->rt, "a", 0, 1000, &err) < 0);
	HAS(error_text(err), "is no port");
	error_free(&err);
}

/* ---- logs and last words ---- */

static void
logs(struct kit *k)
{
	struct rt_container c =
	    kit_sh("main", "head -c 17000 /dev/zero | tr '\\0' x; echo; echo -n end");
	struct rt_pod p = kit_pod("a", &c, 1);
	struct buf text;
	char path[512], *line;

	free(kit_run(k, &p));
	snprintf(path, sizeof(path), "%s/default_a_a/main/0.log", k->logs);
	text = kit_file(path);
	line = strtok(text.at, "\n");
	MUST(strlen(line) > 16384 && line[4] == '-' && line[10] == 'T' && line[29] == 'Z');
	MUST(strncmp(line + 31, "stdout P xxx", 12) == 0);
	EQ(strlen(line), 31 + 9 + 16384);
	line = strtok(NULL, "\n");
	MUST(strncmp(line + 31, "stdout F xxx", 12) == 0);
	EQ(strlen(line), 31 + 9 + 17000 - 16384);
	line = strtok(NULL, "\n");
	IS(line + 31, "stdout F end");
	buf_done(&text);
}

static void
rotation(struct kit *k)
{
	struct rt_container c = kit_sh(
	    "main", "for i in $(seq 1 200); do head -c 900 /dev/zero | tr '\\0' y; echo; done");
	struct rt_pod p = kit_pod("a", &c, 1);
	char path[512];
	struct dirent *ent;
	int files = 0;
	DIR *d;

	free(kit_run(k, &p));
	snprintf(path, sizeof(path), "%s/default_a_a/main", k->logs);
	d = opendir(path);
	while ((ent = readdir(d))) {
		struct stat st;

		if (ent->d_name[0] == '.')
			continue;
		files++;
		MUST(strncmp(ent->d_name, "0.log", 5) == 0);
		MUST(fstatat(dirfd(d), ent->d_name, &st, 0) == 0 && st.st_size <= 20000 + 1000);
		EQ(st.st_mode & 0777, 0640);
	}
	closedir(d);
	EQ(files, 3);
}

static void
last_word(struct kit *k)
{
	struct rt_container c = kit_sh(
	    "main", "head -c 5000 /dev/zero | tr '\\0' m > /dev/termination-log; exit 1");

	c.termination_message_path = "/dev/termination-log";
	c.user = "web";
	free(out_of(k, "a", c));
	EQ(strlen(kit_see(k, "a", 0)->now.message), 4096);
	EQ(kit_see(k, "a", 0)->now.message[0], 'm');
	/* a link in its place leads nowhere */
	c = kit_sh("main", "echo word > /tmp/log; exit 1");
	c.termination_message_path = "/tmp/log";
	free(out_of(k, "b", c));
	IS(kit_see(k, "b", 0)->now.message, "word\n");
}

/* ---- rights ---- */

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
		out = out_of(k, uid, c);
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
	out = out_of(k, "a", c);
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
	out = out_of(k, "b", c);
	HAS(out, "CapEff:\t0000000002000400\nCapBnd:\t0000000002000400");
	HAS(out, "NoNewPrivs:\t0\nSeccomp:\t0");
	free(out);
	c = kit_sh("main", "grep -E 'CapEff|NoNew|Seccomp:' /proc/self/status");
	c.allow_privilege_escalation = true;
	c.user = "web";
	out = out_of(k, "c", c);
	HAS(out, "CapEff:\t0000000000000000\nNoNewPrivs:\t0\nSeccomp:\t2");
}

static void
no_host(struct kit *k)
{
	cleanup_free char *out = sh(
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
	cleanup_free char *out =
	    sh(k, "a",
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
	cleanup_free char *out = sh(
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
	cleanup_free char *out = NULL;

	for (size_t i = 0; i < 3; i++) {
		char uid[8];

		snprintf(uid, sizeof(uid), "e%zu", i);
		kit_image(k, uid, NULL, &(struct image_config){ .cmd = LIST(uid) });
		lay(k, uid, rows[i].link, rows[i].to);
		c.image = uid;
		free(out_of(k, uid, c));
		IS(kit_see(k, uid, 0)->now.reason, "StartError");
		HAS(kit_see(k, uid, 0)->now.message, rows[i].want);
		unlay(k, uid, rows[i].link);
	}
	/* links out of the image lead back into it */
	kit_image(k, "out",
		  (const char *[]){ "out", "/../../../../made", "kernel", "/proc/1", NULL },
		  &(struct image_config){ 0 });
	c = kit_sh("main", "ls -d /made/vol; touch /made/vol/x && echo in");
	c.image = "out";
	c.mounts = &m;
	c.nmounts = 1;
	p.volumes = &v;
	p.nvolumes = 1;
	mkdir("/made", 0755);
	out = kit_run(k, &p);
	IS(out, "/made/vol\nin\n");
	MUST(rmdir("/made") == 0); /* the host's one was left alone */
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
	free(out_of(k, "etcl", c));
	IS(kit_see(k, "etcl", 0)->now.reason, "StartError");
}

/* ---- limits ---- */

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
limits(struct kit *k)
{
	struct rt_container c =
	    kit_sh("main", "for i in 1 2 3 4 5 6 7 8 9 10 11 12; do sleep 5 & done; echo all");
	cleanup_free char *out = NULL, *path = NULL;
	int64_t began;
	struct buf b;

	c.pids = 8;
	out = out_of(k, "a", c);
	HAS(out, "can't fork");
	c = kit_sh("main", "exec sleep 100");
	c.cpu_milli = 250;
	c.cpu_shares = 512;
	c.memory = 64 << 20;
	began = kit_now();
	struct rt_pod p = kit_pod("b", &c, 1);
	kit_start(k, &p);
	KIT_UNTIL(k, kit_see(k, "b", 0)->state == RT_RUNNING);
	if (strcmp(rt_cgroup_mode(k->rt), "v2")) {
		xasprintf(&path, "/sys/fs/cgroup/cpu/%s/pod-b/main/cpu.cfs_quota_us",
			  getenv("KEDGE_CGROUP"));
		b = kit_file(path);
		IS(b.at, "25000\n");
		buf_done(&b);
	} else {
		xasprintf(&path, "/sys/fs/cgroup/%s/pod-b/main/cpu.max",
			  getenv("KEDGE_CGROUP"));
		b = kit_file(path);
		IS(b.at, "25000 100000\n");
		buf_done(&b);
	}
	MUST(kit_now() - began < 5000);
}

/* ---- volumes ---- */

static void
volumes(struct kit *k)
{
	const struct rt_file one[] = { { "a.txt", "one", 3, 0 }, { "b.txt", "same", 4, 0600 } };
	const struct rt_file two[] = { { "a.txt", "two", 3, 0 }, { "c.txt", "new", 3, 0 } };
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
		    "until grep -q two /conf/a.txt; do sleep 0.05; done; ls /conf; exec sleep "
		    "100"),
		kit_sh("r", "until [ -s /data/f ]; do sleep 0.05; done; cat /data/f; touch "
			    "/dev/shm/there; exec sleep 100"),
	};
	struct rt_pod p = kit_pod("a", c, 2);
	cleanup_free char *out = NULL, *path = NULL;
	struct stat st;

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
	KIT_UNTIL(k, (free(out), out = kit_output(k, &p, "w", 0), strstr(out, "c.txt")));
	HAS(out, "a.txt\nc.txt\n");
	xasprintf(&path, "%s/pods/a/volumes/conf/..data/c.txt", k->run);
	MUST(stat(path, &st) == 0 && st.st_gid == 4321 && (st.st_mode & 0777) == 0644);
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

static void
shared(struct kit *k)
{
	struct rt_container c[] = {
		kit_sh("one", "hostname; touch /dev/shm/mark; readlink /proc/self/ns/net "
			      "/proc/self/ns/ipc /proc/self/ns/uts; "
			      "echo ids; exec sleep 100"),
		kit_sh("two", "until [ -e /dev/shm/mark ]; do sleep 0.05; done; hostname; "
			      "readlink /proc/self/ns/net "
			      "/proc/self/ns/ipc /proc/self/ns/uts; echo ids; ls / | grep -c "
			      "mark; cat /proc/1/comm; exec sleep 100"),
	};
	struct rt_pod p = kit_pod("a", c, 2);
	cleanup_free char *one = NULL, *two = NULL;

	p.hosts = LIST("127.0.0.1 localhost", "10.0.0.9 a");
	p.resolv = LIST("nameserver 10.43.0.10");
	kit_start(k, &p);
	KIT_UNTIL(k, (free(one), one = kit_output(k, &p, "one", 0), strstr(one, "ids")));
	KIT_UNTIL(k, (free(two), two = kit_output(k, &p, "two", 0), strstr(two, "sh\n")));
	MUST(strncmp(one, two, (size_t)(strstr(one, "ids") - one)) == 0);
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
read_only(struct kit *k)
{
	struct rt_container c = kit_sh(
	    "main", "touch /x 2>&1; touch /tmp/x 2>&1; echo ok > /dev/shm/x && cat /dev/shm/x");
	cleanup_free char *out = NULL;

	c.read_only_root = true;
	out = out_of(k, "a", c);
	IS(out, "touch: /x: Read-only file system\ntouch: /tmp/x: Read-only file system\nok\n");
}

static void
terminal(struct kit *k)
{
	struct rt_container c = kit_sh(
	    "main",
	    "tty; test -t 1 && echo yes; ls -l /dev/console | head -c 1; echo; echo T=$TERM");
	cleanup_free char *out = NULL;

	c.tty = true;
	out = out_of(k, "a", c);
	HAS(out, "/dev/pts/0");
	HAS(out, "yes");
	HAS(out, "T=xterm");
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

/* The size of a kedge-init is a promise: what it adds to the host, in kB. */
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
	static const char *const uids[] = { "..", "a/b", "", "A", "-x", ".hidden" };
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

static const struct scenario scenarios[] = {
	{ "exit_code", exit_code },
	{ "cannot_run", cannot_run },
	{ "no_image", no_image },
	{ "words", words },
	{ "stop", stop },
	{ "restart", restart },
	{ "policies", policies },
	{ "probe_restart", probe_restart },
	{ "adopt", adopt },
	{ "init_dies", init_dies },
	{ "init_dies_unseen", init_dies_unseen },
	{ "exec", exec },
	{ "attach", attach },
	{ "slow", slow },
	{ "connects", connects },
	{ "logs", logs },
	{ "rotation", rotation },
	{ "last_word", last_word },
	{ "users", users },
	{ "rights", rights },
	{ "no_host", no_host },
	{ "kernel_files", kernel_files },
	{ "devices", devices },
	{ "evil_images", evil_images },
	{ "oom", oom },
	{ "limits", limits },
	{ "volumes", volumes },
	{ "subpath_links", subpath_links },
	{ "shared", shared },
	{ "etc_files", etc_files },
	{ "read_only", read_only },
	{ "terminal", terminal },
	{ "fresh_layer", fresh_layer },
	{ "old_layers", old_layers },
	{ "down", down },
	{ "memory", memory },
	{ "refusals", refusals },
};

int
main(int argc, char **argv)
{
	return kit_main(argc, argv, scenarios, sizeof(scenarios) / sizeof(*scenarios));
}
