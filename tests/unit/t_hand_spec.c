/* t_hand_spec.c -- what the hand tells the brain of a pod, however much there is to say. */
#include "daemon/hand_spec.h"
#include "reads.h"
#include "reconcile/base/cleanup.h"

enum { CONTAINERS = 32, PODS = 250, WIRE_MAX = 64 << 20 };

static size_t
told_bytes(const struct rt_pod_status *s, struct arena *a)
{
	cleanup_buf struct buf json = { 0 };

	schema_encode(pod_seen_kind(), spec_seen(s, a), &json);
	return json.len;
}

/* A byte that is six in JSON. */
static char *
long_text(void)
{
	char *text = malloc((4 << 20) + 1);

	memset(text, 1, 4 << 20);
	text[4 << 20] = 0;
	return text;
}

static void
as_many_pods_as_fit_that_say_without_end_are_told_in_one_message(void **state)
{
	cleanup_free char *text = long_text();
	cleanup_arena struct arena a = { 0 };
	struct rt_container_status at[CONTAINERS];
	const struct rt_pod_status s = { .uid = "u",
					 .ns = "n",
					 .name = "p",
					 .over = "",
					 .containers = at,
					 .ncontainers = CONTAINERS };

	(void)state;
	for (int i = 0; i < CONTAINERS; i++)
		at[i] =
		    (struct rt_container_status){ .name = "c",
						  .state = i % 2 ? RT_WAITING : RT_TERMINATED,
						  .message = text,
						  .refused_image = "x",
						  .refused_why = text,
						  .now = { .message = text },
						  .last = { .message = text } };
	assert_in_range(told_bytes(&s, &a), 1, WIRE_MAX / PODS - 1);
}

static void
what_is_said_in_few_words_is_told_as_it_is(void **state)
{
	cleanup_arena struct arena a = { 0 };
	struct rt_container_status c = { .name = "c",
					 .state = RT_TERMINATED,
					 .now = { .reason = "Error", .message = "no tea" },
					 .last = { .reason = "OOMKilled", .message = "" } };
	const struct rt_pod_status s = { .uid = "u",
					 .ns = "n",
					 .name = "p",
					 .over = "",
					 .containers = &c,
					 .ncontainers = 1 };
	const struct container_seen *seen = spec_seen(&s, &a)->containers.at;

	(void)state;
	assert_string_equal(seen->reason, "Error");
	assert_string_equal(seen->message, "no tea");
	assert_string_equal(seen->lastReason, "OOMKilled");
	assert_string_equal(seen->lastMessage, "");
}

static void
no_character_is_cut_in_two(void **state)
{
	cleanup_arena struct arena a = { 0 };
	char text[6001];
	struct rt_container_status c = { .name = "c", .message = text };
	const struct rt_pod_status s = { .uid = "u",
					 .ns = "n",
					 .name = "p",
					 .over = "",
					 .containers = &c,
					 .ncontainers = 1 };

	(void)state;
	for (int i = 0; i < 2000; i++)
		memcpy(text + 3 * (size_t)i, "\xe2\x82\xac", 4);
	assert_int_equal(strlen(spec_seen(&s, &a)->containers.at->message), 4095);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(as_many_pods_as_fit_that_say_without_end_are_told_in_one_message),
		T(what_is_said_in_few_words_is_told_as_it_is),
		T(no_character_is_cut_in_two),
	};

	return RUN(tests);
}
