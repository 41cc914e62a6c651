/* log.h -- the story an operator reads at night.
 *
 * One line a call on stderr: level, subject, text.  A function returns an
 * error or logs it, never both.  debug lines appear when KEDGE_TRACE names
 * their area (`KEDGE_TRACE=hand,http,netproxy`) or is `all`.
 */
#ifndef KEDGE_LOG_H
#define KEDGE_LOG_H
#include <stdbool.h>

#define LOG_FN(name)                                         \
	void name(const char *subject, const char *fmt, ...) \
	    __attribute__((format(printf, 2, 3)))
LOG_FN(log_err);
LOG_FN(log_warn);
LOG_FN(log_info);
LOG_FN(log_debug); /* subject = area */
#undef LOG_FN

void log_role(const char *role); /* put before every line: "brain", "hand"; "" for none */
#endif
