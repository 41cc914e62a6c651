/* stream_drive.c -- what goes in and out of a container, one scenario a run: exec, attach,
 * connections, terminals, logs and last words.  stream_drive NAME.
 */
#include "runtime/init/ops.h"
#include "tests/e2e/runtime_kit.h"
#include <pty.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

static void
resize(int terminal)
{
	MUST(ioctl(terminal, TIOCSWINSZ, &(struct winsize){ .ws_row = 33, .ws_col = 77 }) == 0);
}

static void
exec(struct kit *k)
{
	struct rt_container c = kit_sh("main", "echo up; exec sleep 100");
	struct rt_pod p = kit_pod("a", &c, 1);
	cleanup_free char *out = NULL;
	int master, slave;
	char text[256] = "";

	c.user = "web";
	c.env = LIST("GREETING=hello");
	kit_start(k, &p);
	KIT_UNTIL(k, kit_see(k, "a", 0)->state == RT_RUNNING);
	out = kit_exec_out(
	    k,
	    LIST("sh", "-c",
		 "id -u; id -g; echo $GREETING; readlink /proc/self/ns/pid > /tmp/x; "
		 "readlink /proc/1/ns/pid | diff - /tmp/x 2>/dev/null; ls /proc/self/fd; "
		 "grep -E 'Seccomp:|NoNewPrivs|CapEff' /proc/self/status; exit 4"),
	    0, 1);
	EQ(k->exec_code, 4);
	HAS(out, "1234\n2345\nhello\n0\n1\n2\n3\n"); /* 3: ls' own */
	HAS(out, "Seccomp:\t2");
	HAS(out, "NoNewPrivs:\t1");
	HAS(out, "CapEff:\t0000000000000000");
	free(out);
	out = kit_exec_out(k, LIST("/bin/nonesuch"), 0, 2);
	EQ(k->exec_code, 127);
	IS(k->exec_error,
	   "exec: \"/bin/nonesuch\": stat /bin/nonesuch: no such file or directory");
	free(out);
	out = kit_exec_out(k, LIST("sleep", "50"), 1, 3);
	EQ(k->exec_code, 137);
	IS(k->exec_error, "command timed out after 1s");
	/* its own process, its own terminal */
	MUST(openpty(&master, &slave, NULL, NULL, NULL) == 0);
	OK(rt_exec(k->rt, "a", "main", LIST("sh", "-c", "sleep 0.3; test -t 0 && stty size"),
		   true, (int[]){ slave, -1, -1 }, 0, 4, e));
	resize(slave);
	KIT_UNTIL(k, k->exec_id == 4);
	close(slave);
	EQ(k->exec_code, 0);
	MUST(read(master, text, sizeof(text) - 1) > 0);
	HAS(text, "33 77");
	/* the container ends: so does what runs in it */
	OK(rt_exec(k->rt, "a", "main", LIST("sleep", "100"), false, (int[]){ -1, -1, -1 }, 0, 5,
		   e));
	usleep(300000);
	kill(kit_see(k, "a", 0)->pid, SIGKILL);
	KIT_UNTIL(k, k->exec_id == 5);
	EQ(k->exec_code, 137);
	KIT_UNTIL(k, kit_see(k, "a", 0)->state == RT_TERMINATED);
	struct error *err = NULL;
	MUST(rt_exec(k->rt, "a", "main", LIST("true"), false, (int[]){ -1, -1, -1 }, 0, 6,
		     &err) < 0);
	HAS(error_text(err), "not running");
	error_free(&err);
}

/* Of so many words: the program, and as many "a". */
static const char **
many(size_t n)
{
	const char **argv = xcalloc(n + 1, sizeof(*argv));

	for (size_t i = 0; i < n; i++)
		argv[i] = i ? "a" : "/bin/true";
	return argv;
}

static void
many_words(struct kit *k)
{
	const int none[3] = { -1, -1, -1 };
	struct rt_container c = kit_sh("main", "exec sleep 100");
	struct rt_pod p = kit_pod("a", &c, 1);
	const char **most = many(W_WORDS), **more = many(W_WORDS + 1);
	struct w_msg m = { .type = W_EXEC, .id = 2 };
	struct error *err = NULL;
	char words[60000], path[512];
	cleanup_close int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	pid_t pid;

	kit_start(k, &p);
	KIT_UNTIL(k, kit_see(k, "a", 0)->state == RT_RUNNING);
	pid = kit_see(k, "a", 0)->pid;
	OK(rt_exec(k->rt, "a", "main", most, false, none, 0, 1, e));
	KIT_UNTIL(k, k->exec_id == 1);
	EQ(k->exec_code, 0);
	MUST(rt_exec(k->rt, "a", "main", more, false, none, 0, 2, &err) < 0);
	IS(error_text(err), "the command has 4097 words, the most is 4096");
	error_free(&err);
	/* a hand that does not count: as many as a message holds */
	memset(words, 0, sizeof(words));
	m.argc = sizeof(words);
	k->rt->jobs = xrealloc(k->rt->jobs, (k->rt->njobs + 1) * sizeof(*k->rt->jobs));
	k->rt->jobs[k->rt->njobs++] = (struct rt_job){ .id = 2, .uid = "a" };
	OK(rtpod_tell(rt_find(k->rt, "a", NULL), &m, words, sizeof(words),
		      (int[]){ null, null, null }, e));
	KIT_UNTIL(k, k->exec_id == 2);
	EQ(k->exec_code, 126);
	IS(k->exec_error, "the command could not be prepared");
	EQ(kit_see(k, "a", 0)->pid, pid);
	/* steps that say they have more texts than they have */
	snprintf(path, sizeof(path), "%s/pods/a/main.ops", k->run);
	struct buf ops = kit_file(path);
	struct op *op = (struct op *)(ops.at + sizeof(struct ops_head));
	while (op->code != OP_EXEC)
		op = (struct op *)((char *)op + op->len);
	op->nstr = op->bytes;
	cleanup_close int fd = open(path, O_WRONLY | O_CLOEXEC);
	MUST(write(fd, ops.at, ops.len) == (ssize_t)ops.len);
	OK(rt_exec(k->rt, "a", "main", LIST("/bin/true"), false, none, 0, 3, e));
	KIT_UNTIL(k, k->exec_id == 3);
	EQ(k->exec_code, 126);
	EQ(kit_see(k, "a", 0)->pid, pid);
	buf_done(&ops);
	free(most);
	free(more);
}

static void
sleeps(struct kit *k, int64_t id)
{
	OK(rt_exec(k->rt, "a", "main", LIST("sleep", "100"), false, (int[]){ -1, -1, -1 }, 0,
		   id, e));
	while (kit_step(k, 0))
		;
}

static void
forget_all(struct kit *k)
{
	while (k->rt->njobs)
		rtjob_free(k->rt, &k->rt->jobs[0]);
}

/* A hook takes the place of none, a command without a deadline not that of a probe, and who
 * finds none is told so. */
static void
exec_slots(struct kit *k)
{
	enum { HOOKS = 2 * W_CONTAINERS, USERS = W_EXECS - 16 };
	struct rt_container c = kit_sh("main", "exec sleep 100");
	struct rt_pod p = kit_pod("a", &c, 1);
	struct error *err = NULL;
	int64_t id = 1;

	c.post_start =
	    (struct rt_hook){ .type = RT_HOOK_EXEC, .command = LIST("sleep", "100") };
	kit_start(k, &p);
	KIT_UNTIL(k, kit_see(k, "a", 0)->hook == RT_POST_START);
	while (id < USERS)
		sleeps(k, id++);
	OK(rt_exec(k->rt, "a", "main", LIST("true"), false, (int[]){ -1, -1, -1 }, 0, id, e));
	KIT_UNTIL(k, k->exec_id == id);
	EQ(k->exec_code, 0);
	sleeps(k, id++);
	MUST(rt_exec(k->rt, "a", "main", LIST("true"), false, (int[]){ -1, -1, -1 }, 0, id,
		     &err) < 0);
	HAS(error_text(err), "runs 48 commands already");
	error_free(&err);
	OK(rt_exec(k->rt, "a", "main", LIST("true"), false, (int[]){ -1, -1, -1 }, 5, id, e));
	KIT_UNTIL(k, k->exec_id == id);
	EQ(k->exec_code, 0);
	while (id < W_EXECS + HOOKS) {
		forget_all(k);
		sleeps(k, id++);
	}
	EQ(k->exec_id, USERS + 1);
	forget_all(k);
	sleeps(k, id);
	KIT_UNTIL(k, k->exec_id == id);
	EQ(k->exec_code, 126);
	IS(k->exec_error, "too many commands run in this pod");
	EQ(kit_see(k, "a", 0)->hook, RT_POST_START);
}

/* Reads until `want` has come, or the end; remembers the last of it. */
static void
expect(struct kit *k, int fd, const char *want)
{
	enum { LAST = 1000 };
	struct buf b = { 0 };
	int64_t until = kit_now() + 60000;
	char part[4096];
	ssize_t n;

	fcntl(fd, F_SETFL, O_NONBLOCK);
	while (!strstr(buf_text(&b), want)) {
		if (kit_now() > until)
			DIE("\"%s\" never came after \"%s\"", want, buf_text(&b));
		kit_step(k, 20);
		while ((n = read(fd, part, sizeof(part))) > 0) {
			buf_add(&b, part, (size_t)n);
			if (strstr(buf_text(&b), want))
				break;
			if (b.len > LAST)
				buf_drop(&b, b.len - LAST);
		}
		if (n == 0 && !strstr(buf_text(&b), want))
			DIE("ended before \"%s\": \"%s\"", want, buf_text(&b));
	}
	buf_done(&b);
}

static void
attach_to(struct kit *k, const char *container, int64_t id)
{
	OK(rt_attach(k->rt, "a", container, id, e));
	KIT_UNTIL(k, k->lent_id == id);
	EQ(k->nlent, 3);
}

static void
put(int fd, const char *text)
{
	MUST(write(fd, text, strlen(text)) == (ssize_t)strlen(text));
}

static void
lent_close(struct kit *k)
{
	for (int i = 0; i < k->nlent; i++)
		close(k->lent[i]);
	k->nlent = 0;
}

static void
attach(struct kit *k)
{
	struct rt_container c[] = {
		kit_sh("pipe",
		       "while read x; do echo got $x; echo oops $x >&2; done; sleep 100"),
		kit_sh("once", "cat; echo over"),
		kit_sh("term", "while read x; do echo got $x; stty size; done"),
	};
	struct rt_pod p = kit_pod("a", c, 3);
	struct error *err = NULL;
	int ends[3];

	c[0].stdin_open = c[1].stdin_open = c[1].stdin_once = c[2].stdin_open = true;
	c[2].tty = true;
	kit_start(k, &p);
	KIT_UNTIL(k, kit_see(k, "a", 2)->state == RT_RUNNING);
	attach_to(k, "pipe", 1);
	put(k->lent[0], "one\n");
	expect(k, k->lent[1], "got one");
	expect(k, k->lent[2], "oops one");
	/* two at once; the first one's end is not the container's */
	memcpy(ends, k->lent, sizeof(ends));
	attach_to(k, "pipe", 2);
	put(ends[0], "two\n");
	expect(k, ends[1], "got two");
	expect(k, k->lent[1], "got two");
	for (int i = 0; i < 3; i++)
		close(ends[i]);
	KIT_UNTIL(k, k->exec_id == 1);
	put(k->lent[0], "three\n");
	expect(k, k->lent[1], "got three");
	lent_close(k);
	/* the next hand finds the same pipe */
	rt_close(k->rt);
	kit_open(k);
	attach_to(k, "pipe", 3);
	put(k->lent[0], "four\n");
	expect(k, k->lent[1], "got four");
	lent_close(k);
	/* stdinOnce: whoever had it takes it along */
	attach_to(k, "once", 4);
	put(k->lent[0], "only\n");
	expect(k, k->lent[1], "only");
	close(k->lent[0]);
	expect(k, k->lent[1], "over");
	KIT_UNTIL(k, k->exec_id == 4);
	EQ(k->exec_code, 0);
	/* a terminal */
	attach_to(k, "term", 5);
	resize(k->lent[0]);
	put(k->lent[0], "five\n");
	expect(k, k->lent[1], "got five\r\n33 77");
	lent_close(k);
	MUST(rt_attach(k->rt, "a", "once", 6, &err) < 0);
	HAS(error_text(err), "not running");
	error_free(&err);
}

/* Who does not read stops nobody. */
static void
slow(struct kit *k)
{
	struct rt_container c =
	    kit_sh("main", "read x; yes | head -c 3000000; echo; echo done; "
			   "read x; echo last");
	struct rt_pod p = kit_pod("a", &c, 1);
	int mute[3];

	c.stdin_open = true;
	kit_start(k, &p);
	KIT_UNTIL(k, kit_see(k, "a", 0)->state == RT_RUNNING);
	attach_to(k, "main", 1);
	memcpy(mute, k->lent, sizeof(mute));
	put(k->lent[0], "go\n");
	attach_to(k, "main", 2);
	expect(k, k->lent[1], "done\n");
	put(k->lent[0], "on\n");
	KIT_UNTIL(k, kit_see(k, "a", 0)->state == RT_TERMINATED);
	lent_close(k);
	for (int i = 0; i < 3; i++)
		close(mute[i]);
}

static void
connects(struct kit *k)
{
	struct rt_container c =
	    kit_sh("main", "while :; do echo hello | nc -l -p 7777 127.0.0.1; done");
	struct rt_pod p = kit_pod("a", &c, 1);
	struct pollfd w = { .events = POLLOUT };
	struct error *err = NULL;
	socklen_t n = sizeof(int);
	int code = -1;

	kit_start(k, &p);
	KIT_UNTIL(k, kit_see(k, "a", 0)->state == RT_RUNNING);
	for (int64_t id = 1;; id++) { /* until it listens */
		OK(rt_connect(k->rt, "a", 7777, id, e));
		KIT_UNTIL(k, k->lent_id == id || k->exec_id == id);
		if (k->lent_id == id) {
			EQ(k->nlent, 1);
			w.fd = k->lent[0];
			poll(&w, 1, 5000);
			getsockopt(w.fd, SOL_SOCKET, SO_ERROR, &code, &n);
			if (!code)
				break;
			lent_close(k);
		}
		usleep(20000);
		MUST(id < 500);
	}
	expect(k, k->lent[0], "hello\n");
	lent_close(k);
	MUST(rt_connect(k->rt, "a", 0, 1000, &err) < 0);
	HAS(error_text(err), "is no port");
	error_free(&err);
}

static void
logs(struct kit *k)
{
	struct rt_container c =
	    kit_sh("main", "head -c 17000 /dev/zero | tr '\\0' x; echo; echo -n end");
	struct rt_pod p = kit_pod("a", &c, 1);
	struct buf text;
	char path[512], *line;

	free(kit_run(k, &p));
	snprintf(path, sizeof(path), "%s/default_a_a/main/0.log", k->logs);
	text = kit_file(path);
	line = strtok(text.at, "\n");
	MUST(strlen(line) > 16384 && line[4] == '-' && line[10] == 'T' && line[29] == 'Z');
	MUST(strncmp(line + 31, "stdout P xxx", 12) == 0);
	EQ(strlen(line), 31 + 9 + 16384);
	line = strtok(NULL, "\n");
	MUST(strncmp(line + 31, "stdout F xxx", 12) == 0);
	EQ(strlen(line), 31 + 9 + 17000 - 16384);
	line = strtok(NULL, "\n");
	IS(line + 31, "stdout F end");
	buf_done(&text);
}

static void
rotation(struct kit *k)
{
	struct rt_container c = kit_sh(
	    "main", "for i in $(seq 1 200); do head -c 900 /dev/zero | tr '\\0' y; echo; done");
	struct rt_pod p = kit_pod("a", &c, 1);
	char path[512];
	struct dirent *ent;
	int files = 0;
	DIR *d;

	free(kit_run(k, &p));
	snprintf(path, sizeof(path), "%s/default_a_a/main", k->logs);
	d = opendir(path);
	while ((ent = readdir(d))) {
		struct stat st;

		if (ent->d_name[0] == '.')
			continue;
		files++;
		MUST(strncmp(ent->d_name, "0.log", 5) == 0);
		MUST(fstatat(dirfd(d), ent->d_name, &st, 0) == 0 && st.st_size <= 20000 + 1000);
		EQ(st.st_mode & 0777, 0640);
	}
	closedir(d);
	EQ(files, 3);
}

/* Every record of this file says `words`, but those of kedge itself; says how many there are.
 */
static int
only(const char *path, const char *words)
{
	struct buf text = kit_file(path);
	int lines = 0;

	for (char *at = text.at, *end; text.len; at = end + 1) {
		end = memchr(at, '\n', text.len - (size_t)(at - text.at));
		if (!end) /* no line yet */
			break;
		*end = '\0';
		MUST(end - at >= 31);
		if (strncmp(at + 31, "stderr F kedge: ", 16) != 0)
			IS(at + 31, words);
		lines++;
	}
	buf_done(&text);
	return lines;
}

/* Rotation in the middle of what was read, with many files to look through. */
static void
rotation_of_short(struct kit *k)
{
	struct rt_container c = kit_sh("main", "yes '' | head -c 60000");
	struct rt_pod p = kit_pod("a", &c, 1);
	struct rt_config conf = kit_config(k);
	struct dirent *ent;
	char path[512];
	int files = 0;
	DIR *d;

	conf.log_max_files = 40;
	rt_close(k->rt);
	kit_open_as(k, &conf);
	free(kit_run(k, &p));
	snprintf(path, sizeof(path), "%s/default_a_a/main", k->logs);
	d = opendir(path);
	while ((ent = readdir(d))) {
		char file[800];

		if (ent->d_name[0] == '.')
			continue;
		snprintf(file, sizeof(file), "%s/%s", path, ent->d_name);
		only(file, "stdout F ");
		files++;
	}
	closedir(d);
	EQ(files, 40);
}

/* The third run of a container, whose log cannot be opened for a while. */
static void
log_closed(struct kit *k)
{
	struct rt_container c =
	    kit_sh("main", "while :; do echo many words of one line; sleep 0.02; done");
	struct rt_pod p = kit_pod("a", &c, 1);
	char path[512];

	c.restart = RT_ALWAYS;
	p.grace = 0;
	kit_start(k, &p);
	KIT_UNTIL(k, kit_see(k, "a", 0)->state == RT_RUNNING);
	snprintf(path, sizeof(path), "%s/default_a_a/main/2.log", k->logs);
	MUST(mkdir(path, 0755) == 0);
	for (int run = 1; run <= 2; run++) {
		rtpod_tell_other(rt_find(k->rt, "a", NULL), 0);
		KIT_UNTIL(k, kit_see(k, "a", 0)->restarts == run &&
				 kit_see(k, "a", 0)->state == RT_RUNNING);
	}
	usleep(300000);
	MUST(rmdir(path) == 0);
	KIT_UNTIL(k,
		  access(path, F_OK) == 0 && only(path, "stdout F many words of one line") > 3);
}

static void
last_word(struct kit *k)
{
	struct rt_container c = kit_sh(
	    "main", "head -c 5000 /dev/zero | tr '\\0' m > /dev/termination-log; exit 1");

	c.termination_message_path = "/dev/termination-log";
	c.user = "web";
	free(kit_out_of(k, "a", c));
	EQ(strlen(kit_see(k, "a", 0)->now.message), 4096);
	EQ(kit_see(k, "a", 0)->now.message[0], 'm');
	/* a link in its place leads nowhere */
	c = kit_sh("main", "echo word > /tmp/log; exit 1");
	c.termination_message_path = "/tmp/log";
	free(kit_out_of(k, "b", c));
	IS(kit_see(k, "b", 0)->now.message, "word\n");
}

static void
terminal(struct kit *k)
{
	struct rt_container c = kit_sh(
	    "main",
	    "tty; test -t 1 && echo yes; ls -l /dev/console | head -c 1; echo; echo T=$TERM");
	cleanup_free char *out = NULL;

	c.tty = true;
	out = kit_out_of(k, "a", c);
	HAS(out, "/dev/pts/0");
	HAS(out, "yes");
	HAS(out, "T=xterm");
}

static const struct scenario scenarios[] = {
	{ "exec", exec },
	{ "attach", attach },
	{ "slow", slow },
	{ "connects", connects },
	{ "logs", logs },
	{ "rotation", rotation },
	{ "last_word", last_word },
	{ "terminal", terminal },
	{ "many_words", many_words },
	{ "exec_slots", exec_slots },
	{ "rotation_of_short", rotation_of_short },
	{ "log_closed", log_closed },
};

int
main(int argc, char **argv)
{
	return kit_main(argc, argv, scenarios, sizeof(scenarios) / sizeof(*scenarios));
}
