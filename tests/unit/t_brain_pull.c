/* t_brain_pull.c -- the table of pulls: who is forgotten, and when. */
// wrap: -Wl,--wrap=now_ms,--wrap=brain_tell,--wrap=brain_poke
#include "reads.h"

#include "daemon/brain_pull.h"
#include "reconcile/base/cleanup.h"
#include "reconcile/base/error.h"

static int64_t now;

int64_t __wrap_now_ms(void);
int __wrap_brain_tell(struct brain *, const struct action *, const int *, int);
void __wrap_brain_poke(struct brain *);

int64_t
__wrap_now_ms(void)
{
	return now;
}

/* A host that cannot be asked: each pull fails as it begins. */
int
__wrap_brain_tell(struct brain *b, const struct action *a, const int *fds, int n)
{
	(void)b, (void)a, (void)fds, (void)n;
	return -1;
}

void
__wrap_brain_poke(struct brain *b)
{
	(void)b;
}

static void
ask(struct brain *b, const char *image)
{
	struct strs none = { 0 };

	pull_begin(b, image, &none, image);
}

static size_t
rows(struct brain *b)
{
	struct snapshot s = { 0 };

	pulls_fill(b, &s);
	return s.npulls;
}

static void
images_that_nobody_wants_any_more_leave_the_table(void **state)
{
	struct brain b = { 0 };
	char name[40];
	size_t most = 0;

	(void)state;
	now = 1000000;
	for (int i = 0; i < 3000; i++, now += 1000) {
		snprintf(name, sizeof name, "example.com/gone:%d", i);
		ask(&b, name);
		if (rows(&b) > most)
			most = rows(&b);
	}
	assert_in_range(most, 10, 700); /* ten minutes' worth */
	pulls_close(&b);
}

static void
an_image_that_is_asked_for_again_keeps_its_backoff(void **state)
{
	struct brain b = { 0 };
	struct snapshot s = { 0 };
	char name[40];

	(void)state;
	now = 1000000;
	for (int i = 0; i < 20; i++, now += 300000) { /* the longest back-off */
		ask(&b, "example.com/wanted:1");
		snprintf(name, sizeof name, "example.com/gone:%d", i);
		ask(&b, name);
	}
	pulls_fill(&b, &s);
	for (size_t i = 0; i < s.npulls; i++)
		if (!strcmp(s.pulls[i].key, "example.com/wanted:1"))
			assert_int_equal(s.pulls[i].retry_at - s.pulls[i].ended, 300000);
	assert_in_range(s.npulls, 2, 5);
	assert_string_equal(s.pulls[0].key, "example.com/wanted:1");
	pulls_close(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(images_that_nobody_wants_any_more_leave_the_table),
		cmocka_unit_test(an_image_that_is_asked_for_again_keeps_its_backoff),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
