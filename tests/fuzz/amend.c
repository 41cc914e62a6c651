/* amend.c -- 20,000 mutants of manifests, each changed somewhere in its text.
 *
 * Whatever the text is, a change is made as it was meant or refused: what comes out reads, its
 * documents are as many, and a text of which nothing is asked for stays as it is to the byte.
 */
#include "reconcile/amend.h"
#include "mutate.h"
#include "reconcile/patch_tree.h"
#include "tests/unit/reads.h"

enum { ROUNDS = 20000 };

static const char *const words[] = {
	": ",
	"\n",
	"- ",
	"  ",
	"{",
	"}",
	"[",
	"]",
	",",
	"&a ",
	"*a",
	"<<: ",
	"---\n",
	"...\n",
	"\"",
	"'",
	"|\n",
	"|+\n",
	">-\n",
	"# ",
	"!!str ",
	"? ",
	"null",
	"\t",
	"\xff",
	"\r\n",
	"\xc3\xa9",
	"\xef\xbb\xbf",
	"\xe2\x80\xa8",
	"|2\n",
	"\n\n",
	"a: b\n",
	"%YAML 1.1\n",
	NULL,
};

static const char *const seeds[] = {
	"# one\na: 1 # x\nb:\n- c: 'd'\n  e: \"f\"\n- g\n\nh: |\n  two\n  lines\ni: {j: k, l: "
	"[m, n]}\n"
	"---\no:\n  p:\n    q: r\n  s: []\n",
	"a: &a {b: c}\nd: *a\ne: {<<: *a, f: g}\nh: !!str 5\n",
	"{\"a\": [1, 2,\n  3],\n \"b\": {\n  \"c\": \"d\",\n  \"e\": null\n }\n}\n",
	"\xef\xbb\xbf"
	"a: \xc3\xa9\r\nb:\r\n  - c\r\n  - d: e\r\n    f: >-\r\n      g\r\n      h\r\n",
	"- - a\n  - b\n- ? c\n  : d\n- e:\n  f:\n  - |+\n    g\n\n  - h\n",
};

struct tally {
	unsigned made, refused;
};

/* Marks a few nodes, some in the way of others. */
static void
mark(struct amend *ed, struct amend_node *n, struct mutator *m, struct arena *a)
{
	static const char *const values[] = {
		"new", "two\nlines\n", "5", "", "a: b", "\xc3\xbc"
	};

	for (; n; n = n->next) {
		struct tree *t = tree_string(values[mutate_below(m, 6)], a);

		switch (mutate_below(m, 14)) {
		case 0:
			amend_set(ed, n, t);
			break;
		case 1:
			amend_drop(ed, n);
			break;
		case 2:
			if (n->tree && (n->tree->type == N_MAP || n->tree->type == N_LIST))
				amend_add(ed, n, n->kids, n->tree->type == N_MAP ? "new" : NULL,
					  t);
			break;
		case 3:
			if (n->tree && n->tree->type == N_LIST)
				amend_add(ed, n, NULL, NULL, t);
			break;
		default:
			mark(ed, n->kids, m, a);
		}
	}
}

static void
try_one(const char *text, size_t len, struct mutator *m, struct tally *tally)
{
	READING(r);
	cleanup_buf struct buf same = { 0 }, out = { 0 };
	struct amend ed, idle;
	const struct tree *t;
	size_t docs = 0, dropped = 0;

	if (amend_open(&idle, text, len, &r.arena) < 0) {
		assert_non_null(idle.why);
		return;
	}
	assert_int_equal(amend_close(&idle, &same), 0);
	assert_int_equal(same.len, len);
	assert_memory_equal(same.at, text, len);
	assert_int_equal(amend_open(&ed, text, len, &r.arena), 0);
	mark(&ed, ed.docs, m, &r.arena);
	for (const struct amend_node *d = ed.docs; d; d = d->next, docs++)
		dropped += d->drop;
	if (amend_close(&ed, &out) < 0) {
		assert_non_null(ed.why);
		assert_true(ed.line > 0);
		tally->refused++;
		return;
	}
	tally->made++;
	for (t = yaml_read(out.at, out.len, &r.arena, &r.cs); t; t = t->next)
		docs--;
	assert_int_equal(r.cs.errors, 0);
	assert_int_equal(docs, dropped);
}

static void
no_text_is_changed_otherwise_than_it_was_meant(void **state)
{
	struct mutator m = { 42, words };
	struct tally tally = { 0 };

	(void)state;
	for (int i = 0; i < ROUNDS; i++) {
		const char *seed = seeds[mutate_below(&m, sizeof seeds / sizeof *seeds)];
		cleanup_buf struct buf text = { 0 };

		buf_adds(&text, seed);
		for (size_t k = mutate_below(&m, 4); k--;)
			mutate_once(&m, &text);
		try_one(text.at, text.len, &m, &tally);
	}
	assert_true(tally.made > ROUNDS / 20);
	assert_true(tally.refused > ROUNDS / 100);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(no_text_is_changed_otherwise_than_it_was_meant),
	};

	return RUN(tests);
}
