/* patch_json.c -- RFC 6902: JSON patch, over JSON pointers (RFC 6901).
 *
 * The target is copied once and then changed in place, so that a failure in the middle
 * leaves nothing half done that anybody can see.
 */
#include "base/arena.h"
#include "base/error.h"
#include "patch.h"
#include "patch_tree.h"
#include <stdlib.h>
#include <string.h>

enum {
	MOST_OPS = 10000,     /* as Kubernetes */
	MOST_COPIED = 100000, /* nodes made by copy: a document may not be doubled for ever */
	MOST_STEPS = 5000000, /* nodes walked over on the way to a place: some 30 ms */
	DEEP_STEPS = 4,       /* for each node within a value: those lie apart in memory */
	MOST_DEPTH = 100,     /* as json_read: whoever walks a tree recurses */
};

struct job {
	struct tree *root;
	struct arena *a;
	struct error **e;
	size_t copied, steps;
	const char *op;
};

/* "~1" is a slash, "~0" a tilde. */
static char *
unescaped(struct job *j, const char *s, size_t n)
{
	char *out = arena_alloc(j->a, n + 1), *to = out;

	for (size_t i = 0; i < n; i++)
		if (s[i] == '~' && i + 1 < n && (s[i + 1] == '0' || s[i + 1] == '1'))
			*to++ = s[++i] == '0' ? '~' : '/';
		else
			*to++ = s[i];
	*to = 0;
	return out;
}

/* Where in a list: "0", "1", but not "01"; -1: this is no index. */
static long
index_of(const char *key)
{
	size_t n = strlen(key);

	if (!n || n > 9 || strspn(key, "0123456789") != n || (n > 1 && *key == '0'))
		return -1;
	return strtol(key, NULL, 10);
}

/* The same, and "-1" is the last, as Kubernetes has it; `more`: places beyond those there are.
 */
static long
place_of(struct job *j, const struct tree *list, const char *key, size_t more)
{
	long back = *key == '-' ? index_of(key + 1) : -1;
	size_t n;

	if (back < 0)
		return index_of(key);
	n = tree_kids(list) + more;
	j->steps += n;
	return !back ? 0 : (size_t)back > n ? -1 : (long)n - back;
}

/* The link that holds the member, or the i-th of a list; or its end. */
static struct tree **
link_at(struct job *j, struct tree *parent, const char *key, long i)
{
	struct tree **at = &parent->kids;

	for (; *at; at = &(*at)->next) {
		j->steps++;
		if (parent->type == N_LIST ? i-- == 0 : !strcmp((*at)->key, key))
			break;
	}
	return at;
}

static struct tree **
link_of(struct job *j, struct tree *parent, const char *key)
{
	return link_at(j, parent, key,
		       parent->type == N_LIST ? place_of(j, parent, key, 0) : -1);
}

static int
missing(struct job *j, const char *path)
{
	return fail(j->e, WHY_INVALID,
		    "%s operation does not apply: doc is missing path: \"%.200s\": missing "
		    "value",
		    j->op, path);
}

static size_t
depth_of(struct job *j, const struct tree *t)
{
	size_t most = 0;

	j->steps += DEEP_STEPS;
	for (const struct tree *kid = t->kids; kid; kid = kid->next) {
		size_t n = depth_of(j, kid);

		most = n > most ? n : most;
	}
	return most + 1;
}

static bool
too_deep(struct job *j, const char *path, const struct tree *value)
{
	size_t n = depth_of(j, value);

	for (const char *p = path; *p; p++)
		n += *p == '/';
	return n > MOST_DEPTH && fail(j->e, WHY_TOO_LARGE, "more than 100 levels deep") < 0;
}

/* The map or list that the last segment of `path` is in; NULL: there is none. */
static struct tree *
parent_of(struct job *j, const char *path, char **ret_key)
{
	struct tree *t = j->root;

	if (*path != '/') {
		fail(j->e, WHY_INVALID,
		     "%s operation does not apply: \"%.200s\" is not a JSON pointer (it begins "
		     "with a slash)",
		     j->op, path);
		return NULL;
	}
	for (const char *p = path + 1;; p++) {
		size_t n = strcspn(p, "/");
		char *key = unescaped(j, p, n);

		if (t->type != N_MAP && t->type != N_LIST) {
			missing(j, path);
			return NULL;
		}
		p += n;
		if (!*p) {
			*ret_key = key;
			return t;
		}
		t = *link_of(j, t, key);
		if (!t) {
			missing(j, path);
			return NULL;
		}
	}
}

static struct tree *
find(struct job *j, const char *path)
{
	char *key;
	struct tree *parent, *t;

	if (!*path)
		return j->root;
	parent = parent_of(j, path, &key);
	if (!parent)
		return NULL;
	t = *link_of(j, parent, key);
	if (!t)
		missing(j, path);
	return t;
}

static int
put_root(struct job *j, struct tree *value)
{
	j->root = value;
	return 0;
}

static int
op_add(struct job *j, const char *path, struct tree *value)
{
	char *key = NULL;
	struct tree *parent, **at;
	size_t n = 0;
	long i = -1;

	if (too_deep(j, path, value))
		return -1;
	if (!*path)
		return put_root(j, value);
	parent = parent_of(j, path, &key);
	if (!parent)
		return -1;
	if (parent->type == N_LIST && strcmp(key, "-") != 0) {
		i = place_of(j, parent, key, 1);
		for (const struct tree *t = parent->kids; t; t = t->next)
			n++;
		j->steps += n;
		if (i < 0 || (size_t)i > n)
			return fail(j->e, WHY_INVALID,
				    "add operation does not apply: doc is missing path: "
				    "\"%.200s\": index \"%.20s\" is not within 0..%zu",
				    path, key, n);
	}
	at = link_at(j, parent, key, i);
	value->key = parent->type == N_MAP ? key : NULL;
	value->next = parent->type == N_MAP && *at ? (*at)->next : *at;
	*at = value;
	return 0;
}

static int
op_remove(struct job *j, const char *path)
{
	char *key = NULL;
	struct tree *parent = *path ? parent_of(j, path, &key) : NULL, **at;

	if (!*path)
		return fail(j->e, WHY_INVALID,
			    "%s operation does not apply: the whole document cannot be removed",
			    j->op);
	if (!parent)
		return -1;
	at = link_of(j, parent, key);
	if (!*at)
		return missing(j, path);
	*at = (*at)->next;
	return 0;
}

static int
op_replace(struct job *j, const char *path, struct tree *value)
{
	char *key = NULL;
	struct tree *parent, **at;

	if (too_deep(j, path, value))
		return -1;
	if (!*path)
		return put_root(j, value);
	parent = parent_of(j, path, &key);
	if (!parent)
		return -1;
	at = link_of(j, parent, key);
	if (!*at)
		return missing(j, path);
	value->key = (*at)->key;
	value->next = (*at)->next;
	*at = value;
	return 0;
}

static int
op_test(struct job *j, const char *path, const struct tree *value)
{
	const struct tree *t;
	struct tree *parent;
	char *key;

	if (value->type == N_NULL && *path) { /* holds where there is no such member, too */
		parent = parent_of(j, path, &key);
		if (!parent)
			return -1;
		if (parent->type == N_MAP && !*link_of(j, parent, key))
			return 0;
	}
	t = find(j, path);
	if (!t)
		return -1;
	j->steps += tree_count(t);
	if (tree_same(t, value))
		return 0;
	return fail(j->e, WHY_INVALID, "testing path %.200s failed: test failed", path);
}

static struct tree *
copied(struct job *j, const char *from)
{
	const struct tree *t = find(j, from);

	if (!t)
		return NULL;
	j->copied += tree_count(t);
	if (j->copied > MOST_COPIED) {
		fail(j->e, WHY_TOO_LARGE, "the copy operations of this patch make too much");
		return NULL;
	}
	return tree_copy_deep(t, j->a);
}

static int
op_move(struct job *j, const char *from, const char *path)
{
	struct tree *t = find(j, from);
	size_t n = strlen(from);

	if (!t)
		return -1;
	if (!strcmp(from, path))
		return 0;
	if (!strncmp(path, from, n) && path[n] == '/')
		return fail(j->e, WHY_INVALID,
			    "move operation does not apply: \"%.200s\" cannot be moved into "
			    "itself",
			    from);
	return op_remove(j, from) < 0 ? -1 : op_add(j, path, tree_copy(t, j->a));
}

static int
one(struct job *j, const struct tree *op)
{
	const char *path = tree_text(op, "path", NULL), *from = tree_text(op, "from", NULL);
	const struct tree *value = tree_get(op, "value");
	struct tree *copy;

	j->op = tree_text(op, "op", NULL);
	if (!j->op || !path)
		return fail(j->e, WHY_BAD_REQUEST,
			    "a JSON patch is a list of {\"op\": ..., \"path\": ...}");
	if (!strcmp(j->op, "remove"))
		return op_remove(j, path);
	if (!strcmp(j->op, "move") || !strcmp(j->op, "copy")) {
		if (!from)
			return fail(j->e, WHY_BAD_REQUEST, "%s operation needs \"from\"",
				    j->op);
		if (!strcmp(j->op, "move"))
			return op_move(j, from, path);
		copy = copied(j, from);
		return copy ? op_add(j, path, copy) : -1;
	}
	if (strcmp(j->op, "add") != 0 && strcmp(j->op, "replace") != 0 &&
	    strcmp(j->op, "test") != 0)
		return fail(j->e, WHY_BAD_REQUEST, "unexpected kind: %.50s", j->op);
	if (!value)
		return fail(j->e, WHY_BAD_REQUEST, "%s operation needs a \"value\"", j->op);
	if (*j->op == 't')
		return op_test(j, path, value);
	copy = tree_copy_deep(value, j->a); /* later operations may change it */
	return *j->op == 'a' ? op_add(j, path, copy) : op_replace(j, path, copy);
}

int
patch_json(const struct tree *target, const struct tree *patch, struct tree **ret,
	   struct arena *a, struct error **e)
{
	struct job j = { .a = a, .e = e };
	size_t n = 0;

	if (patch->type != N_LIST)
		return fail(e, WHY_BAD_REQUEST, "a JSON patch is a list of operations");
	j.root = tree_copy_deep(target, a);
	for (const struct tree *op = patch->kids; op; op = op->next) {
		if (j.steps > MOST_STEPS)
			return fail(e, WHY_TOO_LARGE,
				    "the operations of this patch walk over too much; send "
				    "fewer of them at a time");
		if (++n > MOST_OPS)
			return fail(e, WHY_TOO_LARGE,
				    "The allowed maximum operations in a JSON patch is %d",
				    MOST_OPS);
		if (one(&j, op) < 0)
			return -1;
	}
	*ret = j.root;
	return 0;
}
