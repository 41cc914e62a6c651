/* brain_requests.c -- questions that the hand or a worker must answer. */
#include "brain_requests.h"
#include "../reconcile/base/error.h"
#include "api.h"
#include <stdlib.h>
#include <unistd.h>

struct brain_request *
brain_request_new(struct brain *b, enum request_type type, int64_t api_id)
{
	struct brain_request *r = xcalloc(1, sizeof *r);

	*r = (struct brain_request){ .type = type,
				     .id = ++b->next_id,
				     .api_id = api_id,
				     .pipe = -1,
				     .next = b->requests };
	b->requests = r;
	return r;
}

struct brain_request *
brain_request_find(struct brain *b, enum request_type type, int64_t id)
{
	for (struct brain_request *r = b->requests; r; r = r->next)
		if (r->type == type && r->id == id)
			return r;
	return NULL;
}

void
brain_request_free(struct brain *b, struct brain_request *r)
{
	struct brain_request **at = &b->requests;

	while (*at != r)
		at = &(*at)->next;
	*at = r->next;
	if (r->pipe >= 0)
		close(r->pipe);
	free(r->source);
	free(r->ref);
	free(r->to);
	free(r->protocol);
	free(r->json);
	if (r->late)
		event_free(r->late);
	free(r);
}

void
brain_request_answer(struct brain *b, struct brain_request *r, const char *json,
		     const char *error)
{
	cleanup_error struct error *e = NULL;

	if (error && *error)
		fail(&e, WHY_INVALID, "%s", error);
	api_answer(b->api, r->api_id, e, json);
	brain_request_free(b, r);
}

int
hand_ask(struct brain *b, enum verb verb, const char *kind, const char *name, bool keep,
	 int64_t id, struct error **e)
{
	struct ask_args args = { .keep = keep };
	struct action a = {
		.verb = verb, .kind = kind, .ns = "", .name = name, .why = "", .body = &args
	};
	struct brain_request *r = brain_request_new(b, ASK_HAND, id);

	args.id = r->id;
	if (brain_tell(b, &a, NULL, 0) == 0)
		return 0;
	brain_request_free(b, r);
	return fail(e, WHY_UNAVAILABLE, "the host cannot be asked just now");
}
