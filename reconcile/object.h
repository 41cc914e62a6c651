/* object.h -- the resources: what has a name, a place in the API, and a row in
 * resources.def.
 *
 * Every resource struct begins as `struct object` does (checked at compile
 * time), so that code which only needs metadata takes a `struct object *`.
 */
#ifndef KEDGE_OBJECT_H
#define KEDGE_OBJECT_H
#include "schema.h"

enum resource_id {
#define RESOURCE(k, K, ...) RES_##k,
#include "resources.def"
#undef RESOURCE
	RES_COUNT,
	RES_NONE = RES_COUNT
};

struct resource {
	enum resource_id id;
	const char *kind;                       /* "Deployment" */
	const char *group;                      /* "apps", "" for core */
	const char *version;                    /* "v1" */
	const char *api_version;                /* "apps/v1" */
	const char *plural, *singular, *shorts; /* shorts: space separated */
	bool namespaced;
	const char *category; /* "all" or "" */
	const struct kind *schema;
};

struct object {
	uint64_t set;
	const char *apiVersion;
	const char *kind;
	struct object_meta *metadata;
};

extern const struct resource resources[RES_COUNT];
const struct resource *resource_of(const void *obj); /* by apiVersion and kind; asserts */
const struct resource *resource_find(const char *api_version, const char *kind); /* or NULL */
/* What a user types: pods, pod, po, Pod, deployments.apps; or NULL. */
const struct resource *resource_named(const char *word);

const char *object_name(const void *obj);
const char *object_namespace(const void *obj); /* "" for cluster-wide kinds */
const char *object_uid(const void *obj);       /* "" when it has none yet */
/* "default/web", or "web" for cluster-wide kinds */
const char *object_path(const void *obj, struct arena *);
void *object_clone(const void *obj, struct arena *);
void object_json(const void *obj, struct buf *);
struct tree *object_tree(const void *obj, struct arena *); /* the same, to be walked */
/* A new object of this kind with metadata, apiVersion and kind filled in. */
void *object_new(enum resource_id, const char *ns, const char *name, struct arena *);
/* Have objects of this kind a generation?  Of those with a spec, not all have in Kubernetes. */
bool object_is_numbered(const struct resource *);
/* Does their spec differ?  That is what raises it. */
bool object_spec_differs(const void *a, const void *b);
int object_compare(const void *a, const void *b); /* by namespace, then name */

/* Begins the labels and annotations by which kedge itself knows where an object is from. */
#define KEDGE_KEYS "kedge.dev/"
const char *object_label(const void *obj, const char *key);                      /* or NULL */
const char *object_annotation(const void *obj, const char *key);                 /* or NULL */
const struct owner_reference *object_controller(const void *obj);                /* or NULL */
const struct owner_reference *object_owned_by(const void *obj, const char *uid); /* or NULL */
#define EVENT_REPORTER "kedge" /* the reportingComponent of kedge's own Events */
bool object_is_own_event(const struct event *);
/* The finalizer of what was deleted in the foreground: it stays until its dependents are gone.
 */
#define FINALIZER_FOREGROUND "foregroundDeletion"

/* selector.c: labels.Selector as matchLabels, matchExpressions or the text
 * that kubectl sends ("app=web,tier in (a,b),!x"). */
bool selector_matches(const struct label_selector *, const struct pairs *labels);
bool selector_map_matches(const struct pairs *selector, const struct pairs *labels);
/* One of its terms holds: by the node's labels, and its name as the field metadata.name. */
bool selector_node_matches(const struct node_selector *, const struct node *);
bool selector_empty(const struct label_selector *);
struct error;
struct label_selector *selector_parse(const char *text, struct arena *, struct error **);
char *selector_print(const struct label_selector *, struct arena *);

/* manifest.c: a file of manifests -> objects, in file order, List kinds
 * expanded, each with its place.  Namespaces are defaulted.  All complaints
 * are added; a file with errors still yields what could be read. */
struct manifest_place { /* of a field that only others' objects can be at odds with */
	const char *field;
	int line, col;
};
struct manifest {
	struct object *obj;
	const struct resource *res;
	const char *path;
	int line, col; /* of the document */
	const struct manifest_place *places;
	size_t nplaces;
	struct manifest *next;
};
/* Where it states "spec.clusterIP" or the like; the document's place when that was not kept. */
void manifest_at(const struct manifest *, const char *field, int *ret_line, int *ret_col);
struct manifest *manifest_read(const char *path, const char *text, size_t len, struct arena *,
			       struct complaints *);
/* NULL, or what is wrong with this name for an object of the kind. */
const char *manifest_name_rule(const struct resource *, const char *name, struct arena *);
/* true for *.yaml, *.yml, *.json that no dot-file or dot-folder holds */
bool manifest_wanted(const char *path);
/* Rules across objects of one revision: the same object twice. */
void manifests_check(struct manifest *const *, size_t n, struct complaints *);
#endif
