/* api.h -- the Kubernetes REST API as kubectl asks it, over a store.
 *
 * Reading (discovery, get, list, watch, tables, logs) needs nobody else, and
 * neither does checking a write.  What
 * changes something is asked of the host through struct api_host; it answers
 * when it can, by the number it was given with the question.  All on one loop
 * in one thread; call store_commit after writes and watchers are told.
 *
 * Beside Kubernetes' own paths (routes.def has all of them):
 *   POST /apis/kedge.dev/v1/sources/NAME/sync      {"allowPrune": bool, "everything": bool}
 *   POST /apis/kedge.dev/v1/sources/NAME/suspend   {}
 *   POST /apis/kedge.dev/v1/sources/NAME/resume    {}
 *   POST /apis/kedge.dev/v1/sources/NAME/rollback  {"revision": N, "dryRun": bool}
 *   GET  /kedge/status
 *   GET  /kedge/diff?source=NAME&ref=REF
 *   GET  /kedge/namespaces/NS/pods/NAME/copy?container=NAME&path=PATH[&stdin=true&name=NAME]
 *                                                  channels as of exec: a tar out of, or into
 *   GET  /kedge/dns?name=NAME&namespace=NS         what a pod there would ask for, and why
 *   GET  /kedge/images
 *   POST /kedge/images?name=NAME:TAG&format=rootfs|archive&config=JSON   body: the tar
 *   DELETE /kedge/images?name=NAME:TAG
 *   GET  /kedge/images/save?name=NAME:TAG&config=true|false
 *   GET  /kedge/images/verify
 *   POST /kedge/images/prune?all=true
 *   POST /kedge/pulls?name=NAME:TAG      body: a docker config.json, or nothing
 *   GET  /kedge/pulls?name=NAME:TAG      how far it is
 *   POST /kedge/certificates?user=NAME&group=NAME&seconds=N    body: a request (PKCS 10, PEM)
 *   POST /kedge/down                               {"keep": bool}
 * They answer with what the host says (JSON), or a Kubernetes Status.
 */
#ifndef KEDGE_API_H
#define KEDGE_API_H
#include "audit.h"
#include "http.h"
#include "store.h"

struct api;
struct action;
struct user;
struct pki;
struct settings;

enum api_source_verb { API_SYNC, API_SUSPEND, API_RESUME, API_ROLLBACK };
struct api_source_args {
	const char *name;
	enum api_source_verb verb;
	bool allow_prune; /* of SYNC */
	bool everything;  /* of SYNC: forget what the mirror has */
	bool dry;         /* of ROLLBACK: only what would go */
	int64_t revision; /* of ROLLBACK; 0: the last other one that was healthy */
	const char *user; /* the author of the commit that ROLLBACK makes */
};

struct api_exec {
	const char *ns, *pod, *uid, *container;
	const char *const *argv; /* NULL-terminated */
	bool in, out, err, tty;
	const char *path, *name; /* of a copy; name: under which it goes in, "" out */
};

/* A write to what Git states, which may become a commit. */
struct api_back {
	const struct object *live, *want; /* want NULL: it is to be deleted */
	const char *user, *why;           /* why: "asked for by alice with kubectl-scale" */
	bool dry;                         /* only whether it could be made */
};

struct api_image {
	const char *name, *format; /* "rootfs" or "archive" */
	const char *config; /* JSON of import_args' other rows, "{}" when none was given */
};

/* A call that returns 0 is answered later (or from within) by the function named
 * beside it; one that returns -1 has said why and is answered with that.
 * Strings are valid during the call.  A NULL function answers 501. */
struct api_host {
	void *ctx;
	/* CREATE, UPDATE, DELETE (of a pod: to = grace in seconds, 0: its own) or FORGET of an
	 * object in the store, which was checked.  Done when it returns. */
	int (*write)(void *ctx, const struct action *, struct error **);
	/* Fills in which addresses and ports were given back a moment ago. */
	void (*resting)(void *ctx, struct snapshot *);
	/* "web.yaml:7": where Git states this field of an object; NULL: not known. */
	const char *(*place)(void *ctx, const struct object *, const char *field,
			     struct arena *);
	/* Does the source of it write back?  NULL: it does not; "": yes; else why it cannot. */
	const char *(*back_state)(void *ctx, const struct object *, struct arena *);
	/* api_answer with {"commit": its id, "waiting": why it is not applied yet, or ""}, or
	 * with {"again": true, "why": ""}: the file is another one by now.  Nothing when it is
	 * dry. */
	int (*back)(void *ctx, int64_t id, const struct api_back *, struct error **);
	int (*exec)(void *ctx, int64_t id, const struct api_exec *,
		    struct error **); /* api_exec_* */
	/* api_exec_*: a tar comes out of fds[1], or goes into fds[0] */
	int (*copy)(void *ctx, int64_t id, const struct api_exec *, struct error **);
	/* api_exec_*: fds[0] takes input also when there is none to give it to; with a tty it
	 * is written to and resized, and fds[1] gives what it prints. */
	int (*attach)(void *ctx, int64_t id, const struct api_exec *, struct error **);
	/* api_connected; of the args only the pod counts */
	int (*connect)(void *ctx, int64_t id, const struct api_exec *, unsigned port,
		       struct error **);
	void (*exec_resize)(void *ctx, int64_t id, unsigned rows, unsigned cols);
	void (*exec_gone)(void *ctx, int64_t id); /* the client left; end it */
	int (*source)(void *ctx, int64_t id, const struct api_source_args *,
		      struct error **); /* api_answer */
	int (*diff)(void *ctx, int64_t id, const char *source, const char *ref,
		    struct error **);                          /* api_answer */
	int (*status)(void *ctx, int64_t id, struct error **); /* api_answer */
	/* api_answer */
	int (*dns)(void *ctx, int64_t id, const char *ns, const char *name, struct error **);
	/* api_answer with a usage_seen: the counters of the host and of what runs */
	int (*usage)(void *ctx, int64_t id, struct error **);
	/* api_answer with a look_seen */
	int (*look)(void *ctx, int64_t id, const struct look_args *, struct error **);
	int (*image_list)(void *ctx, int64_t id, struct error **); /* api_answer */
	/* api_image_pipe, then, when the pipe has ended, api_answer */
	int (*image_import)(void *ctx, int64_t id, const struct api_image *, struct error **);
	/* The last byte is in the pipe, which is closed. */
	void (*image_sent)(void *ctx, int64_t id);
	/* The client left before the end of the tar: what was written is not an image. */
	void (*image_gone)(void *ctx, int64_t id);
	/* api_image_bytes, then api_answer with how it ended; name "": lines on all of them */
	int (*image_save)(void *ctx, int64_t id, const char *name, bool config_only,
			  struct error **);
	/* api_answer with what goes; all: also what was brought by hand */
	int (*image_prune)(void *ctx, int64_t id, bool all, struct error **);
	/* api_answer with how far it is; `config`: docker's, or NULL; begin: else only look */
	int (*image_pull)(void *ctx, int64_t id, const char *name, const char *config,
			  bool begin, struct error **);
	int (*image_remove)(void *ctx, int64_t id, const char *name, bool force,
			    struct error **); /* api_answer; force: whoever uses it */
	int (*down)(void *ctx, int64_t id, bool keep, struct error **); /* api_answer */
	/* api_answer: a certificate for this user and this request (PKCS 10), and the server */
	int (*certify)(void *ctx, int64_t id, const struct user *, int64_t seconds,
		       const void *request, size_t n, struct error **);
};

struct api_settings {
	struct http_settings http;
	struct audit_settings audit;
	const char *log_dir; /* NS_NAME_UID/CONTAINER/N.log below it; followed with inotify */
	int64_t (*now)(void *ctx); /* ms since 1970; NULL: the real clock */
	const struct settings
	    *settings;         /* for the rules on writes; NULL: none; outlives the API */
	const struct pki *pki; /* whose certificates and tokens count; NULL: nobody's */
};

/* Opens files under /proc and reads the group's members: call it before the
 * process is locked in.  SIGPIPE is ignored from here on. */
int api_open(struct event_base *, struct store *, const struct api_settings *,
	     const struct api_host *, struct api **ret, struct error **);
void api_close(struct api *);
/* Connections to come are met with this certificate. */
int api_tls_set(struct api *, const struct http_tls *, struct error **);

/* ---- the host's answers; an id nobody waits for any more is ignored ---- */

/* e: it failed.  Else json is the answer as it is; NULL: {"status":"Success"}. */
void api_answer(struct api *, int64_t id, const struct error *e, const char *json);
/* The program runs: fds[0] takes its input, fds[1] and fds[2] give its output and
 * errors; -1 where the caller asked for none.  With a tty fds[0] is the terminal for
 * everything (and fds[1], fds[2] are -1).  Takes them, also when nobody waits. */
void api_exec_started(struct api *, int64_t id, const int fds[3]);
/* It could not be started (error), or it ended: exit_code. */
void api_exec_done(struct api *, int64_t id, int exit_code, const char *error);
/* Where an image's bytes come from; taken. */
void api_image_bytes(struct api *, int64_t id, int fd);
/* A non-blocking socket, connected or about to be (it can be written to then, SO_ERROR tells
 * how it went), taken also when nobody waits; or -1 and why not. */
void api_connected(struct api *, int64_t id, int fd, const char *error);
/* Where to write the tar to; taken.  Closed after the last byte. */
void api_image_pipe(struct api *, int64_t id, int fd);
#endif
