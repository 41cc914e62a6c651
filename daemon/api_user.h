/* api_user.h -- who asks, as the API knows them; owned by the request. */
#ifndef KEDGE_API_USER_H
#define KEDGE_API_USER_H
#include <stddef.h>

struct api_user {
	const char *name, *uid; /* uid: "" when the user has none */
	const char *const *groups;
	size_t ngroups;
};
#endif
