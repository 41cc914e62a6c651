/* hand_spec.h -- from the wire's rows to the runtime's and the proxy's plain specs, and back.
 */
#ifndef KEDGE_HAND_SPEC_H
#define KEDGE_HAND_SPEC_H
#include "../netproxy/netproxy.h"
#include "../reconcile/schema.h"
#include "../runtime/runtime.h"

struct arena;
struct error;

/* Checks what the rows cannot: base64, addresses, users of volumes. */
int spec_pod(const struct sandbox_args *, const char *ns, const char *name, struct arena *,
	     struct rt_pod *ret, struct error **);
int spec_volumes(const struct sandbox_args *, struct arena *, const struct rt_volume **ret,
		 struct error **);
int spec_service(const struct service_args *, const char *id, struct arena *,
		 struct np_service *ret, struct error **);
/* Nets may have bits behind their length: they count for nothing. */
int spec_part(const struct admit_args *, const char *id, struct arena *, struct np_part *ret,
	      struct error **);
void spec_isolated(const struct isolate_args *, const char *id, uint32_t ip, struct arena *,
		   struct np_isolated *ret);
struct rt_host_path *spec_host_paths(const struct config_allow *); /* caller frees */
void spec_container(const struct container_args *, struct arena *, struct rt_container *ret);
struct pod_seen *spec_seen(const struct rt_pod_status *, struct arena *);
const char *const *spec_strings(const struct strs *, struct arena *); /* NULL when empty */
#endif
