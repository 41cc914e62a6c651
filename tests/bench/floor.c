/* floor.c -- what the kernel alone takes to start a networked container.
 *
 * clone3 with all namespaces into a cgroup, overlayfs, a veth pair on a bridge,
 * pivot_root, exec: nothing else, no check, no log, no file written.  Each start
 * is timed from before the cgroup is made until the exec has happened (its
 * close-on-exec pipe ends).  Prints lines of `name value unit`; asked, one time in ms for
 * each byte that it reads.
 */
#include <errno.h>
#include <fcntl.h>
#include <libmnl/libmnl.h>
#include <linux/if_link.h>
#include <linux/mount.h>
#include <linux/rtnetlink.h>
#include <linux/sched.h>
#include <linux/veth.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MUST(x)                                                                  \
	do {                                                                     \
		if ((long)(x) < 0) {                                             \
			fprintf(stderr, "floor: %s: %s\n", #x, strerror(errno)); \
			_exit(1);                                                \
		}                                                                \
	} while (0)

static const char *dir;     /* lower, N/upper, N/work, root */
static char group_top[256]; /* of the v2 tree */
static struct mnl_socket *nl;
static unsigned bridge, seq;

static double
now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static void
request(struct nlmsghdr *h)
{
	char answer[8192];
	ssize_t n;

	h->nlmsg_seq = ++seq;
	h->nlmsg_flags |= NLM_F_REQUEST | NLM_F_ACK;
	MUST(mnl_socket_sendto(nl, h, h->nlmsg_len));
	n = mnl_socket_recvfrom(nl, answer, sizeof(answer));
	MUST(n);
	MUST(mnl_cb_run(answer, (size_t)n, seq, mnl_socket_get_portid(nl), NULL, NULL));
}

static struct nlmsghdr *
link_new(char *room, const char *name, const char *kind, struct nlattr **ret_info)
{
	struct nlmsghdr *h = mnl_nlmsg_put_header(room);
	struct ifinfomsg *i;

	h->nlmsg_type = RTM_NEWLINK;
	h->nlmsg_flags = NLM_F_CREATE | NLM_F_EXCL;
	i = mnl_nlmsg_put_extra_header(h, sizeof(*i));
	i->ifi_flags = i->ifi_change = IFF_UP;
	mnl_attr_put_strz(h, IFLA_IFNAME, name);
	if (bridge)
		mnl_attr_put_u32(h, IFLA_MASTER, bridge);
	*ret_info = mnl_attr_nest_start(h, IFLA_LINKINFO);
	mnl_attr_put_strz(h, IFLA_INFO_KIND, kind);
	return h;
}

/* The peer is made inside, at once: no move from one namespace to the other. */
static void
veth(int n, pid_t pid)
{
	char room[1024], name[16];
	struct nlattr *info, *data, *peer;
	struct nlmsghdr *h;
	struct ifinfomsg *i;

	snprintf(name, sizeof(name), "fl%d", n);
	h = link_new(room, name, "veth", &info);
	data = mnl_attr_nest_start(h, IFLA_INFO_DATA);
	peer = mnl_attr_nest_start(h, VETH_INFO_PEER);
	i = mnl_nlmsg_put_extra_header(h, sizeof(*i));
	(void)i;
	mnl_attr_put_strz(h, IFLA_IFNAME, "eth0");
	mnl_attr_put_u32(h, IFLA_NET_NS_PID, (uint32_t)pid);
	mnl_attr_nest_end(h, peer);
	mnl_attr_nest_end(h, data);
	mnl_attr_nest_end(h, info);
	request(h);
}

static void
bridge_make(void)
{
	char room[512];
	struct nlattr *info;
	struct nlmsghdr *h;

	bridge = if_nametoindex("flbr");
	if (bridge)
		return;
	h = link_new(room, "flbr", "bridge", &info);
	mnl_attr_nest_end(h, info);
	request(h);
	bridge = if_nametoindex("flbr");
}

static void
layer(int fs, const char *key, const char *fmt, int n)
{
	char path[512];

	snprintf(path, sizeof(path), fmt, dir, n);
	MUST(syscall(SYS_fsconfig, fs, FSCONFIG_SET_STRING, key, path, 0));
}

static void
child(int n, int go)
{
	struct mount_attr own = { .propagation = 1 << 18 /* MS_PRIVATE */ };
	char *argv[] = { "true", NULL }, root[512], byte;
	int fs, tree;

	MUST(syscall(SYS_mount_setattr, AT_FDCWD, "/", 0x8000, &own, sizeof(own)));
	MUST(fs = (int)syscall(SYS_fsopen, "overlay", FSOPEN_CLOEXEC));
	layer(fs, "lowerdir", "%s/lower", 0);
	layer(fs, "upperdir", "%s/%d/upper", n);
	layer(fs, "workdir", "%s/%d/work", n);
	MUST(syscall(SYS_fsconfig, fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0));
	MUST(tree = (int)syscall(SYS_fsmount, fs, FSMOUNT_CLOEXEC, 0));
	snprintf(root, sizeof(root), "%s/root", dir);
	MUST(syscall(SYS_move_mount, tree, "", AT_FDCWD, root, MOVE_MOUNT_F_EMPTY_PATH));
	MUST(fchdir(tree));
	MUST(syscall(SYS_pivot_root, ".", "."));
	MUST(syscall(SYS_umount2, ".", 2 /* MNT_DETACH */));
	MUST(chdir("/"));
	MUST(read(go, &byte, 1)); /* the link is there */
	MUST(execv("/bin/busybox", argv));
}

static double
start(int n)
{
	int go[2], done[2], group;
	char path[512], byte = 0;
	struct clone_args a = { .flags = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET |
					 CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP |
					 CLONE_INTO_CGROUP,
				.exit_signal = SIGCHLD };
	double began = now_ms(), took;
	pid_t pid;

	for (int i = 0; i < 3; i++) {
		snprintf(path, sizeof(path), i ? i > 1 ? "%s/%d/work" : "%s/%d/upper" : "%s/%d",
			 dir, n);
		MUST(mkdir(path, 0755));
	}
	snprintf(path, sizeof(path), "%s-%d", group_top, n);
	MUST(mkdir(path, 0755));
	MUST(group = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC));
	MUST(pipe2(go, O_CLOEXEC));
	MUST(pipe2(done, O_CLOEXEC));
	a.cgroup = (uint64_t)group;
	MUST(pid = (pid_t)syscall(SYS_clone3, &a, sizeof(a)));
	if (pid == 0)
		child(n, go[0]);
	close(done[1]);
	veth(n, pid);
	MUST(write(go[1], &byte, 1));
	MUST(read(done[0], &byte, 1)); /* its end: the exec closed it */
	took = now_ms() - began;
	close(go[0]);
	close(go[1]);
	close(done[0]);
	close(group);
	waitpid(pid, NULL, 0);
	rmdir(path);
	return took;
}

static double
many(int first, int count)
{
	double began = now_ms();

	for (int i = 0; i < count; i++)
		start(first + i);
	return now_ms() - began;
}

/* `floor setns PID CMD...`: what joining a container takes, and nothing else. */
static int
enter(pid_t pid, char **argv)
{
	const int all = CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC |
			CLONE_NEWUTS | CLONE_NEWCGROUP;
	int fd;

	MUST(fd = (int)syscall(SYS_pidfd_open, pid, 0));
	MUST(setns(fd, all));
	if (fork() == 0) {
		execv(argv[0], argv);
		_exit(1);
	}
	MUST(wait(NULL));
	return 0;
}

enum { ASKED_FIRST = 100000 };

static void
asked(void)
{
	char byte;

	for (int i = ASKED_FIRST; read(0, &byte, 1) == 1; i++) {
		printf("%.6f\n", start(i));
		fflush(stdout);
	}
}

int
main(int argc, char **argv)
{
	const char *name = getenv("KEDGE_CGROUP");
	const char *top = access("/sys/fs/cgroup/cgroup.procs", F_OK) ? "/sys/fs/cgroup/unified"
								      : "/sys/fs/cgroup";

	if (argc > 3 && strcmp(argv[1], "setns") == 0)
		return enter(atoi(argv[2]), argv + 3);
	if (argc < 2 || !name) {
		fprintf(stderr, "usage: tests/host floor DIRECTORY [asked]; DIRECTORY/lower "
				"holds bin/busybox\n");
		return 2;
	}
	dir = argv[1];
	snprintf(group_top, sizeof(group_top), "%s/%s-floor", top, name);
	nl = mnl_socket_open(NETLINK_ROUTE);
	MUST(nl ? mnl_socket_bind(nl, 0, MNL_SOCKET_AUTOPID) : -1);
	bridge_make();
	if (argc > 2) {
		asked();
		return 0;
	}
	printf("floor.twenty %.3f ms\n", many(0, 20));
	printf("floor.hundreds %.3f ms\n", many(20, 200));
	return 0;
}
