/* mutate.h -- the same mutants on every run: cut, flip, copy, insert what matters. */
#ifndef KEDGE_MUTATE_H
#define KEDGE_MUTATE_H
#include "reconcile/base/buf.h"
#include <stdint.h>
#include <string.h>

struct mutator {
	uint64_t state;           /* never 0 */
	const char *const *words; /* tokens of the language; ends with NULL */
};

static inline uint64_t
mutate_random(struct mutator *m)
{
	m->state ^= m->state << 13;
	m->state ^= m->state >> 7;
	m->state ^= m->state << 17;
	return m->state;
}

static inline size_t
mutate_below(struct mutator *m, size_t n)
{
	return n ? mutate_random(m) % n : 0;
}

/* Puts n bytes in place of `cut` bytes at `at`. */
static inline void
mutate_splice(struct buf *b, size_t at, size_t cut, const char *bytes, size_t n)
{
	struct buf out = { 0 };

	buf_add(&out, b->at, at);
	buf_add(&out, bytes, n);
	buf_add(&out, b->at + at + cut, b->len - at - cut);
	buf_done(b);
	*b = out;
}

static inline void
mutate_once(struct mutator *m, struct buf *b)
{
	size_t at = mutate_below(m, b->len + 1), left = b->len - at, n, words = 0;
	char c;

	while (m->words[words])
		words++;
	switch (mutate_below(m, 6)) {
	case 0: /* a byte becomes any byte */
		c = (char)mutate_random(m);
		mutate_splice(b, at, left > 0, &c, 1);
		break;
	case 1: /* some bytes vanish */
		n = mutate_below(m, 16);
		mutate_splice(b, at, n < left ? n : left, "", 0);
		break;
	case 2: /* a piece comes twice */
		n = mutate_below(m, 64);
		n = n < left ? n : left;
		mutate_splice(b, at, 0, b->at + at, n);
		break;
	case 3: /* the end is missing */
		if (mutate_below(m, 4) == 0)
			mutate_splice(b, at, left, "", 0);
		break;
	default: /* a token of the language where none was, or instead of something */
		n = mutate_below(m, words);
		mutate_splice(b, at,
			      mutate_below(m, 2) ? 0
			      : left > 3         ? 3
						 : left,
			      m->words[n], strlen(m->words[n]));
	}
}
#endif
