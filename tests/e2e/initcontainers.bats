#!/usr/bin/env bats
# Init containers and sidecars: who starts when, who ends when, also while kedged is away.
load kit.bash

setup_file() { file_begin; }
setup() { file_test; }
teardown_file() { file_end; }

# init POD JQ: of its init containers' status
init() { field pod "$1" ".status.initContainerStatuses$2"; }
init_is() { [ "$(init "$1" "$2")" = "$3" ]; }
shows() { kedge get pod "$1" --no-headers | grep -qE "^$1 +$2 "; }
cond() { field pod "$1" ".status.conditions[] | select(.type == \"$2\") | .status"; }
condition_is() { [ "$(cond "$1" "$2")" = "$3" ]; }

# Each says its name into a file that all share.
STORY='volumes: [{name: v, emptyDir: {}}]
initContainers:
- {name: one, image: box:1, command: [/bin/sh, -c, "echo one >>/v/story; until test -e /v/go; do sleep 0.05; done"], volumeMounts: [{name: v, mountPath: /v}]}
- {name: two, image: box:1, command: [/bin/sh, -c, "echo two >>/v/story; sleep 0.3"], volumeMounts: [{name: v, mountPath: /v}]}'

@test "init containers run one after the other, then the main ones" {
	SPEC=$STORY MORE='volumeMounts: [{name: v, mountPath: /v}]' \
		pod order box:1 '["/bin/sh", "-c", "echo main >>/v/story; exec sleep 1000"]' | put order
	wait_for 10 "the first runs" init_is order '[0].state | keys[0]' running
	shows order '0/1 +Init:0/2'
	is order .status.phase Pending
	[ "$(st order .state.waiting.reason)" = PodInitializing ]
	[ "$(init order '[1].state.waiting.reason')" = PodInitializing ]
	condition_is order Initialized False
	field pod order '.status.conditions[] | select(.type == "Initialized") | .reason + " " + .message' |
		grep -qF 'ContainersNotInitialized containers with incomplete status: [one two]'
	kedge exec order -c one -- touch /v/go
	up order
	[ "$(in_ order cat /v/story)" = $'one\ntwo\nmain' ]
	condition_is order Initialized True
	[ "$(init order '[0].state.terminated.reason')" = Completed ]
	[ "$(init order '[0].ready')" = true ]
	shows order '1/1 +Running +0'
	kedge describe pod order | grep -A1 '^Init Containers:' | grep -q '  one:'
	kedge get events | grep -q 'Started container two'
	drop order
}

@test "one that fails is tried again with back-off, and nothing after it starts" {
	SPEC='initContainers: [{name: bad, image: box:1, command: [/bin/sh, -c, "echo no luck; exit 4"]}]' \
		pod fails box:1 | put fails
	wait_for 15 "back-off" shows fails '0/1 +Init:CrashLoopBackOff'
	[ "$(init fails '[0].lastState.terminated.exitCode')" = 4 ]
	[ "$(init fails '[0].restartCount')" -ge 1 ]
	[ "$(st fails .state.waiting.reason)" = PodInitializing ]
	is fails .status.phase Pending
	[ "$(kedge logs fails -c bad)" = "no luck" ]
	drop fails
}

@test "one whose ConfigMap is missing holds back those after it, until it comes" {
	SPEC='initContainers:
- {name: one, image: box:1, command: [/bin/sh, -c, "echo $X"], env: [{name: X, valueFrom: {configMapKeyRef: {name: later, key: x}}}]}
- {name: two, image: box:1, command: [/bin/true]}' pod held box:1 | put held
	wait_for 10 "it waits" shows held '0/1 +Init:CreateContainerConfigError'
	[ "$(init held '[0].state.waiting.message')" = 'configmap "later" not found' ]
	[ "$(init held '[1].state.waiting.reason')" = PodInitializing ]
	[ "$(st held .state.waiting.reason)" = PodInitializing ]
	echo '{apiVersion: v1, kind: ConfigMap, metadata: {name: later}, data: {x: "there"}}' | put later
	up held
	[ "$(kedge logs held -c one)" = there ]
	rm "$W/clone/later.yaml"
	drop held
}

@test "where nothing is restarted, one that fails fails the pod" {
	SPEC='restartPolicy: Never
initContainers: [{name: bad, image: box:1, command: [/bin/false]}]' pod never box:1 | put never
	wait_for 10 "it failed" phase_is never Failed
	shows never '0/1 +Init:Error'
	[ "$(init never '[0].state.terminated.exitCode')" = 1 ]
	drop never
}

@test "a sidecar starts before what follows, goes on, and is restarted" {
	SPEC='volumes: [{name: v, emptyDir: {}}]
initContainers:
- name: side
  image: box:1
  restartPolicy: Always
  command: [/bin/sh, -c, "until test -e /v/go; do sleep 0.05; done; touch /v/up; until test -e /v/die; do sleep 0.05; done; rm /v/die /v/up; exit 1"]
  startupProbe: {exec: {command: [/bin/test, -e, /v/up]}, periodSeconds: 1, failureThreshold: 60}
  volumeMounts: [{name: v, mountPath: /v}]
- {name: then, image: box:1, command: [/bin/test, -e, /v/up], volumeMounts: [{name: v, mountPath: /v}]}' \
		pod side box:1 | put side
	wait_for 10 "the sidecar runs" init_is side '[0].state | keys[0]' running
	sleep 0.5
	shows side '0/2 +Init:0/2'
	[ "$(init side '[0].started')" = false ]
	[ "$(init side '[1].state.waiting.reason')" = PodInitializing ]
	kedge exec side -c side -- touch /v/go
	up side
	shows side '2/2 +Running'
	kedge exec side -c side -- touch /v/die
	wait_for 10 "it is restarted" init_is side '[0].restartCount' 1
	[ "$(st side .restartCount)" = 0 ]
	up side
	drop side
}

@test "a sidecar's readiness counts for the pod, and its liveness probe restarts it alone" {
	SPEC='volumes: [{name: v, emptyDir: {}}]
initContainers:
- name: side
  image: box:1
  restartPolicy: Always
  command: [/bin/sh, -c, "rm -f /v/ill; exec sleep 1000"]
  readinessProbe: {exec: {command: [/bin/test, -e, /v/well]}, periodSeconds: 1}
  livenessProbe: {exec: {command: [/bin/test, "!", -e, /v/ill]}, periodSeconds: 1, failureThreshold: 1}
  volumeMounts: [{name: v, mountPath: /v}]' \
		pod probed box:1 | put probed
	wait_for 10 "the main one runs" st_is probed .ready true
	condition_is probed Ready False
	shows probed '1/2 +Running'
	kedge exec probed -c side -- touch /v/well
	up probed
	shows probed '2/2 +Running'
	kedge exec probed -c side -- touch /v/ill
	wait_for 10 "it is restarted" init_is probed '[0].restartCount' 1
	up probed
	[ "$(st probed .restartCount)" = 0 ]
	drop probed
}

@test "a pod whose main containers are over takes its sidecars along, the last one first" {
	local end='trap "sleep 0.2; echo NAME >>/v/story; cp /v/story /dev/termination-log; exit 0" TERM; while :; do sleep 0.05; done'
	SPEC="restartPolicy: Never
volumes: [{name: v, emptyDir: {}}]
initContainers:
- {name: a, image: box:1, restartPolicy: Always, command: [/bin/sh, -c, '${end/NAME/a}'], volumeMounts: [{name: v, mountPath: /v}]}
- {name: b, image: box:1, restartPolicy: Always, command: [/bin/sh, -c, '${end/NAME/b}'], volumeMounts: [{name: v, mountPath: /v}]}" \
		MORE='volumeMounts: [{name: v, mountPath: /v}]' \
		pod job box:1 '["/bin/sh", "-c", "sleep 1; echo main >>/v/story; sleep 0.5"]' >"$W/job.yaml"
	sed -i 's/terminationGracePeriodSeconds: 1$/terminationGracePeriodSeconds: 5/' "$W/job.yaml"
	put job <"$W/job.yaml"
	up job
	wait_for 10 "it is over" phase_is job Succeeded
	[ "$(init job '[0].state.terminated.exitCode')" = 0 ]
	[ "$(init job '[1].state.terminated.exitCode')" = 0 ]
	[ "$(init job '[0].state.terminated.message')" = $'main\nb\na' ]
	kedge describe pod job >"$W/out"
	grep -qE 'Killing .*Stopping container a$' "$W/out"
	grep -qE 'Killing .*Stopping container b$' "$W/out"
	run ! grep -qE 'Killing .*Stopping container main' "$W/out"
	drop job
}

@test "with kedged killed in the middle, the next init container and the main ones start all the same" {
	SPEC=${STORY//until test -e \/v\/go; do sleep 0.05; done/sleep 2} \
		MORE='volumeMounts: [{name: v, mountPath: /v}]' \
		pod alone box:1 '["/bin/sh", "-c", "echo main >>/v/story; exec sleep 1000"]' | put alone
	wait_for 10 "the first runs" init_is alone '[0].state | keys[0]' running
	kill -9 "$KEDGED"
	wait_for 5 "it is dead" not_running "$KEDGED"
	sleep 4
	story=$(find "$W/state/pods" -name story -exec cat {} +)
	echo "$story"
	[ "$story" = $'one\ntwo\nmain' ]
	kedge_start --source "deploy=$W/deploy.git"
	echo "$KEDGED" >"$W/pid"
	up alone
	[ "$(in_ alone cat /v/story)" = $'one\ntwo\nmain' ]
	[ "$(st alone .restartCount)" = 0 ]
	[ "$(init alone '[1].state.terminated.exitCode')" = 0 ]
	drop alone
}

@test "what an init container may not have is refused in Kubernetes' words" {
	mkdir "$W/bad"
	cat >"$W/bad/p.yaml" <<-'Y'
		apiVersion: v1
		kind: Pod
		metadata: {name: x}
		spec:
		  initContainers:
		  - {name: a, image: "a:1", livenessProbe: {tcpSocket: {port: 80}}}
		  - {name: b, image: "a:1", restartPolicy: Never}
		  containers: [{name: c, image: "a:1", restartPolicy: Always}]
	Y
	run kedge validate "$W/bad"
	[ "$status" -ne 0 ]
	has 'spec.initContainers[0].livenessProbe: Forbidden: may not be set for init containers without restartPolicy=Always'
	has 'spec.initContainers[1].restartPolicy: Unsupported value: "Never": supported values: "Always"'
	has 'spec.containers[0].restartPolicy: Forbidden: may not be set for non-init containers'
}
