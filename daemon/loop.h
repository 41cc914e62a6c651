/* loop.h -- the event loop's small change. */
#ifndef KEDGE_LOOP_H
#define KEDGE_LOOP_H
#include <event2/event.h>
#include <stdint.h>

/* Fires once, in `ms` milliseconds at the earliest; a timer that runs starts anew. */
static inline void
timer_arm(struct event *timer, int64_t ms)
{
	struct timeval tv = { ms / 1000, ms % 1000 * 1000 };

	event_add(timer, &tv);
}

/* How long to wait, in ms, after so many failures before this one: 1 s, 2 s ... a minute. */
static inline int64_t
again_after(int failures)
{
	return failures < 6 ? INT64_C(1000) << failures : INT64_C(60) * 1000;
}
#endif
