/* schema_decode.h -- what decoding scalars and decoding objects share; nobody else needs it. */
#ifndef KEDGE_SCHEMA_DECODE_H
#define KEDGE_SCHEMA_DECODE_H
#include "schema.h"

/* A path is a chain of frames on the stack. */
struct path {
	const struct path *up;
	const char *name;    /* of a field; NULL for an item */
	const char *bracket; /* [key] of a map, or NULL */
	size_t item;
};

struct decoder {
	enum schema_mode mode;
	struct arena *a;
	struct complaints *cs;
	int quiet; /* within something that a warning already covers */
};

void decode_wrong(struct decoder *, const struct tree *, const struct path *, const char *fmt,
		  ...) __attribute__((format(printf, 4, 5)));
void decode_doubt(struct decoder *, const struct tree *, const struct path *, const char *fmt,
		  ...) __attribute__((format(printf, 4, 5)));
/* A field that the kind does not have, the path's last; `near`: what may have been meant, or
 * NULL.  A warning when the mode is lenient. */
void decode_unknown(struct decoder *, const struct tree *key, const struct path *,
		    const char *near);
/* "must be WANT, not the number 80" */
void decode_mismatch(struct decoder *, const char *want, const struct tree *,
		     const struct path *);

/* The same without the value, which may be a secret. */
void decode_mismatch_unseen(struct decoder *, const char *want, const struct tree *,
			    const struct path *);

/* One value each, checked by its row; what is wrong is complained about and read as 0 or NULL.
 */
void decode_check(struct decoder *, const struct field *, const struct tree *,
		  const struct path *);
const char *decode_str(struct decoder *, const struct field *, const struct tree *,
		       const struct path *);
int64_t decode_int(struct decoder *, const struct field *, const struct tree *,
		   const struct path *);
void decode_iors(struct decoder *, const struct field *, const struct tree *,
		 const struct path *, struct iors *ret);
const char *decode_quantity(struct decoder *, const struct tree *, const struct path *);
int64_t decode_time(struct decoder *, const struct tree *, const struct path *);
const char *decode_base64(struct decoder *, const struct tree *, const struct path *);
#endif
