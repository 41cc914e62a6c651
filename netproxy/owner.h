/* owner.h -- one bridge and one set of chains is one kedged's.
 *
 * Two marks: a socket with an abstract name, which is of this network namespace
 * alone and ends with the process, says that the owner lives; the bridge's alias says who
 * it is, "kedge KDG PID STATE", and stays.  What an owner that is gone for good
 * left (its state folder does not exist any more) may be taken over.
 */
#ifndef KEDGE_OWNER_H
#define KEDGE_OWNER_H
#include "netproxy.h"
#include "nl.h"

enum { OWNER_LOCKS = 2, OWNER_ALIAS = 256 };
struct owner {
	int locks[OWNER_LOCKS]; /* -1: none */
};

/* Does nothing for a configuration without an owner. */
int owner_take(struct owner *, const struct np_config *, struct nl *, struct error **);
void owner_drop(struct owner *);
void owner_alias(const struct np_config *, char to[static OWNER_ALIAS]); /* "" without one */
/* Whose link is that?  " (of the kedged with ...)", or "". */
void owner_text(struct nl *, unsigned index, char to[static OWNER_ALIAS + 64]);
#endif
