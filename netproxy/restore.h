/* restore.h -- hands text to iptables-restore.
 *
 * The child reads its input from and writes its complaints to memory files, so
 * neither side can block the other; its pidfd becomes readable when it is done.
 */
#ifndef KEDGE_RESTORE_H
#define KEDGE_RESTORE_H
#include "tables.h"

struct restore {
	int pidfd; /* -1: none under way */
	int in, err;
	unsigned seconds; /* that it may take; 0: any */
	bool late;        /* the last one was killed for it */
};

/* Where iptables-restore is, and whose tables it writes; of IPv6 its sister beside it. */
int restore_find(const char *asked, bool v6, char **ret_path, enum tables_kind *ret,
		 struct error **);

/* It is killed when it takes more than so many seconds; 0: never. */
int restore_begin(struct restore *, const char *path, unsigned seconds, const struct buf *text,
		  struct error **);
/* "; that line is ...", of the n-th line, from 1; nothing when there is none. */
void restore_quote(const struct buf *text, unsigned line, struct buf *to);
/* Waits for the child.  The error has its words and the line they are about. */
int restore_end(struct restore *, struct error **);
#endif
