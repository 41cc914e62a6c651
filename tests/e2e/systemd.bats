#!/usr/bin/env bats
# What systemd is told: Type=notify and WatchdogSec= of kedged.service.
load lib.bash

setup() {
	kedge_dirs
	# One process and one file: the datagrams stand behind one another in the order they were sent.
	socat -u "UNIX-RECV:$W/notify" "CREATE:$W/said" 3>&- &
	SOCAT=$!
	wait_for 5 "the socket is there" test -S "$W/notify"
}
teardown() {
	kedge_end
	kill "$SOCAT" 2>/dev/null || true
}

@test "systemd hears READY once, WATCHDOG for ever, and STOPPING" {
	NOTIFY_SOCKET=$W/notify WATCHDOG_USEC=400000 kedge_start
	local living='(WATCHDOG=1)*READY=1(WATCHDOG=1){10,}'
	wait_for 5 "READY and ten signs of life" grep -qxE "$living" "$W/said"
	kedge_stop
	wait_for 5 "STOPPING" grep -qxE "${living}STOPPING=1" "$W/said"
}

@test "without a watchdog there are no signs of life" {
	NOTIFY_SOCKET=$W/notify kedge_start
	wait_for 5 "READY" grep -qx READY=1 "$W/said"
	sleep 0.5
	grep -qx READY=1 "$W/said"
}
