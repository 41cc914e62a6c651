/* brain.h -- the half that reads and decides: own user, no rights, one loop. */
#ifndef KEDGE_BRAIN_H
#define KEDGE_BRAIN_H

/* Talks to the hand over `fd` until that closes; then returns the exit code. */
int brain_main(int fd);
#endif
