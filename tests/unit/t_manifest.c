/* t_manifest.c -- files of manifests: golden files, names, places, round trips.
 *
 * tests/golden/schema/NAME.yaml must give NAME.txt: the objects as JSON, then the
 * complaints.  KEDGE_GOLDEN=write writes them anew; the diff is for review.
 */
#include "golden.h"
#include "reads.h"
#include <dirent.h>
#include <stdlib.h>

#define FOLDER "tests/golden/schema"

static void
outcome(const char *name, const char *text, struct buf *out)
{
	READING(r);

	for (struct manifest *m = manifest_read(name, text, strlen(text), &r.arena, &r.cs); m;
	     m = m->next) {
		buf_addf(out, "%s:%d:%d ", m->path, m->line, m->col);
		object_json(m->obj, out);
		buf_addc(out, '\n');
	}
	buf_addf(out, "%s%s%d errors, %d warnings\n", said(&r), r.cs.first ? "\n" : "",
		 r.cs.errors, r.cs.warnings);
}

static void
compare(const char *name)
{
	char in[256], want[256];
	cleanup_buf struct buf got = { 0 };
	char *text;

	snprintf(in, sizeof in, FOLDER "/%s", name);
	snprintf(want, sizeof want, FOLDER "/%.*s.txt", (int)(strlen(name) - 5), name);
	text = golden_contents(in);
	assert_non_null(text);
	outcome(name, text, &got);
	golden_check(want, in, &got);
	free(text);
}

static size_t
each_golden(void (*fn)(const char *name))
{
	DIR *d = opendir(FOLDER);
	size_t n = 0;

	assert_non_null(d);
	for (struct dirent *e; (e = readdir(d));) {
		size_t len = strlen(e->d_name);

		if (len > 5 && !strcmp(e->d_name + len - 5, ".yaml")) {
			fn(e->d_name);
			n++;
		}
	}
	closedir(d);
	return n;
}

static void
every_golden_manifest_gives_what_it_gave(void **s)
{
	(void)s;
	assert_true(each_golden(compare) >= 10);
}

/* What was encoded is read again, by either reader: the same bytes come back. */
static void
round_trip(const char *name)
{
	READING(r);
	char path[256], *text;

	snprintf(path, sizeof path, FOLDER "/%s", name);
	text = golden_contents(path);
	for (struct manifest *m = manifest_read(name, text, strlen(text), &r.arena, &r.cs); m;
	     m = m->next) {
		cleanup_buf struct buf once = { 0 };
		const struct kind *k = m->res->schema;
		struct complaints none = { .arena = &r.arena };
		void *json, *yaml_, *copy = object_clone(m->obj, &r.arena);

		object_json(m->obj, &once);
		json = schema_decode(k, json_read(once.at, once.len, &r.arena, &none),
				     SCHEMA_TRUSTED, &r.arena, &none);
		yaml_ = schema_decode(k, yaml_read(once.at, once.len, &r.arena, &none),
				      SCHEMA_STRICT, &r.arena, &none);
		assert_int_equal(none.errors, 0);
		assert_string_equal(encoded(&r, k, json), once.at);
		assert_string_equal(encoded(&r, k, yaml_), once.at);
		assert_string_equal(encoded(&r, k, copy), once.at);
		assert_true(schema_equal(k, m->obj, json));
		assert_true(schema_equal(k, copy, m->obj));
		assert_true(schema_hash(k, json) == schema_hash(k, m->obj));
	}
	free(text);
}

static void
what_is_encoded_is_read_back_the_same(void **s)
{
	(void)s;
	each_golden(round_trip);
}

static void
says(const char *text, const char *want)
{
	READING(r);

	manifests(&r, text);
	assert_string_equal(said(&r), want);
}

static void
a_document_without_a_kind_is_skipped_with_a_warning(void **s)
{
	(void)s;
	says("image: {tag: v1}\n",
	     "m.yaml:1:1: warning: skipped: it has no apiVersion and no kind");
	says("kind: Pod\n", "m.yaml:1:1: apiVersion: Required value");
	says("---\n---\n# nothing\n", "");
	says("- a\n",
	     "m.yaml:1:1: must be an object (apiVersion: ..., kind: ..., metadata: ...)");
}

static void
an_unknown_kind_lists_those_that_are_known_once_a_file(void **s)
{
	(void)s;
	says("apiVersion: batch/v1\nkind: Job\n---\n"
	     "apiVersion: networking.k8s.io/v1\nkind: Ingress\n",
	     "m.yaml:2:7: kind: no matches for kind \"Job\" in version \"batch/v1\"; kedge "
	     "knows "
	     "Namespace (v1), ConfigMap (v1), Secret (v1), ServiceAccount (v1), StorageClass "
	     "(storage.k8s.io/v1), "
	     "PersistentVolume (v1), PersistentVolumeClaim (v1), Service (v1), Endpoints (v1), "
	     "Pod "
	     "(v1), "
	     "ReplicaSet (apps/v1), Deployment (apps/v1), EndpointSlice (discovery.k8s.io/v1), "
	     "NetworkPolicy (networking.k8s.io/v1), LimitRange (v1), ResourceQuota (v1), "
	     "PodDisruptionBudget (policy/v1), "
	     "ClusterRole (rbac.authorization.k8s.io/v1), Role (rbac.authorization.k8s.io/v1), "
	     "ClusterRoleBinding (rbac.authorization.k8s.io/v1), "
	     "RoleBinding (rbac.authorization.k8s.io/v1)\n"
	     "m.yaml:5:7: kind: no matches for kind \"Ingress\" in version "
	     "\"networking.k8s.io/v1\"");
	says("apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n",
	     "m.yaml:2:7: kind: kedge builds no Kustomization: commit what `kubectl "
	     "kustomize` prints, and name this file in .kedgeignore");
	says("apiVersion: v1\nkind: Deployment\n",
	     "m.yaml:1:13: apiVersion: no matches for kind \"Deployment\" in version \"v1\", "
	     "did you mean "
	     "\"apps/v1\"?");
}

static void
json_with_letters_beyond_16_bits_is_read_too(void **s)
{
	READING(r);
	static const char text[] =
	    "{\"apiVersion\": \"v1\", \"kind\": \"ConfigMap\", \"metadata\": "
	    "{\"name\": \"a\"}, \"data\": {\"k\": \"\\ud83d\\ude00\"}}";
	struct manifest *m = manifest_read("a.json", text, strlen(text), &r.arena, &r.cs);

	(void)s;
	assert_string_equal(said(&r), "");
	assert_non_null(m);
	assert_string_equal(pairs_get(&((struct config_map *)m->obj)->data, "k"),
			    "\xf0\x9f\x98\x80");
}

static void
what_kedge_makes_itself_is_refused(void **s)
{
	static const char *const kinds[] = { "v1 Node", "v1 Event", "kedge.dev/v1 Source",
					     "kedge.dev/v1 Revision", NULL };

	(void)s;
	for (const char *const *k = kinds; *k; k++) {
		char text[128], want[128];
		const char *kind = strchr(*k, ' ') + 1;

		snprintf(text, sizeof text, "apiVersion: %.*s\nkind: %s\nmetadata: {name: x}\n",
			 (int)(kind - *k - 1), *k, kind);
		snprintf(
		    want, sizeof want,
		    "m.yaml:2:7: kind: kedge makes %s objects itself: take it out of the file",
		    kind);
		says(text, want);
	}
}

static void
the_namespace_is_default_unless_stated(void **s)
{
	READING(r);
	struct manifest *m = manifests(
	    &r, "{apiVersion: v1, kind: ConfigMap, metadata: {name: a}}\n---\n"
		"{apiVersion: v1, kind: ConfigMap, metadata: {name: a, namespace: prod}}\n---\n"
		"{apiVersion: v1, kind: Namespace, metadata: {name: a}}\n");

	(void)s;
	assert_string_equal(said(&r), "");
	assert_string_equal(object_path(m->obj, &r.arena), "default/a");
	assert_string_equal(object_path(m->next->obj, &r.arena), "prod/a");
	assert_string_equal(object_path(m->next->next->obj, &r.arena), "a");
	assert_int_equal(m->next->line, 3);
	assert_ptr_equal(m->next->next->res, &resources[RES_namespace]);
	assert_null(m->next->next->next);
}

static void
the_same_object_twice_names_both_places(void **s)
{
	READING(r);
	static const char text[] =
	    "{apiVersion: v1, kind: ConfigMap, metadata: {name: a}}\n---\n"
	    "{apiVersion: v1, kind: Secret, metadata: {name: a}}\n---\n"
	    "{apiVersion: v1, kind: ConfigMap, metadata: {name: a, namespace: b}}\n";
	struct manifest *a = manifest_read("a.yaml", text, strlen(text), &r.arena, &r.cs);
	struct manifest *b = manifest_read("b.yaml", text, strlen(text), &r.arena, &r.cs);
	struct manifest *all[] = { a, a->next, a->next->next, b->next };

	(void)s;
	manifests_check(all, 3, &r.cs);
	assert_string_equal(said(&r), "");
	manifests_check(all, 4, &r.cs);
	assert_string_equal(said(&r), "b.yaml:3:1: Secret default/a is already in a.yaml:3");
}

static void
only_yaml_and_json_outside_hidden_folders_is_wanted(void **s)
{
	(void)s;
	assert_true(manifest_wanted("web.yaml"));
	assert_true(manifest_wanted("a/b/web.yml"));
	assert_true(manifest_wanted("web.json"));
	assert_true(manifest_wanted("./web.json"));
	assert_false(manifest_wanted("README.md"));
	assert_false(manifest_wanted("yaml"));
	assert_false(manifest_wanted(".yaml"));
	assert_false(manifest_wanted("a/.yaml"));
	assert_false(manifest_wanted(".web.yaml"));
	assert_false(manifest_wanted(".github/workflows/ci.yaml"));
	assert_false(manifest_wanted("a/.b/c.yaml"));
	assert_false(manifest_wanted("web.yaml.orig"));
	assert_false(manifest_wanted("web.YAML"));
}

static void
kinds_are_found_by_any_word_a_user_types(void **s)
{
	static const char *const words[] = { "pods",
					     "pod",
					     "po",
					     "Pod",
					     "deploy",
					     "deployments.apps",
					     "deployments.v1.apps",
					     "svc",
					     "ns",
					     "rev",
					     "pods.v1",
					     NULL };
	static const char *const wrong[] = { "",    "p", "pods.apps", "deployments.v1",
					     "all", ".", NULL };

	(void)s;
	for (const char *const *w = words; *w; w++)
		assert_non_null(resource_named(*w));
	for (const char *const *w = wrong; *w; w++)
		assert_null(resource_named(*w));
	assert_int_equal(resource_named("rs")->id, RES_replica_set);
	assert_string_equal(resources[RES_deployment].api_version, "apps/v1");
	assert_string_equal(resources[RES_pod].api_version, "v1");
	for (int i = 0; i < RES_COUNT; i++) {
		assert_int_equal(resources[i].id, i);
		assert_ptr_equal(resource_find(resources[i].api_version, resources[i].kind),
				 &resources[i]);
	}
}

static void
objects_are_made_named_and_compared(void **s)
{
	READING(r);
	struct pod *a = object_new(RES_pod, "default", "a", &r.arena);
	struct pod *b = object_new(RES_pod, "default", "b", &r.arena);
	struct node *n = object_new(RES_node, "default", "box", &r.arena);
	struct owner_reference owner[] = { { .uid = "1" }, { .uid = "2", .controller = true } };

	(void)s;
	assert_string_equal(object_path(a, &r.arena), "default/a");
	assert_string_equal(object_path(n, &r.arena), "box");
	assert_string_equal(object_uid(a), "");
	assert_true(object_compare(a, b) < 0 && object_compare(b, a) > 0 &&
		    !object_compare(a, a));
	assert_true(object_compare(n, a) < 0);
	assert_ptr_equal(resource_of(n), &resources[RES_node]);
	assert_null(object_controller(a));
	a->metadata->ownerReferences.at = owner;
	a->metadata->ownerReferences.n = 2;
	assert_string_equal(object_controller(a)->uid, "2");
	pairs_set(&a->metadata->labels, "app", "web", &r.arena);
	assert_string_equal(object_label(a, "app"), "web");
	assert_null(object_annotation(a, "app"));
}

static void
a_complaint_outlives_the_manifests(void **s)
{
	static const char text[] =
	    "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: []\n";
	struct arena kept = { 0 };
	struct complaints cs = { .arena = &kept };

	(void)s;
	for (int i = 0; i < 2; i++) {
		struct arena scratch = { 0 };
		char path[16];

		snprintf(path, sizeof path, "%c.yaml", 'a' + i);
		manifest_read(path, text, strlen(text), &scratch, &cs);
		arena_free(&scratch);
	}
	assert_int_equal(cs.errors, 2);
	assert_string_equal(cs.first->path, "a.yaml");
	assert_string_equal(cs.first->next->path, "b.yaml");
	arena_free(&kept);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(every_golden_manifest_gives_what_it_gave),
		T(what_is_encoded_is_read_back_the_same),
		T(a_document_without_a_kind_is_skipped_with_a_warning),
		T(an_unknown_kind_lists_those_that_are_known_once_a_file),
		T(json_with_letters_beyond_16_bits_is_read_too),
		T(what_kedge_makes_itself_is_refused),
		T(the_namespace_is_default_unless_stated),
		T(the_same_object_twice_names_both_places),
		T(only_yaml_and_json_outside_hidden_folders_is_wanted),
		T(kinds_are_found_by_any_word_a_user_types),
		T(objects_are_made_named_and_compared),
		T(a_complaint_outlives_the_manifests),
	};

	return RUN(tests);
}
