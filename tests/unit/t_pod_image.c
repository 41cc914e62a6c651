/* t_pod_image.c -- images of image volumes and of ephemeral containers: asked for, waited for,
 * told of as containers' own are. */
#include "control.h"
#include "pod_parts.h"

#define NODE                                                   \
	"apiVersion: v1\nkind: Node\nmetadata: {name: node}\n" \
	"status: {allocatable: {cpu: '2', memory: 4Gi, pods: '110'}}\n"

static struct image_seen there[KIT_MAX];
static struct images_seen images;

static int
setup(void **state)
{
	struct kit *k;

	kit_setup(state);
	k = *state;
	kit_read(k, NODE);
	images = (struct images_seen){ .images = { there, 0 } };
	k->images = &images;
	return 0;
}

static void
brought(const char *name)
{
	there[images.images.n++] =
	    (struct image_seen){ .name = name, .id = "sha256:1", .digest = "sha256:2" };
}

/* What became of the pull of an image. */
static void
pull(struct kit *k, const char *key, enum pull_state state, const char *error)
{
	k->pulls[0] = (struct pull_seen_row){ .key = key,
					      .state = state,
					      .began = k->now,
					      .ended = k->now,
					      .retry_at = k->now + 10000,
					      .error = error };
	k->npulls = 1;
}

/* On the host, where one container waits to be renewed. */
static void
up_held(struct kit *k, size_t container)
{
	struct kit_pod *p = kit_up(k, "web");

	p->at[container] = (struct container_seen){ .name = p->at[container].name,
						    .state = "waiting",
						    .reason = "CreateContainerConfigError",
						    .held = true };
}

static const char *
pass(struct kit *k)
{
	return kit_do(k, pod_reconcile, RES_pod, "web");
}

static const struct container_state *
state_of(struct kit *k, const char *container)
{
	const struct pod *pod = kit_find(k, RES_pod, "web");
	const struct container_status *st = pod_part_status(pod->status, container);

	return st ? st->state : NULL;
}

#define VOLUME(policy)                                                                   \
	"apiVersion: v1\nkind: Pod\nmetadata: {name: web}\nspec: {containers: ["         \
	"{name: a, image: 'web:1', volumeMounts: [{name: v, mountPath: /v}]}, "          \
	"{name: b, image: 'web:1'}], "                                                   \
	"volumes: [{name: v, image: {reference: 'r.example/data:1', pullPolicy: " policy \
	"}}]}\n"

static void
an_image_volumes_image_is_fetched_and_its_failure_is_told_of_who_mounts_it(void **state)
{
	struct kit *k = *state;
	const struct sandbox_args *start;

	brought("docker.io/library/web:1");
	kit_read(k, VOLUME("IfNotPresent"));
	pass(k);
	assert_string_equal(
	    pass(k), "! event pod default/web  # Pulling: Pulling image \"r.example/data:1\"\n"
		     "+ fetch image r.example/data:1  # default/web\n"
		     ". status pod default/web  # Pending\n"
		     "! event pod default/web  # Pulled: Container image \"web:1\" already "
		     "present on machine\n"
		     "+ start pod default/web  # web:1 and 1 more\n");
	assert_null(((const struct event_args *)k->plan.at[0].body)->fieldPath);
	start = kit_body(k, ACT_START);
	assert_true(start->containers.at[0].hold);
	assert_false(start->containers.at[1].hold);
	up_held(k, 0);
	pull(k, "r.example/data:1", PULL_RUNNING, "");
	assert_string_equal(pass(k), ". status pod default/web  # Pending\n");
	assert_string_equal(state_of(k, "a")->waiting->reason, "ContainerCreating");
	assert_non_null(state_of(k, "b")->running);
	assert_string_equal(pass(k), "");
	pull(k, "r.example/data:1", PULL_FAILED, "it is not there");
	assert_string_equal(pass(k), "! event pod default/web  # Failed: Failed to pull image "
				     "\"r.example/data:1\": it is not there\n"
				     "! event pod default/web  # Failed: Error: ErrImagePull\n"
				     ". status pod default/web  # a: ErrImagePull\n");
	assert_string_equal(((const struct event_args *)k->plan.at[1].body)->fieldPath,
			    "spec.containers{a}");
	assert_string_equal(state_of(k, "a")->waiting->message, "it is not there");
	assert_non_null(state_of(k, "b")->running);
	assert_string_equal(pass(k), "");
	k->now += 3000;
	assert_non_null(
	    strstr(pass(k), "BackOff: Back-off pulling image \"r.example/data:1\""));
	assert_string_equal(state_of(k, "a")->waiting->reason, "ImagePullBackOff");
	k->now += 7000;
	assert_non_null(strstr(pass(k), "+ fetch image r.example/data:1"));
	pull(k, "r.example/data:1", PULL_DONE, "");
	brought("r.example/data:1");
	assert_non_null(strstr(pass(k),
			       "~ renew pod default/web  # a: all that it refers to is "
			       "there\n"));
	assert_non_null(strstr(kit_text(k), "Successfully pulled image \"r.example/data:1\""));
	assert_non_null(strstr(kit_text(k), "Container image \"web:1\" already present"));
	assert_false(((const struct add_args *)kit_body(k, ACT_RENEW))->container->hold);
	assert_int_equal(((const struct add_args *)kit_body(k, ACT_RENEW))->container->mounts.n,
			 1);
}

/* Two containers of which only b has its image. */
static void
two(struct kit *k, const char *list, const char *more)
{
	char *text;

	brought("docker.io/library/web:1");
	xasprintf(&text,
		  "apiVersion: v1\nkind: Pod\nmetadata: {name: web}\nspec: {%s: ["
		  "{name: a, image: 'r.example/gone:1'}, {name: b, image: 'web:1'}]%s}\n",
		  list, more);
	kit_read(k, text);
	free(text);
	pass(k);
}

static void
who_has_its_image_does_not_wait_for_who_has_not(void **state)
{
	struct kit *k = *state;
	const struct sandbox_args *start;

	two(k, "containers", "");
	assert_non_null(strstr(pass(k), "+ fetch image r.example/gone:1"));
	start = kit_body(k, ACT_START);
	assert_true(start->containers.at[0].hold);
	assert_false(start->containers.at[1].hold);
	up_held(k, 0);
	pull(k, "r.example/gone:1", PULL_FAILED, "not found");
	assert_string_equal(pass(k), "! event pod default/web  # Failed: Failed to pull image "
				     "\"r.example/gone:1\": not found\n"
				     "! event pod default/web  # Failed: Error: ErrImagePull\n"
				     ". status pod default/web  # a: ErrImagePull\n");
	assert_non_null(state_of(k, "b")->running);
	k->now += 10000;
	assert_non_null(strstr(pass(k), "+ fetch image r.example/gone:1"));
	assert_string_equal(state_of(k, "a")->waiting->reason, "ImagePullBackOff");
	pull(k, "r.example/gone:1", PULL_DONE, "");
	brought("r.example/gone:1");
	assert_non_null(strstr(pass(k), "~ renew pod default/web"));
	assert_non_null(strstr(kit_text(k), "Successfully pulled image \"r.example/gone:1\""));
}

static void
nothing_is_started_for_who_comes_after_an_init_container_without_its_image(void **state)
{
	struct kit *k = *state;

	two(k, "initContainers", ", containers: [{name: c, image: 'web:1'}]");
	assert_null(strstr(pass(k), "+ start"));
	kit_drop(k, RES_pod, "default", "web");
	images.images.n = 0;
	brought("r.example/gone:1");
	two(k, "initContainers", ", containers: [{name: c, image: 'later:1'}]");
	assert_non_null(strstr(pass(k), "+ start"));
	assert_true(
	    ((const struct sandbox_args *)kit_body(k, ACT_START))->containers.at[2].hold);
}

static void
an_image_volumes_pull_policy_counts(void **state)
{
	struct kit *k = *state;

	brought("docker.io/library/web:1");
	kit_read(k, VOLUME("Never"));
	pass(k);
	assert_null(strstr(pass(k), "fetch"));
	assert_string_equal(state_of(k, "a")->waiting->reason, "ErrImageNeverPull");
	kit_drop(k, RES_pod, "default", "web");
	brought("r.example/data:1");
	kit_read(k, VOLUME("Always"));
	pass(k);
	assert_non_null(strstr(pass(k), "+ fetch image r.example/data:1"));
	kit_drop(k, RES_pod, "default", "web");
	kit_read(k, VOLUME("IfNotPresent"));
	pass(k);
	assert_non_null(strstr(pass(k), "+ start pod default/web"));
}

/* The pod runs, and gets one more. */
static void
add(struct kit *k, const char *ephemeral)
{
	struct complaints c = { .arena = &k->arena };
	struct pod *pod;

	brought("docker.io/library/web:1");
	kit_read(k, "apiVersion: v1\nkind: Pod\nmetadata: {name: web}\n"
		    "spec: {containers: [{name: web, image: 'web:1'}]}\n");
	pass(k);
	pass(k);
	kit_up(k, "web");
	pass(k);
	pod = object_clone(kit_find(k, RES_pod, "web"), &k->arena);
	pod->spec->ephemeralContainers.at = schema_decode(
	    container_kind(), yaml_read(ephemeral, strlen(ephemeral), &k->arena, &c),
	    SCHEMA_TRUSTED, &k->arena, &c);
	pod->spec->ephemeralContainers.n = 1;
	assert(!c.errors);
	kit_put(k, pod);
}

static void
an_ephemeral_containers_image_is_fetched_while_the_others_run(void **state)
{
	struct kit *k = *state;

	add(k, "{name: look, image: 'r.example/tools:1', imagePullPolicy: IfNotPresent}");
	assert_string_equal(
	    pass(k), "! event pod default/web  # Pulling: Pulling image \"r.example/tools:1\"\n"
		     "+ fetch image r.example/tools:1  # default/web\n"
		     ". status pod default/web  # 1/1 ready\n");
	assert_string_equal(((const struct event_args *)k->plan.at[0].body)->fieldPath,
			    "spec.ephemeralContainers{look}");
	pull(k, "r.example/tools:1", PULL_RUNNING, "");
	assert_string_equal(pass(k), "");
	pull(k, "r.example/tools:1", PULL_FAILED, "it is not there");
	assert_non_null(strstr(pass(k), "Failed: Error: ErrImagePull"));
	assert_string_equal(state_of(k, "look")->waiting->reason, "ErrImagePull");
	assert_non_null(state_of(k, "web")->running);
	pull(k, "r.example/tools:1", PULL_DONE, "");
	brought("r.example/tools:1");
	assert_non_null(strstr(pass(k), "+ add pod default/web  # r.example/tools:1\n"));
}

static void
an_ephemeral_container_that_always_pulls_takes_nothing_older_than_itself(void **state)
{
	struct kit *k = *state;

	brought("r.example/tools:1");
	add(k, "{name: look, image: 'r.example/tools:1', imagePullPolicy: Always}");
	pull(k, "r.example/tools:1", PULL_DONE, "");
	k->now += 60000;
	assert_non_null(strstr(pass(k), "+ fetch image r.example/tools:1"));
	pull(k, "r.example/tools:1", PULL_DONE, "");
	assert_non_null(strstr(pass(k), "+ add pod default/web"));
}

static void
a_secret_that_an_ephemeral_container_lacks_is_named(void **state)
{
	struct kit *k = *state;

	add(k, "{name: look, image: 'web:1', imagePullPolicy: Never, env: [{name: A, "
	       "valueFrom: {secretKeyRef: {name: s, key: k}}}]}");
	assert_non_null(strstr(pass(k), "Failed: Error: secret \"s\" not found"));
	assert_string_equal(state_of(k, "look")->waiting->reason, "CreateContainerConfigError");
	assert_string_equal(pass(k), "");
	kit_read(k, "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\ndata: {k: eA==}\n");
	assert_non_null(strstr(pass(k), "+ add pod default/web  # web:1\n"));
}

static void
a_pod_made_anew_does_not_wait_for_an_ephemeral_containers_image(void **state)
{
	struct kit *k = *state;

	add(k, "{name: look, image: 'r.example/tools:1', imagePullPolicy: Never}");
	kit_pod_of(k, object_uid(kit_find(k, RES_pod, "web")))->seen.state = "gone";
	assert_non_null(strstr(pass(k), "+ start pod default/web"));
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, kit_teardown)
int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(an_image_volumes_image_is_fetched_and_its_failure_is_told_of_who_mounts_it),
		T(an_image_volumes_pull_policy_counts),
		T(who_has_its_image_does_not_wait_for_who_has_not),
		T(nothing_is_started_for_who_comes_after_an_init_container_without_its_image),
		T(an_ephemeral_containers_image_is_fetched_while_the_others_run),
		T(an_ephemeral_container_that_always_pulls_takes_nothing_older_than_itself),
		T(a_secret_that_an_ephemeral_container_lacks_is_named),
		T(a_pod_made_anew_does_not_wait_for_an_ephemeral_containers_image),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
