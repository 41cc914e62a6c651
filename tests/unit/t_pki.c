/* t_pki.c -- the authority, what it signs, and what is left when a life ends half-way. */
#include "reads.h"

#include "daemon/files.h"
#include "daemon/pki.h"
#include "daemon/pki_cert.h"
#include "reconcile/base/arena.h"
#include "reconcile/base/buf.h"
#include "reconcile/base/cleanup.h"
#include "reconcile/base/error.h"
#include "reconcile/user.h"
#include <gnutls/abstract.h>
#include <gnutls/x509.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define DAY (INT64_C(24) * 3600 * 1000)
#define NOW INT64_C(1800000000000)

static const char *const names[] = {
	"node", "localhost", "127.0.0.1", "10.43.0.1", "kubernetes.default.svc.cluster.local",
	NULL
};

struct world {
	char dir[64];
	struct arena arena;
};

static int
set_up(void **state)
{
	struct world *w = xcalloc(1, sizeof *w);

	snprintf(w->dir, sizeof w->dir, "/tmp/kedge-pki.XXXXXX");
	assert_non_null(mkdtemp(w->dir));
	strcat(w->dir, "/pki");
	*state = w;
	return 0;
}

static int
tear_down(void **state)
{
	struct world *w = *state;
	cleanup_free char *line = NULL;

	*strrchr(w->dir, '/') = 0;
	xasprintf(&line, "rm -rf %s", w->dir);
	assert_int_equal(system(line), 0);
	arena_free(&w->arena);
	free(w);
	return 0;
}

static struct pki *
opened(struct world *w, const char *const *for_names, int64_t now)
{
	const struct pki_settings s = { .dir = w->dir, .names = for_names };
	cleanup_error struct error *e = NULL;
	struct pki *p = NULL;

	if (pki_open(&s, now, &p, &e) < 0)
		fail_msg("%s", error_text(e));
	return p;
}

/* A file of the folder; "" when there is none. */
static const char *
file(struct world *w, const char *name)
{
	cleanup_buf struct buf b = { 0 };

	(void)file_read(arena_printf(&w->arena, "%s/%s", w->dir, name), 1 << 20, &b, NULL);
	return arena_strdup(&w->arena, buf_text(&b));
}

static void
put(struct world *w, const char *name, const char *text)
{
	cleanup_fclose FILE *f = fopen(arena_printf(&w->arena, "%s/%s", w->dir, name), "we");

	assert_non_null(f);
	fputs(text, f);
}

/* until when a certificate is good */
static int64_t
ends(const char *pem)
{
	const gnutls_datum_t d = { (unsigned char *)pem, (unsigned)strlen(pem) };
	gnutls_x509_crt_t c;
	int64_t at;

	assert_int_equal(gnutls_x509_crt_init(&c), 0);
	assert_int_equal(gnutls_x509_crt_import(c, &d, GNUTLS_X509_FMT_PEM), 0);
	at = (int64_t)gnutls_x509_crt_get_expiration_time(c) * 1000;
	gnutls_x509_crt_deinit(c);
	return at;
}

static void
all_of_it_is_made_once_and_for_the_brain_alone(void **state)
{
	static const char *const files[] = { "ca.pem", "ca.crt", "serving.pem", "tokens.key",
					     "tokens.csv" };
	struct world *w = *state;
	const char *was[5];
	struct stat st;

	pki_close(opened(w, names, NOW));
	assert_int_equal(stat(w->dir, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0700);
	for (int i = 0; i < 5; i++) {
		assert_int_equal(stat(arena_printf(&w->arena, "%s/%s", w->dir, files[i]), &st),
				 0);
		assert_int_equal(st.st_mode & 0777, 0600);
		was[i] = file(w, files[i]);
	}
	pki_close(opened(w, names, NOW + DAY));
	for (int i = 0; i < 5; i++)
		assert_string_equal(file(w, files[i]), was[i]);
}

static void
the_certificate_is_made_anew_in_time_and_for_other_names(void **state)
{
	static const char *const fewer[] = { "node", "localhost", NULL };
	struct world *w = *state;
	struct pki *p = opened(w, names, NOW);
	cleanup_free char *first = xstrdup(pki_serving_cert(p)), *ca = xstrdup(pki_ca(p));
	bool new;

	assert_int_equal(pki_renew(p, NOW + 200 * DAY, &new, NULL), 0);
	assert_false(new);
	assert_int_equal(pki_renew(p, NOW + 300 * DAY, &new, NULL), 0);
	assert_true(new);
	assert_string_not_equal(pki_serving_cert(p), first);
	assert_true(ends(pki_serving_cert(p)) > NOW + 600 * DAY);
	assert_string_equal(pki_ca(p), ca);
	pki_close(p);
	first = (free(first), xstrdup(file(w, "serving.pem")));
	p = opened(w, fewer, NOW + 300 * DAY);
	assert_string_not_equal(file(w, "serving.pem"), first);
	/* a clock that was set back */
	assert_int_equal(pki_renew(p, NOW - 400 * DAY, &new, NULL), 0);
	assert_true(new);
	pki_close(p);
}

/* Does a client that has this authority's certificate trust that one? */
static bool
trusts(const char *ca, const char *leaf, const char *name)
{
	gnutls_datum_t a = { (void *)ca, (unsigned)strlen(ca) };
	gnutls_datum_t b = { (void *)leaf, (unsigned)strlen(leaf) };
	gnutls_x509_trust_list_t list;
	gnutls_x509_crt_t crt;
	gnutls_typed_vdata_st data[] = {
		{ GNUTLS_DT_DNS_HOSTNAME, (void *)name, 0 },
		{ GNUTLS_DT_KEY_PURPOSE_OID, (void *)GNUTLS_KP_TLS_WWW_SERVER, 0 },
	};
	unsigned how = 1;

	assert_int_equal(gnutls_x509_trust_list_init(&list, 0), 0);
	assert_int_equal(
	    gnutls_x509_trust_list_add_trust_mem(list, &a, NULL, GNUTLS_X509_FMT_PEM, 0, 0), 1);
	assert_int_equal(gnutls_x509_crt_init(&crt), 0);
	assert_int_equal(gnutls_x509_crt_import(crt, &b, GNUTLS_X509_FMT_PEM), 0);
	(void)gnutls_x509_trust_list_verify_crt2(list, &crt, 1, data, 2,
						 GNUTLS_VERIFY_DISABLE_TIME_CHECKS |
						     GNUTLS_VERIFY_DISABLE_TRUSTED_TIME_CHECKS,
						 &how, NULL);
	gnutls_x509_crt_deinit(crt);
	gnutls_x509_trust_list_deinit(list, 1);
	return !how;
}

static void
who_trusts_the_old_authority_trusts_the_renewed_one(void **state)
{
	struct world *w = *state;
	struct pki *p = opened(w, names, NOW);
	cleanup_free char *ca = xstrdup(pki_ca(p));
	bool new;

	assert_true(trusts(ca, pki_serving_cert(p), "localhost"));
	assert_true(trusts(ca, pki_serving_cert(p), "kubernetes.default.svc.cluster.local"));
	assert_false(trusts(ca, pki_serving_cert(p), "example.com"));
	assert_int_equal(pki_renew(p, NOW + 9 * 365 * DAY, &new, NULL), 0);
	assert_true(new);
	assert_string_not_equal(pki_ca(p), ca);
	assert_string_equal(pki_ca(p), file(w, "ca.crt"));
	assert_true(trusts(ca, pki_serving_cert(p), "localhost"));
	assert_true(trusts(pki_ca(p), pki_serving_cert(p), "localhost"));
	pki_close(p);
}

/* the authority in ca.pem, as one that says another's key signed it */
static void
confuse(struct world *w)
{
	cleanup_buf struct buf out = { 0 };
	const char *pem = file(w, "ca.pem");
	struct cert c = { 0 };
	unsigned char id[64] = { 0 };
	cleanup_free char *cn = NULL;
	gnutls_x509_crt_t bad;
	size_t n = sizeof id;

	assert_int_equal(cert_read(pem, strlen(pem), &c, NULL), 0);
	cn = cert_cn(&c);
	assert_true(gnutls_x509_crt_init(&bad) >= 0);
	assert_true(gnutls_x509_crt_set_version(bad, 3) >= 0);
	assert_true(gnutls_x509_crt_set_serial(bad, "\1", 1) >= 0);
	assert_true(gnutls_x509_crt_set_dn(bad, arena_printf(&w->arena, "CN=%s", cn), NULL) >=
		    0);
	assert_true(gnutls_x509_crt_set_activation_time(bad, c.begins / 1000) >= 0);
	assert_true(gnutls_x509_crt_set_expiration_time(bad, c.ends / 1000) >= 0);
	assert_true(gnutls_x509_crt_set_basic_constraints(bad, 1, -1) >= 0);
	assert_true(gnutls_x509_crt_set_key(bad, c.key) >= 0);
	assert_true(gnutls_x509_crt_get_key_id(bad, 0, id, &n) >= 0);
	assert_true(gnutls_x509_crt_set_subject_key_id(bad, id, n) >= 0);
	assert_true(gnutls_x509_crt_set_authority_key_id(bad, id, sizeof id) >= 0);
	assert_true(gnutls_x509_crt_sign2(bad, bad, c.key, GNUTLS_DIG_SHA256, 0) >= 0);
	gnutls_x509_crt_deinit(c.crt);
	c.crt = bad;
	assert_int_equal(cert_print(&c, &out, NULL), 0);
	put(w, "ca.pem", buf_text(&out));
	cert_done(&c);
}

/* OpenSSL wants the authority of one whose key's name is not its authority's key's. */
static void
the_authority_says_that_it_signed_itself(void **state)
{
	struct world *w = *state;
	cleanup_free char *ca = NULL;
	struct cert c = { 0 };
	const char *pem;

	pki_close(opened(w, names, NOW));
	pem = file(w, "ca.pem");
	assert_int_equal(cert_read(pem, strlen(pem), &c, NULL), 0);
	assert_true(cert_names_its_key(&c));
	cert_done(&c);
	ca = xstrdup(file(w, "ca.crt"));
	confuse(w);
	pki_close(opened(w, names, NOW));
	pem = file(w, "ca.pem");
	assert_int_equal(cert_read(pem, strlen(pem), &c, NULL), 0);
	assert_true(cert_names_its_key(&c));
	cert_done(&c);
	assert_true(trusts(ca, file(w, "serving.pem"), "localhost"));
}

static void
an_authority_that_cannot_be_read_is_never_replaced(void **state)
{
	struct world *w = *state;
	const struct pki_settings s = { .dir = w->dir, .names = names };
	static const char *const broken[] = { "ca.pem", "tokens.key" };
	const char *was;

	pki_close(opened(w, names, NOW));
	for (int i = 0; i < 2; i++) {
		cleanup_error struct error *e = NULL;
		struct pki *p = NULL;

		was = file(w, broken[i]);
		put(w, broken[i], arena_strndup(&w->arena, was, strlen(was) / 2));
		assert_int_equal(pki_open(&s, NOW, &p, &e), -1);
		assert_non_null(strstr(error_text(e), broken[i]));
		assert_int_equal(strlen(file(w, broken[i])), strlen(was) / 2);
		put(w, broken[i], was);
	}
	/* what only we use is another matter */
	put(w, "serving.pem", "nonsense");
	pki_close(opened(w, names, NOW));
	assert_non_null(strstr(file(w, "serving.pem"), "BEGIN CERTIFICATE"));
}

/* ---- clients ---- */

static const char *
request(struct arena *a)
{
	gnutls_x509_privkey_t key;
	gnutls_x509_crq_t crq;
	gnutls_datum_t pem;
	const char *out;

	assert_int_equal(gnutls_x509_privkey_init(&key), 0);
	assert_int_equal(
	    gnutls_x509_privkey_generate(key, GNUTLS_PK_ECDSA,
					 GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0),
	    0);
	assert_int_equal(gnutls_x509_crq_init(&crq), 0);
	/* what it says of itself does not count */
	gnutls_x509_crq_set_dn_by_oid(crq, GNUTLS_OID_X520_COMMON_NAME, 0, "root", 4);
	gnutls_x509_crq_set_key(crq, key);
	assert_int_equal(gnutls_x509_crq_sign2(crq, key, GNUTLS_DIG_SHA256, 0), 0);
	assert_int_equal(gnutls_x509_crq_export2(crq, GNUTLS_X509_FMT_PEM, &pem), 0);
	out = arena_strndup(a, (char *)pem.data, pem.size);
	gnutls_free(pem.data);
	gnutls_x509_crq_deinit(crq);
	gnutls_x509_privkey_deinit(key);
	return out;
}

static int
whose(const struct pki *p, const char *pem, int64_t now, struct arena *a, struct user *u,
      struct error **e)
{
	gnutls_datum_t d = { (void *)pem, (unsigned)strlen(pem) }, der;
	int rc;

	assert_int_equal(gnutls_pem_base64_decode2(NULL, &d, &der), 0);
	rc = pki_client(p, der.data, der.size, now, a, u, e);
	gnutls_free(der.data);
	return rc;
}

static void
a_client_is_who_its_certificate_says(void **state)
{
	struct world *w = *state;
	struct pki *p = opened(w, names, NOW);
	const char *const groups[] = { "dev", "ops" };
	const struct user alice = { "alice", "", groups, 2 };
	cleanup_buf struct buf pem = { 0 };
	const char *crq = request(&w->arena);
	struct user u = { 0 };

	assert_int_equal(pki_sign_client(p, crq, strlen(crq), &alice, NOW, DAY, &pem, NULL), 0);
	assert_int_equal(whose(p, buf_text(&pem), NOW, &w->arena, &u, NULL), 0);
	assert_string_equal(u.name, "alice");
	assert_int_equal(u.ngroups, 3);
	assert_string_equal(u.groups[0], "dev");
	assert_string_equal(u.groups[1], "ops");
	assert_string_equal(u.groups[2], "system:authenticated");
	pki_close(p);
}

static void
what_is_no_clients_certificate_is_refused(void **state)
{
	struct world *w = *state;
	struct pki *p = opened(w, names, NOW);
	const struct user alice = { "alice", "", NULL, 0 };
	cleanup_buf struct buf pem = { 0 }, foreign = { 0 };
	const char *crq = request(&w->arena), *dir = arena_strdup(&w->arena, w->dir);
	struct user u = { 0 };
	struct pki *other;

	strcpy(w->dir + strlen(w->dir) - 1, "2");
	other = opened(w, names, NOW);
	strcpy(w->dir, dir);
	assert_int_equal(pki_sign_client(p, crq, strlen(crq), &alice, NOW, DAY, &pem, NULL), 0);
	assert_int_equal(
	    pki_sign_client(other, crq, strlen(crq), &alice, NOW, DAY, &foreign, NULL), 0);
	const struct {
		const char *pem, *why;
		int64_t now;
	} rows[] = {
		{ buf_text(&pem), "expired", NOW + DAY },
		{ buf_text(&pem), "not valid yet", NOW - DAY },
		{ buf_text(&foreign), "did not sign", NOW },
		{ pki_serving_cert(p), "not for a client", NOW },
		{ pki_ca(p), "not for a client", NOW },
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		cleanup_error struct error *e = NULL;

		assert_int_equal(whose(p, rows[i].pem, rows[i].now, &w->arena, &u, &e), -1);
		assert_int_equal(e->why, WHY_UNAUTHORIZED);
		if (!strstr(error_text(e), rows[i].why))
			fail_msg("%s, not %s", error_text(e), rows[i].why);
	}
	assert_int_equal(pki_client(p, "xx", 2, NOW, &w->arena, &u, NULL), -1);
	assert_int_equal(pki_sign_client(p, "xx", 2, &alice, NOW, DAY, &pem, NULL), -1);
	pki_close(other);
	pki_close(p);
}

static void
static_tokens_are_read_as_kubernetes_reads_them(void **state)
{
	struct world *w = *state;
	struct pki *p = opened(w, names, NOW);
	const char *admin = file(w, "tokens.csv");
	struct user u = { 0 };

	admin = arena_strndup(&w->arena, admin, strcspn(admin, ","));
	assert_true(pki_static_token(p, admin, &u));
	assert_string_equal(u.name, "kedge-admin");
	assert_string_equal(u.groups[0], "system:masters");
	assert_false(pki_static_token(p, "", &u));
	assert_false(pki_static_token(p, "nonsense", &u));
	pki_close(p);
	put(w, "tokens.csv",
	    "t1,ann,u1\nt2,\"bob, \"\"b\"\"\",u2,\"dev,ops\"\r\n# no\nt3,only\n,x,y\n");
	p = opened(w, names, NOW);
	assert_false(pki_static_token(p, admin, &u));
	assert_true(pki_static_token(p, "t1", &u));
	assert_string_equal(u.name, "ann");
	assert_string_equal(u.uid, "u1");
	assert_int_equal(u.ngroups, 1);
	assert_true(pki_static_token(p, "t2", &u));
	assert_string_equal(u.name, "bob, \"b\"");
	assert_string_equal(u.groups[1], "ops");
	assert_int_equal(u.ngroups, 3);
	assert_false(pki_static_token(p, "t3", &u));
	assert_false(pki_static_token(p, "", &u));
	pki_close(p);
}

/* Killed at moments that a seed chooses, from before the folder until after the last file. */
static void
killed_while_it_makes_them_the_next_life_finds_its_way(void **state)
{
	struct world *w = *state;
	unsigned seed = 7;

	for (int i = 0; i < 40; i++) {
		const char *ca = file(w, "ca.crt"), *key = file(w, "tokens.key");
		cleanup_free char *line = NULL;
		pid_t pid = fork();
		int status;

		if (!pid) {
			opened(w, names, NOW);
			_exit(0);
		}
		usleep(rand_r(&seed) % 4000);
		kill(pid, SIGKILL);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		/* what was there whole is there still */
		if (*ca)
			assert_string_equal(file(w, "ca.crt"), ca);
		if (*key)
			assert_string_equal(file(w, "tokens.key"), key);
		pki_close(opened(w, names, NOW));
		assert_non_null(strstr(file(w, "serving.pem"), "END CERTIFICATE"));
		xasprintf(&line, "rm -rf %s", w->dir);
		if (i % 2)
			assert_int_equal(system(line), 0);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define P(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)
		P(all_of_it_is_made_once_and_for_the_brain_alone),
		P(the_certificate_is_made_anew_in_time_and_for_other_names),
		P(who_trusts_the_old_authority_trusts_the_renewed_one),
		P(the_authority_says_that_it_signed_itself),
		P(an_authority_that_cannot_be_read_is_never_replaced),
		P(a_client_is_who_its_certificate_says),
		P(what_is_no_clients_certificate_is_refused),
		P(static_tokens_are_read_as_kubernetes_reads_them),
		P(killed_while_it_makes_them_the_next_life_finds_its_way),
#undef P
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
