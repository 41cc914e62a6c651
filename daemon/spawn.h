/* spawn.h -- kedged's other processes: made with the least rights they can do with. */
#ifndef KEDGE_SPAWN_H
#define KEDGE_SPAWN_H
#include <stdbool.h>
#include <sys/types.h>

struct error;

struct identity {
	uid_t uid;
	gid_t gid;
};

/* The brain's user: the named one, else a number that no system gives out
 * (then *ret_found is false and the caller says so).  WHY_INVALID for root by any name. */
int identity_of_brain(const char *user, struct identity *ret, bool *ret_found, struct error **);
/* The user that owns this repository or directory. */
int identity_of_path(const char *path, struct identity *ret, struct error **);

/* Runs this binary again as `--role=ROLE --fd=3` as that user: no groups, no
 * capabilities, no way to get any, and no descriptor but `sock` and stderr.
 * `*ret_pidfd` tells its end. */
int spawn_role(const char *role, struct identity, int sock, pid_t *ret, int *ret_pidfd,
	       struct error **);
/* For the process itself, when it has opened what it needs: no execve, no
 * mount, no namespaces, no ptrace, no modules ... for the rest of its life;
 * with Landlock only what `writable` and `readable` name (NULL-terminated). */
void sandbox_enter(const char *role, const char *const *readable, const char *const *writable);
/* Begins `readable` of who speaks with the network: what names are looked up and certificates
 * checked with. */
#define SANDBOX_NETWORK                                                     \
	"/etc", "/usr/lib", "/lib", "/lib64", "/usr/share/ca-certificates", \
	    "/run/systemd/resolve", "/dev/urandom"
#endif
