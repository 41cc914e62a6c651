/* cli_tar.h -- what `kedge cp` sends and receives: a tar whose top is called ".".
 *
 * What comes from a container is anybody's: nothing of it is made outside of the destination,
 * and nothing that leads there.  Below the destination no link is followed, whoever made it.
 */
#ifndef KEDGE_CLI_TAR_H
#define KEDGE_CLI_TAR_H
#include <stdbool.h>

struct archive;
struct archive_entry;
struct error;

/* Both say on stderr what they leave out and return 1 then; -1 with what ended it. */
int cli_tar_pack(const char *path, int fd, struct error **);
/* A directory's contents go into `dest`, which is made; a file becomes `dest`, or `base` within
 * it where that is a directory. */
int cli_tar_unpack(int fd, const char *dest, const char *base, struct error **);

/* May an entry be called so: relative, no empty word, no "." and no ".."? */
bool cli_tar_name_stays(const char *name);
/* Does a link called `name` that says `to` lead to below the top, whatever other such links
 * there are?  Words of ".." count as long as nothing else came before them. */
bool cli_tar_link_stays(const char *name, const char *to);

/* An entry of one archive with its data, holes and all, to another. */
int cli_tar_put(struct archive *in, struct archive *out, struct archive_entry *);
#endif
