/* t_jwt.c -- tokens: what was signed is accepted, and nothing else ever is. */
#include "reads.h"

#include "daemon/jwt.h"
#include "reconcile/base/arena.h"
#include "reconcile/base/base64.h"
#include "reconcile/base/buf.h"
#include "reconcile/base/error.h"
#include <jansson.h>
#include <string.h>

enum { NOW = 1800000000 };

struct world {
	struct jwt_key *key, *other;
	struct arena arena;
};

static struct jwt_key *
new_key(void)
{
	cleanup_error struct error *e = NULL;
	cleanup_buf struct buf pem = { 0 };
	struct jwt_key *k = NULL;

	assert_int_equal(jwt_key_make(&pem, &e), 0);
	assert_int_equal(jwt_key_read(pem.at, pem.len, &k, &e), 0);
	return k;
}

static int
set_up(void **state)
{
	static struct world w;

	w = (struct world){ .key = new_key(), .other = new_key() };
	*state = &w;
	return 0;
}

static int
tear_down(void **state)
{
	struct world *w = *state;

	jwt_key_free(w->key);
	jwt_key_free(w->other);
	arena_free(&w->arena);
	return 0;
}

static json_t *
claims(json_int_t begins, json_int_t ends)
{
	return json_pack("{s:s, s:s, s:I, s:I, s:I}", "iss", "kedge", "sub", "somebody", "iat",
			 begins, "nbf", begins, "exp", ends);
}

/* Takes the claims. */
static const char *
signed_by(struct world *w, const struct jwt_key *k, json_t *c)
{
	cleanup_error struct error *e = NULL;
	cleanup_buf struct buf b = { 0 };

	assert_int_equal(jwt_sign(k, c, &b, &e), 0);
	json_decref(c);
	return arena_strdup(&w->arena, buf_text(&b));
}

static const char *
good(struct world *w)
{
	return signed_by(w, w->key, claims(NOW - 10, NOW + 600));
}

/* "" when it is accepted */
static const char *
verdict(struct world *w, const char *token)
{
	cleanup_error struct error *e = NULL;
	json_t *c = jwt_check(w->key, token, NOW, &e);

	assert_true(!c == !!e);
	if (e)
		assert_int_equal(e->why, WHY_UNAUTHORIZED);
	json_decref(c);
	return e ? arena_strdup(&w->arena, error_text(e)) : "";
}

static const char *
url(struct world *w, const char *text)
{
	char *out = arena_strdup(&w->arena, base64_text(text, strlen(text), &w->arena));

	for (char *p = out; *p; p++)
		*p = *p == '+' ? '-' : *p == '/' ? '_' : *p;
	out[strcspn(out, "=")] = 0;
	return out;
}

/* Its header (or claims) replaced, the rest as it was. */
static const char *
with_head(struct world *w, const char *token, const char *head)
{
	return arena_printf(&w->arena, "%s%s", url(w, head), strchr(token, '.'));
}

static const char *
with_claims(struct world *w, const char *token, const char *body)
{
	const char *dot = strchr(token, '.');

	return arena_printf(&w->arena, "%.*s.%s%s", (int)(dot - token), token, url(w, body),
			    strchr(dot + 1, '.'));
}

static void
what_was_signed_is_accepted(void **state)
{
	struct world *w = *state;

	/* r and s begin with zeros, or with their high bit set, every so often */
	for (int i = 0; i < 600; i++)
		assert_string_equal(
		    verdict(w, signed_by(w, w->key, claims(NOW - i, NOW + 1 + i))), "");
}

static void
its_claims_come_back(void **state)
{
	struct world *w = *state;
	json_t *c = jwt_check(w->key, good(w), NOW, NULL);

	assert_string_equal(json_string_value(json_object_get(c, "sub")), "somebody");
	json_decref(c);
}

/* the name of the key that signed it, out of its head */
static const char *
key_id(struct world *w, const char *token)
{
	size_t n = strcspn(token, ".");
	char *head =
	    arena_printf(&w->arena, "%.*s%s", (int)n, token, &"===="[n % 4 ? n % 4 : 4]);
	const char *text, *id;

	for (char *p = head; *p; p++)
		*p = *p == '-' ? '+' : *p == '_' ? '/' : *p;
	text = base64_bytes(head, &w->arena, &n);
	assert_non_null(text);
	id = strstr(arena_strndup(&w->arena, text, n), "\"kid\":\"");
	assert_non_null(id);
	return arena_strndup(&w->arena, id + 7, strcspn(id + 7, "\""));
}

static void
a_bad_token_is_refused_and_it_is_known_why(void **state)
{
	struct world *w = *state;
	const char *t = good(w), *kid = key_id(w, t);
	char *huge = arena_zalloc(&w->arena, JWT_MAX + 100);
	const char *none = arena_printf(
	    &w->arena, "%s.%s.", url(w, "{\"alg\":\"none\"}"),
	    url(w, arena_printf(&w->arena, "{\"sub\":\"root\",\"exp\":%d}", NOW + 60)));

	memset(huge, 'a', JWT_MAX + 50);
	const struct {
		const char *name, *token, *why;
	} rows[] = {
		{ "alg none", none, "not signed with ES256" },
		{ "alg none over a good signature", with_head(w, t, "{\"alg\":\"none\"}"),
		  "not signed with ES256" },
		{ "alg HS256, the public key as the secret",
		  with_head(w, t,
			    arena_printf(&w->arena, "{\"alg\":\"HS256\",\"kid\":\"%s\"}", kid)),
		  "not signed with ES256" },
		{ "alg twice",
		  with_head(w, t,
			    arena_printf(&w->arena,
					 "{\"alg\":\"none\",\"alg\":\"ES256\",\"kid\":\"%s\"}",
					 kid)),
		  "header is no JSON" },
		{ "no key named", with_head(w, t, "{\"alg\":\"ES256\"}"), "another key" },
		{ "an extension",
		  with_head(w, t,
			    arena_printf(&w->arena,
					 "{\"alg\":\"ES256\",\"kid\":\"%s\",\"crit\":[\"x\"]}",
					 kid)),
		  "extensions" },
		{ "another key", signed_by(w, w->other, claims(NOW, NOW + 60)), "another key" },
		{ "another key under our name",
		  with_head(w, signed_by(w, w->other, claims(NOW, NOW + 60)),
			    arena_printf(&w->arena, "{\"alg\":\"ES256\",\"kid\":\"%s\"}", kid)),
		  "signature is wrong" },
		{ "claims of another", with_claims(w, t, "{\"sub\":\"root\",\"exp\":1e18}"),
		  "signature is wrong" },
		{ "expired", signed_by(w, w->key, claims(NOW - 100, NOW)), "expired" },
		{ "not yet valid", signed_by(w, w->key, claims(NOW + 60, NOW + 600)),
		  "not valid yet" },
		{ "without an end", signed_by(w, w->key, json_pack("{s:s}", "sub", "x")),
		  "when it ends" },
		{ "an end in words",
		  signed_by(w, w->key, json_pack("{s:s}", "exp", "tomorrow")), "no number" },
		{ "claims that are a list", signed_by(w, w->key, json_pack("[i]", 1)),
		  "no JSON object" },
		{ "no signature", arena_strndup(&w->arena, t, (size_t)(strrchr(t, '.') - t)),
		  "three parts" },
		{ "an empty signature",
		  arena_strndup(&w->arena, t, (size_t)(strrchr(t, '.') - t) + 1),
		  "signature is none" },
		{ "a signature of zeros",
		  arena_printf(&w->arena, "%.*s.%s", (int)(strrchr(t, '.') - t), t,
			       "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
			       "AAAAAAAAAAAAAAAAAAAAAAAAAA"),
		  "signature is wrong" },
		{ "a fourth part", arena_printf(&w->arena, "%s.x", t), "three parts" },
		{ "padding", arena_printf(&w->arena, "%s==", t), "signature is none" },
		{ "nothing", "", "three parts" },
		{ "dots", "..", "header is no JSON" },
		{ "huge", huge, "too long" },
	};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		const char *why = verdict(w, rows[i].token);

		if (!strstr(why, rows[i].why))
			fail_msg("%s: \"%s\", not \"%s\"", rows[i].name, why, rows[i].why);
	}
}

static void
no_part_of_a_token_is_a_token_and_no_letter_can_be_changed(void **state)
{
	struct world *w = *state;
	const char *t = good(w);
	size_t n = strlen(t);

	for (size_t i = 0; i < n; i++) {
		char *other = arena_strdup(&w->arena, t);

		assert_string_not_equal(verdict(w, arena_strndup(&w->arena, t, i)), "");
		other[i] = t[i] == 'A' ? 'B' : 'A';
		assert_string_not_equal(verdict(w, other), "");
	}
}

static void
only_keys_on_p256_are_taken(void **state)
{
	static const char p384[] = "-----BEGIN PRIVATE KEY-----\n"
				   "MIG2AgEAMBAGByqGSM49AgEGBSuBBAAiBIGeMIGbAgEBBDCDqTTb\n"
				   "-----END PRIVATE KEY-----\n";
	cleanup_error struct error *e = NULL, *e2 = NULL;
	struct jwt_key *k = NULL;

	(void)state;
	assert_int_equal(jwt_key_read(p384, sizeof p384 - 1, &k, &e), -1);
	assert_int_equal(jwt_key_read("", 0, &k, &e2), -1);
	assert_null(k);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_signed_is_accepted),
		cmocka_unit_test(its_claims_come_back),
		cmocka_unit_test(a_bad_token_is_refused_and_it_is_known_why),
		cmocka_unit_test(no_part_of_a_token_is_a_token_and_no_letter_can_be_changed),
		cmocka_unit_test(only_keys_on_p256_are_taken),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
