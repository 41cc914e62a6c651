#!/usr/bin/env bats
# What the operator's `allow` does not let in is seen where a user of Kubernetes looks for it,
# and let in once kedge.yaml says so.
load kit.bash

setup() {
	load kit.bash
	kedge_dirs
	repo_make
	kedge_start --source "deploy=$W/deploy.git"
	box box:1
}
teardown() { kedge_end; }

again() { # WORDS-OF-kedge.yaml
	kedge_stop
	echo "$1" >"$W/kedge.yaml"
	kedge_start --source "deploy=$W/deploy.git"
}
pods() { kedge get pods --no-headers "$@"; }

@test "a forbidden sysctl fails the pod as the kubelet does; allowed, the set makes it anew" {
	cat >"$W/clone/web.yaml" <<-'Y'
		apiVersion: apps/v1
		kind: ReplicaSet
		metadata: {name: web}
		spec:
		  replicas: 2
		  selector: {matchLabels: {app: web}}
		  template:
		    metadata: {labels: {app: web}}
		    spec:
		      terminationGracePeriodSeconds: 0
		      securityContext: {sysctls: [{name: net.ipv4.ip_forward, value: "1"}]}
		      containers: [{name: c, image: "box:1"}]
	Y
	push web
	two_failed() { [ "$(pods | grep -cE '^web-[a-z0-9]+ +0/1 +SysctlForbidden +0')" = 2 ]; }
	wait_for 10 "both are turned away" two_failed
	sleep 1
	[ "$(pods | wc -l)" = 2 ] # and no others come in their place
	pod=$(kedge get pods -o json | jq -r '.items[0].metadata.name')
	is "$pod" .status.phase Failed
	kedge status | sed -n '/^not working/,$p' | grep -qF 'SysctlForbidden: Pod was rejected: forbidden sysctl'
	is "$pod" .status.reason SysctlForbidden
	field pod "$pod" .status.message | grep -qF 'Pod was rejected: forbidden sysctl: "net.ipv4.ip_forward" not allowlisted'
	kedge describe pod "$pod" >"$W/out"
	grep -qE '^Status: +Failed' "$W/out"
	grep -qE '^Reason: +SysctlForbidden' "$W/out"
	grep -qE '^Message: +Pod was rejected: forbidden sysctl' "$W/out"
	grep -qE 'Warning +SysctlForbidden .*forbidden sysctl: "net.ipv4.ip_forward" not allowlisted' "$W/out"
	again 'allow: {sysctls: [net.ipv4.ip_forward]}'
	two_run() { [ "$(pods | grep -cE '^web-[a-z0-9]+ +1/1 +Running +0')" = 2 ]; }
	wait_for 10 "two others run" two_run
	wait_for 10 "those that were turned away are gone" sh -c '[ $(kedge get pods --no-headers | wc -l) = 2 ]'
}

@test "a seccomp profile of the operator's folder is what a container runs under; one that is not there is named" {
	mkdir "$W/seccomp"
	echo '{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 95}]}' >"$W/seccomp/no-mkdir.json"
	again "seccomp: $W/seccomp"
	{
		MORE='securityContext: {seccompProfile: {type: Localhost, localhostProfile: no-mkdir.json}}' pod kept box:1
		MORE='securityContext: {seccompProfile: {type: Localhost, localhostProfile: gone.json}}' pod gone box:1
		pod free box:1
	} | put seccomp
	up kept
	up free
	in_ free mkdir /tmp/x
	run in_ kept mkdir /tmp/x
	[ "$status" != 0 ]
	has 'Operation not supported'
	wait_for 10 "it waits" st_is gone .state.waiting.reason CreateContainerError
	[[ $(st gone .state.waiting.message) == *gone.json* ]]
}

@test "hostPath and the host's namespaces: the pod waits and says for what, until it is allowed" {
	mkdir "$W/data"
	{
		SPEC="volumes: [{name: h, hostPath: {path: $W/data}}]" \
			MORE='volumeMounts: [{name: h, mountPath: /h}]' pod path box:1
		SPEC='hostNetwork: true' pod net box:1
		SPEC='hostUsers: true' pod users box:1
		SPEC='hostIPC: true' pod ipc box:1
	} | put pods
	for p in path net users ipc; do
		wait_for 10 "$p waits" sh -c "kedge get pods $p --no-headers | grep -qE '^$p +0/1 +CreateContainerConfigError '"
		is "$p" .status.phase Pending
	done
	st path .state.waiting.message | grep -qF "hostPath \"$W/data\" is not allowed: the operator has to name it, or a folder it is in, in kedge.yaml under allow.hostPaths"
	st net .state.waiting.message | grep -qF 'hostNetwork: true is not allowed: the operator has to set allow.hostNetwork: true in kedge.yaml'
	kedge describe pod users | tr -s ' \n' ' ' | grep -qF 'hostUsers: true is not allowed: the operator has to set allow.hostUsers: true'
	again "allow: {hostNetwork: true, hostUsers: true, hostIPC: true, hostPaths: [{pathPrefix: $W/data}]}"
	for p in path net users ipc; do up "$p" 30; done
	[ "$(in_ ipc readlink /proc/self/ns/ipc)" = "$(readlink /proc/self/ns/ipc)" ]
	[ "$(in_ net readlink /proc/self/ns/ipc)" != "$(readlink /proc/self/ns/ipc)" ]
}

# as Elasticsearch's does, with what the host has already
@test "a privileged init container sets what is the host's, and needs nothing but privileged" {
	local all='0 +0 +4294967295'
	{
		SPEC='initContainers:
- name: set
  image: box:1
  command: [/bin/sh, -c, "cat /proc/self/uid_map; v=$(cat /proc/sys/vm/max_map_count); echo $v >/proc/sys/vm/max_map_count && echo set"]
  securityContext: {privileged: true}' pod search box:1
	} | put search
	wait_for 10 "it is refused" sh -c "kedge get events | grep -q 'has to set allow.privileged: true in kedge.yaml'"
	again 'allow: {privileged: true}'
	up search
	kedge logs search set | grep -qE "^ *$all"
	[ "$(kedge logs search set | tail -n 1)" = set ]
	drop search
}
