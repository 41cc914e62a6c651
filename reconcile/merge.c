/* merge.c -- Git owns the fields it states, and no others.
 *
 * The rule is Kubernetes' server-side apply with the merge keys of its
 * strategic patches, walked over kinds.def.  Deviations, each because
 * the granular rule would leave a half-changed thing behind: unions (a
 * volume's source, a variable's value, a strategy), selectors and what has
 * defaults that follow each other (resources) are taken whole when stated.
 */
#include "merge.h"
#include "base/arena.h"
#include "base/buf.h"
#include "patch_tree.h"
#include <inttypes.h>
#include <string.h>

const char *
merge_keys(const struct field *f)
{
	return f->key ? f->key : f->patch;
}

uint64_t
merge_bit(const struct kind *k, const char *field)
{
	for (const struct field *f = k->fields; f->name; f++)
		if (!strcmp(f->name, field))
			return UINT64_C(1) << (f - k->fields);
	return 0;
}

static bool
states(const struct kind *k, const void *obj, const struct field *f)
{
	return *(const uint64_t *)obj >> (f - k->fields) & 1;
}

static size_t
field_size(enum field_type t)
{
	switch (t) {
	case T_BOOL:
		return sizeof(bool);
	case T_INT:
	case T_TIME:
		return sizeof(int64_t);
	case T_IORS:
		return sizeof(struct iors);
	case T_MAP:
	case T_QMAP:
		return sizeof(struct pairs);
	case T_STRS:
		return sizeof(struct strs);
	case T_INTS:
		return sizeof(struct ints);
	case T_LIST:
		return sizeof(struct list);
	case T_STR:
	case T_QTY:
	case T_ANY:
	case T_OBJ:
		return sizeof(void *);
	}
	return 0;
}

static struct pairs
merge_map(const struct pairs *want, const struct pairs *live, const struct tree *last,
	  struct arena *a)
{
	struct pairs out = { .at = arena_alloc(a, (want->n + live->n) * sizeof *out.at + 1) };
	cleanup_finder struct finder was = finder_of(last);
	size_t w = 0, l = 0;

	/* Both are sorted, so that one walk over the two keeps the result sorted. */
	while (w < want->n || l < live->n) {
		int order = w == want->n   ? 1
			    : l == live->n ? -1
					   : strcmp(want->at[w].key, live->at[l].key);

		if (order <= 0) {
			out.at[out.n++] = want->at[w++];
			l += order == 0;
		} else if (finder_get(&was, live->at[l].key)) {
			l++;
		} else {
			out.at[out.n++] = live->at[l++];
		}
	}
	return out;
}

/* The values of a list's merge key, which may name several fields, as one text. */
static const char *
item_key(const struct kind *k, const char *keys, const void *item, struct arena *a)
{
	cleanup_buf struct buf text = { 0 };

	for (const char *p = keys; *p;) {
		size_t n = strcspn(p, " ,");
		const char *name = arena_strndup(a, p, n);

		buf_addf(&text, "%s\n", schema_text(k, item, name, a));
		p += n;
		p += strspn(p, " ,");
	}
	return arena_strdup(a, buf_text(&text));
}

const char *
merge_key(const struct field *f, const struct tree *item, struct arena *a)
{
	const char *keys = merge_keys(f);
	const struct kind *k = f->of();
	cleanup_buf struct buf text = { 0 };

	for (const char *p = keys; *p;) {
		size_t n = strcspn(p, " ,");
		const char *name = arena_strndup(a, p, n);
		const struct tree *value = item->type == N_MAP ? tree_get(item, name) : NULL;
		const struct field *of = schema_field(k, name);

		buf_addf(&text, "%s\n",
			 value && value->text ? value->text
			 : of && of->dflt     ? of->dflt
					      : "");
		p += n;
		p += strspn(p, " ,");
	}
	return arena_strdup(a, buf_text(&text));
}

/* key -> item of what was stated before, the first that has it */
static struct map
items_before(const struct field *f, const struct tree *list, struct arena *a)
{
	struct map m = { 0 };

	for (const struct tree *t = list && list->type == N_LIST ? list->kids : NULL; t;
	     t = t->next) {
		const char *key = merge_key(f, t, a);

		if (!map_get(&m, key))
			map_put(&m, key, (void *)t);
	}
	return m;
}

/* The live items that nothing stated is the namesake of yet. */
struct untaken {
	const char **keys; /* NULL: it was taken */
	size_t *next;      /* of the same key: its place + 1; 0: there is none */
	struct map first;  /* key -> place + 1 */
};

static struct untaken
untaken_of(const struct field *f, const struct list *live, struct arena *a)
{
	const struct kind *k = f->of();
	struct untaken u = { .keys = arena_alloc(a, live->n * sizeof *u.keys + 1),
			     .next = arena_alloc(a, live->n * sizeof *u.next + 1) };

	for (size_t l = live->n; l-- > 0;) {
		u.keys[l] = item_key(k, merge_keys(f), (const char *)live->at + l * k->size, a);
		u.next[l] =
		    (size_t)(uintptr_t)map_put(&u.first, u.keys[l], (void *)(uintptr_t)(l + 1));
	}
	return u;
}

/* Its place + 1; 0: there is none. */
static size_t
take(struct untaken *u, const char *key)
{
	size_t l = (size_t)(uintptr_t)map_get(&u->first, key);

	if (l) {
		map_put(&u->first, key, (void *)(uintptr_t)u->next[l - 1]);
		u->keys[l - 1] = NULL;
	}
	return l;
}

/* Items as the source orders them, each merged with its namesake; then the
 * live ones that the source never had.  Two items may share a key (53/TCP and
 * 53/UDP in old files): the first that is not yet taken is the namesake. */
static struct list
merge_list(const struct field *f, const struct list *want, const struct list *live,
	   const struct tree *last, struct arena *a)
{
	const struct kind *k = f->of();
	struct list out = { .at = arena_alloc(a, (want->n + live->n) * k->size + 1) };
	struct untaken left = untaken_of(f, live, a);
	struct map before = items_before(f, last, a);
	char *at = out.at;

	for (size_t w = 0; w < want->n; w++) {
		const char *item = (const char *)want->at + w * k->size;
		const char *key = item_key(k, merge_keys(f), item, a);
		size_t l = take(&left, key);

		if (l)
			item = merge_three(k, item, (const char *)live->at + (l - 1) * k->size,
					   map_get(&before, key), a);
		memcpy(at + out.n++ * k->size, item, k->size);
	}
	for (size_t l = 0; l < live->n; l++)
		if (left.keys[l] && !map_get(&before, left.keys[l]))
			memcpy(at + out.n++ * k->size, (const char *)live->at + l * k->size,
			       k->size);
	map_done(&left.first);
	map_done(&before);
	return out;
}

static void
merge_stated_field(const struct field *f, char *out, const char *want, const char *live,
		   const struct tree *last, struct arena *a)
{
	const void *w = want + f->off, *l = live + f->off;

	if (f->type == T_OBJ && *(void *const *)w && *(void *const *)l) {
		const void *merged =
		    merge_three(f->of(), *(void *const *)w, *(void *const *)l, last, a);
		memcpy(out + f->off, &merged, sizeof merged);
	} else if ((f->type == T_MAP || f->type == T_QMAP) && !f->whole) {
		*(struct pairs *)(out + f->off) = merge_map(w, l, last, a);
	} else if (f->type == T_LIST && merge_keys(f)) {
		*(struct list *)(out + f->off) = merge_list(f, w, l, last, a);
	} else {
		memcpy(out + f->off, w, field_size(f->type));
	}
}

static bool
is_text(const struct field *f)
{
	return f->type == T_STR || f->type == T_QTY || f->type == T_OBJ;
}

/* A default that only now applies (externalTrafficPolicy, once the type is
 * NodePort).  Numbers are left out: a live 0 replicas is an answer. */
static bool
absent(const struct field *f, const char *obj)
{
	return !*(void *const *)(obj + f->off);
}

void *
merge_three(const struct kind *k, const void *want, const void *live, const struct tree *last,
	    struct arena *a)
{
	char *out = arena_alloc(a, k->size);

	if (last && last->type != N_MAP)
		last = NULL;
	if (k->hooks->together) {
		memcpy(out, want, k->size);
		return out;
	}
	memcpy(out, live, k->size);
	for (const struct field *f = k->fields; f->name; f++) {
		const struct tree *was = last ? tree_get(last, f->name) : NULL;

		if (f->ro)
			continue;
		if (states(k, want, f)) {
			*(uint64_t *)out |= UINT64_C(1) << (f - k->fields);
			merge_stated_field(f, out, want, live, was, a);
		} else if (was && (f->type == T_MAP || f->type == T_QMAP) && !f->whole) {
			/* The whole map was taken back: only the keys that it had go. */
			static const struct pairs none;

			*(struct pairs *)(out + f->off) = merge_map(
			    &none, (const void *)((const char *)live + f->off), was, a);
		} else if (was || (is_text(f) && absent(f, out))) {
			*(uint64_t *)out &= ~(UINT64_C(1) << (f - k->fields));
			memcpy(out + f->off, (const char *)want + f->off, field_size(f->type));
		}
	}
	return out;
}

/* ---- what is stated, as JSON ---- */

static void
put_text(struct buf *out, const char *s)
{
	buf_addc(out, '"');
	for (; *s; s++) {
		if (*s == '"' || *s == '\\')
			buf_addf(out, "\\%c", *s);
		else if ((unsigned char)*s < 0x20)
			buf_addf(out, "\\u%04x", *s);
		else
			buf_addc(out, *s);
	}
	buf_addc(out, '"');
}

static void
put_map(const struct field *f, const struct pairs *m, struct buf *out)
{
	bool bulky = f->bulky;

	buf_addc(out, '{');
	for (size_t i = 0; i < m->n; i++) {
		if (i)
			buf_addc(out, ',');
		put_text(out, m->at[i].key);
		buf_addc(out, ':');
		put_text(out, bulky ? "" : m->at[i].value);
	}
	buf_addc(out, '}');
}

static void
put_list(const struct field *f, const struct list *l, struct buf *out)
{
	const struct kind *k = f->of();

	buf_addc(out, '[');
	for (size_t i = 0; i < l->n; i++) {
		if (i)
			buf_addc(out, ',');
		merge_stated(k, (const char *)l->at + i * k->size, out);
	}
	buf_addc(out, ']');
}

static void
put_strs(const struct strs *l, struct buf *out)
{
	buf_addc(out, '[');
	for (size_t i = 0; i < l->n; i++) {
		buf_adds(out, i ? "," : "");
		put_text(out, l->at[i]);
	}
	buf_addc(out, ']');
}

static void
put_ints(const struct ints *l, struct buf *out)
{
	buf_addc(out, '[');
	for (size_t i = 0; i < l->n; i++)
		buf_addf(out, "%s%" PRId64, i ? "," : "", l->at[i]);
	buf_addc(out, ']');
}

static void
put_value(const struct field *f, const void *at, struct buf *out)
{
	const struct iors *iors = at;
	char when[40];

	switch (f->type) {
	case T_STR:
	case T_QTY:
		put_text(out, *(const char *const *)at ?: "");
		break;
	case T_ANY:
		buf_adds(out, *(const char *const *)at ?: "null");
		break;
	case T_INT:
		buf_addf(out, "%" PRId64, *(const int64_t *)at);
		break;
	case T_BOOL:
		buf_adds(out, *(const bool *)at ? "true" : "false");
		break;
	case T_TIME:
		time_print(*(const int64_t *)at, f->micro, when);
		put_text(out, when);
		break;
	case T_IORS:
		if (iors->s)
			put_text(out, iors->s);
		else
			buf_addf(out, "%" PRId64, iors->i);
		break;
	case T_MAP:
	case T_QMAP:
		put_map(f, at, out);
		break;
	case T_STRS:
		put_strs(at, out);
		break;
	case T_INTS:
		put_ints(at, out);
		break;
	case T_OBJ:
		if (*(void *const *)at)
			merge_stated(f->of(), *(void *const *)at, out);
		else
			buf_adds(out, "null");
		break;
	case T_LIST:
		put_list(f, at, out);
		break;
	}
}

void
merge_stated(const struct kind *k, const void *obj, struct buf *out)
{
	bool first = true;

	buf_addc(out, '{');
	for (const struct field *f = k->fields; f->name; f++) {
		if (f->ro || !states(k, obj, f))
			continue;
		if (!first)
			buf_addc(out, ',');
		first = false;
		put_text(out, f->name);
		buf_addc(out, ':');
		put_value(f, (const char *)obj + f->off, out);
	}
	buf_addc(out, '}');
}
