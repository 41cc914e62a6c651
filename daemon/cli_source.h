/* cli_source.h -- questions about sources and revisions that several commands ask. */
#ifndef KEDGE_CLI_SOURCE_H
#define KEDGE_CLI_SOURCE_H
#include "../reconcile/object.h"
#include "cli.h"

json_t *cli_list(struct cli_call *, enum resource_id, struct error **); /* caller decrefs */
void cli_sleep(int64_t ms);
/* The first line of a text, at most so many letters of it */
const char *cli_first_line(struct cli_call *, const char *text, size_t most);
int64_t revision_number(json_t *revision);
const char *revision_author(struct cli_call *, const char *author); /* without the address */
const char *revision_colour(const char *outcome);
const char *revision_start(struct cli_call *, json_t *revision); /* a time as the API has it */
const char *revision_took(struct cli_call *, int64_t ms);
/* The source's revision with the greatest number below `below` (0: any) that passes
 * `fits` (NULL: all do); borrowed from `revisions`, NULL: none. */
json_t *revision_newest(struct cli_call *, json_t *revisions, const char *source, int64_t below,
			bool (*fits)(struct cli_call *, json_t *));
/* POSTs `args` (taken) to a verb of the source; `given` NULL: the only one. */
int cli_ask_source(struct cli_call *, const char *given, const char *verb, json_t *args,
		   const char **ret_source, json_t **ret_answer, struct error **);
const char *cli_line_colour(const char *line); /* of a plan */
bool cli_may_ask(const struct cli_call *);     /* there is a terminal to ask at */
bool cli_confirm(const char *question);        /* false, and it is said: nothing was done */
#endif
