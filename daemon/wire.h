/* wire.h -- framed messages between brain, hand and workers, with descriptors.
 *
 * A frame is a 4-byte length, a 1-byte count of descriptors, then text: one
 * line, and after its newline (when there is one) a JSON body.  The socket is a
 * stream; sending never blocks, what does not fit is kept and sent when the
 * loop says so.
 */
#ifndef KEDGE_WIRE_H
#define KEDGE_WIRE_H
#include "../reconcile/base/buf.h"
#include <stdbool.h>
#include <stddef.h>

struct event_base;
struct error;
struct wire;

enum { WIRE_MAX = 64 << 20, WIRE_FDS = 8 };

struct message {
	char *line; /* NUL-terminated */
	char *body; /* JSON, "" when there is none */
	size_t body_len;
	int fds[WIRE_FDS]; /* the receiver takes those it wants by setting them to -1 */
	int nfds;
};

/* Calls `on_message` for each frame, and `on_end` once when the peer is gone
 * or talks nonsense (then with the reason).  Takes fd. */
struct wire *wire_new(struct event_base *, int fd,
		      void (*on_message)(void *ctx, struct message *),
		      void (*on_end)(void *ctx, const char *why), void *ctx);
void wire_free(struct wire *);
/* Dups the descriptors.  `body` may be NULL.  Nothing is sent when it fails: the
 * message is larger than WIRE_MAX, or no descriptor is left. */
int wire_send(struct wire *, const char *line, const char *body, const int *fds, int nfds,
	      struct error **);
#endif
