/* user.c -- who the container runs as, and with what rights.
 *
 * /etc/passwd and /etc/group are the image's: they are read only when they are
 * regular files of a sane size, through a descriptor that cannot leave the root, and
 * every number in them is parsed to its last byte (CVE-2026-30892).
 */
#include "runtime/init/tree.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/prctl.h>
#include <linux/securebits.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "runtime/init/init.h"
#include "runtime/init/tree.h"

enum { FILE_MAX = 1 << 20, SMALL = 4096, LAST_CAP = 63, IDS = 65536 };
#define RANGE "(a pod's own ids are 0 to 65535; hostUsers: true has more)"
static const uint64_t ID_MAX = 4294967294;

struct file {
	const char *at;
	size_t len;
	bool mapped;
};

static long
read_all(int fd, char *at, size_t size)
{
	size_t n = 0;
	long r = 1;

	while (n < size && (r = sys(read, fd, at + n, size - n)) > 0)
		n += (size_t)r;
	return r < 0 ? r : (long)n;
}

/* Most are small, and memory is not mapped for those: it is shared with kedge-init, so that
 * to unmap it would hold up the other processor, too. */
static long
file_load(int fd, char small[SMALL], struct file *ret)
{
	struct stat st;
	long n = sys(fstat, fd, &st);
	char *at = small;

	if (n < 0 || !S_ISREG(st.st_mode) || st.st_size > FILE_MAX)
		return n < 0 ? n : -EINVAL;
	if (st.st_size < SMALL) {
		n = read_all(fd, small, (size_t)st.st_size);
	} else {
		at = (char *)sys(mmap, NULL, FILE_MAX, PROT_READ | PROT_WRITE,
				 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if ((unsigned long)at >= -4095UL)
			return -ENOMEM;
		n = read_all(fd, at, FILE_MAX);
	}
	*ret = (struct file){ at, n < 0 ? 0 : (size_t)n, at != small };
	return n;
}

/* An empty file when there is none: then only numbers can be found. */
static long
file_read(int root, const char *path, char small[SMALL], struct file *ret)
{
	struct open_how how = { .flags = O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC,
				.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS };
	long fd = open_as(root, path, &how), r;

	*ret = (struct file){ "", 0, false };
	if (fd == -ENOENT || fd == -ENOTDIR)
		return 0;
	if (fd < 0)
		return fd;
	r = file_load((int)fd, small, ret);
	sys(close, fd);
	return r;
}

static void
file_drop(struct file *f)
{
	if (f->mapped)
		sys(munmap, f->at, FILE_MAX);
}

/* The next line; false at the end. */
static bool
line_next(const struct file *f, size_t *at, struct file *ret)
{
	const char *start = f->at + *at, *end;

	if (*at >= f->len)
		return false;
	end = text_find(start, f->len - *at, '\n');
	ret->at = start;
	ret->len = end ? (size_t)(end - start) : f->len - *at;
	*at += ret->len + 1;
	return true;
}

/* Field i of a line, between colons; empty past the last. */
static struct file
field(struct file line, unsigned i)
{
	for (;; i--) {
		const char *colon = text_find(line.at, line.len, ':');
		size_t n = colon ? (size_t)(colon - line.at) : line.len;

		if (i == 0)
			return (struct file){ line.at, n, false };
		if (!colon)
			return (struct file){ "", 0, false };
		line.at += n + 1;
		line.len -= n + 1;
	}
}

static bool
is(struct file f, const char *s, size_t n)
{
	return f.len == n && memcmp(f.at, s, n) == 0;
}

/* The line of passwd or group whose name is (s, n), or, when `by_id`, whose number is id. */
static bool
entry_find(const struct file *f, const char *s, size_t n, bool by_id, uint64_t id,
	   struct file *ret)
{
	struct file line;

	for (size_t at = 0; line_next(f, &at, &line);) {
		struct file number = field(line, 2);
		uint64_t x;

		if (by_id ? parse_num(number.at, number.len, ID_MAX, &x) && x == id
			  : is(field(line, 0), s, n)) {
			*ret = line;
			return true;
		}
	}
	return false;
}

static bool
field_id(struct file line, unsigned i, uint32_t *ret)
{
	struct file f = field(line, i);
	uint64_t x;

	if (!parse_num(f.at, f.len, ID_MAX, &x))
		return false;
	*ret = (uint32_t)x;
	return true;
}

static void
group_add(struct setup *s, uint32_t gid)
{
	for (uint32_t i = 0; i < s->ngroups; i++)
		if (s->groups[i] == gid)
			return;
	if (s->ngroups < sizeof(s->groups) / sizeof(*s->groups))
		s->groups[s->ngroups++] = gid;
}

/* Every group that lists the user, as login does. */
static void
groups_of(struct setup *s, const struct file *groups, struct file user)
{
	struct file line;

	for (size_t at = 0; line_next(groups, &at, &line);) {
		struct file members = field(line, 3);
		uint32_t gid;

		while (members.len) {
			const char *comma = text_find(members.at, members.len, ',');
			size_t n = comma ? (size_t)(comma - members.at) : members.len;

			if (is(user, members.at, n) && field_id(line, 2, &gid))
				group_add(s, gid);
			n += comma ? 1 : 0;
			members.at += n;
			members.len -= n;
		}
	}
}

static int
user_parse(struct setup *s, const struct op *op, const struct file *passwd,
	   const struct file *groups)
{
	const char *spec = op_text(op, 0);
	const char *colon = text_find(spec, strlen(spec), ':');
	size_t n = colon ? (size_t)(colon - spec) : strlen(spec);
	struct file line = { "", 0, false };
	struct text home = TEXT(s->home);
	uint64_t id = 0;
	bool number = n == 0 || parse_num(spec, n, ID_MAX, &id);
	bool known = entry_find(passwd, spec, n, number, id, &line);

	s->uid = (uint32_t)id;
	s->gid = 0;
	if (!number && (!known || !field_id(line, 2, &s->uid)))
		return setup_fail(s, op, spec, ENOENT);
	if (known)
		field_id(line, 3, &s->gid);
	text_add(&home, "HOME=");
	if (known && field(line, 5).len)
		text_addn(&home, field(line, 5).at, field(line, 5).len);
	else
		text_add(&home, "/");
	if (colon) {
		size_t left = strlen(colon + 1);

		if (parse_num(colon + 1, left, ID_MAX, &id))
			s->gid = (uint32_t)id;
		else if (!entry_find(groups, colon + 1, left, false, 0, &line) ||
			 !field_id(line, 2, &s->gid))
			return setup_fail(s, op, spec, ENOENT);
	} else if (known && !(op->flags & 1)) {
		groups_of(s, groups, field(line, 0));
	}
	return 0;
}

int
user_find(struct setup *s, const struct op *op)
{
	struct file passwd = { "", 0, false }, groups = { "", 0, false };
	char small[2][SMALL];
	long root = sys(openat, AT_FDCWD, "/", O_PATH | O_DIRECTORY | O_CLOEXEC), err = root;
	int r;

	s->ngroups = 0;
	if (err >= 0)
		err = file_read((int)root, "etc/passwd", small[0], &passwd);
	if (err >= 0)
		err = file_read((int)root, "etc/group", small[1], &groups);
	drop((int)root);
	r = err < 0 ? setup_fail(s, op, "in /etc/passwd or /etc/group", (int)err)
		    : user_parse(s, op, &passwd, &groups);
	file_drop(&passwd);
	file_drop(&groups);
	if (r < 0)
		return -1;
	if (s->id_base && s->uid >= IDS)
		return setup_fail(s, op, RANGE, EINVAL);
	group_add(s, s->gid);
	if (op->num[0] >= 0)
		group_add(s, (uint32_t)op->num[0]);
	for (unsigned i = 1; i < op->nstr; i++) {
		const char *text = op_text(op, i);
		uint64_t gid;

		if (!parse_num(text, strlen(text), ID_MAX, &gid))
			return setup_fail(s, op, text, EINVAL);
		group_add(s, (uint32_t)gid);
	}
	/* The pipes are its own, so that /dev/stdout can be opened by name. */
	for (int i = 0; i < 3; i++) {
		struct stat st;

		if (sys(fstat, i, &st) == 0 && !S_ISREG(st.st_mode) &&
		    (st.st_rdev == 0 || (st.st_rdev >> 8) == 136))
			sys(fchown, i, s->id_base + s->uid, -1);
	}
	for (uint32_t i = 0; s->id_base && i < s->ngroups; i++)
		if (s->groups[i] >= IDS)
			return setup_fail(s, op, RANGE, EINVAL);
	return 0;
}

/* What we make of files and file systems shall belong to the pod's root, while our rights
 * are still those of the host's: ours alone changes, and the kernel is told to leave the
 * capabilities as they are.  Entering the user namespace ends this. */
int
user_act_as_root(const struct setup *s)
{
	long r;

	if (s->user_ns < 0)
		return 0;
	r = sys(prctl, PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP, 0, 0, 0);
	user_make_as(s, true);
	return (int)r;
}

/* What is made in a volume shall be root's as the volume has it on disk: its mount is
 * mapped, and other pods, with other ids, may mount it too. */
void
user_make_as(const struct setup *s, bool pod)
{
	uint32_t id = pod ? s->id_base : 0;

	if (s->user_ns < 0)
		return;
	sys(setfsgid, id);
	sys(setfsuid, id);
}

/* From here on all rights are rights in the pod's own namespaces and over its own ids;
 * nothing of the host's is left to them.  The bounding set is full in there again. */
int
user_enter(struct setup *s, const struct op *op)
{
	long r = sys(setns, s->user_ns, CLONE_NEWUSER);

	if (r >= 0)
		r = sys(setresgid, 0, 0, 0);
	if (r >= 0)
		r = sys(setresuid, 0, 0, 0);
	/* What is mounted now is the host's and stays as it is (MNT_LOCKED); what may be
	 * mounted beside it is the container's. */
	if (r >= 0 && op->flags & 1 && !s->join)
		r = sys(unshare, CLONE_NEWNS);
	s->caps = ~0ULL;
	return r < 0 ? setup_fail(s, op, "", (int)r) : 0;
}

/* The bounding set first, for it needs CAP_SETPCAP; inheritable and ambient
 * stay empty (CVE-2022-29162), so a user other than 0 holds nothing, and what it can
 * gain through a file is within the bounding set. */
int
user_rights(struct setup *s, const struct op *op)
{
	struct __user_cap_header_struct head = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct set[2] = { 0 };
	uint64_t keep = (uint64_t)op->num[0], now = s->uid == 0 ? keep : 0;
	long r = 0;

	for (int cap = 0; cap < LAST_CAP && r >= 0; cap++) {
		if (keep >> cap & 1 || !(s->caps >> cap & 1))
			continue;
		r = sys(prctl, PR_CAPBSET_DROP, cap, 0, 0, 0);
		if (r == -EINVAL) { /* past the kernel's last */
			r = 0;
			break;
		}
	}
	if (r >= 0)
		r = sys(prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	if (r >= 0)
		r = sys(setgroups, s->ngroups, s->groups);
	if (r >= 0)
		r = sys(setresgid, s->gid, s->gid, s->gid);
	if (r >= 0)
		r = sys(setresuid, s->uid, s->uid, s->uid);
	set[0].effective = set[0].permitted = (uint32_t)now;
	set[1].effective = set[1].permitted = (uint32_t)(now >> 32);
	if (r >= 0)
		r = sys(capset, &head, set);
	return r < 0 ? setup_fail(s, op, "", (int)r) : 0;
}
