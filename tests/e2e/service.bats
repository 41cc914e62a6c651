#!/usr/bin/env bats
# Services: every way to reach the pods behind one, and who is behind it.
load lib.bash

setup_file() {
	load lib.bash
	kedge_dirs
	mkdir "$W/m"
	printf 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: keep}\n' >"$W/m/keep.yaml"
	kedge_start --source "$W/m"
	export KEDGED
	image web:1
	deployment web web:1 3 >"$W/m/web.yaml"
	cat >"$W/m/svc.yaml" <<-Y
		apiVersion: v1
		kind: Service
		metadata: {name: web}
		spec: {selector: {app: web}, ports: [{port: 80, targetPort: http}]}
		---
		apiVersion: v1
		kind: Service
		metadata: {name: np}
		spec:
		  type: NodePort
		  selector: {app: web}
		  ports: [{name: a, port: 80, targetPort: 8080, nodePort: 30080}, {name: b, port: 81, targetPort: http}]
		---
		apiVersion: v1
		kind: Service
		metadata: {name: sticky}
		spec: {selector: {app: web}, sessionAffinity: ClientIP, ports: [{port: 80, targetPort: http}]}
		---
		apiVersion: v1
		kind: Service
		metadata: {name: headless}
		spec: {clusterIP: None, selector: {app: web}, ports: [{port: 80, targetPort: http}]}
		---
		apiVersion: v1
		kind: Service
		metadata: {name: nobody}
		spec: {selector: {app: nobody}, ports: [{port: 80}]}
	Y
	wait_for 20 "three are ready" has_ready app=web 3
	wait_for 5 "the rules are there" reaches "$(ip_of web)"
}
teardown_file() {
	load lib.bash
	kedge_end
}

ip_of() { field svc "$1" .spec.clusterIP; }
get() { curl -sfm 2 "http://$1/"; }
reaches() { [ -n "$1" ] && [ "$1" != null ] && get "$1"; }
names_behind() { for _ in $(seq "${2:-40}"); do get "$1"; done | awk '{print $1}' | sort -u; }
pod_names() { kedge get pods -l app=web -o json | jq -r '.items[].metadata.name' | sort; }
a_pod() { pgrep -n -x web; }

@test "a cluster IP spreads over all pods, from the host and from a pod" {
	diff <(pod_names) <(names_behind "$(ip_of web)")
	diff <(pod_names) <(for _ in $(seq 40); do nsenter -t "$(a_pod)" -n curl -sfm 2 "http://$(ip_of web)/"; done | awk '{print $1}' | sort -u)
}

@test "a node port that is asked for and one that is given out both serve" {
	node=$(kedge get nodes -o json | jq -r '.items[0].status.addresses[] | select(.type == "InternalIP").address')
	given=$(field svc np '.spec.ports[1].nodePort')
	[ "$given" -ge 30000 ]
	[ "$given" -le 32767 ]
	[ "$given" != 30080 ]
	diff <(pod_names) <(names_behind "$node:30080")
	diff <(pod_names) <(names_behind "$node:$given")
	get "$(ip_of np):81"
}

@test "ClientIP affinity keeps a client with one pod" {
	[ "$(names_behind "$(ip_of sticky)" 20 | wc -l)" = 1 ]
}

@test "a headless service has endpoints and no rules" {
	[ "$(ip_of headless)" = None ]
	[ "$(field endpoints headless '.subsets[0].addresses | length')" = 3 ]
	kedge get endpointslices -l kubernetes.io/service-name=headless -o json | jq -e '.items[0].endpoints | length == 3'
}

@test "a service without endpoints refuses at once" {
	run curl -sm 2 "http://$(ip_of nobody)/"
	[ "$status" = 7 ]
}

@test "a pod that is no longer ready leaves the rules, and comes back" {
	pod=$(pod_names | head -1)
	pid=$(for p in $(pgrep -x web); do [ "$(nsenter -t "$p" -u hostname)" != "$pod" ] || echo "$p"; done)
	kill -STOP "$pid"
	wait_for 20 "two are ready" has_ready app=web 2
	wait_for 5 "it is out" sh -c "! kedge get endpoints web -o json | jq -e '.subsets[0].addresses[] | select(.targetRef.name == \"$pod\")'"
	[ "$(names_behind "$(ip_of web)" | wc -l)" = 2 ]
	kill -CONT "$pid"
	wait_for 20 "three are ready" has_ready app=web 3
	wait_for 5 "it is back" sh -c "for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do curl -sfm 2 http://$(ip_of web)/; done | grep -q '$pod'"
}

@test "a node port that two want is refused with both places" {
	cat >"$W/m/thief.yaml" <<-Y
		apiVersion: v1
		kind: Service
		metadata: {name: thief}
		spec: {type: NodePort, selector: {app: web}, ports: [{port: 80, nodePort: 30080}]}
	Y
	wait_for 10 "it is said" sh -c "kedge events | grep -q 'provided port is already allocated'"
	run kedge get svc thief
	[ "$status" -ne 0 ]
	rm "$W/m/thief.yaml"
}

@test "a service that goes takes its rules, endpoints and slices along" {
	ip=$(ip_of np)
	python3 - "$W/m/svc.yaml" <<-'P'
		import sys
		docs = open(sys.argv[1]).read().split("---\n")
		open(sys.argv[1], "w").write("---\n".join(d for d in docs if "name: np}" not in d))
	P
	wait_for 10 "it is gone" sh -c "! kedge get svc np"
	wait_for 5 "its lists are gone" sh -c "! kedge get endpoints np && [ \"\$(kedge get endpointslices -l kubernetes.io/service-name=np -o json | jq '.items | length')\" = 0 ]"
	wait_for 5 "its rules are gone" sh -c "! curl -sfm 1 http://$ip/"
	get "$(ip_of web)"
}
