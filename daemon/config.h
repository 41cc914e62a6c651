/* config.h -- kedge.yaml and the command line, as one checked value. */
#ifndef KEDGE_CONFIG_H
#define KEDGE_CONFIG_H
#include "../reconcile/schema.h"
#include "../reconcile/snapshot.h"

struct error;

#define CONFIG_FILE "/etc/kedge/kedge.yaml"

/* Reads a file; every complaint is added.  NULL when it cannot be read at all
 * (then `e`) or when it has errors (then only complaints).  All in the arena. */
struct config *config_read(const char *path, struct arena *, struct complaints *,
			   struct error **);
struct config *config_default(struct arena *);
/* "[NAME=]URL|DIR[#REF][,path=SUBDIR]"; the name defaults to the last part of the URL. */
int config_add_source(struct config *, const char *text, struct arena *, struct error **);
/* Rules across fields: ranges do not overlap, names are unique, listen is on
 * loopback.  Fills in what depends on other fields (cgroup, source types). */
int config_finish(struct config *, struct arena *, struct error **);
/* What of a finished one is as the operator says, but hardly as they mean it: sentences. */
struct strs config_doubts(const struct config *, struct arena *);
/* What controllers need of it.  Strings are shared with the config. */
int config_settings(const struct config *, struct settings *ret, struct error **);
/* The ranges of IPv6 as text, the pods' first; none where there is no IPv6. */
struct strs config_ranges(const struct settings *, struct arena *);
/* A source as its worker is told of it.  Strings are shared. */
struct watch_args config_watch(const struct config_source *);
/* In host order. */
int ipv4_parse(const char *text, uint32_t *ret, struct error **);
int addr_parse(const char *text, addr *ret, struct error **);
/* "127.0.0.1:8001" */
int listen_parse(const char *text, uint32_t *ret_ip, uint16_t *ret_port, struct error **);
enum { SECURE_PORT = 6443 };
/* Where the API is served over TLS; false: nowhere. */
bool config_secure(const struct config *, const struct settings *, uint32_t *ret_ip,
		   uint16_t *ret_port);
#endif
