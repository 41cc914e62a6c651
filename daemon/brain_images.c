/* brain_images.c -- what the API asks of the brain about images. */
#include "../reconcile/base/buf.h"
#include "../reconcile/base/cleanup.h"
#include "../reconcile/base/error.h"
#include "../reconcile/base/imageref.h"
#include "../reconcile/tree.h"
#include "api.h"
#include "brain_gc.h"
#include "brain_pull.h"
#include "brain_requests.h"
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int
on_image_list(void *ctx, int64_t id, struct error **e)
{
	struct brain *b = ctx;
	cleanup_buf struct buf text = { 0 };

	(void)e;
	schema_encode(images_seen_kind(), b->images, &text);
	api_answer(b->api, id, NULL, buf_text(&text));
	return 0;
}

static int
on_image_import(void *ctx, int64_t id, const struct api_image *image, struct error **e)
{
	struct brain *b = ctx;
	cleanup_arena struct arena arena = { 0 };
	struct complaints cs = { .arena = &arena, .path = "config" };
	struct action a = { .verb = ACT_IMPORT,
			    .kind = "image",
			    .ns = "",
			    .name = image->name && *image->name ? image->name : "-",
			    .why = "" };
	struct tree *t = json_read(image->config, strlen(image->config), &arena, &cs);
	struct import_args *args;
	struct brain_request *r;
	int fds[2], rc;

	/* "id" and "format" are rows too, but not the client's to say. */
	args = t ? schema_decode(import_args_kind(), t, SCHEMA_LENIENT, &arena, &cs) : NULL;
	for (const struct complaint *c = cs.first; c; c = c->next)
		if (!c->warning && c->kind != COMPLAINT_REQUIRED)
			return fail(e, WHY_INVALID, "%s", c->text);
	if (!args)
		return fail(e, WHY_INVALID, "config: not JSON");
	if (strpbrk(a.name, " \n\t"))
		return fail(e, WHY_INVALID, "image name \"%s\" has a blank in it", a.name);
	if (pipe2(fds, O_CLOEXEC) < 0)
		return fail_sys(e, "make a pipe for image %s", a.name);
	(void)fcntl(fds[1], F_SETFL, O_NONBLOCK);
	r = brain_request_new(b, ASK_HAND, id);
	args->id = r->id;
	args->format = image->format;
	a.body = args;
	rc = brain_tell(b, &a, &fds[0], 1);
	close(fds[0]);
	if (rc < 0) {
		close(fds[1]);
		brain_request_free(b, r);
		return fail(e, WHY_UNAVAILABLE, "the image cannot be taken in just now");
	}
	r->pipe = fcntl(fds[1], F_DUPFD_CLOEXEC, 3);
	api_image_pipe(b->api, id, fds[1]);
	return 0;
}

static int
on_image_prune(void *ctx, int64_t id, bool all, struct error **e)
{
	struct brain *b = ctx;
	cleanup_free char *json = gc_prune(b, all);

	(void)e;
	api_answer(b->api, id, NULL, json);
	return 0;
}

/* The bytes go from the hand's child through a pipe to the client, past us. */
static int
on_image_save(void *ctx, int64_t id, const char *name, bool config_only, struct error **e)
{
	struct brain *b = ctx;
	struct brain_request *r;
	struct ask_args args = { .keep = config_only };
	struct action a = { .verb = ACT_SAVE,
			    .kind = "image",
			    .ns = "",
			    .name = name,
			    .why = "",
			    .body = &args };
	int fds[2], rc;

	if (!*name) { /* of all, whether they are sound */
		a.kind = "images";
		a.name = "all";
	}
	if (strpbrk(name, " \n\t"))
		return fail(e, WHY_INVALID, "\"%s\" is not an image name", name);
	if (pipe2(fds, O_CLOEXEC) < 0)
		return fail_sys(e, "make a pipe for image %s", a.name);
	r = brain_request_new(b, ASK_HAND, id);
	args.id = r->id;
	rc = brain_tell(b, &a, &fds[1], 1);
	close(fds[1]);
	if (rc == 0) {
		api_image_bytes(b->api, id, fds[0]);
		return 0;
	}
	close(fds[0]);
	brain_request_free(b, r);
	return fail(e, WHY_UNAVAILABLE, "the image cannot be read just now");
}

/* What somebody asked for by hand is fetched whatever failed before. */
static int
on_image_pull(void *ctx, int64_t id, const char *name, const char *config, bool begin,
	      struct error **e)
{
	struct brain *b = ctx;
	struct strs configs = { .at = &config, .n = config ? 1 : 0 };
	cleanup_free char *full = imageref_normalise(name, e), *key = NULL, *json = NULL;

	if (!full)
		return -1;
	xasprintf(&key, "%s by hand", full);
	if (begin)
		pull_begin(b, full, &configs, key);
	json = pull_json(b, key);
	if (!json)
		return fail(e, WHY_NOT_FOUND, "nobody has asked for image %s since the start",
			    full);
	api_answer(b->api, id, NULL, json);
	return 0;
}

static struct brain_request *
import_by_api(struct brain *b, int64_t api_id)
{
	for (struct brain_request *r = b->requests; r; r = r->next)
		if (r->type == ASK_HAND && r->api_id == api_id)
			return r;
	return NULL;
}

static void
on_image_sent(void *ctx, int64_t id)
{
	struct brain_request *r = import_by_api(ctx, id);

	if (r && r->pipe >= 0) {
		close(r->pipe);
		r->pipe = -1;
	}
}

static int
on_image_remove(void *ctx, int64_t id, const char *name, bool force, struct error **e)
{
	if (!*name || strpbrk(name, " \n\t"))
		return fail(e, WHY_INVALID, "\"%s\" is not an image name", name);
	if (!force && gc_check_unused(ctx, name, e) < 0)
		return -1;
	return hand_ask(ctx, ACT_REMOVE, "image", name, false, id, e);
}

/* Its answer frees the request, and with it our end of the pipe. */
static void
on_image_gone(void *ctx, int64_t id)
{
	struct brain_request *r = import_by_api(ctx, id);
	struct ask_args args = { 0 };
	struct action a = { .verb = ACT_CANCEL,
			    .kind = "image",
			    .ns = "",
			    .name = "-",
			    .why = "its sender left",
			    .body = &args };

	if (!r)
		return;
	args.id = r->id;
	brain_tell(ctx, &a, NULL, 0);
}

/* A pod that waits for an image is looked at again at once. */
void
brain_images_changed(struct brain *b)
{
	struct objects pods = store_all(b->store, RES_pod);

	for (size_t i = 0; i < pods.n; i++) {
		struct pod_row *row = seen_row(b, object_uid(pods.at[i]));

		if (row && !strcmp(row->seen->state, "failed"))
			seen_pod_forget(b, object_uid(pods.at[i]));
	}
}

void
brain_images_host(struct api_host *host)
{
	host->image_list = on_image_list;
	host->image_import = on_image_import;
	host->image_pull = on_image_pull;
	host->image_prune = on_image_prune;
	host->image_save = on_image_save;
	host->image_sent = on_image_sent;
	host->image_gone = on_image_gone;
	host->image_remove = on_image_remove;
}
