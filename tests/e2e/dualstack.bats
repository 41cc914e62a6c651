#!/usr/bin/env bats
# A cluster of both families: pods, Services, names, policies and their repair over IPv6, beside
# IPv4.  Run as dualstack_legacy.bats (a link to this file) everything is repeated with the other
# iptables, as dualstack_nftables.bats with nftables' proxy.
load kit.bash

variant() {
	case ${BATS_TEST_FILENAME##*/} in *legacy*) echo legacy ;; *) echo nft ;; esac
}
ipt6() { "/usr/sbin/ip6tables-$(variant)" "$@"; }
maps() { case ${BATS_TEST_FILENAME##*/} in *nftables*) ;; *) false ;; esac; }
# The addresses that are translated are in it.
nat6() { if maps; then nft list table ip6 KDG-nat; else ipt6 -t nat -S; fi; }

setup_file() {
	mkdir "$BATS_FILE_TMPDIR/ipt"
	for n in iptables ip6tables; do ln -s "/usr/sbin/$n-$(variant)-restore" "$BATS_FILE_TMPDIR/ipt/$n-restore"; done
	export PATH=$BATS_FILE_TMPDIR/ipt:$PATH
	CONFIG='network: {podCIDR: "10.42.0.0/16,fd42::/64", serviceCIDR: "10.43.0.0/16,fd43::/112"}
allow: {externalIPs: ["2001:db8:9::/64"]}' file_begin --listen "$API"
	{
		for n in a b; do
			MORE='ports: [{name: http, containerPort: 8001}]' \
				pod $n box:1 '["sh", "-c", "talk udp6 5300 & exec talk tcp6 8001"]' | sed "s/labels: {/labels: {set: ab, /"
		done
		pod cli box:1
		svc six 'ipFamilies: [IPv6]'
		svc four
		svc both 'ipFamilyPolicy: RequireDualStack' 'type: NodePort'
		svc prefer 'ipFamilyPolicy: PreferDualStack' 'ipFamilies: [IPv6]'
		svc bare 'clusterIP: None' 'ipFamilyPolicy: PreferDualStack'
	} | put world
	kedge wait --for "$(head_id)" --timeout 60s
}
teardown_file() { file_end; }
setup() { file_test; }

# svc NAME [FIELD]...: of pods a and b
svc() {
	cat <<-Y
		apiVersion: v1
		kind: Service
		metadata: {name: $1}
		spec:
		  selector: {set: ab}
		  ports: [{name: http, port: 80, targetPort: http}, {name: dns, port: 53, protocol: UDP, targetPort: 5300}]
	Y
	shift
	[ $# = 0 ] || printf '  %s\n' "$@"
	echo ---
}
spec() { field svc "$1" ".spec | [.clusterIP, (.clusterIPs | join(\" \")), (.ipFamilies | join(\" \")), .ipFamilyPolicy] | join(\"|\")"; }
addr() { field svc "$1" ".spec.clusterIPs[] | select(contains(\":\") == ${2:-true})"; }
# ask ADDRESS PORT: from the host; asks POD ADDRESS PORT: from there
ask() { nc -w 2 "$1" "$2" </dev/null; }
asks() { timeout 20 kedge exec "$1" -- nc -w 2 "$2" "$3" </dev/null; }
# meet N CMD...: who answered, of N times
meet() {
	local n=$1
	shift
	for _ in $(seq "$n"); do "$@" || true; done | cut -d' ' -f1 | sort -u | xargs
}
names() { dig +short +time=2 +tries=2 "@10.43.0.10" "$@" | sort | xargs; }

@test "a pod has an address of each family, and the host has" {
	v4=$(field pod a .status.podIP)
	v6=$(field pod a '.status.podIPs[1].ip')
	[ "$(field pod a '.status.podIPs | length')" = 2 ]
	[ "$(field pod a '.status.podIPs[0].ip')" = "$v4" ]
	[ "$v6" = "$(printf 'fd42::%x:%x' $((10 << 8 | 42)) "$(awk -F. '{print $3 * 256 + $4}' <<<"$v4")")" ]
	run in_ a ip -6 addr show dev eth0
	has "inet6 $v6/128 scope global"
	run in_ a cat /etc/hosts
	has "$v4	a"
	has "$v6	a"
	[ "$(field node "$(kedge get nodes -o json | jq -r '.items[0].metadata.name')" '[.spec.podCIDR, (.spec.podCIDRs | join(","))] | join(" ")')" = "10.42.0.0/16 10.42.0.0/16,fd42::/64" ]
	[[ $(kedge get nodes -o json | jq -r '[.items[0].status.addresses[] | select(.type == "InternalIP").address] | join(" ")') == *.*" fd42::a2a:1" ]]
	[[ $(field pod a '.status.hostIPs | map(.ip) | join(" ")') == *.*" fd42::a2a:1" ]]
	[ "$(asks cli "$v6" 8001)" = "a $(field pod cli '.status.podIPs[1].ip') 8001" ]
}

@test "families, policy and addresses are given out as Kubernetes does" {
	matches_() { [[ $(spec "$1") == $2 ]] || { echo "$1: $(spec "$1")"; return 1; }; }
	matches_ six "fd43::*|fd43::*|IPv6|SingleStack"
	matches_ four "10.43.*|10.43.*|IPv4|SingleStack"
	matches_ both "10.43.*|10.43.* fd43::*|IPv4 IPv6|RequireDualStack"
	matches_ prefer "fd43::*|fd43::* 10.43.*|IPv6 IPv4|PreferDualStack"
	matches_ bare "None|None|IPv4 IPv6|PreferDualStack"
	slices() { kedge get endpointslices -o json | jq -r ".items[] | select(.metadata.labels[\"kubernetes.io/service-name\"] == \"$1\") | .addressType + \" \" + (.endpoints | length | tostring)" | sort | xargs; }
	[ "$(slices six)" = "IPv6 2" ]
	[ "$(slices four)" = "IPv4 2" ]
	[ "$(slices both)" = "IPv4 2 IPv6 2" ]
	[[ $(field endpoints six '.subsets[0].addresses[0].ip') == fd42::* ]]
	[[ $(field endpoints both '[.subsets[].addresses[].ip] | join(" ")') == 10.42.*" "10.42.* ]]
}

@test "a Service of IPv6 is reached from the host, from a pod and from its own pods" {
	for s in six both prefer; do
		[ "$(meet 20 ask "$(addr $s)" 80)" = "a b" ]
		[ "$(meet 12 asks cli "$(addr $s)" 80)" = "a b" ]
		[ "$(meet 12 asks a "$(addr $s)" 80)" = "a b" ]
	done
	[ "$(meet 20 ask "$(addr both false)" 80)" = "a b" ]
	[[ $(in_ cli talk ask "$(addr six)" 53) == [ab]" fd42::"*" 5300" ]]
}

@test "a node port answers at the host's addresses of both families" {
	port=$(field svc both '.spec.ports[0].nodePort')
	[ "$(meet 20 ask fd42::a2a:1 "$port")" = "a b" ]
	[ "$(meet 20 ask 10.42.0.1 "$port")" = "a b" ]
	run ask ::1 "$port"
	[ "$status" != 0 ]
}

@test "the example's Service and server are of both families once it says so" {
	image web:1 --env VERSION=v1
	cp -r "$ROOT/repo-example/web" "$W/clone/"
	sed -i 's/^spec:/spec:\n  ipFamilyPolicy: PreferDualStack/' "$W/clone/web/service.yaml"
	push_wait example 60s
	[[ $(curl -gsm 2 "http://[$(addr web)]/") == web-*" v1 ahoy" ]]
	[[ $(curl -sm 2 "http://$(addr web false)/") == web-*" v1 ahoy" ]]
	[[ $(curl -gsm 2 "http://[fd42::a2a:1]:30080/") == web-*" v1 ahoy" ]]
	rm -r "$W/clone/web"
	push "no example"$'\n\nKedge-Prune: yes'
	wait_for 10 "it goes" has_ready app=web 0
}

@test "names have AAAA, and addresses names" {
	[ "$(names six.default.svc.cluster.local AAAA)" = "$(addr six)" ]
	[ -z "$(names six.default.svc.cluster.local A)" ]
	[ "$(names both.default.svc.cluster.local AAAA)" = "$(addr both)" ]
	[ "$(names both.default.svc.cluster.local A)" = "$(addr both false)" ]
	[ "$(names bare.default.svc.cluster.local AAAA)" = "$(for p in a b; do field pod $p '.status.podIPs[1].ip'; done | sort | xargs)" ]
	[ "$(names -x "$(addr six)")" = "six.default.svc.cluster.local." ]
	[ "$(names fd42--a2a-5.default.pod.cluster.local AAAA)" = fd42::a2a:5 ]
	run dig +time=2 "@10.43.0.10" -x fd43::7777
	has NXDOMAIN
	[ "$(in_ cli nslookup -type=aaaa six.default.svc.cluster.local | grep -c "$(addr six)")" -ge 1 ]
}

@test "containers are told both addresses, and the first of a Service" {
	pod told box:1 '["sh", "-c", "env; exec talk wait"]' | sed 's/    command/    env: [{name: IPS, valueFrom: {fieldRef: {fieldPath: status.podIPs}}}, {name: HOSTS, valueFrom: {fieldRef: {fieldPath: status.hostIPs}}}]\n    command/' | put told
	up told
	run kedge logs told
	has "IPS=$(field pod told .status.podIP),$(field pod told '.status.podIPs[1].ip')"
	matches '^HOSTS=[0-9.]+,fd42::a2a:1$'
	has "SIX_SERVICE_HOST=$(addr six)"
	has "SIX_PORT_80_TCP=tcp://[$(addr six)]:80"
	has "BOTH_SERVICE_HOST=$(addr both false)"
}

@test "a Service gets its second family, gives it back, and keeps its first" {
	svc changing | put changing
	kedge wait --for "$(head_id)" --timeout 30s
	[[ $(spec changing) == "10.43."*"|IPv4|SingleStack" ]]
	first=$(addr changing false)
	svc changing 'ipFamilyPolicy: RequireDualStack' | put changing
	kedge wait --for "$(head_id)" --timeout 30s
	[[ $(spec changing) == "$first|$first fd43::"*"|IPv4 IPv6|RequireDualStack" ]]
	second=$(addr changing)
	wait_for 5 "it serves there" ask "$second" 80
	svc changing 'ipFamilyPolicy: SingleStack' | put changing
	kedge wait --for "$(head_id)" --timeout 30s
	[ "$(spec changing)" = "$first|$first|IPv4|SingleStack" ]
	not_served() { ! ask "$second" 80; }
	wait_for 5 "it serves there no more" not_served
	svc changing 'ipFamilies: [IPv6]' | put changing
	wait_for 10 "the commit is refused" sh -c 'kedge status | grep -q "may not change once set"'
	run kedge status
	has 'spec.ipFamilies[0]: Invalid value: ["IPv6"]: may not change once set'
	drop changing
	kedge wait --for "$(head_id)" --timeout 30s
}

@test "kubectl makes, widens and narrows one" {
	k create -f - <<-Y
		apiVersion: v1
		kind: Service
		metadata: {name: mine}
		spec: {selector: {set: ab}, ports: [{port: 80, targetPort: 8001}]}
	Y
	[[ $(spec mine) == 10.43.*"|IPv4|SingleStack" ]]
	k patch svc mine -p '{"spec": {"ipFamilyPolicy": "PreferDualStack"}}'
	[[ $(spec mine) == 10.43.*" fd43::"*"|IPv4 IPv6|PreferDualStack" ]]
	k patch svc mine -p '{"spec": {"ipFamilyPolicy": "SingleStack"}}'
	[[ $(spec mine) == 10.43.*"|IPv4|SingleStack" ]]
	refused 'expected an IPv6 value as indicated by `ipFamilies[0]`' k patch svc mine -p '{"spec": {"ipFamilies": ["IPv6"]}}'
	refused 'provided IP is not in the valid range. The range of valid IPs is fd43::/112' k create service clusterip far --clusterip fd99::1 --tcp 80
	k delete svc mine
}

@test "without a ready endpoint IPv6 refuses at once" {
	svc nobody 'ipFamilies: [IPv6]' | sed 's/set: ab/set: nobody/' | put nobody
	kedge wait --for "$(head_id)" --timeout 30s
	run curl -sm 5 "http://[$(addr nobody)]/"
	[ "$status" = 7 ] # refused; that nobody answers would be 28
	run asks cli "$(addr nobody)" 80
	[ "$status" != 0 ]
	has "refused" # by the first answer: netproxy_dual.bats counts
}

@test "status and trace say where nobody listens at an address of IPv6" {
	{
		pod deaf box:1 '["talk", "tcp", "8003"]' | sed "s/labels: {/labels: {set: deaf, /"
		svc deaf 'ipFamilyPolicy: RequireDualStack' | sed 's/set: ab/set: deaf/; s/targetPort: http/targetPort: 8003/'
	} | put deaf
	kedge wait --for "$(head_id)" --timeout 30s
	said() { kedge status | grep -A1 '^  service default/deaf$' | grep -qF 'port 80: in pod deaf nobody listens at port 8003 of IPv6'; }
	wait_for 10 "status says it" said
	[ "$(kedge status | grep -cE 'service default/(both|six|four)$')" = 0 ] # who listens at :: takes either
	wait_for 10 "IPv4 is served" sh -c "kedge trace cli '$(addr deaf false):80' | grep -q '^it is served'"
	refused_() { run kedge trace cli "[$(addr deaf)]:80" && [ "$status" = 1 ] && grep -q 'pod default/deaf' <<<"$output"; }
	wait_for 10 "IPv6 leads there" refused_
	has "it is refused"
	matches '^ +100\.0%  \[fd42::[0-9a-f:]+\]:8003  pod default/deaf.*  nobody listens there$'
	# what it says is what is
	[[ $(asks cli "$(addr deaf false)" 80) == "deaf "* ]]
	run asks cli "$(addr deaf)" 80
	has "refused"
	drop deaf
	kedge wait --for "$(head_id)" --timeout 30s
}

@test "an external address of IPv6 needs the operator's word, and leads to IPv6" {
	svc ext 'ipFamilyPolicy: RequireDualStack' 'externalIPs: ["2001:db8:9::7"]' | put ext
	kedge wait --for "$(head_id)" --timeout 30s
	leads() { [[ $(asks cli 2001:db8:9::7 80) == [ab]" "* ]]; }
	wait_for 5 "it leads to the pods" leads
	run kedge get svc ext
	has "2001:db8:9::7"
	svc thief 'ipFamilies: [IPv6]' 'externalIPs: ["2001:db8:8::7"]' | put thief
	refused_() { kedge status | grep -q 'spec.externalIPs: Forbidden: 2001:db8:8::7 is not among allow.externalIPs of kedge.yaml'; }
	wait_for 10 "another is refused" refused_
	drop thief
	drop ext
	kedge wait --for "$(head_id)" --timeout 30s
}

@test "policies hold for IPv6 as for IPv4, with blocks of their own" {
	policy() {
		{
			printf 'apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: p}\nspec:\n'
			sed 's/^/  /'
		} | put policy
		kedge wait --for "$(head_id)" --timeout 30s
	}
	shut() { ! asks "$@" >/dev/null 2>&1; }
	open_() { [[ $(asks "$@") == ?*" "* ]]; }
	six=$(field pod a '.status.podIPs[1].ip') four=$(field pod a .status.podIP)
	cli6=$(field pod cli '.status.podIPs[1].ip')
	policy <<<'podSelector: {matchLabels: {set: ab}}'
	wait_for 5 "nobody reaches it over IPv6" shut cli "$six" 8001
	shut cli "$four" 8001
	shut cli "$(addr six)" 80
	[ "$(ask "$six" 8001)" ] # the node does
	policy <<-Y
		podSelector: {matchLabels: {set: ab}}
		ingress: [{from: [{podSelector: {matchLabels: {app: cli}}}], ports: [{port: http}]}]
	Y
	wait_for 5 "the client does" open_ cli "$six" 8001
	open_ cli "$(addr six)" 80
	open_ cli "$four" 8001
	shut told "$six" 8001
	policy <<-Y
		podSelector: {matchLabels: {set: ab}}
		ingress: [{from: [{ipBlock: {cidr: "::/0", except: ["$cli6/128", "::1.2.3.4/128"]}}]}]
	Y
	wait_for 5 "all of IPv6 but one" open_ told "$six" 8001
	shut cli "$six" 8001
	shut told "$four" 8001
	policy <<-Y
		podSelector: {matchLabels: {app: cli}}
		policyTypes: [Egress]
		egress: [{to: [{ipBlock: {cidr: "fd42::/64"}}]}]
	Y
	wait_for 5 "egress over IPv6" open_ cli "$(addr six)" 80
	shut cli "$four" 8001
	drop policy
	kedge wait --for "$(head_id)" --timeout 30s
	wait_for 5 "as before" open_ cli "$four" 8001
}

@test "rules of IPv6 that somebody flushes, and the bridge's address, are back within five seconds" {
	serves() { [ "$(meet 8 ask "$(addr six)" 80)" ]; }
	rules_back() { [[ $(nat6) == *"$(addr six)"* ]]; }
	serves
	if maps; then nft flush table ip6 KDG-nat; else ipt6 -t nat -F; fi
	ipt6 -F
	KEDGE_TEST_PATIENCE=1 wait_for 5 "the rules are back" rules_back
	KEDGE_TEST_PATIENCE=1 wait_for 5 "it serves" serves
	ip -6 addr flush dev kedge0
	KEDGE_TEST_PATIENCE=1 wait_for 5 "and with an address" serves
	grep -q 'the bridge kedge0 was without its address or route' "$W/kedged.log"
	ip link set kedge0 down
	KEDGE_TEST_PATIENCE=1 wait_for 5 "and when the bridge was down" serves
	ip link del kedge0
	KEDGE_TEST_PATIENCE=1 wait_for 5 "and when it was gone" serves
	echo 0 >/proc/sys/net/ipv6/conf/all/forwarding
	forwards() { [ "$(cat /proc/sys/net/ipv6/conf/all/forwarding)" = 1 ]; }
	KEDGE_TEST_PATIENCE=1 wait_for 5 "and with forwarding" forwards
	grep -q 'somebody set /proc/sys/net/ipv6/conf/all/forwarding to 0; it is 1 again' "$W/kedged.log"
	grep -q "somebody removed kedge's chains of IPv6; writing them again" "$W/kedged.log"
}

@test "the rules of an IPv6 Service go with its last pod" {
	pod last box:1 '["talk", "tcp6", "8001"]' | sed 's/labels: {/labels: {set: last, /' >"$W/clone/last.yaml"
	svc last 'ipFamilies: [IPv6]' | sed 's/set: ab/set: last/; s/targetPort: http/targetPort: 8001/' >>"$W/clone/last.yaml"
	push last
	kedge wait --for "$(head_id)" --timeout 30s
	to=$(addr last)
	[ "$(ask "$to" 80 | cut -d' ' -f1)" = last ]
	[[ $(nat6) == *"$to"* ]]
	drop last
	gone() { ! kedge get pod last >/dev/null 2>&1; }
	wait_for 20 "the pod is gone" gone
	no_rules() { [[ $(nat6) != *"$to"* ]]; }
	wait_for 5 "and its rules are" no_rules
}

@test "kedge trace and describe know the way" {
	run kedge trace cli "six:80"
	echo "$output"
	has "[$(field pod a '.status.podIPs[1].ip')]:8001  pod default/a"
	run kedge trace host "[$(addr both)]:80"
	has "it is served"
	run kedge describe svc both
	matches "^IP Families: +IPv4,IPv6$"
	matches "^IPs: +$(addr both false),$(addr both)$"
	has "[$(field pod a '.status.podIPs[1].ip')]:8001"
}

@test "killed, it finds all again; down, nothing of IPv6 is left" {
	to=$(addr six)
	kill -9 "$KEDGED"
	wait_for 5 "it ended" not_running "$KEDGED"
	[ "$(ask "$to" 80)" ]
	kedge_start --source "deploy=$W/deploy.git" --listen "$API"
	echo "$KEDGED" >"$W/pid"
	answers() { [ "$(meet 8 ask "$(addr six)" 80)" ]; }
	wait_for 20 "it serves" answers
	kedge down --yes
	wait_for 20 "it ended" not_running "$KEDGED"
	run "/usr/sbin/ip6tables-$(variant)-save"
	hasnt KDG
	run nft list tables
	hasnt KDG
	run ip link show kedge0
	[ "$status" != 0 ]
	[ "$(cat /proc/sys/net/ipv6/conf/all/forwarding)" = 0 ]
}
