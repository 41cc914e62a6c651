/* brain_stream.c -- programs, attached clients and connections that the API asks for.
 *
 * The hand answers with descriptors; from then on the bytes go between the pod and the
 * API's client, and the hand only tells the end.
 */
#include "../reconcile/base/arena.h"
#include "../reconcile/base/error.h"
#include "../reconcile/controllers.h"
#include "api.h"
#include "brain_state.h"
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

struct brain_stream {
	int64_t id;     /* ours: on the wire */
	int64_t api_id; /* the API's */
	int tty;        /* our copy, to resize; -1 */
	bool connects;
	struct brain_stream *next;
};

static struct brain_stream *
stream_of(struct brain *b, int64_t id)
{
	for (struct brain_stream *s = b->streams; s; s = s->next)
		if (s->id == id)
			return s;
	return NULL;
}

static struct brain_stream *
stream_of_api(struct brain *b, int64_t api_id)
{
	for (struct brain_stream *s = b->streams; s; s = s->next)
		if (s->api_id == api_id)
			return s;
	return NULL;
}

static void
stream_free(struct brain *b, struct brain_stream *s)
{
	struct brain_stream **at = &b->streams;

	while (*at != s)
		at = &(*at)->next;
	*at = s->next;
	if (s->tty >= 0)
		close(s->tty);
	free(s);
}

void
brain_streams_close(struct brain *b)
{
	while (b->streams)
		stream_free(b, b->streams);
}

static struct brain_stream *
stream_new(struct brain *b, int64_t api_id)
{
	struct brain_stream *s = xcalloc(1, sizeof *s);

	*s = (struct brain_stream){
		.id = ++b->next_id, .api_id = api_id, .tty = -1, .next = b->streams
	};
	b->streams = s;
	return s;
}

static int
ask(struct brain *b, struct brain_stream *s, const struct api_exec *x, enum verb verb,
    const void *body, struct error **e)
{
	const struct action a = { .verb = verb,
				  .kind = "pod",
				  .ns = x->ns,
				  .name = x->pod,
				  .why = "asked for",
				  .body = body };

	if (brain_tell(b, &a, NULL, 0) == 0)
		return 0;
	stream_free(b, s);
	return fail(e, WHY_UNAVAILABLE, "pod %s cannot be asked just now", x->pod);
}

/* With a number of its own, for what is asked next; NULL: the pod does not run.  One that is
 * being stopped does: whether that container still does knows the hand. */
static struct brain_stream *
begin(struct brain *b, int64_t api_id, const struct api_exec *x, struct error **e)
{
	const struct pod_row *row = seen_row(b, x->uid);

	if (row && (!strcmp(row->seen->state, "up") || !strcmp(row->seen->state, "stopping")))
		return stream_new(b, api_id);
	fail(e, WHY_BAD_REQUEST, "pod %s does not run", x->pod);
	return NULL;
}

static int
on_exec(void *ctx, int64_t id, const struct api_exec *x, struct error **e)
{
	cleanup_arena struct arena arena = { 0 };
	struct exec_args args = {
		.uid = x->uid, .container = x->container, .stdin = true, .tty = x->tty
	};
	struct brain_stream *s = begin(ctx, id, x, e);
	size_t n = 0;

	if (!s)
		return -1;
	while (x->argv[n])
		n++;
	args.command.at = arena_alloc(&arena, (n + 1) * sizeof *args.command.at);
	memcpy(args.command.at, x->argv, n * sizeof *args.command.at);
	args.command.n = n;
	args.id = s->id;
	return ask(ctx, s, x, ACT_EXEC, &args, e);
}

static int
on_copy(void *ctx, int64_t id, const struct api_exec *x, struct error **e)
{
	struct copy_args args = {
		.uid = x->uid, .container = x->container, .path = x->path, .name = x->name
	};
	struct brain_stream *s = begin(ctx, id, x, e);

	if (!s)
		return -1;
	args.id = s->id;
	return ask(ctx, s, x, ACT_COPY, &args, e);
}

static int
on_attach(void *ctx, int64_t id, const struct api_exec *x, struct error **e)
{
	struct attach_args args = { .uid = x->uid, .container = x->container };
	struct brain_stream *s = begin(ctx, id, x, e);

	if (!s)
		return -1;
	args.id = s->id;
	return ask(ctx, s, x, ACT_ATTACH, &args, e);
}

static int
on_connect(void *ctx, int64_t id, const struct api_exec *x, unsigned port, struct error **e)
{
	struct connect_args args = { .uid = x->uid, .port = port };
	struct brain_stream *s = begin(ctx, id, x, e);

	if (!s)
		return -1;
	s->connects = true;
	args.id = s->id;
	return ask(ctx, s, x, ACT_CONNECT, &args, e);
}

void
brain_exec_fds(struct brain *b, int64_t id, int *fds, int nfds)
{
	struct brain_stream *s = stream_of(b, id);
	int out[3] = { -1, -1, -1 };

	if (!s)
		return;
	for (int i = 0; i < nfds && i < 3; i++) {
		out[i] = fds[i];
		fds[i] = -1;
	}
	/* Of a pipe we keep no copy: its reader would never see the end. */
	if (out[0] >= 0 && isatty(out[0]))
		s->tty = fcntl(out[0], F_DUPFD_CLOEXEC, 3);
	api_exec_started(b->api, s->api_id, out);
}

void
brain_connected(struct brain *b, int64_t id, int *fd)
{
	struct brain_stream *s = stream_of(b, id);

	if (!s)
		return;
	api_connected(b->api, s->api_id, *fd, NULL);
	*fd = -1;
	stream_free(b, s);
}

void
brain_exec_done(struct brain *b, int64_t id, int exit_code, const char *error)
{
	struct brain_stream *s = stream_of(b, id);

	if (!s)
		return;
	if (s->connects)
		api_connected(b->api, s->api_id, -1, error);
	else
		api_exec_done(b->api, s->api_id, exit_code, error);
	stream_free(b, s);
}

static void
on_exec_resize(void *ctx, int64_t id, unsigned rows, unsigned cols)
{
	struct brain_stream *s = stream_of_api(ctx, id);
	struct winsize w = { .ws_row = rows, .ws_col = cols };

	if (s && s->tty >= 0)
		(void)ioctl(s->tty, TIOCSWINSZ, &w);
}

/* Closing its ends hangs the program up, as a terminal or a pipe would. */
static void
on_exec_gone(void *ctx, int64_t id)
{
	struct brain_stream *s = stream_of_api(ctx, id);

	if (s)
		stream_free(ctx, s);
}

void
brain_stream_host(struct api_host *h)
{
	h->exec = on_exec;
	h->copy = on_copy;
	h->attach = on_attach;
	h->connect = on_connect;
	h->exec_resize = on_exec_resize;
	h->exec_gone = on_exec_gone;
}
