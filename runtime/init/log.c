/* log.c -- what a container prints becomes `TIME stdout F line` in N.log.
 *
 * The reader is here and not in the daemon, so that a container never blocks
 * and never gets SIGPIPE because the daemon is away.  What the disk cannot take
 * is dropped and counted; the count is the next line that fits.
 */
#include <errno.h>
#include <fcntl.h>
#include <time.h>

#include "runtime/init/init.h"

static char chunk[TAIL_MAX];
static char out[TAIL_MAX + 4096];
static size_t out_len;

/* 1970-01-01 plus so many days, by the civil calendar. */
static void
date_of(int64_t days, int *y, int *m, int *d)
{
	int64_t z = days + 719468, era = z / 146097, doe = z - era * 146097;
	int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100), mp = (5 * doy + 2) / 153;

	*d = (int)(doy - (153 * mp + 2) / 5 + 1);
	*m = (int)(mp < 10 ? mp + 3 : mp - 9);
	*y = (int)(yoe + era * 400 + (*m <= 2));
}

/* "2026-11-20T11:08:42.123456789Z", or "20261120-110842.123456789" for a file's name. */
static void
stamp(struct text *t, bool name)
{
	struct timespec now = { 0 };
	int y, m, d;

	sys(clock_gettime, CLOCK_REALTIME, &now);
	date_of(now.tv_sec / 86400, &y, &m, &d);
	text_num(t, (uint64_t)y, 4);
	text_add(t, name ? "" : "-");
	text_num(t, (uint64_t)m, 2);
	text_add(t, name ? "" : "-");
	text_num(t, (uint64_t)d, 2);
	text_add(t, name ? "-" : "T");
	text_num(t, (uint64_t)(now.tv_sec / 3600 % 24), 2);
	text_add(t, name ? "" : ":");
	text_num(t, (uint64_t)(now.tv_sec / 60 % 60), 2);
	text_add(t, name ? "" : ":");
	text_num(t, (uint64_t)(now.tv_sec % 60), 2);
	text_add(t, ".");
	text_num(t, (uint64_t)now.tv_nsec, 9);
	text_add(t, name ? "" : "Z");
}

static int
log_open(struct log *l, const struct w_pod *pod)
{
	char name[32];
	struct text t = TEXT(name);
	int64_t end;

	text_num(&t, (uint64_t)l->run, 1);
	text_add(&t, ".log");
	l->fd = (int)sys(openat, l->dir, name,
			 O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0640);
	if (l->fd < 0)
		return l->fd;
	sys(fchown, l->fd, -1, pod->log_gid);
	end = sys(lseek, l->fd, 0, 2);
	l->size = end > 0 ? end : 0;
	return 0;
}

static bool
starts_with(const char *s, const struct text *t)
{
	size_t n = strlen(s);

	return n >= t->len && memcmp(s, t->at, t->len) == 0;
}

/* Removes files that begin with `prefix`: the oldest until `keep` are left.
 * Their names sort by time.  What was read of the output waits in `chunk` meanwhile. */
static void
log_prune(struct log *l, const struct text *prefix, int keep)
{
	static char list[4096] __attribute__((aligned(8)));

	for (;;) {
		char oldest[64] = "";
		long fd = sys(openat, l->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), n;
		int seen = 0;

		if (fd < 0)
			return;
		while ((n = sys(getdents64, fd, list, sizeof(list))) > 0)
			for (long at = 0; at < n;) {
				struct dirent64 *e = (struct dirent64 *)(list + at);
				struct text t = TEXT(oldest);

				at += e->reclen;
				if (!starts_with(e->name, prefix))
					continue;
				seen++;
				if (!oldest[0] || strcmp(e->name, oldest) < 0)
					text_add(&t, e->name);
			}
		sys(close, fd);
		if (seen <= keep || sys(unlinkat, l->dir, oldest, 0) < 0)
			return;
	}
}

static void
log_rotate(struct log *l, const struct w_pod *pod)
{
	char now[32], then[64];
	struct text a = TEXT(now), b = TEXT(then);

	text_num(&a, (uint64_t)l->run, 1);
	text_add(&a, ".log");
	text_add(&b, now);
	text_add(&b, ".");
	log_prune(l, &b, (int)pod->log_files > 2 ? (int)pod->log_files - 2 : 0);
	stamp(&b, true);
	sys(renameat, l->dir, now, l->dir, then);
	sys(close, l->fd);
	log_open(l, pod);
	/* of two files in all, the one just put aside is the second */
	if (pod->log_files < 2)
		sys(unlinkat, l->dir, then, 0);
}

static int
run_open(struct log *l, const struct w_pod *pod)
{
	long dir;

	if (l->dir < 0) {
		bool fresh = sys(mkdirat, AT_FDCWD, pod->log_dir, 0750) >= 0;

		dir = sys(openat, AT_FDCWD, pod->log_dir,
			  O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (dir < 0)
			return (int)dir;
		if (fresh)
			sys(fchown, dir, -1, pod->log_gid);
		sys(mkdirat, dir, l->container, 0750);
		l->dir = (int)sys(openat, dir, l->container,
				  O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		sys(close, dir);
		if (l->dir < 0)
			return l->dir;
		sys(fchown, l->dir, -1, pod->log_gid);
	}
	if (l->run >= 2) { /* --previous is kept, what was before it goes */
		char old[32];
		struct text t = TEXT(old);

		text_num(&t, (uint64_t)l->run - 2, 1);
		text_add(&t, ".log");
		log_prune(l, &t, 0);
	}
	return log_open(l, pod);
}

void
log_start(struct log *l, const struct w_pod *pod, const char *container, int run)
{
	if (l->fd >= 0)
		sys(close, l->fd);
	l->fd = -1;
	l->run = run;
	l->container = container;
	run_open(l, pod);
}

static void
flush(struct log *l, const struct w_pod *pod)
{
	long n;

	if (out_len == 0)
		return;
	if (l->fd >= 0 && pod->log_max > 0 && l->size > 0 &&
	    l->size + (int64_t)out_len > pod->log_max)
		log_rotate(l, pod);
	n = l->fd < 0 ? -EBADF : sys(write, l->fd, out, out_len);
	if (n > 0)
		l->size += n;
	if (n != (long)out_len)
		l->lost += (int64_t)out_len - (n > 0 ? n : 0);
	out_len = 0;
}

static void
add(struct log *l, const struct w_pod *pod, const char *s, size_t n)
{
	while (n > 0) {
		size_t part = sizeof(out) - out_len < n ? sizeof(out) - out_len : n;

		memcpy(out + out_len, s, part);
		out_len += part;
		s += part;
		n -= part;
		if (out_len == sizeof(out))
			flush(l, pod);
	}
}

static void
record(struct stream *s, struct log *l, const struct w_pod *pod, const char *rest, size_t n,
       bool full)
{
	char head[64];
	struct text t = TEXT(head);

	if (out_len + n + s->len + sizeof(head) > sizeof(out))
		flush(l, pod);
	stamp(&t, false);
	text_add(&t, s->err ? " stderr " : " stdout ");
	text_add(&t, full ? "F " : "P ");
	add(l, pod, head, t.len);
	add(l, pod, s->tail, s->len);
	add(l, pod, rest, n);
	add(l, pod, "\n", 1);
	s->len = 0;
}

/* Says what was lost, once the disk takes bytes again. */
static void
confess(struct log *l, const struct w_pod *pod)
{
	char line[128];
	struct text t = TEXT(line);
	long n;

	if (l->fd < 0)
		run_open(l, pod);
	stamp(&t, false);
	text_add(&t, " stderr F kedge: ");
	text_num(&t, (uint64_t)l->lost, 1);
	text_add(&t, " bytes of this log could not be written and are lost\n");
	n = l->fd < 0 ? -1 : sys(write, l->fd, line, t.len);
	if (n == (long)t.len)
		l->lost = 0;
}

static void
take(struct stream *s, struct log *l, const struct w_pod *pod, const char *at, size_t n)
{
	while (n > 0) {
		const char *end = text_find(at, n, '\n');
		size_t part = end ? (size_t)(end - at) : n;

		if (s->len + part >= TAIL_MAX && !(end && s->len + part == TAIL_MAX)) {
			part = TAIL_MAX - s->len;
			record(s, l, pod, at, part, false);
		} else if (end) {
			record(s, l, pod, at, part, true);
			part++;
		} else {
			memcpy(s->tail + s->len, at, part);
			s->len += (uint32_t)part;
		}
		at += part;
		n -= part;
	}
}

/* What is left without a newline is a line. */
static void
stream_end(struct stream *s, struct log *l, const struct w_pod *pod)
{
	if (s->len)
		record(s, l, pod, "", 0, true);
	flush(l, pod);
	sys(close, s->fd);
	s->fd = -1;
}

static bool
pump(struct init *in, struct stream *s, struct log *l)
{
	const struct w_pod *pod = &in->pod;
	long n = sys(read, s->fd, chunk, sizeof(chunk));

	if (n == -EAGAIN || n == -EINTR)
		return false;
	if (n > 0) {
		if (l->lost)
			confess(l, pod);
		if (s->taps)
			attach_copy(in, s, chunk, (size_t)n);
		take(s, l, pod, chunk, (size_t)n);
		flush(l, pod);
		return true;
	}
	stream_end(s, l, pod); /* a terminal says so with EIO */
	return false;
}

void
log_pump(struct init *in, struct stream *s, struct log *l)
{
	pump(in, s, l);
}

void
log_drain(struct init *in, struct stream *s, struct log *l)
{
	enum { PIPE_MAX = 1 << 20 };

	/* No more than the largest pipe holds: somebody outside may still write to it. */
	for (size_t n = 0; n <= PIPE_MAX / sizeof(chunk) && s->fd >= 0 && pump(in, s, l); n++)
		;
	if (s->fd >= 0)
		stream_end(s, l, &in->pod); /* the run is over all the same */
}

/* The text of the last lines of this run, at most `room` bytes: 80 lines and 2048 bytes are
 * what the kubelet takes, too. */
uint32_t
log_last(const struct log *l, char *to, uint32_t room)
{
	enum { LINES = 80, BYTES = 2048 };
	int64_t from = l->size > (int64_t)sizeof(chunk) ? l->size - (int64_t)sizeof(chunk) : 0;
	char name[32];
	struct text t = TEXT(name);
	long fd, n, at;
	uint32_t len = 0;
	int lines = 0;

	if (room > BYTES)
		room = BYTES;
	text_num(&t, (uint64_t)l->run, 1);
	text_add(&t, ".log");
	fd = sys(openat, l->dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return 0;
	n = sys(pread64, fd, chunk, sizeof(chunk), from);
	sys(close, fd);
	/* from the end: each record is "TIME STREAM TAG text\n", cut off in front where
	 * there is no more room */
	for (at = n; at > 0 && len < room && lines < LINES;) {
		long end = at, begin, text, spaces = 0;

		for (begin = end - 1; begin > 0 && chunk[begin - 1] != '\n';)
			begin--;
		if (begin == 0 && from > 0)
			break; /* its beginning was not read */
		for (text = begin; text < end && spaces < 3; text++)
			spaces += chunk[text] == ' ';
		/* the end of a line that was cut into parts is its last part's */
		if (text > 1 && chunk[text - 2] == 'P')
			end--;
		if ((uint32_t)(end - text) > room - len)
			text = end - (long)(room - len);
		len += (uint32_t)(end - text);
		memcpy(to + room - len, chunk + text, (size_t)(end - text));
		lines++;
		at = begin;
	}
	memmove(to, to + room - len, len);
	return len;
}
