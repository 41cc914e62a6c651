/* write.h -- a write over the API, from what was sent to the object it would make.
 *
 * Pure.  The same decoding, defaults and rules as for manifests, and what only a write has:
 * the path it was sent to, the object it changes, what of it cannot be changed, and what is
 * Git's (own.h).  Nothing is stored here.
 */
#ifndef KEDGE_WRITE_H
#define KEDGE_WRITE_H
#include "object.h"

struct error;
struct pod_security_notes;
struct snapshot;

/* Fields that the kind does not have. */
enum write_fields { FIELDS_IGNORE, FIELDS_WARN, FIELDS_STRICT };

struct write {
	const struct resource *res;
	const char *ns, *name;     /* of the path; name "" when it is POSTed */
	const struct object *live; /* NULL: it is to be made */
	const struct tree *body;   /* the whole object, as sent or as patched */
	struct snapshot *s;        /* with now and seed; settings may be NULL */
	struct arena *a;
	enum write_fields fields;
	struct strs doubled; /* "data.a": what the body says twice */
	bool status;         /* of its status, labels and annotations, and nothing else */
	bool resize;         /* of a pod: cpu and memory of its containers, and nothing else */
	/* "web.yaml:7": where Git states the field; NULL: only the document's place is known.
	 * May be NULL itself. */
	const char *(*place)(void *ctx, const struct object *, const char *field,
			     struct arena *);
	void *place_ctx;
	/* What becomes of a change to what Git states: NULL: it is refused; "": it may become a
	 * commit; else why it cannot, though it should. */
	const char *back;
	struct pod_security_notes *notes; /* for the audit log; may be NULL */
	/* Made by write_check: */
	const char *owned;    /* the first field that Git states otherwise; NULL: none */
	struct object *obj;   /* what to store */
	void *sent;           /* the status that was sent, when it is one of the status */
	struct complaints cs; /* its errors are the causes of WHY_INVALID; its warnings are for
				 the client */
};

/* -1: refused, with why; WHY_INVALID then has its causes in `cs`. */
int write_check(struct write *, struct error **);
/* Is the body of the kind, and about the object, and its version, that the path says? */
int write_check_target(struct write *, struct error **);
/* May this be deleted?  What a commit states may not, but for pods, which come again. */
int write_may_delete(const struct object *, struct snapshot *, struct error **);
/* "deployments.apps", as Kubernetes' messages name a kind */
const char *write_plural(const struct resource *, struct arena *);

/* write_change.c */
void write_change_check(struct write *);
/* The body with what it leaves out and Kubernetes fills in from the object that lives, and
 * without what only came along with that. */
const struct tree *write_carry_over(struct write *, const struct tree *body);

/* write_status.c: what a write to the status may not change is left out, or is that of the
 * object that lives. */
struct tree *write_status_strip(const struct resource *, const struct tree *, struct arena *);
const struct tree *write_status_body(struct write *, const struct tree *body);
/* The status in the body; and with what of it is taken, the one to store. */
void *write_status_read(struct write *, const struct tree *body);
void *write_status_taken(struct write *, const void *was, void *sent);
#endif
