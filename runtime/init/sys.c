/* sys.c -- see sys.h.  Also where the kernel enters the program. */
#include "runtime/init/sys.h"

#include <time.h>

#include "runtime/init/clone.h"

#if defined(__x86_64__)
__asm__(".text\n.globl _start\n_start:\n"
	"	xor %ebp, %ebp\n"
	"	mov %rsp, %rdi\n"
	"	and $-16, %rsp\n"
	"	call init_main\n"
	"	hlt\n");
#else
__asm__(".text\n.globl _start\n_start:\n"
	"	mov x29, #0\n"
	"	mov x0, sp\n"
	"	bl init_main\n"
	"	brk #1\n");
#endif

/* The compiler would turn these loops into calls of themselves. */
#ifdef __clang__
#define PLAIN __attribute__((no_builtin))
#else
#define PLAIN __attribute__((optimize("no-tree-loop-distribute-patterns")))
#endif

PLAIN void *
memcpy(void *to, const void *from, size_t n)
{
	for (size_t i = 0; i < n; i++)
		((char *)to)[i] = ((const char *)from)[i];
	return to;
}

PLAIN void *
memmove(void *to, const void *from, size_t n)
{
	if (to <= from)
		return memcpy(to, from, n);
	while (n-- > 0)
		((char *)to)[n] = ((const char *)from)[n];
	return to;
}

PLAIN void *
memset(void *to, int c, size_t n)
{
	for (size_t i = 0; i < n; i++)
		((char *)to)[i] = (char)c;
	return to;
}

PLAIN int
memcmp(const void *a, const void *b, size_t n)
{
	const unsigned char *x = a, *y = b;

	for (size_t i = 0; i < n; i++)
		if (x[i] != y[i])
			return x[i] < y[i] ? -1 : 1;
	return 0;
}

PLAIN size_t
strlen(const char *s)
{
	size_t n = 0;

	while (s[n])
		n++;
	return n;
}

int
strcmp(const char *a, const char *b)
{
	while (*a && *a == *b)
		a++, b++;
	return (unsigned char)*a - (unsigned char)*b;
}

const char *
text_find(const char *s, size_t n, char c)
{
	for (size_t i = 0; i < n; i++)
		if (s[i] == c)
			return s + i;
	return NULL;
}

void
text_addn(struct text *t, const char *s, size_t n)
{
	if (n > t->cap - 1 - t->len)
		n = t->cap - 1 - t->len;
	memcpy(t->at + t->len, s, n);
	t->len += n;
	t->at[t->len] = '\0';
}

void
text_add(struct text *t, const char *s)
{
	text_addn(t, s, strlen(s));
}

void
text_num(struct text *t, uint64_t x, int width)
{
	char digits[24];
	int i = sizeof(digits);

	do {
		digits[--i] = (char)('0' + x % 10);
		x /= 10;
	} while (x || (int)sizeof(digits) - i < width);
	text_addn(t, digits + i, sizeof(digits) - (size_t)i);
}

bool
parse_num(const char *s, size_t n, uint64_t max, uint64_t *ret)
{
	uint64_t x = 0;

	if (n == 0 || n > 19)
		return false;
	for (size_t i = 0; i < n; i++) {
		if (s[i] < '0' || s[i] > '9')
			return false;
		x = x * 10 + (uint64_t)(s[i] - '0');
	}
	if (x > max)
		return false;
	*ret = x;
	return true;
}

static int64_t
clock_ms(int clock)
{
	struct timespec t = { 0 };

	sys(clock_gettime, clock, &t);
	return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

int64_t
now_ms(void)
{
	return clock_ms(CLOCK_REALTIME);
}

int64_t
now_boot(void)
{
	return clock_ms(CLOCK_BOOTTIME);
}

_Noreturn void
sys_exit(int code)
{
	for (;;)
		sys(exit_group, code);
}
