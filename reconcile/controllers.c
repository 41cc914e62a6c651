/* controllers.c -- one pass: every controller over every object it looks after.
 *
 * The controllers read one snapshot and know nothing of each other's actions,
 * so two may want to write one object.  The first write stands and the others
 * are left out: they would carry a version that is no longer the stored one.
 * What was left out comes with the next pass, as after any plan that was cut.
 */
#include "controllers.h"
#include "base/map.h"
#include "namespace.h"
#include "workload.h"

struct written {
	const struct action **at; /* open addressing; NULL: empty */
	size_t cap;               /* a power of two */
};

static const struct action **
slot(const struct written *w, const struct action *a)
{
	uint64_t h = hash_secret(a->name, strlen(a->name));

	h = hash_hard(hash_hard(h, a->kind, strlen(a->kind)), a->ns, strlen(a->ns));

	for (size_t i = h & (w->cap - 1);; i = (i + 1) & (w->cap - 1)) {
		const struct action *b = w->at[i];

		if (!b || (!strcmp(a->kind, b->kind) && !strcmp(a->ns, b->ns) &&
			   !strcmp(a->name, b->name)))
			return &w->at[i];
	}
}

/* START for what is deleted in the same pass would be for nothing. */
static bool
is_moot(const struct action *a, const struct action *first)
{
	if (!first)
		return false;
	if (verbs[a->verb].who == VERB_STORE)
		return a->verb != ACT_EVENT;
	return a->verb == ACT_START && first->verb == ACT_DELETE;
}

static void
one_write_each(struct plan *p, size_t from)
{
	struct written w = { .cap = 16 };
	size_t n = from;

	if (p->n - from < 2)
		return;
	while (w.cap < 2 * (p->n - from))
		w.cap *= 2;
	w.at = arena_zalloc(p->arena, w.cap * sizeof *w.at);
	for (size_t i = from; i < p->n; i++) {
		const struct action **first = slot(&w, &p->at[i]);

		if (is_moot(&p->at[i], *first))
			continue;
		p->at[n] = p->at[i];
		if (!*first && verbs[p->at[n].verb].who == VERB_STORE &&
		    p->at[n].verb != ACT_EVENT)
			*first = &p->at[n];
		n++;
	}
	p->n = n;
}

/* Rules take effect together: one COMMIT after the last of their changes. */
static void
commit_rules(struct plan *p)
{
	bool open = false;

	for (size_t i = 0; i < p->n; i++)
		if (p->at[i].verb == ACT_PROGRAM || p->at[i].verb == ACT_RETIRE ||
		    p->at[i].verb == ACT_ADMIT || p->at[i].verb == ACT_ISOLATE ||
		    p->at[i].verb == ACT_RELEASE)
			open = true;
		else if (p->at[i].verb == ACT_COMMIT)
			open = false;
	if (open)
		plan_add(p,
			 (struct action){ .verb = ACT_COMMIT, .kind = "rules", .name = "all" });
}

void
controllers_run(struct snapshot *s, struct plan *p)
{
	size_t from = p->n;

	namespace_ensure(s, p);
	node_ensure(s, p);
	volume_class_ensure(s, p);
#define CONTROLLER(k, fn)                             \
	for (size_t i = 0; i < s->of[RES_##k].n; i++) \
		fn(s, (const struct k *)s->of[RES_##k].at[i], p);
#include "controllers.def"
#undef CONTROLLER
	garbage_reconcile(s, p);
	commit_rules(p);
	one_write_each(p, from);
}
