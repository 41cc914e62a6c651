/* base64.c -- nettle's, into an arena. */
#include "base64.h"
#include "arena.h"
#include <nettle/base64.h>
#include <string.h>

const char *
base64_text(const void *bytes, size_t n, struct arena *a)
{
	char *out = arena_alloc(a, BASE64_ENCODE_RAW_LENGTH(n) + 1);

	base64_encode_raw(out, n, bytes);
	out[BASE64_ENCODE_RAW_LENGTH(n)] = 0;
	return out;
}

void *
base64_bytes(const char *text, struct arena *a, size_t *ret_n)
{
	struct base64_decode_ctx ctx;
	size_t len = strlen(text), n = BASE64_DECODE_LENGTH(len);
	uint8_t *out = arena_alloc(a, n + 1);

	base64_decode_init(&ctx);
	if (!base64_decode_update(&ctx, &n, out, len, text) || !base64_decode_final(&ctx))
		return NULL;
	out[n] = 0;
	if (ret_n)
		*ret_n = n;
	return out;
}
