/* hand.h -- the privileged half: hears verbs, does them, reports what it sees. */
#ifndef KEDGE_HAND_H
#define KEDGE_HAND_H

struct config;

/* Runs until SIGTERM or SIGINT (0), until `kedge down` is done (0), or until
 * something makes going on impossible (1, said in the log).  The pods live on. */
int hand_main(struct config *);
#endif
