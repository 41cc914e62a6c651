/* adopt_drive.c -- pods whose kedge-init does not answer when they are looked for, or hangs up.
 */
#include <sys/socket.h>
#include <sys/un.h>

#include "runtime_kit.h"

enum { MORE_THAN_ITS_QUEUE = 7 };

static struct rt_container
served(void)
{
	struct rt_container c = kit_sh("main", "echo up; exec sleep 1000");

	c.restart = RT_ALWAYS;
	return c;
}

static pid_t
main_pid(struct kit *k)
{
	KIT_UNTIL(k, kit_see(k, "a", 0)->pid > 0);
	return kit_see(k, "a", 0)->pid;
}

static pid_t
begin(struct kit *k, pid_t *ret_init)
{
	struct rt_container c = served();
	struct rt_pod p = kit_pod("a", &c, 1);
	pid_t pid;

	kit_start(k, &p);
	pid = main_pid(k);
	*ret_init = rt_pod_status(k->rt, "a")->init_pid;
	return pid;
}

static bool
lives(pid_t pid)
{
	return kill(pid, 0) == 0;
}

/* As much as a second of whatever the runtime does by itself. */
static void
watch(struct kit *k)
{
	for (int64_t until = kit_now() + 1000; kit_now() < until;)
		kit_step(k, 100);
}

static void
open_unheard(struct kit *k, pid_t pid)
{
	kit_open(k);
	EQ(rt_pod_status(k->rt, "a")->state, RT_POD_UNHEARD);
	watch(k);
	EQ(rt_pod_status(k->rt, "a")->state, RT_POD_UNHEARD);
	MUST(lives(pid));
}

static void
late(struct kit *k)
{
	pid_t init, pid = begin(k, &init);

	rt_close(k->rt);
	kill(init, SIGSTOP);
	open_unheard(k, pid);
	kill(init, SIGCONT);
	KIT_UNTIL(k, rt_pod_status(k->rt, "a")->state == RT_POD_UP);
	EQ(main_pid(k), pid);
	EQ(kit_see(k, "a", 0)->restarts, 0);
	EQ(rt_pod_status(k->rt, "a")->init_pid, init);
	free(kit_exec_out(k, LIST("/bin/true"), 5, 1));
	EQ(k->exec_code, 0);
	kit_stop(k, "a");
	MUST(!lives(pid));
}

static void
late_often(struct kit *k)
{
	pid_t init, pid = begin(k, &init);

	kill(init, SIGSTOP);
	for (int i = 0; i < MORE_THAN_ITS_QUEUE; i++) {
		rt_close(k->rt);
		kit_open(k);
		EQ(rt_pod_status(k->rt, "a")->state, RT_POD_UNHEARD);
	}
	open_unheard(k, (rt_close(k->rt), pid));
	kill(init, SIGCONT);
	KIT_UNTIL(k, rt_pod_status(k->rt, "a")->state == RT_POD_UP);
	EQ(main_pid(k), pid);
}

static void
late_stop(struct kit *k)
{
	pid_t init, pid = begin(k, &init);

	rt_close(k->rt);
	kill(init, SIGSTOP);
	open_unheard(k, pid);
	k->gone = false;
	OK(rt_pod_stop(k->rt, "a", 0, e));
	EQ(rt_pod_status(k->rt, "a")->state, RT_POD_STOPPING);
	kill(init, SIGCONT);
	KIT_UNTIL(k, k->gone);
	MUST(!lives(pid));
}

static void
late_dies(struct kit *k)
{
	pid_t init, pid = begin(k, &init);

	rt_close(k->rt);
	kill(init, SIGSTOP);
	open_unheard(k, pid);
	k->gone = false;
	kill(init, SIGKILL);
	KIT_UNTIL(k, k->gone);
	MUST(!lives(pid));
}

static void
late_down(struct kit *k)
{
	pid_t init, pid = begin(k, &init);

	rt_close(k->rt);
	kill(init, SIGSTOP);
	open_unheard(k, pid);
	OK(rt_down(k->rt, e));
	MUST(!lives(pid));
}

/* Listens in kedge-init's place, and says this at most. */
static pid_t
impostor(struct kit *k, const struct w_msg *says)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0), conn;
	pid_t pid;

	snprintf(at.sun_path, sizeof(at.sun_path), "%s/pods/a/init.sock", k->run);
	MUST(unlink(at.sun_path) == 0 && bind(fd, (void *)&at, sizeof(at)) == 0);
	pid = fork();
	if (pid == 0) {
		MUST(listen(fd, 4) == 0);
		while (says && (conn = accept(fd, NULL, NULL)) >= 0)
			MUST(send(conn, says, sizeof(*says), 0) > 0);
		for (;;)
			pause();
	}
	close(fd);
	usleep(200000);
	return pid;
}

static void
impostors(struct kit *k)
{
	const struct w_msg lie = { .type = W_HELLO, .arg = 1, .id = 1 };
	const struct w_msg *const words[] = { &lie, NULL };

	for (size_t i = 0; i < 2; i++) {
		pid_t init, pid = begin(k, &init), other;

		rt_close(k->rt);
		other = impostor(k, words[i]);
		k->gone = false;
		kit_open(k);
		KIT_UNTIL(k, k->gone);
		MUST(!lives(pid));
		MUST(lives(other));
		kill(other, SIGKILL);
		waitpid(other, NULL, 0);
		waitpid(init, NULL, 0);
	}
}

/* ---- a connection that is lost while both live ---- */

static void
lose(struct kit *k)
{
	struct rtpod *p = rt_find(k->rt, "a", NULL);

	MUST(shutdown(p->hand.fd, SHUT_RDWR) == 0);
	KIT_UNTIL(k, p->hand.fd < 0);
}

static void
lost(struct kit *k)
{
	struct rt_container c[] = {
		kit_sh("main",
		       "trap 'echo asked; exit 0' TERM; echo up; while :; do sleep 0.05; done"),
		{ .name = "late", .image = "later", .restart = RT_ALWAYS },
	};
	struct rt_pod p = kit_pod("a", c, 2);
	cleanup_free char *out = NULL;

	c[0].restart = RT_ALWAYS;
	kit_start(k, &p);
	KIT_UNTIL(k, kit_see(k, "a", 0)->state == RT_RUNNING);
	/* what happens meanwhile is heard */
	lose(k);
	MUST(kit_see(k, "a", 0)->pid > 0);
	kill(kit_see(k, "a", 0)->pid, SIGKILL);
	KIT_UNTIL(k, kit_see(k, "a", 0)->restarts == 1);
	/* what could not be told is told */
	kit_image(k, "later", NULL, &(struct image_config){ .cmd = LIST("/bin/sleep", "100") });
	lose(k);
	OK(rt_pod_run(k->rt, "a", e));
	KIT_UNTIL(k, kit_see(k, "a", 1)->state == RT_RUNNING);
	EQ(kit_see(k, "a", 0)->restarts, 1);
	KIT_UNTIL(k, strstr(out = kit_output(k, &p, "main", 1), "up") || (free(out), 0));
	free(out);
	/* told, and not heard: it is asked to end, and not killed */
	k->gone = false;
	shutdown(rt_find(k->rt, "a", NULL)->hand.fd, SHUT_RD);
	rt_find(k->rt, "a", NULL)->state = RT_POD_STOPPING;
	KIT_UNTIL(k, k->gone);
	out = kit_output(k, &p, "main", 1);
	IS(out, "up\nasked\n");
}

/* A stop that comes while nobody listens is heard, with its own grace: the pod's would kill it
 * before it is done. */
static void
lost_stop(struct kit *k, bool noticed)
{
	struct rt_container c[] = { kit_sh(
	    "main",
	    "trap 'sleep 2; echo asked; exit 0' TERM; echo up; while :; do sleep 0.05; done") };
	struct rt_pod p = kit_pod("a", c, 1);
	cleanup_free char *out = NULL;

	p.grace = 1;
	kit_start(k, &p);
	KIT_UNTIL(k, strstr(out = kit_output(k, &p, "main", 0), "up") || (free(out), 0));
	free(out);
	if (noticed)
		lose(k);
	else
		MUST(shutdown(rt_find(k->rt, "a", NULL)->hand.fd, SHUT_RDWR) == 0);
	OK(rt_pod_stop(k->rt, "a", 30, e));
	KIT_UNTIL(k, k->gone);
	out = kit_output(k, &p, "main", 0);
	IS(out, "up\nasked\n");
}

static void
lost_stop_noticed(struct kit *k)
{
	lost_stop(k, true);
}

static void
lost_stop_unnoticed(struct kit *k)
{
	lost_stop(k, false);
}

/* The end of a hook that the brain runs is said once. */
static void
lost_hook(struct kit *k)
{
	struct rt_container c = kit_sh("main", "exec sleep 100");
	struct rt_pod p = kit_pod("a", &c, 1);

	c.post_start = (struct rt_hook){ .type = RT_HOOK_ASK };
	kit_start(k, &p);
	KIT_UNTIL(k, kit_see(k, "a", 0)->hook == RT_POST_START);
	lose(k);
	(void)rt_container_hooked(k->rt, "a", "main", kit_see(k, "a", 0)->now.started_at,
				  RT_POST_START, false, NULL);
	KIT_UNTIL(k, kit_see(k, "a", 0)->hook == 0);
	EQ(kit_see(k, "a", 0)->state, RT_RUNNING);
}

static const struct scenario scenarios[] = {
	{ "late", late },
	{ "late_often", late_often },
	{ "late_stop", late_stop },
	{ "late_dies", late_dies },
	{ "late_down", late_down },
	{ "impostors", impostors },
	{ "lost", lost },
	{ "lost_stop", lost_stop_noticed },
	{ "lost_stop_unnoticed", lost_stop_unnoticed },
	{ "lost_hook", lost_hook },
};

int
main(int argc, char **argv)
{
	return kit_main(argc, argv, scenarios, sizeof(scenarios) / sizeof(*scenarios));
}
