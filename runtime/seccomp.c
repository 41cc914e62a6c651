/* seccomp.c -- see seccomp.h.
 *
 * An allow-list: what it does not name fails with EPERM, clone3 with ENOSYS so
 * that libc falls back to clone, whose flags a filter can see.  New namespaces
 * are out of reach without CAP_SYS_ADMIN (CVE-2022-0185, CVE-2022-0492).
 */
#include "runtime/seccomp.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/openat2.h>
#include <sched.h>
#include <seccomp.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "reconcile/base/buf.h"
#include "reconcile/base/cleanup.h"
#include "reconcile/base/error.h"

enum { PROFILE_MAX = 1 << 20 };

struct row {
	const char *name;
	int cap; /* -1: none is needed */
};

static const struct row rows[] = {
#define ALLOW(name)     { #name, -1 },
#define WITH(cap, name) { #name, cap },
#include "runtime/seccomp.def"
#undef ALLOW
#undef WITH
};

enum {
	NEW_NAMESPACES = CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC |
			 CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET
};

static uint64_t
caps_that_matter(uint64_t caps)
{
	uint64_t known = 0;

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		if (rows[i].cap >= 0)
			known |= 1ULL << rows[i].cap;
	return caps & known;
}

static int
allow(scmp_filter_ctx ctx, const char *name)
{
	int nr = seccomp_syscall_resolve_name(name), r;

	if (nr == __NR_SCMP_ERROR)
		return 0;
	r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, nr, 0);
	return r == -EDOM ? 0 : r; /* not a call of this architecture */
}

/* The conditions of Docker's profile. */
static int
allow_some(scmp_filter_ctx ctx, bool admin)
{
	static const uint32_t personalities[] = { 0x0, 0x0008, 0x20000, 0x20008, 0xffffffff };
	int r = 0;

	for (size_t i = 0; i < 5 && r == 0; i++)
		r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(personality), 1,
				     SCMP_A0(SCMP_CMP_EQ, personalities[i]));
	/* not to the hypervisor's other guests and its own services */
	if (r == 0)
		r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(socket), 1,
				     SCMP_A0(SCMP_CMP_LT, AF_VSOCK));
	if (r == 0)
		r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(socket), 1,
				     SCMP_A0(SCMP_CMP_GT, AF_VSOCK));
	if (r)
		return r;
	if (admin)
		return seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(clone), 0);
	r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1,
			     SCMP_A0(SCMP_CMP_MASKED_EQ, NEW_NAMESPACES, 0));
	return r ? r : seccomp_rule_add(ctx, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
}

int
seccomp_bpf(void *ctx, struct seccomp_filter *ret)
{
	cleanup_close int fd = memfd_create("seccomp", MFD_CLOEXEC);
	struct stat st;
	int r;

	if (fd < 0)
		return -errno;
	r = seccomp_export_bpf(ctx, fd);
	if (r < 0 || fstat(fd, &st) < 0)
		return r < 0 ? r : -errno;
	ret->len = (size_t)st.st_size;
	ret->bpf = xmalloc(ret->len);
	return pread(fd, ret->bpf, ret->len, 0) == (ssize_t)ret->len ? 0 : -EIO;
}

static int
build(uint64_t caps, struct seccomp_filter *ret)
{
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	bool admin = caps >> CAP_SYS_ADMIN & 1;
	int r = ctx ? 0 : -ENOMEM;

#if defined(__x86_64__)
	if (r == 0)
		r = seccomp_arch_add(ctx, SCMP_ARCH_X86);
#elif defined(__aarch64__)
	if (r == 0)
		r = seccomp_arch_add(ctx, SCMP_ARCH_ARM);
#endif
	/* a tree, not a list: some 8 compares for a call instead of some 300 */
	if (r == 0)
		r = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows) && r == 0; i++)
		if (rows[i].cap < 0 || caps >> rows[i].cap & 1)
			r = allow(ctx, rows[i].name);
	if (r == 0)
		r = allow_some(ctx, admin);
	if (r == 0)
		r = seccomp_bpf(ctx, ret);
	if (r == 0)
		seccomp_compact(ret);
	if (ctx)
		seccomp_release(ctx);
	return r;
}

static const struct seccomp_filter *
cached(const struct seccomp_cache *c, uint64_t caps, const char *profile)
{
	for (size_t i = 0; i < c->n; i++)
		if (c->at[i].caps == caps && !c->at[i].profile == !profile &&
		    (!profile || strcmp(c->at[i].profile, profile) == 0))
			return &c->at[i];
	return NULL;
}

static const struct seccomp_filter *
keep(struct seccomp_cache *c, const struct seccomp_filter *f)
{
	c->at = xrealloc(c->at, (c->n + 1) * sizeof(*c->at));
	c->at[c->n] = *f;
	return &c->at[c->n++];
}

const struct seccomp_filter *
seccomp_get(struct seccomp_cache *c, uint64_t caps, struct error **e)
{
	struct seccomp_filter f = { .caps = caps_that_matter(caps) };
	const struct seccomp_filter *had = cached(c, f.caps, NULL);
	int r = had ? 0 : build(f.caps, &f);

	if (had)
		return had;
	if (r < 0) {
		free(f.bpf);
		errno = -r;
		fail_sys(e, "compile the seccomp filter");
		return NULL;
	}
	return keep(c, &f);
}

/* Below the operator's folder and nowhere else, whatever lies in there. */
static int
profile_open(const char *dir, const char *name, struct stat *st, struct error **e)
{
	struct open_how how = { .flags = O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC,
				.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS };
	cleanup_close int top = dir ? open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC) : -1, fd = -1;

	fd = top < 0 ? -1 : (int)syscall(SYS_openat2, top, name, &how, sizeof(how));
	if (fd < 0 || fstat(fd, st) < 0)
		return fail_sys(e, "seccomp profile %s: open %s/%s", name, dir ? dir : "",
				name);
	if (!S_ISREG(st->st_mode) || st->st_size > PROFILE_MAX)
		return fail(e, WHY_INVALID,
			    "seccomp profile %s: %s/%s is no file of at most 1 MiB", name, dir,
			    name);
	return steal_fd(&fd);
}

const struct seccomp_filter *
seccomp_local(struct seccomp_cache *c, const char *dir, const char *name, uint64_t caps,
	      struct error **e)
{
	struct seccomp_filter f = { .caps = caps };
	const struct seccomp_filter *had;
	struct buf cleanup_buf text = { 0 };
	struct stat st;
	cleanup_close int fd = profile_open(dir, name, &st, e);
	char part[4096];
	ssize_t n;

	if (fd < 0)
		return NULL;
	xasprintf(&f.profile, "%s %lld.%09ld %lld %llu", name, (long long)st.st_mtim.tv_sec,
		  st.st_mtim.tv_nsec, (long long)st.st_size, (unsigned long long)st.st_ino);
	had = cached(c, caps, f.profile);
	while (!had && (n = read(fd, part, sizeof(part))) > 0 && text.len <= PROFILE_MAX)
		buf_add(&text, part, (size_t)n);
	if (had || seccomp_profile_compile(buf_text(&text), text.len, caps, &f, e) < 0) {
		free(f.profile);
		if (!had)
			fail_in(e, "seccomp profile %s", name);
		return had;
	}
	return keep(c, &f);
}

void
seccomp_done(struct seccomp_cache *c)
{
	for (size_t i = 0; i < c->n; i++)
		free(c->at[i].bpf), free(c->at[i].profile);
	free(c->at);
	*c = (struct seccomp_cache){ 0 };
}
