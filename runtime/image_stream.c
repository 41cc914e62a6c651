/* image_stream.c -- bytes through gzip or zstd (or as they are) to tar, hashed on both sides.
 *
 * Two libarchive readers in a row: the first only decompresses, the second only
 * reads tar, so that the bytes between them, whose hash is the layer's diffID,
 * pass through our hands.  Only these three filters and this one format are
 * enabled: every other decoder would be attack surface for nothing.
 */
#include "base/cleanup.h"
#include "image_impl.h"
#include <archive.h>
#include <archive_entry.h>
#include <string.h>

/* Real layers stay below 100; gzip cannot do more than 1,032.  Small files may do as they like.
 */
#define RATIO_MAX        500
#define RATIO_FREE_BYTES (INT64_C(64) << 20)

int
image_budget_bytes(struct budget *b, int64_t n, const char *entry, struct error **e)
{
	if (n < 0 || __atomic_sub_fetch(&b->bytes, n, __ATOMIC_RELAXED) < 0)
		return fail(e, WHY_TOO_LARGE,
			    "%s: the image unpacks to more than %lld bytes, which is the limit",
			    entry, (long long)b->max_bytes);
	return 0;
}

int
image_budget_entry(struct budget *b, const char *entry, struct error **e)
{
	if (__atomic_sub_fetch(&b->entries, 1, __ATOMIC_RELAXED) < 0)
		return fail(e, WHY_TOO_LARGE,
			    "%s: the image has more than %lld files, which is the limit", entry,
			    (long long)b->max_entries);
	return 0;
}

static la_ssize_t
plain_refuse(struct stream *s, struct archive *a, const char *why)
{
	char *copy = xstrdup(why); /* why may be s->why */

	free(s->why);
	s->why = copy;
	if (a)
		archive_set_error(a, EIO, "%s", copy);
	return ARCHIVE_FATAL;
}

static la_ssize_t
bytes_read(struct archive *a, void *ctx, const void **ret)
{
	struct stream *s = ctx;
	ssize_t n = (ssize_t)s->held;

	*ret = s->in;
	s->held = 0;
	if (n > 0)
		return n;
	do
		n = read(s->fd, s->in, sizeof s->in);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return plain_refuse(s, a, strerror(errno));
	s->bytes_in += n;
	if (s->size && s->bytes_in > s->size)
		return plain_refuse(s, a, "it has more bytes than were promised");
	if (s->size && n == 0 && s->bytes_in < s->size)
		return plain_refuse(s, a, "the download ended before its end");
	sha256_update(&s->stored, n, (const uint8_t *)s->in);
	return n;
}

static ssize_t
more(void *ctx, const void **ret)
{
	return bytes_read(NULL, ctx, ret);
}

static la_ssize_t
plain_read(struct archive *a, void *ctx, const void **ret)
{
	struct stream *s = ctx;
	const char *why = NULL;
	la_ssize_t n;

	if (s->gz) {
		n = image_gunzip_read(s->gz, more, s, s->out, sizeof s->out, &why);
	} else {
		n = archive_read_data(s->raw, s->out, sizeof s->out);
		why = archive_error_string(s->raw);
	}
	if (n < 0)
		return plain_refuse(s, a,
				    s->why ? s->why
				    : why  ? why
					   : "cannot be decompressed");
	s->bytes_out += n;
	if (s->bytes_out > RATIO_FREE_BYTES && s->bytes_out / RATIO_MAX > s->bytes_in)
		return plain_refuse(s, a,
				    "it is a bomb: more than 500 times its own size unpacked");
	if (s->bytes_out > s->max_bytes)
		return plain_refuse(s, a, "it unpacks to more bytes than the limit allows");
	sha256_update(&s->plain, n, (const uint8_t *)s->out);
	*ret = s->out;
	return n;
}

const char *
image_stream_why(const struct stream *s)
{
	const char *why = s->why;

	if (!why && s->tar)
		why = archive_error_string(s->tar);
	if (!why && s->raw)
		why = archive_error_string(s->raw);
	return why ? why : "unknown error";
}

static int
stream_fail(const struct stream *s, const char *doing, struct error **e)
{
	return fail(e, WHY_INVALID, "%s: %s: %s", s->what, doing, image_stream_why(s));
}

/* Everything but gzip is libarchive's to recognise. */
static int
raw_open(struct stream *s, struct error **e)
{
	struct archive_entry *x;
	int rc;

	s->raw = archive_read_new();
	archive_read_support_filter_gzip(s->raw);
	archive_read_support_filter_zstd(s->raw);
	archive_read_support_format_raw(s->raw);
	archive_read_support_format_empty(s->raw);
	if (archive_read_open(s->raw, s, NULL, bytes_read, NULL) != ARCHIVE_OK)
		return stream_fail(s, "cannot be read", e);
	rc = archive_read_next_header(s->raw, &x);
	if (rc == ARCHIVE_EOF)
		return fail(e, WHY_INVALID, "%s: is empty; a tar is needed", s->what);
	return rc != ARCHIVE_OK ? stream_fail(s, "cannot be read", e) : 0;
}

int
image_stream_open(struct stream *s, int fd, const char *what, int64_t size,
		  const struct budget *b, struct error **e)
{
	const void *first;
	ssize_t n;

	memset(s, 0, offsetof(struct stream, in));
	s->fd = fd;
	s->what = what;
	s->size = size;
	/* headers and padding come on top of the contents: at most a few KiB an entry */
	s->max_bytes = b->bytes + b->bytes / 8 + (INT64_C(64) << 20);
	sha256_init(&s->stored);
	sha256_init(&s->plain);
	n = bytes_read(NULL, s, &first);
	if (n < 0)
		return stream_fail(s, "cannot be read", e);
	s->held = n;
	if (n >= 2 && s->in[0] == '\x1f' && s->in[1] == '\x8b')
		s->gz = image_gunzip_new();
	if (!s->gz && raw_open(s, e) < 0)
		return -1;
	s->tar = archive_read_new();
	archive_read_support_format_tar(s->tar);
	if (archive_read_open(s->tar, s, NULL, plain_read, NULL) != ARCHIVE_OK)
		return stream_fail(s, "is no tar (plain, gzip or zstd)", e);
	return 0;
}

int
image_stream_next(struct stream *s, struct archive_entry **ret, struct error **e)
{
	int rc = archive_read_next_header(s->tar, ret);

	if (rc == ARCHIVE_EOF)
		return 0;
	if (rc != ARCHIVE_OK && rc != ARCHIVE_WARN)
		return stream_fail(s,
				   s->bytes_out > 0 ? "is no sound tar (plain, gzip or zstd)"
						    : "cannot be read",
				   e);
	if (!archive_entry_pathname(*ret))
		return fail(e, WHY_INVALID, "%s: an entry's name is neither plain nor UTF-8",
			    s->what);
	return 1;
}

int
image_stream_end(struct stream *s, char stored[HEX_SIZE], char plain[HEX_SIZE],
		 struct error **e)
{
	const void *bytes;
	la_ssize_t n;

	do
		n = plain_read(s->tar, s, &bytes);
	while (n > 0);
	if (n < 0)
		return stream_fail(s, "cannot be read to its end", e);
	/* what follows the compressed data is part of the blob and of its digest */
	do
		n = bytes_read(NULL, s, &bytes);
	while (n > 0 && s->bytes_in <= s->max_bytes);
	if (n != 0)
		return stream_fail(s, "cannot be read to its end", e);
	image_hex_print(&s->stored, stored);
	image_hex_print(&s->plain, plain);
	return 0;
}

void
image_stream_close(struct stream *s)
{
	if (s->tar)
		archive_read_free(s->tar);
	if (s->raw)
		archive_read_free(s->raw);
	s->tar = s->raw = NULL;
	free(s->gz);
	s->gz = NULL;
	free(s->why);
	s->why = NULL;
}
