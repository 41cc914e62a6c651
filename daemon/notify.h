/* notify.h -- a word to systemd, when it started us: sd_notify without the library. */
#ifndef KEDGE_NOTIFY_H
#define KEDGE_NOTIFY_H
void notify_send(const char *state); /* "READY=1"; does nothing without $NOTIFY_SOCKET */
long notify_watchdog_ms(void);       /* how often WATCHDOG=1 is due; 0: never */
#endif
