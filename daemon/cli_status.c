/* cli_status.c -- kedge status: where each source stands, what does not work, what is not
 * Git's. */
#include "../reconcile/base/now.h"
#include "../reconcile/base/text.h"
#include "cli_source.h"
#include <inttypes.h>
#include <string.h>

/* Of each list; who wants to see all asks for JSON. */
enum { ROWS_SHOWN = 100 };

/* Its files were right, so that it is what runs, or ran. */
static bool
was_applied(struct cli_call *c, json_t *r)
{
	const char *outcome = cli_at(c, r, "status.outcome");

	return str_is(outcome, "Applying") || str_is(outcome, "Healthy") ||
	       str_is(outcome, "Superseded") || *cli_at(c, r, "status.waitingFor");
}

/* "deployment default/web: 0 of 3 ... (web-1: why, at length), and 2 more" without what stands
 * in brackets, where that pod and its reason are told `below` ("not working"). */
static const char *
without_told(struct cli_call *c, const char *text, json_t *below)
{
	const char *end = strrchr(text, ')');
	json_t *o;
	size_t i;

	json_array_foreach(below, i, o) {
		const char *mark = arena_printf(c->arena, " (%s: ", cli_at(c, o, "name"));
		const char *from = end ? strstr(text, mark) : NULL;

		if (i == ROWS_SHOWN)
			break;
		if (str_is(cli_at(c, o, "kind"), "pod") && from)
			return arena_printf(c->arena, "%.*s%s", (int)(from - text), text,
					    end + 1);
	}
	return text;
}

static const char *
health_text(struct cli_call *c, json_t *r, json_t *below)
{
	const char *outcome = cli_at(c, r, "status.outcome");
	const char *waiting = without_told(c, cli_at(c, r, "status.waitingFor"), below);
	const char *word = cli_paint(c, revision_colour(outcome), outcome);
	int64_t started = cli_ms(revision_start(c, r));
	int64_t took = json_integer_value(cli_path(r, "status.durationMs"));

	if (str_is(outcome, "Applying"))
		return arena_printf(c->arena, "%s for %s%s%s", word,
				    cli_age(c, c->now - started),
				    *waiting ? ", waiting for " : "", waiting);
	if (str_is(outcome, "Failed") && *waiting)
		return arena_printf(c->arena, "%s, still waiting for %s", word, waiting);
	if (str_is(outcome, "Healthy") && took)
		return arena_printf(c->arena, "%s, after %s", word, revision_took(c, took));
	return word;
}

static void
put_revision(struct cli_call *c, const char *label, json_t *r, json_t *below, struct buf *out)
{
	buf_addf(out, "  %-9s %s  %s  (%s, %s)\n", label,
		 arena_strndup(c->arena, cli_at(c, r, "spec.commit"), 7),
		 cli_first_line(c, cli_at(c, r, "spec.message"), 100),
		 revision_author(c, cli_at(c, r, "spec.author")),
		 cli_ago(c, revision_start(c, r)));
	buf_addf(out, "  %-9s revision %" PRId64 ", %s\n", "health", revision_number(r),
		 health_text(c, r, below));
}

static void
put_lines(struct cli_call *c, json_t *lines, const char *label, const char *colour,
	  json_t *below, struct buf *out)
{
	json_t *line;
	size_t i;

	json_array_foreach(lines, i, line)
		buf_addf(out, "  %-9s %s\n", i ? "" : label,
			 cli_paint(c, colour, without_told(c, json_string_value(line), below)));
}

/* What a suspended or pinned source would go on to. */
static void
put_next(struct cli_call *c, json_t *source, struct buf *out)
{
	const char *next = cli_at(c, source, "status.next");

	if (*next)
		buf_addf(out, "  %-9s %.7s  %s  (%s), not applied; kedge diff shows it\n",
			 "next", next,
			 cli_first_line(c, cli_at(c, source, "status.nextMessage"), 100),
			 revision_author(c, cli_at(c, source, "status.nextAuthor")));
}

static void
put_write_back(struct cli_call *c, json_t *source, struct buf *out)
{
	const char *why = cli_at(c, source, "status.unwritable");

	if (!json_is_true(cli_path(source, "spec.writeBack")))
		return;
	if (*why)
		why = arena_printf(c->arena, "not possible: %s", why);
	buf_addf(out, "  %-9s %s\n", "writeBack",
		 *why ? cli_paint(c, YELLOW, why) : "changes over the API become commits");
}

/* By a rollback, for where a commit can be made there is no pin. */
static void
put_pin(struct cli_call *c, json_t *source, struct buf *out)
{
	const char *pin = cli_at(c, source, "spec.pin");
	const char *why = cli_at(c, source, "status.unwritable");

	if (*pin)
		buf_addf(out, "  %-9s %.7s, until `kedge resume`%s%s\n", "pinned", pin,
			 *why ? "; no commit can be made there: " : "", why);
}

/* `below`: what will be told as not working. */
static void
put_source(struct cli_call *c, json_t *source, json_t *revisions, json_t *below,
	   struct buf *out)
{
	const char *name = cli_at(c, source, "metadata.name");
	const char *path = cli_at(c, source, "spec.path"), *ref = cli_at(c, source, "spec.ref");
	const char *trouble = cli_at(c, source, "status.message");
	const char *pulling = cli_at(c, source, "status.pulling");
	json_t *newest = revision_newest(c, revisions, name, 0, NULL), *runs;

	buf_addf(out, "%s  %s%s%s%s%s%s\n", cli_paint(c, BOLD, name),
		 cli_at(c, source, "spec.url"), *ref ? "#" : "", ref, *path ? ", " : "", path,
		 json_is_true(cli_path(source, "spec.suspend"))
		     ? cli_paint(c, YELLOW, "  suspended (kedge resume)")
		     : "");
	put_pin(c, source, out);
	put_write_back(c, source, out);
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
	put_revision(c, "commit", newest, below, out);
	put_lines(c, cli_path(newest, "status.errors"), "errors", RED, below, out);
	put_lines(c, cli_path(newest, "status.warnings"), "warnings", YELLOW, NULL, out);
	if (!was_applied(c, newest)) {
		runs =
		    revision_newest(c, revisions, name, revision_number(newest), was_applied);
		if (runs)
			put_revision(c, "runs", runs, below, out);
	}
}

/* "kubectl-create, kubectl-label" */
static const char *
words_of(struct cli_call *c, json_t *list)
{
	cleanup_buf struct buf b = { 0 };
	json_t *word;
	size_t i;

	json_array_foreach(list, i, word) {
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

static void
put_more(size_t n, struct buf *out)
{
	if (n > ROWS_SHOWN)
		buf_addf(out, "  and %zu more: kedge status -o json lists all\n",
			 n - ROWS_SHOWN);
}

/* What is there and does not work. */
static void
put_troubles(struct cli_call *c, json_t *list, struct buf *out)
{
	json_t *o;
	size_t i;

	json_array_foreach(list, i, o) {
		if (i == ROWS_SHOWN)
			break;
		buf_addf(out, "%s  %s %s\n    %s\n", i ? "" : "\nnot working\n",
			 cli_at(c, o, "kind"), loose_path(c, o),
			 cli_paint(c, RED, cli_first_line(c, cli_at(c, o, "message"), 400)));
	}
	put_more(json_array_size(list), out);
}

/* What sources left behind that kedged follows no longer, each source's together. */
static void
put_left(struct cli_call *c, json_t *list, struct buf *out)
{
	json_t *o, *other;
	size_t i, k;

	json_array_foreach(list, i, o) {
		const char *source = cli_at(c, o, "source");
		size_t n = 0;

		if (!*source)
			continue;
		json_array_foreach(list, k, other) {
			if (k == i || str_is(cli_at(c, other, "source"), source))
				break;
		}
		if (k < i)
			continue; /* told with the first */
		buf_addf(out,
			 "\nnot from Git any more: source %s is no longer configured\n"
			 "  They stay as they are.  Put the source back into kedge.yaml, or "
			 "kedge delete them.\n",
			 source);
		json_array_foreach(list, k, other) {
			if (str_is(cli_at(c, other, "source"), source) && n++ < ROWS_SHOWN)
				buf_addf(out, "  %s %s\n", cli_at(c, other, "kind"),
					 loose_path(c, other));
		}
		put_more(n, out);
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
		size_t n = 0;
		json_t *o;
		size_t i;

		json_array_foreach(list, i, o) {
			bool gits = json_object_get(o, "fields") &&
				    !str_is(cli_at(c, o, "kind"), "node");

			if (gits != (pass == 1) || json_object_get(o, "source"))
				continue;
			if (!n)
				buf_addf(out, "\n%s\n", titles[pass]);
			if (n++ < ROWS_SHOWN)
				put_loose(c, o, out);
		}
		put_more(n, out);
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

	json_array_foreach(json_object_get(s->sources, "items"), i, source) {
		if (c->n && !str_is(cli_at(c, source, "metadata.name"), c->args[0]))
			continue;
		if (found)
			buf_addc(out, '\n');
		put_source(c, source, s->revisions, json_object_get(s->all, "troubles"), out);
		found = true;
	}
	if (!found && c->n)
		return cli_source(c, s->sources, c->args[0], e) ? 0 : -1;
	if (!found)
		buf_adds(out, "No source.  Give kedged one with --source, or in "
			      "/etc/kedge/kedge.yaml.\n");
	put_troubles(c, json_object_get(s->all, "troubles"), out);
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
			cli_put(c, buf_text(&text));
			if (fflush(c->out))
				return 0;
			buf_clear(&last);
			buf_adds(&last, buf_text(&news));
		}
		cli_sleep(300);
	}
}

/* Of one source, that one alone. */
static int
status_value(struct cli_call *c, struct error **e)
{
	json_t *j = cli_json(c, "GET", "/kedge/status", NULL, NULL, e), *source, *one;
	size_t i;

	if (!j)
		return -1;
	one = c->n ? NULL : j;
	json_array_foreach(json_object_get(j, "sources"), i, source)
		if (c->n && str_is(cli_at(c, source, "source.metadata.name"), c->args[0]))
			one = source;
	if (one)
		cli_print_json(c, one);
	json_decref(j);
	return one || cli_one_source(c, c->args[0], e) ? 0 : -1;
}

int
cli_status(struct cli_call *c, struct error **e)
{
	cleanup_buf struct buf text = { 0 };
	struct answers s;
	int rc;

	if (cli_opt(c, OPT_output) && cli_opt(c, OPT_watch))
		return fail(
		    e, WHY_BAD_REQUEST,
		    "-w is for people; `kedge get sources -w -o json` watches for a program");
	if (cli_opt(c, OPT_output))
		return status_value(c, e);
	if (cli_opt(c, OPT_watch))
		return status_watch(c, e);
	rc = status_ask(c, &s, e);
	if (!rc)
		rc = status_text(c, &s, &text, e);
	answers_done(&s);
	if (!rc)
		cli_put(c, buf_text(&text));
	return rc;
}
