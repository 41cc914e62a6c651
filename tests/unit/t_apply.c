/* t_apply.c -- from a revision's manifests and the live objects to a plan. */
#include "golden.h"
#include "world.h"
#include <glob.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

struct bench {
	struct world w;
	struct plan plan;
	struct complaints c;
	struct buf out;
	bool for_now; /* what refused may change without a commit */
};

static int
manifest_order(const void *a, const void *b)
{
	const struct manifest *x = *(struct manifest *const *)a,
			      *y = *(struct manifest *const *)b;

	return x->res->id != y->res->id ? (int)x->res->id - (int)y->res->id
					: object_compare(x->obj, y->obj);
}

/* Plans the text as the whole of `source`; the printed plan and complaints are in b->out. */
static const char *
apply(struct bench *b, const char *source, const char *yaml, bool prune)
{
	struct arena *a = &b->w.arena;
	struct manifest *at[64], *m;
	struct wanted want = {
		.at = at, .source = source, .prune_allowed = prune, .ret_refused = &b->for_now
	};
	struct snapshot *s = world_snapshot(&b->w);

	b->c = (struct complaints){ .arena = a, .path = "in.yaml" };
	plan_init(&b->plan, a);
	buf_clear(&b->out);
	b->for_now = false;
	m = *yaml ? manifest_read("in.yaml", yaml, strlen(yaml), a, &b->c) : NULL;
	assert_int_equal(b->c.errors, 0);
	for (; m; m = m->next)
		at[want.n++] = m;
	qsort(at, want.n, sizeof *at, manifest_order);
	apply_reconcile(s, &want, &b->plan, &b->c);
	plan_print(&b->plan, &b->out);
	for (struct complaint *p = b->c.first; p; p = p->next)
		if (!p->warning)
			buf_addf(&b->out, "%s\n", complaint_print(p, a));
	return buf_text(&b->out);
}

static void
settle(struct bench *b, const char *source, const char *yaml)
{
	apply(b, source, yaml, true);
	assert_int_equal(b->c.errors, 0);
	world_obey(&b->w, &b->plan);
}

static void
bench_done(struct bench *b)
{
	buf_done(&b->out);
	arena_free(&b->w.arena);
}

#define DEFAULT_NS "apiVersion: v1\nkind: Namespace\nmetadata: {name: default}\n"
#define SOURCE(n) \
	"apiVersion: kedge.dev/v1\nkind: Source\nmetadata: {name: " n "}\nspec: {url: /x}\n"
#define WEB(extra)                                                                          \
	"apiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: web\nspec:\n" extra      \
	"  selector: {matchLabels: {app: web}}\n  template:\n    metadata:\n      labels: " \
	"{app: web}\n"                                                                      \
	"    spec:\n      containers:\n      - {name: web, image: 'web:1'}\n"
#define CM(n) "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: " n "}\ndata:\n  k: v\n"

static const struct deployment *
web_of(struct bench *b)
{
	return snapshot_find(world_snapshot(&b->w), RES_deployment, "default", "web");
}

static void
a_settled_world_needs_nothing(void **state)
{
	struct bench b = { 0 };
	static const char yaml[] = WEB("  replicas: 2\n") CM("a");

	(void)state;
	settle(&b, "main", yaml);
	assert_string_equal(apply(&b, "main", yaml, false), "");
	bench_done(&b);
}

static void
nothing_is_made_in_a_namespace_that_is_going(void **state)
{
	struct bench b = { 0 };
	static const char shop[] =
	    "---\napiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n";
	static const char map[] =
	    "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: shop}\n";
	const char *yaml;

	(void)state;
	world_read(&b.w, DEFAULT_NS "---\napiVersion: v1\nkind: Namespace\n"
				    "metadata: {name: shop, deletionTimestamp: "
				    "'2027-01-15T08:00:00Z'}\n");
	assert_string_equal(apply(&b, "main", map, false), "");
	assert_string_equal(b.plan.waits, "namespace shop: the old one is still terminating");
	yaml = arena_printf(&b.w.arena, "%s%s%s", shop, map, CM("b"));
	assert_string_equal(apply(&b, "main", yaml, false),
			    "+ create configmap default/b  # in.yaml:10\n");
	assert_string_equal(b.plan.waits, "namespace shop: the old one is still terminating");
	bench_done(&b);
}

static void
what_is_going_is_waited_for_whosever_it_is(void **state)
{
	struct bench b = { 0 };

	(void)state;
	world_read(&b.w, DEFAULT_NS "---\napiVersion: v1\nkind: ConfigMap\n"
				    "metadata: {name: a, deletionTimestamp: "
				    "'2027-01-15T08:00:00Z', finalizers: [x/y]}\n");
	assert_string_equal(apply(&b, "main", CM("a"), false), "");
	assert_string_equal(b.plan.waits,
			    "configmap default/a: the old one is still terminating");
	apply(&b, "main", CM("b"), false);
	assert_null(b.plan.waits);
	bench_done(&b);
}

static void
a_field_that_git_leaves_out_stays_as_it_lives(void **state)
{
	struct bench b = { 0 };
	struct deployment *d;

	(void)state;
	settle(&b, "main", WEB(""));
	d = object_clone(web_of(&b), &b.w.arena);
	assert_int_equal(d->spec->replicas, 1);
	d->spec->replicas = 5;
	pairs_set(&d->metadata->annotations, "deployment.kubernetes.io/revision", "3",
		  &b.w.arena);
	pairs_set(&d->metadata->labels, "team", "blue", &b.w.arena);
	world_put(&b.w, d);
	assert_string_equal(apply(&b, "main", WEB(""), false), "");
	settle(&b, "main", WEB("  minReadySeconds: 4\n"));
	assert_int_equal(web_of(&b)->spec->replicas, 5);
	assert_int_equal(web_of(&b)->spec->minReadySeconds, 4);
	assert_string_equal(object_label(web_of(&b), "team"), "blue");
	assert_string_equal(object_annotation(web_of(&b), "deployment.kubernetes.io/revision"),
			    "3");
	bench_done(&b);
}

static void
drift_in_a_stated_field_is_put_back(void **state)
{
	struct bench b = { 0 };
	struct deployment *d;

	(void)state;
	settle(&b, "main", WEB("  replicas: 2\n"));
	d = object_clone(web_of(&b), &b.w.arena);
	d->spec->replicas = 5;
	world_put(&b.w, d);
	assert_string_equal(
	    apply(&b, "main", WEB("  replicas: 2\n"), false),
	    "~ update deployment default/web  # drifted: spec.replicas 5 -> 2\n");
	world_obey(&b.w, &b.plan);
	assert_int_equal(web_of(&b)->spec->replicas, 2);
	bench_done(&b);
}

static void
a_field_that_leaves_git_goes_back_to_its_default(void **state)
{
	struct bench b = { 0 };

	(void)state;
	settle(&b, "main", WEB("  revisionHistoryLimit: 3\n"));
	settle(&b, "main", WEB(""));
	assert_int_equal(web_of(&b)->spec->revisionHistoryLimit, 10);
	bench_done(&b);
}

static void
an_allocated_address_and_port_survive_a_change(void **state)
{
	static const char v1[] =
	    "apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec:\n"
	    "  type: NodePort\n  selector: {app: web}\n  ports: [{port: 80}]\n";
	static const char v2[] =
	    "apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec:\n"
	    "  type: NodePort\n  selector: {app: www}\n  ports: [{port: 80}]\n";
	static const char v3[] = "apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec:\n"
				 "  selector: {app: www}\n  ports: [{port: 80}]\n";
	struct bench b = { 0 };
	struct service *svc;

	(void)state;
	settle(&b, "main", v1);
	svc = object_clone(snapshot_find(world_snapshot(&b.w), RES_service, "default", "web"),
			   &b.w.arena);
	svc->spec->clusterIP = "10.43.0.77";
	svc->spec->ports.at[0].nodePort = 31234;
	world_put(&b.w, svc);
	assert_string_equal(apply(&b, "main", v1, false), "");
	settle(&b, "main", v2);
	svc = (void *)snapshot_find(world_snapshot(&b.w), RES_service, "default", "web");
	assert_string_equal(svc->spec->clusterIP, "10.43.0.77");
	assert_int_equal(svc->spec->ports.at[0].nodePort, 31234);
	assert_string_equal(pairs_get(&svc->spec->selector, "app"), "www");
	settle(&b, "main", v3);
	svc = (void *)snapshot_find(world_snapshot(&b.w), RES_service, "default", "web");
	assert_string_equal(svc->spec->clusterIP, "10.43.0.77");
	assert_int_equal(svc->spec->ports.at[0].nodePort, 0);
	assert_string_equal(apply(&b, "main", v3, false), "");
	bench_done(&b);
}

static void
string_data_becomes_data_and_is_not_copied_into_annotations(void **state)
{
	static const char yaml[] = "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\n"
				   "data: {a: QQ==}\nstringData: {b: hunter2}\n";
	struct bench b = { 0 };
	const struct secret *s;

	(void)state;
	settle(&b, "main", yaml);
	s = snapshot_find(world_snapshot(&b.w), RES_secret, "default", "s");
	assert_string_equal(pairs_get(&s->data, "a"), "QQ==");
	assert_string_equal(pairs_get(&s->data, "b"), "aHVudGVyMg==");
	assert_int_equal(s->stringData.n, 0);
	assert_null(strstr(object_annotation(s, ANNOTATION_APPLIED), "aHVudGVyMg"));
	assert_null(strstr(object_annotation(s, ANNOTATION_APPLIED), "QQ=="));
	assert_string_equal(apply(&b, "main", yaml, false), "");
	assert_null(strstr(apply(&b, "main",
				 "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\n"
				 "data: {a: QUE=}\n",
				 false),
			   "QUE="));
	world_obey(&b.w, &b.plan);
	s = snapshot_find(world_snapshot(&b.w), RES_secret, "default", "s");
	assert_string_equal(pairs_get(&s->data, "a"), "QUE=");
	assert_null(pairs_get(&s->data, "b"));
	bench_done(&b);
}

static void
one_complaint_and_nothing_of_the_revision_is_applied(void **state)
{
	struct bench b = { 0 };

	(void)state;
	settle(&b, "main", WEB(""));
	apply(&b, "main",
	      "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec:\n"
	      "  selector: {matchLabels: {app: other}}\n  template:\n    metadata:\n"
	      "      labels: {app: other}\n    spec:\n      containers:\n"
	      "      - {name: web, image: 'web:1'}\n" CM("a"),
	      false);
	assert_int_equal(b.plan.n, 0);
	assert_int_equal(b.c.errors, 1);
	assert_non_null(
	    strstr(buf_text(&b.out), "in.yaml:5:13: spec.selector: Invalid value: "));
	assert_non_null(strstr(buf_text(&b.out), "field is immutable"));
	bench_done(&b);
}

static void
a_document_that_slides_down_its_file_is_no_change(void **state)
{
	struct bench b = { 0 };

	(void)state;
	settle(&b, "main", CM("a"));
	assert_string_equal(apply(&b, "main", "# a comment\n\n" CM("a"), false), "");
	settle(&b, "main", "# a comment\n\n" CM("a") "  l: w\n");
	assert_string_equal(object_annotation(snapshot_find(world_snapshot(&b.w),
							    RES_config_map, "default", "a"),
					      ANNOTATION_PLACE),
			    "in.yaml:4");
	bench_done(&b);
}

static void
what_kubectl_made_is_never_pruned(void **state)
{
	struct bench b = { 0 };

	(void)state;
	world_read(&b.w, DEFAULT_NS "---\n" WEB(""));
	settle(&b, "main", CM("a"));
	assert_null(strstr(apply(&b, "main", "", true), "deployment"));
	assert_string_equal(buf_text(&b.out),
			    "- delete configmap default/a  # left source main\n");
	bench_done(&b);
}

/* What each namespace has unasked is no reason to keep one; what somebody put there is. */
static void
a_namespace_goes_with_its_account_and_certificate(void **state)
{
	static const char shop[] = "apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n";
	static const char account[] = "apiVersion: v1\nkind: ServiceAccount\n"
				      "metadata: {name: default, namespace: shop}\n";
	static const char stays[] =
	    "~ update namespace shop  # left source main; it stays, for "
	    "there are others' objects in it\n";
	struct bench b = { 0 };

	(void)state;
	settle(&b, "main", shop);
	world_put(&b.w, object_new(RES_service_account, "shop", "default", &b.w.arena));
	world_put(&b.w, object_new(RES_config_map, "shop", "kube-root-ca.crt", &b.w.arena));
	assert_string_equal(apply(&b, "main", "", true),
			    "- delete namespace shop  # left source main\n");
	world_put(&b.w, object_new(RES_config_map, "shop", "mine", &b.w.arena));
	assert_string_equal(apply(&b, "main", "", true), stays);
	bench_done(&b);

	b = (struct bench){ 0 };
	settle(&b, "main", shop);
	settle(&b, "other", account); /* here it is a source's */
	assert_string_equal(apply(&b, "main", "", true), stays);
	bench_done(&b);
}

static void
a_service_account_comes_and_goes_with_its_file(void **state)
{
	static const char yaml[] =
	    "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: robot}\n";
	struct bench b = { 0 };

	(void)state;
	world_read(&b.w, DEFAULT_NS);
	assert_string_equal(apply(&b, "main", yaml, false),
			    "+ create serviceaccount default/robot  # in.yaml:1\n");
	world_obey(&b.w, &b.plan);
	assert_string_equal(apply(&b, "main", yaml, false), "");
	assert_string_equal(apply(&b, "main", "", true),
			    "- delete serviceaccount default/robot  # left source main\n");
	bench_done(&b);
}

static void
two_containers_are_matched_by_name_and_a_foreign_sidecar_stays(void **state)
{
	struct bench b = { 0 };
	struct deployment *d;
	struct container *two;

	(void)state;
	settle(&b, "main", WEB(""));
	d = object_clone(web_of(&b), &b.w.arena);
	two = arena_zalloc(&b.w.arena, 2 * sizeof *two);
	two[1] = d->spec->template->spec->containers.at[0];
	two[0] = two[1];
	two[0].name = "sidecar";
	d->spec->template->spec->containers.at = two;
	d->spec->template->spec->containers.n = 2;
	two[1].image = "web:drifted";
	world_put(&b.w, d);
	settle(&b, "main", WEB(""));
	assert_int_equal(web_of(&b)->spec->template->spec->containers.n, 2);
	assert_string_equal(web_of(&b)->spec->template->spec->containers.at[0].image, "web:1");
	assert_string_equal(web_of(&b)->spec->template->spec->containers.at[1].name, "sidecar");
	bench_done(&b);
}

/* What changed alone is looked at, or everything: the plan is the same. */
static void
a_look_at_the_changes_finds_what_a_look_at_everything_finds(void **state)
{
	static struct manifest
	    *docs[24][3]; /* each in three versions; the first may be absent */
	unsigned seed = 7;

	(void)state;
	for (int round = 0; round < 2000; round++) {
		struct bench b = { 0 };
		struct arena *a = &b.w.arena;
		struct manifest *was[24], *is[24];
		struct wanted w = { .at = was, .source = "main", .prune_allowed = true };
		struct complaints c = { .arena = a };
		cleanup_buf struct buf all = { 0 }, some = { 0 };
		struct plan p;

		for (int d = 0; d < 24; d++)
			for (int v = 0; v < 3; v++) {
				const char *text =
				    arena_printf(a,
						 d % 3 ? "apiVersion: v1\nkind: "
							 "ConfigMap\nmetadata: {name: o%d}\n"
							 "data: {k: 'v%d'}\n"
						       : "apiVersion: v1\nkind: "
							 "Service\nmetadata: {name: o%d}\n"
							 "spec: {type: NodePort, ports: "
							 "[{port: 80, nodePort: %d}]}\n",
						 d, d % 3 ? v : 30000 + (d * 7 + v * 3) % 40);

				docs[d][v] = manifest_read(arena_printf(a, "%02d.yaml", d),
							   text, strlen(text), a, &c);
				assert_non_null(docs[d][v]);
			}
		for (int d = 0; d < 24; d++) {
			seed = seed * 1103515245 + 12345;
			if (seed >> 16 & 7)
				was[w.n++] = docs[d][0];
		}
		plan_init(&p, a);
		apply_reconcile(world_snapshot(&b.w), &w, &p, &c);
		world_obey(&b.w, &p);
		w.before = c.errors ? NULL : was;
		w.nbefore = w.n;
		w.at = is;
		w.n = 0;
		for (int d = 0; d < 24; d++) {
			unsigned r = (seed = seed * 1103515245 + 12345) >> 16 & 15;

			if (r != 1)
				is[w.n++] = docs[d][r < 12 ? 0 : r & 1 ? 1 : 2];
		}
		w.prune_allowed = seed >> 20 & 1;
		for (int look = 0; look < 2; look++) {
			struct complaints said = { .arena = a };
			struct buf *out = look ? &all : &some;

			if (look)
				w.before = NULL;
			plan_init(&p, a);
			apply_reconcile(world_snapshot(&b.w), &w, &p, &said);
			plan_print(&p, out);
			complaints_sort(&said);
			buf_addf(out, "%d errors\n", said.errors);
		}
		assert_string_equal(buf_text(&some), buf_text(&all));
		bench_done(&b);
	}
}

/* The golden world has no IPv6. */
static void
an_ipv6_address_outside_the_services_range_is_refused(void **state)
{
	static const char *const bad[] = { "fd99::1", "fd43::",      "::1",
					   "::",      "::10.43.0.9", "fd43:0:0:1::7" };
	struct bench b = { 0 };

	(void)state;
	world_snapshot(&b.w);
	assert_true(addr_range_read("fd42::/64", &b.w.settings.pods6) &&
		    addr_range_read("fd43::/112", &b.w.settings.svcs6));
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		const char *got = apply(
		    &b, "main",
		    arena_printf(&b.w.arena,
				 "apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec: "
				 "{clusterIP: '%s', ports: [{port: 80}]}\n",
				 bad[i]),
		    true);

		if (!strstr(got, "provided IP is not in the valid range. The range of valid "
				 "IPs is fd43::/112"))
			fail_msg("%s: %s", bad[i], got);
	}
	bench_done(&b);
}

/* tests/golden/apply/NAME: seen.yaml lives (after `was.yaml`, when there is one,
 * was applied as source main), in.yaml is wanted, plan.txt is what to expect.
 * KEDGE_GOLDEN=write writes what came out; git diff is the review. */
static void
golden_plans(void **state)
{
	glob_t g;
	int bad = 0;

	(void)state;
	assert_int_equal(glob("tests/golden/apply/*/in.yaml", 0, NULL, &g), 0);
	assert_true(g.gl_pathc >= 8);
	for (size_t i = 0; i < g.gl_pathc; i++) {
		struct bench b = { 0 };
		char dir[256], path[300];
		char *in = golden_contents(g.gl_pathv[i]), *seen, *was, *want;
		const char *got;

		snprintf(dir, sizeof dir, "%.*s", (int)strlen(g.gl_pathv[i]) - 8,
			 g.gl_pathv[i]);
		snprintf(path, sizeof path, "%s/seen.yaml", dir);
		seen = golden_contents(path);
		world_read(&b.w, DEFAULT_NS "---\n" SOURCE("main"));
		if (seen)
			world_read(&b.w, seen);
		snprintf(path, sizeof path, "%s/was.yaml", dir);
		was = golden_contents(path);
		if (was)
			settle(&b, "main", was);
		got = apply(&b, "main", in, strstr(in, "# prune allowed") != NULL);
		snprintf(path, sizeof path, "%s/plan.txt", dir);
		if (getenv("KEDGE_GOLDEN")) {
			FILE *f = fopen(path, "w");

			fputs(got, f);
			fclose(f);
		}
		want = golden_contents(path);
		if (!want || strcmp(want, got)) {
			print_message("# %s: expected\n%s# got\n%s", dir, want ? want : "",
				      got);
			bad++;
		}
		if (!b.c.errors) { /* and what it does is what was wanted */
			bool pods_go = strstr(got, "replaced, for a pod") != NULL;

			world_obey(&b.w, &b.plan);
			if (!pods_go && *apply(&b, "main", in, true)) {
				print_message("# %s: not settled after it:\n%s", dir,
					      buf_text(&b.out));
				bad++;
			}
		}
		free(in);
		free(seen);
		free(was);
		free(want);
		bench_done(&b);
	}
	globfree(&g);
	assert_int_equal(bad, 0);
}

static void
what_is_anothers_refuses_for_now_only(void **state)
{
	static const char port[] =
	    "apiVersion: v1\nkind: Service\nmetadata: {name: %s}\nspec:\n"
	    "  type: NodePort\n  ports: [{port: 80, nodePort: 30080}]\n";
	struct bench b = { 0 };
	char yaml[300];

	(void)state;
	world_read(&b.w, DEFAULT_NS "---\n" SOURCE("other"));
	snprintf(yaml, sizeof yaml, port, "one");
	strcat(yaml, CM("a"));
	settle(&b, "other", yaml);
	assert_string_not_equal(apply(&b, "main", CM("a"), false), "");
	assert_true(b.for_now);
	snprintf(yaml, sizeof yaml, port, "two");
	assert_string_not_equal(apply(&b, "main", yaml, false), "");
	assert_true(b.for_now);
	assert_string_not_equal(apply(&b, "other", "", false), ""); /* the guard's word */
	assert_false(b.for_now);
	bench_done(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_settled_world_needs_nothing),
		cmocka_unit_test(nothing_is_made_in_a_namespace_that_is_going),
		cmocka_unit_test(what_is_going_is_waited_for_whosever_it_is),
		cmocka_unit_test(a_field_that_git_leaves_out_stays_as_it_lives),
		cmocka_unit_test(drift_in_a_stated_field_is_put_back),
		cmocka_unit_test(a_field_that_leaves_git_goes_back_to_its_default),
		cmocka_unit_test(an_allocated_address_and_port_survive_a_change),
		cmocka_unit_test(string_data_becomes_data_and_is_not_copied_into_annotations),
		cmocka_unit_test(one_complaint_and_nothing_of_the_revision_is_applied),
		cmocka_unit_test(a_document_that_slides_down_its_file_is_no_change),
		cmocka_unit_test(what_kubectl_made_is_never_pruned),
		cmocka_unit_test(a_service_account_comes_and_goes_with_its_file),
		cmocka_unit_test(a_namespace_goes_with_its_account_and_certificate),
		cmocka_unit_test(
		    two_containers_are_matched_by_name_and_a_foreign_sidecar_stays),
		cmocka_unit_test(a_look_at_the_changes_finds_what_a_look_at_everything_finds),
		cmocka_unit_test(an_ipv6_address_outside_the_services_range_is_refused),
		cmocka_unit_test(what_is_anothers_refuses_for_now_only),
		cmocka_unit_test(golden_plans),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
