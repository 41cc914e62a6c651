/* hand_service.h -- what a Service may take of the host, checked again by the half that is
 * root. */
#ifndef KEDGE_HAND_SERVICE_H
#define KEDGE_HAND_SERVICE_H
#include "../netproxy/netproxy.h"

struct arena;
struct error;
struct settings;

/* Node ports of their range, addresses of theirs, host ports that no program of the host
 * listens on, endpoints that are nobody's secret.  WHY_FORBIDDEN otherwise. */
int service_allowed(const struct settings *, struct np *, const struct np_service *,
		    struct arena *, struct error **);
#endif
