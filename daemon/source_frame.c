/* source_frame.c -- whole frames out of a stream of bytes, and onto it. */
#include "source_frame.h"
#include "../reconcile/base/error.h"
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

struct frame_head {
	uint32_t len;
	uint32_t type;
};

enum { READ_STEP = 256 << 10 };

_Static_assert(sizeof(struct frame_head) == FRAME_HEAD, "what the header promises");

volatile sig_atomic_t frame_sending;

size_t
frame_make(char *to, enum frame_type type, const char *body, size_t len)
{
	struct frame_head head = { (uint32_t)len, type };

	memcpy(to, &head, sizeof head);
	memcpy(to + sizeof head, body, len);
	return sizeof head + len;
}

/* Puts back the byte that a NUL took the place of. */
static void
unterminate(struct frame_reader *r)
{
	if (r->saved_at) {
		r->in.at[r->saved_at] = r->saved;
		r->saved_at = 0;
	}
}

int
frame_fill(struct frame_reader *r, int fd)
{
	ssize_t n;

	unterminate(r);
	if (r->at) {
		buf_drop(&r->in, r->at);
		r->at = 0;
	}
	buf_reserve(&r->in, READ_STEP);
	n = recv(fd, r->in.at + r->in.len, READ_STEP, MSG_DONTWAIT);
	if (n == 0)
		return -1;
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -1;
	r->in.len += n;
	r->in.at[r->in.len] = 0;
	return 1;
}

int
frame_next(struct frame_reader *r, struct frame *ret)
{
	struct frame_head head;
	size_t left;

	unterminate(r);
	left = r->in.len - r->at;
	if (left < sizeof head)
		return 0;
	memcpy(&head, r->in.at + r->at, sizeof head);
	if (head.len > FRAME_MAX || !head.type || head.type >= FRAME_TYPES)
		return -1;
	if (left - sizeof head < head.len) {
		buf_reserve(&r->in,
			    head.len + sizeof head - left); /* grow once, not by steps */
		return 0;
	}
	*ret = (struct frame){ head.type, r->in.at + r->at + sizeof head, head.len };
	r->at += sizeof head + head.len;
	r->saved = r->in.at[r->at];
	r->saved_at = r->at;
	r->in.at[r->at] = 0;
	return 1;
}

void
frame_reader_done(struct frame_reader *r)
{
	buf_done(&r->in);
	*r = (struct frame_reader){ 0 };
}

static int
send_all(int fd, struct msghdr *msg, struct error **e)
{
	while (msg->msg_iovlen) {
		ssize_t n = sendmsg(fd, msg, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return fail_sys(e, "send to kedge");
		while (msg->msg_iovlen && (size_t)n >= msg->msg_iov->iov_len) {
			n -= msg->msg_iov->iov_len;
			msg->msg_iov++;
			msg->msg_iovlen--;
		}
		if (msg->msg_iovlen) {
			msg->msg_iov->iov_base = (char *)msg->msg_iov->iov_base + n;
			msg->msg_iov->iov_len -= n;
		}
	}
	return 0;
}

int
frame_send(int fd, enum frame_type type, const void *first, size_t first_len, const void *body,
	   size_t len, struct error **e)
{
	struct frame_head head = { (uint32_t)(first_len + len), type };
	struct iovec iov[3] = { { &head, sizeof head },
				{ (void *)first, first_len },
				{ (void *)body, len } };
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = 3 };
	int rc;

	if (first_len + len > FRAME_MAX)
		return fail(e, WHY_TOO_LARGE, "%zu bytes are too many for one message",
			    first_len + len);
	frame_sending = 1;
	rc = send_all(fd, &msg, e);
	frame_sending = 0;
	return rc;
}

int
frame_send_text(int fd, enum frame_type type, const char *text, struct error **e)
{
	size_t n = strlen(text);

	return frame_send(fd, type, NULL, 0, text, n < FRAME_TEXT_MAX ? n : FRAME_TEXT_MAX, e);
}

int
frame_post(int fd, enum frame_type type, const void *body, size_t len, struct error **e)
{
	struct frame_head head = { (uint32_t)len, type };
	struct iovec iov[2] = { { &head, sizeof head }, { (void *)body, len } };
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = 2 };
	ssize_t n;

	if (len > FRAME_TEXT_MAX)
		return fail(e, WHY_TOO_LARGE, "%zu bytes are too many for one request", len);
	n = sendmsg(fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (n < 0)
		return fail_sys(e, "ask the source's worker");
	if ((size_t)n != sizeof head + len)
		return fail(e, WHY_UNAVAILABLE, "the source's worker does not listen");
	return 0;
}
