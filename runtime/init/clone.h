/* clone.h -- clone3 with a function for the child, for a child that shares our
 * memory until it execs.
 *
 * C has no word for returning twice on two stacks, so this is assembly: the
 * child calls fn(arg) on the stack given in clone_args and exits with what it
 * returns.  Included by exactly one file of a program.
 */
#ifndef KEDGE_CLONE_H
#define KEDGE_CLONE_H
#include <linux/sched.h>
#include <stddef.h>

long clone_run(struct clone_args *, size_t, int (*fn)(void *), void *arg); /* pid or -errno */

#if defined(__x86_64__)
__asm__(".text\n.globl clone_run\n.type clone_run,@function\nclone_run:\n"
	"	mov %rdx, %r8\n"
	"	mov %rcx, %r9\n"
	"	mov $435, %eax\n"
	"	syscall\n"
	"	test %rax, %rax\n"
	"	jz 1f\n"
	"	ret\n"
	"1:	xor %ebp, %ebp\n"
	"	mov %r9, %rdi\n"
	"	call *%r8\n"
	"	mov %eax, %edi\n"
	"	mov $60, %eax\n"
	"	syscall\n"
	"	hlt\n"
	".size clone_run,.-clone_run\n");
#elif defined(__aarch64__)
__asm__(".text\n.globl clone_run\n.type clone_run,%function\nclone_run:\n"
	"	mov x9, x2\n"
	"	mov x10, x3\n"
	"	mov x8, #435\n"
	"	svc #0\n"
	"	cbz x0, 1f\n"
	"	ret\n"
	"1:	mov x29, #0\n"
	"	mov x0, x10\n"
	"	blr x9\n"
	"	mov x8, #93\n"
	"	svc #0\n"
	"	brk #1\n"
	".size clone_run,.-clone_run\n");
#else
#error "kedge-init knows x86_64 and aarch64"
#endif
#endif
