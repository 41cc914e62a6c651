/* pod_security.c -- see pod_security.h: what a namespace asks for, and what is told. */
#include "pod_security.h"
#include "controllers.h"
#include "rules.h"
#include "workload.h"

#define LABEL "pod-security.kubernetes.io/"

static bool
level_parse(const char *text, enum pod_security_level *ret)
{
	static const char *const names[] = { "privileged", "baseline", "restricted" };

	for (int i = 0; i < 3; i++)
		if (str_is(text, names[i])) {
			*ret = (enum pod_security_level)i;
			return true;
		}
	return false;
}

/* "latest", "v1.31" */
static bool
version_parse(const char *text, int *ret)
{
	int minor = 0;

	*ret = INT32_MAX;
	if (str_is(text, "latest"))
		return true;
	if (!text || strncmp(text, "v1.", 3) || !text[3] || strlen(text) > 6 ||
	    (text[3] == '0' && text[4]))
		return false;
	for (text += 3; *text; text++) {
		if (*text < '0' || *text > '9')
			return false;
		minor = minor * 10 + (*text - '0');
	}
	*ret = minor;
	return true;
}

/* What cannot be read enforces the most and warns of nothing, as in Kubernetes. */
struct pod_policy
pod_policy_of(const struct pairs *labels, const char *mode, struct arena *a)
{
	static const char *const names[] = { "privileged", "baseline", "restricted" };
	const char *level =
	    labels ? pairs_get(labels, arena_printf(a, LABEL "%s", mode)) : NULL;
	const char *version =
	    labels ? pairs_get(labels, arena_printf(a, LABEL "%s-version", mode)) : NULL;
	bool enforce = str_is(mode, "enforce");
	struct pod_policy p = { POD_SECURITY_PRIVILEGED, INT32_MAX, NULL };

	/* who is not told otherwise is warned of what is enforced */
	if (!level && !enforce && str_is(mode, "warn"))
		return labels ? pod_policy_of(labels, "enforce", a)
			      : (struct pod_policy){ p.level, p.minor, "privileged:latest" };
	if (level && !level_parse(level, &p.level))
		p.level = enforce ? POD_SECURITY_RESTRICTED : POD_SECURITY_PRIVILEGED;
	if (version && !version_parse(version, &p.minor))
		version = NULL;
	p.text = arena_printf(a, "%s:%s", names[p.level], version ? version : "latest");
	return p;
}

const char *
pod_security_refusal(const struct pairs *labels, const struct object_meta *meta,
		     const struct pod_spec *spec, struct arena *a)
{
	struct pod_policy p = pod_policy_of(labels, "enforce", a);
	const char *why = pod_security_why(&p, meta, spec, false, a);

	return why ? arena_printf(a,
				  "pods \"%s\" is forbidden: violates PodSecurity \"%s\": %s",
				  meta && meta->name ? meta->name : "", p.text, why)
		   : NULL;
}

const char *
pod_security_refuses(struct snapshot *s, const struct pod *pod, struct arena *a)
{
	const struct object *ns = snapshot_find(s, RES_namespace, "", object_namespace(pod));

	return ns && ns->metadata
		   ? pod_security_refusal(&ns->metadata->labels, pod->metadata, pod->spec, a)
		   : NULL;
}

static const char *
would_violate(const struct pairs *labels, const char *mode, const struct object_meta *meta,
	      const struct pod_spec *spec, struct arena *a)
{
	struct pod_policy p = pod_policy_of(labels, mode, a);
	const char *why = pod_security_why(&p, meta, spec, false, a);

	return why ? arena_printf(a, "would violate PodSecurity \"%s\": %s", p.text, why)
		   : NULL;
}

const char *
pod_security_warning(const struct pairs *labels, const struct object_meta *meta,
		     const struct pod_spec *spec, struct arena *a)
{
	return would_violate(labels, "warn", meta, spec, a);
}

struct pod_security_notes
pod_security_note(const struct pairs *labels, const struct object_meta *meta,
		  const struct pod_spec *spec, bool pod, struct arena *a)
{
	return (struct pod_security_notes){
		.enforce_policy = pod ? pod_policy_of(labels, "enforce", a).text : NULL,
		.audit_violations = would_violate(labels, "audit", meta, spec, a),
	};
}

const char *
pod_security_audit(const struct pairs *labels, const struct object_meta *meta,
		   const struct pod_spec *spec, struct arena *a)
{
	const char *why = would_violate(labels, "audit", meta, spec, a);

	return why ? arena_printf(a, "; " LABEL "audit-violations: %s", why) : "";
}

const char *
pod_security_audits(struct snapshot *s, const struct pod *pod, struct arena *a)
{
	const struct object *ns = snapshot_find(s, RES_namespace, "", object_namespace(pod));

	return ns && ns->metadata
		   ? pod_security_audit(&ns->metadata->labels, pod->metadata, pod->spec, a)
		   : "";
}

const struct pod_template_spec *
pod_template_of(const struct kind *k, const void *obj)
{
	const struct field *f = schema_field(k, "spec");

	for (int depth = 0; f && obj && depth < 4; depth++) {
		if (f->type != T_OBJ || !f->of)
			return NULL;
		obj = *(const void *const *)((const char *)obj + f->off);
		k = f->of();
		if (!obj || k == pod_template_spec_kind())
			return obj;
		f = schema_field(k, "template");
		if (!f)
			f = schema_field(k, "jobTemplate"); /* of a CronJob */
		if (!f)
			f = schema_field(k, "spec");
	}
	return NULL;
}

/* ---- labels ---- */

/* Kubernetes refuses a namespace whose labels it cannot read. */
void
namespace_check(const void *obj, const struct place *at)
{
	static const char *const modes[] = { "enforce", "audit", "warn" };
	const struct namespace *ns = obj;
	const struct pairs *labels = ns->metadata ? &ns->metadata->labels : NULL;

	for (size_t i = 0; labels && i < 3; i++) {
		const char *key = arena_printf(at->arena, LABEL "%s", modes[i]);
		const char *level = pairs_get(labels, key), *version;
		enum pod_security_level l;
		int minor;

		if (level && !level_parse(level, &l))
			place_complain(
			    at, "metadata.labels",
			    "%s: Invalid value: \"%.63s\": must be one of privileged, "
			    "baseline, restricted",
			    key, level);
		key = arena_printf(at->arena, "%s-version", key);
		version = pairs_get(labels, key);
		if (version && !version_parse(version, &minor))
			place_complain(at, "metadata.labels",
				       "%s: Invalid value: \"%.63s\": must be \"latest\" or "
				       "\"v1.x\"",
				       key, version);
	}
}
