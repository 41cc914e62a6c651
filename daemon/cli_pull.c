/* cli_pull.c -- `kedge image pull`, save and inspect: images from registries and to files.
 *
 * The daemon fetches; pull only looks on.  Who leaves early does not stop it.
 */
#include "cli.h"
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { LOOK_MS = 150, BAR = 32, CONFIG_MAX = 1 << 20 };

/* The auths of the caller's own docker config; NULL when there are none. */
static char *
docker_auths(void)
{
	const char *dir = getenv("DOCKER_CONFIG"), *home = getenv("HOME");
	cleanup_free char *path = NULL;
	json_t *j, *auths, *out;
	char *text = NULL;

	if (dir && *dir)
		xasprintf(&path, "%s/config.json", dir);
	else
		xasprintf(&path, "%s/.docker/config.json", home ? home : "/nonexistent");
	j = json_load_file(path, 0, NULL);
	auths = json_object_get(j, "auths");
	if (json_object_size(auths) > 0) {
		out = json_pack("{s:O}", "auths", auths);
		text = json_dumps(out, JSON_COMPACT);
		json_decref(out);
	}
	json_decref(j);
	return text;
}

static const char *
mb(struct cli_call *c, int64_t n)
{
	return n < 1000000 ? arena_printf(c->arena, "%lldKB", (long long)(n + 999) / 1000)
			   : arena_printf(c->arena, "%.1fMB", (double)n / 1e6);
}

/* "8d7…  ######------   12.1MB / 30.0MB" */
static void
layer_line(struct cli_call *c, json_t *l)
{
	const char *digest = cli_at(c, l, "digest"), *state = cli_at(c, l, "state");
	int64_t size = json_integer_value(json_object_get(l, "size"));
	int64_t got = json_integer_value(json_object_get(l, "got"));
	char bar[BAR + 1];
	int full = size > 0 ? (int)(got * BAR / size) : BAR;

	full = full > BAR ? BAR : full;
	memset(bar, '-', BAR);
	memset(bar, '#', full < 0 ? 0 : full);
	bar[BAR] = '\0';
	if (!strcmp(state, "exists") || !strcmp(state, "done"))
		fprintf(c->out, "  %.12s  %s\n", digest + 7,
			!strcmp(state, "done") ? "done" : "is here already");
	else
		fprintf(c->out, "  %.12s  [%s] %s / %s%s\n", digest + 7, bar, mb(c, got),
			mb(c, size),
			!strcmp(state, "unpacking") ? ", unpacking"
			: !strcmp(state, "waiting") ? ", waiting"
						    : "");
}

/* Draws over what was drawn before; the number of lines. */
static int
progress_draw(struct cli_call *c, json_t *pull, int before)
{
	json_t *layers = cli_path(pull, "progress.layers"), *l;
	struct winsize size = { .ws_row = 24 };
	int lines = 0, most;
	size_t i;

	(void)ioctl(STDOUT_FILENO, TIOCGWINSZ, &size);
	most = size.ws_row > 4 ? size.ws_row - 3 : 1;
	if (before)
		fprintf(c->out, "\033[%dA", before);
	json_array_foreach(layers, i, l) {
		if (lines == most)
			break;
		fputs("\033[2K", c->out);
		layer_line(c, l);
		lines++;
	}
	for (; lines < before; lines++)
		fputs("\033[2K\n", c->out);
	fflush(c->out);
	return lines;
}

static void
nap(void)
{
	struct timespec t = { 0, LOOK_MS * 1000000L };

	nanosleep(&t, NULL);
}

static void
told(struct cli_call *c, json_t *pull, const char *name)
{
	json_t *layers = cli_path(pull, "progress.layers"), *l;
	int64_t got = 0, ms = json_integer_value(json_object_get(pull, "milliseconds"));
	size_t i;

	json_array_foreach(layers, i, l)
		if (strcmp(cli_at(c, l, "state"), "exists"))
			got += json_integer_value(json_object_get(l, "size"));
	fprintf(c->out, "pulled %s (%s in %.1fs)\n", name, mb(c, got), (double)ms / 1000);
}

static int
pull_one(struct cli_call *c, const char *name, const char *auths, struct error **e)
{
	cleanup_buf struct buf url = { 0 };
	const char *state, *method = "POST";
	int lines = 0, rc = 0;

	buf_adds(&url, "/kedge/pulls");
	cli_query(&url, "name", name);
	for (;;) {
		json_t *pull =
		    cli_json(c, method, url.at, NULL, *method == 'P' ? auths : NULL, e);

		if (!pull)
			return -1;
		state = arena_strdup(c->arena, cli_at(c, pull, "state"));
		if (c->tty)
			lines = progress_draw(c, pull, lines);
		if (!strcmp(state, "done"))
			told(c, pull, name);
		else if (!strcmp(state, "failed"))
			rc = fail(e, WHY_UNAVAILABLE, "%s", cli_at(c, pull, "error"));
		json_decref(pull);
		if (!strcmp(state, "done") || !strcmp(state, "failed"))
			return rc;
		method = "GET";
		nap();
	}
}

static void
auths_free(char *auths)
{
	if (auths)
		explicit_bzero(auths, strlen(auths));
	free(auths);
}

int
cli_image_pull(struct cli_call *c, struct error **e)
{
	char *auths = docker_auths();
	int rc = 0;

	for (size_t i = 0; i < c->n && rc == 0; i++)
		rc = pull_one(c, c->args[i], auths, e);
	auths_free(auths);
	return rc;
}

/* ---- save, inspect ---- */

struct saved {
	int fd;
	struct buf text; /* when fd is -1 */
	char tail[1024]; /* the last bytes: a whole tar ends with zeros */
	int64_t bytes;
	int err;
};

static bool
saved_take(void *ctx, const char *bytes, size_t n)
{
	struct saved *s = ctx;
	size_t keep = n < sizeof s->tail ? sizeof s->tail - n : 0;

	if (s->fd < 0) {
		buf_add(&s->text, bytes, n);
		return true;
	}
	memmove(s->tail, s->tail + sizeof s->tail - keep, keep);
	memcpy(s->tail + keep, bytes + n - (sizeof s->tail - keep), sizeof s->tail - keep);
	s->bytes += n;
	while (n > 0) {
		ssize_t done = write(s->fd, bytes, n);

		if (done < 0) {
			s->err = errno;
			return false;
		}
		bytes += done;
		n -= done;
	}
	return true;
}

static void
save_url(struct buf *url, const char *name, const char *config)
{
	buf_adds(url, "/kedge/images/save");
	cli_query(url, "name", name);
	cli_query(url, "config", config);
}

/* To where -- is a name, for errors -- its file descriptor is. */
static int
save_to(struct cli_call *c, int fd, const char *where, struct error **e)
{
	static const char zeros[1024];
	struct saved s = { .fd = fd };
	cleanup_buf struct buf url = { 0 };

	save_url(&url, c->args[0], "false");
	if (cli_stream(c, url.at, "application/octet-stream", saved_take, &s, e))
		return -1;
	if (s.err) {
		errno = s.err;
		return fail_sys(e, "%s", where);
	}
	if (s.bytes < 1024 || memcmp(s.tail, zeros, sizeof zeros) != 0)
		return fail(e, WHY_IO, "%s: the archive was cut off; the daemon's log says why",
			    where);
	return 0;
}

/* The archive that was there before stays until the new one is whole. */
static int
save_file(struct cli_call *c, const char *to, struct error **e)
{
	cleanup_free char *part = NULL;
	cleanup_close int fd = -1;

	xasprintf(&part, "%s.part", to);
	fd = open(part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
	if (fd < 0)
		return fail_sys(e, "%s", part);
	if (save_to(c, fd, to, e) || (rename(part, to) && fail_sys(e, "%s", to))) {
		unlink(part);
		return -1;
	}
	return 0;
}

int
cli_image_save(struct cli_call *c, struct error **e)
{
	const char *to = c->args[1];
	bool out = !strcmp(to, "-");
	cleanup_free char *file = realpath(to, NULL); /* behind links; NULL: none yet */
	cleanup_close int fd = -1;
	struct stat st;

	if (out && c->tty)
		return fail(e, WHY_BAD_REQUEST, "an archive is nothing for a terminal");
	if (out)
		return save_to(c, STDOUT_FILENO, to, e);
	if (!file || stat(file, &st) || S_ISREG(st.st_mode))
		return save_file(c, file ? file : to, e);
	fd = open(to, O_WRONLY | O_CLOEXEC); /* a device, a pipe: there it is written */
	return fd < 0 ? fail_sys(e, "%s", to) : save_to(c, fd, to, e);
}

int
cli_image_inspect(struct cli_call *c, struct error **e)
{
	struct saved s = { .fd = -1 };
	cleanup_buf struct buf url = { 0 };
	json_t *config;
	char *text;
	int rc;

	save_url(&url, c->args[0], "true");
	rc = cli_stream(c, url.at, "application/json", saved_take, &s, e);
	if (rc == 0) {
		config = json_loadb(buf_text(&s.text), s.text.len, 0, NULL);
		if (c->tty)
			cli_tame(config);
		text = config ? json_dumps(config, JSON_INDENT(2)) : NULL;
		if (text)
			fprintf(c->out, "%s\n", text);
		else
			rc = fail(e, WHY_INTERNAL, "the image's config is no JSON");
		free(text);
		json_decref(config);
	}
	buf_done(&s.text);
	return rc;
}

/* ---- verify ---- */

/* Damaged ones that can be fetched again, each with its NUL; the number of damaged ones. */
static int
verify_look(struct cli_call *c, bool quiet, struct buf *ret_again, int *ret_bad,
	    struct error **e)
{
	struct saved s = { .fd = -1 };
	int rc = cli_stream(c, "/kedge/images/verify", "text/plain", saved_take, &s, e);
	char *text = rc == 0 ? buf_steal(&s.text) : NULL, *next = text, *line;

	*ret_bad = 0;
	while (next && (line = strsep(&next, "\n")) && *line) {
		char *name = strsep(&line, "\t"), *word = strsep(&line, "\t");
		char *from = strsep(&line, "\t");
		bool damaged = word && !strcmp(word, "damaged");

		if (!word || !from || !line)
			break;
		*ret_bad += damaged;
		if (damaged && !strcmp(from, "pulled"))
			buf_add(ret_again, name, strlen(name) + 1);
		if (quiet)
			continue;
		fprintf(c->out, "%-8s %s%s%s%s\n", word, name, *line ? ": " : "", line,
			!damaged       ? ""
			: *from == 'p' ? ""
				       : "; it came by hand: load or import it again");
	}
	free(text);
	buf_done(&s.text);
	return rc;
}

/* All of them first leave, for they may share the layer that is damaged. */
static int
verify_repair(struct cli_call *c, const struct buf *names, struct error **e)
{
	char *auths = docker_auths();
	int rc = 0;

	for (size_t at = 0; at < names->len && rc == 0; at += strlen(names->at + at) + 1) {
		cleanup_buf struct buf url = { 0 };
		json_t *answer;

		buf_adds(&url, "/kedge/images");
		cli_query(&url, "name", names->at + at);
		answer = cli_json(c, "DELETE", url.at, NULL, NULL, e);
		rc = answer ? 0 : -1;
		json_decref(answer);
	}
	for (size_t at = 0; at < names->len && rc == 0; at += strlen(names->at + at) + 1)
		rc = pull_one(c, names->at + at, auths, e);
	auths_free(auths);
	return rc;
}

int
cli_image_verify(struct cli_call *c, struct error **e)
{
	cleanup_buf struct buf again = { 0 };
	int bad = 0, rc = verify_look(c, false, &again, &bad, e);

	if (rc == 0 && again.len && cli_opt(c, OPT_repair)) {
		rc = verify_repair(c, &again, e);
		buf_clear(&again);
		if (rc == 0)
			rc = verify_look(c, true, &again, &bad, e);
		if (rc == 0 && again.len)
			return fail(e, WHY_CONFLICT,
				    "%s is still damaged: pods run on it; delete them and "
				    "repair it then",
				    again.at);
	}
	if (rc == 0 && bad)
		return fail(e, WHY_IO, "%d damaged%s", bad,
			    again.len ? "; --repair fetches what can be fetched again" : "");
	return rc;
}
