#!/usr/bin/env bats
# Services: from the manifests in a repository to packets that arrive.  Run as
# services_nftables.bats (a link to this file) everything is repeated with that proxy.
load kit.bash

nftables() { case ${BATS_TEST_FILENAME##*/} in *_nftables*) ;; *) false ;; esac }

setup_file() {
	file_begin
	pods
}
setup() { file_test; }
teardown_file() { file_end; }

# Three that answer on two TCP ports, one on UDP, one that only asks.
pods() {
	for n in a b c; do
		SPEC= MORE='ports: [{name: one, containerPort: 8001}, {name: two, containerPort: 8002}]' \
			pod $n box:1 '["/bin/talk", "tcp", "8001", "8002"]' | sed "s/labels: {/labels: {set: abc, colour: $([ $n = c ] && echo green || echo blue), /"
	done >"$W/clone/pods.yaml"
	{
		pod u box:1 '["/bin/talk", "udp", "5353"]'
		pod asker box:1
	} >"$W/clone/others.yaml"
	push pods
	for n in a b c u asker; do up $n; done
}

# svc NAME PORTS [MORE LINES OF THE SPEC]
svc() {
	cat <<-Y
		apiVersion: v1
		kind: Service
		metadata: {name: $1}
		spec:
		  ports: $2
	Y
	[ -z "${3:-}" ] || sed 's/^/  /' <<<"$3"
	echo ---
}
ip_of() { field "${2:-svc}" "$1" "${3:-.spec.clusterIP}"; }
ask() { nc -w 2 "$1" "$2" </dev/null; }
# who answers N times at ADDRESS PORT, one name a line
who() { for _ in $(seq "$3"); do ask "$1" "$2"; done | cut -d' ' -f1 | sort -u | xargs; }
eps_are() { [ "$(kedge get endpoints "$1" -o json | jq -r '[.subsets[]?.addresses[]?.targetRef.name] | sort | join(" ")')" = "$2" ]; }
answers() { [ "$(who "$1" "$2" "${4:-24}")" = "$3" ]; }

@test "a ClusterIP spreads over the pods, from the host, from a pod, and from the pod itself" {
	svc web '[{name: one, port: 80, targetPort: one}, {name: two, port: 81, targetPort: two}]' 'selector: {set: abc}' | put web
	wait_for 5 "three endpoints" eps_are web "a b c"
	ip=$(ip_of web)
	wait_for 3 "all three answer" answers "$ip" 80 "a b c"
	[ "$(ask "$ip" 80 | cut -d' ' -f3)" = 8001 ]
	[ "$(ask "$ip" 81 | cut -d' ' -f3)" = 8002 ]
	run in_ asker sh -c "for i in \$(seq 24); do nc -w 2 $ip 80 </dev/null; done | cut -d' ' -f1 | sort -u | xargs"
	[ "$output" = "a b c" ]
	run in_ a sh -c "for i in \$(seq 24); do nc -w 2 $ip 80 </dev/null; done | cut -d' ' -f1 | sort -u | xargs"
	[ "$output" = "a b c" ]
	# a pod sees who asks
	[ "$(in_ asker sh -c "nc -w 2 $ip 80 </dev/null" | cut -d' ' -f2)" = "$(ip_of asker pod .status.podIP)" ]
}

@test "a Service of one pod is reached from that pod" {
	svc own '[{port: 80, targetPort: 8001}]' 'selector: {app: a}' | put own
	wait_for 5 "one endpoint" eps_are own a
	ip=$(ip_of own)
	wait_for 3 "it answers" answers "$ip" 80 a 1
	[ "$(in_ a sh -c "nc -w 2 $ip 80 </dev/null" | cut -d' ' -f1)" = a ]
	drop own
}

@test "an address that was asked for is given, and twice is an error" {
	svc fixed '[{port: 80, targetPort: 8001}]' $'selector: {app: a}\nclusterIP: 10.43.7.7' | put fixed
	wait_for 5 "it answers" answers 10.43.7.7 80 a 1
	svc again '[{port: 80}]' 'clusterIP: 10.43.7.7' | put again
	run kedge wait --for "$(head_id)" --timeout 10s
	[ "$status" = 1 ]
	run kedge status
	matches 'again.yaml:[0-9]+:[0-9]+: .*10\.43\.7\.7'
	has fixed
	svc again '[{port: 80}]' 'clusterIP: 10.99.0.1' | put again
	run kedge wait --for "$(head_id)" --timeout 10s
	[ "$status" = 1 ]
	kedge status | grep -qE 'again.yaml:[0-9]+:[0-9]+: .*10\.43\.0\.0/16'
	rm "$W/clone/again.yaml"
	drop fixed
}

@test "a NodePort answers on every address of the node, and is kept" {
	svc np '[{name: one, port: 80, targetPort: one}, {name: two, port: 81, targetPort: two}]' $'selector: {set: abc}\ntype: NodePort' | put np
	wait_for 5 "it has a port" sh -c '[ "$(kedge get svc np -o json | jq .spec.ports[0].nodePort)" -ge 30000 ]'
	port=$(ip_of np svc '.spec.ports[0].nodePort')
	[ "$port" -le 32767 ]
	[ "$port" != "$(ip_of np svc '.spec.ports[1].nodePort')" ]
	node=$(field node "$(ip_of a pod .spec.nodeName)" '.status.addresses[] | select(.type == "InternalIP").address')
	wait_for 3 "all three answer" answers "$node" "$port" "a b c"
	[ "$(in_ asker sh -c "nc -w 2 $node $port </dev/null" | cut -d' ' -f3)" = 8001 ]
	answers "$(ip_of np)" 81 "a b c"
	svc np '[{name: one, port: 80, targetPort: one}]' $'selector: {set: abc}\ntype: NodePort' | put np
	wait_for 5 "one port is left" sh -c '[ "$(kedge get svc np -o json | jq ".spec.ports | length")" = 1 ]'
	[ "$port" = "$(ip_of np svc '.spec.ports[0].nodePort')" ]
	run kedge get svc np
	matches "np +NodePort +[0-9.]+ +<none> +80:$port/TCP"
	drop np
}

@test "a node port that was asked for, outside of the range, and taken" {
	svc asked '[{port: 80, targetPort: 8001, nodePort: 30123}]' $'selector: {app: b}\ntype: NodePort' | put asked
	node=$(field node "$(ip_of a pod .spec.nodeName)" '.status.addresses[] | select(.type == "InternalIP").address')
	wait_for 5 "it answers" answers "$node" 30123 b 1
	svc taken '[{port: 80, nodePort: 30123}]' 'type: NodePort' | put taken
	run kedge wait --for "$(head_id)" --timeout 10s
	[ "$status" = 1 ]
	run kedge status
	matches 'taken.yaml:[0-9]+:[0-9]+: .*30123'
	has asked
	svc taken '[{port: 80, nodePort: 80}]' 'type: NodePort' | put taken
	run kedge wait --for "$(head_id)" --timeout 10s
	[ "$status" = 1 ]
	run kedge status
	matches 'taken.yaml:[0-9]+:[0-9]+: .*30000-32767'
	rm "$W/clone/taken.yaml"
	drop asked
}

@test "a headless Service has endpoints and no address" {
	svc bare '[{port: 80, targetPort: 8001}]' $'selector: {set: abc}\nclusterIP: None' | put bare
	wait_for 5 "three endpoints" eps_are bare "a b c"
	[ "$(ip_of bare)" = None ]
	run kedge get svc bare
	matches 'bare +ClusterIP +None +<none> +80/TCP'
	[ "$(kedge get endpointslices -l kubernetes.io/service-name=bare -o json | jq '[.items[].endpoints[]] | length')" = 3 ]
	drop bare
}

@test "UDP goes through a Service too, also where the port was one of TCP" {
	svc dns '[{port: 53, targetPort: 5353, protocol: TCP}]' 'selector: {app: u}' | put dns
	wait_for 5 "one endpoint" eps_are dns u
	wait_for 5 "it has rules, and nobody there speaks TCP" sh -c 'kedge trace host dns:53 | grep -q "nobody listens there"'
	svc dns '[{port: 53, targetPort: 5353, protocol: UDP}]' 'selector: {app: u}' | put dns
	wait_for 5 "one endpoint" eps_are dns u
	ip=$(ip_of dns)
	udp() { [ "$("$B/images/box/bin/talk" ask "$ip" 53 | cut -d' ' -f1)" = u ]; }
	wait_for 5 "it answers" udp
	[ "$(in_ asker talk ask "$ip" 53 | cut -d' ' -f1)" = u ]
	drop dns
}

@test "ClientIP affinity: one client, one pod; another client may meet another" {
	svc sticky '[{port: 80, targetPort: 8001}]' $'selector: {set: abc}\nsessionAffinity: ClientIP' | put sticky
	wait_for 5 "three endpoints" eps_are sticky "a b c"
	ip=$(ip_of sticky)
	wait_for 3 "it answers" ask "$ip" 80
	[ "$(who "$ip" 80 20 | wc -w)" = 1 ]
	run in_ asker sh -c "for i in \$(seq 20); do nc -w 2 $ip 80 </dev/null; done | cut -d' ' -f1 | sort -u | wc -l"
	[ "$output" = 1 ]
	# a time of its own is the rules' time
	remembers() {
		if nftables; then
			nft list table ip KDG-nat | grep -qE "timeout $2( |\$)"
		else
			iptables -t nat -S | grep -q -- "--seconds $1 "
		fi
	}
	remembers 10800 3h
	svc sticky '[{port: 80, targetPort: 8001}]' $'selector: {set: abc}\nsessionAffinity: ClientIP\nsessionAffinityConfig: {clientIP: {timeoutSeconds: 77}}' | put sticky
	wait_for 5 "its time is known" remembers 77 1m17s
	[ "$(who "$ip" 80 20 | wc -w)" = 1 ]
	drop sticky
}

@test "without a ready endpoint a Service refuses at once" {
	{
		svc nobody '[{port: 80}]' 'selector: {app: nothing}'
		svc sleepy '[{port: 80, targetPort: 8001}]' 'selector: {app: sleepy}'
		MORE='readinessProbe: {exec: {command: [/bin/test, -e, /tmp/ready]}, periodSeconds: 1}' \
			pod sleepy box:1 '["/bin/talk", "tcp", "8001"]'
	} | put none
	wait_for 10 "it runs" phase_is sleepy Running
	for s in nobody sleepy; do
		wait_for 5 "it has an address" sh -c "kedge get svc $s -o json | jq -e '.spec.clusterIP != null'"
		ip=$(ip_of $s)
		refused() { run curl -sSm 3 "http://$ip/"; [[ $output == *refused* || $output == *"Couldn't connect"* ]]; }
		wait_for 3 "$s refuses" refused
		run nc -w 3 "$ip" 80
		has refused
		run in_ asker nc -w 3 "$ip" 80
		has refused
	done
	in_ sleepy touch /tmp/ready
	wait_for 5 "it answers" answers "$(ip_of sleepy)" 80 sleepy 1
	drop none
}

@test "publishNotReadyAddresses lets the unready in" {
	{
		svc early '[{port: 80, targetPort: 8001}]' $'selector: {app: early}\npublishNotReadyAddresses: true'
		svc early-names '[{name: one, port: 80, targetPort: 8001}]' $'clusterIP: None\nselector: {app: early}\npublishNotReadyAddresses: true'
		svc late-names '[{name: one, port: 80, targetPort: 8001}]' $'clusterIP: None\nselector: {app: early}'
		MORE='readinessProbe: {exec: {command: [/bin/false]}, periodSeconds: 1}' pod early box:1 '["/bin/talk", "tcp", "8001"]'
	} | put early
	wait_for 10 "it answers" sh -c "ip=\$(kedge get svc early -o json | jq -r .spec.clusterIP) && $B/images/box/bin/busybox nc -w 2 \$ip 80 </dev/null | grep -q early"
	# and into the names of a headless Service
	named() { [ "$(dig +short @10.43.0.10 "$1.default.svc.cluster.local")" = "$2" ]; }
	wait_for 5 "it has a name" named early-names "$(field pod early .status.podIP)"
	[[ $(dig +short @10.43.0.10 _one._tcp.early-names.default.svc.cluster.local SRV) == "0 100 8001 "* ]]
	named late-names ""
	drop early
}

@test "a changed selector moves the traffic, and nothing is lost on the way" {
	svc blue '[{port: 80, targetPort: 8001}]' 'selector: {colour: blue}' | put blue
	wait_for 5 "two endpoints" eps_are blue "a b"
	ip=$(ip_of blue)
	wait_for 3 "both answer" answers "$ip" 80 "a b"
	(for _ in $(seq 150); do ask "$ip" 80 || echo lost; done >"$W/blue" 2>&1) 3>&- &
	client=$!
	svc blue '[{port: 80, targetPort: 8001}]' 'selector: {colour: green}' | put blue
	wait_for 5 "one endpoint" eps_are blue c
	wait_for 3 "only green answers" answers "$ip" 80 c 10
	wait $client
	[ "$(grep -c lost "$W/blue")" = 0 ]
	[ "$ip" = "$(ip_of blue)" ]
	drop blue
}

@test "a Service without a selector keeps the Endpoints that its user wrote" {
	a=$(ip_of a pod .status.podIP)
	{
		svc manual '[{port: 80, targetPort: 8001}]'
		cat <<-Y
			apiVersion: v1
			kind: Endpoints
			metadata: {name: manual}
			subsets:
			- addresses: [{ip: $a}]
			  ports: [{port: 8001}]
		Y
	} | put manual
	wait_for 5 "it has an address" sh -c "kedge get svc manual -o json | jq -e '.spec.clusterIP != null'"
	wait_for 5 "it answers" answers "$(ip_of manual)" 80 a 1
	drop manual
}

@test "rules that somebody flushes are back within five seconds" {
	ip=$(ip_of web)
	answers "$ip" 80 "a b c"
	local n
	said() { tail -n "+$((n + 1))" "$W/kedged.log" | grep -q "somebody removed kedge's chains; writing them again"; }
	n=$(wc -l <"$W/kedged.log")
	if nftables; then nft flush table ip KDG-nat; else iptables -t nat -F; fi
	KEDGE_TEST_PATIENCE=1 wait_for 5 "they are back" answers "$ip" 80 "a b c" 12
	said
	n=$(wc -l <"$W/kedged.log")
	iptables -F
	KEDGE_TEST_PATIENCE=1 wait_for 5 "they are back" sh -c 'iptables -S FORWARD | grep -q -- "-j KDG-F"'
	said
	answers "$ip" 80 "a b c"
}

@test "a change of one Service writes little, however many there are" {
	for i in $(seq 40); do svc "many-$i" '[{port: 80, targetPort: 8001}]' 'selector: {set: abc}'; done | put many
	if nftables; then
		wait_for 20 "all have elements" sh -c '[ "$(nft list map ip KDG-nat addr | grep -c goto)" -ge 40 ]'
	else
		wait_for 20 "all have rules" sh -c '[ "$(iptables-save -t nat | grep -c "many-.*:")" -ge 40 ] || [ "$(iptables-save -t nat | grep -c many-)" -ge 40 ]'
	fi
	kedge wait --for "$(head_id)" --timeout 20s || true
	n=$(wc -l <"$W/kedged.log")
	svc one-more '[{port: 80, targetPort: 8001}]' 'selector: {app: a}' | put one-more
	wait_for 5 "it answers" sh -c "ip=\$(kedge get svc one-more -o json | jq -r .spec.clusterIP) && $B/images/box/bin/busybox nc -w 2 \$ip 80 </dev/null | grep -q ^a"
	tail -n "+$((n + 1))" "$W/kedged.log" >"$W/said"
	cat "$W/said"
	[ "$(grep -c 'plan: . program' "$W/said")" -le 2 ]
	rm "$W/clone/one-more.yaml"
	drop many
	if nftables; then
		wait_for 10 "their elements go" sh -c '[ "$(nft list map ip KDG-nat addr | grep -c goto)" -lt 40 ]'
	else
		wait_for 10 "their rules go" sh -c '! iptables-save -t nat | grep -q many-'
	fi
	answers "$(ip_of web)" 80 "a b c"
}

@test "going over to the other proxy by kedge.yaml, and back, loses no connection" {
	local ip over config=$W/kedge.yaml loop
	ip=$(ip_of web)
	cp "$config" "$W/as.it.was" 2>/dev/null || touch "$W/as.it.was"
	maps_serve() { nft list map ip KDG-nat addr 2>/dev/null | grep -q "$ip"; }
	chains_serve() { iptables-save -t nat | grep -q -- "-d $ip/32"; }
	while [ ! -e "$W/enough" ]; do
		nc -w 5 "$ip" 80 </dev/null || echo failed
	done >"$W/asked" 2>&1 3>&- &
	loop=$!
	for over in there back; do
		kedge_stop
		if [ $over = back ]; then
			cp "$W/as.it.was" "$config"
		elif nftables; then
			sed -i '/^proxy:/d' "$config"
		else
			echo "proxy: nftables" >>"$config"
		fi
		kedge_start --source "deploy=$W/deploy.git"
		echo "$KEDGED" >"$W/pid"
		if { [ $over = back ] && nftables; } || { [ $over = there ] && ! nftables; }; then
			wait_for 10 "maps serve" maps_serve
			wait_for 10 "and chains do not" sh -c "! iptables-save -t nat | grep -q KDG-V"
		else
			wait_for 10 "chains serve" chains_serve
			wait_for 10 "and maps do not" sh -c '! nft list table ip KDG-nat >/dev/null 2>&1'
		fi
		answers "$ip" 80 "a b c"
	done
	touch "$W/enough"
	wait $loop
	[ "$(grep -c '^[abc] ' "$W/asked")" -gt 10 ]
	[ "$(grep -vc '^[abc] ' "$W/asked")" = 0 ]
}
