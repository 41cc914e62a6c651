/* web.c -- an HTTP server in a pod that does what servers do, and what they should not.
 *
 *   web PORT           each connection is one request, answered by the path's first part:
 *     /echo            with the request to the letter, its body (unframed) behind it
 *     /count           with the number of bytes of its body, and how it was framed
 *     /status?CODE     with that status
 *     /redirect?URL    with a redirect to there
 *     /headers         with headers of all kinds
 *     /big?N           N bytes, and the connection's end
 *     /cut             ten bytes of a hundred
 *     /two             a chunk, and another when /tmp/go is there
 *     /late            reads the body when /tmp/go is there, then as /count
 *     /early           with 413 before the body is read
 *     /rude            with bytes of no protocol;  /silent: with none
 *     /long            with headers without end; /fat: with 8000 bytes of them
 *     /switch          101, then every byte comes back; /switch?wait: when /tmp/go is there
 *     /swallow         101, then it counts what comes, slowly, into /tmp/count
 *     /never           not at all
 */
#include <err.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

static char head[1 << 16], body[1 << 16];
static size_t have, used; /* bytes in `head`, and how many of them were read as such */
static const char *framing = "none";
static size_t count;

static void
say(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	if (vdprintf(1, fmt, ap) < 0)
		exit(0);
	va_end(ap);
}

static size_t
take(char *to, size_t n)
{
	ssize_t k;

	if (used < have) {
		n = n < have - used ? n : have - used;
		memcpy(to, head + used, n);
		used += n;
		return n;
	}
	k = read(0, to, n);
	return k > 0 ? (size_t)k : 0;
}

static void
read_head(void)
{
	char *end;

	while (!(end = memmem(head, have, "\r\n\r\n", 4))) {
		ssize_t n = read(0, head + have, sizeof head - 1 - have);

		if (n <= 0)
			exit(0);
		have += (size_t)n;
	}
	used = (size_t)(end - head) + 4;
}

static const char *
header(const char *name)
{
	for (char *at = head; (at = strstr(at, "\r\n")) && at < head + used - 4;) {
		at += 2;
		if (!strncasecmp(at, name, strlen(name)) && at[strlen(name)] == ':')
			return at + strlen(name) + 1;
	}
	return NULL;
}

static void
keep(const char *at, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (count + i < sizeof body - 1)
			body[count + i] = at[i];
	count += n;
}

static int
take_all(size_t n)
{
	char piece[4096];

	while (n) {
		size_t k = take(piece, n < sizeof piece ? n : sizeof piece);

		if (!k)
			return -1;
		keep(piece, k);
		n -= k;
	}
	return 0;
}

static void
read_body(void)
{
	const char *length = header("Content-Length"), *te = header("Transfer-Encoding");

	if (length && !te) {
		framing = "length";
		if (take_all(strtoul(length, NULL, 10)) < 0)
			framing = "broken";
	}
	while (te) {
		char line[32] = "", end[2];
		size_t n = 0, size;

		framing = "chunked";
		while (n < sizeof line - 1 && take(line + n, 1) == 1 && line[n] != '\n')
			n++;
		size = strtoul(line, NULL, 16);
		if (!n || take_all(size) < 0 || take(end, 1) != 1 || take(end + 1, 1) != 1) {
			framing = "broken";
			return;
		}
		if (!size)
			return;
	}
}

static void
wait_go(void)
{
	while (access("/tmp/go", F_OK) != 0)
		usleep(20000);
}

static void
answer(int code, const char *type, const void *at, size_t n)
{
	say("HTTP/1.1 %d Because\r\nContent-Type: %s\r\nContent-Length: %zu\r\n\r\n", code,
	    type, n);
	if (write(1, at, n) < 0)
		exit(0);
}

static void
answer_count(void)
{
	char text[64];

	read_body();
	answer(200, "text/plain", text,
	       (size_t)snprintf(text, sizeof text, "%zu %s\n", count, framing));
}

static void
big(size_t n)
{
	static char x[1 << 14];

	memset(x, 'x', sizeof x);
	say("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n");
	while (n) {
		size_t k = n < sizeof x ? n : sizeof x;

		if (write(1, x, k) != (ssize_t)k)
			exit(0);
		n -= k;
	}
}

static void
switch_over(const char *query)
{
	char piece[4096];
	size_t n;

	if (!header("Upgrade")) {
		answer(426, "text/plain", "upgrade\n", 8);
		return;
	}
	say("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n"
	    "X-Over: yes\r\n\r\nahoy\n");
	if (!strcmp(query, "wait"))
		wait_go();
	while ((n = take(piece, sizeof piece)) > 0)
		if (write(1, piece, n) < 0)
			exit(0);
}

static void
swallow(void)
{
	size_t n, all = 0;
	FILE *f;

	say("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n"
	    "\r\nahoy\n");
	wait_go();
	for (; (n = take(body, sizeof body)) > 0; all += n)
		usleep(2000);
	f = fopen("/tmp/count", "w");
	if (f) {
		fprintf(f, "%zu\n", all);
		fclose(f);
	}
}

static int
is(const char *path, const char *what)
{
	return !strncmp(path, what, strlen(what));
}

static void
serve(void)
{
	char path[1024] = "", *query;
	size_t n;

	read_head();
	sscanf(head, "%*s %1023s", path);
	query = strchr(path, '?');
	query = query ? query + 1 : path + strlen(path);
	if (is(path, "/count")) {
		answer_count();
	} else if (is(path, "/status")) {
		answer(atoi(query), "text/plain", "so be it\n", 9);
	} else if (is(path, "/redirect")) {
		say("HTTP/1.1 302 Found\r\nLocation: %s\r\nContent-Length: 0\r\n\r\n", query);
	} else if (is(path, "/headers")) {
		say("HTTP/1.1 200 OK\r\nSet-Cookie: a=1\r\nset-cookie: b=2\r\nConnection: "
		    "close, X-Hop\r\nX-Hop: 1\r\nX-Kept:   spaced  \r\nX-Empty:\r\n"
		    "Access-Control-Allow-Origin: *\r\nContent-Type: text/x-odd\r\n"
		    "Content-Length: 3\r\n\r\nok\n");
	} else if (is(path, "/big")) {
		big(strtoul(query, NULL, 10));
	} else if (is(path, "/cut")) {
		say("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n0123456789");
	} else if (is(path, "/two")) {
		say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\none\n\r\n");
		wait_go();
		say("4\r\ntwo\n\r\n0\r\n\r\n");
	} else if (is(path, "/late")) {
		wait_go();
		answer_count();
	} else if (is(path, "/early")) {
		answer(413, "text/plain", "enough\n", 7);
	} else if (is(path, "/rude")) {
		say("what?\r\n");
	} else if (is(path, "/silent")) {
		return;
	} else if (is(path, "/fat")) {
		say("HTTP/1.1 200 OK\r\nX-Fat: %08000d\r\nContent-Length: 3\r\n\r\nok\n", 0);
	} else if (is(path, "/long")) {
		say("HTTP/1.1 200 OK\r\n");
		for (;;)
			say("X-More: %0100d\r\n", 0);
	} else if (is(path, "/switch")) {
		switch_over(query);
	} else if (is(path, "/swallow")) {
		swallow();
	} else if (is(path, "/never")) {
		pause();
	} else {
		n = used;
		read_body();
		say("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: "
		    "%zu\r\n\r\n",
		    n + count);
		if (write(1, head, n) < 0 || write(1, body, count) < 0)
			exit(0);
	}
}

int
main(int argc, char **argv)
{
	struct sockaddr_in at = { .sin_family = AF_INET };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;

	if (argc != 2)
		errx(2, "usage: web PORT");
	signal(SIGTERM, _exit);
	signal(SIGCHLD, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	at.sin_port = htons((uint16_t)atoi(argv[1]));
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	if (bind(fd, (struct sockaddr *)&at, sizeof at) < 0 || listen(fd, 128) < 0)
		err(1, "port %s", argv[1]);
	for (;;) {
		int client = accept(fd, NULL, NULL);

		if (client < 0)
			continue;
		if (fork() == 0) {
			dup2(client, 0);
			dup2(client, 1);
			close(client);
			serve();
			/* what was not read would make a reset of the end */
			shutdown(1, SHUT_WR);
			while (read(0, body, sizeof body) > 0)
				;
			_exit(0);
		}
		close(client);
	}
}
