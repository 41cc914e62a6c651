/* worker_pull.c -- the process that downloads one image, and knows nothing of it.
 *
 * It has a network and no rights.  The processes that unpack (runtime/image.h says in
 * which words they ask) have the rights and no network: they say what they want, and
 * get a pipe for each piece.  Bytes go from the socket into that pipe and are kept
 * nowhere.  What breaks on the way is asked for again from where it broke.
 */
#include "worker_pull.h"
#include "../reconcile/base/cleanup.h"
#include "../reconcile/base/error.h"
#include "../reconcile/base/log.h"
#include "../reconcile/base/now.h"
#include "registry.h"
#include "source_frame.h"
#include "spawn.h"
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>

enum {
	LAYERS_MAX = 128,
	WORD_MAX = 512,
	PIPE_BYTES = 1 << 20,
	DOC_MAX = (4 << 20) + 1, /* one more than is taken, so that it is refused there */
	TELL_MS = 200,
	PROGRESS = 1 << 20, /* what counts as progress between two failures */
};

static const char accept_manifest[] =
    "Accept: application/vnd.oci.image.index.v1+json, "
    "application/vnd.docker.distribution.manifest.list.v2+json, "
    "application/vnd.oci.image.manifest.v1+json, "
    "application/vnd.docker.distribution.manifest.v2+json";

enum layer_state { WAITING, EXISTS, DOWNLOADING, UNPACKING, DONE };
static const char *const state_names[] = { "waiting", "exists", "downloading", "unpacking",
					   "done" };

struct layer {
	char digest[80];
	int64_t size, got; /* got: bytes of it that went into the pipe, or wait for it */
	unsigned index;    /* how the unpacking side calls it */
	enum layer_state state;
	int helper; /* whose pipe it is */
	int pipe;   /* -1: closed */
	int attempt;
	int64_t mark;  /* of `got`, at the last failure */
	int64_t again; /* monotonic ms; 0: not waiting for another attempt */
	int64_t skip;  /* bytes to drop: the server would not go on from where we were */
	size_t origin; /* asked now */
	struct request q;
	struct buf rest;    /* what the pipe did not take yet */
	bool paused, ended; /* ended: all of it came */
	struct fetch *fetch;
};

struct fetch {
	struct registry registry;
	struct arena arena;
	int socks[PULL_SOCKS];
	bool busy[PULL_SOCKS];
	struct layer *layers;
	size_t n;
	CURLM *multi;
	int64_t told;
	bool changed;
	char *note;
};

/* ---- what the brain hears ---- */

static void
tell(struct fetch *f, bool now)
{
	cleanup_buf struct buf json = { 0 };
	struct pull_seen seen = { 0 };
	cleanup_free struct layer_seen *list = NULL;

	if (!f->changed || (!now && monotonic_ms() - f->told < TELL_MS))
		return;
	list = xcalloc(f->n + 1, sizeof *list);
	for (size_t i = 0; i < f->n; i++) {
		struct layer *l = &f->layers[i];

		list[i] = (struct layer_seen){ .digest = l->digest,
					       .state = state_names[l->state],
					       .size = l->size,
					       .got = l->got };
	}
	seen.layers.at = list;
	seen.layers.n = f->n;
	seen.note = f->note;
	schema_encode(pull_seen_kind(), &seen, &json);
	if (frame_send(f->registry.brain, FRAME_PULL, NULL, 0, json.at, json.len, NULL) < 0)
		_exit(0);
	f->told = monotonic_ms();
	f->changed = false;
}

static _Noreturn void
give_up(struct fetch *f, const struct error *e)
{
	(void)frame_send_text(f->registry.brain, FRAME_FAILED, error_text(e), NULL);
	_exit(1);
}

/* ---- what the unpacking side hears ---- */

static int
word_send(int sock, const char *word, int fd)
{
	union {
		struct cmsghdr head;
		char bytes[CMSG_SPACE(sizeof(int))];
	} room = { 0 };
	struct iovec v = { (char *)word, strlen(word) };
	struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1 };
	struct cmsghdr *h;

	if (fd >= 0) {
		m.msg_control = &room;
		m.msg_controllen = sizeof room;
		h = CMSG_FIRSTHDR(&m);
		h->cmsg_level = SOL_SOCKET;
		h->cmsg_type = SCM_RIGHTS;
		h->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(h), &fd, sizeof fd);
	}
	return sendmsg(sock, &m, MSG_NOSIGNAL) < 0 ? -1 : 0;
}

/* The unpacking side is gone: its own error, which the hand hears, says why. */
static _Noreturn void
unpackers_gone(void)
{
	_exit(0);
}

/* A pipe to fd's owner; the end to write to. */
static int
pipe_give(int sock, const char *word, struct error **e)
{
	int fds[2], rc;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return fail_sys(e, "make a pipe");
	/* less is slower and no more: the user's share of pipes may be used up */
	(void)fcntl(fds[1], F_SETPIPE_SZ, PIPE_BYTES);
	rc = word_send(sock, word, fds[0]);
	close(fds[0]);
	if (rc < 0)
		unpackers_gone();
	return fds[1];
}

static int
doc_give(struct fetch *f, const struct buf *doc, const char *type, struct error **e)
{
	cleanup_free char *word = NULL;
	const char *at = doc->at;
	size_t n = doc->len;
	cleanup_close int fd = -1;

	xasprintf(&word, "doc %s", type);
	fd = pipe_give(f->socks[0], word, e);
	if (fd < 0)
		return -1;
	while (n > 0) {
		ssize_t done = write(fd, at, n);

		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0)
			unpackers_gone();
		at += done;
		n -= done;
	}
	return 0;
}

/* ---- layers ---- */

/* Into the pipe what it takes; false when something is left. */
static bool
rest_flush(struct layer *l)
{
	while (l->rest.len > 0) {
		ssize_t n = write(l->pipe, l->rest.at, l->rest.len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return false;
		if (n < 0)
			unpackers_gone();
		buf_drop(&l->rest, n);
	}
	return true;
}

static size_t
layer_take(void *ctx, const char *bytes, size_t n)
{
	struct layer *l = ctx;
	size_t whole = n, at = 0;

	if (l->q.status == 0) { /* the first bytes of this answer */
		curl_easy_getinfo(l->q.curl, CURLINFO_RESPONSE_CODE, &l->q.status);
		l->skip = l->q.status == 206 ? 0 : l->got;
	}
	if (l->skip > 0) {
		at = (int64_t)n < l->skip ? n : (size_t)l->skip;
		l->skip -= at;
		n -= at;
		if (!n)
			return whole;
	}
	if (l->got + (int64_t)n > l->size) {
		l->q.too_large = true;
		l->q.max = l->size;
		return CURL_WRITEFUNC_ERROR;
	}
	if (!rest_flush(l)) {
		l->skip += at; /* the same bytes come once more */
		l->paused = true;
		return CURL_WRITEFUNC_PAUSE;
	}
	buf_add(&l->rest, bytes + at, n);
	l->got += n;
	(void)rest_flush(l);
	l->fetch->changed = true;
	return whole;
}

static void
layer_ask(struct fetch *f, struct layer *l)
{
	struct origin *o = &f->registry.origins[l->origin];
	cleanup_free char *url = NULL;

	xasprintf(&url, "%s/blobs/%s", o->base, l->digest);
	request_close(&l->q);
	request_open(&l->q, &f->registry, o, url, "Accept: application/octet-stream");
	l->q.take = layer_take;
	l->q.ctx = l;
	l->q.max = 64 << 10;
	curl_easy_setopt(l->q.curl, CURLOPT_PRIVATE, l);
	if (l->got > 0) {
		char range[32];

		/* a server may send all of it again: what is there already is dropped */
		snprintf(range, sizeof range, "%lld-", (long long)l->got);
		curl_easy_setopt(l->q.curl, CURLOPT_RANGE, range);
	}
	request_arm(&l->q);
	l->again = 0;
	l->skip = 0;
	curl_multi_add_handle(f->multi, l->q.curl);
}

static int
layer_begin(struct fetch *f, struct layer *l, int helper, struct error **e)
{
	char word[32];

	snprintf(word, sizeof word, "layer %u", l->index);
	l->pipe = pipe_give(f->socks[helper], word, e);
	if (l->pipe < 0)
		return -1;
	(void)fcntl(l->pipe, F_SETFL, O_NONBLOCK);
	f->busy[helper] = true;
	l->helper = helper;
	l->state = DOWNLOADING;
	l->fetch = f;
	f->changed = true;
	layer_ask(f, l);
	return 0;
}

static void
layer_finish(struct fetch *f, struct layer *l)
{
	if (!l->ended || !rest_flush(l))
		return;
	close(l->pipe);
	l->pipe = -1;
	l->state = UNPACKING;
	buf_done(&l->rest);
	request_close(&l->q);
	f->changed = true;
}

/* Another attempt, another place, or the end. */
static int
layer_failed(struct fetch *f, struct layer *l, CURLcode rc, struct error **e)
{
	struct origin *o = l->q.origin;
	int64_t ms;

	if (rc == CURLE_OK && (l->q.status == 401 || (l->q.status == 403 && *l->q.challenge))) {
		if (registry_authorize(&f->registry, o, l->q.challenge, e) < 0)
			return -1;
		if (o->authorization) {
			l->again = 1;
			return 0;
		}
	}
	/* who sends a few bytes and stops, again and again, is not getting anywhere */
	if (l->got - l->mark >= PROGRESS)
		l->attempt = 0;
	l->mark = l->got;
	if (request_retry(&l->q, rc, l->attempt, &ms)) {
		l->attempt++;
		l->again = monotonic_ms() + ms;
		return 0;
	}
	if (l->origin + 1 < f->registry.n && !l->q.too_large) {
		l->origin++;
		l->attempt = 0;
		l->again = 1;
		return 0;
	}
	return request_fail(&l->q, rc, e);
}

static int
transfer_ended(struct fetch *f, struct layer *l, CURLcode rc, struct error **e)
{
	curl_multi_remove_handle(f->multi, l->q.curl);
	request_ended(&l->q);
	l->paused = false;
	if (rc == CURLE_ABORTED_BY_CALLBACK)
		_exit(0);
	if (rc == CURLE_OK && l->q.status >= 200 && l->q.status < 300) {
		l->q.origin->refused = false;
		if (l->got < l->size) /* it said less than it promised, and says so calmly */
			return layer_failed(f, l, CURLE_PARTIAL_FILE, e);
		l->ended = true;
		layer_finish(f, l);
		return 0;
	}
	return layer_failed(f, l, rc, e);
}

static int
multi_read(struct fetch *f, struct error **e)
{
	CURLMsg *m;
	int left;

	while ((m = curl_multi_info_read(f->multi, &left))) {
		struct layer *l;
		CURLcode rc = m->data.result;

		if (m->msg != CURLMSG_DONE)
			continue;
		curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, (char **)&l);
		if (transfer_ended(f, l, rc, e) < 0)
			return -1;
	}
	return 0;
}

/* The largest first: what is left at the end is short. */
static int
layers_start(struct fetch *f, struct error **e)
{
	for (int helper = 1; helper < PULL_SOCKS; helper++) {
		struct layer *next = NULL;

		if (f->busy[helper])
			continue;
		for (size_t i = 0; i < f->n; i++)
			if (f->layers[i].state == WAITING &&
			    (!next || f->layers[i].size > next->size))
				next = &f->layers[i];
		if (!next)
			return 0;
		if (layer_begin(f, next, helper, e) < 0)
			return -1;
	}
	return 0;
}

/* "ok INDEX" of one who unpacks; true when it is free again. */
static void
helper_hear(struct fetch *f, int helper)
{
	char word[WORD_MAX];
	ssize_t n = recv(f->socks[helper], word, sizeof word - 1, 0);
	unsigned index;

	if (n <= 0)
		unpackers_gone();
	word[n] = '\0';
	if (sscanf(word, "ok %u", &index) != 1)
		return;
	for (size_t i = 0; i < f->n; i++)
		if (f->layers[i].index == index && f->layers[i].helper == helper &&
		    f->layers[i].state == UNPACKING) {
			f->layers[i].state = DONE;
			f->busy[helper] = false;
			f->changed = true;
		}
}

static bool
all_done(const struct fetch *f)
{
	for (size_t i = 0; i < f->n; i++)
		if (f->layers[i].state != DONE && f->layers[i].state != EXISTS)
			return false;
	return true;
}

static void
wait_for_something(struct fetch *f)
{
	struct curl_waitfd fds[LAYERS_MAX + PULL_SOCKS + 1] = { 0 };
	int64_t now = monotonic_ms(), until = now + 1000;
	unsigned n = 0;

	fds[n++] = (struct curl_waitfd){ f->registry.brain, CURL_WAIT_POLLIN, 0 };
	for (int i = 0; i < PULL_SOCKS; i++)
		fds[n++] = (struct curl_waitfd){ f->socks[i], CURL_WAIT_POLLIN, 0 };
	for (size_t i = 0; i < f->n; i++) {
		struct layer *l = &f->layers[i];

		if (l->pipe >= 0 && l->rest.len > 0 && (l->paused || l->ended))
			fds[n++] = (struct curl_waitfd){ l->pipe, CURL_WAIT_POLLOUT, 0 };
		if (l->again && l->again < until)
			until = l->again;
	}
	if (f->changed && f->told + TELL_MS < until)
		until = f->told + TELL_MS;
	(void)curl_multi_poll(f->multi, fds, n, until > now ? (int)(until - now) : 0, NULL);
	if (fds[0].revents)
		_exit(0); /* the brain says nothing more but that it is gone */
	if (fds[1].revents)
		unpackers_gone();
	for (int i = 1; i < PULL_SOCKS; i++)
		if (fds[1 + i].revents)
			helper_hear(f, i);
}

static void
layers_step(struct fetch *f)
{
	for (size_t i = 0; i < f->n; i++) {
		struct layer *l = &f->layers[i];

		if (l->ended && l->state == DOWNLOADING)
			layer_finish(f, l);
		else if (l->paused && rest_flush(l)) {
			l->paused = false;
			curl_easy_pause(l->q.curl, CURLPAUSE_CONT);
		} else if (l->again && l->again <= monotonic_ms())
			layer_ask(f, l);
	}
}

static int
layers_fetch(struct fetch *f, struct error **e)
{
	int running;

	f->multi = curl_multi_init();
	if (!f->multi)
		abort();
	while (!all_done(f)) {
		if (layers_start(f, e) < 0)
			return -1;
		(void)curl_multi_perform(f->multi, &running);
		if (multi_read(f, e) < 0)
			return -1;
		layers_step(f);
		tell(f, false);
		wait_for_something(f);
	}
	tell(f, true);
	if (word_send(f->socks[0], "unpacked", -1) < 0)
		unpackers_gone();
	return 0;
}

/* ---- what the unpacking side wants ---- */

static struct layer *
layer_add(struct fetch *f, const char *digest, int64_t size, enum layer_state state)
{
	struct layer *l;

	if (f->n == LAYERS_MAX || size < 0)
		return NULL;
	l = &f->layers[f->n++];
	*l = (struct layer){ .size = size, .state = state, .pipe = -1, .helper = -1 };
	snprintf(l->digest, sizeof l->digest, "%s", digest);
	f->changed = true;
	return l;
}

static int
doc_fetch(struct fetch *f, const char *folder, const char *ref, const char *accept,
	  struct error **e)
{
	cleanup_buf struct buf doc = { 0 };
	cleanup_free char *path = NULL;
	char type[256];

	xasprintf(&path, "%s/%s", folder, ref);
	if (registry_get(&f->registry, path, accept, DOC_MAX, &doc, type, e) < 0)
		return -1;
	return doc_give(f, &doc, *accept == 'A' && !strcmp(folder, "manifests") ? type : "", e);
}

/* 1: go on; 0: the image is whole. */
static int
obey(struct fetch *f, const char *word, struct error **e)
{
	char ref[WORD_MAX];
	long long size;
	unsigned index;
	struct layer *l;

	if (sscanf(word, "manifest %511s", ref) == 1)
		return doc_fetch(f, "manifests", ref, accept_manifest, e) < 0 ? -1 : 1;
	if (sscanf(word, "blob %511s %lld", ref, &size) == 2)
		return doc_fetch(f, "blobs", ref, "Accept: */*", e) < 0 ? -1 : 1;
	if (sscanf(word, "have %511s %lld", ref, &size) == 2 &&
	    (l = layer_add(f, ref, size, EXISTS))) {
		l->got = size;
		l->index = UINT32_MAX;
		return 1;
	}
	if (sscanf(word, "layer %u %511s %lld", &index, ref, &size) == 3 &&
	    (l = layer_add(f, ref, size, WAITING))) {
		l->index = index;
		return 1;
	}
	if (!strcmp(word, "unpack"))
		return layers_fetch(f, e) < 0 ? -1 : 1;
	if (!strcmp(word, "done"))
		return 0;
	return fail(e, WHY_INTERNAL, "the unpacking process wants \"%s\"", word);
}

static int
serve(struct fetch *f, struct error **e)
{
	for (;;) {
		struct pollfd p[2] = { { f->socks[0], POLLIN, 0 },
				       { f->registry.brain, POLLRDHUP, 0 } };
		char word[WORD_MAX];
		ssize_t n;
		int rc;

		tell(f, false);
		if (poll(p, 2, -1) < 0 || p[1].revents)
			_exit(0);
		n = recv(f->socks[0], word, sizeof word - 1, 0);
		if (n <= 0)
			unpackers_gone();
		word[n] = '\0';
		rc = obey(f, word, e);
		if (rc <= 0)
			return rc;
	}
}

/* ---- start ---- */

/* One byte, and the sockets of those who unpack with it. */
static void
socks_take(struct fetch *f, int fd)
{
	union {
		struct cmsghdr head;
		char bytes[CMSG_SPACE(PULL_SOCKS * sizeof(int))];
	} room;
	char byte;
	struct iovec v = { &byte, 1 };
	struct msghdr m = { .msg_iov = &v,
			    .msg_iovlen = 1,
			    .msg_control = &room,
			    .msg_controllen = sizeof room };
	struct cmsghdr *h;

	if (recvmsg(fd, &m, MSG_CMSG_CLOEXEC) != 1)
		_exit(0);
	h = CMSG_FIRSTHDR(&m);
	if (!h || h->cmsg_type != SCM_RIGHTS || h->cmsg_len != CMSG_LEN(sizeof f->socks))
		_exit(2);
	memcpy(f->socks, CMSG_DATA(h), sizeof f->socks);
}

static void *
order_read(struct fetch *f, struct frame_reader *in, enum frame_type type,
	   const struct kind *kind)
{
	struct complaints said = { .arena = &f->arena };
	struct pollfd p = { f->registry.brain, POLLIN, 0 };
	const struct tree *tree;
	struct frame fr;
	void *order;
	int rc;

	while ((rc = frame_next(in, &fr)) == 0)
		if (poll(&p, 1, -1) < 0 || frame_fill(in, p.fd) < 0)
			_exit(0);
	if (rc < 0 || fr.type != type)
		_exit(2);
	tree = json_read(fr.body, fr.len, &f->arena, &said);
	order = tree ? schema_decode(kind, tree, SCHEMA_TRUSTED, &f->arena, &said) : NULL;
	if (!order || said.errors) {
		log_err("pull", "unreadable order: %s",
			said.first ? said.first->text : "no JSON");
		_exit(2);
	}
	return order;
}

static void
wall_in(void)
{
	static const char *const readable[] = { SANDBOX_NETWORK, NULL };
	static const char *const writable[] = { NULL };
	struct rlimit none = { 0, 0 };

	/* It holds credentials: no other process of its user may look, no core may tell. */
	prctl(PR_SET_DUMPABLE, 0);
	(void)setrlimit(RLIMIT_CORE, &none);
	sandbox_enter("pull", readable, writable);
}

_Noreturn void
pull_worker(int fd)
{
	struct frame_reader in = { 0 };
	struct fetch f = { .registry = { .brain = fd } };
	struct error *e = NULL;

	log_role("pull");
	signal(SIGPIPE, SIG_IGN);
	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK);
	curl_global_init(CURL_GLOBAL_DEFAULT);
	wall_in();
	socks_take(&f, fd);
	f.registry.arena = &f.arena;
	f.layers = xcalloc(LAYERS_MAX, sizeof *f.layers);
	f.registry.bind = order_read(&f, &in, FRAME_BIND, pull_bind_kind());
	f.registry.start = order_read(&f, &in, FRAME_START, pull_start_kind());
	if (registry_open(&f.registry, &e) < 0 || serve(&f, &e) < 0)
		give_up(&f, e);
	f.changed = true;
	tell(&f, true);
	_exit(0);
}
