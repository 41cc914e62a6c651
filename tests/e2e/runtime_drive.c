/* runtime_drive.c -- what the runtime promises, one scenario a run: runtime_drive NAME. */
#include "tests/e2e/runtime_kit.h"

static void
exit_code(struct kit *k)
{
	struct rt_container c = kit_sh("main", "echo out; echo err >&2; exit 3");
	struct rt_pod p = kit_pod("a", &c, 1);
	cleanup_free char *out = kit_run(k, &p);

	IS(out, "out\nerr\n");
	EQ(kit_see(k, "a", 0)->now.exit_code, 3);
	IS(kit_see(k, "a", 0)->now.reason, "Error");
	kit_stop(k, "a");
}

static const struct {
	const char *name;
	void (*run)(struct kit *);
} scenarios[] = {
	{ "exit_code", exit_code },
};

int
main(int argc, char **argv)
{
	struct kit k;

	setvbuf(stdout, NULL, _IONBF, 0);
	for (size_t i = 0; argc == 2 && i < sizeof(scenarios) / sizeof(*scenarios); i++)
		if (strcmp(scenarios[i].name, argv[1]) == 0) {
			kit_begin(&k);
			scenarios[i].run(&k);
			OK(rt_down(k.rt, e));
			rt_close(k.rt);
			return 0;
		}
	fprintf(stderr, "usage: runtime_drive SCENARIO\n");
	return 2;
}
