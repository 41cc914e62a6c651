/* pod_files.c -- what of the API becomes files: ConfigMaps, Secrets, the pod's own fields.
 *
 * Pure.  Contents travel as base64: a Secret's as they are, others encoded here, once it is
 * known that all of the pod's fit into one order: a pod may name the same ConfigMap a thousand
 * times.
 * The version of a volume is a hash over the versions of what it is made from, so
 * that a pass over many pods looks at no contents but the pod's own few fields.
 */
#include "account.h"
#include "base/base64.h"
#include "base/buf.h"
#include "base/map.h"
#include "pod.h"
#include "tree.h"

enum {
	FILES_MAX = 16 << 20, /* as base64 a third of what brain and hand tell each other */
	FILE_ROOM = 64,       /* for all but its path and contents */
};

/* What of a volume is not base64 yet. */
struct pod_texts {
	struct pod_texts *next;
	struct volume_args *v;
	const char **at; /* for each file; NULL: it is */
};

struct files {
	struct snapshot *s;
	const struct pod *pod;
	struct volume_args *v;
	struct pod_contents *all;
	const char **texts;
	size_t cap;
	struct map places; /* of paths, from 1 */
	struct file_args spare;
	struct arena *a;
	const char *why; /* the first thing that is missing or too much; no more is added */
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

static void
missing(struct files *f, const char *why)
{
	if (!f->why)
		f->why = why;
}

static void
grow(struct files *f)
{
	size_t n = f->v->files.n, cap = f->cap ? f->cap * 2 : 8;
	struct file_args *at = arena_zalloc(f->a, cap * sizeof *at);
	const char **texts = arena_zalloc(f->a, cap * sizeof *texts);

	if (n) {
		memcpy(at, f->v->files.at, n * sizeof *at);
		memcpy(texts, f->texts, n * sizeof *texts);
	}
	f->v->files.at = at;
	f->texts = texts;
	f->cap = cap;
}

/* Its contents are text, or base64 already, or (both NULL) not known here.  A later source of
 * the same path wins, as in Kubernetes. */
static struct file_args *
add(struct files *f, const char *path, const char *text, const char *data, int64_t mode)
{
	size_t at;

	f->all->bytes += FILE_ROOM + strlen(path) +
			 (text   ? strlen(text)
			  : data ? strlen(data) / 4 * 3
				 : 0);
	if (f->all->bytes > FILES_MAX)
		missing(f, arena_printf(f->a,
					"with the file %s the contents of the pod's volumes "
					"are larger than %d MiB",
					path, FILES_MAX >> 20));
	if (f->why)
		return &f->spare;
	at = (size_t)map_get(&f->places, path);
	if (!at) {
		if (f->v->files.n == f->cap)
			grow(f);
		at = ++f->v->files.n;
		map_put(&f->places, path, (void *)at);
	}
	f->texts[at - 1] = text;
	f->v->files.at[at - 1] = (struct file_args){ .path = path, .data = data, .mode = mode };
	return &f->v->files.at[at - 1];
}

void
pod_files_encode(const struct pod_contents *all, struct arena *a)
{
	for (const struct pod_texts *t = all->first; t; t = t->next)
		for (size_t i = 0; i < t->v->files.n; i++)
			if (t->at[i])
				t->v->files.at[i].data =
				    base64_text(t->at[i], strlen(t->at[i]), a);
}

/* One that is named. */
static void
add_item(struct files *f, const struct contents *src, const struct key_to_path *k)
{
	const char *text = src->plain ? pairs_get(src->plain, k->key) : NULL;
	const char *data = !text && src->encoded ? pairs_get(src->encoded, k->key) : NULL;

	if (text || data)
		add(f, k->path, text, data,
		    schema_has(key_to_path_kind(), k, "mode") ? k->mode : src->mode);
	else if (!src->optional)
		missing(f, arena_printf(f->a, "references non-existent %s key: %s", src->what,
					k->key));
}

static void
add_contents(struct files *f, const struct contents *src)
{
	for (size_t i = 0; i < src->nitems && !f->why; i++)
		add_item(f, src, &src->items[i]);
	if (src->nitems)
		return;
	for (size_t i = 0; src->plain && i < src->plain->n && !f->why; i++)
		add(f, src->plain->at[i].key, src->plain->at[i].value, NULL, src->mode);
	for (size_t i = 0; src->encoded && i < src->encoded->n && !f->why; i++)
		add(f, src->encoded->at[i].key, NULL, src->encoded->at[i].value, src->mode);
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

/* The two that may be long are made once, however many files show them. */
static const char *
downward_kept(struct snapshot *s, const struct pod *pod,
	      const struct downward_api_volume_file *f, struct pod_contents *all,
	      struct arena *a)
{
	const char *path = f->fieldRef ? f->fieldRef->fieldPath : "";
	const char **kept = str_is(path, "metadata.labels")        ? &all->labels
			    : str_is(path, "metadata.annotations") ? &all->annotations
								   : NULL;

	if (!kept)
		return downward(s, pod, f, a);
	if (!*kept)
		*kept = downward(s, pod, f, a);
	return *kept;
}

static void
add_downward(struct files *f, const struct downward_api_volume_file *at, size_t n, int64_t mode)
{
	for (size_t i = 0; i < n && !f->why; i++) {
		const char *text = downward_kept(f->s, f->pod, &at[i], f->all, f->a);

		if (text)
			add(f, at[i].path, text, NULL,
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
	file = add(f, t->path, NULL, NULL, token_mode(f->pod, mode));
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
	  struct volume_args *v, struct pod_contents *all, struct arena *a,
	  const char **ret_why)
{
	struct files f = { .s = s, .pod = pod, .v = v, .all = all, .a = a };
	struct pod_texts *texts = arena_alloc(a, sizeof *texts);
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
	for (size_t i = 0; p && i < p->sources.n && !f.why; i++)
		add_projection(&f, &p->sources.at[i], p->defaultMode);
	map_done(&f.places);
	*texts = (struct pod_texts){ all->first, v, f.texts };
	all->first = texts;
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
	cleanup_arena struct arena shown = { 0 };
	struct pod_contents all = { 0 };

	for (size_t i = 0; i < n; i++) {
		const char *text = downward_kept(s, pod, &at[i], &all, &shown);

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
