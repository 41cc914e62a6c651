/* cli_parse.c -- from what was typed to a checked call.
 *
 * Options may stand anywhere before "--".  Everything that is not understood
 * is an error that says what may have been meant.
 */
#include "../reconcile/object.h"
#include "cli.h"
#include <ctype.h>
#include <string.h>

const struct cli_option cli_options[OPT_COUNT] = {
#define OPTION(i, w, l, v, h) [OPT_##i] = { #i, w, l, v, h },
#define MEANING(words, id, help)
#include "cli_options.def"
#undef MEANING
#undef OPTION
};

/* What differs from that, of one command. */
static const struct {
	const char *words;
	enum cli_option_id id;
	const char *help;
} meanings[] = {
#define OPTION(i, w, l, v, h)
#define MEANING(words, id, help) { words, OPT_##id, help },
#include "cli_options.def"
#undef MEANING
#undef OPTION
};

static int
not_here(struct cli_call *c, struct error **e)
{
	return fail(e, WHY_BAD_REQUEST, "%s does nothing", c->command->words);
}

const struct cli_command cli_commands[] = {
#define GROUP(id, title) { title, "", "", not_here, "", NULL, "" },
#define COMMAND(words, args, fn, options, brief, full) \
	{ NULL, words, args, fn, options, brief, full },
#include "cli.def"
#undef GROUP
#undef COMMAND
	{ 0 }
};

/* How many letters must be typed anew to make one word of the other. */
static size_t
distance(const char *a, const char *b)
{
	size_t n = strlen(b), row[64];

	if (strlen(a) > 60 || n > 60)
		return 60;
	for (size_t j = 0; j <= n; j++)
		row[j] = j;
	for (size_t i = 1; a[i - 1]; i++) {
		size_t corner = row[0];

		row[0] = i;
		for (size_t j = 1; j <= n; j++) {
			size_t best = corner + (a[i - 1] != b[j - 1]);

			corner = row[j];
			if (row[j] + 1 < best)
				best = row[j] + 1;
			if (row[j - 1] + 1 < best)
				best = row[j - 1] + 1;
			row[j] = best;
		}
	}
	return row[n];
}

const char *
cli_nearest(const char *word, const char *const *of, size_t n)
{
	const char *best = NULL;
	size_t least = strlen(word) / 3 + 2;

	for (size_t i = 0; i < n; i++) {
		size_t d = distance(word, of[i]);

		if (d < least && 2 * d <= strlen(word)) { /* of "foo", "pod" has too little */
			least = d;
			best = of[i];
		}
	}
	return best;
}

const char *
cli_opt_next(const struct cli_call *c, enum cli_option_id id, size_t *at)
{
	while (*at < c->ngiven)
		if (c->given[(*at)++].id == id)
			return c->given[*at - 1].value;
	return NULL;
}

const char *
cli_opt(const struct cli_call *c, enum cli_option_id id)
{
	for (size_t i = c->ngiven; i-- > 0;)
		if (c->given[i].id == id)
			return c->given[i].value;
	return NULL;
}

bool
cli_command_takes(const struct cli_command *cmd, enum cli_option_id id)
{
	const char *word = cli_options[id].id;
	size_t n = strlen(word);

	if (id == OPT_socket || id == OPT_help)
		return true;
	for (const char *p = cmd->options; (p = strstr(p, word)); p += n)
		if ((p == cmd->options || p[-1] == ' ') && (!p[n] || p[n] == ' '))
			return true;
	return false;
}

const char *
cli_option_help(const struct cli_command *cmd, enum cli_option_id id)
{
	for (size_t i = 0; i < sizeof meanings / sizeof *meanings; i++)
		if (meanings[i].id == id && !strcmp(meanings[i].words, cmd->words))
			return meanings[i].help;
	return cli_options[id].help;
}

int64_t
cli_duration(const char *text)
{
	static const struct {
		char unit;
		int64_t ms;
	} units[] = { { 'd', 86400000 }, { 'h', 3600000 }, { 'm', 60000 }, { 's', 1000 } };
	int64_t sum = 0;

	if (!*text)
		return -1;
	while (*text) {
		int64_t n = 0, ms = 0;

		if (!isdigit((unsigned char)*text))
			return -1;
		while (isdigit((unsigned char)*text) && n < INT32_MAX)
			n = n * 10 + (*text++ - '0');
		if (!*text && !sum)
			return n * 1000;
		for (size_t i = 0; i < sizeof units / sizeof *units; i++)
			if (*text == units[i].unit)
				ms = units[i].ms;
		if (!ms)
			return -1;
		text++;
		sum += n * ms;
	}
	return sum;
}

/* ---- the command ---- */

/* How many of argv's words the command's own words are; 0 when they are not. */
static int
words_match(const char *words, char **argv)
{
	int n = 0;

	while (*words) {
		size_t len = strcspn(words, " ");

		if (!argv[n] || strlen(argv[n]) != len || strncmp(argv[n], words, len) != 0)
			return 0;
		n++;
		words += len;
		words += *words == ' ';
	}
	return n;
}

/* What kubectl, git and docker call things, and what is done here. */
static const char *
instead_of(const char *word)
{
	static const struct {
		const char *words, *instead;
	} table[] = {
		{ " apply create edit patch replace scale autoscale set label annotate expose "
		  "run "
		  "up start ",
		  "what runs is changed through Git: change the manifest, commit and push" },
		{ " deploy push pull fetch reconcile ",
		  "a push is seen by itself; `kedge sync` looks now" },
		{ " rollout ", "`kedge wait` follows a rollout, `kedge rollback` undoes it" },
		{ " undo revert ", "`git revert` and push, or `kedge rollback`" },
		{ " log ", "did you mean \"logs\", or \"history\" for the commits?" },
		{ " ps ls list ", "`kedge get pods` lists what runs" },
		{ " stop destroy uninstall ",
		  "`kedge suspend` stops deploying, `kedge down` takes everything away" },
		{ " restart ", "`kedge delete pod NAME` makes its owner start another" },
		{ " load import ", "`kedge image load`, `kedge image import`" },
		{ " port-forward proxy ",
		  "a Service of type NodePort reaches a pod from outside" },
	};
	cleanup_free char *key = NULL;

	xasprintf(&key, " %s ", word);
	for (size_t i = 0; i < sizeof table / sizeof *table; i++)
		if (strstr(table[i].words, key))
			return table[i].instead;
	return NULL;
}

static int
no_such_command(char **argv, struct arena *a, struct error **e)
{
	const char *first[80], *near;
	size_t n = 0;
	struct buf also = { 0 };

	for (const struct cli_command *c = cli_commands; c->words; c++) {
		size_t len = strcspn(c->words, " ");

		if (!c->brief)
			continue;
		first[n++] = arena_strndup(a, c->words, len);
		if (c->words[len] && !strcmp(first[n - 1], argv[0])) /* "image" */
			buf_addf(&also, "%s%s", also.len ? ", " : "", c->words);
	}
	if (also.len)
		fail(e, WHY_BAD_REQUEST, "kedge %s needs a word more: %s", argv[0],
		     buf_text(&also));
	else if ((near = instead_of(argv[0])))
		fail(e, WHY_BAD_REQUEST, "kedge has no command \"%s\": %s", argv[0], near);
	else if (resource_named(argv[0]))
		fail(e, WHY_BAD_REQUEST,
		     "kedge has no command \"%s\"; did you mean \"kedge get %s\"?", argv[0],
		     argv[0]);
	else if ((near = cli_nearest(argv[0], first, n)))
		fail(e, WHY_BAD_REQUEST, "kedge has no command \"%s\"; did you mean \"%s\"?",
		     argv[0], near);
	else
		fail(e, WHY_BAD_REQUEST, "kedge has no command \"%s\"; `kedge help` lists them",
		     argv[0]);
	buf_done(&also);
	return -1;
}

static const struct cli_command *
command_find(char **argv, int *ret_words)
{
	for (const struct cli_command *c = cli_commands; c->words; c++) {
		int n = *c->words ? words_match(c->words, argv) : 0;

		if (n) {
			*ret_words = n;
			return c;
		}
	}
	return NULL;
}

/* ---- options ---- */

static void
give(struct cli_call *c, enum cli_option_id id, const char *value)
{
	struct cli_given *g = arena_alloc(c->arena, (c->ngiven + 1) * sizeof *g);

	if (c->ngiven)
		memcpy(g, c->given, c->ngiven * sizeof *g);
	g[c->ngiven++] = (struct cli_given){ id, value };
	c->given = g;
}

static int
bad_option(const struct cli_call *c, const char *word, struct error **e)
{
	const char *known[OPT_COUNT], *near;
	size_t n = 0;

	for (int i = 0; i < OPT_COUNT; i++)
		if (!c->command || cli_command_takes(c->command, i))
			known[n++] = cli_options[i].word;
	near = cli_nearest(word + strspn(word, "-"), known, n);
	return fail(e, WHY_BAD_REQUEST, "kedge %s has no option %s%s%s%s",
		    c->command ? c->command->words : "", word, near ? "; did you mean --" : "",
		    near ? near : "", near ? "?" : "");
}

/* One long option at argv[*at]; steps over its value. */
static int
long_option(struct cli_call *c, char **argv, int *at, struct error **e)
{
	const char *word = argv[*at] + 2, *eq = strchr(word, '=');
	size_t len = eq ? (size_t)(eq - word) : strlen(word);

	for (int i = 0; i < OPT_COUNT; i++) {
		const struct cli_option *o = &cli_options[i];

		if (strlen(o->word) != len || strncmp(o->word, word, len) ||
		    (c->command && !cli_command_takes(c->command, i)))
			continue;
		if (!*o->value && eq && strcmp(eq, "=true"))
			return fail(e, WHY_BAD_REQUEST, "--%s takes no value", o->word);
		if (*o->value && !eq && !argv[*at + 1])
			return fail(e, WHY_BAD_REQUEST, "--%s needs a value: %s", o->word,
				    o->value);
		give(c, i, !*o->value ? "" : eq ? eq + 1 : argv[++*at]);
		return 0;
	}
	return bad_option(c, argv[*at], e);
}

/* "-it", "-nshop", "-n shop", "-o=json" */
static int
short_options(struct cli_call *c, char **argv, int *at, struct error **e)
{
	for (const char *p = argv[*at] + 1; *p; p++) {
		int i = 0;

		while (i < OPT_COUNT && (cli_options[i].letter != *p ||
					 (c->command && !cli_command_takes(c->command, i))))
			i++;
		if (i == OPT_COUNT)
			return bad_option(c, argv[*at], e);
		if (!*cli_options[i].value) {
			give(c, i, "");
			continue;
		}
		if (p[1])
			give(c, i, p + 1 + (p[1] == '='));
		else if (argv[*at + 1])
			give(c, i, argv[++*at]);
		else
			return fail(e, WHY_BAD_REQUEST, "-%c needs a value: %s", *p,
				    cli_options[i].value);
		return 0;
	}
	return 0;
}

const struct cli_option *
cli_option_of(const struct cli_command *cmd, const char *word)
{
	size_t len = strlen(word);

	for (int i = 0; len > 1 && *word == '-' && i < OPT_COUNT; i++)
		if (cli_command_takes(cmd, i) &&
		    (word[1] == '-' ? !strcmp(word + 2, cli_options[i].word)
				    : word[len - 1] == cli_options[i].letter))
			return &cli_options[i];
	return NULL;
}

/* ---- arguments ---- */

static int
check_args(const struct cli_call *c, struct error **e)
{
	const struct cli_command *cmd = c->command;
	size_t least = 0, most = 0, rest = 0;
	bool more = strstr(cmd->args, "-- ") != NULL; /* also "[-- COMMAND...]" */

	for (const char *p = cmd->args; *p;) {
		size_t len = strcspn(p, " ");

		if (len == 2 && !strncmp(p, "--", 2)) {
			rest = 1;
			break;
		}
		if (len == 3 && !strncmp(p, "[--", 3))
			break;
		/* [LOCAL:]PORT is not to be left out */
		least += *p != '[' || p[len - 1] != ']';
		most = memmem(p, len, "...", 3) ? SIZE_MAX : most == SIZE_MAX ? most : most + 1;
		p += len;
		p += *p == ' ';
	}
	if (c->n < least || c->nrest < rest)
		return fail(e, WHY_BAD_REQUEST, "kedge %s needs %s", cmd->words, cmd->args);
	if (c->n > most || (c->nrest && !more))
		return fail(e, WHY_BAD_REQUEST,
			    "kedge %s does not know what to do with \"%s\"%s%s", cmd->words,
			    c->n > most ? c->args[most] : c->rest[0],
			    *cmd->args ? "; it takes " : "", cmd->args);
	return 0;
}

/* Of get also wide and name, which it says itself. */
static int
check_output(const struct cli_call *c, struct error **e)
{
	const char *format = cli_opt(c, OPT_output);

	return !format || !strcmp(c->command->words, "get") || !strcmp(format, "json") ||
		       !strcmp(format, "yaml")
		   ? 0
		   : fail(e, WHY_BAD_REQUEST, "-o takes json or yaml, not \"%s\"", format);
}

int
cli_take_words(struct cli_call *c, int argc, char **argv, struct error **e)
{
	bool runs = strstr(c->command->args, "-- ") != NULL, raw = c->command->words[0] == '_';
	bool over =
	    false; /* "--" was there: what follows are arguments, whatever they look like */

	c->args = arena_zalloc(c->arena, (argc + 1) * sizeof *c->args);
	for (int i = 0; i < argc; i++) {
		const char *w = argv[i];

		if (!raw && !over && !strcmp(w, "--")) {
			over = true;
			if (!runs)
				continue;
			c->rest = (const char **)argv + i + 1;
			c->nrest = argc - i - 1;
			break;
		}
		if (!raw && !over && w[0] == '-' && w[1]) {
			if ((w[1] == '-' ? long_option : short_options)(c, argv, &i, e))
				return -1;
			continue;
		}
		if (runs && c->n == 1) { /* exec POD ls: without the "--" */
			c->rest = (const char **)argv + i;
			c->nrest = argc - i;
			break;
		}
		c->args[c->n++] = w;
	}
	return 0;
}

int
cli_parse(int argc, char **argv, struct arena *a, struct cli_call *ret, struct error **e)
{
	struct cli_call c = { .arena = a };
	int at = 1, words = 0;

	/* What stands before the command: --socket, --help. */
	while (at < argc && argv[at][0] == '-' && argv[at][1]) {
		if (!strcmp(argv[at], "--version")) {
			argv[at] = (char *)"version";
			break;
		}
		if ((argv[at][1] == '-' ? long_option : short_options)(&c, argv, &at, e))
			return -1;
		at++;
	}
	if (at >= argc) {
		static char *help[] = { (char *)"help", NULL };

		c.command = command_find(help, &words);
		at = argc;
		words = 0;
	} else {
		c.command = command_find(argv + at, &words);
		if (!c.command)
			return no_such_command(argv + at, a, e);
	}
	ret->command =
	    c.command; /* also of a call that is wrong: its exit status depends on it */
	if (cli_take_words(&c, argc - at - words, argv + at + words, e))
		return -1;
	if (!cli_opt(&c, OPT_help) && (check_args(&c, e) || check_output(&c, e)))
		return -1;
	*ret = c;
	return 0;
}
