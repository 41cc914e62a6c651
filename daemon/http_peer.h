/* http_peer.h -- who is at the other end of a socket, and may they ask. */
#ifndef KEDGE_HTTP_PEER_H
#define KEDGE_HTTP_PEER_H
#include <stdbool.h>
#include <sys/types.h>

struct error;
struct peers;

/* Who may come: root, our own user, and the members of the group that has its name (where there
 * is none, of the group kedge).  Reads the members once. */
struct peers *peers_open(void);
void peers_close(struct peers *);

/* Fills ret_who with "uid 1000" for messages. */
bool peer_unix_allowed(const struct peers *, int fd, char ret_who[32]);
bool peer_tcp_allowed(const struct peers *, int fd, char ret_who[32]);
/* The user's name, of those that were known when we started; or NULL. */
const char *peers_login(const struct peers *, uid_t);
int peers_gid(const struct peers *);           /* -1: there is no such group */
const char *peers_group(const struct peers *); /* its name */

/* Sockets to listen at.  Both return the fd or -1. */
int listen_unix(const char *path, int gid, struct error **);
int listen_loopback(const char *address, struct error **);
/* Is this Host header one by which a local program names loopback? */
bool host_is_loopback(const char *host);
#endif
