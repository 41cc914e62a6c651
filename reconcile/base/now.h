/* now.h -- what time it is.  Controllers do not ask: the snapshot tells them. */
#ifndef KEDGE_NOW_H
#define KEDGE_NOW_H
#include <stdint.h>

int64_t now_ms(void);       /* since 1970; somebody may set it, so never for waiting */
int64_t monotonic_ms(void); /* since the host's start, sleep included; nobody sets it */
#endif
