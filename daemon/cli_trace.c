/* cli_trace.c -- `kedge trace`: which rules, endpoint, pod and line of which commit a new
 * connection would meet.  None is made.
 */
#include "../reconcile/base/addr.h"
#include "../reconcile/base/arena.h"
#include "../reconcile/base/error.h"
#include "../reconcile/base/text.h"
#include "../reconcile/object.h"
#include "cli_source.h"
#include <arpa/inet.h>
#include <inttypes.h>
#include <string.h>

static bool
is_address(const char *text)
{
	addr ip;

	return addr_read(text, &ip);
}

static json_t *
object_get(struct cli_call *c, const char *path, struct error **e)
{
	return cli_json(c, "GET", path, NULL, NULL, e);
}

/* Where an object was written: "web/service.yaml:12 of 1b2c3d4"; "" when it is not from Git. */
static const char *
place_of(struct cli_call *c, json_t *obj)
{
	const char *place = json_string_value(json_object_get(
		       cli_path(obj, "metadata.annotations"), "kedge.dev/place")),
		   *source = json_string_value(
		       json_object_get(cli_path(obj, "metadata.labels"), "kedge.dev/source")),
		   *commit = "";
	struct error *ignored = NULL;
	json_t *list, *r;
	int64_t newest = 0;
	size_t i;

	if (!place || !source)
		return "";
	list = object_get(c, "/apis/kedge.dev/v1/revisions", &ignored);
	json_array_foreach(json_object_get(list, "items"), i, r) {
		const char *outcome = cli_at(c, r, "status.outcome");
		int64_t number = strtoll(cli_at(c, r, "spec.number"), NULL, 10);

		if (str_is(cli_at(c, r, "spec.source"), source) && number > newest &&
		    (str_is(outcome, "Healthy") || str_is(outcome, "Applying"))) {
			newest = number;
			commit = cli_at(c, r, "spec.commit");
		}
	}
	json_decref(list);
	error_free(&ignored);
	return arena_printf(c->arena, "%s of %s%s%.7s", place, source, *commit ? " " : "",
			    commit);
}

/* Of a pod, where its workload was written. */
static const char *
pod_place(struct cli_call *c, json_t *pod)
{
	static const enum resource_id owners[] = { RES_replica_set, RES_deployment };
	const char *ns = cli_at(c, pod, "metadata.namespace"), *place = place_of(c, pod);
	json_t *at = json_incref(pod);

	for (size_t i = 0; i < sizeof owners / sizeof *owners && at && !*place; i++) {
		json_t *ref = json_array_get(cli_path(at, "metadata.ownerReferences"), 0);
		const struct resource *owner = &resources[owners[i]];
		struct error *ignored = NULL;
		json_t *up = NULL;

		if (!str_is(cli_at(c, ref, "kind"), owner->kind))
			break;
		up = object_get(c, cli_url_in(c, owner, ns, cli_at(c, ref, "name")), &ignored);
		error_free(&ignored);
		json_decref(at);
		at = up;
		place = at ? place_of(c, at) : "";
	}
	json_decref(at);
	return place;
}

/* ---- who asks whom ---- */

struct question {
	const char *from;             /* "": the host */
	const char *from6, *from_pod; /* of a pod: its other address, "" for none; its path */
	const char *from_text;
	const char *to, *to_text, *place;
	const char *protocol;
	unsigned port;
};

/* The pod's address of this family. */
static const char *
pod_ip(struct cli_call *c, json_t *pod, bool v6)
{
	json_t *row;
	size_t i;

	json_array_foreach(cli_path(pod, "status.podIPs"), i, row) {
		if (addr_text_is_v6(cli_at(c, row, "ip")) == v6)
			return cli_at(c, row, "ip");
	}
	return v6 ? "" : cli_at(c, pod, "status.podIP");
}

static int
client_read(struct cli_call *c, struct question *q, struct error **e)
{
	const char *word = c->args[0];
	json_t *pod;

	q->from = is_address(word) ? word : "";
	q->from_text = word;
	if (*q->from || str_is(word, "host"))
		return 0;
	word = cli_pod(c, word, e);
	if (!word)
		return -1;
	pod = object_get(c, cli_url(c, &resources[RES_pod], word), e);
	if (!pod)
		return -1;
	q->from = pod_ip(c, pod, false);
	q->from6 = pod_ip(c, pod, true);
	q->from_pod =
	    arena_printf(c->arena, "%s/%s", cli_at(c, pod, "metadata.namespace"), word);
	q->from_text = arena_printf(c->arena, "%s (pod %s)", q->from, q->from_pod);
	json_decref(pod);
	return *q->from ? 0 : fail(e, WHY_CONFLICT, "pod %s has no address yet", word);
}

static int
service_read(struct cli_call *c, const char *name, const char *port, struct question *q,
	     struct error **e)
{
	char *copy = arena_strdup(c->arena, name), *dot = strchr(copy, '.');
	json_t *svc, *row, *found = NULL;
	size_t i;

	if (dot)
		*dot++ = 0;
	svc = object_get(
	    c, cli_url_in(c, &resources[RES_service], dot ? dot : cli_namespace(c), copy), e);
	if (!svc)
		return -1;
	json_array_foreach(cli_path(svc, "spec.ports"), i, row)
		if (!found && (str_is(cli_at(c, row, "port"), port) ||
			       str_is(cli_at(c, row, "name"), port)))
			found = row;
	q->to = cli_at(c, svc, "spec.clusterIP");
	q->port = found ? (unsigned)json_integer_value(json_object_get(found, "port")) : 0;
	q->protocol = found ? cli_at(c, found, "protocol") : "";
	q->to_text = arena_printf(c->arena, "%s:%u/%s (service %s/%s)",
				  addr_before_port(q->to, c->arena), q->port, q->protocol,
				  cli_at(c, svc, "metadata.namespace"), copy);
	q->place = place_of(c, svc);
	json_decref(svc);
	if (!found)
		return fail(e, WHY_NOT_FOUND, "service %s has no port %s", name, port);
	return is_address(q->to) ? 0
				 : fail(e, WHY_CONFLICT,
					"service %s has no address of its own: pods are met "
					"without rules",
					name);
}

/* SERVICE[.NAMESPACE]:PORT, or ADDRESS:PORT[/udp], [ADDRESS]:PORT of IPv6 */
static int
target_read(struct cli_call *c, struct question *q, struct error **e)
{
	char *name = arena_strdup(c->arena, c->args[1]), *port = strrchr(name, ':'), *slash,
	     *end;

	slash = port ? memchr(name, '/', (size_t)(port - name)) : NULL;
	if (!port || !port[1] || slash)
		return fail(e, WHY_BAD_REQUEST, "%s: SERVICE:PORT or ADDRESS:PORT is meant",
			    c->args[1]);
	*port++ = 0;
	q->place = "";
	if (*name == '[' && port[-2] == ']') {
		port[-2] = 0;
		name++;
	}
	if (!is_address(name))
		return service_read(c, name, port, q, e);
	slash = strchr(port, '/');
	q->protocol = !slash || !strcasecmp(slash, "/tcp") ? "TCP"
		      : !strcasecmp(slash, "/udp")         ? "UDP"
		      : !strcasecmp(slash, "/sctp")        ? "SCTP"
							   : NULL;
	if (!q->protocol)
		return fail(e, WHY_BAD_REQUEST, "%s: /tcp, /udp or /sctp is meant", c->args[1]);
	q->to = name;
	q->port = (unsigned)strtoul(port, &end, 10);
	if (*end && end != slash)
		return fail(e, WHY_BAD_REQUEST, "%s is no port", port);
	q->to_text = arena_printf(c->arena, "%s:%u/%s", addr_before_port(name, c->arena),
				  q->port, q->protocol);
	return q->port && q->port < 65536 ? 0 : fail(e, WHY_BAD_REQUEST, "%s is no port", port);
}

/* ---- the answer ---- */

static void
put_end(struct cli_call *c, json_t *end, json_t *pods)
{
	const char *ip = cli_at(c, end, "ip"), *verdict = cli_at(c, end, "verdict");
	int64_t share = json_integer_value(json_object_get(end, "share"));
	json_t *pod;
	size_t i;

	fprintf(c->out, "  %5.1f%%  %s:%s", (double)share / 1e4, addr_before_port(ip, c->arena),
		cli_at(c, end, "port"));
	json_array_foreach(json_object_get(pods, "items"), i, pod) {
		const char *place;

		if (!str_is(pod_ip(c, pod, addr_text_is_v6(ip)), ip) ||
		    str_is(cli_at(c, pod, "spec.hostNetwork"), "true"))
			continue;
		place = pod_place(c, pod);
		fprintf(c->out, "  pod %s/%s%s%s", cli_at(c, pod, "metadata.namespace"),
			cli_at(c, pod, "metadata.name"), *place ? "  " : "", place);
		break;
	}
	if (!str_is(verdict, "served"))
		fprintf(c->out, "  is %s", verdict);
	else if (str_is(cli_at(c, end, "nobody"), "true"))
		fputs("  nobody listens there", c->out);
	else if (str_is(cli_at(c, end, "local"), "true"))
		fputs("  who listens there does so at loopback alone, not for others", c->out);
	fputc('\n', c->out);
}

static void
put_answer(struct cli_call *c, const struct question *q, json_t *seen)
{
	struct error *ignored = NULL;
	json_t *row, *pods = object_get(c, "/api/v1/pods", &ignored);
	const char *why = cli_first_line(c, cli_at(c, seen, "why"), 400);
	bool masked = str_is(cli_at(c, seen, "masqueraded"), "true");
	size_t i;

	fprintf(c->out, "from   %s\nto     %s%s%s\nrules  generation %s\n", q->from_text,
		q->to_text, *q->place ? "  " : "", q->place, cli_at(c, seen, "generation"));
	json_array_foreach(json_object_get(seen, "steps"), i, row)
		fprintf(c->out, "  %-6s  %s\n", cli_at(c, row, "table"),
			cli_at(c, row, "rule"));
	fprintf(c->out, "it is %s%s\n", cli_at(c, seen, "verdict"),
		masked ? ", and may be answered through the host's address" : "");
	if (*why)
		fprintf(c->out, "  no endpoint: %s\n", why);
	json_array_foreach(json_object_get(seen, "ends"), i, row)
		put_end(c, row, pods);
	json_decref(pods);
	error_free(&ignored);
}

int
cli_trace(struct cli_call *c, struct error **e)
{
	struct question q = { 0 };
	cleanup_buf struct buf path = { 0 };
	json_t *seen;
	int rc;

	if (client_read(c, &q, e) < 0 || target_read(c, &q, e) < 0)
		return -1;
	if (q.from_pod && addr_text_is_v6(q.to)) {
		if (!*q.from6)
			return fail(e, WHY_CONFLICT, "pod %s has no IPv6 address", q.from_pod);
		q.from = q.from6;
		q.from_text = arena_printf(c->arena, "%s (pod %s)", q.from, q.from_pod);
	}
	buf_adds(&path, "/kedge/look");
	cli_query(&path, "from", q.from);
	cli_query(&path, "to", q.to);
	cli_query(&path, "protocol", q.protocol);
	cli_query(&path, "port", arena_printf(c->arena, "%u", q.port));
	seen = cli_json(c, "GET", path.at, NULL, NULL, e);
	if (!seen)
		return -1;
	cli_tame(seen);
	if (!cli_print_json(c, seen))
		put_answer(c, &q, seen);
	rc = str_is(cli_at(c, seen, "verdict"), "served") ? 0 : 1;
	json_decref(seen);
	return rc;
}
