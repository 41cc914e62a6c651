/* born.c -- the program of the bench's pods: says when it began, then waits.
 *
 * CLOCK_MONOTONIC is the host's in every container, so what moved the ref and
 * what was started by it can be compared to the nanosecond.
 */
#include <signal.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

static void
end(int sig)
{
	(void)sig;
	_exit(0);
}

int
main(void)
{
	struct timespec t;
	char line[64];
	int n;

	clock_gettime(CLOCK_MONOTONIC, &t);
	n = snprintf(line, sizeof line, "born %lld\n", t.tv_sec * 1000000000LL + t.tv_nsec);
	if (write(1, line, (size_t)n) != n)
		return 1;
	signal(SIGTERM, end);
	for (;;)
		pause();
}
