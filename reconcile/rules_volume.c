/* rules_volume.c -- what Kubernetes demands of a pod's volumes. */
#include "base/arena.h"
#include "base/map.h"
#include "base/text.h"
#include "rules.h"
#include <stdio.h>
#include <string.h>

/* The one row of an object that says what it is. */
static void
one_type_check(const struct kind *k, size_t from, const void *obj, const char *more,
	       const struct place *at)
{
	const char *first = NULL;

	for (const struct field *f = k->fields + from; f->name; f++) {
		if (!*(const void *const *)((const char *)obj + f->off))
			continue;
		if (first) {
			place_complain(at, f->name,
				       "Forbidden: may not specify more than 1 volume type%s",
				       more);
			return;
		}
		first = f->name;
	}
}

void
volume_check(const void *obj, const struct place *at)
{
	one_type_check(volume_kind(), 1, obj, "", at);
}

void
volume_projection_check(const void *obj, const struct place *at)
{
	one_type_check(volume_projection_kind(), 0, obj, " per source", at);
}

const char *
is_host_path(const char *s, struct arena *a)
{
	const char *why = is_abs_path(s, a);

	/* part by part: "a..b" is a name like others */
	for (const char *at = s; !why && (at = strstr(at, "..")); at += 2)
		if (at > s && at[-1] == '/' && (!at[2] || at[2] == '/'))
			why = "must not contain '..'";
	return why;
}

void
empty_dir_check(const void *obj, const struct place *at)
{
	const struct empty_dir_volume_source *e = obj;

	if (quantity_milli(e->sizeLimit) < 0)
		place_complain(at, "sizeLimit",
			       "Forbidden: SizeLimit field must be a valid resource quantity");
}

void
image_volume_defaults(void *obj, struct arena *a)
{
	struct image_volume_source *v = obj;

	if (!str_given(v->pullPolicy))
		v->pullPolicy = image_pull_policy(v->reference);
	(void)a;
}

/* ---- mounts ---- */

void
volume_mount_check(const void *obj, const struct place *at)
{
	const struct volume_mount *m = obj;
	bool recursive = str_is(m->recursiveReadOnly, "Enabled") ||
			 str_is(m->recursiveReadOnly, "IfPossible");

	if (str_given(m->subPath) && str_given(m->subPathExpr))
		place_complain(at, "subPathExpr",
			       "Invalid value: \"%s\": subPathExpr and subPath are mutually "
			       "exclusive",
			       m->subPathExpr);
	if (!recursive || !place_ok(at, "recursiveReadOnly"))
		return;
	if (!m->readOnly)
		place_complain(at, "recursiveReadOnly",
			       "Forbidden: may only be specified when readOnly is true");
	if (str_given(m->mountPropagation) && !str_is(m->mountPropagation, "None"))
		place_complain(at, "recursiveReadOnly",
			       "Forbidden: may only be specified when mountPropagation is None "
			       "or not specified");
}

/* Of a container: what reaches back into the host needs a privileged one. */
void
bidirectional_check(const void *obj, const struct place *at)
{
	const struct container *c = obj;
	char sub[64];

	for (size_t i = 0; i < c->volumeMounts.n; i++) {
		if (!str_is(c->volumeMounts.at[i].mountPropagation, "Bidirectional") ||
		    (c->securityContext && c->securityContext->privileged))
			continue;
		snprintf(sub, sizeof sub, "volumeMounts[%zu].mountPropagation", i);
		place_complain(at, sub,
			       "Forbidden: Bidirectional mount propagation is available only "
			       "to privileged containers");
	}
}

/* ---- files ---- */

const char *
is_volume_path(const char *s, struct arena *a)
{
	const char *why = is_relative_path(s, a);

	return why ? why : !strncmp(s, "..", 2) ? "must not start with '..'" : NULL;
}

void
downward_api_file_check(const void *obj, const struct place *at)
{
	const struct downward_api_volume_file *f = obj;

	if (!f->fieldRef && !f->resourceFieldRef && place_ok(at, "fieldRef") &&
	    place_ok(at, "resourceFieldRef"))
		place_complain(
		    at, "", "Required value: one of fieldRef and resourceFieldRef is required");
	if (f->fieldRef && f->resourceFieldRef)
		place_complain(at, "",
			       "Invalid value: \"resource\": fieldRef and resourceFieldRef can "
			       "not be specified simultaneously");
	if (f->fieldRef && f->fieldRef->fieldPath)
		field_path_check(f->fieldRef->fieldPath, true, at);
	else if (f->resourceFieldRef)
		resource_field_check(f->resourceFieldRef, true, at);
}

/* ---- projected ---- */

void
token_projection_check(const void *obj, const struct place *at)
{
	const struct service_account_token_projection *t = obj;
	int64_t seconds = t->expirationSeconds;

	if (seconds < 600 && place_ok(at, "expirationSeconds"))
		place_complain(at, "expirationSeconds",
			       "Invalid value: %jd: may not specify a duration less than 10 "
			       "minutes",
			       (intmax_t)seconds);
	else if (seconds > INT64_C(1) << 32)
		place_complain(at, "expirationSeconds",
			       "Invalid value: %jd: may not specify a duration larger than "
			       "2^32 seconds",
			       (intmax_t)seconds);
}

struct claimed {
	struct map paths; /* -> the kind of the source that makes it */
	const struct place *at;
};

static void
claim(struct claimed *c, size_t i, const char *source, const char *name, size_t item,
      const char *path)
{
	char sub[128];

	if (!path || !map_put(&c->paths, path, c))
		return;
	snprintf(sub, sizeof sub, "sources[%zu].%s.items[%zu].path", i, source, item);
	if (name)
		place_complain(c->at, sub, "Invalid value: \"%s\": conflicting duplicate paths",
			       name);
	else
		place_complain(c->at, sub, "Invalid value: \"%s\": conflicting duplicate paths",
			       path);
}

/* Two sources that say in so many words that they make the same file. */
void
projected_check(const void *obj, const struct place *at)
{
	const struct projected_volume_source *p = obj;
	struct claimed c = { .at = at };

	for (size_t i = 0; i < p->sources.n; i++) {
		const struct volume_projection *v = &p->sources.at[i];

		for (size_t j = 0; v->secret && j < v->secret->items.n; j++)
			claim(&c, i, "secret", v->secret->name, j, v->secret->items.at[j].path);
		for (size_t j = 0; v->configMap && j < v->configMap->items.n; j++)
			claim(&c, i, "configMap", v->configMap->name, j,
			      v->configMap->items.at[j].path);
		for (size_t j = 0; v->downwardAPI && j < v->downwardAPI->items.n; j++)
			claim(&c, i, "downwardAPI", NULL, j, v->downwardAPI->items.at[j].path);
	}
	map_done(&c.paths);
}

/* ---- volumes and claims ---- */

static void
modes_check(const struct strs *modes, const char *missing, const struct place *at)
{
	bool alone = false;

	if (!place_ok(at, "accessModes"))
		return;
	if (!modes->n)
		place_complain(at, "accessModes", "Required value%s", missing);
	for (size_t i = 0; i < modes->n; i++)
		alone |= str_is(modes->at[i], "ReadWriteOncePod");
	if (alone && modes->n > 1)
		place_complain(at, "accessModes",
			       "Forbidden: may not use ReadWriteOncePod with other access "
			       "modes");
}

void
volume_spec_check(const void *obj, const struct place *at)
{
	const struct persistent_volume_spec *s = obj;
	const struct field *first = schema_field(persistent_volume_spec_kind(), "hostPath");
	const char *size = pairs_get(&s->capacity, "storage");
	int sources = 0;

	modes_check(&s->accessModes, "", at);
	if (!s->capacity.n && place_ok(at, "capacity"))
		place_complain(at, "capacity", "Required value");
	else if ((!size || s->capacity.n > 1) && place_ok(at, "capacity"))
		place_complain(at, "capacity",
			       "Unsupported value: supported values: \"storage\"");
	else if (size && quantity_milli(size) <= 0)
		place_complain(at, "capacity[storage]",
			       "Invalid value: \"%s\": must be greater than zero", size);
	for (const struct field *f = first; f && f->name; f++)
		if (*(const void *const *)((const char *)obj + f->off) && ++sources == 2)
			place_complain(at, f->name,
				       "Forbidden: may not specify more than 1 volume type");
	if (!sources)
		place_complain(at, "", "Required value: must specify a volume type");
	if (s->local && (!s->nodeAffinity || !s->nodeAffinity->required) &&
	    place_ok(at, "nodeAffinity"))
		place_complain(at, "nodeAffinity",
			       "Required value: Local volume requires node affinity");
	if (str_is(s->persistentVolumeReclaimPolicy, "Recycle"))
		place_complain_softly(at, "persistentVolumeReclaimPolicy",
				      "Recycle is known, but kedge recycles no volume: use "
				      "Retain or Delete");
}

void
claim_spec_check(const void *obj, const struct place *at)
{
	const struct persistent_volume_claim_spec *s = obj;
	const char *size = s->resources ? pairs_get(&s->resources->requests, "storage") : NULL;

	modes_check(&s->accessModes, ": at least 1 access mode is required", at);
	if (!size && place_ok(at, "resources"))
		place_complain(at, "resources[storage]", "Required value");
	else if (size && quantity_milli(size) <= 0)
		place_complain(at, "resources[storage]",
			       "Invalid value: \"%s\": must be greater than zero", size);
}
