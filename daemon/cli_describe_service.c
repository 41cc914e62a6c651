/* cli_describe_service.c -- a Service for people: kubectl's lines, then its endpoints one by
 * one, with their state and the connections that each has now.
 */
#include "../reconcile/base/addr.h"
#include "../reconcile/base/text.h"
#include "../reconcile/object.h"
#include "cli_describe.h"
#include <string.h>

/* Ready addresses of one of the service's ports, by its name. */
static const char *
endpoints_text(struct sheet *s, const char *port)
{
	struct error *ignored = NULL;
	json_t *ep = cli_json(
	    s->c, "GET", cli_url(s->c, &resources[RES_endpoints], sheet_at(s, "metadata.name")),
	    NULL, NULL, &ignored);
	cleanup_buf struct buf text = { 0 };
	json_t *subset, *p, *address;
	size_t i, k, j;

	json_array_foreach(json_object_get(ep, "subsets"), i, subset)
		json_array_foreach(json_object_get(subset, "ports"), k, p) {
			if (!str_is(cli_at(s->c, p, "name"), port))
				continue;
			json_array_foreach(json_object_get(subset, "addresses"), j, address)
				buf_addf(
				    &text, "%s%s:%s", text.len ? "," : "",
				    addr_before_port(cli_at(s->c, address, "ip"), s->c->arena),
				    cli_at(s->c, p, "port"));
		}
	json_decref(ep);
	error_free(&ignored);
	return arena_strdup(s->c->arena, text.len ? text.at : "<none>");
}

void
sheet_service_ports(struct sheet *s, const char *label)
{
	struct arena *a = s->c->arena;
	json_t *p;
	size_t i;

	json_array_foreach(cli_path(s->obj, "spec.ports"), i, p) {
		const char *name = cli_at(s->c, p, "name"),
			   *proto = cli_at(s->c, p, "protocol");

		sheet_put(s, label,
			  arena_printf(a, "%s  %s/%s", *name ? name : "<unset>",
				       cli_at(s->c, p, "port"), proto));
		sheet_put(s, "TargetPort",
			  arena_printf(a, "%s/%s", cli_at(s->c, p, "targetPort"), proto));
		if (*cli_at(s->c, p, "nodePort"))
			sheet_put(s, "NodePort",
				  arena_printf(a, "%s  %s/%s", *name ? name : "<unset>",
					       cli_at(s->c, p, "nodePort"), proto));
		sheet_put(s, "Endpoints", endpoints_text(s, name));
	}
}

/* Lines that are only there when there is something to say. */
static void
put_some(struct sheet *s, const char *label, const char *value)
{
	if (*value)
		sheet_put(s, label, value);
}

void
sheet_service_families(struct sheet *s, const char *label)
{
	(void)label;
	put_some(s, "IP Family Policy", sheet_at(s, "spec.ipFamilyPolicy"));
	put_some(s, "IP Families", sheet_words(s, cli_path(s->obj, "spec.ipFamilies"), ","));
}

/* "192.0.2.50 (VIP), 2001:db8::50 (VIP)" */
static const char *
ingress_text(struct sheet *s)
{
	json_t *all = cli_path(s->obj, "status.loadBalancer.ingress"), *one;
	const char *text = "";
	size_t i;

	json_array_foreach(all, i, one) {
		const char *ip = cli_at(s->c, one, "ip"), *mode = cli_at(s->c, one, "ipMode");

		text = arena_printf(s->c->arena, "%s%s%s", text, i ? ", " : "", ip);
		if (*ip && *mode)
			text = arena_printf(s->c->arena, "%s (%s)", text, mode);
	}
	return text;
}

void
sheet_service_outside(struct sheet *s, const char *label)
{
	(void)label;
	put_some(s, "IPs", sheet_words(s, cli_path(s->obj, "spec.clusterIPs"), ","));
	put_some(s, "External IPs", sheet_words(s, cli_path(s->obj, "spec.externalIPs"), ","));
	put_some(s, "Desired LoadBalancer IP", sheet_at(s, "spec.loadBalancerIP"));
	put_some(s, "LoadBalancer Ingress", ingress_text(s));
	put_some(s, "External Name", sheet_at(s, "spec.externalName"));
}

void
sheet_service_policies(struct sheet *s, const char *label)
{
	(void)label;
	put_some(s, "External Traffic Policy", sheet_at(s, "spec.externalTrafficPolicy"));
	put_some(s, "Internal Traffic Policy", sheet_at(s, "spec.internalTrafficPolicy"));
	put_some(s, "HealthCheck NodePort", sheet_at(s, "spec.healthCheckNodePort"));
	put_some(s, "LoadBalancer Source Ranges",
		 sheet_words(s, cli_path(s->obj, "spec.loadBalancerSourceRanges"), ","));
}

/* An absent condition means ready. */
static const char *
endpoint_state(struct sheet *s, json_t *e)
{
	bool ready = !str_is(cli_at(s->c, e, "conditions.ready"), "false"),
	     serving = str_is(cli_at(s->c, e, "conditions.serving"), "true"),
	     going = str_is(cli_at(s->c, e, "conditions.terminating"), "true");

	return ready              ? "ready"
	       : serving && going ? "serving, terminating"
	       : going            ? "terminating"
				  : "not ready";
}

/* What of others leads to one endpoint now, "flows" or "bytes"; "?" when nobody could say. */
static const char *
flows_of(struct sheet *s, json_t *seen, const char *ip, const char *port, const char *proto,
	 const char *what)
{
	json_t *row;
	size_t i;

	json_array_foreach(json_object_get(seen, "ends"), i, row)
		if (str_is(cli_at(s->c, row, "ip"), ip) &&
		    str_is(cli_at(s->c, row, "port"), port) &&
		    str_is(cli_at(s->c, row, "protocol"), proto))
			return cli_at(s->c, row, what);
	return seen ? "0" : "?";
}

static void
slice_rows(struct sheet *s, json_t *slice, json_t *seen, struct cli_table *t)
{
	bool counted = json_is_true(json_object_get(seen, "counted"));
	json_t *p, *e;
	size_t i, k;

	json_array_foreach(json_object_get(slice, "ports"), i, p)
		json_array_foreach(json_object_get(slice, "endpoints"), k, e) {
			json_t *first = json_array_get(json_object_get(e, "addresses"), 0);
			const char *ip = json_is_string(first) ? json_string_value(first) : "",
				   *port = cli_at(s->c, p, "port"),
				   *proto = cli_at(s->c, p, "protocol"),
				   *name = cli_at(s->c, p, "name"),
				   *target = cli_at(s->c, e, "targetRef.name");
			const char *cells[] = {
				arena_printf(s->c->arena, "%s:%s",
					     addr_before_port(ip, s->c->arena), port),
				*name ? name : "<unset>",
				endpoint_state(s, e),
				flows_of(s, seen, ip, port, proto, "flows"),
				counted ? flows_of(s, seen, ip, port, proto, "bytes") : "?",
				*target ? target : "<none>"
			};

			cli_table_row(t, cells);
		}
}

/* Without rules (ExternalName, headless) nobody's connections are counted. */
void
sheet_service_endpoints(struct sheet *s, const char *label)
{
	static const char *const header[] = { "Address",     "Port",  "State",
					      "Connections", "Bytes", "Pod" };
	struct cli_table t = { .arena = s->c->arena, .cols = 6 };
	struct error *ignored = NULL;
	cleanup_buf struct buf path = { 0 };
	json_t *seen, *list, *slice;
	size_t i;

	if (str_is(sheet_at(s, "spec.type"), "ExternalName"))
		return;
	seen = cli_json(s->c, "GET", "/kedge/look", NULL, NULL, &ignored);
	error_free(&ignored);
	buf_adds(&path, cli_url(s->c, &resources[RES_endpoint_slice], NULL));
	cli_query(&path, "labelSelector",
		  arena_printf(s->c->arena, "kubernetes.io/service-name=%s",
			       sheet_at(s, "metadata.name")));
	list = cli_json(s->c, "GET", path.at, NULL, NULL, &ignored);
	error_free(&ignored);
	cli_table_row(&t, header);
	json_array_foreach(json_object_get(list, "items"), i, slice)
		slice_rows(s, slice, seen, &t);
	sheet_put(s, "Rules Generation", seen ? cli_at(s->c, seen, "generation") : "<unknown>");
	if (t.rows > 1) {
		sheet_title(s, label);
		sheet_table(s, &t, 2);
	}
	if (t.rows > 1 && seen && !json_is_true(json_object_get(seen, "counted")))
		fputs("  Bytes are counted after sysctl net.netfilter.nf_conntrack_acct=1, of "
		      "connections that begin then.\n",
		      s->c->out);
	json_decref(list);
	json_decref(seen);
}
