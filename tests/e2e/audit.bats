#!/usr/bin/env bats
# Users, roles and the audit log before a daemon with real pods.
load kit.bash

setup_file() {
	kedge_dirs
	repo_make
	cat >"$W/kedge.yaml" <<-Y
		listen: $API
		audit: {path: $W/state/audit.log, maxSize: 64Ki, maxFiles: 3}
	Y
	kedge_start --source "deploy=$W/deploy.git"
	echo "$KEDGED" >"$W/pid"
	KUBECTLS=$(kubectls)
	export KUBECTLS
	box box:1
	pod p box:1 | k create -f - >/dev/null
	up p
}
setup() { file_test && kubectl_needs 27; }
teardown_file() { file_end; }
k() { timeout 30 "${KUBECTLS##*$'\n'}" --server="http://$API" --cache-dir="$W/cache" "$@"; }
# logged JQ: a line for which this is true
logged() { cat "$W"/state/audit.log* | jq -se "any(.[]; $1)" >/dev/null; }

@test "a request is a line: who, what, where, how it ended" {
	k get pods -n default >/dev/null
	wait_for 10 "the list" logged '.verb == "list" and .objectRef.resource == "pods" and .objectRef.namespace == "default"
		and .user.username == "uid 0" and (.user.groups | index("system:masters")) and .responseStatus.code == 200
		and .level == "Metadata" and .apiVersion == "audit.k8s.io/v1" and .stage == "ResponseComplete"
		and .sourceIPs == ["127.0.0.1"] and (.userAgent | startswith("kubectl"))
		and (.requestReceivedTimestamp | test("^....-..-..T..:..:..[.]......Z$"))'
	refused 'User "eve" cannot list' k get pods --as=eve --as-group=nobodies
	wait_for 10 "the refusal" logged '.impersonatedUser.username == "eve" and (.impersonatedUser.groups | index("nobodies"))
		and .user.username == "uid 0" and .responseStatus.code == 403
		and .annotations["authorization.k8s.io/decision"] == "forbid"'
	[ "$(stat -c %a "$W/state/audit.log")" = 600 ]
}

@test "nothing of a secret gets into it" {
	k create secret generic s --from-literal=key=hushhush >/dev/null
	k get secret s -o yaml >/dev/null
	k patch secret s -p '{"stringData":{"key":"hushhush2"}}' >/dev/null
	wait_for 10 "the patch" logged '.verb == "patch" and .objectRef.resource == "secrets" and .objectRef.name == "s"'
	run grep -c -e hushhush -e "$(printf hushhush | base64)" "$W/state/audit.log"
	[ "$output" = 0 ]
	run grep -c hushhush "$W/kedged.log"
	[ "$output" = 0 ]
}

@test "what a namespace's Pod Security labels say of a request: a warning to the client, annotations in the log" {
	local out
	k create ns watched >/dev/null
	k label ns watched pod-security.kubernetes.io/enforce=baseline pod-security.kubernetes.io/warn=restricted pod-security.kubernetes.io/audit=restricted >/dev/null
	made() { # NAME SPEC: what came of it, headers first
		curl -si --unix-socket "$W/run/api.sock" -H 'Content-Type: application/json' http://h/api/v1/namespaces/watched/pods \
			-d '{"apiVersion":"v1","kind":"Pod","metadata":{"name":"'"$1"'"},"spec":{'"$2"'"containers":[{"name":"c","image":"box:1"}]}}'
	}
	out=$(made lax '')
	[[ $out == *"Warning: 299 - \"would violate PodSecurity \\\"restricted:latest\\\": allowPrivilegeEscalation != false (container \\\"c\\\" must set securityContext.allowPrivilegeEscalation=false)"* ]] ||
		{ echo "$out" | head -20; false; }
	wait_for 10 "the annotations" logged '.verb == "create" and .objectRef.namespace == "watched" and .responseStatus.code == 201 and .annotations["pod-security.kubernetes.io/enforce-policy"] == "baseline:latest"
		and (.annotations["pod-security.kubernetes.io/audit-violations"] | startswith("would violate PodSecurity \"restricted:latest\": allowPrivilegeEscalation != false"))'
	out=$(made rogue '"hostNetwork":true,')
	[[ $out == *'"message":"pods \"rogue\" is forbidden: violates PodSecurity \"baseline:latest\": host namespaces (hostNetwork=true)'* ]]
	wait_for 10 "of who was refused, too" logged '.verb == "create" and .objectRef.namespace == "watched" and .responseStatus.code == 403 and .annotations["pod-security.kubernetes.io/enforce-policy"] == "baseline:latest"
		and (.annotations["pod-security.kubernetes.io/audit-violations"] | contains("host namespaces (hostNetwork=true)"))'
	# a workload is warned of, and what is fine is not
	k -n watched create deployment web --image=box:1 2>&1 | grep -q 'Warning: would violate PodSecurity "restricted:latest"'
	wait_for 10 "a template" logged '.objectRef.resource == "deployments" and .verb == "create" and (.annotations["pod-security.kubernetes.io/audit-violations"] | strings | contains("restricted:latest")) and .annotations["pod-security.kubernetes.io/enforce-policy"] == null'
	k label ns watched --overwrite pod-security.kubernetes.io/warn=baseline >/dev/null
	out=$(made fine '')
	[[ $out != *"Warning:"* ]]
	k delete ns watched >/dev/null
}

@test "it is rotated, and no more files are kept than were asked for" {
	for _ in $(seq 400); do curl -sS --unix-socket "$W/run/api.sock" "http://h/api/v1/pods?x=$(printf '%0200d' 0)" >/dev/null; done
	wait_for 10 "two older ones" test -s "$W/state/audit.log.2"
	[ ! -e "$W/state/audit.log.3" ]
	[ "$(stat -c %s "$W/state/audit.log.1")" -lt 100000 ]
	cat "$W"/state/audit.log* | jq -e .kind >/dev/null
}

@test "exec, logs, attach and port-forward are asked about, over WebSocket and SPDY" {
	local bin
	for bin in $KUBECTLS; do
		K="timeout 30 $bin --server=http://$API --cache-dir=$W/cache.${bin##*/}"
		$K create role x --verb=get,list --resource=pods >/dev/null
		$K create rolebinding x --role=x --user=ann >/dev/null
		$K get pod p --as=ann >/dev/null
		refused 'pods/exec' $K exec p --as=ann -- true
		refused 'pods/attach' $K attach p --as=ann
		refused 'pods/log' $K logs p --as=ann
		refused 'pods/portforward' $K port-forward p 18099:80 --as=ann
		$K create role y --verb=get,create --resource=pods/exec,pods/log >/dev/null
		$K create rolebinding y --role=y --user=ann >/dev/null
		run $K exec p --as=ann -- echo it is
		has "it is"
		$K logs p --as=ann >/dev/null
		$K delete role,rolebinding x y >/dev/null
		refused 'cannot get resource "pods"' $K exec p --as=ann -- true
	done
}

@test "roles of a commit hold, a ClusterRole gathers what it selects, defaults come back" {
	put roles <<-Y
		apiVersion: rbac.authorization.k8s.io/v1
		kind: ClusterRole
		metadata: {name: gathers}
		aggregationRule: {clusterRoleSelectors: [{matchLabels: {for: gathers}}]}
		rules: []
		---
		apiVersion: rbac.authorization.k8s.io/v1
		kind: ClusterRole
		metadata: {name: part, labels: {for: gathers}}
		rules: [{apiGroups: [""], resources: [nodes], verbs: [list]}]
		---
		apiVersion: rbac.authorization.k8s.io/v1
		kind: ClusterRoleBinding
		metadata: {name: gathers}
		roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: gathers}
		subjects: [{kind: User, name: gil, apiGroup: rbac.authorization.k8s.io}]
	Y
	wait_for 15 "gil may" k get nodes --as=gil
	refused 'is owned by Git' k patch clusterrole part --type=merge -p '{"rules":[]}'
	k delete clusterrolebinding system:basic-user >/dev/null
	refused 'cannot create' k auth can-i --list --as=nobody
	kedge_stop
	kedge_start --source "deploy=$W/deploy.git"
	echo "$KEDGED" >"$W/pid"
	k auth can-i --list --as=nobody >/dev/null
	k get nodes --as=gil >/dev/null
}
