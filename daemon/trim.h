/* trim.h -- memory that is not needed any more, back to the host. */
#ifndef KEDGE_TRIM_H
#define KEDGE_TRIM_H

/* When the start is over: most pages of the libraries were only read to link and to
 * initialize them, by kedged's processes in turn.  What is used again comes back from
 * the page cache by itself. */
void trim_start(void);
/* After a burst: what malloc holds and nobody uses. */
void trim_heap(void);
#endif
