/* plan.c -- actions, their one printed line, and the way back from it. */
#include "plan.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/error.h"
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define none_kind NULL
const struct verb_facts verbs[ACT_COUNT] = {
#define VERB(v, m, w, x, body) [ACT_##v] = { m, #w, VERB_##x, body##_kind },
#include "verbs.def"
#undef VERB
};

void
plan_init(struct plan *p, struct arena *a)
{
	*p = (struct plan){ .arena = a };
}

void
plan_add(struct plan *p, struct action a)
{
	assert(a.verb < ACT_COUNT && a.name);
	if (p->n == p->cap) {
		size_t cap = p->cap ? p->cap * 2 : 16;
		struct action *at = arena_alloc(p->arena, cap * sizeof *at);

		if (p->n)
			memcpy(at, p->at, p->n * sizeof *at);
		p->at = at;
		p->cap = cap;
	}
	if (!a.kind)
		a.kind = "";
	if (!a.ns)
		a.ns = "";
	if (!a.why)
		a.why = "";
	p->at[p->n++] = a;
}

void
plan_again(struct plan *p, int64_t at)
{
	if (at && (!p->again_at || at < p->again_at))
		p->again_at = at;
}

void
action_print(const struct action *a, struct buf *out)
{
	buf_addf(out, "%c %s", verbs[a->verb].mark, verbs[a->verb].word);
	if (*a->kind)
		buf_addf(out, " %s", a->kind);
	buf_addf(out, " %s%s%s", a->ns, *a->ns ? "/" : "", a->name);
	if (a->from || a->to)
		buf_addf(out, " %" PRId64 " -> %" PRId64, a->from, a->to);
	if (*a->why) {
		buf_adds(out, "  # ");
		buf_add_plain(out, a->why, strlen(a->why)); /* it quotes others */
	}
}

void
plan_print(const struct plan *p, struct buf *out)
{
	for (size_t i = 0; i < p->n; i++) {
		action_print(&p->at[i], out);
		buf_addc(out, '\n');
	}
}

static bool
verb_named(const char *word, enum verb *ret)
{
	for (int v = 0; v < ACT_COUNT; v++)
		if (!strcmp(verbs[v].word, word)) {
			*ret = v;
			return true;
		}
	return false;
}

int
action_parse(const char *line, struct arena *arena, struct action *ret, struct error **e)
{
	struct action a = { .kind = "", .ns = "", .name = "", .why = "" };
	char *text = arena_strdup(arena, line), *rest, *why, *slash;
	char *word[8] = { 0 };
	size_t n = 0;

	why = strstr(text, "  # ");
	if (why) {
		*why = 0;
		a.why = why + 4;
	}
	for (char *p = strtok_r(text, " ", &rest); p; p = strtok_r(NULL, " ", &rest)) {
		if (n == 8)
			return fail(e, WHY_INVALID, "action \"%s\" has too many words", line);
		word[n++] = p;
	}
	if (n < 3 || n == 5 || n == 8 || strlen(word[0]) != 1 ||
	    !verb_named(word[1], &a.verb) || verbs[a.verb].mark != word[0][0])
		return fail(e, WHY_INVALID, "\"%s\" is not an action", line);
	if (n >= 6) { /* ... FROM -> TO */
		char end;

		if (strcmp(word[n - 2], "->") ||
		    sscanf(word[n - 3], "%" SCNd64 "%c", &a.from, &end) != 1 ||
		    sscanf(word[n - 1], "%" SCNd64 "%c", &a.to, &end) != 1)
			return fail(e, WHY_INVALID, "\"%s\" is not an action", line);
		n -= 3;
	}
	if (n < 3 || n > 4)
		return fail(e, WHY_INVALID, "\"%s\" is not an action", line);
	if (n == 4)
		a.kind = word[2];
	a.name = word[n - 1];
	/* an image's name has slashes of its own, and no namespace */
	slash = strcmp(a.kind, "image") ? strchr(word[n - 1], '/') : NULL;
	if (slash) {
		*slash = 0;
		a.ns = word[n - 1];
		a.name = slash + 1;
		if (!*a.ns || !*a.name)
			return fail(e, WHY_INVALID, "\"%s\" is not an action", line);
	}
	*ret = a;
	return 0;
}
