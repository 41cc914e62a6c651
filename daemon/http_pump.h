/* http_pump.h -- the bytes of a tunnel over TLS, between its client and whoever serves it.
 *
 * libmicrohttpd (0.9.75) would do it itself, four bytes at a time: the head of the answer
 * takes all of its connection's memory, and it has eight bytes in reserve.  So the client's
 * socket is taken away from it while it still has the answer to send: under its number it
 * finds one at which nothing ever happens, and only the session knows the real one.
 */
#ifndef KEDGE_HTTP_PUMP_H
#define KEDGE_HTTP_PUMP_H
#include <gnutls/gnutls.h>

struct event_base;
struct pump;

/* Nobody may wait for `fd` by then: what it means changes, and its number is still to be
 * closed by who opened it.  The session speaks to the client until pump_start, and from then
 * on for the pump only.  NULL: there are no descriptors, and nothing has changed. */
struct pump *pump_new(struct event_base *, gnutls_session_t, int fd);
/* Takes NULL, and one in any state; what is still on its way is lost. */
void pump_free(struct pump *);
/* The client's socket, for its options. */
int pump_socket(const struct pump *);
/* What the client says can be read from the descriptor that is returned, what is written there
 * is said to it; it is the pump's. */
int pump_start(struct pump *);
/* Closes that descriptor.  Once the client has what was written there, or will not take it,
 * `done` is called, perhaps at once; it may free the pump. */
void pump_end(struct pump *, void (*done)(void *ctx), void *ctx);
#endif
