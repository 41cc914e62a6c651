/* t_pod_links.c -- the variables by which a pod finds the Services of its namespace. */
#include "pod_kit.h"

static void
services_of_the_namespace_are_variables(void **state)
{
	struct kit *k = *state;
	const struct sandbox_args *a;

	kit_read(k, "apiVersion: v1\nkind: Service\nmetadata: {name: my-db}\n"
		    "spec: {clusterIP: 10.43.0.7, ports: [{name: sql-in, port: 5432}, "
		    "{name: dns, port: 53, protocol: UDP}]}\n---\n"
		    "apiVersion: v1\nkind: Service\nmetadata: {name: headless}\n"
		    "spec: {clusterIP: None, ports: [{port: 80}]}\n---\n"
		    "apiVersion: v1\nkind: Service\nmetadata: {name: far, namespace: other}\n"
		    "spec: {clusterIP: 10.43.0.8, ports: [{port: 80}]}\n");
	a = pod_started(
	    k, "",
	    ", args: ['$(MY_DB_PORT)'], env: [{name: URL, value: "
	    "'http://$(MY_DB_SERVICE_HOST)'}, {name: MY_DB_PORT_53_UDP_PROTO, value: "
	    "mine}, {name: HOST, valueFrom: {fieldRef: {fieldPath: status.hostIP}}}]");
	assert_non_null(a);
	assert_string_equal(env_of(a, "MY_DB_SERVICE_HOST"), "10.43.0.7");
	assert_string_equal(env_of(a, "MY_DB_SERVICE_PORT"), "5432");
	assert_string_equal(env_of(a, "MY_DB_SERVICE_PORT_SQL_IN"), "5432");
	assert_string_equal(env_of(a, "MY_DB_SERVICE_PORT_DNS"), "53");
	assert_string_equal(env_of(a, "MY_DB_PORT"), "tcp://10.43.0.7:5432");
	assert_string_equal(env_of(a, "MY_DB_PORT_5432_TCP"), "tcp://10.43.0.7:5432");
	assert_string_equal(env_of(a, "MY_DB_PORT_5432_TCP_PROTO"), "tcp");
	assert_string_equal(env_of(a, "MY_DB_PORT_5432_TCP_PORT"), "5432");
	assert_string_equal(env_of(a, "MY_DB_PORT_5432_TCP_ADDR"), "10.43.0.7");
	assert_string_equal(env_of(a, "MY_DB_PORT_53_UDP"), "udp://10.43.0.7:53");
	assert_string_equal(env_of(a, "MY_DB_PORT_53_UDP_PROTO"), "mine");
	assert_string_equal(env_of(a, "URL"), "http://10.43.0.7");
	assert_string_equal(env_of(a, "HOST"), "192.0.2.1");
	assert_string_equal(a->containers.at[0].args.at[0], "tcp://10.43.0.7:5432");
	assert_null(env_of(a, "HEADLESS_SERVICE_HOST"));
	assert_null(env_of(a, "FAR_SERVICE_HOST"));
}

static void
service_links_can_be_turned_off(void **state)
{
	struct kit *k = *state;
	const struct sandbox_args *a;

	kit_read(k, "apiVersion: v1\nkind: Service\nmetadata: {name: db}\n"
		    "spec: {clusterIP: 10.43.0.7, ports: [{port: 5432}]}\n");
	a = pod_started(k, ", enableServiceLinks: false", "");
	assert_non_null(a);
	assert_null(env_of(a, "DB_SERVICE_HOST"));
}

/* Client libraries look for it. */
static void
the_service_of_the_api_is_told_once_and_always(void **state)
{
	struct kit *k = *state;
	const struct sandbox_args *a;
	size_t told = 0;

	kit_read(k, "apiVersion: v1\nkind: Service\nmetadata: {name: kubernetes}\n"
		    "spec: {clusterIP: 10.43.0.1, ports: [{name: https, port: 443}]}\n");
	a = pod_started(k, ", enableServiceLinks: false", "");
	assert_string_equal(env_of(a, "KUBERNETES_SERVICE_HOST"), "10.43.0.1");
	assert_string_equal(env_of(a, "KUBERNETES_SERVICE_PORT"), "443");
	assert_string_equal(env_of(a, "KUBERNETES_SERVICE_PORT_HTTPS"), "443");
	kit_drop(k, RES_pod, "default", "web");
	a = pod_started(k, "", "");
	for (size_t i = 0; i < a->containers.at[0].env.n; i++)
		told += !strncmp(a->containers.at[0].env.at[i], "KUBERNETES_SERVICE_HOST=", 24);
	assert_int_equal(told, 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(services_of_the_namespace_are_variables),
		T(service_links_can_be_turned_off),
		T(the_service_of_the_api_is_told_once_and_always),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
