/* rules_one.h -- what rules.c and rules_one.c share; for them alone. */
#ifndef KEDGE_NETPROXY_RULES_ONE_H
#define KEDGE_NETPROXY_RULES_ONE_H
#include "rules.h"

/* What differs from one family to the other: IPv4's, IPv6's. */
extern const struct rules_words {
	const char *reject, *loopback, *mask;
	unsigned bits; /* of an address */
} rules_words[2];

bool rules_all_local(const struct np_service *);
bool rules_has_outside(const struct np_service *); /* an entrance but its VIP */
bool rules_has_entry(const struct np_service *);   /* a chain for who comes from outside */
/* "KDG-S-...", of the kind that is named by that letter. */
void rules_service_chain(const struct np_service *, char kind, char to[static RULES_NAME]);
#endif
