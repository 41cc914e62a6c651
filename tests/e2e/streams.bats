#!/usr/bin/env bats
# exec, attach, port-forward and copying, with kedge and with every kubectl, on real pods.
load kit.bash

setup_file() {
	file_begin --listen "$API"
	KUBECTLS=$(kubectls)
	export KUBECTLS
	head -c 3000000 /dev/urandom >"$W/big"
	image web:1 --env VERSION=v1 >/dev/null
	{
		MORE='stdin: true' pod reader box:1 \
			'["/bin/sh", "-c", "while read x; do echo got $x; echo oops $x >&2; done; sleep 1000"]'
		MORE='{stdin: true, stdinOnce: true}' SPEC='restartPolicy: Never' pod once box:1 '["/bin/sh", "-c", "wc -c; echo over"]' |
			sed 's/^    {stdin: true, stdinOnce: true}/    stdin: true\n    stdinOnce: true/'
		MORE=$'stdin: true\ntty: true' pod term box:1 '["/bin/sh"]'
		pod mute box:1
		pod web web:1
	} | put world
	for p in reader term mute web; do wait_for 15 "$p runs" phase_is $p Running; done
}
setup() { file_test; }
teardown_file() { file_end; }

# begin NAME CMD...: with a fifo as its input, which is descriptor 7
begin() {
	local name=$1
	shift
	rm -f "$W/$name.in"
	mkfifo "$W/$name.in"
	"$@" <"$W/$name.in" >"$W/$name.out" 2>"$W/$name.err" 3>&- &
	PID=$!
	exec 7>"$W/$name.in"
}

@test "attach gives input and shows what is printed, and leaves the container running" {
	begin a timeout 30 kedge attach -i reader
	echo one >&7
	wait_for 5 "the answer" grep -q '^got one$' "$W/a.out"
	wait_for 5 "the error" grep -q '^oops one$' "$W/a.err"
	exec 7>&-
	wait $PID
	phase_is reader Running
	begin a timeout 30 kedge attach -i reader
	echo two >&7
	wait_for 5 "the answer" grep -q '^got two$' "$W/a.out"
	run cat "$W/a.out"
	hasnt one
	exec 7>&-
	wait $PID
	kedge logs reader | grep -q 'got one'
}

@test "stdinOnce: the container's input ends with the first client" {
	wait_for 15 "it runs" phase_is once Running
	run bash -c 'head -c 3000000 /dev/zero | timeout 20 kedge attach -i once'
	[ "$status" = 0 ]
	matches '^3000000$'
	matches '^over$'
	wait_for 5 "it ends" phase_is once Succeeded
}

@test "a terminal is attached to, with its size and its prompt" {
	run bash -c '(sleep 0.5; echo stty size; echo "echo a\$((1+1))b"; sleep 1) |
		timeout 20 script -qec "stty rows 33 cols 77; kedge attach -it term" /dev/null'
	has '# '
	has '33 77'
	has a2b
	phase_is term Running
}

@test "what a container does not have is not asked of it" {
	run kedge attach -i mute
	[ "$status" != 0 ]
	has "mute takes no input: its container has no stdin: true"
	run kedge attach -t reader
	has "reader has no terminal: its container has no tty: true"
	run kedge attach nobody
	[ "$status" != 0 ]
}

@test "exec without -i reads the end of its input at once" {
	[ "$(timeout 5 kedge exec mute -- cat)" = "" ]
}

@test "kubectl attach, too" {
	t() {
		K=$K begin b k attach -i reader
		echo "$(basename "$K")" >&7
		wait_for 5 "the answer" grep -q "^got $(basename "$K")$" "$W/b.out"
		exec 7>&-
		wait $PID
	}
	every t
}

@test "kubectl exec: input, both outputs, exit codes, a terminal and its size" {
	t() {
		run --separate-stderr k exec mute -- sh -c 'echo out; echo err >&2; exit 7'
		[ "$status" = 7 ] && [ "$output" = out ] && [[ $stderr == *err* ]] || return 1
		k exec -i mute -- cat <"$W/big" | cmp - "$W/big" || return 1
		[ "$(k exec mute -- cat </dev/null)" = "" ] || return 1
		run script -qec "stty rows 33 cols 77; HOME=$W KUBECONFIG=/dev/null $K --server=http://$API exec -it mute -- sh -c 'sleep 0.3; stty size; echo kind=\$TERM.; exit 5'" /dev/null
		has '33 77' && has 'kind=xterm.' && [ "$status" = 5 ] || return 1
		[ "$(k exec mute -- sh -c 'echo kind=$TERM.')" = kind=. ] || return 1
		run k exec mute -- /bin/nothing
		has 'no such file or directory'
	}
	every t
}

# client-go drops what comes before it has made its streams, which it does as it begins to read
@test "a client that says who it is gets output once it has answered a ping" {
	run timeout 20 perl -MIO::Socket::INET -e '
		my $s = IO::Socket::INET->new(PeerAddr => $ARGV[0], Timeout => 5) or die;
		print $s "GET /api/v1/namespaces/default/pods/mute/exec?stdout=true&command=echo&command=early HTTP/1.1\r\n",
			"Host: $ARGV[0]\r\nUser-Agent: a-client/1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n",
			"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
			"Sec-WebSocket-Protocol: v5.channel.k8s.io\r\n\r\n";
		my $got = "";
		sysread $s, $got, 4096, length $got or die "closed after $got" while $got !~ /\r\n\r\n../s;
		$got =~ s/^.*?\r\n\r\n//s;
		my $more = "";
		vec($more, fileno $s, 1) = 1;
		print "first ", unpack("H*", $got), ", then ", select($more, undef, undef, 0.5) ? "more" : "nothing", "\n";
		syswrite $s, "\x8a\x80\0\0\0\0";
		sysread $s, $got, 4096, length $got or die "closed after $got" while $got !~ /early/;
		print "output\n";' "$API" 3>&-
	[ "$output" = $'first 8900, then nothing\noutput' ]
}

@test "kubectl cp, both ways" {
	t() {
		mkdir -p "$W/tree/sub"
		cp "$W/big" "$W/tree/sub/big"
		k cp "$W/tree" reader:/tmp/tree || return 1
		k cp reader:/tmp/tree/sub/big "$W/back" || return 1
		cmp "$W/big" "$W/back" || return 1
		in_ reader rm -r /tmp/tree
	}
	every t
}

# forwards CMD...: runs it, which prints "Forwarding from 127.0.0.1:N"; PORT is N
forwards() {
	rm -f "$W/f.out"
	"$@" >"$W/f.out" 2>"$W/f.err" 3>&- &
	PID=$!
	wait_for 10 "it listens" grep -q 'Forwarding from 127.0.0.1' "$W/f.out" || { cat "$W/f.err"; return 1; }
	PORT=$(sed -n 's/^Forwarding from 127.0.0.1:\([0-9]*\) .*/\1/p' "$W/f.out" | head -1)
}
get() { curl -sS --max-time 10 "http://127.0.0.1:$PORT/"; }

@test "port-forward: requests one by one and at once, much data, and a port that nobody listens at" {
	# it hears all before it answers: kubectl gives up what is still to be sent with the answer's end
	kedge exec mute -- sh -c 'printf "#!/bin/sh\ncat >/tmp/in; exec cat /tmp/big\n" >/tmp/answer; chmod +x /tmp/answer'
	kedge exec -i mute -- sh -c 'cat >/tmp/big' <"$W/big"
	t() { # CMD...
		local i pids=()
		forwards "$@" web :8080 || return 1
		get | grep -q v1 || return 1
		for i in 1 2 3 4 5 6 7 8; do
			get >"$W/got.$i" 3>&- &
			pids+=($!)
		done
		wait "${pids[@]}" || return 1
		cmp "$W/got.1" "$W/got.8" || return 1
		kill $PID
		wait $PID || true
		kedge exec mute -- nc -l -p 7777 -e /tmp/answer 3>&- &
		forwards "$@" mute :7777 || return 1
		sleep 0.3
		nc 127.0.0.1 "$PORT" <"$W/big" >"$W/got" || return 1
		cmp "$W/got" "$W/big" || return 1
		wait_for 5 "what was sent is there" kedge exec mute -- cmp /tmp/in /tmp/big || return 1
		nc 127.0.0.1 "$PORT" </dev/null || true
		wait_for 5 "the reason" grep -q 'connection refused' "$W/f.err" || return 1
		kill $PID || true # kubectl after 1.27 has gone by itself
		wait $PID || true
	}
	t kedge port-forward
	every t k port-forward
}

@test "port-forward of a Service takes its ports, by number and by name, and says what is not there" {
	{
		MORE='ports: [{name: http, containerPort: 8080}]' pod shop web:1
		service shop | sed 's/name: http}/name: front}/'
		echo ---
		service plain | sed 's/app: plain/app: shop/; s/targetPort: http/targetPort: 8080/'
		echo ---
		service lost | sed 's/app: lost/app: shop/; s/targetPort: http/targetPort: gone/'
	} | put shop
	wait_for 15 "shop runs" phase_is shop Running
	t() { # CMD...
		for s in shop plain; do
			forwards "$@" svc/$s :80 || return 1
			grep -qEx 'Forwarding from 127.0.0.1:[0-9]+ -> 8080' "$W/f.out" || return 1
			get | grep -q v1 || return 1
			kill $PID
			wait $PID || true
		done
		# by its name: the pod's own for a pod, the Service's for a Service
		forwards "$@" shop :http || return 1
		grep -qEx 'Forwarding from 127.0.0.1:[0-9]+ -> 8080' "$W/f.out" || return 1
		get | grep -q v1 || return 1
		kill $PID
		wait $PID || true
		forwards "$@" svc/shop :front || return 1
		grep -qEx 'Forwarding from 127.0.0.1:[0-9]+ -> 8080' "$W/f.out" || return 1
		get | grep -q v1 || return 1
		kill $PID
		wait $PID || true
		run "$@" shop :nothing
		[ "$status" = 1 ] && has "Pod 'shop' does not have a named port 'nothing'" || return 1
		run "$@" svc/shop :http
		[ "$status" = 1 ] && has "Service 'shop' does not have a named port 'http'" || return 1
		run "$@" svc/shop :81
		[ "$status" = 1 ] && has "Service shop does not have a service port 81" || return 1
		run "$@" svc/lost :80
		[ "$status" = 1 ] && has "Pod 'shop' does not have a named port 'gone'" || return 1
		run "$@" nobody :80
		[ "$status" = 1 ] && has 'pods "nobody" not found'
	}
	t kedge port-forward
	every t k port-forward
	forwards kedge port-forward svc/plain 18080:80
	grep -qx 'Forwarding from 127.0.0.1:18080 -> 8080' "$W/f.out"
	kill $PID
	wait $PID || true
	forwards kedge port-forward shop 18081:http
	grep -qx 'Forwarding from 127.0.0.1:18081 -> 8080' "$W/f.out"
	get | grep -q v1
	kill $PID
	wait $PID || true
	forwards kedge port-forward shop http # a name alone is its number on both sides
	grep -qx 'Forwarding from 127.0.0.1:8080 -> 8080' "$W/f.out"
	kill $PID
	wait $PID || true
	forwards kedge port-forward svc/shop front
	grep -qx 'Forwarding from 127.0.0.1:80 -> 8080' "$W/f.out"
	kill $PID
}

@test "attached clients survive nothing, but their container's input does: kedged starts anew" {
	kedge_stop
	kedge_start --source "deploy=$W/deploy.git" --listen "$API"
	echo "$KEDGED" >"$W/pid"
	begin a timeout 30 kedge attach -i reader
	echo again >&7
	wait_for 5 "the answer" grep -q '^got again$' "$W/a.out"
	exec 7>&-
	wait $PID
}
