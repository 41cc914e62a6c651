#!/usr/bin/env bats
# admission.bats -- LimitRanges and ResourceQuotas, from kubectl and from Git.
load kit.bash

setup_file() {
	file_begin --listen "$API"
	KUBECTLS=$(kubectls)
	KTIME=60
	export KUBECTLS KTIME
}
setup() {
	file_test
	kubectl_needs 27
}
teardown_file() { file_end; }

quota() { k -n "$1" get quota "$2" -o "jsonpath={.status.used['${3//./\\.}']}"; }
quota_is() { [ "$(quota "$1" "$2" "$3")" = "$4" ]; }
# solo NS NAME [RESOURCES]: a pod
solo() {
	k -n "$1" apply -f - <<-Y
		apiVersion: v1
		kind: Pod
		metadata: {name: $2}
		spec:
		  terminationGracePeriodSeconds: 1
		  containers: [{name: c, image: "box:1", resources: {${3:-}}}]
	Y
}
failed_create() { k -n "$1" get deploy web -o 'jsonpath={.status.conditions[?(@.type=="ReplicaFailure")].reason}' | grep -q FailedCreate; }
replicas() { [ "$(k -n "$1" get deploy web -o 'jsonpath={.status.replicas}')" = "$2" ]; }

@test "a LimitRange fills in what a pod leaves out, and refuses what is beyond it" {
	t() {
		k create ns limits || return 1
		k -n limits apply -f - <<-Y || return 1
			apiVersion: v1
			kind: LimitRange
			metadata: {name: sizes}
			spec:
			  limits:
			  - {type: Container, default: {cpu: 200m, memory: 64Mi}, defaultRequest: {cpu: 100m}, max: {cpu: 500m, memory: 128Mi}}
			  - {type: PersistentVolumeClaim, max: {storage: 1Gi}}
		Y
		run k -n limits get limits
		matches '^sizes +[0-9-]+T' || return 1
		run k -n limits describe limits sizes
		matches 'Container +cpu +- +500m +100m +200m' || return 1
		solo limits a || return 1
		[ "$(k -n limits get pod a -o 'jsonpath={.spec.containers[0].resources.limits.cpu} {.spec.containers[0].resources.requests.cpu}')" = "200m 100m" ] || return 1
		run k -n limits get pod a -o 'jsonpath={.metadata.annotations.kubernetes\.io/limit-ranger}'
		has 'LimitRanger plugin set: cpu, memory request for container c; cpu, memory limit for container c' || return 1
		refused 'pods "b" is forbidden: maximum cpu usage per Container is 500m, but limit is 1' \
			solo limits b 'limits: {cpu: "1"}' || return 1
		run k -n limits apply -f - <<-Y
			apiVersion: v1
			kind: PersistentVolumeClaim
			metadata: {name: big}
			spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 2Gi}}}
		Y
		has 'persistentvolumeclaims "big" is forbidden: maximum storage usage per PersistentVolumeClaim is 1Gi, but request is 2Gi' || return 1
		# what is no claim is none of that row's business
		k -n limits create deployment beside --image=box:1 --replicas=0 || return 1
		k -n limits create service clusterip beside --tcp=80 || return 1
		k -n limits create configmap beside --from-literal=a=b || return 1
		k delete ns limits --timeout=30s
	}
	every t
}

@test "a ResourceQuota counts, refuses what is beyond it, and says so of a Deployment" {
	t() {
		k create ns team || return 1
		k -n team create quota q --hard=pods=2,requests.cpu=1,configmaps=2,services.nodeports=1,count/deployments.apps=1 || return 1
		wait_for 5 "it is counted" quota_is team q pods 0
		refused 'pods "a" is forbidden: failed quota: q: must specify requests.cpu for: c' solo team a || return 1
		solo team a 'requests: {cpu: 600m}' || return 1
		wait_for 5 "one pod is counted" quota_is team q requests.cpu 600m
		refused 'pods "b" is forbidden: exceeded quota: q, requested: requests.cpu=500m, used: requests.cpu=600m, limited: requests.cpu=1' \
			solo team b 'requests: {cpu: 500m}' || return 1
		k -n team create configmap one || return 1
		refused 'configmaps "two" is forbidden: exceeded quota: q, requested: configmaps=1, used: configmaps=2, limited: configmaps=2' \
			k -n team create configmap two || return 1
		refused 'services "s" is forbidden: exceeded quota: q, requested: services.nodeports=2, used: services.nodeports=0, limited: services.nodeports=1' \
			k -n team create service nodeport s --tcp=1:1 --tcp=2:2 || return 1
		run k -n team get quota
		matches '^NAME +REQUEST +LIMIT +AGE' || return 1
		has 'pods: 1/2' || return 1
		run k -n team describe quota q
		matches 'requests.cpu +600m +1' || return 1
		k -n team apply -f - <<-Y || return 1
			apiVersion: apps/v1
			kind: Deployment
			metadata: {name: web}
			spec:
			  replicas: 3
			  selector: {matchLabels: {app: web}}
			  template:
			    metadata: {labels: {app: web}}
			    spec:
			      terminationGracePeriodSeconds: 1
			      containers: [{name: c, image: "box:1", resources: {requests: {cpu: 10m}}}]
		Y
		wait_for 10 "it is said" failed_create team
		wait_for 10 "one of three is made" replicas team 1
		run k -n team get events
		matches 'FailedCreate .*is forbidden: exceeded quota: q, requested: pods=1, used: pods=2, limited: pods=2' || return 1
		k -n team patch quota q --type=merge -p '{"spec":{"hard":{"pods":"4"}}}' || return 1
		wait_for 10 "all are made" replicas team 3
		run failed_create team
		[ "$status" != 0 ] || return 1
		k delete ns team --timeout=30s
	}
	every t
}

@test "a commit is asked about like a write, with what it brings itself" {
	K=kubectl
	put git <<-Y
		apiVersion: v1
		kind: Namespace
		metadata: {name: git}
		---
		apiVersion: v1
		kind: LimitRange
		metadata: {name: sizes, namespace: git}
		spec: {limits: [{type: Container, default: {cpu: 200m}}]}
		---
		apiVersion: v1
		kind: ResourceQuota
		metadata: {name: q, namespace: git}
		spec: {hard: {pods: "1"}}
		---
		apiVersion: v1
		kind: Pod
		metadata: {name: a, namespace: git}
		spec: {containers: [{name: c, image: "box:1"}]}
	Y
	wait_for 15 "the pod is made" k -n git get pod a
	[ "$(k -n git get pod a -o 'jsonpath={.spec.containers[0].resources.limits.cpu}')" = 200m ]
	uid=$(k -n git get pod a -o 'jsonpath={.metadata.uid}')
	put two <<-Y
		apiVersion: v1
		kind: Pod
		metadata: {name: b, namespace: git}
		spec: {containers: [{name: c, image: "box:1"}]}
	Y
	said() { k get revisions -o json | grep -q 'pods \\"b\\" is forbidden: exceeded quota: q, requested: pods=1, used: pods=1, limited: pods=1'; }
	wait_for 15 "the commit is refused" said
	rm "$W/clone/two.yaml"
	sed -i 's/{name: a, namespace: git}/{name: a, namespace: git, labels: {x: one}}/' "$W/clone/git.yaml"
	push labelled
	labelled() { [ "$(k -n git get pod a -o 'jsonpath={.metadata.labels.x}')" = one ]; }
	wait_for 15 "the label is there" labelled
	[ "$(k -n git get pod a -o 'jsonpath={.metadata.uid} {.spec.containers[0].resources.limits.cpu}')" = "$uid 200m" ]
	# what was let in once is put back, whatever the quotas say now
	k -n git create quota none --hard=pods=0
	k -n git delete pod a --wait=false
	again() { [ "$(k -n git get pod a -o 'jsonpath={.metadata.uid}')" != "$uid" ] && k -n git get pod a; }
	wait_for 15 "the pod is put back" again
}

@test "a commit that a quota refused is applied once the quota is raised, and told again only then" {
	put room <<-Y
		apiVersion: v1
		kind: Namespace
		metadata: {name: room}
	Y
	wait_for 15 "the namespace is there" k get ns room
	k -n room create quota q --hard=pods=0
	put guest <<-Y
		apiVersion: v1
		kind: Pod
		metadata: {name: guest, namespace: room}
		spec: {containers: [{name: c, image: "box:1"}]}
	Y
	said() { k get revisions -o json | grep -q 'pods \\"guest\\" is forbidden: exceeded quota: q'; }
	wait_for 15 "the commit is refused" said
	failures() { k get revisions -o json | jq '[.items[] | select(.status.outcome == "Failed" and .spec.commit == "'"$(head_id)"'")] | length'; }
	k -n room patch quota q --type=merge -p '{"metadata":{"labels":{"seen":"yes"}}}'
	k -n room patch quota q --type=merge -p '{"spec":{"hard":{"pods":"1"}}}'
	wait_for 15 "the pod is made" k -n room get pod guest
	[ "$(failures)" = 1 ]
	kedge wait deploy --for "$(head_id)" --timeout 20s
}
