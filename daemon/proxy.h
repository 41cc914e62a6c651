/* proxy.h -- a request to the API that a pod answers: passed on as it comes, and so is what
 * comes back, also after an upgrade to another protocol.
 *
 * Nothing is kept whole: what one side does not take is not read from the other.  The socket
 * is the brain's own, which needs no right for it.
 */
#ifndef KEDGE_PROXY_H
#define KEDGE_PROXY_H
#include <stdint.h>

struct call;

struct proxy_target {
	const char *scheme; /* "http" or "https"; a certificate is not checked */
	const char *ip;     /* an address, which the caller found to be a pod's */
	uint16_t port;
	const char *prefix; /* of the client's path: what the pod knows nothing of */
	const char *asked;  /* of the pod: path and query, as they were escaped */
};

/* Called with the request's headers.  Answers it, now or later. */
void proxy_begin(struct call *, const struct proxy_target *);
#endif
