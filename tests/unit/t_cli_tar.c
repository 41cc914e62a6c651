/* t_cli_tar.c -- what `kedge cp` makes of the tar of a container that means harm, and of
 * what is typed. */
#include "image_kit.h"

#include "base/arena.h"
#include "daemon/cli_cp.h"
#include "daemon/cli_tar.h"
#include <stdlib.h>
#include <unistd.h>

static char home[64];

static int
setup(void **state)
{
	(void)state;
	strcpy(home, "/tmp/kedge-cp.XXXXXX");
	assert_non_null(mkdtemp(home));
	assert_int_equal(chdir(home), 0);
	assert_int_equal(mkdir("dest", 0755), 0);
	assert_int_equal(mkdir("outside", 0755), 0);
	return 0;
}

static int
teardown(void **state)
{
	cleanup_free char *rm = NULL;

	(void)state;
	assert_int_equal(chdir("/"), 0);
	xasprintf(&rm, "rm -rf %s", home);
	return system(rm);
}

static int
unpack(struct tar *t, const char *dest, const char *base, const char *want)
{
	cleanup_error struct error *e = NULL;
	cleanup_close int fd = tar_end(t), null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	cleanup_close int out = dup(STDERR_FILENO); /* what is said is for people */
	int rc;

	dup2(null, STDERR_FILENO);
	rc = cli_tar_unpack(fd, dest, base, &e);
	dup2(out, STDERR_FILENO);
	assert_true((rc < 0) == (want != NULL));
	if (want)
		assert_non_null(strstr(error_text(e), want));
	return rc;
}

static bool
there(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0;
}

static bool
holds(const char *path, const char *want)
{
	char have[64] = "";
	cleanup_close int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);

	return fd >= 0 && read(fd, have, sizeof have - 1) >= 0 && !strcmp(have, want);
}

static struct tar
tar_of_dir(void)
{
	struct tar t = tar_new(0);

	PUT(&t, .path = ".", .type = AE_IFDIR, .mode = 0755);
	return t;
}

#define NO_TAR "what the container sent is no tar of ours"

static void
a_name_that_leaves_the_destination_ends_it(void **state)
{
	static const char *const names[] = { "../outside/x", "/outside/x", "a/../../outside/x",
					     "..",           "a//x",       "./x",
					     "a/./x",        "a/..",       "" };

	(void)state;
	for (size_t i = 0; i < sizeof names / sizeof *names - 1; i++) {
		struct tar t = tar_of_dir();

		PUT(&t, .path = names[i], .data = "x");
		unpack(&t, "dest", "x", NO_TAR);
		assert_false(there("outside/x") || there("x") || there("dest/x"));
	}
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		assert_false(cli_tar_name_stays(names[i]));
	assert_true(cli_tar_name_stays("a/..b/c.../.d"));
}

static void
a_link_planted_before_is_not_written_through(void **state)
{
	struct tar t = tar_of_dir();

	(void)state;
	/* the link itself is refused; then a link within is made, and used as a directory */
	PUT(&t, .path = "out", .type = AE_IFLNK, .link = "../outside");
	PUT(&t, .path = "out/x", .data = "x");
	PUT(&t, .path = "real", .type = AE_IFDIR, .mode = 0755);
	PUT(&t, .path = "in", .type = AE_IFLNK, .link = "real");
	PUT(&t, .path = "in/x", .data = "x");
	PUT(&t, .path = "in", .data = "x");
	assert_int_equal(unpack(&t, "dest", "x", NULL), 1);
	assert_false(there("outside/x"));
	assert_false(there("dest/real/x"));
	assert_true(holds("dest/out/x", "x"));
}

static void
only_links_that_stay_are_made(void **state)
{
	static const struct {
		const char *name, *to;
		bool stays;
	} rows[] = {
		{ "l", "a", true },
		{ "l", "a/b/c", true },
		{ "l", "./a", true },
		{ "d/l", "..", true },
		{ "d/l", "../a", true },
		{ "d/e/l", "../../a", true },
		{ "d/l", "./../a", true },
		{ "l", ".", true },
		{ "l", "..a", true },
		{ "l", "", false },
		{ "l", "/", false },
		{ "l", "/etc/passwd", false },
		{ "l", "..", false },
		{ "l", "../a", false },
		{ "d/l", "../../a", false },
		{ "d/l", ".././../a", false },
		/* "a" may be a link to somewhere less deep */
		{ "l", "a/..", false },
		{ "d/l", "../a/../b", false },
		{ "d/l", "a//../b", false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		if (cli_tar_link_stays(rows[i].name, rows[i].to) != rows[i].stays)
			fail_msg("%s -> %s", rows[i].name, rows[i].to);
}

/* Whatever links a tar has, none that was made leads out. */
static void
no_chain_of_links_leads_out(void **state)
{
	static const char *const words[] = { "a", "b", "c", "..", ".", "a/b", "../..", "b/.." };
	unsigned seed = 7, made = 0;

	(void)state;
	for (int round = 0; round < 1000; round++) {
		struct tar t = tar_of_dir();
		char dest[32], real[PATH_MAX], root[PATH_MAX];

		PUT(&t, .path = "a", .type = AE_IFDIR, .mode = 0755);
		PUT(&t, .path = "a/b", .type = AE_IFDIR, .mode = 0755);
		for (int i = 0; i < 8; i++) {
			static const char *const in[] = { "", "a/", "a/b/" };
			char name[32], to[64] = "";
			int n = 1 + rand_r(&seed) % 3;

			snprintf(name, sizeof name, "%sl%d", in[rand_r(&seed) % 3], i);
			while (n--)
				snprintf(to + strlen(to), sizeof to - strlen(to), "%s%s",
					 *to ? "/" : "", words[rand_r(&seed) % 8]);
			if (i && rand_r(&seed) % 2) /* through another one, and up */
				snprintf(to, sizeof to, "%sl%d%s", in[rand_r(&seed) % 3],
					 rand_r(&seed) % i, rand_r(&seed) % 2 ? "/.." : "");
			PUT(&t, .path = name, .type = AE_IFLNK, .link = to);
		}
		snprintf(dest, sizeof dest, "chain/%d", round);
		unpack(&t, dest, "x", NULL);
		assert_non_null(realpath(dest, root));
		for (int i = 0; i < 24; i++) {
			static const char *const in[] = { "", "a/", "a/b/" };
			char path[96];

			snprintf(path, sizeof path, "%s/%sl%d", dest, in[i / 8], i % 8);
			if (!there(path))
				continue;
			made++;
			if (realpath(path, real) && strncmp(real, root, strlen(root)))
				fail_msg("%s leads to %s", path, real);
		}
	}
	assert_true(made > 100);
}

static void
what_is_no_file_is_left_out(void **state)
{
	struct tar t = tar_of_dir();

	(void)state;
	PUT(&t, .path = "pipe", .type = AE_IFIFO);
	PUT(&t, .path = "disk", .type = AE_IFBLK);
	PUT(&t, .path = "hard", .hard = "../outside/secret");
	PUT(&t, .path = "well", .data = "x", .mode = 06777);
	assert_int_equal(unpack(&t, "dest/odd", "x", NULL), 1);
	assert_false(there("dest/odd/pipe") || there("dest/odd/disk") ||
		     there("dest/odd/hard"));
	assert_true(holds("dest/odd/well", "x"));
	struct stat st;
	assert_int_equal(stat("dest/odd/well", &st), 0);
	assert_int_equal(st.st_mode & 07000, 0);
}

static void
a_file_stays_where_it_was_asked_for(void **state)
{
	struct tar t = tar_new(0), two = tar_new(0), odd = tar_new(0);

	(void)state;
	PUT(&t, .path = ".", .data = "x");
	assert_int_equal(unpack(&t, "dest/new/name", "base", NULL), 0);
	assert_true(holds("dest/new/name", "x"));
	/* a second one beside it was not asked for */
	PUT(&two, .path = ".", .data = "x");
	PUT(&two, .path = "more", .data = "x");
	unpack(&two, "dest", "base", NO_TAR);
	assert_true(holds("dest/base", "x"));
	assert_false(there("more") || there("dest/more"));
	PUT(&odd, .path = ".", .data = "x");
	unpack(&odd, "dest", "..", "is a directory");
	/* in a directory a link of that name is not followed */
	struct tar link = tar_new(0);
	PUT(&link, .path = ".", .data = "x");
	assert_int_equal(symlink("../outside/secret", "dest/link"), 0);
	assert_int_equal(unpack(&link, "dest", "link", NULL), 1);
	assert_false(there("outside/secret"));
}

static void
what_is_cut_off_or_is_no_tar_is_an_error(void **state)
{
	cleanup_error struct error *e = NULL, *e2 = NULL;
	struct tar t = tar_of_dir();
	cleanup_close int none = open("/dev/null", O_RDONLY | O_CLOEXEC);
	int fd;

	(void)state;
	PUT(&t, .path = "long", .data = "0123456789");
	fd = tar_end(&t);
	assert_int_equal(ftruncate(fd, 1024 + 4), 0);
	assert_int_equal(cli_tar_unpack(fd, "dest/cut", "x", &e), -1);
	close(fd);
	fd = memfd_create("noise", MFD_CLOEXEC);
	for (int i = 0; i < 4096; i++)
		assert_int_equal(write(fd, &(char){ (char)(i * 7) }, 1), 1);
	lseek(fd, 0, SEEK_SET);
	assert_int_equal(cli_tar_unpack(fd, "dest/noise", "x", &e2), -1);
	close(fd);
	/* nothing at all: who sends it has said why */
	assert_int_equal(cli_tar_unpack(none, "dest/none", "x", NULL), 0);
	assert_false(there("dest/none") || there("dest/noise"));
}

static void
the_two_sides_are_told_apart(void **state)
{
	static const struct {
		const char *word, *ns, *pod, *path;
	} rows[] = {
		{ "web:/etc/x", NULL, "web", "/etc/x" },
		{ "shop/web:etc", "shop", "web", "etc" },
		{ "web:a:b", NULL, "web", "a:b" },
		{ "/a:b", NULL, NULL, "/a:b" },
		{ "./a:b", NULL, NULL, "./a:b" },
		{ "../web:x", NULL, NULL, "../web:x" },
		{ "a/b", NULL, NULL, "a/b" },
	};
	static const char *const bad[] = { ":x", "a/b/c:x", "web:", "", "shop/:x" };
	cleanup_arena struct arena a = { 0 };

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct cp_side s;

		assert_int_equal(cp_side_read(rows[i].word, &a, &s, NULL), 0);
		assert_true(!s.ns == !rows[i].ns && !s.pod == !rows[i].pod);
		assert_string_equal(s.path, rows[i].path);
		if (s.ns)
			assert_string_equal(s.ns, rows[i].ns);
		if (s.pod)
			assert_string_equal(s.pod, rows[i].pod);
	}
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		struct cp_side s;

		assert_int_equal(cp_side_read(bad[i], &a, &s, NULL), -1);
	}
	assert_string_equal(cp_base("/a/b/", &a), "b");
	assert_string_equal(cp_base("b", &a), "b");
	assert_string_equal(cp_base("/", &a), "");
	assert_string_equal(cp_base("a/.", &a), ".");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_name_that_leaves_the_destination_ends_it),
		cmocka_unit_test(a_link_planted_before_is_not_written_through),
		cmocka_unit_test(only_links_that_stay_are_made),
		cmocka_unit_test(no_chain_of_links_leads_out),
		cmocka_unit_test(what_is_no_file_is_left_out),
		cmocka_unit_test(a_file_stays_where_it_was_asked_for),
		cmocka_unit_test(what_is_cut_off_or_is_no_tar_is_an_error),
		cmocka_unit_test(the_two_sides_are_told_apart),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
