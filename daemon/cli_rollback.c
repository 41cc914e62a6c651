/* cli_rollback.c -- kedge rollback: first what would be lost, then the way back. */
#include "../reconcile/base/text.h"
#include "cli_source.h"
#include <inttypes.h>
#include <string.h>

/* "revision 7 (6b5fc32 web: three replicas)" */
static const char *
revision_text(struct cli_call *c, json_t *to)
{
	const char *message = cli_at(c, to, "message");

	return arena_printf(c->arena, "revision %s (%.7s %.*s)", cli_at(c, to, "revision"),
			    cli_at(c, to, "commit"), (int)strcspn(message, "\n"), message);
}

/* What is not to happen without being asked for; NULL: nothing. */
static const char *
objection(struct cli_call *c, json_t *to)
{
	json_t *claims = json_object_get(to, "claims"), *line;
	const char *unseen = cli_at(c, to, "unseen");
	cleanup_buf struct buf text = { 0 };
	size_t i;

	if (*unseen)
		return arena_printf(c->arena, "what %s would delete cannot be seen (%s)",
				    revision_text(c, to), unseen);
	json_array_foreach(claims, i, line)
		buf_addf(&text, "%s%s", i ? ", " : "", json_string_value(line));
	if (text.len)
		return arena_printf(c->arena,
				    "going back to %s destroys the data of %zu claim%s: %s",
				    revision_text(c, to), json_array_size(claims),
				    json_array_size(claims) == 1 ? "" : "s", buf_text(&text));
	if (json_is_true(json_object_get(to, "guarded")))
		return arena_printf(
		    c->arena,
		    "going back to %s deletes %zu objects, which is more than half of the "
		    "source's, or all of them",
		    revision_text(c, to), json_array_size(json_object_get(to, "deletes")));
	return NULL;
}

/* 0: go on; 1: the answer was no. */
static int
agree(struct cli_call *c, json_t *to, struct error **e)
{
	const char *why = objection(c, to);
	json_t *line;
	size_t i;

	json_array_foreach(json_object_get(to, "deletes"), i, line)
		fprintf(stderr, "%s\n",
			cli_paint(c, cli_line_colour(json_string_value(line)),
				  json_string_value(line)));
	if (!why || cli_opt(c, OPT_yes))
		return 0;
	if (!cli_may_ask(c))
		return fail(e, WHY_BAD_REQUEST,
			    "nothing was done: %s; say --yes if that is meant", why);
	fprintf(stderr, "%s\n", why);
	return cli_confirm("Go back all the same?") ? 0 : 1;
}

static void
say_done(struct cli_call *c, const char *source, json_t *to, json_t *now)
{
	const char *because = cli_at(c, to, "pinned");

	if (*because)
		fprintf(c->out,
			"source %s is pinned to %s, because no commit can be made there: %s; "
			"`kedge resume` ends it\n",
			source, revision_text(c, to), because);
	else if (json_is_true(cli_path(now, "spec.suspend")))
		fprintf(c->out,
			"source %s is suspended: the new commit that goes back to %s is not "
			"applied "
			"until `kedge resume %s`\n",
			source, revision_text(c, to), source);
	else
		fprintf(c->out,
			"source %s rolled back to %s with a new commit; `kedge wait` follows "
			"it, and clones need a `git pull` before their next push\n",
			source, revision_text(c, to));
}

int
cli_rollback(struct cli_call *c, struct error **e)
{
	const char *source, *given = cli_opt(c, OPT_source);
	char *end = NULL;
	int64_t n = c->n ? strtoll(c->args[0], &end, 10) : 0;
	json_t *to, *now;
	int rc;

	if (c->n && (*end || n < 1))
		return fail(
		    e, WHY_BAD_REQUEST,
		    "rollback takes a revision's number, as `kedge history` shows it, not "
		    "\"%s\"",
		    c->args[0]);
	if (cli_ask_source(c, given, "rollback",
			   json_pack("{s:I, s:b}", "revision", n, "dryRun", 1), &source, &to,
			   e))
		return -1;
	rc = agree(c, to, e);
	n = json_integer_value(json_object_get(to, "revision"));
	json_decref(to);
	if (rc)
		return rc;
	if (cli_ask_source(c, source, "rollback", json_pack("{s:I}", "revision", n), &source,
			   &to, e))
		return -1;
	now = cli_json(c, "GET", cli_url(c, &resources[RES_source], source), NULL, NULL, e);
	if (now)
		say_done(c, source, to, now);
	json_decref(to);
	json_decref(now);
	return now ? 0 : -1;
}
