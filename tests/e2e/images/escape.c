/* escape.c -- inside a container: asks the kernel for what it must not give.
 *
 *   escape calls       each call and what came of it
 *   escape key ID      tries to read a key of the host's by its number and by its name
 *   escape trace FILE  tries to trace and look into whoever appears, until FILE does; then says
 *                      how often that was refused
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/keyctl.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static void
tell(const char *what, long r)
{
	const char *name = r >= 0 ? "done" : strerrorname_np(errno);

	printf("%-28s %s\n", what, name ? name : "?");
}

static void
calls(void)
{
	char handle[64] = { 8 };

	tell("unshare(NEWUSER)", unshare(CLONE_NEWUSER));
	tell("unshare(NEWNS)", unshare(CLONE_NEWNS));
	tell("unshare(NEWNET)", unshare(CLONE_NEWNET));
	tell("unshare(NEWCGROUP)", unshare(CLONE_NEWCGROUP));
	tell("clone3", syscall(SYS_clone3, NULL, 0));
	tell("mount(tmpfs)", mount("t", "/tmp", "tmpfs", 0, NULL));
	tell("mount(cgroup)", mount("c", "/tmp", "cgroup", 0, "memory"));
	tell("umount(/proc)", umount2("/proc", MNT_DETACH));
	tell("fsopen", syscall(SYS_fsopen, "tmpfs", 0));
	tell("open_tree", syscall(SYS_open_tree, AT_FDCWD, "/", 1));
	tell("move_mount", syscall(SYS_move_mount, -1, "", -1, "", 0));
	tell("pivot_root", syscall(SYS_pivot_root, ".", "."));
	tell("setns", syscall(SYS_setns, 0, 0));
	tell("open_by_handle_at", syscall(SYS_open_by_handle_at, AT_FDCWD, handle, 0));
	tell("keyctl", syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_USER_KEYRING, 0));
	tell("add_key", syscall(SYS_add_key, "user", "x", "y", 1, KEY_SPEC_PROCESS_KEYRING));
	tell("bpf", syscall(SYS_bpf, 0, NULL, 0));
	tell("perf_event_open", syscall(SYS_perf_event_open, NULL, 0, -1, -1, 0));
	tell("userfaultfd", syscall(SYS_userfaultfd, 0));
	tell("io_uring_setup", syscall(SYS_io_uring_setup, 1, NULL));
	tell("init_module", syscall(SYS_init_module, NULL, 0, ""));
	tell("finit_module", syscall(SYS_finit_module, -1, "", 0));
	tell("kexec_load", syscall(SYS_kexec_load, 0, 0, NULL, 0));
	tell("reboot", syscall(SYS_reboot, 0, 0, 0, NULL));
	tell("swapon", syscall(SYS_swapon, "/x", 0));
	tell("settimeofday", syscall(SYS_settimeofday, NULL, NULL));
	tell("syslog", syscall(SYS_syslog, 10, NULL, 0));
	tell("acct", syscall(SYS_acct, NULL));
	tell("quotactl", syscall(SYS_quotactl, 0, NULL, 0, NULL));
	tell("mbind", syscall(SYS_mbind, NULL, 0, 0, NULL, 0, 0));
	tell("kcmp", syscall(SYS_kcmp, 1, 1, 0, 0, 0));
	tell("pidfd_getfd", syscall(SYS_pidfd_getfd, -1, 0, 0));
	tell("socket(AF_VSOCK)", socket(AF_VSOCK, SOCK_STREAM, 0));
	tell("socket(AF_PACKET)", socket(AF_PACKET, SOCK_RAW, 0));
	tell("personality(ADDR_NO_RAND)", syscall(SYS_personality, 0x0040000));
	tell("sethostname", sethostname("x", 1));
	tell("chroot", chroot("/"));
}

static void
key(long id)
{
	char text[64];

	tell("read", syscall(SYS_keyctl, KEYCTL_READ, id, text, sizeof(text)));
	tell("describe", syscall(SYS_keyctl, KEYCTL_DESCRIBE, id, text, sizeof(text)));
	tell("search user", syscall(SYS_keyctl, KEYCTL_SEARCH, KEY_SPEC_USER_KEYRING, "user",
				    "kedge-secret", 0));
	tell("search session", syscall(SYS_keyctl, KEYCTL_SEARCH, KEY_SPEC_SESSION_KEYRING,
				       "user", "kedge-secret", 0));
	tell("link", syscall(SYS_keyctl, KEYCTL_LINK, id, KEY_SPEC_SESSION_KEYRING));
}

/* Before it runs what is the container's, a process that kedge starts there is kedge-init,
 * from a memfd; afterwards it may be looked at. */
static bool
is_kedge(pid_t pid)
{
	char path[64], exe[256];
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/exe", pid);
	n = readlink(path, exe, sizeof(exe) - 1);
	exe[n < 0 ? 0 : n] = 0;
	return strstr(exe, "memfd") != NULL;
}

static bool
may_open(pid_t pid, const char *what)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, what);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

/* How often it was refused; -1: it was not. */
static int
look_at(pid_t pid)
{
	static const char *const files[] = { "root", "cwd", "fd/3", "fd/4", "mem" };
	int refused = 0;

	for (size_t i = 0; i < sizeof(files) / sizeof(*files); i++) {
		bool open = may_open(pid, files[i]);

		refused += !open && errno == EACCES;
		if (open && is_kedge(pid))
			return -1;
	}
	if (ptrace(PTRACE_SEIZE, pid, NULL, NULL) < 0)
		return refused + (errno == EPERM);
	if (is_kedge(pid))
		return -1;
	ptrace(PTRACE_INTERRUPT, pid, NULL, NULL);
	if (waitpid(pid, NULL, __WALL) == pid)
		ptrace(PTRACE_DETACH, pid, NULL, NULL);
	return refused;
}

static void
trace(const char *enough)
{
	long refused = 0;

	printf("looking\n");
	fflush(stdout);
	while (access(enough, F_OK) < 0) {
		DIR *d = opendir("/proc");
		struct dirent *e;

		while (d && (e = readdir(d))) {
			pid_t pid = (pid_t)strtol(e->d_name, NULL, 10);
			int n = pid <= 1 || pid == getpid() ? 0 : look_at(pid);

			if (n < 0)
				printf("reached %d\n", pid);
			refused += n > 0;
		}
		if (d)
			closedir(d);
	}
	printf("refused %ld times\n", refused);
}

int
main(int argc, char **argv)
{
	if (argc == 2 && strcmp(argv[1], "calls") == 0)
		calls();
	else if (argc == 3 && strcmp(argv[1], "key") == 0)
		key(strtol(argv[2], NULL, 10));
	else if (argc == 3 && strcmp(argv[1], "trace") == 0)
		trace(argv[2]);
	else
		return 2;
	return 0;
}
