/* notify.c -- one datagram, as sd_notify(3) describes it. */
#include "notify.h"
#include "../reconcile/base/cleanup.h"
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

void
notify_send(const char *state)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	cleanup_close int fd = -1;
	size_t n = path ? strlen(path) : 0;

	if (!n || n >= sizeof sa.sun_path)
		return;
	memcpy(sa.sun_path, path, n);
	if (*path == '@') /* systemd's abstract sockets */
		sa.sun_path[0] = 0;
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd >= 0)
		(void)!sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&sa,
			      offsetof(struct sockaddr_un, sun_path) + n);
}

long
notify_watchdog_ms(void)
{
	const char *us = getenv("WATCHDOG_USEC");
	long n = us ? strtol(us, NULL, 10) : 0;

	return n > 0 ? n / 2000 : 0;
}
