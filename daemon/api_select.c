/* api_select.c -- labelSelector and fieldSelector. */
#include "api_call.h"
#include <string.h>

enum { TERMS_MOST = 32 }; /* each is held against each object of a list */

/* The fields that Kubernetes lets one select by; the first two go for every kind. */
static const struct {
	enum resource_id res;    /* RES_NONE: all */
	const char *path, *real; /* where it is in the object, when that differs */
	const char *absent;      /* the text of what is not there; NULL: "" */
} selectable[] = {
	{ RES_NONE, "metadata.name", NULL, NULL },
	{ RES_NONE, "metadata.namespace", NULL, NULL },
	{ RES_pod, "spec.nodeName", NULL, NULL },
	{ RES_pod, "spec.restartPolicy", NULL, NULL },
	{ RES_pod, "spec.schedulerName", NULL, NULL },
	{ RES_pod, "spec.serviceAccountName", NULL, NULL },
	{ RES_pod, "spec.hostNetwork", NULL, "false" },
	{ RES_pod, "status.phase", NULL, NULL },
	{ RES_pod, "status.podIP", NULL, NULL },
	{ RES_pod, "status.podIPs", "",
	  NULL }, /* taken, and "" in every pod, as in Kubernetes */
	{ RES_pod, "status.nominatedNodeName", NULL, NULL },
	{ RES_event, "involvedObject.kind", NULL, NULL },
	{ RES_event, "involvedObject.namespace", NULL, NULL },
	{ RES_event, "involvedObject.name", NULL, NULL },
	{ RES_event, "involvedObject.uid", NULL, NULL },
	{ RES_event, "involvedObject.apiVersion", NULL, NULL },
	{ RES_event, "involvedObject.resourceVersion", NULL, NULL },
	{ RES_event, "involvedObject.fieldPath", NULL, NULL },
	{ RES_event, "reason", NULL, NULL },
	{ RES_event, "reportingComponent", NULL, NULL },
	{ RES_event, "source", "source.component", NULL },
	{ RES_event, "type", NULL, NULL },
	{ RES_secret, "type", NULL, NULL },
	{ RES_node, "spec.unschedulable", NULL, "false" },
	{ RES_namespace, "status.phase", NULL, NULL },
	{ RES_service, "spec.clusterIP", NULL, NULL },
	{ RES_service, "spec.type", NULL, NULL },
	{ RES_replica_set, "status.replicas", NULL, "0" },
	{ RES_revision, "spec.source", NULL, NULL },
	{ RES_revision, "spec.commit", NULL, NULL },
	{ RES_revision, "status.outcome", NULL, NULL },
};

static bool
path_find(struct field_term *t, const struct resource *r, const char *name, size_t n)
{
	for (size_t i = 0; i < sizeof selectable / sizeof *selectable; i++) {
		if (selectable[i].res != RES_NONE && selectable[i].res != r->id)
			continue;
		if (strlen(selectable[i].path) != n || memcmp(selectable[i].path, name, n))
			continue;
		t->path = selectable[i].real ? selectable[i].real : selectable[i].path;
		t->absent = selectable[i].absent ? selectable[i].absent : "";
		return true;
	}
	return false;
}

/* "path=value", "path==value" or "path!=value" */
static int
term_read(struct field_term *t, const char *text, size_t n, const struct resource *r,
	  struct arena *a, struct error **e)
{
	size_t path = strcspn(text, "=!,");
	const char *value = text + path;

	if (path >= n)
		return fail(e, WHY_BAD_REQUEST,
			    "invalid field selector: \"%.*s\"; can't understand it", (int)n,
			    text);
	t->differs = *value == '!';
	value += t->differs;
	if (*value != '=')
		return fail(e, WHY_BAD_REQUEST,
			    "invalid field selector: \"%.*s\"; can't understand it", (int)n,
			    text);
	value += value[1] == '=' && !t->differs ? 2 : 1;
	if (!path_find(t, r, text, path))
		return fail(e, WHY_BAD_REQUEST, "field label not supported: %.*s", (int)path,
			    text);
	t->value = arena_strndup(a, value, text + n - value);
	return 0;
}

static int
fields_read(struct selection *s, struct call *c, const char *text, struct error **e)
{
	size_t n, cap = 1;

	for (const char *p = text; *p; p++)
		cap += *p == ',';
	if (cap > TERMS_MOST)
		return fail(e, WHY_BAD_REQUEST,
			    "invalid field selector: it has more than %d terms", TERMS_MOST);
	s->fields = arena_alloc(&c->arena, cap * sizeof *s->fields);
	for (; *text; text += n + (text[n] == ',')) {
		struct field_term *t = &s->fields[s->nfields];

		n = strcspn(text, ",");
		if (!n)
			continue;
		if (term_read(t, text, n, c->res, &c->arena, e) < 0)
			return -1;
		if (!strcmp(t->path, "metadata.name") && !t->differs)
			s->name = t->value;
		s->nfields++;
	}
	return 0;
}

int
selection_read(struct selection *s, struct call *c, struct error **e)
{
	const char *labels = call_query(c, "labelSelector");

	*s = (struct selection){ .ns = c->ns, .name = "" };
	if (*labels) {
		s->labels = selector_parse(labels, &c->arena, e);
		if (!s->labels)
			return -1;
	}
	return fields_read(s, c, call_query(c, "fieldSelector"), e);
}

bool
selection_has(const struct selection *s, const struct resource *r, const struct object *o,
	      struct arena *scratch)
{
	if (*s->ns && strcmp(object_namespace(o), s->ns))
		return false;
	if (*s->name && strcmp(object_name(o), s->name))
		return false;
	if (s->labels && !selector_matches(s->labels, &o->metadata->labels))
		return false;
	for (size_t i = 0; i < s->nfields; i++) {
		const struct field_term *t = &s->fields[i];
		const char *have = schema_text(r->schema, o, t->path, scratch);

		if (!strcmp(*have ? have : t->absent, t->value) == t->differs)
			return false;
	}
	return true;
}

struct objects
selection_slice(const struct selection *s, const struct call *c)
{
	struct snapshot snap = { 0 };

	store_view(c->api->store, &snap);
	return *s->ns ? snapshot_in(&snap, c->res->id, s->ns) : snap.of[c->res->id];
}
