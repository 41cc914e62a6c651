/* brain_fetch.c -- a commit's images are on the host before anything of it is applied.
 *
 * What runs goes on running meanwhile.  A commit whose image does not come is applied all
 * the same, once that is known: its pods then say why they wait, as in Kubernetes, and the
 * rollout keeps the old ones.
 */
#include "brain_fetch.h"
#include "../reconcile/base/cleanup.h"
#include "../reconcile/base/log.h"
#include "../reconcile/base/map.h"
#include "../reconcile/pod_image.h"
#include "brain_pull.h"
#include "brain_state.h"
#include <string.h>

enum { TELL_MS = 500 };

struct fetching {
	struct brain *brain;
	struct watch *watch;
	struct snapshot *s;
	struct plan plan; /* of FETCH actions */
	struct buf text;
	bool holds;
};

static void
fetch_one(struct fetching *f, const void *obj, const struct pod_spec *spec,
	  const struct pod_image *x)
{
	struct image_look l = image_look(f->s, object_namespace(obj), spec, x,
					 f->watch->fetch_since, f->plan.arena);

	/* what failed since this commit came has had its chance */
	if (l.state == IMAGE_FETCH && l.pull && l.pull->state == PULL_FAILED &&
	    l.pull->ended >= f->watch->fetch_since)
		return;
	if (l.state == IMAGE_FETCH)
		image_fetch(&l, object_namespace(obj), spec, object_path(obj, f->plan.arena),
			    &f->plan);
	if (l.state != IMAGE_FETCH && l.state != IMAGE_COMING)
		return;
	f->holds = true;
	buf_addf(&f->text, "%s%s %d%%", f->text.len ? ", " : "", x->image,
		 pull_percent(f->brain, l.key));
}

bool
deploy_fetches(struct brain *b, struct watch *w, const char *commit, bool allow_prune,
	       struct snapshot *s, const struct plan *p)
{
	struct fetching f = { .brain = b, .watch = w, .s = s };

	if (!w->fetching || strcmp(w->fetching, commit)) {
		free(w->fetching);
		w->fetching = xstrdup(commit);
		w->fetch_since = s->now;
		w->fetch_prune = false;
	}
	w->fetch_prune |= allow_prune;
	plan_init(&f.plan, s->arena);
	for (size_t i = 0; i < p->n; i++) {
		const struct action *a = &p->at[i];
		const struct pod_spec *spec;
		struct pod_image x;

		if (a->verb != ACT_CREATE && a->verb != ACT_UPDATE && a->verb != ACT_SCALE)
			continue;
		spec = object_pod_spec(a->body);
		for (size_t k = 0; spec && pod_image_next(spec, &k, &x);)
			fetch_one(&f, a->body, spec, &x);
	}
	for (size_t i = 0; i < f.plan.n; i++)
		carry(b, &f.plan.at[i]);
	free(w->fetch_text);
	w->fetch_text = f.holds ? buf_steal(&f.text) : NULL;
	w->fetch_told = monotonic_ms();
	buf_done(&f.text);
	return f.holds;
}

void
deploy_fetch_over(struct watch *w)
{
	free(w->fetching);
	free(w->fetch_text);
	w->fetching = w->fetch_text = NULL;
}

void
deploys_go_on(struct brain *b, bool ended)
{
	for (size_t i = 0; b->watches && i < b->config->sources.n; i++) {
		struct watch *w = &b->watches[i];

		if (w->fetching && (ended || monotonic_ms() - w->fetch_told >= TELL_MS))
			deploy(b, w, w->fetch_prune);
	}
}

void
images_wanted(const struct manifest_set *set, struct arena *a, struct strs *ret)
{
	struct map seen = { 0 };
	bool has[RES_COUNT];

	for (int r = 0; r < RES_COUNT; r++) /* asked once a kind, not once an object */
		has[r] = resource_has_pod_spec(&resources[r]);
	*ret = (struct strs){ 0 };
	for (size_t i = 0; i < set->n; i++) {
		const struct pod_spec *spec =
		    has[set->at[i]->res->id] ? object_pod_spec(set->at[i]->obj) : NULL;
		struct pod_image x;
		const char **at;

		for (size_t k = 0; spec && pod_image_next(spec, &k, &x);) {
			if (map_put(&seen, x.image, ret))
				continue;
			at = arena_alloc(a, (ret->n + 1) * sizeof *at);
			if (ret->n)
				memcpy(at, ret->at, ret->n * sizeof *at);
			at[ret->n++] = arena_strdup(a, x.image);
			ret->at = at;
		}
	}
	map_done(&seen);
}
