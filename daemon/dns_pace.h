/* dns_pace.h -- when to let questions gather.
 *
 * Where they come fast, a server that wakes for each spends more on waking and on
 * system calls than on answers.  So, as a network card does with its interrupts, it
 * pauses before it reads, and takes by one call what came meanwhile.  Who asks while
 * little is asked never waits.
 */
#ifndef KEDGE_DNS_PACE_H
#define KEDGE_DNS_PACE_H
#include <stdint.h>

enum {
	DNS_PACE_US = 100,         /* the pause */
	DNS_PACE_WINDOW_US = 1000, /* the shortest time that a rate is taken over */
	DNS_PACE_FAST = 20,        /* questions in that time: two come in a pause */
};

struct dns_pace {       /* zeroed: nothing was asked yet */
	int64_t since;  /* us; when the window began */
	unsigned n;     /* questions in it */
	unsigned pause; /* by the window before */
};

/* How many us to wait before the next read.  `n` were read since this was asked last. */
unsigned dns_pace(struct dns_pace *, int64_t now_us, unsigned n);
#endif
