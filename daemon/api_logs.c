/* api_logs.c -- GET pods/NAME/log: which run of which container, and for how long. */
#include "../reconcile/base/cleanup.h"
#include "../reconcile/base/error.h"
#include "../reconcile/pod_parts.h"
#include "api_call.h"
#include <inttypes.h>
#include <string.h>

static const char *
default_container(const struct pod *p)
{
	const char *asked = object_annotation(p, "kubectl.kubernetes.io/default-container");

	if (asked && pod_part_named(p->spec, asked))
		return asked;
	return p->spec->containers.n == 1 ? p->spec->containers.at[0].name : NULL;
}

static const char *
container_list(const struct pod *p, struct arena *a)
{
	const char *all = "";

	for (size_t i = 0; i < p->spec->containers.n; i++)
		all = arena_printf(a, "%s%s%s", all, i ? " " : "",
				   p->spec->containers.at[i].name);
	if (!p->spec->initContainers.n)
		return all;
	all = arena_printf(a, "%s] or one of the init containers: [", all);
	for (size_t i = 0; i < p->spec->initContainers.n; i++)
		all = arena_printf(a, "%s%s%s", all, i ? " " : "",
				   p->spec->initContainers.at[i].name);
	return all;
}

const struct pod *
call_pod(struct call *c, const char **ret_container)
{
	const struct pod *p = store_find(c->api->store, RES_pod, c->ns, c->name);
	const char *want = call_query(c, "container");

	if (!p) {
		call_refuse(c, WHY_NOT_FOUND, "pods \"%s\" not found", c->name);
		return NULL;
	}
	if (!*want) {
		want = default_container(p);
		if (!want)
			call_refuse(
			    c, WHY_BAD_REQUEST,
			    "a container name must be specified for pod %s, choose one of: "
			    "[%s]",
			    c->name, container_list(p, &c->arena));
		*ret_container = want;
		return want ? p : NULL;
	}
	if (pod_part_named(p->spec, want)) {
		*ret_container = pod_part_named(p->spec, want)->name;
		return p;
	}
	call_refuse(c, WHY_BAD_REQUEST, "container %s is not valid for pod %s", want, c->name);
	return NULL;
}

static const struct container_status *
status_of(const struct pod *p, const char *container)
{
	return pod_part_status(p->status, container);
}

/* Waiting for its next run after one that ended. */
static bool
between_runs(const struct container_status *s)
{
	return s && s->state && s->state->waiting && s->lastState && s->lastState->terminated;
}

bool
pod_run_ended(const struct pod *p, const char *container, int64_t run)
{
	const struct container_status *s = p ? status_of(p, container) : NULL;

	if (!p)
		return true;
	if (!s || !s->state)
		return p->status &&
		       (!strcmp(p->status->phase ? p->status->phase : "", "Failed") ||
			!strcmp(p->status->phase ? p->status->phase : "", "Succeeded"));
	return s->restartCount > run || s->state->terminated || between_runs(s);
}

static enum http_pull
pull(void *mine, struct buf *out)
{
	struct call *c = mine;

	return log_reader_pull(c->state, out);
}

static void
wake(void *ctx)
{
	struct call *c = ctx;

	http_wake(c->req);
}

static void
on_change(struct call *c)
{
	http_wake(c->req);
}

/* One that is given and is less than `least` is no such number. */
static int64_t
read_number(struct call *c, const char *name, int64_t least, struct complaints *cs)
{
	int64_t n = call_int(c, name, -1);

	if (http_query(c->req, name) && n < least)
		complain(cs, 0, 0, name, "Invalid value: %s: must be greater than %s0",
			 call_query(c, name), least ? "" : "or equal to ");
	return n;
}

/* As ValidatePodLogOptions; false: it was refused. */
static bool
read_options(struct call *c, struct log_options *o)
{
	struct complaints cs = { .arena = &c->arena };
	const char *time = call_query(c, "sinceTime");
	int64_t seconds;

	o->tail = read_number(c, "tailLines", 0, &cs);
	o->limit = read_number(c, "limitBytes", 1, &cs);
	o->timestamps = call_flag(c, "timestamps");
	o->follow = call_flag(c, "follow");
	seconds = read_number(c, "sinceSeconds", 1, &cs);
	if (seconds > 0)
		o->since_ms = call_now(c) - seconds * 1000;
	if (*time && http_query(c->req, "sinceSeconds"))
		complain(&cs, 0, 0, "",
			 "Forbidden: at most one of `sinceTime` or `sinceSeconds` may be "
			 "specified");
	if (cs.errors) {
		call_invalid(c, "", "PodLogOptions", c->name, &cs);
		return false;
	}
	if (*time && !time_parse(time, &o->since_ms)) {
		call_refuse(c, WHY_BAD_REQUEST, "sinceTime: \"%.50s\" is not a time", time);
		return false;
	}
	return true;
}

/* The run whose log is meant; the one before it where that has none yet. */
static struct log_reader *
open_run(struct call *c, struct log_options *o, const struct container_status *s, bool previous)
{
	struct log_reader *r;

	o->run = (s ? s->restartCount : 0) - (previous && !between_runs(s));
	if (o->run < 0)
		return NULL;
	r = log_reader_new(c->api, o);
	if (!r && !(previous && !between_runs(s)) && o->run > 0) {
		o->run--;
		r = log_reader_new(c->api, o);
	}
	return r;
}

static void
refuse_no_log(struct call *c, const char *container, const struct container_status *s,
	      bool previous)
{
	const char *reason = "ContainerCreating";

	if (previous) {
		call_refuse(c, WHY_BAD_REQUEST,
			    "previous terminated container \"%s\" in pod \"%s\" not found",
			    container, c->name);
		return;
	}
	if (s && s->state && s->state->waiting && s->state->waiting->reason)
		reason = s->state->waiting->reason;
	if (s && s->state && (s->state->running || s->state->terminated))
		call_refuse(c, WHY_NOT_FOUND, "container \"%s\" in pod \"%s\" has no log file",
			    container, c->name);
	else
		call_refuse(c, WHY_BAD_REQUEST,
			    "container \"%s\" in pod \"%s\" is waiting to start: %s", container,
			    c->name, reason);
}

void
logs_get(struct call *c)
{
	struct log_options o = { .wake = wake, .ctx = c };
	const struct container_status *s;
	bool previous = call_flag(c, "previous");

	o.pod = call_pod(c, &o.container);
	if (!o.pod)
		return;
	if (!read_options(c, &o))
		return;
	s = status_of(o.pod, o.container);
	c->state = open_run(c, &o, s, previous);
	c->state_free = log_reader_free;
	if (!c->state) {
		refuse_no_log(c, o.container, s, previous);
		return;
	}
	if (o.follow)
		c->on_change = on_change;
	c->answered = true;
	http_stream(c->req, 200, "text/plain", pull);
}
