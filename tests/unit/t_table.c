/* t_table.c -- the cells of every kind as golden text, and how ages are printed.
 *
 * tests/golden/table/in.yaml must give out.txt: a table for each kind, with a bar before
 * the columns that only -o wide shows.  KEDGE_GOLDEN=write writes it anew.
 */
#include "base/cleanup.h"
#include "table.h"
#include "world.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "golden.h"

#define FOLDER "tests/golden/table"

static void
print_table(struct world *w, enum resource_id res, struct buf *out)
{
	struct cells cells = { INT64_C(1800000000000), &w->arena };
	size_t n;
	const struct column *columns = table_columns(res, &n);

	buf_addf(out, "== %s ==\n", resources[res].plural);
	for (size_t i = 0; i < n; i++)
		buf_addf(out, "%s%s", i ? columns[i].priority ? " | " : "  " : "",
			 columns[i].name);
	for (size_t r = 0; r < w->n[res]; r++) {
		buf_addc(out, '\n');
		for (size_t i = 0; i < n; i++)
			buf_addf(out, "%s%s", i ? columns[i].priority ? " | " : "  " : "",
				 columns[i].cell(w->at[res][r], &cells));
	}
	buf_adds(out, "\n\n");
}

static void
every_kind_prints_as_kubectl_does(void **state)
{
	cleanup_free char *in = golden_contents(FOLDER "/in.yaml");
	cleanup_buf struct buf got = { 0 };
	struct world w = { 0 };

	(void)state;
	assert_non_null(in);
	world_read(&w, in);
	for (int r = 0; r < RES_COUNT; r++)
		print_table(&w, r, &got);
	golden_check(FOLDER "/out.txt", FOLDER "/in.yaml", &got);
	arena_free(&w.arena);
}

static void
an_empty_object_of_any_kind_prints(void **state)
{
	struct arena a = { 0 };
	struct cells cells = { 0, &a };

	(void)state;
	for (int r = 0; r < RES_COUNT; r++) {
		void *o = object_new(r, "ns", "name", &a);
		size_t n;
		const struct column *columns = table_columns(r, &n);

		assert_true(n > 0);
		for (size_t i = 0; i < n; i++) {
			const char *text = columns[i].cell(o, &cells);

			assert_non_null(text);
			if (!strcmp(columns[i].type, "integer"))
				assert_true(*text &&
					    strspn(text, "0123456789") == strlen(text));
		}
	}
	arena_free(&a);
}

static void
ages_print_as_kubernetes_human_durations(void **state)
{
	enum { S = 1000, M = 60 * S, H = 60 * M };
	static const struct {
		int64_t ms;
		const char *text;
	} rows[] = {
		{ -2001, "<invalid>" },
		{ -1001, "0s" },
		{ 0, "0s" },
		{ 999, "0s" },
		{ 119 * S, "119s" },
		{ 120 * S, "2m" },
		{ 121 * S, "2m1s" },
		{ 9 * M + 59 * S, "9m59s" },
		{ 10 * M + 1 * S, "10m" },
		{ 179 * M, "179m" },
		{ 180 * M, "3h" },
		{ 3 * H + 1 * M, "3h1m" },
		{ 7 * H + 59 * M, "7h59m" },
		{ 8 * H + 1 * M, "8h" },
		{ 47 * H, "47h" },
		{ 48 * H, "2d" },
		{ 49 * H, "2d1h" },
		{ 191LL * H, "7d23h" },
		{ 192LL * H, "8d" },
		{ 24LL * 729 * H, "729d" },
		{ 24LL * 730 * H, "2y" },
		{ 24LL * 731 * H, "2y1d" },
		{ 24LL * 365 * 8 * H, "8y" },
		{ 24LL * 365 * 9 * H, "9y" },
	};
	struct arena a = { 0 };

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		assert_string_equal(duration_print(rows[i].ms, &a), rows[i].text);
	arena_free(&a);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_kind_prints_as_kubectl_does),
		cmocka_unit_test(an_empty_object_of_any_kind_prints),
		cmocka_unit_test(ages_print_as_kubernetes_human_durations),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
