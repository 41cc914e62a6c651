/* probe.c -- startup, readiness and liveness probes, one timer each.
 *
 * As the kubelet counts: successThreshold and failureThreshold in a row,
 * periods from the start of the container, liveness and readiness only after
 * the startup probe passed.  One thing is quicker: until a readiness or startup
 * probe passes for the first time it is tried again after 50 ms, doubling up
 * to its period; such extra tries count as successes but not as failures.
 */
#include "probe.h"
#include "../reconcile/base/buf.h"
#include "../reconcile/base/cleanup.h"
#include "../reconcile/base/log.h"
#include "../reconcile/pod_parts.h"
#include "brain_state.h"
#include "loop.h"
#include <arpa/inet.h>
#include <ctype.h>
#include <event2/bufferevent.h>
#include <event2/http.h>
#include <string.h>

enum probe_type { STARTUP, READINESS, LIVENESS, PROBE_TYPES };
static const char *const type_names[] = { "Startup", "Readiness", "Liveness" };
enum { FIRST_RETRY_MS = 50 };

struct probing {
	struct target *target;
	enum probe_type type;
	const struct probe *spec; /* in the target's arena; NULL: no such probe */
	struct event *timer;
	int64_t next_count; /* monotonic ms: when a failure counts again */
	int retry_ms;
	int good, bad; /* in a row */
	bool passed;   /* the verdict */
	/* one try at a time */
	struct evhttp_connection *http;
	struct bufferevent *tcp;
	int64_t exec_id;
	struct event *deadline;
};

/* One run of one container. */
struct target {
	struct prober *prober;
	struct arena arena;
	const char *uid, *container, *ns, *pod, *ip;
	int64_t started_at;
	struct probing at[PROBE_TYPES];
	struct container_port *ports;
	size_t nports;
	bool live_failed, seen; /* seen: by this sync */
	char *message;
};

struct prober {
	struct brain *brain;
	struct map targets; /* "uid container" -> struct target */
	struct probe_seen *rows;
	size_t nrows;
	bool changed;
};

static void probing_start(struct probing *);

static void
try_end(struct probing *p)
{
	if (p->http)
		evhttp_connection_free(p->http);
	if (p->tcp)
		bufferevent_free(p->tcp);
	if (p->deadline)
		event_free(p->deadline);
	p->http = NULL;
	p->tcp = NULL;
	p->deadline = NULL;
	p->exec_id = 0;
}

static bool
started(const struct target *t)
{
	return !t->at[STARTUP].spec || t->at[STARTUP].passed;
}

static void
verdict_changed(struct target *t)
{
	t->prober->changed = true;
	brain_poke(t->prober->brain);
}

static void
unhealthy_event(struct probing *p, const char *why)
{
	struct target *t = p->target;
	struct brain *b = t->prober->brain;
	const struct pod *pod = store_find(b->store, RES_pod, t->ns, t->pod);
	cleanup_free char *message = NULL, *field = NULL;
	struct event_note note = { "Warning", "Unhealthy", NULL, NULL };

	if (!pod || strcmp(object_uid(pod), t->uid))
		return;
	xasprintf(&message, "%s probe failed: %s", type_names[p->type], why);
	xasprintf(&field, "spec.%s{%s}", pod_part_list(pod->spec, t->container), t->container);
	note.message = message;
	note.field = field;
	event_about(b, pod, &note);
}

static void
probing_failed(struct probing *p, const char *why)
{
	struct target *t = p->target;

	p->good = 0;
	if (++p->bad < p->spec->failureThreshold && p->type != READINESS)
		return;
	if (p->type == READINESS) {
		if (p->bad == p->spec->failureThreshold && p->passed) {
			p->passed = false;
			verdict_changed(t);
		}
		return;
	}
	free(t->message);
	t->message = NULL;
	xasprintf(&t->message, "%s", why);
	t->live_failed = true;
	verdict_changed(t);
}

static void
probing_passed(struct probing *p)
{
	struct target *t = p->target;

	p->bad = 0;
	if (++p->good < p->spec->successThreshold || p->passed)
		return;
	p->passed = true;
	verdict_changed(t);
	if (p->type == STARTUP)
		for (int i = READINESS; i < PROBE_TYPES; i++)
			if (t->at[i].spec)
				timer_arm(t->at[i].timer, 0);
}

/* One try is over.  NULL: it went well. */
static void
probing_result(struct probing *p, const char *why)
{
	int64_t now = monotonic_ms(), period = p->spec->periodSeconds * 1000;
	bool counts = now >= p->next_count;
	bool eager = !p->passed && p->type != LIVENESS;

	try_end(p);
	if (why && counts)
		unhealthy_event(p, why);
	if (!why)
		probing_passed(p);
	else if (counts)
		probing_failed(p, why);
	if (p->target->live_failed || (p->type == STARTUP && p->passed))
		return; /* this run's story is told */
	while (p->next_count <= now)
		p->next_count += period;
	if (eager && why) {
		p->retry_ms = p->retry_ms * 2 < period ? p->retry_ms * 2 : period;
		timer_arm(p->timer, p->retry_ms < p->next_count - now ? p->retry_ms
								      : p->next_count - now);
		return;
	}
	timer_arm(p->timer, p->next_count - now);
}

static void
on_deadline(evutil_socket_t fd, short what, void *arg)
{
	struct probing *p = arg;
	cleanup_free char *why = NULL;

	(void)fd;
	(void)what;
	xasprintf(&why, "no answer within %d s", (int)p->spec->timeoutSeconds);
	probing_result(p, why);
}

static void
deadline_arm(struct probing *p)
{
	p->deadline = evtimer_new(p->target->prober->brain->base, on_deadline, p);
	timer_arm(p->deadline, p->spec->timeoutSeconds * 1000);
}

/* A number, or the name of one of the container's ports; 0: no such port. */
static uint16_t
port_of(const struct target *t, struct iors port)
{
	if (!port.s)
		return port.i > 0 && port.i < 65536 ? port.i : 0;
	for (size_t i = 0; i < t->nports; i++)
		if (t->ports[i].name && !strcmp(t->ports[i].name, port.s))
			return t->ports[i].containerPort;
	return 0;
}

static void
on_http(struct evhttp_request *req, void *arg)
{
	struct probing *p = arg;
	const struct http_get_action *get = p->spec->httpGet;
	cleanup_free char *why = NULL;
	int code = req ? evhttp_request_get_response_code(req) : 0;

	if (!code)
		xasprintf(&why, "Get \"http://%s:%u%s\": connection refused or broken",
			  get->host && *get->host ? get->host : p->target->ip,
			  port_of(p->target, get->port),
			  get->path && *get->path ? get->path : "/");
	else if (code < 200 || code >= 400)
		xasprintf(&why, "HTTP probe failed with statuscode: %d", code);
	/* We are inside the connection's own callback: it goes when that returns. */
	evhttp_connection_free_on_completion(p->http);
	p->http = NULL;
	probing_result(p, why);
}

static void
try_http(struct probing *p)
{
	const struct http_get_action *get = p->spec->httpGet;
	struct brain *b = p->target->prober->brain;
	const char *host = get->host && *get->host ? get->host : p->target->ip;
	uint16_t port = port_of(p->target, get->port);
	struct evhttp_request *req;
	cleanup_free char *where = NULL;

	if (!port) {
		probing_result(
		    p, "its port has no number and no port of the container has its name");
		return;
	}
	if (get->scheme && !strcmp(get->scheme, "HTTPS")) {
		probing_result(
		    p, "HTTPS probes are not done by this release; use HTTP or tcpSocket");
		return;
	}
	xasprintf(&where, "%s:%u", host, port);
	p->http = evhttp_connection_base_new(b->base, NULL, host, port);
	req = evhttp_request_new(on_http, p);
	evhttp_connection_set_timeout(p->http, p->spec->timeoutSeconds);
	evhttp_connection_set_max_headers_size(p->http, 64 * 1024);
	evhttp_connection_set_max_body_size(p->http, 1 << 20);
	for (size_t i = 0; i < get->httpHeaders.n; i++)
		evhttp_add_header(evhttp_request_get_output_headers(req),
				  get->httpHeaders.at[i].name, get->httpHeaders.at[i].value);
	if (!evhttp_find_header(evhttp_request_get_output_headers(req), "Host"))
		evhttp_add_header(evhttp_request_get_output_headers(req), "Host", where);
	if (!evhttp_find_header(evhttp_request_get_output_headers(req), "User-Agent"))
		evhttp_add_header(evhttp_request_get_output_headers(req), "User-Agent",
				  "kube-probe/1.33");
	evhttp_add_header(evhttp_request_get_output_headers(req), "Connection", "close");
	if (evhttp_make_request(p->http, req, EVHTTP_REQ_GET,
				get->path && *get->path ? get->path : "/") < 0)
		probing_result(p, "the connection could not be started");
}

/* As Go writes it, whose words people search for. */
static const char *
go_error(int err, char *room, size_t n)
{
	snprintf(room, n, "%s", strerror(err));
	*room = tolower(*room);
	return room;
}

static void
on_tcp(struct bufferevent *bev, short what, void *arg)
{
	struct probing *p = arg;
	const struct tcp_socket_action *tcp = p->spec->tcpSocket;
	const char *host = tcp->host && *tcp->host ? tcp->host : p->target->ip;
	cleanup_free char *why = NULL;
	char words[128];

	(void)bev;
	if (!(what & BEV_EVENT_CONNECTED))
		xasprintf(&why, "dial tcp %s:%u: connect: %s", host,
			  port_of(p->target, tcp->port),
			  go_error(EVUTIL_SOCKET_ERROR(), words, sizeof words));
	probing_result(p, why);
}

static void
try_tcp(struct probing *p)
{
	const struct tcp_socket_action *tcp = p->spec->tcpSocket;
	uint16_t port = port_of(p->target, tcp->port);
	struct sockaddr_in sa = { .sin_family = AF_INET, .sin_port = htons(port) };
	const char *host = tcp->host && *tcp->host ? tcp->host : p->target->ip;

	if (!port || inet_pton(AF_INET, host, &sa.sin_addr) != 1) {
		probing_result(p, "no such port or address");
		return;
	}
	p->tcp =
	    bufferevent_socket_new(p->target->prober->brain->base, -1, BEV_OPT_CLOSE_ON_FREE);
	bufferevent_setcb(p->tcp, NULL, NULL, on_tcp, p);
	deadline_arm(p);
	if (bufferevent_socket_connect(p->tcp, (struct sockaddr *)&sa, sizeof sa) < 0)
		probing_result(p, "the connection could not be started");
}

static void
try_exec(struct probing *p)
{
	struct target *t = p->target;
	struct brain *b = t->prober->brain;
	struct exec_args args = { .uid = t->uid,
				  .container = t->container,
				  .command = p->spec->exec->command,
				  .timeout = p->spec->timeoutSeconds };
	struct action a = { .verb = ACT_EXEC,
			    .kind = "pod",
			    .ns = t->ns,
			    .name = t->pod,
			    .why = "probe",
			    .body = &args };

	args.id = p->exec_id = ++b->next_id;
	deadline_arm(p);
	brain_tell(b, &a, NULL, 0);
}

bool
prober_exec_done(struct prober *pr, int64_t id, int exit_code, const char *error)
{
	for (struct map_slot *s = map_first(&pr->targets); s; s = map_next(&pr->targets, s)) {
		struct target *t = s->value;

		for (int i = 0; i < PROBE_TYPES; i++) {
			cleanup_free char *why = NULL;

			if (!t->at[i].spec || t->at[i].exec_id != id)
				continue;
			if (error && *error)
				why = xstrdup(error);
			else if (exit_code)
				xasprintf(&why, "command exited with %d", exit_code);
			probing_result(&t->at[i], why);
			return true;
		}
	}
	return false;
}

static void
probing_start(struct probing *p)
{
	if (p->http || p->tcp || p->exec_id || p->target->live_failed)
		return;
	if (p->type != STARTUP && !started(p->target))
		return; /* the startup probe's success wakes it */
	if (p->spec->httpGet)
		try_http(p);
	else if (p->spec->tcpSocket)
		try_tcp(p);
	else if (p->spec->exec)
		try_exec(p);
}

static void
on_timer(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	probing_start(arg);
}

static void
target_free(struct target *t)
{
	for (int i = 0; i < PROBE_TYPES; i++) {
		if (!t->at[i].spec)
			continue;
		try_end(&t->at[i]);
		event_free(t->at[i].timer);
	}
	free(t->message);
	arena_free(&t->arena);
	free(t);
}

/* What the store says of this very run: a brain that was away goes on from there,
 * so that its restart takes no pod out of service. */
static const struct container_status *
status_of_run(const struct pod *pod, const char *name, int64_t started_at)
{
	const struct container_status *cs = pod_part_status(pod->status, name);

	/* The API's times have whole seconds. */
	return cs && cs->state && cs->state->running &&
		       cs->state->running->startedAt / 1000 == started_at / 1000
		   ? cs
		   : NULL;
}

static struct target *
target_new(struct prober *pr, const struct pod *pod, const struct container *c, const char *ip,
	   int64_t started_at)
{
	struct target *t = xcalloc(1, sizeof *t);
	struct container *copy = schema_clone(container_kind(), c, &t->arena);
	const struct probe *specs[] = { copy->startupProbe, copy->readinessProbe,
					copy->livenessProbe };
	const struct container_status *known = status_of_run(pod, c->name, started_at);
	bool passed[] = { known && known->started, known && known->ready, true };

	t->prober = pr;
	t->uid = arena_strdup(&t->arena, object_uid(pod));
	t->ns = arena_strdup(&t->arena, object_namespace(pod));
	t->pod = arena_strdup(&t->arena, object_name(pod));
	t->container = copy->name;
	t->ip = arena_strdup(&t->arena, ip);
	t->started_at = started_at;
	t->ports = copy->ports.at;
	t->nports = copy->ports.n;
	for (int i = 0; i < PROBE_TYPES; i++) {
		struct probing *p = &t->at[i];

		*p = (struct probing){
			.target = t, .type = i, .spec = specs[i], .retry_ms = FIRST_RETRY_MS / 2
		};
		if (!specs[i])
			continue;
		p->passed = passed[i];
		p->next_count = monotonic_ms() + specs[i]->initialDelaySeconds * 1000;
		p->timer = evtimer_new(pr->brain->base, on_timer, p);
		timer_arm(p->timer, specs[i]->initialDelaySeconds * 1000);
	}
	pr->changed = true;
	return t;
}

static const struct container_seen *
running(const struct pod_seen *seen, const char *name)
{
	for (size_t i = 0; seen && i < seen->containers.n; i++)
		if (!strcmp(seen->containers.at[i].name, name))
			return strcmp(seen->containers.at[i].state, "running") ||
				       str_is(seen->containers.at[i].hook, "postStart")
				   ? NULL
				   : &seen->containers.at[i];
	return NULL;
}

static void
pod_sync(struct prober *pr, const struct pod *pod)
{
	struct pod_row *row = seen_row(pr->brain, object_uid(pod));

	if (!row || !row->seen->ip || strcmp(row->seen->state, "up"))
		return;
	for (size_t i = 0; i < pod_parts(pod->spec); i++) {
		const struct container *c = pod_part(pod->spec, i);
		const struct container_seen *run;
		cleanup_free char *key = NULL;
		struct target *t;

		if (!c->startupProbe && !c->readinessProbe && !c->livenessProbe)
			continue;
		run = running(row->seen, c->name);
		if (!run)
			continue;
		xasprintf(&key, "%s %s", object_uid(pod), c->name);
		t = map_get(&pr->targets, key);
		if (t && t->started_at != run->startedAt) {
			target_free(t);
			t = NULL;
		}
		if (!t) {
			t = target_new(pr, pod, c, row->seen->ip, run->startedAt);
			map_put(&pr->targets, key, t);
		}
		t->seen = true;
	}
}

void
prober_sync(struct prober *pr)
{
	struct objects pods = store_all(pr->brain->store, RES_pod);
	bool again;

	for (struct map_slot *s = map_first(&pr->targets); s; s = map_next(&pr->targets, s))
		((struct target *)s->value)->seen = false;
	for (size_t i = 0; i < pods.n; i++)
		pod_sync(pr, (const struct pod *)pods.at[i]);
	do {
		again = false;
		for (struct map_slot *s = map_first(&pr->targets); s && !again;
		     s = map_next(&pr->targets, s)) {
			struct target *t = s->value;

			if (t->seen)
				continue;
			map_del(&pr->targets, s->key);
			target_free(t);
			pr->changed = again = true;
		}
	} while (again);
}

static int
row_compare(const void *a, const void *b)
{
	const struct probe_seen *x = a, *y = b;
	int c = strcmp(x->uid, y->uid);

	return c ? c : strcmp(x->container, y->container);
}

const struct probe_seen *
prober_rows(struct prober *pr, size_t *ret_n)
{
	if (pr->changed || !pr->rows) {
		free(pr->rows);
		pr->rows = xcalloc(pr->targets.n + 1, sizeof *pr->rows);
		pr->nrows = 0;
		for (struct map_slot *s = map_first(&pr->targets); s;
		     s = map_next(&pr->targets, s)) {
			const struct target *t = s->value;

			pr->rows[pr->nrows++] = (struct probe_seen){
				.uid = t->uid,
				.container = t->container,
				.startedAt = t->started_at,
				.started = started(t),
				.ready = started(t) &&
					 (!t->at[READINESS].spec || t->at[READINESS].passed),
				.live_failed = t->live_failed,
				.message = t->message,
			};
		}
		qsort(pr->rows, pr->nrows, sizeof *pr->rows, row_compare);
		pr->changed = false;
	}
	*ret_n = pr->nrows;
	return pr->rows;
}

void
prober_forget(struct prober *pr, const char *uid, const char *container)
{
	cleanup_free char *key = NULL;
	struct target *t;

	xasprintf(&key, "%s %s", uid, container);
	t = map_get(&pr->targets, key);
	if (!t)
		return;
	t->live_failed = false;
	pr->changed = true;
}

struct prober *
prober_new(struct brain *b)
{
	struct prober *pr = xcalloc(1, sizeof *pr);

	pr->brain = b;
	return pr;
}

void
prober_free(struct prober *pr)
{
	if (!pr)
		return;
	for (struct map_slot *s = map_first(&pr->targets); s; s = map_next(&pr->targets, s))
		target_free(s->value);
	map_done(&pr->targets);
	free(pr->rows);
	free(pr);
}
