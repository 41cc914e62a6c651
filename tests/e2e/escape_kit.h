/* escape_kit.h -- the prisoner and its tool, for drivers that try the walls. */
#ifndef KEDGE_ESCAPE_KIT_H
#define KEDGE_ESCAPE_KIT_H
#include "tests/e2e/runtime_kit.h"

/* With every capability and no seccomp filter: kit_allow_all() first. */
static inline struct rt_container
mighty(const char *script)
{
	static const char *const all[] = { "ALL", NULL };
	struct rt_container c = kit_sh("main", script);

	c.cap_add = all;
	c.unconfined = c.allow_privilege_escalation = true;
	return c;
}

/* images/escape.c as /tool/escape, once tool_load() was called. */
static struct rt_file tool;
static const struct rt_volume tool_volume = {
	.name = "tool", .type = RT_FILES, .files = &tool, .nfiles = 1
};
static const struct rt_mount tool_mount = { .volume = "tool", .path = "/tool" };

static inline void
tool_load(void)
{
	const char *b = getenv("B");
	char path[512];
	struct buf bytes;

	snprintf(path, sizeof(path), "%s/images/escape", b ? b : "build");
	bytes = kit_file(path);
	if (!bytes.len)
		DIE("%s is not made: make test-images", path);
	tool = (struct rt_file){ "escape", bytes.at, bytes.len, 0755 };
}
#endif
