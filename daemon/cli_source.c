/* cli_source.c -- what Git says and what came of it: history, sync. */
#include "cli_source.h"
#include "../reconcile/base/cleanup.h"
#include "../reconcile/base/now.h"
#include "../reconcile/base/text.h"
#include "../reconcile/object.h"
#include <assert.h>
#include <errno.h>
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

const char *
cli_first_line(struct cli_call *c, const char *text, size_t most)
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
const char *
revision_author(struct cli_call *c, const char *author)
{
	size_t n = strcspn(author, "<");

	while (n && author[n - 1] == ' ')
		n--;
	return n ? arena_strndup(c->arena, author, n) : author;
}

const char *
revision_colour(const char *outcome)
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

	json_array_foreach(json_object_get(revisions, "items"), i, r) {
		if (!str_is(cli_at(c, r, "spec.source"), source) ||
		    (below && revision_number(r) >= below) || (fits && !fits(c, r)))
			continue;
		if (!best || revision_number(r) > revision_number(best))
			best = r;
	}
	return best;
}

const char *
revision_start(struct cli_call *c, json_t *r)
{
	const char *start = cli_at(c, r, "status.startTime");

	return *start ? start : cli_at(c, r, "metadata.creationTimestamp");
}

const char *
revision_took(struct cli_call *c, int64_t ms)
{
	if (ms < 10000)
		return arena_printf(c->arena, "%" PRId64 ".%" PRId64 "s", ms / 1000,
				    ms % 1000 / 100);
	return cli_age(c, ms);
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

	json_array_foreach(json_object_get(list, "items"), i, r)
		if (!c->n || str_is(cli_at(c, r, "spec.source"), c->args[0]))
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
		cli_paint(c, revision_colour(outcome), outcome),
		cli_age(c, c->now - cli_ms(revision_start(c, r))),
		took ? revision_took(c, took) : "-",
		arena_printf(c->arena, "+%s ~%s -%s", cli_at(c, r, "status.created"),
			     cli_at(c, r, "status.changed"), cli_at(c, r, "status.pruned")),
		revision_author(c, cli_at(c, r, "spec.author")),
		cli_first_line(c, cli_at(c, r, "spec.message"), 100),
	};

	cli_table_row(t, cells);
}

int
cli_history(struct cli_call *c, struct error **e)
{
	static const char *const header[] = { "REVISION", "SOURCE",  "COMMIT", "OUTCOME", "AGE",
					      "TOOK",     "CHANGES", "AUTHOR", "MESSAGE" };
	struct cli_table t = { .arena = c->arena, .cols = sizeof header / sizeof *header };
	const char *limit = cli_opt(c, OPT_limit);
	json_t *list, **at, *line;
	size_t n, widths[sizeof header / sizeof *header] = { 0 };

	if (limit && (!*limit || limit[strspn(limit, "0123456789")]))
		return fail(e, WHY_BAD_REQUEST,
			    "--limit takes a number of revisions, not \"%s\"", limit);
	list = cli_list(c, RES_revision, e);
	if (!list)
		return -1;
	at = arena_alloc(c->arena,
			 json_array_size(json_object_get(list, "items")) * sizeof *at + 1);
	n = history_pick(c, list, at);
	if (c->n && !n) { /* a name that is no source's has no history, but that is not why */
		json_t *sources = cli_list(c, RES_source, e);
		bool there = sources && cli_source(c, sources, c->args[0], e);

		json_decref(sources);
		if (!there) {
			json_decref(list);
			return -1;
		}
	}
	if (cli_opt(c, OPT_output)) {
		json_t *items = json_array();

		for (size_t i = 0; i < n; i++)
			json_array_append(items, at[i]);
		json_object_set_new(list, "items", items);
		cli_print_json(c, list);
		json_decref(list);
		return 0;
	}
	cli_table_row(&t, header);
	for (size_t i = 0; i < n; i++)
		history_row(c, &t, at[i]);
	cli_table_widths(&t, widths);
	for (size_t i = 0; i < t.rows; i++) {
		cleanup_free char *row = NULL;
		size_t k, len;
		FILE *to = open_memstream(&row, &len);

		assert(to);
		cli_table_print_row(&t, i, widths, to);
		fclose(to);
		cli_put(c, row);
		if (i)
			json_array_foreach(cli_path(at[i - 1], "status.errors"), k, line)
				cli_put(c, arena_printf(
					       c->arena, "           %s\n",
					       cli_paint(c, RED, json_string_value(line))));
	}
	json_decref(list);
	return 0;
}

/* ---- what is asked of a source ---- */

int
cli_ask_source(struct cli_call *c, const char *given, const char *verb, json_t *args,
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

	if (cli_ask_source(c, given, verb, args, ret_source, &answer, e))
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

/* ---- down, version ---- */

bool
cli_may_ask(const struct cli_call *c)
{
	return isatty(STDIN_FILENO) && c->tty;
}

bool
cli_confirm(const char *question)
{
	char line[16] = "";

	fprintf(stderr, "%s [y/N] ", question);
	if (fgets(line, sizeof line, stdin) && (*line == 'y' || *line == 'Y'))
		return true;
	fputs("nothing was done\n", stderr);
	return false;
}

/* Says what data goes: the claims whose volumes kedge itself made. */
static void
say_data(struct cli_call *c)
{
	json_t *all = cli_json(c, "GET", "/api/v1/persistentvolumes", NULL, NULL, NULL), *v;
	size_t i;

	json_array_foreach(json_object_get(all, "items"), i, v) {
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

/* Only kedged knows what it made, and may remove it. */
static int
down_needs_kedged(struct cli_call *c, struct error **e)
{
	int fd = cli_connect(c, e);

	if (fd >= 0) {
		close(fd);
		return 0;
	}
	if (access(c->socket, W_OK) < 0 && errno == EACCES)
		return -1; /* it may well run: the error says whom it answers */
	return fail_in(e, "nothing was done: it is kedged that removes what it made; start it "
			  "first (systemctl start kedged, or kedged with the options it had), "
			  "then kedge down");
}

int
cli_down(struct cli_call *c, struct error **e)
{
	bool keep = cli_opt(c, OPT_keep) != NULL, yes = cli_opt(c, OPT_yes) != NULL;
	json_t *answer;

	/* A script that lost its way must not end all that runs here. */
	if (!yes && !cli_may_ask(c))
		return fail(
		    e, WHY_BAD_REQUEST,
		    "nothing was done: kedge down removes everything kedge made on this "
		    "host, and there is no terminal to ask at; say --yes if that is meant");
	if (down_needs_kedged(c, e))
		return -1;
	if (!keep)
		say_data(c);
	if (!yes &&
	    !cli_confirm(keep ? "Stop every pod and remove everything kedge made on this host "
				"but images, history and the data of claims?"
			      : "Stop every pod and remove everything kedge made on this host, "
				"images, history and the data of claims too?"))
		return 1;
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
