/* rbac_defaults.c -- the roles and bindings that are there from the start, and what is
 * gathered into one role from others.
 *
 * Repairing only adds, as Kubernetes does: what somebody granted beyond a default stays; an
 * object whose autoupdate annotation is "false" is left alone.
 */
#include "base/arena.h"
#include "base/text.h"
#include "rbac.h"
#include "snapshot.h"
#include <string.h>

static const char autoupdate[] = "rbac.authorization.kubernetes.io/autoupdate";

enum row_type { ROW_ROLE, ROW_RULE, ROW_URLS, ROW_BINDING };

static const struct row {
	enum row_type type;
	const char *a, *b, *c;
} rows[] = {
#define ROLE(name, label, gathers)     { ROW_ROLE, name, label, gathers },
#define RULE(verbs, groups, resources) { ROW_RULE, verbs, groups, resources },
#define URLS(verbs, urls)              { ROW_URLS, verbs, urls, "" },
#define BINDING(role, groups)          { ROW_BINDING, role, groups, "" },
#include "rbac_defaults.def"
};
enum { ROWS = sizeof rows / sizeof *rows };

/* The row of the i-th object; NULL: there are no more. */
static const struct row *
row_at(size_t i)
{
	for (size_t r = 0; r < ROWS; r++)
		if ((rows[r].type == ROW_ROLE || rows[r].type == ROW_BINDING) && i-- == 0)
			return &rows[r];
	return NULL;
}

size_t
rbac_defaults_count(void)
{
	size_t n = 0;

	while (row_at(n))
		n++;
	return n;
}

enum resource_id
rbac_default_of(size_t i, const char **ret_name)
{
	const struct row *r = row_at(i);

	*ret_name = r->a;
	return r->type == ROW_ROLE ? RES_cluster_role : RES_cluster_role_binding;
}

static struct strs
words(const char *text, struct arena *a)
{
	struct strs s = { arena_alloc(a, (strlen(text) / 2 + 1) * sizeof *s.at), 0 };

	for (size_t n; *text; text += n + (text[n] == ' ')) {
		n = strcspn(text, " ");
		s.at[s.n++] =
		    n == 4 && !memcmp(text, "core", 4) ? "" : arena_strndup(a, text, n);
	}
	return s;
}

static void
mark(struct object *o, const char *label, struct arena *a)
{
	pairs_set(&o->metadata->annotations, autoupdate, "true", a);
	pairs_set(&o->metadata->labels, "kubernetes.io/bootstrapping", "rbac-defaults", a);
	if (*label)
		pairs_set(&o->metadata->labels, label, "true", a);
}

static struct cluster_role *
make_role(const struct row *row, struct arena *a)
{
	struct cluster_role *r = object_new(RES_cluster_role, "", row->a, a);
	struct label_selector *s;

	mark((struct object *)r, row->b, a);
	r->rules.at = arena_zalloc(a, ROWS * sizeof *r->rules.at);
	for (const struct row *w = row + 1;
	     w < rows + ROWS && (w->type == ROW_RULE || w->type == ROW_URLS); w++) {
		struct policy_rule *rule = &r->rules.at[r->rules.n++];

		rule->verbs = words(w->a, a);
		if (w->type == ROW_URLS) {
			rule->nonResourceURLs = words(w->b, a);
			continue;
		}
		rule->apiGroups = words(w->b, a);
		rule->resources = words(w->c, a);
	}
	if (!*row->c)
		return r;
	r->aggregationRule = arena_zalloc(a, sizeof *r->aggregationRule);
	s = arena_zalloc(a, sizeof *s);
	pairs_set(&s->matchLabels, row->c, "true", a);
	r->aggregationRule->clusterRoleSelectors.at = s;
	r->aggregationRule->clusterRoleSelectors.n = 1;
	return r;
}

static struct cluster_role_binding *
make_binding(const struct row *row, struct arena *a)
{
	struct cluster_role_binding *b = object_new(RES_cluster_role_binding, "", row->a, a);
	struct strs groups = words(row->b, a);

	mark((struct object *)b, "", a);
	b->roleRef = arena_zalloc(a, sizeof *b->roleRef);
	*b->roleRef =
	    (struct role_ref){ .apiGroup = RBAC_GROUP, .kind = "ClusterRole", .name = row->a };
	b->subjects.at = arena_zalloc(a, groups.n * sizeof *b->subjects.at);
	for (size_t i = 0; i < groups.n; i++)
		b->subjects.at[b->subjects.n++] = (struct subject){ .kind = "Group",
								    .apiGroup = RBAC_GROUP,
								    .name = groups.at[i] };
	return b;
}

/* ---- repairing ---- */

static bool
add_marks(struct object *to, const struct object *from, struct arena *a)
{
	const struct pairs *want = &from->metadata->labels;
	bool changed = false;

	for (size_t i = 0; i < want->n; i++)
		if (!str_is(pairs_get(&to->metadata->labels, want->at[i].key),
			    want->at[i].value)) {
			pairs_set(&to->metadata->labels, want->at[i].key, want->at[i].value, a);
			changed = true;
		}
	return changed;
}

static bool
add_rules(struct cluster_role *to, const struct policy_rule *from, size_t n, struct arena *a)
{
	struct policy_rule *at = arena_zalloc(a, (to->rules.n + n + 1) * sizeof *at);
	size_t had = to->rules.n;

	if (had)
		memcpy(at, to->rules.at, had * sizeof *at);
	to->rules.at = at;
	for (size_t i = 0; i < n; i++) {
		bool there = false;

		for (size_t k = 0; !there && k < to->rules.n; k++)
			there = schema_equal(policy_rule_kind(), &at[k], &from[i]);
		if (!there)
			at[to->rules.n++] = from[i];
	}
	return to->rules.n != had;
}

static bool
add_subjects(struct cluster_role_binding *to, const struct cluster_role_binding *from,
	     struct arena *a)
{
	size_t had = to->subjects.n;
	struct subject *at = arena_zalloc(a, (had + from->subjects.n) * sizeof *at);

	if (had)
		memcpy(at, to->subjects.at, had * sizeof *at);
	to->subjects.at = at;
	for (size_t i = 0; i < from->subjects.n; i++) {
		bool there = false;

		for (size_t k = 0; !there && k < to->subjects.n; k++)
			there = schema_equal(subject_kind(), &at[k], &from->subjects.at[i]);
		if (!there)
			at[to->subjects.n++] = from->subjects.at[i];
	}
	return to->subjects.n != had;
}

const struct object *
rbac_default_repaired(size_t i, const struct object *live, struct arena *a)
{
	const struct row *row = row_at(i);
	bool role = row->type == ROW_ROLE, changed;
	struct object *want =
	    role ? (struct object *)make_role(row, a) : (struct object *)make_binding(row, a);
	struct object *is;

	if (!live)
		return want;
	if (str_is(object_annotation(live, autoupdate), "false"))
		return NULL;
	is = object_clone(live, a);
	changed = add_marks(is, want, a);
	if (role) {
		struct cluster_role *w = (struct cluster_role *)want,
				    *r = (struct cluster_role *)is;

		if (w->aggregationRule && !r->aggregationRule) {
			r->aggregationRule = w->aggregationRule;
			changed = true;
		}
		changed = add_rules(r, w->rules.at, w->rules.n, a) || changed;
	} else {
		struct cluster_role_binding *w = (struct cluster_role_binding *)want,
					    *b = (struct cluster_role_binding *)is;

		/* A roleRef cannot be changed: one that leads elsewhere is made anew. */
		if (!schema_equal(role_ref_kind(), w->roleRef, b->roleRef)) {
			b->roleRef = w->roleRef;
			changed = true;
		}
		changed = add_subjects(b, w, a) || changed;
	}
	return changed ? is : NULL;
}

/* ---- aggregation ---- */

static bool
selected(const struct aggregation_rule *r, const struct object *o)
{
	for (size_t i = 0; i < r->clusterRoleSelectors.n; i++)
		if (selector_matches(&r->clusterRoleSelectors.at[i], &o->metadata->labels))
			return true;
	return false;
}

const struct cluster_role *
rbac_aggregated(const struct cluster_role *r, const struct objects *all, struct arena *a)
{
	struct cluster_role *out = object_clone(r, a);

	if (!r->aggregationRule)
		return NULL;
	out->rules.at = NULL;
	out->rules.n = 0;
	for (size_t i = 0; i < all->n; i++) {
		const struct cluster_role *from = (const struct cluster_role *)all->at[i];

		if (strcmp(object_name(from), object_name(r)) != 0 &&
		    selected(r->aggregationRule, all->at[i]))
			add_rules(out, from->rules.at, from->rules.n, a);
	}
	return schema_equal(cluster_role_kind(), r, out) ? NULL : out;
}
