/* usage.c -- what containers use right now, from their control groups.
 *
 * As the kubelet counts: cpu as time used since the start, memory as the working
 * set, which is what is charged less the file pages that nobody touched for long.
 * Where v1 has cpuacct in a hierarchy of its own, which pods are not put into for this
 * alone, the times of the processes there stand for it.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "reconcile/base/buf.h"
#include "reconcile/base/cleanup.h"
#include "runtime/rt.h"

/* The number behind "key " at the beginning of a line; -1: there is none. */
static int64_t
value_of(const char *text, const char *key)
{
	size_t n = strlen(key);

	for (const char *at = text; at && *at; at = strchr(at, '\n')) {
		at += *at == '\n';
		if (strncmp(at, key, n) == 0 && at[n] == ' ')
			return strtoll(at + n + 1, NULL, 10);
	}
	return -1;
}

/* utime, stime and those of children that were waited for: fields 14 to 17 of stat.  The
 * name before them is anybody's, so they are counted from its end. */
static int64_t
process_ns(long pid)
{
	char dir[64];
	cleanup_free char *text = NULL;
	unsigned long long t[4];
	const char *at;

	snprintf(dir, sizeof(dir), "/proc/%ld", pid);
	text = cgroup_text(dir, "stat");
	at = strrchr(text, ')');
	if (!at ||
	    sscanf(at + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu %llu %llu",
		   &t[0], &t[1], &t[2], &t[3]) != 4)
		return 0;
	return (int64_t)(t[0] + t[1] + t[2] + t[3]) * (1000000000 / sysconf(_SC_CLK_TCK));
}

static int64_t
processes_ns(const char *dir)
{
	cleanup_free char *list = cgroup_text(dir, "cgroup.procs");
	int64_t sum = 0;

	for (char *at = list, *end; *at; at = end + (*end == '\n')) {
		long pid = strtol(at, &end, 10);

		if (end == at)
			break;
		sum += process_ns(pid);
	}
	return sum;
}

static void
read_v2(const char *dir, struct rt_usage *ret)
{
	cleanup_free char *cpu = cgroup_text(dir, "cpu.stat"),
			  *now = cgroup_text(dir, "memory.current"),
			  *stat = cgroup_text(dir, "memory.stat");
	int64_t us = value_of(cpu, "usage_usec"), idle = value_of(stat, "inactive_file");

	ret->cpu_ns = us < 0 ? -1 : us * 1000;
	ret->memory = *now ? strtoll(now, NULL, 10) - (idle > 0 ? idle : 0) : -1;
}

static void
read_v1(const char *controller, const char *dir, struct rt_usage *ret)
{
	if (strcmp(controller, "cpu") == 0) {
		cleanup_free char *ns = cgroup_text(dir, "cpuacct.usage");

		ret->cpu_ns = *ns ? strtoll(ns, NULL, 10) : processes_ns(dir);
	} else if (strcmp(controller, "memory") == 0) {
		cleanup_free char *now = cgroup_text(dir, "memory.usage_in_bytes"),
				  *stat = cgroup_text(dir, "memory.stat");
		int64_t idle = value_of(stat, "total_inactive_file");

		ret->memory = *now ? strtoll(now, NULL, 10) - (idle > 0 ? idle : 0) : -1;
	}
}

int
rt_container_usage(struct rt *rt, const char *uid, const char *container, struct rt_usage *ret,
		   struct error **e)
{
	const struct cgroups *g = &rt->cgroups;
	const struct rtpod *p = rt_find(rt, uid, e);
	const char *group = container;
	struct rt_usage u = { -1, -1 };
	size_t at;

	if (!p)
		return -1;
	if (rtpod_container(p, container, &at, NULL) == 0)
		group = rt_group_of(&p->spec, &p->spec.containers[at]);
	for (size_t i = 0; i < g->n; i++) {
		cleanup_free char *dir = NULL;

		xasprintf(&dir, "%s/pod-%s/%s", g->tree[i].dir, rt_group(&p->spec), group);
		if (g->mode == CGROUP_V2)
			read_v2(dir, &u);
		else
			read_v1(g->tree[i].controllers, dir, &u);
	}
	if (u.memory < -1)
		u.memory = 0; /* the two files were read one after the other */
	*ret = u;
	return 0;
}
