/* cli_wait.c -- kedge wait: until what was pushed is healthy, or will not be.
 *
 * Looks again and again rather than watching: a daemon that restarts meanwhile
 * is one more thing to wait for.
 */
#include "../reconcile/base/now.h"
#include "../reconcile/base/text.h"
#include "cli_source.h"
#include <inttypes.h>
#include <string.h>

enum { LOOK_MS = 100, SILENT_MS = 5000 };

enum verdict { WAIT, HEALTHY, FAILED, HELD_UP };

static enum verdict
judge(struct cli_call *c, json_t *r, const char **ret_why)
{
	const char *outcome = cli_at(c, r, "status.outcome");
	const char *waiting = cli_at(c, r, "status.waitingFor");
	cleanup_buf struct buf text = { 0 };
	json_t *line;
	size_t i;

	if (str_is(outcome, "Healthy"))
		return HEALTHY;
	if (str_is(outcome, "Failed") || str_is(outcome, "Superseded")) {
		buf_addf(&text, "revision %" PRId64 " (%.7s) %s", revision_number(r),
			 cli_at(c, r, "spec.commit"),
			 str_is(outcome, "Failed") ? "failed"
						   : "was superseded by a newer one");
		json_array_foreach(cli_path(r, "status.errors"), i, line)
			buf_addf(&text, "\n  %s", json_string_value(line));
		*ret_why = arena_strdup(c->arena, text.at);
		return FAILED;
	}
	if (*waiting)
		*ret_why = waiting;
	return WAIT;
}

/* There is a commit (that begins so) which will not be applied as long as nobody resumes. */
static bool
is_held_up(struct cli_call *c, json_t *source, const char *commit, const char **ret_why)
{
	const char *next = cli_at(c, source, "status.next");
	const char *name = cli_at(c, source, "metadata.name");
	const char *pin = cli_at(c, source, "spec.pin");
	bool suspended = json_is_true(cli_path(source, "spec.suspend"));

	if (!*next || strncmp(next, commit, strlen(commit)) != 0 || (!suspended && !*pin))
		return false;
	*ret_why = arena_printf(c->arena,
				"source %s is %s%.7s: %.7s is not applied until "
				"`kedge resume %s`",
				name, suspended ? "suspended" : "pinned to ",
				suspended ? "" : pin, next, name);
	return true;
}

/* The commit that the source's newest revision should speak of; "": any. */
static const char *
commit_due(struct cli_call *c, json_t *source)
{
	const char *pin = cli_at(c, source, "spec.pin");

	return *pin ? pin : cli_at(c, source, "status.commit");
}

/* Each of the sources (or the one that is named) at its newest commit. */
static enum verdict
look_newest(struct cli_call *c, json_t *sources, json_t *revisions, const char **ret_why,
	    const char **ret_note)
{
	enum verdict all = HEALTHY;
	bool found = false;
	json_t *source;
	size_t i;

	json_array_foreach(json_object_get(sources, "items"), i, source) {
		const char *name = cli_at(c, source, "metadata.name");
		const char *commit = commit_due(c, source);
		const char *trouble = cli_at(c, source, "status.message");
		json_t *r = revision_newest(c, revisions, name, 0, NULL);
		enum verdict one = WAIT;

		if (c->n && !str_is(name, c->args[0]))
			continue;
		found = true;
		if (is_held_up(c, source, "", ret_why))
			one = HELD_UP;
		else if (!r)
			*ret_why =
			    arena_printf(c->arena, "source %s: its first commit%s%s%s", name,
					 *trouble ? " (" : "", trouble, *trouble ? ")" : "");
		else if (*commit && !str_is(commit, cli_at(c, r, "spec.commit")))
			*ret_why =
			    arena_printf(c->arena, "source %s: %.7s to be read", name, commit);
		else
			one = judge(c, r, ret_why);
		if (one == FAILED) {
			/* each source counts its own revisions */
			if (json_array_size(json_object_get(sources, "items")) > 1)
				*ret_why =
				    arena_printf(c->arena, "source %s: %s", name, *ret_why);
			return FAILED;
		}
		if (one == HELD_UP)
			all = HELD_UP;
		else if (one == WAIT)
			all = all == HELD_UP ? all : WAIT;
		else if (json_is_true(cli_path(source, "spec.suspend")))
			*ret_note = arena_printf(
			    c->arena,
			    "source %s is suspended: what came since is not applied until "
			    "`kedge resume`",
			    name);
		else if (*cli_at(c, source, "spec.pin"))
			*ret_note = arena_printf(
			    c->arena,
			    "source %s is pinned to %.7s: what comes is not applied until "
			    "`kedge resume`",
			    name, commit);
		else if (*trouble)
			*ret_note = arena_printf(
			    c->arena,
			    "source %s cannot be read now, so a newer commit is not seen: %s",
			    name, trouble);
	}
	if (!found)
		*ret_why = "a source: kedged has none";
	return found ? all : WAIT;
}

static enum verdict
look_commit(struct cli_call *c, json_t *sources, json_t *revisions, const char *commit,
	    const char **ret_why)
{
	json_t *best = NULL, *r, *source;
	size_t i;

	json_array_foreach(json_object_get(revisions, "items"), i, r)
		if (!strncmp(cli_at(c, r, "spec.commit"), commit, strlen(commit)) &&
		    (!c->n || str_is(cli_at(c, r, "spec.source"), c->args[0])) &&
		    (!best || revision_number(r) > revision_number(best)))
			best = r;
	if (best)
		return judge(c, best, ret_why);
	json_array_foreach(json_object_get(sources, "items"), i, source) {
		if ((!c->n || str_is(cli_at(c, source, "metadata.name"), c->args[0])) &&
		    is_held_up(c, source, commit, ret_why))
			return HELD_UP;
	}
	*ret_why = arena_printf(c->arena, "commit %s to be read", commit);
	return WAIT;
}

static int
look(struct cli_call *c, const char *what, enum verdict *ret, const char **ret_why,
     const char **ret_note, struct error **e)
{
	json_t *sources = cli_list(c, RES_source, e), *revisions;

	if (!sources)
		return -1;
	revisions = c->n && !cli_source(c, sources, c->args[0], e)
			? NULL
			: cli_list(c, RES_revision, e);
	if (!revisions) {
		json_decref(sources);
		return -1;
	}
	*ret = str_is(what, "healthy") ? look_newest(c, sources, revisions, ret_why, ret_note)
				       : look_commit(c, sources, revisions, what, ret_why);
	json_decref(sources);
	json_decref(revisions);
	return 0;
}

/* Who looks on is told at once, and of each change; a log has one line, of a wait that is long.
 */
static bool
is_news(const char *said, const char *why, int64_t start)
{
	if (isatty(STDERR_FILENO))
		return !str_is(said, why);
	return !*said && monotonic_ms() - start >= SILENT_MS;
}

int
cli_wait(struct cli_call *c, struct error **e)
{
	const char *what = cli_opt(c, OPT_for) ? cli_opt(c, OPT_for) : "healthy";
	const char *timeout = cli_opt(c, OPT_timeout) ? cli_opt(c, OPT_timeout) : "60s";
	int64_t most = cli_duration(timeout), start = monotonic_ms();
	const char *why = "the daemon", *said = "", *note = NULL;

	if (most < 0)
		return fail(e, WHY_BAD_REQUEST,
			    "--timeout takes a time such as 30s or 5m, not \"%s\"", timeout);
	if (!str_is(what, "healthy") &&
	    (strlen(what) < 4 || what[strspn(what, "0123456789abcdef")]))
		return fail(
		    e, WHY_BAD_REQUEST,
		    "--for takes healthy or a commit (four letters or more), not \"%s\"", what);
	for (;;) {
		enum verdict v = WAIT;
		cleanup_error struct error *now = NULL;

		/* A daemon that restarts meanwhile is a thing to wait for, too. */
		if (look(c, what, &v, &why, &note, &now) && now->why != WHY_UNAVAILABLE)
			return fail_with(e, &now);
		if (now)
			why = arena_strdup(c->arena, error_text(now));
		if (v == HEALTHY) {
			if (note)
				fprintf(stderr, "kedge: %s\n", note);
			return 0;
		}
		if (v == FAILED || v == HELD_UP) {
			fprintf(stderr, "kedge: %s\n", why);
			return v == FAILED ? 1 : 2;
		}
		if (is_news(said, why, start))
			fprintf(stderr, "%s %s\n", now ? "waiting for kedged:" : "waiting for",
				said = why);
		if (monotonic_ms() - start >= most) {
			const char *unit = timeout[strspn(timeout, "0123456789")] ? "" : "s";

			fprintf(stderr,
				now ? "kedge: gave up after %s%s: %s\n"
				    : "kedge: after %s%s still waiting for %s\n",
				timeout, unit, why);
			return 2;
		}
		cli_sleep(LOOK_MS);
	}
}
