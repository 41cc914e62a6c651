/* sign.c -- for LD_PRELOAD: nothing can be signed while the file KEDGE_TEST_UNSIGNED is there.
 */
#include <dlfcn.h>
#include <stdlib.h>
#include <unistd.h>

/* what gnutls.h says of it, in the types that matter here */
typedef int sign_fn(void *key, int algorithm, unsigned flags, const void *data, void *ret);
sign_fn gnutls_privkey_sign_data2;

enum { SIGN_FAILED = -46 }; /* GNUTLS_E_PK_SIGN_FAILED */

int
gnutls_privkey_sign_data2(void *key, int algorithm, unsigned flags, const void *data, void *ret)
{
	const char *file = getenv("KEDGE_TEST_UNSIGNED");
	sign_fn *real = (sign_fn *)dlsym(RTLD_NEXT, "gnutls_privkey_sign_data2");

	if (file && access(file, F_OK) == 0)
		return SIGN_FAILED;
	return real(key, algorithm, flags, data, ret);
}
