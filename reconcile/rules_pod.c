/* rules_pod.c -- what Kubernetes demands across the fields of a pod. */
#include "base/arena.h"
#include "base/map.h"
#include "base/text.h"
#include "pod_parts.h"
#include "rules.h"
#include <stdio.h>
#include <string.h>

enum { SEARCHES_MAX = 2048 };

/* ---- containers ---- */

void
env_var_source_check(const void *obj, const struct place *at)
{
	const struct env_var_source *s = obj;
	int n =
	    !!s->fieldRef + !!s->resourceFieldRef + !!s->configMapKeyRef + !!s->secretKeyRef;

	if (!n)
		place_complain(at, "",
			       "Invalid value: \"\": must specify one of: `fieldRef`, "
			       "`resourceFieldRef`, `configMapKeyRef` or `secretKeyRef`");
	if (n > 1)
		place_complain(
		    at, "",
		    "Invalid value: \"\": may not have more than one field specified "
		    "at a time");
	if (s->fieldRef && s->fieldRef->fieldPath)
		field_path_check(s->fieldRef->fieldPath, false, at);
	if (s->resourceFieldRef)
		resource_field_check(s->resourceFieldRef, false, at);
}

void
env_var_check(const void *obj, const struct place *at)
{
	const struct env_var *e = obj;

	if (e->valueFrom && str_given(e->value))
		place_complain(
		    at, "valueFrom",
		    "Invalid value: \"\": may not be specified when `value` is not empty");
}

void
env_from_source_check(const void *obj, const struct place *at)
{
	const struct env_from_source *s = obj;

	if (!s->configMapRef && !s->secretRef)
		place_complain(at, "",
			       "Invalid value: \"\": must specify one of: `configMapRef` or "
			       "`secretRef`");
	if (s->configMapRef && s->secretRef)
		place_complain(
		    at, "",
		    "Invalid value: \"\": may not have more than one field specified "
		    "at a time");
}

static void
amounts_check(const struct pairs *p, const char *field, const struct place *at)
{
	char sub[128];

	for (size_t i = 0; i < p->n; i++) {
		const char *name = p->at[i].key;

		snprintf(sub, sizeof sub, "%s[%.63s]", field, name);
		if (quantity_milli(p->at[i].value) < 0)
			place_complain(
			    at, sub,
			    "Invalid value: \"%s\": must be greater than or equal to 0",
			    p->at[i].value);
		if (str_is(name, "memory") && quantity_milli(p->at[i].value) % 1000)
			place_complain_softly(
			    at, sub,
			    "fractional byte value \"%s\" is invalid, must be an "
			    "integer (m is a thousandth; Mi a mebibyte)",
			    p->at[i].value);
		if (str_is(name, "cpu") || str_is(name, "memory") ||
		    str_is(name, "ephemeral-storage"))
			continue;
		if (!strchr(name, '/') && strncmp(name, "hugepages-", 10))
			place_complain(
			    at, sub,
			    "Invalid value: \"%.63s\": must be a standard resource for "
			    "containers",
			    name);
		else
			place_complain_softly(
			    at, sub, "known, but not acted upon by this version of kedge");
	}
}

void
resource_requirements_check(const void *obj, const struct place *at)
{
	const struct resource_requirements *r = obj;

	amounts_check(&r->limits, "limits", at);
	amounts_check(&r->requests, "requests", at);
	for (size_t i = 0; i < r->requests.n; i++) {
		const char *name = r->requests.at[i].key, *ask = r->requests.at[i].value;
		const char *limit = pairs_get(&r->limits, name);

		if (limit && (quantity_milli(ask) > quantity_milli(limit) ||
			      quantity_value(ask) > quantity_value(limit)))
			place_complain(at, "requests", /* without its key, as in Kubernetes */
				       "Invalid value: \"%s\": must be less than or equal to "
				       "%s limit of %s",
				       ask, name, limit);
	}
}

static void
handlers_check(int n, const struct place *at)
{
	if (!n)
		place_complain(at, "", "Required value: must specify a handler type");
	if (n > 1)
		place_complain(at, "", "Forbidden: may not specify more than 1 handler type");
}

void
probe_check(const void *obj, const struct place *at)
{
	const struct probe *p = obj;

	handlers_check(!!p->exec + !!p->httpGet + !!p->tcpSocket + !!p->grpc, at);
}

void
lifecycle_handler_check(const void *obj, const struct place *at)
{
	const struct lifecycle_handler *h = obj;

	handlers_check(!!h->exec + !!h->httpGet + !!h->tcpSocket + !!h->sleep, at);
}

static void
once_check(const struct probe *p, const char *sub, const struct place *at)
{
	char field[64];

	snprintf(field, sizeof field, "%s.successThreshold", sub);
	if (p && place_ok(at, sub) && p->successThreshold != 1)
		place_complain(at, field, "Invalid value: %jd: must be 1",
			       (intmax_t)p->successThreshold);
}

static void
resize_policy_check(const struct container *c, const struct place *at)
{
	char sub[64];

	for (size_t i = 1; i < c->resizePolicy.n; i++)
		for (size_t j = 0; j < i; j++) {
			const char *name = c->resizePolicy.at[i].resourceName;

			if (!name || !str_is(c->resizePolicy.at[j].resourceName, name))
				continue;
			snprintf(sub, sizeof sub, "resizePolicy[%zu]", i);
			place_complain(at, sub, "Duplicate value: \"%s\"", name);
			break;
		}
}

void
container_check(const void *obj, const struct place *at)
{
	const struct container *c = obj;
	struct map names = { 0 };
	char sub[64];

	for (size_t i = 0; i < c->ports.n; i++) {
		const char *name = c->ports.at[i].name;

		if (!str_given(name) || !map_put(&names, name, &names))
			continue;
		snprintf(sub, sizeof sub, "ports[%zu].name", i);
		place_complain(at, sub, "Duplicate value: \"%s\"", name);
	}
	map_done(&names);
	bidirectional_check(obj, at);
	resize_policy_check(c, at);
	once_check(c->livenessProbe, "livenessProbe", at);
	once_check(c->startupProbe, "startupProbe", at);
	if (c->readinessProbe && place_ok(at, "readinessProbe") &&
	    schema_has(probe_kind(), c->readinessProbe, "terminationGracePeriodSeconds"))
		place_complain(at, "readinessProbe.terminationGracePeriodSeconds",
			       "Invalid value: %jd: must not be set for readinessProbes",
			       (intmax_t)c->readinessProbe->terminationGracePeriodSeconds);
}

/* ---- the pod ---- */

static void
mounts_check(const struct pod_spec *s, const char *list, const struct container *at, size_t n,
	     const struct place *pl)
{
	struct map names = { 0 };
	char sub[96];

	if (!place_ok(pl, "volumes"))
		return; /* the one that is looked for may be among those not understood */
	for (size_t i = 0; i < s->volumes.n; i++)
		map_put(&names, s->volumes.at[i].name, &s->volumes.at[i]);
	for (size_t i = 0; i < n; i++)
		for (size_t j = 0; j < at[i].volumeMounts.n; j++) {
			const char *name = at[i].volumeMounts.at[j].name;

			if (!name || map_get(&names, name))
				continue;
			snprintf(sub, sizeof sub, "%s[%zu].volumeMounts[%zu].name", list, i, j);
			place_complain(pl, sub, "Not found: \"%s\"", name);
		}
	map_done(&names);
}

static void
host_ip_check(const struct pod_spec *s, size_t container, size_t port, const struct place *pl)
{
	const char *ip = s->containers.at[container].ports.at[port].hostIP;
	char sub[96];

	if (s->hostNetwork || !str_given(ip) || !ip_is_loopback(ip))
		return;
	snprintf(sub, sizeof sub, "containers[%zu].ports[%zu].hostIP", container, port);
	place_complain_softly(pl, sub,
			      "without effect: packets to %s never leave the host, and no pod "
			      "can be met there",
			      ip);
}

/* The containers of a pod share one address, so a port is one container's only.
 * Kubernetes finds out when the second one crashes; kedge says it at once. */
static void
ports_check(const struct pod_spec *s, const struct place *pl)
{
	struct map taken = { 0 }, hosts = { 0 };
	char key[64], sub[96];

	for (size_t i = 0; i < s->containers.n; i++)
		for (size_t j = 0; j < s->containers.at[i].ports.n; j++) {
			const struct container_port *p = &s->containers.at[i].ports.at[j];
			const struct container *other;

			if (p->containerPort < 1 || !p->protocol)
				continue;
			snprintf(key, sizeof key, "%jd/%s", (intmax_t)p->containerPort,
				 p->protocol);
			other = map_put(&taken, key, &s->containers.at[i]);
			snprintf(sub, sizeof sub, "containers[%zu].ports[%zu].containerPort", i,
				 j);
			if (other && other != &s->containers.at[i])
				place_complain(
				    pl, sub,
				    "Duplicate value: \"%s\": the container \"%s\" has this "
				    "port "
				    "too, and the containers of a pod share one address",
				    key, other->name ? other->name : "");
			if (s->hostNetwork && p->hostPort && p->hostPort != p->containerPort)
				place_complain(pl, sub,
					       "Invalid value: %jd: must match `hostPort` when "
					       "`hostNetwork` is true",
					       (intmax_t)p->containerPort);
			if (!p->hostPort)
				continue;
			host_ip_check(s, i, j, pl);
			snprintf(key, sizeof key, "%s/%.45s/%jd", p->protocol,
				 str_given(p->hostIP) ? p->hostIP : "", (intmax_t)p->hostPort);
			snprintf(sub, sizeof sub, "containers[%zu].ports[%zu].hostPort", i, j);
			if (map_put(&hosts, key, &s->containers.at[i]))
				place_complain(pl, sub, "Duplicate value: \"%s\"", key);
		}
	map_done(&taken);
	map_done(&hosts);
}

static void
names_check(const struct pod_spec *s, const struct place *pl)
{
	struct map names = { 0 };
	char sub[64];

	for (size_t i = 0; i < s->containers.n && s->initContainers.n; i++)
		if (s->containers.at[i].name)
			map_put(&names, s->containers.at[i].name, &names);
	for (size_t i = 0; i < s->initContainers.n; i++) {
		const char *name = s->initContainers.at[i].name;

		if (!name || !map_get(&names, name))
			continue;
		snprintf(sub, sizeof sub, "initContainers[%zu].name", i);
		place_complain(pl, sub, "Duplicate value: \"%s\"", name);
	}
	map_done(&names);
}

/* What an init container may not have that is over before the pod begins. */
static void
once_only_check(const struct container *c, size_t i, const struct place *pl)
{
	const struct {
		const char *field;
		bool given;
	} rows[] = { { "lifecycle", c->lifecycle },
		     { "livenessProbe", c->livenessProbe },
		     { "readinessProbe", c->readinessProbe },
		     { "startupProbe", c->startupProbe } };
	char sub[64];

	for (size_t j = 0; j < sizeof rows / sizeof *rows; j++) {
		if (!rows[j].given)
			continue;
		snprintf(sub, sizeof sub, "initContainers[%zu].%s", i, rows[j].field);
		place_complain(pl, sub,
			       "Forbidden: may not be set for init containers without "
			       "restartPolicy=Always");
	}
}

static void
sleep_check(const struct lifecycle_handler *h, int64_t grace, const char *sub,
	    const struct place *pl)
{
	if (h && h->sleep && (h->sleep->seconds < 0 || h->sleep->seconds > grace))
		place_complain(pl, sub,
			       "Invalid value: %jd: must be non-negative and less than "
			       "terminationGracePeriodSeconds (%jd)",
			       (intmax_t)h->sleep->seconds, (intmax_t)grace);
}

enum { PART_FIELD = 96 };

/* "initContainers[1].lifecycle.stopSignal", of the i-th of pod_part; returns `to`. */
static const char *
part_field(const struct pod_spec *s, size_t i, const char *field, char to[static PART_FIELD])
{
	size_t ninit = s->initContainers.n;

	if (i < ninit)
		snprintf(to, PART_FIELD, "initContainers[%zu].%s", i, field);
	else
		snprintf(to, PART_FIELD, "containers[%zu].%s", i - ninit, field);
	return to;
}

/* What a signal means is the system's that the pod is for. */
static void
stop_signals_check(const struct pod_spec *s, const struct place *pl)
{
	char sub[PART_FIELD];

	for (size_t i = 0; i < pod_parts(s) && !s->os; i++) {
		const struct lifecycle *l = pod_part(s, i)->lifecycle;

		if (l && str_given(l->stopSignal))
			place_complain(pl, part_field(s, i, "lifecycle.stopSignal", sub),
				       "Forbidden: may not be set for containers with empty "
				       "`spec.os.name`");
	}
}

/* A container that ends is not started again, so neither is one that is resized. */
static void
resize_policies_check(const struct pod_spec *s, const struct place *pl)
{
	char sub[96];

	if (!str_is(s->restartPolicy, "Never"))
		return;
	for (size_t i = 0; i < s->containers.n; i++)
		for (size_t j = 0; j < s->containers.at[i].resizePolicy.n; j++) {
			if (!str_is(s->containers.at[i].resizePolicy.at[j].restartPolicy,
				    "RestartContainer"))
				continue;
			snprintf(sub, sizeof sub, "containers[%zu].resizePolicy", i);
			place_complain(pl, sub,
				       "Invalid value: \"RestartContainer\": must be "
				       "'NotRequired' when `restartPolicy` is 'Never'");
		}
}

void
pod_os_check(const void *obj, const struct place *at)
{
	const struct pod_os *os = obj;

	if (str_is(os->name, "windows"))
		place_complain_softly(at, "name", "without effect: this is a Linux host");
}

static void
sleeps_check(const struct pod_spec *s, const struct place *pl)
{
	int64_t grace = s->terminationGracePeriodSeconds;
	char sub[PART_FIELD];

	if (!place_ok(pl, "terminationGracePeriodSeconds"))
		return;
	for (size_t i = 0; i < pod_parts(s); i++) {
		const struct lifecycle *l = pod_part(s, i)->lifecycle;

		if (!l)
			continue;
		sleep_check(l->postStart, grace,
			    part_field(s, i, "lifecycle.postStart.sleep.seconds", sub), pl);
		sleep_check(l->preStop, grace,
			    part_field(s, i, "lifecycle.preStop.sleep.seconds", sub), pl);
	}
}

static void
init_check(const struct pod_spec *s, const struct place *pl)
{
	char sub[64];

	for (size_t i = 0; i < s->initContainers.n; i++) {
		const struct container *c = &s->initContainers.at[i];

		snprintf(sub, sizeof sub, "initContainers[%zu].restartPolicy", i);
		if (!str_given(c->restartPolicy))
			once_only_check(c, i, pl);
		else if (strcmp(c->restartPolicy, "Always"))
			place_complain(
			    pl, sub,
			    "Unsupported value: \"%.63s\": supported values: \"Always\"",
			    c->restartPolicy);
	}
	for (size_t i = 0; i < s->containers.n; i++) {
		snprintf(sub, sizeof sub, "containers[%zu].restartPolicy", i);
		if (str_given(s->containers.at[i].restartPolicy))
			place_complain(pl, sub,
				       "Forbidden: may not be set for non-init containers");
	}
}

static void
dns_check(const struct pod_spec *s, const struct place *at)
{
	const struct pod_dns_config *d = s->dnsConfig;
	size_t length = 0;

	if (str_is(s->dnsPolicy, "None") && place_ok(at, "dnsConfig") && !d)
		place_complain(at, "dnsConfig",
			       "Required value: must provide `dnsConfig` when `dnsPolicy` is "
			       "None");
	else if (str_is(s->dnsPolicy, "None") && place_ok(at, "dnsConfig") && !d->nameservers.n)
		place_complain(at, "dnsConfig.nameservers",
			       "Required value: must provide at least one DNS nameserver when "
			       "`dnsPolicy` is None");
	if (d && d->nameservers.n > 3)
		place_complain(at, "dnsConfig.nameservers",
			       "Invalid value: %zu of them: must not have more than 3 "
			       "nameservers",
			       d->nameservers.n);
	if (d && d->searches.n > 32)
		place_complain(at, "dnsConfig.searches",
			       "Invalid value: %zu of them: must not have more than 32 search "
			       "paths",
			       d->searches.n);
	for (size_t i = 0; d && i < d->searches.n; i++)
		length += strlen(d->searches.at[i]) + (i > 0);
	if (length > SEARCHES_MAX)
		place_complain(at, "dnsConfig.searches",
			       "Invalid value: %zu of them: must not have more than %d "
			       "characters (including spaces) in the search list",
			       d->searches.n, SEARCHES_MAX);
}

/* All of /proc is the host's to who is the host's root. */
static void
unmasked_check(const struct pod_spec *s, const struct place *pl)
{
	char sub[PART_FIELD];

	for (size_t i = 0; i < pod_parts(s); i++) {
		const struct security_context *c = pod_part(s, i)->securityContext;

		if (c && str_is(c->procMount, "Unmasked"))
			place_complain(pl, part_field(s, i, "securityContext.procMount", sub),
				       "Invalid value: \"Unmasked\": `hostUsers` must be "
				       "false to use `Unmasked`");
	}
}

/* A user namespace of its own, and namespaces that are the host's: the one cannot act in
 * the others. */
static void
host_users_check(const struct pod_spec *s, const struct place *pl)
{
	const struct {
		const char *field;
		bool set;
	} rows[] = { { "hostNetwork", s->hostNetwork },
		     { "hostPID", s->hostPID },
		     { "hostIPC", s->hostIPC } };

	if (s->hostUsers)
		unmasked_check(s, pl);
	if (s->hostUsers || !schema_has(pod_spec_kind(), s, "hostUsers"))
		return;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		if (rows[i].set)
			place_complain(pl, rows[i].field,
				       "Forbidden: when `hostUsers` is false");
}

void
pod_spec_check(const void *obj, const struct place *at)
{
	const struct pod_spec *s = obj;

	/* its pods are refused (admission.c), which who writes a Deployment should hear now */
	if (!str_is(s->runtimeClassName, ""))
		place_complain_softly(at, "runtimeClassName",
				      "kedge has no RuntimeClasses: pods with one are refused");
	if (s->resourceClaims.n)
		place_complain_softly(
		    at, "resourceClaims",
		    "kedge has no ResourceClaims: pods with one are not scheduled");
	if (s->schedulingGates.n && !str_is(s->nodeName, ""))
		place_complain(at, "nodeName",
			       "Forbidden: cannot be set until all schedulingGates have been "
			       "cleared");

	if (s->ephemeralContainers.n)
		place_complain(
		    at, "ephemeralContainers",
		    "Forbidden: cannot be set on create: they are added to a pod that "
		    "runs (kedge debug)");
	dns_check(s, at);
	if (s->hostPID && s->shareProcessNamespace)
		place_complain(at, "shareProcessNamespace",
			       "Invalid value: true: ShareProcessNamespace and HostPID cannot "
			       "both be enabled");
	init_check(s, at);
	sleeps_check(s, at);
	stop_signals_check(s, at);
	resize_policies_check(s, at);
	names_check(s, at);
	mounts_check(s, "containers", s->containers.at, s->containers.n, at);
	mounts_check(s, "initContainers", s->initContainers.at, s->initContainers.n, at);
	ports_check(s, at);
	host_users_check(s, at);
	pod_sysctls_check(s, at);
}
