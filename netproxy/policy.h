/* policy.h -- from network policies to iptables text.  Pure: same model, same text.
 *
 *   filter  KDG-FP, for packets that begin something   -> KDG-W
 *   KDG-W     in by the bridge? -> KDG-WE... (tree by source: isolated for egress)
 *             out by the bridge? -> KDG-WI... (tree by destination: for ingress)
 *   KDG-GE<address>, KDG-GI<address>   one isolated pod, one direction: to or from itself
 *             passes; else -> KDG-H-h for each part that is for it; marked by one? passes.
 *             REJECT
 *   KDG-H-h   one part of a policy: the rule's ports? -> KDG-A-h, or KDG-WY when anyone may
 *   KDG-A-h   a rule's peers: nets (-> KDG-B-h where some are excepted), then a tree by
 *             address over pods -> KDG-WY
 *   KDG-WY    puts the mark on; KDG-WC takes it off
 *
 * This is after nat: source and destination are the pods themselves, whatever service
 * lies between, and a client from outside has its own address, for it is masqueraded
 * only on the way out.  What the host itself sends or hears is in OUTPUT and INPUT and
 * passes: Kubernetes has it that a node always reaches its pods.
 *
 * The trees end with KDG-W's next rule: chains below it are gone to, not called.
 */
#ifndef KEDGE_NETPROXY_POLICY_H
#define KEDGE_NETPROXY_POLICY_H
#include "rules.h"

#define POLICY_MARK 0x400 /* admitted; none of RULES_MARK's bits */

/* KDG-W, KDG-WY, KDG-WC and the trees over those who are isolated. */
void policy_text_trees(const struct rules_net *, const struct np_isolated *const *, size_t n,
		       struct chains *);
void policy_text_part(const struct rules_net *, const struct np_part *, struct chains *);
/* Of its parts only those that are there: what is not admits nobody. */
void policy_text_pod(const struct np_isolated *, const struct np_part *const *parts, size_t n,
		     struct chains *);
#endif
