/* hand_pull.c -- starts what pulls an image: those who unpack, and who downloads.
 *
 * The hand reads nothing of either.  It makes the sockets between them, and gives the
 * downloader what the operator's files say of registries, which the brain, who reads
 * what strangers write, does not see.
 */
#include "../reconcile/base/arena.h"
#include "../reconcile/base/cleanup.h"
#include "../reconcile/base/error.h"
#include "../reconcile/base/log.h"
#include "config.h"
#include "files.h"
#include "hand_spec.h"
#include "hand_state.h"
#include "source_frame.h"
#include "worker_pull.h"
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>

_Static_assert((int)PULL_SOCKS == (int)IMAGE_PULL_SOCKS, "one socket for each who unpacks");

static int
secret_read(const char *path, size_t max, struct arena *a, const char **ret, struct error **e)
{
	cleanup_buf struct buf b = { 0 };

	if (!path || !*path)
		return 0;
	if (file_read(path, max, &b, e) < 0)
		return -1;
	*ret = arena_strdup(a, buf_text(&b));
	explicit_bzero(b.at ? b.at : (char[1]){ 0 }, b.len);
	return 0;
}

/* One line "user:password", without its end. */
static void
line_cut(struct arena *a, const char **line)
{
	if (*line)
		*line = arena_strndup(a, *line, strcspn(*line, "\r\n"));
}

static int
bind_make(struct hand *h, const char *image, struct arena *a, struct pull_bind *ret,
	  struct error **e)
{
	size_t n = h->config->registries.n;
	struct pull_host *hosts = arena_zalloc(a, (n + 1) * sizeof *hosts);

	for (size_t i = 0; i < n; i++) {
		const struct config_registry *c = &h->config->registries.at[i];

		hosts[i] = (struct pull_host){ .host = c->host,
					       .mirrors = c->mirrors,
					       .http = c->http };
		if (secret_read(c->credentialsFile, 4096, a, &hosts[i].credentials, e) < 0 ||
		    secret_read(c->caFile, 1 << 20, a, &hosts[i].ca, e) < 0)
			return fail_in(e, "registry %s", c->host);
		line_cut(a, &hosts[i].credentials);
	}
	*ret = (struct pull_bind){ .image = image,
				   .stallSeconds = h->config->images->stallSeconds,
				   .answerSeconds = h->config->images->answerSeconds,
				   .ranges = config_ranges(&h->settings, a) };
	ret->registries.at = hosts;
	ret->registries.n = n;
	return 0;
}

static int
socks_post(int to, const int socks[PULL_SOCKS], struct error **e)
{
	union {
		struct cmsghdr head;
		char bytes[CMSG_SPACE(PULL_SOCKS * sizeof(int))];
	} room = { 0 };
	char byte = 'S';
	struct iovec v = { &byte, 1 };
	struct msghdr m = { .msg_iov = &v,
			    .msg_iovlen = 1,
			    .msg_control = &room,
			    .msg_controllen = sizeof room };
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(PULL_SOCKS * sizeof(int));
	memcpy(CMSG_DATA(c), socks, PULL_SOCKS * sizeof(int));
	return sendmsg(to, &m, MSG_NOSIGNAL) < 0 ? fail_sys(e, "tell the downloader") : 0;
}

static int
downloader_start(struct hand *h, const char *label, const struct pull_bind *bind,
		 const int socks[PULL_SOCKS], int *ret, struct error **e)
{
	cleanup_buf struct buf json = { 0 };
	cleanup_close int sock = -1;
	int rc, room = 4 << 20;

	if (hand_child(h, "pull", label, h->brain_id, &sock, e) < 0)
		return -1;
	/* certificates of several registries may be larger than a socket usually takes */
	(void)setsockopt(sock, SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof room);
	schema_encode(pull_bind_kind(), bind, &json);
	rc = socks_post(sock, socks, e);
	if (rc == 0)
		rc = frame_send(sock, FRAME_BIND, NULL, 0, json.at, json.len, e);
	explicit_bzero(json.at, json.len);
	if (rc < 0)
		return -1;
	*ret = steal_fd(&sock);
	return 0;
}

int
hand_pull(struct hand *h, const char *image, int64_t id, struct error **e)
{
	const struct image_limits limits = { .seconds = (int)h->config->images->pullSeconds,
					     .bytes =
						 quantity_value(h->config->images->maxSize) };
	cleanup_arena struct arena a = { 0 };
	cleanup_free char *full = image_normalise(image, e), *label = NULL, *line = NULL;
	struct answer_seen answer = { .id = id };
	int socks[PULL_SOCKS], sock = -1, rc;
	struct image_job *job = NULL;
	struct pull_bind bind;
	struct hand_job *j;

	if (!full || bind_make(h, full, &a, &bind, e) < 0 ||
	    image_pull(h->images, full, &limits, socks, &job, e) < 0)
		return -1;
	xasprintf(&label, "pull %lld", (long long)id);
	rc = downloader_start(h, label, &bind, socks, &sock, e);
	for (int i = 0; i < PULL_SOCKS; i++)
		close(socks[i]);
	if (rc < 0) {
		image_job_cancel(job);
		return -1;
	}
	j = hand_job_add(h, job, id);
	j->worker = steal_ptr(&label);
	xasprintf(&line, "puller %s", full);
	hand_send(h, line, answer_seen_kind(), &answer, &sock, 1);
	close(sock);
	return 0;
}
