#!/usr/bin/env bats
# The README's first command, as it stands there.

@test "the demo deploys, updates without a lost request, refuses, reverts and cleans up" {
	cd "$BATS_TEST_DIRNAME/../.."
	ls -d /tmp/kedge-demo.* >"$BATS_FILE_TMPDIR/before" 2>/dev/null || true
	run env B="${B:-$PWD/build}" KEEP= timeout 120 repo-example/demo.sh
	echo "$output"
	[ "$status" -eq 0 ]
	[[ ${lines[-1]} =~ ^demo:\ ok,\ [0-9]+\ requests,\ 0\ failed$ ]]
}

@test "the demo leaves no process, link, rule or folder" {
	[ "$(ls -d /tmp/kedge-demo.* 2>/dev/null)" = "$(cat "$BATS_FILE_TMPDIR/before")" ]
	! ip link show kedge0 2>/dev/null || false
	! iptables-save 2>/dev/null | grep -q KDG- || false
	[ -z "$(pgrep -x kedge-init)" ]
}
