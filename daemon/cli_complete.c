/* cli_complete.c -- the shells' completion: what may follow the words that were typed.
 *
 * The scripts only carry words to `kedge __complete` and back, so that the tables of cli.def
 * and cli_options.def are the one place that knows.
 */
#include "../reconcile/object.h"
#include "cli.h"
#include <ctype.h>
#include <string.h>

/* Bash has "web:1" as three words, so its line is split anew, and it puts what is found in
 * place of the last of the three. */
static const struct {
	const char *shell, *script;
} scripts[] = {
	{ "bash", "_kedge() {\n"
		  "\tlocal IFS=$' \\t\\n' line=${COMP_LINE:0:COMP_POINT} words last\n"
		  "\tread -ra words <<<\"$line\"\n"
		  "\t[[ $line != *[[:blank:]] ]] || words+=('')\n"
		  "\tIFS=$'\\n'\n"
		  "\tCOMPREPLY=($(kedge __complete \"${words[@]:1}\" 2>/dev/null))\n"
		  "\tlast=${words[${#words[@]} - 1]}\n"
		  "\t[[ $last != *:* || $COMP_WORDBREAKS != *:* ]] || \\\n"
		  "\t\tCOMPREPLY=(\"${COMPREPLY[@]#\"${last%\"${last##*:}\"}\"}\")\n"
		  "}\n"
		  "complete -o default -F _kedge kedge\n" },
	{ "zsh",
	  "#compdef kedge\n"
	  "_kedge() {\n"
	  "\tlocal -a found\n"
	  "\tfound=(${(f)\"$(kedge __complete \"${(@)words[2,CURRENT]}\" 2>/dev/null)\"})\n"
	  "\tif (( $#found )); then compadd -a found; else _files; fi\n"
	  "}\n"
	  "compdef _kedge kedge\n" },
	{ "fish", "function __kedge_complete\n"
		  "\tset -l words (commandline -opc) (commandline -ct)\n"
		  "\tkedge __complete $words[2..-1] 2>/dev/null\n"
		  "end\n"
		  "complete -c kedge -a '(__kedge_complete)'\n" },
};

int
cli_completion(struct cli_call *c, struct error **e)
{
	for (size_t i = 0; i < sizeof scripts / sizeof *scripts; i++)
		if (!strcmp(c->args[0], scripts[i].shell)) {
			fputs(scripts[i].script, c->out);
			return 0;
		}
	return fail(e, WHY_BAD_REQUEST, "kedge completes for bash, zsh and fish, not for %s",
		    c->args[0]);
}

/* ---- what fits ---- */

static void
offer(struct cli_call *c, const char *typed, const char *word)
{
	if (!strncmp(word, typed, strlen(typed)))
		fprintf(c->out, "%s\n", word);
}

/* One field of each in a list that the daemon has, between two texts. */
static void
offer_listed(struct cli_call *c, const char *url, const char *list, const char *field,
	     const char *before, const char *after, const char *typed)
{
	struct error *ignored = NULL;
	json_t *all = cli_json(c, "GET", url, "application/json", NULL, &ignored), *item;
	size_t i;

	json_array_foreach(json_object_get(all, list), i, item)
		offer(c, typed,
		      arena_printf(c->arena, "%s%s%s", before,
				   cli_image_name(cli_at(c, item, field)), after));
	json_decref(all);
	error_free(&ignored);
}

static void
offer_names(struct cli_call *c, const struct resource *res, const char *before,
	    const char *typed)
{
	offer_listed(c, cli_url(c, res, NULL), "items", "metadata.name", before, "", typed);
}

/* "deploy/w": what is before the slash is a kind. */
static bool
offer_of_kind(struct cli_call *c, const char *typed)
{
	const char *slash = strchr(typed, '/');
	const struct resource *res;

	if (!slash)
		return false;
	res = resource_named(arena_strndup(c->arena, typed, slash - typed));
	if (res)
		offer_names(c, res, arena_strndup(c->arena, typed, slash + 1 - typed), typed);
	return true;
}

static void
offer_kinds(struct cli_call *c, const char *typed)
{
	for (int r = 0; r < RES_COUNT; r++)
		offer(c, typed, resources[r].plural);
}

static void
offer_commands(struct cli_call *c, const char *typed)
{
	for (const struct cli_command *k = cli_commands; k->words; k++)
		if (k->brief)
			offer(c, typed, k->words);
}

static void
offer_images(struct cli_call *c, const char *typed)
{
	offer_listed(c, "/kedge/images", "images", "name", "", "", typed);
}

/* What cli.def and cli_options.def call an argument or a value, and what fits there: a field
 * of the objects of a kind, or what `offer` knows. */
static const struct {
	const char *called;
	enum resource_id res;
	const char *field, *after;
	void (*offer)(struct cli_call *, const char *typed);
} fitting[] = {
	{ "POD", RES_pod, "metadata.name", "", NULL },
	{ "POD|KIND/NAME", RES_pod, "metadata.name", "", NULL },
	{ "CLIENT", RES_pod, "metadata.name", "", NULL },
	{ "SRC", RES_pod, "metadata.name", ":", NULL },
	{ "DST", RES_pod, "metadata.name", ":", NULL },
	{ "SOURCE", RES_source, "metadata.name", "", NULL },
	{ "N", RES_revision, "spec.number", "", NULL },
	{ "NAMESPACE", RES_namespace, "metadata.name", "", NULL },
	{ "KIND[/NAME]", RES_COUNT, NULL, NULL, offer_kinds },
	{ "NAME:TAG", RES_COUNT, NULL, NULL, offer_images },
	{ "COMMAND", RES_COUNT, NULL, NULL, offer_commands },
};

/* "[NAME...]" -> "NAME", the n-th of them; the last one again where it may be repeated. */
static const char *
called(struct cli_call *c, const char *args, size_t n)
{
	const char *at = args, *next;

	while (n-- && (next = strchr(at, ' ')))
		at = next + 1;
	at += *at == '[';
	return arena_strndup(c->arena, at,
			     strcspn(at, " ].") + (strncmp(at, "KIND[", 5) ? 0 : 1));
}

static void
offer_fitting(struct cli_call *c, const char *what, const char *typed)
{
	char *rest, *words = arena_strdup(c->arena, what);

	for (size_t i = 0; i < sizeof fitting / sizeof *fitting; i++) {
		if (strcmp(fitting[i].called, what))
			continue;
		if (fitting[i].offer)
			fitting[i].offer(c, typed);
		else
			offer_listed(c, cli_url(c, &resources[fitting[i].res], NULL), "items",
				     fitting[i].field, "", fitting[i].after, typed);
	}
	if (islower((unsigned char)*what)) /* "bash|zsh|fish": these words themselves */
		for (char *w = strtok_r(words, "|", &rest); w; w = strtok_r(NULL, "|", &rest))
			offer(c, typed, w);
}

static const struct cli_command *
command_of(const char *const *words, size_t n, size_t *ret_n)
{
	for (const struct cli_command *cmd = cli_commands; cmd->words; cmd++) {
		size_t at = 0;
		const char *p = cmd->words;

		while (*p && at < n) {
			size_t len = strcspn(p, " ");

			if (strlen(words[at]) != len || strncmp(words[at], p, len))
				break;
			at++;
			p += len;
			p += *p == ' ';
		}
		if (!*p && at) {
			*ret_n = at;
			return cmd;
		}
	}
	return NULL;
}

/* ---- where it is ---- */

/* The command's words as far as they are whole: options with their values, then arguments. */
static void
complete_words(struct cli_call *in, char **words, int n, const char *typed)
{
	struct error *ignored = NULL;
	const struct cli_option *open = n ? cli_option_of(in->command, words[n - 1]) : NULL;

	if (open && *open->value)
		n--; /* whose value is what is being typed */
	if (cli_take_words(in, n, words, &ignored)) {
		error_free(&ignored);
		return;
	}
	if (open && *open->value)
		offer_fitting(in, open->value, typed);
	else if (!in->nrest && !offer_of_kind(in, typed)) {
		const struct resource *res = in->n && !strncmp(in->command->args, "KIND", 4)
						 ? resource_named(in->args[0])
						 : NULL;

		if (res)
			offer_names(in, res, "", typed);
		else
			offer_fitting(in, called(in, in->command->args, in->n), typed);
	}
}

static void
offer_options(struct cli_call *in, const char *typed)
{
	for (int i = 0; i < OPT_COUNT; i++)
		if (cli_command_takes(in->command, i))
			offer(in, typed, arena_printf(in->arena, "--%s", cli_options[i].word));
}

/* "image l": the second word of commands that have two; "im": the first of all. */
static void
offer_command_words(struct cli_call *c, size_t n, const char *typed)
{
	for (const struct cli_command *k = cli_commands; k->words; k++) {
		size_t len = strcspn(k->words, " ");

		if (!k->brief)
			continue;
		if (n == 0)
			offer(c, typed, arena_strndup(c->arena, k->words, len));
		else if (n == 1 && !strncmp(k->words, c->args[0], len) && !c->args[0][len] &&
			 k->words[len])
			offer(c, typed, k->words + len + 1);
	}
}

/* Words as typed so far, the last one unfinished; a line for each that fits. */
int
cli_complete(struct cli_call *c, struct error **e)
{
	const char *typed = c->n ? c->args[c->n - 1] : "";
	size_t n = c->n ? c->n - 1 : 0, at = 0;
	struct cli_call in = { .command = command_of(c->args, n, &at),
			       .arena = c->arena,
			       .socket = c->socket,
			       .out = c->out,
			       .now = c->now };

	(void)e;
	if (!in.command)
		offer_command_words(c, n, typed);
	else if (*typed == '-')
		offer_options(&in, typed);
	else
		complete_words(&in, (char **)c->args + at, (int)(n - at), typed);
	return 0;
}
