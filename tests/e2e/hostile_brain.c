/* hostile_brain.c -- a brain that was taken over, with a real hand.
 *
 *   hostile_brain CONFIG
 *
 * is kedged's hand with this program in the place of its brain: started as the
 * brain's user, it asks root for everything that it must not have, in each of its lives
 * for something else, and writes to $HOSTILE/said what became of it.  It tells
 * "FAIL" where a demand was not refused with the words expected.
 */
#include "daemon/config.h"
#include "daemon/hand.h"
#include "reconcile/base/arena.h"
#include "reconcile/base/cleanup.h"
#include "reconcile/base/error.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FRAME_MAX = 8 << 20, HAND = 3 };

static char frame[FRAME_MAX];
static FILE *said;

static void
path_of(const char *name, char to[static 512])
{
	snprintf(to, 512, "%s/%s", getenv("HOSTILE"), name);
}

static void
wait_until(int what, int ms)
{
	struct pollfd p = { HAND, (short)what, 0 };

	if (poll(&p, 1, ms) != 1) {
		fprintf(said, "FAIL: the hand is silent\n");
		exit(3);
	}
}

static void
put(const char *at, size_t n)
{
	while (n) {
		ssize_t r = send(HAND, at, n, MSG_NOSIGNAL);

		if (r < 0 && errno == EAGAIN)
			wait_until(POLLOUT, 20000);
		else if (r < 0)
			exit(4);
		else
			at += r, n -= (size_t)r;
	}
}

/* `count` is what the frame says of its descriptors, nfds how many come along. */
static void
tell(const char *line, const char *body, int count, const int *fds, int nfds)
{
	union {
		char room[CMSG_SPACE(sizeof(int) * 32)];
		struct cmsghdr align;
	} control = { 0 };
	uint32_t len = (uint32_t)(strlen(line) + (body ? 1 + strlen(body) : 0));
	char head[5];
	struct iovec one = { head, sizeof head };
	struct msghdr m = { .msg_iov = &one, .msg_iovlen = 1 };

	memcpy(head, &len, 4);
	head[4] = (char)count;
	if (nfds) {
		m.msg_control = control.room;
		m.msg_controllen = CMSG_SPACE(sizeof(int) * (size_t)nfds);
		CMSG_FIRSTHDR(&m)->cmsg_level = SOL_SOCKET;
		CMSG_FIRSTHDR(&m)->cmsg_type = SCM_RIGHTS;
		CMSG_FIRSTHDR(&m)->cmsg_len = CMSG_LEN(sizeof(int) * (size_t)nfds);
		memcpy(CMSG_DATA(CMSG_FIRSTHDR(&m)), fds, sizeof(int) * (size_t)nfds);
	}
	while (sendmsg(HAND, &m, MSG_NOSIGNAL) < 0)
		wait_until(POLLOUT, 20000);
	put(line, strlen(line));
	if (body) {
		put("\n", 1);
		put(body, strlen(body));
	}
}

static void
get(char *to, size_t n)
{
	while (n) {
		/* descriptors that come along are dropped by the kernel */
		ssize_t r = recv(HAND, to, n, 0);

		if (r < 0 && errno == EAGAIN)
			wait_until(POLLIN, 20000);
		else if (r <= 0)
			exit(5);
		else
			to += r, n -= (size_t)r;
	}
}

/* The next frame: its line and, behind a newline, its body. */
static const char *
hear(void)
{
	char head[5];
	uint32_t len;

	get(head, sizeof head);
	memcpy(&len, head, 4);
	if (len >= sizeof frame)
		exit(6);
	get(frame, len);
	frame[len] = 0;
	return frame;
}

/* What the hand's log holds from `from` on has these words. */
static bool
logged(long from, const char *want)
{
	FILE *log = fopen(getenv("HAND_LOG"), "re");
	char line[8192];
	bool found = false;

	if (!log || fseek(log, from, SEEK_SET) < 0)
		exit(7);
	while (fgets(line, sizeof line, log))
		found |= strstr(line, want) != NULL;
	fclose(log);
	return found;
}

static long
log_end(void)
{
	struct stat st;

	return stat(getenv("HAND_LOG"), &st) < 0 ? 0 : (long)st.st_size;
}

/* The hand answers what comes after, so it heard what came before. */
static bool
answered(const char *want)
{
	static int64_t id = 1000;
	char ping[256], pong[64];
	bool found = false;

	snprintf(ping, sizeof ping,
		 "{\"id\":%lld,\"uid\":\"ping\",\"container\":\"c\",\"command\":[\"/x\"]}",
		 (long long)++id);
	snprintf(pong, sizeof pong, "exec_done\n{\"id\":%lld,", (long long)id);
	tell("+ exec pod default/ping", ping, 0, NULL, 0);
	for (const char *f = hear(); strncmp(f, pong, strlen(pong)); f = hear())
		found |= strstr(f, want) != NULL;
	return found;
}

static void
judge(const char *line, const char *body, const char *want, long from)
{
	bool told = answered(want);

	if (told || logged(from, want))
		fprintf(said, "refused: %.70s: %s\n", line, want);
	else
		fprintf(said, "FAIL: %.70s %.300s: nobody said \"%s\"\n", line,
			body ? body : "", want);
}

static void
ask(const char *line, const char *body, const char *want)
{
	long from = log_end();

	tell(line, body, 0, NULL, 0);
	judge(line, body, want, from);
}

/* ---- what is asked ---- */

#define START "+ start pod default/evil  # please"
#define POD(uid, ip, more, container)                                    \
	"{\"uid\":\"" uid "\",\"hostname\":\"h\",\"ip\":\"" ip "\"" more \
	",\"containers\":[{\"name\":\"c\",\"image\":\"i:1\"" container "}]}"
#define MINE(more, container) POD("evil", "10.42.0.66", more, container)
#define FILES(path)                                                                     \
	",\"volumes\":[{\"name\":\"v\",\"type\":\"files\",\"files\":[{\"path\":\"" path \
	"\",\"data\":\"aGk=\",\"mode\":511}]}]"

static const struct {
	const char *line, *body, *want;
} demands[] = {
	/* names that would be paths */
	{ START, POD("../../../tmp/evil", "10.42.0.66", "", ""), "uid \"" },
	{ START, POD("a/b", "10.42.0.66", "", ""), "uid \"" },
	{ START, POD(".", "10.42.0.66", "", ""), "uid \"" },
	{ START, POD("", "10.42.0.66", "", ""), "uid" },
	{ "+ start pod ../../evil/../x  # please", MINE("", ""), "namespace \"" },
	{ START,
	  "{\"uid\":\"evil\",\"hostname\":\"h\",\"ip\":\"10.42.0.66\",\"containers\":[{"
	  "\"name\":\"../c\",\"image\":\"i:1\"}]}",
	  "name \"../c\"" },
	{ START,
	  "{\"uid\":\"evil\",\"hostname\":\"../h\",\"ip\":\"10.42.0.66\",\"containers\":[{"
	  "\"name\":\"c\",\"image\":\"i:1\"}]}",
	  "host name" },
	{ START, MINE(FILES("../../etc/cron.d/evil"), ""), "is not the name of a file" },
	{ START, MINE(FILES("/etc/cron.d/evil"), ""), "is not the name of a file" },
	{ START, MINE(FILES("a/../../b"), ""), "is not the name of a file" },
	{ START, MINE(",\"volumes\":[{\"name\":\"../v\",\"type\":\"empty\"}]", ""), "volume" },
	{ START, MINE(",\"volumes\":[{\"name\":\"v\",\"type\":\"block\"}]", ""), "type" },
	{ START, MINE(",\"volumes\":[{\"name\":\"v\",\"type\":\"host\"}]", ""), "host's path" },
	{ START,
	  MINE(",\"volumes\":[{\"name\":\"v\",\"type\":\"host\",\"source\":\"/etc\"}]", ""),
	  "is not allowed" },
	{ START, MINE(FILES("a"), ",\"mounts\":[{\"volume\":\"v\",\"path\":\"/../../etc\"}]"),
	  "mount path" },
	{ START,
	  MINE(FILES("a"), ",\"mounts\":[{\"volume\":\"v\",\"path\":\"/a\",\"subPath\":"
			   "\"../../..\"}]"),
	  "subPath" },
	{ START, MINE("", ",\"mounts\":[{\"volume\":\"none\",\"path\":\"/a\"}]"),
	  "there is no volume" },
	{ START, MINE("", ",\"workingDir\":\"/../..\""), "working directory" },
	{ START, MINE("", ",\"terminationMessagePath\":\"/../etc/passwd\""),
	  "termination message path" },
	{ START, MINE("", ",\"seccompProfile\":\"../../../etc/shadow\""), "seccomp profile" },
	{ START, MINE("", ",\"env\":[\"=\"]"), "is not NAME=VALUE" },
	/* rights that the operator did not give */
	{ START, MINE("", ",\"privileged\":true"), "allow.privileged" },
	{ START, MINE("", ",\"unconfined\":true"), "allow.unconfined" },
	{ START, MINE("", ",\"unmasked\":true"), "allow.unmasked" },
	{ START, MINE("", ",\"capAdd\":[\"SYS_ADMIN\"]"), "SYS_ADMIN" },
	{ START, MINE("", ",\"capAdd\":[\"ALL\"]"), "kedge.yaml" },
	{ START, MINE(",\"sysctls\":[\"kernel.core_pattern=|/tmp/evil\"]", ""),
	  "forbidden sysctl" },
	{ START, MINE(",\"sysctls\":[\"net.ipv4.ip_forward=1\"]", ""), "forbidden sysctl" },
	{ START, MINE(",\"sysctls\":[\"net/../../kernel/core_pattern=x\"]", ""), "sysctl" },
	{ START, MINE("", ",\"oomScoreAdj\":-2000"), "oomScoreAdj" },
	/* addresses of others */
	{ START, POD("evil", "192.168.1.1", "", ""), "outside the pods' range" },
	{ START, POD("evil", "127.0.0.1", "", ""), "outside the pods' range" },
	{ START, POD("evil", "10.42.0.1", "", ""), "is no pod's address" },
	{ START, POD("evil2", "10.42.255.255", "", ""), "is no pod's address" },
	{ START, POD("evil3", "here", "", ""), "IPv4" },
	{ "- stop pod default/evil 0 -> 0", "{\"uid\":\"nobody\",\"ip\":\"8.8.8.8\"}",
	  "outside the pods' range" },
	{ "~ drain pod default/evil 0 -> 5", "{\"uid\":\"nobody\",\"ip\":\"8.8.8.8\"}",
	  "outside the pods' range" },
	/* pods that are not there */
	{ "- stop pod default/evil 0 -> 0", "{\"uid\":\"../../../tmp\"}", "gone" },
	{ "~ restart pod default/evil", "{\"uid\":\"nobody\",\"container\":\"c\"}",
	  "there is no pod" },
	{ "~ files pod default/evil",
	  "{\"uid\":\"nobody\",\"hostname\":\"h\",\"ip\":\"10.42.0.66\"" FILES("a") "}",
	  "there is no pod" },
	{ "+ exec pod default/evil",
	  "{\"id\":7,\"uid\":\"nobody\",\"container\":\"c\",\"command\":[\"/bin/sh\"]}",
	  "there is no pod" },
	{ "+ exec pod default/evil", "{\"id\":7,\"uid\":\"nobody\",\"container\":\"c\"}",
	  "no command" },
	{ "+ copy pod default/evil",
	  "{\"id\":7,\"uid\":\"nobody\",\"container\":\"c\",\"path\":\"/etc/shadow\"}",
	  "there is no pod" },
	{ "+ copy pod default/evil",
	  "{\"id\":7,\"uid\":\"nobody\",\"container\":\"c\",\"path\":\"/x\",\"name\":\"../y\"}",
	  "no such path can be" },
	{ "+ copy pod default/evil", "{\"id\":7,\"uid\":\"nobody\",\"container\":\"c\"}",
	  "Required" },
	/* services */
	{ "~ program service default/evil:x",
	  "{\"ip\":\"10.43.0.66\",\"protocol\":\"TCP\",\"port\":80,\"nodePort\":22}",
	  "node port 22 is outside" },
	{ "~ program service default/evil:x",
	  "{\"ip\":\"8.8.8.8\",\"protocol\":\"TCP\",\"port\":53}",
	  "outside the services' range" },
	{ "~ program service default/evil:x",
	  "{\"ip\":\"10.43.0.66\",\"protocol\":\"TCP\",\"port\":80,\"endpoints\":[{\"ip\":"
	  "\"127.0.0.1\",\"port\":22}]}",
	  "127.0.0.1" },
	{ "~ program service default/evil:x",
	  "{\"ip\":\"10.43.0.66\",\"protocol\":\"TCP\",\"port\":80,\"endpoints\":[{\"ip\":"
	  "\"169.254.169.254\",\"port\":80}]}",
	  "169.254.169.254" },
	{ "~ program service default/evil:x",
	  "{\"ip\":\"10.43.9.9\",\"protocol\":\"TCP\",\"port\":80,\"externalIPs\":[\"8.8.8.8\"]"
	  "}",
	  "kedge.yaml does not allow the external address 8.8.8.8" },
	{ "~ program service default/evil:x",
	  "{\"ip\":\"10.43.9.9\",\"protocol\":\"TCP\",\"port\":80,\"balancer\":\"192.0.2.66\"}",
	  "192.0.2.66 is not in the pool of kedge.yaml" },
	{ "~ program service default/evil:x",
	  "{\"ip\":\"10.43.9.9\",\"protocol\":\"TCP\",\"port\":80,\"healthPort\":22}",
	  "health check node port 22 is outside 30000-32767" },
	{ "~ program service default/evil:x",
	  "{\"ip\":\"0.0.0.0\",\"protocol\":\"TCP\",\"port\":80,\"nodePort\":8080,"
	  "\"endpoints\":"
	  "[{\"ip\":\"192.0.2.9\",\"port\":80}]}",
	  "a host port may not lead to 192.0.2.9" },
	{ "~ program service default/evil\";-A:x",
	  "{\"ip\":\"10.43.0.66\",\"protocol\":\"TCP\",\"port\":80}", "a service's id" },
	{ "~ program service default/evil:x",
	  "{\"ip\":\"10.43.0.66\",\"protocol\":\"ICMP\",\"port\":80}", "protocol" },
	/* sources that are in nobody's configuration */
	{ "+ watch source etc", NULL, "there is no source \"etc\"" },
	{ "+ watch source ../../etc", NULL, "there is no source" },
	{ "+ watch source /etc/shadow", NULL, "is not an action" },
	/* images */
	{ "+ import image evil:1", "{\"id\":1,\"format\":\"rootfs\"}",
	  "no archive came along" },
	{ "+ import image evil:1", "{\"id\":1,\"format\":\"../../x\"}", "format" },
	{ "- remove image ../../../etc/passwd", "{\"id\":2}", "answer_seen" },
	{ "- remove image evil:1", "{\"id\":2}", "evil:1" },
	/* what is no verb, no body, no JSON */
	{ "+ frobnicate pod default/evil", NULL, "frobnicate" },
	{ "- delete pod default/evil", "{}", "the hand does not do this" },
	{ "+ create pod default/evil", "{}", "the hand does not do this" },
	{ "", NULL, "is not an action" },
	{ "\x01\x02", "\xff", "is not an action" },
	{ START, "{", "message" },
	{ START, "[]", "message" },
	{ START, NULL, "invalid JSON" },
	{ START, "{\"uid\":\"evil\"}", "Required" },
	{ START, "{\"uid\":\"evil4\",\"hostname\":\"h\",\"ip\":\"10.42.0.66\"}",
	  "no containers" },
};

static void
strange_descriptors(void)
{
	int many[20], pair[2], fifo[2];
	long from;

	static const struct {
		const char *path;
		int how;
	} odd[] = {
		{ "/", O_RDONLY | O_DIRECTORY },
		{ "/dev/null", O_WRONLY },
		{ "/proc/self/mem", O_RDONLY },
		{ "/etc", O_PATH },
	};

	for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
		int fd = open(odd[i].path, odd[i].how | O_CLOEXEC);

		if (fd < 0)
			continue;
		tell("+ import image evil:1", "{\"id\":3,\"format\":\"rootfs\"}", 1, &fd, 1);
		for (int tries = 0;; tries++) {
			if (answered("answer_seen\n{\"id\":3,\"error\":"))
				break;
			if (tries == 200)
				fprintf(said, "FAIL: import of %s has no end\n", odd[i].path);
			if (tries == 200)
				break;
			usleep(20000);
		}
		fprintf(said, "refused: import of %s\n", odd[i].path);
		close(fd);
	}
	/* what never says a word, and then is cancelled */
	if (pipe(fifo) < 0 || socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0)
		exit(8);
	tell("+ import image evil:2", "{\"id\":4,\"format\":\"archive\"}", 1, &fifo[0], 1);
	from = log_end();
	tell("- cancel image evil:2", "{\"id\":4}", 0, NULL, 0);
	judge("- cancel image evil:2", NULL, "the sender left", from);
	/* many, where none belong: all are closed again */
	for (int i = 0; i < 8; i++)
		many[i] = pair[i % 2];
	for (int i = 0; i < 300; i++) {
		tell(". list images", NULL, 8, many, 8);
		tell(START, "{", 8, many, 8);
	}
	ask("- remove image evil:3", "{\"id\":2}", "evil:3");
}

/* Tens of thousands of demands at once, none of which is granted. */
static void
flood(void)
{
	for (int i = 0; i < 20000; i++)
		tell("- stop pod default/evil 0 -> 0", "{", 0, NULL, 0);
	(void)answered("");
	usleep(1100000); /* what is refused is logged again */
	ask("+ watch source etc", NULL, "there is no source");
}

static void
huge_frame(bool all)
{
	static char zero[1 << 20];
	uint32_t len = all ? 60 << 20 : 0xfffffff0u;
	char head[5] = { 0 };

	memcpy(head, &len, 4);
	put(head, sizeof head);
	for (int i = 0; all && i < 60; i++)
		put(zero, sizeof zero);
	if (all)
		ask("+ watch source etc", NULL, "there is no source");
}

/* Which life is this one? */
static int
lives(void)
{
	char path[512];
	int n = 1;

	for (;; n++) {
		char name[32];
		int fd;

		snprintf(name, sizeof name, "life.%d", n);
		path_of(name, path);
		fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
		if (fd >= 0) {
			close(fd);
			return n;
		}
	}
}

static _Noreturn void
sit_still(void)
{
	for (;;)
		pause();
}

static int
hostile(void)
{
	char path[512];
	int fds[2] = { 0, 1 };
	int life;

	signal(SIGPIPE, SIG_IGN);
	path_of("said", path);
	said = fopen(path, "ae");
	if (!said)
		return 9;
	setlinebuf(said);
	while (strncmp(hear(), "host_seen", 9))
		;
	tell(". ready brain", NULL, 0, NULL, 0);
	life = lives();
	fprintf(said, "life %d\n", life);
	switch (life) {
	case 1:
		for (size_t i = 0; i < sizeof demands / sizeof *demands; i++)
			ask(demands[i].line, demands[i].body, demands[i].want);
		strange_descriptors();
		flood();
		huge_frame(true);
		huge_frame(false); /* ends the talk; and it does not leave by itself */
		sit_still();
	case 2: /* says that descriptors come, and none do */
		tell(". list images", NULL, 8, NULL, 0);
		sit_still();
	case 3: /* more of them than it says */
		tell(". list images", NULL, 200, fds, 2);
		sit_still();
	case 4: /* half a frame, and gone */
		put("\x40\0\0", 3);
		return 0;
	default:
		ask("+ watch source etc", NULL, "there is no source");
		fprintf(said, "done\n");
		sit_still();
	}
}

int
main(int argc, char **argv)
{
	cleanup_arena struct arena a = { 0 };
	struct complaints cs = { .arena = &a };
	cleanup_error struct error *e = NULL;
	struct config *c;

	for (int i = 1; i < argc; i++)
		if (!strcmp(argv[i], "--role=brain"))
			return hostile();
	c = argc == 2 ? config_read(argv[1], &a, &cs, &e) : NULL;
	if (!c || config_finish(c, &a, &e) < 0) {
		fprintf(stderr, "hostile_brain: %s\n",
			e          ? error_text(e)
			: cs.first ? cs.first->text
				   : "usage: hostile_brain CONFIG");
		return 2;
	}
	return hand_main(c);
}
