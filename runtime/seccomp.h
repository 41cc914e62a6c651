/* seccomp.h -- the filter of a container as BPF instructions, made once for each set of
 * capabilities that matters to it and then copied into every start. */
#ifndef KEDGE_SECCOMP_H
#define KEDGE_SECCOMP_H
#include <stddef.h>
#include <stdint.h>

struct error;
struct seccomp_cache {
	struct seccomp_filter {
		uint64_t caps; /* those of seccomp.def that were there */
		void *bpf;
		size_t len; /* bytes */
	} * at;
	size_t n;
};

/* The filter for a container with these capabilities; owned by the cache, valid
 * until its next use. */
int seccomp_get(struct seccomp_cache *, uint64_t caps, const struct seccomp_filter **ret,
		struct error **);
void seccomp_done(struct seccomp_cache *);
#endif
