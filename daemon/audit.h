/* audit.h -- who asked for what, as lines of audit.k8s.io/v1 in a file.
 *
 * A line is kept in memory and written after the answer is on its way; when a megabyte waits
 * for a disk that does not take it, lines are dropped and counted, and the next one that is
 * written says so in the log.  NULL for struct audit: nothing is kept.
 */
#ifndef KEDGE_AUDIT_H
#define KEDGE_AUDIT_H
#include <stdint.h>

struct audit;
struct buf;
struct error;
struct event_base;

struct audit_settings {
	const char *path;  /* NULL or "": none; path.1 is the newest of the older ones */
	int64_t max_size;  /* bytes; then the file is rotated */
	int64_t max_files; /* with the one that is written to */
};

int audit_open(struct event_base *, const struct audit_settings *, struct audit **ret,
	       struct error **);
void audit_close(struct audit *);                       /* writes what is left */
void audit_add(struct audit *, const struct buf *line); /* one JSON value, no newline */
#endif
