/* cli_forward.c -- kedge port-forward: local connections to ports of a pod.
 *
 * Each connection is a process of its own with a WebSocket of its own: channel 0 has the
 * bytes, channel 1 what went wrong, each begins with two bytes that name the port.  255 and
 * a channel's number close that channel, so that an end travels each way by itself.
 */
#include "../reconcile/base/cleanup.h"
#include "../reconcile/object.h"
#include "cli.h"
#include "cli_websocket.h"
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <wslay/wslay.h>

enum { DATA, ERRORS, CLOSE = 255 };
enum { PORTS = 16, CONNECTIONS = 64, QUEUE_MAX = 256 * 1024 };

struct port {
	unsigned local, remote;
	const char *name; /* of the remote one, until it is known by number; or NULL */
	bool same;        /* the local one is the remote one's number, as was typed */
	int fd;
};

struct link {
	struct cli_ws net; /* first: it is what the callbacks are given */
	int local;         /* the socket of who connected */
	struct buf in;     /* for that one */
	bool named[2];     /* the two bytes of a channel came */
	bool local_ended, remote_ended;
};

/* ---- one connection ---- */

static void
on_message(wslay_event_context_ptr ws, const struct wslay_event_on_msg_recv_arg *m, void *ctx)
{
	struct link *l = ctx;
	const uint8_t *at = m->msg;
	size_t n = m->msg_length;

	(void)ws;
	if (wslay_is_ctrl_frame(m->opcode) || n < 2)
		return;
	if (at[0] == CLOSE)
		l->remote_ended |= at[1] == DATA;
	else if (at[0] <= ERRORS && !l->named[at[0]])
		l->named[at[0]] = true;
	else if (at[0] == DATA)
		buf_add(&l->in, at + 1, n - 1);
	else if (at[0] == ERRORS)
		fprintf(stderr, "kedge: %.*s\n", (int)n - 1, at + 1);
}

static void
say(struct link *l, const char *bytes, size_t n)
{
	struct wslay_event_msg m = { WSLAY_BINARY_FRAME, (const uint8_t *)bytes, n };

	wslay_event_queue_msg(l->net.ws, &m);
}

static void
local_read(struct link *l)
{
	static const char end[] = { (char)CLOSE, DATA };
	char part[16385] = { DATA };
	ssize_t n = recv(l->local, part + 1, sizeof part - 1, MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n > 0) {
		say(l, part, n + 1);
		return;
	}
	l->local_ended = true;
	say(l, end, sizeof end);
}

static void
local_write(struct link *l)
{
	ssize_t n =
	    l->in.len ? send(l->local, l->in.at, l->in.len, MSG_DONTWAIT | MSG_NOSIGNAL) : 0;

	if (n > 0)
		buf_drop(&l->in, n);
	else if (n < 0 && errno != EAGAIN && errno != EINTR)
		l->net.lost = true;
	if (l->remote_ended && !l->in.len)
		shutdown(l->local, SHUT_WR);
}

/* Until both ends have ended, or one is lost; what is behind in either queue waits. */
static void
pump(struct link *l)
{
	while (!l->net.lost && !(l->local_ended && l->remote_ended && !l->in.len)) {
		bool room = wslay_event_get_queued_msg_length(l->net.ws) < QUEUE_MAX,
		     wants = wslay_event_want_write(l->net.ws);
		struct pollfd p[] = {
			{ .fd = l->net.fd,
			  .events =
			      (l->in.len < QUEUE_MAX ? POLLIN : 0) | (wants ? POLLOUT : 0) },
			{ .fd = l->local_ended && !l->in.len ? -1 : l->local,
			  .events = (!l->local_ended && room ? POLLIN : 0) |
				    (l->in.len ? POLLOUT : 0) },
		};

		if (!l->net.early.len && poll(p, 2, -1) < 0 && errno != EINTR)
			return;
		if ((l->net.early.len || p[0].revents & (POLLIN | POLLHUP)) &&
		    wslay_event_recv(l->net.ws))
			l->remote_ended = true;
		if (!wslay_event_want_read(l->net.ws))
			l->remote_ended = l->local_ended = true;
		if (p[1].revents & (POLLIN | POLLHUP | POLLERR) && !l->local_ended)
			local_read(l);
		local_write(l);
		if (wslay_event_want_write(l->net.ws) && wslay_event_send(l->net.ws))
			return;
	}
}

static int
serve(struct cli_call *c, const char *path, int local)
{
	cleanup_error struct error *e = NULL;
	struct link l = { .net.fd = cli_connect(c, &e), .local = local };

	if (l.net.fd < 0 || cli_websocket(c, l.net.fd, path, &l.net.early, &e) < 0) {
		fprintf(stderr, "kedge: %s\n", error_text(e));
		return 1;
	}
	cli_ws_begin(&l.net, on_message);
	pump(&l);
	return 0;
}

/* ---- the listening side ---- */

/* One to fifteen small letters, digits and hyphens, with a letter among them. */
static bool
is_port_name(const char *s)
{
	size_t n = strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789-");

	return n && n <= 15 && !s[n] && strpbrk(s, "abcdefghijklmnopqrstuvwxyz");
}

/* 1 to 65535; 0: it is none */
static unsigned
number_read(const char *s)
{
	size_t n = strspn(s, "0123456789");
	unsigned long v = n && n <= 5 && !s[n] ? strtoul(s, NULL, 10) : 0;

	return v <= 65535 ? (unsigned)v : 0;
}

/* "8080", "9090:8080", ":8080"; the last of them may be the port's name. */
static int
port_read(struct cli_call *c, const char *word, struct port *ret, struct error **e)
{
	const char *colon = strchr(word, ':'), *far = colon ? colon + 1 : word;
	bool free_one = colon == word;
	struct port p = { .remote = number_read(far), .same = !colon };

	if (colon && !free_one)
		p.local = number_read(arena_strndup(c->arena, word, colon - word));
	if (!p.remote && is_port_name(far))
		p.name = far;
	if ((!p.remote && !p.name) || (colon && !free_one && !p.local))
		return fail(e, WHY_BAD_REQUEST,
			    "\"%s\" is no port: PORT, LOCAL:PORT or :PORT, each 1 to 65535 "
			    "(PORT may be a name)",
			    word);
	if (p.same)
		p.local = p.remote;
	*ret = p;
	return 0;
}

static int
port_listen(struct port *p, const char *address, struct error **e)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(p->local) };
	socklen_t n = sizeof at;
	int on = 1;

	if (inet_pton(AF_INET, address, &at.sin_addr) != 1)
		return fail(e, WHY_BAD_REQUEST, "--address %s: an IPv4 address is wanted",
			    address);
	p->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (p->fd < 0)
		return fail_sys(e, "make a socket");
	(void)setsockopt(p->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	if (bind(p->fd, (struct sockaddr *)&at, sizeof at) < 0 || listen(p->fd, 64) < 0)
		return fail_sys(e, "listen on %s:%u", address, p->local);
	if (getsockname(p->fd, (struct sockaddr *)&at, &n) == 0)
		p->local = ntohs(at.sin_port);
	printf("Forwarding from %s:%u -> %u\n", address, p->local, p->remote);
	return 0;
}

/* ---- what a Service's port is in a pod of it ---- */

/* The port that the pod gives this name; 0: none of its containers does. */
static unsigned
port_named(struct cli_call *c, json_t *pod, const char *name)
{
	static const char *const lists[] = { "spec.containers", "spec.initContainers" };
	json_t *container, *port;
	size_t i, k;

	for (size_t l = 0; l < sizeof lists / sizeof *lists; l++)
		json_array_foreach(cli_path(pod, lists[l]), i, container) {
			json_array_foreach(json_object_get(container, "ports"), k, port)
				if (!strcmp(cli_at(c, port, "name"), name))
					return (unsigned)json_integer_value(
					    json_object_get(port, "containerPort"));
		}
	return 0;
}

static int
port_resolve(struct cli_call *c, json_t *pod, const char *name, unsigned *ret, struct error **e)
{
	unsigned number = port_named(c, pod, name);

	if (!number)
		return fail(e, WHY_NOT_FOUND, "Pod '%s' does not have a named port '%s'",
			    cli_at(c, pod, "metadata.name"), name);
	*ret = number;
	return 0;
}

/* The Service's port of that name, or number, in kubectl's words. */
static json_t *
service_row(struct cli_call *c, json_t *service, struct port *p, struct error **e)
{
	const char *name = cli_at(c, service, "metadata.name");
	json_t *row;
	size_t i;

	json_array_foreach(cli_path(service, "spec.ports"), i, row) {
		unsigned number = (unsigned)json_integer_value(json_object_get(row, "port"));

		if (p->name ? strcmp(cli_at(c, row, "name"), p->name) : number != p->remote)
			continue;
		p->remote = number;
		return row;
	}
	if (p->name)
		fail(e, WHY_NOT_FOUND, "Service '%s' does not have a named port '%s'", name,
		     p->name);
	else
		fail(e, WHY_NOT_FOUND, "Service %s does not have a service port %u", name,
		     p->remote);
	return NULL;
}

/* A Service without an address of its own translates nothing. */
static int
port_translate(struct cli_call *c, json_t *service, json_t *pod, struct port *p,
	       struct error **e)
{
	json_t *found = service_row(c, service, p, e), *target;

	if (!found)
		return -1;
	if (p->same)
		p->local = p->remote;
	if (!strcmp(cli_at(c, service, "spec.clusterIP"), "None"))
		return 0;
	target = json_object_get(found, "targetPort");
	if (json_is_string(target)) {
		return port_resolve(c, pod, json_string_value(target), &p->remote, e);
	} else if (json_integer_value(target)) {
		p->remote = (unsigned)json_integer_value(target);
	}
	return 0;
}

static int
ports_translate(struct cli_call *c, json_t *pod, struct port *ports, size_t n, struct error **e)
{
	json_t *service;
	int rc = 0;

	service =
	    cli_json(c, "GET", cli_url(c, &resources[RES_service], strchr(c->args[0], '/') + 1),
		     NULL, NULL, e);
	if (!service)
		return -1;
	for (size_t i = 0; i < n && !rc; i++)
		rc = port_translate(c, service, pod, &ports[i], e);
	json_decref(service);
	return rc;
}

static int
ports_resolve(struct cli_call *c, json_t *pod, struct port *ports, size_t n, struct error **e)
{
	for (size_t i = 0; i < n; i++) {
		struct port *p = &ports[i];

		if (p->name && port_resolve(c, pod, p->name, &p->remote, e))
			return -1;
		if (p->same)
			p->local = p->remote;
	}
	return 0;
}

static bool
is_service(struct cli_call *c, const char *word)
{
	const char *slash = strchr(word, '/');

	return slash && resource_named(arena_strndup(c->arena, word, slash - word)) ==
			    &resources[RES_service];
}

/* The pod of the call, which is there, and its ports. */
static const char *
pod_ports(struct cli_call *c, struct port *ports, size_t n, struct error **e)
{
	const char *name = cli_pod(c, c->args[0], e);
	json_t *pod;
	int rc = 0;

	if (!name)
		return NULL;
	pod = cli_json(c, "GET", cli_url(c, &resources[RES_pod], name), NULL, NULL, e);
	if (!pod)
		return NULL;
	if (is_service(c, c->args[0]))
		rc = ports_translate(c, pod, ports, n, e);
	else
		rc = ports_resolve(c, pod, ports, n, e);
	json_decref(pod);
	return rc ? NULL : name;
}

/* ---- the connections ---- */

static void
reap(int *running)
{
	while (*running && waitpid(-1, NULL, WNOHANG) > 0)
		--*running;
}

static void
accept_one(struct cli_call *c, const char *pod, const struct port *p, int *running)
{
	cleanup_close int fd = accept4(p->fd, NULL, NULL, SOCK_CLOEXEC);
	const char *path = arena_printf(c->arena, "%s/portforward?ports=%u",
					cli_url(c, &resources[RES_pod], pod), p->remote);
	pid_t parent = getpid(), pid;

	reap(running);
	if (fd < 0 || *running >= CONNECTIONS)
		return;
	pid = fork();
	if (pid == 0) {
		/* with us, however we end */
		if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent)
			_exit(1);
		_exit(serve(c, path, fd));
	}
	*running += pid > 0;
}

int
cli_forward(struct cli_call *c, struct error **e)
{
	const char *address = cli_opt(c, OPT_address), *pod;
	struct pollfd fds[PORTS];
	struct port ports[PORTS];
	int running = 0;
	size_t n = c->n - 1;

	if (n > PORTS)
		return fail(e, WHY_BAD_REQUEST, "at most %d ports", PORTS);
	for (size_t i = 0; i < n; i++)
		if (port_read(c, c->args[1 + i], &ports[i], e) < 0)
			return -1;
	pod = pod_ports(c, ports, n, e);
	if (!pod)
		return -1;
	for (size_t i = 0; i < n; i++) {
		if (port_listen(&ports[i], address ? address : "127.0.0.1", e) < 0)
			return -1;
		fds[i] = (struct pollfd){ .fd = ports[i].fd, .events = POLLIN };
	}
	fflush(stdout);
	for (;;) {
		if (poll(fds, n, -1) < 0 && errno != EINTR)
			return fail_sys(e, "wait for connections");
		for (size_t i = 0; i < n; i++)
			if (fds[i].revents)
				accept_one(c, pod, &ports[i], &running);
	}
}
