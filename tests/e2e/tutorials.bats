#!/usr/bin/env bats
# What introductions to Kubernetes have their readers type, with manifests like theirs,
# images of their names, and the real kubectl to look at it.
load kit.bash

setup_file() {
	load kit.bash
	kedge_dirs
	repo_make
	cat >"$W/kedge.yaml" <<-Y
		node: {name: k8s-node1, labels: {hostname: worker-node2}}
	Y
	kedge_start --source "deploy=$W/deploy.git" --listen "$API"
	echo "$KEDGED" >"$W/pid"
	web nginx:latest 80
	web nginx:1.11 80
	web kubetm/p8000 8000
	web kubetm/p8080 8080
	web kubetm/app 8080
	web alicek106/rr-test:echo-hostname 80
	box kubetm/init
	kedge image import "$B/images/box" mysql --cmd '["/bin/sh", "-c", "test -n \"$MYSQL_ROOT_PASSWORD\" && exec talk wait; echo database is uninitialized and password option is not specified >&2; exit 1"]' >/dev/null
}
setup() { KEDGED=$(cat "$W/pid"); }
teardown_file() {
	load kit.bash
	KEDGED=$(cat "$W/pid")
	kedge_end
}

web() { image "$1" --env "PORT=$2" --env "VERSION=$1" >/dev/null; }
# take FILE...: as the reader would put them into the repository
take() {
	local f
	for f; do cp "$ROOT/tests/e2e/tutorials/$f.yaml" "$W/clone/"; done
	push "$*"
}
leave() {
	local f
	for f; do rm "$W/clone/$f.yaml"; done
	push "no $*"$'\n\nKedge-Prune: yes'
	wait_for 15 "nothing is left" sh -c '[ "$(kedge get pods -o json | jq ".items | length")" = 0 ]'
}
node_ip() { field node k8s-node1 '.status.addresses[] | select(.type == "InternalIP").address'; }
names() { for _ in $(seq "${2:-30}"); do curl -sm 2 "http://$1/"; done | awk '{print $1}' | sort -u; }

@test "two containers in a pod: one address, two ports, READY 2/2" {
	take two-containers
	up pod-1
	run k get pods
	matches '^NAME +READY +STATUS +RESTARTS +AGE$'
	matches '^pod-1 +2/2 +Running +0 +[0-9]+s$'
	ip=$(field pod pod-1 .status.podIP)
	curl -sfm 2 "http://$ip:8000/" | grep -q '^pod-1 kubetm/p8000'
	curl -sfm 2 "http://$ip:8080/" | grep -q '^pod-1 kubetm/p8080'
	leave two-containers
	run k get pods
	has "No resources found in default namespace."
}

@test "pods are found by their labels" {
	take labels two-containers
	up pod-2
	[ "$(k get pods -l type=web -o name)" = pod/pod-2 ]
	[ "$(k get pods -l 'lo in (dev,prod)' -o name)" = pod/pod-2 ]
	run k get pods -l type=db
	has "No resources found in default namespace."
	run k get pods --show-labels
	matches 'pod-2 .*lo=dev,type=web|pod-2 .*type=web.*'
	leave labels two-containers
}

@test "a node is chosen by label; where none fits the pod waits and says why" {
	take node-selector
	up pod-a
	[ "$(field pod pod-a .spec.nodeName)" = k8s-node1 ]
	run k get nodes --show-labels
	has kubernetes.io/hostname=k8s-node1
	has hostname=worker-node2
	run k get pod pod-b
	matches 'pod-b +0/1 +Pending'
	run k describe pod pod-b
	matches "FailedScheduling.*0/1 nodes are available: 1 node\(s\) didn't match Pod's node affinity/selector"
	leave node-selector
}

@test "ClusterIP: the address stays when the pod behind it goes" {
	take node-selector clusterip
	up pod-a
	run k get svc svc-1
	matches 'svc-1 +ClusterIP +10\.43\.[0-9.]+ +<none> +9000/TCP'
	ip=$(field svc svc-1 .spec.clusterIP)
	wait_for 3 "it answers" curl -sfm 2 "http://$ip:9000/"
	old=$(field pod pod-a .metadata.uid)
	k delete pod pod-a
	wait_for 15 "another one came" sh -c "[ \"\$(kedge get pod pod-a -o json | jq -r .metadata.uid)\" != $old ]"
	up pod-a
	[ "$ip" = "$(field svc svc-1 .spec.clusterIP)" ]
	wait_for 3 "it answers" curl -sfm 2 "http://$ip:9000/"
	leave node-selector clusterip
}

@test "NodePort with externalTrafficPolicy Local, and a LoadBalancer without a provider" {
	take node-selector nodeport-local loadbalancer
	up pod-a
	run k get service
	matches 'svc-2 +NodePort +10\.43\.[0-9.]+ +<none> +9000:30000/TCP'
	matches 'svc-3 +LoadBalancer +10\.43\.[0-9.]+ +<pending> +9000:3[0-9]{4}/TCP'
	wait_for 3 "it answers" curl -sfm 2 "http://$(node_ip):30000/"
	leave node-selector nodeport-local loadbalancer
}

@test "a web server: get -o wide, describe, logs, exec" {
	take nginx-pod
	up my-nginx-pod
	run k get pods -o wide
	matches '^NAME +READY +STATUS +RESTARTS +AGE +IP +NODE +NOMINATED NODE +READINESS GATES$'
	matches '^my-nginx-pod +1/1 +Running +0 +[0-9]+s +10\.42\.[0-9.]+ +k8s-node1 +<none> +<none>$'
	run k describe pods my-nginx-pod
	for line in 'Name: +my-nginx-pod' 'Namespace: +default' 'Node: +k8s-node1/' 'Status: +Running' 'IP: +10.42' \
		'  my-nginx-container:' '    Image: +nginx:latest' '    Port: +80/TCP' '      Started: ' 'Conditions:' \
		'Events:' 'Scheduled .*Successfully assigned default/my-nginx-pod to k8s-node1' 'Started .*Started container my-nginx-container'; do
		matches "$line"
	done
	k logs my-nginx-pod
	leave nginx-pod
}

@test "ReplicaSet: what is deleted is replaced" {
	take nginx-replicaset
	wait_for 10 "three" has_ready app=my-nginx-pods-label 3
	run k get rs
	matches '^NAME +DESIRED +CURRENT +READY +AGE$'
	matches '^replicaset-nginx +3 +3 +3 +[0-9]+s$'
	k get pods -o name | head -n 1 | xargs -n 1 basename >"$W/one"
	k delete pod "$(cat "$W/one")"
	wait_for 15 "three again" has_ready app=my-nginx-pods-label 3
	run k get pods
	hasnt "$(cat "$W/one")"
	matches 'replicaset-nginx-[a-z0-9]{5} +1/1'
	leave nginx-replicaset
}

@test "Deployment: update, a broken image, history, and back" {
	take nginx-deployment
	wait_for 10 "three" has_ready app=my-nginx 3
	run k get deployment,replicaset,pods
	matches 'deployment.apps/my-nginx-deployment +3/3 +3 +3'
	matches 'replicaset.apps/my-nginx-deployment-[a-z0-9]+ +3 +3 +3'
	matches 'pod/my-nginx-deployment-[a-z0-9]+-[a-z0-9]{5} +1/1 +Running'
	first=$(k get rs -o name)
	change() {
		sed -i "s|image: .*|image: $1|; s|^  name: my-nginx-deployment|&\n  annotations: {kubernetes.io/change-cause: \"$2\"}|; /annotations: {.*}/{n;/annotations:/d}" "$W/clone/nginx-deployment.yaml"
		push "$2"
	}
	change nginx:1.11 "image 1.11"
	timeout 30 kubectl --server="http://$API" rollout status deployment my-nginx-deployment
	k get deploy my-nginx-deployment -o 'jsonpath={..image}' | grep -qx nginx:1.11
	wait_for 15 "three" has_ready app=my-nginx 3
	change nginx:nothing "image that is not there"
	wait_for 15 "the new ones wait" sh -c 'kedge get pods | grep -qE "ErrImagePull|ImagePullBackOff"'
	[ "$(pods_ready app=my-nginx)" = 3 ]
	run k get rs
	matches ' 3 +3 +3 '
	matches ' 1 +1 +0 '
	run k rollout history deployment my-nginx-deployment
	matches '^1 +<none>$'
	matches '^2 +image 1.11$'
	matches '^3 +image that is not there$'
	cp "$ROOT/tests/e2e/tutorials/nginx-deployment.yaml" "$W/clone/"
	push back
	wait_for 20 "the first is back" sh -c "kedge get ${first#*/} 2>/dev/null; [ \"\$(kedge get rs ${first##*/} -o json | jq .status.readyReplicas)\" = 3 ]"
	[ "$(k get rs -o name | wc -l)" = 3 ]
	run k rollout history deployment my-nginx-deployment
	matches '^4 +<none>$'
	leave nginx-deployment
}

@test "three that say who they are, by ClusterIP, NodePort and from a pod" {
	take hostname labels
	wait_for 10 "three" has_ready app=webserver 3
	up pod-2
	ip=$(field svc hostname-svc-clusterip .spec.clusterIP)
	wait_for 3 "it answers" curl -sfm 2 "http://$ip:8080/"
	kedge get pods -l app=webserver -o json | jq -r '.items[].metadata.name' | sort >"$W/names"
	names "$ip:8080" 40 | diff - "$W/names"
	run k get svc hostname-svc-nodeport
	matches 'hostname-svc-nodeport +NodePort +[0-9.]+ +<none> +8080:3[0-9]{4}/TCP'
	names "$(node_ip):$(field svc hostname-svc-nodeport '.spec.ports[0].nodePort')" 40 | diff - "$W/names"
	[ "$(in_ pod-2 sh -c "for i in \$(seq 30); do wget -qO- http://$ip:8080/; done | cut -d' ' -f1 | sort -u | wc -l")" = 3 ]
	run k get endpoints hostname-svc-clusterip
	matches 'hostname-svc-clusterip +10\.42\.[0-9.]+:80,10\.42\.[0-9.]+:80,10\.42\.[0-9.]+:80 '
	run k get endpointslices
	matches 'hostname-svc-clusterip-[a-z0-9]{5} +IPv4 +80 '
	leave hostname labels
}

@test "a database without its password crashes, counts up, and says why" {
	take database
	up pooh-db-nginx-pod
	run k get pod pooh-db-nginx-pod
	matches 'pooh-db-nginx-pod +2/2 +Running'
	wait_for 10 "it crashed" sh -c 'kedge get pod forgetful | grep -q CrashLoopBackOff'
	run k get pod forgetful
	matches 'forgetful +0/1 +CrashLoopBackOff +[1-9]'
	run k logs --previous forgetful
	has "database is uninitialized"
	leave database
}
