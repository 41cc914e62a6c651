# Every way into a service from outside, with real packets.  Run as netproxy_entrances_legacy.bats
# (a link to this file) everything is repeated with the other iptables.
load netproxy_kit

setup() {
	setup_host
	policies=
}
teardown() {
	if [ -n "$policies" ]; then
		iptables_ -P INPUT ACCEPT
		iptables_ -P FORWARD ACCEPT
	fi
	teardown_host
	for l in lan0 other kedge0; do ip link del $l 2>/dev/null || true; done
}

# Pod number 99 is no pod but a neighbour of the host, at 192.0.2.9; 98 another, at 192.0.2.8.
neighbours() {
	unshare --net sleep 1000 3>&- >/dev/null 2>&1 &
	pod_pid[99]=$!
	soon own_net "${pod_pid[99]}"
	ip link add lan0 type veth peer name lan1 netns "${pod_pid[99]}"
	ip addr add 192.0.2.1/24 dev lan0
	ip link set lan0 up
	in_pod 99 ip addr add 192.0.2.9/24 dev lan1
	in_pod 99 ip addr add 192.0.2.8/24 dev lan1
	in_pod 99 ip link set lan1 up
	in_pod 99 ip route add 203.0.113.0/24 via 192.0.2.1
	pod_pid[98]=${pod_pid[99]}
}
from() { in_pod 99 curl -sS --max-time 2 --interface "$1" "http://$2/"; }
# drops ADDRESS:PORT: nothing comes back, not even a refusal
drops() { run from 192.0.2.9 "$1"; [ "$status" = 28 ]; }
# refuses ADDRESS:PORT: at once
refuses() {
	local start=${EPOCHREALTIME/./}
	run from 192.0.2.9 "$1"
	[ "$status" = 7 ] && [ $((${EPOCHREALTIME/./} - start)) -lt 1000000 ]
}
# the neighbour serves as well: an endpoint that is not on this host
serve_away() {
	in_pod 99 perl "$here/netproxy_peer.pl" serve away "$1" 3>&- >/dev/null 2>&1 &
	started+=($!)
	soon listens 99 "$1"
}

@test "an external address serves who comes by it, and refuses when nobody is there" {
	np_start
	pod 2
	serve 8080 2
	neighbours
	policies=1
	iptables_ -P FORWARD DROP
	np set default/web:http 10.43.0.80 tcp 80 0 0 0 outer=203.0.113.10 10.42.0.2:8080
	np commit
	[ "$(from 192.0.2.9 203.0.113.10)" = "pod2 10.42.0.1" ]
	# the host itself, when it has a way there
	ip link add other type veth peer name other1
	ip link set other up
	ip route add 203.0.113.0/24 dev other
	[[ $(get 203.0.113.10) == "pod2 "* ]]
	np set default/web:http 10.43.0.80 tcp 80 0 0 1 outer=203.0.113.10 10.42.0.2:8080
	np commit
	[ "$(from 192.0.2.9 203.0.113.10)" = "pod2 192.0.2.9" ]
	np set default/web:http 10.43.0.80 tcp 80 0 0 0 outer=203.0.113.10
	np commit
	refuses 203.0.113.10
	run get 203.0.113.10
	[ "$status" = 7 ]
	iptables_save=$(save_)
	[[ $iptables_save == *'"default/web:http has no endpoints"'* ]]
	np drop default/web:http
	np commit
	[ "$(save_ | grep -c 'KDG-[BY]')" = 0 ]
}

@test "Local: only endpoints of this host serve who comes from outside, and without one it drops" {
	np_start
	pod 2 3
	serve 8080 2
	neighbours
	serve_away 8080
	policies=1
	iptables_ -P FORWARD DROP
	ends=("10.42.0.2:8080" "192.0.2.8:8080:away")
	# Cluster: both serve, by whatever way one comes
	np set default/web:http 10.43.0.80 tcp 80 30080 0 0 "${ends[@]}"
	np commit
	[ "$(times 40 from 192.0.2.9 192.0.2.1:30080 | awk '$1 >= 5' | wc -l)" = 2 ]
	[ "$(times 40 get 10.43.0.80 | awk '$1 >= 5' | wc -l)" = 2 ]
	[ "$(times 40 in_pod 3 curl -sS --max-time 5 http://10.43.0.80/ | awk '$1 >= 5' | wc -l)" = 2 ]
	# Local
	np set default/web:http 10.43.0.80 tcp 80 30080 0 1 "${ends[@]}"
	np commit
	[ "$(times 30 from 192.0.2.9 192.0.2.1:30080)" = "30 pod2" ]
	[ "$(from 192.0.2.9 192.0.2.1:30080)" = "pod2 192.0.2.9" ]
	# pods and the host are no outsiders
	[ "$(times 40 in_pod 3 curl -sS --max-time 5 http://10.42.0.1:30080/ | awk '$1 >= 5' | wc -l)" = 2 ]
	[ "$(times 40 get 192.0.2.1:30080 | awk '$1 >= 5' | wc -l)" = 2 ]
	# none of this host is left
	np set default/web:http 10.43.0.80 tcp 80 30080 0 1 "${ends[1]}"
	np commit
	drops 192.0.2.1:30080
	[[ $(get 192.0.2.1:30080) == "away "* ]]
	[[ $(in_pod 3 curl -sS --max-time 5 http://10.42.0.1:30080/) == "away "* ]]
	# none at all
	np set default/web:http 10.43.0.80 tcp 80 30080 0 1
	np commit
	refuses 192.0.2.1:30080
}

@test "internal Local: the cluster IP leads to endpoints of this host only, else nowhere" {
	np_start
	pod 2 3
	serve 8080 2
	neighbours
	serve_away 8080
	np set default/web:http 10.43.0.80 tcp 80 30080 0 0 inside 10.42.0.2:8080 192.0.2.8:8080:away
	np commit
	[ "$(times 30 get 10.43.0.80)" = "30 pod2" ]
	[ "$(times 30 in_pod 3 curl -sS --max-time 5 http://10.43.0.80/)" = "30 pod2" ]
	[ "$(times 40 from 192.0.2.9 192.0.2.1:30080 | awk '$1 >= 5' | wc -l)" = 2 ]
	np set default/web:http 10.43.0.80 tcp 80 30080 0 0 inside 192.0.2.8:8080:away
	np commit
	run in_pod 3 curl -sS --max-time 1 http://10.43.0.80/
	[ "$status" = 28 ]
	[[ $(from 192.0.2.9 192.0.2.1:30080) == "away "* ]]
}

@test "a balancer's address is put on the link it belongs to, answers, and goes again" {
	np_start
	pod 2
	serve 8080 2
	neighbours
	here_is() { ip -o -4 addr show | grep -qE "$1"; }
	in_pod 99 perl "$here/netproxy_peer.pl" arp 3>&- >"$BATS_TEST_TMPDIR/arp" &
	started+=($!)
	soon grep -x listening "$BATS_TEST_TMPDIR/arp"
	mac=$(ip -o link show lan0 | grep -oP 'link/ether \K[0-9a-f:]+')
	# another host had it before
	in_pod 99 ip neigh add 192.0.2.50 lladdr 02:00:00:00:00:99 dev lan1 nud stale
	np set default/web:http 10.43.0.80 tcp 80 0 0 1 balancer=192.0.2.50 10.42.0.2:8080
	np commit
	here_is 'lan0 .*192\.0\.2\.50/32 .*lan0:kdg'
	# told to all neighbours, so that who knew it from another host comes here
	soon grep -x "who-has 192.0.2.50 tell 192.0.2.50 at $mac" "$BATS_TEST_TMPDIR/arp"
	[ "$(from 192.0.2.9 192.0.2.50)" = "pod2 192.0.2.9" ]
	[[ $(in_pod 99 ip neigh show 192.0.2.50) == *" lladdr $mac "* ]]
	[[ $(get 192.0.2.50) == "pod2 "* ]]
	# somebody takes it off
	ip addr del 192.0.2.50/32 dev lan0
	np check
	[[ $said == "ok intact"* ]]
	here_is '192\.0\.2\.50/32'
	# another address; one of no link goes on the bridge; the host's own stays its own
	np set default/web:http 10.43.0.80 tcp 80 0 0 0 balancer=192.0.2.51 10.42.0.2:8080
	np set default/far:http 10.43.0.81 tcp 80 0 0 0 balancer=203.0.113.9 10.42.0.2:8080
	np set default/own:http 10.43.0.82 tcp 8888 0 0 0 balancer=192.0.2.1 10.42.0.2:8080
	np commit
	run here_is '192\.0\.2\.50/32'
	[ "$status" -ne 0 ]
	here_is 'lan0 .*192\.0\.2\.51/32'
	here_is 'kedge0 .*203\.0\.113\.9/32'
	[[ $(from 192.0.2.9 203.0.113.9) == "pod2 "* ]]
	[[ $(from 192.0.2.9 192.0.2.1:8888) == "pod2 "* ]]
	# kept when nothing is running, found again, and taken away with all the rest
	np open
	here_is '192\.0\.2\.51/32'
	np set default/web:http 10.43.0.80 tcp 80 0 0 0 balancer=192.0.2.51 10.42.0.2:8080
	np commit
	here_is '192\.0\.2\.51/32'
	run here_is '203\.0\.113\.9'
	[ "$status" -ne 0 ]
	np down
	[ "$(ip -o -4 addr show | grep -c 192.0.2)" = 1 ]
}

@test "a balancer's address is for the sources it names" {
	np_start
	pod 2
	serve 8080 2
	neighbours
	np set default/web:http 10.43.0.80 tcp 80 30080 0 1 balancer=192.0.2.50 source=192.0.2.8/32 source=198.51.100.0/24 10.42.0.2:8080
	np commit
	[ "$(from 192.0.2.8 192.0.2.50)" = "pod2 192.0.2.8" ]
	drops 192.0.2.50
	# its node port and its cluster IP are not meant
	[[ $(from 192.0.2.9 192.0.2.1:30080) == "pod2 "* ]]
	[[ $(get 10.43.0.80) == "pod2 "* ]]
	np set default/web:http 10.43.0.80 tcp 80 30080 0 1 balancer=192.0.2.50 source=192.0.2.0/24 10.42.0.2:8080
	np commit
	[ "$(from 192.0.2.9 192.0.2.50)" = "pod2 192.0.2.9" ]
}

@test "a host port answers at its address only, keeps the client's, and is no loopback's" {
	np_start
	pod 2 3
	serve 8080 2
	neighbours
	ip addr add 192.0.2.2/24 dev lan0
	np set default/web.pod:8080-tcp-192.0.2.2 0.0.0.0 tcp 8080 8081 0 1 at=192.0.2.2 10.42.0.2:8080
	np set default/any.pod:8082-tcp 0.0.0.0 tcp 8080 8082 0 1 10.42.0.2:8080
	np commit
	[ "$(from 192.0.2.9 192.0.2.2:8081)" = "pod2 192.0.2.9" ]
	refuses 192.0.2.1:8081
	for at in 192.0.2.1 192.0.2.2; do
		[ "$(from 192.0.2.9 $at:8082)" = "pod2 192.0.2.9" ]
		[[ $(get $at:8082) == "pod2 "* ]]
	done
	run get 127.0.0.1:8082
	[ "$status" = 7 ]
	# the pod itself, by the host's address
	[ "$(in_pod 2 curl -sS --max-time 5 http://192.0.2.1:8082/)" = "pod2 10.42.0.1" ]
}

@test "a health check's port passes a firewall that lets nothing in" {
	np_start
	pod 2
	serve 8080 2
	neighbours
	peer serve health 31080 3>&- >/dev/null 2>&1 &
	started+=($!)
	soon sh -c 'ss -Hltn "sport = :31080" | grep -q .'
	policies=1
	iptables_ -P INPUT DROP
	drops 192.0.2.1:31080
	np set default/web:http 10.43.0.80 tcp 80 0 0 1 balancer=192.0.2.50 health=31080 10.42.0.2:8080
	np commit
	[[ $(from 192.0.2.9 192.0.2.1:31080) == "health "* ]]
}

@test "one port number in TCP, UDP and SCTP" {
	np_start
	pod 2 3
	serve 9000 2
	serve 9000 3
	np set tel/core:tcp 10.43.0.88 tcp 9000 30090 0 0 10.42.0.2:9000
	np set tel/core:udp 10.43.0.88 udp 9000 30090 0 0 10.42.0.3:9000
	np set tel/core:sctp 10.43.0.88 sctp 9000 30090 0 0 10.42.0.2:9000
	np commit
	[[ $(get 10.43.0.88:9000) == "pod2 "* ]]
	[[ $(peer ask 10.43.0.88 9000 1) == "pod3 "* ]]
	[[ $(peer ask 10.42.0.1 30090 1) == "pod3 "* ]]
	np lacks
	if [ -n "$(backend)" ]; then
		[ "$(nft list map ip KDG-nat addr | grep -c sctp)" = $([[ $said == *xt_sctp* ]] && echo 0 || echo 1) ]
	elif [[ $said == *xt_sctp* ]]; then
		[ "$(save_ | grep -c sctp)" = 0 ]
	else
		save_ | grep -E -- '-A KDG-V -d 10.43.0.88/32 -p sctp -m sctp --dport 9000 .*-j KDG-S-'
		save_ | grep -E -- '-A KDG-N -p sctp -m sctp --dport 30090 .*-j KDG-X-'
		save_ | grep -E -- '-A KDG-S-.* -p sctp -j DNAT --to-destination 10.42.0.2:9000'
	fi
	np check
	[[ $said == "ok intact"* ]]
}

@test "UDP clients of an outer address follow the endpoints" {
	np_start
	pod 2 3
	serve 5353 2 3
	neighbours
	ask() { in_pod 99 perl "$here/netproxy_peer.pl" ask "$1" 53 1 "$2"; }
	np set ns/dns:dns 10.43.0.10 udp 53 0 0 1 outer=203.0.113.10 balancer=192.0.2.50 10.42.0.2:5353
	np commit
	for at in 203.0.113.10 192.0.2.50; do [[ $(ask $at 7777) == "pod2 "* ]]; done
	np set ns/dns:dns 10.43.0.10 udp 53 0 0 1 outer=203.0.113.10 balancer=192.0.2.50 10.42.0.3:5353
	np commit
	for at in 203.0.113.10 192.0.2.50; do [[ $(ask $at 7777) == "pod3 "* ]]; done
	# the address alone is taken away
	np set ns/dns:dns 10.43.0.10 udp 53 0 0 1 balancer=192.0.2.50 10.42.0.3:5353
	np commit
	[[ $(ask 203.0.113.10 7777) != pod* ]]
	np drop ns/dns:dns
	np commit
	[[ $(ask 192.0.2.50 7777) != pod* ]]
}

@test "a client's endpoint stays its own while rules come and go around it" {
	np_start
	pod 2 3 4 5
	serve 8080 2 3 4
	set_to() { np set default/web:http 10.43.0.80 tcp 80 30080 600 0 "$@" && np commit; }
	set_to 10.42.0.2:8080 10.42.0.3:8080
	mine=$(in_pod 5 curl -sS http://10.43.0.80/ | cut -d' ' -f1)
	for i in 1 2 3; do
		set_to 10.42.0.2:8080 10.42.0.3:8080 10.42.0.4:8080
		[ "$(times 10 in_pod 5 curl -sS http://10.43.0.80/)" = "10 $mine" ]
		np set "default/other$i:http" "10.43.1.$i" tcp 80 0 0 0 10.42.0.2:8080
		set_to 10.42.0.2:8080 10.42.0.3:8080
		[ "$(times 10 in_pod 5 curl -sS http://10.43.0.80/)" = "10 $mine" ]
	done
	# everything written anew
	iptables_ -t nat -F PREROUTING
	np check
	np commit
	[ "$(times 10 in_pod 5 curl -sS http://10.43.0.80/)" = "10 $mine" ]
	# its endpoint goes
	left=3
	[ "$mine" = pod2 ] || left=2
	set_to "10.42.0.$left:8080"
	[[ $(in_pod 5 curl -sS http://10.43.0.80/) == "pod$left "* ]]
}
