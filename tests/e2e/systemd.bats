#!/usr/bin/env bats
# What systemd is told: Type=notify and WatchdogSec= of kedged.service.
load lib.bash

setup() {
	kedge_dirs
	socat -u "UNIX-RECVFROM:$W/notify,fork" "SYSTEM:cat; echo" >"$W/said" 3>&- &
	SOCAT=$!
	wait_for 5 "the socket is there" test -S "$W/notify"
}
teardown() {
	kedge_end
	kill "$SOCAT" 2>/dev/null || true
}

@test "systemd hears READY once, WATCHDOG for ever, and STOPPING" {
	NOTIFY_SOCKET=$W/notify WATCHDOG_USEC=400000 kedge_start
	wait_for 5 "READY" grep -qx READY=1 "$W/said"
	wait_for 5 "ten signs of life" sh -c '[ "$(grep -cx WATCHDOG=1 "$W/said")" -ge 10 ]'
	[ "$(grep -cx READY=1 "$W/said")" = 1 ]
	kedge_stop
	wait_for 5 "STOPPING" grep -qx STOPPING=1 "$W/said"
}

@test "without a watchdog there are no signs of life" {
	NOTIFY_SOCKET=$W/notify kedge_start
	wait_for 5 "READY" grep -qx READY=1 "$W/said"
	sleep 0.5
	! grep -q WATCHDOG "$W/said"
}
