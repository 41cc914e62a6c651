/* pod_security.h -- the Pod Security Standards that a namespace's labels ask for.
 *
 *     pod-security.kubernetes.io/enforce: restricted
 *     pod-security.kubernetes.io/enforce-version: v1.31
 *
 * enforce refuses pods, warn is told to who brings them, audit stands in the log line of the
 * action, as Kubernetes writes it beside the request.  Pure.
 */
#ifndef KEDGE_POD_SECURITY_H
#define KEDGE_POD_SECURITY_H
#include "schema.h"

struct snapshot;

enum pod_security_level {
	POD_SECURITY_PRIVILEGED,
	POD_SECURITY_BASELINE,
	POD_SECURITY_RESTRICTED
};
struct pod_policy {
	enum pod_security_level level;
	int minor;        /* of the standards; INT32_MAX: the latest */
	const char *text; /* "restricted:latest" */
};

/* What Kubernetes writes beside a request, pod-security.kubernetes.io/...; NULL: nothing. */
struct pod_security_notes {
	const char *enforce_policy;   /* of a pod */
	const char *audit_violations; /* also of a workload's template */
};

/* What the labels of a namespace (NULL: none) ask for in a mode: "enforce", "warn", "audit". */
struct pod_policy pod_policy_of(const struct pairs *labels, const char *mode, struct arena *);
/* What of the pod is not allowed, in Kubernetes' words; NULL: nothing.
 * `brief`: without the details of each. */
const char *pod_security_why(const struct pod_policy *, const struct object_meta *,
			     const struct pod_spec *, bool brief, struct arena *);
/* Why Kubernetes would not create this pod: `pods "x" is forbidden: violates PodSecurity ...`;
 * NULL: it would.  `labels` are its namespace's. */
const char *pod_security_refusal(const struct pairs *labels, const struct object_meta *,
				 const struct pod_spec *, struct arena *);
/* The same of a pod that a controller is about to make, by the live namespace. */
const char *pod_security_refuses(struct snapshot *, const struct pod *, struct arena *);
/* `would violate PodSecurity "...": ...`, by `warn` of those labels; NULL: nothing to tell. */
const char *pod_security_warning(const struct pairs *labels, const struct object_meta *,
				 const struct pod_spec *, struct arena *);
/* What is written beside a request about a pod, or (not `pod`) a workload's template. */
struct pod_security_notes pod_security_note(const struct pairs *labels,
					    const struct object_meta *, const struct pod_spec *,
					    bool pod, struct arena *);
/* "; pod-security.kubernetes.io/audit-violations: would violate ...", by `audit`: what is added
 * to an action's why; "": nothing. */
const char *pod_security_audit(const struct pairs *labels, const struct object_meta *,
			       const struct pod_spec *, struct arena *);
/* The same of a pod that a controller is about to make, by the live namespace. */
const char *pod_security_audits(struct snapshot *, const struct pod *, struct arena *);
/* The pod template within any workload's object; NULL: it has none. */
const struct pod_template_spec *pod_template_of(const struct kind *, const void *obj);
#endif
