/* brain_requests.h -- questions of the API that the hand or a worker must answer.
 *
 * Each is kept in the brain's list by a number of its own, which goes over the wire; the answer
 * finds the API's id there.
 */
#ifndef KEDGE_BRAIN_REQUESTS_H
#define KEDGE_BRAIN_REQUESTS_H
#include "brain_state.h"

enum request_type { ASK_HAND, ASK_SOURCE, ASK_COMMIT, ASK_STATUS, ASK_WRITE };

struct brain_request {
	enum request_type type;
	int64_t id;     /* ours: on the wire */
	int64_t api_id; /* the API's */
	char *source;   /* of ASK_SOURCE, ASK_COMMIT and ASK_WRITE */
	char *ref;      /* of ASK_COMMIT; of ASK_WRITE: the commit, once it is made */
	/* Of an import: our copy of the writing end, so that its reader sees no end (half a
	 * tar can look whole) before we know that all was sent; -1. */
	int pipe;
	char *to, *protocol; /* of a look at a connection's way, and: */
	int64_t port;
	int64_t turn; /* of ASK_SOURCE: source_asked */
	bool allow_prune;
	bool rest;  /* of ASK_WRITE: what Git does not state is written when it is applied */
	char *json; /* the answer when it went well; NULL: none but that */
	/* Of ASK_STATUS and ASK_WRITE: when it is answered without the hand, and by whom. */
	struct event *late;
	struct brain *brain;
	struct brain_request *next;
};

/* In the list until it is freed. */
struct brain_request *brain_request_new(struct brain *, enum request_type, int64_t api_id);
/* NULL: nobody asked that, or the asker has left. */
struct brain_request *brain_request_find(struct brain *, enum request_type, int64_t id);
void brain_request_free(struct brain *, struct brain_request *);
/* Answers the API and frees it.  "" or NULL in `error` is success. */
void brain_request_answer(struct brain *, struct brain_request *, const char *json,
			  const char *error);
/* Asks the hand a verb about kind and name (struct ask_args); -1: it cannot be asked now. */
int hand_ask(struct brain *, enum verb, const char *kind, const char *name, bool keep,
	     int64_t api_id, struct error **);
struct api_source_args;
/* brain_rollback.c: a commit by the user where the source can be written, else a pin.  Answered
 * as a sync is. */
int rollback(struct brain *, struct watch *, const struct api_source_args *,
	     struct brain_request *, struct error **);
#endif
