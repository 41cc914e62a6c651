/* gittree.h -- git's tree objects, read as bytes.
 *
 * Used on both sides of the socket.  A tree is untrusted: names are judged here
 * and never become paths on a disk.
 */
#ifndef KEDGE_GITTREE_H
#define KEDGE_GITTREE_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	GITTREE_ID = 20,
	GITTREE_DEPTH_MAX = 64,
	GITTREE_FILES_MAX = 100000,
	GITTREE_FOLDERS_MAX = 100000
};
/* What is said beyond the two, by the daemon and by kedge validate. */
#define GITTREE_TOO_DEEP                                                                     \
	"is too deep: 64 folders within each other are the most: move it up, or name it in " \
	".kedgeignore"
#define GITTREE_TOO_MANY                                                                       \
	"one manifest too many: kedge reads at most 100000 files of a source: split it (each " \
	"source with a path of its own), or name what is no manifest in .kedgeignore"
enum gittree_mode {
	MODE_FOLDER = 0040000,
	MODE_FILE = 0100644,
	MODE_PROGRAM = 0100755,
	MODE_LINK = 0120000,
	MODE_MODULE = 0160000, /* a submodule */
};

struct gittree_entry {
	uint32_t mode;
	const char *name; /* NUL-terminated, within the tree's bytes */
	size_t len;
	const unsigned char *id;
};

/* 1: *ret is the entry at *at, which moves on; 0: the end; -1: not a tree. */
int gittree_next(const char **at, const char *end, struct gittree_entry *ret);
/* How many bytes of whole entries, from here on, are the same in both. */
size_t gittree_same(const char *a, const char *a_end, const char *b, const char *b_end);
/* Git's order: a folder sorts as if its name ended in '/'. */
int gittree_compare(const struct gittree_entry *, const struct gittree_entry *);
/* Finds one name; same results as gittree_next, 0 when absent. */
int gittree_find(const char *bytes, size_t len, const char *name, size_t name_len,
		 struct gittree_entry *ret);
static inline bool
gittree_is_file(uint32_t mode)
{
	return mode == MODE_FILE || mode == MODE_PROGRAM || mode == 0100664;
}
struct arena;
/* A path in a tree as the user wrote it (NULL: none), without leading, doubled and trailing
 * slashes: "/a//b/" is "a/b", "." is "". */
const char *gittree_path(const char *path, struct arena *);
/* What is wrong with a name ("is called \"..\""), NULL when nothing. */
const char *gittree_name_wrong(const char *name, size_t len);
/* Hidden ones are not looked into. */
static inline bool
gittree_name_hidden(const char *name)
{
	return name[0] == '.';
}
/* Does the file's content matter: a manifest by its name, or a list of what to ignore? */
bool gittree_name_wanted(const char *name, size_t len);
#define IGNORE_FILE ".kedgeignore"
#endif
