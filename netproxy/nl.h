/* nl.h -- a netlink socket, and requests sent many at a time.
 *
 * A batch is one sendmsg and usually one recv: only the last request asks for
 * an acknowledgement, the others speak up when they fail.  The kernel carries
 * the requests out in order and goes on after a failed one, so a batch holds
 * only what is harmless then.
 */
#ifndef KEDGE_NL_H
#define KEDGE_NL_H
#include <libmnl/libmnl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct error;

struct nl {
	int fd;
	uint32_t seq;
};

int nl_open(struct nl *, int family, struct error **); /* in the caller's network namespace */
void nl_close(struct nl *);

#define NL_BATCH_MAX 12
struct nl_batch {
	_Alignas(4) char at[4096];
	size_t len;
	unsigned n;
	bool transaction; /* of nf_tables: the last request only ends it, and nobody answers it;
			     all or nothing is done */
	struct nl_ask {
		const char *what; /* "add address": for the error message; not copied */
		int fine;         /* an errno that is no error here, 0 for none */
		int err;          /* set by nl_send */
	} ask[NL_BATCH_MAX];
};

/* Adds a request; its attributes are put with nl_put* before the next one. */
struct nlmsghdr *nl_ask(struct nl_batch *, uint16_t type, uint16_t flags, const void *head,
			size_t head_len, const char *what, int fine);
/* Every length is checked against what is left of the batch: too long aborts,
 * because only a bug of ours can get that far. */
void nl_put(struct nl_batch *, struct nlmsghdr *, uint16_t type, const void *, size_t);
void nl_put_u8(struct nl_batch *, struct nlmsghdr *, uint16_t type, uint8_t);
void nl_put_u32(struct nl_batch *, struct nlmsghdr *, uint16_t type, uint32_t);
void nl_put_str(struct nl_batch *, struct nlmsghdr *, uint16_t type, const char *);
struct nlattr *nl_nest(struct nl_batch *, struct nlmsghdr *, uint16_t type);
void nl_end(struct nlmsghdr *, struct nlattr *);
/* Fails with the first failed request's own words; all of `ask[].err` are set. */
int nl_send(struct nl *, struct nl_batch *, struct error **);

/* Whole messages of a transaction of nf_tables, all or nothing of which is done, however large.
 * On failure `ret_at` is the nlmsg_seq that the refused message came with, 0 when none was. */
int nl_transact(struct nl *, void *messages, size_t len, uint32_t *ret_at, struct error **);

/* One request that is answered by messages; fn is called for each. */
int nl_dump(struct nl *, struct nlmsghdr *, mnl_cb_t fn, void *ctx, const char *what,
	    struct error **);
#endif
