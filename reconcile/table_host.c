/* table_host.c -- the cells of the host, of what pods are given, of services, and of kedge's
 * own kinds. */
#include "base/addr.h"
#include "table_cells.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* ---- Namespace, Node ---- */

const char *
cell_namespace_status(const void *obj, const struct cells *c)
{
	const struct namespace *n = obj;

	(void)c;
	return n->status && n->status->phase ? n->status->phase : "Active";
}

const char *
cell_node_status(const void *obj, const struct cells *c)
{
	const struct node *n = obj;
	const char *ready = "Unknown";

	for (size_t i = 0; n->status && i < n->status->conditions.n; i++) {
		const struct condition *k = &n->status->conditions.at[i];

		if (!strcmp(text(k->type), "Ready"))
			ready = !strcmp(text(k->status), "True") ? "Ready" : "NotReady";
	}
	if (n->spec && n->spec->unschedulable)
		return arena_printf(c->arena, "%s,SchedulingDisabled", ready);
	return ready;
}

static int
compare(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

const char *
cell_node_roles(const void *obj, const struct cells *c)
{
	static const char prefix[] = "node-role.kubernetes.io/";
	const struct pairs *labels = &((const struct object *)obj)->metadata->labels;
	const char **roles = arena_alloc(c->arena, (labels->n + 1) * sizeof *roles);
	struct buf b = { 0 };
	size_t n = 0;

	for (size_t i = 0; i < labels->n; i++) {
		const struct pair *l = &labels->at[i];

		if (!strncmp(l->key, prefix, sizeof prefix - 1) && l->key[sizeof prefix - 1])
			roles[n++] = l->key + sizeof prefix - 1;
		else if (!strcmp(l->key, "kubernetes.io/role") && *l->value)
			roles[n++] = l->value;
	}
	if (n)
		qsort(roles, n, sizeof *roles, compare);
	for (size_t i = 0; i < n; i++)
		cell_add_part(&b, ",", roles[i]);
	return cell_taken(&b, NONE, c);
}

static const struct node_system_info *
node_info(const void *obj)
{
	const struct node *n = obj;

	return n->status ? n->status->nodeInfo : NULL;
}

const char *
cell_node_version(const void *obj, const struct cells *c)
{
	(void)c;
	return node_info(obj) ? text(node_info(obj)->kubeletVersion) : "";
}

static const char *
or_unknown(const char *s)
{
	return s && *s ? s : "<unknown>";
}

const char *
cell_node_os(const void *obj, const struct cells *c)
{
	(void)c;
	return or_unknown(node_info(obj) ? node_info(obj)->osImage : NULL);
}

const char *
cell_node_kernel(const void *obj, const struct cells *c)
{
	(void)c;
	return or_unknown(node_info(obj) ? node_info(obj)->kernelVersion : NULL);
}

const char *
cell_node_runtime(const void *obj, const struct cells *c)
{
	(void)c;
	return or_unknown(node_info(obj) ? node_info(obj)->containerRuntimeVersion : NULL);
}

static const char *
node_ip(const struct node *n, const char *type)
{
	for (size_t i = 0; n->status && i < n->status->addresses.n; i++)
		if (!strcmp(text(n->status->addresses.at[i].type), type))
			return or_none(n->status->addresses.at[i].address);
	return NONE;
}

const char *
cell_node_internal_ip(const void *obj, const struct cells *c)
{
	(void)c;
	return node_ip(obj, "InternalIP");
}

const char *
cell_node_external_ip(const void *obj, const struct cells *c)
{
	(void)c;
	return node_ip(obj, "ExternalIP");
}

/* ---- ConfigMap, Secret ---- */

const char *
cell_config_map_count(const void *obj, const struct cells *c)
{
	const struct config_map *m = obj;

	return cell_number(m->data.n + m->binaryData.n, c);
}

const char *
cell_secret_count(const void *obj, const struct cells *c)
{
	return cell_number(((const struct secret *)obj)->data.n, c);
}

const char *
cell_account_secrets(const void *obj, const struct cells *c)
{
	return cell_number(((const struct service_account *)obj)->secrets.n, c);
}

const char *
cell_secret_type(const void *obj, const struct cells *c)
{
	(void)c;
	return text(((const struct secret *)obj)->type);
}

/* ---- Service, Endpoints, EndpointSlice ---- */

const char *
cell_service_type(const void *obj, const struct cells *c)
{
	const struct service_spec *s = ((const struct service *)obj)->spec;

	(void)c;
	return s && s->type ? s->type : "ClusterIP";
}

const char *
cell_service_ip(const void *obj, const struct cells *c)
{
	const struct service_spec *s = ((const struct service *)obj)->spec;

	(void)c;
	if (s && s->clusterIPs.n)
		return or_none(s->clusterIPs.at[0]);
	return or_none(s ? s->clusterIP : NULL);
}

/* In the order of their text, as Kubernetes has it. */
static void
add_ingress(struct buf *b, const struct load_balancer_status *l, struct arena *a)
{
	const char **at = arena_alloc(a, (l->ingress.n + 1) * sizeof *at);

	for (size_t i = 0; i < l->ingress.n; i++)
		at[i] =
		    l->ingress.at[i].ip ? l->ingress.at[i].ip : text(l->ingress.at[i].hostname);
	if (l->ingress.n)
		qsort(at, l->ingress.n, sizeof *at, compare);
	for (size_t i = 0; i < l->ingress.n; i++)
		cell_add_part(b, ",", at[i]);
}

const char *
cell_service_external(const void *obj, const struct cells *c)
{
	const struct service *s = obj;
	const char *type = cell_service_type(obj, c);
	struct buf b = { 0 };

	if (!strcmp(type, "ExternalName"))
		return text(s->spec->externalName);
	if (!strcmp(type, "LoadBalancer") && s->status && s->status->loadBalancer)
		add_ingress(&b, s->status->loadBalancer, c->arena);
	for (size_t i = 0; s->spec && i < s->spec->externalIPs.n; i++)
		cell_add_part(&b, ",", s->spec->externalIPs.at[i]);
	return cell_taken(&b, strcmp(type, "LoadBalancer") ? NONE : "<pending>", c);
}

const char *
cell_service_ports(const void *obj, const struct cells *c)
{
	const struct service_spec *s = ((const struct service *)obj)->spec;
	struct buf b = { 0 };

	for (size_t i = 0; s && i < s->ports.n; i++) {
		const struct service_port *p = &s->ports.at[i];

		buf_addf(&b, "%s%" PRId64, i ? "," : "", p->port);
		if (p->nodePort)
			buf_addf(&b, ":%" PRId64, p->nodePort);
		buf_addf(&b, "/%s", p->protocol ? p->protocol : "TCP");
	}
	return cell_taken(&b, NONE, c);
}

const char *
cell_service_selector(const void *obj, const struct cells *c)
{
	const struct service_spec *s = ((const struct service *)obj)->spec;

	return s ? cell_labels(&s->selector, c) : NONE;
}

enum { SHOWN = 3 }; /* of a list of addresses or ports; the rest is counted */

const char *
cell_endpoints_list(const void *obj, const struct cells *c)
{
	const struct endpoints *e = obj;
	size_t n = 0;
	struct buf b = { 0 };

	for (size_t s = 0; s < e->subsets.n; s++) {
		const struct endpoint_subset *set = &e->subsets.at[s];

		for (size_t p = 0; p < set->ports.n; p++)
			for (size_t i = 0; i < set->addresses.n; i++)
				if (n++ < SHOWN)
					buf_addf(
					    &b, "%s%s:%" PRId64, b.len ? "," : "",
					    addr_before_port(set->addresses.at[i].ip, c->arena),
					    set->ports.at[p].port);
		for (size_t i = 0; !set->ports.n && i < set->addresses.n; i++)
			if (n++ < SHOWN)
				cell_add_part(&b, ",", set->addresses.at[i].ip);
	}
	if (n > SHOWN)
		buf_addf(&b, " + %zu more...", n - SHOWN);
	return cell_taken(&b, NONE, c);
}

const char *
cell_slice_type(const void *obj, const struct cells *c)
{
	(void)c;
	return text(((const struct endpoint_slice *)obj)->addressType);
}

const char *
cell_slice_ports(const void *obj, const struct cells *c)
{
	const struct endpoint_slice *s = obj;
	struct buf b = { 0 };

	for (size_t i = 0; i < s->ports.n && i < SHOWN; i++) {
		buf_adds(&b, i ? "," : "");
		if (s->ports.at[i].port)
			buf_addf(&b, "%" PRId64, s->ports.at[i].port);
		else
			buf_addc(&b, '*');
	}
	if (s->ports.n > SHOWN)
		buf_addf(&b, " + %zu more...", s->ports.n - SHOWN);
	return cell_taken(&b, "<unset>", c);
}

const char *
cell_slice_endpoints(const void *obj, const struct cells *c)
{
	const struct endpoint_slice *s = obj;
	struct buf b = { 0 };
	size_t n = 0;

	for (size_t i = 0; i < s->endpoints.n; i++)
		for (size_t a = 0; a < s->endpoints.at[i].addresses.n; a++)
			if (n++ < SHOWN)
				cell_add_part(&b, ",", s->endpoints.at[i].addresses.at[a]);
	if (n > SHOWN)
		buf_addf(&b, " + %zu more...", n - SHOWN);
	return cell_taken(&b, "<unset>", c);
}

/* ---- Source, Revision ---- */

/* As `git log --oneline` would: enough of it to find it again. */
static const char *
short_commit(const char *id, const struct cells *c)
{
	return id && *id ? arena_strndup(c->arena, id, strnlen(id, 8)) : NONE;
}

static const char *
first_line(const char *s, const struct cells *c)
{
	return arena_strndup(c->arena, text(s), strcspn(text(s), "\r\n"));
}

const char *
cell_source_state(const void *obj, const struct cells *c)
{
	const struct source *s = obj;

	(void)c;
	if (s->spec && s->spec->suspend)
		return "Suspended";
	return s->status && *text(s->status->phase) ? s->status->phase : "Pending";
}

const char *
cell_source_message(const void *obj, const struct cells *c)
{
	const struct source *s = obj;

	return first_line(s->status ? s->status->message : NULL, c);
}

CELL(source, s, cell_source_url, text(s->spec ? s->spec->url : NULL))
CELL(source, s, cell_source_ref, s->spec &&*text(s->spec->ref) ? s->spec->ref : "HEAD")
CELL(source, s, cell_source_path, s->spec &&*text(s->spec->path) ? s->spec->path : "/")
CELL(source, s, cell_source_commit, short_commit(s->status ? s->status->commit : NULL, c))
CELL(source, s, cell_source_revision, cell_number(s->status ? s->status->revision : 0, c))
CELL(source, s, cell_source_last, age_print(s->status ? s->status->lastSync : 0, c))
CELL(source, s, cell_source_is_writable, s->status && s->status->writable ? "True" : "False")

/* "Ann <ann@example.org>" is Ann. */
static const char *
author_name(const char *who, const struct cells *c)
{
	size_t n;

	who = text(who);
	n = strcspn(who, "<");
	while (n && who[n - 1] == ' ')
		n--;
	return n ? arena_strndup(c->arena, who, n) : or_none(who);
}

const char *
cell_revision_errors(const void *obj, const struct cells *c)
{
	const struct revision *r = obj;

	if (!r->status || !r->status->errors.n)
		return "";
	if (r->status->errors.n == 1)
		return r->status->errors.at[0];
	return arena_printf(c->arena, "%s (and %zu more)", r->status->errors.at[0],
			    r->status->errors.n - 1);
}

const char *
cell_revision_outcome(const void *obj, const struct cells *c)
{
	const struct revision *r = obj;

	(void)c;
	return r->status && *text(r->status->outcome) ? r->status->outcome : "Pending";
}

const char *
cell_revision_duration(const void *obj, const struct cells *c)
{
	const struct revision_status *s = ((const struct revision *)obj)->status;

	return s && s->endTime ? arena_printf(c->arena, "%.1fs", s->durationMs / 1e3) : "";
}

CELL(revision, r, cell_revision_number, cell_number(r->spec ? r->spec->number : 0, c))
CELL(revision, r, cell_revision_source, text(r->spec ? r->spec->source : NULL))
CELL(revision, r, cell_revision_commit, short_commit(r->spec ? r->spec->commit : NULL, c))
CELL(revision, r, cell_revision_message, first_line(r->spec ? r->spec->message : NULL, c))
CELL(revision, r, cell_revision_author, author_name(r->spec ? r->spec->author : NULL, c))
CELL(revision, r, cell_revision_created, cell_number(r->status ? r->status->created : 0, c))
CELL(revision, r, cell_revision_changed, cell_number(r->status ? r->status->changed : 0, c))
CELL(revision, r, cell_revision_pruned, cell_number(r->status ? r->status->pruned : 0, c))
CELL(revision, r, cell_revision_waiting, text(r->status ? r->status->waitingFor : NULL))

const char *
cell_policy_selector(const void *obj, const struct cells *c)
{
	const struct network_policy *np = obj;

	return or_none(selector_print(np->spec ? np->spec->podSelector : NULL, c->arena));
}
