/* ignore.h -- .kedgeignore: gitignore's syntax and meaning. */
#ifndef KEDGE_IGNORE_H
#define KEDGE_IGNORE_H
#include <stdbool.h>
#include <stddef.h>

struct arena;
struct ignore;

enum {
	IGNORE_FILE_MAX = 64 << 10,   /* bytes of one file */
	IGNORE_ALL_MAX = 1 << 20,     /* and of all that a walk meets */
	IGNORE_STEPS_MAX = 100000000, /* of matching, in one walk: about half a second */
};
#define IGNORE_TOO_LARGE                                                                   \
	"is larger than the 64 KiB that are read of one, or than 1 MiB together with the " \
	"others: name folders in it instead of files"

/* `folder`: where the file lies, "" for the top, else "a/b".  What its parents'
 * files said (`outer`, may be NULL) holds unless this one says otherwise.  Lives
 * in the arena, with copies of what it needs. */
struct ignore *ignore_read(const char *text, size_t len, const char *folder,
			   const struct ignore *outer, struct arena *);
/* `path` as seen from the top.  Nothing below an ignored folder can be had back,
 * so callers do not look into it.  NULL ignores nothing.
 * What it takes is subtracted from `*steps` (NULL: not counted); at 0 nothing matches. */
bool ignore_matches(const struct ignore *, const char *path, bool is_folder, int *steps);
#endif
