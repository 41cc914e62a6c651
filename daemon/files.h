/* files.h -- small chores with files that several parts of the daemon share. */
#ifndef KEDGE_FILES_H
#define KEDGE_FILES_H
#include <stddef.h>
#include <sys/types.h>

struct buf;
struct error;

/* Whole file, refused above `max` bytes and when it is no regular file. */
int file_read(const char *path, size_t max, struct buf *ret, struct error **);
/* mkdir -p; owner and mode are set on the last one only when it is new. */
int dir_make(const char *path, mode_t, uid_t, gid_t, struct error **);
#endif
