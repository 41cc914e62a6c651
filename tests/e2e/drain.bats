#!/usr/bin/env bats
# drain.bats -- evictions and PodDisruptionBudgets, with the real kubectl: oldest to newest.
load kit.bash

setup_file() {
	CONFIG='node: {name: n1}' file_begin --listen "$API"
	KUBECTLS=$(kubectls)
	KTIME=60
	export KUBECTLS KTIME
}
setup() {
	file_test
	kubectl_needs 27
}
teardown_file() { file_end; }

# web REPLICAS: a Deployment of that name, all of its pods ready
web() {
	k apply -f - >/dev/null <<-Y || return 1
		apiVersion: apps/v1
		kind: Deployment
		metadata: {name: web}
		spec:
		  replicas: $1
		  selector: {matchLabels: {app: web}}
		  template:
		    metadata: {labels: {app: web}}
		    spec:
		      terminationGracePeriodSeconds: 1
		      containers: [{name: main, image: "box:1"}]
	Y
	k rollout status deploy/web --timeout=40s >/dev/null
}
pdb() { k get pdb "$1" -o "jsonpath={.status.$2}"; }
pdb_is() { [ "$(pdb "$1" "$2")" = "$3" ]; }
a_pod() { k get pods -l app=web --field-selector=status.phase=Running -o 'jsonpath={.items[0].metadata.name}'; }
# evict POD: the answer's body
evict() {
	curl -sm 10 -H 'Content-Type: application/json' "http://$API/api/v1/namespaces/default/pods/$1/eviction${2:-}" \
		-d '{"apiVersion":"policy/v1","kind":"Eviction","metadata":{"name":"'"$1"'","namespace":"default"}}'
}
gone() { ! k get pod "$1" >/dev/null 2>&1; }
none_left() { [ -z "$(k get "$1" -o name 2>/dev/null)" ]; }
clean() {
	k uncordon n1 >/dev/null
	k delete pdb,deploy,pod --all --grace-period=1 >/dev/null && wait_for 20 "no pod is left" none_left pods
}

@test "a budget counts its pods, and kubectl shows it" {
	t() {
		web 3 || return 1
		k create pdb web --selector=app=web --min-available=2 || return 1
		wait_for 10 "one may go" pdb_is web disruptionsAllowed 1
		run k get pdb web
		matches '^NAME +MIN AVAILABLE +MAX UNAVAILABLE +ALLOWED DISRUPTIONS +AGE' || return 1
		matches '^web +2 +N/A +1 ' || return 1
		[ "$(pdb web currentHealthy)/$(pdb web desiredHealthy)/$(pdb web expectedPods)" = 3/2/3 ] || return 1
		run k describe pdb web
		matches 'Allowed disruptions: +1' || return 1
		[ "$(pdb web 'conditions[?(@.type=="DisruptionAllowed")].reason')" = SufficientPods ] || return 1
		k patch pdb web --type=merge -p '{"spec":{"minAvailable":null,"maxUnavailable":"34%"}}' || return 1
		wait_for 10 "two may go" pdb_is web disruptionsAllowed 2
		run k patch pdb web --type=merge -p '{"spec":{"minAvailable":1}}'
		has 'minAvailable and maxUnavailable cannot be both set' || return 1
		k scale deploy/web --replicas=1 || return 1
		wait_for 10 "of one, one may go" pdb_is web desiredHealthy 0
		clean
	}
	every t
}

@test "an eviction takes what the budget gives, and is put off when there is nothing left" {
	local one two
	K=kubectl
	web 2
	k create pdb web --selector=app=web --min-available=1
	wait_for 10 "one may go" pdb_is web disruptionsAllowed 1
	one=$(a_pod)
	run evict "$one" '?dryRun=All'
	has '"status":"Success"'
	pdb_is web disruptionsAllowed 1
	k create pdb other --selector=app=web --max-unavailable=1
	run evict "$one"
	has 'This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.'
	k delete pdb other
	k cordon n1 # so that none is made anew
	run evict "$one"
	has '"status":"Success"'
	wait_for 10 "$one is gone" gone "$one"
	wait_for 10 "none may go" pdb_is web disruptionsAllowed 0
	two=$(a_pod)
	[ "$one" != "$two" ]
	run evict "$two"
	[ "$(jq -r '"\(.code) \(.reason) \(.message)"' <<<"$output")" = \
		"429 TooManyRequests Cannot evict pod as it would violate the pod's disruption budget." ]
	[ "$(jq -r '.details.causes[0] | "\(.reason): \(.message)"' <<<"$output")" = \
		"DisruptionBudget: The disruption budget web needs 1 healthy pods and has 1 currently" ]
	run evict nobody
	has 'pods \"nobody\" not found'
	run curl -sm 10 -H 'Content-Type: application/json' \
		"http://$API/api/v1/namespaces/default/pods/$two/eviction" -d '{"metadata":{"name":"x"}}'
	has 'name in URL does not match name in Eviction object'
	clean
}

@test "kubectl drain empties the node within the budget, and uncordon fills it again" {
	t() {
		web 2 || return 1
		k create pdb web --selector=app=web --max-unavailable=1 || return 1
		wait_for 10 "one may go" pdb_is web disruptionsAllowed 1
		# There is one node: the first that goes cannot come back, so the second may not go.
		run k drain n1 --timeout=8s
		[ "$status" != 0 ] || return 1
		has "Cannot evict pod as it would violate the pod's disruption budget." || return 1
		[ "$(k get pods -l app=web --field-selector=status.phase=Running -o name | wc -l)" = 1 ] || return 1
		[ "$(k get node n1 -o 'jsonpath={.spec.unschedulable}')" = true ] || return 1
		k delete pdb web || return 1
		run k drain n1 --timeout=30s
		[ "$status" = 0 ] || return 1
		has 'node/n1 drained' || return 1
		[ -z "$(k get pods -l app=web --field-selector=status.phase=Running -o name)" ] || return 1
		k uncordon n1 || return 1
		k rollout status deploy/web --timeout=40s || return 1
		clean
	}
	every t
}

@test "a bare pod is drained only by force, and nobody may evict without the right" {
	K=kubectl
	k run solo --image=box:1
	k wait --for=condition=Ready pod/solo --timeout=30s
	run k drain n1 --timeout=5s
	has 'cannot delete Pods that declare no controller (use --force to override): default/solo'
	run curl -sm 10 -H 'Impersonate-User: eve' -H 'Content-Type: application/json' \
		"http://$API/api/v1/namespaces/default/pods/solo/eviction" -d '{"metadata":{"name":"solo"}}'
	has 'cannot create resource \"pods/eviction\" in API group \"\"'
	k drain n1 --force --timeout=30s
	gone solo
	k uncordon n1
	clean
}
