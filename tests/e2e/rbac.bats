#!/usr/bin/env bats
# rbac.bats -- who may what, with the real kubectl as somebody else (--as): every version here.
load kit.bash

setup_file() {
	served_begin
	KUBECTLS=$(kubectls)
	export KUBECTLS
}
setup() { kubectl_needs 27; }

teardown_file() { served_end; }

# each TEST: with one kubectl after the other; $V is its number, for names of its own
each() {
	local bin
	for bin in $KUBECTLS; do
		V=$(basename "$bin" | tr -dc 0-9)
		K="timeout --foreground 60 $bin --server=http://127.0.0.1:$PORT --cache-dir=$W/cache.$V"
		"$@" || { echo "with $bin: ${output:-}"; return 1; }
	done
}
curl_() { curl -sS --max-time 10 --unix-socket "$W/api.sock" "$@"; }
create() { $K create --save-config=false "$@" >/dev/null; }
cleanup_all() { $K delete role,rolebinding,clusterrole,clusterrolebinding -A -l '!kubernetes.io/bootstrapping' >/dev/null; }

@test "the default roles and bindings are there, and somebody without any may nothing" {
	t() {
		run $K get clusterroles -o name
		for r in cluster-admin admin edit view system:discovery system:basic-user system:public-info-viewer; do
			has "clusterrole.rbac.authorization.k8s.io/$r" || return 1
		done
		run $K get clusterrolebindings -o wide
		matches "cluster-admin *ClusterRole/cluster-admin" || return 1
		refused 'Error from server (Forbidden): pods is forbidden: User "eve" cannot list resource "pods" in API group "" in the namespace "default"' \
			$K get pods --as=eve || return 1
		refused 'nodes is forbidden: User "eve" cannot list resource "nodes" in API group "" at the cluster scope' \
			$K get nodes --as=eve || return 1
		refused 'deployments.apps "web" is forbidden: User "eve" cannot get resource "deployments" in API group "apps" in the namespace "default"' \
			$K get deploy web --as=eve || return 1
		refused 'forbidden: User "eve" cannot get path "/kedge/status"' $K get --raw /kedge/status --as=eve || return 1
		refused 'cannot delete path' $K delete --raw '/kedge/images?name=web:1' --as=eve || return 1
		$K get --raw /version --as=eve >/dev/null
	}
	each t
}

@test "a Role by a RoleBinding holds in its namespace, with names and subresources" {
	t() {
		create role "r$V" --verb=get,list,watch --resource=pods || return 1
		create role "l$V" --verb=get --resource=pods/log --resource-name=nobody || return 1
		create rolebinding "r$V" --role="r$V" --user=ann || return 1
		create rolebinding "l$V" --role="l$V" --user=ann || return 1
		$K get pods --as=ann >/dev/null || return 1
		refused 'in the namespace "kube-system"' $K get pods -n kube-system --as=ann || return 1
		refused 'cannot list resource "pods" in API group "" at the cluster scope' $K get pods -A --as=ann || return 1
		pod=$($K get pods -o name | head -n 1)
		refused 'cannot get resource "pods/log" in API group ""' $K logs "$pod" --as=ann || return 1
		refused 'resource "pods/exec" in API group ""' $K exec "$pod" --as=ann -- true || return 1
		refused 'cannot delete resource "pods" in API group ""' $K delete "$pod" --as=ann || return 1
		$K patch role "r$V" --type=json -p '[{"op":"replace","path":"/rules/0/verbs","value":["get","list"]}]' >/dev/null || return 1
		run curl_ -H 'Impersonate-User: ann' 'http://h/api/v1/namespaces/default/pods?watch=true&timeoutSeconds=1'
		has 'pods is forbidden: User \"ann\" cannot watch resource \"pods\"' || return 1
		refused 'cannot change roleRef' $K patch rolebinding "r$V" --type=merge \
			-p '{"roleRef":{"name":"other"}}' || return 1
		run $K describe role "r$V"
		matches 'pods *\[\] *\[\] *\[get list\]' || return 1
		cleanup_all
		refused 'cannot list resource "pods"' $K get pods --as=ann
	}
	each t
}

@test "a list of one name, a collection and an apply that makes are each what they are" {
	t() {
		pod=$($K get pods -o name | head -n 1)
		pod=${pod#pod/}
		create role "n$V" --verb=list,watch,delete --resource=pods --resource-name="$pod" || return 1
		create rolebinding "n$V" --role="n$V" --user=hal || return 1
		refused 'cannot list resource "pods"' $K get pods --as=hal || return 1
		run $K get pods --as=hal --field-selector "metadata.name=$pod" -o name
		[ "$output" = "pod/$pod" ] || return 1
		refused 'cannot list resource "pods"' $K get pods --as=hal --field-selector "metadata.name!=$pod" || return 1
		run curl_ -X DELETE -H 'Impersonate-User: hal' http://h/api/v1/namespaces/default/pods
		has 'User \"hal\" cannot deletecollection resource \"pods\"' || return 1
		create role "p$V" --verb=get,patch --resource=configmaps || return 1
		create rolebinding "p$V" --role="p$V" --user=hal || return 1
		refused 'configmaps "made'"$V"'" is forbidden: User "hal" cannot create resource "configmaps"' \
			$K apply --server-side --validate=false --as=hal -f - <<<$'---\n'"{apiVersion: v1, kind: ConfigMap, metadata: {name: made$V}}" || return 1
		create configmap "made$V" || return 1
		$K apply --server-side --validate=false --as=hal -f - <<<$'---\n'"{apiVersion: v1, kind: ConfigMap, metadata: {name: made$V}, data: {a: b}}" >/dev/null || return 1
		$K delete configmap "made$V" >/dev/null
		create role "u$V" --verb=update --resource=services || return 1
		create rolebinding "u$V" --role="u$V" --user=hal || return 1
		run curl_ -X PUT -H 'Impersonate-User: hal' -H 'Content-Type: application/json' -d '{"metadata":{"name":"put"},"spec":{"clusterIP":"None"}}' http://h/api/v1/namespaces/default/services/put
		has 'User \"hal\" cannot create resource \"services\"' || return 1
		cleanup_all
	}
	each t
}

@test "groups, ServiceAccounts, ClusterRoles and aggregation at the start" {
	t() {
		create clusterrolebinding "g$V" --clusterrole=view --group=readers || return 1
		$K get pods -A --as=bob --as-group=readers >/dev/null || return 1
		refused 'secrets is forbidden' $K get secrets --as=bob --as-group=readers || return 1
		create rolebinding "s$V" --clusterrole=edit --serviceaccount=default:robot || return 1
		$K get secrets --as=system:serviceaccount:default:robot >/dev/null || return 1
		refused 'cannot list resource "secrets"' $K get secrets -n kube-system --as=system:serviceaccount:default:robot || return 1
		refused 'cannot list resource "secrets"' $K get secrets --as=system:serviceaccount:other:robot || return 1
		create clusterrolebinding "a$V" --clusterrole=view --group=system:serviceaccounts:default || return 1
		$K get pods -A --as=system:serviceaccount:default:any >/dev/null || return 1
		create rolebinding "m$V" --clusterrole=nothere --user=mia || return 1
		refused 'RBAC: clusterrole.rbac.authorization.k8s.io "nothere" not found' $K get pods --as=mia || return 1
		cleanup_all
	}
	each t
}

@test "impersonation is a right of its own" {
	t() {
		create clusterrole "i$V" --verb=impersonate --resource=users --resource-name=ann || return 1
		create clusterrolebinding "i$V" --clusterrole="i$V" --user=carl || return 1
		run curl_ -H 'Impersonate-Group: x' http://h/api/v1/pods
		has 'requested groups without impersonating a user' || return 1
		run curl_ -H 'Impersonate-User: system:anonymous' http://h/api/v1/pods
		has 'User \"system:anonymous\" cannot list resource' || return 1
		$K auth can-i impersonate users/ann --as=carl >/dev/null || return 1
		run $K auth can-i impersonate users/bob --as=carl
		[ "$status" != 0 ] || return 1
		cleanup_all
	}
	each t
}

@test "nobody grants what they do not hold, but for who may escalate or bind" {
	t() {
		create role "w$V" --verb='*' --resource=roles.rbac.authorization.k8s.io,rolebindings.rbac.authorization.k8s.io || return 1
		$K patch role "w$V" --type=json -p '[{"op":"replace","path":"/rules/0/verbs","value":["create","get","update","patch"]}]' >/dev/null || return 1
		create rolebinding "w$V" --role="w$V" --user=dan || return 1
		refused 'user "dan" (groups=["system:authenticated"]) is attempting to grant RBAC permissions not currently held:' \
			$K create role "x$V" --verb=get,list --resource=secrets --as=dan || return 1
		has '{APIGroups:[""], Resources:["secrets"], Verbs:["get" "list"]}' || return 1
		refused 'is attempting to grant RBAC permissions not currently held' \
			$K create rolebinding "x$V" --clusterrole=cluster-admin --user=dan --as=dan || return 1
		refused 'clusterrole.rbac.authorization.k8s.io "nothere" not found' \
			$K create rolebinding "x$V" --clusterrole=nothere --user=dan --as=dan || return 1
		$K create role "x$V" --verb=get --resource=roles.rbac.authorization.k8s.io --as=dan >/dev/null || return 1
		create role "b$V" --verb=bind --resource=clusterroles.rbac.authorization.k8s.io --resource-name=view || return 1
		create rolebinding "b$V" --role="b$V" --user=dan || return 1
		$K create rolebinding "v$V" --clusterrole=view --user=fay --as=dan >/dev/null || return 1
		$K get pods --as=fay >/dev/null || return 1
		create role "e$V" --verb=escalate --resource=roles.rbac.authorization.k8s.io || return 1
		create rolebinding "e$V" --role="e$V" --user=dan || return 1
		$K create role "y$V" --verb=get,list --resource=secrets --as=dan >/dev/null || return 1
		cleanup_all
	}
	each t
}

@test "an aggregationRule is set and ended by who has all rights, or may escalate" {
	t() {
		create clusterrole "w$V" --verb=get,create,update,patch --resource=clusterroles.rbac.authorization.k8s.io || return 1
		create clusterrolebinding "w$V" --clusterrole="w$V" --user=dot || return 1
		create clusterrole "g$V" --aggregation-rule="for=g$V" || return 1
		refused 'must have cluster-admin privileges to use the aggregationRule' \
			$K create clusterrole "h$V" --aggregation-rule="for=g$V" --as=dot || return 1
		# what was gathered would stay
		refused 'must have cluster-admin privileges to use the aggregationRule' \
			$K patch clusterrole "g$V" --type=json -p '[{"op":"remove","path":"/aggregationRule"}]' --as=dot || return 1
		refused 'must have cluster-admin privileges to use the aggregationRule' \
			$K label clusterrole "g$V" a=b --as=dot || return 1
		[ "$($K get clusterrole "g$V" -o 'jsonpath={.aggregationRule.clusterRoleSelectors[0].matchLabels.for}')" = "g$V" ] || return 1
		create clusterrole "e$V" --verb=escalate --resource=clusterroles.rbac.authorization.k8s.io || return 1
		create clusterrolebinding "e$V" --clusterrole="e$V" --user=dot || return 1
		$K patch clusterrole "g$V" --type=json -p '[{"op":"remove","path":"/aggregationRule"}]' --as=dot >/dev/null || return 1
		[ -z "$($K get clusterrole "g$V" -o 'jsonpath={.aggregationRule}')" ] || return 1
		cleanup_all
	}
	each t
}

@test "auth can-i, --list, reconcile" {
	t() {
		run $K auth can-i delete pods
		[ "$output" = yes ] || return 1
		run $K auth can-i delete pods --as=gus
		[ "$output" = no ] || return 1
		create role "c$V" --verb=get,list --resource=pods,pods/log || return 1
		create rolebinding "c$V" --role="c$V" --user=gus || return 1
		run $K auth can-i get pods --subresource=log --as=gus
		[ "$output" = yes ] || return 1
		run $K auth can-i --list --as=gus
		matches 'pods/log *\[\] *\[\] *\[get list\]' || return 1
		has 'selfsubjectaccessreviews.authorization.k8s.io' || return 1
		run $K auth can-i --list
		matches '\*\.\* *\[\] *\[\] *\[\*\]' || return 1
		cat >"$W/rec.yaml" <<-Y
			apiVersion: rbac.authorization.k8s.io/v1
			kind: Role
			metadata: {name: rec$V, namespace: default}
			rules:
			- {apiGroups: [""], resources: [pods], verbs: [get]}
			- {apiGroups: [""], resources: [services], verbs: [list]}
		Y
		run $K auth reconcile -f "$W/rec.yaml"
		[ "$status" = 0 ] && has "rec$V reconciled" || return 1
		$K patch role "rec$V" --type=json -p '[{"op":"remove","path":"/rules/1"}]' >/dev/null || return 1
		$K auth reconcile -f "$W/rec.yaml" >/dev/null || return 1
		run $K get role "rec$V" -o jsonpath='{.rules[*].resources[0]}'
		has services || return 1
		cleanup_all
	}
	each t
}

@test "SubjectAccessReview and LocalSubjectAccessReview answer for others" {
	local post=(-X POST -H 'Content-Type: application/json')
	run curl_ "${post[@]}" http://h/apis/authorization.k8s.io/v1/subjectaccessreviews -d \
		'{"spec":{"user":"x","groups":["system:masters"],"resourceAttributes":{"verb":"get","resource":"pods"}}}'
	has '"allowed":true'
	run curl_ "${post[@]}" http://h/apis/authorization.k8s.io/v1/subjectaccessreviews -d \
		'{"spec":{"user":"x","nonResourceAttributes":{"verb":"get","path":"/metrics"}}}'
	has '"allowed":false'
	run curl_ "${post[@]}" http://h/apis/authorization.k8s.io/v1/namespaces/default/localsubjectaccessreviews -d \
		'{"spec":{"user":"x","resourceAttributes":{"namespace":"other","verb":"get","resource":"pods"}}}'
	has 'must match metadata.namespace'
	run curl_ "${post[@]}" http://h/apis/authorization.k8s.io/v1/subjectaccessreviews -d '{"spec":{}}'
	has 'exactly one of nonResourceAttributes or resourceAttributes must be specified'
	run curl_ -H 'Impersonate-User: x' "${post[@]}" http://h/apis/authorization.k8s.io/v1/subjectaccessreviews -d '{}'
	has 'cannot create resource'
}

@test "what Kubernetes refuses of a role or a binding is refused in its words" {
	K="kubectl --server=http://127.0.0.1:$PORT"
	bad() { # bad TEXT: the manifest on standard input
		refused "$1" $K create --validate=false -f - <<<$'---\n'"$(cat)"
	}
	bad 'rules[0].verbs: Required value: verbs must contain at least one value' <<-Y
		{apiVersion: rbac.authorization.k8s.io/v1, kind: Role, metadata: {name: z}, rules: [{apiGroups: [""], resources: [pods]}]}
	Y
	bad 'namespaced rules cannot apply to non-resource URLs' <<-Y
		{apiVersion: rbac.authorization.k8s.io/v1, kind: Role, metadata: {name: z}, rules: [{nonResourceURLs: ["/x"], verbs: [get]}]}
	Y
	bad 'roleRef.kind: Unsupported value: "Role": supported values: "ClusterRole"' <<-Y
		{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRoleBinding, metadata: {name: z}, roleRef: {kind: Role, name: a, apiGroup: rbac.authorization.k8s.io}}
	Y
	bad 'subjects[0].namespace: Required value' <<-Y
		{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {name: z}, subjects: [{kind: ServiceAccount, name: a}], roleRef: {kind: Role, name: a, apiGroup: rbac.authorization.k8s.io}}
	Y
}
