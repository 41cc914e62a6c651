/* ignore.h -- .kedgeignore: gitignore's syntax and meaning. */
#ifndef KEDGE_IGNORE_H
#define KEDGE_IGNORE_H
#include <stdbool.h>
#include <stddef.h>

struct arena;
struct ignore;

/* `folder`: where the file lies, "" for the top, else "a/b".  What its parents'
 * files said (`outer`, may be NULL) holds unless this one says otherwise.  Lives
 * in the arena, with copies of what it needs. */
struct ignore *ignore_read(const char *text, size_t len, const char *folder,
			   const struct ignore *outer, struct arena *);
/* `path` as seen from the top.  Nothing below an ignored folder can be had back,
 * so callers do not look into it.  NULL ignores nothing. */
bool ignore_matches(const struct ignore *, const char *path, bool is_folder);
#endif
