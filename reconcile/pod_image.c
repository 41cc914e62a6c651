/* pod_image.c -- a pod's images: there, coming, failed, or to be asked for.
 *
 * Pure.  A pod is started when all its images are on the host.  Kubernetes' rules: an image
 * is fetched once per name unless the policy is Always; after a failure it is tried again
 * ten seconds later, then doubling up to five minutes (the table of pulls keeps that).
 * One rule is kedge's own: a name that somebody brought here by hand is nobody's to fetch.
 */
#include "pod_image.h"
#include "base/imageref.h"

enum {
	ERR_MS = 3000,    /* how long a failure is ErrImagePull before it is ImagePullBackOff */
	FRESH_MS = 10000, /* what came so shortly before the asker is new enough for Always */
};

/* ---- what is known ---- */

/* "repo@sha256:..": any tag of that repository with that content */
static bool
same_content(const struct image_seen *x, const char *name, const char *at)
{
	size_t n = at - name;

	return !strncmp(x->name, name, n) && (x->name[n] == ':' || x->name[n] == '@') &&
	       !strchr(x->name + n + 1, '/') &&
	       (str_is(x->digest, at + 1) || str_is(x->manifest, at + 1) ||
		str_is(x->id, at + 1));
}

static const struct image_seen *
image_find(const struct snapshot *s, const char *name)
{
	const char *at = strchr(name, '@');

	for (size_t i = 0; s->images && i < s->images->images.n; i++) {
		const struct image_seen *x = &s->images->images.at[i];

		if (str_is(x->name, name) || (at && same_content(x, name, at)))
			return x;
	}
	return NULL;
}

static const struct pull_seen_row *
pull_find(const struct snapshot *s, const char *key)
{
	for (size_t i = 0; i < s->npulls; i++)
		if (str_is(s->pulls[i].key, key))
			return &s->pulls[i];
	return NULL;
}

static const char *
key_of(const char *name, const char *ns, const struct pod_spec *spec, struct arena *a)
{
	const char *key = name;

	for (size_t i = 0; i < spec->imagePullSecrets.n; i++)
		key = arena_printf(a, "%s%s%s", key, i ? "," : arena_printf(a, " %s/", ns),
				   spec->imagePullSecrets.at[i].name);
	return key;
}

static const char *
full_name(const char *image, struct arena *a)
{
	char *full = imageref_normalise(image, NULL);
	const char *name = arena_strdup(a, full);

	free(full);
	return name;
}

/* What became of the last pull, for one who asks since `since`. */
static enum image_state
pull_judge(const struct snapshot *s, struct image_look *l, int64_t since)
{
	const struct pull_seen_row *p = l->pull;

	if (!p)
		return IMAGE_FETCH;
	switch (p->state) {
	case PULL_QUEUED:
	case PULL_RUNNING:
		return IMAGE_COMING;
	case PULL_DONE:
		/* what came at a time that is still to come (the clock was set back) would
		 * never be older than a pull: then any pull is good enough */
		l->pulled = l->seen && (p->began + FRESH_MS >= since || since > s->now);
		return l->pulled ? IMAGE_THERE : IMAGE_FETCH;
	case PULL_FAILED: /* who came later does not wait for what others waited for */
		if (since > p->ended && since <= s->now)
			return IMAGE_FETCH;
		return snapshot_early(s, p->ended, p->retry_at) ? IMAGE_FAILED : IMAGE_FETCH;
	default:
		return IMAGE_FETCH;
	}
}

struct image_look
image_look(struct snapshot *s, const char *ns, const struct pod_spec *spec,
	   const struct container *c, int64_t since, struct arena *a)
{
	struct image_look l = { .name = full_name(c->image, a) };

	if (!l.name) {
		l.state = IMAGE_NO_NAME;
		return l;
	}
	l.seen = image_find(s, l.name);
	if (!s->images) {
		l.state = IMAGE_THERE; /* nobody knows: the host will say */
	} else if (str_is(c->imagePullPolicy, "Never")) {
		l.state = l.seen ? IMAGE_THERE : IMAGE_NEVER;
	} else if (l.seen && (!str_is(c->imagePullPolicy, "Always") ||
			      str_is(l.seen->digest, "") || strchr(l.name, '@'))) {
		l.state = IMAGE_THERE;
		/* it came for this very one */
		l.key = key_of(l.name, ns, spec, a);
		l.pull = pull_find(s, l.key);
		l.pulled = l.pull && l.pull->state == PULL_DONE && l.pull->began >= since;
	} else {
		l.key = key_of(l.name, ns, spec, a);
		l.pull = pull_find(s, l.key);
		l.state = pull_judge(s, &l, since);
	}
	return l;
}

void
image_fetch(const struct image_look *l, const char *ns, const struct pod_spec *spec,
	    const char *why, struct plan *p)
{
	struct fetch_args *args = arena_zalloc(p->arena, sizeof *args);

	args->key = arena_strdup(p->arena, l->key);
	args->ns = arena_strdup(p->arena, ns);
	args->secrets.at =
	    arena_alloc(p->arena, (spec->imagePullSecrets.n + 1) * sizeof *args->secrets.at);
	for (size_t i = 0; i < spec->imagePullSecrets.n; i++)
		args->secrets.at[args->secrets.n++] =
		    arena_strdup(p->arena, spec->imagePullSecrets.at[i].name);
	plan_add(p, (struct action){ .verb = ACT_FETCH,
				     .kind = "image",
				     .ns = "",
				     .name = arena_strdup(p->arena, l->name),
				     .why = arena_strdup(p->arena, why),
				     .body = args });
}

/* Templates lie below spec, some of them deeper: found by their kind, so that a new kind of
 * workload needs no row here. */
static const struct pod_spec *
spec_within(const struct kind *k, const void *obj, int depth)
{
	static const char *const ways[] = { "spec", "template", "jobTemplate" };

	if (k == pod_spec_kind())
		return obj;
	for (size_t i = 0; depth && i < sizeof ways / sizeof *ways; i++) {
		const struct field *f = schema_field(k, ways[i]);
		const void *sub = f && f->type == T_OBJ
				      ? *(const void *const *)((const char *)obj + f->off)
				      : NULL;
		const struct pod_spec *found =
		    sub ? spec_within(f->of(), sub, depth - 1) : NULL;

		if (found)
			return found;
	}
	return NULL;
}

const struct pod_spec *
object_pod_spec(const void *obj)
{
	return spec_within(resource_of(obj)->schema, obj, 6);
}

/* ---- what is told ---- */

static void
tell(struct plan *p, const struct pod *pod, const struct container *c, const char *type,
     const char *reason, const char *message)
{
	plan_event(p, pod,
		   (struct event_args){
		       .type = type,
		       .reason = reason,
		       .message = message,
		       .component = "kedge",
		       .fieldPath = arena_printf(p->arena, "spec.%s{%s}",
						 pod_part_list(pod->spec, c->name), c->name) });
}

/* It waits for `reason` since this pass: told once, whatever the number of passes. */
static bool
is_news(const struct pod *pod, const struct container *c, const char *reason)
{
	const struct container_status *old = pod_part_status(pod->status, c->name);

	return !old || !old->state || !old->state->waiting ||
	       !str_is(old->state->waiting->reason, reason);
}

static void
tell_secrets(struct snapshot *s, const struct pod *pod, const struct container *c,
	     struct plan *p)
{
	const char *missing = NULL;

	for (size_t i = 0; i < pod->spec->imagePullSecrets.n; i++) {
		const char *name = pod->spec->imagePullSecrets.at[i].name;

		if (!snapshot_find(s, RES_secret, object_namespace(pod), name))
			missing =
			    missing ? arena_printf(p->arena, "%s, %s", missing, name) : name;
	}
	if (missing)
		tell(p, pod, c, "Warning", "FailedToRetrieveImagePullSecret",
		     arena_printf(p->arena,
				  "Unable to retrieve some image pull secrets (%s); attempting "
				  "to pull the image may not succeed.",
				  missing));
}

static void
tell_trouble(struct snapshot *s, struct plan *p, const struct pod *pod,
	     const struct container *c, const struct pod_trouble *t, const struct image_look *l)
{
	struct arena *a = p->arena;

	if (!is_news(pod, c, t->reason))
		return;
	if (str_is(t->reason, "ErrImagePull"))
		tell_secrets(s, pod, c, p);
	/* the commit asked for it before the pod was there to tell of */
	if (str_is(t->reason, "ErrImagePull") && !pod_part_status(pod->status, c->name))
		tell(p, pod, c, "Normal", "Pulling",
		     arena_printf(a, "Pulling image \"%s\"", c->image));
	if (str_is(t->reason, "ErrImagePull"))
		tell(p, pod, c, "Warning", "Failed",
		     arena_printf(a, "Failed to pull image \"%s\": %s", c->image,
				  l->pull->error));
	else if (str_is(t->reason, "ImagePullBackOff"))
		tell(p, pod, c, "Normal", "BackOff",
		     arena_printf(a, "Back-off pulling image \"%s\"", c->image));
	else
		tell(p, pod, c, "Warning",
		     str_is(t->reason, "InvalidImageName") ? "InspectFailed" : t->reason,
		     t->message);
	tell(p, pod, c, "Warning", "Failed", arena_printf(a, "Error: %s", t->reason));
}

/* ---- one container ---- */

static struct pod_trouble
trouble_of(const struct snapshot *s, const struct container *c, const struct image_look *l,
	   struct plan *p)
{
	struct pod_trouble t = { .container = c->name };
	struct arena *a = p->arena;

	switch (l->state) {
	case IMAGE_NO_NAME:
		t.reason = "InvalidImageName";
		t.message = arena_printf(a,
					 "Failed to apply default image tag \"%s\": couldn't "
					 "parse image name \"%s\": invalid reference format",
					 c->image, c->image);
		break;
	case IMAGE_NEVER:
		t.reason = "ErrImageNeverPull";
		t.message = arena_printf(a,
					 "Container image \"%s\" is not present with pull "
					 "policy of Never",
					 c->image);
		break;
	default: /* a pull that failed, also while it is tried again */
		if (!l->pull || str_is(l->pull->error, ""))
			return t;
		if (l->state == IMAGE_FAILED &&
		    snapshot_early(s, l->pull->ended, l->pull->ended + ERR_MS)) {
			t.reason = "ErrImagePull";
			t.message = arena_strdup(a, l->pull->error);
			plan_again(p, l->pull->ended + ERR_MS);
			break;
		}
		t.reason = "ImagePullBackOff";
		t.message = arena_printf(a, "Back-off pulling image \"%s\": ErrImagePull: %s",
					 c->image, l->pull->error);
		if (l->state == IMAGE_FAILED)
			plan_again(p, l->pull->retry_at);
	}
	return t;
}

static void
fetch(struct snapshot *s, const struct pod *pod, const struct container *c,
      const struct image_look *l, struct plan *p)
{
	tell_secrets(s, pod, c, p);
	tell(p, pod, c, "Normal", "Pulling",
	     arena_printf(p->arena, "Pulling image \"%s\"", c->image));
	image_fetch(l, object_namespace(pod), pod->spec, object_path(pod, p->arena), p);
}

/* The i-th thing of the pod that has an image: its containers, then its image volumes, which
 * are told of as if they were the first container's. */
static bool
wants_image(const struct pod_spec *spec, size_t i, struct container *ret)
{
	if (i < pod_parts(spec)) {
		*ret = *pod_part(spec, i);
		return true;
	}
	i -= pod_parts(spec);
	if (i >= spec->volumes.n || !spec->volumes.at[i].image)
		return false;
	*ret = (struct container){ .name = spec->containers.at[0].name,
				   .image = spec->volumes.at[i].image->reference,
				   .imagePullPolicy = spec->volumes.at[i].image->pullPolicy };
	return true;
}

bool
pod_images(struct snapshot *s, const struct pod *pod, struct plan *p, struct pod_trouble *ret,
	   size_t *ret_n)
{
	bool all = true;

	*ret_n = 0;
	for (size_t i = 0; i < pod_parts(pod->spec) + pod->spec->volumes.n; i++) {
		struct container c_ = { 0 }, *c = &c_;
		struct image_look l;
		struct pod_trouble t;

		if (!wants_image(pod->spec, i, c))
			continue;
		l = image_look(s, object_namespace(pod), pod->spec, c,
			       pod->metadata->creationTimestamp, p->arena);
		if (l.state == IMAGE_THERE)
			continue;
		all = false;
		if (l.state == IMAGE_FETCH)
			fetch(s, pod, c, &l, p);
		t = trouble_of(s, c, &l, p);
		if (!t.reason || *ret_n >= pod_parts(pod->spec))
			continue;
		tell_trouble(s, p, pod, c, &t, &l);
		ret[(*ret_n)++] = t;
	}
	return all;
}

static const char *
seconds(int64_t ms, struct arena *a)
{
	if (ms < 1000)
		return arena_printf(a, "%lldms", (long long)ms);
	return arena_printf(a, "%lld.%03llds", (long long)ms / 1000, (long long)ms % 1000);
}

void
pod_images_told(struct snapshot *s, const struct pod *pod, struct plan *p)
{
	for (size_t i = 0; i < pod_parts(pod->spec); i++) {
		const struct container *c = pod_part(pod->spec, i);
		struct image_look l = image_look(s, object_namespace(pod), pod->spec, c,
						 pod->metadata->creationTimestamp, p->arena);
		const char *took;

		if (!l.seen)
			continue;
		if (!l.pulled) {
			tell(p, pod, c, "Normal", "Pulled",
			     arena_printf(p->arena,
					  "Container image \"%s\" already present on machine",
					  c->image));
			continue;
		}
		took = seconds(l.pull->ended - l.pull->began, p->arena);
		tell(p, pod, c, "Normal", "Pulled",
		     arena_printf(p->arena,
				  "Successfully pulled image \"%s\" in %s (%s including "
				  "waiting). Image size: %lld bytes.",
				  c->image, took, took, (long long)l.seen->size));
	}
}
