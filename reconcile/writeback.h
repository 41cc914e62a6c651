/* writeback.h -- a write to what Git states, as a commit that says the same.
 *
 * Pure.  Of an object that lives, what a write would make of it, and the text of the file that
 * states it: the splices that make the file say so, what the commit is called, and the object
 * that lives once it is applied.
 */
#ifndef KEDGE_WRITEBACK_H
#define KEDGE_WRITEBACK_H
#include "amend.h"
#include "object.h"

struct error;

struct writeback {
	const struct object *live, *want;
	const char *path, *text; /* of the file, as the branch has it */
	size_t len;
	/* It is what lives; else a newer commit waits to be applied, and only what the write
	 * changes is looked at. */
	bool in_force;
	struct arena *arena;
	/* Made: */
	struct amend amend;  /* its splices */
	const char *subject; /* "deployment default/web: spec.replicas 3 -> 5" */
	const char *changes; /* each on a line of its own, of several; else "" */
	int line;            /* of the document */
	bool emptied;        /* nothing is left in the file: it goes */
	bool mixed;          /* the write changes more, which Git does not state */
};

/* -1: WHY_OWNED: the text cannot be changed so, and why; WHY_CONFLICT: it is not there. */
int writeback_make(struct writeback *, struct error **);
/* The same of a DELETE: its document goes; `want` does not count. */
int writeback_remove(struct writeback *, struct error **);

/* A JSON merge patch that makes `is` of `was`. */
struct tree *writeback_patch(const struct tree *was, const struct tree *is, struct arena *);
/* "Name <mail>" of an API's user, without what a commit's author cannot have. */
const char *writeback_author(const char *user, struct arena *);
#endif
