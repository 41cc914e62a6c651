#!/usr/bin/env bats
# Pods come, go and move while a service's clients ask without a pause: nobody is refused,
# nobody is cut off.  KEDGE_ZERO_LOSS: how many times each.
load kit.bash

TIMES=${KEDGE_ZERO_LOSS:-200}

setup_file() {
	file_begin --listen "$API"
	image web:1
	put web <<-Y
		apiVersion: apps/v1
		kind: Deployment
		metadata: {name: web}
		spec:
		  selector: {matchLabels: {app: web}}
		  template:
		    metadata: {labels: {app: web}}
		    spec:
		      terminationGracePeriodSeconds: 20
		      containers:
		      - name: web
		        image: web:1
		        env: [{name: PORT, value: "8080"}]
		      - name: udp
		        image: box:1
		        command: [/bin/talk, udp, "5353"]
		        # a pod is ready when both listen
		        lifecycle: {postStart: {exec: {command: [sh, -c, "until talk ask 127.0.0.1 5353 && wget -qO- http://127.0.0.1:8080/; do sleep 0.01; done"]}}}
		---
		apiVersion: v1
		kind: Service
		metadata: {name: web}
		spec:
		  selector: {app: web}
		  ports:
		  - {name: http, port: 80, targetPort: 8080}
		  - {name: udp, port: 53, targetPort: 5353, protocol: UDP}
	Y
	patch '{"spec": {"replicas": 3}}'
	settled "three are ready" 3
}
setup() {
	file_test
	"$B/tests/e2e/traffic" "$(field svc web .spec.clusterIP)" 80 53 >"$W/sums" 2>"$W/wrong" 3>&- &
	TRAFFIC=$!
}
teardown_file() { file_end; }

patch() { curl -sf -o /dev/null -X PATCH -H 'Content-Type: application/merge-patch+json' -d "$1" "http://$API/apis/apps/v1/namespaces/default/deployments/web"; }
# settled WHAT N: waits until the last change is done, and N new ones are ready.  It watches:
# to ask again and again would take the processors from those who are measured.
settled() {
	timeout 80 jq -en --argjson n "$2" 'first(inputs.object | select(.status.observedGeneration == .metadata.generation
		and .status.replicas == $n and .status.updatedReplicas == $n and .status.availableReplicas == $n))' \
		< <(curl -sfN "http://$API/apis/apps/v1/namespaces/default/deployments?watch=true&timeoutSeconds=80&fieldSelector=metadata.name%3Dweb") >/dev/null ||
		{ echo "waited in vain: $1"; tail -n 30 "$W/kedged.log"; return 1; }
}
# moved OLD: three that are none of these are ready
moved() {
	[ "$(curl -sf "http://$API/api/v1/namespaces/default/pods?labelSelector=app%3Dweb" |
		jq --arg old "$1" '[.items[] | select(.metadata.name | test("^(" + $old + ")$") | not)
			| select(any(.status.conditions[]?; .type == "Ready" and .status == "True"))] | length')" = 3 ]
}
# nothing_lost WHAT: the clients stop, and all they asked was answered
nothing_lost() {
	kill -TERM "$TRAFFIC"
	wait "$TRAFFIC" || true
	cat "$W/sums" "$W/wrong"
	echo "# $1: $(xargs <"$W/sums")" >&3
	[ "$(awk '$2 > 20 && $3 == 0' "$W/sums" | wc -l)" = 3 ]
}

@test "rolling updates lose no new connection, no kept one and no datagram" {
	for i in $(seq "$TIMES"); do
		patch '{"spec": {"template": {"metadata": {"annotations": {"round": "'"$i"'"}}}}}'
		settled "round $i" 3
	done
	nothing_lost "$TIMES rolling updates"
}

@test "all pods moved at once, as a drained node's are: nothing is lost" {
	for i in $(seq $(((TIMES + 9) / 10))); do
		old=$(kedge get pods -l app=web -o json | jq -r '[.items[] | select(.metadata.deletionTimestamp | not).metadata.name] | join("|")')
		curl -sf -o /dev/null -X DELETE "http://$API/api/v1/namespaces/default/pods?labelSelector=app%3Dweb"
		wait_for 20 "move $i" moved "$old"
	done
	nothing_lost "$(((TIMES + 9) / 10)) mass moves"
}

@test "fewer replicas and more again lose nothing" {
	for i in $(seq "$TIMES"); do
		patch '{"spec": {"replicas": 4}}'
		settled "up $i" 4
		patch '{"spec": {"replicas": 2}}'
		settled "down $i" 2
	done
	patch '{"spec": {"replicas": 3}}'
	nothing_lost "$TIMES scale-downs"
}
