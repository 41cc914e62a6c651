/* nl.c -- see nl.h. */
#include "nl.h"
#include "reconcile/base/error.h"
#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <linux/netlink.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int
nl_open(struct nl *nl, int family, struct error **e)
{
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, family), one = 1;

	if (fd < 0)
		return fail_sys(e, "netlink socket");
	/* Words for the errors, and no echo of the request in them; old kernels have neither.
	 */
	(void)setsockopt(fd, SOL_NETLINK, NETLINK_EXT_ACK, &one, sizeof one);
	(void)setsockopt(fd, SOL_NETLINK, NETLINK_CAP_ACK, &one, sizeof one);
	*nl = (struct nl){ fd, 1 };
	return 0;
}

void
nl_close(struct nl *nl)
{
	if (nl->fd >= 0)
		close(nl->fd);
	nl->fd = -1;
}

struct nlmsghdr *
nl_ask(struct nl_batch *b, uint16_t type, uint16_t flags, const void *head, size_t head_len,
       const char *what, int fine)
{
	struct nlmsghdr *h;

	assert(b->n < NL_BATCH_MAX && b->len + 256 + head_len < sizeof b->at);
	h = mnl_nlmsg_put_header(b->at + b->len);
	h->nlmsg_type = type;
	h->nlmsg_flags = NLM_F_REQUEST | flags;
	memcpy(mnl_nlmsg_put_extra_header(h, head_len), head, head_len);
	b->len += h->nlmsg_len;
	b->ask[b->n++] = (struct nl_ask){ what, fine, 0 };
	return h;
}

/* The length of an attribute is 16 bits and the batch is finite: both are checked here,
 * for every attribute, so that no caller can make a request that the kernel reads
 * differently from how it was meant. */
static void
nl_room(const struct nl_batch *b, const struct nlmsghdr *h, size_t len)
{
	size_t used = (size_t)((const char *)h - b->at) + h->nlmsg_len;

	assert(len < 1024 && used + MNL_ALIGN(len) + MNL_ATTR_HDRLEN < sizeof b->at);
}

static void
nl_len(struct nl_batch *b, const struct nlmsghdr *h)
{
	b->len = (size_t)((const char *)h - b->at) + h->nlmsg_len;
}

void
nl_put(struct nl_batch *b, struct nlmsghdr *h, uint16_t type, const void *p, size_t len)
{
	nl_room(b, h, len);
	mnl_attr_put(h, type, len, p);
	nl_len(b, h);
}

void
nl_put_u8(struct nl_batch *b, struct nlmsghdr *h, uint16_t type, uint8_t x)
{
	nl_put(b, h, type, &x, sizeof x);
}

void
nl_put_u32(struct nl_batch *b, struct nlmsghdr *h, uint16_t type, uint32_t x)
{
	nl_put(b, h, type, &x, sizeof x);
}

void
nl_put_str(struct nl_batch *b, struct nlmsghdr *h, uint16_t type, const char *s)
{
	nl_put(b, h, type, s, strlen(s) + 1);
}

struct nlattr *
nl_nest(struct nl_batch *b, struct nlmsghdr *h, uint16_t type)
{
	struct nlattr *a;

	nl_room(b, h, 0);
	a = mnl_attr_nest_start(h, type);
	nl_len(b, h);
	return a;
}

void
nl_end(struct nlmsghdr *h, struct nlattr *a)
{
	mnl_attr_nest_end(h, a);
}

static bool
nl_is_error(const struct nlmsghdr *h)
{
	return h->nlmsg_type == NLMSG_ERROR &&
	       mnl_nlmsg_get_payload_len(h) >= sizeof(struct nlmsgerr);
}

/* The kernel's own sentence in an error message, or NULL. */
static const char *
nl_words(const struct nlmsghdr *h)
{
	const struct nlmsgerr *err = mnl_nlmsg_get_payload(h);
	size_t skip = sizeof *err;
	const struct nlattr *a;

	if (!(h->nlmsg_flags & NLM_F_ACK_TLVS))
		return NULL;
	if (!(h->nlmsg_flags & NLM_F_CAPPED)) { /* the request comes back */
		if (err->msg.nlmsg_len < sizeof err->msg || err->msg.nlmsg_len > h->nlmsg_len)
			return NULL;
		skip += MNL_ALIGN(err->msg.nlmsg_len - sizeof err->msg);
	}
	mnl_attr_for_each(a, h, skip) if (mnl_attr_get_type(a) == NLMSGERR_ATTR_MSG &&
					  mnl_attr_validate(a, MNL_TYPE_NUL_STRING) >=
					      0) return mnl_attr_get_str(a);
	return NULL;
}

static int
nl_refused(const struct nlmsghdr *h, int err, const char *what, struct error **e)
{
	const char *words = nl_words(h);

	errno = err;
	return words ? fail_sys(e, "%s: %s", what, words) : fail_sys(e, "%s", what);
}

/* libmnl compares lengths as signed numbers, so it believes one of 2 GB. */
static bool
nl_is_whole(const char *at, size_t n)
{
	while (n >= sizeof(struct nlmsghdr)) {
		size_t len = ((const struct nlmsghdr *)at)->nlmsg_len;

		if (len > n)
			return false;
		if (len < sizeof(struct nlmsghdr) || MNL_ALIGN(len) >= n)
			break; /* it is the last one that is read */
		at += MNL_ALIGN(len);
		n -= MNL_ALIGN(len);
	}
	return true;
}

static ssize_t
nl_recv(struct nl *nl, void *to, size_t n, const char *what, struct error **e)
{
	ssize_t got;

	do
		got = recv(nl->fd, to, n, MSG_TRUNC);
	while (got < 0 && errno == EINTR);
	if (got < 0)
		return fail_sys(e, "%s: netlink", what);
	if ((size_t)got > n)
		return fail(e, WHY_IO, "%s: netlink answer of %zd bytes does not fit", what,
			    got);
	if (!nl_is_whole(to, (size_t)got))
		return fail(e, WHY_IO, "%s: netlink answer is cut off", what);
	return got;
}

int
nl_send(struct nl *nl, struct nl_batch *b, struct error **e)
{
	struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
	_Alignas(4) char in[8192];
	uint32_t first = nl->seq, last = first + b->n - 1 - b->transaction, seq = first;
	struct nlmsghdr *h;
	int left, rc = 0;

	assert(b->n);
	left = b->len;
	for (h = (void *)b->at; mnl_nlmsg_ok(h, left); h = mnl_nlmsg_next(h, &left)) {
		h->nlmsg_seq = seq;
		if (seq++ == last)
			h->nlmsg_flags |= NLM_F_ACK;
	}
	nl->seq = seq;
	if (sendto(nl->fd, b->at, b->len, 0, (struct sockaddr *)&kernel, sizeof kernel) < 0)
		return fail_sys(e, "%s: netlink", b->ask[0].what);
	for (bool done = false; !done;) {
		ssize_t got = nl_recv(nl, in, sizeof in, b->ask[0].what, e);

		if (got < 0)
			return -1;
		left = got;
		for (h = (void *)in; mnl_nlmsg_ok(h, left); h = mnl_nlmsg_next(h, &left)) {
			const struct nlmsgerr *err = mnl_nlmsg_get_payload(h);
			struct nl_ask *ask;

			if (!nl_is_error(h) || h->nlmsg_seq - first >= b->n)
				continue; /* an answer to somebody who gave up waiting */
			ask = &b->ask[h->nlmsg_seq - first];
			ask->err = -err->error;
			if (ask->err && ask->err != ask->fine && !rc)
				rc = nl_refused(h, ask->err, ask->what, e);
			done |= h->nlmsg_seq == last || (b->transaction && ask->err);
		}
	}
	return rc;
}

/* -- transactions ----------------------------------------------------------- */

/* A message is never cut in two, so the socket has to take all of it. */
static int
nl_room_for(struct nl *nl, size_t len, struct error **e)
{
	int have = 0, want = (int)len;
	socklen_t n = sizeof have;

	if (len > INT_MAX / 4)
		return fail(e, WHY_IO, "a transaction of %zu bytes is too large", len);
	(void)getsockopt(nl->fd, SOL_SOCKET, SO_SNDBUF, &have, &n);
	if (have / 2 >= want)
		return 0;
	if (setsockopt(nl->fd, SOL_SOCKET, SO_SNDBUFFORCE, &want, sizeof want) < 0 &&
	    setsockopt(nl->fd, SOL_SOCKET, SO_SNDBUF, &want, sizeof want) < 0)
		return fail_sys(e, "room for %zu bytes in a netlink socket", len);
	return 0;
}

/* The last request before the end asks for the one answer there is when all is well.
 * Numbers are moved past those that answers to somebody who gave up may have. */
static uint32_t
nl_number(struct nl *nl, void *messages, size_t len)
{
	struct nlmsghdr *h = messages, *last = h, *end = h;
	uint32_t base = nl->seq;
	int left = (int)len;

	for (; mnl_nlmsg_ok(h, left); h = mnl_nlmsg_next(h, &left)) {
		last = end;
		end = h;
		h->nlmsg_seq += base;
	}
	last->nlmsg_flags |= NLM_F_ACK;
	nl->seq = end->nlmsg_seq + 1;
	return last->nlmsg_seq;
}

int
nl_transact(struct nl *nl, void *messages, size_t len, uint32_t *ret_at, struct error **e)
{
	static const char what[] = "transaction of nf_tables";
	struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
	_Alignas(4) char in[8192];
	uint32_t base = nl->seq, last;

	*ret_at = 0;
	if (nl_room_for(nl, len, e) < 0)
		return -1;
	last = nl_number(nl, messages, len);
	if (sendto(nl->fd, messages, len, 0, (struct sockaddr *)&kernel, sizeof kernel) < 0)
		return fail_sys(e, "%s: netlink", what);
	for (;;) {
		ssize_t got = nl_recv(nl, in, sizeof in, what, e);
		int left = (int)got;

		if (got < 0)
			return -1;
		for (struct nlmsghdr *h = (void *)in; mnl_nlmsg_ok(h, left);
		     h = mnl_nlmsg_next(h, &left)) {
			const struct nlmsgerr *err = mnl_nlmsg_get_payload(h);

			if (!nl_is_error(h) || h->nlmsg_seq < base)
				continue;
			if (err->error) {
				*ret_at = h->nlmsg_seq - base;
				return nl_refused(h, -err->error, what, e);
			}
			if (h->nlmsg_seq == last)
				return 0;
		}
	}
}

/* A list that nobody reads to its end keeps its socket busy: the next would be refused. */
static void
nl_drain(struct nl *nl)
{
	char in[8192];

	while (recv(nl->fd, in, sizeof in, MSG_DONTWAIT) >= 0 || errno == ENOBUFS)
		;
}

int
nl_dump(struct nl *nl, struct nlmsghdr *ask, mnl_cb_t fn, void *ctx, const char *what,
	struct error **e)
{
	_Alignas(4) char in[65536];
	int rc = MNL_CB_OK;

	ask->nlmsg_seq = nl->seq++;
	if (send(nl->fd, ask, ask->nlmsg_len, 0) < 0)
		return fail_sys(e, "%s: netlink", what);
	while (rc > MNL_CB_STOP) {
		ssize_t got = nl_recv(nl, in, sizeof in, what, e);
		const struct nlmsghdr *h = (void *)in;

		if (got < 0) {
			nl_drain(nl);
			return -1;
		}
		if (mnl_nlmsg_ok(h, got) && h->nlmsg_seq != ask->nlmsg_seq)
			continue;
		rc = mnl_cb_run(in, got, ask->nlmsg_seq, 0, fn, ctx);
		if (rc < 0) {
			int err = errno;

			nl_drain(nl);
			errno = err;
			return fail_sys(e, "%s", what);
		}
		/* Not by the answer's NLM_F_MULTI: nft_compat sets it and sends no end. */
		if ((ask->nlmsg_flags & NLM_F_DUMP) != NLM_F_DUMP)
			break;
	}
	return 0;
}
