/* cli_http.c -- requests to the daemon over its unix socket, with libcurl. */
#include "../reconcile/base/utf8.h"
#include "cli.h"
#include <curl/curl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

struct cli_reply {
	long status;
	struct buf body;
};

/* What is asked is answered from memory; what is ordered may have to wait for a
 * remote or for pods that end. */
enum { ASK_S = 15, ORDER_S = 120 };

struct transfer {
	CURL *curl;
	struct curl_slist *headers;
	char why[CURL_ERROR_SIZE];
	struct buf body; /* of an answer that is not a stream, or of an error */
	cli_bytes_fn *fn;
	void *ctx;
	bool stopped; /* fn had enough */
};

/* `err` of connect(2), or 0 when the line broke later. */
static int
unreachable(struct cli_call *c, int err, const char *why, struct error **e)
{
	const char *hint = "kedged may have ended meanwhile: journalctl -u kedged";

	if (err == EACCES || err == EPERM)
		hint = "only root and the members of the group that owns it may ask: use sudo, "
		       "or usermod -aG kedge USER and log in again";
	else if (err)
		hint = "is kedged running?  systemctl status kedged tells; --socket PATH or "
		       "KEDGE_SOCKET choose another";
	return fail(e, WHY_UNAVAILABLE, "no answer at %s (%s); %s", c->socket, why, hint);
}

static size_t
take(char *bytes, size_t size, size_t n, void *ctx)
{
	struct transfer *t = ctx;
	long status = 0;

	curl_easy_getinfo(t->curl, CURLINFO_RESPONSE_CODE, &status);
	if (!t->fn || status >= 300) {
		buf_add(&t->body, bytes, size * n);
	} else if (!t->fn(t->ctx, bytes, size * n)) {
		t->stopped = true;
		return CURL_WRITEFUNC_ERROR;
	}
	return size * n;
}

static void
transfer_open(struct transfer *t, struct cli_call *c, const char *path, const char *accept)
{
	cleanup_free char *url = NULL;

	t->curl = curl_easy_init();
	xasprintf(&url, "http://kedge%s", path);
	curl_easy_setopt(t->curl, CURLOPT_URL, url);
	/* a name that is ".." leads to no other object */
	curl_easy_setopt(t->curl, CURLOPT_PATH_AS_IS, 1L);
	curl_easy_setopt(t->curl, CURLOPT_UNIX_SOCKET_PATH, c->socket);
	curl_easy_setopt(t->curl, CURLOPT_PROXY, "");
	curl_easy_setopt(t->curl, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(t->curl, CURLOPT_ERRORBUFFER, t->why);
	curl_easy_setopt(t->curl, CURLOPT_WRITEFUNCTION, take);
	curl_easy_setopt(t->curl, CURLOPT_WRITEDATA, t);
	curl_easy_setopt(t->curl, CURLOPT_USERAGENT, "kedge/" KEDGE_VERSION);
	if (accept) {
		cleanup_free char *header = NULL;

		xasprintf(&header, "Accept: %s", accept);
		t->headers = curl_slist_append(t->headers, header);
	}
	t->headers = curl_slist_append(t->headers, "Expect:");
}

static void
transfer_done(struct transfer *t)
{
	curl_slist_free_all(t->headers);
	if (t->curl)
		curl_easy_cleanup(t->curl);
	buf_done(&t->body);
}

/* -1 when nobody answered. */
static int
transfer_run(struct transfer *t, struct cli_call *c, long *ret_status, struct error **e)
{
	CURLcode rc;
	long err = 0;

	curl_easy_setopt(t->curl, CURLOPT_HTTPHEADER, t->headers);
	rc = curl_easy_perform(t->curl);
	curl_easy_getinfo(t->curl, CURLINFO_OS_ERRNO, &err);
	if (rc == CURLE_OPERATION_TIMEDOUT)
		return fail(e, WHY_TIMEOUT,
			    "kedged holds %s but does not answer: its log says why "
			    "(journalctl -u kedged)",
			    c->socket);
	if (rc && !t->stopped)
		return unreachable(c, rc == CURLE_COULDNT_CONNECT ? (int)err : 0,
				   rc == CURLE_COULDNT_CONNECT && err ? strerror(err)
				   : *t->why                          ? t->why
								      : curl_easy_strerror(rc),
				   e);
	curl_easy_getinfo(t->curl, CURLINFO_RESPONSE_CODE, ret_status);
	return 0;
}

/* 0 whatever the status; -1 when nobody answered. */
static int
cli_ask(struct cli_call *c, const char *method, const char *path, const char *accept,
	const char *body, struct cli_reply *ret, struct error **e)
{
	struct transfer t = { 0 };
	long status = 0;
	int rc;

	transfer_open(&t, c, path, accept);
	curl_easy_setopt(t.curl, CURLOPT_CUSTOMREQUEST, method);
	if (body) {
		t.headers = curl_slist_append(
		    t.headers, strcmp(method, "PATCH") != 0
				   ? "Content-Type: application/json"
				   : "Content-Type: application/strategic-merge-patch+json");
		curl_easy_setopt(t.curl, CURLOPT_POSTFIELDSIZE, (long)strlen(body));
		curl_easy_setopt(t.curl, CURLOPT_POSTFIELDS, body);
	}
	curl_easy_setopt(t.curl, CURLOPT_TIMEOUT, strcmp(method, "GET") ? ORDER_S : ASK_S);
	rc = transfer_run(&t, c, &status, e);
	if (!rc) {
		ret->status = status;
		ret->body = t.body;
		t.body = (struct buf){ 0 };
	}
	transfer_done(&t);
	return rc;
}

static void
cli_reply_done(struct cli_reply *r)
{
	buf_done(&r->body);
}

/* A Kubernetes Status says what is wrong; anything else is shown as it is. */
static int
refused(long status, const struct buf *body, struct error **e)
{
	json_t *j = json_loadb(buf_text(body), body->len, JSON_DECODE_ANY, NULL);
	const char *message = json_string_value(json_object_get(j, "message"));
	enum why why = WHY_INTERNAL;

	for (int w = WHY_NONE + 1; w < WHY_COUNT; w++)
		if (why_facts(w)->http == status) {
			why = w;
			break;
		}
	if (message)
		fail(e, why, "%s", message);
	else
		fail(e, why, "the daemon answers %ld%s%.200s", status, body->len ? ": " : "",
		     buf_text(body));
	json_decref(j);
	return -1;
}

static json_t *
json_answer(long status, const struct buf *body, struct error **e)
{
	json_error_t bad;
	json_t *j;

	if (status < 200 || status >= 300) {
		refused(status, body, e);
		return NULL;
	}
	j = json_loadb(buf_text(body), body->len, JSON_DECODE_ANY, &bad);
	if (!j)
		fail(e, WHY_INTERNAL, "the daemon's answer is not JSON: %s", bad.text);
	return j;
}

void
cli_tame_text(char *s)
{
	for (size_t n; *s; s += n) {
		unsigned char *p = (unsigned char *)s;
		bool c1 = p[0] == 0xc2 && p[1] >= 0x80 && p[1] < 0xa0; /* U+0080..9F */

		n = utf8_len(s, strlen(s));
		if (n && !c1 && *p != 0x7f && (*p >= 0x20 || *p == '\n' || *p == '\t'))
			continue;
		n = n ? n : 1;
		memset(s, '?', n);
	}
}

void
cli_tame(json_t *j)
{
	const char *key;
	size_t i;
	json_t *v;

	json_object_foreach(j, key, v)
		cli_tame(v);
	json_array_foreach(j, i, v)
		cli_tame(v);
	if (json_is_string(j)) {
		cleanup_free char *s = xstrdup(json_string_value(j));

		cli_tame_text(s);
		if (strcmp(s, json_string_value(j)))
			json_string_set(j, s);
	}
}

json_t *
cli_json(struct cli_call *c, const char *method, const char *path, const char *accept,
	 const char *body, struct error **e)
{
	struct cli_reply r = { 0 };
	json_t *j;

	if (cli_ask(c, method, path, accept ? accept : "application/json", body, &r, e))
		return NULL;
	j = json_answer(r.status, &r.body, e);
	cli_reply_done(&r);
	if (c->tty)
		cli_tame(j);
	return j;
}

int
cli_stream(struct cli_call *c, const char *path, const char *accept, cli_bytes_fn *fn,
	   void *ctx, struct error **e)
{
	struct transfer t = { .fn = fn, .ctx = ctx };
	long status = 0;
	int rc;

	transfer_open(&t, c, path, accept);
	rc = transfer_run(&t, c, &status, e);
	if (!rc && status >= 300)
		rc = refused(status, &t.body, e);
	transfer_done(&t);
	return rc;
}

/* ---- watches ---- */

struct lines {
	struct buf part; /* of a line that has not ended */
	bool tty;
	cli_event_fn *fn;
	void *ctx;
};

static bool
take_lines(void *ctx, const char *bytes, size_t n)
{
	struct lines *l = ctx;
	const char *end;
	bool more = true;

	buf_add(&l->part, bytes, n);
	while (more && l->part.len && (end = memchr(l->part.at, '\n', l->part.len))) {
		size_t len = end - l->part.at;
		json_t *j = json_loadb(l->part.at, len, 0, NULL);
		const char *type = json_string_value(json_object_get(j, "type"));

		if (l->tty)
			cli_tame(json_object_get(j, "object"));
		if (type && strcmp(type, "BOOKMARK"))
			more = l->fn(l->ctx, type, json_object_get(j, "object"));
		json_decref(j);
		buf_drop(&l->part, len + 1);
	}
	return more;
}

int
cli_watch(struct cli_call *c, const char *path, const char *accept, cli_event_fn *fn, void *ctx,
	  struct error **e)
{
	struct lines l = { .fn = fn, .ctx = ctx, .tty = c->tty };
	int rc = cli_stream(c, path, accept ? accept : "application/json", take_lines, &l, e);

	buf_done(&l.part);
	return rc;
}

/* ---- uploads ---- */

struct upload {
	int fd;
	pid_t writer; /* 0: none, or ended */
	bool cut;     /* it ended badly */
};

/* Half a tar can look like a whole one: the body ends as a body does only when its
 * writer ended well, and is broken off otherwise. */
static size_t
give(char *to, size_t size, size_t n, void *ctx)
{
	struct upload *u = ctx;
	ssize_t got;
	int status = 0;

	do
		got = read(u->fd, to, size * n);
	while (got < 0 && errno == EINTR);
	if (!got && u->writer) {
		u->cut = waitpid(u->writer, &status, 0) != u->writer || status;
		u->writer = 0;
	}
	return got < 0 || u->cut ? CURL_READFUNC_ABORT : (size_t)got;
}

json_t *
cli_upload(struct cli_call *c, const char *path, int fd, pid_t *writer, struct error **e)
{
	struct upload u = { .fd = fd, .writer = *writer };
	struct transfer t = { 0 };
	json_t *j = NULL;
	long status = 0;

	transfer_open(&t, c, path, "application/json");
	t.headers = curl_slist_append(t.headers, "Content-Type: application/x-tar");
	t.headers = curl_slist_append(t.headers, "Transfer-Encoding: chunked");
	curl_easy_setopt(t.curl, CURLOPT_POST, 1L);
	curl_easy_setopt(t.curl, CURLOPT_READFUNCTION, give);
	curl_easy_setopt(t.curl, CURLOPT_READDATA, &u);
	curl_easy_setopt(t.curl, CURLOPT_UPLOAD_BUFFERSIZE, 1L << 20);
	if (!transfer_run(&t, c, &status, e))
		j = json_answer(status, &t.body, e);
	else if (u.cut)
		fail(e, WHY_IO, "could not be read to its end");
	*writer = u.writer;
	transfer_done(&t);
	return j;
}

void
cli_query(struct buf *path, const char *name, const char *value)
{
	char *safe = curl_easy_escape(NULL, value, 0);

	buf_addf(path, "%c%s=%s", memchr(path->at, '?', path->len) ? '&' : '?', name, safe);
	curl_free(safe);
}

int
cli_connect(struct cli_call *c, struct error **e)
{
	struct sockaddr_un sun = { .sun_family = AF_UNIX };
	cleanup_close int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (strlen(c->socket) >= sizeof sun.sun_path)
		return fail(e, WHY_BAD_REQUEST, "%s: too long for a socket's path", c->socket);
	memcpy(sun.sun_path, c->socket, strlen(c->socket) + 1);
	if (fd < 0 || connect(fd, (void *)&sun, sizeof sun))
		return unreachable(c, errno, strerror(errno), e);
	return steal_fd(&fd);
}
