/* cli_source.c -- what Git says and what came of it: status, history, diff, sync, rollback. */
#include "cli_source.h"
#include "../reconcile/base/now.h"
#include "../reconcile/base/text.h"
#include "../reconcile/object.h"
#include <inttypes.h>
#include <string.h>
#include <time.h>

void
cli_sleep(int64_t ms)
{
	struct timespec t = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };

	nanosleep(&t, NULL);
}

json_t *
cli_list(struct cli_call *c, enum resource_id id, struct error **e)
{
	return cli_json(c, "GET", cli_url(c, &resources[id], NULL), NULL, NULL, e);
}

static const char *
first_line(struct cli_call *c, const char *text, size_t most)
{
	size_t n = strcspn(text, "\r\n"), letters = 0, bytes = 0;

	while (bytes < n && letters < most) {
		bytes++;
		while (bytes < n && (text[bytes] & 0xc0) == 0x80)
			bytes++;
		letters++;
	}
	return arena_printf(c->arena, "%.*s%s", (int)bytes, text, bytes < n ? "..." : "");
}

/* "Ann <ann@example.org>" -> "Ann" */
static const char *
author_name(struct cli_call *c, const char *author)
{
	size_t n = strcspn(author, "<");

	while (n && author[n - 1] == ' ')
		n--;
	return n ? arena_strndup(c->arena, author, n) : author;
}

static const char *
outcome_colour(const char *outcome)
{
	return str_is(outcome, "Healthy")    ? GREEN
	       : str_is(outcome, "Failed")   ? RED
	       : str_is(outcome, "Applying") ? YELLOW
					     : DIM;
}

int64_t
revision_number(json_t *revision)
{
	return json_integer_value(cli_path(revision, "spec.number"));
}

json_t *
revision_newest(struct cli_call *c, json_t *revisions, const char *source, int64_t below,
		bool (*fits)(struct cli_call *, json_t *))
{
	json_t *best = NULL, *r;
	size_t i;

	json_array_foreach(json_object_get(revisions, "items"), i, r)
	{
		if (!str_is(cli_at(c, r, "spec.source"), source) ||
		    (below && revision_number(r) >= below) || (fits && !fits(c, r)))
			continue;
		if (!best || revision_number(r) > revision_number(best))
			best = r;
	}
	return best;
}

/* Its files were right, so that it is what runs, or ran. */
static bool
was_applied(struct cli_call *c, json_t *r)
{
	const char *outcome = cli_at(c, r, "status.outcome");

	return str_is(outcome, "Applying") || str_is(outcome, "Healthy") ||
	       str_is(outcome, "Superseded") || *cli_at(c, r, "status.waitingFor");
}

static const char *
start_of(struct cli_call *c, json_t *r)
{
	const char *start = cli_at(c, r, "status.startTime");

	return *start ? start : cli_at(c, r, "metadata.creationTimestamp");
}

/* ---- status ---- */

static const char *
duration_text(struct cli_call *c, int64_t ms)
{
	if (ms < 10000)
		return arena_printf(c->arena, "%" PRId64 ".%" PRId64 "s", ms / 1000,
				    ms % 1000 / 100);
	return cli_age(c, ms);
}

static const char *
health_text(struct cli_call *c, json_t *r)
{
	const char *outcome = cli_at(c, r, "status.outcome");
	const char *waiting = cli_at(c, r, "status.waitingFor");
	const char *word = cli_paint(c, outcome_colour(outcome), outcome);
	int64_t started = cli_ms(start_of(c, r));
	int64_t took = json_integer_value(cli_path(r, "status.durationMs"));

	if (str_is(outcome, "Applying"))
		return arena_printf(c->arena, "%s for %s%s%s", word,
				    cli_age(c, c->now - started),
				    *waiting ? ", waiting for " : "", waiting);
	if (str_is(outcome, "Failed") && *waiting)
		return arena_printf(c->arena, "%s, still waiting for %s", word, waiting);
	if (str_is(outcome, "Healthy") && took)
		return arena_printf(c->arena, "%s, after %s", word, duration_text(c, took));
	return word;
}

static void
put_revision(struct cli_call *c, const char *label, json_t *r, struct buf *out)
{
	buf_addf(out, "  %-9s %s  %s  (%s, %s)\n", label,
		 arena_strndup(c->arena, cli_at(c, r, "spec.commit"), 7),
		 first_line(c, cli_at(c, r, "spec.message"), 50),
		 author_name(c, cli_at(c, r, "spec.author")), cli_ago(c, start_of(c, r)));
	buf_addf(out, "  %-9s revision %" PRId64 ", %s\n", "health", revision_number(r),
		 health_text(c, r));
}

static void
put_lines(struct cli_call *c, json_t *lines, const char *label, const char *colour,
	  struct buf *out)
{
	json_t *line;
	size_t i;

	json_array_foreach(lines, i, line) buf_addf(
	    out, "  %-9s %s\n", i ? "" : label, cli_paint(c, colour, json_string_value(line)));
}

/* What a suspended or pinned source would go on to. */
static void
put_next(struct cli_call *c, json_t *source, struct buf *out)
{
	const char *next = cli_at(c, source, "status.next");

	if (*next)
		buf_addf(out, "  %-9s %.7s  %s  (%s), not applied; kedge diff shows it\n",
			 "next", next,
			 first_line(c, cli_at(c, source, "status.nextMessage"), 50),
			 author_name(c, cli_at(c, source, "status.nextAuthor")));
}

static void
put_source(struct cli_call *c, json_t *source, json_t *revisions, struct buf *out)
{
	const char *name = cli_at(c, source, "metadata.name");
	const char *path = cli_at(c, source, "spec.path"), *ref = cli_at(c, source, "spec.ref");
	const char *pin = cli_at(c, source, "spec.pin");
	const char *trouble = cli_at(c, source, "status.message");
	const char *pulling = cli_at(c, source, "status.pulling");
	json_t *newest = revision_newest(c, revisions, name, 0, NULL), *runs;

	buf_addf(out, "%s  %s%s%s%s%s%s\n", cli_paint(c, BOLD, name),
		 cli_at(c, source, "spec.url"), *ref ? "#" : "", ref, *path ? ", " : "", path,
		 json_is_true(cli_path(source, "spec.suspend"))
		     ? cli_paint(c, YELLOW, "  suspended (kedge resume)")
		     : "");
	if (*pin)
		buf_addf(out, "  %-9s %.7s, until `kedge resume`\n", "pinned", pin);
	if (*trouble)
		buf_addf(out, "  %-9s %s\n", "trouble", cli_paint(c, RED, trouble));
	if (!newest) {
		buf_addf(out, "  %-9s %s\n", "commit",
			 *pulling ? arena_printf(c->arena, "none yet, pulling %s", pulling)
				  : "none yet");
		return;
	}
	if (*pulling)
		buf_addf(out, "  %-9s %s, for commit %.7s\n", "pulling", pulling,
			 cli_at(c, source, "status.commit"));
	put_next(c, source, out);
	put_revision(c, "commit", newest, out);
	put_lines(c, cli_path(newest, "status.errors"), "errors", RED, out);
	put_lines(c, cli_path(newest, "status.warnings"), "warnings", YELLOW, out);
	if (!was_applied(c, newest)) {
		runs =
		    revision_newest(c, revisions, name, revision_number(newest), was_applied);
		if (runs)
			put_revision(c, "runs", runs, out);
	}
}

/* "kubectl-create, kubectl-label" */
static const char *
words_of(struct cli_call *c, json_t *list)
{
	cleanup_buf struct buf b = { 0 };
	json_t *word;
	size_t i;

	json_array_foreach(list, i, word)
	{
		buf_addf(&b, "%s%s", i ? ", " : "", json_string_value(word));
	}
	return arena_strdup(c->arena, buf_text(&b));
}

static const char *
loose_path(struct cli_call *c, json_t *o)
{
	const char *ns = cli_at(c, o, "namespace");

	return arena_printf(c->arena, "%s%s%s", ns, *ns ? "/" : "", cli_at(c, o, "name"));
}

/* One object that was made, or changed, over the API. */
static void
put_loose(struct cli_call *c, json_t *o, struct buf *out)
{
	json_t *fields = json_object_get(o, "fields");
	int64_t created = json_integer_value(json_object_get(o, "created"));

	buf_addf(out, "  %s %s  ", cli_at(c, o, "kind"), loose_path(c, o));
	if (fields)
		buf_addf(out, "%s (%s)\n", words_of(c, fields),
			 words_of(c, json_object_get(o, "managers")));
	else
		buf_addf(out, "made %s ago with %s\n", cli_age(c, c->now - created),
			 words_of(c, json_object_get(o, "managers")));
}

/* What sources left behind that kedged follows no longer, each source's together. */
static void
put_left(struct cli_call *c, json_t *list, struct buf *out)
{
	json_t *o, *other;
	size_t i, k;

	json_array_foreach(list, i, o)
	{
		const char *source = cli_at(c, o, "source");
		bool first = *source;

		json_array_foreach(list, k, other)
		{
			if (k < i && str_is(cli_at(c, other, "source"), source))
				first = false;
		}
		if (!first)
			continue;
		buf_addf(out,
			 "\nnot from Git any more: source %s is no longer configured\n"
			 "  They stay as they are.  Put the source back into kedge.yaml, or "
			 "kedge delete them.\n",
			 source);
		json_array_foreach(list, k, other)
		{
			if (str_is(cli_at(c, other, "source"), source))
				buf_addf(out, "  %s %s\n", cli_at(c, other, "kind"),
					 loose_path(c, other));
		}
	}
}

/* What is here and in no commit: objects of their own, then fields of Git's. */
static void
put_not_from_git(struct cli_call *c, json_t *list, struct buf *out)
{
	static const char *const titles[] = {
		"not from Git",
		"of Git's objects, set over the API (the files leave it out)",
	};

	for (int pass = 0; pass < 2; pass++) {
		bool any = false;
		json_t *o;
		size_t i;

		json_array_foreach(list, i, o)
		{
			if (!json_object_get(o, "fields") != !pass ||
			    json_object_get(o, "source"))
				continue;
			if (!any)
				buf_addf(out, "\n%s\n", titles[pass]);
			any = true;
			put_loose(c, o, out);
		}
	}
}

/* What the daemon answered at one moment. */
struct answers {
	json_t *sources, *revisions, *all; /* the last one NULL where one source is asked for */
};

static void
answers_done(struct answers *s)
{
	json_decref(s->sources);
	json_decref(s->revisions);
	json_decref(s->all);
}

static int
status_ask(struct cli_call *c, struct answers *ret, struct error **e)
{
	*ret = (struct answers){ .sources = cli_list(c, RES_source, e) };
	if (ret->sources)
		ret->revisions = cli_list(c, RES_revision, e);
	if (!ret->revisions)
		return -1;
	if (!c->n)
		ret->all = cli_json(c, "GET", "/kedge/status", NULL, NULL, NULL);
	return 0;
}

static int
status_text(struct cli_call *c, const struct answers *s, struct buf *out, struct error **e)
{
	bool found = false;
	json_t *source;
	size_t i;

	json_array_foreach(json_object_get(s->sources, "items"), i, source)
	{
		if (c->n && !str_is(cli_at(c, source, "metadata.name"), c->args[0]))
			continue;
		if (found)
			buf_addc(out, '\n');
		put_source(c, source, s->revisions, out);
		found = true;
	}
	if (!found && c->n)
		return fail(e, WHY_NOT_FOUND, "kedged has no source \"%s\"", c->args[0]);
	if (!found)
		buf_adds(out, "No source.  Give kedged one with --source, or in "
			      "/etc/kedge/kedge.yaml.\n");
	put_left(c, json_object_get(s->all, "notFromGit"), out);
	put_not_from_git(c, json_object_get(s->all, "notFromGit"), out);
	return 0;
}

/* One look.  Ages alone are no news where there is no terminal: there what is compared
 * (`*news`) is the same answers as they would have looked at `since`. */
static int
status_look(struct cli_call *c, int64_t since, struct buf *text, struct buf *news,
	    struct error **e)
{
	struct answers s;
	int rc = status_ask(c, &s, e);

	c->now = now_ms();
	if (!rc)
		rc = status_text(c, &s, text, e);
	if (!c->tty)
		c->now = since;
	if (!rc)
		rc = status_text(c, &s, news, e);
	answers_done(&s);
	return rc;
}

static int
status_watch(struct cli_call *c, struct error **e)
{
	cleanup_buf struct buf last = { 0 };
	int64_t since = c->now;

	for (;;) {
		cleanup_buf struct buf text = { 0 }, news = { 0 };
		cleanup_arena struct arena arena = { 0 };
		struct arena *kept = c->arena;
		int rc;

		c->arena = &arena;
		rc = status_look(c, since, &text, &news, e);
		c->arena = kept;
		if (rc)
			return rc;
		if (!last.len || !str_is(buf_text(&last), buf_text(&news))) {
			if (c->tty)
				fputs("\033[H\033[2J", c->out);
			else if (last.len)
				fputs("\n", c->out);
			fputs(buf_text(&text), c->out);
			if (fflush(c->out))
				return 0;
			buf_clear(&last);
			buf_adds(&last, buf_text(&news));
		}
		cli_sleep(300);
	}
}

int
cli_status(struct cli_call *c, struct error **e)
{
	cleanup_buf struct buf text = { 0 };
	struct answers s;
	int rc;

	if (cli_opt(c, OPT_output)) {
		json_t *j = cli_json(c, "GET", "/kedge/status", NULL, NULL, e);
		bool done = j && cli_print_json(c, j);

		json_decref(j);
		return done ? 0 : j ? fail(e, WHY_BAD_REQUEST, "-o takes json or yaml") : -1;
	}
	if (cli_opt(c, OPT_watch))
		return status_watch(c, e);
	rc = status_ask(c, &s, e);
	if (!rc)
		rc = status_text(c, &s, &text, e);
	answers_done(&s);
	if (!rc)
		fputs(buf_text(&text), c->out);
	return rc;
}

/* ---- history ---- */

static int
by_newest(const void *a, const void *b)
{
	json_t *x = *(json_t *const *)a, *y = *(json_t *const *)b;
	const char *tx = json_string_value(cli_path(x, "status.startTime"));
	const char *ty = json_string_value(cli_path(y, "status.startTime"));
	int order = strcmp(ty ? ty : "", tx ? tx : "");

	return order ? order
		     : (revision_number(y) > revision_number(x)) -
			   (revision_number(y) < revision_number(x));
}

static size_t
history_pick(struct cli_call *c, json_t *list, json_t **at)
{
	const char *limit = cli_opt(c, OPT_limit);
	json_t *r;
	size_t i, n = 0;

	json_array_foreach(json_object_get(list, "items"), i,
			   r) if (!c->n || str_is(cli_at(c, r, "spec.source"), c->args[0]))
	    at[n++] = r;
	qsort(at, n, sizeof *at, by_newest);
	return limit && strtoul(limit, NULL, 10) < n ? strtoul(limit, NULL, 10) : n;
}

static void
history_row(struct cli_call *c, struct cli_table *t, json_t *r)
{
	const char *outcome = cli_at(c, r, "status.outcome");
	int64_t took = json_integer_value(cli_path(r, "status.durationMs"));
	const char *cells[] = {
		cli_at(c, r, "spec.number"),
		cli_at(c, r, "spec.source"),
		arena_strndup(c->arena, cli_at(c, r, "spec.commit"), 7),
		cli_paint(c, outcome_colour(outcome), outcome),
		cli_age(c, c->now - cli_ms(start_of(c, r))),
		took ? duration_text(c, took) : "-",
		arena_printf(c->arena, "+%s ~%s -%s", cli_at(c, r, "status.created"),
			     cli_at(c, r, "status.changed"), cli_at(c, r, "status.pruned")),
		author_name(c, cli_at(c, r, "spec.author")),
		first_line(c, cli_at(c, r, "spec.message"), 50),
	};

	cli_table_row(t, cells);
}

int
cli_history(struct cli_call *c, struct error **e)
{
	static const char *const header[] = { "REVISION", "SOURCE",  "COMMIT", "OUTCOME", "AGE",
					      "TOOK",     "CHANGES", "AUTHOR", "MESSAGE" };
	struct cli_table t = { .arena = c->arena, .cols = sizeof header / sizeof *header };
	json_t *list = cli_list(c, RES_revision, e), **at, *line;
	size_t n, widths[sizeof header / sizeof *header] = { 0 };

	if (!list)
		return -1;
	at = arena_alloc(c->arena,
			 json_array_size(json_object_get(list, "items")) * sizeof *at + 1);
	n = history_pick(c, list, at);
	if (c->n && !n) { /* a name that is no source's has no history, but that is not why */
		json_t *source = cli_json(
		    c, "GET", cli_url(c, &resources[RES_source], c->args[0]), NULL, NULL, e);

		if (!source) {
			json_decref(list);
			return -1;
		}
		json_decref(source);
	}
	if (cli_opt(c, OPT_output)) {
		json_t *items = json_array();

		for (size_t i = 0; i < n; i++)
			json_array_append(items, at[i]);
		json_object_set_new(list, "items", items);
		n = cli_print_json(c, list);
		json_decref(list);
		return n ? 0 : fail(e, WHY_BAD_REQUEST, "-o takes json or yaml");
	}
	cli_table_row(&t, header);
	for (size_t i = 0; i < n; i++)
		history_row(c, &t, at[i]);
	cli_table_widths(&t, widths);
	for (size_t i = 0; i < t.rows; i++) {
		size_t k;

		cli_table_print_row(&t, i, widths, c->out);
		if (i)
			json_array_foreach(cli_path(at[i - 1], "status.errors"), k, line)
			    fprintf(c->out, "           %s\n",
				    cli_paint(c, RED, json_string_value(line)));
	}
	json_decref(list);
	return 0;
}

/* ---- diff ---- */

static const char *
line_colour(const char *line)
{
	return *line == '+' ? GREEN : *line == '-' ? RED : *line == '~' ? YELLOW : DIM;
}

int
cli_diff(struct cli_call *c, struct error **e)
{
	cleanup_buf struct buf path = { 0 };
	json_t *j, *line, *errors, *actions;
	size_t i;
	int rc;

	buf_adds(&path, "/kedge/diff");
	if (cli_opt(c, OPT_source))
		cli_query(&path, "source", cli_opt(c, OPT_source));
	if (c->n)
		cli_query(&path, "ref", c->args[0]);
	j = cli_json(c, "GET", path.at, NULL, NULL, e);
	if (!j)
		return -1;
	actions = json_object_get(j, "actions");
	errors = json_object_get(j, "errors");
	rc = json_array_size(errors) ? 2 : json_array_size(actions) ? 1 : 0;
	if (!cli_print_json(c, j)) {
		json_array_foreach(actions, i, line)
		    fprintf(c->out, "%s\n",
			    cli_paint(c, line_colour(json_string_value(line)),
				      json_string_value(line)));
		json_array_foreach(errors, i, line)
		    fprintf(stderr, "%s\n", json_string_value(line));
	}
	json_decref(j);
	return rc;
}

/* ---- what is asked of a source ---- */

static int
ask_source_for(struct cli_call *c, const char *given, const char *verb, json_t *args,
	       const char **ret_source, json_t **ret_answer, struct error **e)
{
	const char *source = cli_one_source(c, given, e);
	cleanup_free char *body = json_dumps(args, JSON_COMPACT);

	json_decref(args);
	if (!source)
		return -1;
	*ret_answer = cli_json(
	    c, "POST",
	    arena_printf(c->arena, "%s/%s", cli_url(c, &resources[RES_source], source), verb),
	    NULL, body, e);
	if (!*ret_answer)
		return -1;
	*ret_source = source;
	return 0;
}

static int
ask_source(struct cli_call *c, const char *given, const char *verb, json_t *args,
	   const char **ret_source, struct error **e)
{
	json_t *answer;

	if (ask_source_for(c, given, verb, args, ret_source, &answer, e))
		return -1;
	json_decref(answer);
	return 0;
}

int
cli_sync(struct cli_call *c, struct error **e)
{
	const char *source;
	json_t *args = json_pack("{s:b,s:b}", "allowPrune", cli_opt(c, OPT_allow_prune) != NULL,
				 "everything", cli_opt(c, OPT_everything) != NULL);

	if (ask_source(c, c->n ? c->args[0] : NULL, "sync", args, &source, e))
		return -1;
	fprintf(c->out, "source %s synced\n", source);
	return 0;
}

int
cli_suspend(struct cli_call *c, struct error **e)
{
	const char *source;

	if (ask_source(c, c->n ? c->args[0] : NULL, "suspend", json_object(), &source, e))
		return -1;
	fprintf(c->out, "source %s suspended; `kedge resume` goes on\n", source);
	return 0;
}

int
cli_resume(struct cli_call *c, struct error **e)
{
	const char *source;

	if (ask_source(c, c->n ? c->args[0] : NULL, "resume", json_object(), &source, e))
		return -1;
	fprintf(c->out, "source %s resumed\n", source);
	return 0;
}

/* "revision 7 (6b5fc32 web: three replicas)" */
static const char *
revision_text(struct cli_call *c, json_t *to)
{
	const char *message = cli_at(c, to, "message");

	return arena_printf(c->arena, "revision %s (%.7s %.*s)", cli_at(c, to, "revision"),
			    cli_at(c, to, "commit"), (int)strcspn(message, "\n"), message);
}

int
cli_rollback(struct cli_call *c, struct error **e)
{
	const char *source;
	json_t *to;
	char *end = NULL;
	int64_t n = c->n ? strtoll(c->args[0], &end, 10) : 0;
	json_t *now;

	if (c->n && (*end || n < 1))
		return fail(
		    e, WHY_BAD_REQUEST,
		    "rollback takes a revision's number, as `kedge history` shows it, not "
		    "\"%s\"",
		    c->args[0]);
	if (ask_source_for(c, cli_opt(c, OPT_source), "rollback",
			   json_pack("{s:I}", "revision", n), &source, &to, e))
		return -1;
	now = cli_json(c, "GET", cli_url(c, &resources[RES_source], source), NULL, NULL, e);
	if (!now)
		return -1;
	if (*cli_at(c, now, "spec.pin"))
		fprintf(c->out, "source %s is pinned to %s; `kedge resume` ends it\n", source,
			revision_text(c, to));
	else
		fprintf(c->out,
			"source %s rolled back to %s with a new commit; `kedge wait` follows "
			"it\n",
			source, revision_text(c, to));
	json_decref(to);
	json_decref(now);
	return 0;
}

/* ---- down, version ---- */

/* Says what data goes: the claims whose volumes kedge itself made. */
static void
say_data(struct cli_call *c)
{
	json_t *all = cli_json(c, "GET", "/api/v1/persistentvolumes", NULL, NULL, NULL), *v;
	size_t i;

	json_array_foreach(json_object_get(all, "items"), i, v)
	{
		const char *by = NULL, *size = NULL, *ns = NULL, *claim = NULL, *name = NULL;

		if (json_unpack(v, "{s:{s:s, s:{s:s}}, s:{s:{s:s}, s:{s:s, s:s}}}", "metadata",
				"name", &name, "annotations", "pv.kubernetes.io/provisioned-by",
				&by, "spec", "capacity", "storage", &size, "claimRef",
				"namespace", &ns, "name", &claim) == 0 &&
		    !strcmp(by, "kedge.dev/local"))
			fprintf(stderr, "the data of claim %s/%s goes: %s in %s\n", ns, claim,
				size, name);
	}
	json_decref(all);
}

enum { DOWN_SECONDS = 120, DOWN_LOOK_MS = 20 };

/* The answer comes before the work, for who answers goes with it; the socket is what goes
 * last. */
static int
down_await(const struct cli_call *c, struct error **e)
{
	for (int i = 0; i < DOWN_SECONDS * 1000 / DOWN_LOOK_MS; i++) {
		if (access(c->socket, F_OK) < 0)
			return 0;
		usleep(DOWN_LOOK_MS * 1000);
	}
	return fail(e, WHY_UNAVAILABLE,
		    "%s is still there after %d s: kedged's log says what could not be removed",
		    c->socket, DOWN_SECONDS);
}

int
cli_down(struct cli_call *c, struct error **e)
{
	bool keep = cli_opt(c, OPT_keep) != NULL, yes = cli_opt(c, OPT_yes) != NULL;
	json_t *answer;

	/* A script that lost its way must not end all that runs here. */
	if (!yes && !(isatty(STDIN_FILENO) && c->tty))
		return fail(
		    e, WHY_BAD_REQUEST,
		    "nothing was done: kedge down removes everything kedge made on this "
		    "host, and there is no terminal to ask at; say --yes if that is meant");
	if (!keep)
		say_data(c);
	if (!yes) {
		char line[16] = "";

		fprintf(stderr,
			"Stop every pod and remove everything kedge made on this host%s? "
			"[y/N] ",
			keep ? " but images, history and the data of claims"
			     : ", images, history and the data of claims too");
		if (!fgets(line, sizeof line, stdin) || (*line != 'y' && *line != 'Y')) {
			fputs("nothing was done\n", stderr);
			return 1;
		}
	}
	answer = cli_json(c, "POST", "/kedge/down", NULL,
			  keep ? "{\"keep\":true}" : "{\"keep\":false}", e);
	if (!answer)
		return -1;
	json_decref(answer);
	if (down_await(c, e) < 0)
		return -1;
	fputs("everything is down\n", c->out);
	return 0;
}

int
cli_version(struct cli_call *c, struct error **e)
{
	json_t *server = NULL, *both;

	if (!cli_opt(c, OPT_client)) {
		server = cli_json(c, "GET", "/version", NULL, NULL, e);
		if (!server && (*e)->why != WHY_UNAVAILABLE)
			return -1;
		error_free(e); /* without a daemon there is still this program */
	}
	both = json_pack("{s:s}", "client", KEDGE_VERSION);
	if (server)
		json_object_set(both, "server", server);
	if (!cli_print_json(c, both)) {
		fprintf(c->out, "kedge " KEDGE_VERSION "\n");
		if (server)
			fprintf(c->out, "daemon %s\n", cli_at(c, server, "gitVersion"));
	}
	json_decref(both);
	json_decref(server);
	return 0;
}
