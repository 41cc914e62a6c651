# The proxy with real packets.  Run as netproxy_legacy.bats (a link to this file)
# everything is repeated with the other iptables.
load netproxy_kit

setup() { setup_host; }
teardown() {
	teardown_host
	for l in up0 lan0 other kedge0; do ip link del $l 2>/dev/null || true; done
}

@test "a service is reached from the host and from pods, and spreads over its endpoints" {
	np_start
	pod 2 3 4
	serve 8080 2 3
	web 10.42.0.2:8080 10.42.0.3:8080
	run times 60 get 10.43.0.80
	echo "$output"
	[ "$(awk '/pod/ && $1 >= 12' <<<"$output" | wc -l)" = 2 ]
	[ "${#lines[@]}" = 2 ]
	run times 60 in_pod 4 curl -sS --max-time 5 http://10.43.0.80/
	echo "$output"
	[ "$(awk '/pod/ && $1 >= 12' <<<"$output" | wc -l)" = 2 ]
	# the pod that is asked sees who asks
	run in_pod 4 curl -sS http://10.43.0.80/
	[[ $output == *" 10.42.0.4" ]]
}

@test "a pod reaches itself through its service, bridged packets filtered or not" {
	np_start
	pod 2
	serve 8080 2
	web 10.42.0.2:8080
	for call in 0 1; do
		if [ -e /proc/sys/net/bridge/bridge-nf-call-iptables ]; then
			echo $call >/proc/sys/net/bridge/bridge-nf-call-iptables
		fi
		run in_pod 2 curl -sS --max-time 5 http://10.43.0.80/
		echo "$output"
		[ "$output" = "pod2 10.42.0.1" ]
	done
}

@test "pods reach one another and the service, bridged packets filtered or not" {
	np_start
	pod 2 3
	serve 8080 2 3
	web 10.42.0.2:8080
	for call in 0 1; do
		if [ -e /proc/sys/net/bridge/bridge-nf-call-iptables ]; then
			echo $call >/proc/sys/net/bridge/bridge-nf-call-iptables
		fi
		[ "$(in_pod 3 curl -sS --max-time 5 http://10.42.0.2:8080/)" = "pod2 10.42.0.3" ]
		run times 20 in_pod 3 curl -sS --max-time 5 http://10.43.0.80/
		[ "$output" = "20 pod2" ]
	done
}

@test "a frame that a pod addresses to another goes nowhere, bridged packets filtered or not" {
	np_start
	pod 2 3
	serve 8080 2
	web 10.42.0.2:8080
	for call in 0 1; do
		if [ -e /proc/sys/net/bridge/bridge-nf-call-iptables ]; then
			echo $call >/proc/sys/net/bridge/bridge-nf-call-iptables
		fi
		[ "$(in_pod 3 curl -sS --max-time 5 http://10.42.0.2:8080/)" = "pod2 10.42.0.3" ]
		in_pod 3 ip route add 10.42.0.2/32 dev eth0
		in_pod 3 ip neigh replace 10.42.0.2 lladdr 0a:4b:0a:2a:00:02 dev eth0
		run in_pod 3 curl -sS --max-time 1 http://10.42.0.2:8080/
		[ "$status" = 28 ]
		in_pod 3 ip route del 10.42.0.2/32 dev eth0
		[ "$(in_pod 3 curl -sS --max-time 5 http://10.43.0.80/)" = "pod2 10.42.0.3" ]
	done
	np check
	[[ $said == "ok intact"* ]]
}

@test "a service without endpoints is refused at once, and so is an address nobody has" {
	np_start
	pod 2
	web
	for from in "" "in_pod 2"; do
		for at in 10.43.0.80:80 10.43.7.7:80 10.42.0.1:30080; do
			start=${EPOCHREALTIME/./}
			run $from curl -sS --max-time 5 http://$at/
			echo "$from $at: $output"
			[ "$status" = 7 ]
			[ $((${EPOCHREALTIME/./} - start)) -lt 1000000 ]
		done
		run $from perl "$here/netproxy_peer.pl" ask 10.43.0.80 80 1
		# the host's own program hears it from its firewall, another from ICMP
		[ "$output" = "${from:+refused}" ] || [ "$output" = "${from:-Operation not permitted}" ]
	done
}

@test "a packet for the service range does not leave the host even without rules" {
	np_start
	ip link add up0 type veth peer name up1
	echo 1 | tee /proc/sys/net/ipv6/conf/up{0,1}/disable_ipv6 # its chatter is not ours
	ip addr add 192.0.2.1/24 dev up0
	ip link set up0 up
	ip link set up1 up
	ip route add default via 192.0.2.2
	ip neigh add 192.0.2.2 lladdr 02:00:00:00:00:02 dev up0
	iptables_ -t nat -F
	iptables_ -F
	received() { ip -s -j link show up1 | jq '.[0].stats64.rx.packets'; }
	quiet=$(received)
	peer ask 203.0.113.1 9 1
	before=$(received)
	[ "$before" -gt "$quiet" ]
	run peer ask 10.43.0.80 80 2
	[[ $output != *pod* ]]
	[ "$(received)" = "$before" ]
	np nodeip
	[ "$said" = "ok 192.0.2.1" ]
	ip link del up0
	np nodeip
	[ "$said" = "ok 10.42.0.1" ]
}

@test "a client keeps its endpoint with affinity" {
	np_start
	pod 2 3 4 5
	serve 8080 2 3 4
	np set default/web:http 10.43.0.80 tcp 80 0 10800 0 10.42.0.2:8080 10.42.0.3:8080 10.42.0.4:8080
	np commit
	for from in "" "in_pod 5"; do
		run times 20 $from curl -sS --max-time 5 http://10.43.0.80/
		echo "$output"
		[ "${#lines[@]}" = 1 ]
		[[ ${lines[0]} == "20 pod"* ]]
	done
}

@test "affinity ends with its time" {
	np_start
	pod 2 3
	serve 8080 2 3
	np set default/web:http 10.43.0.80 tcp 80 0 1 0 10.42.0.2:8080 10.42.0.3:8080
	np commit
	for i in {1..12}; do get 10.43.0.80; sleep 1.2; done >"$BATS_TEST_TMPDIR/said"
	[ "$(cut -d' ' -f1 "$BATS_TEST_TMPDIR/said" | sort -u | wc -l)" = 2 ]
}

@test "a node port works on every address but 127.0.0.1" {
	np_start
	pod 2 3
	serve 8080 2
	ip addr add 198.51.100.7/32 dev lo
	web 10.42.0.2:8080
	for at in 10.42.0.1 198.51.100.7; do
		[[ $(get $at:30080) == "pod2 "* ]]
		[[ $(in_pod 3 curl -sS --max-time 5 http://$at:30080/) == "pod2 10.42.0.1" ]]
	done
	run get 127.0.0.1:30080
	[ "$status" = 7 ]
	[ "$(cat /proc/sys/net/ipv4/conf/{all,default,kedge0,lo}/route_localnet | sort -u)" = 0 ]
	ip addr del 198.51.100.7/32 dev lo
}

@test "a client outside sees a node port, and keeps its address where that is asked for" {
	np_start
	pod 2
	serve 8080 2
	# a neighbour of the host
	unshare --net sleep 1000 3>&- >/dev/null 2>&1 &
	pod_pid[99]=$!
	soon own_net "${pod_pid[99]}"
	ip link add lan0 type veth peer name lan1 netns "${pod_pid[99]}"
	ip addr add 192.0.2.1/24 dev lan0
	ip link set lan0 up
	in_pod 99 ip addr add 192.0.2.9/24 dev lan1
	in_pod 99 ip link set lan1 up
	in_pod 99 ip route add 10.43.0.0/16 via 192.0.2.1
	iptables_ -P FORWARD DROP
	np set default/web:http 10.43.0.80 tcp 80 30080 0 0 10.42.0.2:8080
	np set default/own:http 10.43.0.81 tcp 80 30081 0 1 10.42.0.2:8080
	np commit
	[ "$(in_pod 99 curl -sS --max-time 5 http://192.0.2.1:30080/)" = "pod2 10.42.0.1" ]
	[ "$(in_pod 99 curl -sS --max-time 5 http://192.0.2.1:30081/)" = "pod2 192.0.2.9" ]
	# and pods reach the outside with the host's address
	in_pod 99 perl "$here/netproxy_peer.pl" serve outside 9000 3>&- >/dev/null 2>&1 &
	started+=($!)
	soon listens 99 9000
	[ "$(in_pod 2 curl -sS --max-time 5 http://192.0.2.9:9000/)" = "outside 192.0.2.1" ]
	ip link del lan0
	iptables_ -P FORWARD ACCEPT
}

@test "UDP follows its endpoints, also a client that never pauses" {
	np_start
	pod 2 3 4
	serve 5353 2 3
	np set kube-system/dns:dns 10.43.0.10 udp 53 30053 0 0 10.42.0.2:5353
	np commit
	[ "$(in_pod 4 perl "$here/netproxy_peer.pl" ask 10.43.0.10 53 2 7777 | sort -u)" = "pod2 10.42.0.4" ]
	[ "$(peer ask 10.42.0.1 30053 1 7778)" = "pod2 10.42.0.1" ]
	np set kube-system/dns:dns 10.43.0.10 udp 53 30053 0 0 10.42.0.3:5353
	np commit
	[ "$(in_pod 4 perl "$here/netproxy_peer.pl" ask 10.43.0.10 53 1 7777)" = "pod3 10.42.0.4" ]
	[ "$(peer ask 10.42.0.1 30053 1 7778)" = "pod3 10.42.0.1" ]
	# the last endpoint goes
	np set kube-system/dns:dns 10.43.0.10 udp 53 30053 0 0
	np commit
	[ "$(in_pod 4 perl "$here/netproxy_peer.pl" ask 10.43.0.10 53 1 7777)" = refused ]
	[ "$(peer ask 10.42.0.1 30053 1 7778)" = refused ]
	# and comes back
	np set kube-system/dns:dns 10.43.0.10 udp 53 30053 0 0 10.42.0.2:5353
	np commit
	[ "$(in_pod 4 perl "$here/netproxy_peer.pl" ask 10.43.0.10 53 1 7777)" = "pod2 10.42.0.4" ]
	# the service goes
	np drop kube-system/dns:dns
	np commit
	[ "$(in_pod 4 perl "$here/netproxy_peer.pl" ask 10.43.0.10 53 1 7777)" = refused ]
}

@test "cutting UDP flows leaves those of others alone, whatever their port" {
	np_start
	pod 2 3 4
	serve 30053 3
	serve 5353 2
	np set kube-system/dns:dns 10.43.0.10 udp 53 30053 0 0 10.42.0.2:5353
	np commit
	# straight to a pod, on a port that is also a node port
	in_pod 4 perl "$here/netproxy_peer.pl" ask 10.42.0.3 30053 1 7777
	[ "$(conntrack -L -p udp 2>/dev/null | grep -c sport=7777)" = 1 ]
	np set kube-system/dns:dns 10.43.0.10 udp 53 30053 0 0
	np commit
	[ "$(conntrack -L -p udp 2>/dev/null | grep -c sport=7777)" = 1 ]
}

@test "flows of a pod are counted while they live and gone after a flush" {
	np_start
	pod 2 3
	serve 8080 2
	web 10.42.0.2:8080
	np flows 10.42.0.2
	[ "$said" = "ok 0" ]
	in_pod 3 perl "$here/netproxy_peer.pl" hold 10.43.0.80 80 100 3>&- >"$BATS_TEST_TMPDIR/held" &
	started+=($!)
	peer hold 10.42.0.2 8080 100 3>&- >"$BATS_TEST_TMPDIR/held2" &
	started+=($!)
	soon grep -s held "$BATS_TEST_TMPDIR/held"
	soon grep -s held "$BATS_TEST_TMPDIR/held2"
	np flows 10.42.0.2
	[ "$said" = "ok 2" ]
	np flows 10.42.0.3
	[ "$said" = "ok 0" ]
	peer ask 10.42.0.2 8080 1
	np flows 10.42.0.2
	[ "$said" = "ok 3" ]
	# taking the endpoint out of the rules does not break the connection
	web
	np flows 10.42.0.2
	[[ $said == "ok "[23] ]]
	np flush 10.42.0.2
	np flows 10.42.0.2
	[ "$said" = "ok 0" ]
	[ "$(conntrack -L 2>/dev/null | grep -c 10.42.0.2)" = 0 ]
}

@test "rules of others are untouched, and their changes are no alarm" {
	iptables_ -t nat -N OTHERS
	iptables_ -t nat -A OTHERS -p tcp --dport 9 -j RETURN
	iptables_ -t nat -A PREROUTING -j OTHERS
	iptables_ -A FORWARD -s 203.0.113.0/24 -j DROP
	before=$(rules_now)
	np_start
	pod 2
	serve 8080 2
	web 10.42.0.2:8080
	[ "$(rules_now | grep -v KDG-)" = "$before" ]
	np check
	iptables_ -A FORWARD -s 198.51.100.0/24 -j DROP
	np check
	[[ $said == "ok intact"* ]]
	iptables_ -D FORWARD -s 198.51.100.0/24 -j DROP
	web
	np down
	[ "$(rules_now)" = "$before" ]
	iptables_ -t nat -F
	iptables_ -t nat -X OTHERS
	iptables_ -F
}

@test "down leaves no trace" {
	echo 0 >/proc/sys/net/ipv4/ip_forward
	echo 1 >/proc/sys/net/ipv4/conf/all/send_redirects
	iptables_ -t nat -S >/dev/null
	iptables_ -S >/dev/null
	trace() { ip -o link; ip -o addr; ip route show table all; ip neigh; rules_now; cat /proc/sys/net/ipv4/{ip_forward,conf/all/send_redirects}; }
	before=$(trace)
	np_start
	pod 2 3
	serve 8080 2
	web 10.42.0.2:8080
	get 10.43.0.80
	np down
	trace | diff <(echo "$before") -
	# and again, when there is nothing
	np down
}

@test "the last of 1,000 services is as near as the first (figure)" {
	np_start
	pod 2
	np many 1 10.42.0.2:8080
	np commit
	np race "/proc/${pod_pid[2]}/ns/net" 10.42.0.2 8080 10.43.16.0 80 2000
	echo "# 1 service, $(variant):      ${said#ok }" >&3
	np many 1000 10.42.0.2:8080
	np commit
	echo "# 1,000 services written: ${said#ok }" >&3
	np race "/proc/${pod_pid[2]}/ns/net" 10.42.0.2 8080 10.43.19.231 80 2000
	echo "# 1,000 services, $(variant): ${said#ok }" >&3
	ratio=${said##* }
	[ "${ratio%.*}" -lt 3 ]
	np set fill/999 10.43.19.231 tcp 80 0 0 0 10.42.0.2:8080 10.42.0.3:8080
	np commit
	echo "# one endpoint more:      ${said#ok }" >&3
	np check
	np check
	echo "# a check, unchanged:     ${said#ok }" >&3
}

@test "a pod's link is usable at once, without ARP and without IPv6" {
	np_start
	pod 2
	run in_pod 2 ip -o addr show dev eth0
	[[ $output == *"inet 10.42.0.2/32 "* ]]
	[[ $output != *inet6* ]]
	[ "$(in_pod 2 ip -o link show dev lo | grep -c ',UP')" = 1 ]
	[ "$(in_pod 2 perl "$here/netproxy_peer.pl" ask 10.42.0.1 9 1)" = refused ]
	there kdg0a2a0002
	[ "$(ip -o addr show dev kdg0a2a0002 | wc -l)" = 0 ]
	[[ $(ip -d link show dev kdg0a2a0002) == *"numtxqueues 1 numrxqueues 1"* ]] # more are put away, which waits
	run in_pod 2 ip -d link show dev eth0
	[[ $output == *"numtxqueues 1 numrxqueues 1"* ]]
	[ "$(cat /proc/sys/net/ipv6/conf/kedge0/accept_ra)" = 0 ]
	np unplug 10.42.0.2
	! there kdg0a2a0002 || false
	[ -z "$(ip neigh show 10.42.0.2)" ]
	np unplug 10.42.0.2
}

@test "an address is plugged again after its pod's namespace has gone, or before" {
	np_start
	pod 2
	kill "${pod_pid[2]}"
	wait "${pod_pid[2]}" || true
	pod 2
	serve 8080 2
	[ "$(get 10.42.0.2:8080)" = "pod2 10.42.0.1" ]
	old=${pod_pid[2]}
	pod 2
	serve 8080 2
	[ "$(get 10.42.0.2:8080)" = "pod2 10.42.0.1" ]
	kill "$old"
}

@test "a pod cannot send with another pod's address" {
	np_start
	pod 2 3 4
	serve 8080 2
	np lacks
	if [[ $said == *xt_bpf* ]]; then skip "this kernel has no xt_bpf"; fi
	in_pod 3 perl "$here/netproxy_peer.pl" spoof 10.42.0.3 10.42.0.2 8080
	soon eval "conntrack -L -p udp | grep 'src=10.42.0.3 dst=10.42.0.2'"
	in_pod 3 perl "$here/netproxy_peer.pl" spoof 10.42.0.4 10.42.0.2 8080
	in_pod 3 perl "$here/netproxy_peer.pl" spoof 10.42.0.4 10.42.0.1 8080
	in_pod 3 perl "$here/netproxy_peer.pl" spoof 198.51.100.9 10.42.0.2 8080
	sleep 0.3
	[ "$(conntrack -L -p udp 2>/dev/null | grep -cE 'src=(10.42.0.4|198.51.100.9) .*sport=4444')" = 0 ]
	# nor with another's MAC
	in_pod 3 ip link set eth0 address 0a:4b:0a:2a:00:04
	run in_pod 3 perl "$here/netproxy_peer.pl" ask 10.42.0.2 8080 1
	[ "$output" = none ]
}

@test "a link in the way, a range in use and a bad address are said so" {
	ip link add kedge0 type veth
	run np_start
	[[ $output == *"a link named kedge0 exists and is no bridge (veth)"* ]]
	ip link del kedge0
	ip link add other type veth
	ip addr add 10.42.3.7/24 dev other
	run np_start
	[[ $output == *"other has the address 10.42.3.7, which is in the range 10.42.0.0/16 that is meant for pods"* ]]
	ip link del other
	np_start
	run np unplug 10.44.0.1
	[[ $output == *"10.44.0.1 is no pod's address in 10.42.0.0/16"* ]]
	run np plug /dev/null 10.42.0.9
	[[ $output == *"10.42.0.9: make the veth pair"* ]]
	! there kdg0a2a0009 || false
	run np set 'a"b' 10.43.0.9 tcp 80 0 0 0
	[[ $output == *"a service's id must be"* ]]
}

@test "a missing iptables is an error that says what to install" {
	run "$B/tests/e2e/netproxy_drive" -p /nonexistent/iptables-restore <<<open
	[[ $output == "error: /nonexistent/iptables-restore cannot be run: No such file or directory; "*"install the package iptables"* ]]
	PATH=/nonexistent run "$B/tests/e2e/netproxy_drive" <<<open
	[[ $output == "error: iptables-restore is not installed"*"install the package iptables"* ]]
}

@test "an iptables that fails is quoted with the line it failed at, and what served goes on" {
	np_start
	pod 2
	serve 8080 2
	web 10.42.0.2:8080
	np close
	cat >"$BATS_TEST_TMPDIR/iptables-restore" <<-EOF
		#!/bin/bash
		[ "\$1" = -V ] && exec /usr/sbin/iptables-$(variant)-restore -V
		sed 's/-j DNAT/-j NOSUCHTARGET/' | /usr/sbin/iptables-$(variant)-restore "\$@"
	EOF
	chmod +x "$BATS_TEST_TMPDIR/iptables-restore"
	run "$B/tests/e2e/netproxy_drive" -p "$BATS_TEST_TMPDIR/iptables-restore" <<-EOF
		open
		set default/web:http 10.43.0.80 tcp 80 0 0 0 10.42.0.2:8080
		commit
	EOF
	echo "$output"
	[[ ${lines[2]} == "error: iptables-restore failed ("* ]]
	[[ ${lines[2]} == *"that line is \"-A KDG-S-"*"-j DNAT --to-destination 10.42.0.2:8080"* ]]
	[[ $(get 10.43.0.80) == "pod2 "* ]]
	np open
}
