#!/usr/bin/env bats
# Manifests that public introductions teach people, unmodified, put into a watched directory.
load lib.bash

setup_file() {
	load lib.bash
	kedge_dirs
	mkdir "$W/dir"
	kedge_start --node-name k8s-node1 --source "files=$W/dir"
	export KEDGED
	make -s -C "$ROOT/repo-example/images" O="$B/images"
	"$ROOT/tests/images" kedge "$B/images/web" >/dev/null
}
teardown_file() {
	load lib.bash
	kedge_end
}

# teach FILE...: the directory holds these tutorials and nothing else
teach() {
	local f
	mkdir "$W/new"
	for f; do cp "$BATS_TEST_DIRNAME/tutorials/$f.yaml" "$W/new/"; done
	rsync_to "$W/new" "$W/dir"
	rm -r "$W/new"
	wait_for 10 "the files are read" settled
}
rsync_to() { # new files first, so that the directory is never empty
	cp "$1"/* "$2/"
	for f in "$2"/*; do [ -e "$1/$(basename "$f")" ] || rm "$f"; done
}
settled() { kedge sync files && [ -z "$(kedge diff --source files)" ]; }
running() { [ "$(kedge get pod "$1" -o json | jq -r .status.phase)" = Running ]; }
ip_of() { field pod "$1" .status.podIP; }
answers() { curl -sfm 2 "http://$1/"; }

@test "two containers in a pod answer at one address, and READY says 2/2" {
	teach pod-1-two-containers
	wait_for 10 "the pod runs" running pod-1
	ip=$(ip_of pod-1)
	[[ $(answers "$ip:8000") =~ ^pod-1\  ]]
	[[ $(answers "$ip:8080") =~ ^pod-1\  ]]
	kedge get pods | grep -qE '^pod-1 +2/2 +Running'
}

@test "a Service picks pods by label" {
	teach pod-2-labels svc-1-selector
	wait_for 10 "the pod runs" running pod-2
	ip=$(field svc svc-1 .spec.clusterIP)
	wait_for 5 "the service answers" answers "$ip:8080"
	[ "$(kedge get pods -l 'lo in (dev,prod)' -o name)" = pod/pod-2 ]
	[ -z "$(kedge get pods -l type=db -o name 2>/dev/null)" ]
}

@test "a pod runs on the node it names, and one that names another waits and says why" {
	teach pod-node-selector svc-1-clusterip
	wait_for 10 "the pod runs" running pod-1
	[ "$(field pod pod-2 .status.phase)" = Pending ]
	kedge describe pod pod-2 | grep -q "didn't match Pod's node affinity/selector"
	ip=$(field svc svc-1 .spec.clusterIP)
	wait_for 5 "the service answers" answers "$ip:9000"
}

@test "a ClusterIP stays while the pod behind it is deleted and made again" {
	ip=$(field svc svc-1 .spec.clusterIP)
	before=$(field pod pod-1 .metadata.uid)
	kedge delete pod pod-1
	wait_for 15 "another pod runs" sh -c "[ \"\$(kedge get pod pod-1 -o json | jq -r .metadata.uid)\" != $before ]"
	wait_for 10 "the pod runs" running pod-1
	[ "$(field svc svc-1 .spec.clusterIP)" = "$ip" ]
	wait_for 5 "the service answers" answers "$ip:9000"
}

@test "a NodePort with externalTrafficPolicy Local answers on the node that has the pod" {
	teach pod-node-selector svc-2-nodeport-local
	wait_for 10 "the pod runs" running pod-1
	ip=$(kedge get node k8s-node1 -o json | jq -r '.status.addresses[] | select(.type == "InternalIP").address')
	port=$(field svc svc-2 '.spec.ports[0].nodePort')
	wait_for 5 "the node port answers" answers "$ip:$port"
}

@test "a bare nginx pod answers on port 80" {
	teach nginx-pod
	wait_for 10 "the pod runs" running my-nginx-pod
	[[ $(answers "$(ip_of my-nginx-pod)") =~ ^my-nginx-pod\  ]]
	kedge logs my-nginx-pod | grep -q 'listens on port 80'
}

@test "a ReplicaSet replaces what is deleted" {
	teach replicaset-nginx
	wait_for 15 "three are ready" has_ready app=my-nginx-pods-label 3
	one=$(kedge get pods -l app=my-nginx-pods-label -o json | jq -r '.items[0].metadata.name')
	kedge delete pod "$one"
	wait_for 15 "three are ready again" has_ready app=my-nginx-pods-label 3
	! kedge get pod "$one" 2>/dev/null
}

@test "a Deployment comes up as Kubernetes names it" {
	teach deployment-nginx
	wait_for 15 "three are ready" has_ready app=my-nginx 3
	kedge get deployment,replicaset,pods | grep -qE '^deployment.apps/my-nginx-deployment +3/3 +3 +3'
	kedge get pods -o name | grep -qE '^pod/my-nginx-deployment-[a-z0-9]+-[a-z0-9]{5}$'
}

@test "a ClusterIP and a NodePort spread requests over the Deployment's pods" {
	teach hostname-deployment hostname-svc-clusterip hostname-svc-nodeport
	wait_for 15 "three are ready" has_ready app=webserver 3
	ip=$(field svc hostname-svc-clusterip .spec.clusterIP)
	wait_for 5 "the service answers" answers "$ip:8080"
	[ "$(for _ in $(seq 60); do answers "$ip:8080"; done | sort -u | wc -l)" = 3 ]
	node=$(kedge get node k8s-node1 -o json | jq -r '.status.addresses[] | select(.type == "InternalIP").address')
	port=$(field svc hostname-svc-nodeport '.spec.ports[0].nodePort')
	wait_for 5 "the node port answers" answers "$node:$port"
	[ "$(for _ in $(seq 60); do answers "$node:$port"; done | sort -u | wc -l)" = 3 ]
	kedge get svc hostname-svc-nodeport | grep -q "8080:$port/TCP"
	[ "$(kedge get endpoints hostname-svc-clusterip -o json | jq '[.subsets[].addresses[]] | length')" = 3 ]
}
