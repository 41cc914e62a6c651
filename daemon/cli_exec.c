/* cli_exec.c -- a program in a container, or what runs there already, over the WebSocket that
 * kubectl speaks.
 *
 * v5.channel.k8s.io: binary messages whose first byte is the channel.  0 what is
 * typed, 1 and 2 what is printed, 3 how it ended (a Status), 4 the terminal's
 * size; 255 followed by a channel's number closes that channel.
 */
#include "../reconcile/object.h"
#include "cli.h"
#include "cli_websocket.h"
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <termios.h>
#include <wslay/wslay.h>

enum { CH_IN, CH_OUT, CH_ERR, CH_STATUS, CH_RESIZE, CH_CLOSE = 255 };
enum { QUEUE_MAX = 1 << 20, LINE_MAX_BYTES = 128 << 10 };

struct session {
	struct cli_ws net; /* first: it is what the callbacks are given */
	struct cli_call *c;
	const struct cli_talk *talk;
	int signals; /* SIGWINCH, -1 without a terminal */
	bool input, raw;
	struct termios before;
	struct buf said;   /* channel 2, where that is tamed: a line that has not ended */
	struct buf status; /* channel 3 */
};

/* ---- handshake ---- */

static const char *
stream_path(struct cli_call *c, const char *pod, const char *container, const char *sub)
{
	cleanup_buf struct buf path = { 0 };

	buf_addf(&path, "%s/%s", cli_url(c, &resources[RES_pod], pod), sub);
	for (size_t i = 0; i < c->nrest; i++)
		cli_query(&path, "command", c->rest[i]);
	cli_query(&path, "container", container);
	if (cli_opt(c, OPT_stdin))
		cli_query(&path, "stdin", "true");
	cli_query(&path, "stdout", "true");
	if (cli_opt(c, OPT_tty))
		cli_query(&path, "tty", "true");
	else
		cli_query(&path, "stderr", "true");
	return arena_strdup(c->arena, path.at);
}

static int
write_all(int fd, const char *at, size_t n)
{
	while (n) {
		ssize_t w = send(fd, at, n, MSG_NOSIGNAL);

		if (w < 0 && errno == EINTR)
			continue;
		if (w < 0)
			return -1;
		at += w;
		n -= w;
	}
	return 0;
}

/* "GET ... Upgrade: websocket" and its answer; what follows that is in *ret_early. */
int
cli_websocket(struct cli_call *c, int fd, const char *path, struct buf *ret_early,
	      struct error **e)
{
	cleanup_buf struct buf ask = { 0 }, answer = { 0 };
	const char *end, *message;
	char part[4096];
	ssize_t n;
	json_t *j;

	/* The key guards against caches in between; there is none on a unix socket. */
	buf_addf(
	    &ask,
	    "GET %s HTTP/1.1\r\nHost: kedge\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
	    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: a2VkZ2UtZXhlYy0wMDAwMA==\r\n"
	    "Sec-WebSocket-Protocol: v5.channel.k8s.io\r\n\r\n",
	    path);
	if (write_all(fd, ask.at, ask.len))
		return fail_sys(e, "%s", c->socket);
	while (!answer.len || !(end = memmem(answer.at, answer.len, "\r\n\r\n", 4))) {
		n = recv(fd, part, sizeof part, 0);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0 || answer.len > 65536)
			return fail(e, WHY_UNAVAILABLE, "the daemon hung up");
		buf_add(&answer, part, n);
	}
	end += 4;
	if (!strncmp(answer.at, "HTTP/1.1 101", 12)) {
		buf_add(ret_early, end, answer.len - (end - answer.at));
		return 0;
	}
	/* The reason may come in pieces; it is whole when it is JSON. */
	while (!(j = json_loads(end + strcspn(end, "{"), JSON_DISABLE_EOF_CHECK, NULL)) &&
	       (n = recv(fd, part, sizeof part, 0)) > 0) {
		size_t at = end - answer.at;

		buf_add(&answer, part, n);
		end = answer.at + at;
	}
	cli_tame(j);
	message = json_string_value(json_object_get(j, "message"));
	fail(e, WHY_BAD_REQUEST, "%s",
	     message ? message
		     : arena_printf(c->arena, "the daemon answers %.40s", answer.at + 9));
	json_decref(j);
	return -1;
}

/* ---- messages ---- */

static void
say(struct session *s, uint8_t channel, const void *bytes, size_t n)
{
	cleanup_free uint8_t *msg = xmalloc(n + 1);
	struct wslay_event_msg m = { .opcode = WSLAY_BINARY_FRAME,
				     .msg = msg,
				     .msg_length = n + 1 };

	msg[0] = channel;
	if (n)
		memcpy(msg + 1, bytes, n);
	wslay_event_queue_msg(s->net.ws, &m);
}

static void
say_size(struct session *s)
{
	struct winsize w;
	char text[64] = "";

	if (!ioctl(STDIN_FILENO, TIOCGWINSZ, &w) && w.ws_col)
		say(s, CH_RESIZE, text,
		    snprintf(text, sizeof text, "{\"Width\":%u,\"Height\":%u}", w.ws_col,
			     w.ws_row));
}

static bool
put(int fd, const uint8_t *at, size_t n)
{
	while (n) {
		ssize_t w = write(fd, at, n);

		if (w < 0 && errno == EAGAIN) {
			struct pollfd p = { .fd = fd, .events = POLLOUT };

			poll(&p, 1, -1);
			continue;
		}
		if (w < 0 && errno != EINTR)
			return false;
		if (w > 0) {
			at += w;
			n -= w;
		}
	}
	return true;
}

/* Line by line, and nothing in it is a command to a terminal: it is a container's word. */
static void
put_tame(struct session *s, const char *at, size_t n)
{
	const char *end;

	buf_add(&s->said, at, n);
	while (s->said.len && (end = memchr(s->said.at, '\n', s->said.len))) {
		size_t len = end - s->said.at;
		cleanup_free char *line = xstrndup(s->said.at, len);

		cli_tame_text(line);
		fprintf(stderr, "kedge: %s\n", line);
		buf_drop(&s->said, len + 1);
	}
	if (s->said.len > LINE_MAX_BYTES) /* nobody's path is that long */
		buf_clear(&s->said);
}

static void
on_message(wslay_event_context_ptr ws, const struct wslay_event_on_msg_recv_arg *m, void *ctx)
{
	struct session *s = ctx;

	(void)ws;
	if (wslay_is_ctrl_frame(m->opcode) || !m->msg_length)
		return;
	if (m->msg[0] == CH_OUT)
		s->net.lost |=
		    s->talk->out >= 0 && !put(s->talk->out, m->msg + 1, m->msg_length - 1);
	else if (m->msg[0] == CH_ERR && s->talk->tame)
		put_tame(s, (const char *)m->msg + 1, m->msg_length - 1);
	else if (m->msg[0] == CH_ERR)
		put(STDERR_FILENO, m->msg + 1, m->msg_length - 1);
	else if (m->msg[0] == CH_STATUS)
		buf_add(&s->status, m->msg + 1, m->msg_length - 1);
}

/* ---- the terminal ---- */

static void
terminal_raw(struct session *s)
{
	struct termios raw;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGWINCH);
	sigprocmask(SIG_BLOCK, &set, NULL);
	s->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (!s->input || !isatty(STDIN_FILENO) || tcgetattr(STDIN_FILENO, &s->before))
		return;
	raw = s->before;
	cfmakeraw(&raw);
	s->raw = !tcsetattr(STDIN_FILENO, TCSADRAIN, &raw);
	say_size(s);
}

static void
terminal_restore(struct session *s)
{
	if (s->raw)
		tcsetattr(STDIN_FILENO, TCSADRAIN, &s->before);
	s->raw = false;
}

/* ---- the loop ---- */

static void
pass_input(struct session *s)
{
	static const uint8_t in = CH_IN;
	char part[16384];
	ssize_t n = read(s->talk->in, part, sizeof part);

	if (n > 0) {
		say(s, CH_IN, part, n);
	} else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
		say(s, CH_CLOSE, &in, 1);
		s->input = false;
	}
}

static void
loop(struct session *s)
{
	while (!s->net.lost &&
	       (wslay_event_want_read(s->net.ws) || wslay_event_want_write(s->net.ws))) {
		/* What cannot be sent is not read, so that a slow program slows the sender. */
		bool room = wslay_event_get_queued_msg_length(s->net.ws) < QUEUE_MAX;
		struct pollfd p[] = {
			{ .fd = s->net.fd,
			  .events =
			      POLLIN | (wslay_event_want_write(s->net.ws) ? POLLOUT : 0) },
			{ .fd = s->input && room ? s->talk->in : -1, .events = POLLIN },
			{ .fd = s->signals, .events = POLLIN },
		};

		if (!s->net.early.len && poll(p, 3, -1) < 0 && errno != EINTR)
			break;
		if ((s->net.early.len || p[0].revents) && wslay_event_recv(s->net.ws))
			break;
		if (p[1].revents)
			pass_input(s);
		if (p[2].revents) {
			struct signalfd_siginfo info;

			while (read(s->signals, &info, sizeof info) == sizeof info)
				;
			say_size(s);
		}
		if (wslay_event_want_write(s->net.ws) && wslay_event_send(s->net.ws))
			break;
	}
}

/* Channel 3: Success, or a Failure whose cause ExitCode is the program's status; 126 or
 * 127 with a message when it could not be run, as a shell has it. */
static int
exit_code(struct session *s, struct error **e)
{
	json_t *st = json_loadb(buf_text(&s->status), s->status.len, 0, NULL), *cause;
	int code = -1;
	size_t i;

	cli_tame(st);
	if (!st)
		return fail(e, WHY_UNAVAILABLE,
			    "the connection to %s was lost before the command ended",
			    s->c->args[0]);
	if (!strcmp(cli_at(s->c, st, "status"), "Success"))
		code = 0;
	json_array_foreach(cli_path(st, "details.causes"), i, cause)
		if (!strcmp(cli_at(s->c, cause, "reason"), "ExitCode"))
			code = atoi(cli_at(s->c, cause, "message"));
	if (code < 0)
		fail(e, WHY_BAD_REQUEST, "%s", cli_at(s->c, st, "message"));
	else if (code && strcmp(cli_at(s->c, st, "reason"), "NonZeroExitCode"))
		fprintf(stderr, "kedge: %s\n", cli_at(s->c, st, "message")); /* it never ran */
	json_decref(st);
	return code;
}

int
cli_talk(struct cli_call *c, const struct cli_talk *t, struct error **e)
{
	cleanup_close int fd = cli_connect(c, e);
	struct session s = {
		.c = c, .talk = t, .net.fd = fd, .signals = -1, .input = t->in >= 0
	};
	int rc = -1;

	if (fd < 0)
		return -1;
	if (!cli_websocket(c, fd, t->path, &s.net.early, e)) {
		cli_ws_begin(&s.net, on_message);
		if (t->tty)
			terminal_raw(&s);
		loop(&s);
		terminal_restore(&s);
		rc = exit_code(&s, e);
		wslay_event_context_free(s.net.ws);
	}
	buf_done(&s.net.early);
	buf_done(&s.said);
	buf_done(&s.status);
	if (s.signals >= 0)
		close(s.signals);
	return rc;
}

static int
talk(struct cli_call *c, const char *pod, const char *container, const char *sub,
     struct error **e)
{
	const struct cli_talk t = { .path = stream_path(c, pod, container, sub),
				    .in = cli_opt(c, OPT_stdin) ? STDIN_FILENO : -1,
				    .out = STDOUT_FILENO,
				    .tty = cli_opt(c, OPT_tty) };

	return cli_talk(c, &t, e);
}

int
cli_exec(struct cli_call *c, struct error **e)
{
	const char *pod = cli_pod(c, c->args[0], e);
	const char *container = pod ? cli_container(c, NULL, pod, e) : NULL;

	return container ? talk(c, pod, container, "exec", e) : -1;
}

/* What the container does not have is not asked of it. */
static int
attach_check(struct cli_call *c, const char *pod, const char *want, struct error **e)
{
	json_t *j = cli_json(c, "GET", cli_url(c, &resources[RES_pod], pod), NULL, NULL, e),
	       *one, *found = NULL;
	bool in, tty;
	size_t i;

	if (!j)
		return -1;
	json_array_foreach(cli_path(j, "spec.containers"), i, one)
		if (!found && !strcmp(cli_at(c, one, "name"), want))
			found = one;
	in = !found || json_is_true(json_object_get(found, "stdin"));
	tty = !found || json_is_true(json_object_get(found, "tty"));
	json_decref(j);
	if (cli_opt(c, OPT_stdin) && !in)
		return fail(e, WHY_BAD_REQUEST,
			    "%s takes no input: its container has no stdin: true", pod);
	if (cli_opt(c, OPT_tty) && !tty)
		return fail(e, WHY_BAD_REQUEST,
			    "%s has no terminal: its container has no tty: true", pod);
	return 0;
}

int
cli_attach(struct cli_call *c, struct error **e)
{
	const char *pod = cli_pod(c, c->args[0], e);
	const char *container = pod ? cli_container(c, NULL, pod, e) : NULL;

	return container && !attach_check(c, pod, container, e)
		   ? talk(c, pod, container, "attach", e)
		   : -1;
}
