/* cli_validate.c -- the daemon's own reading of manifests, without a daemon.
 *
 * Same reader, same rules, same words; and the plan against an empty host finds
 * what only shows across objects, such as a node port that two services want.
 */
#include "../reconcile/controllers.h"
#include "../reconcile/plan.h"
#include "../reconcile/pod_gates.h"
#include "../reconcile/snapshot.h"
#include "cli.h"
#include "config.h"
#include "gittree.h"
#include "ignore.h"
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

enum { FILE_MAX = 16 << 20 };

struct check {
	struct cli_call *c;
	struct complaints cs;
	struct manifest **at;
	size_t n, cap, files;
	bool git; /* the path at hand lies in a repository's work tree */
};

static void
say(struct check *k, const char *path, const char *text)
{
	k->cs.path = arena_strdup(k->c->arena, path);
	complain(&k->cs, 0, 0, NULL, "%s", text);
}

/* The whole file, or NULL with a complaint. */
static char *
slurp(struct check *k, int dir, const char *name, const char *path, size_t *ret_len)
{
	cleanup_close int fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct buf text = { 0 };
	char part[65536];
	ssize_t n;

	if (fd < 0) {
		say(k, path, strerror(errno));
		return NULL;
	}
	while ((n = read(fd, part, sizeof part)) > 0 && text.len <= FILE_MAX)
		buf_add(&text, part, n);
	if (n < 0) {
		say(k, path, strerror(errno));
		buf_done(&text);
		return NULL;
	}
	*ret_len = text.len;
	return buf_steal(&text);
}

static void
keep(struct check *k, struct manifest *m)
{
	for (; m; m = m->next) {
		if (k->n == k->cap) {
			k->cap = k->cap ? k->cap * 2 : 64;
			k->at = xrealloc(k->at, k->cap * sizeof(struct manifest *));
		}
		k->at[k->n++] = m;
	}
}

static void
check_file(struct check *k, int dir, const char *name, const char *path)
{
	size_t len;
	cleanup_free char *text = NULL;

	if (k->files == GITTREE_FILES_MAX) {
		say(k, path, GITTREE_TOO_MANY);
		k->files++;
	}
	if (k->files > GITTREE_FILES_MAX || !(text = slurp(k, dir, name, path, &len)))
		return;
	k->files++;
	keep(k, manifest_read(arena_strdup(k->c->arena, path), text, len, k->c->arena, &k->cs));
}

/* A directory that is watched may hold links; a repository may not. */
static bool
is_bad_link(struct check *k, const char *path, struct stat *st, int dir, const char *name)
{
	if (!S_ISLNK(st->st_mode))
		return false;
	if (k->git)
		say(k, path,
		    "is a symbolic link; kedge follows none: put the file itself here, or name "
		    "it in .kedgeignore");
	else if (fstatat(dir, name, st, 0))
		say(k, path, strerror(errno));
	else
		return false;
	return true;
}

static bool
in_repository(const char *path)
{
	cleanup_free char *real = realpath(path, NULL);
	char *slash;

	while (real && *real) {
		cleanup_free char *git = NULL;

		xasprintf(&git, "%s/.git", real);
		if (!access(git, F_OK))
			return true;
		slash = strrchr(real, '/');
		*slash = 0;
	}
	return false;
}

static int
by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

/* `below`: the folder as seen from where the walk began, for .kedgeignore. */
static void
check_folder(struct check *k, int dir, const char *path, const char *below,
	     const struct ignore *outer, int depth)
{
	struct arena *a = k->c->arena;
	struct dirent **names = NULL;
	cleanup_free char *rules = NULL;
	size_t len = 0;
	int n = scandirat(dir, ".", &names, NULL, by_name);

	if (n < 0) {
		say(k, path, strerror(errno));
		return;
	}
	if (!faccessat(dir, ".kedgeignore", F_OK, AT_SYMLINK_NOFOLLOW) &&
	    (rules = slurp(k, dir, ".kedgeignore", arena_printf(a, "%s/.kedgeignore", path),
			   &len))) {
		if (len > IGNORE_FILE_MAX)
			say(k, arena_printf(a, "%s/.kedgeignore", path), IGNORE_TOO_LARGE);
		else
			outer = ignore_read(rules, len, below, outer, a);
	}
	for (int i = 0; i < n; i++) {
		const char *name = names[i]->d_name;
		const char *full =
		    !strcmp(path, ".")
			? arena_strdup(a, name) /* as an editor and Git write it */
			: arena_printf(a, "%s%s%s", path,
				       path[strlen(path) - 1] == '/' ? "" : "/", name);
		const char *inner = arena_printf(a, "%s%s%s", below, *below ? "/" : "", name);
		struct stat st;

		if (*name == '.' || fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) ||
		    ignore_matches(outer, inner, S_ISDIR(st.st_mode), NULL) ||
		    is_bad_link(k, full, &st, dir, name))
			continue;
		if (S_ISDIR(st.st_mode)) {
			cleanup_close int sub =
			    openat(dir, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

			if (sub < 0)
				say(k, full, strerror(errno));
			else if (depth >= GITTREE_DEPTH_MAX)
				say(k, full, GITTREE_TOO_DEEP);
			else
				check_folder(k, sub, full, inner, outer, depth + 1);
		} else if (manifest_wanted(inner)) {
			check_file(k, dir, name, full);
		}
	}
	for (int i = 0; i < n; i++)
		free(names[i]);
	free(names);
}

static void
check_path(struct check *k, const char *path)
{
	cleanup_close int dir = -1;
	struct stat st;

	k->git = in_repository(path);
	if (stat(path, &st)) {
		say(k, path, strerror(errno));
	} else if (!S_ISDIR(st.st_mode)) {
		check_file(k, AT_FDCWD, path, path);
	} else if ((dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0) {
		say(k, path, strerror(errno));
	} else {
		check_folder(k, dir, path, "", NULL, 0);
	}
}

/* The daemon's configuration says which addresses and ports there are. */
static int
settings_of(struct check *k, struct settings *ret, const struct config_allow **ret_allow,
	    struct error **e)
{
	const char *file = cli_opt(k->c, OPT_config);
	struct config *config = NULL;
	struct strs doubts;

	if (file) {
		config = config_read(file, k->c->arena, &k->cs, e);
		if (!config)
			return *e ? -1 : 0; /* its errors are among the complaints */
	} else {
		config = config_default(k->c->arena);
	}
	if (config_finish(config, k->c->arena, e))
		return fail_in(e, "%s", file ? file : "kedge.yaml");
	doubts = config_doubts(config, k->c->arena);
	k->cs.path = file;
	for (size_t i = 0; i < doubts.n; i++)
		complain_softly(&k->cs, 0, 0, NULL, "%s", doubts.at[i]);
	*ret_allow = config->allow;
	return config_settings(config, ret, e);
}

static void
check_together(struct check *k, const struct settings *settings)
{
	struct snapshot s = { .now = k->c->now, .settings = settings, .arena = k->c->arena };
	struct wanted want = { .at = k->at, .n = k->n, .source = "validate" };
	struct plan plan;

	manifests_check(k->at, k->n, &k->cs);
	if (k->cs.errors)
		return;
	plan_init(&plan, k->c->arena);
	apply_reconcile(&s, &want, &plan, &k->cs);
}

static json_t *
complaints_json(const struct check *k, bool warnings)
{
	json_t *list = json_array();

	for (const struct complaint *c = k->cs.first; c; c = c->next)
		if (c->warning == warnings)
			json_array_append_new(list, json_pack("{s:s,s:i,s:i,s:s,s:s}", "path",
							      c->path ? c->path : "", "line",
							      c->line, "column", c->col,
							      "field", c->field ? c->field : "",
							      "message", c->text));
	return list;
}

/* Manifests were to be checked, and there is none. */
static bool
is_empty(const struct check *k)
{
	return !k->n && (k->c->n || !cli_opt(k->c, OPT_config));
}

static int
refuse_empty(const struct check *k, struct error **e)
{
	struct cli_call *c = k->c;
	const char *where = c->n ? c->args[0] : ".";

	for (size_t i = 1; i < c->n; i++)
		where = arena_printf(c->arena, "%s, %s", where, c->args[i]);
	fflush(c->out); /* how much was read comes first */
	fail(e, WHY_BAD_REQUEST,
	     k->files ? "no manifest in %s: what is read there has no apiVersion and no kind"
		      : "no manifest in %s: files are read that end in .yaml, .yml or .json, "
			"but for hidden ones and what .kedgeignore names",
	     where);
	return 2;
}

static void
report(struct check *k)
{
	struct cli_call *c = k->c;
	json_t *j;

	complaints_sort(&k->cs);
	j = json_pack("{s:I,s:I,s:o,s:o}", "files", (json_int_t)k->files, "objects",
		      (json_int_t)k->n, "errors", complaints_json(k, false), "warnings",
		      complaints_json(k, true));
	if (!cli_print_json(c, j)) {
		for (const struct complaint *p = k->cs.first; p; p = p->next)
			fprintf(stderr, "%s\n", complaint_print(p, c->arena));
		if (cli_opt(c, OPT_config) && !c->n)
			fprintf(c->out, "%s: ", cli_opt(c, OPT_config));
		else
			fprintf(c->out, "%zu object%s in %zu file%s: ", k->n,
				k->n == 1 ? "" : "s", k->files, k->files == 1 ? "" : "s");
		if (k->cs.errors)
			fprintf(c->out, "%d error%s\n", k->cs.errors,
				k->cs.errors == 1 ? "" : "s");
		else if (is_empty(k))
			fputs("nothing was checked\n", c->out);
		else
			fputs("fine\n", c->out);
	}
	json_decref(j);
}

int
cli_validate(struct cli_call *c, struct error **e)
{
	struct check k = { .c = c, .cs = { .arena = c->arena } };
	const struct config_allow *allow = NULL;
	struct settings settings = { 0 };
	int rc;

	rc = settings_of(&k, &settings, &allow, e);
	for (size_t i = 0; !rc && i < c->n; i++)
		check_path(&k, c->args[i]);
	if (!rc && !c->n && !cli_opt(c, OPT_config))
		check_path(&k, ".");
	if (!rc) {
		check_together(&k, settings.svcs.bits ? &settings : NULL);
		for (size_t i = 0; i < k.n; i++)
			pod_gates(k.at[i], allow, &k.cs, c->arena);
		report(&k);
		rc = k.cs.errors ? 1 : is_empty(&k) ? refuse_empty(&k, e) : 0;
	}
	free(k.at);
	return rc;
}
