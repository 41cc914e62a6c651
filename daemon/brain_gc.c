/* brain_gc.c -- images that nobody needs leave the disk: when it fills up, when they are old,
 * or when somebody says so.
 *
 * Needed is what a pod, a template or one of the newest revisions names (so that a rollback
 * finds its images here), and what is coming.  What was brought by hand cannot be fetched
 * again, and goes only when it is asked for by name or with `kedge image prune --all`.
 */
#include "brain_gc.h"
#include "../reconcile/base/buf.h"
#include "../reconcile/base/cleanup.h"
#include "../reconcile/base/error.h"
#include "../reconcile/base/imageref.h"
#include "../reconcile/base/log.h"
#include "../reconcile/pod_image.h"
#include "loop.h"
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

/* ---- what is needed ---- */

/* Somebody names an image: a pod, the template of one, a revision. */
typedef void need_fn(void *ctx, const char *image, const void *who);

/* Of each source the newest revisions that were applied. */
static void
each_of_revisions(struct brain *b, need_fn *fn, void *ctx)
{
	struct objects all = store_all(b->store, RES_revision);

	for (size_t i = 0; i < all.n; i++) {
		const struct revision *r = (const void *)all.at[i];
		int64_t newer = 0;

		for (size_t k = 0; k < all.n; k++) {
			const struct revision *o = (const void *)all.at[k];

			newer += !strcmp(o->spec->source, r->spec->source) &&
				 o->spec->number > r->spec->number;
		}
		for (size_t k = 0; r->status && newer < b->config->images->keepRevisions &&
				   k < r->status->images.n;
		     k++)
			fn(ctx, r->status->images.at[k], r);
	}
}

static void
each_of_kind(struct brain *b, int res, need_fn *fn, void *ctx)
{
	struct objects all = store_all(b->store, res);

	for (size_t i = 0; i < all.n; i++) {
		const struct pod_spec *spec = object_pod_spec(all.at[i]);
		struct pod_image x;

		if (!spec)
			break; /* no kind has one here and none there */
		for (size_t k = 0; pod_image_next(spec, &k, &x);)
			fn(ctx, x.image, all.at[i]);
	}
}

/* Pods first. */
static void
each_needed(struct brain *b, need_fn *fn, void *ctx)
{
	each_of_kind(b, RES_pod, fn, ctx);
	each_of_revisions(b, fn, ctx);
	for (int res = 0; res < RES_COUNT; res++)
		if (res != RES_pod)
			each_of_kind(b, res, fn, ctx);
}

static void
need(void *ctx, const char *image, const void *who)
{
	char *full = image ? imageref_normalise(image, NULL) : NULL;

	(void)who;
	if (full)
		(void)map_put(ctx, full, ctx);
	free(full);
}

static void
needed_fill(struct brain *b, struct map *needed)
{
	each_needed(b, need, needed);
	for (size_t i = 0; i < b->config->sources.n && b->watches; i++)
		if (b->watches[i].fetching)
			(void)map_put(needed, "",
				      needed); /* what comes is needed in a moment */
}

/* "repo@sha256:.." of a manifest keeps every tag with that content. */
static bool
is_needed(const struct map *needed, const struct image_seen *x)
{
	size_t n = strcspn(x->name, "@");
	const char *colon;
	cleanup_free char *a = NULL, *b = NULL, *c = NULL, *repo = xstrndup(x->name, n);

	if (map_get(needed, x->name))
		return true;
	colon = strrchr(repo, ':');
	if (!x->name[n] && colon && !strchr(colon, '/'))
		repo[colon - repo] = '\0';
	xasprintf(&a, "%s@%s", repo, x->digest ? x->digest : "");
	xasprintf(&b, "%s@%s", repo, x->manifest ? x->manifest : "");
	xasprintf(&c, "%s@%s", repo, x->id ? x->id : "");
	return map_get(needed, a) || map_get(needed, b) || map_get(needed, c);
}

/* ---- who needs one ---- */

enum { USERS_NAMED = 5 };

struct users {
	const struct image_seen *image;
	const void *last; /* one that names it twice is one */
	struct buf names;
	size_t n, revisions, others;
};

static void
user_add(void *ctx, const char *image, const void *who)
{
	struct users *u = ctx;
	struct map one = { 0 };

	need(&one, image, who);
	if (u->last != who && is_needed(&one, u->image)) {
		u->last = who;
		*(resource_of(who) == &resources[RES_revision] ? &u->revisions : &u->others) +=
		    1;
		if (u->n++ < USERS_NAMED)
			buf_addf(&u->names, "%s%s %s%s%s", u->n > 1 ? ", " : "",
				 resource_of(who)->singular, object_namespace(who),
				 *object_namespace(who) ? "/" : "", object_name(who));
	}
	map_done(&one);
}

int
gc_check_unused(struct brain *b, const char *name, struct error **e)
{
	cleanup_free char *full = imageref_normalise(name, NULL), *kept = NULL;
	struct users u = { 0 };

	for (size_t i = 0; full && i < b->images->images.n; i++)
		if (!strcmp(b->images->images.at[i].name, full))
			u.image = &b->images->images.at[i];
	if (!u.image)
		return 0; /* the hand has words for it */
	each_needed(b, user_add, &u);
	if (u.n > USERS_NAMED)
		buf_addf(&u.names, " and %zu more", u.n - USERS_NAMED);
	if (u.revisions)
		xasprintf(&kept,
			  "; a revision keeps it for a rollback until %" PRId64
			  " newer ones are there (images.keepRevisions in kedge.yaml)",
			  b->config->images->keepRevisions);
	if (u.n)
		fail(e, WHY_CONFLICT,
		     "unable to remove image \"%s\" (must force: --force): used by %s%s%s",
		     name, buf_text(&u.names),
		     u.others
			 ? "; change or delete what names it first, in Git where it is Git's"
			 : "",
		     kept ? kept : "");
	buf_done(&u.names);
	return u.n ? -1 : 0;
}

struct gone {
	const struct image_seen *image;
	int64_t since; /* when it was first seen without anybody who needs it */
};

static int
oldest_first(const void *a, const void *b)
{
	const struct gone *x = a, *y = b;

	return x->since < y->since ? -1 : x->since > y->since;
}

/* Images that nobody needs, the longest unneeded first. */
static size_t
unneeded(struct brain *b, struct gone *ret)
{
	struct map needed = { 0 };
	size_t n = 0;

	needed_fill(b, &needed);
	for (size_t i = 0; i < b->images->images.n; i++) {
		const struct image_seen *x = &b->images->images.at[i];
		int64_t *since = map_get(&b->unneeded, x->name);

		if (is_needed(&needed, x)) {
			free(map_del(&b->unneeded, x->name));
			continue;
		}
		if (!since) {
			since = xmalloc(sizeof *since);
			*since = now_ms();
			(void)map_put(&b->unneeded, x->name, since);
		}
		ret[n++] = (struct gone){ x, *since };
	}
	if (map_get(&needed,
		    "")) /* a commit is on its way: nothing is judged before it is here */
		n = 0;
	map_done(&needed);
	if (n)
		qsort(ret, n, sizeof *ret, oldest_first);
	return n;
}

static void
image_drop(struct brain *b, const struct image_seen *x, const char *why)
{
	struct ask_args args = { .id = ++b->next_id };
	struct action a = { .verb = ACT_REMOVE,
			    .kind = "image",
			    .ns = "",
			    .name = x->name,
			    .why = why,
			    .body = &args };

	log_info("images", "- remove %s  # %s", x->name, why);
	brain_tell(b, &a, NULL, 0);
}

/* ---- by itself ---- */

static void
told_full(struct brain *b, int64_t wanted, int64_t found)
{
	const void *node = store_find(b->store, RES_node, "", b->settings.node_name);
	cleanup_free char *text = NULL;

	xasprintf(&text,
		  "Failed to garbage collect required amount of images. Attempted to free "
		  "%lld bytes, but only found %lld bytes eligible to free.",
		  (long long)wanted, (long long)found);
	if (node)
		event_about(
		    b, node,
		    &(struct event_note){ "Warning", "FreeDiskSpaceFailed", text, NULL });
}

static void
collect(struct brain *b)
{
	const struct config_images *c = b->config->images;
	cleanup_free struct gone *gone = xcalloc(b->images->images.n + 1, sizeof *gone);
	size_t n = unneeded(b, gone);
	int64_t now = now_ms(), wanted = 0, found = 0;
	struct statvfs st;
	cleanup_free char *why = NULL;

	if (statvfs(b->config->state, &st) == 0 && st.f_blocks) {
		int64_t size = (int64_t)st.f_blocks * (int64_t)st.f_frsize;
		int64_t used = size - (int64_t)st.f_bavail * (int64_t)st.f_frsize;

		if (used * 100 >= size * c->gcHighPercent) {
			wanted = used - size / 100 * c->gcLowPercent;
			xasprintf(&why, "nobody needs it, and the disk is %lld%% full",
				  (long long)(used * 100 / size));
		}
	}
	for (size_t i = 0; i < n; i++) {
		const struct image_seen *x = gone[i].image;
		int64_t age = (now - gone[i].since) / 1000;

		if (!x->digest || !*x->digest || age < c->gcMinAgeSeconds)
			continue;
		if (found < wanted)
			image_drop(b, x, why);
		else if (c->gcMaxAgeSeconds && age >= c->gcMaxAgeSeconds)
			image_drop(b, x, "nobody has needed it for long");
		else
			continue;
		found += x->size;
	}
	if (found < wanted)
		told_full(b, wanted, found);
}

static void
on_gc(evutil_socket_t fd, short what, void *arg)
{
	struct brain *b = arg;

	(void)fd;
	(void)what;
	if (b->images && b->ready)
		collect(b);
	timer_arm(b->gc_timer, b->config->images->gcSeconds * 1000);
}

void
gc_open(struct brain *b)
{
	b->gc_timer = evtimer_new(b->base, on_gc, b);
	timer_arm(b->gc_timer, b->config->images->gcSeconds * 1000);
}

void
gc_close(struct brain *b)
{
	if (b->gc_timer)
		event_free(b->gc_timer);
	for (struct map_slot *s = map_first(&b->unneeded); s; s = map_next(&b->unneeded, s))
		free(s->value);
	map_done(&b->unneeded);
}

/* ---- when asked ---- */

static bool
goes(const struct image_seen *x, bool all)
{
	return all || (x->digest && *x->digest);
}

/* A layer is freed once, and only when no image that stays has it. */
static int64_t
freed(struct brain *b, const struct gone *gone, size_t n, bool all)
{
	struct map leaves = { 0 }, counted = { 0 };
	int64_t bytes = 0;

	for (size_t i = 0; i < n; i++)
		if (goes(gone[i].image, all))
			(void)map_put(&leaves, gone[i].image->name, b);
	for (int pass = 0; pass < 2; pass++) /* first those that stay, for nothing */
		for (size_t i = 0; i < b->images->images.n; i++) {
			const struct image_seen *x = &b->images->images.at[i];

			if (!map_get(&leaves, x->name) != !pass)
				continue;
			for (size_t k = 0; k < x->parts.n; k++)
				if (!map_put(&counted, x->parts.at[k].id, b) && pass)
					bytes += x->parts.at[k].size;
		}
	map_done(&leaves);
	map_done(&counted);
	return bytes;
}

char *
gc_prune(struct brain *b, bool all)
{
	cleanup_free struct gone *gone = xcalloc(b->images->images.n + 1, sizeof *gone);
	size_t n = unneeded(b, gone);
	json_t *names = json_array(), *j;
	json_int_t bytes = freed(b, gone, n, all);
	char *out;

	for (size_t i = 0; i < n; i++) {
		const struct image_seen *x = gone[i].image;

		if (!goes(x, all))
			continue;
		json_array_append_new(names, json_string(x->name));
		image_drop(b, x, "pruned");
	}
	j = json_pack("{s:s, s:o, s:I}", "kind", "Pruned", "images", names, "bytes", bytes);
	out = json_dumps(j, JSON_COMPACT);
	json_decref(j);
	return out;
}
