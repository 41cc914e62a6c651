/* t_endpoints.c -- EndpointSlices and Endpoints from pods. */
#include "world.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "reconcile/service.h"

#define SVC(spec)                                                                          \
	"apiVersion: v1\nkind: Service\nmetadata: {name: web, uid: u-web, labels: {tier: " \
	"front, "                                                                          \
	"kedge.dev/source: main}}\nspec: {clusterIP: 10.43.0.2, " spec "}\n---\n"
#define WEB SVC("selector: {app: web}, ports: [{name: http, port: 80, targetPort: 8080}]")

struct bench {
	struct world w;
	struct plan plan;
	struct buf out;
};

static void
pod_put(struct bench *b, const char *name, const char *ip, bool ready, const char *more)
{
	world_read(&b->w, arena_printf(
			      &b->w.arena,
			      "apiVersion: v1\nkind: Pod\n"
			      "metadata: {name: %s, uid: u-%s, labels: {app: web}%s}\n"
			      "spec: {nodeName: node, containers: [{name: c, image: i, ports: "
			      "[{name: web, containerPort: %d}]}]}\n"
			      "status: {phase: Running, podIP: %s, conditions: [{type: Ready, "
			      "status: '%s'}]}\n",
			      name, name, more, ip[strlen(ip) - 1] == '9' ? 9090 : 8080, ip,
			      ready ? "True" : "False"));
}

static const char *
pass(struct bench *b)
{
	struct snapshot *s = world_snapshot(&b->w);

	plan_init(&b->plan, &b->w.arena);
	for (size_t i = 0; i < s->of[RES_service].n; i++)
		endpoints_reconcile(s, (const struct service *)s->of[RES_service].at[i],
				    &b->plan);
	buf_clear(&b->out);
	plan_print(&b->plan, &b->out);
	return buf_text(&b->out);
}

/* Carries the plan out; a second pass must find nothing to do. */
static void
settle(struct bench *b)
{
	pass(b);
	world_obey(&b->w, &b->plan);
	assert_string_equal(pass(b), "");
	world_snapshot(&b->w);
}

static const struct endpoint_slice *
slice(struct bench *b, size_t i)
{
	assert_true(i < b->w.s.of[RES_endpoint_slice].n);
	return (const struct endpoint_slice *)b->w.s.of[RES_endpoint_slice].at[i];
}

static size_t
slices(struct bench *b)
{
	return b->w.s.of[RES_endpoint_slice].n;
}

static const struct endpoints *
old_form(struct bench *b)
{
	return snapshot_find(&b->w.s, RES_endpoints, "default", "web");
}

static void
done(struct bench *b)
{
	buf_done(&b->out);
	arena_free(&b->w.arena);
}

static void
ready_pods_are_listed_with_address_port_and_owner(void **state)
{
	struct bench b = { 0 };
	const struct endpoint_slice *x;
	const struct endpoint *e;

	(void)state;
	world_read(&b.w, WEB);
	pod_put(&b, "web-1", "10.42.0.2", true, "");
	pod_put(&b, "web-2", "10.42.0.3", false, "");
	settle(&b);
	assert_int_equal(slices(&b), 1);
	x = slice(&b, 0);
	assert_int_equal(strncmp(object_name(x), "web-", 4), 0);
	assert_int_equal(strlen(object_name(x)), 9);
	assert_string_equal(object_label(x, "kubernetes.io/service-name"), "web");
	assert_string_equal(object_label(x, "endpointslice.kubernetes.io/managed-by"),
			    "endpointslice-controller.k8s.io");
	assert_string_equal(object_label(x, "tier"), "front");
	assert_null(object_label(x, "kedge.dev/source")); /* else it would be pruned */
	assert_string_equal(object_controller(x)->uid, "u-web");
	assert_string_equal(x->addressType, "IPv4");
	assert_int_equal(x->ports.n, 1);
	assert_string_equal(x->ports.at[0].name, "http");
	assert_int_equal(x->ports.at[0].port, 8080);
	assert_int_equal(x->endpoints.n, 2);
	e = &x->endpoints.at[0];
	assert_string_equal(e->addresses.at[0], "10.42.0.2");
	assert_true(e->conditions->ready && e->conditions->serving);
	assert_false(e->conditions->terminating);
	assert_string_equal(e->nodeName, "node");
	assert_string_equal(e->targetRef->kind, "Pod");
	assert_string_equal(e->targetRef->name, "web-1");
	assert_false(x->endpoints.at[1].conditions->ready);
	assert_true(
	    schema_has(endpoint_conditions_kind(), x->endpoints.at[1].conditions, "ready"));
	assert_int_equal(old_form(&b)->subsets.n, 1);
	assert_string_equal(old_form(&b)->subsets.at[0].addresses.at[0].ip, "10.42.0.2");
	assert_string_equal(old_form(&b)->subsets.at[0].notReadyAddresses.at[0].ip,
			    "10.42.0.3");
	done(&b);
}

/* As Go's encoding: the one is a string, which is left out, the other a pointer. */
static void
a_port_without_a_name_is_named_in_slices_only(void **state)
{
	struct bench b = { 0 };
	cleanup_buf struct buf old = { 0 }, new = { 0 };

	(void)state;
	world_read(&b.w, SVC("selector: {app: web}, ports: [{port: 80, targetPort: 8080}]"));
	pod_put(&b, "web-1", "10.42.0.2", true, "");
	settle(&b);
	schema_encode(endpoints_kind(), old_form(&b), &old);
	schema_encode(endpoint_slice_kind(), slice(&b, 0), &new);
	assert_non_null(
	    strstr(buf_text(&old), "\"ports\":[{\"port\":8080,\"protocol\":\"TCP\"}]"));
	assert_non_null(strstr(
	    buf_text(&new), "\"ports\":[{\"name\":\"\",\"port\":8080,\"protocol\":\"TCP\"}]"));
	done(&b);
}

static void
a_ports_application_protocol_follows_the_services(void **state)
{
#define SPEAKS(what) \
	SVC("selector: {app: web}, ports: [{name: http, port: 80, targetPort: 8080" what "}]")
	struct bench b = { 0 };

	(void)state;
	world_read(&b.w, SPEAKS(", appProtocol: kubernetes.io/h2c"));
	pod_put(&b, "web-1", "10.42.0.2", true, "");
	settle(&b);
	assert_string_equal(slice(&b, 0)->ports.at[0].appProtocol, "kubernetes.io/h2c");
	assert_string_equal(old_form(&b)->subsets.at[0].ports.at[0].appProtocol,
			    "kubernetes.io/h2c");
	world_read(&b.w, SPEAKS(", appProtocol: http"));
	settle(&b);
	assert_int_equal(slices(&b), 1);
	assert_string_equal(slice(&b, 0)->ports.at[0].appProtocol, "http");
	world_read(&b.w, SPEAKS(""));
	settle(&b);
	assert_null(slice(&b, 0)->ports.at[0].appProtocol);
	assert_null(old_form(&b)->subsets.at[0].ports.at[0].appProtocol);
	done(&b);
}

static void
a_terminating_pod_still_serves_but_is_not_ready(void **state)
{
	struct bench b = { 0 };
	const struct endpoint_conditions *c;

	(void)state;
	world_read(&b.w, WEB);
	pod_put(&b, "web-1", "10.42.0.2", true, ", deletionTimestamp: '2026-01-01T00:00:00Z'");
	settle(&b);
	c = slice(&b, 0)->endpoints.at[0].conditions;
	assert_false(c->ready);
	assert_true(c->serving && c->terminating);
	assert_int_equal(old_form(&b)->subsets.n, 0);
	done(&b);
}

static void
finished_pods_and_pods_without_an_address_are_not_listed(void **state)
{
	struct bench b = { 0 };

	(void)state;
	world_read(&b.w, WEB);
	world_read(
	    &b.w, "apiVersion: v1\nkind: Pod\nmetadata: {name: a, uid: a, labels: {app: web}}\n"
		  "spec: {containers: [{name: c, image: i}]}\nstatus: {phase: Pending}\n---\n"
		  "apiVersion: v1\nkind: Pod\nmetadata: {name: b, uid: b, labels: {app: web}}\n"
		  "spec: {containers: [{name: c, image: i}]}\n"
		  "status: {phase: Succeeded, podIP: 10.42.0.9}\n---\n");
	settle(&b);
	assert_int_equal(slices(&b), 1);
	assert_int_equal(slice(&b, 0)->endpoints.n, 0);
	assert_int_equal(old_form(&b)->subsets.n, 0);
	pod_put(&b, "web-1", "10.42.0.2", true, "");
	settle(&b); /* the empty one is put to use */
	assert_int_equal(slices(&b), 1);
	assert_int_equal(slice(&b, 0)->endpoints.n, 1);
	done(&b);
}

static void
pods_that_number_a_named_port_differently_get_slices_of_their_own(void **state)
{
	struct bench b = { 0 };

	(void)state;
	world_read(&b.w, SVC("selector: {app: web}, ports: [{port: 80, targetPort: web}]"));
	pod_put(&b, "web-1", "10.42.0.2", true, "");
	pod_put(&b, "web-2", "10.42.0.9", true, "");
	pod_put(&b, "web-3", "10.42.0.4", true, "");
	settle(&b);
	assert_int_equal(slices(&b), 2);
	assert_int_equal(slice(&b, 0)->endpoints.n + slice(&b, 1)->endpoints.n, 3);
	assert_int_equal(slice(&b, 0)->ports.at[0].port + slice(&b, 1)->ports.at[0].port,
			 8080 + 9090);
	assert_int_equal(old_form(&b)->subsets.n, 2);
	world_drop(&b.w, "pod", "default", "web-2");
	settle(&b);
	assert_int_equal(slices(&b), 1);
	done(&b);
}

static const struct endpoint_port *
only_port(struct bench *b)
{
	assert_int_equal(slices(b), 1);
	assert_int_equal(slice(b, 0)->ports.n, 1);
	return &slice(b, 0)->ports.at[0];
}

/* FindPort: main containers first, then sidecars; init containers that end never. */
static void
a_named_port_is_found_in_a_sidecar_but_in_no_other_init_container(void **state)
{
	static const char pod[] =
	    "apiVersion: v1\nkind: Pod\nmetadata: {name: web-1, uid: u-1, labels: {app: web}}\n"
	    "spec: {containers: [{name: c, image: i%s}], initContainers: [\n"
	    "  {name: first, image: i, ports: [{name: web, containerPort: 1}]},\n"
	    "  {name: proxy, image: i, restartPolicy: Always,\n"
	    "   ports: [{name: web, protocol: UDP, containerPort: 2}, %s]}]}\n"
	    "status: {phase: Running, podIP: 10.42.0.2}\n";
	struct bench b = { 0 };

	(void)state;
	world_read(&b.w, SVC("selector: {app: web}, ports: [{port: 80, targetPort: web}]"));
	world_read(&b.w, arena_printf(&b.w.arena, pod, "", "{name: web, containerPort: 8080}"));
	settle(&b);
	assert_int_equal(only_port(&b)->port, 8080);
	assert_int_equal(old_form(&b)->subsets.at[0].ports.at[0].port, 8080);
	world_read(&b.w,
		   arena_printf(&b.w.arena, pod, ", ports: [{name: web, containerPort: 9090}]",
				"{name: web, containerPort: 8080}"));
	settle(&b);
	assert_int_equal(only_port(&b)->port, 9090);
	world_read(&b.w, arena_printf(&b.w.arena, pod, "", "{name: other, containerPort: 3}"));
	settle(&b);
	assert_int_equal(slice(&b, 0)->ports.n, 0);
	done(&b);
}

static void
a_slice_holds_a_hundred_and_one_pod_changes_one_slice(void **state)
{
	struct bench b = { 0 };
	size_t total = 0;

	(void)state;
	world_read(&b.w, WEB);
	for (int i = 0; i < 250; i++) {
		char name[16], ip[24];

		snprintf(name, sizeof name, "web-%03d", i);
		snprintf(ip, sizeof ip, "10.42.%d.%d", i / 100, i % 100 * 2 + 2);
		pod_put(&b, name, ip, true, "");
	}
	settle(&b);
	assert_int_equal(slices(&b), 3);
	for (size_t i = 0; i < 3; i++) {
		assert_true(slice(&b, i)->endpoints.n <= 100);
		total += slice(&b, i)->endpoints.n;
	}
	assert_int_equal(total, 250);
	world_drop(&b.w, "pod", "default", "web-000");
	pass(&b);
	assert_int_equal(b.plan.n, 2); /* its slice, and Endpoints */
	world_obey(&b.w, &b.plan);
	assert_string_equal(pass(&b), "");
	done(&b);
}

static void
unready_addresses_are_published_when_asked_for(void **state)
{
	struct bench b = { 0 };

	(void)state;
	world_read(
	    &b.w,
	    SVC("publishNotReadyAddresses: true, selector: {app: web}, ports: [{port: 80}]"));
	pod_put(&b, "web-1", "10.42.0.2", false, "");
	settle(&b);
	assert_true(slice(&b, 0)->endpoints.at[0].conditions->ready);
	assert_false(slice(&b, 0)->endpoints.at[0].conditions->serving);
	assert_int_equal(old_form(&b)->subsets.at[0].addresses.n, 1);
	done(&b);
}

static void
a_service_that_loses_its_selector_loses_our_lists_only(void **state)
{
	struct bench b = { 0 };

	(void)state;
	world_read(&b.w, WEB);
	pod_put(&b, "web-1", "10.42.0.2", true, "");
	settle(&b);
	world_read(&b.w, "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\n"
			 "metadata: {name: mine, labels: {kubernetes.io/service-name: web}}\n"
			 "addressType: IPv4\nendpoints: [{addresses: [192.0.2.7]}]\n---\n");
	world_read(&b.w, SVC("ports: [{port: 80}]"));
	settle(&b);
	assert_int_equal(slices(&b), 1);
	assert_string_equal(object_name(slice(&b, 0)), "mine");
	assert_null(old_form(&b));
	done(&b);
}

static void
hand_written_endpoints_are_mirrored_in_slices(void **state)
{
	struct bench b = { 0 };
	const struct endpoint_slice *x;

	(void)state;
	world_read(
	    &b.w,
	    SVC("ports: [{name: http, port: 80}]") "apiVersion: v1\nkind: Endpoints\nmetadata: "
						   "{name: web, uid: u-ep, labels: {"
						   "kedge.dev/source: main, a: b}}\nsubsets: "
						   "[{addresses: [{ip: 192.0.2.7}], "
						   "notReadyAddresses: [{ip: 192.0.2.8}], "
						   "ports: [{name: http, port: 8080}]}, "
						   "{addresses: [{ip: 192.0.2.9}], ports: "
						   "[{name: http, port: 9090}]}]\n");
	settle(&b);
	assert_int_equal(slices(&b), 2);
	for (size_t i = 0; i < 2; i++) {
		x = slice(&b, i);
		assert_string_equal(x->metadata->ownerReferences.at[0].uid, "u-ep");
		assert_string_equal(pairs_get(&x->metadata->labels, LABEL_MANAGED_BY),
				    "endpointslicemirroring-controller.k8s.io");
		assert_string_equal(pairs_get(&x->metadata->labels, LABEL_SERVICE), "web");
		assert_null(pairs_get(&x->metadata->labels, "kedge.dev/source"));
		assert_string_equal(pairs_get(&x->metadata->labels, "a"), "b");
		if (x->ports.at[0].port == 8080) {
			assert_int_equal(x->endpoints.n, 2);
			assert_true(x->endpoints.at[0].conditions->ready);
			assert_false(x->endpoints.at[1].conditions->ready);
		}
	}
	/* one list less */
	world_read(&b.w, "apiVersion: v1\nkind: Endpoints\nmetadata: {name: web, uid: u-ep}\n"
			 "subsets: [{addresses: [{ip: 192.0.2.9}], ports: [{name: http, port: "
			 "9090}]}]\n");
	settle(&b);
	assert_int_equal(slices(&b), 1);
	/* who wants none has none */
	world_read(&b.w, "apiVersion: v1\nkind: Endpoints\nmetadata: {name: web, uid: u-ep, "
			 "labels: {endpointslice.kubernetes.io/skip-mirror: 'true'}}\n"
			 "subsets: [{addresses: [{ip: 192.0.2.9}], ports: [{name: http, port: "
			 "9090}]}]\n");
	settle(&b);
	assert_int_equal(slices(&b), 0);
	done(&b);
}

#define HAND_WRITTEN(more)                                                                     \
	"apiVersion: v1\nkind: Endpoints\nmetadata: {name: web, uid: u-ep" more "}\nsubsets: " \
	"[{addresses: [{ip: 192.0.2.7}], ports: [{name: http, port: 8080}]}]\n"

/* And with its Service gone: what a pass over the Endpoints plans. */
static const char *
bereave(struct bench *b, bool there_was_one)
{
	struct snapshot *s;

	if (there_was_one) {
		settle(b);
		assert_int_equal(slices(b), 1);
		world_drop(&b->w, "service", "default", "web");
	}
	s = world_snapshot(&b->w);
	plan_init(&b->plan, &b->w.arena);
	for (size_t i = 0; i < s->of[RES_endpoints].n; i++)
		endpoints_bereaved(s, (const struct endpoints *)s->of[RES_endpoints].at[i],
				   &b->plan);
	buf_clear(&b->out);
	plan_print(&b->plan, &b->out);
	return buf_text(&b->out);
}

static void
hand_written_endpoints_go_with_their_service(void **state)
{
	struct bench b = { 0 };

	(void)state;
	world_read(&b.w, SVC("ports: [{name: http, port: 80}]") HAND_WRITTEN(""));
	assert_string_equal(bereave(&b, true),
			    "- delete endpoints default/web  # its service is gone\n");
	done(&b);
	/* they may be there first, and wait for it */
	b = (struct bench){ 0 };
	world_read(&b.w, HAND_WRITTEN(""));
	assert_string_equal(bereave(&b, false), "");
	done(&b);
}

static void
each_family_has_slices_of_its_own(void **state)
{
	struct bench b = { 0 };

	(void)state;
	world_read(&b.w, SVC("selector: {app: web}, ports: [{name: http, port: 80, targetPort: "
			     "8080}], ipFamilies: [IPv6, IPv4]"));
	pod_put(&b, "web-1", "10.42.0.2, podIPs: [{ip: 10.42.0.2}, {ip: 'fd42::a2a:2'}]", true,
		"");
	pod_put(&b, "web-2", "10.42.0.3", true, ""); /* from before there was IPv6 */
	settle(&b);
	assert_int_equal(slices(&b), 2);
	for (size_t i = 0; i < 2; i++) {
		const struct endpoint_slice *x = slice(&b, i);
		bool v6 = !strcmp(x->addressType, "IPv6");

		assert_int_equal(x->endpoints.n, v6 ? 1 : 2);
		assert_string_equal(x->endpoints.at[0].addresses.at[0],
				    v6 ? "fd42::a2a:2" : "10.42.0.2");
	}
	assert_string_not_equal(slice(&b, 0)->addressType, slice(&b, 1)->addressType);
	/* the old form has the first family's */
	assert_int_equal(old_form(&b)->subsets.at[0].addresses.n, 1);
	assert_string_equal(old_form(&b)->subsets.at[0].addresses.at[0].ip, "fd42::a2a:2");
	world_read(&b.w, SVC("selector: {app: web}, ports: [{name: http, port: 80, targetPort: "
			     "8080}], ipFamilies: [IPv6]"));
	settle(&b);
	assert_int_equal(slices(&b), 1);
	assert_string_equal(slice(&b, 0)->addressType, "IPv6");
	done(&b);
}

static void
hand_written_addresses_are_mirrored_by_family(void **state)
{
	struct bench b = { 0 };

	(void)state;
	world_read(&b.w, SVC("ports: [{name: http, port: 80}]"));
	world_read(&b.w, "apiVersion: v1\nkind: Endpoints\nmetadata: {name: web, uid: u-ep}\n"
			 "subsets: [{addresses: [{ip: 192.0.2.1}, {ip: '2001:db8::1'}, {ip: "
			 "192.0.2.2}], ports: [{name: http, port: 8080}]}, {addresses: [{ip: "
			 "'2001:db8::9'}], ports: [{name: http, port: 9090}]}]\n");
	settle(&b);
	assert_int_equal(slices(&b), 3);
	for (size_t i = 0; i < 3; i++) {
		const struct endpoint_slice *x = slice(&b, i);

		for (size_t k = 0; k < x->endpoints.n; k++)
			assert_int_equal(strchr(x->endpoints.at[k].addresses.at[0], ':') !=
					     NULL,
					 !strcmp(x->addressType, "IPv6"));
		assert_int_equal(x->endpoints.n, !strcmp(x->addressType, "IPv6") ? 1 : 2);
	}
	done(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_family_has_slices_of_its_own),
		cmocka_unit_test(hand_written_addresses_are_mirrored_by_family),
		cmocka_unit_test(ready_pods_are_listed_with_address_port_and_owner),
		cmocka_unit_test(a_ports_application_protocol_follows_the_services),
		cmocka_unit_test(a_terminating_pod_still_serves_but_is_not_ready),
		cmocka_unit_test(finished_pods_and_pods_without_an_address_are_not_listed),
		cmocka_unit_test(
		    pods_that_number_a_named_port_differently_get_slices_of_their_own),
		cmocka_unit_test(
		    a_named_port_is_found_in_a_sidecar_but_in_no_other_init_container),
		cmocka_unit_test(a_slice_holds_a_hundred_and_one_pod_changes_one_slice),
		cmocka_unit_test(unready_addresses_are_published_when_asked_for),
		cmocka_unit_test(a_port_without_a_name_is_named_in_slices_only),
		cmocka_unit_test(a_service_that_loses_its_selector_loses_our_lists_only),
		cmocka_unit_test(hand_written_endpoints_are_mirrored_in_slices),
		cmocka_unit_test(hand_written_endpoints_go_with_their_service),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
