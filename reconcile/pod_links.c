/* pod_links.c -- the variables by which a container finds the Services of its namespace,
 * with the names that Kubernetes took over from Docker's links.
 *
 * As there: what a Service is when the container's pod starts, and none for a headless one.
 * That of the API, default/kubernetes, is told everywhere, whatever the pod says.
 */
#include "base/addr.h"
#include "pod.h"
#include <ctype.h>

struct links {
	struct arena *a;
	struct pair *at;
	size_t n, cap;
};

static void
add(struct links *l, const char *name, const char *value)
{
	if (l->n == l->cap) {
		size_t cap = l->cap ? l->cap * 2 : 32;
		struct pair *at = arena_alloc(l->a, cap * sizeof *at);

		if (l->n)
			memcpy(at, l->at, l->n * sizeof *at);
		l->at = at;
		l->cap = cap;
	}
	l->at[l->n++] = (struct pair){ name, value };
}

/* "my-web" is MY_WEB. */
static const char *
variable(const char *name, struct arena *a)
{
	char *text = arena_strdup(a, name);

	for (char *p = text; *p; p++)
		*p = *p == '-' ? '_' : (char)toupper((unsigned char)*p);
	return text;
}

static void
add_port(struct links *l, const char *prefix, const char *ip, const struct service_port *p)
{
	const char *upper = str_is(p->protocol, "") ? "TCP" : p->protocol;
	const char *port = label_number(p->port, l->a);
	char *lower = arena_strdup(l->a, upper);
	const char *name = arena_printf(l->a, "%s_PORT_%s_%s", prefix, port, upper);

	for (char *q = lower; *q; q++)
		*q = (char)tolower((unsigned char)*q);
	add(l, name, arena_printf(l->a, "%s://%s:%s", lower, addr_before_port(ip, l->a), port));
	add(l, arena_printf(l->a, "%s_PROTO", name), lower);
	add(l, arena_printf(l->a, "%s_PORT", name), port);
	add(l, arena_printf(l->a, "%s_ADDR", name), ip);
}

static void
add_service(struct links *l, const struct service *svc)
{
	const struct service_spec *spec = svc->spec;
	const char *prefix = variable(object_name(svc), l->a), *ip = spec->clusterIP;
	const char *port;

	if (str_is(ip, "") || str_is(ip, "None") || !spec->ports.n)
		return;
	port = arena_printf(l->a, "%s_SERVICE_PORT", prefix);
	add(l, arena_printf(l->a, "%s_SERVICE_HOST", prefix), ip);
	add(l, port, label_number(spec->ports.at[0].port, l->a));
	for (size_t i = 0; i < spec->ports.n; i++)
		if (!str_is(spec->ports.at[i].name, ""))
			add(l,
			    arena_printf(l->a, "%s_%s", port,
					 variable(spec->ports.at[i].name, l->a)),
			    label_number(spec->ports.at[i].port, l->a));
	for (size_t i = 0; i < spec->ports.n; i++) {
		size_t first = l->n;

		add_port(l, prefix, ip, &spec->ports.at[i]);
		if (i == 0)
			add(l, arena_printf(l->a, "%s_PORT", prefix), l->at[first].value);
	}
}

const struct pair *
pod_links(struct snapshot *s, const struct pod *pod, struct arena *a, size_t *ret_n)
{
	struct links l = { .a = a };
	struct objects all = snapshot_in(s, RES_service, object_namespace(pod));
	const struct service *api = snapshot_find(s, RES_service, "default", "kubernetes");
	bool own = false;

	for (size_t i = 0; pod->spec->enableServiceLinks && i < all.n; i++) {
		add_service(&l, (const struct service *)all.at[i]);
		own = own || str_is(object_name(all.at[i]), "kubernetes");
	}
	if (api && !own)
		add_service(&l, api);
	*ret_n = l.n;
	return l.at;
}
