# While endpoints come and go without a pause, and all of them listen, nobody is refused.
# Run as netproxy_swap_legacy.bats and netproxy_swap_nftables.bats (links to this file) the
# same with the other ways to translate.
load netproxy_kit

setup() {
	setup_host
	np_start
	pod 2 3 4
}
teardown() { teardown_host; }

# swap AFFINITY: connections, while each commit has one endpoint more or one less; those of both
# tests together are fewer than a client has ports of one parity, which are used up first
swap() {
	local n ends=()
	for n in 2 3 4; do ends+=("10.42.0.$n=/proc/${pod_pid[n]}/ns/net"); done
	np swap 6000 8080 10.43.0.80 80 "$1" "${ends[@]}"
	echo "# $said" >&3
	[[ $said == "ok "*" 0 refused, 0 lost" ]]
	[ "$(awk '{print $2}' <<<"$said")" -gt 2 ]
}

@test "a service that gains and loses endpoints refuses no connection" {
	swap 0
}

@test "so does one that keeps its clients at their endpoints" {
	swap 600
}
