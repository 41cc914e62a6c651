/* dns_forward.h -- questions that other servers know the answer to.
 *
 * A question is asked once however many wait for it, of one server at a time, in
 * the order they are listed; those that were silent twice come last for a while.
 * Each try has a port, a number and a spelling of its own (dns_upstream.h).  An
 * answer to whoever asked comes within FORWARD_MS, SERVFAIL at the latest.
 *
 * Bounds: questions under way, clients that wait in all and from one address.
 */
#ifndef KEDGE_DNS_FORWARD_H
#define KEDGE_DNS_FORWARD_H
#include "../reconcile/dns.h"
#include "dns_upstream.h"
#include <netinet/in.h>
#include <sys/socket.h>

struct event_base;
struct dns_forward;

/* Who is to get the answer: over UDP by address, or a connection of ours. */
struct dns_client {
	struct sockaddr_in from;
	struct dns_tcp *tcp; /* NULL: UDP */
};

struct dns_server { /* another one */
	struct sockaddr_storage at;
	socklen_t len;
	unsigned silent;    /* times in a row */
	int64_t down_until; /* monotonic ms */
};

struct dns_servers {
	struct dns_name below; /* the root: all names */
	struct dns_server at[DNS_SERVERS];
	unsigned n;
};

/* `msg` is the answer, in a buffer of DNS_TCP_MAX bytes that may be written to; n 0: there is
 * none.  `query` is what the client sent. */
typedef void dns_answered_fn(void *ctx, const struct dns_client *, const uint8_t *query,
			     size_t query_n, uint8_t *msg, size_t n);

struct dns_forward *dns_forward_new(struct event_base *, struct dns_cache *, dns_answered_fn *,
				    void *ctx);
/* Replaces the list for that domain; the root's is for all that has none. */
void dns_forward_servers(struct dns_forward *, const struct dns_servers *);
/* Answers at once when it is known, or when there is no room to ask. */
void dns_forward_ask(struct dns_forward *, const struct dns_reply *, const uint8_t *query,
		     size_t n, const struct dns_client *);
/* Is there a server that could be asked for it? */
bool dns_forward_knows(struct dns_forward *, const struct dns_name *);
bool dns_forward_idle(const struct dns_forward *); /* nobody waits */
/* A connection is gone: nobody waits there. */
void dns_forward_forget(struct dns_forward *, const struct dns_tcp *);
/* "1.1.1.1", "1.1.1.1:5353", "[::1]:53", "::1", "fe80::1%eth0" while there is such a link */
bool dns_server_read(const char *text, struct dns_server *ret);
#endif
