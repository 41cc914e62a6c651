/* copy.c -- see copy.h. */
#include "runtime/init/copy.h"

#include <errno.h>

#include "runtime/init/init.h"

char copy_io[COPY_IO];
int copy_status;

bool
read_full(int fd, void *to, size_t n)
{
	char *at = to;

	while (n) {
		long r = sys(read, fd, at, n);

		if (r == -EINTR)
			continue;
		if (r <= 0)
			return false;
		at += r;
		n -= (size_t)r;
	}
	return true;
}

bool
write_full(int fd, const void *from, size_t n)
{
	const char *at = from;

	while (n) {
		long r = sys(write, fd, at, n);

		if (r == -EINTR)
			continue;
		if (r <= 0)
			return false;
		at += r;
		n -= (size_t)r;
	}
	return true;
}

void
copy_say(const char *what, const char *path, const char *why)
{
	copy_status = 1;
	write_full(2, what, strlen(what));
	write_full(2, path, strlen(path));
	if (*why) {
		write_full(2, ": ", 2);
		write_full(2, why, strlen(why));
	}
	write_full(2, "\n", 1);
}

void
copy_fail(const char *path, long err)
{
	char why[64] = "";
	struct text t = TEXT(why);

	text_err(&t, (int)err);
	copy_say("", path, why);
}

int
copy_main(int argc, char **argv)
{
	if (argc == 2 && strcmp(argv[0], "out") == 0)
		return copy_out(argv[1]);
	if (argc == 3 && strcmp(argv[0], "in") == 0)
		return copy_in(argv[1], argv[2]);
	return 2;
}
