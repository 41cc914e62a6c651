/* cli_cp.h -- what may stand on either side of `kedge cp`. */
#ifndef KEDGE_CLI_CP_H
#define KEDGE_CLI_CP_H

struct arena;
struct error;

struct cp_side {
	const char *ns,
	    *pod; /* ns: NULL when none was named; pod: NULL for a path of this host */
	const char *path;
};
/* "[[NAMESPACE/]POD:]PATH"; what begins with a dot or a slash is a path, colons and all. */
int cp_side_read(const char *word, struct arena *, struct cp_side *ret, struct error **);
/* The last word of a path, without slashes behind it: "" for "/". */
const char *cp_base(const char *path, struct arena *);
#endif
