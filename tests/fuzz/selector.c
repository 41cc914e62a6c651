/* selector.c -- mutants of the label selectors that clients send: refused with a reason, or
 * understood, and then their text picks the same again.
 */
#include "base/arena.h"
#include "base/cleanup.h"
#include "base/error.h"
#include "mutate.h"
#include "object.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

enum { ROUNDS = 40000, WORLDS = 16 };

static const char *const seeds[] = {
	"app=web,tier in (front, back),!old",
	"app!=web,x notin (a,b),example.com/y",
	"n>1,n<9",
	"app==web",
	"",
};

static const char *const words[] = {
	"(",   ")",        ",", "=",   "==",   "!=",    "!",  " ",
	" in", " notin (", ">", "<",   "in",   "notin", "-1", "9223372036854775808",
	"a/b", "/",        ".", "app", "\xff", NULL,
};

/* Some of these keys, with some of these values. */
static void
make_labels(struct mutator *m, struct pairs *ret, struct arena *a)
{
	static const char *const keys[] = { "app", "tier", "old", "x", "n", "example.com/y" };
	static const char *const values[] = { "web", "front", "a", "b", "", "1", "5" };

	for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
		if (mutate_below(m, 2))
			pairs_set(ret, keys[i],
				  values[mutate_below(m, sizeof values / sizeof *values)], a);
}

static void
every_mutant_is_refused_or_picks_what_its_text_picks(void **state)
{
	struct mutator m = { 0x9e3779b97f4a7c15, words };
	size_t understood = 0, refused = 0, picked = 0;

	(void)state;
	for (int i = 0; i < ROUNDS; i++) {
		cleanup_arena struct arena a = { 0 };
		cleanup_error struct error *e = NULL;
		cleanup_buf struct buf text = { 0 };
		struct label_selector *sel, *again;

		buf_adds(&text, seeds[mutate_below(&m, sizeof seeds / sizeof *seeds)]);
		for (size_t n = mutate_below(&m, 4); n; n--)
			mutate_once(&m, &text);
		sel = selector_parse(buf_text(&text), &a, &e);
		if (!sel) {
			assert_true(e && *error_text(e));
			refused++;
			continue;
		}
		understood++;
		again = selector_parse(selector_print(sel, &a), &a, &e);
		if (!again)
			fail_msg("\"%s\", printed: %s", buf_text(&text), error_text(e));
		for (int world = 0; world < WORLDS; world++) {
			struct pairs labels = { 0 };
			bool is;

			make_labels(&m, &labels, &a);
			is = selector_matches(sel, &labels);
			if (selector_matches(again, &labels) != is)
				fail_msg("\"%s\" and \"%s\" pick differently", buf_text(&text),
					 selector_print(sel, &a));
			picked += is;
		}
	}
	/* else they are too wild, or too tame */
	assert_true(understood > ROUNDS / 10 && refused > ROUNDS / 10 && picked > ROUNDS / 10);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_mutant_is_refused_or_picks_what_its_text_picks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
