/* source_watch TYPE URL [ROW=VALUE]... -- a source's worker and the brain's side of
 * it without the rest of kedge, for tests: prints a line for each news, obeys
 * "sync", "everything", "revert COMMIT" and "quit" on stdin.  State is in ./mirror.git. */
#include "daemon/source.h"
#include "reconcile/base/arena.h"
#include "reconcile/base/error.h"
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static struct sources *s;
static struct watch_args args;

static const struct {
	const char *name;
	const char **value;
} rows[] = {
	{ "ref", &args.ref },
	{ "path", &args.path },
	{ "knownHosts", &args.knownHosts },
	{ "sshKey", &args.sshKey },
	{ "tokenFile", &args.tokenFile },
	{ "caFile", &args.caFile },
};

static void
print_head(void)
{
	struct arena a = { 0 };
	struct complaints said = { .arena = &a };
	const struct source_head *h = source_head(s, "main");
	struct manifest_set *set = NULL;
	struct error *e = NULL;

	if (source_manifests(s, "main", h->commit, NULL, &set, &said, &e))
		printf("lacking %s\n", error_text(e));
	printf("moved %s%s %zu manifests\n", h->commit, h->forced ? " forced" : "",
	       set ? set->n : 0);
	for (size_t i = 0; set && i < set->n; i++)
		printf("  %s:%d %s/%s\n", set->at[i]->path, set->at[i]->line,
		       set->at[i]->res->kind, object_name(set->at[i]->obj));
	for (struct complaint *c = said.first; c; c = c->next)
		printf("  %s %s\n", c->warning ? "warning" : "error", complaint_print(c, &a));
	manifest_set_free(set);
	error_free(&e);
	arena_free(&a);
}

static void
obey(char *line)
{
	struct error *e = NULL;
	int rc = 0;

	line[strcspn(line, "\n")] = 0;
	if (!strcmp(line, "quit")) {
		sources_close(s);
		exit(0);
	}
	if (!strcmp(line, "sync") || !strcmp(line, "everything"))
		rc = source_sync(s, "main", *line == 'e', &e);
	else if (!strncmp(line, "revert ", 7))
		rc = source_revert_to(s, "main", line + 7, "Grace <grace@example.org>",
				      "Roll back", &e);
	if (rc)
		printf("refused %s\n", error_text(e));
	error_free(&e);
}

static void
hear(void)
{
	for (;;)
		switch (source_read(s, "main")) {
		case SOURCE_NOTHING:
			return;
		case SOURCE_MOVED:
			print_head();
			break;
		case SOURCE_FAILED:
			printf("error %s\n", source_error(s, "main"));
			if (*source_note(s, "main"))
				printf("note %s\n", source_note(s, "main"));
			break;
		case SOURCE_ANSWERED:
			printf("answer %s\n", source_answer(s, "main"));
			break;
		case SOURCE_WRITABLE:
		case SOURCE_WRITTEN:
		case SOURCE_SHOWN:
			break;
		case SOURCE_LOST:
			printf("lost\n");
			exit(0);
		}
}

int
main(int argc, char **argv)
{
	struct error *e = NULL;
	char line[4096];
	int sock[2];

	if (argc < 3)
		return 2;
	args.type = argv[1];
	args.url = argv[2];
	for (int i = 3; i < argc; i++)
		for (size_t r = 0; r < sizeof rows / sizeof *rows; r++) {
			size_t n = strlen(rows[r].name);

			if (!strncmp(argv[i], rows[r].name, n) && argv[i][n] == '=')
				*rows[r].value = argv[i] + n + 1;
		}
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, sock) < 0)
		return 2;
	if (fork() == 0) {
		close(sock[0]);
		close(0);
		source_worker(sock[1]);
	}
	close(sock[1]);
	if (sources_open("./mirror.git", &s, &e) ||
	    source_attach(s, "main", &args, sock[0], &e)) {
		printf("failed %s\n", error_text(e));
		return 1;
	}
	for (;;) {
		struct pollfd p[2] = { { source_fd(s, "main"), POLLIN, 0 }, { 0, POLLIN, 0 } };

		poll(p, 2, -1);
		if (p[0].revents)
			hear();
		if (p[1].revents) {
			if (!fgets(line, sizeof line, stdin))
				return 0;
			obey(line);
		}
		sources_flush(s, NULL);
	}
}
