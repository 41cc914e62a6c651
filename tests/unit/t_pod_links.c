/* t_pod_links.c -- the variables by which a pod finds the Services of its namespace. */
#include "control.h"

#define NODE                                                                                   \
	"apiVersion: v1\nkind: Node\nmetadata: {name: node, labels: {kubernetes.io/hostname: " \
	"node}}\nstatus: {allocatable: {cpu: '2', memory: 4Gi, pods: '110'}}\n"

static int
setup(void **state)
{
	struct kit *k;

	kit_setup(state);
	k = *state;
	kit_read(k, NODE);
	return 0;
}

/* A pod "web"; `spec` and `containers` are flow YAML that begins with a comma. */
static void
pod(struct kit *k, const char *name, const char *spec, const char *container)
{
	char *text;

	xasprintf(&text,
		  "apiVersion: v1\nkind: Pod\nmetadata: {name: %s, labels: {app: web}}\n"
		  "spec: {containers: [{name: web, image: 'web:1'%s}]%s}\n",
		  name, container, spec);
	kit_read(k, text);
	free(text);
}

static const char *
pass(struct kit *k)
{
	return kit_do(k, pod_reconcile, RES_pod, "web");
}

static const struct sandbox_args *
started(struct kit *k, const char *spec, const char *more)
{
	pod(k, "web", spec, more);
	pass(k);
	pass(k);
	return kit_body(k, ACT_START);
}

static const char *
env_of(const struct sandbox_args *args, const char *name)
{
	const struct strs *env = &args->containers.at[0].env;

	for (size_t i = 0; i < env->n; i++)
		if (!strncmp(env->at[i], name, strlen(name)) && env->at[i][strlen(name)] == '=')
			return env->at[i] + strlen(name) + 1;
	return NULL;
}

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
	a = started(k, "",
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
	a = started(k, ", enableServiceLinks: false", "");
	assert_non_null(a);
	assert_null(env_of(a, "DB_SERVICE_HOST"));
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, kit_teardown)
int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(services_of_the_namespace_are_variables),
		T(service_links_can_be_turned_off),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
