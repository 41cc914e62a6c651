# nat in nftables: what is looked at in nftables itself, and the way from one backend to the other.
load netproxy_kit

setup() { setup_host; }
teardown() {
	teardown_host
	nft delete table ip KDG-nat 2>/dev/null || true
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
	nft delete element ip KDG-nat ep '{ 10.43.0.80 . tcp . 80 . 0 }'
	mended
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

@test "from iptables to nftables and back: the other's rules go once one's own are there" {
	np_start
	one
	iptables_ -t nat -S | grep -q KDG-V
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
}
