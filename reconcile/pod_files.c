/* pod_files.c -- what of the API becomes files: ConfigMaps, Secrets, the pod's own fields.
 *
 * Pure.  Contents travel as base64: a Secret's as they are, others encoded here.
 * The version of a volume is a hash over the versions of what it is made from, so
 * that a pass over many pods looks at no contents but the pod's own few fields.
 */
#include "account.h"
#include "base/base64.h"
#include "base/buf.h"
#include "base/map.h"
#include "pod.h"
#include "tree.h"

struct files {
	struct snapshot *s;
	const struct pod *pod;
	struct volume_args *v;
	size_t cap;
	struct arena *a;
	const char *why; /* the first thing that is missing */
};

/* One ConfigMap or Secret. */
struct contents {
	const struct pairs *plain, *encoded; /* either may be NULL */
	const struct key_to_path *items;
	size_t nitems;
	int64_t mode;
	bool optional;
	const char *what; /* "config" or "secret", for the kubelet's message */
};

/* A later source of the same path wins, as in Kubernetes. */
static struct file_args *
add(struct files *f, const char *path, const char *data, int64_t mode)
{
	struct file_args file = { .path = path, .data = data, .mode = mode };

	for (size_t i = 0; i < f->v->files.n; i++)
		if (!strcmp(f->v->files.at[i].path, path)) {
			f->v->files.at[i] = file;
			return &f->v->files.at[i];
		}
	if (f->v->files.n == f->cap) {
		size_t cap = f->cap ? f->cap * 2 : 8;
		struct file_args *at = arena_zalloc(f->a, cap * sizeof *at);

		if (f->v->files.n)
			memcpy(at, f->v->files.at, f->v->files.n * sizeof *at);
		f->v->files.at = at;
		f->cap = cap;
	}
	f->v->files.at[f->v->files.n] = file;
	return &f->v->files.at[f->v->files.n++];
}

static void
missing(struct files *f, const char *why)
{
	if (!f->why)
		f->why = why;
}

static const char *
content(const struct contents *src, const char *key, struct arena *a)
{
	const char *text = src->plain ? pairs_get(src->plain, key) : NULL;

	if (text)
		return base64_text(text, strlen(text), a);
	return src->encoded ? pairs_get(src->encoded, key) : NULL;
}

static void
add_contents(struct files *f, const struct contents *src)
{
	for (size_t i = 0; i < src->nitems; i++) {
		const struct key_to_path *k = &src->items[i];
		const char *data = content(src, k->key, f->a);

		if (data)
			add(f, k->path, data,
			    schema_has(key_to_path_kind(), k, "mode") ? k->mode : src->mode);
		else if (!src->optional)
			missing(f, arena_printf(f->a, "references non-existent %s key: %s",
						src->what, k->key));
	}
	if (src->nitems)
		return;
	for (size_t i = 0; src->plain && i < src->plain->n; i++) {
		const struct pair *p = &src->plain->at[i];

		add(f, p->key, base64_text(p->value, strlen(p->value), f->a), src->mode);
	}
	for (size_t i = 0; src->encoded && i < src->encoded->n; i++)
		add(f, src->encoded->at[i].key, src->encoded->at[i].value, src->mode);
}

static void
add_config_map(struct files *f, const char *name, struct contents src)
{
	const struct config_map *cm =
	    snapshot_find(f->s, RES_config_map, object_namespace(f->pod), name);

	if (!cm && !src.optional) {
		missing(f, arena_printf(f->a, "configmap \"%s\" not found", name));
		return;
	}
	if (cm) {
		src.plain = &cm->data;
		src.encoded = &cm->binaryData;
	}
	src.what = "config";
	add_contents(f, &src);
}

static void
add_secret(struct files *f, const char *name, struct contents src)
{
	const struct secret *sec =
	    snapshot_find(f->s, RES_secret, object_namespace(f->pod), name);

	if (!sec && !src.optional) {
		missing(f, arena_printf(f->a, "secret \"%s\" not found", name));
		return;
	}
	if (sec)
		src.encoded = &sec->data;
	src.what = "secret";
	add_contents(f, &src);
}

/* ---- the downward API ---- */

/* One line a pair, key="value", as strconv.Quote writes it for what labels hold. */
static const char *
lines(const struct pairs *p, struct arena *a)
{
	cleanup_buf struct buf b = { 0 };

	for (size_t i = 0; i < p->n; i++) {
		buf_addf(&b, "%s%s=", b.len ? "\n" : "", p->at[i].key);
		tree_quote(p->at[i].value, &b);
	}
	return arena_strdup(a, buf_text(&b));
}

static const char *
downward(struct snapshot *s, const struct pod *pod, const struct downward_api_volume_file *f,
	 struct arena *a)
{
	if (f->resourceFieldRef)
		return pod_resource(s, pod, f->resourceFieldRef, a);
	if (!f->fieldRef)
		return NULL;
	if (str_is(f->fieldRef->fieldPath, "metadata.labels"))
		return lines(&pod->metadata->labels, a);
	if (str_is(f->fieldRef->fieldPath, "metadata.annotations"))
		return lines(&pod->metadata->annotations, a);
	return pod_field(s, pod, f->fieldRef->fieldPath, a);
}

static void
add_downward(struct files *f, const struct downward_api_volume_file *at, size_t n, int64_t mode)
{
	for (size_t i = 0; i < n; i++) {
		const char *text = downward(f->s, f->pod, &at[i], f->a);

		if (text)
			add(f, at[i].path, base64_text(text, strlen(text), f->a),
			    schema_has(downward_api_volume_file_kind(), &at[i], "mode")
				? at[i].mode
				: mode);
		else
			missing(f, arena_printf(f->a, "unsupported fieldPath for the file %s",
						at[i].path));
	}
}

/* ---- tokens ---- */

/* Who may read it: all, or with an fsGroup that group alone, as the kubelet has it. */
static int64_t
token_mode(const struct pod *pod, int64_t mode)
{
	const struct pod_security_context *c = pod->spec->securityContext;

	return c && schema_has(pod_security_context_kind(), c, "fsGroup") ? 0600 : mode;
}

/* It is signed by who carries out the plan. */
static void
add_token(struct files *f, const struct service_account_token_projection *t, int64_t mode)
{
	struct file_args *file;

	if (!f->s->settings->ca)
		missing(f, "failed to fetch token: the API is not served over TLS here "
			   "(secureListen)");
	if (!account_of_pod(f->s, f->pod))
		missing(f, arena_printf(
			       f->a, "failed to fetch token: serviceaccounts \"%s\" not found",
			       account_name_of(f->pod->spec)));
	file = add(f, t->path, NULL, token_mode(f->pod, mode));
	file->audience = t->audience;
	file->seconds = t->expirationSeconds;
}

void
pod_tokens_again(const struct pod *pod, int64_t now, struct plan *p)
{
	for (size_t i = 0; i < pod->spec->volumes.n; i++) {
		const struct projected_volume_source *v = pod->spec->volumes.at[i].projected;

		for (size_t k = 0; v && k < v->sources.n; k++)
			if (v->sources.at[k].serviceAccountToken)
				plan_again(
				    p,
				    account_token_due(
					pod,
					v->sources.at[k].serviceAccountToken->expirationSeconds,
					now));
	}
}

/* ---- volumes ---- */

static void
add_projection(struct files *f, const struct volume_projection *p, int64_t mode)
{
	if (p->configMap)
		add_config_map(f, p->configMap->name,
			       (struct contents){ .items = p->configMap->items.at,
						  .nitems = p->configMap->items.n,
						  .mode = mode,
						  .optional = p->configMap->optional });
	if (p->secret)
		add_secret(f, p->secret->name,
			   (struct contents){ .items = p->secret->items.at,
					      .nitems = p->secret->items.n,
					      .mode = mode,
					      .optional = p->secret->optional });
	if (p->downwardAPI)
		add_downward(f, p->downwardAPI->items.at, p->downwardAPI->items.n, mode);
	if (p->serviceAccountToken)
		add_token(f, p->serviceAccountToken, mode);
}

bool
pod_files_made(const struct volume *v)
{
	return v->configMap || v->secret || v->downwardAPI || v->projected;
}

bool
pod_files(struct snapshot *s, const struct pod *pod, const struct volume *from,
	  struct volume_args *v, struct arena *a, const char **ret_why)
{
	struct files f = { .s = s, .pod = pod, .v = v, .a = a };
	const struct config_map_volume_source *cm = from->configMap;
	const struct secret_volume_source *sec = from->secret;
	const struct projected_volume_source *p = from->projected;

	v->files.at = arena_zalloc(a, sizeof *v->files.at);
	if (cm)
		add_config_map(&f, cm->name,
			       (struct contents){ .items = cm->items.at,
						  .nitems = cm->items.n,
						  .mode = cm->defaultMode,
						  .optional = cm->optional });
	if (sec)
		add_secret(&f, sec->secretName,
			   (struct contents){ .items = sec->items.at,
					      .nitems = sec->items.n,
					      .mode = sec->defaultMode,
					      .optional = sec->optional });
	if (from->downwardAPI)
		add_downward(&f, from->downwardAPI->items.at, from->downwardAPI->items.n,
			     from->downwardAPI->defaultMode);
	for (size_t i = 0; p && i < p->sources.n; i++)
		add_projection(&f, &p->sources.at[i], p->defaultMode);
	if (f.why)
		*ret_why = f.why;
	return !f.why;
}

/* ---- versions ---- */

uint64_t
pod_object_version(struct snapshot *s, const struct pod *pod, enum resource_id kind,
		   const char *name, uint64_t h)
{
	const struct object *o = snapshot_find(s, kind, object_namespace(pod), name);

	h = hash_str(h, o ? object_uid(o) : "-");
	return hash_str(h,
			o && o->metadata->resourceVersion ? o->metadata->resourceVersion : "-");
}

/* Its own object changes with every status, so what is looked at is what is shown. */
static uint64_t
downward_version(struct snapshot *s, const struct pod *pod,
		 const struct downward_api_volume_file *at, size_t n, uint64_t h)
{
	for (size_t i = 0; i < n; i++) {
		const char *text = downward(s, pod, &at[i], s->arena);

		h = hash_str(h, text ? text : "-");
	}
	return h;
}

/* Another one when it has lived for long, or the account is another one. */
static uint64_t
token_version(struct snapshot *s, const struct pod *pod,
	      const struct service_account_token_projection *t, uint64_t h)
{
	const struct service_account *sa = account_of_pod(s, pod);
	int64_t n = account_token_number(pod, t->expirationSeconds, s->now);

	return hash_bytes(hash_str(h, sa ? object_uid(sa) : "-"), &n, sizeof n);
}

uint64_t
pod_files_version(struct snapshot *s, const struct pod *pod, const struct volume *v, uint64_t h)
{
	if (v->configMap)
		h = pod_object_version(s, pod, RES_config_map, v->configMap->name, h);
	if (v->secret)
		h = pod_object_version(s, pod, RES_secret, v->secret->secretName, h);
	if (v->downwardAPI)
		h = downward_version(s, pod, v->downwardAPI->items.at, v->downwardAPI->items.n,
				     h);
	for (size_t i = 0; v->projected && i < v->projected->sources.n; i++) {
		const struct volume_projection *p = &v->projected->sources.at[i];

		if (p->configMap)
			h = pod_object_version(s, pod, RES_config_map, p->configMap->name, h);
		if (p->secret)
			h = pod_object_version(s, pod, RES_secret, p->secret->name, h);
		if (p->downwardAPI)
			h = downward_version(s, pod, p->downwardAPI->items.at,
					     p->downwardAPI->items.n, h);
		if (p->serviceAccountToken)
			h = token_version(s, pod, p->serviceAccountToken, h);
	}
	return h;
}
