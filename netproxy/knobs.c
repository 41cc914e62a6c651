/* knobs.c -- see knobs.h. */
#include "knobs.h"
#include "reconcile/base/cleanup.h"
#include "reconcile/base/error.h"
#include <fcntl.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* /proc/sys/net shows the namespace of whoever opens it, and only files below
 * a directory that was checked to be procfs are opened, without following
 * links: a write ends where it was meant to or nowhere. */
static int
sysctl_open(const char *file, int how, struct error **e)
{
	cleanup_close int root = open("/proc/sys/net", O_PATH | O_DIRECTORY | O_CLOEXEC);
	int fd;

	if (root < 0)
		return fail_sys(e, "open /proc/sys/net");
	fd = openat(root, file, how | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return fail_sys(e, "open /proc/sys/net/%s", file);
	return fd;
}

int
knob_get(const char *file, int *ret, struct error **e)
{
	cleanup_close int fd = sysctl_open(file, O_RDONLY, e);
	char text[16] = "";

	if (fd < 0)
		return -1;
	if (read(fd, text, sizeof text - 1) < 0)
		return fail_sys(e, "read /proc/sys/net/%s", file);
	*ret = atoi(text);
	return 0;
}

int
knob_set(const char *file, const char *value, struct error **e)
{
	cleanup_close int fd = sysctl_open(file, O_WRONLY, e);

	if (fd < 0)
		return -1;
	if (write(fd, value, strlen(value)) < 0)
		return fail_sys(e, "write %s to /proc/sys/net/%s", value, file);
	return 0;
}

const struct link_knob link_knobs[LINK_KNOBS] = {
	[KNOB_FORWARD] = { "ipv4/ip_forward", "1", "0", "KDG-FORWARD-WAS-0", false },
	/* The kernel sends a redirect when `all` or the link's own setting says so, and
	 * pods talk to one another through the bridge they came in by.  A redirect
	 * would tell them to bypass the rules that translate their answers, and it
	 * uses up the allowance for the ICMP errors that refuse.  Other links go by
	 * their own setting, which stays. */
	[KNOB_REDIRECTS] = { "ipv4/conf/all/send_redirects", "0", "1", "KDG-REDIRECT-WAS-1",
			     false },
	[KNOB_FORWARD6] = { "ipv6/conf/all/forwarding", "1", "0", "KDG-FORWARD6-WAS-0", true },
};

/* A host that forwards IPv6 forgets what routers advertised, its own default route with it, on
 * links that do not ask for it all the same (2).  On one that forwards nothing 2 is as good
 * as 1, so it is left there. */
static void
keep_routers(void)
{
	struct if_nameindex *all = if_nameindex();

	for (struct if_nameindex *i = all; i && i->if_name; i++) {
		char file[96];
		int was = 0;

		snprintf(file, sizeof file, "ipv6/conf/%s/accept_ra", i->if_name);
		if (knob_get(file, &was, NULL) == 0 && was == 1)
			(void)knob_set(file, "2", NULL);
	}
	if (all)
		if_freenameindex(all);
}

int
link_knobs_turn(bool v6, unsigned *turned, struct error **e)
{
	for (unsigned i = 0; i < LINK_KNOBS; i++) {
		const struct link_knob *k = &link_knobs[i];
		int was = 0;

		if (k->v6 != v6)
			continue;
		if (knob_get(k->file, &was, e) < 0)
			return -1;
		if (was == atoi(k->ours))
			continue;
		if (v6)
			keep_routers();
		if (knob_set(k->file, k->ours, e) < 0)
			return -1;
		*turned |= 1u << i;
	}
	return 0;
}

int
link_knobs_back(unsigned which, struct error **e)
{
	for (unsigned i = 0; i < LINK_KNOBS; i++)
		if (which >> i & 1 && knob_set(link_knobs[i].file, link_knobs[i].theirs, e) < 0)
			return -1;
	return 0;
}
