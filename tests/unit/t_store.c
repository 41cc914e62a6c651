/* t_store.c -- the store in memory and on disk, and its ring of changes. */
#include "base/arena.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "daemon/store.h"
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cmocka.h>

struct bench {
	struct arena arena;
	struct store *s;
	char dir[64], path[128];
	uint64_t start; /* the version that it was opened with */
	int told;
};

static void
on_change(void *ctx)
{
	((struct bench *)ctx)->told++;
}

static void
open_again(struct bench *b)
{
	struct error *e = NULL;

	store_close(b->s);
	b->s = NULL;
	if (store_open(b->path, &b->s, &e) < 0)
		fail_msg("%s", error_text(e));
	b->start = store_version(b->s);
	store_on_change(b->s, on_change, b);
}

static void
is_version(struct bench *b, const struct object_meta *m, uint64_t since_the_start)
{
	assert_int_equal(strtoull(m->resourceVersion, NULL, 10), b->start + since_the_start);
}

static int
setup(void **state)
{
	struct bench *b = calloc(1, sizeof *b);

	strcpy(b->dir, "/tmp/t_store.XXXXXX");
	if (!mkdtemp(b->dir))
		return -1;
	snprintf(b->path, sizeof b->path, "%s/state.db", b->dir);
	open_again(b);
	*state = b;
	return 0;
}

static int
teardown(void **state)
{
	static const char *const names[] = { "", "-wal", "-shm", ".lock" };
	struct bench *b = *state;
	char path[160];

	store_close(b->s);
	for (size_t i = 0; i < 4; i++) {
		snprintf(path, sizeof path, "%s%s", b->path, names[i]);
		unlink(path);
	}
	rmdir(b->dir);
	arena_free(&b->arena);
	free(b);
	return 0;
}

/* As a source would state it, defaults and all. */
static struct deployment *
web(struct bench *b, const char *name, int64_t replicas)
{
	const char *text = arena_printf(
	    &b->arena,
	    "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: %s, namespace: default}\n"
	    "spec:\n  replicas: %d\n  selector: {matchLabels: {app: web}}\n  template:\n"
	    "    metadata: {labels: {app: web}}\n"
	    "    spec: {containers: [{name: web, image: \"example/web:1\"}]}\n",
	    name, (int)replicas);
	struct complaints c = { .arena = &b->arena, .path = "web.yaml" };
	const struct tree *t = yaml_read(text, strlen(text), &b->arena, &c);
	struct deployment *d =
	    schema_decode(deployment_kind(), t, SCHEMA_STRICT, &b->arena, &c);

	assert_int_equal(c.errors, 0);
	return d;
}

static const struct deployment *
find(struct bench *b, const char *name)
{
	return store_find(b->s, RES_deployment, "default", name);
}

static void
make(struct bench *b, const char *name)
{
	struct error *e = NULL;

	if (store_create(b->s, web(b, name, 1), 1700000000123, &e) < 0)
		fail_msg("%s", error_text(e));
}

static void
a_new_object_gets_uid_time_generation_and_version(void **state)
{
	struct bench *b = *state;
	const struct object_meta *m;

	make(b, "web");
	m = find(b, "web")->metadata;
	assert_int_equal(strlen(m->uid), 36);
	assert_int_equal(m->uid[14], '4');
	assert_int_equal(m->creationTimestamp, 1700000000000);
	assert_int_equal(m->generation, 1);
	is_version(b, m, 1);
}

static void
the_same_name_twice_already_exists(void **state)
{
	struct bench *b = *state;
	cleanup_error struct error *e = NULL;

	make(b, "web");
	assert_int_equal(store_create(b->s, web(b, "web", 2), 0, &e), -1);
	assert_int_equal(e->why, WHY_EXISTS);
	assert_string_equal(e->msg, "deployments.apps \"web\" already exists");
	assert_int_equal(find(b, "web")->spec->replicas, 1);
}

static void
an_equal_update_changes_nothing_and_uses_no_version(void **state)
{
	struct bench *b = *state;
	const void *before;

	make(b, "web");
	before = find(b, "web");
	assert_int_equal(store_update(b->s, web(b, "web", 1), NULL), 0);
	assert_int_equal(store_version(b->s), b->start + 1);
	assert_ptr_equal(find(b, "web"), before);
}

static void
kinds_that_kubernetes_does_not_number_have_no_generation(void **state)
{
	struct bench *b = *state;
	struct object_meta meta = { .name = "shop", .namespace = "" };
	struct namespace_spec spec = { 0 };
	struct namespace ns = {
		.apiVersion = "v1", .kind = "Namespace", .metadata = &meta, .spec = &spec
	};
	const char *finalizers[] = { "kubernetes" };
	const struct namespace *is;

	assert_int_equal(store_create(b->s, &ns, 1, NULL), 0);
	spec.finalizers = (struct strs){ finalizers, 1 };
	assert_int_equal(store_update(b->s, &ns, NULL), 0);
	is = store_find(b->s, RES_namespace, "", "shop");
	assert_int_equal(is->spec->finalizers.n, 1);
	assert_int_equal(is->metadata->generation, 0);
}

static void
a_changed_spec_raises_the_generation_and_a_changed_label_does_not(void **state)
{
	struct bench *b = *state;
	struct deployment *d = web(b, "web", 1);
	char uid[40];

	make(b, "web");
	strcpy(uid, object_uid(find(b, "web")));
	pairs_set(&d->metadata->labels, "a", "b", &b->arena);
	assert_int_equal(store_update(b->s, d, NULL), 0);
	assert_int_equal(find(b, "web")->metadata->generation, 1);
	assert_int_equal(store_update(b->s, web(b, "web", 5), NULL), 0);
	assert_int_equal(find(b, "web")->metadata->generation, 2);
	assert_string_equal(object_uid(find(b, "web")), uid);
	assert_int_equal(find(b, "web")->metadata->creationTimestamp, 1700000000000);
}

static void
an_update_of_an_older_version_conflicts(void **state)
{
	struct bench *b = *state;
	cleanup_error struct error *e = NULL;
	struct deployment *old;

	make(b, "web");
	old = object_clone(find(b, "web"), &b->arena);
	assert_int_equal(store_update(b->s, web(b, "web", 3), NULL), 0);
	old->spec->replicas = 9;
	assert_int_equal(store_update(b->s, old, &e), -1);
	assert_int_equal(e->why, WHY_CONFLICT);
	assert_int_equal(find(b, "web")->spec->replicas, 3);
}

static void
what_is_not_there_cannot_be_updated_or_deleted(void **state)
{
	struct bench *b = *state;
	cleanup_error struct error *e = NULL;

	assert_int_equal(store_update(b->s, web(b, "web", 1), &e), -1);
	assert_int_equal(e->why, WHY_NOT_FOUND);
	error_free(&e);
	assert_int_equal(store_delete(b->s, RES_deployment, "default", "web", &e), -1);
	assert_string_equal(e->msg, "deployments.apps \"web\" not found");
}

static void
objects_are_sorted_by_namespace_then_name(void **state)
{
	struct bench *b = *state;
	struct objects all;

	for (int i = 0; i < 300; i++) {
		char name[16];

		snprintf(name, sizeof name, "w%d", (i * 7919) % 300);
		make(b, name);
	}
	all = store_all(b->s, RES_deployment);
	assert_int_equal(all.n, 300);
	for (size_t i = 1; i < all.n; i++)
		assert_true(object_compare(all.at[i - 1], all.at[i]) < 0);
}

static void
a_watcher_reads_every_change_once_and_in_order(void **state)
{
	struct bench *b = *state;
	static const enum change_type want[] = { CHANGE_ADDED, CHANGE_MODIFIED,
						 CHANGE_DELETED };
	const struct change *c;
	uint64_t at = b->start;

	make(b, "web");
	assert_int_equal(store_update(b->s, web(b, "web", 2), NULL), 0);
	assert_int_equal(store_delete(b->s, RES_deployment, "default", "web", NULL), 0);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(store_next(b->s, at, &c, NULL), 0);
		assert_non_null(c);
		assert_int_equal(c->type, want[i]);
		assert_int_equal(c->version, at + 1);
		at = c->version;
	}
	is_version(b, c->obj->metadata, 3);
	assert_int_equal(((const struct deployment *)c->was)->spec->replicas, 2);
	assert_int_equal(store_next(b->s, at, &c, NULL), 0);
	assert_null(c);
}

/* Every third step makes, changes or deletes; what there was at each is there at the end. */
static void
what_there_was_at_a_version_can_be_read_as_long_as_the_ring_has_it(void **state)
{
	enum { STEPS = 200 };
	struct bench *b = *state;
	cleanup_error struct error *e = NULL;
	struct objects past;
	uint64_t versions[STEPS];
	char *were[STEPS];
	struct pair label = { "x", "y" };
	struct namespace ns = { .apiVersion = "v1", .kind = "Namespace" };
	struct object_meta meta = { .name = "other", .labels = { &label, 1 } };

	ns.metadata = &meta;
	for (int i = 0; i < STEPS; i++) {
		const char *name = arena_printf(&b->arena, "web%d", i * 7 % 13);
		struct buf all = { 0 };
		struct objects now;

		if (i % 10 == 9) { /* another kind, which is nothing to this one */
			meta.name = arena_printf(&b->arena, "other%d", i);
			assert_int_equal(store_create(b->s, &ns, 1, NULL), 0);
		} else if (!find(b, name)) {
			make(b, name);
		} else if (i % 3) {
			assert_int_equal(store_update(b->s, web(b, name, i), NULL), 0);
		} else {
			assert_int_equal(
			    store_delete(b->s, RES_deployment, "default", name, NULL), 0);
		}
		now = store_all(b->s, RES_deployment);
		for (size_t k = 0; k < now.n; k++)
			object_json(now.at[k], &all);
		versions[i] = store_version(b->s);
		were[i] = buf_steal(&all);
	}
	for (int i = 0; i < STEPS; i++) {
		struct buf all = { 0 };

		assert_int_equal(
		    store_past(b->s, RES_deployment, versions[i], &b->arena, &past, NULL), 0);
		for (size_t k = 0; k < past.n; k++)
			object_json(past.at[k], &all);
		assert_string_equal(buf_text(&all), were[i] ? were[i] : "");
		buf_done(&all);
		free(were[i]);
	}
	assert_int_equal(store_past(b->s, RES_deployment, b->start - 1, &b->arena, &past, &e),
			 -1);
	assert_int_equal(e->why, WHY_EXPIRED);
}

static void
a_watcher_that_comes_too_late_is_told_so(void **state)
{
	struct bench *b = *state;
	cleanup_error struct error *e = NULL;
	const struct change *c;

	make(b, "web");
	for (int i = 0; i < STORE_RING + 10; i++)
		assert_int_equal(store_update(b->s, web(b, "web", i + 2), NULL), 0);
	assert_int_equal(store_next(b->s, b->start + 1, &c, &e), -1);
	assert_int_equal(e->why, WHY_EXPIRED);
	error_free(&e);
	assert_int_equal(store_next(b->s, store_version(b->s) + 5, &c, &e), -1);
	assert_int_equal(store_next(b->s, store_version(b->s) - 10, &c, NULL), 0);
	assert_non_null(c);
}

static void
the_ring_does_not_keep_large_objects_for_long(void **state)
{
	struct bench *b = *state;
	char *text = arena_alloc(&b->arena, 100001);
	const struct change *c;
	struct config_map *m;

	memset(text, 'x', 100000);
	text[100000] = 0;
	m = object_new(RES_config_map, "default", "big", &b->arena);
	pairs_set(&m->data, "k", text, &b->arena);
	assert_int_equal(store_create(b->s, m, 0, NULL), 0);
	for (int i = 0; i < 500; i++) {
		text[i] = 'y';
		pairs_set(&m->data, "k", text, &b->arena);
		assert_int_equal(store_update(b->s, m, NULL), 0);
		assert_int_equal(store_commit(b->s, NULL), 0);
	}
	assert_int_equal(store_next(b->s, b->start + 1, &c, NULL), -1);
	assert_int_equal(store_next(b->s, store_version(b->s) - 10, &c, NULL), 0);
}

/* However large: fifty pods that start at once are a megabyte of changes. */
static void
a_burst_reaches_whoever_watches(void **state)
{
	struct bench *b = *state;
	char *text = arena_alloc(&b->arena, 100001);
	const struct change *c;
	struct config_map *m;
	uint64_t at;

	memset(text, 'x', 100000);
	text[100000] = 0;
	m = object_new(RES_config_map, "default", "big", &b->arena);
	assert_int_equal(store_create(b->s, m, 0, NULL), 0);
	assert_int_equal(store_commit(b->s, NULL), 0);
	at = store_version(b->s);
	for (int i = 0; i < 500; i++) {
		text[i] = 'y';
		pairs_set(&m->data, "k", text, &b->arena);
		assert_int_equal(store_update(b->s, m, NULL), 0);
	}
	assert_int_equal(store_commit(b->s, NULL), 0);
	text[500] = 'y'; /* comes before the watcher was woken */
	pairs_set(&m->data, "k", text, &b->arena);
	assert_int_equal(store_update(b->s, m, NULL), 0);
	assert_int_equal(store_next(b->s, at, &c, NULL), 0);
	assert_int_equal(c->version, at + 1);
}

static void
what_a_pass_reads_lives_until_the_next_commit(void **state)
{
	struct bench *b = *state;
	const struct deployment *seen;

	make(b, "web");
	seen = find(b, "web");
	for (int i = 0; i < 2 * STORE_RING; i++)
		assert_int_equal(store_update(b->s, web(b, "web", i + 2), NULL), 0);
	assert_int_equal(seen->spec->replicas, 1);
	assert_string_equal(object_name(seen), "web");
}

static void
listeners_hear_of_a_commit_that_changed_something(void **state)
{
	struct bench *b = *state;

	assert_int_equal(store_commit(b->s, NULL), 0);
	assert_int_equal(b->told, 0);
	make(b, "web");
	make(b, "two");
	assert_int_equal(store_commit(b->s, NULL), 0);
	assert_int_equal(b->told, 1);
	store_off_change(b->s, on_change, b);
	make(b, "three");
	assert_int_equal(store_commit(b->s, NULL), 0);
	assert_int_equal(b->told, 1);
}

static void
what_was_committed_is_there_again_after_a_restart(void **state)
{
	struct bench *b = *state;
	struct buf before = { 0 }, after = { 0 };
	uint64_t version;

	make(b, "web");
	make(b, "gone");
	assert_int_equal(store_delete(b->s, RES_deployment, "default", "gone", NULL), 0);
	store_set_note(b->s, "key", "value");
	assert_int_equal(store_commit(b->s, NULL), 0);
	object_json(find(b, "web"), &before);
	version = store_version(b->s);
	open_again(b);
	object_json(find(b, "web"), &after);
	assert_string_equal(before.at, after.at);
	assert_null(find(b, "gone"));
	assert_string_equal(store_note(b->s, "key"), "value");
	assert_string_equal(store_note(b->s, "other"), "");
	assert_true(store_version(b->s) > version);
	buf_done(&before);
	buf_done(&after);
}

static void
an_object_that_was_read_back_equals_what_was_written(void **state)
{
	struct bench *b = *state;

	make(b, "web");
	assert_int_equal(store_commit(b->s, NULL), 0);
	open_again(b);
	assert_int_equal(store_update(b->s, web(b, "web", 1), NULL), 0);
	assert_int_equal(store_version(b->s), b->start);
}

static void
what_was_not_committed_is_not_there_after_a_restart(void **state)
{
	struct bench *b = *state;

	make(b, "web");
	open_again(b);
	assert_null(find(b, "web"));
}

/* A client may have been told of it, and watches from there. */
static void
no_version_means_two_things_though_the_disk_never_had_the_first(void **state)
{
	struct bench *b = *state;
	cleanup_error struct error *e = NULL;
	const struct change *c;
	uint64_t told = 0;

	for (int life = 0; life < 3; life++) {
		for (int i = 0; i < 5; i++)
			make(b, arena_printf(&b->arena, "web%d", i));
		assert_true(strtoull(find(b, "web0")->metadata->resourceVersion, NULL, 10) >
			    told);
		told = store_version(b->s);
		open_again(b);
		assert_true(store_version(b->s) > told);
		assert_int_equal(store_next(b->s, told, &c, &e), -1);
		assert_int_equal(e->why, WHY_EXPIRED);
		error_free(&e);
	}
}

static void
nothing_is_written_when_nothing_changed(void **state)
{
	struct bench *b = *state;
	struct stat before, after;
	char wal[160];

	make(b, "web");
	store_set_note(b->s, "key", "value");
	assert_int_equal(store_commit(b->s, NULL), 0);
	snprintf(wal, sizeof wal, "%s-wal", b->path);
	assert_int_equal(stat(wal, &before), 0);
	assert_int_equal(store_update(b->s, web(b, "web", 1), NULL), 0);
	store_set_note(b->s, "key", "value");
	assert_int_equal(store_commit(b->s, NULL), 0);
	assert_int_equal(stat(wal, &after), 0);
	assert_int_equal(before.st_size, after.st_size);
	assert_memory_equal(&before.st_mtim, &after.st_mtim, sizeof before.st_mtim);
}

static void
has(struct bench *b, const char *name, int64_t replicas)
{
	const struct deployment *d = store_find(b->s, RES_deployment, "default", name);

	assert_int_equal(d ? d->spec->replicas : -1, replicas);
}

/* A disk that takes nothing more is a file that may not grow. */
static void
what_a_full_disk_does_not_take_is_undone(void **state)
{
	struct rlimit old, none = { 0 };
	cleanup_error struct error *e = NULL;
	struct bench *b = *state;
	const struct change *next = NULL;
	uint64_t since;

	assert_int_equal(store_create(b->s, web(b, "changed", 1), 1, NULL), 0);
	assert_int_equal(store_create(b->s, web(b, "deleted", 1), 1, NULL), 0);
	since = store_version(b->s);
	assert_int_equal(store_commit_or_undo(b->s, since, NULL), 0);
	b->told = 0;
	assert_int_equal(store_create(b->s, web(b, "new", 1), 1, NULL), 0);
	assert_int_equal(store_update(b->s, web(b, "new", 2), NULL), 0);
	assert_int_equal(store_update(b->s, web(b, "changed", 2), NULL), 0);
	assert_int_equal(store_delete(b->s, RES_deployment, "default", "deleted", NULL), 0);

	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	none.rlim_max = old.rlim_max;
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &none), 0);
	assert_int_equal(store_commit_or_undo(b->s, since, &e), -1);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	assert_non_null(strstr(error_text(e), "state.db"));
	assert_int_equal(b->told, 0);
	assert_int_equal(store_version(b->s), since);
	assert_int_equal(store_next(b->s, since, &next, NULL), 0);
	assert_null(next);
	for (int again = 0; again < 2; again++) {
		has(b, "new", -1);
		has(b, "changed", 1);
		has(b, "deleted", 1);
		if (!again)
			open_again(b);
	}
	/* With room it goes on where it was. */
	since = store_version(b->s);
	assert_int_equal(store_update(b->s, web(b, "changed", 3), NULL), 0);
	assert_int_equal(store_commit_or_undo(b->s, since, NULL), 0);
	open_again(b);
	has(b, "changed", 3);
}

static void
a_second_process_is_refused_and_told_which_file_says_so(void **state)
{
	struct bench *b = *state;
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		struct error *e = NULL;
		struct store *s;

		_exit(store_open(b->path, &s, &e) < 0 && e->why == WHY_CONFLICT &&
			      strstr(e->msg, "state.db.lock")
			  ? 0
			  : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void
raw(struct bench *b, const char *sql)
{
	sqlite3 *db;

	store_close(b->s);
	b->s = NULL;
	assert_int_equal(sqlite3_open(b->path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
}

static void
refused(struct bench *b, const char *why)
{
	cleanup_error struct error *e = NULL;

	assert_int_equal(store_open(b->path, &b->s, &e), -1);
	if (!strstr(error_text(e), why))
		fail_msg("\"%s\" does not say \"%s\"", error_text(e), why);
	b->s = NULL;
}

static void
a_file_of_a_newer_schema_is_refused(void **state)
{
	raw(*state, "PRAGMA user_version = 99");
	refused(*state, "written by a newer kedge (schema 99, this one knows 1)");
}

static void
a_database_of_somebody_else_is_refused(void **state)
{
	raw(*state, "PRAGMA application_id = 7");
	refused(*state, "not one of kedge's");
}

static void
an_object_of_a_kind_that_is_not_known_is_refused(void **state)
{
	raw(*state, "INSERT INTO objects VALUES ('frogs.pond', '', 'x', '{}')");
	refused(*state, "frogs.pond cannot be read");
}

static void
an_object_that_is_damaged_is_refused(void **state)
{
	raw(*state, "INSERT INTO objects VALUES ('pods', 'default', 'x', '{\"metadata\":7}')");
	refused(*state, "one of its pods cannot be read");
}

static void
a_damaged_file_is_refused_with_what_to_do(void **state)
{
	struct bench *b = *state;
	int fd;

	for (int i = 0; i < 200; i++) {
		char name[16];

		snprintf(name, sizeof name, "w%d", i);
		make(b, name);
	}
	assert_int_equal(store_commit(b->s, NULL), 0);
	store_close(b->s);
	b->s = NULL;
	fd = open(b->path, O_WRONLY | O_CLOEXEC);
	for (off_t at = 4096; at < 20 * 4096; at += 512)
		assert_int_equal(pwrite(fd, "damaged damaged damaged", 23, at), 23);
	close(fd);
	refused(b, "the file is damaged");
	fd = open(b->path, O_WRONLY | O_TRUNC | O_CLOEXEC);
	assert_int_equal(write(fd, "this is not a database, is it", 29), 29);
	close(fd);
	refused(b, "Move it and");
}

static void
a_store_in_memory_makes_no_file(void **state)
{
	struct bench *b = *state;

	store_close(b->s);
	assert_int_equal(store_open(":memory:", &b->s, NULL), 0);
	make(b, "web");
	store_set_note(b->s, "key", "value");
	assert_int_equal(store_commit(b->s, NULL), 0);
	assert_non_null(find(b, "web"));
	assert_int_equal(access(":memory:", F_OK), -1);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_new_object_gets_uid_time_generation_and_version),
		TEST(the_same_name_twice_already_exists),
		TEST(an_equal_update_changes_nothing_and_uses_no_version),
		TEST(kinds_that_kubernetes_does_not_number_have_no_generation),
		TEST(a_changed_spec_raises_the_generation_and_a_changed_label_does_not),
		TEST(an_update_of_an_older_version_conflicts),
		TEST(what_is_not_there_cannot_be_updated_or_deleted),
		TEST(objects_are_sorted_by_namespace_then_name),
		TEST(a_watcher_reads_every_change_once_and_in_order),
		TEST(what_there_was_at_a_version_can_be_read_as_long_as_the_ring_has_it),
		TEST(a_watcher_that_comes_too_late_is_told_so),
		TEST(the_ring_does_not_keep_large_objects_for_long),
		TEST(a_burst_reaches_whoever_watches),
		TEST(what_a_pass_reads_lives_until_the_next_commit),
		TEST(listeners_hear_of_a_commit_that_changed_something),
		TEST(what_was_committed_is_there_again_after_a_restart),
		TEST(an_object_that_was_read_back_equals_what_was_written),
		TEST(what_was_not_committed_is_not_there_after_a_restart),
		TEST(no_version_means_two_things_though_the_disk_never_had_the_first),
		TEST(nothing_is_written_when_nothing_changed),
		TEST(what_a_full_disk_does_not_take_is_undone),
		TEST(a_second_process_is_refused_and_told_which_file_says_so),
		TEST(a_file_of_a_newer_schema_is_refused),
		TEST(a_database_of_somebody_else_is_refused),
		TEST(an_object_of_a_kind_that_is_not_known_is_refused),
		TEST(an_object_that_is_damaged_is_refused),
		TEST(a_damaged_file_is_refused_with_what_to_do),
		TEST(a_store_in_memory_makes_no_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
