/* health.c -- see health.h.
 *
 * One libmicrohttpd daemon a port and family within the brain's loop; as kube-proxy, which has
 * a proxy for each, who asks by IPv6 is told of endpoints of IPv6.  Whoever reaches the host
 * may ask, so a connection has seconds and there are few at a time; nothing of the question is
 * read.
 */
#include "health.h"
#include "../reconcile/base/buf.h"
#include "../reconcile/base/cleanup.h"
#include "../reconcile/base/error.h"
#include "../reconcile/base/log.h"
#include "../reconcile/base/text.h"
#include "../reconcile/service.h"
#include "brain_state.h"
#include <microhttpd.h>

enum { CONNECTIONS = 64, IDLE_SECONDS = 5 };

struct health {
	struct healths *of;
	uint16_t port;
	bool v6;
	char *ns, *name;
	size_t endpoints;
	struct MHD_Daemon *daemon; /* NULL: the port is somebody's; tried again each pass */
	struct event *ready, *timer;
	bool said, wanted;
	struct health *next;
};

struct healths {
	struct brain *brain;
	struct health *first;
};

/* ---- one question ---- */

static enum MHD_Result
on_access(void *cls, struct MHD_Connection *conn, const char *url, const char *method,
	  const char *version, const char *body, size_t *body_size, void **state)
{
	struct health *h = cls;
	bool healthy = !h->of->brain->rules_unknown;
	struct MHD_Response *r;
	cleanup_free char *text = NULL;
	char weight[24];
	enum MHD_Result rc;

	(void)url;
	(void)method;
	(void)version;
	(void)body;
	if (!*state) { /* its headers; the rest is thrown away */
		*state = h;
		return MHD_YES;
	}
	if (*body_size) {
		*body_size = 0;
		return MHD_YES;
	}
	xasprintf(
	    &text,
	    "{\n\t\"service\": {\n\t\t\"namespace\": \"%s\",\n\t\t\"name\": \"%s\"\n\t},\n"
	    "\t\"localEndpoints\": %zu,\n\t\"serviceProxyHealthy\": %s\n}",
	    h->ns, h->name, h->endpoints, healthy ? "true" : "false");
	snprintf(weight, sizeof weight, "%zu", h->endpoints);
	r = MHD_create_response_from_buffer(strlen(text), text, MHD_RESPMEM_MUST_COPY);
	MHD_add_response_header(r, "Content-Type", "application/json");
	MHD_add_response_header(r, "X-Content-Type-Options", "nosniff");
	MHD_add_response_header(r, "X-Load-Balancing-Endpoint-Weight", weight);
	rc = MHD_queue_response(conn, h->endpoints && healthy ? 200 : 503, r);
	MHD_destroy_response(r);
	return rc;
}

static void
on_loop(evutil_socket_t fd, short what, void *arg)
{
	struct health *h = arg;
	MHD_UNSIGNED_LONG_LONG ms;

	(void)fd;
	(void)what;
	MHD_run(h->daemon);
	if (MHD_get_timeout(h->daemon, &ms) == MHD_YES) {
		struct timeval tv = { (time_t)(ms / 1000), (suseconds_t)(ms % 1000 * 1000) };

		event_add(h->timer, &tv);
	}
}

/* ---- one port ---- */

static void
health_open(struct health *h)
{
	const union MHD_DaemonInfo *info;

	h->daemon =
	    MHD_start_daemon(MHD_USE_EPOLL | (h->v6 ? MHD_USE_IPv6 : MHD_NO_FLAG), h->port,
			     NULL, NULL, on_access, h, MHD_OPTION_CONNECTION_LIMIT, CONNECTIONS,
			     MHD_OPTION_CONNECTION_TIMEOUT, IDLE_SECONDS, MHD_OPTION_END);
	if (!h->daemon) {
		if (!h->said)
			log_warn("health",
				 "%s/%s: its health check node port %u cannot be listened at "
				 "by %s: is another program there? (ss -ltnp shows it)",
				 h->ns, h->name, h->port, family_name(h->v6));
		h->said = true;
		return;
	}
	info = MHD_get_daemon_info(h->daemon, MHD_DAEMON_INFO_EPOLL_FD);
	h->ready =
	    event_new(h->of->brain->base, info->epoll_fd, EV_READ | EV_PERSIST, on_loop, h);
	h->timer = event_new(h->of->brain->base, -1, 0, on_loop, h);
	event_add(h->ready, NULL);
}

static void
health_free(struct health *h)
{
	if (h->daemon) {
		event_free(h->ready);
		event_free(h->timer);
		MHD_stop_daemon(h->daemon);
	}
	free(h->ns);
	free(h->name);
	free(h);
}

static struct health *
health_of(struct healths *hs, const struct service *svc, bool v6)
{
	uint16_t port = (uint16_t)svc->spec->healthCheckNodePort;

	for (struct health *h = hs->first; h; h = h->next)
		if (h->port == port && h->v6 == v6 && str_is(h->ns, object_namespace(svc)) &&
		    str_is(h->name, object_name(svc)))
			return h;
	return NULL;
}

/* ---- all ---- */

struct healths *
healths_new(struct brain *b)
{
	struct healths *hs = xcalloc(1, sizeof *hs);

	hs->brain = b;
	return hs;
}

static void
drop_unwanted(struct healths *hs)
{
	for (struct health **at = &hs->first; *at;) {
		struct health *h = *at;

		if (h->wanted) {
			at = &h->next;
			continue;
		}
		*at = h->next;
		health_free(h);
	}
}

void
healths_free(struct healths *hs)
{
	if (!hs)
		return;
	for (struct health *h = hs->first; h; h = h->next)
		h->wanted = false;
	drop_unwanted(hs);
	free(hs);
}

static bool
any_asks(struct objects all)
{
	for (size_t i = 0; i < all.n; i++) {
		const struct service *svc = (const struct service *)all.at[i];

		if (svc->spec && svc->spec->healthCheckNodePort)
			return true;
	}
	return false;
}

static void
want(struct healths *hs, struct snapshot *s, const struct service *svc, bool v6)
{
	struct health *h;

	if (!svc->spec || !service_address(s, svc, v6) || !service_has_health_port(s, svc))
		return;
	h = health_of(hs, svc, v6);
	if (!h) {
		h = xcalloc(1, sizeof *h);
		h->of = hs;
		h->port = (uint16_t)svc->spec->healthCheckNodePort;
		h->v6 = v6;
		h->ns = xstrdup(object_namespace(svc));
		h->name = xstrdup(object_name(svc));
		h->next = hs->first;
		hs->first = h;
	}
	h->wanted = true;
	h->endpoints = service_local_ready(s, svc, v6);
}

void
healths_sync(struct healths *hs)
{
	cleanup_arena struct arena a = { 0 };
	struct objects all = store_all(hs->brain->store, RES_service);
	struct snapshot s = { 0 };

	for (struct health *h = hs->first; h; h = h->next)
		h->wanted = false;
	if (any_asks(all)) {
		brain_snapshot(hs->brain, &s, &a);
		for (size_t i = 0; i < 2 * s.of[RES_service].n; i++)
			want(hs, &s, (const struct service *)s.of[RES_service].at[i / 2],
			     i % 2);
	}
	drop_unwanted(hs); /* first: its port may be another's now */
	for (struct health *h = hs->first; h; h = h->next)
		if (!h->daemon)
			health_open(h);
}
