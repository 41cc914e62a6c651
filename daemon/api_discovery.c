/* api_discovery.c -- what there is to ask for: groups, kinds, verbs, versions.
 *
 * Two dialects: the aggregated one (v2 and v2beta1, one document for all groups) when the
 * client lists it in Accept, else the older one, a document a group.
 */
#include "api_call.h"
#include <string.h>
#include <sys/utsname.h>

/* In the order in which a kind's short name is looked up: "pods" is the first group's. */
static const struct group {
	const char *name, *version;
} groups[] = {
	{ "", "v1" },
	{ "apps", "v1" },
	{ "discovery.k8s.io", "v1" },
	{ "kedge.dev", "v1" },
	{ "storage.k8s.io", "v1" },
	{ "metrics.k8s.io", "v1beta1" },
	{ "networking.k8s.io", "v1" },
	{ "policy", "v1" },
	{ "rbac.authorization.k8s.io", "v1" },
	{ "authentication.k8s.io", "v1" },
	{ "authorization.k8s.io", "v1" },
};
enum { GROUPS = sizeof groups / sizeof *groups };

/* A kind that is made up when it is asked for, and is no object of the store. */
#define MADE_UP(group_, version_, kind_, plural_, singular_, namespaced_)               \
	{                                                                               \
		.group = group_, .version = version_, .kind = kind_, .plural = plural_, \
		.singular = singular_, .shorts = "", .category = "",                    \
		.namespaced = namespaced_, .id = RES_NONE                               \
	}
#define METRICS(kind, plural, namespaced) \
	MADE_UP("metrics.k8s.io", "v1beta1", kind, plural, "", namespaced)
#define REVIEW(what, kind, singular, namespaced) \
	MADE_UP(what ".k8s.io", "v1", kind, singular "s", singular, namespaced)

static const struct resource computed[] = {
	MADE_UP("", "v1", "Binding", "bindings", "binding", true),
	REVIEW("authentication", "SelfSubjectReview", "selfsubjectreview", false),
	REVIEW("authentication", "TokenReview", "tokenreview", false),
	METRICS("NodeMetrics", "nodes", false),
	METRICS("PodMetrics", "pods", true),
	REVIEW("authorization", "LocalSubjectAccessReview", "localsubjectaccessreview", true),
	REVIEW("authorization", "SelfSubjectAccessReview", "selfsubjectaccessreview", false),
	REVIEW("authorization", "SelfSubjectRulesReview", "selfsubjectrulesreview", false),
	REVIEW("authorization", "SubjectAccessReview", "subjectaccessreview", false),
};
enum { COMPUTED = sizeof computed / sizeof *computed };

/* The i-th of all; NULL: there are no more. */
static const struct resource *
resource_at(size_t i)
{
	return i < RES_COUNT              ? &resources[i]
	       : i < RES_COUNT + COMPUTED ? &computed[i - RES_COUNT]
					  : NULL;
}

/* What hangs below a kind. */
#define PROXY      "\"create\",\"delete\",\"get\",\"patch\",\"update\""
#define READ_WRITE "\"get\",\"patch\",\"update\""
static const struct sub {
	enum resource_id of;
	const char *name, *kind, *group, *version, *verbs;
} subs[] = {
	{ RES_pod, "attach", "PodAttachOptions", "", "v1", "\"create\",\"get\"" },
	{ RES_pod, "binding", "Binding", "", "v1", "\"create\"" },
	{ RES_pod, "ephemeralcontainers", "Pod", "", "v1", READ_WRITE },
	{ RES_pod, "eviction", "Eviction", "policy", "v1", "\"create\"" },
	{ RES_pod, "exec", "PodExecOptions", "", "v1", "\"create\",\"get\"" },
	{ RES_pod, "log", "Pod", "", "v1", "\"get\"" },
	{ RES_pod, "portforward", "PodPortForwardOptions", "", "v1", "\"create\",\"get\"" },
	{ RES_pod, "proxy", "PodProxyOptions", "", "v1", PROXY },
	{ RES_pod, "resize", "Pod", "", "v1", READ_WRITE },
	{ RES_pod, "status", "Pod", "", "v1", READ_WRITE },
	{ RES_service, "proxy", "ServiceProxyOptions", "", "v1", PROXY },
	{ RES_service, "status", "Service", "", "v1", READ_WRITE },
	{ RES_node, "proxy", "NodeProxyOptions", "", "v1", PROXY },
	{ RES_node, "status", "Node", "", "v1", "\"get\"" },
	{ RES_namespace, "status", "Namespace", "", "v1", READ_WRITE },
	{ RES_persistent_volume, "status", "PersistentVolume", "", "v1", READ_WRITE },
	{ RES_persistent_volume_claim, "status", "PersistentVolumeClaim", "", "v1",
	  READ_WRITE },
	{ RES_resource_quota, "status", "ResourceQuota", "", "v1", READ_WRITE },
	{ RES_pod_disruption_budget, "status", "PodDisruptionBudget", "policy", "v1",
	  READ_WRITE },
	{ RES_service_account, "token", "TokenRequest", "authentication.k8s.io", "v1",
	  "\"create\"" },
	{ RES_deployment, "scale", "Scale", "autoscaling", "v1", READ_WRITE },
	{ RES_deployment, "status", "Deployment", "apps", "v1", READ_WRITE },
	{ RES_replica_set, "scale", "Scale", "autoscaling", "v1", READ_WRITE },
	{ RES_replica_set, "status", "ReplicaSet", "apps", "v1", READ_WRITE },
	{ RES_source, "resume", "Source", "kedge.dev", "v1", "\"create\"" },
	{ RES_source, "rollback", "Source", "kedge.dev", "v1", "\"create\"" },
	{ RES_source, "suspend", "Source", "kedge.dev", "v1", "\"create\"" },
	{ RES_source, "sync", "Source", "kedge.dev", "v1", "\"create\"" },
};
enum { SUBS = sizeof subs / sizeof *subs };

static const char *
verbs_of(const struct resource *r)
{
	static const char all[] = "\"create\",\"delete\",\"deletecollection\",\"get\","
				  "\"list\",\"patch\",\"update\",\"watch\"";

	switch (r->id) {
	case RES_NONE:
		if (strcmp(r->group, "metrics.k8s.io") != 0)
			return "\"create\"";
		return "\"get\",\"list\"";
	case RES_namespace:
		return "\"create\",\"delete\",\"get\",\"list\",\"patch\",\"update\",\"watch\"";
	case RES_node:
		return "\"get\",\"list\",\"patch\",\"update\",\"watch\"";
	case RES_source:
	case RES_revision:
		return "\"get\",\"list\",\"watch\"";
	default:
		return all;
	}
}

static void
add_words(struct buf *b, const char *key, const char *words)
{
	size_t n;

	if (!*words)
		return;
	buf_addf(b, ",\"%s\":[", key);
	for (bool first = true; *words; words += n + (words[n] == ' '), first = false) {
		n = strcspn(words, " ");
		buf_addf(b, "%s\"%.*s\"", first ? "" : ",", (int)n, words);
	}
	buf_addc(b, ']');
}

/* ---- the aggregated dialect ---- */

static void
add_resource(struct buf *b, const struct resource *r)
{
	bool first = true;

	buf_addf(b,
		 "{\"resource\":\"%s\",\"responseKind\":{\"group\":\"%s\",\"version\":\"%s\","
		 "\"kind\":\"%s\"},\"scope\":\"%s\",\"singularResource\":\"%s\",\"verbs\":[%s]",
		 r->plural, r->group, r->version, r->kind,
		 r->namespaced ? "Namespaced" : "Cluster", r->singular, verbs_of(r));
	add_words(b, "shortNames", r->shorts);
	add_words(b, "categories", r->category);
	for (size_t i = 0; i < SUBS; i++) {
		const struct sub *s = &subs[i];

		if (s->of != r->id)
			continue;
		buf_addf(b,
			 "%s{\"subresource\":\"%s\",\"responseKind\":{\"group\":\"%s\","
			 "\"version\":\"%s\",\"kind\":\"%s\"},\"verbs\":[%s]}",
			 first ? ",\"subresources\":[" : ",", s->name, s->group, s->version,
			 s->kind, s->verbs);
		first = false;
	}
	buf_adds(b, first ? "}" : "]}");
}

static void
add_group(struct buf *b, const struct group *group)
{
	const struct resource *r;
	bool first = true;

	buf_addf(b,
		 "{\"metadata\":{\"name\":\"%s\",\"creationTimestamp\":null},\"versions\":[{"
		 "\"version\":\"%s\",\"freshness\":\"Current\",\"resources\":[",
		 group->name, group->version);
	for (size_t i = 0; (r = resource_at(i)); i++) {
		if (strcmp(r->group, group->name))
			continue;
		buf_adds(b, first ? "" : ",");
		add_resource(b, r);
		first = false;
	}
	buf_adds(b, "]}]}");
}

/* "v2", "v2beta1", or NULL for the older dialect: the first one that is asked for */
static const char *
aggregated(const struct call *c)
{
	const char *accept = http_header(c->req, "Accept");
	size_t n;

	for (; accept && *accept; accept += n + (accept[n] == ',')) {
		n = strcspn(accept, ",");
		if (!memmem(accept, n, "as=APIGroupDiscoveryList", 24))
			continue;
		if (memmem(accept, n, "v=v2beta1", 9))
			return "v2beta1";
		if (memmem(accept, n, "v=v2", 4))
			return "v2";
	}
	return NULL;
}

/* The one place where the answer's type is not plain JSON. */
static void
answer_aggregated(struct call *c, const char *version, const struct group *which, size_t n)
{
	struct buf b = { 0 };

	buf_addf(
	    &b,
	    "{\"kind\":\"APIGroupDiscoveryList\",\"apiVersion\":\"apidiscovery.k8s.io/%s\","
	    "\"metadata\":{},\"items\":[",
	    version);
	for (size_t i = 0; i < n; i++) {
		buf_adds(&b, i ? "," : "");
		add_group(&b, &which[i]);
	}
	buf_adds(&b, "]}\n");
	c->answered = true;
	http_reply(
	    c->req, 200,
	    arena_printf(&c->arena,
			 "application/json;g=apidiscovery.k8s.io;v=%s;as=APIGroupDiscoveryList",
			 version),
	    &b);
}

/* ---- the older dialect ---- */

static void
add_group_versions(struct buf *b, const struct group *group, bool with_kind)
{
	buf_addf(b,
		 "{%s\"name\":\"%s\",\"versions\":[{\"groupVersion\":\"%s/%s\",\"version\":"
		 "\"%s\"}],\"preferredVersion\":{\"groupVersion\":\"%s/%s\",\"version\":"
		 "\"%s\"}}",
		 with_kind ? "\"kind\":\"APIGroup\",\"apiVersion\":\"v1\"," : "", group->name,
		 group->name, group->version, group->version, group->name, group->version,
		 group->version);
}

void
discovery_core(struct call *c)
{
	const char *version = aggregated(c);
	struct buf b = { 0 };

	if (version) {
		answer_aggregated(c, version, groups, 1);
		return;
	}
	buf_adds(&b, "{\"kind\":\"APIVersions\",\"versions\":[\"v1\"],"
		     "\"serverAddressByClientCIDRs\":[]}");
	call_json(c, 200, &b);
}

void
discovery_groups(struct call *c)
{
	const char *version = aggregated(c);
	struct buf b = { 0 };

	if (version) {
		answer_aggregated(c, version, groups + 1, GROUPS - 1);
		return;
	}
	buf_adds(&b, "{\"kind\":\"APIGroupList\",\"apiVersion\":\"v1\",\"groups\":[");
	for (size_t i = 1; i < GROUPS; i++) {
		buf_adds(&b, i > 1 ? "," : "");
		add_group_versions(&b, &groups[i], false);
	}
	buf_adds(&b, "]}");
	call_json(c, 200, &b);
}

/* NULL: there is none of that name, or `version` is not its own. */
static const struct group *
group_find(const char *name, const char *version)
{
	for (size_t i = 0; i < GROUPS; i++)
		if (!strcmp(groups[i].name, name) &&
		    (!version || !strcmp(groups[i].version, version)))
			return &groups[i];
	return NULL;
}

void
discovery_group(struct call *c)
{
	const struct group *g = group_find(c->group, NULL);
	struct buf b = { 0 };

	if (!g) {
		call_refuse(c, WHY_NOT_FOUND,
			    "the server could not find the requested resource");
		return;
	}
	add_group_versions(&b, g, true);
	call_json(c, 200, &b);
}

static void
add_api_resource(struct buf *b, const struct resource *r)
{
	buf_addf(b,
		 "{\"name\":\"%s\",\"singularName\":\"%s\",\"namespaced\":%s,\"kind\":\"%s\","
		 "\"verbs\":[%s]",
		 r->plural, r->singular, r->namespaced ? "true" : "false", r->kind,
		 verbs_of(r));
	add_words(b, "shortNames", r->shorts);
	add_words(b, "categories", r->category);
	buf_addc(b, '}');
	for (size_t i = 0; i < SUBS; i++) {
		const struct sub *sub = &subs[i];
		bool other = strcmp(sub->group, r->group) || strcmp(sub->version, r->version);

		if (sub->of != r->id)
			continue;
		buf_addf(b, ",{\"name\":\"%s/%s\",\"singularName\":\"\",\"namespaced\":%s,",
			 r->plural, sub->name, r->namespaced ? "true" : "false");
		if (other) /* kubectl drain looks for the Eviction that the server takes */
			buf_addf(b, "\"group\":\"%s\",\"version\":\"%s\",", sub->group,
				 sub->version);
		buf_addf(b, "\"kind\":\"%s\",\"verbs\":[%s]}", sub->kind, sub->verbs);
	}
}

void
discovery_resources(struct call *c)
{
	const struct group *g = group_find(c->group, c->version);
	const struct resource *r;
	struct buf b = { 0 };
	bool first = true;

	if (!g) {
		call_refuse(c, WHY_NOT_FOUND,
			    "the server could not find the requested resource");
		return;
	}
	buf_addf(
	    &b,
	    "{\"kind\":\"APIResourceList\",\"apiVersion\":\"v1\",\"groupVersion\":\"%s%s%s\","
	    "\"resources\":[",
	    g->name, *g->name ? "/" : "", g->version);
	for (size_t i = 0; (r = resource_at(i)); i++) {
		if (strcmp(r->group, g->name))
			continue;
		buf_adds(&b, first ? "" : ",");
		add_api_resource(&b, r);
		first = false;
	}
	buf_adds(&b, "]}");
	call_json(c, 200, &b);
}

/* ---- the rest ---- */

/* kubectl compares versions: 1.33 is the Kubernetes whose fields kinds.def has. */
void
discovery_version(struct call *c)
{
	struct buf b = { 0 };
	struct utsname u;
	const char *arch = "amd64";

	if (uname(&u) == 0 && !strcmp(u.machine, "aarch64"))
		arch = "arm64";
	buf_addf(&b,
		 "{\"major\":\"1\",\"minor\":\"33\",\"gitVersion\":\"v1.33.0+kedge-%s\","
		 "\"gitCommit\":\"\",\"gitTreeState\":\"clean\",\"buildDate\":"
		 "\"1970-01-01T00:00:00Z\",\"goVersion\":\"\",\"compiler\":\"gcc\","
		 "\"platform\":\"linux/%s\"}",
		 KEDGE_VERSION, arch);
	call_json(c, 200, &b);
}

void
discovery_health(struct call *c)
{
	struct buf b = { 0 };

	buf_adds(&b, "ok");
	c->answered = true;
	http_reply(c->req, 200, "text/plain; charset=utf-8", &b);
}
