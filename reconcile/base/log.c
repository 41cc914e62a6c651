/* log.c -- a line is one write, and no control character reaches the terminal. */
#include "log.h"
#include "buf.h"
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *log_who = "";

void
log_role(const char *role)
{
	log_who = role;
}

static bool
log_traces(const char *area)
{
	const char *want = getenv("KEDGE_TRACE");
	size_t n = strlen(area);

	if (!want)
		return false;
	if (!strcmp(want, "all"))
		return true;
	for (const char *p = want; (p = strstr(p, area)); p += n)
		if ((p == want || p[-1] == ',') && (p[n] == ',' || !p[n]))
			return true;
	return false;
}

/* One write a line, so that brain and hand do not mix theirs. */
static void __attribute__((format(printf, 3, 0)))
log_line(const char *level, const char *subject, const char *fmt, va_list ap)
{
	cleanup_buf struct buf b = { 0 };
	ssize_t n;

	buf_addf(&b, "%s%s%s%s: ", log_who, *log_who ? ": " : "", level, subject);
	buf_vaddf(&b, fmt, ap);
	for (char *p = b.at; *p; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			*p = *p == '\n' ? ' ' : '?';
	buf_addc(&b, '\n');
	n = write(STDERR_FILENO, b.at, b.len);
	(void)n; /* nowhere left to complain to */
}

#define LOG_FN(name, level)                                  \
	void name(const char *subject, const char *fmt, ...) \
	{                                                    \
		va_list ap;                                  \
		va_start(ap, fmt);                           \
		log_line(level, subject, fmt, ap);           \
		va_end(ap);                                  \
	}
LOG_FN(log_err, "error: ")
LOG_FN(log_warn, "warning: ")
LOG_FN(log_info, "")

void
log_debug(const char *subject, const char *fmt, ...)
{
	va_list ap;

	if (!log_traces(subject))
		return;
	va_start(ap, fmt);
	log_line("debug: ", subject, fmt, ap);
	va_end(ap);
}
