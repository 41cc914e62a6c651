/* owner.c -- see owner.h. */
#include "owner.h"
#include "reconcile/base/error.h"
#include <errno.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* One alias of ours, taken apart. */
struct mark {
	char link[IFNAMSIZ], chains[8], state[OWNER_ALIAS];
	int pid;
};

static const char *
chains_of(const struct np_config *c)
{
	return c->chains ? c->chains : "KDG";
}

void
owner_alias(const struct np_config *c, char to[static OWNER_ALIAS])
{
	*to = 0;
	if (c->owner)
		snprintf(to, OWNER_ALIAS, "kedge %s %d %s", chains_of(c), (int)getpid(),
			 c->owner);
}

static bool
mark_read(const struct nlmsghdr *h, struct mark *ret)
{
	const struct nlattr *a;
	const char *alias = "";

	*ret = (struct mark){ 0 };
	mnl_attr_for_each(a, h, sizeof(struct ifinfomsg))
	{
		if (mnl_attr_validate(a, MNL_TYPE_NUL_STRING) < 0)
			continue;
		if (mnl_attr_get_type(a) == IFLA_IFALIAS)
			alias = mnl_attr_get_str(a);
		if (mnl_attr_get_type(a) == IFLA_IFNAME)
			snprintf(ret->link, sizeof ret->link, "%s", mnl_attr_get_str(a));
	}
	return sscanf(alias, "kedge %7s %d %255[^\n]", ret->chains, &ret->pid, ret->state) == 3;
}

struct look {
	const struct np_config *c;
	struct mark bridge, chains; /* another's; .pid 0: none */
};

static int
look_link(const struct nlmsghdr *h, void *ctx)
{
	struct look *l = ctx;
	struct mark m;

	if (!mark_read(h, &m) || !strcmp(m.state, l->c->owner))
		return MNL_CB_OK;
	if (!strcmp(m.link, l->c->bridge))
		l->bridge = m;
	if (!strcmp(m.chains, chains_of(l->c)))
		l->chains = m;
	return MNL_CB_OK;
}

static int
links_dump(struct nl *nl, unsigned index, mnl_cb_t fn, void *ctx, struct error **e)
{
	struct ifinfomsg im = { .ifi_index = (int)index };
	struct nl_batch b = { 0 };
	struct nlmsghdr *h = nl_ask(&b, RTM_GETLINK, index ? 0 : NLM_F_DUMP, &im, sizeof im,
				    "list the links", 0);

	return nl_dump(nl, h, fn, ctx, "list the links", e);
}

/* -1: somebody holds it; -2: could not be tried. */
static int
lock(const char *what, const char *name)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int n = snprintf(sa.sun_path + 1, sizeof sa.sun_path - 1, "kedge/%s/%s", what, name);

	if (fd < 0)
		return -2;
	if (bind(fd, (struct sockaddr *)&sa,
		 (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)n)) < 0) {
		close(fd);
		return errno == EADDRINUSE ? -1 : -2;
	}
	(void)shutdown(fd, SHUT_RD); /* a mark: nothing can be sent to it (CVE-2020-15257) */
	return fd;
}

static int
refuse(const struct np_config *c, const struct mark *m, bool bridge, bool lives,
       struct error **e)
{
	const char *setting = bridge ? "network.bridge" : "network.chains";
	const char *what = bridge ? "bridge" : "iptables chains";
	const char *name = bridge ? c->bridge : chains_of(c);

	if (!m->pid)
		return fail(e, WHY_CONFLICT,
			    "another kedged uses the %s %s: stop it, or give this one its own "
			    "%s in kedge.yaml",
			    what, name, setting);
	if (lives)
		return fail(e, WHY_CONFLICT,
			    "another kedged (pid %d, state in %s) uses the %s %s: stop it, or "
			    "give this one its own network.bridge, network.chains, "
			    "network.podCIDR and network.serviceCIDR in kedge.yaml",
			    m->pid, m->state, what, name);
	return fail(e, WHY_CONFLICT,
		    "the %s %s belongs to the kedged with its state in %s, which does not run "
		    "now: take that one down (start it, then kedge down), or give this one its "
		    "own network.bridge, network.chains, network.podCIDR and "
		    "network.serviceCIDR in kedge.yaml",
		    what, name, m->state);
}

int
owner_take(struct owner *ret, const struct np_config *c, struct nl *nl, struct error **e)
{
	struct look look = { .c = c };
	struct owner o = { { -1, -1 } };
	const struct mark *marks[OWNER_LOCKS] = { &look.bridge, &look.chains };

	if (!c->owner)
		return 0;
	o.locks[0] = lock("bridge", c->bridge);
	o.locks[1] = lock("chains", chains_of(c));
	if (links_dump(nl, 0, look_link, &look, e) < 0)
		goto bad;
	for (int i = 0; i < OWNER_LOCKS; i++) {
		bool lives = o.locks[i] == -1;

		if (o.locks[i] == -2) {
			fail_sys(e, "mark the network as this kedged's");
			goto bad;
		}
		if (!lives && (!marks[i]->pid || access(marks[i]->state, F_OK) < 0))
			continue;
		refuse(c, marks[i], i == 0, lives, e);
		goto bad;
	}
	*ret = o;
	return 0;
bad:
	owner_drop(&o);
	return -1;
}

void
owner_drop(struct owner *o)
{
	for (int i = 0; i < OWNER_LOCKS; i++) {
		if (o->locks[i] >= 0)
			close(o->locks[i]);
		o->locks[i] = -1;
	}
}

static int
text_link(const struct nlmsghdr *h, void *ctx)
{
	struct mark m;

	if (mark_read(h, &m))
		snprintf(ctx, OWNER_ALIAS + 64, " (of the kedged with its state in %s)",
			 m.state);
	return MNL_CB_OK;
}

void
owner_text(struct nl *nl, unsigned index, char to[static OWNER_ALIAS + 64])
{
	*to = 0;
	(void)links_dump(nl, index, text_link, to, NULL);
}
