/* cli_describe_pod.c -- what kedge describe says about pods: containers, their states, volumes.
 */
#include "../reconcile/base/text.h"
#include "cli_describe.h"
#include <string.h>

static void
put_env(struct sheet *s, json_t *container)
{
	json_t *list = json_object_get(container, "env"), *v;
	size_t i;

	fprintf(s->c->out, "    Environment:%s\n", json_array_size(list) ? "" : "    <none>");
	json_array_foreach(list, i, v) {
		const char *from = "";
		json_t *ref = cli_path(v, "valueFrom.configMapKeyRef");

		if (ref)
			from = "config map";
		else if ((ref = cli_path(v, "valueFrom.secretKeyRef")))
			from = "secret";
		if (ref)
			fprintf(s->c->out, "      %s:  <set to the key '%s' of %s '%s'>\n",
				cli_at(s->c, v, "name"), cli_at(s->c, ref, "key"), from,
				cli_at(s->c, ref, "name"));
		else
			fprintf(s->c->out, "      %s:  %s%s\n", cli_at(s->c, v, "name"),
				cli_at(s->c, v, "value"),
				cli_at(s->c, v, "valueFrom.fieldRef.fieldPath"));
	}
}

static void
put_mounts(struct sheet *s, json_t *container)
{
	json_t *list = json_object_get(container, "volumeMounts"), *v;
	size_t i;

	fprintf(s->c->out, "    Mounts:%s\n", json_array_size(list) ? "" : "         <none>");
	json_array_foreach(list, i, v)
		fprintf(s->c->out, "      %s from %s (%s)\n", cli_at(s->c, v, "mountPath"),
			cli_at(s->c, v, "name"),
			json_is_true(json_object_get(v, "readOnly")) ? "ro" : "rw");
}

static const char *
probe_text(struct sheet *s, json_t *p)
{
	struct cli_call *c = s->c;
	const char *what = "exec";

	if (json_object_get(p, "httpGet"))
		what = arena_printf(c->arena, "http-get http://%s:%s%s",
				    cli_at(c, p, "httpGet.host"), cli_at(c, p, "httpGet.port"),
				    cli_at(c, p, "httpGet.path"));
	else if (json_object_get(p, "tcpSocket"))
		what = arena_printf(c->arena, "tcp-socket :%s", cli_at(c, p, "tcpSocket.port"));
	else
		what = arena_printf(c->arena, "exec [%s]",
				    sheet_words(s, cli_path(p, "exec.command"), " "));
	return arena_printf(
	    c->arena, "%s delay=%ss timeout=%ss period=%ss #success=%s #failure=%s", what,
	    *cli_at(c, p, "initialDelaySeconds") ? cli_at(c, p, "initialDelaySeconds") : "0",
	    cli_at(c, p, "timeoutSeconds"), cli_at(c, p, "periodSeconds"),
	    cli_at(c, p, "successThreshold"), cli_at(c, p, "failureThreshold"));
}

static void
put_state(struct sheet *s, const char *label, json_t *state)
{
	struct cli_call *c = s->c;
	const char *kind;
	json_t *v;

	json_object_foreach(state, kind, v) {
		sheet_put(s, label,
			  str_is(kind, "running")   ? "Running"
			  : str_is(kind, "waiting") ? "Waiting"
						    : "Terminated");
		s->indent += 2;
		s->width -= 2;
		if (*cli_at(c, v, "reason"))
			sheet_put(s, "Reason", cli_at(c, v, "reason"));
		if (*cli_at(c, v, "message"))
			sheet_put(s, "Message", cli_at(c, v, "message"));
		if (str_is(kind, "terminated"))
			sheet_put(s, "Exit Code", cli_at(c, v, "exitCode"));
		if (*cli_at(c, v, "startedAt"))
			sheet_put(s, "Started", sheet_when(c, cli_at(c, v, "startedAt")));
		if (*cli_at(c, v, "finishedAt"))
			sheet_put(s, "Finished", sheet_when(c, cli_at(c, v, "finishedAt")));
		s->indent -= 2;
		s->width += 2;
	}
}

static json_t *
status_of(struct sheet *s, const char *container)
{
	json_t *st;
	size_t i;

	static const char *const lists[] = { "status.containerStatuses",
					     "status.initContainerStatuses",
					     "status.ephemeralContainerStatuses" };

	for (size_t j = 0; j < sizeof lists / sizeof *lists; j++)
		json_array_foreach(cli_path(s->obj, lists[j]), i, st)
			if (str_is(cli_at(s->c, st, "name"), container))
				return st;
	return NULL;
}

static void
put_resources(struct sheet *s, const char *label, json_t *map)
{
	const char *key;
	json_t *v;

	if (!json_object_size(map))
		return;
	sheet_title(s, label);
	json_object_foreach(map, key, v)
		fprintf(s->c->out, "%*s%s:  %s\n", s->indent + 2, "", key,
			json_string_value(v));
}

static const char *
ports_text(struct sheet *s, json_t *ports)
{
	cleanup_buf struct buf text = { 0 };
	json_t *p;
	size_t i;

	json_array_foreach(ports, i, p)
		buf_addf(&text, "%s%s/%s%s%s%s", i ? ", " : "",
			 cli_at(s->c, p, "containerPort"),
			 *cli_at(s->c, p, "protocol") ? cli_at(s->c, p, "protocol") : "TCP",
			 *cli_at(s->c, p, "name") ? " (" : "", cli_at(s->c, p, "name"),
			 *cli_at(s->c, p, "name") ? ")" : "");
	return arena_strdup(s->c->arena, text.len ? text.at : "<none>");
}

static void
put_container(struct sheet *s, json_t *k)
{
	static const char *const probes[][2] = { { "Liveness", "livenessProbe" },
						 { "Readiness", "readinessProbe" },
						 { "Startup", "startupProbe" } };
	struct cli_call *c = s->c;
	json_t *st = status_of(s, cli_at(c, k, "name"));

	fprintf(c->out, "  %s:\n", cli_at(c, k, "name"));
	s->indent = 4;
	s->width = 16;
	if (st) {
		sheet_put(s, "Container ID", cli_at(c, st, "containerID"));
		sheet_put(s, "Image", cli_at(c, k, "image"));
		sheet_put(s, "Image ID", cli_at(c, st, "imageID"));
	} else {
		sheet_put(s, "Image", cli_at(c, k, "image"));
	}
	sheet_put(s, "Port", ports_text(s, json_object_get(k, "ports")));
	if (json_object_get(k, "command"))
		sheet_put(s, "Command", sheet_words(s, json_object_get(k, "command"), " "));
	if (json_object_get(k, "args"))
		sheet_put(s, "Args", sheet_words(s, json_object_get(k, "args"), " "));
	if (st) {
		put_state(s, "State", json_object_get(st, "state"));
		put_state(s, "Last State", json_object_get(st, "lastState"));
		sheet_put(s, "Ready",
			  json_is_true(json_object_get(st, "ready")) ? "True" : "False");
		sheet_put(s, "Restart Count", cli_at(c, st, "restartCount"));
	}
	put_resources(s, "Limits", cli_path(k, "resources.limits"));
	put_resources(s, "Requests", cli_path(k, "resources.requests"));
	for (size_t i = 0; i < 3; i++)
		if (json_object_get(k, probes[i][1]))
			sheet_put(s, probes[i][0],
				  probe_text(s, json_object_get(k, probes[i][1])));
	put_env(s, k);
	put_mounts(s, k);
	s->indent = 0;
}

static void
put_containers(struct sheet *s, const char *label, const char *field)
{
	const char *deep = arena_printf(s->c->arena, "spec.template.spec.%s", field);
	json_t *k, *list = cli_path(s->obj, arena_printf(s->c->arena, "spec.%s", field));
	size_t i;

	if (!list)
		list = cli_path(s->obj, deep);
	if (!list)
		return;
	sheet_title(s, label);
	json_array_foreach(list, i, k)
		put_container(s, k);
}

void
sheet_containers(struct sheet *s, const char *label)
{
	put_containers(s, "Init Containers", "initContainers");
	put_containers(s, label, "containers");
	put_containers(s, "Ephemeral Containers", "ephemeralContainers");
}

void
sheet_volumes(struct sheet *s, const char *label)
{
	/* what says which object or place a volume is of, and how kubectl calls it */
	static const char *const of[][2] = {
		{ "name", "Name" },           { "secretName", "SecretName" },
		{ "claimName", "ClaimName" }, { "path", "Path" },
		{ "reference", "Reference" }, { "medium", "Medium" },
		{ "sizeLimit", "SizeLimit" },
	};
	json_t *list = cli_path(s->obj, "spec.volumes"), *v, *source;
	const char *key;
	size_t i;

	fprintf(s->c->out, "%s:%s\n", label, json_array_size(list) ? "" : "  <none>");
	json_array_foreach(list, i, v) {
		fprintf(s->c->out, "  %s:\n", cli_at(s->c, v, "name"));
		json_object_foreach(v, key, source) {
			if (!json_is_object(source))
				continue;
			fprintf(s->c->out, "    Type:  %s\n", key);
			for (size_t k = 0; k < sizeof of / sizeof *of; k++)
				if (*cli_at(s->c, source, of[k][0]))
					fprintf(s->c->out, "    %s:  %s\n", of[k][1],
						cli_at(s->c, source, of[k][0]));
		}
	}
}

void
sheet_pod_node(struct sheet *s, const char *label)
{
	sheet_put(s, label,
		  *sheet_at(s, "spec.nodeName")
		      ? arena_printf(s->c->arena, "%s/%s", sheet_at(s, "spec.nodeName"),
				     sheet_at(s, "status.hostIP"))
		      : "<none>");
}

void
sheet_pod_phase(struct sheet *s, const char *label)
{
	const char *end = sheet_at(s, "metadata.deletionTimestamp");
	int64_t late = s->c->now - cli_ms(end);

	if (*end && late < 0) /* where kubectl says <invalid>: its grace is not over yet */
		sheet_put(
		    s, label,
		    arena_printf(s->c->arena, "Terminating (within %s)", cli_age(s->c, -late)));
	else if (*end)
		sheet_put(
		    s, label,
		    arena_printf(s->c->arena, "Terminating (lasts %s)", cli_age(s->c, late)));
	else
		sheet_put(s, label, sheet_at(s, "status.phase"));
	if (*sheet_at(s, "status.reason"))
		sheet_put(s, "Reason", sheet_at(s, "status.reason"));
	if (*sheet_at(s, "status.message"))
		sheet_put(s, "Message", sheet_at(s, "status.message"));
}
