/* worker_pull.h -- the process that downloads one image.
 *
 * Its socket gets, in this order: one byte with the PULL_SOCKS descriptors of those who
 * unpack, FRAME_BIND (pull_bind) from the hand, FRAME_START (pull_start) from the
 * brain.  It says FRAME_PULL (pull_seen) now and then, FRAME_FAILED when it cannot go on,
 * and ends.  That the image is there is for the hand to say. */
#ifndef KEDGE_WORKER_PULL_H
#define KEDGE_WORKER_PULL_H

enum { PULL_SOCKS = 4 }; /* IMAGE_PULL_SOCKS of runtime/image.h */

_Noreturn void pull_worker(int fd);
#endif
