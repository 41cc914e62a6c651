/* t_seccomp.c -- the filter a container gets, beside the one libseccomp wrote: the same
 * answers. */
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <seccomp.h>

#include "reconcile/base/cleanup.h"
#include "runtime/seccomp.h"

/* What the kernel does with a filter, for the instructions that libseccomp writes. */
static uint32_t
run(const struct seccomp_filter *f, const struct seccomp_data *d)
{
	const struct sock_filter *at = f->bpf;
	size_t n = f->len / sizeof(*at);
	uint32_t a = 0;

	for (size_t pc = 0;; pc++) {
		const struct sock_filter *i = &at[pc];
		bool yes;

		assert_true(pc < n);
		switch (i->code) {
		case BPF_LD | BPF_W | BPF_ABS:
			assert_true(i->k + 4 <= sizeof(*d));
			memcpy(&a, (const char *)d + i->k, 4);
			continue;
		case BPF_ALU | BPF_AND | BPF_K:
			a &= i->k;
			continue;
		case BPF_RET | BPF_K:
			return i->k;
		case BPF_JMP | BPF_JA:
			pc += i->k;
			continue;
		case BPF_JMP | BPF_JEQ | BPF_K:
			yes = a == i->k;
			break;
		case BPF_JMP | BPF_JGT | BPF_K:
			yes = a > i->k;
			break;
		case BPF_JMP | BPF_JGE | BPF_K:
			yes = a >= i->k;
			break;
		case BPF_JMP | BPF_JSET | BPF_K:
			yes = (a & i->k) != 0;
			break;
		default:
			fail_msg("instruction %#x", i->code);
			return 0;
		}
		pc += yes ? i->jt : i->jf;
	}
}

static struct seccomp_filter
copy_of(const struct seccomp_filter *f)
{
	struct seccomp_filter c = *f;

	c.bpf = malloc(f->len);
	memcpy(c.bpf, f->bpf, f->len);
	return c;
}

static const uint32_t arches[] = { AUDIT_ARCH_X86_64,    AUDIT_ARCH_I386,  AUDIT_ARCH_AARCH64,
				   AUDIT_ARCH_ARM,       AUDIT_ARCH_MIPS,  AUDIT_ARCH_RISCV64,
				   AUDIT_ARCH_S390X,     AUDIT_ARCH_PPC64, 0,
				   AUDIT_ARCH_X86_64 ^ 1 };

/* Every number that is somewhere a system call's, the edges of what is none, and arguments
 * of all kinds. */
static size_t
same(const struct seccomp_filter *one, const struct seccomp_filter *two)
{
	static const uint32_t odd[] = { 0x3fffffff, 0x40000000, 0x40000001, 0x400001ff,
					0x7fffffff, 0x80000000, 0xfffffffe, 0xffffffff };
	static const uint64_t values[] = {
		0,    1,          2,          8,          39,
		40,   41,         0x20000,    0x20008,    0x7e020000,
		0x11, 0x10000000, 0xffffffff, UINT64_MAX, 1ULL << 32
	};
	size_t asked = 0;

	for (size_t i = 0; i < sizeof(arches) / sizeof(*arches); i++)
		for (uint32_t j = 0; j < 1500 + sizeof(odd) / sizeof(*odd); j++)
			for (size_t v = 0; v < sizeof(values) / sizeof(*values); v++) {
				struct seccomp_data d = {
					.nr = (int)(j < 1500 ? j : odd[j - 1500]),
					.arch = arches[i],
					.args = { values[v], values[v], values[v] }
				};

				if (run(one, &d) != run(two, &d))
					fail_msg("arch %#x number %u argument %#llx", d.arch,
						 (unsigned)d.nr, (unsigned long long)values[v]);
				asked++;
			}
	return asked;
}

/* A filter of libseccomp's with a bit of all that ours has, from a seed. */
static struct seccomp_filter
random_filter(unsigned seed)
{
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ERRNO(1));
	struct seccomp_filter f = { 0 };

	srand(seed);
	assert_non_null(ctx);
	seccomp_arch_add(ctx, seccomp_arch_native() == SCMP_ARCH_X86_64 ? SCMP_ARCH_X86
									: SCMP_ARCH_ARM);
	if (seed % 2)
		seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	for (int nr = 0, dice = 3; nr < 460; nr++) {
		/* runs of the same answer, as real filters have, and what is odd between */
		dice = rand() % 6 == 0 || dice < 3 ? rand() % 20 : dice;

		if (dice == 0)
			seccomp_rule_add(ctx, SCMP_ACT_ALLOW, nr, 1,
					 SCMP_A0(SCMP_CMP_MASKED_EQ, 0x7e020000, 0));
		else if (dice == 1)
			seccomp_rule_add(ctx, SCMP_ACT_ALLOW, nr, 2, SCMP_A0(SCMP_CMP_LT, 40),
					 SCMP_A1(SCMP_CMP_NE, 8));
		else if (dice == 2)
			seccomp_rule_add(ctx, SCMP_ACT_ERRNO(38), nr, 0);
		else if (dice < 15)
			seccomp_rule_add(ctx, SCMP_ACT_ALLOW, nr, 0);
	}
	assert_int_equal(seccomp_bpf(ctx, &f), 0);
	seccomp_release(ctx);
	return f;
}

static void
a_compact_filter_answers_as_the_long_one(void **state)
{
	(void)state;
	for (unsigned seed = 0; seed < 12; seed++) {
		struct seccomp_filter f = random_filter(seed), was = copy_of(&f);

		seccomp_compact(&f);
		assert_true(f.len < was.len);
		assert_true(same(&f, &was) > 100000);
		free(f.bpf);
		free(was.bpf);
	}
}

static void
the_filter_of_a_container_is_short(void **state)
{
	struct seccomp_cache c = { 0 };
	const struct seccomp_filter *f = seccomp_get(&c, 0, NULL);

	(void)state;
	assert_non_null(f);
	assert_in_range(f->len / sizeof(struct sock_filter), 50, 450);
	seccomp_done(&c);
}

/* Nothing is guessed: an architecture it has no place for leaves all as it was. */
static void
a_filter_that_is_not_understood_stays_as_it_is(void **state)
{
	struct sock_filter odd[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 4),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_MIPS, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0),
		BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, 1, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
	};
	struct seccomp_filter f = { .bpf = odd, .len = sizeof(odd) }, was = copy_of(&f);

	(void)state;
	seccomp_compact(&f);
	assert_int_equal(f.len, was.len);
	assert_memory_equal(f.bpf, was.bpf, was.len);
	free(was.bpf);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_compact_filter_answers_as_the_long_one),
		cmocka_unit_test(the_filter_of_a_container_is_short),
		cmocka_unit_test(a_filter_that_is_not_understood_stays_as_it_is),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
