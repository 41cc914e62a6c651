/* http.c -- 6,000 mutated requests over the API's unix socket: it answers or hangs up, and
 * it goes on serving.
 *
 * Client and server share the loop's thread, so a request that made the server wait
 * would stop the test.
 */
#include "base/arena.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "daemon/api.h"
#include "dial.h"
#include "mutate.h"
#include "reconcile/plan.h"
#include <event2/event.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include <cmocka.h>

enum { ROUNDS = 6000, PATIENCE = 40 };

#define HOST " HTTP/1.1\r\nHost: localhost\r\n"
#define WS                                                                                \
	HOST "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n" \
	     "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"                            \
	     "Sec-WebSocket-Protocol: v5.channel.k8s.io\r\n\r\n"
#define POD "/api/v1/namespaces/default/pods/web"

static const struct seed {
	const char *text;
	size_t n; /* 0: all of text */
} seeds[] = {
	{ "GET /api/v1/pods?limit=1&labelSelector=app%3Dweb,x%20in%20(a,b)" HOST
	  "Accept: application/json;as=Table;v=v1;g=meta.k8s.io,application/json\r\n\r\n",
	  0 },
	{ "GET "
	  "/api/v1/"
	  "pods?watch=true&resourceVersion=1&timeoutSeconds=1&allowWatchBookmarks=true" HOST
	  "\r\n",
	  0 },
	{ "GET "
	  "/api/v1/namespaces/default/pods?fieldSelector=metadata.name%3Dweb,status.phase!%3DX"
	  "&continue=64656661756c742f7765" HOST "\r\n",
	  0 },
	{ "GET " POD
	  "/log?container=web&tailLines=3&sinceSeconds=5&limitBytes=7&timestamps=true"
	  "&follow=true" HOST "\r\n",
	  0 },
	{ "GET " POD
	  "/exec?command=sh&command=-c&container=web&stdin=true&stdout=true&tty=true" WS
	  "\x82\x85\x01\x02\x03\x04\x01\x6a\x66\x68\x6d\x82\x82\x00\x00\x00\x00\xff\x00\x88\x80"
	  "\x00\x00\x00\x00",
	  sizeof("GET " POD "/exec?command=sh&command=-c&container=web&stdin=true&stdout=true&"
		 "tty=true" WS) -
	      1 + 25 },
	{ "GET /apis" HOST
	  "Accept: application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList\r\n\r\n"
	  "GET /apis/apps/v1" HOST "\r\n",
	  0 },
	{ "DELETE " POD HOST "Content-Type: application/json\r\nContent-Length: 24\r\n\r\n"
	  "{\"gracePeriodSeconds\":0}",
	  0 },
	{ "POST /kedge/images?name=a:1&format=rootfs&config=%7B%7D" HOST
	  "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
	  0 },
	{ "POST /apis/kedge.dev/v1/sources/site/rollback" HOST "Content-Length: 14\r\n\r\n"
	  "{\"revision\":2}",
	  0 },
	{ "PATCH /apis/apps/v1/namespaces/default/deployments/web" HOST
	  "Expect: 100-continue\r\nContent-Length: 2\r\n\r\n{}",
	  0 },
};

static const char *const words[] = {
	"\r\n",
	"\r\n\r\n",
	" ",
	"/",
	"?",
	"&",
	"%00",
	"%2f",
	"=",
	",",
	"!=",
	"(",
	"\n",
	"HTTP/1.0",
	"GET ",
	"HEAD ",
	"Content-Length: 99999999999999999999\r\n",
	"Content-Length: -1\r\n",
	"Transfer-Encoding: chunked\r\n",
	"ffffffffffffffff\r\n",
	"Origin: x\r\n",
	"\xff\xfe",
	"Host: \r\n",
	"-1",
	"0",
	"18446744073709551616",
	"watch=1",
	"..",
	"namespaces",
	"\x82\x7f",
	NULL,
};

struct bench {
	struct event_base *base;
	struct store *store;
	struct api *api;
	struct arena arena;
	char dir[64], path[100];
	struct import {
		struct bench *bench;
		int fd;
		int64_t id;
		struct event *event;
	} import;
};

/* ---- a host that answers everything ---- */

/* As the brain does, without its controllers. */
static int
on_write(void *ctx, const struct action *a, struct error **e)
{
	struct bench *b = ctx;
	const struct resource *r = resource_named(a->kind);

	return a->verb == ACT_CREATE   ? store_create(b->store, a->body, 1, e)
	       : a->verb == ACT_UPDATE ? store_update(b->store, a->body, e)
				       : store_delete(b->store, r->id, a->ns, a->name, e);
}

/* A program that says what it is given: the two ends of one socket. */
static int
on_exec(void *ctx, int64_t id, const struct api_exec *x, struct error **e)
{
	struct bench *b = ctx;
	int fds[3] = { -1, -1, -1 }, pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return fail_sys(e, "socketpair");
	(void)!write(pair[1], "hello", 5);
	close(pair[1]);
	fds[x->tty ? 0 : 1] = pair[0];
	api_exec_started(b->api, id, fds);
	api_exec_done(b->api, id, 7, NULL);
	return 0;
}

static int
on_source(void *ctx, int64_t id, const struct api_source_args *a, struct error **e)
{
	struct bench *b = ctx;

	(void)a;
	(void)e;
	api_answer(b->api, id, NULL, NULL);
	return 0;
}

static void
import_end(struct import *i)
{
	if (i->event)
		event_free(i->event);
	if (i->id)
		close(i->fd);
	i->event = NULL;
	i->id = 0;
}

static void
on_tar(evutil_socket_t fd, short what, void *arg)
{
	struct import *i = arg;
	int64_t id = i->id;
	char piece[4096];

	(void)what;
	if (read(fd, piece, sizeof piece) > 0)
		return;
	import_end(i);
	api_answer(i->bench->api, id, NULL, "{}");
}

static int
on_import(void *ctx, int64_t id, const struct api_image *image, struct error **e)
{
	struct bench *b = ctx;
	int fds[2];

	(void)image;
	import_end(&b->import);
	if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) < 0)
		return fail_sys(e, "pipe");
	b->import = (struct import){ b, fds[0], id, NULL };
	b->import.event = event_new(b->base, fds[0], EV_READ | EV_PERSIST, on_tar, &b->import);
	event_add(b->import.event, NULL);
	api_image_pipe(b->api, id, fds[1]);
	return 0;
}

/* ---- the server ---- */

static void
fill(struct bench *b)
{
	static const char text[] =
	    "apiVersion: v1\nkind: Pod\nmetadata: {name: web, namespace: default, labels: "
	    "{app: web}}\n"
	    "spec: {containers: [{name: web, image: i}]}\n"
	    "status: {phase: Running, containerStatuses: [{name: web, restartCount: 0, state: "
	    "{running: {}}}]}\n---\n"
	    "apiVersion: kedge.dev/v1\nkind: Source\nmetadata: {name: site}\nspec: {url: /x}\n";
	struct complaints c = { .arena = &b->arena };

	for (const struct tree *t = yaml_read(text, sizeof text - 1, &b->arena, &c); t;
	     t = t->next) {
		const struct resource *r =
		    resource_find(tree_get(t, "apiVersion")->text, tree_get(t, "kind")->text);
		void *o = schema_decode(r->schema, t, SCHEMA_TRUSTED, &b->arena, &c);

		assert_int_equal(c.errors, 0);
		assert_int_equal(store_create(b->store, o, 1, NULL), 0);
	}
	assert_int_equal(store_commit(b->store, NULL), 0);
}

static void
log_make(struct bench *b)
{
	const char *uid = object_uid(store_find(b->store, RES_pod, "default", "web"));
	cleanup_free char *cmd = NULL;

	xasprintf(
	    &cmd,
	    "mkdir -p %s/default_web_%s/web && printf '2026-01-01T00:00:00Z stdout F one\\n"
	    "broken\\n2026-01-01T00:00:01Z stderr P two' > %s/default_web_%s/web/0.log",
	    b->dir, uid, b->dir, uid);
	assert_int_equal(system(cmd), 0);
}

static int
setup(void **state)
{
	struct bench *b = calloc(1, sizeof *b);
	struct api_host host = { .ctx = b,
				 .write = on_write,
				 .exec = on_exec,
				 .source = on_source,
				 .image_import = on_import };
	struct api_settings settings = { 0 };
	struct error *e = NULL;

	strcpy(b->dir, "/tmp/f_http.XXXXXX");
	if (!mkdtemp(b->dir))
		return -1;
	snprintf(b->path, sizeof b->path, "%s/api.sock", b->dir);
	b->base = event_base_new();
	settings.http.socket = b->path;
	settings.log_dir = b->dir;
	if (store_open("", &b->store, &e) < 0 ||
	    api_open(b->base, b->store, &settings, &host, &b->api, &e) < 0)
		return -1;
	fill(b);
	log_make(b);
	*state = b;
	return 0;
}

static int
teardown(void **state)
{
	struct bench *b = *state;
	cleanup_free char *cmd = NULL;

	import_end(&b->import);
	api_close(b->api);
	store_close(b->store);
	event_base_free(b->base);
	arena_free(&b->arena);
	xasprintf(&cmd, "rm -rf %s", b->dir);
	free(b);
	return system(cmd);
}

/* ---- the client ---- */

/* Sends, lets the server work, and reads what comes until it is quiet. */
static size_t
talk(struct bench *b, const char *bytes, size_t n, struct buf *answer)
{
	int fd = dial(b->path), quiet = 0;
	size_t sent = 0;

	while (quiet < PATIENCE) {
		ssize_t rc = sent < n ? send(fd, bytes + sent, n - sent, MSG_NOSIGNAL) : 0;

		if (rc > 0)
			sent += rc;
		event_base_loop(b->base, EVLOOP_NONBLOCK);
		buf_reserve(answer, 65536);
		rc = recv(fd, answer->at + answer->len, 65536, 0);
		if (rc == 0 || (rc < 0 && errno != EAGAIN))
			break;
		quiet = rc > 0 ? 0 : quiet + 1;
		answer->len += rc > 0 ? rc : 0;
	}
	close(fd);
	event_base_loop(b->base, EVLOOP_NONBLOCK);
	return answer->len;
}

static void
still_serves(struct bench *b)
{
	static const char ask[] = "GET /healthz" HOST "\r\n";
	cleanup_buf struct buf answer = { 0 };

	talk(b, ask, sizeof ask - 1, &answer);
	assert_true(answer.len > 12 && !memcmp(answer.at, "HTTP/1.1 200", 12));
}

static void
no_request_brings_the_server_down(void **state)
{
	struct mutator m = { 0x9e3779b97f4a7c15, words };
	struct bench *b = *state;
	int answered = 0;

	for (int i = 0; i < ROUNDS; i++) {
		const struct seed *seed =
		    &seeds[mutate_below(&m, sizeof seeds / sizeof *seeds)];
		cleanup_buf struct buf request = { 0 }, answer = { 0 };

		buf_add(&request, seed->text, seed->n ? seed->n : strlen(seed->text));
		for (size_t n = mutate_below(&m, 5); n; n--)
			mutate_once(&m, &request);
		answered += talk(b, request.at, request.len, &answer) > 0;
		if (i % 500 == 0)
			still_serves(b);
	}
	still_serves(b);
	assert_true(answered > ROUNDS / 3);
}

static void
every_seed_is_answered_as_it_is(void **state)
{
	struct bench *b = *state;

	for (size_t i = 0; i < sizeof seeds / sizeof *seeds; i++) {
		cleanup_buf struct buf answer = { 0 };

		talk(b, seeds[i].text, seeds[i].n ? seeds[i].n : strlen(seeds[i].text),
		     &answer);
		if (answer.len < 12 || memcmp(answer.at, "HTTP/1.1 ", 9))
			fail_msg("seed %zu: %.*s", i, (int)answer.len, answer.at);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_seed_is_answered_as_it_is),
		cmocka_unit_test(no_request_brings_the_server_down),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
