/* image_name.c -- digests, and the names that base/imageref.h completes. */
#include "base/cleanup.h"
#include "base/error.h"
#include "base/imageref.h"
#include "image_impl.h"
#include <string.h>

bool
image_hex_valid(const char *s)
{
	return strlen(s) == HEX_SIZE - 1 && strspn(s, "0123456789abcdef") == HEX_SIZE - 1;
}

const char *
image_digest_hex(const char *digest)
{
	static const char prefix[] = "sha256:";

	if (!digest || strncmp(digest, prefix, sizeof prefix - 1) != 0)
		return NULL;
	return image_hex_valid(digest + sizeof prefix - 1) ? digest + sizeof prefix - 1 : NULL;
}

int
image_digest_refuse(const char *digest, struct error **e)
{
	int n = imageref_foreign(digest);

	if (n)
		return fail(e, WHY_UNSUPPORTED,
			    "\"%s\": digests by %.*s are not known here, only those by sha256",
			    digest, n, digest);
	return fail(e, WHY_INVALID, "\"%s\" is no digest of the form sha256:HEX", digest);
}

void
image_hex_print(struct sha256_ctx *ctx, char ret[HEX_SIZE])
{
	static const char digits[] = "0123456789abcdef";
	uint8_t sum[SHA256_DIGEST_SIZE];

	sha256_digest(ctx, sizeof sum, sum);
	for (size_t i = 0; i < sizeof sum; i++) {
		ret[2 * i] = digits[sum[i] >> 4];
		ret[2 * i + 1] = digits[sum[i] & 15];
	}
	ret[HEX_SIZE - 1] = '\0';
}

char *
image_normalise(const char *name, struct error **e)
{
	return imageref_normalise(name, e);
}
