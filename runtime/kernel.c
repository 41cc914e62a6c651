/* kernel.c -- does this kernel have what pods are made with?
 *
 * Asked once at the start, each call with arguments that it refuses: ENOSYS says that it
 * is not there.  What kedge cannot do without is told all at once, with what it
 * is for; a filter (of a container that kedged is run in) can be the cause too.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/seccomp.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/utsname.h>

#include "reconcile/base/buf.h"
#include "reconcile/base/cleanup.h"
#include "reconcile/base/error.h"
#include "runtime/rt.h"

/* clang-format off */
static const struct {
	const char *name, *what;
	long nr;
} calls[] = {
	{ "clone3",            "to make a pod's processes in its namespaces and cgroup", SYS_clone3 },
	{ "pidfd_open",        "to hold on to the processes of pods",                    SYS_pidfd_open },
	{ "pidfd_send_signal", "to stop pods",                                           SYS_pidfd_send_signal },
	{ "openat2",           "to resolve paths inside images and volumes",             SYS_openat2 },
	{ "fsopen",            "to mount a container's file systems",                    SYS_fsopen },
	{ "fsconfig",          "to mount a container's file systems",                    SYS_fsconfig },
	{ "fsmount",           "to mount a container's file systems",                    SYS_fsmount },
	{ "open_tree",         "to mount volumes",                                       SYS_open_tree },
	{ "move_mount",        "to mount volumes",                                       SYS_move_mount },
	{ "mount_setattr",     "to make mounts read-only",                               SYS_mount_setattr },
	{ "close_range",       "to leave containers no descriptor of the host",          SYS_close_range },
	{ "execveat",          "to start kedge-init",                                    SYS_execveat },
	{ "memfd_create",      "to keep kedge-init out of containers' reach",            SYS_memfd_create },
};
static const struct {
	const char *file, *what;
} namespaces[] = {
	{ "/proc/self/ns/mnt", "mount namespaces" },
	{ "/proc/self/ns/pid", "pid namespaces (CONFIG_PID_NS)" },
	{ "/proc/self/ns/net", "network namespaces (CONFIG_NET_NS)" },
	{ "/proc/self/ns/ipc", "ipc namespaces (CONFIG_IPC_NS)" },
	{ "/proc/self/ns/uts", "uts namespaces (CONFIG_UTS_NS)" },
};
/* clang-format on */

static void
lack_add(struct buf *b, const char *what, const char *why)
{
	buf_addf(b, "%s%s%s%s%s", b->len ? ", " : "", what, why ? " (" : "", why ? why : "",
		 why ? ")" : "");
}

static void
lacks_look(struct buf *b)
{
	long fs;

	for (size_t i = 0; i < sizeof(calls) / sizeof(*calls); i++)
		if (syscall(calls[i].nr, -1L, 0L, 0L, 0L, 0L, 0L) < 0 && errno == ENOSYS)
			lack_add(b, calls[i].name, calls[i].what);
	for (size_t i = 0; i < sizeof(namespaces) / sizeof(*namespaces); i++)
		if (access(namespaces[i].file, F_OK) < 0 && errno == ENOENT)
			lack_add(b, namespaces[i].what, NULL);
	fs = syscall(SYS_fsopen, "overlay", 1 /* FSOPEN_CLOEXEC */);
	if (fs >= 0)
		close((int)fs);
	else if (errno == ENODEV)
		lack_add(b, "overlayfs", "CONFIG_OVERLAY_FS; modprobe overlay may bring it");
}

int
rt_kernel_check(struct error **e)
{
	struct buf cleanup_buf lacks = { 0 };
	struct utsname u;

	lacks_look(&lacks);
	if (!lacks.len)
		return 0;
	uname(&u);
	return fail(
	    e, WHY_UNABLE,
	    "this kernel (%s) lacks %s: kedge needs Linux 5.12; install a newer kernel, "
	    "or, where kedged itself runs in a container, one that lets it make these "
	    "calls",
	    u.release, buf_text(&lacks));
}

bool
kernel_filters(void)
{
	uint32_t action = SECCOMP_RET_ERRNO;

	return syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) == 0;
}
