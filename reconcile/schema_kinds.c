/* schema_kinds.c -- the rows of kinds.def and wire.def as tables. */
#include "rules.h"
#include "schema.h"

#define PORT      .min = 1, .max = 65535
#define MODE      .min = 0, .max = 511
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
#define STRS(f, ...)	ROW(f, T_STRS, __VA_ARGS__)
#define INTS(f, ...)	ROW(f, T_INTS, __VA_ARGS__)
#define ANY(f, ...)	ROW(f, T_ANY, __VA_ARGS__)
#define OBJ(k, f, ...)	ROW(f, T_OBJ, .of = k##_kind, __VA_ARGS__)
#define LIST(k, f, ...)	ROW(f, T_LIST, .of = k##_kind, __VA_ARGS__)
#define END(k)		{0} }; \
			_Static_assert(sizeof rows / sizeof *rows <= 65, #k " has more rows than bits"); \
			static const struct kind self = { #k, sizeof(SELF), rows, \
				sizeof rows / sizeof *rows - 1, &k##_hooks }; \
			return &self; }
#include "kinds.def"
#include "wire.def"
#include "kinds.undef"
/* clang-format on */
