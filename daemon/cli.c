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

/* diff and wait have a third answer, and 1 is taken. */
static int
failed_status(const struct cli_call *c)
{
	return c->command && !strcmp(c->command->words, "diff") ? 2 : 1;
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
		return 2;
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
		rc = 1;
	}
	curl_global_cleanup();
	return rc < 0 || (e && !rc) ? failed_status(&c) : rc;
}
