/* cli_diff.c -- kedge diff: the plan of a commit, each source's under its name.
 *
 * Each source is asked alone, also where nobody named one: a branch is looked up in every one
 * of them, and those that have none of that name are passed over.
 */
#include "../reconcile/base/text.h"
#include "cli_source.h"
#include <string.h>

const char *
cli_line_colour(const char *line)
{
	return *line == '+' ? GREEN : *line == '-' ? RED : *line == '~' ? YELLOW : DIM;
}

/* `source`: NULL where there is one at most. */
static json_t *
ask(struct cli_call *c, const char *source, struct error **e)
{
	cleanup_buf struct buf path = { 0 };

	buf_adds(&path, "/kedge/diff");
	if (source)
		cli_query(&path, "source", source);
	if (c->n)
		cli_query(&path, "ref", c->args[0]);
	return cli_json(c, "GET", path.at, NULL, NULL, e);
}

/* Of several sources one answer: all lines, and under `sources` those of each. */
static void
answer_add(struct cli_call *c, json_t *all, const char *source, json_t *one)
{
	json_t *errors = json_object_get(one, "errors"), *line;
	const char *begin = arena_printf(c->arena, "%s: ", source);
	size_t i;

	json_array_foreach(errors, i, line) {
		const char *text = json_string_value(line);

		if (strncmp(text, begin, strlen(begin)) != 0)
			json_array_set_new(
			    errors, i,
			    json_string(arena_printf(c->arena, "%s%s", begin, text)));
	}
	json_array_extend(json_object_get(all, "actions"), json_object_get(one, "actions"));
	json_array_extend(json_object_get(all, "errors"), errors);
	json_object_set_new(one, "source", json_string(source));
	json_array_append(json_object_get(all, "sources"), one);
}

static json_t *
ask_each(struct cli_call *c, json_t *items, struct error **e)
{
	json_t *all = json_pack("{s:s, s:[], s:[], s:[]}", "kind", "Diff", "actions", "errors",
				"sources");
	json_t *item;
	size_t i;

	json_array_foreach(items, i, item) {
		const char *source = cli_at(c, item, "metadata.name");
		json_t *one = ask(c, source, e);

		if (!one)
			goto failed;
		if (!json_is_true(json_object_get(one, "missing")))
			answer_add(c, all, source, one);
		json_decref(one);
	}
	if (json_array_size(json_object_get(all, "sources")))
		return all;
	fail(e, WHY_NOT_FOUND,
	     "none of the %zu sources has a revision, branch, tag or commit \"%s\"; with "
	     "--source SOURCE one of them says more",
	     json_array_size(items), c->args[0]);
failed:
	json_decref(all);
	return NULL;
}

static json_t *
ask_all(struct cli_call *c, struct error **e)
{
	json_t *list, *items, *answer;

	if (cli_opt(c, OPT_source))
		return ask(c, cli_opt(c, OPT_source), e);
	list = cli_list(c, RES_source, e);
	if (!list)
		return NULL;
	items = json_object_get(list, "items");
	answer = json_array_size(items) > 1 ? ask_each(c, items, e) : ask(c, NULL, e);
	json_decref(list);
	return answer;
}

static void
put_actions(struct cli_call *c, json_t *actions)
{
	json_t *line;
	size_t i;

	json_array_foreach(actions, i, line) {
		const char *text = json_string_value(line);

		cli_put(c, arena_printf(c->arena, "%s\n",
					cli_paint(c, cli_line_colour(text), text)));
	}
}

static void
put_answer(struct cli_call *c, json_t *j)
{
	json_t *sources = json_object_get(j, "sources"), *one, *line;
	size_t i;

	json_array_foreach(sources, i, one) {
		json_t *actions = json_object_get(one, "actions");

		if (!json_array_size(actions))
			continue;
		cli_put(c, arena_printf(c->arena, "%s\n",
					cli_paint(c, BOLD,
						  arena_printf(c->arena, "source %s",
							       cli_at(c, one, "source")))));
		put_actions(c, actions);
	}
	if (!sources)
		put_actions(c, json_object_get(j, "actions"));
	json_array_foreach(json_object_get(j, "errors"), i, line)
		fprintf(stderr, "%s\n", json_string_value(line));
}

int
cli_diff(struct cli_call *c, struct error **e)
{
	json_t *j = ask_all(c, e);
	int rc;

	if (!j)
		return -1;
	rc = json_array_size(json_object_get(j, "errors"))    ? 2
	     : json_array_size(json_object_get(j, "actions")) ? 1
							      : 0;
	if (!cli_print_json(c, j))
		put_answer(c, j);
	json_decref(j);
	return rc;
}
