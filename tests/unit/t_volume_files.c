/* t_volume_files.c -- what becomes files in a pod: the downward API and projected volumes. */
#include "base/base64.h"
#include "pod_kit.h"

/* The pod "web" with this one volume, in flow YAML; placed, its START in the plan. */
static const struct sandbox_args *
started(struct kit *k, const char *volume)
{
	char *text;

	xasprintf(
	    &text,
	    "apiVersion: v1\nkind: Pod\n"
	    "metadata: {name: web, labels: {app: web, tier: low}, annotations: "
	    "{note: \"a\\\"b\"}}\n"
	    "spec: {containers: [{name: web, image: 'web:1', resources: {limits: {memory: "
	    "64Mi, cpu: 1500m}}}], volumes: [{name: v, %s}]}\n",
	    volume);
	kit_read(k, text);
	free(text);
	pass(k);
	pass(k);
	return kit_body(k, ACT_START);
}

static const char *
file(struct kit *k, const struct sandbox_args *args, const char *path)
{
	assert_non_null(args);
	for (size_t i = 0; i < args->volumes.at[0].files.n; i++) {
		const struct file_args *f = &args->volumes.at[0].files.at[i];

		if (!strcmp(f->path, path))
			return base64_bytes(f->data, &k->arena, NULL);
	}
	return NULL;
}

static void
a_pod_reads_its_own_fields_as_files(void **state)
{
	struct kit *k = *state;
	const struct sandbox_args *a =
	    started(k, "downwardAPI: {defaultMode: 256, items: ["
		       "{path: labels, fieldRef: {fieldPath: metadata.labels}}, "
		       "{path: notes, fieldRef: {fieldPath: metadata.annotations}}, "
		       "{path: d/name, mode: 292, fieldRef: {fieldPath: metadata.name}}, "
		       "{path: one, fieldRef: {fieldPath: \"metadata.labels['app']\"}}, "
		       "{path: cpu, resourceFieldRef: {containerName: web, resource: "
		       "limits.cpu, divisor: 1m}}, "
		       "{path: mem, resourceFieldRef: {containerName: web, resource: "
		       "limits.memory, divisor: 1Mi}}]}");

	assert_string_equal(file(k, a, "labels"), "app=\"web\"\ntier=\"low\"");
	assert_string_equal(file(k, a, "notes"), "note=\"a\\\"b\"");
	assert_string_equal(file(k, a, "d/name"), "web");
	assert_string_equal(file(k, a, "one"), "web");
	assert_string_equal(file(k, a, "cpu"), "1500");
	assert_string_equal(file(k, a, "mem"), "64");
	assert_int_equal(a->volumes.at[0].files.at[0].mode, 256);
	assert_int_equal(a->volumes.at[0].files.at[2].mode, 292);
}

static void
a_projected_volume_holds_what_all_its_sources_hold(void **state)
{
	struct kit *k = *state;
	const struct sandbox_args *a;

	kit_read(k,
		 "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\n"
		 "data: {a: from-map, same: map}\n---\n"
		 "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\ndata: {same: c2VjcmV0}\n");
	a = started(k, "projected: {defaultMode: 288, sources: [{configMap: {name: c}}, "
		       "{secret: {name: s}}, {secret: {name: gone, optional: true}}, "
		       "{downwardAPI: {items: [{path: who, fieldRef: {fieldPath: "
		       "metadata.name}}]}}]}");
	assert_int_equal(a->volumes.at[0].files.n, 3);
	assert_string_equal(file(k, a, "a"), "from-map");
	assert_string_equal(file(k, a, "same"), "secret"); /* the later one */
	assert_string_equal(file(k, a, "who"), "web");
	assert_int_equal(a->volumes.at[0].files.at[0].mode, 288);
}

/* 0 is a mode and a group as any other, and not none. */
static void
nobody_s_modes_and_root_s_group_are_values(void **state)
{
	struct kit *k = *state;
	const struct sandbox_args *a;

	kit_read(k, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\n"
		    "data: {a: one, b: two}\n");
	a = started(k, "configMap: {name: c, defaultMode: 0}");
	assert_int_equal(a->volumes.at[0].files.at[0].mode, 0);
	kit_drop(k, RES_pod, "default", "web");
	a = started(k, "configMap: {name: c, items: [{key: a, path: a, mode: 0}, "
		       "{key: b, path: b}]}");
	assert_int_equal(a->volumes.at[0].files.at[0].mode, 0);
	assert_int_equal(a->volumes.at[0].files.at[1].mode, 420);
	assert_int_equal(a->fsGroup, -1);
	kit_drop(k, RES_pod, "default", "web");
	a = pod_started(k, ", securityContext: {fsGroup: 0}", "");
	assert_int_equal(a->fsGroup, 0);
}

static void
a_projected_volume_waits_for_what_is_not_optional(void **state)
{
	struct kit *k = *state;

	assert_null(started(k, "projected: {sources: [{configMap: {name: c, items: [{key: "
			       "a, path: b}]}}]}"));
	assert_non_null(strstr(kit_text(k), "configmap \"c\" not found"));
	kit_read(k, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata: {x: z}\n");
	assert_non_null(strstr(pass(k), "references non-existent config key: a"));
}

static void
repeat(struct buf *b, const char *text, size_t n)
{
	while (n--)
		buf_adds(b, text);
}

/* "c" has a file of 800 KB; "s" the same as a Secret. */
static void
large_ones(struct kit *k)
{
	cleanup_buf struct buf text = { 0 };

	buf_adds(&text, "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: c}\ndata: {k: ");
	repeat(&text, "xxxxxxxx", 100000);
	buf_adds(&text,
		 "}\n---\napiVersion: v1\nkind: Secret\nmetadata: {name: s}\ndata: {k: ");
	repeat(&text, "eHh4eHh4", 133333);
	buf_adds(&text, "}\n");
	kit_read(k, buf_text(&text));
}

/* `n` files of it, each with the one key. */
static void
add_files(struct buf *b, const char *source, size_t n, size_t from)
{
	buf_addf(b, "%s, items: [", source);
	for (size_t i = 0; i < n; i++)
		buf_addf(b, "{key: k, path: f%zu}, ", from + i);
	buf_adds(b, "]}}, ");
}

/* A thousand times the one key of 800 KB; nothing of them is made, in no pass. */
static void
a_pod_whose_files_are_too_much_for_one_order_waits(void **state)
{
	static const struct {
		const char *source, *last;
	} rows[] = { { "{configMap: {name: c", "f20" }, { "{secret: {name: s", "f20" } };
	struct kit *k = *state;

	large_ones(k);
	for (size_t i = 0; i < 2; i++) {
		cleanup_buf struct buf v = { 0 };
		char *why;

		buf_adds(&v, "projected: {sources: [");
		add_files(&v, rows[i].source, 1000, 0);
		buf_adds(&v, "]}");
		assert_null(started(k, buf_text(&v)));
		xasprintf(&why,
			  "FailedMount: MountVolume.SetUp failed for volume \"v\" : with the "
			  "file %s the contents of the pod's volumes are larger than 16 MiB\n",
			  rows[i].last);
		assert_non_null(strstr(kit_text(k), why));
		free(why);
		assert_true(k->pass.bytes < 1 << 20);
		assert_string_equal(pass(k), "");
		assert_true(k->pass.bytes < 1 << 20);
		kit_drop(k, RES_pod, "default", "web");
	}
}

/* Ten and ten of 800 KB are within it, and one more in a volume of its own is not. */
static void
all_volumes_of_a_pod_are_counted_together(void **state)
{
	struct kit *k = *state;

	large_ones(k);
	for (size_t more = 0; more < 2; more++) {
		cleanup_buf struct buf v = { 0 };
		const struct sandbox_args *a;

		buf_adds(&v, "projected: {sources: [");
		add_files(&v, "{configMap: {name: c", 10, 0);
		add_files(&v, "{secret: {name: s", 10, 10);
		buf_addf(&v, "]}}, {name: other, configMap: {name: %s",
			 more ? "c" : "none, optional: true");
		buf_adds(&v, "}");
		a = started(k, buf_text(&v));
		if (more) {
			assert_null(a);
			assert_non_null(strstr(
			    kit_text(k), "MountVolume.SetUp failed for volume \"other\" : with "
					 "the file k the contents of the pod's volumes are "
					 "larger than 16 MiB"));
			assert_true(k->pass.bytes < 1 << 20);
			continue;
		}
		assert_int_equal(a->volumes.at[0].files.n, 20);
		assert_int_equal(strlen(file(k, a, "f9")), 800000);
		assert_int_equal(strlen(file(k, a, "f19")), 799998);
		kit_drop(k, RES_pod, "default", "web");
	}
}

/* The fields of a pod are counted like all else, and looked at no further. */
static void
a_pods_own_fields_are_counted_too(void **state)
{
	struct kit *k = *state;
	cleanup_buf struct buf text = { 0 };

	buf_adds(&text,
		 "apiVersion: v1\nkind: Pod\nmetadata: {name: web, annotations: {note: ");
	repeat(&text, "x", 200000);
	buf_adds(&text,
		 "}}\nspec: {containers: [{name: web, image: 'web:1'}], volumes: [{name: "
		 "v, downwardAPI: {items: [");
	for (size_t i = 0; i < 1000; i++)
		buf_addf(&text, "{path: f%zu, fieldRef: {fieldPath: metadata.annotations}}, ",
			 i);
	buf_adds(&text, "]}}]}\n");
	kit_read(k, buf_text(&text));
	pass(k);
	pass(k);
	assert_null(kit_body(k, ACT_START));
	assert_non_null(strstr(kit_text(k), "with the file f83 the contents"));
	assert_true(k->pass.bytes < 2 << 20);
}

/* Scratch space in its place would take what is written there with the pod. */
static void
no_volume_that_kedge_has_not_becomes_scratch_space(void **state)
{
	struct kit *k = *state;
	int seen = 0;

	for (const struct field *f = volume_kind()->fields; f->name; f++) {
		char *text, *why;

		if (!f->inert)
			continue;
		xasprintf(&text, "%s: {%s}", f->name,
			  f->type == T_ANY ? "a: b" : "server: s, path: /p");
		assert_null(started(k, text));
		xasprintf(&why,
			  "FailedMount: MountVolume.SetUp failed for volume \"v\" : kedge has "
			  "no volumes of type %s\n",
			  f->name);
		assert_non_null(strstr(kit_text(k), why));
		free(text);
		free(why);
		kit_drop(k, RES_pod, "default", "web");
		seen++;
	}
	assert_true(seen > 20);
	assert_null(started(k, "projected: {sources: [{clusterTrustBundle: {path: a}}]}"));
	assert_non_null(strstr(kit_text(k), "no volumes of type clusterTrustBundle"));
	kit_drop(k, RES_pod, "default", "web");
	assert_string_equal(started(k, "emptyDir: {}")->volumes.at[0].type, "empty");
}

static void
changed_labels_are_sent_and_a_changed_status_is_not(void **state)
{
	struct kit *k = *state;
	struct pod *p;

	started(k, "downwardAPI: {items: [{path: l, fieldRef: {fieldPath: metadata.labels}}, "
		   "{path: a, fieldRef: {fieldPath: metadata.annotations}}]}");
	kit_up(k, "web");
	pass(k);
	pass(k);
	assert_int_equal(k->plan.n, 0);
	p = object_clone(kit_find(k, RES_pod, "web"), &k->arena);
	pairs_set(&p->metadata->labels, "app", "new", &k->arena);
	kit_update(k, p);
	assert_string_equal(pass(k),
			    "~ files pod default/web  # what its files are made of changed\n"
			    ". status pod default/web  # 1/1 ready\n");
	assert_string_equal(file(k, kit_body(k, ACT_FILES), "l"), "app=\"new\"\ntier=\"low\"");
	assert_string_equal(pass(k), "");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_pod_reads_its_own_fields_as_files),
		T(a_projected_volume_holds_what_all_its_sources_hold),
		T(a_projected_volume_waits_for_what_is_not_optional),
		T(a_pod_whose_files_are_too_much_for_one_order_waits),
		T(all_volumes_of_a_pod_are_counted_together),
		T(a_pods_own_fields_are_counted_too),
		T(no_volume_that_kedge_has_not_becomes_scratch_space),
		T(nobody_s_modes_and_root_s_group_are_values),
		T(changed_labels_are_sent_and_a_changed_status_is_not),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
