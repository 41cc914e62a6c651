#!/usr/bin/env bats
# Services that are reached from outside, from manifests to a neighbour's packets: load
# balancers with a pool of addresses, external addresses, host ports; and those that lead out.  Run
# as balancer_nftables.bats (a link to this file) everything is repeated with that proxy.
load kit.bash

NEIGHBOUR=192.0.2.9

setup_file() {
	neighbour_begin
	ip addr add 192.0.2.1/24 dev lan0
	beside ip addr add $NEIGHBOUR/24 dev lan1
	beside ip route add 203.0.113.0/24 via 192.0.2.1
	CONFIG='loadBalancer: {addresses: [192.0.2.50-192.0.2.51]}
allow: {externalIPs: [203.0.113.0/24]}'
	file_begin
	for n in a b; do
		MORE='ports: [{name: one, containerPort: 8001}, {name: two, containerPort: 8002}]' \
			pod $n box:1 '["/bin/talk", "tcp", "8001", "8002"]' | sed "s/labels: {/labels: {set: ab, /"
	done | put pods
	for n in a b; do up $n; done
}
setup() { file_test; }
teardown_file() {
	file_end
	# what it had put on the link is gone
	local left
	left=$(ip -o -4 addr show | grep -c 192.0.2)
	neighbour_end
	[ "$left" = 1 ]
}

ingress() { field svc "$1" '.status.loadBalancer.ingress[0].ip // "none"'; }
ingress_is() { [ "$(ingress "$1")" = "$2" ]; }
said() { kedge get events -o json | jq -e --arg r "$1" --arg m "$2" 'any(.items[]; .reason == $r and (.message | test($m)))'; }
# What translates, which names the Services either way; and that none of it is of that one.
nat() {
	case ${BATS_TEST_FILENAME##*/} in *_nftables*) nft list table ip KDG-nat ;; *) iptables-save -t nat ;; esac
}
no_nat() { ! nat | grep -q "$1"; }
# svc NAME PORTS [MORE LINES OF THE SPEC]
svc() {
	printf 'apiVersion: v1\nkind: Service\nmetadata: {name: %s}\nspec:\n  ports: %s\n' "$1" "$2"
	[ -z "${3:-}" ] || sed 's/^/  /' <<<"$3"
	echo ---
}
LB=$'type: LoadBalancer\nselector: {set: ab}'

@test "a load balancer gets an address of the pool, and a neighbour meets the pods there" {
	svc one '[{port: 80, targetPort: 8001}]' "$LB" | put one
	wait_for 5 "it has an address" ingress_is one 192.0.2.50
	[ "$(field svc one '.status.loadBalancer.ingress[0].ipMode')" = VIP ]
	run kedge get svc one -o wide
	matches 'one +LoadBalancer +10\.43\.[0-9.]+ +192\.0\.2\.50 +80:3[0-9]{4}/TCP +[0-9a-z]+ +set=ab'
	wait_for 5 "it answers" answers 192.0.2.50 80
	wait_for 5 "both do" sh -c "$(declare -f beside ask_beside); B=$B BATS_FILE_TMPDIR=$BATS_FILE_TMPDIR; [ \$(for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do ask_beside 192.0.2.50 80; done | cut -d' ' -f1 | sort -u | wc -l) = 2 ]"
	wait_for 5 "it is said" said EnsuredLoadBalancer 'Ensured load balancer'
	# the host and a pod reach it, too
	"$B/images/box/bin/busybox" nc -w 2 192.0.2.50 80 </dev/null
	in_ a sh -c 'nc -w 2 192.0.2.50 80 </dev/null'
}

@test "it keeps its address over a restart, and while nothing runs it is answered" {
	kedge_stop
	answers 192.0.2.50 80
	kedge_start --source "deploy=$W/deploy.git"
	echo "$KEDGED" >"$W/pid"
	ingress_is one 192.0.2.50
	wait_for 5 "it answers" answers 192.0.2.50 80
	ip addr del 192.0.2.50/32 dev lan0
	wait_for 5 "it is put back" sh -c 'ip -o addr show dev lan0 | grep -q 192.0.2.50/32'
	# a commit may have come first; then it is taken off once more
	off() { ip addr del 192.0.2.50/32 dev lan0 2>/dev/null; grep -q 'somebody changed the addresses of load balancers' "$W/kedged.log"; }
	wait_for 10 "it is said" off
	wait_for 5 "it is there again" answers 192.0.2.50 80
}

@test "Local keeps the client's address, and its health check node port tells the endpoints" {
	svc near '[{port: 81, targetPort: 8001}]' "$LB"$'\nexternalTrafficPolicy: Local' | put near
	wait_for 5 "it has an address" ingress_is near 192.0.2.51
	wait_for 5 "it answers with the client's" answers 192.0.2.51 81 " $NEIGHBOUR "
	port=$(field svc near .spec.healthCheckNodePort)
	[ "$port" -ge 30000 ]
	[ "$port" -le 32767 ]
	health() { beside curl -sm 2 -D "$BATS_TEST_TMPDIR/head" "http://192.0.2.1:$port/healthz"; }
	[ "$(health)" = '{
	"service": {
		"namespace": "default",
		"name": "near"
	},
	"localEndpoints": 2,
	"serviceProxyHealthy": true
}' ]
	head -1 "$BATS_TEST_TMPDIR/head" | grep -q ' 200 '
	grep -qi 'X-Load-Balancing-Endpoint-Weight: 2' "$BATS_TEST_TMPDIR/head"
	svc near '[{port: 81, targetPort: 8001}]' $'type: LoadBalancer\nselector: {set: nobody}\nexternalTrafficPolicy: Local' | put near
	none() { health | jq -e '.localEndpoints == 0' && head -1 "$BATS_TEST_TMPDIR/head" | grep -q ' 503 '; }
	wait_for 5 "it has none" none
	[ "$port" = "$(field svc near .spec.healthCheckNodePort)" ]
	# Cluster needs none, and the port is nobody's
	svc near '[{port: 81, targetPort: 8001}]' "$LB" | put near
	wait_for 5 "no port is left" sh -c '[ "$(kedge get svc near -o json | jq .spec.healthCheckNodePort)" = null ]'
	closed() { run health; [ "$status" = 7 ]; }
	wait_for 5 "it is closed" closed
}

@test "two share an address when none is left, never a port; who comes too late is told" {
	svc third '[{port: 82, targetPort: 8001}]' "$LB" | put third
	wait_for 5 "it shares one" ingress_is third 192.0.2.50
	wait_for 5 "it answers" answers 192.0.2.50 82
	svc late '[{port: 80, targetPort: 8001}]' "$LB"$'\nloadBalancerIP: 192.0.2.50' | put late
	wait_for 5 "it is told" said SyncLoadBalancerFailed 'Error syncing load balancer: failed to ensure load balancer: port 80/TCP of 192.0.2.50 is already in use by default/one'
	run kedge get svc late
	matches 'late +LoadBalancer +10\.43\.[0-9.]+ +<pending> +80:'
	svc late '[{port: 80, targetPort: 8001}]' "$LB"$'\nloadBalancerIP: 192.0.2.77' | put late
	wait_for 5 "it is told" said SyncLoadBalancerFailed '192.0.2.77 is not in the pool 192.0.2.50-192.0.2.51'
	svc late '[{port: 80, targetPort: 8001}]' "$LB"$'\nloadBalancerIP: 192.0.2.51' | put late
	wait_for 5 "it has it" ingress_is late 192.0.2.51
	wait_for 5 "it answers" answers 192.0.2.51 80
	# another's class is another's
	svc theirs '[{port: 83}]' "$LB"$'\nloadBalancerClass: example.org/metal\nallocateLoadBalancerNodePorts: false' | put theirs
	wait_for 5 "it is there" sh -c 'kedge get svc theirs -o json | jq -e ".spec.clusterIP"'
	# who came after it has an address: then it was passed over
	svc fence '[{port: 84, targetPort: 8001}]' "$LB" | put fence
	fenced() { ! ingress_is fence none; }
	wait_for 10 "a later one has an address" fenced
	ingress_is theirs none
	[ "$(field svc theirs '.spec.ports[0].nodePort')" = null ]
	for n in third late theirs fence; do rm "$W/clone/$n.yaml"; done
	push $'gone\n\nKedge-Prune: yes'
	wait_for 5 "they are gone" sh -c '! kedge get svc late'
}

@test "only the sources that are named come by the balancer's address" {
	svc near '[{port: 81, targetPort: 8001}]' "$LB"$'\nloadBalancerSourceRanges: [198.51.100.0/24]' | put near
	wait_for 5 "the neighbour may not" sh -c "! nsenter -t $(cat "$BATS_FILE_TMPDIR/neighbour") -n $B/images/box/bin/busybox nc -w 1 192.0.2.51 81 </dev/null"
	svc near '[{port: 81, targetPort: 8001}]' "$LB"$'\nloadBalancerSourceRanges: [" 192.0.2.0/24"]' | put near
	wait_for 5 "it may" answers 192.0.2.51 81
	# the host is within, too
	"$B/images/box/bin/busybox" nc -w 2 192.0.2.51 81 </dev/null
	drop near
	wait_for 5 "the address goes" sh -c '! ip -o addr | grep -q 192.0.2.51/'
}

@test "external addresses are the operator's to allow" {
	svc ext '[{port: 84, targetPort: 8001}]' $'selector: {set: ab}\nexternalIPs: [203.0.113.7]' | put ext
	wait_for 5 "it answers" answers 203.0.113.7 84
	run kedge get svc ext
	matches 'ext +ClusterIP +10\.43\.[0-9.]+ +203\.0\.113\.7 +84/TCP'
	svc thief '[{port: 53}]' $'selector: {set: ab}\nexternalIPs: [203.0.113.8, 8.8.8.8]' | put thief
	run kedge wait --for "$(head_id)" --timeout 10s
	[ "$status" = 1 ]
	run kedge status
	matches 'thief.yaml:[0-9]+:[0-9]+: spec.externalIPs: Forbidden: 8\.8\.8\.8 is not among allow.externalIPs of kedge.yaml'
	rm "$W/clone/thief.yaml"
	drop ext
}

@test "a port that a program has on any of the host's addresses stays that program's" {
	ip addr add 203.0.113.20/32 dev lan0
	"$B/images/box/bin/talk" tcp 8084 3>&- >/dev/null 2>&1 &
	own=$!
	wait_for 5 "it listens" answers 203.0.113.20 8084
	svc own '[{port: 8084, targetPort: 8001}]' $'selector: {set: ab}\nexternalIPs: [203.0.113.20]' | put own
	wait_for 5 "it is refused" said FailedToProgramRules 'port 8084 of 203\.0\.113\.20 is in use by a program of the host'
	run nat
	hasnt 'default/own:'
	# at an address that the host has for balancers only, the wildcard takes nothing
	svc lb '[{port: 8084, targetPort: 8001}]' "$LB" | put lb
	has_one() { [[ $(ingress lb) == 192.0.2.5* ]]; }
	wait_for 5 "it has an address" has_one
	wait_for 5 "a pod answers there" answers "$(ingress lb)" 8084 8001
	# and is told again what it is, when something of it changes
	svc lb '[{port: 8084, targetPort: 8002}]' "$LB" | put lb
	wait_for 5 "the change is in force" answers "$(ingress lb)" 8084 8002
	drop lb
	kill $own
	drop own
	ip addr del 203.0.113.20/32 dev lan0
}

@test "ExternalName has a name and no address" {
	printf 'apiVersion: v1\nkind: Service\nmetadata: {name: db}\nspec: {type: ExternalName, externalName: my.database.com}\n' | put db
	wait_for 5 "it is there" kedge get svc db
	run kedge get svc db -o wide
	matches 'db +ExternalName +<none> +my\.database\.com +<none> +[0-9a-z]+ +<none>'
	run kedge events
	hasnt 'known, but not'
	run kedge describe svc db
	matches 'Type: +ExternalName'
	matches 'External Name: +my\.database\.com'
	# and the same name becomes one that has
	svc db '[{port: 80, targetPort: 8001}]' 'selector: {set: ab}' | put db
	wait_for 5 "it has an address" sh -c 'kedge get svc db -o json | jq -e ".spec.clusterIP | startswith(\"10.43.\")"'
	printf 'apiVersion: v1\nkind: Service\nmetadata: {name: db}\nspec: {type: ExternalName, externalName: my.database.com}\n' | put db
	wait_for 5 "and loses it" sh -c '[ "$(kedge get svc db -o json | jq .spec.clusterIP)" = null ]'
	wait_for 5 "its rules go" no_nat default/db:
	drop db
}

@test "a Service without a selector leads to hand-written slices, also out of this host" {
	beside "$B/images/box/bin/talk" tcp 7000 3>&- >/dev/null 2>&1 &
	outside=$!
	{
		svc out '[{name: web, port: 80, appProtocol: http}]'
		cat <<-Y
			apiVersion: discovery.k8s.io/v1
			kind: EndpointSlice
			metadata: {name: out-1, labels: {kubernetes.io/service-name: out}}
			addressType: IPv4
			ports: [{name: web, port: 7000, protocol: TCP, appProtocol: http}]
			endpoints: [{addresses: ["$NEIGHBOUR"]}]
		Y
	} | put out
	out_answers() { "$B/images/box/bin/busybox" nc -w 2 "$(field svc out .spec.clusterIP)" 80 </dev/null | grep -q 7000; }
	wait_for 5 "it answers" out_answers
	in_ a sh -c "nc -w 2 $(field svc out .spec.clusterIP) 80 </dev/null" | grep -q 7000
	drop out
	kill $outside
}

@test "a host port answers at the host's address, and is one pod's" {
	{
		MORE='ports: [{containerPort: 8001, hostPort: 8080}]' pod hp box:1 '["/bin/talk", "tcp", "8001"]'
		MORE='ports: [{containerPort: 8001, hostPort: 8080, hostIP: 192.0.2.1}]' pod second box:1 '["/bin/talk", "tcp", "8001"]'
	} | put hp
	wait_for 10 "one of them waits" sh -c 'kedge get pods -o json | jq -e "[.items[] | select(.metadata.name == \"hp\" or .metadata.name == \"second\") | .status.phase] | sort == [\"Pending\", \"Running\"]"'
	wait_for 5 "it answers, and sees who asks" answers 192.0.2.1 8080 " $NEIGHBOUR "
	wait_for 5 "the other one is told" said FailedScheduling "0/1 nodes are available: 1 node\\(s\\) didn't have free ports for the requested pod ports."
	MORE='ports: [{containerPort: 8001, hostPort: 8081, hostIP: 192.0.2.1}]' pod second box:1 '["/bin/talk", "tcp", "8001"]' | put hp
	up second
	wait_for 5 "it answers" answers 192.0.2.1 8081 second
	run ask_beside 192.0.2.50 8081
	[ "$status" -ne 0 ]
	wait_for 5 "the former's rules go" no_nat hp.pod:8080
	# a port that a program of the host has stays that program's
	"$B/images/box/bin/talk" tcp 8082 3>&- >/dev/null 2>&1 &
	own=$!
	MORE='ports: [{containerPort: 8001, hostPort: 8082}]' pod second box:1 '["/bin/talk", "tcp", "8001"]' | put hp
	wait_for 10 "it is refused" said HostPortConflict 'host port 8082 is in use by a program of the host'
	run answers 192.0.2.1 8082 second
	[ "$status" -ne 0 ]
	kill $own
	drop hp
	wait_for 5 "the rules go" no_nat pod:80
}
