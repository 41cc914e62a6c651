/* manifest.c -- a file of manifests to objects, each with its place.
 *
 * What cannot be an object is a complaint: a file is never silently smaller
 * than it looks, for what is missing from a revision is pruned.
 */
#include "base/arena.h"
#include "base/buf.h"
#include "base/map.h"
#include "object.h"
#include "rules.h"
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

struct files {
	const char *path;
	struct arena *a;
	struct complaints *cs;
	struct manifest **tail;
	bool kinds_told; /* the list of all kinds is long: once a file */
};

/* These describe the host and its sources; a repository cannot make them up. */
static bool
is_kedges_own(const struct resource *r)
{
	return r->id == RES_node || r->id == RES_event || r->id == RES_source ||
	       r->id == RES_revision;
}

static const char *
known_kinds(struct arena *a)
{
	cleanup_buf struct buf b = { 0 };

	for (const struct resource *r = resources; r < resources + RES_COUNT; r++)
		if (!is_kedges_own(r))
			buf_addf(&b, "%s%s (%s)", b.len ? ", " : "", r->kind, r->api_version);
	return arena_strdup(a, buf_text(&b));
}

/* "Deploymnet", "deployment": what was meant?  A letter or two off, in any case. */
static const struct resource *
meant(const char *kind)
{
	const struct resource *best = NULL;
	size_t n = strlen(kind), most = 3;

	for (const struct resource *r = resources; r < resources + RES_COUNT; r++) {
		size_t len = strlen(r->kind), head = 0, tail = 0, off;

		while (head < n && head < len &&
		       tolower((unsigned char)kind[head]) ==
			   tolower((unsigned char)r->kind[head]))
			head++;
		while (tail + head < n && tail + head < len &&
		       tolower((unsigned char)kind[n - 1 - tail]) ==
			   tolower((unsigned char)r->kind[len - 1 - tail]))
			tail++;
		off = (n > len ? n : len) - head - tail;
		if (off < most && head + tail > 2) {
			most = off;
			best = r;
		}
	}
	return best;
}

static void
unknown_kind(struct files *f, const struct tree *t, const char *api, const char *kind)
{
	const struct tree *at = tree_get(t, "kind");
	const struct resource *r = meant(kind);

	if (r && !strcmp(r->kind, kind)) {
		at = tree_get(t, "apiVersion");
		complain(
		    f->cs, at->line, at->col, "apiVersion",
		    "no matches for kind \"%s\" in version \"%.100s\", did you mean \"%s\"?",
		    kind, api, r->api_version);
	} else if (!strcmp(kind, "Kustomization")) {
		complain(
		    f->cs, at->line, at->col, "kind",
		    "kedge builds no Kustomization: commit what `kubectl kustomize` prints, "
		    "and name this file in .kedgeignore");
	} else if (r) {
		complain(f->cs, at->line, at->col, "kind",
			 "no matches for kind \"%.100s\" in version \"%.100s\", did you mean "
			 "\"%s\" (%s)?",
			 kind, api, r->kind, r->api_version);
	} else {
		complain(f->cs, at->line, at->col, "kind",
			 "no matches for kind \"%.100s\" in version \"%.100s\"%s%s", kind, api,
			 f->kinds_told ? "" : "; kedge knows ",
			 f->kinds_told ? "" : known_kinds(f->a));
		f->kinds_told = true;
	}
}

const char *
manifest_name_rule(const struct resource *r, const char *name, struct arena *a)
{
	if (r->id == RES_service)
		return is_dns1035_label(name, a);
	if (!strcmp(r->group, "rbac.authorization.k8s.io") || r->id == RES_event)
		return is_path_segment(name, a);
	return r->id == RES_namespace ? is_label(name, a) : is_subdomain(name, a);
}

static void
check_name(struct files *f, const struct resource *r, const struct object *o,
	   const struct tree *t)
{
	const struct tree *m = tree_get(t, "metadata"), *at = tree_get(m, "name");
	const char *why;

	if (!o->metadata->name || !*o->metadata->name) {
		if (at || tree_get(m, "generateName"))
			complain(f->cs, m->line, m->col, "metadata.name",
				 "Required value: an object from a file needs a fixed name");
		else
			complain(f->cs, m->line, m->col, "metadata.name",
				 "Required value: name or generateName is required");
		return;
	}
	why = manifest_name_rule(r, o->metadata->name, f->a);
	if (why)
		complain(f->cs, at->line, at->col, "metadata.name",
			 "Invalid value: \"%.300s\": %s", o->metadata->name, why);
}

static void
place_in_namespace(struct files *f, const struct resource *r, struct object *o,
		   const struct tree *t)
{
	const struct tree *at = tree_get(tree_get(t, "metadata"), "namespace");
	struct object_meta *m = o->metadata;

	if (r->namespaced) {
		if (!m->namespace || !*m->namespace)
			m->namespace = "default";
	} else if (m->namespace && *m->namespace) {
		complain(f->cs, at->line, at->col, "metadata.namespace",
			 "Forbidden: not allowed on this type, a %s belongs to no namespace",
			 r->kind);
		m->namespace = NULL;
	}
}

static void
place_note(struct manifest *m, const struct tree *t, const char *field)
{
	struct manifest_place *at = (struct manifest_place *)m->places;
	const struct tree *x = tree_at(t, field);

	if (!x || !x->key || strcmp(x->key, strrchr(field, '.') + 1))
		return; /* it is not stated */
	at[m->nplaces++] = (struct manifest_place){ field, x->line, x->col };
}

/* What apply has to say of a field once the tree is gone; of the rest the document's place is
 * told. */
static void
places_note(struct files *f, struct manifest *m, const struct tree *t)
{
	static const char *const fields[] = { "spec.clusterIP", "spec.clusterIPs",
					      "spec.externalIPs", "spec.ipFamilies",
					      "spec.ipFamilyPolicy" };
	const struct service *svc = (const void *)m->obj;
	bool is_service = m->res->id == RES_service;
	size_t n = is_service && svc->spec ? svc->spec->ports.n : 0,
	       named = is_service ? sizeof fields / sizeof *fields : 0;

	m->places = arena_alloc(f->a, (1 + named + n) * sizeof *m->places);
	place_note(m, t, "spec.selector");
	for (size_t i = 0; i < named; i++)
		place_note(m, t, fields[i]);
	for (size_t i = 0; i < n; i++)
		place_note(m, t, arena_printf(f->a, "spec.ports[%zu].nodePort", i));
}

void
manifest_at(const struct manifest *m, const char *field, int *ret_line, int *ret_col)
{
	*ret_line = m->line;
	*ret_col = m->col;
	for (size_t i = 0; field && i < m->nplaces; i++) {
		size_t len = strlen(m->places[i].field);

		/* of an item of a list: where the list is */
		if (!strncmp(m->places[i].field, field, len) &&
		    (!field[len] || field[len] == '[')) {
			*ret_line = m->places[i].line;
			*ret_col = m->places[i].col;
		}
	}
}

static void
read_object(struct files *f, const struct tree *t, const char *api, const char *kind)
{
	const struct resource *r = resource_find(api, kind);
	const struct tree *at = tree_get(t, "kind");
	int errors = f->cs->errors;
	struct manifest *m;
	struct object *o;

	if (!r) {
		unknown_kind(f, t, api, kind);
		return;
	}
	if (is_kedges_own(r)) {
		complain(f->cs, at ? at->line : t->line, at ? at->col : t->col, "kind",
			 "kedge makes %s objects itself: take it out of the file", kind);
		return;
	}
	o = schema_decode(r->schema, t, SCHEMA_STRICT, f->a, f->cs);
	if (o->metadata && tree_get(t, "metadata")->type == N_MAP) {
		check_name(f, r, o, t);
		place_in_namespace(f, r, o, t);
	}
	if (errors != f->cs->errors)
		return;
	m = arena_zalloc(f->a, sizeof *m);
	*m = (struct manifest){ o, r, f->path, t->line, t->col };
	places_note(f, m, t);
	*f->tail = m;
	f->tail = &m->next;
}

static void read_document(struct files *, const struct tree *, const char *list_api,
			  const char *list_kind);

/* List, or PodList and the like: its items may leave out what the list says. */
static void
read_list(struct files *f, const struct tree *t, const char *api, const char *kind)
{
	const struct tree *items = tree_get(t, "items");
	size_t n = strlen(kind) - strlen("List");
	const char *of = n ? arena_strndup(f->a, kind, n) : NULL;

	if (!items || items->type == N_NULL)
		return;
	if (items->type != N_LIST) {
		complain(f->cs, items->line, items->col, "items", "must be a list");
		return;
	}
	for (const struct tree *item = items->kids; item; item = item->next)
		read_document(f, item, of ? api : NULL, of);
}

static bool
is_list(const char *api, const char *kind)
{
	size_t n = strlen(kind);

	if (n < 4 || strcmp(kind + n - 4, "List"))
		return false;
	if (n == 4)
		return !strcmp(api, "v1");
	for (const struct resource *r = resources; r < resources + RES_COUNT; r++)
		if (strlen(r->kind) == n - 4 && !strncmp(r->kind, kind, n - 4))
			return !strcmp(r->api_version, api);
	return false;
}

/* An item of a typed list, with the kind that the list gave it. */
static const struct tree *
with_type(struct files *f, const struct tree *t, const char *api, const char *kind)
{
	struct tree *v = arena_zalloc(f->a, 3 * sizeof *v);

	v[0] = (struct tree){ .type = N_STRING, .key = "apiVersion", .text = api };
	v[1] = (struct tree){ .type = N_STRING, .key = "kind", .text = kind };
	v[2] = *t;
	for (int i = 0; i < 2; i++) {
		v[i].line = v[i].key_line = t->line;
		v[i].col = v[i].key_col = t->col;
	}
	v[0].next = &v[1];
	v[1].next = t->kids;
	v[2].kids = v;
	return &v[2];
}

static void
read_document(struct files *f, const struct tree *t, const char *list_api,
	      const char *list_kind)
{
	const char *api, *kind;
	const struct tree *at;

	if (t->type == N_NULL)
		return; /* nothing between two `---` */
	if (t->type != N_MAP) {
		complain(f->cs, t->line, t->col, NULL,
			 "must be an object (apiVersion: ..., kind: ..., metadata: ...)");
		return;
	}
	if (list_kind && !tree_get(t, "kind") && !tree_get(t, "apiVersion"))
		t = with_type(f, t, list_api, list_kind);
	api = tree_text(t, "apiVersion", "");
	kind = tree_text(t, "kind", "");
	if (!tree_get(t, "apiVersion") && !tree_get(t, "kind")) {
		complain_softly(f->cs, t->line, t->col, NULL,
				"skipped: it has no apiVersion and no kind");
		return;
	}
	if (!*api || !*kind) {
		at = tree_get(t, *api ? "kind" : "apiVersion");
		complain(f->cs, at ? at->line : t->line, at ? at->col : t->col,
			 *api ? "kind" : "apiVersion",
			 at ? "must be a string" : "Required value");
		return;
	}
	if (is_list(api, kind))
		read_list(f, t, api, kind);
	else
		read_object(f, t, api, kind);
}

/* JSON may write a letter beyond 16 bits as two halves, which YAML's reader
 * refuses; such a file is read as JSON, at the price of its places. */
static struct tree *
read_text(struct files *f, const char *text, size_t len)
{
	const char *dot = strrchr(f->path, '.');

	if (dot && !strcmp(dot, ".json") && len < 3 << 20 &&
	    (memmem(text, len, "\\ud", 3) || memmem(text, len, "\\uD", 3)))
		return json_read(text, len, f->a, f->cs);
	return yaml_read(text, len, f->a, f->cs);
}

struct manifest *
manifest_read(const char *path, const char *text, size_t len, struct arena *a,
	      struct complaints *cs)
{
	struct manifest *first = NULL;
	struct files f = { arena_strdup(a, path), a, cs, &first };
	const char *before = cs->path;

	/* A complaint may outlive the manifests. */
	cs->path = before == path ? path : arena_strdup(cs->arena, path);
	for (const struct tree *t = read_text(&f, text, len); t; t = t->next)
		read_document(&f, t, NULL, NULL);
	cs->path = before;
	return first;
}

bool
manifest_wanted(const char *path)
{
	const char *dot;

	for (const char *p = path;; p++) {
		if (*p == '.' && strncmp(p, "./", 2) != 0)
			return false;
		p += strcspn(p, "/");
		if (!*p)
			break;
	}
	dot = strrchr(path, '.');
	return dot && dot != path && dot[-1] != '/' &&
	       (!strcmp(dot, ".yaml") || !strcmp(dot, ".yml") || !strcmp(dot, ".json"));
}

void
manifests_check(struct manifest *const *at, size_t n, struct complaints *cs)
{
	struct map seen = { 0 };
	cleanup_buf struct buf key = { 0 };
	const char *before = cs->path;

	for (size_t i = 0; i < n; i++) {
		struct manifest *m = at[i], *first;

		buf_clear(&key);
		buf_addf(&key, "%d/%s/%s", m->res->id, object_namespace(m->obj),
			 object_name(m->obj));
		first = map_get(&seen, buf_text(&key));
		if (!first) {
			map_put(&seen, buf_text(&key), m);
			continue;
		}
		cs->path = m->path;
		complain(cs, m->line, m->col, NULL, "%s %s is already in %s:%d", m->res->kind,
			 object_path(m->obj, cs->arena), first->path, first->line);
	}
	cs->path = before;
	map_done(&seen);
}
