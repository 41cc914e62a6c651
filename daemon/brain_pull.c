/* brain_pull.c -- what is being fetched, what failed, and when it is tried again.
 *
 * A row an image and set of credentials.  Who wants an image says so again and again
 * (controllers do at each pass, `kedge image pull` once); here is known what became of
 * it.  At most PULLS_MAX are under way, the others wait their turn.
 */
#include "brain_pull.h"
#include "../reconcile/base/base64.h"
#include "../reconcile/base/buf.h"
#include "../reconcile/base/cleanup.h"
#include "../reconcile/base/error.h"
#include "../reconcile/base/log.h"
#include "brain_fetch.h"
#include "loop.h"
#include "source_frame.h"
#include <fcntl.h>
#include <jansson.h>
#include <string.h>

enum {
	PULLS_MAX = 3,
	BACKOFF_FIRST_MS = 10000,
	BACKOFF_MAX_MS = 300000,
	KEEP_MS = 600000, /* a row that nobody asks for any more */
};

struct pull {
	struct brain *brain;
	char *key, *image;
	struct arena start_arena; /* until it has begun: it holds credentials */
	struct pull_start *start;
	enum pull_state state;
	int64_t id; /* at the hand, while under way */
	int64_t began, ended, retry_at, backoff;
	char *error, *said; /* said: by the downloader, of this attempt */
	int fd;
	struct event *readable;
	struct frame_reader in;
	struct arena seen_arena;
	struct pull_seen *seen;
	struct pull *next;
};

static struct pull *
pull_find(struct brain *b, const char *key)
{
	struct pull *p = b->pulls;

	while (p && strcmp(p->key, key))
		p = p->next;
	return p;
}

static void
start_forget(struct pull *p)
{
	for (size_t i = 0; p->start && i < p->start->configs.n; i++)
		explicit_bzero((char *)p->start->configs.at[i],
			       strlen(p->start->configs.at[i]));
	arena_free(&p->start_arena);
	p->start = NULL;
}

static void
line_close(struct pull *p)
{
	if (p->readable)
		event_free(p->readable);
	p->readable = NULL;
	if (p->fd >= 0)
		close(p->fd);
	p->fd = -1;
	frame_reader_done(&p->in);
	p->in = (struct frame_reader){ 0 };
}

/* The pods that wait for it look at it in the next pass. */
static void
pull_ended(struct pull *p, const char *error)
{
	struct brain *b = p->brain;

	line_close(p);
	start_forget(p);
	p->id = 0;
	p->ended = now_ms();
	free(p->error);
	p->error = NULL;
	if (error) {
		xasprintf(&p->error, "failed to pull and unpack image \"%s\": %s", p->image,
			  error);
		p->state = PULL_FAILED;
		p->backoff = !p->backoff                       ? BACKOFF_FIRST_MS
			     : p->backoff * 2 > BACKOFF_MAX_MS ? BACKOFF_MAX_MS
							       : p->backoff * 2;
		p->retry_at = p->ended + p->backoff;
		log_warn(p->image, "%s", p->error);
	} else {
		p->state = PULL_DONE;
		p->backoff = 0;
		log_info(p->image, "pulled in %.1f s", (double)(p->ended - p->began) / 1000);
	}
	b->pulls_changed = b->pull_ended = true;
	brain_poke(b);
}

static void
pull_ask(struct pull *p)
{
	struct pull_args args = { .id = ++p->brain->next_id };
	struct action a = { .verb = ACT_PULL,
			    .kind = "image",
			    .ns = "",
			    .name = p->image,
			    .why = "",
			    .body = &args };

	p->id = args.id;
	p->state = PULL_RUNNING;
	p->brain->pulls_changed = true;
	free(p->said);
	p->said = NULL;
	arena_free(&p->seen_arena);
	p->seen = NULL;
	if (brain_tell(p->brain, &a, NULL, 0) < 0)
		pull_ended(p, "the host cannot be asked just now");
}

static void
pulls_next(struct brain *b)
{
	int running = 0;

	for (struct pull *p = b->pulls; p; p = p->next)
		running += p->state == PULL_RUNNING;
	for (struct pull *p = b->pulls; p && running < PULLS_MAX; p = p->next)
		if (p->state == PULL_QUEUED) {
			pull_ask(p);
			running++;
		}
}

static void
pull_free(struct pull *p)
{
	line_close(p);
	start_forget(p);
	arena_free(&p->seen_arena);
	free(p->key);
	free(p->image);
	free(p->error);
	free(p->said);
	free(p);
}

/* Who wants an image asks again when its time has come: one that was not asked for long
 * after that is wanted by nobody.  Names come from manifests: without this, a repository
 * that changes them forever would fill our memory. */
static void
pulls_forget(struct brain *b)
{
	int64_t now = now_ms();

	for (struct pull **at = &b->pulls, *p; (p = *at);) {
		bool ended = p->state == PULL_DONE || p->state == PULL_FAILED;
		int64_t last = p->retry_at > p->ended ? p->retry_at : p->ended;

		if (!ended || last + KEEP_MS > now) {
			at = &p->next;
			continue;
		}
		*at = p->next;
		pull_free(p);
		b->pulls_changed = true;
	}
}

const char *
pull_begin(struct brain *b, const char *image, const struct strs *configs, const char *key)
{
	struct pull *p = pull_find(b, key), **at = &b->pulls;

	if (!p) {
		pulls_forget(b);
		p = xcalloc(1, sizeof *p);
		*p = (struct pull){
			.brain = b, .key = xstrdup(key), .image = xstrdup(image), .fd = -1
		};
		while (*at)
			at = &(*at)->next;
		*at = p; /* first come, first served */
	}
	if (p->state == PULL_RUNNING || p->state == PULL_QUEUED)
		return p->key;
	p->start = arena_zalloc(&p->start_arena, sizeof *p->start);
	p->start->configs.at =
	    arena_alloc(&p->start_arena, (configs->n + 1) * sizeof *p->start->configs.at);
	for (size_t i = 0; i < configs->n; i++)
		p->start->configs.at[p->start->configs.n++] =
		    arena_strdup(&p->start_arena, configs->at[i]);
	p->state = PULL_QUEUED;
	p->began = now_ms();
	b->pulls_changed = true;
	pulls_next(b);
	return p->key;
}

/* ---- the downloader ---- */

static void
seen_take(struct pull *p, const struct frame *f)
{
	struct complaints cs = { .arena = &p->seen_arena };
	struct tree *t;

	arena_free(&p->seen_arena);
	p->seen = NULL;
	t = json_read(f->body, f->len, &p->seen_arena, &cs);
	if (t)
		p->seen =
		    schema_decode(pull_seen_kind(), t, SCHEMA_TRUSTED, &p->seen_arena, &cs);
	if (cs.errors)
		p->seen = NULL;
}

static void
line_read(struct pull *p)
{
	struct frame f;
	int rc;

	for (;;) {
		while ((rc = frame_next(&p->in, &f)) > 0) {
			if (f.type == FRAME_PULL) {
				seen_take(p, &f);
				deploys_go_on(p->brain, false);
			} else if (f.type == FRAME_FAILED && !p->said)
				p->said = xstrdup(f.body);
		}
		if (rc == 0)
			rc = frame_fill(&p->in, p->fd);
		if (rc <= 0)
			break;
	}
	if (rc < 0)
		line_close(p); /* the hand's answer says how it ended */
}

static void
on_line(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	line_read(arg);
}

static struct pull *
pull_by_id(struct brain *b, int64_t id)
{
	struct pull *p = b->pulls;

	while (p && (p->state != PULL_RUNNING || p->id != id))
		p = p->next;
	return p;
}

void
pull_attach(struct brain *b, int64_t id, int fd)
{
	struct pull *p = pull_by_id(b, id);
	cleanup_buf struct buf json = { 0 };
	cleanup_error struct error *e = NULL;

	if (!p || fd < 0) {
		if (fd >= 0)
			close(fd);
		return;
	}
	p->fd = fd;
	schema_encode(pull_start_kind(), p->start, &json);
	evutil_make_socket_nonblocking(fd);
	if (frame_post(fd, FRAME_START, json.at, json.len, &e) < 0) {
		p->said = xstrdup(error_text(e));
		line_close(p); /* it ends, and the hand says so */
	} else {
		p->readable = event_new(b->base, fd, EV_READ | EV_PERSIST, on_line, p);
		event_add(p->readable, NULL);
	}
	explicit_bzero(json.at, json.len);
	start_forget(p);
}

bool
pull_answered(struct brain *b, int64_t id, const char *error)
{
	struct pull *p = pull_by_id(b, id);
	bool bad = error && *error;

	if (!p)
		return false;
	if (p->fd >= 0)
		line_read(p);
	pull_ended(p, !bad ? NULL : p->said ? p->said : error);
	pulls_next(b);
	return true;
}

/* ---- who asks ---- */

static int
percent_of(const struct pull_seen *seen)
{
	int64_t size = 0, got = 0;

	for (size_t i = 0; seen && i < seen->layers.n; i++) {
		const struct layer_seen *l = &seen->layers.at[i];

		if (!strcmp(l->state, "exists"))
			continue;
		size += l->size;
		got += l->got;
	}
	return size ? (int)(got * 100 / size) : 0;
}

int
pull_percent(struct brain *b, const char *key)
{
	const struct pull *p = key ? pull_find(b, key) : NULL;

	return p ? percent_of(p->seen) : 0;
}

char *
pull_json(struct brain *b, const char *key)
{
	static const char *const states[] = { "", "queued", "running", "done", "failed" };
	const struct pull *p = pull_find(b, key);
	cleanup_buf struct buf seen = { 0 };
	json_t *j;
	char *out;

	if (!p)
		return NULL;
	if (p->seen)
		schema_encode(pull_seen_kind(), p->seen, &seen);
	j = json_pack("{s:s, s:s, s:s, s:s, s:i, s:I, s:o}", "kind", "Pull", "image", p->image,
		      "state", states[p->state], "error", p->error ? p->error : "", "percent",
		      p->state == PULL_DONE ? 100 : percent_of(p->seen), "milliseconds",
		      (json_int_t)((p->ended > p->began ? p->ended : now_ms()) - p->began),
		      "progress",
		      seen.len ? json_loadb(seen.at, seen.len, 0, NULL) : json_object());
	out = json_dumps(j, JSON_COMPACT);
	json_decref(j);
	return out;
}

/* The text of a pull secret's config, in docker's form; NULL when it holds none. */
static const char *
secret_config(const struct secret *s, struct arena *a)
{
	static const char *const keys[] = { ".dockerconfigjson", ".dockercfg" };

	for (size_t i = 0; s && i < 2; i++) {
		const char *text = pairs_get(&s->data, keys[i]);

		if (text)
			return base64_bytes(text, a, NULL);
	}
	return NULL;
}

bool
pull_fetch(struct brain *b, const struct action *act)
{
	const struct fetch_args *args = act->body;
	struct pull *p = pull_find(b, args->key);
	cleanup_arena struct arena a = { 0 };
	struct strs configs = { 0 };

	if (p && (p->state == PULL_RUNNING || p->state == PULL_QUEUED))
		return false;
	configs.at = arena_alloc(&a, (args->secrets.n + 1) * sizeof *configs.at);
	for (size_t i = 0; i < args->secrets.n; i++) {
		const char *text = secret_config(
		    store_find(b->store, RES_secret, args->ns, args->secrets.at[i]), &a);

		if (text)
			configs.at[configs.n++] = text;
	}
	pull_begin(b, act->name, &configs, args->key);
	for (size_t i = 0; i < configs.n; i++)
		explicit_bzero((char *)configs.at[i], strlen(configs.at[i]));
	return true;
}

void
pulls_fill(struct brain *b, struct snapshot *s)
{
	size_t n = 0;

	if (b->pulls_changed) {
		for (struct pull *p = b->pulls; p; p = p->next)
			n++;
		b->pulls_sorted = xrealloc(b->pulls_sorted, (n + 1) * sizeof *b->pulls_sorted);
		b->npulls = 0;
		for (struct pull *p = b->pulls; p; p = p->next)
			b->pulls_sorted[b->npulls++] =
			    (struct pull_seen_row){ .key = p->key,
						    .state = p->state,
						    .began = p->began,
						    .ended = p->ended,
						    .retry_at = p->retry_at,
						    .error = p->error ? p->error : "" };
		b->pulls_changed = false;
	}
	s->pulls = b->pulls_sorted;
	s->npulls = b->npulls;
}

void
pulls_close(struct brain *b)
{
	while (b->pulls) {
		struct pull *p = b->pulls;

		b->pulls = p->next;
		pull_free(p);
	}
	free(b->pulls_sorted);
}
