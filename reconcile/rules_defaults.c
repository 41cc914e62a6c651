/* rules_defaults.c -- defaults that depend on other fields, as Kubernetes fills them in.
 *
 * Each may be run again on its own result without changing it: what comes back
 * from the store passes through here once more.
 */
#include "base/arena.h"
#include "base/base64.h"
#include "rules.h"
#include <stdlib.h>
#include <string.h>

/* Two sorted maps become one; b's values count where both have a key. */
static struct pairs
merged(const struct pairs *a, const struct pairs *b, struct arena *arena)
{
	struct pairs out = { arena_alloc(arena, (a->n + b->n) * sizeof *out.at), 0 };
	size_t i = 0, j = 0;

	while (i < a->n || j < b->n) {
		int c = i == a->n ? 1 : j == b->n ? -1 : strcmp(a->at[i].key, b->at[j].key);

		out.at[out.n++] = c < 0 ? a->at[i] : b->at[j];
		i += c <= 0;
		j += c >= 0;
	}
	return out;
}

/* stringData is for writing only: it ends up in data. */
void
secret_defaults(void *obj, struct arena *a)
{
	struct secret *s = obj;

	if (!s->stringData.n)
		return;
	for (size_t i = 0; i < s->stringData.n; i++)
		s->stringData.at[i].value = base64_text(s->stringData.at[i].value,
							strlen(s->stringData.at[i].value), a);
	s->data = merged(&s->data, &s->stringData, a);
	s->stringData = (struct pairs){ 0 };
}

void
service_port_defaults(void *obj, struct arena *a)
{
	struct service_port *p = obj;

	(void)a;
	if (!p->targetPort.s && !p->targetPort.i)
		p->targetPort.i = p->port;
}

void
service_spec_defaults(void *obj, struct arena *a)
{
	struct service_spec *s = obj;
	bool external = !strcmp(s->type, "NodePort") || !strcmp(s->type, "LoadBalancer");

	if (!strcmp(s->sessionAffinity, "None"))
		s->sessionAffinityConfig = NULL; /* of the time when it was ClientIP */
	if (!strcmp(s->sessionAffinity, "ClientIP")) {
		if (!s->sessionAffinityConfig)
			s->sessionAffinityConfig =
			    arena_zalloc(a, sizeof *s->sessionAffinityConfig);
		if (!s->sessionAffinityConfig->clientIP) {
			s->sessionAffinityConfig->clientIP =
			    arena_zalloc(a, sizeof *s->sessionAffinityConfig->clientIP);
			s->sessionAffinityConfig->clientIP->timeoutSeconds = 10800;
		}
	}
	external = external || (!strcmp(s->type, "ClusterIP") && s->externalIPs.n);
	if (external && !s->externalTrafficPolicy)
		s->externalTrafficPolicy = "Cluster";
	if (!strcmp(s->type, "LoadBalancer") &&
	    !schema_has(service_spec_kind(), s, "allocateLoadBalancerNodePorts")) {
		s->allocateLoadBalancerNodePorts = true;
		schema_mark(service_spec_kind(), s, "allocateLoadBalancerNodePorts");
	}
	if (strcmp(s->type, "ExternalName") && !s->internalTrafficPolicy)
		s->internalTrafficPolicy = "Cluster";
	if (s->clusterIP && *s->clusterIP && !s->clusterIPs.n) {
		s->clusterIPs.at = arena_alloc(a, sizeof *s->clusterIPs.at);
		s->clusterIPs.at[0] = s->clusterIP;
		s->clusterIPs.n = 1;
	} else if (s->clusterIPs.n && (!s->clusterIP || !*s->clusterIP)) {
		s->clusterIP = s->clusterIPs.at[0];
	}
}

/* A limit without a request is the request as well. */
void
resource_requirements_defaults(void *obj, struct arena *a)
{
	struct resource_requirements *r = obj;

	if (r->limits.n)
		r->requests = merged(&r->limits, &r->requests, a);
}

/* The tag "latest", said or meant, is looked for each time; also when a digest stands behind
 * it, as in Kubernetes. */
static bool
is_latest(const char *image)
{
	size_t n = strcspn(image, "@");
	const char *tag = NULL;

	for (size_t i = 0; i < n; i++) /* what stands before a slash is a port */
		tag = image[i] == ':' ? image + i : image[i] == '/' ? NULL : tag;
	if (!tag)
		return !image[n];
	return (size_t)(image + n - tag) == strlen(":latest") &&
	       !strncmp(tag, ":latest", strlen(":latest"));
}

const char *
image_pull_policy(const char *image)
{
	return is_latest(image) ? "Always" : "IfNotPresent";
}

void
container_defaults(void *obj, struct arena *a)
{
	struct container *c = obj;

	(void)a;
	if (!c->imagePullPolicy || !*c->imagePullPolicy)
		c->imagePullPolicy = image_pull_policy(c->image);
}

/* A volume that says nothing else is an empty directory. */
void
volume_defaults(void *obj, struct arena *a)
{
	struct volume *v = obj;

	for (const struct field *f = volume_kind()->fields + 1; f->name; f++)
		if (*(const void *const *)((const char *)obj + f->off))
			return;
	v->emptyDir = arena_zalloc(a, sizeof *v->emptyDir);
}

void
deployment_strategy_defaults(void *obj, struct arena *a)
{
	struct deployment_strategy *s = obj;

	if (strcmp(s->type, "RollingUpdate") || s->rollingUpdate)
		return;
	s->rollingUpdate = arena_zalloc(a, sizeof *s->rollingUpdate);
	s->rollingUpdate->maxSurge.s = s->rollingUpdate->maxUnavailable.s = "25%";
}
