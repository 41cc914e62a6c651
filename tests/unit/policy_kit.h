/* policy_kit.h -- network policies over a world: the controllers, what the wire carries of
 * their plan, the rules as text, and a packet's way through that text.
 */
#ifndef KEDGE_POLICY_KIT_H
#define KEDGE_POLICY_KIT_H
#include "base/cleanup.h"
#include "base/ipv4.h"
#include "base/map.h"
#include "daemon/hand_spec.h"
#include "netproxy/policy.h"
#include "policy.h"
#include "world.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static const struct rules_net net = { .bridge = "kedge0",
				      .pods.net = 0x0a2a0000,
				      .pods.bits = 16,
				      .svcs.net = 0x0a2b0000,
				      .svcs.bits = 16 };

static uint32_t
ip_of(const char *text)
{
	struct in_addr a;

	assert_int_equal(inet_pton(AF_INET, text, &a), 1);
	return ntohl(a.s_addr);
}

/* ---- the controllers over a world ---- */

#define MOST 4096

struct bench {
	struct world w;
	struct plan plan;
	struct buf out;
	struct enforced has[MOST]; /* sorted by id, as the brain has it */
	size_t n;
};

static inline struct snapshot *
look(struct bench *b)
{
	struct snapshot *s = world_snapshot(&b->w);

	s->enforced = b->has;
	s->nenforced = b->n;
	return s;
}

static inline const char *
pass(struct bench *b)
{
	struct snapshot *s = look(b);

	plan_init(&b->plan, &b->w.arena);
	for (size_t i = 0; i < s->of[RES_network_policy].n; i++)
		policy_reconcile(s,
				 (const struct network_policy *)s->of[RES_network_policy].at[i],
				 &b->plan);
	for (size_t i = 0; i < s->of[RES_pod].n; i++)
		isolation_reconcile(s, (const struct pod *)s->of[RES_pod].at[i], &b->plan);
	isolation_garbage(s, &b->plan);
	buf_clear(&b->out);
	plan_print(&b->plan, &b->out);
	return buf_text(&b->out);
}

static inline int
by_id(const void *a, const void *b)
{
	return strcmp(((const struct enforced *)a)->id, ((const struct enforced *)b)->id);
}

/* What the hand would acknowledge. */
static inline void
obey(struct bench *b)
{
	for (size_t i = 0; i < b->plan.n; i++) {
		const struct action *a = &b->plan.at[i];
		const char *id = arena_printf(&b->w.arena, "%s %s/%s", a->kind, a->ns, a->name);
		size_t n = 0;

		for (size_t k = 0; k < b->n; k++)
			if (strcmp(b->has[k].id, id) != 0)
				b->has[n++] = b->has[k];
		if (a->verb != ACT_RELEASE) {
			/* the hand hears no more than what the wire carries */
			cleanup_buf struct buf json = { 0 };
			struct complaints c = { .arena = &b->w.arena, .path = "wire" };
			const struct kind *kind = verbs[a->verb].body();
			struct tree *t;

			schema_encode(kind, a->body, &json);
			t = yaml_read(buf_text(&json), json.len, &b->w.arena, &c);
			assert_non_null(t);
			b->has[n++] =
			    (struct enforced){ id, schema_decode(kind, t, SCHEMA_TRUSTED,
								 &b->w.arena, &c) };
			assert_int_equal(c.errors, 0);
			assert_true(schema_equal(kind, a->body, b->has[n - 1].args));
		}
		b->n = n;
		assert_true(n < MOST);
		qsort(b->has, b->n, sizeof *b->has, by_id);
	}
}

static inline void
settle(struct bench *b, const char *yaml)
{
	if (yaml)
		world_read(&b->w, yaml);
	pass(b);
	obey(b);
	assert_string_equal(pass(b), "");
}

static inline void
done(struct bench *b)
{
	buf_done(&b->out);
	arena_free(&b->w.arena);
}

/* ---- its rules ---- */

static inline const struct np_part *
part_named(const struct np_part *at, size_t n, const char *id)
{
	for (size_t i = 0; i < n; i++)
		if (!strcmp(at[i].id, id))
			return &at[i];
	return NULL;
}

static inline void
rules_of(struct bench *b, struct chains *out)
{
	static struct np_part parts[MOST];
	static struct np_isolated pods[MOST];
	static const struct np_isolated *all[MOST];
	static const struct np_part *mine[64];
	struct arena *a = &b->w.arena;
	size_t nparts = 0, npods = 0;
	struct error *e = NULL;

	for (size_t i = 0; i < b->n; i++) {
		const char *id = strchr(b->has[i].id, ' ') + 1;
		const struct isolate_args *x = b->has[i].args;

		if (!strncmp(b->has[i].id, "pod ", 4))
			spec_isolated(x, id, ip_of(x->ip), a, &pods[npods++]);
		else
			assert_int_equal(spec_part(b->has[i].args, id, a, &parts[nparts++], &e),
					 0);
	}
	rules_base(&net, out);
	rules_dispatch(&net, NULL, 0, out);
	for (size_t i = 0; i < nparts; i++)
		policy_text_part(&net, &parts[i], out);
	for (size_t i = 0; i < npods; i++) {
		size_t n = 0;

		all[i] = &pods[i];
		for (size_t k = 0; k < pods[i].n; k++) {
			mine[n] = part_named(parts, nparts, pods[i].parts[k]);
			assert_non_null(mine[n++]); /* each that it names is there */
		}
		policy_text_pod(&pods[i], mine, n, out);
	}
	policy_text_trees(&net, all, npods, out);
}

static inline void
text_of(const struct chains *c, struct buf *b)
{
	for (size_t i = 0; i < c->n; i++)
		if (c->at[i].table == RULES_FILTER)
			buf_addf(b, "\n:%s - [0:0]\n%s", c->at[i].name,
				 buf_text(&c->at[i].body));
}

/* ---- a packet that begins something, through the text ---- */

struct packet {
	uint32_t src, dst;
	bool in, out; /* by the bridge */
	uint8_t proto;
	uint16_t port;
	uint32_t mark;
	unsigned looked_at; /* rules */
};

enum verdict { GO_ON, ACCEPT, REFUSE };

static inline bool
in_net(const char *text, uint32_t ip)
{
	char part[32];
	char *slash;
	unsigned bits;

	snprintf(part, sizeof part, "%s", text);
	slash = strchr(part, '/');
	assert_non_null(slash);
	*slash = 0;
	bits = (unsigned)atoi(slash + 1);
	return !bits || !((ip_of(part) ^ ip) >> (32 - bits));
}

static inline bool
is_port(const char *text, uint16_t port)
{
	unsigned lo, hi;
	int n = sscanf(text, "%u:%u", &lo, &hi);

	assert_true(n >= 1);
	return port >= lo && port <= (n == 2 ? hi : lo);
}

static inline const char *
name_of(uint8_t proto)
{
	return proto == IPPROTO_TCP    ? "tcp"
	       : proto == IPPROTO_UDP  ? "udp"
	       : proto == IPPROTO_SCTP ? "sctp"
				       : "icmp";
}

static inline void
mark_set(struct packet *p, const char *text)
{
	unsigned value, mask;

	assert_int_equal(sscanf(text, "%x/%x", &value, &mask), 2);
	p->mark = (p->mark & ~mask) ^ value;
}

static inline bool
mark_is(const struct packet *p, const char *text)
{
	unsigned value, mask;

	assert_int_equal(sscanf(text, "%x/%x", &value, &mask), 2);
	return (p->mark & mask) == value;
}

/* One option and its value; an option this test does not know is a failure. */
static inline bool
option_holds(const struct packet *p, const char *option, const char *value)
{
	if (!strcmp(option, "-s"))
		return in_net(value, p->src);
	if (!strcmp(option, "-d"))
		return in_net(value, p->dst);
	if (!strcmp(option, "-i") || !strcmp(option, "-o")) {
		assert_string_equal(value, net.bridge);
		return option[1] == 'i' ? p->in : p->out;
	}
	if (!strcmp(option, "-p"))
		return !strcmp(value, name_of(p->proto));
	if (!strcmp(option, "--dport"))
		return is_port(value, p->port);
	if (!strcmp(option, "--mark"))
		return mark_is(p, value);
	if (!strcmp(option, "--ctstate")) {
		assert_null(strstr(value, "NEW"));
		return false;
	}
	if (!strcmp(option, "--bytecode"))
		return false; /* nobody lies here */
	if (!strcmp(option, "-m") || !strcmp(option, "--comment"))
		return true;
	fail_msg("unknown option %s", option);
	return false;
}

static inline enum verdict walk(const struct map *, const char *name, struct packet *);

static inline enum verdict
carry(const struct map *chains, const char *rule, const char *jump, const char *to,
      struct packet *p, bool *ret_leave)
{
	enum verdict v;
	char value[64];

	*ret_leave = true;
	if (!strcmp(to, "ACCEPT"))
		return ACCEPT;
	if (!strcmp(to, "DROP") || !strcmp(to, "REJECT"))
		return REFUSE;
	if (!strcmp(to, "RETURN"))
		return GO_ON;
	if (!strcmp(to, "MARK")) {
		assert_int_equal(
		    sscanf(strstr(rule, "--set-xmark "), "--set-xmark %63s", value), 1);
		mark_set(p, value);
		*ret_leave = false;
		return GO_ON;
	}
	v = walk(chains, to, p);
	*ret_leave = v != GO_ON || !strcmp(jump, "-g");
	return v;
}

static inline enum verdict
walk(const struct map *chains, const char *name, struct packet *p)
{
	const struct chain *c = map_get(chains, name);
	cleanup_free char *body = NULL;
	char *save = NULL;

	if (!c)
		fail_msg("no chain %s", name);
	body = xstrdup(buf_text(&c->body));
	for (char *r = strtok_r(body, "\n", &save); r; r = strtok_r(NULL, "\n", &save)) {
		cleanup_free char *copy = xstrdup(r);
		char *word, *in = NULL;
		bool not = false, holds = true, leave = false;
		enum verdict v;

		p->looked_at++;
		(void)strtok_r(copy, " ", &in); /* -A NAME */
		(void)strtok_r(NULL, " ", &in);
		while (holds && (word = strtok_r(NULL, " ", &in))) {
			char *value = NULL;

			if (!strcmp(word, "!")) {
				not = true;
				continue;
			}
			if (!strcmp(word, "--bytecode")) {
				holds = false;
				break;
			}
			value = strtok_r(NULL, " ", &in);
			assert_non_null(value);
			if (!strcmp(word, "-j") || !strcmp(word, "-g")) {
				v = carry(chains, r, word, value, p, &leave);
				if (leave)
					return v;
				break;
			}
			holds = option_holds(p, word, value) != not ;
			not = false;
		}
	}
	return GO_ON;
}

static inline void
by_name(const struct chains *c, struct map *to)
{
	for (size_t i = 0; i < c->n; i++)
		if (c->at[i].table == RULES_FILTER && map_put(to, c->at[i].name, &c->at[i]))
			fail_msg("two chains %s", c->at[i].name);
}
#endif
