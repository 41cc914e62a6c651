#!/usr/bin/env bats
# Lifecycle: hooks after the start and before the end, last words, deadlines, graces.
load kit.bash

setup_file() { file_begin; }
setup() { file_test; }
teardown_file() { file_end; }

events() { kedge get events -o json | jq -r --arg p "$1" '.items[] | select(.involvedObject.name == $p) | .type + " " + .reason + " " + .message'; }
told() { events "$1" | grep -qE "$2"; }
gone() { ! kedge get pod "$1" >/dev/null 2>&1; }
V='volumes: [{name: v, emptyDir: {}}]'
M='volumeMounts: [{name: v, mountPath: /v}]'

@test "a pod is not running before its postStart hook is over" {
	SPEC=$V MORE="$M
lifecycle: {postStart: {exec: {command: [/bin/sh, -c, 'touch /v/hook; until test -e /v/go; do sleep 0.05; done; echo \$HOSTNAME >/v/who']}}}" \
		pod post box:1 '["/bin/sh", "-c", "echo begun; exec sleep 1000"]' | put post
	wait_for 10 "it has begun" sh -c 'kedge logs post | grep -q begun'
	sleep 0.3
	[ "$(st post .state.waiting.reason)" = ContainerCreating ]
	is post .status.phase Pending
	touch "$(find "$W/state/pods" -name hook | sed 's/hook$/go/')"
	up post
	[ "$(in_ post cat /v/who)" = post ]
	drop post
}

@test "postStart sleep keeps a pod from running that long" {
	local began
	MORE='lifecycle: {postStart: {sleep: {seconds: 2}}}' pod slept box:1 '["/bin/sh", "-c", "echo begun; exec sleep 1000"]' |
		sed 's/terminationGracePeriodSeconds: 1$/terminationGracePeriodSeconds: 3/' | put slept
	wait_for 10 "it has begun" sh -c 'kedge logs slept | grep -q begun'
	is slept .status.phase Pending
	up slept
	began=$(date -d "$(st slept .state.running.startedAt)" +%s)
	[ $(($(date -d "$(field pod slept '.status.conditions[] | select(.type == "Ready").lastTransitionTime')" +%s) - began)) -ge 2 ]
	drop slept
}

@test "postStart sleep ends also where a container says nothing and nobody else wakes its pod" {
	MORE='lifecycle: {postStart: {sleep: {seconds: 1}}}' pod quiet box:1 '["/bin/sleep", "1000"]' | put quiet
	up quiet
	drop quiet
}

@test "a failed postStart hook ends the container, which is started again" {
	MORE='lifecycle: {postStart: {exec: {command: [/bin/false]}}}' \
		pod postbad box:1 '["/bin/sh", "-c", "trap \"exit 143\" TERM; while :; do sleep 0.05; done"]' | put postbad
	wait_for 15 "it is told" told postbad '^Warning FailedPostStartHook PostStartHook failed$'
	wait_for 15 "and again" sh -c '[ "$(kedge get pod postbad -o json | jq ".status.containerStatuses[0].restartCount")" -ge 1 ]'
	[ "$(events postbad | grep -c 'Started container main')" -ge 1 ]
	[ "$(st postbad .restartCount)" -le 5 ] # each once, with the back-off between them
	[ "$(st postbad .lastState.terminated.exitCode)" = 143 ]
	wait_for 10 "it waits" sh -c 'kedge get pod postbad --no-headers | grep -qE "0/1 +(CrashLoopBackOff|PostStartHookError)"'
	drop postbad
}

@test "a hook asks over https, whoever signed the certificate" {
	openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=nobody -keyout "$W/key.pem" -out "$W/cert.pem" 2>/dev/null
	mkdir -p "$W/www/hook"
	echo hello >"$W/www/hook/post"
	(cd "$W/www" && exec openssl s_server -accept 8443 -key ../key.pem -cert ../cert.pem -WWW >"$W/tls.log" 2>&1 3>&-) &
	server=$!
	wait_for 10 "it listens" grep -q ACCEPT "$W/tls.log"
	MORE="lifecycle: {postStart: {httpGet: {scheme: HTTPS, host: $(hostname -I | cut -d' ' -f1), port: 8443, path: /hook/post}}}" \
		pod https box:1 | put https
	up https
	grep -q 'FILE:hook/post' "$W/tls.log"
	kill "$server"
	drop https
}

@test "a hook over https to a server that speaks http is asked in clear, which is told" {
	local port=8444
	mkdir -p "$W/clear/hook"
	echo hello >"$W/clear/hook/post"
	"$B/images/box/bin/busybox" httpd -f -vv -p "$port" -h "$W/clear" >"$W/clear.log" 2>&1 3>&- &
	server=$!
	wait_for 10 "it listens" "$B/images/box/bin/busybox" wget -q -O - "http://127.0.0.1:$port/hook/post"
	MORE="lifecycle: {postStart: {httpGet: {scheme: HTTPS, host: 127.0.0.1, port: $port, path: /hook/post}}}" \
		pod clear box:1 | put clear
	up clear
	wait_for 5 "it is told" told clear "^Warning LifecycleHTTPFallback request to HTTPS lifecycle hook 127.0.0.1:$port got HTTP response, retry with HTTP succeeded$"
	kill "$server"
	drop clear
}

@test "containers start one after the other, each when the hook of the one before is over" {
	SPEC=$V MORE="$M
lifecycle: {postStart: {exec: {command: [/bin/sh, -c, 'sleep 1; echo hook >>/v/story']}}}" \
		pod order box:1 '["/bin/sleep", "1000"]' | sed '$d' >"$W/order.yaml"
	cat >>"$W/order.yaml" <<-'Y'
		  - name: second
		    image: box:1
		    command: [/bin/sh, -c, "echo second >>/v/story; exec sleep 1000"]
		    volumeMounts: [{name: v, mountPath: /v}]
	Y
	put order <"$W/order.yaml"
	up order
	[ "$(kedge exec order -c main -- cat /v/story)" = $'hook\nsecond' ]
	drop order
}

@test "a preStop hook runs before SIGTERM, and its time is taken out of the grace" {
	SPEC="terminationGracePeriodSeconds: 30
$V" MORE="$M
lifecycle: {preStop: {exec: {command: [/bin/touch, /v/leave]}}}" \
		pod pre box:1 '["/bin/sh", "-c", "trap : TERM; until test -e /v/leave; do sleep 0.05; done"]' |
		sed '/terminationGracePeriodSeconds: 1$/d' | put pre
	up pre
	began=$(date +%s)
	drop pre
	wait_for 10 "it left when the hook told it to" gone pre
	[ $(($(date +%s) - began)) -le 8 ]
}

@test "preStop sleep keeps it serving that long; one that cannot be over in the grace is refused" {
	SPEC='terminationGracePeriodSeconds: 3' MORE='lifecycle: {preStop: {sleep: {seconds: 2}}}' \
		pod sleeps box:1 '["/bin/sh", "-c", "trap \"exit 0\" TERM; while :; do sleep 0.05; done"]' |
		sed '/terminationGracePeriodSeconds: 1$/d' | put sleeps
	up sleeps
	kedge delete pod sleeps >/dev/null &
	sleep 1.2
	[ "$(field pod sleeps '.status.containerStatuses[0].state | keys[0]')" = running ]
	drop sleeps
	wait_for 10 "it is gone" gone sleeps
	MORE='lifecycle: {preStop: {sleep: {seconds: 2}}}' pod sleeps box:1 >"$W/sleeps.yaml"
	run kedge validate "$W/sleeps.yaml"
	[ "$status" != 0 ]
	has 'spec.containers[0].lifecycle.preStop.sleep.seconds: Invalid value: 2: must be non-negative and less than terminationGracePeriodSeconds (1)'
}

@test "a preStop hook that outlasts the grace is cut off: SIGTERM comes all the same, and SIGKILL after it" {
	SPEC=$V MORE="$M
lifecycle: {preStop: {exec: {command: [/bin/sh, -c, 'echo hook >>/v/story; /bin/sleep 4322; echo over >>/v/story']}}}" \
		pod hangs box:1 '["/bin/sh", "-c", "trap \"echo term >>/v/story\" TERM; while :; do sleep 0.05; done"]' | put hangs
	up hangs
	folder=$W/state/pods/$(field pod hangs .metadata.uid)
	story_is() { [ "$(find "$folder" -name story -exec cat {} +)" = "$1" ]; }
	drop hangs
	wait_for 10 "SIGTERM comes after the hook began, which is not over" story_is $'hook\nterm'
	wait_for 15 "it is gone" gone hangs
	no_hook() { ! pgrep -f '^/bin/sleep 4322' >/dev/null; }
	wait_for 5 "and so is the hook" no_hook
}

@test "a failed preStop hook is told, and a failed liveness probe runs one, too" {
	SPEC=$V MORE="$M
lifecycle: {preStop: {exec: {command: [/bin/sh, -c, 'echo hook >>/v/story; exit 1']}}}
livenessProbe: {exec: {command: [/bin/sh, -c, 'exit 7']}, periodSeconds: 1, failureThreshold: 1, initialDelaySeconds: 1}" \
		pod prebad box:1 '["/bin/sh", "-c", "test -e /v/story && rm -f /v/no; trap \"exit 0\" TERM; while :; do sleep 0.05; done"]' | put prebad
	wait_for 10 "it is told" told prebad '^Warning FailedPreStopHook PreStopHook failed$'
	wait_for 10 "it runs again" sh -c '[ "$(kedge get pod prebad -o json | jq ".status.containerStatuses[0].restartCount")" -ge 1 ]'
	grep -q hook "$(find "$W/state/pods/$(field pod prebad .metadata.uid)" -name story)"
	drop prebad
}

@test "a preStop hook under way goes on while kedged is away" {
	SPEC="terminationGracePeriodSeconds: 20
$V" MORE="$M
lifecycle: {preStop: {exec: {command: [/bin/sh, -c, 'sleep 2; touch /v/leave']}}}" \
		pod prealone box:1 '["/bin/sh", "-c", "trap : TERM; until test -e /v/leave; do sleep 0.05; done; exec sleep 0.1"]' |
		sed '/terminationGracePeriodSeconds: 1$/d' | put prealone
	up prealone
	uid=$(field pod prealone .metadata.uid)
	drop prealone
	wait_for 5 "the hook runs" sh -c 'kedge get events | grep -q "Stopping container main"'
	sleep 0.5
	kill -9 "$KEDGED"
	wait_for 5 "it is dead" not_running "$KEDGED"
	sleep 3
	[ -e "$(find "$W/state/pods/$uid" -name leave)" ]
	kedge_start --source "deploy=$W/deploy.git"
	echo "$KEDGED" >"$W/pid"
	wait_for 10 "it is gone" gone prealone
}

@test "FallbackToLogsOnError takes the last lines where no message was left" {
	{
		SPEC='restartPolicy: Never' MORE='terminationMessagePolicy: FallbackToLogsOnError' \
			pod words box:1 '["/bin/sh", "-c", "echo first; echo last >&2; exit 3"]'
		SPEC='restartPolicy: Never' MORE='terminationMessagePolicy: FallbackToLogsOnError' \
			pod left box:1 '["/bin/sh", "-c", "echo first; echo said >/dev/termination-log; exit 3"]'
		SPEC='restartPolicy: Never' MORE='terminationMessagePolicy: FallbackToLogsOnError' \
			pod well box:1 '["/bin/sh", "-c", "echo first"]'
		SPEC='restartPolicy: Never' MORE='terminationMessagePolicy: FallbackToLogsOnError' \
			pod many box:1 '["/bin/sh", "-c", "for i in $(seq 1000); do echo line-$i-of-many; done; printf end; exit 1"]'
	} | put last
	for p in words left many; do wait_for 10 "$p is over" phase_is $p Failed; done
	wait_for 10 "well is over" phase_is well Succeeded
	[ "$(st words .state.terminated.message)" = $'first\nlast' ]
	[ "$(st left .state.terminated.message)" = said ]
	[ "$(st well .state.terminated.message)" = null ]
	echo "$(st many .state.terminated.message)" >"$W/many"
	[ "$(tail -2 "$W/many")" = $'line-1000-of-many\nend' ]
	[ "$(wc -l <"$W/many")" = 80 ]
	drop last
}

@test "terminationMessagePath names where the last words lie, stopSignal what ends a container" {
	{
		SPEC='restartPolicy: Never' MORE='terminationMessagePath: /tmp/deep/word' \
			pod elsewhere box:1 '["/bin/sh", "-c", "echo said >/tmp/deep/word; exit 4"]'
		SPEC='terminationGracePeriodSeconds: 60
os: {name: linux}' MORE='lifecycle: {stopSignal: SIGUSR1}' \
			pod signalled box:1 '["/bin/sh", "-c", "trap : TERM; trap \"exit 0\" USR1; touch /tmp/ready; while :; do sleep 0.05; done"]' |
			sed '/terminationGracePeriodSeconds: 1$/d'
	} | put words2
	wait_for 10 "it is over" phase_is elsewhere Failed
	[ "$(st elsewhere .state.terminated.message)" = said ]
	[ "$(st elsewhere .state.terminated.exitCode)" = 4 ]
	up signalled
	[ "$(st signalled .stopSignal)" = SIGUSR1 ]
	wait_for 5 "it listens" in_ signalled test -e /tmp/ready
	drop words2
	wait_for 20 "it heard, long before its grace is over" gone signalled
}

@test "activeDeadlineSeconds fails a pod that takes longer" {
	SPEC='activeDeadlineSeconds: 2' pod late box:1 '["/bin/sleep", "4321"]' | put late
	up late
	wait_for 10 "its time is over" phase_is late Failed
	is late .status.reason DeadlineExceeded
	is late .status.message "Pod was active on the node longer than the specified deadline"
	# the reason of its container is shown instead, once that has ended
	kedge get pod late --no-headers | grep -qE ' (DeadlineExceeded|Error) '
	nothing_runs() { ! pgrep -f '^/bin/sleep 4321' >/dev/null; }
	wait_for 10 "nothing of it runs" nothing_runs
	told late '^Normal DeadlineExceeded '
	drop late
}

@test "a probe's own grace counts when it is what ends the container" {
	SPEC='terminationGracePeriodSeconds: 60' MORE='livenessProbe: {exec: {command: [/bin/false]}, periodSeconds: 1, failureThreshold: 1, terminationGracePeriodSeconds: 1}' \
		pod grace box:1 '["/bin/sh", "-c", "trap \"\" TERM; while :; do sleep 0.05; done"]' |
		sed '/terminationGracePeriodSeconds: 1$/d' | put grace
	wait_for 10 "it was killed after a second" sh -c '[ "$(kedge get pod grace -o json | jq ".status.containerStatuses[0].restartCount")" -ge 1 ]'
	[ "$(st grace .lastState.terminated.exitCode)" = 137 ]
	drop grace
	kedge delete pod grace --grace-period 0 --no-wait || true
}
