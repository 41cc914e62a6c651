/* pod.h -- the parts of pod.c, each in a file of its own, and for whoever else asks one of them
 * (what a pod's class is, what is added up for a quota). */
#ifndef KEDGE_POD_H
#define KEDGE_POD_H
#include "base/map.h"
#include "workload.h"

/* pod.c: an Event of one of its containers, or (NULL) of the whole pod; recorded by the caller
 * of the plan, counted when it repeats. */
void pod_tell(struct plan *, const struct pod *, const char *container, const char *type,
	      const char *reason, const char *message);

/* pod_place.c: which node, which address. */

/* The node for a pod without one, counting what this pass gave away already; or
 * NULL and the scheduler's message; or NULL without one: soon. */
const struct node *pod_place_node(struct snapshot *, const struct pod *, struct arena *,
				  const char **ret_why);
/* Has the node of a pod that runs room for what its spec asks for by now?  NULL, or the
 * kubelet's reason (Infeasible: it never has; Deferred: not now) and its words. */
const char *pod_place_resize(struct snapshot *, const struct pod *, struct arena *,
			     const char **ret_message);
/* The next free address of the pod range, or NULL when none is left. */
const char *pod_place_ip(struct snapshot *, struct arena *);
/* The other one of a pod that has that; NULL: the cluster has no IPv6, or the host none. */
const char *pod_place_ip6(struct snapshot *, bool host_network, const char *ip, struct arena *);

/* pod_words.c: what execve is to be given, counted while it is made; once it is more than Linux
 * takes, `why` says so and nothing more is made. */
struct pod_words {
	const char *container;
	struct arena *a;
	struct pair *vars; /* each name once */
	size_t n, cap;
	struct map names; /* of the first `known`: their places from 1 */
	size_t known, bytes;
	const char *why;   /* the first thing that is missing or too much; NULL: none */
	const char *unset; /* the first name in the last text that nobody set; NULL: none */
};
void pod_words_done(struct pod_words *);
#define cleanup_words __attribute__((cleanup(pod_words_done)))
/* With these variables, each name once. */
void pod_words_begin(struct pod_words *, struct pair *, size_t n);
/* A later value of the same name wins. */
void pod_words_set(struct pod_words *, const char *name, const char *value);
void pod_words_set_text(struct pod_words *, const char *name, const char *text); /* expanded */
/* $(NAME) by these variables; $$ is a dollar; what is not known stays. */
const char *pod_words_expand(struct pod_words *, const char *what, const char *text);
struct strs pod_words_expand_all(struct pod_words *, const char *what, struct strs);
/* The same of a probe's command, for which only what `env` says itself is known; *ret_why:
 * NULL, or it is too much. */
struct strs pod_words_probe(struct strs, const struct container *, struct arena *,
			    const char **ret_why);

/* pod_env.c: a container's environment; false and `why` when a ConfigMap, Secret or key that is
 * not optional is missing, or it is too much. */
bool pod_env(struct snapshot *, const struct pod *, const struct container *,
	     struct pod_words *);
/* Changes whenever a ConfigMap or Secret of it, or what a valueFrom shows of the pod, does; ""
 * when it refers to none.  Not with the namespace's Services: a run has those of its start. */
const char *pod_env_version(struct snapshot *, const struct pod *, const struct container *,
			    struct arena *);
/* What a fieldRef or a resourceFieldRef names; NULL when kedge knows none of that name. */
const char *pod_field(struct snapshot *, const struct pod *, const char *path, struct arena *);
const char *pod_resource(struct snapshot *, const struct pod *,
			 const struct resource_field_selector *, struct arena *);
/* pod_links.c: the variables of the namespace's Services, each name once; NULL: none. */
const struct pair *pod_links(struct snapshot *, const struct pod *, struct arena *,
			     size_t *ret_n);

/* pod_files.c: what of the API becomes a volume of files. */
bool pod_files_made(const struct volume *); /* is it one? */
/* Counts and keeps what its files hold; false and *ret_why when something is missing, or all of
 * the pod's are too much for one order. */
struct pod_contents {
	size_t bytes;
	struct pod_texts *first;
	const char *labels, *annotations; /* as files show them, once one does */
};
bool pod_files(struct snapshot *, const struct pod *, const struct volume *,
	       struct volume_args *, struct pod_contents *, struct arena *,
	       const char **ret_why);
/* And puts it into the volumes' orders. */
void pod_files_encode(const struct pod_contents *, struct arena *);
/* A hash over the versions of what they are made from. */
uint64_t pod_files_version(struct snapshot *, const struct pod *, const struct volume *,
			   uint64_t h);
/* Asks for another look when the next of its tokens is due. */
void pod_tokens_again(const struct pod *, int64_t now, struct plan *);
/* The same of one object that the pod refers to by its name. */
uint64_t pod_object_version(struct snapshot *, const struct pod *, enum resource_id,
			    const char *name, uint64_t h);

/* pod_volumes.c: false and *ret_why when something that is not optional is missing. */
bool pod_volumes(struct snapshot *, const struct pod *, struct sandbox_args *, struct arena *,
		 const char **ret_why);
/* The kubelet's words for "volume NAME", "container NAME" or "pod" over its limit. */
const char *pod_over_message(const struct pod_spec *, const char *over, struct arena *);
/* A container's mounts; false and `why` when a subPathExpr names what is not there. */
bool pod_mounts(const struct container *, struct pod_words *, struct container_args *);
/* Changes whenever what the pod's file volumes are made of changes; "" when it has none. */
const char *pod_volumes_version(struct snapshot *, const struct pod *, struct arena *);

/* pod_spec.c: everything the hand must know to start a pod. */
struct pod_trouble {
	const char *container; /* NULL: the whole pod waits */
	const char *reason, *message;
	const char *event; /* of the whole pod; NULL: FailedMount */
};
/* NULL when something is missing that all of it waits for: then *ret says what.  A container
 * that lacks something is held. */
struct sandbox_args *pod_sandbox(struct snapshot *, const struct pod *, struct arena *,
				 struct pod_trouble *ret);
/* One container's; `hold` when what it refers to is missing: then *ret says what. */
struct container_args *pod_container(struct snapshot *, const struct pod *,
				     const struct container *, enum part_role, struct arena *,
				     struct pod_trouble *ret);
const char *pod_qos(const struct pod_spec *);

/* pod.c: an order to the hand about the pod, and what describe shows of one of its containers,
 * or (NULL) of the whole pod; recorded by the caller of the plan, counted when it repeats. */
void pod_order(struct plan *, enum verb, const struct pod *, int64_t to, const struct kind *,
	       const void *body, const char *why);
void pod_tell(struct plan *, const struct pod *, const char *container, const char *type,
	      const char *reason, const char *message);

/* pod_rights.c: what the security contexts say of a container, and of all of the pod. */
void pod_rights(const struct pod *, const struct container *, struct container_args *,
		struct arena *);
void pod_rights_shared(const struct pod *, struct sandbox_args *, struct arena *);

/* pod_status.c: what the host saw, as Kubernetes tells it. */
struct pod_view {
	struct snapshot *s;
	const struct pod *pod;
	const struct pod_seen *seen; /* NULL: not on the host */
	const struct pod_trouble *trouble;
	size_t ntrouble;
	struct arena *arena;
};
/* A new status made from the old one and what is seen; shares strings with both. */
struct pod_status *pod_status_new(const struct pod_view *);
/* "Running, 1/2 ready", "web: CrashLoopBackOff" */
const char *pod_status_why(const struct pod_status *, struct arena *);
/* The pod is on this host, with processes of its own. */
bool pod_is_up(const struct pod_seen *);
#endif
