/* oplist.c -- a list of ops in the making. */
#include <stdarg.h>
#include <string.h>

#include "runtime/oplist.h"

struct op_at
op_begin(struct buf *b, enum op_code code, unsigned flags, int64_t num)
{
	struct op op = { .code = (uint16_t)code, .flags = (uint16_t)flags, .num = { num } };
	struct op_at o = { b, b->len };

	buf_add(b, &op, sizeof(op));
	return o;
}

void
op_str(struct op_at o, const char *s)
{
	buf_add(o.b, s, strlen(s) + 1);
	((struct op *)(o.b->at + o.at))->nstr++;
}

void
op_end(struct op_at o)
{
	size_t bytes = o.b->len - o.at - sizeof(struct op);
	struct op *op;

	while (o.b->len % 8)
		buf_addc(o.b, '\0');
	op = (struct op *)(o.b->at + o.at);
	op->bytes = (uint32_t)bytes;
	op->len = (uint32_t)(o.b->len - o.at);
	((struct ops_head *)o.b->at)->n++;
}

/* An op whose texts are known one by one; NULL ends them. */
void
op_put(struct buf *b, enum op_code code, unsigned flags, int64_t num, ...)
{
	struct op_at o = op_begin(b, code, flags, num);
	const char *s;
	va_list ap;

	va_start(ap, num);
	while ((s = va_arg(ap, const char *)))
		op_str(o, s);
	va_end(ap);
	op_end(o);
}
