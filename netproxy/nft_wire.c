/* nft_wire.c -- see nft_wire.h. */
#include "nft_wire.h"
#include "nfm.h"
#include "reconcile/base/addr.h"
#include <arpa/inet.h>
#include <assert.h>
#include <endian.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* "VERB OBJECT ip|ip6 TABLE NAME BODY": what follows a word is behind its space. */
struct line {
	const char *verb, *object, *table, *name, *body;
};

static size_t
word(const char *at)
{
	return strcspn(at, " \n");
}

static const char *
after(const char *at)
{
	at += word(at);
	return *at == ' ' ? at + 1 : at;
}

static struct line
split(const char *at)
{
	struct line x = { .verb = at, .object = after(at) };

	x.table = after(after(x.object));
	x.name = after(x.table);
	x.body = after(x.name);
	return x;
}

static void
ask(struct nfm *w, unsigned msg, unsigned flags)
{
	nfm_begin(w, NFNL_SUBSYS_NFTABLES << 8 | msg, flags, nfm_family(w), 0);
}

static void
put_word(struct nfm *w, uint16_t type, const char *at)
{
	nfm_text(w, type, at, word(at));
}

/* -- sets ------------------------------------------------------------------- */

/* A field's type is what nft knows it by, and the note tells nft of which expression it is:
 * only so it can list what has a number in its key. */
static const struct field {
	const char *words;
	uint8_t type, len, note[28], note_len;
} all_fields[] = {
#define PAYLOAD(header, at) \
	{ 0, 4, 7, 0, 0, 0, 1, 12, 0, 4, header, 0, 0, 0, 1, 4, at, 0, 0, 0 }, 20
	{ "ip daddr", 7, 4, PAYLOAD(12, 12) },
	{ "ip6 daddr", 8, 16, PAYLOAD(13, 9) },
	{ "tcp dport", 13, 2, PAYLOAD(8, 2) },
	{ "udp dport", 13, 2, PAYLOAD(6, 2) },
	{ "sctp dport", 13, 2, PAYLOAD(10, 2) },
#undef PAYLOAD
	{ "meta l4proto", 12, 1, { 0, 4, 9, 0, 0, 0, 1, 6, 0, 4, 16, 0, 0, 0 }, 14 },
	{ "numgen random mod 65536",
	  4,
	  4,
	  { 0, 4, 23, 0, 0, 0, 1, 18, 0, 4, 1, 0, 0, 0, 1, 4, 0, 0, 1, 0, 2, 4, 0, 0, 0, 0 },
	  26 },
	{ "ipv4_addr", 7, 4, { 0 }, 0 },
	{ "ipv6_addr", 8, 16, { 0 }, 0 },
};

static const struct field *
field_take(const char **at)
{
	for (size_t i = 0; i < sizeof all_fields / sizeof *all_fields; i++) {
		size_t n = strlen(all_fields[i].words);

		if (strncmp(*at, all_fields[i].words, n))
			continue;
		*at += n;
		return &all_fields[i];
	}
	return NULL;
}

struct key {
	uint32_t type, len;
	uint8_t note[200];
	size_t note_len;
};

/* "F . F . F", as its type, its length in registers and the note of its fields. */
static struct key
key_take(const char **at)
{
	struct key k = { 0 };
	unsigned n = 0;
	const struct field *f;

	do {
		f = field_take(at);
		assert(f && k.note_len + 2 + f->note_len < sizeof k.note);
		k.type = k.type << 6 | f->type;
		k.len += (f->len + 3) & ~3;
		k.note[k.note_len++] = n++;
		k.note[k.note_len++] = f->note_len;
		memcpy(k.note + k.note_len, f->note, f->note_len);
		k.note_len += f->note_len;
	} while (!strncmp(*at, " . ", 3) && (*at += 3));
	return k;
}

static void
note_add(uint8_t *to, size_t *n, uint8_t tag, const struct key *k)
{
	uint8_t head[] = { tag, 8 + k->note_len, 0, 4, 13, 0, 0, 0, 1, k->note_len };

	memcpy(to + *n, head, sizeof head);
	memcpy(to + *n + sizeof head, k->note, k->note_len);
	*n += sizeof head + k->note_len;
}

/* "; size N; }": room for so many from the beginning, for a table that grows while it is
 * filled takes the kernel three times as long. */
static void
put_size(struct nfm *w, const char *at)
{
	static const char size[] = "; size ";
	size_t nest;

	if (strncmp(at, size, strlen(size)))
		return;
	nest = nfm_nest(w, NFTA_SET_DESC);
	nfm_put32(w, NFTA_SET_DESC_SIZE, strtoul(at + strlen(size), NULL, 10));
	nfm_close(w, nest);
}

/* The verdict's own note is this expression's of nft. */
static void
put_map(struct nfm *w, const char *at, bool verdicts, struct key key)
{
	static const uint8_t of_verdict[] = { 4, 8, 0, 4, 1, 0, 0, 0, 1, 0 };
	uint8_t note[512] = { 0, 4, 0, 0, 0, 0, 1, 4 };
	size_t n = 12;
	struct key data = { 0 };

	if (!verdicts)
		data = key_take(&at);
	nfm_put32(w, NFTA_SET_FLAGS, NFT_SET_MAP);
	nfm_put32(w, NFTA_SET_KEY_TYPE, key.type);
	nfm_put32(w, NFTA_SET_KEY_LEN, key.len);
	nfm_put32(w, NFTA_SET_DATA_TYPE, verdicts ? NFT_DATA_VERDICT : data.type);
	nfm_put32(w, NFTA_SET_DATA_LEN, data.len);
	nfm_put32(w, NFTA_SET_ID, w->ids++);
	put_size(w, verdicts ? at + strlen("verdict") : at);
	note_add(note, &n, 3, &key);
	if (verdicts)
		memcpy(note + n, of_verdict, sizeof of_verdict);
	if (verdicts)
		n += sizeof of_verdict;
	else
		note_add(note, &n, 4, &data);
	memcpy(note + n, (uint8_t[6]){ 6, 4 }, 6);
	nfm_put(w, NFTA_SET_USERDATA, note, n + 6);
}

/* "{ typeof KEY : DATA; size N; }", "{ type KEY; size N; }", "{ type KEY; flags
 * dynamic,timeout; }" */
static void
put_set(struct nfm *w, const struct line *x)
{
	const char *at = after(after(x->body));
	struct key key = key_take(&at);
	uint32_t flags = 0;

	ask(w, NFT_MSG_NEWSET, NLM_F_CREATE);
	put_word(w, NFTA_SET_TABLE, x->table);
	put_word(w, NFTA_SET_NAME, x->name);
	if (*at == ' ') {
		at += strlen(" : ");
		put_map(w, at, !strncmp(at, "verdict", 7), key);
		return;
	}
	if (!strncmp(at, "; flags dynamic,timeout", 23))
		flags = NFT_SET_EVAL | NFT_SET_TIMEOUT;
	nfm_put32(w, NFTA_SET_FLAGS, flags);
	nfm_put32(w, NFTA_SET_KEY_TYPE, key.type);
	nfm_put32(w, NFTA_SET_KEY_LEN, key.len);
	nfm_put32(w, NFTA_SET_ID, w->ids++);
	put_size(w, at);
}

/* -- elements --------------------------------------------------------------- */

static unsigned
number(const char **at)
{
	unsigned n = 0;

	assert(**at >= '0' && **at <= '9');
	for (; **at >= '0' && **at <= '9'; (*at)++)
		n = n * 10 + (unsigned)(**at - '0');
	return n;
}

/* An address up to a blank; most of a load is IPv4, by hand. */
static size_t
put_address(const char **at, bool v6, uint8_t *to)
{
	char text[ADDR_TEXT];
	size_t n = word(*at);
	bool fine;
	addr ip;

	if (!v6) {
		for (int i = 0; i < 4; i++, *at += i < 4)
			to[i] = number(at);
		return 4;
	}
	assert(n < sizeof text);
	memcpy(text, *at, n);
	text[n] = 0;
	fine = addr_read(text, &ip);
	assert(fine);
	addr_bytes(true, ip, to);
	*at += n;
	return 16;
}

/* What comes next is no number alone? */
static bool
is_address(const char *at)
{
	while ((*at >= '0' && *at <= '9') || (*at >= 'a' && *at <= 'f'))
		at++;
	return *at == '.' || *at == ':';
}

/* "A . B . C": an address, a protocol, then its port, then a slot. */
static size_t
tuple(const char **at, bool v6, uint8_t to[static 32])
{
	size_t n = 0;
	bool port = false;

	memset(to, 0, 32);
	for (;; *at += 3) {
		assert(n < 32);
		if (**at == 't' || **at == 'u' || **at == 's') {
			to[n] = **at == 't'   ? IPPROTO_TCP
				: **at == 'u' ? IPPROTO_UDP
					      : IPPROTO_SCTP;
			*at += **at == 's' ? 4 : 3;
			n += 4;
		} else if (is_address(*at)) {
			n += put_address(at, v6, to + n);
		} else {
			unsigned x = number(at);

			if (!port) {
				port = true;
				to[n] = x >> 8;
				to[n + 1] = x;
			} else {
				memcpy(to + n, &x, 4);
			}
			n += 4;
		}
		if ((*at)[0] != ' ' || (*at)[1] != '.')
			return n;
	}
}

static void
put_value(struct nfm *w, uint16_t type, const void *at, size_t n)
{
	size_t nest = nfm_nest(w, type);

	nfm_put(w, NFTA_DATA_VALUE, at, n);
	nfm_close(w, nest);
}

/* " timeout 600s expires 300s" */
static void
put_age(struct nfm *w, const char *at)
{
	unsigned timeout = 0, left = 0;
	uint64_t ms[2];
	int n = sscanf(at, " timeout %us expires %us", &timeout, &left);

	if (n != 2)
		return;
	ms[0] = htobe64(timeout * UINT64_C(1000));
	ms[1] = htobe64(left * UINT64_C(1000));
	nfm_put(w, NFTA_SET_ELEM_TIMEOUT, &ms[0], sizeof *ms);
	nfm_put(w, NFTA_SET_ELEM_EXPIRATION, &ms[1], sizeof *ms);
}

/* "\"COMMENT\"", as nft's library notes it (NFTNL_UDATA_SET_ELEM_COMMENT). */
static void
put_comment(struct nfm *w, const char *at)
{
	uint8_t note[2 + NFT_COMMENT + 1] = { 0 };
	size_t n;

	if (*at != '"')
		return;
	n = strcspn(++at, "\"");
	assert(n <= NFT_COMMENT);
	note[1] = (uint8_t)(n + 1);
	memcpy(note + 2, at, n);
	nfm_put(w, NFTA_SET_ELEM_USERDATA, note, 2 + n + 1);
}

/* "KEY", "KEY : VALUE", "KEY : goto CHAIN[ "COMMENT"]" */
static void
put_element(struct nfm *w, const char *at, bool gone)
{
	uint8_t x[32];
	size_t elem = nfm_nest(w, NFTA_LIST_ELEM), n, data, nest;

	n = tuple(&at, w->v6, x);
	put_value(w, NFTA_SET_ELEM_KEY, x, n);
	if (gone) {
		/* the key says which */
	} else if (!strncmp(at, " : goto ", 8)) {
		data = nfm_nest(w, NFTA_SET_ELEM_DATA);
		nest = nfm_nest(w, NFTA_DATA_VERDICT);
		nfm_put32(w, NFTA_VERDICT_CODE, (uint32_t)NFT_GOTO);
		at += 8;
		put_word(w, NFTA_VERDICT_CHAIN, at);
		nfm_close(w, nest);
		nfm_close(w, data);
		put_comment(w, after(at));
	} else if (!strncmp(at, " : ", 3)) {
		at += 3;
		n = tuple(&at, w->v6, x);
		put_value(w, NFTA_SET_ELEM_DATA, x, n);
	} else if (!strncmp(at, " timeout ", 9)) {
		put_age(w, at);
	}
	nfm_close(w, elem);
}

/* What elements are told in: the message, and the list in it. */
struct told {
	bool gone, creates;
	const char *table, *set;
	size_t from, list;
};

static void
list_begin(struct nfm *w, struct told *x)
{
	x->from = w->out->len;
	if (x->gone)
		ask(w, NFT_MSG_DELSETELEM, 0);
	else
		ask(w, NFT_MSG_NEWSETELEM, NLM_F_CREATE | (x->creates ? NLM_F_EXCL : 0));
	put_word(w, NFTA_SET_ELEM_LIST_TABLE, x->table);
	put_word(w, NFTA_SET_ELEM_LIST_SET, x->set);
	x->list = nfm_nest(w, NFTA_SET_ELEM_LIST_ELEMENTS);
}

static bool
list_is_full(const struct nfm *w, const struct told *x)
{
	return w->out->len - x->from >= NFM_FULL;
}

static void
put_elements(struct nfm *w, const struct nft_lines *lines, struct told x)
{
	for (size_t i = 0; i < lines->n; i++, w->line++) {
		if (!i || list_is_full(w, &x)) {
			if (i)
				nfm_close(w, x.list);
			list_begin(w, &x);
		}
		put_element(w, lines->at[i], x.gone);
	}
	if (lines->n)
		nfm_close(w, x.list);
}

/* -- the rest --------------------------------------------------------------- */

static void
put_table(struct nfm *w, const struct line *x)
{
	bool gone = *x->verb == 'd';

	ask(w, gone ? NFT_MSG_DELTABLE : NFT_MSG_NEWTABLE, gone ? 0 : NLM_F_CREATE);
	put_word(w, NFTA_TABLE_NAME, x->table);
	if (!gone)
		nfm_put32(w, NFTA_TABLE_FLAGS, 0);
}

/* "{ type nat hook HOOK priority N; }" */
static void
put_hook(struct nfm *w, const char *at)
{
	static const char type[] = "{ type nat hook ";
	uint32_t hook;
	size_t nest;

	assert(!strncmp(at, type, strlen(type)));
	at += strlen(type);
	hook = !strncmp(at, "pre", 3) ? NF_INET_PRE_ROUTING
	       : *at == 'o'           ? NF_INET_LOCAL_OUT
				      : NF_INET_POST_ROUTING;
	nfm_text(w, NFTA_CHAIN_TYPE, "nat", 3);
	nest = nfm_nest(w, NFTA_CHAIN_HOOK);
	nfm_put32(w, NFTA_HOOK_HOOKNUM, hook);
	nfm_put32(w, NFTA_HOOK_PRIORITY, (uint32_t)strtol(after(after(at)), NULL, 10));
	nfm_close(w, nest);
}

static void
put_chain(struct nfm *w, const struct line *x)
{
	if (*x->verb == 'f') {
		ask(w, NFT_MSG_DELRULE, 0);
		put_word(w, NFTA_RULE_TABLE, x->table);
		put_word(w, NFTA_RULE_CHAIN, x->name);
		return;
	}
	ask(w, *x->verb == 'd' ? NFT_MSG_DELCHAIN : NFT_MSG_NEWCHAIN,
	    *x->verb == 'd' ? 0 : NLM_F_CREATE);
	put_word(w, NFTA_CHAIN_TABLE, x->table);
	put_word(w, NFTA_CHAIN_NAME, x->name);
	if (*x->body == '{')
		put_hook(w, x->body);
}

static void
put_rule(struct nfm *w, const struct line *x)
{
	size_t nest;

	nft_expr_maps(w, x->table, x->body);
	ask(w, NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND);
	put_word(w, NFTA_RULE_TABLE, x->table);
	put_word(w, NFTA_RULE_CHAIN, x->name);
	nest = nfm_nest(w, NFTA_RULE_EXPRESSIONS);
	nft_expr_put(w, x->body);
	nfm_close(w, nest);
	w->ids++;
}

static void
put_line(struct nfm *w, const char *at)
{
	struct line x = split(at);

	if (!strncmp(x.object, "table ", 6)) {
		put_table(w, &x);
	} else if (!strncmp(x.object, "chain ", 6)) {
		put_chain(w, &x);
	} else if (!strncmp(x.object, "rule ", 5)) {
		put_rule(w, &x);
	} else if (*x.verb == 'd') {
		ask(w, NFT_MSG_DELSET, 0);
		put_word(w, NFTA_SET_TABLE, x.table);
		put_word(w, NFTA_SET_NAME, x.name);
	} else {
		put_set(w, &x);
	}
}

/* "add element FAMILY TABLE SET { KEY }", and those of the same set that follow. */
static const char *
put_kept(struct nfm *w, const char *at)
{
	const struct line x = split(at);
	const char *first = at;
	size_t same = (size_t)(x.body - at);
	struct nft_lines keys = { 0 };

	for (; !strncmp(at, first, same); at = strchr(at, '\n') + 1) {
		keys.at = xgrow(keys.at, keys.n, sizeof *keys.at);
		keys.at[keys.n++] = at + same + strlen("{ ");
	}
	put_elements(w, &keys, (struct told){ .table = x.table, .set = x.name });
	free(keys.at);
	return at;
}

static void
put_lines(struct nfm *w, const char *text)
{
	while (*text) {
		if (!strncmp(after(text), "element ", 8)) {
			text = put_kept(w, text);
			continue;
		}
		put_line(w, text);
		text = strchr(text, '\n') + 1;
		w->line++;
	}
}

static void
border(struct nfm *w, uint16_t type)
{
	nfm_begin(w, type, 0, AF_UNSPEC, NFNL_SUBSYS_NFTABLES);
}

void
nft_wire(const struct nft_change *t, const char *table, struct buf *to)
{
	struct nfm w = { .out = to, .msg = to->len, .ids = 1, .v6 = t->v6 };

	border(&w, NFNL_MSG_BATCH_BEGIN);
	w.line = 1;
	for (size_t i = 0; i < NFT_MAPS; i++)
		put_elements(&w, &t->gone[i],
			     (struct told){ .gone = true, .table = table, .set = nft_maps[i] });
	put_lines(&w, buf_text(&t->rules));
	for (size_t i = 0; i < NFT_MAPS; i++)
		put_elements(&w, &t->put[i],
			     (struct told){ .creates = nft_change_creates(t, i),
					    .table = table,
					    .set = nft_maps[i] });
	put_lines(&w, buf_text(&t->last));
	border(&w, NFNL_MSG_BATCH_END);
	nfm_end(&w);
}
