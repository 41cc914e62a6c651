/* ahead_drive.c -- sandboxes that were made ahead of their pods: scenarios of ahead.bats. */
#include "tests/e2e/runtime_kit.h"
#include <dirent.h>
#include <unistd.h>

/* Processes named kedge-init: those of pods, of sandboxes, and of their first containers. */
static int
inits(pid_t *ret_last)
{
	DIR *d = opendir("/proc");
	struct dirent *ent;
	int n = 0;

	while ((ent = readdir(d))) {
		char path[300], state = 'Z';
		FILE *f;

		snprintf(path, sizeof(path), "/proc/%s/stat", ent->d_name);
		f = strspn(ent->d_name, "0123456789") == strlen(ent->d_name) ? fopen(path, "re")
									     : NULL;
		if (f && fscanf(f, "%*d (kedge-init) %c", &state) == 1 && state != 'Z') {
			n++;
			if (ret_last && atoi(ent->d_name) > *ret_last)
				*ret_last = atoi(ent->d_name);
		}
		if (f)
			fclose(f);
	}
	closedir(d);
	return n;
}

/* Those of a runtime that was closed are ours to reap, as if we had ended, too. */
static void
none_left(void)
{
	for (int i = 0; i < 100 && inits(NULL); i++) {
		waitpid(-1, NULL, WNOHANG | __WALL);
		usleep(50000);
	}
	EQ(inits(NULL), 0);
}

static int
entries(const char *fmt, const char *top)
{
	char path[600];
	struct dirent *ent;
	int n = 0;
	DIR *d;

	snprintf(path, sizeof(path), fmt, top);
	d = opendir(path);
	while (d && (ent = readdir(d)))
		n += ent->d_name[0] != '.';
	if (d)
		closedir(d);
	return n;
}

/* A pod of the image that the next sandbox is made for. */
static void
former(struct kit *k, const char *image)
{
	struct rt_container c = kit_sh("main", "exit 0");
	struct rt_pod p = kit_pod("former", &c, 1);

	c.image = image;
	kit_start(k, &p);
	KIT_UNTIL(k, kit_see(k, "former", 0)->state == RT_TERMINATED);
	kit_stop(k, "former");
}

static bool
layer_is(const struct kit *k, const char *uid, const char *name)
{
	char path[600];

	snprintf(path, sizeof(path), "%s/pods/%s/%s/upper", k->state, uid, name);
	return access(path, F_OK) == 0;
}

static void
taken(struct kit *k)
{
	struct rt_container c = kit_sh("web", "echo here; hostname; sleep 1000");
	struct rt_pod p = kit_pod("a", &c, 1);
	cleanup_free char *out = NULL;
	pid_t first = 0;

	former(k, "box");
	MUST(kit_ahead(k));
	EQ(inits(&first), 2);
	kit_start(k, &p);
	KIT_UNTIL(k, kit_see(k, "a", 0)->state == RT_RUNNING);
	EQ(kit_see(k, "a", 0)->pid, first);
	EQ(inits(NULL), 1);
	MUST(layer_is(k, "a", "web.0"));
	MUST(!layer_is(k, "a", "_first.0"));
	KIT_UNTIL(k, (out = kit_output(k, &p, "web", 0)) && strcmp(out, "here\na\n") == 0);
	MUST(kit_ahead(k)); /* there is room for the next */
}

static void
other_image(struct kit *k)
{
	struct rt_container c = kit_sh("web", "readlink /which; sleep 1000");
	struct rt_pod p = kit_pod("a", &c, 1);
	cleanup_free char *out = NULL;
	pid_t first = 0;

	kit_image(k, "other", LIST("which", "bin/sh"), &(struct image_config){ 0 });
	former(k, "box");
	MUST(kit_ahead(k));
	inits(&first);
	c.image = "other";
	kit_start(k, &p);
	KIT_UNTIL(k, kit_see(k, "a", 0)->state == RT_RUNNING);
	EQ(kit_see(k, "a", 0)->pid, first);
	MUST(layer_is(k, "a", "web.0"));
	KIT_UNTIL(k, (out = kit_output(k, &p, "web", 0)) && strcmp(out, "bin/sh\n") == 0);
}

/* Its first container begins with other steps than those that were taken. */
static void
misfits(struct kit *k)
{
	struct rt_container c[3] = { kit_sh("main", "sleep 1000"), kit_sh("main", "sleep 1000"),
				     kit_sh("main", "sleep 1000") };
	struct rt_container two[2] = { kit_sh("one", "sleep 1000"),
				       kit_sh("two", "sleep 1000") };
	static const struct rt_volume memory = { .name = "m", .type = RT_MEMORY };
	static const struct rt_mount at = { .volume = "m", .path = "/m" };
	struct rt_pod p[4] = { kit_pod("tty", &c[0], 1), kit_pod("stdin", &c[1], 1),
			       kit_pod("memory", &c[2], 1), kit_pod("two", two, 2) };

	c[0].tty = true;
	c[1].stdin_open = true;
	c[2].mounts = &at;
	c[2].nmounts = 1;
	p[2].volumes = &memory;
	p[2].nvolumes = 1;
	former(k, "box");
	for (int i = 0; i < 4; i++) {
		kit_ahead(k);
		kit_start(k, &p[i]);
		for (size_t j = 0; j < p[i].ncontainers; j++)
			KIT_UNTIL(k, kit_see(k, p[i].uid, j)->state == RT_RUNNING);
	}
	/* only the one with a memory volume left its sandbox to the next */
	EQ(inits(NULL), 4);
}

static pid_t
parent_of(pid_t pid)
{
	char path[64];
	int parent = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	f = fopen(path, "re");
	MUST(f && fscanf(f, "%*d (kedge-init) %*c %d", &parent) == 1);
	fclose(f);
	return parent;
}

/* Its end is not heard of yet when the pod comes. */
static void
just_died(struct kit *k)
{
	struct rt_container c = kit_sh("main", "sleep 1000");
	struct rt_pod p = kit_pod("a", &c, 1);
	pid_t first = 0;

	former(k, "box");
	MUST(kit_ahead(k));
	inits(&first);
	kill(parent_of(first), SIGKILL);
	while (kill(first, 0) == 0)
		usleep(1000);
	kit_start(k, &p);
	KIT_UNTIL(k, kit_see(k, "a", 0)->state == RT_RUNNING);
	KIT_UNTIL(k, inits(NULL) == 1);
}

static void
killed(struct kit *k)
{
	struct rt_container c = kit_sh("main", "sleep 1000");
	struct rt_pod p = kit_pod("a", &c, 1), q = kit_pod("b", &c, 1);
	pid_t first = 0;

	former(k, "box");
	MUST(kit_ahead(k));
	inits(&first);
	kill(first, SIGKILL); /* the process of the first container alone */
	KIT_UNTIL(k, inits(NULL) == 1);
	kit_start(k, &p);
	KIT_UNTIL(k, kit_see(k, "a", 0)->state == RT_RUNNING);
	MUST(kit_ahead(k));
	first = 0;
	inits(&first);
	kill(first, SIGSTOP); /* nothing is asked of it while it is ended */
	kill(kit_see(k, "a", 0)->pid, 0);
	OK(rt_pod_stop(k->rt, "a", 0, e));
	KIT_UNTIL(k, inits(NULL) == 2);
	kill(first, SIGCONT);
	kit_start(k, &q);
	KIT_UNTIL(k, kit_see(k, "b", 0)->state == RT_RUNNING);
}

static void
image_goes(struct kit *k)
{
	former(k, "box");
	MUST(kit_ahead(k));
	EQ(inits(NULL), 2);
	OK(image_remove(k->images, "box", e));
	KIT_UNTIL(k, inits(NULL) == 0);
	MUST(!image_find(k->images, "box"));
	KIT_UNTIL(k, entries("%s/pods", k->run) == 0);
}

static void
hand_goes(struct kit *k)
{
	char name[300];

	former(k, "box");
	MUST(kit_ahead(k));
	EQ(inits(NULL), 2);
	rt_close(k->rt);
	none_left();
	EQ(entries("%s/pods", k->run), 1);
	kit_open(k);
	KIT_UNTIL(k, entries("%s/pods", k->run) == 0 && entries("%s/pods", k->state) == 0);
	MUST(kit_ahead(k));
	OK(rt_down(k->rt, e));
	none_left();
	snprintf(name, sizeof(name), "%s/pods", k->state);
	MUST(access(name, F_OK) < 0);
}

static const struct scenario scenarios[] = {
	{ "taken", taken },         { "other_image", other_image },
	{ "misfits", misfits },     { "killed", killed },
	{ "just_died", just_died }, { "image_goes", image_goes },
	{ "hand_goes", hand_goes },
};

int
main(int argc, char **argv)
{
	return kit_main(argc, argv, scenarios, sizeof(scenarios) / sizeof(*scenarios));
}
