/* t_deployment.c -- mutate the Deployment, its sets or their pods; expect the plan. */
#include "control.h"

/* `more` is block YAML under spec, e.g. "  paused: true\n". */
static void
deploy(struct kit *k, int replicas, const char *image, const char *meta, const char *more)
{
	char *text;

	xasprintf(&text,
		  "apiVersion: apps/v1\nkind: Deployment\n"
		  "metadata: {name: web, uid: d-1, generation: 1%s}\n"
		  "spec:\n  replicas: %d\n  selector: {matchLabels: {app: web}}\n%s"
		  "  template:\n    metadata: {labels: {app: web}}\n"
		  "    spec: {containers: [{name: web, image: '%s'}]}\n",
		  meta, replicas, more, image);
	kit_read(k, text);
	free(text);
}

static const char *
pass(struct kit *k)
{
	return kit_do(k, deployment_reconcile, RES_deployment, "web");
}

static struct deployment *
draft(struct kit *k)
{
	return object_clone(kit_find(k, RES_deployment, "web"), &k->arena);
}

static void
set_image(struct kit *k, const char *image)
{
	struct deployment *d = draft(k);

	d->spec->template->spec->containers.at[0].image = image;
	kit_update(k, d);
}

static struct replica_set *
set_of(struct kit *k, const char *image)
{
	for (size_t i = 0; i < k->n[RES_replica_set]; i++) {
		struct replica_set *rs = (void *)k->of[RES_replica_set][i];

		if (!strcmp(rs->spec->template->spec->containers.at[0].image, image))
			return rs;
	}
	return NULL;
}

/* As many pods as the set wants, `ready` of them ready now. */
static void
pods(struct kit *k, const char *image, int ready)
{
	const struct replica_set *rs = set_of(k, image);
	char *text;

	for (size_t i = k->n[RES_pod]; i-- > 0;) {
		const struct object *p = k->of[RES_pod][i];

		if (!strcmp(object_controller(p)->uid, object_uid(rs)))
			kit_drop(k, RES_pod, "default", object_name(p));
	}
	for (int i = 0; i < rs->spec->replicas; i++) {
		xasprintf(
		    &text,
		    "apiVersion: v1\nkind: Pod\nmetadata: {name: %s-%d, labels: {app: web}, "
		    "ownerReferences: [{apiVersion: apps/v1, kind: ReplicaSet, name: %s, "
		    "uid: %s, controller: true}]}\n"
		    "spec: {containers: [{name: web, image: '%s'}]}\n"
		    "status: {phase: Running, conditions: [{type: Ready, status: '%s', "
		    "lastTransitionTime: '2027-01-15T07:59:59Z'}]}\n",
		    object_name(rs), i, object_name(rs), object_uid(rs), image,
		    i < ready ? "True" : "False");
		kit_read(k, text);
		free(text);
	}
}

static const struct condition *
condition(struct kit *k, const char *type)
{
	const struct deployment *d = kit_find(k, RES_deployment, "web");

	for (size_t i = 0; d->status && i < d->status->conditions.n; i++)
		if (!strcmp(d->status->conditions.at[i].type, type))
			return &d->status->conditions.at[i];
	return NULL;
}

/* Rolled out and settled, all ready. */
static void
settled(struct kit *k, int replicas, const char *image, const char *more)
{
	deploy(k, replicas, image, "", more);
	pass(k);
	pods(k, image, replicas);
	pass(k);
	pass(k);
	assert_int_equal(k->plan.n, 0);
}

#define ROLL(surge, unavailable)                                             \
	"  strategy: {type: RollingUpdate, rollingUpdate: {maxSurge: " surge \
	", maxUnavailable: " unavailable "}}\n"

static void
the_first_set_has_the_template_a_hash_and_its_owner(void **state)
{
	struct kit *k = *state;
	const struct replica_set *rs;
	const char *hash;

	deploy(k, 3, "web:1",
	       ", annotations: {kubernetes.io/change-cause: first, "
	       "kedge.dev/place: 'web.yaml:1'}",
	       "");
	pass(k);
	rs = kit_body(k, ACT_CREATE);
	hash = object_label(rs, "pod-template-hash");
	assert_true(strlen(hash) >= 7 && strlen(hash) <= 10);
	assert_int_equal(strspn(hash, "bcdfghjklmnpqrstvwxz2456789"), strlen(hash));
	assert_string_equal(object_name(rs), arena_printf(&k->arena, "web-%s", hash));
	assert_string_equal(pairs_get(&rs->spec->selector->matchLabels, "pod-template-hash"),
			    hash);
	assert_string_equal(
	    pairs_get(&rs->spec->template->metadata->labels, "pod-template-hash"), hash);
	assert_int_equal(rs->spec->replicas, 3);
	assert_string_equal(object_controller(rs)->uid, "d-1");
	assert_string_equal(object_annotation(rs, "deployment.kubernetes.io/revision"), "1");
	assert_string_equal(object_annotation(rs, "deployment.kubernetes.io/desired-replicas"),
			    "3");
	assert_string_equal(object_annotation(rs, "deployment.kubernetes.io/max-replicas"),
			    "4");
	assert_string_equal(object_annotation(rs, "kubernetes.io/change-cause"), "first");
	assert_null(object_annotation(rs, "kedge.dev/place"));
	assert_string_equal(object_annotation(kit_find(k, RES_deployment, "web"),
					      "deployment.kubernetes.io/revision"),
			    "1");
}

static void
a_settled_deployment_is_left_alone(void **state)
{
	struct kit *k = *state;
	const struct condition *c;

	settled(k, 3, "web:1", "");
	c = condition(k, "Available");
	assert_string_equal(c->status, "True");
	assert_string_equal(c->reason, "MinimumReplicasAvailable");
	assert_string_equal(c->message, "Deployment has minimum availability.");
	c = condition(k, "Progressing");
	assert_string_equal(c->reason, "NewReplicaSetAvailable");
	assert_string_equal(c->message,
			    arena_printf(&k->arena,
					 "ReplicaSet \"%s\" has successfully progressed.",
					 object_name(set_of(k, "web:1"))));
}

static void
a_rollout_goes_step_by_step(void **state)
{
	struct kit *k = *state;
	char *old, *new, *want;

	settled(k, 3, "web:1", ROLL("1", "0"));
	old = arena_strdup(&k->arena, object_name(set_of(k, "web:1")));
	set_image(k, "web:2");
	pass(k);
	new = arena_strdup(&k->arena, object_name(set_of(k, "web:2")));
	want = arena_printf(&k->arena,
			    "+ create replicaset default/%s 0 -> 1  # new template\n"
			    "~ update deployment default/web  # revision 2\n",
			    new);
	assert_string_equal(kit_text(k), want);
	pods(k, "web:2", 0);
	assert_string_equal(pass(k),
			    ". status deployment default/web  # 1/3 updated, 3/3 available\n");
	pods(k, "web:2", 1); /* ready: one of the old may go */
	want = arena_printf(&k->arena,
			    "~ scale replicaset default/%s 3 -> 2  # replaced\n"
			    ". status deployment default/web  # 1/3 updated, 4/3 available\n",
			    old);
	assert_string_equal(pass(k), want);
	pods(k, "web:1", 2);
	want = arena_printf(&k->arena,
			    "~ scale replicaset default/%s 1 -> 2  # room to grow\n"
			    ". status deployment default/web  # 1/3 updated, 3/3 available\n",
			    new);
	assert_string_equal(pass(k), want);
}

static void
the_broken_of_the_old_go_first_and_count_for_nothing(void **state)
{
	struct kit *k = *state;

	settled(k, 4, "web:1", ROLL("0", "1"));
	pods(k, "web:1", 3); /* one fell */
	set_image(k, "web:2");
	pass(k);
	assert_int_equal(set_of(k, "web:2")->spec->replicas, 0);
	pass(k);
	assert_string_equal(k->plan.at[0].why, "never became ready");
	assert_int_equal(k->plan.at[0].to,
			 3); /* availability is at its floor: no more than that */
}

static void
old_pods_that_may_recover_are_kept_while_the_new_ones_are_missing(void **state)
{
	struct kit *k = *state;

	settled(k, 4, "web:1", ROLL("0", "1"));
	pods(k, "web:1", 2);
	set_image(k, "web:2");
	for (int i = 0; i < 6; i++) {
		pass(k);
		pods(k, "web:1", 2);
		pods(k, "web:2", 0);
	}
	assert_int_equal(set_of(k, "web:1")->spec->replicas, 3);
	assert_int_equal(set_of(k, "web:2")->spec->replicas, 1);
}

static void
a_broken_new_version_stops_the_rollout_at_the_floor(void **state)
{
	struct kit *k = *state;

	settled(k, 4, "web:1", ROLL("1", "1"));
	set_image(k, "web:2");
	for (int i = 0; i < 10; i++) {
		pass(k);
		pods(k, "web:1", 4);
		pods(k, "web:2", 0);
	}
	assert_int_equal(set_of(k, "web:1")->spec->replicas, 3);
	assert_int_equal(set_of(k, "web:2")->spec->replicas, 2);
}

static void
a_revert_uses_the_former_set_again(void **state)
{
	struct kit *k = *state;
	const struct replica_set *old;

	settled(k, 2, "web:1", "");
	set_image(k, "web:2");
	for (int i = 0; i < 8; i++) {
		pass(k);
		pods(k, "web:1", 2);
		pods(k, "web:2", 2);
	}
	assert_int_equal(set_of(k, "web:1")->spec->replicas, 0);
	set_image(k, "web:1");
	pass(k);
	assert_int_equal(k->n[RES_replica_set], 2);
	old = set_of(k, "web:1");
	assert_string_equal(object_annotation(old, "deployment.kubernetes.io/revision"), "3");
	assert_string_equal(object_annotation(old, "deployment.kubernetes.io/revision-history"),
			    "1");
	assert_int_equal(old->spec->replicas, 1);
	assert_string_equal(object_annotation(kit_find(k, RES_deployment, "web"),
					      "deployment.kubernetes.io/revision"),
			    "3");
}

static void
the_oldest_of_a_long_history_is_forgotten(void **state)
{
	struct kit *k = *state;
	struct replica_set *rs;
	struct buf was = { 0 }, is = { 0 };

	buf_adds(&was, "100000000"); /* of 1999 characters */
	for (int i = 0; i < 199; i++) {
		buf_addf(&was, ",%09d", i);
		buf_addf(&is, "%09d,", i);
	}
	settled(k, 1, "web:1", "");
	rs = object_clone(set_of(k, "web:1"), &k->arena);
	pairs_set(&rs->metadata->annotations, "deployment.kubernetes.io/revision", "300000000",
		  &k->arena);
	pairs_set(&rs->metadata->annotations, "deployment.kubernetes.io/revision-history",
		  buf_text(&was), &k->arena);
	kit_put(k, rs);
	set_image(k, "web:2");
	pass(k);
	set_image(k, "web:1");
	pass(k);
	buf_adds(&is, "300000000");
	assert_string_equal(
	    object_annotation(set_of(k, "web:1"), "deployment.kubernetes.io/revision-history"),
	    buf_text(&is));
	buf_done(&was);
	buf_done(&is);
}

static void
recreate_waits_until_no_old_pod_is_left(void **state)
{
	struct kit *k = *state;
	struct pod *last;

	settled(k, 2, "web:1", "  strategy: {type: Recreate}\n");
	set_image(k, "web:2");
	pass(k);
	assert_string_equal(k->plan.at[0].why, "to be recreated");
	assert_null(set_of(k, "web:2"));
	last = object_clone(k->of[RES_pod][0], &k->arena);
	last->metadata->deletionTimestamp = k->now;
	kit_drop(k, RES_pod, "default", object_name(k->of[RES_pod][1]));
	kit_put(k, last);
	pass(k);
	assert_null(set_of(k, "web:2")); /* one is still on its way out */
	kit_drop(k, RES_pod, "default", object_name(last));
	pass(k);
	assert_int_equal(set_of(k, "web:2")->spec->replicas, 2);
}

static void
a_paused_deployment_scales_but_does_not_roll(void **state)
{
	struct kit *k = *state;
	struct deployment *d;

	settled(k, 2, "web:1", "");
	d = draft(k);
	d->spec->paused = true;
	d->spec->replicas = 5;
	d->spec->template->spec->containers.at[0].image = "web:2";
	kit_update(k, d);
	pass(k);
	assert_int_equal(set_of(k, "web:1")->spec->replicas, 5);
	assert_null(set_of(k, "web:2"));
	assert_string_equal(condition(k, "Progressing")->reason, "DeploymentPaused");
	assert_string_equal(condition(k, "Progressing")->message, "Deployment is paused");
	d = draft(k);
	d->spec->paused = false;
	kit_update(k, d);
	pass(k);
	assert_non_null(set_of(k, "web:2"));
}

static void
a_change_of_size_in_mid_rollout_is_shared_out(void **state)
{
	struct kit *k = *state;
	struct deployment *d;

	settled(k, 10, "web:1", ROLL("3", "2"));
	set_image(k, "web:2");
	for (int i = 0; i < 4; i++) { /* Kubernetes' own example: 8 old, 5 new */
		pass(k);
		pods(k, "web:1", 10);
		pods(k, "web:2", 0);
	}
	assert_int_equal(set_of(k, "web:1")->spec->replicas, 8);
	assert_int_equal(set_of(k, "web:2")->spec->replicas, 5);
	d = draft(k);
	d->spec->replicas = 15;
	kit_update(k, d);
	pass(k);
	assert_int_equal(set_of(k, "web:1")->spec->replicas, 11);
	assert_int_equal(set_of(k, "web:2")->spec->replicas, 7);
	pods(k, "web:1", 11);
	pods(k, "web:2", 0);
	pass(k);
	assert_int_equal(
	    set_of(k, "web:1")->spec->replicas + set_of(k, "web:2")->spec->replicas, 18);
}

static void
without_progress_the_deadline_passes(void **state)
{
	struct kit *k = *state;
	const struct condition *c;

	deploy(k, 1, "web:1", "", "  progressDeadlineSeconds: 60\n");
	pass(k);
	assert_string_equal(condition(k, "Progressing")->reason, "NewReplicaSetCreated");
	pods(k, "web:1", 0);
	pass(k);
	assert_string_equal(condition(k, "Progressing")->reason, "ReplicaSetUpdated");
	pass(k);
	assert_int_equal(k->plan.n, 0);
	assert_int_equal(k->plan.again_at, k->now + 60 * 1000);
	k->now += 60 * 1000;
	pass(k);
	c = condition(k, "Progressing");
	assert_string_equal(c->status, "False");
	assert_string_equal(c->reason, "ProgressDeadlineExceeded");
	assert_string_equal(
	    c->message, arena_printf(&k->arena, "ReplicaSet \"%s\" has timed out progressing.",
				     object_name(set_of(k, "web:1"))));
	pass(k);
	assert_int_equal(k->plan.n, 0);
	assert_int_equal(k->plan.again_at, 0);
	pods(k, "web:1", 1); /* better late than never */
	pass(k);
	assert_string_equal(condition(k, "Progressing")->reason, "NewReplicaSetAvailable");
}

/* web:2 never became ready, beside or instead of the one pod of web:1. */
static void
timed_out(struct kit *k, const char *more)
{
	settled(k, 1, "web:1", more);
	set_image(k, "web:2");
	for (int i = 0; i < 4; i++) {
		pass(k);
		pods(k, "web:1", 1);
		if (set_of(k, "web:2"))
			pods(k, "web:2", 0);
	}
	k->now += 600 * 1000;
	pass(k);
	assert_string_equal(condition(k, "Progressing")->reason, "ProgressDeadlineExceeded");
}

static void
the_revert_of_one_that_timed_out_has_its_own_time(void **state)
{
	struct kit *k = *state;
	const struct condition *c;

	timed_out(k, "");
	set_image(k, "web:1");
	pass(k);
	c = condition(k, "Progressing");
	assert_string_equal(c->status, "True");
	assert_string_equal(c->reason, "FoundNewReplicaSet");
	assert_int_equal(c->lastTransitionTime, k->now);
	assert_int_equal(k->plan.again_at, k->now + 600 * 1000);
	k->now += 600 * 1000; /* and no more than that */
	pass(k);
	assert_string_equal(condition(k, "Progressing")->reason, "ProgressDeadlineExceeded");
	pods(k, "web:2", 0);
	pass(k);
	assert_string_equal(condition(k, "Progressing")->reason, "NewReplicaSetAvailable");
}

static void
what_is_to_be_recreated_after_a_timeout_has_its_own_time(void **state)
{
	struct kit *k = *state;

	timed_out(k, "  strategy: {type: Recreate}\n");
	set_image(k, "web:3");
	pass(k);
	assert_null(set_of(k, "web:3"));
	assert_string_equal(condition(k, "Progressing")->status, "True");
	assert_string_equal(condition(k, "Progressing")->message,
			    "Deployment \"web\" is progressing.");
}

static void
a_change_of_size_is_no_reason_to_forget_a_timeout(void **state)
{
	struct kit *k = *state;
	struct deployment *d;

	timed_out(k, "");
	d = draft(k);
	d->spec->replicas = 2;
	kit_update(k, d);
	pass(k);
	assert_string_equal(condition(k, "Progressing")->reason, "ProgressDeadlineExceeded");
}

static void
cannot_make(struct kit *k, const char *image, const char *why)
{
	struct replica_set *rs = object_clone(set_of(k, image), &k->arena);
	struct condition *c = arena_alloc(&k->arena, sizeof *c);

	*c = (struct condition){ .type = "ReplicaFailure",
				 .status = "True",
				 .reason = "FailedCreate",
				 .message = why };
	rs->status = arena_zalloc(&k->arena, sizeof *rs->status);
	rs->status->conditions.at = c;
	rs->status->conditions.n = 1;
	kit_put(k, rs);
}

static void
what_keeps_the_new_set_from_making_pods_is_told_before_what_keeps_the_old(void **state)
{
	struct kit *k = *state;

	settled(k, 1, "web:1", "");
	cannot_make(k, "web:1", "old");
	pass(k);
	assert_string_equal(condition(k, "ReplicaFailure")->message, "old");
	k->now += 1000;
	set_image(k, "web:2");
	pass(k);
	cannot_make(k, "web:1", "");
	set_of(k, "web:1")->status->conditions.n = 0;
	pass(k);
	assert_null(condition(k, "ReplicaFailure"));
	cannot_make(k, "web:1", "old");
	cannot_make(k, "web:2", "new");
	pass(k);
	assert_string_equal(condition(k, "ReplicaFailure")->message, "new");
}

static void
history_beyond_the_limit_is_cleaned_up(void **state)
{
	struct kit *k = *state;

	settled(k, 1, "web:1", "  revisionHistoryLimit: 2\n");
	for (int v = 2; v <= 5; v++) {
		set_image(k, arena_printf(&k->arena, "web:%d", v));
		for (int i = 0; i < 8; i++) {
			pass(k);
			for (int j = 1; j <= v; j++)
				if (set_of(k, arena_printf(&k->arena, "web:%d", j)))
					pods(k, arena_printf(&k->arena, "web:%d", j), 1);
			for (size_t j = 0; j < k->n[RES_replica_set]; j++) {
				struct replica_set *rs = (void *)k->of[RES_replica_set][j];

				if (rs->status)
					rs->status->observedGeneration =
					    rs->metadata->generation;
			}
		}
	}
	assert_int_equal(k->n[RES_replica_set], 3);
	assert_null(set_of(k, "web:1"));
	assert_null(set_of(k, "web:2"));
	assert_non_null(set_of(k, "web:3"));
}

static void
a_taken_name_leads_to_another_hash(void **state)
{
	struct kit *k = *state;
	const char *first;
	struct replica_set *foreign;

	deploy(k, 1, "web:1", "", "");
	kit_try(k, deployment_reconcile, RES_deployment, "web");
	foreign = object_clone(kit_body(k, ACT_CREATE), &k->arena);
	first = object_name(foreign);
	foreign->metadata->ownerReferences.at[0].uid = "someone-else";
	kit_create(k, foreign);
	pass(k);
	assert_int_equal(
	    ((struct deployment *)kit_find(k, RES_deployment, "web"))->status->collisionCount,
	    1);
	pass(k);
	assert_string_not_equal(
	    ((const struct object *)kit_body(k, ACT_CREATE))->metadata->name, first);
}

static void
a_matching_orphan_set_is_adopted(void **state)
{
	struct kit *k = *state;
	struct replica_set *rs;

	settled(k, 1, "web:1", "");
	rs = object_clone(set_of(k, "web:1"), &k->arena);
	rs->metadata->ownerReferences.n = 0;
	kit_put(k, rs);
	pass(k);
	assert_int_equal(k->plan.n, 1);
	assert_string_equal(k->plan.at[0].why, "adopted by web");
	assert_string_equal(object_controller(set_of(k, "web:1"))->uid, "d-1");
	pass(k);
	assert_int_equal(k->plan.n, 0);
}

static void
percentages_round_surge_up_and_unavailable_down(void **state)
{
	struct kit *k = *state;

	settled(k, 3, "web:1", ROLL("30%", "30%")); /* 0.9: one more, none less */
	set_image(k, "web:2");
	for (int i = 0; i < 4; i++) {
		pass(k);
		pods(k, "web:1", 3);
		pods(k, "web:2", 0);
	}
	assert_int_equal(set_of(k, "web:1")->spec->replicas, 3);
	assert_int_equal(set_of(k, "web:2")->spec->replicas, 1);
}

/* ---- the whole story, as an operator reads it in the log ---- */

/* Passes over everything, and a host that does what it is told at once. */
static void
tell(struct kit *k, struct buf *out, const char *title)
{
	buf_addf(out, "== %s\n", title);
	for (int round = 0; round < 60; round++) {
		struct snapshot *s = kit_snapshot(k);

		for (size_t i = 0; i < s->of[RES_deployment].n; i++)
			deployment_reconcile(s, (void *)s->of[RES_deployment].at[i], &k->plan);
		for (size_t i = 0; i < s->of[RES_replica_set].n; i++)
			replicaset_reconcile(s, (void *)s->of[RES_replica_set].at[i], &k->plan);
		for (size_t i = 0; i < s->of[RES_pod].n; i++)
			pod_reconcile(s, (void *)s->of[RES_pod].at[i], &k->plan);
		if (!k->plan.n)
			return;
		plan_print(&k->plan, out);
		kit_carry_all(k);
		k->now += 20;
		for (size_t i = 0; i < k->n[RES_pod]; i++) {
			const char *name = object_name(k->of[RES_pod][i]);
			struct kit_pod *p = kit_pod_of(k, object_uid(k->of[RES_pod][i]));

			if (p && !strcmp(p->seen.state, "starting"))
				kit_up(k, name);
			else if (p && !strcmp(p->seen.state, "stopping"))
				p->seen.state = "gone";
			else if (p)
				p->seen.drained = p->draining;
		}
	}
	fail_msg("%s", "it did not settle");
}

static void
a_rolling_update_and_its_revert_read_like_this(void **state)
{
	static const char path[] = "tests/golden/control/rollout.txt";
	struct kit *k = *state;
	struct buf out = { 0 };
	char want[32768] = "";
	FILE *f;

	kit_read(k, "apiVersion: v1\nkind: Node\nmetadata: {name: node}\n");
	deploy(k, 2, "web:1", "", ROLL("1", "0"));
	tell(k, &out, "first");
	set_image(k, "web:2");
	tell(k, &out, "web:2");
	set_image(k, "web:1");
	tell(k, &out, "revert");
	assert_int_equal(k->n[RES_replica_set], 2);
	if (getenv("KEDGE_GOLDEN")) {
		f = fopen(path, "w");
		assert_non_null(f);
		fputs(buf_text(&out), f);
	} else {
		f = fopen(path, "r");
		assert_non_null(f);
		want[fread(want, 1, sizeof want - 1, f)] = 0;
		assert_string_equal(buf_text(&out), want);
	}
	fclose(f);
	buf_done(&out);
}

#define T(f) cmocka_unit_test_setup_teardown(f, kit_setup, kit_teardown)
int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(the_first_set_has_the_template_a_hash_and_its_owner),
		T(a_settled_deployment_is_left_alone),
		T(a_rollout_goes_step_by_step),
		T(the_broken_of_the_old_go_first_and_count_for_nothing),
		T(old_pods_that_may_recover_are_kept_while_the_new_ones_are_missing),
		T(a_broken_new_version_stops_the_rollout_at_the_floor),
		T(a_revert_uses_the_former_set_again),
		T(the_oldest_of_a_long_history_is_forgotten),
		T(recreate_waits_until_no_old_pod_is_left),
		T(a_paused_deployment_scales_but_does_not_roll),
		T(a_change_of_size_in_mid_rollout_is_shared_out),
		T(without_progress_the_deadline_passes),
		T(the_revert_of_one_that_timed_out_has_its_own_time),
		T(what_is_to_be_recreated_after_a_timeout_has_its_own_time),
		T(a_change_of_size_is_no_reason_to_forget_a_timeout),
		T(what_keeps_the_new_set_from_making_pods_is_told_before_what_keeps_the_old),
		T(history_beyond_the_limit_is_cleaned_up),
		T(a_taken_name_leads_to_another_hash),
		T(a_matching_orphan_set_is_adopted),
		T(percentages_round_surge_up_and_unavailable_down),
		T(a_rolling_update_and_its_revert_read_like_this),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
