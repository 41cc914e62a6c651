/* pod_image.c -- a pod's images: there, coming, failed, or to be asked for.
 *
 * Pure.  A container is started when its image is on the host.  Kubernetes' rules: an image
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
	return imageref_is_of(x->name, name, at - name) &&
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

bool
pod_image_next(const struct pod_spec *spec, size_t *at, struct pod_image *ret)
{
	size_t n = pod_parts(spec);

	for (; *at < n + spec->volumes.n; ++*at) {
		const struct container *c = *at < n ? pod_part(spec, *at) : NULL;
		const struct volume *v = c ? NULL : &spec->volumes.at[*at - n];

		if (c)
			*ret = (struct pod_image){ .image = c->image,
						   .policy = c->imagePullPolicy,
						   .container = c,
						   .role = pod_part_role(spec, *at) };
		else if (v->image && !str_is(v->image->reference, ""))
			*ret = (struct pod_image){ .image = v->image->reference,
						   .policy = v->image->pullPolicy,
						   .volume = v->name };
		else
			continue;
		++*at;
		return true;
	}
	return false;
}

struct image_look
image_look(struct snapshot *s, const char *ns, const struct pod_spec *spec,
	   const struct pod_image *x, int64_t since, struct arena *a)
{
	struct image_look l = { .name = full_name(x->image, a) };

	if (!l.name) {
		l.state = IMAGE_NO_NAME;
		return l;
	}
	l.seen = image_find(s, l.name);
	if (!s->images) {
		l.state = IMAGE_THERE; /* nobody knows: the host will say */
	} else if (str_is(x->policy, "Never")) {
		l.state = l.seen ? IMAGE_THERE : IMAGE_NEVER;
	} else if (l.seen && (!str_is(x->policy, "Always") || str_is(l.seen->digest, "") ||
			      strchr(l.name, '@'))) {
		bool mine;

		l.key = key_of(l.name, ns, spec, a);
		l.pull = pull_find(s, l.key);
		mine = l.pull && l.pull->began >= since; /* it came for this very one */
		l.pulled = mine && l.pull->state == PULL_DONE;
		/* it is listed a moment before its pull is known to be over */
		l.state = mine && l.pull->state == PULL_RUNNING ? IMAGE_COMING : IMAGE_THERE;
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
enum { WAYS_DEPTH = 6 };
static const char *const ways[] = { "spec", "template", "jobTemplate" };

static const struct pod_spec *
spec_within(const struct kind *k, const void *obj, int depth)
{
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

static bool
spec_may_be_within(const struct kind *k, int depth)
{
	if (k == pod_spec_kind())
		return true;
	for (size_t i = 0; depth && i < sizeof ways / sizeof *ways; i++) {
		const struct field *f = schema_field(k, ways[i]);

		if (f && f->type == T_OBJ && spec_may_be_within(f->of(), depth - 1))
			return true;
	}
	return false;
}

bool
resource_has_pod_spec(const struct resource *r)
{
	return spec_may_be_within(r->schema, WAYS_DEPTH);
}

const struct pod_spec *
object_pod_spec(const void *obj)
{
	return spec_within(resource_of(obj)->schema, obj, WAYS_DEPTH);
}

/* ---- what is told ---- */

/* Of a container, or (a volume's image is nobody's) of the pod. */
static void
tell(struct plan *p, const struct pod *pod, const struct container *c, const char *type,
     const char *reason, const char *message)
{
	pod_tell(p, pod, c ? c->name : NULL, type, reason, message);
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

/* `began`: somebody was told already that it is pulled. */
static void
tell_trouble(struct snapshot *s, struct plan *p, const struct pod *pod,
	     const struct pod_image *x, const struct pod_trouble *t, bool began)
{
	struct arena *a = p->arena;
	const struct container *c = x->container;

	if (str_is(t->reason, "ErrImagePull")) {
		tell_secrets(s, pod, c, p);
		/* the commit asked for it before the pod was there to tell of */
		if (!began)
			tell(p, pod, c, "Normal", "Pulling",
			     arena_printf(a, "Pulling image \"%s\"", x->image));
		tell(p, pod, c, "Warning", "Failed",
		     arena_printf(a, "Failed to pull image \"%s\": %s", x->image, t->message));
	} else if (str_is(t->reason, "ImagePullBackOff")) {
		tell(p, pod, c, "Normal", "BackOff",
		     arena_printf(a, "Back-off pulling image \"%s\"", x->image));
	} else {
		tell(p, pod, c, "Warning",
		     str_is(t->reason, "InvalidImageName") ? "InspectFailed" : t->reason,
		     t->message);
	}
}

/* ---- one image ---- */

static struct pod_trouble
trouble_of(const struct snapshot *s, const struct pod_image *x, const struct image_look *l,
	   struct plan *p)
{
	struct pod_trouble t = { 0 };
	struct arena *a = p->arena;

	switch (l->state) {
	case IMAGE_NO_NAME:
		t.reason = "InvalidImageName";
		t.message = arena_printf(a,
					 "Failed to apply default image tag \"%s\": couldn't "
					 "parse image name \"%s\": invalid reference format",
					 x->image, x->image);
		break;
	case IMAGE_NEVER:
		t.reason = "ErrImageNeverPull";
		t.message = arena_printf(a,
					 "Container image \"%s\" is not present with pull "
					 "policy of Never",
					 x->image);
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
					 x->image, l->pull->error);
		if (l->state == IMAGE_FAILED)
			plan_again(p, l->pull->retry_at);
	}
	return t;
}

static void
fetch(struct snapshot *s, const struct pod *pod, const struct pod_image *x,
      const struct image_look *l, struct plan *p)
{
	tell_secrets(s, pod, x->container, p);
	tell(p, pod, x->container, "Normal", "Pulling",
	     arena_printf(p->arena, "Pulling image \"%s\"", x->image));
	image_fetch(l, object_namespace(pod), pod->spec, object_path(pod, p->arena), p);
}

/* Does this container wait for that image: its own, or a volume's that it mounts? */
static bool
waits_for(const struct container *c, const struct pod_image *x)
{
	if (x->container)
		return c == x->container;
	for (size_t i = 0; i < c->volumeMounts.n; i++)
		if (str_is(c->volumeMounts.at[i].name, x->volume))
			return true;
	return false;
}

static bool
has_trouble(const struct pod_trouble *at, size_t n, const char *container)
{
	for (size_t i = 0; i < n; i++)
		if (str_is(at[i].container, container))
			return true;
	return false;
}

/* The kubelet blames a container for the first that is wrong with it; what is wrong with a
 * volume's image is the trouble of each that mounts it. */
static void
blame(struct snapshot *s, const struct pod *pod, const struct pod_image *x,
      const struct image_look *l, struct plan *p, struct pod_trouble *ret, size_t *ret_n)
{
	struct pod_trouble t = trouble_of(s, x, l, p);
	bool told = false;

	for (size_t i = 0; t.reason && i < pod_parts(pod->spec); i++) {
		const struct container *c = pod_part(pod->spec, i);

		if (!waits_for(c, x) || has_trouble(ret, *ret_n, c->name))
			continue;
		t.container = c->name;
		ret[(*ret_n)++] = t;
		if (pod_part_waits(pod->status, c->name, t.reason))
			continue; /* told, whatever the number of passes */
		if (!told)
			tell_trouble(s, p, pod, x, &t, pod_part_status(pod->status, c->name));
		told = true;
		tell(p, pod, c, "Warning", "Failed",
		     arena_printf(p->arena, "Error: %s", t.reason));
	}
}

static bool
anybody_waits(const struct pod_spec *spec, const struct pod_image *x)
{
	for (size_t i = 0; i < pod_parts(spec); i++)
		if (waits_for(pod_part(spec, i), x))
			return true;
	return false;
}

/* An ephemeral container is younger than its pod: what was fetched before its first look
 * (then it has no status yet) does not count for it. */
static int64_t
asked_since(const struct snapshot *s, const struct pod *pod, const struct pod_image *x)
{
	return x->role == PART_EPHEMERAL && !pod_part_status(pod->status, x->container->name)
		   ? s->now
		   : pod->metadata->creationTimestamp;
}

static bool
image_there(struct snapshot *s, const struct pod *pod, const struct pod_image *x,
	    struct plan *p, struct pod_trouble *ret, size_t *ret_n)
{
	struct image_look l = image_look(s, object_namespace(pod), pod->spec, x,
					 asked_since(s, pod, x), p->arena);

	if (l.state == IMAGE_THERE)
		return true;
	if (l.state == IMAGE_FETCH)
		fetch(s, pod, x, &l, p);
	blame(s, pod, x, &l, p, ret, ret_n);
	return !anybody_waits(pod->spec, x);
}

void
pod_images(struct snapshot *s, const struct pod *pod, struct plan *p, struct pod_trouble *ret,
	   size_t *ret_n)
{
	struct pod_image x;

	*ret_n = 0;
	for (size_t i = 0; pod_image_next(pod->spec, &i, &x);)
		if (x.role != PART_EPHEMERAL)
			image_there(s, pod, &x, p, ret, ret_n);
}

bool
pod_images_here(struct snapshot *s, const struct pod *pod, const struct container *c,
		struct arena *a)
{
	struct pod_image x;

	for (size_t i = 0; pod_image_next(pod->spec, &i, &x);)
		if (waits_for(c, &x) && image_look(s, object_namespace(pod), pod->spec, &x,
						   asked_since(s, pod, &x), a)
						.state != IMAGE_THERE)
			return false;
	return true;
}

bool
pod_images_of(struct snapshot *s, const struct pod *pod, const struct container *c,
	      struct plan *p, struct pod_trouble *ret, size_t *ret_n)
{
	struct pod_image x;
	bool all = true;

	for (size_t i = 0; pod_image_next(pod->spec, &i, &x);)
		if (waits_for(c, &x))
			all &= image_there(s, pod, &x, p, ret, ret_n);
	return all;
}

/* ---- it is there, and used ---- */

static const char *
seconds(int64_t ms, struct arena *a)
{
	if (ms < 1000)
		return arena_printf(a, "%lldms", (long long)ms);
	return arena_printf(a, "%lld.%03llds", (long long)ms / 1000, (long long)ms % 1000);
}

static void
tell_pulled(struct snapshot *s, const struct pod *pod, const struct pod_image *x, int64_t since,
	    struct plan *p)
{
	struct image_look l =
	    image_look(s, object_namespace(pod), pod->spec, x, since, p->arena);
	const char *took;

	if (!l.seen || l.state != IMAGE_THERE)
		return;
	if (!l.pulled) {
		tell(p, pod, x->container, "Normal", "Pulled",
		     arena_printf(p->arena, "Container image \"%s\" already present on machine",
				  x->image));
		return;
	}
	took = seconds(l.pull->ended - l.pull->began, p->arena);
	tell(p, pod, x->container, "Normal", "Pulled",
	     arena_printf(p->arena,
			  "Successfully pulled image \"%s\" in %s (%s including "
			  "waiting). Image size: %lld bytes.",
			  x->image, took, took, (long long)l.seen->size));
}

void
pod_images_told(struct snapshot *s, const struct pod *pod, struct plan *p)
{
	struct pod_image x;

	for (size_t i = 0; pod_image_next(pod->spec, &i, &x);)
		if (x.role != PART_EPHEMERAL &&
		    (!x.container || pod_images_here(s, pod, x.container, p->arena)))
			tell_pulled(s, pod, &x, asked_since(s, pod, &x), p);
}

void
pod_images_of_told(struct snapshot *s, const struct pod *pod, const struct container *c,
		   struct plan *p)
{
	struct pod_image x;

	/* that of one which waited for something else was told of when the pod was started */
	if (pod_part_waits(pod->status, c->name, "CreateContainerConfigError"))
		return;
	for (size_t i = 0; pod_image_next(pod->spec, &i, &x);)
		if (waits_for(c, &x))
			tell_pulled(s, pod, &x, asked_since(s, pod, &x), p);
}

bool
pod_image_added(struct snapshot *s, const struct pod *pod, const struct container *c,
		struct plan *p, struct pod_trouble *ret, size_t *ret_n)
{
	const struct pod_image x = { .image = c->image,
				     .policy = c->imagePullPolicy,
				     .container = c,
				     .role = PART_EPHEMERAL };

	if (!image_there(s, pod, &x, p, ret, ret_n))
		return false;
	tell_pulled(s, pod, &x, asked_since(s, pod, &x), p);
	return true;
}

bool
pod_image_changed(struct snapshot *s, const struct pod *pod, const struct container *c,
		  int64_t since, const char *told, struct plan *p, struct pod_trouble *ret)
{
	const struct pod_image x = { .image = c->image,
				     .policy = c->imagePullPolicy,
				     .container = c };
	struct image_look l =
	    image_look(s, object_namespace(pod), pod->spec, &x, since, p->arena);

	if (l.state == IMAGE_THERE) {
		tell_pulled(s, pod, &x, since, p);
		return true;
	}
	if (l.state == IMAGE_FETCH)
		fetch(s, pod, &x, &l, p);
	*ret = trouble_of(s, &x, &l, p);
	if (ret->reason && !str_is(ret->reason, told)) {
		tell_trouble(s, p, pod, &x, ret, true);
		tell(p, pod, c, "Warning", "Failed",
		     arena_printf(p->arena, "Error: %s", ret->reason));
	}
	return false;
}
