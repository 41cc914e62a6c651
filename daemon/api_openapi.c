/* api_openapi.c -- the OpenAPI documents, in the forms that clients ask for. */
#include "../reconcile/openapi.h"
#include "api_call.h"
#include <string.h>

/* A gnostic OpenAPI v2 document with no paths: swagger "2.0", info {kedge, v1}.
 * kubectl until 1.28 will not start anything without one; with it, it leaves
 * the checking of fields to us. */
static const unsigned char document[] = { 0x0a, 0x03, '2', '.', '0',  0x12, 0x0b,
					  0x0a, 0x05, 'k', 'e', 'd',  'g',  'e',
					  0x12, 0x02, 'v', '1', 0x42, 0x00 };

void
openapi_v2_get(struct call *c)
{
	const char *accept = http_header(c->req, "Accept");
	struct buf b = { 0 };

	if (!accept || !strstr(accept, "protobuf")) {
		openapi_v2(&b);
		call_json(c, 200, &b);
		return;
	}
	buf_add(&b, document, sizeof document);
	c->answered = true;
	/* With a dot where Accept has an @, which Go's mime package refuses. */
	http_reply(c->req, 200, "application/com.github.proto-openapi.spec.v2.v1.0+protobuf",
		   &b);
}

void
openapi_v3_list(struct call *c)
{
	struct buf b = { 0 };

	openapi_v3_index(&b);
	call_json(c, 200, &b);
}

void
openapi_v3_get(struct call *c)
{
	struct buf b = { 0 };

	if (openapi_v3(c->group, c->version, &b))
		call_json(c, 200, &b);
	else
		call_refuse(c, WHY_NOT_FOUND,
			    "the server could not find the requested resource");
}
