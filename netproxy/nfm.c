/* nfm.c -- see nfm.h. */
#include "nfm.h"
#include <arpa/inet.h>
#include <assert.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <string.h>

uint8_t
nfm_family(const struct nfm *w)
{
	return w->v6 ? NFPROTO_IPV6 : NFPROTO_IPV4;
}

static void
align(struct nfm *w)
{
	static const char zero[NLA_ALIGNTO];

	if (w->out->len % NLA_ALIGNTO)
		buf_add(w->out, zero, NLA_ALIGNTO - w->out->len % NLA_ALIGNTO);
}

void
nfm_begin(struct nfm *w, uint16_t type, uint16_t flags, uint8_t family, uint16_t res)
{
	struct {
		struct nlmsghdr h;
		struct nfgenmsg g;
	} x = { { .nlmsg_type = type,
		  .nlmsg_flags = NLM_F_REQUEST | flags,
		  .nlmsg_seq = w->line },
		{ family, NFNETLINK_V0, htons(res) } };

	nfm_end(w);
	w->msg = w->out->len;
	buf_add(w->out, &x, sizeof x);
}

void
nfm_end(struct nfm *w)
{
	uint32_t n = w->out->len - w->msg;

	if (n)
		memcpy(w->out->at + w->msg, &n, sizeof n);
	w->msg = w->out->len;
}

void
nfm_put(struct nfm *w, uint16_t type, const void *at, size_t n)
{
	struct nlattr a = { NLA_HDRLEN + n, type };

	assert(n <= UINT16_MAX - NLA_HDRLEN);
	buf_add(w->out, &a, sizeof a);
	buf_add(w->out, at, n);
	align(w);
}

void
nfm_put32(struct nfm *w, uint16_t type, uint32_t x)
{
	x = htonl(x);
	nfm_put(w, type, &x, sizeof x);
}

void
nfm_text(struct nfm *w, uint16_t type, const char *at, size_t n)
{
	struct nlattr a = { NLA_HDRLEN + n + 1, type };

	assert(n < UINT16_MAX - NLA_HDRLEN);
	buf_add(w->out, &a, sizeof a);
	buf_add(w->out, at, n);
	buf_addc(w->out, 0);
	align(w);
}

size_t
nfm_nest(struct nfm *w, uint16_t type)
{
	struct nlattr a = { 0, type | NLA_F_NESTED };
	size_t at = w->out->len;

	buf_add(w->out, &a, sizeof a);
	return at;
}

void
nfm_close(struct nfm *w, size_t nest)
{
	size_t n = w->out->len - nest;
	uint16_t len = n;

	assert(n <= UINT16_MAX);
	memcpy(w->out->at + nest, &len, sizeof len);
}
