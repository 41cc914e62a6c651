/* node.c -- the Node object: what the hand found out about the host.
 *
 * The kubelet writes a heartbeat every ten seconds.  Here the brain knows at
 * once when the hand is gone, so that the object is written when a fact
 * changes and at no other time: an idle host writes nothing to its disk.
 */
#include "base/arena.h"
#include "base/buf.h"
#include "base/ipv4.h"
#include "base/text.h"
#include "controllers.h"
#include "plan.h"
#include "snapshot.h"
#include <inttypes.h>
#include <string.h>

#ifndef KEDGE_VERSION
#define KEDGE_VERSION "0"
#endif

/* The kubelet's conditions, reasons and messages to the letter. */
static const struct {
	const char *type, *status, *reason, *message;
} healthy[] = {
	{ "MemoryPressure", "False", "KubeletHasSufficientMemory",
	  "kubelet has sufficient memory available" },
	{ "DiskPressure", "False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure" },
	{ "PIDPressure", "False", "KubeletHasSufficientPID",
	  "kubelet has sufficient PID available" },
	{ "Ready", "True", "KubeletReady", "kubelet is posting ready status" },
};
enum { HEALTHY = sizeof healthy / sizeof *healthy };

static const char lacks_type[] = "kedge.dev/HostLimited";

/* Go's names for uname's. */
static const char *
arch_of(const char *machine)
{
	static const struct {
		const char *uname, *go;
	} names[] = {
		{ "x86_64", "amd64" },    { "aarch64", "arm64" },   { "armv7l", "arm" },
		{ "riscv64", "riscv64" }, { "ppc64le", "ppc64le" }, { "s390x", "s390x" },
	};

	for (size_t i = 0; machine && i < sizeof names / sizeof *names; i++)
		if (!strcmp(machine, names[i].uname))
			return names[i].go;
	return machine ? machine : "";
}

static void
set_labels(struct node *n, const struct host_seen *h, const struct settings *set,
	   struct arena *a)
{
	struct pairs *l = &n->metadata->labels;

	pairs_set(l, "kubernetes.io/hostname", set->node_name, a);
	pairs_set(l, "kubernetes.io/os", "linux", a);
	if (h->arch)
		pairs_set(l, "kubernetes.io/arch", arch_of(h->arch), a);
	pairs_set(l, "node-role.kubernetes.io/control-plane", "", a);
	for (size_t i = 0; i < set->node_labels.n; i++)
		pairs_set(l, set->node_labels.at[i].key, set->node_labels.at[i].value, a);
}

/* A tenth of the disk is nobody's, as the kubelet's eviction threshold has it (nodefs 10 %). */
static struct pairs
resources_of(const struct host_seen *h, bool to_give, struct arena *a)
{
	struct pairs q = { 0 };

	if (h->cpuMilli % 1000)
		pairs_set(&q, "cpu", arena_printf(a, "%" PRId64 "m", h->cpuMilli), a);
	else
		pairs_set(&q, "cpu", arena_printf(a, "%" PRId64, h->cpuMilli / 1000), a);
	pairs_set(&q, "memory", arena_printf(a, "%" PRId64 "Ki", h->memory / 1024), a);
	if (h->disk && to_give)
		pairs_set(&q, "ephemeral-storage",
			  arena_printf(a, "%" PRId64, h->disk / 10 * 9), a);
	else if (h->disk)
		pairs_set(&q, "ephemeral-storage",
			  arena_printf(a, "%" PRId64 "Ki", h->disk / 1024), a);
	pairs_set(&q, "pods", arena_printf(a, "%" PRId64, h->pods ? h->pods : 110), a);
	return q;
}

static void
set_addresses(struct node_status *st, const struct host_seen *h, const struct settings *set,
	      struct arena *a)
{
	const char *ip = set->node_ip && *set->node_ip ? set->node_ip : h->nodeIP;

	st->addresses.at = arena_zalloc(a, 3 * sizeof *st->addresses.at);
	st->addresses.n = 0;
	if (ip && *ip)
		st->addresses.at[st->addresses.n++] =
		    (struct node_address){ .type = "InternalIP", .address = ip };
	if (h->nodeIP6 && *h->nodeIP6)
		st->addresses.at[st->addresses.n++] =
		    (struct node_address){ .type = "InternalIP", .address = h->nodeIP6 };
	st->addresses.at[st->addresses.n++] =
	    (struct node_address){ .type = "Hostname", .address = set->node_name };
}

static void
set_info(struct node_status *st, const struct host_seen *h, struct arena *a)
{
	struct node_system_info *info = arena_zalloc(a, sizeof *info);

	info->machineID = h->machineID;
	info->systemUUID = h->machineID;
	info->bootID = h->bootID;
	info->kernelVersion = h->kernel;
	info->osImage = h->osImage;
	info->containerRuntimeVersion = "kedge://" KEDGE_VERSION;
	info->kubeletVersion = info->kubeProxyVersion = "v1.33.0+kedge-" KEDGE_VERSION;
	info->operatingSystem = "linux";
	info->architecture = arch_of(h->arch);
	st->nodeInfo = info;
}

static void
set_images(struct node_status *st, const struct images_seen *h, struct arena *a)
{
	if (!h)
		return;
	st->images.at = arena_zalloc(a, h->images.n * sizeof *st->images.at + 1);
	st->images.n = h->images.n;
	for (size_t i = 0; i < h->images.n; i++) {
		const char **name = arena_alloc(a, sizeof *name);

		*name = h->images.at[i].name;
		st->images.at[i].names = (struct strs){ .at = name, .n = 1 };
		st->images.at[i].sizeBytes = h->images.at[i].size;
	}
}

/* A condition keeps its time while its status stays. */
static void
set_condition(struct node_status *st, const struct node_status *was, struct condition c,
	      int64_t now)
{
	c.lastTransitionTime = now;
	for (size_t i = 0; was && i < was->conditions.n; i++)
		if (str_is(was->conditions.at[i].type, c.type) &&
		    str_is(was->conditions.at[i].status, c.status))
			c.lastTransitionTime = was->conditions.at[i].lastTransitionTime;
	c.lastHeartbeatTime = c.lastTransitionTime;
	st->conditions.at[st->conditions.n++] = c;
}

static const char *
lacks_print(const struct host_seen *h, struct arena *a)
{
	cleanup_buf struct buf text = { 0 };

	for (size_t i = 0; i < h->lacks.n; i++)
		buf_addf(&text, "%s%s", i ? "; " : "", h->lacks.at[i]);
	return arena_strdup(a, buf_text(&text));
}

static void
set_conditions(struct node_status *st, const struct node_status *was, const struct snapshot *s,
	       struct arena *a)
{
	const struct host_seen *h = s->host;

	st->conditions.at = arena_zalloc(a, (HEALTHY + 2) * sizeof *st->conditions.at);
	st->conditions.n = 0;
	for (size_t i = 0; i < HEALTHY; i++)
		set_condition(st, was,
			      (struct condition){ .type = healthy[i].type,
						  .status = healthy[i].status,
						  .reason = healthy[i].reason,
						  .message = healthy[i].message },
			      s->now);
	if (s->rules_error)
		set_condition(st, was,
			      (struct condition){ .type = "NetworkUnavailable",
						  .status = "True",
						  .reason = "RulesNotInForce",
						  .message = s->rules_error },
			      s->now);
	if (h->lacks.n)
		set_condition(st, was,
			      (struct condition){ .type = lacks_type,
						  .status = "True",
						  .reason = "HostLacksFeatures",
						  .message = lacks_print(h, a) },
			      s->now);
}

static void
bring_up_to_date(struct snapshot *s, const struct node *live, struct plan *p)
{
	const struct settings *set = s->settings;
	struct node *new;
	const struct node_status *was;
	bool meta;

	if (!s->host || !set || (live && strcmp(object_name(live), set->node_name)))
		return;
	new = live ? object_clone(live, p->arena)
		   : object_new(RES_node, "", set->node_name, p->arena);
	was = live ? live->status : NULL;
	if (!new->spec)
		new->spec = arena_zalloc(p->arena, sizeof *new->spec);
	if (!new->status)
		new->status = arena_zalloc(p->arena, sizeof *new->status);
	set_labels(new, s->host, set, p->arena);
	new->spec->podCIDR = addr_range_text(settings_pods(set, false), p->arena);
	new->spec->podCIDRs.at = arena_alloc(p->arena, 2 * sizeof *new->spec->podCIDRs.at);
	new->spec->podCIDRs.at[0] = new->spec->podCIDR;
	new->spec->podCIDRs.n = 1;
	if (set->pods6.bits)
		new->spec->podCIDRs.at[new->spec->podCIDRs.n++] =
		    addr_range_text(set->pods6, p->arena);
	new->status->capacity = resources_of(s->host, false, p->arena);
	new->status->allocatable = resources_of(s->host, true, p->arena);
	set_addresses(new->status, s->host, set, p->arena);
	set_info(new->status, s->host, p->arena);
	set_images(new->status, s->images, p->arena);
	set_conditions(new->status, was, s, p->arena);
	if (live && schema_equal(node_kind(), live, new))
		return;
	meta = !live || !schema_equal(object_meta_kind(), live->metadata, new->metadata) ||
	       !live->spec || !schema_equal(node_spec_kind(), live->spec, new->spec);
	plan_add(p, (struct action){
			.verb = !live  ? ACT_CREATE
				: meta ? ACT_UPDATE
				       : ACT_STATUS,
			.kind = resources[RES_node].singular,
			.name = object_name(new),
			.why = "the host as it was found",
			.body = new,
		    });
}

void
node_reconcile(struct snapshot *s, const struct node *live, struct plan *p)
{
	bring_up_to_date(s, live, p);
}

void
node_ensure(struct snapshot *s, struct plan *p)
{
	if (s->host && s->settings && !snapshot_find(s, RES_node, "", s->settings->node_name))
		bring_up_to_date(s, NULL, p);
}
