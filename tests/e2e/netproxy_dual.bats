# The proxy with pods and services of both families: what the rules of IPv6 do with real packets.
# netproxy_dual_legacy.bats (a link) repeats it with the other ip6tables, netproxy_dual_nftables.bats
# with nftables' maps.
load netproxy_kit

setup() { setup_host; }
teardown() {
	teardown_host
	for l in up0 lan0 kedge0; do ip link del $l 2>/dev/null || true; done
}

ip6tables_() { "/usr/sbin/ip6tables-$(variant)" "$@"; }
# How many packets were answered with a reset.
resets() { save6 -c | sed -nE 's/^\[([0-9]+):.*--reject-with tcp-reset$/\1/p' | awk '{ n += $1 } END { print n + 0 }'; }
# Translation of IPv6, whoever has it, but for counters.
nat6() { if [ -n "$(backend)" ]; then nft list table ip6 KDG-nat; else save6 -t nat | sed -E '/^#/d; s/\[[0-9]+:[0-9]+\]//' | sort; fi; }
save6() { "/usr/sbin/ip6tables-$(variant)-save" "$@"; }
web6() { np set default/web:http.v6 fd43::80 tcp 80 30080 0 0 "$@" && np commit; }
pod_get() { in_pod "$1" curl -sS --max-time 5 "http://$2/"; }
# outside ADDRESS...: a neighbour of the host's with these addresses
outside() {
	unshare --net sleep 1000 3>&- >/dev/null 2>&1 &
	pod_pid[99]=$!
	soon own_net "${pod_pid[99]}"
	ip link add lan0 type veth peer name lan1 netns "${pod_pid[99]}"
	ip link set lan0 up
	ip addr add 2001:db8::1/64 dev lan0 nodad
	in_pod 99 ip link set lan1 up
	in_pod 99 ip addr add 2001:db8::2/64 dev lan1 nodad
}

@test "a service of IPv6 is reached from host and pods, spreads, and keeps the client's address" {
	np_start -6
	pod 2 3 4
	serve 8080 2 3
	web6 "[fd42::a2a:2]:8080" "[fd42::a2a:3]:8080"
	run times 60 get '[fd43::80]'
	echo "$output"
	[ "$(awk '/pod/ && $1 >= 12' <<<"$output" | wc -l)" = 2 ]
	[ "${#lines[@]}" = 2 ]
	run times 60 pod_get 4 '[fd43::80]'
	echo "$output"
	[ "$(awk '/pod/ && $1 >= 12' <<<"$output" | wc -l)" = 2 ]
	[ "${#lines[@]}" = 2 ]
	[[ $(pod_get 4 '[fd43::80]') == *" fd42::a2a:4" ]]
	[[ $(pod_get 4 '[fd42::a2a:2]:8080') == "pod2 fd42::a2a:4" ]]
	# beside it IPv4 is as ever
	web 10.42.0.2:8080
	[ "$(pod_get 4 10.43.0.80)" = "pod2 10.42.0.4" ]
}

@test "a pod reaches itself through its service of IPv6" {
	np_start -6
	pod 2
	serve 8080 2
	web6 "[fd42::a2a:2]:8080"
	[ "$(pod_get 2 '[fd43::80]')" = "pod2 fd42::a2a:1" ]
}

@test "an address has no double to wait for, and no router is believed" {
	np_start -6
	pod 2
	run in_pod 2 ip -6 -o addr show dev eth0
	echo "$output"
	[[ $output == *"fd42::a2a:2/128 scope global nodad"* && $output != *tentative* && $output != *fe80* ]]
	[ "$(in_pod 2 cat /proc/sys/net/ipv6/conf/eth0/accept_ra)" = 0 ] || {
		# /proc is of whoever mounted it
		[ "$(in_pod 2 unshare --mount sh -c 'mount -t proc proc /proc; cat /proc/sys/net/ipv6/conf/eth0/accept_ra')" = 0 ]
	}
	run ip -6 -o addr show dev kedge0
	[[ $output == *"fd42::a2a:1/64"* && $output != *fe80* ]]
}

@test "an IPv6 service without endpoints is refused at once, and so is an address nobody has" {
	np_start -6
	pod 2
	web6
	for from in "" "in_pod 2"; do
		for at in '[fd43::80]:80' '[fd43::777]:80' '[fd42::a2a:1]:30080'; do
			before=$(resets)
			run $from curl -sS --max-time 5 "http://$at/"
			echo "$from $at: $output"
			[ "$status" = 7 ]
			# by its first packet: a second would come a second later
			[ $(($(resets) - before)) = 1 ]
		done
	done
	run in_pod 2 perl "$here/netproxy_peer.pl" ask fd43::80 80 1
	[ "$output" = refused ]
}

@test "a node port answers at the host's IPv6 addresses and hides the client, but not at ::1" {
	np_start -6
	pod 2
	serve 8080 2
	web6 "[fd42::a2a:2]:8080"
	outside
	[ "$(in_pod 99 curl -sS --max-time 5 'http://[2001:db8::1]:30080/')" = "pod2 fd42::a2a:1" ]
	run get '[::1]:30080'
	[ "$status" = 7 ]
	# for this host's endpoints only, the client keeps its address
	np set default/web:http.v6 fd43::80 tcp 80 30080 0 1 "[fd42::a2a:2]:8080"
	np commit
	in_pod 99 ip -6 route add fd42::/64 via 2001:db8::1
	[ "$(in_pod 99 curl -sS --max-time 5 'http://[2001:db8::1]:30080/')" = "pod2 2001:db8::2" ]
}

@test "affinity of IPv6 is kept while rules change" {
	np_start -6
	pod 2 3 4
	serve 8080 2 3
	np set default/web:http.v6 fd43::80 tcp 80 0 600 0 "[fd42::a2a:2]:8080" "[fd42::a2a:3]:8080"
	np commit
	first=$(pod_get 4 '[fd43::80]')
	[ "$(times 20 pod_get 4 '[fd43::80]')" = "20 ${first%% *}" ]
	np set default/web:http.v6 fd43::80 tcp 80 0 600 0 "[fd42::a2a:2]:8080" "[fd42::a2a:3]:8080" "[fd42::a2a:9]:8080"
	np commit
	[ "$(times 20 pod_get 4 '[fd43::80]')" = "20 ${first%% *}" ]
}

@test "a trace of IPv6 says what is, for itself and others, and what it names is there" {
	np_start -6
	pod 2 3
	np set default/web:http.v6 fd43::80 tcp 80 30080 0 0 "[fd42::a2a:2]:8080" "[fd42::a2a:3]:8080"
	np set default/sticky:http.v6 fd43::81 tcp 80 0 600 0 "[fd42::a2a:2]:8080"
	np set default/gate:http.v6 fd43::82 tcp 80 0 0 0 outer=2001:db8::77 balancer=2001:db8::50 source=2001:db8:5::/48 "[fd42::a2a:2]:8080"
	np commit
	np trace fd42::a2a:9 fd43::80 tcp 80
	[[ $said == "ok served [fd42::a2a:2]:8080=0.500 [fd42::a2a:3]:8080=0.500"* || $said == "ok served fd42::a2a:2:8080=0.500 fd42::a2a:3:8080=0.500"* ]]
	np trace fd42::a2a:3 fd43::80 tcp 80
	[[ $said == "ok served masqueraded "* ]]
	np trace 2001:db8::9 fd42::a2a:1 tcp 30080
	[[ $said == "ok served masqueraded "* ]]
	np trace fd42::a2a:9 fd43::81 tcp 80
	[[ $said == "ok served fd42::a2a:2:8080=1.000"* ]]
	np trace 2001:db8:5::1 2001:db8::50 tcp 80
	[[ $said == "ok served masqueraded "* ]]
	np trace 2001:db8:6::1 2001:db8::50 tcp 80
	[[ $said == "ok dropped"* ]]
	np trace fd42::a2a:9 fd43::80 tcp 81
	[[ $said == "ok refused"* ]]
	if [ -n "$(backend)" ]; then
		nft get element ip6 KDG-nat addr '{ fd43::80 . tcp . 80 }' | grep -q 'goto n-2'
		nft get element ip6 KDG-nat ep '{ fd43::80 . tcp . 80 . 1 }' | grep -q 'fd42::a2a:3 . 8080'
		run nft list table ip6 KDG-nat
		[[ $output == *"ip6 saddr 2001:db8:5::/48 goto xn-1"* ]]
		[[ $output == *"ip6 daddr != ::1 fib daddr type local"* ]]
		[[ $output == *"dnat to [fd42::a2a:2]:8080"* ]]
		run save6 -t nat
		[[ $output != *KDG* ]]
	fi
}

@test "UDP of IPv6 follows the endpoints at once, and a pod's flows are counted and cut" {
	np_start -6
	pod 2 3 4
	serve 53 2 3
	np set kube-system/dns:dns.v6 fd43::a udp 53 0 0 0 "[fd42::a2a:2]:53"
	np commit
	[ "$(in_pod 4 perl "$here/netproxy_peer.pl" ask fd43::a 53 1 5353)" = "pod2 fd42::a2a:4" ]
	np set kube-system/dns:dns.v6 fd43::a udp 53 0 0 0 "[fd42::a2a:3]:53"
	np commit
	[ "$(in_pod 4 perl "$here/netproxy_peer.pl" ask fd43::a 53 1 5353)" = "pod3 fd42::a2a:4" ]
	web6 "[fd42::a2a:2]:53"
	in_pod 4 perl "$here/netproxy_peer.pl" hold fd43::80 80 100 3>&- >/dev/null 2>&1 &
	started+=($!)
	counted() { np flows 10.42.0.2 && [ "$said" = "ok $1" ]; }
	soon counted 1
	np flush 10.42.0.2
	np flows 10.42.0.2
	[ "$said" = "ok 0" ]
}

# Addresses of load balancers, with their links: "lan0 2001:db8::50/128"
balancers6() { ip -6 -o addr show | awk '/ metric / { print $2, $4 }' | sort | xargs; }
mac_is() { [ "$(in_pod 99 ip -6 neigh show "$1" dev lan1 | grep -o 'lladdr [0-9a-f:]*')" = "lladdr $2" ]; }
gate() { np set default/gate:http.v6 fd43::82 tcp 80 0 0 0 balancer=2001:db8::50 "$@" "[fd42::a2a:2]:8080" && np commit; }

@test "a balancer's IPv6 address is on the link of its network, and its neighbours hear of it" {
	np_start -6
	pod 2
	serve 8080 2
	outside
	mac=$(ip -o link show lan0 | grep -oP 'link/ether \K[0-9a-f:]+')
	# another host had it before
	in_pod 99 ip -6 neigh add 2001:db8::50 lladdr 02:00:00:00:00:99 dev lan1 nud stale
	gate
	[ "$(balancers6)" = "lan0 2001:db8::50/128" ]
	soon mac_is 2001:db8::50 "$mac"
	[ "$(in_pod 99 curl -sS --max-time 5 'http://[2001:db8::50]/')" = "pod2 fd42::a2a:1" ]
	# who knows nothing of it asks
	in_pod 99 ip -6 neigh flush dev lan1
	[ "$(in_pod 99 curl -sS --max-time 5 'http://[2001:db8::50]/')" = "pod2 fd42::a2a:1" ]
	[ "$(get '[2001:db8::50]')" = "pod2 fd42::a2a:1" ]
	# the host speaks from its own, and nothing waits for a double of it
	[[ $(ip -6 route get 2001:db8::2) == *" src 2001:db8::1 "* ]]
	# (the link's own fe80:: does wait)
	[[ $(ip -6 -o addr show dev lan0 to 2001:db8::50) == *" 2001:db8::50/128 "* ]]
	[[ $(ip -6 -o addr show dev lan0 to 2001:db8::50) != *tentative* ]]
	gate source=2001:db8:5::/48
	run in_pod 99 curl -sS --max-time 1 'http://[2001:db8::50]/'
	[ "$status" = 28 ]
	in_pod 99 ip -6 addr add 2001:db8:5::2/128 dev lan1 nodad
	ip -6 route add 2001:db8:5::/48 via 2001:db8::2
	[ "$(in_pod 99 curl -sS --max-time 5 --interface 2001:db8:5::2 'http://[2001:db8::50]/')" = "pod2 fd42::a2a:1" ]
	np drop default/gate:http.v6
	np commit
	[ -z "$(balancers6)" ]
}

@test "a balancer's IPv6 address that goes is put back, where it belongs, and what the host has is its own" {
	np_start -6
	pod 2
	serve 8080 2
	outside
	gate
	ip -6 addr del 2001:db8::50/128 dev lan0
	np check
	[ "$(balancers6)" = "lan0 2001:db8::50/128" ]
	# a link that goes down loses its addresses of IPv6
	ip link set lan0 down
	np check
	[ "$(balancers6)" = "kedge0 2001:db8::50/128" ]
	ip link set lan0 up
	ip addr add 2001:db8::1/64 dev lan0 nodad
	np check
	[ "$(balancers6)" = "lan0 2001:db8::50/128" ]
	[ "$(in_pod 99 curl -sS --max-time 5 'http://[2001:db8::50]/')" = "pod2 fd42::a2a:1" ]
	# one that the host has of itself stays when the Service goes
	np set default/own:http.v6 fd43::83 tcp 80 0 0 0 balancer=2001:db8::1 "[fd42::a2a:2]:8080"
	np commit
	np drop default/own:http.v6
	np drop default/gate:http.v6
	np commit
	[ -z "$(balancers6)" ]
	[[ $(ip -6 -o addr show dev lan0) == *" 2001:db8::1/64 "* ]]
}

@test "balancers' addresses of IPv6 go with the range, and with the end" {
	np_start -6
	pod 2
	outside
	ip addr add 192.0.2.1/24 dev lan0
	gate
	np set default/four:http 10.43.0.82 tcp 80 0 0 0 balancer=192.0.2.50 10.42.0.2:8080
	np commit
	echo quit >&"$np_in"
	wait "$np_pid"
	[ "$(balancers6)" = "lan0 2001:db8::50/128" ]
	np_start
	[ -z "$(balancers6)" ]
	[[ $(ip -o addr show dev lan0) == *" 192.0.2.50/32 "* ]]
	echo quit >&"$np_in"
	wait "$np_pid"
	np_start -6
	gate
	[ "$(balancers6)" = "lan0 2001:db8::50/128" ]
	np down
	[ -z "$(balancers6)" ]
	[[ $(ip -o addr show dev lan0) != *" 192.0.2.50/32 "* ]]
	[[ $(ip -o addr show dev lan0) == *" 192.0.2.1/24 "*" 2001:db8::1/64 "* ]]
}

@test "flushed rules of IPv6, the bridge's address and route are found out and put back" {
	np_start -6
	pod 2
	serve 8080 2
	web6 "[fd42::a2a:2]:8080"
	before=$(nat6)
	if [ -n "$(backend)" ]; then
		nft flush table ip6 KDG-nat
	else
		ip6tables_ -t nat -F
		ip6tables_ -t nat -X || true
	fi
	np check
	[[ $said == "ok broken"* ]]
	np commit
	np check
	[[ $said == "ok intact"* ]]
	[ "$(nat6)" = "$before" ]
	ip6tables_ -F KDG-F
	np check
	[[ $said == "ok broken"* ]]
	np commit
	ip -6 addr flush dev kedge0
	np check
	[ "$(get '[fd43::80]')" = "pod2 fd42::a2a:1" ]
	ip -6 route del fd43::/112
	np check
	[ "$(get '[fd43::80]')" = "pod2 fd42::a2a:1" ]
	echo 0 >/proc/sys/net/ipv6/conf/all/forwarding
	np check
	[ "$(cat /proc/sys/net/ipv6/conf/all/forwarding)" = 1 ]
	grep -q 'somebody set /proc/sys/net/ipv6/conf/all/forwarding to 0; it is 1 again' "$BATS_TEST_TMPDIR/stderr"
}

@test "a packet with another pod's IPv6 address is dropped, and one with a made-up one" {
	np_start -6
	pod 2 3
	serve 8080 2
	web6 "[fd42::a2a:2]:8080"
	for forged in fd42::a2a:9 fd42::1:0:a2a:3 2001:db8::a2a:3; do
		in_pod 3 ip -6 addr add $forged/128 dev eth0 nodad
		run in_pod 3 curl -sS --max-time 1 --interface "$forged" 'http://[fd43::80]/'
		echo "$forged: $output"
		[ "$status" = 28 ]
		in_pod 3 ip -6 addr del $forged/128 dev eth0
	done
	[ "$(pod_get 3 '[fd43::80]')" = "pod2 fd42::a2a:3" ]
}

@test "rules of IPv6 go with the range, and everything of it with the end" {
	echo 0 >/proc/sys/net/ipv6/conf/all/forwarding
	np_start -6
	pod 2
	web6 "[fd42::a2a:2]:8080"
	nat6 | grep -qE 'KDG-V|goto n-1'
	echo quit >&"$np_in"
	wait "$np_pid"
	np_start
	run save6
	[[ $output != *KDG* ]]
	[[ $(nft list tables) != *"ip6 KDG"* ]]
	[ -z "$(ip -6 -o addr show dev kedge0)" ]
	[ "$(cat /proc/sys/net/ipv6/conf/all/forwarding)" = 0 ]
	echo quit >&"$np_in"
	wait "$np_pid"
	np_start -6
	web6 "[fd42::a2a:2]:8080"
	np down
	run save6
	[[ $output != *KDG* ]]
	[[ $(nft list tables) != *"ip6 KDG"* ]]
	[ "$(cat /proc/sys/net/ipv6/conf/all/forwarding)" = 0 ]
	! there kedge0
}

@test "a link that listens to routers does so still when the host forwards" {
	ip link add up0 type veth peer name up1
	echo 1 >/proc/sys/net/ipv6/conf/up0/accept_ra
	echo 0 >/proc/sys/net/ipv6/conf/up1/accept_ra
	echo 0 >/proc/sys/net/ipv6/conf/all/forwarding
	np_start -6
	[ "$(cat /proc/sys/net/ipv6/conf/up0/accept_ra)" = 2 ]
	[ "$(cat /proc/sys/net/ipv6/conf/up1/accept_ra)" = 0 ]
}

@test "an IPv6 range that the host has already is refused" {
	ip link add lan0 type veth peer name lan1
	ip link set lan0 up
	ip addr add fd43::55/64 dev lan0 nodad
	coproc NP { exec "$B/tests/e2e/netproxy_drive" -p "/usr/sbin/iptables-$(variant)-restore" -6 3>&- 2>>"$BATS_TEST_TMPDIR/stderr"; }
	np_in=${NP[1]} np_out=${NP[0]} np_pid=$NP_PID
	run np open
	echo "$output"
	[[ $output == *"lan0 has the address fd43::55, which is in the range fd43::/112 that is meant for services"* ]]
}
