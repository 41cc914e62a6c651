/* cli_source.h -- questions about sources and revisions that several commands ask. */
#ifndef KEDGE_CLI_SOURCE_H
#define KEDGE_CLI_SOURCE_H
#include "../reconcile/object.h"
#include "cli.h"

json_t *cli_list(struct cli_call *, enum resource_id, struct error **); /* caller decrefs */
void cli_sleep(int64_t ms);
int64_t revision_number(json_t *revision);
/* The source's revision with the greatest number below `below` (0: any) that passes
 * `fits` (NULL: all do); borrowed from `revisions`, NULL: none. */
json_t *revision_newest(struct cli_call *, json_t *revisions, const char *source, int64_t below,
			bool (*fits)(struct cli_call *, json_t *));
#endif
