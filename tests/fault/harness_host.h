/* harness_host.h -- tests that make pods or packets run on a test host. */
#ifndef KEDGE_FAULT_HARNESS_HOST_H
#define KEDGE_FAULT_HARNESS_HOST_H
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* Goes on only where pods and packets may be made: starts itself there otherwise. */
static inline void
need_test_host(char **argv)
{
	if (getenv("KEDGE_TEST_HOST"))
		return;
	execl("tests/host", "tests/host", argv[0], (char *)NULL);
	perror("tests/host");
	exit(1);
}
#endif
