/* sys.h -- system calls and the few functions of a C library that kedge-init
 * needs; there is none below it.
 *
 * One kedge-init stays resident for each pod, so its size is a promise: no
 * libc, no heap, no TLS.  Calls return the kernel's -errno; nothing sets errno, so
 * a child that shares our memory may use all of it.
 */
#ifndef KEDGE_SYS_H
#define KEDGE_SYS_H
#include <asm/unistd.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __clang_analyzer__ /* it does not see what a system call writes */
long sys_call(long n, long a, long b, long c, long d, long e, long f);
#else
static inline long
sys_call(long n, long a, long b, long c, long d, long e, long f)
{
#if defined(__x86_64__)
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	register long r9 __asm__("r9") = f;
	long ret;

	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "a"(n), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return ret;
#else
	register long x8 __asm__("x8") = n;
	register long x0 __asm__("x0") = a;
	register long x1 __asm__("x1") = b;
	register long x2 __asm__("x2") = c;
	register long x3 __asm__("x3") = d;
	register long x4 __asm__("x4") = e;
	register long x5 __asm__("x5") = f;

	__asm__ volatile("svc #0"
			 : "+r"(x0)
			 : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5)
			 : "memory");
	return x0;
#endif
}
#endif

#define SYS_(n, a, b, c, d, e, f, ...) \
	sys_call(n, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f))
#define sys(name, ...) SYS_(__NR_##name, ##__VA_ARGS__, 0, 0, 0, 0, 0, 0, 0)

void *memcpy(void *, const void *, size_t);
void *memmove(void *, const void *, size_t);
void *memset(void *, int, size_t);
int memcmp(const void *, const void *, size_t);
size_t strlen(const char *);
int strcmp(const char *, const char *);
const char *text_find(const char *, size_t, char); /* NULL when absent */

/* Text of a known room: what does not fit is cut off, the NUL is always there. */
struct text {
	char *at;
	size_t len, cap; /* cap counts the NUL */
};
#define TEXT(array)                                           \
	(struct text)                                         \
	{                                                     \
		.at = (array), .len = 0, .cap = sizeof(array) \
	}
void text_add(struct text *, const char *);
void text_addn(struct text *, const char *, size_t);
void text_num(struct text *, uint64_t, int width); /* decimal, zero-padded */
bool parse_num(const char *, size_t, uint64_t max,
	       uint64_t *ret); /* digits only, all of them */

int64_t now_ms(void);   /* since 1970 */
int64_t now_boot(void); /* ms, never jumps, counts sleep */
_Noreturn void sys_exit(int);
#endif
