#!/usr/bin/env bats
# Ephemeral containers: added to a pod that runs, to look into it.
load kit.bash

setup_file() {
	KUBECTLS=$(kubectls)
	export KUBECTLS
	file_begin --listen "$API"
	box tools:1
	pod web box:1 '["/bin/talk", "tcp", "8000"]' | put web
	up web
}
setup() { file_test; }
teardown_file() { file_end; }

eph() { field pod web ".status.ephemeralContainerStatuses[]? | select(.name == \"$1\") | $2"; }
eph_is() { [ "$(eph "$1" "$2")" = "$3" ]; }

@test "a container is added, shares the pod's address, and the pod is not disturbed" {
	before=$(field pod web .status.containerStatuses[0].containerID)
	run kedge debug web --image tools:1 -c look -- /bin/sh -c 'hostname; /bin/busybox nc 127.0.0.1 8000 </dev/null; exec sleep 1000'
	[ "$status" = 0 ]
	has "container look was added to pod web"
	[ "$(eph look '.state | keys[0]')" = running ]
	[ "$(eph look .image)" = tools:1 ]
	wait_for 10 "it printed" sh -c 'kedge logs web look | grep -q 8000'
	kedge logs web look | grep -qx web
	[ "$(kedge exec web -c look -- hostname)" = web ]
	! kedge exec web -c look -- ps | grep -q 'talk tcp' || false
	[ "$before" = "$(field pod web .status.containerStatuses[0].containerID)" ]
	kedge get pod web --no-headers | grep -qE '^web +1/1 +Running +0'
	kedge describe pod web | sed -n '/^Ephemeral Containers:$/,/^Conditions:$/p' >"$W/described"
	grep -qx '  look:' "$W/described"
	grep -qE '^    Image: +tools:1$' "$W/described"
	grep -qE '^    State: +Running$' "$W/described"
	kedge describe pod web | sed -n '/^Containers:$/,/^Ephemeral Containers:$/p' | grep -qx '  main:'
}

@test "with a target it sees that container's processes" {
	kedge debug web --image tools:1 --target main -c near -- /bin/sleep 1000
	kedge exec web -c near -- ps | grep -q 'talk tcp 8000'
	run kedge debug web --image tools:1 -c nobody --target none
	[ "$status" -ne 0 ]
	has 'spec.ephemeralContainers[0].targetContainerName: Not found: "none"'
}

@test "debug -i gives the new container's own program its input, and ends as it ends" {
	run --separate-stderr sh -c '{ echo "echo I am \$(hostname)"; echo exit 0; } | timeout 20 kedge debug web --image tools:1 -i -- /bin/sh'
	[ "$status" = 0 ]
	[ "$output" = "I am web" ]
	[[ $stderr =~ Defaulting\ debug\ container\ name\ to\ (debugger-[a-z0-9]{5})\. ]]
	name=${BASH_REMATCH[1]}
	[ "$(field pod web ".spec.ephemeralContainers[] | select(.name == \"$name\") | .command[0]")" = /bin/sh ]
	wait_for 10 "it ended" eph_is "$name" '.state.terminated.exitCode' 0
	# who is too quick to be attached to has left its words in the log
	run timeout 20 kedge debug web --image tools:1 -i -c quick -- /bin/sh -c 'echo over; exit 4'
	has over
	# the input's end is the program's
	[ "$(echo one two | timeout 20 kedge debug web --image tools:1 -i -- wc -w)" = 2 ]
}

# in_terminal CMD: in one of 33 rows and 77 columns, with what standard input gives typed into it
in_terminal() { timeout 30 script -qec "stty rows 33 cols 77; $1" /dev/null; }
typing() {
	sleep 2
	for line; do
		echo "$line"
		sleep 0.3
	done
}

@test "debug -it is the terminal of what runs in the new container, also with a target" {
	run bash -c "$(declare -f in_terminal typing); typing 'stty size' 'ps' 'echo tty=\$(tty) pid=\$\$' exit |
		in_terminal 'kedge debug -it web --image tools:1 -c term --target main -- /bin/sh'"
	[ "$status" = 0 ]
	has "If you don't see a command prompt, try pressing enter."
	has '33 77'
	has 'talk tcp 8000'
	has 'tty=/dev/'
	[ "$(field pod web '.spec.ephemeralContainers[] | select(.name == "term") | [.stdin, .tty, .targetContainerName] | tostring')" = '[true,true,"main"]' ]
	wait_for 10 "it ended with its shell" eph_is term '.state.terminated.exitCode' 0
	# nothing was run beside it: its own program has pid 1 where it has its own processes
	run bash -c "$(declare -f in_terminal typing); typing 'echo pid=\$\$' exit | in_terminal 'kedge debug -it web --image tools:1 -- /bin/sh'"
	has 'pid=1'
}

@test "kubectl debug -it, too" {
	kubectl_needs 25
	t() {
		local name
		name=k$(basename "$K" | tr -dc 0-9)
		run bash -c "$(declare -f in_terminal typing); typing 'stty size' 'ps' exit |
			in_terminal 'HOME=$W KUBECONFIG=/dev/null $K --server=http://$API debug -it web --image=tools:1 -c $name --target=main -- /bin/sh'"
		[ "$status" = 0 ] && has '33 77' && has 'talk tcp 8000' &&
			wait_for 10 "it ended with its shell" eph_is "$name" '.state.terminated.exitCode' 0
	}
	every t
}

@test "a command that the image lacks, or an image that is not named, is said" {
	run kedge debug web --image tools:1 -c lacks -- /no/such
	[ "$status" = 1 ]
	has "container lacks: "
	has "/no/such"
	run kedge debug web -- ps
	[ "$status" = 1 ]
	has "kedge debug needs --image NAME: one with the tools to look with"
}

@test "one that ends stays ended, also when kedged is killed" {
	kedge debug web --image tools:1 -c short -- /bin/sh -c 'exit 3'
	wait_for 10 "it ended" eph_is short '.state.terminated.exitCode' 3
	kill -9 "$KEDGED"
	wait_for 5 "it is dead" not_running "$KEDGED"
	kedge_start --source "deploy=$W/deploy.git" --listen "$API"
	echo "$KEDGED" >"$W/pid"
	wait_for 10 "it is known" eph_is look '.state | keys[0]' running
	sleep 1
	eph_is short '.state.terminated.exitCode' 3
	eph_is short '.restartCount' 0
	[ "$(st web .restartCount)" = 0 ]
}

@test "what it may not have is refused, in a manifest and over the API" {
	run curl -s --unix-socket "$KEDGE_SOCKET" -X PATCH -H 'Content-Type: application/strategic-merge-patch+json' \
		-d '{"spec":{"ephemeralContainers":[{"name":"p","image":"tools:1","ports":[{"containerPort":1}]}]}}' \
		http://x/api/v1/namespaces/default/pods/web/ephemeralcontainers
	has 'ports: Forbidden: cannot be set for an Ephemeral Container'
	mkdir "$W/bad"
	printf 'apiVersion: v1\nkind: Pod\nmetadata: {name: x}\nspec: {containers: [{name: a, image: "i:1"}], ephemeralContainers: [{name: b, image: "i:1"}]}\n' >"$W/bad/p.yaml"
	run kedge validate "$W/bad"
	has "spec.ephemeralContainers: Forbidden: cannot be set on create"
}

# debugged NAMESPACE POD CONTAINERS-AS-JSON: what the API says to it
debugged() {
	curl -s --unix-socket "$KEDGE_SOCKET" -X PATCH -H 'Content-Type: application/strategic-merge-patch+json' \
		-d "{\"spec\":{\"ephemeralContainers\":$3}}" "http://x/api/v1/namespaces/$1/pods/$2/ephemeralcontainers"
}

# eph_waits POD NAME TEXT: for good, and says why
eph_waits() {
	field pod "$1" ".status.ephemeralContainerStatuses[]? | select(.name == \"$2\") | .state.waiting | .reason + \": \" + .message" >"$W/waits"
	grep -qF "CreateContainerConfigError: $3" "$W/waits"
}

@test "one that cannot run keeps no later one from running" {
	pod many box:1 | put many
	up many
	debugged default many '[{"name":"root","image":"tools:1","securityContext":{"runAsNonRoot":true}}]'
	wait_for 10 "it says why it does not run" eph_waits many root 'container has runAsNonRoot and image will run as root'
	run timeout 20 kedge debug many --image tools:1 -c after -- /bin/sh -c 'exit 3'
	[ "$status" = 0 ]
	ended() { [ "$(field pod many '.status.ephemeralContainerStatuses[] | select(.name == "after") | .state.terminated.exitCode')" = 3 ]; }
	wait_for 10 "it ran" ended
	eph_waits many root 'container has runAsNonRoot and image will run as root'
	drop many
}

@test "one that the operator does not allow says so, once, and is not tried again" {
	pod ptrace box:1 | put ptrace
	up ptrace
	debugged default ptrace '[{"name":"looks","image":"tools:1","securityContext":{"capabilities":{"add":["SYS_PTRACE"]}}}]'
	wait_for 10 "it says why it does not run" eph_waits ptrace looks 'container looks: capability SYS_PTRACE is not allowed: the operator has to name it'
	run timeout 20 kedge debug ptrace --image tools:1 -c more -- /bin/sh -c 'exit 3'
	[ "$status" = 0 ]
	sleep 2
	eph_waits ptrace looks 'container looks: capability SYS_PTRACE is not allowed: the operator has to name it'
	[ "$(grep -c 'SYS_PTRACE is not allowed' "$W/kedged.log")" = 1 ]
	kedge get events -o json | jq '.items |= map(select(.involvedObject.name == "ptrace"))' >"$W/events"
	jq -e '[.items[] | select(.reason == "Failed" and (.message | startswith("Error: container looks: capability SYS_PTRACE is not allowed")))] | length == 1 and .[0].count == 1' "$W/events"
	jq -e '[.items[] | select(.reason == "Pulled" and (.involvedObject.fieldPath | contains("looks"))) | .count] | add == 1' "$W/events"
	drop ptrace
}

@test "the Pod Security Standards hold for it, and a name is one container's" {
	k create namespace strict
	k label namespace strict pod-security.kubernetes.io/enforce=baseline
	pod calm box:1 '["/bin/talk", "wait"]' | k -n strict create -f -
	wait_for 10 "it runs" sh -c 'kedge get pod calm -n strict --no-headers | grep -q Running'
	run debugged strict calm '[{"name":"root","image":"tools:1","securityContext":{"capabilities":{"add":["NET_ADMIN"]}}}]'
	has 'pods \"calm\" is forbidden: violates PodSecurity \"baseline:latest\": non-default capabilities (container \"root\" must not include \"NET_ADMIN\" in securityContext.capabilities.add)'
	run debugged strict calm '[{"name":"two","image":"tools:1"},{"name":"two","image":"tools:1"}]'
	has 'spec.ephemeralContainers[1].name: Duplicate value: \"two\"'
	debugged strict calm '[{"name":"two","image":"tools:1"}]'
	[ "$(kedge get pod calm -n strict -o json | jq -c '[.spec.ephemeralContainers[].name]')" = '["two"]' ]
	run debugged strict calm '[{"name":"deep","image":"tools:1","volumeMounts":[{"name":"none","mountPath":"/x"}]}]'
	has 'spec.ephemeralContainers[0].volumeMounts[0].name: Not found: \"none\"'
	k delete namespace strict
}

@test "all of it goes with the pod" {
	drop web
	wait_for 10 "it is gone" sh -c '! kedge get pod web 2>/dev/null | grep -q .'
	! pgrep -f '^/bin/sleep 1000' >/dev/null
}
