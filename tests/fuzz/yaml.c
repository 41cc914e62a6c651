/* yaml.c -- 20,000 mutants of manifests through reader, schema, rules and back.
 *
 * None may crash, hang or pass in silence with a wrong result: what is accepted
 * must come back the same from its own JSON, and every refusal has a place.
 */
#include "mutate.h"
#include "tests/unit/reads.h"
#include <stdlib.h>

enum { ROUNDS = 20000 };

static const char *const words[] = {
	": ",     "\n",       "- ",       "  ",      "{",    "}",    "[",    "]",     ",",
	"&a ",    "*a",       "<<: ",     "---\n",   "\"",   "'",    "|\n",  ">-\n",  "# ",
	"!!str ", "? ",       "null",     "yes",     "0x7f", "-1",   "1e9",  "25%",   "64Mi",
	"99999",  "\t",       "\xff",     "name",    "spec", "kind", "List", "items", "Pod",
	"Always", "metadata", "\xc3\xa9", "\\u0000", NULL,
};

static const char *const seeds[] = {
	"apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web, labels: {app: "
	"web}}\nspec:\n"
	"  replicas: 3\n  selector: {matchLabels: {app: web}}\n  strategy:\n    rollingUpdate: "
	"{maxSurge: 25%, "
	"maxUnavailable: 0}\n  template:\n    metadata: {labels: {app: web}}\n    spec:\n      "
	"containers:\n"
	"        - name: web\n          image: nginx:1\n          ports: [{containerPort: 80, "
	"name: http}]\n"
	"          env: [{name: A, value: b}, {name: C, valueFrom: {fieldRef: {fieldPath: "
	"metadata.name}}}]\n"
	"          resources: {limits: {cpu: 500m, memory: 64Mi}}\n"
	"          readinessProbe: {httpGet: {port: http}}\n",
	"apiVersion: v1\nkind: Service\nmetadata:\n  name: web\nspec:\n  type: NodePort\n  "
	"ports:\n"
	"  - {name: a, port: 80, targetPort: http, nodePort: 30080}\n  - {name: b, port: 53, "
	"protocol: UDP}\n"
	"  selector: {app: web}\n",
	"apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: ConfigMap\n  metadata: "
	"&m {name: a}\n"
	"  data:\n    x: |\n      two\n      lines\n- apiVersion: v1\n  kind: Secret\n  "
	"metadata: {<<: *m}\n"
	"  data: {p: aGVsbG8=}\n  stringData: {q: text}\n",
	"{\"apiVersion\": \"v1\", \"kind\": \"Pod\", \"metadata\": {\"name\": \"p\"}, "
	"\"spec\": {\"containers\": "
	"[{\"name\": \"c\", \"image\": \"i\", \"volumeMounts\": [{\"name\": \"v\", "
	"\"mountPath\": \"/v\"}]}], "
	"\"volumes\": [{\"name\": \"v\", \"emptyDir\": {\"sizeLimit\": \"1Gi\"}}]}}",
	"a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n---\n? k\n: v\n...\n---\n!!int 5\n",
};

static void
reads_back_the_same(struct reading *r, const struct manifest *m)
{
	const struct kind *k = m->res->schema;
	struct complaints none = { .arena = &r->arena };
	const char *once = encoded(r, k, m->obj);
	void *back = schema_decode(k, json_read(once, strlen(once), &r->arena, &none),
				   SCHEMA_TRUSTED, &r->arena, &none);

	if (none.errors || strcmp(once, encoded(r, k, back)) || !schema_equal(k, back, m->obj))
		fail_msg("not read back the same: %s", once);
}

static int
try_one(const char *text, size_t len)
{
	READING(r);
	int accepted = 0;

	for (struct manifest *m = manifest_read("f.yaml", text, len, &r.arena, &r.cs); m;
	     m = m->next) {
		accepted++;
		if (!r.cs.errors)
			reads_back_the_same(&r, m);
	}
	for (struct complaint *c = r.cs.first; c; c = c->next)
		if (c->line < 1 || c->col < 1 || !*c->text || strlen(c->text) > 4000)
			fail_msg("no place or no text: %s", complaint_print(c, &r.arena));
	return accepted;
}

static void
no_mutant_of_a_manifest_crashes_or_changes_on_its_way(void **s)
{
	struct mutator m = { 0x9e3779b97f4a7c15, words };
	int accepted = 0;

	(void)s;
	for (int i = 0; i < ROUNDS; i++) {
		struct buf b = { 0 };

		buf_adds(&b, seeds[mutate_below(&m, sizeof seeds / sizeof *seeds)]);
		for (size_t n = mutate_below(&m, 6); n; n--)
			mutate_once(&m, &b);
		accepted += try_one(buf_text(&b), b.len);
		buf_done(&b);
	}
	assert_true(accepted > ROUNDS / 20); /* else they are too wild to test anything */
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(no_mutant_of_a_manifest_crashes_or_changes_on_its_way),
	};

	return RUN(tests);
}
