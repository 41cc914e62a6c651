/* dns_table.c -- see dns_table.h.
 *
 * What a part has put is kept as the list of its nodes, so that taking it away
 * costs what it has and not what the table has.
 */
#include "dns_table.h"
#include "../reconcile/base/buf.h"
#include "../reconcile/base/cleanup.h"
#include "../reconcile/base/error.h"
#include "../reconcile/base/map.h"
#include <arpa/inet.h>
#include <assert.h>
#include <string.h>

enum { WORDS = 6, RECORD_HEAD = 12, LINE_MAX_TEXT = 1024 };

struct dns_part_set {
	unsigned round; /* when it was put last */
	struct put {
		struct dns_node *node;
		enum { PUT_RECORDS, PUT_EXISTS, PUT_PODS } what;
	} * at;
	size_t n, cap;
};

/* One line, read. */
struct row {
	struct dns_name owner;
	uint16_t type; /* 0: EXISTS, UINT16_MAX: PODS */
	uint16_t size;
	uint8_t data[DNS_NAME + 6];
};
enum { ROW_EXISTS = 0, ROW_PODS = UINT16_MAX };

void
dns_table_init(struct dns_table *t, const struct dns_name *zone, uint32_t ttl, uint64_t seed)
{
	*t = (struct dns_table){ .zone = *zone, .ttl = ttl, .seed = seed };
}

/* ---- nodes ---- */

static struct dns_node **
node_slot(const struct dns_table *t, uint64_t h, const uint8_t *name, size_t len)
{
	for (size_t i = h & (t->cap - 1);; i = (i + 1) & (t->cap - 1)) {
		struct dns_node *x = t->at[i];

		if (!x || (x->hash == h && x->len == len && !memcmp(x->name, name, len)))
			return &t->at[i];
	}
}

const struct dns_node *
dns_table_find(const struct dns_table *t, const uint8_t *name, size_t len)
{
	return t->cap ? *node_slot(t, hash_hard(t->seed, name, len), name, len) : NULL;
}

static void
nodes_grow(struct dns_table *t)
{
	struct dns_node **old = t->at;
	size_t cap = t->cap;

	if (2 * (t->n + 1) <= t->cap)
		return;
	t->cap = cap ? 2 * cap : 64;
	t->at = xcalloc(t->cap, sizeof(struct dns_node *));
	for (size_t i = 0; i < cap; i++)
		if (old[i])
			*node_slot(t, old[i]->hash, old[i]->name, old[i]->len) = old[i];
	free(old);
}

/* Where a name's folder is: none above a zone, and none of names of addresses, whose
 * zones are ranges and not names. */
static const uint8_t *
folder_of(const struct dns_table *t, const uint8_t *name, size_t *len)
{
	struct dns_name whole = { .len = (uint8_t)*len };

	memcpy(whole.at, name, *len);
	if (!dns_name_in(&whole, &t->zone) || *len <= t->zone.len)
		return NULL;
	*len -= name[0] + 1u;
	return name + name[0] + 1;
}

/* Found or made; a new one is counted in its folder, which is made as well. */
static struct dns_node *
node_get(struct dns_table *t, const uint8_t *name, size_t len)
{
	uint64_t h = hash_hard(t->seed, name, len);
	const uint8_t *folder;
	struct dns_node *x, **slot;

	nodes_grow(t);
	slot = node_slot(t, h, name, len);
	x = *slot;
	if (x)
		return x;
	x = xcalloc(1, sizeof *x + len);
	x->hash = h;
	x->len = (uint8_t)len;
	memcpy(x->name, name, len);
	*slot = x;
	t->n++;
	folder = folder_of(t, name, &len);
	if (folder)
		node_get(t, folder, len)->below++;
	return x;
}

/* The others of its run move up, so that no search ends too early. */
static void
slot_clear(struct dns_table *t, struct dns_node **slot)
{
	size_t hole = (size_t)(slot - t->at), i = hole;

	t->at[hole] = NULL;
	for (;;) {
		size_t home;

		i = (i + 1) & (t->cap - 1);
		if (!t->at[i])
			return;
		home = t->at[i]->hash & (t->cap - 1);
		if (((i - home) & (t->cap - 1)) >= ((i - hole) & (t->cap - 1))) {
			t->at[hole] = t->at[i];
			t->at[i] = NULL;
			hole = i;
		}
	}
}

/* One that says nothing any more goes, and may be the last of its folder. */
static void
node_settle(struct dns_table *t, struct dns_node *x)
{
	while (x && !x->n && !x->below && !x->exists && !x->pods) {
		size_t len = x->len;
		const uint8_t *folder = folder_of(t, x->name, &len);
		struct dns_node *up = NULL;

		if (folder) {
			up = *node_slot(t, hash_hard(t->seed, folder, len), folder, len);
			assert(up && up->below);
			up->below--;
		}
		slot_clear(t, node_slot(t, x->hash, x->name, x->len));
		t->n--;
		free(x->records);
		free(x);
		x = up;
	}
}

/* ---- rows ---- */

static bool
number_read(const char *text, unsigned *ret)
{
	size_t n = strspn(text, "0123456789");

	*ret = (unsigned)strtoul(text, NULL, 10);
	return n && n < 6 && !text[n] && *ret <= 65535;
}

static bool
name_data(struct row *r, const char *text, size_t at)
{
	struct dns_name x;

	if (!dns_name_read(text, &x))
		return false;
	memcpy(r->data + at, x.at, x.len);
	r->size = (uint16_t)(at + x.len);
	return true;
}

static bool
srv_data(struct row *r, char *const *word)
{
	unsigned x;

	for (unsigned i = 0; i < 3; i++) {
		if (!number_read(word[i], &x))
			return false;
		dns_put16(r->data + 2 * i, x);
	}
	return name_data(r, word[3], 6);
}

static bool
text_data(struct row *r, const char *text)
{
	size_t n = strlen(text);

	if (n > 255)
		return false;
	r->data[0] = (uint8_t)n;
	memcpy(r->data + 1, text, n);
	r->size = (uint16_t)(n + 1);
	return true;
}

static bool
address_data(struct row *r, int family, const char *text)
{
	r->size = family == AF_INET ? 4 : 16;
	return inet_pton(family, text, r->data) == 1;
}

static const struct {
	const char *word;
	uint16_t type, args;
} kinds[] = {
	{ "A", DNS_A, 1 },           { "AAAA", DNS_AAAA, 1 },   { "SRV", DNS_SRV, 4 },
	{ "PTR", DNS_PTR, 1 },       { "CNAME", DNS_CNAME, 1 }, { "TXT", DNS_TXT, 1 },
	{ "EXISTS", ROW_EXISTS, 0 }, { "PODS", ROW_PODS, 0 },
};

static bool
data_read(struct row *r, char *const *word)
{
	switch (r->type) {
	case DNS_A:
		return address_data(r, AF_INET, word[0]);
	case DNS_AAAA:
		return address_data(r, AF_INET6, word[0]);
	case DNS_SRV:
		return srv_data(r, word);
	case DNS_TXT:
		return text_data(r, word[0]);
	case DNS_PTR:
	case DNS_CNAME:
		return name_data(r, word[0], 0);
	default:
		return true;
	}
}

static bool
row_read(char *line, struct row *r)
{
	char *word[WORDS] = { "", "", "", "", "", "" };
	size_t n = 0;

	while (line && n < WORDS)
		word[n++] = strsep(&line, " ");
	if (n < 2 || line || !dns_name_read(word[0], &r->owner))
		return false;
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
		if (!strcmp(kinds[i].word, word[1])) {
			r->type = kinds[i].type;
			r->size = 0;
			return n == kinds[i].args + 2u && data_read(r, word + 2);
		}
	return false;
}

/* ---- parts ---- */

static struct dns_part_set *
part_get(struct dns_table *t, const char *key)
{
	struct dns_part_set *p = map_get(&t->parts, key);

	if (!p) {
		p = xcalloc(1, sizeof *p);
		map_put(&t->parts, key, p);
	}
	return p;
}

static void
part_note(struct dns_part_set *p, struct dns_node *x, int what)
{
	if (p->n == p->cap) {
		p->cap = p->cap ? 2 * p->cap : 8;
		p->at = xrealloc(p->at, p->cap * sizeof *p->at);
	}
	p->at[p->n++] = (struct put){ x, what };
}

/* Its records of this type in this node; made when there are none yet. */
static struct dns_records *
records_get(struct dns_node *x, struct dns_part_set *p, uint16_t type)
{
	for (uint32_t i = 0; i < x->n; i++)
		if (x->records[i].by == p && x->records[i].type == type)
			return &x->records[i];
	x->records = xgrow(x->records, x->n, sizeof *x->records);
	x->records[x->n] = (struct dns_records){ .by = p, .type = type };
	part_note(p, x, PUT_RECORDS);
	return &x->records[x->n++];
}

static void
row_put(struct dns_table *t, struct dns_part_set *p, const struct row *r)
{
	struct dns_node *x = node_get(t, r->owner.at, r->owner.len);
	struct dns_records *to;
	uint8_t *at;

	if (r->type == ROW_EXISTS || r->type == ROW_PODS) {
		if (r->type == ROW_EXISTS)
			x->exists++;
		else
			x->pods++;
		part_note(p, x, r->type == ROW_EXISTS ? PUT_EXISTS : PUT_PODS);
		return;
	}
	to = records_get(x, p, r->type);
	if (to->n == UINT16_MAX)
		return;
	to->at = xrealloc(to->at, to->size + RECORD_HEAD + r->size);
	at = dns_put16(to->at + to->size, 0xc000 | DNS_HEAD);
	at = dns_put32(dns_put16(dns_put16(at, r->type), 1), t->ttl);
	at = dns_put16(at, r->size);
	memcpy(at, r->data, r->size);
	to->size += RECORD_HEAD + r->size;
	to->n++;
}

static void
records_drop(struct dns_node *x, const struct dns_part_set *p)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < x->n; i++)
		if (x->records[i].by == p)
			free(x->records[i].at);
		else
			x->records[n++] = x->records[i];
	x->n = n;
}

static void
part_empty(struct dns_table *t, struct dns_part_set *p)
{
	struct put *old = p->at;
	size_t n = p->n;

	p->at = NULL;
	p->n = p->cap = 0;
	/* a node that is named twice must not be gone the second time */
	for (size_t i = 0; i < n; i++)
		old[i].node->below++;
	for (size_t i = 0; i < n; i++) {
		if (old[i].what == PUT_RECORDS)
			records_drop(old[i].node, p);
		else if (old[i].what == PUT_EXISTS)
			old[i].node->exists--;
		else
			old[i].node->pods--;
	}
	for (size_t i = 0; i < n; i++) {
		old[i].node->below--;
		node_settle(t, old[i].node);
	}
	free(old);
}

/* False: it is no record. */
static bool
line_put(struct dns_table *t, struct dns_part_set *p, const char *text, size_t n)
{
	char line[LINE_MAX_TEXT];
	struct row r;

	if (n >= sizeof line)
		return false;
	memcpy(line, text, n);
	line[n] = 0;
	if (!row_read(line, &r))
		return false;
	row_put(t, p, &r);
	return true;
}

int
dns_table_put(struct dns_table *t, const char *key, const char *text, struct error **e)
{
	struct dns_part_set *p = part_get(t, key);
	size_t number = 0, first = 0, bad = 0;

	p->round = t->round;
	part_empty(t, p);
	while (*text) {
		size_t n = strcspn(text, "\n");

		number++;
		if (!line_put(t, p, text, n)) {
			first = first ? first : number;
			bad++;
		}
		text += n + (text[n] != 0);
	}
	if (bad)
		return fail(e, WHY_INVALID,
			    "%s: %zu of %zu lines are no records, first line %zu", key, bad,
			    number, first);
	return 0;
}

static void
part_free(struct dns_table *t, struct dns_part_set *p)
{
	part_empty(t, p);
	free(p->at);
	free(p);
}

void
dns_table_drop(struct dns_table *t, const char *key)
{
	struct dns_part_set *p = map_del(&t->parts, key);

	if (p)
		part_free(t, p);
}

void
dns_table_begin(struct dns_table *t)
{
	t->round++;
}

void
dns_table_end(struct dns_table *t)
{
	struct map kept = { 0 };

	for (struct map_slot *s = map_first(&t->parts); s; s = map_next(&t->parts, s)) {
		struct dns_part_set *p = s->value;

		if (p->round == t->round)
			map_put(&kept, s->key, p);
		else
			part_free(t, p);
	}
	map_done(&t->parts);
	t->parts = kept;
}

void
dns_table_done(struct dns_table *t)
{
	for (struct map_slot *s = map_first(&t->parts); s; s = map_next(&t->parts, s))
		part_free(t, s->value);
	assert(!t->n);
	map_done(&t->parts);
	free(t->at);
	*t = (struct dns_table){ 0 };
}
