/* seccomp.h -- the filter of a container as BPF instructions, made once for each set of
 * capabilities that matters to it and then copied into every start. */
#ifndef KEDGE_SECCOMP_H
#define KEDGE_SECCOMP_H
#include <stddef.h>
#include <stdint.h>

struct error;
struct seccomp_cache {
	struct seccomp_filter {
		uint64_t caps; /* those of seccomp.def that were there; of a profile: all */
		char *profile; /* NULL: seccomp.def; else its name and which version of it */
		void *bpf;
		size_t len; /* bytes */
	} * at;
	size_t n;
};

/* The filter for a container with these capabilities; owned by the cache, valid
 * until its next use.  NULL on failure. */
const struct seccomp_filter *seccomp_get(struct seccomp_cache *, uint64_t caps,
					 struct error **);
/* The same of a profile of the operator's: a file below `dir` in the JSON of Docker and OCI. */
const struct seccomp_filter *seccomp_local(struct seccomp_cache *, const char *dir,
					   const char *name, uint64_t caps, struct error **);
/* seccomp_profile.c: the BPF of such a file's text. */
int seccomp_profile_compile(const char *text, size_t n, uint64_t caps,
			    struct seccomp_filter *ret, struct error **);
/* The same filter in fewer instructions, in its place; or as it was. */
void seccomp_compact(struct seccomp_filter *);
/* The instructions of a libseccomp context; -errno on failure. */
int seccomp_bpf(void *ctx, struct seccomp_filter *ret);
void seccomp_done(struct seccomp_cache *);
#endif
