/* hand_usage.c -- what pods and the host use right now, as counters.
 *
 * Cpu is time used so far, so whoever wants to know how much is used looks twice.
 */
#include "../reconcile/base/arena.h"
#include "../reconcile/base/cleanup.h"
#include "config.h"
#include "files.h"
#include "hand_state.h"
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { FILE_MAX = 64 << 10 };

static void
pod_rows(struct hand *h, const char *uid, struct usage_seen *ret, struct arena *a)
{
	const struct rt_pod_status *s = rt_pod_status(h->rt, uid);

	for (size_t i = 0; s && i < s->ncontainers; i++) {
		struct rt_usage u;

		if (s->containers[i].state != RT_RUNNING ||
		    rt_container_usage(h->rt, uid, s->containers[i].name, &u, NULL) < 0)
			continue;
		ret->containers.at[ret->containers.n++] =
		    (struct usage_row){ .ns = arena_strdup(a, s->ns),
					.pod = arena_strdup(a, s->name),
					.container = arena_strdup(a, s->containers[i].name),
					.cpuNanos = u.cpu_ns > 0 ? u.cpu_ns : 0,
					.memory = u.memory > 0 ? u.memory : 0 };
	}
}

/* "cpu user nice system idle iowait irq softirq steal ...": all but idle and iowait. */
static int64_t
host_cpu_ns(void)
{
	cleanup_buf struct buf text = { 0 };
	unsigned long long t[8];

	if (file_read("/proc/stat", FILE_MAX, &text, NULL) < 0 ||
	    sscanf(buf_text(&text), "cpu %llu %llu %llu %llu %llu %llu %llu %llu", &t[0], &t[1],
		   &t[2], &t[3], &t[4], &t[5], &t[6], &t[7]) != 8)
		return 0;
	return (int64_t)(t[0] + t[1] + t[2] + t[5] + t[6] + t[7]) *
	       (1000000000 / sysconf(_SC_CLK_TCK));
}

static int64_t
meminfo(const char *text, const char *key)
{
	const char *at = strstr(text, key);

	return at ? strtoll(at + strlen(key), NULL, 10) * 1024 : 0;
}

void
hand_report_usage(struct hand *h, int64_t id)
{
	cleanup_arena struct arena a = { 0 };
	cleanup_buf struct buf mem = { 0 };
	struct usage_seen seen = { .id = id, .cpuNanos = host_cpu_ns() };
	struct timespec now;
	const char *const *uids;
	size_t n = rt_pods(h->rt, &uids);
	char **copy = arena_alloc(&a, (n + 1) * sizeof *copy);

	for (size_t i = 0; i < n; i++) /* the list is good until the next call only */
		copy[i] = arena_strdup(&a, uids[i]);
	seen.containers.at = arena_alloc(&a, (n * 32 + 1) * sizeof *seen.containers.at);
	for (size_t i = 0; i < n; i++)
		pod_rows(h, copy[i], &seen, &a);
	if (file_read("/proc/meminfo", FILE_MAX, &mem, NULL) == 0)
		seen.memory = meminfo(buf_text(&mem), "MemTotal:") -
			      meminfo(buf_text(&mem), "MemAvailable:");
	clock_gettime(CLOCK_BOOTTIME, &now);
	seen.at = now.tv_sec * 1000000000LL + now.tv_nsec;
	hand_send(h, "usage_seen", usage_seen_kind(), &seen, NULL, 0);
}
