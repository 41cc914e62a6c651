/* brain_state.h -- what the files of the brain share; nobody else includes it. */
#ifndef KEDGE_BRAIN_STATE_H
#define KEDGE_BRAIN_STATE_H
#include "../reconcile/base/arena.h"
#include "../reconcile/base/map.h"
#include "../reconcile/base/now.h"
#include "../reconcile/plan.h"
#include "../reconcile/snapshot.h"
#include "config.h"
#include "source.h"
#include "store.h"
#include "wire.h"
#include <event2/event.h>

struct healths;
struct hooks;
struct prober;
struct pull;
struct api;

/* One pod as the hand last told of it, or as we know it will be. */
struct pod_row {
	struct arena arena;
	struct pod_seen *seen;
	bool draining; /* DRAIN was sent */
	bool starting; /* START was sent, and nothing of it runs yet or has failed */
	int unmade;    /* how often in a row its files could not be made anew */
	int lost;      /* how often in a row its sandbox ended by itself */
	int64_t began; /* its last START, monotonic ms; 0: it was there when we came */
};

/* One service port, part of a policy or isolated pod: in force, or on its way there. */
struct rule_row {
	struct arena arena;
	const char *id;
	void *args;      /* service_args, or as struct enforced says; NULL: retired */
	bool of_service; /* a service port's; else a policy's */
	struct rule_row *next;
};

/* One source being followed. */
struct watch {
	struct brain *brain;
	const struct config_source *config;
	struct event *readable, *retry;
	int retries;
	char *unread;   /* why it has no worker, as it was said; NULL: it has one */
	char *fetching; /* the commit whose images are waited for; NULL: none */
	char *fetch_text;
	int64_t fetch_since, fetch_told;
	bool fetch_prune;
	bool refused;        /* its newest commit, by what may change (limits_hash) ... */
	bool again;          /* ... and did: it is judged once more, and only success is told */
	uint64_t refused_by; /* what they were then */
	bool drifted;        /* something of it went away: apply the revision in force again */
	char *waits; /* what must be gone before all of that can be made; NULL: nothing */
	struct manifest_set
	    *applied; /* by the revision in force; NULL: not known in this life */
};

struct brain {
	struct event_base *base;
	struct wire *wire;
	struct arena arena; /* lives as long as we do: configuration */
	struct config *config;
	struct settings settings;
	struct arena host_arena;
	struct host_seen *host;
	struct arena stores_arena;
	struct stores_seen *stores;
	struct map stores_asked; /* PROVISION and RECLAIM under way: name -> anything */
	struct arena images_arena;
	struct images_seen *images;
	struct pull *pulls;  /* brain_pull.c */
	struct map unneeded; /* brain_gc.c: name -> int64_t *, since when */
	struct event *gc_timer;
	struct pull_seen_row *pulls_sorted;
	size_t npulls;
	bool pulls_changed, pull_ended;
	struct store *store;
	struct sources *sources;
	struct prober *prober;
	struct hooks *hooks;
	struct healths *healths;
	struct brain_dns *dns; /* brain_dns.c; NULL: nobody answers names */
	struct api *api;
	struct brain_stream
	    *streams; /* programs, attached clients, connections (brain_stream.c) */
	struct brain_request *requests; /* that wait for the hand or a worker (brain_api.c) */
	int listen_unix, listen_tcp, listen_tls;
	struct pki *pki; /* brain_pki.c; NULL: no TLS */
	struct event *pki_timer;
	int pki_failures; /* to make the certificate anew, in a row */

	struct map pods; /* uid -> struct pod_row */
	const struct pod_seen **pods_sorted;
	size_t npods, nstarting;
	bool pods_changed;

	struct map rules; /* id -> struct rule_row: in force */
	struct programmed *rules_sorted;
	struct programmed *rules_pending; /* of staged and flying */
	size_t nrules, npending;
	char *last_ip;           /* of the pod that was started last */
	struct resting *resting; /* oldest first */
	size_t nresting;
	struct enforced *enforced, *enforcing; /* the same of policies */
	size_t nenforced, nenforcing;
	bool rules_changed, rules_unknown;
	char *rules_error;       /* of the last commit; NULL: it is in force */
	struct rule_row *staged; /* sent since the last COMMIT */
	struct rule_row *flying; /* with the COMMIT under way */
	int64_t generation;
	bool committing;

	struct watch *watches;
	uint64_t gave_way; /* counts plans that were carried out, and objects that went: what a
			      commit was refused for may be free now */
	uint64_t event_stamp; /* of the last Event, in ns */
	struct map events;    /* "uid reason message" -> name of its Event, to count repeats */
	int64_t next_id;
	struct event *pass_event, *again_timer, *flush_timer, *trim_timer;
	int64_t held_since; /* monotonic ms: what is in memory waits to be written; 0: not */
	char *unsaved; /* why the store or the mirror could not be written last; NULL: they were
			*/
	bool sweep;    /* a pod was forgotten: its logs may go */
	bool poked, ready, trimmed, leaving;
	int exit_code;
};

/* brain.c */
void brain_poke(struct brain *);  /* a pass soon; any number of pokes make one */
void brain_nudge(struct brain *); /* a pass within a second */
/* -1 when it could not be said; that is in the log then. */
int brain_tell(struct brain *, const struct action *, const int *fds, int nfds);
void brain_snapshot(struct brain *, struct snapshot *, struct arena *);
/* All that is in memory to the disk, in the right order; -1: the store's is not there. */
int brain_flush(struct brain *, struct error **);

/* brain_api.c: what the API asks of the brain, and answers that come later */
int brain_api_open(struct brain *, struct error **);
void brain_api_close(struct brain *);
void brain_serve(struct brain *); /* the hand has spoken: open for business */
/* A worker's request ended; turn 0: all of them, for it ended itself. */
void brain_answered(struct brain *, const char *source, int64_t turn, const char *error);
void brain_shown(struct brain *, struct watch *, bool lost); /* a commit asked for is here */
void brain_hand_answered(struct brain *, int64_t id, const char *text, const char *error);
void brain_usage_seen(struct brain *, const struct usage_seen *);
void brain_look_seen(struct brain *, const struct look_seen *);

/* brain_pki.c: the authority, and the certificate that is made anew in time */
struct http_tls;
int brain_pki_open(struct brain *, struct error **);
/* A Secret that is to have a token of its account, with "" in its place: `*body` becomes a copy
 * in the arena that has one.  All else stays as it is. */
int brain_secret_put(struct brain *, const void **body, struct arena *, struct error **);
/* Signs the tokens that the pod's files are to have; they live in the arena. */
int brain_tokens_put(struct brain *, struct action *, struct arena *, struct error **);
void brain_pki_close(struct brain *);
struct http_tls brain_pki_tls(const struct brain *);
/* Of struct api_host: a client's certificate for this request, and where to go with it. */
struct user;
int brain_certify(void *brain, int64_t id, const struct user *, int64_t seconds,
		  const void *request, size_t n, struct error **);

/* brain_status.c: the answer of /kedge/status; `seen`: where pods listen, NULL: not known */
struct json_t;
struct json_t *brain_status(struct brain *, const struct look_seen *seen);
struct json_t *brain_text_json(const char *); /* of foreign bytes, too */
/* brain_back.c: writes to what Git states */
struct api_host;
void back_host(struct api_host *);                 /* its part of the host */
void back_written(struct brain *, struct watch *); /* its worker has answered */
void back_lost(struct brain *, const struct watch *);
/* The newest commit of the source was judged, or waits for images: who waits for theirs? */
void back_settle(struct brain *, struct watch *);

/* brain_loose.c: what lives here that no commit says, as it is told there */
struct json_t *brain_loose(struct brain *);

/* brain_stream.c */
void brain_stream_host(struct api_host *); /* its part of the host */
void brain_streams_close(struct brain *);
void brain_exec_fds(struct brain *, int64_t id, int *fds,
		    int nfds); /* takes those it sets to -1 */
void brain_exec_done(struct brain *, int64_t id, int exit_code, const char *error);
void brain_connected(struct brain *, int64_t id, int *fd); /* takes it */

/* brain_images.c */
void brain_images_changed(struct brain *);
void brain_images_host(struct api_host *); /* its part of the host */

/* brain_pull.c */
void pulls_fill(struct brain *, struct snapshot *);
/* FETCH: true when it was not under way already. */
bool pull_fetch(struct brain *, const struct action *);

/* brain_rest.c: what Services gave back.  Protocol as struct resting's; a word of the program's
 * own, which stays. */
void rest_open(struct brain *);
void rest_add(struct brain *, uint32_t number, const char *protocol);
void rest_keep(struct brain *); /* after some were added */
void seen_resting(struct brain *, struct snapshot *);

/* brain_seen.c: the tables of what is there */
void seen_pod(struct brain *, const struct pod_seen *);
void seen_stores(struct brain *, const struct stores_seen *);
void seen_pod_forget(struct brain *, const char *uid);
struct pod_row *seen_row(struct brain *, const char *uid); /* or NULL */
void seen_fill(struct brain *, struct snapshot *);
void seen_starting(struct brain *, const struct action *);
/* RENEW was sent: the container is held no longer. */
void seen_renewed(struct brain *, const struct action *);
void seen_added(struct brain *, const struct action *);
/* A START that the hand never heard, and why. */
void seen_unsaid(struct brain *, const struct action *, const char *why);
/* New files of a running pod were made, or not: then they are asked for again, after pauses
 * that grow. */
void seen_files(struct brain *, const struct action *, bool made);
void rules_stage(struct brain *, const struct action *);
void rules_commit(struct brain *, const struct action *);
void rules_committed(struct brain *, const struct committed_seen *);

/* brain_dns.c: what the DNS server is told */
void brain_dns_attach(struct brain *, int fd); /* takes it */
/* The names are what this snapshot says, in which nothing is left to be done. */
void brain_dns_sync(struct brain *, struct snapshot *, struct arena *);
void brain_dns_close(struct brain *);
/* Of struct api_host: each name that a pod would ask for, and what is known of it. */
int brain_dns_why(void *brain, int64_t id, const char *ns, const char *name, struct error **);

/* brain_carry.c: true when the action changed something here */
bool carry(struct brain *, const struct action *);
/* The same for somebody who hears what went wrong (a write over the API). */
int carry_asked(struct brain *, const struct action *, struct error **);

/* brain_events.c */
struct event_note {
	const char *type, *reason, *message; /* "Normal" or "Warning" */
	const char *field;                   /* "spec.containers{web}" or NULL */
};
void events_open(struct brain *); /* once, with the store */
void event_about(struct brain *, const void *obj, const struct event_note *);
void event_forget(struct brain *, const struct event *); /* it goes: it is counted no more */
void event_of_refusal(struct brain *, const struct refused_seen *); /* rules */
void event_of_action(struct brain *, const struct action *);
void event_of_pod(struct brain *, const struct pod_seen *was, const struct pod_seen *is);

/* brain_revision.c: what was complained about, in the order of files; and the Revision as it is
 * now, with its Events */
void revision_complaints(struct revision *, struct complaints *, struct arena *);
void revision_store(struct brain *, struct revision *);

/* brain_deploy.c: sources and revisions */
void deploy_open(struct brain *);
void deploy_worker(struct brain *, const char *source, int fd, const char *error);
/* Applies what the source's head (or pin) says, if it was not yet. */
void deploy(struct brain *, struct watch *, bool allow_prune);
/* Puts back what the revision in force wants and what is not there; true when it did something.
 */
bool deploy_repair(struct brain *, struct watch *);
/* Commits that a ResourceQuota, a LimitRange or what is another's refused are judged again when
 * one of these has changed since, or what it counts.  Costs nothing while there is no such
 * commit. */
void deploy_refused(struct brain *);
void deploy_drifted(struct brain *,
		    const void *obj); /* an object that may be a source's has gone */
void deploy_forgotten(struct brain *,
		      const void *obj); /* and its name is free, which may be waited for */
void deploy_waits(struct brain *, struct snapshot *);
const struct revision *deploy_newest(struct watch *); /* or NULL */
struct watch *deploy_watch(struct brain *,
			   const char *source); /* NULL or "": the only one; NULL: no such */
/* Does the commit say that it may prune?  That was done when it was applied: it says nothing of
 * another folder of it. */
bool deploy_consented(struct watch *, const struct source_head *);
/* The plan that applying `commit` (its folder `path`; NULL: the source's) would be, complaints
 * beside it.  Bodies may share with `*ret`, so that is freed (by the caller) after the plan was
 * used. */
/* `before`: what is applied and has not drifted, so that only what differs is looked at; or
 * NULL */
int deploy_plan(struct brain *, struct watch *, const char *commit, const char *path,
		bool allow_prune, const struct manifest_set *before, struct snapshot *,
		struct plan *, struct complaints *, struct manifest_set **ret,
		bool *ret_refused, struct error **);
/* Whether the source is suspended, and the commit that it stays at (NULL: none). */
int deploy_hold(struct watch *, bool suspend, const char *pin, struct error **);
int deploy_suspend(struct brain *, struct watch *, bool suspend, struct error **);
#endif
