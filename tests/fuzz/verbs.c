/* verbs.c -- mutants of what the hand hears from the brain, and of its configuration.
 *
 * The hand is root: a line that does not parse, a body that does not decode or a
 * spec that does not hold is refused with a word, and what is accepted has passed
 * the runtime's own checks.
 */
#include "daemon/config.h"
#include "daemon/hand_spec.h"
#include "daemon/wire.h"
#include "mutate.h"
#include "plan.h"
#include "tests/unit/reads.h"
#include <event2/event.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

/* runtime/podspec.c, whose header is the runtime's own */
bool podspec_name_ok(const char *);
int podspec_check(const struct rt_pod *, struct error **);

enum { ROUNDS = 20000, FRAMES = 2000 };

static const char *const words[] = {
	"{",     "}",     "[",      "]",          ",",        ":",        "\"",     "null",
	"true",  "0",     "-1",     "1e99",       "\\u0000",  "..",       "/",      "/../",
	"\xff",  " -> ",  "  # ",   "+ ",         "- ",       "~ ",       "start ", "stop ",
	"pod ",  "image", "rules ", "10.42.0.9",  "10.42.0.", "65536",    "=",      "K=V",
	"files", "empty", "memory", "4294967295", "\"name\"", "\"path\"", "ALL",    NULL,
};

static const char *const lines[] = {
	"+ start pod default/web-9b459b4c5-cst47  # created",
	"- stop pod default/web-9b459b4c5-cst47 0 -> 30  # drained",
	"~ drain pod default/web-9b459b4c5-cst47 0 -> 5000",
	"~ program service default/web:http 2 -> 3",
	"~ commit rules all 0 -> 7",
	"- remove image docker.io/library/web:1",
	"+ watch source deploy",
	". ready brain",
};

static const char sandbox[] =
    "{\"uid\":\"u\",\"hostname\":\"h\",\"ip\":\"10.42.0.2\",\"grace\":30,\"fsGroup\":5,"
    "\"hosts\":[\"127.0.0.1 x\"],\"dns\":{\"nameservers\":[\"10.43.0.10\"]},\"containers\":["
    "{\"name\":\"c\",\"image\":\"i\",\"command\":[\"/a\"],\"args\":[\"b\"],\"env\":[\"A=b\"],"
    "\"workingDir\":\"/w\",\"user\":\"1:2\",\"restart\":\"Always\",\"memory\":67108864,"
    "\"capAdd\":[\"NET_ADMIN\"],\"capDrop\":[\"ALL\"],\"mounts\":[{\"volume\":\"v\","
    "\"path\":\"/v\",\"subPath\":\"s\"},{\"volume\":\"m\",\"path\":\"/m\"}],"
    "\"terminationMessagePath\":\"/dev/termination-log\"}],\"volumes\":[{\"name\":\"v\","
    "\"type\":\"files\",\"files\":[{\"path\":\"a\",\"data\":\"aGk=\",\"mode\":420}]},"
    "{\"name\":\"m\",\"type\":\"memory\",\"sizeLimit\":65536}]}";

static const char service[] = "{\"ip\":\"10.43.0.1\",\"protocol\":\"TCP\",\"port\":80,"
			      "\"nodePort\":30080,\"affinity\":10800,"
			      "\"endpoints\":[{\"ip\":\"10.42.0.2\",\"port\":8080},{\"ip\":"
			      "\"10.42.0.3\",\"port\":8080}]}";

static const char settings[] =
    "node:\n  name: vm\n  labels: {a: b}\nnetwork:\n  bridge: kedge0\n"
    "  podCIDR: 10.42.0.0/16\n  serviceCIDR: 10.43.0.0/16\nlimits: {maxPods: 110}\n"
    "listen: 127.0.0.1:8001\nsources:\n- {name: a, url: /srv/a.git, ref: main, path: x}\n"
    "- {name: b, url: \"https://example.org/b.git\", interval: 30}\n";

static void
mutant(struct mutator *m, const char *seed, struct buf *b)
{
	buf_adds(b, seed);
	for (size_t n = mutate_below(m, 6); n; n--)
		mutate_once(m, b);
}

static void
a_line_that_parses_prints_as_it_was_read(void **s)
{
	struct mutator m = { 0x9e3779b97f4a7c15, words };
	int accepted = 0;

	(void)s;
	for (int i = 0; i < ROUNDS; i++) {
		cleanup_arena struct arena a = { 0 };
		cleanup_error struct error *e = NULL, *e2 = NULL;
		cleanup_buf struct buf b = { 0 }, once = { 0 }, twice = { 0 };
		struct action x, y;

		mutant(&m, lines[mutate_below(&m, sizeof lines / sizeof *lines)], &b);
		if (action_parse(buf_text(&b), &a, &x, &e) < 0) {
			assert_true(e && *error_text(e));
			continue;
		}
		accepted++;
		assert_true(x.verb < ACT_COUNT);
		action_print(&x, &once);
		if (action_parse(buf_text(&once), &a, &y, &e2) < 0)
			fail_msg("%s: %s", buf_text(&once), error_text(e2));
		action_print(&y, &twice);
		assert_string_equal(buf_text(&once), buf_text(&twice));
	}
	assert_true(accepted > ROUNDS / 20 && accepted < ROUNDS);
}

static const void *
heard_body(struct reading *r, const struct kind *k, const struct buf *b)
{
	struct tree *t = json_read(b->at, b->len, &r->arena, &r->cs);
	void *body = t ? schema_decode(k, t, SCHEMA_TRUSTED, &r->arena, &r->cs) : NULL;

	return r->cs.errors ? NULL : body;
}

/* Nothing that could be a path out of its place comes through. */
static void
holds(const struct rt_pod *p)
{
	for (size_t i = 0; i < p->nvolumes; i++)
		assert_true(podspec_name_ok(p->volumes[i].name));
	for (size_t i = 0; i < p->ncontainers; i++) {
		assert_true(podspec_name_ok(p->containers[i].name));
		for (size_t j = 0; j < p->containers[i].nmounts; j++)
			assert_true(p->containers[i].mounts[j].path[0] == '/');
	}
}

static void
a_body_is_refused_with_a_word_or_holds(void **s)
{
	struct mutator m = { 0xdeadbeefcafef00d, words };
	int pods = 0, services = 0;

	(void)s;
	for (int i = 0; i < ROUNDS; i++) {
		READING(r);
		cleanup_error struct error *e = NULL;
		cleanup_buf struct buf b = { 0 };
		bool pod = i % 2;
		const void *body;

		mutant(&m, pod ? sandbox : service, &b);
		body = heard_body(&r, pod ? sandbox_args_kind() : service_args_kind(), &b);
		if (!body)
			continue;
		if (pod) {
			struct rt_pod spec;

			if (spec_pod(body, "default", "web", &r.arena, &spec, &e) == 0 &&
			    podspec_check(&spec, &e) == 0) {
				holds(&spec);
				pods++;
				continue;
			}
		} else {
			struct np_service svc;

			if (spec_service(body, "default/web:http", &r.arena, &svc, &e) == 0) {
				services++;
				continue;
			}
		}
		assert_true(e && *error_text(e));
	}
	assert_true(pods > ROUNDS / 40 && services > ROUNDS / 40);
}

static void
a_configuration_is_refused_with_places_or_is_finished(void **s)
{
	struct mutator m = { 0x0123456789abcdef, words };
	int fd = memfd_create("kedge.yaml", MFD_CLOEXEC), accepted = 0;
	char path[64];

	(void)s;
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	for (int i = 0; i < ROUNDS; i++) {
		READING(r);
		cleanup_error struct error *e = NULL;
		cleanup_buf struct buf b = { 0 };
		struct config *c;

		mutant(&m, settings, &b);
		assert_int_equal(ftruncate(fd, 0), 0);
		assert_int_equal(pwrite(fd, b.at, b.len, 0), b.len);
		c = config_read(path, &r.arena, &r.cs, &e);
		if (!c) {
			assert_true(r.cs.errors || (e && *error_text(e)));
			continue;
		}
		if (config_finish(c, &r.arena, &e) < 0)
			assert_true(e && *error_text(e));
		else
			accepted++;
	}
	close(fd);
	assert_true(accepted > ROUNDS / 40 && accepted < ROUNDS);
}

/* ---- frames ---- */

struct hearing {
	int heard, ended;
};

static void
on_message(void *ctx, struct message *m)
{
	((struct hearing *)ctx)->heard++;
	assert_int_equal(strlen(m->body), strnlen(m->body, m->body_len));
}

static void
on_end(void *ctx, const char *why)
{
	((struct hearing *)ctx)->ended++;
	assert_true(*why);
}

/* The bytes of two true frames. */
static void
frames(struct event_base *base, struct buf *ret)
{
	int pair[2];
	char bytes[4096];
	ssize_t n;
	struct hearing none = { 0 };
	struct wire *w;

	assert_int_equal(
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair), 0);
	w = wire_new(base, pair[0], on_message, on_end, &none);
	assert_int_equal(wire_send(w, lines[0], service, NULL, 0, NULL), 0);
	assert_int_equal(wire_send(w, lines[4], NULL, NULL, 0, NULL), 0);
	event_base_loop(base, EVLOOP_NONBLOCK);
	while ((n = read(pair[1], bytes, sizeof bytes)) > 0)
		buf_add(ret, bytes, (size_t)n);
	wire_free(w);
	close(pair[1]);
}

static void
a_stream_of_frames_ends_at_nonsense_and_never_reads_past_it(void **s)
{
	struct mutator m = { 0xfeedfacefeedface, words };
	struct event_base *base = event_base_new();
	cleanup_buf struct buf seed = { 0 };
	int heard = 0;

	(void)s;
	frames(base, &seed);
	assert_true(seed.len > 100);
	for (int i = 0; i < FRAMES; i++) {
		struct hearing h = { 0 };
		cleanup_buf struct buf b = { 0 };
		struct wire *w;
		int pair[2];

		buf_add(&b, seed.at, seed.len);
		for (size_t n = mutate_below(&m, 4); n; n--)
			mutate_once(&m, &b);
		assert_int_equal(
		    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair),
		    0);
		w = wire_new(base, pair[0], on_message, on_end, &h);
		assert_int_equal(write(pair[1], b.at, b.len), b.len);
		close(pair[1]);
		for (int k = 0; k < 8 && !h.ended; k++)
			event_base_loop(base, EVLOOP_NONBLOCK);
		assert_int_equal(h.ended, 1); /* the peer is gone, after whatever it said */
		heard += h.heard;
		wire_free(w);
	}
	assert_true(heard > FRAMES / 4);
	event_base_free(base);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_line_that_parses_prints_as_it_was_read),
		T(a_body_is_refused_with_a_word_or_holds),
		T(a_configuration_is_refused_with_places_or_is_finished),
		T(a_stream_of_frames_ends_at_nonsense_and_never_reads_past_it),
	};

	return RUN(tests);
}
