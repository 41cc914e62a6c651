#!/usr/bin/env bats
# What cannot work is tried again with a back-off: it keeps nobody busy, and no plan from resting.
load kit.bash

setup_file() {
	CONFIG=$'allow:\n  hostPaths: [{pathPrefix: /tmp/kedge-calm}]\n  sysctls: ["net.*"]' file_begin
}
setup() { file_test; }
teardown_file() { file_end; }

orders() { grep -c '^brain: plan: [-+~]' "$W/kedged.log"; }

hopeless() {
	local gone='volumes: [{name: h, hostPath: {path: /tmp/kedge-calm/none, type: Directory}}]'
	SPEC=$gone MORE='volumeMounts: [{name: h, mountPath: /h}]' pod no-path box:1
	pod no-command box:1 '["/none"]'
	pod no-image nowhere.invalid/x:1
	MORE='securityContext: {runAsNonRoot: true}' pod root box:1
	MORE='securityContext: {runAsUser: 99999999}' pod no-user box:1
	SPEC='securityContext: {sysctls: [{name: net.none.none, value: "1"}]}' pod no-sysctl box:1
	SPEC='securityContext: {sysctls: [{name: net.core.somaxconn, value: none}]}' pod bad-sysctl box:1
	SPEC='volumes: [{name: i, image: {reference: "nowhere.invalid/y:1"}}]' MORE='volumeMounts: [{name: i, mountPath: /h}]' pod no-volume box:1
	SPEC='volumes: [{name: c, persistentVolumeClaim: {claimName: none}}]' MORE='volumeMounts: [{name: c, mountPath: /h}]' pod no-claim box:1
	SPEC='volumes: [{name: c, configMap: {name: none}}]' MORE='volumeMounts: [{name: c, mountPath: /h}]' pod no-config box:1
	SPEC='volumes: [{name: e, emptyDir: {}}]' MORE='volumeMounts: [{name: e, mountPath: /etc/passwd/x}]' pod no-mount box:1
	MORE='workingDir: /etc/passwd' pod no-folder box:1
	MORE='resources: {limits: {memory: 1Ki}}' pod no-memory box:1
	MORE='securityContext: {seccompProfile: {type: Localhost, localhostProfile: none.json}}' pod no-profile box:1
	MORE='lifecycle: {postStart: {exec: {command: [/none]}}}' pod no-hook box:1
	MORE='livenessProbe: {exec: {command: [/bin/false]}, periodSeconds: 1, failureThreshold: 1}' pod no-life box:1
	SPEC='nodeName: other' pod no-node box:1
	SPEC='nodeSelector: {none: here}' pod no-place box:1
	MORE='ports: [{containerPort: 80, hostPort: 1234}]' pod port box:1
	MORE='ports: [{containerPort: 80, hostPort: 1234}]' pod no-port box:1
	deployment dead nowhere.invalid/z:1 3
	echo ---
	deployment pathless box:1 3 | sed "s|^      containers:|      $gone\n&|; s|^        image: .*|&\n        volumeMounts: [{name: h, mountPath: /h}]|"
	echo ---
	deployment turned-away box:1 3 | sed 's|^      containers:|      securityContext: {sysctls: [{name: vm.none, value: "1"}]}\n&|'
}

@test "twenty pods and three Deployments that cannot work make a handful of orders a minute" {
	local before
	hopeless | put hopeless
	all() { [ "$(kedge get pods --no-headers | grep -vc ContainerCreating)" -ge 18 ]; }
	wait_for 20 "each has been tried" all
	[ "$(kedge get pods --no-headers | wc -l)" = 29 ]
	sleep 5
	before=$(orders)
	sleep 15
	[ $(($(orders) - before)) -le 90 ] # it was 450 for one of them alone
	! grep 'still changing' "$W/kedged.log" || false
	run kedge get pods -o json
	jq -e '[.items[].status.containerStatuses[]?.restartCount] | max <= 8' <<<"$output"
}

@test "a sandbox that ends by itself again and again is made anew with a back-off, and says so" {
	local i kills=0
	pod doomed box:1 | put doomed
	up doomed
	for i in $(seq 200); do
		kill -9 "$(pgrep -f '^kedge-init pod doomed')" 2>/dev/null && kills=$((kills + 1))
		sleep 0.05
	done
	[ "$kills" -ge 6 ]
	[ "$(grep -c 'start pod default/doomed' "$W/kedged.log")" -le 12 ] # one, five at once, and then after 1, 2, 4 s
	waits() {
		kill -9 "$(pgrep -f '^kedge-init pod doomed')" 2>/dev/null
		[ "$(field pod doomed '.status.containerStatuses[0].state.waiting | .reason + " " + .message')" = "CrashLoopBackOff back-off: its sandbox ended by itself" ]
	}
	wait_for 10 "it says so" waits
	up doomed
	drop doomed
}

@test "and all of them go, with nothing left" {
	drop hopeless
	none() { [ "$(kedge get pods --no-headers 2>/dev/null | wc -l)" = 0 ]; }
	wait_for 20 "they are gone" none
	wait_for 10 "no sandbox is left" pods_are 0
}
