/* brain_deploy.c -- from a source's head to a Revision, whole or not at all.
 *
 * Every commit that is looked at becomes a Revision object, also one that
 * fails; a failed one changes nothing else.
 */
#include "../reconcile/base/buf.h"
#include "../reconcile/base/cleanup.h"
#include "../reconcile/base/error.h"
#include "../reconcile/base/log.h"
#include "../reconcile/base/text.h"
#include "../reconcile/controllers.h"
#include "../reconcile/own.h"
#include "brain_fetch.h"
#include "brain_state.h"
#include <inttypes.h>
#include <string.h>

enum { RETRY_MS = 500, RETRY_MAX_MS = 30000, REVISIONS_KEPT = 500 };

struct watch *
deploy_watch(struct brain *b, const char *source)
{
	size_t n = b->config->sources.n;

	if (!source || !*source)
		return n == 1 ? &b->watches[0] : NULL;
	for (size_t i = 0; i < n; i++)
		if (!strcmp(b->watches[i].config->name, source))
			return &b->watches[i];
	return NULL;
}

static const struct source *
source_object(struct watch *w)
{
	return store_find(w->brain->store, RES_source, "", w->config->name);
}

/* The Source object as the configuration has it; what it learnt is kept. */
static void
source_declare(struct watch *w)
{
	cleanup_arena struct arena a = { 0 };
	const struct source *old = source_object(w);
	struct source *s =
	    old ? object_clone(old, &a) : object_new(RES_source, "", w->config->name, &a);
	const struct config_source *c = w->config;
	cleanup_error struct error *e = NULL;

	if (!s->spec)
		s->spec = arena_zalloc(&a, sizeof *s->spec);
	s->spec->url = c->url;
	s->spec->ref = c->ref;
	s->spec->path = c->path;
	s->spec->interval = c->interval;
	s->spec->type = c->type;
	s->spec->writeBack = c->writeBack;
	if (c->suspend)
		s->spec->suspend = true;
	if ((old ? store_update(w->brain->store, s, &e)
		 : store_create(w->brain->store, s, now_ms(), &e)) < 0)
		log_err(c->name, "%s", error_text(e));
}

struct source_change {
	const char *commit, *tree, *error, *pulling; /* NULL: as it was */
	int64_t revision;                            /* 0: as it was */
};

/* The commit that a resume would apply: newer than what the newest Revision speaks of. */
static void
next_put(struct watch *w, struct source *s)
{
	const struct source_head *head = source_known(w->brain->sources, w->config->name)
					     ? source_head(w->brain->sources, w->config->name)
					     : NULL;
	cleanup_free char *name = NULL;
	const struct revision *newest;

	if (!head && s->spec->suspend)
		return; /* no worker yet: as it was */
	s->status->next = s->status->nextAuthor = s->status->nextMessage = NULL;
	if (!head || (!s->spec->suspend && !(s->spec->pin && *s->spec->pin)))
		return;
	xasprintf(&name, "%s-%" PRId64, w->config->name, s->status->revision);
	newest = store_find(w->brain->store, RES_revision, "", name);
	if (newest && newest->spec->commit && !strcmp(newest->spec->commit, head->commit))
		return;
	s->status->next = head->commit;
	s->status->nextAuthor = head->author;
	s->status->nextMessage = head->message;
}

static void
source_status_put(struct watch *w, const struct source_change *change)
{
	cleanup_arena struct arena a = { 0 };
	const struct source *old = source_object(w);
	cleanup_error struct error *e = NULL;
	struct source *s;

	if (!old)
		return;
	s = object_clone(old, &a);
	if (!s->status)
		s->status = arena_zalloc(&a, sizeof *s->status);
	if (change->commit) {
		s->status->commit = change->commit;
		s->status->tree = change->tree;
		s->status->lastSync = now_ms();
	}
	if (change->error)
		s->status->message = change->error;
	if (change->pulling)
		s->status->pulling = change->pulling;
	if (change->revision)
		s->status->revision = change->revision;
	s->status->writable = source_writable(w->brain->sources, w->config->name);
	s->status->unwritable = source_unwritable(w->brain->sources, w->config->name);
	next_put(w, s);
	s->status->phase = s->status->message && *s->status->message ? "Failed"
			   : s->spec->suspend                        ? "Suspended"
			   : s->spec->pin && *s->spec->pin           ? "Pinned"
								     : "Ready";
	if (store_update(w->brain->store, s, &e) < 0)
		log_err(w->config->name, "%s", error_text(e));
}

/* ---- the worker ---- */

static void
worker_ask(struct watch *w)
{
	struct action a = { .verb = ACT_WATCH,
			    .kind = "source",
			    .ns = "",
			    .name = w->config->name,
			    .why = "" };

	brain_tell(w->brain, &a, NULL, 0);
}

static void
on_retry(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	worker_ask(arg);
}

static void
worker_retry(struct watch *w)
{
	int64_t ms = (int64_t)RETRY_MS << (w->retries < 7 ? w->retries : 7);
	struct timeval tv;

	if (w->brain->leaving)
		return;
	w->retries++;
	if (ms > RETRY_MAX_MS)
		ms = RETRY_MAX_MS;
	tv = (struct timeval){ ms / 1000, ms % 1000 * 1000 };
	event_add(w->retry, &tv);
}

static void
on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct watch *w = arg;
	struct brain *b = w->brain;
	const char *name = w->config->name;
	enum source_news news;

	(void)fd;
	(void)what;
	while ((news = source_read(b->sources, name)) != SOURCE_NOTHING) {
		if (news == SOURCE_MOVED) {
			w->retries = 0;
			deploy(b, w, false);
		} else if (news == SOURCE_FAILED) {
			const char *error = source_error(b->sources, name);

			if (*error)
				log_warn(name, "%s", error);
			else
				w->retries = 0;
			source_status_put(w, &(struct source_change){ .error = error });
			brain_poke(b);
		} else if (news == SOURCE_ANSWERED) {
			brain_answered(b, name, source_answered(b->sources, name),
				       source_answer(b->sources, name));
		} else if (news == SOURCE_SHOWN) {
			brain_shown(b, w, false);
		} else if (news == SOURCE_WRITABLE) {
			source_status_put(w, &(struct source_change){ 0 });
		} else if (news == SOURCE_WRITTEN) {
			back_written(b, w);
		} else if (news == SOURCE_LOST) {
			brain_answered(b, name, 0,
				       "the source's worker ended before it was done; try "
				       "again");
			brain_shown(b, w, true);
			back_lost(b, w);
			source_status_put(w, &(struct source_change){
						 .error = source_error(b->sources, name) });
			event_free(w->readable);
			w->readable = NULL;
			worker_retry(w);
			break;
		}
	}
}

/* It has no worker, or has one again (NULL).  Tried again and again, said when it is another
 * reason than before. */
static void
unread_say(struct watch *w, const char *why)
{
	if (!why && !w->unread)
		return;
	if (why && w->unread && str_is(w->unread, why))
		return;
	if (why)
		log_warn(w->config->name, "%s", why);
	free(w->unread);
	w->unread = why ? xstrdup(why) : NULL;
	/* what its worker said last may hold still: it says so, or that all is well */
	source_status_put(
	    w, &(struct source_change){
		   .error = why ? why : source_error(w->brain->sources, w->config->name) });
	brain_poke(w->brain);
}

void
deploy_worker(struct brain *b, const char *source, int fd, const char *error)
{
	struct watch *w = deploy_watch(b, source);
	cleanup_error struct error *e = NULL;
	const struct config_source *c;
	struct watch_args args;

	if (!w) {
		if (fd >= 0)
			close(fd);
		return;
	}
	c = w->config;
	args = config_watch(c);
	if (fd < 0 || source_attach(b->sources, c->name, &args, fd, &e) < 0) {
		unread_say(w, e ? error_text(e) : error);
		worker_retry(w);
		return;
	}
	unread_say(w, NULL);
	if (w->readable)
		event_free(w->readable);
	w->readable = event_new(b->base, source_fd(b->sources, c->name), EV_READ | EV_PERSIST,
				on_readable, w);
	event_add(w->readable, NULL);
	brain_poke(b); /* what drifted while there was no worker */
	/* What the mirror remembers may not be applied yet. */
	if (source_head(b->sources, c->name))
		deploy(b, w, false);
}

/* It is in the store, and not in the configuration any more: it is no source.  What it stated
 * stays, as it is (own.h), and its history; it is adopted again when the source is put back. */
static void
forget(struct brain *b, const char *name)
{
	cleanup_error struct error *e = NULL;
	struct snapshot s = { 0 };
	const struct source *old;
	size_t n = 0;

	store_view(b->store, &s);
	for (int r = 0; r < RES_COUNT; r++)
		for (size_t i = 0; i < s.of[r].n; i++)
			n += own_is_signed(s.of[r].at[i]) &&
			     !strcmp(object_label(s.of[r].at[i], ANNOTATION_SOURCE), name);
	if (n)
		log_warn(
		    name,
		    "source %s is no longer configured: its objects (%zu) stay as they are and "
		    "are "
		    "not from Git any more; put the source back, or delete them (kedge status "
		    "names them)",
		    name, n);
	old = store_find(b->store, RES_source, "", name);
	if (old && old->spec->suspend)
		log_warn(name,
			 "its suspension is forgotten with it: put back, it applies what Git "
			 "says, unless its row in kedge.yaml has suspend: true");
	else if (old && old->spec->pin && *old->spec->pin)
		log_warn(name,
			 "that it stays at commit %.7s is forgotten with it: put back, it "
			 "applies what Git says, unless its row in kedge.yaml has ref: %s",
			 old->spec->pin, old->spec->pin);
	/* Its head with it: put back, it would be applied before the repository, which may be
	 * another one then, has said a word. */
	if (source_forget(b->sources, name, &e) < 0)
		log_err(name, "%s", error_text(e));
	error_free(&e);
	if (store_delete(b->store, RES_source, "", name, &e) < 0)
		log_err(name, "%s", error_text(e));
}

static void
sources_forget(struct brain *b)
{
	cleanup_arena struct arena a = { 0 };
	struct objects all = store_all(b->store, RES_source);
	const char **gone = arena_alloc(&a, (all.n + 1) * sizeof *gone);
	size_t n = 0;

	for (size_t i = 0; i < all.n; i++) {
		const char *name = object_name(all.at[i]);
		bool known = false;

		for (size_t k = 0; k < b->config->sources.n && !known; k++)
			known = !strcmp(b->config->sources.at[k].name, name);
		if (!known)
			gone[n++] = arena_strdup(&a, name);
	}
	for (size_t i = 0; i < n; i++)
		forget(b, gone[i]);
}

void
deploy_open(struct brain *b)
{
	sources_forget(b);
	b->watches = xcalloc(b->config->sources.n + 1, sizeof *b->watches);
	for (size_t i = 0; i < b->config->sources.n; i++) {
		struct watch *w = &b->watches[i];

		*w = (struct watch){ .brain = b, .config = &b->config->sources.at[i] };
		w->retry = evtimer_new(b->base, on_retry, w);
		source_declare(w);
		worker_ask(w);
	}
}

/* ---- revisions ---- */

static int64_t
revision_next(struct watch *w)
{
	struct objects all = store_all(w->brain->store, RES_revision);
	int64_t top = 0;

	for (size_t i = 0; i < all.n; i++) {
		const struct revision *r = (const void *)all.at[i];

		if (!strcmp(r->spec->source, w->config->name) && r->spec->number > top)
			top = r->spec->number;
	}
	return top + 1;
}

/* The newest revision that was applied: what the live objects should be. */
static const struct revision *
revision_in_force(struct watch *w)
{
	struct objects all = store_all(w->brain->store, RES_revision);
	const struct revision *found = NULL;

	for (size_t i = 0; i < all.n; i++) {
		const struct revision *r = (const void *)all.at[i];

		if (!strcmp(r->spec->source, w->config->name) && revision_was_applied(r) &&
		    (!found || r->spec->number > found->spec->number))
			found = r;
	}
	return found;
}

/* The oldest ones go when there are very many, but for the one that drift is mended by. */
static void
revisions_trim(struct watch *w, int64_t newest)
{
	struct objects all = store_all(w->brain->store, RES_revision);
	const struct revision *force = revision_in_force(w);
	cleanup_error struct error *e = NULL;
	cleanup_free char *name = NULL;

	for (size_t i = 0; i < all.n && !name; i++) {
		const struct revision *r = (const void *)all.at[i];

		if (str_is(r->spec->source, w->config->name) && r != force &&
		    r->spec->number <= newest - REVISIONS_KEPT)
			name = xstrdup(object_name(r));
	}
	if (name && store_delete(w->brain->store, RES_revision, "", name, &e) < 0)
		log_err(w->config->name, "revision %s: %s", name, error_text(e));
}

static const char *
folder_of(const struct watch *w)
{
	return w->config->path && *w->config->path ? w->config->path : ".";
}

static struct revision *
revision_new(struct watch *w, const struct source_head *head, struct arena *a)
{
	int64_t number = revision_next(w);
	struct revision *r = object_new(
	    RES_revision, "", arena_printf(a, "%s-%" PRId64, w->config->name, number), a);

	r->spec = arena_zalloc(a, sizeof *r->spec);
	*r->spec = (struct revision_spec){ .source = w->config->name,
					   .number = number,
					   .commit = head->commit,
					   .tree = head->tree,
					   .path = folder_of(w),
					   .author = head->author,
					   .message = head->message,
					   .time = head->time_ms,
					   .forced = head->forced };
	r->status = arena_zalloc(a, sizeof *r->status);
	r->status->startTime = now_ms();
	revisions_trim(w, number);
	return r;
}

/* Older ones do not say which folder they read. */
static bool
speaks_of(const struct revision *r, const char *commit, const char *path)
{
	return r && str_is(r->spec->commit, commit) &&
	       (!r->spec->path || !path || !strcmp(r->spec->path, path));
}

int
deploy_plan(struct brain *b, struct watch *w, const char *commit, const char *path,
	    bool allow_prune, const struct manifest_set *before, struct snapshot *s,
	    struct plan *p, struct complaints *cs, struct manifest_set **ret, bool *ret_refused,
	    struct error **e)
{
	const struct revision *force = revision_in_force(w);
	bool refused = false;
	struct wanted wanted = { .source = w->config->name,
				 .revision = commit,
				 .prune_allowed = allow_prune,
				 .no_commits = str_is(w->config->type, "directory"),
				 .ret_refused = &refused,
				 .admitted = speaks_of(force, commit, path) };

	if (source_manifests(b->sources, w->config->name, commit, path, ret, cs, e) < 0)
		return -1;
	wanted.at = (*ret)->at;
	wanted.n = (*ret)->n;
	if (before) {
		wanted.before = before->at;
		wanted.nbefore = before->n;
	}
	if (!cs->errors)
		apply_reconcile(s, &wanted, p, cs);
	if (ret_refused)
		*ret_refused = refused;
	return 0;
}

/* The older revision of the source that still waits, there is at most one, is overtaken. */
static void
revisions_supersede(struct watch *w, const struct revision *newest)
{
	struct objects all = store_all(w->brain->store, RES_revision);
	cleanup_arena struct arena a = { 0 };
	cleanup_error struct error *e = NULL;
	struct revision *found = NULL;

	for (size_t i = 0; i < all.n; i++) {
		const struct revision *r = (const void *)all.at[i];

		if (!strcmp(r->spec->source, w->config->name) && r->status &&
		    r->status->outcome && !strcmp(r->status->outcome, "Applying") &&
		    strcmp(object_name(r), object_name(newest)))
			found = object_clone(r, &a);
	}
	if (!found)
		return;
	found->status->outcome = "Superseded";
	found->status->endTime = now_ms();
	found->status->durationMs = found->status->endTime - found->status->startTime;
	found->status->waitingFor = NULL;
	if (store_update(w->brain->store, found, &e) < 0)
		log_err(w->config->name, "revision %s: %s", object_name(found), error_text(e));
}

/* Carries the plan out, and counts in the Revision what it was. */
static void
plan_carry(struct brain *b, const struct plan *p, struct revision_status *st)
{
	for (size_t i = 0; i < p->n; i++) {
		enum verb v = p->at[i].verb;

		st->created += v == ACT_CREATE;
		st->changed += v == ACT_UPDATE || v == ACT_SCALE;
		st->pruned += v == ACT_DELETE;
		carry(b, &p->at[i]);
	}
	b->gave_way += p->n > 0;
}

/* What ResourceQuotas and LimitRanges say, and what the former counted; and what was others':
 * any change of one shows. */
static uint64_t
limits_hash(struct brain *b)
{
	static const enum resource_id kinds[] = { RES_resource_quota, RES_limit_range };
	uint64_t h = b->gave_way + 1;

	for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
		struct objects all = store_all(b->store, kinds[k]);

		for (size_t i = 0; i < all.n; i++)
			h = hash_str(hash_str(h, object_uid(all.at[i])),
				     all.at[i]->metadata->resourceVersion);
	}
	return h;
}

static void
waits_note(struct watch *w, const struct plan *p)
{
	free(w->waits);
	w->waits = p->waits ? xstrdup(p->waits) : NULL;
}

bool
deploy_consented(struct watch *w, const struct source_head *head)
{
	const struct revision *r = revision_in_force(w);

	return head->prune_ok && !(r && str_is(r->spec->commit, head->commit));
}

static void
deploy_commit(struct brain *b, struct watch *w, const struct source_head *head,
	      bool allow_prune)
{
	cleanup_arena struct arena a = { 0 };
	cleanup_error struct error *e = NULL;
	struct complaints cs = { .arena = &a };
	struct manifest_set *set = NULL;
	struct snapshot s;
	struct plan p;
	struct revision *r;
	struct source_change change = { .commit = head->commit,
					.tree = head->tree,
					.error = "" };

	brain_snapshot(b, &s, &a);
	plan_init(&p, &a);
	if (deploy_plan(b, w, head->commit, folder_of(w),
			allow_prune || deploy_consented(w, head),
			w->drifted || w->waits ? NULL : w->applied, &s, &p, &cs, &set,
			&w->refused, &e) < 0) {
		log_warn(w->config->name, "%s", error_text(e)); /* the mirror mends itself */
		return;
	}
	if (!cs.errors && deploy_fetches(b, w, head->commit, allow_prune, &s, &p)) {
		manifest_set_free(set);
		change.pulling = w->fetch_text;
		source_status_put(w, &change);
		brain_poke(b);
		return;
	}
	deploy_fetch_over(w);
	w->refused_by = limits_hash(b);
	if (cs.errors && w->again) { /* no better than it was */
		manifest_set_free(set);
		return;
	}
	r = revision_new(w, head, &a);
	images_wanted(set, &a, &r->status->images);
	change.pulling = "";
	change.revision = r->spec->number;
	revision_complaints(r, &cs, &a);
	r->status->outcome = cs.errors ? "Failed" : "Applying";
	if (cs.errors) {
		r->status->endTime = now_ms();
		r->status->durationMs = r->status->endTime - r->status->startTime;
	} else {
		log_info(w->config->name, "revision %" PRId64 ": %.7s by %s", r->spec->number,
			 head->commit, head->author ? head->author : "?");
		waits_note(w, &p);
		plan_carry(b, &p, r->status);
	}
	revision_store(b, r);
	if (!cs.errors) /* what changed nothing takes nobody's place */
		revisions_supersede(w, r);
	source_status_put(w, &change);
	if (cs.errors) {
		manifest_set_free(set);
	} else {
		manifest_set_free(w->applied);
		w->applied = set;
	}
	brain_poke(b);
}

const struct revision *
deploy_newest(struct watch *w)
{
	const struct source *s = source_object(w);
	cleanup_free char *name = NULL;

	if (!s || !s->status || !s->status->revision)
		return NULL;
	xasprintf(&name, "%s-%" PRId64, w->config->name, s->status->revision);
	return store_find(w->brain->store, RES_revision, "", name);
}

/* The newest Revision of the source speaks of this commit (and did not merely fail to prune).
 */
static bool
was_applied(struct watch *w, const char *commit)
{
	return speaks_of(deploy_newest(w), commit, folder_of(w));
}

static bool
newest_failed(struct watch *w)
{
	const struct revision *r = deploy_newest(w);

	return r && r->status && str_is(r->status->outcome, "Failed");
}

/* Nothing of it is to be applied now: no images are waited for any more. */
static void
rests(struct watch *w)
{
	deploy_fetch_over(w);
	source_status_put(w, &(struct source_change){ .error = "", .pulling = "" });
}

void
deploy(struct brain *b, struct watch *w, bool allow_prune)
{
	const struct source *s = source_object(w);
	const struct source_head *head = source_head(b->sources, w->config->name);
	struct source_head pinned = { 0 };
	cleanup_error struct error *e = NULL;

	if (!s || !head)
		return;
	if (s->spec->suspend) {
		log_info(w->config->name, "suspended: %.7s is not applied", head->commit);
		rests(w);
		return;
	}
	if (s->spec->pin && *s->spec->pin) {
		if (source_commit_info(b->sources, s->spec->pin, &pinned, &e) < 0) {
			log_err(w->config->name, "pin: %s", error_text(e));
			return;
		}
		head = &pinned;
	}
	if (allow_prune || w->again || (w->fetching && str_is(w->fetching, head->commit)) ||
	    !was_applied(w, head->commit))
		deploy_commit(b, w, head, allow_prune);
	else {
		rests(w);
		/* in another life of ours it may have been for limits that are others now */
		w->refused = newest_failed(w);
		w->refused_by = 0;
		w->drifted = true; /* a start: what changed while we were away is put back */
		brain_poke(b);
	}
	source_head_done(&pinned);
	back_settle(b, w);
}

void
deploy_refused(struct brain *b)
{
	for (size_t i = 0; b->watches && i < b->config->sources.n; i++) {
		struct watch *w = &b->watches[i];
		uint64_t now;

		if (!w->refused || !source_known(b->sources, w->config->name) ||
		    w->refused_by == (now = limits_hash(b)))
			continue;
		w->refused_by = now; /* also when it is suspended, or cannot be read now */
		w->again = true;
		deploy(b, w, false);
		w->again = false;
	}
}

static void
say_unrepaired(struct watch *w, const struct complaints *cs, struct arena *a)
{
	for (const struct complaint *c = cs->first; c; c = c->next)
		if (!c->warning) {
			log_warn(w->config->name, "what drifted is not put back: %s",
				 complaint_print(c, a));
			return;
		}
}

bool
deploy_repair(struct brain *b, struct watch *w)
{
	cleanup_arena struct arena a = { 0 };
	cleanup_error struct error *e = NULL;
	struct complaints cs = { .arena = &a };
	const struct revision *r = revision_in_force(w);
	const struct source *s = source_object(w);
	struct manifest_set *set = NULL;
	struct snapshot snap;
	struct plan p;
	bool changed = false;

	if (!source_known(b->sources, w->config->name))
		return false; /* just started: it is looked at again when its worker is there */
	w->drifted = false;
	if (!r || !deploy_newest(w) || s->spec->suspend)
		return false; /* one that was put back has its history, but applied nothing yet
			       */
	brain_snapshot(b, &snap, &a);
	plan_init(&p, &a);
	/* It prunes no more than the guard lets it: whatever that is, nobody consented to it.
	 */
	if (deploy_plan(b, w, r->spec->commit, r->spec->path, false, NULL, &snap, &p, &cs, &set,
			NULL, &e) < 0) {
		log_warn(w->config->name, "%s", error_text(e));
		return false;
	}
	say_unrepaired(w, &cs, &a);
	if (!cs.errors)
		waits_note(w, &p);
	for (size_t i = 0; i < p.n && !cs.errors; i++)
		changed |= carry(b, &p.at[i]);
	manifest_set_free(set);
	return changed;
}

void
deploy_drifted(struct brain *b, const void *obj)
{
	const char *source = object_label(obj, ANNOTATION_SOURCE);
	struct watch *w = source ? deploy_watch(b, source) : NULL;

	b->gave_way += w || resource_of(obj)->id == RES_service;
	if (!w)
		return;
	w->drifted = true;
	brain_poke(b);
}

void
deploy_forgotten(struct brain *b, const void *obj)
{
	deploy_drifted(b, obj);
	for (size_t i = 0; b->watches && i < b->config->sources.n; i++)
		if (b->watches[i].waits) {
			b->watches[i].drifted = true;
			brain_poke(b);
		}
}

void
deploy_waits(struct brain *b, struct snapshot *s)
{
	size_t most = b->watches ? b->config->sources.n : 0;
	struct source_wait *at = arena_alloc(s->arena, (most + 1) * sizeof *at);

	s->waits = at;
	for (size_t i = 0; i < most; i++)
		if (b->watches[i].waits)
			at[s->nwaits++] = (struct source_wait){ b->watches[i].config->name,
								b->watches[i].waits };
}

/* ---- what a user asks for ---- */

int
deploy_hold(struct watch *w, bool suspend, const char *pin, struct error **e)
{
	cleanup_arena struct arena a = { 0 };
	const struct source *old = source_object(w);
	struct source *s;

	if (!old)
		return fail(e, WHY_NOT_FOUND, "source %s is not known yet", w->config->name);
	s = object_clone(old, &a);
	s->spec->suspend = suspend;
	s->spec->pin = pin;
	return store_update(w->brain->store, s, e);
}

int
deploy_suspend(struct brain *b, struct watch *w, bool suspend, struct error **e)
{
	if (deploy_hold(w, suspend, NULL, e) < 0)
		return -1;
	if (suspend)
		rests(w);
	else {
		source_status_put(w, &(struct source_change){ .error = "" });
		deploy(b, w, false);
	}
	brain_poke(b);
	return 0;
}
