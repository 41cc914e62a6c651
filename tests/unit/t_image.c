/* t_image.c -- the image store: import, names, whiteouts, hostile tars. */
#include "image_store.h"
#include "runtime/image_impl.h"
#include <fcntl.h>
#include <glob.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <sys/xattr.h>

static const struct image *
import_good(struct tar *t, const char *name, const struct image_config *c)
{
	struct error *e = NULL;
	const struct image *i;

	if (import_tar(store, t, name, c, NULL, &e) < 0)
		fail_msg("%s", error_text(e));
	i = image_find(store, name);
	assert_non_null(i);
	return i;
}

static struct stat
stat_in(const struct image *i, const char *path)
{
	cleanup_free char *full = NULL;
	struct stat st;

	xasprintf(&full, "%s/%s", i->layers[0], path);
	if (lstat(full, &st) < 0)
		fail_msg("%s: %s", full, strerror(errno));
	return st;
}

static bool
is_in(const struct image *i, const char *path)
{
	cleanup_free char *full = NULL;
	struct stat st;

	xasprintf(&full, "%s/%s", i->layers[0], path);
	return lstat(full, &st) == 0;
}

static char *
xattr_in(const struct image *i, const char *path, const char *name)
{
	cleanup_free char *full = NULL;
	char v[256] = "";
	ssize_t n;

	xasprintf(&full, "%s/%s", i->layers[0], path);
	n = lgetxattr(full, name, v, sizeof v - 1);
	return n < 0 ? NULL : xstrndup(v, n);
}

static int
count(const char *sub)
{
	cleanup_free char *path = NULL;
	cleanup_closedir DIR *d = NULL;
	int n = 0;

	xasprintf(&path, "%s/images/%s", dir, sub);
	d = opendir(path);
	assert_non_null(d);
	for (struct dirent *x; (x = readdir(d));)
		n += x->d_name[0] != '.';
	return n;
}

/* Large leftovers are removed by a process of its own. */
static void
wait_empty(const char *sub)
{
	for (int i = 0; i < 500 && count(sub) > 0; i++)
		usleep(10000);
	assert_int_equal(count(sub), 0);
}

static void
an_imported_tree_is_found_by_every_form_of_its_name(void **state)
{
	static const char *const entry[] = { "/server", NULL },
				 *const cmd[] = { "-v", "a b", NULL },
				 *const env[] = { "A=1", "B=x=y", NULL },
				 *const ports[] = { "53/udp", "8080", NULL };
	const struct image_config c = { entry, cmd, env, ports, "/srv", "10:20" };
	static const char *const forms[] = { "web",
					     "web:latest",
					     "library/web",
					     "docker.io/web",
					     "docker.io/library/web:latest",
					     "index.docker.io/library/web" };
	struct tar t = tar_new(0);
	const struct image *i;

	(void)state;
	PUT(&t, .path = "./server", .data = "#!/bin/sh\n", .mode = 0755, .mtime = 1700000000);
	i = import_good(&t, "web", &c);
	assert_string_equal(i->name, "docker.io/library/web:latest");
	assert_int_equal(i->nlayers, 1);
	assert_int_equal(i->size, 10);
	assert_string_equal(i->entrypoint[0], "/server");
	assert_null(i->entrypoint[1]);
	assert_string_equal(i->cmd[1], "a b");
	assert_string_equal(i->env[1], "B=x=y");
	assert_string_equal(i->ports[0], "53/udp");
	assert_string_equal(i->ports[1], "8080/tcp");
	assert_string_equal(i->working_dir, "/srv");
	assert_string_equal(i->user, "10:20");
	assert_int_equal(i->created_ms, INT64_C(1700000000000));
	for (size_t k = 0; k < sizeof forms / sizeof *forms; k++)
		assert_ptr_equal(image_find(store, forms[k]), i);
	assert_ptr_equal(image_find(store, i->id), i);
	assert_null(image_find(store, "web:v2"));
	assert_null(image_find(store, "other/web"));
	assert_int_equal(count("ingest"), 0);
}

static void
names_are_completed_as_registries_do(void **state)
{
	static const struct {
		const char *in, *out;
	} good[] = {
		{ "nginx", "docker.io/library/nginx:latest" },
		{ "nginx:1.25", "docker.io/library/nginx:1.25" },
		{ "me/app", "docker.io/me/app:latest" },
		{ "localhost/app:x", "localhost/app:x" },
		{ "localhost:5000/a/b", "localhost:5000/a/b:latest" },
		{ "r.io/a__b/c-d--e:V1_0", "r.io/a__b/c-d--e:V1_0" },
		{ "a@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
		  "docker.io/library/"
		  "a@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" },
		{ "r.io:1/"
		  "a:t@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
		  "r.io:1/"
		  "a@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" },
	};
	static const char *const bad[] = {
		"",    ":x",    "A",       "a:",       "a b",         "../a", "a//b",
		"a/",  "/a",    "a:b:c",   "a@x",      "a.-b",        "a..b", "_a",
		"a:.", "a___b", "r.io:/a", "r.io:x/a", "a@sha256:00", "a+b"
	};

	(void)state;
	for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
		cleanup_free char *s = image_normalise(good[i].in, NULL);

		assert_non_null(s);
		assert_string_equal(s, good[i].out);
	}
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		struct error *e = NULL;
		char *s = image_normalise(bad[i], &e);

		if (s)
			fail_msg("\"%s\" was taken as %s", bad[i], s);
		assert_non_null(strstr(error_text(e), "such as nginx:1.25"));
		error_free(&e);
	}
}

static void
owners_modes_times_links_and_attributes_are_kept(void **state)
{
	struct tar t = tar_new(0);
	const struct image *i;
	cleanup_free char *user = NULL, *overlay = NULL, *trusted = NULL;
	struct stat st;

	(void)state;
	PUT(&t, .path = ".", .type = AE_IFDIR, .mode = 0711, .uid = 3, .gid = 4);
	PUT(&t, .path = "d", .type = AE_IFDIR, .mode = 01777, .uid = 7, .gid = 8,
	    .mtime = 1000);
	PUT(&t, .path = "d/su", .data = "x", .mode = 04755, .uid = 5, .gid = 6, .mtime = 2000);
	PUT(&t, .path = "d/same", .hard = "d/su");
	PUT(&t, .path = "d/link", .type = AE_IFLNK, .link = "/etc/passwd", .uid = 9);
	PUT(&t, .path = "d/pipe", .type = AE_IFIFO, .mode = 0620);
	PUT(&t, .path = "attr", .data = "x", .xattr = "user.note", .value = "hi");
	PUT(&t, .path = "forged", .data = "x", .xattr = "user.overlay.opaque", .value = "y");
	PUT(&t, .path = "forged2", .data = "x", .xattr = "trusted.overlay.opaque",
	    .value = "y");
	i = import_good(&t, "a", NULL);
	st = stat_in(i, ".");
	assert_int_equal(st.st_mode & 07777, 0711);
	assert_int_equal(st.st_uid, 3);
	st = stat_in(i, "d");
	assert_int_equal(st.st_mode & 07777, 01777);
	assert_int_equal(st.st_uid, 7);
	assert_int_equal(st.st_mtime, 1000);
	st = stat_in(i, "d/su");
	assert_int_equal(st.st_mode & 07777, 04755);
	assert_int_equal(st.st_gid, 6);
	assert_int_equal(st.st_mtime, 2000);
	assert_int_equal(st.st_nlink, 2);
	assert_int_equal(st.st_ino, stat_in(i, "d/same").st_ino);
	st = stat_in(i, "d/link");
	assert_true(S_ISLNK(st.st_mode));
	assert_int_equal(st.st_uid, 9);
	assert_true(S_ISFIFO(stat_in(i, "d/pipe").st_mode));
	user = xattr_in(i, "attr", "user.note");
	if (user) /* the file system may have none */
		assert_string_equal(user, "hi");
	overlay = xattr_in(i, "forged", "user.overlay.opaque");
	trusted = xattr_in(i, "forged2", "trusted.overlay.opaque");
	assert_null(overlay);
	assert_null(trusted);
}

static void
device_nodes_are_dropped(void **state)
{
	struct tar t = tar_new(0);
	const struct image *i;

	(void)state;
	PUT(&t, .path = "dev", .type = AE_IFDIR, .mode = 0755);
	PUT(&t, .path = "dev/mem", .type = AE_IFCHR, .mode = 0666);
	PUT(&t, .path = "sda", .type = AE_IFBLK, .mode = 0666);
	PUT(&t, .path = "ok", .data = "x");
	i = import_good(&t, "a", NULL);
	assert_false(is_in(i, "dev/mem"));
	assert_false(is_in(i, "sda"));
	assert_true(is_in(i, "ok"));
}

static void
whiteouts_take_the_form_that_overlayfs_reads(void **state)
{
	struct tar t = tar_new(0);
	const struct image *i;
	cleanup_free char *d = NULL, *late = NULL, *again = NULL, *other = NULL;

	(void)state;
	PUT(&t, .path = "etc/.wh.gone", .data = "");
	PUT(&t, .path = "d/kept", .data = "x");
	PUT(&t, .path = "d/.wh..wh..opq", .data = ""); /* after what it keeps */
	PUT(&t, .path = ".wh.late", .data = "");
	PUT(&t, .path = "late/new", .data = "x"); /* a directory comes back */
	PUT(&t, .path = "again/x", .data = "x");
	PUT(&t, .path = ".wh.again", .data = "");
	PUT(&t, .path = ".wh.file", .data = "");
	PUT(&t, .path = "file", .data = "new");
	PUT(&t, .path = ".wh..wh.plnk/1.2", .data = "aufs");
	i = import_good(&t, "a", NULL);
	assert_true(S_ISCHR(stat_in(i, "etc/gone").st_mode));
	assert_int_equal(stat_in(i, "etc/gone").st_rdev, makedev(0, 0));
	assert_true(is_in(i, "d/kept"));
	assert_false(is_in(i, "d/.wh..wh..opq"));
	d = xattr_in(i, "d", "trusted.overlay.opaque");
	assert_string_equal(d, "y");
	assert_true(is_in(i, "late/new"));
	late = xattr_in(i, "late", "trusted.overlay.opaque");
	assert_string_equal(late, "y");
	again = xattr_in(i, "again", "trusted.overlay.opaque");
	assert_string_equal(again, "y");
	other = xattr_in(i, "etc", "trusted.overlay.opaque");
	assert_null(other);
	assert_true(S_ISREG(stat_in(i, "file").st_mode));
}

static void
gzip_and_zstd_give_the_same_layer(void **state)
{
	const struct image *i;
	cleanup_free char *id = NULL;

	(void)state;
	for (size_t k = 0; k < 3; k++) {
		struct tar t = tar_new("\0gz"[k]);

		PUT(&t, .path = "a", .data = "hello", .mtime = 5);
		i = import_good(&t, "a", NULL);
		if (id)
			assert_string_equal(i->id, id);
		free(id);
		id = xstrdup(i->id);
	}
	assert_int_equal(count("layers/sha256"), 1);
	assert_int_equal(count("configs/sha256"), 2);
}

struct hostile {
	struct put put[3];
	const char *says[3];
};

static void
a_hostile_entry_is_refused_by_name(void **state)
{
	static char longest[300];
	static const struct hostile cases[] = {
		{ { { .path = "../up", .data = "x" } }, { "../up", "\"..\"" } },
		{ { { .path = "a/../../up", .data = "x" } }, { "a/../../up", "\"..\"" } },
		{ { { .path = "/abs", .data = "x" } }, { "/abs", "absolute" } },
		{ { { .path = "etc", .type = AE_IFLNK, .link = "/etc" },
		    { .path = "etc/x", .data = "x" } },
		  { "etc/x", "symbolic link" } },
		{ { { .path = "l", .type = AE_IFLNK, .link = "." },
		    { .path = "l/a/b", .data = "x" } },
		  { "l/a/b", "symbolic link" } },
		{ { { .path = "l", .type = AE_IFLNK, .link = "/tmp" },
		    { .path = "l/.wh.x", .data = "" } },
		  { "l/.wh.x", "symbolic link" } },
		{ { { .path = "l", .type = AE_IFLNK, .link = "/tmp" },
		    { .path = "l/.wh..wh..opq", .data = "" } },
		  { "l/.wh..wh..opq", "symbolic link" } },
		{ { { .path = "l", .type = AE_IFLNK, .link = "/etc" },
		    { .path = "h", .hard = "l/passwd" } },
		  { "h", "l/passwd", "symbolic link" } },
		{ { { .path = "h", .hard = "../../etc/passwd" } }, { "h", "\"..\"" } },
		{ { { .path = "h", .hard = "/etc/passwd" } }, { "h", "absolute" } },
		{ { { .path = "h", .hard = "nothing" } }, { "h", "not in this layer" } },
		{ { { .path = "d", .type = AE_IFDIR }, { .path = "h", .hard = "d" } },
		  { "h", "not a file" } },
		{ { { .path = "dev", .type = AE_IFLNK, .link = "/tmp" } },
		  { "dev", "symbolic link" } },
		{ { { .path = "x", .type = AE_IFLNK, .link = "/tmp" },
		    { .path = "proc", .hard = "x" } },
		  { "proc", "symbolic link" } },
		{ { { .path = "sys", .data = "x" } }, { "sys", "directory" } },
		{ { { .path = "f", .data = "x" }, { .path = "f/g", .data = "x" } },
		  { "f/g", "not a directory" } },
		{ { { .path = longest, .data = "x" } }, { "nnnn", "too long" } },
		{ { { .path = ".wh...", .data = "" }, { .path = "x/.wh..", .data = "" } },
		  { ".wh." } },
		{ { { .path = ".", .type = AE_IFLNK, .link = "/" } }, { ".", "root" } },
		{ { { .path = "u", .data = "x", .uid = UINT32_MAX } }, { "u", "owner" } },
	};

	(void)state;
	memset(longest, 'n', sizeof longest - 1);
	for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
		struct error *e = NULL;
		struct tar t = tar_new(0);

		PUT(&t, .path = "innocent", .data = "x");
		for (size_t i = 0; i < 3 && cases[k].put[i].path; i++)
			tar_put(&t, cases[k].put[i]);
		if (import_tar(store, &t, "bad", NULL, NULL, &e) == 0)
			fail_msg("case %zu (%s) was taken", k, cases[k].put[0].path);
		for (size_t i = 0; i < 3 && cases[k].says[i]; i++)
			if (!strstr(error_text(e), cases[k].says[i]))
				fail_msg("case %zu: \"%s\" does not say \"%s\"", k,
					 error_text(e), cases[k].says[i]);
		error_free(&e);
	}
	assert_null(image_find(store, "bad"));
	assert_int_equal(count("layers/sha256"), 0);
	wait_empty("ingest");
}

static void
a_tar_over_the_limits_is_refused(void **state)
{
	struct image_limits bytes = { .bytes = 1000 }, entries = { .entries = 3 };
	cleanup_free char *big = xcalloc(1, 2000);
	struct error *e = NULL;
	struct tar t = tar_new(0);

	(void)state;
	PUT(&t, .path = "big", .data = big, .len = 900);
	PUT(&t, .path = "more", .data = big, .len = 101);
	assert_int_equal(import_tar(store, &t, "a", NULL, &bytes, &e), -1);
	assert_int_equal(e->why, WHY_TOO_LARGE);
	assert_non_null(strstr(error_text(e), "more"));
	assert_non_null(strstr(error_text(e), "1000 bytes"));
	error_free(&e);
	t = tar_new(0);
	for (int i = 0; i < 4; i++) {
		char name[2] = { 'a' + i, 0 };

		PUT(&t, .path = name, .data = "x");
	}
	assert_int_equal(import_tar(store, &t, "a", NULL, &entries, &e), -1);
	assert_non_null(strstr(error_text(e), "more than 3 files"));
	error_free(&e);
	wait_empty("ingest");
}

static void
a_decompression_bomb_is_refused(void **state)
{
	cleanup_free char *zeros = xcalloc(1, 32 << 20);
	struct error *e = NULL;
	struct tar t = tar_new('z');

	(void)state;
	for (int i = 0; i < 4; i++)
		PUT(&t, .path = "zeros", .data = zeros, .len = 32 << 20);
	assert_int_equal(import_tar(store, &t, "a", NULL, NULL, &e), -1);
	assert_non_null(strstr(error_text(e), "bomb"));
	error_free(&e);
	wait_empty("ingest");
}

static void
a_stalled_stream_ends_at_the_deadline(void **state)
{
	struct image_limits l = { .seconds = 1 };
	struct image_job *j;
	struct error *e = NULL;
	char **names;
	int p[2];

	(void)state;
	assert_int_equal(pipe(p), 0);
	assert_int_equal(image_import(store, p[0], "a", NULL, &l, &j, &e), 0);
	close(p[0]);
	assert_int_equal(job_wait(j, &names, &e), -1);
	close(p[1]);
	assert_int_equal(e->why, WHY_TIMEOUT);
	assert_non_null(strstr(error_text(e), "1 s"));
	error_free(&e);
	wait_empty("ingest");
}

/* Where the file system has such a mark: see image_job.c. */
static void
layers_come_to_be_in_a_directory_that_spreads_them(void **state)
{
	cleanup_free char *pattern = NULL;
	struct image_job *j;
	struct statfs fs;
	glob_t found;
	int p[2], fd, flags = 0;

	(void)state;
	assert_int_equal(pipe(p), 0);
	assert_int_equal(image_import(store, p[0], "a", NULL, NULL, &j, NULL), 0);
	xasprintf(&pattern, "%s/images/ingest/*/layers", dir);
	assert_int_equal(glob(pattern, 0, NULL, &found), 0);
	assert_int_equal(found.gl_pathc, 1);
	fd = open(found.gl_pathv[0], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_return_code(fstatfs(fd, &fs), errno);
	if (fs.f_type == EXT4_SUPER_MAGIC) {
		assert_return_code(ioctl(fd, FS_IOC_GETFLAGS, &flags), errno);
		assert_int_equal(flags & FS_TOPDIR_FL, FS_TOPDIR_FL);
	} else {
		print_message("# not on ext4\n");
	}
	close(fd);
	globfree(&found);
	image_job_cancel(j);
	close(p[0]);
	close(p[1]);
	wait_empty("ingest");
}

static void
a_cancelled_job_leaves_nothing(void **state)
{
	struct image_job *j;
	int p[2];

	(void)state;
	assert_int_equal(pipe(p), 0);
	assert_int_equal(image_import(store, p[0], "a", NULL, NULL, &j, NULL), 0);
	image_job_cancel(j);
	close(p[0]);
	close(p[1]);
	wait_empty("ingest");
	assert_null(image_find(store, "a"));
}

static void
what_is_no_tar_is_refused(void **state)
{
	static const char *const texts[] = { "", "this is no tar at all\n", "PK\3\4 a zip\n" };

	(void)state;
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		struct error *e = NULL;
		struct image_job *j;
		char **names;
		int fd = memfd_create("x", 0);

		assert_int_equal(write(fd, texts[i], strlen(texts[i])), strlen(texts[i]));
		lseek(fd, 0, SEEK_SET);
		assert_int_equal(image_import(store, fd, "a", NULL, NULL, &j, &e), 0);
		close(fd);
		assert_int_equal(job_wait(j, &names, &e), -1);
		assert_non_null(strstr(error_text(e), "tar"));
		error_free(&e);
	}
}

static void
removing_a_name_keeps_layers_that_others_share(void **state)
{
	struct image_config c = { .working_dir = "/x" };
	struct error *e = NULL;
	const struct image *const *list;

	(void)state;
	for (size_t k = 0; k < 3; k++) {
		struct tar t = tar_new(0);

		PUT(&t, .path = "f", .data = k == 2 ? "other" : "same", .mtime = 5);
		import_good(&t, k == 0 ? "a" : k == 1 ? "b" : "c", k == 1 ? &c : NULL);
	}
	assert_int_equal(images_list(store, &list), 3);
	assert_string_equal(list[1]->name, "docker.io/library/b:latest");
	assert_int_equal(count("layers/sha256"), 2);
	assert_int_equal(image_remove(store, "a", &e), 0);
	assert_int_equal(count("layers/sha256"), 2);
	assert_int_equal(image_remove(store, "b", &e), 0);
	assert_int_equal(count("layers/sha256"), 1);
	assert_int_equal(image_remove(store, "b", &e), -1);
	assert_int_equal(e->why, WHY_NOT_FOUND);
	error_free(&e);
	assert_int_equal(image_remove(store, "c", &e), 0);
	assert_int_equal(count("layers/sha256"), 0);
	assert_int_equal(count("configs/sha256"), 0);
	wait_empty("ingest");
}

static bool
keep_one(void *ctx, const char *id)
{
	return strcmp(ctx, id) == 0;
}

static void
an_image_under_a_running_pod_outlives_its_name(void **state)
{
	struct tar t = tar_new(0);
	cleanup_free char *id = NULL;
	struct error *e = NULL;

	(void)state;
	PUT(&t, .path = "f", .data = "old");
	id = xstrdup(import_good(&t, "a", NULL)->id);
	images_keep(store, keep_one, id);
	t = tar_new(0);
	PUT(&t, .path = "f", .data = "new");
	import_good(&t, "a", NULL);
	assert_int_equal(images_sweep(store, &e), 0);
	assert_int_equal(count("layers/sha256"), 2);
	images_keep(store, NULL, NULL);
	assert_int_equal(images_sweep(store, &e), 0);
	assert_int_equal(count("layers/sha256"), 1);
	assert_non_null(image_find(store, "a"));
}

static void
opening_again_finds_what_was_there_and_clears_the_rest(void **state)
{
	struct tar t = tar_new(0);
	cleanup_free char *id = NULL, *cmd = NULL;
	struct error *e = NULL;
	const struct image *i;

	(void)state;
	PUT(&t, .path = "f", .data = "x");
	id = xstrdup(import_good(&t, "a:1", NULL)->id);
	images_close(store);
	store = NULL;
	xasprintf(&cmd,
		  "cd %s/images && mkdir -p ingest/job-1-1/layers/x layers/sha256/%064d "
		  "&& echo junk > names/docker.io+library+bad:1",
		  dir, 0);
	assert_int_equal(system(cmd), 0);
	if (images_open(dir, &store, &e) < 0)
		fail_msg("%s", error_text(e));
	i = image_find(store, "a:1");
	assert_non_null(i);
	assert_string_equal(i->id, id);
	assert_null(image_find(store, "bad:1"));
	assert_int_equal(count("layers/sha256"), 1);
	wait_empty("ingest");
}

static void
a_second_store_in_the_same_place_is_refused(void **state)
{
	struct images *other;
	struct error *e = NULL;

	(void)state;
	assert_int_equal(images_open(dir, &other, &e), -1);
	assert_non_null(strstr(error_text(e), "in use by another kedged"));
	error_free(&e);
}

static void
names_in_any_script_survive(void **state)
{
	struct tar t = tar_new(0);
	const struct image *i;

	(void)state;
	PUT(&t, .path = "gr\xc3\xbc\xc3\x9f/e\xcc\x81", .data = "x"); /* decomposed: stays so */
	i = import_good(&t, "a", NULL);
	assert_true(is_in(i, "gr\xc3\xbc\xc3\x9f/e\xcc\x81"));
}

/* What an attacker who took the child over would try; the first that works is the exit code. */
static int
break_out(pid_t parent)
{
	static const struct child none;
	struct budget budget = { .max_bytes = 1000 };
	struct child c = none;
	struct error *e = NULL;

	c.budget = &budget;
	c.alive = -1;
	c.fd = open("/dev/null", O_RDONLY);
	c.root = open(dir, O_RDONLY | O_DIRECTORY);
	if (image_child_fence(&c, dir, 10, &e) < 0) {
		fprintf(stderr, "%s\n", error_text(e));
		return 1;
	}
	if (access("/images", F_OK) == 0 || openat(c.root, "images", O_RDONLY) < 0)
		return 2; /* access() itself is not allowed; the job's own tree is */
	if (openat(c.root, "../etc/passwd", O_RDONLY) >= 0 ||
	    open("/etc/passwd", O_RDONLY) >= 0)
		return 3;
	if (kill(parent, 0) == 0)
		return 4;
	if (fork() >= 0)
		return 5;
	if (socket(AF_UNIX, SOCK_STREAM, 0) >= 0)
		return 6;
	if (mount("/", "/", NULL, MS_BIND, NULL) == 0 || chroot("/") == 0)
		return 7;
	if (mknodat(c.root, "mem", S_IFCHR | 0600, makedev(1, 1)) == 0 &&
	    openat(c.root, "mem", O_RDWR) >= 0)
		return 8;
	if (setuid(1) == 0)
		return 9;
	return 0;
}

static void
the_child_that_unpacks_is_fenced_in(void **state)
{
	pid_t parent = getpid(), pid = fork();
	int st;

	(void)state;
	if (pid == 0)
		_exit(break_out(parent));
	assert_int_equal(waitpid(pid, &st, 0), pid);
	assert_true(WIFEXITED(st));
	assert_int_equal(WEXITSTATUS(st), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, store_setup, store_teardown)
		T(an_imported_tree_is_found_by_every_form_of_its_name),
		T(names_are_completed_as_registries_do),
		T(owners_modes_times_links_and_attributes_are_kept),
		T(device_nodes_are_dropped),
		T(whiteouts_take_the_form_that_overlayfs_reads),
		T(gzip_and_zstd_give_the_same_layer),
		T(a_hostile_entry_is_refused_by_name),
		T(a_tar_over_the_limits_is_refused),
		T(a_decompression_bomb_is_refused),
		T(a_stalled_stream_ends_at_the_deadline),
		T(a_cancelled_job_leaves_nothing),
		T(layers_come_to_be_in_a_directory_that_spreads_them),
		T(what_is_no_tar_is_refused),
		T(removing_a_name_keeps_layers_that_others_share),
		T(an_image_under_a_running_pod_outlives_its_name),
		T(opening_again_finds_what_was_there_and_clears_the_rest),
		T(a_second_store_in_the_same_place_is_refused),
		T(names_in_any_script_survive),
		T(the_child_that_unpacks_is_fenced_in),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
