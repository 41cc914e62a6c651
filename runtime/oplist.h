/* oplist.h -- writes the list of init/ops.def behind a struct ops_head. */
#ifndef KEDGE_OPLIST_H
#define KEDGE_OPLIST_H
#include "reconcile/base/buf.h"
#include "runtime/init/ops.h"

struct op_at { /* an op that is being written */
	struct buf *b;
	size_t at;
};
struct op_at op_begin(struct buf *, enum op_code, unsigned flags, int64_t num);
void op_str(struct op_at, const char *);
void op_end(struct op_at);
/* An op whose texts are known one by one; NULL ends them. */
void op_put(struct buf *, enum op_code, unsigned flags, int64_t num, ...);
#endif
