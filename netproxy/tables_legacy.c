/* tables_legacy.c -- the tables as ip_tables and ip6_tables hand them out: one block of
 * entries, in which a user's chain begins with an ERROR entry that holds its
 * name and a jump is an offset.  The kernel wrote it, yet every offset is
 * checked: somebody may change the table between asking for its size and
 * reading it. */
#include "tables_legacy.h"
#include "reconcile/base/cleanup.h"
#include "reconcile/base/error.h"
#include <net/if.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

/* After the C library's headers: it then leaves out what they define. */
#include <linux/netfilter_ipv4/ip_tables.h>
#include <linux/netfilter_ipv6/ip6_tables.h>

/* What both kernels' halves have alike is read by the one's names. */
_Static_assert(sizeof(struct ipt_getinfo) == sizeof(struct ip6t_getinfo), "one layout");
_Static_assert(offsetof(struct ipt_get_entries, entrytable) ==
		   offsetof(struct ip6t_get_entries, entrytable),
	       "one layout");

static const struct family {
	const char *program, *names;
	int level, info, entries, revision;
} families[2] = {
	{ "iptables", "/proc/thread-self/net/ip_tables_names", IPPROTO_IP, IPT_SO_GET_INFO,
	  IPT_SO_GET_ENTRIES, IPT_SO_GET_REVISION_MATCH },
	{ "ip6tables", "/proc/thread-self/net/ip6_tables_names", IPPROTO_IPV6, IP6T_SO_GET_INFO,
	  IP6T_SO_GET_ENTRIES, IP6T_SO_GET_REVISION_MATCH },
};

static int
legacy_info(const struct tables *x, enum rules_table t, struct ipt_getinfo *ret,
	    struct error **e)
{
	const struct family *f = &families[x->v6];
	struct ipt_getinfo info = { 0 };
	socklen_t len = sizeof info;

	snprintf(info.name, sizeof info.name, "%s", rules_tables[t]);
	if (getsockopt(x->raw, f->level, f->info, &info, &len) < 0)
		return fail_sys(e, "ask for %s' table %s", f->program, rules_tables[t]);
	*ret = info;
	return 0;
}

int
legacy_print(const struct tables *x, uint64_t *ret, struct error **e)
{
	uint64_t print = 1;

	for (unsigned t = 0; t < RULES_TABLES; t++) {
		struct ipt_getinfo info = { 0 };

		if (legacy_info(x, t, &info, e) < 0)
			return -1;
		print = hash_bytes(print, &info, sizeof info);
	}
	*ret = print;
	return 0;
}

/* The built-in chain whose first rule is at `off`, or NULL. */
static const char *
legacy_hook(const struct ipt_getinfo *info, unsigned off)
{
	static const char *const names[NF_INET_NUMHOOKS] = { "PREROUTING", "INPUT", "FORWARD",
							     "OUTPUT", "POSTROUTING" };

	for (unsigned i = 0; i < NF_INET_NUMHOOKS; i++)
		if (info->valid_hooks & 1u << i && info->hook_entry[i] == off)
			return names[i];
	return NULL;
}

static bool
legacy_policy(const struct ipt_getinfo *info, unsigned off)
{
	for (unsigned i = 0; i < NF_INET_NUMHOOKS; i++)
		if (info->valid_hooks & 1u << i && info->underflow[i] == off)
			return true;
	return false;
}

struct entry {
	const char *target; /* NULL: it makes no sense */
	unsigned next;      /* from the beginning of this one */
	size_t room;        /* of the target */
};

static struct entry
legacy_entry(bool v6, const struct ipt_get_entries *all, unsigned off)
{
	size_t size = v6 ? sizeof(struct ip6t_entry) : sizeof(struct ipt_entry), target, next;
	const char *at = (const char *)all->entrytable + off;

	if (off > all->size || all->size - off < size)
		return (struct entry){ 0 };
	target = v6 ? ((const struct ip6t_entry *)at)->target_offset
		    : ((const struct ipt_entry *)at)->target_offset;
	next = v6 ? ((const struct ip6t_entry *)at)->next_offset
		  : ((const struct ipt_entry *)at)->next_offset;
	if (next < size || next > all->size - off || target < size || target > next ||
	    next - target < sizeof(struct xt_standard_target))
		return (struct entry){ 0 };
	return (struct entry){ at + target, (unsigned)next, next - target };
}

/* The name in an ERROR entry, or NULL. */
static const char *
legacy_head(const struct entry *x)
{
	const struct xt_error_target *t = (const void *)x->target;

	if (x->room < sizeof *t || strcmp(t->target.u.user.name, XT_ERROR_TARGET))
		return NULL;
	return memchr(t->errorname, 0, sizeof t->errorname) ? t->errorname : NULL;
}

/* Where a rule without matches jumps to, as a chain's name, or NULL. */
static const char *
legacy_jump(const struct map *heads, const struct entry *x)
{
	const struct xt_standard_target *t = (const void *)x->target;
	char key[16];

	if (*t->target.u.user.name || t->verdict < 0)
		return NULL;
	snprintf(key, sizeof key, "%d", t->verdict);
	return map_get(heads, key);
}

static int
legacy_walk(bool v6, const struct ipt_getinfo *info, const struct ipt_get_entries *all,
	    enum rules_table t, struct seen *s)
{
	struct map heads = { 0 };
	const char *chain = "";
	struct entry x;
	unsigned off;
	char key[16];

	for (off = 0; off < all->size; off += x.next) {
		x = legacy_entry(v6, all, off);
		if (!x.target)
			break;
		snprintf(key, sizeof key, "%u", off + x.next);
		if (legacy_head(&x))
			map_put(&heads, key, (void *)legacy_head(&x));
	}
	for (unsigned at = 0; off == all->size && at < off; at += x.next) {
		const char *hook = legacy_hook(info, at);

		x = legacy_entry(v6, all, at);
		if (hook)
			chain = hook;
		if (legacy_head(&x)) {
			chain = legacy_head(&x);
			seen_chain(s, t, chain);
			continue;
		}
		/* The end of every chain is a RETURN nobody wrote; the hook's is its policy. */
		if (legacy_policy(info, at))
			continue;
		if (seen_ours(s, chain)) {
			const struct entry next = legacy_entry(v6, all, at + x.next);

			if (!next.target || legacy_head(&next))
				continue;
		}
		seen_rule(s, t, chain, legacy_jump(&heads, &x));
	}
	map_done(&heads);
	return off == all->size ? 0 : -1;
}

int
legacy_read(const struct tables *x, struct seen *s, struct error **e)
{
	const struct family *f = &families[x->v6];

	for (unsigned t = 0; t < RULES_TABLES; t++) {
		for (int tries = 0;; tries++) {
			cleanup_free struct ipt_get_entries *all = NULL;
			struct ipt_getinfo info = { 0 };
			socklen_t len;

			if (legacy_info(x, t, &info, e) < 0)
				return -1;
			len = sizeof *all + info.size;
			all = xcalloc(1, len);
			snprintf(all->name, sizeof all->name, "%s", rules_tables[t]);
			all->size = info.size;
			if (getsockopt(x->raw, f->level, f->entries, all, &len) == 0) {
				if (legacy_walk(x->v6, &info, all, t, s) == 0)
					break;
				return fail(e, WHY_IO, "%s' table %s makes no sense",
					    f->program, rules_tables[t]);
			}
			/* EAGAIN: it grew since we asked for its size. */
			if (errno != EAGAIN || tries == 10)
				return fail_sys(e, "read %s' table %s", f->program,
						rules_tables[t]);
		}
	}
	return 0;
}

bool
legacy_has_match(const struct tables *x, const char *name, uint8_t revision)
{
	const struct family *f = &families[x->v6];
	struct xt_get_revision ask = { .revision = revision };
	socklen_t len = sizeof ask;

	if (strlen(name) >= sizeof ask.name)
		return false;
	snprintf(ask.name, sizeof ask.name, "%s", name);
	return getsockopt(x->raw, f->level, f->revision, &ask, &len) == 0;
}

bool
legacy_any(const struct tables *x)
{
	/* Asking for a table makes the kernel set it up: only those that are in use. */
	cleanup_fclose FILE *f = fopen(families[x->v6].names, "re");
	char name[64];

	while (f && fgets(name, sizeof name, f))
		for (unsigned t = 0; t < RULES_TABLES; t++) {
			struct ipt_getinfo info = { 0 };
			unsigned hooks = 0;

			name[strcspn(name, "\n")] = 0;
			if (strcmp(name, rules_tables[t]) || legacy_info(x, t, &info, NULL) < 0)
				continue;
			for (unsigned i = 0; i < NF_INET_NUMHOOKS; i++)
				hooks += info.valid_hooks >> i & 1;
			if (info.num_entries > hooks + 1)
				return true;
		}
	return false;
}
