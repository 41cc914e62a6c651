#!/usr/bin/env bats
# Resources: what containers are held to, and what becomes of who takes more.
load kit.bash

setup_file() { CONFIG='limits: {maxPids: 64}' file_begin; }
setup() { file_test; }
teardown_file() { file_end; }

group_is() { [ "$(group "$1" "$2")" = "$3" ]; }
v1() { [ ! -e /sys/fs/cgroup/cgroup.controllers ]; }
memory_is() { if v1; then group_is "$1" memory.limit_in_bytes "$2"; else group_is "$1" memory.max "$2"; fi; }
cpu_is() { if v1; then group_is "$1" cpu.cfs_quota_us "$2"; else group_is "$1" cpu.max "$2 100000"; fi; }
# nine tenths of the way from request to limit, in pages; cgroup v1 has none
high_is() { v1 || group_is "$1" memory.high "$2"; }

@test "cpu and memory change while the pod runs, and stay changed" {
	MORE='resources: {requests: {cpu: 100m, memory: 32Mi}, limits: {cpu: 500m, memory: 64Mi}}' pod sized box:1 | put sized
	up sized
	uid=$(field pod sized .metadata.uid)
	memory_is sized 67108864
	cpu_is sized 50000
	high_is sized 63750144
	group_is sized pids.max 64
	MORE='resources: {requests: {cpu: 100m, memory: 32Mi}, limits: {cpu: 250m, memory: 96Mi}}' pod sized box:1 | put sized
	wait_for 10 "the memory grows" memory_is sized 100663296
	wait_for 5 "the cpu shrinks" cpu_is sized 25000
	high_is sized 93949952
	[ "$(field pod sized .metadata.uid)" = "$uid" ]
	wait_for 5 "it is told" st_is sized .resources.limits.memory 96Mi
	[ "$(st sized .allocatedResources.memory)" = 32Mi ]
	[ "$(st sized .restartCount)" = 0 ]
	wait_for 5 "it is over" is sized '[.status.conditions[] | select(.type == "PodResizeInProgress")] | length' 0
	kedge_stop
	kedge_start --source "deploy=$W/deploy.git"
	echo "$KEDGED" >"$W/pid"
	sleep 1
	memory_is sized 100663296
	[ "$(field pod sized .metadata.uid)" = "$uid" ]
	# it was ordered, and not in each pass until it was told
	[ "$(grep -c 'plan: ~ resize pod default/sized' "$W/kedged.log")" -lt 4 ]
	run ! grep 'still changing' "$W/kedged.log"
	drop sized
}

@test "a cpu limit below 10m is the least that the kernel takes" {
	MORE='resources: {limits: {cpu: 5m}}' pod tiny box:1 | put tiny
	up tiny
	cpu_is tiny 1000
	drop tiny
}

@test "a container is restarted for a resize when its resizePolicy says so" {
	P='resizePolicy: [{resourceName: memory, restartPolicy: RestartContainer}]'
	MORE="$P"$'\nresources: {limits: {memory: 96Mi}, requests: {memory: 16Mi}}' pod policy box:1 | put policy
	up policy
	uid=$(field pod policy .metadata.uid)
	MORE="$P"$'\nresources: {limits: {memory: 48Mi}, requests: {memory: 16Mi}}' pod policy box:1 | put policy
	wait_for 10 "it is restarted" st_is policy .restartCount 1
	memory_is policy 50331648
	kedge describe pod policy | grep -qE 'Killing .*Container main resize requires restart$'
	[ "$(field pod policy .metadata.uid)" = "$uid" ]
	drop policy
}

@test "another change of the pod still makes it anew" {
	MORE='resources: {limits: {memory: 64Mi}, requests: {memory: 16Mi}}' pod anew box:1 | put anew
	up anew
	uid=$(field pod anew .metadata.uid)
	MORE='resources: {limits: {memory: 32Mi}, requests: {memory: 16Mi}}' pod anew box:1 | put anew
	other() { [ "$(field pod anew .metadata.uid)" != "$uid" ] && memory_is anew 33554432; }
	wait_for 10 "it is another" other
	drop anew
}

@test "who runs out of memory is OOMKilled with 137, and the pod's other container is not" {
	cat <<-'Y' | put oom
		apiVersion: v1
		kind: Pod
		metadata: {name: oom}
		spec:
		  restartPolicy: Never
		  terminationGracePeriodSeconds: 0
		  containers:
		  - name: main
		    image: box:1
		    command: [/bin/sh, -c, "sleep 1; dd if=/dev/zero of=/dev/null bs=64M"]
		    resources: {limits: {memory: 16Mi}}
		  - {name: other, image: "box:1"}
	Y
	wait_for 15 "it is killed" is oom '.status.containerStatuses[] | select(.name == "main") | .state.terminated.reason' OOMKilled
	is oom '.status.containerStatuses[] | select(.name == "main") | .state.terminated.exitCode' 137
	is oom '.status.containerStatuses[] | select(.name == "other") | .state | has("running")' true
	drop oom
}
