/* t_mirror.c -- the mirror: what it keeps, what it survives, and what a push costs.
 *
 * Counts the bytes that workers send. */
// wrap: -Wl,--wrap=recv
#include "source_world.h"

#include "daemon/mirror.h"

static size_t received;
ssize_t __real_recv(int, void *, size_t, int);
ssize_t __wrap_recv(int, void *, size_t, int);

ssize_t
__wrap_recv(int fd, void *to, size_t n, int flags)
{
	ssize_t got = __real_recv(fd, to, n, flags);

	if (got > 0)
		received += got;
	return got;
}

static struct mirror *
open_mirror(struct world *w, bool want_aside)
{
	struct mirror *m;
	struct error *e = NULL;
	bool aside;
	char *dir;

	xasprintf(&dir, "%s/m", w->dir);
	if (mirror_open(dir, &m, &aside, &e))
		fail_msg("%s", error_text(e));
	assert_int_equal(aside, want_aside);
	free(dir);
	return m;
}

static void
what_a_killed_one_left_keeps_no_head_where_it_is(void **state)
{
	struct world w;
	struct error *e = NULL;
	struct mirror *m;
	git_oid id, head;

	(void)state;
	world_new(&w);
	m = open_mirror(&w, false);
	assert_int_equal(mirror_put(m, GIT_OBJECT_BLOB, "one", 3, &id, &e), 0);
	assert_int_equal(mirror_set_head(m, "s", &id, &e), 0);
	assert_int_equal(mirror_flush(m, &e), 0);
	mirror_close(m);
	sh(&w, "echo half >m/refs/kedge/s/head.lock; mkdir -p m/objects/pack; "
	       "touch m/objects/tmp_object_git2_1a2b3c m/objects/pack/pack_git2_1a2b3c");
	m = open_mirror(&w, false);
	sh(&w, "test -z \"$(find m -name '*_git2_*')\"");
	assert_int_equal(mirror_put(m, GIT_OBJECT_BLOB, "two", 3, &id, &e), 0);
	assert_int_equal(mirror_set_head(m, "s", &id, &e), 0);
	if (mirror_flush(m, &e))
		fail_msg("%s", error_text(e));
	mirror_close(m);
	m = open_mirror(&w, false);
	assert_true(mirror_head(m, "s", &head) && git_oid_equal(&head, &id));
	sh(&w, "test ! -e m/refs/kedge/s/head.lock");
	mirror_close(m);
	world_end(&w);
}

static void
objects_are_read_before_and_after_they_reach_the_disk(void **state)
{
	struct world w;
	struct mirror_object o;
	struct error *e = NULL;
	struct mirror *m;
	git_oid id, head;

	(void)state;
	world_new(&w);
	m = open_mirror(&w, false);
	sh(&w, "test $(stat -c %%a m) = 700");
	assert_false(mirror_pending(m));
	assert_int_equal(mirror_put(m, GIT_OBJECT_BLOB, "hello", 5, &id, &e), 0);
	assert_int_equal(mirror_set_head(m, "one", &id, &e), 0);
	sh(&w, "test -z \"$(find m/objects -type f)\"");
	assert_int_equal(mirror_get(m, &id, GIT_OBJECT_BLOB, &o, &e), 0);
	assert_string_equal(o.data, "hello");
	mirror_object_done(&o);
	assert_true(mirror_head(m, "one", &head) && git_oid_equal(&head, &id));
	assert_true(mirror_pending(m));
	assert_int_equal(mirror_flush(m, &e), 0);
	assert_false(mirror_pending(m));
	mirror_close(m);
	m = open_mirror(&w, false);
	assert_int_equal(mirror_get(m, &id, GIT_OBJECT_BLOB, &o, &e), 0);
	assert_int_equal(o.len, 5);
	assert_memory_equal(o.data, "hello", 5);
	mirror_object_done(&o);
	assert_true(mirror_head(m, "one", &head) && git_oid_equal(&head, &id));
	assert_false(mirror_head(m, "two", &head));
	assert_int_equal(mirror_get(m, &id, GIT_OBJECT_TREE, &o, &e), -1);
	assert_int_equal(e->why, WHY_INVALID);
	error_free(&e);
	git_oid_fromstr(&id, "1234567890123456789012345678901234567890");
	assert_int_equal(mirror_get(m, &id, GIT_OBJECT_BLOB, &o, &e), -1);
	assert_int_equal(e->why, WHY_NOT_FOUND);
	error_free(&e);
	mirror_close(m);
	world_end(&w);
}

static void
a_head_that_is_dropped_does_not_come_back(void **state)
{
	struct mirror *m = NULL;
	struct error *e = NULL;
	struct world w;
	char dir[300];
	git_oid id;
	bool aside;

	(void)state;
	world_new(&w);
	snprintf(dir, sizeof dir, "%s/m.git", w.dir);
	assert_int_equal(mirror_open(dir, &m, &aside, &e), 0);
	assert_int_equal(mirror_drop_head(m, "s", &e), 0); /* none is none */
	for (int flushed = 0; flushed < 2; flushed++) {
		assert_int_equal(mirror_put(m, GIT_OBJECT_BLOB, "x", 1, &id, &e), 0);
		assert_int_equal(mirror_set_head(m, "s", &id, &e), 0);
		if (flushed)
			assert_int_equal(mirror_flush(m, &e), 0);
		assert_true(mirror_head(m, "s", &id));
		assert_int_equal(mirror_drop_head(m, "s", &e), 0);
		assert_false(mirror_head(m, "s", &id));
	}
	mirror_close(m);
	assert_int_equal(mirror_open(dir, &m, &aside, &e), 0);
	assert_false(mirror_head(m, "s", &id));
	mirror_close(m);
	world_end(&w);
}

static void
a_damaged_object_is_put_out_of_the_way(void **state)
{
	static const char *const damages[] = { ": >$f", "echo garbage >$f",
					       "head -c 9 $f >g; mv g $f",
					       "chmod 600 $f; printf x | dd of=$f bs=1 seek=12 "
					       "conv=notrunc" };
	struct world w;
	struct mirror_object o;
	struct error *e = NULL;
	struct mirror *m;
	git_oid id, again;

	(void)state;
	world_new(&w);
	for (size_t i = 0; i < sizeof damages / sizeof *damages; i++) {
		m = open_mirror(&w, false);
		assert_int_equal(
		    mirror_put(m, GIT_OBJECT_BLOB, "hello hello hello", 17, &id, &e), 0);
		assert_int_equal(mirror_flush(m, &e), 0);
		mirror_close(m);
		sh(&w, "f=$(find m/objects -type f); chmod u+w $f; %s", damages[i]);
		m = open_mirror(&w, false);
		assert_int_equal(mirror_get(m, &id, GIT_OBJECT_BLOB, &o, &e), -1);
		assert_int_equal(e->why, WHY_IO);
		error_free(&e);
		assert_int_equal(
		    mirror_put(m, GIT_OBJECT_BLOB, "hello hello hello", 17, &again, &e), 0);
		assert_int_equal(mirror_flush(m, &e), 0);
		assert_int_equal(mirror_get(m, &id, GIT_OBJECT_BLOB, &o, &e), 0);
		mirror_object_done(&o);
		mirror_close(m);
		sh(&w, "git -C m fsck --strict; rm -rf m");
	}
	world_end(&w);
}

static void
what_is_no_repository_is_moved_aside(void **state)
{
	struct world w;

	(void)state;
	world_new(&w);
	sh(&w, "mkdir m; echo 1 >m/precious");
	mirror_close(open_mirror(&w, true));
	sh(&w, "test $(cat m.broken-1/precious) = 1; rm -rf m/objects");
	mirror_close(open_mirror(&w, true));
	sh(&w, "test -d m.broken-2; rm m/HEAD");
	mirror_close(open_mirror(&w, true));
	sh(&w, "test -d m.broken-3; rm -rf m; echo a file >m");
	mirror_close(open_mirror(&w, true));
	sh(&w, "test -f m.broken-4");
	mirror_close(open_mirror(&w, false));
	/* A half-made one from a crash is not taken for ours. */
	sh(&w, "rm -rf m; mkdir -p m.new/objects");
	mirror_close(open_mirror(&w, false));
	world_end(&w);
}

static void
names_of_sources_are_checked(void **state)
{
	(void)state;
	gitlib_open();
	assert_true(mirror_name_valid("web"));
	assert_true(mirror_name_valid("web-1.example"));
	assert_false(mirror_name_valid(""));
	assert_false(mirror_name_valid(".."));
	assert_false(mirror_name_valid("a/b"));
	assert_false(mirror_name_valid("a b"));
	assert_false(mirror_name_valid("x.lock"));
	gitlib_close();
}

/* What the brain finds missing or damaged it asks for, and gets. */
static void
a_damaged_mirror_is_filled_anew_by_the_worker(void **state)
{
	static const char *const damages[] = {
		/* the blob, the tree, the commit; gone or garbage */
		"rm $(file main:web.yaml)",
		"rm $(file main^{tree})",
		"echo x >$(file main)",
		"echo x >$(file main:web.yaml)",
		"rm -r $O/??",
		"rm -r $O; mkdir $O",
		"rm -r mirror.git",
		/* every object as one pack, cut or scribbled upon */
		"git -C mirror.git repack -qad; p=$(echo $O/pack/*.pack); chmod u+w $p; "
		"truncate -s -40 $p",
		"git -C mirror.git repack -qad; p=$(echo $O/pack/*.pack); chmod u+w $p; printf "
		"xxxxxxxx | "
		"dd of=$p bs=1 seek=60 conv=notrunc",
	};

	(void)state;
	for (size_t i = 0; i < sizeof damages / sizeof *damages; i++) {
		struct world w;
		struct error *e = NULL;

		world_new(&w);
		world_git(&w);
		world_watch(&w, "git", w.repo);
		assert_news(&w, SOURCE_MOVED, 5);
		sources_close(w.s);
		worker_kill(&w);
		sh(&w,
		   "O=mirror.git/objects; file() { i=$(git -C repo.git rev-parse $1); "
		   "f=$O/$(echo $i | "
		   "cut -c1-2)/$(echo $i | cut -c3-); chmod u+w $f; echo $f; }; %s",
		   damages[i]);
		assert_int_equal(sources_open(w.mirror, &w.s, &e), 0);
		world_attach(&w);
		await_shows(&w, "web.yaml:web=1", 5);
		assert_int_equal(sources_flush(w.s, &e), 0);
		sources_close(w.s);
		assert_int_equal(sources_open(w.mirror, &w.s, &e), 0);
		world_attach(&w);
		assert_shows(&w, "web.yaml:web=1");
		world_end(&w);
	}
}

/* A worker that lies gets nothing but a dropped connection. */
static void
a_lying_worker_is_dropped(void **state)
{
	static const struct {
		uint32_t len, type;
		const char *body;
	} lies[] = {
		{ 0xffffffff, 3, "" },               /* longer than anything */
		{ 4, 99, "abcd" },                   /* no such message */
		{ 4, 7, "abcd" },                    /* a head that is no id */
		{ 21, 7, "0123456789abcdefghij\1" }, /* a head that never came */
		{ 20, 8, "0123456789abcdefghij" },   /* so a tree */
		{ 5, 4, "\7abcd" },                  /* an object of no type */
		{ 4, 5, "PACK" },                    /* the end of a pack comes first */
		{ 0, 6, "" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
		struct world w;
		struct error *e = NULL;
		enum source_news news;
		int sock[2];

		world_new(&w);
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, sock), 0);
		w.args = (struct watch_args){ .url = "/x", .type = "git" };
		assert_int_equal(source_attach(w.s, "main", &w.args, sock[0], &e), 0);
		assert_int_equal(write(sock[1], &lies[i], 8), 8);
		if (lies[i].len < 100)
			assert_int_equal(write(sock[1], lies[i].body, lies[i].len),
					 lies[i].len);
		if (lies[i].type == 5) { /* a pack of four bytes is only wrong at its end */
			const uint32_t end[2] = { 0, 6 };

			assert_int_equal(write(sock[1], end, sizeof end), sizeof end);
		}
		while ((news = source_read(w.s, "main")) == SOURCE_FAILED)
			;
		if (news != SOURCE_LOST)
			fail_msg("lie %zu was believed", i);
		assert_int_equal(source_fd(w.s, "main"), -1);
		assert_null(source_head(w.s, "main"));
		close(sock[1]);
		world_end(&w);
	}
}

static void
make_many(struct world *w, int n)
{
	sh(w,
	   "git init -q --bare -b main repo.git; git clone -q repo.git work; cd work; git "
	   "checkout -q -b "
	   "main; perl -e 'for (1..%d) { open my $f, \">\", sprintf(\"c%%05d.yaml\", $_); "
	   "print $f "
	   "\"apiVersion: v1\\nkind: ConfigMap\\nmetadata:\\n  name: c$_\\ndata:\\n  value: "
	   "\\\"1\\\"\\n\" "
	   "}'; git add .; git commit -qm many; git push -q origin main",
	   n);
}

/* Of 10,000 files in one folder only the folder's listing and the one file travel,
 * and only that file is parsed. */
static void
a_push_to_ten_thousand_files_costs_what_changed(void **state)
{
	struct world w;
	struct arena arena = { 0 };
	struct complaints said = { .arena = &arena };
	struct manifest_set *one = NULL, *two = NULL;
	struct error *e = NULL;
	size_t same = 0;

	(void)state;
	world_new(&w);
	make_many(&w, 10000);
	world_watch(&w, "git", w.repo);
	assert_news(&w, SOURCE_MOVED, 60);
	assert_int_equal(source_manifests(w.s, "main", source_head(w.s, "main")->commit, NULL,
					  &one, &said, &e),
			 0);
	assert_int_equal(one->n, 10000);
	assert_int_equal(sources_flush(w.s, &e), 0);
	sh(&w, "test $(find mirror.git/objects -type f | wc -l) -le 4"); /* a pack, not 10,000
									    files */
	write_config(&w, "work/c05000.yaml", "c5000", "2");
	push(&w, "one of many");
	received = 0;
	assert_news(&w, SOURCE_MOVED, 10);
	assert_true(received < 10000 * 39 + 1000); /* a line of the listing is 12 + 27 bytes */
	assert_int_equal(source_manifests(w.s, "main", source_head(w.s, "main")->commit, NULL,
					  &two, &said, &e),
			 0);
	for (size_t i = 0; i < 10000; i++)
		same += one->at[i] == two->at[i];
	assert_int_equal(same, 9999);
	assert_int_equal(sources_flush(w.s, &e), 0);
	sh(&w, "test $(find mirror.git/objects -type f | wc -l) -le 7");
	manifest_set_free(one);
	manifest_set_free(two);
	arena_free(&arena);
	world_end(&w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(objects_are_read_before_and_after_they_reach_the_disk),
		cmocka_unit_test(what_a_killed_one_left_keeps_no_head_where_it_is),
		cmocka_unit_test(a_head_that_is_dropped_does_not_come_back),
		cmocka_unit_test(a_damaged_object_is_put_out_of_the_way),
		cmocka_unit_test(what_is_no_repository_is_moved_aside),
		cmocka_unit_test(names_of_sources_are_checked),
		cmocka_unit_test(a_damaged_mirror_is_filled_anew_by_the_worker),
		cmocka_unit_test(a_lying_worker_is_dropped),
		cmocka_unit_test(a_push_to_ten_thousand_files_costs_what_changed),
	};

	return cmocka_run_group_tests_name("mirror", tests, NULL, NULL);
}
