/* registry.h -- a registry's client, by the OCI distribution specification.
 *
 * Lives in the worker that pulls (worker_pull.c): it has a network, the rights
 * of nobody, and the credentials of this one image.  It understands no image: what it
 * fetches it hands on, and who unpacks it checks it.
 *
 * registry.c       where an image is to be had, and who we are there
 * registry_http.c  one request: what is allowed, what came back, whether to ask again
 * registry_auth.c  challenges, tokens, docker's config.json
 */
#ifndef KEDGE_REGISTRY_H
#define KEDGE_REGISTRY_H
#include "../reconcile/base/arena.h"
#include "../reconcile/base/buf.h"
#include "../reconcile/schema.h"
#include <curl/curl.h>

struct error;

struct credential {
	const char *user, *password;
};

/* One place that is asked for the image: a mirror, or the registry itself. */
struct origin {
	const char *host;       /* as written: "registry.example:5000", "docker.io" */
	const char *base;       /* "https://registry.example:5000/v2/team/app" */
	const char *repository; /* "team/app", for a token's scope */
	const char *ca;         /* path of a file of certificates; NULL: the system's */
	bool listed;            /* the operator named it */
	struct credential cred[8];
	size_t ncreds, at;   /* at == ncreds: asked as nobody */
	bool refused;        /* the last authorization was, once */
	char *authorization; /* the header's value; NULL: none yet */
};

struct registry {
	const struct pull_bind *bind;
	const struct pull_start *start;
	struct arena *arena;
	struct origin *origins; /* in the order in which they are asked */
	size_t n;
	int brain; /* a socket: nobody waits any more when it closes */
};

int registry_open(struct registry *, struct error **);
/* Did the operator list this "host:port" (the scheme's port when it has none)? */
const struct pull_host *registry_listed(const struct registry *, const char *host);
/* Where a registry's name leads: itself, but for docker.io. */
const char *registry_place(const char *host);

/* ---- registry_auth.c ---- */

/* What a registry wants to see: of "Bearer realm="..",service="..",scope=".."". */
struct challenge {
	bool basic, bearer;
	char realm[1024], service[256], scope[512];
};
/* False when there is nothing in it that we can answer. */
bool challenge_parse(const char *header, struct challenge *ret);
/* Adds those of a docker config.json that are for host and repository, the closest first. */
void credentials_find(const char *config_json, struct origin *, struct arena *);
/* Sets o->authorization by the challenge, trying one credential after the other: each
 * call is after a 401. */
int registry_authorize(struct registry *, struct origin *, const char *challenge,
		       struct error **);

/* ---- registry_http.c ---- */

/* May this address be connected to for that URL, which may be a redirect's or a token's?  Not
 * to loopback, link-local and multicast, but for a registry that the operator listed; not to
 * pods and Services, but for one that is named there. */
bool registry_may_reach(const struct registry *, const struct origin *, const char *url,
			const struct sockaddr *to);

struct request {
	struct registry *registry;
	struct origin *origin;
	CURL *curl;
	struct curl_slist *headers;
	char *url;
	char why[CURL_ERROR_SIZE];
	char challenge[2048], type[256], location[256];
	long status;
	int64_t retry_after_ms;      /* 0: not said */
	struct buf body;             /* of an error, or of a document */
	size_t max;                  /* of body */
	bool too_large, not_allowed; /* not_allowed: an address that must not be asked */
	bool asked;                  /* it was connected to, and heard what we want */
	int64_t within_s;   /* all of it must have come by then; 0: as long as it moves */
	char forbidden[64]; /* which */
	size_t (*take)(void *ctx, const char *, size_t); /* of a success; NULL: into body */
	void *ctx;
};

/* May an address of this host be asked for this URL: its host and port are listed. */
bool registry_meant(const struct registry *, const char *url);
/* A Retry-After header in ms, 1 to those of a day; `now_s`: seconds since 1970. */
int64_t retry_after_read(const char *text, int64_t now_s);
/* A request ready to go: address, walls, headers.  `url` is copied. */
void request_open(struct request *, struct registry *, struct origin *, const char *url,
		  const char *accept);
void request_close(struct request *);
/* A document: what is waited for as long as the operator gives it, not as long as it moves. */
void request_within(struct request *, int64_t seconds);
/* Right before it is performed, again for each attempt. */
void request_arm(struct request *);
void request_ended(struct request *); /* reads status and the like */
/* May the same request work a little later?  Then `ret_ms` says when. */
bool request_retry(const struct request *, CURLcode, int attempt, int64_t *ret_ms);
/* What went wrong, in the registry's own words. */
int request_fail(const struct request *, CURLcode, struct error **);

/* Performs it, and again where that may help. */
CURLcode request_run(struct request *);

/* A document of at most `max` bytes, from the first origin that has it; waits, tries
 * again, authenticates.  Returns the origin in *ret_from. */
int registry_get(struct registry *, const char *path, const char *accept, size_t max,
		 struct buf *ret, char ret_type[256], struct error **);
#endif
