# nat in nftables: what is looked at in nftables itself, and the way from one backend to the other.
load netproxy_kit

setup() { setup_host; }
teardown() {
	teardown_host
	nft delete table ip KDG-nat 2>/dev/null || true
	nft delete table ip6 KDG-nat 2>/dev/null || true
	ip link del kedge0 2>/dev/null || true
}
one() {
	pod 2
	serve 8080 2
	np set default/web:http 10.43.0.80 tcp 80 0 0 0 10.42.0.2:8080
	np set default/gone:http 10.43.0.81 tcp 80 0 0 0
	np commit
	[[ $(get 10.43.0.80) == "pod2 "* ]]
}
mended() {
	np check
	[[ $said == "ok broken"* ]]
	np commit
	np check
	[[ $said == "ok intact"* ]]
	[[ $(get 10.43.0.80) == "pod2 "* ]]
}

@test "nftables: what somebody flushed, deleted or took out of a map is noticed and repaired" {
	np_start -n
	one
	np check
	[[ $said == "ok intact"* ]]
	nft flush table ip KDG-nat
	mended
	nft delete table ip KDG-nat
	mended
	nft flush chain ip KDG-nat n-1
	mended
	nft add rule ip KDG-nat pre counter
	mended
	nft delete element ip KDG-nat ep '{ 10.43.0.80 . tcp . 80 . 0 }'
	mended
}

@test "nftables: a change that is refused, for somebody took out what it is about, is made whole" {
	np_start -n
	one
	nft delete element ip KDG-nat ep '{ 10.43.0.80 . tcp . 80 . 0 }'
	serve 8081 2
	np set default/web:http 10.43.0.80 tcp 80 0 0 0 10.42.0.2:8081
	np commit
	[[ $said == *"whole=1"* ]]
	[[ $(get 10.43.0.80) == "pod2 "* ]]
	np check
	[[ $said == "ok intact"* ]]
}

@test "nftables: tables of others stay as they are, and down leaves no trace" {
	nft add table ip other
	np_start -n
	one
	nft list tables | grep -qx "table ip KDG-nat"
	np down
	nft list tables | grep -qx "table ip other"
	run nft list table ip KDG-nat
	[ "$status" != 0 ]
	nft delete table ip other
}

@test "from iptables to nftables and back: no connection is lost, and the other's rules go" {
	np_start
	one
	iptables_ -t nat -S | grep -q KDG-V
	# who keeps a connection to the service, and who makes new ones all the time
	mkfifo "$BATS_TEST_TMPDIR/ask"
	peer talk 10.43.0.80 80 <"$BATS_TEST_TMPDIR/ask" >"$BATS_TEST_TMPDIR/talk" 2>&1 3>&- &
	started+=($!)
	exec 7>"$BATS_TEST_TMPDIR/ask"
	while [ ! -e "$BATS_TEST_TMPDIR/enough" ]; do
		get 10.43.0.80 >>"$BATS_TEST_TMPDIR/new" 2>&1 || echo "failed" >>"$BATS_TEST_TMPDIR/new"
	done 3>&- &
	loop=$!
	for way in nft iptables; do
		echo quit >&"$np_in"
		wait "$np_pid" || true
		if [ $way = nft ]; then np_start -n; else np_start; fi
		[[ $(get 10.43.0.80) == "pod2 "* ]]
		np set default/web:http 10.43.0.80 tcp 80 0 0 0 10.42.0.2:8080
		np commit
		[[ $(get 10.43.0.80) == "pod2 "* ]]
		if [ $way = nft ]; then
			[ "$(iptables_ -t nat -S | grep -c KDG)" = 0 ]
			nft list table ip KDG-nat >/dev/null
		else
			iptables_ -t nat -S | grep -q KDG-V
			run nft list table ip KDG-nat
			[ "$status" != 0 ]
		fi
	done
	touch "$BATS_TEST_TMPDIR/enough"
	wait $loop
	grep -q "^pod2 " "$BATS_TEST_TMPDIR/new"
	[ "$(grep -vc "^pod2 " "$BATS_TEST_TMPDIR/new")" = 0 ]
	echo "GET /" >&7
	soon grep -q "^pod2 " "$BATS_TEST_TMPDIR/talk" # the kept one is still led there
	exec 7>&-
}

# A world with a service of each sort, and what a trace says of everybody at every entrance.
world() {
	np set ns/plain:http 10.43.0.10 tcp 80 30010 0 0 10.42.0.2:8080 10.42.0.3:8080 10.42.0.4:8080
	np set ns/sticky:http 10.43.0.11 tcp 80 30011 600 0 10.42.0.2:8080 10.42.0.3:8080
	np set ns/local:http 10.43.0.12 tcp 80 30012 0 1 10.42.0.2:8080 192.0.2.99:8080:away
	np set ns/inside:dns 10.43.0.13 udp 53 0 0 0 inside 10.42.0.2:53 192.0.2.99:53:away
	np set ns/away:http 10.43.0.14 tcp 80 30014 0 1 inside 192.0.2.99:8080:away
	np set ns/gate:http 10.43.0.15 tcp 81 0 0 0 outer=203.0.113.10 balancer=192.0.2.50 source=198.51.100.0/24 10.42.0.2:8080
	np set ns/host:port 0.0.0.0 tcp 0 8443 0 1 at=192.0.2.1 10.42.0.2:8080
	np set ns/none:http 10.43.0.16 tcp 80 30016 0 0
	np commit
}
everybody() {
	local from to
	for from in 198.51.100.7 203.0.113.5 10.42.0.2 192.0.2.1; do
		for to in 10.43.0.1{0,1,2,4,6}:tcp:80 10.43.0.13:udp:53 10.43.0.15:tcp:81 10.43.0.10:udp:80 10.43.0.10:tcp:81 \
			192.0.2.1:tcp:300{10,11,12,14,16,17} 203.0.113.10:tcp:81 192.0.2.50:tcp:81 192.0.2.1:tcp:8443 192.0.2.1:tcp:22; do
			IFS=: read -r ip proto port <<<"$to"
			np trace $from $ip $proto $port
			echo "$from $to ${said%% \[*}" | tr ' ' '\n' | sort | tr '\n' ' '
			echo
		done
	done
}

@test "the same of IPv6: each time the other's rules go, and no new connection is lost" {
	ip6_() { "/usr/sbin/ip6tables-$(variant)" -t nat -S; }
	np_start -6
	pod 2
	serve 8080 2
	set6() { np set default/web:http.v6 fd43::80 tcp 80 0 0 0 "[fd42::a2a:2]:8080" && np commit; }
	set6
	ip6_ | grep KDG-V >/dev/null
	while [ ! -e "$BATS_TEST_TMPDIR/enough" ]; do
		get '[fd43::80]' >>"$BATS_TEST_TMPDIR/new" 2>&1 || echo "failed" >>"$BATS_TEST_TMPDIR/new"
	done 3>&- &
	loop=$!
	for way in nft iptables; do
		echo quit >&"$np_in"
		wait "$np_pid" || true
		if [ $way = nft ]; then np_start -6 -n; else np_start -6; fi
		[[ $(get '[fd43::80]') == "pod2 "* ]]
		set6
		[[ $(get '[fd43::80]') == "pod2 "* ]]
		if [ $way = nft ]; then
			[ "$(ip6_ | grep -c KDG)" = 0 ]
			nft list table ip6 KDG-nat >/dev/null
		else
			ip6_ | grep KDG-V >/dev/null
			run nft list table ip6 KDG-nat
			[ "$status" != 0 ]
		fi
	done
	touch "$BATS_TEST_TMPDIR/enough"
	wait $loop
	grep "^pod2 " "$BATS_TEST_TMPDIR/new" >/dev/null
	[ "$(grep -vc "^pod2 " "$BATS_TEST_TMPDIR/new")" = 0 ]
}

@test "a trace says of nftables what it says of iptables, and its rules and elements are there" {
	ip addr add 192.0.2.1/24 dev lo
	np_start
	world
	everybody >"$BATS_TEST_TMPDIR/iptables"
	echo quit >&"$np_in"
	wait "$np_pid" || true
	np_start -n
	world
	everybody >"$BATS_TEST_TMPDIR/nftables"
	diff "$BATS_TEST_TMPDIR"/{iptables,nftables}
	for verdict in served passed refused dropped; do grep -q " $verdict " "$BATS_TEST_TMPDIR/nftables"; done
	np trace 203.0.113.5 192.0.2.1 tcp 30010
	[[ $said == *'[nat: add element ip KDG-nat port { tcp . 30010 comment "ns/plain:http" : goto xp-3 }]'* ]]
	nft get element ip KDG-nat port "{ tcp . 30010 }" | grep -q "goto xp-3"
	ip addr del 192.0.2.1/24 dev lo
}

@test "nftables: one endpoint's change writes its elements and no more, and adding one runs no program" {
	printf '#!/bin/sh\necho >>%s\nexec /usr/sbin/iptables-%s-restore "$@"\n' "$BATS_TEST_TMPDIR/runs" "$(variant)" >"$BATS_TEST_TMPDIR/restore"
	chmod +x "$BATS_TEST_TMPDIR/restore"
	np_start -n -p "$BATS_TEST_TMPDIR/restore"
	np many 500 10.42.0.2:8080 10.42.0.3:8080 10.42.0.4:8080
	np set default/web:http 10.43.0.80 tcp 80 0 0 0 10.42.0.2:8080 10.42.0.3:8080
	np commit
	np set default/web:http 10.43.0.80 tcp 80 0 0 0 10.42.0.2:8080 10.42.0.3:8081
	np commit
	[[ $said == *"whole=0 elements=2 "* ]] # the slot as it was, and as it is
	np set default/web:http 10.43.0.80 tcp 80 0 0 0 10.42.0.2:8080 10.42.0.3:8081 10.42.0.4:8080
	np commit
	[[ $said == *"whole=0 elements=3 "* ]] # a slot, and whose chain it is
	np set default/new:http 10.43.0.81 tcp 80 0 0 0 10.42.0.2:8080
	before=$(wc -l <"$BATS_TEST_TMPDIR/runs")
	np commit
	[[ $said == *"whole=0 elements=2 "* ]]
	[ "$(wc -l <"$BATS_TEST_TMPDIR/runs")" = "$before" ]
	[ "$(nft list map ip KDG-nat ep | grep -c :)" = 1505 ] # and its type
}

@test "nftables: a client keeps its endpoint over a restart, and a repair that makes all anew" {
	np_start -n
	pod 2 3
	serve 8080 2 3
	sticky() { np set default/sticky:http 10.43.0.80 tcp 80 0 600 0 10.42.0.2:8080 10.42.0.3:8080; }
	sticky
	np commit
	mine=$(get 10.43.0.80)
	for i in 1 2 3 4 5 6; do
		echo quit >&"$np_in"
		wait "$np_pid" || true
		np_start -n
		sticky
		np commit
		[[ $said == *"whole=1"* ]]
		[ "$(get 10.43.0.80)" = "$mine" ]
	done
	nft delete chain ip KDG-nat post
	np check
	[[ $said == "ok broken"* ]]
	np commit
	[ "$(get 10.43.0.80)" = "$mine" ]
	nft list table ip KDG-nat | grep -q "timeout 10m expires"
}
