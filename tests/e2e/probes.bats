#!/usr/bin/env bats
# Probes of all four kinds, and hooks that are requests: what they ask, and what they say.
load kit.bash

setup_file() {
	file_begin
	openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=nobody.example \
		-keyout "$W/key.pem" -out "$W/cert.pem" 2>/dev/null
	openssl s_server -quiet -www -accept 127.0.0.1:9443 -key "$W/key.pem" -cert "$W/cert.pem" >/dev/null 2>&1 3>&- &
	echo $! >"$W/openssl"
}
setup() { file_test; }
teardown_file() {
	kill "$(cat "$W/openssl")"
	file_end
}

events() { kedge get events -o json | jq -r --arg p "$1" '.items[] | select(.involvedObject.name == $p) | .type + " " + .reason + " " + .message'; }
told() { events "$1" | grep -qF "$2"; }

# A server whose answer depends on a header, on a path, or leads elsewhere.
WEB='["/bin/sh", "-c", "mkdir -p /tmp/www/cgi-bin; cp -L /cm/header /cm/away /cm/late /cm/out /tmp/www/cgi-bin; chmod 755 /tmp/www/cgi-bin/*; exec /bin/busybox httpd -f -p 8080 -h /tmp/www"]'
web() { # NAME PROBE
	SPEC='volumes: [{name: cm, configMap: {name: web}}]' MORE="volumeMounts: [{name: cm, mountPath: /cm}]
readinessProbe: $2" pod "$1" box:1 "$WEB"
}

@test "a command's output is in the Event, and what takes too long is said" {
	{
		MORE='readinessProbe: {exec: {command: [/bin/sh, -c, "echo out of tea; echo and milk >&2; exit 1"]}, periodSeconds: 1}' \
			pod cmd box:1
		MORE='readinessProbe: {exec: {command: [/bin/sleep, "30"]}, periodSeconds: 1}' pod slow box:1
		MORE='readinessProbe: {exec: {command: [/bin/sh, -c, "yes | head -c 1000000"]}, periodSeconds: 1, timeoutSeconds: 5}' pod loud box:1
	} | put cmds
	wait_for 10 "it is told" told cmd 'Warning Unhealthy Readiness probe failed: out of tea'
	told cmd 'and milk'
	wait_for 10 "the slow one, too" told slow 'Readiness probe failed: command timed out: "/bin/sleep 30" timed out after 1s'
	up loud
	drop cmds
}

@test "a command that is not there says nothing of the container: it runs on" {
	{
		MORE='livenessProbe: {exec: {command: [/nope]}, periodSeconds: 1, failureThreshold: 1}' pod unasked box:1
		MORE='readinessProbe: {exec: {command: [/tmp/r]}, periodSeconds: 1, failureThreshold: 1}' \
			pod once box:1 '["/bin/sh", "-c", "echo \"#!/bin/sh\" >/tmp/r; chmod 755 /tmp/r; exec /bin/sleep 1000"]'
	} | put unasked
	up once
	in_ once rm /tmp/r
	wait_for 10 "it is told" told unasked 'Warning Unhealthy Liveness probe errored and resulted in unknown state: exec: "/nope": stat /nope: no such file or directory'
	wait_for 10 "that one, too" told once 'Warning Unhealthy Readiness probe errored and resulted in unknown state: '
	sleep 2
	[ "$(st unasked .restartCount) $(st unasked .ready)" = "0 true" ]
	[ "$(st once .ready)" = true ]
	drop unasked
}

@test "a port that nobody named says nothing of the container: it runs on" {
	{
		MORE='livenessProbe: {httpGet: {port: talk}, periodSeconds: 1, failureThreshold: 1}' pod unnamed box:1
		MORE='livenessProbe: {tcpSocket: {port: talk}, periodSeconds: 1, failureThreshold: 1}' pod nameless box:1
	} | put unnamed
	for p in unnamed nameless; do
		wait_for 10 "it is told" told $p 'Warning Unhealthy Liveness probe errored and resulted in unknown state: its port has no number'
	done
	sleep 2
	[ "$(st unnamed .restartCount) $(st nameless .restartCount)" = "0 0" ]
	drop unnamed
}

@test "who is told to end is asked on whether it is ready, and no more whether it lives" {
	SPEC='terminationGracePeriodSeconds: 60' MORE='readinessProbe: {exec: {command: [/bin/test, "!", -e, /tmp/sick]}, periodSeconds: 1, failureThreshold: 1}
livenessProbe: {exec: {command: [/bin/test, "!", -e, /tmp/ends]}, periodSeconds: 1, failureThreshold: 1}' \
		pod ends box:1 '["/bin/sh", "-c", "trap \"touch /tmp/ends\" TERM; until [ -e /tmp/over ]; do sleep 1; done"]' |
		sed '/terminationGracePeriodSeconds: 1$/d' | put ends
	up ends
	drop ends
	wait_for 20 "it is told to end" in_ ends test -e /tmp/ends
	sleep 3
	[ "$(st ends .ready) $(st ends .restartCount)" = "true 0" ]
	in_ ends touch /tmp/sick
	wait_for 10 "it is not ready" st_is ends .ready false
	run events ends
	hasnt 'Liveness'
	in_ ends touch /tmp/over
	wait_for 20 "it is gone" sh -c '! kedge get pod ends 2>/dev/null | grep -q .'
}

@test "a probe with more words than a command may have is told of, and its pod lives" {
	MORE="readinessProbe: {periodSeconds: 1, exec: {command: [/bin/true$(printf ',a%.0s' $(seq 32000))]}}" \
		pod many box:1 | put many
	wait_for 10 "it is said" told many 'Readiness probe errored and resulted in unknown state: the command has 32001 words, the most is 4096'
	st_is many .restartCount 0
	in_ many /bin/true
	drop many
}

@test "the numbers of a probe: delay, period, and how often in a row it passes or fails" {
	{
		MORE='readinessProbe: {exec: {command: [/bin/sh, -c, "if [ -e /tmp/sick ]; then echo x >>/tmp/bad; exit 1; fi; echo x >>/tmp/good"]}, periodSeconds: 1, successThreshold: 3, failureThreshold: 4}' \
			pod thrice box:1
		MORE='readinessProbe: {exec: {command: [/bin/sh, -c, "[ -e /tmp/first ] || date +%s >/tmp/first"]}, initialDelaySeconds: 4}' \
			pod later box:1 '["/bin/sh", "-c", "date +%s >/tmp/begun; exec /bin/sleep 1000"]'
		SPEC='volumes: [{name: v, emptyDir: {}}]' MORE='volumeMounts: [{name: v, mountPath: /v}]
livenessProbe: {exec: {command: [/bin/sh, -c, "echo x >>/v/tries; exit 1"]}, periodSeconds: 1, failureThreshold: 3}' \
			pod dies box:1 '["/bin/sleep", "1000"]'
	} | put numbers
	up thrice 20
	[ "$(in_ thrice cat /tmp/good | wc -l)" -ge 3 ]
	in_ thrice touch /tmp/sick
	wait_for 20 "it is not ready" is thrice '.status.containerStatuses[0].ready' false
	[ "$(in_ thrice cat /tmp/bad | wc -l)" -ge 4 ]
	in_ thrice rm /tmp/sick /tmp/good
	up thrice 20
	[ "$(in_ thrice cat /tmp/good | wc -l)" -ge 3 ]
	up later 20
	[ $(($(in_ later cat /tmp/first) - $(in_ later cat /tmp/begun))) -ge 3 ]
	wait_for 20 "it is restarted" sh -c '[ "$(kedge get pod dies -o json | jq ".status.containerStatuses[0].restartCount")" -ge 1 ]'
	[ "$(wc -l <"$(find "$W/state/pods/$(field pod dies .metadata.uid)" -path '*/v/tries')")" -ge 3 ]
	drop numbers
}

# Of the container, and of no brain: an hour later they are over, whoever was away meanwhile.
@test "delays begin with the container: no startup probe cuts them short, no restart of kedged draws them out" {
	MORE='startupProbe: {exec: {command: [/bin/touch, /tmp/started]}}
readinessProbe: {exec: {command: [/bin/touch, /tmp/ready]}, initialDelaySeconds: 3600}
livenessProbe: {exec: {command: [/bin/touch, /tmp/live]}, initialDelaySeconds: 3600}' \
		pod hour box:1 '["/bin/sleep", "1000"]' | put hour
	wait_for 10 "it has started" st_is hour .started true
	sleep 2
	[ "$(in_ hour ls /tmp | xargs)" = started ]
	in_ hour rm /tmp/started # it has, and is not asked again
	[ "$(st hour .ready)" = false ]
	kedge_stop
	clocked true
	jump 3700
	KEDGE_TEST_CLOCK=$W/clock LD_PRELOAD=$W/clock.so kedge_start --source "deploy=$W/deploy.git"
	echo "$KEDGED" >"$W/pid"
	up hour
	wait_for 10 "liveness, too" in_ hour test -e /tmp/live
	kedge_stop
	kedge_start --source "deploy=$W/deploy.git"
	echo "$KEDGED" >"$W/pid"
	[ "$(st hour .restartCount)" = 0 ]
	sleep 2
	[ "$(in_ hour ls /tmp | xargs)" = 'live ready' ]
	drop hour
}

@test "a probe's command has the values that env states" {
	MORE='env: [{name: X, value: there}, {name: OTHER, value: other}]
readinessProbe: {exec: {command: [/bin/test, "$(X)$$(OTHER)", =, "there$$(OTHER)"]}, periodSeconds: 1}
livenessProbe: {exec: {command: [/bin/test, -e, "/tmp/$(X)"]}, periodSeconds: 1, failureThreshold: 30}' \
		pod says box:1 '["/bin/sh", "-c", "touch /tmp/there; sleep 1000"]' | put says
	up says
	run events says
	hasnt 'Liveness probe failed'
	drop says
}

@test "httpGet sends its headers, follows a redirect, and names the status" {
	{
		cat <<-'Y'
			apiVersion: v1
			kind: ConfigMap
			metadata: {name: web}
			data:
			  header: |
			    #!/bin/sh
			    [ "$HTTP_X_PROBE" = yes ] && echo "Status: 200 OK" || echo "Status: 418 Teapot"
			    echo
			  away: |
			    #!/bin/sh
			    echo "Status: 302 Found"
			    echo "Location: /cgi-bin/header"
			    echo
			  late: |
			    #!/bin/sh
			    sleep 2
			    echo "Status: 200 OK"
			    echo
			  out: |
			    #!/bin/sh
			    echo "Status: 302 Found"
			    echo "Location: http://192.0.2.1/"
			    echo
			    echo "see there"
			---
		Y
		web with '{httpGet: {port: 8080, path: /cgi-bin/header, httpHeaders: [{name: X-Probe, value: "yes"}]}, periodSeconds: 1}'
		web without '{httpGet: {port: 8080, path: /cgi-bin/away}, periodSeconds: 1}'
		web led '{httpGet: {port: 8080, path: /cgi-bin/away, httpHeaders: [{name: X-Probe, value: "yes"}]}, periodSeconds: 1}'
		web leads '{httpGet: {port: 8080, path: /cgi-bin/out}, periodSeconds: 1}'
		web patient '{httpGet: {port: 8080, path: /cgi-bin/late}, timeoutSeconds: 4294968, periodSeconds: 1}'
		MORE='readinessProbe: {httpGet: {port: 8081, path: /x}, periodSeconds: 1}' pod deaf box:1
	} | put https
	up with || { events with; kedge logs with; false; }
	up led
	up patient # its limit is more ms than 32 bits hold
	up leads # a redirect to another host is an answer, and not followed
	told leads 'Warning ProbeWarning Readiness probe warning: Probe terminated redirects, Response body: see there'
	wait_for 10 "the status" told without 'Readiness probe failed: HTTP probe failed with statuscode: 418'
	wait_for 10 "nobody there" told deaf "Readiness probe failed: Get \"http://$(field pod deaf .status.podIP):8081/x\": dial tcp $(field pod deaf .status.podIP):8081: connect: connection refused"
	drop https
}

@test "scheme HTTPS does not care for whom the certificate is" {
	{
		MORE='readinessProbe: {httpGet: {host: 127.0.0.1, port: 9443, scheme: HTTPS}, periodSeconds: 1}' pod tls box:1
		MORE='readinessProbe: {httpGet: {host: 127.0.0.1, port: 9444, scheme: HTTPS}, periodSeconds: 1}' pod notls box:1
	} | put tls
	up tls
	wait_for 10 "nobody there" told notls 'Readiness probe failed: Get "https://127.0.0.1:9444/": dial tcp 127.0.0.1:9444: connect: connection refused'
	drop tls
}

@test "tcpSocket by name and by number" {
	{
		MORE='ports: [{name: talk, containerPort: 8000}]
readinessProbe: {tcpSocket: {port: talk}, periodSeconds: 1}' pod tcp box:1 '["/bin/talk", "tcp", "8000"]'
		MORE='readinessProbe: {tcpSocket: {port: 8001}, periodSeconds: 1}' pod notcp box:1
	} | put tcp
	up tcp
	wait_for 10 "nobody there" told notcp "Readiness probe failed: dial tcp $(field pod notcp .status.podIP):8001: connect: connection refused"
	drop tcp
}

@test "grpc speaks the health protocol" {
	{
		MORE='readinessProbe: {grpc: {port: 5000}, periodSeconds: 1}' pod grpc box:1 '["/bin/talk", "grpc", "5000"]'
		MORE='readinessProbe: {grpc: {port: 5000, service: known}, periodSeconds: 1}' pod known box:1 '["/bin/talk", "grpc", "5000"]'
		MORE='readinessProbe: {grpc: {port: 5000, service: other}, periodSeconds: 1}' pod other box:1 '["/bin/talk", "grpc", "5000"]'
		MORE='readinessProbe: {grpc: {port: 5001}, periodSeconds: 1}' pod nogrpc box:1
	} | put grpc
	up grpc
	up known
	wait_for 10 "unknown" told other 'Readiness probe failed: error: health rpc probe failed: rpc error: code = 5 desc = unknown service'
	wait_for 10 "nobody" told nogrpc "Readiness probe failed: timeout: failed to connect service \"$(field pod nogrpc .status.podIP):5001\" within 1s"
	in_ grpc touch /tmp/sick
	wait_for 10 "sick" told grpc 'Readiness probe failed: service unhealthy (responded with "NOT_SERVING")'
	wait_for 10 "not ready" is grpc '.status.containerStatuses[0].ready' false
	drop grpc
}

# One answer, on the test host: what the hooks asked is in $W/heard.$1.
hear() { printf 'HTTP/1.0 500 No\r\n\r\n' | timeout 30 "$B/images/box/bin/busybox" nc -l -p "$1" >"$W/heard.$1" 3>&- & }

# heard_once FILE TEXT: in what was asked first that line, and no other of that header
heard_once() {
	tr -d '\r' <"$1" | sed '/^$/q' >"$1.first"
	grep -qx "$2" "$1.first" && [ "$(grep -ci "^${2%%:*}:" "$1.first")" = 1 ] || { cat "$1"; false; }
}

@test "httpHeaders: what a probe or hook sends itself takes the place of what is sent for it, Host too" {
	local headers='[{name: Host, value: app.example}, {name: user-agent, value: mine/1}, {name: Accept, value: text/plain}, {name: X-Twice, value: one}, {name: X-Twice, value: two}, {name: X-Empty, value: ""}]'
	hear 9111
	hear 9112
	mkfifo "$W/says" # nothing, but its input does not end
	openssl s_server -quiet -accept 127.0.0.1:9113 -key "$W/key.pem" -cert "$W/cert.pem" 0<>"$W/says" >"$W/heard.9113" 2>&1 3>&- &
	local server=$!
	hear 9114
	{
		MORE="readinessProbe: {httpGet: {host: 127.0.0.1, port: 9111, path: '/a?b=c', httpHeaders: $headers}, periodSeconds: 1}
lifecycle: {postStart: {httpGet: {host: 127.0.0.1, port: 9112, httpHeaders: $headers}}}" pod headers box:1
		MORE="readinessProbe: {httpGet: {host: 127.0.0.1, port: 9113, scheme: HTTPS, httpHeaders: $headers}, periodSeconds: 1}" pod overtls box:1
		MORE='readinessProbe: {httpGet: {host: 127.0.0.1, port: 9114}, periodSeconds: 1}' pod plain box:1
	} | put headers
	for port in 9111 9112 9113; do
		wait_for 20 "$port hears" grep -q '^GET /' "$W/heard.$port"
		wait_for 10 "all of it" grep -qi '^X-Empty' "$W/heard.$port"
		heard_once "$W/heard.$port" 'Host: app.example'
		[ "$(grep -i '^user-agent:' "$W/heard.$port.first")" = 'user-agent: mine/1' ]
		heard_once "$W/heard.$port" 'Accept: text/plain'
		[ "$(grep '^X-Twice: ' "$W/heard.$port.first")" = $'X-Twice: one\nX-Twice: two' ]
	done
	grep -q '^GET /a?b=c HTTP/1.1' "$W/heard.9111"
	wait_for 20 "9114 hears" grep -qi '^Accept' "$W/heard.9114"
	heard_once "$W/heard.9114" 'Host: 127.0.0.1:9114'
	heard_once "$W/heard.9114" 'User-Agent: kube-probe/1.33'
	heard_once "$W/heard.9114" 'Accept: \*/\*'
	kill "$server"
	drop headers
}

@test "a hook may be a request: any answer is one, none is a failure" {
	hear 9101
	hear 9102
	{
		SPEC='terminationGracePeriodSeconds: 20' MORE='lifecycle:
  postStart: {httpGet: {host: 127.0.0.1, port: 9101, path: /begin}}
  preStop: {httpGet: {host: 127.0.0.1, port: 9102, path: /end}}' pod hooked box:1 | sed '/terminationGracePeriodSeconds: 1$/d'
		MORE='lifecycle: {postStart: {httpGet: {host: 127.0.0.1, port: 9103}}}' pod unheard box:1
		MORE='lifecycle: {preStop: {tcpSocket: {port: 9104}}}' pod leaves box:1
		MORE='lifecycle: {postStart: {tcpSocket: {host: 127.0.0.1, port: 9443}}}' pod met box:1
	} | put hooks
	up hooked
	up met
	grep -q '^GET /begin HTTP/1' "$W/heard.9101"
	grep -qi '^User-Agent: kube-lifecycle/1.33' "$W/heard.9101"
	wait_for 10 "it is told" told unheard 'Warning FailedPostStartHook PostStartHook failed'
	drop hooks
	wait_for 10 "preStop was asked" grep -q '^GET /end HTTP/1' "$W/heard.9102"
	wait_for 10 "that one, too" told leaves 'Warning FailedPreStopHook PreStopHook failed'
	wait_for 10 "all is gone" sh -c '! kedge get pod hooked unheard leaves met 2>/dev/null | grep -q .'
}
