/* t_account.c -- what pods and namespaces get so that pods reach the API as who they are. */
#include "account.h"
#include "pod_kit.h"
#include "user.h"

#define MINUTE     (INT64_C(60) * 1000)
#define ACCOUNT(f) "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: robot}\n" f

static int
begin(void **state)
{
	struct kit *k;

	setup(state);
	k = *state;
	k->settings.accounts = true;
	k->settings.ca = "-----BEGIN CERTIFICATE-----\n";
	k->settings.api_ip = k->settings.pods.net + 1;
	k->settings.api_port = 6443;
	kit_read(k, "apiVersion: v1\nkind: Namespace\nmetadata: {name: default}\n");
	kit_do(k, account_reconcile, RES_namespace, "default");
	return 0;
}

static const char *
kubernetes(struct kit *k)
{
	return kit_do(k, kubernetes_reconcile, RES_namespace, "default");
}

/* As JSON, after it was placed. */
static const char *
placed(struct kit *k, const char *spec, const char *container)
{
	cleanup_buf struct buf b = { 0 };

	pod(k, "web", spec, container);
	pass(k);
	schema_encode(pod_spec_kind(), web(k)->spec, &b);
	return arena_strdup(&k->arena, buf_text(&b));
}

static bool
has(const char *text, const char *part)
{
	return strstr(text, part) != NULL;
}

/* ---- what a pod gets ---- */

static void
a_pod_gets_what_kubernetes_admission_gives_it(void **state)
{
	static const char sources[] =
	    "\"projected\":{\"sources\":[{\"serviceAccountToken\":{\"expirationSeconds\":3607,"
	    "\"path\":\"token\"}},{\"configMap\":{\"name\":\"kube-root-ca.crt\",\"items\":[{"
	    "\"key\":\"ca.crt\",\"path\":\"ca.crt\"}]}},{\"downwardAPI\":{\"items\":[{"
	    "\"path\":\"namespace\",\"fieldRef\":{\"apiVersion\":\"v1\",\"fieldPath\":"
	    "\"metadata.namespace\"}}]}}],\"defaultMode\":420}";
	const char *spec = placed(*state, ", initContainers: [{name: i, image: x}]", "");
	const char *name = strstr(spec, "kube-api-access-");
	char mount[200];

	assert_true(has(spec, sources));
	assert_true(
	    has(spec, "\"serviceAccountName\":\"default\",\"serviceAccount\":\"default\""));
	assert_non_null(name);
	snprintf(mount, sizeof mount,
		 "\"volumeMounts\":[{\"name\":\"%.21s\",\"readOnly\":true,\"mountPath\":"
		 "\"/var/run/secrets/kubernetes.io/serviceaccount\"}]",
		 name);
	spec = strstr(spec, mount);
	assert_non_null(spec);
	assert_true(has(spec + 1, mount)); /* the init container and the other */
}

static void
a_pod_without_the_wish_for_a_token_gets_none(void **state)
{
	struct kit *k = *state;

	kit_read(k, ACCOUNT("automountServiceAccountToken: false"));
	assert_false(has(placed(k, ", serviceAccountName: robot", ""), "kube-api-access"));
	kit_drop(k, RES_pod, "default", "web");
	/* the pod's own word counts before its account's */
	assert_true(has(
	    placed(k, ", serviceAccountName: robot, automountServiceAccountToken: true", ""),
	    "kube-api-access"));
	kit_drop(k, RES_pod, "default", "web");
	assert_false(
	    has(placed(k, ", automountServiceAccountToken: false", ""), "kube-api-access"));
	kit_drop(k, RES_pod, "default", "web");
	k->settings.api_ip = 0; /* nor where there is no API to be asked with it */
	assert_false(has(placed(k, "", ""), "kube-api-access"));
}

static void
what_a_container_mounts_at_that_place_stays(void **state)
{
	struct kit *k = *state;
	const char *spec = placed(k, ", volumes: [{name: v, emptyDir: {}}]",
				  ", volumeMounts: [{name: v, mountPath: "
				  "/var/run/secrets/kubernetes.io/serviceaccount}]");

	assert_false(has(spec, "kube-api-access"));
	assert_true(has(spec, "\"volumes\":[{\"name\":\"v\",\"emptyDir\":{}}]"));
}

static void
pull_secrets_of_the_account_are_for_pods_without_their_own(void **state)
{
	struct kit *k = *state;

	kit_read(k, ACCOUNT("imagePullSecrets: [{name: registry}]"));
	assert_true(has(placed(k, ", serviceAccountName: robot", ""),
			"\"imagePullSecrets\":[{\"name\":\"registry\"}]"));
	kit_drop(k, RES_pod, "default", "web");
	assert_true(
	    has(placed(k, ", serviceAccountName: robot, imagePullSecrets: [{name: own}]", ""),
		"\"imagePullSecrets\":[{\"name\":\"own\"}]"));
}

static void
a_replica_set_makes_no_pods_of_an_account_that_is_not_there(void **state)
{
	struct kit *k = *state;

	kit_read(k, "apiVersion: apps/v1\nkind: ReplicaSet\nmetadata: {name: rs}\n"
		    "spec: {replicas: 1, selector: {matchLabels: {app: web}}, template: "
		    "{metadata: {labels: {app: web}}, spec: {serviceAccountName: robot, "
		    "containers: [{name: web, image: x}]}}}\n");
	kit_do(k, replicaset_reconcile, RES_replica_set, "rs");
	assert_true(has(kit_text(k), "FailedCreate: Error creating: pods \"rs-"));
	assert_true(has(kit_text(k), "is forbidden: error looking up service account "
				     "default/robot: serviceaccount \"robot\" not found"));
	assert_int_equal(k->n[RES_pod], 0);
	kit_read(k, ACCOUNT(""));
	kit_do(k, replicaset_reconcile, RES_replica_set, "rs");
	assert_int_equal(k->n[RES_pod], 1);
}

/* ---- tokens in files ---- */

static const struct file_args *
file(const struct sandbox_args *args, const char *path)
{
	assert_non_null(args);
	for (size_t i = 0; i < args->volumes.at[0].files.n; i++)
		if (!strcmp(args->volumes.at[0].files.at[i].path, path))
			return &args->volumes.at[0].files.at[i];
	return NULL;
}

static void
what_the_files_hold_goes_to_who_signs(void **state)
{
	struct kit *k = *state;
	const struct sandbox_args *args = pod_started(k, "", "");

	assert_int_equal(args->volumes.at[0].files.n, 3);
	assert_int_equal(file(args, "token")->seconds, 3607);
	assert_null(file(args, "token")->data);
	assert_null(file(args, "token")->audience);
	assert_int_equal(file(args, "token")->mode, 0644);
	assert_non_null(file(args, "ca.crt")->data);
	assert_non_null(file(args, "namespace")->data);
	kit_drop(k, RES_pod, "default", "web");
	args = pod_started(k, ", securityContext: {fsGroup: 7}", "");
	assert_int_equal(file(args, "token")->mode, 0600);
}

static void
a_pod_waits_for_its_account_and_says_so(void **state)
{
	struct kit *k = *state;

	assert_null(pod_started(k, ", serviceAccountName: robot", ""));
	assert_true(has(kit_text(k), "MountVolume.SetUp failed for volume \"kube-api-access-"));
	assert_true(
	    has(kit_text(k), "failed to fetch token: serviceaccounts \"robot\" not found"));
	kit_read(k, ACCOUNT(""));
	pass(k);
	assert_non_null(kit_body(k, ACT_START));
}

/* The clock is ours: nothing waits for another. */
static void
a_token_is_made_anew_when_four_fifths_of_its_life_are_over(void **state)
{
	static const char renewed[] =
	    "~ files pod default/web  # what its files are made of changed\n"
	    ". status pod default/web  # 1/1 ready\n";
	struct kit *k = *state;
	int64_t life = 3607 * 800, start = k->now;

	pod_started(k, "", "");
	kit_up(k, "web");
	pass(k);
	assert_string_equal(pass(k), "");
	assert_int_equal(k->plan.again_at, start + life);
	k->now = start + life - 1;
	assert_string_equal(pass(k), "");
	k->now = start + life;
	assert_string_equal(pass(k), renewed);
	assert_int_equal(file(kit_body(k, ACT_FILES), "token")->seconds, 3607);
	assert_string_equal(pass(k), "");
	assert_int_equal(k->plan.again_at, start + 2 * life);
	/* nobody looked for long */
	k->now = start + 9 * life + 5;
	assert_string_equal(pass(k), renewed);
	assert_string_equal(pass(k), "");
	/* one from the future is not good now */
	k->now = start - 30 * MINUTE;
	assert_string_equal(pass(k), renewed);
	assert_string_equal(pass(k), "");
	assert_int_equal(k->plan.again_at, start);
}

/* Whoever carries out the plan could not sign: it says when it is to be asked again. */
static void
a_token_that_was_not_signed_is_asked_for_again(void **state)
{
	struct kit *k = *state;
	struct kit_pod *p;
	int64_t due = k->now + 3607 * 800;

	pod_started(k, "", "");
	p = kit_up(k, "web");
	pass(k);
	pass(k);
	k->now = due;
	assert_true(has(pass(k), "~ files pod default/web"));
	p->seen.filesAgain = due + 4000;
	pass(k);
	assert_string_equal(web(k)->status->mountedFiles, "old"); /* also for who begins anew */
	assert_string_equal(pass(k), "");
	assert_int_equal(k->plan.again_at, due + 4000);
	k->now = due + 4000;
	assert_true(has(pass(k), "~ files pod default/web"));
	p->seen.filesAgain = 0;
	assert_string_equal(pass(k), "");
	p->seen.filesAgain = k->now + INT64_C(3600) * 1000; /* of a clock that was put back */
	assert_string_equal(pass(k), "");
}

static void
a_long_lived_token_is_made_anew_each_day(void **state)
{
	struct kit *k = *state;
	const struct pod *p;
	int64_t day = 24 * 60 * MINUTE, year = INT64_C(365) * 24 * 3600;

	placed(k, "", "");
	p = web(k);
	assert_int_equal(account_token_due(p, year, k->now), k->now + day);
	assert_int_equal(account_token_number(p, year, k->now + day - 1), 0);
	assert_int_equal(account_token_number(p, year, k->now + day), 1);
	assert_int_equal(account_token_number(p, year, k->now - 1), -1);
	assert_int_equal(account_token_number(p, year, k->now - day), -1);
	assert_int_equal(account_token_number(p, year, k->now - day - 1), -2);
}

static void
another_account_of_the_same_name_means_another_token(void **state)
{
	struct kit *k = *state;

	pod_started(k, "", "");
	kit_up(k, "web");
	pass(k);
	assert_string_equal(pass(k), "");
	kit_drop(k, RES_service_account, "default", "default");
	kit_do(k, account_reconcile, RES_namespace, "default");
	assert_true(has(pass(k), "~ files pod default/web"));
}

/* ---- a Secret's token ---- */

#define KEYS(data)                                                           \
	"apiVersion: v1\nkind: Secret\nmetadata: {name: keys, annotations: " \
	"{kubernetes.io/service-account.name: robot}}\n"                     \
	"type: kubernetes.io/service-account-token\n" data

static const char *
keys(struct kit *k)
{
	return kit_do(k, account_secret_reconcile, RES_secret, "keys");
}

static void
a_secret_of_an_account_is_filled_and_goes_with_it(void **state)
{
	static const char filled[] =
	    "~ update secret default/keys  # a token of its service account\n";
	struct kit *k = *state;
	const struct secret *x;

	kit_read(k, KEYS("data: {mine: YQ==}\n"));
	assert_string_equal(keys(k), ""); /* it waits for its account */
	kit_read(k, ACCOUNT(""));
	assert_string_equal(keys(k), filled);
	x = kit_find(k, RES_secret, "keys");
	assert_string_equal(pairs_get(&x->data, "namespace"), "ZGVmYXVsdA==");
	assert_string_equal(pairs_get(&x->data, "mine"), "YQ==");
	assert_string_equal(pairs_get(&x->data, SECRET_TOKEN_KEY), ""); /* for the brain */
	assert_string_equal(pairs_get(&x->metadata->annotations, SECRET_ACCOUNT_UID),
			    object_uid(kit_find(k, RES_service_account, "robot")));
	pairs_set((struct pairs *)&x->data, SECRET_TOKEN_KEY, "eA==", &k->arena);
	assert_string_equal(keys(k), "");
	k->settings.ca = "another";
	assert_string_equal(keys(k), filled);
	x = kit_find(k, RES_secret, "keys");
	assert_string_equal(pairs_get(&x->data, SECRET_TOKEN_KEY), "eA==");
	kit_drop(k, RES_service_account, "default", "robot");
	assert_string_equal(keys(k),
			    "- delete secret default/keys  # its service account is gone\n");
}

static void
a_secret_of_another_account_of_that_name_goes(void **state)
{
	struct kit *k = *state;

	kit_read(k, ACCOUNT("") "---\n" KEYS(""));
	keys(k);
	kit_drop(k, RES_service_account, "default", "robot");
	kit_read(k, ACCOUNT(""));
	assert_string_equal(keys(k),
			    "- delete secret default/keys  # its service account is gone\n");
}

/* ---- the namespace's, and the Service ---- */

static void
the_root_certificate_is_put_back_and_follows_the_authority(void **state)
{
	struct kit *k = *state;
	const struct config_map *cm = kit_find(k, RES_config_map, ROOT_CA);

	assert_string_equal(pairs_get(&cm->data, ROOT_CA_KEY), k->settings.ca);
	assert_string_equal(kit_do(k, account_reconcile, RES_namespace, "default"), "");
	kit_drop(k, RES_config_map, "default", ROOT_CA);
	assert_string_equal(kit_do(k, account_reconcile, RES_namespace, "default"),
			    "+ create configmap default/kube-root-ca.crt  # always there\n");
	k->settings.ca = "another";
	assert_string_equal(kit_do(k, account_reconcile, RES_namespace, "default"),
			    "~ update configmap default/kube-root-ca.crt  # the API's "
			    "authority is another one\n");
	cm = kit_find(k, RES_config_map, ROOT_CA);
	assert_string_equal(pairs_get(&cm->data, ROOT_CA_KEY), "another");
}

static void
the_service_stands_at_the_first_address_and_settles(void **state)
{
	struct kit *k = *state;
	const struct service *svc;
	const struct endpoint_slice *x;

	assert_string_equal(kubernetes(k),
			    "+ create service default/kubernetes  # in front of the API\n"
			    "+ create endpointslice default/kubernetes  # in front of the API\n"
			    "+ create endpoints default/kubernetes  # in front of the API\n");
	assert_string_equal(kubernetes(k), "");
	svc = kit_find(k, RES_service, "kubernetes");
	assert_string_equal(svc->spec->clusterIP, "10.43.0.1");
	assert_int_equal(svc->spec->ports.at[0].port, 443);
	assert_string_equal(kit_try(k, service_reconcile, RES_service, "kubernetes"), "");
	x = kit_find(k, RES_endpoint_slice, "kubernetes");
	assert_string_equal(x->endpoints.at[0].addresses.at[0], "10.42.0.1");
	/* nobody mirrors what is there already */
	assert_string_equal(kit_try(k, endpoints_reconcile, RES_service, "kubernetes"), "");
	k->settings.api_port = 7443;
	kubernetes(k);
	x = kit_find(k, RES_endpoint_slice, "kubernetes");
	assert_int_equal(x->ports.at[0].port, 7443);
	k->settings.api_ip = 0;
	kubernetes(k);
	assert_null(kit_find(k, RES_service, "kubernetes"));
	assert_null(kit_find(k, RES_endpoint_slice, "kubernetes"));
	assert_null(kit_find(k, RES_endpoints, "kubernetes"));
	assert_string_equal(kubernetes(k), "");
}

static void
a_service_of_that_name_that_is_somebodys_stays(void **state)
{
	struct kit *k = *state;

	kit_read(k, "apiVersion: v1\nkind: Service\nmetadata: {name: kubernetes}\n"
		    "spec: {ports: [{port: 80}]}\n");
	assert_string_equal(kubernetes(k), "");
	k->settings.api_ip = 0;
	assert_string_equal(kubernetes(k), "");
}

/* ---- names ---- */

static void
an_accounts_name_has_two_parts(void **state)
{
	static const char *const none[] = { "ann",
					    "system:serviceaccount:",
					    "system:serviceaccount:a",
					    "system:serviceaccount::b",
					    "system:serviceaccount:a:",
					    "system:serviceaccount:a:b:c" };
	struct kit *k = *state;
	const char *ns, *name;

	for (size_t i = 0; i < sizeof none / sizeof *none; i++)
		assert_false(user_is_account(none[i], &ns, &name, &k->arena));
	assert_true(user_is_account(user_account_name("shop", "robot", &k->arena), &ns, &name,
				    &k->arena));
	assert_string_equal(ns, "shop");
	assert_string_equal(name, "robot");
}

#define A(f) cmocka_unit_test_setup_teardown(f, begin, kit_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		A(a_pod_gets_what_kubernetes_admission_gives_it),
		A(a_pod_without_the_wish_for_a_token_gets_none),
		A(what_a_container_mounts_at_that_place_stays),
		A(pull_secrets_of_the_account_are_for_pods_without_their_own),
		A(a_replica_set_makes_no_pods_of_an_account_that_is_not_there),
		A(what_the_files_hold_goes_to_who_signs),
		A(a_pod_waits_for_its_account_and_says_so),
		A(a_token_is_made_anew_when_four_fifths_of_its_life_are_over),
		A(a_token_that_was_not_signed_is_asked_for_again),
		A(a_long_lived_token_is_made_anew_each_day),
		A(another_account_of_the_same_name_means_another_token),
		A(a_secret_of_an_account_is_filled_and_goes_with_it),
		A(a_secret_of_another_account_of_that_name_goes),
		A(the_root_certificate_is_put_back_and_follows_the_authority),
		A(the_service_stands_at_the_first_address_and_settles),
		A(a_service_of_that_name_that_is_somebodys_stays),
		A(an_accounts_name_has_two_parts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
