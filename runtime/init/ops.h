/* ops.h -- a container's set-up as data.
 *
 * The hand compiles a container and its image into a list of ops once
 * (ops.c); kedge-init walks it in the new process at each start, and the JOIN ones for
 * each exec, also when nobody is there to ask.  All paths of ops are either
 * the host's own, below directories only root can write, or the container's, which
 * are resolved with openat2 below the descriptor of its root and nothing else.
 */
#ifndef KEDGE_OPS_H
#define KEDGE_OPS_H
#include <stdint.h>

enum { OPS_MAGIC = 0x6f70736b, OPS_MAX = 8 << 20 };

struct ops_head {
	uint32_t magic, size; /* of everything, a multiple of 8 */
	uint32_t n;
	int32_t stop_signal;
	char image_id[80]; /* for the hand that adopts the pod */
};

struct op {
	uint16_t code, flags;
	uint32_t len;         /* with this struct and padding: a multiple of 8 */
	uint32_t nstr, bytes; /* strings, each with its NUL; or raw bytes */
	int64_t num[1];
	char text[];
};

/* Flags of OP_VOLUME. */
enum op_volume {
	V_READ_ONLY = 1,
	V_READ_ONLY_BELOW = 2, /* and all that is mounted within */
	V_RECURSIVE = 4,       /* with what is mounted within */
	V_HEARS = 8,           /* what the host mounts within later appears, too */
	V_TELLS = 128,         /* and the other way round: the next tree of OP_SHARE */
	V_OPERATOR = 16,       /* the source is the operator's word: links in it count */
	V_FILES = 32,          /* made of links by kedge alone: those may be followed */
	V_AS_IS = 64,          /* a sub path that is missing is not made */
	V_OWNED = 256,         /* a tmpfs of the pod's own ids: not mapped */
	V_DEVICES = 512,       /* its device nodes open */
};

enum op_code {
#define OP(name, words, join) OP_##name,
#include "ops.def"
#undef OP
	OP_COUNT
};
#endif
