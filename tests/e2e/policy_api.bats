#!/usr/bin/env bats
# A NetworkPolicy that is made over the API with the real kubectl, and what it does to packets.
load kit.bash

setup_file() {
	file_begin --listen "$API"
	KUBECTLS=$(kubectls)
	export KUBECTLS
	{
		pod srv box:1 '["talk", "tcp", "8080"]'
		pod cli box:1
	} | put world
	kedge wait --for "$(head_id)" --timeout 60s
	export SRV
	SRV=$(field pod srv .status.podIP)
}
setup() { file_test && kubectl_needs 27; }
teardown_file() { file_end; }

opens() { [[ $(timeout 20 kedge exec cli -- nc -w 3 "$SRV" 8080 </dev/null) == ?*" "* ]]; }
shut() { ! opens; }
netpol() { # netpol: admits to srv, on 8080, those that are labelled so
	cat <<-Y
		apiVersion: networking.k8s.io/v1
		kind: NetworkPolicy
		metadata: {name: friends}
		spec:
		  podSelector: {matchLabels: {app: srv}}
		  policyTypes: [Ingress, Egress]
		  ingress:
		  - from:
		    - podSelector: {matchLabels: {friend: "yes"}}
		    ports: [{port: 8080, endPort: 8081}]
		  egress:
		  - to:
		    - ipBlock: {cidr: 10.0.0.0/8, except: [10.1.0.0/16]}
	Y
}

@test "the group is found, and explained" {
	t() {
		k get --raw /apis | jq -e '.groups[] | select(.name == "networking.k8s.io")' >/dev/null || return 1
		run k api-resources --api-group=networking.k8s.io
		matches '^networkpolicies +netpol +networking.k8s.io/v1 +true +NetworkPolicy' || return 1
		run k explain netpol.spec.ingress.from
		matches '^ *ipBlock' || return 1
	}
	every t
	# every reference leads somewhere
	[ "$(k get --raw /openapi/v3/apis/networking.k8s.io/v1 | jq -r '(.components.schemas | keys) as $k | [.. | objects | ."$ref"? // empty | sub("#/components/schemas/"; "")] - $k | length')" = 0 ]
}

@test "it is made, shown, enforced, changed and deleted with kubectl" {
	t() {
		wait_for 10 "nobody is kept out" opens || return 1
		netpol | k apply -f - || return 1
		run k get netpol
		matches '^NAME +POD-SELECTOR +AGE' || return 1
		matches '^friends +app=srv' || return 1
		run k describe netpol friends
		matches 'PodSelector: +app=srv' || return 1
		has 'PodSelector: friend=yes' || return 1
		has 'CIDR: 10.0.0.0/8' || return 1
		wait_for 10 "the client is kept out" shut || return 1
		k label pod cli friend=yes || return 1
		wait_for 10 "a friend is let in" opens || return 1
		k label pod cli friend- || return 1
		wait_for 10 "who is no friend any more is kept out" shut || return 1
		netpol | sed 's/friend: "yes"/app: cli/' | k apply -f - || return 1
		wait_for 10 "the changed policy lets it in" opens || return 1
		netpol | k replace -f - || return 1
		wait_for 10 "the replaced policy keeps it out" shut || return 1
		k delete netpol friends || return 1
		wait_for 10 "without the policy it is let in" opens || return 1
	}
	every t
}

@test "one that is wrong is refused in Kubernetes' words" {
	t() {
		run k apply -f - <<<"$(netpol | sed 's/endPort: 8081/endPort: 80/')"
		[ "$status" != 0 ] && has 'spec.ingress[0].ports[0].endPort' && has 'Invalid value: 80' || return 1
		run k get netpol friends
		[ "$status" != 0 ] && has NotFound
	}
	every t
}
