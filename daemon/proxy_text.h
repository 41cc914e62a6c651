/* proxy_text.h -- what the `proxy` subresources make of paths, headers and addresses.  Pure.
 */
#ifndef KEDGE_PROXY_TEXT_H
#define KEDGE_PROXY_TEXT_H
#include "../reconcile/snapshot.h"

struct proxy_id {
	const char *scheme, *name, *port; /* "" where it says none */
};
/* "web", "web:8080", "https:web:8080", "https:web:"; false: it is nothing of the kind. */
bool proxy_id_read(const char *id, struct proxy_id *ret, struct arena *);

/* What follows the first `segments` of this URI's path, as it was escaped, the query with it:
 * "", "/a%2Fb?c".  NULL: unescaped they are not what `path` begins with, or it is no URI. */
const char *proxy_tail(const char *uri, const char *path, unsigned segments);

/* Is this header passed on?  Not what is of one connection only (by its name, or because
 * `connection`, the message's own Connection header or NULL, names it), nor what is made
 * anew, nor the client's credentials. */
enum proxy_way { PROXY_ASKS = 1, PROXY_ANSWERS = 2 };
bool proxy_header_passes(const char *name, const char *value, const char *connection,
			 enum proxy_way);
/* Does a header of words with commas between them have this one? */
bool proxy_header_has(const char *list, const char *word);

/* A Location from `target` ("10.42.0.7:80") as a client finds it that came by `prefix` and
 * asked `host`; what leads elsewhere, or is relative, stays as it is. */
const char *proxy_location(const char *location, const char *prefix, const char *target,
			   const char *host, struct arena *);

/* Is it an address that pods have?  Never the host's own, whatever an object says; without
 * settings (NULL) it is not known which those are, and none is. */
bool proxy_address_ok(const char *ip, const struct settings *);
#endif
