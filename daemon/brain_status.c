/* brain_status.c -- what `kedge status` is told: sources, what does not work, what is not
 * Git's. */
#include "../reconcile/base/buf.h"
#include "../reconcile/base/cleanup.h"
#include "../reconcile/base/map.h"
#include "../reconcile/dns.h"
#include "../reconcile/tree.h"
#include "../reconcile/trouble.h"
#include "brain_state.h"
#include <inttypes.h>
#include <jansson.h>
#include <string.h>

/* A line left out would be one not told. */
json_t *
brain_text_json(const char *text)
{
	cleanup_buf struct buf b = { 0 };

	tree_quote(text, &b);
	return json_loadb(b.at, b.len, JSON_DECODE_ANY, NULL);
}

static json_t *
object_to_json(const void *obj)
{
	cleanup_buf struct buf text = { 0 };

	if (!obj)
		return json_null();
	object_json(obj, &text);
	return json_loadb(text.at, text.len, 0, NULL);
}

static json_t *
source_status_json(struct brain *b, struct watch *w)
{
	const struct source *s = store_find(b->store, RES_source, "", w->config->name);
	cleanup_free char *name = NULL;
	const struct revision *r = NULL;

	if (s && s->status && s->status->revision) {
		xasprintf(&name, "%s-%" PRId64, w->config->name, s->status->revision);
		r = store_find(b->store, RES_revision, "", name);
	}
	return json_pack("{s:o, s:o, s:s}", "source", object_to_json(s), "revision",
			 object_to_json(r), "note", source_note(b->sources, w->config->name));
}

static void
add_trouble(json_t *out, const struct object *o, const char *why)
{
	if (why)
		json_array_append_new(
		    out, json_pack("{s:s, s:s, s:s, s:o}", "kind", resource_of(o)->singular,
				   "namespace", object_namespace(o), "name", object_name(o),
				   "message", brain_text_json(why)));
}

/* What a ReplicaSet is refused its Deployment says, too. */
static void
replica_troubles(json_t *out, const struct snapshot *s, struct arena *a)
{
	for (size_t i = 0; i < s->of[RES_deployment].n; i++) {
		const struct deployment *d = (const void *)s->of[RES_deployment].at[i];

		if (d->status)
			add_trouble(out, s->of[RES_deployment].at[i],
				    trouble_of_replicas(d->status->conditions.at,
							d->status->conditions.n, a));
	}
	for (size_t i = 0; i < s->of[RES_replica_set].n; i++) {
		const struct replica_set *rs = (const void *)s->of[RES_replica_set].at[i];

		if (rs->status && !object_controller(rs))
			add_trouble(out, s->of[RES_replica_set].at[i],
				    trouble_of_replicas(rs->status->conditions.at,
							rs->status->conditions.n, a));
	}
}

static const char *
trouble_of_disk(const struct brain *b, struct arena *a)
{
	return b->unsaved ? arena_printf(a,
					 "%s: what changes now is not known any more when "
					 "kedged starts again",
					 b->unsaved)
			  : NULL;
}

static json_t *
troubles(struct brain *b, const struct look_seen *seen)
{
	cleanup_arena struct arena a = { 0 };
	json_t *out = json_array();
	struct map ends = { 0 };
	struct snapshot s;

	if (seen)
		trouble_ends(&ends, seen->ends.at, seen->ends.n);
	brain_snapshot(b, &s, &a);
	for (size_t i = 0; i < s.of[RES_node].n; i++) {
		add_trouble(out, s.of[RES_node].at[i], trouble_of_node(&s, &a));
		add_trouble(out, s.of[RES_node].at[i], trouble_of_disk(b, &a));
	}
	replica_troubles(out, &s, &a);
	for (size_t i = 0; i < s.of[RES_pod].n; i++)
		add_trouble(
		    out, s.of[RES_pod].at[i],
		    trouble_of_pod(&s, (const struct pod *)s.of[RES_pod].at[i], true, &a));
	for (size_t i = 0; i < s.of[RES_service].n; i++) {
		const struct service *svc = (const struct service *)s.of[RES_service].at[i];

		add_trouble(out, s.of[RES_service].at[i],
			    trouble_of_service(&s, svc, &ends, &a));
		if (b->dns)
			add_trouble(out, s.of[RES_service].at[i], dns_left_out(&s, svc, &a));
	}
	map_done(&ends);
	return out;
}

json_t *
brain_status(struct brain *b, const struct look_seen *seen)
{
	json_t *sources = json_array(), *lacks = json_array();
	struct objects pods = store_all(b->store, RES_pod);
	int running = 0;

	for (size_t i = 0; i < b->config->sources.n; i++)
		json_array_append_new(sources, source_status_json(b, &b->watches[i]));
	for (size_t i = 0; b->host && i < b->host->lacks.n; i++)
		json_array_append_new(lacks, json_string(b->host->lacks.at[i]));
	for (size_t i = 0; i < pods.n; i++) {
		const struct pod *p = (const void *)pods.at[i];

		running +=
		    p->status && p->status->phase && !strcmp(p->status->phase, "Running");
	}
	return json_pack("{s:s, s:s, s:s, s:i, s:i, s:o, s:o, s:o, s:o}", "kind", "Status",
			 "version", KEDGE_VERSION, "node", b->settings.node_name, "pods",
			 (int)pods.n, "running", running, "lacks", lacks, "sources", sources,
			 "troubles", troubles(b, seen), "notFromGit", brain_loose(b));
}
