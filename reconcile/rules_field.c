/* rules_field.c -- what Kubernetes demands of references to a pod's own fields and to its
 * containers' resources, in an environment and in a volume.
 */
#include "base/arena.h"
#include "base/text.h"
#include "rules.h"
#include <stdio.h>
#include <string.h>

/* What the API server can convert to a field of a pod, sorted as its messages have them. */
static const struct {
	const char *path;
	bool env, file; /* may be named there */
} fields[] = {
	{ "metadata.annotations", false, true },
	{ "metadata.labels", false, true },
	{ "metadata.name", true, true },
	{ "metadata.namespace", true, true },
	{ "metadata.uid", true, true },
	{ "spec.nodeName", true, false },
	{ "spec.restartPolicy", false, false },
	{ "spec.schedulerName", false, false },
	{ "spec.serviceAccountName", true, false },
	{ "status.hostIP", true, false },
	{ "status.hostIPs", true, false },
	{ "status.phase", false, false },
	{ "status.podIP", true, false },
	{ "status.podIPs", true, false },
};

enum { FIELDS = sizeof fields / sizeof *fields };

static bool
is_legal(size_t i, bool file)
{
	return file ? fields[i].file : fields[i].env;
}

static void
say_unsupported(const char *path, bool file, const struct place *at)
{
	char list[512] = "";
	size_t n = 0;

	for (size_t i = 0; i < FIELDS; i++)
		if (is_legal(i, file))
			n += (size_t)snprintf(list + n, sizeof list - n, "%s\"%s\"",
					      n ? ", " : "", fields[i].path);
	place_complain(at, "fieldRef.fieldPath",
		       "Unsupported value: \"%.100s\": supported values: %s", path, list);
}

/* metadata.labels['x'] */
static void
subscript_check(const char *path, const char *bracket, const struct place *at)
{
	size_t n = strlen(bracket), name = (size_t)(bracket - path);
	char of[32], key[512];
	const char *why;

	snprintf(of, sizeof of, "%.*s", (int)(name < sizeof of ? name : sizeof of - 1), path);
	snprintf(key, sizeof key, "%.*s", (int)(n - 4), bracket + 2);
	if (!strcmp(of, "metadata.labels"))
		why = is_label_key(key, at->arena);
	else if (!strcmp(of, "metadata.annotations"))
		why = is_annotation_key(key, at->arena);
	else {
		place_complain(at, "fieldRef",
			       "Invalid value: \"%s\": does not support subscript", of);
		return;
	}
	if (why)
		place_complain(at, "fieldRef", "Invalid value: \"%.100s\": %s", key, why);
}

void
field_path_check(const char *path, bool file, const struct place *at)
{
	const char *bracket = strstr(path, "['"),
		   *base = bracket ? bracket : path + strlen(path);
	size_t n = strlen(path), i = 0;

	if (bracket && (n < 2 || strcmp(path + n - 2, "']") != 0 || path + n - bracket < 4))
		base = path + n; /* no subscript after all */
	while (i < FIELDS && (strncmp(fields[i].path, path, (size_t)(base - path)) != 0 ||
			      fields[i].path[base - path]))
		i++;
	if (i == FIELDS)
		place_complain(
		    at, "fieldRef.fieldPath",
		    "Invalid value: \"%.100s\": error converting fieldPath: field label not "
		    "supported: %.100s",
		    path, path);
	else if (*base)
		subscript_check(path, base, at);
	else if (!is_legal(i, file))
		say_unsupported(path, file, at);
}

/* ---- resources ---- */

#define BYTES "1, 1k, 1M, 1G, 1T, 1P, 1E, 1Ki, 1Mi, 1Gi, 1Ti, 1Pi, 1Ei"

static bool
is_unit_of_bytes(const char *divisor)
{
	static const char *const units[] = { "1",   "1k",  "1M",  "1G",  "1T",  "1P", "1E",
					     "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei" };

	for (size_t i = 0; i < sizeof units / sizeof *units; i++)
		if (quantity_value(divisor) == quantity_value(units[i]) &&
		    quantity_milli(divisor) == quantity_milli(units[i]))
			return true;
	return false;
}

static void
divisor_check(const struct resource_field_selector *r, const struct place *at)
{
	const char *dot = strchr(r->resource, '.'), *what = dot ? dot + 1 : "";
	int64_t milli = quantity_milli(r->divisor);

	if (!milli) /* none, or 0, which means the same */
		return;
	if (!strcmp(what, "cpu") && milli != 1 && milli != 1000)
		place_complain(at, "resourceFieldRef.divisor",
			       "Invalid value: \"%.100s\": only divisor's values 1m and 1 are "
			       "supported with the cpu resource",
			       r->resource);
	else if (strcmp(what, "cpu") != 0 && !is_unit_of_bytes(r->divisor))
		place_complain(at, "resourceFieldRef.divisor",
			       "Invalid value: \"%.100s\": only divisor's values " BYTES
			       " are supported with the %s resource",
			       r->resource,
			       !strncmp(what, "hugepages-", 10)     ? "hugepages"
			       : !strcmp(what, "ephemeral-storage") ? "local ephemeral storage"
								    : "memory");
}

void
resource_field_check(const struct resource_field_selector *r, bool file, const struct place *at)
{
	static const char *const known[] = {
		"limits.cpu",   "limits.ephemeral-storage",   "limits.memory",
		"requests.cpu", "requests.ephemeral-storage", "requests.memory"
	};
	size_t i = 0, n = sizeof known / sizeof *known;

	if (file && (!r->containerName || !*r->containerName)) {
		place_complain(at, "resourceFieldRef.containerName", "Required value");
		return;
	}
	if (!r->resource)
		return; /* said already */
	while (i < n && strcmp(r->resource, known[i]) != 0)
		i++;
	if (i < n || !strncmp(r->resource, "limits.hugepages-", 17) ||
	    !strncmp(r->resource, "requests.hugepages-", 19))
		divisor_check(r, at);
	else
		place_complain(
		    at, "resourceFieldRef.resource",
		    "Unsupported value: \"%.100s\": supported values: \"limits.cpu\", "
		    "\"limits.ephemeral-storage\", \"limits.memory\", \"requests.cpu\", "
		    "\"requests.ephemeral-storage\", \"requests.memory\"",
		    r->resource);
}
