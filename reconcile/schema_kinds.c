/* schema_kinds.c -- the rows of kinds.def, wire.def, config.def, resources.def as tables.
 *
 * A row learns its struct from a typedef local to its kind's function, so the
 * kind's table is local too.  Its assembler name is how the table of resources,
 * which must be constant, points to it.
 */
#include "object.h"
#include "rules.h"
#include "schema.h"

#define PORT      .min = 1, .max = 65535
#define MODE      .min = 0, .max = 511
#define ID        .min = 0, .max = INT32_MAX, .both = true
#define NATURAL   .min = 0, .max = INT32_MAX
#define NATURAL64 .min = 0, .max = INT64_MAX
#define POSITIVE  .min = 1, .max = INT32_MAX

#define ROW(f, t, ...) \
	{ .name = #f, .len = sizeof #f - 1, .off = offsetof(SELF, f), .type = t, __VA_ARGS__ },
/* clang-format off */
#define KIND(k, ...)	static const struct kind_hooks k##_hooks = { __VA_ARGS__ }; \
			const struct kind *k##_kind(void) { \
				typedef struct k SELF; static const struct field rows[] = {
#define STR(f, ...)	ROW(f, T_STR, __VA_ARGS__)
#define INT(f, ...)	ROW(f, T_INT, __VA_ARGS__)
#define BOOL(f, ...)	ROW(f, T_BOOL, __VA_ARGS__)
#define QTY(f, ...)	ROW(f, T_QTY, __VA_ARGS__)
#define IORS(f, ...)	ROW(f, T_IORS, __VA_ARGS__)
#define TIME(f, ...)	ROW(f, T_TIME, __VA_ARGS__)
#define MAP(f, ...)	ROW(f, T_MAP, __VA_ARGS__)
#define QMAP(f, ...)	ROW(f, T_QMAP, __VA_ARGS__)
#define QMAP_AS(f, n, ...) { .name = n, .len = sizeof n - 1, .off = offsetof(SELF, f), .type = T_QMAP, __VA_ARGS__ },
#define STRS(f, ...)	ROW(f, T_STRS, __VA_ARGS__)
#define INTS(f, ...)	ROW(f, T_INTS, __VA_ARGS__)
#define ANY(f, ...)	ROW(f, T_ANY, __VA_ARGS__)
#define OBJ(k, f, ...)	ROW(f, T_OBJ, .of = k##_kind, __VA_ARGS__)
#define LIST(k, f, ...)	ROW(f, T_LIST, .of = k##_kind, __VA_ARGS__)
#define END(k)		{0} }; \
			_Static_assert(sizeof rows / sizeof *rows <= 65, #k " has more rows than bits"); \
			static const struct kind self __asm__(#k "_schema") = { #k, sizeof(SELF), rows, \
				sizeof rows / sizeof *rows - 1, &k##_hooks }; \
			return &self; }
#include "kinds.def"
#include "wire.def"
#include "config.def"
#include "kinds.undef"

#define RESOURCE(k, ...) extern const struct kind k##_schema;
#include "resources.def"
#undef RESOURCE
#define RESOURCE(k, K, g, v, many, one, few, ns, cat) \
	[RES_##k] = { RES_##k, #K, g, v, sizeof g > 1 ? g "/" v : v, many, one, few, ns, cat, &k##_schema },
const struct resource resources[RES_COUNT] = {
#include "resources.def"
};
#undef RESOURCE

/* Every resource begins as struct object does. */
#define RESOURCE(k, ...) \
	_Static_assert(offsetof(struct k, apiVersion) == offsetof(struct object, apiVersion) && \
		       offsetof(struct k, kind) == offsetof(struct object, kind) && \
		       offsetof(struct k, metadata) == offsetof(struct object, metadata), #k);
#include "resources.def"
#undef RESOURCE
/* clang-format on */
