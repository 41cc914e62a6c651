/* soak_drive.c -- thousands of pod lifetimes, no two alike, through the runtime and the
 * network; then the host holds as much of everything as before.
 *
 *   soak_drive LIVES SEED
 *
 * Pods end by themselves, crash, are stopped while they start, lose their first process;
 * commands, clients, restarts and new files come at any moment.  For the first half of the
 * lives the process that does all this is killed again and again, and another goes on; one
 * process sees the other half through.  Run it with tests/host.
 */
#include "netproxy/netproxy.h"
#include "tests/e2e/runtime_kit.h"
#include <dirent.h>
#include <ftw.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { AT_ONCE = 16, WARM_UP = 60, CONTAINERS = 3, VOLUMES = 6, ADDRESSES = 60000 };

struct life {
	char uid[40]; /* "": nobody lives here */
	uint32_t ip;
	int64_t next, stop_at;
	bool stopped, gone;
	size_t ncontainers;
};

static struct soak { /* what each of those processes leaves to the next */
	struct life lives[AT_ONCE];
	unsigned seed;
	int begun, ended, refused;
	int64_t jobs;
} * soak;
static struct kit kit;
static struct np *np;
static char *host_dir;

static int
dice(int sides)
{
	return rand_r(&soak->seed) % sides;
}

/* ---- what there is of everything ---- */

enum what { PROCESSES, DESCRIPTORS, MOUNTS, NAMESPACES, GROUPS, LINKS, FILES, BYTES, KINDS };
static const char *const kinds[KINDS] = { "processes",  "descriptors",    "mounts",
					  "namespaces", "control groups", "links",
					  "files",      "bytes" };
struct counts {
	long long of[KINDS];
};

static struct counts *walked;
static char spaces[4096][32];
static size_t nspaces;

static int
group_seen(const char *path, const struct stat *st, int type, struct FTW *f)
{
	(void)st;
	(void)f;
	walked->of[GROUPS] += type == FTW_D && strstr(path, getenv("KEDGE_CGROUP"));
	return 0;
}

static int
file_seen(const char *path, const struct stat *st, int type, struct FTW *f)
{
	(void)path;
	(void)f;
	walked->of[FILES]++;
	/* a folder stays as large as it once was */
	walked->of[BYTES] += type == FTW_F ? (long long)st->st_blocks * 512 : 0;
	return 0;
}

static void
space_seen(const char *link)
{
	char to[32] = "";
	ssize_t n = readlink(link, to, sizeof(to) - 1);
	static const char *const types[] = { "user:[", "net:[", "pid:[",   "ipc:[",
					     "uts:[",  "mnt:[", "cgroup:[" };
	bool is_space = false;

	for (size_t i = 0; n > 0 && i < sizeof(types) / sizeof(*types); i++)
		is_space |= strncmp(to, types[i], strlen(types[i])) == 0;
	for (size_t i = 0; is_space && i < nspaces; i++)
		if (strcmp(spaces[i], to) == 0)
			return;
	if (is_space && nspaces < sizeof(spaces) / sizeof(*spaces))
		strcpy(spaces[nspaces++], to);
}

/* Calls `seen` with the path of each entry; how many there are. */
static long long
each(const char *top, const char *sub, void (*seen)(const char *))
{
	cleanup_free char *dir = NULL;
	cleanup_closedir DIR *d = NULL;
	struct dirent *x;
	long long n = 0;

	xasprintf(&dir, "%s/%s", top, sub);
	d = opendir(dir);
	while (d && (x = readdir(d))) {
		cleanup_free char *path = NULL;

		if (x->d_name[0] == '.')
			continue;
		xasprintf(&path, "%s/%s", dir, x->d_name);
		if (seen)
			seen(path);
		n++;
	}
	return n;
}

static void
process_seen(const char *path)
{
	if (strspn(path + 7, "0123456789") != strlen(path + 7))
		return;
	walked->of[PROCESSES]++;
	(void)each(path, "ns", space_seen);
}

static struct counts
count(void)
{
	struct counts c = { 0 };
	struct buf mounts = kit_file("/proc/self/mountinfo");
	struct if_nameindex *links = if_nameindex();
	const char *const tops[] = { kit.run, kit.state, kit.logs };

	walked = &c;
	nspaces = 0;
	(void)each("/proc", "", process_seen);
	c.of[DESCRIPTORS] = each("/proc/self", "fd", space_seen);
	c.of[NAMESPACES] = (long long)nspaces;
	for (const char *at = buf_text(&mounts); *at; at++)
		c.of[MOUNTS] += *at == '\n';
	for (struct if_nameindex *l = links; l && l->if_index; l++)
		c.of[LINKS]++;
	nftw("/sys/fs/cgroup", group_seen, 16, FTW_PHYS);
	for (size_t i = 0; i < 3; i++)
		nftw(tops[i], file_seen, 16, FTW_PHYS);
	if_freenameindex(links);
	buf_done(&mounts);
	return c;
}

/* ---- one life ---- */

static void
take_in(int ms)
{
	struct kit *k = &kit;
	int due = rt_timeout(k->rt);
	struct pollfd p = { .fd = rt_fd(k->rt), .events = POLLIN };
	struct rt_event ev;

	poll(&p, 1, due >= 0 && due < ms ? due : ms);
	while (rt_next(k->rt, &ev)) {
		for (int i = 0; ev.type == RT_LENT && i < ev.nfds; i++)
			close(ev.fds[i]);
		for (struct life *l = soak->lives; l < soak->lives + AT_ONCE; l++)
			if (ev.type == RT_POD_CHANGED && strcmp(l->uid, ev.uid) == 0)
				l->gone |= rt_pod_status(k->rt, ev.uid)->state == RT_POD_GONE;
	}
}

/* Of what may be refused at such a moment: with words. */
static void
may(int rc, struct error **e)
{
	if (rc < 0) {
		soak->refused++;
		MUST(*e && *error_text(*e));
	}
	error_free(e);
	*e = NULL;
}
#define MAY(call)                                   \
	do {                                        \
		struct error *e_ = NULL, **e = &e_; \
		may((call), e);                     \
	} while (0)

static const char *const well[] = { "/bin/true", NULL }, *const nowhere[] = { "/nowhere",
									      NULL };
static const char *const scripts[] = {
	"exec sleep 1000",
	"exit 0",
	"exit 3",
	"trap 'exit 0' TERM; while :; do sleep 0.1; done",
	"trap '' TERM; while :; do sleep 0.1; done",
	"seq 1 3000",
	"kill -SEGV $$",
	"sleep 1000 & sleep 1000 & exec sleep 1000",
	"echo word >/dev/termination-log; echo x >/empty/x; exit 1",
	"dd if=/dev/zero of=/empty/much bs=64k count=8; dd if=/dev/zero of=/memory/much "
	"bs=64k count=9; exec sleep 1000",
	"mkdir /tmp/d; echo x >/tmp/d/x; cat /files/*; exec sleep 1000",
};

static void
container_make(struct rt_container *c, int i, const struct rt_mount *mounts, size_t n)
{
	static const char *const names[CONTAINERS] = { "a", "b", "c" };
	static const struct rt_hook yes = { .type = RT_HOOK_EXEC, .command = well };

	*c = kit_sh(names[i], scripts[dice(sizeof(scripts) / sizeof(*scripts))]);
	c->mounts = mounts;
	c->nmounts = n;
	c->restart = (enum rt_restart)dice(3);
	c->memory = dice(2) ? 64 << 20 : 0;
	c->cpu_milli = dice(2) ? 500 : 0;
	c->tty = dice(6) == 0;
	c->stdin_open = dice(3) == 0;
	c->read_only_root = dice(8) == 0;
	c->disk = dice(4) ? 0 : 1 << 30;
	c->termination_message_path = dice(2) ? "/dev/termination-log" : NULL;
	if (dice(8) == 0)
		c->post_start = yes;
	if (dice(8) == 0)
		c->pre_stop = yes;
	if (dice(24) == 0)
		c->command = nowhere;
	if (dice(24) == 0)
		c->image = "absent:1";
}

static size_t
volumes_make(struct rt_volume *v, struct rt_mount *m)
{
	static char text[40000];
	static struct rt_file files[2] = { { "key", text, 5, 0644 },
					   { "deep/er", text, 0, 0600 } };
	const struct rt_volume all[VOLUMES] = {
		{ .name = "files", .type = RT_FILES, .files = files, .nfiles = 2 },
		{ .name = "memory", .type = RT_MEMORY, .size_limit = 1 << 20 },
		{ .name = "empty", .type = RT_EMPTY, .size_limit = dice(2) ? 1 << 20 : 0 },
		{ .name = "host", .type = RT_HOST, .source = host_dir },
		{ .name = "store", .type = RT_STORE, .source = "data" },
		{ .name = "image", .type = RT_IMAGE, .source = "box" },
	};
	static const struct rt_mount mounts[VOLUMES] = {
		{ .volume = "files", .path = "/files" },
		{ .volume = "memory", .path = "/memory" },
		{ .volume = "empty", .path = "/empty" },
		{ .volume = "host", .path = "/host", .read_only = true },
		{ .volume = "store", .path = "/store", .sub_path = "sub" },
		{ .volume = "image", .path = "/image", .read_only = true },
	};
	size_t n = (size_t)dice(VOLUMES + 1);

	files[1].len = (size_t)dice(sizeof(text));
	memcpy(v, all, sizeof(all));
	memcpy(m, mounts, sizeof(mounts));
	return n;
}

static void
ahead(void)
{
	int netns;

	while ((netns = rt_ahead(kit.rt)) >= 0) {
		np_ahead(np, netns, 4);
		close(netns);
	}
}

static void
life_begin(struct life *l)
{
	struct rt_container c[CONTAINERS];
	struct rt_volume v[VOLUMES];
	struct rt_mount m[VOLUMES];
	size_t nv = volumes_make(v, m);
	struct rt_pod p;
	int netns = -1, cut = dice(12);

	*l = (struct life){ .ip = 0x0a2a0100 + (uint32_t)soak->begun % ADDRESSES,
			    .ncontainers = 1 + (size_t)dice(CONTAINERS) };
	/* as Kubernetes writes them: logs of others are left alone */
	snprintf(l->uid, sizeof(l->uid), "00000000-0000-4000-8000-%012d", soak->begun++);
	for (size_t i = 0; i < l->ncontainers; i++)
		container_make(&c[i], (int)i, m, nv);
	if (l->ncontainers > 1 && dice(3) == 0) {
		c[0].role = dice(2) ? RT_INIT : RT_SIDECAR;
		if (c[0].role == RT_INIT)
			c[0].command = well;
		else
			c[0].restart = RT_ALWAYS;
	}
	p = kit_pod(l->uid, c, l->ncontainers);
	p.volumes = v;
	p.nvolumes = nv;
	p.hosts = LIST("127.0.0.1 localhost");
	p.grace = dice(2);
	p.share_processes = dice(5) == 0;
	p.host_users = dice(5) == 0;
	p.fs_group = dice(5) == 0 ? 1234 : -1;
	l->next = kit_now() + dice(40);
	l->stop_at = kit_now() + dice(160);
	OK(rt_pod_create(kit.rt, &p, &netns, e));
	if (cut > 0)
		OK(np_plug(np, netns, l->ip, e));
	close(netns);
	if (cut > 1) /* else stopped before it ran */
		OK(rt_pod_run(kit.rt, l->uid, e));
	if (cut < 4)
		l->stop_at = 0;
}

static void
ask_for(struct life *l, const char *container)
{
	const char *const *const commands[] = { LIST("/bin/echo", "x"), LIST("/bin/sleep", "5"),
						nowhere, LIST("/bin/ls", "/") };
	struct rt *rt = kit.rt;
	const int none[3] = { -1, -1, -1 };

	MAY(rt_exec(rt, l->uid, container, commands[dice(4)], false, none, dice(2),
		    ++soak->jobs, e));
}

static void
ask_on_terminal(struct life *l, const char *container)
{
	cleanup_close int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC), slave = -1;
	char name[64];

	MUST(master >= 0 && unlockpt(master) == 0 &&
	     ptsname_r(master, name, sizeof(name)) == 0);
	slave = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
	MUST(slave >= 0);
	MAY(rt_exec(kit.rt, l->uid, container, LIST("/bin/sh", "-c", "tty; sleep 1"), true,
		    (const int[3]){ slave, slave, slave }, 1, ++soak->jobs, e));
	MUST(ioctl(master, TIOCSWINSZ, &(struct winsize){ .ws_row = 20, .ws_col = 60 }) == 0);
}

static void
files_change(struct life *l)
{
	static const struct rt_file file = { "other", "words", 5, 0644 };
	const struct rt_volume v = {
		.name = "files", .type = RT_FILES, .files = &file, .nfiles = 1
	};

	MAY(rt_pod_files(kit.rt, l->uid, &v, 1, e));
}

static void
container_late(struct life *l)
{
	struct rt_container c = kit_sh("late", scripts[dice(4)]);

	c.role = RT_EPHEMERAL;
	c.target = dice(2) ? "a" : NULL;
	MAY(rt_container_add(kit.rt, l->uid, &c, e));
}

static void
life_happens(struct life *l)
{
	static const char *const names[CONTAINERS] = { "a", "b", "c" };
	size_t i = (size_t)dice((int)l->ncontainers);
	struct rt *rt = kit.rt;
	const struct rt_pod_status *s = rt_pod_status(rt, l->uid);
	const struct rt_container size = { .cpu_milli = 700, .memory = 65 << 20 };
	const int grace = 0;
	struct rt_usage usage;

	switch (dice(13)) {
	case 0:
	case 1:
		ask_for(l, names[i]);
		break;
	case 2:
		ask_on_terminal(l, names[i]);
		break;
	case 3:
		MAY(rt_attach(rt, l->uid, names[i], ++soak->jobs, e));
		break;
	case 4:
		MAY(rt_connect(rt, l->uid, 7777, ++soak->jobs, e));
		break;
	case 5:
		MAY(rt_container_restart(rt, l->uid, names[i], dice(2), e));
		break;
	case 6:
		files_change(l);
		break;
	case 7:
		MAY(rt_container_resize(rt, l->uid, names[i], &size, dice(3) ? NULL : &grace,
					e));
		break;
	case 8:
		container_late(l);
		break;
	case 9:
		MAY(rt_container_usage(rt, l->uid, names[i], &usage, e));
		break;
	case 10:
		if (s && s->containers[i].pid > 0)
			kill(s->containers[i].pid, SIGKILL);
		break;
	case 11:
		if (s && s->init_pid > 0 && dice(2))
			kill(s->init_pid, dice(2) ? SIGKILL : SIGTERM);
		break;
	case 12:
		MAY(rt_pod_run(rt, l->uid, e));
		break;
	}
	l->next = kit_now() + dice(40);
}

static void
life_go_on(struct life *l)
{
	int64_t now = kit_now();

	if (!*l->uid)
		return;
	if (l->gone || !rt_pod_status(kit.rt, l->uid)) {
		OK(np_forget(np, l->ip, e));
		*l = (struct life){ 0 };
		soak->ended++;
	} else if (now >= l->stop_at && (!l->stopped || dice(40) == 0)) {
		MAY(rt_pod_stop(kit.rt, l->uid, l->stopped ? 0 : dice(3) - 1, e));
		l->stopped = true;
	} else if (now >= l->next) {
		life_happens(l);
	}
}

/* ---- all of them ---- */

static void
open_all(void)
{
	static const struct np_config nc = { .bridge = "kedge0",
					     .pods.net = 0x0a2a0000,
					     .pods.bits = 16,
					     .svcs.net = 0x0a2b0000,
					     .svcs.bits = 16 };
	static struct rt_host_path host;
	struct rt_config c = kit_config(&kit);
	int64_t until = kit_now() + 5000;
	struct error *why = NULL;

	host.prefix = host_dir;
	c.warm_pods = 4;
	c.allow.host_users = true;
	c.allow.host_paths = &host;
	c.allow.nhost_paths = 1;
	/* what was killed may be still there */
	while (rt_open(&c, &kit.rt, &why) < 0) {
		if (kit_now() > until)
			DIE("%s", error_text(why));
		error_free(&why);
		why = NULL;
		usleep(1000);
	}
	OK(np_open(&nc, &np, e));
}

/* Until so many have ended; new ones begin as long as that makes not more. */
static void
live(int until)
{
	int64_t heard = kit_now();
	int ended = soak->ended;

	while (soak->ended < until) {
		for (struct life *l = soak->lives; l < soak->lives + AT_ONCE; l++)
			if (!*l->uid && soak->begun < until)
				life_begin(l);
		take_in(5);
		for (struct life *l = soak->lives; l < soak->lives + AT_ONCE; l++)
			life_go_on(l);
		if (dice(3) == 0)
			ahead();
		if (soak->ended > ended) {
			ended = soak->ended;
			heard = kit_now();
		}
		for (struct life *l = soak->lives;
		     kit_now() - heard > 30000 && l < soak->lives + AT_ONCE; l++)
			if (*l->uid)
				DIE("%s never ends (state %d)", l->uid,
				    rt_pod_status(kit.rt, l->uid)->state);
	}
	rt_logs_sweep(kit.rt, LIST(NULL));
	ahead();
}

static void
live_and_be_killed(int until)
{
	int killed = 0;

	for (; soak->ended < until; killed++) {
		pid_t pid = fork();
		int how;

		MUST(pid >= 0);
		if (pid == 0) {
			open_all();
			live(INT32_MAX);
		}
		usleep((useconds_t)dice(800) * 1000);
		MUST(kill(pid, SIGKILL) == 0 && waitpid(pid, &how, 0) == pid);
		MUST(WIFSIGNALED(how) && WTERMSIG(how) == SIGKILL);
	}
	printf("killed %d times\n", killed);
}

static void
process_tell(const char *path)
{
	cleanup_free char *stat = NULL;
	struct buf text;

	xasprintf(&stat, "%s/stat", path);
	text = kit_file(stat);
	if (strspn(path + 7, "0123456789") == strlen(path + 7))
		printf("%.60s\n", buf_text(&text));
	buf_done(&text);
}

static void
as_before(const struct counts *before)
{
	int64_t until = kit_now() + 20000;
	struct counts now = count();
	bool same;

	while (memcmp(&now, before, sizeof(now)) && kit_now() < until) {
		take_in(200);
		now = count();
	}
	same = memcmp(&now, before, sizeof(now)) == 0;
	for (int i = 0; i < KINDS; i++)
		printf("%s: %lld before, %lld after\n", kinds[i], before->of[i], now.of[i]);
	if (!same)
		(void)each("/proc", "", process_tell);
	MUST(same);
}

/* In a process of its own, as the others: what it has open counts, too. */
static void
live_and_count(int until, struct counts *before, bool compare)
{
	pid_t pid = fork();
	int how;

	MUST(pid >= 0);
	if (pid == 0) {
		open_all();
		live(until);
		take_in(1000);
		if (compare)
			as_before(before);
		else
			*before = count();
		if (compare)
			OK(rt_down(kit.rt, e));
		rt_close(kit.rt);
		np_close(np);
		exit(0);
	}
	MUST(waitpid(pid, &how, 0) == pid);
	MUST(WIFEXITED(how) && WEXITSTATUS(how) == 0);
}

static void *
shared(size_t size)
{
	void *at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	MUST(at != MAP_FAILED);
	return at;
}

int
main(int argc, char **argv)
{
	int lives = argc > 1 ? atoi(argv[1]) : 2000;
	struct counts *before = shared(sizeof(*before));
	int64_t began;

	soak = shared(sizeof(*soak));
	soak->seed = argc > 2 ? (unsigned)atoi(argv[2]) : 1;
	setvbuf(stdout, NULL, _IONBF, 0);
	kit_dirs(&kit);
	kit_image(&kit, "box", NULL,
		  &(struct image_config){ .cmd = LIST("/bin/sleep", "1000") });
	xasprintf(&host_dir, "%s/host", kit.dir);
	MUST(mkdir(host_dir, 0755) == 0);
	kit_open(&kit);
	OK(rt_store_make(kit.rt, "data", e));
	rt_close(kit.rt);
	live_and_count(WARM_UP, before, false);
	began = kit_now();
	live_and_be_killed(WARM_UP + lives / 2);
	live_and_count(WARM_UP + lives, before, true);
	printf("%d lives in %lld ms, %d things refused\n", lives,
	       (long long)(kit_now() - began), soak->refused);
	return 0;
}
