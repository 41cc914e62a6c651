#!/usr/bin/env bats
# Seeing services: describe, and the way that a connection would take without making one.
load kit.bash

setup_file() {
	# An hour: what waits for it whole is seen to.
	CONFIG=$'loadBalancer: {addresses: [192.0.2.50]}\nlimits: {drainSeconds: 3600}'
	file_begin
	image web:1
	{
		deployment web web:1 2
		echo ---
		service web NodePort | sed 's/port: 80,/port: 80, nodePort: 30080,/'
		cat <<-Y
			---
			apiVersion: v1
			kind: Service
			metadata: {name: nobody}
			spec: {type: NodePort, selector: {app: nobody}, ports: [{port: 80, nodePort: 30081}]}
			---
			apiVersion: v1
			kind: Service
			metadata: {name: gate}
			spec: {type: LoadBalancer, selector: {app: web}, loadBalancerSourceRanges: [198.51.100.0/24], ports: [{port: 81, targetPort: 8080}]}
			---
		Y
		pod asker box:1
	} | put web
	up asker
	wait_for 20 "two are ready" has_ready app=web 2
	wait_for 5 "it answers" sh -c 'curl -sfm 1 "http://$(kedge get svc web -o json | jq -r .spec.clusterIP)/"'
}
setup() { file_test; }
teardown_file() { file_end; }

node_ip() { kedge get nodes -o json | jq -r '.items[0].status.addresses[] | select(.type == "InternalIP").address'; }

@test "a connection through a cluster IP: rules, shares, pods, and the lines that they come from" {
	ip=$(field svc web .spec.clusterIP)
	before=$(conntrack -L -d "$ip" 2>/dev/null | wc -l)
	run kedge trace asker web:80
	[ "$status" = 0 ]
	matches "^from +10\.42\.[0-9.]+ \(pod default/asker\)$"
	matches "^to +$ip:80/TCP \(service default/web\)  web.yaml:[0-9]+ of deploy $(head_id | cut -c1-7)$"
	matches '^rules +generation [1-9]'
	matches '^  nat +-A KDG-D -d 10.43.0.0/16 -j KDG-V$'
	matches "^  nat +-A KDG-V -d $ip/32 .*--comment \"default/web:http\" -j KDG-S-"
	matches '^it is served$'
	[ "$(grep -cE '^ +50\.0%  10\.42\.[0-9.]+:8080  pod default/web-[a-z0-9]+-[a-z0-9]+  web.yaml:1 of deploy [0-9a-f]{7}$' <<<"$output")" = 2 ]
	[ "$(conntrack -L -s "$(field pod asker .status.podIP)" 2>/dev/null)" = "" ] # nobody connected
	[ "$(conntrack -L -d "$ip" 2>/dev/null | wc -l)" -le "$before" ]
	# every rule that it names is in force
	iptables-save >"$BATS_TEST_TMPDIR/rules"
	while read -r _ rule; do grep -qFx -- "$rule" "$BATS_TEST_TMPDIR/rules"; done < <(grep -E '^  (nat|filter) ' <<<"$output")
	# by port name, from the host, and in JSON
	kedge trace host web:http | grep -q '^it is served$'
	[ "$(kedge trace host web.default:80 -o json | jq '[.ends[].share] | add')" = 1000000 ]
}

@test "node ports, closed doors, and addresses that are nobody's" {
	node=$(node_ip)
	run kedge trace 203.0.113.5 "$node:30080"
	[ "$status" = 0 ]
	matches "it is served, and may be answered through the host's address"
	matches '-A KDG-N .*--dport 30080'
	run kedge trace 203.0.113.5 "$node:30081"
	[ "$status" = 1 ]
	matches '^  filter +-A KDG-R .*default/nobody:80 has no endpoints" -j REJECT'
	matches '^it is refused$'
	run kedge trace asker nobody:80
	matches '^it is refused$'
	matches '^  no endpoint: no pod has the labels that it selects by: app=nobody$'
	run kedge trace 203.0.113.5 192.0.2.50:81
	matches 'default/gate:81 is not for this source" -j DROP'
	matches '^it is dropped$'
	run kedge trace 198.51.100.7 192.0.2.50:81
	matches '-A KDG-G-[0-9a-f]+ -s 198.51.100.0/24 -j KDG-X'
	matches '^it is served'
	run kedge trace 203.0.113.5 "$node:22"
	matches '^it is passed on$'
	# what it says is what is
	run curl -sm 2 "http://$node:30081/"
	[ "$status" = 7 ]
}

@test "trace: a NetworkPolicy's word is the way's end, at the endpoint it is about" {
	put shut <<-Y
		apiVersion: networking.k8s.io/v1
		kind: NetworkPolicy
		metadata: {name: shut}
		spec: {podSelector: {matchLabels: {app: web}}, ingress: [{from: [{podSelector: {matchLabels: {friend: "yes"}}}]}]}
	Y
	refused() { run kedge trace asker web:80 && [ "$status" = 1 ]; }
	wait_for 20 "the policy is in the rules" refused
	matches '^  filter +-A KDG-WI -d 10\.42\.[0-9.]+/32 -g KDG-GI[0-9a-f]{8}$'
	matches '^  filter +-A KDG-GI[0-9a-f]{8} -j REJECT --reject-with icmp-admin-prohibited$'
	matches '^it is refused$'
	[ "$(grep -cE '^ +50\.0%  10\.42\.[0-9.]+:8080  pod default/web-.*  is refused$' <<<"$output")" = 2 ]
	run in_ asker sh -c "nc -w 2 $(field svc web .spec.clusterIP) 80 </dev/null"
	[ "$status" -ne 0 ]
	# the host is not asked by policies
	kedge trace host web:80 | grep -q '^it is served$'
	drop shut
	served() { kedge trace asker web:80 | grep -q '^it is served$'; }
	wait_for 20 "the policy is gone" served
}

@test "trace: what cannot be asked is said" {
	run kedge trace asker web:99
	[ "$status" -ne 0 ]
	has 'service web has no port 99'
	run kedge trace asker web
	has 'SERVICE:PORT or ADDRESS:PORT is meant'
	run kedge trace nobody web:80
	has 'pods "nobody" not found'
	run kedge trace asker http://web:80
	has 'http://web:80: SERVICE:PORT or ADDRESS:PORT is meant'
	run kedge trace asker 192.0.2.9:53/dns
	has '192.0.2.9:53/dns: /tcp, /udp or /sctp is meant'
	run kedge trace asker 192.0.2.9:53x
	[ "$status" = 1 ]
	has '53x is no port'
	run kedge trace cm/nobody web:80
	has 'configmaps "nobody" not found'
}

@test "trace: a workload stands for one of its pods, and -o json has the same exit status" {
	run kedge trace deploy/web web:80
	[ "$status" = 0 ]
	matches '^from +10\.42\.[0-9.]+ \(pod default/web-'
	run kedge trace pod/asker web:80 -o json
	[ "$status" = 0 ]
	run kedge trace asker nobody:80 -o json
	[ "$status" = 1 ]
	[ "$(jq -r .verdict <<<"$output")" = refused ]
}

@test "describe shows endpoints with their state and connections, and the rules' generation" {
	in_ asker sh -c "sleep 30 | nc $(field svc web .spec.clusterIP) 80" 3>&- >/dev/null 2>&1 &
	holds() { run kedge describe svc web; matches 'http +ready +1 +\? +web-'; }
	echo 0 >/proc/sys/net/netfilter/nf_conntrack_acct
	wait_for 5 "one has a connection" holds
	run kedge describe svc web
	matches '^Type: +NodePort$'
	matches '^External Traffic Policy: +Cluster$'
	matches '^Internal Traffic Policy: +Cluster$'
	matches '^Rules Generation: +[1-9]'
	matches '^EndpointSlices:$'
	matches '^  Address +Port +State +Connections +Bytes +Pod$'
	[ "$(grep -cE '^  10\.42\.[0-9.]+:8080 +http +ready +[01] +\? +web-' <<<"$output")" = 2 ]
	matches '^  Bytes are counted after sysctl net.netfilter.nf_conntrack_acct=1'
	run kedge describe svc gate
	matches '^LoadBalancer Ingress: +192\.0\.2\.50 \(VIP\)$'
	matches '^LoadBalancer Source Ranges: +198\.51\.100\.0/24$'
	kill %1 2>/dev/null || true
}

@test "describe counts the bytes of an endpoint's connections when the kernel does" {
	echo 1 >/proc/sys/net/netfilter/nf_conntrack_acct
	local ip
	ip=$(field svc web .spec.clusterIP)
	in_ asker sh -c "sleep 30 | nc $ip 80" 3>&- >/dev/null 2>&1 &
	carried() { conntrack -L -p tcp -d "$ip" 2>/dev/null | grep ESTABLISHED | grep -o 'bytes=[0-9]*' | awk -F= '{ n += $2 } END { print n + 0 }'; }
	shown() {
		run kedge describe svc web
		[ "$(carried)" -gt 100 ] && [ "$(awk '/ http +ready / { n += $5 } END { print n + 0 }' <<<"$output")" = "$(carried)" ]
	}
	wait_for 10 "as many as the kernel has" shown
	hasnt "Bytes are counted after"
	echo 0 >/proc/sys/net/netfilter/nf_conntrack_acct
	kill %1 2>/dev/null || true
}

lone() { { deployment lone web:1 "$1" && echo --- && service lone; } | put lone; }
lone_is_there() { [ "$(kedge get pods -l app=lone -o json | jq '.items | length')" = 1 ]; }
lone_is_gone() { [ "$(kedge get pods -l app=lone -o json | jq '.items | length')" = 0 ]; }
lone_is_shut() { run kedge trace asker lone:80; matches '^it is refused$'; }

@test "the last endpoint ends with its last connection, and at once without one, when no other comes" {
	lone 1
	wait_for 20 "it is ready" has_ready app=lone 1
	mkfifo "$BATS_TEST_TMPDIR/held"
	kedge exec -i asker -- nc "$(field svc lone .spec.clusterIP)" 80 <"$BATS_TEST_TMPDIR/held" >/dev/null 2>&1 3>&- &
	exec 9>"$BATS_TEST_TMPDIR/held"
	holds() { run kedge describe svc lone; matches 'http +ready +1 +[0-9?]+ +lone-'; }
	wait_for 10 "it has a connection" holds
	lone 0
	wait_for 20 "nobody new is led to it" lone_is_shut
	matches '^  no endpoint: no pod has the labels that it selects by just now: app=lone$'
	drains() { grep -q ' drain pod default/lone-' "$W/kedged.log"; }
	wait_for 10 "it is asked whether connections are left" drains
	lone_is_there
	exec 9>&-
	wait_for 20 "it goes with its connection" lone_is_gone
	# and with none
	lone 1
	wait_for 20 "it is ready again" has_ready app=lone 1
	lone 0
	wait_for 20 "it goes" lone_is_gone
}
