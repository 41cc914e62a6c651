/* copy_tar.c -- the header of a tar: numbers in octal, or in base 256 when they are large. */
#include "runtime/init/copy.h"

_Static_assert(sizeof(struct tar_head) == TAR_BLOCK, "a header is a block");

/* Digits and a NUL; what does not fit begins with a byte 0x80 and is big-endian. */
static void
put_number(char *field, size_t n, uint64_t x)
{
	bool fits = n > 21 || x >> (3 * (n - 1)) == 0;

	for (size_t i = n - (fits ? 1 : 0); i-- > 0; x >>= fits ? 3 : 8)
		field[i] = (char)(fits ? '0' + (x & 7) : x & 0xff);
	if (!fits)
		field[0] = (char)0x80;
}

static bool
get_number(const char *field, size_t n, uint64_t *ret)
{
	uint64_t x = 0;
	size_t i = 0;

	if ((unsigned char)field[0] == 0x80) {
		for (i = 1; i < n; i++) {
			if (x >> 55)
				return false;
			x = x << 8 | (unsigned char)field[i];
		}
		*ret = x;
		return true;
	}
	while (i < n && field[i] == ' ')
		i++;
	for (; i < n && field[i] >= '0' && field[i] <= '7'; i++)
		x = x << 3 | (uint64_t)(field[i] - '0');
	*ret = x;
	return i == n || field[i] == '\0' || field[i] == ' ';
}

/* Of all bytes, those of the sum itself as spaces. */
static uint64_t
sum_of(const struct tar_head *h)
{
	const unsigned char *at = (const unsigned char *)h;
	uint64_t sum = 0;

	for (size_t i = 0; i < sizeof(*h); i++)
		sum +=
		    i >= offsetof(struct tar_head, sum) && i < offsetof(struct tar_head, type)
			? ' '
			: at[i];
	return sum;
}

void
tar_head_fill(struct tar_head *h, char type, unsigned mode, uint64_t size, int64_t mtime)
{
	memset(h, 0, sizeof(*h));
	put_number(h->mode, sizeof(h->mode), mode & 07777);
	put_number(h->uid, sizeof(h->uid), 0);
	put_number(h->gid, sizeof(h->gid), 0);
	put_number(h->size, sizeof(h->size), size);
	put_number(h->mtime, sizeof(h->mtime), mtime > 0 ? (uint64_t)mtime : 0);
	h->type = type;
	memcpy(h->magic, "ustar  ", sizeof(h->magic));
}

void
tar_head_sum(struct tar_head *h)
{
	put_number(h->sum, 7, sum_of(h));
	h->sum[7] = ' ';
}

bool
tar_head_read(const struct tar_head *h, uint64_t *ret_size, unsigned *ret_mode)
{
	uint64_t sum, mode;

	if (!get_number(h->sum, sizeof(h->sum), &sum) || sum != sum_of(h) ||
	    !get_number(h->size, sizeof(h->size), ret_size) ||
	    !get_number(h->mode, sizeof(h->mode), &mode))
		return false;
	*ret_mode = (unsigned)mode;
	return true;
}
