/* mend.h -- the bridge and its ports, when somebody removed or changed them. */
#ifndef KEDGE_MEND_H
#define KEDGE_MEND_H
#include "np.h"

/* Looks at every link and puts right what is ours.  `did` (may be NULL) gets what was put
 * right, a sentence; it is empty when all was well.  A pod's pair that is gone is told by
 * np_plugged: only who has the pod's namespace can make another. */
struct buf;
int mend_links(struct np *, struct buf *did, struct error **);
#endif
