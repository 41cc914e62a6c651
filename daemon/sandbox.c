/* sandbox.c -- the walls a process puts around itself: Landlock and seccomp.
 *
 * A second line of defence: the process has no capability already.  What the
 * kernel lacks is said in the log and goes without, for the first line holds.
 */
#include "../reconcile/base/cleanup.h"
#include "../reconcile/base/log.h"
#include "spawn.h"
#include <fcntl.h>
#include <linux/landlock.h>
#include <seccomp.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

enum {
	READ = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR,
	WRITE = READ | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_FILE |
		LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG |
		LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_SOCK,
	FILE_ONLY = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE,
	/* since ABI 2 and 3: without them in the handled set rename across
	 * folders is refused, truncate is free */
	REFER = 1 << 13,
	TRUNCATE = 1 << 14,
	ALL_V1 = (1 << 13) - 1,
};

static void
landlock_allow(int ruleset, const char *path, __u64 rights)
{
	cleanup_close int fd = open(path, O_PATH | O_CLOEXEC);
	struct landlock_path_beneath_attr rule = { .allowed_access = rights, .parent_fd = fd };

	if (fd < 0)
		return; /* what is not there needs no right */
	if (syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) < 0) {
		rule.allowed_access &= FILE_ONLY | TRUNCATE; /* a file, not a folder */
		syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0);
	}
}

static int
landlock_enter(const char *const *readable, const char *const *writable)
{
	long abi =
	    syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
	__u64 more = (abi >= 2 ? REFER : 0) | (abi >= 3 ? TRUNCATE : 0);
	struct landlock_ruleset_attr attr = { .handled_access_fs = ALL_V1 | more };
	cleanup_close int ruleset = -1;

	if (abi < 1)
		return -1;
	ruleset = syscall(SYS_landlock_create_ruleset, &attr, sizeof attr, 0);
	if (ruleset < 0)
		return -1;
	for (; *readable; readable++)
		landlock_allow(ruleset, *readable, READ);
	for (; *writable; writable++)
		landlock_allow(ruleset, *writable, WRITE | more);
	return syscall(SYS_landlock_restrict_self, ruleset, 0);
}

/* None of these has a use in a process that reads and decides. */
static const char *const forbidden[] = {
	"execve",
	"execveat",
	"mount",
	"umount2",
	"pivot_root",
	"chroot",
	"unshare",
	"setns",
	"ptrace",
	"process_vm_readv",
	"process_vm_writev",
	"init_module",
	"finit_module",
	"delete_module",
	"kexec_load",
	"kexec_file_load",
	"bpf",
	"perf_event_open",
	"userfaultfd",
	"keyctl",
	"add_key",
	"request_key",
	"io_uring_setup",
	"fsopen",
	"fsmount",
	"move_mount",
	"open_tree",
	"mount_setattr",
	"reboot",
	"swapon",
	"swapoff",
	"settimeofday",
	"clock_settime",
	"sethostname",
	"setdomainname",
	"acct",
	"quotactl",
	"mknod",
	"mknodat",
	"open_by_handle_at",
	"personality",
	"iopl",
	"ioperm",
	"lookup_dcookie",
	"syslog",
	"process_madvise",
	"pidfd_getfd",
	"kcmp",
	"nfsservctl",
	"setuid",
	"setgid",
	"setreuid",
	"setregid",
	"setresuid",
	"setresgid",
	"setgroups",
	"capset",
};

static int
seccomp_enter(void)
{
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ALLOW);
	int rc;

	if (!ctx)
		return -1;
	for (size_t i = 0; i < sizeof forbidden / sizeof *forbidden; i++) {
		int nr = seccomp_syscall_resolve_name(forbidden[i]);

		if (nr != __NR_SCMP_ERROR)
			seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), nr, 0);
	}
	rc = seccomp_load(ctx);
	seccomp_release(ctx);
	return rc;
}

void
sandbox_enter(const char *role, const char *const *readable, const char *const *writable)
{
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
	    landlock_enter(readable, writable) < 0)
		log_warn(role, "this kernel has no Landlock (5.13 has): going on without");
	if (seccomp_enter() < 0)
		log_warn(role, "this kernel has no seccomp filters: going on without");
}
