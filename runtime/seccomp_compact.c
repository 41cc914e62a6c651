/* seccomp_compact.c -- a filter that says the same in fewer instructions.
 *
 * The kernel compiles a filter at every start of a container and runs it once for each
 * system call there is, so its length is time.  libseccomp compares numbers one by one; what
 * it allows are ranges.  The filter is walked with the number as an interval that each
 * compare splits: that gives, for the native and the foreign architecture, exactly which
 * numbers end in which answer, and which go on to look at arguments.  A tree over those
 * ranges is written, and behind it the instructions that look at arguments, as they were.
 * What the walk does not know leaves the filter as it is.
 */
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "reconcile/base/buf.h"
#include "reconcile/base/cleanup.h"
#include "runtime/seccomp.h"

enum { LEAVES = 1024, LENGTH = 4096 };

/* Numbers from `from` up to the next leaf's: a RET, or at `pc` a look at arguments. */
struct leaf {
	uint32_t from, ret;
	int pc; /* -1: ret is the answer */
};

struct walk {
	const struct sock_filter *at;
	size_t n;
	uint32_t arch, known[2]; /* arch 0: none of those known */
	struct leaf leaf[LEAVES];
	size_t nleaves;
};

enum held { HELD_NOTHING, HELD_NR, HELD_ARCH };

static bool
leaf_add(struct walk *w, uint32_t from, int pc, uint32_t ret)
{
	const struct leaf *last = w->nleaves ? &w->leaf[w->nleaves - 1] : NULL;

	if (last && last->pc == pc && last->ret == ret)
		return true;
	if (w->nleaves == LEAVES)
		return false;
	w->leaf[w->nleaves++] = (struct leaf){ from, ret, pc };
	return true;
}

static bool walk_from(struct walk *w, size_t pc, enum held held, uint64_t lo, uint64_t hi);

/* The numbers below `mid` go one way, the others the other; lowest first, so that leaves are
 * in order. */
static bool
walk_split(struct walk *w, size_t below, size_t above, uint64_t mid, uint64_t lo, uint64_t hi)
{
	mid = mid < lo ? lo : mid > hi ? hi : mid;
	return (lo == mid || walk_from(w, below, HELD_NR, lo, mid)) &&
	       (mid == hi || walk_from(w, above, HELD_NR, mid, hi));
}

/* A compare of the number, in [lo, hi). */
static bool
walk_number(struct walk *w, size_t pc, uint64_t lo, uint64_t hi)
{
	const struct sock_filter *f = &w->at[pc];
	size_t yes = pc + 1 + f->jt, no = pc + 1 + f->jf;
	uint64_t k = f->k;

	switch (BPF_OP(f->code)) {
	case BPF_JGT:
		return walk_split(w, no, yes, k + 1, lo, hi);
	case BPF_JGE:
		return walk_split(w, no, yes, k, lo, hi);
	case BPF_JEQ:
		if (lo < k && !walk_from(w, no, HELD_NR, lo, hi < k ? hi : k))
			return false;
		if (lo <= k && k < hi && !walk_from(w, yes, HELD_NR, k, k + 1))
			return false;
		return hi <= k + 1 || walk_from(w, no, HELD_NR, lo > k + 1 ? lo : k + 1, hi);
	default:
		return false;
	}
}

static bool
walk_jump(struct walk *w, size_t pc, enum held held, uint64_t lo, uint64_t hi)
{
	const struct sock_filter *f = &w->at[pc];
	bool known = w->known[0] == f->k || w->known[1] == f->k;

	if (f->code == (BPF_JMP | BPF_JA))
		return walk_from(w, pc + 1 + f->k, held, lo, hi);
	if (BPF_SRC(f->code) != BPF_K)
		return false;
	if (held == HELD_NR)
		return walk_number(w, pc, lo, hi);
	if (held != HELD_ARCH || BPF_OP(f->code) != BPF_JEQ || !known)
		return false;
	return walk_from(w, pc + 1 + (w->arch == f->k ? f->jt : f->jf), held, lo, hi);
}

static bool
walk_from(struct walk *w, size_t pc, enum held held, uint64_t lo, uint64_t hi)
{
	const struct sock_filter *f = &w->at[pc];

	if (pc >= w->n)
		return false;
	if (f->code == (BPF_RET | BPF_K))
		return leaf_add(w, (uint32_t)lo, -1, f->k);
	if (BPF_CLASS(f->code) == BPF_JMP)
		return walk_jump(w, pc, held, lo, hi);
	if (f->code != (BPF_LD | BPF_W | BPF_ABS))
		return false;
	if (f->k == offsetof(struct seccomp_data, nr))
		return walk_from(w, pc + 1, HELD_NR, lo, hi);
	if (f->k == offsetof(struct seccomp_data, arch))
		return walk_from(w, pc + 1, HELD_ARCH, lo, hi);
	/* An argument: what is there is loaded anew, so it can begin from here. */
	return leaf_add(w, (uint32_t)lo, (int)pc, 0);
}

/* ---- writing ---- */

struct out {
	struct sock_filter at[LENGTH];
	size_t n;
	int *moved; /* old place -> new one + 1; 0: not reached */
	bool full;
};

static size_t
put(struct out *o, uint16_t code, uint8_t jt, uint8_t jf, uint32_t k)
{
	if (o->n == LENGTH) {
		o->full = true;
		return 0;
	}
	o->at[o->n] = (struct sock_filter){ code, jt, jf, k };
	return o->n++;
}

/* A jump to old code is written with the old place, and resolved when that has moved. */
enum { TO_OLD = 0xff };

static void
tree_put(struct out *o, const struct leaf *leaf, size_t n)
{
	size_t half = n / 2, compare, over;

	if (n == 1 && leaf->pc < 0) {
		put(o, BPF_RET | BPF_K, 0, 0, leaf->ret);
		return;
	}
	if (n == 1) {
		put(o, BPF_JMP | BPF_JA, TO_OLD, 0, (uint32_t)leaf->pc);
		return;
	}
	compare = put(o, BPF_JMP | BPF_JGE | BPF_K, 0, 1, leaf[half].from);
	over = put(o, BPF_JMP | BPF_JA, 0, 0, 0); /* jumps of a compare reach 255 */
	tree_put(o, leaf, half);
	o->at[over].k = (uint32_t)(o->n - over - 1);
	if (o->n - over - 1 < 255 && !o->full) { /* near: without the jump */
		memmove(o->at + over, o->at + over + 1, (o->n - over - 1) * sizeof(*o->at));
		o->n--;
		o->at[compare].jt = (uint8_t)(o->n - compare - 1);
		o->at[compare].jf = 0;
	}
	tree_put(o, leaf + half, n - half);
}

/* What can be reached from the places that look at arguments, in the order it had: jumps go
 * forward only, and what follows an instruction that does not end is reached with it. */
static bool
old_put(struct out *o, const struct sock_filter *at, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const struct sock_filter *f = &at[i];
		bool jump = BPF_CLASS(f->code) == BPF_JMP;
		size_t next[2] = { i + 1, i + 1 };

		if (!o->moved[i])
			continue;
		if (f->code == (BPF_JMP | BPF_JA))
			next[0] = next[1] = i + 1 + f->k;
		else if (jump)
			next[0] = i + 1 + f->jt, next[1] = i + 1 + f->jf;
		for (int j = 0; j < 2 && BPF_CLASS(f->code) != BPF_RET; j++) {
			if (next[j] >= n)
				return false;
			o->moved[next[j]] = 1;
		}
		o->moved[i] = (int)put(o, f->code, f->jt, f->jf, f->k) + 1;
	}
	for (size_t i = 0; i < n; i++) {
		struct sock_filter *f = o->moved[i] ? &o->at[o->moved[i] - 1] : NULL;

		if (!f || BPF_CLASS(f->code) != BPF_JMP)
			continue;
		if (f->code == (BPF_JMP | BPF_JA)) {
			f->k = (uint32_t)(o->moved[i + 1 + f->k] - o->moved[i] - 1);
			continue;
		}
		/* never further than it was: nothing came between */
		f->jt = (uint8_t)(o->moved[i + 1 + f->jt] - o->moved[i] - 1);
		f->jf = (uint8_t)(o->moved[i + 1 + f->jf] - o->moved[i] - 1);
	}
	return true;
}

static bool
arch_put(struct out *o, struct walk *w, uint32_t arch)
{
	w->arch = arch;
	w->nleaves = 0;
	if (!walk_from(w, 0, HELD_NOTHING, 0, UINT64_C(1) << 32))
		return false;
	for (size_t i = 0; i < w->nleaves; i++)
		if (w->leaf[i].pc >= 0)
			o->moved[w->leaf[i].pc] = 1;
	if (w->nleaves > 1)
		put(o, BPF_LD | BPF_W | BPF_ABS, 0, 0, offsetof(struct seccomp_data, nr));
	tree_put(o, w->leaf, w->nleaves);
	return true;
}

static bool
compact(struct walk *w, struct out *o)
{
	size_t tree, skip[2];

	put(o, BPF_LD | BPF_W | BPF_ABS, 0, 0, offsetof(struct seccomp_data, arch));
	for (int i = 0; i < 2; i++) {
		put(o, BPF_JMP | BPF_JEQ | BPF_K, 1, 0, w->known[i]);
		skip[i] = put(o, BPF_JMP | BPF_JA, 0, 0, 0);
		if (!arch_put(o, w, w->known[i]))
			return false;
		o->at[skip[i]].k = (uint32_t)(o->n - skip[i] - 1);
	}
	if (!arch_put(o, w, 0))
		return false;
	tree = o->n;
	if (!old_put(o, w->at, w->n) || o->full)
		return false;
	for (size_t i = 0; i < tree; i++)
		if (o->at[i].code == (BPF_JMP | BPF_JA) && o->at[i].jt == TO_OLD) {
			o->at[i].k = (uint32_t)(o->moved[o->at[i].k] - 1 - (int)i - 1);
			o->at[i].jt = 0;
		}
	return true;
}

/* ---- sharing ---- */

enum { REACH = 255 }; /* of a compare's jump */

/* Where a jump from `i` to `to` may lead as well: through other jumps, and to the last of all
 * answers like that one. */
static size_t
target_shared(const struct out *o, size_t i, size_t to)
{
	size_t far = i + 1 + REACH < o->n ? i + 1 + REACH : o->n - 1;

	while (o->at[to].code == (BPF_JMP | BPF_JA) && to + 1 + o->at[to].k <= far)
		to += 1 + o->at[to].k;
	if (o->at[to].code == (BPF_RET | BPF_K))
		for (size_t j = far; j > to; j--)
			if (o->at[j].code == o->at[to].code && o->at[j].k == o->at[to].k)
				return j;
	return to;
}

/* Takes out what nobody comes to any more; false: there was nothing. */
static bool
unreached_drop(struct out *o)
{
	size_t kept = 0, place[LENGTH] = { 0 };
	bool reached[LENGTH] = { true };

	for (size_t i = 0; i < o->n; i++) {
		const struct sock_filter *f = &o->at[i];
		bool jump = BPF_CLASS(f->code) == BPF_JMP;
		bool far = f->code == (BPF_JMP | BPF_JA);

		place[i] = kept;
		if (!reached[i])
			continue;
		kept++;
		if (far)
			reached[i + 1 + f->k] = true;
		else if (jump)
			reached[i + 1 + f->jt] = reached[i + 1 + f->jf] = true;
		else if (BPF_CLASS(f->code) != BPF_RET)
			reached[i + 1] = true;
	}
	for (size_t i = 0; i < o->n; i++) {
		struct sock_filter f = o->at[i];

		if (!reached[i])
			continue;
		if (f.code == (BPF_JMP | BPF_JA)) {
			f.k = (uint32_t)(place[i + 1 + f.k] - place[i] - 1);
		} else if (BPF_CLASS(f.code) == BPF_JMP) {
			f.jt = (uint8_t)(place[i + 1 + f.jt] - place[i] - 1);
			f.jf = (uint8_t)(place[i + 1 + f.jf] - place[i] - 1);
		}
		o->at[place[i]] = f;
	}
	if (kept == o->n)
		return false;
	o->n = kept;
	return true;
}

/* A tree has an answer at each of its ends, and they are few: one of a kind is enough, as
 * far as a compare can jump. */
static void
answers_share(struct out *o)
{
	do {
		for (size_t i = 0; i < o->n; i++) {
			struct sock_filter *f = &o->at[i];

			if (BPF_CLASS(f->code) != BPF_JMP || f->code == (BPF_JMP | BPF_JA))
				continue;
			f->jt = (uint8_t)(target_shared(o, i, i + 1 + f->jt) - i - 1);
			f->jf = (uint8_t)(target_shared(o, i, i + 1 + f->jf) - i - 1);
		}
	} while (unreached_drop(o));
}

void
seccomp_compact(struct seccomp_filter *f)
{
	cleanup_free struct walk *w = xcalloc(1, sizeof(*w));
	cleanup_free struct out *o = xcalloc(1, sizeof(*o));
	size_t n = f->len / sizeof(struct sock_filter);
	cleanup_free int *moved = xcalloc(n + 1, sizeof(*moved));

	w->at = f->bpf;
	w->n = n;
#if defined(__x86_64__)
	w->known[0] = AUDIT_ARCH_X86_64;
	w->known[1] = AUDIT_ARCH_I386;
#elif defined(__aarch64__)
	w->known[0] = AUDIT_ARCH_AARCH64;
	w->known[1] = AUDIT_ARCH_ARM;
#endif
	o->moved = moved;
	if (!compact(w, o))
		return;
	answers_share(o);
	if (o->n >= n)
		return;
	memcpy(f->bpf, o->at, o->n * sizeof(*o->at));
	f->len = o->n * sizeof(*o->at);
}
