/* pod_parts.h -- all containers of a pod as one row: init containers in their order, then
 * the main ones, then ephemeral ones.
 *
 * Static and small, so that a controller's object file asks the linker for nothing more.
 */
#ifndef KEDGE_POD_PARTS_H
#define KEDGE_POD_PARTS_H
#include "base/text.h"
#include "schema.h"

enum part_role { PART_MAIN, PART_INIT, PART_SIDECAR, PART_EPHEMERAL };

static inline size_t
pod_parts(const struct pod_spec *s)
{
	return s->initContainers.n + s->containers.n + s->ephemeralContainers.n;
}

static inline const struct container *
pod_part(const struct pod_spec *s, size_t i)
{
	size_t ninit = s->initContainers.n, n = ninit + s->containers.n;

	if (i >= n)
		return &s->ephemeralContainers.at[i - n];
	return i < ninit ? &s->initContainers.at[i] : &s->containers.at[i - ninit];
}

/* Without those that were added later to look into it: the first so many. */
static inline size_t
pod_own_parts(const struct pod_spec *s)
{
	return s->initContainers.n + s->containers.n;
}

/* An init container that is restarted always is one that goes on beside the main ones. */
static inline enum part_role
pod_part_role(const struct pod_spec *s, size_t i)
{
	if (i >= s->initContainers.n + s->containers.n)
		return PART_EPHEMERAL;
	if (i >= s->initContainers.n)
		return PART_MAIN;
	return str_is(s->initContainers.at[i].restartPolicy, "Always") ? PART_SIDECAR
								       : PART_INIT;
}

static inline const struct container *
pod_part_named(const struct pod_spec *s, const char *name) /* or NULL */
{
	for (size_t i = 0; i < pod_parts(s); i++)
		if (str_is(pod_part(s, i)->name, name))
			return pod_part(s, i);
	return NULL;
}

static inline const struct container_port *
container_port_named(const struct container *c, const char *name, const char *protocol)
{
	for (size_t i = 0; i < c->ports.n; i++)
		if (str_is(c->ports.at[i].name, name) &&
		    str_is(c->ports.at[i].protocol, protocol))
			return &c->ports.at[i];
	return NULL;
}

/* What a port's name means in this pod, as Kubernetes' FindPort: among containers that go on,
 * the main ones first; NULL: none of them names it. */
static inline const struct container_port *
pod_part_port(const struct pod_spec *s, const char *name, const char *protocol)
{
	const struct container_port *p = NULL;

	for (size_t i = 0; i < s->containers.n && !p; i++)
		p = container_port_named(&s->containers.at[i], name, protocol);
	for (size_t i = 0; i < s->initContainers.n && !p; i++)
		if (pod_part_role(s, i) == PART_SIDECAR)
			p = container_port_named(&s->initContainers.at[i], name, protocol);
	return p;
}

/* The field of the spec that it stands in. */
static inline const char *
pod_part_list(const struct pod_spec *s, const char *name)
{
	for (size_t i = 0; i < s->initContainers.n; i++)
		if (str_is(s->initContainers.at[i].name, name))
			return "initContainers";
	for (size_t i = 0; i < s->ephemeralContainers.n; i++)
		if (str_is(s->ephemeralContainers.at[i].name, name))
			return "ephemeralContainers";
	return "containers";
}

static inline const struct container_status *
pod_part_status(const struct pod_status *st, const char *name) /* or NULL */
{
	for (size_t i = 0; st && i < st->initContainerStatuses.n; i++)
		if (str_is(st->initContainerStatuses.at[i].name, name))
			return &st->initContainerStatuses.at[i];
	for (size_t i = 0; st && i < st->containerStatuses.n; i++)
		if (str_is(st->containerStatuses.at[i].name, name))
			return &st->containerStatuses.at[i];
	for (size_t i = 0; st && i < st->ephemeralContainerStatuses.n; i++)
		if (str_is(st->ephemeralContainerStatuses.at[i].name, name))
			return &st->ephemeralContainerStatuses.at[i];
	return NULL;
}

/* What a container waits for; NULL: it does not. */
static inline const struct container_state_waiting *
pod_part_waiting(const struct pod_status *st, const char *name)
{
	const struct container_status *c = pod_part_status(st, name);

	return c && c->state ? c->state->waiting : NULL;
}

/* The status says that it waits, and why. */
static inline bool
pod_part_waits(const struct pod_status *st, const char *name, const char *reason)
{
	const struct container_state_waiting *w = pod_part_waiting(st, name);

	return w && str_is(w->reason, reason);
}
#endif
