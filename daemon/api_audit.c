/* api_audit.c -- one line for each request, when it is over: audit.k8s.io/v1 at level Metadata.
 *
 * No body is ever looked at, neither way, so nothing secret can get in.
 */
#include "../reconcile/base/cleanup.h"
#include "api_call.h"
#include "audit.h"
#include <ctype.h>
#include <string.h>

static void
put(struct buf *b, const char *key, const char *value)
{
	if (!value || !*value)
		return;
	buf_addf(b, "%s\"%s\":", b->at[b->len - 1] == '{' ? "" : ",", key);
	json_quote(b, value);
}

static void
put_time(struct buf *b, const char *key, int64_t ms)
{
	char at[40];

	time_print(ms, true, at);
	put(b, key, at);
}

static void
put_user(struct buf *b, const char *key, const struct user *u)
{
	buf_addf(b, ",\"%s\":{", key);
	put(b, "username", u->name);
	put(b, "uid", u->uid);
	if (u->ngroups)
		buf_adds(b, b->at[b->len - 1] == '{' ? "\"groups\":[" : ",\"groups\":[");
	for (size_t i = 0; i < u->ngroups; i++) {
		buf_adds(b, i ? "," : "");
		json_quote(b, u->groups[i]);
	}
	buf_adds(b, u->ngroups ? "]}" : "}");
}

static void
put_object(struct buf *b, const struct call *c)
{
	const struct rbac_attributes *at = &c->asked;

	if (at->path || !at->resource)
		return;
	buf_adds(b, ",\"objectRef\":{");
	put(b, "resource", at->resource);
	put(b, "namespace", at->ns);
	put(b, "name", at->name);
	put(b, "apiGroup", at->group);
	put(b, "apiVersion", c->version);
	put(b, "subresource", at->subresource);
	buf_addc(b, '}');
}

static void
add_escaped(struct buf *b, const char *s)
{
	for (; *s; s++)
		if (isalnum((unsigned char)*s) || strchr("-._~/:,", *s))
			buf_addc(b, *s);
		else
			buf_addf(b, "%%%02X", (unsigned char)*s);
}

static void
on_query(void *ctx, const char *name, const char *value)
{
	struct buf *b = ctx;

	buf_addc(b, strchr(buf_text(b), '?') ? '&' : '?');
	add_escaped(b, name);
	buf_addc(b, '=');
	add_escaped(b, value);
}

void
call_audit(const struct call *c)
{
	cleanup_buf struct buf b = { 0 }, uri = { 0 };
	const char *ip = http_address(c->req);
	int code = http_code(c->req);
	struct arena scratch = { 0 };

	if (!c->api->audit || !c->asked.verb)
		return;
	add_escaped(&uri, http_path(c->req));
	http_query_all(c->req, on_query, &uri);
	buf_adds(&b, "{\"kind\":\"Event\",\"apiVersion\":\"audit.k8s.io/v1\","
		     "\"level\":\"Metadata\"");
	put(&b, "auditID", store_new_uid(&scratch));
	put(&b, "stage", "ResponseComplete");
	put(&b, "requestURI", buf_text(&uri));
	put(&b, "verb", c->asked.verb);
	if (c->user)
		put_user(&b, "user", c->impersonator ? c->impersonator : c->user);
	if (c->impersonator && c->user)
		put_user(&b, "impersonatedUser", c->user);
	if (*ip)
		buf_addf(&b, ",\"sourceIPs\":[\"%s\"]", ip);
	put(&b, "userAgent", http_header(c->req, "User-Agent"));
	put_object(&b, c);
	buf_addf(&b, ",\"responseStatus\":{\"metadata\":{},\"code\":%d}", code);
	put_time(&b, "requestReceivedTimestamp", c->received);
	put_time(&b, "stageTimestamp", call_now(c));
	if (c->user) {
		buf_addf(&b, ",\"annotations\":{\"authorization.k8s.io/decision\":\"%s\"",
			 c->refused ? "forbid" : "allow");
		put(&b, "authorization.k8s.io/reason", c->reason);
		put(&b, "pod-security.kubernetes.io/audit-violations",
		    c->security.audit_violations);
		put(&b, "pod-security.kubernetes.io/enforce-policy",
		    c->security.enforce_policy);
		buf_addc(&b, '}');
	}
	buf_addc(&b, '}');
	audit_add(c->api->audit, &b);
	arena_free(&scratch);
}
