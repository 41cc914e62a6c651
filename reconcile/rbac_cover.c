/* rbac_cover.c -- nobody grants what they do not hold: rules against rules.
 *
 * What is wanted is broken down to one verb on one resource each, and each must be
 * covered by one rule that is held; what is not is told in Kubernetes' words.
 */
#include "base/arena.h"
#include "base/buf.h"
#include "rbac.h"
#include <stdlib.h>
#include <string.h>

enum { PARTS_MOST = 10000 }; /* of what is wanted; a rule of 3 MiB can have 10^17 */

/* One verb on one thing. */
struct part {
	const char *verb;
	bool on_url;
	const char *url; /* if so, else: */
	const char *group, *resource;
	const char *name; /* NULL: every one */
};

static bool
resource_covered(const struct strs *held, const char *resource)
{
	const char *slash = strchr(resource, '/');

	if (strs_has(held, "*") || strs_has(held, resource))
		return true;
	for (size_t i = 0; slash && i < held->n; i++)
		if (held->at[i][0] == '*' && !strcmp(held->at[i] + 1, slash))
			return true;
	return false;
}

static bool
url_covered(const struct strs *held, const char *url)
{
	for (size_t i = 0; i < held->n; i++) {
		size_t n = strlen(held->at[i]);

		if (!strcmp(held->at[i], url))
			return true;
		if (!n || held->at[i][n - 1] != '*')
			continue;
		while (n && held->at[i][n - 1] == '*')
			n--;
		if (!strncmp(held->at[i], url, n))
			return true;
	}
	return false;
}

static bool
covers(const struct policy_rule *r, const struct part *p)
{
	if (!strs_has(&r->verbs, "*") && !strs_has(&r->verbs, p->verb))
		return false;
	if (p->on_url)
		return !r->resourceNames.n && url_covered(&r->nonResourceURLs, p->url);
	return (strs_has(&r->apiGroups, "*") || strs_has(&r->apiGroups, p->group)) &&
	       resource_covered(&r->resources, p->resource) &&
	       (!r->resourceNames.n || (p->name && strs_has(&r->resourceNames, p->name)));
}

/* What is lacking, gathered to one row for each thing, with its verbs. */
struct lacking {
	struct part thing;
	struct buf verbs; /* "get" "list" */
};

struct escalation {
	const struct rbac_rules *held;
	struct lacking *at;
	size_t n;
	double parts; /* looked at, or what would have been */
};

static bool
same(const char *a, const char *b)
{
	return a == b || (a && b && !strcmp(a, b));
}

static void
add_lacking(struct escalation *x, const struct part *p)
{
	struct lacking *l;
	size_t i;

	for (i = 0; i < x->n; i++)
		if (same(x->at[i].thing.group, p->group) &&
		    same(x->at[i].thing.resource, p->resource) &&
		    same(x->at[i].thing.name, p->name) && same(x->at[i].thing.url, p->url))
			break;
	if (i == x->n) {
		x->at = xrealloc(x->at, (x->n + 1) * sizeof *x->at);
		x->at[x->n++] = (struct lacking){ *p, { 0 } };
	}
	l = &x->at[i];
	buf_addf(&l->verbs, "%s\"%s\"", l->verbs.len ? " " : "", p->verb);
}

static void
want(struct escalation *x, const struct part *p)
{
	for (size_t i = 0; i < x->held->n; i++)
		if (covers(x->held->at[i], p))
			return;
	add_lacking(x, p);
}

static bool
strs_within(const struct strs *held, const struct strs *wanted,
	    bool (*has)(const struct strs *, const char *))
{
	for (size_t i = 0; i < wanted->n; i++)
		if (!has(held, wanted->at[i]))
			return false;
	return true;
}

static bool
star_or_has(const struct strs *held, const char *s)
{
	return strs_has(held, "*") || strs_has(held, s);
}

/* Does the one rule cover each part of the other? */
static bool
covers_all(const struct policy_rule *held, const struct policy_rule *r)
{
	if (!strs_within(&held->verbs, &r->verbs, star_or_has))
		return false;
	if (r->nonResourceURLs.n &&
	    (held->resourceNames.n ||
	     !strs_within(&held->nonResourceURLs, &r->nonResourceURLs, url_covered)))
		return false;
	return !r->apiGroups.n || !r->resources.n ||
	       (strs_within(&held->apiGroups, &r->apiGroups, star_or_has) &&
		strs_within(&held->resources, &r->resources, resource_covered) &&
		(!held->resourceNames.n ||
		 (r->resourceNames.n &&
		  strs_within(&held->resourceNames, &r->resourceNames, strs_has))));
}

static double
parts_of(const struct policy_rule *r)
{
	double names = r->resourceNames.n ? (double)r->resourceNames.n : 1;

	return (double)r->verbs.n * ((double)r->apiGroups.n * (double)r->resources.n * names +
				     (double)r->nonResourceURLs.n);
}

static void
want_rule(struct escalation *x, const struct policy_rule *r)
{
	struct part p = { 0 };

	for (size_t i = 0; i < x->held->n; i++)
		if (covers_all(x->held->at[i], r))
			return;
	x->parts += parts_of(r);
	if (x->parts > PARTS_MOST)
		return;
	for (size_t g = 0; g < r->apiGroups.n; g++)
		for (size_t k = 0; k < r->resources.n; k++)
			for (size_t v = 0; v < r->verbs.n; v++) {
				p = (struct part){ .verb = r->verbs.at[v],
						   .group = r->apiGroups.at[g],
						   .resource = r->resources.at[k] };
				if (!r->resourceNames.n)
					want(x, &p);
				for (size_t i = 0; i < r->resourceNames.n; i++) {
					p.name = r->resourceNames.at[i];
					want(x, &p);
				}
			}
	for (size_t u = 0; u < r->nonResourceURLs.n; u++)
		for (size_t v = 0; v < r->verbs.n; v++) {
			p = (struct part){ .verb = r->verbs.at[v],
					   .on_url = true,
					   .url = r->nonResourceURLs.at[u] };
			want(x, &p);
		}
}

static char *
row_text(const struct lacking *l, struct arena *a)
{
	const struct part *p = &l->thing;

	if (p->url)
		return arena_printf(a, "{NonResourceURLs:[\"%s\"], Verbs:[%s]}", p->url,
				    buf_text(&l->verbs));
	return arena_printf(a, "{APIGroups:[\"%s\"], Resources:[\"%s\"]%s%s%s, Verbs:[%s]}",
			    p->group, p->resource, p->name ? ", ResourceNames:[\"" : "",
			    p->name ? p->name : "", p->name ? "\"]" : "", buf_text(&l->verbs));
}

static int
by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static const char *
told(const struct escalation *x, const struct user *u, struct arena *a)
{
	char **rows = arena_alloc(a, x->n * sizeof *rows);
	cleanup_buf struct buf b = { 0 };

	for (size_t i = 0; i < x->n; i++)
		rows[i] = row_text(&x->at[i], a);
	qsort(rows, x->n, sizeof *rows, by_text);
	buf_addf(&b, "user \"%s\" (groups=[", u->name);
	for (size_t i = 0; i < u->ngroups; i++)
		buf_addf(&b, "%s\"%s\"", i ? " " : "", u->groups[i]);
	buf_adds(&b, "]) is attempting to grant RBAC permissions not currently held:");
	for (size_t i = 0; i < x->n; i++)
		buf_addf(&b, "\n%s", rows[i]);
	return arena_strdup(a, buf_text(&b));
}

const char *
rbac_escalation(const struct rbac *r, const struct user *u, const char *ns,
		const struct rbac_rules *wanted, struct arena *a)
{
	struct rbac_rules held = rbac_rules_of(r, u, ns, a);
	struct escalation x = { .held = &held };
	const char *text = NULL;

	for (size_t i = 0; i < wanted->n; i++)
		want_rule(&x, wanted->at[i]);
	if (x.parts > PARTS_MOST)
		text =
		    arena_printf(a,
				 "user \"%s\" is attempting to grant more than %d RBAC "
				 "permissions that no single rule held covers: name fewer in "
				 "one role",
				 u->name, PARTS_MOST);
	else if (x.n)
		text = told(&x, u, a);
	for (size_t i = 0; i < x.n; i++)
		buf_done(&x.at[i].verbs);
	free(x.at);
	return text;
}
