/* metrics.c -- see metrics.h. */
#include "metrics.h"
#include "../reconcile/base/text.h"
#include "api_call.h"
#include <inttypes.h>

static double
seconds(const struct metrics *m)
{
	return (double)(m->now->at - m->then->at) / 1e9;
}

int64_t
metrics_rate(const struct metrics *m, int64_t was, int64_t is)
{
	return is > was && seconds(m) > 0 ? (int64_t)((double)(is - was) / seconds(m) + 0.5)
					  : 0;
}

static bool
row_is_of(const struct usage_row *r, const struct object *pod)
{
	return str_is(r->ns, object_namespace(pod)) && str_is(r->pod, object_name(pod));
}

static int64_t
row_rate(const struct metrics *m, const struct usage_row *r)
{
	int64_t was = 0;

	for (size_t i = 0; i < m->then->containers.n; i++) {
		const struct usage_row *t = &m->then->containers.at[i];

		if (str_is(t->ns, r->ns) && str_is(t->pod, r->pod) &&
		    str_is(t->container, r->container))
			was = t->cpuNanos;
	}
	/* another pod under the same name begins anew */
	return metrics_rate(m, was <= r->cpuNanos ? was : 0, r->cpuNanos);
}

bool
metrics_has(const struct metrics *m, const struct object *pod)
{
	for (size_t i = 0; i < m->now->containers.n; i++)
		if (row_is_of(&m->now->containers.at[i], pod))
			return true;
	return false;
}

/* As metrics-server has it: of the object its name and labels, and the time of now. */
static void
print_meta(const struct metrics *m, const struct object *o, struct buf *b)
{
	struct object_meta meta = { .name = o->metadata->name,
				    .namespace = o->metadata->namespace,
				    .labels = o->metadata->labels,
				    .creationTimestamp = m->at };

	buf_adds(b, "\"metadata\":");
	schema_encode(object_meta_kind(), &meta, b);
}

static void
print_usage(int64_t nanos, int64_t bytes, struct buf *b)
{
	buf_addf(b, "\"usage\":{\"cpu\":\"%" PRId64 "n\",\"memory\":\"%" PRId64 "Ki\"}", nanos,
		 bytes / 1024);
}

static void
print_window(const struct metrics *m, struct buf *b)
{
	buf_addf(b, "\"%.3fs\"", seconds(m));
}

static bool
is_pod(const struct object *o)
{
	return resource_of(o)->id == RES_pod;
}

void
metrics_print(const struct metrics *m, const struct object *o, struct buf *b)
{
	char when[40];
	size_t n = 0;

	time_print(m->at, false, when);
	buf_addf(b, "{\"kind\":\"%s\",\"apiVersion\":\"metrics.k8s.io/v1beta1\",",
		 is_pod(o) ? "PodMetrics" : "NodeMetrics");
	print_meta(m, o, b);
	buf_addf(b, ",\"timestamp\":\"%s\",\"window\":", when);
	print_window(m, b);
	buf_adds(b, is_pod(o) ? ",\"containers\":[" : ",");
	if (!is_pod(o))
		print_usage(metrics_rate(m, m->then->cpuNanos, m->now->cpuNanos),
			    m->now->memory, b);
	for (size_t i = 0; is_pod(o) && i < m->now->containers.n; i++) {
		const struct usage_row *r = &m->now->containers.at[i];

		if (!row_is_of(r, o))
			continue;
		buf_adds(b, n++ ? ",{\"name\":" : "{\"name\":");
		json_quote(b, r->container);
		buf_addc(b, ',');
		print_usage(row_rate(m, r), r->memory, b);
		buf_addc(b, '}');
	}
	buf_adds(b, is_pod(o) ? "]}" : "}");
}

void
metrics_row(const struct metrics *m, const struct object *o, struct buf *b)
{
	int64_t nanos = 0, bytes = 0;

	for (size_t i = 0; is_pod(o) && i < m->now->containers.n; i++) {
		const struct usage_row *r = &m->now->containers.at[i];

		if (!row_is_of(r, o))
			continue;
		nanos += row_rate(m, r);
		bytes += r->memory;
	}
	if (!is_pod(o)) {
		nanos = metrics_rate(m, m->then->cpuNanos, m->now->cpuNanos);
		bytes = m->now->memory;
	}
	buf_adds(b, "{\"cells\":[");
	json_quote(b, object_name(o));
	buf_addf(b, ",\"%" PRId64 "n\",\"%" PRId64 "Ki\",", nanos, bytes / 1024);
	print_window(m, b);
	buf_adds(b, "],\"object\":{\"kind\":\"PartialObjectMetadata\","
		    "\"apiVersion\":\"meta.k8s.io/v1\",");
	print_meta(m, o, b);
	buf_adds(b, "}}");
}
