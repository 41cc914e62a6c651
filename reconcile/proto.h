/* proto.h -- objects as Kubernetes' protobuf, which kubectl 1.32 and newer sends for what it
 * makes itself (create deployment, create configmap, ...).
 *
 * Only read, and only into the same trees that JSON is read into.
 */
#ifndef KEDGE_PROTO_H
#define KEDGE_PROTO_H
#include "schema.h"

struct error;

/* "k8s\0", then what it is and the message itself. */
struct proto_envelope {
	const char *api_version, *kind; /* in the arena */
	const void *raw;                /* within the bytes given */
	size_t len;
};
int proto_unwrap(const void *bytes, size_t len, struct proto_envelope *ret, struct arena *,
		 struct error **);
/* Fields without a number in proto.def are passed over.  WHY_BAD_REQUEST. */
struct tree *proto_read(const struct kind *, const void *bytes, size_t len, struct arena *,
			struct error **);
#endif
