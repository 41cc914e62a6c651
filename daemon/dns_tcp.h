/* dns_tcp.h -- the server's connections.
 *
 * As many as TCP_MAX, and from one address as TCP_CLIENT_MAX: who comes beyond
 * that takes the place of the one that was silent longest.  Each is closed after
 * IDLE_MS without a query, and one that does not read its answers is not read.
 */
#ifndef KEDGE_DNS_TCP_H
#define KEDGE_DNS_TCP_H
#include "dns_forward.h"

struct dns_tcps;
struct dns_tcp;

struct dns_tcps *dns_tcps_new(struct event_base *,
			      void (*on_query)(void *ctx, const struct dns_client *,
					       const uint8_t *msg, size_t n),
			      void (*on_end)(void *ctx, const struct dns_tcp *), void *ctx);
/* Takes a connection. */
void dns_tcps_add(struct dns_tcps *, int fd, const struct sockaddr_in *from);
/* Never ends the connection before it returns. */
void dns_tcp_send(struct dns_tcp *, const uint8_t *msg, size_t n);
bool dns_tcps_idle(const struct dns_tcps *); /* nothing is left to be sent */
#endif
