#!/usr/bin/env bats
# writes.bats -- writing as client libraries do it, request by request: what kubectl never sends.
load kit.bash

setup_file() {
	CONFIG='node: {name: n1}' file_begin --listen "$API"
}
setup() { file_test && kubectl_needs 27; }
teardown_file() { file_end; }

# send METHOD PATH BODY [TYPE]: the answer's code in $code, the answer in $output
send() {
	output=$(curl -sSm 10 -X "$1" -H "Content-Type: ${4:-application/json}" -o - -w '\n%{http_code}' --data-binary "$3" "http://$API$2")
	code=${output##*$'\n'}
	output=${output%$'\n'*}
}
of() { jq -r "$1" <<<"$output"; } # of JQ: in the last answer
answered() { # answered CODE [TEXT]
	[ "$code" = "$1" ] || { echo "$code, not $1: $output"; return 1; }
	[ -z "${2:-}" ] || has "$2"
}
APPLY=application/apply-patch+yaml MERGE=application/merge-patch+json
STRATEGIC=application/strategic-merge-patch+json JSON_PATCH=application/json-patch+json
NS=/api/v1/namespaces/default

@test "a Node is made by nothing that is sent, and one that is there can be applied to" {
	send PATCH '/api/v1/nodes/ghost?fieldManager=me' '{"apiVersion":"v1","kind":"Node","metadata":{"name":"ghost"}}' $APPLY
	answered 405 "nodes are kedge's own"
	send POST /api/v1/nodes '{"apiVersion":"v1","kind":"Node","metadata":{"name":"ghost"}}'
	answered 405
	send PUT /api/v1/nodes/ghost '{"apiVersion":"v1","kind":"Node","metadata":{"name":"ghost"}}'
	answered 404
	[ "$(k get nodes -o name)" = node/n1 ]
	send PATCH '/api/v1/nodes/n1?fieldManager=me' '{"apiVersion":"v1","kind":"Node","metadata":{"name":"n1","labels":{"disk":"fast"}}}' $APPLY
	answered 200
	[ "$(k get nodes -l disk=fast -o name)" = node/n1 ]
}
