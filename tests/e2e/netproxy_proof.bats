# Where other proxies fail.  Run as netproxy_proof_legacy.bats (a link to this file) everything is
# repeated with the other iptables, as netproxy_proof_nftables.bats with nftables' maps.
load netproxy_kit

setup() { setup_host; }
teardown() {
	teardown_host
	"/usr/sbin/iptables-$(other)" -F OTHERS 2>/dev/null || true
	for l in lan0 kedge0; do ip link del $l 2>/dev/null || true; done
	nft delete table inet fw 2>/dev/null || true
}
# Somebody takes services' rules away.
rules_flush() {
	if [ -n "$(backend)" ]; then nft flush table ip KDG-nat; else iptables_ -t nat -F KDG-V; fi
}
other() { [ "$(variant)" = nft ] && echo legacy || echo nft; }

# spreads N: 10,000 connections over N pods; chi square at most $1, which chance passes once in
# a million
spreads() {
	local most=$1 n ns=() ends=()
	shift
	for n in "$@"; do
		ns+=("/proc/${pod_pid[n]}/ns/net")
		ends+=("10.42.0.$n:8080")
	done
	np set default/web:http 10.43.0.80 tcp 80 30080 0 0 "${ends[@]}"
	np commit
	np spread 8080 10000 10.43.0.80 80 "${ns[@]}"
	echo "# $# endpoints, $(variant): ${said#ok }" >&3
	awk -v chi="${said#ok chi }" -v most="$most" 'BEGIN { exit !(chi + 0 <= most) }'
}

@test "10,000 connections spread evenly over 2, 5 and 20 endpoints" {
	np_start
	pod $(seq 2 21)
	spreads 24 2 3
	spreads 33 $(seq 2 6)
	spreads 67 $(seq 2 21) # through groups
}

@test "a pod reaches itself through a node port, and through a balancer's address" {
	np_start
	pod 2
	serve 8080 2
	for policy in 0 1; do
		np set default/web:http 10.43.0.80 tcp 80 30080 0 $policy balancer=192.0.2.50 10.42.0.2:8080
		np commit
		[ "$(in_pod 2 curl -sS --max-time 5 http://10.42.0.1:30080/)" = "pod2 10.42.0.1" ]
		[ "$(in_pod 2 curl -sS --max-time 5 http://192.0.2.50/)" = "pod2 10.42.0.1" ]
		[ "$(in_pod 2 curl -sS --max-time 5 http://10.43.0.80/)" = "pod2 10.42.0.1" ]
	done
}

@test "a connection outlives its endpoint in the rules, a service that goes, and all rules written anew" {
	np_start
	pod 2 3
	serve 8080 2 3
	np set default/web:http 10.43.0.80 tcp 80 30080 0 0 10.42.0.2:8080
	np commit
	mkfifo "$BATS_TEST_TMPDIR/in"
	in_pod 3 perl -MIO::Socket::INET -e '
		$| = 1;
		my $s = IO::Socket::INET->new(PeerAddr => "10.43.0.80", PeerPort => 80, Timeout => 5) or die;
		print "held\n";
		<STDIN>;
		print $s "GET / HTTP/1.0\r\n\r\n";
		print while <$s>;' <"$BATS_TEST_TMPDIR/in" >"$BATS_TEST_TMPDIR/out" 3>&- &
	started+=($!)
	exec 9>"$BATS_TEST_TMPDIR/in"
	soon grep -s held "$BATS_TEST_TMPDIR/out"
	np set default/web:http 10.43.0.80 tcp 80 30080 0 0 10.42.0.3:8080
	np commit
	[[ $(in_pod 2 curl -sS http://10.43.0.80/) == "pod3 "* ]]
	np flows 10.42.0.2
	[ "$said" = "ok 1" ]
	np drop default/web:http
	np commit
	rules_flush
	np check
	np commit
	echo >&9
	exec 9>&-
	soon grep -s "pod2 10.42.0.3" "$BATS_TEST_TMPDIR/out"
}

# The kernel makes a connection's entry where that of the last one from the same port was.
@test "a pod's flows are forgotten: a connection from a port that one of them had goes on" {
	np_start
	pod 2 3 4 5 6
	for n in 2 3 4 5 6; do
		PORT=8080 in_pod $n "$B/images/web/web" 3>&- >/dev/null 2>&1 &
		started+=($!)
	done
	for n in 2 3 4 5 6; do soon listens $n 8080; done
	np set default/web:http 10.43.0.80 tcp 80 0 0 0 10.42.0.2:8080
	np commit
	for k in 0 1 2; do
		[ "$(peer ports 10.43.0.80 80 $((20000 + k * 900)) 900)" = 900 ]
	done
	np set default/web:http 10.43.0.80 tcp 80 0 0 0 10.42.0.{3,4,5,6}:8080
	np commit
	for k in 0 1 2; do
		peer ports 10.43.0.80 80 $((20000 + k * 900)) 900 "$BATS_TEST_TMPDIR/go" >"$BATS_TEST_TMPDIR/ports.$k" 2>&1 3>&- &
		ports[k]=$!
	done
	sleep 0.05
	np flush 10.42.0.2
	for k in 0 1 2; do soon grep -q open "$BATS_TEST_TMPDIR/ports.$k"; done
	touch "$BATS_TEST_TMPDIR/go"
	wait "${ports[@]}"
	cat "$BATS_TEST_TMPDIR"/ports.*
	[ "$(sort "$BATS_TEST_TMPDIR"/ports.* | xargs)" = "900 900 900 open open open" ]
}

@test "a pod's flows are forgotten in whatever zone of conntrack a firewall put them" {
	np_start
	pod 2
	serve 8080 2
	nft add table inet fw
	nft "add chain inet fw out { type filter hook output priority raw; }"
	nft "add chain inet fw in { type filter hook prerouting priority raw; }"
	nft add rule inet fw out ip daddr 10.42.0.2 ct zone set 7
	nft add rule inet fw in ip saddr 10.42.0.2 ct zone set 7
	[[ $(get 10.42.0.2:8080) == "pod2 "* ]]
	conntrack -L --zone 7 2>/dev/null | grep -q "dst=10.42.0.2 "
	np flush 10.42.0.2
	[ "$(conntrack -L --zone 7 2>/dev/null | grep -c 10.42.0.2)" = 0 ]
}

@test "packets that conntrack cannot place do not kill a connection" {
	np_start
	pod 2 3
	serve 8080 2
	np set default/web:http 10.43.0.80 tcp 80 0 0 0 10.42.0.2:8080
	np commit
	dropped() { save_ -c | sed -n 's/^\[\([0-9]*\):.*KDG-FP .*--ctstate INVALID -j DROP/\1/p'; }
	before=$(dropped)
	# Far outside of the window, from the endpoint to who speaks to the service: to be dropped, for
	# it would leave with the pod's own address, and be answered with a reset.  The sequence numbers
	# go once around, so that half of them lie beyond the window wherever the connection began:
	# conntrack lets pass what lies before it.
	in_pod 3 perl -MIO::Socket::INET -e '
		$| = 1;
		my $s = IO::Socket::INET->new(PeerAddr => "10.43.0.80", PeerPort => 80, Timeout => 5) or die;
		print $s->sockport, "\n";
		sleep 2;
		print $s "GET / HTTP/1.0\r\n\r\n";
		print while <$s>;' >"$BATS_TEST_TMPDIR/out" 3>&- &
	client=$!
	soon test -s "$BATS_TEST_TMPDIR/out"
	port=$(head -1 "$BATS_TEST_TMPDIR/out")
	in_pod 2 perl -MSocket -e '
		my ($to, $port) = @ARGV;
		my ($s, $d) = (inet_aton("10.42.0.2"), inet_aton($to));
		sub sum { my $x = 0; $x += $_ for unpack "n*", $_[0] . (length($_[0]) % 2 ? "\0" : ""); $x = ($x & 0xffff) + ($x >> 16) while $x >> 16; ~$x & 0xffff }
		socket(my $raw, AF_INET, SOCK_RAW, 255) or die;
		for (1 .. 20) {
			my $tcp = pack "nnNNCCnnn", 8080, $port, $_ * 214748364, 7, 5 << 4, 0x10, 100, 0, 0;
			my $c = sum($s . $d . pack("CCn", 0, 6, length $tcp) . $tcp);
			substr($tcp, 16, 2) = pack "n", $c;
			my $ip = pack "CCnnnCCna4a4", 0x45, 0, 20 + length $tcp, $_, 0, 64, 6, 0, $s, $d;
			send $raw, $ip . $tcp, 0, sockaddr_in($port, $d);
		}' 10.42.0.3 "$port"
	wait $client
	grep "pod2 10.42.0.3" "$BATS_TEST_TMPDIR/out"
	more_dropped() { [ "$(dropped)" -gt "$before" ]; }
	if [ "$(cat /proc/sys/net/netfilter/nf_conntrack_tcp_be_liberal)" = 0 ]; then
		soon more_dropped || { # not at once: a busy kernel's softirq lags behind who sent
			save_ -c | grep KDG-FP
			false
		}
	fi
}

@test "rules in the other iptables, a container engine's chains among them, are left alone and told of" {
	"/usr/sbin/iptables-$(other)" -N OTHERS
	"/usr/sbin/iptables-$(other)" -A OTHERS -s 203.0.113.0/24 -j RETURN
	iptables_ -t nat -N DOCKER
	iptables_ -t nat -A DOCKER -p tcp --dport 30080 -j RETURN
	iptables_ -t nat -A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
	iptables_ -N DOCKER-USER
	iptables_ -I FORWARD -j DOCKER-USER
	theirs=$("/usr/sbin/iptables-$(other)" -S)
	docker=$(rules_now | grep DOCKER)
	np_start
	pod 2
	serve 8080 2
	np set default/web:http 10.43.0.80 tcp 80 30080 0 0 10.42.0.2:8080
	np commit
	np lacks
	[[ $said == *"both are applied, and one may block what the other allows"* ]]
	grep -q '1 rules of others in FORWARD of iptables: they stay' "$BATS_TEST_TMPDIR/stderr"
	[[ $(get 10.43.0.80) == "pod2 "* ]]
	rules_flush
	np check
	np commit
	[[ $(get 10.43.0.80) == "pod2 "* ]]
	[ "$("/usr/sbin/iptables-$(other)" -S)" = "$theirs" ]
	[ "$(rules_now | grep DOCKER)" = "$docker" ]
	np down
	[ "$("/usr/sbin/iptables-$(other)" -S)" = "$theirs" ]
	[ "$(rules_now | grep DOCKER)" = "$docker" ]
	iptables_ -t nat -F
	iptables_ -t nat -X DOCKER
	iptables_ -F
	iptables_ -X DOCKER-USER
	"/usr/sbin/iptables-$(other)" -F
	"/usr/sbin/iptables-$(other)" -X OTHERS
}

@test "a firewall in nf_tables that no iptables shows is left alone and told of" {
	nft add table inet fw
	nft 'add chain inet fw empty { type filter hook forward priority 0; policy accept; }'
	nft 'add chain inet fw out { type filter hook output priority 0; policy accept; }'
	nft add rule inet fw out ip daddr 203.0.113.9 drop
	np_start
	np lacks
	[[ $said != *firewall* ]]
	np down
	echo quit >&"$np_in"
	wait "$np_pid"
	nft 'add chain inet fw fw { type filter hook input priority 0; policy drop; }'
	nft add rule inet fw fw iif lo accept
	nft add rule inet fw fw ct state established,related accept
	theirs=$(nft list table inet fw)
	np_start
	np lacks
	[[ $said == *"nf_tables have a firewall beside iptables (table inet fw, chain fw): what it drops is dropped"* ]]
	pod 2
	serve 8080 2
	[[ $(get 10.42.0.2:8080) == "pod2 "* ]]
	[ "$(nft list table inet fw)" = "$theirs" ]
	np down
	[ "$(nft list table inet fw)" = "$theirs" ]
	nft delete table inet fw
}
