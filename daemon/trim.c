/* trim.c -- see trim.h.
 *
 * Only segments that were never writable are given back: their pages are the file's
 * own.  Those with relocations, which the linker made read-only afterwards, belong to
 * a writable segment and are left alone.
 */
#include "trim.h"
#include <link.h>
#include <malloc.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

/* Does the linker write into code?  Then its pages are no longer the file's. */
static bool
text_is_written(const struct dl_phdr_info *o)
{
	for (int i = 0; i < o->dlpi_phnum; i++) {
		const ElfW(Phdr) *p = &o->dlpi_phdr[i];
		const ElfW(Dyn) *d = (const void *)(o->dlpi_addr + p->p_vaddr);

		for (; p->p_type == PT_DYNAMIC && d->d_tag != DT_NULL; d++)
			if (d->d_tag == DT_TEXTREL ||
			    (d->d_tag == DT_FLAGS && (d->d_un.d_val & DF_TEXTREL)))
				return true;
	}
	return false;
}

static int
trim_object(struct dl_phdr_info *o, size_t size, void *ctx)
{
	uintptr_t page = *(const uintptr_t *)ctx;

	(void)size;
	for (int i = 0; i < o->dlpi_phnum && !text_is_written(o); i++) {
		const ElfW(Phdr) *p = &o->dlpi_phdr[i];
		uintptr_t from = (o->dlpi_addr + p->p_vaddr + page - 1) & -page,
			  to = (o->dlpi_addr + p->p_vaddr + p->p_memsz) & -page;

		/* whole pages: the last one may be the next segment's first */
		if (p->p_type == PT_LOAD && !(p->p_flags & PF_W) && to > from)
			(void)madvise((void *)from, to - from, MADV_DONTNEED);
	}
	return 0;
}

void
trim_start(void)
{
	uintptr_t page = sysconf(_SC_PAGESIZE);

	dl_iterate_phdr(trim_object, &page);
	trim_heap();
}

void
trim_heap(void)
{
	malloc_trim(0);
}
