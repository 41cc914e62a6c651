#!/usr/bin/env bats
# Network policies with real packets: who reaches whom, through Services and without.  Run
# as policy_legacy.bats (a link to this file) everything is repeated with the other iptables,
# as policy_nftables.bats with nftables' proxy.
load kit.bash

variant() {
	case ${BATS_TEST_FILENAME##*/} in *legacy*) echo legacy ;; *) echo nft ;; esac
}
ipt() { "/usr/sbin/iptables-$(variant)" "$@"; }
rules() { "/usr/sbin/iptables-$(variant)-save" -t filter; }

# room NAME: a namespace with a client in it
room() {
	printf 'apiVersion: v1\nkind: Namespace\nmetadata: {name: %s, labels: {room: %s}}\n---\n' "$1" "$1"
	pod cli box:1 | sed "s/{name: cli,/{name: cli, namespace: $1,/"
}

setup_file() {
	load kit.bash
	mkdir "$BATS_FILE_TMPDIR/ipt"
	ln -s "/usr/sbin/iptables-$(variant)-restore" "$BATS_FILE_TMPDIR/ipt/iptables-restore"
	export PATH=$BATS_FILE_TMPDIR/ipt:$PATH
	file_begin
	{
		MORE='ports: [{name: http, containerPort: 8080}, {name: dns, containerPort: 5300, protocol: UDP}]' \
			pod srv box:1 '["sh", "-c", "talk udp 5300 & exec talk tcp 8080 8081 8082 8083"]'
		MORE='ports: [{name: http, containerPort: 8081}]' pod two box:1 '["talk", "tcp", "8080", "8081"]'
		pod cli box:1
		room near
		room far
		cat <<-Y
			apiVersion: v1
			kind: Service
			metadata: {name: srv}
			spec:
			  type: NodePort
			  selector: {app: srv}
			  ports: [{name: http, port: 80, targetPort: http, nodePort: 30080}]
		Y
	} | put world
	kedge wait --for "$(head_id)" --timeout 60s
	export SRV TWO VIP
	SRV=$(field pod srv .status.podIP)
	TWO=$(field pod two .status.podIP)
	VIP=$(field svc srv .spec.clusterIP)
}
teardown_file() {
	load kit.bash
	file_end
}
setup() { file_test; }

# asks NS/POD HOST PORT: what the one there says
asks() { timeout 20 kedge exec -n "${1%/*}" "${1#*/}" -- nc -w 3 "$2" "$3" </dev/null; }
opens() { [[ $(asks "$@") == ?*" "* ]] || { echo "$* is shut"; return 1; }; }
shut() { ! asks "$@" >/dev/null 2>&1 || { echo "$* is open"; return 1; }; }
asks_udp() { timeout 20 kedge exec -n "${1%/*}" "${1#*/}" -- talk ask "$2" "$3"; }
fetches() { [ "$(curl -sm 3 "http://$1/" --http0.9)" ]; }

# inside ADDRESS CMD...: in the network of the pod that has it, also when nobody answers exec
inside() {
	local pid address=$1
	shift
	for pid in $(pgrep -x talk); do
		nsenter -t "$pid" -n ip -o addr show eth0 2>/dev/null | grep -q " $address/" || continue
		nsenter -t "$pid" -n "$@"
		return
	done
	return 99
}

# policy NAME: the rest of its spec on standard input, pushed and in force
policy() {
	{
		printf 'apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: %s}\nspec:\n' "$1"
		sed 's/^/  /'
	} >"$W/clone/policy-$1.yaml"
	settled "$1"
}
settled() { # what was pushed is in the rules
	push "$1"$'\n\nKedge-Prune: yes'
	kedge wait --for "$(head_id)" --timeout 30s
	wait_for 10 "the rules are in force" rules_settled
}
# No rules are committed any more.  What follows a push is one pass after the other without a pause,
# so that a pause is the sign; on a machine so busy that it comes early, shut's first try may fail.
rules_settled() { local n; n=$(grep -c ' commit rules all' "$W/kedged.log"); sleep 0.3; [ "$n" = "$(grep -c ' commit rules all' "$W/kedged.log")" ]; }
clear_() { rm -f "$W"/clone/policy-*.yaml && settled "no policies"; }
deny() { policy deny <<<'podSelector: {}'; }

@test "without a policy everybody reaches everybody" {
	for from in default/cli near/cli far/cli; do
		opens $from "$SRV" 8080
		opens $from "$VIP" 80
	done
	run rules
	hasnt KDG-WI-
	hasnt KDG-GI
}

@test "an empty podSelector denies what comes in, to all pods of its namespace and to no other" {
	deny
	for from in default/cli near/cli; do
		shut $from "$SRV" 8080
		shut $from "$VIP" 80
	done
	shut default/srv "$TWO" 8080
	shut near/cli 10.42.0.1 30080
	run kedge get netpol
	matches '^NAME +POD-SELECTOR +AGE'
	matches '^deny +<none>'
}

@test "the node reaches its pods, and a pod reaches itself, whatever policies say" {
	[[ $(nc -w 3 "$SRV" 8080 </dev/null) == "srv "* ]]
	[[ $(nc -w 3 "$VIP" 80 </dev/null) == "srv "* ]]
	opens default/srv "$SRV" 8080
	opens default/srv "$VIP" 80
	opens default/srv 127.0.0.1 8080
	up srv
}

@test "a namespaceSelector admits that namespace's pods, to a pod and through a Service" {
	policy near <<-Y
		podSelector: {matchLabels: {app: srv}}
		ingress: [{from: [{namespaceSelector: {matchLabels: {room: near}}}]}]
	Y
	opens near/cli "$SRV" 8080
	opens near/cli "$VIP" 80
	shut far/cli "$SRV" 8080
	shut far/cli "$VIP" 80
	shut default/cli "$SRV" 8080
	shut near/cli "$TWO" 8080
	[[ $(asks_udp near/cli "$SRV" 5300) == srv* ]]
	run asks_udp far/cli "$SRV" 5300
	[ "$status" != 0 ]
}

@test "labels of a namespace and of a pod count at once" {
	sed -i 's/name: far, labels: {room: far}/name: far, labels: {room: near}/' "$W/clone/world.yaml"
	settled "far is near"
	opens far/cli "$SRV" 8080
	sed -i 's/name: far, labels: {room: near}/name: far, labels: {room: far}/' "$W/clone/world.yaml"
	settled "far is far"
	shut far/cli "$SRV" 8080
	policy near <<-Y
		podSelector: {matchLabels: {app: srv}}
		ingress: [{from: [{podSelector: {matchLabels: {role: guest}}}]}]
	Y
	shut default/cli "$SRV" 8080
	sed -i 's/{name: cli, labels: {app: cli}/{name: cli, labels: {app: cli, role: guest}/' "$W/clone/world.yaml"
	settled "cli is a guest"
	opens default/cli "$SRV" 8080
	shut near/cli "$SRV" 8080
	sed -i 's/, role: guest}/}/' "$W/clone/world.yaml"
	settled "cli is none"
	shut default/cli "$SRV" 8080
}

@test "ports by number, by name and by range" {
	policy near <<-Y
		podSelector: {}
		ingress: [{ports: [{port: http}, {port: 8082, endPort: 8083}, {port: dns, protocol: UDP}]}]
	Y
	opens default/cli "$SRV" 8080
	shut default/cli "$SRV" 8081
	opens default/cli "$SRV" 8082
	opens default/cli "$SRV" 8083
	opens default/cli "$VIP" 80
	# the same name is another number there
	shut default/cli "$TWO" 8080
	opens default/cli "$TWO" 8081
	[[ $(asks_udp default/cli "$SRV" 5300) == srv* ]]
}

@test "ipBlock with except, for pods and for a client from outside through a NodePort" {
	unshare --net sleep 1000 3>&- >/dev/null 2>&1 &
	outside=$!
	wait_for 5 "a namespace of its own" sh -c "[ \"\$(readlink /proc/$outside/ns/net)\" != \"\$(readlink /proc/self/ns/net)\" ]"
	ip link add up0 type veth peer name up1
	ip link set up1 netns "$outside"
	ip addr add 192.0.2.1/24 dev up0
	ip link set up0 up
	nsenter -t "$outside" -n sh -c 'ip addr add 192.0.2.9/24 dev up1; ip addr add 192.0.2.77/24 dev up1; ip link set up1 up'
	policy near <<-Y
		podSelector: {}
		ingress: [{from: [{ipBlock: {cidr: 192.0.2.0/24, except: [192.0.2.64/26]}}], ports: [{port: 8080}]}]
	Y
	from() { nsenter -t "$outside" -n curl -s --http0.9 -m 3 --interface "$1" http://192.0.2.1:30080/; }
	[[ $(from 192.0.2.9) == "srv "* ]]
	run from 192.0.2.77
	[ "$status" != 0 ]
	shut default/cli "$SRV" 8080
	policy near <<-Y
		podSelector: {}
		ingress: [{from: [{ipBlock: {cidr: 10.42.0.0/16, except: [$(field pod cli .status.podIP)/32]}}]}]
	Y
	run from 192.0.2.9
	[ "$status" != 0 ]
	shut default/cli "$SRV" 8080
	opens near/cli "$SRV" 8080
	ip link del up0
	kill "$outside"
}

@test "egress: to what it admits, through a Service too, and to the node" {
	clear_
	policy out <<-Y
		podSelector: {matchLabels: {app: cli}}
		policyTypes: [Egress]
		egress:
		- {to: [{podSelector: {matchLabels: {app: srv}}}], ports: [{port: 8080}]}
	Y
	opens default/cli "$SRV" 8080
	opens default/cli "$VIP" 80
	shut default/cli "$SRV" 8081
	shut default/cli "$TWO" 8080
	opens near/cli "$TWO" 8080 # only its own namespace's pods are isolated
	opens default/srv "$TWO" 8080
	# by name: each peer's own number
	policy out <<-Y
		podSelector: {matchLabels: {app: cli}}
		policyTypes: [Egress]
		egress: [{to: [{podSelector: {}}], ports: [{port: http}]}]
	Y
	opens default/cli "$SRV" 8080
	shut default/cli "$SRV" 8081
	opens default/cli "$TWO" 8081
	shut default/cli "$TWO" 8080
	"$B/images/box/bin/talk" tcp 9090 >/dev/null 2>&1 3>&- &
	listener=$!
	opens default/cli 10.42.0.1 9090
	kill $listener
}

@test "both ends have to agree" {
	policy in <<-Y
		podSelector: {matchLabels: {app: two}}
		ingress: [{from: [{podSelector: {matchLabels: {app: srv}}}]}]
	Y
	opens default/srv "$TWO" 8081
	shut default/cli "$TWO" 8081 # its egress is admitted, by name
	clear_
	opens default/cli "$TWO" 8081
}

@test "a connection survives changes of policies that come later" {
	mkfifo "$W/talk"
	kedge exec cli -- sh -c 'sleep 60 | nc -l -p 7000' >"$W/heard" 2>/dev/null 3>&- &
	listener=$!
	CLI=$(field pod cli .status.podIP)
	listens() { kedge exec cli -- grep -qE ':1B58 [0-9A-F:]+ 0A ' /proc/net/tcp /proc/net/tcp6; } # 7000
	wait_for 10 "somebody listens" listens
	kedge exec -i two -- nc "$CLI" 7000 <"$W/talk" >/dev/null 2>&1 3>&- &
	exec 9>"$W/talk"
	echo before >&9
	wait_for 5 "it is heard" grep -q before "$W/heard"
	deny
	shut default/two "$CLI" 7001
	echo after >&9
	wait_for 5 "it is still heard" grep -q after "$W/heard"
	exec 9>&-
	kill $listener 2>/dev/null || true
}

@test "after kill -9 of kedged it is enforced still, and when it comes back as well" {
	deny
	shut near/cli "$SRV" 8080
	client=$(kedge get pod cli -n near -o json | jq -r .status.podIP)
	pid=$(pgrep -f "^talk tcp 8080 8081 8082" | head -n 1)
	direct() { inside "$client" timeout 5 "$B/images/box/bin/busybox" nc -w 2 "$SRV" 8080 </dev/null; }
	kill -9 "$KEDGED"
	wait_for 10 "kedged ends" not_running "$KEDGED"
	run direct
	[ "$status" = 1 ]
	hasnt srv
	(while :; do run direct; [ "$status" = 1 ] || echo "leak: $output"; sleep 0.05; done >"$W/leaks") 3>&- &
	watcher=$!
	kedge_start --source "deploy=$W/deploy.git"
	echo "$KEDGED" >"$W/pid"
	wait_for 10 "the rules are in force" rules_settled
	sleep 1
	kill $watcher
	[ ! -s "$W/leaks" ]
	kill -0 "$pid"
	shut near/cli "$SRV" 8080
}

@test "rules that somebody flushes come back" {
	deny
	ipt -F FORWARD
	ipt -F KDG-W
	isolates() { ipt -S KDG-W | grep -q KDG-WI; }
	wait_for 10 "they are back" isolates
	wait_for 5 "and enforced" shut near/cli "$SRV" 8080
}

@test "a new pod is isolated before its first process runs" {
	policy deny <<<'{podSelector: {}, policyTypes: [Ingress, Egress]}'
	pod eager box:1 '["sh", "-c", "nc -w 1 '"$TWO"' 8081 </dev/null >/tmp/got 2>&1; exec talk tcp 8080"]' | put eager
	up eager
	run in_ eager cat /tmp/got
	hasnt two
	# the rules of its address came before it
	awk '/isolate pod default\/eager/ { i = NR } /commit rules/ && i && !c { c = NR } / start pod default\/eager/ { s = NR } END { exit !(i && c > i && s > c) }' "$W/kedged.log"
	ip=$(printf %02x $(field pod eager .status.podIP | tr . ' '))
	named() { ipt -S | grep -q "KDG-GE$ip"; }
	unnamed() { ! named; }
	named
	drop eager
	wait_for 10 "its rules have gone" unnamed
}

@test "a pod cannot take another's address, nor pass the rules beside the host" {
	policy deny <<-Y
		podSelector: {matchLabels: {app: srv}}
		ingress: [{from: [{podSelector: {matchLabels: {app: two}}}]}]
	Y
	opens default/two "$SRV" 8080
	CLI=$(field pod cli .status.podIP)
	mac() { printf '0a:4b:%02x:%02x:%02x:%02x' ${1//./ }; }
	in_net() { inside "$CLI" "$@"; }
	in_net true
	for call in 0 1; do # bridged packets filtered or not
		if [ -e /proc/sys/net/bridge/bridge-nf-call-iptables ]; then
			echo $call >/proc/sys/net/bridge/bridge-nf-call-iptables
		fi
		# the neighbour's MAC instead of the host's
		in_net ip route add "$SRV/32" dev eth0
		in_net ip neigh replace "$SRV" lladdr "$(mac "$SRV")" dev eth0
		run in_net timeout 5 "$B/images/box/bin/busybox" nc -w 2 "$SRV" 8080
		[ "$status" != 0 ]
		hasnt srv
		in_net ip route del "$SRV/32" dev eth0
		# another's address
		in_net ip addr add "$TWO/32" dev eth0
		run in_net timeout 5 "$B/images/box/bin/busybox" nc -w 2 -s "$TWO" "$SRV" 8080
		[ "$status" != 0 ]
		hasnt srv
		in_net ip addr del "$TWO/32" dev eth0
		opens default/two "$SRV" 8080
		opens default/two "$VIP" 80
	done
}

@test "without policies no rule of theirs is left" {
	clear_
	opens far/cli "$SRV" 8080
	run rules
	hasnt KDG-G
	hasnt KDG-H
	hasnt KDG-A
	hasnt KDG-B
	[ -z "$(ipt -S KDG-W | grep '^-A')" ]
}
