/* move.c -- moves a ref as Git does, and waits for what must come of it.
 *
 * move REF HEX [SOCKET PATH NEEDLE...]: writes REF.lock, renames it, and prints
 * the CLOCK_MONOTONIC nanoseconds just before ("move now" prints them and does
 * nothing else).  With a socket it first opens a
 * watch of PATH there and ends, printing the nanoseconds again, at the first
 * line of it that holds every NEEDLE.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

static void
die(const char *what)
{
	fprintf(stderr, "move: %s: %s\n", what, strerror(errno));
	exit(1);
}

static long long
now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static FILE *
watch(const char *socket_path, const char *path)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	struct timeval patience = { .tv_sec = 60 };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char line[512];
	FILE *f;

	snprintf(a.sun_path, sizeof a.sun_path, "%s", socket_path);
	if (fd < 0 || connect(fd, (struct sockaddr *)&a, sizeof a) < 0)
		die(socket_path);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
	dprintf(fd, "GET %s HTTP/1.1\r\nHost: kedge\r\n\r\n", path);
	if (!(f = fdopen(fd, "r")) || !fgets(line, sizeof line, f))
		die(path);
	if (!strstr(line, " 200 ")) {
		fprintf(stderr, "move: %s: %s", path, line);
		exit(1);
	}
	return f;
}

static void
await(FILE *f, char **needles)
{
	char *line = NULL;
	size_t room = 0;

	while (getline(&line, &room, f) > 0) {
		char **n = needles;

		while (*n && strstr(line, *n))
			n++;
		if (!*n) {
			printf("%lld\n", now_ns());
			free(line);
			return;
		}
	}
	die("it did not come within 60 s");
}

static void
move(const char *ref, const char *hex)
{
	char lock[4096];
	int fd;

	snprintf(lock, sizeof lock, "%s.lock", ref);
	fd = open(lock, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (fd < 0 || dprintf(fd, "%s\n", hex) < 0 || close(fd) < 0)
		die(lock);
	printf("%lld\n", now_ns());
	if (rename(lock, ref) < 0)
		die(ref);
}

int
main(int argc, char **argv)
{
	FILE *f = NULL;

	if (argc == 2 && !strcmp(argv[1], "now"))
		return printf("%lld\n", now_ns()) < 0;
	if (argc != 3 && argc < 6) {
		fprintf(stderr, "usage: move REF HEX [SOCKET PATH NEEDLE...]\n");
		return 2;
	}
	if (argc > 3)
		f = watch(argv[3], argv[4]);
	move(argv[1], argv[2]);
	if (f)
		await(f, argv + 5);
	return 0;
}
