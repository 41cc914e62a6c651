/* cli_dns.c -- `kedge dns NAME`: what a pod would be answered, and why.
 *
 * Why is the daemon's to say, who knows the cluster; the answers are the server's
 * own, asked as a pod would ask, so that both are seen when they differ.
 */
#include "../reconcile/base/arena.h"
#include "../reconcile/base/cleanup.h"
#include "../reconcile/base/error.h"
#include "../reconcile/base/ipv4.h"
#include "cli.h"
#include <arpa/inet.h>
#include <ldns/ldns.h>
#include <string.h>

enum { TIMEOUT_S = 6 };

static ldns_resolver *
resolver_new(const char *server)
{
	ldns_rdf *at = ldns_rdf_new_frm_str(
	    strchr(server, ':') ? LDNS_RDF_TYPE_AAAA : LDNS_RDF_TYPE_A, server);
	ldns_resolver *r = ldns_resolver_new();

	if (at && r)
		(void)ldns_resolver_push_nameserver(r, at);
	ldns_rdf_deep_free(at);
	if (r) {
		ldns_resolver_set_timeout(r, (struct timeval){ TIMEOUT_S, 0 });
		ldns_resolver_set_retry(r, 1);
		ldns_resolver_set_recursive(r, true);
	}
	return r;
}

static json_t *
records_json(struct cli_call *c, const ldns_rr_list *list)
{
	json_t *all = json_array();

	for (size_t i = 0; list && i < ldns_rr_list_rr_count(list); i++) {
		char *text = ldns_rr2str(ldns_rr_list_rr(list, i));
		char *line = arena_strdup(c->arena, text ? text : "");

		free(text);
		line[strcspn(line, "\n")] = 0;
		for (char *p = line; *p; p++)
			*p = *p == '\t' ? ' ' : *p;
		cli_tame_text(line);
		json_array_append_new(all, json_string(line));
	}
	return all;
}

static const char *
rcode_text(struct cli_call *c, const ldns_pkt *p)
{
	char *text = ldns_pkt_rcode2str(ldns_pkt_get_rcode(p));
	const char *copy = arena_strdup(c->arena, text ? text : "?");

	free(text);
	return copy;
}

/* One name: its records and what came of it go into `one`. */
static int
ask(struct cli_call *c, ldns_resolver *r, ldns_rr_type type, json_t *one, bool *ret_found,
    struct error **e)
{
	const char *name = cli_at(c, one, "name"), *outcome;
	ldns_rdf *owner = ldns_dname_new_frm_str(name);
	ldns_pkt *p = NULL;
	ldns_status rc;

	if (!owner)
		return fail(e, WHY_BAD_REQUEST, "\"%s\" is not a name DNS has room for", name);
	rc = ldns_resolver_query_status(&p, r, owner, type, LDNS_RR_CLASS_IN, LDNS_RD);
	ldns_rdf_deep_free(owner);
	if (rc != LDNS_STATUS_OK || !p)
		return fail(e, WHY_UNAVAILABLE, "the DNS server does not answer: %s",
			    ldns_get_errorstr_by_id(rc));
	*ret_found = ldns_pkt_get_rcode(p) == LDNS_RCODE_NOERROR && ldns_pkt_ancount(p);
	outcome = rcode_text(c, p);
	if (!strcmp(outcome, "NOERROR") && !*ret_found)
		outcome = "no record of this type";
	json_object_set_new(one, "outcome", json_string(outcome));
	json_object_set_new(one, "records", records_json(c, ldns_pkt_answer(p)));
	ldns_pkt_free(p);
	return 0;
}

static void
one_print(struct cli_call *c, json_t *one, bool found)
{
	json_t *record;
	size_t i;

	fprintf(c->out, "%s\n  %s: %s\n", cli_at(c, one, "name"),
		cli_paint(c, found ? GREEN : YELLOW, cli_at(c, one, "outcome")),
		cli_at(c, one, "why"));
	json_array_foreach(json_object_get(one, "records"), i, record)
		fprintf(c->out, "  %s\n", json_string_value(record));
}

/* An address is looked up backwards. */
static const char *
name_of(struct cli_call *c, ldns_rr_type *type)
{
	uint32_t ip;

	if (*type || !ipv4_read(c->args[0], &ip)) {
		*type = *type ? *type : LDNS_RR_TYPE_A;
		return c->args[0];
	}
	*type = LDNS_RR_TYPE_PTR;
	return arena_printf(c->arena, "%u.%u.%u.%u.in-addr.arpa.", ip & 255, ip >> 8 & 255,
			    ip >> 16 & 255, ip >> 24);
}

static int
names_ask(struct cli_call *c, json_t *answer, ldns_rr_type type, bool *ret_found,
	  struct error **e)
{
	json_t *names = json_object_get(answer, "names"), *one;
	bool quiet = cli_opt(c, OPT_output);
	ldns_resolver *r = resolver_new(cli_at(c, answer, "server"));
	size_t i;
	int rc = r ? 0 : fail(e, WHY_INTERNAL, "no memory");

	json_array_foreach(names, i, one) {
		if (rc < 0 || *ret_found)
			break;
		rc = ask(c, r, type, one, ret_found, e);
		if (!rc && !quiet)
			one_print(c, one, *ret_found);
	}
	/* what was not asked for is not told of */
	while (json_array_size(names) > i)
		json_array_remove(names, i);
	if (r)
		ldns_resolver_deep_free(r);
	return rc;
}

int
cli_dns(struct cli_call *c, struct error **e)
{
	const char *word = cli_opt(c, OPT_type), *name;
	ldns_rr_type type = word ? ldns_get_rr_type_by_name(word) : 0;
	cleanup_buf struct buf path = { 0 };
	bool found = false;
	json_t *answer;
	int rc;

	if (word && !type)
		return fail(e, WHY_BAD_REQUEST, "--type %s: there is no such type of record",
			    word);
	name = name_of(c, &type);
	buf_adds(&path, "/kedge/dns");
	cli_query(&path, "name", name);
	cli_query(&path, "namespace", cli_namespace(c));
	answer = cli_json(c, "GET", path.at, NULL, NULL, e);
	if (!answer)
		return -1;
	rc = names_ask(c, answer, type, &found, e);
	if (!rc)
		cli_print_json(c, answer);
	json_decref(answer);
	return rc ? rc : !found;
}
