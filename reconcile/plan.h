/* plan.h -- what a controller wants done: values to print, test, send or apply.
 *
 * A controller may be cut short after any action, and the next pass resumes.
 */
#ifndef KEDGE_PLAN_H
#define KEDGE_PLAN_H
#include "object.h"

enum verb {
#define VERB(v, mark, word, who, body) ACT_##v,
#include "verbs.def"
#undef VERB
	ACT_COUNT
};

enum verb_who { VERB_STORE, VERB_HAND };

struct verb_facts {
	char mark;
	const char *word;
	enum verb_who who;
	const struct kind *(*body)(void); /* on the wire; NULL: the line is all */
};
extern const struct verb_facts verbs[ACT_COUNT];

struct action {
	enum verb verb;
	const char
	    *kind;      /* lower case singular: "pod", "replicaset", "service"; "" when none */
	const char *ns; /* "" for cluster-wide */
	const char *name; /* may carry a port: "web:http" */
	int64_t from, to; /* both 0 when there is no number to show */
	const char *why;  /* after the '#'; "" when none.  One line. */
	const void *body; /* by verb: an object, or one of wire.def's kinds; lives in the plan's
			     arena */
};

struct plan {
	struct arena *arena; /* bodies and strings; the caller's */
	struct action *at;
	size_t n, cap;
	int64_t again_at;  /* look again at this time (ms), 0 for "when something changes" */
	const char *waits; /* the first thing that must be gone before all of it can be done; or
			      NULL */
};

void plan_init(struct plan *, struct arena *);
void plan_add(struct plan *, struct action);
void plan_again(struct plan *, int64_t at); /* keeps the earliest */

/* "~ scale replicaset default/web-1 3 -> 2  # replaced" */
void action_print(const struct action *, struct buf *);
void plan_print(const struct plan *, struct buf *); /* a line an action */
/* The reverse, without the body.  Strings live in the arena. */
struct error;
int action_parse(const char *line, struct arena *, struct action *ret, struct error **);
#endif
