#!/usr/bin/env bats
# Somebody takes the network apart by hand: it is put right within five seconds, and said.  Run
# as mend_nftables.bats (a link to this file) everything is repeated with that proxy.
load kit.bash

setup_file() {
	file_begin
	{
		for n in a b; do pod $n box:1 '["/bin/talk", "tcp", "8001"]' | sed "s/labels: {/labels: {set: ab, /"; done
		cat <<-Y
			apiVersion: v1
			kind: Service
			metadata: {name: web}
			spec: {type: NodePort, selector: {set: ab}, ports: [{port: 80, targetPort: 8001, nodePort: 30080}]}
		Y
	} | put web
	for n in a b; do up $n; done
	wait_for 5 "it has an address" sh -c 'kedge get svc web -o json | jq -e .spec.clusterIP'
}
setup() { file_test; }
teardown_file() { file_end; }

both() {
	local ip
	ip=$(field svc web .spec.clusterIP)
	[ "$(for _ in $(seq 16); do nc -w 1 "$ip" 80 </dev/null || true; done | cut -d' ' -f1 | sort -u | xargs)" = "a b" ]
}
through_a_pod() { [ -n "$(in_ a sh -c "for i in 1 2 3 4 5 6 7 8; do nc -w 1 $(field svc web .spec.clusterIP) 80 </dev/null || exit 1; done")" ]; }
link_of() { printf 'kdg%02x%02x%02x%02x' $(field pod "$1" .status.podIP | tr . ' '); }

# mends WHAT HARM...: all is well, the harm is done, and within 5 s all is well and WHAT is in the log
mends() {
	local what=$1 n
	shift
	wait_for 5 "both answer before" both
	n=$(wc -l <"$W/kedged.log")
	"$@"
	KEDGE_TEST_PATIENCE=1 wait_for 5 "both answer after: $*" both
	KEDGE_TEST_PATIENCE=1 wait_for 5 "and a pod is answered" through_a_pod
	tail -n "+$((n + 1))" "$W/kedged.log" | grep -q "$what"
}

@test "the bridge is deleted, set down, or loses its address or its route" {
	mends 'the bridge kedge0 was gone or down.*2 links of pods' ip link del kedge0
	mends 'the bridge kedge0 was gone or down' ip link set kedge0 down
	mends 'the bridge kedge0 was without its address or route' ip addr flush dev kedge0
	mends 'the bridge kedge0 was without its address or route' ip route del 10.43.0.0/16
}

@test "a pod's link is deleted, set down, or taken off the bridge" {
	mends 'somebody removed its link; it has another' ip link del "$(link_of a)"
	mends '1 links of pods were down or not on the bridge' ip link set "$(link_of b)" down
	mends '1 links of pods were down or not on the bridge' ip link set "$(link_of b)" nomaster
}

@test "so is the link of a pod that a kedged before this one made" {
	kedge_stop
	kedge_start --source "deploy=$W/deploy.git"
	echo "$KEDGED" >"$W/pid"
	mends 'somebody removed its link; it has another' ip link del "$(link_of a)"
}

@test "forwarding is turned off, redirects are turned on" {
	local n
	n=$(wc -l <"$W/kedged.log")
	mends 'somebody set /proc/sys/net/ipv4/ip_forward to 0; it is 1 again' sh -c 'echo 0 >/proc/sys/net/ipv4/ip_forward'
	[ "$(cat /proc/sys/net/ipv4/ip_forward)" = 1 ]
	redirects() { [ "$(cat /proc/sys/net/ipv4/conf/all/send_redirects)" = "$1" ]; }
	echo 1 >/proc/sys/net/ipv4/conf/all/send_redirects
	KEDGE_TEST_PATIENCE=1 wait_for 5 "the kernel sends none" redirects 0
	tail -n "+$((n + 1))" "$W/kedged.log" >"$BATS_TEST_TMPDIR/log"
	grep -q 'somebody set /proc/sys/net/ipv4/conf/all/send_redirects to 1; it is 0 again' "$BATS_TEST_TMPDIR/log"
	# nobody touched the rules
	! grep "somebody removed kedge's chains" "$BATS_TEST_TMPDIR/log" || false
}

@test "the chains are removed" {
	mends "somebody removed kedge's chains; writing them again" sh -c 'iptables -F KDG-F; iptables -t nat -F; ! nft list table ip KDG-nat >/dev/null 2>&1 || nft flush table ip KDG-nat'
}

@test "pods that start afterwards are reached as any other" {
	pod c box:1 '["/bin/talk", "tcp", "8001"]' | put c
	up c
	wait_for 5 "it answers" sh -c "$B/images/box/bin/busybox nc -w 1 $(field pod c .status.podIP) 8001 </dev/null | grep -q ^c"
	drop c
}
