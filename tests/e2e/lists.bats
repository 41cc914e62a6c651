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

@test "the pages of a list are all of the moment of the first" {
	for i in 1 2 3 4 5 6; do k create cm "p$i" --from-literal=v=old; k label cm "p$i" page=yes; done
	local at="$CMS?labelSelector=page&limit=2"
	get "$at"
	[ "$(names)" = "p1 p2" ]
	local of_first
	of_first=$(of .metadata.resourceVersion)
	k delete cm p3
	k create cm p35
	k label cm p35 page=yes
	k patch cm p4 -p '{"data":{"v":"new"}}'
	get "$at&continue=$(of .metadata.continue)"
	[ "$(names) $(of '.items[1].data.v')" = "p3 p4 old" ]
	[ "$(of .metadata.resourceVersion)" = "$of_first" ]
	local token
	token=$(of .metadata.continue)
	get "$at&continue=$token"
	[ "$(names) $(of .metadata.continue)" = "p5 p6 null" ]
	get "$at&continue=$token&resourceVersion=$of_first"
	answered 400 "specifying resource version is not allowed when using continue"
	get "$at&continue=nonsense"
	answered 400 "continue key is not valid"
	[ "$(k get cm -l page --chunk-size=2 -o name | xargs)" = "configmap/p1 configmap/p2 configmap/p35 configmap/p4 configmap/p5 configmap/p6" ]
	# of all that there are, it says how many are left
	get "$CMS?limit=1"
	[ "$(of .metadata.remainingItemCount)" -ge 6 ]
	# what is too old to be had: the rest is still to be had, as it is now
	get "$at"
	token=$(of .metadata.continue)
	kedge_stop
	kedge_start --source "deploy=$W/deploy.git" --listen "$API"
	echo "$KEDGED" >"$W/pid"
	get "$at&continue=$token"
	answered 410 '"reason":"Expired"'
	has "The provided continue parameter is too old to display a consistent list result."
	get "$at&continue=$(of .metadata.continue)"
	[ "$(names)" = "p35 p4" ]
	get "$at&continue=$(of .metadata.continue)"
	[ "$(names)" = "p5 p6" ]
	k delete cm -l page
}

@test "a list is of the version that is asked for, or it is said why not" {
	local was is
	k create cm v --from-literal=v=1
	was=$(version)
	k patch cm v -p '{"data":{"v":"2"}}'
	v() { of '[.items[] | select(.metadata.name == "v").data.v] | join(" ")'; }
	get "$CMS?resourceVersion=$was&resourceVersionMatch=Exact"
	[ "$(v) $(of .metadata.resourceVersion)" = "1 $was" ]
	get "$CMS?resourceVersion=$was&limit=500"
	[ "$(v)" = 1 ]
	get "$CMS?resourceVersion=$was&resourceVersionMatch=NotOlderThan"
	[ "$(v)" = 2 ]
	get "$CMS?resourceVersion=$was"
	[ "$(v)" = 2 ]
	get "$CMS?resourceVersion=0"
	[ "$(v)" = 2 ]
	get "$CMS/v?resourceVersion=0"
	[ "$(of .data.v)" = 2 ]
	get "$CMS?resourceVersion=1&resourceVersionMatch=Exact"
	answered 410 "The resourceVersion for the provided list is too old."
	is=999999999999
	for path in "$CMS?resourceVersion=$is" "$CMS?resourceVersion=$is&resourceVersionMatch=Exact" "$CMS/v?resourceVersion=$is"; do
		get "$path"
		answered 504 "Timeout: Too large resource version: $is, current: "
		[ "$(of '"\(.reason) \(.details.causes[0].reason) \(.details.retryAfterSeconds)"')" = "Timeout ResourceVersionTooLarge 1" ]
	done
	get "$CMS?resourceVersion=new"
	answered 400 "invalid resource version"
	get "$CMS?resourceVersionMatch=Exact"
	answered 422 'ListOptions.meta.k8s.io \"\" is invalid: resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden unless resourceVersion is provided'
	[ "$(of '"\(.details.kind) \(.details.causes[0].field)"')" = "ListOptions resourceVersionMatch" ]
	get "$CMS?resourceVersion=$was&resourceVersionMatch=x"
	answered 422 'Unsupported value: \"x\"'
	get "$CMS?resourceVersion=0&resourceVersionMatch=Exact"
	answered 422 'is forbidden for resourceVersion \"0\"'
	get "$CMS?sendInitialEvents=true"
	answered 422 'sendInitialEvents is forbidden for list'
	k delete cm v
}

@test "a large list comes compressed where that is wanted, and a small one does not" {
	head -c 100000 /dev/urandom | base64 -w 0 >"$W/large"
	for i in 1 2 3; do k create cm "large$i" --from-file="$W/large" && k label cm "large$i" size=large; done
	local at="http://$API$CMS?labelSelector=size" plain packed
	plain=$(curl -sSm 10 "$at" | md5sum)
	packed=$(curl -sSm 10 -D "$W/head" -H 'Accept-Encoding: deflate, gzip' "$at" | gzip -dc | md5sum)
	[ "$plain" = "$packed" ]
	grep -qi '^content-encoding: gzip' "$W/head"
	grep -qi '^vary: accept-encoding' "$W/head"
	run curl -sSm 10 -o /dev/null -D - -H 'Accept-Encoding: gzip' "http://$API$CMS?labelSelector=none"
	hasnt gzip
	run curl -sSm 10 -o /dev/null -D - -H 'Accept-Encoding: deflate, gzip;q=0' "$at"
	hasnt gzip
	[ "$(k get cm -l size -o name | wc -l)" = 3 ]
	# who goes away in the middle takes nobody along
	for _ in 1 2 3; do curl -sSm 10 -H 'Accept-Encoding: gzip' "$at" 2>/dev/null | head -c 1000 >/dev/null; done
	[ "$(curl -sSm 10 "$at" | md5sum)" = "$plain" ]
	k delete cm -l size
}
