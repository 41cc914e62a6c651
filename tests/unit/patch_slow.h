/* patch_slow.h -- a second strategic merge for the tests: over jansson, as Kubernetes' own
 * code goes about it (strategicpatch/patch.go), step by step and with no thought of speed.
 *
 * It knows the lists of a pod by name, not by kinds.def.
 */
#ifndef KEDGE_PATCH_SLOW_H
#define KEDGE_PATCH_SLOW_H
#include <jansson.h>
#include <stdbool.h>
#include <string.h>

static const struct {
	const char *list, *key; /* key NULL: values */
} slow_lists[] = {
	{ "containers", "name" },     { "volumes", "name" },           { "env", "name" },
	{ "ports", "containerPort" }, { "volumeMounts", "mountPath" }, { "finalizers", NULL },
};

/* 1: merged by *key; 2: a set of values; 0: replaced. */
static inline int
slow_list(const char *name, const char **key)
{
	for (size_t i = 0; i < sizeof slow_lists / sizeof *slow_lists; i++)
		if (!strcmp(name, slow_lists[i].list)) {
			*key = slow_lists[i].key;
			return *key ? 1 : 2;
		}
	*key = NULL;
	return 0;
}

static inline bool
slow_same(const json_t *a, const json_t *b, const char *key)
{
	return key ? json_equal(json_object_get(a, key), json_object_get(b, key))
		   : json_equal(a, b);
}

static inline int
slow_index(const json_t *list, const json_t *item, const char *key)
{
	for (size_t i = 0; i < json_array_size(list); i++)
		if (slow_same(json_array_get(list, i), item, key))
			return (int)i;
	return -1;
}

static inline bool
slow_is(const json_t *item, const char *directive)
{
	const char *s = json_string_value(json_object_get(item, "$patch"));

	return s && !strcmp(s, directive);
}

/* dropDirectives and discardNullValuesFromPatch */
static inline json_t *
slow_plain(const json_t *v)
{
	json_t *out, *kid;
	const char *k;
	size_t i;

	if (json_is_array(v)) {
		out = json_array();
		json_array_foreach(v, i, kid) {
			if (!slow_is(kid, "delete") && !slow_is(kid, "replace"))
				json_array_append_new(out, slow_plain(kid));
		}
		return out;
	}
	if (!json_is_object(v))
		return json_deep_copy(v);
	out = json_object();
	json_object_foreach((json_t *)v, k, kid) {
		if (*k != '$' && !json_is_null(kid))
			json_object_set_new(out, k, slow_plain(kid));
	}
	return out;
}

/* partition by presence in `order`, sort each, merge the sorted (normalizeElementOrder) */
static inline json_t *
slow_order(json_t *all, const json_t *order, const json_t *live, const char *key)
{
	json_t *said = json_array(), *rest = json_array(), *out = json_array();
	size_t i = 0, j = 0, n;
	json_t *item;

	for (size_t o = 0; o < json_array_size(order); o++)
		json_array_foreach(all, n, item) {
			if (slow_same(item, json_array_get(order, o), key) &&
			    slow_index(said, item, key) < 0)
				json_array_append(said, item);
		}
	json_array_foreach(all, n, item) {
		if (slow_index(order, item, key) < 0)
			json_array_append(rest, item);
	}
	while (i < json_array_size(rest) || j < json_array_size(said)) {
		json_t *l = json_array_get(rest, i), *r = json_array_get(said, j);
		int li = l ? slow_index(live, l, key) : -1;
		int ri = r ? slow_index(live, r, key) : -1;

		if (l && (!r || (li >= 0 && ri >= 0 && li < ri))) {
			json_array_append(out, l);
			i++;
		} else {
			json_array_append(out, r);
			j++;
		}
	}
	json_decref(said);
	json_decref(rest);
	json_decref(all);
	return out;
}

static inline json_t *slow_map(const json_t *target, const json_t *patch);

static inline json_t *
slow_items(const json_t *target, const json_t *patch, const json_t *order, const char *key)
{
	json_t *all = json_deep_copy(target), *item;
	size_t i;

	json_array_foreach(patch, i, item) {
		if (slow_is(item, "replace")) {
			json_decref(all);
			return slow_plain(patch);
		}
	}
	json_array_foreach(patch, i, item) {
		int at = slow_index(all, item, key);

		if (slow_is(item, "delete")) {
			for (; at >= 0; at = slow_index(all, item, key))
				json_array_remove(all, (size_t)at);
		} else if (at >= 0) {
			json_t *merged = slow_map(json_array_get(all, (size_t)at), item);

			json_array_set_new(all, (size_t)at, merged);
		} else {
			json_array_append_new(all, slow_plain(item));
		}
	}
	return slow_order(all, order ? order : patch, target, key);
}

static inline json_t *
slow_values(const json_t *target, const json_t *patch, const json_t *order, const json_t *gone)
{
	const json_t *from[] = { target, patch };
	json_t *all = json_array(), *item;
	size_t i;

	for (int f = 0; f < 2; f++)
		json_array_foreach(from[f], i, item) {
			if (slow_index(all, item, NULL) < 0 && slow_index(gone, item, NULL) < 0)
				json_array_append(all, item);
		}
	return slow_order(all, order ? order : patch, target, NULL);
}

static inline const json_t *
slow_directive(const json_t *patch, const char *prefix, const char *name)
{
	char key[200];

	snprintf(key, sizeof key, "%s%s", prefix, name);
	return json_object_get(patch, key);
}

static inline void
slow_field(json_t *out, const json_t *patch, const char *name)
{
	const json_t *order = slow_directive(patch, "$setElementOrder/", name);
	const json_t *gone = slow_directive(patch, "$deleteFromPrimitiveList/", name);
	const json_t *live = json_object_get(out, name), *v = json_object_get(patch, name);
	const char *key;
	int kind = slow_list(name, &key);
	json_t *none = json_array();

	if (v && json_is_null(v))
		json_object_del(out, name);
	else if (kind == 1 && json_is_array(live) && (!v || json_is_array(v)))
		json_object_set_new(out, name, slow_items(live, v ? v : none, order, key));
	else if (kind == 2 && json_is_array(live) && (!v || json_is_array(v)))
		json_object_set_new(out, name, slow_values(live, v, order, gone));
	else if (v && json_is_object(v) && json_is_object(live))
		json_object_set_new(out, name, slow_map(live, v));
	else if (v)
		json_object_set_new(out, name, slow_plain(v));
	json_decref(none);
}

static inline json_t *
slow_map(const json_t *target, const json_t *patch)
{
	const json_t *keep = json_object_get(patch, "$retainKeys");
	json_t *out = json_deep_copy(target), *v;
	const char *k;
	size_t i;

	if (slow_is(patch, "replace") || slow_is(patch, "delete")) {
		json_decref(out);
		return slow_is(patch, "delete") ? json_object() : slow_plain(patch);
	}
	json_object_foreach((json_t *)target, k, v) {
		bool kept = !keep;

		for (i = 0; i < json_array_size(keep); i++)
			kept = kept || !strcmp(k, json_string_value(json_array_get(keep, i)));
		if (!kept)
			json_object_del(out, k);
	}
	json_object_foreach((json_t *)patch, k, v) {
		const char *slash = *k == '$' ? strchr(k, '/') : NULL;

		if (*k != '$' || (slash && !json_object_get(patch, slash + 1)))
			slow_field(out, patch, slash ? slash + 1 : k);
	}
	return out;
}
#endif
