/* brain_rest.c -- addresses and node ports that a Service gave back, until another may have
 * them.
 *
 * They are a note in the store, a line each ("170590215 - UNTIL" of an address, "7 IPV6
 * UNTIL", "30080 TCP UNTIL"), since those who remember the former Service do so whether kedged
 * was restarted or not.  It is written when something is given back, not when its time is over.
 */
#include "../reconcile/base/buf.h"
#include "../reconcile/base/cleanup.h"
#include "../reconcile/base/now.h"
#include "brain_state.h"
#include <inttypes.h>
#include <stdio.h>

enum { REST_MS = 120000 }; /* as long as conntrack remembers a connection that ended */
#define NOTE "resting"

static void
add(struct brain *b, const struct resting *r)
{
	b->resting = xrealloc(b->resting, (b->nresting + 1) * sizeof *b->resting);
	b->resting[b->nresting++] = *r;
}

void
rest_add(struct brain *b, uint32_t number, const char *protocol)
{
	add(b, &(struct resting){ number, protocol, now_ms() + REST_MS });
}

static void
drop_rested(struct brain *b)
{
	size_t n = 0;
	int64_t now = now_ms();

	/* a clock that was set back keeps none for long */
	for (size_t i = 0; i < b->nresting; i++)
		if (now < b->resting[i].until && b->resting[i].until <= now + REST_MS)
			b->resting[n++] = b->resting[i];
	b->nresting = n;
}

void
seen_resting(struct brain *b, struct snapshot *s)
{
	drop_rested(b);
	s->resting = b->resting;
	s->nresting = b->nresting;
}

void
rest_keep(struct brain *b)
{
	cleanup_buf struct buf text = { 0 };

	drop_rested(b);
	for (size_t i = 0; i < b->nresting; i++) {
		const struct resting *r = &b->resting[i];

		buf_addf(&text, "%" PRIu32 " %s %" PRId64 "\n", r->number,
			 r->protocol ? r->protocol : "-", r->until);
	}
	store_set_note(b->store, NOTE, buf_text(&text));
}

/* What cannot be read was not written by this version, and rests no longer. */
void
rest_open(struct brain *b)
{
	static const char *const words[] = { "TCP", "UDP", "SCTP", RESTING_6 };
	const char *at = store_note(b->store, NOTE);

	for (const char *end; (end = strchr(at, '\n')); at = end + 1) {
		struct resting r = { 0 };
		char word[5];
		bool known;

		if (sscanf(at, "%" SCNu32 " %4[A-Z0-9-] %" SCNd64, &r.number, word, &r.until) !=
		    3)
			continue;
		known = !strcmp(word, "-");
		for (size_t i = 0; i < sizeof words / sizeof *words; i++)
			if (!strcmp(word, words[i]))
				r.protocol = words[i];
		if (known || r.protocol)
			add(b, &r);
	}
	drop_rested(b);
}
