#!/usr/bin/env bats
# tunnels.bats -- exec and port-forward over TLS: much data, and every way in which they end.
load kit

setup_file() {
	kedge_dirs
	repo_make
	echo 'certificateSeconds: 15' >"$W/kedge.yaml"
	export CA=$W/state/pki/ca.crt
	start
	box box:1
	kedge kubeconfig >"$W/admin.conf"
	KUBECTLS=$(kubectls)
	export KUBECTLS
	head -c 3000000 /dev/urandom >"$W/big"
	pod talker box:1 | k apply -f -
	up talker
}
teardown_file() { file_end; }
setup() { file_test; }

start() {
	kedge_start --source "deploy=$W/deploy.git" --secure-listen 0.0.0.0:6443
	echo "$KEDGED" >"$W/pid"
}
# k ARGS...: $K, over TLS
k() { HOME=$W timeout 30 "${K:-kubectl}" --kubeconfig "$W/admin.conf" --cache-dir="$W/cache" "$@"; }
# begin ARGS...: the same without a limit, so that PID is kubectl itself; its input is descriptor 7
begin() {
	rm -f "$W/in"
	mkfifo "$W/in"
	HOME=$W "${K:-kubectl}" --kubeconfig "$W/admin.conf" --cache-dir="$W/cache" "$@" <"$W/in" >"$W/out" 2>"$W/err" 3>&- &
	PID=$!
	exec 7>"$W/in"
}
descriptors() { ls "/proc/$(pgrep -P "$KEDGED" -f -- --role=brain)/fd" | wc -l; }
no_more_than() { [ "$(descriptors)" -le "$1" ]; }
more_than() { [ "$(descriptors)" -gt "$1" ]; }

@test "exec over TLS takes and gives 3 MB at once, and ends with its input" {
	t() {
		k exec -i talker -- cat <"$W/big" >"$W/back"
		cmp "$W/big" "$W/back"
		k exec -i talker -- sh -c 'cat >/tmp/big' <"$W/big"
		k exec talker -- cat /tmp/big >"$W/back"
		cmp "$W/big" "$W/back"
		[ "$(echo one | k exec -i talker -- cat)" = one ]
	}
	every t
}

# reads: of how many pieces dd tells in $1
reads() { sed -n 's/^\([0-9]*\)+\([0-9]*\) records in$/\1 + \2/p' "$1" | { IFS= read -r n && echo $((n)); }; }
@test "bytes go over TLS by the thousand, not by the handful" {
	t() {
		local n
		k exec -i talker -- dd of=/dev/null bs=64k <"$W/big" 2>"$W/in.dd"
		n=$(reads "$W/in.dd")
		echo "in: $n reads"
		[ "$n" -lt 5000 ]
		k exec talker -- cat /tmp/big | dd of=/dev/null bs=64k 2>"$W/out.dd"
		n=$(reads "$W/out.dd")
		echo "out: $n reads"
		[ "$n" -lt 5000 ]
	}
	every t
}

@test "port-forward over TLS, 3 MB both ways" {
	# it hears all before it answers: kubectl gives up what is still to be sent with the answer's end
	k exec -i talker -- sh -c 'cat >/tmp/answer; chmod +x /tmp/answer' <<<$'#!/bin/sh\ncat >/tmp/in; exec cat /tmp/big'
	t() {
		local port
		k exec talker -- nc -l -p 7777 -e /tmp/answer 3>&- &
		begin port-forward talker :7777
		wait_for 10 "it listens" grep -q 'Forwarding from 127.0.0.1' "$W/out"
		port=$(sed -n 's/^Forwarding from 127.0.0.1:\([0-9]*\) .*/\1/p' "$W/out" | head -1)
		wait_for 10 "the pod listens" k exec talker -- sh -c 'netstat -ltn | grep -q :7777'
		nc 127.0.0.1 "$port" <"$W/big" >"$W/back"
		cmp "$W/big" "$W/back"
		wait_for 5 "what was sent is there" k exec talker -- cmp /tmp/in /tmp/big
		kill $PID
		exec 7>&-
	}
	every t
}

@test "a client over TLS that is killed with both ways full leaves nothing behind" {
	t() {
		local before command
		for command in cat 'sleep 5'; do
			wait_for 10 "those before have gone" no_more_than "$IDLE"
			before=$(descriptors)
			rm -f "$W/unread"
			mkfifo "$W/unread"
			exec 8<>"$W/unread" # open, and read by nobody
			# shellcheck disable=SC2086
			HOME=$W $K --kubeconfig "$W/admin.conf" --cache-dir="$W/cache" exec -i talker -- $command </dev/zero >"$W/unread" 2>&1 3>&- &
			PID=$!
			wait_for 10 "it is there" more_than "$before"
			sleep 1 # until nothing moves
			more_than "$before"
			kill -9 $PID
			exec 8>&-
			wait_for 40 "it has gone" no_more_than "$before"
		done
	}
	wait_for 10 "kubectl has gone" no_more_than "$(descriptors)"
	IDLE=$(descriptors)
	every t
}

token() { head -n 1 "$W/state/pki/tokens.csv" | cut -d, -f1; }
# early HEADER: asks for a stream, with that header, and does not wait to be let in; its frame
# is "\0ahoy\n", and $MORE come after it
early() {
	local i path='/api/v1/namespaces/default/pods/talker/exec?stdin=true&stdout=true&command=head&command=-n1'
	printf 'GET %s HTTP/1.1\r\nHost: x\r\n%s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: v4.channel.k8s.io\r\n\r\n\x82\x86\0\0\0\0\0ahoy\n' \
		"$path" "$1" >"$W/early"
	for ((i = 0; i < ${MORE:-0}; i++)); do
		printf '\x82\xfe\x40\0\0\0\0\0\0'
		head -c 16383 /dev/zero
	done >>"$W/early"
	timeout 20 openssl s_client -quiet -connect 127.0.0.1:6443 -CAfile "$CA" <"$W/early" >"$W/answer" 2>"$W/err" 3>&-
	tr -d '\0' <"$W/answer" | head -1
}
@test "what comes along with the request is not lost" {
	[[ $(early "Authorization: Bearer $(token)") == 'HTTP/1.1 101 '* ]]
	grep -aq ahoy "$W/answer"
}

# sends_much HEADER: a megabyte at once, five times; in how many seconds
sends_much() {
	local start=$SECONDS
	for _ in 1 2 3 4 5; do
		# 64 frames of 16 KB, after the one with the line
		[[ $(MORE=64 early "Authorization: Bearer $(token)"$'\r\n'"$1") == 'HTTP/1.1 101 '* ]] || return 1
		grep -aq ahoy "$W/answer" || return 1
	done
	echo $((SECONDS - start))
}
@test "who sends much at once, before it answers a ping, is not waited for" {
	# only who says who it is gets a ping
	others=$(sends_much "X-Nothing: x")
	its=$(sends_much "User-Agent: hasty")
	echo "without a ping $others s, with one $its s"
	# waiting for the answer takes 5 s each time
	[ $((its - others)) -lt 20 ]
}

@test "who has not said who it is, and may all the same, has a stream too" {
	[[ $(early "X-Nothing: x") == 'HTTP/1.1 40'[13]* ]]
	k create clusterrolebinding anybody --clusterrole=cluster-admin --user=system:anonymous
	[[ $(early "X-Nothing: x") == 'HTTP/1.1 101 '* ]]
	grep -aq ahoy "$W/answer"
	k delete clusterrolebinding anybody
}

serial() { openssl s_client -connect 127.0.0.1:6443 -CAfile "$CA" </dev/null 2>/dev/null | openssl x509 -noout -serial; }
another() { [ -n "$(serial)" ] && [ "$(serial)" != "$1" ]; }
@test "an exec goes on when there is another certificate" {
	was=$(serial)
	begin exec -i talker -- cat
	echo one >&7
	wait_for 10 "the first line" grep -q one "$W/out"
	wait_for 20 "another certificate" another "$was"
	echo two >&7
	wait_for 10 "the second line" grep -q two "$W/out"
	exec 7>&-
	wait $PID
}

@test "kedged ends while an exec over TLS is open, and so does that" {
	t() {
		begin exec -i talker -- cat
		echo one >&7
		wait_for 10 "the first line" grep -q one "$W/out"
		kedge_stop
		wait_for 10 "the client ends" not_running "$PID"
		exec 7>&-
		start
	}
	every t
	run grep -E 'brain: (gone|killed)' "$W/kedged.log"
	[ "$status" = 1 ]
}
