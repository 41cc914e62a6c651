/* cli_image.c -- images: a folder or an archive sent to the daemon as a tar.
 *
 * A folder's files go as they are: owner, mode, times, links, devices,
 * extended attributes.  A child writes the tar and this process sends it, so
 * that neither has to hold more than a pipe of it.
 */
#include "../reconcile/object.h"
#include "cli.h"
#include "cli_tar.h"
#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

/* ---- a folder as a tar ---- */

/* "/x/root/etc/passwd" -> "etc/passwd"; the root itself is "." */
static void
rename_entry(struct archive_entry *entry, size_t prefix)
{
	const char *path = archive_entry_pathname(entry) + prefix;

	path += strspn(path, "/");
	cleanup_free char *name = xstrdup(*path ? path : ".");

	archive_entry_copy_pathname(entry, name);
	/* the same folder gives the same image, also after someone has read it */
	archive_entry_unset_atime(entry);
	archive_entry_unset_ctime(entry);
	archive_entry_unset_birthtime(entry);
}

static int
tar_folder(const char *dir, int fd)
{
	struct archive *in = archive_read_disk_new(), *out = archive_write_new();
	struct archive_entry_linkresolver *links = archive_entry_linkresolver_new();
	struct archive_entry *entry, *spare = NULL;
	int rc = 0, got = ARCHIVE_OK;

	archive_read_disk_set_symlink_physical(in);
	archive_write_set_format_pax_restricted(out);
	archive_write_set_bytes_per_block(out, 1 << 16);
	archive_entry_linkresolver_set_strategy(links, archive_format(out));
	rc |= archive_write_open_fd(out, fd) != ARCHIVE_OK;
	rc |= archive_read_disk_open(in, dir) != ARCHIVE_OK;
	while (!rc) {
		entry = archive_entry_new();
		got = archive_read_next_header2(in, entry);
		if (got != ARCHIVE_OK) {
			archive_entry_free(entry);
			rc = got != ARCHIVE_EOF;
			break;
		}
		archive_read_disk_descend(in);
		rename_entry(entry, strlen(dir));
		archive_entry_linkify(links, &entry, &spare);
		if (entry)
			rc = cli_tar_put(in, out, entry) != 0;
		archive_entry_free(entry);
	}
	if (rc)
		fprintf(stderr, "kedge: %s: %s\n", dir,
			archive_error_string(in)    ? archive_error_string(in)
			: archive_error_string(out) ? archive_error_string(out)
						    : "cannot be read");
	if (archive_write_close(out) != ARCHIVE_OK)
		rc = 1;
	archive_entry_linkresolver_free(links);
	archive_read_free(in);
	archive_write_free(out);
	return rc;
}

static bool
is_stdin(const char *path)
{
	return strcmp(path, "-") == 0;
}

/* An fd that gives the tar, and the child that writes it (0: none). */
static int
open_tar(const char *path, pid_t *ret_child, struct error **e)
{
	int fds[2];
	struct stat st;
	pid_t child;

	*ret_child = 0;
	if (is_stdin(path)) {
		int in = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3);

		return in < 0 ? fail_sys(e, "the standard input") : in;
	}
	if (stat(path, &st))
		return fail_sys(e, "%s", path);
	if (!S_ISDIR(st.st_mode)) {
		int fd = open(path, O_RDONLY | O_CLOEXEC);

		return fd < 0 ? fail_sys(e, "%s", path) : fd;
	}
	if (pipe2(fds, O_CLOEXEC))
		return fail_sys(e, "make a pipe for the files of %s", path);
	fflush(NULL);
	child = fork();
	if (child < 0)
		return close(fds[0]), close(fds[1]),
		       fail_sys(e, "fork a process to pack %s", path);
	if (!child) {
		close(fds[0]);
		_exit(tar_folder(path, fds[1]) ? 1 : 0);
	}
	close(fds[1]);
	*ret_child = child;
	return fds[0];
}

static json_t *
send_tar(struct cli_call *c, const char *path, const char *url, struct error **e)
{
	pid_t child = 0;
	cleanup_close int fd = open_tar(path, &child, e);
	json_t *answer;

	if (fd < 0)
		return NULL;
	answer = cli_upload(c, url, fd, &child, e);
	close(steal_fd(&fd)); /* a child that still writes gets SIGPIPE, and ends */
	if (child)
		waitpid(child, NULL, 0);
	if (!answer && (*e)->why != WHY_UNAVAILABLE)
		fail_in(e, "%s: no image was made", path);
	return answer;
}

/* ---- import, load ---- */

static int
put_words(struct cli_call *c, json_t *config, enum cli_option_id opt, struct error **e)
{
	const char *text = cli_opt(c, opt);
	json_t *words, *w;
	size_t i;

	if (!text)
		return 0;
	words = json_loads(text, 0, NULL);
	if (!json_is_array(words)) {
		json_decref(words);
		return fail(e, WHY_BAD_REQUEST,
			    "--%s takes a JSON list of words, like [\"/web\",\"-v\"], "
			    "not %s",
			    cli_options[opt].word, text);
	}
	json_array_foreach(words, i, w)
		if (!json_is_string(w)) {
			json_decref(words);
			return fail(e, WHY_BAD_REQUEST, "--%s: item %zu is not a string",
				    cli_options[opt].word, i + 1);
		}
	json_object_set_new(config, cli_options[opt].id, words);
	return 0;
}

static json_t *
config_of(struct cli_call *c, struct error **e)
{
	json_t *config = json_object(), *env = json_array(), *ports = json_array();
	const char *v;

	for (size_t at = 0; (v = cli_opt_next(c, OPT_env, &at));) {
		if (!strchr(v, '=') || *v == '=') {
			fail(e, WHY_BAD_REQUEST, "--env takes NAME=VALUE, not \"%s\"", v);
			goto bad;
		}
		json_array_append_new(env, json_string(v));
	}
	for (size_t at = 0; (v = cli_opt_next(c, OPT_port, &at));) {
		char *end;
		long n = strtol(v, &end, 10);

		if (n < 1 || n > 65535 ||
		    (*end && strcmp(end, "/udp") && strcmp(end, "/tcp"))) {
			fail(e, WHY_BAD_REQUEST,
			     "--port takes 1..65535, /udp after it for UDP, not \"%s\"", v);
			goto bad;
		}
		json_array_append_new(ports, json_string(v));
	}
	if (put_words(c, config, OPT_entrypoint, e) || put_words(c, config, OPT_cmd, e))
		goto bad;
	if (json_array_size(env))
		json_object_set(config, "env", env);
	if (json_array_size(ports))
		json_object_set(config, "ports", ports);
	if (cli_opt(c, OPT_workdir))
		json_object_set_new(config, "workingDir", json_string(cli_opt(c, OPT_workdir)));
	if (cli_opt(c, OPT_user))
		json_object_set_new(config, "user", json_string(cli_opt(c, OPT_user)));
	json_decref(env);
	json_decref(ports);
	return config;
bad:
	json_decref(config);
	json_decref(env);
	json_decref(ports);
	return NULL;
}

/* What lies at the top of an archive of images, and nothing else: of a folder that merely has
 * a manifest.json an image can be made. */
struct top {
	bool index, content, other;
};

static void
top_look(struct top *t, const char *path)
{
	static const char *const indexes[] = { "manifest.json", "oci-layout" },
				 *const names[] = { "index.json", "repositories" };
	size_t n, hex;

	while (*path == '/' || (*path == '.' && (path[1] == '/' || !path[1])))
		path++;
	n = strcspn(path, "/");
	hex = strspn(path, "0123456789abcdef");
	for (size_t i = 0; i < 2; i++) {
		if (!strcmp(path, indexes[i]))
			t->index = true;
		if (!n || !strcmp(path, indexes[i]) || !strcmp(path, names[i]))
			return;
	}
	if ((n == 5 && !strncmp(path, "blobs", 5)) ||
	    (hex == 64 &&
	     (n == 64 || !strcmp(path + 64, ".json") || !strcmp(path + 64, ".tar"))))
		t->content = true;
	else
		t->other = true;
}

/* What cannot be read is for whoever makes the image to say; what can be read but once (a pipe)
 * is not looked at. */
static bool
is_archive_of_images(const char *path)
{
	struct archive_entry *entry;
	struct top t = { 0 };
	struct archive *in;
	struct stat st;

	if (is_stdin(path) || stat(path, &st) || !S_ISREG(st.st_mode))
		return false;
	in = archive_read_new();
	archive_read_support_filter_all(in);
	archive_read_support_format_tar(in);
	if (archive_read_open_filename(in, path, 1 << 16) == ARCHIVE_OK)
		while (!t.other && archive_read_next_header(in, &entry) == ARCHIVE_OK)
			top_look(&t, archive_entry_pathname(entry));
	archive_read_free(in);
	return t.index && t.content && !t.other;
}

int
cli_image_import(struct cli_call *c, struct error **e)
{
	cleanup_buf struct buf url = { 0 };
	cleanup_free char *text = NULL;
	json_t *config, *answer;

	if (is_archive_of_images(c->args[0]))
		return fail(e, WHY_BAD_REQUEST,
			    "%s is an archive of images, not the files of one: kedge image "
			    "load %s",
			    c->args[0], c->args[0]);
	config = config_of(c, e);
	if (!config)
		return -1;
	text = json_dumps(config, JSON_COMPACT);
	json_decref(config);
	buf_adds(&url, "/kedge/images");
	cli_query(&url, "name", c->args[1]);
	cli_query(&url, "format", "rootfs");
	cli_query(&url, "config", text);
	answer = send_tar(c, c->args[0], url.at, e);
	if (!answer)
		return -1;
	fprintf(c->out, "imported %s\n", c->args[1]);
	json_decref(answer);
	return 0;
}

int
cli_image_load(struct cli_call *c, struct error **e)
{
	cleanup_buf struct buf url = { 0 };
	json_t *answer;

	buf_adds(&url, "/kedge/images");
	cli_query(&url, "format", "archive");
	if (c->n > 1)
		cli_query(&url, "name", c->args[1]);
	answer = send_tar(c, c->args[0], url.at, e);
	if (!answer)
		return -1;
	/* a name a line: an archive may hold several */
	for (const char *at = cli_at(c, answer, "message"); *at; at += *at == '\n') {
		size_t n = strcspn(at, "\n");

		fprintf(c->out, "loaded %.*s\n", (int)n, at);
		at += n;
	}
	json_decref(answer);
	return 0;
}

/* ---- ls, rm ---- */

static const char *
size_text(struct cli_call *c, int64_t n)
{
	static const char *const units[] = { "B", "KB", "MB", "GB", "TB" };
	double v = n;
	size_t u = 0;

	while (v >= 1000 && u < 4) {
		v /= 1000;
		u++;
	}
	return arena_printf(c->arena, u && v < 10 ? "%.1f%s" : "%.0f%s", v, units[u]);
}

const char *
cli_image_name(const char *name)
{
	static const char *const usual[] = { "docker.io/library/", "docker.io/" };

	for (size_t i = 0; i < 2; i++)
		if (!strncmp(name, usual[i], strlen(usual[i])))
			return name + strlen(usual[i]);
	return name;
}

int
cli_image_ls(struct cli_call *c, struct error **e)
{
	static const char *const header[] = { "NAME", "ID", "LAYERS", "SIZE", "CREATED" };
	struct cli_table t = { .arena = c->arena, .cols = 5 };
	json_t *list = cli_json(c, "GET", "/kedge/images", NULL, NULL, e), *image;
	size_t i;

	if (!list)
		return -1;
	if (cli_print_json(c, list)) {
		json_decref(list);
		return 0;
	}
	cli_table_row(&t, header);
	json_array_foreach(json_object_get(list, "images"), i, image) {
		if (cli_opt(c, OPT_output) && !strcmp(cli_opt(c, OPT_output), "name")) {
			fprintf(c->out, "%s\n", cli_image_name(cli_at(c, image, "name")));
			continue;
		}
		const char *id = cli_at(c, image, "id");
		const char *cells[] = {
			cli_image_name(cli_at(c, image, "name")),
			arena_strndup(c->arena, strncmp(id, "sha256:", 7) ? id : id + 7, 12),
			cli_at(c, image, "layers"),
			size_text(c, json_integer_value(json_object_get(image, "size"))),
			cli_ago(c, cli_at(c, image, "created")),
		};

		cli_table_row(&t, cells);
	}
	cli_table_print(&t, !cli_opt(c, OPT_no_headers), c->out);
	json_decref(list);
	return 0;
}

int
cli_image_rm(struct cli_call *c, struct error **e)
{
	for (size_t i = 0; i < c->n; i++) {
		cleanup_buf struct buf url = { 0 };
		json_t *answer;

		buf_adds(&url, "/kedge/images");
		cli_query(&url, "name", c->args[i]);
		cli_query(&url, "force", cli_opt(c, OPT_force) ? "true" : "false");
		answer = cli_json(c, "DELETE", url.at, NULL, NULL, e);
		if (!answer)
			return -1;
		json_decref(answer);
		fprintf(c->out, "image \"%s\" removed\n", c->args[i]);
	}
	return 0;
}

int
cli_image_prune(struct cli_call *c, struct error **e)
{
	cleanup_buf struct buf url = { 0 };
	json_t *answer, *name;
	size_t i;

	buf_adds(&url, "/kedge/images/prune");
	cli_query(&url, "all", cli_opt(c, OPT_all) ? "true" : "false");
	answer = cli_json(c, "POST", url.at, NULL, NULL, e);
	if (!answer)
		return -1;
	json_array_foreach(json_object_get(answer, "images"), i, name)
		fprintf(c->out, "image \"%s\" removed\n",
			cli_image_name(json_string_value(name)));
	fprintf(c->out, "removed %zu image%s, %s\n", i, i == 1 ? "" : "s",
		size_text(c, json_integer_value(json_object_get(answer, "bytes"))));
	json_decref(answer);
	return 0;
}
