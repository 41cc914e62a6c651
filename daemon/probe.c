/* probe.c -- startup, readiness and liveness probes, one timer each.
 *
 * As the kubelet counts: successThreshold and failureThreshold in a row,
 * delays from the start of the container, liveness and readiness only after
 * the startup probe passed, and not before their own delay is over.  One thing is
 * quicker: until a readiness or startup probe passes for the first time it is tried
 * again after 50 ms, doubling up to its period; such extra tries count as successes
 * but not as failures.  A command that cannot be started, or a port that no container has, says
 * nothing of the container: that is told and counts as neither.
 */
#include "probe.h"
#include "../reconcile/base/buf.h"
#include "../reconcile/base/cleanup.h"
#include "../reconcile/base/log.h"
#include "../reconcile/pod.h"
#include "../reconcile/pod_parts.h"
#include "brain_state.h"
#include "loop.h"
#include "reach.h"
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

enum probe_type { STARTUP, READINESS, LIVENESS, PROBE_TYPES };
static const char *const type_names[] = { "Startup", "Readiness", "Liveness" };
enum { FIRST_RETRY_MS = 50, OUTPUT_MAX = 10 << 10, EXEC_GRACE_MS = 5000 };

enum outcome { PASSED, FAILED, UNKNOWN };
static const char *const outcome_words[] = {
	[FAILED] = "failed", [UNKNOWN] = "errored and resulted in unknown state"
};

struct probing {
	struct target *target;
	enum probe_type type;
	const struct probe *spec; /* in the target's arena; NULL: no such probe */
	const char *refused;      /* its command is more than Linux takes; NULL: it is not */
	struct event *timer;
	int64_t next_count; /* monotonic ms: when a failure counts again */
	int retry_ms;
	int good, bad; /* in a row */
	bool passed;   /* the verdict */
	/* one try at a time */
	struct reach *reach;
	int64_t exec_id;
	struct event *deadline; /* of a command */
	struct event *readable; /* what it prints; NULL: nothing to read from */
	int output_fd;
	struct buf output;
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
	bool leaves;            /* its pod is to end */
	char *message;
};

struct prober {
	struct brain *brain;
	struct reach_pool *pool;
	struct map targets; /* "uid container" -> struct target */
	struct probe_seen *rows;
	size_t nrows;
	bool changed;
};

static void probing_start(struct probing *);

/* Nobody asks any more.  Of a pod that is to end only whether it is ready: so long it may
 * serve. */
static bool
is_over(const struct probing *p)
{
	const struct target *t = p->target;

	return t->live_failed || (t->leaves && p->type != READINESS) ||
	       (p->type == STARTUP && p->passed);
}

static void
output_end(struct probing *p)
{
	if (p->readable) {
		event_free(p->readable);
		close(p->output_fd);
	}
	p->readable = NULL;
	buf_done(&p->output);
}

static void
try_end(struct probing *p)
{
	reach_free(p->reach);
	if (p->deadline)
		event_free(p->deadline);
	output_end(p);
	p->reach = NULL;
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
probe_event(struct probing *p, const char *reason, const char *what, const char *why)
{
	struct target *t = p->target;
	struct brain *b = t->prober->brain;
	const struct pod *pod = store_find(b->store, RES_pod, t->ns, t->pod);
	cleanup_free char *message = NULL, *field = NULL;
	struct event_note note = { "Warning", reason, NULL, NULL };

	if (!pod || strcmp(object_uid(pod), t->uid))
		return;
	xasprintf(&message, "%s probe %s: %s", type_names[p->type], what, why);
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

static int64_t
ms_until(int64_t when)
{
	int64_t now = monotonic_ms();

	return when > now ? when - now : 0;
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
				timer_arm(t->at[i].timer, ms_until(t->at[i].next_count));
}

/* One try is over. */
static void
probing_result(struct probing *p, enum outcome how, const char *why)
{
	int64_t now = monotonic_ms(), period = p->spec->periodSeconds * 1000;
	bool counts = now >= p->next_count;
	bool eager = !p->passed && p->type != LIVENESS;

	try_end(p);
	if (is_over(p))
		return;
	if (how != PASSED && counts)
		probe_event(p, "Unhealthy", outcome_words[how], why);
	if (how == PASSED)
		probing_passed(p);
	else if (how == FAILED && counts)
		probing_failed(p, why);
	if (is_over(p))
		return; /* this run's story is told */
	while (p->next_count <= now)
		p->next_count += period;
	if (eager && how != PASSED) {
		p->retry_ms = p->retry_ms * 2 < period ? p->retry_ms * 2 : period;
		timer_arm(p->timer, p->retry_ms < p->next_count - now ? p->retry_ms
								      : p->next_count - now);
		return;
	}
	timer_arm(p->timer, p->next_count - now);
}

/* kedge-init ends a command that takes too long and says so; here nobody answered. */
static void
on_deadline(evutil_socket_t fd, short what, void *arg)
{
	struct probing *p = arg;
	cleanup_free char *why = NULL;

	(void)fd;
	(void)what;
	xasprintf(&why, "no answer within %d s", (int)p->spec->timeoutSeconds);
	probing_result(p, FAILED, why);
}

static void
deadline_arm(struct probing *p)
{
	p->deadline = evtimer_new(p->target->prober->brain->base, on_deadline, p);
	timer_arm(p->deadline, p->spec->timeoutSeconds * 1000 + EXEC_GRACE_MS);
}

/* ---- over the network ---- */

static void
on_answer(void *ctx, const char *why, const char *warning)
{
	struct probing *p = ctx;

	p->reach = NULL;
	if (warning)
		probe_event(p, "ProbeWarning", "warning", warning);
	probing_result(p, why ? FAILED : PASSED, why);
}

static void
try_reach(struct probing *p, struct reach_ask ask)
{
	if (!ask.port) {
		probing_result(p, UNKNOWN, REACH_NO_PORT);
		return;
	}
	ask.timeout_ms = p->spec->timeoutSeconds * 1000;
	ask.agent = "kube-probe";
	p->reach = reach_new(p->target->prober->pool, &ask, on_answer, p);
}

static void
try_http(struct probing *p)
{
	const struct target *t = p->target;
	const struct http_get_action *get = p->spec->httpGet;

	try_reach(p, reach_ask_http(get, t->ip, reach_port(get->port, t->ports, t->nports)));
}

static void
try_tcp(struct probing *p)
{
	const struct target *t = p->target;
	const struct tcp_socket_action *tcp = p->spec->tcpSocket;

	try_reach(p, reach_ask_tcp(tcp, t->ip, reach_port(tcp->port, t->ports, t->nports)));
}

static void
try_grpc(struct probing *p)
{
	const struct grpc_action *grpc = p->spec->grpc;

	try_reach(p, (struct reach_ask){ .type = REACH_GRPC,
					 .host = p->target->ip,
					 .port = (uint16_t)grpc->port,
					 .service = grpc->service });
}

/* ---- by a command ---- */

static void
try_exec(struct probing *p)
{
	struct target *t = p->target;
	struct brain *b = t->prober->brain;
	struct exec_args args = { .uid = t->uid,
				  .container = t->container,
				  .command = p->spec->exec->command,
				  .timeout = p->spec->timeoutSeconds,
				  .output = true };
	struct action a = { .verb = ACT_EXEC,
			    .kind = "pod",
			    .ns = t->ns,
			    .name = t->pod,
			    .why = "probe",
			    .body = &args };

	if (p->refused) {
		probing_result(p, UNKNOWN, p->refused);
		return;
	}
	args.id = p->exec_id = ++b->next_id;
	deadline_arm(p);
	brain_tell(b, &a, NULL, 0);
}

static struct probing *
probing_of_exec(struct prober *pr, int64_t id)
{
	for (struct map_slot *s = map_first(&pr->targets); s; s = map_next(&pr->targets, s)) {
		struct target *t = s->value;

		for (int i = 0; i < PROBE_TYPES; i++)
			if (t->at[i].spec && t->at[i].exec_id == id)
				return &t->at[i];
	}
	return NULL;
}

/* The first of what it prints is for the Event; the rest is read, lest it waits for us. */
static void
output_read(struct probing *p)
{
	char part[4096];
	ssize_t n;

	while ((n = read(p->output_fd, part, sizeof part)) > 0) {
		size_t room = OUTPUT_MAX - p->output.len;

		buf_add(&p->output, part, (size_t)n < room ? (size_t)n : room);
	}
	if (n == 0)
		event_del(p->readable);
}

static void
on_output(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	output_read(arg);
}

bool
prober_exec_output(struct prober *pr, int64_t id, int fd)
{
	struct probing *p = probing_of_exec(pr, id);

	if (!p)
		return false;
	output_end(p);
	p->output_fd = fd;
	fcntl(fd, F_SETFL, O_NONBLOCK);
	p->readable = event_new(pr->brain->base, fd, EV_READ | EV_PERSIST, on_output, p);
	event_add(p->readable, NULL);
	return true;
}

/* "cmd a b" as the kubelet's message has it. */
static char *
command_text(const struct strs *command)
{
	cleanup_buf struct buf text = { 0 };

	for (size_t i = 0; i < command->n; i++)
		buf_addf(&text, "%s%s", i ? " " : "", command->at[i]);
	return xstrdup(buf_text(&text));
}

bool
prober_exec_done(struct prober *pr, int64_t id, int exit_code, const char *error)
{
	struct probing *p = probing_of_exec(pr, id);
	cleanup_free char *why = NULL, *command = NULL;
	enum outcome how = FAILED;

	if (!p)
		return false;
	if (p->readable)
		output_read(p);
	command = command_text(&p->spec->exec->command);
	if (error && !strncmp(error, "command timed out", 17)) {
		xasprintf(&why, "command timed out: \"%s\" timed out after %ds", command,
			  (int)p->spec->timeoutSeconds);
	} else if (error && *error) {
		why = xstrdup(error);
		how = UNKNOWN;
	} else if (exit_code) {
		why = xstrdup(buf_text(&p->output));
	} else {
		how = PASSED;
	}
	probing_result(p, how, why);
	return true;
}

static void
probing_start(struct probing *p)
{
	if (p->reach || p->exec_id || is_over(p))
		return;
	if (p->type != STARTUP && !started(p->target))
		return; /* the startup probe's success wakes it */
	if (p->spec->httpGet)
		try_http(p);
	else if (p->spec->tcpSocket)
		try_tcp(p);
	else if (p->spec->grpc)
		try_grpc(p);
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

/* As it is run, and named when it fails; NULL, or why it cannot be. */
static const char *
expand_command(struct probe *p, const struct container *c, struct arena *a)
{
	const char *why = NULL;

	if (p && p->exec)
		p->exec->command = pod_words_probe(p->exec->command, c, a, &why);
	return why;
}

/* What is left of the delay, which begins with the container, whoever looked at it since. Where
 * somebody set the clock meanwhile it is not longer than it was. */
static int64_t
delay_left(const struct probe *p, int64_t started_at)
{
	int64_t delay = p->initialDelaySeconds * 1000, age = now_ms() - started_at;

	return age < 0 ? delay : age < delay ? delay - age : 0;
}

static struct target *
target_new(struct prober *pr, const struct pod *pod, const struct container *c, const char *ip,
	   int64_t started_at)
{
	struct target *t = xcalloc(1, sizeof *t);
	struct container *copy = schema_clone(container_kind(), c, &t->arena);
	struct probe *specs[] = { copy->startupProbe, copy->readinessProbe,
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
		p->refused = expand_command(specs[i], copy, &t->arena);
		p->passed = passed[i];
		p->next_count = monotonic_ms() + delay_left(specs[i], started_at);
		p->timer = evtimer_new(pr->brain->base, on_timer, p);
		timer_arm(p->timer, ms_until(p->next_count));
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
	bool stopping = row && !strcmp(row->seen->state, "stopping");

	if (!row || !row->seen->ip || (!stopping && strcmp(row->seen->state, "up")))
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
		t->leaves = stopping || pod->metadata->deletionTimestamp;
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
	pr->pool = reach_pool_new(b->base);
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
	reach_pool_free(pr->pool);
	free(pr->rows);
	free(pr);
}

struct reach_pool *
prober_pool(struct prober *pr)
{
	return pr->pool;
}
