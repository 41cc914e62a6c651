/* cli_kubeconfig.c -- `kedge kubeconfig`: a key made here, which nobody else ever sees, and
 * the daemon's certificate for it.
 */
#include "../reconcile/base/base64.h"
#include "cli.h"
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <string.h>

/* Both PEM, in the arena. */
static int
key_and_request(struct arena *a, const char **ret_key, const char **ret_request,
		struct error **e)
{
	gnutls_x509_privkey_t key = NULL;
	gnutls_x509_crq_t crq = NULL;
	gnutls_datum_t k = { 0 }, r = { 0 };
	int rc = gnutls_x509_privkey_init(&key);

	if (rc >= 0)
		rc = gnutls_x509_privkey_generate(
		    key, GNUTLS_PK_ECDSA, GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0);
	if (rc >= 0)
		rc = gnutls_x509_crq_init(&crq);
	if (rc >= 0)
		rc = gnutls_x509_crq_set_key(crq, key);
	if (rc >= 0)
		rc = gnutls_x509_crq_sign2(crq, key, GNUTLS_DIG_SHA256, 0);
	if (rc >= 0)
		rc = gnutls_x509_crq_export2(crq, GNUTLS_X509_FMT_PEM, &r);
	if (rc >= 0)
		rc = gnutls_x509_privkey_export2_pkcs8(key, GNUTLS_X509_FMT_PEM, NULL,
						       GNUTLS_PKCS_PLAIN, &k);
	if (rc >= 0) {
		*ret_key = arena_strndup(a, (char *)k.data, k.size);
		*ret_request = arena_strndup(a, (char *)r.data, r.size);
	}
	gnutls_free(k.data);
	gnutls_free(r.data);
	if (crq)
		gnutls_x509_crq_deinit(crq);
	if (key)
		gnutls_x509_privkey_deinit(key);
	return rc < 0 ? fail(e, WHY_INTERNAL, "make a key: %s", gnutls_strerror(rc)) : 0;
}

static const char *
path_of(struct cli_call *c, const char *user, int64_t seconds)
{
	cleanup_buf struct buf path = { 0 };
	const char *group;
	size_t at = 0;

	buf_adds(&path, "/kedge/certificates");
	cli_query(&path, "user", user);
	while ((group = cli_opt_next(c, OPT_group, &at)))
		cli_query(&path, "group", group);
	if (!cli_opt(c, OPT_user) && !cli_opt(c, OPT_group))
		cli_query(&path, "group", "system:masters");
	cli_query(&path, "seconds", arena_printf(c->arena, "%lld", (long long)seconds));
	return arena_strdup(c->arena, buf_text(&path));
}

static const char *
encoded(struct cli_call *c, const char *text)
{
	return base64_text(text, strlen(text), c->arena);
}

static void
print(struct cli_call *c, json_t *answer, const char *user, const char *key)
{
	const char *server = cli_opt(c, OPT_server);
	cleanup_buf struct buf text = { 0 };
	json_t *j = json_pack(
	    "{s:s, s:s, s:[{s:s, s:{s:s, s:s}}], s:[{s:s, s:{s:s, s:s}}], s:[{s:s, s:{s:s, "
	    "s:s}}], s:s}",
	    "apiVersion", "v1", "kind", "Config", "clusters", "name", "kedge", "cluster",
	    "server", server ? server : cli_at(c, answer, "server"),
	    "certificate-authority-data", encoded(c, cli_at(c, answer, "authority")), "users",
	    "name", user, "user", "client-certificate-data",
	    encoded(c, cli_at(c, answer, "certificate")), "client-key-data", encoded(c, key),
	    "contexts", "name", "kedge", "context", "cluster", "kedge", "user", user,
	    "current-context", "kedge");

	cli_yaml(j, &text);
	fputs(buf_text(&text), c->out);
	json_decref(j);
}

int
cli_kubeconfig(struct cli_call *c, struct error **e)
{
	const char *user = cli_opt(c, OPT_user), *life = cli_opt(c, OPT_duration);
	const char *key = NULL, *request = NULL;
	int64_t ms = cli_duration(life ? life : "8760h");
	json_t *answer;

	user = user ? user : "kedge-admin";
	if (ms < 0)
		return fail(e, WHY_BAD_REQUEST, "--duration %s: write it as 90s, 12h or 8760h",
			    life);
	if (key_and_request(c->arena, &key, &request, e) < 0)
		return -1;
	answer = cli_json(c, "POST", path_of(c, user, ms / 1000), NULL, request, e);
	if (!answer)
		return -1;
	print(c, answer, user, key);
	json_decref(answer);
	return 0;
}
