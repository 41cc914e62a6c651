/* http_peer.c -- who is at the other end of a socket.
 *
 * Security argument: whoever may talk to kedge may run programs in every pod and
 * read every secret, so the question is asked on both sockets.  A unix socket
 * says who connected (SO_PEERCRED: at the time of connect, so it cannot be
 * passed on).  A TCP connection over loopback has an owner too: the kernel
 * lists the client's end with its uid in /proc/net/tcp.  Without that, "on
 * loopback only" would mean "for every user of this machine".
 */
#include "http_peer.h"
#include "../reconcile/base/buf.h"
#include "../reconcile/base/cleanup.h"
#include "../reconcile/base/error.h"
#include <arpa/inet.h>
#include <fcntl.h>
#include <grp.h>
#include <netinet/in.h>
#include <pwd.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

struct peers {
	uid_t own;
	int gid; /* -1: no such group */
	uid_t *members;
	size_t n;
	struct login {
		uid_t uid;
		char *name;
	} * logins; /* of root, our own user and the members */
	size_t nlogins;
	char *group;
	int tcp, tcp6; /* /proc/net/tcp and tcp6 of our own network namespace */
};

static void
add_login(struct peers *p, const struct passwd *pw)
{
	if (!pw)
		return;
	p->logins = xrealloc(p->logins, (p->nlogins + 1) * sizeof *p->logins);
	p->logins[p->nlogins++] = (struct login){ pw->pw_uid, xstrdup(pw->pw_name) };
}

const char *
peers_login(const struct peers *p, uid_t uid)
{
	for (size_t i = 0; i < p->nlogins; i++)
		if (p->logins[i].uid == uid)
			return p->logins[i].name;
	return NULL;
}

static void
add_member(struct peers *p, const struct passwd *pw)
{
	if (!pw)
		return;
	p->members = xrealloc(p->members, (p->n + 1) * sizeof *p->members);
	p->members[p->n++] = pw->pw_uid;
	add_login(p, pw);
}

/* The group that has our user's name.  One that merely is its first may be everybody's, as
 * "users" and "nogroup" are. */
static const struct group *
operators(void)
{
	const struct passwd *pw = getpwuid(geteuid());
	const struct group *g = getegid() ? getgrgid(getegid()) : NULL;

	return g && pw && !strcmp(g->gr_name, pw->pw_name) ? g : getgrnam("kedge");
}

struct peers *
peers_open(void)
{
	struct peers *p = xcalloc(1, sizeof *p);
	const struct group *g = operators();
	const struct passwd *pw;

	p->own = geteuid();
	p->gid = g ? (int)g->gr_gid : -1;
	p->group = xstrdup(g ? g->gr_name : "kedge");
	for (size_t i = 0; g && g->gr_mem[i]; i++)
		add_member(p, getpwnam(g->gr_mem[i]));
	setpwent();
	while (p->gid >= 0 && (pw = getpwent()))
		if (pw->pw_gid == (gid_t)p->gid)
			add_member(p, pw);
	endpwent();
	add_login(p, getpwuid(0));
	add_login(p, getpwuid(p->own));
	p->tcp = open("/proc/net/tcp", O_RDONLY | O_CLOEXEC);
	p->tcp6 = open("/proc/net/tcp6", O_RDONLY | O_CLOEXEC);
	return p;
}

void
peers_close(struct peers *p)
{
	if (!p)
		return;
	if (p->tcp >= 0)
		close(p->tcp);
	if (p->tcp6 >= 0)
		close(p->tcp6);
	for (size_t i = 0; i < p->nlogins; i++)
		free(p->logins[i].name);
	free(p->logins);
	free(p->members);
	free(p->group);
	free(p);
}

int
peers_gid(const struct peers *p)
{
	return p->gid;
}

const char *
peers_group(const struct peers *p)
{
	return p->group;
}

static bool
uid_allowed(const struct peers *p, uid_t uid)
{
	if (uid == 0 || uid == p->own)
		return true;
	for (size_t i = 0; i < p->n; i++)
		if (p->members[i] == uid)
			return true;
	return false;
}

bool
peer_unix_allowed(const struct peers *p, int fd, char ret_who[32])
{
	struct ucred c = { .uid = (uid_t)-1 };
	socklen_t n = sizeof c;
	gid_t groups[256] = { 0 };

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &c, &n) < 0) {
		snprintf(ret_who, 32, "somebody unknown");
		return false;
	}
	snprintf(ret_who, 32, "uid %u", c.uid);
	if (uid_allowed(p, c.uid) || (p->gid >= 0 && c.gid == (gid_t)p->gid))
		return true;
	/* The groups it had when it connected, also those newer than our start. */
	n = sizeof groups;
	if (p->gid < 0 || getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &n) < 0)
		return false;
	for (size_t i = 0; i < n / sizeof *groups; i++)
		if (groups[i] == (gid_t)p->gid)
			return true;
	return false;
}

/* "0100007F:1F90", as /proc/net/tcp and tcp6 print the two ends */
static void
end_print(const struct sockaddr_storage *s, char ret[48])
{
	if (s->ss_family == AF_INET) {
		const struct sockaddr_in *in = (const struct sockaddr_in *)s;

		snprintf(ret, 48, "%08X:%04X", in->sin_addr.s_addr, ntohs(in->sin_port));
	} else {
		struct sockaddr_in6 in;
		uint32_t w[4];

		memcpy(&in, s, sizeof in);
		memcpy(w, &in.sin6_addr, sizeof w);
		snprintf(ret, 48, "%08X%08X%08X%08X:%04X", w[0], w[1], w[2], w[3],
			 ntohs(in.sin6_port));
	}
}

static void
read_all(int fd, struct buf *b)
{
	ssize_t n;
	off_t at = 0;

	for (;;) {
		buf_reserve(b, 16384);
		n = pread(fd, b->at + b->len, 16384, at);
		if (n <= 0)
			return;
		b->len += n;
		b->at[b->len] = 0;
		at += n;
	}
}

/* sl local rem st tx:rx tr:tm retrnsmt uid timeout inode ...; theirs is our remote end.
 * A socket that its owner has closed is listed with uid 0 and inode 0: who asks and
 * hangs up at once would be taken for root.  The inode is printed after the uid, so while
 * it is there the uid is the owner's; 1, 4, 5 are a connection, whole or half closed. */
static bool
uid_of(const char *table, const char *theirs, const char *ours, uid_t *ret)
{
	cleanup_free char *want = NULL;
	const char *at;
	unsigned uid, state;
	unsigned long inode;

	xasprintf(&want, ": %s %s ", theirs, ours);
	at = strstr(table, want);
	if (!at || sscanf(at + strlen(want), "%x %*x:%*x %*x:%*x %*x %u %*u %lu", &state, &uid,
			  &inode) != 3)
		return false;
	if (!inode || (state != 1 && state != 4 && state != 5))
		return false;
	*ret = uid;
	return true;
}

bool
peer_tcp_allowed(const struct peers *p, int fd, char ret_who[32])
{
	struct sockaddr_storage ours = { 0 }, theirs = { 0 };
	socklen_t n = sizeof ours, m = sizeof theirs;
	cleanup_buf struct buf table = { 0 };
	char a[48], b[48];
	uid_t uid;

	snprintf(ret_who, 32, "somebody unknown");
	if (getsockname(fd, (struct sockaddr *)&ours, &n) < 0 ||
	    getpeername(fd, (struct sockaddr *)&theirs, &m) < 0)
		return false;
	end_print(&theirs, a);
	end_print(&ours, b);
	read_all(ours.ss_family == AF_INET ? p->tcp : p->tcp6, &table);
	if (!uid_of(buf_text(&table), a, b, &uid))
		return false;
	snprintf(ret_who, 32, "uid %u", uid);
	return uid_allowed(p, uid);
}

int
listen_unix(const char *path, int gid, struct error **e)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	cleanup_close int fd = -1;
	struct stat st;
	mode_t mask;
	int rc;

	if (strlen(path) >= sizeof a.sun_path)
		return fail(
		    e, WHY_BAD_REQUEST,
		    "%s: a socket's path has at most %zu characters; give a shorter --run",
		    path, sizeof a.sun_path - 1);
	memcpy(a.sun_path, path, strlen(path) + 1);
	/* Only ever remove a socket, and what lies there is ours: the store's lock
	 * says that no other kedged lives. */
	if (lstat(path, &st) == 0 && S_ISSOCK(st.st_mode))
		(void)unlink(path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return fail_sys(e, "make the socket for %s", path);
	mask = umask(0117);
	rc = bind(fd, (struct sockaddr *)&a, sizeof a);
	umask(mask);
	if (rc < 0)
		return fail_sys(e, "listen at %s", path);
	/* Without the right to give it away only root and we can connect: no harm. */
	if (gid >= 0)
		(void)!chown(path, (uid_t)-1, gid);
	if (listen(fd, 128) < 0)
		return fail_sys(e, "listen at %s", path);
	return steal_fd(&fd);
}

static bool
parse_address(const char *text, struct sockaddr_storage *ret, socklen_t *ret_len)
{
	const char *colon = strrchr(text, ':');
	struct sockaddr_in *v4 = (struct sockaddr_in *)ret;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)ret;
	char host[64], *end;
	unsigned long port;
	size_t n;

	if (!colon || (n = colon - text) >= sizeof host)
		return false;
	memcpy(host, text, n);
	host[n] = 0;
	port = strtoul(colon + 1, &end, 10);
	if (end == colon + 1 || *end || port > 65535)
		return false;
	memset(ret, 0, sizeof *ret);
	if (inet_pton(AF_INET, strcmp(host, "localhost") ? host : "127.0.0.1", &v4->sin_addr) ==
	    1) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons(port);
		*ret_len = sizeof *v4;
		return (ntohl(v4->sin_addr.s_addr) >> 24) == 127;
	}
	if (n < 2 || host[0] != '[' || host[n - 1] != ']')
		return false;
	host[n - 1] = 0;
	if (inet_pton(AF_INET6, host + 1, &v6->sin6_addr) != 1)
		return false;
	v6->sin6_family = AF_INET6;
	v6->sin6_port = htons(port);
	*ret_len = sizeof *v6;
	return IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr);
}

int
listen_loopback(const char *address, struct error **e)
{
	struct sockaddr_storage a;
	cleanup_close int fd = -1;
	socklen_t n;
	int on = 1;

	if (!parse_address(address, &a, &n))
		return fail(e, WHY_BAD_REQUEST,
			    "listen %s: must be a loopback address and a port, such as "
			    "127.0.0.1:8001; to reach it from elsewhere use ssh -L",
			    address);
	fd = socket(a.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return fail_sys(e, "make the socket for %s", address);
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	if (bind(fd, (struct sockaddr *)&a, n) < 0 || listen(fd, 128) < 0)
		return fail_sys(e, "listen at %s", address);
	return steal_fd(&fd);
}

/* DNS rebinding: a page at evil.example whose name suddenly means 127.0.0.1
 * still says Host: evil.example. */
bool
host_is_loopback(const char *host)
{
	size_t n = strcspn(host, ":");
	struct in_addr v4;
	char name[64];

	if (host[0] == '[')
		return !strncmp(host, "[::1]", 5) && (!host[5] || host[5] == ':');
	if (n >= sizeof name)
		return false;
	memcpy(name, host, n);
	name[n] = 0;
	if (!strcasecmp(name, "localhost"))
		return true;
	return inet_pton(AF_INET, name, &v4) == 1 && (ntohl(v4.s_addr) >> 24) == 127;
}
