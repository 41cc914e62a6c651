/* hand_store.c -- makes and removes the directories behind volumes, and tells which there are.
 *
 * The brain asks as often as it likes: what is done already is done.  Why an order
 * failed is told with the list until one about the same name succeeds.
 */
#include "../reconcile/base/arena.h"
#include "../reconcile/base/cleanup.h"
#include "../reconcile/base/error.h"
#include "../reconcile/base/log.h"
#include "config.h"
#include "hand_state.h"
#include <stdlib.h>
#include <string.h>

struct store_error {
	int64_t at;
	char text[];
};

static int
by_name(const void *a, const void *b)
{
	return strcmp(((const struct store_seen *)a)->name,
		      ((const struct store_seen *)b)->name);
}

struct stores_seen *
stores_seen_new(struct hand *h, struct arena *a)
{
	struct stores_seen *seen = arena_zalloc(a, sizeof *seen);
	char **names = rt_stores(h->rt), *folder = rt_store_folder(h->rt);
	size_t n = 0;

	while (names[n])
		n++;
	seen->folder = arena_strdup(a, folder);
	free(folder);
	seen->stores.at =
	    arena_zalloc(a, (n + h->store_errors.n + 1) * sizeof *seen->stores.at);
	for (size_t i = 0; i < n; i++) {
		const struct store_error *e = map_get(&h->store_errors, names[i]);

		seen->stores.at[seen->stores.n++] =
		    (struct store_seen){ .name = arena_strdup(a, names[i]),
					 .there = true,
					 .error = e ? e->text : NULL,
					 .failedAt = e ? e->at : 0 };
	}
	for (struct map_slot *s = map_first(&h->store_errors); s;
	     s = map_next(&h->store_errors, s)) {
		const struct store_error *e = s->value;
		size_t i = 0;

		while (i < n && strcmp(names[i], s->key))
			i++;
		if (i == n)
			seen->stores.at[seen->stores.n++] = (struct store_seen){
				.name = s->key, .error = e->text, .failedAt = e->at
			};
	}
	if (seen->stores.n)
		qsort(seen->stores.at, seen->stores.n, sizeof *seen->stores.at, by_name);
	for (size_t i = 0; i < n; i++)
		free(names[i]);
	free(names);
	return seen;
}

static void
stores_report(struct hand *h)
{
	cleanup_arena struct arena a = { 0 };

	hand_send(h, "stores_seen", stores_seen_kind(), stores_seen_new(h, &a), NULL, 0);
}

static void
outcome(struct hand *h, const char *name, const struct error *e)
{
	struct store_error *was = NULL;

	if (e) {
		const char *text = error_text(e);
		size_t n = strlen(text) + 1;
		struct store_error *x = xcalloc(1, sizeof *x + n);

		x->at = now_ms();
		memcpy(x->text, text, n);
		log_warn(name, "%s", text);
		was = map_put(&h->store_errors, name, x);
	} else {
		was = map_del(&h->store_errors, name);
	}
	free(was);
	stores_report(h);
}

void
hand_store_make(struct hand *h, const struct store_args *args)
{
	cleanup_error struct error *e = NULL;

	(void)rt_store_make(h->rt, args->name, &e);
	outcome(h, args->name, e);
}

void
hand_store_remove(struct hand *h, const struct store_args *args)
{
	cleanup_error struct error *e = NULL;

	(void)rt_store_remove(h->rt, args->name, &e);
	outcome(h, args->name, e);
}
