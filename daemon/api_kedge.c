/* api_kedge.c -- what Kubernetes has no path for: sources, images, status, diff, down.
 *
 * Each asks the host and answers with what it says.
 */
#include "../reconcile/base/cleanup.h"
#include "api_call.h"
#include <event2/event.h>
#include <inttypes.h>
#include <string.h>
#include <sys/ioctl.h>

static void
refuse_unable(struct call *c)
{
	call_refuse(c, WHY_UNABLE, "this kedged cannot do that");
}

/* `rc` is what the host said when it was asked, `*e` why: a pointer, since what is
 * asked within the call's arguments sets it after they were read. */
static void
asked(struct call *c, int rc, struct error **e)
{
	if (rc < 0 && !c->answered)
		call_fail(c, *e);
}

/* ---- sources ---- */

/* The body is optional: {} and nothing at all are the same. */
static int
read_body(struct call *c, struct complaints *complaints, const struct tree **ret)
{
	const struct buf *body = http_body(c->req);

	*ret = NULL;
	if (!body->len)
		return 0;
	*ret = json_read(body->at, body->len, &c->arena, complaints);
	if (*ret && (*ret)->type == N_MAP)
		return 0;
	call_refuse(c, WHY_BAD_REQUEST, "the body must be a JSON object: %s",
		    complaints->first ? complaints->first->text : "it is something else");
	return -1;
}

static bool
is_true(const struct tree *t, const char *key)
{
	const struct tree *v = t ? tree_get(t, key) : NULL;

	return v && v->type == N_BOOL && !strcmp(v->text, "true");
}

static void
source_ask(struct call *c, enum api_source_verb verb)
{
	struct api_source_args args = { .name = c->name, .verb = verb };
	struct complaints complaints = { .arena = &c->arena };
	cleanup_error struct error *e = NULL;
	const struct tree *body, *number;

	if (!c->api->host.source) {
		refuse_unable(c);
		return;
	}
	if (!store_find(c->api->store, RES_source, "", c->name)) {
		call_refuse(c, WHY_NOT_FOUND, "sources.kedge.dev \"%s\" not found", c->name);
		return;
	}
	if (read_body(c, &complaints, &body) < 0)
		return;
	args.allow_prune = is_true(body, "allowPrune");
	args.everything = is_true(body, "everything");
	args.dry = is_true(body, "dryRun");
	if (verb == API_ROLLBACK) /* the author of a commit */
		args.user = auth_login(c);
	number = body ? tree_get(body, "revision") : NULL;
	if (number && number->type == N_INT)
		args.revision = strtoll(number->text, NULL, 10);
	if ((number && number->type != N_INT) || args.revision < 0) {
		call_refuse(c, WHY_BAD_REQUEST, "revision must be the number of a revision");
		return;
	}
	asked(c, c->api->host.source(c->api->host.ctx, call_ask(c), &args, &e), &e);
}

void
kedge_sync(struct call *c)
{
	source_ask(c, API_SYNC);
}

void
kedge_suspend(struct call *c)
{
	source_ask(c, API_SUSPEND);
}

void
kedge_resume(struct call *c)
{
	source_ask(c, API_RESUME);
}

void
kedge_rollback(struct call *c)
{
	source_ask(c, API_ROLLBACK);
}

/* ---- the host ---- */

void
kedge_status(struct call *c)
{
	cleanup_error struct error *e = NULL;

	if (!c->api->host.status)
		refuse_unable(c);
	else
		asked(c, c->api->host.status(c->api->host.ctx, call_ask(c), &e), &e);
}

void
kedge_diff(struct call *c)
{
	cleanup_error struct error *e = NULL;

	if (!c->api->host.diff)
		refuse_unable(c);
	else
		asked(c,
		      c->api->host.diff(c->api->host.ctx, call_ask(c), call_query(c, "source"),
					call_query(c, "ref"), &e),
		      &e);
}

/* ?from=IP&to=IP&protocol=TCP&port=80: a connection's way; without `to`: the flows there are.
 */
void
kedge_look(struct call *c)
{
	cleanup_error struct error *e = NULL;
	const char *protocol = call_query(c, "protocol");
	struct look_args args = { .from = call_query(c, "from"),
				  .to = call_query(c, "to"),
				  .protocol = *protocol ? protocol : "TCP",
				  .port = strtol(call_query(c, "port"), NULL, 10) };

	args.flows = !*args.to;
	if (!c->api->host.look)
		refuse_unable(c);
	else if (args.port < 0 || args.port > 65535 ||
		 (strcmp(args.protocol, "TCP") && strcmp(args.protocol, "UDP") &&
		  strcmp(args.protocol, "SCTP")))
		call_refuse(c, WHY_BAD_REQUEST,
			    "port must be 1 to 65535, protocol TCP, UDP or SCTP");
	else
		asked(c, c->api->host.look(c->api->host.ctx, call_ask(c), &args, &e), &e);
}

void
kedge_dns(struct call *c)
{
	cleanup_error struct error *e = NULL;

	if (!c->api->host.dns)
		refuse_unable(c);
	else
		asked(c,
		      c->api->host.dns(c->api->host.ctx, call_ask(c),
				       call_query(c, "namespace"), call_query(c, "name"), &e),
		      &e);
}

void
kedge_down(struct call *c)
{
	struct complaints complaints = { .arena = &c->arena };
	cleanup_error struct error *e = NULL;
	const struct tree *body;

	if (!c->api->host.down)
		refuse_unable(c);
	else if (read_body(c, &complaints, &body) == 0)
		asked(
		    c,
		    c->api->host.down(c->api->host.ctx, call_ask(c), is_true(body, "keep"), &e),
		    &e);
}

/* ---- images ---- */

void
kedge_images(struct call *c)
{
	cleanup_error struct error *e = NULL;

	if (!c->api->host.image_list)
		refuse_unable(c);
	else
		asked(c, c->api->host.image_list(c->api->host.ctx, call_ask(c), &e), &e);
}

void
kedge_image_remove(struct call *c)
{
	cleanup_error struct error *e = NULL;

	if (!c->api->host.image_remove)
		refuse_unable(c);
	else
		asked(c,
		      c->api->host.image_remove(c->api->host.ctx, call_ask(c),
						call_query(c, "name"), call_flag(c, "force"),
						&e),
		      &e);
}

void
kedge_image_prune(struct call *c)
{
	cleanup_error struct error *e = NULL;

	if (!c->api->host.image_prune)
		refuse_unable(c);
	else
		asked(c,
		      c->api->host.image_prune(c->api->host.ctx, call_ask(c),
					       call_flag(c, "all"), &e),
		      &e);
}

/* An image on its way out: from the host's pipe to the client, as fast as that takes it.
 * What goes wrong before the first byte is answered as any error; later the bytes end
 * too early, which a tar tells. */
struct saving {
	struct call *call;
	int pipe;
	bool streams;
	struct event *readable;
};

static void
saving_free(void *p)
{
	struct saving *s = p;

	if (s->readable)
		event_free(s->readable);
	if (s->pipe >= 0)
		close(s->pipe);
	free(s);
}

static enum http_pull
saving_pull(void *mine, struct buf *out)
{
	struct saving *s = ((struct call *)mine)->state;
	ssize_t n;

	buf_reserve(out, 1 << 17);
	n = read(s->pipe, out->at + out->len, 1 << 17);
	if (n > 0) {
		out->len += n;
		return HTTP_GO_ON;
	}
	if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
		event_add(s->readable, NULL);
		return HTTP_WAIT;
	}
	return HTTP_END;
}

static void
on_saved(evutil_socket_t fd, short what, void *arg)
{
	struct saving *s = arg;
	int n = 0;

	(void)what;
	if (s->streams) {
		http_wake(s->call->req);
		return;
	}
	if (s->call->answered || ioctl(fd, FIONREAD, &n) < 0 || n == 0)
		return; /* it ended before it began: the answer says why */
	s->streams = s->call->answered = true;
	http_stream(s->call->req, 200, "application/octet-stream", saving_pull);
}

static void
save_answered(struct call *c, const struct error *e, const char *json)
{
	struct saving *s = c->state;

	(void)json;
	if (s->streams)
		return;
	if (e)
		call_fail(c, e);
	else /* all of it lies in the pipe, and we were not told yet */
		on_saved(s->pipe, EV_READ, s);
}

void
api_image_bytes(struct api *a, int64_t id, int fd)
{
	struct call *c = call_of_id(a, id);
	struct saving *s = c && c->on_answer == save_answered ? c->state : NULL;

	if (!s) {
		close(fd);
		return;
	}
	evutil_make_socket_nonblocking(fd);
	s->pipe = fd;
	s->readable = event_new(a->base, fd, EV_READ, on_saved, s);
	event_add(s->readable, NULL);
}

static void
bytes_ask(struct call *c, const char *name)
{
	cleanup_error struct error *e = NULL;
	struct saving *s;

	if (!c->api->host.image_save) {
		refuse_unable(c);
		return;
	}
	s = xcalloc(1, sizeof *s);
	*s = (struct saving){ .call = c, .pipe = -1 };
	c->state = s;
	c->state_free = saving_free;
	c->on_answer = save_answered;
	asked(c,
	      c->api->host.image_save(c->api->host.ctx, call_ask(c), name,
				      call_flag(c, "config"), &e),
	      &e);
}

void
kedge_image_save(struct call *c)
{
	const char *name = call_query(c, "name");

	if (*name)
		bytes_ask(c, name);
	else
		call_refuse(c, WHY_BAD_REQUEST, "which image? name=NAME:TAG says");
}

void
kedge_image_verify(struct call *c)
{
	bytes_ask(c, "");
}

static void
pull_ask(struct call *c, const char *config, bool begin)
{
	cleanup_error struct error *e = NULL;

	if (!c->api->host.image_pull)
		refuse_unable(c);
	else
		asked(c,
		      c->api->host.image_pull(c->api->host.ctx, call_ask(c),
					      call_query(c, "name"), config, begin, &e),
		      &e);
}

void
kedge_pull(struct call *c)
{
	const struct buf *body = http_body(c->req);

	pull_ask(c, body->len ? buf_text(body) : NULL, true);
}

void
kedge_pull_state(struct call *c)
{
	pull_ask(c, NULL, false);
}

/* A tar on its way from the client into the host's pipe, never held whole: what the
 * pipe does not take stays in the client's socket. */
struct import {
	struct call *call;
	int pipe; /* -1: not here yet, or closed */
	bool failed, complete;
	struct event *writable;
};

static void
import_close(struct import *i)
{
	if (i->writable)
		event_free(i->writable);
	i->writable = NULL;
	if (i->pipe >= 0)
		close(i->pipe);
	i->pipe = -1;
}

static void
import_free(void *p)
{
	struct import *i = p;
	const struct api_host *h = &i->call->api->host;

	/* Said before the pipe closes: half a tar can look like a whole one. */
	if (!i->complete && !i->failed && i->call->id && h->image_gone)
		h->image_gone(h->ctx, i->call->id);
	import_close(i);
	free(i);
}

static void
on_writable(evutil_socket_t fd, short what, void *arg)
{
	struct import *i = arg;

	(void)fd;
	(void)what;
	http_wake(i->call->req);
}

static ssize_t
import_take(void *mine, const char *bytes, size_t n)
{
	struct import *i = ((struct call *)mine)->state;
	ssize_t rc;

	if (i->failed || i->call->answered)
		return -1;
	if (i->pipe < 0)
		return 0;
	rc = write(i->pipe, bytes, n);
	if (rc < 0 && errno != EAGAIN && errno != EINTR) {
		/* The reader gave up; its answer says why. */
		i->failed = true;
		import_close(i);
		return -1;
	}
	if (rc < (ssize_t)n)
		event_add(i->writable, NULL);
	return rc < 0 ? 0 : rc;
}

static void
import_answered(struct call *c, const struct error *e, const char *json)
{
	struct import *i = c->state;
	struct buf b = { 0 };

	i->failed |= e != NULL;
	if (e) {
		call_fail(c, e);
	} else if (json) {
		buf_adds(&b, json);
		call_json(c, 200, &b);
	} else {
		call_success(c);
	}
}

void
api_image_pipe(struct api *a, int64_t id, int fd)
{
	struct call *c = call_of_id(a, id);
	struct import *i = c && c->on_answer == import_answered ? c->state : NULL;

	if (!i || i->complete || i->failed || i->pipe >= 0) {
		close(fd);
		return;
	}
	evutil_make_socket_nonblocking(fd);
	i->pipe = fd;
	i->writable = event_new(a->base, fd, EV_WRITE, on_writable, i);
	http_wake(c->req);
}

/* The body is whole: the reader sees the end, and its answer is awaited. */
static void
import_end(void *mine)
{
	struct import *i = ((struct call *)mine)->state;
	const struct api_host *h = &i->call->api->host;

	i->complete = true;
	import_close(i);
	if (h->image_sent)
		h->image_sent(h->ctx, i->call->id);
}

/* Called with the headers, before the body. */
void
kedge_image_import(struct call *c)
{
	struct api_image image = { call_query(c, "name"), call_query(c, "format"),
				   call_query(c, "config") };
	cleanup_error struct error *e = NULL;
	struct import *i;

	if (!c->api->host.image_import) {
		refuse_unable(c);
		return;
	}
	if (!*image.format)
		image.format = "rootfs";
	if (!*image.config)
		image.config = "{}";
	if (strcmp(image.format, "rootfs") && strcmp(image.format, "archive")) {
		call_refuse(c, WHY_BAD_REQUEST, "format must be rootfs or archive, not \"%s\"",
			    image.format);
		return;
	}
	if (!*image.name && !strcmp(image.format, "rootfs")) {
		call_refuse(c, WHY_BAD_REQUEST, "an image needs a name: NAME:TAG");
		return;
	}
	i = xcalloc(1, sizeof *i);
	i->call = c;
	i->pipe = -1;
	c->state = i;
	c->state_free = import_free;
	c->on_answer = import_answered;
	http_take_body(c->req, import_take, import_end);
	if (c->api->host.image_import(c->api->host.ctx, call_ask(c), &image, &e) < 0) {
		i->failed = true;
		call_fail(c, e);
	}
}
