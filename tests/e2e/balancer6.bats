#!/usr/bin/env bats
# Load balancers of IPv6, from manifests to a neighbour's packets.  Run as balancer6_legacy.bats
# (a link to this file) everything is repeated with the other iptables, as
# balancer6_nftables.bats with nftables' proxy.
load kit.bash

setup_file() {
	local variant=nft
	case ${BATS_TEST_FILENAME##*/} in *legacy*) variant=legacy ;; esac
	mkdir "$BATS_FILE_TMPDIR/ipt"
	for n in iptables ip6tables; do ln -s "/usr/sbin/$n-$variant-restore" "$BATS_FILE_TMPDIR/ipt/$n-restore"; done
	export PATH=$BATS_FILE_TMPDIR/ipt:$PATH
	neighbour_begin
	ip addr add 192.0.2.1/24 dev lan0
	ip addr add 2001:db8::1/64 dev lan0 nodad
	beside ip addr add 192.0.2.9/24 dev lan1
	beside ip addr add 2001:db8::9/64 dev lan1 nodad
	beside ip addr add 2001:db8:7::9/128 dev lan1 nodad
	ip -6 route add 2001:db8:7::/48 via 2001:db8::9
	CONFIG='network: {podCIDR: "10.42.0.0/16,fd42::/64", serviceCIDR: "10.43.0.0/16,fd43::/112"}
loadBalancer: {addresses: [192.0.2.50-192.0.2.51, "2001:db8::50-2001:db8::51"]}' file_begin
	for n in a b; do
		pod $n box:1 '["/bin/talk", "tcp6", "8001"]' | sed "s/labels: {/labels: {set: ab, /"
	done | put pods
	for n in a b; do up $n; done
}
setup() { file_test; }
teardown_file() {
	file_end
	neighbour_end
}

# from ADDRESS TO PORT: who answers a neighbour that has this address
from() { beside curl -gsSm 2 --http0.9 --interface "$1" "http://[$2]:$3/"; }
ingress() { field svc "$1" '[.status.loadBalancer.ingress[]?.ip] | join(" ")'; }
ingress_is() { [ "$(ingress "$1")" = "$2" ]; }
put_on() { ip -6 -o addr show dev lan0 | grep -q " $1/128 "; }
put_off() { ! put_on "$1"; }
said() { kedge get events -o json | jq -e --arg r "$1" --arg m "$2" 'any(.items[]; .reason == $r and (.message | test($m)))'; }
# svc NAME PORT [LINE OF THE SPEC]...
svc() {
	printf 'apiVersion: v1\nkind: Service\nmetadata: {name: %s}\nspec:\n  type: LoadBalancer\n  selector: {set: ab}\n  ports: [{port: %s, targetPort: 8001}]\n' "$1" "$2"
	shift 2
	[ $# = 0 ] || printf '  %s\n' "$@"
	echo ---
}

@test "a load balancer of both families has an address of each, and a neighbour meets the pods at both" {
	svc both 80 'ipFamilyPolicy: RequireDualStack' | put both
	wait_for 5 "it has its addresses" ingress_is both "192.0.2.50 2001:db8::50"
	[ "$(field svc both '[.status.loadBalancer.ingress[].ipMode] | join(" ")')" = "VIP VIP" ]
	run kedge get svc both
	matches 'both +LoadBalancer +10\.43\.[0-9.]+ +192\.0\.2\.50,2001:db8::50 +80:3[0-9]{4}/TCP'
	run kedge describe svc both
	matches '^LoadBalancer Ingress: +192\.0\.2\.50 \(VIP\), 2001:db8::50 \(VIP\)$'
	for to in 192.0.2.50 2001:db8::50; do
		wait_for 5 "it answers at $to" answers $to 80
		[ "$(for _ in $(seq 20); do ask_beside $to 80; done | cut -d' ' -f1 | sort -u | xargs)" = "a b" ]
	done
	# the host and a pod reach it, too
	[[ $(nc -w 2 2001:db8::50 80 </dev/null) == [ab]" "* ]]
	[[ $(in_ a sh -c 'nc -w 2 2001:db8::50 80 </dev/null') == [ab]" "* ]]
}

@test "one of IPv6 alone has the next, and Local keeps the client's address" {
	svc six 81 'ipFamilies: [IPv6]' 'externalTrafficPolicy: Local' | put six
	wait_for 5 "it has its address" ingress_is six 2001:db8::51
	wait_for 5 "it answers with the client's" answers 2001:db8::51 81 "^[ab] 2001:db8::9 "
	run kedge get svc six
	matches 'six +LoadBalancer +fd43::[0-9a-f:]+ +2001:db8::51 +81:'
}

@test "a health check node port tells those who ask by IPv6 of the endpoints of IPv6" {
	svc both 80 'ipFamilyPolicy: RequireDualStack' 'externalTrafficPolicy: Local' | put both
	fields() { [ "$(field svc both .spec.healthCheckNodePort)" -ge 30000 ]; }
	wait_for 5 "it has a port" fields
	health() { beside curl -gsSm 2 -o "$BATS_TEST_TMPDIR/body" -w '%{http_code}\n' "http://$1:$2/healthz" && jq -r .localEndpoints "$BATS_TEST_TMPDIR/body"; }
	says() { [ "$(health "$1" "$2" | xargs)" = "$3" ]; }
	port=$(field svc both .spec.healthCheckNodePort)
	wait_for 5 "it tells of both by IPv4" says 192.0.2.1 "$port" "200 2"
	wait_for 5 "it tells of both by IPv6" says '[2001:db8::1]' "$port" "200 2"
	# of a Service of IPv6 alone nobody listens by IPv4
	port=$(field svc six .spec.healthCheckNodePort)
	wait_for 5 "it tells of both by IPv6" says '[2001:db8::1]' "$port" "200 2"
	run health 192.0.2.1 "$port"
	[ "$status" = 7 ]
	svc six 81 'ipFamilies: [IPv6]' 'externalTrafficPolicy: Local' | sed 's/set: ab/set: nobody/' | put six
	wait_for 5 "it has none" says '[2001:db8::1]' "$port" "503 0"
	svc both 80 'ipFamilyPolicy: RequireDualStack' | put both
	svc six 81 'ipFamilies: [IPv6]' 'externalTrafficPolicy: Local' | put six
	wait_for 5 "it answers again" answers 2001:db8::51 81 "^[ab] 2001:db8::9 "
}

@test "kedge trace knows the way through an address of IPv6" {
	run kedge trace host '[2001:db8::50]:80'
	[ "$status" = 0 ]
	has "it is served"
	has "[$(field pod a '.status.podIPs[1].ip')]:8001  pod default/a"
	run kedge trace host '[2001:db8::50]:82'
	[ "$status" = 1 ]
}

@test "a wanted address is had by who asks first, and the reason is said" {
	svc third 82 'ipFamilies: [IPv6]' 'loadBalancerIP: "2001:db8::51"' | put third
	wait_for 5 "it shares the address" ingress_is third 2001:db8::51
	wait_for 5 "it answers" answers 2001:db8::51 82
	svc late 82 'ipFamilies: [IPv6]' 'loadBalancerIP: "2001:db8::51"' | put late
	wait_for 5 "it is told" said SyncLoadBalancerFailed 'port 82/TCP of 2001:db8::51 is already in use by default/third'
	svc late 82 'ipFamilies: [IPv6]' 'loadBalancerIP: "2001:db8::77"' | put late
	wait_for 5 "it is told" said SyncLoadBalancerFailed '2001:db8::77 is not in the pool 2001:db8::50-2001:db8::51'
	run kedge get svc late
	matches 'late +LoadBalancer +fd43::[0-9a-f:]+ +<pending> +82:'
	drop late
	drop third
}

@test "only the sources that are named come by the address" {
	svc six 81 'ipFamilies: [IPv6]' 'loadBalancerSourceRanges: ["2001:db8:7::/48"]' | put six
	shut() { ! from 2001:db8::9 2001:db8::51 81; }
	wait_for 5 "the neighbour may not" shut
	[[ $(from 2001:db8:7::9 2001:db8::51 81) == [ab]" "* ]]
	# ranges of the other family let nobody in
	svc six 81 'ipFamilies: [IPv6]' 'loadBalancerSourceRanges: [192.0.2.0/24]' | put six
	shut7() { ! from 2001:db8:7::9 2001:db8::51 81; }
	wait_for 5 "nobody may" shut7
	svc six 81 'ipFamilies: [IPv6]' 'loadBalancerSourceRanges: ["2001:db8::/64", "::1/128", "::/3"]' | put six
	wait_for 5 "it may" answers 2001:db8::51 81
	# the host is within, too
	[[ $(nc -w 2 2001:db8::51 81 </dev/null) == [ab]" "* ]]
}

@test "it keeps its address over a restart, while nothing runs it is answered, and what is taken away comes back" {
	kedge_stop
	answers 2001:db8::50 80
	kedge_start --source "deploy=$W/deploy.git"
	echo "$KEDGED" >"$W/pid"
	ingress_is both "192.0.2.50 2001:db8::50"
	wait_for 5 "it answers" answers 2001:db8::50 80
	off() { ip addr del 2001:db8::50/128 dev lan0 2>/dev/null; grep -q 'somebody changed the addresses of load balancers' "$W/kedged.log"; }
	wait_for 10 "it is said" off
	KEDGE_TEST_PATIENCE=1 wait_for 5 "it is there again" put_on 2001:db8::50
	answers 2001:db8::50 80
}

@test "the address goes with the Service, and all of them with kedge down" {
	drop six
	wait_for 5 "it is off the link" put_off 2001:db8::51
	put_on 2001:db8::50
	kedge down --yes
	wait_for 20 "it ended" not_running "$KEDGED"
	put_off 2001:db8::50
	[ "$(ip -o addr show dev lan0 scope global | awk '{ print $4 }' | xargs)" = "192.0.2.1/24 2001:db8::1/64" ]
}
