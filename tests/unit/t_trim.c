/* t_trim.c -- what only the start needed is given back, and everything still works. */
#include "daemon/gitlib.h"
#include "daemon/trim.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static int written_to = 7;
static int *const relocated = &written_to; /* the linker put this address here */

/* KB of files that are mapped and in memory */
static long
mapped_kb(void)
{
	FILE *f = fopen("/proc/self/status", "re");
	char line[256];
	long kb = -1;

	assert_non_null(f);
	while (fgets(line, sizeof line, f))
		if (!strncmp(line, "RssFile:", 8))
			kb = strtol(line + 8, NULL, 10);
	fclose(f);
	assert_true(kb > 0);
	return kb;
}

static void
code_comes_back_when_it_is_called(void **state)
{
	git_oid id;
	char hex[GIT_OID_HEXSZ + 1];
	long before;

	(void)state;
	gitlib_open();
	written_to = 8;
	before = mapped_kb();
	trim_start();
	if (mapped_kb() >= before)
		fail_msg("%ld KB before, %ld after", before, mapped_kb());
	assert_int_equal(*relocated, 8);
	assert_int_equal(git_odb_hash(&id, "hello", 5, GIT_OBJECT_BLOB), 0);
	git_oid_tostr(hex, sizeof hex, &id);
	assert_string_equal(hex, "b6fc4c620b67d95f953a5c1c1230aaab5db5a1b0");
	gitlib_close();
}

static void
a_burst_leaves_nothing_behind(void **state)
{
	enum { N = 20000 };
	char **at = malloc(N * sizeof *at), *last;
	FILE *f;
	long resident;

	(void)state;
	for (int i = 0; i < N; i++)
		at[i] = memset(malloc(1000), 1, 1000);
	last = malloc(1000); /* so that it is not just the end of the heap */
	for (int i = 0; i < N; i++)
		free(at[i]);
	free(at);
	trim_heap();
	f = fopen("/proc/self/statm", "re");
	assert_non_null(f);
	assert_int_equal(fscanf(f, "%*d %ld", &resident), 1);
	fclose(f);
#ifndef __SANITIZE_ADDRESS__ /* it keeps what was freed, on purpose */
	assert_true(resident * 4 < 16 << 10);
#endif
	free(last);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(code_comes_back_when_it_is_called),
		cmocka_unit_test(a_burst_leaves_nothing_behind),
	};

	return cmocka_run_group_tests_name("trim", tests, NULL, NULL);
}
