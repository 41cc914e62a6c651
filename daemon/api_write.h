/* api_write.h -- what the api_write*.c files share. */
#ifndef KEDGE_API_WRITE_H
#define KEDGE_API_WRITE_H
#include "../reconcile/plan.h"
#include "../reconcile/snapshot.h"
#include "../reconcile/write.h"
#include "api_call.h"

struct managed_apply;

enum api_media {
	MEDIA_JSON,
	MEDIA_YAML,
	MEDIA_PROTOBUF,
	MEDIA_JSON_PATCH,
	MEDIA_MERGE_PATCH,
	MEDIA_STRATEGIC_PATCH,
	MEDIA_APPLY,
	MEDIA_UNKNOWN
};

/* One write, from its call to its answer. */
struct api_edit {
	struct call *call;
	struct snapshot snap;
	struct write write;
	const char *manager;                 /* fieldManager, or the client's name */
	const char *sub;                     /* "status" of NAME/status; "" */
	const struct managed_apply *applied; /* by server-side apply; NULL: otherwise */
	bool dry;                            /* dryRun=All: everything but the writing */
	/* The commit for what Git states, which is made: only the rest is written; or NULL. */
	const char *after;
	/* Of DELETE: of one object; and it is Git's, whose source takes commits. */
	bool alone, by_commit;
	/* How the written object is answered with; NULL: as itself. */
	void (*answer)(struct api_edit *, const struct object *);
};

/* May objects of this kind be changed, or made, over the API?  False: it was refused. */
bool edit_allowed(struct call *, bool make);
/* False: the question makes no sense, and was answered so. */
bool edit_open(struct api_edit *, struct call *);
/* Checks `body` as what the object shall be, stores it, and answers with it (`code`). */
void edit_put(struct api_edit *, const struct tree *body, int code);
/* Answers with what went wrong; WHY_INVALID with its causes. */
void edit_fail(struct api_edit *, const struct error *);
/* Carries it out unless this is a dry run; answers and returns false when it cannot be. */
bool edit_carry(struct api_edit *, const struct action *);
const char *edit_why(const struct api_edit *);
void edit_answer(struct api_edit *, int code, const struct object *);
void edit_refuse_missing(struct call *);
/* The object with whoever changed something as owner of that. */
void edit_own(struct api_edit *);
/* As the store would make it. */
void edit_dry(struct api_edit *);

/* api_back.c: what a write would change is Git's, whose source takes commits: one is made, and
 * the call is answered when it is applied. */
void back_begin(struct api_edit *, int code);
void back_delete(struct api_edit *, const struct object *);

/* api_apply.c: a PATCH of application/apply-patch+yaml. */
void apply_patch(struct api_edit *);
/* `live` (or NULL) with what the body applies, and ed->applied; NULL: it was refused, which has
 * been answered. */
const struct tree *apply_merged(struct api_edit *, const struct object *live);

/* api_write_body.c: NULL: it was refused, which has been answered. */
enum api_media body_media(const struct call *);
struct tree *body_read(struct api_edit *);
struct tree *body_read_kind(struct api_edit *, const struct kind *);
struct tree *body_read_yaml(struct api_edit *);
/* The live object as the patch in the body would have it. */
struct tree *body_patched(struct api_edit *, const struct tree *live);
/* Of DELETE: what the body and the query say. */
struct api_deletion {
	int64_t grace;                      /* seconds; -1: the object's own */
	const char *policy, *uid, *version; /* "" when not said */
};
bool body_delete_options(struct api_edit *, struct api_deletion *);
/* The same of DeleteOptions that are read already; NULL: none. */
bool delete_options_of(struct api_edit *, const struct tree *, struct api_deletion *);

/* api_delete.c: may it go, as the options have it?  And then it goes, or is marked; false: it
 * was refused, and answered. */
int deletion_check(struct api_edit *, const struct api_deletion *, const struct object *,
		   struct error **);
void deletion_answer(struct api_edit *, const char *uid);
bool deletion_carry(struct api_edit *, const struct api_deletion *, const struct object *);
#endif
