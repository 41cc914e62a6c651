/* spawn.c -- re-exec with rights taken away.
 *
 * The hand is root.  Whoever reads a foreign byte is a child of it that has
 * lost everything before its first instruction of new code: an own user, no
 * supplementary group, an empty bounding set, no_new_privs, and of the hand's
 * descriptors only the one socket to talk through.
 */
#include "spawn.h"
#include "../reconcile/base/cleanup.h"
#include "../reconcile/base/error.h"
#include <cap-ng.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

/* Below systemd's dynamic range (61184..65519) and above what adduser gives. */
enum { NOBODY_ELSE = 61117 };

/* It reads what strangers write.  Without capabilities uid 0 still owns the host's files
 * and the hand's socket folder, and gid 0 reads many: neither is given up by a flag. */
int
identity_of_brain(const char *user, struct identity *ret, bool *ret_found, struct error **e)
{
	const struct passwd *pw = getpwnam(user);

	if (pw && (pw->pw_uid == 0 || pw->pw_gid == 0))
		return fail(e, WHY_INVALID,
			    "user: \"%s\" has %s 0: the part that reads foreign bytes must not "
			    "be root; name a user of its own, such as kedge",
			    user, pw->pw_uid == 0 ? "uid" : "gid");
	*ret_found = pw != NULL;
	*ret = pw ? (struct identity){ pw->pw_uid, pw->pw_gid }
		  : (struct identity){ NOBODY_ELSE, NOBODY_ELSE };
	return 0;
}

int
identity_of_path(const char *path, struct identity *ret, struct error **e)
{
	struct stat st;

	if (stat(path, &st) < 0 && (errno == ENOENT || errno == ENOTDIR))
		return fail(e, WHY_NOT_FOUND,
			    "%s is not there: put it back, or correct the source's url in "
			    "kedge.yaml; what runs stays",
			    path);
	if (stat(path, &st) < 0)
		return fail_sys(e,
				"%s: what runs stays; mend this, or correct the source's url "
				"in kedge.yaml",
				path);
	*ret = (struct identity){ st.st_uid, st.st_gid };
	return 0;
}

static _Noreturn void
role_exec(int self, const char *role, struct identity id, int sock)
{
	char arg[64];
	sigset_t none;

	snprintf(arg, sizeof arg, "--role=%s", role);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	/* Order matters: groups and the bounding set need root's capabilities,
	 * and leaving uid 0 empties the permitted set.  A worker that keeps
	 * uid 0 (the source belongs to root) loses its capabilities too. */
	capng_clear(CAPNG_SELECT_ALL);
	if (setgroups(0, NULL) < 0 || setresgid(id.gid, id.gid, id.gid) < 0 ||
	    capng_apply(CAPNG_SELECT_BOUNDS) < 0 || setresuid(id.uid, id.uid, id.uid) < 0 ||
	    capng_apply(CAPNG_SELECT_CAPS | CAPNG_SELECT_AMBIENT) < 0)
		goto fail;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		goto fail;
	if (sock != 3 && dup2(sock, 3) < 0)
		goto fail;
	if (sock == 3)
		(void)fcntl(3, F_SETFD, 0);
	if (self < 4) {
		self = fcntl(self, F_DUPFD_CLOEXEC, 4);
		if (self < 0)
			goto fail;
	}
	/* CVE-2024-21626's lesson: nothing of ours leaks by accident. */
	if (syscall(SYS_close_range, 4, ~0U, 1 << 2 /* CLOSE_RANGE_CLOEXEC */) < 0)
		goto fail;
	syscall(SYS_execveat, self, "", (char *const[]){ "kedged", arg, "--fd=3", NULL },
		environ, 0x1000 /* AT_EMPTY_PATH */);
fail:
	dprintf(STDERR_FILENO, "kedged: start %s: %s\n", role, strerror(errno));
	_exit(127);
}

int
spawn_role(const char *role, struct identity id, int sock, pid_t *ret, int *ret_pidfd,
	   struct error **e)
{
	cleanup_close int self = open("/proc/self/exe", O_RDONLY | O_CLOEXEC), pidfd = -1;
	pid_t pid;

	if (self < 0)
		return fail_sys(e, "open our own binary");
	pid = fork();
	if (pid < 0)
		return fail_sys(e, "fork for %s", role);
	if (pid == 0)
		role_exec(self, role, id, sock);
	pidfd = syscall(SYS_pidfd_open, pid, 0);
	if (pidfd < 0) {
		fail_sys(e, "watch process %d (%s)", (int)pid, role);
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		return -1;
	}
	*ret = pid;
	*ret_pidfd = steal_fd(&pidfd);
	return 0;
}
