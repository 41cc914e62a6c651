/* t_registry.c -- what a registry asks for, who we say we are, and where we do not go. */
#include "reads.h"

#include "daemon/registry.h"
#include "reconcile/base/cleanup.h"
#include "reconcile/base/imageref.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

static void
challenges_are_read_as_servers_write_them(void **state)
{
	struct challenge c;

	(void)state;
	assert_true(challenge_parse("Bearer realm=\"https://auth.example/token\",service="
				    "\"registry.example\",scope=\"repository:a/b:pull\"",
				    &c));
	assert_true(c.bearer && !c.basic);
	assert_string_equal(c.realm, "https://auth.example/token");
	assert_string_equal(c.service, "registry.example");
	assert_string_equal(c.scope, "repository:a/b:pull");
	assert_true(challenge_parse("bearer  scope=\"a,b\" , realm=https://x/t", &c));
	assert_string_equal(c.scope, "a,b");
	assert_string_equal(c.realm, "https://x/t");
	assert_true(challenge_parse("Basic realm=\"with \\\"quotes\\\"\"", &c));
	assert_true(c.basic);
	assert_string_equal(c.realm, "with \"quotes\"");
	assert_true(challenge_parse("Basic", &c));
	assert_false(challenge_parse("Bearer service=\"no realm\"", &c));
	assert_false(challenge_parse("Negotiate", &c));
	assert_false(challenge_parse("", &c));
}

static void
a_challenge_of_any_bytes_ends(void **state)
{
	static const char pieces[] = "Bearer realm=\",\\ \t=;x";
	unsigned seed = 1;

	(void)state;
	for (int i = 0; i < 20000; i++) {
		char text[80] = "Bearer ";
		size_t n = 7;
		struct challenge c;

		while (n < 70)
			text[n++] = pieces[rand_r(&seed) % (sizeof pieces - 1)];
		text[n] = 0;
		(void)challenge_parse(text, &c);
	}
}

/* "user:password ..." of what is found, the best first */
static char *
found(const char *config, const char *host, const char *repository)
{
	struct arena a = { 0 };
	struct origin o = { .host = host, .repository = repository };
	struct buf b = { 0 };

	credentials_find(config, &o, &a);
	for (size_t i = 0; i < o.ncreds; i++)
		buf_addf(&b, "%s%s:%s", i ? " " : "", o.cred[i].user, o.cred[i].password);
	arena_free(&a);
	return buf_steal(&b);
}

#define FOUND(config, host, repository, want)                 \
	do {                                                  \
		char *got_ = found(config, host, repository); \
		assert_string_equal(got_, want);              \
		free(got_);                                   \
	} while (0)

static void
credentials_go_to_the_host_they_are_for(void **state)
{
	static const char config[] =
	    "{\"auths\": {\"https://index.docker.io/v1/\": {\"auth\": \"aHViOnB3\"},"
	    "\"r.example:5000\": {\"username\": \"u\", \"password\": \"p:q\"},"
	    "\"r.example:5000/team\": {\"username\": \"team\", \"password\": \"t\"},"
	    "\"*.cloud.example\": {\"username\": \"any\", \"password\": \"a\"},"
	    "\"empty.example\": {}, \"odd.example\": {\"auth\": \"!!\"}}}";

	(void)state;
	FOUND(config, "docker.io", "library/nginx", "hub:pw");
	FOUND(config, "r.example:5000", "x", "u:p:q");
	FOUND(config, "r.example:5000", "team/x", "team:t u:p:q");
	FOUND(config, "r.example:5000", "teams/x", "u:p:q");
	FOUND(config, "a.cloud.example", "x", "any:a");
	FOUND(config, "a.b.cloud.example", "x", "");
	FOUND(config, "r.example", "x", "");
	FOUND(config, "evil-r.example:5000", "x", "");
	FOUND(config, "empty.example", "x", "");
	FOUND(config, "odd.example", "x", "");
	FOUND("{\"r\": {\"username\": \"old\", \"password\": \"form\"}}", "r", "x", "old:form");
	FOUND("not json", "r", "x", "");
	FOUND("[]", "r", "x", "");
}

static void
an_image_is_looked_for_at_its_mirrors_then_at_home(void **state)
{
	const char *mirrors[] = { "mirror.example/hub", "near:5000" };
	struct pull_host hosts[] = {
		{ .host = "docker.io", .mirrors = { mirrors, 2 }, .credentials = "u:p" },
		{ .host = "near:5000", .http = true },
	};
	struct pull_bind bind = { .image = "docker.io/library/nginx:1.25" };
	struct pull_start start = { 0 };
	struct arena a = { 0 };
	struct registry r = { .bind = &bind, .start = &start, .arena = &a };

	(void)state;
	bind.registries.at = hosts;
	bind.registries.n = 2;
	assert_int_equal(registry_open(&r, NULL), 0);
	assert_int_equal(r.n, 3);
	assert_string_equal(r.origins[0].base, "https://mirror.example/v2/hub/library/nginx");
	assert_int_equal(r.origins[0].ncreds, 0); /* those of the registry are not a mirror's */
	assert_string_equal(r.origins[1].base, "http://near:5000/v2/library/nginx");
	assert_true(strncmp(r.origins[2].base, "https://", 8) == 0);
	assert_int_equal(r.origins[2].ncreds, 1);
	assert_string_equal(r.origins[2].cred[0].password, "p");
	arena_free(&a);
}

static void
names_are_completed_as_registries_clients_do(void **state)
{
	static const char d[] =
	    "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
	cleanup_free char *tagged = NULL, *want = NULL;
	struct error *why = NULL;
	char *got;

	(void)state;
	xasprintf(&tagged, "docker.io/library/nginx:1.25@%s", d);
	xasprintf(&want, "docker.io/library/nginx@%s", d);
	got = imageref_normalise(tagged, NULL);
	assert_string_equal(got, want);
	free(got);
	got = imageref_normalise("nginx", NULL);
	assert_string_equal(got, "docker.io/library/nginx:latest");
	free(got);
	got = imageref_normalise("127.0.0.1:5000/a/b", NULL);
	assert_string_equal(got, "127.0.0.1:5000/a/b:latest");
	free(got);
	assert_null(imageref_normalise("nginx@sha256:12", NULL));
	assert_null(imageref_normalise("nginx:1@sha512:12", &why));
	assert_string_equal(
	    error_text(why),
	    "image name \"nginx:1@sha512:12\": digests by sha512 are not known "
	    "here, only those by sha256; its tag or its sha256 digest name it, too");
	error_free(&why);
	assert_null(imageref_normalise("http://nginx", NULL));
	assert_null(imageref_normalise("../nginx", NULL));
}

static void
an_address_of_this_host_is_meant_by_name_and_port(void **state)
{
	struct pull_host hosts[] = {
		{ .host = "127.0.0.1:5000", .http = true },
		{ .host = "Reg.example" },
		{ .host = "plain.example", .http = true },
		{ .host = "docker.io" },
	};
	struct pull_bind bind = { .image = "x" };
	struct registry r = { .bind = &bind };

	(void)state;
	bind.registries.at = hosts;
	bind.registries.n = 4;
	assert_true(registry_meant(&r, "http://127.0.0.1:5000/v2/a/manifests/1"));
	assert_true(registry_meant(&r, "https://reg.example/v2/"));
	assert_true(registry_meant(&r, "http://plain.example/x"));
	assert_true(registry_meant(&r, "https://registry-1.docker.io/v2/"));
	/* the port of one that is listed, at a host that is not */
	assert_false(registry_meant(&r, "http://127.0.0.2:5000/v2/"));
	assert_false(registry_meant(&r, "http://localhost:5000/v2/"));
	assert_false(registry_meant(&r, "https://169.254.169.254/latest"));
	assert_false(registry_meant(&r, "http://[::1]:5000/v2/"));
	/* a listed host at another port */
	assert_false(registry_meant(&r, "http://127.0.0.1:5001/v2/"));
	assert_false(registry_meant(&r, "http://reg.example/v2/"));
	assert_false(registry_meant(&r, "https://reg.example:8443/v2/"));
	assert_false(registry_meant(&r, "https://reg.example.evil/"));
	assert_false(registry_meant(&r, "https://reg.example@127.0.0.1/"));
	assert_false(registry_meant(&r, "nonsense"));
}

static void
a_retry_after_of_any_size_is_a_time_to_wait(void **state)
{
	(void)state;
	assert_int_equal(retry_after_read("2", 1000), 2000);
	assert_int_equal(retry_after_read("0", 1000), 1);
	assert_int_equal(retry_after_read("20260101", 1000), 86400000);
	assert_int_equal(retry_after_read("9223372036854775807", 1000), 86400000);
	assert_int_equal(retry_after_read("99999999999999999999999", 1000), 86400000);
	assert_int_equal(retry_after_read("-9223372036854775808", 1000), 1);
	assert_int_equal(retry_after_read("soon", 1000), 1);
	assert_int_equal(retry_after_read("Thu, 01 Jan 1970 00:16:50 GMT", 1000), 10000);
	assert_int_equal(retry_after_read("Thu, 01 Jan 1970 00:00:00 GMT", 1000), 1);
	assert_int_equal(retry_after_read("Fri, 31 Dec 9999 23:59:59 GMT", 1000), 86400000);
}

static bool
reaches(const char *base, const char *url, const char *ip)
{
	struct pull_host listed = { .host = "127.0.0.1:5000", .http = true };
	struct pull_bind bind = { .ranges = {
				      (const char *[]){ "10.42.0.0/16", "10.43.0.0/16" }, 2 } };
	struct registry r = { .bind = &bind };
	struct origin o = { .base = base };
	struct sockaddr_in to = { .sin_family = AF_INET };
	struct sockaddr_in6 mapped = { .sin6_family = AF_INET6 };
	char text[64];
	bool may;

	bind.registries.at = &listed;
	bind.registries.n = 1;
	assert_int_equal(inet_pton(AF_INET, ip, &to.sin_addr), 1);
	snprintf(text, sizeof text, "::ffff:%s", ip);
	assert_int_equal(inet_pton(AF_INET6, text, &mapped.sin6_addr), 1);
	may = registry_may_reach(&r, &o, url, (struct sockaddr *)&to);
	assert_int_equal(may, registry_may_reach(&r, &o, url, (struct sockaddr *)&mapped));
	return may;
}

static void
nobody_is_led_to_the_host_or_its_pods(void **state)
{
	static const char out[] = "https://reg.example/v2/a",
			  in[] = "https://10.43.0.9:5000/v2/a";

	(void)state;
	assert_true(reaches(out, "https://cdn.example/blob", "192.0.2.7"));
	assert_false(reaches(out, "https://cdn.example/blob", "127.0.0.1"));
	assert_false(reaches(out, "https://169.254.169.254/latest", "169.254.169.254"));
	/* the host's bridge, a pod, a Service; by redirect or by a token's realm */
	assert_false(reaches(out, "https://cdn.example/blob", "10.42.0.1"));
	assert_false(reaches(out, "https://cdn.example/blob", "10.42.3.4"));
	assert_false(reaches(out, "https://auth.example/token", "10.43.0.1"));
	/* a registry that is named there, and only itself */
	assert_true(reaches(in, "https://10.43.0.9:5000/v2/a/manifests/1", "10.43.0.9"));
	assert_false(reaches(in, "https://10.43.0.9:5001/v2/a/manifests/1", "10.43.0.9"));
	assert_false(reaches(in, "https://10.43.0.9:5000.example/v2/", "10.43.0.9"));
	assert_false(reaches(in, "https://10.42.0.1:5000/v2/a/manifests/1", "10.42.0.1"));
	assert_true(reaches("https://hub.local/v2/a", "https://hub.local/v2/a", "10.42.0.9"));
	assert_true(reaches(out, "http://127.0.0.1:5000/v2/", "127.0.0.1"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(challenges_are_read_as_servers_write_them),
		cmocka_unit_test(a_challenge_of_any_bytes_ends),
		cmocka_unit_test(credentials_go_to_the_host_they_are_for),
		cmocka_unit_test(an_image_is_looked_for_at_its_mirrors_then_at_home),
		cmocka_unit_test(names_are_completed_as_registries_clients_do),
		cmocka_unit_test(an_address_of_this_host_is_meant_by_name_and_port),
		cmocka_unit_test(a_retry_after_of_any_size_is_a_time_to_wait),
		cmocka_unit_test(nobody_is_led_to_the_host_or_its_pods),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
