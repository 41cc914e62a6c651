/* proto.c -- objects as Kubernetes' protobuf, read by proto.def.
 *
 * What Go leaves at its zero value is on the wire all the same unless it is a pointer; such
 * fields are dropped, as its JSON's omitempty does, so that defaults apply.
 */
#include "proto.h"
#include "base/arena.h"
#include "base/base64.h"
#include "base/buf.h"
#include "base/error.h"
#include "base/utf8.h"
#include "patch_tree.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static const struct {
	const struct kind *(*kind)(void);
	const char *rows;
} protos[] = {
#define PROTO(k, rows) { k##_kind, rows },
#include "proto.def"
#undef PROTO
};

enum wire { VARINT = 0, FIXED64 = 1, BYTES = 2, FIXED32 = 5 };

struct bytes {
	const unsigned char *at, *end;
};

/* One field as it stands on the wire. */
struct item {
	unsigned number;
	enum wire wire;
	uint64_t value;     /* of VARINT */
	struct bytes bytes; /* of BYTES */
};

struct reader {
	struct arena *a;
	struct error **e;
};

/* What a message has of one row. */
struct slot {
	struct tree *tree, **tail;
};

static int
broken(struct reader *r)
{
	return fail(r->e, WHY_BAD_REQUEST, "the body cannot be read as protobuf");
}

/* ---- the wire ---- */

static int
read_varint(struct reader *r, struct bytes *b, uint64_t *ret)
{
	uint64_t v = 0;

	for (int shift = 0; shift < 70 && b->at < b->end; shift += 7) {
		unsigned char c = *b->at++;

		if (shift < 64)
			v |= (uint64_t)(c & 0x7f) << shift;
		if (!(c & 0x80)) {
			*ret = v;
			return 0;
		}
	}
	return broken(r);
}

static int
skip(struct reader *r, struct bytes *b, uint64_t n)
{
	if (n > (uint64_t)(b->end - b->at))
		return broken(r);
	b->at += n;
	return 0;
}

/* 1: one was read, 0: that was all. */
static int
read_item(struct reader *r, struct bytes *b, struct item *ret)
{
	uint64_t tag, n;

	if (b->at == b->end)
		return 0;
	if (read_varint(r, b, &tag) < 0)
		return -1;
	*ret = (struct item){ .number = (unsigned)(tag >> 3), .wire = tag & 7 };
	if (tag >> 3 == 0 || tag >> 3 > 536870911)
		return broken(r);
	switch (ret->wire) {
	case VARINT:
		return read_varint(r, b, &ret->value) < 0 ? -1 : 1;
	case BYTES:
		if (read_varint(r, b, &n) < 0)
			return -1;
		ret->bytes.at = b->at;
		if (skip(r, b, n) < 0)
			return -1;
		ret->bytes.end = b->at;
		return 1;
	case FIXED64:
	case FIXED32:
		return skip(r, b, ret->wire == FIXED64 ? 8 : 4) < 0 ? -1 : 1;
	}
	return broken(r);
}

static const char *
text_of(struct reader *r, struct bytes b)
{
	char *s = arena_strndup(r->a, (const char *)b.at, (size_t)(b.end - b.at));

	if (strlen(s) == (size_t)(b.end - b.at) && utf8_is(s))
		return s;
	broken(r);
	return NULL;
}

/* ---- values ---- */

static struct tree *
scalar(struct reader *r, enum tree_type type, const char *text)
{
	struct tree *t = text ? tree_empty(type, r->a) : NULL;

	if (t)
		t->text = text;
	return t;
}

static struct tree *
number(struct reader *r, uint64_t v)
{
	return scalar(r, N_INT, arena_printf(r->a, "%" PRId64, (int64_t)v));
}

/* Quantity{1: string}; absent: 0 */
static struct tree *
quantity(struct reader *r, struct bytes b)
{
	const char *text = "0";
	struct item i;
	int rc;

	while ((rc = read_item(r, &b, &i)) > 0)
		if (i.number == 1 && i.wire == BYTES && !(text = text_of(r, i.bytes)))
			return NULL;
	return rc < 0 ? NULL : scalar(r, N_STRING, text);
}

/* IntOrString{1: is it a string?, 2: int, 3: string} */
static struct tree *
int_or_string(struct reader *r, struct bytes b)
{
	uint64_t is_text = 0, n = 0;
	const char *text = "";
	struct item i;
	int rc;

	while ((rc = read_item(r, &b, &i)) > 0) {
		if (i.number == 1 && i.wire == VARINT)
			is_text = i.value;
		else if (i.number == 2 && i.wire == VARINT)
			n = i.value;
		else if (i.number == 3 && i.wire == BYTES && !(text = text_of(r, i.bytes)))
			return NULL;
	}
	if (rc < 0)
		return NULL;
	return is_text ? scalar(r, N_STRING, text) : number(r, n);
}

/* Time{1: seconds} */
static struct tree *
when(struct reader *r, struct bytes b)
{
	int64_t seconds = 0;
	char text[40];
	struct item i;
	int rc;

	while ((rc = read_item(r, &b, &i)) > 0)
		if (i.number == 1 && i.wire == VARINT)
			seconds = (int64_t)i.value;
	if (rc < 0)
		return NULL;
	if (seconds <= 0 || seconds > INT64_C(253402300799))
		return tree_empty(N_NULL, r->a);
	time_print(seconds * 1000, false, text);
	return scalar(r, N_STRING, arena_strdup(r->a, text));
}

static struct tree *
map_value(struct reader *r, const struct field *f, struct bytes b)
{
	if (f->type == T_QMAP)
		return quantity(r, b);
	if (f->base64)
		return scalar(r, N_STRING, base64_text(b.at, (size_t)(b.end - b.at), r->a));
	return scalar(r, N_STRING, text_of(r, b));
}

/* {1: key, 2: value} */
static struct tree *
map_entry(struct reader *r, const struct field *f, struct bytes b)
{
	struct bytes value = { b.end, b.end };
	const char *key = "";
	struct tree *t;
	struct item i;
	int rc;

	while ((rc = read_item(r, &b, &i)) > 0)
		if (i.number == 1 && i.wire == BYTES) {
			if (!(key = text_of(r, i.bytes)))
				return NULL;
		} else if (i.number == 2 && i.wire == BYTES) {
			value = i.bytes;
		}
	t = rc < 0 ? NULL : map_value(r, f, value);
	if (t)
		t->key = key;
	return t;
}

static struct tree *read_message(struct reader *, const struct kind *, struct bytes);

/* EphemeralContainer{1: what it has in common with a Container, 2: targetContainerName} */
static struct tree *
ephemeral_container(struct reader *r, struct bytes b)
{
	struct bytes common = { b.end, b.end };
	const char *target = "";
	struct members m;
	struct tree *t;
	struct item i;
	int rc;

	while ((rc = read_item(r, &b, &i)) > 0)
		if (i.number == 1 && i.wire == BYTES)
			common = i.bytes;
		else if (i.number == 2 && i.wire == BYTES && !(target = text_of(r, i.bytes)))
			return NULL;
	t = rc < 0 ? NULL : read_message(r, container_kind(), common);
	if (!t || !*target)
		return t;
	members_open(&m, r->a);
	members_add_all(&m, t);
	members_put(&m, "targetContainerName", scalar(r, N_STRING, target));
	return members_close(&m, N_MAP);
}

/* The value of one item; NULL: it cannot be read. */
static struct tree *
value_of(struct reader *r, const struct field *f, const struct item *i)
{
	switch (f->type) {
	case T_INT:
	case T_INTS:
		return number(r, i->value);
	case T_BOOL:
		return scalar(r, N_BOOL, i->value ? "true" : "false");
	case T_STR:
	case T_STRS:
		return scalar(r, N_STRING, text_of(r, i->bytes));
	case T_QTY:
		return quantity(r, i->bytes);
	case T_IORS:
		return int_or_string(r, i->bytes);
	case T_TIME:
		return when(r, i->bytes);
	case T_MAP:
	case T_QMAP:
		return map_entry(r, f, i->bytes);
	case T_LIST:
		if (!strcmp(f->name, "ephemeralContainers"))
			return ephemeral_container(r, i->bytes);
		return read_message(r, f->of(), i->bytes);
	case T_OBJ:
		return read_message(r, f->of(), i->bytes);
	case T_ANY:
		break;
	}
	return tree_empty(N_MAP, r->a); /* it is there, and that is all we can tell */
}

/* ---- messages ---- */

static const char *
rows_of(const struct kind *k)
{
	for (size_t i = 0; i < sizeof protos / sizeof *protos; i++)
		if (protos[i].kind() == k)
			return protos[i].rows;
	return "";
}

static bool
wire_fits(const struct field *f, enum wire w)
{
	bool varint = f->type == T_INT || f->type == T_INTS || f->type == T_BOOL;

	return w == (varint ? VARINT : BYTES);
}

/* The row with this number below `outer` (0: at the top); *ret_inner: it is what Go embeds. */
static const struct field *
row_of(const struct kind *k, unsigned outer, const struct item *i, bool *ret_pointer,
       bool *ret_inner)
{
	*ret_inner = false;
	for (const char *p = rows_of(k); *p; p += strcspn(p, " "), p += *p == ' ') {
		size_t n = strcspn(p, "*=");
		const char *at = p + n + (p[n] == '*') + 1;
		unsigned first = (unsigned)strtoul(at, (char **)&at, 10);
		unsigned second = *at == '.' ? (unsigned)strtoul(at + 1, NULL, 10) : 0;

		if (!outer && second && first == i->number && i->wire == BYTES)
			*ret_inner = true;
		if (outer ? first != outer || second != i->number
			  : second || first != i->number)
			continue;
		for (const struct field *f = k->fields; f->name; f++)
			if (f->len == n && !memcmp(f->name, p, n) && wire_fits(f, i->wire)) {
				*ret_pointer = p[n] == '*';
				return f;
			}
	}
	return NULL;
}

/* "", 0 and false of what is no pointer say nothing. */
static bool
says_nothing(const struct field *f, const struct item *i)
{
	if (f->type == T_STR)
		return i->bytes.at == i->bytes.end;
	return (f->type == T_INT || f->type == T_BOOL) && !i->value;
}

static void
slot_add(struct reader *r, struct slot *s, const struct field *f, struct tree *value)
{
	bool map = f->type == T_MAP || f->type == T_QMAP;

	if (!map && f->type != T_LIST && f->type != T_STRS && f->type != T_INTS) {
		s->tree = value;
		return;
	}
	if (!s->tree) {
		s->tree = tree_empty(map ? N_MAP : N_LIST, r->a);
		s->tail = &s->tree->kids;
	}
	*s->tail = value;
	s->tail = &value->next;
}

static int
read_fields(struct reader *r, const struct kind *k, unsigned outer, struct bytes b,
	    struct slot *slots)
{
	struct item i;
	int rc;

	while ((rc = read_item(r, &b, &i)) > 0) {
		bool pointer = false, inner;
		const struct field *f = row_of(k, outer, &i, &pointer, &inner);
		struct tree *value;

		if (inner && read_fields(r, k, i.number, i.bytes, slots) < 0)
			return -1;
		if (!f || (!pointer && says_nothing(f, &i)))
			continue;
		value = value_of(r, f, &i);
		if (!value)
			return -1;
		slot_add(r, &slots[f - k->fields], f, value);
	}
	return rc;
}

static struct tree *
read_message(struct reader *r, const struct kind *k, struct bytes b)
{
	struct slot slots[64] = { 0 };
	struct members m, map;

	if (read_fields(r, k, 0, b, slots) < 0)
		return NULL;
	members_open(&m, r->a);
	for (size_t i = 0; i < k->nfields; i++) {
		struct tree *t = slots[i].tree;

		if (t && t->type == N_MAP && k->fields[i].type != T_OBJ) {
			members_open(&map, r->a); /* the last of a key counts */
			for (const struct tree *x = t->kids; x; x = x->next)
				members_put(&map, x->key, x);
			t = members_close(&map, N_MAP);
		}
		if (t)
			members_put(&m, k->fields[i].name, t);
	}
	return members_close(&m, N_MAP);
}

struct tree *
proto_read(const struct kind *k, const void *bytes, size_t len, struct arena *a,
	   struct error **e)
{
	struct reader r = { a, e };

	return read_message(&r, k, (struct bytes){ bytes, (const unsigned char *)bytes + len });
}

/* ---- the envelope ---- */

/* TypeMeta{1: apiVersion, 2: kind} */
static int
read_type(struct reader *r, struct bytes b, struct proto_envelope *ret)
{
	struct item i;
	int rc;

	while ((rc = read_item(r, &b, &i)) > 0) {
		const char **to = i.number == 1   ? &ret->api_version
				  : i.number == 2 ? &ret->kind
						  : NULL;

		if (to && i.wire == BYTES && !(*to = text_of(r, i.bytes)))
			return -1;
	}
	return rc;
}

/* Unknown{1: TypeMeta, 2: raw, 3: contentEncoding, 4: contentType} */
int
proto_unwrap(const void *bytes, size_t len, struct proto_envelope *ret, struct arena *a,
	     struct error **e)
{
	struct reader r = { a, e };
	struct bytes b = { bytes, (const unsigned char *)bytes + len };
	struct proto_envelope out = { "", "", "", 0 };
	struct item i;
	int rc;

	if (len < 4 || memcmp(bytes, "k8s", 4) != 0)
		return broken(&r);
	b.at += 4;
	while ((rc = read_item(&r, &b, &i)) > 0)
		if (i.number == 1 && i.wire == BYTES) {
			if (read_type(&r, i.bytes, &out) < 0)
				return -1;
		} else if (i.number == 2 && i.wire == BYTES) {
			out.raw = i.bytes.at;
			out.len = (size_t)(i.bytes.end - i.bytes.at);
		}
	if (rc < 0)
		return -1;
	*ret = out;
	return 0;
}
