/* escape.c -- inside a container: asks the kernel for what it must not give.
 *
 *   escape calls       each call and what came of it
 *   escape key ID      tries to read a key of the host's by its number and by its name
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/keyctl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
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

int
main(int argc, char **argv)
{
	if (argc == 2 && strcmp(argv[1], "calls") == 0)
		calls();
	else if (argc == 3 && strcmp(argv[1], "key") == 0)
		key(strtol(argv[2], NULL, 10));
	else
		return 2;
	return 0;
}
