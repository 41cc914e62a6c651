/* tables_legacy.h -- tables.h for the kernel's older iptables; for tables.c alone. */
#ifndef KEDGE_TABLES_LEGACY_H
#define KEDGE_TABLES_LEGACY_H
#include "tables.h"

int legacy_print(const struct tables *, uint64_t *ret, struct error **);
int legacy_read(const struct tables *, struct seen *, struct error **);
bool legacy_has_match(const struct tables *, const char *name, uint8_t revision);
bool legacy_any(const struct tables *); /* rules beside the empty tables */

/* tables.c's, for both kinds */
bool seen_ours(const struct seen *, const char *chain);
void seen_chain(struct seen *, enum rules_table, const char *name);
/* `to`: the chain it jumps to, or NULL. */
void seen_rule(struct seen *, enum rules_table, const char *chain, const char *to);
#endif
