/* knobs.h -- settings of the kernel's below /proc/sys/net, of the caller's network namespace.
 */
#ifndef KEDGE_NETPROXY_KNOBS_H
#define KEDGE_NETPROXY_KNOBS_H
#include <stdbool.h>

struct error;

/* `file` is below /proc/sys/net. */
int knob_get(const char *file, int *ret, struct error **);
int knob_set(const char *file, const char *value, struct error **);

/* The host's own settings that have to be so, and the value each is put back to. */
struct link_knob {
	const char *file, *ours, *theirs;
	const char *note; /* the empty chain in filter that says we turned it */
	bool v6;          /* ip6tables' filter, and only where there is IPv6 */
};
enum { KNOB_FORWARD, KNOB_REDIRECTS, KNOB_FORWARD6, LINK_KNOBS };
extern const struct link_knob link_knobs[LINK_KNOBS];

/* Sets those that are not so; the bits of those it turned are added to *turned. */
int link_knobs_turn(bool v6, unsigned *turned, struct error **);
int link_knobs_back(unsigned which, struct error **);
#endif
