/* copy.h -- files in and out of a container as a tar, for `kedge cp`: kedge-init's own program
 * run once more, as a command of the container and with nothing but its rights.
 *
 * So the image needs no tar, and every path means what it means to the container: nothing of
 * the host is in reach.  The tar is GNU's: names of any length ('L', 'K'), sizes of any (base
 * 256).  The top is called "."; names below it are relative and free of "..".
 */
#ifndef KEDGE_COPY_H
#define KEDGE_COPY_H
#include "runtime/init/sys.h"

enum { TAR_BLOCK = 512, COPY_PATH = 64 << 10, COPY_IO = 64 << 10 };
enum tar_type {
	TAR_FILE = '0',
	TAR_LINK = '2', /* symbolic */
	TAR_DIR = '5',
	TAR_LONG_LINK = 'K',
	TAR_LONG_NAME = 'L',
};

struct tar_head {
	char name[100], mode[8], uid[8], gid[8], size[12], mtime[12], sum[8], type, link[100],
	    magic[8], rest[247];
};

/* copy_tar.c */
void tar_head_fill(struct tar_head *, char type, unsigned mode, uint64_t size, int64_t mtime);
void tar_head_sum(struct tar_head *);
/* false: the block is no header (its sum is another one) */
bool tar_head_read(const struct tar_head *, uint64_t *ret_size, unsigned *ret_mode);

/* copy.c: what both directions share */
extern char copy_io[COPY_IO];
void copy_say(const char *what, const char *path, const char *why); /* a line of stderr */
void copy_fail(const char *path, long err);                         /* the same, by errno */
extern int copy_status;                                             /* 1 once one was said */
bool read_full(int fd, void *, size_t);
bool write_full(int fd, const void *, size_t);

int copy_main(int argc, char **argv); /* "out PATH" or "in PATH NAME" */
int copy_out(const char *path);
int copy_in(const char *path, const char *name);
#endif
