/* t_schema.c -- rows at work: defaults, presence, equality, differences, text under a path. */
#include "reads.h"
#include <stdlib.h>

#define POD "{containers: [{name: web, image: x}]}"

static void
a_default_is_filled_in_but_not_marked_as_given(void **s)
{
	READING(r);
	struct pod_spec *p = decoded(&r, pod_spec_kind(), POD, SCHEMA_STRICT);

	(void)s;
	assert_string_equal(p->restartPolicy, "Always");
	assert_int_equal(p->terminationGracePeriodSeconds, 30);
	assert_true(p->enableServiceLinks);
	assert_false(schema_has(pod_spec_kind(), p, "restartPolicy"));
	assert_true(schema_has(pod_spec_kind(), p, "containers"));
	assert_string_equal(p->containers.at[0].imagePullPolicy, "Always");
	assert_non_null(p->securityContext);
	assert_null(p->containers.at[0].securityContext);
}

static void
an_empty_word_is_as_good_as_none(void **s)
{
	READING(r);
	struct pod_spec *p =
	    decoded(&r, pod_spec_kind(),
		    "{restartPolicy: '', dnsPolicy: '', containers: [{name: web, image: x, "
		    "imagePullPolicy: '', ports: [{containerPort: 80, protocol: ''}]}]}",
		    SCHEMA_STRICT);
	struct persistent_volume_claim_spec *c = decoded(
	    &r, persistent_volume_claim_spec_kind(), "{storageClassName: ''}", SCHEMA_TRUSTED);

	(void)s;
	assert_string_equal(said(&r), "");
	assert_string_equal(p->restartPolicy, "Always");
	assert_string_equal(p->dnsPolicy, "ClusterFirst");
	assert_string_equal(p->containers.at[0].imagePullPolicy, "Always");
	assert_string_equal(p->containers.at[0].ports.at[0].protocol, "TCP");
	/* a pointer in Go: no class is not the default one */
	assert_string_equal(c->storageClassName, "");
	assert_true(schema_has(persistent_volume_claim_spec_kind(), c, "storageClassName"));
}

/* Go has pointers there, and looks at what they point to. */
static void
an_empty_word_is_refused_where_kubernetes_has_a_pointer(void **s)
{
	static const struct {
		const struct kind *(*kind)(void);
		const char *text, *said;
	} rows[] = {
		{ persistent_volume_claim_spec_kind, "{volumeMode: ''}",
		  "\"\": supported values: \"Block\", \"Filesystem\"" },
		{ service_spec_kind, "{ports: [{port: 80}], ipFamilyPolicy: ''}",
		  "ipFamilyPolicy: Unsupported value: \"\"" },
		{ service_spec_kind, "{ports: [{port: 80}], internalTrafficPolicy: ''}",
		  "internalTrafficPolicy: Unsupported value: \"\"" },
		{ volume_mount_kind, "{name: a, mountPath: /a, mountPropagation: ''}",
		  "mountPropagation: Unsupported value: \"\"" },
		{ volume_mount_kind, "{name: a, mountPath: /a, recursiveReadOnly: ''}",
		  "recursiveReadOnly: Unsupported value: \"\"" },
		{ pod_security_context_kind, "{fsGroupChangePolicy: ''}",
		  "fsGroupChangePolicy: Unsupported value: \"\"" },
	};

	(void)s;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		READING(r);

		(void)decoded(&r, rows[i].kind(), rows[i].text, SCHEMA_STRICT);
		if (!strstr(said(&r), rows[i].said))
			fail_msg("%s: %s", rows[i].text, said(&r));
	}
	READING(r);
	struct persistent_volume_claim_spec *old = decoded(
	    &r, persistent_volume_claim_spec_kind(), "{volumeMode: ''}", SCHEMA_TRUSTED);

	assert_string_equal(said(&r), "");
	assert_string_equal(old->volumeMode, "Filesystem");
}

static void
a_probes_zero_is_as_good_as_none(void **s)
{
	READING(r);
	struct probe *p =
	    decoded(&r, probe_kind(),
		    "{tcpSocket: {port: 80}, periodSeconds: 0, timeoutSeconds: 0, "
		    "successThreshold: 0, failureThreshold: 0, initialDelaySeconds: 0}",
		    SCHEMA_STRICT);

	(void)s;
	assert_string_equal(said(&r), "");
	assert_int_equal(p->periodSeconds, 10);
	assert_int_equal(p->timeoutSeconds, 1);
	assert_int_equal(p->successThreshold, 1);
	assert_int_equal(p->failureThreshold, 3);
	(void)decoded(&r, probe_kind(), "{tcpSocket: {port: 80}, periodSeconds: -1}",
		      SCHEMA_STRICT);
	assert_non_null(strstr(said(&r), "periodSeconds: Invalid value: -1: must be greater "
					 "than or equal to 0"));
}

static void
zero_is_not_absent_where_kubernetes_has_a_pointer(void **s)
{
	READING(r);
	const struct kind *k = pod_security_context_kind();
	struct pod_security_context *zero = decoded(&r, k, "{runAsUser: 0}", SCHEMA_STRICT);
	struct pod_security_context *none = decoded(&r, k, "{}", SCHEMA_STRICT);

	(void)s;
	assert_true(schema_has(k, zero, "runAsUser"));
	assert_false(schema_has(k, none, "runAsUser"));
	assert_false(schema_equal(k, zero, none));
	assert_string_equal(encoded(&r, k, zero), "{\"runAsUser\":0}");
	assert_string_equal(encoded(&r, k, none), "{}");
	schema_mark(k, none, "runAsUser");
	assert_true(schema_equal(k, zero, none));
	assert_true(schema_hash(k, zero) == schema_hash(k, none));
}

static void
zero_replicas_survive_the_wire(void **s)
{
	READING(r);
	const struct kind *k = replica_set_spec_kind();
	struct replica_set_spec spec = { 0 };
	struct replica_set_status status = { 0 };

	(void)s;
	assert_string_equal(encoded(&r, k, &spec), "{\"replicas\":0}");
	assert_string_equal(encoded(&r, replica_set_status_kind(), &status),
			    "{\"replicas\":0}");
	assert_string_equal(
	    encoded(&r, deployment_status_kind(), &(struct deployment_status){ 0 }), "{}");
}

static void
server_fields_in_a_manifest_are_dropped_without_a_word(void **s)
{
	static const char text[] =
	    "{apiVersion: v1, kind: Pod, metadata: {name: a, uid: u, resourceVersion: "
	    "'5'}, spec: " POD ", status: {phase: Running, nonsense: 1}}";
	static const char ours[] =
	    "{apiVersion: v1, kind: Pod, metadata: {name: a, uid: u, resourceVersion: "
	    "'5'}, spec: " POD ", status: {phase: Running}}";
	READING(r);
	struct pod *p = decoded(&r, pod_kind(), text, SCHEMA_STRICT);

	(void)s;
	assert_string_equal(said(&r), "");
	assert_null(p->metadata->uid);
	assert_null(p->status->phase);
	p = decoded(&r, pod_kind(), ours, SCHEMA_TRUSTED);
	assert_string_equal(said(&r), "");
	assert_string_equal(p->metadata->uid, "u");
	assert_string_equal(p->metadata->resourceVersion, "5");
	assert_string_equal(p->status->phase, "Running");
}

static void
an_unknown_field_is_an_error_or_a_warning_as_asked(void **s)
{
	static const enum schema_mode modes[] = { SCHEMA_STRICT, SCHEMA_LENIENT,
						  SCHEMA_TRUSTED };

	(void)s;
	for (int i = 0; i < 3; i++) {
		READING(r);

		decoded(&r, pod_spec_kind(), "{containers: [{name: a, image: x, tyt: true}]}",
			modes[i]);
		assert_int_equal(r.cs.errors, modes[i] != SCHEMA_LENIENT);
		assert_int_equal(r.cs.warnings, modes[i] == SCHEMA_LENIENT);
		assert_non_null(strstr(said(&r),
				       "containers[0].tyt: unknown field \"tyt\", did you mean "
				       "\"tty\"?"));
	}
}

static void
a_misspelled_field_that_is_needed_is_one_mistake(void **s)
{
	static const char text[] = "{containres: [{name: a, image: x}]}";
	READING(strict);
	READING(lenient);
	READING(far);

	(void)s;
	decoded(&strict, pod_spec_kind(), text, SCHEMA_STRICT);
	assert_int_equal(strict.cs.errors, 1);
	assert_non_null(strstr(said(&strict), "did you mean \"containers\"?"));
	/* where the name is only a warning, the lack is the error */
	decoded(&lenient, pod_spec_kind(), text, SCHEMA_LENIENT);
	assert_int_equal(lenient.cs.errors, 1);
	assert_int_equal(lenient.cs.warnings, 1);
	assert_non_null(strstr(said(&lenient), "containers: Required value"));
	decoded(&far, pod_spec_kind(), "{boxes: []}", SCHEMA_STRICT);
	assert_int_equal(far.cs.errors, 2);
	assert_non_null(strstr(said(&far), "containers: Required value"));
}

static void
means(const struct kind *k, const char *wrong, const char *right)
{
	READING(r);
	char text[128];

	snprintf(text, sizeof text, "{%s: 1}", wrong);
	decoded(&r, k, text, SCHEMA_LENIENT);
	if (right)
		snprintf(text, sizeof text, "unknown field \"%s\", did you mean \"%s\"?", wrong,
			 right);
	else
		snprintf(text, sizeof text, "unknown field \"%s\"\n", wrong);
	if (!strstr(arena_printf(&r.arena, "%s\n", said(&r)), text))
		fail_msg("%s: %s", wrong, said(&r));
}

static void
a_misspelt_field_gets_a_suggestion(void **s)
{
	(void)s;
	means(deployment_spec_kind(), "replcas", "replicas");
	means(deployment_spec_kind(), "Replicas", "replicas");
	means(deployment_spec_kind(), "repilcas", "replicas");
	means(deployment_spec_kind(), "relicsa", "replicas");
	means(deployment_spec_kind(), "stratgy", "strategy");
	means(deployment_spec_kind(), "containers", "template.spec.containers");
	means(deployment_spec_kind(), "colour", NULL);
	means(container_kind(), "img", "image");
	means(container_kind(), "port", "ports");
	means(container_kind(), "cmd", NULL);
	means(container_port_kind(), "containerport", "containerPort");
	means(object_meta_kind(), "lables", "labels");
	means(container_kind(), "x", NULL);
}

static void
values_are_typed_and_the_message_says_what_was_found(void **s)
{
	READING(r);

	(void)s;
	decoded(&r, container_port_kind(), "{containerPort: http, protocol: 6, name: [a]}",
		SCHEMA_STRICT);
	assert_string_equal(
	    said(&r),
	    "1:17: containerPort: must be a number, not the string \"http\"\n"
	    "1:33: protocol: must be a string, not the number 6: put it in quotes, \"6\"\n"
	    "1:42: name: must be a string, not a list");
}

static void
octal_and_underscored_numbers_are_numbers(void **s)
{
	READING(r);
	struct config_map_volume_source *v = decoded(
	    &r, config_map_volume_source_kind(), "{name: a, defaultMode: 0644}", SCHEMA_STRICT);
	struct resource_requirements *q =
	    decoded(&r, resource_requirements_kind(),
		    "{limits: {memory: 1_000_000, cpu: 0.25}}", SCHEMA_STRICT);

	(void)s;
	assert_string_equal(said(&r), "");
	assert_int_equal(v->defaultMode, 420);
	assert_string_equal(pairs_get(&q->limits, "memory"), "1000000");
	assert_string_equal(pairs_get(&q->limits, "cpu"), "0.25");
	assert_string_equal(pairs_get(&q->requests, "cpu"), "0.25");
}

static void
maps_are_sorted_whatever_the_order_of_the_file(void **s)
{
	READING(r);
	const struct kind *k = object_meta_kind();
	void *a = decoded(&r, k, "{labels: {c: '3', a: '1', b: '2'}, name: x}", SCHEMA_STRICT);
	void *b = decoded(&r, k, "{name: x, labels: {b: '2', c: '3', a: '1'}}", SCHEMA_STRICT);

	(void)s;
	assert_string_equal(
	    encoded(&r, k, a),
	    "{\"name\":\"x\",\"labels\":{\"a\":\"1\",\"b\":\"2\",\"c\":\"3\"}}");
	assert_true(schema_equal(k, a, b));
	assert_true(schema_hash(k, a) == schema_hash(k, b));
}

static void
an_empty_object_equals_an_absent_one_where_the_wire_shows_both_alike(void **s)
{
	READING(r);
	struct container a = { .name = "x", .image = "y" }, b = a;
	struct volume v = { .name = "x" }, w = v;

	(void)s;
	b.resources = arena_zalloc(&r.arena, sizeof *b.resources);
	assert_true(schema_equal(container_kind(), &a, &b));
	assert_string_equal(encoded(&r, container_kind(), &a),
			    encoded(&r, container_kind(), &b));
	pairs_set(&b.resources->limits, "cpu", "1", &r.arena);
	assert_false(schema_equal(container_kind(), &a, &b));
	w.emptyDir = arena_zalloc(&r.arena, sizeof *w.emptyDir);
	assert_false(schema_equal(volume_kind(), &v, &w));
}

static void
a_clone_shares_nothing_with_its_original(void **s)
{
	READING(r);
	struct arena first = { 0 };
	struct complaints cs = { .arena = &first };
	static const char text[] =
	    "{apiVersion: v1, kind: Pod, metadata: {name: a, labels: {x: z}}, spec: "
	    "{containers: [{name: c, image: i, args: [p, q], env: [{name: E, value: v}],"
	    " ports: [{containerPort: 1}]}]}}";
	struct pod *p = schema_decode(pod_kind(), yaml_read(text, strlen(text), &first, &cs),
				      SCHEMA_STRICT, &first, &cs);
	const char *before = encoded(&r, pod_kind(), p);
	struct pod *copy = object_clone(p, &r.arena);

	(void)s;
	arena_free(&first); /* a sanitizer would see what was shared */
	assert_string_equal(encoded(&r, pod_kind(), copy), before);
}

/* To the byte: with one piece less it would have to grow. */
static void
a_clone_takes_as_much_room_as_is_told_before(void **s)
{
	READING(r);
	static const char text[] =
	    "{containers: [{name: c, image: i, args: [p, '', q], env: [{name: E, value: v}], "
	    "ports: [{containerPort: 1}], livenessProbe: {httpGet: {port: web, path: /}}, "
	    "resources: {limits: {cpu: 1, memory: 1Gi}}}], nodeSelector: {a: b, c: ''}, "
	    "securityContext: {supplementalGroups: [1, 2, 3], runAsUser: 0}, "
	    "volumes: [{name: v, emptyDir: {}}], terminationGracePeriodSeconds: 1}";
	void *spec = decoded(&r, pod_spec_kind(), text, SCHEMA_STRICT);
	size_t room = schema_room(pod_spec_kind(), spec);

	(void)s;
	for (size_t less = 0; less < 2; less++) {
		cleanup_arena struct arena a = { 0 };
		size_t had;

		arena_reserve(&a, room - less);
		had = a.bytes;
		schema_clone(pod_spec_kind(), spec, &a);
		assert_int_equal(a.bytes > had, less);
	}
}

static void
note(void *ctx, const char *path, const char *old, const char *new)
{
	buf_addf(ctx, "%s: %s -> %s\n", path, old ? old : "(none)", new ? new : "(none)");
}

static const char *
differences(struct reading *r, const struct kind *k, const void *a, const void *b)
{
	cleanup_buf struct buf out = { 0 };

	schema_diff(k, a, b, note, &out);
	return arena_strdup(&r->arena, buf_text(&out));
}

static void
a_difference_names_the_leaf_by_the_keys_of_lists(void **s)
{
	READING(r);
	const struct kind *k = pod_spec_kind();
	void *a = decoded(
	    &r, k,
	    "{containers: [{name: web, image: 'x:1', args: [a], ports: [{containerPort: 80}]}, "
	    "{name: old, image: 'o:1'}]}",
	    SCHEMA_STRICT);
	void *b = decoded(
	    &r, k,
	    "{nodeName: box, containers: [{name: new, image: 'n:1'}, {name: web, image: 'x:2', "
	    "args: [a, b], ports: [{containerPort: 80, name: http}]}]}",
	    SCHEMA_STRICT);
	const char *d = differences(&r, k, a, b);

	(void)s;
	assert_non_null(strstr(d, "containers[web].image: x:1 -> x:2\n"));
	assert_non_null(strstr(d, "containers[web].args: [\"a\"] -> [\"a\",\"b\"]\n"));
	assert_non_null(strstr(d, "containers[web].ports[80/TCP].name: (none) -> http\n"));
	assert_non_null(strstr(d, "containers[old].image: o:1 -> (none)\n"));
	assert_non_null(strstr(d, "containers[new].image: (none) -> n:1\n"));
	assert_non_null(strstr(d, "nodeName: (none) -> box\n"));
	assert_null(strstr(d, "restartPolicy"));
	assert_string_equal(differences(&r, k, a, a), "");
	assert_string_equal(differences(&r, k, a, schema_clone(k, a, &r.arena)), "");
}

static void
a_secrets_value_is_never_shown(void **s)
{
	READING(r);
	static const char one[] =
	    "{apiVersion: v1, kind: Secret, metadata: {name: a}, data: {p: aGVsbG8=, q: "
	    "aGVsbG8=}}";
	static const char two[] =
	    "{apiVersion: v1, kind: Secret, metadata: {name: a}, stringData: {p: other}}";
	static const char bad[] =
	    "{apiVersion: v1, kind: Secret, metadata: {name: a}, data: {p: 'pa$$'}}";
	void *a = decoded(&r, secret_kind(), one, SCHEMA_STRICT);
	void *b = decoded(&r, secret_kind(), two, SCHEMA_STRICT);

	(void)s;
	assert_string_equal(
	    differences(&r, secret_kind(), a, b),
	    "data[p]: *** (before) -> *** (after)\ndata[q]: *** (before) -> (none)\n");
	decoded(&r, secret_kind(), bad, SCHEMA_STRICT);
	assert_string_equal(said(&r), "1:63: data[p]: illegal base64 data at input byte 2");
}

static void
base64_is_checked_as_go_does(void **s)
{
	static const char *const good[] = {
		"", "aGk=", "aGVsbG8=", "aGVsbG8h", "aGVs\\nbG8h\\r\\n", NULL
	};
	static const char *const bad[] = { "a",     "aGk",  "aG=",   "a===", "aGk=aGk=",
					   "aGk==", "a-_=", "aGkx=", NULL };

	(void)s;
	for (int i = 0; i < 2; i++)
		for (const char *const *p = i ? bad : good; *p; p++) {
			READING(r);

			decoded(&r, secret_kind(),
				arena_printf(
				    &r.arena,
				    "{apiVersion: v1, kind: Secret, metadata: {name: a}, data: "
				    "{k: \"%s\"}}",
				    *p),
				SCHEMA_STRICT);
			if (!!r.cs.errors != i)
				fail_msg("\"%s\" should be %s", *p, i ? "refused" : "taken");
		}
}

static void
text_under_a_path_is_what_a_user_sees(void **s)
{
	READING(r);
	static const char text[] = "{apiVersion: apps/v1, kind: Deployment, metadata: {name: "
				   "web, labels: {app.io/x: z, a: b}}, "
				   "spec: {replicas: 3, selector: {matchLabels: {a: b}}, "
				   "template: {metadata: {labels: {a: b}}, "
				   "spec: {containers: [{name: c, image: i, args: [p, q], "
				   "ports: [{containerPort: 80}]}]}}}}";
	const struct kind *k = deployment_kind();
	void *d = decoded(&r, k, text, SCHEMA_STRICT);
	static const char *const want[][2] = {
		{ "metadata.name", "web" },
		{ "spec.replicas", "3" },
		{ "metadata.labels.a", "b" },
		{ "metadata.labels[app.io/x]", "z" },
		{ "metadata.labels.app.io/x", "z" },
		{ "metadata.labels", "a=b,app.io/x=z" },
		{ "spec.strategy.rollingUpdate.maxSurge", "25%" },
		{ "spec.template.spec.containers[0].image", "i" },
		{ "spec.template.spec.containers[c].args", "p,q" },
		{ "spec.template.spec.containers[c].ports[0].containerPort", "80" },
		{ "spec.template.spec.containers[9].image", "" },
		{ "spec.paused", "" },
		{ "metadata.creationTimestamp", "" },
		{ "no.such.field", "" },
		{ "spec", "" },
		{ "", "" },
	};

	(void)s;
	for (size_t i = 0; i < sizeof want / sizeof *want; i++)
		assert_string_equal(schema_text(k, d, want[i][0], &r.arena), want[i][1]);
}

static void
times_of_the_wire_have_seconds_or_micros(void **s)
{
	READING(r);
	struct event e = {
		.apiVersion = "v1", .kind = "Event", .eventTime = 1500, .lastTimestamp = 1500
	};
	const char *text = encoded(&r, event_kind(), &e);
	struct event twin = e;

	(void)s;
	assert_non_null(strstr(text, "\"eventTime\":\"1970-01-01T00:00:01.500000Z\""));
	assert_non_null(strstr(text, "\"lastTimestamp\":\"1970-01-01T00:00:01Z\""));
	assert_non_null(strstr(text, "\"firstTimestamp\":null"));
	twin.lastTimestamp = 1900;
	assert_true(schema_equal(event_kind(), &e, &twin));
	twin.eventTime = 1501;
	assert_false(schema_equal(event_kind(), &e, &twin));
}

static void
duplicates_among_many_items_are_found(void **s)
{
	READING(r);
	cleanup_buf struct buf b = { 0 };

	(void)s;
	buf_adds(&b, "containers:\n");
	for (int i = 0; i < 50; i++)
		buf_addf(&b, "- {name: c%d, image: x}\n", i % 49);
	decoded(&r, pod_spec_kind(), b.at, SCHEMA_STRICT);
	assert_string_equal(said(&r), "51:10: containers[49].name: Duplicate value: \"c0\"");
}

/* A byte or three of text are not made into a whole container each. */
static void
a_list_of_nothing_but_mistakes_is_given_up(void **s)
{
	enum { ITEMS = 300000, MOST = 20 * 1024 * 1024 };
	READING(r);
	cleanup_buf struct buf b = { 0 };
	const struct tree *t;
	size_t before;

	(void)s;
	buf_adds(&b, "{\"containers\":[{}");
	for (int i = 1; i < ITEMS; i++)
		buf_adds(&b, ",{}");
	buf_adds(&b, "]}");
	t = json_read(b.at, b.len, &r.arena, &r.cs);
	assert_non_null(t);
	before = r.arena.bytes;
	schema_decode(pod_spec_kind(), t, SCHEMA_LENIENT, &r.arena, &r.cs);
	assert_in_range(r.arena.bytes - before, 1, MOST);
	assert_in_range(r.cs.errors, 1000, 2000);
	assert_non_null(strstr(said(&r), "containers[0].name: Required value"));
}

static void
a_long_list_is_read_whole(void **s)
{
	READING(r);
	cleanup_buf struct buf b = { 0 };
	const struct pod_spec *spec;

	(void)s;
	buf_adds(&b, "containers:\n");
	for (int i = 0; i < 5000; i++) /* warnings alone are no reason to stop */
		buf_addf(&b, "- {name: c%d, image: x%d, odd: 1}\n", i, i);
	spec = decoded(&r, pod_spec_kind(), b.at, SCHEMA_LENIENT);
	assert_int_equal(r.cs.errors, 0);
	assert_int_equal(r.cs.warnings, 5000);
	assert_int_equal(spec->containers.n, 5000);
	for (int i = 0; i < 5000; i++)
		assert_int_equal(atoi(spec->containers.at[i].name + 1), i);
}

/* Whoever answers a client asks for the kind, not for the text. */
static void
a_complaint_says_of_what_kind_it_is(void **s)
{
	READING(r);
	static const enum complaint_kind want[] = {
		COMPLAINT_WRONG_TYPE, COMPLAINT_DUPLICATE,     COMPLAINT_UNSUPPORTED,
		COMPLAINT_INVALID,    COMPLAINT_UNKNOWN_FIELD, COMPLAINT_REQUIRED,
	};
	size_t i = 0;

	(void)s;
	decoded(&r, pod_spec_kind(),
		"containers:\n"
		"- {name: a, image: [x]}\n"
		"- {name: a, image: x, imagePullPolicy: Often}\n"
		"- {name: A, image: x}\n"
		"- {name: d, image: x, comand: [x]}\n"
		"- {image: x}\n",
		SCHEMA_STRICT);
	complaints_sort(&r.cs);
	for (const struct complaint *c = r.cs.first; c; c = c->next, i++) {
		assert_in_range(i, 0, sizeof want / sizeof *want - 1);
		assert_int_equal(c->kind, want[i]);
		if (c->kind == COMPLAINT_UNKNOWN_FIELD)
			assert_string_equal(c->near, "command");
	}
	assert_int_equal(i, sizeof want / sizeof *want);
	assert_string_equal(complaint_reason(COMPLAINT_REQUIRED), "FieldValueRequired");
	/* a value that reads like Kubernetes' words does not make it so */
	complain(&r.cs, 1, 1, NULL, "%s: no such thing", "Forbidden");
	assert_int_equal(r.cs.last->kind, COMPLAINT_INVALID);
}

static void
the_hand_checks_every_row_of_a_message(void **s)
{
	READING(r);

	(void)s;
	decoded(&r, sandbox_args_kind(),
		"{uid: u, hostname: h, grace: 2147483648, containers: [{name: a, image: i, "
		"restart: "
		"Sometimes}], "
		"shell: x}",
		SCHEMA_TRUSTED);
	assert_string_equal(
	    said(&r),
	    "1:1: ip: Required value\n"
	    "1:30: grace: Invalid value: 2147483648: must be less than or equal to 2147483647\n"
	    "1:84: containers[0].restart: Unsupported value: \"Sometimes\": supported values: "
	    "\"Always\", \"OnFailure\", \"Never\"\n"
	    "1:97: shell: unknown field \"shell\"");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_default_is_filled_in_but_not_marked_as_given),
		T(an_empty_word_is_as_good_as_none),
		T(an_empty_word_is_refused_where_kubernetes_has_a_pointer),
		T(a_probes_zero_is_as_good_as_none),
		T(zero_is_not_absent_where_kubernetes_has_a_pointer),
		T(zero_replicas_survive_the_wire),
		T(server_fields_in_a_manifest_are_dropped_without_a_word),
		T(an_unknown_field_is_an_error_or_a_warning_as_asked),
		T(a_misspelled_field_that_is_needed_is_one_mistake),
		T(a_misspelt_field_gets_a_suggestion),
		T(values_are_typed_and_the_message_says_what_was_found),
		T(octal_and_underscored_numbers_are_numbers),
		T(maps_are_sorted_whatever_the_order_of_the_file),
		T(an_empty_object_equals_an_absent_one_where_the_wire_shows_both_alike),
		T(a_clone_shares_nothing_with_its_original),
		T(a_clone_takes_as_much_room_as_is_told_before),
		T(a_difference_names_the_leaf_by_the_keys_of_lists),
		T(a_secrets_value_is_never_shown),
		T(base64_is_checked_as_go_does),
		T(text_under_a_path_is_what_a_user_sees),
		T(times_of_the_wire_have_seconds_or_micros),
		T(duplicates_among_many_items_are_found),
		T(a_list_of_nothing_but_mistakes_is_given_up),
		T(a_long_list_is_read_whole),
		T(a_complaint_says_of_what_kind_it_is),
		T(the_hand_checks_every_row_of_a_message),
	};

	return RUN(tests);
}
