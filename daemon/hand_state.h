/* hand_state.h -- what the files of the hand share; nobody else includes it. */
#ifndef KEDGE_HAND_STATE_H
#define KEDGE_HAND_STATE_H
#include "../netproxy/netproxy.h"
#include "../reconcile/base/map.h"
#include "../reconcile/base/now.h"
#include "../reconcile/plan.h"
#include "../runtime/image.h"
#include "../runtime/runtime.h"
#include "spawn.h"
#include "wire.h"
#include <event2/event.h>

struct config;

/* What the runtime does not keep: the pod's address and how its leaving goes. */
struct hand_pod {
	char *uid;
	uint32_t ip;
	int64_t drain_until; /* 0: not draining; monotonic ms */
	bool drained;
	bool unmade; /* its start failed, and that was all that was told */
};

struct hand_job { /* an image on its way in */
	struct hand *hand;
	struct image_job *job;
	struct event *readable;
	int64_t id;
	char *worker; /* who downloads it; NULL: it is not pulled */
	struct hand_job *next;
};

struct child { /* the brain, a source's worker, who pulls, or the DNS server */
	struct hand *hand;
	pid_t pid;
	int pidfd;
	struct event *ended;
	char *source; /* NULL: the brain */
	struct child *next;
};

struct hand {
	struct event_base *base;
	struct config *config;
	struct settings settings;
	struct identity brain_id;
	struct rt *rt;
	struct np *np;
	struct images *images;
	struct rt_host_path *host_paths; /* of kedge.yaml */
	struct map store_errors; /* name of a volume -> why it could not be made, or removed */
	struct wire *wire;       /* NULL while there is no brain */
	struct hand_dns *dns;    /* hand_dns.c */
	struct child *children;
	struct map pods;     /* uid -> struct hand_pod */
	struct map services; /* id (of policies: kind, blank, id) -> anything: set since the
				brain's last start */
	struct map stale;    /* id -> anything: set before it */
	struct hand_job *jobs;
	struct image_job *sync; /* of images to the disk; NULL: none goes on */
	struct event *sync_ended, *sync_timer;
	struct event *rt_event, *rt_timer, *np_event, *check_timer, *drain_timer, *brain_timer,
	    *watchdog_timer, *ahead_timer;
	struct event *signals[2];
	int listen_unix, listen_tcp, listen_tls; /* -1: none */
	int locks[2];                            /* on the state and the run folder */
	int64_t generation;                      /* asked for last */
	int64_t begun;  /* of the commit that is under way, or was the last */
	bool was_ready; /* a brain of ours has served */
	bool committing, commit_again, first_commit, leaving, down, down_keeps;
	int refused; /* demands since refused_since, monotonic ms */
	int64_t refused_since;
	int brain_starts;
	int64_t brain_started;
	int exit_code;
};

/* hand.c */
void hand_send(struct hand *, const char *line, const struct kind *, const void *body,
	       const int *fds, int nfds);
void hand_report_pod(struct hand *, const char *uid);
void hand_report_images(struct hand *);
void hand_report_usage(struct hand *, int64_t id); /* hand_usage.c */
void hand_answer(struct hand *, int64_t id, const char *text, const struct error *);
/* What is kept of a pod that the runtime has; NULL: it has none of that uid. */
struct hand_pod *hand_pod(struct hand *, const char *uid);
int hand_worker(struct hand *, const char *source, struct error **);
void hand_worker_stop(struct hand *, const char *source);
/* A child of ours under a label; *ret is the socket to it. */
int hand_child(struct hand *, const char *role, const char *label, struct identity, int *ret,
	       struct error **);
void hand_leave(struct hand *, int exit_code);
void hand_rules_commit(struct hand *); /* the brain hears how it ended */
void hand_rt_arm(struct hand *);
void hand_ahead_arm(struct hand *); /* pods were started: what is made ahead becomes few */
void hand_drain_arm(struct hand *);

/* hand_open.c: all that the hand holds but its loop's events. */
int hand_open(struct hand *, struct error **);
void hand_socket_remove(struct hand *);
int hand_down(struct hand *); /* its exit code; what cannot go is in the log */

/* hand_store.c */
struct arena;
struct stores_seen *stores_seen_new(struct hand *, struct arena *);
void hand_store_make(struct hand *, const struct store_args *);
void hand_store_remove(struct hand *, const struct store_args *);

/* hand_verbs.c: one message from the brain. */
void hand_hear(void *hand, struct message *);
/* An image on its way in; the answer to `id` follows when it is there or is not. */
struct hand_job *hand_job_add(struct hand *, struct image_job *, int64_t id);

/* hand_look.c: answers with a look_seen */
struct look_args;
int hand_look(struct hand *, const struct look_args *, struct error **);

/* hand_dns.c: the process that answers names */
#define HAND_DNS "dns server" /* its label: no source is called that */
void hand_dns_open(struct hand *);
void hand_dns_brain(struct hand *); /* a new brain is to tell it names */
void hand_dns_ended(struct hand *);
void hand_dns_close(struct hand *, bool down); /* unless everything goes, it stays */

/* hand_sync.c */
void hand_sync_open(struct hand *);
void hand_sync(struct hand *); /* something came in */

/* hand_policy.c: staged like services, and noted in `services` under other keys. */
int hand_admit(struct hand *, const char *id, const struct admit_args *, struct arena *,
	       struct error **);
int hand_isolate(struct hand *, const char *id, uint32_t ip, const struct isolate_args *,
		 struct arena *, struct error **);
int hand_release(struct hand *, const char *kind, const char *id, struct arena *,
		 struct error **);
void hand_rules_drop(struct hand *, const char *key); /* of `services` or `stale` */

/* hand_pull.c */
int hand_pull(struct hand *, const char *image, int64_t id, struct error **);
#endif
