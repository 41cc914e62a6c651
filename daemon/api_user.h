/* api_user.h -- who asks. */
#ifndef KEDGE_API_USER_H
#define KEDGE_API_USER_H
#include <stddef.h>

struct api_user {
	const char *name, *uid;
	const char *const *groups;
	size_t ngroups;
};
#endif
