/* t_volume.c -- claims and volumes: what binds to what, and when data goes. */
#include "control.h"

static int
setup(void **state)
{
	struct kit *k;

	kit_setup(state);
	k = *state;
	k->stores.folder = "/state/volumes";
	kit_read(k, "apiVersion: v1\nkind: Node\n"
		    "metadata: {name: node, labels: {kubernetes.io/hostname: node}}\n"
		    "status: {allocatable: {cpu: '2', memory: 4Gi}}\n---\n"
		    "apiVersion: storage.k8s.io/v1\nkind: StorageClass\n"
		    "metadata: {name: local, annotations: "
		    "{storageclass.kubernetes.io/is-default-class: 'true'}}\n"
		    "provisioner: kedge.dev/local\n");
	return 0;
}

static void
claim(struct kit *k, const char *name, const char *more)
{
	char *text;

	xasprintf(&text,
		  "apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: %s}\n"
		  "spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: "
		  "1Gi}}%s}\n",
		  name, more);
	kit_read(k, text);
	free(text);
}

static void
volume(struct kit *k, const char *name, const char *size, const char *more)
{
	char *text;

	xasprintf(&text,
		  "apiVersion: v1\nkind: PersistentVolume\nmetadata: {name: %s}\n"
		  "spec: {accessModes: [ReadWriteOnce], capacity: {storage: %s}, hostPath: "
		  "{path: /srv/%s}%s}\n",
		  name, size, name, more);
	kit_read(k, text);
	free(text);
}

static void
pod(struct kit *k, const char *name, const char *claim_name)
{
	char *text;

	xasprintf(&text,
		  "apiVersion: v1\nkind: Pod\nmetadata: {name: %s}\n"
		  "spec: {containers: [{name: c, image: 'c:1', volumeMounts: [{name: d, "
		  "mountPath: /d}]}], volumes: [{name: d, persistentVolumeClaim: {claimName: "
		  "%s}}]}\n",
		  name, claim_name);
	kit_read(k, text);
	free(text);
}

/* Passes of all controllers of storage and pods until nothing is left to do. */
static void
settle(struct kit *k)
{
	for (int round = 0; round < 12; round++) {
		struct snapshot *s = kit_snapshot(k);
		struct objects pv = s->of[RES_persistent_volume],
			       pvc = s->of[RES_persistent_volume_claim], pods = s->of[RES_pod];

		for (size_t i = 0; i < pv.n; i++)
			volume_reconcile(s, (const void *)pv.at[i], &k->plan);
		for (size_t i = 0; i < pvc.n; i++)
			claim_reconcile(s, (const void *)pvc.at[i], &k->plan);
		for (size_t i = 0; i < pods.n; i++)
			pod_reconcile(s, (const void *)pods.at[i], &k->plan);
		if (!k->plan.n)
			return;
		kit_carry_all(k);
	}
	fail_msg("never settles: %s", kit_text(k));
}

static const struct persistent_volume_claim *
pvc(struct kit *k, const char *name)
{
	return kit_find(k, RES_persistent_volume_claim, name);
}

static const struct persistent_volume *
pv(struct kit *k, const char *name)
{
	return kit_find(k, RES_persistent_volume, name);
}

static const char *
made(struct kit *k, const char *name)
{
	return arena_printf(&k->arena, "pvc-%s", object_uid(pvc(k, name)));
}

static void
delete_claim(struct kit *k, const char *name)
{
	kit_mark_any(k, RES_persistent_volume_claim,
		     &(struct action){ .ns = "default", .name = name });
}

static void
a_claim_gets_the_default_class_and_a_directory_of_its_own(void **state)
{
	struct kit *k = *state;
	const struct persistent_volume *v;

	claim(k, "data", "");
	settle(k);
	assert_string_equal(pvc(k, "data")->spec->storageClassName, "local");
	assert_string_equal(pvc(k, "data")->status->phase, "Bound");
	assert_string_equal(pvc(k, "data")->spec->volumeName, made(k, "data"));
	assert_string_equal(pairs_get(&pvc(k, "data")->status->capacity, "storage"), "1Gi");
	v = pv(k, made(k, "data"));
	assert_string_equal(v->status->phase, "Bound");
	assert_string_equal(v->spec->persistentVolumeReclaimPolicy, "Delete");
	assert_string_equal(v->spec->claimRef->uid, object_uid(pvc(k, "data")));
	assert_non_null(strstr(v->spec->local->path, "/state/volumes/pvc-"));
	assert_int_equal(k->stores.stores.n, 1);
}

/* Runs until nothing is left to do; how often it told of this. */
static int
told(struct kit *k, const char *name, const char *event)
{
	int n = 0;

	for (int round = 0; round < 6; round++) {
		kit_do(k, claim_reconcile, RES_persistent_volume_claim, name);
		n += strstr(kit_text(k), event) != NULL;
	}
	return n;
}

static void
what_the_default_class_cannot_make_is_told_once(void **state)
{
	struct kit *k = *state;

	claim(k, "raw", ", volumeMode: Block");
	assert_int_equal(told(k, "raw",
			      "ProvisioningFailed: failed to provision volume with "
			      "StorageClass \"local\": kedge.dev/local makes no volumes of "
			      "mode Block"),
			 1);
	assert_string_equal(pvc(k, "raw")->status->phase, "Pending");
	claim(k, "chosen", ", selector: {matchLabels: {a: b}}");
	assert_int_equal(told(k, "chosen",
			      "ProvisioningFailed: failed to provision volume with "
			      "StorageClass \"local\": claim.Spec.Selector is not supported"),
			 1);
}

static void
what_the_default_class_waits_for_is_told(void **state)
{
	struct kit *k = *state;

	kit_drop(k, RES_storage_class, "", "local");
	kit_read(k, "apiVersion: storage.k8s.io/v1\nkind: StorageClass\n"
		    "metadata: {name: late, annotations: "
		    "{storageclass.kubernetes.io/is-default-class: 'true'}}\n"
		    "provisioner: kedge.dev/local\nvolumeBindingMode: WaitForFirstConsumer\n");
	claim(k, "data", "");
	assert_int_equal(told(k, "data", "WaitForFirstConsumer: waiting for first consumer"),
			 1);
	assert_string_equal(pvc(k, "data")->status->phase, "Pending");
}

static void
the_directory_is_there_before_the_volume_that_promises_it(void **state)
{
	struct kit *k = *state;

	claim(k, "data", ", storageClassName: local");
	kit_do(k, claim_reconcile, RES_persistent_volume_claim, "data");
	assert_int_equal(k->n[RES_persistent_volume], 0);
	assert_non_null(strstr(kit_text(k), "+ provision persistentvolume pvc-"));
	kit_do(k, claim_reconcile, RES_persistent_volume_claim, "data");
	assert_non_null(strstr(kit_text(k), "+ create persistentvolume pvc-"));
}

static void
the_smallest_volume_that_fits_is_taken_and_by_one_claim_only(void **state)
{
	struct kit *k = *state;

	volume(k, "big", "9Gi", "");
	volume(k, "small", "2Gi", "");
	volume(k, "tiny", "1Mi", "");
	claim(k, "a", ", storageClassName: ''");
	claim(k, "b", ", storageClassName: ''");
	claim(k, "c", ", storageClassName: ''");
	settle(k);
	assert_string_equal(pvc(k, "a")->spec->volumeName, "small");
	assert_string_equal(pvc(k, "b")->spec->volumeName, "big");
	assert_string_equal(pairs_get(&pvc(k, "b")->status->capacity, "storage"), "9Gi");
	assert_string_equal(pvc(k, "c")->status->phase, "Pending");
	assert_string_equal(pv(k, "tiny")->status->phase, "Available");
}

static void
class_selector_and_access_modes_must_match(void **state)
{
	struct kit *k = *state;

	volume(k, "other-class", "2Gi", ", storageClassName: slow");
	volume(k, "plain", "2Gi", "");
	claim(k, "many", ", storageClassName: ''");
	((struct persistent_volume_claim *)pvc(k, "many"))->spec->accessModes.at[0] =
	    "ReadWriteMany";
	claim(k, "picky", ", storageClassName: '', selector: {matchLabels: {disk: fast}}");
	settle(k);
	assert_string_equal(pvc(k, "many")->status->phase, "Pending");
	assert_string_equal(pvc(k, "picky")->status->phase, "Pending");
	kit_read(k, "apiVersion: v1\nkind: PersistentVolume\nmetadata: {name: fast, labels: "
		    "{disk: fast}}\nspec: {accessModes: [ReadWriteOnce], "
		    "capacity: {storage: 1Gi}, hostPath: {path: /srv/f}}\n");
	settle(k);
	assert_string_equal(pvc(k, "picky")->spec->volumeName, "fast");
}

static void
a_claim_may_name_its_volume_and_a_volume_its_claim(void **state)
{
	struct kit *k = *state;

	volume(k, "mine", "2Gi", ", claimRef: {namespace: default, name: later}");
	volume(k, "named", "2Gi", "");
	claim(k, "thief", ", storageClassName: '', volumeName: mine");
	claim(k, "a", ", storageClassName: '', volumeName: named");
	settle(k);
	assert_string_equal(pv(k, "mine")->status->phase, "Available");
	assert_string_equal(pvc(k, "thief")->status->phase, "Pending");
	assert_string_equal(pv(k, "named")->spec->claimRef->name, "a");
	claim(k, "later", ", storageClassName: ''");
	settle(k);
	assert_string_equal(pvc(k, "later")->spec->volumeName, "mine");
	assert_string_equal(pv(k, "mine")->status->phase, "Bound");
}

static void
a_class_that_waits_binds_when_a_pod_comes(void **state)
{
	struct kit *k = *state;

	kit_read(k, "apiVersion: storage.k8s.io/v1\nkind: StorageClass\nmetadata: {name: w}\n"
		    "provisioner: kedge.dev/local\nvolumeBindingMode: WaitForFirstConsumer\n");
	claim(k, "data", ", storageClassName: w");
	kit_do(k, claim_reconcile, RES_persistent_volume_claim, "data");
	assert_non_null(strstr(kit_text(k), "WaitForFirstConsumer: waiting for first consumer "
					    "to be created before binding"));
	settle(k);
	assert_string_equal(pvc(k, "data")->status->phase, "Pending");
	pod(k, "web", "data");
	settle(k);
	assert_string_equal(pvc(k, "data")->status->phase, "Bound");
	assert_string_equal(((struct pod *)kit_find(k, RES_pod, "web"))->spec->nodeName,
			    "node");
}

static const char *
why_not(struct kit *k, const char *name)
{
	const struct pod *p = kit_find(k, RES_pod, name);

	for (size_t i = 0; p->status && i < p->status->conditions.n; i++)
		if (!strcmp(p->status->conditions.at[i].type, "PodScheduled"))
			return p->status->conditions.at[i].message;
	return NULL;
}

static void
a_pod_waits_for_its_claims_in_the_schedulers_words(void **state)
{
	struct kit *k = *state;

	pod(k, "web", "data");
	settle(k);
	assert_string_equal(
	    why_not(k, "web"),
	    "0/1 nodes are available: persistentvolumeclaim \"data\" not found.");
	claim(k, "data", ", storageClassName: ''");
	settle(k);
	assert_string_equal(why_not(k, "web"), "0/1 nodes are available: pod has unbound "
					       "immediate PersistentVolumeClaims.");
	volume(k, "v", "1Gi", "");
	settle(k);
	assert_string_equal(((struct pod *)kit_find(k, RES_pod, "web"))->spec->nodeName,
			    "node");
}

static void
a_volume_of_another_node_keeps_the_pod_away(void **state)
{
	struct kit *k = *state;

	kit_read(k, "apiVersion: v1\nkind: PersistentVolume\nmetadata: {name: far}\n"
		    "spec: {accessModes: [ReadWriteOnce], capacity: {storage: 1Gi}, "
		    "local: {path: /srv/far}, nodeAffinity: {required: {nodeSelectorTerms: "
		    "[{matchExpressions: [{key: kubernetes.io/hostname, operator: In, values: "
		    "[other]}]}]}}}\n");
	claim(k, "data", ", storageClassName: '', volumeName: far");
	pod(k, "web", "data");
	settle(k);
	assert_string_equal(pvc(k, "data")->status->phase, "Bound");
	assert_string_equal(
	    why_not(k, "web"),
	    "0/1 nodes are available: 1 node(s) had volume node affinity conflict.");
}

static const struct volume_args *
mounted(struct kit *k, const char *name)
{
	const struct sandbox_args *args;
	struct snapshot *s = kit_snapshot(k);

	pod_reconcile(s, kit_find(k, RES_pod, name), &k->plan);
	kit_carry_all(k);
	s = kit_snapshot(k);
	pod_reconcile(s, kit_find(k, RES_pod, name), &k->plan);
	args = kit_body(k, ACT_START);
	if (!args)
		fail_msg("not started: %s", kit_text(k));
	return &args->volumes.at[0];
}

static void
the_hand_is_given_a_name_of_the_store_or_a_path_to_be_allowed(void **state)
{
	struct kit *k = *state;

	claim(k, "own", "");
	volume(k, "v", "1Gi", "");
	claim(k, "static", ", storageClassName: ''");
	settle(k);
	pod(k, "a", "own");
	assert_string_equal(mounted(k, "a")->type, "store");
	pod(k, "b", "static");
	assert_string_equal(mounted(k, "b")->source, "/srv/v");
}

static void
a_claim_that_is_used_stays_until_its_pod_is_gone(void **state)
{
	struct kit *k = *state;

	claim(k, "data", "");
	settle(k);
	pod(k, "web", "data");
	settle(k);
	delete_claim(k, "data");
	settle(k);
	assert_non_null(pvc(k, "data"));
	assert_int_equal(k->stores.stores.n, 1);
	kit_pod_drop(k, object_uid(kit_find(k, RES_pod, "web")));
	kit_drop(k, RES_pod, "default", "web");
	settle(k);
	assert_null(pvc(k, "data"));
	assert_int_equal(k->stores.stores.n, 0); /* Delete */
	assert_int_equal(k->n[RES_persistent_volume], 0);
}

static void
retained_data_stays_with_its_volume(void **state)
{
	struct kit *k = *state;
	const char *name;

	kit_read(k,
		 "apiVersion: storage.k8s.io/v1\nkind: StorageClass\nmetadata: {name: keep}\n"
		 "provisioner: kedge.dev/local\nreclaimPolicy: Retain\n");
	claim(k, "data", ", storageClassName: keep");
	settle(k);
	name = made(k, "data");
	delete_claim(k, "data");
	settle(k);
	assert_null(pvc(k, "data"));
	assert_string_equal(pv(k, name)->status->phase, "Released");
	assert_int_equal(k->stores.stores.n, 1);
	claim(k, "data", ", storageClassName: keep"); /* of the same name, and another */
	settle(k);
	assert_string_not_equal(pvc(k, "data")->spec->volumeName, name);
	assert_string_equal(pv(k, name)->status->phase, "Released");
}

static void
a_volume_that_kedge_did_not_make_is_never_deleted_with_its_data(void **state)
{
	struct kit *k = *state;

	volume(k, "v", "1Gi", ", persistentVolumeReclaimPolicy: Delete");
	claim(k, "data", ", storageClassName: ''");
	settle(k);
	delete_claim(k, "data");
	settle(k);
	assert_string_equal(pv(k, "v")->status->phase, "Failed");
	assert_non_null(strstr(pv(k, "v")->status->message, "no deletable volume plugin"));
}

static void
a_bound_volume_is_protected_and_a_claim_without_one_is_lost(void **state)
{
	struct kit *k = *state;

	volume(k, "v", "1Gi", "");
	claim(k, "data", ", storageClassName: ''");
	settle(k);
	kit_mark_any(k, RES_persistent_volume, &(struct action){ .ns = "", .name = "v" });
	settle(k);
	assert_non_null(pv(k, "v"));
	kit_drop(k, RES_persistent_volume, "", "v"); /* as if its finalizer had been taken */
	settle(k);
	assert_string_equal(pvc(k, "data")->status->phase, "Lost");
}

/* The volume is deleted while its claim has it, then the claim. */
static const char *
deleted_first(struct kit *k, const char *class)
{
	const char *name;

	claim(k, "data", class);
	settle(k);
	name = made(k, "data");
	kit_mark_any(k, RES_persistent_volume, &(struct action){ .ns = "", .name = name });
	settle(k);
	assert_int_equal(k->stores.stores.n, 1);
	delete_claim(k, "data");
	settle(k);
	assert_null(pvc(k, "data"));
	return name;
}

static void
a_volume_that_is_deleted_before_its_claim_takes_its_data_along(void **state)
{
	struct kit *k = *state;
	const char *name = deleted_first(k, "");

	assert_int_equal(k->stores.stores.n, 0);
	assert_null(pv(k, name));
	kit_read(k,
		 "apiVersion: storage.k8s.io/v1\nkind: StorageClass\nmetadata: {name: keep}\n"
		 "provisioner: kedge.dev/local\nreclaimPolicy: Retain\n");
	name = deleted_first(k, ", storageClassName: keep");
	assert_int_equal(k->stores.stores.n, 1);
	assert_null(pv(k, name));
}

static void
a_claim_grows_where_its_class_lets_it(void **state)
{
	struct kit *k = *state;
	struct persistent_volume_claim *c;

	((struct storage_class *)kit_find(k, RES_storage_class, "local"))
	    ->allowVolumeExpansion = true;
	claim(k, "data", "");
	settle(k);
	c = object_clone(pvc(k, "data"), &k->arena);
	pairs_set(&c->spec->resources->requests, "storage", "3Gi", &k->arena);
	kit_update(k, c);
	settle(k);
	assert_string_equal(pairs_get(&pvc(k, "data")->status->capacity, "storage"), "3Gi");
}

static void
nothing_is_made_or_removed_before_the_hand_has_spoken(void **state)
{
	struct kit *k = *state;

	claim(k, "data", ", storageClassName: local");
	k->mute = true;
	kit_do(k, claim_reconcile, RES_persistent_volume_claim, "data");
	assert_string_equal(kit_text(k), "");
	assert_int_equal(k->stores.stores.n, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, kit_teardown)
		T(a_claim_gets_the_default_class_and_a_directory_of_its_own),
		T(what_the_default_class_cannot_make_is_told_once),
		T(what_the_default_class_waits_for_is_told),
		T(the_directory_is_there_before_the_volume_that_promises_it),
		T(the_smallest_volume_that_fits_is_taken_and_by_one_claim_only),
		T(class_selector_and_access_modes_must_match),
		T(a_claim_may_name_its_volume_and_a_volume_its_claim),
		T(a_class_that_waits_binds_when_a_pod_comes),
		T(a_pod_waits_for_its_claims_in_the_schedulers_words),
		T(a_volume_of_another_node_keeps_the_pod_away),
		T(the_hand_is_given_a_name_of_the_store_or_a_path_to_be_allowed),
		T(a_claim_that_is_used_stays_until_its_pod_is_gone),
		T(retained_data_stays_with_its_volume),
		T(a_volume_that_kedge_did_not_make_is_never_deleted_with_its_data),
		T(a_bound_volume_is_protected_and_a_claim_without_one_is_lost),
		T(a_volume_that_is_deleted_before_its_claim_takes_its_data_along),
		T(a_claim_grows_where_its_class_lets_it),
		T(nothing_is_made_or_removed_before_the_hand_has_spoken),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
