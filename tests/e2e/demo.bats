#!/usr/bin/env bats
# The README's first command, as it stands there.

@test "the demo deploys, updates without a lost request, refuses, reverts and cleans up" {
	cd "$BATS_TEST_DIRNAME/../.."
	ls -d /tmp/kedge-demo.* >"$BATS_FILE_TMPDIR/before" 2>/dev/null || true
	# in a terminal, as who types it is: it must not wait for an answer
	run env B="${B:-$PWD/build}" KEEP= timeout -k 5 120 \
		script -qefc repo-example/demo.sh /dev/null </dev/null
	output=${output//$'\r'/}
	mapfile -t lines <<<"$output"
	echo "$output"
	[ "$status" -eq 0 ]
	# each line that it shows can be typed: a shell that has these words passes them on as they were
	for v in 1 2; do
		line=$(grep -F -- "web:$v --entrypoint" <<<"$output")
		eval "typed=(${line#\$ })"
		[ "${typed[6]}" = '["/web"]' ]
	done
	[[ ${lines[-1]} =~ ^demo:\ ok,\ [0-9]+\ requests,\ 0\ failed$ ]]
}

@test "the demo leaves no process, link, rule or folder" {
	[ "$(ls -d /tmp/kedge-demo.* 2>/dev/null)" = "$(cat "$BATS_FILE_TMPDIR/before")" ]
	! ip link show kedge0 2>/dev/null || false
	! iptables-save 2>/dev/null | grep -q KDG- || false
	[ -z "$(pgrep -x kedge-init)" ]
}
