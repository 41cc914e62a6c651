/* cli.c -- kedge: what was typed, done; what went wrong, said once. */
#include "cli.h"
#include "../reconcile/base/now.h"
#include <curl/curl.h>
#include <string.h>

static const char *
socket_of(const struct cli_call *c)
{
	const char *given = cli_opt(c, OPT_socket);

	if (!given)
		given = getenv("KEDGE_SOCKET");
	return given && *given ? given : "/run/kedge/api.sock";
}

static void
look_around(struct cli_call *c)
{
	const char *term = getenv("TERM");

	c->now = now_ms();
	c->out = stdout;
	c->socket = socket_of(c);
	c->tty = isatty(STDOUT_FILENO);
	c->colour = c->tty && !getenv("NO_COLOR") && (!term || strcmp(term, "dumb"));
}

/* What says that kedge itself failed: 1, or 2 where it was used wrongly, but for commands
 * whose own answers take these. */
static int
failed_status(const struct cli_call *c, int usual)
{
	static const struct {
		const char *words;
		int failed;
	} own[] = { { "diff", 2 }, { "wait", 3 } };

	for (size_t i = 0; c->command && i < sizeof own / sizeof *own; i++)
		if (!strcmp(c->command->words, own[i].words))
			return own[i].failed;
	return usual;
}

int
main(int argc, char **argv)
{
	cleanup_arena struct arena arena = { 0 };
	cleanup_error struct error *e = NULL;
	struct cli_call c = { 0 };
	int rc;

	if (cli_parse(argc, argv, &arena, &c, &e)) {
		fprintf(stderr, "kedge: %s\n", error_text(e));
		return failed_status(&c, 2);
	}
	look_around(&c);
	if (cli_opt(&c, OPT_help)) {
		if (c.command->brief && strcmp(c.command->words, "help"))
			cli_usage(c.command, stdout);
		else
			cli_overview(stdout);
		return 0;
	}
	curl_global_init(CURL_GLOBAL_NOTHING);
	rc = c.command->run(&c, &e);
	if (e)
		fprintf(stderr, "kedge: %s\n", error_text(e));
	if (fflush(stdout) || ferror(stdout)) {
		perror("kedge: stdout");
		rc = failed_status(&c, 1);
	}
	curl_global_cleanup();
	return rc < 0 || (e && !rc) ? failed_status(&c, 1) : rc;
}
