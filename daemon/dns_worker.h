/* dns_worker.h -- the process that answers pods' questions for names.
 *
 * It has the brain's user and no rights; its sockets come from the hand, its names
 * from the brain.  It outlives both: what it was told last it goes on answering,
 * until another of its kind has taken over and the hand says goodbye with SIGTERM.
 *
 *	hand -> it	bind {dns_bind}, sockets (UDP, TCP), brain (a socket)
 *	it -> hand	loaded: the names are whole, once
 *	brain -> it	begin, put KEY {lines}, drop KEY, end
 */
#ifndef KEDGE_DNS_WORKER_H
#define KEDGE_DNS_WORKER_H

/* Until it is told to go, or nobody needs it; the exit code. */
int dns_worker(int fd);
#endif
