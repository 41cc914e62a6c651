/* main.c -- kedged: options, and which of its processes this one is. */
#include "../reconcile/base/arena.h"
#include "../reconcile/base/error.h"
#include "../reconcile/base/log.h"
#include "brain.h"
#include "config.h"
#include "dns_worker.h"
#include "hand.h"
#include "source.h"
#include "worker_pull.h"
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* One row an option: its place in the configuration is an offset, so that the
 * row is all there is to it. */
static const struct flag {
	const char *name, *arg, *help;
	size_t off; /* of a string in struct config; 0: handled in option_take */
} flags[] = {
	{ "config", "FILE", "settings; default " CONFIG_FILE " when it is there", 0 },
	{ "source", "[NAME=]URL|DIR[#REF][,path=SUBDIR]", "what to follow; may be repeated",
	  0 },
	{ "state", "DIR", "state.db, repo.git, images", offsetof(struct config, state) },
	{ "run", "DIR", "api.sock and what dies with the host", offsetof(struct config, run) },
	{ "logs", "DIR", "what containers print", offsetof(struct config, logs) },
	{ "listen", "ADDR:PORT", "serve kubectl on loopback", offsetof(struct config, listen) },
	{ "secure-listen", "ADDR:PORT", "serve the API over TLS; none: not at all",
	  offsetof(struct config, secureListen) },
	{ "cgroup", "NAME", "control group of the pods", offsetof(struct config, cgroup) },
	{ "node-name", "NAME", "name of the Node", 0 },
	{ "help", NULL, "this text", 0 },
	{ "version", NULL, "print the version", 0 },
	{ "role", "ROLE", NULL, 0 }, /* how the hand starts its children */
	{ "fd", "N", NULL, 0 },
};
enum { FLAGS = sizeof flags / sizeof *flags };

struct options {
	const char *config_file, *role;
	const char *value[FLAGS]; /* of plain string flags */
	const char *sources[64];
	size_t nsources;
	int fd;
};

static void
usage(FILE *out)
{
	fputs("usage: kedged [options]\n\n"
	      "Follows repositories and directories of Kubernetes manifests and makes this "
	      "host be so.\n\n",
	      out);
	for (int i = 0; i < FLAGS; i++)
		if (flags[i].help)
			fprintf(out, "  --%s %-*s %s\n", flags[i].name,
				(int)(40 - strlen(flags[i].name)),
				flags[i].arg ? flags[i].arg : "", flags[i].help);
	fputs("\nkedged(8) and kedge(1) say more.\n", out);
}

static int
option_take(struct options *o, int i, const char *arg)
{
	const char *name = flags[i].name;

	if (!strcmp(name, "help")) {
		usage(stdout);
		return 1;
	}
	if (!strcmp(name, "version")) {
		puts("kedged " KEDGE_VERSION);
		return 1;
	}
	if (!strcmp(name, "config"))
		o->config_file = arg;
	else if (!strcmp(name, "role"))
		o->role = arg;
	else if (!strcmp(name, "fd"))
		o->fd = atoi(arg);
	else if (strcmp(name, "source"))
		o->value[i] = arg;
	else if (o->nsources < sizeof o->sources / sizeof *o->sources)
		o->sources[o->nsources++] = arg;
	else
		return -1;
	return 0;
}

/* 0: go on; 1: done; -1: wrong. */
static int
options_read(int argc, char **argv, struct options *o)
{
	struct option longs[FLAGS + 1] = { 0 };
	int c, i, rc;

	for (i = 0; i < FLAGS; i++)
		longs[i] =
		    (struct option){ flags[i].name,
				     flags[i].arg ? required_argument : no_argument, NULL, 0 };
	while ((c = getopt_long(argc, argv, "", longs, &i)) != -1) {
		if (c != 0)
			return -1;
		rc = option_take(o, i, optarg);
		if (rc)
			return rc;
	}
	if (optind < argc) {
		fprintf(stderr, "kedged: what is \"%s\"? sources are named with --source\n",
			argv[optind]);
		return -1;
	}
	return 0;
}

/* The file, then the flags over it. */
static struct config *
config_merge(const struct options *o, struct arena *a, struct error **e)
{
	struct complaints cs = { .arena = a };
	const char *file = o->config_file;
	struct strs doubts;
	struct config *c;
	struct stat st;

	if (!file && !stat(CONFIG_FILE, &st))
		file = CONFIG_FILE;
	c = file ? config_read(file, a, &cs, e) : config_default(a);
	complaints_sort(&cs);
	for (const struct complaint *x = cs.first; x; x = x->next)
		fprintf(stderr, "%s%s\n", x->warning ? "warning: " : "", complaint_print(x, a));
	if (cs.errors) {
		fail(e, WHY_INVALID, "%s has errors; nothing was started", file);
		return NULL;
	}
	if (!c)
		return NULL;
	for (int i = 0; i < FLAGS; i++) {
		if (!o->value[i])
			continue;
		if (!strcmp(flags[i].name, "node-name"))
			c->node->name = o->value[i];
		else
			*(const char **)((char *)c + flags[i].off) = o->value[i];
	}
	for (size_t i = 0; i < o->nsources; i++)
		if (config_add_source(c, o->sources[i], a, e) < 0)
			return NULL;
	if (config_finish(c, a, e) < 0)
		return NULL;
	doubts = config_doubts(c, a);
	for (size_t i = 0; i < doubts.n; i++)
		fprintf(stderr, "warning: %s%s%s\n", file ? file : "", file ? ": " : "",
			doubts.at[i]);
	return c;
}

/* Descriptors 0 to 2 exist, so that no file of ours is ever taken for one of them. */
static void
stdio_fill(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd <= 2);
	if (fd > 2)
		close(fd);
}

int
main(int argc, char **argv)
{
	cleanup_arena struct arena a = { 0 };
	cleanup_error struct error *e = NULL;
	struct options o = { .fd = -1 };
	struct config *c;
	int rc;

	stdio_fill();
	rc = options_read(argc, argv, &o);
	if (rc)
		return rc < 0 ? (usage(stderr), 2) : 0;
	if (o.role && !strcmp(o.role, "brain"))
		return brain_main(o.fd);
	if (o.role && !strcmp(o.role, "source"))
		source_worker(o.fd);
	if (o.role && !strcmp(o.role, "pull"))
		pull_worker(o.fd);
	if (o.role && !strcmp(o.role, "dns"))
		return dns_worker(o.fd);
	c = config_merge(&o, &a, &e);
	if (!c) {
		log_err("config", "%s", error_text(e));
		return 2;
	}
	return hand_main(c);
}
