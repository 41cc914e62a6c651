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

nothing_left() {
	[ "$(ls -d /tmp/kedge-demo.* 2>/dev/null)" = "$(cat "$BATS_FILE_TMPDIR/before")" ] || return 1
	! ip link show kedge0 2>/dev/null || return 1
	! iptables-save 2>/dev/null | grep -q KDG- || return 1
	[ -z "$(pgrep -x kedge-init)" ] && [ -z "$(pgrep -x kedged)" ]
}

@test "the demo leaves no process, link, rule or folder" {
	nothing_left
}

@test "nor does one that is interrupted while pods are replaced" {
	local said=$BATS_TEST_TMPDIR/said keys=$BATS_TEST_TMPDIR/keys demo n
	cd "$BATS_TEST_DIRNAME/../.."
	mkfifo "$keys"
	# a shell leaves what it puts in the background deaf to Ctrl-C
	env --default-signal=INT B="${B:-$PWD/build}" KEEP= script -qefc repo-example/demo.sh "$said" <"$keys" >/dev/null 2>&1 3>&- &
	demo=$!
	exec 9>"$keys"
	for n in $(seq 1200); do
		grep -q '== 4' "$said" 2>/dev/null && break
		sleep 0.1
	done
	printf '\003' >&9
	if wait "$demo"; then false; fi
	exec 9>&-
	cat "$said"
	grep -q 'demo: interrupted' "$said"
	nothing_left
}
