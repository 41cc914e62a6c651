#!/usr/bin/env bats
# subresources.bats -- pods/resize, pods/status and pods/binding, with the real kubectl.
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

at() { echo "http://$API/api/v1/namespaces/default/pods/$1"; }
# resize POD SPEC: as kubectl 1.32 does with --subresource=resize
resize() { curl -sm 10 -X PATCH -H 'Content-Type: application/strategic-merge-patch+json' "$(at "$1")/resize" -d "$2"; }
cpu() { k get pod "$1" -o "jsonpath={.status.containerStatuses[0].resources.limits.cpu}"; }
cpu_is() { [ "$(cpu "$1")" = "$2" ]; }
bind() { curl -sm 10 -H 'Content-Type: application/json' "$(at "$1")/binding" -d '{"metadata":{"name":"'"$1"'"},"target":{"kind":"'"$2"'","name":"'"$3"'"}}'; }
running() { [ "$(k get pod "$1" -o 'jsonpath={.status.phase}')" = Running ]; }

@test "a resize changes cpu and memory of a running container, and nothing else" {
	local run_id
	K=kubectl
	k apply -f - <<-Y
		apiVersion: v1
		kind: Pod
		metadata: {name: r}
		spec:
		  terminationGracePeriodSeconds: 1
		  containers: [{name: c, image: "box:1", resources: {requests: {cpu: 100m, memory: 32Mi}, limits: {cpu: 200m, memory: 64Mi}}}]
	Y
	wait_for 20 "it runs" cpu_is r 200m
	run_id=$(k get pod r -o 'jsonpath={.status.containerStatuses[0].containerID}')
	run resize r '{"metadata":{"labels":{"a":"b"}},"spec":{"containers":[{"name":"c","resources":{"limits":{"cpu":"300m"}}}]}}'
	[ "$(jq -r .spec.containers[0].resources.limits.cpu <<<"$output")" = 300m ]
	wait_for 10 "the host holds it to the new limit" cpu_is r 300m
	[ "$(k get pod r -o 'jsonpath={.status.containerStatuses[0].containerID}{.metadata.labels}')" = "$run_id" ]
	run resize r '{"spec":{"containers":[{"name":"c","image":"box:2"}]}}'
	has 'spec: Forbidden: only cpu and memory resources are mutable'
	run resize r '{"spec":{"containers":[{"name":"c","resources":{"requests":{"cpu":"300m","memory":"64Mi"}}}]}}'
	has 'Pod QOS Class may not change as a result of resizing'
	run resize r '{"spec":{"containers":[{"name":"c","resources":{"limits":{"memory":"48Mi"}}}]}}'
	has 'spec.containers[0].resources.limits[memory]: Forbidden: memory limits cannot be decreased unless resizePolicy is RestartContainer'
	run resize r '{"spec":{"containers":[{"name":"c","resources":{"limits":{"cpu":null}}}]}}'
	has 'spec.containers[0].resources.limits: Forbidden: resource limits cannot be removed'
	# more than the node has is taken, and waits
	run resize r '{"spec":{"containers":[{"name":"c","resources":{"limits":{"cpu":"900"},"requests":{"cpu":"800"}}}]}}'
	waits() { k get pod r -o json | jq -e '.status.conditions[] | select(.type == "PodResizePending" and .reason == "Infeasible" and (.message | startswith("Node didn'"'"'t have enough capacity: cpu, requested: 800000, capacity: ")))'; }
	wait_for 10 "it is told" waits
	[ "$(cpu r)" = 300m ]
	run resize r '{"spec":{"containers":[{"name":"c","resources":{"limits":{"cpu":"300m"},"requests":{"cpu":"100m"}}}]}}'
	gone() { ! waits; }
	wait_for 10 "it is over" gone
	run resize nobody '{}'
	has 'pods \"nobody\" not found'
	k create quota q --hard=limits.cpu=400m
	run resize r '{"spec":{"containers":[{"name":"c","resources":{"limits":{"cpu":"500m"}}}]}}'
	has 'pods \"r\" is forbidden: exceeded quota: q, requested: limits.cpu=200m, used: limits.cpu=300m, limited: limits.cpu=400m'
	k delete quota q
	t() {
		newer 32 || return 0
		k patch pod r --subresource=resize -p '{"spec":{"containers":[{"name":"c","resources":{"limits":{"cpu":"250m"}}}]}}' || return 1
		wait_for 10 "the host holds it to the limit" cpu_is r 250m
		k patch pod r --subresource=resize -p '{"spec":{"containers":[{"name":"c","resources":{"limits":{"cpu":"350m"}}}]}}' || return 1
		wait_for 10 "the host holds it to the limit" cpu_is r 350m
	}
	every t
	K=kubectl
	k delete pod r
}

@test "a readiness gate holds a pod back until whoever keeps it says so in the pod's status" {
	ready() { k get pod gated -o "jsonpath={.status.conditions[?(@.type=='Ready')]['status','reason','message']}"; }
	ready_is() { [ "$(ready)" = "$1" ]; }
	say() { k patch pod gated --subresource=status -p "{\"status\":{\"conditions\":[{\"type\":\"$1\",\"status\":\"$2\"}]}}"; }
	K=kubectl
	k apply -f - <<-Y
		apiVersion: v1
		kind: Pod
		metadata: {name: gated, labels: {app: gated}}
		spec:
		  terminationGracePeriodSeconds: 1
		  readinessGates: [{conditionType: example.com/one}, {conditionType: example.com/two}]
		  containers: [{name: c, image: "box:1", ports: [{containerPort: 80}]}]
		---
		apiVersion: v1
		kind: Service
		metadata: {name: gated}
		spec: {selector: {app: gated}, ports: [{port: 80}]}
	Y
	wait_for 20 "both are named" ready_is 'False ReadinessGatesNotReady corresponding condition of pod readiness gate "example.com/one" does not exist., corresponding condition of pod readiness gate "example.com/two" does not exist.'
	[ "$(k get pod gated -o 'jsonpath={.status.containerStatuses[0].ready}')" = true ]
	say example.com/one True
	say example.com/two False
	wait_for 10 "one is open" ready_is 'False ReadinessGatesNotReady the status of pod readiness gate "example.com/two" is not "True", but False'
	run k get endpoints gated -o 'jsonpath={.subsets[0].addresses}'
	[ "$output" = "" ]
	say example.com/two True
	wait_for 10 "it is ready" ready_is 'True'
	addressed() { [ -n "$(k get endpoints gated -o 'jsonpath={.subsets[0].addresses}')" ]; }
	wait_for 10 "and behind its Service" addressed
	say example.com/one False
	wait_for 10 "and no more" ready_is 'False ReadinessGatesNotReady the status of pod readiness gate "example.com/one" is not "True", but False'
	k delete pod/gated svc/gated
}

@test "a pod that nobody placed is bound to a node by whoever may" {
	K=kubectl
	k cordon n1
	k run b --image=box:1
	run bind b Service n1
	has 'target.kind: Unsupported value: \"Service\"'
	run bind b Node ''
	has 'target.name: Required value'
	run bind b Node n2
	[ "$(jq -r '"\(.code) \(.reason) \(.message)"' <<<"$output")" = '404 NotFound nodes "n2" not found' ]
	run bind b Node n1
	has '"status":"Success"'
	wait_for 20 "it runs" running b
	run bind b Node n1
	has 'Operation cannot be fulfilled on pods/binding \"b\": pod b is already assigned to node \"n1\"'
	[ "$(jq -r '"\(.code) \(.reason)"' <<<"$output")" = "409 Conflict" ]
	# the same by /bindings, where only the body names the pod
	bindings() { curl -sm 10 -H 'Content-Type: application/json' "http://$API/api/v1/namespaces/default/bindings" -d "$1"; }
	k run c --image=box:1
	run bindings '{"metadata":{"name":"nobody"},"target":{"kind":"Node","name":"n1"}}'
	has 'pods \"nobody\" not found'
	run bindings '{"metadata":{},"target":{"kind":"Node","name":"n1"}}'
	has '"code":400'
	run bindings '{"metadata":{"name":"c","namespace":"other"},"target":{"kind":"Node","name":"n1"}}'
	has 'does not match the namespace sent on the request'
	run bindings '{"apiVersion":"v1","kind":"Binding","metadata":{"name":"c","namespace":"default"},"target":{"apiVersion":"v1","kind":"Node","name":"n1"}}'
	has '"status":"Success"'
	wait_for 20 "it runs" running c
	run bindings '{"metadata":{"name":"c"},"target":{"kind":"Node","name":"n1"}}'
	has 'Operation cannot be fulfilled on pods/binding \"c\": pod c is already assigned to node \"n1\"'
	k uncordon n1
	k delete pod b c --grace-period=1
}
