/* adopt_drive.c -- pods whose kedge-init does not answer when they are looked for. */
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

static const struct scenario scenarios[] = {
	{ "late", late },           { "late_often", late_often }, { "late_stop", late_stop },
	{ "late_dies", late_dies }, { "late_down", late_down },   { "impostors", impostors },
};

int
main(int argc, char **argv)
{
	return kit_main(argc, argv, scenarios, sizeof(scenarios) / sizeof(*scenarios));
}
