/* hand_etc.h -- what pods are told of names: resolv.conf and hosts, with the host's own. */
#ifndef KEDGE_HAND_ETC_H
#define KEDGE_HAND_ETC_H
#include "../reconcile/schema.h"

struct arena;

/* Lines of a pod's /etc/resolv.conf, NULL-terminated.  host: the host's file as text, used as
 * far as `host` of the arguments says. */
const char *const *etc_resolv(const struct dns_args *, const char *host, struct arena *);
/* The host's resolv.conf; "" when there is none.  A stub on loopback, which no pod
 * reaches, is passed over for what stands behind it. */
const char *etc_host_resolv(struct arena *);
/* `lines` with the host's own hosts file behind its first line, NULL-terminated. */
const char *const *etc_hosts_with_host(const struct strs *lines, struct arena *);
#endif
