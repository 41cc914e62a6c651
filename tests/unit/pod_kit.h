/* pod_kit.h -- control.h with a node, and a pod "web" on it. */
#ifndef KEDGE_POD_KIT_H
#define KEDGE_POD_KIT_H
#include "control.h"

#define NODE                                                                                   \
	"apiVersion: v1\nkind: Node\nmetadata: {name: node, labels: {kubernetes.io/hostname: " \
	"node}}\nstatus: {allocatable: {cpu: '2', memory: 4Gi, ephemeral-storage: 10Gi, "      \
	"pods: '110'}}\n"

static inline int
setup(void **state)
{
	struct kit *k;

	kit_setup(state);
	k = *state;
	kit_read(k, NODE);
	return 0;
}

/* A pod "web"; `spec` and `container` are flow YAML that begins with a comma. */
static inline void
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

static inline const char *
pass(struct kit *k)
{
	return kit_do(k, pod_reconcile, RES_pod, "web");
}

static inline const struct pod *
web(struct kit *k)
{
	return kit_find(k, RES_pod, "web");
}

/* The status of its first container. */
static inline const struct container_status *
container(struct kit *k)
{
	return &web(k)->status->containerStatuses.at[0];
}

static inline const struct condition *
condition(struct kit *k, const char *type)
{
	for (size_t i = 0; i < web(k)->status->conditions.n; i++)
		if (!strcmp(web(k)->status->conditions.at[i].type, type))
			return &web(k)->status->conditions.at[i];
	return NULL;
}

/* Placed; its START is in the plan. */
static inline const struct sandbox_args *
pod_started(struct kit *k, const char *spec, const char *more)
{
	pod(k, "web", spec, more);
	pass(k);
	pass(k);
	return kit_body(k, ACT_START);
}

static inline const char *
env_of(const struct sandbox_args *args, const char *name)
{
	const struct strs *env = &args->containers.at[0].env;

	for (size_t i = 0; i < env->n; i++)
		if (!strncmp(env->at[i], name, strlen(name)) && env->at[i][strlen(name)] == '=')
			return env->at[i] + strlen(name) + 1;
	return NULL;
}

/* A container that crashed, ran until `finished` ms from now, and waits. */
static inline struct container_seen
crashed(const struct kit *k, const char *name, int exit_code, int64_t finished)
{
	return (struct container_seen){ .name = name,
					.state = "waiting",
					.reason = "CrashLoopBackOff",
					.restartCount = 1,
					.lastReason = "Error",
					.lastExitCode = exit_code,
					.lastStartedAt = k->now,
					.lastFinishedAt = k->now + finished };
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, kit_teardown)
#endif
