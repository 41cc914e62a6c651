/* cli_describe.h -- between cli_describe.c and cli_describe_pod.c. */
#ifndef KEDGE_CLI_DESCRIBE_H
#define KEDGE_CLI_DESCRIBE_H
#include "cli.h"

struct sheet {
	struct cli_call *c;
	json_t *obj;
	int width; /* of the labels in the part at hand */
	int indent;
};

const char *sheet_at(struct sheet *, const char *path);
void sheet_put(struct sheet *, const char *label, const char *value);
void sheet_title(struct sheet *, const char *label);
const char *sheet_when(struct cli_call *, const char *rfc3339);
const char *sheet_words(struct sheet *, json_t *list, const char *between);

struct cli_table;
void sheet_table(struct sheet *, const struct cli_table *, int indent);

/* Parts of a Service. */
void sheet_service_families(struct sheet *, const char *label);
void sheet_service_outside(struct sheet *, const char *label);
void sheet_service_ports(struct sheet *, const char *label);
void sheet_service_policies(struct sheet *, const char *label);
void sheet_service_endpoints(struct sheet *, const char *label);

/* Parts of a pod or of its template. */
void sheet_containers(struct sheet *, const char *label);
void sheet_volumes(struct sheet *, const char *label);
void sheet_pod_node(struct sheet *, const char *label);
void sheet_pod_phase(struct sheet *, const char *label);
#endif
