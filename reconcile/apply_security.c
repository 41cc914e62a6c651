/* apply_security.c -- the Pod Security Standards on what a commit brings.
 *
 * As Kubernetes' admission: a pod that its namespace does not enforce is refused, and so
 * the commit, at the manifest's place; a workload's template is only warned of, for the
 * pods are refused when they are made; a namespace that enforces more than its pods keep to
 * is told so, and they run on.
 */
#include "apply.h"
#include "base/arena.h"
#include "base/text.h"
#include "pod_security.h"
#include "snapshot.h"
#include <string.h>

static void
warn(struct complaints *c, const struct manifest *m, const char *field, const char *text)
{
	c->path = m->path;
	complain_softly(c, m->line, m->col, field, "%s", text);
}

void
apply_security(struct complaints *c, const struct manifest *m, const struct pairs *labels,
	       const void *obj, struct arena *a)
{
	const struct pod_template_spec *t;
	const struct pod *pod = obj;
	const char *text;

	if (m->res->id == RES_pod) {
		if (!pod->spec)
			return;
		text = pod_security_refusal(labels, pod->metadata, pod->spec, a);
		if (text)
			apply_complain(c, m, NULL, text);
		else if ((text = pod_security_warning(labels, pod->metadata, pod->spec, a)))
			warn(c, m, NULL, text);
		return;
	}
	t = pod_template_of(m->res->schema, obj);
	if (t && t->spec && (text = pod_security_warning(labels, t->metadata, t->spec, a)))
		warn(c, m, NULL, text);
}

const char *
apply_security_audit(const struct resource *res, const struct pairs *labels, const void *obj,
		     struct arena *a)
{
	const struct pod_template_spec *t;
	const struct pod *pod = obj;

	if (res->id == RES_pod)
		return pod->spec ? pod_security_audit(labels, pod->metadata, pod->spec, a) : "";
	t = pod_template_of(res->schema, obj);
	return t && t->spec ? pod_security_audit(labels, t->metadata, t->spec, a) : "";
}

struct kept_out { /* pods with one reason */
	const char *why, *first;
	size_t n;
};

static void
put_warning(struct complaints *c, const struct manifest *m, const struct kept_out *k,
	    struct arena *a)
{
	if (k->n == 1)
		warn(c, m, NULL, arena_printf(a, "%s: %s", k->first, k->why));
	else
		warn(c, m, NULL,
		     arena_printf(a, "%s (and %zu other pod%s): %s", k->first, k->n - 1,
				  k->n == 2 ? "" : "s", k->why));
}

void
apply_security_namespace(struct snapshot *s, struct complaints *c, const struct manifest *m,
			 const struct pairs *was, const struct pairs *is, struct arena *a)
{
	struct pod_policy old = pod_policy_of(was, "enforce", a),
			  new = pod_policy_of(is, "enforce", a);
	const struct objects *pods = &s->of[RES_pod];
	struct kept_out *at = arena_alloc(a, (pods->n + 1) * sizeof *at);
	size_t n = 0;

	if (str_is(old.text, new.text) || new.level == POD_SECURITY_PRIVILEGED)
		return;
	for (size_t i = 0; i < pods->n; i++) {
		const struct pod *pod = (const struct pod *)pods->at[i];
		const char *why;
		size_t j = 0;

		if (!str_is(object_namespace(pod), object_name(m->obj)) || !pod->spec ||
		    !(why = pod_security_why(&new, pod->metadata, pod->spec, true, a)))
			continue;
		while (j < n && strcmp(at[j].why, why))
			j++;
		if (j == n)
			at[n++] = (struct kept_out){ why, object_name(pod), 0 };
		at[j].n++;
		if (strcmp(object_name(pod), at[j].first) < 0)
			at[j].first = object_name(pod);
	}
	if (n)
		warn(c, m, NULL,
		     arena_printf(a,
				  "existing pods in namespace \"%s\" violate the new "
				  "PodSecurity enforce level \"%s\"",
				  object_name(m->obj), new.text));
	for (size_t i = 0; i < n; i++)
		put_warning(c, m, &at[i], a);
}
