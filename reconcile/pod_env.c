/* pod_env.c -- a container's environment, as the kubelet makes it.
 *
 * The Services' variables, envFrom, then env; a later one of the same name wins.  A value may
 * use $(NAME) of those before it.  What is missing is said in the kubelet's words,
 * for they end up in the container's status.
 */
#include "base/base64.h"
#include "pod.h"

struct env {
	struct snapshot *s;
	const struct pod *pod;
	const struct container *c;
	struct arena *a;
	struct pod_words *words; /* NULL: one field alone is asked for */
};

/* ---- where values come from ---- */

static void
missing(struct env *e, bool optional, const char *why)
{
	if (!optional && e->words && !e->words->why)
		e->words->why = why;
}

/* Secrets keep their values in base64, which the schema has checked.  They may be any bytes,
 * and a variable ends at a NUL: half a key is worse than none. */
static const char *
decoded(struct env *e, const struct secret *sec, const struct pair *data)
{
	size_t n = 0;
	const char *text = base64_bytes(data->value, e->a, &n);

	if (text && strlen(text) < n)
		missing(e, false,
			arena_printf(e->a,
				     "key %s in Secret %s/%s holds a NUL byte, which no "
				     "environment variable can: mount it as a file",
				     data->key, object_namespace(sec), object_name(sec)));
	return text ? text : "";
}

static void
from_config_map(struct env *e, const struct config_map_env_source *from, const char *prefix)
{
	const struct config_map *cm =
	    snapshot_find(e->s, RES_config_map, object_namespace(e->pod), from->name);

	if (!cm) {
		missing(e, from->optional,
			arena_printf(e->a, "configmap \"%s\" not found", from->name));
		return;
	}
	for (size_t i = 0; i < cm->data.n && !e->words->why; i++)
		pod_words_set(e->words, arena_printf(e->a, "%s%s", prefix, cm->data.at[i].key),
			      cm->data.at[i].value);
}

static void
from_secret(struct env *e, const struct secret_env_source *from, const char *prefix)
{
	const struct secret *sec =
	    snapshot_find(e->s, RES_secret, object_namespace(e->pod), from->name);

	if (!sec) {
		missing(e, from->optional,
			arena_printf(e->a, "secret \"%s\" not found", from->name));
		return;
	}
	for (size_t i = 0; i < sec->data.n && !e->words->why; i++)
		pod_words_set(e->words, arena_printf(e->a, "%s%s", prefix, sec->data.at[i].key),
			      decoded(e, sec, &sec->data.at[i]));
}

static const char *
config_map_key(struct env *e, const struct config_map_key_selector *k)
{
	const struct config_map *cm =
	    snapshot_find(e->s, RES_config_map, object_namespace(e->pod), k->name);
	const char *value = cm ? pairs_get(&cm->data, k->key) : NULL;

	if (!cm)
		missing(e, k->optional,
			arena_printf(e->a, "configmap \"%s\" not found", k->name));
	else if (!value)
		missing(e, k->optional,
			arena_printf(e->a, "couldn't find key %s in ConfigMap %s/%s", k->key,
				     object_namespace(e->pod), k->name));
	return value;
}

static const char *
secret_key(struct env *e, const struct secret_key_selector *k)
{
	const struct secret *sec =
	    snapshot_find(e->s, RES_secret, object_namespace(e->pod), k->name);
	const char *value = sec ? pairs_get(&sec->data, k->key) : NULL;

	if (!sec)
		missing(e, k->optional, arena_printf(e->a, "secret \"%s\" not found", k->name));
	else if (!value)
		missing(e, k->optional,
			arena_printf(e->a, "couldn't find key %s in Secret %s/%s", k->key,
				     object_namespace(e->pod), k->name));
	return value ? decoded(e, sec, &(struct pair){ k->key, value }) : NULL;
}

/* "metadata.labels['app']": the key within; NULL when the path is another. */
static const char *
subscript(const char *path, const char *of, struct arena *a)
{
	size_t n = strlen(of), len = strlen(path);

	if (strncmp(path, of, n) || len < n + 4 || path[n] != '[')
		return NULL;
	return arena_strndup(a, path + n + 2, len - n - 4);
}

static const char *
field(struct env *e, const char *path)
{
	static const char *const plain[] = {
		"metadata.name", "metadata.namespace",      "metadata.uid",
		"spec.nodeName", "spec.serviceAccountName", "status.podIP"
	};
	const struct pod_status *st = e->pod->status;
	const char *key,
	    *host = st && !str_is(st->hostIP, "") ? st->hostIP : e->s->settings->node_ip;

	/* Known before the first status is written. */
	if (!strcmp(path, "status.hostIPs") && host && !str_is(e->s->settings->node_ip6, ""))
		return arena_printf(e->a, "%s,%s", host, e->s->settings->node_ip6);
	if (!strcmp(path, "status.hostIP") || !strcmp(path, "status.hostIPs"))
		return host ? host : "";
	if (!strcmp(path, "spec.serviceAccountName") &&
	    str_is(e->pod->spec->serviceAccountName, ""))
		return "default";
	for (size_t i = 0; i < sizeof plain / sizeof *plain; i++)
		if (!strcmp(path, plain[i]))
			return schema_text(pod_kind(), e->pod, path, e->a);
	if (!strcmp(path, "status.podIPs") && st && st->podIPs.n > 1)
		return arena_printf(e->a, "%s,%s", st->podIPs.at[0].ip, st->podIPs.at[1].ip);
	if (!strcmp(path, "status.podIPs"))
		return st && st->podIP ? st->podIP : "";
	if ((key = subscript(path, "metadata.labels", e->a)))
		return object_label(e->pod, key) ? object_label(e->pod, key) : "";
	if ((key = subscript(path, "metadata.annotations", e->a)))
		return object_annotation(e->pod, key) ? object_annotation(e->pod, key) : "";
	missing(e, false, arena_printf(e->a, "unsupported fieldPath: %s", path));
	return NULL;
}

/* limits.cpu, requests.memory ...; a limit that is not set is what the node has. */
static const char *
resource_field(struct env *e, const struct resource_field_selector *f)
{
	const struct container *c = e->c;
	const struct node *node = snapshot_find(e->s, RES_node, "", e->pod->spec->nodeName);
	const char *dot = strchr(f->resource, '.'), *q = NULL;
	int64_t value, by;

	if (!str_is(f->containerName, "") && pod_part_named(e->pod->spec, f->containerName))
		c = pod_part_named(e->pod->spec, f->containerName);
	if (!dot) {
		missing(e, false,
			arena_printf(e->a, "unsupported container resource : %s", f->resource));
		return NULL;
	}
	if (c->resources)
		q = pairs_get(*f->resource == 'l' ? &c->resources->limits
						  : &c->resources->requests,
			      dot + 1);
	if (!q && *f->resource == 'l' && node && node->status)
		q = pairs_get(&node->status->allocatable, dot + 1);
	if (!strcmp(dot + 1, "cpu")) {
		value = quantity_milli(q);
		by = quantity_milli(f->divisor);
		by = by > 0 ? by : 1000; /* 0 means the same as none */
	} else {
		value = quantity_value(q);
		by = quantity_value(f->divisor);
		by = by > 0 ? by : 1;
	}
	return label_number((value + by - 1) / by, e->a);
}

static const char *
value_from(struct env *e, const struct env_var_source *from)
{
	if (from->configMapKeyRef)
		return config_map_key(e, from->configMapKeyRef);
	if (from->secretKeyRef)
		return secret_key(e, from->secretKeyRef);
	if (from->fieldRef)
		return field(e, from->fieldRef->fieldPath);
	if (from->resourceFieldRef)
		return resource_field(e, from->resourceFieldRef);
	return NULL;
}

static void
all_of(struct env *e, const struct env_from_source *from)
{
	const char *prefix = from->prefix ? from->prefix : "";

	if (from->configMapRef)
		from_config_map(e, from->configMapRef, prefix);
	if (from->secretRef)
		from_secret(e, from->secretRef, prefix);
}

bool
pod_env(struct snapshot *s, const struct pod *pod, const struct container *c,
	struct pod_words *words)
{
	struct env e = { .s = s, .pod = pod, .c = c, .a = words->a, .words = words };
	size_t n = 0;
	const struct pair *links = pod_links(s, pod, e.a, &n);

	/* first, so that whatever the pod says itself takes their place */
	pod_words_begin(words, (struct pair *)links, n);
	for (size_t i = 0; i < c->envFrom.n && !words->why; i++)
		all_of(&e, &c->envFrom.at[i]);
	for (size_t i = 0; i < c->env.n && !words->why; i++) {
		const struct env_var *v = &c->env.at[i];
		const char *value = v->valueFrom ? value_from(&e, v->valueFrom) : NULL;

		if (!v->valueFrom)
			pod_words_set_text(words, v->name, v->value ? v->value : "");
		else if (value) /* an optional key that is missing leaves no variable */
			pod_words_set(words, v->name, value);
	}
	return !words->why;
}

static uint64_t
value_version(struct env *e, const struct env_var_source *from, uint64_t h)
{
	const char *text = NULL;

	if (from->configMapKeyRef)
		return pod_object_version(e->s, e->pod, RES_config_map,
					  from->configMapKeyRef->name, h);
	if (from->secretKeyRef)
		return pod_object_version(e->s, e->pod, RES_secret, from->secretKeyRef->name,
					  h);
	if (from->fieldRef)
		text = field(e, from->fieldRef->fieldPath);
	if (from->resourceFieldRef)
		text = resource_field(e, from->resourceFieldRef);
	return hash_str(h, text ? text : "-");
}

const char *
pod_env_version(struct snapshot *s, const struct pod *pod, const struct container *c,
		struct arena *a)
{
	struct env e = { .s = s, .pod = pod, .c = c, .a = a };
	bool any = c->envFrom.n > 0;
	uint64_t h = 0;

	for (size_t i = 0; i < c->envFrom.n; i++) {
		const struct env_from_source *from = &c->envFrom.at[i];

		if (from->configMapRef)
			h = pod_object_version(s, pod, RES_config_map, from->configMapRef->name,
					       h);
		if (from->secretRef)
			h = pod_object_version(s, pod, RES_secret, from->secretRef->name, h);
	}
	for (size_t i = 0; i < c->env.n; i++)
		if (c->env.at[i].valueFrom) {
			any = true;
			h = value_version(&e, c->env.at[i].valueFrom, h);
		}
	return any ? arena_printf(a, "%016llx", (unsigned long long)h) : "";
}

const char *
pod_field(struct snapshot *s, const struct pod *pod, const char *path, struct arena *a)
{
	struct env e = { .s = s, .pod = pod, .a = a };

	return field(&e, path);
}

const char *
pod_resource(struct snapshot *s, const struct pod *pod,
	     const struct resource_field_selector *from, struct arena *a)
{
	struct env e = { .s = s, .pod = pod, .c = &pod->spec->containers.at[0], .a = a };

	return resource_field(&e, from);
}
