/* podspec.c -- pod specs: checked, and as bytes on disk.
 *
 * The hand checked what the brain said by its shape; here it is checked by
 * what it will be used for: names become directories, paths are resolved in
 * containers.  podspec.def has a row for each field: from it come the checks of single values
 * and one walk that both writes and reads, so that the two cannot differ.
 */
#include <errno.h>
#include <string.h>

#include "reconcile/base/error.h"
#include "runtime/rt.h"

enum { PODSPEC_OLDEST = 5, PODSPEC_VERSION = 9 }; /* of the bytes: see podspec.def */
enum { FILE_PATH_MAX = 1000, FILE_NAME_MAX = 249, GROUPS_MAX = 48 };
enum { MAX_ITEMS = 65536, MAX_STRING = 32 << 20 };

static bool
is_name(const char *s, size_t max)
{
	size_t n = s ? strlen(s) : 0;

	if (n == 0 || n > max || s[0] == '.' || s[0] == '-' || s[n - 1] == '.' ||
	    s[n - 1] == '-')
		return false;
	return strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789.-") == n && !strstr(s, "..");
}

bool
podspec_name_ok(const char *s)
{
	return is_name(s, 63);
}

static bool
host_name_ok(const char *s)
{
	return is_name(s, W_HOSTNAME);
}

static bool
long_name_ok(const char *s)
{
	size_t n = s ? strlen(s) : 0;

	return n > 0 && n <= 253 && s[0] != '.' && s[0] != '-' && !strstr(s, "..") &&
	       strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789.-") == n;
}

/* No ".." anywhere: what a path names must not depend on what is there. */
static bool
parts_ok(const char *path)
{
	for (const char *at = path; *at;) {
		size_t n = strcspn(at, "/");

		if (n == 2 && at[0] == '.' && at[1] == '.')
			return false;
		at += n;
		at += *at == '/';
	}
	return strlen(path) < 3000;
}

static bool
path_ok(const char *path)
{
	return path && path[0] == '/' && parts_ok(path);
}

/* Relative and plain: every part is a name, so that nothing is left to resolve. */
static bool
file_path_ok(const char *s)
{
	/* ".." begins what the switch of a volume itself makes */
	if (!s || !strncmp(s, "..", 2) || strlen(s) > FILE_PATH_MAX)
		return false;
	for (;;) {
		size_t n = strcspn(s, "/");

		if (!n || n > FILE_NAME_MAX || (s[0] == '.' && n == 1) ||
		    (s[0] == '.' && s[1] == '.' && n == 2))
			return false;
		if (!s[n])
			return true;
		s += n + 1;
	}
}

static bool
path_or_none(const char *path)
{
	return !path || !*path || path_ok(path);
}

static bool
mount_path_ok(const char *path)
{
	return path_ok(path) && strspn(path, "/") != strlen(path);
}

static bool
sub_path_ok(const char *path)
{
	return !path || (path[0] != '/' && parts_ok(path));
}

static bool
profile_ok(const char *path)
{
	return !path || (*path && sub_path_ok(path));
}

static bool
image_ok(const char *name)
{
	return name && *name;
}

/* ---- single values ---- */

#define SPEC(type)                                                       \
	static int values_##type(const struct type *x, struct error **e) \
	{
#define STR(f)
#define STRS(f)
#define NUM(f)
#define DATA(f, n)
#define NUMS(f, n)
#define SINCE(version)
#define WORD(f, ok, complaint) \
	if (!ok(x->f))         \
		return fail(e, WHY_INVALID, complaint, x->f ? x->f : "");
#define LIMIT(f)      \
	if (x->f < 0) \
		return fail(e, WHY_INVALID, #f " %lld is negative", (long long)x->f);
#define ENUM(f, last)                \
	if ((unsigned)x->f > (last)) \
		return fail(e, WHY_INVALID, #f " %d is none there is", (int)x->f);
#define ONE(type, f)                     \
	if (values_##type(&x->f, e) < 0) \
		return -1;
#define LIST(type, f, n)                            \
	for (size_t i = 0; i < x->n; i++)           \
		if (values_##type(&x->f[i], e) < 0) \
			return -1;
#define NAMED(type, f, n, what)                     \
	for (size_t i = 0; i < x->n; i++)           \
		if (values_##type(&x->f[i], e) < 0) \
			return fail_in(e, what " %s", x->f[i].name ? x->f[i].name : "");
#define END(type) \
	return 0; \
	}
#include "runtime/podspec.def"
#undef SPEC
#undef STR
#undef STRS
#undef NUM
#undef DATA
#undef NUMS
#undef SINCE
#undef WORD
#undef LIMIT
#undef ENUM
#undef ONE
#undef LIST
#undef NAMED
#undef END

/* ---- what values are to each other ---- */

static int
volume_source(const struct rt_volume *v, struct error **e)
{
	if (v->type == RT_STORE && !podspec_name_ok(v->source))
		return fail(e, WHY_INVALID, "\"%s\" is not a name in the store",
			    v->source ? v->source : "");
	if (v->type == RT_HOST && !path_ok(v->source))
		return fail(e, WHY_INVALID,
			    "the host's path \"%s\" is not absolute or has \"..\"",
			    v->source ? v->source : "");
	if (v->type == RT_IMAGE && !image_ok(v->source))
		return fail(e, WHY_INVALID, "it names no image");
	return 0;
}

int
podspec_check_volume(const struct rt_volume *v, struct error **e)
{
	if (values_rt_volume(v, e) < 0 || volume_source(v, e) < 0)
		return fail_in(e, "volume %s", v->name ? v->name : "");
	return 0;
}

static bool
has_volume(const struct rt_pod *p, const char *name)
{
	for (size_t i = 0; i < p->nvolumes; i++)
		if (name && strcmp(p->volumes[i].name, name) == 0)
			return true;
	return false;
}

static bool
hook_ok(const struct rt_hook *h)
{
	return h->type != RT_HOOK_EXEC || (h->command && *h->command);
}

static int
check_container(const struct rt_pod *p, const struct rt_container *c, struct error **e)
{
	for (size_t i = 0; i < c->nmounts; i++)
		if (!has_volume(p, c->mounts[i].volume))
			return fail(e, WHY_INVALID, "there is no volume \"%s\"",
				    c->mounts[i].volume ? c->mounts[i].volume : "");
	if (!hook_ok(&c->post_start) || !hook_ok(&c->pre_stop))
		return fail(e, WHY_INVALID, "a hook has no command");
	for (const char *const *env = c->env; env && *env; env++)
		if (!strchr(*env, '=') || **env == '=')
			return fail(e, WHY_INVALID, "\"%s\" is not NAME=VALUE", *env);
	return 0;
}

static int
check_volumes(const struct rt_pod *p, struct error **e)
{
	for (size_t i = 0; i < p->nvolumes; i++) {
		if (volume_source(&p->volumes[i], e) < 0)
			return fail_in(e, "volume %s", p->volumes[i].name);
		for (size_t j = 0; j < i; j++)
			if (strcmp(p->volumes[i].name, p->volumes[j].name) == 0)
				return fail(e, WHY_INVALID, "two volumes are named %s",
					    p->volumes[i].name);
	}
	return 0;
}

/* kedge-init starts them in this order (init/order.c). */
static int
check_order(const struct rt_pod *p, struct error **e)
{
	static const int rank[] = {
		[RT_INIT] = 0, [RT_SIDECAR] = 0, [RT_MAIN] = 1, [RT_EPHEMERAL] = 2
	};
	bool main = false;

	for (size_t i = 0; i < p->ncontainers; i++) {
		main |= p->containers[i].role == RT_MAIN;
		if (i && rank[p->containers[i].role] < rank[p->containers[i - 1].role])
			return fail(e, WHY_INVALID,
				    "container %s stands behind those that follow it",
				    p->containers[i].name);
	}
	if (!main)
		return fail(e, WHY_INVALID, "it has no main container");
	return 0;
}

static int
check_containers(const struct rt_pod *p, struct error **e)
{
	for (size_t i = 0; i < p->ncontainers; i++) {
		if (check_container(p, &p->containers[i], e) < 0)
			return fail_in(e, "container %s", p->containers[i].name);
		for (size_t j = 0; j < i; j++)
			if (strcmp(p->containers[i].name, p->containers[j].name) == 0)
				return fail(e, WHY_INVALID, "two containers are named %s",
					    p->containers[i].name);
	}
	return 0;
}

static int
check_numbers(const struct rt_pod *p, struct error **e)
{
	if (p->ngroups > GROUPS_MAX)
		return fail(e, WHY_INVALID, "%zu supplemental groups, the most is %d",
			    p->ngroups, GROUPS_MAX);
	for (size_t i = 0; i < p->ngroups; i++)
		if (p->groups[i] < 0 || p->groups[i] > 4294967294)
			return fail(e, WHY_INVALID, "%lld is not a group",
				    (long long)p->groups[i]);
	if (p->ncontainers == 0 || p->ncontainers > W_CONTAINERS)
		return fail(e, WHY_INVALID, "1 to %d containers, not %zu", W_CONTAINERS,
			    p->ncontainers);
	return 0;
}

int
podspec_check(const struct rt_pod *p, struct error **e)
{
	if (check_numbers(p, e) < 0 || values_rt_pod(p, e) < 0 || check_volumes(p, e) < 0 ||
	    check_order(p, e) < 0 || check_containers(p, e) < 0)
		return fail_in(e, "pod %s", p->name ? p->name : "");
	return 0;
}

/* ---- as bytes ---- */

struct walk {
	struct buf *out; /* NULL: reading */
	const char *at, *end;
	struct arena *a;
	int version; /* of what is read or written */
	bool bad;
};
typedef void walk_fn(struct walk *, void *);

static void
walk_num(struct walk *w, int64_t *x)
{
	if (w->out) {
		buf_add(w->out, x, sizeof(*x));
		return;
	}
	if (w->bad || (size_t)(w->end - w->at) < sizeof(*x)) {
		w->bad = true;
		*x = 0;
		return;
	}
	memcpy(x, w->at, sizeof(*x));
	w->at += sizeof(*x);
}

/* Bytes with a NUL behind them; NULL is a length of -1. */
static void
walk_bytes(struct walk *w, const void **at, int64_t *n)
{
	if (!*at && w->out)
		*n = -1;
	walk_num(w, n);
	if (w->out) {
		if (*n > 0)
			buf_add(w->out, *at, (size_t)*n);
		return;
	}
	*at = NULL;
	if (*n < 0)
		return;
	if (*n > MAX_STRING || w->end - w->at < *n) {
		w->bad = true;
		*n = 0;
		return;
	}
	*at = arena_strndup(w->a, "", 0);
	if (*n > 0) {
		char *copy = arena_alloc(w->a, (size_t)*n + 1);

		memcpy(copy, w->at, (size_t)*n);
		copy[*n] = '\0';
		*at = copy;
		w->at += *n;
	}
}

static void
walk_str(struct walk *w, const char **s)
{
	int64_t n = w->out && *s ? (int64_t)strlen(*s) : -1;

	walk_bytes(w, (const void **)s, &n);
	if (!w->out && *s && strlen(*s) != (size_t)n)
		w->bad = true;
}

/* n items, one after the other; NULL when there are none. */
static void
walk_list(struct walk *w, const void **at, size_t *n, size_t size, walk_fn *fn)
{
	int64_t count = (int64_t)*n;
	char *items = (char *)*at;

	walk_num(w, &count);
	if (!w->out) {
		w->bad |= count < 0 || count > MAX_ITEMS;
		count = w->bad ? 0 : count;
		items = count ? arena_zalloc(w->a, ((size_t)count + 1) * size) : NULL;
		*at = items;
		*n = (size_t)count;
	}
	for (int64_t i = 0; i < count && !w->bad; i++)
		fn(w, items + (size_t)i * size);
}

static void
walk_int64(struct walk *w, void *x)
{
	walk_num(w, x);
}

static void
strs_write(struct walk *w, const char *const *list)
{
	int64_t n = list ? 0 : -1;

	while (list && list[n])
		n++;
	walk_num(w, &n);
	for (; list && *list; list++) {
		const char *s = *list;

		walk_str(w, &s);
	}
}

static void
walk_strs(struct walk *w, const char *const **list)
{
	int64_t n = -1;
	const char **at;

	if (w->out) {
		strs_write(w, *list);
		return;
	}
	walk_num(w, &n);
	*list = NULL;
	if (n < 0)
		return;
	if (n > MAX_ITEMS) {
		w->bad = true;
		return;
	}
	at = arena_zalloc(w->a, ((size_t)n + 1) * sizeof(*at));
	for (int64_t i = 0; i < n && !w->bad; i++) {
		walk_str(w, &at[i]);
		w->bad |= !at[i];
	}
	*list = at;
}

#define SPEC(type)                                        \
	static void walk_##type(struct walk *w, void *at) \
	{                                                 \
		struct type *x = at;
#define STR(f)                 walk_str(w, &x->f);
#define WORD(f, ok, complaint) walk_str(w, &x->f);
#define STRS(f)                walk_strs(w, &x->f);
#define NUM(f)                                        \
	{                                             \
		int64_t num = (int64_t)x->f;          \
		walk_num(w, &num);                    \
		if (!w->out)                          \
			x->f = (__typeof__(x->f))num; \
	}
#define LIMIT(f)      NUM(f)
#define ENUM(f, last) NUM(f)
#define DATA(f, n)                                        \
	{                                                 \
		int64_t len = (int64_t)x->n;              \
		walk_bytes(w, &x->f, &len);               \
		if (!w->out)                              \
			x->n = len > 0 ? (size_t)len : 0; \
	}
#define NUMS(f, n)              walk_list(w, (const void **)&x->f, &x->n, sizeof(*x->f), walk_int64);
#define LIST(type, f, n)        walk_list(w, (const void **)&x->f, &x->n, sizeof(*x->f), walk_##type);
#define NAMED(type, f, n, what) LIST(type, f, n)
#define ONE(type, f)            walk_##type(w, &x->f);
#define SINCE(n)              \
	if (w->version < (n)) \
		return;
#define END(type) }
#include "runtime/podspec.def"

/* The first eight bytes: "k-spec", the digit of the version, 0. */
static void
walk_version(struct walk *w)
{
	const int64_t ours = 0x636570732d6b;
	int64_t magic = ours | (int64_t)('0' + PODSPEC_VERSION) << 48;

	walk_num(w, &magic);
	w->version = (int)(magic >> 48) - '0';
	w->bad |= (magic & 0xffffffffffff) != ours || w->version < PODSPEC_OLDEST ||
		  w->version > PODSPEC_VERSION;
}

void
podspec_pack(const struct rt_pod *p, struct buf *out)
{
	struct walk w = { .out = out };

	walk_version(&w);
	walk_rt_pod(&w, (struct rt_pod *)p); /* writing changes nothing of it */
}

int
podspec_unpack(struct arena *a, const void *at, size_t n, struct rt_pod *ret, struct error **e)
{
	struct rt_pod p = { 0 };
	struct walk w = { .at = at, .end = (const char *)at + n, .a = a };

	walk_version(&w);
	walk_rt_pod(&w, &p);
	if (w.bad || w.at != w.end)
		return fail(e, WHY_INTERNAL, "the pod's spec on disk is cut off or not ours");
	*ret = p;
	return 0;
}
