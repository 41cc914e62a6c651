/* hooks.c -- see hooks.h.
 *
 * As the kubelet: whatever an HTTP server answers is an answer, also in clear to a question
 * over TLS.  There is no deadline but that of kedge-init, which does not wait longer than the
 * grace.
 */
#include "hooks.h"
#include "../reconcile/base/buf.h"
#include "../reconcile/base/cleanup.h"
#include "../reconcile/base/log.h"
#include "../reconcile/pod_parts.h"
#include "brain_state.h"
#include "probe.h"
#include "reach.h"
#include <string.h>

/* One hook of one run of one container. */
struct hook {
	struct hooks *hooks;
	struct arena arena;
	const char *ns, *pod, *uid, *container, *name; /* name: "postStart" or "preStop" */
	int64_t started_at;
	struct reach *reach; /* NULL: told; kept until it is not due any more */
	bool seen;
};

struct hooks {
	struct brain *brain;
	struct map at; /* "uid container" -> struct hook */
};

static void
hook_free(struct hook *h)
{
	if (!h)
		return;
	reach_free(h->reach);
	arena_free(&h->arena);
	free(h);
}

static void
warn(const struct hook *h, const char *message)
{
	struct brain *b = h->hooks->brain;
	const struct pod *pod = store_find(b->store, RES_pod, h->ns, h->pod);
	const struct event_note note = { "Warning", "LifecycleHTTPFallback", message, NULL };

	if (pod && str_is(object_uid(pod), h->uid))
		event_about(b, pod, &note);
}

static void
on_answer(void *ctx, const char *why, const char *warning)
{
	struct hook *h = ctx;
	struct hooked_args args = { .uid = h->uid,
				    .container = h->container,
				    .startedAt = h->started_at,
				    .hook = h->name,
				    .failed = why != NULL };
	struct action a = { .verb = ACT_HOOKED,
			    .kind = "pod",
			    .ns = h->ns,
			    .name = h->pod,
			    .why = h->name,
			    .body = &args };

	h->reach = NULL;
	if (warning)
		warn(h, warning);
	if (why)
		log_info(h->pod, "%s of %s: %s", h->name, h->container, why);
	brain_tell(h->hooks->brain, &a, NULL, 0);
}

static void
hook_begin(struct hooks *hs, const char *key, const struct pod *pod, const struct container *c,
	   const struct container_seen *seen, const char *ip)
{
	const struct lifecycle *l = c->lifecycle;
	const struct lifecycle_handler *do_ = !l                                ? NULL
					      : str_is(seen->hook, "postStart") ? l->postStart
										: l->preStop;
	struct hook *h;
	struct reach_ask ask;

	if (!do_ || (!do_->httpGet && !do_->tcpSocket))
		return; /* kedge-init's own */
	h = xcalloc(1, sizeof *h);
	h->hooks = hs;
	h->ns = arena_strdup(&h->arena, object_namespace(pod));
	h->pod = arena_strdup(&h->arena, object_name(pod));
	h->uid = arena_strdup(&h->arena, object_uid(pod));
	h->container = arena_strdup(&h->arena, c->name);
	h->name = str_is(seen->hook, "postStart") ? "postStart" : "preStop";
	h->started_at = seen->startedAt;
	h->seen = true;
	if (do_->httpGet)
		ask = reach_ask_http(do_->httpGet, ip,
				     reach_port(do_->httpGet->port, c->ports.at, c->ports.n));
	else
		ask = reach_ask_tcp(do_->tcpSocket, ip,
				    reach_port(do_->tcpSocket->port, c->ports.at, c->ports.n));
	ask.any_status = ask.or_http = true;
	ask.agent = "kube-lifecycle";
	h->reach = reach_new(prober_pool(hs->brain->prober), &ask, on_answer, h);
	hook_free(map_put(&hs->at, key, h));
}

static void
pod_sync(struct hooks *hs, const struct pod_seen *seen)
{
	const struct pod *pod = NULL;

	for (size_t i = 0; i < seen->containers.n; i++) {
		const struct container_seen *c = &seen->containers.at[i];
		const struct container *spec;
		cleanup_free char *key = NULL;
		struct hook *h;

		if (str_is(c->hook, ""))
			continue;
		if (!pod)
			pod = store_find(hs->brain->store, RES_pod, seen->ns, seen->name);
		if (!pod || !str_is(object_uid(pod), seen->uid))
			return;
		xasprintf(&key, "%s %s", seen->uid, c->name);
		h = map_get(&hs->at, key);
		if (h && h->started_at == c->startedAt && str_is(h->name, c->hook)) {
			h->seen = true;
			continue;
		}
		spec = pod_part_named(pod->spec, c->name);
		if (spec && !str_is(seen->ip, ""))
			hook_begin(hs, key, pod, spec, c, seen->ip);
	}
}

void
hooks_sync(struct hooks *hs)
{
	struct brain *b = hs->brain;
	bool again;

	for (struct map_slot *s = map_first(&hs->at); s; s = map_next(&hs->at, s))
		((struct hook *)s->value)->seen = false;
	for (struct map_slot *s = map_first(&b->pods); s; s = map_next(&b->pods, s))
		pod_sync(hs, ((struct pod_row *)s->value)->seen);
	do {
		again = false;
		for (struct map_slot *s = map_first(&hs->at); s && !again;
		     s = map_next(&hs->at, s)) {
			struct hook *h = s->value;

			if (h->seen)
				continue;
			map_del(&hs->at, s->key);
			hook_free(h);
			again = true;
		}
	} while (again);
}

struct hooks *
hooks_new(struct brain *b)
{
	struct hooks *hs = xcalloc(1, sizeof *hs);

	hs->brain = b;
	return hs;
}

void
hooks_free(struct hooks *hs)
{
	if (!hs)
		return;
	for (struct map_slot *s = map_first(&hs->at); s; s = map_next(&hs->at, s))
		hook_free(s->value);
	map_done(&hs->at);
	free(hs);
}
