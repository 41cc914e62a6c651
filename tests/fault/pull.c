/* pull.c -- the n-th call of a pull fails, or is the last of its process before a SIGKILL:
 * in the hand, in who downloads, in each who unpacks.  The name means the old image or
 * the new one, whole, somebody says why, and nothing is left over: no process, no
 * descriptor, no mount, no file.
 *
 * The registry is a process of the test's own on loopback. */
#include "../unit/image_kit.h" /* first: cmocka has a macro called fail */
#include "fault/harness_host.h"
#include "fault/image_calls.h"
#include "fault/image_store.h"

#include "daemon/source_frame.h"
#include "daemon/worker_pull.h"
#include "reconcile/schema.h"
#include "runtime/image_impl.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/prctl.h>

enum { LAYERS = 2, BLOBS = 2 * (2 + LAYERS) };

static struct {
	char *path; /* as it is asked for */
	const char *type;
	struct buf bytes;
} blobs[BLOBS];
static size_t nblobs;
static struct {
	bool new;
	char *manifest[2];
} * serves; /* shared with the registry */
static char name[64];
static int port;

/* ---- what the registry has ---- */

static char *
blob_add(const char *kind, const char *type, struct buf bytes)
{
	char *hex = hex_of(bytes.at, bytes.len);

	xasprintf(&blobs[nblobs].path, "/v2/x/%s/sha256:%s", kind, hex);
	blobs[nblobs].type = type;
	blobs[nblobs++].bytes = bytes;
	return hex;
}

static struct buf
layer(const char *words, int number, int filter)
{
	struct tar t = tar_new(filter);
	char path[32];
	struct buf b;
	int fd;

	snprintf(path, sizeof path, "d/words-%d", number);
	PUT(&t, .path = "d", .type = AE_IFDIR, .mode = 0755);
	PUT(&t, .path = path, .data = words);
	PUT(&t, .path = number ? "d/.wh..wh..opq" : "again", .hard = number ? NULL : path);
	PUT(&t, .path = "link", .type = AE_IFLNK, .link = "d/words");
	fd = tar_end(&t);
	b = bytes_of(fd);
	close(fd);
	return b;
}

static void
image_make(const char *words, int which)
{
	struct buf layers = { 0 }, ids = { 0 }, config = { 0 }, manifest = { 0 };
	char *hex;

	for (int i = 0; i < LAYERS; i++) {
		struct buf plain = layer(words, i, 0), stored = layer(words, i, i ? 'g' : 0);
		char *id = hex_of(plain.at, plain.len);
		size_t n = stored.len;

		hex = blob_add("blobs", "application/octet-stream", stored);
		buf_addf(&ids, "%s\"sha256:%s\"", i ? "," : "", id);
		buf_addf(&layers,
			 "%s{\"mediaType\":\"application/vnd.oci.image.layer.v1.tar%s\","
			 "\"digest\":\"sha256:%s\",\"size\":%zu}",
			 i ? "," : "", i ? "+gzip" : "", hex, n);
		free(hex);
		free(id);
		buf_done(&plain);
	}
	buf_addf(&config,
		 "{\"architecture\":\"%s\",\"os\":\"linux\",\"config\":{\"Cmd\":[\"%s\"]},"
		 "\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[%s]}}",
		 image_host_architecture(), words, buf_text(&ids));
	hex = blob_add("blobs", "application/octet-stream", config);
	buf_addf(&manifest,
		 "{\"schemaVersion\":2,\"mediaType\":"
		 "\"application/vnd.oci.image.manifest.v1+json\",\"config\":{\"mediaType\":"
		 "\"application/vnd.oci.image.config.v1+json\",\"digest\":\"sha256:%s\","
		 "\"size\":%zu},\"layers\":[%s]}",
		 hex, config.len, buf_text(&layers));
	free(hex);
	free(blob_add("manifests", "application/vnd.oci.image.manifest.v1+json", manifest));
	serves->manifest[which] = blobs[nblobs - 1].path;
	buf_done(&layers);
	buf_done(&ids);
}

static void
answer(int c)
{
	char ask[4096] = "", path[1024], head[512];
	struct timeval patience = { 5, 0 };
	size_t n = 0;
	ssize_t got;

	setsockopt(c, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
	while (!strstr(ask, "\r\n\r\n") && n < sizeof ask - 1 &&
	       (got = __real_read(c, ask + n, sizeof ask - 1 - n)) > 0)
		n += (size_t)got;
	if (sscanf(ask, "GET %1023s", path) != 1)
		return;
	if (strcmp(path, "/v2/x/manifests/latest") == 0)
		snprintf(path, sizeof path, "%s", serves->manifest[serves->new]);
	for (size_t i = 0; i < nblobs; i++) {
		if (strcmp(blobs[i].path, path) != 0)
			continue;
		snprintf(head, sizeof head,
			 "HTTP/1.1 200 OK\r\nContent-Type: %s\r\nContent-Length: %zu\r\n"
			 "Connection: close\r\n\r\n",
			 blobs[i].type, blobs[i].bytes.len);
		(void)__real_send(c, head, strlen(head), MSG_NOSIGNAL);
		(void)__real_send(c, blobs[i].bytes.at, blobs[i].bytes.len, MSG_NOSIGNAL);
		return;
	}
	snprintf(head, sizeof head, "HTTP/1.1 404 X\r\nContent-Length: 0\r\n\r\n");
	(void)__real_send(c, head, strlen(head), MSG_NOSIGNAL);
}

static int
registry_start(void **state)
{
	struct sockaddr_in at = { .sin_family = AF_INET,
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof at;
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), alive[2];

	(void)state;
	plan_new();
	serves = mmap(NULL, sizeof *serves, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		      -1, 0);
	assert_return_code(bind(listener, (struct sockaddr *)&at, len), errno);
	assert_return_code(listen(listener, 50), errno);
	assert_return_code(getsockname(listener, (struct sockaddr *)&at, &len), errno);
	port = ntohs(at.sin_port);
	snprintf(name, sizeof name, "127.0.0.1:%d/x:latest", port);
	image_make("old", 0);
	image_make("new", 1);
	assert_return_code(__real_pipe2(alive, O_CLOEXEC), errno);
	if (__real_fork() == 0) {
		/* nobody's child, so that those of a pull are all there are */
		if (__real_fork() > 0)
			_exit(0);
		close(alive[1]);
		for (;;) {
			struct pollfd p[2] = { { listener, POLLIN, 0 },
					       { alive[0], POLLIN, 0 } };
			int c;

			if (poll(p, 2, -1) < 0 || p[1].revents)
				_exit(0);
			c = accept(listener, NULL, NULL);
			answer(c);
			close(c);
		}
	}
	while (waitpid(-1, NULL, 0) > 0)
		;
	close(listener);
	close(alive[0]);
	return 0; /* alive[1] stays open as long as we do */
}

/* ---- a pull, as the hand begins it ---- */

static int
socks_give(int to, const int socks[PULL_SOCKS])
{
	union {
		struct cmsghdr head;
		char bytes[CMSG_SPACE(PULL_SOCKS * sizeof(int))];
	} room = { 0 };
	struct iovec v = { (char[]){ 'S' }, 1 };
	struct msghdr m = { .msg_iov = &v,
			    .msg_iovlen = 1,
			    .msg_control = &room,
			    .msg_controllen = sizeof room };
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(PULL_SOCKS * sizeof(int));
	memcpy(CMSG_DATA(c), socks, PULL_SOCKS * sizeof(int));
	return __real_sendmsg(to, &m, MSG_NOSIGNAL) < 0 ? -1 : 0;
}

/* The hand's order, and the brain's. */
static void
orders_give(int to)
{
	struct arena a = { 0 };
	struct pull_host host = { 0 };
	struct pull_bind bind = { .image = name, .stallSeconds = 5, .answerSeconds = 5 };
	struct pull_start start = { 0 };
	struct buf json = { 0 };
	enum mode mode = plan->mode;

	plan->mode = OFF; /* they are the test's */
	host.host = arena_printf(&a, "127.0.0.1:%d", port);
	host.http = true;
	bind.registries.at = &host;
	bind.registries.n = 1;
	schema_encode(pull_bind_kind(), &bind, &json);
	(void)frame_send(to, FRAME_BIND, NULL, 0, json.at, json.len, NULL);
	json.len = 0;
	schema_encode(pull_start_kind(), &start, &json);
	(void)frame_send(to, FRAME_START, NULL, 0, json.at, json.len, NULL);
	buf_done(&json);
	arena_free(&a);
	plan->mode = mode;
}

/* Why the downloader gave up; the caller frees it. */
static char *
downloader_hear(int fd)
{
	struct frame_reader in = { 0 };
	char *why = NULL;
	struct frame f;
	int rc = 0;

	while (rc >= 0) {
		struct pollfd p = { fd, POLLIN, 0 };

		while ((rc = frame_next(&in, &f)) > 0)
			if (f.type == FRAME_FAILED && !why)
				why = xstrdup(f.body);
		if (rc == 0 && poll(&p, 1, 20000) == 1)
			rc = frame_fill(&in, fd);
		else
			break;
	}
	frame_reader_done(&in);
	return why;
}

static int
pull(struct images *s, struct error **e, char **ret_said)
{
	int socks[PULL_SOCKS], line[2], rc;
	struct image_job *job = NULL;
	char **names = NULL;
	pid_t worker;

	if (image_pull(s, name, &(struct image_limits){ .seconds = 30 }, socks, &job, e) < 0)
		return -1;
	assert_return_code(__real_socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, line),
			   errno);
	worker = __real_fork();
	assert_return_code(worker, errno);
	if (worker == 0) {
		for (int i = 0; i < PULL_SOCKS; i++)
			close(socks[i]);
		close(line[0]);
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		/* what it writes into the log is not this test's */
		dup2(open("/dev/null", O_RDWR, 0), 2);
		pull_worker(line[1]);
	}
	close(line[1]);
	rc = socks_give(line[0], socks);
	for (int i = 0; i < PULL_SOCKS; i++)
		close(socks[i]);
	if (rc < 0) { /* it is dead already */
		*ret_said = xstrdup("tell the downloader");
		image_job_cancel(job);
		close(line[0]);
		assert_int_equal(waitpid(worker, NULL, 0), worker);
		return -1;
	}
	orders_give(line[0]);
	*ret_said = downloader_hear(line[0]);
	close(line[0]);
	rc = job_wait(job, &names, e);
	names_free(names);
	assert_int_equal(waitpid(worker, NULL, 0), worker);
	return rc;
}

/* ---- what is there ---- */

static size_t
lines(const char *path)
{
	int fd = __real_open(path, O_RDONLY | O_CLOEXEC, 0);
	struct buf b = bytes_of(fd);
	size_t n = 0;

	close(fd);
	for (size_t i = 0; i < b.len; i++)
		n += b.at[i] == '\n';
	buf_done(&b);
	return n;
}

/* The image is whole, and has these words. */
static bool
says(struct images *s, const char *words)
{
	const struct image *i = image_find(s, name);
	char path[512], found[16] = "";
	int fd;

	assert_non_null(i);
	assert_int_equal(i->nlayers, LAYERS);
	for (int k = 0; k < LAYERS; k++) {
		snprintf(path, sizeof path, "%s/d/words-%d", i->layers[k], k);
		fd = __real_open(path, O_RDONLY | O_CLOEXEC, 0);
		assert_true(fd >= 0 && __real_read(fd, found, sizeof found - 1) > 0);
		close(fd);
		assert_string_equal(found, i->cmd[0]);
	}
	return strcmp(found, words) == 0;
}

static void
begin(void)
{
	struct images *s;
	struct error *e = NULL;
	char *said = NULL;

	plan->mode = OFF;
	serves->new = false;
	dir = scratch_make();
	s = open_good();
	if (pull(s, &e, &said) < 0)
		fail_msg("%s (%s)", error_text(e), said ? said : "");
	images_close(s);
	serves->new = true;
}

/* What any later start finds. */
static void
check_after(bool must_be_new)
{
	struct images *s;
	bool new;

	plan->mode = OFF;
	s = open_good();
	new = says(s, "new");
	assert_true(new || says(s, "old"));
	assert_true(new || !must_be_new);
	store_is_tidy(s, 1, LAYERS);
	images_close(s);
	scratch_remove(dir);
}

/* ---- tests ---- */

static void
a_pull_in_which_any_call_fails_leaves_old_or_new_and_says_why(void **state)
{
	int n = 0, failed = 0, fds = entries_of("/proc/self/fd");
	size_t mounts = lines("/proc/self/mountinfo");
	bool fired;

	(void)state;
	do {
		struct error *e = NULL;
		struct images *s;
		char *said = NULL;
		int rc;

		begin();
		s = open_good();
		n++;
		arm(FAIL, n, n % 2 ? EIO : ENOSPC);
		rc = pull(s, &e, &said);
		plan->mode = OFF;
		fired = plan->fired;
		if (rc < 0 && !e && !said)
			fail_msg("call %d, %s, failed without a word", n, plan->call);
		failed += rc < 0;
		/* what the running process believes is whole, too */
		assert_true(says(s, "new") || (rc < 0 && says(s, "old")));
		/* nobody of it is left, but whom we were kept from looking at */
		if (waitpid(-1, NULL, WNOHANG) != -1 && strcmp(plan->call, "waitid"))
			fail_msg("call %d, %s: a process is left", n, plan->call);
		/* and with the cause gone it is pulled */
		free(said);
		error_free(&e);
		if (rc < 0) {
			e = NULL;
			if (pull(s, &e, &said) < 0)
				fail_msg("call %d: then: %s", n, error_text(e));
			free(said);
		}
		images_close(s);
		check_after(true);
		if (entries_of("/proc/self/fd") != fds)
			fail_msg("call %d: %d descriptors, before %d", n,
				 entries_of("/proc/self/fd"), fds);
		assert_int_equal(lines("/proc/self/mountinfo"), mounts);
	} while (fired);
	print_message("# a fault at each of %d calls, %d pulls failed\n", n - 1, failed);
	assert_true(n > 150 && failed > 100);
}

/* Each process of a pull dies at each of its calls, the hand as well. */
static void
a_pull_in_which_any_process_is_killed_leaves_old_or_new(void **state)
{
	int n = 0, status, failed = 0;
	bool fired;

	(void)state;
	do {
		pid_t pid;

		begin();
		arm(OFF, ++n, 0);
		pid = __real_fork();
		if (pid == 0) {
			struct images *s = open_good();
			struct error *e = NULL;
			char *said = NULL;
			int rc;

			plan->mode = DIE;
			rc = pull(s, &e, &said);
			plan->mode = OFF;
			_exit(rc == 0 ? 0 : e || said ? 1 : 2);
		}
		assert_int_equal(waitpid(pid, &status, 0), pid);
		fired = plan->fired;
		if (WIFEXITED(status) && WEXITSTATUS(status) > 1)
			fail_msg("call %d: it was not told why", n);
		failed += WIFEXITED(status) && WEXITSTATUS(status) == 1;
		check_after(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	} while (fired);
	print_message("# a kill at each of %d calls; %d times the hand lived and was told\n",
		      n - 1, failed);
	assert_true(failed > 50);
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_pull_in_which_any_call_fails_leaves_old_or_new_and_says_why),
		cmocka_unit_test(a_pull_in_which_any_process_is_killed_leaves_old_or_new),
	};

	(void)argc;
	need_test_host(argv);
	return cmocka_run_group_tests_name("pull faults", tests, registry_start, NULL);
}
