/* brain_pki.c -- the API's authority and certificate: opened, renewed in time, and what a
 * client's certificate is asked for with.
 */
#include "../reconcile/account.h"
#include "../reconcile/base/base64.h"
#include "../reconcile/base/buf.h"
#include "../reconcile/base/cleanup.h"
#include "../reconcile/base/error.h"
#include "../reconcile/base/ipv4.h"
#include "../reconcile/base/log.h"
#include "../reconcile/base/text.h"
#include "../reconcile/user.h"
#include "api.h"
#include "brain_state.h"
#include "loop.h"
#include "pki.h"
#include "token.h"
#include <jansson.h>
#include <string.h>

enum { LOOK_MS = 60 * 1000, LOOK_OFTEN_MS = 500, NAMES_OWN = 16 };
/* A hundred years: what ends such a token is its Secret's end. */
#define SECRET_TOKEN_SECONDS (INT64_C(100) * 365 * 86400)

/* Each name and address that the API may be asked for by. */
static const char *const *
names_of(const struct brain *b, struct arena *a)
{
	const struct strs *more = &b->config->secureNames;
	const char **names = arena_zalloc(a, (NAMES_OWN + more->n + 1) * sizeof *names);
	const char *const own[] = {
		b->host->hostname,
		"localhost",
		"kubernetes",
		"kubernetes.default",
		"kubernetes.default.svc",
		arena_printf(a, "kubernetes.default.svc.%s", b->settings.cluster_domain),
		"127.0.0.1",
		b->settings.node_ip,
		ipv4_text(b->settings.pods.net + 1, a),
		ipv4_text(b->settings.svcs.net + 1, a),
	};
	size_t n = 0, all = sizeof own / sizeof *own;
	uint32_t ip;
	uint16_t port;

	for (size_t i = 0; i < all + more->n; i++) {
		const char *name = i < all ? own[i] : more->at[i - all];
		size_t k = 0;

		while (k < n && strcmp(names[k], name) != 0)
			k++;
		if (k == n && name && *name)
			names[n++] = name;
	}
	if (config_secure(b->config, &b->settings, &ip, &port) && ip) {
		const char *text = ipv4_text(ip, a);
		size_t k = 0;

		while (k < n && strcmp(names[k], text) != 0)
			k++;
		if (k == n)
			names[n] = text;
	}
	return names;
}

/* A file without a token would be taken for one: nothing is made of a failure. */
static int
put_token(struct brain *b, const struct token_wish *wish, struct file_args *f, struct arena *a,
	  struct error **e)
{
	cleanup_buf struct buf token = { 0 };
	struct token_wish w = *wish;
	struct strs audience = { &f->audience, 1 };

	if (!str_is(f->audience, ""))
		w.audiences = &audience;
	w.seconds = f->seconds;
	if (!w.account)
		return fail(e, WHY_NOT_FOUND,
			    "failed to fetch token: its service account is gone");
	if (!b->pki)
		return fail(e, WHY_NOT_FOUND,
			    "failed to fetch token: there is no key for tokens");
	if (token_make(pki_token_key(b->pki), &b->settings, &w, &token, e) < 0)
		return fail_in(e, "failed to fetch token");
	f->data = base64_text(buf_text(&token), token.len, a);
	f->audience = NULL;
	f->seconds = 0;
	return 0;
}

int
brain_secret_put(struct brain *b, const void **body, struct arena *a, struct error **e)
{
	const struct secret *x = *body;
	const char *name, *had;
	struct file_args f = { .seconds = SECRET_TOKEN_SECONDS };
	struct token_wish w = { .bound = *body, .now = now_ms() / 1000 };
	struct secret *filled;

	if (resource_of(x)->id != RES_secret || !str_is(x->type, SECRET_ACCOUNT_TOKEN) ||
	    str_is(object_uid(x), ""))
		return 0;
	had = pairs_get(&x->data, SECRET_TOKEN_KEY);
	name = pairs_get(&x->metadata->annotations, SECRET_ACCOUNT_NAME);
	if (!had || *had || !name)
		return 0;
	w.account = store_find(b->store, RES_service_account, object_namespace(x), name);
	if (put_token(b, &w, &f, a, e) < 0)
		return -1;
	filled = object_clone(x, a);
	pairs_set(&filled->data, SECRET_TOKEN_KEY, f.data, a);
	*body = filled;
	return 0;
}

static bool
wants_tokens(const struct sandbox_args *args)
{
	for (size_t i = 0; i < args->volumes.n; i++)
		for (size_t k = 0; k < args->volumes.at[i].files.n; k++)
			if (args->volumes.at[i].files.at[k].seconds)
				return true;
	return false;
}

int
brain_tokens_put(struct brain *b, struct action *act, struct arena *a, struct error **e)
{
	const struct pod *pod = store_find(b->store, RES_pod, act->ns, act->name);
	struct token_wish w = { .bound = (const struct object *)pod, .now = now_ms() / 1000 };
	struct sandbox_args *args;

	if (!pod || !wants_tokens(act->body))
		return 0;
	w.account =
	    store_find(b->store, RES_service_account, act->ns, account_name_of(pod->spec));
	w.node = pod->spec->nodeName ? store_find(b->store, RES_node, "", pod->spec->nodeName)
				     : NULL;
	act->body = args = schema_clone(sandbox_args_kind(), act->body, a);
	for (size_t i = 0; i < args->volumes.n; i++)
		for (size_t k = 0; k < args->volumes.at[i].files.n; k++)
			if (args->volumes.at[i].files.at[k].seconds &&
			    put_token(b, &w, &args->volumes.at[i].files.at[k], a, e) < 0)
				return -1;
	return 0;
}

/* A clock that jumps is why we look often: nothing but the time is compared. */
static void
on_look(evutil_socket_t fd, short what, void *arg)
{
	struct brain *b = arg;
	cleanup_error struct error *e = NULL;
	struct http_tls tls;
	bool new = false;
	int64_t next;

	(void)fd;
	(void)what;
	/* one that was made and is not shown yet is not new any more */
	if (pki_renew(b->pki, now_ms(), &new, &e) == 0 && (new || b->pki_failures)) {
		b->settings.ca = pki_ca(b->pki);
		brain_poke(b);
		tls = brain_pki_tls(b);
		if (api_tls_set(b->api, &tls, &e) == 0)
			log_info("api", "has another certificate");
	}
	if (e)
		log_err("api", "its certificate: %s; trying again", error_text(e));
	next = b->config->certificateSeconds < 600 ? LOOK_OFTEN_MS : LOOK_MS;
	if (e && again_after(b->pki_failures) < next)
		next = again_after(b->pki_failures);
	b->pki_failures = e ? b->pki_failures + 1 : 0;
	timer_arm(b->pki_timer, next);
}

/* Pods reach the API unless it listens for the host's own programs alone; at each of the
 * host's addresses is at the bridge's as well. */
static void
tell_controllers(struct brain *b)
{
	uint32_t ip = 0;
	uint16_t port = 0;
	bool there = config_secure(b->config, &b->settings, &ip, &port);

	b->settings.ca = pki_ca(b->pki);
	b->settings.api_port = port;
	b->settings.api_ip = !there || ip >> 24 == 127 ? 0 : ip ? ip : b->settings.pods.net + 1;
}

int
brain_pki_open(struct brain *b, struct error **e)
{
	cleanup_arena struct arena a = { 0 };
	const struct pki_settings s = {
		.dir = arena_printf(&a, "%s/pki", b->config->state),
		.names = names_of(b, &a),
		.serving_ms = b->config->certificateSeconds * 1000,
	};

	if (pki_open(&s, now_ms(), &b->pki, e) < 0)
		return fail_in(e, "the API over TLS");
	tell_controllers(b);
	b->pki_timer = evtimer_new(b->base, on_look, b);
	timer_arm(b->pki_timer, LOOK_OFTEN_MS);
	return 0;
}

void
brain_pki_close(struct brain *b)
{
	if (b->pki_timer)
		event_free(b->pki_timer);
	pki_close(b->pki);
	b->pki_timer = NULL;
	b->pki = NULL;
}

struct http_tls
brain_pki_tls(const struct brain *b)
{
	return (struct http_tls){ .cert = pki_serving_cert(b->pki),
				  .key = pki_serving_key(b->pki),
				  .ca = pki_ca(b->pki) };
}

int
brain_certify(void *ctx, int64_t id, const struct user *u, int64_t seconds, const void *request,
	      size_t n, struct error **e)
{
	struct brain *b = ctx;
	cleanup_arena struct arena a = { 0 };
	cleanup_buf struct buf pem = { 0 };
	cleanup_free char *text = NULL;
	uint32_t ip = 0;
	uint16_t port = 0;
	json_t *j;

	if (!b->pki || !config_secure(b->config, &b->settings, &ip, &port))
		return fail(e, WHY_UNABLE,
			    "the API is not served over TLS here: secureListen is none");
	if (pki_sign_client(b->pki, request, n, u, now_ms(), seconds * 1000, &pem, e) < 0)
		return -1;
	j = json_pack("{s:s, s:s, s:s, s:s}", "kind", "Certificate", "certificate",
		      buf_text(&pem), "authority", pki_ca(b->pki), "server",
		      arena_printf(&a, "https://%s:%u",
				   ip ? ipv4_text(ip, &a) : b->settings.node_ip, port));
	text = json_dumps(j, JSON_COMPACT);
	json_decref(j);
	log_info("api", "certificate for %s, good for %lld s", u->name, (long long)seconds);
	api_answer(b->api, id, NULL, text);
	return 0;
}
