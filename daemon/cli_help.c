/* cli_help.c -- help, the manual page and completion, all from the tables. */
#include "../reconcile/object.h"
#include "cli.h"
#include <ctype.h>
#include <string.h>

/* Words in lines of 80 columns: the first begins at column `at`, the others behind
 * `indent` spaces. */
static void
put_wrapped(const char *text, int at, int indent, FILE *out)
{
	for (const char *p = text; *p;) {
		int n = (int)strcspn(p, " \n");
		bool first = p == text;

		if (!first && at + 1 + n > 80) {
			fprintf(out, "\n%*s", indent, "");
			at = indent;
		} else if (!first || at) {
			fputc(' ', out);
			at++;
		}
		fprintf(out, "%.*s", n, p);
		at += n;
		p += n;
		p += strspn(p, " \n");
	}
	fputc('\n', out);
}

static void
put_option(const struct cli_option *o, const char *help, FILE *out)
{
	char left[60];
	int n = 0;

	if (o->letter)
		n = snprintf(left, sizeof left, "-%c, ", o->letter);
	snprintf(left + n, sizeof left - n, "--%s%s%s", o->word, *o->value ? " " : "",
		 o->value);
	fprintf(out, "  %-28s", left);
	put_wrapped(help, 30, 31, out);
}

void
cli_usage(const struct cli_command *cmd, FILE *out)
{
	bool any = false;

	for (int i = 0; i < OPT_COUNT; i++)
		any |= *cmd->options && cli_command_takes(cmd, i);
	fprintf(out, "usage: kedge %s%s%s%s\n\n%c%s.\n", cmd->words, any ? " [OPTION...]" : "",
		*cmd->args ? " " : "", cmd->args, toupper((unsigned char)*cmd->brief),
		cmd->brief + 1);
	if (*cmd->full)
		put_wrapped(cmd->full, 0, 0, out);
	fputs("\n", out);
	for (int i = 0; i < OPT_COUNT; i++)
		if (cli_command_takes(cmd, i))
			put_option(&cli_options[i], cli_option_help(cmd, i), out);
}

void
cli_overview(FILE *out)
{
	fputs("kedge deploys what Git says to this host.\n\n"
	      "usage: kedge [--socket PATH] COMMAND ...\n",
	      out);
	for (const struct cli_command *c = cli_commands; c->words; c++) {
		char left[80];

		if (c->group)
			fprintf(out, "\n%s\n", c->group);
		if (!c->brief)
			continue;
		snprintf(left, sizeof left, "%s %s", c->words, c->args);
		fprintf(out, "  %-36s", left);
		if (strlen(left) > 36)
			fprintf(out, "\n%38s", "");
		put_wrapped(c->brief, 38, 39, out);
	}
	fputs("\n`kedge help COMMAND` says more.\n", out);
}

/* ---- the manual page ---- */

/* A hyphen that is to be typed must be one in the output. */
static void
put_roff(const char *text, FILE *out)
{
	for (const char *p = text; *p; p++) {
		if (*p == '-')
			fputs("\\-", out);
		else if (*p == '\\')
			fputs("\\e", out);
		else if (p == text && (*p == '.' || *p == '\''))
			fprintf(out, "\\&%c", *p);
		else
			fputc(*p, out);
	}
}

static void
put_manual_option(const struct cli_option *o, const char *help, FILE *out)
{
	fputs(".TP\n", out);
	if (o->letter)
		fprintf(out, "\\fB\\-%c\\fR, ", o->letter);
	fputs("\\fB\\-\\-", out);
	put_roff(o->word, out);
	fprintf(out, "\\fR%s\\fI%s\\fR\n", *o->value ? " " : "", o->value);
	put_roff(help, out);
	fputs("\n", out);
}

static void
put_manual(FILE *out)
{
	fputs(
	    ".TH KEDGE 1 \"\" \"kedge " KEDGE_VERSION "\" \"kedge\"\n.SH NAME\n"
	    "kedge \\- deploy what Git says to this host\n.SH SYNOPSIS\n"
	    ".B kedge\n[\\fB\\-\\-socket\\fR \\fIPATH\\fR] \\fICOMMAND\\fR ...\n"
	    ".SH DESCRIPTION\nkedge asks the daemon\n.BR kedged (8),\n"
	    "which keeps this host as a Git repository or a directory of Kubernetes manifests "
	    "describes it.\n",
	    out);
	for (const struct cli_command *c = cli_commands; c->words; c++) {
		if (c->group) {
			fputs(".SH ", out);
			for (const char *p = c->group; *p; p++)
				fputc(toupper((unsigned char)*p), out);
			fputs("\n", out);
		}
		if (!c->brief)
			continue;
		fprintf(out, ".TP\n\\fBkedge %s\\fR \\fI", c->words);
		put_roff(c->args, out);
		fputs("\\fR\n", out);
		put_roff(c->brief, out);
		fputs(".\n", out);
		put_roff(c->full, out);
		fputs(*c->full ? "\n" : "", out);
		for (int i = 0; i < OPT_COUNT; i++)
			if (strstr(c->options, cli_options[i].id) && cli_command_takes(c, i) &&
			    i != OPT_socket && i != OPT_help) {
				fputs(".RS\n", out);
				put_manual_option(&cli_options[i], cli_option_help(c, i), out);
				fputs(".RE\n", out);
			}
	}
	fputs(".SH OPTIONS\n", out);
	put_manual_option(&cli_options[OPT_socket], cli_options[OPT_socket].help, out);
	put_manual_option(&cli_options[OPT_help], cli_options[OPT_help].help, out);
	fputs(".SH ENVIRONMENT\n.TP\n.B KEDGE_SOCKET\nThe daemon's socket, unless \\-\\-socket "
	      "is "
	      "given.\n.TP\n.B NO_COLOR\nWhen set, nothing is coloured.\n"
	      ".SH EXIT STATUS\n0 when all went well, 1 when not, 2 when the command was not "
	      "understood; diff, wait and exec say more above.\n"
	      ".SH FILES\n.TP\n.I /run/kedge/api.sock\nWhere the daemon listens.\n"
	      ".SH SEE ALSO\n.BR kedged (8),\n.BR kedge.yaml (5),\n.BR kubectl (1)\n",
	      out);
}

/* ---- kedge.yaml(5), from config.def ---- */

static const char *
type_text(const struct field *f)
{
	static const char *const names[] = {
		[T_STR] = "text",
		[T_INT] = "number",
		[T_BOOL] = "true or false",
		[T_QTY] = "quantity",
		[T_MAP] = "names and values",
		[T_STRS] = "list of text",
		[T_OBJ] = "",
		[T_LIST] = "list",
	};

	return f->type < sizeof names / sizeof *names && names[f->type] ? names[f->type]
									: "text";
}

static void
put_rows(const struct kind *k, const char *prefix, FILE *out)
{
	for (const struct field *f = k->fields; f->name; f++) {
		char path[128];

		snprintf(path, sizeof path, "%s%s%s", prefix, *prefix ? "." : "", f->name);
		if (f->type == T_OBJ) {
			put_rows(f->of(), path, out);
			continue;
		}
		fprintf(out, ".TP\n\\fB%s%s\\fR  %s%s\n", path, f->type == T_LIST ? "[]" : "",
			type_text(f), f->need ? ", must be given" : "");
		put_roff(f->doc ? f->doc : "", out);
		if (f->one_of)
			fprintf(out, "%sone of: %s", f->doc ? "; " : "", f->one_of);
		if (f->dflt)
			fprintf(out, "%sdefault: %s", f->doc || f->one_of ? "; " : "", f->dflt);
		fputs("\n", out);
		if (f->type == T_LIST) {
			snprintf(path, sizeof path, "%s%s%s[]", prefix, *prefix ? "." : "",
				 f->name);
			put_rows(f->of(), path, out);
		}
	}
}

static void
put_config_manual(FILE *out)
{
	fputs(".TH KEDGE.YAML 5 \"\" \"kedge " KEDGE_VERSION "\" \"kedge\"\n.SH NAME\n"
	      "kedge.yaml \\- what kedged does on this host\n.SH SYNOPSIS\n.I "
	      "/etc/kedge/kedge.yaml\n"
	      ".SH DESCRIPTION\nThe operator's own word: it lies in no repository, and only "
	      "here can a "
	      "thing be allowed that reaches beyond a pod.  An unknown key is an error that "
	      "names its "
	      "line;\n.B kedge validate \\-\\-config\n.I FILE\nchecks one before it is used.\n"
	      ".SH KEYS\n",
	      out);
	put_rows(config_kind(), "", out);
	fputs(".SH EXAMPLE\n.nf\nsources:\n- name: deploy\n  url: /srv/deploy.git\n"
	      "  ref: main\n.fi\n.SH SEE ALSO\n.BR kedge (1),\n.BR kedged (8)\n",
	      out);
}

int
cli_help(struct cli_call *c, struct error **e)
{
	cleanup_buf struct buf typed = { 0 };
	bool found = false;

	if (cli_opt(c, OPT_man)) {
		if (c->n && !strcmp(c->args[0], "kedge.yaml"))
			put_config_manual(c->out);
		else
			put_manual(c->out);
		return 0;
	}
	if (!c->n) {
		cli_overview(c->out);
		return 0;
	}
	for (size_t i = 0; i < c->n; i++)
		buf_addf(&typed, "%s%s", i ? " " : "", c->args[i]);
	for (const struct cli_command *cmd = cli_commands; cmd->words; cmd++)
		if (cmd->brief && !strncmp(cmd->words, buf_text(&typed), typed.len) &&
		    (!cmd->words[typed.len] || cmd->words[typed.len] == ' ')) {
			fputs(found ? "\n" : "", c->out);
			cli_usage(cmd, c->out);
			found = true;
		}
	return found ? 0
		     : fail(e, WHY_NOT_FOUND,
			    "kedge has no command \"%s\"; `kedge help` lists them",
			    buf_text(&typed));
}
