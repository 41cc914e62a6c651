/* apply_claims.c -- node ports and cluster addresses that two services want.
 *
 * Only what is stated or already allocated counts; what is still to be
 * allocated is service.c's choice and cannot clash.
 */
#include "apply.h"
#include "base/addr.h"
#include "base/arena.h"
#include "base/ipv4.h"
#include "base/map.h"
#include "controllers.h"
#include "service.h"
#include "snapshot.h"
#include <inttypes.h>
#include <string.h>

struct apply_claims {
	const struct settings *settings;
	struct complaints *c;
	struct arena *a;
	struct map ports;     /* "30080/TCP" -> who */
	struct map addresses; /* "10.43.0.9" -> who */
	bool clash;
};

struct apply_claims *
apply_claims_new(const struct settings *settings, struct complaints *c, struct arena *a)
{
	struct apply_claims *cs = arena_zalloc(a, sizeof *cs);

	cs->settings = settings;
	cs->c = c;
	cs->a = a;
	return cs;
}

void
apply_claims_done(struct apply_claims *cs)
{
	map_done(&cs->ports);
	map_done(&cs->addresses);
}

bool
apply_claims_clash(const struct apply_claims *cs)
{
	return cs->clash;
}

static const char *
who_is(const struct manifest *m, const struct service *svc, const char *field, struct arena *a)
{
	const char *place = object_annotation(svc, ANNOTATION_PLACE);
	int line, col;

	if (m) {
		manifest_at(m, field, &line, &col);
		return arena_printf(a, "service %s (%s:%d:%d)", object_path(svc, a), m->path,
				    line, col);
	}
	return arena_printf(a, "service %s (%s)", object_path(svc, a),
			    place ? place : "not from Git");
}

static void
claim_port(struct apply_claims *cs, const struct manifest *m, const struct service *svc,
	   size_t i)
{
	const struct service_port *port = &svc->spec->ports.at[i];
	const struct settings *set = cs->settings;
	const char *key = arena_printf(cs->a, "%" PRId64 "/%s", port->nodePort,
				       port->protocol ? port->protocol : "TCP");
	const char *field = arena_printf(cs->a, "spec.ports[%zu].nodePort", i);
	const char *other = map_get(&cs->ports, key);

	if (!other)
		map_put(&cs->ports, key, (void *)who_is(m, svc, field, cs->a));
	cs->clash |= m && other;
	if (m && other)
		apply_complain(cs->c, m, field,
			       arena_printf(cs->a,
					    "Invalid value: %" PRId64
					    ": provided port is already allocated, by %s",
					    port->nodePort, other));
	if (m && set &&
	    (port->nodePort < set->node_port_lo || port->nodePort > set->node_port_hi))
		apply_complain(
		    cs->c, m, field,
		    arena_printf(cs->a,
				 "Invalid value: %" PRId64
				 ": provided port is not in the valid range. The range of "
				 "valid ports is %d-%d",
				 port->nodePort, set->node_port_lo, set->node_port_hi));
}

static void
say_outside(struct apply_claims *cs, const struct manifest *m, const char *field,
	    const char *ip, struct addr_range r)
{
	apply_complain(cs->c, m, field,
		       arena_printf(cs->a,
				    "Invalid value: \"%s\": provided IP is not in the valid "
				    "range. The range of valid IPs is %s",
				    ip, addr_range_text(r, cs->a)));
}

static void
claim_range6(struct apply_claims *cs, const struct manifest *m, const char *field,
	     const char *ip)
{
	const struct addr_range *r = &cs->settings->svcs6;
	addr address;

	/* Without a range the family is what is wrong.  (What does not read is of ::/96.) */
	if (r->bits &&
	    (!addr_read(ip, &address) || !addr_within(address, *r) || address == r->net))
		say_outside(cs, m, field, ip, *r);
}

static void
claim_address(struct apply_claims *cs, const struct manifest *m, const struct service *svc,
	      const char *field, const char *ip)
{
	addr number;
	/* one spelling for one address: fd43::7 is fd43:0::7 */
	const char *key = addr_read(ip, &number) ? addr_text(number, cs->a) : ip,
		   *other = map_get(&cs->addresses, key);
	const struct settings *set = cs->settings;
	const char *whose;
	uint32_t address, mask;

	if (!other)
		map_put(&cs->addresses, key, (void *)who_is(m, svc, field, cs->a));
	cs->clash |= m && other;
	if (m && other)
		apply_complain(cs->c, m, field,
			       arena_printf(cs->a,
					    "Invalid value: \"%s\": provided IP is "
					    "already allocated, by %s",
					    ip, other));
	if (m && set && addr_text_is_v6(ip))
		claim_range6(cs, m, field, ip);
	if (!m || !set || !set->svcs.bits || !ipv4_read(ip, &address))
		return;
	whose = service_reserved(set, svc, address);
	if (whose && !other)
		apply_complain(cs->c, m, field,
			       arena_printf(cs->a,
					    "Invalid value: \"%s\": provided IP is "
					    "already allocated, by %s",
					    ip, whose));
	mask = ~UINT32_C(0) << (32 - set->svcs.bits);
	/* The first and the last are the network's own. */
	if (!ipv4_within(address, set->svcs.net, set->svcs.bits) || !(address & ~mask) ||
	    !(~address & ~mask))
		say_outside(cs, m, field, ip, settings_services(set, false));
}

/* They take packets for an address that may be another's: the operator's to allow. */
static void
check_external(struct apply_claims *cs, const struct manifest *m, const struct service *svc)
{
	addr address;

	for (size_t i = 0; i < svc->spec->externalIPs.n; i++) {
		const char *ip = svc->spec->externalIPs.at[i];

		if (!addr_read(ip, &address) ||
		    !address_allowed(&cs->settings->external, address))
			apply_complain(cs->c, m, "spec.externalIPs",
				       arena_printf(cs->a,
						    "Forbidden: %s is not among "
						    "allow.externalIPs of kedge.yaml",
						    ip));
	}
}

struct saying {
	struct apply_claims *cs;
	const struct manifest *m;
};

static void
say(void *ctx, const char *field, const char *words)
{
	const struct saying *s = ctx;

	apply_complain(s->cs->c, s->m, field, words);
}

void
apply_claim(struct apply_claims *cs, const struct manifest *m, const struct service *svc)
{
	struct saying saying = { cs, m };

	if (!svc->spec)
		return;
	if (m && cs->settings) {
		check_external(cs, m, svc);
		service_families_check(cs->settings, svc, say, &saying, cs->a);
	}
	for (size_t i = 0; i < svc->spec->ports.n; i++)
		if (svc->spec->ports.at[i].nodePort)
			claim_port(cs, m, svc, i);
	for (int v6 = 0; v6 < 2; v6++) {
		const char *ip = service_address_said(svc, v6);

		if (ip)
			claim_address(cs, m, svc,
				      v6 == service_family_first(svc) ? "spec.clusterIP"
								      : "spec.clusterIPs[1]",
				      ip);
	}
}
