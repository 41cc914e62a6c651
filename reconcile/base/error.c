/* error.c -- makes, wraps and frees what error.h describes. */
#include "error.h"
#include "buf.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#undef fail
#undef fail_sys
#undef fail_in
#undef fail_with

static const struct why_facts facts[WHY_COUNT] = {
	[WHY_NONE] = { 200, "" },
#define ERR(name, http, reason) [WHY_##name] = { http, reason },
#include "errors.def"
#undef ERR
};

const struct why_facts *
why_facts(enum why why)
{
	return &facts[why < WHY_COUNT ? why : WHY_INTERNAL];
}

static void
error_set(struct error **e, enum why why, int err, char *msg)
{
	struct error *x;

	if (!e) {
		free(msg);
		return;
	}
	error_free(e);
	x = xcalloc(1, sizeof *x);
	*x = (struct error){ why, err, msg };
	*e = x;
}

int
fail(struct error **e, enum why why, const char *fmt, ...)
{
	char *msg = NULL;
	va_list ap;

	va_start(ap, fmt);
	xvasprintf(&msg, fmt, ap);
	va_end(ap);
	error_set(e, why, 0, msg);
	return -1;
}

int
fail_sys(struct error **e, const char *fmt, ...)
{
	int err = errno;
	char *what = NULL, *msg = NULL;
	va_list ap;

	va_start(ap, fmt);
	xvasprintf(&what, fmt, ap);
	va_end(ap);
	xasprintf(&msg, "%s: %s%s", what, strerror(err),
		  err == ENOSYS ? ": this kernel lacks a system call; kedge needs Linux 5.12"
				: "");
	free(what);
	error_set(e, WHY_IO, err, msg);
	errno = err;
	return -1;
}

int
fail_in(struct error **e, const char *fmt, ...)
{
	char *where = NULL, *msg = NULL;
	va_list ap;

	if (!e || !*e)
		return -1;
	va_start(ap, fmt);
	xvasprintf(&where, fmt, ap);
	va_end(ap);
	xasprintf(&msg, "%s: %s", where, (*e)->msg);
	free(where);
	free((*e)->msg);
	(*e)->msg = msg;
	return -1;
}

int
fail_with(struct error **e, struct error **why)
{
	if (e) {
		error_free(e);
		*e = *why;
		*why = NULL;
	}
	error_free(why);
	return -1;
}

const char *
error_text(const struct error *e)
{
	return e && e->msg ? e->msg : "unknown error";
}

void
error_free(struct error **e)
{
	if (!e || !*e)
		return;
	free((*e)->msg);
	free(*e);
	*e = NULL;
}
