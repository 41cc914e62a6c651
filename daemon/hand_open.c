/* hand_open.c -- what the hand holds: sockets, folders, runtime and rules; made at its
 * start, and taken away whole by `kedge down`.
 *
 * Invariant: the folders are locked before anything is made in them, so two kedgeds
 * never share one.
 */
#include "../reconcile/base/arena.h"
#include "../reconcile/base/cleanup.h"
#include "../reconcile/base/error.h"
#include "../reconcile/base/ipv4.h"
#include "../reconcile/base/log.h"
#include "../reconcile/dns.h"
#include "config.h"
#include "files.h"
#include "hand_host.h"
#include "hand_spec.h"
#include "hand_state.h"
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

enum { FILES_WANTED = 65536, LOCK_MS = 1000 };

static int
listen_unix(struct hand *h, struct error **e)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	cleanup_close int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (snprintf(sa.sun_path, sizeof sa.sun_path, "%s/api.sock", h->config->run) >=
	    (int)sizeof sa.sun_path)
		return fail(e, WHY_INVALID,
			    "%s/api.sock is longer than a socket's path may be (107 bytes); "
			    "choose a shorter --run",
			    h->config->run);
	unlink(sa.sun_path); /* we hold the lock: whoever made it is gone */
	if (fd < 0 || bind(fd, (struct sockaddr *)&sa, sizeof sa) < 0 ||
	    chown(sa.sun_path, 0, h->brain_id.gid) < 0 || chmod(sa.sun_path, 0660) < 0 ||
	    listen(fd, 128) < 0)
		return fail_sys(e, "listen on %s", sa.sun_path);
	h->listen_unix = steal_fd(&fd);
	return 0;
}

/* Nobody listens there any more: a client is told so at once. */
void
hand_socket_remove(struct hand *h)
{
	cleanup_free char *path = NULL;

	xasprintf(&path, "%s/api.sock", h->config->run);
	unlink(path);
}

enum { BIND_TRIES = 250, BIND_TRY_US = 20000 };

/* The brain of a kedged that was killed listens until it has noticed. */
static int
bind_patiently(int fd, const struct sockaddr_in *sa)
{
	for (int tries = 0;; tries++) {
		if (bind(fd, (const struct sockaddr *)sa, sizeof *sa) == 0 &&
		    listen(fd, 128) == 0)
			return 0;
		if (errno != EADDRINUSE || tries == BIND_TRIES)
			return -1;
		usleep(BIND_TRY_US);
	}
}

/* An address that is to come (a bridge's is not there yet) can be listened on already. */
static int
listen_at(uint32_t ip, uint16_t port, int *ret, struct error **e)
{
	struct sockaddr_in sa = { .sin_family = AF_INET,
				  .sin_port = htons(port),
				  .sin_addr.s_addr = htonl(ip) };
	cleanup_close int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	char text[IPV4_TEXT];
	int one = 1;

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) < 0 ||
	    setsockopt(fd, IPPROTO_IP, IP_FREEBIND, &one, sizeof one) < 0 ||
	    bind_patiently(fd, &sa) < 0)
		return fail_sys(e, "listen on %s:%u", ipv4_print(ip, text), port);
	*ret = steal_fd(&fd);
	return 0;
}

static int
listen_tcp(struct hand *h, struct error **e)
{
	uint32_t ip;
	uint16_t port;

	if (!h->config->listen || !*h->config->listen)
		return 0;
	if (listen_parse(h->config->listen, &ip, &port, e) < 0)
		return -1;
	return listen_at(ip, port, &h->listen_tcp, e);
}

static int
listen_tls(struct hand *h, struct error **e)
{
	uint32_t ip;
	uint16_t port;

	if (!config_secure(h->config, &h->settings, &ip, &port))
		return 0;
	return listen_at(ip, port, &h->listen_tls, e) < 0
		   ? fail_in(e, "the API over TLS (--secure-listen ADDRESS:PORT moves it, none "
				"is without it)")
		   : 0;
}

/* Held as long as we live; a child's copy closes at its exec. */
static int
folder_lock(const char *dir, const char *option, int *ret, struct error **e)
{
	cleanup_free char *path = NULL;

	xasprintf(&path, "%s/hand.lock", dir);
	*ret = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (*ret < 0)
		return fail_sys(e, "open %s", path);
	/* A hand that was killed may leave a child on its way to exec, which holds it yet. */
	for (int ms = 0; flock(*ret, LOCK_EX | LOCK_NB) < 0 && ms < LOCK_MS; ms += 20)
		poll(NULL, 0, 20);
	if (flock(*ret, LOCK_EX | LOCK_NB) < 0)
		return fail(e, WHY_CONFLICT,
			    "another kedged uses %s; stop it, or give this one its own %s", dir,
			    option);
	return 0;
}

/* The state folder belongs to root but its group may add files (sticky): the
 * brain keeps state.db and repo.git there and cannot rename what is the hand's. */
static int
folders_make(struct hand *h, struct error **e)
{
	const struct config *c = h->config;

	if (host_folder_check(c->state, "--state", e) < 0 ||
	    host_folder_check(c->run, "--run", e) < 0)
		return -1;
	if (dir_make(c->state, 01770, 0, h->brain_id.gid, e) < 0 ||
	    dir_make(c->run, 0711, 0, 0, e) < 0 ||
	    dir_make(c->logs, 0750, 0, h->brain_id.gid, e) < 0 ||
	    folder_lock(c->state, "--state and --run", &h->locks[0], e) < 0)
		return -1;
	if (strcmp(c->run, c->state) && folder_lock(c->run, "--run", &h->locks[1], e) < 0)
		return -1;
	if (chown(c->state, 0, h->brain_id.gid) < 0 || chmod(c->state, 01770) < 0)
		return fail_sys(e, "owner of %s", c->state);
	return 0;
}

/* The same for what is made and what is taken away, so that nothing is forgotten. */
static struct np_config
rules_config(const struct hand *h)
{
	return (struct np_config){
		.bridge = h->config->network->bridge,
		.pods = h->settings.pods,
		.svcs = h->settings.svcs,
		.pods6 = h->settings.pods6,
		.svcs6 = h->settings.svcs6,
		.dns = dns_address(&h->settings),
		.chains = h->config->network->chains,
		.owner = h->config->state,
		.restore_seconds = (unsigned)h->config->limits->rulesSeconds,
		.nft = !strcmp(h->config->proxy, "nftables"),
	};
}

/* Pods that a hand before us plugged. */
static void
pods_adopt(struct hand *h)
{
	const char *const *uids;
	size_t n = rt_pods(h->rt, &uids);

	for (size_t i = 0; i < n; i++) {
		const struct rt_pod_status *st = rt_pod_status(h->rt, uids[i]);
		uint32_t ip;

		if (st && st->ip && ipv4_read(st->ip, &ip))
			hand_pod(h, uids[i])->ip = ip;
	}
}

static int
parts_open(struct hand *h, struct error **e)
{
	const struct config *c = h->config;
	cleanup_free char *init = NULL;
	cleanup_arena struct arena a = { 0 };
	struct rt_config rc = {
		.run_dir = c->run,
		.state_dir = c->state,
		.log_dir = c->logs,
		.cgroup = c->cgroup,
		.cgroup_root = "/sys/fs/cgroup",
		.log_gid = h->brain_id.gid,
		.log_max_bytes = quantity_value(c->limits->logMaxSize),
		.log_max_files = c->limits->logMaxFiles,
	};
	struct np_config nc = rules_config(h);

	rc.seccomp_dir = c->seccomp;
	rc.max_pids = c->limits->maxPids;
	h->host_paths = spec_host_paths(c->allow);
	rc.warm_pods = (unsigned)c->limits->warmPods;
	rc.user_first = (uint32_t)c->users->first;
	rc.user_ranges = (uint32_t)c->users->ranges;
	rc.allow = (struct rt_allow){ .privileged = c->allow->privileged,
				      .unconfined = c->allow->unconfined,
				      .unmasked = c->allow->unmasked,
				      .host_network = c->allow->hostNetwork,
				      .host_pid = c->allow->hostPID,
				      .host_ipc = c->allow->hostIPC,
				      .host_users = c->allow->hostUsers,
				      .sysctls = c->allow->sysctls.at,
				      .nsysctls = c->allow->sysctls.n,
				      .host_paths = h->host_paths,
				      .nhost_paths = c->allow->hostPaths.n };
	if (rt_caps(spec_strings(&c->allow->capabilities, &a), &rc.allow.caps, e) < 0)
		return fail_in(e, "allow.capabilities");
	if (images_open(c->state, &h->images, e) < 0)
		return -1;
	init = host_init_path(e);
	if (!init)
		return -1;
	rc.init_path = init;
	rc.images = h->images;
	/* Who is refused by the one leaves nothing of the other: only np makes what shows. */
	if (rt_open(&rc, &h->rt, e) < 0 || np_open(&nc, &h->np, e) < 0)
		return -1;
	pods_adopt(h);
	return 0;
}

/* A pod costs a few descriptors; a shell's usual 1024 would not do for maxPods. */
static void
files_raise(void)
{
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files) < 0 || files.rlim_cur >= FILES_WANTED)
		return;
	files.rlim_cur = files.rlim_max < FILES_WANTED ? files.rlim_max : FILES_WANTED;
	(void)setrlimit(RLIMIT_NOFILE, &files);
}

int
hand_open(struct hand *h, struct error **e)
{
	bool found;

	if (geteuid() != 0)
		return fail(e, WHY_FORBIDDEN,
			    "kedged must be started as root (its reading half "
			    "gives that up at once)");
	if (rt_kernel_check(e) < 0 || config_settings(h->config, &h->settings, e) < 0)
		return -1;
	if (identity_of_brain(h->config->user, &h->brain_id, &found, e) < 0)
		return -1;
	if (!found)
		log_warn("user", "there is no user \"%s\"; the brain runs as number %u",
			 h->config->user, h->brain_id.uid);
	signal(SIGPIPE, SIG_IGN);
	files_raise();
	h->base = event_base_new();
	/* The last last: who is another kedged's neighbour hears it from the rules first. */
	if (folders_make(h, e) < 0 || listen_unix(h, e) < 0 || listen_tcp(h, e) < 0 ||
	    parts_open(h, e) < 0 || listen_tls(h, e) < 0)
		return -1;
	for (const char *const *s = rt_lacks(h->rt); *s; s++)
		log_warn("host", "%s", *s);
	for (const char *const *s = np_lacks(h->np); *s; s++)
		log_warn("host", "%s", *s);
	return 0;
}

/* `kedge down`: every process, link, rule, group and folder of ours. */
int
hand_down(struct hand *h)
{
	cleanup_error struct error *e = NULL, *e2 = NULL, *e3 = NULL;
	struct np_config nc = rules_config(h);
	int rc = 0;

	if (rt_down(h->rt, &e) < 0) {
		log_err("down", "%s", error_text(e));
		rc = 1;
	}
	np_close(h->np);
	h->np = NULL;
	if (np_down(&nc, &e2) < 0) {
		log_err("down", "%s", error_text(e2));
		rc = 1;
	}
	if (host_folders_remove(h, &e3) < 0) {
		log_err("down", "%s", error_text(e3));
		rc = 1;
	}
	return rc;
}
