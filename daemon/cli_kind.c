/* cli_kind.c -- from what is typed ("deploy/web", "pods,svc", "all") to places in the API. */
#include "../reconcile/object.h"
#include "cli.h"
#include <curl/curl.h>
#include <string.h>

const char *
cli_namespace(struct cli_call *c)
{
	const char *ns = cli_opt(c, OPT_namespace);

	return ns && *ns ? ns : "default";
}

const char *
cli_step(struct cli_call *c, const char *word)
{
	char *safe = curl_easy_escape(NULL, word, 0);
	const char *s = arena_strdup(c->arena, safe ? safe : "");

	curl_free(safe);
	return s;
}

const char *
cli_url_in(struct cli_call *c, const struct resource *res, const char *in, const char *name)
{
	struct arena *a = c->arena;
	const char *root = *res->group
			       ? arena_printf(a, "/apis/%s/%s", res->group, res->version)
			       : arena_printf(a, "/api/%s", res->version);
	const char *ns =
	    !res->namespaced || !in ? "" : arena_printf(a, "/namespaces/%s", cli_step(c, in));

	return arena_printf(a, "%s%s/%s%s%s", root, ns, res->plural, name ? "/" : "",
			    name ? cli_step(c, name) : "");
}

const char *
cli_url(struct cli_call *c, const struct resource *res, const char *name)
{
	bool all = cli_opt(c, OPT_all_namespaces) && !name;

	return cli_url_in(c, res, all ? NULL : cli_namespace(c), name);
}

static int
no_such_kind(const char *word, struct error **e)
{
	const char *known[3 * RES_COUNT], *near;
	size_t n = 0;

	for (int r = 0; r < RES_COUNT; r++) {
		known[n++] = resources[r].plural;
		known[n++] = resources[r].singular;
	}
	near = cli_nearest(word, known, n);
	return fail(e, WHY_NOT_FOUND, "kedge has no kind \"%s\"%s%s%s", word,
		    near ? "; did you mean \"" : "; `kedge get all` shows the usual ones",
		    near ? near : "", near ? "\"?" : "");
}

static void
add(struct cli_call *c, struct cli_target **at, size_t *n, const struct resource *res,
    const char *name)
{
	struct cli_target *more = arena_alloc(c->arena, (*n + 1) * sizeof *more);

	if (*n)
		memcpy(more, *at, *n * sizeof *more);
	more[(*n)++] = (struct cli_target){ res, name };
	*at = more;
}

/* `get -o name` gives pod/web: after its kind that means web. */
const char *
cli_name(const struct resource *res, const char *word)
{
	const char *slash = strchr(word, '/');
	cleanup_free char *kind = slash ? xstrndup(word, slash - word) : NULL;

	return slash && resource_named(kind) == res ? slash + 1 : word;
}

/* What a command line names. */
struct targets {
	struct cli_target *at;
	size_t n;
};

/* KIND/NAME */
static int
add_pair(struct cli_call *c, const char *word, struct targets *t, struct error **e)
{
	const char *slash = strchr(word, '/');
	const struct resource *res;
	const char *kind;

	if (!slash || !slash[1])
		return fail(e, WHY_BAD_REQUEST,
			    "\"%s\" must be KIND/NAME, like the ones before it", word);
	kind = arena_strndup(c->arena, word, slash - word);
	res = resource_named(kind);
	if (!res)
		return no_such_kind(kind, e);
	add(c, &t->at, &t->n, res, slash + 1);
	return 0;
}

/* KIND, with the names that follow it on the command line; or "all". */
static int
add_kind(struct cli_call *c, const char *kind, struct targets *t, struct error **e)
{
	const struct resource *res = resource_named(kind);

	if (!strcmp(kind, "all")) {
		for (int r = 0; r < RES_COUNT; r++)
			if (!strcmp(resources[r].category, "all"))
				add(c, &t->at, &t->n, &resources[r], NULL);
		return 0;
	}
	if (!res)
		return no_such_kind(kind, e);
	for (size_t i = 1; i < c->n; i++) {
		const char *name = cli_name(res, c->args[i]);

		/* kedge delete pod "$UNSET": without a name it would mean all of them */
		if (!*name)
			return fail(e, WHY_BAD_REQUEST, "the name of a %s may not be empty",
				    res->singular);
		if (strchr(name, '/'))
			return fail(e, WHY_BAD_REQUEST,
				    "\"%s\" is no name of a %s; KIND/NAME names its kind "
				    "itself: kedge %s %s",
				    c->args[i], res->singular, c->command->words, c->args[i]);
		add(c, &t->at, &t->n, res, name);
	}
	if (c->n == 1)
		add(c, &t->at, &t->n, res, NULL);
	return 0;
}

/* KIND/NAME KIND/NAME ..., or KIND[,KIND...] [NAME...] */
int
cli_targets(struct cli_call *c, struct cli_target **ret, size_t *ret_n, struct error **e)
{
	struct targets t = { 0 };
	char *rest, *kinds;

	if (strchr(c->args[0], '/')) {
		for (size_t i = 0; i < c->n; i++)
			if (add_pair(c, c->args[i], &t, e) < 0)
				return -1;
	} else {
		kinds = arena_strdup(c->arena, c->args[0]);
		for (char *k = strtok_r(kinds, ",", &rest); k; k = strtok_r(NULL, ",", &rest))
			if (add_kind(c, k, &t, e) < 0)
				return -1;
	}
	if (!t.n)
		return fail(e, WHY_BAD_REQUEST, "which kind?  For example: kedge get pods");
	*ret = t.at;
	*ret_n = t.n;
	return 0;
}

/* Of several the one that is ready, so that an exec meets a living program. */
static const char *
best_pod(struct cli_call *c, json_t *list)
{
	const char *best = NULL;
	json_t *item, *cond;
	size_t i, k;

	json_array_foreach(json_object_get(list, "items"), i, item) {
		const char *name = cli_at(c, item, "metadata.name");

		if (!best)
			best = name;
		json_array_foreach(cli_path(item, "status.conditions"), k, cond)
			if (!strcmp(cli_at(c, cond, "type"), "Ready") &&
			    !strcmp(cli_at(c, cond, "status"), "True"))
				return name;
	}
	return best;
}

const char *
cli_pod(struct cli_call *c, const char *word, struct error **e)
{
	const char *slash = strchr(word, '/'), *pod;
	const struct resource *res;
	cleanup_buf struct buf path = { 0 };
	json_t *owner, *list, *labels;
	size_t n;

	if (!*word) {
		fail(e, WHY_BAD_REQUEST, "the name of a pod may not be empty");
		return NULL;
	}
	if (!slash)
		return word;
	res = resource_named(arena_strndup(c->arena, word, slash - word));
	if (!slash[1]) {
		fail(e, WHY_BAD_REQUEST, "\"%s\" needs a name: KIND/NAME", word);
		return NULL;
	}
	if (!res) {
		no_such_kind(arena_strndup(c->arena, word, slash - word), e);
		return NULL;
	}
	if (res->id == RES_pod)
		return slash + 1;
	owner = cli_json(c, "GET", cli_url(c, res, slash + 1), NULL, NULL, e);
	if (!owner)
		return NULL;
	labels = cli_path(owner, "spec.selector.matchLabels");
	if (res->id == RES_service)
		labels = cli_path(owner, "spec.selector");
	if (!json_object_size(labels)) {
		fail(e, WHY_NOT_FOUND, "%s selects no pods", word);
		json_decref(owner);
		return NULL;
	}
	buf_adds(&path, cli_url(c, &resources[RES_pod], NULL));
	cli_query(&path, "labelSelector", cli_pairs(c, labels));
	json_decref(owner);
	list = cli_json(c, "GET", path.at, NULL, NULL, e);
	if (!list)
		return NULL;
	pod = best_pod(c, list);
	n = json_array_size(json_object_get(list, "items"));
	json_decref(list);
	if (!pod)
		fail(e, WHY_NOT_FOUND, "%s has no pod", word);
	else if (n > 1 && !strcmp(c->command->words, "logs")) /* in kubectl's words */
		fprintf(stderr, "Found %zu pods, using pod/%s\n", n, pod);
	return pod;
}

/* In kubectl's words. */
static void
say_defaulted(struct cli_call *c, json_t *pod, const char *name)
{
	static const char *const of[][2] = { { "spec.containers", "" },
					     { "spec.ephemeralContainers", " (ephem)" },
					     { "spec.initContainers", " (init)" } };
	cleanup_buf struct buf all = { 0 };
	json_t *one;
	size_t i;

	for (size_t l = 0; l < sizeof of / sizeof *of; l++)
		json_array_foreach(cli_path(pod, of[l][0]), i, one)
			buf_addf(&all, "%s%s%s", all.len ? ", " : "", cli_at(c, one, "name"),
				 of[l][1]);
	fprintf(stderr, "Defaulted container \"%s\" out of: %s\n", name, buf_text(&all));
}

static bool
has_container(struct cli_call *c, json_t *pod, const char *name)
{
	static const char *const lists[] = { "spec.containers", "spec.ephemeralContainers",
					     "spec.initContainers" };
	json_t *one;
	size_t i;

	for (size_t l = 0; l < sizeof lists / sizeof *lists; l++)
		json_array_foreach(cli_path(pod, lists[l]), i, one)
			if (!strcmp(cli_at(c, one, "name"), name))
				return true;
	return false;
}

const char *
cli_container(struct cli_call *c, const char *ns, const char *pod, struct error **e)
{
	const char *name = cli_opt(c, OPT_container);
	json_t *j, *list, *said;

	if (name)
		return name;
	j = cli_json(c, "GET",
		     cli_url_in(c, &resources[RES_pod], ns ? ns : cli_namespace(c), pod), NULL,
		     NULL, e);
	if (!j)
		return NULL;
	list = cli_path(j, "spec.containers");
	name = cli_at(c, json_array_get(list, 0), "name");
	/* the key has dots, which are no path */
	said = json_object_get(cli_path(j, "metadata.annotations"),
			       "kubectl.kubernetes.io/default-container");
	if (json_is_string(said) && has_container(c, j, json_string_value(said)))
		name = arena_strdup(c->arena, json_string_value(said));
	else if (json_array_size(list) > 1)
		say_defaulted(c, j, name);
	json_decref(j);
	return name;
}

/* "deploy, infra" */
static const char *
source_names(struct cli_call *c, json_t *list)
{
	cleanup_buf struct buf names = { 0 };
	json_t *item;
	size_t i;

	json_array_foreach(json_object_get(list, "items"), i, item)
		buf_addf(&names, "%s%s", i ? ", " : "", cli_at(c, item, "metadata.name"));
	return arena_strdup(c->arena, buf_text(&names));
}

json_t *
cli_source(struct cli_call *c, json_t *list, const char *name, struct error **e)
{
	const char *there = source_names(c, list);
	json_t *item;
	size_t i;

	json_array_foreach(json_object_get(list, "items"), i, item)
		if (!strcmp(cli_at(c, item, "metadata.name"), name))
			return item;
	fail(e, WHY_NOT_FOUND, "kedged has no source \"%s\"%s%s", name,
	     *there ? "; there are: " : "", there);
	return NULL;
}

const char *
cli_one_source(struct cli_call *c, const char *given, struct error **e)
{
	json_t *list =
	    cli_json(c, "GET", cli_url(c, &resources[RES_source], NULL), NULL, NULL, e);
	const char *one = NULL;
	size_t n = json_array_size(json_object_get(list, "items"));

	if (!list)
		return NULL;
	if (given)
		one = cli_source(c, list, given, e) ? given : NULL;
	else if (n == 1)
		one = cli_at(c, json_array_get(json_object_get(list, "items"), 0),
			     "metadata.name");
	else if (!n)
		fail(e, WHY_NOT_FOUND,
		     "kedged has no source; give it one with --source or in "
		     "/etc/kedge/kedge.yaml");
	else
		fail(e, WHY_BAD_REQUEST, "which source?  There are %s: kedge %s %sNAME",
		     source_names(c, list), c->command->words,
		     strstr(c->command->args, "SOURCE") ? "" : "--source ");
	json_decref(list);
	return one;
}
