/* brain_dns.c -- tells the DNS server the cluster's names, in the pass that changed them.
 *
 * Of each part of the zone its print is kept: a part whose print is the same is
 * the same, and costs nothing but that look.
 */
#include "../reconcile/base/cleanup.h"
#include "../reconcile/base/error.h"
#include "../reconcile/base/log.h"
#include "../reconcile/dns.h"
#include "api.h"
#include "brain_state.h"
#include <fcntl.h>
#include <jansson.h>

struct told {
	uint64_t print;   /* as it was told */
	uint64_t refused; /* the print that could not be told, and was complained of */
	unsigned round;
};

struct brain_dns {
	struct brain *brain;
	struct wire *wire;
	struct map told; /* key -> struct told */
	bool begun;
	unsigned round;
};

static int
tell(struct brain_dns *d, const char *verb, const char *key, const char *lines,
     struct error **e)
{
	cleanup_free char *line = NULL;

	xasprintf(&line, "%s%s%s", verb, *key ? " " : "", key);
	return wire_send(d->wire, line, lines, NULL, 0, e);
}

static bool
told_or_said(struct brain_dns *d, const char *verb, const char *key)
{
	cleanup_error struct error *e = NULL;

	if (!tell(d, verb, key, NULL, &e))
		return true;
	log_err("names", "the DNS server was not told to %s %s: %s", verb, key, error_text(e));
	return false;
}

static void
told_forget(struct brain_dns *d)
{
	for (struct map_slot *s = map_first(&d->told); s; s = map_next(&d->told, s))
		free(s->value);
	map_done(&d->told);
}

void
brain_dns_close(struct brain *b)
{
	struct brain_dns *d = b->dns;

	if (!d)
		return;
	b->dns = NULL;
	told_forget(d);
	wire_free(d->wire);
	free(d);
}

static void
on_message(void *arg, struct message *m)
{
	(void)arg;
	log_warn("dns", "unknown word: %s", m->line);
}

/* The hand starts another one and says so. */
static void
on_end(void *arg, const char *why)
{
	struct brain_dns *d = arg;

	(void)why;
	brain_dns_close(d->brain);
}

void
brain_dns_attach(struct brain *b, int fd)
{
	struct brain_dns *d = xcalloc(1, sizeof *d);

	brain_dns_close(b);
	(void)fcntl(fd, F_SETFL, O_NONBLOCK);
	d->brain = b;
	d->wire = wire_new(b->base, fd, on_message, on_end, d);
	b->dns = d;
	brain_poke(b);
}

static void
part_sync(struct brain_dns *d, struct snapshot *s, const struct dns_part *part, struct arena *a)
{
	struct told *t = map_get(&d->told, part->key);
	cleanup_buf struct buf lines = { 0 };
	cleanup_error struct error *e = NULL;

	if (!t) {
		t = xcalloc(1, sizeof *t);
		t->print = t->refused = ~part->print;
		map_put(&d->told, part->key, t);
	}
	t->round = d->round;
	if (t->print == part->print)
		return;
	dns_part_text(s, part, a, &lines);
	if (!tell(d, "put", part->key, buf_text(&lines), &e)) {
		t->print = part->print;
	} else if (t->refused != part->print) {
		/* each pass tries again; it is said once */
		log_err("names", "the DNS server was not told the names of %s: %s", part->key,
			error_text(e));
		t->refused = part->print;
	}
}

/* What is not there any more, once it is known to be fewer than were told. */
static void
gone_drop(struct brain_dns *d, struct arena *a)
{
	const char **gone = arena_alloc(a, (d->told.n + 1) * sizeof *gone);
	size_t n = 0;

	for (struct map_slot *s = map_first(&d->told); s; s = map_next(&d->told, s))
		if (((struct told *)s->value)->round != d->round)
			gone[n++] = arena_strdup(a, s->key);
	for (size_t i = 0; i < n; i++)
		if (told_or_said(d, "drop", gone[i]))
			free(map_del(&d->told, gone[i]));
}

void
brain_dns_sync(struct brain *b, struct snapshot *s, struct arena *a)
{
	struct brain_dns *d = b->dns;
	const struct dns_part *at;
	size_t n;

	if (!d)
		return;
	d->round++;
	if (!d->begun && !told_or_said(d, "begin", ""))
		return;
	at = dns_parts(s, a, &n);
	for (size_t i = 0; i < n; i++)
		part_sync(d, s, &at[i], a);
	if (d->told.n != n)
		gone_drop(d, a);
	d->begun = d->begun || told_or_said(d, "end", "");
}

int
brain_dns_why(void *ctx, int64_t id, const char *ns, const char *name, struct error **e)
{
	struct brain *b = ctx;
	cleanup_arena struct arena a = { 0 };
	const char *ask[DNS_CANDIDATES], *why;
	json_t *names = json_array(), *all;
	cleanup_free char *text = NULL;
	struct snapshot s;
	size_t n;
	const struct config *config = b->config;
	const char *others = config->dns && config->dns->upstreams.n
				 ? "not of the cluster: what the servers say that "
				   "dns.upstreams in kedge.yaml names"
				 : "not of the cluster: what the servers say that the host's "
				   "/etc/resolv.conf names";

	(void)e;
	brain_snapshot(b, &s, &a);
	n = dns_candidates(&b->settings, *ns ? ns : "default", name, &a, ask);
	for (size_t i = 0; i < n; i++) {
		bool ours = dns_why(&s, ask[i], &a, &why);

		json_array_append_new(names,
				      json_pack("{s:s, s:b, s:s}", "name", ask[i], "cluster",
						ours, "why", ours ? why : others));
	}
	all = json_pack("{s:s, s:s, s:o}", "kind", "Names", "server", b->settings.cluster_dns,
			"names", names);
	text = json_dumps(all, JSON_COMPACT);
	json_decref(all);
	api_answer(b->api, id, NULL, text);
	return 0;
}
