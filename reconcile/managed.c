/* managed.c -- who wrote which field: metadata.managedFields and server-side apply. */
#include "managed.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/text.h"
#include "fieldset.h"
#include "patch_tree.h"
#include <stdlib.h>
#include <string.h>

enum {
	MOST_UPDATES = 10, /* managers that update, as Kubernetes; the oldest are merged */
	MOST_ENTRIES = 64  /* of all kinds: each costs time at every write */
};

struct entry {
	const char *manager, *operation, *subresource, *time;
	struct tree *set;
};

struct entries {
	struct entry *at;
	size_t n;
};

/* Sets are maps all the way down. */
static bool
is_set(const struct tree *t)
{
	if (t->type != N_MAP)
		return false;
	for (const struct tree *kid = t->kids; kid; kid = kid->next)
		if (!is_set(kid))
			return false;
	return true;
}

static bool
is_entry(const struct tree *t)
{
	const struct tree *set = tree_get(t, "fieldsV1");
	const char *operation = tree_text(t, "operation", "");

	return t->type == N_MAP && set && is_set(set) && *tree_text(t, "manager", "") &&
	       (!strcmp(operation, "Apply") || !strcmp(operation, "Update"));
}

bool
managed_is_sound(const struct tree *t)
{
	if (t->type != N_LIST)
		return false;
	for (const struct tree *kid = t->kids; kid; kid = kid->next)
		if (!is_entry(kid))
			return false;
	return true;
}

static const struct tree *
list_of(const char *managed, struct arena *a)
{
	struct complaints none = { .arena = a };
	const struct tree *t =
	    managed && *managed ? json_read(managed, strlen(managed), a, &none) : NULL;

	return t && t->type == N_LIST ? t : NULL;
}

/* What is stated stays longest, then what is newest; of one second, by name as Kubernetes. */
static int
by_age(const void *a, const void *b)
{
	const struct entry *x = *(struct entry *const *)a, *y = *(struct entry *const *)b;
	int order = strcmp(y->operation, x->operation); /* "Update" before "Apply" */

	order = order ? order : strcmp(x->time, y->time);
	return order ? order : strcmp(x->manager, y->manager);
}

/* The `n` oldest of the `of` that `at` names become one, that of nobody in particular, as new
 * as the newest of them.  Those that are no more own nothing. */
static void
merge_oldest(struct entry **at, size_t of, size_t n, struct arena *a)
{
	struct tree **sets = arena_alloc(a, (n + 1) * sizeof *sets);

	qsort(at, of, sizeof *at, by_age);
	for (size_t i = 0; i < n; i++) {
		sets[i] = at[i]->set;
		at[i]->set = NULL;
	}
	at[0]->set = fieldset_union_all(sets, n, a);
	at[0]->manager = "ancient-changes";
	at[0]->operation = "Update";
	at[0]->subresource = "";
	at[0]->time = at[n - 1]->time;
}

static void
cap_entries(struct entries *l, struct arena *a)
{
	struct entry **at = arena_alloc(a, (l->n + 1) * sizeof *at);
	size_t n = 0;

	if (l->n <= MOST_ENTRIES)
		return;
	for (size_t i = 0; i < l->n; i++)
		at[i] = &l->at[i];
	merge_oldest(at, l->n, l->n - MOST_ENTRIES + 1, a);
	for (size_t i = 0; i < l->n; i++)
		if (l->at[i].set)
			l->at[n++] = l->at[i];
	l->n = n;
}

static struct entries
entries_read(const char *managed, struct arena *a)
{
	const struct tree *t = list_of(managed, a);
	struct entries l = { 0 };
	size_t n = 1;

	for (const struct tree *kid = t ? t->kids : NULL; kid; kid = kid->next)
		n++;
	l.at = arena_zalloc(a, (n + 1) * sizeof *l.at);
	for (const struct tree *kid = t ? t->kids : NULL; kid; kid = kid->next)
		if (is_entry(kid))
			l.at[l.n++] = (struct entry){ tree_text(kid, "manager", ""),
						      tree_text(kid, "operation", ""),
						      tree_text(kid, "subresource", ""),
						      tree_text(kid, "time", ""),
						      tree_copy(tree_get(kid, "fieldsV1"), a) };
	cap_entries(&l, a);
	return l;
}

/* Where nobody owns anything, whoever wrote last is still told: an object that was made here
 * can be told from one that was not. */
static const char *
entries_print(const struct entries *l, const struct entry *mine, const struct managed_by *by,
	      struct arena *a)
{
	cleanup_buf struct buf b = { 0 };
	bool any = false;

	for (size_t i = 0; i < l->n; i++)
		any = any || !fieldset_empty(l->at[i].set);
	for (size_t i = 0; i < l->n; i++) {
		const struct entry *e = &l->at[i];

		if (fieldset_empty(e->set) && (any || e != mine))
			continue;
		buf_adds(&b, b.len ? ",{\"manager\":" : "[{\"manager\":");
		tree_quote(e->manager, &b);
		buf_addf(&b,
			 ",\"operation\":\"%s\",\"apiVersion\":\"%s\",\"time\":", e->operation,
			 by->res->api_version);
		tree_quote(e->time, &b);
		buf_adds(&b, ",\"fieldsType\":\"FieldsV1\",\"fieldsV1\":");
		tree_json(e->set ? e->set : tree_empty(N_MAP, a), &b);
		if (*e->subresource) {
			buf_adds(&b, ",\"subresource\":");
			tree_quote(e->subresource, &b);
		}
		buf_addc(&b, '}');
	}
	buf_addc(&b, ']');
	return arena_strdup(a, buf_text(&b));
}

static const char *
sub_of(const struct managed_by *by)
{
	return by->subresource ? by->subresource : "";
}

/* The manager's own, made when there is none. */
static struct entry *
entry_of(struct entries *l, const struct managed_by *by, const char *operation)
{
	for (size_t i = 0; i < l->n; i++)
		if (!strcmp(l->at[i].manager, by->manager) &&
		    !strcmp(l->at[i].operation, operation) &&
		    !strcmp(l->at[i].subresource, sub_of(by)))
			return &l->at[i];
	l->at[l->n] = (struct entry){ by->manager, operation, sub_of(by), "", NULL };
	return &l->at[l->n++];
}

static const char *
now_text(const struct managed_by *by, struct arena *a)
{
	char text[40];

	time_print(by->now, false, text);
	return arena_strdup(a, text);
}

/* Managers come and go; the oldest of those that updated give way. */
static void
cap_updates(struct entries *l, struct arena *a)
{
	struct entry **at = arena_alloc(a, (l->n + 1) * sizeof *at);
	size_t n = 0;

	for (size_t i = 0; i < l->n; i++)
		if (!strcmp(l->at[i].operation, "Update") && !fieldset_empty(l->at[i].set))
			at[n++] = &l->at[i];
	if (n > MOST_UPDATES)
		merge_oldest(at, n, n - MOST_UPDATES + 1, a);
}

/* All that is owned, but for what `mine` (which may be NULL) owns. */
static struct tree *
all_but(const struct entries *l, const struct entry *mine, struct arena *a)
{
	struct tree **sets = arena_alloc(a, (l->n + 1) * sizeof *sets);
	size_t n = 0;

	for (size_t i = 0; i < l->n; i++)
		if (&l->at[i] != mine)
			sets[n++] = l->at[i].set;
	return fieldset_union_all(sets, n, a);
}

/* What `is` has that `was` (NULL: nothing) has otherwise.  Nobody owns a status but who writes
 * to it as such. */
static struct tree *
changed_by(const struct managed_by *by, const struct tree *was, const struct tree *is,
	   struct arena *a)
{
	const struct kind *k = by->res->schema;
	const struct tree *status = tree_get(is, "status");
	struct tree *set = fieldset_changed(k, was, is, a), *below;
	struct members m;

	if (strcmp(sub_of(by), "status") != 0 || !status || status->type != N_MAP)
		return set;
	below = fieldset_changed(schema_field(k, "status")->of(), tree_get(was, "status"),
				 status, a);
	if (fieldset_empty(below))
		return set;
	members_open(&m, a);
	members_add_all(&m, set);
	members_put(&m, "f:status", below);
	return members_close(&m, N_MAP);
}

const char *
managed_update(const struct managed_by *by, const char *managed, const struct tree *was,
	       const struct tree *is, struct arena *a)
{
	struct entries l = entries_read(managed, a);
	struct tree *changed = changed_by(by, was, is, a);
	struct tree *all = changed_by(by, NULL, is, a);
	struct tree *before = was ? changed_by(by, NULL, was, a) : NULL;
	struct tree *removed = before ? fieldset_minus(before, all, a) : NULL;
	struct entry *mine = entry_of(&l, by, "Update");

	for (size_t i = 0; i < l.n; i++) {
		l.at[i].set = fieldset_minus(l.at[i].set, removed, a);
		if (&l.at[i] != mine)
			l.at[i].set = fieldset_minus(l.at[i].set, changed, a);
	}
	if (!fieldset_empty(changed) || !*mine->time)
		mine->time = now_text(by, a);
	if (!fieldset_empty(changed))
		mine->set = fieldset_union(mine->set, changed, a);
	cap_updates(&l, a);
	return entries_print(&l, mine, by, a);
}

/* ---- applying ---- */

struct said {
	struct complaints *cs;
	const struct entry *e;
	const struct managed_by *by;
};

/* conflict with "kubectl" with subresource "scale" using apps/v1 at 2026-11-20T11:08:52Z */
static void
put_conflict(void *ctx, const char *path)
{
	struct said *s = ctx;
	bool update = !strcmp(s->e->operation, "Update");

	s->cs->path = s->e->manager;
	complain(s->cs, 0, 0, path, "conflict with \"%s\"%s%s%s%s%s%s%s", s->e->manager,
		 *s->e->subresource ? " with subresource \"" : "", s->e->subresource,
		 *s->e->subresource ? "\"" : "", update ? " using " : "",
		 update ? s->by->res->api_version : "", update && *s->e->time ? " at " : "",
		 update ? s->e->time : "");
}

/* What others own of what would change. */
static void
find_conflicts(struct entries *l, const struct managed_by *by, const struct entry *mine,
	       const struct tree *changed, bool force, struct managed_apply *ret,
	       struct arena *a)
{
	for (size_t i = 0; i < l->n; i++) {
		struct entry *e = &l->at[i];
		struct tree *both;

		if (e == mine || fieldset_empty(e->set))
			continue;
		both = fieldset_common(e->set, changed, a);
		if (fieldset_empty(both))
			continue;
		if (force)
			e->set = fieldset_minus(e->set, both, a);
		else
			fieldset_each(both, put_conflict,
				      &(struct said){ &ret->conflicts, e, by });
		ret->disputed = fieldset_union(ret->disputed, both, a);
	}
}

void
managed_apply(const struct managed_by *by, const char *managed, const struct tree *live,
	      const struct tree *applied, bool force, struct managed_apply *ret,
	      struct arena *a)
{
	const struct kind *k = by->res->schema;
	struct entries l = entries_read(managed, a);
	struct entry *mine = entry_of(&l, by, "Apply");
	struct tree *states = changed_by(by, NULL, applied, a);
	struct tree *changed = fieldset_common(changed_by(by, live, applied, a), states, a);
	struct tree *others, *gone;
	bool same;

	*ret = (struct managed_apply){ .conflicts = { .arena = a } };
	if (live)
		find_conflicts(&l, by, mine, changed, force, ret, a);
	others = all_but(&l, mine, a);
	ret->merged = live ? fieldset_merge(k, live, applied, a) : tree_copy(applied, a);
	gone = fieldset_minus(mine->set, states, a);
	if (live && !fieldset_empty(gone))
		ret->merged = fieldset_remove(k, ret->merged, gone, others, a);
	same =
	    live && mine->set && tree_same(mine->set, states) && tree_same(ret->merged, live);
	mine->set = states;
	if (!same)
		mine->time = now_text(by, a);
	/* What went is nobody's any more. */
	ret->managed = entries_print(&l, mine, by, a);
}

struct tree *
managed_all(const char *managed, struct arena *a)
{
	struct entries l = entries_read(managed, a);

	return all_but(&l, NULL, a);
}
