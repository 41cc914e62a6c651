/* image_gunzip.c -- gzip by ISA-L where the build has it: three times zlib's speed, and
 * inflating is what a pull takes most of its time for.
 *
 * Without it (image_gunzip_new gives NULL) libarchive's zlib does the same.
 */
#include "image_impl.h"
#include <string.h>

#ifdef KEDGE_ISAL
#include <isa-l/igzip_lib.h>

struct gunzip {
	struct inflate_state state;
	bool begun, over;
	unsigned members; /* that ended */
};

struct gunzip *
image_gunzip_new(void)
{
	struct gunzip *g = xcalloc(1, sizeof *g);

	isal_inflate_init(&g->state);
	g->state.crc_flag = ISAL_GZIP; /* header and checksum are read and checked */
	return g;
}

/* Several gzip members in a row are one stream; zeros between and after them are padding,
 * and what else follows is no part of it. */
static bool
member_begins(struct gunzip *g)
{
	if (g->members)
		while (g->state.avail_in && *g->state.next_in == 0) {
			g->state.next_in++;
			g->state.avail_in--;
		}
	if (!g->state.avail_in)
		return false;
	if (g->members && *g->state.next_in != 0x1f) {
		g->over = true;
		return false;
	}
	g->begun = true;
	return true;
}

static void
member_ends(struct gunzip *g)
{
	uint8_t *in = g->state.next_in, *out = g->state.next_out;
	uint32_t nin = g->state.avail_in, nout = g->state.avail_out;

	isal_inflate_reset(&g->state);
	g->state.crc_flag = ISAL_GZIP;
	g->state.next_in = in;
	g->state.avail_in = nin;
	g->state.next_out = out;
	g->state.avail_out = nout;
	g->begun = false;
	g->members++;
}

ssize_t
image_gunzip_read(struct gunzip *g, image_more_fn *more, void *ctx, void *out, size_t room,
		  const char **ret_why)
{
	g->state.next_out = out;
	g->state.avail_out = (uint32_t)room;
	while (g->state.avail_out == room && !g->over) {
		int rc;

		if (g->state.avail_in == 0) {
			const void *in;
			ssize_t n = more(ctx, &in);

			if (n < 0)
				return -1;
			if (n == 0 && !g->begun)
				return 0;
			if (n == 0) {
				*ret_why = "truncated gzip input";
				return -1;
			}
			g->state.next_in = (uint8_t *)in;
			g->state.avail_in = (uint32_t)n;
		}
		if (!g->begun && !member_begins(g))
			continue;
		rc = isal_inflate(&g->state);
		if (rc < 0) {
			*ret_why = rc == ISAL_INCORRECT_CHECKSUM ? "gzip: its checksum is wrong"
								 : "gzip decompression failed";
			return -1;
		}
		if (g->state.block_state == ISAL_BLOCK_FINISH)
			member_ends(g);
	}
	return (ssize_t)(room - g->state.avail_out);
}

#else
struct gunzip *
image_gunzip_new(void)
{
	return NULL;
}

ssize_t
image_gunzip_read(struct gunzip *g, image_more_fn *more, void *ctx, void *out, size_t room,
		  const char **ret_why)
{
	(void)g, (void)more, (void)ctx, (void)out, (void)room, (void)ret_why;
	return -1;
}
#endif
