/* dns_pace.c -- see dns_pace.h. */
#include "dns_pace.h"

unsigned
dns_pace(struct dns_pace *p, int64_t now_us, unsigned n)
{
	int64_t lasted = now_us - p->since;

	p->n += n;
	if (lasted < DNS_PACE_WINDOW_US)
		return p->pause;
	/* The first after a silence ends a window that was long, and does not wait. */
	p->pause =
	    INT64_C(1) * p->n * DNS_PACE_WINDOW_US >= DNS_PACE_FAST * lasted ? DNS_PACE_US : 0;
	p->since = now_us;
	p->n = 0;
	return p->pause;
}
