#!/usr/bin/env bats
# lists.bats -- what a list picks, of which moment it is, and in which form it comes.
load kit.bash

setup_file() {
	CONFIG='node: {name: n1}' file_begin --listen "$API"
	KUBECTLS=$(kubectls)
	K=$(tail -n 1 <<<"$KUBECTLS")
	export KUBECTLS K
}
setup() { file_test && kubectl_needs 27; }
teardown_file() { file_end; }

CMS=/api/v1/namespaces/default/configmaps
get() { # get PATH [CURL'S ARGUMENTS]: the answer's code in $code, the answer in $output
	output=$(curl -sSm 10 -w '\n%{http_code}' "${@:2}" "http://$API$1")
	code=${output##*$'\n'}
	output=${output%$'\n'*}
}
of() { jq -r "$1" <<<"$output"; } # of JQ: in the last answer
answered() { # answered CODE [TEXT]
	[ "$code" = "$1" ] || { echo "$code, not $1: $output"; return 1; }
	[ -z "${2:-}" ] || has "$2"
}
names() { of '[.items[].metadata.name] | join(" ")'; }
version() { curl -sSm 10 "http://$API$CMS" | jq -r .metadata.resourceVersion; }

@test "nodes and pods are picked by what is false, too" {
	[ "$(k get nodes -o name --field-selector spec.unschedulable=false)" = node/n1 ]
	[ -z "$(k get nodes -o name --field-selector spec.unschedulable!=false)" ]
	k cordon n1
	[ -z "$(k get nodes -o name --field-selector spec.unschedulable=false)" ]
	[ "$(k get nodes -o name --field-selector spec.unschedulable=true)" = node/n1 ]
	k uncordon n1
	pod plain box:1 '["/bin/talk", "wait"]' | k create -f -
	[ "$(k get pods -o name --field-selector spec.hostNetwork=false)" = pod/plain ]
	[ -z "$(k get pods -o name --field-selector spec.hostNetwork=true)" ]
	[ -z "$(k get pods -o name --field-selector status.podIPs=10.42.0.2)" ]
	k delete pod plain
	refused 'field label not supported: spec.none' k get pods --field-selector spec.none=1
}

@test "labels are compared as numbers" {
	for n in 5 10 x; do k create cm "n$n"; k label cm "n$n" "n=$n"; done
	[ "$(k get cm -o name -l 'n>5' | xargs)" = configmap/n10 ]
	[ "$(k get cm -o name -l 'n<10,n>1' | xargs)" = configmap/n5 ]
	[ -z "$(k get cm -o name -l 'n>10')" ]
	refused "the value must be an integer" k get cm -l 'n>x'
	k delete cm -l n
}
