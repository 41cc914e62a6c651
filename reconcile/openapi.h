/* openapi.h -- the kinds as OpenAPI documents, for `kubectl explain` and its checks.
 *
 * Pure, and all from kinds.def and resources.def: a row's limits, default and words are its
 * description where it has none of its own.
 */
#ifndef KEDGE_OPENAPI_H
#define KEDGE_OPENAPI_H
#include "object.h"

/* {"paths":{"api/v1":{"serverRelativeURL":...}}}: where the document of each group is. */
void openapi_v3_index(struct buf *);
/* The OpenAPI 3.0 document of one group and version; false: there is none. */
bool openapi_v3(const char *group, const char *version, struct buf *);
/* The Swagger 2.0 document of all. */
void openapi_v2(struct buf *);
#endif
