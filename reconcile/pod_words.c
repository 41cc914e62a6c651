/* pod_words.c -- what a container's process is given by execve: its variables by their names,
 * and $(NAME) in its words.
 *
 * A value may use those before it, so that a manifest of a few lines can ask for more than
 * there is memory.  What Linux would not take is not made: one string has at most
 * MAX_ARG_STRLEN bytes, all together a quarter of the stack of 8 MiB (execve(2), "Limits on
 * size of arguments and environment").
 */
#include "base/buf.h"
#include "pod.h"

enum {
	WORD_MAX = 128 << 10, /* with its NUL */
	WORDS_MAX = 2 << 20,  /* with a pointer for each */
	NAME_SHOWN = 253,
};

/* False, and it says why, when this one is too much; `name` may be NULL. */
static bool
counted(struct pod_words *w, const char *what, const char *name, size_t len)
{
	const char *space = name ? " " : "";

	name = name ? name : "";
	w->bytes += len + 1 + sizeof(char *);
	if (w->why)
		return false;
	if (len >= WORD_MAX)
		w->why =
		    arena_printf(w->a,
				 "container %s: %s%s%.*s is longer than the %d KiB that "
				 "Linux takes of one argument or variable",
				 w->container, what, space, NAME_SHOWN, name, WORD_MAX >> 10);
	else if (w->bytes > WORDS_MAX)
		w->why =
		    arena_printf(w->a,
				 "container %s: with %s%s%.*s its environment, command "
				 "and args are larger than the %d MiB that Linux takes",
				 w->container, what, space, NAME_SHOWN, name, WORDS_MAX >> 20);
	return !w->why;
}

/* NULL: nobody set it.  The index is made by the first who asks; most containers ask little,
 * and a large namespace has many Services' variables. */
static struct pair *
variable(struct pod_words *w, const char *name)
{
	size_t at;

	for (; w->known < w->n; w->known++)
		map_put(&w->names, w->vars[w->known].key, (void *)(w->known + 1));
	at = (size_t)map_get(&w->names, name);
	return at ? &w->vars[at - 1] : NULL;
}

void
pod_words_begin(struct pod_words *w, struct pair *vars, size_t n)
{
	w->vars = vars;
	w->n = w->cap = n;
	for (size_t i = 0; i < n && !w->why; i++)
		counted(w, "variable", vars[i].key,
			strlen(vars[i].key) + 1 + strlen(vars[i].value));
}

void
pod_words_set(struct pod_words *w, const char *name, const char *value)
{
	struct pair *is;

	if (!counted(w, "variable", name, strlen(name) + 1 + strlen(value)))
		return;
	is = variable(w, name);
	if (is) {
		is->value = value;
		return;
	}
	if (w->n == w->cap) {
		size_t cap = w->cap ? w->cap * 2 : 16;
		struct pair *vars = arena_alloc(w->a, cap * sizeof *vars);

		if (w->n)
			memcpy(vars, w->vars, w->n * sizeof *vars);
		w->vars = vars;
		w->cap = cap;
	}
	w->vars[w->n++] = (struct pair){ name, value };
}

/* One reference, from its dollar to its bracket. */
static void
refer(struct pod_words *w, const char *from, const char *end, struct buf *name, struct buf *out)
{
	const struct pair *is;

	buf_clear(name);
	buf_add(name, from + 2, (size_t)(end - from) - 2);
	is = variable(w, buf_text(name));
	if (is) {
		buf_adds(out, is->value);
		return;
	}
	buf_add(out, from, (size_t)(end - from) + 1);
	if (!w->unset)
		w->unset = arena_printf(w->a, "%.*s", NAME_SHOWN, buf_text(name));
}

/* Ends soon after what is too long, for no value is longer than that. */
static const char *
expanded(struct pod_words *w, const char *text)
{
	cleanup_buf struct buf out = { 0 }, name = { 0 };
	bool closes = true; /* as far as known a bracket follows */

	w->unset = NULL;
	if (!strchr(text, '$'))
		return text;
	for (const char *p = text; *p && out.len < WORD_MAX;) {
		size_t plain = strcspn(p, "$");
		const char *end = NULL;

		if (!plain && p[1] == '(' && closes) {
			end = strchr(p, ')');
			closes = end;
		}
		if (end) {
			refer(w, p, end, &name, &out);
			p = end + 1;
			continue;
		}
		buf_add(&out, p, plain ? plain : 1);
		p += plain ? plain : p[1] == '$' ? 2 : 1;
	}
	return arena_strndup(w->a, buf_text(&out), out.len);
}

void
pod_words_set_text(struct pod_words *w, const char *name, const char *text)
{
	if (!w->why)
		pod_words_set(w, name, expanded(w, text));
}

const char *
pod_words_expand(struct pod_words *w, const char *what, const char *text)
{
	const char *word = w->why ? "" : expanded(w, text);

	return counted(w, what, NULL, strlen(word)) ? word : "";
}

struct strs
pod_words_expand_all(struct pod_words *w, const char *what, struct strs in)
{
	struct strs out = { arena_zalloc(w->a, (in.n + 1) * sizeof *out.at), 0 };

	while (out.n < in.n && !w->why) {
		out.at[out.n] = pod_words_expand(w, what, in.at[out.n]);
		out.n++;
	}
	return out;
}

/* As the kubelet (ExpandContainerCommandOnlyStatic): values as they are written, and what comes
 * from elsewhere is empty. */
struct strs
pod_words_probe(struct strs command, const struct container *c, struct arena *a,
		const char **ret_why)
{
	cleanup_words struct pod_words w = { .container = c->name, .a = a };

	for (size_t i = 0; i < c->env.n; i++)
		pod_words_set(&w, c->env.at[i].name,
			      c->env.at[i].value ? c->env.at[i].value : "");
	command = pod_words_expand_all(&w, "the probe's command", command);
	*ret_why = w.why;
	return command;
}

void
pod_words_done(struct pod_words *w)
{
	map_done(&w->names);
}
