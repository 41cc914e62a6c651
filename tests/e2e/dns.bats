#!/usr/bin/env bats
# Names: what pods and the host are answered, by real clients, while everything around is killed.
load kit.bash
KILLS=yes

setup_file() {
	CONFIG='dns:
  upstreams: ["127.0.0.2:5300", "127.0.0.3:5300"]
  stubDomains: [{domain: corp.test, servers: ["127.0.0.4:5300"]}, {domain: nowhere.test}]' file_begin
	local n
	for n in 2 3 4; do
		"$ROOT/tests/e2e/dns_upstream.pl" 127.0.0.$n 5300 "$W/asked.$n" $n 3>&- &
		echo $! >"$W/upstream.$n"
	done
	{
		pod a box:1 '["/bin/talk","serve","a"]'
		SPEC=$'hostname: first\nsubdomain: set' pod b box:1 '["/bin/busybox","httpd","-f","-p","8080"]'
		names_svc hostname-svc-clusterip $'selector: {app: b}\nports: [{name: http, port: 8080}]'
		names_svc set $'selector: {app: b}\nclusterIP: None\nports: [{name: http, port: 8080}]'
		names_svc out $'type: ExternalName\nexternalName: www.example.com'
		names_svc lost $'type: ExternalName\nexternalName: www.nowhere.test'
		names_svc alias $'type: ExternalName\nexternalName: hostname-svc-clusterip.default.svc.cluster.local'
		printf 'apiVersion: v1\nkind: Namespace\nmetadata: {name: other}\n---\n'
		names_svc far $'ports: [{name: http, port: 8080}]' | sed 's/name: far/name: far, namespace: other/'
	} | put names
	up a
	up b
}
setup() { file_test; }
teardown_file() {
	for n in 2 3 4; do kill "$(cat "$W/upstream.$n")" 2>/dev/null || :; done
	file_end
}

names_svc() { printf 'apiVersion: v1\nkind: Service\nmetadata: {name: %s}\nspec:\n' "$1" && sed 's/^/  /' <<<"$2" && echo ---; }
# q NAME [TYPE] [dig's options]: the answer, short
q() { local n=$1 t=${2:-A}; shift; shift || :; dig +short +tries=1 +time=6 "$@" @10.43.0.10 "$n" "$t" | tr -d '\r'; }
rcode() { dig +tries=1 +time=6 "$@" @10.43.0.10 | sed -n 's/.*status: \([A-Z]*\).*/\1/p'; }
q_is() { [ "$(q "$1" "${3:-A}")" = "$2" ]; }
server() { pgrep -f '^kedged --role=dns' | sort; }
asked() { grep -c "$2" "$W/asked.$1" || :; } # asked UPSTREAM LINE

@test "a pod has the search list, and finds a Service by its short name and over namespaces" {
	in_ a cat /etc/resolv.conf | grep -qE '^search default.svc.cluster.local svc.cluster.local cluster.local'
	in_ a cat /etc/resolv.conf | grep -qx 'nameserver 10.43.0.10'
	in_ a cat /etc/resolv.conf | grep -qx 'options ndots:5'
	wait_for 5 "it has a name" q_is hostname-svc-clusterip.default.svc.cluster.local "$(field svc hostname-svc-clusterip .spec.clusterIP)"
	in_ a sh -c 'busybox wget -q -O - http://hostname-svc-clusterip:8080/etc/passwd' | grep -q root
	in_ a sh -c 'busybox wget -q -O - http://hostname-svc-clusterip.default:8080/etc/passwd' | grep -q root
	in_ a sh -c 'busybox wget -q -O - http://set.default.svc:8080/etc/passwd' | grep -q root
	in_ a sh -c 'busybox wget -q -O - http://alias:8080/etc/passwd' | grep -q root
	in_ a busybox nslookup far.other.svc.cluster.local | grep -q "$(kedge get svc far -n other -o json | jq -r .spec.clusterIP)"
	in_ a busybox nslookup kubernetes.default.svc.cluster.local | grep -q 10.43.0.1
}

@test "headless, named pod, SRV, PTR, and what is not there" {
	ip=$(field pod b .status.podIP) vip=$(field svc hostname-svc-clusterip .spec.clusterIP)
	[ "$(q set.default.svc.cluster.local)" = "$ip" ]
	[ "$(q first.set.default.svc.cluster.local)" = "$ip" ]
	[ "$(q _http._tcp.set.default.svc.cluster.local SRV)" = "0 100 8080 first.set.default.svc.cluster.local." ]
	[ "$(q _http._tcp.hostname-svc-clusterip.default.svc.cluster.local SRV)" = "0 100 8080 hostname-svc-clusterip.default.svc.cluster.local." ]
	[ "$(dig +short @10.43.0.10 -x "$ip")" = first.set.default.svc.cluster.local. ]
	[ "$(dig +short @10.43.0.10 -x "$vip")" = hostname-svc-clusterip.default.svc.cluster.local. ]
	[ "$(q dns-version.cluster.local TXT)" = '"1.1.0"' ]
	[ "$(rcode none.default.svc.cluster.local)" = NXDOMAIN ]
	[ "$(rcode set.default.svc.cluster.local AAAA)" = NOERROR ]
	[ "$(q set.default.svc.cluster.local AAAA)" = "" ]
	[ "$(rcode -x 10.42.200.200)" = NXDOMAIN ]
	[ "$(rcode +opcode=2 set.default.svc.cluster.local)" = NOTIMP ]
	[ "$(rcode version.bind CH TXT)" = REFUSED ]
	[ "$(rcode +edns=1 +noednsneg set.default.svc.cluster.local)" = BADVERS ]
}

@test "an ExternalName brings the address it leads to" {
	[ "$(q out.default.svc.cluster.local)" = $'www.example.com.\n192.0.2.2' ]
	[ "$(q out.default.svc.cluster.local A +tcp)" = $'www.example.com.\n192.0.2.2' ]
	in_ a busybox nslookup out.default.svc.cluster.local | grep -q 192.0.2.2
}

@test "an ExternalName that leads where nobody can be asked is still a CNAME" {
	[ "$(q lost.default.svc.cluster.local)" = www.nowhere.test. ]
	[ "$(rcode lost.default.svc.cluster.local)" = NOERROR ]
	[ "$(q lost.default.svc.cluster.local A +tcp)" = www.nowhere.test. ]
	[ "$(rcode www.nowhere.test)" = SERVFAIL ]
}

@test "kedge dns says what a pod is answered, and why" {
	run kedge dns hostname-svc-clusterip
	[ "$status" = 0 ]
	has "service default/hostname-svc-clusterip has the cluster IP"
	has "hostname-svc-clusterip.default.svc.cluster.local. 5 IN A $(field svc hostname-svc-clusterip .spec.clusterIP)"
	hasnt "hostname-svc-clusterip.svc.cluster.local"
	run kedge dns far.other
	[ "$status" = 0 ]
	has 'NXDOMAIN: there is no service "other" in namespace default'
	has "service other/far has the cluster IP"
	run kedge dns -n other nx.nowhere
	[ "$status" = 1 ]
	has 'there is no service "nowhere" in namespace other'
	run kedge dns www.example.com.
	[[ $output == *"not of the cluster: what the servers say that dns.upstreams in kedge.yaml names"* ]]
	run kedge dns www.example.com. -o json
	# it was asked for above: so much is left of the minute
	[[ "$(jq -r '.names[0].records[0]' <<<"$output")" =~ ^www\.example\.com\.\ (60|[345][0-9])\ IN\ A\ 192\.0\.2\.2$ ]]
	[ "$(jq -r '.names | length' <<<"$output")" = 1 ]
	run kedge dns 10.43.0.1
	has "PTR kubernetes.default.svc.cluster.local."
	run kedge dns x --type NONSENSE
	[ "$status" = 1 ] || [ "$status" = 2 ]
	has "no such type"
}

@test "a name that DNS has no room for is left out alone, and said" {
	local long=a2345678901234567890123456789012345678901234567890123456789012z
	names_svc odd "ports: [{name: $long, port: 1}, {name: http, port: 2}]" | put odd
	wait_for 5 "its other port has a name" q_is _http._tcp.odd.default.svc.cluster.local "0 100 2 odd.default.svc.cluster.local." SRV
	q_is odd.default.svc.cluster.local "$(field svc odd .spec.clusterIP)"
	run kedge dns odd
	[ "$status" = 0 ]
	has "has the cluster IP $(field svc odd .spec.clusterIP); DNS has no name with a part longer than 63 letters (_$long._tcp.odd"
	run kedge status
	grep -A1 "service .*odd" <<<"$output" | grep -q "DNS has no name with a part longer than 63 letters"
	# an alias that changes to what nobody can be led to loses the name that it had
	names_svc moved $'type: ExternalName\nexternalName: www.example.com' | put odd
	wait_for 5 "it leads there" sh -c 'dig +short @10.43.0.10 moved.default.svc.cluster.local CNAME | grep -qx www.example.com.'
	names_svc moved "type: ExternalName
externalName: x$long.example.com" | put odd
	wait_for 5 "it leads nowhere" q_is moved.default.svc.cluster.local "" CNAME
	run kedge status
	grep -A1 "service .*moved" <<<"$output" | grep -q "DNS has no name with a part longer than 63 letters"
	drop odd
}

@test "other names are asked of the upstream, once while they hold, and stub domains of theirs" {
	for n in 1 2 3; do [ "$(q once.example.org)" = 192.0.2.2 ]; done
	[ "$(asked 2 '^udp once.example.org 1$')" = 1 ]
	[ "$(dig +noall +answer @10.43.0.10 once.example.org | awk '{print $2 <= 60}')" = 1 ]
	[ "$(rcode nx.example.org)" = NXDOMAIN ]
	[ "$(rcode nx.example.org)" = NXDOMAIN ]
	[ "$(asked 2 '^udp nx.example.org 1$')" = 1 ]
	[ "$(q host.corp.test)" = 192.0.2.4 ]
	[ "$(q corp.test)" = 192.0.2.4 ]
	[ "$(q notcorp.test)" = 192.0.2.2 ]
	[ "$(in_ a busybox nslookup www.example.net | grep -c 192.0.2.2)" -ge 1 ]
	[ "$(asked 2 cluster.local)" = 0 ]
}

@test "what is cut over UDP is whole over TCP" {
	[ "$(q big.example.org | wc -l)" = 100 ]
	[ "$(asked 2 '^tcp big.example.org 1$')" = 1 ]
	dig +ignore +noedns @10.43.0.10 big.example.org | grep -q 'flags:.* tc'
}

@test "forged answers are not believed" {
	[ "$(q forged.example.org)" = 192.0.2.2 ]
	[ "$(q folded.example.org)" = 192.0.2.2 ]
	[ "$(asked 2 '^tcp folded.example.org 1$')" = 1 ]
}

@test "one server fails, is silent, or is gone: the next is asked, and soon at once" {
	[ "$(q fail.example.org)" = "" ]
	[ "$(asked 3 '^udp fail.example.org 1$')" -ge 1 ]
	kill -STOP "$(cat "$W/upstream.2")"
	for n in 1 2; do [ "$(q quiet$n.example.org)" = 192.0.2.3 ]; done
	t=$(date +%s%N)
	[ "$(q quiet3.example.org)" = 192.0.2.3 ]
	[ $((($(date +%s%N) - t) / 1000000)) -lt 500 ]
	kill -CONT "$(cat "$W/upstream.2")"
	kill "$(cat "$W/upstream.2")"
	[ "$(q gone.example.org)" = 192.0.2.3 ]
	kill "$(cat "$W/upstream.3")"
	[ "$(rcode nobody.example.org)" = SERVFAIL ]
	[ "$(rcode silent.corp.test)" = SERVFAIL ]
	wait_for 5 "the cluster's names need nobody" q_is kubernetes.default.svc.cluster.local 10.43.0.1
}

@test "names come, change and go with Services and pods" {
	names_svc late $'selector: {app: late}\nclusterIP: None\nports: [{port: 8080}]' | put late
	[ "$(rcode late.default.svc.cluster.local)" = NXDOMAIN ] # nobody is ready
	pod late box:1 '["/bin/talk","serve","late"]' | put latepod
	up late
	wait_for 5 "it has the pod's address" q_is late.default.svc.cluster.local "$(field pod late .status.podIP)"
	drop latepod
	wait_for 10 "the pod's address is gone" sh -c 'dig @10.43.0.10 late.default.svc.cluster.local | grep -q NXDOMAIN'
	drop late
}

@test "names are answered while the server, the brain and the hand are killed" {
	old=$(server)
	# what a server has read when it is killed is lost: a client asks again
	ask() { q kubernetes.default.svc.cluster.local A +tries=3 +time=3 | grep -v '^;;' || echo none; }
	while [ ! -e "$W/enough" ]; do ask >>"$W/loop"; sleep 0.02; done 3>&- &
	loop=$!
	kill -9 "$old"
	wait_for 5 "another server" sh -c "[ -n \"\$(pgrep -f '^kedged --role=dns')\" ] && [ \"\$(pgrep -f '^kedged --role=dns')\" != '$old' ]"
	wait_for 5 "it answers" q_is hostname-svc-clusterip.default.svc.cluster.local "$(field svc hostname-svc-clusterip .spec.clusterIP)"
	kill -9 "$(pgrep -f '^kedged --role=brain')"
	for n in 1 2 3 4 5; do [ "$(ask)" = 10.43.0.1 ]; sleep 0.1; done
	wait_for 10 "the brain is back" kedge get pods
	kept=$(server)
	kill -9 "$KEDGED"
	for n in 1 2 3 4 5; do [ "$(ask)" = 10.43.0.1 ]; sleep 0.1; done
	[ "$(server)" = "$kept" ]
	kedge_start --source "deploy=$W/deploy.git"
	echo "$KEDGED" >"$W/pid"
	wait_for 10 "one server is left, a new one" sh -c "[ \"\$(pgrep -cf '^kedged --role=dns')\" = 1 ] && [ \"\$(pgrep -f '^kedged --role=dns')\" != '$kept' ]"
	q_is set.default.svc.cluster.local "$(field pod b .status.podIP)"
	kedge_stop
	[ "$(ask)" = 10.43.0.1 ]
	kedge_start --source "deploy=$W/deploy.git"
	echo "$KEDGED" >"$W/pid"
	wait_for 10 "one server is left" sh -c "[ \"\$(pgrep -cf '^kedged --role=dns')\" = 1 ]"
	: >"$W/enough"
	wait "$loop" # its last question, too, has an answer
	[ "$(grep -cx 10.43.0.1 "$W/loop")" -gt 20 ]
	! grep -vx 10.43.0.1 "$W/loop" || false # every question had its answer
}

@test "questions that wait for a server which is told to go are answered by it" {
	local old p
	local -a waiting=()
	old=$(server)
	kill -STOP "$old"
	for p in {1..40}; do
		dig +short +tcp +tries=1 +time=200 @10.43.0.10 set.default.svc.cluster.local >"$W/waits.$p" 3>&- &
		waiting+=($!)
	done
	wait_for 10 "all of them have connected" sh -c '[ "$(ss -Htn state established dst 10.43.0.10:53 | wc -l)" = 40 ]'
	# the next kedged's own server says goodbye to it (SIGTERM is the 15th bit)
	kedge_stop
	kedge_start --source "deploy=$W/deploy.git"
	echo "$KEDGED" >"$W/pid"
	wait_for 20 "it is told to go" grep -qE '^ShdPnd:.*[4-7c-f][0-9a-f]{3}$' "/proc/$old/status"
	kill -CONT "$old"
	for p in "${waiting[@]}"; do wait "$p"; done
	for p in {1..40}; do
		[ -s "$W/waits.$p" ]
		! grep -q ';;' "$W/waits.$p" || false
	done
	wait_for 10 "another one serves" q_is kubernetes.default.svc.cluster.local 10.43.0.1
}

@test "nobody else can ask, and floods and nonsense leave it answering" {
	ip netns add out
	ip link add out0 type veth peer name eth0 netns out
	ip addr add 172.30.0.1/24 dev out0
	ip link set out0 up
	ip netns exec out sh -c 'ip addr add 172.30.0.2/24 dev eth0 && ip link set eth0 up && ip route add default via 172.30.0.1'
	ip netns exec out busybox ping -c 1 -W 2 172.30.0.1 >/dev/null
	run ip netns exec out dig +tries=1 +time=1 @10.43.0.10 kubernetes.default.svc.cluster.local
	[ "$status" = 9 ]
	ip netns del out
	perl -MIO::Socket::INET -e '
		my $s = IO::Socket::INET->new(PeerAddr => "10.43.0.10", PeerPort => 53, Proto => "udp");
		srand 1;
		$s->send(pack("C*", map { int rand 256 } 1 .. 1 + int rand 600)) for 1 .. 20000;
		my @held = map { IO::Socket::INET->new(PeerAddr => "10.43.0.10", PeerPort => 53, Proto => "tcp") } 1 .. 40;
		$_ and $_->syswrite("\x02\x00") for @held; sleep 1'
	q_is kubernetes.default.svc.cluster.local 10.43.0.1
	[ "$(q kubernetes.default.svc.cluster.local A +tcp)" = 10.43.0.1 ]
}
